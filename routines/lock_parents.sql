CREATE OR REPLACE FUNCTION lock_parents(of_user text, of_client text, of_session text) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    PERFORM FROM "user" AS u WHERE u.id = of_user FOR KEY SHARE;
    IF of_user IS NOT NULL AND NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    PERFORM FROM oauth_client AS c WHERE c.client_id = of_client FOR KEY SHARE;
    IF of_client IS NOT NULL AND NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    PERFORM FROM session AS s WHERE s.id = of_session AND s.ended_at IS NULL AND s.expires_at > now() FOR KEY SHARE;
    IF of_session IS NOT NULL AND NOT FOUND THEN
        RETURN 'signed_out';
    END IF;
    RETURN 'locked';
END
$$;

COMMENT ON FUNCTION lock_parents(text, text, text) IS 'Locks the rows that a grant refers to, so that none is deleted before the grant is written. The order is that of all locks: user, client, session. Returns locked; unknown if the user or client is gone; signed_out if the session is gone, has ended or has expired. It waits for no ending, because endings change no key.';

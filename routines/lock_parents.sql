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

COMMENT ON FUNCTION lock_parents(text, text, text) IS 'Keeps what a grant refers to from being deleted until it is done, in the order of all locks: user, client, session. Answers locked, or what is no longer there: unknown (user or client), signed_out (session; also one that has ended or expired). Waits for no ending, as endings change no key.';

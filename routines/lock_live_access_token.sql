CREATE OR REPLACE FUNCTION lock_live_access_token(of_token text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    PERFORM
    FROM oauth_access_token AS t
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE t.id = of_token AND access_token_is_live(t, a, c, u, s)
    FOR KEY SHARE OF t;
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION lock_live_access_token(text) IS 'Part of ExchangeToken: whether an access token is live. While it is locked, neither it nor its family is collected. VOLATILE, so that it sees what was committed while the statement waited for a lock. It waits for no ending, because endings change no key.';

CREATE OR REPLACE FUNCTION client_is_used(of_client text, agreed_since timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_authorization AS a WHERE a.client_id = of_client) -- and so of each refresh token
        OR EXISTS (SELECT FROM oauth_access_token AS t WHERE t.client_id = of_client)
        OR EXISTS (SELECT FROM session_client AS k WHERE k.client_id = of_client)
        OR EXISTS (SELECT FROM oauth_consent AS g WHERE g.client_id = of_client AND g.updated_at >= agreed_since);
END
$$;

COMMENT ON FUNCTION client_is_used(text, timestamptz) IS 'Part of MarkUnusedClients: whether there is anything that a client has asked for or was granted, dead or live, or a consent of no earlier than agreed_since. VOLATILE, so that it sees what was committed before the client was locked.';

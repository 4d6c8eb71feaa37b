CREATE OR REPLACE FUNCTION access_token_is_live(t oauth_access_token, a oauth_authorization, c oauth_client, u "user", s session) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    t.revoked IS NULL
    AND (t.expires_at IS NULL OR t.expires_at > now())
    AND (t.authorization_id IS NULL OR is_live(a, c, u, s))
    AND (t.client_epoch IS NULL OR own_client_is_live(t)),
    false
);

COMMENT ON FUNCTION access_token_is_live(oauth_access_token, oauth_authorization, oauth_client, "user", session) IS 'Whether an access token is live. a is its family, if it has one; c, u and s are those of is_live. Never NULL.';

CREATE OR REPLACE FUNCTION is_in_force(a oauth_authorization) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN coalesce(a.expires_at > now(), false)
        OR EXISTS (
            SELECT FROM oauth_refresh_token AS r
            WHERE r.authorization_id = a.id
              AND ((r.revoked IS NULL AND (r.expires_at IS NULL OR r.expires_at > now())) OR r.access_token_expires_at > now())
        )
        OR EXISTS (
            SELECT FROM oauth_access_token AS t
            WHERE t.authorization_id = a.id AND t.revoked IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
        );
END
$$;

COMMENT ON FUNCTION is_in_force(oauth_authorization) IS 'Whether a live family has something that can still be used: a code, or a token that has neither expired nor been spent or revoked. Never NULL.';

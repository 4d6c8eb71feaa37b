CREATE OR REPLACE FUNCTION is_older_secret(of_client text, presented text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM oauth_client_secret AS o
        WHERE o.client_id = of_client AND o.digest = presented AND o.expires_at > now()
    );
END
$$;

COMMENT ON FUNCTION is_older_secret(text, text) IS 'Whether a digest is that of a secret of the client that was rotated out and still counts. Not inlined, so that its table is read only where the present secret doesn''t match.';

CREATE OR REPLACE FUNCTION store_client_secret(client oauth_client_id, secret token_digest, until timestamptz) RETURNS oauth_client_id
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_client AS c
    SET client_secret = coalesce(secret, refuse_parameter('ClientSecret', 'is missing')), client_secret_expires_at = until,
        foreign_secret_hash = NULL, updated_at = now()
    WHERE c.id = client;
    RETURN client;
END
$$;

COMMENT ON FUNCTION store_client_secret(oauth_client_id, token_digest, timestamptz) IS 'Part of RotateClientSecret and ReplaceForeignSecretHash, which have locked the client: stores its secret. VOLATILE, so that it begins with the row as it was locked: a statement that changes a row which it has waited for and locked itself can meet another one in a deadlock (docs/locking.md).';

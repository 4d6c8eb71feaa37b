CREATE OR REPLACE FUNCTION registered_before(
    of_client client_id, of_id oauth_client_id, secret token_digest, manager token_digest,
    OUT verdict outcome, OUT issued_at timestamptz, OUT secret_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT CASE
            WHEN c.id = of_id AND c.deleted_at IS NULL AND c.client_secret IS NOT DISTINCT FROM secret
                AND c.registration_access_token IS NOT DISTINCT FROM manager
            THEN 'retried'
            ELSE 'taken'
        END, c.created_at, c.client_secret_expires_at
    INTO verdict, issued_at, secret_expires_at
    FROM oauth_client AS c
    WHERE c.client_id = of_client;
END
$$;

COMMENT ON FUNCTION registered_before(client_id, oauth_client_id, token_digest, token_digest) IS 'Part of RegisterClient: whether a client_id has been registered, by the same call (retried) or another (taken). NULL if it hasn''t. VOLATILE, so that it sees what was committed while the statement waited.';

CREATE OR REPLACE FUNCTION return_initial_access_token(
    presented token_digest, of_client client_id, of_id oauth_client_id, secret token_digest, manager token_digest,
    OUT verdict outcome, OUT issued_at timestamptz, OUT secret_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_initial_access_token AS t SET uses = t.uses - 1, updated_at = now() WHERE t.token = presented;
    SELECT b.verdict, b.issued_at, b.secret_expires_at INTO verdict, issued_at, secret_expires_at
    FROM registered_before(of_client, of_id, secret, manager) AS b;
    verdict := coalesce(verdict, 'taken'); -- the id is that of a client with another client_id
END
$$;

COMMENT ON FUNCTION return_initial_access_token(token_digest, client_id, oauth_client_id, token_digest, token_digest) IS 'Part of RegisterClient, for a call that met another one that registers the same client_id or id: gives its use of the initial access token back, and says whether the other one was the same call (retried) or not (taken).';

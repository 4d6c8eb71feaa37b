CREATE OR REPLACE FUNCTION spend_initial_access_token(
    presented token_digest, is_open boolean, refused outcome, of_client client_id, of_id oauth_client_id, secret token_digest,
    manager token_digest, OUT verdict outcome, OUT owner reference_id, OUT issued_at timestamptz, OUT secret_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    t oauth_initial_access_token;
    before record;
BEGIN
    -- registrations with one token run one after the other
    SELECT x.* INTO t FROM oauth_initial_access_token AS x WHERE x.token = presented FOR NO KEY UPDATE;
    SELECT b.* INTO before FROM registered_before(of_client, of_id, secret, manager) AS b;
    verdict := CASE
        WHEN t.id IS NULL AND (presented IS NOT NULL OR is_open IS NOT TRUE) THEN 'unauthenticated'
        WHEN before.verdict = 'retried' THEN 'retried'
        WHEN t.revoked_at IS NOT NULL THEN 'revoked'
        WHEN t.uses >= t.max_uses THEN 'exhausted'
        WHEN t.expires_at <= now() THEN 'expired'
        WHEN refused IS NOT NULL THEN refused
        WHEN before.verdict = 'taken' THEN 'taken'
        ELSE 'registered'
    END;
    owner := t.reference_id;
    IF verdict = 'retried' THEN
        issued_at := before.issued_at;
        secret_expires_at := before.secret_expires_at;
    ELSIF verdict = 'registered' THEN
        UPDATE oauth_initial_access_token AS x SET uses = x.uses + 1, updated_at = now() WHERE x.id = t.id;
    END IF;
END
$$;

COMMENT ON FUNCTION spend_initial_access_token(token_digest, boolean, outcome, client_id, oauth_client_id, token_digest, token_digest) IS 'Part of RegisterClient: whether a client may be registered, and one use of the initial access token if it may. refused is why the metadata is refused, or NULL. What is refused spends nothing. owner is the tenant of the token.';

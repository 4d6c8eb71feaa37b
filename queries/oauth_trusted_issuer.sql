-- CreateTrustedIssuer trusts an issuer of assertions (RFC 7523, section 2.1). Its subjects are the accounts whose provider_id is the issuer.
-- audiences, signing_algorithms and client_ids say what is accepted; empty accepts nothing. any_client accepts all clients that are
-- registered for the grant type. If the issuer is known already, it violates oauth_trusted_issuer_issuer_uidx.
-- name: CreateTrustedIssuer :one
INSERT INTO oauth_trusted_issuer (
    id, issuer, name, jwks, jwks_uri, audiences, signing_algorithms, client_ids, any_client, max_lifetime
)
VALUES (
    @id::trusted_issuer_id, @issuer::text, sqlc.narg('name')::text, sqlc.narg('jwks')::jsonb, sqlc.narg('jwks_uri')::text,
    as_set(@audiences::text[]), as_set(@signing_algorithms::text[]), as_set(@client_ids::text[]), @any_client::boolean,
    sqlc.narg('max_lifetime')::interval
)
RETURNING *;

-- GetTrustedIssuer returns one issuer, disabled or not. Zero rows: there is no such issuer.
-- name: GetTrustedIssuer :one
SELECT i.*
FROM oauth_trusted_issuer AS i
WHERE i.id = @id::trusted_issuer_id;

-- FindTrustedIssuerByIssuer returns the issuer that an assertion names in its iss, disabled or not. Use it to find the keys;
-- IssueTokenByAssertion decides whether the issuer is trusted. Zero rows: there is no such issuer.
-- name: FindTrustedIssuerByIssuer :one
SELECT i.*
FROM oauth_trusted_issuer AS i
WHERE i.issuer = @issuer::text;

-- ListTrustedIssuers returns a page of all issuers, oldest first. Begin with the zero time and the empty id; for the next page pass
-- created_at and id of the last row.
-- name: ListTrustedIssuers :many
SELECT i.*
FROM oauth_trusted_issuer AS i
WHERE (i.created_at, i.id) > (@after_created_at::timestamptz, @after_id::trusted_issuer_id)
ORDER BY i.created_at, i.id
LIMIT @page_size::integer;

-- UpdateTrustedIssuer replaces all that is known of an issuer, apart from its identifier. What is left out permits nothing. Zero rows: there
-- is no such issuer.
-- name: UpdateTrustedIssuer :one
UPDATE oauth_trusted_issuer AS i
SET name = sqlc.narg('name')::text, jwks = sqlc.narg('jwks')::jsonb, jwks_uri = sqlc.narg('jwks_uri')::text,
    audiences = as_set(@audiences::text[]), signing_algorithms = as_set(@signing_algorithms::text[]),
    client_ids = as_set(@client_ids::text[]), any_client = @any_client::boolean,
    max_lifetime = sqlc.narg('max_lifetime')::interval, updated_at = now()
WHERE i.id = @id::trusted_issuer_id
RETURNING i.*;

-- DisableTrustedIssuer refuses the assertions of an issuer until EnableTrustedIssuer. What was issued for them before is not ended.
--   - ended: the issuer is disabled
--   - unknown: there is no such issuer
-- name: DisableTrustedIssuer :one
WITH disabled AS (
    UPDATE oauth_trusted_issuer AS i
    SET disabled = true, updated_at = now()
    WHERE i.id = @id::trusted_issuer_id
    RETURNING i.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM disabled) THEN 'ended' ELSE 'unknown' END)::outcome, 'DisableTrustedIssuer',
        of_item => @id::trusted_issuer_id
    )::outcome AS outcome;

-- EnableTrustedIssuer accepts the assertions of an issuer that was disabled.
--   - enabled: the issuer is enabled
--   - unknown: there is no such issuer
-- name: EnableTrustedIssuer :one
WITH enabled AS (
    UPDATE oauth_trusted_issuer AS i
    SET disabled = false, updated_at = now()
    WHERE i.id = @id::trusted_issuer_id
    RETURNING i.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM enabled) THEN 'enabled' ELSE 'unknown' END)::outcome, 'EnableTrustedIssuer',
        of_item => @id::trusted_issuer_id
    )::outcome AS outcome;

-- DeleteTrustedIssuer deletes an issuer. Its assertions are refused; what was issued for them before is not ended.
--   - deleted: the issuer is deleted
--   - unknown: there is no such issuer
-- name: DeleteTrustedIssuer :one
WITH deleted AS (
    DELETE FROM oauth_trusted_issuer AS i
    WHERE i.id = @id::trusted_issuer_id
    RETURNING i.id
)
SELECT noted(
        (CASE WHEN EXISTS (SELECT FROM deleted) THEN 'deleted' ELSE settled('unknown') END)::outcome, 'DeleteTrustedIssuer',
        of_item => @id::trusted_issuer_id
    )::outcome AS outcome;

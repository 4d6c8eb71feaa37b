-- CreateSigningKey stores a key pair. private_key is ciphertext: the caller encrypts it first. A key with a lifetime is published until
-- that has passed; a key without one, or with store.Never, is published until it is retired.
-- name: CreateSigningKey :one
INSERT INTO jwks (id, public_key, private_key, alg, crv, expires_at)
VALUES (
    @id::jwk_id, @public_key::text, @private_key::text, sqlc.narg('alg')::text, sqlc.narg('crv')::text,
    CASE WHEN sqlc.narg('lifetime')::interval IS NOT NULL THEN expiry(now(), sqlc.narg('lifetime')::interval, NULL, 'Lifetime') END
)
RETURNING *;

-- GetSigningKey returns one key, expired or not. Zero rows: there is no such key.
-- name: GetSigningKey :one
SELECT k.*
FROM jwks AS k
WHERE k.id = @id::jwk_id;

-- ListSigningKeys lists the keys to publish (RFC 7517, section 5), newest first: all that have not expired.
-- name: ListSigningKeys :many
SELECT k.*
FROM jwks AS k
WHERE k.expires_at IS NULL OR k.expires_at > now()
ORDER BY k.created_at DESC, k.id DESC;

-- FindCurrentSigningKey returns the key to sign with. It chooses among the keys of one algorithm that have no expiry: the newest that has
-- been published for at least lead_time, so that every verifier has had time to fetch it, or else the oldest. Zero rows: there is no such
-- key; create one.
-- name: FindCurrentSigningKey :one
SELECT k.*
FROM jwks AS k
WHERE k.alg = @alg::text AND k.expires_at IS NULL
ORDER BY (k.created_at <= now() - @lead_time::interval) DESC,
    CASE WHEN k.created_at <= now() - @lead_time::interval THEN k.created_at END DESC,
    k.created_at, k.id
LIMIT 1;

-- RetireSigningKey stops a key from signing and publishes it for one more lifetime, which should be as long as the last token that it
-- signed lives. An expiry that is already set is never postponed. Zero rows: there is no such key.
-- name: RetireSigningKey :one
UPDATE jwks AS k
SET expires_at = least(k.expires_at, deadline(@lifetime::interval, NULL, 'Lifetime')), updated_at = now()
WHERE k.id = @id::jwk_id
RETURNING k.*;

-- DeleteSigningKey deletes a key at once, for instance one that has leaked. Zero rows: there is no such key.
-- name: DeleteSigningKey :one
DELETE FROM jwks AS k
WHERE k.id = @id::jwk_id
RETURNING k.id::jwk_id AS id;

-- DeleteExpiredSigningKeys deletes up to batch_size keys that are no longer published, and returns how many.
-- name: DeleteExpiredSigningKeys :execrows
WITH due AS MATERIALIZED (
    SELECT k.id
    FROM jwks AS k
    WHERE k.expires_at <= now()
    ORDER BY k.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
)
DELETE FROM jwks AS k
WHERE k.id = ANY (ARRAY(SELECT d.id::text FROM due AS d));

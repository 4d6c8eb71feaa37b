-- CreateSigningKey stores a key pair. The private key is ciphertext: encrypt it before. With a lifetime the key is no
-- longer published after it, otherwise it has none yet.
-- name: CreateSigningKey :one
INSERT INTO jwks (id, public_key, private_key, alg, crv, expires_at)
VALUES (
    @id::jwk_id, @public_key::text, @private_key::text, sqlc.narg('alg')::text, sqlc.narg('crv')::text,
    now() + sqlc.narg('lifetime')::interval
)
RETURNING *;

-- GetSigningKey returns one key, expired or not; zero rows: no such key.
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

-- FindCurrentSigningKey returns the key to sign with: the newest of an algorithm that has been published for lead_time, so
-- that every verifier has had the time to fetch it, and does not expire; the oldest usable one while none has been published for
-- so long. Zero rows: there is none, make one.
-- name: FindCurrentSigningKey :one
SELECT k.*
FROM jwks AS k
WHERE k.alg = @alg::text AND k.expires_at IS NULL
ORDER BY (k.created_at <= now() - @lead_time::interval) DESC,
    CASE WHEN k.created_at <= now() - @lead_time::interval THEN k.created_at END DESC,
    k.created_at, k.id
LIMIT 1;

-- RetireSigningKey lets a key sign no more and be published for one more lifetime: as long as the last token that it
-- signed lives. An expiry that is already set is never postponed. Zero rows: no such key.
-- name: RetireSigningKey :one
UPDATE jwks AS k
SET expires_at = least(k.expires_at, expiry(now(), @lifetime::interval, NULL, 'Lifetime')), updated_at = now()
WHERE k.id = @id::jwk_id
RETURNING k.*;

-- DeleteSigningKey removes a key at once: one that has leaked, say. Zero rows: no such key.
-- name: DeleteSigningKey :one
DELETE FROM jwks AS k
WHERE k.id = @id::jwk_id
RETURNING k.id::jwk_id AS id;

-- DeleteExpiredSigningKeys collects at most batch_size keys that are no longer published, and says how many.
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

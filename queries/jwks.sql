-- CreateSigningKey stores a key pair. private_key is ciphertext: the caller encrypts it first. For a key that a key management service keeps,
-- private_key is empty and private_key_uri refers to it. A key with a lifetime is published until that has passed; a key without one, or
-- with store.Never, is published until it is retired.
-- name: CreateSigningKey :one
INSERT INTO jwks (id, public_key, private_key, private_key_uri, alg, crv, expires_at)
VALUES (
    @id::jwk_id, @public_key::text, @private_key::text, sqlc.narg('private_key_uri')::text, sqlc.narg('alg')::text, sqlc.narg('crv')::text,
    CASE WHEN sqlc.narg('lifetime')::interval IS NOT NULL THEN expiry(now(), sqlc.narg('lifetime')::interval, NULL, 'Lifetime') END
)
RETURNING *;

-- RotateSigningKeyIfDue stores a key pair, as CreateSigningKey does, if the newest key of its algorithm is older than max_age, or if there is
-- none. Of any number of servers that call it at the same moment, one stores its key, and the others are told which one that is. A new key is
-- published at once and signs after the lead_time of FindCurrentSigningKey. Keys that have an expiry don't count.
--   - rotated: the key is stored
--   - retried: the same call, with the same id, had stored it before
--   - fresh: the newest key is not due yet; id says which it is
--   - taken: the id belongs to another key; call again with a new one
-- name: RotateSigningKeyIfDue :one
WITH newest AS MATERIALIZED (
    SELECT n.id, n.created_at
    FROM newest_signing_key(@alg::text, @max_age::interval) AS n (id, created_at)
), rotated AS (
    INSERT INTO jwks (id, public_key, private_key, private_key_uri, alg, crv)
    SELECT @id::jwk_id, @public_key::text, @private_key::text, sqlc.narg('private_key_uri')::text, @alg::text, sqlc.narg('crv')::text
    FROM newest AS n
    WHERE n.id IS NULL
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
SELECT (
        CASE
            WHEN n.id = @id::jwk_id THEN settled('retried')
            WHEN n.id IS NOT NULL THEN 'fresh'
            WHEN r.id IS NULL THEN 'taken'
            ELSE 'rotated'
        END
    )::outcome AS outcome,
    coalesce(n.id, @id::jwk_id)::jwk_id AS id, coalesce(n.created_at, now())::timestamptz AS created_at
FROM newest AS n
LEFT JOIN rotated AS r ON true;

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
ORDER BY CASE WHEN k.created_at <= now() - @lead_time::interval THEN k.created_at END DESC NULLS LAST, k.created_at, k.id
LIMIT 1;

-- RetireSigningKey stops a key from signing and publishes it for one more lifetime, which should be as long as the last token that it
-- signed lives. An expiry that is already set is never postponed. Zero rows: there is no such key.
-- name: RetireSigningKey :one
UPDATE jwks AS k
SET expires_at = least(k.expires_at, deadline(@lifetime::interval, NULL, 'Lifetime')), updated_at = now()
WHERE k.id = @id::jwk_id
RETURNING k.*;

-- RetireReplacedSigningKeys retires, as RetireSigningKey does, the keys of an algorithm that a newer one has replaced: one that has been
-- published for at least lead_time, so that FindCurrentSigningKey chooses it. lifetime should be as long as the last token that they signed
-- lives, and as long as a server may still sign with a key that it has chosen before. It returns the keys that it has retired.
-- name: RetireReplacedSigningKeys :many
WITH published AS MATERIALIZED (
    SELECT k.id, k.created_at
    FROM jwks AS k
    WHERE k.alg = @alg::text AND k.expires_at IS NULL AND k.created_at <= now() - @lead_time::interval
    ORDER BY k.created_at, k.id
    FOR NO KEY UPDATE
), replaced AS (
    SELECT p.id
    FROM published AS p
    ORDER BY p.created_at DESC, p.id DESC
    OFFSET 1
)
UPDATE jwks AS k
SET expires_at = deadline(@lifetime::interval, NULL, 'Lifetime'), updated_at = now()
FROM replaced AS r
WHERE k.id = r.id
RETURNING k.*;

-- DeleteSigningKey deletes a key at once, for instance one that has leaked. Zero rows: there is no such key.
-- name: DeleteSigningKey :one
DELETE FROM jwks AS k
WHERE k.id = @id::jwk_id
RETURNING k.id::jwk_id AS id;

-- DeleteExpiredSigningKeys deletes keys that are no longer published: of those that expired at after_expires_at or later, the batch_size
-- first. Begin with the zero time, and go on with last_expires_at until fewer are deleted. It skips rows that are locked.
-- name: DeleteExpiredSigningKeys :one
WITH due AS MATERIALIZED (
    SELECT k.ctid::tid AS ctid, k.expires_at
    FROM jwks AS k
    WHERE k.expires_at >= @after_expires_at::timestamptz AND k.expires_at <= now()
    ORDER BY k.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM jwks AS k
    WHERE k.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING k.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

-- RememberProof records that a DPoP proof was presented (RFC 9449, section 11.1). It is for resource servers; the calls of the token endpoint
-- do this themselves.
-- id is the digest of the proof's key and jti (token.ProofID).
-- expires_at is when the proof becomes too old to be accepted, clock skew included. A time that is past is an error.
--   - remembered: the proof had not been presented before
--   - proof_replayed: the proof had been presented before (invalid_dpop_proof)
-- Run this call on the pool: a transaction that is rolled back would forget the proof.
-- name: RememberProof :one
SELECT (CASE WHEN proof_is_fresh(@id::token_digest, @expires_at::timestamptz) THEN 'remembered' ELSE 'proof_replayed' END)::outcome AS outcome
FROM (VALUES (true)) AS one (n);

-- DeleteExpiredProofs deletes proofs that are too old to be accepted: of those that expired at after_expires_at or later, the batch_size first.
-- Begin with the zero time, and go on with last_expires_at until fewer are deleted. It skips rows that are locked.
-- name: DeleteExpiredProofs :one
WITH due AS MATERIALIZED (
    SELECT p.ctid::tid AS ctid, p.expires_at
    FROM oauth_proof AS p
    WHERE p.expires_at >= @after_expires_at::timestamptz AND p.expires_at <= now()
    ORDER BY p.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_proof AS p
    WHERE p.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING p.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

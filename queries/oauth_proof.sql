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

-- DeleteExpiredProofs deletes up to batch_size proofs that are too old to be accepted, and returns how many.
-- name: DeleteExpiredProofs :execrows
WITH due AS MATERIALIZED (
    SELECT p.id
    FROM oauth_proof AS p
    WHERE p.expires_at <= now()
    ORDER BY p.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
)
DELETE FROM oauth_proof AS p
WHERE p.id = ANY (ARRAY(SELECT d.id::text FROM due AS d));

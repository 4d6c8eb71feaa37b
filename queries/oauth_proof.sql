-- RememberProof notes that a DPoP proof has been presented (RFC 9449, section 11.1), for resource servers; the calls of the token endpoint do
-- so themselves. The id is the digest of the proof's key and jti (token.ProofID). expires_at is from when on the proof is refused by its
-- age, clock skew included; one that is past is an error.
--   - remembered: it had not been presented before
--   - proof_replayed: it had (invalid_dpop_proof)
-- name: RememberProof :one
SELECT (CASE WHEN proof_is_fresh(@id::token_digest, @expires_at::timestamptz) THEN 'remembered' ELSE 'proof_replayed' END)::outcome AS outcome
FROM (VALUES (true)) AS one (n);

-- DeleteExpiredProofs collects at most batch_size proofs that are refused by their age, and says how many.
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

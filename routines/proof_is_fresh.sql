CREATE OR REPLACE FUNCTION proof_is_fresh(proof text, until timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF proof IS NULL THEN
        RETURN true;
    END IF;
    IF until IS NULL OR until <= now() THEN
        PERFORM refuse_parameter('ProofExpiresAt', 'is missing or past');
    END IF;
    INSERT INTO oauth_proof (id, expires_at) VALUES (proof, until) ON CONFLICT (id) DO NOTHING;
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION proof_is_fresh(text, timestamptz) IS 'Records that a DPoP proof was presented (RFC 9449, section 11.1), and returns whether it is the first time. True if no proof was presented.';

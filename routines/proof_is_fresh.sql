CREATE OR REPLACE FUNCTION proof_is_fresh(proof text, until timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF proof IS NULL THEN
        RETURN true;
    END IF;
    IF until IS NULL OR until <= now() THEN
        RAISE EXCEPTION 'ProofExpiresAt is missing or past' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO oauth_proof (id, expires_at) VALUES (proof, until) ON CONFLICT (id) DO NOTHING;
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION proof_is_fresh(text, timestamptz) IS 'Remembers a DPoP proof (RFC 9449, section 11.1) and says whether it is presented for the first time. No proof is fresh.';

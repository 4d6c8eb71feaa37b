CREATE OR REPLACE FUNCTION newest_signing_key(of_alg text, max_age interval, OUT id jwk_id, OUT created_at timestamptz)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF coalesce(of_alg, '') = '' THEN
        PERFORM refuse_parameter('Alg', 'is missing');
    ELSIF max_age IS NULL OR max_age <= interval '0' THEN
        PERFORM refuse_parameter('MaxAge', 'is missing');
    END IF;
    FOR attempt IN 1..2 LOOP
        SELECT k.id, k.created_at INTO id, created_at
        FROM jwks AS k
        WHERE k.alg = of_alg AND k.expires_at IS NULL AND now() - k.created_at < max_age
        ORDER BY k.created_at DESC, k.id DESC
        LIMIT 1;
        EXIT WHEN id IS NOT NULL;
        -- One is due. There may be no row to lock, so the rotations of an algorithm take turns by an advisory lock.
        PERFORM pg_advisory_xact_lock(hashtextextended(of_alg, 'jwks'::regclass::oid::bigint));
    END LOOP;
END
$$;

COMMENT ON FUNCTION newest_signing_key(text, interval) IS 'Part of RotateSigningKeyIfDue: the newest key of an algorithm that has no expiry and is younger than max_age. If there is none, nobody else adds one until the transaction ends. VOLATILE, so that it sees the key of whoever had the turn before.';

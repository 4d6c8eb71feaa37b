CREATE OR REPLACE FUNCTION sum_of_counters(counters jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE -- inlined, it would evaluate its argument twice
SET search_path FROM CURRENT
AS $$
BEGIN
    -- counters only rise, so equal sums mean equal counters
    RETURN coalesce((counters ->> '')::bigint, 0) + coalesce((counters ->> key)::bigint, 0);
END
$$;

COMMENT ON FUNCTION sum_of_counters(jsonb, text) IS 'How often the grants of a user to a client were ended in all tenants, and in one. For pair_epoch.';

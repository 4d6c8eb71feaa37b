CREATE OR REPLACE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- counters only rise, so equal sums mean equal counters
RETURN CASE WHEN ended_grants = '{}' THEN 0 ELSE count_pair_endings(ended_grants, client_id, reference_id) END;

COMMENT ON FUNCTION pair_epoch(jsonb, text, text) IS 'How often the grants of a user to a client were ended, in all tenants or in this one.';

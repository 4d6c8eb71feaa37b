CREATE OR REPLACE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- counters only rise, so equal sums mean equal counters
RETURN CASE WHEN ended_grants = '{}' THEN 0 ELSE
    coalesce((ended_grants -> client_key(client_id) ->> '')::bigint, 0)
    + coalesce((ended_grants -> client_key(client_id) ->> tenant_key(reference_id))::bigint, 0)
END;

COMMENT ON FUNCTION pair_epoch(jsonb, text, text) IS 'How often the grants of a user to a client were ended, in all tenants or in this one.';

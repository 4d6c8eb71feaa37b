CREATE OR REPLACE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
-- A large map is stored apart from its row, and each operator would fetch it again. The size of an empty one says so without that.
RETURN CASE WHEN pg_column_size(ended_grants) <= 8 THEN 0 ELSE
    sum_of_counters(ended_grants -> client_key(client_id), tenant_key(reference_id))
END;

COMMENT ON FUNCTION pair_epoch(jsonb, text, text) IS 'How often the grants of a user to a client were ended, in all tenants or in this one.';

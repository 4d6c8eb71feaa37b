CREATE OR REPLACE FUNCTION pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
-- A large map is stored apart from its row. The size of an empty one says that it is empty without a look at it.
RETURN CASE WHEN pg_column_size(ended_grants) <= 8 THEN 0 ELSE times_ended(ended_grants, client_id, reference_id) END;

COMMENT ON FUNCTION pair_epoch(jsonb, text, text) IS 'How often the grants of a user to a client were ended, in all tenants or in this one.';

CREATE OR REPLACE FUNCTION times_ended(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
    counters jsonb;
BEGIN
    counters := ended_grants -> client_key(client_id); -- once, as a large map is fetched each time
    -- counters only rise, so equal sums mean equal counters
    RETURN coalesce((counters ->> '')::bigint, 0) + coalesce((counters ->> tenant_key(reference_id))::bigint, 0);
END
$$;

COMMENT ON FUNCTION times_ended(jsonb, text, text) IS 'Part of pair_epoch, for a user who has ended grants: how often those to a client were ended in all tenants, and in one. Not inlined, so that others don''t pay for it.';

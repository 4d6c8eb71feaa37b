CREATE OR REPLACE FUNCTION count_pair_endings(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN coalesce((ended_grants -> client_key(client_id) ->> '')::bigint, 0)
        + coalesce((ended_grants -> client_key(client_id) ->> tenant_key(reference_id))::bigint, 0);
END
$$;

COMMENT ON FUNCTION count_pair_endings(jsonb, text, text) IS 'Part of pair_epoch: the sum of the counters in user.ended_grants that are of a client and tenant. It is not inlined, because most users have ended no grants, and each operator of an expression costs whether or not it is reached.';

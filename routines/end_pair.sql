CREATE OR REPLACE FUNCTION end_pair(ended_grants jsonb, client_id text, key text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN ended_grants -> client_key(client_id) ? key
            OR (SELECT count(*) FROM jsonb_each(ended_grants) AS c (client, keys), jsonb_object_keys(c.keys)) < 256
        THEN ended_grants || jsonb_build_object(
            client_key(client_id),
            coalesce(ended_grants -> client_key(client_id), '{}')
            || jsonb_build_object(key, coalesce((ended_grants -> client_key(client_id) ->> key)::bigint, 0) + 1)
        )
        ELSE '{}'
    END;
END
$$;

COMMENT ON FUNCTION end_pair(jsonb, text, text) IS 'ended_grants with one counter raised. If that would add a 257th counter, the answer is an empty map, and the caller has to raise grants_epoch: that ends more, never less.';

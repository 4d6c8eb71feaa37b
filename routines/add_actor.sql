CREATE OR REPLACE FUNCTION add_actor(act jsonb, actor text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN actor IS NULL THEN act
        WHEN act IS NULL THEN jsonb_build_object('sub', actor)
        ELSE jsonb_build_object('sub', actor, 'act', act)
    END;
END
$$;

COMMENT ON FUNCTION add_actor(jsonb, text) IS 'A chain of actors (RFC 8693, section 4.1) with a new one outermost. Without an actor, the chain as it is.';

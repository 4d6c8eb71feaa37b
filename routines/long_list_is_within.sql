CREATE OR REPLACE FUNCTION long_list_is_within(part text[], whole text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN jsonb_object(whole, whole) ?& part;
END
$$;

COMMENT ON FUNCTION long_list_is_within(text[], text[]) IS 'Part of is_within, for lists that are searched as the keys of an object. Not inlined, so that calls with short lists don''t pay for it.';

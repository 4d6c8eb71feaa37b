CREATE OR REPLACE FUNCTION kept_within(list text[], allowed text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF list IS NULL OR is_within(list, allowed) THEN
        RETURN list;
    END IF;
    RETURN beyond(list, beyond(list, allowed));
END
$$;

COMMENT ON FUNCTION kept_within(text[], text[]) IS 'A list without the values that are not allowed. NULL if the list is.';

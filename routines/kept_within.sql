CREATE OR REPLACE FUNCTION kept_within(list text[], allowed text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN list IS NULL OR is_within(list, allowed) THEN list ELSE beyond(list, beyond(list, allowed)) END;

COMMENT ON FUNCTION kept_within(text[], text[]) IS 'A list without the values that are not allowed. NULL if the list is.';

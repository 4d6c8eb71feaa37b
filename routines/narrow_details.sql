CREATE OR REPLACE FUNCTION narrow_details(asked jsonb, held jsonb, types text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN details_of_types(coalesce(details_as_set(asked), held), types);
END
$$;

COMMENT ON FUNCTION narrow_details(jsonb, jsonb, text[]) IS 'The authorization_details that are asked for or, if none are, those held, as far as they are of the types; all if the types are NULL.';

CREATE OR REPLACE FUNCTION narrow_list(asked text[], held text[], allowed text[]) RETURNS text_list
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN asked_or_granted(asked, kept_within(held, allowed));
END
$$;

COMMENT ON FUNCTION narrow_list(text[], text[], text[]) IS 'The scopes or resources that are asked for or, if none are, those held that are still allowed.';

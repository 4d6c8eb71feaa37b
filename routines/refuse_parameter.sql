CREATE OR REPLACE FUNCTION refuse_parameter(name text, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RAISE EXCEPTION '% %', name, reason USING ERRCODE = 'invalid_parameter_value';
END
$$;

COMMENT ON FUNCTION refuse_parameter(text, text) IS 'Raises invalid_parameter_value (22023) for a parameter that a caller has to pass, by its name.';

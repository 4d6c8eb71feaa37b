CREATE OR REPLACE FUNCTION refuse_parameter(name text, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RAISE EXCEPTION '% %', name, reason USING ERRCODE = 'invalid_parameter_value';
END
$$;

COMMENT ON FUNCTION refuse_parameter(text, text) IS 'Raises an error that names a parameter which the caller has to give.';

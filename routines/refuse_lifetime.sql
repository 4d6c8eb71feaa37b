CREATE OR REPLACE FUNCTION refuse_lifetime(name text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    RAISE EXCEPTION '% is missing or under a second', name USING ERRCODE = 'invalid_parameter_value';
END
$$;

COMMENT ON FUNCTION refuse_lifetime(text) IS 'Part of expiry.';

CREATE OR REPLACE FUNCTION expiry(since timestamptz, given interval, at_most interval, name text) RETURNS timestamptz
LANGUAGE sql VOLATILE
AS $$
    -- store.Never is the longest duration that Go has
    SELECT CASE
        WHEN given >= interval '1 second' THEN since + least(nullif(given, interval '9223372036854775 microseconds'), at_most)
        ELSE refuse_parameter(name, 'is missing or under a second')::timestamptz
    END
$$;

COMMENT ON FUNCTION expiry(timestamptz, interval, interval, text) IS 'When something expires that lives for a lifetime from an instant: NULL, which is never, for store.Never. A lifetime under a second, or none, is an error that names the parameter.';

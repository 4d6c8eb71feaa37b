CREATE OR REPLACE FUNCTION expiry(since timestamptz, given interval, at_most interval, name text) RETURNS timestamptz
LANGUAGE sql VOLATILE
-- 9223372036854775 microseconds is store.Never, the longest time.Duration
RETURN CASE
    WHEN given >= interval '1 second'
    THEN since + least(nullif(given, interval '9223372036854775 microseconds'), nullif(at_most, interval '9223372036854775 microseconds'))
    ELSE refuse_parameter(name, 'is missing or under a second')::timestamptz
END;

COMMENT ON FUNCTION expiry(timestamptz, interval, interval, text) IS 'The instant at which a lifetime ends, counted from since and capped by at_most. NULL means never, which is what store.Never gives. A lifetime that is missing or under a second is an error that names the parameter.';

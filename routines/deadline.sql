CREATE OR REPLACE FUNCTION deadline(given interval, at_most interval, name text) RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN coalesce(expiry(now(), given, at_most, name), refuse_parameter(name, 'is without end')::timestamptz);

COMMENT ON FUNCTION deadline(interval, interval, text) IS 'Returns when something expires that has to: as expiry from now on, but store.Never is an error.';

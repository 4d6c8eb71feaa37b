CREATE OR REPLACE FUNCTION assertion_ends_at(expires_at bigint, clock_skew interval) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
-- to_timestamp fails on a time out of range, and the planner evaluates it for constants even if no row is written
RETURN to_timestamp(greatest(least(expires_at, 253402300799), 0)) + greatest(clock_skew, interval '0');

COMMENT ON FUNCTION assertion_ends_at(bigint, interval) IS 'Until when an assertion has to be remembered: its exp, in seconds since 1970, and clock_skew.';

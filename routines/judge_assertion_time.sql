CREATE OR REPLACE FUNCTION judge_assertion_time(expires_at bigint, clock_skew interval, max_lifetime interval, at_most interval) RETURNS outcome
LANGUAGE sql VOLATILE
RETURN CASE
    WHEN expires_at > extract(epoch FROM expiry(now(), max_lifetime, least(at_most, interval '1 year'), 'MaxLifetime')) THEN 'too_far'
    WHEN (expires_at > extract(epoch FROM now() - clock_skew)) IS NOT TRUE THEN 'expired'
END::outcome;

COMMENT ON FUNCTION judge_assertion_time(bigint, interval, interval, interval) IS 'What is amiss with the exp of an assertion, in seconds since 1970 (RFC 7523, section 3, item 4): too_far or expired; NULL if nothing is. exp may be no further from now than max_lifetime and at_most, and never further than a year.';

CREATE OR REPLACE FUNCTION family_expiry(since timestamptz, given interval, at_most interval, has_refresh_token boolean) RETURNS timestamptz
LANGUAGE sql VOLATILE
-- 9223372036854775 microseconds is store.Never
RETURN CASE
    WHEN has_refresh_token OR given <> interval '0' THEN expiry(since, given, at_most, 'FamilyLifetime')
    ELSE since + nullif(at_most, interval '9223372036854775 microseconds')
END;

COMMENT ON FUNCTION family_expiry(timestamptz, interval, interval, boolean) IS 'Returns when the last token of a family expires, as expiry does. Without a refresh token the lifetime may be left out, and what the client allows counts alone.';

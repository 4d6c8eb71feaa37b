CREATE OR REPLACE FUNCTION slow_down(polled authorization_id) RETURNS interval
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    slower interval;
BEGIN
    -- polled_at stays, else a client that polls a little early would never poll in time
    UPDATE oauth_polled_request AS p
    SET poll_interval = greatest(p.poll_interval, least(p.poll_interval + interval '5 seconds', interval '1 minute', p.expires_at - now())),
        updated_at = now()
    WHERE p.id = polled
    RETURNING p.poll_interval INTO slower;
    RETURN slower;
END
$$;

COMMENT ON FUNCTION slow_down(authorization_id) IS 'Part of PollDeviceCode: adds five seconds to the interval of a request that was polled too early (RFC 8628, section 3.5), but makes it no longer than a minute or than what is left of the code''s life. Returns the interval. VOLATILE, because the statement may have waited for the row.';

CREATE OR REPLACE FUNCTION keep_finite() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.expires_at := CASE
        WHEN NEW.expires_at < now() THEN now()
        WHEN TG_TABLE_NAME = 'session' THEN '9999-12-31 00:00:00+00' -- its column is NOT NULL
    END;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_finite() IS 'Trigger: replaces an infinite expiry, because Go has no infinite time and could not read the row. infinity becomes NULL, which means never, and -infinity becomes now(). A session gets the last day of the year 9999 for infinity.';

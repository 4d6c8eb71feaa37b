CREATE OR REPLACE FUNCTION keep_finite() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.expires_at := CASE
        WHEN NEW.expires_at < now() THEN now()
        WHEN TG_TABLE_NAME = 'session' THEN '9999-12-31 00:00:00+00' -- where the column is NOT NULL
    END;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_finite() IS 'Whoever writes infinity as an expiry means never, which is NULL, or minus infinity, which is now: Go has no infinite time, and could not read the row.';

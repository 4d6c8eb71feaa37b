CREATE OR REPLACE FUNCTION are_details_within(part jsonb, whole jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF part IS NULL THEN
        RETURN true;
    END IF;
    IF jsonb_typeof(part) <> 'array' THEN
        RETURN false;
    END IF;
    RETURN NOT EXISTS (
        SELECT FROM jsonb_array_elements(part) AS p (detail)
        WHERE p.detail NOT IN (SELECT w.detail FROM jsonb_array_elements(coalesce(whole, '[]')) AS w (detail))
    );
END
$$;

COMMENT ON FUNCTION are_details_within(jsonb, jsonb) IS 'Whether all elements of authorization_details (RFC 9396) are among those of other ones, whole and equal: an element that leaves a member out may grant more. True if there are none. Never NULL.';

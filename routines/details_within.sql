CREATE OR REPLACE FUNCTION details_within(part jsonb, whole jsonb, compared_types text[]) RETURNS boolean
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
    -- not by @>, which takes an element that leaves a limit out for a narrower one
    RETURN NOT EXISTS (
        SELECT FROM jsonb_array_elements(part) AS p (element)
        WHERE p.element NOT IN (SELECT w.element FROM jsonb_array_elements(whole) AS w (element))
            AND NOT coalesce(
                p.element ->> 'type' = ANY (compared_types)
                AND p.element -> 'type' IN (SELECT w.element -> 'type' FROM jsonb_array_elements(whole) AS w (element)),
                false
            )
    );
END
$$;

COMMENT ON FUNCTION details_within(jsonb, jsonb, text[]) IS 'Whether all elements of authorization_details are among those of another one (RFC 9396, section 6.1). Elements are compared whole. An element of one of compared_types, which the caller has compared by the rules of that type, only needs one of its type there. Never NULL.';

CREATE OR REPLACE FUNCTION user_refusal(u "user") RETURNS outcome
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN u.id IS NULL OR u.deleted_at IS NOT NULL THEN 'unknown'::outcome
    WHEN u.suspended_at IS NOT NULL THEN 'suspended'::outcome
END;

COMMENT ON FUNCTION user_refusal("user") IS 'Why nothing may be done for a user: unknown or suspended. NULL if something may.';

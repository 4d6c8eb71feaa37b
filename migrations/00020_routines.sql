-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION count_attempt(
    of_purpose text, of_subject text, most integer, attempt_window interval, is_right boolean,
    OUT is_allowed boolean, OUT attempts_left bigint, OUT resets_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    present attempt_count;
BEGIN
    IF most IS NULL OR most < 1 THEN
        PERFORM refuse_parameter('MaxAttempts', 'is missing or under 1');
    END IF;
    INSERT INTO attempt_count AS n (purpose, subject, attempts, resets_at)
    VALUES (of_purpose, of_subject, 1, deadline(attempt_window, NULL, 'AttemptWindow'))
    ON CONFLICT (purpose, subject) DO UPDATE
    SET attempts = CASE WHEN n.resets_at > now() THEN n.attempts + 1 ELSE 1 END,
        resets_at = CASE WHEN n.resets_at > now() THEN n.resets_at ELSE EXCLUDED.resets_at END,
        updated_at = now()
    RETURNING n.* INTO present;
    is_allowed := present.attempts <= most;
    attempts_left := greatest(most - present.attempts, 0);
    resets_at := present.resets_at;
    IF is_right AND is_allowed THEN
        DELETE FROM attempt_count AS n WHERE n.id = present.id;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION count_attempt(text, text, integer, interval, boolean) IS 'Counts an attempt before it is made, and returns whether it is allowed, how many may follow in the window, and when the window ends. Of any number at once no more than most are allowed. A right attempt that is allowed makes the earlier ones forgotten.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION replace_recovery_codes(owner text, digests text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    codes text[] := as_set(digests);
BEGIN
    IF codes = '{}' THEN
        PERFORM refuse_parameter('Digests', 'is missing');
    END IF;
    DELETE FROM recovery_code AS c WHERE c.user_id = owner;
    INSERT INTO recovery_code (user_id, digest) SELECT owner, d.digest FROM unnest(codes) AS d (digest);
    RETURN cardinality(codes);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION replace_recovery_codes(text, text[]) IS 'Part of ReplaceRecoveryCodes, which has locked the user: deletes the user''s codes, those included that another call has written meanwhile, and writes new ones. Returns how many.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION user_refusal(u "user") RETURNS outcome
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN u.id IS NULL OR u.deleted_at IS NOT NULL THEN 'unknown'::outcome
        WHEN u.suspended_at IS NOT NULL THEN 'suspended'::outcome
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION user_refusal("user") IS 'Why nothing may be done for a user: unknown or suspended. NULL if something may.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION user_refusal;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION replace_recovery_codes;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION count_attempt;
-- +goose StatementEnd

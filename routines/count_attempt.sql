CREATE OR REPLACE FUNCTION count_attempt(
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
        resets_at = CASE WHEN n.resets_at > now() THEN n.resets_at ELSE excluded.resets_at END,
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

COMMENT ON FUNCTION count_attempt(text, text, integer, interval, boolean) IS 'Counts an attempt before it is made, and returns whether it is allowed, how many may follow in the window, and when the window ends. Of any number at once no more than most are allowed. A right attempt that is allowed makes the earlier ones forgotten.';

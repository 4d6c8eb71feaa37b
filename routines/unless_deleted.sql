CREATE OR REPLACE FUNCTION unless_deleted(of_user user_id, verdict outcome) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF EXISTS (SELECT FROM "user" AS u WHERE u.id = of_user AND u.deleted_at IS NULL) THEN
        RETURN settled(verdict);
    END IF;
    RETURN 'unknown';
END
$$;

COMMENT ON FUNCTION unless_deleted(user_id, outcome) IS 'Part of SuspendUser and ReinstateUser: the verdict of a call that has changed nothing, or unknown if there is no such user. VOLATILE, so that it sees a deletion that the statement waited for.';

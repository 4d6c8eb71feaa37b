CREATE OR REPLACE FUNCTION settled_of_user(owner text, verdict outcome) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF EXISTS (SELECT FROM "user" AS u WHERE u.id = owner AND u.deleted_at IS NULL) THEN
        RETURN settled(verdict);
    END IF;
    RETURN 'unknown';
END
$$;

COMMENT ON FUNCTION settled_of_user(text, outcome) IS 'Part of SuspendUser and ReinstateUser: the verdict if there is nothing left to do, or unknown if there is no such user. VOLATILE, so that it sees a deletion that was committed while the statement waited for the user.';

CREATE OR REPLACE FUNCTION stamp_session() RETURNS trigger
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
DECLARE
    u "user";
BEGIN
    -- STABLE: read as the writing statement sees the user. A fresh read would let a sign-in that waited for an ending outlive it.
    SELECT x.* INTO u FROM "user" AS x WHERE x.id = NEW.user_id;
    NEW.user_sessions_epoch := coalesce(u.sessions_epoch, 0);
    IF u.suspended_at IS NOT NULL OR u.deleted_at IS NOT NULL THEN
        NEW.ended_at := now();
        NEW.expires_at := least(NEW.expires_at, now());
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION stamp_session() IS 'Trigger: gives a session the sessions_epoch of its user, whichever server inserts it. A session of a suspended or deleted user is stored as ended.';

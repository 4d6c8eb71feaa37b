CREATE OR REPLACE FUNCTION disable_client_of_deleted_user() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- This waits for DeleteUser, or DeleteUser for this. A client that is handed over doesn't wait: DeleteUser locks the user first.
        PERFORM FROM "user" AS u WHERE u.id = NEW.user_id FOR SHARE;
    END IF;
    NEW.disabled := EXISTS (SELECT FROM "user" AS u WHERE u.id = NEW.user_id AND u.deleted_at IS NOT NULL);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION disable_client_of_deleted_user() IS 'Trigger, for a client that is not disabled: one that is stored for a deleted user is stored as disabled.';

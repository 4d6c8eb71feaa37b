CREATE OR REPLACE FUNCTION raise_epochs() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.grants_epoch := greatest(NEW.grants_epoch, OLD.grants_epoch + 1);
    NEW.sessions_epoch := greatest(NEW.sessions_epoch, OLD.sessions_epoch + 1);
    NEW.ended_grants := '{}';
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION raise_epochs() IS 'Trigger: ends all grants and sessions of a user who is suspended, reinstated or deleted, whichever server writes the row. So nothing becomes live again when a suspension is lifted.';

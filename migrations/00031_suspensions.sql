-- +goose Up

-- A suspension that another server writes has to end grants and sessions for good, as SuspendUser does.
-- +goose StatementBegin
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
-- +goose StatementEnd

COMMENT ON FUNCTION raise_epochs() IS 'Trigger: ends all grants and sessions of a user who is suspended, reinstated or deleted, whichever server writes the row. So nothing becomes live again when a suspension is lifted.';

CREATE TRIGGER raise_epochs BEFORE UPDATE OF suspended_at, deleted_at ON "user"
FOR EACH ROW
WHEN ((OLD.suspended_at IS NULL) <> (NEW.suspended_at IS NULL) OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL))
EXECUTE FUNCTION raise_epochs();

-- +goose Down

DROP TRIGGER raise_epochs ON "user";
DROP FUNCTION raise_epochs();

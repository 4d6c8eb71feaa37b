-- +goose Up

CREATE TRIGGER stamp_session BEFORE INSERT ON session
FOR EACH ROW EXECUTE FUNCTION stamp_session();

CREATE TRIGGER stamp_consent BEFORE INSERT OR UPDATE OF scopes, resource_scopes, reference_id ON oauth_consent
FOR EACH ROW EXECUTE FUNCTION stamp_consent();

CREATE TRIGGER disable_client_of_deleted_user BEFORE INSERT OR UPDATE OF user_id, disabled ON oauth_client
FOR EACH ROW WHEN (NEW.user_id IS NOT NULL AND NOT NEW.disabled) EXECUTE FUNCTION disable_client_of_deleted_user();

CREATE TRIGGER give_family BEFORE INSERT ON oauth_refresh_token
FOR EACH ROW WHEN (NEW.authorization_id IS NULL) EXECUTE FUNCTION give_family();

CREATE TRIGGER give_family BEFORE INSERT ON oauth_access_token
FOR EACH ROW WHEN (NEW.authorization_id IS NULL AND NEW.client_epoch IS NULL) EXECUTE FUNCTION give_family();

CREATE TRIGGER refuse_dead_rotation BEFORE UPDATE OF revoked ON oauth_refresh_token
FOR EACH ROW WHEN (OLD.revoked IS NULL AND NEW.revoked IS NOT NULL AND NEW.successor IS NULL) EXECUTE FUNCTION refuse_dead_rotation();

CREATE TRIGGER keep_finite BEFORE INSERT OR UPDATE OF expires_at ON session
FOR EACH ROW WHEN (NOT isfinite(NEW.expires_at)) EXECUTE FUNCTION keep_finite();

CREATE TRIGGER keep_finite BEFORE INSERT OR UPDATE OF expires_at ON oauth_refresh_token
FOR EACH ROW WHEN (NOT isfinite(NEW.expires_at)) EXECUTE FUNCTION keep_finite();

CREATE TRIGGER keep_finite BEFORE INSERT OR UPDATE OF expires_at ON oauth_access_token
FOR EACH ROW WHEN (NOT isfinite(NEW.expires_at)) EXECUTE FUNCTION keep_finite();

-- +goose Down

DROP TRIGGER keep_finite ON oauth_access_token;
DROP TRIGGER keep_finite ON oauth_refresh_token;
DROP TRIGGER keep_finite ON session;
DROP TRIGGER refuse_dead_rotation ON oauth_refresh_token;
DROP TRIGGER give_family ON oauth_access_token;
DROP TRIGGER give_family ON oauth_refresh_token;
DROP TRIGGER disable_client_of_deleted_user ON oauth_client;
DROP TRIGGER stamp_consent ON oauth_consent;
DROP TRIGGER stamp_session ON session;

-- +goose Up

ALTER TABLE oauth_client ADD COLUMN unused_since timestamptz, ADD COLUMN unused_checked_at timestamptz;

-- $id$…, pbkdf2…$…, {SSHA}… A realm export shows secrets as asterisks, and {noop} is a secret in plain text.
ALTER TABLE oauth_client ADD CONSTRAINT oauth_client_foreign_secret_hash_is_hash CHECK (
    foreign_secret_hash COLLATE "C" ~ '^([$][A-Za-z0-9_-]+[$]|[{][A-Za-z0-9._-]+[}]|(pbkdf2|argon2|bcrypt|scrypt)[A-Za-z0-9_-]*[$:])[!-)+-~]+$'
    AND foreign_secret_hash COLLATE "C" !~* '^[{](noop|plain|clear)'
) NOT VALID;
ALTER TABLE oauth_client ADD CONSTRAINT oauth_client_one_kind_of_secret CHECK (client_secret IS NULL OR foreign_secret_hash IS NULL) NOT VALID;

COMMENT ON COLUMN oauth_client.foreign_secret_hash IS 'Hash of the secret as another server made it, bcrypt for example. ReplaceForeignSecretHash puts a digest in its place, RotateClientSecret a new secret.';
COMMENT ON COLUMN oauth_client.unused_since IS 'Since when MarkUnusedClients has found nothing that the client was granted; NULL if it has found something, or has not looked.';
COMMENT ON COLUMN oauth_client.unused_checked_at IS 'When MarkUnusedClients last made sure of that.';

-- +goose Down

COMMENT ON COLUMN oauth_client.foreign_secret_hash IS 'Hash of the secret as another server made it, bcrypt for example. RotateClientSecret removes it.';
ALTER TABLE oauth_client DROP CONSTRAINT oauth_client_one_kind_of_secret;
ALTER TABLE oauth_client DROP CONSTRAINT oauth_client_foreign_secret_hash_is_hash;
ALTER TABLE oauth_client DROP COLUMN unused_checked_at, DROP COLUMN unused_since;

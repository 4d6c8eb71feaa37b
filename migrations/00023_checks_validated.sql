-- +goose Up

-- Apart from the file that adds them, so that nobody waits while the rows are read.
ALTER TABLE jwks VALIDATE CONSTRAINT jwks_private_key_is_in_one_place;
ALTER TABLE oauth_client VALIDATE CONSTRAINT oauth_client_foreign_secret_hash_is_hash;
ALTER TABLE oauth_client VALIDATE CONSTRAINT oauth_client_one_kind_of_secret;

-- +goose Down

ALTER TABLE oauth_client DROP CONSTRAINT oauth_client_one_kind_of_secret;
ALTER TABLE oauth_client DROP CONSTRAINT oauth_client_foreign_secret_hash_is_hash;
ALTER TABLE jwks DROP CONSTRAINT jwks_private_key_is_in_one_place;

ALTER TABLE jwks ADD CONSTRAINT jwks_private_key_is_in_one_place CHECK ((private_key = '') = (private_key_uri IS NOT NULL)) NOT VALID;
ALTER TABLE oauth_client ADD CONSTRAINT oauth_client_foreign_secret_hash_is_hash CHECK (
    foreign_secret_hash COLLATE "C" ~ '^([$][A-Za-z0-9_-]+[$]|[{][A-Za-z0-9._-]+[}]|(pbkdf2|argon2|bcrypt|scrypt)[A-Za-z0-9_-]*[$:])[!-)+-~]+$'
    AND foreign_secret_hash COLLATE "C" !~* '^[{](noop|plain|clear)'
) NOT VALID;
ALTER TABLE oauth_client ADD CONSTRAINT oauth_client_one_kind_of_secret CHECK (client_secret IS NULL OR foreign_secret_hash IS NULL) NOT VALID;

-- +goose Up

-- Apart from the file that adds them, so that nobody waits while the rows are read.
ALTER TABLE jwks VALIDATE CONSTRAINT jwks_private_key_is_in_one_place;
ALTER TABLE oauth_client VALIDATE CONSTRAINT oauth_client_foreign_secret_hash_is_hash;
ALTER TABLE oauth_client VALIDATE CONSTRAINT oauth_client_one_kind_of_secret;
ALTER TABLE "user" VALIDATE CONSTRAINT user_times_are_finite;
ALTER TABLE session VALIDATE CONSTRAINT session_times_are_finite;
ALTER TABLE account VALIDATE CONSTRAINT account_times_are_finite;
ALTER TABLE oauth_client VALIDATE CONSTRAINT oauth_client_times_are_finite;
ALTER TABLE oauth_consent VALIDATE CONSTRAINT oauth_consent_times_are_finite;
ALTER TABLE jwks VALIDATE CONSTRAINT jwks_times_are_finite;

-- +goose Down

ALTER TABLE jwks DROP CONSTRAINT jwks_times_are_finite;
ALTER TABLE oauth_consent DROP CONSTRAINT oauth_consent_times_are_finite;
ALTER TABLE oauth_client DROP CONSTRAINT oauth_client_times_are_finite;
ALTER TABLE account DROP CONSTRAINT account_times_are_finite;
ALTER TABLE session DROP CONSTRAINT session_times_are_finite;
ALTER TABLE "user" DROP CONSTRAINT user_times_are_finite;
ALTER TABLE oauth_client DROP CONSTRAINT oauth_client_one_kind_of_secret;
ALTER TABLE oauth_client DROP CONSTRAINT oauth_client_foreign_secret_hash_is_hash;
ALTER TABLE jwks DROP CONSTRAINT jwks_private_key_is_in_one_place;

ALTER TABLE jwks ADD CONSTRAINT jwks_private_key_is_in_one_place CHECK ((private_key = '') = (private_key_uri IS NOT NULL)) NOT VALID;
ALTER TABLE oauth_client ADD CONSTRAINT oauth_client_foreign_secret_hash_is_hash CHECK (
    foreign_secret_hash COLLATE "C" ~ '^([$][A-Za-z0-9_-]+[$]|[{][A-Za-z0-9._-]+[}]|(pbkdf2|argon2|bcrypt|scrypt)[A-Za-z0-9_-]*[$:])[!-)+-~]+$'
    AND foreign_secret_hash COLLATE "C" !~* '^[{](noop|plain|clear)'
) NOT VALID;
ALTER TABLE oauth_client ADD CONSTRAINT oauth_client_one_kind_of_secret CHECK (client_secret IS NULL OR foreign_secret_hash IS NULL) NOT VALID;

ALTER TABLE "user" ADD CONSTRAINT user_times_are_finite CHECK (
    isfinite(created_at) AND isfinite(updated_at) AND isfinite(suspended_at) AND isfinite(deleted_at)
) NOT VALID;
ALTER TABLE session ADD CONSTRAINT session_times_are_finite CHECK (
    isfinite(created_at) AND isfinite(updated_at) AND isfinite(ended_at) AND isfinite(last_seen_at) AND isfinite(auth_time)
) NOT VALID;
ALTER TABLE account ADD CONSTRAINT account_times_are_finite CHECK (
    isfinite(created_at) AND isfinite(updated_at)
) NOT VALID;
ALTER TABLE oauth_client ADD CONSTRAINT oauth_client_times_are_finite CHECK (
    isfinite(created_at) AND isfinite(updated_at) AND isfinite(deleted_at)
) NOT VALID;
ALTER TABLE oauth_consent ADD CONSTRAINT oauth_consent_times_are_finite CHECK (
    isfinite(created_at) AND isfinite(updated_at)
) NOT VALID;
ALTER TABLE jwks ADD CONSTRAINT jwks_times_are_finite CHECK (
    isfinite(created_at) AND isfinite(updated_at)
) NOT VALID;

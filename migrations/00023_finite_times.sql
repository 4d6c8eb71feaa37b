-- +goose Up

-- Other servers write these tables too. Go has no infinite time, so a row with one would take the page that it is on from everybody.
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

-- +goose Down

ALTER TABLE jwks DROP CONSTRAINT jwks_times_are_finite;
ALTER TABLE oauth_consent DROP CONSTRAINT oauth_consent_times_are_finite;
ALTER TABLE oauth_client DROP CONSTRAINT oauth_client_times_are_finite;
ALTER TABLE account DROP CONSTRAINT account_times_are_finite;
ALTER TABLE session DROP CONSTRAINT session_times_are_finite;
ALTER TABLE "user" DROP CONSTRAINT user_times_are_finite;

-- +goose Up

ALTER TABLE oauth_consent ADD COLUMN authorization_details stored_array;

COMMENT ON COLUMN oauth_consent.authorization_details IS 'authorization_details that the user agreed to (RFC 9396).';

-- +goose Down

ALTER TABLE oauth_consent DROP COLUMN authorization_details;

-- +goose Up

ALTER TABLE jwks ADD COLUMN private_key_uri short_text;

-- A better-auth server writes and reads private_key, so it stays NOT NULL.
ALTER TABLE jwks ADD CONSTRAINT jwks_private_key_is_in_one_place CHECK ((private_key = '') = (private_key_uri IS NOT NULL)) NOT VALID;

COMMENT ON COLUMN jwks.private_key IS 'The private key, encrypted by the caller. Empty if it is kept elsewhere.';
COMMENT ON COLUMN jwks.private_key_uri IS 'Where the private key is kept, if it isn''t here: a reference into a key management service.';

-- +goose Down

ALTER TABLE jwks DROP CONSTRAINT jwks_private_key_is_in_one_place;
ALTER TABLE jwks DROP COLUMN private_key_uri;

COMMENT ON COLUMN jwks.private_key IS 'The private key, encrypted by the caller.';

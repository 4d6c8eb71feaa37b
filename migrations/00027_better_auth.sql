-- +goose Up

-- What a better-auth server's OAuth provider writes for a client's device, beside what it writes for a device of its own.
ALTER TABLE device_code
    ADD COLUMN oauth_client_id short_text,
    ADD COLUMN resources text_list;

COMMENT ON COLUMN device_code.oauth_client_id IS 'The client, by its client_id, if it is registered: its device gets tokens. NULL for a device of that server''s own, which gets a session.';
COMMENT ON COLUMN device_code.resources IS 'The resources asked for (RFC 8707).';

-- A better-auth server keeps 24 bytes of the digest.
CREATE DOMAIN stored_assertion_id AS token_digest CONSTRAINT assertion_id_is_digest CHECK (octet_length(VALUE) IN (32, 43) AND VALUE ~ '^[A-Za-z0-9_-]*$');

COMMENT ON DOMAIN stored_assertion_id IS 'A digest by which an assertion is remembered: 43 base64url characters, or the first 32 as a better-auth server has them.';

-- The table holds what was presented in the last minutes.
-- squawk-ignore changing-column-type
ALTER TABLE oauth_client_assertion ALTER COLUMN id TYPE stored_assertion_id;

-- +goose Down

DELETE FROM oauth_client_assertion WHERE octet_length(id) <> 43;
ALTER TABLE oauth_client_assertion ALTER COLUMN id TYPE stored_token_digest;
DROP DOMAIN stored_assertion_id;

ALTER TABLE device_code
    DROP COLUMN resources,
    DROP COLUMN oauth_client_id;

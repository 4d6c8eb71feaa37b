-- +goose NO TRANSACTION
-- +goose Up

-- ExportUser finds the codes that a user has looked up. The column is of another collation than the ids it is compared with.
-- What is dropped is the invalid index of a run that was interrupted.
DROP INDEX CONCURRENTLY IF EXISTS device_code_user_id_idx;
CREATE INDEX CONCURRENTLY IF NOT EXISTS device_code_user_id_idx ON device_code (user_id COLLATE "C");

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS device_code_user_id_idx;

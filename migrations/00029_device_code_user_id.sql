-- +goose NO TRANSACTION
-- +goose Up

-- ExportUser finds the codes that a user has looked up. The column is of another collation than the ids it is compared with.
CREATE INDEX CONCURRENTLY device_code_user_id_idx ON device_code (user_id COLLATE "C");

-- +goose Down

DROP INDEX CONCURRENTLY device_code_user_id_idx;

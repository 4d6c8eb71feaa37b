-- +goose Up

-- ExportUser finds the codes that a user has looked up. The column is of another collation than the ids it is compared with.
-- The table has the codes of some minutes, so writers wait for milliseconds, and nothing is left of a run that is interrupted.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX device_code_user_id_idx ON device_code (user_id COLLATE "C");

-- +goose Down

DROP INDEX device_code_user_id_idx;

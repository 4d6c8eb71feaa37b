-- +goose Up

-- PostgreSQL vacuums a table once a fifth of it is dead. In these tables all rows die, so a fifth of them is dead space at any time, and as much in
-- seven indexes. They are vacuumed once 5 % are dead. What that costs and brings: docs/sizing.md.
ALTER TABLE oauth_authorization SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE oauth_refresh_token SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE oauth_access_token SET (autovacuum_vacuum_scale_factor = 0.05);

-- +goose Down

ALTER TABLE oauth_access_token RESET (autovacuum_vacuum_scale_factor);
ALTER TABLE oauth_refresh_token RESET (autovacuum_vacuum_scale_factor);
ALTER TABLE oauth_authorization RESET (autovacuum_vacuum_scale_factor);

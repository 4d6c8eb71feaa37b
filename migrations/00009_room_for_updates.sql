-- +goose Up

-- Every rotation updates a family and the token that it spends. Where the new version of a row fits into its page, no index has to
-- know of it (a HOT update). Pages written from now on keep room for that.
ALTER TABLE oauth_authorization SET (fillfactor = 80);
ALTER TABLE oauth_refresh_token SET (fillfactor = 80);

-- +goose Down

ALTER TABLE oauth_refresh_token RESET (fillfactor);
ALTER TABLE oauth_authorization RESET (fillfactor);

-- +goose Up

-- Every rotation updates a family and the token that it spends. Where the new version of a row fits into its page, no index has to
-- know of it (a HOT update). Pages written from now on keep room for that.
ALTER TABLE oauth_authorization SET (fillfactor = 80);
ALTER TABLE oauth_refresh_token SET (fillfactor = 80);

-- expires_at is indexed, so a rotation moves it a little further than it has to, and the next ones need not move it.
COMMENT ON COLUMN oauth_authorization.expires_at IS 'Pending: the request lapses. Approved: when the code expires; later no token of the family lasts longer, but the last may expire a little earlier (by a sixteenth of its lifetime). NULL means never.';

-- +goose Down

COMMENT ON COLUMN oauth_authorization.expires_at IS 'Pending: the request lapses. Approved: when the code, later the family''s last token, expires; moves along with each rotation. NULL means never.';
ALTER TABLE oauth_refresh_token RESET (fillfactor);
ALTER TABLE oauth_authorization RESET (fillfactor);

-- +goose Up

COMMENT ON COLUMN oauth_authorization.expires_at IS 'When the request lapses or, once it is approved, the approval. Once the code is redeemed, the expiry of the tokens counts, and this is NULL, or the expiry of an access token without a row that has no refresh token beside it.';
COMMENT ON COLUMN oauth_refresh_token.access_token_expires_at IS 'Expiry of the last access token without a row that was issued with this one or, after a retry, for it. The row is kept until then.';

-- +goose Down

COMMENT ON COLUMN oauth_refresh_token.access_token_expires_at IS 'Expiry of the last access token that was issued with this one and has no row.';
COMMENT ON COLUMN oauth_authorization.expires_at IS 'When the request lapses or, once it is approved, the approval. NULL once the code is redeemed: then the expiry of the tokens counts.';

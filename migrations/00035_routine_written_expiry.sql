-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION written_expiry(
    written boolean, new_id access_token_id, issued_to client_id, new_token text, without_row boolean, expires_at timestamptz
) RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN CASE
    WHEN NOT written AND (find_issued_access_token(new_id, issued_to, new_token, NULL, 'AccessTokenID')).authorization_id IS NOT NULL
    THEN refuse_parameter('AccessTokenID', 'is that of another token')::timestamptz
    WHEN without_row THEN expiry_without_row(expires_at, new_token)
    ELSE expires_at
END;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION written_expiry(boolean, access_token_id, client_id, text, boolean, timestamptz) IS 'The expiry of the access token that a call has just issued, with a row or without one. The id of another token is an error.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION written_expiry(boolean, access_token_id, client_id, text, boolean, timestamptz);
-- +goose StatementEnd

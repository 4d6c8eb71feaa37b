CREATE OR REPLACE FUNCTION expiry_without_row(expires_at timestamptz, access_token text) RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN CASE
    WHEN access_token IS NOT NULL THEN refuse_parameter('AccessToken', 'is set, but the token is to have no row')::timestamptz
    WHEN expires_at IS NULL THEN refuse_parameter('AccessTokenLifetime', 'is without end, but the token is to have no row')::timestamptz
    ELSE expires_at
END;

COMMENT ON FUNCTION expiry_without_row(timestamptz, text) IS 'The expiry of an access token without a row, to be kept with its refresh token or family. Such a token has to be a JWT, so a digest is an error, and it has to expire.';

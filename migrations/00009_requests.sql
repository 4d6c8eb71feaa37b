-- +goose Up

ALTER TABLE oauth_client
    ADD COLUMN resources text_list,
    ADD COLUMN authorization_details_types text_list;

COMMENT ON COLUMN oauth_client.resources IS 'Resource indicators that the client may ask for (RFC 8707). NULL means the server''s default, an empty list none.';
COMMENT ON COLUMN oauth_client.authorization_details_types IS 'Types of authorization_details that the client may use (RFC 9396, section 10). NULL means the server''s default, an empty list none.';
COMMENT ON COLUMN oauth_client.redirect_uris IS 'Redirect URIs, compared exactly but for the port of a loopback address (resolve_redirect_uri). Empty only if none of the grant types redirects.';
COMMENT ON COLUMN oauth_client.grant_types IS 'grant_types of RFC 7591. NULL means authorization_code, and leaves it to the caller whether refresh tokens are issued.';
COMMENT ON COLUMN oauth_client.require_pkce IS 'Whether a request without a code_challenge is refused. NULL means yes. A public client always has to send one.';

ALTER TABLE oauth_authorization
    ADD COLUMN acr_values text_list,
    ADD COLUMN max_age bigint;

COMMENT ON COLUMN oauth_authorization.acr_values IS 'acr_values of the request, in order of preference (OpenID Connect Core, section 3.1.2.1).';
COMMENT ON COLUMN oauth_authorization.max_age IS 'max_age of the request, in seconds (OpenID Connect Core, section 3.1.2.1).';
COMMENT ON COLUMN oauth_authorization.request_uri IS 'Digest of the request_uri of a pushed request (RFC 9126); NULL once the user has decided, or it was taken.';
COMMENT ON COLUMN oauth_authorization.request_uri_expires_at IS 'Until when a request_uri has to be opened; NULL once it was. From then on expires_at counts.';
COMMENT ON COLUMN oauth_authorization.authorization_details IS 'authorization_details of the request and, once it is approved, of the grant (RFC 9396).';
COMMENT ON COLUMN oauth_authorization.request IS 'Other parameters of the request, such as prompt, login_hint and ui_locales: a JSON object.';

ALTER TABLE oauth_consent ADD COLUMN authorization_details stored_array;

COMMENT ON COLUMN oauth_consent.authorization_details IS 'authorization_details that the user agreed to (RFC 9396).';

-- +goose Down

ALTER TABLE oauth_consent DROP COLUMN authorization_details;

ALTER TABLE oauth_authorization
    DROP COLUMN max_age,
    DROP COLUMN acr_values;

ALTER TABLE oauth_client
    DROP COLUMN authorization_details_types,
    DROP COLUMN resources;

COMMENT ON COLUMN oauth_authorization.authorization_details IS 'authorization_details of the request (RFC 9396).';
COMMENT ON COLUMN oauth_authorization.request_uri_expires_at IS 'When the request_uri expires.';
COMMENT ON COLUMN oauth_authorization.request_uri IS 'Digest of the request_uri of a pushed request (RFC 9126); NULL once it is used.';
COMMENT ON COLUMN oauth_authorization.request IS 'Other parameters of the request, such as prompt, max_age, login_hint and ui_locales: a JSON object.';
COMMENT ON COLUMN oauth_client.require_pkce IS 'Whether a request without a code_challenge is refused. NULL leaves the choice to the server.';
COMMENT ON COLUMN oauth_client.grant_types IS 'grant_types of RFC 7591; NULL means authorization_code.';
COMMENT ON COLUMN oauth_client.redirect_uris IS 'Redirect URIs, compared exactly (RFC 9700, section 2.1). Empty only if none of the grant types redirects.';

-- +goose Up

CREATE DOMAIN initial_access_token_id AS text COLLATE "C";
CREATE DOMAIN stored_initial_access_token_id AS initial_access_token_id CONSTRAINT initial_access_token_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);

COMMENT ON DOMAIN initial_access_token_id IS 'Primary key of oauth_initial_access_token.';
COMMENT ON DOMAIN stored_initial_access_token_id IS 'An initial_access_token_id as it is stored: 1 to 255 bytes.';

CREATE TABLE oauth_initial_access_token (
    id           stored_initial_access_token_id NOT NULL,
    created_at   timestamptz                    NOT NULL DEFAULT now(),
    updated_at   timestamptz                    NOT NULL DEFAULT now(),
    token        stored_token_digest            NOT NULL,
    label        short_text,
    reference_id stored_reference_id,
    max_uses     bigint                         NOT NULL,
    uses         bigint                         NOT NULL DEFAULT 0,
    expires_at   finite_timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT oauth_initial_access_token_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_initial_access_token_token_uidx UNIQUE (token),
    CONSTRAINT oauth_initial_access_token_uses_in_range CHECK (uses BETWEEN 0 AND max_uses)
);

CREATE INDEX oauth_initial_access_token_created_at_idx ON oauth_initial_access_token (created_at, id);
CREATE INDEX oauth_initial_access_token_expires_at_idx ON oauth_initial_access_token (expires_at);

COMMENT ON TABLE oauth_initial_access_token IS 'Initial access tokens: what a client presents to register itself (RFC 7591, section 3).';
COMMENT ON COLUMN oauth_initial_access_token.token IS 'Digest of the token.';
COMMENT ON COLUMN oauth_initial_access_token.label IS 'Whom the token was given to, for whoever reads the list.';
COMMENT ON COLUMN oauth_initial_access_token.reference_id IS 'The tenant that owns the clients registered with the token.';
COMMENT ON COLUMN oauth_initial_access_token.max_uses IS 'How many clients may be registered with the token.';
COMMENT ON COLUMN oauth_initial_access_token.uses IS 'How many clients have been registered with the token.';
COMMENT ON COLUMN oauth_initial_access_token.expires_at IS 'When the token expires. NULL means never.';
COMMENT ON COLUMN oauth_initial_access_token.revoked_at IS 'When the token was revoked.';

ALTER TABLE oauth_client
    ADD COLUMN previous_registration_access_token stored_token_digest;

COMMENT ON COLUMN oauth_client.previous_registration_access_token IS 'Digest of the registration token that UpdateRegistration replaced, until its successor is used. With it the same update can be sent again if its answer was lost.';

ALTER TYPE oauth_client_field ADD VALUE 'allow_plain_pkce';
ALTER TYPE oauth_client_field ADD VALUE 'default_max_age';
ALTER TYPE oauth_client_field ADD VALUE 'require_pushed_authorization_requests';
ALTER TYPE oauth_client_field ADD VALUE 'dpop_bound_access_tokens';
ALTER TYPE oauth_client_field ADD VALUE 'tls_client_certificate_bound_access_tokens';
ALTER TYPE oauth_client_field ADD VALUE 'tls_client_auth_subject_dn';
ALTER TYPE oauth_client_field ADD VALUE 'tls_client_auth_san_dns';
ALTER TYPE oauth_client_field ADD VALUE 'tls_client_auth_san_uri';
ALTER TYPE oauth_client_field ADD VALUE 'tls_client_auth_san_ip';
ALTER TYPE oauth_client_field ADD VALUE 'tls_client_auth_san_email';
ALTER TYPE oauth_client_field ADD VALUE 'resources';
ALTER TYPE oauth_client_field ADD VALUE 'authorization_details_types';

-- +goose Down

-- An enum loses no word, so the type is made anew.
DROP TYPE oauth_client_field;
CREATE TYPE oauth_client_field AS ENUM (
    'skip_consent', 'enable_end_session', 'scopes', 'user_id', 'name', 'uri', 'icon', 'contacts', 'tos', 'policy',
    'software_id', 'software_version', 'software_statement', 'post_logout_redirect_uris', 'token_endpoint_auth_method',
    'grant_types', 'response_types', 'public', 'type', 'reference_id', 'metadata', 'subject_type', 'require_pkce', 'jwks',
    'jwks_uri', 'application_type', 'access_token_lifetime', 'refresh_token_lifetime', 'authorization_lifetime', 'code_lifetime',
    'refresh_grace', 'refresh_grace_until_used', 'backchannel_logout_uri', 'backchannel_logout_session_required'
);
COMMENT ON TYPE oauth_client_field IS 'Columns of oauth_client that UpdateClient can set to NULL.';

ALTER TABLE oauth_client
    DROP COLUMN previous_registration_access_token;

DROP TABLE oauth_initial_access_token;
DROP DOMAIN stored_initial_access_token_id;
DROP DOMAIN initial_access_token_id;

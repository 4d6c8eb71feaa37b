-- +goose Up

CREATE DOMAIN oauth_client_id AS text COLLATE "C";
CREATE DOMAIN client_id AS text COLLATE "C";
CREATE DOMAIN client_secret_id AS text COLLATE "C";

COMMENT ON DOMAIN oauth_client_id IS 'Primary key of oauth_client. Clients never see it.';
COMMENT ON DOMAIN client_id IS 'The public client identifier (RFC 6749, section 2.2). Tokens and consents refer to it.';
COMMENT ON DOMAIN client_secret_id IS 'Primary key of oauth_client_secret.';

CREATE DOMAIN stored_oauth_client_id AS oauth_client_id CONSTRAINT oauth_client_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN stored_client_id AS client_id CONSTRAINT oauth_client_client_id_is_vschar CHECK (octet_length(VALUE) <= 512 AND VALUE ~ '^[\x20-\x7e]+$');

COMMENT ON DOMAIN stored_oauth_client_id IS 'An oauth_client_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_client_id IS 'A client_id as it is stored: 1 to 512 printable ASCII characters (RFC 6749, appendix A.1).';
CREATE DOMAIN client_lifetime AS interval CONSTRAINT client_lifetime_is_positive CHECK (VALUE >= interval '1 second');
CREATE DOMAIN client_grace AS interval CONSTRAINT client_grace_is_not_negative CHECK (VALUE >= interval '0');

COMMENT ON DOMAIN client_lifetime IS 'How long something of a client''s lives at most: a second or more.';
COMMENT ON DOMAIN client_grace IS 'For how long something is forgiven: zero or more.';

CREATE TYPE oauth_client_field AS ENUM (
    'skip_consent', 'enable_end_session', 'scopes', 'user_id', 'name', 'uri', 'icon', 'contacts', 'tos', 'policy',
    'software_id', 'software_version', 'software_statement', 'post_logout_redirect_uris', 'token_endpoint_auth_method',
    'grant_types', 'response_types', 'public', 'type', 'reference_id', 'metadata', 'subject_type', 'require_pkce', 'jwks',
    'jwks_uri', 'application_type', 'access_token_lifetime', 'refresh_token_lifetime', 'authorization_lifetime', 'code_lifetime',
    'refresh_grace', 'refresh_grace_until_used', 'backchannel_logout_uri', 'backchannel_logout_session_required'
);

COMMENT ON TYPE oauth_client_field IS 'Columns of oauth_client that UpdateClient can set to NULL.';

CREATE TABLE oauth_client (
    id                                         stored_oauth_client_id NOT NULL,
    created_at                                 timestamptz            NOT NULL DEFAULT now(),
    updated_at                                 timestamptz            NOT NULL DEFAULT now(),
    client_id                                  stored_client_id       NOT NULL,
    client_secret                              stored_token_digest,
    disabled                                   boolean                NOT NULL DEFAULT false,
    skip_consent                               boolean,
    enable_end_session                         boolean,
    scopes                                     text_list,
    user_id                                    user_id,
    name                                       text,
    uri                                        text,
    icon                                       text,
    contacts                                   text_list,
    tos                                        text,
    policy                                     text,
    software_id                                text,
    software_version                           text,
    software_statement                         text,
    redirect_uris                              text_list              NOT NULL,
    post_logout_redirect_uris                  text_list,
    token_endpoint_auth_method                 text,
    grant_types                                text_list,
    response_types                             text_list,
    public                                     boolean,
    type                                       text,
    reference_id                               stored_reference_id,
    metadata                                   stored_object,
    grants_epoch                               bigint                 NOT NULL DEFAULT 0,
    deleted_at                                 timestamptz,
    client_secret_expires_at                   finite_timestamptz,
    foreign_secret_hash                        short_text,
    registration_access_token                  stored_token_digest,
    subject_type                               text,
    sector_identifier                          short_text,
    require_pkce                               boolean,
    allow_plain_pkce                           boolean,
    jwks                                       stored_object,
    jwks_uri                                   text,
    application_type                           text,
    default_max_age                            interval,
    access_token_lifetime                      client_lifetime,
    refresh_token_lifetime                     client_lifetime,
    authorization_lifetime                     client_lifetime,
    code_lifetime                              client_lifetime,
    refresh_grace                              client_grace,
    refresh_grace_until_used                   boolean,
    require_pushed_authorization_requests      boolean,
    dpop_bound_access_tokens                   boolean,
    tls_client_certificate_bound_access_tokens boolean,
    tls_client_auth_subject_dn                 short_text,
    tls_client_auth_san_dns                    short_text,
    tls_client_auth_san_uri                    short_text,
    tls_client_auth_san_ip                     short_text,
    tls_client_auth_san_email                  short_text,
    backchannel_logout_uri                     text,
    backchannel_logout_session_required        boolean,
    client_discovery_id                        text,
    client_credentials_scopes                  text_list,
    CONSTRAINT oauth_client_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_client_client_id_uidx UNIQUE (client_id),
    CONSTRAINT oauth_client_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT oauth_client_redirect_uris_where_redirected CHECK (
        cardinality(redirect_uris) > 0
        OR deleted_at IS NOT NULL
        OR NOT coalesce(grant_types, ARRAY['authorization_code']) && ARRAY['authorization_code', 'implicit']
    ),
    CONSTRAINT oauth_client_one_source_of_keys CHECK (jwks IS NULL OR jwks_uri IS NULL),
    CONSTRAINT oauth_client_deleted_is_disabled CHECK (deleted_at IS NULL OR disabled)
);

CREATE INDEX oauth_client_user_id_idx ON oauth_client (user_id);
CREATE INDEX oauth_client_reference_id_idx ON oauth_client (reference_id, created_at, id) WHERE reference_id IS NOT NULL;
CREATE INDEX oauth_client_created_at_idx ON oauth_client (created_at, id);
CREATE INDEX oauth_client_deleted_at_idx ON oauth_client (deleted_at) WHERE deleted_at IS NOT NULL;

COMMENT ON TABLE oauth_client IS 'Registered clients, with the metadata of RFC 7591, section 2.';
COMMENT ON COLUMN oauth_client.client_id IS 'The public client identifier (RFC 6749, section 2.2). Never changes: tokens and consents refer to it.';
COMMENT ON COLUMN oauth_client.client_secret IS 'Digest of the client secret; NULL for clients that have none.';
COMMENT ON COLUMN oauth_client.disabled IS 'While true, the client is issued nothing and none of its tokens is live.';
COMMENT ON COLUMN oauth_client.skip_consent IS 'First-party client: its users are not asked for consent.';
COMMENT ON COLUMN oauth_client.enable_end_session IS 'Whether the client may end sessions (RP-initiated logout).';
COMMENT ON COLUMN oauth_client.scopes IS 'Scopes that the client may ask for. NULL means the server''s default, an empty list none.';
COMMENT ON COLUMN oauth_client.user_id IS 'The user who owns the client, if one does.';
COMMENT ON COLUMN oauth_client.name IS 'client_name of RFC 7591.';
COMMENT ON COLUMN oauth_client.uri IS 'client_uri of RFC 7591.';
COMMENT ON COLUMN oauth_client.icon IS 'logo_uri of RFC 7591.';
COMMENT ON COLUMN oauth_client.contacts IS 'contacts of RFC 7591.';
COMMENT ON COLUMN oauth_client.tos IS 'tos_uri of RFC 7591.';
COMMENT ON COLUMN oauth_client.policy IS 'policy_uri of RFC 7591.';
COMMENT ON COLUMN oauth_client.software_id IS 'software_id of RFC 7591.';
COMMENT ON COLUMN oauth_client.software_version IS 'software_version of RFC 7591.';
COMMENT ON COLUMN oauth_client.software_statement IS 'The signed software statement (RFC 7591, section 2.3) that the client was registered with.';
COMMENT ON COLUMN oauth_client.redirect_uris IS 'Redirect URIs, compared exactly (RFC 9700, section 2.1). Empty only if none of the grant types redirects.';
COMMENT ON COLUMN oauth_client.post_logout_redirect_uris IS 'Where a user may be sent after RP-initiated logout.';
COMMENT ON COLUMN oauth_client.token_endpoint_auth_method IS 'token_endpoint_auth_method of RFC 7591: none, client_secret_basic, client_secret_post, private_key_jwt ...';
COMMENT ON COLUMN oauth_client.grant_types IS 'grant_types of RFC 7591; NULL means authorization_code.';
COMMENT ON COLUMN oauth_client.response_types IS 'response_types of RFC 7591; NULL means code.';
COMMENT ON COLUMN oauth_client.public IS 'Whether the client can''t keep a secret (RFC 6749, section 2.1). If NULL, is_public derives it.';
COMMENT ON COLUMN oauth_client.type IS 'Kind of client, such as web, native or user-agent-based, for whoever registers it.';
COMMENT ON COLUMN oauth_client.reference_id IS 'The tenant that owns the client, instead of a user.';
COMMENT ON COLUMN oauth_client.metadata IS 'Other members of the registration: a JSON object.';
COMMENT ON COLUMN oauth_client.subject_type IS 'public or pairwise (OpenID Connect Core, section 8).';
COMMENT ON COLUMN oauth_client.require_pkce IS 'Whether a request without a code_challenge is refused. NULL leaves the choice to the server.';
COMMENT ON COLUMN oauth_client.jwks IS 'The client''s public keys, a JSON Web Key Set. Not together with jwks_uri (RFC 7591, section 2).';
COMMENT ON COLUMN oauth_client.jwks_uri IS 'Where the client publishes its keys. Not together with jwks.';
COMMENT ON COLUMN oauth_client.application_type IS 'web or native (OpenID Connect Dynamic Client Registration, section 2).';
COMMENT ON COLUMN oauth_client.client_secret_expires_at IS 'When the secret expires (client_secret_expires_at of RFC 7591). NULL means never, which RFC 7591 writes as 0.';
COMMENT ON COLUMN oauth_client.registration_access_token IS 'Digest of the token that manages this registration (RFC 7592).';
COMMENT ON COLUMN oauth_client.grants_epoch IS 'How often all grants to the client were ended. A grant is live only while this is what it was at the grant.';
COMMENT ON COLUMN oauth_client.deleted_at IS 'When the client was deleted. It is disabled too. The row stays until the collector has erased everything that refers to it.';
COMMENT ON COLUMN oauth_client.foreign_secret_hash IS 'Hash of the secret as another server made it, bcrypt for example. RotateClientSecret removes it.';
COMMENT ON COLUMN oauth_client.sector_identifier IS 'Sector of pairwise subjects (OpenID Connect Core, section 8.1).';
COMMENT ON COLUMN oauth_client.allow_plain_pkce IS 'Whether the client may use code_challenge_method plain (RFC 7636, section 4.2).';
COMMENT ON COLUMN oauth_client.default_max_age IS 'default_max_age of OpenID Connect Dynamic Client Registration, section 2.';
COMMENT ON COLUMN oauth_client.access_token_lifetime IS 'Upper bound of the lifetime of the client''s access tokens. NULL means no bound but the caller''s.';
COMMENT ON COLUMN oauth_client.refresh_token_lifetime IS 'Upper bound of the lifetime of each of the client''s refresh tokens. NULL means no bound but the caller''s.';
COMMENT ON COLUMN oauth_client.authorization_lifetime IS 'Upper bound of the lifetime of a family, counted from redemption. NULL means no bound but the caller''s.';
COMMENT ON COLUMN oauth_client.code_lifetime IS 'Upper bound of the lifetime of the client''s authorization codes. NULL means no bound but the caller''s.';
COMMENT ON COLUMN oauth_client.refresh_grace IS 'How long a rotated refresh token may be presented again. NULL leaves the choice to the caller.';
COMMENT ON COLUMN oauth_client.refresh_grace_until_used IS 'Whether a rotated refresh token may be presented again until its successor is used. NULL leaves the choice to the caller.';
COMMENT ON COLUMN oauth_client.require_pushed_authorization_requests IS 'Whether the client has to push its requests (RFC 9126, section 6).';
COMMENT ON COLUMN oauth_client.dpop_bound_access_tokens IS 'Whether the client always uses DPoP (RFC 9449, section 5.2).';
COMMENT ON COLUMN oauth_client.tls_client_certificate_bound_access_tokens IS 'Whether access tokens are bound to the client''s certificate (RFC 8705, section 3.4).';
COMMENT ON COLUMN oauth_client.tls_client_auth_subject_dn IS 'Subject that the certificate has to have (RFC 8705, section 2.1.2).';
COMMENT ON COLUMN oauth_client.tls_client_auth_san_dns IS 'dNSName that the certificate has to have (RFC 8705, section 2.1.2).';
COMMENT ON COLUMN oauth_client.tls_client_auth_san_uri IS 'uniformResourceIdentifier that the certificate has to have (RFC 8705, section 2.1.2).';
COMMENT ON COLUMN oauth_client.tls_client_auth_san_ip IS 'iPAddress that the certificate has to have (RFC 8705, section 2.1.2).';
COMMENT ON COLUMN oauth_client.tls_client_auth_san_email IS 'rfc822Name that the certificate has to have (RFC 8705, section 2.1.2).';
COMMENT ON COLUMN oauth_client.backchannel_logout_uri IS 'Where the client is notified of a sign-out (OpenID Connect Back-Channel Logout, section 2.2).';
COMMENT ON COLUMN oauth_client.backchannel_logout_session_required IS 'Whether the client needs the sid in a logout token.';
COMMENT ON COLUMN oauth_client.client_discovery_id IS 'For a better-auth server: where it found the client''s metadata document.';
COMMENT ON COLUMN oauth_client.client_credentials_scopes IS 'For a better-auth server: the scopes that it issues to the client itself.';

-- A better-auth server doesn't start without these two tables. No query of oauthdb reads them. Its driver reads a bigint as text, so they have
-- integers.
CREATE TABLE oauth_resource (
    id                                short_text  NOT NULL DEFAULT gen_random_uuid()::text,
    created_at                        timestamptz NOT NULL DEFAULT now(),
    updated_at                        timestamptz NOT NULL DEFAULT now(),
    identifier                        short_text  NOT NULL,
    name                              short_text  NOT NULL,
    -- squawk-ignore prefer-bigint-over-int
    access_token_ttl                  integer,
    -- squawk-ignore prefer-bigint-over-int
    refresh_token_ttl                 integer,
    signing_algorithm                 short_text,
    signing_key_id                    short_text,
    allowed_scopes                    text_list,
    custom_claims                     stored_object,
    dpop_bound_access_tokens_required boolean     NOT NULL DEFAULT false,
    disabled                          boolean     NOT NULL DEFAULT false,
    -- squawk-ignore prefer-bigint-over-int
    policy_version                    integer     NOT NULL DEFAULT 1,
    metadata                          stored_object,
    CONSTRAINT oauth_resource_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_resource_identifier_uidx UNIQUE (identifier)
);

COMMENT ON TABLE oauth_resource IS 'Protected resources of a better-auth server, each with its policy (RFC 8707).';
COMMENT ON COLUMN oauth_resource.identifier IS 'The value of the resource parameter (RFC 8707, section 2).';
COMMENT ON COLUMN oauth_resource.access_token_ttl IS 'Seconds; NULL leaves it to the server.';
COMMENT ON COLUMN oauth_resource.refresh_token_ttl IS 'Seconds; NULL leaves it to the server.';
COMMENT ON COLUMN oauth_resource.name IS 'What the server calls it.';
COMMENT ON COLUMN oauth_resource.signing_algorithm IS 'Algorithm that signs its access tokens.';
COMMENT ON COLUMN oauth_resource.signing_key_id IS 'Key that signs its access tokens.';
COMMENT ON COLUMN oauth_resource.allowed_scopes IS 'Scopes that may be asked for at it.';
COMMENT ON COLUMN oauth_resource.custom_claims IS 'Claims that its access tokens carry.';
COMMENT ON COLUMN oauth_resource.dpop_bound_access_tokens_required IS 'Whether its access tokens have to be bound to a key (RFC 9449).';
COMMENT ON COLUMN oauth_resource.disabled IS 'Whether the server issues nothing for it.';
COMMENT ON COLUMN oauth_resource.policy_version IS 'Version of the policy.';
COMMENT ON COLUMN oauth_resource.metadata IS 'Whatever else the server keeps with it.';

CREATE TABLE oauth_client_resource (
    id          short_text  NOT NULL DEFAULT gen_random_uuid()::text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    client_id   client_id   NOT NULL,
    resource_id short_text  NOT NULL,
    metadata    stored_object,
    CONSTRAINT oauth_client_resource_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_client_resource_client_resource_uidx UNIQUE (client_id, resource_id),
    CONSTRAINT oauth_client_resource_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    CONSTRAINT oauth_client_resource_resource_id_fkey FOREIGN KEY (resource_id) REFERENCES oauth_resource (identifier) ON DELETE CASCADE
);

CREATE INDEX oauth_client_resource_resource_id_idx ON oauth_client_resource (resource_id);

COMMENT ON TABLE oauth_client_resource IS 'The resources of a better-auth server that a client may ask for.';
COMMENT ON COLUMN oauth_client_resource.metadata IS 'Whatever else the server keeps with it.';
COMMENT ON COLUMN oauth_client_resource.resource_id IS 'The resource''s identifier.';

CREATE TABLE oauth_client_secret (
    id         client_secret_id    NOT NULL DEFAULT gen_random_uuid()::text,
    created_at timestamptz         NOT NULL DEFAULT now(),
    updated_at timestamptz         NOT NULL DEFAULT now(),
    client_id  client_id           NOT NULL,
    digest     stored_token_digest NOT NULL,
    expires_at timestamptz         NOT NULL,
    CONSTRAINT oauth_client_secret_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_client_secret_client_digest_uidx UNIQUE (client_id, digest),
    CONSTRAINT oauth_client_secret_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE
);

CREATE INDEX oauth_client_secret_expires_at_idx ON oauth_client_secret (expires_at);

COMMENT ON TABLE oauth_client_secret IS 'Client secrets that were rotated out and still count. Read only if oauth_client.client_secret doesn''t match.';
COMMENT ON COLUMN oauth_client_secret.digest IS 'Digest of the secret.';
COMMENT ON COLUMN oauth_client_secret.expires_at IS 'When the secret expires, as promised when it was rotated out.';

-- +goose Down

DROP TABLE oauth_client_secret;
DROP TABLE oauth_client_resource;
DROP TABLE oauth_resource;
DROP TABLE oauth_client;
DROP TYPE oauth_client_field;
DROP DOMAIN client_grace;
DROP DOMAIN client_lifetime;
DROP DOMAIN stored_client_id;
DROP DOMAIN stored_oauth_client_id;
DROP DOMAIN client_secret_id;
DROP DOMAIN client_id;
DROP DOMAIN oauth_client_id;

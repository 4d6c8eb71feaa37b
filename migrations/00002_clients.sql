-- +goose Up

CREATE DOMAIN oauth_client_id AS text;
CREATE DOMAIN client_id AS text;

COMMENT ON DOMAIN oauth_client_id IS 'Primary key of oauth_client. Stays inside the database layer.';
COMMENT ON DOMAIN client_id IS 'The public client identifier (RFC 6749, section 2.2), to which tokens and consents refer.';

CREATE TYPE oauth_client_field AS ENUM (
    'skip_consent', 'enable_end_session', 'scopes', 'user_id', 'name', 'uri', 'icon', 'contacts', 'tos', 'policy',
    'software_id', 'software_version', 'software_statement', 'post_logout_redirect_uris', 'token_endpoint_auth_method',
    'grant_types', 'response_types', 'public', 'type', 'reference_id', 'metadata', 'subject_type', 'require_pkce', 'jwks',
    'jwks_uri', 'application_type'
);

COMMENT ON TYPE oauth_client_field IS 'Columns of oauth_client that UpdateClient can set to NULL.';

CREATE TABLE oauth_client (
    id                                oauth_client_id NOT NULL,
    created_at                        timestamptz     NOT NULL DEFAULT now(),
    updated_at                        timestamptz     NOT NULL DEFAULT now(),
    client_id                         client_id       NOT NULL,
    client_secret                     token_digest,
    disabled                          boolean         NOT NULL DEFAULT false,
    skip_consent                      boolean,
    enable_end_session                boolean,
    scopes                            text[],
    user_id                           user_id,
    name                              text,
    uri                               text,
    icon                              text,
    contacts                          text[],
    tos                               text,
    policy                            text,
    software_id                       text,
    software_version                  text,
    software_statement                text,
    redirect_uris                     text[]          NOT NULL,
    post_logout_redirect_uris         text[],
    token_endpoint_auth_method        text,
    grant_types                       text[],
    response_types                    text[],
    public                            boolean,
    type                              text,
    reference_id                      reference_id,
    metadata                          jsonb,
    subject_type                      text,
    require_pkce                      boolean,
    jwks                              jsonb,
    jwks_uri                          text,
    application_type                  text,
    previous_client_secret            token_digest,
    previous_client_secret_expires_at timestamptz,
    client_secret_expires_at          timestamptz,
    registration_access_token         token_digest,
    CONSTRAINT oauth_client_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_client_client_id_uidx UNIQUE (client_id),
    CONSTRAINT oauth_client_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT oauth_client_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_client_client_id_is_vschar CHECK (octet_length(client_id) <= 512 AND client_id ~ '^[\x20-\x7e]+$'),
    CONSTRAINT oauth_client_client_secret_is_digest CHECK (client_secret ~ '^[A-Za-z0-9_-]{43}$'),
    CONSTRAINT oauth_client_previous_client_secret_is_digest CHECK (previous_client_secret ~ '^[A-Za-z0-9_-]{43}$'),
    CONSTRAINT oauth_client_previous_client_secret_expires CHECK (previous_client_secret IS NULL OR previous_client_secret_expires_at IS NOT NULL),
    CONSTRAINT oauth_client_registration_access_token_is_digest CHECK (registration_access_token ~ '^[A-Za-z0-9_-]{43}$'),
    CONSTRAINT oauth_client_reference_id_length CHECK (octet_length(reference_id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_client_redirect_uris_hold_no_null CHECK (array_position(redirect_uris, NULL) IS NULL),
    CONSTRAINT oauth_client_redirect_uris_where_redirected CHECK (
        cardinality(redirect_uris) > 0
        OR NOT coalesce(grant_types, ARRAY['authorization_code']) && ARRAY['authorization_code', 'implicit']
    ),
    CONSTRAINT oauth_client_post_logout_redirect_uris_hold_no_null CHECK (array_position(post_logout_redirect_uris, NULL) IS NULL),
    CONSTRAINT oauth_client_scopes_hold_no_null CHECK (array_position(scopes, NULL) IS NULL),
    CONSTRAINT oauth_client_contacts_hold_no_null CHECK (array_position(contacts, NULL) IS NULL),
    CONSTRAINT oauth_client_grant_types_hold_no_null CHECK (array_position(grant_types, NULL) IS NULL),
    CONSTRAINT oauth_client_response_types_hold_no_null CHECK (array_position(response_types, NULL) IS NULL),
    CONSTRAINT oauth_client_metadata_is_object CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT oauth_client_jwks_is_object CHECK (jsonb_typeof(jwks) = 'object'),
    CONSTRAINT oauth_client_one_source_of_keys CHECK (jwks IS NULL OR jwks_uri IS NULL)
);

CREATE INDEX oauth_client_user_id_idx ON oauth_client (user_id);
CREATE INDEX oauth_client_reference_id_idx ON oauth_client (reference_id, created_at, id) WHERE reference_id IS NOT NULL;
CREATE INDEX oauth_client_created_at_idx ON oauth_client (created_at, id);

COMMENT ON TABLE oauth_client IS 'Registered clients, with the metadata of RFC 7591, section 2.';
COMMENT ON COLUMN oauth_client.client_id IS 'The public client identifier (RFC 6749, section 2.2). Never changes: tokens and consents refer to it.';
COMMENT ON COLUMN oauth_client.client_secret IS 'Digest of the client secret; NULL for clients that have none.';
COMMENT ON COLUMN oauth_client.disabled IS 'While true, the client is issued nothing and none of its tokens is live.';
COMMENT ON COLUMN oauth_client.skip_consent IS 'First-party client: its users are not asked for consent.';
COMMENT ON COLUMN oauth_client.enable_end_session IS 'Whether the client may end sessions (RP-initiated logout).';
COMMENT ON COLUMN oauth_client.scopes IS 'Scopes that the client may ask for; NULL leaves it to the server''s default.';
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
COMMENT ON COLUMN oauth_client.redirect_uris IS 'Redirect URIs, compared by exact match (RFC 9700, section 2.1). Empty only where no grant type redirects.';
COMMENT ON COLUMN oauth_client.post_logout_redirect_uris IS 'Where a user may be sent after RP-initiated logout.';
COMMENT ON COLUMN oauth_client.token_endpoint_auth_method IS 'token_endpoint_auth_method of RFC 7591: none, client_secret_basic, client_secret_post, private_key_jwt ...';
COMMENT ON COLUMN oauth_client.grant_types IS 'grant_types of RFC 7591; NULL means authorization_code.';
COMMENT ON COLUMN oauth_client.response_types IS 'response_types of RFC 7591; NULL means code.';
COMMENT ON COLUMN oauth_client.public IS 'True for a client that cannot keep a secret (RFC 6749, section 2.1).';
COMMENT ON COLUMN oauth_client.type IS 'web, native, user-agent-based ..., as the registrar classes it.';
COMMENT ON COLUMN oauth_client.reference_id IS 'The tenant that owns the client, instead of a user.';
COMMENT ON COLUMN oauth_client.metadata IS 'Whatever else the registration carried: a JSON object.';
COMMENT ON COLUMN oauth_client.subject_type IS 'public or pairwise (OpenID Connect Core, section 8).';
COMMENT ON COLUMN oauth_client.require_pkce IS 'Whether a request without a code_challenge is refused; NULL leaves it to the server.';
COMMENT ON COLUMN oauth_client.jwks IS 'The client''s public keys, a JSON Web Key Set; excludes jwks_uri (RFC 7591, section 2).';
COMMENT ON COLUMN oauth_client.jwks_uri IS 'Where the client publishes its keys; excludes jwks.';
COMMENT ON COLUMN oauth_client.application_type IS 'web or native (OpenID Connect Dynamic Client Registration, section 2).';
COMMENT ON COLUMN oauth_client.previous_client_secret IS 'Digest of the secret before the last rotation, valid until previous_client_secret_expires_at.';
COMMENT ON COLUMN oauth_client.previous_client_secret_expires_at IS 'The previous secret is refused from this instant on.';
COMMENT ON COLUMN oauth_client.client_secret_expires_at IS 'The secret is refused from this instant on; NULL means never (client_secret_expires_at of RFC 7591, there as 0).';
COMMENT ON COLUMN oauth_client.registration_access_token IS 'Digest of the token that manages this registration (RFC 7592).';

-- +goose Down

DROP TABLE oauth_client;
DROP TYPE oauth_client_field;
DROP DOMAIN client_id;
DROP DOMAIN oauth_client_id;

-- +goose Up

CREATE DOMAIN authorization_id AS text COLLATE "C";
CREATE DOMAIN access_token_id AS text COLLATE "C";
CREATE DOMAIN refresh_token_id AS text COLLATE "C";
CREATE DOMAIN token_confirmation AS jsonb;

COMMENT ON DOMAIN authorization_id IS 'Primary key of oauth_authorization, and so of a family of tokens.';
COMMENT ON DOMAIN access_token_id IS 'Primary key of oauth_access_token; the jti of a JWT access token.';
COMMENT ON DOMAIN refresh_token_id IS 'Primary key of oauth_refresh_token.';
COMMENT ON DOMAIN token_confirmation IS 'The key that a caller has proven to hold (RFC 7800).';

CREATE DOMAIN stored_authorization_id AS authorization_id CONSTRAINT authorization_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN stored_access_token_id AS access_token_id CONSTRAINT access_token_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN stored_refresh_token_id AS refresh_token_id CONSTRAINT refresh_token_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
-- An empty object would bind nothing, so a caller that forgets the key gets an error.
CREATE DOMAIN stored_confirmation AS token_confirmation CONSTRAINT confirmation_names_a_key CHECK (
    jsonb_typeof(VALUE) = 'object' AND VALUE <> '{}' AND pg_column_size(VALUE) <= 1024
);
CREATE DOMAIN code_challenge_method AS text CONSTRAINT code_challenge_method_known CHECK (VALUE IN ('S256', 'plain'));

COMMENT ON DOMAIN stored_authorization_id IS 'An authorization_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_access_token_id IS 'An access_token_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_refresh_token_id IS 'A refresh_token_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_confirmation IS 'The key to which a token is bound.';
COMMENT ON DOMAIN code_challenge_method IS 'How a challenge is derived from its verifier (RFC 7636, section 4.2).';

CREATE TYPE authorization_status AS ENUM ('pending', 'approved', 'denied');
CREATE TYPE authorization_kind AS ENUM ('code', 'device', 'ciba', 'assertion', 'direct', 'foreign');
CREATE TYPE revocation_reason AS ENUM (
    'code_replayed', 'refresh_token_reused', 'token_revoked', 'authorization_revoked', 'session_ended', 'grants_ended', 'expired'
);
CREATE TYPE token_kind AS ENUM ('access_token', 'refresh_token');
CREATE TYPE outcome AS ENUM (
    -- done, or done before by the same call
    'created', 'approved', 'denied', 'issued', 'granted', 'redeemed', 'rotated', 'updated', 'extended', 'withdrawn', 'ended',
    'reinstated', 'enabled', 'deleted', 'authenticated', 'remembered', 'active', 'retried',
    -- refused
    'unauthenticated', 'unknown', 'expired', 'revoked', 'replayed', 'proof_replayed', 'mismatched', 'disabled', 'suspended',
    'signed_out', 'unauthorized_client', 'invalid_scope', 'invalid_target', 'decided', 'undecided', 'unsupported_token_type',
    'too_far', 'inactive', 'last'
);

COMMENT ON TYPE authorization_status IS 'What the user has decided.';
COMMENT ON TYPE authorization_kind IS 'What a family began with: a code, a device or CIBA request, an assertion, a grant by the server itself (direct), or a token of another server (foreign).';
COMMENT ON TYPE revocation_reason IS 'Why a family of tokens was ended.';
COMMENT ON TYPE token_kind IS 'The token_type_hint of RFC 7009, section 2.1.';
COMMENT ON TYPE outcome IS 'The result of a call. A value means the same in every call.';

CREATE TABLE oauth_authorization (
    id                     stored_authorization_id NOT NULL,
    created_at             timestamptz             NOT NULL DEFAULT now(),
    updated_at             timestamptz             NOT NULL DEFAULT now(),
    client_id              client_id               NOT NULL,
    kind                   authorization_kind      NOT NULL DEFAULT 'code',
    status                 authorization_status    NOT NULL DEFAULT 'pending',
    redirect_uri           text,
    response_type          text,
    response_mode          text,
    scopes                 text_list               NOT NULL,
    state                  text,
    nonce                  text,
    code_challenge         short_text,
    code_challenge_method  code_challenge_method,
    resources              text_list,
    authorization_details  stored_array,
    claims                 stored_object,
    request                stored_object,
    request_uri            stored_token_digest,
    request_uri_expires_at timestamptz,
    expires_at             timestamptz,
    user_id                user_id,
    session_id             session_id,
    reference_id           stored_reference_id,
    granted_scopes         text_list,
    auth_time              timestamptz,
    acr                    short_text,
    amr                    text_list,
    decided_at             timestamptz,
    bound                  boolean                 NOT NULL DEFAULT false,
    user_epoch             bigint,
    client_epoch           bigint,
    pair_epoch             bigint,
    code                   stored_token_digest,
    code_expires_at        timestamptz,
    redeemed_at            timestamptz,
    redeemed_as            access_token_id,
    confirmation           stored_confirmation,
    act                    stored_object,
    may_act                stored_object,
    max_expires_at         timestamptz,
    revoked_at             timestamptz,
    revoked_reason         revocation_reason,
    data                   stored_object,
    CONSTRAINT oauth_authorization_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_authorization_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT oauth_authorization_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    CONSTRAINT oauth_authorization_session_id_fkey FOREIGN KEY (session_id) REFERENCES session (id) ON DELETE SET NULL,
    CONSTRAINT oauth_authorization_challenge_names_method CHECK ((code_challenge IS NULL) = (code_challenge_method IS NULL)),
    CONSTRAINT oauth_authorization_approval_is_whole CHECK (
        status <> 'approved'
        OR (user_id IS NOT NULL AND granted_scopes IS NOT NULL AND user_epoch IS NOT NULL AND client_epoch IS NOT NULL AND pair_epoch IS NOT NULL)
    ),
    -- as is_within, which the migration of the routines creates
    CONSTRAINT oauth_authorization_granted_within_asked CHECK (
        CASE WHEN cardinality(granted_scopes) <= 32 THEN granted_scopes <@ scopes ELSE jsonb_object(scopes, scopes) ?& granted_scopes END
    ),
    CONSTRAINT oauth_authorization_code_is_whole CHECK (code IS NULL OR (status = 'approved' AND code_expires_at IS NOT NULL)),
    CONSTRAINT oauth_authorization_revoked_for_reason CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX oauth_authorization_code_uidx ON oauth_authorization (code) WHERE code IS NOT NULL;
CREATE UNIQUE INDEX oauth_authorization_request_uri_uidx ON oauth_authorization (request_uri) WHERE request_uri IS NOT NULL;
CREATE INDEX oauth_authorization_client_id_idx ON oauth_authorization (client_id, created_at, id);
CREATE INDEX oauth_authorization_user_id_idx ON oauth_authorization (user_id, created_at, id);
CREATE INDEX oauth_authorization_session_id_idx ON oauth_authorization (session_id);
CREATE INDEX oauth_authorization_expires_at_idx ON oauth_authorization (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX oauth_authorization_revoked_at_idx ON oauth_authorization (revoked_at) WHERE revoked_at IS NOT NULL;

COMMENT ON TABLE oauth_authorization IS 'One decision of a user about a client, from the request to the last token that descends from it: the family. Liveness is derived (is_live).';
COMMENT ON COLUMN oauth_authorization.kind IS 'What the family began with.';
COMMENT ON COLUMN oauth_authorization.status IS 'pending until the user has decided.';
COMMENT ON COLUMN oauth_authorization.redirect_uri IS 'redirect_uri of the request (RFC 6749, section 4.1.1); NULL if it carried none.';
COMMENT ON COLUMN oauth_authorization.response_type IS 'response_type of the request.';
COMMENT ON COLUMN oauth_authorization.response_mode IS 'response_mode of the request.';
COMMENT ON COLUMN oauth_authorization.scopes IS 'Scopes that the request asked for.';
COMMENT ON COLUMN oauth_authorization.state IS 'state of the request, returned to the client.';
COMMENT ON COLUMN oauth_authorization.nonce IS 'nonce of the request, for the ID token.';
COMMENT ON COLUMN oauth_authorization.code_challenge IS 'PKCE challenge (RFC 7636, section 4.3).';
COMMENT ON COLUMN oauth_authorization.code_challenge_method IS 'How the challenge is derived from the verifier (RFC 7636, section 4.2).';
COMMENT ON COLUMN oauth_authorization.resources IS 'Resource indicators that the request asked for (RFC 8707); NULL if none.';
COMMENT ON COLUMN oauth_authorization.authorization_details IS 'authorization_details of the request (RFC 9396).';
COMMENT ON COLUMN oauth_authorization.claims IS 'The claims parameter (OpenID Connect Core, section 5.5).';
COMMENT ON COLUMN oauth_authorization.request IS 'Other parameters of the request, such as prompt, max_age, login_hint and ui_locales: a JSON object.';
COMMENT ON COLUMN oauth_authorization.request_uri IS 'Digest of the request_uri of a pushed request (RFC 9126); NULL once it is used.';
COMMENT ON COLUMN oauth_authorization.request_uri_expires_at IS 'When the request_uri expires.';
COMMENT ON COLUMN oauth_authorization.expires_at IS 'When the request lapses or, once it is approved, the approval. NULL once the code is redeemed: then the expiry of the tokens counts.';
COMMENT ON COLUMN oauth_authorization.user_id IS 'Who decided.';
COMMENT ON COLUMN oauth_authorization.session_id IS 'The session in which the user decided.';
COMMENT ON COLUMN oauth_authorization.reference_id IS 'The tenant in which the user decided.';
COMMENT ON COLUMN oauth_authorization.granted_scopes IS 'Scopes that the user granted: a subset of scopes.';
COMMENT ON COLUMN oauth_authorization.auth_time IS 'When the user last authenticated (auth_time of OpenID Connect Core, section 2).';
COMMENT ON COLUMN oauth_authorization.acr IS 'Authentication context class reference.';
COMMENT ON COLUMN oauth_authorization.amr IS 'Authentication methods (RFC 8176).';
COMMENT ON COLUMN oauth_authorization.decided_at IS 'When the user approved or denied.';
COMMENT ON COLUMN oauth_authorization.bound IS 'Whether the family is live only while its session is: it was granted in a session, without offline_access. Written once, at the grant.';
COMMENT ON COLUMN oauth_authorization.user_epoch IS 'grants_epoch of the user at the grant.';
COMMENT ON COLUMN oauth_authorization.client_epoch IS 'grants_epoch of the client at the grant.';
COMMENT ON COLUMN oauth_authorization.pair_epoch IS 'pair_epoch() of the user, client and tenant at the grant.';
COMMENT ON COLUMN oauth_authorization.code IS 'Digest of the authorization code. It is kept after redemption, so that a replay is recognised.';
COMMENT ON COLUMN oauth_authorization.code_expires_at IS 'When the code expires.';
COMMENT ON COLUMN oauth_authorization.redeemed_at IS 'When the code was redeemed. That happens once.';
COMMENT ON COLUMN oauth_authorization.redeemed_as IS 'Id of the access token that the redemption issued. A repeated call names the same one.';
COMMENT ON COLUMN oauth_authorization.confirmation IS 'The key to which the family is bound (RFC 7800; dpop_jkt of RFC 9449, section 10). NULL means none.';
COMMENT ON COLUMN oauth_authorization.act IS 'Who acts for the user (RFC 8693, section 4.1).';
COMMENT ON COLUMN oauth_authorization.may_act IS 'Who may act for the user (RFC 8693, section 4.4).';
COMMENT ON COLUMN oauth_authorization.max_expires_at IS 'Upper bound of the expiry of the family''s tokens. NULL means none.';
COMMENT ON COLUMN oauth_authorization.revoked_at IS 'When the family was ended. Its tokens are dead.';
COMMENT ON COLUMN oauth_authorization.revoked_reason IS 'Why the family was ended.';
COMMENT ON COLUMN oauth_authorization.data IS 'Data that a library on top keeps with the authorization.';

CREATE TABLE oauth_refresh_token (
    id                         stored_refresh_token_id NOT NULL,
    created_at                 timestamptz             NOT NULL DEFAULT now(),
    updated_at                 timestamptz             NOT NULL DEFAULT now(),
    token                      stored_token_digest     NOT NULL,
    client_id                  client_id               NOT NULL,
    session_id                 session_id,
    user_id                    user_id                 NOT NULL,
    reference_id               stored_reference_id,
    expires_at                 timestamptz,
    revoked                    timestamptz,
    scopes                     text_list               NOT NULL,
    auth_time                  timestamptz,
    resources                  text_list,
    authorization_details      stored_array,
    confirmation               stored_confirmation,
    authorization_code_id      authorization_id,
    authorization_id           authorization_id        NOT NULL,
    successor                  stored_token_digest,
    successor_id               refresh_token_id,
    access_token_expires_at    timestamptz,
    data                       stored_object,
    requested_user_info_claims text_list,
    rotated_at                 timestamptz,
    rotation_replay_response   text,
    rotation_replay_expires_at timestamptz,
    CONSTRAINT oauth_refresh_token_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_refresh_token_token_uidx UNIQUE (token),
    CONSTRAINT oauth_refresh_token_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT oauth_refresh_token_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    CONSTRAINT oauth_refresh_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES session (id) ON DELETE SET NULL,
    CONSTRAINT oauth_refresh_token_authorization_id_fkey FOREIGN KEY (authorization_id) REFERENCES oauth_authorization (id) ON DELETE CASCADE,
    CONSTRAINT oauth_refresh_token_rotated_is_revoked CHECK ((successor IS NULL) = (successor_id IS NULL) AND (successor IS NULL OR revoked IS NOT NULL))
) WITH (fillfactor = 80);

CREATE INDEX oauth_refresh_token_client_id_idx ON oauth_refresh_token (client_id);
CREATE INDEX oauth_refresh_token_user_id_idx ON oauth_refresh_token (user_id);
CREATE INDEX oauth_refresh_token_session_id_idx ON oauth_refresh_token (session_id);
CREATE INDEX oauth_refresh_token_authorization_id_idx ON oauth_refresh_token (authorization_id);
CREATE INDEX oauth_refresh_token_expires_at_idx ON oauth_refresh_token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX oauth_refresh_token_without_expiry_idx ON oauth_refresh_token (id) WHERE expires_at IS NULL;

COMMENT ON TABLE oauth_refresh_token IS 'Refresh tokens (RFC 6749, section 1.5). Spent ones are kept, so that reuse is recognised.';
COMMENT ON COLUMN oauth_refresh_token.token IS 'Digest of the refresh token.';
COMMENT ON COLUMN oauth_refresh_token.expires_at IS 'When the token expires. NULL means never.';
COMMENT ON COLUMN oauth_refresh_token.revoked IS 'When the token was spent. A spent token has a successor, unless another server spent it.';
COMMENT ON COLUMN oauth_refresh_token.scopes IS 'Scopes that the token can still grant.';
COMMENT ON COLUMN oauth_refresh_token.reference_id IS 'The tenant in which the grant was made.';
COMMENT ON COLUMN oauth_refresh_token.auth_time IS 'When the user last authenticated.';
COMMENT ON COLUMN oauth_refresh_token.resources IS 'Resource indicators of the grant (RFC 8707).';
COMMENT ON COLUMN oauth_refresh_token.authorization_details IS 'authorization_details of the grant (RFC 9396).';
COMMENT ON COLUMN oauth_refresh_token.confirmation IS 'The key to which the token is bound (RFC 7800).';
COMMENT ON COLUMN oauth_refresh_token.authorization_code_id IS 'Identifier of what the grant began with, carried through every rotation: another server''s own, or authorization_id.';
COMMENT ON COLUMN oauth_refresh_token.authorization_id IS 'The family. A trigger sets it for a server that doesn''t know the column.';
COMMENT ON COLUMN oauth_refresh_token.successor IS 'Digest of the token that replaced this one when it was rotated.';
COMMENT ON COLUMN oauth_refresh_token.successor_id IS 'Primary key of the successor. No foreign key: either row may be collected first.';
COMMENT ON COLUMN oauth_refresh_token.access_token_expires_at IS 'Expiry of the last access token that was issued with this one and has no row.';
COMMENT ON COLUMN oauth_refresh_token.data IS 'Data that a library on top keeps with the token.';
COMMENT ON COLUMN oauth_refresh_token.requested_user_info_claims IS 'For a better-auth server, like the columns after it: what the claims parameter asked for.';
COMMENT ON COLUMN oauth_refresh_token.rotated_at IS 'When a better-auth server rotated the token. RotateRefreshToken sets revoked and successor instead.';
COMMENT ON COLUMN oauth_refresh_token.rotation_replay_response IS 'The answer that a better-auth server repeats to a retry, encrypted by it.';
COMMENT ON COLUMN oauth_refresh_token.rotation_replay_expires_at IS 'How long a better-auth server repeats that answer.';

CREATE TABLE oauth_access_token (
    id                         stored_access_token_id  NOT NULL,
    created_at                 timestamptz             NOT NULL DEFAULT now(),
    updated_at                 timestamptz             NOT NULL DEFAULT now(),
    token                      stored_token_digest,
    client_id                  client_id               NOT NULL,
    session_id                 session_id,
    user_id                    user_id,
    reference_id               stored_reference_id,
    refresh_id                 refresh_token_id,
    expires_at                 timestamptz,
    scopes                     text_list               NOT NULL,
    revoked                    timestamptz,
    resources                  text_list,
    authorization_details      stored_array,
    confirmation               stored_confirmation,
    authorization_code_id      authorization_id,
    authorization_id           authorization_id,
    act                        stored_object,
    client_epoch               bigint,
    pair_epoch                 bigint,
    data                       stored_object,
    requested_user_info_claims text_list,
    CONSTRAINT oauth_access_token_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_access_token_token_uidx UNIQUE (token),
    CONSTRAINT oauth_access_token_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES session (id) ON DELETE SET NULL,
    CONSTRAINT oauth_access_token_authorization_id_fkey FOREIGN KEY (authorization_id) REFERENCES oauth_authorization (id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_refresh_id_fkey FOREIGN KEY (refresh_id) REFERENCES oauth_refresh_token (id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_is_of_a_family_or_of_the_client CHECK (
        (user_id IS NULL) = (authorization_id IS NULL) AND (authorization_id IS NOT NULL OR client_epoch IS NOT NULL)
    )
);

CREATE INDEX oauth_access_token_client_id_idx ON oauth_access_token (client_id);
CREATE INDEX oauth_access_token_user_id_idx ON oauth_access_token (user_id);
CREATE INDEX oauth_access_token_session_id_idx ON oauth_access_token (session_id);
CREATE INDEX oauth_access_token_refresh_id_idx ON oauth_access_token (refresh_id);
CREATE INDEX oauth_access_token_authorization_id_idx ON oauth_access_token (authorization_id);
CREATE INDEX oauth_access_token_expires_at_idx ON oauth_access_token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX oauth_access_token_without_expiry_idx ON oauth_access_token (id) WHERE expires_at IS NULL;

COMMENT ON TABLE oauth_access_token IS 'Access tokens (RFC 6749, section 1.4), opaque or JWT.';
COMMENT ON COLUMN oauth_access_token.token IS 'Digest of the access token; NULL for a JWT, which is known by its id (jti).';
COMMENT ON COLUMN oauth_access_token.user_id IS 'The subject; NULL for a client that acts for itself (client credentials).';
COMMENT ON COLUMN oauth_access_token.reference_id IS 'The tenant in which the grant was made.';
COMMENT ON COLUMN oauth_access_token.refresh_id IS 'The refresh token that was issued with it or, after a retry, that was presented for it.';
COMMENT ON COLUMN oauth_access_token.expires_at IS 'When the token expires. NULL means never.';
COMMENT ON COLUMN oauth_access_token.scopes IS 'Scopes of the token.';
COMMENT ON COLUMN oauth_access_token.revoked IS 'When this token alone was revoked.';
COMMENT ON COLUMN oauth_access_token.resources IS 'Resource indicators of the token: its audience (RFC 8707).';
COMMENT ON COLUMN oauth_access_token.authorization_details IS 'authorization_details of the token (RFC 9396).';
COMMENT ON COLUMN oauth_access_token.confirmation IS 'The key to which the token is bound (RFC 7800).';
COMMENT ON COLUMN oauth_access_token.authorization_code_id IS 'Identifier of what the grant began with: another server''s own, or authorization_id.';
COMMENT ON COLUMN oauth_access_token.authorization_id IS 'The family; NULL for a client''s own token. A trigger sets it for a server that doesn''t know the column.';
COMMENT ON COLUMN oauth_access_token.act IS 'Who acts for the user (RFC 8693, section 4.1).';
COMMENT ON COLUMN oauth_access_token.client_epoch IS 'grants_epoch of the client when a client''s own token, or an exchanged one, was issued.';
COMMENT ON COLUMN oauth_access_token.pair_epoch IS 'pair_epoch() of the user, client and tenant when an exchanged token was issued.';
COMMENT ON COLUMN oauth_access_token.data IS 'Data that a library on top keeps with the token.';
COMMENT ON COLUMN oauth_access_token.requested_user_info_claims IS 'For a better-auth server: what the claims parameter asked for.';

-- +goose Down

DROP TABLE oauth_access_token;
DROP TABLE oauth_refresh_token;
DROP TABLE oauth_authorization;
DROP TYPE outcome;
DROP TYPE token_kind;
DROP TYPE revocation_reason;
DROP TYPE authorization_kind;
DROP TYPE authorization_status;
DROP DOMAIN code_challenge_method;
DROP DOMAIN stored_confirmation;
DROP DOMAIN stored_refresh_token_id;
DROP DOMAIN stored_access_token_id;
DROP DOMAIN stored_authorization_id;
DROP DOMAIN token_confirmation;
DROP DOMAIN refresh_token_id;
DROP DOMAIN access_token_id;
DROP DOMAIN authorization_id;

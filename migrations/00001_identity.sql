-- +goose Up

-- Identifiers are domains over text, so that sqlc gives each a Go type of its own. Parameters have the plain domain, which has no checks:
-- looking up a malformed identifier finds nothing and is no error. Columns have a domain over it, which checks what is stored.
-- COLLATE "C" compares bytes, so the order is the same in every database.
CREATE DOMAIN user_id AS text COLLATE "C";
CREATE DOMAIN session_id AS text COLLATE "C";
CREATE DOMAIN account_id AS text COLLATE "C";
CREATE DOMAIN verification_id AS text COLLATE "C";
CREATE DOMAIN reference_id AS text COLLATE "C";
CREATE DOMAIN token_digest AS text COLLATE "C";

COMMENT ON DOMAIN user_id IS 'Primary key of "user"; the subject (sub) of tokens.';
COMMENT ON DOMAIN session_id IS 'Primary key of session; the sid of OpenID Connect logout.';
COMMENT ON DOMAIN account_id IS 'Primary key of account.';
COMMENT ON DOMAIN verification_id IS 'Primary key of verification.';
COMMENT ON DOMAIN reference_id IS 'Opaque pointer to a tenant, such as an organisation.';
COMMENT ON DOMAIN token_digest IS 'base64url(SHA-256(credential)) without padding, 43 characters. The credential itself is never stored.';

CREATE DOMAIN stored_user_id AS user_id CONSTRAINT user_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN stored_session_id AS session_id CONSTRAINT session_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN stored_account_id AS account_id CONSTRAINT account_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN stored_verification_id AS verification_id CONSTRAINT verification_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN stored_reference_id AS reference_id CONSTRAINT reference_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
-- Length and characters are checked apart: one regular expression for both takes eight times as long.
CREATE DOMAIN stored_token_digest AS token_digest CONSTRAINT token_digest_is_digest CHECK (octet_length(VALUE) = 43 AND VALUE ~ '^[A-Za-z0-9_-]*$');
CREATE DOMAIN session_cookie AS token_digest CONSTRAINT session_token_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN email_address AS text CONSTRAINT user_email_is_address CHECK (octet_length(VALUE) <= 320 AND VALUE COLLATE "C" ~ '^[^[:space:]@]+@[^[:space:]@]+$');
CREATE DOMAIN short_text AS text CONSTRAINT short_text_length CHECK (octet_length(VALUE) <= 4096);
-- Not empty: else a caller that leaves the identity out would find the account of whoever was stored without one.
CREATE DOMAIN provider_text AS text CONSTRAINT provider_text_length CHECK (octet_length(VALUE) BETWEEN 1 AND 4096);
CREATE DOMAIN text_list AS text[] CONSTRAINT text_list_is_flat CHECK (CASE WHEN array_ndims(VALUE) > 1 THEN false ELSE array_position(VALUE, NULL) IS NULL END);
CREATE DOMAIN finite_timestamptz AS timestamptz CONSTRAINT timestamptz_is_finite CHECK (isfinite(VALUE));
-- No deeper than 32 levels: encoding/json can't read more than 10,000, so a stored row could become unreadable.
CREATE DOMAIN stored_object AS jsonb CONSTRAINT object_is_small CHECK (
    jsonb_typeof(VALUE) = 'object' AND pg_column_size(VALUE) <= 65536 AND NOT jsonb_path_exists(VALUE, 'strict $.**{33}')
);
CREATE DOMAIN stored_array AS jsonb CONSTRAINT array_is_small CHECK (
    jsonb_typeof(VALUE) = 'array' AND pg_column_size(VALUE) <= 65536 AND NOT jsonb_path_exists(VALUE, 'strict $.**{33}')
);

COMMENT ON DOMAIN stored_user_id IS 'A user_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_session_id IS 'A session_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_account_id IS 'An account_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_verification_id IS 'A verification_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_reference_id IS 'A reference_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_token_digest IS 'A digest as it is stored: 43 base64url characters.';
COMMENT ON DOMAIN session_cookie IS 'Digest of a session cookie. A better-auth server keeps the cookie''s own value, so only the length is checked.';
COMMENT ON DOMAIN email_address IS 'An e-mail address: something before an @, something after it, no spaces, 320 bytes at most.';
COMMENT ON DOMAIN short_text IS 'Text of 4096 bytes at most.';
COMMENT ON DOMAIN provider_text IS 'The name of an identity provider, or its identifier of a user: 1 to 4096 bytes.';
COMMENT ON DOMAIN text_list IS 'A list of texts, none of them NULL.';
COMMENT ON DOMAIN finite_timestamptz IS 'A finite time. NULL means never, not infinity.';
COMMENT ON DOMAIN stored_object IS 'A JSON object of 64 KiB and 32 levels at most.';
COMMENT ON DOMAIN stored_array IS 'A JSON array of 64 KiB and 32 levels at most.';

CREATE TABLE "user" (
    id             stored_user_id NOT NULL,
    created_at     timestamptz    NOT NULL DEFAULT now(),
    updated_at     timestamptz    NOT NULL DEFAULT now(),
    name           short_text     NOT NULL,
    email          email_address,
    email_verified boolean        NOT NULL DEFAULT false,
    image          text,
    grants_epoch   bigint         NOT NULL DEFAULT 0,
    sessions_epoch bigint         NOT NULL DEFAULT 0,
    ended_grants   stored_object    NOT NULL DEFAULT '{}',
    suspended_at   timestamptz,
    deleted_at     timestamptz,
    CONSTRAINT user_pkey PRIMARY KEY (id)
);

-- Only ASCII case is folded, whatever the locale of the database. PostgreSQL doesn't count an index on an expression as a key when it locks
-- rows, so an address can be changed without waiting for an open grant.
CREATE UNIQUE INDEX user_email_uidx ON "user" (lower(email COLLATE "C"));
-- For servers that look an address up as it stands.
CREATE INDEX user_email_idx ON "user" (email);
CREATE INDEX user_created_at_idx ON "user" (created_at, id);
CREATE INDEX user_deleted_at_idx ON "user" (deleted_at) WHERE deleted_at IS NOT NULL;

COMMENT ON TABLE "user" IS 'People who sign in: the resource owners.';
COMMENT ON COLUMN "user".id IS 'The subject (sub) of tokens. The caller makes it.';
COMMENT ON COLUMN "user".name IS 'Display name.';
COMMENT ON COLUMN "user".email IS 'E-mail address, unique without regard to ASCII case; NULL if the user has none.';
COMMENT ON COLUMN "user".email_verified IS 'Whether the user has proven to own the address.';
COMMENT ON COLUMN "user".image IS 'URL of a picture.';
COMMENT ON COLUMN "user".grants_epoch IS 'How often all grants of the user were ended. A grant is live only while this is what it was at the grant.';
COMMENT ON COLUMN "user".sessions_epoch IS 'How often all sessions of the user were ended. A session is live only while this is its user_sessions_epoch.';
COMMENT ON COLUMN "user".ended_grants IS 'How often the grants of one client were ended: {client: {"": in all tenants, "-": without a tenant, "."||tenant: in that one}}. Counters only rise; raising grants_epoch empties the map.';
COMMENT ON COLUMN "user".suspended_at IS 'When the user was suspended. Until that is lifted, nothing of the user''s is live and nothing is granted.';
COMMENT ON COLUMN "user".deleted_at IS 'When the user was deleted. The row stays, without personal data, until the collector has erased everything that refers to it.';

CREATE TABLE session (
    id                  stored_session_id NOT NULL,
    created_at          timestamptz       NOT NULL DEFAULT now(),
    updated_at          timestamptz       NOT NULL DEFAULT now(),
    expires_at          timestamptz       NOT NULL,
    token               session_cookie    NOT NULL,
    ip_address          short_text,
    user_agent          short_text,
    user_id             user_id           NOT NULL,
    user_sessions_epoch bigint            NOT NULL DEFAULT 0,
    ended_at            timestamptz,
    last_seen_at        timestamptz,
    label               short_text,
    acr                 short_text,
    amr                 text_list,
    auth_time           timestamptz,
    CONSTRAINT session_pkey PRIMARY KEY (id),
    CONSTRAINT session_token_uidx UNIQUE (token),
    CONSTRAINT session_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT session_ended_has_expired CHECK (ended_at IS NULL OR expires_at <= ended_at)
);

CREATE INDEX session_user_id_idx ON session (user_id, created_at, id);
CREATE INDEX session_expires_at_idx ON session (expires_at);

COMMENT ON TABLE session IS 'Signed-in browsers. A session is live while it has neither ended nor expired, its user_sessions_epoch is the user''s sessions_epoch, and the user is neither suspended nor deleted.';
COMMENT ON COLUMN session.expires_at IS 'When the session expires. ExtendSession moves it.';
COMMENT ON COLUMN session.token IS 'Digest of the session cookie.';
COMMENT ON COLUMN session.ip_address IS 'Where the user signed in from, as the server saw it.';
COMMENT ON COLUMN session.user_agent IS 'User-Agent header at sign-in.';
COMMENT ON COLUMN session.user_sessions_epoch IS 'sessions_epoch of the user when the session began, set by a trigger.';
COMMENT ON COLUMN session.ended_at IS 'When the session was ended. expires_at is no later, for servers that read only that.';
COMMENT ON COLUMN session.last_seen_at IS 'When the session was last extended.';
COMMENT ON COLUMN session.label IS 'Name of the device for a settings page.';
COMMENT ON COLUMN session.acr IS 'Authentication context class reference (OpenID Connect Core, section 2).';
COMMENT ON COLUMN session.amr IS 'Authentication methods (RFC 8176).';
COMMENT ON COLUMN session.auth_time IS 'When the user last authenticated in the session (auth_time of OpenID Connect Core, section 2).';

CREATE TABLE account (
    id                       stored_account_id NOT NULL,
    created_at               timestamptz       NOT NULL DEFAULT now(),
    updated_at               timestamptz       NOT NULL DEFAULT now(),
    account_id               provider_text     NOT NULL,
    provider_id              provider_text     NOT NULL,
    user_id                  user_id           NOT NULL,
    access_token             text,
    refresh_token            text,
    id_token                 text,
    access_token_expires_at  finite_timestamptz,
    refresh_token_expires_at finite_timestamptz,
    scope                    text,
    password                 text,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_provider_account_uidx UNIQUE (provider_id, account_id),
    CONSTRAINT account_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE
);

CREATE INDEX account_user_id_idx ON account (user_id);

COMMENT ON TABLE account IS 'Ways for users to sign in: a password (provider_id ''credential''), or an identity at another provider.';
COMMENT ON COLUMN account.account_id IS 'The user''s identifier at the provider. For a password: the user''s own id.';
COMMENT ON COLUMN account.provider_id IS '''credential'' for a password, otherwise the name of the other provider.';
COMMENT ON COLUMN account.access_token IS 'The other provider''s access token, as the caller encrypted it.';
COMMENT ON COLUMN account.refresh_token IS 'The other provider''s refresh token, as the caller encrypted it.';
COMMENT ON COLUMN account.id_token IS 'The other provider''s ID token, as the caller encrypted it.';
COMMENT ON COLUMN account.scope IS 'The scope that the other provider granted, in its own notation.';
COMMENT ON COLUMN account.password IS 'Password hash, argon2id for example, in the notation of the hasher.';

CREATE TABLE verification (
    id         stored_verification_id NOT NULL,
    created_at timestamptz            NOT NULL DEFAULT now(),
    updated_at timestamptz            NOT NULL DEFAULT now(),
    identifier text                   NOT NULL,
    value      text                   NOT NULL,
    expires_at finite_timestamptz     NOT NULL,
    CONSTRAINT verification_pkey PRIMARY KEY (id)
);

CREATE INDEX verification_identifier_idx ON verification (identifier);
CREATE INDEX verification_expires_at_idx ON verification (expires_at);

COMMENT ON TABLE verification IS 'Short-lived values of a better-auth server, such as authorization codes and e-mail verifications.';
COMMENT ON COLUMN verification.identifier IS 'The key by which the value is looked up.';
COMMENT ON COLUMN verification.value IS 'The value, in the notation of the server.';
COMMENT ON COLUMN verification.expires_at IS 'When the value expires.';

-- +goose Down

DROP TABLE verification;
DROP TABLE account;
DROP TABLE session;
DROP TABLE "user";
DROP DOMAIN stored_array;
DROP DOMAIN stored_object;
DROP DOMAIN finite_timestamptz;
DROP DOMAIN text_list;
DROP DOMAIN provider_text;
DROP DOMAIN short_text;
DROP DOMAIN email_address;
DROP DOMAIN session_cookie;
DROP DOMAIN stored_token_digest;
DROP DOMAIN stored_reference_id;
DROP DOMAIN stored_verification_id;
DROP DOMAIN stored_account_id;
DROP DOMAIN stored_session_id;
DROP DOMAIN stored_user_id;
DROP DOMAIN token_digest;
DROP DOMAIN reference_id;
DROP DOMAIN verification_id;
DROP DOMAIN account_id;
DROP DOMAIN session_id;
DROP DOMAIN user_id;

-- +goose Up

-- Identifiers are domains over text, so that sqlc maps each to a Go type of its own. They are unconstrained: rows that
-- another server wrote keep the form of its identifiers. Checks stand on the tables.
CREATE DOMAIN user_id AS text;
CREATE DOMAIN session_id AS text;
CREATE DOMAIN account_id AS text;
CREATE DOMAIN reference_id AS text;
CREATE DOMAIN token_digest AS text;

COMMENT ON DOMAIN user_id IS 'Primary key of "user"; the subject (sub) of tokens.';
COMMENT ON DOMAIN session_id IS 'Primary key of session; the sid of OpenID Connect logout.';
COMMENT ON DOMAIN account_id IS 'Primary key of account.';
COMMENT ON DOMAIN reference_id IS 'Opaque pointer to a tenant, such as an organisation.';
COMMENT ON DOMAIN token_digest IS 'base64url(SHA-256(credential as presented)), unpadded: 43 characters. Never the credential itself.';

CREATE TABLE "user" (
    id             user_id     NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    name           text        NOT NULL,
    email          text        NOT NULL,
    email_verified boolean     NOT NULL DEFAULT false,
    image          text,
    CONSTRAINT user_pkey PRIMARY KEY (id),
    CONSTRAINT user_email_uidx UNIQUE (email),
    CONSTRAINT user_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
    CONSTRAINT user_name_length CHECK (char_length(name) <= 1024),
    CONSTRAINT user_email_is_address CHECK (octet_length(email) <= 320 AND email ~ '^[^\s@]+@[^\s@]+$')
);

-- Two addresses that differ in case only are one mailbox nearly everywhere, and an account takeover where they are not.
CREATE UNIQUE INDEX user_email_lower_uidx ON "user" (lower(email));
CREATE INDEX user_created_at_idx ON "user" (created_at, id);

COMMENT ON TABLE "user" IS 'People who sign in: the resource owners.';
COMMENT ON COLUMN "user".id IS 'The subject (sub) of tokens. Written by the caller.';
COMMENT ON COLUMN "user".name IS 'Display name.';
COMMENT ON COLUMN "user".email IS 'E-mail address, unique whatever its case.';
COMMENT ON COLUMN "user".email_verified IS 'Whether the address has been proven to be the user''s.';
COMMENT ON COLUMN "user".image IS 'URL of a picture.';

CREATE TABLE session (
    id         session_id   NOT NULL,
    created_at timestamptz  NOT NULL DEFAULT now(),
    updated_at timestamptz  NOT NULL DEFAULT now(),
    expires_at timestamptz  NOT NULL,
    token      token_digest NOT NULL,
    ip_address text,
    user_agent text,
    user_id    user_id      NOT NULL,
    CONSTRAINT session_pkey PRIMARY KEY (id),
    CONSTRAINT session_token_uidx UNIQUE (token),
    CONSTRAINT session_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT session_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
    CONSTRAINT session_token_length CHECK (octet_length(token) BETWEEN 1 AND 255),
    CONSTRAINT session_ip_address_length CHECK (octet_length(ip_address) <= 255),
    CONSTRAINT session_user_agent_length CHECK (octet_length(user_agent) <= 4096)
);

CREATE INDEX session_user_id_idx ON session (user_id, created_at, id);
CREATE INDEX session_expires_at_idx ON session (expires_at);

COMMENT ON TABLE session IS 'Signed-in browsers. Ends by deletion (EndSession), or is collected once it has expired.';
COMMENT ON COLUMN session.expires_at IS 'The session is over from this instant on; it slides by ExtendSession.';
COMMENT ON COLUMN session.token IS 'Digest of the session cookie. (A better-auth server keeps the cookie''s own value here, so the length is not checked.)';
COMMENT ON COLUMN session.ip_address IS 'Where the user signed in from, as the server saw it.';
COMMENT ON COLUMN session.user_agent IS 'User-Agent header at sign-in.';

CREATE TABLE account (
    id                       account_id  NOT NULL,
    created_at               timestamptz NOT NULL DEFAULT now(),
    updated_at               timestamptz NOT NULL DEFAULT now(),
    account_id               text        NOT NULL,
    provider_id              text        NOT NULL,
    user_id                  user_id     NOT NULL,
    access_token             text,
    refresh_token            text,
    id_token                 text,
    access_token_expires_at  timestamptz,
    refresh_token_expires_at timestamptz,
    scope                    text,
    password                 text,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_provider_account_uidx UNIQUE (provider_id, account_id),
    CONSTRAINT account_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT account_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
    CONSTRAINT account_account_id_length CHECK (octet_length(account_id) BETWEEN 1 AND 1024),
    CONSTRAINT account_provider_id_length CHECK (octet_length(provider_id) BETWEEN 1 AND 255)
);

CREATE INDEX account_user_id_idx ON account (user_id);

COMMENT ON TABLE account IS 'Ways to sign in: a password (provider_id ''credential''), or an identity at another provider.';
COMMENT ON COLUMN account.account_id IS 'The user''s identifier at the provider; for a password, the user''s own id.';
COMMENT ON COLUMN account.provider_id IS '''credential'' for a password, otherwise the name of the other provider.';
COMMENT ON COLUMN account.access_token IS 'The other provider''s access token, as the caller encrypted it.';
COMMENT ON COLUMN account.refresh_token IS 'The other provider''s refresh token, as the caller encrypted it.';
COMMENT ON COLUMN account.id_token IS 'The other provider''s ID token, as the caller encrypted it.';
COMMENT ON COLUMN account.scope IS 'What the other provider granted, as it wrote it.';
COMMENT ON COLUMN account.password IS 'Password hash (argon2id, say), in the hasher''s own notation.';

-- +goose Down

DROP TABLE account;
DROP TABLE session;
DROP TABLE "user";
DROP DOMAIN token_digest;
DROP DOMAIN reference_id;
DROP DOMAIN account_id;
DROP DOMAIN session_id;
DROP DOMAIN user_id;

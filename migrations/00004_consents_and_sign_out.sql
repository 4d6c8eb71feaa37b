-- +goose Up

CREATE DOMAIN consent_id AS text COLLATE "C";
CREATE DOMAIN session_client_id AS text COLLATE "C";

COMMENT ON DOMAIN consent_id IS 'Primary key of oauth_consent.';
COMMENT ON DOMAIN session_client_id IS 'Primary key of session_client.';

CREATE DOMAIN stored_consent_id AS consent_id CONSTRAINT consent_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);

COMMENT ON DOMAIN stored_consent_id IS 'A consent_id as it is stored: 1 to 255 bytes.';

CREATE TABLE oauth_consent (
    id                         stored_consent_id   NOT NULL,
    created_at                 timestamptz         NOT NULL DEFAULT now(),
    updated_at                 timestamptz         NOT NULL DEFAULT now(),
    client_id                  client_id           NOT NULL,
    user_id                    user_id,
    reference_id               stored_reference_id,
    scopes                     text_list           NOT NULL,
    resource_scopes            stored_object,
    user_epoch                 bigint              NOT NULL DEFAULT 0,
    pair_epoch                 bigint              NOT NULL DEFAULT 0,
    resources                  text_list,
    requested_user_info_claims text_list,
    CONSTRAINT oauth_consent_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_consent_client_user_uidx UNIQUE (client_id, user_id),
    CONSTRAINT oauth_consent_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    CONSTRAINT oauth_consent_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE
);

CREATE INDEX oauth_consent_client_id_idx ON oauth_consent (client_id);
CREATE INDEX oauth_consent_user_id_idx ON oauth_consent (user_id);

COMMENT ON TABLE oauth_consent IS 'What a user has agreed to for a client. A user and client have at most one row, so a consent is in one tenant at a time. It counts only while its epochs are the user''s (consent_counts).';
COMMENT ON COLUMN oauth_consent.user_id IS 'The user who agreed.';
COMMENT ON COLUMN oauth_consent.reference_id IS 'The tenant in which the user agreed. A consent given in one tenant never serves another.';
COMMENT ON COLUMN oauth_consent.scopes IS 'Scopes that the user agreed to without a resource.';
COMMENT ON COLUMN oauth_consent.resource_scopes IS 'Scopes that the user agreed to at a resource: {resource: [scopes]}.';
COMMENT ON COLUMN oauth_consent.user_epoch IS 'grants_epoch of the user when the user agreed, set by a trigger.';
COMMENT ON COLUMN oauth_consent.pair_epoch IS 'pair_epoch() of the user, client and tenant when the user agreed, set by a trigger.';
COMMENT ON COLUMN oauth_consent.resources IS 'For a better-auth server, like the column after it: the resources to which the scopes apply.';
COMMENT ON COLUMN oauth_consent.requested_user_info_claims IS 'What the claims parameter asked for.';

CREATE TABLE session_client (
    id               session_client_id NOT NULL DEFAULT gen_random_uuid()::text,
    created_at       timestamptz       NOT NULL DEFAULT now(),
    updated_at       timestamptz       NOT NULL DEFAULT now(),
    session_id       session_id        NOT NULL,
    client_id        client_id         NOT NULL,
    user_id          user_id           NOT NULL,
    sub              text              NOT NULL,
    sid              text              NOT NULL,
    due_at           timestamptz,
    attempts         bigint            NOT NULL DEFAULT 0,
    lease            text,
    lease_expires_at timestamptz,
    told_at          timestamptz,
    CONSTRAINT session_client_pkey PRIMARY KEY (id),
    CONSTRAINT session_client_session_client_uidx UNIQUE (session_id, client_id),
    CONSTRAINT session_client_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE
);

CREATE INDEX session_client_client_id_idx ON session_client (client_id, id);
CREATE INDEX session_client_user_id_idx ON session_client (user_id);
CREATE INDEX session_client_due_at_idx ON session_client (due_at) WHERE due_at IS NOT NULL AND told_at IS NULL;

COMMENT ON TABLE session_client IS 'Clients that know a session, to be notified when it ends. There is no foreign key to session or user, because they may be deleted before that.';
COMMENT ON COLUMN session_client.session_id IS 'The session.';
COMMENT ON COLUMN session_client.user_id IS 'The session''s user.';
COMMENT ON COLUMN session_client.sub IS 'The user''s identifier for the client.';
COMMENT ON COLUMN session_client.sid IS 'The session''s identifier for the client (OpenID Connect Back-Channel Logout, section 2.1).';
COMMENT ON COLUMN session_client.due_at IS 'When the notification became due; NULL while the session is live.';
COMMENT ON COLUMN session_client.attempts IS 'Number of attempts to notify the client.';
COMMENT ON COLUMN session_client.lease IS 'The worker that is notifying the client.';
COMMENT ON COLUMN session_client.lease_expires_at IS 'When the lease ends.';
COMMENT ON COLUMN session_client.told_at IS 'When the client was notified.';

-- +goose Down

DROP TABLE session_client;
DROP TABLE oauth_consent;
DROP DOMAIN stored_consent_id;
DROP DOMAIN session_client_id;
DROP DOMAIN consent_id;

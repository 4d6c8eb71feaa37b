-- +goose Up

CREATE DOMAIN consent_id AS text;

COMMENT ON DOMAIN consent_id IS 'Primary key of oauth_consent.';

CREATE TABLE oauth_consent (
    id           consent_id  NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    client_id    client_id   NOT NULL,
    user_id      user_id,
    reference_id reference_id,
    scopes       text[]      NOT NULL,
    CONSTRAINT oauth_consent_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_consent_client_user_uidx UNIQUE (client_id, user_id),
    CONSTRAINT oauth_consent_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    CONSTRAINT oauth_consent_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT oauth_consent_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_consent_reference_id_length CHECK (octet_length(reference_id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_consent_scopes_hold_no_null CHECK (array_position(scopes, NULL) IS NULL)
);

CREATE INDEX oauth_consent_client_id_idx ON oauth_consent (client_id);
CREATE INDEX oauth_consent_user_id_idx ON oauth_consent (user_id, created_at, id);

COMMENT ON TABLE oauth_consent IS 'What a user has agreed to for a client: at most one row for each pair, in one tenant at a time.';
COMMENT ON COLUMN oauth_consent.user_id IS 'Who agreed.';
COMMENT ON COLUMN oauth_consent.reference_id IS 'The tenant in which the user agreed. A consent given in one tenant never serves another.';
COMMENT ON COLUMN oauth_consent.scopes IS 'Scopes that the user agreed to.';

-- +goose Down

DROP TABLE oauth_consent;
DROP DOMAIN consent_id;

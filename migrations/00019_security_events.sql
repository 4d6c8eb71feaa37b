-- +goose Up

CREATE TABLE security_event (
    id               bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    call             text        NOT NULL,
    outcome          outcome     NOT NULL,
    reason           text,
    user_id          user_id,
    client_id        client_id,
    session_id       session_id,
    authorization_id authorization_id,
    item_id          text,
    ip_address       short_text,
    CONSTRAINT security_event_pkey PRIMARY KEY (id)
);

CREATE INDEX security_event_user_id_idx ON security_event (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX security_event_client_id_idx ON security_event (client_id, id) WHERE client_id IS NOT NULL;

COMMENT ON TABLE security_event IS 'What happened to users and clients, for whoever investigates. A call writes its event itself, if the setting oauthdb.events is on. There are no foreign keys: an event outlives what it is about, until the collector deletes it by age.';
COMMENT ON COLUMN security_event.id IS 'In the order in which the events were written.';
COMMENT ON COLUMN security_event.call IS 'The call that wrote the event, by its name in package store.';
COMMENT ON COLUMN security_event.outcome IS 'What the call answered.';
COMMENT ON COLUMN security_event.reason IS 'What was amiss, where the outcome leaves it open: key, client, redirect_uri or code_challenge; or, if a proof was replayed, that it was the assertion.';
COMMENT ON COLUMN security_event.user_id IS 'The user concerned, if one is.';
COMMENT ON COLUMN security_event.client_id IS 'The client concerned, if one is.';
COMMENT ON COLUMN security_event.session_id IS 'The session concerned, if one is.';
COMMENT ON COLUMN security_event.authorization_id IS 'The family concerned, if one is.';
COMMENT ON COLUMN security_event.item_id IS 'The account, passkey, authenticator app, trusted issuer or initial access token concerned by its id, if one is.';
COMMENT ON COLUMN security_event.ip_address IS 'Where the request came from, if the caller passed it; its first 255 characters.';

-- +goose Down

DROP TABLE security_event;

-- +goose Up

CREATE DOMAIN poll_interval AS interval CONSTRAINT poll_interval_is_positive CHECK (VALUE >= interval '1 second');

COMMENT ON DOMAIN poll_interval IS 'How long a client waits between two polls: a second or more.';

CREATE TABLE oauth_polled_request (
    id                 stored_authorization_id NOT NULL,
    created_at         timestamptz             NOT NULL DEFAULT now(),
    updated_at         timestamptz             NOT NULL DEFAULT now(),
    code               stored_token_digest     NOT NULL,
    user_code          stored_token_digest,
    expires_at         finite_timestamptz      NOT NULL,
    poll_interval      poll_interval           NOT NULL,
    polled_at          timestamptz,
    refresh_token_id   refresh_token_id,
    notification_token short_text,
    CONSTRAINT oauth_polled_request_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_polled_request_code_uidx UNIQUE (code),
    CONSTRAINT oauth_polled_request_user_code_uidx UNIQUE (user_code),
    CONSTRAINT oauth_polled_request_id_fkey FOREIGN KEY (id) REFERENCES oauth_authorization (id) ON DELETE CASCADE
) WITH (fillfactor = 80);

CREATE INDEX oauth_polled_request_expires_at_idx ON oauth_polled_request (expires_at);

COMMENT ON TABLE oauth_polled_request IS 'Requests whose client polls for the decision: of devices (RFC 8628) and of CIBA. What was asked and decided stands in oauth_authorization.';
COMMENT ON COLUMN oauth_polled_request.id IS 'The request in oauth_authorization.';
COMMENT ON COLUMN oauth_polled_request.code IS 'Digest of the device_code (RFC 8628, section 3.2) or of the auth_req_id (CIBA Core, section 7.3).';
COMMENT ON COLUMN oauth_polled_request.user_code IS 'Digest of the user_code (RFC 8628, section 3.2). NULL for CIBA, and once another request has taken over the code of an expired one.';
COMMENT ON COLUMN oauth_polled_request.expires_at IS 'When the codes expire, whatever was decided.';
COMMENT ON COLUMN oauth_polled_request.poll_interval IS 'How long the client has to wait between two polls. Each poll that comes too early adds five seconds (RFC 8628, section 3.5).';
COMMENT ON COLUMN oauth_polled_request.polled_at IS 'When the client last polled in time.';
COMMENT ON COLUMN oauth_polled_request.refresh_token_id IS 'Primary key of the refresh token that was issued for the code. No foreign key: the token may be collected first.';
COMMENT ON COLUMN oauth_polled_request.notification_token IS 'The client_notification_token (CIBA Core, section 7.1), encrypted by the caller.';

-- A better-auth server keeps its own requests of devices here. Its driver reads a bigint as text, so the interval is an integer.
CREATE TABLE device_code (
    id               short_text         NOT NULL DEFAULT gen_random_uuid()::text,
    created_at       timestamptz        NOT NULL DEFAULT now(),
    updated_at       timestamptz        NOT NULL DEFAULT now(),
    device_code      short_text         NOT NULL,
    user_code        short_text         NOT NULL,
    user_id          short_text,
    expires_at       finite_timestamptz NOT NULL,
    status           short_text         NOT NULL,
    last_polled_at   timestamptz,
    -- squawk-ignore prefer-bigint-over-int
    polling_interval integer,
    client_id        short_text,
    scope            text,
    CONSTRAINT device_code_pkey PRIMARY KEY (id),
    CONSTRAINT device_code_device_code_uidx UNIQUE (device_code),
    CONSTRAINT device_code_user_code_uidx UNIQUE (user_code)
);

CREATE INDEX device_code_expires_at_idx ON device_code (expires_at);

COMMENT ON TABLE device_code IS 'Requests of devices at a better-auth server (RFC 8628). Ours are in oauth_polled_request. Its rows refer to no other table and are deleted once they have expired.';
COMMENT ON COLUMN device_code.device_code IS 'The device code, as that server stores it.';
COMMENT ON COLUMN device_code.user_code IS 'The user code, as that server stores it.';
COMMENT ON COLUMN device_code.user_id IS 'The user who has looked the code up.';
COMMENT ON COLUMN device_code.expires_at IS 'Until when the user can decide and the device can ask.';
COMMENT ON COLUMN device_code.status IS 'pending, approved or denied.';
COMMENT ON COLUMN device_code.last_polled_at IS 'When the device last asked.';
COMMENT ON COLUMN device_code.polling_interval IS 'Milliseconds between two polls.';
COMMENT ON COLUMN device_code.client_id IS 'The client, by its client_id.';
COMMENT ON COLUMN device_code.scope IS 'The scopes asked for, separated by spaces.';

-- +goose Down

DROP TABLE device_code;

DROP TABLE oauth_polled_request;
DROP DOMAIN poll_interval;

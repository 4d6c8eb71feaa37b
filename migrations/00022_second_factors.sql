-- +goose Up

CREATE DOMAIN passkey_id AS text COLLATE "C";
CREATE DOMAIN totp_id AS text COLLATE "C";
CREATE DOMAIN recovery_code_id AS text COLLATE "C";
CREATE DOMAIN digest_list AS text[];

COMMENT ON DOMAIN passkey_id IS 'Primary key of passkey: the credential ID of WebAuthn in unpadded base64url.';
COMMENT ON DOMAIN totp_id IS 'Primary key of totp.';
COMMENT ON DOMAIN recovery_code_id IS 'Primary key of recovery_code.';
COMMENT ON DOMAIN digest_list IS 'Several of token_digest, as a parameter.';

-- A credential ID has 1023 bytes at most (WebAuthn Level 3, section 4).
CREATE DOMAIN stored_passkey_id AS passkey_id CONSTRAINT passkey_id_is_base64url CHECK (octet_length(VALUE) BETWEEN 1 AND 1364 AND VALUE ~ '^[A-Za-z0-9_-]*$');
CREATE DOMAIN stored_totp_id AS totp_id CONSTRAINT totp_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN stored_sign_count AS bigint CONSTRAINT sign_count_in_range CHECK (VALUE BETWEEN 0 AND 4294967295);
CREATE DOMAIN totp_digits AS integer CONSTRAINT totp_digits_in_range CHECK (VALUE BETWEEN 6 AND 8);
CREATE DOMAIN totp_period AS integer CONSTRAINT totp_period_in_range CHECK (VALUE BETWEEN 1 AND 3600);
CREATE DOMAIN totp_algorithm AS text CONSTRAINT totp_algorithm_known CHECK (VALUE IN ('SHA1', 'SHA256', 'SHA512'));

COMMENT ON DOMAIN stored_passkey_id IS 'A passkey_id as it is stored: 1 to 1023 bytes in unpadded base64url.';
COMMENT ON DOMAIN stored_totp_id IS 'A totp_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_sign_count IS 'A signature counter: 32 bits, unsigned (WebAuthn Level 3, section 6.1.1).';
COMMENT ON DOMAIN totp_digits IS 'How many digits a code has (RFC 4226, section 5.3).';
COMMENT ON DOMAIN totp_period IS 'How many seconds a step lasts (RFC 6238, section 4.1).';
COMMENT ON DOMAIN totp_algorithm IS 'The hash function of the HMAC (RFC 6238, section 1.2).';

CREATE TABLE passkey (
    id              stored_passkey_id NOT NULL,
    created_at      timestamptz       NOT NULL DEFAULT now(),
    updated_at      timestamptz       NOT NULL DEFAULT now(),
    user_id         user_id           NOT NULL,
    name            short_text,
    public_key      short_text        NOT NULL,
    sign_count      stored_sign_count,
    transports      text_list,
    aaguid          short_text,
    backup_eligible boolean           NOT NULL DEFAULT false,
    backed_up       boolean           NOT NULL DEFAULT false,
    last_used_at    timestamptz,
    CONSTRAINT passkey_pkey PRIMARY KEY (id),
    CONSTRAINT passkey_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE
);

CREATE INDEX passkey_user_id_idx ON passkey (user_id);

COMMENT ON TABLE passkey IS 'WebAuthn credentials of users.';
COMMENT ON COLUMN passkey.name IS 'What the user calls the passkey.';
COMMENT ON COLUMN passkey.public_key IS 'The public key, in the notation of the server.';
COMMENT ON COLUMN passkey.sign_count IS 'The highest signature counter that was presented. It stays 0 for authenticators that don''t count; NULL means that none is known.';
COMMENT ON COLUMN passkey.transports IS 'How a browser reaches the authenticator (WebAuthn Level 3, section 5.8.4).';
COMMENT ON COLUMN passkey.aaguid IS 'The model of the authenticator.';
COMMENT ON COLUMN passkey.backup_eligible IS 'Whether the passkey may be synced to other devices (flag BE of WebAuthn).';
COMMENT ON COLUMN passkey.backed_up IS 'Whether the passkey was synced when it was last used (flag BS of WebAuthn).';
COMMENT ON COLUMN passkey.last_used_at IS 'When the passkey was last accepted.';

CREATE TABLE totp (
    id           stored_totp_id NOT NULL,
    created_at   timestamptz    NOT NULL DEFAULT now(),
    updated_at   timestamptz    NOT NULL DEFAULT now(),
    user_id      user_id        NOT NULL,
    name         short_text,
    secret       short_text     NOT NULL,
    algorithm    totp_algorithm NOT NULL DEFAULT 'SHA1',
    digits       totp_digits    NOT NULL DEFAULT 6,
    period       totp_period    NOT NULL DEFAULT 30,
    last_step    bigint,
    last_used_at timestamptz,
    CONSTRAINT totp_pkey PRIMARY KEY (id),
    CONSTRAINT totp_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE
);

CREATE INDEX totp_user_id_idx ON totp (user_id);

COMMENT ON TABLE totp IS 'Authenticator apps of users (RFC 6238).';
COMMENT ON COLUMN totp.name IS 'What the user calls the app.';
COMMENT ON COLUMN totp.secret IS 'The shared secret, encrypted by the caller.';
COMMENT ON COLUMN totp.algorithm IS 'The hash function of the HMAC.';
COMMENT ON COLUMN totp.digits IS 'How many digits a code has.';
COMMENT ON COLUMN totp.period IS 'How many seconds a time step lasts.';
COMMENT ON COLUMN totp.last_step IS 'The highest time step of which a code was accepted; NULL if none was.';
COMMENT ON COLUMN totp.last_used_at IS 'When a code was last accepted.';

CREATE TABLE recovery_code (
    id         recovery_code_id    NOT NULL DEFAULT gen_random_uuid()::text,
    created_at timestamptz         NOT NULL DEFAULT now(),
    updated_at timestamptz         NOT NULL DEFAULT now(),
    user_id    user_id             NOT NULL,
    digest     stored_token_digest NOT NULL,
    used_at    timestamptz,
    CONSTRAINT recovery_code_pkey PRIMARY KEY (id),
    CONSTRAINT recovery_code_user_digest_uidx UNIQUE (user_id, digest),
    CONSTRAINT recovery_code_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE
);

COMMENT ON TABLE recovery_code IS 'Codes that stand in for a second factor that is lost, each of them once.';
COMMENT ON COLUMN recovery_code.digest IS 'Digest of the code.';
COMMENT ON COLUMN recovery_code.used_at IS 'When the code was used. It is never accepted again.';

-- +goose Down

DROP TABLE recovery_code;
DROP TABLE totp;
DROP TABLE passkey;
DROP DOMAIN totp_algorithm;
DROP DOMAIN totp_period;
DROP DOMAIN totp_digits;
DROP DOMAIN stored_sign_count;
DROP DOMAIN stored_totp_id;
DROP DOMAIN stored_passkey_id;
DROP DOMAIN digest_list;
DROP DOMAIN recovery_code_id;
DROP DOMAIN totp_id;
DROP DOMAIN passkey_id;

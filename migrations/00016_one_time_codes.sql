-- +goose Up

CREATE DOMAIN one_time_code_id AS text COLLATE "C";
CREATE DOMAIN attempt_count_id AS text COLLATE "C";
CREATE DOMAIN stored_purpose AS text COLLATE "C" CONSTRAINT purpose_length CHECK (octet_length(VALUE) BETWEEN 1 AND 64);

COMMENT ON DOMAIN one_time_code_id IS 'Primary key of one_time_code.';
COMMENT ON DOMAIN attempt_count_id IS 'Primary key of attempt_count.';
COMMENT ON DOMAIN stored_purpose IS 'What a code or an attempt is for, in the server''s own words: 1 to 64 bytes.';

CREATE TABLE one_time_code (
    id         one_time_code_id    NOT NULL DEFAULT gen_random_uuid()::text,
    created_at timestamptz         NOT NULL DEFAULT now(),
    updated_at timestamptz         NOT NULL DEFAULT now(),
    purpose    stored_purpose      NOT NULL,
    subject    stored_token_digest NOT NULL,
    digest     stored_token_digest NOT NULL,
    expires_at timestamptz         NOT NULL,
    data       stored_object,
    CONSTRAINT one_time_code_pkey PRIMARY KEY (id),
    CONSTRAINT one_time_code_purpose_subject_uidx UNIQUE (purpose, subject)
);

CREATE INDEX one_time_code_expires_at_idx ON one_time_code (expires_at);

COMMENT ON TABLE one_time_code IS 'Codes that were sent to somebody, and challenges: what is presented once. There is one for each purpose and subject, and it is gone once it is redeemed.';
COMMENT ON COLUMN one_time_code.created_at IS 'When the present code took the place of an earlier one.';
COMMENT ON COLUMN one_time_code.purpose IS 'What the code is for, such as sign-in or email-verification.';
COMMENT ON COLUMN one_time_code.subject IS 'Digest of whom the code is for: of a user''s id, an address or a browser.';
COMMENT ON COLUMN one_time_code.digest IS 'Digest of the code. The digest of a short code is a keyed one, or the code could be found from it.';
COMMENT ON COLUMN one_time_code.expires_at IS 'Until when the code can be redeemed.';
COMMENT ON COLUMN one_time_code.data IS 'What the server has to know when the code is redeemed, such as the address that it verifies.';

CREATE TABLE attempt_count (
    id         attempt_count_id    NOT NULL DEFAULT gen_random_uuid()::text,
    created_at timestamptz         NOT NULL DEFAULT now(),
    updated_at timestamptz         NOT NULL DEFAULT now(),
    purpose    stored_purpose      NOT NULL,
    subject    stored_token_digest NOT NULL,
    attempts   bigint              NOT NULL,
    resets_at  timestamptz         NOT NULL,
    CONSTRAINT attempt_count_pkey PRIMARY KEY (id),
    CONSTRAINT attempt_count_purpose_subject_uidx UNIQUE (purpose, subject)
) WITH (fillfactor = 80);

CREATE INDEX attempt_count_resets_at_idx ON attempt_count (resets_at);

COMMENT ON TABLE attempt_count IS 'How often something was tried in the present window: guesses at a code or a password, or messages that were sent.';
COMMENT ON COLUMN attempt_count.purpose IS 'What is tried. Codes and attempts of one purpose and subject share a budget.';
COMMENT ON COLUMN attempt_count.subject IS 'Digest of whom it is counted for: of a user''s id, an address or a network.';
COMMENT ON COLUMN attempt_count.attempts IS 'Attempts since the window began, those included that were refused because there were too many.';
COMMENT ON COLUMN attempt_count.resets_at IS 'When the window ends. It begins with the first attempt, and no attempt prolongs it.';

-- +goose Down

DROP TABLE attempt_count;
DROP TABLE one_time_code;
DROP DOMAIN stored_purpose;
DROP DOMAIN attempt_count_id;
DROP DOMAIN one_time_code_id;

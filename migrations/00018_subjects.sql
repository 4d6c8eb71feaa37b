-- +goose Up

COMMENT ON COLUMN oauth_client.subject_type IS 'public or pairwise (OpenID Connect Core, section 8). NULL means public, and any other word pairwise.';
COMMENT ON COLUMN oauth_client.sector_identifier IS 'Sector of pairwise subjects (OpenID Connect Core, section 8.1): a host name. Written once: by whoever registers the client with a sector_identifier_uri, else by a trigger when the client becomes pairwise.';

CREATE DOMAIN pairwise_subject_id AS text COLLATE "C";
CREATE DOMAIN subject AS text COLLATE "C";

COMMENT ON DOMAIN pairwise_subject_id IS 'Primary key of oauth_pairwise_subject.';
COMMENT ON DOMAIN subject IS 'A user''s identifier for a client (sub of OpenID Connect Core, section 2): the user_id, or a pairwise one.';

CREATE DOMAIN stored_subject AS subject CONSTRAINT subject_is_printable CHECK (VALUE ~ '^[\x20-\x7e]{1,255}$');
CREATE DOMAIN stored_sector AS text COLLATE "C" CONSTRAINT sector_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);

COMMENT ON DOMAIN stored_subject IS 'A pairwise subject as it is stored: 1 to 255 printable ASCII characters (OpenID Connect Core, section 2).';
COMMENT ON DOMAIN stored_sector IS 'A sector of pairwise subjects: 1 to 255 bytes.';

CREATE TABLE oauth_pairwise_subject (
    id         pairwise_subject_id NOT NULL DEFAULT gen_random_uuid()::text,
    created_at timestamptz         NOT NULL DEFAULT now(),
    updated_at timestamptz         NOT NULL DEFAULT now(),
    sector     stored_sector       NOT NULL,
    user_id    user_id             NOT NULL,
    subject    stored_subject      NOT NULL,
    CONSTRAINT oauth_pairwise_subject_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_pairwise_subject_sector_user_uidx UNIQUE (sector, user_id),
    CONSTRAINT oauth_pairwise_subject_sector_subject_uidx UNIQUE (sector, subject),
    CONSTRAINT oauth_pairwise_subject_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE
);

CREATE INDEX oauth_pairwise_subject_user_id_idx ON oauth_pairwise_subject (user_id);

COMMENT ON TABLE oauth_pairwise_subject IS 'By which identifiers the clients of a sector know a user (OpenID Connect Core, section 8). Rows never change. Those of a deleted user are erased: a subject is random, so no other user is given it.';
COMMENT ON COLUMN oauth_pairwise_subject.sector IS 'sector_identifier of the clients.';
COMMENT ON COLUMN oauth_pairwise_subject.subject IS 'The sub of the user''s tokens: random, or what CreatePairwiseSubject has brought from another server.';

-- +goose Down

DROP TABLE oauth_pairwise_subject;
DROP DOMAIN stored_sector;
DROP DOMAIN stored_subject;
DROP DOMAIN subject;
DROP DOMAIN pairwise_subject_id;
COMMENT ON COLUMN oauth_client.sector_identifier IS 'Sector of pairwise subjects (OpenID Connect Core, section 8.1).';
COMMENT ON COLUMN oauth_client.subject_type IS 'public or pairwise (OpenID Connect Core, section 8).';

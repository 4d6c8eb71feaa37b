-- +goose Up

CREATE DOMAIN trusted_issuer_id AS text COLLATE "C";

COMMENT ON DOMAIN trusted_issuer_id IS 'Primary key of oauth_trusted_issuer.';

CREATE DOMAIN stored_trusted_issuer_id AS trusted_issuer_id CONSTRAINT trusted_issuer_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN stored_issuer AS text COLLATE "C" CONSTRAINT issuer_length CHECK (octet_length(VALUE) BETWEEN 1 AND 2048);
CREATE DOMAIN assertion_lifetime AS interval CONSTRAINT assertion_lifetime_is_positive CHECK (VALUE >= interval '1 second');

COMMENT ON DOMAIN stored_trusted_issuer_id IS 'A trusted_issuer_id as it is stored: 1 to 255 bytes.';
COMMENT ON DOMAIN stored_issuer IS 'The iss of an assertion (RFC 7523, section 3, item 1): 1 to 2048 bytes.';
COMMENT ON DOMAIN assertion_lifetime IS 'How far from now the exp of an assertion may be: a second or more.';

-- What is left out permits nothing: an empty list of audiences, algorithms or clients refuses every assertion.
CREATE TABLE oauth_trusted_issuer (
    id                 stored_trusted_issuer_id NOT NULL,
    created_at         timestamptz              NOT NULL DEFAULT now(),
    updated_at         timestamptz              NOT NULL DEFAULT now(),
    issuer             stored_issuer            NOT NULL,
    name               short_text,
    jwks               stored_object,
    jwks_uri           short_text,
    audiences          text_list                NOT NULL DEFAULT '{}',
    signing_algorithms text_list                NOT NULL DEFAULT '{}',
    client_ids         text_list                NOT NULL DEFAULT '{}',
    any_client         boolean                  NOT NULL DEFAULT false,
    max_lifetime       assertion_lifetime,
    disabled           boolean                  NOT NULL DEFAULT false,
    CONSTRAINT oauth_trusted_issuer_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_trusted_issuer_issuer_uidx UNIQUE (issuer),
    CONSTRAINT oauth_trusted_issuer_one_source_of_keys CHECK (jwks IS NULL OR jwks_uri IS NULL),
    CONSTRAINT oauth_trusted_issuer_signs CHECK (NOT 'none' = ANY (signing_algorithms))
);

CREATE INDEX oauth_trusted_issuer_created_at_idx ON oauth_trusted_issuer (created_at, id);

COMMENT ON TABLE oauth_trusted_issuer IS 'Issuers whose assertions are accepted as grants (RFC 7523, section 2.1).';
COMMENT ON COLUMN oauth_trusted_issuer.issuer IS 'The iss of its assertions, compared exactly. It is the provider_id of the accounts that its subjects have.';
COMMENT ON COLUMN oauth_trusted_issuer.name IS 'Display name.';
COMMENT ON COLUMN oauth_trusted_issuer.jwks IS 'The issuer''s public keys, a JSON Web Key Set. Not together with jwks_uri.';
COMMENT ON COLUMN oauth_trusted_issuer.jwks_uri IS 'Where the issuer publishes its keys. Not together with jwks.';
COMMENT ON COLUMN oauth_trusted_issuer.audiences IS 'An assertion has to name one of these in its aud (RFC 7523, section 3, item 3).';
COMMENT ON COLUMN oauth_trusted_issuer.signing_algorithms IS 'An assertion has to be signed by one of these (RFC 7518, section 3.1).';
COMMENT ON COLUMN oauth_trusted_issuer.client_ids IS 'Clients that may present its assertions.';
COMMENT ON COLUMN oauth_trusted_issuer.any_client IS 'Whether every client that is registered for the grant type may present its assertions.';
COMMENT ON COLUMN oauth_trusted_issuer.max_lifetime IS 'How far from now exp may be. NULL means no bound but the caller''s.';
COMMENT ON COLUMN oauth_trusted_issuer.disabled IS 'While true, its assertions are refused.';

ALTER TABLE oauth_client_assertion
    ADD COLUMN access_token_id access_token_id,
    ADD COLUMN authorization_id authorization_id;

COMMENT ON TABLE oauth_client_assertion IS 'Assertions that were presented, as client authentication or as a grant (RFC 7523, section 3). The primary key refuses a second one.';
COMMENT ON COLUMN oauth_client_assertion.id IS 'Digest of what the assertion was presented for, of its issuer and of its jti.';
COMMENT ON COLUMN oauth_client_assertion.access_token_id IS 'The access token that was issued for a grant. A repeated call names the same one.';
COMMENT ON COLUMN oauth_client_assertion.authorization_id IS 'The family that was granted. No foreign key: it may be collected first.';

ALTER TABLE oauth_access_token
    ADD COLUMN subject_token_id access_token_id,
    ADD COLUMN may_act stored_object;

COMMENT ON COLUMN oauth_access_token.subject_token_id IS 'The token that was exchanged for this one (RFC 8693). No foreign key: that one may be collected first.';
COMMENT ON COLUMN oauth_access_token.may_act IS 'Who may act for the user with this token (RFC 8693, section 4.4). NULL means what the family says.';

-- An access token may have no row.
COMMENT ON COLUMN oauth_authorization.expires_at IS 'When the request lapses or, once it is approved, the approval. Once the code is redeemed, the expiry of the tokens counts, and this is NULL, or the expiry of an access token without a row that has no refresh token beside it.';
COMMENT ON COLUMN oauth_refresh_token.access_token_expires_at IS 'Expiry of the last access token without a row that was issued with this one or, after a retry, for it. The row is kept until then.';

-- +goose Down

COMMENT ON COLUMN oauth_refresh_token.access_token_expires_at IS 'Expiry of the last access token that was issued with this one and has no row.';
COMMENT ON COLUMN oauth_authorization.expires_at IS 'When the request lapses or, once it is approved, the approval. NULL once the code is redeemed: then the expiry of the tokens counts.';

ALTER TABLE oauth_access_token
    DROP COLUMN may_act,
    DROP COLUMN subject_token_id;

ALTER TABLE oauth_client_assertion
    DROP COLUMN authorization_id,
    DROP COLUMN access_token_id;

COMMENT ON TABLE oauth_client_assertion IS 'Client assertions that were presented (RFC 7523, section 3). The primary key refuses a second one.';
COMMENT ON COLUMN oauth_client_assertion.id IS 'Digest of the client''s identifier and the assertion''s jti.';

DROP TABLE oauth_trusted_issuer;
DROP DOMAIN assertion_lifetime;
DROP DOMAIN stored_issuer;
DROP DOMAIN stored_trusted_issuer_id;
DROP DOMAIN trusted_issuer_id;

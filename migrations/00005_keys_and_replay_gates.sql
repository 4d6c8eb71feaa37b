-- +goose Up

CREATE DOMAIN jwk_id AS text COLLATE "C";

COMMENT ON DOMAIN jwk_id IS 'Primary key of jwks; the kid in the header of what the key signs.';

CREATE DOMAIN stored_jwk_id AS jwk_id CONSTRAINT jwks_id_length CHECK (octet_length(VALUE) BETWEEN 1 AND 255);

COMMENT ON DOMAIN stored_jwk_id IS 'A jwk_id as it is stored: 1 to 255 bytes.';

CREATE TABLE jwks (
    id          stored_jwk_id      NOT NULL,
    created_at  timestamptz        NOT NULL DEFAULT now(),
    updated_at  timestamptz        NOT NULL DEFAULT now(),
    public_key  text               NOT NULL,
    private_key text               NOT NULL,
    alg         text,
    crv         text,
    expires_at  finite_timestamptz,
    CONSTRAINT jwks_pkey PRIMARY KEY (id)
);

CREATE INDEX jwks_created_at_idx ON jwks (created_at, id);
CREATE INDEX jwks_expires_at_idx ON jwks (expires_at) WHERE expires_at IS NOT NULL;

COMMENT ON TABLE jwks IS 'Keys that sign tokens. A key is published for as long as a token that it signed may be verified.';
COMMENT ON COLUMN jwks.public_key IS 'The public JSON Web Key (RFC 7517).';
COMMENT ON COLUMN jwks.private_key IS 'The private key, encrypted by the caller.';
COMMENT ON COLUMN jwks.alg IS 'Signature algorithm (RFC 7518, section 3.1).';
COMMENT ON COLUMN jwks.crv IS 'Curve, if the key has one.';
COMMENT ON COLUMN jwks.expires_at IS 'When the key is no longer published. NULL means that no end is set.';

CREATE TABLE oauth_client_assertion (
    id         stored_token_digest NOT NULL,
    created_at timestamptz         NOT NULL DEFAULT now(),
    updated_at timestamptz         NOT NULL DEFAULT now(),
    expires_at finite_timestamptz  NOT NULL,
    CONSTRAINT oauth_client_assertion_pkey PRIMARY KEY (id)
);

CREATE INDEX oauth_client_assertion_expires_at_idx ON oauth_client_assertion (expires_at);

COMMENT ON TABLE oauth_client_assertion IS 'Client assertions that were presented (RFC 7523, section 3). The primary key refuses a second one.';
COMMENT ON COLUMN oauth_client_assertion.id IS 'Digest of the client''s identifier and the assertion''s jti.';
COMMENT ON COLUMN oauth_client_assertion.expires_at IS 'When the assertion has expired, clock skew included, and need not be remembered.';

CREATE TABLE oauth_proof (
    id         stored_token_digest NOT NULL,
    created_at timestamptz         NOT NULL DEFAULT now(),
    updated_at timestamptz         NOT NULL DEFAULT now(),
    expires_at finite_timestamptz  NOT NULL,
    CONSTRAINT oauth_proof_pkey PRIMARY KEY (id)
);

CREATE INDEX oauth_proof_expires_at_idx ON oauth_proof (expires_at);

COMMENT ON TABLE oauth_proof IS 'DPoP proofs that were presented (RFC 9449, section 11.1). The primary key refuses a second one.';
COMMENT ON COLUMN oauth_proof.id IS 'Digest of the proof''s key and jti.';
COMMENT ON COLUMN oauth_proof.expires_at IS 'When the proof is too old to be accepted, and need not be remembered.';

-- +goose Down

DROP TABLE oauth_proof;
DROP TABLE oauth_client_assertion;
DROP TABLE jwks;
DROP DOMAIN stored_jwk_id;
DROP DOMAIN jwk_id;

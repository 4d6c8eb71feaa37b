-- +goose Up

CREATE DOMAIN jwk_id AS text COLLATE "C";

COMMENT ON DOMAIN jwk_id IS 'Primary key of jwks; the kid of what the key signed.';

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

COMMENT ON TABLE jwks IS 'Keys that sign tokens. Published while a token that they signed may still be verified.';
COMMENT ON COLUMN jwks.public_key IS 'The public JSON Web Key (RFC 7517).';
COMMENT ON COLUMN jwks.private_key IS 'The private key as the caller encrypted it: ciphertext.';
COMMENT ON COLUMN jwks.alg IS 'Signature algorithm (RFC 7518, section 3.1).';
COMMENT ON COLUMN jwks.crv IS 'Curve, for keys that have one.';
COMMENT ON COLUMN jwks.expires_at IS 'The key is no longer published from this instant on; NULL means never.';

CREATE TABLE oauth_client_assertion (
    id         stored_token_digest NOT NULL,
    created_at timestamptz         NOT NULL DEFAULT now(),
    updated_at timestamptz         NOT NULL DEFAULT now(),
    expires_at finite_timestamptz  NOT NULL,
    CONSTRAINT oauth_client_assertion_pkey PRIMARY KEY (id)
);

CREATE INDEX oauth_client_assertion_expires_at_idx ON oauth_client_assertion (expires_at);

COMMENT ON TABLE oauth_client_assertion IS 'Client assertions already presented (RFC 7523, section 3, jti): the primary key is the replay gate.';
COMMENT ON COLUMN oauth_client_assertion.id IS 'Digest of the client''s identifier and the assertion''s jti.';
COMMENT ON COLUMN oauth_client_assertion.expires_at IS 'When the assertion itself expires, and with it the need to remember it.';

CREATE TABLE oauth_proof (
    id         stored_token_digest NOT NULL,
    created_at timestamptz         NOT NULL DEFAULT now(),
    updated_at timestamptz         NOT NULL DEFAULT now(),
    expires_at finite_timestamptz  NOT NULL,
    CONSTRAINT oauth_proof_pkey PRIMARY KEY (id)
);

CREATE INDEX oauth_proof_expires_at_idx ON oauth_proof (expires_at);

COMMENT ON TABLE oauth_proof IS 'DPoP proofs already presented (RFC 9449, section 11.1): the primary key is the replay gate.';
COMMENT ON COLUMN oauth_proof.id IS 'Digest of the proof''s key and jti.';
COMMENT ON COLUMN oauth_proof.expires_at IS 'From when on the proof is refused by its age, and need not be remembered.';

-- +goose Down

DROP TABLE oauth_proof;
DROP TABLE oauth_client_assertion;
DROP TABLE jwks;
DROP DOMAIN stored_jwk_id;
DROP DOMAIN jwk_id;

package dataset

// PeerTable is the table of a token store of github.com/go-oauth2/oauth2, in the layout of its SQL stores: one row for a grant's
// current code or tokens, found by any of the three, and the rest in a document. Tokens of ours are in it under the digests that
// the other tables have, so that all subjects present the same.
const PeerTable = `
CREATE TABLE oauth2_token (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    code       text        NOT NULL,
    access     text        NOT NULL,
    refresh    text        NOT NULL,
    data       jsonb       NOT NULL
);
CREATE INDEX oauth2_token_expires_at_idx ON oauth2_token (expires_at);
CREATE INDEX oauth2_token_code_idx ON oauth2_token (code);
CREATE INDEX oauth2_token_access_idx ON oauth2_token (access);
CREATE INDEX oauth2_token_refresh_idx ON oauth2_token (refresh);
CREATE TABLE oauth2_client (
    id     text  PRIMARY KEY,
    secret text  NOT NULL,
    domain text  NOT NULL,
    data   jsonb NOT NULL
);
`

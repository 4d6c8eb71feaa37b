-- +goose Up

-- What a call that issues tokens answers about them is one value, so that a plan carries one column rather than ten.
CREATE TYPE token_answer AS (
    outcome outcome,
    sub text COLLATE "C",
    session_id text COLLATE "C",
    scopes text[],
    resources text[],
    authorization_details jsonb,
    refresh_token_id text COLLATE "C",
    refresh_token text COLLATE "C",
    refresh_token_expires_at timestamptz,
    access_token_expires_at timestamptz
);
COMMENT ON TYPE token_answer IS 'What a call that issues tokens answers: the outcome, NULL if the call judges it elsewhere, and what the tokens are.';

-- +goose Down

DROP TYPE token_answer;

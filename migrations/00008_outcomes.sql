-- +goose Up

-- In a file of its own, because PostgreSQL refuses to use a new word in the transaction that adds it.
ALTER TYPE outcome ADD VALUE 'redirect_uri_mismatched';
ALTER TYPE outcome ADD VALUE 'unsupported_response_type';
ALTER TYPE outcome ADD VALUE 'invalid_authorization_details';
ALTER TYPE outcome ADD VALUE 'pkce_required';
ALTER TYPE outcome ADD VALUE 'pkce_method_refused';
ALTER TYPE outcome ADD VALUE 'request_must_be_pushed';
ALTER TYPE outcome ADD VALUE 'authorization_pending';
ALTER TYPE outcome ADD VALUE 'slow_down';
ALTER TYPE outcome ADD VALUE 'taken';
ALTER TYPE outcome ADD VALUE 'claimed';
ALTER TYPE outcome ADD VALUE 'exchanged';
ALTER TYPE outcome ADD VALUE 'registered';
ALTER TYPE outcome ADD VALUE 'exhausted';
ALTER TYPE outcome ADD VALUE 'accepted';
ALTER TYPE outcome ADD VALUE 'inserted';
ALTER TYPE outcome ADD VALUE 'changed';
ALTER TYPE outcome ADD VALUE 'fresh';
ALTER TYPE outcome ADD VALUE 'stale';
ALTER TYPE outcome ADD VALUE 'replaced';
ALTER TYPE outcome ADD VALUE 'delivered';
ALTER TYPE outcome ADD VALUE 'postponed';
ALTER TYPE outcome ADD VALUE 'abandoned';
ALTER TYPE outcome ADD VALUE 'superseded';
ALTER TYPE outcome ADD VALUE 'counted';
ALTER TYPE outcome ADD VALUE 'spent';
ALTER TYPE outcome ADD VALUE 'regressed';
ALTER TYPE outcome ADD VALUE 'untrusted';
ALTER TYPE outcome ADD VALUE 'too_many_actors';
ALTER TYPE outcome ADD VALUE 'invalid_redirect_uri';
ALTER TYPE outcome ADD VALUE 'invalid_client_metadata';

COMMENT ON TYPE outcome IS 'The result of a call. A word means the same in every call; the documentation of package store lists them.';

-- +goose Down

-- An enum loses no word, so the type is made anew, and the function that returns it.
-- +goose StatementBegin
DO $$
DECLARE
    definition text := pg_get_functiondef('judge_spent_refresh_token'::regproc);
    about      text := obj_description('judge_spent_refresh_token'::regproc, 'pg_proc');
BEGIN
    DROP FUNCTION judge_spent_refresh_token;
    DROP TYPE outcome;
    CREATE TYPE outcome AS ENUM (
        'created', 'approved', 'denied', 'issued', 'granted', 'redeemed', 'rotated', 'updated', 'extended', 'withdrawn', 'ended',
        'reinstated', 'enabled', 'deleted', 'authenticated', 'remembered', 'active', 'retried',
        'unauthenticated', 'unknown', 'expired', 'revoked', 'replayed', 'proof_replayed', 'mismatched', 'disabled', 'suspended',
        'signed_out', 'unauthorized_client', 'invalid_scope', 'invalid_target', 'decided', 'undecided', 'unsupported_token_type',
        'too_far', 'inactive', 'last'
    );
    COMMENT ON TYPE outcome IS 'The result of a call. A value means the same in every call.';
    EXECUTE definition;
    EXECUTE format('COMMENT ON FUNCTION judge_spent_refresh_token IS %L', about);
END
$$;
-- +goose StatementEnd

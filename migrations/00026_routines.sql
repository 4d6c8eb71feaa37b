-- +goose Up

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION authenticates(c oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    c.client_id IS NOT NULL
    AND CASE
        WHEN method = 'verified' THEN true
        WHEN is_public(c) THEN method = 'none'
        WHEN method IN ('client_secret_basic', 'client_secret_post')
        THEN coalesce(c.token_endpoint_auth_method, method) IN ('client_secret_basic', 'client_secret_post')
            AND (
                (c.client_secret = presented AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now()))
                OR is_older_secret(c.client_id, presented)
            )
        WHEN method = 'private_key_jwt'
        THEN c.token_endpoint_auth_method = method
            OR (c.token_endpoint_auth_method IS NULL AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL)
        WHEN method IN ('tls_client_auth', 'self_signed_tls_client_auth')
        THEN c.token_endpoint_auth_method IN ('tls_client_auth', 'self_signed_tls_client_auth')
    END,
    false
);
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION disable_client_of_deleted_user() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- This waits for DeleteUser, or DeleteUser for this. A client that is handed over doesn't wait: DeleteUser locks the user first.
        PERFORM FROM "user" AS u WHERE u.id = NEW.user_id FOR SHARE;
    END IF;
    NEW.disabled := EXISTS (SELECT FROM "user" AS u WHERE u.id = NEW.user_id AND u.deleted_at IS NOT NULL);
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION disable_client_of_deleted_user() IS 'Trigger, for a client that is not disabled: one that is stored for a deleted user is stored as disabled.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION gets_refresh_token(c oauth_client, granted_scopes text[], needs_offline_access boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN uses_grant_type(c, 'refresh_token') AND (NOT needs_offline_access OR 'offline_access' = ANY (coalesce(granted_scopes, '{}')));
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION gets_refresh_token(oauth_client, text[], boolean) IS 'Whether a client gets a refresh token with a grant, if the server issues one: it has to be registered for refresh_token and, if the server wants it so, granted offline_access (OpenID Connect Core, section 11). Never NULL.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION gets_refresh_token;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION disable_client_of_deleted_user() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- This waits for DeleteUser, or DeleteUser for this. A client that is handed over doesn't wait: DeleteUser locks the user first.
        PERFORM FROM "user" AS u WHERE u.id = NEW.user_id FOR SHARE;
    END IF;
    NEW.disabled := NEW.disabled OR EXISTS (SELECT FROM "user" AS u WHERE u.id = NEW.user_id AND u.deleted_at IS NOT NULL);
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION disable_client_of_deleted_user() IS 'Trigger: a client that is stored for a deleted user is stored as disabled.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION authenticates(c oauth_client, method text, presented token_digest) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    c.client_id IS NOT NULL
    AND CASE
        WHEN method = 'verified' THEN true
        WHEN is_public(c) THEN method = 'none'
        WHEN method IN ('client_secret_basic', 'client_secret_post')
        THEN coalesce(c.token_endpoint_auth_method, method) IN ('client_secret_basic', 'client_secret_post')
            AND (
                coalesce(c.client_secret = presented AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now()), false)
                OR is_older_secret(c.client_id, presented)
            )
        WHEN method = 'private_key_jwt'
        THEN c.token_endpoint_auth_method = method
            OR (c.token_endpoint_auth_method IS NULL AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL)
        WHEN method IN ('tls_client_auth', 'self_signed_tls_client_auth')
        THEN c.token_endpoint_auth_method IN ('tls_client_auth', 'self_signed_tls_client_auth')
    END,
    false
);
-- +goose StatementEnd

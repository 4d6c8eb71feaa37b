-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION delete_client(of_client text, is_managed boolean, manager text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_client AS c
    SET deleted_at = now(), disabled = true, grants_epoch = c.grants_epoch + 1, client_secret = NULL, foreign_secret_hash = NULL,
        registration_access_token = NULL, previous_registration_access_token = NULL, jwks = NULL, jwks_uri = NULL, name = NULL,
        uri = NULL, icon = NULL, contacts = NULL, tos = NULL, policy = NULL, software_statement = NULL, redirect_uris = '{}',
        post_logout_redirect_uris = NULL, metadata = NULL, document_uri = NULL, document_etag = NULL, document_fresh_until = NULL,
        updated_at = now()
    WHERE c.client_id = of_client AND c.deleted_at IS NULL AND (NOT is_managed OR c.registration_access_token = manager);
    RETURN FOUND;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION delete_client(text, boolean, text) IS 'Deletes a client: it is disabled, everything that was granted to it is dead, and its secrets and personal data are blanked. If is_managed, only for the client''s present registration access token. Returns whether it did.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION document_changes(stored oauth_client, fetched oauth_client) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN ARRAY(
        SELECT s.key
        FROM jsonb_each(to_jsonb(stored)) AS s (key, value)
        JOIN jsonb_each(to_jsonb(fetched)) AS f (key, value) ON f.key = s.key
        WHERE f.value <> s.value
          AND s.key = ANY (ARRAY[
            'redirect_uris', 'post_logout_redirect_uris', 'token_endpoint_auth_method', 'grant_types', 'response_types', 'scopes', 'name',
            'uri', 'icon', 'contacts', 'tos', 'policy', 'software_id', 'software_version', 'software_statement', 'jwks', 'jwks_uri',
            'application_type', 'subject_type', 'default_max_age', 'require_pushed_authorization_requests', 'dpop_bound_access_tokens',
            'tls_client_certificate_bound_access_tokens', 'tls_client_auth_subject_dn', 'tls_client_auth_san_dns',
            'tls_client_auth_san_uri', 'tls_client_auth_san_ip', 'tls_client_auth_san_email', 'backchannel_logout_uri',
            'backchannel_logout_session_required', 'authorization_details_types', 'metadata'
        ])
        ORDER BY s.key
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION document_changes(oauth_client, oauth_client) IS 'Part of PutClientDocument: the columns that a metadata document fills and that differ between two rows.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION is_redirect_uri(uri text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    SELECT coalesce(
        octet_length(uri) <= 4096
        AND lower(uri COLLATE "C") ~ '^[a-z][a-z0-9+.-]*:[\x21-\x22\x24-\x5b\x5d-\x7e]+$' -- printable ASCII without # and \
        AND CASE substring(lower(uri COLLATE "C") FROM '^[^:]*')
            WHEN 'https' THEN lower(uri COLLATE "C") ~ '^https://[^/?@]+([/?]|$)'
            WHEN 'http' THEN lower(uri COLLATE "C") ~ '^http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?([/?]|$)'
            WHEN 'javascript' THEN false
            WHEN 'vbscript' THEN false
            WHEN 'data' THEN false
            WHEN 'blob' THEN false
            WHEN 'file' THEN false
            WHEN 'about' THEN false
            ELSE true
        END,
        false
    )
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION is_redirect_uri(text) IS 'Whether a client may register a redirect URI for itself (RFC 7591, section 5): https, http at a loopback address, or a scheme of an application. It is absolute and has no fragment (RFC 6749, section 3.1.2) and no userinfo. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_client_document(
    of_client client_id, fetched timestamptz, OUT verdict outcome, OUT changes text[], OUT is_disabled boolean, OUT fresh_until timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT CASE
            WHEN c.deleted_at IS NOT NULL THEN 'revoked'
            WHEN c.document_fetched_at IS NULL THEN 'taken'
            WHEN c.document_fetched_at = fetched THEN 'retried'
            ELSE 'stale'
        END, c.document_changes, c.disabled, c.document_fresh_until
    INTO verdict, changes, is_disabled, fresh_until
    FROM oauth_client AS c
    WHERE c.client_id = of_client;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_client_document(client_id, timestamptz) IS 'Part of PutClientDocument: why it changed nothing. VOLATILE, so it sees what was committed while the statement waited for the client.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_registration(
    redirect_uris text[], post_logout_redirect_uris text[], grant_types text[], auth_method text, jwks jsonb, jwks_uri text,
    tls_names integer, pages text[]
) RETURNS outcome
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN CASE
        WHEN coalesce(cardinality(redirect_uris), 0) = 0 AND coalesce(grant_types, ARRAY['authorization_code']) && ARRAY['authorization_code', 'implicit']
            OR EXISTS (SELECT FROM unnest(redirect_uris) AS u (uri) WHERE NOT is_redirect_uri(u.uri))
        THEN 'invalid_redirect_uri'
        WHEN jwks IS NOT NULL AND jwks_uri IS NOT NULL
            OR jwks IS NOT NULL AND jsonb_typeof(jwks -> 'keys') IS DISTINCT FROM 'array'
            OR jsonb_path_exists(jwks, 'lax $.keys[*] ? (exists(@.d) || exists(@.k))') -- a private or a symmetric key
            OR CASE auth_method
                WHEN 'none' THEN false
                WHEN 'client_secret_basic' THEN false
                WHEN 'client_secret_post' THEN false
                WHEN 'private_key_jwt' THEN jwks IS NULL AND jwks_uri IS NULL
                WHEN 'self_signed_tls_client_auth' THEN jwks IS NULL AND jwks_uri IS NULL
                WHEN 'tls_client_auth' THEN tls_names <> 1
                ELSE true
            END
            OR EXISTS (
                SELECT FROM unnest(pages || post_logout_redirect_uris) WITH ORDINALITY AS p (uri, n)
                WHERE p.uri IS NOT NULL
                  AND (octet_length(p.uri) > 4096 OR lower(p.uri COLLATE "C") !~ '^https?://[^/?#@[:space:]]+([/?#][^[:space:]]*)?$')
                  AND NOT (p.n > cardinality(pages) AND is_redirect_uri(p.uri))
            )
        THEN 'invalid_client_metadata'
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_registration(text[], text[], text[], text, jsonb, text, integer, text[]) IS 'Why metadata that a client states about itself is refused (RFC 7591, section 3.2.2): invalid_redirect_uri or invalid_client_metadata. NULL if it is fit. tls_names is how many names of a certificate it has (RFC 8705, section 2.1.2), pages are its other URLs. Whether there is a secret is left to the calls.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION manages(c oauth_client, manager token_digest, successor token_digest) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(c.registration_access_token = manager OR (c.previous_registration_access_token = manager AND c.registration_access_token = successor), false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION manages(oauth_client, token_digest, token_digest) IS 'Whether a registration access token manages a client (RFC 7592). One that was replaced by successor does until successor is used, so that an update whose answer was lost can be sent again. Never NULL.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION judge_registration_update(of_client client_id, manager token_digest, successor token_digest, refused outcome) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    c oauth_client;
BEGIN
    SELECT x.* INTO c FROM oauth_client AS x WHERE x.client_id = of_client AND x.deleted_at IS NULL;
    RETURN CASE
        WHEN NOT manages(c, manager, successor) THEN 'unauthenticated'
        WHEN c.disabled THEN 'disabled'
        ELSE coalesce(refused, 'invalid_client_metadata')
    END;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION judge_registration_update(client_id, token_digest, token_digest, outcome) IS 'Part of UpdateRegistration: why it changed nothing. refused is why the metadata is refused; if that is NULL, a secret is missing. VOLATILE, so it sees what was committed while the statement waited for the client.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION registered_before(
    of_client client_id, of_id oauth_client_id, secret token_digest, manager token_digest,
    OUT verdict outcome, OUT issued_at timestamptz, OUT secret_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT CASE
            WHEN c.id = of_id AND c.deleted_at IS NULL AND c.client_secret IS NOT DISTINCT FROM secret
                AND c.registration_access_token IS NOT DISTINCT FROM manager
            THEN 'retried'
            ELSE 'taken'
        END, c.created_at, c.client_secret_expires_at
    INTO verdict, issued_at, secret_expires_at
    FROM oauth_client AS c
    WHERE c.client_id = of_client;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION registered_before(client_id, oauth_client_id, token_digest, token_digest) IS 'Part of RegisterClient: whether a client_id has been registered, by the same call (retried) or another (taken). NULL if it hasn''t. VOLATILE, so it sees what was committed while the statement waited.';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION return_initial_access_token(
    presented token_digest, of_client client_id, of_id oauth_client_id, secret token_digest, manager token_digest,
    OUT verdict outcome, OUT issued_at timestamptz, OUT secret_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_initial_access_token AS t SET uses = t.uses - 1, updated_at = now() WHERE t.token = presented;
    SELECT b.verdict, b.issued_at, b.secret_expires_at INTO verdict, issued_at, secret_expires_at
    FROM registered_before(of_client, of_id, secret, manager) AS b;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION return_initial_access_token(token_digest, client_id, oauth_client_id, token_digest, token_digest) IS 'Part of RegisterClient, for a call that met another one that registers the same client_id at the same time: gives its use of the initial access token back, and says whether the other one was the same call (retried) or not (taken).';
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION spend_initial_access_token(
    presented token_digest, is_open boolean, refused outcome, of_client client_id, of_id oauth_client_id, secret token_digest,
    manager token_digest, OUT verdict outcome, OUT owner reference_id, OUT issued_at timestamptz, OUT secret_expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    t oauth_initial_access_token;
    before record;
BEGIN
    IF presented IS NOT NULL THEN
        -- registrations with one token run one after the other
        SELECT x.* INTO t FROM oauth_initial_access_token AS x WHERE x.token = presented FOR NO KEY UPDATE;
    END IF;
    SELECT b.* INTO before FROM registered_before(of_client, of_id, secret, manager) AS b;
    verdict := CASE
        WHEN t.id IS NULL AND (presented IS NOT NULL OR is_open IS NOT TRUE) THEN 'unauthenticated'
        WHEN before.verdict = 'retried' THEN 'retried'
        WHEN t.revoked_at IS NOT NULL THEN 'revoked'
        WHEN t.uses >= t.max_uses THEN 'exhausted'
        WHEN t.expires_at <= now() THEN 'expired'
        WHEN refused IS NOT NULL THEN refused
        WHEN before.verdict = 'taken' THEN 'taken'
        ELSE 'registered'
    END;
    owner := t.reference_id;
    IF verdict = 'retried' THEN
        issued_at := before.issued_at;
        secret_expires_at := before.secret_expires_at;
    ELSIF verdict = 'registered' THEN
        UPDATE oauth_initial_access_token AS x SET uses = x.uses + 1, updated_at = now() WHERE x.id = t.id;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
COMMENT ON FUNCTION spend_initial_access_token(token_digest, boolean, outcome, client_id, oauth_client_id, token_digest, token_digest) IS 'Part of RegisterClient: whether a client may be registered, and one use of the initial access token if it may. refused is why the metadata is refused, or NULL. What is refused spends nothing. owner is the tenant of the token.';
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DROP FUNCTION spend_initial_access_token;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION return_initial_access_token;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION registered_before;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_registration_update;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION manages;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_registration;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION judge_client_document;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION is_redirect_uri;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION document_changes;
-- +goose StatementEnd

-- +goose StatementBegin
DROP FUNCTION delete_client;
-- +goose StatementEnd

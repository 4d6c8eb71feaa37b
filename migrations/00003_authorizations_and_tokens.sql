-- +goose Up

CREATE DOMAIN authorization_id AS text;
CREATE DOMAIN access_token_id AS text;
CREATE DOMAIN refresh_token_id AS text;
CREATE DOMAIN token_confirmation AS jsonb;

COMMENT ON DOMAIN authorization_id IS 'Primary key of oauth_authorization: names a family of tokens.';
COMMENT ON DOMAIN access_token_id IS 'Primary key of oauth_access_token; the jti of a JWT access token.';
COMMENT ON DOMAIN refresh_token_id IS 'Primary key of oauth_refresh_token.';
COMMENT ON DOMAIN token_confirmation IS 'The key that a caller has proven to hold (RFC 7800), as queries take it; columns are jsonb.';

CREATE TYPE authorization_status AS ENUM ('pending', 'approved', 'denied');
CREATE TYPE revocation_reason AS ENUM (
    'code_replayed', 'refresh_token_reused', 'token_revoked', 'authorization_revoked', 'user_revoked', 'client_revoked',
    'session_ended', 'consent_withdrawn'
);
CREATE TYPE decision_outcome AS ENUM ('approved', 'denied', 'decided', 'expired', 'exceeded', 'disabled');
CREATE TYPE code_outcome AS ENUM ('issued', 'undecided', 'denied', 'redeemed', 'revoked', 'expired', 'disabled');
CREATE TYPE grant_outcome AS ENUM ('granted', 'exceeded', 'disabled');
CREATE TYPE redemption_outcome AS ENUM ('redeemed', 'replayed', 'expired', 'mismatched', 'revoked', 'disabled');
CREATE TYPE rotation_outcome AS ENUM (
    'rotated', 'replayed', 'reused', 'expired', 'revoked', 'exceeded', 'mismatched', 'disabled'
);
CREATE TYPE issuance_outcome AS ENUM ('issued', 'exceeded', 'disabled');
CREATE TYPE token_kind AS ENUM ('access_token', 'refresh_token');

COMMENT ON TYPE authorization_status IS 'What the user has decided.';
COMMENT ON TYPE revocation_reason IS 'Why a family of tokens was ended.';
COMMENT ON TYPE decision_outcome IS 'What ApproveAuthorization or DenyAuthorization came to.';
COMMENT ON TYPE code_outcome IS 'What IssueAuthorizationCode came to.';
COMMENT ON TYPE grant_outcome IS 'What GrantAuthorization came to.';
COMMENT ON TYPE redemption_outcome IS 'What RedeemAuthorizationCode came to.';
COMMENT ON TYPE rotation_outcome IS 'What RotateRefreshToken came to.';
COMMENT ON TYPE issuance_outcome IS 'What IssueAccessToken came to.';
COMMENT ON TYPE token_kind IS 'The token_type_hint of RFC 7009, section 2.1.';

CREATE TABLE oauth_authorization (
    id                    authorization_id     NOT NULL,
    created_at            timestamptz          NOT NULL DEFAULT now(),
    updated_at            timestamptz          NOT NULL DEFAULT now(),
    client_id             client_id            NOT NULL,
    status                authorization_status NOT NULL DEFAULT 'pending',
    redirect_uri          text,
    response_type         text,
    response_mode         text,
    scopes                text[]               NOT NULL,
    state                 text,
    nonce                 text,
    code_challenge        text,
    code_challenge_method text,
    resources             text[],
    claims                jsonb,
    request               jsonb,
    request_uri           token_digest,
    expires_at            timestamptz,
    user_id               user_id,
    session_id            session_id,
    reference_id          reference_id,
    granted_scopes        text[],
    auth_time             timestamptz,
    acr                   text,
    amr                   text[],
    decided_at            timestamptz,
    code                  token_digest,
    code_expires_at       timestamptz,
    redeemed_at           timestamptz,
    adopted_at            timestamptz,
    confirmation          jsonb,
    max_expires_at        timestamptz,
    current_refresh_token token_digest,
    revoked_at            timestamptz,
    revoked_reason        revocation_reason,
    CONSTRAINT oauth_authorization_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_authorization_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT oauth_authorization_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    CONSTRAINT oauth_authorization_session_id_fkey FOREIGN KEY (session_id) REFERENCES session (id) ON DELETE SET NULL,
    CONSTRAINT oauth_authorization_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_authorization_reference_id_length CHECK (octet_length(reference_id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_authorization_scopes_hold_no_null CHECK (array_position(scopes, NULL) IS NULL),
    CONSTRAINT oauth_authorization_granted_scopes_hold_no_null CHECK (array_position(granted_scopes, NULL) IS NULL),
    CONSTRAINT oauth_authorization_resources_hold_no_null CHECK (array_position(resources, NULL) IS NULL),
    CONSTRAINT oauth_authorization_amr_hold_no_null CHECK (array_position(amr, NULL) IS NULL),
    CONSTRAINT oauth_authorization_code_is_digest CHECK (code ~ '^[A-Za-z0-9_-]{43}$'),
    CONSTRAINT oauth_authorization_request_uri_is_digest CHECK (request_uri ~ '^[A-Za-z0-9_-]{43}$'),
    CONSTRAINT oauth_authorization_current_refresh_token_is_digest CHECK (current_refresh_token ~ '^[A-Za-z0-9_-]{43}$'),
    CONSTRAINT oauth_authorization_challenge_names_method CHECK ((code_challenge IS NULL) = (code_challenge_method IS NULL)),
    CONSTRAINT oauth_authorization_challenge_method_known CHECK (code_challenge_method IN ('S256', 'plain')),
    CONSTRAINT oauth_authorization_claims_is_object CHECK (jsonb_typeof(claims) = 'object'),
    CONSTRAINT oauth_authorization_request_is_object CHECK (jsonb_typeof(request) = 'object'),
    CONSTRAINT oauth_authorization_confirmation_is_object CHECK (jsonb_typeof(confirmation) = 'object'),
    CONSTRAINT oauth_authorization_approved_by_user CHECK (status <> 'approved' OR (user_id IS NOT NULL AND granted_scopes IS NOT NULL)),
    CONSTRAINT oauth_authorization_granted_within_asked CHECK (granted_scopes <@ scopes),
    CONSTRAINT oauth_authorization_code_after_approval CHECK (code IS NULL OR status = 'approved'),
    CONSTRAINT oauth_authorization_code_expires CHECK (code IS NULL OR code_expires_at IS NOT NULL),
    CONSTRAINT oauth_authorization_redeemed_by_code CHECK (redeemed_at IS NULL OR code IS NOT NULL),
    CONSTRAINT oauth_authorization_revoked_for_reason CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);

CREATE UNIQUE INDEX oauth_authorization_code_uidx ON oauth_authorization (code) WHERE code IS NOT NULL;
CREATE UNIQUE INDEX oauth_authorization_request_uri_uidx ON oauth_authorization (request_uri) WHERE request_uri IS NOT NULL;
CREATE INDEX oauth_authorization_client_id_idx ON oauth_authorization (client_id, created_at, id);
CREATE INDEX oauth_authorization_user_id_idx ON oauth_authorization (user_id, created_at, id);
CREATE INDEX oauth_authorization_session_id_idx ON oauth_authorization (session_id);
CREATE INDEX oauth_authorization_expires_at_idx ON oauth_authorization (expires_at);

COMMENT ON TABLE oauth_authorization IS 'One decision of a user about a client, from the request to the last token that descends from it: the family. revoked_at ends all of them at once. Kept as evidence until the last token has expired.';
COMMENT ON COLUMN oauth_authorization.status IS 'pending until the user has decided.';
COMMENT ON COLUMN oauth_authorization.redirect_uri IS 'redirect_uri as the authorization request carried it (RFC 6749, section 4.1.1); NULL if it carried none.';
COMMENT ON COLUMN oauth_authorization.response_type IS 'response_type of the request.';
COMMENT ON COLUMN oauth_authorization.response_mode IS 'response_mode of the request.';
COMMENT ON COLUMN oauth_authorization.scopes IS 'Scopes that the request asked for.';
COMMENT ON COLUMN oauth_authorization.state IS 'state of the request, handed back to the client.';
COMMENT ON COLUMN oauth_authorization.nonce IS 'nonce of the request, for the ID token.';
COMMENT ON COLUMN oauth_authorization.code_challenge IS 'PKCE challenge (RFC 7636, section 4.3).';
COMMENT ON COLUMN oauth_authorization.code_challenge_method IS 'How the challenge derives from the verifier (RFC 7636, section 4.2).';
COMMENT ON COLUMN oauth_authorization.resources IS 'Resource indicators asked for (RFC 8707); NULL if none were.';
COMMENT ON COLUMN oauth_authorization.claims IS 'The claims parameter (OpenID Connect Core, section 5.5).';
COMMENT ON COLUMN oauth_authorization.request IS 'The rest of the request (prompt, max_age, login_hint, ui_locales ...), an object.';
COMMENT ON COLUMN oauth_authorization.request_uri IS 'Digest of a pushed request''s request_uri (RFC 9126), until it has been taken.';
COMMENT ON COLUMN oauth_authorization.expires_at IS 'Pending: the request lapses. Approved: when the code, later the family''s last token, expires; moves along with each rotation. NULL means never.';
COMMENT ON COLUMN oauth_authorization.user_id IS 'Who decided.';
COMMENT ON COLUMN oauth_authorization.session_id IS 'The session in which the user decided. Its end revokes what lacks offline_access.';
COMMENT ON COLUMN oauth_authorization.reference_id IS 'The tenant in which the user decided.';
COMMENT ON COLUMN oauth_authorization.granted_scopes IS 'Scopes that the user granted: never more than were asked for.';
COMMENT ON COLUMN oauth_authorization.auth_time IS 'When the user last authenticated (auth_time of OpenID Connect Core, section 2).';
COMMENT ON COLUMN oauth_authorization.acr IS 'Authentication context class reference.';
COMMENT ON COLUMN oauth_authorization.amr IS 'Authentication methods (RFC 8176).';
COMMENT ON COLUMN oauth_authorization.decided_at IS 'When the user approved or denied.';
COMMENT ON COLUMN oauth_authorization.code IS 'Digest of the authorization code. Stays after redemption, so that a replay is known as one.';
COMMENT ON COLUMN oauth_authorization.code_expires_at IS 'The code is refused from this instant on.';
COMMENT ON COLUMN oauth_authorization.redeemed_at IS 'When the code was used: it is used once.';
COMMENT ON COLUMN oauth_authorization.adopted_at IS 'When a refresh token that another server wrote was given this family.';
COMMENT ON COLUMN oauth_authorization.confirmation IS 'The key to which the family is bound (RFC 7800; dpop_jkt of RFC 9449, section 10). NULL binds nothing.';
COMMENT ON COLUMN oauth_authorization.max_expires_at IS 'No token of the family outlives this instant; NULL means no such bound.';
COMMENT ON COLUMN oauth_authorization.current_refresh_token IS 'Digest of the one refresh token of the family that has not been used yet.';
COMMENT ON COLUMN oauth_authorization.revoked_at IS 'Every token of the family is dead from this instant on.';
COMMENT ON COLUMN oauth_authorization.revoked_reason IS 'Why it was revoked.';

CREATE TABLE oauth_refresh_token (
    id               refresh_token_id NOT NULL,
    created_at       timestamptz      NOT NULL DEFAULT now(),
    updated_at       timestamptz      NOT NULL DEFAULT now(),
    token            token_digest     NOT NULL,
    client_id        client_id        NOT NULL,
    session_id       session_id,
    user_id          user_id          NOT NULL,
    reference_id     reference_id,
    expires_at       timestamptz,
    revoked          timestamptz,
    scopes           text[]           NOT NULL,
    authorization_id authorization_id,
    auth_time        timestamptz,
    successor        token_digest,
    successor_id     refresh_token_id,
    resources        text[],
    confirmation     jsonb,
    CONSTRAINT oauth_refresh_token_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_refresh_token_token_uidx UNIQUE (token),
    CONSTRAINT oauth_refresh_token_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT oauth_refresh_token_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    CONSTRAINT oauth_refresh_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES session (id) ON DELETE SET NULL,
    CONSTRAINT oauth_refresh_token_authorization_id_fkey FOREIGN KEY (authorization_id) REFERENCES oauth_authorization (id) ON DELETE CASCADE,
    CONSTRAINT oauth_refresh_token_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_refresh_token_token_is_digest CHECK (token ~ '^[A-Za-z0-9_-]{43}$'),
    CONSTRAINT oauth_refresh_token_successor_is_digest CHECK (successor ~ '^[A-Za-z0-9_-]{43}$'),
    CONSTRAINT oauth_refresh_token_reference_id_length CHECK (octet_length(reference_id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_refresh_token_scopes_hold_no_null CHECK (array_position(scopes, NULL) IS NULL),
    CONSTRAINT oauth_refresh_token_resources_hold_no_null CHECK (array_position(resources, NULL) IS NULL),
    CONSTRAINT oauth_refresh_token_confirmation_is_object CHECK (jsonb_typeof(confirmation) = 'object'),
    CONSTRAINT oauth_refresh_token_successor_is_whole CHECK ((successor IS NULL) = (successor_id IS NULL)),
    CONSTRAINT oauth_refresh_token_rotated_is_revoked CHECK (successor IS NULL OR revoked IS NOT NULL)
);

CREATE INDEX oauth_refresh_token_client_id_idx ON oauth_refresh_token (client_id);
CREATE INDEX oauth_refresh_token_user_id_idx ON oauth_refresh_token (user_id);
CREATE INDEX oauth_refresh_token_session_id_idx ON oauth_refresh_token (session_id);
CREATE INDEX oauth_refresh_token_authorization_id_idx ON oauth_refresh_token (authorization_id);
CREATE INDEX oauth_refresh_token_expires_at_idx ON oauth_refresh_token (expires_at) WHERE authorization_id IS NULL;
CREATE INDEX oauth_refresh_token_unadopted_idx ON oauth_refresh_token (id) WHERE authorization_id IS NULL AND revoked IS NULL;

COMMENT ON TABLE oauth_refresh_token IS 'Refresh tokens (RFC 6749, section 1.5), spent ones included: they are the evidence by which reuse is recognised.';
COMMENT ON COLUMN oauth_refresh_token.token IS 'Digest of the refresh token.';
COMMENT ON COLUMN oauth_refresh_token.expires_at IS 'The token is refused from this instant on; NULL means never.';
COMMENT ON COLUMN oauth_refresh_token.revoked IS 'When the token was spent (it then has a successor) or revoked.';
COMMENT ON COLUMN oauth_refresh_token.scopes IS 'Scopes that the token can still grant.';
COMMENT ON COLUMN oauth_refresh_token.reference_id IS 'The tenant in which the grant was made.';
COMMENT ON COLUMN oauth_refresh_token.authorization_id IS 'The family. NULL only for a token that another server wrote, until it is adopted.';
COMMENT ON COLUMN oauth_refresh_token.auth_time IS 'When the user last authenticated.';
COMMENT ON COLUMN oauth_refresh_token.successor IS 'Digest of the token that replaced this one when it was rotated.';
COMMENT ON COLUMN oauth_refresh_token.successor_id IS 'Primary key of the successor. No foreign key: either row may be collected first.';
COMMENT ON COLUMN oauth_refresh_token.resources IS 'Resource indicators of the grant (RFC 8707).';
COMMENT ON COLUMN oauth_refresh_token.confirmation IS 'The key to which the token is bound (RFC 7800).';

CREATE TABLE oauth_access_token (
    id               access_token_id NOT NULL,
    created_at       timestamptz     NOT NULL DEFAULT now(),
    updated_at       timestamptz     NOT NULL DEFAULT now(),
    token            token_digest,
    client_id        client_id       NOT NULL,
    session_id       session_id,
    user_id          user_id,
    reference_id     reference_id,
    refresh_id       refresh_token_id,
    expires_at       timestamptz,
    scopes           text[]          NOT NULL,
    authorization_id authorization_id,
    revoked          timestamptz,
    resources        text[],
    confirmation     jsonb,
    CONSTRAINT oauth_access_token_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_access_token_token_uidx UNIQUE (token),
    CONSTRAINT oauth_access_token_user_id_fkey FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES session (id) ON DELETE SET NULL,
    CONSTRAINT oauth_access_token_authorization_id_fkey FOREIGN KEY (authorization_id) REFERENCES oauth_authorization (id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_refresh_id_fkey FOREIGN KEY (refresh_id) REFERENCES oauth_refresh_token (id) ON DELETE CASCADE,
    CONSTRAINT oauth_access_token_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_access_token_token_is_digest CHECK (token ~ '^[A-Za-z0-9_-]{43}$'),
    CONSTRAINT oauth_access_token_reference_id_length CHECK (octet_length(reference_id) BETWEEN 1 AND 255),
    CONSTRAINT oauth_access_token_scopes_hold_no_null CHECK (array_position(scopes, NULL) IS NULL),
    CONSTRAINT oauth_access_token_resources_hold_no_null CHECK (array_position(resources, NULL) IS NULL),
    CONSTRAINT oauth_access_token_confirmation_is_object CHECK (jsonb_typeof(confirmation) = 'object')
);

CREATE INDEX oauth_access_token_client_id_idx ON oauth_access_token (client_id);
CREATE INDEX oauth_access_token_user_id_idx ON oauth_access_token (user_id);
CREATE INDEX oauth_access_token_session_id_idx ON oauth_access_token (session_id);
CREATE INDEX oauth_access_token_refresh_id_idx ON oauth_access_token (refresh_id);
CREATE INDEX oauth_access_token_authorization_id_idx ON oauth_access_token (authorization_id);
CREATE INDEX oauth_access_token_expires_at_idx ON oauth_access_token (expires_at);

COMMENT ON TABLE oauth_access_token IS 'Access tokens (RFC 6749, section 1.4), opaque or JWT.';
COMMENT ON COLUMN oauth_access_token.token IS 'Digest of the access token; NULL for a JWT that is known by its id (jti) alone.';
COMMENT ON COLUMN oauth_access_token.user_id IS 'The subject; NULL for a client that acts for itself (client credentials).';
COMMENT ON COLUMN oauth_access_token.reference_id IS 'The tenant in which the grant was made.';
COMMENT ON COLUMN oauth_access_token.refresh_id IS 'The refresh token that came with it, or from which it was refreshed.';
COMMENT ON COLUMN oauth_access_token.expires_at IS 'The token is refused from this instant on; NULL means never.';
COMMENT ON COLUMN oauth_access_token.scopes IS 'Scopes of the token.';
COMMENT ON COLUMN oauth_access_token.authorization_id IS 'The family; NULL for client credentials and for tokens that another server wrote.';
COMMENT ON COLUMN oauth_access_token.revoked IS 'When this one token was revoked.';
COMMENT ON COLUMN oauth_access_token.resources IS 'Resource indicators of the token: its audience (RFC 8707).';
COMMENT ON COLUMN oauth_access_token.confirmation IS 'The key to which the token is bound (RFC 7800).';

-- +goose StatementBegin
CREATE FUNCTION new_authorization_id() RETURNS authorization_id
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$
    -- UUIDv7 (RFC 9562, section 5.7) from the clock and a random UUIDv4, until uuidv7() of PostgreSQL 18 is everywhere
    SELECT (
        'azn_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14)
    )::authorization_id
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION new_authorization_id() IS 'A time-ordered identifier, as store.NewAuthorizationID makes them, for families that a statement begins by itself.';

-- +goose StatementBegin
CREATE FUNCTION revoke_session_grants(ended session_id)
RETURNS TABLE (authorization_id authorization_id, client_id client_id, revoked boolean)
LANGUAGE sql VOLATILE
AS $$
    -- A function, because a statement cannot see what was committed while it waited for the session's lock, and a
    -- volatile function can: it looks again. Without it a grant that was approved in that moment would outlive the session.
    WITH bound AS MATERIALIZED (
        SELECT a.id, a.client_id, a.revoked_at, 'offline_access' = ANY (coalesce(a.granted_scopes, a.scopes)) AS offline
        FROM oauth_authorization AS a
        WHERE a.session_id = ended
        ORDER BY a.id
        FOR NO KEY UPDATE
    ), condemned AS (
        -- session_id too: left to the foreign key it would be the row's second update in this transaction, upon which PostgreSQL
        -- checks its other foreign keys again, and so locks the client long after the order of locks has it
        UPDATE oauth_authorization AS a
        SET revoked_at = now(), revoked_reason = 'session_ended', session_id = NULL, updated_at = now()
        FROM bound AS b
        WHERE a.id = b.id AND b.revoked_at IS NULL AND NOT b.offline
        RETURNING a.id
    ), ended_refresh_tokens AS (
        UPDATE oauth_refresh_token AS r
        SET revoked = now(), session_id = NULL, updated_at = now()
        WHERE r.session_id = ended AND r.authorization_id IS NULL AND r.revoked IS NULL
          AND NOT 'offline_access' = ANY (r.scopes)
        RETURNING r.client_id
    ), ended_access_tokens AS (
        UPDATE oauth_access_token AS t
        SET revoked = now(), session_id = NULL, updated_at = now()
        WHERE t.session_id = ended AND t.authorization_id IS NULL AND t.revoked IS NULL
          AND NOT 'offline_access' = ANY (t.scopes)
        RETURNING t.client_id
    )
    -- A plain SELECT of the very types declared: for anything else PostgreSQL wraps the query and loses sight of its UPDATEs,
    -- so that their triggers, foreign keys included, fire after the session is gone.
    SELECT g.authorization_id::authorization_id, g.client_id::client_id, g.revoked::boolean
    FROM (
        SELECT b.id, b.client_id, c.id IS NOT NULL
        FROM bound AS b
        LEFT JOIN condemned AS c ON c.id = b.id
        UNION ALL
        SELECT NULL, s.client_id, s.client_id IN (SELECT e.client_id FROM ended_refresh_tokens AS e UNION ALL SELECT e.client_id FROM ended_access_tokens AS e)
        FROM (
            SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.session_id = ended AND r.authorization_id IS NULL
            UNION
            SELECT t.client_id FROM oauth_access_token AS t WHERE t.session_id = ended AND t.authorization_id IS NULL
        ) AS s
    ) AS g (authorization_id, client_id, revoked)
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION revoke_session_grants(session_id) IS 'Part of EndSession: revokes what was granted in the session and lacks offline_access, and names every client that the session knew.';

-- +goose StatementBegin
CREATE FUNCTION lock_grant_parents(doomed_user user_id, doomed_clients text[]) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$
    -- A function, because it has to see what was granted while the statement waited for the user or client that it deletes: the
    -- cascade sees that too.
    WITH clients AS MATERIALIZED (
        SELECT c.client_id
        FROM oauth_client AS c
        WHERE c.client_id = ANY (
            ARRAY(
                SELECT a.client_id::text FROM oauth_authorization AS a WHERE a.user_id = doomed_user
                UNION
                SELECT r.client_id FROM oauth_refresh_token AS r WHERE r.user_id = doomed_user
                UNION
                SELECT t.client_id FROM oauth_access_token AS t WHERE t.user_id = doomed_user
            )
        )
        ORDER BY c.client_id
        FOR KEY SHARE
    ), sessions AS MATERIALIZED (
        SELECT s.id
        FROM session AS s
        WHERE (SELECT count(*) FROM clients) >= 0
          AND s.id = ANY (
            ARRAY(
                SELECT x.id::text FROM session AS x WHERE x.user_id = doomed_user
                UNION
                SELECT a.session_id FROM oauth_authorization AS a WHERE a.client_id = ANY (doomed_clients)
                UNION
                SELECT r.session_id FROM oauth_refresh_token AS r WHERE r.client_id = ANY (doomed_clients)
                UNION
                SELECT t.session_id FROM oauth_access_token AS t WHERE t.client_id = ANY (doomed_clients)
            )
        )
        ORDER BY s.id
        FOR KEY SHARE
    )
    SELECT (SELECT count(*) FROM clients) + (SELECT count(*) FROM sessions)
$$;
-- +goose StatementEnd

COMMENT ON FUNCTION lock_grant_parents(user_id, text[]) IS 'Part of DeleteUser and DeleteClient: locks the clients and sessions by which others end the same grants, before the cascade reaches these in no order that one could follow.';

-- +goose Down

DROP FUNCTION lock_grant_parents(user_id, text[]);
DROP FUNCTION revoke_session_grants(session_id);
DROP FUNCTION new_authorization_id();
DROP TABLE oauth_access_token;
DROP TABLE oauth_refresh_token;
DROP TABLE oauth_authorization;
DROP TYPE token_kind;
DROP TYPE issuance_outcome;
DROP TYPE rotation_outcome;
DROP TYPE redemption_outcome;
DROP TYPE grant_outcome;
DROP TYPE code_outcome;
DROP TYPE decision_outcome;
DROP TYPE revocation_reason;
DROP TYPE authorization_status;
DROP DOMAIN token_confirmation;
DROP DOMAIN refresh_token_id;
DROP DOMAIN access_token_id;
DROP DOMAIN authorization_id;

-- IssueAccessToken issues a token to a client that acts for itself (client credentials, RFC 6749, section 4.4). access_token is the
-- token's digest; NULL if the token is a JWT, which is known by its id (jti). default_scopes and default_resources are what a client may
-- ask for if nothing is registered for it. The client is authenticated as in AuthenticateClient.
-- confirmation is the key that the caller has proven to hold. It binds the token.
-- proof is the digest of the DPoP proof, which is remembered until proof_expires_at.
-- data is what a library on top keeps with the token. Introspection returns it.
-- ip_address is for the security event (ListSecurityEvents).
--   - issued: the token is written
--   - retried: the same call, with the same id, had issued it before; the id of another token, or of one with other scopes, is an error
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - disabled: the client is disabled (invalid_client)
--   - unauthorized_client: the client is public, or not registered for client_credentials (unauthorized_client)
--   - mismatched: the client's tokens have to be bound to a key, and none was proven (invalid_request)
--   - invalid_scope: the scopes go beyond what the client may ask for (invalid_scope)
--   - invalid_target: the resources go beyond what the client may ask for (invalid_target)
--   - proof_replayed: the DPoP proof was presented before, by another call (invalid_dpop_proof)
-- Only issued writes anything, apart from the proof, which is remembered. Run this call on the pool: a transaction that is rolled back would
-- forget the proof.
-- name: IssueAccessToken :one
WITH client AS MATERIALIZED (
    SELECT c.client_id, c.grants_epoch,
        expiry(now(), @lifetime::interval, c.access_token_lifetime, 'Lifetime') AS expires_at,
        (
            CASE
                WHEN NOT authenticates(c, @client_auth_method::text, @client_secret::token_digest) THEN 'unauthenticated'
                WHEN c.disabled THEN 'disabled'
                WHEN is_public(c) OR NOT uses_grant_type(c, 'client_credentials') THEN 'unauthorized_client'
                WHEN NOT binds_as_registered(c, sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
                ELSE coalesce(
                    judge_asked(c, @scopes::text[], @default_scopes::text[], @resources::text[], @default_resources::text[], NULL, NULL),
                    'issued'
                )
            END
        )::outcome AS outcome
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id
    FOR KEY SHARE OF c
), admitted AS MATERIALIZED (
    SELECT c.*,
        CASE
            WHEN proof_is_fresh(sqlc.narg('proof')::token_digest, sqlc.narg('proof_expires_at')::timestamptz) THEN true
            ELSE was_issued_to(@id::access_token_id, c.client_id, NULL)
        END AS fresh
    FROM client AS c
    WHERE c.outcome = 'issued'
), new_access_token AS (
    INSERT INTO oauth_access_token (id, token, client_id, reference_id, expires_at, scopes, resources, confirmation, client_epoch, data)
    SELECT @id::access_token_id, sqlc.narg('access_token')::token_digest, m.client_id,
        sqlc.narg('reference_id')::reference_id, m.expires_at, as_set(@scopes::text[]), nullif(as_set(@resources::text[]), '{}'),
        sqlc.narg('confirmation')::token_confirmation, m.grants_epoch, sqlc.narg('data')::jsonb
    FROM admitted AS m
    WHERE m.fresh
    ON CONFLICT DO NOTHING -- of id and token: of two same calls at once, either may conflict first
    RETURNING id, expires_at
), access_token AS (
    SELECT 'issued' AS outcome, w.expires_at::timestamptz AS expires_at
    FROM new_access_token AS w
    UNION ALL
    SELECT CASE
            WHEN e.authorization_id IS NULL AND e.scopes = as_set(@scopes::text[]) AND e.resources IS NOT DISTINCT FROM nullif(as_set(@resources::text[]), '{}')
            THEN 'retried'
            ELSE refuse_parameter('ID', 'is that of another token')
        END, e.expires_at
    FROM admitted AS m
    CROSS JOIN find_issued_access_token(@id::access_token_id, m.client_id, sqlc.narg('access_token')::token_digest, NULL, 'ID')
        AS e (authorization_id, expires_at, scopes, resources, authorization_details, act)
    WHERE m.fresh AND NOT EXISTS (SELECT FROM new_access_token)
)
SELECT noted(
        coalesce(w.outcome, CASE WHEN NOT m.fresh THEN 'proof_replayed' END, c.outcome::text, 'unauthenticated')::outcome,
        'IssueAccessToken', of_client => @client_id::client_id, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    w.expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN client AS c ON true
LEFT JOIN admitted AS m ON true
LEFT JOIN access_token AS w ON true;

-- ExchangeToken issues an access token for another one that is narrower, or held by another client (RFC 8693). The client is authenticated as
-- in AuthenticateClient.
-- The subject token is given by its digest (subject_token) or, if it is a JWT, by its id (subject_token_id, the jti); so is the actor
-- token, if there is one. access_token is the new token's digest, NULL for a JWT. A client may present the tokens that were issued to it. A
-- confidential client may also present those whose resources have its client_id or one of client_resources, which are the resources that it
-- serves: the server has to know them.
-- The new token belongs to the family of the subject token and ends with it, and with its own client. It doesn't end if the subject token
-- alone is revoked later. There is no refresh token.
-- scopes, resources and authorization_details narrow what the subject token has; empty leaves all of it, but what the client may not ask for.
-- default_scopes are those that a client may ask for if none are registered for it; where it has no resources or types registered, it may
-- keep all that the subject token has. Elements of authorization_details are compared whole; those of a type in compared_types the caller
-- has compared itself (RFC 9396, section 6.1). The new token expires no later than the subject token.
-- act has the new actor outermost (RFC 8693, section 4.1): the user or client of the actor token or, without one, the client that presents a
-- token of another client. A user is named by the subject by which the client knows the user. With impersonate no actor is added where no
-- actor token is presented.
-- If the family or the subject token has a may_act (section 4.4), all its members have to be those of the actor, sub and client_id. may_act
-- is who may act with the new token; NULL leaves what the subject token has.
-- confirmation is the key that the caller has proven to hold. It binds the new token, and has to be the key of a token that was issued to the
-- client and is bound to one.
-- proof is the digest of the DPoP proof, which is remembered until proof_expires_at.
-- access_token_id is made once for a request and kept for its retries. The access_token_id of another token is an error.
-- sub is the subject by which the client knows the user.
-- ip_address is for the security event (ListSecurityEvents).
--   - exchanged: the token is written
--   - retried: the same call, for the same subject token, had issued it before; the answer is the same
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - disabled: the client is disabled (invalid_client)
--   - unauthorized_client: the client is not registered for urn:ietf:params:oauth:grant-type:token-exchange (unauthorized_client)
--   - unknown: there is no such subject or actor token that the client may present (invalid_request; RFC 8693, section 2.2.2)
--   - unsupported_token_type: the subject token is a client's own, and has no family (invalid_request)
--   - mismatched: the key is another one, or may_act names another actor (invalid_request)
--   - expired: the subject or actor token has expired (invalid_request)
--   - revoked: the subject or actor token had been ended (invalid_request)
--   - too_many_actors: act would name more than 16 actors (invalid_request)
--   - invalid_scope: the scopes go beyond those of the subject token, or what the client may ask for (invalid_scope)
--   - invalid_target: the resources go beyond those of the subject token, or the client may not ask for one of them, or for any that the
--     subject token has (invalid_target)
--   - invalid_authorization_details: an element is not one of the subject token's, or the client may not use its type
--     (invalid_authorization_details)
--   - proof_replayed: the DPoP proof was presented before, by another call (invalid_dpop_proof)
-- Only exchanged writes anything, apart from the proof, which is remembered. Run this call on the pool: a transaction that is rolled back
-- would forget the proof.
-- name: ExchangeToken :one
WITH presented AS MATERIALIZED (
    SELECT k.client_id, sector_of(k) AS sector, k.grants_epoch AS client_epoch, k.access_token_lifetime, t.id, t.authorization_id,
        t.user_id, t.session_id, t.reference_id, coalesce(t.authorization_code_id, t.authorization_id) AS authorization_code_id,
        x.id AS actor_id,
        pair_epoch(u.ended_grants, k.client_id, t.reference_id) AS pair_epoch, a.client_id AS family_client_id, a.auth_time, a.acr, a.amr,
        least(t.expires_at, a.max_expires_at, CASE WHEN a.bound THEN s.expires_at END) AS ends_at,
        asked_or_granted(@scopes::text[], kept_within(t.scopes, coalesce(k.scopes, @default_scopes::text[])))::text[] AS access_scopes,
        asked_or_granted(@resources::text[], kept_within(t.resources, coalesce(k.resources, t.resources)))::text[] AS access_resources,
        details_of_types(
            CASE
                WHEN sqlc.narg('authorization_details')::jsonb IS NULL THEN t.authorization_details
                ELSE details_as_set(sqlc.narg('authorization_details')::jsonb)
            END,
            k.authorization_details_types
        )::jsonb AS access_details,
        coalesce(t.act, a.act) AS subject_act, x.user_id AS actor_user_id,
        CASE
            WHEN x.id IS NOT NULL THEN x.client_id::text
            WHEN t.client_id <> k.client_id AND NOT @impersonate::boolean THEN k.client_id::text
        END AS actor_client_id,
        coalesce(sqlc.narg('may_act')::jsonb, t.may_act) AS access_may_act,
        (CASE
            WHEN NOT authenticates(k, @client_auth_method::text, @client_secret::token_digest) THEN 'unauthenticated'
            WHEN k.disabled THEN 'disabled'
            WHEN NOT uses_grant_type(k, 'urn:ietf:params:oauth:grant-type:token-exchange') THEN 'unauthorized_client'
            WHEN NOT may_present(k, t, @client_resources::text[]) THEN 'unknown'
            WHEN (sqlc.narg('actor_token')::token_digest IS NOT NULL OR sqlc.narg('actor_token_id')::access_token_id IS NOT NULL)
                AND NOT may_present(k, x, @client_resources::text[]) THEN 'unknown'
            WHEN t.authorization_id IS NULL THEN 'unsupported_token_type'
            WHEN NOT binds_as_registered(k, sqlc.narg('confirmation')::token_confirmation)
                OR (t.client_id = k.client_id AND NOT key_fits(t.confirmation, sqlc.narg('confirmation')::token_confirmation))
                OR (x.client_id = k.client_id AND NOT key_fits(x.confirmation, sqlc.narg('confirmation')::token_confirmation))
            THEN 'mismatched'
            WHEN t.expires_at <= now() OR x.expires_at <= now() THEN 'expired'
            -- an empty may_act names nobody
            WHEN coalesce(t.may_act, a.may_act) = '{}' OR NOT jsonb_build_object(
                'sub', coalesce(x.user_id::text, x.client_id::text, k.client_id::text), 'client_id', coalesce(x.client_id, k.client_id)
            ) @> coalesce(t.may_act, a.may_act) THEN 'mismatched'
            WHEN jsonb_path_exists(coalesce(t.act, a.act), 'strict $.**{16}')
                AND (x.id IS NOT NULL OR (t.client_id <> k.client_id AND NOT @impersonate::boolean)) THEN 'too_many_actors'
            ELSE coalesce(
                judge_narrowed(
                    k, @scopes::text[], t.scopes, @default_scopes::text[], @resources::text[], t.resources, t.resources,
                    sqlc.narg('authorization_details')::jsonb, t.authorization_details, @compared_types::text[]
                ),
                'exchanged'
            )
        END)::outcome AS outcome
    FROM oauth_client AS k
    LEFT JOIN oauth_access_token AS t ON t.id = CASE
        WHEN sqlc.narg('subject_token')::token_digest IS NOT NULL
        THEN (SELECT d.id::text FROM oauth_access_token AS d WHERE d.token = sqlc.narg('subject_token')::token_digest)
        ELSE sqlc.narg('subject_token_id')::access_token_id
    END
    LEFT JOIN oauth_access_token AS x ON x.id = CASE
        WHEN sqlc.narg('actor_token')::token_digest IS NOT NULL
        THEN (SELECT d.id::text FROM oauth_access_token AS d WHERE d.token = sqlc.narg('actor_token')::token_digest)
        ELSE sqlc.narg('actor_token_id')::access_token_id
    END
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE k.client_id = @client_id::client_id
), admitted AS MATERIALIZED (
    -- two users, if one acts for the other, in the order of their ids, and two clients, in the order of client_id
    SELECT p.*,
        ARRAY[
            lock_parents(least(p.user_id, p.actor_user_id), NULL, NULL),
            lock_parents(greatest(p.user_id, p.actor_user_id), least(p.client_id, p.family_client_id), NULL),
            lock_parents(NULL, greatest(p.client_id, p.family_client_id), p.session_id)
        ]::text[] AS parents,
        CASE
            WHEN proof_is_fresh(sqlc.narg('proof')::token_digest, sqlc.narg('proof_expires_at')::timestamptz) THEN true
            ELSE was_issued_to(@access_token_id::access_token_id, p.client_id, p.id)
        END AS fresh,
        lock_live_access_token(p.id) AND (p.actor_id IS NULL OR lock_live_access_token(p.actor_id)) AS live
    FROM presented AS p
    WHERE p.outcome = 'exchanged'
), named AS MATERIALIZED (
    SELECT m.*, give_subject(m.sector, least(m.user_id, m.actor_user_id)) AS first_sub,
        give_subject(m.sector, greatest(m.user_id, m.actor_user_id)) AS last_sub
    FROM admitted AS m
    WHERE m.fresh AND m.live AND NOT 'unknown' = ANY (m.parents)
), granted AS MATERIALIZED (
    SELECT m.*, (CASE WHEN m.actor_user_id < m.user_id THEN m.last_sub ELSE m.first_sub END)::subject AS sub,
        add_actor(
            m.subject_act,
            CASE WHEN m.actor_user_id < m.user_id THEN m.first_sub::text WHEN m.actor_user_id IS NOT NULL THEN m.last_sub::text ELSE m.actor_client_id END
        ) AS access_act,
        (CASE WHEN NOT 'signed_out' = ANY (m.parents) THEN m.session_id END)::session_id AS live_session_id,
        least(expiry(now(), @access_token_lifetime::interval, m.access_token_lifetime, 'AccessTokenLifetime'), m.ends_at)::timestamptz AS expires_at
    FROM named AS m
), new_access_token AS (
    INSERT INTO oauth_access_token (
        id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, resources, authorization_details, confirmation,
        authorization_id, authorization_code_id, act, may_act, client_epoch, pair_epoch, subject_token_id
    )
    SELECT @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, g.client_id, g.live_session_id, g.user_id,
        g.reference_id, g.expires_at, g.access_scopes, g.access_resources, nullif(g.access_details, '[]'),
        sqlc.narg('confirmation')::token_confirmation, g.authorization_id, g.authorization_code_id, g.access_act, g.access_may_act,
        g.client_epoch, g.pair_epoch, g.id
    FROM granted AS g
    ON CONFLICT DO NOTHING -- of id and token: of two same calls at once, either may conflict first
    RETURNING id, expires_at, scopes, resources, authorization_details, act
), earlier_access_token AS MATERIALIZED (
    SELECT e.authorization_id, e.expires_at, e.scopes, e.resources, e.authorization_details, e.act
    FROM granted AS g
    CROSS JOIN find_issued_access_token(@access_token_id::access_token_id, g.client_id, sqlc.narg('access_token')::token_digest, g.id, 'AccessTokenID')
        AS e (authorization_id, expires_at, scopes, resources, authorization_details, act)
    WHERE NOT EXISTS (SELECT FROM new_access_token)
), access_token AS (
    SELECT 'exchanged' AS outcome, w.expires_at::timestamptz AS expires_at, w.scopes::text[] AS scopes, w.resources::text[] AS resources,
        w.authorization_details::jsonb AS authorization_details, w.act::jsonb AS act
    FROM new_access_token AS w
    UNION ALL
    SELECT CASE WHEN e.authorization_id IS NOT NULL THEN 'retried' ELSE 'expired' END, e.expires_at, e.scopes, e.resources,
        e.authorization_details, e.act
    FROM earlier_access_token AS e
)
SELECT noted(
        coalesce(
            w.outcome,
            CASE WHEN 'unknown' = ANY (m.parents) THEN 'unknown' WHEN NOT m.live THEN 'revoked' WHEN NOT m.fresh THEN 'proof_replayed' END,
            p.outcome::text, 'unauthenticated'
        )::outcome,
        'ExchangeToken', of_user => p.user_id, of_client => @client_id::client_id, of_session => p.session_id, of_family => p.authorization_id,
        from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    g.authorization_id, g.user_id, g.sub, g.live_session_id AS session_id, g.reference_id, w.scopes, w.resources, w.authorization_details, w.act,
    g.auth_time, g.acr, g.amr, w.expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN presented AS p ON true
LEFT JOIN admitted AS m ON true
LEFT JOIN granted AS g ON true
LEFT JOIN access_token AS w ON true;

-- IssueTokenByAssertion issues an access token to a client that presents the assertion of a trusted issuer about a user (RFC 7523, section
-- 2.1; Identity Assertion JWT Authorization Grant). The server has verified the assertion's signature and passes what it says.
-- The client is authenticated as in AuthenticateClient; a public one is refused. The user is the one who has the account whose provider_id is
-- issuer and whose account_id is subject.
-- assertion_id is the digest of issuer and jti (token.GrantAssertionID). An assertion is accepted once, and remembered until it has expired.
-- What is refused for another reason is not remembered.
-- assertion_expires_at is its exp, in seconds since 1970. It is accepted until clock_skew later. max_lifetime bounds how far from now it may
-- be.
-- assertion_client_id is the client_id that it names, NULL if it names none. audiences is its aud, signing_algorithm its alg.
-- default_scopes, default_resources and default_authorization_details_types are what a client may ask for if nothing is registered for it.
-- confirmation is the key that the caller has proven to hold. It binds the access token.
-- proof is the digest of the DPoP proof, which is remembered until proof_expires_at.
-- access_token_id is made once for a request and kept for its retries. The access_token_id of another token is an error.
-- access_token_without_row is that of RedeemAuthorizationCode.
-- The token has a family of its own, which ends with it. There is no refresh token: the client presents another assertion.
-- sub is the subject by which the client knows the user.
-- ip_address is for the security event (ListSecurityEvents).
--   - issued: the token is written, and the assertion is remembered
--   - retried: the same call, with the same access_token_id, had issued it before; the answer is the same
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - disabled: the client is disabled (invalid_client)
--   - unauthorized_client: the client is public, is not registered for urn:ietf:params:oauth:grant-type:jwt-bearer, or is none of the issuer's
--     clients (unauthorized_client)
--   - untrusted: there is no such issuer, or it is disabled (invalid_grant)
--   - mismatched: the audience, algorithm, client or key is another one (invalid_grant)
--   - too_far: exp is further away than max_lifetime (invalid_grant; RFC 7523, section 3, item 4)
--   - expired: the assertion has expired (invalid_grant)
--   - unknown: nobody has the account (invalid_grant)
--   - suspended: the user is suspended (invalid_grant)
--   - invalid_scope: the scopes go beyond what the client may ask for (invalid_scope)
--   - invalid_target: the resources go beyond what the client may ask for (invalid_target)
--   - invalid_authorization_details: the authorization_details are of a type that the client may not use (invalid_authorization_details)
--   - proof_replayed: the DPoP proof was presented before (invalid_dpop_proof), or the assertion was (invalid_grant); replayed_proof says
--     which
-- Only issued writes anything, apart from the proof, which is remembered. Run this call on the pool: a transaction that is rolled back would
-- forget the proof and the assertion.
-- name: IssueTokenByAssertion :one
WITH asked AS MATERIALIZED (
    SELECT k.client_id, sector_of(k) AS sector, k.grants_epoch AS client_epoch, least(k.access_token_lifetime, k.authorization_lifetime) AS lifetime,
        u.id AS user_id, u.grants_epoch AS user_epoch,
        pair_epoch(u.ended_grants, k.client_id, sqlc.narg('reference_id')::reference_id) AS pair_epoch,
        (CASE
            WHEN NOT authenticates(k, @client_auth_method::text, @client_secret::token_digest) THEN 'unauthenticated'
            WHEN k.disabled THEN 'disabled'
            WHEN is_public(k) OR NOT uses_grant_type(k, 'urn:ietf:params:oauth:grant-type:jwt-bearer') THEN 'unauthorized_client'
            WHEN i.disabled IS NOT FALSE THEN 'untrusted'
            WHEN NOT i.any_client AND NOT k.client_id = ANY (i.client_ids) THEN 'unauthorized_client'
            WHEN NOT i.audiences && coalesce(@audiences::text[], '{}') OR NOT @signing_algorithm::text = ANY (i.signing_algorithms)
                OR k.client_id <> sqlc.narg('assertion_client_id')::client_id
                OR NOT binds_as_registered(k, sqlc.narg('confirmation')::token_confirmation) THEN 'mismatched'
            ELSE coalesce(
                judge_assertion_time(@assertion_expires_at::bigint, @clock_skew::interval, @max_lifetime::interval, i.max_lifetime),
                user_refusal(u),
                judge_asked(
                    k, @scopes::text[], @default_scopes::text[], @resources::text[], @default_resources::text[],
                    sqlc.narg('authorization_details')::jsonb, @default_authorization_details_types::text[]
                ),
                'issued'
            )
        END)::outcome AS outcome
    FROM oauth_client AS k
    LEFT JOIN oauth_trusted_issuer AS i ON i.issuer = @issuer::text
    LEFT JOIN account AS e ON e.provider_id = i.issuer AND e.account_id = @subject::text
    LEFT JOIN "user" AS u ON u.id = e.user_id
    WHERE k.client_id = @client_id::client_id
), admitted AS MATERIALIZED (
    SELECT q.*, new_authorization_id() AS authorization_id, lock_parents(q.user_id, q.client_id, NULL) AS parents,
        CASE
            WHEN proof_is_fresh(sqlc.narg('proof')::token_digest, sqlc.narg('proof_expires_at')::timestamptz) THEN true
            ELSE was_granted_by(@assertion_id::token_digest, @access_token_id::access_token_id)
        END AS fresh
    FROM asked AS q
    WHERE q.outcome = 'issued'
), judged AS MATERIALIZED (
    SELECT m.*,
        judge_assertion(
            @assertion_id::token_digest, assertion_ends_at(@assertion_expires_at::bigint, @clock_skew::interval),
            @access_token_id::access_token_id, m.authorization_id, m.client_id, m.user_id
        ) AS verdict
    FROM admitted AS m
    WHERE m.fresh AND m.parents = 'locked'
), granted AS MATERIALIZED (
    SELECT j.*, as_set(@scopes::text[]) AS scopes, nullif(as_set(@resources::text[]), '{}') AS resources,
        details_as_set(sqlc.narg('authorization_details')::jsonb) AS authorization_details,
        sqlc.narg('reference_id')::reference_id AS reference_id,
        expiry(now(), @access_token_lifetime::interval, j.lifetime, 'AccessTokenLifetime') AS expires_at
    FROM judged AS j
    WHERE j.verdict = 'issued'
), new_family AS (
    INSERT INTO oauth_authorization (
        id, client_id, kind, status, scopes, granted_scopes, resources, authorization_details, user_id, reference_id, user_epoch,
        client_epoch, pair_epoch, auth_time, acr, amr, decided_at, redeemed_at, redeemed_as, max_expires_at, data, expires_at
    )
    SELECT g.authorization_id, g.client_id, 'assertion', 'approved', g.scopes, g.scopes, g.resources, g.authorization_details, g.user_id,
        g.reference_id, g.user_epoch, g.client_epoch, g.pair_epoch, sqlc.narg('auth_time')::timestamptz, sqlc.narg('acr')::text,
        sqlc.narg('amr')::text[], now(), now(),
        @access_token_id::access_token_id, g.expires_at, sqlc.narg('data')::jsonb,
        CASE WHEN @access_token_without_row::boolean THEN expiry_without_row(g.expires_at, sqlc.narg('access_token')::token_digest) END
    FROM granted AS g
), new_access_token AS (
    INSERT INTO oauth_access_token (
        id, token, client_id, user_id, reference_id, expires_at, scopes, resources, authorization_details, confirmation, authorization_id,
        authorization_code_id
    )
    SELECT @access_token_id::access_token_id, sqlc.narg('access_token')::token_digest, g.client_id, g.user_id, g.reference_id, g.expires_at,
        g.scopes, g.resources, g.authorization_details, sqlc.narg('confirmation')::token_confirmation, g.authorization_id, g.authorization_id
    FROM granted AS g
    WHERE NOT @access_token_without_row::boolean
), access_token AS (
    SELECT 'issued' AS outcome, g.authorization_id::authorization_id AS authorization_id, g.scopes::text[] AS scopes,
        g.resources::text[] AS resources, g.expires_at::timestamptz AS expires_at
    FROM granted AS g
    UNION ALL
    SELECT CASE WHEN e.authorization_id IS NOT NULL THEN 'retried' ELSE 'expired' END, e.authorization_id, e.scopes, e.resources, e.expires_at
    FROM judged AS j
    CROSS JOIN find_issued_access_token(@access_token_id::access_token_id, j.client_id, sqlc.narg('access_token')::token_digest, NULL, 'AccessTokenID')
        AS e (authorization_id, expires_at, scopes, resources, authorization_details, act)
    WHERE j.verdict = 'retried' AND NOT @access_token_without_row::boolean
    UNION ALL
    SELECT CASE WHEN e.authorization_id IS NOT NULL THEN 'retried' ELSE 'expired' END, e.authorization_id, e.scopes, e.resources, e.expires_at
    FROM judged AS j
    CROSS JOIN find_grant_by_assertion(@assertion_id::token_digest) AS e (authorization_id, expires_at, scopes, resources)
    WHERE j.verdict = 'retried' AND @access_token_without_row::boolean
), named AS MATERIALIZED (
    SELECT give_subject(j.sector, j.user_id) AS sub
    FROM judged AS j
    WHERE j.verdict IN ('issued', 'retried')
)
SELECT noted(
        coalesce(
            w.outcome, CASE WHEN m.parents <> 'locked' THEN 'unknown' WHEN m.outcome IS NOT NULL THEN 'proof_replayed' END, q.outcome::text,
            'unauthenticated'
        )::outcome,
        'IssueTokenByAssertion', of_user => q.user_id, of_client => @client_id::client_id,
        why => CASE WHEN m.fresh THEN 'assertion' END, from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    coalesce(NOT m.fresh, false)::boolean AS replayed_proof, w.authorization_id, q.user_id, d.sub, w.scopes, w.resources, w.expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN asked AS q ON true
LEFT JOIN admitted AS m ON true
LEFT JOIN access_token AS w ON true
LEFT JOIN named AS d ON true;

-- GetAccessToken returns one access token in any state. Zero rows: there is no such token.
-- name: GetAccessToken :one
SELECT t.*
FROM oauth_access_token AS t
WHERE t.id = @id::access_token_id;

-- FindAccessTokenByToken returns an access token by its digest, in any state. Use it to display a token; IntrospectAccessToken decides
-- whether it is live. Zero rows: there is no such token.
-- name: FindAccessTokenByToken :one
SELECT t.*
FROM oauth_access_token AS t
WHERE t.token = @token::token_digest;

-- ListAuthorizationAccessTokens lists the access tokens of a family, oldest first.
-- name: ListAuthorizationAccessTokens :many
SELECT t.*
FROM oauth_access_token AS t
WHERE t.authorization_id = @authorization_id::authorization_id
ORDER BY t.created_at, t.id;

-- IntrospectAccessToken says whether an access token, given by its digest, is live, and describes it (RFC 7662, section 2.2). The caller is
-- authenticated as in AuthenticateClient. A server that asks for itself, for its UserInfo endpoint for example, passes
-- client_auth_method server and no client. sub is the subject by which the token's client knows the user, whoever asks; NULL for a client's own
-- token, and for a token of another server whose client has no pairwise subject of the user yet.
-- data is what a library on top keeps with the token or, if it keeps nothing there, with the grant.
--   - active: the token is neither expired nor revoked, and its family, or its client where it has no family, is live
--   - inactive: there is no such token, or it is not live; an answer with "active": false
--   - unauthenticated: the caller is not authenticated, or is disabled (invalid_client); none is no authentication here
-- name: IntrospectAccessToken :one
WITH caller AS MATERIALIZED (
    SELECT @client_auth_method::text = 'server' OR (
        SELECT may_introspect(k, @client_auth_method::text, @client_secret::token_digest)
        FROM oauth_client AS k
        WHERE k.client_id = @client_id::client_id
    ) AS may_ask
), presented AS MATERIALIZED (
    -- whole rows, which take less than their columns one by one
    SELECT t::oauth_access_token AS t, a::oauth_authorization AS a, c::oauth_client AS c, u::"user" AS u, s::session AS s
    FROM oauth_access_token AS t
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    -- only a bound family depends on its session, so others don't look it up
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE t.token = @token::token_digest
), live AS (
    SELECT (p.t).id::access_token_id AS id, (p.t).client_id::client_id AS client_id, (p.t).user_id::user_id AS user_id,
        subject_of(p.c, (p.t).client_id, (p.t).user_id) AS sub, (p.t).session_id::session_id AS session_id,
        (p.t).reference_id::reference_id AS reference_id, (p.t).authorization_id::authorization_id AS authorization_id,
        (p.t).refresh_id::refresh_token_id AS refresh_id, (p.t).scopes::text[] AS scopes, (p.t).resources::text[] AS resources,
        (p.t).authorization_details::jsonb AS authorization_details, (p.t).confirmation::token_confirmation AS confirmation,
        coalesce((p.t).act, (p.a).act)::jsonb AS act, (p.t).created_at::timestamptz AS issued_at, (p.t).expires_at::timestamptz AS expires_at,
        (p.a).auth_time::timestamptz AS auth_time, (p.a).acr::text AS acr, (p.a).amr::text[] AS amr, (p.u).email::text AS username,
        coalesce((p.t).data, (p.a).data)::jsonb AS data
    FROM presented AS p
    WHERE access_token_is_live(p.t, p.a, p.c, p.u, p.s)
)
SELECT (CASE WHEN t.id IS NOT NULL THEN 'active' WHEN k.may_ask THEN 'inactive' ELSE 'unauthenticated' END)::outcome AS outcome,
    t.id, t.client_id, t.user_id, t.sub, t.session_id, t.reference_id, t.authorization_id, t.refresh_id, t.scopes, t.resources,
    t.authorization_details, t.confirmation, t.act, t.issued_at, t.expires_at, t.auth_time, t.acr, t.amr, t.username,
    t.data
FROM caller AS k
LEFT JOIN live AS t ON k.may_ask;

-- IntrospectAccessTokenByID is IntrospectAccessToken for a JWT, which is known by its jti (RFC 7519, section 4.1.7).
-- name: IntrospectAccessTokenByID :one
WITH caller AS MATERIALIZED (
    SELECT @client_auth_method::text = 'server' OR (
        SELECT may_introspect(k, @client_auth_method::text, @client_secret::token_digest)
        FROM oauth_client AS k
        WHERE k.client_id = @client_id::client_id
    ) AS may_ask
), presented AS MATERIALIZED (
    -- whole rows, which take less than their columns one by one
    SELECT t::oauth_access_token AS t, a::oauth_authorization AS a, c::oauth_client AS c, u::"user" AS u, s::session AS s
    FROM oauth_access_token AS t
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    -- only a bound family depends on its session, so others don't look it up
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE t.id = @id::access_token_id
), live AS (
    SELECT (p.t).id::access_token_id AS id, (p.t).client_id::client_id AS client_id, (p.t).user_id::user_id AS user_id,
        subject_of(p.c, (p.t).client_id, (p.t).user_id) AS sub, (p.t).session_id::session_id AS session_id,
        (p.t).reference_id::reference_id AS reference_id, (p.t).authorization_id::authorization_id AS authorization_id,
        (p.t).refresh_id::refresh_token_id AS refresh_id, (p.t).scopes::text[] AS scopes, (p.t).resources::text[] AS resources,
        (p.t).authorization_details::jsonb AS authorization_details, (p.t).confirmation::token_confirmation AS confirmation,
        coalesce((p.t).act, (p.a).act)::jsonb AS act, (p.t).created_at::timestamptz AS issued_at, (p.t).expires_at::timestamptz AS expires_at,
        (p.a).auth_time::timestamptz AS auth_time, (p.a).acr::text AS acr, (p.a).amr::text[] AS amr, (p.u).email::text AS username,
        coalesce((p.t).data, (p.a).data)::jsonb AS data
    FROM presented AS p
    WHERE access_token_is_live(p.t, p.a, p.c, p.u, p.s)
)
SELECT (CASE WHEN t.id IS NOT NULL THEN 'active' WHEN k.may_ask THEN 'inactive' ELSE 'unauthenticated' END)::outcome AS outcome,
    t.id, t.client_id, t.user_id, t.sub, t.session_id, t.reference_id, t.authorization_id, t.refresh_id, t.scopes, t.resources,
    t.authorization_details, t.confirmation, t.act, t.issued_at, t.expires_at, t.auth_time, t.acr, t.amr, t.username,
    t.data
FROM caller AS k
LEFT JOIN live AS t ON k.may_ask;

-- IntrospectToken is IntrospectAccessToken and IntrospectRefreshToken in one call, for a caller that doesn't know which kind it holds: the
-- token_type_hint is only a hint (RFC 7662, section 2.1). kind says which it is.
-- name: IntrospectToken :one
WITH live AS (
    SELECT 'access_token'::token_kind AS kind, t.id AS access_token_id, t.refresh_id AS refresh_token_id, t.client_id,
        t.user_id, subject_of(c, t.client_id, t.user_id) AS sub, t.session_id, t.reference_id, t.authorization_id, t.scopes, t.resources,
        t.authorization_details, t.confirmation::token_confirmation AS confirmation, coalesce(t.act, a.act)::jsonb AS act,
        t.created_at AS issued_at, t.expires_at, a.auth_time, a.acr, a.amr,
        u.email AS username, coalesce(t.data, a.data)::jsonb AS data
    FROM oauth_access_token AS t
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE t.token = @token::token_digest AND access_token_is_live(t, a, c, u, s)
    UNION ALL
    SELECT 'refresh_token', NULL, r.id, r.client_id, r.user_id, subject_of(c, r.client_id, r.user_id), r.session_id, r.reference_id,
        r.authorization_id, r.scopes, r.resources, r.authorization_details, r.confirmation, NULL, r.created_at, r.expires_at,
        coalesce(a.auth_time, r.auth_time), a.acr, a.amr, u.email, coalesce(r.data, a.data)
    FROM oauth_refresh_token AS r
    JOIN oauth_authorization AS a ON a.id = r.authorization_id
    JOIN oauth_client AS c ON c.client_id = a.client_id
    JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE r.token = @token::token_digest AND refresh_token_is_live(r, a, c, u, s)
)
SELECT (CASE WHEN i.kind IS NOT NULL THEN 'active' WHEN one.is_server OR k.id IS NOT NULL THEN 'inactive' ELSE 'unauthenticated' END)::outcome AS outcome,
    i.kind, i.access_token_id, i.refresh_token_id, i.client_id, i.user_id, i.sub, i.session_id, i.reference_id, i.authorization_id, i.scopes,
    i.resources, i.authorization_details, i.confirmation, i.act, i.issued_at, i.expires_at, i.auth_time, i.acr, i.amr, i.username,
    i.data
FROM (VALUES (@client_auth_method::text = 'server')) AS one (is_server)
LEFT JOIN oauth_client AS k
    ON k.client_id = @client_id::client_id AND may_introspect(k, @client_auth_method::text, @client_secret::token_digest)
LEFT JOIN live AS i ON one.is_server OR k.id IS NOT NULL
LIMIT 1;

-- RevokeToken revokes an access or refresh token, given by its digest, for the client that it was issued to (RFC 7009, section 2.1). An access
-- token is revoked alone. A refresh token, spent or not, ends its family. The client is authenticated as in AuthenticateClient; a disabled
-- client may revoke.
-- ip_address is for the security event (ListSecurityEvents).
--   - ended: the token, or its family, is revoked (200)
--   - revoked: it had been revoked before, or has expired and is being deleted (200)
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - unknown: the client has no such token (200; RFC 7009, section 2.2)
-- name: RevokeToken :one
WITH caller AS MATERIALIZED (
    SELECT c.client_id
    FROM oauth_client AS c
    WHERE c.client_id = @client_id::client_id AND authenticates(c, @client_auth_method::text, @client_secret::token_digest)
), presented AS MATERIALIZED (
    SELECT 'refresh_token'::token_kind AS kind, r.authorization_id, NULL::access_token_id AS access_token_id, r.user_id
    FROM caller AS k
    JOIN oauth_refresh_token AS r ON r.client_id = k.client_id
    WHERE r.token = @token::token_digest
    UNION ALL
    SELECT 'access_token', t.authorization_id, t.id, t.user_id
    FROM caller AS k
    JOIN oauth_access_token AS t ON t.client_id = k.client_id
    WHERE t.token = @token::token_digest
), ended_family AS (
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'token_revoked', updated_at = now()
    FROM presented AS p
    WHERE p.kind = 'refresh_token' AND a.id = p.authorization_id AND a.revoked_at IS NULL
    RETURNING a.id
), revoked_access_token AS (
    UPDATE oauth_access_token AS t
    SET revoked = now(), updated_at = now()
    FROM presented AS p
    WHERE t.id = p.access_token_id AND t.revoked IS NULL
    RETURNING t.id
)
SELECT noted(
        (
            CASE
                WHEN EXISTS (SELECT FROM ended_family) OR EXISTS (SELECT FROM revoked_access_token) THEN 'ended'
                WHEN p.kind IS NOT NULL THEN settled('revoked')
                WHEN EXISTS (SELECT FROM caller) THEN 'unknown'
                ELSE 'unauthenticated'
            END
        )::outcome,
        'RevokeToken', of_user => p.user_id, of_client => @client_id::client_id, of_family => p.authorization_id,
        from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    p.kind, p.authorization_id, p.access_token_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN presented AS p ON true
LIMIT 1;

-- RevokeAccessTokenByID revokes one access token by its id, which is the jti of a JWT (RFC 7519, section 4.1.7), for the client that it was
-- issued to (RFC 7009, section 2.1). authorization_id is the family that the JWT names, NULL if it names none. The client is authenticated as
-- in AuthenticateClient; a disabled client may revoke.
-- ip_address is for the security event (ListSecurityEvents).
--   - ended: the token is revoked (200)
--   - revoked: it, or its family, had been revoked before, or the token has expired and is being deleted (200)
--   - unauthenticated: the client is not authenticated (invalid_client)
--   - unknown: the client has no such token (200; RFC 7009, section 2.2)
--   - unsupported_token_type: the token has no row, so it can't be revoked alone, and its family goes on; RevokeAuthorization ends the family
--     (unsupported_token_type; RFC 7009, section 2.2.1)
-- Only ended changes anything.
-- name: RevokeAccessTokenByID :one
WITH presented AS MATERIALIZED (
    -- the row decides, if there is one; else the family
    SELECT t.id, coalesce(t.authorization_id, a.id) AS authorization_id, t.user_id,
        (
            CASE
                WHEN t.id IS NOT NULL THEN 'revoked'
                WHEN a.id IS NULL THEN 'unknown'
                WHEN is_ended(a, c, u, s) THEN 'revoked'
                ELSE 'unsupported_token_type'
            END
        )::outcome AS verdict
    FROM oauth_client AS c
    LEFT JOIN oauth_access_token AS t ON t.id = @id::access_token_id AND t.client_id = c.client_id
    LEFT JOIN (
        oauth_authorization AS a
        JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    ) ON a.id = sqlc.narg('authorization_id')::authorization_id AND a.client_id = c.client_id AND t.id IS NULL
    WHERE c.client_id = @client_id::client_id AND authenticates(c, @client_auth_method::text, @client_secret::token_digest)
), revoked_access_token AS (
    UPDATE oauth_access_token AS t
    SET revoked = now(), updated_at = now()
    FROM presented AS p
    WHERE t.id = p.id AND t.revoked IS NULL
    RETURNING t.id
)
SELECT noted(
        (
            CASE
                WHEN EXISTS (SELECT FROM revoked_access_token) THEN 'ended'
                WHEN p.verdict = 'revoked' THEN settled('revoked')
                ELSE coalesce(p.verdict, 'unauthenticated')
            END
        )::outcome,
        'RevokeAccessTokenByID', of_user => p.user_id, of_client => @client_id::client_id, of_family => p.authorization_id,
        from_address => sqlc.narg('ip_address')::text
    )::outcome AS outcome,
    p.authorization_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN presented AS p ON true;

-- DeleteExpiredAccessTokens deletes access tokens that have expired: of those that did at after_expires_at or later, the batch_size first. Begin
-- with the zero time, and go on with last_expires_at until fewer are deleted, so that no batch reads again what is left of those before it:
-- PostgreSQL keeps a deleted row for as long as an older transaction runs. It skips rows that are locked.
-- name: DeleteExpiredAccessTokens :one
WITH due AS MATERIALIZED (
    SELECT t.ctid::tid AS ctid, t.expires_at
    FROM oauth_access_token AS t
    WHERE t.expires_at >= @after_expires_at::timestamptz AND t.expires_at <= now()
    ORDER BY t.expires_at
    LIMIT @batch_size::integer
    FOR UPDATE OF t SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_access_token AS t
    WHERE t.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING t.id
), last AS (
    SELECT d.expires_at
    FROM due AS d
    ORDER BY d.expires_at DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.expires_at AS last_expires_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

-- DeleteDeadAccessTokens deletes access tokens that have no expiry and are dead: revoked, or a client's own, or an exchanged one, that an
-- ending has reached. It looks at page_size tokens in the order of their ids, those after after_id; begin with the empty id and go on with
-- last_id, which is NULL when no token is left. It skips rows that are locked.
-- name: DeleteDeadAccessTokens :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.ctid::tid AS ctid
    FROM oauth_access_token AS p
    WHERE p.expires_at IS NULL AND p.id > @after_id::access_token_id
    ORDER BY p.id
    LIMIT @page_size::integer
), due AS MATERIALIZED (
    SELECT t.ctid::tid AS ctid
    FROM oauth_access_token AS t
    JOIN oauth_client AS c ON c.client_id = t.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    WHERE t.ctid = ANY (ARRAY(SELECT p.ctid FROM page AS p))
      AND (t.revoked IS NOT NULL OR t.client_epoch <> c.grants_epoch OR t.pair_epoch <> pair_epoch(u.ended_grants, t.client_id, t.reference_id))
    FOR UPDATE OF t SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_access_token AS t
    WHERE t.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING t.id
), last AS (
    SELECT x.id
    FROM page AS x
    ORDER BY x.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

-- GrantConsent records what a user has agreed to for a client, in a tenant or in none.
-- Without resources, scopes are agreed to without a resource. With resources, they are agreed to at each of these, and nowhere else
-- (RFC 8707).
-- With merge, scopes and authorization_details are added to those that the user had agreed to in the same tenant, if that consent still
-- counts. Otherwise they replace all of it.
-- A client and user have one consent (oauth_consent_client_user_uidx). Agreeing in another tenant moves it there and merges nothing.
-- What ends the grants of the pair ends the consent too, even one that a concurrent call gives. So does a client that changes what users see
-- of it (PutClientDocument, UpdateRegistration).
--   - granted: the consent is stored
--   - unknown: there is no such client or user
--   - disabled: the client is disabled (unauthorized_client)
--   - suspended: the user is suspended (access_denied)
-- Only granted changes anything. A consent that goes on keeps its id. The id of the consent of another client or user is an error.
-- name: GrantConsent :one
WITH locked AS MATERIALIZED (
    SELECT lock_parents(@user_id::user_id, @client_id::client_id, NULL) AS parents
), parents AS MATERIALIZED (
    SELECT c.client_id, u.id AS user_id,
        (CASE WHEN c.disabled THEN 'disabled' ELSE coalesce(granter_refusal(l.parents, u, NULL, NULL), 'granted') END)::outcome AS outcome
    FROM locked AS l
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    JOIN "user" AS u ON u.id = @user_id::user_id
), granted AS (
    INSERT INTO oauth_consent AS g (id, client_id, user_id, reference_id, scopes, resource_scopes, authorization_details)
    SELECT @id::consent_id, p.client_id, p.user_id, sqlc.narg('reference_id')::reference_id,
        CASE WHEN cardinality(@resources::text[]) > 0 THEN '{}' ELSE as_set(@scopes::text[]) END,
        scopes_at(@resources::text[], @scopes::text[]),
        merge_authorization_details(NULL, sqlc.narg('authorization_details')::jsonb)
    FROM parents AS p
    WHERE p.outcome = 'granted'
    ON CONFLICT (client_id, user_id) DO UPDATE
    -- a trigger has set the present epochs on the new row
    SET scopes = CASE WHEN @merge::boolean AND consent_goes_on(g, excluded) THEN as_set(agreed_scopes(g) || excluded.scopes) ELSE excluded.scopes END,
        resource_scopes = CASE
            WHEN @merge::boolean AND consent_goes_on(g, excluded) THEN merge_resource_scopes(agreed_resource_scopes(g), excluded.resource_scopes)
            ELSE excluded.resource_scopes
        END,
        authorization_details = CASE
            WHEN @merge::boolean AND consent_goes_on(g, excluded) THEN merge_authorization_details(g.authorization_details, excluded.authorization_details)
            ELSE excluded.authorization_details
        END,
        reference_id = excluded.reference_id, user_epoch = excluded.user_epoch, pair_epoch = excluded.pair_epoch,
        client_epoch = excluded.client_epoch, resources = NULL,
        updated_at = now()
    RETURNING g.id, g.scopes, g.resource_scopes, g.authorization_details
)
SELECT noted(
        coalesce(p.outcome, 'unknown')::outcome, 'GrantConsent', of_user => @user_id::user_id, of_client => @client_id::client_id
    )::outcome AS outcome,
    g.id, g.scopes, g.resource_scopes, g.authorization_details
FROM (VALUES (true)) AS one (n)
LEFT JOIN parents AS p ON true
LEFT JOIN granted AS g ON true;

-- ImportConsent takes over what a user had agreed to for a client on another server. A consent that is there already is left as it is, so an
-- import can be repeated. Parameters are those of GrantConsent. granted_at is when the user agreed; NULL is now.
--   - granted: the consent is stored
--   - decided: the client and user have a consent already
--   - unknown: there is no such client or user
--   - disabled: the client is disabled
--   - suspended: the user is suspended
--   - revoked: grants of the user, or of the client, have been ended here, or what users see of the client has changed here; what was agreed
--     to elsewhere before doesn't come back
-- Only granted changes anything. The id of another consent is an error.
-- name: ImportConsent :one
WITH locked AS MATERIALIZED (
    SELECT lock_parents(@user_id::user_id, @client_id::client_id, NULL) AS parents
), parents AS MATERIALIZED (
    SELECT c.client_id, u.id AS user_id,
        (
            CASE
                WHEN c.disabled THEN 'disabled'
                ELSE coalesce(
                    granter_refusal(l.parents, u, NULL, NULL),
                    CASE
                        WHEN c.grants_epoch > 0 OR c.consents_epoch > 0 OR u.grants_epoch > 0
                            OR pair_epoch(u.ended_grants, c.client_id, sqlc.narg('reference_id')::reference_id) > 0 THEN 'revoked'
                    END::outcome,
                    'granted'
                )
            END
        )::outcome AS outcome
    FROM locked AS l
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    JOIN "user" AS u ON u.id = @user_id::user_id
), granted AS (
    INSERT INTO oauth_consent (id, created_at, client_id, user_id, reference_id, scopes, resource_scopes, authorization_details)
    SELECT @id::consent_id, coalesce(sqlc.narg('granted_at')::timestamptz, now()), p.client_id, p.user_id, sqlc.narg('reference_id')::reference_id,
        CASE WHEN cardinality(@resources::text[]) > 0 THEN '{}' ELSE as_set(@scopes::text[]) END,
        scopes_at(@resources::text[], @scopes::text[]),
        merge_authorization_details(NULL, sqlc.narg('authorization_details')::jsonb)
    FROM parents AS p
    WHERE p.outcome = 'granted'
      AND NOT EXISTS (SELECT FROM oauth_consent AS g WHERE g.client_id = p.client_id AND g.user_id = p.user_id) -- for one that is there, ON CONFLICT waits
    ON CONFLICT (client_id, user_id) DO NOTHING
    RETURNING id
)
SELECT noted(
        (CASE WHEN p.outcome = 'granted' AND NOT EXISTS (SELECT FROM granted) THEN 'decided' ELSE coalesce(p.outcome, 'unknown') END)::outcome,
        'ImportConsent', of_user => @user_id::user_id, of_client => @client_id::client_id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN parents AS p ON true;

-- FindConsent returns what a user has agreed to for a client in a tenant (NULL: in none). A consent given in one tenant never serves
-- another. Zero rows: there is no consent that counts.
-- name: FindConsent :one
SELECT g.*
FROM oauth_consent AS g
JOIN oauth_client AS c ON c.client_id = g.client_id
JOIN "user" AS u ON u.id = g.user_id
WHERE g.client_id = @client_id::client_id
  AND g.user_id = @user_id::user_id
  AND g.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
  AND consent_holds(g, c, u);

-- CheckConsent says whether a client may go on without asking the user. It takes what the request asks for. covered is true if the user has
-- agreed to all of it in this tenant, or if the client skips consent.
-- With resources, each scope has to be agreed to at each resource (RFC 8707); without, it has to be agreed to without a resource.
-- authorization_details have to be agreed to whole and equal (RFC 9396).
-- missing holds the scopes to ask for, missing_resources where to ask for them, and missing_authorization_details the elements. A resource
-- that the user has not agreed to is missing even if no scope is asked for. Without a consent, even an empty list of scopes is not covered.
--   - active: covered and what is missing are the answer
--   - disabled: the client is disabled (unauthorized_client)
--   - unknown: there is no such client (an error page, not a redirect)
-- name: CheckConsent :one
WITH checked AS MATERIALIZED (
    SELECT c.disabled, g.id AS consent_id, c.skip_consent IS TRUE AS skips, m.scopes, m.resources,
        missing_authorization_details(sqlc.narg('authorization_details')::jsonb, g.authorization_details) AS authorization_details
    FROM oauth_client AS c
    LEFT JOIN (
        oauth_consent AS g
        JOIN "user" AS u ON u.id = g.user_id
    ) ON g.client_id = c.client_id
        AND g.user_id = @user_id::user_id
        AND g.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
        AND consent_holds(g, c, u)
    CROSS JOIN consent_gaps(g, @scopes::text[], @resources::text[]) AS m (scopes, resources)
    WHERE c.client_id = @client_id::client_id AND c.deleted_at IS NULL
)
SELECT (CASE WHEN c.disabled IS NULL THEN 'unknown' WHEN c.disabled THEN 'disabled' ELSE 'active' END)::outcome AS outcome,
    (
        NOT c.disabled
        AND (
            c.skips
            OR (c.consent_id IS NOT NULL AND c.scopes = '{}' AND c.resources = '{}' AND c.authorization_details IS NULL)
        ) IS TRUE
    )::boolean AS covered,
    (CASE WHEN c.skips THEN '{}' ELSE c.scopes END)::text[] AS missing,
    (CASE WHEN c.skips THEN '{}' ELSE c.resources END)::text[] AS missing_resources,
    (CASE WHEN NOT c.skips THEN c.authorization_details END)::jsonb AS missing_authorization_details
FROM (VALUES (true)) AS one (n)
LEFT JOIN checked AS c ON true;

-- ListUserConsents returns a page of a user's consents, oldest first, with what a settings page shows of each client and the number of its
-- live authorizations. Begin with the zero time and the empty id; for the next page pass created_at and id of the last row.
-- name: ListUserConsents :many
SELECT g.id, g.client_id, g.reference_id, g.scopes, g.resource_scopes, g.authorization_details, g.created_at, g.updated_at,
    c.name AS client_name, c.uri AS client_uri, c.icon AS client_icon, c.tos AS client_tos, c.policy AS client_policy,
    c.disabled AS client_disabled,
    (
        SELECT count(*)
        FROM oauth_authorization AS a
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
        WHERE a.user_id = g.user_id
          AND a.client_id = g.client_id
          AND a.reference_id IS NOT DISTINCT FROM g.reference_id
          AND (a.expires_at IS NULL OR a.expires_at > now())
          AND is_live(a, c, u, s)
    )::bigint AS authorizations
FROM oauth_consent AS g
JOIN oauth_client AS c ON c.client_id = g.client_id
JOIN "user" AS u ON u.id = g.user_id
WHERE g.user_id = @user_id::user_id
  AND (g.created_at, g.id) > (@after_created_at::timestamptz, @after_id::consent_id)
  AND consent_holds(g, c, u)
ORDER BY g.created_at, g.id
LIMIT @page_size::integer;

-- ListUserConnections returns a page of what is live of a user's grants: a row for each client and tenant that has a family in force, in the
-- order of these. scopes and resources are those of all its families. first_used_at is when the earliest of them was created, last_used_at
-- when the last token was issued. Begin with the empty client_id and no reference_id; for the next page pass those of the last row.
-- name: ListUserConnections :many
WITH live AS MATERIALIZED (
    SELECT a.id, a.client_id, a.reference_id, a.granted_scopes, a.resources, a.created_at,
        greatest(a.created_at, r.last_issued_at, t.last_issued_at) AS last_used_at
    FROM oauth_authorization AS a
    JOIN oauth_client AS c ON c.client_id = a.client_id
    JOIN "user" AS u ON u.id = a.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    CROSS JOIN LATERAL (
        SELECT max(x.created_at) AS last_issued_at,
            bool_or((x.revoked IS NULL AND (x.expires_at IS NULL OR x.expires_at > now())) OR x.access_token_expires_at > now()) AS in_force
        FROM oauth_refresh_token AS x
        WHERE x.authorization_id = a.id
    ) AS r
    CROSS JOIN LATERAL (
        SELECT max(x.created_at) AS last_issued_at, bool_or(x.revoked IS NULL AND (x.expires_at IS NULL OR x.expires_at > now())) AS in_force
        FROM oauth_access_token AS x
        WHERE x.authorization_id = a.id
    ) AS t
    WHERE a.user_id = @user_id::user_id
      -- no tenant comes first of its client, so it is after nothing of that
      AND (a.client_id, a.reference_id) > (@after_client_id::client_id, coalesce(sqlc.narg('after_reference_id')::reference_id, ''))
      AND is_live(a, c, u, s)
      AND (a.expires_at > now() OR r.in_force OR t.in_force)
), connections AS MATERIALIZED (
    SELECT l.client_id, l.reference_id, min(l.created_at) AS first_used_at, max(l.last_used_at) AS last_used_at, count(*) AS authorizations
    FROM live AS l
    GROUP BY l.client_id, l.reference_id
    ORDER BY l.client_id, l.reference_id NULLS FIRST
    LIMIT @page_size::integer
)
SELECT n.client_id::client_id AS client_id, n.reference_id, n.first_used_at::timestamptz AS first_used_at,
    n.last_used_at::timestamptz AS last_used_at, n.authorizations::bigint AS authorizations,
    ARRAY(
        SELECT DISTINCT g.scope
        FROM live AS l
        CROSS JOIN unnest(l.granted_scopes) AS g (scope)
        WHERE l.client_id = n.client_id AND l.reference_id IS NOT DISTINCT FROM n.reference_id
        ORDER BY g.scope
    )::text[] AS scopes,
    ARRAY(
        SELECT DISTINCT g.resource
        FROM live AS l
        CROSS JOIN unnest(l.resources) AS g (resource)
        WHERE l.client_id = n.client_id AND l.reference_id IS NOT DISTINCT FROM n.reference_id
        ORDER BY g.resource
    )::text[] AS resources,
    c.name AS client_name, c.uri AS client_uri, c.icon AS client_icon, c.tos AS client_tos, c.policy AS client_policy
FROM connections AS n
JOIN oauth_client AS c ON c.client_id = n.client_id
ORDER BY n.client_id, n.reference_id NULLS FIRST;

-- WithdrawConsent withdraws what a user has agreed to for a client in a tenant (NULL: in none). It ends everything that this user has
-- granted the client in this tenant, even if the consent has moved to another tenant since.
--   - withdrawn: the consent is gone and the grants are dead
--   - ended: there was no consent in this tenant; the grants are dead all the same
--   - unknown: there is no such user
-- name: WithdrawConsent :one
WITH ended AS MATERIALIZED (
    -- not locked before: a row that is locked and then updated, by statements that have waited for it, is a deadlock
    UPDATE "user" AS u
    SET ended_grants = end_pair(u.ended_grants, @client_id::client_id, tenant_key(sqlc.narg('reference_id')::reference_id)),
        grants_epoch = u.grants_epoch
            + (end_pair(u.ended_grants, @client_id::client_id, tenant_key(sqlc.narg('reference_id')::reference_id)) = '{}')::integer,
        updated_at = now()
    WHERE u.id = @user_id::user_id AND u.deleted_at IS NULL
    RETURNING u.id, u.suspended_at, u.grants_epoch, u.ended_grants
), withdrawn AS (
    -- the epoch has ended the consent already; its row is deleted for servers that read only that, unless another call holds it
    DELETE FROM oauth_consent AS g
    WHERE g.id = ANY (ARRAY(
        SELECT x.id::text
        FROM ended AS e
        JOIN oauth_consent AS x ON x.user_id = e.id
        WHERE x.client_id = @client_id::client_id AND x.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
        FOR UPDATE OF x SKIP LOCKED
    ))
)
SELECT noted(
        (
            CASE
                WHEN g.id IS NOT NULL THEN 'withdrawn'
                WHEN e.id IS NOT NULL THEN 'ended'
                ELSE 'unknown'
            END
        )::outcome,
        'WithdrawConsent', of_user => @user_id::user_id, of_client => @client_id::client_id
    )::outcome AS outcome,
    g.scopes, g.resource_scopes, g.authorization_details
FROM (VALUES (true)) AS one (n)
LEFT JOIN ended AS e ON true
LEFT JOIN oauth_consent AS g ON g.user_id = e.id
    AND g.client_id = @client_id::client_id
    AND g.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
    AND e.suspended_at IS NULL
    -- it counted until this call raised the counter: of calls that meet, one finds a consent that did
    AND CASE
        WHEN e.ended_grants = '{}' THEN g.user_epoch + 1 = e.grants_epoch
        ELSE g.user_epoch = e.grants_epoch
            AND g.pair_epoch + 1 = pair_epoch(e.ended_grants, @client_id::client_id, sqlc.narg('reference_id')::reference_id)
    END;

-- DeleteDeadConsents deletes consents that no longer count. It looks at page_size consents in the order of their ids, those after after_id;
-- begin with the empty id and go on with last_id, which is NULL when no consent is left. It skips rows that are locked.
-- name: DeleteDeadConsents :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.ctid::tid AS ctid
    FROM oauth_consent AS p
    WHERE p.id > @after_id::consent_id
    ORDER BY p.id
    LIMIT @page_size::integer
), dead AS MATERIALIZED (
    SELECT g.ctid::tid AS ctid
    FROM oauth_consent AS g
    JOIN oauth_client AS c ON c.client_id = g.client_id
    JOIN "user" AS u ON u.id = g.user_id
    WHERE g.ctid = ANY (ARRAY(SELECT p.ctid FROM page AS p))
      AND NOT consent_holds(g, c, u)
    FOR UPDATE OF g SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_consent AS g
    WHERE g.ctid = ANY (ARRAY(SELECT d.ctid FROM dead AS d))
    RETURNING g.id
), last AS (
    SELECT x.id
    FROM page AS x
    ORDER BY x.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

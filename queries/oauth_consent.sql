-- GrantConsent records what a user has agreed to for a client, in a tenant or in none.
-- With merge, the scopes are added to those that the user had agreed to in the same tenant, if that consent still counts. Otherwise they
-- replace them.
-- A client and user have one consent (oauth_consent_client_user_uidx). Agreeing in another tenant moves it there and merges nothing.
-- What ends the grants of the pair ends the consent too, even one that a concurrent call gives.
--   - granted: the consent is stored
--   - unknown: there is no such client or user
--   - disabled: the client is disabled (unauthorized_client)
--   - suspended: the user is suspended (access_denied)
-- name: GrantConsent :one
WITH locked AS MATERIALIZED (
    SELECT lock_parents(@user_id::user_id, @client_id::client_id, NULL) AS parents
), parents AS MATERIALIZED (
    SELECT c.client_id, u.id AS user_id,
        (
            CASE
                WHEN c.disabled THEN 'disabled'
                WHEN u.deleted_at IS NOT NULL OR l.parents = 'unknown' THEN 'unknown'
                WHEN u.suspended_at IS NOT NULL THEN 'suspended'
                ELSE 'granted'
            END
        )::outcome AS outcome
    FROM locked AS l
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    JOIN "user" AS u ON u.id = @user_id::user_id
), granted AS (
    INSERT INTO oauth_consent AS g (id, client_id, user_id, reference_id, scopes)
    SELECT @id::consent_id, p.client_id, p.user_id, sqlc.narg('reference_id')::reference_id, as_set(@scopes::text[])
    FROM parents AS p
    WHERE p.outcome = 'granted'
    ON CONFLICT (client_id, user_id) DO UPDATE
    -- a trigger has set the present epochs on the new row; a stored consent with other epochs doesn't count
    SET scopes = CASE
            WHEN @merge::boolean AND g.reference_id IS NOT DISTINCT FROM excluded.reference_id
                AND g.user_epoch = excluded.user_epoch AND g.pair_epoch = excluded.pair_epoch
            THEN as_set(g.scopes || excluded.scopes)
            ELSE excluded.scopes
        END,
        reference_id = excluded.reference_id,
        updated_at = now()
    RETURNING g.id, g.scopes
)
SELECT coalesce(p.outcome, 'unknown')::outcome AS outcome, g.id, g.scopes
FROM (VALUES (true)) AS one (n)
LEFT JOIN parents AS p ON true
LEFT JOIN granted AS g ON true;

-- FindConsent returns what a user has agreed to for a client in a tenant (NULL: in none). A consent given in one tenant never serves
-- another. Zero rows: there is no consent that counts.
-- name: FindConsent :one
SELECT g.*
FROM oauth_consent AS g
JOIN "user" AS u ON u.id = g.user_id
WHERE g.client_id = @client_id::client_id
  AND g.user_id = @user_id::user_id
  AND g.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
  AND consent_counts(g, u);

-- CheckConsent says whether a client may go on without asking the user. covered is true if the user has agreed to all scopes in this tenant,
-- or if the client skips consent. missing holds the scopes to ask for. Without a consent, even an empty list of scopes is not covered.
--   - active: covered and missing are the answer
--   - disabled: the client is disabled (unauthorized_client)
--   - unknown: there is no such client (an error page, not a redirect)
-- name: CheckConsent :one
SELECT (CASE WHEN c.id IS NULL THEN 'unknown' WHEN c.disabled THEN 'disabled' ELSE 'active' END)::outcome AS outcome,
    (NOT c.disabled AND (c.skip_consent IS TRUE OR (g.id IS NOT NULL AND cardinality(m.missing) = 0)) IS TRUE)::boolean AS covered,
    (CASE WHEN c.skip_consent THEN '{}' ELSE m.missing END)::text[] AS missing
FROM (VALUES (true)) AS one (n)
LEFT JOIN oauth_client AS c ON c.client_id = @client_id::client_id AND c.deleted_at IS NULL
LEFT JOIN (
    oauth_consent AS g
    JOIN "user" AS u ON u.id = g.user_id
) ON g.client_id = c.client_id
    AND g.user_id = @user_id::user_id
    AND g.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
    AND consent_counts(g, u)
CROSS JOIN LATERAL (
    SELECT ARRAY(
        SELECT a.scope
        FROM unnest(as_set(@scopes::text[])) WITH ORDINALITY AS a (scope, n)
        WHERE NOT EXISTS (SELECT FROM unnest(g.scopes) AS h (scope) WHERE h.scope = a.scope)
        ORDER BY a.n
    )::text[] AS missing
) AS m;

-- ListUserConsents returns a page of a user's consents, oldest first, with what a settings page shows of each client and the number of its
-- live authorizations. Begin with the zero time and the empty id; for the next page pass created_at and id of the last row.
-- name: ListUserConsents :many
SELECT g.id, g.client_id, g.reference_id, g.scopes, g.created_at, g.updated_at,
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
  AND consent_counts(g, u)
ORDER BY g.created_at, g.id
LIMIT @page_size::integer;

-- WithdrawConsent withdraws what a user has agreed to for a client in a tenant (NULL: in none). It ends everything that this user has
-- granted the client in this tenant, even if the consent has moved to another tenant since.
--   - withdrawn: the consent is gone and the grants are dead
--   - ended: there was no consent in this tenant; the grants are dead all the same
--   - unknown: there is no such user
-- name: WithdrawConsent :one
WITH ended AS MATERIALIZED (
    UPDATE "user" AS u
    SET ended_grants = end_pair(u.ended_grants, @client_id::client_id, tenant_key(sqlc.narg('reference_id')::reference_id)),
        grants_epoch = u.grants_epoch
            + (end_pair(u.ended_grants, @client_id::client_id, tenant_key(sqlc.narg('reference_id')::reference_id)) = '{}')::integer,
        updated_at = now()
    WHERE u.id = @user_id::user_id AND u.deleted_at IS NULL
    RETURNING u.id
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
SELECT (
        CASE
            WHEN NOT EXISTS (SELECT FROM ended) THEN 'unknown'
            WHEN g.id IS NOT NULL THEN 'withdrawn'
            ELSE 'ended'
        END
    )::outcome AS outcome,
    g.scopes
FROM (VALUES (true)) AS one (n)
LEFT JOIN (
    oauth_consent AS g
    JOIN "user" AS u ON u.id = g.user_id
) ON g.user_id = @user_id::user_id
    AND g.client_id = @client_id::client_id
    AND g.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
    AND consent_counts(g, u);

-- DeleteDeadConsents deletes consents that no longer count. It looks at page_size consents in the order of their ids, those after after_id;
-- begin with the empty id and go on with last_id, which is NULL when no consent is left. It skips rows that are locked.
-- name: DeleteDeadConsents :one
WITH page AS MATERIALIZED (
    SELECT p.id
    FROM oauth_consent AS p
    WHERE p.id > @after_id::consent_id
    ORDER BY p.id
    LIMIT @page_size::integer
), dead AS MATERIALIZED (
    SELECT g.id
    FROM oauth_consent AS g
    JOIN "user" AS u ON u.id = g.user_id
    WHERE g.id = ANY (ARRAY(SELECT p.id::text FROM page AS p))
      AND NOT consent_counts(g, u)
    FOR UPDATE OF g SKIP LOCKED
), deleted AS (
    DELETE FROM oauth_consent AS g
    USING dead AS d
    WHERE g.id = d.id
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

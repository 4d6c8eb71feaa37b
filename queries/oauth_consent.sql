-- GrantConsent records what a user has agreed to for a client, in a tenant or in none. With merge, scopes are added to what the user
-- had agreed to in the same tenant, if that still counts; otherwise they replace it. There is one consent for each client and user
-- (oauth_consent_client_user_uidx), so agreeing in another tenant moves it there, and nothing is merged across tenants. What ends the grants of
-- the pair afterwards ends the consent as well, also where it overlaps with this call.
--   - granted
--   - unknown: no such client or user
--   - disabled: the client is
--   - suspended: the user is
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
    -- a trigger has given the new row the epochs of now: what carries others doesn't count
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

-- FindConsent returns what a user has agreed to for a client in a tenant (NULL: in none); zero rows: nothing that counts. A consent given
-- in one tenant never serves another.
-- name: FindConsent :one
SELECT g.*
FROM oauth_consent AS g
JOIN "user" AS u ON u.id = g.user_id
WHERE g.client_id = @client_id::client_id
  AND g.user_id = @user_id::user_id
  AND g.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
  AND consent_counts(g, u);

-- CheckConsent says whether a client may go on without asking: covered, if the user has agreed to all of the scopes in this very
-- tenant or the client is one that skips consent; missing are the scopes to ask for. Where there is no consent, none covers an
-- empty list of scopes either.
--   - active: covered and missing are the answer
--   - disabled: the client is
--   - unknown: no such client
-- name: CheckConsent :one
SELECT (CASE WHEN c.id IS NULL THEN 'unknown' WHEN c.disabled THEN 'disabled' ELSE 'active' END)::outcome AS outcome,
    (NOT c.disabled AND (c.skip_consent IS TRUE OR (g.id IS NOT NULL AND cardinality(m.missing) = 0)) IS TRUE)::boolean AS covered,
    (CASE WHEN c.skip_consent THEN '{}' ELSE m.missing END)::text[] AS missing
FROM (VALUES (true)) AS one (n)
LEFT JOIN oauth_client AS c ON c.client_id = @client_id::client_id
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

-- ListUserConsents is a page of a user's consents with what a settings page shows of each client and how many of its
-- authorizations are live, oldest first. The first page starts after the zero time and the empty id, the next after the
-- last row of the one before.
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

-- WithdrawConsent takes back what a user has agreed to for a client in a tenant (NULL: in none), and ends all that rested on it: what the
-- client was granted by this user in this tenant, also where the consent has moved to another tenant since.
--   - withdrawn
--   - ended: there was no consent in this tenant; grants without one have ended all the same
--   - unknown: no such user
-- name: WithdrawConsent :one
WITH ended AS MATERIALIZED (
    UPDATE "user" AS u
    SET ended_grants = end_pair(u.ended_grants, @client_id::client_id, tenant_key(sqlc.narg('reference_id')::reference_id)),
        grants_epoch = u.grants_epoch
            + (end_pair(u.ended_grants, @client_id::client_id, tenant_key(sqlc.narg('reference_id')::reference_id)) = '{}')::integer,
        updated_at = now()
    WHERE u.id = @user_id::user_id
    RETURNING u.id
), withdrawn AS (
    -- it counts no more; deleted for servers that read only the row, but a call that holds it is not waited for
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

-- DeleteDeadConsents walks a page of consents in the order of their ids, after after_id (empty: from the start), and collects those that
-- count no more. last_id is where the next page goes on; NULL says that there is nothing more. What a call holds is left for the next
-- time.
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

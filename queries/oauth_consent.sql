-- GrantConsent records what a user has agreed to for a client, in a tenant or in none. With merge, scopes are added to what
-- the user had agreed to in the same tenant, otherwise they replace it. There is one consent for each client and user
-- (oauth_consent_client_user_uidx), so agreeing in another tenant moves it there, and nothing is merged across tenants.
-- A client or user that is not there violates oauth_consent_client_id_fkey or oauth_consent_user_id_fkey.
-- name: GrantConsent :one
WITH owner AS MATERIALIZED (
    -- the foreign keys alone would lock the client first, and every other call locks the user first
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR KEY SHARE
), client AS MATERIALIZED (
    SELECT c.client_id
    FROM owner AS o
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    FOR KEY SHARE OF c
)
INSERT INTO oauth_consent AS c (id, client_id, user_id, reference_id, scopes)
SELECT @id::consent_id, @client_id::client_id, @user_id::user_id, sqlc.narg('reference_id')::reference_id,
    ARRAY(SELECT u.scope FROM unnest(@scopes::text[]) WITH ORDINALITY AS u (scope, n) GROUP BY u.scope ORDER BY min(u.n))
FROM (SELECT count(*) AS locked FROM client) AS k
ON CONFLICT (client_id, user_id) DO UPDATE
SET scopes = CASE
        WHEN @merge::boolean AND c.reference_id IS NOT DISTINCT FROM excluded.reference_id
        THEN c.scopes || ARRAY(SELECT u.scope FROM unnest(excluded.scopes) WITH ORDINALITY AS u (scope, n) WHERE u.scope <> ALL (c.scopes) ORDER BY u.n)
        ELSE excluded.scopes
    END,
    reference_id = excluded.reference_id,
    updated_at = now()
RETURNING c.*;

-- FindConsent returns what a user has agreed to for a client in a tenant (NULL: in none); zero rows: nothing. A consent given
-- in one tenant never serves another.
-- name: FindConsent :one
SELECT c.*
FROM oauth_consent AS c
WHERE c.client_id = @client_id::client_id
  AND c.user_id = @user_id::user_id
  AND c.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id;

-- CheckConsent says whether a client may go on without asking: covered, if the user has agreed to all of the scopes in this very
-- tenant or the client is one that skips consent; missing are the scopes to ask for. Where there is no consent, none covers an
-- empty list of scopes either. Zero rows: no such client, or it is
-- disabled.
-- name: CheckConsent :one
SELECT (coalesce(c.skip_consent, false) OR (g.id IS NOT NULL AND coalesce(@scopes::text[], ARRAY[]::text[]) <@ g.scopes))::boolean AS covered,
    ARRAY(
        SELECT u.scope
        FROM unnest(@scopes::text[]) WITH ORDINALITY AS u (scope, n)
        WHERE NOT coalesce(c.skip_consent, false) AND u.scope <> ALL (coalesce(g.scopes, ARRAY[]::text[]))
        ORDER BY u.n
    )::text[] AS missing
FROM oauth_client AS c
LEFT JOIN oauth_consent AS g
    ON g.client_id = c.client_id
    AND g.user_id = @user_id::user_id
    AND g.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
WHERE c.client_id = @client_id::client_id AND NOT c.disabled;

-- ListUserConsents is a page of a user's consents with what a settings page shows of each client and how many of its
-- authorizations are in force, oldest first. The first page starts after the zero time and the empty id, the next after the
-- last row of the one before.
-- name: ListUserConsents :many
SELECT g.id, g.client_id, g.reference_id, g.scopes, g.created_at, g.updated_at,
    c.name AS client_name, c.uri AS client_uri, c.icon AS client_icon, c.tos AS client_tos, c.policy AS client_policy,
    c.disabled AS client_disabled,
    (
        SELECT count(*)
        FROM oauth_authorization AS a
        WHERE a.user_id = g.user_id
          AND a.client_id = g.client_id
          AND a.reference_id IS NOT DISTINCT FROM g.reference_id
          AND a.status = 'approved'
          AND a.revoked_at IS NULL
          AND (a.expires_at IS NULL OR a.expires_at > now())
    )::bigint AS authorizations
FROM oauth_consent AS g
JOIN oauth_client AS c ON c.client_id = g.client_id
WHERE g.user_id = @user_id::user_id
  AND (g.created_at, g.id) > (@after_created_at::timestamptz, @after_id::consent_id)
ORDER BY g.created_at, g.id
LIMIT @page_size::integer;

-- WithdrawConsent takes back what a user has agreed to for a client in a tenant (NULL: in none) and ends, in the same
-- statement, all that rested on it: the authorizations of that client, user and tenant, with every token that descends
-- from them, and the tokens without a family. The answer is what was ended. Zero rows: there was no such consent, and
-- nothing has changed.
-- name: WithdrawConsent :one
WITH owner AS MATERIALIZED (
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @user_id::user_id
    FOR UPDATE
), client AS MATERIALIZED (
    SELECT c.client_id
    FROM owner AS o
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id
    FOR KEY SHARE OF c
), sessions AS MATERIALIZED (
    -- another server ends a session by deleting its row, and the cascade reaches these grants in no order: so wait for it here
    SELECT s.id
    FROM owner AS o
    JOIN session AS s ON s.user_id = o.id
    WHERE (SELECT count(*) FROM client) >= 0
    ORDER BY s.id
    FOR KEY SHARE OF s
), withdrawn AS (
    DELETE FROM oauth_consent AS g
    USING owner AS o, client AS c
    WHERE (SELECT count(*) FROM sessions) >= 0
      AND g.client_id = c.client_id
      AND g.user_id = o.id
      AND g.reference_id IS NOT DISTINCT FROM sqlc.narg('reference_id')::reference_id
    RETURNING g.id, g.client_id, g.user_id, g.reference_id, g.scopes
), families AS MATERIALIZED (
    SELECT a.id
    FROM withdrawn AS w
    JOIN oauth_authorization AS a
        ON a.user_id = w.user_id
        AND a.client_id = w.client_id
        AND a.reference_id IS NOT DISTINCT FROM w.reference_id
    WHERE a.revoked_at IS NULL
    ORDER BY a.id
    FOR NO KEY UPDATE OF a
), strays AS MATERIALIZED (
    -- without a family when this statement began; one that was adopted in the meantime is seen with its new family
    SELECT r.id, r.client_id, r.user_id, r.scopes, r.authorization_id, r.revoked
    FROM withdrawn AS w
    JOIN oauth_refresh_token AS r
        ON r.user_id = w.user_id
        AND r.client_id = w.client_id
        AND r.reference_id IS NOT DISTINCT FROM w.reference_id
    WHERE r.id IN (
        SELECT s.id
        FROM oauth_refresh_token AS s
        WHERE s.user_id = @user_id::user_id AND s.authorization_id IS NULL
    )
    ORDER BY r.id
    FOR NO KEY UPDATE OF r
), condemned AS (
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'consent_withdrawn', updated_at = now()
    FROM families AS f
    WHERE a.id = f.id
    RETURNING a.id
), adopted AS (
    -- an upsert reaches a row that is younger than this statement's snapshot
    INSERT INTO oauth_authorization AS a (id, client_id, user_id, scopes, revoked_at, revoked_reason)
    SELECT s.authorization_id, s.client_id, s.user_id, s.scopes, now(), 'consent_withdrawn'
    FROM strays AS s
    WHERE s.authorization_id IS NOT NULL
    ON CONFLICT (id) DO UPDATE
    SET revoked_at = excluded.revoked_at, revoked_reason = excluded.revoked_reason, updated_at = now()
    WHERE a.revoked_at IS NULL
    RETURNING a.id
), ended_refresh_tokens AS (
    UPDATE oauth_refresh_token AS r
    SET revoked = now(), updated_at = now()
    FROM strays AS s
    WHERE r.id = s.id AND s.authorization_id IS NULL AND s.revoked IS NULL
    RETURNING r.id
), ended_access_tokens AS (
    UPDATE oauth_access_token AS t
    SET revoked = now(), updated_at = now()
    FROM withdrawn AS w
    WHERE t.user_id = w.user_id
      AND t.client_id = w.client_id
      AND t.reference_id IS NOT DISTINCT FROM w.reference_id
      AND t.authorization_id IS NULL
      AND t.revoked IS NULL
    RETURNING t.id
)
SELECT w.id::consent_id AS id, w.scopes::text[] AS scopes,
    ((SELECT count(*) FROM condemned) + (SELECT count(*) FROM adopted))::bigint AS authorizations,
    (SELECT count(*) FROM ended_refresh_tokens)::bigint AS refresh_tokens,
    (SELECT count(*) FROM ended_access_tokens)::bigint AS access_tokens
FROM withdrawn AS w;

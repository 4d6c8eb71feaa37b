-- ListSecurityEvents returns a page of all events, in the order in which they were written. Begin with 0 as after_id; for the next page pass
-- the id of the last row. An event appears when its transaction commits, so one with a lower id may still appear after one with a higher id.
-- A call writes its event itself, in its own transaction, if the setting oauthdb.events is on. Turn it on for the database or the server's
-- role: ALTER DATABASE … SET oauthdb.events = 'on', as a superuser or with GRANT SET ON PARAMETER oauthdb.events. A server that is connected
-- to PostgreSQL without PgBouncer can pass it in its connection URL instead, as oauthdb.events=on.
-- Written are reuse (replayed, proof_replayed, spent, regressed), a credential that another one presents (mismatched), suspended users who
-- try, and what was ended, withdrawn, deleted, enabled, reinstated or registered; also a client's new secret, a change of a registration or
-- of its token, and passkeys, authenticator apps and recovery codes that are added or, for the codes, used.
-- Not written is what anybody can repeat without a credential: a client that is not authenticated, a code or token that is unknown, a wrong
-- guess, a limit that is reached, a DPoP proof at a resource server. Count those in metrics.
-- name: ListSecurityEvents :many
SELECT e.*
FROM security_event AS e
WHERE e.id > @after_id::bigint
ORDER BY e.id
LIMIT @page_size::integer;

-- ListUserSecurityEvents is ListSecurityEvents for one user, who may be deleted.
-- name: ListUserSecurityEvents :many
SELECT e.*
FROM security_event AS e
WHERE e.user_id = @user_id::user_id AND e.id > @after_id::bigint
ORDER BY e.id
LIMIT @page_size::integer;

-- ListClientSecurityEvents is ListSecurityEvents for one client, which may be deleted.
-- name: ListClientSecurityEvents :many
SELECT e.*
FROM security_event AS e
WHERE e.client_id = @client_id::client_id AND e.id > @after_id::bigint
ORDER BY e.id
LIMIT @page_size::integer;

-- DeleteExpiredSecurityEvents deletes events that were written more than retention ago: of those after after_id, the batch_size first. Begin
-- with 0, and go on with last_id until fewer are deleted. It skips rows that are locked.
-- name: DeleteExpiredSecurityEvents :one
WITH oldest AS MATERIALIZED (
    SELECT e.ctid::tid AS ctid, e.id, e.created_at
    FROM security_event AS e
    WHERE e.id > @after_id::bigint
    ORDER BY e.id
    LIMIT @batch_size::integer
    FOR UPDATE SKIP LOCKED
), due AS MATERIALIZED (
    SELECT o.ctid::tid AS ctid, o.id
    FROM oldest AS o
    WHERE o.created_at <= now() - @retention::interval AND o.created_at <= now()
), deleted AS (
    DELETE FROM security_event AS e
    WHERE e.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING e.id
), last AS (
    SELECT d.id
    FROM due AS d
    ORDER BY d.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM deleted)::bigint AS deleted, l.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

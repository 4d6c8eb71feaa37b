-- ListSessionClients lists the clients that know a session, in the order in which they came to know it: those to notify when it ends (OpenID
-- Connect Back-Channel Logout 1.0; Front-Channel Logout 1.0). It works for a session that is deleted, too, while a client has to be notified.
-- name: ListSessionClients :many
SELECT k.*
FROM session_client AS k
WHERE k.session_id = @session_id::session_id
ORDER BY k.created_at, k.id;

-- ClaimLogoutDeliveries takes up to page_size clients that have to be told of a sign-out, those first that have been due longest. The caller
-- sends each a logout token for its sub and sid (OpenID Connect Back-Channel Logout 1.0, section 2.4), and passes the result and the lease
-- to FinishLogoutDelivery. Each claim has a lease of its own. If the lease expires first, the delivery can be claimed again, so a
-- client is told at least once, and may be told twice. It skips rows that are locked, so several workers share the work.
-- A client is told while it has a backchannel_logout_uri, if it is disabled as well. A deleted client is not told. Nobody is told of a
-- session that is live, if its end was undone.
-- name: ClaimLogoutDeliveries :many
WITH due AS MATERIALIZED (
    SELECT k.id, c.backchannel_logout_uri::text AS backchannel_logout_uri
    FROM session_client AS k
    JOIN oauth_client AS c ON c.client_id = k.client_id
    LEFT JOIN session AS s ON s.id = k.session_id
    LEFT JOIN "user" AS u ON u.id = s.user_id
    WHERE k.due_at <= now() AND k.told_at IS NULL AND (k.lease_expires_at IS NULL OR k.lease_expires_at <= now())
      AND has_logout_uri(c) AND NOT session_is_live(s, u)
    ORDER BY k.due_at
    LIMIT @page_size::integer
    FOR NO KEY UPDATE OF k SKIP LOCKED
), claimed AS (
    UPDATE session_client AS k
    SET lease = gen_random_uuid()::text, lease_expires_at = deadline(@lease_lifetime::interval, NULL, 'LeaseLifetime'), updated_at = now()
    FROM due AS d
    WHERE k.id = d.id
    RETURNING k.id, k.lease::text AS lease, k.client_id, d.backchannel_logout_uri, k.sub, k.sid, (k.attempts + 1)::bigint AS attempt
)
SELECT w.id, w.lease, w.client_id, w.backchannel_logout_uri, w.sub, w.sid, w.attempt
FROM claimed AS w;

-- FinishLogoutDelivery records the result of a delivery that ClaimLogoutDeliveries gave to the caller. After a failure it is due again: the
-- first time after back_off, then after twice as long each time, up to 256 times back_off. After max_attempts failures the client is
-- given up on; 0 is no maximum. A lease that has expired still counts until the delivery is claimed again.
--   - delivered: the client is told
--   - postponed: the attempt failed; the next one is due at due_at
--   - abandoned: the attempt failed, and was the last one
--   - retried: the same lease had finished the delivery before; nothing changes
--   - superseded: the lease is not that of the last claim: another worker is at it, or was; nothing changes
--   - unknown: there is no such delivery; it was collected
-- name: FinishLogoutDelivery :one
WITH finished AS (
    UPDATE session_client AS k
    SET attempts = k.attempts + 1, lease_expires_at = NULL,
        told_at = CASE WHEN @delivered::boolean THEN now() END,
        abandoned_at = CASE WHEN NOT @delivered::boolean AND @max_attempts::integer BETWEEN 1 AND k.attempts + 1 THEN now() END,
        due_at = CASE
            WHEN @delivered::boolean THEN k.due_at
            WHEN @max_attempts::integer BETWEEN 1 AND k.attempts + 1 THEN NULL
            ELSE deadline(power(2, least(k.attempts, 8)) * @back_off::interval, NULL, 'BackOff')
        END,
        updated_at = now()
    WHERE k.id = @id::session_client_id AND k.lease = @lease::text AND k.lease_expires_at IS NOT NULL
    RETURNING (CASE WHEN k.told_at IS NOT NULL THEN 'delivered' WHEN k.abandoned_at IS NOT NULL THEN 'abandoned' ELSE 'postponed' END)::outcome AS outcome,
        CASE WHEN k.told_at IS NULL THEN k.due_at END::timestamptz AS due_at
)
SELECT coalesce(f.outcome, judge_logout_lease(@id::session_client_id, @lease::text))::outcome AS outcome, f.due_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN finished AS f ON true;

-- SweepSessionClients looks at the clients of sessions that have ended or are gone. It makes their notification due, and deletes the rows of
-- clients that have no logout URI, and of those that were notified or given up on more than retention ago. It looks at page_size rows in the
-- order of their ids, those after after_id; begin with the empty id and go on with last_id, which is NULL when no row is left. It skips
-- rows that are locked.
-- name: SweepSessionClients :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.ctid::tid AS ctid
    FROM session_client AS p
    WHERE p.id > @after_id::session_client_id
    ORDER BY p.id
    LIMIT @page_size::integer
), over AS MATERIALIZED (
    SELECT k.ctid::tid AS ctid, NOT has_logout_uri(c) OR coalesce(k.told_at, k.abandoned_at) IS NOT NULL AS is_done
    FROM session_client AS k
    JOIN oauth_client AS c ON c.client_id = k.client_id
    LEFT JOIN session AS s ON s.id = k.session_id
    LEFT JOIN "user" AS u ON u.id = s.user_id
    WHERE k.ctid = ANY (ARRAY(SELECT p.ctid FROM page AS p))
      AND CASE
          WHEN NOT has_logout_uri(c) THEN true
          WHEN coalesce(k.told_at, k.abandoned_at) IS NULL THEN k.due_at IS NULL
          ELSE coalesce(k.told_at, k.abandoned_at) <= now() - @retention::interval
      END
      AND NOT session_is_live(s, u)
    FOR UPDATE OF k SKIP LOCKED
), due AS (
    UPDATE session_client AS k
    SET due_at = now(), updated_at = now()
    WHERE k.ctid = ANY (ARRAY(SELECT o.ctid FROM over AS o WHERE NOT o.is_done))
    RETURNING k.id
), deleted AS (
    DELETE FROM session_client AS k
    WHERE k.ctid = ANY (ARRAY(SELECT o.ctid FROM over AS o WHERE o.is_done))
    RETURNING k.id
), last AS (
    SELECT x.id
    FROM page AS x
    ORDER BY x.id DESC
    LIMIT 1
)
SELECT (SELECT count(*) FROM due)::bigint AS due, (SELECT count(*) FROM deleted)::bigint AS deleted, l.id AS last_id
FROM (VALUES (true)) AS one (n)
LEFT JOIN last AS l ON true;

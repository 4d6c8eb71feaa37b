-- CreateUser registers a user. If the e-mail address is taken, whatever its ASCII case, it violates user_email_uidx.
-- name: CreateUser :one
INSERT INTO "user" (id, name, email, email_verified, image)
VALUES (@id::user_id, @name::text, sqlc.narg('email')::text, @email_verified::boolean, sqlc.narg('image')::text)
RETURNING *;

-- GetUser returns one user, suspended or not. Zero rows: there is no such user, or the user is deleted.
-- name: GetUser :one
SELECT u.*
FROM "user" AS u
WHERE u.id = @id::user_id AND u.deleted_at IS NULL;

-- FindUserByEmail returns the user who has an e-mail address. ASCII case is ignored. Zero rows: nobody has it.
-- name: FindUserByEmail :one
SELECT u.*
FROM "user" AS u
WHERE lower(u.email COLLATE "C") = lower((@email::text) COLLATE "C");

-- ListUsers returns a page of all users, oldest first. Begin with the zero time and the empty id; for the next page pass created_at and id
-- of the last row.
-- name: ListUsers :many
SELECT u.*
FROM "user" AS u
WHERE (u.created_at, u.id) > (@after_created_at::timestamptz, @after_id::user_id) AND u.deleted_at IS NULL
ORDER BY u.created_at, u.id
LIMIT @page_size::integer;

-- UpdateUser changes the fields that are not nil. remove_email and remove_image set the address and the picture to NULL. A new address is
-- unverified unless email_verified says otherwise. Zero rows: there is no such user, or the user is deleted.
-- name: UpdateUser :one
UPDATE "user" AS u
SET name = coalesce(sqlc.narg('name')::text, u.name),
    email = CASE WHEN @remove_email::boolean THEN NULL ELSE coalesce(sqlc.narg('email')::text, u.email) END,
    email_verified = NOT @remove_email::boolean AND coalesce(
        sqlc.narg('email_verified')::boolean,
        u.email_verified AND lower(coalesce(sqlc.narg('email')::text, u.email) COLLATE "C") = lower(u.email COLLATE "C"),
        false
    ),
    image = CASE WHEN @remove_image::boolean THEN NULL ELSE coalesce(sqlc.narg('image')::text, u.image) END,
    updated_at = now()
WHERE u.id = @id::user_id AND u.deleted_at IS NULL
RETURNING u.*;

-- SuspendUser suspends a user. It ends all grants and sessions of the user, and nothing new can be granted until ReinstateUser.
--   - ended: the user is suspended; sessions says how many sessions had not been ended before
--   - revoked: the user had been suspended before
--   - unknown: there is no such user
-- name: SuspendUser :one
WITH suspended AS MATERIALIZED (
    UPDATE "user" AS u
    SET suspended_at = now(), updated_at = now() -- raise_epochs, a trigger, ends grants and sessions
    WHERE u.id = @id::user_id AND u.suspended_at IS NULL AND u.deleted_at IS NULL
    RETURNING u.id
)
SELECT noted(
        (CASE WHEN n.id IS NOT NULL THEN 'ended' ELSE settled_of_user(@id::user_id, 'revoked') END)::outcome, 'SuspendUser', of_user => n.id
    )::outcome AS outcome,
    end_user_sessions(n.id, NULL)::bigint AS sessions
FROM (VALUES (true)) AS one (n)
LEFT JOIN suspended AS n ON true;

-- ReinstateUser lifts a suspension. Nothing that was granted before it, or meanwhile by another server, becomes live again.
--   - reinstated: the user may sign in again
--   - retried: the user is not suspended
--   - unknown: there is no such user
-- name: ReinstateUser :one
WITH reinstated AS (
    UPDATE "user" AS u
    SET suspended_at = NULL, updated_at = now() -- raise_epochs ends what another server wrote meanwhile
    WHERE u.id = @id::user_id AND u.suspended_at IS NOT NULL AND u.deleted_at IS NULL
    RETURNING u.id
)
SELECT noted(
        (CASE WHEN n.id IS NOT NULL THEN 'reinstated' ELSE settled_of_user(@id::user_id, 'retried') END)::outcome, 'ReinstateUser', of_user => n.id
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN reinstated AS n ON true;

-- DeleteUser deletes a user. All grants and sessions of the user and the clients that the user owns are dead at once, the accounts are gone,
-- and personal data in the user's row is blanked. The address can be used again at once, the id once the collector has erased the rest.
--   - deleted: the user is deleted; sessions says how many sessions had not been ended before
--   - unknown: there is no such user
-- name: DeleteUser :one
WITH deleted AS MATERIALIZED (
    UPDATE "user" AS u
    -- raise_epochs, a trigger, ends grants and sessions
    SET deleted_at = now(), suspended_at = coalesce(u.suspended_at, now()), name = '', email = NULL, email_verified = false, image = NULL,
        updated_at = now()
    WHERE u.id = @id::user_id AND u.deleted_at IS NULL
    RETURNING u.id
), accounts AS (
    DELETE FROM account AS c
    USING deleted AS d
    WHERE c.user_id = d.id
), disabled AS MATERIALIZED (
    SELECT disable_owned_clients(d.id) AS clients
    FROM deleted AS d
)
SELECT noted((CASE WHEN d.id IS NULL THEN settled('unknown') ELSE 'deleted' END)::outcome, 'DeleteUser', of_user => d.id)::outcome AS outcome,
    -- the clients come first, as in the order of all locks
    coalesce(CASE WHEN o.clients IS NOT NULL THEN end_user_sessions(d.id, NULL) END, 0)::bigint AS sessions
FROM (VALUES (true)) AS one (n)
LEFT JOIN deleted AS d ON true
LEFT JOIN disabled AS o ON true;

-- EraseDeletedUsers deletes what is left of deleted users. It looks at up to batch_size of them in the order of their deletion. One call
-- deletes up to batch_size clients that they own as DeleteClient does, and up to batch_size consents, accounts, passkeys, authenticator apps,
-- recovery codes and pairwise subjects each, and the users to whom nothing refers any more, so nothing cascades. Families, tokens and
-- sessions are left to the calls that collect those. Begin with the zero time as after_deleted_at. If the call erased anything, stay with
-- after_deleted_at, or go on with erased_until where it isn't NULL: all users until then are gone. If it erased nothing, go on with
-- last_deleted_at, which is NULL when no user is left. It skips rows that are locked.
-- name: EraseDeletedUsers :one
WITH page AS MATERIALIZED (
    SELECT p.id, p.ctid::tid AS ctid, p.deleted_at
    FROM "user" AS p
    WHERE p.deleted_at > @after_deleted_at::timestamptz
    ORDER BY p.deleted_at
    LIMIT @batch_size::integer
), clients AS MATERIALIZED (
    SELECT c.client_id
    FROM page AS p
    JOIN oauth_client AS c ON c.user_id = p.id
    WHERE c.deleted_at IS NULL
    LIMIT @batch_size::integer
    FOR NO KEY UPDATE OF c SKIP LOCKED
), deleted_clients AS MATERIALIZED (
    SELECT x.client_id
    FROM clients AS x
    WHERE delete_client(x.client_id, false, NULL)
), consents AS MATERIALIZED (
    SELECT g.ctid::tid AS ctid
    FROM page AS p
    JOIN oauth_consent AS g ON g.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF g SKIP LOCKED
), deleted_consents AS (
    DELETE FROM oauth_consent AS g
    WHERE g.ctid = ANY (ARRAY(SELECT x.ctid FROM consents AS x))
    RETURNING g.id
), accounts AS MATERIALIZED (
    SELECT k.ctid::tid AS ctid
    FROM page AS p
    JOIN account AS k ON k.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF k SKIP LOCKED
), deleted_accounts AS (
    DELETE FROM account AS k
    WHERE k.ctid = ANY (ARRAY(SELECT x.ctid FROM accounts AS x))
    RETURNING k.id
), subjects AS MATERIALIZED (
    SELECT s.ctid::tid AS ctid
    FROM page AS p
    JOIN oauth_pairwise_subject AS s ON s.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF s SKIP LOCKED
), deleted_subjects AS (
    DELETE FROM oauth_pairwise_subject AS s
    WHERE s.ctid = ANY (ARRAY(SELECT x.ctid FROM subjects AS x))
    RETURNING s.id
), passkeys AS MATERIALIZED (
    SELECT y.ctid::tid AS ctid
    FROM page AS p
    JOIN passkey AS y ON y.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF y SKIP LOCKED
), deleted_passkeys AS (
    DELETE FROM passkey AS y
    WHERE y.ctid = ANY (ARRAY(SELECT x.ctid FROM passkeys AS x))
    RETURNING y.id
), totps AS MATERIALIZED (
    SELECT o.ctid::tid AS ctid
    FROM page AS p
    JOIN totp AS o ON o.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF o SKIP LOCKED
), deleted_totps AS (
    DELETE FROM totp AS o
    WHERE o.ctid = ANY (ARRAY(SELECT x.ctid FROM totps AS x))
    RETURNING o.id
), recovery_codes AS MATERIALIZED (
    SELECT e.ctid::tid AS ctid
    FROM page AS p
    JOIN recovery_code AS e ON e.user_id = p.id
    LIMIT @batch_size::integer
    FOR UPDATE OF e SKIP LOCKED
), deleted_recovery_codes AS (
    DELETE FROM recovery_code AS e
    WHERE e.ctid = ANY (ARRAY(SELECT x.ctid FROM recovery_codes AS x))
    RETURNING e.id
), unused AS MATERIALIZED (
    SELECT u.ctid::tid AS ctid
    FROM "user" AS u
    WHERE u.ctid = ANY (ARRAY(SELECT p.ctid FROM page AS p))
      AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.user_id = u.id) -- nor tokens, which have a family
      AND NOT EXISTS (SELECT FROM session AS s WHERE s.user_id = u.id)
      AND NOT EXISTS (SELECT FROM account AS k WHERE k.user_id = u.id)
      AND NOT EXISTS (SELECT FROM passkey AS y WHERE y.user_id = u.id)
      AND NOT EXISTS (SELECT FROM totp AS o WHERE o.user_id = u.id)
      AND NOT EXISTS (SELECT FROM recovery_code AS e WHERE e.user_id = u.id)
      AND NOT EXISTS (SELECT FROM oauth_consent AS g WHERE g.user_id = u.id)
      AND NOT EXISTS (SELECT FROM oauth_pairwise_subject AS p WHERE p.user_id = u.id)
      AND NOT EXISTS (SELECT FROM oauth_client AS c WHERE c.user_id = u.id)
    FOR UPDATE OF u SKIP LOCKED
), deleted_users AS (
    DELETE FROM "user" AS u
    WHERE u.ctid = ANY (ARRAY(SELECT x.ctid FROM unused AS x))
    RETURNING u.id
), first_left AS ( -- the first that isn't gone; one that is deleted at the same time as the last of a full page may be behind it
    SELECT coalesce(
            min(p.deleted_at) FILTER (WHERE NOT EXISTS (SELECT FROM deleted_users AS d WHERE d.id = p.id)),
            CASE WHEN count(*) >= @batch_size::integer THEN max(p.deleted_at) END,
            'infinity'
        )::timestamptz AS deleted_at
    FROM page AS p
), erased AS (
    SELECT max(p.deleted_at)::timestamptz AS deleted_at
    FROM page AS p
    JOIN first_left AS f ON p.deleted_at < f.deleted_at
), last_of_page AS (
    SELECT max(p.deleted_at)::timestamptz AS deleted_at
    FROM page AS p
)
SELECT (SELECT count(*) FROM deleted_users)::bigint AS deleted,
    (
        (SELECT count(*) FROM deleted_clients) + (SELECT count(*) FROM deleted_consents) + (SELECT count(*) FROM deleted_accounts)
        + (SELECT count(*) FROM deleted_passkeys) + (SELECT count(*) FROM deleted_totps) + (SELECT count(*) FROM deleted_recovery_codes)
        + (SELECT count(*) FROM deleted_subjects)
    )::bigint AS cleared,
    e.deleted_at AS erased_until, l.deleted_at AS last_deleted_at
FROM (VALUES (true)) AS one (n)
LEFT JOIN erased AS e ON true
LEFT JOIN last_of_page AS l ON true;

-- ExportUser returns a page of all that is kept of a user, as the right of access asks (GDPR, article 15): the rows that are about the user,
-- the clients that the user owns, and what was granted. It includes what is over and waits for the collector, and what is left of a deleted
-- user. table_name is the table, and data its columns by their names. Begin with an empty after_table_name and after_id; for the next page
-- pass table_name and id of the last row. Pages are of one moment only in one REPEATABLE READ transaction. Zero rows on the first page:
-- nothing is kept of such a user.
-- An auditor may make this call, since it returns no credential. It leaves out digests, hashes, ciphertexts, and what only its holder should
-- know, such as state, nonce and session_client.lease; documents of free form, where an application may keep a credential (data, metadata,
-- request and software_statement); the rows of one_time_code, attempt_count and verification, which know nobody but by a digest or a code,
-- and expire by themselves; and those of oauth_client_assertion, which are a digest, and the id of a grant that is returned.
-- name: ExportUser :many
WITH kept AS (
    SELECT 'account'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT k.id, k.created_at, k.updated_at, k.account_id, k.provider_id, k.user_id, k.access_token_expires_at,
            k.refresh_token_expires_at, k.scope
        FROM account AS k
        WHERE k.user_id = @user_id::user_id
          AND 'account' COLLATE "C" >= @after_table_name::text
          AND k.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'account' THEN @after_id::text ELSE '' END
        ORDER BY k.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'device_code'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT d.id, d.created_at, d.updated_at, d.user_id, d.expires_at, d.status, d.last_polled_at, d.polling_interval, d.client_id,
            d.scope, d.oauth_client_id, d.resources
        FROM device_code AS d
        WHERE d.user_id = @user_id::user_id
          AND 'device_code' COLLATE "C" >= @after_table_name::text
          AND d.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'device_code' THEN @after_id::text ELSE '' END
        ORDER BY d.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'oauth_access_token'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT t.id, t.created_at, t.updated_at, t.client_id, t.session_id, t.user_id, t.reference_id, t.refresh_id, t.expires_at,
            t.scopes, t.revoked, t.resources, t.authorization_details, t.confirmation, t.authorization_code_id, t.authorization_id,
            t.act, t.client_epoch, t.pair_epoch, t.requested_user_info_claims, t.subject_token_id, t.may_act
        FROM oauth_access_token AS t
        WHERE t.user_id = @user_id::user_id
          AND 'oauth_access_token' COLLATE "C" >= @after_table_name::text
          AND t.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'oauth_access_token' THEN @after_id::text ELSE '' END
        ORDER BY t.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'oauth_authorization'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT a.id, a.created_at, a.updated_at, a.client_id, a.kind, a.status, a.redirect_uri, a.response_type, a.response_mode,
            a.scopes, a.code_challenge_method, a.resources, a.authorization_details, a.claims, a.request_uri_expires_at,
            a.expires_at, a.user_id, a.session_id, a.reference_id, a.granted_scopes, a.auth_time, a.acr, a.amr, a.decided_at,
            a.bound, a.user_epoch, a.client_epoch, a.pair_epoch, a.code_expires_at, a.redeemed_at, a.redeemed_as, a.confirmation,
            a.act, a.may_act, a.max_expires_at, a.revoked_at, a.revoked_reason, a.acr_values, a.max_age
        FROM oauth_authorization AS a
        WHERE a.user_id = @user_id::user_id
          AND 'oauth_authorization' COLLATE "C" >= @after_table_name::text
          AND a.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'oauth_authorization' THEN @after_id::text ELSE '' END
        ORDER BY a.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'oauth_client'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT c.id, c.created_at, c.updated_at, c.client_id, c.disabled, c.skip_consent, c.enable_end_session, c.scopes, c.user_id,
            c.name, c.uri, c.icon, c.contacts, c.tos, c.policy, c.software_id, c.software_version, c.redirect_uris,
            c.post_logout_redirect_uris, c.token_endpoint_auth_method, c.grant_types, c.response_types, c.public, c.type,
            c.reference_id, c.grants_epoch, c.deleted_at, c.client_secret_expires_at, c.subject_type, c.sector_identifier,
            c.require_pkce, c.allow_plain_pkce, c.jwks, c.jwks_uri, c.application_type, c.default_max_age, c.access_token_lifetime,
            c.refresh_token_lifetime, c.authorization_lifetime, c.code_lifetime, c.refresh_grace, c.refresh_grace_until_used,
            c.require_pushed_authorization_requests, c.dpop_bound_access_tokens, c.tls_client_certificate_bound_access_tokens,
            c.tls_client_auth_subject_dn, c.tls_client_auth_san_dns, c.tls_client_auth_san_uri, c.tls_client_auth_san_ip,
            c.tls_client_auth_san_email, c.backchannel_logout_uri, c.backchannel_logout_session_required, c.client_discovery_id,
            c.client_credentials_scopes, c.resources, c.authorization_details_types, c.document_uri, c.document_etag,
            c.document_fetched_at, c.document_fresh_until, c.document_changes, c.unused_since, c.unused_checked_at, c.consents_epoch
        FROM oauth_client AS c
        WHERE c.user_id = @user_id::user_id
          AND 'oauth_client' COLLATE "C" >= @after_table_name::text
          AND c.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'oauth_client' THEN @after_id::text ELSE '' END
        ORDER BY c.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'oauth_client_resource'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT r.id, r.created_at, r.updated_at, r.client_id, r.resource_id
        FROM oauth_client_resource AS r
        JOIN oauth_client AS c ON c.client_id = r.client_id
        WHERE c.user_id = @user_id::user_id
          AND 'oauth_client_resource' COLLATE "C" >= @after_table_name::text
          AND r.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'oauth_client_resource' THEN @after_id::text ELSE '' END
        ORDER BY r.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'oauth_client_secret'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT x.id, x.created_at, x.updated_at, x.client_id, x.expires_at
        FROM oauth_client_secret AS x
        JOIN oauth_client AS c ON c.client_id = x.client_id
        WHERE c.user_id = @user_id::user_id
          AND 'oauth_client_secret' COLLATE "C" >= @after_table_name::text
          AND x.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'oauth_client_secret' THEN @after_id::text ELSE '' END
        ORDER BY x.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'oauth_consent'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT g.id, g.created_at, g.updated_at, g.client_id, g.user_id, g.reference_id, g.scopes, g.resource_scopes, g.user_epoch,
            g.pair_epoch, g.resources, g.requested_user_info_claims, g.authorization_details, g.client_epoch
        FROM oauth_consent AS g
        WHERE g.user_id = @user_id::user_id
          AND 'oauth_consent' COLLATE "C" >= @after_table_name::text
          AND g.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'oauth_consent' THEN @after_id::text ELSE '' END
        ORDER BY g.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'oauth_pairwise_subject'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT p.id, p.created_at, p.updated_at, p.sector, p.user_id, p.subject
        FROM oauth_pairwise_subject AS p
        WHERE p.user_id = @user_id::user_id
          AND 'oauth_pairwise_subject' COLLATE "C" >= @after_table_name::text
          AND p.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'oauth_pairwise_subject' THEN @after_id::text ELSE '' END
        ORDER BY p.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'oauth_polled_request'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT q.id, q.created_at, q.updated_at, q.expires_at, q.poll_interval, q.polled_at, q.refresh_token_id
        FROM oauth_polled_request AS q
        JOIN oauth_authorization AS a ON a.id = q.id
        WHERE a.user_id = @user_id::user_id
          AND 'oauth_polled_request' COLLATE "C" >= @after_table_name::text
          AND q.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'oauth_polled_request' THEN @after_id::text ELSE '' END
        ORDER BY q.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'oauth_refresh_token'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT r.id, r.created_at, r.updated_at, r.client_id, r.session_id, r.user_id, r.reference_id, r.expires_at, r.revoked,
            r.scopes, r.auth_time, r.resources, r.authorization_details, r.confirmation, r.authorization_code_id,
            r.authorization_id, r.successor_id, r.access_token_expires_at, r.requested_user_info_claims, r.rotated_at,
            r.rotation_replay_expires_at
        FROM oauth_refresh_token AS r
        WHERE r.user_id = @user_id::user_id
          AND 'oauth_refresh_token' COLLATE "C" >= @after_table_name::text
          AND r.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'oauth_refresh_token' THEN @after_id::text ELSE '' END
        ORDER BY r.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'passkey'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT p.id, p.created_at, p.updated_at, p.user_id, p.name, p.public_key, p.sign_count, p.transports, p.aaguid,
            p.backup_eligible, p.backed_up, p.last_used_at
        FROM passkey AS p
        WHERE p.user_id = @user_id::user_id
          AND 'passkey' COLLATE "C" >= @after_table_name::text
          AND p.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'passkey' THEN @after_id::text ELSE '' END
        ORDER BY p.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'recovery_code'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT r.id, r.created_at, r.updated_at, r.user_id, r.used_at
        FROM recovery_code AS r
        WHERE r.user_id = @user_id::user_id
          AND 'recovery_code' COLLATE "C" >= @after_table_name::text
          AND r.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'recovery_code' THEN @after_id::text ELSE '' END
        ORDER BY r.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'security_event'::text AS table_name, lpad(o.id::text, 19, '0') AS id, to_jsonb(o) AS data
    FROM (
        SELECT e.id, e.created_at, e.updated_at, e.call, e.outcome, e.reason, e.user_id, e.client_id, e.session_id, e.authorization_id,
            e.item_id, e.ip_address
        FROM security_event AS e
        WHERE e.user_id = @user_id::user_id
          AND 'security_event' COLLATE "C" >= @after_table_name::text
          AND e.id > CASE @after_table_name::text WHEN 'security_event' THEN @after_id::bigint ELSE 0 END
        ORDER BY e.user_id, e.id
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'session'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT s.id, s.created_at, s.updated_at, s.expires_at, s.ip_address, s.user_agent, s.user_id, s.user_sessions_epoch,
            s.ended_at, s.last_seen_at, s.label, s.acr, s.amr, s.auth_time
        FROM session AS s
        WHERE s.user_id = @user_id::user_id
          AND 'session' COLLATE "C" >= @after_table_name::text
          AND s.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'session' THEN @after_id::text ELSE '' END
        ORDER BY s.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'session_client'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT k.id, k.created_at, k.updated_at, k.session_id, k.client_id, k.user_id, k.sub, k.sid, k.due_at, k.attempts,
            k.lease_expires_at, k.told_at, k.abandoned_at
        FROM session_client AS k
        WHERE k.user_id = @user_id::user_id
          AND 'session_client' COLLATE "C" >= @after_table_name::text
          AND k.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'session_client' THEN @after_id::text ELSE '' END
        ORDER BY k.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'totp'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT o.id, o.created_at, o.updated_at, o.user_id, o.name, o.algorithm, o.digits, o.period, o.last_step, o.last_used_at
        FROM totp AS o
        WHERE o.user_id = @user_id::user_id
          AND 'totp' COLLATE "C" >= @after_table_name::text
          AND o.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'totp' THEN @after_id::text ELSE '' END
        ORDER BY o.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
    UNION ALL
    SELECT 'user'::text AS table_name, o.id::text AS id, to_jsonb(o) AS data
    FROM (
        SELECT u.id, u.created_at, u.updated_at, u.name, u.email, u.email_verified, u.image, u.grants_epoch, u.sessions_epoch,
            u.ended_grants, u.suspended_at, u.deleted_at
        FROM "user" AS u
        WHERE u.id = @user_id::user_id
          AND 'user' COLLATE "C" >= @after_table_name::text
          AND u.id::text COLLATE "C" > CASE @after_table_name::text WHEN 'user' THEN @after_id::text ELSE '' END
        ORDER BY u.id::text COLLATE "C"
        LIMIT @page_size::integer
    ) AS o
)
SELECT e.table_name::text AS table_name, e.id::text AS id, e.data::jsonb AS data
FROM kept AS e
ORDER BY e.table_name COLLATE "C", e.id COLLATE "C"
LIMIT @page_size::integer;

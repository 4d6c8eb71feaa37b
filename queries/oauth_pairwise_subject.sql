-- FindUserBySubject returns the user whom a client knows by a subject (sub; OpenID Connect Core, section 8): a pairwise one, or the id of the
-- user. Zero rows: the client knows nobody by it, or the user is deleted.
-- name: FindUserBySubject :one
SELECT u.*
FROM oauth_client AS c
LEFT JOIN oauth_pairwise_subject AS p ON p.sector = sector_of(c) AND p.subject = @subject::subject
JOIN "user" AS u ON u.id = CASE WHEN sector_of(c) IS NULL THEN @subject::subject ELSE p.user_id END
WHERE c.client_id = @client_id::client_id AND u.deleted_at IS NULL;

-- CreatePairwiseSubject stores the subject by which a client already knows a user, and so does every other client of its sector. It is for
-- providers that move here from another server; do it before anything is granted here, because a subject that is stored never changes.
--   - created: the subject is stored
--   - retried: it had been stored before
--   - taken: the user has another subject in the sector, or another user has this one
--   - unknown: there is no such user, or no such client with pairwise subjects
-- Only created changes anything.
-- name: CreatePairwiseSubject :one
WITH owner AS MATERIALIZED (
    SELECT u.id
    FROM "user" AS u
    WHERE u.id = @user_id::user_id AND u.deleted_at IS NULL
    FOR KEY SHARE
), kept AS MATERIALIZED (
    SELECT k.held, k.is_new
    FROM owner AS o
    JOIN oauth_client AS c ON c.client_id = @client_id::client_id AND c.deleted_at IS NULL
    CROSS JOIN keep_subject(sector_of(c), o.id, @subject::subject) AS k (held, is_new)
    WHERE sector_of(c) IS NOT NULL
)
SELECT (
        CASE
            WHEN k.is_new IS NULL THEN 'unknown'
            WHEN k.is_new THEN 'created'
            WHEN k.held = @subject::subject THEN 'retried'
            ELSE 'taken'
        END
    )::outcome AS outcome
FROM (VALUES (true)) AS one (n)
LEFT JOIN kept AS k ON true;

-- Queries with one fault each. tools/vet.sh wants `sqlc vet` to find every one, by the rule that the name begins with.

-- name: UpdateSetsUpdatedAt :exec
UPDATE oauth_client AS c
SET disabled = true
WHERE c.client_id = @client_id::client_id;

-- name: UpdateSetsUpdatedAtInUpsert :exec
INSERT INTO oauth_consent (id, client_id, scopes)
VALUES (@id::consent_id, @client_id::client_id, ARRAY[]::text[])
ON CONFLICT (id) DO UPDATE
SET scopes = excluded.scopes;

-- name: UpdateSetsUpdatedAtBesideAnother :exec
WITH disabled AS (
    UPDATE oauth_client AS c
    SET disabled = true, updated_at = now()
    WHERE c.client_id = @client_id::client_id
    RETURNING c.client_id
)
UPDATE oauth_consent AS g
SET scopes = ARRAY[]::text[]
FROM disabled AS d
WHERE g.client_id = d.client_id;

-- name: UpdateHasWhere :exec
UPDATE oauth_client AS c
SET disabled = true, updated_at = now();

-- name: DeleteHasWhere :exec
DELETE FROM oauth_client;

-- name: DeleteHasWhereInCTE :one
WITH deleted AS (
    DELETE FROM oauth_client AS c
    RETURNING c.id
)
SELECT count(*)::bigint AS n
FROM deleted AS d;

-- name: NoMerge :exec
MERGE INTO oauth_client AS c
USING "user" AS u ON u.id = c.user_id
WHEN MATCHED THEN DO NOTHING;

-- name: OneRowIsBounded :one
SELECT u.id
FROM "user" AS u;

WITH due AS (
    SELECT a.id
    FROM account AS a
    ORDER BY a.id
    LIMIT 3
    FOR UPDATE OF a SKIP LOCKED
), kept AS MATERIALIZED (
    SELECT o.id FROM owner AS o FOR SHARE
), parent AS (
    SELECT o.id FROM owner AS o FOR NO KEY UPDATE
), child AS (
    SELECT o.id FROM owner AS o FOR KEY SHARE
)
SELECT array_agg(d.id ORDER BY d.id) FROM due AS d

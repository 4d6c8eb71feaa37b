-- name: Withdraw :one
WITH locked AS (
    SELECT a.id, a.balance
    FROM account AS a
    WHERE a.id = @id::text AND is_open(a)
    FOR UPDATE
), changed AS (
    UPDATE account AS a
    SET balance = a.balance - @amount::integer
    FROM locked AS l
    WHERE a.id = l.id AND l.balance >= @amount::integer
    RETURNING a.balance
)
SELECT (CASE WHEN l.id IS NULL THEN 'unknown' WHEN c.balance IS NULL THEN 'refused' ELSE 'paid' END)::text AS outcome, c.balance
FROM (VALUES (true)) AS one (n)
LEFT JOIN locked AS l ON true
LEFT JOIN changed AS c ON true;

-- name: Tick :one
UPDATE account AS a
SET balance = a.balance - 1
WHERE a.id = @id::text AND a.balance > 0
RETURNING a.balance;

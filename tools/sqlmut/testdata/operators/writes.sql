WITH changed AS (
    UPDATE account AS a
    SET n = a.n + 1, x = 'a = b', y = a.x = a.y
    FROM owner AS o
    WHERE o.id = a.owner_id AND a.n > 0
    RETURNING a.id
), renamed AS (
    UPDATE account AS a SET n = 3
), added AS (
    INSERT INTO account (id, n)
    SELECT c.id, 1 FROM changed AS c JOIN owner AS o ON o.id = c.id
    ON CONFLICT (id) DO UPDATE SET n = excluded.n, x = NULL
    RETURNING id
), gone AS (
    DELETE FROM account AS a WHERE a.n = 0 RETURNING a.id
)
SELECT count(*) FROM added

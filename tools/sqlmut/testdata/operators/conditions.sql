SELECT a.id, a.x IS NULL AND NOT a.y AS flag
FROM account AS a
LEFT JOIN owner AS o ON o.id = a.owner_id -- the owner, if there is one
WHERE (a.x = $1::text OR a.y) AND a.n BETWEEN 1 AND 3 AND a.kind = 'open' AND a.n < 7
ORDER BY a.id
LIMIT 5

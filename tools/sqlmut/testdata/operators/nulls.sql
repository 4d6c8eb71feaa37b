SELECT a.id
FROM account AS a
LEFT JOIN owner AS o ON o.id = a.owner_id
JOIN owner AS p ON p.id = a.owner_id AND (p.id = a.x OR a.z = a.x)
LEFT JOIN (owner AS q JOIN owner AS r ON q.id = r.id) ON q.id = a.x
WHERE o.id = a.x AND p.id = a.y AND EXISTS (SELECT FROM account AS b WHERE b.z = p.id OR NOT p.id = b.x)

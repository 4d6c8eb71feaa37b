SELECT CASE WHEN a.x IS NULL THEN 'none' WHEN a.n >= 3 THEN 'many' ELSE 'some' END,
    CASE a.kind WHEN 'open' THEN 1 WHEN 'closed' THEN 2 END,
    CASE WHEN a.bound THEN a.id END,
    coalesce(a.x, a.y, ''), least(a.n, 3), greatest(a.n, 3),
    a.x IS DISTINCT FROM a.y, a.id = ANY ($1::text[])
FROM account AS a

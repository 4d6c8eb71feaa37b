package catalog

import (
	_ "embed" // for objects.json
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

//go:embed objects.json
var packedObjects []byte

// Object is a part of the schema: a table, a column, an index, a constraint, a trigger or a function.
type Object struct {
	Kind       string // "index"
	Name       string // of a function with the types of its parameters
	Table      string `json:",omitempty"` // or domain
	Definition string `json:",omitempty"` // of an index or a column, or the digest of a function's body if that is kept as it was written

	// Amiss is what a database says of the object that is not as it should be: "invalid", "disabled", "not validated",
	// "unlogged", "under row security", "rewritten by a rule".
	Amiss string `json:",omitempty"`
}

// Objects are those that the migrations make, in the order of kinds and names. Nobody may change them.
var Objects = sync.OnceValues(func() ([]Object, error) {
	var o []Object
	err := json.Unmarshal(packedObjects, &o)
	return o, err
})

// PackObjects is the form in which objects are kept, a line each.
func PackObjects(objects []Object) ([]byte, error) {
	var lines []string
	for _, o := range objects {
		line, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		lines = append(lines, string(line))
	}
	return []byte("[\n" + strings.Join(lines, ",\n") + "\n]\n"), nil
}

// ReadObjects reads what ObjectsQuery returns.
func ReadObjects(document string) ([]Object, error) {
	var o []Object
	if err := json.Unmarshal([]byte(document), &o); err != nil {
		return nil, fmt.Errorf("read the objects of the schema: %w", err)
	}
	return o, nil
}

// ObjectsQuery returns the objects of the schema $1 as a JSON document, but for those of extensions and the table of versions.
const ObjectsQuery = `
WITH s AS (
    SELECT n.oid, format('%I.', n.nspname) AS prefix FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1::text
), o (kind, name, "table", definition, amiss) AS (
    SELECT 'table', c.relname::text, NULL::text, NULL::text, CASE
            WHEN c.relpersistence = 'u' THEN 'unlogged'
            WHEN c.relrowsecurity THEN 'under row security'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = c.oid AND w.ev_enabled <> 'D') THEN 'rewritten by a rule'
        END
    FROM s JOIN pg_catalog.pg_class AS c ON c.relnamespace = s.oid AND c.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'column', k.attname, c.relname,
        y.typname || CASE WHEN k.attnotnull THEN ' NOT NULL' ELSE '' END || CASE WHEN k.atthasdef OR k.attidentity <> '' THEN ' with a default' ELSE '' END, NULL
    FROM s
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = s.oid AND c.relkind IN ('r', 'p')
    JOIN pg_catalog.pg_attribute AS k ON k.attrelid = c.oid AND k.attnum > 0 AND NOT k.attisdropped
    JOIN pg_catalog.pg_type AS y ON y.oid = k.atttypid
    UNION ALL
    SELECT 'index', i.relname, c.relname, replace(pg_catalog.pg_get_indexdef(x.indexrelid), ' ON ' || s.prefix, ' ON '),
        CASE WHEN NOT x.indisvalid OR NOT x.indisready THEN 'invalid' END
    FROM s
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = s.oid
    JOIN pg_catalog.pg_index AS x ON x.indrelid = c.oid
    JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
    UNION ALL
    SELECT 'constraint', k.conname, coalesce(c.relname, t.typname), NULL, CASE
            WHEN NOT k.convalidated THEN 'not validated'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgconstraint = k.oid AND g.tgenabled NOT IN ('O', 'A')) THEN 'disabled'
        END
    FROM s
    JOIN pg_catalog.pg_constraint AS k ON k.connamespace = s.oid AND k.contype IN ('c', 'f', 'p', 'u')
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
    LEFT JOIN pg_catalog.pg_type AS t ON t.oid = k.contypid
    UNION ALL
    SELECT 'trigger', g.tgname, c.relname, NULL, CASE WHEN g.tgenabled NOT IN ('O', 'A') THEN 'disabled' END
    FROM s
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = s.oid
    JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = c.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT 'function', replace(p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', s.prefix, ''), NULL,
        CASE WHEN pg_catalog.pg_get_function_sqlbody(p.oid) IS NULL THEN pg_catalog.md5(p.prosrc) END, NULL
    FROM s
    JOIN pg_catalog.pg_proc AS p ON p.pronamespace = s.oid
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
)
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
    'Kind', o.kind, 'Name', o.name, 'Table', o."table", 'Definition', o.definition, 'Amiss', o.amiss
)) ORDER BY o.kind, o."table" COLLATE "C", o.name COLLATE "C"), '[]')::text
FROM o
WHERE o.name !~ '^oauthdb_version' AND o."table" IS DISTINCT FROM 'oauthdb_version'`

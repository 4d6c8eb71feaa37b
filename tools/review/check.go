package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/internal/catalog"
	"github.com/oauthdb/oauthdb/internal/queryfile"
)

// lacking lists what has to be said and is not: the contract of a query, the comment of a table, and that of a column whose
// meaning its name does not carry.
func lacking(queries []queryfile.Query, files migrationFiles, s *schema) []string {
	var found []string
	for _, q := range queries {
		switch contract := strings.Join(q.Contract, " "); {
		case contract == "":
			found = append(found, fmt.Sprintf("queries/%s:%d: %s has no contract: say in a comment above this line what it guarantees and what each outcome, or zero rows, means",
				q.File, q.Line, q.Name))
		case !strings.HasPrefix(contract, q.Name+" "):
			found = append(found, fmt.Sprintf("queries/%s:%d: the contract of %s has to begin with its name, as it becomes the comment of a Go method", q.File, q.Line, q.Name))
		}
	}
	for _, t := range s.tables {
		if t.Comment == "" {
			found = append(found, fmt.Sprintf("%s: the table %s has no comment: add COMMENT ON TABLE %s IS '...' to this migration", files.where(t.Name, ""), t.Name, quote(t.Name)))
		}
		for _, c := range t.Columns {
			if s.describe(t, c) == "" {
				found = append(found, fmt.Sprintf("%s: the column %s.%s has no comment, and its name does not say enough: add COMMENT ON COLUMN %s.%s IS '...' to this migration",
					files.where(t.Name, c.Name), t.Name, c.Name, quote(t.Name), c.Name))
			}
		}
	}
	for _, e := range s.enums {
		if e.Comment == "" {
			found = append(found, fmt.Sprintf("%s: the type %s has no comment: add COMMENT ON TYPE %s IS '...' to this migration", files.where(e.Name, ""), e.Name, e.Name))
		}
	}
	for _, d := range s.domains {
		if d.Comment == "" {
			found = append(found, fmt.Sprintf("%s: the domain %s has no comment: add COMMENT ON DOMAIN %s IS '...' to this migration", files.where(d.Name, ""), d.Name, d.Name))
		}
	}
	for _, f := range s.functions {
		if s.comments[f.Name] == "" {
			found = append(found, fmt.Sprintf("%s: the function %s has no comment: add COMMENT ON FUNCTION %s IS '...' to this migration", files.where(f.Name, ""), f.Name, f.Name))
		}
	}
	return found
}

func quote(name string) string {
	if name == "user" {
		return `"user"`
	}
	return name
}

// describe says what a column holds: its comment, or what follows from its name. It is empty where neither does.
func (s *schema) describe(t *table, c column) string {
	if c.Comment != "" {
		return c.Comment
	}
	switch c.Name {
	case "id":
		if comment := s.identifies(c.Type); comment != "" {
			return comment
		}
		return "Primary key."
	case "created_at":
		return "When the row was written."
	case "updated_at":
		return "When the row was last changed."
	}
	for _, f := range t.Foreign {
		// client_id -> oauth_client.client_id, session_id -> session.id
		of := strings.TrimSuffix(c.Name, "_id")
		if slices.Equal(f.Columns, []string{c.Name}) && of != c.Name && (f.RefTable == of || strings.HasSuffix(f.RefTable, "_"+of)) {
			return fmt.Sprintf("Refers to %s.%s.", f.RefTable, f.RefColumns[0])
		}
	}
	for _, suffix := range []string{"_expires_at", "_at"} {
		// the column that it is the time of says the rest
		if of, ok := strings.CutSuffix(c.Name, suffix); ok && of != "" {
			if i := slices.IndexFunc(t.Columns, func(o column) bool { return o.Name == of && o.Comment != "" }); i >= 0 {
				return map[string]string{"_expires_at": "When " + of + " expires.", "_at": "When " + of + " happened."}[suffix]
			}
		}
	}
	return ""
}

// identifies is the comment of the domain that a type is, or is over: what values of it identify.
func (s *schema) identifies(typ string) string {
	i := slices.IndexFunc(s.domains, func(d domain) bool { return d.Name == typ })
	if i < 0 {
		return ""
	}
	return cmp.Or(s.identifies(s.domains[i].Type), s.domains[i].Comment)
}

// changes tells, query by query, how the facts in the repository differ from those just gathered, for those who have to
// find out why a page is stale.
func changes(old, now *catalog.Catalog) []string {
	var found []string
	for _, q := range now.Queries {
		o, ok := old.Query(q.Name)
		if !ok {
			found = append(found, fmt.Sprintf("%s is new", q.Name))
			continue
		}
		say := func(format string, args ...any) {
			found = append(found, q.Name+": "+fmt.Sprintf(format, args...))
		}
		for _, x := range lost(indexNames(*o), indexNames(q)) {
			say("the plan no longer uses the index %s", x)
		}
		for _, x := range lost(indexNames(q), indexNames(*o)) {
			say("the plan now uses the index %s", x)
		}
		for _, l := range strings.Split(q.Plan, "\n") {
			if strings.Contains(l, "Seq Scan") && !strings.Contains(o.Plan, strings.TrimLeft(l, "-> ")) {
				say("the plan now has a %s", strings.TrimLeft(l, "-> "))
			}
		}
		for _, d := range []struct {
			what     string
			old, now any
		}{
			{"contract", o.Contract, q.Contract},
			{"SQL", o.SQL, q.SQL},
			{"signature", o.Signature, q.Signature},
			{"parameters", o.Params, q.Params},
			{"result", o.Columns, q.Columns},
			{"tables", []any{o.Reads, o.Writes}, []any{q.Reads, q.Writes}},
			{"row locks", o.Locks, q.Locks},
			{"constraints and triggers", o.Fires, q.Fires},
			{"exceptions", o.Exceptions, q.Exceptions},
			{"plan", []any{o.Plan, o.Inner}, []any{q.Plan, q.Inner}},
		} {
			if fmt.Sprint(d.old) != fmt.Sprint(d.now) {
				say("its %s changed", d.what)
			}
		}
	}
	for _, q := range old.Queries {
		if _, ok := now.Query(q.Name); !ok {
			found = append(found, fmt.Sprintf("%s is gone", q.Name))
		}
	}
	return found
}

func indexNames(q catalog.Query) []string {
	var names []string
	for _, x := range q.Indexes {
		names = append(names, x.Name)
	}
	return names
}

// lost are those of a that are not in b.
func lost(a, b []string) []string {
	var found []string
	for _, x := range a {
		if !slices.Contains(b, x) && !slices.Contains(found, x) {
			found = append(found, x)
		}
	}
	return found
}

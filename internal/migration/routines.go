package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// routine is a function as it stands in a file of routines/, or as the migrations leave it.
type routine struct {
	create  string // CREATE OR REPLACE FUNCTION …; empty if there is no such function
	comment string // COMMENT ON FUNCTION …; empty if it has none
}

var (
	createFunction  = regexp.MustCompile(`(?is)^CREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\s+([a-z_][a-z0-9_]*)\s*\(`)
	orReplace       = regexp.MustCompile(`(?is)^CREATE\s+OR\s+REPLACE\s+FUNCTION\b`)
	createHead      = regexp.MustCompile(`(?is)^CREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\b`)
	commentFunction = regexp.MustCompile(`(?is)^COMMENT\s+ON\s+FUNCTION\s+([a-z_][a-z0-9_]*)\b`)
	commentNull     = regexp.MustCompile(`(?is)\bIS\s+NULL\s*;$`)
	dropFunction    = regexp.MustCompile(`(?is)^DROP\s+FUNCTION\s+(?:IF\s+EXISTS\s+)?([a-z_][a-z0-9_]*)\b`)
	parenthesised   = regexp.MustCompile(`\([^)]*\)`)
	aboutFunctions  = regexp.MustCompile(`(?is)^(?:CREATE\s+(?:OR\s+REPLACE\s+)?|COMMENT\s+ON\s+|DROP\s+|ALTER\s+)(?:FUNCTION|PROCEDURE|ROUTINE|AGGREGATE)\b`)
)

// readRoutines reads routines/. A file holds CREATE OR REPLACE FUNCTION for the function of its name, and perhaps a COMMENT ON it.
func (t tree) readRoutines() (map[string]routine, error) {
	paths, err := filepath.Glob(filepath.Join(t.routines, "*"))
	if err != nil {
		return nil, err
	}
	found := map[string]routine{}
	for _, path := range paths {
		name, ok := strings.CutSuffix(filepath.Base(path), ".sql")
		if name == "embed.go" { // of the package that embeds the files
			continue
		}
		if !ok {
			return nil, fmt.Errorf("routines/%s: only files of functions, name.sql, are here", filepath.Base(path))
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if found[name], err = parseRoutine(name, string(text)); err != nil {
			return nil, fmt.Errorf("routines/%s.sql: %w", name, err)
		}
	}
	return found, nil
}

func parseRoutine(name, text string) (routine, error) {
	parts, err := statements(text)
	if err != nil {
		return routine{}, err
	}
	if len(parts) == 0 || len(parts) > 2 || !orReplace.MatchString(parts[0]) {
		return routine{}, errors.New("want one CREATE OR REPLACE FUNCTION, perhaps a COMMENT ON FUNCTION, and nothing else")
	}
	if match := createFunction.FindStringSubmatch(parts[0]); match == nil || match[1] != name {
		return routine{}, fmt.Errorf("it has to create the function %s, without a schema", name)
	}
	r := routine{create: parts[0]}
	if len(parts) == 2 {
		if match := commentFunction.FindStringSubmatch(parts[1]); match == nil || match[1] != name || commentNull.MatchString(parts[1]) {
			return routine{}, fmt.Errorf("its second statement is no COMMENT ON FUNCTION %s", name)
		}
		r.comment = parts[1]
	}
	return r, nil
}

// migrated are the functions as the migrations leave them.
func (t tree) migrated(files []migration) (map[string]routine, error) {
	found := map[string]routine{}
	for _, m := range files {
		text, err := upSection(m)
		if err != nil {
			return nil, err
		}
		parts, err := statements(text)
		if err != nil {
			return nil, fmt.Errorf("migrations/%s: %w", m.name, err)
		}
		for _, s := range parts {
			if !aboutFunctions.MatchString(s) {
				continue
			}
			if match := createFunction.FindStringSubmatch(s); match != nil {
				r := found[match[1]]
				r.create = createHead.ReplaceAllLiteralString(s, "CREATE OR REPLACE FUNCTION")
				found[match[1]] = r
			} else if match := commentFunction.FindStringSubmatch(s); match != nil {
				r := found[match[1]]
				r.comment = s
				if commentNull.MatchString(s) {
					r.comment = ""
				}
				found[match[1]] = r
			} else if match := dropFunction.FindStringSubmatch(s); match != nil && !strings.Contains(parenthesised.ReplaceAllLiteralString(s, ""), ",") {
				delete(found, match[1])
			} else {
				return nil, fmt.Errorf("migrations/%s: %.60q: functions are created, commented on and dropped one by one, under lower-case names without a schema", m.name, s)
			}
		}
	}
	return found, nil
}

// change is a function that differs between routines/ (now) and what the migrations make (before).
type change struct {
	name        string
	before, now routine
}

func (c change) isNew() bool  { return c.before.create == "" }
func (c change) isGone() bool { return c.now.create == "" }

// replaces says whether CREATE OR REPLACE can lead from one to the other: not if arguments or result differ.
func (c change) replaces() bool {
	return !c.isNew() && !c.isGone() && signature(c.before.create) == signature(c.now.create)
}

// attribute begins what follows the arguments and the result.
var attribute = regexp.MustCompile(`(?i)^(LANGUAGE|TRANSFORM|WINDOW|IMMUTABLE|STABLE|VOLATILE|NOT|LEAKPROOF|CALLED|STRICT|EXTERNAL|SECURITY|PARALLEL|COST|ROWS|SUPPORT|SET|AS|BEGIN|RETURN)$`)

// signature is the text from the name to the end of the result, with single spaces.
func signature(create string) string {
	depth := 0
	end := len(create)
	head := createFunction.FindStringIndex(create)
	at := head[1] - 1 // the parenthesis
	for i := at; i < len(create); {
		n := 1
		switch c := create[i]; {
		case c == '\'' || c == '"':
			if n = quoted(create[i:], c, false); n < 0 {
				n = 1
			}
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0 && word.MatchString(create[i:]):
			w := word.FindString(create[i:])
			n = len(w)
			// RETURNS NULL ON NULL INPUT is an attribute, RETURNS SETOF … is not
			if attribute.MatchString(w) || strings.EqualFold(w, "RETURNS") && returnsNull.MatchString(create[i:]) {
				end = i
			}
		}
		if end < len(create) {
			break
		}
		i += n
	}
	return strings.Join(strings.Fields(create[at:end]), " ")
}

var returnsNull = regexp.MustCompile(`(?is)^RETURNS\s+NULL\s+ON\b`)

// changedRoutines compares routines/ with the files of migrations/, for the names given or for all. They come in an order in which each can
// be created: callees first.
func (t tree) changedRoutines(files []migration, names []string) ([]change, error) {
	before, err := t.migrated(files)
	if err != nil {
		return nil, err
	}
	now, err := t.readRoutines()
	if err != nil {
		return nil, err
	}
	all := map[string]change{}
	for name, r := range now {
		all[name] = change{name: name, before: before[name], now: r}
	}
	for name, r := range before {
		if _, ok := now[name]; !ok {
			all[name] = change{name: name, before: r}
		}
	}
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(all))
	}
	changed := map[string]change{}
	for _, name := range names {
		c, ok := all[name]
		if !ok {
			return nil, fmt.Errorf("there is no function %s, neither in routines/ nor in the migrations", name)
		}
		if c.before != c.now {
			changed[name] = c
		}
	}
	var ordered []change
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		c, ok := changed[name]
		if !ok || seen[name] {
			return
		}
		seen[name] = true
		for _, callee := range slices.Sorted(maps.Keys(changed)) {
			if callee != name && regexp.MustCompile(`\b`+callee+`\s*\(`).MatchString(c.now.create) {
				visit(callee)
			}
		}
		ordered = append(ordered, c)
	}
	for _, gone := range []bool{false, true} { // what is gone is no longer called once the others are replaced
		for _, name := range slices.Sorted(maps.Keys(changed)) {
			if changed[name].isGone() == gone {
				visit(name)
			}
		}
	}
	return ordered, nil
}

// writeRoutines writes the next migration. Its Up carries the functions as they are in routines/, its Down as the migrations before
// leave them.
func (t tree) writeRoutines(names []string, out io.Writer) error {
	files, number, err := t.readNumbered(true)
	if err != nil {
		return err
	}
	changes, err := t.changedRoutines(files, names)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		if len(names) > 0 {
			return fmt.Errorf("the migrations make %s as routines/ has it", strings.Join(names, ", "))
		}
		fmt.Fprintln(out, "the migrations make every function as routines/ has it")
		return nil
	}
	what := "routines"
	if len(changes) == 1 {
		what = "routine_" + changes[0].name
	}
	path := filepath.Join(t.migrations, fmt.Sprintf("%05d_%s.sql", number, what))
	if err := os.WriteFile(path, []byte(renderMigration(changes)), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(out, "wrote", path)
	for _, c := range changes {
		if !c.isNew() && !c.replaces() {
			fmt.Fprintf(out, "note: %s is dropped, with its privileges: the previous release must not call it as it was, and what depends on it "+
				"(a trigger, a view, a BEGIN ATOMIC function) has to be dropped first and made again\n", c.name)
		}
	}
	return nil
}

func renderMigration(changes []change) string {
	var up, down []string
	for _, c := range changes {
		up = append(up, c.statements()...)
	}
	for _, c := range slices.Backward(changes) {
		down = append(down, change{name: c.name, before: c.now, now: c.before}.statements()...)
	}
	var b strings.Builder
	section := func(name string, parts []string) {
		fmt.Fprintf(&b, "-- +goose %s\n", name)
		for _, s := range parts {
			fmt.Fprintf(&b, "\n-- +goose StatementBegin\n%s\n-- +goose StatementEnd\n", s)
		}
	}
	section("Up", up)
	b.WriteString("\n")
	section("Down", down)
	return b.String()
}

var commentSignature = regexp.MustCompile(`(?i)^COMMENT ON FUNCTION ([a-z_0-9]+\([^()]*\)) IS `)

// signature is the function's name, with the types of its arguments if the comment has them. sqlc may know a name twice: it sees no function
// that a DO block has dropped.
func (r routine) signature(name string) string {
	if match := commentSignature.FindStringSubmatch(r.comment); match != nil {
		return match[1]
	}
	return name
}

// statements lead from before to now.
func (c change) statements() []string {
	var parts []string
	hadComment := c.before.comment != ""
	if !c.isNew() && !c.replaces() {
		parts = append(parts, "DROP FUNCTION "+c.before.signature(c.name)+";")
		hadComment = false
	}
	switch {
	case c.isGone():
		return parts
	case !c.replaces():
		// not OR REPLACE: another function of that name is none of ours
		parts = append(parts, createHead.ReplaceAllLiteralString(c.now.create, "CREATE FUNCTION"))
	case c.before.create != c.now.create:
		parts = append(parts, c.now.create)
	}
	switch {
	case c.now.comment == "" && hadComment:
		parts = append(parts, "COMMENT ON FUNCTION "+c.name+" IS NULL;")
	case c.now.comment != "" && (!hadComment || c.now.comment != c.before.comment):
		parts = append(parts, c.now.comment)
	}
	return parts
}

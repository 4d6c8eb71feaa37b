package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/operators/*.want")

// TestOperators holds the mutants of each statement of testdata/operators to a list: what was removed, and the text that is left.
func TestOperators(t *testing.T) {
	files, err := filepath.Glob("testdata/operators/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no statements (%v)", err)
	}
	made := map[operator]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sql")
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			u := unit{name: name, file: file, sql: strings.TrimSpace(string(content))}
			if strings.HasPrefix(u.sql, "CREATE") {
				routines, err := readRoutines(file, u.sql)
				if err != nil || len(routines) != 1 {
					t.Fatalf("%d routines: %v", len(routines), err)
				}
				u = routines[0]
			}
			changes, err := changesOf(u, false, isID)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, c := range changes {
				made[c.operator] = true
				b.WriteString(string(c.operator) + ": " + c.removed + "\n" + difference(u.sql, c.text) + "\n")
			}
			want := strings.TrimSuffix(file, ".sql") + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			wanted, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(wanted) {
				t.Errorf("mutants of %s differ from %s:\n%s", file, want, b.String())
			}
		})
	}
	for _, op := range operators {
		if !made[op] {
			t.Errorf("no statement has a mutant by %s", op)
		}
	}
}

// difference is the part of two texts in which they differ, with whole words and some of what is around.
func difference(before, after string) string {
	i := 0
	for i < len(before) && i < len(after) && before[i] == after[i] {
		i++
	}
	j := 0
	for j < len(before)-i && j < len(after)-i && before[len(before)-1-j] == after[len(after)-1-j] {
		j++
	}
	from := max(0, strings.LastIndexAny(after[:max(0, i-12)], " \n"))
	to := len(after) - j
	if n := strings.IndexAny(after[min(len(after), to+12):], " \n"); n >= 0 {
		to += 12 + n
	} else {
		to = len(after)
	}
	return "    …" + strings.Join(strings.Fields(after[from:to]), " ") + "…"
}

// TestNotUnderstood shows that a clause that the operators overlook is an error, and no mutant that is silently missing.
func TestNotUnderstood(t *testing.T) {
	u := unit{name: "q", sql: "SELECT a AND b FROM t"}
	if _, err := changesOf(u, false, isID); err != nil {
		t.Fatal(err)
	}
	want, err := countTree(u)
	if err != nil {
		t.Fatal(err)
	}
	if want.and != 1 {
		t.Errorf("the tree has %d AND, not 1", want.and)
	}
	tokens, err := scan(u.sql, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Without the last three tokens, as if the operators did not reach them.
	_, found, err := mutants(u.sql, tokens[:2], false, isID)
	if err != nil {
		t.Fatal(err)
	}
	if found == want {
		t.Error("the comparison with the tree misses an AND")
	}
}

// isID is the columns that are NOT NULL in testdata/operators.
func isID(table, column string) bool { return table == "owner" && column == "id" }

// The parameters are called by what the code passes, in whatever order the fields of the struct are.
func TestParametersAreNamedAsTheyArePassed(t *testing.T) {
	t.Parallel()
	units, err := readQueries("x.sql.go", []byte("package store\n\nconst pay = `-- name: Pay :one\nSELECT $1, $2, $3\n`\n"+`
type PayParams struct { Amount int; ID string; Tags []string }

func (q *Queries) Pay(ctx context.Context, arg PayParams) (int, error) {
	row := q.db.QueryRow(ctx, pay, arg.ID, pq.Array(arg.Tags), arg.Amount)
	return 0, row.Scan()
}
`))
	if err != nil || len(units) != 1 || !slices.Equal(units[0].parameters, []string{"ID", "Tags", "Amount"}) {
		t.Errorf("%+v, %v", units, err)
	}
}

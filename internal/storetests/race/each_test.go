package race

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/storetest/contract"
)

// raceOf names the tests that race what package contract can't, because its calls don't make the rows.
var raceOf = map[string]string{
	"DeleteExpiredDeviceCodes":    "TestRaceCollectorsShareTheWork", // of a better-auth server
	"DeleteExpiredSecurityEvents": "TestRaceCollectorsShareTheWork", // which are off by default
	"DeleteExpiredVerifications":  "TestRaceCollectorsShareTheWork", // of a better-auth server
	"MarkEndedSessions":           "TestRaceCollectorsShareTheWork", // sessions that an ending did not see
}

// TestRaceContract runs the races of package contract for more rounds, where a deadlock fails the test.
func TestRaceContract(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, contract.Parallel)
	for range roundsOf(50) {
		contract.Races(t, contract.Of(w.Q))
	}
}

// TestRaceOfEachConditionalWrite: each query that writes by what it finds is raced by package contract or is in raceOf, and the test
// that is named there calls the query, be it by way of other functions and tables of this package and of the fixture.
func TestRaceOfEachConditionalWrite(t *testing.T) {
	t.Parallel()
	queries, err := queryfile.ConditionalWrites("../../../queries", "../../../routines")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		if (raceOf[q] == "") != slices.Contains(contract.Raced(), q) {
			t.Errorf("%s writes by what it finds: race it in package contract or, if no call makes what it finds, here, and name the test in raceOf", q)
		}
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	fixture, err := filepath.Glob("../fixture/*.go")
	if err != nil || len(fixture) == 0 {
		t.Fatalf("no fixture: %v", err)
	}
	names := map[string]map[string]bool{} // what a declaration of the tests mentions
	methods := map[string]map[string]bool{}
	for _, file := range append(files, fixture...) {
		f, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		note := func(name string, in ast.Node) {
			if names[name] == nil {
				names[name], methods[name] = map[string]bool{}, map[string]bool{}
			}
			ast.Inspect(in, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.Ident:
					names[name][n.Name] = true
				case *ast.CallExpr:
					if s, ok := n.Fun.(*ast.SelectorExpr); ok {
						methods[name][s.Sel.Name] = true
					}
				case *ast.SelectorExpr:
					if _, ok := n.X.(*ast.ParenExpr); ok { // (*store.Queries).Call, which is called where it is passed to
						methods[name][n.Sel.Name] = true
					}
				}
				return true
			})
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Body != nil {
					note(d.Name.Name, d.Body)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						for i, value := range v.Values {
							note(v.Names[i].Name, value)
						}
					}
				}
			}
		}
	}
	for q, test := range raceOf {
		if !slices.Contains(queries, q) {
			t.Errorf("raceOf has %s, which is no query that writes by what it finds", q)
		}
		if names[test] == nil || !strings.HasPrefix(test, "TestRace") {
			t.Errorf("raceOf has %s raced by %s, which is no race test", q, test)
			continue
		}
		seen, next := map[string]bool{test: true}, []string{test}
		called := false
		for len(next) > 0 && !called {
			name := next[0]
			next = next[1:]
			called = methods[name][q]
			for mentioned := range names[name] {
				if !seen[mentioned] && names[mentioned] != nil {
					seen[mentioned] = true
					next = append(next, mentioned)
				}
			}
		}
		if !called {
			t.Errorf("raceOf has %s raced by %s, which does not call it", q, test)
		}
	}
}

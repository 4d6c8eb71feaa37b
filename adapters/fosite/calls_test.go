package fositedb_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// documented reads the tables under a heading of doc.go: what stands first in a line, and the calls after it.
func documented(t *testing.T, heading string) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(file.Doc.Text(), "# "+heading+"\n")
	if !found {
		t.Fatalf("doc.go has no heading %q", heading)
	}
	section, _, _ := strings.Cut(rest, "\n# ")
	table := map[string][]string{}
	for line := range strings.Lines(section) {
		entry, isTable := strings.CutPrefix(line, "\t")
		if !isTable {
			continue
		}
		name, calls, found := strings.Cut(strings.TrimSpace(entry), "  ")
		if !found {
			t.Fatalf("doc.go: %q", line)
		}
		table[name] = strings.Split(strings.TrimSpace(calls), ", ")
	}
	return table
}

// reached returns what each method of Store calls: methods of its own, and those of store.Queries.
func reached(t *testing.T) (own, queries map[string][]string) {
	t.Helper()
	own, queries = map[string][]string{}, map[string][]string{}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			pointer, ok := f.Recv.List[0].Type.(*ast.StarExpr)
			if !ok || pointer.X.(*ast.Ident).Name != "Store" {
				continue
			}
			own[f.Name.Name] = nil
			ast.Inspect(f.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				switch to, _ := call.Fun.(*ast.SelectorExpr); x := selected(to).(type) {
				case *ast.Ident:
					if x.Name == "s" {
						own[f.Name.Name] = append(own[f.Name.Name], to.Sel.Name)
					}
				case *ast.SelectorExpr:
					if x.Sel.Name == "queries" {
						queries[f.Name.Name] = append(queries[f.Name.Name], to.Sel.Name)
					}
				}
				return true
			})
		}
	}
	return own, queries
}

func selected(s *ast.SelectorExpr) ast.Expr {
	if s == nil {
		return nil
	}
	return s.X
}

func TestMethodsMakeTheCallsThatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	own, queries := reached(t)
	var all func(method string, seen map[string]bool) []string
	all = func(method string, seen map[string]bool) []string {
		if seen[method] {
			return nil
		}
		seen[method] = true
		calls := slices.Clone(queries[method])
		for _, m := range own[method] {
			calls = append(calls, all(m, seen)...)
		}
		return calls
	}
	table := documented(t, "Which method makes which call")
	for method := range table {
		if _, found := own[method]; !found {
			t.Errorf("doc.go: there is no method %s", method)
		}
	}
	made := 0
	for method := range own {
		if !ast.IsExported(method) {
			continue
		}
		calls := slices.Compact(slices.Sorted(slices.Values(all(method, map[string]bool{}))))
		made += len(calls)
		wantEqual(t, method, calls, slices.Sorted(slices.Values(table[method])))
	}
	if made == 0 {
		t.Error("no call was found")
	}
}

func TestRequestsCostWhatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c, resource := s.register(), s.register()
	s.trust("https://idp.example", "subject")
	tokens, pushed, replayed, refreshed := c.login(), c.post("/par", c.request()), c.code(), c.login()
	c.redeem(replayed)
	c.refresh(c.refresh(refreshed.str("refresh_token")).str("refresh_token"))
	own := map[string]func(){
		"push":                     func() { c.post("/par", c.request()) },
		"authorize":                func() { c.code() },
		"refused authorize":        func() { s.authorize(c.request(func(f url.Values) { f.Set("max_age", "x") })) },
		"replayed code":            func() { c.redeem(replayed) },
		"refresh_token":            func() { c.refresh(tokens.str("refresh_token")) },
		"introspection of its own": func() { c.introspect(tokens.str("access_token")) },
		"introspection":            func() { resource.introspect(tokens.str("access_token")) },
		"revocation":               func() { c.post("/revoke", url.Values{"token": {c.login().str("refresh_token")}}) },
		"jwt-bearer":               func() { c.grant("https://idp.example", "subject", "jti") },
		"client_credentials": func() {
			c.post("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"calendar"}})
		},
		"authorize what was pushed": func() {
			s.authorize(url.Values{"client_id": {c.id}, "request_uri": {pushed.str("request_uri")}})
		},
		"authorization_code":     func() { c.login() },
		"replayed refresh token": func() { c.refresh(refreshed.str("refresh_token")) },
	}
	table := documented(t, "What a request costs")
	wantEqual(t, "documented requests", slices.Sorted(maps.Keys(table)), slices.Sorted(maps.Keys(own)))
	for name, send := range own {
		if name == "replayed refresh token" { // what a retry costs too is asked for the rest of an answer
			continue
		}
		w.calls.take()
		send()
		made := w.calls.take()
		// what a request of this kind needs before it
		before := map[string]int{"authorization_code": 2, "revocation": 6}[name]
		wantEqual(t, name, made[min(before, len(made)):], table[name])
	}
	strict := c
	strict.server = w.serve(func(h *how) { h.opts.SuccessorKeys = nil })
	spent := strict.login()
	strict.refresh(spent.str("refresh_token"))
	w.calls.take()
	strict.refresh(spent.str("refresh_token"))
	wantEqual(t, "replayed refresh token", w.calls.take(), table["replayed refresh token"])
}

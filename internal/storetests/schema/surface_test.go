package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// readQueries reads the source of the calls.
func readQueries(t *testing.T) []queryfile.Query {
	t.Helper()
	queries, err := queryfile.ReadDir("../../../queries")
	if err != nil {
		t.Fatal(err)
	}
	return queries
}

func TestEveryQueryIsACallAndEveryCallAQuery(t *testing.T) {
	t.Parallel()
	var queries, calls []string
	for _, q := range readQueries(t) {
		queries = append(queries, q.Name)
	}
	for _, c := range fixture.AnyCalls(nil) {
		calls = append(calls, c.Name)
	}
	slices.Sort(queries)
	if !slices.Equal(queries, calls) {
		t.Errorf("the queries are %v, the calls %v", queries, calls)
	}
}

func TestEveryCallIsMadeByATest(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if n, ok := n.(*ast.SelectorExpr); ok {
				made[n.Sel.Name] = true
			}
			return true
		})
	}
	for _, c := range fixture.AnyCalls(nil) {
		if !made[c.Name] {
			t.Errorf("no test calls %s", c.Name)
		}
	}
}

// queryVerbs are what the name of a call begins with.
var queryVerbs = strings.Fields(`Create Get Find List Update Set Delete Approve Deny Issue Grant Take Check Redeem Rotate
	Introspect Revoke Withdraw End Extend Authenticate Reauthenticate Disable Enable Suspend Reinstate Retire Remember Mark Sweep Erase
	Poll Count Export Import Reset Use Replace Claim Finish Exchange Register Put Refresh`)

func TestEveryQueryIsNamedByWhatItDoes(t *testing.T) {
	t.Parallel()
	firstWord := regexp.MustCompile(`^[A-Z][a-z]+`)
	for _, q := range readQueries(t) {
		if !slices.Contains(queryVerbs, firstWord.FindString(q.Name)) {
			t.Errorf("%s: %s begins with no verb of ours", q.File, q.Name)
		}
		if table := strings.TrimSuffix(q.File, ".sql"); !slices.Contains(fixture.Tables, table) {
			t.Errorf("%s is not named as a table", q.File)
		}
		// The verb says what it comes to: of one row or none, and of many.
		list := strings.HasPrefix(q.Name, "List") || q.Name == "FindStaleClients" // of which there may well be none
		single := !list && (strings.HasPrefix(q.Name, "Get") || strings.HasPrefix(q.Name, "Find") || strings.HasPrefix(q.Name, "Create"))
		if list && q.Cmd != "many" || single && q.Cmd != "one" {
			t.Errorf("%s is %s", q.Name, q.Cmd)
		}
	}
}

func TestEveryQueryStatesItsContract(t *testing.T) {
	t.Parallel()
	for _, q := range readQueries(t) {
		contract := strings.Join(q.Contract, " ")
		said, _, _ := strings.Cut(contract, " - ")
		if !strings.HasPrefix(said, q.Name+" ") || !strings.HasSuffix(strings.TrimSpace(said), ".") {
			t.Errorf("%s: the comment of %s is no sentence about it: %q", q.File, q.Name, contract)
		}
		// What one row or none means has to be said; a decision and a walk always answer a row.
		always := strings.Contains(q.SQL, "AS outcome") || strings.Contains(q.SQL, "AS one (n)") || strings.Contains(contract, "until all") || strings.Contains(contract, "until both")
		if q.Cmd == "one" && !always && !strings.HasPrefix(q.Name, "Create") && !strings.Contains(strings.ToLower(contract), "zero rows") {
			t.Errorf("%s: the comment of %s doesn't say what zero rows mean", q.File, q.Name)
		}
	}
}

// outcomeItem is a line of a contract that lists an outcome.
var outcomeItem = regexp.MustCompile(`^\s*- (\w+): `)

// A decision lists its outcomes, one a line.
func TestEveryDecisionListsItsOutcomes(t *testing.T) {
	t.Parallel()
	literal := regexp.MustCompile(`(?:THEN|ELSE|,) '(\w+)'(?:\)|\s)`)
	decisions := 0
	for _, q := range readQueries(t) {
		if !strings.Contains(q.SQL, "::outcome AS outcome") {
			continue
		}
		decisions++
		var listed []string
		for _, line := range q.Contract {
			if m := outcomeItem.FindStringSubmatch(line); m != nil {
				listed = append(listed, m[1])
			}
		}
		for _, word := range listed {
			if !store.Outcome(word).Valid() {
				t.Errorf("%s: %s lists %s, which is no outcome", q.File, q.Name, word)
			}
		}
		if len(listed) == 0 && !strings.Contains(strings.Join(q.Contract, " "), q.Name+" is ") {
			t.Errorf("%s: %s lists no outcome", q.File, q.Name)
		}
		for _, m := range literal.FindAllStringSubmatch(sqlComment.ReplaceAllString(q.SQL, ""), -1) {
			if len(listed) > 0 && store.Outcome(m[1]).Valid() && !slices.Contains(listed, m[1]) {
				t.Errorf("%s: %s answers %s, which it doesn't list", q.File, q.Name, m[1])
			}
		}
	}
	if decisions < 30 {
		t.Errorf("only %d decisions were found", decisions)
	}
}

// The package's documentation says once what each word means, and each word is in the contract of some call.
func TestEveryOutcomeIsExplainedAndAnswered(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../../store/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "// # Outcomes\n")
	table, _, found := strings.Cut(table, "// # ")
	if !found {
		t.Fatal("store/doc.go has no section about outcomes")
	}
	explained := map[string]int{}
	for line := range strings.Lines(table) {
		if line, ok := strings.CutPrefix(line, "//\t"); ok {
			words, _, _ := strings.Cut(line, "  ") // two spaces end the column
			for word := range strings.SplitSeq(words, ",") {
				if word = strings.TrimSpace(word); word != "" {
					explained[word]++
				}
			}
		}
	}
	answered := map[string]bool{}
	for _, q := range readQueries(t) {
		for _, line := range q.Contract {
			if m := outcomeItem.FindStringSubmatch(line); m != nil {
				answered[m[1]] = true
			}
		}
	}
	for _, o := range store.AllOutcomeValues() {
		if explained[string(o)] != 1 {
			t.Errorf("store/doc.go explains %s %d times", o, explained[string(o)])
		}
		delete(explained, string(o))
		if !answered[string(o)] {
			t.Errorf("no call answers %s", o)
		}
	}
	for word := range explained {
		t.Errorf("store/doc.go explains %s, which is no outcome", word)
	}
}

func TestQueriesTakeNamedParametersAndNoShortcuts(t *testing.T) {
	t.Parallel()
	for what, pattern := range map[string]*regexp.Regexp{
		"a numbered parameter":       regexp.MustCompile(`\$\d`),
		"MERGE":                      regexp.MustCompile(`(?i)\bMERGE\s+INTO\b`),
		"SELECT *":                   regexp.MustCompile(`(?i)\bSELECT\s+\*`),
		"a parameter without a cast": regexp.MustCompile(`(@\w+|sqlc\.narg\('\w+'\))([^:\w]|$)`),
		"a keyword in lower case":    regexp.MustCompile(`\b(select|from|where|update|insert|delete|join|returning|order by|limit)\b\s`),
	} {
		for _, q := range readQueries(t) {
			if found := pattern.FindString(sqlComment.ReplaceAllString(q.SQL, "")); found != "" {
				t.Errorf("%s: %s has %s: %q", q.File, q.Name, what, found)
			}
		}
	}
}

var sqlComment = regexp.MustCompile(`--.*`)

// assignments are what follows SET in each UPDATE of a text, and in each upsert.
func assignments(sql string) []string {
	sql = strings.ReplaceAll(sqlComment.ReplaceAllString(sql, ""), "DISTINCT FROM", "DISTINCT_FROM")
	var found []string
	clause := regexp.MustCompile(`\b(FROM|WHERE|RETURNING)\b`)
	for _, at := range regexp.MustCompile(`\bSET\b`).FindAllStringIndex(sql, -1) {
		rest, depth, end := sql[at[1]:], 0, 0
		ends := map[int]bool{len(rest): true}
		for _, at := range clause.FindAllStringIndex(rest, -1) {
			ends[at[0]] = true
		}
		for ; !ends[end] || depth > 0 && end < len(rest); end++ {
			if rest[end] == '(' {
				depth++
			} else if rest[end] == ')' {
				depth--
			}
			if depth < 0 || rest[end] == ';' {
				break
			}
		}
		found = append(found, rest[:end])
	}
	return found
}

func TestEveryUpdateSetsUpdatedAt(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for _, q := range readQueries(t) {
		texts[q.Name] = q.SQL
	}
	files, err := filepath.Glob("../../../migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files { // functions update too
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, body := range strings.Split(string(text), "$$") {
			if i%2 == 1 {
				texts[fmt.Sprint(file, " function ", i/2+1)] = body
			}
		}
	}
	updates := 0
	for name, sql := range texts {
		for _, set := range assignments(sql) {
			updates++
			if !strings.Contains(set, "updated_at = now()") {
				t.Errorf("%s: an UPDATE leaves updated_at: SET%s", name, set)
			}
		}
	}
	if updates < 20 {
		t.Errorf("only %d updates were found", updates)
	}
	for sql, want := range map[string][]string{
		"UPDATE a SET x = (SELECT 1 FROM b WHERE c), y = 2 WHERE true":       {" x = (SELECT 1 FROM b WHERE c), y = 2 "},
		"WITH u AS (UPDATE a AS b SET x = f(1)) SELECT 1":                    {" x = f(1)"},
		"INSERT INTO a VALUES (1) ON CONFLICT DO UPDATE SET x = 1 RETURNING": {" x = 1 "},
		"SELECT 1 FOR NO KEY UPDATE":                                         nil,
		"UPDATE a SET x = 1 -- WHERE\n, y = 2;":                              {" x = 1 \n, y = 2"},
	} {
		if got := assignments(sql); !slices.Equal(got, want) {
			t.Errorf("in %q found %q, want %q", sql, got, want)
		}
	}
}

// Whoever calls the store gets types that say what is in them.
func TestNoCallTakesOrReturnsAnInterface(t *testing.T) {
	t.Parallel()
	known := []string{"", "time", "encoding/json", "github.com/oauthdb/oauthdb/store", "github.com/oauthdb/oauthdb/token"}
	var look func(path string, typ reflect.Type)
	look = func(path string, typ reflect.Type) {
		if !slices.Contains(known, typ.PkgPath()) {
			t.Errorf("%s is a %s", path, typ)
			return
		}
		switch typ.Kind() {
		case reflect.Interface, reflect.Map, reflect.Func, reflect.Chan, reflect.UnsafePointer:
			t.Errorf("%s is a %s", path, typ)
		case reflect.Pointer, reflect.Slice, reflect.Array:
			look(path, typ.Elem())
		case reflect.Struct:
			if typ.PkgPath() == "time" {
				return
			}
			for i := range typ.NumField() {
				look(path+"."+typ.Field(i).Name, typ.Field(i).Type)
			}
		}
	}
	querier := reflect.TypeFor[store.Querier]()
	for i := range querier.NumMethod() {
		m := querier.Method(i)
		if m.Type.In(0).String() != "context.Context" || m.Type.NumIn() > 2 || m.Type.NumOut() != 2 || m.Type.Out(1) != reflect.TypeFor[error]() {
			t.Errorf("%s is a %s", m.Name, m.Type)
		}
		for i := 1; i < m.Type.NumIn(); i++ {
			look(m.Name+" takes "+m.Type.In(i).Name(), m.Type.In(i))
		}
		look(m.Name+" returns "+m.Type.Out(0).Name(), m.Type.Out(0))
	}
}

func TestNoExportedFieldIsAnInterface(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../store/*.go")
	if err != nil {
		t.Fatal(err)
	}
	structs := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			decl, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range decl.Specs {
				spec, ok := spec.(*ast.TypeSpec)
				if !ok || !spec.Name.IsExported() {
					continue
				}
				body, ok := spec.Type.(*ast.StructType)
				if !ok {
					continue
				}
				structs++
				for _, field := range body.Fields.List {
					if len(field.Names) > 0 && !field.Names[0].IsExported() {
						continue
					}
					ast.Inspect(field.Type, func(n ast.Node) bool {
						switch n := n.(type) {
						case *ast.InterfaceType, *ast.MapType, *ast.FuncType, *ast.ChanType:
							t.Errorf("%s: %s has a field that is a %T", name, spec.Name, n)
						case *ast.Ident:
							if slices.Contains([]string{"any", "error", "DBTX", "Querier", "pgtype", "sql"}, n.Name) {
								t.Errorf("%s: %s has a field of type %s", name, spec.Name, n.Name)
							}
						}
						return true
					})
				}
			}
		}
	}
	if structs < 50 {
		t.Errorf("only %d structs were found", structs)
	}
}

// newIDs are the makers of identifiers, by prefix.
var newIDs = map[string]func() string{
	"usr_": func() string { return string(store.NewUserID()) },
	"ses_": func() string { return string(store.NewSessionID()) },
	"acc_": func() string { return string(store.NewAccountID()) },
	"ocl_": func() string { return string(store.NewOAuthClientID()) },
	"cli_": func() string { return string(store.NewClientID()) },
	"azn_": func() string { return string(store.NewAuthorizationID()) },
	"atk_": func() string { return string(store.NewAccessTokenID()) },
	"rtk_": func() string { return string(store.NewRefreshTokenID()) },
	"cns_": func() string { return string(store.NewConsentID()) },
	"key_": func() string { return string(store.NewSigningKeyID()) },
}

// uuidV7 is a UUIDv7 (RFC 9562, section 5.7) in hexadecimal digits alone.
var uuidV7 = regexp.MustCompile(`^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$`)

// madeAt is the instant in a new identifier, to the millisecond.
func madeAt(t *testing.T, id, prefix string) time.Time {
	t.Helper()
	digits, ok := strings.CutPrefix(id, prefix)
	if !ok || !uuidV7.MatchString(digits) {
		t.Fatalf("%q is not %s and a UUIDv7", id, prefix)
	}
	ms, err := strconv.ParseInt(digits[:12], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMilli(ms)
}

func TestNewIDsAreUniqueTimeOrderedAndSayWhatTheyName(t *testing.T) {
	t.Parallel()
	for prefix, newID := range newIDs {
		before := time.Now().Truncate(time.Millisecond)
		ids := make([]string, 5000)
		for i := range ids {
			ids[i] = newID()
			if at := madeAt(t, ids[i], prefix); at.Before(before) || at.After(time.Now().Add(time.Second)) {
				t.Fatalf("%s was made at %v, it says at %v", ids[i], time.Now(), at)
			}
		}
		if !slices.IsSorted(ids) {
			t.Errorf("%s: identifiers are not in the order in which they were made", prefix)
		}
		if n := len(slices.Compact(slices.Sorted(slices.Values(ids)))); n != len(ids) {
			t.Errorf("%s: of %d identifiers %d differ", prefix, len(ids), n)
		}
	}
}

func TestNewIDsMadeAtOnceAreUnique(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	made := make([][]string, 8)
	for i := range made {
		wg.Go(func() {
			for range 2000 {
				made[i] = append(made[i], string(store.NewAuthorizationID()))
			}
		})
	}
	wg.Wait()
	all := slices.Concat(made...)
	if n := len(slices.Compact(slices.Sorted(slices.Values(all)))); n != len(all) {
		t.Errorf("of %d identifiers %d differ", len(all), n)
	}
}

// Families that a statement begins by itself are named like those that a server begins.
func TestAuthorizationIDsMadeInSQLHaveTheSameForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var last string
	ids := map[string]bool{}
	for range 20 {
		batch := fixture.CatalogLines(t, w.Pool, `SELECT new_authorization_id() FROM generate_series(1, 100)`)
		for _, id := range batch {
			at := madeAt(t, id, "azn_")
			ids[id] = true
			if time.Since(at).Abs() > time.Minute {
				t.Errorf("%s was made just now, it says at %v", id, at)
			}
			if last != "" && id[:len("azn_")+12] < last[:len("azn_")+12] {
				t.Errorf("%s comes after %s", id, last)
			}
			last = id
		}
		w.Exec(`SELECT pg_sleep(0.002)`)
		var next string
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT new_authorization_id()`).Scan(&next))
		if next <= last {
			t.Errorf("%s was made two milliseconds after %s, and sorts before it", next, last)
		}
	}
	if len(ids) != 2000 {
		t.Errorf("of 2000 identifiers %d differ", len(ids))
	}
}

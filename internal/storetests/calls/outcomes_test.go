package calls

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
)

// reached keeps which outcomes the calls of all tests came to, by the name of the call.
var reached = struct {
	sync.Mutex
	calls    map[string]bool
	outcomes map[string]map[store.Outcome]bool
}{calls: map[string]bool{}, outcomes: map[string]map[store.Outcome]bool{}}

// recorder is what a store works on. It makes each call under the role that makes it in production, and notes in reached what its calls come to, and what of it is an event in the world's diary.
type recorder struct {
	store.DBTX
	*diary
}

func recorded(on store.DBTX, in *diary) *store.Queries {
	return store.New(recorder{fixture.One(on), in})
}

type recordedRow struct {
	pgx.Row
	call string
	*diary
}

func called(sql string) string {
	name, _, _ := queryfile.Header(sql)
	reached.Lock()
	defer reached.Unlock()
	reached.calls[name] = true
	return name
}

// underRole is a context for a call by the role that makes it.
func underRole(ctx context.Context, call string) context.Context {
	return fixture.As(ctx, fixture.RoleOf(call))
}

func (r recorder) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	call := called(sql)
	return recordedRow{r.DBTX.QueryRow(underRole(ctx, call), sql, args...), call, r.diary}
}

func (r recorder) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.DBTX.Query(underRole(ctx, called(sql)), sql, args...)
}

func (r recorder) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return r.DBTX.Exec(underRole(ctx, called(sql)), sql, args...)
}

// Scan notes the outcome, which is the first column of every answer that has one.
func (r recordedRow) Scan(dest ...any) error {
	err := r.Row.Scan(dest...)
	if o, found := dest[0].(*store.Outcome); found && err == nil {
		reached.Lock()
		defer reached.Unlock()
		if reached.outcomes[r.call] == nil {
			reached.outcomes[r.call] = map[store.Outcome]bool{}
		}
		reached.outcomes[r.call][*o] = true
		r.note(r.call, *o)
	}
	return err
}

// contractLine is how a contract lists an outcome: "- expired: the request has lapsed".
var contractLine = regexp.MustCompile(`^ *- ([a-z_]+)(?:$|[ :(])`)

// sameAs is how a contract refers to another one's: "IntrospectAccessTokenByID is IntrospectAccessToken for a JWT".
var sameAs = regexp.MustCompile(`^\w+ is (\w+)`)

// promised are the outcomes that the contracts of queries/ list, or that they refer to, by the name of the call.
func promised() (map[string][]store.Outcome, error) {
	queries, err := queryfile.ReadDir("../../../queries")
	if err != nil {
		return nil, err
	}
	all := map[string][]store.Outcome{}
	for _, q := range queries {
		all[q.Name] = nil
		for _, line := range q.Contract {
			if m := contractLine.FindStringSubmatch(line); m != nil {
				all[q.Name] = append(all[q.Name], store.Outcome(m[1]))
			}
		}
	}
	for _, q := range queries {
		if m := sameAs.FindStringSubmatch(strings.Join(q.Contract, " ")); m != nil && all[q.Name] == nil {
			all[q.Name] = all[m[1]]
		}
	}
	return all, nil
}

// A word of a contract is one of the type, and comes once; a call answers an outcome if, and only if, its contract lists them.
func TestContractsListOutcomes(t *testing.T) {
	t.Parallel()
	all, err := promised()
	if err != nil {
		t.Fatal(err)
	}
	queries, err := queryfile.ReadDir("../../../queries")
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for _, q := range queries {
		outcomes := all[q.Name]
		listed += len(outcomes)
		for i, o := range outcomes {
			if !o.Valid() || slices.Contains(outcomes[:i], o) {
				t.Errorf("%s:%d: %s lists %q, which is no outcome or comes twice", q.File, q.Line, q.Name, o)
			}
		}
		if answers := strings.Contains(q.SQL, "::outcome AS outcome"); answers != (len(outcomes) > 0) {
			t.Errorf("%s:%d: %s answers an outcome: %t; its contract lists %v", q.File, q.Line, q.Name, answers, outcomes)
		}
	}
	if listed < 140 {
		t.Errorf("the contracts list only %d outcomes", listed)
	}
}

// neverReached is what the tests of the package, all run, have left out: calls that none has made, outcomes that none has come to,
// and those that a call came to and its contract doesn't list.
func neverReached() ([]string, error) {
	all, err := promised()
	if err != nil {
		return nil, err
	}
	reached.Lock()
	defer reached.Unlock()
	var missing []string
	for _, call := range slices.Sorted(maps.Keys(all)) {
		if !reached.calls[call] {
			missing = append(missing, "no test calls "+call)
		}
		for _, o := range all[call] {
			if !reached.outcomes[call][o] {
				missing = append(missing, fmt.Sprintf("no test of %s comes to %s", call, o))
			}
		}
		for o := range reached.outcomes[call] {
			if !slices.Contains(all[call], o) {
				missing = append(missing, fmt.Sprintf("%s came to %s, which its contract does not list", call, o))
			}
		}
	}
	return missing, nil
}

// No test of the package may leave a goroutine behind: of a call that was given up, say. And when all tests have run, every outcome of
// every call has been reached.
func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(testdb.Reuse(m), goleak.Cleanup(func(code int) {
		if code == 0 && ranAll() {
			missing, err := neverReached()
			if err != nil {
				missing = append(missing, err.Error())
			}
			if len(missing) > 0 {
				fmt.Println("FAIL\n" + strings.Join(missing, "\n"))
				code = 1
			}
		}
		os.Exit(code)
	}))
}

// ranAll says whether no flag has chosen some of the tests.
func ranAll() bool {
	for _, name := range []string{"run", "skip", "list"} {
		if f := flag.Lookup("test." + name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}

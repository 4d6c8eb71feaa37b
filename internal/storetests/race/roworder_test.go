package race

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// orderedRows is a query or routine that locks several rows of one table, and waits for them.
type orderedRows struct {
	in       string // the query or routine
	order    string // its ORDER BY
	table    string
	key      string // the column by which the test names the rows
	physical string // inserts a row; $1 is the user, $2 the client, $3 the key, from 'e' to 'a'
	call     func(ctx context.Context, c conn, s *scene) error
}

var rowOrders = []orderedRows{
	{
		in: "delete_account", order: "c.id", table: "account", key: "id",
		physical: `INSERT INTO account (id, provider_id, account_id, user_id) VALUES ($3, $3, $2, $1)`,
		call: func(ctx context.Context, c conn, s *scene) error {
			_, err := store.New(c).DeleteAccount(ctx, store.DeleteAccountParams{ID: "e", UserID: s.user})
			return err
		},
	}, {
		in: "disable_owned_clients", order: "o.client_id", table: "oauth_client", key: "client_id",
		physical: `INSERT INTO oauth_client (id, client_id, redirect_uris, user_id, name) VALUES ($3, $3, '{https://a.example/}', $1, $2)`,
		call: func(ctx context.Context, c conn, s *scene) error {
			_, err := store.New(c).DeleteUser(ctx, s.user)
			return err
		},
	}, {
		in: "RetireReplacedSigningKeys", order: "k.created_at, k.id", table: "jwks", key: "id",
		physical: `INSERT INTO jwks (id, public_key, private_key, alg, created_at) SELECT $3, $1, $2, 'ES256', now() - (105 - ascii($3)) * interval '1 day'`,
		call: func(ctx context.Context, c conn, s *scene) error {
			_, err := store.New(c).RetireReplacedSigningKeys(ctx, store.RetireReplacedSigningKeysParams{Alg: "ES256", Lifetime: time.Hour})
			return err
		},
	}, {
		in: "make_room_for_session", order: "l.id", table: "session", key: "id",
		// younger ones first, so that the ids decide, and not the age
		physical: `INSERT INTO session (id, user_id, token, user_agent, expires_at, created_at)
			SELECT $3, $1, rpad($3, 43, 'A'), $2, now() + interval '1 hour', now() - (105 - ascii($3)) * interval '1 minute'`,
		call: func(ctx context.Context, c conn, s *scene) error {
			_, err := s.signIn(ctx, c, 1)
			return err
		},
	},
}

// TestEachCallThatLocksSeveralRowsIsListed holds rowOrders to the SQL: each ORDER BY before a lock that waits is in it.
func TestEachCallThatLocksSeveralRowsIsListed(t *testing.T) {
	t.Parallel()
	sources := map[string]string{}
	queries, err := queryfile.ReadDir("../../../queries")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		sources[q.Name] = q.SQL
	}
	routines, err := filepath.Glob("../../../routines/*.sql")
	if err != nil || len(routines) == 0 {
		t.Fatalf("no routines: %v", err)
	}
	for _, file := range routines {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources[strings.TrimSuffix(filepath.Base(file), ".sql")] = string(text)
	}
	ordered := regexp.MustCompile(`ORDER BY ([^()]*?)(?:\s+LIMIT \S+)?\s+FOR (?:NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)(?: OF \w+)?( SKIP LOCKED)?`)
	var got, want []string
	for name, sql := range sources {
		for _, m := range ordered.FindAllStringSubmatch(sql, -1) {
			if m[2] == "" {
				got = append(got, name+" ORDER BY "+m[1])
			}
		}
	}
	for _, r := range rowOrders {
		want = append(want, r.in+" ORDER BY "+r.order)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("in the SQL: %q\nin rowOrders: %q", got, want)
	}
}

// TestRowsAreLockedInOrder stops each call that locks several rows of one table at the third of five, which lie in the table in the reverse
// order: it holds the two before it, and none after it.
func TestRowsAreLockedInOrder(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	for _, r := range rowOrders {
		t.Run(r.in, func(t *testing.T) {
			w := &world{w.ForSubtest(t)}
			if held := w.heldAtTheThird(r, asWritten); held != "a b" {
				t.Errorf("at the third row it holds %q, want %q", held, "a b")
			}
		})
	}
}

// TestRowOrderTestFindsFaults takes the ORDER BY away: the test above would fail.
func TestRowOrderTestFindsFaults(t *testing.T) {
	t.Parallel()
	for _, r := range rowOrders {
		t.Run(r.in, func(t *testing.T) {
			t.Parallel()
			w := newRaceWorld(t, 6)
			without := func(sql string) string {
				return regexp.MustCompile(`ORDER BY `+regexp.QuoteMeta(r.order)+`(\s+FOR )`).ReplaceAllString(sql, "$1")
			}
			if file, err := os.ReadFile("../../../routines/" + r.in + ".sql"); err == nil {
				w.mutates(string(file), without)
			}
			if held := w.heldAtTheThird(r, without); held == "a b" {
				t.Errorf("without the order it holds %q as well", held)
			}
		})
	}
}

// TestExchangeLocksClientsAndUsersInOrder stops ExchangeToken at the last of the two clients, or users, that it locks: it holds the first, be
// that the caller's, or the actor's, or not. With the two the other way round it doesn't.
func TestExchangeLocksClientsAndUsersInOrder(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	swapped := func(sql string) string {
		return strings.NewReplacer(
			"lock_parents(least(p.user_id, ", "lock_parents(greatest(p.user_id, ", "lock_parents(greatest(p.user_id, ", "lock_parents(least(p.user_id, ",
			"least(p.client_id, p.family_client_id)", "greatest(p.client_id, p.family_client_id)",
			"greatest(p.client_id, p.family_client_id)", "least(p.client_id, p.family_client_id)",
		).Replace(sql)
	}
	one, two := w.newScene(false, false), w.newScene(false, false)
	for _, reversed := range []bool{false, true} {
		one, two := one, two
		if reversed {
			one, two = two, one
		}
		for table, c := range map[string]struct {
			key, a, b string
			exchange  func() store.ExchangeTokenParams
		}{
			"oauth_client": {"client_id", string(one.client), string(two.client), func() store.ExchangeTokenParams {
				p, _ := one.exchanged(two.client)
				return p
			}},
			"user": {"id", string(one.user), string(two.user), func() store.ExchangeTokenParams {
				p, _ := one.exchanged(one.exchanger)
				p.ActorToken = new(fixture.Digest(two.at.access))
				return p
			}},
		} {
			for _, fault := range []bool{false, true} {
				rewrite := asWritten
				if fault {
					rewrite = swapped
				}
				row := fmt.Sprintf(`FROM %s WHERE %s = $1 FOR UPDATE`, pgx.Identifier{table}.Sanitize(), c.key)
				last := w.holdingRows(`SELECT `+row, max(c.a, c.b))
				call := w.startsOn("ExchangeToken", func(tx pgx.Tx) error {
					r, err := store.New(rewritten{tx, rewrite}).ExchangeToken(w.Ctx, c.exchange())
					if err == nil && r.Outcome != store.OutcomeExchanged {
						err = errors.New(string(r.Outcome))
					}
					return err
				}, false)
				call.wantWaiting(table)
				tag, err := w.Pool.Exec(w.Ctx, `SELECT `+row+` SKIP LOCKED`, min(c.a, c.b))
				w.OK(err)
				if held := tag.RowsAffected() == 0; held == fault {
					t.Errorf("at the last %s, with the caller's the first %t and the order wrong %t, it holds the first: %t", table, c.a < c.b, fault, held)
				}
				last.release()
				call.succeeds()
			}
		}
	}
}

// heldAtTheThird names the rows that a call holds when it waits for the third.
func (w *world) heldAtTheThird(r orderedRows, rewrite func(string) string) string {
	w.Helper()
	s := w.newScene(true, false)
	for _, id := range []string{"e", "d", "c", "b", "a"} {
		w.Exec(strings.NewReplacer("$1", quote(string(s.user)), "$2", quote(string(s.client)), "$3", quote(id)).Replace(r.physical))
	}
	// shared: who takes less than the lock to change a row goes on to the fourth
	third := w.holdingRows(fmt.Sprintf(`SELECT FROM %s WHERE %s = 'c' FOR SHARE`, pgx.Identifier{r.table}.Sanitize(), r.key))
	call := w.startsOn(r.in, func(tx pgx.Tx) error { return r.call(w.Ctx, rewritten{tx, rewrite}, s) }, false)
	call.wantWaiting(r.table)
	rows, err := w.Pool.Query(w.Ctx, fmt.Sprintf(`
		SELECT x.%[2]s::text FROM %[1]s AS x WHERE x.%[2]s IN ('a', 'b', 'd', 'e')
			AND NOT x.%[2]s = ANY (ARRAY(SELECT y.%[2]s FROM %[1]s AS y FOR UPDATE SKIP LOCKED))
		ORDER BY 1`, pgx.Identifier{r.table}.Sanitize(), r.key))
	w.OK(err)
	held, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.OK(err)
	third.release()
	call.succeeds()
	return strings.Join(held, " ")
}

// rewritten is a connection whose statements are rewritten: a query with a fault.
type rewritten struct {
	conn
	rewrite func(sql string) string
}

func asWritten(sql string) string { return sql }

func (c rewritten) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return c.conn.Exec(ctx, c.rewrite(sql), args...)
}

func (c rewritten) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return c.conn.Query(ctx, c.rewrite(sql), args...)
}

func (c rewritten) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return c.conn.QueryRow(ctx, c.rewrite(sql), args...)
}

// mutates puts a fault into a routine, in the test's own database.
func (w *world) mutates(routine string, fault func(string) string) {
	w.Helper()
	wrong := fault(routine)
	if wrong == routine {
		w.Fatal("the routine has changed: the fault has no place in it")
	}
	super := raceSuperuser(w)
	defer super.Close(w.Ctx)
	_, err := super.Exec(w.Ctx, wrong)
	w.OK(err)
	w.Pool.Reset()
}

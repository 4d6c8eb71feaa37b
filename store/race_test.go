package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/store"
)

// The race tests let calls go at the same moment, each on a connection of its own, round after round, and judge what is left
// when all of them have returned. More rounds than by default, and a longer storm:
//
//	go test ./store -run Race -rounds 5000 -storm 5m -timeout 2h
var (
	raceRounds = flag.Int("rounds", 200, "how often each race is run; those of which there are many run a part of it")
	stormTime  = flag.Duration("storm", 3*time.Second, "how long TestRaceStorm lasts")
)

// newRaceWorld is newWorld for races: a deadlock shows after a tenth of a second, before it can hide behind a slow call, a lock
// that nobody gives back fails the test, all connections are open before the first round, and the test fails if the server
// has counted a deadlock in this database by its end, whoever heard of it.
func newRaceWorld(t testing.TB, conns int) *world {
	t.Helper()
	w := newWorld(t, conns)
	super := raceSuperuser(w)
	for name, value := range map[string]string{
		"deadlock_timeout": "100ms",
		"lock_timeout":     "30s",
		"enable_seqscan":   "off", // plans as for big tables, and not kept from when these were empty
	} {
		_, err := super.Exec(w.ctx, fmt.Sprintf(`ALTER DATABASE %s SET %s = '%s'`, pgx.Identifier{super.Config().Database}.Sanitize(), name, value))
		w.ok(err)
	}
	w.ok(super.Close(w.ctx))
	w.pool.Reset()
	open := make([]func(), conns)
	for i := range open {
		c, err := w.pool.Acquire(w.ctx)
		w.ok(err)
		open[i] = c.Release
	}
	for _, release := range open {
		release()
	}
	t.Cleanup(func() { raceDeadlocks(w) })
	return w
}

// raceSuperuser connects to the world's database as the superuser, who alone may set deadlock_timeout and pass over triggers.
func raceSuperuser(w *world) *pgx.Conn {
	w.Helper()
	c, err := devdb.Start(w.ctx, devdb.Options{Kind: devdb.Test})
	w.ok(err)
	config, err := pgx.ParseConfig(c.URL)
	w.ok(err)
	config.Database = w.pool.Config().ConnConfig.Database
	conn, err := pgx.ConnectConfig(w.ctx, config)
	w.ok(err)
	return conn
}

// raceDeadlocks fails the test if there has been a deadlock. A backend may keep what it has counted to itself until it ends,
// so the pool's connections are closed before.
func raceDeadlocks(w *world) {
	w.Helper()
	ctx := context.WithoutCancel(w.ctx)
	w.pool.Reset()
	for others := 1; others > 0; {
		w.ok(w.pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&others))
	}
	var deadlocks int
	w.ok(w.pool.QueryRow(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks))
	if deadlocks > 0 {
		w.Errorf("the server has counted %d deadlocks", deadlocks)
	}
}

// together lets all calls go at the same moment and returns when all have returned.
func together(calls ...func()) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for _, call := range calls {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			call()
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// soonerOrLater delays a call, most often not at all, so that over many rounds each call is ahead of each other one.
func soonerOrLater(call func()) func() {
	return func() {
		if rand.N(2) == 0 {
			time.Sleep(rand.N(600 * time.Microsecond))
		}
		call()
	}
}

// times is n calls of the same kind; the argument tells them apart.
func times(n int, call func(i int)) []func() {
	calls := make([]func(), n)
	for i := range calls {
		calls[i] = func() { call(i) }
	}
	return calls
}

// raced reports an error that no call may have in a race, and says whether there was none. That includes a deadlock (40P01), a
// serialization failure (40001), and a foreign key that is violated because a parent went away (23503).
func (w *world) raced(call string, err error) bool {
	if err == nil {
		return true
	}
	w.Helper()
	if e, found := errors.AsType[*pgconn.PgError](err); found {
		w.Errorf("%s: %s: %s (%s %s) %s", call, e.Code, e.Message, e.TableName, e.ConstraintName, e.Detail)
	} else {
		w.Errorf("%s: %v", call, err)
	}
	return false
}

// found is raced for a call that answers 'no such thing' by zero rows; it says whether there was one.
func (w *world) found(call string, err error) bool {
	w.Helper()
	return !errors.Is(err, pgx.ErrNoRows) && w.raced(call, err)
}

// livings says which of the tokens are live, by the query that introspection runs.
func (w *world) livings(raw []string) map[string]bool {
	w.Helper()
	digests := make([]string, len(raw))
	for i, r := range raw {
		digests[i] = string(digest(r))
	}
	rows, err := w.pool.Query(w.ctx, `SELECT EXISTS (`+strings.ReplaceAll(store.IntrospectToken, "$1", "x.d")+`) FROM unnest($1::text[]) WITH ORDINALITY AS x (d, n) ORDER BY n`, digests)
	w.ok(err)
	lives, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	w.ok(err)
	live := make(map[string]bool, len(raw))
	for i, r := range raw {
		live[r] = lives[i]
	}
	return live
}

// raceTemplate is a set of rows that real calls have written, to be copied for each round: that costs one round trip, whatever
// the number of calls that it took to write them.
type raceTemplate struct {
	conn  *pgx.Conn
	rows  map[string][]json.RawMessage // by table
	ids   []string
	raws  []string
	count int
}

// template takes all rows of the world for a template. raws are the tokens, codes and secrets of which the rows have digests,
// and the successors that they will have.
func (w *world) template(raws ...string) *raceTemplate {
	w.Helper()
	t := &raceTemplate{conn: raceSuperuser(w), rows: map[string][]json.RawMessage{}, raws: raws}
	w.Cleanup(func() { t.conn.Close(context.WithoutCancel(w.ctx)) })
	// The copies are as sound as the template: that the foreign keys be checked again, row by row, would take most of the time.
	_, err := t.conn.Exec(w.ctx, `SET session_replication_role = replica`)
	w.ok(err)
	seen := map[string]bool{}
	for _, table := range tables {
		r, err := w.pool.Query(w.ctx, `SELECT x.id, to_jsonb(x) FROM "`+table+`" x ORDER BY x.created_at, x.id`)
		w.ok(err)
		var id string
		var row json.RawMessage
		_, err = pgx.ForEachRow(r, []any{&id, &row}, func() error {
			t.rows[table] = append(t.rows[table], append(json.RawMessage(nil), row...))
			seen[id] = true
			if table == "oauth_client" {
				var c struct {
					ClientID string `json:"client_id"`
				}
				if err := json.Unmarshal(row, &c); err != nil {
					return err
				}
				seen[c.ClientID] = true
			}
			return nil
		})
		w.ok(err)
	}
	for id := range seen {
		t.ids = append(t.ids, id)
	}
	return t
}

// copies writes n copies of the template and returns what each calls a name of the template: an identifier, or a raw token. Keys
// and rows of a copy are in different orders, and neither is that of time.
func (t *raceTemplate) copies(w *world, n int) []func(string) string {
	w.Helper()
	names := make([]func(string) string, n)
	written := map[string][]json.RawMessage{}
	for i := range names {
		t.count++
		suffix := fmt.Sprintf(".%d", t.count)
		renamed := map[string]string{}
		var pairs []string
		rename := func(old, now string) {
			renamed[old] = now
			pairs = append(pairs, `"`+old+`"`, `"`+now+`"`)
		}
		for _, id := range t.ids {
			rename(id, fmt.Sprintf("%s%04x%s", id[:4], rand.N(1<<16), id[4:]+suffix))
			pairs = append(pairs,
				`"`+id+`@example.com"`, `"`+renamed[id]+`@example.com"`, // a user's address
				`"`+string(digest(id))+`"`, `"`+string(digest(renamed[id]))+`"`) // a session's cookie
		}
		for _, raw := range t.raws {
			base := strings.TrimRight(raw, "+")
			now := base + suffix + raw[len(base):] // so that successorOf still names the successor
			renamed[raw] = now
			pairs = append(pairs, `"`+string(digest(raw))+`"`, `"`+string(digest(now))+`"`)
		}
		r := strings.NewReplacer(pairs...)
		for table, rows := range t.rows {
			for _, row := range rows {
				written[table] = append(written[table], json.RawMessage(r.Replace(string(row))))
			}
		}
		names[i] = func(old string) string {
			now, found := renamed[old]
			if !found {
				w.Fatalf("the template has no %q", old)
			}
			return now
		}
	}
	batch := &pgx.Batch{}
	for _, table := range tables { // parents first
		rows := written[table]
		if len(rows) == 0 {
			continue
		}
		rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		list, err := json.Marshal(rows)
		w.ok(err)
		batch.Queue(`INSERT INTO "`+table+`" SELECT * FROM jsonb_populate_recordset(NULL::"`+table+`", $1::jsonb)`, list)
	}
	w.ok(t.conn.SendBatch(w.ctx, batch).Close())
	return names
}

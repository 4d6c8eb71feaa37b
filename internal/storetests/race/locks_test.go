package race

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// The tests in this file compare docs/locks.md with what calls do: which rows each of them locks, how strongly and in which order, and which
// it skips. Each row that a call touches is held by a connection of its own. When the call waits for one, pg_locks says how strongly it wants
// it, and the holder lets go of just as much. A row for which it doesn't wait it has skipped; it runs again beside weaker holds of that row
// until one lets it pass. Everything is rolled back.

var writeLocks = flag.Bool("write-locks", false, "write docs/locks.md, instead of comparing it")

const locksPage = "../../../docs/locks.md"

type rowLock struct{ name, queued string }

// rowLocks are how a row can be locked, the weakest first, and what pg_locks calls the lock that a backend queues by for it.
var rowLocks = []rowLock{
	{"KEY SHARE", "AccessShareLock"}, {"SHARE", "RowShareLock"}, {"NO KEY UPDATE", "ExclusiveLock"}, {"UPDATE", "AccessExclusiveLock"},
}

// passing is how many of rowLocks, the weakest first, another connection may have on a row that is wanted so strongly.
func passing(wanted int) int { return len(rowLocks) - 1 - wanted }

// rowHold is a row that a connection holds, in the first level of rowLocks.
type rowHold struct {
	row   rowName
	conn  *pgxpool.Conn
	level int
}

func (x *scheduler) hold(holder int, s *scene, row rowName, level int) *rowHold {
	x.Helper()
	c := x.holders[holder]
	sql := "BEGIN"
	for i := range level { // each can be taken back by itself
		sql += fmt.Sprintf("; SAVEPOINT level%d; SELECT FROM %s FOR %s", i, row.from(s), rowLocks[i].name)
	}
	_, err := c.Exec(x.Ctx, sql, pgx.QueryExecModeSimpleProtocol)
	x.OK(err)
	return &rowHold{row, c, level}
}

func (x *scheduler) weaken(h *rowHold, level int) {
	x.Helper()
	if h.level == 0 {
		return
	}
	sql := "ROLLBACK"
	if level > 0 {
		sql = fmt.Sprintf("ROLLBACK TO level%d", level)
	}
	_, err := h.conn.Exec(context.WithoutCancel(x.Ctx), sql, pgx.QueryExecModeSimpleProtocol)
	x.OK(err)
	h.level = level
}

// rowWait is a row that a call has waited for.
type rowWait struct {
	row    rowName
	wanted int  // how strongly, in rowLocks
	wrote  bool // whether the call had begun to write, or had a lock, before
}

// beside runs a call beside connections that hold rows in the first level of rowLocks, lets it pass wherever it waits, and looks what it
// has done before all is rolled back.
func (x *scheduler) beside(a actor, s *scene, rows []rowName, level int, look func(tx pgx.Tx)) (waits []rowWait) {
	x.Helper()
	if len(rows) > len(x.holders) {
		x.Fatalf("%s locks more rows than there are connections to hold them: %v", a.name, rows)
	}
	holds := map[uint32]*rowHold{}
	for i, row := range rows {
		h := x.hold(i, s, row, level)
		holds[h.conn.Conn().PgConn().PID()] = h
	}
	tx, err := x.actors[0].Begin(x.Ctx)
	x.OK(err)
	pid := x.actors[0].Conn().PgConn().PID()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = a.run(x.Ctx, tx, s)
	}()
	defer func() {
		for _, h := range holds {
			x.weaken(h, 0)
		}
		<-done
		x.OK(tx.Rollback(context.WithoutCancel(x.Ctx)))
	}()
	guessed := false // of the wait before
	for deadline := time.Now().Add(hang); time.Now().Before(deadline); {
		select {
		case <-done:
			if err != nil {
				x.Fatalf("%s beside rows that others hold FOR %s: %v", a.name, rowLocks[max(level-1, 0)].name, err)
			}
			look(tx)
			return waits
		case <-time.After(200 * time.Microsecond):
		}
		var by *uint32
		var queued *string
		var wrote bool
		x.OK(x.watch.QueryRow(x.Ctx, `
			SELECT (pg_blocking_pids($1::integer))[1],
				(SELECT l.mode FROM pg_locks AS l WHERE l.pid = $1::integer AND l.locktype = 'tuple' LIMIT 1),
				EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = $1::integer AND l.locktype = 'transactionid' AND l.granted)`,
			pid).Scan(&by, &queued, &wrote))
		if by == nil {
			continue
		}
		h := holds[*by]
		if h == nil {
			x.Fatalf("%s waits for a connection that holds none of %v", a.name, rows)
		}
		// Who has a lock on the row already doesn't queue. Then it is the weakest that this hold keeps out, if that is enough.
		wanted := passing(h.level - 1)
		if queued != nil {
			wanted = slices.IndexFunc(rowLocks, func(l rowLock) bool { return l.queued == *queued })
		}
		if h.level <= passing(wanted) {
			continue // the call hasn't noticed yet that it may pass
		}
		x.weaken(h, passing(wanted))
		if last := len(waits) - 1; queued == nil && guessed && waits[last].row == h.row {
			waits[last].wanted = wanted
		} else {
			waits = append(waits, rowWait{h.row, wanted, wrote})
		}
		guessed = queued == nil
	}
	x.Fatalf("%s neither waits nor returns: %v", a.name, waits)
	return nil
}

// versions are the rows of a scene, and by which transactions each was written and locked.
func (x *scheduler) versions(c conn, s *scene) map[rowName]string {
	x.Helper()
	var from []string
	for _, table := range fixture.Tables {
		from = append(from, fmt.Sprintf("SELECT '%s ' || %s, x.xmin::text || ' ' || x.xmax::text FROM %s AS x", table, tableKey(table), pgx.Identifier{table}.Sanitize()))
	}
	rows, err := c.Query(x.Ctx, strings.Join(from, " UNION ALL "))
	x.OK(err)
	got := map[rowName]string{}
	var name, version string
	_, err = pgx.ForEachRow(rows, []any{&name, &version}, func() error {
		got[s.rowName(name)] = version
		return nil
	})
	x.OK(err)
	return got
}

// version is that of one row; it is empty if there is none.
func (x *scheduler) version(c conn, s *scene, row rowName) (version string) {
	x.Helper()
	err := c.QueryRow(x.Ctx, "SELECT x.xmin::text || ' ' || x.xmax::text FROM "+row.from(s), pgx.QueryExecModeSimpleProtocol).Scan(&version)
	if !errors.Is(err, pgx.ErrNoRows) {
		x.OK(err)
	}
	return version
}

// rowTable is the table of a row.
func rowTable(row rowName) string {
	table, _, _ := strings.Cut(string(row), " ")
	return table
}

// locksOfCall is a line of the page, and the rows for which the call waits, in this order.
func (x *scheduler) locksOfCall(a actor, s *scene) (line string, waited []rowName) {
	x.Helper()
	before := x.versions(x.watch, s)
	var rows []rowName // that it locks, or writes
	var inserts []string
	x.beside(a, s, nil, 0, func(tx pgx.Tx) {
		after := x.versions(tx, s)
		for row := range before {
			written, _, _ := strings.Cut(before[row], " ")
			if after[row] != before[row] && after[row] != written+" 0" { // a vacuum forgets locks that were undone
				rows = append(rows, row)
			}
		}
		for row := range after {
			if before[row] == "" {
				inserts = append(inserts, rowTable(row))
			}
		}
	})
	slices.SortFunc(rows, func(a, b rowName) int { return strings.Compare(a.place(), b.place()) })
	if len(rows) > len(x.holders) { // then one row stands for those of its table
		rows = slices.CompactFunc(rows, func(a, b rowName) bool { return rowTable(a) == rowTable(b) })
	}
	var waits []string
	for i, wait := range x.beside(a, s, rows, len(rowLocks), func(pgx.Tx) {}) {
		if i == 0 && wait.wrote {
			waits = append(waits, "writes")
		}
		waits = append(waits, rowTable(wait.row)+" "+rowLocks[wait.wanted].name)
		if !slices.Contains(waited, wait.row) {
			waited = append(waited, wait.row)
		}
	}
	var skips []string
	tables := map[string]int{}
	for _, row := range rows {
		if tables[rowTable(row)]++; !slices.Contains(waited, row) && tables[rowTable(row)] <= 2 {
			skips = append(skips, rowTable(row)+" "+x.skipped(a, s, row))
		}
	}
	slices.Sort(skips)
	slices.Sort(inserts)
	return fmt.Sprintf("| %s | %s | %s | %s |", a.name, list(waits), list(slices.Compact(skips)), list(slices.Compact(inserts))), waited
}

// lockOrder is the order of docs/locking.md. What is one user's alone comes after the user, a code before its attempts.
var lockOrder = []string{
	"oauth_initial_access_token", "user", "oauth_client", "oauth_client_secret", "session", "oauth_refresh_token", "oauth_access_token",
	"oauth_authorization", "oauth_polled_request", "oauth_consent", "session_client", "account", "passkey", "totp", "recovery_code",
	"one_time_code", "attempt_count", "jwks", "oauth_trusted_issuer",
}

// isOutOfOrder names the exceptions of docs/locking.md.
var isOutOfOrder = regexp.MustCompile("^another server's rotation|^UpdateClient that hands one over")

// outOfOrder is the first table in a list of locked rows that should have come before another, or is not in the order.
func outOfOrder(rows []rowName) string {
	last := 0
	for _, row := range rows {
		at := slices.Index(lockOrder, rowTable(row))
		if at < last {
			return rowTable(row)
		}
		last = at
	}
	return ""
}

// skipped says how strongly a call wants a row that it skips: the weakest hold that it doesn't pass tells.
func (x *scheduler) skipped(a actor, s *scene, row rowName) string {
	x.Helper()
	for level := 1; level <= len(rowLocks); level++ {
		skips := false
		waits := x.beside(a, s, []rowName{row}, level, func(tx pgx.Tx) { skips = x.version(tx, s, row) == x.version(x.watch, s, row) })
		switch {
		case len(waits) > 0:
			return "and waits for " + rowLocks[waits[0].wanted].name
		case skips:
			return rowLocks[passing(level-1)].name
		}
	}
	x.Fatalf("%s neither waits for %s nor skips it", a.name, row)
	return ""
}

// list is a cell. What stands in it several times in a row is counted.
func list(words []string) string {
	var all []string
	for len(words) > 0 {
		n := 1
		for n < len(words) && words[n] == words[0] {
			n++
		}
		if all = append(all, words[0]); n > 1 {
			all[len(all)-1] += fmt.Sprintf(" (%d)", n)
		}
		words = words[n:]
	}
	return strings.Join(all, ", ")
}

// leftovers is what the collector finds in no scene: something for each of its statements.
func (s *scene) leftovers() string {
	return strings.ReplaceAll(`
		INSERT INTO "user" (id, name, suspended_at, deleted_at) VALUES ('bare$n', '', now(), now()), ('held$n', '', now(), NULL);
		INSERT INTO account (id, provider_id, account_id, user_id) VALUES ('del$n', 'x', 'x', 'del$n');
		INSERT INTO passkey (id, user_id, public_key, sign_count) VALUES ('del$n', 'del$n', '', 0);
		INSERT INTO totp (id, user_id, secret) VALUES ('del$n', 'del$n', '');
		INSERT INTO recovery_code (user_id, digest) SELECT 'del$n', x.digest FROM recovery_code AS x LIMIT 1;
		INSERT INTO oauth_pairwise_subject (user_id, sector, subject) VALUES ('del$n', 'x.example', 'del$n');
		INSERT INTO oauth_client (id, client_id, redirect_uris, disabled, deleted_at, user_id) VALUES
			('bare$n', 'bare$n', '{https://b.example/}', true, now(), NULL), ('owned$n', 'owned$n', '{https://o.example/}', true, NULL, 'del$n');
		INSERT INTO oauth_client_secret (client_id, digest, expires_at) SELECT 'del$n', x.digest, now() + interval '1 hour' FROM oauth_client_secret AS x LIMIT 1;
		INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid) VALUES ('del$n', 'x', 'del$n', 'v$n', 'x', 'x');
		INSERT INTO oauth_access_token (id, token, client_id, scopes, revoked) SELECT x || '$n', repeat(x, 43), y || '$n', '{}', now() FROM (VALUES ('d', 'del'), ('r', 'c')) AS v (x, y);
		INSERT INTO oauth_access_token (id, token, client_id, user_id, expires_at, scopes, authorization_id) VALUES ('h$n', repeat('h', 43), 'c$n', 'u$n', now() + interval '1 hour', '{}', 'h$n');
		INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, authorization_id, revoked, successor, successor_id)
			SELECT 'spent$n', repeat('s', 43), client_id, user_id, scopes, authorization_id, now(), token, id FROM oauth_refresh_token WHERE id = 'x$n'`, "$n", s.n)
}

var locksFile sync.Mutex

// wantLocks compares the lines of some calls with a section of the page.
func wantLocks(t *testing.T, section string, set setting, acts []any) {
	t.Helper()
	x := newScheduler(newLockWorld(t, maxActors+maxHolders+2))
	s := x.stage(set)
	_, err := x.super.Exec(x.Ctx, past(s.leftovers()), pgx.QueryExecModeSimpleProtocol)
	x.OK(err)
	var got []string
	for _, act := range acts {
		a := newMeeting(set, act).actors[0]
		line, waited := x.locksOfCall(a, s)
		got = append(got, line)
		if table := outOfOrder(waited); table != "" && !isOutOfOrder.MatchString(a.name) {
			t.Errorf("%s locks %s in another order than docs/locking.md says:\n%s", a.name, table, line)
		}
	}
	locksFile.Lock()
	defer locksFile.Unlock()
	page, err := os.ReadFile(locksPage)
	x.OK(err)
	begin := "\n## " + section + "\n"
	head, rest, found := strings.Cut(string(page), begin)
	if !found {
		t.Fatalf("docs/locks.md has no section %q", section)
	}
	old, tail, more := strings.Cut(rest, "\n## ")
	if more {
		tail = "\n## " + tail
	}
	want := "\n| Call | Waits for, in this order | Skips | Inserts |\n| :-- | :-- | :-- | :-- |\n" + strings.Join(got, "\n") + "\n"
	switch {
	case *writeLocks:
		x.OK(os.WriteFile(locksPage, []byte(head+begin+want+tail), 0o644))
	case old != want:
		is := strings.Split(old, "\n")
		for _, line := range got {
			if !slices.Contains(is, line) {
				t.Errorf("not in docs/locks.md (make locks writes it):\n%s", line)
			}
		}
		for _, line := range is {
			if !strings.Contains(want, line) {
				t.Errorf("in docs/locks.md, but no longer so:\n%s", line)
			}
		}
	}
}

func TestLocksOfGrants(t *testing.T) {
	t.Parallel()
	grants, _, _, _ := allActs()
	wantLocks(t, "Grants", setting{bound: true, furnished: true}, grants)
}

func TestLocksOfEndings(t *testing.T) {
	t.Parallel()
	_, ends, _, _ := allActs()
	ends = slices.DeleteFunc(ends, func(act any) bool { return act.(*endAct).deletes })
	wantLocks(t, "Endings", setting{bound: true, furnished: true}, ends)
}

func TestLocksOfOtherCalls(t *testing.T) {
	t.Parallel()
	_, _, calls, _ := allActs()
	wantLocks(t, "Other calls", setting{bound: true, furnished: true}, calls)
}

func TestLocksOfTheCollector(t *testing.T) {
	t.Parallel()
	_, _, _, collecting := allActs()
	wantLocks(t, "The collector", setting{bound: true, furnished: true, aged: true}, collecting)
}

// TestLocksOfEveryCallAreListed wants each call on the page that locks rows by what docs/queries says of its SQL.
func TestLocksOfEveryCallAreListed(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(locksPage)
	if err != nil {
		t.Fatal(err)
	}
	queries, err := os.ReadFile("../../../docs/queries/README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range regexp.MustCompile(`(?m)^\| \[(\w+)\]\([^|]*\|[^|]*\|[^|]*\|[^|]*\| FOR `).FindAllSubmatch(queries, -1) {
		found++
		if !regexp.MustCompile(`(?m)^\| ` + string(m[1]) + `\b`).Match(page) {
			t.Errorf("docs/locks.md doesn't say what %s locks", m[1])
		}
	}
	if found == 0 {
		t.Error("docs/queries/README.md has no call that locks rows")
	}
}

// lockFaults are faults that the tables show, in a call's query or in a routine that it runs.
var lockFaults = []struct{ name, call, in, right, wrong string }{
	{"a lock is weaker", "UseTOTP", "UseTOTP", "FOR NO KEY UPDATE OF o", "FOR SHARE OF o"},
	{"a lock comes later", "CreateTOTP", "CreateTOTP", "FOR KEY SHARE", ""},
	{"what was skipped is waited for", "EndSession", "end_sessions", "FOR NO KEY UPDATE OF x SKIP LOCKED", "FOR NO KEY UPDATE OF x"},
	{"what was skipped is locked by the write", "WithdrawConsent", "WithdrawConsent", "FOR UPDATE OF x SKIP LOCKED", ""},
	{"what was skipped passes a weak lock", "WithdrawConsent", "WithdrawConsent", "FOR UPDATE OF x SKIP LOCKED", "FOR NO KEY UPDATE OF x SKIP LOCKED"},
	{"the order is another", "RotateRefreshToken", "lock_parents", "u.id = of_user FOR KEY SHARE", "u.id = of_user"},
}

// TestLockTablesShowFaults puts faults into queries and routines: the line of the call is another.
func TestLockTablesShowFaults(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(locksPage)
	if err != nil {
		t.Fatal(err)
	}
	set := setting{bound: true, furnished: true}
	x := newScheduler(newLockWorld(t, maxActors+maxHolders+2))
	s := x.stage(set)
	actors := map[string]actor{}
	grants, ends, calls, _ := allActs()
	for _, act := range slices.Concat(grants, ends, calls) {
		a := newMeeting(set, act).actors[0]
		actors[a.name] = a
	}
	for _, f := range lockFaults {
		t.Run(f.name, func(t *testing.T) {
			x := *x
			x.world = &world{x.ForSubtest(t)}
			a := actors[f.call]
			if line, _ := x.locksOfCall(a, s); !strings.Contains(string(page), line) {
				t.Fatalf("not in docs/locks.md without the fault: %s", line)
			}
			if line, _ := x.locksOfCall(x.withFault([]actor{a}, f.in, f.right, f.wrong)[0], s); strings.Contains(string(page), line) {
				t.Errorf("the same with the fault: %s", line)
			}
		})
	}
}

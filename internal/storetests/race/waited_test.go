package race

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// What a statement can know that has waited (docs/locking.md): of a user who was deleted meanwhile, of an approval that read later than it
// did itself, and of a row that it changes.

// conns are connections that the test keeps.
func (w *world) conns(n int) []*pgxpool.Conn {
	w.Helper()
	all := make([]*pgxpool.Conn, n)
	for i := range all {
		c, err := w.Pool.Acquire(w.Ctx)
		w.OK(err)
		w.Cleanup(c.Release)
		all[i] = c
	}
	return all
}

// A call about a user that has waited for DeleteUser says that there is no such user, and not what it would have said before.
func TestWhoWaitedForADeletion(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	c := w.conns(2)
	for name, x := range map[string]struct {
		suspended bool
		call      func(context.Context, *store.Queries, store.UserID) (store.Outcome, error)
	}{
		"SuspendUser": {false, func(ctx context.Context, q *store.Queries, id store.UserID) (store.Outcome, error) {
			r, err := q.SuspendUser(ctx, id)
			return r.Outcome, err
		}},
		"ReinstateUser": {true, func(ctx context.Context, q *store.Queries, id store.UserID) (store.Outcome, error) {
			return q.ReinstateUser(ctx, id)
		}},
	} {
		s := w.newScene(false, false)
		if x.suspended {
			_, err := w.Q.SuspendUser(w.Ctx, s.user)
			w.OK(err)
		}
		tx, err := c[0].Begin(w.Ctx)
		w.OK(err)
		_, err = store.New(tx).DeleteUser(w.Ctx, s.user)
		w.OK(err)
		var got store.Outcome
		waiting := w.besides(c[1], func() (err error) {
			got, err = x.call(w.Ctx, store.New(c[1]), s.user)
			return err
		})
		w.OK(tx.Commit(w.Ctx))
		w.OK(waiting.finish())
		if !waiting.waited || got != store.OutcomeUnknown {
			t.Errorf("%s: waited %t, %s, want unknown", name, waiting.waited, got)
		}
	}
}

// An approval that has waited for another one of the same user is retried if the grant is live, though the other one has read a later ending
// than it has itself, and revoked if the grant has ended meanwhile.
func TestWhoWaitedForAnApproval(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	c := w.conns(2)
	for _, end := range []*endAct{endNamed("RevokeUserAuthorizations"), endNamed("RevokeUserAuthorizationsByClient"), endNamed("RevokeClientAuthorizations")} {
		for _, again := range []bool{false, true} {
			s := w.newScene(true, false)
			ending := func() {
				_, err := end.run(w.Ctx, w.Pool, s, family{})
				w.OK(err)
			}
			tx, err := c[0].Begin(w.Ctx)
			w.OK(err)
			_, err = tx.Exec(w.Ctx, `SELECT FROM oauth_authorization WHERE id = $1 FOR NO KEY UPDATE`, s.pending)
			w.OK(err)
			var got granted
			second := w.besides(c[1], func() (err error) {
				got, err = grantNamed("ApproveAuthorization").run(w.Ctx, c[1], s)
				return err
			})
			ending()
			first, err := grantNamed("ApproveAuthorization").run(w.Ctx, tx, s)
			w.OK(err)
			want, live := store.OutcomeRetried, 1
			if again {
				ending()
				want, live = store.OutcomeRevoked, 0
			}
			w.OK(tx.Commit(w.Ctx))
			w.OK(second.finish())
			if !second.waited || first.outcome != store.OutcomeApproved || got.outcome != want {
				t.Errorf("%s: waited %t, the first is %s, the second %s, want %s", end.name, second.waited, first.outcome, got.outcome, want)
			}
			if n := len(w.alive(s, got)); n != live {
				t.Errorf("%s: %d of the second code live, want %d", end.name, n, live)
			}
		}
	}
}

// meetAt lets a call meet itself at a row that somebody changes while a third holds the KEY SHARE of the version before, and says whether it
// waited, and what it came to.
func (w *world) meetAt(c []*pgxpool.Conn, table, id string, call func(*pgxpool.Conn) error) (waited bool, err error) {
	w.Helper()
	share, err := c[0].Begin(w.Ctx)
	w.OK(err)
	defer share.Rollback(w.Ctx)
	_, err = share.Exec(w.Ctx, `SELECT FROM `+table+` WHERE id = $1 FOR KEY SHARE`, id)
	w.OK(err)
	change, err := c[1].Begin(w.Ctx)
	w.OK(err)
	defer change.Rollback(w.Ctx)
	tag, err := change.Exec(w.Ctx, `UPDATE `+table+` SET updated_at = now() WHERE id = $1`, id)
	w.OK(err)
	if tag.RowsAffected() != 1 {
		w.Fatalf("there is no %s %s", table, id)
	}
	first := w.besides(c[2], func() error { return call(c[2]) })
	second := w.besides(c[3], func() error { return call(c[3]) })
	w.OK(change.Commit(w.Ctx))
	err = errors.Join(first.finish(), second.finish())
	return first.waited && second.waited, err
}

// Two statements that have waited for a row, and change it, don't wait for each other.
func TestWhatIsChangedAfterAWait(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	c := w.conns(4)
	for _, x := range []struct {
		call, table, id string
		redeemed        bool
	}{
		{call: "RedeemAuthorizationCode", table: "oauth_authorization", id: "g", redeemed: true},
		{call: "RotateClientSecret", table: "oauth_client", id: "c"},
		{call: "RotateClientSecret of one with a foreign hash", table: "oauth_client", id: "h"},
		{call: "ReplaceForeignSecretHash", table: "oauth_client", id: "h"},
		{call: "DeleteUser", table: "oauth_client", id: "m"},
		{call: "DeleteUser", table: `"user"`, id: "u"},
		{call: "SuspendUser", table: `"user"`, id: "u"},
		{call: "WithdrawConsent", table: `"user"`, id: "u"},
		{call: "CreateSession with a maximum", table: `"user"`, id: "u"},
		{call: "EndUserSessions but this one", table: "session", id: "s"},
	} {
		s, sql := sceneOf(fixture.Unique(""), true, false)
		_, err := w.Pool.Exec(w.Ctx, sql+";"+s.furniture(), pgx.QueryExecModeSimpleProtocol)
		w.OK(err)
		if x.redeemed {
			_, err := grantNamed(x.call).run(w.Ctx, w.Pool, s)
			w.OK(err)
		}
		waited, err := w.meetAt(c, x.table, x.id+s.n, func(c *pgxpool.Conn) error { return act(x.call, w.Ctx, c, s) })
		if err != nil || !waited {
			t.Errorf("%s at %s: waited %t, %v", x.call, x.table, waited, err)
		}
	}
}

// act makes a call of a scene, by its name.
func act(name string, ctx context.Context, c conn, s *scene) (err error) {
	for _, g := range grantActs {
		if g.name == name {
			_, err = g.run(ctx, c, s)
			return err
		}
	}
	for _, e := range endActs {
		if e.name == name {
			_, err = e.run(ctx, c, s, family{})
			return err
		}
	}
	for _, a := range callActs {
		if a.name == name {
			_, err = a.run(ctx, c, s)
			return err
		}
	}
	panic(name)
}

// The test above finds what it looks for: one statement that locks a row, and then changes it.
func TestWhatIsLockedAndThenChanged(t *testing.T) {
	t.Parallel()
	w := newLockWorld(t, 8)
	s := w.newScene(false, false)
	waited, err := w.meetAt(w.conns(4), "oauth_client", string(s.client), func(c *pgxpool.Conn) error {
		_, err := c.Exec(w.Ctx, `WITH locked AS MATERIALIZED (
				SELECT c.id FROM oauth_client AS c WHERE c.id = $1 FOR NO KEY UPDATE
			)
			UPDATE oauth_client AS c SET updated_at = now() FROM locked AS l WHERE c.id = l.id`, s.client)
		return err
	})
	if e, found := errors.AsType[*pgconn.PgError](err); !waited || !found || e.Code != "40P01" {
		t.Errorf("waited %t, %v, want a deadlock", waited, err)
	}
}

// lockedAndChanged are the statements that lock a row and then change it, with the reason why nobody holds its KEY SHARE meanwhile, or what
// comes of it.
var lockedAndChanged = map[string]string{
	"ApproveAuthorization":        "nothing refers to a family before it is redeemed",
	"DenyAuthorization":           "nothing refers to a family before it is redeemed",
	"IssueAuthorizationCode":      "nothing refers to a family before it is redeemed",
	"RedeemAuthorizationCode":     "nothing refers to a family before it is redeemed; a replayed one is ended by a routine",
	"FindAuthorizationByUserCode": "nothing refers to a family before it is redeemed",
	"RetireReplacedSigningKeys":   "nothing refers to a key",
	"UsePasskey":                  "nothing refers to a passkey",
	"UseTOTP":                     "nothing refers to an authenticator app",
	"UseRecoveryCode":             "nothing refers to a recovery code",
}

// No other statement locks a row and then changes it.
func TestNoStatementLocksWhatItChanges(t *testing.T) {
	t.Parallel()
	queries, err := queryfile.ReadDir("../../../queries")
	if err != nil {
		t.Fatal(err)
	}
	statements := map[string][]string{}
	for _, q := range queries {
		statements[q.Name] = []string{q.SQL}
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
		statements[strings.TrimSuffix(filepath.Base(file), ".sql")] = strings.Split(string(text), ";")
	}
	comment := regexp.MustCompile(`--.*`)
	locks := regexp.MustCompile(`FOR (?:NO KEY )?UPDATE(?: OF (\w+))?( SKIP LOCKED)?`)
	named := regexp.MustCompile(`(?:FROM|JOIN)\s+([\w"]+) AS (\w+)`)
	found := map[string]bool{}
	for name, all := range statements {
		for _, sql := range all {
			sql = comment.ReplaceAllString(sql, "")
			for _, lock := range locks.FindAllStringSubmatch(sql, -1) {
				if lock[2] != "" { // it doesn't wait
					continue
				}
				for _, table := range named.FindAllStringSubmatch(sql, -1) {
					if (lock[1] == "" || lock[1] == table[2]) && regexp.MustCompile(`UPDATE `+regexp.QuoteMeta(table[1])+` AS`).MatchString(sql) {
						found[name] = true
					}
				}
			}
		}
	}
	for name := range found {
		if lockedAndChanged[name] == "" {
			t.Errorf("%s locks a row that it changes: change it by a routine, or say why nobody holds its KEY SHARE", name)
		}
	}
	for name := range lockedAndChanged {
		if !found[name] {
			t.Errorf("%s doesn't lock what it changes", name)
		}
	}
}

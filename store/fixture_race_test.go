package store_test

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
)

const Long = 24 * time.Hour

// Until waits for a condition to come true.
func (w *world) Until(what string, holds func() bool) {
	w.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("not within 10 seconds: %s", what)
		}
	}
}

// Together lets all calls go at the same moment and returns when all have returned.
func Together(calls ...func()) {
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

// Times is n calls of the same kind; the argument tells them apart.
func Times(n int, call func(i int)) []func() {
	calls := make([]func(), n)
	for i := range calls {
		calls[i] = func() { call(i) }
	}
	return calls
}

// Raced reports an error that no call may have in a race, and says whether there was none. That includes a deadlock (40P01), a
// serialization failure (40001), and a foreign key that is violated because a parent went away (23503).
func (w *world) Raced(call string, err error) bool {
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

// Livings says which of the tokens are live, by the query that introspection runs.
func (w *world) Livings(raw []string) map[string]bool {
	w.Helper()
	digests := make([]string, len(raw))
	for i, r := range raw {
		digests[i] = string(Digest(r))
	}
	rows, err := w.Pool.Query(w.Ctx, `SELECT EXISTS (`+strings.ReplaceAll(store.IntrospectToken, "$1", "x.d")+`) FROM unnest($1::text[]) WITH ORDINALITY AS x (d, n) ORDER BY n`, digests)
	w.OK(err)
	lives, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	w.OK(err)
	live := make(map[string]bool, len(raw))
	for i, r := range raw {
		live[r] = lives[i]
	}
	return live
}

// Invariants holds what is true of any database at any time.
func Invariants(w *world) {
	w.Helper()
	live := `EXISTS (` + strings.ReplaceAll(store.IntrospectToken, "$1", "x.token") + `)`
	for rule, sql := range map[string]string{
		"a family has at most one refresh token that is neither spent nor revoked": `
			SELECT r.authorization_id FROM oauth_refresh_token r WHERE r.revoked IS NULL AND r.authorization_id IS NOT NULL
			GROUP BY r.authorization_id HAVING count(*) > 1`,
		"and current_refresh_token is its digest": `
			SELECT a.id FROM oauth_authorization a JOIN oauth_refresh_token r ON r.authorization_id = a.id
			WHERE r.revoked IS NULL AND a.current_refresh_token IS DISTINCT FROM r.token`,
		"no token of a revoked family is live": `
			SELECT x.id FROM oauth_refresh_token x JOIN oauth_authorization a ON a.id = x.authorization_id WHERE a.revoked_at IS NOT NULL AND ` + live + `
			UNION ALL
			SELECT x.id FROM oauth_access_token x JOIN oauth_authorization a ON a.id = x.authorization_id WHERE a.revoked_at IS NOT NULL AND ` + live,
		"no spent refresh token is live": `SELECT x.id FROM oauth_refresh_token x WHERE x.revoked IS NOT NULL AND ` + live,
		"an access token is of the family of its refresh token": `
			SELECT t.id FROM oauth_access_token t JOIN oauth_refresh_token r ON r.id = t.refresh_id
			WHERE t.authorization_id IS DISTINCT FROM r.authorization_id`,
		"a successor is of the family of its predecessor": `
			SELECT r.id FROM oauth_refresh_token r JOIN oauth_refresh_token n ON n.id = r.successor_id
			WHERE n.authorization_id IS DISTINCT FROM r.authorization_id OR n.token <> r.successor`,
		"a family does not expire before its live tokens": `
			SELECT a.id FROM oauth_authorization a JOIN oauth_refresh_token x ON x.authorization_id = a.id WHERE a.expires_at < x.expires_at AND ` + live,
		"what was redeemed is approved": `SELECT a.id FROM oauth_authorization a WHERE a.redeemed_at IS NOT NULL AND a.status <> 'approved'`,
	} {
		rows, err := w.Pool.Query(w.Ctx, sql)
		w.OK(err)
		broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
		w.OK(err)
		if len(broken) > 0 {
			w.Errorf("%s: not so of %v", rule, broken)
		}
	}
}

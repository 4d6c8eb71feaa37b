package race

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// The race tests let calls go at the same moment, each on a connection of its own, round after round, and judge what is left
// when all of them have returned. More rounds than by default, and a longer storm:
//
//	make rounds ROUNDS=10000
//	go test ./race -run Race -rounds 5000 -storm 5m -timeout 2h
var (
	raceRounds = flag.Int("rounds", 200, "how often each race is run; those of which there are many run a part of it")
	stormTime  = flag.Duration("storm", 3*time.Second, "how long TestRaceStorm lasts")
)

// roundsOf is the part of the rounds that a race runs which takes long, or is one of many.
func roundsOf(part int) int { return max(*raceRounds/part, 1) }

// newRaceWorld is newLockWorld for tests that fail if the server has counted a deadlock in their database by their end, whoever
// heard of it.
func newRaceWorld(t testing.TB, conns int) *world {
	t.Helper()
	w := newLockWorld(t, conns)
	t.Cleanup(func() { raceDeadlocks(w) })
	return w
}

// newLockWorld is newWorld for tests whose calls wait for each other: a deadlock shows after a tenth of a second, before it can hide
// behind a slow call, a lock that nobody gives back fails the test, and all connections are open from the beginning.
func newLockWorld(t testing.TB, conns int) *world {
	t.Helper()
	w := newWorld(t, conns)
	super := raceSuperuser(w)
	for name, value := range map[string]string{
		"deadlock_timeout": "100ms",
		"lock_timeout":     "30s",
		"enable_seqscan":   "off",                // plans as for big tables, and not kept from when these were empty
		"plan_cache_mode":  "force_generic_plan", // planning takes longer than most calls
	} {
		_, err := super.Exec(w.Ctx, fmt.Sprintf(`ALTER DATABASE %s SET %s = '%s'`, pgx.Identifier{super.Config().Database}.Sanitize(), name, value))
		w.OK(err)
	}
	w.OK(super.Close(w.Ctx))
	w.Pool.Reset()
	open := make([]func(), conns)
	for i := range open {
		c, err := w.Pool.Acquire(w.Ctx)
		w.OK(err)
		open[i] = c.Release
	}
	for _, release := range open {
		release()
	}
	return w
}

// raceSuperuser connects to the world's database as the superuser, who alone may set deadlock_timeout and pass over triggers.
func raceSuperuser(w *world) *pgx.Conn {
	w.Helper()
	c, err := devdb.Start(w.Ctx, devdb.Options{Kind: devdb.Test})
	w.OK(err)
	config, err := pgx.ParseConfig(c.URL)
	w.OK(err)
	config.Database = w.Pool.Config().ConnConfig.Database
	conn, err := pgx.ConnectConfig(w.Ctx, config)
	w.OK(err)
	return conn
}

// raceDeadlocks fails the test if there has been a deadlock. A backend may keep what it has counted to itself until it ends,
// so the pool's connections are closed before.
func raceDeadlocks(w *world) {
	w.Helper()
	ctx := context.WithoutCancel(w.Ctx)
	w.Pool.Reset()
	for others, deadline := 1, time.Now().Add(10*time.Second); others > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		w.OK(w.Pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&others))
	}
	var deadlocks int
	w.OK(w.Pool.QueryRow(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks))
	if deadlocks > 0 {
		w.Errorf("the server has counted %d deadlocks", deadlocks)
	}
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

// found is raced for a call that answers 'no such thing' by zero rows; it says whether there was one.
func (w *world) found(call string, err error) bool {
	w.Helper()
	return !errors.Is(err, pgx.ErrNoRows) && w.Raced(call, err)
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
	w.Cleanup(func() { t.conn.Close(context.WithoutCancel(w.Ctx)) })
	// The copies are as sound as the template: that the foreign keys be checked again, row by row, would take most of the time.
	_, err := t.conn.Exec(w.Ctx, `SET session_replication_role = replica`)
	w.OK(err)
	seen := map[string]bool{}
	for _, table := range fixture.Tables {
		r, err := w.Pool.Query(w.Ctx, `SELECT x.id, to_jsonb(x) FROM "`+table+`" x ORDER BY x.created_at, x.id`)
		w.OK(err)
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
		w.OK(err)
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
				`"`+string(fixture.Digest(id))+`"`, `"`+string(fixture.Digest(renamed[id]))+`"`) // a session's cookie
		}
		for _, raw := range t.raws {
			base := strings.TrimRight(raw, "+")
			now := base + suffix + raw[len(base):] // so that successorOf still names the successor
			renamed[raw] = now
			pairs = append(pairs, `"`+string(fixture.Digest(raw))+`"`, `"`+string(fixture.Digest(now))+`"`)
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
	for _, table := range fixture.Tables { // parents first
		rows := written[table]
		if len(rows) == 0 {
			continue
		}
		rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		list, err := json.Marshal(rows)
		w.OK(err)
		batch.Queue(`INSERT INTO "`+table+`" SELECT * FROM jsonb_populate_recordset(NULL::"`+table+`", $1::jsonb)`, list)
	}
	w.OK(t.conn.SendBatch(w.Ctx, batch).Close())
	return names
}

// tally counts what the calls of a race came to.
type tally[K comparable] struct {
	mu sync.Mutex
	m  map[K]int
}

func (c *tally[K]) add(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[K]int{}
	}
	c.m[k]++
}

// want fails the test unless exactly this was counted.
func (c *tally[K]) want(w *world, want map[K]int) {
	w.Helper()
	if !maps.Equal(c.m, want) {
		w.Errorf("outcomes %v, want %v", c.m, want)
	}
}

// onlyOne counts the calls that answered with a row, of several of which only one may.
func onlyOne(w *world, call string, n int, do func(i int) error) {
	w.Helper()
	var c tally[bool]
	fixture.Together(fixture.Times(n, func(i int) { c.add(w.found(call, do(i))) })...)
	if c.m[true] != 1 {
		w.Errorf("%s: %d of %d calls had a row, want 1", call, c.m[true], n)
	}
}

func TestRaceCodeIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 18)
	for range *raceRounds {
		id, code := w.Grant()
		var c tally[store.RedemptionOutcome]
		redeem := func(change func(p *store.RedeemAuthorizationCodeParams)) func(int) {
			return func(int) {
				p := w.RedeemParams(code)
				p.AccessToken, p.RefreshToken = new(fixture.Digest(fixture.Unique("at"))), new(fixture.Digest(fixture.Unique("rt")))
				change(&p)
				r, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
				if w.Raced("RedeemAuthorizationCode", err) {
					c.add(r.Outcome)
				}
			}
		}
		calls := fixture.Times(16, redeem(func(*store.RedeemAuthorizationCodeParams) {}))
		calls = append(calls, fixture.Times(2, redeem(func(p *store.RedeemAuthorizationCodeParams) { p.CodeChallenge = new("another") }))...)
		fixture.Together(calls...)
		c.want(w, map[store.RedemptionOutcome]int{store.RedemptionOutcomeRedeemed: 1, store.RedemptionOutcomeReplayed: 15, store.RedemptionOutcomeMismatched: 2})

		if access, refresh := w.CountLive(id); access+refresh > 0 {
			w.Errorf("%d access and %d refresh tokens are live after the code was replayed", access, refresh)
		}
		var rows int
		var reason store.RevocationReason
		w.OK(w.Pool.QueryRow(w.Ctx, `
			SELECT (SELECT count(*) FROM oauth_access_token t WHERE t.authorization_id = a.id)
				+ (SELECT count(*) FROM oauth_refresh_token r WHERE r.authorization_id = a.id), a.revoked_reason
			FROM oauth_authorization a
			WHERE a.id = $1`, id).Scan(&rows, &reason))
		if rows != 2 || reason != store.RevocationReasonCodeReplayed {
			w.Errorf("%d tokens were written, revoked for %s; want 2, code_replayed", rows, reason)
		}
	}
}

// raceRotations presents one refresh token n times at once and counts the outcomes. Each caller proposes another id for the
// successor, in no order; all of them are answered with the same.
func raceRotations(w *world, n int, refresh string, grace time.Duration, c *tally[store.RotationOutcome]) (calls []func(), check func()) {
	w.Helper()
	var mu sync.Mutex
	successors := map[store.RefreshTokenID]int{}
	return fixture.Times(n, func(int) {
			p, _ := w.RotateParams(refresh)
			p.Grace = grace
			p.SuccessorID = store.RefreshTokenID(fmt.Sprintf("%x", rand.Uint64()))
			r, err := w.Q.RotateRefreshToken(w.Ctx, p)
			if !w.Raced("RotateRefreshToken", err) {
				return
			}
			c.add(r.Outcome)
			if r.Outcome == store.RotationOutcomeRotated || r.Outcome == store.RotationOutcomeReplayed {
				if r.Successor == nil || *r.Successor != fixture.Digest(fixture.SuccessorOf(refresh)) || r.SuccessorID == nil {
					w.Errorf("%s: successor %v, id %v", r.Outcome, r.Successor, r.SuccessorID)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				successors[*r.SuccessorID]++
			}
		}), func() {
			w.Helper()
			if len(successors) > 1 {
				w.Errorf("%d successors: %v", len(successors), successors)
			}
		}
}

func TestRaceRotationsConverge(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for range *raceRounds {
		k := w.Redeem()
		var c tally[store.RotationOutcome]
		calls, check := raceRotations(w, 16, k.Refresh, fixture.Grace, &c)
		fixture.Together(calls...)
		check()
		c.want(w, map[store.RotationOutcome]int{store.RotationOutcomeRotated: 1, store.RotationOutcomeReplayed: 15})
		if access, refresh := w.CountLive(k.Authorization); access != 17 || refresh != 1 {
			w.Errorf("%d access and %d refresh tokens are live, want 17 and 1", access, refresh)
		}
	}
}

// TestRaceChainOfRotations is a family that lives long, every rotation of which is raced: by those who have its token, and by one
// who is late and retries with the one before.
func TestRaceChainOfRotations(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	const links = 10
	for range roundsOf(links) {
		k := w.Redeem()
		refresh := k.Refresh
		for range links {
			var c tally[store.RotationOutcome]
			calls, check := raceRotations(w, 8, refresh, fixture.Grace, &c)
			fixture.Together(calls...)
			check()
			c.want(w, map[store.RotationOutcome]int{store.RotationOutcomeRotated: 1, store.RotationOutcomeReplayed: 7})
			// While its successor has not been used, a retry is forgiven, and it takes nothing from the successor.
			w.Rotate(refresh, store.RotationOutcomeReplayed)
			refresh = fixture.SuccessorOf(refresh)
			if _, n := w.CountLive(k.Authorization); n != 1 {
				w.Errorf("%d refresh tokens are live, want 1", n)
			}
		}
		w.WantLive(refresh)
	}
}

// TestRaceRotationOfPredecessorAndCurrent lets retries of the immediate predecessor race the use of its successor: each retry is
// forgiven if it came first; the first that came after is reuse, and then the family is dead as a whole.
func TestRaceRotationOfPredecessorAndCurrent(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	for range roundsOf(2) {
		k := w.Redeem()
		w.Rotate(k.Refresh, store.RotationOutcomeRotated)
		current := fixture.SuccessorOf(k.Refresh)
		var old, now tally[store.RotationOutcome]
		retries, _ := raceRotations(w, 4, k.Refresh, fixture.Grace, &old)
		uses, _ := raceRotations(w, 4, current, fixture.Grace, &now)
		calls := slices.Concat(retries, uses)
		for i := range calls {
			calls[i] = soonerOrLater(calls[i])
		}
		fixture.Together(calls...)
		_, refresh := w.CountLive(k.Authorization)
		if old.m[store.RotationOutcomeReused] > 1 || now.m[store.RotationOutcomeReused] > 0 {
			w.Errorf("predecessor: %v, current: %v", old.m, now.m)
		}
		if dead := old.m[store.RotationOutcomeReused] == 1; dead != (refresh == 0) || refresh > 1 {
			w.Errorf("%d refresh tokens are live; predecessor: %v, current: %v", refresh, old.m, now.m)
		}
	}
}

func TestRaceStrictRotationsEndTheFamily(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for range *raceRounds {
		k := w.Redeem()
		var c tally[store.RotationOutcome]
		calls, check := raceRotations(w, 16, k.Refresh, 0, &c)
		fixture.Together(calls...)
		check()
		c.want(w, map[store.RotationOutcome]int{store.RotationOutcomeRotated: 1, store.RotationOutcomeReused: 1, store.RotationOutcomeRevoked: 14})
		if access, refresh := w.CountLive(k.Authorization); access+refresh > 0 {
			w.Errorf("%d access and %d refresh tokens are live after reuse", access, refresh)
		}
	}
}

// TestRaceReuseEndsWhatIsBeingRotated is why there is a row for the family: the successor that a rotation is inserting is in no
// snapshot that the reuse could look at.
func TestRaceReuseEndsWhatIsBeingRotated(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for round := range *raceRounds {
		n := []int{1, 4, 8}[round%3]
		k := w.Redeem()
		w.Rotate(k.Refresh, store.RotationOutcomeRotated)
		w.Rotate(fixture.SuccessorOf(k.Refresh), store.RotationOutcomeRotated)
		current := fixture.SuccessorOf(fixture.SuccessorOf(k.Refresh))
		var old, now tally[store.RotationOutcome]
		reuses, _ := raceRotations(w, n, k.Refresh, fixture.Grace, &old)
		rotations, check := raceRotations(w, n, current, fixture.Grace, &now)
		calls := slices.Concat(reuses, rotations)
		for i := range calls {
			calls[i] = soonerOrLater(calls[i])
		}
		fixture.Together(calls...)
		check()
		want := map[store.RotationOutcome]int{store.RotationOutcomeReused: 1, store.RotationOutcomeRevoked: n - 1}
		if n == 1 {
			delete(want, store.RotationOutcomeRevoked)
		}
		old.want(w, want)
		if rotated := now.m[store.RotationOutcomeRotated]; rotated > 1 || rotated+now.m[store.RotationOutcomeReplayed]+now.m[store.RotationOutcomeRevoked] != n {
			w.Errorf("rotations: %v", now.m)
		}
		if access, refresh := w.CountLive(k.Authorization); access+refresh > 0 {
			w.Errorf("%d access and %d refresh tokens are live after reuse", access, refresh)
		}
		w.WantDead(current, fixture.SuccessorOf(current))
	}
}

func TestRaceMergedConsentsLoseNoScope(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 12)
	for range roundsOf(2) {
		client := w.NewClient()
		const n = 12
		fixture.Together(fixture.Times(n, func(i int) {
			_, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{
				ID: store.NewConsentID(), ClientID: client, UserID: w.User, Scopes: []string{"openid", fmt.Sprint("scope", i)}, Merge: true,
			})
			w.Raced("GrantConsent", err)
		})...)
		c, err := w.Q.FindConsent(w.Ctx, store.FindConsentParams{ClientID: client, UserID: w.User})
		w.OK(err)
		if slices.Sort(c.Scopes); len(c.Scopes) != n+1 || len(slices.Compact(c.Scopes)) != n+1 {
			w.Errorf("%d merges came to %v", n, c.Scopes)
		}
	}
}

// TestRaceConsentsAreGrantedInSomeOrder lets merges, replacements and withdrawals race. Each grant answers with the whole consent, so
// the order in which they took effect shows: a merge adds its scope to what another call left, or to nothing.
func TestRaceConsentsAreGrantedInSomeOrder(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 12)
	for range roundsOf(2) {
		client := w.NewClient()
		var mu sync.Mutex
		left := map[string]int{"": 1} // what a call left, and how many times a call may still have found it
		merged := map[string]string{} // by the merge's own scope
		var withdrawn [][]string
		key := func(scopes []string) string { slices.Sort(scopes); return strings.Join(scopes, " ") }
		grant := func(merge bool) func(int) {
			return func(i int) {
				own := fmt.Sprintf("%t%02d", merge, i)
				c, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{
					ID: store.NewConsentID(), ClientID: client, UserID: w.User, Scopes: []string{own}, Merge: merge,
				})
				if !w.Raced("GrantConsent", err) {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				left[key(c.Scopes)]++
				if merge {
					merged[own] = key(slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return s == own }))
				} else if len(c.Scopes) != 1 {
					w.Errorf("a replacement by %s left %v", own, c.Scopes)
				}
			}
		}
		withdraw := func(int) {
			c, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: client})
			if w.found("WithdrawConsent", err) {
				mu.Lock()
				defer mu.Unlock()
				withdrawn = append(withdrawn, c.Scopes)
				left[""]++
			}
		}
		fixture.Together(slices.Concat(fixture.Times(6, grant(true)), fixture.Times(2, grant(false)), fixture.Times(3, withdraw))...)
		final := ""
		if c, err := w.Q.FindConsent(w.Ctx, store.FindConsentParams{ClientID: client, UserID: w.User}); w.found("FindConsent", err) {
			final = key(c.Scopes)
		}
		found := slices.Collect(maps.Values(merged))
		for _, scopes := range withdrawn {
			found = append(found, key(scopes))
		}
		for _, f := range append(found, final) {
			if left[f]--; left[f] < 0 {
				w.Errorf("a call found %q, which no other left to it", f)
			}
		}
	}
}

// TestRaceOnlyOneCallDecides holds for every call of which only the first may succeed that of many at once only one does.
func TestRaceOnlyOneCallDecides(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	const n = 8
	approve := func(id store.AuthorizationID, code string) (store.ApproveAuthorizationRow, error) {
		return w.Q.ApproveAuthorization(w.Ctx, store.ApproveAuthorizationParams{
			ID: id, UserID: w.User, SessionID: &w.Session, GrantedScopes: []string{"openid"}, Code: new(fixture.Digest(code)), CodeLifetime: time.Minute,
		})
	}
	for range roundsOf(10) {
		request := func(uri *token.Digest) store.AuthorizationID {
			a, err := w.Q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{
				ID: store.NewAuthorizationID(), ClientID: w.Client, Scopes: []string{"openid"}, RequestURI: uri, Lifetime: time.Minute,
			})
			w.OK(err)
			return a.ID
		}

		uri := fixture.Digest(fixture.Unique("request_uri"))
		pushed := request(&uri)
		onlyOne(w, "TakeAuthorizationByRequestURI", n, func(int) error {
			_, err := w.Q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.Client, Lifetime: time.Minute})
			return err
		})

		// One decision, and the code is of the one who made it.
		var decisions tally[store.DecisionOutcome]
		var winner atomic.Pointer[string]
		code := fixture.Unique("code")
		deny := func(int) {
			r, err := w.Q.DenyAuthorization(w.Ctx, pushed)
			if w.Raced("DenyAuthorization", err) {
				decisions.add(r.Outcome)
			}
		}
		fixture.Together(append(fixture.Times(n-2, func(i int) {
			mine := fmt.Sprint(code, i)
			r, err := approve(pushed, mine)
			if w.Raced("ApproveAuthorization", err) {
				decisions.add(r.Outcome)
				if r.Outcome == store.DecisionOutcomeApproved {
					winner.Store(&mine)
				}
			}
		}), fixture.Times(2, deny)...)...)
		if decisions.m[store.DecisionOutcomeDecided] != n-1 {
			w.Errorf("decisions: %v", decisions.m)
		}
		a, err := w.Q.GetAuthorization(w.Ctx, pushed)
		w.OK(err)
		if c := winner.Load(); c != nil && (a.Status != store.AuthorizationStatusApproved || *a.Code != fixture.Digest(*c)) || c == nil && a.Status != store.AuthorizationStatusDenied {
			w.Errorf("%s, code %v; decisions: %v", a.Status, a.Code, decisions.m)
		}

		denied := request(nil)
		var denials tally[store.DecisionOutcome]
		fixture.Together(fixture.Times(n, func(int) {
			r, err := w.Q.DenyAuthorization(w.Ctx, denied)
			if w.Raced("DenyAuthorization", err) {
				denials.add(r.Outcome)
			}
		})...)
		denials.want(w, map[store.DecisionOutcome]int{store.DecisionOutcomeDenied: 1, store.DecisionOutcomeDecided: n - 1})

		// A code that is replaced while it is redeemed: either it was redeemed before, and no code is issued any more, or it is unknown.
		id := request(nil)
		code = fixture.Unique("code")
		_, err = approve(id, code)
		w.OK(err)
		var codes tally[store.CodeOutcome]
		redeemed := false
		fixture.Together(append(fixture.Times(n-1, func(i int) {
			r, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{ID: id, Code: fixture.Digest(fmt.Sprint(code, i)), CodeLifetime: time.Minute})
			if w.Raced("IssueAuthorizationCode", err) {
				codes.add(r.Outcome)
			}
		}), func() {
			p := w.RedeemParams(code)
			p.CodeChallenge, p.RedirectURI = nil, nil
			r, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			redeemed = w.found("RedeemAuthorizationCode", err)
			if redeemed && r.Outcome != store.RedemptionOutcomeRedeemed {
				w.Errorf("RedeemAuthorizationCode: %s", r.Outcome)
			}
		})...)
		want := map[store.CodeOutcome]int{store.CodeOutcomeIssued: n - 1}
		if redeemed {
			want = map[store.CodeOutcome]int{store.CodeOutcomeRedeemed: n - 1}
		}
		codes.want(w, want)

		// A code that is asked for while the user decides: there is none before the approval.
		id = request(nil)
		code = fixture.Unique("code")
		var early tally[store.CodeOutcome]
		fixture.Together(append(fixture.Times(n-1, func(i int) {
			r, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{ID: id, Code: fixture.Digest(fmt.Sprint(code, i)), CodeLifetime: time.Minute})
			if w.Raced("IssueAuthorizationCode", err) {
				early.add(r.Outcome)
			}
		}), func() {
			r, err := approve(id, code)
			if w.Raced("ApproveAuthorization", err) && r.Outcome != store.DecisionOutcomeApproved {
				w.Errorf("ApproveAuthorization: %s", r.Outcome)
			}
		})...)
		if early.m[store.CodeOutcomeUndecided]+early.m[store.CodeOutcomeIssued] != n-1 {
			w.Errorf("codes: %v", early.m)
		}
		a, err = w.Q.GetAuthorization(w.Ctx, id)
		w.OK(err)
		if (*a.Code == fixture.Digest(code)) != (early.m[store.CodeOutcomeIssued] == 0) {
			w.Errorf("the code is not of the last who gave one: %v", early.m)
		}

		assertion := fixture.Digest(fixture.Unique("assertion"))
		var assertions tally[store.AssertionOutcome]
		fixture.Together(fixture.Times(n, func(int) {
			o, err := w.Q.RememberClientAssertion(w.Ctx, store.RememberClientAssertionParams{ID: assertion, ExpiresAt: time.Now().Add(time.Minute)})
			if w.Raced("RememberClientAssertion", err) {
				assertions.add(o)
			}
		})...)
		assertions.want(w, map[store.AssertionOutcome]int{store.AssertionOutcomeFresh: 1, store.AssertionOutcomeReplayed: n - 1})

		k := w.Redeem()
		onlyOne(w, "RevokeToken of an access token", n, func(int) error {
			_, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(k.Access), ClientID: w.Client})
			return err
		})
		jwt, err := w.Q.FindAccessTokenByToken(w.Ctx, fixture.Digest(w.Redeem().Access))
		w.OK(err)
		onlyOne(w, "RevokeAccessTokenByID", n, func(int) error {
			_, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{ID: jwt.ID, ClientID: w.Client})
			return err
		})
		onlyOne(w, "RevokeToken of a refresh token", n, func(int) error {
			_, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(k.Refresh), ClientID: w.Client})
			return err
		})
		stray := fixture.Unique("rt-stray")
		w.ForeignRefreshToken(stray)
		onlyOne(w, "RevokeToken of a refresh token without a family", n, func(int) error {
			_, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(stray), ClientID: w.Client})
			return err
		})
		family := w.Redeem().Authorization
		onlyOne(w, "RevokeAuthorization", n, func(int) error {
			_, err := w.Q.RevokeAuthorization(w.Ctx, family)
			return err
		})
		_, err = w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.Client, UserID: w.User, Scopes: []string{"openid"}})
		w.OK(err)
		onlyOne(w, "WithdrawConsent", n, func(int) error {
			_, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: w.Client})
			return err
		})

		key, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: store.NewSigningKeyID(), PublicKey: "{}", PrivateKey: "sealed"})
		w.OK(err)
		onlyOne(w, "DeleteSigningKey", n, func(int) error {
			_, err := w.Q.DeleteSigningKey(w.Ctx, key.ID)
			return err
		})

		// Of the last two ways to sign in, one stays, whoever removes which.
		var accounts [2]store.AccountID
		for i := range accounts {
			accounts[i] = store.NewAccountID()
			_, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: accounts[i], AccountID: fixture.Unique("account"), ProviderID: "credential", UserID: w.User})
			w.OK(err)
		}
		onlyOne(w, "DeleteAccount", n, func(i int) error {
			_, err := w.Q.DeleteAccount(w.Ctx, store.DeleteAccountParams{ID: accounts[i%2], UserID: w.User})
			return err
		})
		w.Exec(`DELETE FROM account`)

		client := w.NewClient()
		onlyOne(w, "DeleteClient", n, func(int) error {
			_, err := w.Q.DeleteClient(w.Ctx, client)
			return err
		})
		user := w.NewUser()
		onlyOne(w, "DeleteUser", n, func(int) error {
			_, err := w.Q.DeleteUser(w.Ctx, user)
			return err
		})
	}
}

// TestRaceEachEndIsToldOnce holds for calls that answer with all that they have ended that of many at once, all together tell each
// thing once: a client is notified once.
func TestRaceEachEndIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	const n, families = 6, 4
	for range roundsOf(10) {
		user := w.NewUser()
		session, second := w.NewSession(user), w.NewSession(user)
		client := w.NewClient(func(p *store.CreateClientParams) { p.Public = new(true) })
		grants := func() {
			for i := range families {
				w.Redeem(func(p *store.GrantAuthorizationParams) {
					p.UserID, p.ClientID, p.SessionID, p.GrantedScopes = user, client, &session, []string{"openid"}
					if i == 0 {
						p.SessionID = &second
					}
				})
			}
		}
		once := func(call string, want int, do func() ([]*store.AuthorizationID, error)) {
			w.Helper()
			var told tally[store.AuthorizationID]
			fixture.Together(fixture.Times(n, func(int) {
				ids, err := do()
				if !w.Raced(call, err) {
					return
				}
				for _, id := range ids {
					if id != nil {
						told.add(*id)
					}
				}
			})...)
			for id, times := range told.m {
				if times != 1 {
					w.Errorf("%s told %d times of %s", call, times, id)
				}
			}
			if len(told.m) != want {
				w.Errorf("%s told of %d families, want %d", call, len(told.m), want)
			}
		}
		grants()
		once("RevokeUserAuthorizations", families, func() (ids []*store.AuthorizationID, err error) {
			rows, err := w.Q.RevokeUserAuthorizations(w.Ctx, store.RevokeUserAuthorizationsParams{UserID: user})
			for _, r := range rows {
				ids = append(ids, r.AuthorizationID)
			}
			return ids, err
		})
		grants()
		var ended atomic.Int64
		fixture.Together(fixture.Times(n, func(int) {
			r, err := w.Q.RevokeClientAuthorizations(w.Ctx, client)
			if w.Raced("RevokeClientAuthorizations", err) {
				ended.Add(r.Authorizations)
			}
		})...)
		if ended.Load() != families {
			w.Errorf("RevokeClientAuthorizations ended %d families, want %d", ended.Load(), families)
		}
		grants()
		once("EndSession", (families-1)*3, func() (ids []*store.AuthorizationID, err error) {
			rows, err := w.Q.EndSession(w.Ctx, session)
			for _, r := range rows {
				ids = append(ids, r.AuthorizationID)
			}
			return ids, err
		})
		once("EndUserSessions", 3, func() (ids []*store.AuthorizationID, err error) {
			rows, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: user})
			for _, r := range rows {
				ids = append(ids, r.AuthorizationID)
			}
			return ids, err
		})
	}
}

// TestRaceUpdatesLoseNothing holds for calls that change a part of a row, or by what is in it, that many at once come to the same as
// one after the other.
func TestRaceUpdatesLoseNothing(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	const n = 8
	account, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: store.NewAccountID(), AccountID: "x", ProviderID: "credential", UserID: w.User})
	w.OK(err)
	secret := fixture.Digest("secret")
	confidential := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = &secret })
	for range roundsOf(10) {
		word := fixture.Unique("word")

		fixture.Together(fixture.Times(n, func(i int) {
			p := store.UpdateUserParams{ID: w.User}
			switch i % 3 {
			case 0:
				p.Name = &word
			case 1:
				p.Email = new(word + "@example.com")
			case 2:
				p.Image = &word
			}
			_, err := w.Q.UpdateUser(w.Ctx, p)
			w.Raced("UpdateUser", err)
		})...)
		u, err := w.Q.GetUser(w.Ctx, w.User)
		w.OK(err)
		if u.Name != word || u.Email != word+"@example.com" || u.Image == nil || *u.Image != word {
			w.Errorf("UpdateUser: %+v", u)
		}

		fixture.Together(fixture.Times(n, func(i int) {
			p := store.UpdateClientParams{ClientID: w.Client}
			switch i % 4 {
			case 0:
				p.Name = &word
			case 1:
				p.URI = &word
			case 2:
				p.Scopes = []string{word}
			case 3:
				p.Cleared = []string{string(store.OAuthClientFieldTOS)}
			}
			_, err := w.Q.UpdateClient(w.Ctx, p)
			w.Raced("UpdateClient", err)
		})...)
		c, err := w.Q.GetClient(w.Ctx, w.Client)
		w.OK(err)
		if c.Name == nil || *c.Name != word || c.URI == nil || *c.URI != word || !slices.Equal(c.Scopes, []string{word}) || c.TOS != nil {
			w.Errorf("UpdateClient: %+v", c)
		}

		fixture.Together(fixture.Times(n, func(i int) {
			p := store.UpdateAccountTokensParams{ID: account.ID}
			switch i % 3 {
			case 0:
				p.AccessToken = &word
			case 1:
				p.RefreshToken = &word
			case 2:
				p.Scope = &word
			}
			_, err := w.Q.UpdateAccountTokens(w.Ctx, p)
			w.Raced("UpdateAccountTokens", err)
		})...)
		a, err := w.Q.GetAccount(w.Ctx, account.ID)
		w.OK(err)
		if a.AccessToken == nil || *a.AccessToken != word || a.RefreshToken == nil || *a.RefreshToken != word || a.Scope == nil || *a.Scope != word {
			w.Errorf("UpdateAccountTokens: %+v", a)
		}

		// Each secret replaces one that another call had set, or the first: they form a chain.
		var mu sync.Mutex
		next := map[token.Digest]token.Digest{}
		fixture.Together(fixture.Times(n, func(i int) {
			mine := fixture.Digest(fmt.Sprint(word, i))
			r, err := w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: confidential, ClientSecret: mine, Overlap: time.Minute})
			if w.Raced("RotateClientSecret", err) {
				mu.Lock()
				defer mu.Unlock()
				next[*r.PreviousClientSecret] = mine
			}
		})...)
		length := 0
		for s, found := next[secret]; found; s, found = next[s] {
			secret = s
			length++
		}
		if length != n {
			w.Errorf("RotateClientSecret: a chain of %d secrets, want %d", length, n)
		}

		// An expiry is never postponed.
		key, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: store.NewSigningKeyID(), PublicKey: "{}", PrivateKey: "sealed"})
		w.OK(err)
		var retired atomic.Int64
		retired.Store(math.MaxInt64)
		fixture.Together(fixture.Times(n, func(i int) {
			r, err := w.Q.RetireSigningKey(w.Ctx, store.RetireSigningKeyParams{ID: key.ID, Lifetime: time.Duration(1+(i*5)%n) * time.Hour})
			if w.Raced("RetireSigningKey", err) {
				raceLower(&retired, r.ExpiresAt.UnixMicro())
			}
		})...)
		key, err = w.Q.GetSigningKey(w.Ctx, key.ID)
		w.OK(err)
		if key.ExpiresAt.UnixMicro() != retired.Load() {
			w.Errorf("RetireSigningKey: expires at %v, a call said %v", key.ExpiresAt, time.UnixMicro(retired.Load()))
		}

		// One extension, which all answers know of; and a session never gets shorter.
		session := w.NewSession(w.User)
		var extended atomic.Int64
		var answers tally[int64]
		fixture.Together(fixture.Times(n, func(int) {
			r, err := w.Q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: session, Lifetime: 3 * time.Hour, MinGain: time.Hour})
			if w.Raced("ExtendSession", err) {
				answers.add(r.ExpiresAt.UnixMicro())
				if r.Extended {
					extended.Add(1)
				}
			}
		})...)
		if extended.Load() != 1 || len(answers.m) != 1 {
			w.Errorf("ExtendSession: %d extensions, answers %v", extended.Load(), answers.m)
		}
		fixture.Together(fixture.Times(n, func(i int) {
			_, err := w.Q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: session, Lifetime: time.Duration(4+(i*5)%n) * time.Hour})
			w.Raced("ExtendSession", err)
		})...)
		s, err := w.Q.GetSession(w.Ctx, session)
		w.OK(err)
		if left := time.Until(s.ExpiresAt); left < (4+n-1)*time.Hour-time.Minute {
			w.Errorf("ExtendSession: %v left", left)
		}
	}
}

// TestRaceSessionSlidesWhileItGrants: a page that loads extends the session with each of its requests, while grants hold the session
// for their foreign keys.
func TestRaceSessionSlidesWhileItGrants(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 10)
	for range roundsOf(10) {
		calls := fixture.Times(6, func(i int) {
			for j := range 4 {
				r, err := w.Q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: w.Session, Lifetime: time.Duration(i+j+2) * time.Hour})
				if w.Raced("ExtendSession", err) && r.UserID != w.User {
					w.Errorf("ExtendSession: the session of %s", r.UserID)
				}
			}
		})
		calls = append(calls, fixture.Times(4, func(int) {
			for range 3 {
				outcome, err := w.Q.GrantAuthorization(w.Ctx, w.GrantParams(fixture.Unique("code")))
				if w.Raced("GrantAuthorization", err) && outcome != store.GrantOutcomeGranted {
					w.Errorf("GrantAuthorization: %s", outcome)
				}
			}
		})...)
		fixture.Together(calls...)
	}
}

// TestRaceLastWriteStands is for calls that overwrite: what stands is what one of them wrote, whole, and each has answered with its own.
func TestRaceLastWriteStands(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	const n = 8
	_, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: store.NewAccountID(), AccountID: "x", ProviderID: "credential", UserID: w.User})
	w.OK(err)
	for range roundsOf(10) {
		word := fixture.Unique("word")
		var last string
		fixture.Together(fixture.Times(n, func(i int) {
			mine := fmt.Sprint(word, i)
			a, err := w.Q.UpdateAccountPassword(w.Ctx, store.UpdateAccountPasswordParams{UserID: w.User, Password: mine})
			if w.Raced("UpdateAccountPassword", err) && *a.Password != mine {
				w.Errorf("UpdateAccountPassword: %s, want %s", *a.Password, mine)
			}
		})...)
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT password FROM account WHERE user_id = $1`, w.User).Scan(&last))
		if !strings.HasPrefix(last, word) {
			w.Errorf("UpdateAccountPassword left %s", last)
		}
		fixture.Together(fixture.Times(n, func(i int) {
			_, err := w.Q.SetRegistrationAccessToken(w.Ctx, store.SetRegistrationAccessTokenParams{
				ClientID: w.Client, RegistrationAccessToken: new(fixture.Digest(fmt.Sprint(word, i))),
			})
			w.Raced("SetRegistrationAccessToken", err)
		})...)
		managed := 0
		for i := range n {
			_, err := w.Q.GetClientByRegistrationToken(w.Ctx, store.GetClientByRegistrationTokenParams{
				ClientID: w.Client, RegistrationAccessToken: fixture.Digest(fmt.Sprint(word, i)),
			})
			if w.found("GetClientByRegistrationToken", err) {
				managed++
			}
		}
		if managed != 1 {
			w.Errorf("%d registration access tokens manage the client, want 1", managed)
		}
		fixture.Together(fixture.Times(n, func(i int) {
			if i%2 == 0 {
				c, err := w.Q.DisableClient(w.Ctx, w.Client)
				w.Raced("DisableClient", err)
				if !c.Disabled {
					w.Errorf("DisableClient answered with an enabled client")
				}
				return
			}
			c, err := w.Q.EnableClient(w.Ctx, w.Client)
			w.Raced("EnableClient", err)
			if c.Disabled {
				w.Errorf("EnableClient answered with a disabled client")
			}
		})...)
	}
}

// TestRaceRequestsOfADeletedClient lets everything that begins with a client race its deletion: each call either came first, and
// what it wrote is gone, or finds no client. None violates a foreign key.
func TestRaceRequestsOfADeletedClient(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	for range roundsOf(2) {
		client := w.NewClient()
		calls := append(fixture.Times(3, func(int) {
			_, err := w.Q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{
				ID: store.NewAuthorizationID(), ClientID: client, Scopes: []string{"openid"}, Lifetime: time.Minute,
			})
			w.found("CreateAuthorization", err)
		}), fixture.Times(3, func(int) {
			_, err := w.Q.IssueAccessToken(w.Ctx, store.IssueAccessTokenParams{
				ClientID: client, ID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(fixture.Unique("at"))), Scopes: []string{"api"},
			})
			w.found("IssueAccessToken", err)
		})...)
		calls = append(calls, func() {
			_, err := w.Q.DeleteClient(w.Ctx, client)
			w.Raced("DeleteClient", err)
		})
		for i := range calls {
			calls[i] = soonerOrLater(calls[i])
		}
		fixture.Together(calls...)
	}
	var rest int
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT (SELECT count(*) FROM oauth_authorization) + (SELECT count(*) FROM oauth_access_token)`).Scan(&rest))
	if rest > 0 {
		w.Errorf("%d rows are left", rest)
	}
}

// raceLower sets a to v if that is less.
func raceLower(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if v >= old || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// raceOf names, for each query that writes by what it finds, the test that races it. (A plain INSERT of new values finds nothing:
// of two with the same key, its constraint refuses one.)
var raceOf = map[string]string{
	"AdoptRefreshTokens":            "TestRaceBatchesAdoptEachTokenOnce",
	"ApproveAuthorization":          "TestRaceOnlyOneCallDecides",
	"CreateAuthorization":           "TestRaceRequestsOfADeletedClient",
	"DeleteAccount":                 "TestRaceOnlyOneCallDecides",
	"DeleteClient":                  "TestRaceOnlyOneCallDecides",
	"DeleteExpiredAccessTokens":     "TestRaceCollectorsShareTheWork",
	"DeleteExpiredAuthorizations":   "TestRaceCollectorsShareTheWork",
	"DeleteExpiredClientAssertions": "TestRaceCollectorsShareTheWork",
	"DeleteExpiredRefreshTokens":    "TestRaceCollectorsShareTheWork",
	"DeleteExpiredSessions":         "TestRaceCollectorsShareTheWork",
	"DeleteExpiredSigningKeys":      "TestRaceCollectorsShareTheWork",
	"DeleteSigningKey":              "TestRaceOnlyOneCallDecides",
	"DeleteUser":                    "TestRaceOnlyOneCallDecides",
	"DenyAuthorization":             "TestRaceOnlyOneCallDecides",
	"DisableClient":                 "TestRaceGrantsAgainstEndings",
	"EnableClient":                  "TestRaceLastWriteStands",
	"EndSession":                    "TestRaceEachEndIsToldOnce",
	"EndUserSessions":               "TestRaceEachEndIsToldOnce",
	"ExtendSession":                 "TestRaceUpdatesLoseNothing",
	"GrantAuthorization":            "TestRaceGrantsAgainstEndings",
	"GrantConsent":                  "TestRaceMergedConsentsLoseNoScope",
	"IssueAccessToken":              "TestRaceGrantsAgainstEndings",
	"IssueAuthorizationCode":        "TestRaceOnlyOneCallDecides",
	"RedeemAuthorizationCode":       "TestRaceCodeIsRedeemedOnce",
	"RememberClientAssertion":       "TestRaceOnlyOneCallDecides",
	"RetireSigningKey":              "TestRaceUpdatesLoseNothing",
	"RevokeAccessTokenByID":         "TestRaceOnlyOneCallDecides",
	"RevokeAuthorization":           "TestRaceOnlyOneCallDecides",
	"RevokeClientAuthorizations":    "TestRaceEachEndIsToldOnce",
	"RevokeToken":                   "TestRaceOnlyOneCallDecides",
	"RevokeUserAuthorizations":      "TestRaceEachEndIsToldOnce",
	"RotateClientSecret":            "TestRaceUpdatesLoseNothing",
	"RotateRefreshToken":            "TestRaceRotationsConverge",
	"SetRegistrationAccessToken":    "TestRaceLastWriteStands",
	"TakeAuthorizationByRequestURI": "TestRaceOnlyOneCallDecides",
	"UpdateAccountPassword":         "TestRaceLastWriteStands",
	"UpdateAccountTokens":           "TestRaceUpdatesLoseNothing",
	"UpdateClient":                  "TestRaceUpdatesLoseNothing",
	"UpdateUser":                    "TestRaceUpdatesLoseNothing",
	"WithdrawConsent":               "TestRaceConsentsAreGrantedInSomeOrder",
}

// conditionalWrites are the queries that write by what they find.
func conditionalWrites(t *testing.T) (names []string) {
	t.Helper()
	comment := regexp.MustCompile(`(?m)--.*$`)
	writes := regexp.MustCompile(`\b(INSERT INTO|UPDATE\s+\S+\s+AS|DELETE FROM)\b`)
	plain := regexp.MustCompile(`(?s)^\s*INSERT INTO [^;]*\bVALUES\b`)
	finds := regexp.MustCompile(`\b(ON CONFLICT|FROM|UPDATE|DELETE)\b`)
	for _, q := range readQueries(t) {
		sql := comment.ReplaceAllString(q.SQL, "")
		if writes.MatchString(sql) && !(plain.MatchString(sql) && !finds.MatchString(sql)) {
			names = append(names, q.Name)
		}
	}
	return names
}

// TestRaceOfEachConditionalWrite holds raceOf to the queries and to the tests: each query that writes by what it finds is in it, and
// the test that it names calls the query, be it by way of other functions and tables of this package and of the fixture.
func TestRaceOfEachConditionalWrite(t *testing.T) {
	t.Parallel()
	queries := conditionalWrites(t)
	for _, q := range queries {
		if raceOf[q] == "" {
			t.Errorf("%s writes by what it finds, and no test races it: write one, and name it in raceOf", q)
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

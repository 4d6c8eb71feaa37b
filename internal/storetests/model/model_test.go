package model

import (
	"context"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// TestModel plays the scenes, then makes random sequences of calls, and after each call compares the answer, and the liveness of all
// tokens, sessions and consents, with the model's. A failure is shrunk, printed a call a line, and run again by the seed or the file
// that rapid names; -rapid.checks and -rapid.steps make it longer. It also fails if something that can happen never did.
func TestModel(t *testing.T) {
	t.Parallel()
	db := newModelDB(t)
	unlessGiven(t, "rapid.shrinktime", "0s") // shrunk does it
	unlessGiven(t, "rapid.checks", "25")     // in each mood
	reached, calls := map[string]int{}, 0
	count := func(h *history) {
		calls += len(h.lines)
		for _, m := range []map[string]int{h.said, h.m.seen} {
			for k, n := range m {
				reached[k] += n
			}
		}
	}
	played := t.Run("scenes", func(t *testing.T) {
		for _, s := range scenes {
			t.Run(s.name, func(t *testing.T) {
				h := db.playing(s, asIs)
				if h.err != nil {
					t.Fatalf("%v%s", h.err, h.GoString())
				}
				count(h)
			})
		}
	})
	for _, mood := range moods {
		t.Run(mood, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				h := rapid.Map(db.histories(mood, asIs), db.shrunk).Draw(rt, "history")
				if h.err != nil {
					rt.Fatal(h.err)
				}
				count(h)
			})
		})
	}
	if played && reached["CreateAuthorization created"] > 0 { // or else -run has left the scenes out
		for _, k := range mustReach() {
			if reached[k] == 0 {
				t.Errorf("in %d calls there never was: %s", calls, k)
			}
		}
	}
	if t.Failed() {
		return
	}
	for _, k := range slices.Sorted(maps.Keys(reached)) {
		t.Logf("%6d %s", reached[k], k)
	}
	t.Logf("%6d calls", calls)
}

// mustReach is what a run has to come across, or it would prove little: the answers of each call, and situations that the model tells
// apart. The scenes see to it.
func mustReach() []string {
	must := slices.Clone(situations)
	for call, outcomes := range answers {
		for o := range strings.FieldsSeq(outcomes) {
			must = append(must, call+" "+o)
		}
	}
	return must
}

var answers = map[string]string{
	"CreateAuthorization":              "created disabled unknown redirect_uri_mismatched unsupported_response_type pkce_required invalid_scope invalid_target",
	"TakeAuthorizationByRequestURI":    "taken unknown",
	"ApproveAuthorization":             "approved retried decided mismatched expired revoked unknown invalid_scope invalid_target disabled suspended signed_out",
	"DenyAuthorization":                "denied decided mismatched expired retried revoked unknown",
	"IssueAuthorizationCode":           "issued undecided decided revoked expired unknown denied invalid_scope",
	"GrantAuthorization":               "granted unknown disabled suspended signed_out redirect_uri_mismatched unsupported_response_type pkce_required invalid_scope invalid_target",
	"RedeemAuthorizationCode":          "redeemed retried unauthenticated unknown mismatched proof_replayed replayed disabled revoked expired invalid_scope invalid_target",
	"RotateRefreshToken":               "rotated retried unauthenticated unknown disabled mismatched revoked proof_replayed replayed superseded expired invalid_scope invalid_target",
	"IssueAccessToken":                 "issued retried unauthenticated disabled unauthorized_client invalid_scope invalid_target",
	"IssueGrant":                       "issued retried unknown disabled suspended signed_out unauthorized_client invalid_scope revoked",
	"ExchangeToken":                    "exchanged retried unauthenticated disabled unauthorized_client unknown unsupported_token_type mismatched expired revoked invalid_scope invalid_target",
	"CreateDeviceAuthorization":        "created unauthenticated disabled unauthorized_client invalid_scope invalid_target taken",
	"FindAuthorizationByUserCode":      "claimed retried unknown suspended signed_out expired mismatched decided revoked disabled",
	"PollDeviceCode":                   "redeemed retried unauthenticated unknown mismatched expired disabled denied revoked replayed superseded authorization_pending slow_down invalid_scope invalid_target",
	"IntrospectToken":                  "active inactive unauthenticated",
	"IntrospectAccessToken":            "active inactive unauthenticated",
	"IntrospectRefreshToken":           "active inactive unauthenticated",
	"IntrospectAccessTokenByID":        "active unauthenticated inactive",
	"IntrospectAuthorization":          "active inactive unauthenticated",
	"RevokeToken":                      "ended revoked unauthenticated unknown",
	"RevokeAccessTokenByID":            "ended revoked unauthenticated unknown",
	"RevokeAuthorization":              "ended unknown revoked",
	"RevokeUserAuthorizations":         "ended unknown",
	"RevokeUserAuthorizationsByClient": "ended unknown",
	"RevokeClientAuthorizations":       "ended unknown",
	"SuspendUser":                      "ended revoked unknown",
	"ReinstateUser":                    "reinstated retried unknown",
	"DeleteUser":                       "deleted unknown",
	"DisableClient":                    "ended unknown",
	"EnableClient":                     "enabled disabled unknown",
	"DeleteClient":                     "deleted unknown",
	"AuthenticateClient":               "authenticated unauthenticated disabled",
	"RotateClientSecret":               "rotated retried unknown",
	"CreateSession":                    "created suspended unknown taken",
	"ExtendSession":                    "extended active signed_out",
	"EndSession":                       "ended revoked unknown",
	"EndUserSessions":                  "ended unknown",
	"GrantConsent":                     "granted disabled suspended unknown",
	"CheckConsent":                     "active disabled unknown",
	"WithdrawConsent":                  "withdrawn ended unknown",
	"ListUserAuthorizations":           "true false",
	"ListClientAuthorizations":         "true false",
}

var situations = []string{
	"a code replaced",
	"a code replayed, tokens live",
	"a consent moved to another tenant",
	"a consent that covers",
	"a call that comes after the use of what it issued",
	"a chain of exchanges",
	"a device polls after grace",
	"a device polls after its refresh token was used",
	"a device polls again",
	"a consent that covers a scope at a resource",
	"a scope that is agreed to at another resource alone",
	"a family revoked by a spent token",
	"a retry after grace",
	"a retry that asks for more",
	"a scope that the client has lost",
	"a session deleted by another server",
	"a session over by its epoch alone",
	"a session that ends later",
	"a token cut to the family's limit",
	"an access token cut to its session",
	"an exchanged token cut to its subject",
	"an older secret",
	"an older secret that counts no more",
	"the user code of a request that has expired",
	"another server's grant for a suspended user",
	"another server's session of a suspended user",
	"another server's token joins a family",
	"collected by DeleteDeadConsents",
	"collected by DeleteEndedAuthorizations",
	"collected by DeleteExpiredAccessTokens",
	"collected by DeleteExpiredAuthorizations",
	"collected by DeleteExpiredPolledRequests",
	"collected by DeleteExpiredRefreshTokens",
	"collected by DeleteExpiredSessions",
	"collected by DeleteSpentRefreshTokens",
	"collected by EraseDeletedClients",
	"foreign rotation false",
	"foreign rotation true",
	"reuse: grace is over",
	"reuse: spent by another server",
	"reuse: the successor was used",
	"DeleteDeadAccessTokens",
	"DeleteDeadConsents",
	"DeleteEndedAuthorizations",
	"DeleteExpiredAccessTokens",
	"DeleteExpiredAuthorizations",
	"DeleteExpiredClientSecrets",
	"DeleteExpiredPolledRequests",
	"DeleteExpiredRefreshTokens",
	"DeleteExpiredSessions",
	"DeleteSpentRefreshTokens",
	"EraseDeletedClients",
	"EraseDeletedUsers",
	"MarkDeadAuthorizations",
	"MarkEndedSessions",
	"SweepSessionClients",
}

// modelDB is the database that histories run in, one after the other.
type modelDB struct {
	ctx   context.Context
	pool  *pgxpool.Pool
	sql   *modelSQL
	drawn int

	shrunkFrom map[string]*history // by the calls of the history that failed
}

func newModelDB(t *testing.T) *modelDB {
	t.Helper()
	db := &modelDB{ctx: t.Context(), pool: fixture.NewPool(t, 1), shrunkFrom: map[string]*history{}}
	err := db.pool.AcquireFunc(db.ctx, func(c *pgxpool.Conn) (err error) {
		// the same few queries, thousands of times on a handful of rows
		if _, err = c.Exec(db.ctx, "SET plan_cache_mode = force_generic_plan; SET jit = off"); err != nil {
			return err
		}
		db.sql, err = newModelSQL(db.ctx, c.Conn())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// run takes the steps from an empty database on, each as the one before has left it, and rolls them back. rewrite may change a query
// before it is run.
func (db *modelDB) run(mood string, rewrite func(string) string, steps func(take func(step))) *history {
	if db.drawn++; db.drawn%32 == 0 {
		// what was rolled back is still in the way
		if _, err := db.pool.Exec(db.ctx, `TRUNCATE "user", oauth_client, oauth_proof CASCADE`); err != nil {
			return &history{err: err}
		}
	}
	tx, err := db.pool.Begin(db.ctx)
	if err != nil {
		return &history{err: err}
	}
	defer tx.Rollback(db.ctx)
	h := newHistory(db.ctx, tx, db.sql, mood, rewrite)
	steps(h.take)
	return h
}

// histories generates histories in a mood, which run as they are drawn.
func (db *modelDB) histories(mood string, rewrite func(string) string) *rapid.Generator[*history] {
	calls := slots(mood)
	return rapid.Custom(func(rt *rapid.T) *history {
		return db.run(mood, rewrite, func(take func(step)) {
			rt.Repeat(map[string]func(*rapid.T){"step": func(rt *rapid.T) {
				take(step{rapid.SampledFrom(calls).Draw(rt, "call"), rapid.Uint64().Draw(rt, "choices")})
			}})
		})
	})
}

// again takes the steps of a history again.
func (db *modelDB) again(mood string, steps []step) *history {
	return db.run(mood, asIs, func(take func(step)) {
		for _, s := range steps {
			take(s)
		}
	})
}

// shrunk returns a history that fails too and has no step that it could fail without, if h fails. (rapid would look at single bits,
// and be at it for minutes.)
func (db *modelDB) shrunk(h *history) *history {
	if h.err == nil {
		return h
	}
	full := h.GoString()
	if known := db.shrunkFrom[full]; known != nil { // rapid runs a failure several times
		return known
	}
	defer func() { db.shrunkFrom[full] = h }()
	again := func(steps []step) bool {
		shorter := db.again(h.mood, steps)
		if shorter.err == nil || db.ctx.Err() != nil {
			return false
		}
		h = shorter
		return true
	}
	for smaller := true; smaller; {
		smaller = false
		for i := len(h.steps) - 1; i >= 0; i-- {
			if i >= len(h.steps) { // it failed earlier
				continue
			}
			without := slices.Delete(slices.Clone(h.steps), i, i+1)
			plain := slices.Clone(h.steps)
			plain[i].choices = 0
			smaller = again(without) || h.steps[i].choices != 0 && again(plain) || smaller
		}
	}
	return h
}

// unlessGiven sets a flag of rapid's for a test.
func unlessGiven(t *testing.T, name, value string) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	before := flag.Lookup(name).Value.String()
	t.Cleanup(func() { flag.Set(name, before) })
	flag.Set(name, value)
}

// asIs rewrites nothing.
func asIs(sql string) string { return sql }

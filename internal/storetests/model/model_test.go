package model

import (
	"context"
	"errors"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// TestModel makes random sequences of calls, and after each of them compares the answer, the liveness of all tokens and what is
// left in the tables with the model's. A failure is shrunk, printed a call a line, and run again by the seed or the file that rapid
// names; -rapid.checks and -rapid.steps make it longer. It also fails if something that can happen never did.
func TestModel(t *testing.T) {
	db := newModelDB(t)
	dontShrink(t)
	reached, calls := map[string]int{}, 0
	in := func(mood string) {
		t.Run(mood, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				h := rapid.Map(db.histories(mood, asIs), db.shrunk).Draw(rt, "history")
				if h.err != nil {
					rt.Fatal(h.err)
				}
				calls += len(h.lines)
				for _, m := range []map[string]int{h.said, h.m.seen} {
					for k, n := range m {
						reached[k] += n
					}
				}
			})
		})
	}
	for _, mood := range modelMoods {
		in(mood)
	}
	never := func() []string {
		return slices.DeleteFunc(modelMustReach(), func(k string) bool { return reached[k] > 0 })
	}
	if calls > 6000 { // or else it was made shorter than it is by default
		for more := range 4 * len(modelMoods) { // what is rare may need some patience
			if t.Failed() || len(never()) == 0 {
				break
			}
			in(modelMoods[len(modelMoods)-1-more%len(modelMoods)])
		}
		for _, k := range never() {
			t.Errorf("in %d calls there never was: %s", calls, k)
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

var everyFault = flag.Bool("model.faults", false, "break all queries that TestModelFindsFaults knows how to break, also where that takes the model long to see")

// TestModelFindsFaults breaks the queries, one at a time, and wants the model to disagree.
func TestModelFindsFaults(t *testing.T) {
	const histories = 1000
	db := newModelDB(t)
	for _, f := range modelFaults {
		t.Run(f.name, func(t *testing.T) {
			if strings.Count(f.query, f.right) != max(1, f.times) {
				t.Fatalf("the query has changed: %q is in it %d times", f.right, strings.Count(f.query, f.right))
			}
			if f.rare && !*everyFault {
				t.Skip("takes long")
			}
			broken := db.histories(f.mood, func(sql string) string {
				if sql == f.query {
					return strings.ReplaceAll(sql, f.right, f.wrong)
				}
				return sql
			})
			for n := range histories {
				h := broken.Example(n)
				if bad := new(pgconn.PgError); len(h.lines) == 0 && h.err != nil || errors.As(h.err, &bad) && bad.Code < "43" && bad.Code > "42" {
					t.Fatalf("the broken query is none: %v", h.err)
				}
				if h.err != nil {
					t.Logf("history %d: %v", n+1, h.err)
					return
				}
			}
			t.Errorf("the model has not noticed in %d histories", histories)
		})
	}
}

// modelFault is a query in which some words are replaced.
type modelFault struct {
	name  string
	mood  string // in which the model sees it
	query string
	right string
	wrong string
	rare  bool // it takes tens or hundreds of histories
	times int  // how often right is in the query, if it is more than once
}

var modelFaults = []modelFault{
	{
		"a code redeemed twice", "grants", store.RedeemAuthorizationCode,
		"WHEN f.redeemed_at IS NOT NULL THEN 'replayed'", "", false, 0,
	},
	{
		"a replayed code leaves its tokens alone", "grants", store.RedeemAuthorizationCode,
		"v.outcome = 'replayed' AND a.revoked_at IS NULL", "false", false, 0,
	},
	{
		"a code's redirect_uri not compared", "grants", store.RedeemAuthorizationCode,
		"IS DISTINCT FROM f.redirect_uri", "<> f.redirect_uri", false, 0,
	},
	{
		"a code's challenge not compared where none is presented", "grants", store.RedeemAuthorizationCode,
		"$8::text IS DISTINCT FROM f.code_challenge", "$8::text <> f.code_challenge", true, 0,
	},
	{
		"a code that lives an instant too long", "grants", store.RedeemAuthorizationCode,
		"f.code_expires_at <= now()", "f.code_expires_at < now()", true, 0,
	},
	{
		"a confidential client's family bound to a key", "grants", store.RedeemAuthorizationCode,
		"CASE WHEN f.public THEN coalesce(f.confirmation, $3::token_confirmation) END", "coalesce(f.confirmation, $3::token_confirmation)", false, 0,
	},
	{
		"tokens that outlive the family's limit", "grants", store.RedeemAuthorizationCode,
		"least(now() + $5::interval, now() + $4::interval)", "now() + $5::interval", false, 0,
	},
	{
		"a pushed request taken twice", "grants", store.TakeAuthorizationByRequestURI,
		"SET request_uri = NULL, ", "SET ", false, 0,
	},
	{
		"a session of another user's", "grants", store.GrantAuthorization,
		"JOIN session AS s ON s.user_id = o.id", "JOIN session AS s ON true", false, 0,
	},
	{
		"a client disabled", "grants", store.IssueAuthorizationCode,
		"WHEN p.disabled THEN 'disabled'", "", false, 0,
	},
	{
		"a predecessor forgiven whose successor another server has spent", "rotations", store.RotateRefreshToken,
		"AND NOT EXISTS (SELECT FROM oauth_refresh_token AS n WHERE n.id = r.successor_id AND n.revoked IS NOT NULL)", "", true, 0,
	},
	{
		"a predecessor forgiven for ever", "rotations", store.RotateRefreshToken,
		"AND now() < r.revoked + $3::interval", "", true, 0,
	},
	{
		"a grace of 0 forgives", "rotations", store.RotateRefreshToken,
		"AND $3::interval > interval '0'\n            AND now() < r.revoked", "AND now() <= r.revoked", false, 0,
	},
	{
		"a revoked family rotates", "rotations", store.RotateRefreshToken,
		"WHEN k.family_revoked_at IS NOT NULL THEN 'revoked'", "", false, 0,
	},
	{
		"the family's expiry stays", "rotations", store.RotateRefreshToken,
		"THEN least(e.last_expires_at + (e.last_expires_at - now()) / 16, a.max_expires_at)", "THEN a.expires_at", false, 0,
	},
	{
		"a wider access token", "rotations", store.RotateRefreshToken,
		"WHEN NOT coalesce(nullif($8::text[], ARRAY[]::text[]), k.scopes) <@ k.scopes THEN 'exceeded'", "", false, 0,
	},
	{
		"a narrowed request narrows the successor", "rotations", store.RotateRefreshToken,
		"v.refresh_token_expires_at, v.scopes, v.authorization_id, v.auth_time", "v.refresh_token_expires_at, coalesce($8, v.scopes), v.authorization_id, v.auth_time", false, 0,
	},
	{
		"a retry gets an id of its own", "rotations", store.RotateRefreshToken,
		"coalesce(k.successor_id, $4::refresh_token_id)", "$4::refresh_token_id", false, 0,
	},
	{
		"what another server issued is not rotated", "rotations", store.RotateRefreshToken,
		"WHERE NOT EXISTS (SELECT FROM verdict)", "WHERE false", false, 0,
	},
	{
		"adoption forgets the access tokens", "rotations", store.AdoptRefreshTokens,
		"WHERE t.refresh_id = k.id AND t.authorization_id IS NULL", "WHERE false", false, 0,
	},
	{
		"introspection overlooks a revoked family", "rotations", store.IntrospectToken,
		"AND a.revoked_at IS NULL\n      AND NOT c.disabled\n    UNION ALL", "AND NOT c.disabled\n    UNION ALL", false, 0,
	},
	{
		"any client revokes a token", "endings", store.RevokeToken,
		"WHERE r.token = $1::token_digest AND r.client_id = $2::client_id", "WHERE r.token = $1::token_digest", true, 0,
	},
	{
		"a consent that serves another tenant", "endings", store.CheckConsent,
		"AND g.reference_id IS NOT DISTINCT FROM $3::reference_id", "AND ($3::text IS NULL OR true)", true, 0,
	},
	{
		"a withdrawal that reaches another tenant", "endings", store.WithdrawConsent,
		"AND a.reference_id IS NOT DISTINCT FROM w.reference_id", "", false, 0,
	},
	{
		"scopes merged across tenants", "endings", store.GrantConsent,
		"WHEN $6::boolean AND c.reference_id IS NOT DISTINCT FROM excluded.reference_id", "WHEN $6::boolean", true, 0,
	},
	{
		"a user's tokens without a family overlooked", "endings", store.RevokeUserAuthorizations,
		"WHERE r.id = s.id AND s.authorization_id IS NULL AND s.revoked IS NULL", "WHERE false", true, 0,
	},
	{
		"the session to keep is ended", "endings", store.EndUserSessions,
		"s.id IS DISTINCT FROM $2::session_id", "($2::text IS NULL OR true)", false, 0,
	},
	{
		"a session that outlives its maximum", "collection", store.ExtendSession,
		"least(now() + $1::interval, s.created_at + $2::interval)", "now() + coalesce($1::interval, $2::interval)", true, 0,
	},
	{
		"evidence collected before the family's end", "collection", store.DeleteExpiredRefreshTokens,
		"WHERE a.expires_at <= now() - $2::interval", "WHERE r.expires_at <= now() - $2::interval", false, 0,
	},
	{
		"a retention that is not kept", "collection", store.DeleteExpiredAuthorizations,
		"expires_at <= now() - $1::interval", "expires_at <= now() - 0 * $1::interval", false, 2,
	},
}

// modelMustReach is what a run has to come across, or it would prove little: each answer of each call, and situations that the model
// tells apart.
func modelMustReach() []string {
	must := []string{
		"CreateAuthorization found", "CreateAuthorization none",
		"TakeAuthorizationByRequestURI found", "TakeAuthorizationByRequestURI none",
		"ApproveAuthorization none", "DenyAuthorization none", "IssueAuthorizationCode none", "GrantAuthorization none",
		"RedeemAuthorizationCode none", "RotateRefreshToken none", "IssueAccessToken none",
		"IntrospectToken none", "IntrospectAccessToken access_token", "IntrospectAccessToken none", "IntrospectAccessTokenByID access_token",
		"IntrospectAccessTokenByID none", "IntrospectRefreshToken refresh_token", "IntrospectRefreshToken none",
		"RevokeToken none", "RevokeAccessTokenByID found", "RevokeAccessTokenByID none", "RevokeAuthorization found", "RevokeAuthorization none",
		"RevokeUserAuthorizations some", "RevokeUserAuthorizations none", "RevokeClientAuthorizations found", "RevokeClientAuthorizations none",
		"CreateSession found", "ExtendSession true", "ExtendSession false", "ExtendSession none",
		"EndSession some", "EndSession none", "EndUserSessions some", "EndUserSessions none",
		"GrantConsent found", "CheckConsent true", "CheckConsent false", "CheckConsent none", "FindConsent found", "FindConsent none",
		"WithdrawConsent found", "WithdrawConsent none",
		"DisableClient true", "DisableClient none", "EnableClient false", "EnableClient none",
		"DeleteUser found", "DeleteUser none", "DeleteClient found", "DeleteClient none",
		"AdoptRefreshTokens true", "AdoptRefreshTokens false",
		"DeleteExpiredAccessTokens true", "DeleteExpiredRefreshTokens true", "DeleteExpiredAuthorizations true", "DeleteExpiredSessions true",
		"DeleteExpiredClientAssertions true", "ListUserAuthorizations some", "ListClientAuthorizations some", "FindSessionByToken found", "FindSessionByToken none",
		"ListUserConsents some",
	}
	must = append(must, modelSituations...)
	must = mustReach(must, "GrantAuthorization ", store.AllGrantOutcomeValues())
	must = mustReach(must, "IssueAuthorizationCode ", store.AllCodeOutcomeValues())
	must = mustReach(must, "RedeemAuthorizationCode ", store.AllRedemptionOutcomeValues())
	must = mustReach(must, "RotateRefreshToken ", store.AllRotationOutcomeValues())
	must = mustReach(must, "IssueAccessToken ", store.AllIssuanceOutcomeValues())
	must = mustReach(must, "RememberClientAssertion ", store.AllAssertionOutcomeValues())
	must = mustReach(must, "IntrospectToken ", store.AllTokenKindValues())
	must = mustReach(must, "RevokeToken ", store.AllTokenKindValues())
	must = mustReach(must, "revoked: ", store.AllRevocationReasonValues())
	for _, v := range store.AllDecisionOutcomeValues() {
		if v != store.DecisionOutcomeDenied {
			must = append(must, "ApproveAuthorization "+string(v))
		}
		if v != store.DecisionOutcomeApproved && v != store.DecisionOutcomeExceeded && v != store.DecisionOutcomeDisabled {
			must = append(must, "DenyAuthorization "+string(v))
		}
	}
	return must
}

// modelSituations are those that the model tells apart.
var modelSituations = []string{
	"approving a request that was revoked",
	"a code replaced",
	"a spent code with a mismatch",
	"a code replayed with another key",
	"a code replayed, tokens live",
	"a code redeemed after its session's expiry",
	"a code redeemed for an access token alone",
	"a token cut to the family's limit",
	"a user's tokens without a family revoked",
	"reuse: strict",
	"reuse: the predecessor, its grace over",
	"reuse: the predecessor in its grace, the successor used",
	"reuse: spent here, the successor spent by another server",
	"reuse: an older one",
	"reuse: of none of a family",
	"reuse: of a family, spent by another server",
	"reuse: after its expiry",
	"a retry that exceeds",
	"a retry after the family's expiry",
	"a family's expiry moved in advance", "a family's expiry left as it was",
	"a retry after some time",
	"a retry in a family that was adopted",
	"a rotation that adopts",
	"a family's third rotation",
	"a successor cut to the family's limit",
	"a narrower access token",
	"reuse ends a family that was adopted",
	"a family revoked by a spent token",
	"a refresh token without a family revoked",
	"access tokens revoked by a spent refresh token without a family",
	"a session that gains too little",
	"a grant outlives its session",
	"tokens without a family end with their session",
	"tokens without a family outlive their session",
	"a consent moved to another tenant",
	"a consent asked for in another tenant",
	"a consent that covers",
	"a consent that misses something",
	"a withdrawal that ends something",
	"a client enabled again, with live tokens",
	"a spent token kept as evidence",
}

func mustReach[T ~string](must []string, call string, outcomes []T) []string {
	for _, o := range outcomes {
		must = append(must, call+string(o))
	}
	return must
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
func (db *modelDB) run(mood string, rewrite func(string) string, steps func(take func(modelStep))) *history {
	if db.drawn++; db.drawn%32 == 0 {
		// what was rolled back is still in the way
		if _, err := db.pool.Exec(db.ctx, `TRUNCATE "user", oauth_client, oauth_client_assertion CASCADE`); err != nil {
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
	slots := modelSlots(mood)
	return rapid.Custom(func(rt *rapid.T) *history {
		return db.run(mood, rewrite, func(take func(modelStep)) {
			rt.Repeat(map[string]func(*rapid.T){"step": func(rt *rapid.T) {
				take(modelStep{rapid.SampledFrom(slots).Draw(rt, "call"), rapid.Uint64().Draw(rt, "choices")})
			}})
		})
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
	again := func(steps []modelStep) bool {
		shorter := db.run(h.mood, asIs, func(take func(modelStep)) {
			for _, s := range steps {
				take(s)
			}
		})
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

// dontShrink tells rapid not to, unless a flag does.
func dontShrink(t *testing.T) {
	const name = "rapid.shrinktime"
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	before := flag.Lookup(name).Value.String()
	t.Cleanup(func() { flag.Set(name, before) })
	flag.Set(name, "0s")
}

// asIs rewrites nothing.
func asIs(sql string) string { return sql }

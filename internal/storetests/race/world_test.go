package race

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// More rounds than by default:
//
//	make rounds ROUNDS=10000
var rounds = flag.Int("rounds", 0, "how often each race is run; those that take long run a part of it; 0 is 150, or 50 with -short")

// roundsOf is the part of the rounds that a race runs which takes long, or is one of many.
func roundsOf(part int) int {
	whole := *rounds
	switch {
	case whole == 0 && testing.Short():
		whole = 50
	case whole == 0:
		whole = 150
	}
	return max(whole/part, 1)
}

// world is the fixture's, with the helpers of this package.
type world struct{ *fixture.World }

// newRaceWorld is newLockWorld for tests that fail if the server has counted a deadlock in their database by their end, whoever
// heard of it.
func newRaceWorld(t testing.TB, conns int) *world {
	t.Helper()
	w := newLockWorld(t, conns)
	t.Cleanup(func() { raceDeadlocks(w) })
	return w
}

// newLockWorld is a world whose calls wait for each other: a deadlock shows after a tenth of a second, before it can hide behind a slow
// call, a lock that nobody gives back fails the test, and all connections are open from the beginning.
func newLockWorld(t testing.TB, conns int) *world {
	t.Helper()
	w := &world{fixture.NewWorld(t, conns)}
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
	w.NewSessions()
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
	w.NewSessions()
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

// scene is a user who is signed in twice and has dealt with a client in every way: what a grant begins with and what an ending ends. Its
// rows are written by hand, in one round trip.
type scene struct {
	n              string            // a part of each of its ids
	known          map[string]string // its digests, and what they are of, if the test asks for that
	user           store.UserID
	session, other store.SessionID // other is the older one
	client         store.ClientID
	exchanger      store.ClientID // may exchange the access token of at
	tenant         *store.ReferenceID
	bound          bool // whether the families are bound to session

	pending  store.AuthorizationID // a request
	approved store.AuthorizationID // and one that has no code yet
	coded    family                // and one that has
	at       family                // at work: with a refresh token and an access token
	rotated  family                // whose refresh token has been rotated, and its successor not used
	foreign  family                // of another server's tokens
	device   family                // of a device, approved and not polled
	asking   family                // and one that nobody has claimed; their codes are device codes
	own      string                // an access token of the client itself
}

// family is a family of tokens. code, access and refresh are raw, and so is next, the successor of refresh.
type family struct {
	id                          store.AuthorizationID
	code, access, refresh, next string
	refreshID                   store.RefreshTokenID
	codeID                      string
}

// userCode is the raw user code of a device's request.
func userCode(f family) string { return "user-" + string(f.id) }

// cookie is the raw cookie of a session.
func cookie(id store.SessionID) string { return "cookie-" + string(id) }

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func digest(raw string) string { return quote(string(fixture.Digest(raw))) }

// newScene writes a scene.
func (w *world) newScene(bound, inTenant bool) *scene {
	w.Helper()
	s, sql := sceneOf(fixture.Unique(""), bound, inTenant)
	_, err := w.Pool.Exec(w.Ctx, sql, pgx.QueryExecModeSimpleProtocol)
	w.OK(err)
	return s
}

// sceneOf is a scene whose ids have n in them, and the SQL that writes it.
func sceneOf(n string, bound, inTenant bool) (*scene, string) {
	s := &scene{
		n: n, user: store.UserID("u" + n), session: store.SessionID("s" + n), other: store.SessionID("o" + n), client: store.ClientID("c" + n),
		exchanger: store.ClientID("e" + n),
		bound:     bound, pending: store.AuthorizationID("p" + n), approved: store.AuthorizationID("q" + n),
		coded:   family{id: store.AuthorizationID("g" + n), code: "code-" + n},
		at:      family{id: store.AuthorizationID("f" + n), access: "at-" + n, refresh: "rt-" + n, refreshID: store.RefreshTokenID("r" + n)},
		rotated: family{id: store.AuthorizationID("h" + n), refresh: "spent-" + n, next: "next-" + n, refreshID: store.RefreshTokenID("x" + n)},
		foreign: family{
			id: store.AuthorizationID("b" + n), codeID: "b" + n, access: "ba-at-" + n, refresh: "ba-rt-" + n, refreshID: store.RefreshTokenID("b" + n),
		},
		device: family{id: store.AuthorizationID("d" + n), code: "device-" + n},
		asking: family{id: store.AuthorizationID("e" + n), code: "asking-" + n},
		own:    "own-" + n,
	}
	scopes, tenant := "{openid,offline_access}", "NULL"
	if bound {
		scopes = "{openid}"
	}
	if inTenant {
		s.tenant = new(store.ReferenceID("t" + n))
		tenant = quote("t" + n)
	}
	return s, strings.NewReplacer(
		"$scopes", quote(scopes), "$tenant", tenant, "$bound", fmt.Sprint(bound),
		"$cookie", digest(cookie(s.session)), "$othercookie", digest(cookie(s.other)), "$code", digest(s.coded.code),
		"$at", digest(s.at.access), "$rt", digest(s.at.refresh), "$spent", digest(s.rotated.refresh), "$next", digest(s.rotated.next),
		"$baat", digest(s.foreign.access), "$bart", digest(s.foreign.refresh), "$own", digest(s.own),
		"$device", digest(s.device.code), "$asking", digest(s.asking.code), "$usercode", digest(userCode(s.asking)),
		"$exchange", fixture.TokenExchange, "$bearer", fixture.JWTBearer, "$issuer", fixture.Issuer, "$audience", fixture.Audience, "$resource", fixture.Resource, "$n", n,
	).Replace(`
		INSERT INTO "user" (id, name) VALUES ('u$n', 'Ada');
		INSERT INTO session (id, user_id, token, created_at, expires_at) VALUES
			('s$n', 'u$n', $cookie, now(), now() + interval '1 hour'),
			('o$n', 'u$n', $othercookie, now() - interval '1 hour', now() + interval '1 hour');
		INSERT INTO oauth_client (id, client_id, redirect_uris, grant_types, client_secret, require_pkce, backchannel_logout_uri) VALUES ('c$n', 'c$n', '{https://a.example/}', '{authorization_code,refresh_token,client_credentials,urn:ietf:params:oauth:grant-type:device_code,urn:openid:params:grant-type:ciba,$exchange,$bearer}', $own, false, 'https://a.example/logout'),
			('e$n', 'e$n', '{}', '{$exchange}', $own, NULL, NULL);
		INSERT INTO account (id, provider_id, account_id, user_id) VALUES ('i$n', '$issuer', 'u$n', 'u$n');
		INSERT INTO oauth_trusted_issuer (id, issuer, audiences, signing_algorithms, any_client) VALUES ('$issuer', '$issuer', '{$audience}', '{ES256}', true) ON CONFLICT DO NOTHING;
		INSERT INTO oauth_authorization (id, client_id, scopes, expires_at) VALUES ('p$n', 'c$n', '{openid,offline_access}', now() + interval '1 hour');
		INSERT INTO oauth_authorization (id, client_id, scopes, status, user_id, session_id, reference_id, granted_scopes, bound, user_epoch, client_epoch, pair_epoch, decided_at, expires_at, code, code_expires_at, redeemed_at)
		SELECT v.id || '$n', 'c$n', '{openid,offline_access}', 'approved', 'u$n', 's$n', $tenant, $scopes, $bound, 0, 0, 0, now(),
			CASE WHEN v.id IN ('q', 'g') THEN now() + interval '1 hour' END, v.code, CASE WHEN v.code IS NOT NULL THEN now() + interval '1 hour' END,
			CASE WHEN v.id IN ('f', 'h') THEN now() END
		FROM (VALUES ('q', NULL), ('g', $code), ('f', NULL), ('h', NULL)) AS v (id, code);
		INSERT INTO oauth_authorization (id, client_id, kind, scopes, status, user_id, session_id, reference_id, granted_scopes, bound, user_epoch, client_epoch, pair_epoch, decided_at, expires_at)
		VALUES ('d$n', 'c$n', 'device', '{openid,offline_access}', 'approved', 'u$n', 's$n', $tenant, $scopes, $bound, 0, 0, 0, now(), now() + interval '1 hour');
		INSERT INTO oauth_authorization (id, client_id, kind, scopes, expires_at) VALUES ('e$n', 'c$n', 'device', '{openid,offline_access}', now() + interval '1 hour');
		INSERT INTO oauth_polled_request (id, code, user_code, expires_at, poll_interval) VALUES
			('d$n', $device, NULL, now() + interval '1 hour', '5 seconds'), ('e$n', $asking, $usercode, now() + interval '1 hour', '5 seconds');
		INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_id, authorization_code_id, revoked, successor, successor_id) VALUES
			('r$n', $rt, 'c$n', 's$n', 'u$n', $tenant, now() + interval '1 hour', $scopes, 'f$n', 'f$n', NULL, NULL, NULL),
			('x$n', $spent, 'c$n', 's$n', 'u$n', $tenant, now() + interval '1 hour', $scopes, 'h$n', 'h$n', now(), $next, 'y$n'),
			('y$n', $next, 'c$n', 's$n', 'u$n', $tenant, now() + interval '1 hour', $scopes, 'h$n', 'h$n', NULL, NULL, NULL);
		INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_code_id) VALUES
			('b$n', $bart, 'c$n', 's$n', 'u$n', $tenant, now() + interval '1 hour', $scopes, 'b$n');
		INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_id) VALUES
			('a$n', $at, 'c$n', 's$n', 'u$n', $tenant, 'r$n', now() + interval '1 hour', $scopes, '{$resource}', 'f$n');
		INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes) VALUES
			('b$n', $baat, 'c$n', 's$n', 'u$n', $tenant, 'b$n', now() + interval '1 hour', $scopes);
		INSERT INTO oauth_access_token (id, token, client_id, expires_at, scopes) VALUES ('own$n', $own, 'c$n', now() + interval '1 hour', '{}');
		INSERT INTO oauth_consent (id, client_id, user_id, reference_id, scopes) VALUES ('k$n', 'c$n', 'u$n', $tenant, '{openid}')`)
}

// scopes are what is granted in the scene.
func (s *scene) scopes() []string {
	if s.bound {
		return []string{"openid"}
	}
	return []string{"openid", "offline_access"}
}

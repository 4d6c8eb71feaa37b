package replica

import (
	"context"
	"errors"
	"flag"
	"maps"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

var lag = flag.Duration("lag", time.Second, "by how much the standby is late with each commit")

// forever is a wait that no test gets to the end of.
const forever = time.Minute

// pair is a primary with a world on it, and a standby that lags.
type pair struct {
	*fixture.World
	primary, standby *devdb.Cluster
	raw              *pgxpool.Pool // to the standby, without regard to any position
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{primary: fixture.NewCluster(t, map[string]string{"wal_keep_size": "256MB"})}
	settings := maps.Clone(fixture.Durable)
	settings["recovery_min_apply_delay"] = lag.String()
	standby, err := devdb.StartStandby(t.Context(), p.primary, "standby", devdb.PrivateOptions{Settings: settings})
	if errors.Is(err, devdb.ErrNoPostgres) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	fixture.RemoveAtEnd(t, standby)
	p.standby = standby
	p.World = fixture.Of(t, open(t, p.primary))
	p.raw = open(t, standby)
	p.User = p.NewUser()
	p.Session = p.NewSession(p.User)
	p.Client = p.NewClient(func(c *store.CreateClientParams) { c.Public = new(true) })
	return p
}

func open(t *testing.T, c *devdb.Cluster) *pgxpool.Pool {
	t.Helper()
	pool, err := db.Open(t.Context(), c.URL, db.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// forSubtest is the same pair, whose helpers fail a subtest.
func (p *pair) forSubtest(t *testing.T) *pair {
	sub := *p
	sub.World = p.ForSubtest(t)
	return &sub
}

// replica reads from the standby of a URL, and else from a primary, until the test ends.
func (p *pair) replica(url string, primary *pgxpool.Pool, wait time.Duration) (*db.Replica, *store.Queries) {
	p.Helper()
	r, err := db.OpenReplica(p.Ctx, url, primary, db.Options{MaxConns: 4, ReplicaWait: wait})
	p.OK(err)
	p.Cleanup(r.Close)
	return r, store.New(r)
}

// here is the position of a primary.
func (p *pair) here(primary *pgxpool.Pool) db.Position {
	p.Helper()
	at, err := db.CurrentPosition(p.Ctx, primary)
	p.OK(err)
	return at
}

// lengthen makes the log of a primary longer than that of another one.
func (p *pair) lengthen(primary *pgxpool.Pool, other db.Position) {
	p.Helper()
	for p.here(primary).String()[9:] <= other.String()[9:] {
		_, err := primary.Exec(p.Ctx, `SELECT pg_switch_wal() FROM txid_current()`)
		p.OK(err)
	}
}

// on runs a statement on the standby.
func (p *pair) on(sql string) {
	p.Helper()
	_, err := p.raw.Exec(p.Ctx, sql)
	p.OK(err)
}

// caughtUp waits until the standby has all that the primary has committed.
func (p *pair) caughtUp() {
	p.Helper()
	at := p.here(p.Pool).String()[9:]
	p.NewUser() // its commit flushes what open transactions have written
	p.Until("the standby has caught up", func() bool {
		var is bool
		p.OK(p.raw.QueryRow(p.Ctx, `SELECT pg_last_wal_replay_lsn() >= '0/0'::pg_lsn + ('x' || $1::text)::bit(64)::int8`, at).Scan(&is))
		return is
	})
}

// grant is a family with a token of each kind.
type grant struct {
	fixture.Tokens
	access store.AccessTokenID
	user   store.UserID
	client store.ClientID
	sess   store.SessionID
}

// grant makes a family of a user, client and session of its own, bound to the session.
func (p *pair) grant() grant {
	p.Helper()
	w := *p.World
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	w.Client = w.NewClient(func(c *store.CreateClientParams) { c.Public = new(true) })
	g := grant{user: w.User, client: w.Client, sess: w.Session}
	g.Tokens = w.Redeem(func(p *store.GrantAuthorizationParams) {
		p.Scopes, p.GrantedScopes = []string{"openid", "email"}, []string{"openid", "email"} // without offline_access: bound to the session
	})
	t, err := w.Q.FindAccessTokenByToken(w.Ctx, fixture.Digest(g.Access))
	w.OK(err)
	g.access = t.ID
	return g
}

// introspections are all calls that ask about a grant.
func (g grant) introspections() map[string]func(context.Context, *store.Queries) (any, store.Outcome, error) {
	const server = fixture.Server
	return map[string]func(context.Context, *store.Queries) (any, store.Outcome, error){
		"IntrospectToken": func(ctx context.Context, q *store.Queries) (any, store.Outcome, error) {
			r, err := q.IntrospectToken(ctx, store.IntrospectTokenParams{Token: fixture.Digest(g.Access), ClientAuthMethod: server})
			return r, r.Outcome, err
		},
		"IntrospectAccessToken": func(ctx context.Context, q *store.Queries) (any, store.Outcome, error) {
			r, err := q.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{Token: fixture.Digest(g.Access), ClientAuthMethod: server})
			return r, r.Outcome, err
		},
		"IntrospectAccessTokenByID": func(ctx context.Context, q *store.Queries) (any, store.Outcome, error) {
			r, err := q.IntrospectAccessTokenByID(ctx, store.IntrospectAccessTokenByIDParams{ID: g.access, ClientAuthMethod: server})
			return r, r.Outcome, err
		},
		"IntrospectRefreshToken": func(ctx context.Context, q *store.Queries) (any, store.Outcome, error) {
			r, err := q.IntrospectRefreshToken(ctx, store.IntrospectRefreshTokenParams{Token: fixture.Digest(g.Refresh), ClientAuthMethod: server})
			return r, r.Outcome, err
		},
		"IntrospectAuthorization": func(ctx context.Context, q *store.Queries) (any, store.Outcome, error) {
			r, err := q.IntrospectAuthorization(ctx, store.IntrospectAuthorizationParams{ID: g.Authorization, ClientAuthMethod: server})
			return r, r.Outcome, err
		},
	}
}

// want fails the test unless each introspection comes to an outcome.
func (p *pair) want(ctx context.Context, what string, q *store.Queries, g grant, want store.Outcome) {
	p.Helper()
	for name, introspect := range g.introspections() {
		_, outcome, err := introspect(ctx, q)
		p.OK(err)
		if outcome != want {
			p.Errorf("%s: %s: %s, want %s", what, name, outcome, want)
		}
	}
}

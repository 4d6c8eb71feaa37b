package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/bench/cpu"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// BenchmarkStatements measures what the database spends on the statement of a request, by the CPU of its process: noise on the machine
// changes it less than a rate.
func BenchmarkStatements(b *testing.B) {
	ctx := b.Context()
	cluster, err := devdb.Start(ctx, devdb.Options{Kind: devdb.Bench, Logf: b.Logf})
	must(b, err)
	drop, database, err := newDatabase(ctx, cluster.URL, "bench_http_statements")
	must(b, err)
	defer drop()
	c, err := begin(ctx, "net/http", database, "")
	if c != nil {
		defer c.stop()
	}
	must(b, err)
	grants, err := c.grants(ctx, c.public, offline, 50)
	must(b, err)
	_, err = c.look.Exec(ctx, "ANALYZE")
	must(b, err)
	pool, err := db.Open(ctx, database, db.Options{ApplicationName: "statements", MaxConns: 1})
	must(b, err)
	defer pool.Close()
	q := store.New(pool)
	var pid int
	must(b, pool.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid))
	_, err = pool.Exec(ctx, "SET synchronous_commit = off") // the disk is no CPU
	must(b, err)

	const method = "client_secret_basic"
	id, secret := store.ClientID(c.secret.id), token.DigestOf(c.secret.secret)
	want := func(got, want store.Outcome, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("%s, want %s", got, want)
		}
		return err
	}
	for _, s := range []struct {
		name string
		run  func(i int) error
	}{
		{"a row by its token", func(i int) error {
			var id string
			return pool.QueryRow(ctx, "SELECT t.id FROM oauth_access_token AS t WHERE t.token = $1", token.DigestOf(grants[i%len(grants)].access)).Scan(&id)
		}},
		{"IntrospectAccessToken", func(i int) error {
			r, err := q.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{
				ClientID: id, ClientAuthMethod: method, ClientSecret: secret, Token: token.DigestOf(grants[i%len(grants)].access),
			})
			return want(r.Outcome, store.OutcomeActive, err)
		}},
		{"IntrospectToken", func(i int) error {
			r, err := q.IntrospectToken(ctx, store.IntrospectTokenParams{
				ClientID: id, ClientAuthMethod: method, ClientSecret: secret, Token: token.DigestOf(grants[i%len(grants)].access),
			})
			return want(r.Outcome, store.OutcomeActive, err)
		}},
		{"GetClient", func(int) error { _, err := q.GetClient(ctx, id); return err }},
		{"AuthenticateClient", func(int) error {
			r, err := q.AuthenticateClient(ctx, store.AuthenticateClientParams{ClientID: id, ClientAuthMethod: method, ClientSecret: secret})
			return want(r, store.OutcomeAuthenticated, err)
		}},
		{"IssueAccessToken", func(int) error {
			r, err := q.IssueAccessToken(ctx, store.IssueAccessTokenParams{
				ID: store.NewAccessTokenID(), ClientID: id, ClientAuthMethod: method, ClientSecret: secret,
				AccessToken: new(token.Mint(token.AccessToken).Digest()), Lifetime: time.Minute, Scopes: []string{"reports"},
			})
			return want(r.Outcome, store.OutcomeIssued, err)
		}},
		{"RotateRefreshToken", func(i int) error {
			next, access := token.Mint(token.RefreshToken), token.Mint(token.AccessToken)
			r, err := q.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
				ClientID: store.ClientID(c.public.id), ClientAuthMethod: "none", Token: token.DigestOf(grants[i%len(grants)].refresh),
				Successor: next.Digest(), SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: time.Hour,
				AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()), AccessTokenLifetime: time.Minute,
			})
			grants[i%len(grants)].refresh = next.Reveal()
			return want(r.Outcome, store.OutcomeRotated, err)
		}},
	} {
		b.Run(s.name, func(b *testing.B) {
			for i := range 20 { // to be planned, generically at last
				must(b, s.run(i))
			}
			before, err := cpu.Of(pid)
			must(b, err)
			n := 0
			for b.Loop() {
				must(b, s.run(n))
				n++
			}
			after, err := cpu.Of(pid)
			must(b, err)
			b.ReportMetric(float64((after-before).Microseconds())/float64(n), "database-µs/op")
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

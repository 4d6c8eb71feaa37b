// Command sizing measures how much the core writes and keeps: bytes and write-ahead log for each call, and how large the tables of tokens
// become under steady work, with autovacuum as the migrations set it and as the server's defaults have it, side by side.
//
//	go run -C bench ./sizing -write ../docs/sizing.md
//
// With -steady it draws how large all tables are while grants are made and collected at one rate, for as long as one likes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// options are the flags.
type options struct {
	calls    int             // measured of each kind
	lasts    time.Duration   // of the steady work; 0 leaves it out
	rate     float64         // of grants a second, on each side
	lifetime time.Duration   // of access tokens
	naptimes []time.Duration // of autovacuum
	try      string          // storage parameters of a third side
	steady   time.Duration   // of the work whose tables are drawn; 0 leaves it out
	plot     string          // SVG of that
	page     string
}

func main() { report.Main("sizing", run) }

func run(ctx context.Context, args []string) error {
	var o options
	f := flag.NewFlagSet("sizing", flag.ContinueOnError)
	f.IntVar(&o.calls, "calls", 2000, "how often each call is made to measure it; 0 leaves that out")
	f.DurationVar(&o.lasts, "lasts", 3*time.Minute, "how long the steady work goes on; 0 leaves it out")
	f.Float64Var(&o.rate, "rate", 8, "grants a second in each database during the steady work; each is refreshed twice")
	f.DurationVar(&o.lifetime, "lifetime", 20*time.Second, "lifetime of access tokens during the steady work")
	naptimes := f.String("naptimes", "1m,1s", "autovacuum_naptime of the server during the steady work, which goes on once with each")
	f.StringVar(&o.try, "try", "autovacuum_vacuum_scale_factor=0.02", "storage parameters to try in a third database; may be empty")
	f.DurationVar(&o.steady, "steady", 0, "how long steady work goes on while the sizes of all tables are drawn; tokens live for a twentieth of it; 0 leaves it out")
	f.StringVar(&o.plot, "plot", "", "SVG file for the sizes under -steady")
	f.StringVar(&o.page, "write", "", "Markdown file to write the results to, between <!-- begin calls --> and <!-- end calls -->, churn and steady likewise")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || o.calls < 0 || o.lasts < 0 || o.steady < 0 || o.rate <= 0 || o.lifetime < time.Second {
		return errors.New("all there is are flags; numbers are positive, times are at least a second")
	}
	for _, text := range strings.Split(*naptimes, ",") {
		naptime, err := time.ParseDuration(text)
		if err != nil || naptime < time.Second {
			return fmt.Errorf("naptime %q: a time of a second or more is needed", text)
		}
		o.naptimes = append(o.naptimes, naptime)
	}
	server, err := dataset.StartServer(ctx, report.Logf)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		mark    string
		wanted  bool
		measure func(context.Context, *dataset.Server, options) (string, error)
	}{{"calls", o.calls > 0, calls}, {"churn", o.lasts > 0, churn}, {"steady", o.steady > 0, steady}} {
		if !part.wanted {
			continue
		}
		text, err := part.measure(ctx, server, o)
		if err == nil {
			err = report.Put(o.page, part.mark, text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part.mark, err)
		}
	}
	return nil
}

// place is a database of the measurement's own, in which a user grants a client what it asks for.
type place struct {
	lifetimes
	server  *dataset.Server
	name    string
	version string // of PostgreSQL
	pool    *pgxpool.Pool
	q       *store.Queries
	user    store.UserID
	client  store.ClientID
}

// lifetimes are those of what is issued.
type lifetimes struct{ code, access, refresh time.Duration }

const (
	redirectURI = "https://client.example/callback"
	verifier    = "verifier"
)

var (
	scopes = []string{"openid", "email", "offline_access"}
	secret = token.DigestOf("secret")
)

func newPlace(ctx context.Context, server *dataset.Server, name string, l lifetimes) (p *place, err error) {
	p = &place{lifetimes: l, server: server, name: "bench_sizing_" + name, user: store.NewUserID(), client: store.NewClientID()}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.drop(ctx))
		}
	}()
	if err := server.Create(ctx, p.name); err != nil {
		return p, err
	}
	if p.pool, err = pgxpool.New(ctx, server.URL(p.name)); err != nil {
		return p, err
	}
	if err := p.pool.QueryRow(ctx, `SELECT current_setting('server_version')`).Scan(&p.version); err != nil {
		return p, err
	}
	p.q = store.New(p.pool)
	if _, err := p.q.CreateUser(ctx, store.CreateUserParams{ID: p.user, Name: "Ada Lovelace", Email: new("ada@example.com"), EmailVerified: true}); err != nil {
		return p, err
	}
	_, err = p.q.CreateClient(ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: p.client, ClientSecret: &secret, Name: new("A client"), RedirectURIs: []string{redirectURI}, Scopes: scopes,
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
	})
	return p, err
}

// drop drops the database.
func (p *place) drop(ctx context.Context) error {
	if p.pool != nil {
		p.pool.Close()
	}
	return p.server.Drop(context.WithoutCancel(ctx), p.name)
}

// family is a grant and how often it has been refreshed.
type family struct {
	id      store.AuthorizationID
	session store.SessionID
	tokens  int
}

func (f family) refresh(n int) token.Digest { return token.DigestOf(fmt.Sprint("refresh ", f.id, n)) }
func (f family) code() token.Digest         { return token.DigestOf("code " + string(f.id)) }

func (p *place) signIn(ctx context.Context, lifetime time.Duration) (store.SessionID, error) {
	id := store.NewSessionID()
	r, err := p.q.CreateSession(ctx, store.CreateSessionParams{
		ID: id, UserID: p.user, Token: token.DigestOf(string(id)), Lifetime: lifetime, IPAddress: new("192.0.2.17"),
		UserAgent: new("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
	})
	return id, want(r.Outcome, store.OutcomeCreated, err)
}

func (p *place) grant(ctx context.Context, f *family) error {
	f.id = store.NewAuthorizationID()
	outcome, err := p.q.GrantAuthorization(ctx, store.GrantAuthorizationParams{
		ID: f.id, UserID: p.user, ClientID: p.client, SessionID: &f.session, Scopes: scopes, GrantedScopes: scopes, RedirectURI: new(redirectURI),
		ResponseType: new("code"), CodeChallenge: new(token.S256(verifier)), CodeChallengeMethod: new("S256"), Code: f.code(), CodeLifetime: p.code,
	})
	return want(outcome, store.OutcomeGranted, err)
}

func (p *place) redeem(ctx context.Context, f *family, rowless bool) error {
	access := store.NewAccessTokenID()
	r, err := p.q.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{
		Code: f.code(), ClientID: p.client, ClientAuthMethod: "client_secret_basic", ClientSecret: secret, RedirectURI: new(redirectURI),
		CodeChallenge: new(token.S256(verifier)), AccessTokenID: access, AccessToken: digestOf(access, rowless), AccessTokenLifetime: p.access,
		AccessTokenWithoutRow: rowless, RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(f.refresh(0)),
		RefreshTokenLifetime: p.refresh, FamilyLifetime: store.Never,
	})
	return want(r.Outcome, store.OutcomeRedeemed, err)
}

func (p *place) rotate(ctx context.Context, f *family, rowless bool) error {
	access := store.NewAccessTokenID()
	f.tokens++
	r, err := p.q.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
		Token: f.refresh(f.tokens - 1), ClientID: p.client, ClientAuthMethod: "client_secret_basic", ClientSecret: secret,
		Successor: f.refresh(f.tokens), SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: p.refresh,
		AccessTokenID: access, AccessToken: digestOf(access, rowless), AccessTokenLifetime: p.access, AccessTokenWithoutRow: rowless,
	})
	return want(r.Outcome, store.OutcomeRotated, err)
}

// digestOf is the digest of an access token. One without a row has none.
func digestOf(id store.AccessTokenID, rowless bool) *token.Digest {
	if rowless {
		return nil
	}
	return new(token.DigestOf("access " + string(id)))
}

func want(got, want store.Outcome, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("%s instead of %s", got, want)
	}
	return err
}

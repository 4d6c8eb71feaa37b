package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "rowless:", err)
		os.Exit(1)
	}
}

func logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// batch is how many calls one side makes before the other has its turn.
const batch = 100

// warm is how many batches are made before those that are measured.
const warm = 20

var scopes = []string{"openid", "offline_access"}

func run(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("rowless", flag.ContinueOnError)
	calls := f.Int("calls", 3_000, "measurements of each call, in hundreds")
	page := f.String("write", "", "Markdown file to write the result to, between <!-- begin rowless --> and <!-- end rowless -->")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || *calls < batch {
		return fmt.Errorf("all there is are flags; calls is at least %d", batch)
	}
	server, err := dataset.StartServer(ctx, logf)
	if err != nil {
		return err
	}
	sides := []*side{{name: "with a row"}, {name: "without", withoutRow: true}}
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx), server))
		}
	}()
	for i, s := range sides {
		if err := s.open(ctx, server, fmt.Sprintf("bench_rowless_%d", i)); err != nil {
			return err
		}
	}
	rows, err := measure(ctx, sides, *calls/batch)
	if err != nil {
		return err
	}
	version, _, err := server.Settings(ctx)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("PostgreSQL %s, one connection, %d calls of each kind.\n\n%s", version, *calls/batch*batch, rows)
	fmt.Print(text)
	if *page != "" {
		return write(*page, text)
	}
	return nil
}

// side is one way to do it, and a database of its own, so that neither pays for what the other has written.
type side struct {
	name       string
	withoutRow bool
	database   string
	pool       *pgxpool.Pool
	q          *store.Queries
	parties    []party
	families   []family
}

// party is a user with a session, and a client.
type party struct {
	user    store.UserID
	client  store.ClientID
	session store.SessionID
}

type family struct {
	party
	id     store.AuthorizationID
	code   token.Digest
	tokens int // how many refresh tokens it has had
	access store.AccessTokenID
}

func (f *family) refresh(n int) token.Digest { return token.DigestOf(fmt.Sprint(f.id, " ", n)) }

func (s *side) open(ctx context.Context, server *dataset.Server, database string) error {
	if err := server.Drop(ctx, database); err != nil {
		return err
	}
	admin, err := server.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	name := pgx.Identifier{database}.Sanitize()
	_, err = admin.Exec(ctx, "CREATE DATABASE "+name)
	if err == nil { // the disk's time would hide the difference, and is the same for both
		_, err = admin.Exec(ctx, "ALTER DATABASE "+name+" SET synchronous_commit = off")
	}
	if err := errors.Join(err, admin.Close(ctx)); err != nil {
		return err
	}
	s.database = database
	migrated, err := sql.Open("pgx", server.URL(database))
	if err != nil {
		return err
	}
	_, err = migrations.Up(ctx, migrated, migrations.Options{})
	if err := errors.Join(err, migrated.Close()); err != nil {
		return err
	}
	if s.pool, err = db.Open(ctx, server.URL(database), db.Options{MaxConns: 1}); err != nil {
		return err
	}
	s.q = store.New(s.pool)
	for range 64 {
		p, err := s.newParty(ctx)
		if err != nil {
			return err
		}
		s.parties = append(s.parties, p)
	}
	return nil
}

func (s *side) newParty(ctx context.Context) (party, error) {
	p := party{store.NewUserID(), store.NewClientID(), store.NewSessionID()}
	if _, err := s.q.CreateUser(ctx, store.CreateUserParams{ID: p.user, Name: "Ada"}); err != nil {
		return p, err
	}
	_, err := s.q.CreateSession(ctx, store.CreateSessionParams{
		ID: p.session, UserID: p.user, Token: token.DigestOf(string(p.session)), Lifetime: time.Hour,
	})
	if err != nil {
		return p, err
	}
	_, err = s.q.CreateClient(ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: p.client, ClientSecret: new(token.DigestOf("secret")), RedirectURIs: []string{"https://app.example/callback"},
		GrantTypes: []string{"authorization_code", "refresh_token"},
	})
	return p, err
}

func (s *side) close(ctx context.Context, server *dataset.Server) error {
	if s.pool != nil {
		s.pool.Close()
	}
	if s.database == "" {
		return nil
	}
	return server.Drop(ctx, s.database)
}

// grant makes the families that are redeemed next.
func (s *side) grant(ctx context.Context, n int) error {
	for range n {
		f := family{party: s.parties[len(s.families)%len(s.parties)], id: store.NewAuthorizationID()}
		f.code = token.DigestOf("code " + string(f.id))

		granted, err := s.q.GrantAuthorization(ctx, store.GrantAuthorizationParams{
			ID: f.id, UserID: f.user, ClientID: f.client, SessionID: &f.session, Scopes: scopes, GrantedScopes: scopes,
			RedirectURI: new("https://app.example/callback"), ResponseType: new("code"), CodeChallenge: new("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
			CodeChallengeMethod: new("S256"), Code: f.code, CodeLifetime: time.Hour,
			DefaultScopes: scopes,
		})
		if err == nil && granted != store.OutcomeGranted {
			err = fmt.Errorf("grant: %s", granted)
		}
		if err != nil {
			return err
		}
		s.families = append(s.families, f)
	}
	return nil
}

func (s *side) digest(f *family) *token.Digest {
	if s.withoutRow {
		return nil
	}
	return new(token.DigestOf("access " + string(f.access)))
}

func (s *side) redeem(ctx context.Context, f *family) (store.Outcome, error) {
	f.access = store.NewAccessTokenID()
	r, err := s.q.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{
		Code: f.code, ClientID: f.client, ClientAuthMethod: "client_secret_basic", ClientSecret: token.DigestOf("secret"),
		RedirectURI: new("https://app.example/callback"), CodeChallenge: new("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
		AccessTokenID: f.access, AccessToken: s.digest(f), AccessTokenLifetime: time.Hour, AccessTokenWithoutRow: s.withoutRow, DefaultScopes: scopes,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(f.refresh(0)), RefreshTokenLifetime: 24 * time.Hour, FamilyLifetime: store.Never,
	})
	return r.Outcome, err
}

func (s *side) rotate(ctx context.Context, f *family) (store.Outcome, error) {
	f.access = store.NewAccessTokenID()
	f.tokens++
	r, err := s.q.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
		Token: f.refresh(f.tokens - 1), ClientID: f.client, ClientAuthMethod: "client_secret_basic", ClientSecret: token.DigestOf("secret"),
		Successor: f.refresh(f.tokens), SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: 24 * time.Hour,
		AccessTokenID: f.access, AccessToken: s.digest(f), AccessTokenLifetime: time.Hour, AccessTokenWithoutRow: s.withoutRow, DefaultScopes: scopes,
	})
	return r.Outcome, err
}

// introspect is what a resource server asks: about the token or, without a row, about its family.
func (s *side) introspect(ctx context.Context, f *family) (store.Outcome, error) {
	if s.withoutRow {
		r, err := s.q.IntrospectAuthorization(ctx, store.IntrospectAuthorizationParams{
			ID: f.id, ClientID: f.client, ClientAuthMethod: "client_secret_basic", ClientSecret: token.DigestOf("secret"),
		})
		return r.Outcome, err
	}
	r, err := s.q.IntrospectAccessTokenByID(ctx, store.IntrospectAccessTokenByIDParams{
		ID: f.access, ClientID: f.client, ClientAuthMethod: "client_secret_basic", ClientSecret: token.DigestOf("secret"),
	})
	return r.Outcome, err
}

// measure lets the sides take turns and returns the table.
func measure(ctx context.Context, sides []*side, batches int) (string, error) {
	works := []struct {
		name string
		want store.Outcome
		call func(*side, context.Context, *family) (store.Outcome, error)
	}{
		{"redemption", store.OutcomeRedeemed, (*side).redeem},
		{"rotation", store.OutcomeRotated, (*side).rotate},
		{"introspection of the token, or of its family", store.OutcomeActive, (*side).introspect},
	}
	took := make([][2][]time.Duration, len(works))
	wal := make([][2][]int64, len(works))
	for n := range batches + warm {
		for i, s := range sides {
			if n == warm { // plans for tables of a size, not for empty ones
				if _, err := s.pool.Exec(ctx, "VACUUM ANALYZE"); err != nil {
					return "", err
				}
			}
			if err := s.grant(ctx, batch); err != nil {
				return "", err
			}
			for k, w := range works {
				var before, after int64
				if err := s.pool.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&before); err != nil {
					return "", err
				}
				durations := make([]time.Duration, 0, batch)
				for at := range batch {
					f := &s.families[len(s.families)-batch+at]
					began := time.Now()
					outcome, err := w.call(s, ctx, f)
					durations = append(durations, time.Since(began))
					if err == nil && outcome != w.want {
						err = fmt.Errorf("%s %s: %s", w.name, s.name, outcome)
					}
					if err != nil {
						return "", err
					}
				}
				if err := s.pool.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&after); err != nil {
					return "", err
				}
				if n >= warm {
					took[k][i] = append(took[k][i], durations...)
					wal[k][i] = append(wal[k][i], (after-before)/batch)
				}
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| call | p50 with a row | without | ratio | WAL with a row | without |\n|---|---:|---:|---:|---:|---:|\n")
	for k, w := range works {
		with, without := median(took[k][0]), median(took[k][1])
		fmt.Fprintf(&b, "| %s | %d µs | %d µs | %.2f | %d B | %d B |\n", w.name, with.Microseconds(), without.Microseconds(), float64(without)/float64(with),
			median(wal[k][0]), median(wal[k][1]))
	}
	fmt.Fprintf(&b, "\n| after %d families with one rotation each | with a row | without |\n|---|---:|---:|\n", (batches+warm)*batch)
	for _, table := range []string{"oauth_access_token", "oauth_refresh_token", "oauth_authorization"} {
		fmt.Fprintf(&b, "| `%s`, with its indexes |", table)
		for _, s := range sides {
			var size int64
			if err := s.pool.QueryRow(ctx, "SELECT pg_total_relation_size($1::regclass)", table).Scan(&size); err != nil {
				return "", err
			}
			fmt.Fprintf(&b, " %.1f MB |", float64(size)/1e6)
		}
		fmt.Fprintln(&b)
	}
	return b.String(), nil
}

func median[T int64 | time.Duration](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// write puts text between the marks of a page.
func write(page, text string) error {
	const begin, end = "<!-- begin rowless -->\n", "<!-- end rowless -->"
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	head, rest, found := strings.Cut(string(old), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the result", page)
	}
	return os.WriteFile(page, []byte(head+begin+"\n"+text+"\n"+end+tail), 0o644)
}

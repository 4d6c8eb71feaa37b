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
		fmt.Fprintln(os.Stderr, "events:", err)
		os.Exit(1)
	}
}

func logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// batch is how many families are granted at a time.
const batch = 50

// warm is how many batches are made before those that are measured.
const warm = 20

var scopes = []string{"openid", "offline_access"}

func run(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("events", flag.ContinueOnError)
	calls := f.Int("calls", 3_000, "measurements of each call, in fifties")
	page := f.String("write", "", "Markdown file to write the result to, between <!-- begin events --> and <!-- end events -->")
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
	sides := []*side{{name: "cut out", cut: true}, {name: "off"}, {name: "on", events: true}}
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx), server))
		}
	}()
	for i, s := range sides {
		if err := s.open(ctx, server, fmt.Sprintf("bench_events_%d", i)); err != nil {
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

// side is one state of the setting, and a database of its own, so that neither pays for what the other has written.
type side struct {
	name     string
	cut      bool // calls without noted
	events   bool
	database string
	pool     *pgxpool.Pool
	q        *store.Queries
	parties  []party
	families []family
}

// party is a user with a session, and a client.
type party struct {
	user   store.UserID
	client store.ClientID
}

type family struct {
	party
	session store.SessionID
	id      store.AuthorizationID
	code    token.Digest
	tokens  int // how many refresh tokens it has had
	access  store.AccessTokenID
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
	if err == nil && s.events {
		_, err = admin.Exec(ctx, "ALTER DATABASE "+name+" SET oauthdb.events = 'on'")
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
	if s.cut {
		s.q = store.New(cut{s.pool, map[string]statement{}})
	}
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
	p := party{store.NewUserID(), store.NewClientID()}
	if _, err := s.q.CreateUser(ctx, store.CreateUserParams{ID: p.user, Name: "Ada"}); err != nil {
		return p, err
	}
	_, err := s.q.CreateClient(ctx, store.CreateClientParams{
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
		f := family{party: s.parties[len(s.families)%len(s.parties)], session: store.NewSessionID(), id: store.NewAuthorizationID()}
		f.code = token.DigestOf("code " + string(f.id))
		_, err := s.q.CreateSession(ctx, store.CreateSessionParams{
			ID: f.session, UserID: f.user, Token: token.DigestOf(string(f.session)), Lifetime: time.Hour,
		})
		if err != nil {
			return err
		}
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

func (s *side) redeem(ctx context.Context, f *family) (store.Outcome, error) {
	f.access = store.NewAccessTokenID()
	r, err := s.q.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{
		Code: f.code, ClientID: f.client, ClientAuthMethod: "client_secret_basic", ClientSecret: token.DigestOf("secret"),
		RedirectURI: new("https://app.example/callback"), CodeChallenge: new("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
		AccessTokenID: f.access, AccessToken: new(token.DigestOf(string(f.access))), AccessTokenLifetime: time.Hour, DefaultScopes: scopes,
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
		AccessTokenID: f.access, AccessToken: new(token.DigestOf(string(f.access))), AccessTokenLifetime: time.Hour, DefaultScopes: scopes,
	})
	return r.Outcome, err
}

func (s *side) introspect(ctx context.Context, f *family) (store.Outcome, error) {
	r, err := s.q.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{
		Token: token.DigestOf(string(f.access)), ClientID: f.client, ClientAuthMethod: "client_secret_basic", ClientSecret: token.DigestOf("secret"),
	})
	return r.Outcome, err
}

// replay presents a code again, which ends the family.
func (s *side) replay(ctx context.Context, f *family) (store.Outcome, error) { return s.redeem(ctx, f) }

func (s *side) end(ctx context.Context, f *family) (store.Outcome, error) {
	r, err := s.q.EndSession(ctx, f.session)
	return r.Outcome, err
}

// wal is how much the server has written.
func (s *side) wal(ctx context.Context) (n int64, err error) {
	err = s.pool.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&n)
	return n, err
}

// noted is what one call of noted takes the server that writes nothing, beside returning its argument.
func (s *side) noted(ctx context.Context) (time.Duration, error) {
	const calls = 100_000
	run := func(verdict string) (time.Duration, error) {
		began := time.Now()
		_, err := s.pool.Exec(ctx, "SELECT count("+verdict+") FROM generate_series(1, $1::integer) AS g (n)", calls)
		return time.Since(began), err
	}
	var took []time.Duration
	for range 9 {
		with, err := run("noted((CASE WHEN g.n > 0 THEN 'redeemed' END)::outcome, 'Call', of_user => 'u', of_client => 'c', of_family => 'f')")
		if err != nil {
			return 0, err
		}
		without, err := run("(CASE WHEN g.n > 0 THEN 'redeemed' END)::outcome")
		if err != nil {
			return 0, err
		}
		took = append(took, (with-without)/calls)
	}
	return median(took), nil
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
		{"introspection, which calls no noted", store.OutcomeActive, (*side).introspect},
		{"replay of a code, an event", store.OutcomeReplayed, (*side).replay},
		{"sign-out, an event", store.OutcomeEnded, (*side).end},
	}
	took := make([][3][]time.Duration, len(works))
	wal := make([][3][]int64, len(works))
	for n := range batches + warm {
		for _, s := range sides {
			if n == warm { // plans for tables of a size, not for empty ones
				if _, err := s.pool.Exec(ctx, "VACUUM ANALYZE"); err != nil {
					return "", err
				}
			}
			if err := s.grant(ctx, batch); err != nil {
				return "", err
			}
		}
		for k, w := range works {
			for at := range batch {
				for turn := range sides {
					i := (turn + at) % len(sides) // each goes first as often as the others
					s := sides[i]
					f := &s.families[len(s.families)-batch+at]
					before, err := s.wal(ctx)
					if err != nil {
						return "", err
					}
					began := time.Now()
					outcome, err := w.call(s, ctx, f)
					duration := time.Since(began)
					if err == nil && outcome != w.want {
						err = fmt.Errorf("%s, %s: %s", w.name, s.name, outcome)
					}
					if err != nil {
						return "", err
					}
					after, err := s.wal(ctx)
					if err != nil {
						return "", err
					}
					if n >= warm {
						took[k][i] = append(took[k][i], duration)
						wal[k][i] = append(wal[k][i], after-before)
					}
				}
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| call | p50 with noted cut out | off | on | off : cut out | on : cut out | WAL off | on |\n|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for k, w := range works {
		none, off, on := median(took[k][0]), median(took[k][1]), median(took[k][2])
		fmt.Fprintf(&b, "| %s | %d µs | %d µs | %d µs | %.3f | %.3f | %d B | %d B |\n", w.name, none.Microseconds(), off.Microseconds(), on.Microseconds(),
			float64(off)/float64(none), float64(on)/float64(none), median(wal[k][1]), median(wal[k][2]))
	}
	fmt.Fprintf(&b, "\nOne call of `noted` that writes nothing takes the server")
	for i, s := range sides[1:] {
		one, err := s.noted(ctx)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %.1f µs with the setting %s", []string{"", ","}[i], float64(one.Nanoseconds())/1e3, s.name)
	}
	b.WriteString(".\n")
	return b.String(), nil
}

func median[T int64 | time.Duration](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// write puts text between the marks of a page.
func write(page, text string) error {
	const begin, end = "<!-- begin events -->\n", "<!-- end events -->"
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

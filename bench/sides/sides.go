// Package sides compares ways to make the same calls of the store. Each side is one way, in a database of its own, so that neither
// pays for what the other has written. The commands that use it say what a side differs in and how the sides take turns.
package sides

import (
	"cmp"
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

// Warm is how many batches are made before those that are measured.
const Warm = 20

const (
	redirectURI = "https://app.example/callback"
	challenge   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

var scopes = []string{"openid", "offline_access"}

// Comparison is a command that compares sides.
type Comparison struct {
	Name  string // of the command, and of the marks in the page that it writes to
	Batch int    // families that are granted at a time
	Sides []*Side
	// Measure lets the sides take turns for Warm batches and those to measure, and returns its tables in Markdown.
	Measure func(ctx context.Context, sides []*Side, batches int) (string, error)
}

// Main runs the command with its arguments, and ends the process.
func (c Comparison) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := c.run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
		os.Exit(1)
	}
}

func (c Comparison) run(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	calls := f.Int("calls", 3_000, fmt.Sprintf("measurements of each call, in batches of %d", c.Batch))
	page := f.String("write", "", fmt.Sprintf("Markdown file to write the result to, between <!-- begin %[1]s --> and <!-- end %[1]s -->", c.Name))
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || *calls < c.Batch {
		return fmt.Errorf("all there is are flags; calls is at least %d", c.Batch)
	}
	server, err := dataset.StartServer(ctx, Logf)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range c.Sides {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx), server))
		}
	}()
	for i, s := range c.Sides {
		if err := s.open(ctx, server, fmt.Sprintf("bench_%s_%d", c.Name, i)); err != nil {
			return err
		}
	}
	rows, err := c.Measure(ctx, c.Sides, *calls/c.Batch)
	if err != nil {
		return err
	}
	version, _, err := server.Settings(ctx)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("PostgreSQL %s, one connection, %d calls of each kind.\n\n%s", version, *calls/c.Batch*c.Batch, rows)
	fmt.Print(text)
	if *page != "" {
		return WritePage(*page, c.Name, text)
	}
	return nil
}

// Side is one way to make the calls.
type Side struct {
	Name       string
	WithoutRow bool                        // access tokens have no row
	Setting    string                      // of the database, such as "oauthdb.events = 'on'"
	Through    func(store.DBTX) store.DBTX // what the calls go through; nil: nothing
	Families   []Family                    // in the order in which they were granted
	Pool       *pgxpool.Pool
	Store      *store.Queries

	database string
	parties  []party
}

// party is a user and a client.
type party struct {
	User   store.UserID
	Client store.ClientID
}

// Family is a grant in a session of its own.
type Family struct {
	party
	ID      store.AuthorizationID
	Session store.SessionID
	Access  store.AccessTokenID // of the latest access token
	code    token.Digest
	tokens  int // how many refresh tokens it has had
}

func (f *Family) refresh(n int) token.Digest { return token.DigestOf(fmt.Sprint(f.ID, " ", n)) }

// Secret is the digest of every client's secret.
var Secret = token.DigestOf("secret")

func (s *Side) open(ctx context.Context, server *dataset.Server, database string) error {
	if err := server.Drop(ctx, database); err != nil {
		return err
	}
	admin, err := server.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	name := pgx.Identifier{database}.Sanitize()
	_, err = admin.Exec(ctx, "CREATE DATABASE "+name)
	if err == nil { // the disk's time would hide the difference, and is the same for all sides
		_, err = admin.Exec(ctx, "ALTER DATABASE "+name+" SET synchronous_commit = off")
	}
	if err == nil && s.Setting != "" {
		_, err = admin.Exec(ctx, "ALTER DATABASE "+name+" SET "+s.Setting)
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
	if s.Pool, err = db.Open(ctx, server.URL(database), db.Options{MaxConns: 1}); err != nil {
		return err
	}
	s.Store = store.New(s.Pool)
	if s.Through != nil {
		s.Store = store.New(s.Through(s.Pool))
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

func (s *Side) newParty(ctx context.Context) (party, error) {
	p := party{store.NewUserID(), store.NewClientID()}
	if _, err := s.Store.CreateUser(ctx, store.CreateUserParams{ID: p.User, Name: "Ada"}); err != nil {
		return p, err
	}
	_, err := s.Store.CreateClient(ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: p.Client, ClientSecret: new(Secret), RedirectURIs: []string{redirectURI},
		GrantTypes: []string{"authorization_code", "refresh_token"},
	})
	return p, err
}

func (s *Side) close(ctx context.Context, server *dataset.Server) error {
	if s.Pool != nil {
		s.Pool.Close()
	}
	if s.database == "" {
		return nil
	}
	return server.Drop(ctx, s.database)
}

// Grant makes the families that are redeemed next, each in a session of its own.
func (s *Side) Grant(ctx context.Context, n int) error {
	for range n {
		f := Family{party: s.parties[len(s.Families)%len(s.parties)], Session: store.NewSessionID(), ID: store.NewAuthorizationID()}
		f.code = token.DigestOf("code " + string(f.ID))
		_, err := s.Store.CreateSession(ctx, store.CreateSessionParams{
			ID: f.Session, UserID: f.User, Token: token.DigestOf(string(f.Session)), Lifetime: time.Hour,
		})
		if err != nil {
			return err
		}
		granted, err := s.Store.GrantAuthorization(ctx, store.GrantAuthorizationParams{
			ID: f.ID, UserID: f.User, ClientID: f.Client, SessionID: &f.Session, Scopes: scopes, GrantedScopes: scopes, DefaultScopes: scopes,
			RedirectURI: new(redirectURI), ResponseType: new("code"), CodeChallenge: new(challenge), CodeChallengeMethod: new("S256"),
			Code: f.code, CodeLifetime: time.Hour,
		})
		if err == nil && granted != store.OutcomeGranted {
			err = fmt.Errorf("grant: %s", granted)
		}
		if err != nil {
			return err
		}
		s.Families = append(s.Families, f)
	}
	return nil
}

// accessToken is the digest of the latest access token. One without a row has none.
func (s *Side) accessToken(f *Family) *token.Digest {
	if s.WithoutRow {
		return nil
	}
	return new(f.AccessToken())
}

// AccessToken is the digest of the family's latest access token.
func (f *Family) AccessToken() token.Digest { return token.DigestOf("access " + string(f.Access)) }

// Redeem presents the code of a family.
func (s *Side) Redeem(ctx context.Context, f *Family) (store.Outcome, error) {
	f.Access = store.NewAccessTokenID()
	r, err := s.Store.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{
		Code: f.code, ClientID: f.Client, ClientAuthMethod: "client_secret_basic", ClientSecret: Secret,
		RedirectURI: new(redirectURI), CodeChallenge: new(challenge), DefaultScopes: scopes,
		AccessTokenID: f.Access, AccessToken: s.accessToken(f), AccessTokenLifetime: time.Hour, AccessTokenWithoutRow: s.WithoutRow,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(f.refresh(0)), RefreshTokenLifetime: 24 * time.Hour, FamilyLifetime: store.Never,
	})
	return r.Outcome, err
}

// Rotate presents the latest refresh token of a family.
func (s *Side) Rotate(ctx context.Context, f *Family) (store.Outcome, error) {
	f.Access = store.NewAccessTokenID()
	f.tokens++
	r, err := s.Store.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
		Token: f.refresh(f.tokens - 1), ClientID: f.Client, ClientAuthMethod: "client_secret_basic", ClientSecret: Secret, DefaultScopes: scopes,
		Successor: f.refresh(f.tokens), SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: 24 * time.Hour,
		AccessTokenID: f.Access, AccessToken: s.accessToken(f), AccessTokenLifetime: time.Hour, AccessTokenWithoutRow: s.WithoutRow,
	})
	return r.Outcome, err
}

// WAL is how much the server has written, in bytes.
func (s *Side) WAL(ctx context.Context) (n int64, err error) {
	err = s.Pool.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&n)
	return n, err
}

// Median is the value in the middle.
func Median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Logf says on standard error what a command is doing.
func Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// WritePage puts text between the marks of a page: <!-- begin mark --> and <!-- end mark -->.
func WritePage(page, mark, text string) error {
	begin, end := "<!-- begin "+mark+" -->\n", "<!-- end "+mark+" -->"
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

package store_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// world is a migrated database with one user who is signed in, and one public client: what most tests begin with. Every
// helper fails the test on an error, so that a test reads as the calls that it makes.
type world struct {
	testing.TB
	Ctx     context.Context
	Pool    *pgxpool.Pool
	Q       *store.Queries
	User    store.UserID
	Session store.SessionID
	Client  store.ClientID
}

const (
	RedirectURI = "https://client.example/callback"
	Grace       = 10 * time.Second
)

// Challenge is the PKCE challenge of every grant that the helpers make.
var Challenge = token.S256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

var serial atomic.Int64

// Unique returns a word that no other call in this process returns.
func Unique(prefix string) string {
	return fmt.Sprintf("%s%d%s", prefix, serial.Add(1), rand.Text()[:6])
}

// Digest is short for token.DigestOf.
func Digest(s string) token.Digest { return token.DigestOf(s) }

// NewWorld makes a world in a database of its own with at most conns connections.
func NewWorld(t testing.TB, conns int) *world {
	t.Helper()
	w := Of(t, NewPool(t, conns))
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	w.Client = w.NewClient(func(c *store.CreateClientParams) { c.Public = new(true) })
	return w
}

// Of is a world in which nobody is yet.
func Of(t testing.TB, pool *pgxpool.Pool) *world {
	return &world{TB: t, Ctx: t.Context(), Pool: pool, Q: store.New(pool)}
}

// ForSubtest is the same world, whose helpers fail a subtest.
func (w *world) ForSubtest(t testing.TB) *world {
	sub := *w
	sub.TB, sub.Ctx = t, t.Context()
	return &sub
}

func (w *world) NewUser() store.UserID {
	w.Helper()
	id := store.NewUserID()
	_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: id, Name: "Ada", Email: string(id) + "@example.com"})
	w.OK(err)
	return id
}

func (w *world) NewSession(user store.UserID) store.SessionID {
	w.Helper()
	id := store.NewSessionID()
	_, err := w.Q.CreateSession(w.Ctx, store.CreateSessionParams{ID: id, UserID: user, Token: Digest(string(id)), Lifetime: time.Hour})
	w.OK(err)
	return id
}

// NewClient registers a client that is confidential by default; change alters the registration.
func (w *world) NewClient(change ...func(*store.CreateClientParams)) store.ClientID {
	w.Helper()
	p := store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{RedirectURI},
	}
	for _, c := range change {
		c(&p)
	}
	_, err := w.Q.CreateClient(w.Ctx, p)
	w.OK(err)
	return p.ClientID
}

// GrantParams is an approved authorization of the world's user for the world's client, with offline_access, whose code is raw.
func (w *world) GrantParams(raw string) store.GrantAuthorizationParams {
	return store.GrantAuthorizationParams{
		ID: store.NewAuthorizationID(), UserID: w.User, ClientID: w.Client, SessionID: &w.Session,
		Scopes:        []string{"openid", "email", "offline_access", "calendar"},
		GrantedScopes: []string{"openid", "email", "offline_access"},
		RedirectURI:   new(RedirectURI), ResponseType: new("code"),
		CodeChallenge: &Challenge, CodeChallengeMethod: new("S256"),
		Resources: []string{"https://api.example", "https://files.example"},
		AuthTime:  new(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		Code:      Digest(raw), CodeLifetime: time.Minute,
	}
}

// Grant makes an approved authorization and returns its id and its code.
func (w *world) Grant(change ...func(*store.GrantAuthorizationParams)) (store.AuthorizationID, string) {
	w.Helper()
	code := Unique("code")
	p := w.GrantParams(code)
	for _, c := range change {
		c(&p)
	}
	outcome, err := w.Q.GrantAuthorization(w.Ctx, p)
	w.OK(err)
	if outcome != store.GrantOutcomeGranted {
		w.Fatalf("GrantAuthorization: %s", outcome)
	}
	return p.ID, code
}

// RedeemParams redeems a code that grant made, for an access token and a refresh token named after it.
func (w *world) RedeemParams(code string) store.RedeemAuthorizationCodeParams {
	return store.RedeemAuthorizationCodeParams{
		Code: Digest(code), ClientID: w.Client, RedirectURI: new(RedirectURI), CodeChallenge: &Challenge,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(Digest("at-" + code)), AccessTokenLifetime: new(5 * time.Minute),
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(Digest("rt-" + code)), RefreshTokenLifetime: new(time.Hour),
	}
}

// Tokens is a family at work: what redeem or rotate gave.
type Tokens struct {
	Authorization   store.AuthorizationID
	Access, Refresh string // raw
}

// Redeem makes an authorization and redeems its code.
func (w *world) Redeem(change ...func(*store.GrantAuthorizationParams)) Tokens {
	w.Helper()
	id, code := w.Grant(change...)
	p := w.RedeemParams(code)
	if len(change) > 0 {
		g := w.GrantParams(code)
		for _, c := range change {
			c(&g)
		}
		p.ClientID, p.Confirmation, p.CodeChallenge, p.RedirectURI = g.ClientID, g.Confirmation, g.CodeChallenge, g.RedirectURI
	}
	r, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	w.OK(err)
	if r.Outcome != store.RedemptionOutcomeRedeemed {
		w.Fatalf("RedeemAuthorizationCode: %s", r.Outcome)
	}
	return Tokens{id, "at-" + code, "rt-" + code}
}

// SuccessorOf names the successor of a refresh token: like token.Successor it is always the same.
func SuccessorOf(refresh string) string { return refresh + "+" }

// RotateParams rotates a refresh token to its successor, with a new access token, named as returned.
func (w *world) RotateParams(refresh string) (store.RotateRefreshTokenParams, string) {
	access := Unique("at-" + refresh)
	return store.RotateRefreshTokenParams{
		Presented: Digest(refresh), ClientID: w.Client, Grace: Grace,
		Successor: Digest(SuccessorOf(refresh)), SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: new(time.Hour),
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(Digest(access)), AccessTokenLifetime: new(5 * time.Minute),
	}, access
}

// Rotate rotates a refresh token and wants an outcome.
func (w *world) Rotate(refresh string, want store.RotationOutcome, change ...func(*store.RotateRefreshTokenParams)) (store.RotateRefreshTokenRow, string) {
	w.Helper()
	p, access := w.RotateParams(refresh)
	for _, c := range change {
		c(&p)
	}
	r, err := w.Q.RotateRefreshToken(w.Ctx, p)
	w.OK(err)
	if r.Outcome != want {
		w.Fatalf("RotateRefreshToken: %s, want %s", r.Outcome, want)
	}
	return r, access
}

// ForeignRefreshToken writes a refresh token as another server on the same tables would: without what oauthdb added to them.
func (w *world) ForeignRefreshToken(raw string, scopes ...string) store.RefreshTokenID {
	w.Helper()
	id := store.RefreshTokenID(Unique("foreign"))
	w.Exec(`INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, expires_at, scopes)
		VALUES ($1, $2, $3, $4, $5, now() + interval '1 hour', $6)`,
		id, string(Digest(raw)), w.Client, w.Session, w.User, append([]string{"openid", "offline_access"}, scopes...))
	return id
}

// ForeignAccessToken writes an access token as another server would, with or without a refresh token beside it.
func (w *world) ForeignAccessToken(raw string, refresh *store.RefreshTokenID) store.AccessTokenID {
	w.Helper()
	id := store.AccessTokenID(Unique("foreign"))
	w.Exec(`INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, refresh_id, expires_at, scopes)
		VALUES ($1, $2, $3, $4, $5, $6, now() + interval '5 minutes', '{openid,offline_access}')`,
		id, string(Digest(raw)), w.Client, w.Session, w.User, refresh)
	return id
}

// live says whether a token of either kind is live, as a resource server or a client would find out.
func (w *world) live(raw string) bool {
	w.Helper()
	_, err := w.Q.IntrospectToken(w.Ctx, Digest(raw))
	if errors.Is(err, pgx.ErrNoRows) {
		return false
	}
	w.OK(err)
	return true
}

// WantLive and WantDead fail the test unless all of the tokens are so.
func (w *world) WantLive(raw ...string) {
	w.Helper()
	for _, r := range raw {
		if !w.live(r) {
			w.Errorf("token %q is dead, want live", r)
		}
	}
}

func (w *world) WantDead(raw ...string) {
	w.Helper()
	for _, r := range raw {
		if w.live(r) {
			w.Errorf("token %q is live, want dead", r)
		}
	}
}

// CountLive counts the live tokens of a family, by the rule that introspection applies.
func (w *world) CountLive(id store.AuthorizationID) (access, refresh int) {
	w.Helper()
	w.OK(w.Pool.QueryRow(w.Ctx, `
		SELECT (SELECT count(*) FROM oauth_access_token t JOIN oauth_authorization a ON a.id = t.authorization_id
				JOIN oauth_client c ON c.client_id = t.client_id
				WHERE a.id = $1 AND a.revoked_at IS NULL AND t.revoked IS NULL AND NOT c.disabled AND (t.expires_at IS NULL OR t.expires_at > now())),
			(SELECT count(*) FROM oauth_refresh_token r JOIN oauth_authorization a ON a.id = r.authorization_id
				JOIN oauth_client c ON c.client_id = r.client_id
				WHERE a.id = $1 AND a.revoked_at IS NULL AND r.revoked IS NULL AND NOT c.disabled AND (r.expires_at IS NULL OR r.expires_at > now()))`,
		string(id)).Scan(&access, &refresh))
	return access, refresh
}

// OK fails the test on an error.
func (w *world) OK(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// None fails the test unless err says that there is no such row.
func (w *world) None(err error) {
	w.Helper()
	if !errors.Is(err, pgx.ErrNoRows) {
		w.Fatalf("got %v, want no rows", err)
	}
}

// Exec runs a statement that no call makes: another server's write, or a clock moved by hand.
func (w *world) Exec(sql string, args ...any) {
	w.Helper()
	_, err := w.Pool.Exec(w.Ctx, sql, args...)
	w.OK(err)
}

// Tables are all tables of the schema.
var Tables = []string{
	"user", "session", "account", "oauth_client", "oauth_authorization", "oauth_refresh_token", "oauth_access_token",
	"oauth_consent", "jwks", "oauth_client_assertion",
}

// Snapshot is every row of every table, whole, as JSON, by table and primary key.
func (w *world) Snapshot() map[string]string {
	w.Helper()
	rows := map[string]string{}
	for _, table := range Tables {
		r, err := w.Pool.Query(w.Ctx, `SELECT x.id, to_jsonb(x) FROM "`+table+`" x`)
		w.OK(err)
		var id string
		var row json.RawMessage
		_, err = pgx.ForEachRow(r, []any{&id, &row}, func() error {
			rows[table+" "+id] = string(row)
			return nil
		})
		w.OK(err)
	}
	return rows
}

// Changed lists what differs between two snapshots: "+table id" for a new row, "-table id" for one gone, "~table id" for one
// that has changed.
func Changed(before, after map[string]string) []string {
	var diff []string
	for k, v := range after {
		if old, found := before[k]; !found {
			diff = append(diff, "+"+k)
		} else if old != v {
			diff = append(diff, "~"+k)
		}
	}
	for k := range before {
		if _, found := after[k]; !found {
			diff = append(diff, "-"+k)
		}
	}
	slices.Sort(diff)
	return diff
}

// Unchanged runs a call that must leave every row of the database as it was.
func (w *world) Unchanged(call func()) {
	w.Helper()
	before := w.Snapshot()
	call()
	if diff := Changed(before, w.Snapshot()); len(diff) > 0 {
		w.Errorf("changed, want nothing changed: %v", diff)
	}
}

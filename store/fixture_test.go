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
	ctx     context.Context
	pool    *pgxpool.Pool
	q       *store.Queries
	user    store.UserID
	session store.SessionID
	client  store.ClientID
}

const (
	redirectURI = "https://client.example/callback"
	grace       = 10 * time.Second
)

// challenge is the PKCE challenge of every grant that the helpers make.
var challenge = token.S256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

var serial atomic.Int64

// unique returns a word that no other call in this process returns.
func unique(prefix string) string {
	return fmt.Sprintf("%s%d%s", prefix, serial.Add(1), rand.Text()[:6])
}

// ptr returns a pointer to v, for the nullable parameters.
func ptr[T any](v T) *T { return &v }

// digest is short for token.DigestOf.
func digest(s string) token.Digest { return token.DigestOf(s) }

// newWorld makes a world in a database of its own with at most conns connections.
func newWorld(t testing.TB, conns int) *world {
	t.Helper()
	pool := newPool(t, conns)
	w := &world{TB: t, ctx: t.Context(), pool: pool, q: store.New(pool)}
	w.user = w.newUser()
	w.session = w.newSession(w.user)
	w.client = w.newClient(func(c *store.CreateClientParams) { c.Public = ptr(true) })
	return w
}

func (w *world) newUser() store.UserID {
	w.Helper()
	id := store.NewUserID()
	_, err := w.q.CreateUser(w.ctx, store.CreateUserParams{ID: id, Name: "Ada", Email: string(id) + "@example.com"})
	w.ok(err)
	return id
}

func (w *world) newSession(user store.UserID) store.SessionID {
	w.Helper()
	id := store.NewSessionID()
	_, err := w.q.CreateSession(w.ctx, store.CreateSessionParams{ID: id, UserID: user, Token: digest(string(id)), Lifetime: time.Hour})
	w.ok(err)
	return id
}

// newClient registers a client that is confidential by default; change alters the registration.
func (w *world) newClient(change ...func(*store.CreateClientParams)) store.ClientID {
	w.Helper()
	p := store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{redirectURI},
	}
	for _, c := range change {
		c(&p)
	}
	_, err := w.q.CreateClient(w.ctx, p)
	w.ok(err)
	return p.ClientID
}

// grantParams is an approved authorization of the world's user for the world's client, with offline_access, whose code is raw.
func (w *world) grantParams(raw string) store.GrantAuthorizationParams {
	return store.GrantAuthorizationParams{
		ID: store.NewAuthorizationID(), UserID: w.user, ClientID: w.client, SessionID: &w.session,
		Scopes:        []string{"openid", "email", "offline_access", "calendar"},
		GrantedScopes: []string{"openid", "email", "offline_access"},
		RedirectURI:   ptr(redirectURI), ResponseType: ptr("code"),
		CodeChallenge: &challenge, CodeChallengeMethod: ptr("S256"),
		Resources: []string{"https://api.example", "https://files.example"},
		AuthTime:  ptr(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		Code:      digest(raw), CodeLifetime: time.Minute,
	}
}

// grant makes an approved authorization and returns its id and its code.
func (w *world) grant(change ...func(*store.GrantAuthorizationParams)) (store.AuthorizationID, string) {
	w.Helper()
	code := unique("code")
	p := w.grantParams(code)
	for _, c := range change {
		c(&p)
	}
	outcome, err := w.q.GrantAuthorization(w.ctx, p)
	w.ok(err)
	if outcome != store.GrantOutcomeGranted {
		w.Fatalf("GrantAuthorization: %s", outcome)
	}
	return p.ID, code
}

// redeemParams redeems a code that grant made, for an access token and a refresh token named after it.
func (w *world) redeemParams(code string) store.RedeemAuthorizationCodeParams {
	return store.RedeemAuthorizationCodeParams{
		Code: digest(code), ClientID: w.client, RedirectURI: ptr(redirectURI), CodeChallenge: &challenge,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: ptr(digest("at-" + code)), AccessTokenLifetime: ptr(5 * time.Minute),
		RefreshTokenID: ptr(store.NewRefreshTokenID()), RefreshToken: ptr(digest("rt-" + code)), RefreshTokenLifetime: ptr(time.Hour),
	}
}

// tokens is a family at work: what redeem or rotate gave.
type tokens struct {
	authorization   store.AuthorizationID
	access, refresh string // raw
}

// redeem makes an authorization and redeems its code.
func (w *world) redeem(change ...func(*store.GrantAuthorizationParams)) tokens {
	w.Helper()
	id, code := w.grant(change...)
	p := w.redeemParams(code)
	if len(change) > 0 {
		g := w.grantParams(code)
		for _, c := range change {
			c(&g)
		}
		p.ClientID, p.Confirmation, p.CodeChallenge, p.RedirectURI = g.ClientID, g.Confirmation, g.CodeChallenge, g.RedirectURI
	}
	r, err := w.q.RedeemAuthorizationCode(w.ctx, p)
	w.ok(err)
	if r.Outcome != store.RedemptionOutcomeRedeemed {
		w.Fatalf("RedeemAuthorizationCode: %s", r.Outcome)
	}
	return tokens{id, "at-" + code, "rt-" + code}
}

// successorOf names the successor of a refresh token: like token.Successor it is always the same.
func successorOf(refresh string) string { return refresh + "+" }

// rotateParams rotates a refresh token to its successor, with a new access token, named as returned.
func (w *world) rotateParams(refresh string) (store.RotateRefreshTokenParams, string) {
	access := unique("at-" + refresh)
	return store.RotateRefreshTokenParams{
		Presented: digest(refresh), ClientID: w.client, Grace: grace,
		Successor: digest(successorOf(refresh)), SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: ptr(time.Hour),
		AccessTokenID: store.NewAccessTokenID(), AccessToken: ptr(digest(access)), AccessTokenLifetime: ptr(5 * time.Minute),
	}, access
}

// rotate rotates a refresh token and wants an outcome.
func (w *world) rotate(refresh string, want store.RotationOutcome, change ...func(*store.RotateRefreshTokenParams)) (store.RotateRefreshTokenRow, string) {
	w.Helper()
	p, access := w.rotateParams(refresh)
	for _, c := range change {
		c(&p)
	}
	r, err := w.q.RotateRefreshToken(w.ctx, p)
	w.ok(err)
	if r.Outcome != want {
		w.Fatalf("RotateRefreshToken: %s, want %s", r.Outcome, want)
	}
	return r, access
}

// foreignRefreshToken writes a refresh token as another server on the same tables would: without what oauthdb added to them.
func (w *world) foreignRefreshToken(raw string, scopes ...string) store.RefreshTokenID {
	w.Helper()
	id := store.RefreshTokenID(unique("foreign"))
	w.exec(`INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, expires_at, scopes)
		VALUES ($1, $2, $3, $4, $5, now() + interval '1 hour', $6)`,
		id, string(digest(raw)), w.client, w.session, w.user, append([]string{"openid", "offline_access"}, scopes...))
	return id
}

// foreignAccessToken writes an access token as another server would, with or without a refresh token beside it.
func (w *world) foreignAccessToken(raw string, refresh *store.RefreshTokenID) store.AccessTokenID {
	w.Helper()
	id := store.AccessTokenID(unique("foreign"))
	w.exec(`INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, refresh_id, expires_at, scopes)
		VALUES ($1, $2, $3, $4, $5, $6, now() + interval '5 minutes', '{openid,offline_access}')`,
		id, string(digest(raw)), w.client, w.session, w.user, refresh)
	return id
}

// live says whether a token of either kind is live, as a resource server or a client would find out.
func (w *world) live(raw string) bool {
	w.Helper()
	_, err := w.q.IntrospectToken(w.ctx, digest(raw))
	if errors.Is(err, pgx.ErrNoRows) {
		return false
	}
	w.ok(err)
	return true
}

// wantLive and wantDead fail the test unless all of the tokens are so.
func (w *world) wantLive(raw ...string) {
	w.Helper()
	for _, r := range raw {
		if !w.live(r) {
			w.Errorf("token %q is dead, want live", r)
		}
	}
}

func (w *world) wantDead(raw ...string) {
	w.Helper()
	for _, r := range raw {
		if w.live(r) {
			w.Errorf("token %q is live, want dead", r)
		}
	}
}

// countLive counts the live tokens of a family, by the rule that introspection applies.
func (w *world) countLive(id store.AuthorizationID) (access, refresh int) {
	w.Helper()
	w.ok(w.pool.QueryRow(w.ctx, `
		SELECT (SELECT count(*) FROM oauth_access_token t JOIN oauth_authorization a ON a.id = t.authorization_id
				JOIN oauth_client c ON c.client_id = t.client_id
				WHERE a.id = $1 AND a.revoked_at IS NULL AND t.revoked IS NULL AND NOT c.disabled AND (t.expires_at IS NULL OR t.expires_at > now())),
			(SELECT count(*) FROM oauth_refresh_token r JOIN oauth_authorization a ON a.id = r.authorization_id
				JOIN oauth_client c ON c.client_id = r.client_id
				WHERE a.id = $1 AND a.revoked_at IS NULL AND r.revoked IS NULL AND NOT c.disabled AND (r.expires_at IS NULL OR r.expires_at > now()))`,
		string(id)).Scan(&access, &refresh))
	return access, refresh
}

// ok fails the test on an error.
func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// none fails the test unless err says that there is no such row.
func (w *world) none(err error) {
	w.Helper()
	if !errors.Is(err, pgx.ErrNoRows) {
		w.Fatalf("got %v, want no rows", err)
	}
}

// exec runs a statement that no call makes: another server's write, or a clock moved by hand.
func (w *world) exec(sql string, args ...any) {
	w.Helper()
	_, err := w.pool.Exec(w.ctx, sql, args...)
	w.ok(err)
}

// tables are all tables of the schema.
var tables = []string{
	"user", "session", "account", "oauth_client", "oauth_authorization", "oauth_refresh_token", "oauth_access_token",
	"oauth_consent", "jwks", "oauth_client_assertion",
}

// snapshot is every row of every table, whole, as JSON, by table and primary key.
func (w *world) snapshot() map[string]string {
	w.Helper()
	rows := map[string]string{}
	for _, table := range tables {
		r, err := w.pool.Query(w.ctx, `SELECT x.id, to_jsonb(x) FROM "`+table+`" x`)
		w.ok(err)
		var id string
		var row json.RawMessage
		_, err = pgx.ForEachRow(r, []any{&id, &row}, func() error {
			rows[table+" "+id] = string(row)
			return nil
		})
		w.ok(err)
	}
	return rows
}

// changed lists what differs between two snapshots: "+table id" for a new row, "-table id" for one gone, "~table id" for one
// that has changed.
func changed(before, after map[string]string) []string {
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

// unchanged runs a call that must leave every row of the database as it was.
func (w *world) unchanged(call func()) {
	w.Helper()
	before := w.snapshot()
	call()
	if diff := changed(before, w.snapshot()); len(diff) > 0 {
		w.Errorf("changed, want nothing changed: %v", diff)
	}
}

package foreign

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

// What a better-auth server sends, as its log has it but for what it returns.
const (
	insertRefreshToken = `
		insert into "oauth_refresh_token" ("id", "created_at", "client_id", "session_id", "reference_id", "authorization_code_id", "resources",
			"expires_at", "revoked", "confirmation", "scopes", "requested_user_info_claims", "token", "user_id", "auth_time", "rotated_at",
			"rotation_replay_response", "rotation_replay_expires_at")
		values ($1, now(), $2, $3, $4, $5, default, $6, default, default, $7, default, $8, $9, now(), default, default, default)
		returning "id"`
	insertAccessToken = `
		insert into "oauth_access_token" ("id", "created_at", "client_id", "session_id", "reference_id", "authorization_code_id", "resources",
			"expires_at", "revoked", "confirmation", "scopes", "requested_user_info_claims", "token", "user_id", "refresh_id")
		values ($1, now(), $2, $3, $4, $5, default, $6, default, default, $7, default, $8, $9, $10)
		returning "id"`
	spendRefreshToken = `
		update "oauth_refresh_token" set "revoked" = now(), "rotated_at" = now()
		where (("oauth_refresh_token"."id" = $1 and "oauth_refresh_token"."revoked" is null)
			and "oauth_refresh_token"."id" in (
				select "id" from "oauth_refresh_token"
				where ("oauth_refresh_token"."id" = $1 and "oauth_refresh_token"."revoked" is null) limit 1))
		returning "id"`
	insertSession = `
		insert into "session" ("id", "created_at", "updated_at", "expires_at", "token", "ip_address", "user_agent", "user_id")
		values ($1, now(), now(), $2, $3, '', '', $4)
		returning "id"`
)

var (
	offline = []string{"openid", "offline_access"}
	online  = []string{"openid"}
)

// unique returns an identifier like those that the server makes.
func unique() string { return rand.Text() + rand.Text()[:6] }

// world is a database with a user who is signed in, and a client.
type world struct {
	testing.TB
	ctx     context.Context
	pool    *pgxpool.Pool
	q       *store.Queries
	user    store.UserID
	session store.SessionID
	client  store.ClientID
}

func newWorld(t *testing.T, conns int) *world {
	t.Helper()
	d := storetest.New(t, storetest.MaxConns(conns))
	w := &world{TB: t, ctx: t.Context(), pool: d.Pool, q: d.Store}
	w.anew()
	return w
}

// anew has the world go on with another user, session and client.
func (w *world) anew() {
	w.Helper()
	w.user, w.client = w.newUser(), w.newClient()
	w.session = w.newSession(w.user, time.Now().Add(time.Hour))
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) int64 {
	w.Helper()
	tag, err := w.pool.Exec(w.ctx, sql, args...)
	w.ok(err)
	return tag.RowsAffected()
}

// value reads one value.
func value[T any](w *world, sql string, args ...any) (v T) {
	w.Helper()
	w.ok(w.pool.QueryRow(w.ctx, sql, args...).Scan(&v))
	return v
}

func (w *world) newUser() store.UserID {
	w.Helper()
	id := store.NewUserID()
	_, err := w.q.CreateUser(w.ctx, store.CreateUserParams{ID: id, Name: "Ada", Email: new(string(id) + "@example.com")})
	w.ok(err)
	return id
}

func (w *world) newClient() store.ClientID {
	w.Helper()
	p := store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{"https://client.example/callback"}, Public: new(true),
	}
	_, err := w.q.CreateClient(w.ctx, p)
	w.ok(err)
	return p.ClientID
}

// newSession is one that the other server begins. Never is the zero time.
func (w *world) newSession(user store.UserID, expires any) store.SessionID {
	w.Helper()
	id := unique()
	w.exec(insertSession, id, expires, unique(), string(user))
	return store.SessionID(id)
}

// row is a token of the other server, before it is inserted. The zero value of a field is NULL.
type row struct {
	id, raw, code, tenant, refresh string
	client                         store.ClientID
	user                           store.UserID
	session                        store.SessionID
	scopes                         []string
	expires                        any
}

// row is one of the world's user, client and session, of a code of its own.
func (w *world) row(scopes []string) row {
	return row{
		id: unique(), raw: unique(), code: string(token.DigestOf(unique())), client: w.client, user: w.user, session: w.session, scopes: scopes,
		expires: time.Now().Add(time.Hour),
	}
}

// next is the next token of the same code.
func (r row) next() row {
	r.id, r.raw = unique(), unique()
	return r
}

// of is an access token that came with a refresh token.
func of(refresh row) row {
	r := refresh.next()
	r.refresh = refresh.id
	return r
}

func null[T ~string](s T) *string {
	if s == "" {
		return nil
	}
	return new(string(s))
}

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func insertRefresh(ctx context.Context, db execer, r row) error {
	_, err := db.Exec(ctx, insertRefreshToken,
		r.id, string(r.client), null(r.session), null(r.tenant), null(r.code), r.expires, r.scopes, string(token.DigestOf(r.raw)), null(r.user))
	return err
}

func insertAccess(ctx context.Context, db execer, r row) error {
	_, err := db.Exec(ctx, insertAccessToken,
		r.id, string(r.client), null(r.session), null(r.tenant), null(r.code), r.expires, r.scopes, string(token.DigestOf(r.raw)), null(r.user), null(r.refresh))
	return err
}

func (w *world) refresh(r row) row {
	w.Helper()
	w.ok(insertRefresh(w.ctx, w.pool, r))
	return r
}

func (w *world) access(r row) row {
	w.Helper()
	w.ok(insertAccess(w.ctx, w.pool, r))
	return r
}

// spend marks a refresh token as rotated, and says whether the other server is let do so.
func (w *world) spend(r row) bool {
	w.Helper()
	return w.exec(spendRefreshToken, r.id) == 1
}

// family of a token.
func (w *world) family(r row) string {
	w.Helper()
	return value[string](w, `
		SELECT authorization_id FROM oauth_refresh_token WHERE id = $1
		UNION ALL
		SELECT authorization_id FROM oauth_access_token WHERE id = $1`, r.id)
}

func (w *world) live(raw string) bool {
	w.Helper()
	r, err := w.q.IntrospectToken(w.ctx, store.IntrospectTokenParams{ClientAuthMethod: "server", Token: token.DigestOf(raw)})
	w.ok(err)
	return r.Outcome == store.OutcomeActive
}

func (w *world) wantLive(rows ...row) {
	w.Helper()
	for i, r := range rows {
		if !w.live(r.raw) {
			w.Errorf("token %d of %d is dead", i+1, len(rows))
		}
	}
}

func (w *world) wantDead(rows ...row) {
	w.Helper()
	for i, r := range rows {
		if w.live(r.raw) {
			w.Errorf("token %d of %d lives", i+1, len(rows))
		}
	}
}

// rotate presents a refresh token to the store. What comes of it has no code: it is known by raw alone.
func (w *world) rotate(r row) (store.Outcome, row, row) {
	w.Helper()
	access, successor := r.next(), r.next()
	answer, err := w.q.RotateRefreshToken(w.ctx, store.RotateRefreshTokenParams{
		ClientID: r.client, ClientAuthMethod: "none", Token: token.DigestOf(r.raw), Grace: 10 * time.Second,
		Successor: token.DigestOf(successor.raw), SuccessorID: store.RefreshTokenID(successor.id), RefreshTokenLifetime: time.Hour,
		AccessTokenID: store.AccessTokenID(access.id), AccessToken: new(token.DigestOf(access.raw)), AccessTokenLifetime: time.Minute,
		DefaultScopes: []string{"openid", "offline_access", "email", "profile"},
	})
	w.ok(err)
	return answer.Outcome, access, successor
}

// revokeToken is RFC 7009 for a public client.
func (w *world) revokeToken(r row) store.Outcome {
	w.Helper()
	answer, err := w.q.RevokeToken(w.ctx, store.RevokeTokenParams{ClientID: r.client, ClientAuthMethod: "none", Token: token.DigestOf(r.raw)})
	w.ok(err)
	return answer.Outcome
}

// violates says whether an error is of a constraint.
func violates(err error, constraint string) bool {
	e, is := errors.AsType[*pgconn.PgError](err)
	return is && e.ConstraintName == constraint
}

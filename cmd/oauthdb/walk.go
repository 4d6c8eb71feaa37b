package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// What the demo's server issues lasts for this long.
const (
	requestLifetime = 10 * time.Minute
	codeLifetime    = time.Minute
	sessionLifetime = 14 * 24 * time.Hour
	grace           = 30 * time.Second
	month           = 30 * 24 * time.Hour
	accessLifetime  = 10 * time.Minute
	refreshLifetime = month
)

// walk is the demo's story, and what the people and programs in it remember: all that a server, a browser or a client holds
// and the database does not.
type walk struct {
	calls *store.Queries
	pool  *pgxpool.Pool // for what is no call
	trace *tracer
	page  *page

	made, statements, asides int
	took                     time.Duration

	successors            *token.Successors
	framed, album, backup application
	ada                   store.UserID
	session               store.SessionID
	cookie                token.Raw
}

func newWalk(pool *pgxpool.Pool, trace *tracer, p *page) (*walk, error) {
	key := make([]byte, token.MinKeyLength)
	_, _ = rand.Read(key) // never fails
	successors, err := token.NewSuccessors(key)
	if err != nil {
		return nil, err
	}
	return &walk{calls: store.New(pool), pool: pool, trace: trace, page: p, successors: successors}, nil
}

// application is a registered client and what it keeps to itself.
type application struct {
	store.CreateClientParams
	secret token.Raw
	key    *token.Confirmation // that it proves to hold, if it does (DPoP, RFC 9449)
}

// method is how it authenticates at the server: by a secret, by the key of its assertion, or not at all.
func (a *application) method() string { return *a.TokenEndpointAuthMethod }

// grant is what a client holds of a grant, and the thief who copied it.
type grant struct {
	id              store.AuthorizationID
	verifier        string
	code            token.Raw
	access, refresh token.Raw
	stolen          token.Raw // a refresh token that was spent
	redemption      store.RedeemAuthorizationCodeParams
}

// The calls that more than one chapter makes follow. Each makes one, and answers with its outcome.

func (w *walk) authenticate(app *application, secret func() token.Raw) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		outcome, err := w.calls.AuthenticateClient(ctx, store.AuthenticateClientParams{
			ClientID: app.ClientID, ClientAuthMethod: app.method(), ClientSecret: secret().Digest(),
		})
		return string(outcome), err
	}
}

// createSession signs Ada in, in one browser more, of two at most if there is a maximum; ended is how many others that ends.
func (w *walk) createSession(maximum int32, ended int64) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		session, cookie := store.NewSessionID(), token.Mint(token.SessionToken)
		row, err := w.calls.CreateSession(ctx, store.CreateSessionParams{
			ID: session, UserID: w.ada, Token: cookie.Digest(), Lifetime: sessionLifetime, MaxSessions: maximum,
			IPAddress: new("192.0.2.17"), UserAgent: new("Mozilla/5.0"), AuthTime: new(time.Now()), AMR: []string{"pwd"},
		})
		if err == nil && row.EndedSessions != ended {
			return "", untrue("%d other sessions ended", row.EndedSessions)
		}
		if err == nil && row.Outcome == store.OutcomeCreated {
			w.session, w.cookie = session, cookie
		}
		return string(row.Outcome), err
	}
}

func (w *walk) findSession(cookie func() token.Raw) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		row, err := w.calls.FindSessionByToken(ctx, cookie().Digest())
		if err == nil && (row.User.ID != w.ada || row.Session.ID != w.session) {
			return "", untrue("it found somebody else's session")
		}
		return found(err, "found", "none")
	}
}

func (w *walk) checkConsent(app *application, scopes, missing []string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		row, err := w.calls.CheckConsent(ctx, store.CheckConsentParams{ClientID: app.ClientID, UserID: w.ada, Scopes: scopes})
		switch {
		case err != nil || row.Outcome != store.OutcomeActive:
			return string(row.Outcome), err
		case !slices.Equal(slices.Sorted(slices.Values(row.Missing)), slices.Sorted(slices.Values(missing))):
			return "", untrue("it misses %q", row.Missing)
		case row.Covered:
			return "covered", nil
		}
		return "missing", nil
	}
}

func (w *walk) grantConsent(app *application, scopes ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		row, err := w.calls.GrantConsent(ctx, store.GrantConsentParams{
			ID: store.NewConsentID(), ClientID: app.ClientID, UserID: w.ada, Scopes: scopes, Merge: true,
		})
		if err == nil && row.Outcome == store.OutcomeGranted && !slices.Equal(row.Scopes, scopes) {
			return "", untrue("it holds %q", row.Scopes)
		}
		return string(row.Outcome), err
	}
}

// grant is an authorization whose user need not be asked.
func (w *walk) grant(app *application, g *grant, scopes ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		*g = grant{id: store.NewAuthorizationID(), verifier: newVerifier(), code: token.Mint(token.AuthorizationCode)}
		outcome, err := w.calls.GrantAuthorization(ctx, store.GrantAuthorizationParams{
			ID: g.id, ClientID: app.ClientID, UserID: w.ada, SessionID: &w.session, Scopes: scopes, GrantedScopes: scopes,
			RedirectURI: &app.RedirectURIs[0], ResponseType: new("code"), AuthTime: new(time.Now()), AMR: []string{"pwd"},
			CodeChallenge: new(token.S256(g.verifier)), CodeChallengeMethod: new("S256"),
			Code: g.code.Digest(), CodeLifetime: codeLifetime,
		})
		return string(outcome), err
	}
}

func (w *walk) redeem(app *application, g *grant) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		access, refresh := token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
		g.redemption = store.RedeemAuthorizationCodeParams{
			ClientID: app.ClientID, ClientAuthMethod: app.method(), ClientSecret: app.secret.Digest(),
			Code: g.code.Digest(), RedirectURI: &app.RedirectURIs[0], CodeChallenge: new(token.S256(g.verifier)),
			AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()), AccessTokenLifetime: accessLifetime,
			RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(refresh.Digest()), RefreshTokenLifetime: refreshLifetime,
			FamilyLifetime: store.Never, Confirmation: app.key,
		}
		row, err := w.calls.RedeemAuthorizationCode(ctx, g.redemption)
		if err == nil && row.Outcome == store.OutcomeRedeemed {
			g.access, g.refresh = access, refresh
		}
		return string(row.Outcome), err
	}
}

// redeemAgain makes the very same call once more.
func (w *walk) redeemAgain(g *grant) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		row, err := w.calls.RedeemAuthorizationCode(ctx, g.redemption)
		return string(row.Outcome), err
	}
}

// rotate presents a refresh token and leaves what it is answered in g.
func (w *walk) rotate(ctx context.Context, app *application, presented token.Raw, g *grant, scopes ...string) (string, error) {
	access, successor := token.Mint(token.AccessToken), w.successors.Successor(presented)
	row, err := w.calls.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
		ClientID: app.ClientID, ClientAuthMethod: app.method(), ClientSecret: app.secret.Digest(),
		Token: presented.Digest(), Scopes: scopes, Grace: grace, Confirmation: app.key,
		SuccessorID: store.NewRefreshTokenID(), Successor: successor.Digest(), RefreshTokenLifetime: refreshLifetime,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()), AccessTokenLifetime: accessLifetime,
	})
	if err != nil {
		return "", err
	}
	switch row.Outcome {
	case store.OutcomeRotated, store.OutcomeRetried:
		// The database holds the digest of the successor that counts. It may have been derived under a key before this one.
		stored, ok := token.Raw{}, false
		if row.Successor != nil {
			stored, ok = w.successors.Match(presented, *row.Successor)
		}
		if !ok || row.AuthorizationID == nil {
			return string(row.Outcome), untrue("the successor cannot be told, or has no family")
		}
		g.id, g.access, g.refresh = *row.AuthorizationID, access, stored
	}
	return string(row.Outcome), nil
}

// introspect asks about an access token; check may look at the answer.
func (w *walk) introspect(access func() token.Raw, check func(store.IntrospectAccessTokenRow) bool) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		row, err := w.calls.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{Token: access().Digest(), ClientAuthMethod: "server"})
		if err == nil && check != nil && row.Outcome == store.OutcomeActive && !check(row) {
			return "", untrue("the answer is about something else")
		}
		return string(row.Outcome), err
	}
}

// collected is the outcome of a call that deletes what has expired.
func collected(n int64, err error) (string, error) {
	if n == 0 {
		return "kept", err
	}
	return "collected", err
}

// found is the outcome of a call that answers with a row, or with none.
func found(err error, yes, no string) (string, error) {
	switch {
	case err == nil:
		return yes, nil
	case db.IsNotFound(err):
		return no, nil
	}
	return "", err
}

// sameClient compares a row, member by member, with what it was made from.
func sameClient(row store.OAuthClient, p store.CreateClientParams) error {
	got, want := reflect.ValueOf(row), reflect.ValueOf(p)
	for i := range want.NumField() {
		name := want.Type().Field(i).Name
		stored, given := got.FieldByName(name).Interface(), want.Field(i).Interface()
		if document, ok := given.(json.RawMessage); ok {
			stored, given = parsed(stored.(json.RawMessage)), parsed(document)
		}
		if !reflect.DeepEqual(stored, given) {
			return untrue("%s is not as it was given", name)
		}
	}
	return nil
}

func parsed(document json.RawMessage) (value any) {
	_ = json.Unmarshal(document, &value) // nil for none
	return value
}

// newVerifier is what a client makes for PKCE (RFC 7636, section 4.1).
func newVerifier() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return base64.RawURLEncoding.EncodeToString(random)
}

// remaining counts the rows of each table, in the order of a grant's life.
func (w *walk) remaining(ctx context.Context) (string, error) {
	var users, accounts, sessions, clients, consents, authorizations, refresh, access int
	err := w.pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM "user"), (SELECT count(*) FROM account), (SELECT count(*) FROM session),
		    (SELECT count(*) FROM oauth_client), (SELECT count(*) FROM oauth_consent), (SELECT count(*) FROM oauth_authorization),
		    (SELECT count(*) FROM oauth_refresh_token), (SELECT count(*) FROM oauth_access_token)`).
		Scan(&users, &accounts, &sessions, &clients, &consents, &authorizations, &refresh, &access)
	return fmt.Sprintf("user %d, account %d, session %d, client %d, consent %d, authorization %d, refresh token %d, access token %d",
		users, accounts, sessions, clients, consents, authorizations, refresh, access), err
}

// pass moves every expiry and ending of the database into the past: all that a grant's life takes is waiting.
func (w *walk) pass(interval time.Duration) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		_, err := w.pool.Exec(ctx, `
			WITH sessions AS (UPDATE session SET expires_at = expires_at - $1::interval),
			    authorizations AS (UPDATE oauth_authorization SET expires_at = expires_at - $1::interval, revoked_at = revoked_at - $1::interval),
			    refresh_tokens AS (UPDATE oauth_refresh_token SET expires_at = expires_at - $1::interval),
			    access_tokens AS (UPDATE oauth_access_token SET expires_at = expires_at - $1::interval),
			    secrets AS (UPDATE oauth_client_secret SET expires_at = expires_at - $1::interval)
			UPDATE oauth_client_assertion SET expires_at = expires_at - $1::interval`, interval)
		return "done", err
	}
}

// elsewhere writes a refresh token as another server on the same tables does: it knows nothing of families.
func (w *walk) elsewhere(app *application, raw token.Raw, scopes string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		_, err := w.pool.Exec(ctx, `
			INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, expires_at)
			VALUES ($1, $2, $3, $4, string_to_array($5, ' '), now() + interval '30 days')`,
			string(store.NewRefreshTokenID()), raw.Digest(), string(app.ClientID), string(w.ada), scopes)
		return "done", err
	}
}

// spendElsewhere spends a refresh token as another server does.
func (w *walk) spendElsewhere(raw token.Raw) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		tag, err := w.pool.Exec(ctx, `UPDATE oauth_refresh_token SET revoked = now() WHERE token = $1 AND revoked IS NULL`, raw.Digest())
		if tag.RowsAffected() == 0 {
			return "no row", err
		}
		return "spent", err
	}
}

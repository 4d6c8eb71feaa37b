package fositedb_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"

	fositedb "github.com/oauthdb/oauthdb/adapters/fosite"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// A server may authenticate clients in a way of its own, and keep them. What is known of a request must not be taken for another's.
func TestClientThatIsPassedOnSharesNothingBetweenRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var st *fositedb.Store
	s := w.serve(func(h *how) {
		var err error
		st, err = fositedb.New(w.db.Pool, fositedb.Options{})
		w.ok(err)
		st.Configure(&h.config)
		h.hmac, h.storage = true, st
	})
	c := s.register()
	kept, err := st.GetClient(w.ctx, c.id)
	w.ok(err)
	s.config.ClientAuthenticationStrategy = func(context.Context, *http.Request, url.Values) (fosite.Client, error) { return kept, nil }
	for range 2 {
		code := c.code()
		answers := map[string]int{}
		for _, a := range inParallel(8, func(int) answer { return c.redeem(code) }) {
			answers[a.str("error")]++
		}
		wantEqual(t, "answers", answers, map[string]int{"": 1, "invalid_grant": 7})
		w.want("once more", c.redeem(code), http.StatusBadRequest, "invalid_grant")
	}
	first := c.login()
	w.want("refresh", c.refresh(first.str("refresh_token")), http.StatusOK, "")
	w.want("refresh again", c.refresh(first.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
}

// The library takes each token for a bearer token, so one that is bound to a key is nothing here.
func TestBoundTokenIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c, resource := s.register(public), s.register()
	access, refresh := token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
	grant := func(access, refresh token.Raw, key *token.Confirmation) {
		row, err := w.q.IssueGrant(w.ctx, store.IssueGrantParams{
			ID: store.NewAuthorizationID(), UserID: w.user, ClientID: store.ClientID(c.id), GrantType: "server", Scopes: []string{"openid", "offline_access"},
			AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()), AccessTokenLifetime: time.Minute,
			RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(refresh.Digest()), RefreshTokenLifetime: time.Hour, FamilyLifetime: time.Hour,
			Confirmation: key,
		})
		w.ok(err)
		wantEqual(t, "IssueGrant", row.Outcome, store.OutcomeIssued)
	}
	grant(access, refresh, &token.Confirmation{JKT: "key"})
	resource.wantActive(false, access.Reveal(), refresh.Reveal())
	w.want("refresh", c.refresh(refresh.Reveal()), http.StatusBadRequest, "invalid_grant")
	// One that isn't is: of a grant that another server of the project has made.
	access, refresh = token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
	grant(access, refresh, nil)
	resource.wantActive(true, access.Reveal(), refresh.Reveal())
	successor := c.refresh(refresh.Reveal())
	w.want("refresh", successor, http.StatusOK, "")
	wantEqual(t, "subject", claims(t, successor.str("id_token"))["sub"], w.user)
}

func TestTokensAreTheOtherServersToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c, resource := s.register(), s.register()
	first := c.login()
	row, err := w.q.IntrospectToken(w.ctx, store.IntrospectTokenParams{Token: token.DigestOf(first.str("access_token")), ClientAuthMethod: "server"})
	w.ok(err)
	wantEqual(t, "another server", row.Outcome, store.OutcomeActive)
	// The other server rotates, and this one goes on with the successor.
	successors, err := token.NewSuccessors([]byte(strings.Repeat("s", 32)))
	w.ok(err)
	presented, err := token.Parse(token.RefreshToken, first.str("refresh_token"))
	w.ok(err)
	successor := successors.Successor(presented)
	rotated, err := w.q.RotateRefreshToken(w.ctx, store.RotateRefreshTokenParams{
		Token: presented.Digest(), ClientID: store.ClientID(c.id), ClientAuthMethod: "verified", Successor: successor.Digest(),
		SuccessorID: store.NewRefreshTokenID(), AccessTokenID: store.NewAccessTokenID(), AccessToken: new(token.Mint(token.AccessToken).Digest()),
		AccessTokenLifetime: time.Minute, RefreshTokenLifetime: time.Hour,
	})
	w.ok(err)
	wantEqual(t, "rotation by another server", rotated.Outcome, store.OutcomeRotated)
	wantEqual(t, "retry here", c.refresh(first.str("refresh_token")).str("refresh_token"), successor.Reveal())
	w.want("refresh here", c.refresh(successor.Reveal()), http.StatusOK, "")
	// What ends there is dead here, whatever ended it.
	_, err = w.q.RevokeUserAuthorizations(w.ctx, w.user)
	w.ok(err)
	resource.wantActive(false, first.str("access_token"), first.str("refresh_token"))
	w.want("refresh", c.refresh(successor.Reveal()), http.StatusBadRequest, "invalid_grant")
}

// What is answered about a token is what the database has made of it.
func TestAnswerSaysWhatWasWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(func(h *how) { h.config.AccessTokenLifespan = 2 * time.Hour }) // longer than the session
	expiresIn := func(a answer) float64 { n, _ := a.body["expires_in"].(float64); return n }
	c := s.register()
	bound := c.login(func(f url.Values) { f.Set("scope", "openid calendar") })
	if n := expiresIn(bound); n < 3500 || n > 3600 {
		t.Errorf("a token of a session of an hour lasts %v s", n)
	}
	if n := expiresIn(c.login()); n < 7100 {
		t.Errorf("a token without a session lasts %v s", n)
	}
	brief := s.register(func(p *store.CreateClientParams) {
		p.AccessTokenLifetime, p.RefreshTokenLifetime = new(time.Minute), new(2*time.Minute)
	})
	tokens := brief.login()
	if n := expiresIn(tokens); n > 60 {
		t.Errorf("a token of a client with short ones lasts %v s", n)
	}
	var left float64
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT extract(epoch FROM expires_at - now()) FROM oauth_refresh_token WHERE token = $1`,
		string(token.DigestOf(tokens.str("refresh_token")))).Scan(&left))
	if left > 120 {
		t.Errorf("its refresh token lasts %v s", left)
	}
	pairwise := s.register(func(p *store.CreateClientParams) { p.SubjectType = new("pairwise") })
	first := pairwise.login()
	second := pairwise.refresh(first.str("refresh_token"))
	sub := claims(t, first.str("id_token"))["sub"]
	if sub == string(w.user) || sub == "" {
		t.Errorf("the subject of a client with pairwise ones is %v", sub)
	}
	wantEqual(t, "subject after a refresh", claims(t, second.str("id_token"))["sub"], sub)
	wantEqual(t, "subject at introspection", s.register().introspect(second.str("access_token")).body["sub"], sub)
	plain := s.register(func(p *store.CreateClientParams) { p.GrantTypes = []string{"authorization_code"} }).login()
	if plain.str("refresh_token") != "" {
		t.Error("a client that isn't registered for them has a refresh token")
	}
}

func TestRefreshTokensMayLastForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.serve(func(h *how) { h.config.RefreshTokenLifespan = -1 }).register()
	tokens := c.login()
	w.want("refresh", c.refresh(tokens.str("refresh_token")), http.StatusOK, "")
	var finite int
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT count(*) FROM oauth_refresh_token WHERE expires_at IS NOT NULL`).Scan(&finite))
	wantEqual(t, "refresh tokens that expire", finite, 0)
}

// Sessions of the library's own types serve too.
func TestOtherSessionsAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	st, err := fositedb.New(w.db.Pool, fositedb.Options{})
	w.ok(err)
	for name, session := range map[string]struct{ granted, fresh fosite.Session }{
		"openid.DefaultSession": {
			&openid.DefaultSession{Claims: &jwt.IDTokenClaims{Subject: string(w.user), Extra: map[string]any{"k": "v"}}, Username: "ada"},
			openid.NewDefaultSession(),
		},
		"fosite.DefaultSession": {&fosite.DefaultSession{Subject: string(w.user), Username: "ada", Extra: map[string]any{"k": "v"}}, &fosite.DefaultSession{}},
	} {
		code := token.Mint(token.AuthorizationCode)
		ar := fosite.NewAuthorizeRequest()
		ar.Client, err = st.GetClient(w.ctx, c.id)
		w.ok(err)
		ar.Form, ar.ResponseTypes = c.request(), fosite.Arguments{"code"}
		ar.SetRequestedScopes([]string{"openid"})
		ar.GrantScope("openid")
		session.granted.SetExpiresAt(fosite.AuthorizeCode, time.Now().Add(time.Minute))
		ar.SetSession(session.granted)
		ctx := context.WithValue(w.ctx, fosite.AuthorizeRequestContextKey, ar)
		w.ok(st.CreateAuthorizeCodeSession(ctx, string(code.Digest()), ar))
		got, err := st.GetAuthorizeCodeSession(w.ctx, string(code.Digest()), session.fresh)
		w.ok(err)
		wantEqual(t, name, []any{got.GetSession().GetSubject(), got.GetSession().GetUsername(), got.GetID()}, []any{w.user, "ada", ar.GetID()})
		if end := got.GetSession().GetExpiresAt(fosite.AuthorizeCode); time.Until(end) > time.Minute || time.Until(end) < 50*time.Second {
			t.Errorf("%s: the code expires at %s", name, end)
		}
		switch kept := got.GetSession().(type) {
		case *openid.DefaultSession:
			wantEqual(t, name, []any{kept.Claims.Subject, kept.Claims.Extra["k"], kept.Claims.RequestedAt.IsZero()}, []any{w.user, "v", true})
		case *fosite.DefaultSession:
			wantEqual(t, name, kept.Extra["k"], "v")
		}
		if session.granted.GetExpiresAt(fosite.AuthorizeCode).IsZero() {
			t.Errorf("%s: the session that was kept has changed", name)
		}
	}
}

// JWTs have longer signatures, and are known by a digest of theirs.
func TestJWTAccessTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(func(h *how) {
		st, err := fositedb.New(w.db.Pool, fositedb.Options{})
		w.ok(err)
		st.Configure(&h.config)
		h.storage, h.hmac, h.jwt = st, false, true
	})
	c, resource := s.register(), s.register()
	tokens := c.login()
	if strings.Count(tokens.str("access_token"), ".") != 2 {
		t.Fatalf("no JWT: %s", tokens.str("access_token"))
	}
	said := claims(t, tokens.str("access_token"))
	wantEqual(t, "claims", []any{said["sub"], said["plan"]}, []any{w.user, "gold"})
	resource.wantActive(true, tokens.str("access_token"))
	parts := strings.Split(tokens.str("access_token"), ".")
	row, err := w.q.IntrospectAccessToken(w.ctx, store.IntrospectAccessTokenParams{Token: token.DigestOf(parts[2]), ClientAuthMethod: "server"})
	w.ok(err)
	wantEqual(t, "its signature, as a token of another server", row.Outcome, store.OutcomeInactive)
	w.want("revocation", c.post("/revoke", url.Values{"token": {tokens.str("access_token")}}), http.StatusOK, "")
	resource.wantActive(false, tokens.str("access_token"))
}

// A handler that grants more than the user did is stopped: the answer would say more than the database.
func TestHandlerCannotWidenAGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	s.widen.Store(true)
	w.want("code", c.redeem(c.code(func(f url.Values) { f.Set("scope", "openid offline_access") })), http.StatusInternalServerError, "server_error")
	s.widen.Store(false)
	tokens := c.login(func(f url.Values) { f.Set("scope", "openid offline_access") })
	s.widen.Store(true)
	if a := c.refresh(tokens.str("refresh_token")); a.status != http.StatusBadRequest || a.str("error") != "invalid_scope" {
		t.Errorf("refresh: %d %s", a.status, a.text)
	}
}

// What is inactive comes with the request that it was for, and with the library's own errors.
func TestInactiveOnesComeWithTheirRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(func(h *how) { h.opts.SuccessorKeys = nil })
	c := s.register()
	code := c.code()
	tokens := c.redeem(code)
	c.refresh(tokens.str("refresh_token"))
	st, err := fositedb.New(w.db.Pool, fositedb.Options{})
	w.ok(err)
	var id string
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT id FROM oauth_authorization WHERE client_id = $1`, c.id).Scan(&id))
	byCode, err := st.GetAuthorizeCodeSession(w.ctx, string(token.DigestOf(code)), fositedb.NewSession("", ""))
	if !errors.Is(err, fosite.ErrInvalidatedAuthorizeCode) || byCode == nil || byCode.GetID() != id || byCode.GetClient().GetID() != c.id {
		t.Errorf("a redeemed code: %v %v", byCode, err)
	}
	byToken, err := st.GetRefreshTokenSession(w.ctx, string(token.DigestOf(tokens.str("refresh_token"))), nil)
	if !errors.Is(err, fosite.ErrInactiveToken) || byToken == nil || byToken.GetID() != id || byToken.GetClient().GetID() != c.id {
		t.Errorf("a spent refresh token: %v %v", byToken, err)
	}
	for what, err := range map[string]error{
		"code":          second(st.GetAuthorizeCodeSession(w.ctx, "nothing", nil)),
		"refresh token": second(st.GetRefreshTokenSession(w.ctx, "nothing", nil)),
		"access token":  second(st.GetAccessTokenSession(w.ctx, "nothing", nil)),
		"PKCE":          second(st.GetPKCERequestSession(w.ctx, "nothing", nil)),
		"OpenID":        second(st.GetOpenIDConnectSession(w.ctx, "nothing", nil)),
		"client":        second(st.GetClient(w.ctx, "nothing")),
		"issuer's key":  second(st.GetPublicKey(w.ctx, "nobody", "nobody", "k")),
	} {
		if !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestWhatCannotBeStoredIsAnInvalidRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	for name, value := range map[string]string{"nonce": "the-nonce\x00", "acr_values": "\xff", "state": "the-state\x00"} {
		w.wantRedirected(s.authorize(c.request(func(f url.Values) { f.Set(name, value) })), "invalid_request")
		w.want(name, c.post("/par", c.request(func(f url.Values) { f.Set(name, value) })), http.StatusBadRequest, "invalid_request")
	}
	w.want("code", c.redeem("\x00"), http.StatusBadRequest, "invalid_grant")
	w.want("refresh token", c.refresh("\x00.\xff"), http.StatusBadRequest, "invalid_grant")
	c.wantActive(false, "\x00", "\xff.\x00")
	nobody := client{server: s, id: "\x00", secret: "\xff"}
	w.want("client", nobody.redeem("x"), http.StatusUnauthorized, "invalid_client")
}

// A handler that serves userinfo knows the user, whatever the client does.
func TestSessionNamesTheUserAndWhereTheGrantWasMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register(func(p *store.CreateClientParams) { p.SubjectType = new("pairwise") })
	tokens := c.login()
	_, r, err := s.provider.IntrospectToken(w.ctx, tokens.str("access_token"), fosite.AccessToken, fositedb.NewSession("", ""), "openid")
	w.ok(err)
	session := r.GetSession().(*fositedb.Session)
	wantEqual(t, "session", []any{session.UserID, session.SessionID, session.Username}, []any{w.user, w.session, "ada"})
	if session.Subject == string(w.user) || session.Subject == "" {
		t.Errorf("the subject is %q", session.Subject)
	}
	if got := r.GetClient().(*fositedb.Client).OAuthClient(); string(got.ClientID) != c.id || len(got.RedirectURIs) == 0 {
		t.Errorf("the client is %+v", got)
	}
}

// A handler may change a session at the token endpoint, as the library lets it.
func TestChangedSessionIsKeptWithTheTokens(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.serve(kind).register()
			plan := func(a answer) any { return c.introspect(a.str("access_token")).body["plan"] }
			refresh := func(a answer, plan string) answer {
				return c.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.str("refresh_token")}, "plan": {plan}})
			}
			form := redemption(c.code())
			form.Set("plan", "silver")
			first := c.post("/token", form)
			second := refresh(first, "")
			third := refresh(second, "bronze")
			fourth := refresh(third, "")
			wantEqual(t, "plans", []any{plan(first), plan(second), plan(third), plan(fourth)}, []any{"silver", "silver", "bronze", "bronze"})
			wantEqual(t, "subject", claims(t, fourth.str("id_token"))["sub"], w.user)
		})
	}
}

package betterauth

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

const (
	redirectURI = "https://client.example/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	password    = "correct horse"
	offline     = "openid email offline_access"
	grace       = 10 * time.Second
)

// world is a database with a better-auth server and the store on it.
type world struct {
	testing.TB
	ctx    context.Context
	pool   *pgxpool.Pool
	q      *store.Queries
	server *Server
}

func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	d := storetest.New(t, fixture.WithRoles)
	peer := AsPeer(t, d.URL)
	mustBePeer(t, peer)
	w := &world{t, t.Context(), d.Pool, d.Store, Start(t, peer, env...)}
	t.Cleanup(func() { // before the server stops
		var sessions int
		err := d.Pool.QueryRow(context.WithoutCancel(t.Context()), `
			SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1`, PeerName).Scan(&sessions)
		if err != nil || sessions == 0 && !t.Failed() && !t.Skipped() {
			t.Errorf("the server has %d sessions as the peer, %v", sessions, err)
		}
	})
	return w
}

func mustBePeer(t *testing.T, database string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatalf("no session as the peer: %v", err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	var is bool
	err = c.QueryRow(t.Context(), `
		SELECT current_user = session_user || '_peer' AND current_setting('application_name') = $1`, PeerName).Scan(&is)
	if err != nil || !is {
		t.Fatalf("the session is not the peer's: %v", err)
	}
}

func (w *world) in(t testing.TB) *world { return &world{t, t.Context(), w.pool, w.q, w.server} }

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) post(path string, body any, cookie string) answer {
	w.Helper()
	return do(w.ctx, w.server, w.TB, "POST", path, body, cookie, nil)
}

func (w *world) get(path, cookie string) answer {
	w.Helper()
	return do(w.ctx, w.server, w.TB, "GET", path, nil, cookie, nil)
}

// person is signed in at the better-auth server.
type person struct {
	id      store.UserID
	session store.SessionID
	email   string
	cookie  string
}

// signUp makes a user there. The address is written as it comes.
func (w *world) signUp(email string) person {
	w.Helper()
	return w.signedIn(email, w.post("/sign-up/email", map[string]string{"name": "Ada", "email": email, "password": password}, ""))
}

func (w *world) signIn(email string) person {
	w.Helper()
	return w.signedIn(email, w.post("/sign-in/email", map[string]string{"email": email, "password": password}, ""))
}

func (w *world) signedIn(email string, a answer) person {
	w.Helper()
	user, _ := a.body["user"].(map[string]any)
	id, _ := user["id"].(string)
	if a.status != 200 || id == "" {
		w.Fatalf("%s is not signed in: %s", email, a)
	}
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	p := person{id: store.UserID(id), email: email, cookie: cookie}
	w.ok(w.pool.QueryRow(w.ctx, `SELECT s.id FROM session AS s WHERE s.token = $1`, a.text("token")).Scan(&p.session))
	return p
}

// signedInThere says whether the server there takes the cookie for that of a session.
func (w *world) signedInThere(cookie string) bool {
	w.Helper()
	a := w.get("/get-session", cookie)
	if a.status != 200 {
		w.Fatalf("get-session: %s", a)
	}
	return a.body["session"] != nil
}

// client is registered by the store.
type client struct {
	id     store.ClientID
	secret string // "" for a public one
}

func (w *world) register(change ...func(*store.CreateClientParams)) client {
	w.Helper()
	p := store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{redirectURI}, Name: new("Calendar"),
		TokenEndpointAuthMethod: new("none"), Public: new(true), GrantTypes: []string{"authorization_code", "refresh_token"},
		ResponseTypes: []string{"code"}, SkipConsent: new(true),
	}
	for _, c := range change {
		c(&p)
	}
	_, err := w.q.CreateClient(w.ctx, p)
	w.ok(err)
	return client{id: p.ClientID}
}

func (w *world) registerConfidential() client {
	w.Helper()
	raw := token.Mint(token.ClientSecret).Reveal()
	c := w.register(func(p *store.CreateClientParams) {
		p.Public, p.TokenEndpointAuthMethod, p.ClientSecret = nil, new("client_secret_post"), new(token.DigestOf(raw))
	})
	c.secret = raw
	return c
}

// authenticate adds to a request of the client how it authenticates.
func (c client) authenticate(form url.Values) url.Values {
	form.Set("client_id", string(c.id))
	if c.secret != "" {
		form.Set("client_secret", c.secret)
	}
	return form
}

// who is how the client authenticates at the store.
func (c client) who() (method string, digest token.Digest) {
	if c.secret == "" {
		return "none", ""
	}
	return "client_secret_post", token.DigestOf(c.secret)
}

// tokens are what a client has got, here or there.
type tokens struct {
	access, refresh string
	family          store.AuthorizationID
}

// authorize sends the user to the authorization endpoint there, and says where they are sent next.
func (w *world) authorize(p person, c client, scope string, more ...url.Values) string {
	w.Helper()
	query := url.Values{
		"response_type": {"code"}, "client_id": {string(c.id)}, "redirect_uri": {redirectURI}, "scope": {scope}, "state": {"xyz"},
		"code_challenge": {token.S256(verifier)}, "code_challenge_method": {"S256"},
	}
	for _, m := range more {
		maps.Copy(query, m)
	}
	a := w.get("/oauth2/authorize?"+query.Encode(), p.cookie)
	if to := a.header.Get("Location"); to != "" {
		return to
	}
	return a.text("url")
}

// decide answers the consent page there, if the user was sent to it, and says where they are sent next.
func (w *world) decide(p person, to string, accept bool) string {
	w.Helper()
	_, query, asked := strings.Cut(to, "/consent?")
	if !asked {
		return to
	}
	return w.post("/oauth2/consent", map[string]any{"accept": accept, "oauth_query": query}, p.cookie).text("url")
}

// code has the user grant the client's request there, agreeing if asked to, and returns the code.
func (w *world) code(p person, c client, scope string, more ...url.Values) string {
	w.Helper()
	to := w.decide(p, w.authorize(p, c, scope, more...), true)
	u, err := url.Parse(to)
	if err != nil || u.Query().Get("code") == "" || u.Query().Get("state") != "xyz" {
		w.Fatalf("no code: %q (%v)", to, err)
	}
	return u.Query().Get("code")
}

func (w *world) redeemThere(c client, code string) answer {
	w.Helper()
	return w.post("/oauth2/token", c.authenticate(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	}), "")
}

func (w *world) refreshThere(c client, refresh string) answer {
	w.Helper()
	return w.post("/oauth2/token", c.authenticate(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}), "")
}

// issued are the tokens of an answer that has to be one.
func (w *world) issued(a answer) tokens {
	w.Helper()
	t := tokens{access: a.text("access_token"), refresh: a.text("refresh_token")}
	if a.status != 200 || t.access == "" {
		w.Fatalf("no tokens: %s", a)
	}
	w.ok(w.pool.QueryRow(w.ctx, `SELECT t.authorization_id FROM oauth_access_token AS t WHERE t.token = $1`, token.DigestOf(t.access)).Scan(&t.family))
	return t
}

// grant goes through the whole flow there.
func (w *world) grant(p person, c client, scope string) tokens {
	w.Helper()
	return w.issued(w.redeemThere(c, w.code(p, c, scope)))
}

// grantHere does the same by the store's calls.
func (w *world) grantHere(p person, c client, scope string) tokens {
	w.Helper()
	code, access, refresh := token.Mint(token.AuthorizationCode), token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
	scopes := strings.Fields(scope)
	outcome, err := w.q.GrantAuthorization(w.ctx, store.GrantAuthorizationParams{
		ID: store.NewAuthorizationID(), UserID: p.id, ClientID: c.id, SessionID: &p.session, Scopes: scopes, GrantedScopes: scopes, DefaultScopes: scopes,
		RedirectURI: new(redirectURI), ResponseType: new("code"), CodeChallenge: new(token.S256(verifier)), CodeChallengeMethod: new("S256"),
		Code: code.Digest(), CodeLifetime: time.Minute,
	})
	w.ok(err)
	if outcome != store.OutcomeGranted {
		w.Fatalf("GrantAuthorization: %s", outcome)
	}
	method, digest := c.who()
	r, err := w.q.RedeemAuthorizationCode(w.ctx, store.RedeemAuthorizationCodeParams{
		Code: code.Digest(), ClientID: c.id, ClientAuthMethod: method, ClientSecret: digest, RedirectURI: new(redirectURI),
		CodeChallenge: new(token.S256(verifier)), AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()),
		AccessTokenLifetime: 10 * time.Minute, RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(refresh.Digest()),
		RefreshTokenLifetime: time.Hour, FamilyLifetime: 24 * time.Hour, DefaultScopes: scopes,
	})
	w.ok(err)
	if r.Outcome != store.OutcomeRedeemed {
		w.Fatalf("RedeemAuthorizationCode: %s", r.Outcome)
	}
	return tokens{access.Reveal(), refresh.Reveal(), *r.AuthorizationID}
}

// rotateHere presents a refresh token to the store.
func (w *world) rotateHere(c client, refresh string, want store.Outcome, change ...func(*store.RotateRefreshTokenParams)) tokens {
	w.Helper()
	access, successor := token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
	method, digest := c.who()
	p := store.RotateRefreshTokenParams{
		ClientID: c.id, ClientAuthMethod: method, ClientSecret: digest, Token: token.DigestOf(refresh), Grace: grace,
		Successor: successor.Digest(), SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: time.Hour,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()), AccessTokenLifetime: 10 * time.Minute,
		DefaultScopes: []string{"openid", "profile", "email", "offline_access"}, DefaultResources: []string{resource},
	}
	for _, c := range change {
		c(&p)
	}
	r, err := w.q.RotateRefreshToken(w.ctx, p)
	w.ok(err)
	if r.Outcome != want {
		w.Fatalf("RotateRefreshToken: %s, want %s", r.Outcome, want)
	}
	t := tokens{access: access.Reveal(), refresh: successor.Reveal()}
	if r.AuthorizationID != nil {
		t.family = *r.AuthorizationID
	}
	return t
}

// liveHere says whether the store takes a token for live.
func (w *world) liveHere(raw string) bool {
	w.Helper()
	r, err := w.q.IntrospectToken(w.ctx, store.IntrospectTokenParams{ClientAuthMethod: "server", Token: token.DigestOf(raw)})
	w.ok(err)
	return r.Outcome == store.OutcomeActive
}

func (w *world) wantLive(raw ...string) {
	w.Helper()
	for i, r := range raw {
		if !w.liveHere(r) {
			w.Errorf("token %d of %d is dead here", i+1, len(raw))
		}
	}
}

func (w *world) wantDead(raw ...string) {
	w.Helper()
	for i, r := range raw {
		if r != "" && w.liveHere(r) {
			w.Errorf("token %d of %d lives here", i+1, len(raw))
		}
	}
}

// refusedThere wants a refresh there to fail for one of the reasons, and nothing to be live here by it.
func (w *world) refusedThere(c client, refresh string, reasons ...string) {
	w.Helper()
	if len(reasons) == 0 {
		reasons = []string{"invalid_grant"}
	}
	a := w.refreshThere(c, refresh)
	w.wantDead(a.text("access_token"), a.text("refresh_token"))
	for _, reason := range reasons {
		if a.text("error") == reason {
			return
		}
	}
	w.Errorf("refreshed there: want %v: %s", reasons, a)
}

// uselessThere wants nothing to come of a dead refresh token that was granted without offline_access. Such a one is never spent
// there: an access token is written and nothing else changed, so it is not refused. It is dead here and there.
func (w *world) uselessThere(c client, refresh string) {
	w.Helper()
	a := w.refreshThere(c, refresh)
	if a.status != 200 {
		return
	}
	if a.text("refresh_token") != "" {
		w.Errorf("refreshed there: %s", a)
	}
	w.wantDead(a.text("access_token"))
	if a := w.get("/oauth2/userinfo", "Bearer "+a.text("access_token")); a.status == 200 {
		w.Errorf("an access token of a dead refresh token is live there: %s", a)
	}
}

// noneLives wants no token of the user, or of the client, in the tables to be live.
func (w *world) noneLives(what string, where string, arg any) {
	w.Helper()
	var live int
	w.ok(w.pool.QueryRow(w.ctx, fmt.Sprintf(`
		SELECT count(*)
		FROM (
			SELECT r.authorization_id FROM oauth_refresh_token AS r WHERE r.%[1]s = $1 AND r.revoked IS NULL
			UNION ALL
			SELECT t.authorization_id FROM oauth_access_token AS t WHERE t.%[1]s = $1 AND t.revoked IS NULL
		) AS x
		JOIN oauth_authorization AS a ON a.id = x.authorization_id
		JOIN oauth_client AS c ON c.client_id = a.client_id
		JOIN "user" AS u ON u.id = a.user_id
		LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
		WHERE is_live(a, c, u, s)`, where), arg).Scan(&live))
	if live > 0 {
		w.Errorf("%s: %d tokens live", what, live)
	}
}

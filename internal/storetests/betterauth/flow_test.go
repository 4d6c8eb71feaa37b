package betterauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const (
	resource        = "https://api.example/calendar" // auth.mjs has it
	deviceGrantType = "urn:ietf:params:oauth:grant-type:device_code"
)

// registerThere registers a client at the server there (RFC 7591).
func (w *world) registerThere(p person, metadata map[string]any) (client, answer) {
	w.Helper()
	a := w.post("/oauth2/register", metadata, p.cookie)
	c := client{id: store.ClientID(a.text("client_id")), secret: a.text("client_secret")}
	if a.status != 201 && a.status != 200 || c.id == "" {
		w.Fatalf("not registered: %s", a)
	}
	return c, a
}

func (w *world) introspectThere(c client, raw string) answer {
	w.Helper()
	a := w.post("/oauth2/introspect", c.authenticate(url.Values{"token": {raw}}), "")
	if a.status != 200 {
		w.Fatalf("introspect: %s", a)
	}
	return a
}

func (a answer) active() bool { is, _ := a.body["active"].(bool); return is }

func (w *world) introspectHere(raw string) store.IntrospectTokenRow {
	w.Helper()
	r, err := w.q.IntrospectToken(w.ctx, store.IntrospectTokenParams{ClientAuthMethod: "server", Token: token.DigestOf(raw)})
	w.ok(err)
	return r
}

// wholeFlow goes through all endpoints there once, with a client that they have registered.
func wholeFlow(w *world) {
	p := w.signUp("whole-flow@example.com")
	c, registered := w.registerThere(person{}, map[string]any{
		"redirect_uris": []string{redirectURI}, "client_name": "Calendar", "token_endpoint_auth_method": "client_secret_post",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "contacts": []string{"ops@client.example"},
		"client_uri": "https://client.example", "software_id": "calendar", "software_version": "2",
	})
	here, err := w.q.GetClient(w.ctx, c.id)
	w.ok(err)
	if *here.Name != "Calendar" || *here.TokenEndpointAuthMethod != "client_secret_post" || !slices.Equal(here.RedirectURIs, []string{redirectURI}) ||
		!slices.Contains(here.Scopes, "offline_access") || here.Disabled {
		w.Errorf("registered as %s, here %+v", registered, here)
	}

	to := w.authorize(p, c, offline)
	if !strings.Contains(to, "/consent?") {
		w.Fatalf("not asked to agree: %q", to)
	}
	if to := w.decide(p, to, false); !strings.HasPrefix(to, redirectURI+"?") || !strings.Contains(to, "error=access_denied") {
		w.Errorf("denied: %q", to)
	}
	w.noneLives("after a refusal", "client_id", c.id)
	if to := w.authorize(p, c, offline, url.Values{"code_challenge": nil, "code_challenge_method": nil}); !strings.Contains(to, "error=invalid_request") {
		w.Errorf("without PKCE: %q", to)
	}

	code := w.code(p, c, offline)
	redeemed := w.redeemThere(c, code)
	first := w.issued(redeemed)
	if redeemed.text("id_token") == "" || redeemed.text("scope") != offline {
		w.Errorf("redeemed: %s", redeemed)
	}
	if to := w.authorize(p, c, offline); strings.Contains(to, "/consent?") {
		w.Errorf("asked again: %q", to)
	}
	if a := w.get("/oauth2/userinfo", "Bearer "+first.access); a.text("sub") != string(p.id) || a.text("email") != p.email {
		w.Errorf("userinfo: %s", a)
	}
	for _, raw := range []string{first.access, first.refresh} {
		a, r := w.introspectThere(c, raw), w.introspectHere(raw)
		if !a.active() || a.text("sub") != string(p.id) || a.text("client_id") != string(c.id) || a.text("scope") != offline {
			w.Errorf("introspected there: %s", a)
		}
		if exp, _ := a.body["exp"].(float64); r.Outcome != store.OutcomeActive || *r.Sub != store.Subject(p.id) || *r.ClientID != c.id ||
			strings.Join(r.Scopes, " ") != offline || *r.SessionID != p.session || r.ExpiresAt.Unix() != int64(exp) {
			w.Errorf("introspected here: %+v, there %s", r, a)
		}
	}
	if other := w.registerConfidential(); w.introspectThere(other, first.access).active() {
		w.Error("introspected there by another client")
	}

	second := w.issued(w.refreshThere(c, first.refresh))
	third := w.rotateHere(c, second.refresh, store.OutcomeRotated)
	if second.family != first.family || third.family != first.family {
		w.Errorf("a refresh left its family: %s, %s, %s", first.family, second.family, third.family)
	}
	if a := w.redeemThere(c, code); a.text("error") != "invalid_grant" {
		w.Errorf("a code redeemed twice: %s", a)
	}
	w.wantDead(first.access, second.access, third.access, third.refresh) // whoever issued them
	w.refusedThere(c, third.refresh)

	again := w.grant(p, c, offline)
	if a := w.post("/oauth2/revoke", c.authenticate(url.Values{"token": {again.refresh}}), ""); a.status != 200 {
		w.Errorf("revoke: %s", a)
	}
	w.wantDead(again.access, again.refresh)

	last := w.grant(p, c, "openid")
	if a := w.post("/sign-out", map[string]any{}, p.cookie); a.status != 200 {
		w.Errorf("sign-out: %s", a)
	}
	w.wantDead(last.access)
	if w.signedInThere(p.cookie) || w.introspectThere(c, last.access).active() {
		w.Error("signed out, and live there")
	}
}

// registeredByUser is a public client of a user's, which ends with its owner.
func registeredByUser(w *world) {
	owner, p := w.signUp("owner@example.com"), w.signUp("user-of-owner@example.com")
	c, _ := w.registerThere(owner, map[string]any{"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none"})
	here, err := w.q.GetClient(w.ctx, c.id)
	w.ok(err)
	if here.UserID == nil || *here.UserID != owner.id || c.secret != "" {
		w.Errorf("registered: %+v", here)
	}
	issued := w.grant(p, c, offline)
	next := w.rotateHere(c, issued.refresh, store.OutcomeRotated)
	w.wantLive(w.issued(w.refreshThere(c, next.refresh)).refresh)
	var refresh int
	ours := w.grantHere(p, c, offline)
	w.ok(w.pool.QueryRow(w.ctx, `SELECT count(*) FROM oauth_refresh_token WHERE authorization_id = $1`, string(ours.family)).Scan(&refresh))
	if refresh != 0 {
		w.Error("a client of codes alone has got a refresh token here")
	}
	_, err = w.q.DeleteUser(w.ctx, owner.id)
	w.ok(err)
	w.noneLives("after its owner was deleted", "client_id", c.id)
	w.refusedThere(c, next.refresh, "invalid_client", "invalid_grant")
}

// managed is a confidential client that its owner creates, changes and deletes there.
func managed(w *world) {
	owner := w.signUp("manager@example.com")
	a := w.post("/oauth2/create-client", map[string]any{
		"redirect_uris": []string{redirectURI}, "client_name": "Reports", "token_endpoint_auth_method": "client_secret_post",
		"grant_types": []string{"authorization_code", "refresh_token"},
	}, owner.cookie)
	c := client{store.ClientID(a.text("client_id")), a.text("client_secret")}
	issued := w.grant(owner, c, offline)
	authenticates := func(c client) bool {
		w.Helper()
		method, digest := c.who()
		r, err := w.q.AuthenticateClient(w.ctx, store.AuthenticateClientParams{ClientID: c.id, ClientAuthMethod: method, ClientSecret: digest})
		w.ok(err)
		return r == store.OutcomeAuthenticated
	}
	if !authenticates(c) {
		w.Error("its secret is not known here")
	}
	old := c
	c.secret = w.post("/oauth2/client/rotate-secret", map[string]any{"client_id": c.id}, owner.cookie).text("client_secret")
	if c.secret == "" || !authenticates(c) || authenticates(old) {
		w.Error("a secret that was rotated there is not known here, or the old one is")
	}
	next := w.rotateHere(c, issued.refresh, store.OutcomeRotated)

	// The consent that its user takes back there.
	consents := w.get("/oauth2/get-consents", owner.cookie)
	var given []struct{ ID, ClientID string }
	if err := json.Unmarshal([]byte(consents.raw), &given); err != nil || len(given) != 1 {
		w.Fatalf("consents: %s (%v)", consents, err)
	}
	covered := func() bool {
		w.Helper()
		r, err := w.q.CheckConsent(w.ctx, store.CheckConsentParams{UserID: owner.id, ClientID: c.id, Scopes: []string{"openid"}})
		w.ok(err)
		return r.Covered
	}
	if !covered() {
		w.Error("what was agreed to there doesn't count here")
	}
	if a := w.post("/oauth2/delete-consent", map[string]any{"id": given[0].ID}, owner.cookie); a.status != 200 || covered() {
		w.Errorf("a consent that was deleted there counts here: %s", a)
	}
	w.wantLive(next.refresh)

	if a := w.post("/oauth2/delete-client", map[string]any{"client_id": c.id}, owner.cookie); a.status != 200 {
		w.Errorf("delete-client: %s", a)
	}
	w.wantDead(next.access, next.refresh)
	if authenticates(c) {
		w.Error("a client that was deleted there authenticates here")
	}
}

// atBoth presents one refresh token to both servers at once. One of them may take it for spent and end more, but both never issue.
func atBoth(w *world) {
	p, c := w.signUp("at-both@example.com"), w.register()
	issued := map[string]int{}
	for range 8 {
		first := w.grant(p, c, offline)
		var there answer
		var here tokens
		var outcome store.Outcome
		var both sync.WaitGroup
		both.Go(func() { there = w.refreshThere(c, first.refresh) })
		both.Go(func() {
			access, successor := token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
			r, err := w.q.RotateRefreshToken(w.ctx, store.RotateRefreshTokenParams{
				ClientID: c.id, ClientAuthMethod: "none", Token: token.DigestOf(first.refresh), Grace: grace,
				Successor: successor.Digest(), SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: time.Hour,
				AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()), AccessTokenLifetime: time.Minute, DefaultScopes: strings.Fields(offline),
			})
			if err != nil {
				w.Error(err)
			}
			here, outcome = tokens{access: access.Reveal(), refresh: successor.Reveal()}, r.Outcome
		})
		both.Wait()
		isThere, isHere := there.status == 200, outcome == store.OutcomeRotated
		if isThere && isHere {
			w.Errorf("issued there %s, and here", there)
		}
		if isThere { // here it was a replay
			issued["there"]++
			w.wantDead(there.text("access_token"), there.text("refresh_token"))
		}
		if isHere { // there the loser may have been told so by the gate, or have read a spent token, which ends all
			issued["here"]++
		}
		w.wantDead(first.refresh)
		if !isHere {
			w.wantDead(here.access, here.refresh)
		}
	}
	w.Logf("issued %v", issued)
}

// key is a client's, for private_key_jwt (OpenID Connect Core, section 9) and DPoP (RFC 9449).
type key struct {
	private *ecdsa.PrivateKey
	public  map[string]string // the JWK
}

func newKey(w *world) key {
	w.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.ok(err)
	point, err := private.PublicKey.Bytes()
	w.ok(err)
	return key{private, map[string]string{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}}
}

var b64 = base64.RawURLEncoding.EncodeToString

// sign makes a JWT.
func (k key) sign(w *world, header, claims map[string]any) string {
	w.Helper()
	part := func(v any) string {
		j, err := json.Marshal(v)
		w.ok(err)
		return b64(j)
	}
	header["alg"] = "ES256"
	claims["jti"], claims["iat"] = rand.Text(), time.Now().Unix()
	signed := part(header) + "." + part(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	w.ok(err)
	return signed + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// assertion is one by which the client authenticates at the token endpoint there (RFC 7523, section 3).
func (k key) assertion(w *world, c client) string {
	w.Helper()
	return k.sign(w, map[string]any{"kid": "1"}, map[string]any{
		"iss": c.id, "sub": c.id, "aud": w.server.Base + "/oauth2/token", "exp": time.Now().Unix() + 60,
	})
}

// thumbprint of the key (RFC 7638).
func (k key) thumbprint(w *world) string {
	w.Helper()
	j, err := json.Marshal(k.public) // sorted, and nothing else in it
	w.ok(err)
	digest := sha256.Sum256(j)
	return b64(digest[:])
}

// proof is a DPoP proof for the token endpoint there.
func (k key) proof(w *world) http.Header {
	w.Helper()
	return http.Header{"Dpop": {k.sign(w, map[string]any{"typ": "dpop+jwt", "jwk": k.public}, map[string]any{
		"htm": "POST", "htu": w.server.Base + "/oauth2/token",
	})}}
}

func privateKeys(w *world) {
	p := w.signUp("keys@example.com")
	k := newKey(w)
	jwk := maps.Clone(k.public)
	jwk["kid"], jwk["alg"], jwk["use"] = "1", "ES256", "sig"
	jwks, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	w.ok(err)
	there, registered := w.registerThere(p, map[string]any{
		"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(jwks),
		"grant_types": []string{"authorization_code", "refresh_token"},
	})
	stored, err := w.q.GetClient(w.ctx, there.id)
	w.ok(err)
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(stored.JWKS, &set); err != nil || len(set.Keys) != 1 || set.Keys[0]["crv"] != "P-256" {
		w.Errorf("keys of a client from there: %s (%v), registered %s", stored.JWKS, err, registered)
	}
	here := w.register(func(p *store.CreateClientParams) {
		p.Public, p.TokenEndpointAuthMethod, p.JWKS = nil, new("private_key_jwt"), jwks
	})
	for _, c := range []client{there, here} {
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {w.code(p, c, offline)}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
			"client_id": {string(c.id)}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {k.assertion(w, c)},
		}
		issued := w.issued(w.post("/oauth2/token", form, ""))
		w.wantLive(issued.access, issued.refresh)
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", issued.refresh)
		if a := w.post("/oauth2/token", form, ""); a.text("error") != "invalid_client" {
			w.Errorf("an assertion presented twice there: %s", a)
		}
		form.Set("client_assertion", k.assertion(w, c))
		w.wantLive(w.issued(w.post("/oauth2/token", form, "")).refresh)
	}
}

// clientsOwnToken is one of a client without a user.
func clientsOwnToken(w *world) {
	c := w.registerConfidential()
	_, err := w.pool.Exec(w.ctx, `
		UPDATE oauth_client SET client_credentials_scopes = '{reports}', grant_types = grant_types || '{client_credentials}'::text[] WHERE client_id = $1`, string(c.id))
	w.ok(err)
	own := func() string {
		a := w.post("/oauth2/token", c.authenticate(url.Values{"grant_type": {"client_credentials"}}), "")
		if a.status != 200 || a.text("access_token") == "" || a.text("refresh_token") != "" {
			w.Fatalf("none: %s", a)
		}
		return a.text("access_token")
	}
	first := own()
	w.wantLive(first)
	if a := w.introspectThere(c, first); !a.active() || a.text("scope") != "reports" {
		w.Errorf("introspected there: %s", a)
	}
	_, err = w.q.RevokeClientAuthorizations(w.ctx, c.id)
	w.ok(err)
	w.wantDead(first)
	w.wantLive(own())
}

// forResource asks for a resource: the access token is a JWT then, and has no row.
func forResource(w *world) {
	p := w.signUp("resource@example.com")
	c, _ := w.registerThere(p, map[string]any{
		"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "client_secret_post", "resources": []string{resource},
		"grant_types": []string{"authorization_code", "refresh_token"},
	})
	jwt := func(a answer) tokens {
		w.Helper()
		t := tokens{access: a.text("access_token"), refresh: a.text("refresh_token")}
		if a.status != 200 || strings.Count(t.access, ".") != 2 || t.refresh == "" {
			w.Fatalf("no JWT: %s", a)
		}
		w.ok(w.pool.QueryRow(w.ctx, `SELECT t.authorization_id FROM oauth_refresh_token AS t WHERE t.token = $1`, token.DigestOf(t.refresh)).Scan(&t.family))
		if a := w.introspectThere(c, t.access); !a.active() || a.text("sub") != string(p.id) || !strings.Contains(a.raw, resource) {
			w.Errorf("introspected there: %s", a)
		}
		if r := w.introspectHere(t.refresh); r.Outcome != store.OutcomeActive || !slices.Equal(r.Resources, []string{resource}) {
			w.Errorf("introspected here: %+v", r)
		}
		return t
	}
	if to := w.authorize(p, c, offline, url.Values{"resource": {"https://other.example"}}); !strings.Contains(to, "error=invalid_target") {
		w.Errorf("a resource that is not served: %q", to)
	}
	code := w.code(p, c, offline, url.Values{"resource": {resource}})
	first := jwt(w.post("/oauth2/token", c.authenticate(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}, "resource": {resource},
	}), ""))
	second := w.rotateHere(c, first.refresh, store.OutcomeRotated)
	if r := w.introspectHere(second.access); second.family != first.family || !slices.Equal(r.Resources, []string{resource}) {
		w.Errorf("rotated here: %+v, the family was %s", r, first.family)
	}
	third := jwt(w.post("/oauth2/token", c.authenticate(url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {second.refresh}, "resource": {resource},
	}), ""))
	if third.family != first.family {
		w.Errorf("the family %s became %s", first.family, third.family)
	}
	_, err := w.q.RevokeAuthorization(w.ctx, first.family)
	w.ok(err)
	w.refusedThere(c, third.refresh)
	if !w.introspectThere(c, third.access).active() {
		w.Error("a JWT ends there with its family, so docs/better-auth.md is wrong")
	}
	_, err = w.q.EndSession(w.ctx, p.session)
	w.ok(err)
	if w.introspectThere(c, third.access).active() {
		w.Error("a JWT outlives its session there")
	}
}

// loggedOutThere is RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).
func loggedOutThere(w *world) {
	const after = "https://client.example/signed-out"
	c := w.register(func(p *store.CreateClientParams) {
		p.EnableEndSession, p.PostLogoutRedirectURIs = new(true), []string{after}
	})
	p := w.signUp("logged-out@example.com")
	redeemed := w.redeemThere(c, w.code(p, c, "openid"))
	bound, free := w.issued(redeemed), w.grant(p, c, offline)
	end := func(c client, to string) answer {
		return w.get("/oauth2/end-session?"+url.Values{
			"id_token_hint": {redeemed.text("id_token")}, "client_id": {string(c.id)}, "post_logout_redirect_uri": {to}, "state": {"xyz"},
		}.Encode(), p.cookie)
	}
	if a := end(w.register(), after); a.status < 400 || !w.signedInThere(p.cookie) {
		w.Errorf("another client: %s", a)
	}
	if a := end(c, after); !strings.HasPrefix(a.header.Get("Location")+a.text("url"), after+"?state=xyz") {
		w.Errorf("end-session: %s", a)
	}
	if w.signedInThere(p.cookie) {
		w.Error("signed in there")
	}
	w.wantDead(bound.access)
	w.wantLive(free.refresh)
	w.wantLive(w.issued(w.refreshThere(c, free.refresh)).refresh)
}

// device is a request of one at the server there (RFC 8628).
type device struct{ code, userCode string }

func (w *world) requestDevice(c client, scope string) device {
	w.Helper()
	a := w.post("/device/code", c.authenticate(url.Values{"scope": {scope}}), "")
	d := device{a.text("device_code"), a.text("user_code")}
	if a.status != 200 || d.code == "" || d.userCode == "" {
		w.Fatalf("no device code: %s", a)
	}
	return d
}

// poll asks as a device that has waited for long enough.
func (w *world) poll(c client, d device) answer {
	w.Helper()
	_, err := w.pool.Exec(w.ctx, `UPDATE device_code SET last_polled_at = last_polled_at - interval '1 minute' WHERE device_code = $1`, d.code)
	w.ok(err)
	return w.pollAtOnce(c, d)
}

func (w *world) pollAtOnce(c client, d device) answer {
	w.Helper()
	return w.post("/oauth2/token", c.authenticate(url.Values{"grant_type": {deviceGrantType}, "device_code": {d.code}}), "")
}

// decideDevice looks the code up and decides.
func (w *world) decideDevice(p person, d device, decision string) answer {
	w.Helper()
	if a := w.get("/device?"+url.Values{"user_code": {d.userCode}}.Encode(), p.cookie); a.text("status") != "pending" {
		w.Errorf("looked up: %s", a)
	}
	return w.post("/device/"+decision, map[string]string{"userCode": d.userCode}, p.cookie)
}

func (w *world) registerDevice() client {
	w.Helper()
	return w.register(func(p *store.CreateClientParams) {
		p.GrantTypes = []string{deviceGrantType, "refresh_token"}
		p.ResponseTypes = nil
	})
}

func devices(w *world) {
	p, other, c := w.signUp("device@example.com"), w.signUp("other-device@example.com"), w.registerDevice()
	wants := func(a answer, reason string) {
		w.Helper()
		if a.text("error") != reason {
			w.Errorf("want %s: %s", reason, a)
		}
	}
	if a := w.post("/device/code", url.Values{"client_id": {"unheard-of"}}, ""); a.status == 200 {
		w.Errorf("a client that is not registered: %s", a)
	}
	d := w.requestDevice(c, offline)
	wants(w.pollAtOnce(c, d), "authorization_pending")
	wants(w.pollAtOnce(c, d), "slow_down")
	if a := w.get("/device?user_code="+d.userCode, p.cookie); a.text("status") != "pending" || a.text("client_id") != string(c.id) || a.text("scope") != offline {
		w.Errorf("looked up: %s", a)
	}
	wants(w.post("/device/approve", map[string]string{"userCode": d.userCode}, other.cookie), "access_denied")
	wants(w.poll(c, d), "authorization_pending")
	if a := w.decideDevice(p, d, "approve"); a.status != 200 {
		w.Errorf("approve: %s", a)
	}
	wants(w.poll(w.registerDevice(), d), "invalid_grant")
	issued := w.issued(w.poll(c, d))
	r := w.introspectHere(issued.access)
	if r.Outcome != store.OutcomeActive || *r.UserID != p.id || *r.ClientID != c.id || strings.Join(r.Scopes, " ") != offline {
		w.Errorf("introspected here: %+v", r)
	}
	wants(w.poll(c, d), "invalid_grant")
	next := w.rotateHere(c, issued.refresh, store.OutcomeRotated)
	last := w.issued(w.refreshThere(c, next.refresh))
	if next.family != issued.family || last.family != issued.family {
		w.Errorf("a refresh left its family: %s, %s, %s", issued.family, next.family, last.family)
	}

	denied := w.requestDevice(c, offline)
	w.decideDevice(p, denied, "deny")
	wants(w.poll(c, denied), "access_denied")
	wants(w.poll(c, denied), "invalid_grant")

	expired := w.requestDevice(c, offline)
	_, err := w.pool.Exec(w.ctx, `UPDATE device_code SET expires_at = now() - interval '1 s' WHERE device_code = $1`, expired.code)
	w.ok(err)
	if n, err := fixture.Deleted(w.q.DeleteExpiredDeviceCodes(w.ctx, store.DeleteExpiredDeviceCodesParams{BatchSize: 10})); err != nil || n != 1 {
		w.Errorf("collected %d, %v", n, err)
	}
	wants(w.poll(c, expired), "invalid_grant")

	// A user who is suspended between the approval and the device's next poll.
	between := w.requestDevice(c, offline)
	w.decideDevice(p, between, "approve")
	_, err = w.q.SuspendUser(w.ctx, p.id)
	w.ok(err)
	a := w.poll(c, between)
	w.wantDead(a.text("access_token"), a.text("refresh_token"), last.access, last.refresh)
	if a := w.get("/oauth2/userinfo", "Bearer "+last.access); a.status != 200 {
		w.Errorf("a token without a session ends there with its user, so docs/better-auth.md is wrong: %s", a)
	}
	_, err = w.q.ReinstateUser(w.ctx, p.id)
	w.ok(err)
	w.wantDead(a.text("access_token"), a.text("refresh_token"))
	w.noneLives("after reinstating", "user_id", p.id)
}

// deviceForResource binds the device's tokens to what was asked for.
func deviceForResource(w *world) {
	p := w.signUp("device-resource@example.com")
	c, _ := w.registerThere(person{}, map[string]any{
		"token_endpoint_auth_method": "none", "grant_types": []string{deviceGrantType, "refresh_token"}, "response_types": []string{}, "resources": []string{resource},
	})
	a := w.post("/device/code", c.authenticate(url.Values{"scope": {offline}, "resource": {resource}}), "")
	d := device{a.text("device_code"), a.text("user_code")}
	if a := w.get("/device?user_code="+d.userCode, p.cookie); a.text("resource") != resource {
		w.Errorf("looked up: %s", a)
	}
	w.decideDevice(p, d, "approve")
	if a := w.poll(c, d); a.status != 200 || !slices.Equal(w.introspectHere(a.text("refresh_token")).Resources, []string{resource}) {
		w.Errorf("polled: %s", a)
	}
}

// deviceOfTheirOwn signs an app of that server's in, which no client is registered for.
func deviceOfTheirOwn(w *world) {
	p := w.signUp("tv@example.com")
	d := w.requestDevice(client{id: "tv"}, "")
	w.decideDevice(p, d, "approve")
	a := w.post("/device/token", map[string]string{"grant_type": deviceGrantType, "device_code": d.code, "client_id": "tv"}, "")
	cookie := Cookie(a.text("access_token"))
	if a.status != 200 || !w.signedInThere(cookie) {
		w.Fatalf("not signed in: %s", a)
	}
	_, err := w.q.EndUserSessions(w.ctx, store.EndUserSessionsParams{UserID: p.id})
	w.ok(err)
	if w.signedInThere(cookie) {
		w.Error("its session outlives its end")
	}
}

// signingKeys are in one table; each server signs with its own.
func signingKeys(w *world) {
	id := store.SigningKeyID("ours")
	_, err := w.q.CreateSigningKey(w.ctx, store.CreateSigningKeyParams{
		ID: id, PublicKey: `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
		PrivateKey: "ciphertext of ours", Alg: new("ES256"), Curve: new("P-256"),
	})
	w.ok(err)
	p, c := w.signUp("keys-of-both@example.com"), w.register()
	if a := w.redeemThere(c, w.code(p, c, "openid")); a.text("id_token") == "" {
		w.Errorf("signed there: %s", a)
	}
	for _, published := range []string{w.get("/jwks", "").raw} {
		if !strings.Contains(published, string(id)) || !strings.Contains(published, "EdDSA") {
			w.Errorf("published there: %s", published)
		}
	}
	ours, err := w.q.FindCurrentSigningKey(w.ctx, store.FindCurrentSigningKeyParams{Alg: "ES256"})
	w.ok(err)
	all, err := w.q.ListSigningKeys(w.ctx)
	w.ok(err)
	if ours.ID != id || len(all) != 2 {
		w.Errorf("sign here with %s of %d", ours.ID, len(all))
	}
}

// bound are tokens that are bound to a key (RFC 9449).
func bound(w *world) {
	p, c, k := w.signUp("dpop@example.com"), w.register(), newKey(w)
	ask := func(k *key, form url.Values) answer {
		var header http.Header
		if k != nil {
			header = k.proof(w)
		}
		return do(w.ctx, w.server, w.TB, "POST", "/oauth2/token", c.authenticate(form), "", header)
	}
	refresh := func(k *key, raw string) answer {
		return ask(k, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {raw}})
	}
	redeemed := ask(&k, url.Values{
		"grant_type": {"authorization_code"}, "code": {w.code(p, c, offline)}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	})
	issued := w.issued(redeemed)
	for _, raw := range []string{issued.access, issued.refresh} {
		if r := w.introspectHere(raw); redeemed.text("token_type") != "DPoP" || r.Confirmation == nil || r.Confirmation.JKT != k.thumbprint(w) {
			w.Errorf("bound to %v, a %s", r.Confirmation, redeemed.text("token_type"))
		}
	}
	by := func(jkt string) func(*store.RotateRefreshTokenParams) {
		return func(p *store.RotateRefreshTokenParams) { p.Confirmation = &token.Confirmation{JKT: jkt} }
	}
	w.rotateHere(c, issued.refresh, store.OutcomeMismatched)
	w.rotateHere(c, issued.refresh, store.OutcomeMismatched, by(newKey(w).thumbprint(w)))
	next := w.rotateHere(c, issued.refresh, store.OutcomeRotated, by(k.thumbprint(w)))
	stranger := newKey(w)
	for _, k := range []*key{nil, &stranger} {
		if a := refresh(k, next.refresh); a.text("error") != "invalid_dpop_proof" {
			w.Errorf("with the key %v: %s", k, a)
		}
	}
	last := w.issued(refresh(&k, next.refresh))
	if r := w.introspectHere(last.refresh); r.Confirmation == nil || r.Confirmation.JKT != k.thumbprint(w) || last.family != issued.family {
		w.Errorf("bound to %v", r.Confirmation)
	}
}

// claims that a request names are kept by every rotation (OpenID Connect Core, section 5.5).
func claims(w *world) {
	p, c := w.signUp("claims@example.com"), w.register()
	code := w.code(p, c, "openid offline_access", url.Values{"claims": {`{"userinfo":{"email":null}}`}})
	issued := w.issued(w.redeemThere(c, code))
	here := w.rotateHere(c, issued.refresh, store.OutcomeRotated)
	there := w.issued(w.refreshThere(c, here.refresh))
	for i, raw := range []string{issued.access, here.access, there.access} {
		if a := w.get("/oauth2/userinfo", "Bearer "+raw); a.text("email") != p.email {
			w.Errorf("userinfo of access token %d: %s", i+1, a)
		}
	}
}

// docs/better-auth.md says of these that the two servers differ.

func subjects(w *world) {
	p, c := w.signUp("pairwise@example.com"), w.register(func(p *store.CreateClientParams) { p.SubjectType = new("pairwise") })
	issued := w.grant(p, c, "openid")
	there, here := w.get("/oauth2/userinfo", "Bearer "+issued.access).text("sub"), w.introspectHere(issued.access).Sub
	if there == "" || there == string(p.id) || here == nil || *here == store.Subject(p.id) || there == string(*here) {
		w.Errorf("there %q, here %v", there, here)
	}
}

func neverThere(w *world) {
	p, c := w.signUp("never@example.com"), w.registerConfidential()
	issued := w.grantHere(p, c, offline)
	next := w.rotateHere(c, issued.refresh, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) {
		p.RefreshTokenLifetime, p.AccessTokenLifetime = store.Never, store.Never
	})
	_, err := w.pool.Exec(w.ctx, `UPDATE oauth_authorization SET max_expires_at = NULL WHERE id = $1`, string(issued.family))
	w.ok(err)
	last := w.rotateHere(c, next.refresh, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) {
		p.RefreshTokenLifetime, p.AccessTokenLifetime = store.Never, store.Never
	})
	w.wantLive(last.access, last.refresh)
	if w.introspectHere(last.refresh).ExpiresAt != nil || w.introspectThere(c, last.access).active() {
		w.Error("a token that never expires is live there")
	}
	w.refusedThere(c, last.refresh)
	w.wantLive(last.access, last.refresh)
}

// A server that repeats its answer to a retry, and whose adapter uses transactions.
func TestARetryThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "REUSE_INTERVAL=60", "TRANSACTION=1")
	p := w.signUp("retry@example.com")
	c, _ := w.registerThere(p, map[string]any{"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none"})
	first := w.grant(p, c, offline)
	second := w.issued(w.refreshThere(c, first.refresh))
	if again := w.issued(w.refreshThere(c, first.refresh)); again != second {
		w.Errorf("repeated: %+v, then %+v", second, again)
	}
	w.wantLive(second.access, second.refresh)

	// What is repeated after an ending is dead.
	_, err := w.q.RevokeUserAuthorizationsByClient(w.ctx, store.RevokeUserAuthorizationsByClientParams{UserID: p.id, ClientID: c.id})
	w.ok(err)
	again := w.refreshThere(c, first.refresh)
	w.wantDead(second.access, second.refresh, again.text("access_token"), again.text("refresh_token"))
	w.refusedThere(c, second.refresh)

	// Here the retry of what was spent there is a replay.
	third := w.grant(p, c, offline)
	fourth := w.issued(w.refreshThere(c, third.refresh))
	w.rotateHere(c, third.refresh, store.OutcomeReplayed)
	w.wantDead(fourth.access, fourth.refresh)
}

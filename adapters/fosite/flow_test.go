package fositedb_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite/compose"

	"github.com/ory/fosite"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// kinds are the ways to compose the library that all flows are gone through with.
func kinds() map[string]func(*how) {
	return map[string]func(*how){
		"own tokens":                    func(*how) {},
		"own tokens, without Provider":  func(h *how) { h.bare = true },
		"HMAC tokens":                   func(h *how) { h.hmac, h.opts.SuccessorKeys = true, nil },
		"HMAC tokens, without Provider": func(h *how) { h.hmac, h.bare, h.opts.SuccessorKeys = true, true, nil },
	}
}

func claims(t testing.TB, idToken string) map[string]any {
	t.Helper()
	parts := strings.Split(idToken, ".")
	if len(parts) != 3 {
		t.Fatalf("no ID token: %q", idToken)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGrantGoesThroughItsLife(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.serve(kind)
			for name, change := range map[string][]func(*store.CreateClientParams){"confidential": nil, "public": {public}, "keyed": {keyed}} {
				c, resource := s.register(change...), s.register()
				first := c.login()
				id := claims(t, first.str("id_token"))
				wantEqual(t, name+": ID token", []any{id["sub"], id["nonce"], id["acr"], id["iss"]},
					[]any{w.user, "the-nonce", "urn:example:pwd", "https://issuer.example"})
				wantEqual(t, "scope", first.str("scope"), "openid offline_access calendar")
				about := resource.introspect(first.str("access_token"))
				for member, want := range map[string]any{
					"active": true, "sub": w.user, "client_id": c.id, "scope": "openid offline_access calendar", "username": "ada", "plan": "gold",
					"aud": []string{"https://api.example"},
				} {
					wantEqual(t, name+": "+member, about.body[member], want)
				}
				resource.wantActive(true, first.str("refresh_token"))
				second := c.refresh(first.str("refresh_token"))
				w.want("refresh", second, http.StatusOK, "")
				again := claims(t, second.str("id_token"))
				wantEqual(t, name+": ID token after a refresh", []any{again["sub"], again["acr"]}, []any{w.user, "urn:example:pwd"})
				wantEqual(t, name+": claims after a refresh", resource.introspect(second.str("access_token")).body["plan"], "gold")
				resource.wantActive(true, second.str("access_token"), second.str("refresh_token"))
				w.want("revocation", c.post("/revoke", url.Values{"token": {second.str("refresh_token")}}), http.StatusOK, "")
				resource.wantActive(false, first.str("access_token"), second.str("access_token"), second.str("refresh_token"))
				w.want("refresh of what is revoked", c.refresh(second.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
			}
			machine := s.register()
			own := machine.post("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"calendar"}})
			w.want("client credentials", own, http.StatusOK, "")
			about := machine.introspect(own.str("access_token"))
			wantEqual(t, "a client's own token", []any{about.body["active"], about.body["client_id"], about.body["scope"], about.body["plan"]},
				[]any{true, machine.id, "calendar", "machine"})
			other := s.register()
			w.want("revocation by another client", other.post("/revoke", url.Values{"token": {own.str("access_token")}}), http.StatusOK, "")
			machine.wantActive(true, own.str("access_token"))
			w.want("revocation", machine.post("/revoke", url.Values{"token": {own.str("access_token")}}), http.StatusOK, "")
			machine.wantActive(false, own.str("access_token"))
		})
	}
}

func TestSignOutEndsAGrantWithoutOfflineAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(func(h *how) { h.config.RefreshTokenScopes = []string{} })
	c := s.register()
	bound := c.login(func(f url.Values) { f.Set("scope", "openid calendar") })
	unbound := c.login()
	c.wantActive(true, bound.str("access_token"), bound.str("refresh_token"))
	_, err := w.q.EndSession(w.ctx, w.session)
	w.ok(err)
	c.wantActive(false, bound.str("access_token"), bound.str("refresh_token"))
	w.want("refresh", c.refresh(bound.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	c.wantActive(true, unbound.str("access_token"))
	w.want("refresh", c.refresh(unbound.str("refresh_token")), http.StatusOK, "")
}

func TestPushedRequestIsOpenedUntilTheUserDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register(func(p *store.CreateClientParams) { p.RequirePushedAuthorizationRequests = new(true) })
	w.wantRedirected(s.authorize(c.request()), "invalid_request")
	pushed := c.post("/par", c.request(func(f url.Values) { f.Set("login_hint", "ada"); f.Set("client_secret_hint", "x") }))
	w.want("push", pushed, http.StatusCreated, "")
	by := url.Values{"client_id": {c.id}, "request_uri": {pushed.str("request_uri")}}
	look := url.Values{"client_id": by["client_id"], "request_uri": by["request_uri"], "look": {"1"}}
	for range 2 {
		wantEqual(t, "page", s.authorize(look).status, http.StatusOK)
	}
	other := s.register()
	if a := s.authorize(url.Values{"client_id": {other.id}, "request_uri": by["request_uri"]}); a.to.Get("code") != "" {
		t.Error("another client opens the request")
	}
	agreed := s.authorize(by)
	tokens := c.redeem(agreed.to.Get("code"))
	w.want("redemption", tokens, http.StatusOK, "")
	wantEqual(t, "nonce", claims(t, tokens.str("id_token"))["nonce"], "the-nonce")
	wantEqual(t, "state", agreed.to.Get("state"), "the-state")
	wantEqual(t, "claims", c.introspect(tokens.str("access_token")).body["plan"], "gold")
	if a := s.authorize(by); a.to.Get("code") != "" {
		t.Error("the request_uri is good after the decision")
	}
	w.want("push without a challenge", c.post("/par", c.request(func(f url.Values) { f.Del("code_challenge"); f.Del("code_challenge_method") })),
		http.StatusBadRequest, "invalid_request")
}

func (w *world) wantRedirected(a answer, code string) {
	w.Helper()
	if a.to.Get("error") != code {
		w.Errorf("%d %v %s, want %s", a.status, a.to, a.text, code)
	}
}

func TestNothingThatIsStoredIsACredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, kind := range map[string]func(*how){"own tokens": func(*how) {}, "HMAC tokens": func(h *how) { h.hmac = true }} {
		s := w.serve(kind)
		post := s.register(func(p *store.CreateClientParams) { p.TokenEndpointAuthMethod = new("client_secret_post") })
		secret := post.secret
		post.secret = ""
		withSecret := func(f url.Values) url.Values { f.Set("client_secret", secret); return f }
		pushed := post.post("/par", withSecret(post.request()))
		w.want("push", pushed, http.StatusCreated, "")
		code := s.authorize(url.Values{"client_id": {post.id}, "request_uri": {pushed.str("request_uri")}}).to.Get("code")
		tokens := post.post("/token", withSecret(redemption(code)))
		w.want("redemption", tokens, http.StatusOK, "")
		refreshed := post.post("/token", withSecret(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.str("refresh_token")}}))
		w.want("refresh", refreshed, http.StatusOK, "")
		own := s.register()
		assertion := own.assertion("jti")
		keyedClient := s.register(keyed)
		assertion = keyedClient.assertion("jti")
		w.want("push", keyedClient.post("/par", keyedClient.request(func(f url.Values) {
			f.Set("client_assertion", assertion)
			f.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		})), http.StatusCreated, "")
		dump := w.dump()
		for what, credential := range map[string]string{
			"secret": secret, "code": code, "verifier": verifier, "request_uri": pushed.str("request_uri"), "assertion": assertion,
			"access token": tokens.str("access_token"), "refresh token": tokens.str("refresh_token"), "ID token": tokens.str("id_token"),
			"access token of a refresh": refreshed.str("access_token"), "refresh token of a refresh": refreshed.str("refresh_token"),
		} {
			// of the library's tokens, the part before the signature is what proves them
			secretPart, _, _ := strings.Cut(credential, ".")
			if what == "assertion" || what == "ID token" {
				secretPart = credential[strings.LastIndex(credential, ".")+1:]
			}
			if secretPart == "" || strings.Contains(dump, secretPart) {
				t.Errorf("%s: the %s is in the database", name, what)
			}
		}
		if !strings.Contains(dump, post.id) {
			t.Error("the dump has nothing in it")
		}
	}
}

// dump is every row of the tables that a grant is in.
func (w *world) dump() string {
	w.Helper()
	var all string
	err := w.db.Pool.QueryRow(w.ctx, `SELECT concat(
		(SELECT string_agg(t::text, E'\n') FROM oauth_authorization AS t), (SELECT string_agg(t::text, E'\n') FROM oauth_access_token AS t),
		(SELECT string_agg(t::text, E'\n') FROM oauth_refresh_token AS t), (SELECT string_agg(t::text, E'\n') FROM oauth_client_assertion AS t))`).Scan(&all)
	w.ok(err)
	return all
}

func TestWhatIsKeptOfASessionIsWhatNoColumnHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.serve().register()
	c.login()
	var data string
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT data - 'session' || jsonb_build_object('session', (data -> 'session') #- '{id_token_claims,rat}') FROM oauth_authorization`).Scan(&data))
	wantEqual(t, "data", data, `{"session": {"extra": {"plan": "gold"}, "username": "ada", "id_token_claims": {}}}`)
	var size, perToken int
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT pg_column_size(data) FROM oauth_authorization`).Scan(&size))
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT count(*) FROM (SELECT data FROM oauth_access_token UNION ALL SELECT data FROM oauth_refresh_token) AS t WHERE data IS NOT NULL`).Scan(&perToken))
	if size > 200 || perToken != 0 {
		t.Errorf("%d bytes are kept, and something with %d tokens", size, perToken)
	}
}

func TestSignaturesAndDigestsShareAColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	strict := func(h *how) { h.hmac, h.opts.SuccessorKeys = true, nil }
	own, hmac := w.serve(), w.serve(strict)
	c := own.register()
	byHMAC := c
	byHMAC.server = hmac
	ours, theirs := c.login(), byHMAC.login()
	var stored token.Digest
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT token FROM oauth_access_token WHERE token = $1`, string(token.DigestOf(ours.str("access_token")))).Scan(&stored))
	_, signature, _ := strings.Cut(theirs.str("access_token"), ".")
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT token FROM oauth_access_token WHERE token = $1`, signature).Scan(&stored))
	// Each strategy knows its own tokens only.
	byHMAC.wantActive(true, theirs.str("access_token"))
	byHMAC.wantActive(false, ours.str("access_token"))
	c.wantActive(true, ours.str("access_token"))
	c.wantActive(false, theirs.str("access_token"))
	// Whoever has read the database can't present what stands there: neither a digest, nor a signature, nor one as the other.
	for _, presented := range []string{
		string(token.DigestOf(ours.str("access_token"))), "x." + string(token.DigestOf(ours.str("access_token"))), signature, "x." + signature,
	} {
		c.wantActive(false, presented)
		byHMAC.wantActive(false, presented)
	}
	// With Options.Foreign, a server goes on with the tokens that the library's own strategy has made.
	both := w.serve(func(h *how) { h.opts.Foreign = compose.NewOAuth2HMACStrategy(&h.config) })
	moved := c
	moved.server = both
	moved.wantActive(true, ours.str("access_token"), theirs.str("access_token"))
	refreshed := moved.refresh(theirs.str("refresh_token"))
	w.want("refresh of the library's token", refreshed, http.StatusOK, "")
	if strings.Contains(refreshed.str("refresh_token"), ".") {
		t.Error("the successor is one of the library's")
	}
	again := moved.refresh(theirs.str("refresh_token"))
	wantEqual(t, "successor of a retry", again.str("refresh_token"), refreshed.str("refresh_token"))
	moved.wantActive(false, "x."+signature)

	// So it does with those of another server of the library's, such as Ory Hydra, that were imported by their signatures.
	text, imported, err := compose.NewOAuth2HMACStrategy(both.config).GenerateRefreshToken(w.ctx, nil)
	w.ok(err)
	outcome, err := w.db.Store.ImportRefreshToken(w.ctx, store.ImportRefreshTokenParams{
		ID: store.NewAuthorizationID(), UserID: w.user, ClientID: store.ClientID(c.id), Scopes: []string{"openid", "offline_access"},
		Tokens: token.Digests{token.Digest(imported)}, RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
	})
	w.ok(err)
	wantEqual(t, "outcome of the import", outcome, store.OutcomeIssued)
	known, err := token.NewFosite(both.config.GlobalSecret)
	w.ok(err)
	_, digest, err := known.Parse(token.RefreshToken, text)
	w.ok(err)
	wantEqual(t, "digest of the imported token", digest, token.Digest(imported))
	w.want("refresh of an imported token", moved.refresh(text), http.StatusOK, "")
	forged := moved.refresh("ory_rt_x." + imported)
	w.want("refresh with a signature that was read", forged, http.StatusBadRequest, "invalid_request") // as the library has it
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c, other := s.register(), s.register()
	w.wantRedirected(s.authorize(c.request(func(f url.Values) { f.Set("scope", "openid files") })), "invalid_scope")
	w.wantRedirected(s.authorize(c.request(func(f url.Values) { f.Set("response_type", "carrier-pigeon") })), "unsupported_response_type")
	w.wantRedirected(s.authorize(c.request(func(f url.Values) { f.Del("code_challenge"); f.Del("code_challenge_method") })), "invalid_request")
	wantEqual(t, "another redirect URI", s.authorize(c.request(func(f url.Values) { f.Set("redirect_uri", "https://evil.example/") })).to, url.Values(nil))

	code := c.code()
	wrong := func(name, value string) url.Values { f := redemption(code); f.Set(name, value); return f }
	w.want("another client", other.redeem(code), http.StatusBadRequest, "invalid_grant")
	w.want("another verifier", c.post("/token", wrong("code_verifier", strings.Repeat("w", 43))), http.StatusBadRequest, "invalid_grant")
	without := redemption(code)
	without.Del("code_verifier")
	w.want("no verifier, after a wrong one", c.post("/token", without), http.StatusBadRequest, "invalid_grant")
	w.want("another redirect URI", c.post("/token", wrong("redirect_uri", "https://client.example/other")), http.StatusBadRequest, "invalid_grant")
	w.want("another code", c.redeem("nothing"), http.StatusBadRequest, "invalid_grant")
	w.want("as it should be, after all that", c.redeem(code), http.StatusOK, "")

	stranger := c
	stranger.secret = "wrong"
	w.want("wrong secret", stranger.redeem("nothing"), http.StatusUnauthorized, "invalid_client")
	nobody := client{server: s, id: "nobody", secret: "x"}
	w.want("unknown client", nobody.redeem("nothing"), http.StatusUnauthorized, "invalid_client")
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, s.url+"/token", strings.NewReader(redemption("nothing").Encode()))
	w.ok(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w.want("no client", s.send(r), http.StatusUnauthorized, "invalid_client")
	w.want("password grant", c.post("/token", url.Values{"grant_type": {"password"}, "username": {"a"}, "password": {"b"}}), http.StatusBadRequest, "unsupported_grant_type")

	tokens := c.login()
	_, err = w.q.DisableClient(w.ctx, store.ClientID(c.id))
	w.ok(err)
	other.wantActive(false, tokens.str("access_token"))
	w.want("disabled client", c.refresh(tokens.str("refresh_token")), http.StatusUnauthorized, "invalid_client")
}

func TestIntrospectionTakesTheRegisteredMethodOfAConfidentialClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	live := c.login().str("access_token")
	keyedClient, posting := s.register(keyed), s.register(func(p *store.CreateClientParams) { p.TokenEndpointAuthMethod = new("client_secret_post") })
	keyedClient.wantActive(true, live)
	secret := posting.secret
	posting.secret = ""
	by := func(secret string) answer {
		return posting.post("/introspect", url.Values{"token": {live}, "client_secret": {secret}})
	}
	wantEqual(t, "by client_secret_post", by(secret).body["active"], true)
	w.want("by a wrong secret", by("wrong"), http.StatusUnauthorized, "invalid_client")
	w.want("a public client", s.register(public).introspect(live), http.StatusUnauthorized, "invalid_client")
	w.want("nobody", client{server: s, id: "nobody", secret: "x"}.introspect(live), http.StatusUnauthorized, "invalid_client")
	w.want("no token", c.post("/introspect", url.Values{"token_type_hint": {"access_token"}}), http.StatusBadRequest, "invalid_request")
	// by an access token, as the library has it
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, s.url+"/introspect", strings.NewReader(url.Values{"token": {live}}.Encode()))
	w.ok(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+c.login().str("access_token"))
	wantEqual(t, "by an access token", s.send(r).body["active"], true)
}

// The secret is compared by the statement that looks at the token, so each kind of token is one to ask about with a wrong one.
func TestIntrospectionComparesTheSecretWhateverTheTokenIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(func(h *how) { h.opts.SuccessorKeys = nil })
	c, disabled := s.register(), s.register()
	tokens, wrong := c.login(), c
	wrong.secret = "wrong"
	_, err := w.q.DisableClient(w.ctx, store.ClientID(disabled.id))
	w.ok(err)
	for kind, presented := range map[string]string{
		"access token": tokens.str("access_token"), "refresh token": tokens.str("refresh_token"), "nothing of the kind": "nothing",
	} {
		for _, hint := range []string{"access_token", "refresh_token", ""} {
			form := url.Values{"token": {presented}, "token_type_hint": {hint}}
			w.calls.take()
			w.want(kind+" by a wrong secret, "+hint, wrong.post("/introspect", form), http.StatusUnauthorized, "invalid_client")
			if made := w.calls.take(); len(made) != 2 || made[0] != "GetClient" {
				t.Errorf("%s, %s: a wrong secret costs %v", kind, hint, made)
			}
			w.want(kind+" by a disabled client, "+hint, disabled.post("/introspect", form), http.StatusUnauthorized, "invalid_client")
			wantEqual(t, kind+", "+hint, c.post("/introspect", form).body["active"], kind != "nothing of the kind")
		}
	}
}

// validator is one of a server's own, for tokens that the store doesn't know.
type validator struct{}

// IntrospectToken implements fosite.TokenIntrospector.
func (validator) IntrospectToken(context.Context, string, fosite.TokenUse, fosite.AccessRequester, []string) (fosite.TokenUse, error) {
	return fosite.AccessToken, nil
}

func TestIntrospectionComparesTheSecretWhereNoStatementLooksAtTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	wrong := c
	wrong.secret = "wrong"
	s.config.TokenIntrospectionHandlers = fosite.TokenIntrospectionHandlers{validator{}}
	w.want("a wrong secret", wrong.introspect("theirs"), http.StatusUnauthorized, "invalid_client")
	wantEqual(t, "the right one", c.introspect("theirs").body["active"], true)
	w.calls.take()
	c.introspect("theirs")
	wantEqual(t, "calls", w.calls.take(), []string{"GetClient", "AuthenticateClient"})
}

func TestOlderSecretsAuthenticateWhileTheyCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	secret := token.Mint(token.ClientSecret)
	_, err := w.q.RotateClientSecret(w.ctx, store.RotateClientSecretParams{
		ClientID: store.ClientID(c.id), ClientSecret: secret.Digest(), Overlap: time.Hour, Lifetime: store.Never,
	})
	w.ok(err)
	renewed := c
	renewed.secret = secret.Reveal()
	for _, by := range []client{c, renewed} {
		w.want("authentication", by.post("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"calendar"}}), http.StatusOK, "")
		w.want("introspection", by.introspect("nothing"), http.StatusOK, "")
	}
}

package fositedb_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"

	fositedb "github.com/oauthdb/oauthdb/adapters/fosite"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]fositedb.Options{
		"Grace":           {Grace: time.Millisecond},
		"FamilyLifetime":  {FamilyLifetime: -time.Hour},
		"RequestLifetime": {RequestLifetime: 1},
		"AssertionMaxAge": {AssertionMaxAge: -1},
		"key":             {SuccessorKeys: [][]byte{[]byte("short")}},
		"keys":            {SuccessorKeys: [][]byte{}},
	} {
		if _, err := fositedb.New(nil, opts); err == nil || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFamilyLifetimeBoundsARefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.serve(func(h *how) { h.opts.FamilyLifetime = time.Minute }).register()
	tokens := c.login()
	w.want("refresh", c.refresh(tokens.str("refresh_token")), http.StatusOK, "")
	var late int
	w.ok(w.db.Pool.QueryRow(w.ctx, `SELECT count(*) FROM oauth_refresh_token WHERE expires_at IS NULL OR expires_at > now() + interval '1 minute'`).Scan(&late))
	wantEqual(t, "refresh tokens that last longer", late, 0)
}

// An issuer that publishes its keys is asked by the server's own fetcher, and without one is nobody.
func TestIssuersMayPublishTheirKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const at = "https://idp.example/keys"
	var asked []string
	fetch := func(_ context.Context, uri string) (*jose.JSONWebKeySet, error) {
		asked = append(asked, uri)
		return &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{clientJWK}}, nil
	}
	s, without := w.serve(func(h *how) { h.opts.JWKS = fetch }), w.serve()
	_, err := w.q.CreateTrustedIssuer(w.ctx, store.CreateTrustedIssuerParams{
		ID: store.NewTrustedIssuerID(), Issuer: "https://idp.example", JWKSURI: new(at), Audiences: []string{s.config.TokenURL},
		SigningAlgorithms: []string{"ES256"}, AnyClient: true,
	})
	w.ok(err)
	s.account("https://idp.example", "ada")
	c := s.register()
	w.want("with a fetcher", c.grant("https://idp.example", "ada", "1"), http.StatusOK, "")
	wantEqual(t, "asked", asked, []string{at})
	c.server = without
	w.want("without", c.grant("https://idp.example", "ada", "2"), http.StatusBadRequest, "invalid_grant")
}

// What the library's handlers don't call, or not so, a server's own may.
func TestSingleTokensAreRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	c := s.register()
	st, err := fositedb.New(w.db.Pool, fositedb.Options{})
	w.ok(err)
	signature := func(a answer, name string) string { return string(token.DigestOf(a.str(name))) }

	first := c.login()
	w.ok(st.DeleteAccessTokenSession(w.ctx, signature(first, "access_token")))
	c.wantActive(false, first.str("access_token"))
	c.wantActive(true, first.str("refresh_token"))
	w.ok(st.DeleteRefreshTokenSession(w.ctx, signature(first, "refresh_token")))
	c.wantActive(false, first.str("refresh_token"))

	for name, revoke := range map[string]func(context.Context, string) error{
		"RevokeAccessToken": st.RevokeAccessToken, "RevokeRefreshToken": st.RevokeRefreshToken,
	} {
		tokens := c.login()
		r, err := st.GetAccessTokenSession(w.ctx, signature(tokens, "access_token"), nil)
		w.ok(err)
		w.ok(revoke(w.ctx, r.GetID()))
		w.ok(revoke(w.ctx, r.GetID()))
		c.wantActive(false, tokens.str("access_token"), tokens.str("refresh_token"))
		w.want(name, c.refresh(tokens.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	}
	for what, err := range map[string]error{
		"access token":              st.DeleteAccessTokenSession(w.ctx, "nothing"),
		"refresh token":             st.DeleteRefreshTokenSession(w.ctx, "nothing"),
		"own token":                 st.RevokeAccessToken(w.ctx, "access_token:nothing"),
		"refresh token of a client": st.RevokeRefreshToken(w.ctx, "access_token:nothing"),
		"user":                      second(st.Authenticate(w.ctx, "ada", "secret")),
	} {
		if !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Codes are issued by the authorization endpoint only, where the rest of the request is known.
	for what, err := range map[string]error{
		"code":   st.CreateAuthorizeCodeSession(w.ctx, "code", fosite.NewAccessRequest(fositedb.NewSession(w.user, ""))),
		"PKCE":   st.CreatePKCERequestSession(w.ctx, "code", nil),
		"OpenID": st.CreateOpenIDConnectSession(w.ctx, "code", nil),
		"PAR":    second(st.GetPARSession(w.ctx, "urn:x")),
	} {
		if !errors.Is(err, fosite.ErrMisconfiguration) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What a client says of itself, the library reads.
func TestClientsAreWhatTheyRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve()
	st, err := fositedb.New(w.db.Pool, fositedb.Options{Scopes: []string{"default"}, Audience: []string{"https://default.example"}})
	w.ok(err)
	get := func(change ...func(*store.CreateClientParams)) *fositedb.Client {
		c, err := st.GetClient(w.ctx, s.register(change...).id)
		w.ok(err)
		return c.(*fositedb.Client)
	}
	bare := get(func(p *store.CreateClientParams) { p.GrantTypes, p.Scopes, p.Resources = nil, nil, nil })
	wantEqual(t, "defaults", []any{bare.GetGrantTypes(), bare.GetScopes(), bare.GetAudience(), bare.GetResponseTypes(), bare.GetTokenEndpointAuthMethod(), bare.IsPublic()},
		[]any{"[authorization_code refresh_token]", "[default]", "[https://default.example]", "[code]", "client_secret_basic", false})
	none := get(func(p *store.CreateClientParams) {
		p.Scopes, p.Resources, p.ResponseTypes = []string{}, []string{}, []string{"token"}
	})
	wantEqual(t, "nothing", []any{none.GetScopes(), none.GetAudience(), none.GetResponseTypes()}, []any{"[]", "[]", "[]"})
	byKey := get(keyed)
	wantEqual(t, "key", []any{byKey.GetTokenEndpointAuthMethod(), byKey.GetTokenEndpointAuthSigningAlgorithm(), byKey.GetJSONWebKeys().Keys[0].Use, byKey.IsPublic()},
		[]any{"private_key_jwt", "ES256", "sig", false})
	unnamed := get(keyed, func(p *store.CreateClientParams) { p.TokenEndpointAuthMethod = nil })
	wantEqual(t, "key without a method", unnamed.GetTokenEndpointAuthMethod(), "private_key_jwt")
	said := get(func(p *store.CreateClientParams) {
		p.Metadata = json.RawMessage(`{"request_uris": ["https://c.example/r"], "request_object_signing_alg": "PS256", "token_endpoint_auth_signing_alg": "RS512"}`)
	})
	wantEqual(t, "metadata", []any{said.GetRequestURIs(), said.GetRequestObjectSigningAlgorithm(), said.GetTokenEndpointAuthSigningAlgorithm()},
		[]any{"[https://c.example/r]", "PS256", "RS512"})
	secretless := get(func(p *store.CreateClientParams) { p.ClientSecret, p.TokenEndpointAuthMethod = nil, nil })
	wantEqual(t, "nothing to authenticate by", []any{secretless.IsPublic(), secretless.GetTokenEndpointAuthMethod()}, []any{true, "none"})
	brief := get(func(p *store.CreateClientParams) {
		p.AccessTokenLifetime, p.RefreshTokenLifetime = new(time.Minute), new(store.Never)
	})
	wantEqual(t, "lifetimes", []any{
		brief.GetEffectiveLifespan("", fosite.AccessToken, time.Hour), brief.GetEffectiveLifespan("", fosite.AccessToken, time.Second),
		brief.GetEffectiveLifespan("", fosite.RefreshToken, -1), brief.GetEffectiveLifespan("", fosite.IDToken, time.Hour),
	}, []any{"1m0s", "1s", "-1ns", "1h0m0s"})
	if strings.Contains(string(bare.GetHashedSecret()), string(*bare.OAuthClient().ClientSecret)) {
		t.Error("the digest of the secret leaves the client")
	}
}

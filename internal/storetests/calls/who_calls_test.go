package calls

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// caller is who makes a call of the token, introspection or revocation endpoint.
type caller struct {
	client store.ClientID
	method string
	secret token.Digest
}

// endpoints are all calls that judge their caller, about a token or code that is unknown, so that they come to unauthenticated or go on.
func (w *world) endpoints(c caller) map[string]store.Outcome {
	w.Helper()
	none := fixture.Digest(fixture.Unique("unknown"))
	redeem, rotate := w.RedeemParams("unknown"), store.RotateRefreshTokenParams{}
	redeem.ClientID, redeem.ClientAuthMethod, redeem.ClientSecret = c.client, c.method, c.secret
	rotate, _ = w.RotateParams("unknown")
	rotate.ClientID, rotate.ClientAuthMethod, rotate.ClientSecret = c.client, c.method, c.secret
	redeemed, err := w.Q.RedeemAuthorizationCode(w.Ctx, redeem)
	w.OK(err)
	rotated, err := w.Q.RotateRefreshToken(w.Ctx, rotate)
	w.OK(err)
	either, err := w.Q.IntrospectToken(w.Ctx, store.IntrospectTokenParams{ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, Token: none})
	w.OK(err)
	access, err := w.Q.IntrospectAccessToken(w.Ctx, store.IntrospectAccessTokenParams{ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, Token: none})
	w.OK(err)
	byID, err := w.Q.IntrospectAccessTokenByID(w.Ctx, store.IntrospectAccessTokenByIDParams{ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, ID: "unknown"})
	w.OK(err)
	family, err := w.Q.IntrospectAuthorization(w.Ctx, store.IntrospectAuthorizationParams{ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, ID: "unknown"})
	w.OK(err)
	refresh, err := w.Q.IntrospectRefreshToken(w.Ctx, store.IntrospectRefreshTokenParams{ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, Token: none})
	w.OK(err)
	revoked, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, Token: none})
	w.OK(err)
	revokedByID, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, ID: "unknown"})
	w.OK(err)
	issued, err := w.Q.IssueAccessToken(w.Ctx, store.IssueAccessTokenParams{
		ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, ID: store.NewAccessTokenID(), Lifetime: time.Hour, Scopes: []string{"beyond"},
	})
	w.OK(err)
	exchanged, err := w.Q.ExchangeToken(w.Ctx, store.ExchangeTokenParams{ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, SubjectToken: &none})
	w.OK(err)
	asserted, err := w.Q.IssueTokenByAssertion(w.Ctx, store.IssueTokenByAssertionParams{ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret, Issuer: "unknown"})
	w.OK(err)
	return map[string]store.Outcome{
		"RedeemAuthorizationCode": redeemed.Outcome, "RotateRefreshToken": rotated.Outcome, "IntrospectToken": either.Outcome,
		"IntrospectAccessToken": access.Outcome, "IntrospectAccessTokenByID": byID.Outcome, "IntrospectRefreshToken": refresh.Outcome,
		"IntrospectAuthorization": family.Outcome, "RevokeToken": revoked.Outcome, "RevokeAccessTokenByID": revokedByID.Outcome, "IssueAccessToken": issued.Outcome,
		"ExchangeToken": exchanged.Outcome, "IssueTokenByAssertion": asserted.Outcome,
	}
}

func TestCallerIsAuthenticatedByTheKindOfMethodThatItIsRegisteredFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	type registration = func(*store.CreateClientParams)
	method := func(m string) registration {
		return func(p *store.CreateClientParams) { p.TokenEndpointAuthMethod = &m }
	}
	keys := func(p *store.CreateClientParams) {
		p.ClientSecret, p.JWKS = nil, json.RawMessage(`{"keys": []}`)
	}
	secrets := []string{"client_secret_basic", "client_secret_post"}
	certificates := []string{"tls_client_auth", "self_signed_tls_client_auth"}
	methods := []string{
		"", "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth",
		"self_signed_tls_client_auth", "server?", "Verified", "VERIFIED", " verified", "x\ty",
	}
	for name, c := range map[string]struct {
		register registration
		accepted []string // methods, with the right secret
	}{
		"with a secret":                     {func(*store.CreateClientParams) {}, secrets},
		"with a secret, by basic":           {method("client_secret_basic"), secrets},
		"with a secret, by post":            {method("client_secret_post"), secrets},
		"that is public":                    {func(p *store.CreateClientParams) { p.Public = new(true) }, []string{"none"}},
		"that is public, without a secret":  {func(p *store.CreateClientParams) { p.Public, p.ClientSecret = new(true), nil }, []string{"none"}},
		"with nothing":                      {func(p *store.CreateClientParams) { p.ClientSecret = nil }, []string{"none"}},
		"with nothing, that is not public":  {func(p *store.CreateClientParams) { p.ClientSecret, p.Public = nil, new(false) }, []string{"private_key_jwt"}},
		"with an old secret, and none now":  {method("none"), []string{"none"}},
		"with an old secret, and a key now": {method("private_key_jwt"), []string{"private_key_jwt"}},
		"with a secret, public by metadata only": {func(p *store.CreateClientParams) {
			p.Public, p.TokenEndpointAuthMethod = new(false), new("none")
		}, nil},
		"with keys":                {keys, []string{"private_key_jwt"}},
		"with a certificate":       {method("tls_client_auth"), certificates},
		"with its own certificate": {method("self_signed_tls_client_auth"), certificates},
		"of an unknown method":     {method("magic"), nil},
		"of an empty method":       {method(""), nil},
	} {
		client := w.NewClient(c.register)
		for _, m := range methods {
			for secret, digest := range map[string]token.Digest{"right": fixture.Digest(fixture.Secret), "wrong": fixture.Digest("guess"), "absent": ""} {
				needsSecret := m == "client_secret_basic" || m == "client_secret_post"
				want := store.OutcomeUnauthenticated
				for _, accepted := range c.accepted {
					if m == accepted && (secret == "right" || !needsSecret) {
						want = store.OutcomeAuthenticated
					}
				}
				who := caller{client, m, digest}
				got, err := w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: client, ClientAuthMethod: m, ClientSecret: digest})
				w.OK(err)
				if got != want {
					t.Errorf("a client %s, by %q, with the %s secret: %s, want %s", name, m, secret, got, want)
				}
				if secret == "wrong" && !needsSecret {
					continue
				}
				for call, outcome := range w.endpoints(who) {
					// a public client has no authorization to introspect (RFC 7662, section 2.1)
					refused := want == store.OutcomeUnauthenticated || m == "none" && strings.HasPrefix(call, "Introspect")
					if (outcome == store.OutcomeUnauthenticated) != refused {
						t.Errorf("a client %s, by %q, with the %s secret: %s: %s", name, m, secret, call, outcome)
					}
				}
			}
		}
		for call, outcome := range w.endpoints(caller{client: client, method: fixture.Verified}) {
			if outcome == store.OutcomeUnauthenticated {
				t.Errorf("a client %s, verified: %s: %s", name, call, outcome)
			}
		}
	}
	w.Unchanged(func() {
		for _, m := range append(methods, fixture.Verified) {
			for call, outcome := range w.endpoints(caller{client: "unknown", method: m}) {
				w.want("nobody, by "+m+": "+call, outcome, store.OutcomeUnauthenticated)
			}
		}
	})
}

// "server" is an answer to who introspects, and to nothing else.
func TestOnlyIntrospectionIsForTheServerItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, client := range []store.ClientID{"", w.Client, w.machine()} {
		for call, outcome := range w.endpoints(caller{client: client, method: fixture.Server}) {
			want := store.OutcomeUnauthenticated
			if call[:10] == "Introspect" {
				want = store.OutcomeInactive
			}
			w.want(call, outcome, want)
		}
	}
}

func TestClientIsAuthenticatedByItsOwnSecretAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("secret")) })
	another := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("another")) })
	for _, c := range []struct {
		client store.ClientID
		secret string
		want   bool
	}{
		{client, "secret", true},
		{another, "another", true},
		{client, "another", false},
		{another, "secret", false},
		{client, "Secret", false},
		{client, "", false},
		{client, string(fixture.Digest("secret")), false}, // who has read the database has the digest, not the secret
		{w.Client, "secret", false},
		{"none", "secret", false},
	} {
		if got := w.authenticated(w.Q, c.client, c.secret); got != c.want {
			t.Errorf("%s with %q: %t", c.client, c.secret, got)
		}
	}
	for _, method := range []string{fixture.Verified, "none", "client_secret_basic"} {
		got, err := w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: "none", ClientAuthMethod: method})
		w.OK(err)
		w.want("a client that there isn't, by "+method, got, store.OutcomeUnauthenticated)
	}
}

// A client that has changed its method authenticates neither with its present secret nor with an older one.
func TestChangedMethodEndsEverySecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret = new(fixture.Digest("older")) })
	w.rotateSecret(w.Q, client, "present", time.Hour, store.OutcomeRotated)
	for _, c := range []struct {
		method string
		want   bool
	}{{"client_secret_post", true}, {"private_key_jwt", false}, {"none", false}, {"tls_client_auth", false}, {"client_secret_basic", true}} {
		_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: client, TokenEndpointAuthMethod: &c.method})
		w.OK(err)
		for _, secret := range []string{"present", "older"} {
			if got := w.authenticated(w.Q, client, secret); got != c.want {
				t.Errorf("by %s, the %s secret: %t", c.method, secret, got)
			}
		}
	}
}

func TestOnlyAConfidentialClientThatIsRegisteredForItActsForItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, c := range map[string]struct {
		register func(*store.CreateClientParams)
		want     store.Outcome
	}{
		"registered":     {func(p *store.CreateClientParams) { p.GrantTypes = []string{"client_credentials"} }, store.OutcomeIssued},
		"not registered": {func(p *store.CreateClientParams) { p.GrantTypes = []string{"authorization_code"} }, store.OutcomeUnauthorizedClient},
		"without grant types, which is authorization_code": {func(*store.CreateClientParams) {}, store.OutcomeUnauthorizedClient},
		"of no grant types": {func(p *store.CreateClientParams) { p.GrantTypes = []string{} }, store.OutcomeUnauthorizedClient},
		"public": {func(p *store.CreateClientParams) {
			p.Public, p.GrantTypes = new(true), []string{"client_credentials"}
		}, store.OutcomeUnauthorizedClient},
		"by nothing": {func(p *store.CreateClientParams) {
			p.ClientSecret, p.GrantTypes = nil, []string{"client_credentials"}
		}, store.OutcomeUnauthorizedClient},
		"of method none": {func(p *store.CreateClientParams) {
			p.TokenEndpointAuthMethod, p.GrantTypes = new("none"), []string{"client_credentials"}
		}, store.OutcomeUnauthorizedClient},
	} {
		client := w.NewClient(c.register)
		p := w.issueParams(fixture.Unique("token"))
		p.ClientID = client
		row, err := w.Q.IssueAccessToken(w.Ctx, p)
		w.OK(err)
		w.want("a client "+name, row.Outcome, c.want)
	}
}

// Who calls comes first: what is presented isn't looked at, and nothing is spent.
func TestUnauthenticatedCallerSpendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client := w.NewClient()
	_, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.ClientID = client })
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = client })
	w.Client = client
	w.Rotate(k.Refresh, store.OutcomeRotated)
	w.spentAgo(k.Refresh, time.Hour)
	proof, until := fixture.Digest("proof"), time.Now().Add(time.Minute)
	for _, m := range []string{"", "none", "client_secret_basic", "private_key_jwt"} {
		w.Unchanged(func() {
			w.redeem(code, store.OutcomeUnauthenticated, func(p *store.RedeemAuthorizationCodeParams) {
				p.ClientAuthMethod, p.ClientSecret, p.Proof, p.ProofExpiresAt = m, fixture.Digest("guess"), &proof, &until
			})
			w.Rotate(k.Refresh, store.OutcomeUnauthenticated, func(p *store.RotateRefreshTokenParams) { // a reuse, if it were the client
				p.ClientAuthMethod, p.ClientSecret, p.Proof, p.ProofExpiresAt = m, fixture.Digest("guess"), &proof, &until
			})
			row, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(k.Access), ClientID: client, ClientAuthMethod: m})
			w.OK(err)
			w.want("RevokeToken", row.Outcome, store.OutcomeUnauthenticated)
		})
	}
	w.WantLive(k.Access, fixture.SuccessorOf(k.Refresh))
	w.redeem(code, store.OutcomeRedeemed)
}

// Every UPDATE of a call sets updated_at. In these tests' databases a trigger refuses one that doesn't.
func TestUpdateOfACallThatLeavesUpdatedAtIsRefused(t *testing.T) {
	t.Parallel()
	needsRoles(t)
	w := newWorld(t, 1)
	undated, mine := `UPDATE session SET expires_at = expires_at + interval '1 hour'`, ` WHERE id = '`+string(w.Session)+`'`
	for as, refused := range map[fixture.Role]bool{fixture.Application: true, fixture.Collector: true, fixture.Owner: false} {
		for sql, refused := range map[string]bool{undated + mine: refused, undated + `, updated_at = now()` + mine: false} {
			_, err := w.Pool.Exec(fixture.As(w.Ctx, as), sql)
			wantEqual(t, string(as)+": "+sql, pgErrorOf(err).Message == "an UPDATE of session sets no updated_at", refused)
			if !refused {
				w.OK(err)
			}
		}
	}
}

// A secret that was rotated out is its own client's, and a key authenticates nobody who is registered for another method.
func TestNobodyIsAuthenticatedByWhatIsAnothers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	one, another := w.NewClient(), w.NewClient()
	w.rotateSecret(w.Q, another, "second", time.Hour, store.OutcomeRotated)
	w.rotateSecret(w.Q, another, "third", time.Hour, store.OutcomeRotated)
	wantEqual(t, "its own older secret", w.authenticated(w.Q, another, "second"), true)
	wantEqual(t, "another's older secret", w.authenticated(w.Q, one, "second"), false)

	w.Exec(`UPDATE oauth_client SET client_secret = NULL WHERE client_id = $1`, string(another))
	for method, want := range map[string]store.Outcome{"tls_client_auth": store.OutcomeUnauthenticated, "private_key_jwt": store.OutcomeAuthenticated} {
		w.Exec(`UPDATE oauth_client SET token_endpoint_auth_method = $2 WHERE client_id = $1`, string(another), method)
		w.want(method, w.outcome(w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: another, ClientAuthMethod: "private_key_jwt"})), want)
	}
}

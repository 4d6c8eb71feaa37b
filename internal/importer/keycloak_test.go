package importer_test

import (
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/importer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func keycloakClients(r io.Reader) iter.Seq2[importer.Item, error] {
	return importer.KeycloakClients(r, false)
}

// realm is an export, with members that say nothing to us before and after those that do.
const realm = `{"id": "7d", "realm": "shop", "roles": {"realm": [{"name": "user"}], "client": {"a": []}}, "accessTokenLifespan": 300,
"users": [
  {"id": "u1", "username": "ada@example.com", "email": "ada@example.com", "emailVerified": true, "enabled": true, "firstName": "Ada", "lastName": "Lovelace",
   "credentials": [{"type": "password", "secretData": "{\"value\":\"+/+/\",\"salt\":\"AAEC\",\"additionalParameters\":{}}",
     "credentialData": "{\"hashIterations\":27500,\"algorithm\":\"pbkdf2-sha256\",\"additionalParameters\":{}}"}],
   "federatedIdentities": [{"identityProvider": "github", "userId": "4711", "userName": "ada"}]},
  {"id": "u2", "username": "grace", "enabled": false, "credentials": [{"type": "otp"}, {"type": "password",
     "secretData": "{\"value\":\"+/+/\",\"salt\":\"AAEC\"}", "credentialData": "{\"hashIterations\":5,\"algorithm\":\"argon2\",\"additionalParameters\":{\"hashLength\":[\"32\"],\"memory\":[\"7168\"],\"type\":[\"id\"],\"version\":[\"1.3\"],\"parallelism\":[\"1\"]}}"}]},
  {"id": "u3", "username": "service-account-worker", "serviceAccountClientId": "worker"},
  {"id": "u4", "username": "other", "email": "ADA@example.com"},
  {"username": "nobody"},
  {"id": "u5", "username": "e@example.com", "email": "e@example.com", "credentials": [{"type": "password", "secretData": "{\"value\":\"+/+/\"}", "credentialData": "{\"algorithm\":\"of-our-own\"}"}]},
  {"id": "u6", "username": 7}
],
"clients": [
  {"clientId": "account", "protocol": "openid-connect"}, {"clientId": "shop-realm", "bearerOnly": true},
  {"clientId": "web", "name": "Web shop", "rootUrl": "https://shop.example", "baseUrl": "/home", "enabled": true, "clientAuthenticatorType": "client-secret",
   "secret": "in plain", "redirectUris": ["/cb", "https://shop.example/*"], "standardFlowEnabled": true, "serviceAccountsEnabled": true,
   "defaultClientScopes": ["web-origins", "profile", "roles"], "optionalClientScopes": ["offline_access", "profile"], "protocol": "openid-connect",
   "attributes": {"post.logout.redirect.uris": "https://shop.example/a##https://shop.example/b", "pkce.code.challenge.method": "S256", "access.token.lifespan": "90",
     "backchannel.logout.url": "https://shop.example/out", "backchannel.logout.session.required": "true"}},
  {"clientId": "app", "publicClient": true, "redirectUris": ["http://127.0.0.1/cb"], "consentRequired": true, "enabled": false, "attributes": {"post.logout.redirect.uris": "+", "access.token.lifespan": "-1"}},
  {"clientId": "masked", "redirectUris": ["https://m.example/cb"], "secret": "**********", "attributes": {"pkce.code.challenge.method": "S256"}},
  {"clientId": "pattern", "redirectUris": ["*"]},
  {"clientId": "saml", "protocol": "saml"},
  {"clientId": "api", "bearerOnly": true},
  {"clientId": "worker", "standardFlowEnabled": false, "serviceAccountsEnabled": true, "clientAuthenticatorType": "client-jwt",
   "attributes": {"use.jwks.url": "true", "jwks.url": "https://worker.example/jwks"}},
  {"clientId": "signed", "redirectUris": ["https://s.example/cb"], "clientAuthenticatorType": "client-secret-jwt", "secret": "in plain"},
  {"clientId": "nothing", "standardFlowEnabled": false, "directAccessGrantsEnabled": true},
  {"clientId": "tv", "publicClient": true, "standardFlowEnabled": false, "attributes": {"oauth2.device.authorization.grant.enabled": "true"}}
], "keycloakVersion": "26.0.0"}`

func TestKeycloaksClients(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	lines, _ := imported(t, d, keycloakClients, importer.Options{}, realm)
	want := []string{
		"1 web changed: the redirect URI https://shop.example/* is a pattern, and only exact ones are taken",
		"2 app taken",
		"3 masked changed: its secret is masked in the file; it has no secret, so it can't authenticate: give it one with 'oauthdb client rotate-secret'",
		"4 pattern refused: the redirect URI * is a pattern, and only exact ones are taken; it has no exact redirect URI",
		"5 saml refused: its protocol is saml",
		"6 api refused: it is bearer-only: a resource server, which gets no tokens",
		"7 worker taken",
		"8 signed refused: it signs with its secret (client_secret_jwt), and only digests of secrets are kept",
		"9 nothing refused: it may use none of the grants that there are",
		"10 tv taken",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("it says\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	get := func(id store.ClientID) store.OAuthClient {
		c, err := d.Store.GetClient(t.Context(), id)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		return c
	}
	if c := get("web"); *c.ClientSecret != token.DigestOf("in plain") || !slices.Equal(c.RedirectURIs, []string{"https://shop.example/cb"}) || *c.URI != "https://shop.example/home" ||
		!slices.Equal(c.PostLogoutRedirectURIs, []string{"https://shop.example/a", "https://shop.example/b"}) || *c.BackchannelLogoutURI != "https://shop.example/out" ||
		!slices.Equal(c.GrantTypes, []string{"authorization_code", "refresh_token", "client_credentials"}) || !slices.Equal(c.Scopes, []string{"openid", "profile", "offline_access"}) ||
		!*c.SkipConsent || c.Disabled || c.AccessTokenLifetime == nil || c.AccessTokenLifetime.Seconds() != 90 || c.RequirePKCE != nil {
		t.Errorf("%+v", c)
	}
	if c := get("app"); !c.Disabled || *c.SkipConsent || *c.TokenEndpointAuthMethod != "none" || !slices.Equal(c.PostLogoutRedirectURIs, c.RedirectURIs) || c.AccessTokenLifetime != nil {
		t.Errorf("%+v", c)
	}
	if c := get("masked"); c.ClientSecret != nil || c.ForeignSecretHash != nil {
		t.Errorf("a mask became a secret: %+v", c)
	}
	if c := get("worker"); *c.TokenEndpointAuthMethod != "private_key_jwt" || *c.JWKSURI != "https://worker.example/jwks" || !slices.Equal(c.GrantTypes, []string{"client_credentials"}) {
		t.Errorf("%+v", c)
	}
	if c := get("tv"); !slices.Equal(c.GrantTypes, []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}) {
		t.Errorf("%+v", c)
	}
	if lines, _ := imported(t, d, keycloakClients, importer.Options{}, realm); lines[0] != "1 web present" {
		t.Errorf("once more: %q", lines)
	}
}

func TestKeycloaksUsers(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	lines, _ := imported(t, d, importer.KeycloakUsers, importer.Options{}, realm)
	const left = "the user name is left out: users sign in by their address, or as the server knows them"
	want := []string{
		"1 u1 taken", "2 u2 changed: " + left + "; a credential of type otp is left out", "3 u4 refused: another user has the e-mail address",
		"4  refused: id is missing: by it clients know the user", `5 u5 changed: the password is left out: its algorithm is "of-our-own"`, "6 u6 refused: username is not of its type",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("it says\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	ada, err := d.Store.GetUser(t.Context(), "u1")
	if err != nil || ada.Name != "Ada Lovelace" || !ada.EmailVerified || ada.SuspendedAt != nil {
		t.Errorf("%+v, %v", ada, err)
	}
	grace, err := d.Store.GetUser(t.Context(), "u2")
	if err != nil || grace.Name != "grace" || grace.Email != nil || grace.SuspendedAt == nil {
		t.Errorf("%+v, %v", grace, err)
	}
	var accounts []string
	if err := d.Pool.QueryRow(t.Context(), `SELECT array_agg(concat_ws(' ', user_id, provider_id, account_id, password) ORDER BY user_id, provider_id) FROM account`).Scan(&accounts); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(accounts, []string{
		"u1 credential u1 $pbkdf2-sha256$27500$AAEC$././", "u1 github 4711", "u2 credential u2 $argon2id$v=19$m=7168,t=5,p=1$AAEC$+/+/",
	}) {
		t.Errorf("%q", accounts)
	}
}

// What comes before or after the list isn't kept, and a file that breaks off is told.
func TestKeycloaksFilesThatAreNone(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		`{"clients": [{"clientId": "a"`: "the file ends within a record", `{"clients": {}}`: "clients is not a list", `7`: "neither an object nor a list",
		`{"roles": [`: "the file ends within a record", `{"clients": [7]}`: "not a JSON object", ``: "the file ends within a record",
	} {
		var err error
		for _, err = range importer.KeycloakClients(strings.NewReader(file), false) {
			if err != nil {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

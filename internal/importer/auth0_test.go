package importer_test

import (
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/importer"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func auth0Clients(r io.Reader) iter.Seq2[importer.Item, error] {
	return importer.Auth0Clients(r, false)
}

func TestAuth0sClients(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	// a page of the API, and then files of the Deploy CLI one after the other
	const file = `{"start": 0, "limit": 50, "total": 9, "clients": [
		{"tenant": "shop", "global": true, "client_id": "all", "name": "All Applications"},
		{"tenant": "shop", "global": false, "client_id": "web", "client_secret": "in plain", "name": "Shop", "description": "The shop", "app_type": "regular_web", "is_first_party": true,
		 "logo_uri": "https://shop.example/logo.png", "oidc_conformant": true, "token_endpoint_auth_method": "client_secret_post", "callbacks": ["https://shop.example/cb"],
		 "allowed_logout_urls": ["https://shop.example/bye"], "grant_types": ["authorization_code", "refresh_token"], "jwt_configuration": {"alg": "RS256", "lifetime_in_seconds": 36000},
		 "refresh_token": {"rotation_type": "rotating", "expiration_type": "expiring", "leeway": 3, "token_lifetime": 2592000, "idle_token_lifetime": 1296000,
		   "infinite_token_lifetime": false, "infinite_idle_token_lifetime": false},
		 "oidc_logout": {"backchannel_logout_urls": ["https://shop.example/out"]}, "client_metadata": {"team": "photos"}, "initiate_login_uri": "https://shop.example/login",
		 "custom_login_page_on": true, "signing_keys": [{"cert": "x"}], "sso_disabled": false, "require_pushed_authorization_requests": true},
		{"client_id": "spa", "client_secret": "of no use", "name": "App", "app_type": "spa", "is_first_party": false, "token_endpoint_auth_method": "none",
		 "callbacks": ["https://app.example", "https://*.app.example/cb", "https://{organization_name}.app.example/cb"], "web_origins": ["https://app.example"], "allowed_origins": ["https://app.example"],
		 "grant_types": ["authorization_code", "implicit", "refresh_token", "http://auth0.com/oauth/grant-type/mfa-oob"], "cross_origin_authentication": true, "organization_usage": "require",
		 "refresh_token": {"rotation_type": "non-rotating", "expiration_type": "non-expiring", "leeway": 0, "token_lifetime": 31557600, "idle_token_lifetime": 2592000}}
	]}
	{"client_id": "job", "client_secret": "in plain too", "app_type": "non_interactive", "grant_types": ["client_credentials", "authorization_code"], "jwt_configuration": {"alg": "HS256"}}
	{"client_id": "hidden", "app_type": "regular_web", "callbacks": ["https://hidden.example/cb"], "grant_types": ["authorization_code"], "addons": {"samlp": {}}}
	{"client_id": "signed", "callbacks": ["https://s.example/cb"], "grant_types": ["authorization_code"], "client_authentication_methods": {"private_key_jwt": {"credentials": [{"id": "c"}]}}}
	{"client_id": "patterns", "callbacks": ["https://*.example/cb"], "grant_types": ["authorization_code", "refresh_token"]}
	{"client_id": "legacy", "grant_types": ["password"]}
	{"name": "From the Deploy CLI", "callbacks": ["https://##ENV##.myapp.com/callback"]}
	{"client_id": "api", "app_type": "resource_server"}
	{"client_id": "wrong", "callbacks": "https://wrong.example/cb"}`
	lines, _ := imported(t, d, auth0Clients, importer.Options{}, file)
	want := []string{
		"1 web changed: its requests need PKCE from now on; with -pkce-optional they don't",
		"2 spa changed: it may use the implicit flow, which OAuth 2.1 doesn't have; it may use the grant http://auth0.com/oauth/grant-type/mfa-oob, which has no counterpart; " +
			"the callback https://*.app.example/cb is a pattern, and only exact ones are taken; the callback https://{organization_name}.app.example/cb is a pattern, and only exact ones are taken; " +
			"allowed_origins and web_origins are for the server to configure; it shows a login of its own (cross-origin authentication), which has no counterpart; " +
			"it asks for an organization, which there isn't here; its refresh tokens rotate from now on: it has to keep the one that it gets with each answer",
		"3 job changed: it has no callback, so it may not use authorization_code; its ID tokens were signed with its secret (HS256); they will be by a key of the server's; " +
			"what it may ask of which API is in Auth0's client grants: give it scopes and resources",
		"4 hidden changed: its add-on samlp has no counterpart; its requests need PKCE from now on; with -pkce-optional they don't; " +
			"it has no secret, so it can't authenticate: give it one with 'oauthdb client rotate-secret'",
		"5 signed refused: it authenticates by private_key_jwt, and Auth0 exports no keys: register it with them",
		"6 patterns refused: the callback https://*.example/cb is a pattern, and only exact ones are taken; it has no exact callback",
		"7 legacy refused: it may use the password grant, which OAuth 2.1 doesn't have; it may use none of the grants that there are",
		"8  refused: client_id is missing: the Deploy CLI writes it with AUTH0_EXPORT_IDENTIFIERS",
		"9 api refused: it is a resource server, which gets no tokens but by exchange",
		"10 wrong refused: callbacks is not of its type",
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
	if c := get("web"); *c.ClientSecret != token.DigestOf("in plain") || !*c.SkipConsent || *c.TokenEndpointAuthMethod != "client_secret_post" || *c.Name != "Shop" ||
		*c.RefreshTokenLifetime != 15*24*time.Hour || *c.AuthorizationLifetime != 30*24*time.Hour || *c.RefreshGrace != 3*time.Second || *c.BackchannelLogoutURI != "https://shop.example/out" ||
		!slices.Equal(c.PostLogoutRedirectURIs, []string{"https://shop.example/bye"}) || !*c.RequirePushedAuthorizationRequests || *c.Icon != "https://shop.example/logo.png" ||
		string(c.Metadata) != `{"team": "photos", "description": "The shop", "initiate_login_uri": "https://shop.example/login"}` {
		t.Errorf("%+v\n%s", c, c.Metadata)
	}
	if c := get("spa"); !*c.Public || c.ClientSecret != nil || *c.SkipConsent || !slices.Equal(c.RedirectURIs, []string{"https://app.example"}) || c.RefreshTokenLifetime != nil ||
		c.AuthorizationLifetime != nil || c.RefreshGrace != nil || !slices.Equal(c.GrantTypes, []string{"authorization_code", "refresh_token"}) {
		t.Errorf("%+v", c)
	}
	if c := get("job"); *c.ClientSecret != token.DigestOf("in plain too") || !slices.Equal(c.GrantTypes, []string{"client_credentials"}) || len(c.RedirectURIs) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestAuth0sUsersAndTheirPasswords(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	lines, _ := imported(t, d, importer.Auth0Users, importer.Options{}, `
		{"user_id":"auth0|5dea","email":"ada@example.com","email_verified":true,"name":"Ada Lovelace","picture":"https://s.gravatar.com/a.png","created_at":"2019-12-06T18:36:12.412Z",
		 "identities":[{"user_id":"5dea","provider":"auth0","connection":"Username-Password-Authentication","isSocial":false},
		   {"profileData":{"email":"ada@example.com"},"user_id":4711,"provider":"github","connection":"github","isSocial":true}]}
		{"user_id":"google-oauth2|103","email":"grace@example.com","email_verified":true,"given_name":"Grace","family_name":"Hopper","blocked":true,"user_metadata":{"colour":"red"},"app_metadata":{},
		 "identities":[{"user_id":"103","provider":"google-oauth2","connection":"google-oauth2","isSocial":true},
		   {"user_id":"beef","provider":"auth0","connection":"Username-Password-Authentication","isSocial":false}]}
		{"user_id":"samlp|corp|eve","nickname":"eve","username":"eve","identities":[{"user_id":"corp|eve","provider":"samlp","connection":"corp","isSocial":false}]}
		{"user_id":"email|1","email":"ada@EXAMPLE.com","identities":[{"user_id":"1","provider":"email","connection":"email","isSocial":false}]}
		{"user_id":"sms|2","phone_number":"+15550100","identities":[{"user_id":"2","provider":"sms","connection":"sms"}],"multifactor":["guardian"]}
		{"email":"nobody@example.com"}
		{"users":[{"user_id":"auth0|page","passwordHash":"in plain"},{"user_id":"auth0|own","passwordHash":"$2b$10$own"}],"total":2}`)
	want := []string{
		"1 auth0|5dea taken", "2 google-oauth2|103 changed: user_metadata is left out",
		"3 samlp|corp|eve changed: the user name is left out: users sign in by their address, or as the server knows them", "4 email|1 refused: another user has the e-mail address",
		"5 sms|2 changed: second factors are left out; the telephone number is left out", "6  refused: user_id is missing: by it clients know the user",
		"7 auth0|page refused: the password's hash is not a hash", "8 auth0|own taken",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("it says\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	const passwords = `
		{"_id":{"$oid":"5dea"},"email_verified":false,"email":"ada@example.com","passwordHash":"$2b$10$ada","tenant":"shop","connection":"Username-Password-Authentication","identifiers":[{"type":"email"}]}
		{"_id":{"$oid":"0000"},"alt_id":"beef","passwordHash":"$2b$10$grace"}
		{"_id":{"$oid":"cafe"},"passwordHash":"$2b$10$nobody"}
		{"_id":"5dea","passwordHash":"in plain"}
		{"_id":{"$oid":"5dea"}}
		{"email":"ada@example.com","passwordHash":"$2b$10$ada"}`
	for n, o := range []importer.Options{{}, {OneByOne: true}} {
		lines, _ = imported(t, d, importer.Auth0Passwords, o, passwords)
		became := []string{"taken", "present"}[n]
		want = []string{
			"1 auth0|5dea " + became, "2 auth0|beef " + became, "3 auth0|cafe refused: there is no such user: import the users first", "4 auth0|5dea refused: passwordHash is not a hash",
			"5 auth0|5dea refused: passwordHash is missing", "6  refused: _id is missing",
		}
		if !slices.Equal(lines, want) {
			t.Errorf("it says\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	}
	var accounts []string
	if err := d.Pool.QueryRow(t.Context(), `SELECT array_agg(concat_ws(' ', user_id, provider_id, account_id, password) ORDER BY user_id, provider_id) FROM account`).Scan(&accounts); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(accounts, []string{
		"auth0|5dea credential auth0|5dea $2b$10$ada", "auth0|5dea github 4711", "auth0|own credential auth0|own $2b$10$own",
		"google-oauth2|103 auth0 beef", "google-oauth2|103 credential google-oauth2|103 $2b$10$grace", "google-oauth2|103 google-oauth2 103", "samlp|corp|eve corp corp|eve",
	}) {
		t.Errorf("%q", accounts)
	}
	ada, err := d.Store.GetUser(t.Context(), "auth0|5dea")
	if err != nil || ada.Name != "Ada Lovelace" || !ada.EmailVerified || *ada.Image != "https://s.gravatar.com/a.png" || ada.SuspendedAt != nil {
		t.Errorf("%+v, %v", ada, err)
	}
	if grace, err := d.Store.GetUser(t.Context(), "google-oauth2|103"); err != nil || grace.Name != "Grace Hopper" || grace.SuspendedAt == nil {
		t.Errorf("%+v, %v", grace, err)
	}
}

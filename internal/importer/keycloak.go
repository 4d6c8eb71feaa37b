package importer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// KeycloakClients reads the clients of a realm's export. Those that Keycloak makes in every realm are left out. With pkceOptional, confidential
// clients need not use PKCE, unless Keycloak asks it of them.
func KeycloakClients(r io.Reader, pkceOptional bool) iter.Seq2[Item, error] {
	return keycloak(r, "clients", func(o map[string]json.RawMessage) bool {
		return textOf(o["clientId"]) != "" && (slices.Contains(keycloaksOwn, textOf(o["clientId"])) || strings.HasSuffix(textOf(o["clientId"]), "-realm"))
	}, func(o map[string]json.RawMessage) Item { return keycloakClient(o, pkceOptional) })
}

// KeycloakUsers reads the users of a realm's export, or of one of the files of users that Keycloak writes beside it. Service accounts are left
// out: here a client acts for itself without a user.
func KeycloakUsers(r io.Reader) iter.Seq2[Item, error] {
	return keycloak(r, "users", func(o map[string]json.RawMessage) bool { return textOf(o["serviceAccountClientId"]) != "" }, keycloakUser)
}

// keycloaksOwn are the clients that Keycloak makes in every realm, but for one for each realm in the master realm.
var keycloaksOwn = []string{"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}

func keycloak(r io.Reader, list string, leftOut func(map[string]json.RawMessage) bool, read func(map[string]json.RawMessage) Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for o, err := range listed(r, list) {
			switch {
			case err != nil:
				yield(Item{}, err)
				return
			case leftOut(o):
			case !yield(read(o), nil):
				return
			}
		}
	}
}

func textOf(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s)
	return s
}

// grantTypesOfKeycloak are the grant types by the attribute that switches them on.
var grantTypesOfKeycloak = map[string]string{
	"oauth2.device.authorization.grant.enabled": "urn:ietf:params:oauth:grant-type:device_code",
	"oidc.ciba.grant.enabled":                   "urn:openid:params:grant-type:ciba",
	"standard.token.exchange.enabled":           "urn:ietf:params:oauth:grant-type:token-exchange",
}

// scopesOfKeycloak are client scopes that no request names: they put claims into every token.
var scopesOfKeycloak = []string{"acr", "basic", "roles", "web-origins", "service_account"}

func keycloakClient(o map[string]json.RawMessage, pkceOptional bool) Item {
	m := members{o: o}
	id := m.text("clientId")
	if id == nil {
		return Item{Refused: errors.New("clientId is missing")}
	}
	refuse := func(format string, args ...any) Item { return Item{ID: *id, Refused: fmt.Errorf(format, args...)} }
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	is := func(name string, otherwise bool) bool {
		if v := m.boolean(name); v != nil {
			return *v
		}
		return otherwise
	}
	attributes := map[string]string{}
	m.take("attributes", &attributes)
	var redirects, scopes, more []string
	m.take("redirectUris", &redirects)
	m.take("defaultClientScopes", &scopes)
	m.take("optionalClientScopes", &more)
	public, bearerOnly, standard := is("publicClient", false), is("bearerOnly", false), is("standardFlowEnabled", true)
	root, base, authenticator, plain := m.text("rootUrl"), m.text("baseUrl"), m.text("clientAuthenticatorType"), m.text("secret")
	protocol := m.text("protocol")
	switch {
	case m.err != nil:
		return Item{ID: *id, Refused: m.err}
	case protocol != nil && *protocol != "openid-connect":
		return refuse("its protocol is %s", *protocol)
	case bearerOnly:
		return refuse("it is bearer-only: a resource server, which gets no tokens")
	}

	document := map[string]any{"client_id": *id}
	exact := func(what string, uris []string) (kept []string) {
		for _, uri := range uris {
			whole := uri
			if strings.HasPrefix(uri, "/") && root != nil {
				whole = strings.TrimSuffix(*root, "/") + uri
			}
			u, err := url.Parse(whole)
			switch {
			case strings.Contains(uri, "*"):
				note("%s %s is a pattern, and only exact ones are taken", what, uri)
			case err != nil || !u.IsAbs() || strings.Contains(whole, "${"):
				note("%s %s is no absolute URI", what, uri)
			default:
				kept = append(kept, whole)
			}
		}
		return kept
	}
	grants := []string{}
	if standard {
		grants = append(grants, "authorization_code", "refresh_token")
		redirects = exact("the redirect URI", redirects)
		if len(redirects) == 0 {
			return Item{ID: *id, Refused: errors.New(strings.Join(append(notes, "it has no exact redirect URI"), "; "))}
		}
	} else {
		redirects = exact("the redirect URI", redirects)
	}
	if is("serviceAccountsEnabled", false) && !public {
		grants = append(grants, "client_credentials")
	}
	for _, attribute := range []string{"oauth2.device.authorization.grant.enabled", "oidc.ciba.grant.enabled", "standard.token.exchange.enabled"} {
		if attributes[attribute] == "true" {
			if grants = append(grants, grantTypesOfKeycloak[attribute]); attribute != "standard.token.exchange.enabled" && !slices.Contains(grants, "refresh_token") {
				grants = append(grants, "refresh_token")
			}
		}
	}
	if is("implicitFlowEnabled", false) {
		note("it may use the implicit flow, which OAuth 2.1 doesn't have")
	}
	if is("directAccessGrantsEnabled", false) {
		note("it may use the password grant, which OAuth 2.1 doesn't have")
	}
	if len(grants) == 0 {
		return refuse("it may use none of the grants that there are")
	}
	document["grant_types"], document["redirect_uris"] = grants, redirects
	if !standard {
		document["response_types"] = []string{}
	}
	if out := attributes["post.logout.redirect.uris"]; out == "+" {
		document["post_logout_redirect_uris"] = redirects
	} else if out != "" && out != "-" {
		document["post_logout_redirect_uris"] = exact("the post-logout redirect URI", strings.Split(out, "##"))
	}
	if name := m.text("name"); name != nil && !strings.HasPrefix(*name, "${") {
		document["client_name"] = *name
	}
	if base != nil {
		home := *base
		if strings.HasPrefix(home, "/") && root != nil {
			home = strings.TrimSuffix(*root, "/") + home
		}
		if u, err := url.Parse(home); err == nil && u.Host != "" && !strings.Contains(home, "${") {
			document["client_uri"] = home
		}
	}
	if to := attributes["backchannel.logout.url"]; to != "" {
		document["backchannel_logout_uri"] = to
		document["backchannel_logout_session_required"] = attributes["backchannel.logout.session.required"] == "true"
	}
	asked := []string{"openid"}
	for _, scope := range append(scopes, more...) {
		if !slices.Contains(scopesOfKeycloak, scope) && !slices.Contains(asked, scope) {
			asked = append(asked, scope)
		}
	}
	document["scope"] = strings.Join(asked, " ")

	switch {
	case public:
		document["token_endpoint_auth_method"] = "none"
	case authenticator == nil, *authenticator == "client-secret":
		document["token_endpoint_auth_method"] = "client_secret_basic"
	case *authenticator == "client-jwt":
		document["token_endpoint_auth_method"] = "private_key_jwt"
		switch {
		case attributes["use.jwks.url"] == "true" && attributes["jwks.url"] != "":
			document["jwks_uri"] = attributes["jwks.url"]
		case attributes["use.jwks.string"] == "true" && attributes["jwks.string"] != "":
			document["jwks"] = json.RawMessage(attributes["jwks.string"])
		default:
			return refuse("its key is a certificate: give it a JWKS first")
		}
	case *authenticator == "client-x509" && attributes["x509.subjectdn"] != "" && attributes["x509.allow.regex.pattern.comparison"] != "true":
		document["token_endpoint_auth_method"] = "tls_client_auth"
		document["tls_client_auth_subject_dn"] = attributes["x509.subjectdn"]
	case *authenticator == "client-secret-jwt":
		return refuse("it signs with its secret (client_secret_jwt), and only digests of secrets are kept")
	default:
		return refuse("it authenticates by %s, which has no counterpart", *authenticator)
	}

	text, err := json.Marshal(document)
	if err != nil {
		return refuse("the JWKS is not JSON")
	}
	d := members{o: map[string]json.RawMessage{}}
	if err := json.Unmarshal(text, &d.o); err != nil {
		return refuse("not a JSON object")
	}
	delete(d.o, "client_id")
	metadata, err := d.document()
	if err != nil {
		return Item{ID: *id, Refused: err}
	}
	p := metadata.CreateClientParams()
	p.ClientID, p.SkipConsent = store.ClientID(*id), new(!is("consentRequired", false))
	if lifespan := attributes["access.token.lifespan"]; lifespan != "" {
		if seconds, err := strconv.ParseInt(lifespan, 10, 32); err != nil {
			return refuse("access.token.lifespan is not a number of seconds")
		} else if seconds > 0 { // -1 is the realm's
			p.AccessTokenLifetime = new(time.Duration(seconds) * time.Second)
		}
	}
	if !public && standard {
		switch {
		case attributes["pkce.code.challenge.method"] == "S256": // asked for already
		case pkceOptional:
			p.RequirePKCE = new(false)
		default:
			note("its requests need PKCE from now on; with -pkce-optional they don't")
		}
	}
	if *metadata.TokenEndpointAuthMethod == "client_secret_basic" && plain != nil {
		if strings.Trim(*plain, "*") == "" || strings.HasPrefix(*plain, "${") {
			note("its secret is masked in the file")
		} else if err := secret(&p, plain, nil); err != nil {
			return Item{ID: *id, Refused: err}
		}
	}
	item := create(p, withoutSecret(p, notes))
	if !is("enabled", true) {
		stored := item.Store
		item.Store = func(ctx context.Context, q *store.Queries) error {
			if err := stored(ctx, q); err != nil {
				return err
			}
			_, err := q.DisableClient(ctx, p.ClientID)
			return err
		}
	}
	return item
}

// credential is one of a user's, with JSON in its texts.
type credential struct {
	Type           string `json:"type"`
	SecretData     string `json:"secretData"`
	CredentialData string `json:"credentialData"`
}

func keycloakUser(o map[string]json.RawMessage) Item {
	m := members{o: o}
	id := m.text("id")
	if id == nil {
		return Item{Refused: errors.New("id is missing: by it clients know the user")}
	}
	var notes []string
	given, family, username, email := m.text("firstName"), m.text("lastName"), m.text("username"), m.text("email")
	verified, enabled := m.boolean("emailVerified"), m.boolean("enabled")
	var credentials []credential
	var elsewhere []struct{ IdentityProvider, UserID string }
	m.take("credentials", &credentials)
	m.take("federatedIdentities", &elsewhere)
	if m.err != nil {
		return Item{ID: *id, Refused: m.err}
	}
	p := store.CreateUserParams{ID: store.UserID(*id), Email: email, EmailVerified: email != nil && verified != nil && *verified}
	for _, part := range []*string{given, family} {
		if part != nil {
			p.Name = strings.TrimSpace(p.Name + " " + *part)
		}
	}
	if p.Name == "" && username != nil {
		p.Name = *username
	}
	if username != nil && (email == nil || !strings.EqualFold(*username, *email)) {
		notes = append(notes, "the user name is left out: users sign in by their address, or as the server knows them")
	}
	var password *string
	for _, c := range credentials {
		if c.Type != "password" {
			notes = append(notes, "a credential of type "+c.Type+" is left out")
			continue
		}
		hashed, err := c.hash()
		if err != nil {
			notes = append(notes, "the password is left out: "+err.Error())
			continue
		}
		password = &hashed
	}
	ids := []store.AccountID{store.NewAccountID()}
	for range elsewhere {
		ids = append(ids, store.NewAccountID())
	}
	return Item{ID: *id, Notes: notes, Blind: true, Key: store.ConstraintUserPKey, Store: func(ctx context.Context, q *store.Queries) error {
		if _, err := q.CreateUser(ctx, p); err != nil {
			return err
		}
		if password != nil {
			if _, err := q.CreateAccount(ctx, store.CreateAccountParams{
				ID: ids[0], AccountID: *id, ProviderID: "credential", UserID: p.ID, Password: password,
			}); err != nil {
				return err
			}
		}
		for i, e := range elsewhere {
			if _, err := q.CreateAccount(ctx, store.CreateAccountParams{
				ID: ids[i+1], AccountID: e.UserID, ProviderID: e.IdentityProvider, UserID: p.ID,
			}); err != nil {
				return err
			}
		}
		if enabled == nil || *enabled {
			return nil
		}
		_, err := q.SuspendUser(ctx, p.ID)
		return err
	}}
}

// hash is the password's hash in the notation of PHC for Argon2, and of passlib for PBKDF2.
func (c credential) hash() (string, error) {
	var secret struct{ Value, Salt []byte }
	var how struct {
		HashIterations       int
		Algorithm            string
		AdditionalParameters map[string][]string
	}
	if json.Unmarshal([]byte(c.SecretData), &secret) != nil || json.Unmarshal([]byte(c.CredentialData), &how) != nil || len(secret.Value) == 0 {
		return "", errors.New("it isn't in Keycloak's notation")
	}
	parameter := func(name string) string {
		if v := how.AdditionalParameters[name]; len(v) == 1 {
			return v[0]
		}
		return ""
	}
	encoded := func(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }
	switch how.Algorithm {
	case "argon2":
		version, known := map[string]string{"1.0": "16", "1.3": "19"}[parameter("version")]
		if !known || !slices.Contains([]string{"id", "i", "d"}, parameter("type")) {
			return "", errors.New("it is of an unknown kind of Argon2")
		}
		return fmt.Sprintf("$argon2%s$v=%s$m=%s,t=%d,p=%s$%s$%s", parameter("type"), version, parameter("memory"), how.HashIterations,
			parameter("parallelism"), encoded(secret.Salt), encoded(secret.Value)), nil
	case "pbkdf2", "pbkdf2-sha256", "pbkdf2-sha512":
		adapted := func(b []byte) string { return strings.ReplaceAll(encoded(b), "+", ".") }
		return fmt.Sprintf("$%s$%d$%s$%s", how.Algorithm, how.HashIterations, adapted(secret.Salt), adapted(secret.Value)), nil
	}
	return "", fmt.Errorf("its algorithm is %q", how.Algorithm)
}

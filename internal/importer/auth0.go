package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// Auth0Clients reads clients as Auth0's Management API, `auth0 apps list --json` or its Deploy CLI write them. With pkceOptional, confidential
// clients need not use PKCE, as with Auth0.
func Auth0Clients(r io.Reader, pkceOptional bool) iter.Seq2[Item, error] {
	return auth0(r, "clients", func(o map[string]json.RawMessage) bool { return string(o["global"]) == "true" },
		func(o map[string]json.RawMessage) Item { return auth0Client(o, pkceOptional) })
}

// Auth0Users reads users as Auth0's export job or its Management API write them.
func Auth0Users(r io.Reader) iter.Seq2[Item, error] {
	return auth0(r, "users", func(map[string]json.RawMessage) bool { return false }, auth0User)
}

// Auth0Passwords reads the export of password hashes that Auth0's support makes, after the users.
func Auth0Passwords(r io.Reader) iter.Seq2[Item, error] { return mapped(objects(r), auth0Password) }

// auth0 reads records one after the other, in a list, or in pages that have the list as a member.
func auth0(r io.Reader, list string, leftOut func(map[string]json.RawMessage) bool, read func(map[string]json.RawMessage) Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for o, err := range objects(r) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			records := []map[string]json.RawMessage{o}
			if page, ok := o[list]; ok {
				if json.Unmarshal(page, &records) != nil {
					yield(Item{}, fmt.Errorf("%s is not a list of objects", list))
					return
				}
			}
			for _, record := range records {
				if !leftOut(record) && !yield(read(record), nil) {
					return
				}
			}
		}
	}
}

// grantTypesOfAuth0 are the grant types that there are here, and why there is none for the others.
var grantTypesOfAuth0 = map[string]string{
	"authorization_code": "", "refresh_token": "", "client_credentials": "",
	"urn:ietf:params:oauth:grant-type:device_code":     "",
	"urn:ietf:params:oauth:grant-type:token-exchange":  "",
	"urn:openid:params:grant-type:ciba":                "",
	"implicit":                                         "the implicit flow, which OAuth 2.1 doesn't have",
	"password":                                         "the password grant, which OAuth 2.1 doesn't have",
	"http://auth0.com/oauth/grant-type/password-realm": "the password grant, which OAuth 2.1 doesn't have",
}

func auth0Client(o map[string]json.RawMessage, pkceOptional bool) Item {
	m := members{o: o}
	id := m.text("client_id")
	if id == nil {
		return Item{Refused: errors.New("client_id is missing: the Deploy CLI writes it with AUTH0_EXPORT_IDENTIFIERS")}
	}
	refuse := func(format string, args ...any) Item { return Item{ID: *id, Refused: fmt.Errorf(format, args...)} }
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	is := func(name string) bool { v := m.boolean(name); return v != nil && *v }

	var callbacks, logouts, grants, origins, more []string
	m.take("callbacks", &callbacks)
	m.take("allowed_logout_urls", &logouts)
	m.take("grant_types", &grants)
	m.take("web_origins", &origins)
	m.take("allowed_origins", &more)
	var lifetimes struct {
		RotationType              string `json:"rotation_type"`
		ExpirationType            string `json:"expiration_type"`
		Leeway                    *int64 `json:"leeway"`
		TokenLifetime             int64  `json:"token_lifetime"`
		IdleTokenLifetime         int64  `json:"idle_token_lifetime"`
		InfiniteTokenLifetime     bool   `json:"infinite_token_lifetime"`
		InfiniteIdleTokenLifetime bool   `json:"infinite_idle_token_lifetime"`
	}
	m.take("refresh_token", &lifetimes)
	var signing struct{ Alg string }
	m.take("jwt_configuration", &signing)
	var logout, oldLogout struct {
		URLs []string `json:"backchannel_logout_urls"`
	}
	m.take("oidc_backchannel_logout", &oldLogout)
	if !m.take("oidc_logout", &logout) {
		logout = oldLogout
	}
	var addons, methods, metadata map[string]json.RawMessage
	m.take("addons", &addons)
	m.take("client_authentication_methods", &methods)
	m.take("client_metadata", &metadata)
	kind, method, plain := m.text("app_type"), m.text("token_endpoint_auth_method"), m.text("client_secret")
	firstParty, pushed, bound := is("is_first_party"), is("require_pushed_authorization_requests"), is("require_proof_of_possession")
	required := m.text("organization_usage")
	if m.err != nil {
		return Item{ID: *id, Refused: m.err}
	}
	if kind != nil && *kind == "resource_server" {
		return refuse("it is a resource server, which gets no tokens but by exchange")
	}

	exact := func(what string, uris []string) (kept []string) {
		for _, uri := range uris {
			u, err := url.Parse(uri)
			switch {
			case strings.ContainsAny(uri, "*{#"):
				note("%s %s is a pattern, and only exact ones are taken", what, uri)
			case err != nil || !u.IsAbs():
				note("%s %s is no absolute URI", what, uri)
			case !slices.Contains(kept, uri):
				kept = append(kept, uri)
			}
		}
		return kept
	}
	document := map[string]any{}
	kept, had := []string{}, map[string]bool{}
	for _, grant := range grants {
		switch why, known := grantTypesOfAuth0[grant]; {
		case known && why == "":
			kept = append(kept, grant)
		case !known:
			why = "the grant " + grant + ", which has no counterpart"
			fallthrough
		case !had[why]:
			note("it may use %s", why)
			had[why] = true
		}
	}
	redirects := exact("the callback", callbacks)
	if len(redirects) == 0 && slices.Contains(kept, "authorization_code") {
		// Auth0 allows the grant to clients that never use it; here it needs somewhere to go
		kept = slices.DeleteFunc(kept, func(grant string) bool { return grant == "authorization_code" })
		if len(callbacks) > 0 || len(kept) == 0 || slices.Equal(kept, []string{"refresh_token"}) {
			return Item{ID: *id, Refused: errors.New(strings.Join(append(notes, "it has no exact callback"), "; "))}
		}
		note("it has no callback, so it may not use authorization_code")
	}
	if len(kept) == 0 || slices.Equal(kept, []string{"refresh_token"}) {
		return refuse("%s", strings.Join(append(notes, "it may use none of the grants that there are"), "; "))
	}
	document["grant_types"], document["redirect_uris"] = kept, redirects
	if !slices.Contains(kept, "authorization_code") {
		document["response_types"] = []string{}
	}
	if out := exact("the logout URL", logouts); len(out) > 0 {
		document["post_logout_redirect_uris"] = out
	}
	if len(logout.URLs) > 0 {
		if document["backchannel_logout_uri"] = logout.URLs[0]; len(logout.URLs) > 1 {
			note("it has %d URLs for back-channel logout, and only the first is taken", len(logout.URLs))
		}
	}
	for from, to := range map[string]string{"name": "client_name", "logo_uri": "logo_uri", "initiate_login_uri": "initiate_login_uri", "description": "description"} {
		if text := m.text(from); text != nil {
			document[to] = *text
		}
	}
	if kind != nil && *kind == "native" {
		document["application_type"] = "native"
	}
	if pushed {
		document["require_pushed_authorization_requests"] = true
	}
	if bound {
		document["dpop_bound_access_tokens"] = true
	}
	public := method != nil && *method == "none" || method == nil && len(methods) == 0 && kind != nil && (*kind == "spa" || *kind == "native")
	switch {
	case len(methods) > 0:
		names := []string{}
		for name := range methods {
			names = append(names, name)
		}
		slices.Sort(names)
		return refuse("it authenticates by %s, and Auth0 exports no keys: register it with them", strings.Join(names, " or "))
	case public:
		document["token_endpoint_auth_method"] = "none"
	case method == nil:
		document["token_endpoint_auth_method"] = "client_secret_post" // what Auth0 does without one
	case *method == "client_secret_basic", *method == "client_secret_post":
		document["token_endpoint_auth_method"] = *method
	default:
		return refuse("it authenticates by %s, which has no counterpart", *method)
	}
	if origins = append(origins, more...); len(origins) > 0 {
		note("allowed_origins and web_origins are for the server to configure")
		document["allowed_cors_origins"] = slices.Compact(slices.Sorted(slices.Values(origins))) // kept with the metadata
	}
	if signing.Alg == "HS256" {
		note("its ID tokens were signed with its secret (HS256); they will be by a key of the server's")
	}
	if is("cross_origin_authentication") || is("cross_origin_auth") {
		note("it shows a login of its own (cross-origin authentication), which has no counterpart")
	}
	if required != nil && *required == "require" {
		note("it asks for an organization, which there isn't here")
	}
	for _, addon := range []string{"samlp", "wsfed"} {
		if len(addons[addon]) > 0 {
			note("its add-on %s has no counterpart", addon)
		}
	}
	if slices.Contains(kept, "client_credentials") {
		note("what it may ask of which API is in Auth0's client grants: give it scopes and resources")
	}

	p, err := paramsOf(document)
	if err != nil {
		return Item{ID: *id, Refused: err}
	}
	p.ClientID, p.SkipConsent = store.ClientID(*id), &firstParty
	if slices.Contains(kept, "refresh_token") {
		seconds := func(n int64, infinite bool) *time.Duration {
			if n <= 0 || infinite || lifetimes.ExpirationType != "expiring" {
				return nil
			}
			return new(time.Duration(n) * time.Second)
		}
		p.AuthorizationLifetime = seconds(lifetimes.TokenLifetime, lifetimes.InfiniteTokenLifetime)
		p.RefreshTokenLifetime = seconds(lifetimes.IdleTokenLifetime, lifetimes.InfiniteIdleTokenLifetime)
		if lifetimes.RotationType == "rotating" {
			if lifetimes.Leeway != nil && *lifetimes.Leeway >= 0 {
				p.RefreshGrace = new(time.Duration(*lifetimes.Leeway) * time.Second)
			}
		} else {
			note("its refresh tokens rotate from now on: it has to keep the one that it gets with each answer")
		}
	}
	if !public {
		switch {
		case pkceOptional:
			p.RequirePKCE = new(false)
		case slices.Contains(kept, "authorization_code"):
			note("its requests need PKCE from now on; with -pkce-optional they don't")
		}
		if err := secret(&p, plain, nil); err != nil {
			return Item{ID: *id, Refused: err}
		}
	}
	if len(metadata) > 0 {
		if p.Metadata, err = merge(p.Metadata, metadata); err != nil {
			return Item{ID: *id, Refused: err}
		}
	}
	return create(p, withoutSecret(p, notes))
}

// paramsOf reads a registration document that was made here.
func paramsOf(document map[string]any) (store.CreateClientParams, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return store.CreateClientParams{}, err
	}
	d := members{o: map[string]json.RawMessage{}}
	if err := json.Unmarshal(text, &d.o); err != nil {
		return store.CreateClientParams{}, err
	}
	metadata, err := d.document()
	return metadata.CreateClientParams(), err
}

// auth0Identity is one of a user's: the first is that of the user, the others were linked to it.
type auth0Identity struct {
	UserID     any    `json:"user_id"` // some are numbers
	Provider   string `json:"provider"`
	Connection string `json:"connection"`
}

// auth0Database is Auth0's own store of users, whose identities have passwords.
const auth0Database = "auth0"

func auth0User(o map[string]json.RawMessage) Item {
	m := members{o: o}
	id := m.text("user_id")
	if id == nil {
		return Item{Refused: errors.New("user_id is missing: by it clients know the user")}
	}
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	email, picture, username, phone := m.text("email"), m.text("picture"), m.text("username"), m.text("phone_number")
	verified, blocked := m.boolean("email_verified"), m.boolean("blocked")
	hashed := m.text("passwordHash")
	if hashed == nil {
		hashed = m.text("password_hash")
	}
	var identities []auth0Identity
	m.take("identities", &identities)
	var factors []any
	m.take("multifactor", &factors)
	p := store.CreateUserParams{ID: store.UserID(*id), Email: email, EmailVerified: email != nil && verified != nil && *verified, Image: picture}
	name, nickname, given, family := m.text("name"), m.text("nickname"), m.text("given_name"), m.text("family_name")
	switch {
	case name != nil:
		p.Name = *name
	case given != nil || family != nil:
		for _, part := range []*string{given, family} {
			if part != nil {
				p.Name = strings.TrimSpace(p.Name + " " + *part)
			}
		}
	case nickname != nil:
		p.Name = *nickname
	}
	if m.err != nil {
		return Item{ID: *id, Refused: m.err}
	}
	if hashed != nil && !hash.MatchString(*hashed) {
		return Item{ID: *id, Refused: errors.New("the password's hash is not a hash")}
	}
	if username != nil {
		note("the user name is left out: users sign in by their address, or as the server knows them")
	}
	if len(factors) > 0 {
		note("second factors are left out")
	}
	for _, name := range []string{"user_metadata", "app_metadata"} {
		var data map[string]json.RawMessage
		if m.take(name, &data) && len(data) > 0 {
			note("%s is left out", name)
		}
	}

	var accounts []store.CreateAccountParams
	add := func(provider, account string, password *string) {
		accounts = append(accounts, store.CreateAccountParams{ID: store.NewAccountID(), AccountID: account, ProviderID: provider, UserID: p.ID, Password: password})
	}
	if hashed != nil {
		add("credential", *id, hashed)
	}
	for _, i := range identities {
		account := fmt.Sprint(i.UserID)
		if number, ok := i.UserID.(float64); ok {
			account = fmt.Sprintf("%.0f", number)
		}
		switch i.Provider {
		case "":
			return Item{ID: *id, Refused: errors.New("an identity has no provider")}
		case auth0Database:
			if auth0Database+"|"+account != *id { // linked: its password finds the user by it
				add(auth0Database, account, nil)
			}
		case "email": // a code by e-mail
		case "sms":
			note("the telephone number is left out")
		default:
			connection := i.Connection
			if connection == "" {
				connection = i.Provider
			}
			add(connection, account, nil)
		}
	}
	if phone != nil && !slices.Contains(notes, "the telephone number is left out") {
		note("the telephone number is left out")
	}
	if m.err != nil {
		return Item{ID: *id, Refused: m.err}
	}
	return Item{ID: *id, Notes: notes, Blind: true, Key: store.ConstraintUserPKey, Store: func(ctx context.Context, q *store.Queries) error {
		if _, err := q.CreateUser(ctx, p); err != nil {
			return err
		}
		for _, account := range accounts {
			if _, err := q.CreateAccount(ctx, account); err != nil {
				return err
			}
		}
		if blocked == nil || !*blocked {
			return nil
		}
		_, err := q.SuspendUser(ctx, p.ID)
		return err
	}}
}

// auth0Password adds a password to a user that is there: by the user's own identity, or by one that was linked to it.
func auth0Password(o map[string]json.RawMessage) Item {
	m := members{o: o}
	var key struct {
		OID string `json:"$oid"`
	}
	if raw := o["_id"]; len(raw) > 0 && raw[0] == '"' {
		m.take("_id", &key.OID)
	} else {
		m.take("_id", &key)
	}
	own, hashed := m.text("alt_id"), m.text("passwordHash")
	if own == nil && key.OID != "" {
		own = &key.OID
	}
	switch {
	case own == nil:
		return Item{Refused: errors.New("_id is missing")}
	case m.err != nil:
		return Item{ID: *own, Refused: m.err}
	}
	user := store.UserID(auth0Database + "|" + *own)
	switch {
	case hashed == nil:
		return Item{ID: string(user), Refused: errors.New("passwordHash is missing")}
	case !hash.MatchString(*hashed):
		return Item{ID: string(user), Refused: errors.New("passwordHash is not a hash")}
	}
	p := store.CreateAccountParams{ID: store.NewAccountID(), AccountID: string(user), ProviderID: "credential", UserID: user, Password: hashed}
	return Item{
		ID: string(user), Blind: true, Key: store.ConstraintAccountProviderAccountUIdx,
		Store: func(ctx context.Context, q *store.Queries) error {
			_, err := q.CreateAccount(ctx, p)
			return err
		},
		Otherwise: func(ctx context.Context, q *store.Queries) error {
			linked, err := q.FindAccountByProvider(ctx, store.FindAccountByProviderParams{ProviderID: auth0Database, AccountID: *own})
			if err != nil {
				return err
			}
			p.UserID, p.AccountID = linked.User.ID, string(linked.User.ID)
			_, err = q.CreateAccount(ctx, p)
			return err
		},
		Missing: "there is no such user: import the users first",
	}
}

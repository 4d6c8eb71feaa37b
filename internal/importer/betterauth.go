package importer

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// BetterAuthOptions say how to read what better-auth has written.
type BetterAuthOptions struct {
	// KeepHashes leaves the hashes of passwords in better-auth's own notation, for a better-auth server that goes on.
	KeepHashes bool
	// PlainSecrets says that clients' secrets are in plain there, whatever they look like.
	PlainSecrets bool
	Only         []Kind // nothing else; empty is all
	Lifetimes    Lifetimes
}

// BetterAuth reads the tables that better-auth's own migrations make: users with their accounts, then clients, consents and refresh tokens of
// its OAuth provider, or of the OIDC provider that it had before.
func BetterAuth(ctx context.Context, s *Source, o BetterAuthOptions) (iter.Seq2[Item, error], error) {
	has := map[string]bool{}
	for _, c := range []struct{ table, column string }{
		{`"user"`, "emailVerified"}, {`"oauthClient"`, "clientId"}, {`"oauthClientResource"`, "resourceId"}, {`"oauthApplication"`, "clientId"},
	} {
		found, err := s.Has(ctx, c.table, c.column)
		if err != nil {
			return nil, err
		}
		has[c.table] = found
	}
	if !has[`"user"`] {
		return nil, errors.New(`the source has no table "user" with a column "emailVerified", as better-auth's migrations make it`)
	}
	var parts []iter.Seq2[Item, error]
	add := func(kind Kind, query string, read func(map[string]json.RawMessage, BetterAuthOptions) Item) {
		if len(o.Only) == 0 || slices.Contains(o.Only, kind) {
			parts = append(parts, ofKind(kind, mapped(s.Objects(ctx, query), func(row map[string]json.RawMessage) Item { return read(row, o) })))
		}
	}
	add(UserRecord, betterAuthUsers, betterAuthUser)
	switch {
	case has[`"oauthClient"`]:
		resources := `NULL`
		if has[`"oauthClientResource"`] {
			resources = `(SELECT jsonb_agg(r."resourceId" ORDER BY r."resourceId") FROM "oauthClientResource" AS r WHERE r."clientId" = c."clientId")`
		}
		add(ClientRecord, fmt.Sprintf(betterAuthClients, resources), betterAuthClient)
		add(ConsentRecord, betterAuthConsents, betterAuthConsent)
		add(RefreshTokenRecord, betterAuthRefreshTokens, betterAuthRefreshToken)
	case has[`"oauthApplication"`]:
		add(ClientRecord, betterAuthApplications, betterAuthApplication)
		add(ConsentRecord, betterAuthOlderConsents, betterAuthConsent)
		add(RefreshTokenRecord, betterAuthOlderTokens, betterAuthOlderToken)
	}
	return inTurn(parts...), nil
}

// Each query returns its rows in an order that stays, for -skip.
const (
	betterAuthUsers = `
		SELECT to_jsonb(u) || jsonb_build_object('id', u.id::text, 'accounts', jsonb_agg(to_jsonb(c) ORDER BY c.id) FILTER (WHERE c.id IS NOT NULL))
		FROM "user" AS u
		LEFT JOIN account AS c ON c."userId" = u.id
		GROUP BY u.id
		ORDER BY u.id`
	betterAuthClients = `
		SELECT to_jsonb(c) || jsonb_build_object('userId', c."userId"::text, 'resources', %s)
		FROM "oauthClient" AS c
		ORDER BY c.id`
	betterAuthApplications = `
		SELECT to_jsonb(c) || jsonb_build_object('userId', c."userId"::text)
		FROM "oauthApplication" AS c
		ORDER BY c.id`
	betterAuthConsents = `
		SELECT to_jsonb(g) || jsonb_build_object('userId', g."userId"::text)
		FROM "oauthConsent" AS g
		WHERE g."userId" IS NOT NULL
		ORDER BY g.id`
	betterAuthOlderConsents = `
		SELECT to_jsonb(g) || jsonb_build_object('userId', g."userId"::text)
		FROM "oauthConsent" AS g
		WHERE g."userId" IS NOT NULL AND g."consentGiven"
		ORDER BY g.id`
	betterAuthRefreshTokens = `
		SELECT jsonb_build_object(
			'name', coalesce(r."authorizationCodeId", r.id::text), 'clientId', r."clientId", 'userId', r."userId"::text,
			'tokens', jsonb_agg(to_jsonb(r) ORDER BY r."createdAt")
		)
		FROM "oauthRefreshToken" AS r
		WHERE r.revoked IS NULL AND r."expiresAt" > now()
		GROUP BY coalesce(r."authorizationCodeId", r.id::text), r."clientId", r."userId"
		ORDER BY coalesce(r."authorizationCodeId", r.id::text), r."clientId", r."userId"`
	betterAuthOlderTokens = `
		SELECT to_jsonb(r) || jsonb_build_object('id', r.id::text, 'userId', r."userId"::text)
		FROM "oauthAccessToken" AS r
		WHERE r."userId" IS NOT NULL AND r."refreshToken" IS NOT NULL AND r."refreshTokenExpiresAt" > now()
		ORDER BY r.id`
)

// leftOut names the members that say something and have no place here.
func leftOut(o map[string]json.RawMessage, known ...string) (notes []string) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if !slices.Contains(known, name) && !slices.Contains([]string{"null", "false", `""`, "[]", "{}", "0"}, string(o[name])) {
			notes = append(notes, name+" is left out")
		}
	}
	return notes
}

func betterAuthUser(o map[string]json.RawMessage, options BetterAuthOptions) Item {
	m := members{o: o}
	id := m.text("id")
	if id == nil {
		return Item{Refused: errors.New("id is missing")}
	}
	name, email, image, verified, banned := m.text("name"), m.text("email"), m.text("image"), m.boolean("emailVerified"), m.boolean("banned")
	var rows []map[string]json.RawMessage
	m.take("accounts", &rows)
	if m.err != nil {
		return Item{ID: *id, Refused: m.err}
	}
	p := store.CreateUserParams{ID: store.UserID(*id), Email: email, EmailVerified: email != nil && verified != nil && *verified, Image: image}
	if name != nil {
		p.Name = *name
	}
	notes := leftOut(o, "createdAt", "updatedAt")
	var accounts []store.CreateAccountParams
	for _, row := range rows {
		a := members{o: row}
		account, provider, password := a.text("accountId"), a.text("providerId"), a.text("password")
		c := store.CreateAccountParams{
			ID: store.NewAccountID(), UserID: p.ID, AccessToken: a.text("accessToken"), RefreshToken: a.text("refreshToken"), IDToken: a.text("idToken"), Scope: a.text("scope"),
		}
		for member, to := range map[string]**time.Time{"accessTokenExpiresAt": &c.AccessTokenExpiresAt, "refreshTokenExpiresAt": &c.RefreshTokenExpiresAt} {
			*to = a.time(member)
		}
		if account == nil || provider == nil || a.err != nil {
			return Item{ID: *id, Refused: errors.New("an account is not in better-auth's form")}
		}
		c.AccountID, c.ProviderID = *account, *provider
		if password != nil {
			c.Password = password
			if !options.KeepHashes {
				hashed, ok := betterAuthHash(*password)
				if !ok {
					notes = append(notes, "the password is left out: its hash is in a notation of the server's own; -keep-hashes takes it as it is")
					continue
				}
				c.Password = &hashed
			}
		}
		accounts = append(accounts, c)
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
		if banned == nil || !*banned {
			return nil
		}
		_, err := q.SuspendUser(ctx, p.ID)
		return err
	}}
}

// scryptHash is how better-auth writes a hash: the salt, whose text is what counts, and the key, both in hexadecimal.
var scryptHash = regexp.MustCompile(`\A([0-9a-f]{32}):([0-9a-f]{128})\z`)

// betterAuthHash is a password's hash in the notation of PHC. better-auth's own is that of no library; other usual ones stay as they are.
func betterAuthHash(hashed string) (string, bool) {
	parts := scryptHash.FindStringSubmatch(hashed)
	if parts == nil {
		return hashed, hash.MatchString(hashed)
	}
	key, err := hex.DecodeString(parts[2])
	if err != nil {
		return "", false
	}
	return fmt.Sprintf("$scrypt$ln=14,r=16,p=1$%s$%s", base64.RawStdEncoding.EncodeToString([]byte(parts[1])), base64.RawStdEncoding.EncodeToString(key)), true
}

// betterAuthSecret puts a stored secret where it belongs. By default the OAuth provider stores the digest that oauthdb does, and the older
// one the secret itself, which its generator makes of 32 letters. What is neither, encrypted say, isn't digested: then whoever has seen
// their table could present it.
func betterAuthSecret(p *store.CreateClientParams, stored *string, options BetterAuthOptions, older bool) (notes []string, err error) {
	if stored == nil {
		return nil, nil
	}
	digest, notDigest := token.ParseDigest(*stored)
	switch {
	case options.PlainSecrets, older && madeOfLetters.MatchString(*stored):
		return nil, secret(p, stored, nil)
	case notDigest == nil:
		p.ClientSecret = &digest
	case hash.MatchString(*stored):
		p.ForeignSecretHash = stored
	case older:
		return []string{"its secret is left out: it is encrypted, or hashed in a way of the server's own; if secrets are in plain there, -plain-secrets takes them"}, nil
	default:
		return []string{"its secret is left out: it is encrypted, or hashed in a way of the server's own"}, nil
	}
	return nil, nil
}

var madeOfLetters = regexp.MustCompile(`\A[A-Za-z]{32}\z`)

// betterAuthMembers are the columns of a client by the members of RFC 7591 that they hold.
var betterAuthMembers = map[string]string{
	"name": "client_name", "uri": "client_uri", "icon": "logo_uri", "contacts": "contacts", "tos": "tos_uri", "policy": "policy_uri", "softwareId": "software_id",
	"softwareVersion": "software_version", "softwareStatement": "software_statement", "redirectUris": "redirect_uris",
	"postLogoutRedirectUris": "post_logout_redirect_uris", "backchannelLogoutUri": "backchannel_logout_uri",
	"backchannelLogoutSessionRequired": "backchannel_logout_session_required", "tokenEndpointAuthMethod": "token_endpoint_auth_method",
	"applicationType": "application_type", "jwksUri": "jwks_uri", "grantTypes": "grant_types", "responseTypes": "response_types",
	"dpopBoundAccessTokens": "dpop_bound_access_tokens", "subjectType": "subject_type",
}

func betterAuthClient(o map[string]json.RawMessage, options BetterAuthOptions) Item {
	m := members{o: o}
	id, stored, discovery, keys := m.text("clientId"), m.text("clientSecret"), m.text("clientDiscoveryId"), m.text("jwks")
	if id == nil {
		return Item{Refused: errors.New("clientId is missing")}
	}
	disabled, skipConsent, endSession := m.boolean("disabled"), m.boolean("skipConsent"), m.boolean("enableEndSession")
	pkce, public := m.boolean("requirePKCE"), m.boolean("public")
	user, tenant := m.text("userId"), m.text("referenceId")
	var scopes, resources []string
	hasScopes := m.take("scopes", &scopes)
	m.take("resources", &resources)
	other := map[string]json.RawMessage{}
	m.take("metadata", &other)
	delete(o, "clientCredentialsScopes") // those of scopes that a client may have by itself
	document := map[string]any{}
	for column, member := range betterAuthMembers {
		var value any
		if m.take(column, &value) {
			document[member] = value
		}
	}
	if keys != nil {
		if !json.Valid([]byte(*keys)) {
			return Item{ID: *id, Refused: errors.New("jwks is not JSON")}
		}
		document["jwks"] = json.RawMessage(*keys)
	}
	switch {
	case m.err != nil:
		return Item{ID: *id, Refused: m.err}
	case discovery != nil:
		return Item{ID: *id, Refused: errors.New("it was found by its metadata document, and will be again")}
	}
	notes := leftOut(o, "id", "createdAt", "updatedAt", "type")
	if public != nil && *public { // of older versions
		document["token_endpoint_auth_method"] = "none"
	}
	grants, _ := document["grant_types"].([]any)
	if len(grants) == 0 {
		grants = []any{"authorization_code"}
	}
	if slices.Contains(grants, any("authorization_code")) && !slices.Contains(grants, any("refresh_token")) && (!hasScopes || slices.Contains(scopes, "offline_access")) {
		grants = append(grants, "refresh_token")
		notes = append(notes, "it is registered for refresh_token, too: better-auth gives such a client refresh tokens all the same")
	}
	document["grant_types"] = grants
	p, err := paramsOf(document)
	if err != nil {
		return Item{ID: *id, Refused: err}
	}
	p.ClientID, p.SkipConsent, p.EnableEndSession, p.Resources = store.ClientID(*id), skipConsent, endSession, resources
	if hasScopes {
		p.Scopes = scopes
	}
	if p.Metadata, err = merge(p.Metadata, other); err != nil {
		return Item{ID: *id, Refused: err}
	}
	if string(p.Metadata) == "{}" {
		p.Metadata = nil
	}
	isPublic := p.Public != nil && *p.Public
	if pkce != nil && !*pkce {
		if isPublic {
			notes = append(notes, "its requests need PKCE from now on")
		} else {
			p.RequirePKCE = pkce
		}
	}
	if p.SubjectType != nil && *p.SubjectType == "pairwise" {
		notes = append(notes, "its users get new pairwise subjects: better-auth's are derived by a key of its own")
	}
	return betterAuthStored(p, stored, user, tenant, disabled, notes, options, false)
}

// betterAuthApplication is a client of the provider that better-auth had before.
func betterAuthApplication(o map[string]json.RawMessage, options BetterAuthOptions) Item {
	m := members{o: o}
	id, stored, name, icon, kind := m.text("clientId"), m.text("clientSecret"), m.text("name"), m.text("icon"), m.text("type")
	if id == nil {
		return Item{Refused: errors.New("clientId is missing")}
	}
	redirects, method, disabled, user := m.text("redirectUrls"), m.text("authenticationScheme"), m.boolean("disabled"), m.text("userId")
	if redirects == nil {
		redirects = m.text("redirectURLs")
	}
	metadata := m.text("metadata")
	other := map[string]json.RawMessage{}
	switch {
	case m.err != nil:
		return Item{ID: *id, Refused: m.err}
	case redirects == nil:
		return Item{ID: *id, Refused: errors.New("it has no redirect URI")}
	case metadata != nil && json.Unmarshal([]byte(*metadata), &other) != nil:
		return Item{ID: *id, Refused: errors.New("metadata is not a JSON object")}
	}
	uris := strings.Split(*redirects, ",")
	for i, uri := range uris {
		uris[i] = strings.TrimSpace(uri)
	}
	document := map[string]any{"redirect_uris": uris, "grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "client_secret_basic"}
	if kind != nil && *kind == "public" || stored == nil {
		document["token_endpoint_auth_method"] = "none"
	} else if method != nil && *method == "client_secret_post" {
		document["token_endpoint_auth_method"] = *method
	}
	if kind != nil && *kind == "native" {
		document["application_type"] = "native"
	}
	if name != nil {
		document["client_name"] = *name
	}
	if icon != nil {
		document["logo_uri"] = *icon
	}
	p, err := paramsOf(document)
	if err != nil {
		return Item{ID: *id, Refused: err}
	}
	p.ClientID = store.ClientID(*id)
	if len(other) > 0 {
		if p.Metadata, err = merge(p.Metadata, other); err != nil {
			return Item{ID: *id, Refused: err}
		}
	}
	return betterAuthStored(p, stored, user, nil, disabled, leftOut(o, "id", "createdAt", "updatedAt"), options, true)
}

func betterAuthStored(p store.CreateClientParams, stored, user, tenant *string, disabled *bool, notes []string, options BetterAuthOptions, older bool) Item {
	if p.Public == nil || !*p.Public {
		more, err := betterAuthSecret(&p, stored, options, older)
		if err != nil {
			return Item{ID: string(p.ClientID), Refused: err}
		}
		notes = append(notes, more...)
	}
	switch {
	case tenant != nil:
		p.ReferenceID = new(store.ReferenceID(*tenant))
		if user != nil {
			notes = append(notes, "it is the tenant's, and no longer its user's as well")
		}
	case user != nil:
		p.UserID = new(store.UserID(*user))
	}
	item := create(p, withoutSecret(p, notes))
	if p.UserID != nil {
		item.Needs = []string{string(UserRecord) + " " + string(*p.UserID)}
	}
	if disabled != nil && *disabled {
		created := item.Store
		item.Store = func(ctx context.Context, q *store.Queries) error {
			if err := created(ctx, q); err != nil {
				return err
			}
			_, err := q.DisableClient(ctx, p.ClientID)
			return err
		}
	}
	return item
}

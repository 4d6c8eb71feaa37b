package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// hash is what a secret looks like that another server has hashed. The schema says so of foreign_secret_hash; here it tells hashes from
// secrets in plain, of which only the digest is taken.
var hash = regexp.MustCompile(`\A([$][A-Za-z0-9_-]+[$]|[{][A-Za-z0-9._-]+[}]|(pbkdf2|argon2|bcrypt|scrypt)[A-Za-z0-9_-]*[$:])`)

// Clients reads registration documents (RFC 7591, section 2) with the members client_id, and of an operator's: client_secret or
// client_secret_hash, skip_consent, enable_end_session, require_pkce, user_id, reference_id.
func Clients(r io.Reader) iter.Seq2[Item, error] { return mapped(objects(r), client) }

// Hydra reads the clients of Ory Hydra as `hydra list oauth2-clients --format json` or its API writes them. These have no secrets: where
// client_secret is what the column of that name of hydra_client has, the hash is taken over. With pkceOptional, confidential clients need not use PKCE, as with Hydra.
func Hydra(r io.Reader, pkceOptional bool) iter.Seq2[Item, error] {
	return mapped(objects(r), func(o map[string]json.RawMessage) Item { return hydra(o, pkceOptional) })
}

func mapped(records iter.Seq2[map[string]json.RawMessage, error], read func(map[string]json.RawMessage) Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for o, err := range records {
			if err != nil {
				yield(Item{}, err)
				return
			}
			if !yield(read(o), nil) {
				return
			}
		}
	}
}

// members takes members out of an object, and remembers the first that is amiss.
type members struct {
	o   map[string]json.RawMessage
	err error
}

// take reads a member into v and removes it. It says whether the member was there, and not null.
func (m *members) take(name string, v any) bool {
	raw, ok := m.o[name]
	delete(m.o, name)
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil && m.err == nil {
		m.err = fmt.Errorf("%s is not of its type", name)
	}
	return true
}

func (m *members) text(name string) *string {
	var v string
	if !m.take(name, &v) || v == "" {
		return nil
	}
	return &v
}

func (m *members) boolean(name string) *bool {
	var v bool
	if !m.take(name, &v) {
		return nil
	}
	return &v
}

// document reads what is left as a registration document.
func (m *members) document() (registration.Metadata, error) {
	if m.err != nil {
		return registration.Metadata{}, m.err
	}
	document, err := json.Marshal(m.o)
	if err != nil {
		return registration.Metadata{}, errors.New("not a JSON object")
	}
	return registration.Parse(document)
}

// secret puts a client's secret, in plain or hashed, where it belongs.
func secret(p *store.CreateClientParams, plain, hashed *string) error {
	switch {
	case hashed != nil:
		if !hash.MatchString(*hashed) {
			return errors.New("client_secret_hash is not a hash")
		}
		p.ForeignSecretHash = hashed
	case plain != nil && hash.MatchString(*plain):
		p.ForeignSecretHash = plain
	case plain != nil && strings.Trim(*plain, "*") == "":
		return errors.New("client_secret is masked")
	case plain != nil:
		raw, err := token.ParseForeign(token.ClientSecret, *plain)
		if err != nil {
			return fmt.Errorf("client_secret: %w", err)
		}
		p.ClientSecret = new(raw.Digest())
	}
	return nil
}

func create(p store.CreateClientParams, notes []string) Item {
	p.ID = store.NewOAuthClientID()
	return Item{ID: string(p.ClientID), Notes: notes, Blind: true, Key: store.ConstraintOAuthClientClientIDUIdx, Store: func(ctx context.Context, q *store.Queries) error {
		_, err := q.CreateClient(ctx, p)
		return err
	}}
}

func client(o map[string]json.RawMessage) Item {
	m := members{o: o}
	id, plain, hashed := m.text("client_id"), m.text("client_secret"), m.text("client_secret_hash")
	skipConsent, endSession, pkce := m.boolean("skip_consent"), m.boolean("enable_end_session"), m.boolean("require_pkce")
	user, tenant := m.text("user_id"), m.text("reference_id")
	if id == nil {
		return Item{Refused: errors.New("client_id is missing")}
	}
	metadata, err := m.document()
	p := metadata.CreateClientParams()
	if err == nil {
		err = secret(&p, plain, hashed)
	}
	if err != nil {
		return Item{ID: *id, Refused: err}
	}
	p.ClientID, p.SkipConsent, p.EnableEndSession, p.RequirePKCE = store.ClientID(*id), skipConsent, endSession, pkce
	if user != nil {
		p.UserID = new(store.UserID(*user))
	}
	if tenant != nil {
		p.ReferenceID = new(store.ReferenceID(*tenant))
	}
	return create(p, withoutSecret(p, nil))
}

// withoutSecret notes that a client can't authenticate yet.
func withoutSecret(p store.CreateClientParams, notes []string) []string {
	method := "client_secret_basic"
	if p.TokenEndpointAuthMethod != nil {
		method = *p.TokenEndpointAuthMethod
	}
	if strings.HasPrefix(method, "client_secret_") && p.ClientSecret == nil && p.ForeignSecretHash == nil {
		notes = append(notes, "it has no secret, so it can't authenticate: give it one with 'oauthdb client rotate-secret'")
	}
	return notes
}

// lifespans are the members of Hydra's that say how long a token lives, by what it is.
var lifespans = struct{ access, refresh, ignored []string }{
	access: []string{
		"authorization_code_grant_access_token_lifespan", "client_credentials_grant_access_token_lifespan", "implicit_grant_access_token_lifespan",
		"jwt_bearer_grant_access_token_lifespan", "refresh_token_grant_access_token_lifespan", "device_authorization_grant_access_token_lifespan",
	},
	refresh: []string{
		"authorization_code_grant_refresh_token_lifespan", "refresh_token_grant_refresh_token_lifespan", "device_authorization_grant_refresh_token_lifespan",
	},
	ignored: []string{
		"authorization_code_grant_id_token_lifespan", "implicit_grant_id_token_lifespan", "refresh_token_grant_id_token_lifespan",
		"device_authorization_grant_id_token_lifespan",
	},
}

func hydra(o map[string]json.RawMessage, pkceOptional bool) Item {
	m := members{o: o}
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }

	id := m.text("client_id")
	if id == nil {
		id = m.text("id") // the column of older versions
	}
	if id == nil {
		return Item{Refused: errors.New("client_id is missing")}
	}
	plain := m.text("client_secret")
	skipConsent := m.boolean("skip_consent")
	var expires int64
	m.take("client_secret_expires_at", &expires) // 0 is never

	// what says nothing to anybody here
	for _, name := range []string{
		"created_at", "updated_at", "registration_access_token", "registration_client_uri", "access_token_strategy", "skip_logout_consent",
		"pk", "nid", "pk_deprecated", "registration_access_token_signature",
	} {
		delete(o, name)
	}
	if origins := []string{}; m.take("allowed_cors_origins", &origins) && len(origins) > 0 {
		note("allowed_cors_origins are for the server to configure")
		o["allowed_cors_origins"], _ = json.Marshal(origins) // kept with the client's other metadata
	}
	var keys struct{ Keys []json.RawMessage }
	if raw, ok := o["jwks"]; ok && json.Unmarshal(raw, &keys) == nil && len(keys.Keys) == 0 {
		delete(o, "jwks") // Hydra writes {} for none
	}
	var audience []string
	m.take("audience", &audience)
	var other map[string]json.RawMessage
	m.take("metadata", &other)
	sector := m.text("sector_identifier_uri")

	access, differ := longest(&m, lifespans.access)
	refresh, alsoDiffer := longest(&m, lifespans.refresh)
	if differ || alsoDiffer {
		note("it has lifetimes by grant type; the longest is the upper bound for all")
	}
	for _, name := range lifespans.ignored {
		if m.text(name) != nil {
			note("%s: how long ID tokens last is for the server to say", name)
		}
	}

	metadata, err := m.document()
	if err != nil {
		return Item{ID: *id, Refused: err}
	}
	if metadata.TokenEndpointAuthMethod == nil {
		metadata.TokenEndpointAuthMethod = new("client_secret_basic") // Hydra's default, and RFC 7591's
	}
	if scopes, changed := offline(metadata.Scopes); changed {
		metadata.Scopes = scopes
		note("the scope offline is called offline_access")
	}
	p := metadata.CreateClientParams()
	p.ClientID, p.SkipConsent, p.AccessTokenLifetime, p.RefreshTokenLifetime = store.ClientID(*id), skipConsent, access, refresh
	if expires > 0 {
		p.ClientSecretExpiresAt = new(time.Unix(expires, 0))
	}
	if *metadata.TokenEndpointAuthMethod != "none" {
		switch {
		case pkceOptional:
			p.RequirePKCE = new(false)
		case slices.Contains(p.GrantTypes, "authorization_code"):
			note("its requests need PKCE from now on; with -pkce-optional they don't")
		}
		if err := secret(&p, plain, nil); err != nil {
			return Item{ID: *id, Refused: err}
		}
	}
	if len(audience) > 0 {
		if slices.ContainsFunc(audience, notAResource) {
			note("audience is no list of resource indicators (RFC 8707), and is kept with the other metadata")
			if other == nil {
				other = map[string]json.RawMessage{}
			}
			other["audience"], _ = json.Marshal(audience)
		} else {
			p.Resources = audience
		}
	}
	if metadata.SubjectType != nil && *metadata.SubjectType == "pairwise" {
		if sector != nil {
			u, err := url.Parse(*sector)
			if err != nil || u.Hostname() == "" {
				return Item{ID: *id, Refused: errors.New("sector_identifier_uri is not a URL")}
			}
			p.SectorIdentifier = new(u.Hostname())
		}
		note("its users get new pairwise subjects: Hydra's are derived from a salt of its own")
	}
	if len(other) > 0 {
		if p.Metadata, err = merge(p.Metadata, other); err != nil {
			return Item{ID: *id, Refused: err}
		}
	}
	return create(p, withoutSecret(p, notes))
}

// longest reads durations, of which nil is none and -1 without end, and says whether they differ.
func longest(m *members, names []string) (most *time.Duration, differ bool) {
	var seen []string
	for _, name := range names {
		text := m.text(name)
		if text == nil {
			continue
		}
		seen = append(seen, *text)
		d, err := time.ParseDuration(*text)
		switch {
		case *text == "-1":
			d = store.Never
		case err != nil || d < time.Second:
			if m.err == nil {
				m.err = fmt.Errorf("%s is not a duration of a second or more", name)
			}
			continue
		}
		if most == nil || d > *most {
			most = &d
		}
	}
	if most != nil && *most == store.Never {
		most = nil // no bound
	}
	slices.Sort(seen)
	return most, len(slices.Compact(seen)) > 1
}

// merge adds members to an object.
func merge(into json.RawMessage, more map[string]json.RawMessage) (json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	if into != nil {
		if err := json.Unmarshal(into, &all); err != nil {
			return nil, errors.New("metadata is not an object")
		}
	}
	for name, value := range more {
		if _, ok := all[name]; !ok {
			all[name] = value
		}
	}
	return json.Marshal(all)
}

package registration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Bounds of a document. What a column of JSON holds is bounded in the same way by the database.
const (
	MaxSize  = 64 << 10 // bytes
	MaxDepth = 32       // objects and arrays within each other
	MaxText  = 4096     // bytes of a member that is a string, but for software_statement
)

// Metadata is what a client states about itself. A nil field was left out.
type Metadata struct {
	RedirectURIs            []string
	PostLogoutRedirectURIs  []string
	TokenEndpointAuthMethod *string
	GrantTypes              []string
	ResponseTypes           []string

	// Scopes is nil if the document names no scope. Then the client may ask for the server's default (RFC 7591, section 2).
	Scopes []string

	Name     *string // client_name
	URI      *string // client_uri
	Icon     *string // logo_uri
	TOS      *string // tos_uri
	Policy   *string // policy_uri
	Contacts []string

	JWKS    json.RawMessage
	JWKSURI *string

	SoftwareID        *string
	SoftwareVersion   *string
	SoftwareStatement *string

	// ApplicationType is native if the document doesn't say and all redirect URIs are those of an app: loopback addresses and private
	// schemes (RFC 8252, section 7).
	ApplicationType *string

	SubjectType   *string
	DefaultMaxAge *time.Duration

	BackchannelLogoutURI             *string
	BackchannelLogoutSessionRequired *bool

	RequirePushedAuthorizationRequests    *bool
	DPoPBoundAccessTokens                 *bool
	TLSClientCertificateBoundAccessTokens *bool
	TLSClientAuthSubjectDN                *string
	TLSClientAuthSANDNS                   *string
	TLSClientAuthSANURI                   *string
	TLSClientAuthSANIP                    *string
	TLSClientAuthSANEmail                 *string

	AuthorizationDetailsTypes []string // RFC 9396, section 10

	// Other is a JSON object of the members that have no field here, such as those with a language tag (RFC 7591, section 2.2). Nil if
	// there are none.
	Other json.RawMessage

	// ClientID and ClientSecret are what the document says in client_id and client_secret, which a client sends along when it updates its
	// registration (RFC 7592, section 2.2), and a metadata document states. They are for the caller to compare; PutClientDocument compares
	// ClientID. Of the secret only the digest is kept.
	ClientID     *string
	ClientSecret *token.Digest
}

// issued are the members that only a server writes (RFC 7591, section 3.2.1; RFC 7592, section 3). A client that sends them back is not
// refused. They are not kept: two of them are credentials.
var issued = []string{"client_id_issued_at", "client_secret_expires_at", "registration_access_token", "registration_client_uri"}

// columns are the members that have a field, with a pointer to it.
func (m *Metadata) columns() map[string]any {
	return map[string]any{
		"application_type":                      &m.ApplicationType,
		"authorization_details_types":           &m.AuthorizationDetailsTypes,
		"backchannel_logout_session_required":   &m.BackchannelLogoutSessionRequired,
		"backchannel_logout_uri":                &m.BackchannelLogoutURI,
		"client_name":                           &m.Name,
		"client_uri":                            &m.URI,
		"contacts":                              &m.Contacts,
		"default_max_age":                       &m.DefaultMaxAge,
		"dpop_bound_access_tokens":              &m.DPoPBoundAccessTokens,
		"grant_types":                           &m.GrantTypes,
		"jwks":                                  &m.JWKS,
		"jwks_uri":                              &m.JWKSURI,
		"logo_uri":                              &m.Icon,
		"policy_uri":                            &m.Policy,
		"post_logout_redirect_uris":             &m.PostLogoutRedirectURIs,
		"redirect_uris":                         &m.RedirectURIs,
		"require_pushed_authorization_requests": &m.RequirePushedAuthorizationRequests,
		"response_types":                        &m.ResponseTypes,
		"software_id":                           &m.SoftwareID,
		"software_statement":                    &m.SoftwareStatement,
		"software_version":                      &m.SoftwareVersion,
		"subject_type":                          &m.SubjectType,
		"tls_client_auth_san_dns":               &m.TLSClientAuthSANDNS,
		"tls_client_auth_san_email":             &m.TLSClientAuthSANEmail,
		"tls_client_auth_san_ip":                &m.TLSClientAuthSANIP,
		"tls_client_auth_san_uri":               &m.TLSClientAuthSANURI,
		"tls_client_auth_subject_dn":            &m.TLSClientAuthSubjectDN,
		"tls_client_certificate_bound_access_tokens": &m.TLSClientCertificateBoundAccessTokens,
		"token_endpoint_auth_method":                 &m.TokenEndpointAuthMethod,
		"tos_uri":                                    &m.TOS,
	}
}

// Parse reads a document. Its errors are of type *Error.
//
// A member that is null, or an empty string, counts as left out (RFC 7592, section 2.2); an empty list doesn't. A member that is unknown
// is kept in Other and never refused (RFC 7591, section 2). A member that is known has to be of its type, and none may come twice.
func Parse(document []byte) (Metadata, error) {
	members, err := read(document)
	if err != nil {
		return Metadata{}, err
	}
	var m Metadata
	into := m.columns()
	other := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := members[name]
		field, known := into[name]
		switch {
		case value == nil || slices.Contains(issued, name):
		case name == "scope":
			m.Scopes, err = scopes(value)
		case name == "client_id":
			err = assign(&m.ClientID, name, value)
		case name == "client_secret":
			var secret *string
			if err = assign(&secret, name, value); secret != nil {
				m.ClientSecret = new(token.DigestOf(*secret))
			}
		case known:
			err = assign(field, name, value)
		default:
			other[name] = value
		}
		if err != nil {
			return Metadata{}, err
		}
	}
	if m.ApplicationType == nil && isNative(m.RedirectURIs) {
		m.ApplicationType = new("native")
	}
	if len(other) > 0 {
		if m.Other, err = object("", other); err != nil {
			return Metadata{}, err
		}
	}
	return m, nil
}

// read returns the members of a document, once it has the form of one: a JSON object of a bounded size and depth whose members come once
// each, and nothing that the database can't hold.
func read(document []byte) (map[string]any, error) {
	switch {
	case len(document) > MaxSize:
		return nil, refuse("", fmt.Sprintf("is larger than %d bytes", MaxSize))
	case !utf8.Valid(document):
		return nil, refuse("", "is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if first, err := d.Token(); err != nil {
		return nil, refuse("", "is not JSON")
	} else if first != json.Delim('{') {
		return nil, refuse("", "is not a JSON object")
	}
	members := map[string]any{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, refuse("", "is not JSON")
		}
		name, _ := key.(string)
		if strings.ContainsRune(name, 0) {
			return nil, refuse("", "has a member with a NUL in its name")
		}
		if _, twice := members[name]; twice {
			return nil, refuse(name, "comes twice")
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, refuse(name, "is not JSON")
		}
		if err := storable(name, value, 2); err != nil {
			return nil, err
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, refuse("", "is not JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, refuse("", "has something behind it")
	}
	return members, nil
}

// storable refuses what PostgreSQL's jsonb can't hold, or what the columns don't.
func storable(member string, value any, depth int) error {
	if depth > MaxDepth {
		switch value.(type) {
		case map[string]any, []any:
			return refuse(member, fmt.Sprintf("is deeper than %d levels", MaxDepth))
		}
	}
	switch value := value.(type) {
	case string:
		if strings.ContainsRune(value, 0) {
			return refuse(member, "has a NUL in it")
		}
	case json.Number:
		// a number of a few characters may have more digits than there is room for
		f, err := value.Float64()
		_, exponent, _ := strings.Cut(strings.ToLower(value.String()), "e")
		e, _ := strconv.Atoi(exponent)
		if err != nil || math.IsInf(f, 0) || e < -400 || len(value) > 400 {
			return refuse(member, "has a number out of range in it")
		}
	case map[string]any:
		for key, v := range value {
			if strings.ContainsRune(key, 0) {
				return refuse(member, "has a NUL in it")
			}
			if err := storable(member, v, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, v := range value {
			if err := storable(member, v, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// assign puts the value of a member into its field.
func assign(field any, member string, value any) error {
	switch field := field.(type) {
	case **string:
		text, ok := value.(string)
		switch {
		case !ok:
			return refuse(member, "is not a string")
		case len(text) > MaxText && member != "software_statement":
			return refuse(member, fmt.Sprintf("is longer than %d bytes", MaxText))
		case text != "":
			*field = &text
		}
	case **bool:
		truth, ok := value.(bool)
		if !ok {
			return refuse(member, "is not true or false")
		}
		*field = &truth
	case **time.Duration:
		number, ok := value.(json.Number)
		seconds, err := strconv.ParseInt(number.String(), 10, 32)
		if !ok || err != nil || seconds < 0 {
			return refuse(member, "is not a number of seconds")
		}
		*field = new(time.Duration(seconds) * time.Second)
	case *[]string:
		list, ok := value.([]any)
		texts := make([]string, 0, len(list))
		for _, v := range list {
			text, isText := v.(string)
			if !isText {
				ok = false
				break
			}
			if len(text) > MaxText {
				return refuse(member, fmt.Sprintf("has a string of more than %d bytes in it", MaxText))
			}
			texts = append(texts, text)
		}
		if !ok {
			return refuse(member, "is not a list of strings")
		}
		*field = texts
	case *json.RawMessage:
		members, ok := value.(map[string]any)
		if !ok {
			return refuse(member, "is not an object")
		}
		var err error
		*field, err = object(member, members)
		return err
	default:
		panic(fmt.Sprintf("registration: no such field: %T", field))
	}
	return nil
}

// scopes are those that a scope member lists (RFC 6749, section 3.3).
func scopes(value any) ([]string, error) {
	text, ok := value.(string)
	if !ok {
		return nil, refuse("scope", "is not a string")
	}
	var list []string
	for _, s := range strings.Fields(text) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list, nil
}

// object writes an object, if the database has room for it.
func object(member string, members map[string]any) (json.RawMessage, error) {
	if room(members) > MaxSize {
		return nil, refuse(member, "is too large")
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, refuse(member, "is not JSON")
	}
	return text, nil
}

// room is how many bytes jsonb takes at most for a value.
func room(value any) int {
	const header = 8 // of an entry or container, with what aligns it
	switch value := value.(type) {
	case string:
		return header + len(value)
	case json.Number:
		return 2*header + len(value)
	case map[string]any:
		sum := header
		for key, v := range value {
			sum += header + len(key) + room(v)
		}
		return sum
	case []any:
		sum := header
		for _, v := range value {
			sum += room(v)
		}
		return sum
	}
	return header
}

// isNative says whether all redirect URIs are those of an app on a device: a private scheme, or http at a loopback address (RFC 8252,
// sections 7.1 and 7.3).
func isNative(redirectURIs []string) bool {
	for _, text := range redirectURIs {
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" || u.Scheme == "https" ||
			u.Scheme == "http" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()) {
			return false
		}
	}
	return len(redirectURIs) > 0
}

// seconds is a lifetime as a document has it.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Render returns a client's registration as a document, which the caller completes and marshals: client_secret, registration_access_token
// and registration_client_uri, which the database doesn't have (RFC 7591, section 3.2.1; RFC 7592, section 3). grant_types, response_types
// and token_endpoint_auth_method are there even if they were left out, with their defaults. client_secret_expires_at is there if the
// client has a secret. Members of c.Metadata are included, unless they have the name of another member.
func Render(c store.OAuthClient) (map[string]any, error) {
	document := map[string]any{}
	if c.Metadata != nil {
		d := json.NewDecoder(bytes.NewReader(c.Metadata))
		d.UseNumber()
		if err := d.Decode(&document); err != nil {
			return nil, fmt.Errorf("registration: reading the metadata of client %s: %w", c.ClientID, err)
		}
	}
	var none Metadata
	for _, name := range append(issued, "scope", "client_secret") {
		delete(document, name)
	}
	for name := range none.columns() {
		delete(document, name)
	}
	m := Metadata{
		RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs, TokenEndpointAuthMethod: c.TokenEndpointAuthMethod,
		GrantTypes: c.GrantTypes, ResponseTypes: c.ResponseTypes, Name: c.Name, URI: c.URI, Icon: c.Icon, TOS: c.TOS, Policy: c.Policy,
		Contacts: c.Contacts, JWKS: c.JWKS, JWKSURI: c.JWKSURI, SoftwareID: c.SoftwareID, SoftwareVersion: c.SoftwareVersion,
		SoftwareStatement: c.SoftwareStatement, ApplicationType: c.ApplicationType, SubjectType: c.SubjectType, DefaultMaxAge: c.DefaultMaxAge,
		BackchannelLogoutURI: c.BackchannelLogoutURI, BackchannelLogoutSessionRequired: c.BackchannelLogoutSessionRequired,
		RequirePushedAuthorizationRequests: c.RequirePushedAuthorizationRequests, DPoPBoundAccessTokens: c.DPoPBoundAccessTokens,
		TLSClientCertificateBoundAccessTokens: c.TLSClientCertificateBoundAccessTokens, TLSClientAuthSubjectDN: c.TLSClientAuthSubjectDN,
		TLSClientAuthSANDNS: c.TLSClientAuthSANDNS, TLSClientAuthSANURI: c.TLSClientAuthSANURI, TLSClientAuthSANIP: c.TLSClientAuthSANIP,
		TLSClientAuthSANEmail: c.TLSClientAuthSANEmail, AuthorizationDetailsTypes: c.AuthorizationDetailsTypes,
	}
	hasSecret := c.ClientSecret != nil || c.ForeignSecretHash != nil
	if m.GrantTypes == nil {
		m.GrantTypes = []string{"authorization_code"}
	}
	if m.ResponseTypes == nil {
		m.ResponseTypes = []string{"code"}
	}
	if m.TokenEndpointAuthMethod == nil {
		switch {
		case hasSecret:
			m.TokenEndpointAuthMethod = new("client_secret_basic")
		case c.JWKS != nil || c.JWKSURI != nil:
			m.TokenEndpointAuthMethod = new("private_key_jwt")
		default:
			m.TokenEndpointAuthMethod = new("none")
		}
	}
	for name, field := range m.columns() {
		switch field := field.(type) {
		case **string:
			if *field != nil {
				document[name] = **field
			}
		case **bool:
			if *field != nil {
				document[name] = **field
			}
		case **time.Duration:
			if *field != nil {
				document[name] = seconds(**field)
			}
		case *[]string:
			if *field != nil {
				document[name] = *field
			}
		case *json.RawMessage:
			if *field != nil {
				document[name] = *field
			}
		}
	}
	if c.Scopes != nil {
		document["scope"] = strings.Join(c.Scopes, " ")
	}
	document["client_id"] = string(c.ClientID)
	document["client_id_issued_at"] = c.CreatedAt.Unix()
	if hasSecret {
		document["client_secret_expires_at"] = int64(0) // never
		if c.ClientSecretExpiresAt != nil {
			document["client_secret_expires_at"] = c.ClientSecretExpiresAt.Unix()
		}
	}
	return document, nil
}

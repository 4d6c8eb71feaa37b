package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/store"
)

// clientOf reads a registration document (RFC 7591, section 2; OpenID Connect Dynamic Client Registration 1.0, section 2)
// into the columns that hold its members. Members that have no column, human-readable ones with a language tag (RFC 7591,
// section 2.2) among them, go to metadata as they are. A member that is null is taken as left out; what is left out stays
// NULL, since its default is for the server to know. The identifiers and the secret are the caller's to fill in.
func clientOf(document []byte) (store.CreateClientParams, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return store.CreateClientParams{}, fmt.Errorf("reading a registration document: %w", err)
	}
	if members == nil {
		return store.CreateClientParams{}, errors.New("reading a registration document: null is not an object")
	}
	var p store.CreateClientParams
	var scope *string
	columns := map[string]any{
		"application_type":                    &p.ApplicationType,
		"backchannel_logout_session_required": &p.BackchannelLogoutSessionRequired,
		"backchannel_logout_uri":              &p.BackchannelLogoutURI,
		"client_name":                         &p.Name,
		"client_uri":                          &p.URI,
		"contacts":                            &p.Contacts,
		"grant_types":                         &p.GrantTypes,
		"jwks":                                &p.JWKS,
		"jwks_uri":                            &p.JWKSURI,
		"logo_uri":                            &p.Icon,
		"policy_uri":                          &p.Policy,
		"post_logout_redirect_uris":           &p.PostLogoutRedirectURIs,
		"redirect_uris":                       &p.RedirectURIs,
		"response_types":                      &p.ResponseTypes,
		"scope":                               &scope,
		"software_id":                         &p.SoftwareID,
		"software_statement":                  &p.SoftwareStatement,
		"software_version":                    &p.SoftwareVersion,
		"subject_type":                        &p.SubjectType,
		"token_endpoint_auth_method":          &p.TokenEndpointAuthMethod,
		"tos_uri":                             &p.TOS,
	}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		value, ok := members[name]
		delete(members, name)
		if !ok || string(value) == "null" {
			continue
		}
		if err := json.Unmarshal(value, columns[name]); err != nil {
			return store.CreateClientParams{}, fmt.Errorf("reading a registration document: %s: %w", name, err)
		}
	}
	if scope != nil {
		p.Scopes = strings.Fields(*scope)
	}
	if p.TokenEndpointAuthMethod != nil {
		public := *p.TokenEndpointAuthMethod == "none"
		p.Public = &public
	}
	if p.RedirectURIs == nil {
		p.RedirectURIs = []string{}
	}
	if len(members) > 0 {
		metadata, err := json.Marshal(members)
		if err != nil {
			return store.CreateClientParams{}, fmt.Errorf("reading a registration document: %w", err)
		}
		p.Metadata = metadata
	}
	return p, nil
}

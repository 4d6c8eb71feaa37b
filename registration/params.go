package registration

import (
	"github.com/oauthdb/oauthdb/store"
)

// CreateClientParams returns the params of an operator's call. The identifiers and the secret are the caller's to fill in. Public follows
// from the method, if the document names one.
func (m Metadata) CreateClientParams() store.CreateClientParams {
	p := store.CreateClientParams{
		RedirectURIs: m.RedirectURIs, PostLogoutRedirectURIs: m.PostLogoutRedirectURIs,
		TokenEndpointAuthMethod: m.TokenEndpointAuthMethod, GrantTypes: m.GrantTypes, ResponseTypes: m.ResponseTypes, Scopes: m.Scopes,
		Name: m.Name, URI: m.URI, Icon: m.Icon, TOS: m.TOS, Policy: m.Policy, Contacts: m.Contacts, JWKS: m.JWKS, JWKSURI: m.JWKSURI,
		SoftwareID: m.SoftwareID, SoftwareVersion: m.SoftwareVersion, SoftwareStatement: m.SoftwareStatement,
		ApplicationType: m.ApplicationType, SubjectType: m.SubjectType, DefaultMaxAge: m.DefaultMaxAge,
		BackchannelLogoutURI: m.BackchannelLogoutURI, BackchannelLogoutSessionRequired: m.BackchannelLogoutSessionRequired,
		RequirePushedAuthorizationRequests: m.RequirePushedAuthorizationRequests, DPoPBoundAccessTokens: m.DPoPBoundAccessTokens,
		TLSClientCertificateBoundAccessTokens: m.TLSClientCertificateBoundAccessTokens, TLSClientAuthSubjectDN: m.TLSClientAuthSubjectDN,
		TLSClientAuthSANDNS: m.TLSClientAuthSANDNS, TLSClientAuthSANURI: m.TLSClientAuthSANURI, TLSClientAuthSANIP: m.TLSClientAuthSANIP,
		TLSClientAuthSANEmail: m.TLSClientAuthSANEmail, AuthorizationDetailsTypes: m.AuthorizationDetailsTypes, Metadata: m.Other,
	}
	if p.RedirectURIs == nil {
		p.RedirectURIs = []string{} // the column is NOT NULL
	}
	if m.TokenEndpointAuthMethod != nil {
		p.Public = new(*m.TokenEndpointAuthMethod == "none")
	}
	return p
}

// RegisterClientParams returns the params of a client's own registration. The identifiers, tokens and the secret are the caller's to fill
// in.
func (m Metadata) RegisterClientParams() store.RegisterClientParams {
	return store.RegisterClientParams{
		RedirectURIs: m.RedirectURIs, PostLogoutRedirectURIs: m.PostLogoutRedirectURIs,
		TokenEndpointAuthMethod: m.TokenEndpointAuthMethod, GrantTypes: m.GrantTypes, ResponseTypes: m.ResponseTypes, Scopes: m.Scopes,
		Name: m.Name, URI: m.URI, Icon: m.Icon, TOS: m.TOS, Policy: m.Policy, Contacts: m.Contacts, JWKS: m.JWKS, JWKSURI: m.JWKSURI,
		SoftwareID: m.SoftwareID, SoftwareVersion: m.SoftwareVersion, SoftwareStatement: m.SoftwareStatement,
		ApplicationType: m.ApplicationType, SubjectType: m.SubjectType, DefaultMaxAge: m.DefaultMaxAge,
		BackchannelLogoutURI: m.BackchannelLogoutURI, BackchannelLogoutSessionRequired: m.BackchannelLogoutSessionRequired,
		RequirePushedAuthorizationRequests: m.RequirePushedAuthorizationRequests, DPoPBoundAccessTokens: m.DPoPBoundAccessTokens,
		TLSClientCertificateBoundAccessTokens: m.TLSClientCertificateBoundAccessTokens, TLSClientAuthSubjectDN: m.TLSClientAuthSubjectDN,
		TLSClientAuthSANDNS: m.TLSClientAuthSANDNS, TLSClientAuthSANURI: m.TLSClientAuthSANURI, TLSClientAuthSANIP: m.TLSClientAuthSANIP,
		TLSClientAuthSANEmail: m.TLSClientAuthSANEmail, AuthorizationDetailsTypes: m.AuthorizationDetailsTypes, Metadata: m.Other,
	}
}

// UpdateRegistrationParams returns the params that replace a registration. The identifier, tokens and the secret are the caller's to fill
// in.
func (m Metadata) UpdateRegistrationParams() store.UpdateRegistrationParams {
	return store.UpdateRegistrationParams{
		RedirectURIs: m.RedirectURIs, PostLogoutRedirectURIs: m.PostLogoutRedirectURIs,
		TokenEndpointAuthMethod: m.TokenEndpointAuthMethod, GrantTypes: m.GrantTypes, ResponseTypes: m.ResponseTypes, Scopes: m.Scopes,
		Name: m.Name, URI: m.URI, Icon: m.Icon, TOS: m.TOS, Policy: m.Policy, Contacts: m.Contacts, JWKS: m.JWKS, JWKSURI: m.JWKSURI,
		SoftwareID: m.SoftwareID, SoftwareVersion: m.SoftwareVersion, SoftwareStatement: m.SoftwareStatement,
		ApplicationType: m.ApplicationType, SubjectType: m.SubjectType, DefaultMaxAge: m.DefaultMaxAge,
		BackchannelLogoutURI: m.BackchannelLogoutURI, BackchannelLogoutSessionRequired: m.BackchannelLogoutSessionRequired,
		RequirePushedAuthorizationRequests: m.RequirePushedAuthorizationRequests, DPoPBoundAccessTokens: m.DPoPBoundAccessTokens,
		TLSClientCertificateBoundAccessTokens: m.TLSClientCertificateBoundAccessTokens, TLSClientAuthSubjectDN: m.TLSClientAuthSubjectDN,
		TLSClientAuthSANDNS: m.TLSClientAuthSANDNS, TLSClientAuthSANURI: m.TLSClientAuthSANURI, TLSClientAuthSANIP: m.TLSClientAuthSANIP,
		TLSClientAuthSANEmail: m.TLSClientAuthSANEmail, AuthorizationDetailsTypes: m.AuthorizationDetailsTypes, Metadata: m.Other,
	}
}

// PutClientDocumentParams returns the params that store a metadata document. Identifiers and what is known of the fetch are the caller's
// to fill in. The client_id is the URL that was fetched; the call refuses a document that says another one.
func (m Metadata) PutClientDocumentParams() store.PutClientDocumentParams {
	return store.PutClientDocumentParams{
		DocumentClientID: m.ClientID, RedirectURIs: m.RedirectURIs, PostLogoutRedirectURIs: m.PostLogoutRedirectURIs,
		TokenEndpointAuthMethod: m.TokenEndpointAuthMethod, GrantTypes: m.GrantTypes, ResponseTypes: m.ResponseTypes, Scopes: m.Scopes,
		Name: m.Name, URI: m.URI, Icon: m.Icon, TOS: m.TOS, Policy: m.Policy, Contacts: m.Contacts, JWKS: m.JWKS, JWKSURI: m.JWKSURI,
		SoftwareID: m.SoftwareID, SoftwareVersion: m.SoftwareVersion, SoftwareStatement: m.SoftwareStatement,
		ApplicationType: m.ApplicationType, SubjectType: m.SubjectType, DefaultMaxAge: m.DefaultMaxAge,
		BackchannelLogoutURI: m.BackchannelLogoutURI, BackchannelLogoutSessionRequired: m.BackchannelLogoutSessionRequired,
		RequirePushedAuthorizationRequests: m.RequirePushedAuthorizationRequests, DPoPBoundAccessTokens: m.DPoPBoundAccessTokens,
		TLSClientCertificateBoundAccessTokens: m.TLSClientCertificateBoundAccessTokens, TLSClientAuthSubjectDN: m.TLSClientAuthSubjectDN,
		TLSClientAuthSANDNS: m.TLSClientAuthSANDNS, TLSClientAuthSANURI: m.TLSClientAuthSANURI, TLSClientAuthSANIP: m.TLSClientAuthSANIP,
		TLSClientAuthSANEmail: m.TLSClientAuthSANEmail, AuthorizationDetailsTypes: m.AuthorizationDetailsTypes, Metadata: m.Other,
	}
}

// Client returns what the document states as the row that its registration makes, for [Render]. The identifiers, the secret and the times
// are the caller's to fill in. A document without a method states client_secret_basic (RFC 7591, section 2).
func (m Metadata) Client() store.OAuthClient {
	c := store.OAuthClient{
		RedirectURIs: m.RedirectURIs, PostLogoutRedirectURIs: m.PostLogoutRedirectURIs,
		TokenEndpointAuthMethod: m.TokenEndpointAuthMethod, GrantTypes: m.GrantTypes, ResponseTypes: m.ResponseTypes, Scopes: m.Scopes,
		Name: m.Name, URI: m.URI, Icon: m.Icon, TOS: m.TOS, Policy: m.Policy, Contacts: m.Contacts, JWKS: m.JWKS, JWKSURI: m.JWKSURI,
		SoftwareID: m.SoftwareID, SoftwareVersion: m.SoftwareVersion, SoftwareStatement: m.SoftwareStatement,
		ApplicationType: m.ApplicationType, SubjectType: m.SubjectType, DefaultMaxAge: m.DefaultMaxAge,
		BackchannelLogoutURI: m.BackchannelLogoutURI, BackchannelLogoutSessionRequired: m.BackchannelLogoutSessionRequired,
		RequirePushedAuthorizationRequests: m.RequirePushedAuthorizationRequests, DPoPBoundAccessTokens: m.DPoPBoundAccessTokens,
		TLSClientCertificateBoundAccessTokens: m.TLSClientCertificateBoundAccessTokens, TLSClientAuthSubjectDN: m.TLSClientAuthSubjectDN,
		TLSClientAuthSANDNS: m.TLSClientAuthSANDNS, TLSClientAuthSANURI: m.TLSClientAuthSANURI, TLSClientAuthSANIP: m.TLSClientAuthSANIP,
		TLSClientAuthSANEmail: m.TLSClientAuthSANEmail, AuthorizationDetailsTypes: m.AuthorizationDetailsTypes, Metadata: m.Other,
	}
	if c.TokenEndpointAuthMethod == nil {
		c.TokenEndpointAuthMethod = new("client_secret_basic")
	}
	return c
}

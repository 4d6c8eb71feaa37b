package zitadel

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// RegistrationPath is where clients register (RFC 7591, section 3), below the issuer. A registration is managed below it, at the client's id
// (RFC 7592, section 2).
const RegistrationPath = "/register"

// managedClient is the client that a path below RegistrationPath names.
func managedClient(path string) (store.ClientID, bool) {
	name, found := strings.CutPrefix(path, RegistrationPath+"/")
	id, err := url.PathUnescape(name)
	return store.ClientID(id), found && err == nil && id != "" && !strings.Contains(name, "/")
}

// registers says whether a path belongs to registration.
func (p *Provider) registers(path string) bool {
	_, manages := managedClient(path)
	return p.storage.opts.Registration != nil && (path == RegistrationPath || manages)
}

// register serves the registration endpoints.
func (p *Provider) register(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	id, manages := managedClient(routePath(r))
	var document map[string]any
	var err error
	status := http.StatusOK
	switch {
	case !manages && r.Method == http.MethodPost:
		status = http.StatusCreated
		document, err = p.registered(r)
	case manages && r.Method == http.MethodGet:
		document, err = p.registration(r, id)
	case manages && r.Method == http.MethodPut:
		document, err = p.updated(r, id)
	case manages && r.Method == http.MethodDelete:
		status = http.StatusNoContent
		err = p.deleted(r, id)
	default:
		w.Header().Set("Allow", map[bool]string{false: "POST", true: "GET, PUT, DELETE"}[manages])
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var refused *oautherror.Error
	var unfit *registration.Error
	switch {
	case exchangeFrom(r.Context()).fault: // which is answered as one
	case errors.As(err, &unfit):
		httphelper.MarshalJSONWithStatus(w, map[string]string{"error": unfit.Code, "error_description": unfit.Error()}, http.StatusBadRequest)
	case errors.As(err, &refused):
		if refused.Status == http.StatusUnauthorized {
			challenge := "Bearer"
			if _, presented := bearer(r); presented {
				challenge += ` error="` + refused.Code + `"` // RFC 6750, section 3.1
			}
			w.Header().Set("WWW-Authenticate", challenge)
		}
		if refused.Code == "" {
			w.WriteHeader(refused.Status)
			return
		}
		httphelper.MarshalJSONWithStatus(w, refused, refused.Status)
	case err != nil:
		op.RequestError(w, r, err, nil)
	case document == nil:
		w.WriteHeader(status)
	default:
		httphelper.MarshalJSONWithStatus(w, document, status)
	}
}

// bearer is the token that gives access to a registration, or to registering.
func bearer(r *http.Request) (token.Digest, bool) {
	scheme, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	presented = strings.TrimSpace(presented)
	return token.DigestOf(presented), strings.EqualFold(scheme, "Bearer") && presented != ""
}

// refusedRegistration is the answer to an outcome, or nil.
func refusedRegistration(call oautherror.Call, outcome store.Outcome) error {
	if e := oautherror.For(oautherror.Registration, call, outcome); e != nil {
		return e
	}
	return nil
}

// registered registers a client (RFC 7591, section 3.1): [store.Queries.RegisterClient].
func (p *Provider) registered(r *http.Request) (map[string]any, error) {
	s := p.storage
	m, sector, err := p.stated(r)
	if err != nil {
		return nil, err
	}
	secret, manager := token.Mint(token.ClientSecret), token.Mint(token.RegistrationAccessToken)
	params := m.RegisterClientParams()
	params.ID, params.ClientID = store.NewOAuthClientID(), store.NewClientID()
	params.RegistrationAccessToken, params.SectorIdentifier = new(manager.Digest()), sector
	params.Open = s.opts.Registration.Open
	if digest, presented := bearer(r); presented {
		params.InitialAccessToken = &digest
	}
	c := m.Client()
	if usesSecret(c) {
		params.ClientSecret, params.ClientSecretLifetime = new(secret.Digest()), s.opts.Registration.SecretLifetime
		c.ClientSecret = params.ClientSecret
	}
	row, err := s.store.RegisterClient(r.Context(), params)
	if err != nil {
		return nil, s.fault(r.Context(), err)
	}
	if err := refusedRegistration(oautherror.RegisterClient, row.Outcome); err != nil {
		return nil, err
	}
	c.ClientID, c.CreatedAt, c.ClientSecretExpiresAt = params.ClientID, deref(row.ClientIDIssuedAt), row.ClientSecretExpiresAt
	return p.document(r, c, secret, manager.Reveal())
}

// registration returns what a client has registered (RFC 7592, section 2.1): [store.Queries.FindClientByRegistrationToken].
func (p *Provider) registration(r *http.Request, id store.ClientID) (map[string]any, error) {
	manager, _ := bearer(r)
	c, err := p.storage.store.FindClientByRegistrationToken(r.Context(), store.FindClientByRegistrationTokenParams{ClientID: id, RegistrationAccessToken: manager})
	switch {
	case db.IsNotFound(err):
		return nil, refusedRegistration(oautherror.UpdateRegistration, store.OutcomeUnauthenticated)
	case err != nil:
		return nil, p.storage.fault(r.Context(), err)
	}
	return p.document(r, c, token.Raw{}, presentedToken(r))
}

// updated replaces a registration (RFC 7592, section 2.2): [store.Queries.UpdateRegistration]. A client keeps its secret; one that needs one
// and has none gets one.
func (p *Provider) updated(r *http.Request, id store.ClientID) (map[string]any, error) {
	s := p.storage
	m, sector, err := p.stated(r)
	if err != nil {
		return nil, err
	}
	if m.ClientID == nil || *m.ClientID != string(id) {
		return nil, &registration.Error{Code: registration.InvalidClientMetadata, Member: "client_id", Problem: "is not that of the registration"}
	}
	if m.ClientSecret != nil { // which the client can't choose
		outcome, err := s.store.AuthenticateClient(r.Context(), store.AuthenticateClientParams{
			ClientID: id, ClientAuthMethod: methodBasic, ClientSecret: *m.ClientSecret,
		})
		switch {
		case err != nil:
			return nil, s.fault(r.Context(), err)
		case outcome == store.OutcomeUnauthenticated:
			return nil, &registration.Error{Code: registration.InvalidClientMetadata, Member: "client_secret", Problem: "is not the client's"}
		}
	}
	params := m.UpdateRegistrationParams()
	params.ClientID, params.SectorIdentifier = id, sector
	params.RegistrationAccessToken, _ = bearer(r)
	c := m.Client()
	var secret token.Raw
	row, err := s.store.UpdateRegistration(r.Context(), params)
	if err == nil && row.Outcome == store.OutcomeInvalidClientMetadata && usesSecret(c) && m.ClientSecret == nil {
		// Perhaps for lack of a secret. A client that has one keeps it: this call gives it to one that has none.
		secret = token.Mint(token.ClientSecret)
		params.ClientSecret, params.ClientSecretLifetime = new(secret.Digest()), s.opts.Registration.SecretLifetime
		row, err = s.store.UpdateRegistration(r.Context(), params)
	}
	if err != nil {
		return nil, s.fault(r.Context(), err)
	}
	if err := refusedRegistration(oautherror.UpdateRegistration, row.Outcome); err != nil {
		return nil, err
	}
	c.ClientID, c.CreatedAt, c.ClientSecretExpiresAt = id, deref(row.ClientIDIssuedAt), row.ClientSecretExpiresAt
	if deref(row.HasSecret) {
		c.ClientSecret = new(token.Digest) // as far as the document is concerned
	}
	return p.document(r, c, secret, presentedToken(r))
}

// deleted deletes a client (RFC 7592, section 2.3): [store.Queries.DeleteRegistration].
func (p *Provider) deleted(r *http.Request, id store.ClientID) error {
	manager, _ := bearer(r)
	outcome, err := p.storage.store.DeleteRegistration(r.Context(), store.DeleteRegistrationParams{ClientID: id, RegistrationAccessToken: manager})
	if err != nil {
		return p.storage.fault(r.Context(), err)
	}
	return refusedRegistration(oautherror.DeleteRegistration, outcome)
}

func presentedToken(r *http.Request) string {
	_, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(presented)
}

// usesSecret says whether a client authenticates by a secret.
func usesSecret(c store.OAuthClient) bool {
	return slices.Contains([]string{methodBasic, methodPost}, deref(c.TokenEndpointAuthMethod))
}

// document is a registration as its client is told (RFC 7591, section 3.2.1; RFC 7592, section 3).
func (p *Provider) document(r *http.Request, c store.OAuthClient, secret token.Raw, manager string) (map[string]any, error) {
	document, err := registration.Render(c)
	if err != nil {
		return nil, p.storage.fault(r.Context(), err)
	}
	if c.ClientSecret != nil && !secret.IsZero() {
		document["client_secret"] = secret.Reveal()
	}
	document["registration_access_token"] = manager
	document["registration_client_uri"] = op.IssuerFromContext(r.Context()) + RegistrationPath + "/" + url.PathEscape(string(c.ClientID))
	return document, nil
}

// stated reads a document, leaves out what a client may not be that registers itself, and verifies its sector identifier.
func (p *Provider) stated(r *http.Request) (registration.Metadata, *string, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, registration.MaxSize+1))
	if err != nil {
		return registration.Metadata{}, nil, oidc.ErrInvalidRequest().WithDescription("the body can't be read")
	}
	m, err := registration.Parse(body)
	if err != nil {
		return m, nil, err
	}
	if err := p.admit(r.Context(), &m); err != nil {
		return m, nil, err
	}
	sector, err := p.storage.sector(r.Context(), m)
	return m, sector, err
}

// admit leaves out of a document what its client may not be, and refuses one of which nothing would be left.
func (p *Provider) admit(ctx context.Context, m *registration.Metadata) error {
	refuse := func(member, problem string) error {
		return &registration.Error{Code: registration.InvalidClientMetadata, Member: member, Problem: problem}
	}
	opts := &p.storage.opts
	scopes, grantTypes := opts.SelfRegistered.Scopes, opts.SelfRegistered.GrantTypes
	if scopes == nil {
		scopes = opts.defaultScopes()
	}
	if grantTypes == nil {
		grantTypes = []string{string(oidc.GrantTypeCode), string(oidc.GrantTypeRefreshToken)}
		if opts.DeviceURL != "" {
			grantTypes = append(grantTypes, string(oidc.GrantTypeDeviceCode))
		}
	}
	for _, list := range []struct {
		member string
		stated *[]string
		served []string
	}{
		{"scope", &m.Scopes, scopes},
		{"grant_types", &m.GrantTypes, grantTypes},
		{"response_types", &m.ResponseTypes, []string{string(oidc.ResponseTypeCode)}},
	} {
		if len(*list.stated) == 0 {
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(*list.stated), func(v string) bool { return !slices.Contains(list.served, v) })
		if len(kept) == 0 {
			return refuse(list.member, "names nothing that is served")
		}
		*list.stated = kept
	}
	if m.Scopes == nil && opts.SelfRegistered.Scopes != nil {
		m.Scopes = scopes
	}
	switch deref(m.TokenEndpointAuthMethod) {
	case "", string(oidc.AuthMethodBasic), string(oidc.AuthMethodNone):
	case string(oidc.AuthMethodPost):
		if !p.AuthMethodPostSupported() {
			return refuse("token_endpoint_auth_method", "is not served")
		}
	case string(oidc.AuthMethodPrivateKeyJWT):
		if !p.AuthMethodPrivateKeyJWTSupported() {
			return refuse("token_endpoint_auth_method", "is not served")
		}
	case methodTLS, methodSelfSignedTLS:
		if opts.ClientCertificate == nil {
			return refuse("token_endpoint_auth_method", "is not served")
		}
	default:
		return refuse("token_endpoint_auth_method", "is not served")
	}
	var other struct {
		Algorithm *string `json:"id_token_signed_response_alg"`
	}
	if m.Other != nil && json.Unmarshal(m.Other, &other) != nil || !slices.Contains([]string{"", "ES256", "RS256"}, deref(other.Algorithm)) {
		return refuse("id_token_signed_response_alg", "is not served")
	}
	if review := opts.SelfRegistered.Review; review != nil {
		if err := review(ctx, m); err != nil {
			var refused *registration.Error
			if errors.As(err, &refused) {
				return refused
			}
			return p.storage.fault(ctx, err)
		}
	}
	return nil
}

// sector is the host of a sector_identifier_uri, once it is known to list the redirect URIs (OpenID Connect Core 1.0, section 8.1).
func (s *Storage) sector(ctx context.Context, m registration.Metadata) (*string, error) {
	var other struct {
		URI string `json:"sector_identifier_uri"`
	}
	if m.Other != nil {
		if err := json.Unmarshal(m.Other, &other); err != nil {
			return nil, &registration.Error{Code: registration.InvalidClientMetadata, Member: "sector_identifier_uri", Problem: "is not a string"}
		}
	}
	if other.URI == "" {
		return nil, nil
	}
	refuse := func(problem string) error {
		return &registration.Error{Code: registration.InvalidClientMetadata, Member: "sector_identifier_uri", Problem: problem}
	}
	u, err := url.Parse(other.URI)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil, refuse("is not an https URL")
	}
	got, err := s.fetch(ctx, other.URI, "")
	var listed []string
	switch {
	case err != nil || got.status != http.StatusOK:
		return nil, refuse("can't be fetched")
	case json.Unmarshal(got.body, &listed) != nil:
		return nil, refuse("is not a list of strings")
	case slices.ContainsFunc(m.RedirectURIs, func(uri string) bool { return !slices.Contains(listed, uri) }):
		return nil, refuse("doesn't list the redirect URIs")
	}
	return new(u.Hostname()), nil
}

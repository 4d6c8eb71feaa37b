package zitadel

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// PushedAuthorizationPath is where requests are pushed (RFC 9126, section 2), below the issuer.
const PushedAuthorizationPath = "/par"

// tokenID is how the store knows an access token: by digested, or by the id of a JWT that was signed here.
func (p *Provider) tokenID(r *http.Request, presented string) (string, bool) {
	if id, err := p.Crypto().Decrypt(presented); err == nil {
		return strings.TrimSuffix(id, ":"), true
	}
	claims, err := op.VerifyAccessToken[*oidc.AccessTokenClaims](r.Context(), presented, p.AccessTokenVerifier(r.Context()))
	if err != nil {
		return "", false
	}
	return claims.JWTID, true
}

// introspect serves the introspection endpoint (RFC 7662). The library's reads the client first, and lets each assertion that fails
// through as another error.
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	by, presented, err := p.aboutToken(r)
	if err != nil {
		op.RequestError(w, r, err, nil)
		return
	}
	answer := new(oidc.IntrospectionResponse)
	if id, ok := p.tokenID(r, presented); ok {
		answer.Active = p.storage.SetIntrospectionFromToken(r.Context(), answer, id, "", string(by.client)) == nil
	}
	if !answer.Active {
		answer = new(oidc.IntrospectionResponse)
	}
	body, err := introspectionJSON(answer)
	if err != nil {
		httphelper.MarshalJSON(w, answer) // which says so
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// introspectionJSON is what the library makes of an answer whose Claims are none of its fields. To merge them the library marshals the
// answer twice and reads it back in between, which is an eighth of what such a request costs a server.
func introspectionJSON(a *oidc.IntrospectionResponse) ([]byte, error) {
	type fields oidc.IntrospectionResponse // without the library's MarshalJSON
	body, err := json.Marshal((*fields)(a))
	if err != nil || len(a.Claims) == 0 {
		return body, err
	}
	claims, err := json.Marshal(a.Claims)
	if err != nil {
		return nil, err
	}
	return httphelper.ConcatenateJSON(body, claims)
}

// revoke serves the revocation endpoint (RFC 7009).
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	by, presented, err := p.aboutToken(r)
	if err != nil {
		op.RequestError(w, r, err, nil)
		return
	}
	id, known := p.tokenID(r, presented)
	subject := ""
	switch _, isDigest := digestOf(id); {
	case !known:
		id = digested(presented)
	case !isDigest:
		subject = "the JWT's" // known by its id
	}
	if refused := p.storage.RevokeToken(r.Context(), id, subject, string(by.client)); refused != nil {
		op.RequestError(w, r, refused, nil)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// aboutToken is who asks about a token, and which.
func (p *Provider) aboutToken(r *http.Request) (caller, string, error) {
	by, err := p.presented(r)
	if err != nil {
		return caller{}, "", err
	}
	presented := r.PostForm.Get("token")
	if presented == "" {
		return caller{}, "", oidc.ErrInvalidRequest().WithDescription("token is missing")
	}
	return by, presented, nil
}

// refusedAccess is the answer to a request to a protected resource (RFC 6750, section 3.1; RFC 9449, section 7.1).
func refusedAccess(w http.ResponseWriter, status int, code string) {
	challenge := "Bearer"
	if code != "" {
		challenge += fmt.Sprintf(" error=%q", code)
	}
	if code == "insufficient_scope" {
		challenge += ` scope="openid"`
	}
	w.Header().Add("WWW-Authenticate", challenge)
	names := make([]string, len(proofAlgorithms))
	for i, alg := range proofAlgorithms {
		names[i] = string(alg)
	}
	dpop := "DPoP"
	if code != "" {
		dpop += fmt.Sprintf(" error=%q,", code)
	}
	w.Header().Add("WWW-Authenticate", fmt.Sprintf("%s algs=%q", dpop, strings.Join(names, " ")))
	if code == "" {
		w.WriteHeader(status)
		return
	}
	httphelper.MarshalJSONWithStatus(w, map[string]string{"error": code}, status)
}

// accessToken is that of a request to a protected resource, by the header or, of a POST, in the body (RFC 6750, section 2). In the URI it
// doesn't count (section 5.3).
func accessToken(r *http.Request) (scheme, presented string, ok bool) {
	scheme, presented, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	inForm := ""
	if r.Method == http.MethodPost {
		inForm = r.PostForm.Get("access_token")
	}
	switch {
	case presented != "" && inForm != "":
		return "", "", false
	case inForm != "":
		return "bearer", inForm, true
	}
	return strings.ToLower(scheme), strings.TrimSpace(presented), true
}

// userinfo serves the UserInfo endpoint (OpenID Connect Core 1.0, section 5.3).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	s := p.storage
	w.Header().Set("Cache-Control", "no-store")
	scheme, presented, ok := accessToken(r)
	switch {
	case !ok:
		refusedAccess(w, http.StatusBadRequest, "invalid_request")
		return
	case presented == "" || scheme != "bearer" && scheme != "dpop":
		refusedAccess(w, http.StatusUnauthorized, "")
		return
	}
	key, err := p.prove(r, p.UserinfoEndpoint())
	hash := sha256.Sum256([]byte(presented))
	if refused := (*oidc.Error)(nil); errors.As(err, &refused) && string(refused.ErrorType) == useNonce {
		refusedAccess(w, http.StatusUnauthorized, useNonce) // RFC 9449, section 9
		return
	}
	if err != nil || scheme == "dpop" && key.accessTokenHash != base64.RawURLEncoding.EncodeToString(hash[:]) {
		refusedAccess(w, http.StatusUnauthorized, "invalid_dpop_proof")
		return
	}
	id, known := p.tokenID(r, presented)
	if !known {
		if !exchangeFrom(r.Context()).fault {
			refusedAccess(w, http.StatusUnauthorized, "invalid_token")
		}
		return
	}
	t, err := s.introspectAccessToken(r.Context(), caller{method: methodServer}, id)
	switch {
	case errors.Is(err, ErrStore):
		return
	case err != nil || (scheme == "dpop") != isBoundToKey(t.confirmation) || !p.holds(r, key, t.confirmation):
		refusedAccess(w, http.StatusUnauthorized, "invalid_token")
		return
	case t.sub == nil || !slices.Contains(t.scopes, oidc.ScopeOpenID):
		refusedAccess(w, http.StatusForbidden, "insufficient_scope")
		return
	}
	if key.proof != nil {
		outcome, err := s.store.RememberProof(r.Context(), store.RememberProofParams{ID: *key.proof, ExpiresAt: *key.until})
		if err != nil {
			_ = s.fault(r.Context(), err)
			return
		}
		if refused := oautherror.For(oautherror.ProtectedResource, oautherror.RememberProof, outcome); refused != nil {
			refusedAccess(w, refused.Status, refused.Code)
			return
		}
	}
	info := &oidc.UserInfo{Subject: string(*t.sub)}
	about := Subject{ClientID: t.clientID, ReferenceID: t.referenceID, Scopes: t.scopes}
	switch err := s.describe(r.Context(), info, *t.userID, about); {
	case errors.Is(err, errNotLive):
		refusedAccess(w, http.StatusUnauthorized, "invalid_token")
	case err != nil:
		op.RequestError(w, r, err, nil)
	default:
		httphelper.MarshalJSON(w, info)
	}
}

// authorizeDevice serves the device authorization endpoint (RFC 8628, section 3.1): [store.Queries.CreateDeviceAuthorization].
func (p *Provider) authorizeDevice(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	answer, err := p.deviceRequest(r)
	if err != nil {
		op.RequestError(w, r, err, nil)
		return
	}
	httphelper.MarshalJSON(w, answer)
}

// userCodeLength is that of RFC 8628, section 6.1, which shows such codes with a dash in the middle.
const userCodeLength = 8

func (p *Provider) deviceRequest(r *http.Request) (*oidc.DeviceAuthorizationResponse, error) {
	s := p.storage
	by, err := p.presented(r)
	if err != nil {
		return nil, err
	}
	if err := p.know(r.Context(), string(by.client)); err != nil {
		return nil, err
	}
	details, err := s.details(r.PostForm)
	if err != nil {
		return nil, err
	}
	asked, err := resources(r.PostForm)
	if err != nil {
		return nil, err
	}
	scopes := strings.Fields(r.PostForm.Get("scope"))
	if !storable(scopes...) {
		return nil, oidc.ErrInvalidScope()
	}
	code := token.Mint(token.DeviceCode)
	created := store.CreateDeviceAuthorizationParams{
		ID: store.NewAuthorizationID(), ClientID: by.client, ClientAuthMethod: by.method, ClientSecret: by.secret,
		DeviceCode: code.Digest(), Scopes: scopes, DefaultScopes: s.opts.defaultScopes(), Resources: asked, DefaultResources: s.opts.Resources,
		AuthorizationDetails: details, DefaultAuthorizationDetailsTypes: s.opts.detailTypes(), Lifetime: s.opts.DeviceCodeLifetime,
	}
	for {
		userCode := token.MintUserCode(token.UserCodeAlphabet, userCodeLength)
		created.UserCode = UserCode(userCode)
		row, err := s.store.CreateDeviceAuthorization(r.Context(), created)
		if err != nil {
			return nil, s.fault(r.Context(), err)
		}
		judged(r.Context(), by, row.Outcome)
		if row.Outcome == store.OutcomeTaken {
			continue // a short code of somebody else's
		}
		if err := refused(oautherror.DeviceAuthorization, oautherror.CreateDeviceAuthorization, row.Outcome); err != nil {
			return nil, err
		}
		shown := userCode[:userCodeLength/2] + "-" + userCode[userCodeLength/2:]
		page := s.opts.DeviceURL
		return &oidc.DeviceAuthorizationResponse{
			DeviceCode: code.Reveal(), UserCode: shown, VerificationURI: page,
			VerificationURIComplete: page + "?" + url.Values{"user_code": {shown}}.Encode(),
			ExpiresIn:               int(s.opts.DeviceCodeLifetime.Seconds()), Interval: int(deref(row.PollInterval).Seconds()),
		}, nil
	}
}

// UserCode is the digest of a user code as its user has typed it, for [store.Queries.FindAuthorizationByUserCode].
func UserCode(typed string) token.Digest {
	return token.DigestOf(token.NormalUserCode(token.UserCodeAlphabet, typed))
}

// push serves the pushed authorization request endpoint (RFC 9126).
func (p *Provider) push(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	requestURI, err := p.pushed(r)
	if err != nil {
		op.RequestError(w, r, err, nil)
		return
	}
	httphelper.MarshalJSONWithStatus(w, map[string]any{
		"request_uri": requestURI, "expires_in": int(RequestURILifetime.Seconds()),
	}, http.StatusCreated)
}

func (p *Provider) pushed(r *http.Request) (string, error) {
	by, err := p.presented(r)
	if err != nil {
		return "", err
	}
	if err := p.know(r.Context(), string(by.client)); err != nil {
		return "", err
	}
	if err := p.storage.authenticate(r.Context(), by); err != nil {
		return "", err
	}
	request, err := op.ParseAuthorizeRequest(r, p.Decoder())
	if err != nil {
		return "", err
	}
	if r.PostForm.Get("request_uri") != "" || request.RequestParam != "" {
		return "", oidc.ErrInvalidRequest().WithDescription("request and request_uri are not served here") // section 2.1
	}
	key, err := p.prove(r, op.NewEndpoint(PushedAuthorizationPath))
	if err != nil {
		return "", err
	}
	if key.confirmation != nil {
		if jkt := r.PostForm.Get("dpop_jkt"); jkt != "" && jkt != key.confirmation.JKT {
			return "", withCode("invalid_dpop_proof").WithDescription("dpop_jkt is another key's") // RFC 9449, section 10.1
		}
		outcome, err := p.storage.store.RememberProof(r.Context(), store.RememberProofParams{ID: *key.proof, ExpiresAt: *key.until})
		if err != nil {
			return "", p.storage.fault(r.Context(), err)
		}
		if err := refused(oautherror.PushedAuthorization, oautherror.RememberProof, outcome); err != nil {
			return "", err
		}
		r.Form.Set("dpop_jkt", key.confirmation.JKT)
	}
	request.ClientID = string(by.client)
	reference := token.Mint(token.RequestURI)
	if _, err := p.requested(r, request, new(reference.Digest())); err != nil {
		return "", err
	}
	return requestURIPrefix + reference.Reveal(), nil
}

// open sends a browser on that comes with the request_uri of a pushed request (RFC 9126, section 4).
func (p *Provider) open(w http.ResponseWriter, r *http.Request) {
	id, err := p.storage.OpenAuthRequest(r.Context(), r.Form.Get("client_id"), r.Form.Get("request_uri"))
	switch {
	case errors.Is(err, ErrNoRequest) && r.Form.Get("redirect_uri") == "":
		http.Error(w, "invalid_request_uri", http.StatusBadRequest)
	case errors.Is(err, ErrNoRequest) && strings.HasPrefix(r.Form.Get("request_uri"), requestURIPrefix):
		p.refuse(w, r, plainRequest(r.Form), withCode("invalid_request_uri").WithDescription("the request is over"))
	case errors.Is(err, ErrNoRequest):
		p.refuse(w, r, plainRequest(r.Form), withCode("request_uri_not_supported")) // OpenID Connect Core 1.0, section 3.1.2.6
	case err != nil:
		return // a fault, which is answered as one
	default:
		http.Redirect(w, r, p.storage.opts.LoginURL(id), http.StatusSeeOther)
	}
}

// served adds to the discovery document what the library has no place for.
func (p *Provider) served(document []byte, issuer string) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(document, &members) != nil {
		return document
	}
	more := map[string]any{
		"pushed_authorization_request_endpoint": issuer + PushedAuthorizationPath, // RFC 9126, section 5
		"dpop_signing_alg_values_supported":     proofAlgorithms,                  // RFC 9449, section 5.1
		"prompt_values_supported":               servedPrompts,                    // Initiating User Registration via OpenID Connect 1.0, section 4.2

		"authorization_response_iss_parameter_supported": true, // RFC 9207, section 3
	}
	if types := p.storage.opts.detailTypes(); len(types) > 0 {
		more["authorization_details_types_supported"] = types // RFC 9396, section 10
	}
	if p.storage.opts.ClientCertificate != nil {
		more["tls_client_certificate_bound_access_tokens"] = true // RFC 8705, section 3.3
	}
	if p.storage.opts.ClientDocuments != nil {
		more["client_id_metadata_document_supported"] = true
	}
	for name, value := range more {
		text, err := json.Marshal(value)
		if err != nil {
			return document
		}
		members[name] = text
	}
	text, err := json.Marshal(members)
	if err != nil {
		return document
	}
	return text
}

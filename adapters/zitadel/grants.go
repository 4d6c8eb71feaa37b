package zitadel

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// The library's token endpoint reads the client, the key and the code or refresh token before it has the storage decide, and signs an ID
// token for every grant. This one makes the call that decides, and of its answer the response.

// tokenRequest is a request to the token endpoint.
type tokenRequest struct {
	*Provider
	*http.Request
	by      caller
	key     proven
	details json.RawMessage // that the client asks for
}

func (r *tokenRequest) ctx() context.Context { return r.Request.Context() }

// param is a parameter of the body: in the URI none counts (RFC 6749, section 3.2; RFC 9700, section 4.3.2).
func (r *tokenRequest) param(name string) string { return r.PostForm.Get(name) }

func (r *tokenRequest) required(name string) (string, error) {
	if v := r.param(name); v != "" {
		return v, nil
	}
	return "", oidc.ErrInvalidRequest().WithDescription("%s is missing", name)
}

// scopes are those that the client asks for.
func (r *tokenRequest) scopes() ([]string, error) {
	scopes := strings.Fields(r.param("scope"))
	if !storable(scopes...) {
		return nil, oidc.ErrInvalidScope()
	}
	return scopes, nil
}

// resources are those that the client asks for (RFC 8707, section 2).
func resources(form url.Values) ([]string, error) {
	asked := form["resource"]
	for _, resource := range asked {
		u, err := url.Parse(resource)
		if err != nil || !u.IsAbs() || strings.Contains(resource, "#") || !storable(resource) {
			return nil, withCode("invalid_target").WithDescription("resource has to be an absolute URI without a fragment")
		}
	}
	return asked, nil
}

// tokens are what a request gets.
type tokens struct {
	minted
	to           *authRequest // what the user has granted
	machine      *machineRequest
	refreshToken string
	expires      time.Time // the access token
	client       *client   // as far as the access token needs it
	idTokenAlg   *string   // that the client has registered
	exchanged    bool      // for another token
}

// grant serves the token endpoint.
func (p *Provider) grant(w http.ResponseWriter, r *http.Request) {
	response, err := p.granted(r)
	if err != nil {
		op.RequestError(w, r, err, nil)
		return
	}
	httphelper.MarshalJSON(w, response)
}

func (p *Provider) granted(r *http.Request) (any, error) {
	request := &tokenRequest{Provider: p, Request: r}
	grantType := request.param("grant_type")
	var err error
	if grantType == string(oidc.GrantTypeBearer) {
		request.by, err = request.bearer()
	} else {
		request.by, err = p.presented(r)
	}
	if err != nil {
		return nil, err
	}
	if request.key, err = p.prove(r, p.TokenEndpoint()); err != nil {
		return nil, err
	}
	if err = p.bindToCertificate(r, request.by.client, &request.key); err != nil {
		return nil, err
	}
	if request.details, err = p.storage.details(r.PostForm); err != nil {
		return nil, err
	}
	var issued *tokens
	switch {
	case grantType == "":
		return nil, oidc.ErrInvalidRequest().WithDescription("grant_type is missing")
	case grantType == string(oidc.GrantTypeCode):
		issued, err = request.redeem()
	case grantType == string(oidc.GrantTypeRefreshToken) && p.GrantTypeRefreshTokenSupported():
		issued, err = request.refresh()
	case grantType == string(oidc.GrantTypeClientCredentials), grantType == string(oidc.GrantTypeBearer):
		issued, err = request.issue()
	case grantType == string(oidc.GrantTypeTokenExchange):
		issued, err = request.exchange()
	case grantType == string(oidc.GrantTypeDeviceCode) && p.storage.opts.DeviceURL != "":
		issued, err = request.poll()
	default:
		return nil, oidc.ErrUnsupportedGrantType().WithDescription("this grant_type is not served")
	}
	if err != nil {
		return nil, err
	}
	return request.respond(issued)
}

// presented is the client as it shows itself. Whether that is enough, a call of the store says; what can't be right is refused here.
func (p *Provider) presented(r *http.Request) (caller, error) {
	x := exchangeFrom(r.Context())
	user, password, basic := r.BasicAuth()
	id, secret, assertion := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), r.PostForm.Get("client_assertion")
	ways := 0
	for _, shown := range []bool{basic, secret != "", assertion != ""} {
		if shown {
			ways++
		}
	}
	unauthenticated := func(why string) (caller, error) {
		x.unauthenticated = true
		return caller{}, oidc.ErrInvalidClient().WithDescription("%s", why)
	}
	by := caller{client: store.ClientID(id), method: methodNone}
	switch {
	case ways > 1:
		return caller{}, oidc.ErrInvalidRequest().WithDescription("client authentication must not use more than one method") // RFC 6749, section 2.3
	case r.Header.Get("Authorization") != "" && !basic:
		return unauthenticated("the Authorization header is not understood")
	case assertion != "":
		return p.asserted(r, id)
	case basic:
		name, nameErr := url.QueryUnescape(user)
		word, wordErr := url.QueryUnescape(password)
		if nameErr != nil || wordErr != nil || id != "" && id != name {
			return unauthenticated("the Authorization header is not that of the client")
		}
		by.client = store.ClientID(name)
		if word != "" {
			by.method, by.secret = methodBasic, token.DigestOf(word)
		}
	case secret != "":
		if !p.AuthMethodPostSupported() {
			return unauthenticated("the secret belongs into the Authorization header")
		}
		by.method, by.secret = methodPost, token.DigestOf(secret)
	}
	if by.client == "" {
		return unauthenticated("who asks?")
	}
	if certificate, verified := p.storage.certificate(r); certificate != nil && ways == 0 {
		c, err := p.storage.client(r.Context(), string(by.client))
		switch {
		case x.fault:
			return caller{}, err
		case err == nil:
			fits := false
			if by.method, fits = c.certified(r, certificate, verified); !fits {
				return unauthenticated("the certificate is not the client's")
			}
		}
	}
	x.caller, x.judged = by, false
	return by, nil
}

// asserted is the client that a client assertion authenticates (RFC 7523, section 2.2).
func (p *Provider) asserted(r *http.Request, id string) (caller, error) {
	x := exchangeFrom(r.Context())
	refuse := func(why string) (caller, error) {
		x.unauthenticated = true
		return caller{}, oidc.ErrInvalidClient().WithDescription("%s", why)
	}
	switch {
	case r.PostForm.Get("client_assertion_type") != oidc.ClientAssertionTypeJWTAssertion:
		return refuse("unknown client_assertion_type")
	case !p.AuthMethodPrivateKeyJWTSupported():
		return refuse("auth_method private_key_jwt not supported")
	}
	err := p.verifyAssertion(r.Context(), r.PostForm.Get("client_assertion"))
	switch {
	case x.fault:
		return caller{}, err
	case err != nil:
		return refuse("the assertion does not authenticate the client") // RFC 7521, section 4.2.1
	case id != "" && store.ClientID(id) != x.caller.client:
		return refuse("client_id is not that of the assertion") // RFC 7521, section 4.2
	}
	return x.caller, nil
}

// verifyAssertion verifies the assertion of a client, which becomes the exchange's caller. The library takes no assertion without iat, and
// doesn't look at nbf.
func (p *Provider) verifyAssertion(ctx context.Context, assertion string) error {
	claims := new(oidc.JWTTokenRequest)
	payload, err := oidc.ParseToken(assertion, claims)
	if err != nil {
		return err
	}
	var more struct {
		NotBefore oidc.Time `json:"nbf"`
		Audience  any       `json:"aud"`
	}
	if err := json.Unmarshal(payload, &more); err != nil {
		return err
	}
	switch {
	case p.storage.opts.AssertionsForIssuerAlone && more.Audience != op.IssuerFromContext(ctx):
		return oidc.ErrAudience
	case !slices.ContainsFunc(p.assertionAudiences(ctx), func(audience string) bool { return slices.Contains(claims.Audience, audience) }):
		return oidc.ErrAudience
	case more.NotBefore.AsTime().After(time.Now().Add(assertionAhead)):
		return errors.New("the assertion is not good yet") // RFC 7523, section 3, item 5
	}
	if err := oidc.CheckExpiration(claims, assertionSkew); err != nil {
		return err
	}
	if claims.IssuedAt != 0 { // it is optional (item 6)
		if err := oidc.CheckIssuedAt(claims, assertionMaxAge, assertionAhead); err != nil {
			return err
		}
	}
	if err := op.SubjectIsIssuer(claims); err != nil {
		return err
	}
	return oidc.CheckSignature(ctx, assertion, payload, claims, nil, assertionKeySet{p.storage})
}

// assertionAudiences are the names by which an assertion may call this server: the issuer and the token endpoint (RFC 7523, section 3, item
// 3), and, where a request is pushed, that endpoint (RFC 9126, section 2).
func (p *Provider) assertionAudiences(ctx context.Context) []string {
	issuer := op.IssuerFromContext(ctx)
	audiences := []string{issuer, p.TokenEndpoint().Absolute(issuer)}
	if x := exchangeFrom(ctx); x != nil && routePath(x.request) == PushedAuthorizationPath {
		audiences = append(audiences, issuer+PushedAuthorizationPath)
	}
	return audiences
}

// bearer is the client whose assertion is the grant (RFC 7523, section 2.1).
func (r *tokenRequest) bearer() (caller, error) {
	assertion, err := r.required("assertion")
	if err != nil {
		return caller{}, err
	}
	x := exchangeFrom(r.ctx())
	var refused *oidc.Error
	switch err := r.verifyAssertion(r.ctx(), assertion); {
	case x.fault || errors.As(err, &refused):
		return caller{}, err
	case err != nil:
		return caller{}, oidc.ErrInvalidGrant().WithDescription("the assertion is not accepted")
	case !slices.Contains(x.client.GrantTypes(), oidc.GrantTypeBearer):
		return caller{}, oidc.ErrUnauthorizedClient()
	}
	return x.caller, nil
}

// mint makes the ids and the access token of a request. A client that may get a JWT is fetched first, to know which it gets.
func (r *tokenRequest) mint() (*tokens, error) {
	t := &tokens{}
	if err := r.storage.mint(r.ctx(), &t.minted, string(r.by.client)); err != nil {
		return nil, err
	}
	t.client = exchangeFrom(r.ctx()).client
	return t, nil
}

// redeem exchanges a code (RFC 6749, section 4.1.3): [store.Queries.RedeemAuthorizationCode].
func (r *tokenRequest) redeem() (*tokens, error) {
	s := r.storage
	presented, err := r.required("code")
	if err != nil {
		return nil, err
	}
	code, err := token.ParseForeign(token.AuthorizationCode, presented)
	if err != nil {
		return nil, oidc.ErrInvalidGrant()
	}
	asked, err := resources(r.PostForm)
	if err != nil {
		return nil, err
	}
	// A code is good once: what the answer needs beside is fetched before, so that it is not lost for lack of that.
	if err := r.prepare(presented); err != nil {
		return nil, err
	}
	t, err := r.mint()
	if err != nil {
		return nil, err
	}
	p := store.RedeemAuthorizationCodeParams{
		Code: code.Digest(), ClientID: r.by.client, ClientAuthMethod: r.by.method, ClientSecret: r.by.secret,
		RedirectURI: optional(r.param("redirect_uri")), Resources: asked, AuthorizationDetails: r.details,
		Confirmation: r.key.confirmation, Proof: r.key.proof, ProofExpiresAt: r.key.until,
		AccessTokenID: t.accessTokenID, AccessToken: t.accessToken, AccessTokenLifetime: s.opts.AccessTokenLifetime,
		DefaultScopes: s.opts.defaultScopes(), DefaultResources: s.opts.Resources, RefreshTokenNeedsOfflineAccess: true,
	}
	if verifier := r.param("code_verifier"); verifier != "" {
		p.CodeChallenge = new(token.S256(verifier))
	}
	if r.GrantTypeRefreshTokenSupported() {
		p.RefreshTokenID, p.RefreshToken = &t.refreshTokenID, new(t.minted.refreshToken.Digest())
		p.RefreshTokenLifetime, p.FamilyLifetime = s.opts.RefreshTokenLifetime, s.opts.familyLifetime()
	}
	row, err := s.store.RedeemAuthorizationCode(r.ctx(), p)
	if err := s.granted(r.ctx(), r.by, oautherror.RedeemAuthorizationCode, row.Outcome, err, row.AuthorizationID); err != nil {
		return nil, err
	}
	if row.RefreshTokenID != nil {
		t.refreshToken = t.minted.refreshToken.Reveal()
	}
	t.to = &authRequest{skew: s.opts.ClockSkew, sub: row.Sub, confirmation: r.key.confirmation, row: store.OAuthAuthorization{
		ID: deref(row.AuthorizationID), ClientID: r.by.client, Status: store.AuthorizationStatusApproved, UserID: row.UserID,
		SessionID: row.SessionID, ReferenceID: row.ReferenceID, GrantedScopes: row.GrantedScopes, Resources: row.Resources, AuthorizationDetails: row.AuthorizationDetails, Nonce: row.Nonce,
		AuthTime: row.AuthTime, ACR: row.ACR, AMR: row.AMR,
	}}
	t.expires, t.idTokenAlg = deref(row.AccessTokenExpiresAt), row.IDTokenSignedResponseAlg
	return t, nil
}

// prepare fetches, and keeps for this HTTP request, what an ID token will be made of. What is said of a user who is gone is left to the
// decision.
func (r *tokenRequest) prepare(code string) error {
	if err := r.storage.prepareKeys(r.ctx()); err != nil {
		return err
	}
	if !r.storage.opts.UserinfoInIDToken && r.storage.opts.Userinfo == nil {
		return nil
	}
	request, err := r.storage.AuthRequestByCode(r.ctx(), code)
	switch {
	case errors.Is(err, errNoSuchCode):
		return nil
	case err != nil:
		return err
	}
	return r.storage.prepare(r.ctx(), request.(*authRequest))
}

// refresh exchanges a refresh token (RFC 6749, section 6): [store.Queries.RotateRefreshToken].
func (r *tokenRequest) refresh() (*tokens, error) {
	s := r.storage
	presented, err := r.required("refresh_token")
	if err != nil {
		return nil, err
	}
	current, err := token.ParseForeign(token.RefreshToken, presented)
	if err != nil {
		return nil, oidc.ErrInvalidGrant()
	}
	scopes, err := r.scopes()
	if err != nil {
		return nil, err
	}
	asked, err := resources(r.PostForm)
	if err != nil {
		return nil, err
	}
	t, err := r.mint()
	if err != nil {
		return nil, err
	}
	row, err := s.store.RotateRefreshToken(r.ctx(), store.RotateRefreshTokenParams{
		Token: current.Digest(), ClientID: r.by.client, ClientAuthMethod: r.by.method, ClientSecret: r.by.secret,
		Scopes: scopes, Resources: asked, AuthorizationDetails: r.details,
		Confirmation: r.key.confirmation, Proof: r.key.proof, ProofExpiresAt: r.key.until,
		Grace: s.opts.Grace, SuccessorID: t.refreshTokenID, Successor: s.successors.Successor(current).Digest(),
		RefreshTokenLifetime: s.opts.RefreshTokenLifetime,
		AccessTokenID:        t.accessTokenID, AccessToken: t.accessToken, AccessTokenLifetime: s.opts.AccessTokenLifetime,
		DefaultScopes: s.opts.defaultScopes(), DefaultResources: s.opts.Resources,
	})
	if err := s.granted(r.ctx(), r.by, oautherror.RotateRefreshToken, row.Outcome, err, row.AuthorizationID); err != nil {
		return nil, err
	}
	// In a retry it is the successor that was written before, whichever of the keys it was derived with.
	successor, found := s.successors.Match(current, deref(row.Successor))
	if !found {
		return nil, oidc.ErrInvalidGrant()
	}
	t.refreshToken, t.expires, t.idTokenAlg = successor.Reveal(), deref(row.AccessTokenExpiresAt), row.IDTokenSignedResponseAlg
	t.to = &authRequest{skew: s.opts.ClockSkew, sub: row.Sub, confirmation: r.key.confirmation, row: store.OAuthAuthorization{
		ID: deref(row.AuthorizationID), ClientID: r.by.client, Status: store.AuthorizationStatusApproved, UserID: row.UserID,
		SessionID: row.SessionID, ReferenceID: row.ReferenceID, GrantedScopes: row.Scopes, Resources: row.Resources, AuthorizationDetails: row.AuthorizationDetails,
		AuthTime: row.AuthTime, ACR: row.ACR, AMR: row.AMR,
	}}
	return t, nil
}

// issue gives a client a token for itself (RFC 6749, section 4.4): [store.Queries.IssueAccessToken]. A client that names no scopes gets all
// that it may have for itself, and is fetched to know which these are.
func (r *tokenRequest) issue() (*tokens, error) {
	s := r.storage
	scopes, err := r.scopes()
	if err != nil {
		return nil, err
	}
	asked, err := resources(r.PostForm)
	if err != nil {
		return nil, err
	}
	if r.details != nil {
		return nil, invalidDetails("they are granted by users alone")
	}
	if len(scopes) == 0 {
		c, err := s.client(r.ctx(), string(r.by.client))
		if err != nil {
			return nil, err
		}
		scopes = c.ownScopes()
	}
	if slices.ContainsFunc(scopes, aboutUser) {
		return nil, oidc.ErrInvalidScope()
	}
	t, err := r.mint()
	if err != nil {
		return nil, err
	}
	row, err := s.store.IssueAccessToken(r.ctx(), store.IssueAccessTokenParams{
		ID: t.accessTokenID, AccessToken: t.accessToken, ClientID: r.by.client, ClientAuthMethod: r.by.method, ClientSecret: r.by.secret,
		Scopes: scopes, DefaultScopes: s.opts.Scopes, Resources: asked, DefaultResources: s.opts.Resources,
		Confirmation: r.key.confirmation, Proof: r.key.proof, ProofExpiresAt: r.key.until, Lifetime: s.opts.AccessTokenLifetime,
	})
	if err := s.granted(r.ctx(), r.by, oautherror.IssueAccessToken, row.Outcome, err, nil); err != nil {
		return nil, err
	}
	t.expires = deref(row.ExpiresAt)
	t.machine = &machineRequest{client: string(r.by.client), scopes: scopes, resources: asked, confirmation: r.key.confirmation}
	return t, nil
}

// poll answers a device that asks whether the user has decided (RFC 8628, section 3.4): [store.Queries.PollDeviceCode]. The refresh token
// derives from the device code, so a device that asks again because an answer was lost gets the same one.
func (r *tokenRequest) poll() (*tokens, error) {
	s := r.storage
	presented, err := r.required("device_code")
	if err != nil {
		return nil, err
	}
	code, err := token.Parse(token.DeviceCode, presented)
	if err != nil {
		return nil, oidc.ErrInvalidGrant()
	}
	asked, err := resources(r.PostForm)
	if err != nil {
		return nil, err
	}
	t, err := r.mint()
	if err != nil {
		return nil, err
	}
	p := store.PollDeviceCodeParams{
		DeviceCode: code.Digest(), ClientID: r.by.client, ClientAuthMethod: r.by.method, ClientSecret: r.by.secret, Resources: asked,
		AuthorizationDetails: r.details,
		Confirmation:         r.key.confirmation, Proof: r.key.proof, ProofExpiresAt: r.key.until, Grace: s.opts.Grace,
		AccessTokenID: t.accessTokenID, AccessToken: t.accessToken, AccessTokenLifetime: s.opts.AccessTokenLifetime,
		DefaultScopes: s.opts.defaultScopes(), DefaultResources: s.opts.Resources, RefreshTokenNeedsOfflineAccess: true,
	}
	if r.GrantTypeRefreshTokenSupported() {
		p.RefreshTokenID, p.RefreshToken = &t.refreshTokenID, new(s.successors.Successor(code).Digest())
		p.RefreshTokenLifetime, p.FamilyLifetime = s.opts.RefreshTokenLifetime, s.opts.familyLifetime()
	}
	row, err := s.store.PollDeviceCode(r.ctx(), p)
	if err := s.granted(r.ctx(), r.by, oautherror.PollDeviceCode, row.Outcome, err, row.AuthorizationID); err != nil {
		return nil, err
	}
	if row.RefreshToken != nil {
		refreshToken, found := s.successors.Match(code, *row.RefreshToken)
		if !found { // of a key that is no longer used
			return nil, oidc.ErrInvalidGrant()
		}
		t.refreshToken = refreshToken.Reveal()
	}
	t.expires, t.idTokenAlg = deref(row.AccessTokenExpiresAt), row.IDTokenSignedResponseAlg
	t.to = &authRequest{skew: s.opts.ClockSkew, sub: row.Sub, confirmation: r.key.confirmation, row: store.OAuthAuthorization{
		ID: deref(row.AuthorizationID), ClientID: r.by.client, Status: store.AuthorizationStatusApproved, UserID: row.UserID,
		SessionID: row.SessionID, ReferenceID: row.ReferenceID, GrantedScopes: row.GrantedScopes, Resources: row.Resources, AuthorizationDetails: row.AuthorizationDetails,
		AuthTime: row.AuthTime, ACR: row.ACR, AMR: row.AMR,
	}}
	return t, nil
}

// exchange gives a client a token for another token (RFC 8693): [store.Queries.ExchangeToken].
func (r *tokenRequest) exchange() (*tokens, error) {
	s := r.storage
	if wanted := oidc.TokenType(r.param("requested_token_type")); wanted != "" && wanted != oidc.AccessTokenType {
		return nil, oidc.ErrInvalidRequest().WithDescription("only access tokens are issued for other tokens")
	}
	if r.param("audience") != "" {
		return nil, withCode("invalid_target").WithDescription("name a resource, not an audience") // RFC 8693, section 2.2.2
	}
	scopes, err := r.scopes()
	if err != nil {
		return nil, err
	}
	asked, err := resources(r.PostForm)
	if err != nil {
		return nil, err
	}
	if _, err := r.required("subject_token"); err != nil {
		return nil, err
	}
	p := store.ExchangeTokenParams{
		ClientID: r.by.client, ClientAuthMethod: r.by.method, ClientSecret: r.by.secret, Scopes: scopes, Resources: asked,
		AuthorizationDetails: r.details, DefaultScopes: s.opts.defaultScopes(), Confirmation: r.key.confirmation, Proof: r.key.proof, ProofExpiresAt: r.key.until,
		AccessTokenLifetime: s.opts.AccessTokenLifetime,
	}
	if p.SubjectToken, p.SubjectTokenID, err = r.exchanged("subject_token"); err != nil {
		return nil, err
	}
	if r.param("actor_token") != "" {
		if p.ActorToken, p.ActorTokenID, err = r.exchanged("actor_token"); err != nil {
			return nil, err
		}
	}
	t, err := r.mint()
	if err != nil {
		return nil, err
	}
	p.AccessTokenID, p.AccessToken = t.accessTokenID, t.accessToken
	row, err := s.store.ExchangeToken(r.ctx(), p)
	if err := s.granted(r.ctx(), r.by, oautherror.ExchangeToken, row.Outcome, err, row.AuthorizationID); err != nil {
		return nil, err
	}
	t.expires, t.exchanged = deref(row.ExpiresAt), true
	t.to = &authRequest{skew: s.opts.ClockSkew, sub: row.Sub, confirmation: r.key.confirmation, act: row.Act, row: store.OAuthAuthorization{
		ID: deref(row.AuthorizationID), ClientID: r.by.client, Status: store.AuthorizationStatusApproved, UserID: row.UserID,
		SessionID: row.SessionID, ReferenceID: row.ReferenceID, GrantedScopes: row.Scopes, Resources: row.Resources, AuthorizationDetails: row.AuthorizationDetails, AuthTime: row.AuthTime,
	}}
	return t, nil
}

// exchanged is a token that is to be exchanged, or that of the actor, as the call takes it.
func (r *tokenRequest) exchanged(name string) (*token.Digest, *store.AccessTokenID, error) {
	kind := oidc.TokenType(r.param(name + "_type"))
	if kind != oidc.AccessTokenType && kind != oidc.JWTTokenType {
		return nil, nil, oidc.ErrInvalidRequest().WithDescription("%s_type is missing or not served", name)
	}
	id, known := r.tokenID(r.Request, r.param(name))
	if !known {
		return nil, nil, oidc.ErrInvalidRequest().WithDescription("%s is not a token of this server's", name) // RFC 8693, section 2.2.2
	}
	if digest, isDigest := digestOf(id); isDigest {
		return &digest, nil, nil
	}
	return nil, new(store.AccessTokenID(id)), nil
}

// tokenResponse is the library's, with what it has no place for.
type tokenResponse struct {
	*oidc.AccessTokenResponse
	IssuedTokenType      oidc.TokenType  `json:"issued_token_type,omitempty"`     // RFC 8693, section 2.2.1
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396, section 7
}

// respond makes the answer (RFC 6749, section 5.1). There is an ID token only if the user has granted openid (OpenID Connect Core 1.0,
// section 3.1.3.3), so a refresh without it signs nothing.
func (r *tokenRequest) respond(t *tokens) (any, error) {
	s := r.storage
	c := t.client
	if c == nil {
		c = &client{row: store.OAuthClient{ClientID: r.by.client}, opts: &s.opts}
	}
	var request op.TokenRequest = t.machine
	if t.to != nil {
		request = t.to
	}
	response := &oidc.AccessTokenResponse{
		AccessToken: t.answer, TokenType: oidc.BearerToken, RefreshToken: t.refreshToken, Scope: request.GetScopes(),
		ExpiresIn: uint64(max(0, time.Until(t.expires.Add(s.opts.ClockSkew)).Seconds())),
	}
	if isBoundToKey(r.key.confirmation) {
		response.TokenType = "DPoP" // RFC 9449, section 5
	}
	issuer := op.IssuerFromContext(r.ctx())
	var err error
	if t.accessToken == nil {
		if response.AccessToken, err = op.CreateJWT(r.ctx(), issuer, request, t.expires, t.answer, c, s); err != nil {
			return nil, err
		}
	}
	answer := tokenResponse{AccessTokenResponse: response}
	if t.to != nil {
		answer.AuthorizationDetails = t.to.row.AuthorizationDetails
	}
	if t.exchanged {
		answer.IssuedTokenType = oidc.AccessTokenType
		return answer, nil
	}
	if t.to == nil || !slices.Contains(t.to.GetScopes(), oidc.ScopeOpenID) {
		return answer, nil
	}
	signs := signing{s, t.idTokenAlg}
	response.IDToken, err = op.CreateIDToken(r.ctx(), issuer, idTokenRequest{t.to}, c.IDTokenLifetime(), response.AccessToken, "", signs, c)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// idTokenRequest is a grant as its ID token sees it, which is for the client alone.
type idTokenRequest struct{ *authRequest }

// GetAudience implements op.IDTokenRequest.
func (r idTokenRequest) GetAudience() []string { return []string{r.GetClientID()} }

package fositedb

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// pushedPrefix is that of the ids of requests that were pushed, and so have a row before the user decides.
const pushedPrefix = "pushed-"

// CreateAuthorizeCodeSession records that the user has agreed to a request, with all that the library passes in three calls: for a request
// that was pushed [store.Queries.ApproveAuthorization], else [store.Queries.GrantAuthorization]. Either judges it by the client's
// registration.
func (s *Store) CreateAuthorizeCodeSession(ctx context.Context, code string, request fosite.Requester) error {
	ar, session := authorizeRequest(ctx), request.GetSession()
	if ar == nil {
		return fosite.ErrMisconfiguration.WithHint("Codes are issued by NewAuthorizeResponse.")
	}
	user := subjectOf(session)
	if user == "" {
		return fosite.ErrMisconfiguration.WithHint("The session has no subject.")
	}
	data, err := keep(session, false)
	if err != nil {
		return fosite.ErrMisconfiguration.WithHint(err.Error())
	}
	form := ar.GetRequestForm()
	p := store.GrantAuthorizationParams{
		ID:                  store.AuthorizationID(request.GetID()),
		UserID:              store.UserID(user),
		ClientID:            store.ClientID(request.GetClient().GetID()),
		RedirectURI:         optional(form.Get("redirect_uri")),
		ResponseType:        optional(strings.Join(ar.GetResponseTypes(), " ")),
		ResponseMode:        optional(string(ar.GetResponseMode())),
		CodeChallenge:       optional(form.Get("code_challenge")),
		CodeChallengeMethod: optional(form.Get("code_challenge_method")),
		Scopes:              request.GetRequestedScopes(),
		GrantedScopes:       request.GetGrantedScopes(),
		Resources:           request.GetGrantedAudience(),
		DefaultScopes:       s.opts.Scopes,
		DefaultResources:    s.opts.Audience,
		State:               optional(ar.GetState()),
		Nonce:               optional(form.Get("nonce")),
		ACRValues:           fosite.RemoveEmpty(strings.Split(form.Get("acr_values"), " ")),
		MaxAge:              maxAge(form),
		Request:             promptOf(form),
		Code:                digestOf(code),
		CodeLifetime:        lifetime(session, fosite.AuthorizeCode),
		Data:                data,
	}
	if g, ok := session.(grantedIn); ok {
		in, tenant := g.GrantedIn()
		if in != "" {
			p.SessionID = &in
		}
		if tenant != "" {
			p.ReferenceID = &tenant
		}
	}
	if o, ok := session.(openid.Session); ok {
		c := o.IDTokenClaims()
		if !c.AuthTime.IsZero() {
			p.AuthTime = &c.AuthTime
		}
		p.ACR, p.AMR = optional(c.AuthenticationContextClassReference), c.AuthenticationMethodsReferences
	}
	if !strings.HasPrefix(request.GetID(), pushedPrefix) {
		outcome, err := s.queries.GrantAuthorization(ctx, p)
		if err != nil {
			return s.fault(ctx, err)
		}
		return refused(oautherror.Authorization, oautherror.GrantAuthorization, outcome)
	}
	if !sameSet(request.GetGrantedAudience(), request.GetRequestedAudience()) {
		return fosite.ErrMisconfiguration.WithHint("The audience of a pushed request is granted as a whole.")
	}
	row, err := s.queries.ApproveAuthorization(ctx, store.ApproveAuthorizationParams{
		ID: p.ID, UserID: p.UserID, SessionID: p.SessionID, ReferenceID: p.ReferenceID, GrantedScopes: p.GrantedScopes, Code: &p.Code,
		CodeLifetime: p.CodeLifetime, DefaultScopes: p.DefaultScopes, DefaultResources: p.DefaultResources,
		AuthTime: p.AuthTime, ACR: p.ACR, AMR: p.AMR, Data: p.Data,
	})
	if err != nil {
		return s.fault(ctx, err)
	}
	return refused(oautherror.Authorization, oautherror.ApproveAuthorization, row.Outcome)
}

func sameSet(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) }) &&
		!slices.ContainsFunc(b, func(s string) bool { return !slices.Contains(a, s) })
}

func maxAge(form url.Values) *int64 {
	n, err := strconv.ParseInt(form.Get("max_age"), 10, 64)
	if err != nil || n < 0 {
		return nil // as the library takes it
	}
	return &n
}

// asked is what of a request has no column. Its members are those that other servers of this project write.
type asked struct {
	Prompt []string `json:"prompt,omitempty"`
	// Form has the other parameters of a pushed request, for the pages, without credentials.
	Form url.Values `json:"form,omitempty"`
}

func (a asked) marshal() json.RawMessage {
	if len(a.Prompt) == 0 && len(a.Form) == 0 {
		return nil
	}
	text, _ := json.Marshal(a) // strings always can be
	return text
}

func promptOf(form url.Values) json.RawMessage {
	return asked{Prompt: fosite.RemoveEmpty(strings.Split(form.Get("prompt"), " "))}.marshal()
}

// GetAuthorizeCodeSession returns what a code was given for: [store.Queries.FindAuthorizationByCode], once for a request. A code that was
// redeemed comes with fosite.ErrInvalidatedAuthorizeCode. It decides nothing: Commit does.
func (s *Store) GetAuthorizeCodeSession(ctx context.Context, code string, session fosite.Session) (fosite.Requester, error) {
	m := memoryOf(ctx)
	if m.codeRequest != nil && m.code == code {
		return m.codeRequest, nil
	}
	row, err := s.authorization(ctx, code)
	if err != nil {
		return nil, err
	}
	if row.UserID == nil || row.Status != store.AuthorizationStatusApproved {
		return nil, fosite.ErrNotFound
	}
	r := s.request(ctx, row, session)
	r.Form = formOf(map[string]*string{"redirect_uri": row.RedirectURI})
	if row.RedeemedAt != nil && ctx.Value(fosite.AccessResponseContextKey) == nil {
		return r, fosite.ErrInvalidatedAuthorizeCode // when the answer is being made already, Commit says so
	}
	h := heldBy(row)
	h.ends = map[fosite.TokenType]*time.Time{fosite.AuthorizeCode: row.CodeExpiresAt}
	if c := s.clientOf(ctx, row.ClientID); deref(c.row.SubjectType) != "pairwise" {
		h.subject = string(*row.UserID) // else Commit says it
	}
	err = hydrate(session, row.Data, h)
	if err != nil {
		return nil, err
	}
	m.code, m.codeRequest, m.looked, m.kept = code, r, true, row.Data
	return r, nil
}

func heldBy(row store.OAuthAuthorization) held {
	return held{
		user: row.UserID, session: row.SessionID, reference: row.ReferenceID, authTime: row.AuthTime, acr: row.ACR, amr: row.AMR,
	}
}

// authorization is the row of a code.
func (s *Store) authorization(ctx context.Context, code string) (store.OAuthAuthorization, error) {
	m := memoryOf(ctx)
	if m.code == code && m.authorization.ID != "" {
		return m.authorization, nil
	}
	row, err := s.queries.FindAuthorizationByCode(ctx, digestOf(code))
	switch {
	case db.IsNotFound(err):
		return row, fosite.ErrNotFound
	case err != nil:
		return row, s.fault(ctx, err)
	}
	m.code, m.authorization, m.codeRequest = code, row, nil
	return row, nil
}

func (s *Store) request(ctx context.Context, row store.OAuthAuthorization, session fosite.Session) *fosite.Request {
	return &fosite.Request{
		ID: string(row.ID), RequestedAt: row.CreatedAt, Client: s.clientOf(ctx, row.ClientID), Session: session, Form: url.Values{},
		RequestedScope: row.Scopes, GrantedScope: row.GrantedScopes, RequestedAudience: row.Resources, GrantedAudience: row.Resources,
	}
}

func formOf(values map[string]*string) url.Values {
	form := url.Values{}
	for name, v := range values {
		if v != nil {
			form.Set(name, *v)
		}
	}
	return form
}

// CreatePKCERequestSession sends nothing: CreateAuthorizeCodeSession has stored the challenge with the code.
func (s *Store) CreatePKCERequestSession(ctx context.Context, _ string, _ fosite.Requester) error {
	return inAuthorizeRequest(ctx)
}

func inAuthorizeRequest(ctx context.Context) error {
	if authorizeRequest(ctx) == nil {
		return fosite.ErrMisconfiguration.WithHint("Codes are issued by NewAuthorizeResponse.")
	}
	return nil
}

// GetPKCERequestSession returns the challenge that stands with a code. It sends [store.Queries.FindAuthorizationByCode] where the code
// hasn't been looked up before in the request.
func (s *Store) GetPKCERequestSession(ctx context.Context, code string, session fosite.Session) (fosite.Requester, error) {
	row, err := s.authorization(ctx, code)
	if err != nil {
		return nil, err
	}
	if row.CodeChallenge == nil {
		return nil, fosite.ErrNotFound
	}
	r := s.request(ctx, row, session)
	r.Form = formOf(map[string]*string{"code_challenge": row.CodeChallenge, "code_challenge_method": row.CodeChallengeMethod})
	return r, nil
}

// DeletePKCERequestSession sends nothing. The challenge stays with the code, so a code whose verifier was wrong can't be redeemed without
// one.
func (s *Store) DeletePKCERequestSession(context.Context, string) error { return nil }

// CreateOpenIDConnectSession sends nothing: CreateAuthorizeCodeSession has stored the request with the code.
func (s *Store) CreateOpenIDConnectSession(ctx context.Context, _ string, _ fosite.Requester) error {
	return inAuthorizeRequest(ctx)
}

// GetOpenIDConnectSession returns what an ID token is made of. It sends [store.Queries.FindAuthorizationByCode] where the code hasn't
// been looked up before in the request.
func (s *Store) GetOpenIDConnectSession(ctx context.Context, code string, requester fosite.Requester) (fosite.Requester, error) {
	row, err := s.authorization(ctx, codeSignature(code))
	if err != nil {
		return nil, err
	}
	if !slices.Contains(row.GrantedScopes, "openid") {
		return nil, openid.ErrNoSessionFound
	}
	r := s.request(ctx, row, requester.GetSession())
	r.Form = formOf(map[string]*string{
		"nonce": row.Nonce, "acr_values": optional(strings.Join(row.ACRValues, " ")), "prompt": optional(strings.Join(askedOf(row).Prompt, " ")),
	})
	if row.MaxAge != nil {
		r.Form.Set("max_age", strconv.FormatInt(*row.MaxAge, 10))
	}
	return r, nil
}

// askedOf is what another server may have written in another way.
func askedOf(row store.OAuthAuthorization) (a asked) {
	if row.Request != nil && json.Unmarshal(row.Request, &a) != nil {
		return asked{}
	}
	return a
}

// DeleteOpenIDConnectSession sends nothing: the row is the family of the tokens.
func (s *Store) DeleteOpenIDConnectSession(context.Context, string) error { return nil }

// codeSignature is the signature of a code: the library passes the code itself to some methods.
func codeSignature(code string) string {
	if _, signature, found := strings.Cut(code, "."); found {
		return signature
	}
	return string(token.DigestOf(code))
}

// credentials are parameters that are never stored.
var credentials = []string{
	"client_secret", "client_assertion", "client_assertion_type", "code", "code_verifier", "password", "username", "refresh_token",
	"access_token", "token", "assertion", "device_code", "subject_token", "actor_token",
	"request", // a signed request: its parameters are in the form
}

// CreatePARSession records a pushed request (RFC 9126, section 2): [store.Queries.CreateAuthorization], which judges it by the client's
// registration.
func (s *Store) CreatePARSession(ctx context.Context, requestURI string, request fosite.AuthorizeRequester) error {
	request.SetID(pushedPrefix + uuid.Must(uuid.NewV7()).String())
	form := request.GetRequestForm()
	rest := url.Values{}
	for name, values := range form {
		if !slices.Contains(credentials, name) && !slices.Contains(inColumns, name) {
			rest[name] = values
		}
	}
	opening := DefaultRequestURILifetime
	if session := request.GetSession(); session != nil {
		if l := lifetime(session, fosite.PushedAuthorizeRequestContext); l > 0 {
			opening = l
		}
	}
	row, err := s.queries.CreateAuthorization(ctx, store.CreateAuthorizationParams{
		ID:                  store.AuthorizationID(request.GetID()),
		ClientID:            store.ClientID(request.GetClient().GetID()),
		RedirectURI:         optional(form.Get("redirect_uri")),
		ResponseType:        optional(strings.Join(request.GetResponseTypes(), " ")),
		ResponseMode:        optional(string(request.GetResponseMode())),
		CodeChallenge:       optional(form.Get("code_challenge")),
		CodeChallengeMethod: optional(form.Get("code_challenge_method")),
		Scopes:              request.GetRequestedScopes(),
		DefaultScopes:       s.opts.Scopes,
		Resources:           request.GetRequestedAudience(),
		DefaultResources:    s.opts.Audience,
		State:               optional(request.GetState()),
		Nonce:               optional(form.Get("nonce")),
		ACRValues:           fosite.RemoveEmpty(strings.Split(form.Get("acr_values"), " ")),
		MaxAge:              maxAge(form),
		Request:             asked{Prompt: fosite.RemoveEmpty(strings.Split(form.Get("prompt"), " ")), Form: rest}.marshal(),
		RequestURI:          new(token.DigestOf(requestURI)),
		RequestURILifetime:  opening,
		Lifetime:            s.opts.RequestLifetime,
	})
	if err != nil {
		return s.fault(ctx, err)
	}
	return refused(oautherror.PushedAuthorization, oautherror.CreateAuthorization, row.Outcome)
}

// inColumns are the parameters that have columns of their own.
var inColumns = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "code_challenge", "code_challenge_method", "scope", "audience", "state",
	"nonce", "acr_values", "max_age", "prompt",
}

// GetPARSession returns a pushed request: [store.Queries.FindAuthorizationByRequestURI], [store.Queries.GetClient]. The page may be loaded
// again until the user has decided (RFC 9126, section 4).
func (s *Store) GetPARSession(ctx context.Context, requestURI string) (fosite.AuthorizeRequester, error) {
	ar := authorizeRequest(ctx)
	if ar == nil {
		return nil, fosite.ErrMisconfiguration.WithHint("Pushed requests are opened by NewAuthorizeRequest.")
	}
	row, err := s.queries.FindAuthorizationByRequestURI(ctx, store.FindAuthorizationByRequestURIParams{
		RequestURI: token.DigestOf(requestURI), ClientID: store.ClientID(ar.GetRequestForm().Get("client_id")), Lifetime: s.opts.RequestLifetime,
	})
	switch {
	case db.IsNotFound(err):
		return nil, fosite.ErrNotFound
	case err != nil:
		return nil, s.fault(ctx, err)
	}
	client, err := s.GetClient(ctx, string(row.ClientID))
	if err != nil {
		return nil, err
	}
	a := askedOf(row)
	form := formOf(map[string]*string{
		"client_id": new(string(row.ClientID)), "redirect_uri": row.RedirectURI, "response_type": row.ResponseType, "response_mode": row.ResponseMode,
		"code_challenge": row.CodeChallenge, "code_challenge_method": row.CodeChallengeMethod, "scope": optional(strings.Join(row.Scopes, " ")),
		"state": row.State, "nonce": row.Nonce,
		"acr_values": optional(strings.Join(row.ACRValues, " ")), "prompt": optional(strings.Join(a.Prompt, " ")),
	})
	if row.MaxAge != nil {
		form.Set("max_age", strconv.FormatInt(*row.MaxAge, 10))
	}
	if row.Resources != nil {
		form["audience"] = row.Resources
	}
	for name, values := range a.Form {
		if !slices.Contains(inColumns, name) {
			form[name] = values
		}
	}
	redirectURI, err := fosite.MatchRedirectURIWithClientRedirectURIs(deref(row.RedirectURI), client)
	if err != nil {
		return nil, err
	}
	return &fosite.AuthorizeRequest{
		ResponseTypes: fosite.RemoveEmpty(strings.Split(deref(row.ResponseType), " ")), RedirectURI: redirectURI, State: deref(row.State),
		ResponseMode: fosite.ResponseModeType(deref(row.ResponseMode)), HandledResponseTypes: fosite.Arguments{},
		Request: fosite.Request{
			ID: string(row.ID), RequestedAt: row.CreatedAt, Client: client, Form: form,
			RequestedScope: row.Scopes, RequestedAudience: row.Resources,
		},
	}, nil
}

// DeletePARSession sends nothing. The user's decision uses the request_uri up.
func (s *Store) DeletePARSession(context.Context, string) error { return nil }

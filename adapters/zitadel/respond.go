package zitadel

import (
	"bytes"
	"cmp"
	"context"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// formPost sends the parameters of an answer to the client (OAuth 2.0 Form Post Response Mode, section 2). The library's page leaves out
// what is not of a success. The event handler is the library's, so that a content security policy that names it still fits.
var formPost = template.Must(template.New("form_post").Parse(`<!doctype html>
<html>
<head><meta charset="UTF-8" /></head>
<body onload="javascript:document.forms[0].submit()">
<form method="post" action="{{ .RedirectURI }}">
{{- range $name, $values := .Params }}
{{- range $values }}
<input type="hidden" name="{{ $name }}" value="{{ . }}" />
{{- end }}
{{- end }}
</form>
</body>
</html>
`))

// answer sends the browser back to the client with the parameters, in the response mode that the request named, and says who answers (RFC
// 9207, section 2).
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, redirectURI, mode string, params url.Values) error {
	to, err := url.Parse(redirectURI)
	if err != nil {
		return err
	}
	params.Set("iss", p.IssuerFromRequest(r))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	switch oidc.ResponseMode(mode) {
	case oidc.ResponseModeFormPost:
		var page bytes.Buffer
		err := formPost.Execute(&page, struct {
			RedirectURI template.URL // that of a registered client, whose scheme may be its own
			Params      url.Values
		}{template.URL(redirectURI), params})
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = page.WriteTo(w) // the browser may have gone
		return nil
	case oidc.ResponseModeFragment:
		// Encode has escaped: Fragment alone would be escaped once more.
		to.RawFragment = params.Encode()
		if to.Fragment, err = url.PathUnescape(to.RawFragment); err != nil {
			return err
		}
	default:
		query := to.Query()
		for name, values := range params {
			query[name] = values
		}
		to.RawQuery = query.Encode()
	}
	http.Redirect(w, r, to.String(), http.StatusSeeOther) // RFC 9700, section 4.12
	return nil
}

// errorParams are the parameters of an error (RFC 6749, section 4.1.2.1).
func errorParams(e *oidc.Error, state string) url.Values {
	params := url.Values{"error": {string(e.ErrorType)}}
	if e.Description != "" {
		params.Set("error_description", e.Description)
	}
	if state != "" {
		params.Set("state", state)
	}
	return params
}

// codeParams are those of a success (RFC 6749, section 4.1.2).
func codeParams(code token.Raw, state string) url.Values {
	params := url.Values{"code": {code.Reveal()}}
	if state != "" {
		params.Set("state", state)
	}
	return params
}

// authorize serves the authorization endpoint (RFC 6749, section 3.1). The library compares redirect URIs and response types in Go, by rules
// of its own; here [store.Queries.CreateAuthorization] judges the request. Where that has not been asked, or has said no,
// [store.Queries.CheckAuthorizationRequest] says where the error goes: to a registered redirect URI, or to a page.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Form.Has("request_uri") {
		p.open(w, r)
		return
	}
	request, err := op.ParseAuthorizeRequest(r, p.Decoder())
	if err != nil { // a max_age that is no number, say
		p.refuse(w, r, plainRequest(r.Form), err)
		return
	}
	if err := p.know(r.Context(), request.ClientID); err != nil { // without its document there is no redirect URI to answer to
		p.refuse(w, r, request, oidc.ErrInvalidRequestRedirectURI().WithDescription("%s", oidc.DefaultToServerError(err, "unknown client").Description))
		return
	}
	created, err := p.requested(r, request, nil)
	if err != nil {
		p.refuse(w, r, request, err)
		return
	}
	http.Redirect(w, r, p.storage.opts.LoginURL(created.GetID()), http.StatusSeeOther)
}

// plainRequest is as much of a request that can't be read as says where to answer. What is given twice says nothing.
func plainRequest(form url.Values) *oidc.AuthRequest {
	once := func(name string) string {
		if len(form[name]) != 1 {
			return ""
		}
		return form[name][0]
	}
	request := &oidc.AuthRequest{
		ClientID: once("client_id"), RedirectURI: once("redirect_uri"), State: once("state"),
		ResponseType: oidc.ResponseType(once("response_type")), ResponseMode: oidc.ResponseMode(once("response_mode")),
	}
	if len(form["redirect_uri"]) > 1 {
		request.ClientID = "" // nor is it the one that the client has
	}
	return request
}

// refuse tells the client why its request isn't served, or, where that is not known to be the client, the user.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, request *oidc.AuthRequest, err error) {
	refused := oidc.DefaultToServerError(err, "the request can't be served")
	var redirectURI *string
	if err = nil; !refused.IsRedirectDisabled() {
		redirectURI, err = p.storage.answerTo(r.Context(), request)
	}
	switch {
	case err != nil, exchangeFrom(r.Context()).fault: // which is answered as one
	case redirectURI == nil:
		http.Error(w, cmp.Or(refused.Description, string(refused.ErrorType)), http.StatusBadRequest)
	default:
		mode := request.ResponseMode
		if mode == "" && strings.Contains(string(request.ResponseType), "token") {
			mode = oidc.ResponseModeFragment // OAuth 2.0 Multiple Response Type Encoding Practices, section 5
		}
		if err := p.answer(w, r, *redirectURI, string(mode), errorParams(refused, request.State)); err != nil {
			http.Error(w, "the request can't be served", http.StatusBadRequest)
		}
	}
}

// requested records a request, pushed or not. An error is one for the client.
func (p *Provider) requested(r *http.Request, request *oidc.AuthRequest, requestURI *token.Digest) (op.AuthRequest, error) {
	if request.RequestParam != "" && p.RequestObjectSupported() {
		if err := op.ParseRequestObject(r.Context(), request, p.storage, op.IssuerFromContext(r.Context())); err != nil {
			return nil, withCode("invalid_request_object").WithDescription("the request object is not accepted") // RFC 9101, section 7
		}
	}
	c, err := p.storage.client(r.Context(), request.ClientID)
	switch {
	case err != nil:
		return nil, err
	case request.RedirectURI == "" && slices.Contains(request.Scopes, oidc.ScopeOpenID):
		return nil, oidc.ErrInvalidRequestRedirectURI().WithDescription("redirect_uri is missing") // OpenID Connect Core 1.0, section 3.1.2.1
	case request.RequestParam != "":
		return nil, oidc.ErrRequestNotSupported() // OpenID Connect Core 1.0, section 3.1.2.6
	case request.ResponseType == "":
		return nil, oidc.ErrInvalidRequest().WithDescription("response_type is missing")
	case c.public() && !p.storage.opts.DevMode && inTheClear(request.RedirectURI):
		return nil, oidc.ErrInvalidRequestRedirectURI().WithDescription("a public client's redirect_uri has to be https")
	case slices.ContainsFunc(request.Prompt, func(prompt string) bool { return !slices.Contains(servedPrompts, prompt) }):
		return nil, oidc.ErrInvalidRequest().WithDescription("unknown prompt") // Initiating User Registration via OpenID Connect 1.0, section 4.1
	}
	if request.MaxAge, err = op.ValidateAuthReqPrompt(request.Prompt, request.MaxAge); err != nil {
		return nil, err
	}
	subject, err := op.ValidateAuthReqIDTokenHint(r.Context(), request.IDTokenHint, p.IDTokenHintVerifier(r.Context()))
	if err != nil {
		return nil, err
	}
	return p.storage.createAuthRequest(r.Context(), request, subject, requestURI)
}

// servedPrompts are those of OpenID Connect Core 1.0, section 3.1.2.1.
var servedPrompts = []string{oidc.PromptNone, oidc.PromptLogin, oidc.PromptConsent, oidc.PromptSelectAccount}

// inTheClear says whether an answer would cross a network unencrypted.
func inTheClear(redirectURI string) bool {
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// answerTo is where the answer to a request goes; nil: nowhere.
func (s *Storage) answerTo(ctx context.Context, r *oidc.AuthRequest) (*string, error) {
	if !storable(r.ClientID, r.RedirectURI) {
		return nil, nil
	}
	row, err := s.store.CheckAuthorizationRequest(ctx, store.CheckAuthorizationRequestParams{
		ClientID: store.ClientID(r.ClientID), RedirectURI: optional(r.RedirectURI),
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return row.RedirectURI, nil
}

// errOver is for the user: there is nowhere to answer to.
const errOver = "this request is over"

// callback gives the client its code in exchange for the ticket of [Storage.Approve]: [store.Queries.FindAuthorizationByCode],
// [store.Queries.IssueAuthorizationCode].
func (p *Provider) callback(w http.ResponseWriter, r *http.Request) {
	s := p.storage
	request, err := s.authRequestByCode(r.Context(), r.Form.Get("id"))
	if err != nil {
		http.Error(w, errOver, http.StatusBadRequest) // or a fault, which is answered as one
		return
	}
	a := request.(*authRequest)
	code := token.Mint(token.AuthorizationCode)
	issued, err := s.issueCode(r.Context(), a.GetID(), code.Digest())
	if err != nil {
		_ = s.fault(r.Context(), err)
		return
	}
	params := codeParams(code, a.GetState())
	if refused := refusal(oautherror.Authorization, oautherror.IssueAuthorizationCode, issued.Outcome); refused != nil {
		if refused.IsRedirectDisabled() || issued.RedirectURI == nil {
			http.Error(w, errOver, http.StatusBadRequest)
			return
		}
		params = errorParams(refused, a.GetState())
	}
	if err := p.answer(w, r, deref(issued.RedirectURI), string(a.GetResponseMode()), params); err != nil {
		http.Error(w, errOver, http.StatusBadRequest)
	}
}

package zitadel

import (
	"bytes"
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

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

// authorize serves the authorization endpoint. An error by which the library sends the browser back to the client is sent in the response
// mode that the request named.
func (p *Provider) authorize(w *response, r *http.Request, next http.Handler) {
	if r.Form.Has("request_uri") {
		p.open(w, r)
		return
	}
	next.ServeHTTP(w, r)
	to, err := url.Parse(w.header.Get("Location"))
	asked, askedErr := url.Parse(r.Form.Get("redirect_uri"))
	if w.status/100 != 3 || err != nil || askedErr != nil || to.Scheme != asked.Scheme || to.Host != asked.Host || to.Path != asked.Path {
		return // on to the login page, or an error page
	}
	mode := r.Form.Get("response_mode")
	told := to.Query()
	if to.Fragment != "" { // also where the response type is one that the library answers so
		mode = string(oidc.ResponseModeFragment)
		if told, err = url.ParseQuery(to.EscapedFragment()); err != nil {
			return
		}
	}
	if !told.Has("error") {
		return
	}
	e := withCode(told.Get("error"))
	e.Description = told.Get("error_description")
	if t := r.Form.Get("response_type"); t != "" && t != string(oidc.ResponseTypeCode) {
		e = unsupportedResponseType() // whatever the library calls it
	}
	*w = response{header: w.header}
	w.header.Del("Location")
	w.header.Del("Content-Type")
	if err := p.answer(w, r, r.Form.Get("redirect_uri"), mode, errorParams(e, r.Form.Get("state"))); err != nil {
		op.RequestError(w, r, err, nil)
	}
}

// callback gives the client its code in exchange for the ticket of [Storage.Approve]: [store.Queries.FindAuthorizationByCode],
// [store.Queries.IssueAuthorizationCode].
func (p *Provider) callback(w http.ResponseWriter, r *http.Request) {
	request, err := p.storage.authRequestByCode(r.Context(), r.Form.Get("id"))
	if err != nil {
		http.Error(w, "this request is over", http.StatusBadRequest) // or a fault, which is answered as one
		return
	}
	a := request.(*authRequest)
	code := token.Mint(token.AuthorizationCode)
	params := codeParams(code, a.GetState())
	if err := p.storage.SaveAuthCode(r.Context(), a.GetID(), code.Reveal()); err != nil {
		var refused *oidc.Error
		if !errors.As(err, &refused) || refused.IsRedirectDisabled() {
			http.Error(w, "this request is over", http.StatusBadRequest)
			return
		}
		params = errorParams(refused, a.GetState())
	}
	if err := p.answer(w, r, a.GetRedirectURI(), string(a.GetResponseMode()), params); err != nil {
		http.Error(w, "this request is over", http.StatusBadRequest)
	}
}

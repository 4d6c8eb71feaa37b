package main

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
)

const parPath = "/par"

// push is the endpoint for pushed requests (RFC 9126, section 2), which the library lacks. It takes clients that are public or have a secret.
func (s *server) push(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormLength)
	client, method, secret, ok := presented(w, r)
	if !ok {
		return
	}
	outcome, err := s.store.AuthenticateClient(r.Context(), store.AuthenticateClientParams{ClientID: client, ClientAuthMethod: method, ClientSecret: secret})
	switch {
	case err != nil:
		s.fault(w, r, err)
		return
	case refuse(w, oautherror.PushedAuthorization, oautherror.AuthenticateClient, outcome):
		return
	}
	requestURI, err := s.pushRequest(r, client)
	var refused *oidc.Error
	switch {
	case errors.Is(err, zitadel.ErrStore):
		s.fault(w, r, err)
	case errors.As(err, &refused):
		status := http.StatusBadRequest
		if refused.ErrorType == oidc.InvalidClient {
			status = http.StatusUnauthorized
		}
		tellError(w, status, string(refused.ErrorType))
	case err != nil:
		tellError(w, http.StatusBadRequest, "invalid_request")
	default:
		tell(w, http.StatusCreated, map[string]any{"request_uri": requestURI, "expires_in": int(zitadel.RequestURILifetime.Seconds())})
	}
}

func (s *server) pushRequest(r *http.Request, client store.ClientID) (requestURI string, err error) {
	request, err := op.ParseAuthorizeRequest(r, s.provider.Decoder())
	switch {
	case err != nil:
		return "", err
	case r.Form.Has("request_uri") || request.RequestParam != "": // section 2.1; request objects are left out here
		return "", oidc.ErrInvalidRequest()
	}
	request.ClientID = string(client)
	registered, err := s.storage.GetClientByClientID(r.Context(), request.ClientID)
	if err != nil {
		return "", err
	}
	subject, err := op.ValidateAuthRequestClient(r.Context(), request, registered, s.provider.IDTokenHintVerifier(op.ContextWithIssuer(r.Context(), s.issuer)))
	if err != nil {
		return "", err
	}
	return s.storage.PushAuthRequest(r.Context(), request, subject)
}

// authorize is the authorization endpoint: the library's, but for requests that were pushed. The link may be loaded again until the user has
// decided (section 4).
func (s *server) authorize(w http.ResponseWriter, r *http.Request) {
	requestURI := r.URL.Query().Get("request_uri")
	if requestURI == "" {
		s.explain(s.provider).ServeHTTP(w, r)
		return
	}
	pageHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := s.storage.OpenAuthRequest(r.Context(), r.URL.Query().Get("client_id"), requestURI)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		http.Redirect(w, r, "/continue?"+url.Values{"id": {id}}.Encode(), http.StatusSeeOther)
	})).ServeHTTP(w, r)
}

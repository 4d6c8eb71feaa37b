package zitadel

import (
	"cmp"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
)

// descriptions tell the client's developer what the code alone doesn't.
var descriptions = map[store.Outcome]string{
	store.OutcomeUnauthenticated:       "the client is not authenticated",
	store.OutcomeDisabled:              "unknown client",
	store.OutcomeRequestMustBePushed:   "the client has to push its requests",
	store.OutcomePKCERequired:          "code_challenge required",
	store.OutcomePKCEMethodRefused:     "code_challenge must be one by S256",
	store.OutcomeRedirectURIMismatched: "the redirect_uri is not registered",
}

// refusal is the error of package oautherror as the library knows it, or nil.
func refusal(at oautherror.Endpoint, call oautherror.Call, outcome store.Outcome) *oidc.Error {
	refused := oautherror.For(at, call, outcome)
	if refused == nil {
		return nil
	}
	if refused.Page {
		return oidc.ErrInvalidRequestRedirectURI().WithDescription("%s", cmp.Or(descriptions[outcome], "the request can't be served"))
	}
	e := withCode(refused.Code)
	e.Description = descriptions[outcome]
	return e
}

// refused is refusal as an error.
func refused(at oautherror.Endpoint, call oautherror.Call, outcome store.Outcome) error {
	if e := refusal(at, call, outcome); e != nil {
		return e
	}
	return nil
}

// withCode returns an error with any code. The library exports those that it knows, and not their type.
func withCode(code string) *oidc.Error {
	e := new(oidc.Error)
	set(&e.ErrorType, code)
	return e
}

func set[T ~string](to *T, text string) { *to = T(text) }

// requestRefused is why a request was not recorded, nil if it was.
func requestRefused(at oautherror.Endpoint, row store.CreateAuthorizationRow) error {
	e := refusal(at, oautherror.CreateAuthorization, row.Outcome)
	switch {
	case e == nil:
		return nil
	case row.Outcome == store.OutcomeInvalidScope:
		e.Description = "the client may not ask for " + strings.Join(row.RefusedScopes, " ")
	}
	return e
}

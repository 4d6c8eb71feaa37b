package zitadel

import (
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/oauthdb/oauthdb/store"
)

// tokenError is what the token, introspection and revocation endpoints answer to a call that came to nothing (RFC 6749, section 5.2).
func tokenError(outcome store.Outcome) *oidc.Error {
	switch outcome {
	case store.OutcomeUnauthenticated:
		return oidc.ErrInvalidClient().WithDescription("the client is not authenticated")
	case store.OutcomeDisabled:
		return unknownClient()
	case store.OutcomeUnauthorizedClient:
		return oidc.ErrUnauthorizedClient()
	case store.OutcomeInvalidScope:
		return oidc.ErrInvalidScope()
	case store.OutcomeInvalidTarget:
		return &oidc.Error{ErrorType: "invalid_target"} // RFC 8707, section 2
	default: // unknown, mismatched, expired, revoked, replayed
		return oidc.ErrInvalidGrant()
	}
}

// requestError is what the authorization endpoint answers to a request that was not recorded (RFC 6749, section 4.1.2.1).
func requestError(row store.CreateAuthorizationRow) *oidc.Error {
	switch row.Outcome {
	case store.OutcomeRedirectURIMismatched:
		return oidc.ErrInvalidRequestRedirectURI()
	case store.OutcomeRequestMustBePushed:
		return oidc.ErrInvalidRequest().WithDescription("the client has to push its requests")
	case store.OutcomeUnsupportedResponseType:
		return unsupportedResponseType()
	case store.OutcomeUnauthorizedClient:
		return oidc.ErrUnauthorizedClient()
	case store.OutcomePKCERequired:
		return oidc.ErrInvalidRequest().WithDescription("code_challenge required")
	case store.OutcomePKCEMethodRefused:
		return oidc.ErrInvalidRequest().WithDescription("code_challenge must be one by S256")
	case store.OutcomeInvalidScope:
		return oidc.ErrInvalidScope().WithDescription("the client may not ask for %s", strings.Join(row.RefusedScopes, " "))
	case store.OutcomeInvalidTarget:
		return &oidc.Error{ErrorType: "invalid_target"} // RFC 8707, section 2
	default: // unknown, disabled: a moment ago
		return unknownClient()
	}
}

// authorizationError is what the authorization endpoint answers to a decision that was not recorded (RFC 6749, section 4.1.2.1;
// OpenID Connect Core 1.0, section 3.1.2.6).
func authorizationError(outcome store.Outcome) *oidc.Error {
	switch outcome {
	case store.OutcomeUndecided:
		return oidc.ErrInteractionRequired()
	case store.OutcomeSignedOut:
		return oidc.ErrLoginRequired()
	case store.OutcomeDisabled, store.OutcomeUnauthorizedClient:
		return oidc.ErrUnauthorizedClient()
	case store.OutcomeRedirectURIMismatched: // no longer registered
		return oidc.ErrInvalidRequestRedirectURI()
	case store.OutcomeInvalidScope:
		return oidc.ErrInvalidScope()
	case store.OutcomeInvalidTarget:
		return &oidc.Error{ErrorType: "invalid_target"} // RFC 8707, section 2
	default: // denied, suspended; decided, expired, revoked, replayed, unknown: the request serves no more
		return oidc.ErrAccessDenied()
	}
}

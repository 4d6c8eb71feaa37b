package zitadel

import (
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

// authorizationError is what the authorization endpoint answers to a decision that was not recorded (RFC 6749, section 4.1.2.1;
// OpenID Connect Core 1.0, section 3.1.2.6).
func authorizationError(outcome store.Outcome) *oidc.Error {
	switch outcome {
	case store.OutcomeUndecided:
		return oidc.ErrInteractionRequired()
	case store.OutcomeSignedOut:
		return oidc.ErrLoginRequired()
	case store.OutcomeDisabled:
		return oidc.ErrUnauthorizedClient()
	case store.OutcomeInvalidScope:
		return oidc.ErrInvalidScope()
	default: // denied, suspended; decided, expired, revoked, replayed, unknown: the request serves no more
		return oidc.ErrAccessDenied()
	}
}

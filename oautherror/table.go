package oautherror

import (
	"net/http"

	"github.com/oauthdb/oauthdb/store"
)

// is an answer with status 400, as most are (RFC 6749, section 5.2).
func is(code, source string) answer {
	return answer{code: code, status: http.StatusBadRequest, source: source}
}

func invalidGrant(source string) answer { return is("invalid_grant", source) }

// page is an answer of which the client hears nothing.
func page(status int, source string) answer {
	return answer{status: status, page: true, source: source}
}

var (
	success = answer{status: http.StatusOK}

	invalidClient = answer{code: "invalid_client", status: http.StatusUnauthorized, source: "RFC 6749, section 5.2"}
	invalidToken  = answer{code: "invalid_token", status: http.StatusUnauthorized, source: "RFC 6750, section 3.1"}
	failure       = answer{code: "server_error", status: http.StatusInternalServerError, source: "RFC 6749, section 4.1.2.1"}
	// lost is a request whose redirect URI can't be trusted, or that can't be found.
	lost = page(http.StatusBadRequest, "RFC 6749, section 4.1.2.1")
)

// rules is the table. Of the rules that hold for an outcome, the last counts.
//
// The first rules name each word once. Those with an endpoint or calls differ from them, and say why.
var rules = []rule{
	// The call has done what it is for, or what was asked about is so.
	{words: []store.Outcome{
		store.OutcomeCreated, store.OutcomeInserted, store.OutcomeRegistered, store.OutcomeGranted, store.OutcomeApproved,
		store.OutcomeClaimed, store.OutcomeIssued, store.OutcomeRedeemed, store.OutcomeExchanged, store.OutcomeRotated,
		store.OutcomeUpdated, store.OutcomeChanged, store.OutcomeReplaced, store.OutcomeExtended, store.OutcomeFresh,
		store.OutcomeAuthenticated, store.OutcomeAccepted, store.OutcomeRemembered, store.OutcomeCounted, store.OutcomeActive,
		store.OutcomeEnded, store.OutcomeWithdrawn, store.OutcomeDeleted, store.OutcomeEnabled, store.OutcomeReinstated,
		store.OutcomeDelivered, store.OutcomePostponed, store.OutcomeAbandoned, store.OutcomeRetried,
	}, answer: success},
	// RFC 7662, section 2.2: "active": false is no error.
	{words: []store.Outcome{store.OutcomeInactive}, answer: success},

	{words: []store.Outcome{store.OutcomeUnauthenticated, store.OutcomeDisabled}, answer: invalidClient},
	{words: []store.Outcome{
		store.OutcomeUnknown, store.OutcomeExpired, store.OutcomeRevoked, store.OutcomeReplayed, store.OutcomeSuperseded,
		store.OutcomeMismatched, store.OutcomeRedirectURIMismatched, store.OutcomeSuspended, store.OutcomeSignedOut,
	}, answer: invalidGrant("RFC 6749, section 5.2")},
	{words: []store.Outcome{store.OutcomeUntrusted, store.OutcomeTooFar}, answer: invalidGrant("RFC 7523, section 3.1")},
	{words: []store.Outcome{store.OutcomeUnauthorizedClient}, answer: is("unauthorized_client", "RFC 6749, section 5.2")},
	{words: []store.Outcome{store.OutcomeInvalidScope}, answer: is("invalid_scope", "RFC 6749, section 5.2")},
	{words: []store.Outcome{store.OutcomeInvalidTarget}, answer: is("invalid_target", "RFC 8707, section 2")},
	{
		words:  []store.Outcome{store.OutcomeInvalidAuthorizationDetails},
		answer: is("invalid_authorization_details", "RFC 9396, section 5"),
	},
	{words: []store.Outcome{store.OutcomeProofReplayed}, answer: is("invalid_dpop_proof", "RFC 9449, section 5")},
	{words: []store.Outcome{store.OutcomeAuthorizationPending}, answer: is("authorization_pending", "RFC 8628, section 3.5")},
	{words: []store.Outcome{store.OutcomeSlowDown}, answer: is("slow_down", "RFC 8628, section 3.5")},
	{words: []store.Outcome{store.OutcomeDenied}, answer: is("access_denied", "RFC 8628, section 3.5")},
	{
		words:  []store.Outcome{store.OutcomeUnsupportedResponseType},
		answer: is("unsupported_response_type", "RFC 6749, section 4.1.2.1"),
	},
	{words: []store.Outcome{store.OutcomeRequestMustBePushed}, answer: is("invalid_request", "RFC 9126, section 5")},
	{
		words:  []store.Outcome{store.OutcomePKCERequired, store.OutcomePKCEMethodRefused},
		answer: is("invalid_request", "RFC 7636, section 4.4.1"),
	},
	{words: []store.Outcome{store.OutcomeUndecided}, answer: is("interaction_required", "OpenID Connect Core 1.0, section 3.1.2.6")},
	{words: []store.Outcome{store.OutcomeInvalidRedirectURI}, answer: is("invalid_redirect_uri", "RFC 7591, section 3.2.2")},
	{words: []store.Outcome{store.OutcomeInvalidClientMetadata}, answer: is("invalid_client_metadata", "RFC 7591, section 3.2.2")},
	{
		words:  []store.Outcome{store.OutcomeUnsupportedTokenType},
		answer: is("unsupported_token_type", "RFC 7009, section 2.2.1"),
	},
	{words: []store.Outcome{store.OutcomeTooManyActors}, answer: is("invalid_request", "RFC 8693, section 2.2.2")},
	// The identifiers are the server's, so it calls again with new ones before it says anything.
	{words: []store.Outcome{store.OutcomeTaken}, answer: failure},
	// No client hears of these.
	{words: []store.Outcome{store.OutcomeDecided, store.OutcomeSpent, store.OutcomeRegressed}, answer: lost},
	{words: []store.Outcome{store.OutcomeLast, store.OutcomeStale}, answer: page(http.StatusConflict, "RFC 9110, section 15.5.10")},
	{words: []store.Outcome{store.OutcomeExhausted}, answer: page(http.StatusTooManyRequests, "RFC 6585, section 4")},

	// The token endpoint, and the authentication of clients.
	{
		calls:  []Call{ExchangeToken},
		words:  []store.Outcome{store.OutcomeUnknown, store.OutcomeExpired, store.OutcomeRevoked, store.OutcomeMismatched, store.OutcomeUnsupportedTokenType},
		answer: is("invalid_request", "RFC 8693, section 2.2.2"), because: "the subject token is a parameter, not a grant",
	},
	{
		calls: []Call{IssueAccessToken}, words: []store.Outcome{store.OutcomeMismatched},
		answer: is("invalid_request", "RFC 6749, section 5.2"), because: "there is no grant; what is missing is the DPoP header or the certificate",
	},
	{
		calls: []Call{PollDeviceCode}, words: []store.Outcome{store.OutcomeExpired},
		answer: is("expired_token", "RFC 8628, section 3.5"), because: "the device begins anew by itself",
	},
	{
		calls: []Call{PollDeviceCode}, words: []store.Outcome{store.OutcomeRevoked},
		answer: is("access_denied", "RFC 8628, section 3.5"), because: "somebody has ended what the device still waits for",
	},
	{
		calls: []Call{RememberClientAssertion}, words: []store.Outcome{store.OutcomeProofReplayed, store.OutcomeExpired, store.OutcomeTooFar},
		answer: answer{invalidClient.code, invalidClient.status, false, "RFC 7523, section 3.2"}, because: "the assertion authenticates a client",
	},
	{
		calls: []Call{ReplaceForeignSecretHash}, words: []store.Outcome{store.OutcomeUnknown, store.OutcomeExpired, store.OutcomeMismatched},
		answer: invalidClient, because: "the secret authenticates a client",
	},

	// The authorization endpoint. Its errors go to the redirect URI, if that can be trusted.
	{
		at: Authorization, words: []store.Outcome{store.OutcomeUnknown, store.OutcomeRedirectURIMismatched},
		answer: lost, because: "there is no redirect URI to answer to",
	},
	{
		at: Authorization, words: []store.Outcome{store.OutcomeMismatched, store.OutcomeExpired},
		answer: lost, because: "the request serves no more, or not this user",
	},
	{
		at: Authorization, words: []store.Outcome{store.OutcomeRevoked, store.OutcomeSuspended},
		answer: is("access_denied", "RFC 6749, section 4.1.2.1"), because: "nothing is presented that could be an invalid grant",
	},
	{
		at: Authorization, words: []store.Outcome{store.OutcomeDenied},
		answer: is("access_denied", "RFC 6749, section 4.1.2.1"), because: "the code is the same, its source another",
	},
	{
		at: Authorization, words: []store.Outcome{store.OutcomeSignedOut},
		answer: is("login_required", "OpenID Connect Core 1.0, section 3.1.2.6"), because: "the user can sign in again",
	},
	{
		at: Authorization, words: []store.Outcome{store.OutcomeDisabled},
		answer: is("unauthorized_client", "RFC 6749, section 4.1.2.1"), because: "clients don't authenticate here",
	},
	{
		at: Authorization, words: []store.Outcome{store.OutcomeUnauthorizedClient},
		answer: is("unauthorized_client", "RFC 6749, section 4.1.2.1"), because: "the code is the same, its source another",
	},
	{
		at: Authorization, words: []store.Outcome{store.OutcomeInvalidScope},
		answer: is("invalid_scope", "RFC 6749, section 4.1.2.1"), because: "the code is the same, its source another",
	},
	{
		at: Authorization, calls: []Call{CheckAuthorizationRequest, CreateAuthorization, GrantAuthorization},
		words: []store.Outcome{store.OutcomeDisabled}, answer: lost, because: "nobody is sent to a client that is shut out",
	},
	{
		at: Authorization, calls: []Call{DenyAuthorization}, words: []store.Outcome{store.OutcomeRetried},
		answer: is("access_denied", "RFC 6749, section 4.1.2.1"), because: "the same denial again",
	},
	{
		at: Authorization, calls: []Call{PutClientDocument, RefreshClientDocument}, words: []store.Outcome{store.OutcomeStale, store.OutcomeTaken},
		answer: success, because: "what is stored counts; the request is judged by it",
	},
	{
		at: Authorization, calls: []Call{PutClientDocument, RefreshClientDocument}, words: []store.Outcome{store.OutcomeRevoked},
		answer: lost, because: "the client is gone, so there is no redirect URI to answer to",
	},
	{
		at: Authorization, calls: []Call{PutClientDocument},
		words:  []store.Outcome{store.OutcomeInvalidRedirectURI, store.OutcomeInvalidClientMetadata},
		answer: lost, because: "without the document there is no redirect URI to answer to",
	},

	// The pushed authorization request endpoint.
	{
		at: PushedAuthorization, calls: []Call{CheckAuthorizationRequest, CreateAuthorization}, words: []store.Outcome{store.OutcomeUnknown},
		answer: invalidClient, because: "clients authenticate here",
	},
	{
		at: PushedAuthorization, words: []store.Outcome{store.OutcomeRedirectURIMismatched},
		answer: is("invalid_request", "RFC 9126, section 2.3"), because: "there is no grant yet",
	},

	// The backchannel authentication endpoint.
	{
		at: BackchannelAuthentication, calls: []Call{CreateBackchannelAuthentication}, words: []store.Outcome{store.OutcomeUnknown},
		answer: is("unknown_user_id", "OpenID Connect CIBA Core 1.0, section 13"), because: "the unknown one is the user",
	},
	{
		at: BackchannelAuthentication, words: []store.Outcome{store.OutcomeSuspended},
		answer:  answer{code: "access_denied", status: http.StatusForbidden, source: "OpenID Connect CIBA Core 1.0, section 13"},
		because: "there is no grant yet",
	},

	// Introspection and revocation, and what takes access tokens.
	{
		at: Revocation, calls: []Call{RevokeToken, RevokeAccessTokenByID, RevokeAuthorization},
		words: []store.Outcome{store.OutcomeUnknown, store.OutcomeRevoked}, answer: success,
		because: "RFC 7009, section 2.2: the client's aim is reached",
	},
	{
		at: ProtectedResource, words: []store.Outcome{store.OutcomeInactive},
		answer: invalidToken, because: "the token is what gives access here",
	},
	{
		at: ProtectedResource, words: []store.Outcome{store.OutcomeUnauthenticated},
		answer: failure, because: "it is the resource server that asked, not the client",
	},
	{
		at: ProtectedResource, words: []store.Outcome{store.OutcomeProofReplayed},
		answer:  answer{code: "invalid_dpop_proof", status: http.StatusUnauthorized, source: "RFC 9449, section 7.1"},
		because: "a protected resource answers with a challenge",
	},

	// Registration and its management.
	{
		at: Registration, words: []store.Outcome{store.OutcomeUnauthenticated, store.OutcomeRevoked, store.OutcomeExpired, store.OutcomeExhausted},
		answer: invalidToken, because: "a bearer token gives access here (RFC 7591, section 3; RFC 7592, section 2)",
	},
	{
		at: Registration, words: []store.Outcome{store.OutcomeDisabled},
		answer: answer{status: http.StatusForbidden, source: "RFC 7592, section 2.2"}, because: "the token is right, and there is no code for this",
	},

	// What the server does for itself.
	{
		at: Server, words: []store.Outcome{store.OutcomeUnknown},
		answer: page(http.StatusNotFound, "RFC 9110, section 15.5.5"), because: "no client has asked",
	},
	{
		at: Server, words: []store.Outcome{store.OutcomeRevoked},
		answer: success, because: "it had been ended before",
	},
	{
		at: Server, words: []store.Outcome{store.OutcomeMismatched, store.OutcomeExpired, store.OutcomeSignedOut},
		answer: page(http.StatusBadRequest, "RFC 9110, section 15.5.1"), because: "no client has asked",
	},
	{
		at: Server, words: []store.Outcome{store.OutcomeTaken, store.OutcomeDisabled, store.OutcomeSuperseded},
		answer: page(http.StatusConflict, "RFC 9110, section 15.5.10"), because: "no client has asked",
	},
	{
		at: Server, words: []store.Outcome{store.OutcomeSuspended},
		answer:  answer{code: "access_denied", status: http.StatusForbidden, source: "RFC 6749, section 4.1.2.1"},
		because: "if a request waits for the user, it is denied",
	},
	{
		at: Server, calls: []Call{RotateSigningKeyIfDue}, words: []store.Outcome{store.OutcomeTaken},
		answer: failure, because: "the id is the server's",
	},
	{
		at: Server, calls: []Call{FindAuthorizationByUserCode}, words: []store.Outcome{store.OutcomeSuspended, store.OutcomeRevoked},
		answer: page(http.StatusBadRequest, "RFC 8628, section 3.3"), because: "the browser is not the device, which learns of it when it polls",
	},
}

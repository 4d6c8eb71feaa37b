package oautherror

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/oauthdb/oauthdb/store"
)

// Endpoint is where a client asks, or a server for itself.
type Endpoint string

// The endpoints of the specifications.
const (
	Authorization             Endpoint = "authorization"              // RFC 6749, section 3.1, with the pages that it leads to
	PushedAuthorization       Endpoint = "pushed authorization"       // RFC 9126, section 2
	Token                     Endpoint = "token"                      // RFC 6749, section 3.2
	DeviceAuthorization       Endpoint = "device authorization"       // RFC 8628, section 3.1
	BackchannelAuthentication Endpoint = "backchannel authentication" // OpenID Connect CIBA Core 1.0, section 7
	Introspection             Endpoint = "introspection"              // RFC 7662, section 2
	Revocation                Endpoint = "revocation"                 // RFC 7009, section 2
	Registration              Endpoint = "registration"               // RFC 7591, section 3; RFC 7592, section 2
	// ProtectedResource is the UserInfo endpoint, or any other that takes access tokens (RFC 6750, section 3.1).
	ProtectedResource Endpoint = "protected resource"
	// Server is no endpoint of OAuth: a page for users or operators, or a job of the server's own.
	Server Endpoint = "server"
)

// Error is the answer to a request that a call has refused. As JSON it is an error response (RFC 6749, section 5.2).
type Error struct {
	// Code is the value of the parameter error. It is empty where no specification has one.
	Code string `json:"error"`
	// Status is the HTTP status. At the authorization endpoint it is that of the redirect, 303 (RFC 9700, section 4.12). With status
	// 401 the answer has a WWW-Authenticate header if the client used the Authorization header.
	Status int `json:"-"`
	// Page says that the client is told nothing. The user gets an error page where one waits.
	Page bool `json:"-"`
	// Source is where the code and the status are specified.
	Source string `json:"-"`
}

// Error implements error.
func (e *Error) Error() string {
	what := e.Code
	if what == "" {
		what = http.StatusText(e.Status)
	}
	return fmt.Sprintf("%s (%s)", what, e.Source)
}

// For returns the error to answer at an endpoint if a call has come to an outcome. It returns nil if the endpoint answers with success:
// the call has done what was asked, or the specification wants its refusal answered so, as with "active": false. What the table doesn't
// know is a server_error.
//
// For IssueTokenByAssertion use [ForAssertion].
func For(at Endpoint, call Call, outcome store.Outcome) *Error {
	if !slices.Contains(calls[at], call) {
		return failure.as(at)
	}
	for _, r := range slices.Backward(byWord[outcome]) {
		if r.holds(at, call, outcome) {
			return r.as(at)
		}
	}
	return failure.as(at)
}

// ForAssertion is For the token endpoint and IssueTokenByAssertion. There the row says whether it was the DPoP proof or the assertion
// that had been presented before.
func ForAssertion(row store.IssueTokenByAssertionRow) *Error {
	if row.Outcome == store.OutcomeProofReplayed && !row.ReplayedProof {
		return invalidGrant("RFC 7523, section 3.1").as(Token)
	}
	return For(Token, IssueTokenByAssertion, row.Outcome)
}

// answer is what a rule says.
type answer struct {
	code   string
	status int
	page   bool
	source string
}

func (a answer) as(at Endpoint) *Error {
	switch a {
	case success:
		return nil
	case answer{}: // a rule without one
		a = failure
	}
	e := &Error{Code: a.code, Status: a.status, Page: a.page, Source: a.source}
	if at == Authorization && !a.page { // also for a server_error, which has no status of its own there
		e.Status = http.StatusSeeOther
	}
	return e
}

// rule is an answer for some words: everywhere or, for a reason, at some endpoint or for some calls.
type rule struct {
	at    Endpoint // empty: at each
	calls []Call   // none: for each that the endpoint makes
	words []store.Outcome
	answer
	because string
}

// byWord has the rules for each word, in their order.
var byWord = func() map[store.Outcome][]*rule {
	found := map[store.Outcome][]*rule{}
	for i := range rules {
		for _, word := range rules[i].words {
			found[word] = append(found[word], &rules[i])
		}
	}
	return found
}()

func (r *rule) holds(at Endpoint, call Call, outcome store.Outcome) bool {
	return slices.Contains(r.words, outcome) && (r.at == "" || r.at == at) && (r.calls == nil || slices.Contains(r.calls, call))
}

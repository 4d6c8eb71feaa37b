package fositedb

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/ory/fosite"

	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
)

// DecisionError says which call has refused, and why. It is in the chain of the errors that the library returns. A [Provider] answers by
// it where the library would answer with an error of its own.
type DecisionError struct {
	Call          oautherror.Call
	Outcome       store.Outcome
	replayedProof bool
}

// Error implements error.
func (e *DecisionError) Error() string { return fmt.Sprintf("%s: %s", e.Call, e.Outcome) }

// At is the error to answer at an endpoint; nil if that answers with success.
func (e *DecisionError) At(endpoint oautherror.Endpoint) *fosite.RFC6749Error {
	refused := oautherror.For(endpoint, e.Call, e.Outcome)
	if e.Call == oautherror.IssueTokenByAssertion {
		refused = oautherror.ForAssertion(store.IssueTokenByAssertionRow{Outcome: e.Outcome, ReplayedProof: e.replayedProof})
	}
	if refused == nil {
		return nil
	}
	if refused.Page {
		return fosite.ErrInvalidRequest.WithHint("The request can't be served.").WithWrap(e)
	}
	for _, known := range []*fosite.RFC6749Error{
		fosite.ErrInvalidClient, fosite.ErrInvalidGrant, fosite.ErrInvalidRequest, fosite.ErrInvalidScope, fosite.ErrUnauthorizedClient,
		fosite.ErrUnsupportedResponseType, fosite.ErrAccessDenied, fosite.ErrLoginRequired, fosite.ErrServerError,
	} {
		if known.ErrorField == refused.Code {
			return known.WithWrap(e)
		}
	}
	status := refused.Status
	if status < http.StatusBadRequest {
		status = http.StatusBadRequest
	}
	return (&fosite.RFC6749Error{ErrorField: refused.Code, CodeField: status}).WithWrap(e)
}

// refused is the error that a method returns for a call's outcome, nil for success.
func refused(at oautherror.Endpoint, call oautherror.Call, outcome store.Outcome) error {
	if e := (&DecisionError{Call: call, Outcome: outcome}).At(at); e != nil {
		return e
	}
	return nil
}

// decision finds the refusal of a call in the chain of an error.
func decision(err error) (*DecisionError, bool) {
	var d *DecisionError
	return d, errors.As(err, &d)
}

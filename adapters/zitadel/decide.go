package zitadel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// ErrNoRequest: there is no such authorization request or user, or the request serves no more. A page for the user is the answer;
// there is nowhere to redirect to.
var ErrNoRequest = errors.New("no such authorization request")

// DecisionError says why a decision was not recorded: another stands, the request has expired or was ended, the client is disabled,
// the user is suspended, the session is over, or more scopes were granted than asked for. Nothing has changed.
type DecisionError struct {
	Outcome store.Outcome

	call oautherror.Call
}

// Error implements error.
func (e *DecisionError) Error() string { return fmt.Sprintf("authorization request: %s", e.Outcome) }

// OAuth is the same as an error of the authorization endpoint, for [Provider.Deny]: login_required where the session is over,
// access_denied where the user is suspended (package oautherror). Where its IsRedirectDisabled is true, the answer is an error page.
func (e *DecisionError) OAuth() *oidc.Error {
	return refusal(oautherror.Authorization, e.call, e.Outcome)
}

// PendingRequest is a request that awaits the user's decision, or that the user has approved and whose code is not redeemed yet:
// who clicks twice approves twice.
type PendingRequest struct {
	Authorization store.OAuthAuthorization
	Request       Request
}

// PendingRequest returns what a page has to know of a request: [store.Queries.GetAuthorization]. The errors are
// [ErrNoRequest], also for a request that was denied, redeemed or ended, and a server_error that wraps [ErrStore]. Whether it has
// expired, and whether one that is approved already may be approved again, the decision tells.
func (s *Storage) PendingRequest(ctx context.Context, id string) (PendingRequest, error) {
	row, err := s.store.GetAuthorization(ctx, store.AuthorizationID(id))
	switch {
	case db.IsNotFound(err):
		return PendingRequest{}, ErrNoRequest
	case err != nil:
		return PendingRequest{}, s.fault(ctx, err)
	case row.Status == store.AuthorizationStatusDenied || row.RedeemedAt != nil || row.RevokedAt != nil:
		return PendingRequest{}, ErrNoRequest
	}
	p := PendingRequest{Authorization: row}
	if row.Request != nil {
		if err := json.Unmarshal(row.Request, &p.Request); err != nil {
			return PendingRequest{}, ErrNoRequest // another server's, which keeps something else there
		}
	}
	return p, nil
}

// Approval is what a user has agreed to.
type Approval struct {
	UserID    store.UserID
	SessionID *store.SessionID // in which the user agreed: its end revokes what lacks offline_access
	// ReferenceID is the tenant in which the user agreed.
	ReferenceID *store.ReferenceID
	Scopes      []string // of those that were asked for
	// AuthorizationDetails are the elements that the user has granted, of those that were asked for (RFC 9396, section 3); nil: none. All of
	// them are the request's own.
	AuthorizationDetails json.RawMessage
	// AuthTime is when the user last proved who they are: the session's beginning, as a rule. Required.
	AuthTime time.Time
	ACR      string   // what the sign-in satisfied, of the request's acr_values
	AMR      []string // how the user signed in (RFC 8176): pwd, otp …
}

// Approve records the approval ([store.Queries.ApproveAuthorization]) and returns a ticket, good for one minute or so
// (CodeLifetime), for the library's callback: op.AuthCallbackURL(provider)(ctx, ticket). The ticket is a secret between
// server and browser. The errors are [ErrNoRequest], a [DecisionError], and a server_error that wraps [ErrStore].
//
// [Provider.Approve] does without the callback.
func (s *Storage) Approve(ctx context.Context, id string, a Approval) (ticket string, err error) {
	code, _, err := s.approve(ctx, id, a)
	if err != nil {
		return "", err
	}
	return code.Reveal(), nil
}

func (s *Storage) approve(ctx context.Context, id string, a Approval) (token.Raw, store.ApproveAuthorizationRow, error) {
	var none token.Raw
	if a.AuthTime.IsZero() {
		return none, store.ApproveAuthorizationRow{}, errors.New("zitadel: Approval.AuthTime is required")
	}
	if len(a.AuthorizationDetails) == 0 {
		a.AuthorizationDetails = nil
	}
	code := token.Mint(token.AuthorizationCode)
	row, err := s.store.ApproveAuthorization(ctx, store.ApproveAuthorizationParams{
		ID:            store.AuthorizationID(id),
		UserID:        a.UserID,
		SessionID:     a.SessionID,
		GrantedScopes: a.Scopes,
		ReferenceID:   a.ReferenceID,

		AuthorizationDetails: a.AuthorizationDetails,

		AuthTime:      &a.AuthTime,
		ACR:           optional(a.ACR),
		AMR:           a.AMR,
		Code:          new(code.Digest()),
		CodeLifetime:  s.opts.CodeLifetime,
		DefaultScopes: s.opts.defaultScopes(), DefaultResources: s.opts.Resources,
	})
	if err != nil {
		return none, row, s.fault(ctx, err)
	}
	return code, row, decided(oautherror.ApproveAuthorization, row.Outcome)
}

// decided is nil for a decision that was recorded, now or by an earlier click.
func decided(call oautherror.Call, outcome store.Outcome) error {
	switch outcome {
	case store.OutcomeApproved, store.OutcomeDenied, store.OutcomeRetried: // a denial, too, is what was asked for here
		return nil
	case store.OutcomeUnknown:
		return ErrNoRequest
	default:
		return &DecisionError{Outcome: outcome, call: call}
	}
}

// deny records that the user, or the server for them, has refused.
func (s *Storage) deny(ctx context.Context, id string) (store.DenyAuthorizationRow, error) {
	row, err := s.store.DenyAuthorization(ctx, store.DenyAuthorizationParams{ID: store.AuthorizationID(id)})
	if err != nil {
		return row, s.fault(ctx, err)
	}
	return row, decided(oautherror.DenyAuthorization, row.Outcome)
}

// Approve records the approval, in one statement with the code that it gives the client, and sends the browser back with it
// (RFC 6749, section 4.1.2): [store.Queries.ApproveAuthorization]. Where it returns an error it has written nothing:
// [ErrNoRequest], a [DecisionError], or a server_error that wraps [ErrStore].
func (p *Provider) Approve(w http.ResponseWriter, r *http.Request, id string, a Approval) error {
	code, row, err := p.storage.approve(r.Context(), id, a)
	if err != nil {
		return err
	}
	if row.RedirectURI == nil {
		return ErrNoRequest // a request of another server that allows to leave it out
	}
	return p.answer(w, r, *row.RedirectURI, deref(row.ResponseMode), codeParams(code, deref(row.State)))
}

// Deny records a refusal and sends the browser back with the reason, access_denied if it is nil (RFC 6749, section 4.1.2.1;
// OpenID Connect Core 1.0, section 3.1.2.6): [store.Queries.DenyAuthorization]. Where it returns an error it has written
// nothing, as Approve.
func (p *Provider) Deny(w http.ResponseWriter, r *http.Request, id string, reason *oidc.Error) error {
	row, err := p.storage.deny(r.Context(), id)
	if err != nil {
		return err
	}
	if reason == nil {
		reason = oidc.ErrAccessDenied()
	}
	if row.RedirectURI == nil {
		return ErrNoRequest
	}
	return p.answer(w, r, *row.RedirectURI, deref(row.ResponseMode), errorParams(reason, deref(row.State)))
}

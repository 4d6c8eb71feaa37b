package main

import (
	"net/http"
	"net/url"
	"time"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const (
	devicePath       = "/device"
	userCodeAttempts = 10 // of a user, and of a network, in userCodeWindow
	userCodeWindow   = 10 * time.Minute
)

// deviceQuestion is what the page shows: a form for the code or, once the code is found, who asks for what.
type deviceQuestion struct {
	UserCode string
	Error    string
	Done     string
	ID       store.AuthorizationID
	Client   clientCard
	Scopes   []scope
	At       []string // the resource servers that it wants to use
}

// devicePage asks for the code that the device shows (RFC 8628, section 3.3). A code in the URL is only filled in: the user has to compare it
// (section 5.4).
func (s *server) devicePage(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	switch {
	case err != nil:
		return err
	case session == nil:
		http.Redirect(w, r, "/signin?"+url.Values{"device": {r.FormValue("user_code")}}.Encode(), http.StatusSeeOther)
		return nil
	}
	return s.showDevice(w, http.StatusOK, session, deviceQuestion{UserCode: r.FormValue("user_code")})
}

func (s *server) showDevice(w http.ResponseWriter, status int, session *store.FindSessionByTokenRow, q deviceQuestion) error {
	return s.pages.show(w, status, "device", page{Title: "Connect a device", User: &session.User, Data: q})
}

// findDevice looks the code up, which makes the request this user's, and asks for a decision. A code is short, so guesses are counted first
// (section 5.1).
func (s *server) findDevice(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	if err != nil {
		return err
	}
	if session == nil {
		return s.devicePage(w, r)
	}
	q := deviceQuestion{UserCode: r.PostFormValue("user_code")}
	for purpose, subject := range map[string]token.Digest{
		"user-code": token.DigestOf(string(session.User.ID)), "user-code-network": networkSubject(s.address(r)),
	} {
		count, err := s.store.CountAttempt(r.Context(), store.CountAttemptParams{
			Purpose: purpose, Subject: subject, MaxAttempts: userCodeAttempts, AttemptWindow: userCodeWindow,
		})
		switch {
		case err != nil:
			return err
		case count.Outcome == store.OutcomeExhausted:
			q.Error = "Too many attempts. Wait a few minutes, then try again."
			return s.showDevice(w, http.StatusTooManyRequests, session, q)
		}
	}
	found, err := s.store.FindAuthorizationByUserCode(r.Context(), store.FindAuthorizationByUserCodeParams{
		UserCode: zitadel.UserCode(q.UserCode), UserID: session.User.ID, SessionID: &session.Session.ID, IPAddress: new(s.address(r).String()),
	})
	switch {
	case err != nil:
		return err
	case found.Outcome != store.OutcomeClaimed && found.Outcome != store.OutcomeRetried:
		q.Error = "No device waits with this code. Compare it with the one that the device shows."
		return s.showDevice(w, http.StatusUnprocessableEntity, session, q)
	}
	client, err := s.store.GetClient(r.Context(), *found.ClientID)
	if err != nil {
		return err
	}
	q.ID, q.At = *found.ID, found.Resources
	q.Scopes = append(explainScopes(found.Scopes), explainDetails(found.AuthorizationDetails)...)
	q.Client = cardOf(client.ClientID, client.Name, client.URI, client.Icon, client.TOS, client.Policy)
	return s.showDevice(w, http.StatusOK, session, q)
}

// decideDevice is the user's answer.
func (s *server) decideDevice(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	if err != nil {
		return err
	}
	if session == nil {
		return s.devicePage(w, r)
	}
	request, err := s.store.GetAuthorization(r.Context(), store.AuthorizationID(storable(r.PostFormValue("id"), maxIDLength)))
	if err != nil {
		return err
	}
	if r.PostFormValue("decision") != "allow" {
		denied, err := s.store.DenyAuthorization(r.Context(), store.DenyAuthorizationParams{ID: request.ID, UserID: &session.User.ID})
		return s.deviceDone(w, r, session, err, denied.Outcome, "The device gets no access.")
	}
	approved, err := s.store.ApproveAuthorization(r.Context(), store.ApproveAuthorizationParams{
		ID: request.ID, UserID: session.User.ID, SessionID: &session.Session.ID, GrantedScopes: request.Scopes, DefaultScopes: s.defaultScopes(),
		AuthorizationDetails: request.AuthorizationDetails, DefaultResources: s.options.storage.Resources,
		AuthTime: new(authenticatedAt(session.Session)), ACR: acrClaim(session.Session), AMR: session.Session.AMR, IPAddress: new(s.address(r).String()),
	})
	if err == nil && approved.Outcome == store.OutcomeApproved {
		_, err = s.store.GrantConsent(r.Context(), store.GrantConsentParams{
			ID: store.NewConsentID(), ClientID: request.ClientID, UserID: session.User.ID, Scopes: request.Scopes, Merge: true,
			Resources: request.Resources, AuthorizationDetails: request.AuthorizationDetails,
		})
	}
	return s.deviceDone(w, r, session, err, approved.Outcome, "Your device is connected. Go back to it: it continues in a moment.")
}

func (s *server) deviceDone(w http.ResponseWriter, r *http.Request, session *store.FindSessionByTokenRow, err error, outcome store.Outcome, done string) error {
	switch {
	case err != nil:
		return err
	case outcome == store.OutcomeApproved, outcome == store.OutcomeDenied, outcome == store.OutcomeRetried:
		return s.showDevice(w, http.StatusOK, session, deviceQuestion{Done: done})
	default: // mismatched, expired, decided, signed_out …
		s.pages.fail(w, r, http.StatusBadRequest, "This request is over", "Start again on your device.")
	}
	return nil
}

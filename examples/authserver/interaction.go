package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// step is what an authorization request needs next.
type step struct {
	kind   stepKind
	reason *oidc.Error        // to deny
	tenant *store.ReferenceID // to approve: that in which the user had agreed before
}

type stepKind int

const (
	toSignIn stepKind = iota
	toConsent
	toApprove
	toDeny
)

// next decides it (OpenID Connect Core 1.0, sections 3.1.2.1 to 3.1.2.4). Ages are differences of the database's own timestamps.
func (s *server) next(ctx context.Context, pending zitadel.PendingRequest, session *store.FindSessionByTokenRow) (step, error) {
	request, authorization := pending.Request, pending.Authorization
	silent := slices.Contains(request.Prompt, oidc.PromptNone)
	signIn := step{kind: toSignIn}
	if silent {
		signIn = step{kind: toDeny, reason: oidc.ErrLoginRequired()}
	}
	if session == nil {
		return signIn, nil
	}
	age := authorization.CreatedAt.Sub(authenticatedAt(session.Session)) // at the time of the request; negative: signed in for it
	fresh := age <= 0
	again := slices.Contains(request.Prompt, oidc.PromptLogin) || slices.Contains(request.Prompt, oidc.PromptSelectAccount)
	tooOld := request.MaxAge != nil && age.Seconds() > float64(*request.MaxAge)
	if !fresh && (again || tooOld || !reaches(session.Session, request.ACRValues)) {
		return signIn, nil
	}
	if request.Subject != "" && request.Subject != session.User.ID {
		if fresh { // somebody else has signed in for this request
			return step{kind: toDeny, reason: oidc.ErrLoginRequired().WithDescription("another user has signed in")}, nil
		}
		return signIn, nil
	}
	tenants, err := s.tenants(ctx, session.User)
	if err != nil {
		return step{}, err
	}
	references := []*store.ReferenceID{nil}
	for _, t := range tenants {
		references = append(references, &t.ID)
	}
	if !slices.Contains(request.Prompt, oidc.PromptConsent) {
		for _, reference := range references {
			consent, err := s.store.CheckConsent(ctx, store.CheckConsentParams{
				ClientID: authorization.ClientID, UserID: session.User.ID, ReferenceID: reference, Scopes: authorization.Scopes,
				Resources: authorization.Resources, AuthorizationDetails: authorization.AuthorizationDetails,
			})
			switch {
			case err != nil:
				return step{}, err
			case consent.Covered:
				return step{kind: toApprove, tenant: reference}, nil
			}
		}
	}
	if silent {
		return step{kind: toDeny, reason: &oidc.Error{ErrorType: "consent_required", Description: "the user has not agreed yet"}}, nil
	}
	return step{kind: toConsent}, nil
}

// situation is a pending request, who is signed in, and what follows.
type situation struct {
	id      string
	pending zitadel.PendingRequest
	session *store.FindSessionByTokenRow
	step    step
}

func (s *server) situation(w http.ResponseWriter, r *http.Request) (situation, error) {
	now := situation{id: r.FormValue("id")}
	var err error
	if now.pending, err = s.storage.PendingRequest(r.Context(), now.id); err != nil {
		return now, err
	}
	if now.session, err = s.session(w, r); err != nil {
		return now, err
	}
	now.step, err = s.next(r.Context(), now.pending, now.session)
	return now, err
}

// proceed is where authorization requests come in, and where each page leads back to.
func (s *server) proceed(w http.ResponseWriter, r *http.Request) error {
	now, err := s.situation(w, r)
	if err != nil {
		return err
	}
	query := url.Values{"id": {now.id}}.Encode()
	switch now.step.kind {
	case toApprove:
		return s.approve(w, r, now, now.step.tenant)
	case toDeny:
		return s.deny(w, r, now, now.step.reason)
	case toConsent:
		http.Redirect(w, r, "/consent?"+query, http.StatusSeeOther)
	default:
		http.Redirect(w, r, "/signin?"+query, http.StatusSeeOther)
	}
	return nil
}

func (s *server) approve(w http.ResponseWriter, r *http.Request, now situation, tenant *store.ReferenceID) error {
	allowFormPost(w.Header(), now.pending)
	err := s.provider.Approve(w, r, now.id, zitadel.Approval{
		UserID: now.session.User.ID, SessionID: &now.session.Session.ID, ReferenceID: tenant,
		Scopes: now.pending.Authorization.Scopes, AuthTime: authenticatedAt(now.session.Session), AMR: now.session.Session.AMR,
		ACR: acrOf(now.session.Session), AuthorizationDetails: now.pending.Authorization.AuthorizationDetails,
	})
	var decision *zitadel.DecisionError
	if errors.As(err, &decision) {
		switch decision.Outcome { // since the session was looked up
		case store.OutcomeSignedOut:
			http.Redirect(w, r, "/continue?"+url.Values{"id": {now.id}}.Encode(), http.StatusSeeOther)
			return nil
		case store.OutcomeSuspended:
			return s.deny(w, r, now, decision.OAuth())
		}
	}
	return err
}

func (s *server) deny(w http.ResponseWriter, r *http.Request, now situation, reason *oidc.Error) error {
	allowFormPost(w.Header(), now.pending)
	return s.provider.Deny(w, r, now.id, reason)
}

// formPostScript is the one event handler of the library's page that sends the answer to clients with response_mode=form_post,
// by its digest: no other script runs.
const formPostScript = "'unsafe-hashes' 'sha256-FRuPMoCm2v334i+3oP3jLBT4RnmwV1pycDQaxVXK4MY='"

func allowFormPost(h http.Header, pending zitadel.PendingRequest) {
	mode := pending.Authorization.ResponseMode
	if mode == nil || oidc.ResponseMode(*mode) != oidc.ResponseModeFormPost {
		return
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src "+formPostScript+"; form-action "+
		sourceOf(pending.Authorization.RedirectURI)+"; frame-ancestors 'none'; base-uri 'none'")
}

// consentQuestion is what the page shows.
type consentQuestion struct {
	ID      string
	User    store.User
	Client  clientCard
	Scopes  []scope
	At      []string // the resource servers that it wants to use
	Tenants []tenant
	Chosen  store.ReferenceID
}

// clientCard is a client as users are shown it.
type clientCard struct {
	Name, Host, URI, Icon, Terms, Policy string
}

func (s *server) consentPage(w http.ResponseWriter, r *http.Request) error {
	now, err := s.situation(w, r)
	if err != nil {
		return err
	}
	if now.step.kind != toConsent {
		return s.proceed(w, r)
	}
	client, err := s.store.GetClient(r.Context(), now.pending.Authorization.ClientID)
	if err != nil {
		return err
	}
	tenants, err := s.tenants(r.Context(), now.session.User)
	if err != nil {
		return err
	}
	question := consentQuestion{
		ID: now.id, User: now.session.User, Tenants: tenants,
		Scopes: append(explainScopes(now.pending.Authorization.Scopes), explainDetails(now.pending.Authorization.AuthorizationDetails)...),
		At:     now.pending.Authorization.Resources,
		Client: cardOf(client.ClientID, client.Name, client.URI, client.Icon, client.TOS, client.Policy),
	}
	allowForms(w.Header(), sourceOf(now.pending.Authorization.RedirectURI))
	return s.pages.show(w, http.StatusOK, "consent", page{Title: "Allow " + question.Client.Name + "?", User: &now.session.User, Data: question})
}

// decide is the user's answer.
func (s *server) decide(w http.ResponseWriter, r *http.Request) error {
	now, err := s.situation(w, r)
	if err != nil {
		return err
	}
	// The question may have been put to somebody else, in another tab of the same browser, or have been answered by time.
	asked := now.step.kind == toConsent || now.step.kind == toApprove
	if !asked || r.PostFormValue("user") != string(now.session.User.ID) {
		return s.proceed(w, r)
	}
	if r.PostFormValue("decision") != "allow" {
		return s.deny(w, r, now, oidc.ErrAccessDenied().WithDescription("the user has refused"))
	}
	var chosen *store.ReferenceID
	if value := store.ReferenceID(r.PostFormValue("tenant")); value != "" {
		tenants, err := s.tenants(r.Context(), now.session.User)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(tenants, func(t tenant) bool { return t.ID == value }) {
			s.pages.fail(w, r, http.StatusBadRequest, "That organisation is not one of yours", "Go back and choose another.")
			return nil
		}
		chosen = &value
	}
	// Where it is not granted, as the user was suspended meanwhile, say, the approval is refused for the same reason.
	_, err = s.store.GrantConsent(r.Context(), store.GrantConsentParams{
		ID: store.NewConsentID(), ClientID: now.pending.Authorization.ClientID, UserID: now.session.User.ID, ReferenceID: chosen,
		Scopes: now.pending.Authorization.Scopes, Resources: now.pending.Authorization.Resources,
		AuthorizationDetails: now.pending.Authorization.AuthorizationDetails, Merge: true,
	})
	if err != nil {
		return err
	}
	return s.approve(w, r, now, chosen)
}

// scope is one in plain words.
type scope struct{ Name, Words string }

var plainWords = map[string]string{
	"openid":         "Know that it's you when you come back",
	"profile":        "See your name and your picture",
	"email":          "See your e-mail address",
	"phone":          "See your phone number",
	"address":        "See your postal address",
	"offline_access": "Keep its access while you're away",
	"photos.read":    "Look at your photos",
	"photos.write":   "Add and change photos",
	"photos.export":  "Copy all photos",
}

// explainScopes says what an app may do then; a scope without words of its own stands as it is.
func explainScopes(names []string) []scope {
	scopes := make([]scope, len(names))
	for i, name := range names {
		scopes[i] = scope{Name: name, Words: plainWords[name]}
	}
	return scopes
}

// nameOf is a client's, or the identifier of one that has none.
func nameOf(name *string, id store.ClientID) string {
	if name != nil && *name != "" {
		return *name
	}
	return string(id)
}

// cardOf leaves out what is not a link that a page should have.
func cardOf(id store.ClientID, name, uri, icon, terms, policy *string) clientCard {
	card := clientCard{Name: nameOf(name, id)}
	if u := webURL(uri); u != nil {
		card.URI, card.Host = u.String(), u.Host
	}
	if u := webURL(icon); u != nil && u.Scheme == "https" {
		card.Icon = u.String()
	}
	if u := webURL(terms); u != nil {
		card.Terms = u.String()
	}
	if u := webURL(policy); u != nil {
		card.Policy = u.String()
	}
	return card
}

func webURL(text *string) *url.URL {
	if text == nil {
		return nil
	}
	u, err := url.Parse(*text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil
	}
	return u
}

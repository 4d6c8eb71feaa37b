package main

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// logoutURL is the page that asks whether to sign out, for clients that can't prove who wants it.
func logoutURL(request *op.EndSessionRequest) string {
	query := url.Values{}
	if request.ClientID != "" {
		query.Set("client_id", request.ClientID)
		query.Set("return_to", request.RedirectURI)
	}
	if len(query) == 0 {
		return "/signout"
	}
	return "/signout?" + query.Encode()
}

type signOutForm struct {
	ClientID, Client, ReturnTo string
}

// returning is the client that the user came from and may go back to.
func (s *server) returning(r *http.Request) (signOutForm, error) {
	form := signOutForm{ClientID: r.FormValue("client_id"), ReturnTo: r.FormValue("return_to")}
	if form.ClientID == "" || form.ClientID != storable(form.ClientID, maxIDLength) {
		return signOutForm{}, nil
	}
	client, err := s.store.GetClient(r.Context(), store.ClientID(form.ClientID))
	switch {
	case db.IsNotFound(err), err == nil && client.Disabled:
		return signOutForm{}, nil
	case err != nil:
		return signOutForm{}, err
	}
	form.Client = nameOf(client.Name, client.ClientID)
	// The address went through the browser: only one that the client has registered is a link on our page.
	if !slices.ContainsFunc(client.PostLogoutRedirectURIs, func(registered string) bool { return sameButState(form.ReturnTo, registered) }) {
		form.ReturnTo = ""
	}
	return form, nil
}

// sameButState compares an address that the library may have added a state to with a registered one.
func sameButState(address, registered string) bool {
	if address == registered {
		return true
	}
	a, err := url.Parse(address)
	if err != nil {
		return false
	}
	b, err := url.Parse(registered)
	if err != nil {
		return false
	}
	query := a.Query()
	query.Del("state")
	a.RawQuery, b.RawQuery = query.Encode(), b.Query().Encode()
	return a.String() == b.String()
}

func (s *server) signOutPage(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	if err != nil {
		return err
	}
	form, err := s.returning(r)
	if err != nil {
		return err
	}
	if session == nil {
		return s.pages.show(w, http.StatusOK, "signedout", page{Title: "Signed out", Data: form})
	}
	return s.pages.show(w, http.StatusOK, "signout", page{Title: "Sign out", User: &session.User, Data: form})
}

// signOut ends the session, and what was granted in it and lacks offline_access.
func (s *server) signOut(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	if err != nil {
		return err
	}
	if session != nil {
		if _, err := s.store.EndSession(r.Context(), session.Session.ID); err != nil {
			return err
		}
	}
	s.cookie.set(w, "", expireNow)
	next := url.Values{}
	if id := r.PostFormValue("client_id"); id != "" {
		next = url.Values{"client_id": {id}, "return_to": {r.PostFormValue("return_to")}}
	}
	http.Redirect(w, r, signedOutPath+"?"+next.Encode(), http.StatusSeeOther)
	return nil
}

func (s *server) signedOutPage(w http.ResponseWriter, r *http.Request) error {
	form, err := s.returning(r)
	if err != nil {
		return err
	}
	return s.pages.show(w, http.StatusOK, "signedout", page{Title: "Signed out", Data: form})
}

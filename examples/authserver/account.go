package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

const (
	accountPath   = "/account"
	signedOutPath = "/signed-out"
	listLength    = 100
)

type account struct {
	Apps     []connectedApp
	Sessions []signedIn
	Others   bool // there are other sessions than this one
	Done     string
}

type connectedApp struct {
	ClientID  store.ClientID
	Reference string
	Tenant    string
	Client    clientCard
	Scopes    []scope
	Since     time.Time
	Active    bool
}

type signedIn struct {
	ID      store.SessionID
	Device  string
	Address string
	Since   time.Time
	Until   time.Time
	Current bool
}

// done are the messages that the page shows after something was done; the browser names them.
var done = map[string]string{
	"withdrawn": "The app has no access any more.",
	"ended":     "That session has been signed out.",
	"others":    "You are signed out everywhere else.",
}

// accountPage is 'connected apps': what has access, and where the user is signed in.
func (s *server) accountPage(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	if err != nil {
		return err
	}
	if session == nil {
		http.Redirect(w, r, "/signin", http.StatusSeeOther)
		return nil
	}
	tenants, err := s.tenants(r.Context(), session.User)
	if err != nil {
		return err
	}
	names := map[store.ReferenceID]string{}
	for _, t := range tenants {
		names[t.ID] = t.Name
	}
	shown := account{Done: done[r.FormValue("done")]}
	consents, err := s.store.ListUserConsents(r.Context(), store.ListUserConsentsParams{UserID: session.User.ID, AfterCreatedAt: distantPast, PageSize: listLength})
	if err != nil {
		return err
	}
	for _, c := range consents {
		app := connectedApp{
			ClientID: c.ClientID, Client: cardOf(c.ClientID, c.ClientName, c.ClientURI, c.ClientIcon, c.ClientTOS, c.ClientPolicy),
			Scopes: explainScopes(c.Scopes), Since: c.CreatedAt, Active: c.Authorizations > 0,
		}
		if c.ReferenceID != nil {
			app.Reference, app.Tenant = string(*c.ReferenceID), names[*c.ReferenceID]
			if app.Tenant == "" {
				app.Tenant = app.Reference
			}
		}
		shown.Apps = append(shown.Apps, app)
	}
	sessions, err := s.store.ListUserSessions(r.Context(), store.ListUserSessionsParams{UserID: session.User.ID, AfterCreatedAt: distantPast, PageSize: listLength})
	if err != nil {
		return err
	}
	for _, row := range sessions {
		item := signedIn{ID: row.ID, Device: "Unknown browser", Since: row.CreatedAt, Until: row.ExpiresAt, Current: row.ID == session.Session.ID}
		if row.UserAgent != nil {
			item.Device = deviceOf(*row.UserAgent)
		}
		if row.IPAddress != nil {
			item.Address = *row.IPAddress
		}
		shown.Others = shown.Others || !item.Current
		shown.Sessions = append(shown.Sessions, item)
	}
	return s.pages.show(w, http.StatusOK, "account", page{Title: "Connected apps", User: &session.User, Data: shown})
}

// withSession runs what only somebody who is signed in may do, and leads back to the page.
func (s *server) withSession(w http.ResponseWriter, r *http.Request, do func(*store.FindSessionByTokenRow) (string, error)) error {
	session, err := s.session(w, r)
	if err != nil {
		return err
	}
	next := "/signin"
	if session != nil {
		if next, err = do(session); err != nil {
			return err
		}
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// withdraw takes an app's access away: the consent and all that rested on it in its tenant, and what the user may have granted the
// same app in another tenant before.
func (s *server) withdraw(w http.ResponseWriter, r *http.Request) error {
	return s.withSession(w, r, func(session *store.FindSessionByTokenRow) (string, error) {
		client := store.ClientID(storable(r.PostFormValue("client_id"), maxIDLength))
		var reference *store.ReferenceID
		if value := storable(r.PostFormValue("reference_id"), maxIDLength); value != "" {
			reference = new(store.ReferenceID(value))
		}
		// Whether there was a consent, or another tab was faster, makes no difference.
		_, err := s.store.WithdrawConsent(r.Context(), store.WithdrawConsentParams{ClientID: client, UserID: session.User.ID, ReferenceID: reference})
		if err != nil {
			return "", err
		}
		_, err = s.store.RevokeUserAuthorizationsByClient(r.Context(), store.RevokeUserAuthorizationsByClientParams{UserID: session.User.ID, ClientID: client})
		return accountPath + "?done=withdrawn", err
	})
}

const maxIDLength = 255

// endSession signs the user out of one of their sessions.
func (s *server) endSession(w http.ResponseWriter, r *http.Request) error {
	return s.withSession(w, r, func(session *store.FindSessionByTokenRow) (string, error) {
		ended, err := s.store.GetSession(r.Context(), store.SessionID(storable(r.PostFormValue("session_id"), maxIDLength)))
		switch {
		case db.IsNotFound(err), err == nil && ended.UserID != session.User.ID: // whose it is never changes
			return accountPath + "?done=ended", nil
		case err != nil:
			return "", err
		}
		if _, err := s.store.EndSession(r.Context(), ended.ID); err != nil {
			return "", err
		}
		if ended.ID == session.Session.ID {
			s.cookie.set(w, "", expireNow)
			return signedOutPath, nil
		}
		return accountPath + "?done=ended", nil
	})
}

// endOtherSessions signs the user out everywhere else.
func (s *server) endOtherSessions(w http.ResponseWriter, r *http.Request) error {
	return s.withSession(w, r, func(session *store.FindSessionByTokenRow) (string, error) {
		_, err := s.store.EndUserSessions(r.Context(), store.EndUserSessionsParams{UserID: session.User.ID, Keep: &session.Session.ID})
		return accountPath + "?done=others", err
	})
}

// deviceOf names browser and system of a User-Agent as a person knows them, without claim to completeness.
func deviceOf(userAgent string) string {
	find := func(pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if strings.Contains(userAgent, pairs[i]) {
				return pairs[i+1]
			}
		}
		return ""
	}
	browser := find("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome/", "Chrome", "Safari/", "Safari", "curl/", "curl")
	system := find("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case browser == "" && system == "":
		return "Unknown browser"
	case browser == "":
		return system
	case system == "":
		return browser
	}
	return browser + " on " + system
}

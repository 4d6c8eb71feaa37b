package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/mileusna/useragent"

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
	Passkeys bool // there is a page for them
	Done     string
}

// connectedApp is a client with what it has been granted, a row for each tenant.
type connectedApp struct {
	ClientID store.ClientID
	Client   clientCard
	Grants   []connection
}

type connection struct {
	Reference string
	Tenant    string // its name; empty: on the user's own behalf
	Scopes    []scope
	Since     time.Time
	LastUsed  *time.Time // nil: nothing is in use, but the app gets access again without asking
}

type signedIn struct {
	ID       store.SessionID
	Device   string
	Address  string
	Since    time.Time
	LastSeen time.Time
	Current  bool
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
	shown := account{Passkeys: s.passkeys != nil, Done: done[r.FormValue("done")]}
	if shown.Apps, err = s.connectedApps(r.Context(), session.User); err != nil {
		return err
	}
	sessions, err := s.store.ListUserSessions(r.Context(), store.ListUserSessionsParams{UserID: session.User.ID, AfterCreatedAt: distantPast, PageSize: listLength})
	if err != nil {
		return err
	}
	for _, row := range sessions {
		item := signedIn{ID: row.ID, Device: unknownBrowser, Since: row.CreatedAt, LastSeen: row.CreatedAt, Current: row.ID == session.Session.ID}
		if row.UserAgent != nil {
			item.Device = deviceOf(*row.UserAgent)
		}
		if row.IPAddress != nil {
			item.Address = *row.IPAddress
		}
		if row.LastSeenAt != nil {
			item.LastSeen = *row.LastSeenAt
		}
		shown.Others = shown.Others || !item.Current
		shown.Sessions = append(shown.Sessions, item)
	}
	slices.SortStableFunc(shown.Sessions, func(a, b signedIn) int {
		if a.Current != b.Current {
			if a.Current {
				return -1
			}
			return 1
		}
		return b.LastSeen.Compare(a.LastSeen)
	})
	return s.pages.show(w, http.StatusOK, "account", page{Title: "Connected apps", User: &session.User, Data: shown})
}

// connectedApps are what is in force, by client and tenant, and what the user has agreed to for good although nothing of it is in force.
func (s *server) connectedApps(ctx context.Context, user store.User) ([]connectedApp, error) {
	tenants, err := s.tenants(ctx, user)
	if err != nil {
		return nil, err
	}
	nameOfTenant := func(reference *store.ReferenceID) (id, name string) {
		if reference == nil {
			return "", ""
		}
		for _, t := range tenants {
			if t.ID == *reference {
				return string(t.ID), t.Name
			}
		}
		return string(*reference), string(*reference)
	}
	var apps []connectedApp
	add := func(id store.ClientID, card clientCard, c connection) {
		i := slices.IndexFunc(apps, func(a connectedApp) bool { return a.ClientID == id })
		if i < 0 {
			i, apps = len(apps), append(apps, connectedApp{ClientID: id, Client: card})
		}
		if !slices.ContainsFunc(apps[i].Grants, func(g connection) bool { return g.Reference == c.Reference }) {
			apps[i].Grants = append(apps[i].Grants, c)
		}
	}
	connections, err := s.store.ListUserConnections(ctx, store.ListUserConnectionsParams{UserID: user.ID, PageSize: listLength})
	if err != nil {
		return nil, err
	}
	for _, row := range connections {
		c := connection{Scopes: explainScopes(row.Scopes), Since: row.FirstUsedAt, LastUsed: &row.LastUsedAt}
		c.Reference, c.Tenant = nameOfTenant(row.ReferenceID)
		add(row.ClientID, cardOf(row.ClientID, row.ClientName, row.ClientURI, row.ClientIcon, row.ClientTOS, row.ClientPolicy), c)
	}
	consents, err := s.store.ListUserConsents(ctx, store.ListUserConsentsParams{UserID: user.ID, AfterCreatedAt: distantPast, PageSize: listLength})
	if err != nil {
		return nil, err
	}
	for _, row := range consents {
		c := connection{Scopes: explainScopes(row.Scopes), Since: row.CreatedAt}
		c.Reference, c.Tenant = nameOfTenant(row.ReferenceID)
		add(row.ClientID, cardOf(row.ClientID, row.ClientName, row.ClientURI, row.ClientIcon, row.ClientTOS, row.ClientPolicy), c)
	}
	return apps, nil
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

// withdraw takes an app's access away in one tenant: the consent, and all that was granted there.
func (s *server) withdraw(w http.ResponseWriter, r *http.Request) error {
	return s.withSession(w, r, func(session *store.FindSessionByTokenRow) (string, error) {
		client := store.ClientID(storable(r.PostFormValue("client_id"), maxIDLength))
		var reference *store.ReferenceID
		if value := storable(r.PostFormValue("reference_id"), maxIDLength); value != "" {
			reference = new(store.ReferenceID(value))
		}
		// Whether there was a consent, or another tab was faster, makes no difference.
		_, err := s.store.WithdrawConsent(r.Context(), store.WithdrawConsentParams{ClientID: client, UserID: session.User.ID, ReferenceID: reference})
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

// deviceOf names browser and system of a User-Agent as a person knows them.
func deviceOf(userAgent string) string {
	ua := useragent.Parse(userAgent)
	browser, system := ua.Name, ua.OS
	if ua.Device == "iPhone" || ua.Device == "iPad" {
		system = ua.Device
	}
	switch browser { // what is meant, not what it calls itself
	case useragent.MobileSafari:
		browser = useragent.Safari
	case useragent.HeadlessChrome:
		browser = useragent.Chrome
	}
	switch {
	case browser == "" && system == "":
		return unknownBrowser
	case browser == "":
		return system
	case system == "":
		return browser
	}
	return browser + " on " + system
}

const unknownBrowser = "Unknown browser"

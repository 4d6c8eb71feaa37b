package calls

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// issueGrantParams is a grant of the world's user to the world's client in the world's session, with offline_access. Its tokens are
// "at-" and "rt-" with the name.
func (w *world) issueGrantParams(name string) store.IssueGrantParams {
	return store.IssueGrantParams{
		ID: store.NewAuthorizationID(), UserID: w.User, ClientID: w.Client, SessionID: &w.Session, GrantType: "server",
		Scopes: []string{"openid", "offline_access"}, DefaultScopes: []string{"openid", "email", "offline_access"},
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest("at-" + name)), AccessTokenLifetime: 5 * time.Minute,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(fixture.Digest("rt-" + name)), RefreshTokenLifetime: time.Hour,
		FamilyLifetime: fixture.Long, DefaultResources: bothResources, DefaultAuthorizationDetailsTypes: []string{"pay"},
	}
}

// issueGrant issues a grant and wants an outcome.
func (w *world) issueGrant(name string, want store.Outcome, change ...func(*store.IssueGrantParams)) (store.IssueGrantRow, store.IssueGrantParams) {
	w.Helper()
	p := w.issueGrantParams(name)
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.IssueGrant(w.Ctx, p)
	w.OK(err)
	w.want("IssueGrant", row.Outcome, want)
	return row, p
}

func TestIssueGrantWritesTheFamilyAndItsTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	tenant, authTime := store.ReferenceID("acme"), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	details, act, mayAct := json.RawMessage(`[{"type": "pay"}]`), json.RawMessage(`{"sub": "admin"}`), json.RawMessage(`{"sub": "batch"}`)
	row, p := w.issueGrant("x", store.OutcomeIssued, func(p *store.IssueGrantParams) {
		p.ReferenceID, p.AuthTime, p.ACR, p.AMR = &tenant, &authTime, new("high"), []string{"pwd"}
		p.Resources, p.AuthorizationDetails = []string{"https://api.example", "https://api.example"}, details
		p.Act, p.MayAct, p.Data = act, mayAct, json.RawMessage(`{"why": "support"}`)
		p.Confirmation = &token.Confirmation{JKT: "key"}
	})
	a, err := w.Q.GetAuthorization(w.Ctx, p.ID)
	w.OK(err)
	if a.Kind != store.AuthorizationKindDirect || a.Status != store.AuthorizationStatusApproved || a.Bound || a.Code != nil ||
		*a.RedeemedAs != p.AccessTokenID || a.ExpiresAt != nil || *a.ACR != "high" || !a.AuthTime.Equal(authTime) ||
		string(a.Data) != `{"why": "support"}` || string(a.MayAct) != string(mayAct) || string(a.Act) != string(act) ||
		a.Confirmation.JKT != "key" || *a.SessionID != w.Session || *a.ReferenceID != tenant {
		t.Errorf("the family is %+v", a)
	}
	wantEqual(t, "resources", a.Resources, []string{"https://api.example"})
	wantEqual(t, "scopes", a.GrantedScopes, p.Scopes)
	for what, ends := range map[string]struct {
		at    *time.Time
		after time.Duration
	}{
		"access token": {row.AccessTokenExpiresAt, p.AccessTokenLifetime}, "refresh token": {row.RefreshTokenExpiresAt, p.RefreshTokenLifetime},
		"family": {a.MaxExpiresAt, p.FamilyLifetime},
	} {
		wantEqual(t, "end of the "+what, ends.at.Sub(a.CreatedAt), ends.after)
	}
	access, refresh := w.Introspect("at-x"), w.Introspect("rt-x")
	for kind, got := range map[string]store.IntrospectTokenRow{"access": access, "refresh": refresh} {
		if got.Outcome != store.OutcomeActive || *got.AuthorizationID != p.ID || *got.UserID != w.User || *got.ACR != "high" ||
			string(got.AuthorizationDetails) != string(details) || got.Confirmation.JKT != "key" || *got.ReferenceID != tenant {
			t.Errorf("the %s token is %+v", kind, got)
		}
	}
	if string(access.Act) != string(act) || !access.ExpiresAt.Equal(*row.AccessTokenExpiresAt) || !refresh.ExpiresAt.Equal(*row.RefreshTokenExpiresAt) {
		t.Errorf("the access token is %+v, the answer %+v", access, row)
	}
	clients, err := w.Q.ListSessionClients(w.Ctx, w.Session)
	w.OK(err)
	if len(clients) != 1 || clients[0].ClientID != w.Client {
		t.Errorf("the session knows %v", clients)
	}
}

// A token that somebody obtained for the user still says so after a refresh (RFC 8693, section 4.1).
func TestTheActorStaysThroughARefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	act := json.RawMessage(`{"sub": "admin"}`)
	w.issueGrant("x", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.Act = act })
	_, access := w.Rotate("rt-x", store.OutcomeRotated)
	wantEqual(t, "act", string(w.Introspect(access).Act), string(act))
	wantEqual(t, "act in the row, which is all that another server reads", string(w.accessTokenOf(access).Act), string(act))
	_, access = w.Rotate("rt-x", store.OutcomeRetried)
	wantEqual(t, "act after a retry", string(w.Introspect(access).Act), string(act))
}

func TestIssueGrantWithoutARefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	row, p := w.issueGrant("x", store.OutcomeIssued, func(p *store.IssueGrantParams) {
		p.RefreshToken, p.RefreshTokenID, p.RefreshTokenLifetime, p.FamilyLifetime = nil, nil, 0, 0
		p.AccessToken, p.SessionID = nil, nil
	})
	if row.RefreshTokenExpiresAt != nil || row.AccessTokenExpiresAt == nil {
		t.Errorf("answered %+v", row)
	}
	if access, refresh := w.CountLive(p.ID); access != 1 || refresh != 0 {
		t.Errorf("%d access tokens and %d refresh tokens are live, want 1 and 0", access, refresh)
	}
}

func TestIssueGrantOnlyToWhomItMayBeIssued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	disabled, suspended, deleted := w.NewClient(), w.NewUser(), w.NewUser()
	w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, disabled)), store.OutcomeEnded)
	w.suspend(suspended)
	w.deleteUser(deleted)
	another := w.NewUser()
	over := w.NewSession(w.User)
	w.endSession(over)
	narrow := w.NewClient(func(p *store.CreateClientParams) { p.Scopes = []string{"openid"} })
	bound := w.NewClient(func(p *store.CreateClientParams) { p.DPoPBoundAccessTokens = new(true) })
	none := w.NewClient(func(p *store.CreateClientParams) { p.Scopes = []string{} })
	registered := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{"authorization_code", "urn:example:grant"} })
	for name, c := range map[string]struct {
		want   store.Outcome
		change func(*store.IssueGrantParams)
	}{
		"a client that is not there":                {store.OutcomeUnknown, func(p *store.IssueGrantParams) { p.ClientID = "nobody" }},
		"a user who is not there":                   {store.OutcomeUnknown, func(p *store.IssueGrantParams) { p.UserID, p.SessionID = "nobody", nil }},
		"a deleted user":                            {store.OutcomeUnknown, func(p *store.IssueGrantParams) { p.UserID, p.SessionID = deleted, nil }},
		"a suspended user":                          {store.OutcomeSuspended, func(p *store.IssueGrantParams) { p.UserID, p.SessionID = suspended, nil }},
		"a disabled client":                         {store.OutcomeDisabled, func(p *store.IssueGrantParams) { p.ClientID = disabled }},
		"another user's session":                    {store.OutcomeSignedOut, func(p *store.IssueGrantParams) { p.UserID = another }},
		"a session that is over":                    {store.OutcomeSignedOut, func(p *store.IssueGrantParams) { p.SessionID = &over }},
		"no session at all":                         {store.OutcomeSignedOut, func(p *store.IssueGrantParams) { p.SessionID = new(store.SessionID("none")) }},
		"no grant type":                             {store.OutcomeUnauthorizedClient, func(p *store.IssueGrantParams) { p.GrantType = "" }},
		"another grant type":                        {store.OutcomeUnauthorizedClient, func(p *store.IssueGrantParams) { p.GrantType = "urn:example:grant" }},
		"more than the client is registered for":    {store.OutcomeInvalidScope, func(p *store.IssueGrantParams) { p.ClientID, p.Scopes = narrow, []string{"openid", "email"} }},
		"a client that is registered for no scopes": {store.OutcomeInvalidScope, func(p *store.IssueGrantParams) { p.ClientID = none }},
		"more than the server's default":            {store.OutcomeInvalidScope, func(p *store.IssueGrantParams) { p.Scopes = []string{"admin"} }},
		"another resource":                          {store.OutcomeInvalidTarget, func(p *store.IssueGrantParams) { p.Resources = []string{"https://bank.example"} }},
		"another type of details":                   {store.OutcomeInvalidAuthorizationDetails, func(p *store.IssueGrantParams) { p.AuthorizationDetails = json.RawMessage(`[{"type": "x"}]`) }},
		"tokens that have to be bound":              {store.OutcomeMismatched, func(p *store.IssueGrantParams) { p.ClientID = bound }},
		"no default":                                {store.OutcomeInvalidScope, func(p *store.IssueGrantParams) { p.DefaultScopes = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.forSubtest(t)
			w.Unchanged(func() { w.issueGrant(name, c.want, c.change) })
		})
	}
	row, _ := w.issueGrant("registered", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.ClientID, p.GrantType = registered, "urn:example:grant" })
	if row.RefreshTokenID != nil || row.RefreshTokenExpiresAt != nil {
		t.Errorf("a client that isn't registered for refresh tokens got one: %+v", row)
	}
	w.issueGrant("no scopes", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.ClientID, p.Scopes = none, nil })
}

func TestIssueGrantAgainIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	another, client := w.NewUser(), w.NewClient()
	first, p := w.issueGrant("x", store.OutcomeIssued)
	w.Exec(`UPDATE oauth_access_token SET expires_at = expires_at - interval '2 minutes'`)
	w.Unchanged(func() {
		again, err := w.Q.IssueGrant(w.Ctx, p)
		w.OK(err)
		w.want("IssueGrant again", again.Outcome, store.OutcomeRetried)
		if d := first.AccessTokenExpiresAt.Sub(*again.AccessTokenExpiresAt); d != 2*time.Minute || !again.RefreshTokenExpiresAt.Equal(*first.RefreshTokenExpiresAt) {
			t.Errorf("the answer is %+v, was %+v", again, first)
		}
		for what, change := range map[string]func(*store.IssueGrantParams){
			"another user":                 func(p *store.IssueGrantParams) { p.UserID, p.SessionID = another, nil },
			"another client":               func(p *store.IssueGrantParams) { p.ClientID = client },
			"another access token":         func(p *store.IssueGrantParams) { p.AccessTokenID = store.NewAccessTokenID() },
			"its access token as another":  func(p *store.IssueGrantParams) { p.AccessToken = new(fixture.Digest("another")) },
			"its refresh token as another": func(p *store.IssueGrantParams) { p.RefreshToken = new(fixture.Digest("another")) },
			"more scopes":                  func(p *store.IssueGrantParams) { p.Scopes = []string{"openid", "email", "offline_access"} },
			"fewer scopes":                 func(p *store.IssueGrantParams) { p.Scopes = []string{"offline_access"} },
			"a resource":                   func(p *store.IssueGrantParams) { p.Resources = bothResources },
			"details":                      func(p *store.IssueGrantParams) { p.AuthorizationDetails = json.RawMessage(`[{"type": "pay"}]`) },
		} {
			other := p
			change(&other)
			if _, err := w.Q.IssueGrant(w.Ctx, other); pgErrorOf(err).Code != "22023" {
				t.Errorf("the id with %s: %v, want it refused", what, err)
			}
		}
	})
	// what the id names is nothing that this call has written
	k := w.Redeem()
	w.Unchanged(func() {
		p.ID = k.Authorization
		if _, err := w.Q.IssueGrant(w.Ctx, p); pgErrorOf(err).Code != "22023" {
			t.Errorf("the id of a code's family: %v, want it refused", err)
		}
	})
}

func TestIssueGrantAgainAfterItWasEnded(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, p store.IssueGrantParams){
		"RevokeAuthorization": func(w *world, p store.IssueGrantParams) { _, err := w.Q.RevokeAuthorization(w.Ctx, p.ID); w.OK(err) },
		"RevokeUserAuthorizations": func(w *world, p store.IssueGrantParams) {
			_, err := w.Q.RevokeUserAuthorizations(w.Ctx, p.UserID)
			w.OK(err)
		},
		"RevokeClientAuthorizations": func(w *world, p store.IssueGrantParams) {
			_, err := w.Q.RevokeClientAuthorizations(w.Ctx, p.ClientID)
			w.OK(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			_, p := w.issueGrant("x", store.OutcomeIssued)
			end(w, p)
			w.WantDead("at-x", "rt-x")
			w.Unchanged(func() {
				again, err := w.Q.IssueGrant(w.Ctx, p)
				w.OK(err)
				wantEqual(t, "row", again, store.IssueGrantRow{Outcome: store.OutcomeRevoked})
			})
		})
	}
}

// A grant of a session without offline_access is bound to it, and its access token doesn't outlive it.
func TestIssueGrantInASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	openid := []string{"openid"}
	row, _ := w.issueGrant("bound", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.Scopes, p.AccessTokenLifetime = openid, 30*24*time.Hour })
	s, err := w.Q.GetSession(w.Ctx, w.Session)
	w.OK(err)
	if !row.AccessTokenExpiresAt.Equal(s.ExpiresAt) {
		t.Errorf("the access token expires at %s, the session at %s", row.AccessTokenExpiresAt, s.ExpiresAt)
	}
	w.issueGrant("offline", store.OutcomeIssued)
	w.issueGrant("without a session", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.Scopes, p.SessionID = openid, nil })
	w.endSession(w.Session)
	w.WantDead("at-bound", "rt-bound")
	w.WantLive("at-offline", "rt-offline", "at-without a session", "rt-without a session")
}

// The key binds the access token, and the family only of a client that has no secret (RFC 9449, section 5).
func TestIssueGrantBindsToAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	key := &token.Confirmation{JKT: "key"}
	w.issueGrant("public", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.Confirmation = key })
	w.Rotate("rt-public", store.OutcomeMismatched)
	w.Client = w.NewClient()
	w.issueGrant("confidential", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.Confirmation = key })
	if got := w.Introspect("at-confidential").Confirmation; got == nil || *got != *key {
		t.Errorf("the access token is bound to %v", got)
	}
	if got := w.Introspect("rt-confidential").Confirmation; got != nil {
		t.Errorf("the refresh token is bound to %v", got)
	}
	w.Rotate("rt-confidential", store.OutcomeRotated)
}

// The client's limits hold for this grant as for a code's.
func TestIssueGrantKeepsTheClientsLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) {
		p.AccessTokenLifetime, p.RefreshTokenLifetime, p.AuthorizationLifetime = new(20*time.Second), new(time.Minute), new(30*time.Second)
	})
	row, _ := w.issueGrant("x", store.OutcomeIssued)
	issued := w.Introspect("at-x").IssuedAt
	wantEqual(t, "access token", row.AccessTokenExpiresAt.Sub(*issued), 20*time.Second)
	wantEqual(t, "refresh token", row.RefreshTokenExpiresAt.Sub(*issued), 30*time.Second)
}

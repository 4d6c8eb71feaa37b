package calls

import (
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// revokeRaw revokes a token for a client.
func (w *world) revokeRaw(raw string, client store.ClientID) store.RevokeTokenRow {
	w.Helper()
	row, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(raw), ClientID: client, ClientAuthMethod: fixture.Verified})
	w.OK(err)
	return row
}

// introspectAccess asks by digest, as the server itself does.
func (w *world) introspectAccess(raw string) store.IntrospectAccessTokenRow {
	w.Helper()
	row, err := w.Q.IntrospectAccessToken(w.Ctx, store.IntrospectAccessTokenParams{Token: fixture.Digest(raw), ClientAuthMethod: fixture.Server})
	w.OK(err)
	return row
}

func (w *world) introspectAccessByID(id store.AccessTokenID) store.IntrospectAccessTokenByIDRow {
	w.Helper()
	row, err := w.Q.IntrospectAccessTokenByID(w.Ctx, store.IntrospectAccessTokenByIDParams{ID: id, ClientAuthMethod: fixture.Server})
	w.OK(err)
	return row
}

func (w *world) introspectRefresh(raw string) store.IntrospectRefreshTokenRow {
	w.Helper()
	row, err := w.Q.IntrospectRefreshToken(w.Ctx, store.IntrospectRefreshTokenParams{Token: fixture.Digest(raw), ClientAuthMethod: fixture.Server})
	w.OK(err)
	return row
}

func TestIssueAccessTokenToTheClientItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := w.issueParams("machine token")
	p.ReferenceID, p.Resources = new(store.ReferenceID("acme")), []string{"https://api.example"}
	p.Confirmation = &token.Confirmation{X5TS256: "certificate"}
	var row store.IssueAccessTokenRow
	w.changesRows(func() {
		var err error
		row, err = w.Q.IssueAccessToken(w.Ctx, p)
		w.OK(err)
	}, accessRow("+", p.ID))
	got := w.accessTokenOf("machine token")
	wantAt(t, "expires_at", got.ExpiresAt, got.CreatedAt, 10*time.Minute)
	wantEqual(t, "row", row, store.IssueAccessTokenRow{Outcome: store.OutcomeIssued, ExpiresAt: got.ExpiresAt})
	wantEqual(t, "the token", got, store.OAuthAccessToken{
		ID: p.ID, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, Token: p.AccessToken, ClientID: w.machine(),
		ClientEpoch: new(int64(0)), ReferenceID: p.ReferenceID, ExpiresAt: got.ExpiresAt, Scopes: p.Scopes, Resources: p.Resources, Confirmation: p.Confirmation,
	})
	found, err := w.Q.GetAccessToken(w.Ctx, p.ID)
	w.OK(err)
	wantEqual(t, "GetAccessToken", found, got)
	_, err = w.Q.GetAccessToken(w.Ctx, "unknown")
	w.None(err)
	_, err = w.Q.FindAccessTokenByToken(w.Ctx, fixture.Digest("unknown"))
	w.None(err)
}

func TestIssueAccessTokenWithoutEndAndWithoutDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var id store.AccessTokenID
	w.issue("", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) {
		p.AccessToken, p.Lifetime, id = nil, store.Never, p.ID
	})
	got, err := w.Q.GetAccessToken(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "token", got.Token, nil)
	wantEqual(t, "expires_at", got.ExpiresAt, nil)
	wantEqual(t, "a JWT, by its jti", w.introspectAccessByID(id), store.IntrospectAccessTokenByIDRow{
		Outcome: store.OutcomeActive, ID: &id, ClientID: new(w.machine()), Scopes: got.Scopes, IssuedAt: &got.CreatedAt,
	})
}

func TestIssueAccessTokenTakesNoTokenForAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var first store.IssueAccessTokenParams
	w.issue("first", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { first = *p })
	other := first
	other.AccessToken = new(fixture.Digest("another"))
	w.refused(func() {
		if _, err := w.Q.IssueAccessToken(w.Ctx, other); pgErrorOf(err).Code != "22023" {
			t.Errorf("another token of the same id: %v, want an error that names ID", err)
		}
	})
	for name, change := range map[string]func(*store.IssueAccessTokenParams){
		"other scopes":    func(p *store.IssueAccessTokenParams) { p.Scopes = []string{"metrics", "logs"} },
		"fewer scopes":    func(p *store.IssueAccessTokenParams) { p.Scopes = nil },
		"other resources": func(p *store.IssueAccessTokenParams) { p.Resources = []string{fixture.Resource} },
	} {
		w.refused(func() {
			p := first
			change(&p)
			if _, err := w.Q.IssueAccessToken(w.Ctx, p); pgErrorOf(err).Code != "22023" {
				t.Errorf("the same token with %s: %v, want an error that names ID", name, err)
			}
		})
	}
	grant := w.Redeem()
	other.ID = w.accessTokenOf(grant.Access).ID
	w.refused(func() {
		if _, err := w.Q.IssueAccessToken(w.Ctx, other); pgErrorOf(err).Code != "22023" {
			t.Errorf("the id of a user's token: %v, want an error that names ID", err)
		}
	})
}

func TestIssueAccessTokenWithinWhatTheClientMayAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	machine := func(scopes []string) store.ClientID {
		return w.NewClient(func(p *store.CreateClientParams) { p.Scopes, p.GrantTypes = scopes, []string{"client_credentials"} })
	}
	limited, nothing, unsaid, disabled := machine([]string{"metrics", "logs"}), machine([]string{}), machine(nil), machine(nil)
	w.disable(disabled)
	w.machine() // the first time, it is made
	for _, c := range []struct {
		name   string
		client store.ClientID
		scopes []string
		want   store.Outcome
	}{
		{"some", limited, []string{"logs"}, store.OutcomeIssued},
		{"all", limited, []string{"logs", "metrics", "logs"}, store.OutcomeIssued},
		{"none", limited, []string{}, store.OutcomeIssued},
		{"none of none", nothing, []string{}, store.OutcomeIssued},
		{"the server's default, where the registration names none", unsaid, []string{"logs"}, store.OutcomeIssued},
		{"more than the server's default", unsaid, []string{"admin"}, store.OutcomeInvalidScope},
		{"nil", limited, nil, store.OutcomeIssued},
		{"more", limited, []string{"logs", "admin"}, store.OutcomeInvalidScope},
		{"some of none", nothing, []string{"metrics"}, store.OutcomeInvalidScope},
		{"disabled", disabled, []string{"metrics"}, store.OutcomeDisabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			p := w.issueParams(fixture.Unique("token"))
			p.ClientID, p.Scopes = c.client, c.scopes
			var want []string
			if c.want == store.OutcomeIssued {
				want = append(want, accessRow("+", p.ID))
			}
			w.changesRows(func() {
				row, err := w.Q.IssueAccessToken(w.Ctx, p)
				w.OK(err)
				wantEqual(t, "outcome", row.Outcome, c.want)
				if c.want != store.OutcomeIssued {
					wantEqual(t, "expires_at", row.ExpiresAt, nil)
				}
			}, want...)
			if c.want == store.OutcomeIssued {
				got, err := w.Q.GetAccessToken(w.Ctx, p.ID)
				w.OK(err)
				wantEqual(t, "scopes", got.Scopes, append([]string{}, slices.Compact(slices.Sorted(slices.Values(c.scopes)))...))
			}
		})
	}
	noDefault := func(p *store.IssueAccessTokenParams) { p.ClientID, p.DefaultScopes = unsaid, nil }
	w.Unchanged(func() {
		w.issue("of nobody", store.OutcomeUnauthenticated, func(p *store.IssueAccessTokenParams) { p.ClientID = "unknown" })
		w.issue("of a client whose server has forgotten the default", store.OutcomeInvalidScope, noDefault)
	})
}

func TestIntrospectionSaysAllThatRFC7662Asks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	jkt := &token.Confirmation{JKT: "thumbprint"}
	k := w.Redeem(func(p *store.GrantAuthorizationParams) {
		p.ReferenceID, p.ACR, p.AMR, p.Confirmation = new(store.ReferenceID("acme")), new("1"), []string{"pwd", "otp"}, jkt
	})
	family, access, refresh := w.authorizationOf(k.Authorization), w.accessTokenOf(k.Access), w.refreshTokenOf(k.Refresh)
	user, err := w.Q.GetUser(w.Ctx, w.User)
	w.OK(err)

	want := store.IntrospectAccessTokenRow{
		Outcome: store.OutcomeActive, ID: &access.ID, ClientID: &w.Client, UserID: &w.User, Sub: w.publicSubject(), SessionID: &w.Session, ReferenceID: family.ReferenceID,
		AuthorizationID: &family.ID, RefreshID: &refresh.ID, Scopes: family.GrantedScopes, Resources: family.Resources,
		Confirmation: jkt, IssuedAt: &access.CreatedAt, ExpiresAt: access.ExpiresAt, AuthTime: family.AuthTime, ACR: family.ACR,
		AMR: family.AMR, Username: user.Email,
	}
	wantEqual(t, "IntrospectAccessToken", w.introspectAccess(k.Access), want)
	wantEqual(t, "IntrospectAccessTokenByID", w.introspectAccessByID(access.ID), store.IntrospectAccessTokenByIDRow(want))

	wantEqual(t, "IntrospectRefreshToken", w.introspectRefresh(k.Refresh), store.IntrospectRefreshTokenRow{
		Outcome: store.OutcomeActive, ID: &refresh.ID, ClientID: &w.Client, UserID: &w.User, Sub: w.publicSubject(), SessionID: &w.Session, ReferenceID: family.ReferenceID,
		AuthorizationID: &family.ID, Scopes: family.GrantedScopes, Resources: family.Resources, Confirmation: jkt,
		IssuedAt: &refresh.CreatedAt, ExpiresAt: refresh.ExpiresAt, AuthTime: family.AuthTime, ACR: family.ACR, AMR: family.AMR,
		Username: user.Email,
	})

	either := store.IntrospectTokenRow{
		Outcome: store.OutcomeActive, Kind: new(store.TokenKindAccessToken), AccessTokenID: &access.ID, RefreshTokenID: &refresh.ID,
		ClientID: &w.Client, UserID: &w.User, Sub: w.publicSubject(), SessionID: &w.Session, ReferenceID: family.ReferenceID, AuthorizationID: &family.ID,
		Scopes: family.GrantedScopes, Resources: family.Resources, Confirmation: jkt, IssuedAt: &access.CreatedAt,
		ExpiresAt: access.ExpiresAt, AuthTime: family.AuthTime, ACR: family.ACR, AMR: family.AMR, Username: user.Email,
	}
	wantEqual(t, "IntrospectToken of an access token", w.Introspect(k.Access), either)
	either.Kind, either.AccessTokenID, either.IssuedAt, either.ExpiresAt = new(store.TokenKindRefreshToken), nil, &refresh.CreatedAt, refresh.ExpiresAt
	wantEqual(t, "IntrospectToken of a refresh token", w.Introspect(k.Refresh), either)

	// one kind is not the other
	wantEqual(t, "a refresh token as an access token", w.introspectAccess(k.Refresh), store.IntrospectAccessTokenRow{Outcome: store.OutcomeInactive})
	wantEqual(t, "an access token as a refresh token", w.introspectRefresh(k.Access), store.IntrospectRefreshTokenRow{Outcome: store.OutcomeInactive})

	machine := w.accessTokenOf(w.issue("machine token", store.OutcomeIssued))
	wantEqual(t, "a client's own token", w.introspectAccess("machine token"), store.IntrospectAccessTokenRow{
		Outcome: store.OutcomeActive, ID: &machine.ID, ClientID: &machine.ClientID, Scopes: []string{"metrics"}, IssuedAt: &machine.CreatedAt,
		ExpiresAt: machine.ExpiresAt,
	})
	wantEqual(t, "a client's own token, of either kind", w.Introspect("machine token"), store.IntrospectTokenRow{
		Outcome: store.OutcomeActive, Kind: new(store.TokenKindAccessToken), AccessTokenID: &machine.ID, ClientID: &machine.ClientID,
		Scopes: []string{"metrics"}, IssuedAt: &machine.CreatedAt, ExpiresAt: machine.ExpiresAt,
	})
}

// introspections says whether a family's access and refresh token are live, and fails the test unless every call that can be
// asked agrees, and none says anything about a token that is not.
func (w *world) introspections(k fixture.Tokens, id store.AccessTokenID) (accessLive, refreshLive bool) {
	w.Helper()
	access, byID, refresh := w.introspectAccess(k.Access), w.introspectAccessByID(id), w.introspectRefresh(k.Refresh)
	either, eitherRefresh := w.Introspect(k.Access), w.Introspect(k.Refresh)
	wantEqual(w, "IntrospectAccessTokenByID", byID.Outcome, access.Outcome)
	wantEqual(w, "IntrospectToken of the access token", either.Outcome, access.Outcome)
	wantEqual(w, "IntrospectToken of the refresh token", eitherRefresh.Outcome, refresh.Outcome)
	if access.Outcome != store.OutcomeActive {
		wantEqual(w, "IntrospectAccessToken", access, store.IntrospectAccessTokenRow{Outcome: store.OutcomeInactive})
		wantEqual(w, "IntrospectAccessTokenByID", byID, store.IntrospectAccessTokenByIDRow{Outcome: store.OutcomeInactive})
		wantEqual(w, "IntrospectToken", either, store.IntrospectTokenRow{Outcome: store.OutcomeInactive})
	}
	if refresh.Outcome != store.OutcomeActive {
		wantEqual(w, "IntrospectRefreshToken", refresh, store.IntrospectRefreshTokenRow{Outcome: store.OutcomeInactive})
		wantEqual(w, "IntrospectToken", eitherRefresh, store.IntrospectTokenRow{Outcome: store.OutcomeInactive})
	}
	return access.Outcome == store.OutcomeActive, refresh.Outcome == store.OutcomeActive
}

func TestEachReasonForDeathIsEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	accessTokens := func(set string) func(*world, fixture.Tokens) {
		return func(w *world, k fixture.Tokens) {
			w.Exec(`UPDATE oauth_access_token SET `+set+` WHERE token = $1`, string(fixture.Digest(k.Access)))
		}
	}
	refreshTokens := func(set string) func(*world, fixture.Tokens) {
		return func(w *world, k fixture.Tokens) {
			w.Exec(`UPDATE oauth_refresh_token SET `+set+` WHERE token = $1`, string(fixture.Digest(k.Refresh)))
		}
	}
	for _, c := range []struct {
		name            string
		happens         func(*world, fixture.Tokens)
		access, refresh bool
	}{
		{"nothing", func(*world, fixture.Tokens) {}, true, true},
		{"the access token has expired", accessTokens("expires_at = now()"), false, true},
		{"the access token is revoked", accessTokens("revoked = now()"), false, true},
		{"the access token never expires", accessTokens("expires_at = NULL"), true, true},
		{"the refresh token has expired", refreshTokens("expires_at = now()"), true, false},
		{"the refresh token is revoked", refreshTokens("revoked = now()"), true, false},
		{"the refresh token never expires", refreshTokens("expires_at = NULL"), true, true},
		{"the refresh token is spent", func(w *world, k fixture.Tokens) { w.Rotate(k.Refresh, store.OutcomeRotated) }, true, false},
		{"the family is revoked", func(w *world, k fixture.Tokens) { w.revokeFamily(k.Authorization) }, false, false},
		{"the client is disabled", func(w *world, _ fixture.Tokens) { w.disable(w.Client) }, false, false},
		{"the client is enabled again", func(w *world, _ fixture.Tokens) {
			w.disable(w.Client)
			w.want("EnableClient", w.outcome(w.Q.EnableClient(w.Ctx, w.Client)), store.OutcomeEnabled)
		}, true, true},
		{"the client is deleted", func(w *world, _ fixture.Tokens) { w.deleteClient(w.Client) }, false, false},
		{"the client is deleted by hand", func(w *world, _ fixture.Tokens) {
			w.Exec(`DELETE FROM oauth_client WHERE client_id = $1`, w.Client)
		}, false, false},
		{"the user is suspended", func(w *world, _ fixture.Tokens) { w.suspend(w.User) }, false, false},
		{"the user was suspended", func(w *world, _ fixture.Tokens) {
			w.suspend(w.User)
			w.want("ReinstateUser", w.outcome(w.Q.ReinstateUser(w.Ctx, w.User)), store.OutcomeReinstated)
		}, false, false},
		{"the user is deleted", func(w *world, _ fixture.Tokens) { w.deleteUser(w.User) }, false, false},
		{"the user is deleted by hand", func(w *world, _ fixture.Tokens) { w.Exec(`DELETE FROM "user" WHERE id = $1`, w.User) }, false, false},
		{"the user is signed out, and it has offline_access", func(w *world, _ fixture.Tokens) { w.endSession(w.Session) }, true, true},
		{"the session has expired, and it has offline_access", func(w *world, _ fixture.Tokens) {
			w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session))
		}, true, true},
		{"the session is gone, and it has offline_access", func(w *world, _ fixture.Tokens) {
			w.Exec(`DELETE FROM session WHERE id = $1`, string(w.Session))
		}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			w.User = w.NewUser()
			w.Session = w.NewSession(w.User)
			w.Client = w.NewClient(func(p *store.CreateClientParams) { p.Public = new(true) })
			k := w.Redeem()
			id := w.accessTokenOf(k.Access).ID
			c.happens(w, k)
			access, refresh := w.introspections(k, id)
			wantEqual(t, "the access token is live", access, c.access)
			wantEqual(t, "the refresh token is live", refresh, c.refresh)
		})
	}
	for _, c := range []struct {
		name    string
		happens func(*world)
	}{
		{"signed out", func(w *world) { w.endSession(w.Session) }},
		{"signed out everywhere", func(w *world) {
			row, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: w.User})
			w.OK(err)
			w.want("EndUserSessions", row.Outcome, store.OutcomeEnded)
		}},
		{"expired", func(w *world) { w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session)) }},
		{"gone", func(w *world) { w.Exec(`DELETE FROM session WHERE id = $1`, string(w.Session)) }},
	} {
		t.Run("without offline_access, and the session is "+c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			w.User = w.NewUser()
			w.Session = w.NewSession(w.User)
			k := w.Redeem(online)
			id := w.accessTokenOf(k.Access).ID
			access, refresh := w.introspections(k, id)
			wantEqual(t, "live before", access && refresh, true)
			c.happens(w)
			access, refresh = w.introspections(k, id)
			wantEqual(t, "live", access || refresh, false)
		})
	}
	access, refresh := w.introspections(fixture.Tokens{Access: "unknown", Refresh: "unknown too"}, "unknown")
	wantEqual(t, "unknown tokens are live", access || refresh, false)
}

func TestRevokedAccessTokenDiesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	id := w.accessTokenOf(k.Access).ID
	w.changesRows(func() {
		wantEqual(t, "row", w.revokeRaw(k.Access, w.Client), store.RevokeTokenRow{
			Outcome: store.OutcomeEnded, Kind: new(store.TokenKindAccessToken), AccessTokenID: &id, AuthorizationID: &k.Authorization,
		})
	}, accessRow("~", id))
	got := w.accessTokenOf(k.Access)
	wantEqual(t, "revoked", got.Revoked, &got.UpdatedAt)
	w.WantDead(k.Access)
	w.WantLive(k.Refresh)

	own := w.accessTokenOf(w.issue("machine token", store.OutcomeIssued)).ID
	w.changesRows(func() {
		wantEqual(t, "row of a client's own token", w.revokeRaw("machine token", w.machine()), store.RevokeTokenRow{
			Outcome: store.OutcomeEnded, Kind: new(store.TokenKindAccessToken), AccessTokenID: &own,
		})
	}, accessRow("~", own))
	w.WantDead("machine token")
}

func TestRevokedRefreshTokenEndsItsFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, spent := range []bool{false, true} {
		k, other := w.Redeem(), w.Redeem()
		all := []string{k.Access, k.Refresh}
		if spent {
			_, access := w.Rotate(k.Refresh, store.OutcomeRotated)
			all = append(all, access, fixture.SuccessorOf(k.Refresh))
		}
		w.changesRows(func() {
			wantEqual(t, "row", w.revokeRaw(k.Refresh, w.Client), store.RevokeTokenRow{
				Outcome: store.OutcomeEnded, Kind: new(store.TokenKindRefreshToken), AuthorizationID: &k.Authorization,
			})
		}, authorizationRow("~", k.Authorization))
		a := w.authorizationOf(k.Authorization)
		wantEqual(t, "revoked_reason", a.RevokedReason, new(store.RevocationReasonTokenRevoked))
		wantEqual(t, "revoked_at", a.RevokedAt, &a.UpdatedAt)
		w.WantDead(all...)
		w.WantLive(other.Access, other.Refresh)
	}
	refresh := w.ForeignRefreshToken("foreign")
	w.ForeignAccessToken("foreign access", &refresh)
	w.want("RevokeToken", w.revokeRaw("foreign", w.Client).Outcome, store.OutcomeEnded)
	w.WantDead("foreign", "foreign access")
}

func TestRevocationThatEndsNothingChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other := w.NewClient()
	k, dead := w.Redeem(), w.Redeem()
	own := w.issue("machine token", store.OutcomeIssued)
	w.revokeFamily(dead.Authorization)
	w.Unchanged(func() {
		for _, raw := range []string{k.Access, k.Refresh, own} {
			wantEqual(t, "another client revokes "+raw, w.revokeRaw(raw, other), store.RevokeTokenRow{Outcome: store.OutcomeUnknown})
			wantEqual(t, "nobody revokes "+raw, w.revokeRaw(raw, "unknown"), store.RevokeTokenRow{Outcome: store.OutcomeUnauthenticated})
		}
		wantEqual(t, "an unknown token", w.revokeRaw("unknown", w.Client), store.RevokeTokenRow{Outcome: store.OutcomeUnknown})
		w.want("the refresh token of a revoked family", w.revokeRaw(dead.Refresh, w.Client).Outcome, store.OutcomeRevoked)
	})
	w.WantLive(k.Access, k.Refresh, own)
	for raw, client := range map[string]store.ClientID{k.Access: w.Client, k.Refresh: w.Client, own: w.machine()} {
		w.want(raw, w.revokeRaw(raw, client).Outcome, store.OutcomeEnded)
		w.Unchanged(func() { w.want(raw+" again", w.revokeRaw(raw, client).Outcome, store.OutcomeRevoked) })
	}
}

package calls

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func (w *world) issueParams(raw string) store.IssueAccessTokenParams {
	return store.IssueAccessTokenParams{
		ID: store.NewAccessTokenID(), ClientID: w.Client, AccessToken: new(fixture.Digest(raw)), Lifetime: new(5 * time.Minute),
		Scopes: []string{"metrics"},
	}
}

// issue issues a token to the world's client itself, wants an outcome, and returns the token.
func (w *world) issue(raw string, want store.IssuanceOutcome, change ...func(*store.IssueAccessTokenParams)) string {
	w.Helper()
	p := w.issueParams(raw)
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.IssueAccessToken(w.Ctx, p)
	w.OK(err)
	wantEqual(w, "IssueAccessToken", row.Outcome, want)
	return raw
}

// revokeRaw revokes a token as a client would; nil: nothing was ended.
func (w *world) revokeRaw(raw string, client store.ClientID) *store.RevokeTokenRow {
	w.Helper()
	row, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(raw), ClientID: client})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	w.OK(err)
	return &row
}

func TestIssueAccessTokenToTheClientItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := w.issueParams("machine")
	p.ReferenceID, p.Resources = new(store.ReferenceID("acme")), []string{"https://api.example"}
	p.Confirmation = &token.Confirmation{X5TS256: "certificate"}
	var row store.IssueAccessTokenRow
	w.changesRows(func() {
		var err error
		row, err = w.Q.IssueAccessToken(w.Ctx, p)
		w.OK(err)
	}, accessRow("+", p.ID))
	got := w.accessTokenOf("machine")
	wantAt(t, "expires_at", got.ExpiresAt, got.CreatedAt, 5*time.Minute)
	wantEqual(t, "row", row, store.IssueAccessTokenRow{Outcome: store.IssuanceOutcomeIssued, ExpiresAt: got.ExpiresAt})
	wantEqual(t, "the token", got, store.OAuthAccessToken{
		ID: p.ID, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, Token: p.AccessToken, ClientID: w.Client,
		ReferenceID: p.ReferenceID, ExpiresAt: got.ExpiresAt, Scopes: p.Scopes, Resources: p.Resources, Confirmation: p.Confirmation,
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
	w.issue("", store.IssuanceOutcomeIssued, func(p *store.IssueAccessTokenParams) {
		p.AccessToken, p.Lifetime, id = nil, nil, p.ID
	})
	got, err := w.Q.GetAccessToken(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "token", got.Token, nil)
	wantEqual(t, "expires_at", got.ExpiresAt, nil)
	jwt, err := w.Q.IntrospectAccessTokenByID(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "a JWT, by its jti", jwt, store.IntrospectAccessTokenByIDRow{
		ID: id, ClientID: w.Client, Scopes: got.Scopes, IssuedAt: got.CreatedAt,
	})
}

func TestIssueAccessTokenWithinWhatTheClientMayAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	limited := w.NewClient(func(p *store.CreateClientParams) { p.Scopes = []string{"metrics", "logs"} })
	nothing := w.NewClient(func(p *store.CreateClientParams) { p.Scopes = []string{} })
	disabled := w.NewClient()
	w.disable(disabled)
	for _, c := range []struct {
		name   string
		client store.ClientID
		scopes []string
		want   store.IssuanceOutcome
	}{
		{"some", limited, []string{"logs"}, store.IssuanceOutcomeIssued},
		{"all", limited, []string{"logs", "metrics", "logs"}, store.IssuanceOutcomeIssued},
		{"none", limited, []string{}, store.IssuanceOutcomeIssued},
		{"none of none", nothing, []string{}, store.IssuanceOutcomeIssued},
		{"any, where the registration names none", w.Client, []string{"whatever"}, store.IssuanceOutcomeIssued},
		{"more", limited, []string{"logs", "admin"}, store.IssuanceOutcomeExceeded},
		{"some of none", nothing, []string{"metrics"}, store.IssuanceOutcomeExceeded},
		{"disabled", disabled, []string{"metrics"}, store.IssuanceOutcomeDisabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			p := w.issueParams(fixture.Unique("machine"))
			p.ClientID, p.Scopes = c.client, c.scopes
			var want []string
			if c.want == store.IssuanceOutcomeIssued {
				want = append(want, accessRow("+", p.ID))
			}
			w.changesRows(func() {
				row, err := w.Q.IssueAccessToken(w.Ctx, p)
				w.OK(err)
				wantEqual(t, "outcome", row.Outcome, c.want)
				if c.want != store.IssuanceOutcomeIssued {
					wantEqual(t, "expires_at", row.ExpiresAt, nil)
				}
			}, want...)
		})
	}
	w.Unchanged(func() {
		p := w.issueParams("unknown client")
		p.ClientID = "unknown"
		_, err := w.Q.IssueAccessToken(w.Ctx, p)
		w.None(err)
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
		ID: access.ID, ClientID: w.Client, UserID: &w.User, SessionID: &w.Session, ReferenceID: family.ReferenceID,
		AuthorizationID: &family.ID, RefreshID: &refresh.ID, Scopes: family.GrantedScopes, Resources: family.Resources,
		Confirmation: jkt, IssuedAt: access.CreatedAt, ExpiresAt: access.ExpiresAt, AuthTime: family.AuthTime, ACR: family.ACR,
		AMR: family.AMR, Username: &user.Email,
	}
	got, err := w.Q.IntrospectAccessToken(w.Ctx, fixture.Digest(k.Access))
	w.OK(err)
	wantEqual(t, "IntrospectAccessToken", got, want)
	byID, err := w.Q.IntrospectAccessTokenByID(w.Ctx, access.ID)
	w.OK(err)
	wantEqual(t, "IntrospectAccessTokenByID", byID, store.IntrospectAccessTokenByIDRow(want))

	wantRefresh := store.IntrospectRefreshTokenRow{
		ID: refresh.ID, ClientID: w.Client, UserID: w.User, SessionID: &w.Session, ReferenceID: family.ReferenceID,
		AuthorizationID: &family.ID, Scopes: family.GrantedScopes, Resources: family.Resources, Confirmation: jkt,
		IssuedAt: refresh.CreatedAt, ExpiresAt: refresh.ExpiresAt, AuthTime: family.AuthTime, ACR: family.ACR, AMR: family.AMR,
		Username: user.Email,
	}
	gotRefresh, err := w.Q.IntrospectRefreshToken(w.Ctx, fixture.Digest(k.Refresh))
	w.OK(err)
	wantEqual(t, "IntrospectRefreshToken", gotRefresh, wantRefresh)

	either := store.IntrospectTokenRow{
		Kind: store.TokenKindAccessToken, AccessTokenID: &access.ID, RefreshTokenID: &refresh.ID, ClientID: w.Client, UserID: &w.User,
		SessionID: &w.Session, ReferenceID: family.ReferenceID, AuthorizationID: &family.ID, Scopes: family.GrantedScopes,
		Resources: family.Resources, Confirmation: jkt, IssuedAt: access.CreatedAt, ExpiresAt: access.ExpiresAt,
		AuthTime: family.AuthTime, ACR: family.ACR, AMR: family.AMR, Username: &user.Email,
	}
	answer, err := w.Q.IntrospectToken(w.Ctx, fixture.Digest(k.Access))
	w.OK(err)
	wantEqual(t, "IntrospectToken of an access token", answer, either)
	either.Kind, either.AccessTokenID, either.IssuedAt, either.ExpiresAt = store.TokenKindRefreshToken, nil, refresh.CreatedAt, refresh.ExpiresAt
	answer, err = w.Q.IntrospectToken(w.Ctx, fixture.Digest(k.Refresh))
	w.OK(err)
	wantEqual(t, "IntrospectToken of a refresh token", answer, either)

	_, err = w.Q.IntrospectAccessToken(w.Ctx, fixture.Digest(k.Refresh))
	w.None(err) // one kind is not the other
	_, err = w.Q.IntrospectRefreshToken(w.Ctx, fixture.Digest(k.Access))
	w.None(err)

	machine := w.accessTokenOf(w.issue("machine", store.IssuanceOutcomeIssued))
	own, err := w.Q.IntrospectAccessToken(w.Ctx, fixture.Digest("machine"))
	w.OK(err)
	wantEqual(t, "a client's own token", own, store.IntrospectAccessTokenRow{
		ID: machine.ID, ClientID: w.Client, Scopes: []string{"metrics"}, IssuedAt: machine.CreatedAt, ExpiresAt: machine.ExpiresAt,
	})
	answer, err = w.Q.IntrospectToken(w.Ctx, fixture.Digest("machine"))
	w.OK(err)
	wantEqual(t, "a client's own token, of either kind", answer, store.IntrospectTokenRow{
		Kind: store.TokenKindAccessToken, AccessTokenID: &machine.ID, ClientID: w.Client, Scopes: []string{"metrics"},
		IssuedAt: machine.CreatedAt, ExpiresAt: machine.ExpiresAt,
	})
}

// introspections says whether a family's access and refresh token are live, and fails the test unless every call that can be
// asked agrees.
func (w *world) introspections(k fixture.Tokens, access store.AccessTokenID) (accessLive, refreshLive bool) {
	w.Helper()
	live := func(call string, err error) bool {
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			w.Errorf("%s: %v", call, err)
		}
		return err == nil
	}
	_, err := w.Q.IntrospectAccessToken(w.Ctx, fixture.Digest(k.Access))
	accessLive = live("IntrospectAccessToken", err)
	_, err = w.Q.IntrospectAccessTokenByID(w.Ctx, access)
	wantEqual(w, "IntrospectAccessTokenByID", live("IntrospectAccessTokenByID", err), accessLive)
	_, err = w.Q.IntrospectToken(w.Ctx, fixture.Digest(k.Access))
	wantEqual(w, "IntrospectToken of the access token", live("IntrospectToken", err), accessLive)
	_, err = w.Q.IntrospectRefreshToken(w.Ctx, fixture.Digest(k.Refresh))
	refreshLive = live("IntrospectRefreshToken", err)
	_, err = w.Q.IntrospectToken(w.Ctx, fixture.Digest(k.Refresh))
	wantEqual(w, "IntrospectToken of the refresh token", live("IntrospectToken", err), refreshLive)
	return accessLive, refreshLive
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
		{"the refresh token is spent", func(w *world, k fixture.Tokens) { w.Rotate(k.Refresh, store.RotationOutcomeRotated) }, true, false},
		{"the family is revoked", func(w *world, k fixture.Tokens) { w.revokeFamily(k.Authorization) }, false, false},
		{"the client is disabled", func(w *world, _ fixture.Tokens) { w.disable(w.Client) }, false, false},
		{"the client is enabled again", func(w *world, _ fixture.Tokens) {
			w.disable(w.Client)
			_, err := w.Q.EnableClient(w.Ctx, w.Client)
			w.OK(err)
		}, true, true},
		{"the client is deleted", func(w *world, _ fixture.Tokens) { _, err := w.Q.DeleteClient(w.Ctx, w.Client); w.OK(err) }, false, false},
		{"the user is deleted", func(w *world, _ fixture.Tokens) { _, err := w.Q.DeleteUser(w.Ctx, w.User); w.OK(err) }, false, false},
		{"the session has expired", func(w *world, _ fixture.Tokens) {
			w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session))
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
	access, refresh := w.introspections(fixture.Tokens{Access: "unknown", Refresh: "unknown too"}, "unknown")
	wantEqual(t, "unknown tokens are live", access || refresh, false)
}

func TestRevokedAccessTokenDiesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	id := w.accessTokenOf(k.Access).ID
	w.changesRows(func() {
		wantEqual(t, "row", w.revokeRaw(k.Access, w.Client), &store.RevokeTokenRow{
			Kind: store.TokenKindAccessToken, AccessTokenID: &id, ClientID: w.Client, UserID: &w.User, AuthorizationID: &k.Authorization,
		})
	}, accessRow("~", id))
	got := w.accessTokenOf(k.Access)
	wantEqual(t, "revoked", got.Revoked, &got.UpdatedAt)
	w.WantDead(k.Access)
	w.WantLive(k.Refresh)

	machine := w.accessTokenOf(w.issue("machine", store.IssuanceOutcomeIssued)).ID
	w.changesRows(func() {
		wantEqual(t, "row of a client's own token", w.revokeRaw("machine", w.Client), &store.RevokeTokenRow{
			Kind: store.TokenKindAccessToken, AccessTokenID: &machine, ClientID: w.Client,
		})
	}, accessRow("~", machine))
	w.WantDead("machine")
}

func TestRevokedRefreshTokenEndsItsFamily(t *testing.T) {
	t.Parallel()
	for _, spent := range []bool{false, true} {
		name := "live"
		if spent {
			name = "spent"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			k, other := w.Redeem(), w.Redeem()
			all := []string{k.Access, k.Refresh}
			if spent {
				_, access := w.Rotate(k.Refresh, store.RotationOutcomeRotated)
				all = append(all, access, fixture.SuccessorOf(k.Refresh))
			}
			id := w.refreshTokenOf(k.Refresh).ID
			w.changesRows(func() {
				wantEqual(t, "row", w.revokeRaw(k.Refresh, w.Client), &store.RevokeTokenRow{
					Kind: store.TokenKindRefreshToken, RefreshTokenID: &id, ClientID: w.Client, UserID: &w.User, AuthorizationID: &k.Authorization,
				})
			}, authorizationRow("~", k.Authorization))
			a := w.authorizationOf(k.Authorization)
			wantEqual(t, "revoked_reason", a.RevokedReason, new(store.RevocationReasonTokenRevoked))
			wantEqual(t, "revoked_at", a.RevokedAt, &a.UpdatedAt)
			w.WantDead(all...)
			w.WantLive(other.Access, other.Refresh)
		})
	}
}

func TestRevocationThatEndsNothingChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other := w.NewClient()
	k, dead := w.Redeem(), w.Redeem()
	stray := w.ForeignRefreshToken("stray")
	w.ForeignAccessToken("stray access", &stray)
	machine := w.issue("machine", store.IssuanceOutcomeIssued)
	w.revokeFamily(dead.Authorization)
	expired := w.issue("expired", store.IssuanceOutcomeIssued)
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() WHERE token = $1`, string(fixture.Digest(expired)))
	w.Unchanged(func() {
		for _, raw := range []string{k.Access, k.Refresh, "stray", "stray access", machine} {
			for _, client := range []store.ClientID{other, "unknown"} {
				wantEqual(t, "another client revokes "+raw, w.revokeRaw(raw, client), nil)
			}
		}
		wantEqual(t, "an unknown token", w.revokeRaw("unknown", w.Client), nil)
		wantEqual(t, "the access token of a revoked family", w.revokeRaw(dead.Access, w.Client), nil)
		wantEqual(t, "the refresh token of a revoked family", w.revokeRaw(dead.Refresh, w.Client), nil)
		wantEqual(t, "an expired access token", w.revokeRaw(expired, w.Client), nil)
	})
	w.WantLive(k.Access, k.Refresh, "stray", "stray access", machine)
	for _, raw := range []string{k.Access, k.Refresh, "stray", machine} {
		if w.revokeRaw(raw, w.Client) == nil {
			t.Errorf("%s: nothing was ended", raw)
		}
		w.Unchanged(func() { wantEqual(t, raw+" again", w.revokeRaw(raw, w.Client), nil) })
	}
	w.WantDead("stray access")
	w.Unchanged(func() {
		wantEqual(t, "an access token that died with its refresh token", w.revokeRaw("stray access", w.Client), nil)
	})
}

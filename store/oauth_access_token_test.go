package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func (w *world) issueParams(raw string) store.IssueAccessTokenParams {
	return store.IssueAccessTokenParams{
		ID: store.NewAccessTokenID(), ClientID: w.client, AccessToken: ptr(digest(raw)), Lifetime: ptr(5 * time.Minute),
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
	row, err := w.q.IssueAccessToken(w.ctx, p)
	w.ok(err)
	wantEqual(w, "IssueAccessToken", row.Outcome, want)
	return raw
}

// revokeRaw revokes a token as a client would; nil: nothing was ended.
func (w *world) revokeRaw(raw string, client store.ClientID) *store.RevokeTokenRow {
	w.Helper()
	row, err := w.q.RevokeToken(w.ctx, store.RevokeTokenParams{Token: digest(raw), ClientID: client})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	w.ok(err)
	return &row
}

func TestIssueAccessTokenToTheClientItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := w.issueParams("machine")
	p.ReferenceID, p.Resources = ptr(store.ReferenceID("acme")), []string{"https://api.example"}
	p.Confirmation = &token.Confirmation{X5TS256: "certificate"}
	var row store.IssueAccessTokenRow
	w.changesRows(func() {
		var err error
		row, err = w.q.IssueAccessToken(w.ctx, p)
		w.ok(err)
	}, accessRow("+", p.ID))
	got := w.accessTokenOf("machine")
	wantAt(t, "expires_at", got.ExpiresAt, got.CreatedAt, 5*time.Minute)
	wantEqual(t, "row", row, store.IssueAccessTokenRow{Outcome: store.IssuanceOutcomeIssued, ExpiresAt: got.ExpiresAt})
	wantEqual(t, "the token", got, store.OAuthAccessToken{
		ID: p.ID, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, Token: p.AccessToken, ClientID: w.client,
		ReferenceID: p.ReferenceID, ExpiresAt: got.ExpiresAt, Scopes: p.Scopes, Resources: p.Resources, Confirmation: p.Confirmation,
	})
	found, err := w.q.GetAccessToken(w.ctx, p.ID)
	w.ok(err)
	wantEqual(t, "GetAccessToken", found, got)
	_, err = w.q.GetAccessToken(w.ctx, "unknown")
	w.none(err)
	_, err = w.q.FindAccessTokenByToken(w.ctx, digest("unknown"))
	w.none(err)
}

func TestIssueAccessTokenWithoutEndAndWithoutDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var id store.AccessTokenID
	w.issue("", store.IssuanceOutcomeIssued, func(p *store.IssueAccessTokenParams) {
		p.AccessToken, p.Lifetime, id = nil, nil, p.ID
	})
	got, err := w.q.GetAccessToken(w.ctx, id)
	w.ok(err)
	wantEqual(t, "token", got.Token, nil)
	wantEqual(t, "expires_at", got.ExpiresAt, nil)
	jwt, err := w.q.IntrospectAccessTokenByID(w.ctx, id)
	w.ok(err)
	wantEqual(t, "a JWT, by its jti", jwt, store.IntrospectAccessTokenByIDRow{
		ID: id, ClientID: w.client, Scopes: got.Scopes, IssuedAt: got.CreatedAt,
	})
}

func TestIssueAccessTokenWithinWhatTheClientMayAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	limited := w.newClient(func(p *store.CreateClientParams) { p.Scopes = []string{"metrics", "logs"} })
	nothing := w.newClient(func(p *store.CreateClientParams) { p.Scopes = []string{} })
	disabled := w.newClient()
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
		{"any, where the registration names none", w.client, []string{"whatever"}, store.IssuanceOutcomeIssued},
		{"more", limited, []string{"logs", "admin"}, store.IssuanceOutcomeExceeded},
		{"some of none", nothing, []string{"metrics"}, store.IssuanceOutcomeExceeded},
		{"disabled", disabled, []string{"metrics"}, store.IssuanceOutcomeDisabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			p := w.issueParams(unique("machine"))
			p.ClientID, p.Scopes = c.client, c.scopes
			var want []string
			if c.want == store.IssuanceOutcomeIssued {
				want = append(want, accessRow("+", p.ID))
			}
			w.changesRows(func() {
				row, err := w.q.IssueAccessToken(w.ctx, p)
				w.ok(err)
				wantEqual(t, "outcome", row.Outcome, c.want)
				if c.want != store.IssuanceOutcomeIssued {
					wantEqual(t, "expires_at", row.ExpiresAt, nil)
				}
			}, want...)
		})
	}
	w.unchanged(func() {
		p := w.issueParams("unknown client")
		p.ClientID = "unknown"
		_, err := w.q.IssueAccessToken(w.ctx, p)
		w.none(err)
	})
}

func TestIntrospectionSaysAllThatRFC7662Asks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	jkt := &token.Confirmation{JKT: "thumbprint"}
	k := w.redeem(func(p *store.GrantAuthorizationParams) {
		p.ReferenceID, p.ACR, p.AMR, p.Confirmation = ptr(store.ReferenceID("acme")), ptr("1"), []string{"pwd", "otp"}, jkt
	})
	family, access, refresh := w.authorizationOf(k.authorization), w.accessTokenOf(k.access), w.refreshTokenOf(k.refresh)
	user, err := w.q.GetUser(w.ctx, w.user)
	w.ok(err)

	want := store.IntrospectAccessTokenRow{
		ID: access.ID, ClientID: w.client, UserID: &w.user, SessionID: &w.session, ReferenceID: family.ReferenceID,
		AuthorizationID: &family.ID, RefreshID: &refresh.ID, Scopes: family.GrantedScopes, Resources: family.Resources,
		Confirmation: jkt, IssuedAt: access.CreatedAt, ExpiresAt: access.ExpiresAt, AuthTime: family.AuthTime, ACR: family.ACR,
		AMR: family.AMR, Username: &user.Email,
	}
	got, err := w.q.IntrospectAccessToken(w.ctx, digest(k.access))
	w.ok(err)
	wantEqual(t, "IntrospectAccessToken", got, want)
	byID, err := w.q.IntrospectAccessTokenByID(w.ctx, access.ID)
	w.ok(err)
	wantEqual(t, "IntrospectAccessTokenByID", byID, store.IntrospectAccessTokenByIDRow(want))

	wantRefresh := store.IntrospectRefreshTokenRow{
		ID: refresh.ID, ClientID: w.client, UserID: w.user, SessionID: &w.session, ReferenceID: family.ReferenceID,
		AuthorizationID: &family.ID, Scopes: family.GrantedScopes, Resources: family.Resources, Confirmation: jkt,
		IssuedAt: refresh.CreatedAt, ExpiresAt: refresh.ExpiresAt, AuthTime: family.AuthTime, ACR: family.ACR, AMR: family.AMR,
		Username: user.Email,
	}
	gotRefresh, err := w.q.IntrospectRefreshToken(w.ctx, digest(k.refresh))
	w.ok(err)
	wantEqual(t, "IntrospectRefreshToken", gotRefresh, wantRefresh)

	either := store.IntrospectTokenRow{
		Kind: store.TokenKindAccessToken, AccessTokenID: &access.ID, RefreshTokenID: &refresh.ID, ClientID: w.client, UserID: &w.user,
		SessionID: &w.session, ReferenceID: family.ReferenceID, AuthorizationID: &family.ID, Scopes: family.GrantedScopes,
		Resources: family.Resources, Confirmation: jkt, IssuedAt: access.CreatedAt, ExpiresAt: access.ExpiresAt,
		AuthTime: family.AuthTime, ACR: family.ACR, AMR: family.AMR, Username: &user.Email,
	}
	answer, err := w.q.IntrospectToken(w.ctx, digest(k.access))
	w.ok(err)
	wantEqual(t, "IntrospectToken of an access token", answer, either)
	either.Kind, either.AccessTokenID, either.IssuedAt, either.ExpiresAt = store.TokenKindRefreshToken, nil, refresh.CreatedAt, refresh.ExpiresAt
	answer, err = w.q.IntrospectToken(w.ctx, digest(k.refresh))
	w.ok(err)
	wantEqual(t, "IntrospectToken of a refresh token", answer, either)

	_, err = w.q.IntrospectAccessToken(w.ctx, digest(k.refresh))
	w.none(err) // one kind is not the other
	_, err = w.q.IntrospectRefreshToken(w.ctx, digest(k.access))
	w.none(err)

	machine := w.accessTokenOf(w.issue("machine", store.IssuanceOutcomeIssued))
	own, err := w.q.IntrospectAccessToken(w.ctx, digest("machine"))
	w.ok(err)
	wantEqual(t, "a client's own token", own, store.IntrospectAccessTokenRow{
		ID: machine.ID, ClientID: w.client, Scopes: []string{"metrics"}, IssuedAt: machine.CreatedAt, ExpiresAt: machine.ExpiresAt,
	})
	answer, err = w.q.IntrospectToken(w.ctx, digest("machine"))
	w.ok(err)
	wantEqual(t, "a client's own token, of either kind", answer, store.IntrospectTokenRow{
		Kind: store.TokenKindAccessToken, AccessTokenID: &machine.ID, ClientID: w.client, Scopes: []string{"metrics"},
		IssuedAt: machine.CreatedAt, ExpiresAt: machine.ExpiresAt,
	})
}

// introspections says whether a family's access and refresh token are live, and fails the test unless every call that can be
// asked agrees.
func (w *world) introspections(k tokens, access store.AccessTokenID) (accessLive, refreshLive bool) {
	w.Helper()
	live := func(call string, err error) bool {
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			w.Errorf("%s: %v", call, err)
		}
		return err == nil
	}
	_, err := w.q.IntrospectAccessToken(w.ctx, digest(k.access))
	accessLive = live("IntrospectAccessToken", err)
	_, err = w.q.IntrospectAccessTokenByID(w.ctx, access)
	wantEqual(w, "IntrospectAccessTokenByID", live("IntrospectAccessTokenByID", err), accessLive)
	_, err = w.q.IntrospectToken(w.ctx, digest(k.access))
	wantEqual(w, "IntrospectToken of the access token", live("IntrospectToken", err), accessLive)
	_, err = w.q.IntrospectRefreshToken(w.ctx, digest(k.refresh))
	refreshLive = live("IntrospectRefreshToken", err)
	_, err = w.q.IntrospectToken(w.ctx, digest(k.refresh))
	wantEqual(w, "IntrospectToken of the refresh token", live("IntrospectToken", err), refreshLive)
	return accessLive, refreshLive
}

func TestEachReasonForDeathIsEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	accessTokens := func(set string) func(*world, tokens) {
		return func(w *world, k tokens) {
			w.exec(`UPDATE oauth_access_token SET `+set+` WHERE token = $1`, string(digest(k.access)))
		}
	}
	refreshTokens := func(set string) func(*world, tokens) {
		return func(w *world, k tokens) {
			w.exec(`UPDATE oauth_refresh_token SET `+set+` WHERE token = $1`, string(digest(k.refresh)))
		}
	}
	for _, c := range []struct {
		name            string
		happens         func(*world, tokens)
		access, refresh bool
	}{
		{"nothing", func(*world, tokens) {}, true, true},
		{"the access token has expired", accessTokens("expires_at = now()"), false, true},
		{"the access token is revoked", accessTokens("revoked = now()"), false, true},
		{"the access token never expires", accessTokens("expires_at = NULL"), true, true},
		{"the refresh token has expired", refreshTokens("expires_at = now()"), true, false},
		{"the refresh token is revoked", refreshTokens("revoked = now()"), true, false},
		{"the refresh token never expires", refreshTokens("expires_at = NULL"), true, true},
		{"the refresh token is spent", func(w *world, k tokens) { w.rotate(k.refresh, store.RotationOutcomeRotated) }, true, false},
		{"the family is revoked", func(w *world, k tokens) { w.revokeFamily(k.authorization) }, false, false},
		{"the client is disabled", func(w *world, _ tokens) { w.disable(w.client) }, false, false},
		{"the client is enabled again", func(w *world, _ tokens) {
			w.disable(w.client)
			_, err := w.q.EnableClient(w.ctx, w.client)
			w.ok(err)
		}, true, true},
		{"the client is deleted", func(w *world, _ tokens) { _, err := w.q.DeleteClient(w.ctx, w.client); w.ok(err) }, false, false},
		{"the user is deleted", func(w *world, _ tokens) { _, err := w.q.DeleteUser(w.ctx, w.user); w.ok(err) }, false, false},
		{"the session has expired", func(w *world, _ tokens) {
			w.exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.session))
		}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			w.user = w.newUser()
			w.session = w.newSession(w.user)
			w.client = w.newClient(func(p *store.CreateClientParams) { p.Public = ptr(true) })
			k := w.redeem()
			id := w.accessTokenOf(k.access).ID
			c.happens(w, k)
			access, refresh := w.introspections(k, id)
			wantEqual(t, "the access token is live", access, c.access)
			wantEqual(t, "the refresh token is live", refresh, c.refresh)
		})
	}
	access, refresh := w.introspections(tokens{access: "unknown", refresh: "unknown too"}, "unknown")
	wantEqual(t, "unknown tokens are live", access || refresh, false)
}

func TestRevokedAccessTokenDiesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.redeem()
	id := w.accessTokenOf(k.access).ID
	w.changesRows(func() {
		wantEqual(t, "row", w.revokeRaw(k.access, w.client), &store.RevokeTokenRow{
			Kind: store.TokenKindAccessToken, AccessTokenID: &id, ClientID: w.client, UserID: &w.user, AuthorizationID: &k.authorization,
		})
	}, accessRow("~", id))
	got := w.accessTokenOf(k.access)
	wantEqual(t, "revoked", got.Revoked, &got.UpdatedAt)
	w.wantDead(k.access)
	w.wantLive(k.refresh)

	machine := w.accessTokenOf(w.issue("machine", store.IssuanceOutcomeIssued)).ID
	w.changesRows(func() {
		wantEqual(t, "row of a client's own token", w.revokeRaw("machine", w.client), &store.RevokeTokenRow{
			Kind: store.TokenKindAccessToken, AccessTokenID: &machine, ClientID: w.client,
		})
	}, accessRow("~", machine))
	w.wantDead("machine")
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
			k, other := w.redeem(), w.redeem()
			all := []string{k.access, k.refresh}
			if spent {
				_, access := w.rotate(k.refresh, store.RotationOutcomeRotated)
				all = append(all, access, successorOf(k.refresh))
			}
			id := w.refreshTokenOf(k.refresh).ID
			w.changesRows(func() {
				wantEqual(t, "row", w.revokeRaw(k.refresh, w.client), &store.RevokeTokenRow{
					Kind: store.TokenKindRefreshToken, RefreshTokenID: &id, ClientID: w.client, UserID: &w.user, AuthorizationID: &k.authorization,
				})
			}, authorizationRow("~", k.authorization))
			a := w.authorizationOf(k.authorization)
			wantEqual(t, "revoked_reason", a.RevokedReason, ptr(store.RevocationReasonTokenRevoked))
			wantEqual(t, "revoked_at", a.RevokedAt, &a.UpdatedAt)
			w.wantDead(all...)
			w.wantLive(other.access, other.refresh)
		})
	}
}

func TestRevocationThatEndsNothingChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other := w.newClient()
	k, dead := w.redeem(), w.redeem()
	stray := w.foreignRefreshToken("stray")
	w.foreignAccessToken("stray access", &stray)
	machine := w.issue("machine", store.IssuanceOutcomeIssued)
	w.revokeFamily(dead.authorization)
	expired := w.issue("expired", store.IssuanceOutcomeIssued)
	w.exec(`UPDATE oauth_access_token SET expires_at = now() WHERE token = $1`, string(digest(expired)))
	w.unchanged(func() {
		for _, raw := range []string{k.access, k.refresh, "stray", "stray access", machine} {
			for _, client := range []store.ClientID{other, "unknown"} {
				wantEqual(t, "another client revokes "+raw, w.revokeRaw(raw, client), nil)
			}
		}
		wantEqual(t, "an unknown token", w.revokeRaw("unknown", w.client), nil)
		wantEqual(t, "the access token of a revoked family", w.revokeRaw(dead.access, w.client), nil)
		wantEqual(t, "the refresh token of a revoked family", w.revokeRaw(dead.refresh, w.client), nil)
		wantEqual(t, "an expired access token", w.revokeRaw(expired, w.client), nil)
	})
	w.wantLive(k.access, k.refresh, "stray", "stray access", machine)
	for _, raw := range []string{k.access, k.refresh, "stray", machine} {
		if w.revokeRaw(raw, w.client) == nil {
			t.Errorf("%s: nothing was ended", raw)
		}
		w.unchanged(func() { wantEqual(t, raw+" again", w.revokeRaw(raw, w.client), nil) })
	}
	w.wantDead("stray access")
	w.unchanged(func() {
		wantEqual(t, "an access token that died with its refresh token", w.revokeRaw("stray access", w.client), nil)
	})
}

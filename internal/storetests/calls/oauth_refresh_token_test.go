package calls

import (
	"bytes"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

type rotation = func(*store.RotateRefreshTokenParams)

// spentAgo moves the instant at which a refresh token was spent back by a time.
func (w *world) spentAgo(refresh string, ago time.Duration) {
	w.Helper()
	w.Exec(`UPDATE oauth_refresh_token SET revoked = now() - $2::interval WHERE token = $1`, string(fixture.Digest(refresh)), ago)
}

func (w *world) expireRefreshToken(refresh string) {
	w.Helper()
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() WHERE token = $1`, string(fixture.Digest(refresh)))
}

func TestRotationReplacesTheTokenAndKeepsTheGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	jkt := &token.Confirmation{JKT: "thumbprint"}
	k := w.Redeem(func(p *store.GrantAuthorizationParams) {
		p.Confirmation, p.ReferenceID = jkt, new(store.ReferenceID("acme"))
	})
	family, spent := w.authorizationOf(k.Authorization), w.refreshTokenOf(k.Refresh)
	p, accessRaw := w.RotateParams(k.Refresh)
	p.Confirmation, p.RefreshTokenLifetime = jkt, 2*time.Hour
	var row store.RotateRefreshTokenRow
	w.changesRows(
		func() {
			var err error
			row, err = w.Q.RotateRefreshToken(w.Ctx, p)
			w.OK(err)
		},
		refreshRow("~", spent.ID), refreshRow("+", p.SuccessorID), accessRow("+", p.AccessTokenID),
	)

	got, now := w.refreshTokenOf(k.Refresh), w.accessTokenOf(accessRaw).CreatedAt
	spent.Revoked, spent.UpdatedAt, spent.Successor, spent.SuccessorID = &now, now, &p.Successor, &p.SuccessorID
	wantEqual(t, "the spent token", got, spent)

	successor := w.refreshTokenOf(fixture.SuccessorOf(k.Refresh))
	wantAt(t, "expires_at of the successor", successor.ExpiresAt, now, 2*time.Hour)
	wantEqual(t, "the successor", successor, store.OAuthRefreshToken{
		ID: p.SuccessorID, CreatedAt: now, UpdatedAt: now, Token: p.Successor, ClientID: w.Client, SessionID: &w.Session,
		UserID: w.User, ReferenceID: spent.ReferenceID, ExpiresAt: successor.ExpiresAt, Scopes: spent.Scopes,
		AuthorizationID: k.Authorization, AuthorizationCodeID: &k.Authorization, AuthTime: spent.AuthTime, Resources: spent.Resources, Confirmation: jkt,
	})

	access := w.accessTokenOf(accessRaw)
	wantAt(t, "expires_at of the access token", access.ExpiresAt, now, 5*time.Minute)
	wantEqual(t, "the access token", access, store.OAuthAccessToken{
		ID: p.AccessTokenID, CreatedAt: now, UpdatedAt: now, Token: p.AccessToken, ClientID: w.Client, SessionID: &w.Session,
		UserID: &w.User, ReferenceID: spent.ReferenceID, RefreshID: &p.SuccessorID, ExpiresAt: access.ExpiresAt, Scopes: spent.Scopes,
		AuthorizationID: &k.Authorization, AuthorizationCodeID: &k.Authorization, Resources: spent.Resources, Confirmation: jkt,
	})

	wantEqual(t, "the family", w.authorizationOf(k.Authorization), family)

	wantEqual(t, "row", row, store.RotateRefreshTokenRow{
		Outcome: store.OutcomeRotated, AuthorizationID: &k.Authorization, UserID: &w.User, Sub: w.publicSubject(), SessionID: &w.Session,
		ReferenceID: spent.ReferenceID, Successor: &p.Successor, SuccessorID: &p.SuccessorID, Scopes: spent.Scopes,
		Resources: spent.Resources, AuthTime: spent.AuthTime, AccessTokenExpiresAt: access.ExpiresAt,
		RefreshTokenExpiresAt: successor.ExpiresAt,
	})
	w.WantDead(k.Refresh)
	w.WantLive(k.Access, accessRaw, fixture.SuccessorOf(k.Refresh))

	history, err := w.Q.ListAuthorizationRefreshTokens(w.Ctx, k.Authorization)
	w.OK(err)
	wantEqual(t, "ListAuthorizationRefreshTokens", history, []store.OAuthRefreshToken{got, successor})
	found, err := w.Q.GetRefreshToken(w.Ctx, p.SuccessorID)
	w.OK(err)
	wantEqual(t, "GetRefreshToken", found, successor)
	_, err = w.Q.GetRefreshToken(w.Ctx, "unknown")
	w.None(err)
	_, err = w.Q.FindRefreshTokenByToken(w.Ctx, fixture.Digest("unknown"))
	w.None(err)
}

func TestRotationNarrowsTheAccessTokenAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	scopes, resources := []string{"openid", "email", "offline_access"}, []string{"https://api.example", "https://files.example"}
	for _, c := range []struct {
		name                      string
		scopes, resources         []string
		wantScopes, wantResources []string
	}{
		{name: "omitted", wantScopes: scopes, wantResources: resources},
		{name: "without a value", scopes: []string{}, resources: []string{}, wantScopes: scopes, wantResources: resources},
		{name: "one of each", scopes: []string{"email"}, resources: []string{"https://api.example"}, wantScopes: []string{"email"}, wantResources: []string{"https://api.example"}},
		{name: "scopes alone", scopes: []string{"openid"}, wantScopes: []string{"openid"}, wantResources: resources},
		{name: "resources alone", resources: []string{"https://files.example"}, wantScopes: scopes, wantResources: []string{"https://files.example"}},
		{name: "all, in another order", scopes: []string{"offline_access", "email", "openid"}, wantScopes: []string{"offline_access", "email", "openid"}, wantResources: resources},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			k := w.Redeem()
			narrow := func(p *store.RotateRefreshTokenParams) { p.Scopes, p.Resources = c.scopes, c.resources }
			for _, want := range []store.Outcome{store.OutcomeRotated, store.OutcomeRetried} {
				row, access := w.Rotate(k.Refresh, want, narrow)
				wantEqual(t, "scopes of the answer", row.Scopes, c.wantScopes)
				wantEqual(t, "resources of the answer", row.Resources, c.wantResources)
				wantEqual(t, "scopes of the access token", w.accessTokenOf(access).Scopes, c.wantScopes)
				wantEqual(t, "resources of the access token", w.accessTokenOf(access).Resources, c.wantResources)
			}
			successor := w.refreshTokenOf(fixture.SuccessorOf(k.Refresh))
			wantEqual(t, "scopes of the successor", successor.Scopes, scopes)
			wantEqual(t, "resources of the successor", successor.Resources, resources)
			row, _ := w.Rotate(fixture.SuccessorOf(k.Refresh), store.OutcomeRotated) // and the next one gives all again
			wantEqual(t, "scopes of the next", row.Scopes, scopes)
			wantEqual(t, "resources of the next", row.Resources, resources)
		})
	}
}

func TestRotationNeverWidensTheGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	bare := w.Redeem(func(p *store.GrantAuthorizationParams) { p.Resources = nil })
	for _, c := range []struct {
		name    string
		refresh string
		change  rotation
		want    store.Outcome
	}{
		{"a scope that was asked for and not granted", k.Refresh, func(p *store.RotateRefreshTokenParams) {
			p.Scopes = []string{"openid", "calendar"}
		}, store.OutcomeInvalidScope},
		{"a resource of another grant", k.Refresh, func(p *store.RotateRefreshTokenParams) {
			p.Resources = []string{"https://api.example", "https://other.example"}
		}, store.OutcomeInvalidTarget},
		{"a resource where none was granted", bare.Refresh, func(p *store.RotateRefreshTokenParams) {
			p.Resources = []string{"https://api.example"}
		}, store.OutcomeInvalidTarget},
	} {
		w.Unchanged(func() {
			row, _ := w.Rotate(c.refresh, c.want, c.change)
			wantEqual(t, c.name, row.Successor, nil)
		})
	}
	w.Rotate(k.Refresh, store.OutcomeRotated)
	w.Unchanged(func() { // nor does a retry
		w.Rotate(k.Refresh, store.OutcomeInvalidScope, func(p *store.RotateRefreshTokenParams) { p.Scopes = []string{"calendar"} })
	})
	row, access := w.Rotate(bare.Refresh, store.OutcomeRotated)
	wantEqual(t, "resources of the answer", row.Resources, nil)
	wantEqual(t, "resources of the access token", w.accessTokenOf(access).Resources, nil)
}

func TestRetryOfARotationGetsTheSameSuccessorAndANewAccessToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	presented := w.refreshTokenOf(k.Refresh).ID
	first, firstAccess := w.Rotate(k.Refresh, store.OutcomeRotated)
	for range 2 {
		p, access := w.RotateParams(k.Refresh)
		var row store.RotateRefreshTokenRow
		w.changesRows(func() {
			var err error
			row, err = w.Q.RotateRefreshToken(w.Ctx, p)
			w.OK(err)
		}, accessRow("+", p.AccessTokenID))
		token := w.accessTokenOf(access)
		want := first
		want.Outcome, want.AccessTokenExpiresAt = store.OutcomeRetried, token.ExpiresAt
		wantEqual(t, "row", row, want)
		wantEqual(t, "refresh_id, as the successor may be gone", token.RefreshID, &presented)
		wantEqual(t, "refresh_token_expires_at of the answer", row.RefreshTokenExpiresAt, w.refreshTokenOf(fixture.SuccessorOf(k.Refresh)).ExpiresAt)
		w.WantLive(access, firstAccess, fixture.SuccessorOf(k.Refresh))
	}
	_, refresh := w.CountLive(k.Authorization)
	wantEqual(t, "live refresh tokens", refresh, 1)
}

func TestRetryIsForgivenWithinTheGraceIntervalAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct {
		name  string
		ago   time.Duration
		grace time.Duration
		want  store.Outcome
	}{
		{"at once", 0, fixture.Grace, store.OutcomeRetried},
		{"a second before its end", fixture.Grace - time.Second, fixture.Grace, store.OutcomeRetried},
		{"at its end", fixture.Grace, fixture.Grace, store.OutcomeReplayed},
		{"no grace", 0, 0, store.OutcomeReplayed},
		{"less than none", -time.Minute, -time.Second, store.OutcomeReplayed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			k := w.Redeem()
			_, access := w.Rotate(k.Refresh, store.OutcomeRotated)
			w.spentAgo(k.Refresh, c.ago)
			row, _ := w.Rotate(k.Refresh, c.want, func(p *store.RotateRefreshTokenParams) { p.Grace = c.grace })
			all := []string{k.Access, access, fixture.SuccessorOf(k.Refresh)}
			if c.want == store.OutcomeRetried {
				w.WantLive(all...)
			} else {
				w.WantDead(all...)
				wantEqual(t, "successor", row.Successor, nil)
			}
		})
	}
}

func TestReuseEndsTheFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k, other := w.Redeem(), w.Redeem()
	for i, refresh := 0, k.Refresh; i < 3; i, refresh = i+1, fixture.SuccessorOf(refresh) {
		w.Rotate(refresh, store.OutcomeRotated)
	}
	first, second, third, fourth := k.Refresh, k.Refresh+"+", k.Refresh+"++", k.Refresh+"+++"
	w.Rotate(third, store.OutcomeRetried) // the immediate predecessor

	w.changesRows(func() {
		// its successor has been used, however short a time ago
		row, _ := w.Rotate(second, store.OutcomeReplayed)
		wantEqual(t, "row", row, store.RotateRefreshTokenRow{
			Outcome: store.OutcomeReplayed, AuthorizationID: &k.Authorization, UserID: &w.User, AuthTime: row.AuthTime,
		})
	}, authorizationRow("~", k.Authorization))
	a := w.authorizationOf(k.Authorization)
	wantEqual(t, "revoked_reason", a.RevokedReason, new(store.RevocationReasonRefreshTokenReused))
	wantEqual(t, "revoked_at", a.RevokedAt, &a.UpdatedAt)
	accessLive, refreshLive := w.CountLive(k.Authorization)
	wantEqual(t, "live tokens", []int{accessLive, refreshLive}, []int{0, 0})
	w.WantDead(k.Access, first, second, third, fourth)
	w.WantLive(other.Access, other.Refresh)
	w.Unchanged(func() {
		for _, refresh := range []string{first, second, third, fourth} {
			w.Rotate(refresh, store.OutcomeRevoked)
		}
	})
}

// A statement may run after its caller has given it up, made the call again and used what it got.
func TestSameRotationThatComesLateEndsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	g := w.Redeem()
	p, _ := w.RotateParams(g.Refresh)
	for _, want := range []store.Outcome{store.OutcomeRotated, store.OutcomeRetried} {
		row, err := w.Q.RotateRefreshToken(w.Ctx, p)
		w.OK(err)
		w.want("RotateRefreshToken", row.Outcome, want)
	}
	second := fixture.SuccessorOf(g.Refresh)
	_, access := w.Rotate(second, store.OutcomeRotated)
	third := fixture.SuccessorOf(second)
	late := func() {
		t.Helper()
		w.Unchanged(func() {
			row, err := w.Q.RotateRefreshToken(w.Ctx, p)
			w.OK(err)
			w.want("RotateRefreshToken", row.Outcome, store.OutcomeSuperseded)
			if row.Successor != nil || row.SuccessorID != nil || row.AccessTokenExpiresAt != nil {
				t.Errorf("it answers %+v", row)
			}
		})
	}
	late()
	w.Exec(`DELETE FROM oauth_access_token WHERE refresh_id = $1`, string(p.SuccessorID))
	w.Exec(`DELETE FROM oauth_refresh_token WHERE id = $1`, string(p.SuccessorID)) // collected
	late()
	w.WantLive(access, third)
	w.Rotate(g.Refresh, store.OutcomeReplayed) // another call
	w.WantDead(access, third)
}

func TestRetryIsRefusedOnceTheSuccessorHasExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.OutcomeRotated)
	w.expireRefreshToken(fixture.SuccessorOf(k.Refresh))
	w.Unchanged(func() { w.Rotate(k.Refresh, store.OutcomeExpired) })
	w.Exec(`DELETE FROM oauth_refresh_token WHERE token = $1`, string(fixture.Digest(fixture.SuccessorOf(k.Refresh))))
	w.Unchanged(func() { w.Rotate(k.Refresh, store.OutcomeExpired) }) // or is collected
}

func TestRetryIsNotForgivenOnceAnotherServerHasSpentTheSuccessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	_, access := w.Rotate(k.Refresh, store.OutcomeRotated)
	w.spentElsewhere(fixture.SuccessorOf(k.Refresh)) // which leaves the family as it was
	w.changesRows(func() { w.Rotate(k.Refresh, store.OutcomeReplayed) }, authorizationRow("~", k.Authorization))
	w.WantDead(k.Access, access)
}

func TestReuseIsToldBeforeExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.OutcomeRotated)
	w.expireRefreshToken(k.Refresh)
	w.Rotate(k.Refresh, store.OutcomeRetried) // what counts is when it was spent
	w.spentAgo(k.Refresh, time.Hour)
	w.Rotate(k.Refresh, store.OutcomeReplayed)
	w.WantDead(k.Access, fixture.SuccessorOf(k.Refresh))
}

func TestReuseByADisabledClientIsToldWhenItIsEnabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.OutcomeRotated)
	w.disable(w.Client)
	w.spentAgo(k.Refresh, time.Hour)
	w.Unchanged(func() { w.Rotate(k.Refresh, store.OutcomeDisabled) })
	w.want("EnableClient", w.outcome(w.Q.EnableClient(w.Ctx, w.Client)), store.OutcomeEnabled)
	w.WantLive(k.Access)
	w.changesRows(func() { w.Rotate(k.Refresh, store.OutcomeReplayed) }, authorizationRow("~", k.Authorization))
	w.WantDead(k.Access, fixture.SuccessorOf(k.Refresh))
}

func TestRotationThatCannotBeChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other := w.NewClient()
	for _, c := range []struct {
		name    string
		prepare func(*world, fixture.Tokens)
		want    store.Outcome
	}{
		{"expired", func(w *world, k fixture.Tokens) { w.expireRefreshToken(k.Refresh) }, store.OutcomeExpired},
		{"of a revoked family", func(w *world, k fixture.Tokens) { w.revokeFamily(k.Authorization) }, store.OutcomeRevoked},
		{"expired, of a revoked family", func(w *world, k fixture.Tokens) {
			w.expireRefreshToken(k.Refresh)
			w.revokeFamily(k.Authorization)
		}, store.OutcomeRevoked},
		{"spent, of a revoked family", func(w *world, k fixture.Tokens) {
			w.Rotate(k.Refresh, store.OutcomeRotated)
			w.revokeFamily(k.Authorization)
		}, store.OutcomeRevoked},
		{"of a disabled client", func(w *world, _ fixture.Tokens) { w.disable(w.Client) }, store.OutcomeDisabled},
		{"expired, of a disabled client", func(w *world, k fixture.Tokens) {
			w.expireRefreshToken(k.Refresh)
			w.disable(w.Client)
		}, store.OutcomeDisabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			w.Client = w.NewClient()
			k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = w.Client })
			c.prepare(w, k)
			w.Unchanged(func() {
				row, _ := w.Rotate(k.Refresh, c.want)
				wantEqual(t, "successor", row.Successor, nil)
				wantEqual(t, "access_token_expires_at", row.AccessTokenExpiresAt, nil)
			})
		})
	}

	refused := func(refresh string, want store.Outcome, change ...rotation) {
		w.Helper()
		w.Unchanged(func() { w.Rotate(refresh, want, change...) })
	}
	k := w.Redeem()
	refused(k.Refresh, store.OutcomeUnknown, func(p *store.RotateRefreshTokenParams) { p.ClientID = other })
	refused(k.Refresh, store.OutcomeUnauthenticated, func(p *store.RotateRefreshTokenParams) { p.ClientID = "unknown" })
	refused("unknown", store.OutcomeUnknown)
	w.Rotate(k.Refresh, store.OutcomeRotated)
	refused(k.Refresh, store.OutcomeUnknown, func(p *store.RotateRefreshTokenParams) { p.ClientID, p.Grace = other, 0 }) // nor is it a reuse
	w.WantLive(k.Access, fixture.SuccessorOf(k.Refresh))

	user := w.NewUser()
	bereft := w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = user, nil })
	w.deleteUser(user)
	refused(bereft.Refresh, store.OutcomeRevoked)
	orphan := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = other })
	w.deleteClient(other)
	refused(orphan.Refresh, store.OutcomeDisabled, func(p *store.RotateRefreshTokenParams) { p.ClientID = other })
	bound := w.Redeem(online)
	w.endSession(w.Session)
	refused(bound.Refresh, store.OutcomeRevoked)
}

func TestRotationWantsTheKeyOfTheFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	jkt := &token.Confirmation{JKT: "thumbprint"}
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.Confirmation = jkt })
	with := func(c *token.Confirmation) rotation {
		return func(p *store.RotateRefreshTokenParams) { p.Confirmation = c }
	}
	wrong := []*token.Confirmation{nil, {}, {JKT: "other"}, {X5TS256: "thumbprint"}, {JKT: "other", X5TS256: "certificate"}}
	w.Unchanged(func() {
		for _, c := range wrong {
			w.Rotate(k.Refresh, store.OutcomeMismatched, with(c))
		}
	})
	_, access := w.Rotate(k.Refresh, store.OutcomeRotated, with(&token.Confirmation{JKT: "thumbprint", X5TS256: "certificate"}))
	wantEqual(t, "the access token", w.accessTokenOf(access).Confirmation, &token.Confirmation{JKT: "thumbprint", X5TS256: "certificate"})
	wantEqual(t, "the successor", w.refreshTokenOf(fixture.SuccessorOf(k.Refresh)).Confirmation, jkt)
	w.spentAgo(k.Refresh, time.Hour)
	w.Unchanged(func() { // who lacks the key can't end the family either
		for _, c := range wrong {
			w.Rotate(k.Refresh, store.OutcomeMismatched, with(c))
		}
	})
	w.Rotate(k.Refresh, store.OutcomeReplayed, with(jkt))
}

func TestRotationOfAnUnboundFamilyBindsTheAccessTokenAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient()
	one, another := &token.Confirmation{JKT: "one"}, &token.Confirmation{JKT: "another"}
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID, p.Confirmation = w.Client, one })
	refresh := k.Refresh
	for _, c := range []*token.Confirmation{another, nil, one} { // a confidential client may change its key
		_, access := w.Rotate(refresh, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) { p.Confirmation = c })
		wantEqual(t, "the access token", w.accessTokenOf(access).Confirmation, c)
		refresh = fixture.SuccessorOf(refresh)
		wantEqual(t, "the refresh token", w.refreshTokenOf(refresh).Confirmation, nil)
	}
	wantEqual(t, "the family", w.authorizationOf(k.Authorization).Confirmation, nil)
}

func TestNoTokenOutlivesItsFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	const minute, hour, day, never = time.Minute, time.Hour, 24 * time.Hour, store.Never
	for _, c := range []struct {
		name                    string
		family, access, refresh time.Duration
		wantAccess, wantRefresh time.Duration // never: NULL; family: the family's bound
	}{
		{"each its own", day, minute, hour, minute, hour},
		{"the access token lasts longer", day, hour, minute, hour, minute},
		{"up to the bound", hour, day, day, hour, hour},
		{"up to the bound, without end of their own", hour, never, never, hour, hour},
		{"without end", never, never, never, never, never},
		{"an access token without end", never, never, hour, never, hour},
		{"a refresh token without end", never, minute, never, minute, never},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			id, code := w.Grant()
			w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) {
				p.FamilyLifetime, p.RefreshTokenLifetime = c.family, c.family
			})
			family := w.authorizationOf(id)
			refresh := "rt-" + code
			for _, want := range []store.Outcome{store.OutcomeRotated, store.OutcomeRetried} {
				row, access := w.Rotate(refresh, want, func(p *store.RotateRefreshTokenParams) {
					p.AccessTokenLifetime, p.RefreshTokenLifetime = c.access, c.refresh
				})
				issued, successor := w.accessTokenOf(access), w.refreshTokenOf(fixture.SuccessorOf(refresh))
				wantEqual(t, "access_token_expires_at of the answer", row.AccessTokenExpiresAt, issued.ExpiresAt)
				wantEqual(t, "refresh_token_expires_at of the answer", row.RefreshTokenExpiresAt, successor.ExpiresAt)
				for _, x := range []struct {
					what    string
					got     *time.Time
					created time.Time
					want    time.Duration
				}{
					{"access token", issued.ExpiresAt, issued.CreatedAt, c.wantAccess},
					{"refresh token", successor.ExpiresAt, successor.CreatedAt, c.wantRefresh},
				} {
					switch x.want {
					case never:
						wantEqual(t, x.what, x.got, nil)
					case c.family:
						wantEqual(t, x.what, x.got, family.MaxExpiresAt)
					default:
						wantAt(t, x.what, x.got, x.created, x.want)
					}
				}
			}
			wantEqual(t, "the family", w.authorizationOf(id), family)
		})
	}
}

func TestRotationGoesOnWithoutItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem() // with offline_access
	w.endSession(w.Session)
	row, _ := w.Rotate(k.Refresh, store.OutcomeRotated)
	wantEqual(t, "session of the answer, which has ended", row.SessionID, nil)
	w.Exec(`DELETE FROM session WHERE id = $1`, string(w.Session))
	row, access := w.Rotate(fixture.SuccessorOf(k.Refresh), store.OutcomeRotated)
	wantEqual(t, "session of the answer", row.SessionID, nil)
	wantEqual(t, "session of the access token", w.accessTokenOf(access).SessionID, nil)
}

func TestRetryConvergesAcrossAChangeOfKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	oldKey, newKey := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	before, err := token.NewSuccessors(oldKey)
	w.OK(err)
	after, err := token.NewSuccessors(newKey, oldKey)
	w.OK(err)
	foreignKey, err := token.NewSuccessors(newKey)
	w.OK(err)

	_, code := w.Grant()
	presented := token.Mint(token.RefreshToken)
	p := w.RedeemParams(code)
	p.RefreshToken = new(presented.Digest())
	_, err = w.Q.RedeemAuthorizationCode(w.Ctx, p)
	w.OK(err)
	rotateAs := func(s *token.Successors, presented token.Raw, want store.Outcome) store.RotateRefreshTokenRow {
		t.Helper()
		row, _ := w.Rotate(presented.Reveal(), want, func(p *store.RotateRefreshTokenParams) {
			p.Successor = s.Successor(presented).Digest()
		})
		return row
	}
	first := rotateAs(before, presented, store.OutcomeRotated)
	retry := rotateAs(after, presented, store.OutcomeRetried)
	wantEqual(t, "successor of the retry", retry.Successor, first.Successor)
	wantEqual(t, "successor_id of the retry", retry.SuccessorID, first.SuccessorID)

	successor, found := after.Match(presented, *retry.Successor)
	if !found || !successor.Equal(before.Successor(presented)) {
		t.Fatal("the server with both keys doesn't find the successor that the old key derived")
	}
	if _, found := foreignKey.Match(presented, *retry.Successor); found {
		t.Error("a server without the old key finds a successor that it can't derive")
	}
	w.WantLive(successor.Reveal())
	next := rotateAs(after, successor, store.OutcomeRotated)
	if _, found := foreignKey.Match(successor, *next.Successor); !found {
		t.Error("the next successor isn't derived from the new key")
	}
}

func TestRotationTakesADuplicatedScopeForOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.GrantedScopes = []string{"openid", "openid", "email"} })
	_, access := w.Rotate(k.Refresh, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) {
		p.Scopes = []string{"email", "email", "email", "email", "openid"}
	})
	wantEqual(t, "scopes of the access token", w.accessTokenOf(access).Scopes, []string{"email", "openid"})
	_, access = w.Rotate(fixture.SuccessorOf(k.Refresh), store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) {
		p.Resources = []string{"https://files.example", "https://files.example"}
	})
	wantEqual(t, "resources of the access token", w.accessTokenOf(access).Resources, []string{"https://files.example"})
	_, code := w.Grant()
	w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) {
		p.Resources = []string{"https://files.example", "https://files.example"}
	})
	wantEqual(t, "resources of the access token", w.accessTokenOf("at-"+code).Resources, []string{"https://files.example"})
}

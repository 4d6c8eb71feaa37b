package calls

import (
	"bytes"
	"slices"
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
	p.Confirmation, p.RefreshTokenLifetime = jkt, new(2*time.Hour)
	var row store.RotateRefreshTokenRow
	w.changesRows(
		func() {
			var err error
			row, err = w.Q.RotateRefreshToken(w.Ctx, p)
			w.OK(err)
		},
		authorizationRow("~", k.Authorization), refreshRow("~", spent.ID), refreshRow("+", p.SuccessorID), accessRow("+", p.AccessTokenID),
	)

	got, now := w.refreshTokenOf(k.Refresh), w.accessTokenOf(accessRaw).CreatedAt
	spent.Revoked, spent.UpdatedAt, spent.Successor, spent.SuccessorID = &now, now, &p.Successor, &p.SuccessorID
	wantEqual(t, "the spent token", got, spent)

	successor := w.refreshTokenOf(fixture.SuccessorOf(k.Refresh))
	wantAt(t, "expires_at of the successor", successor.ExpiresAt, now, 2*time.Hour)
	wantEqual(t, "the successor", successor, store.OAuthRefreshToken{
		ID: p.SuccessorID, CreatedAt: now, UpdatedAt: now, Token: p.Successor, ClientID: w.Client, SessionID: &w.Session,
		UserID: w.User, ReferenceID: spent.ReferenceID, ExpiresAt: successor.ExpiresAt, Scopes: spent.Scopes,
		AuthorizationID: &k.Authorization, AuthTime: spent.AuthTime, Resources: spent.Resources, Confirmation: jkt,
	})

	access := w.accessTokenOf(accessRaw)
	wantAt(t, "expires_at of the access token", access.ExpiresAt, now, 5*time.Minute)
	wantEqual(t, "the access token", access, store.OAuthAccessToken{
		ID: p.AccessTokenID, CreatedAt: now, UpdatedAt: now, Token: p.AccessToken, ClientID: w.Client, SessionID: &w.Session,
		UserID: &w.User, ReferenceID: spent.ReferenceID, RefreshID: &p.SuccessorID, ExpiresAt: access.ExpiresAt, Scopes: spent.Scopes,
		AuthorizationID: &k.Authorization, Resources: spent.Resources, Confirmation: jkt,
	})

	moved := w.authorizationOf(k.Authorization)
	wantAt(t, "expires_at of the family, a sixteenth in advance", moved.ExpiresAt, now, 2*time.Hour+2*time.Hour/16)
	family.CurrentRefreshToken, family.ExpiresAt, family.UpdatedAt = &p.Successor, moved.ExpiresAt, now
	wantEqual(t, "the family", moved, family)

	wantEqual(t, "row", row, store.RotateRefreshTokenRow{
		Outcome: store.RotationOutcomeRotated, AuthorizationID: &k.Authorization, UserID: w.User, SessionID: &w.Session,
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
			for _, want := range []store.RotationOutcome{store.RotationOutcomeRotated, store.RotationOutcomeReplayed} {
				row, access := w.Rotate(k.Refresh, want, narrow)
				wantEqual(t, "scopes of the answer", row.Scopes, c.wantScopes)
				wantEqual(t, "resources of the answer", row.Resources, c.wantResources)
				wantEqual(t, "scopes of the access token", w.accessTokenOf(access).Scopes, c.wantScopes)
				wantEqual(t, "resources of the access token", w.accessTokenOf(access).Resources, c.wantResources)
			}
			successor := w.refreshTokenOf(fixture.SuccessorOf(k.Refresh))
			wantEqual(t, "scopes of the successor", successor.Scopes, scopes)
			wantEqual(t, "resources of the successor", successor.Resources, resources)
			row, _ := w.Rotate(fixture.SuccessorOf(k.Refresh), store.RotationOutcomeRotated) // and the next one gives all again
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
	}{
		{"a scope that was asked for and not granted", k.Refresh, func(p *store.RotateRefreshTokenParams) { p.Scopes = []string{"openid", "calendar"} }},
		{"a resource of another grant", k.Refresh, func(p *store.RotateRefreshTokenParams) {
			p.Resources = []string{"https://api.example", "https://other.example"}
		}},
		{"a resource where none was granted", bare.Refresh, func(p *store.RotateRefreshTokenParams) { p.Resources = []string{"https://api.example"} }},
	} {
		w.Unchanged(func() {
			row, _ := w.Rotate(c.refresh, store.RotationOutcomeExceeded, c.change)
			wantEqual(t, c.name, row.Successor, nil)
		})
	}
	w.Rotate(k.Refresh, store.RotationOutcomeRotated)
	w.Unchanged(func() { // nor does a retry
		w.Rotate(k.Refresh, store.RotationOutcomeExceeded, func(p *store.RotateRefreshTokenParams) { p.Scopes = []string{"calendar"} })
	})
	row, access := w.Rotate(bare.Refresh, store.RotationOutcomeRotated)
	wantEqual(t, "resources of the answer", row.Resources, nil)
	wantEqual(t, "resources of the access token", w.accessTokenOf(access).Resources, nil)
}

func TestRetryOfARotationGetsTheSameSuccessorAndANewAccessToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	first, firstAccess := w.Rotate(k.Refresh, store.RotationOutcomeRotated)
	for range 2 {
		p, access := w.RotateParams(k.Refresh)
		p.AccessTokenLifetime = new(3 * time.Hour) // outlives the refresh token, so that the family's expiry moves
		var row store.RotateRefreshTokenRow
		w.changesRows(func() {
			var err error
			row, err = w.Q.RotateRefreshToken(w.Ctx, p)
			w.OK(err)
		}, authorizationRow("~", k.Authorization), accessRow("+", p.AccessTokenID))
		token := w.accessTokenOf(access)
		want := first
		want.Outcome, want.AccessTokenExpiresAt = store.RotationOutcomeReplayed, token.ExpiresAt
		wantEqual(t, "row", row, want)
		wantEqual(t, "refresh_id", token.RefreshID, first.SuccessorID)
		wantEqual(t, "refresh_token_expires_at of the answer", row.RefreshTokenExpiresAt, w.refreshTokenOf(fixture.SuccessorOf(k.Refresh)).ExpiresAt)
		a := w.authorizationOf(k.Authorization)
		if a.ExpiresAt == nil || a.ExpiresAt.Before(*token.ExpiresAt) {
			t.Errorf("the family ends at %v, before its last token, at %v", a.ExpiresAt, token.ExpiresAt)
		}
		wantEqual(t, "current_refresh_token", a.CurrentRefreshToken, first.Successor)
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
		want  store.RotationOutcome
	}{
		{"at once", 0, fixture.Grace, store.RotationOutcomeReplayed},
		{"a second before its end", fixture.Grace - time.Second, fixture.Grace, store.RotationOutcomeReplayed},
		{"at its end", fixture.Grace, fixture.Grace, store.RotationOutcomeReused},
		{"no grace", 0, 0, store.RotationOutcomeReused},
		{"less than none", -time.Minute, -time.Second, store.RotationOutcomeReused},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			k := w.Redeem()
			_, access := w.Rotate(k.Refresh, store.RotationOutcomeRotated)
			w.spentAgo(k.Refresh, c.ago)
			row, _ := w.Rotate(k.Refresh, c.want, func(p *store.RotateRefreshTokenParams) { p.Grace = c.grace })
			all := []string{k.Access, access, fixture.SuccessorOf(k.Refresh)}
			if c.want == store.RotationOutcomeReplayed {
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
		w.Rotate(refresh, store.RotationOutcomeRotated)
	}
	first, second, third, fourth := k.Refresh, k.Refresh+"+", k.Refresh+"++", k.Refresh+"+++"
	w.Rotate(third, store.RotationOutcomeReplayed) // the immediate predecessor

	w.changesRows(func() {
		// its successor has been used, however short a time ago
		row, _ := w.Rotate(second, store.RotationOutcomeReused)
		wantEqual(t, "row", row, store.RotateRefreshTokenRow{
			Outcome: store.RotationOutcomeReused, AuthorizationID: &k.Authorization, UserID: w.User, SessionID: &w.Session,
			Scopes: row.Scopes, Resources: row.Resources, AuthTime: row.AuthTime,
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
			w.Rotate(refresh, store.RotationOutcomeRevoked)
		}
	})
}

func TestRetryIsRefusedOnceTheWholeFamilyHasExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.RotationOutcomeRotated)
	w.expireRefreshToken(fixture.SuccessorOf(k.Refresh))
	w.Rotate(k.Refresh, store.RotationOutcomeReplayed) // the access token lives, and with it the family
	w.lapse(k.Authorization)
	w.Unchanged(func() { w.Rotate(k.Refresh, store.RotationOutcomeExpired) })
}

func TestRetryIsNotForgivenOnceAnotherServerHasSpentTheSuccessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	_, access := w.Rotate(k.Refresh, store.RotationOutcomeRotated)
	w.spentElsewhere(fixture.SuccessorOf(k.Refresh)) // which leaves the family as it was
	w.changesRows(func() { w.Rotate(k.Refresh, store.RotationOutcomeReused) }, authorizationRow("~", k.Authorization))
	w.WantDead(k.Access, access)
}

func TestReuseIsToldBeforeExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.RotationOutcomeRotated)
	w.expireRefreshToken(k.Refresh)
	w.Rotate(k.Refresh, store.RotationOutcomeReplayed) // what counts is when it was spent
	w.spentAgo(k.Refresh, time.Hour)
	w.Rotate(k.Refresh, store.RotationOutcomeReused)
	w.WantDead(k.Access, fixture.SuccessorOf(k.Refresh))
}

func TestReuseIsToldOfADisabledClientToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.RotationOutcomeRotated)
	w.disable(w.Client)
	w.Unchanged(func() { w.Rotate(k.Refresh, store.RotationOutcomeDisabled) })
	w.spentAgo(k.Refresh, time.Hour)
	w.changesRows(func() { w.Rotate(k.Refresh, store.RotationOutcomeReused) }, authorizationRow("~", k.Authorization))
	_, err := w.Q.EnableClient(w.Ctx, w.Client)
	w.OK(err)
	w.WantDead(k.Access, fixture.SuccessorOf(k.Refresh))
}

func TestRotationThatCannotBeChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other := w.NewClient()
	for _, c := range []struct {
		name    string
		prepare func(*world, fixture.Tokens)
		want    store.RotationOutcome
	}{
		{"expired", func(w *world, k fixture.Tokens) { w.expireRefreshToken(k.Refresh) }, store.RotationOutcomeExpired},
		{"of a revoked family", func(w *world, k fixture.Tokens) { w.revokeFamily(k.Authorization) }, store.RotationOutcomeRevoked},
		{"expired, of a revoked family", func(w *world, k fixture.Tokens) {
			w.expireRefreshToken(k.Refresh)
			w.revokeFamily(k.Authorization)
		}, store.RotationOutcomeRevoked},
		{"spent, of a revoked family", func(w *world, k fixture.Tokens) {
			w.Rotate(k.Refresh, store.RotationOutcomeRotated)
			w.revokeFamily(k.Authorization)
		}, store.RotationOutcomeRevoked},
		{"of a disabled client", func(w *world, _ fixture.Tokens) { w.disable(w.Client) }, store.RotationOutcomeDisabled},
		{"expired, of a disabled client", func(w *world, k fixture.Tokens) {
			w.expireRefreshToken(k.Refresh)
			w.disable(w.Client)
		}, store.RotationOutcomeDisabled},
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

	zeroRows := func(refresh string, change ...rotation) {
		t.Helper()
		w.Unchanged(func() {
			p, _ := w.RotateParams(refresh)
			for _, c := range change {
				c(&p)
			}
			_, err := w.Q.RotateRefreshToken(w.Ctx, p)
			w.None(err)
		})
	}
	k := w.Redeem()
	for _, client := range []store.ClientID{other, "unknown"} {
		zeroRows(k.Refresh, func(p *store.RotateRefreshTokenParams) { p.ClientID = client })
	}
	zeroRows("unknown")
	w.Rotate(k.Refresh, store.RotationOutcomeRotated)
	zeroRows(k.Refresh, func(p *store.RotateRefreshTokenParams) { p.ClientID, p.Grace = other, 0 }) // nor is it a reuse
	w.WantLive(k.Access, fixture.SuccessorOf(k.Refresh))

	user := w.NewUser()
	bereft := w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = user, nil })
	_, err := w.Q.DeleteUser(w.Ctx, user)
	w.OK(err)
	zeroRows(bereft.Refresh)
	orphan := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = other })
	_, err = w.Q.DeleteClient(w.Ctx, other)
	w.OK(err)
	zeroRows(orphan.Refresh, func(p *store.RotateRefreshTokenParams) { p.ClientID = other })
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
			w.Rotate(k.Refresh, store.RotationOutcomeMismatched, with(c))
		}
	})
	_, access := w.Rotate(k.Refresh, store.RotationOutcomeRotated, with(&token.Confirmation{JKT: "thumbprint", X5TS256: "certificate"}))
	wantEqual(t, "the access token", w.accessTokenOf(access).Confirmation, &token.Confirmation{JKT: "thumbprint", X5TS256: "certificate"})
	wantEqual(t, "the successor", w.refreshTokenOf(fixture.SuccessorOf(k.Refresh)).Confirmation, jkt)
	w.spentAgo(k.Refresh, time.Hour)
	w.Unchanged(func() { // who lacks the key can't end the family either
		for _, c := range wrong {
			w.Rotate(k.Refresh, store.RotationOutcomeMismatched, with(c))
		}
	})
	w.Rotate(k.Refresh, store.RotationOutcomeReused, with(jkt))
}

func TestRotationOfAnUnboundFamilyBindsTheAccessTokenAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient()
	one, another := &token.Confirmation{JKT: "one"}, &token.Confirmation{JKT: "another"}
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID, p.Confirmation = w.Client, one })
	refresh := k.Refresh
	for _, c := range []*token.Confirmation{another, nil, one} { // a confidential client may change its key
		_, access := w.Rotate(refresh, store.RotationOutcomeRotated, func(p *store.RotateRefreshTokenParams) { p.Confirmation = c })
		wantEqual(t, "the access token", w.accessTokenOf(access).Confirmation, c)
		refresh = fixture.SuccessorOf(refresh)
		wantEqual(t, "the refresh token", w.refreshTokenOf(refresh).Confirmation, nil)
	}
	wantEqual(t, "the family", w.authorizationOf(k.Authorization).Confirmation, nil)
}

func TestFamilyExpiryMovesAlongWithItsTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	minute, hour, day := time.Minute, time.Hour, 24*time.Hour
	type lifetimes struct{ access, refresh *time.Duration }
	for _, c := range []struct {
		name         string
		family       *time.Duration // from the redemption
		redeemed     lifetimes
		rotated      lifetimes
		access       *time.Duration // from the rotation
		refresh      *time.Duration
		wantExpiry   *time.Duration
		fromRedeemed bool // the family's expiry is the redemption's
		boundedByMax bool // all three are the family's bound
	}{
		{name: "to the later of the two", redeemed: lifetimes{&minute, &hour}, rotated: lifetimes{&minute, &day}, access: &minute, refresh: &day, wantExpiry: &day},
		{name: "to the access token", redeemed: lifetimes{&minute, &minute}, rotated: lifetimes{&day, &hour}, access: &day, refresh: &hour, wantExpiry: &day},
		{name: "never back", redeemed: lifetimes{&day, &minute}, rotated: lifetimes{&minute, &hour}, access: &minute, refresh: &hour, wantExpiry: &day, fromRedeemed: true},
		{name: "up to the bound", family: &hour, redeemed: lifetimes{&minute, &minute}, rotated: lifetimes{&day, &day}, boundedByMax: true},
		{name: "up to the bound, without lifetimes", family: &hour, redeemed: lifetimes{&minute, &minute}, boundedByMax: true},
		{name: "to no end, for the access token", redeemed: lifetimes{&minute, &hour}, rotated: lifetimes{nil, &hour}, refresh: &hour},
		{name: "to no end, for the refresh token", redeemed: lifetimes{&minute, &hour}, rotated: lifetimes{&minute, nil}, access: &minute},
		{name: "from no end to none, as an access token without end lives on", redeemed: lifetimes{nil, &hour}, rotated: lifetimes{&minute, &hour}, access: &minute, refresh: &hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			id, code := w.Grant()
			p := w.RedeemParams(code)
			p.AccessTokenLifetime, p.RefreshTokenLifetime, p.FamilyLifetime = c.redeemed.access, c.redeemed.refresh, c.family
			_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			w.OK(err)
			before := w.authorizationOf(id)
			refresh := "rt-" + code
			var moved *time.Time // the family's expiry, in advance for the next rotations: a retry leaves it
			for _, want := range []store.RotationOutcome{store.RotationOutcomeRotated, store.RotationOutcomeReplayed} {
				row, access := w.Rotate(refresh, want, func(p *store.RotateRefreshTokenParams) {
					p.AccessTokenLifetime, p.RefreshTokenLifetime = c.rotated.access, c.rotated.refresh
				})
				issued, successor, a := w.accessTokenOf(access), w.refreshTokenOf(fixture.SuccessorOf(refresh)), w.authorizationOf(id)
				wantEqual(t, "access_token_expires_at of the answer", row.AccessTokenExpiresAt, issued.ExpiresAt)
				wantEqual(t, "refresh_token_expires_at of the answer", row.RefreshTokenExpiresAt, successor.ExpiresAt)
				wantEqual(t, "max_expires_at", a.MaxExpiresAt, before.MaxExpiresAt)
				if c.boundedByMax {
					for _, got := range []*time.Time{issued.ExpiresAt, successor.ExpiresAt, a.ExpiresAt} {
						wantEqual(t, "bounded", got, before.MaxExpiresAt)
					}
					continue
				}
				expect := func(what string, got *time.Time, from time.Time, want *time.Duration) {
					if want == nil {
						wantEqual(t, what, got, nil)
					} else {
						wantAt(t, what, got, from, *want)
					}
				}
				expect("access token", issued.ExpiresAt, issued.CreatedAt, c.access)
				expect("refresh token", successor.ExpiresAt, successor.CreatedAt, c.refresh)
				switch {
				case c.fromRedeemed:
					wantEqual(t, "family", a.ExpiresAt, before.ExpiresAt)
				case c.wantExpiry == nil:
					wantEqual(t, "family", a.ExpiresAt, nil)
				case moved != nil:
					wantEqual(t, "family after a retry", a.ExpiresAt, moved)
				default:
					wantAt(t, "family", a.ExpiresAt, successor.CreatedAt, *c.wantExpiry+*c.wantExpiry/16)
					moved = a.ExpiresAt
				}
			}
		})
	}
}

func TestRotationGoesOnWithoutItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session))
	row, _ := w.Rotate(k.Refresh, store.RotationOutcomeRotated) // expiry is no sign-out
	wantEqual(t, "session of the answer", row.SessionID, &w.Session)
	_, err := w.Q.EndSession(w.Ctx, w.Session)
	w.OK(err)
	row, access := w.Rotate(fixture.SuccessorOf(k.Refresh), store.RotationOutcomeRotated) // it has offline_access
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
	rotateAs := func(s *token.Successors, presented token.Raw, want store.RotationOutcome) store.RotateRefreshTokenRow {
		t.Helper()
		row, _ := w.Rotate(presented.Reveal(), want, func(p *store.RotateRefreshTokenParams) {
			p.Successor = s.Successor(presented).Digest()
		})
		return row
	}
	first := rotateAs(before, presented, store.RotationOutcomeRotated)
	retry := rotateAs(after, presented, store.RotationOutcomeReplayed)
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
	next := rotateAs(after, successor, store.RotationOutcomeRotated)
	if _, found := foreignKey.Match(successor, *next.Successor); !found {
		t.Error("the next successor isn't derived from the new key")
	}
}

func TestRotationTakesADuplicatedScopeForOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.GrantedScopes = []string{"openid", "openid", "email"} })
	_, access := w.Rotate(k.Refresh, store.RotationOutcomeRotated, func(p *store.RotateRefreshTokenParams) {
		p.Scopes = []string{"email", "email", "email", "email", "openid"}
	})
	for _, scope := range w.accessTokenOf(access).Scopes {
		if !slices.Contains([]string{"openid", "email"}, scope) {
			t.Errorf("scope %q was never granted", scope)
		}
	}
}

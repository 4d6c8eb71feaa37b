package calls

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// withoutRow asks for an access token without a row.
func withoutRow(p *store.RedeemAuthorizationCodeParams) {
	p.AccessTokenWithoutRow, p.AccessToken = true, nil
}

// withoutRefreshToken asks for an access token without a row, and nothing else.
func withoutRefreshToken(p *store.RedeemAuthorizationCodeParams) {
	withoutRow(p)
	p.RefreshToken, p.RefreshTokenID = nil, nil
}

func rotatedWithoutRow(p *store.RotateRefreshTokenParams) {
	p.AccessTokenWithoutRow, p.AccessToken = true, nil
}

// introspectFamily asks for a family as the server itself does.
func (w *world) introspectFamily(id store.AuthorizationID) store.IntrospectAuthorizationRow {
	w.Helper()
	row, err := w.Q.IntrospectAuthorization(w.Ctx, store.IntrospectAuthorizationParams{ID: id, ClientAuthMethod: fixture.Server})
	w.OK(err)
	return row
}

// familyIsLive says whether a resource server that asks about a family is told that it is live.
func (w *world) familyIsLive(id store.AuthorizationID) bool {
	w.Helper()
	return w.introspectFamily(id).Outcome == store.OutcomeActive
}

func (w *world) rowsOf(table string, family store.AuthorizationID) (n int) {
	w.Helper()
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT count(*) FROM `+table+` WHERE authorization_id = $1`, string(family)).Scan(&n))
	return n
}

func TestTokenWithoutARowHasNoDigestAndAnEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for args, want := range map[string]string{
		"now(), 'digest'": "AccessToken is set", "NULL, 'digest'": "AccessToken is set", "NULL, NULL": "AccessTokenLifetime is without end", "now(), NULL": "",
	} {
		_, err := w.Pool.Exec(w.Ctx, `SELECT expiry_without_row(`+args+`)`)
		if got := pgErrorOf(err).Message; !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

func TestAccessTokenWithoutARowIsKeptByItsRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id, code := w.Grant()
	row := w.redeem(code, store.OutcomeRedeemed, withoutRow)
	wantEqual(t, "rows of access tokens", w.rowsOf("oauth_access_token", id), 0)
	first := w.refreshTokenOf("rt-" + code)
	wantEqual(t, "access_token_expires_at", first.AccessTokenExpiresAt, row.AccessTokenExpiresAt)
	wantEqual(t, "expires_at of the family", w.authorizationOf(id).ExpiresAt, nil)

	rotated, _ := w.Rotate("rt-"+code, store.OutcomeRotated, rotatedWithoutRow)
	wantEqual(t, "rows of access tokens", w.rowsOf("oauth_access_token", id), 0)
	next := w.refreshTokenOf(fixture.SuccessorOf("rt-" + code))
	wantEqual(t, "access_token_expires_at", next.AccessTokenExpiresAt, rotated.AccessTokenExpiresAt)
	wantEqual(t, "that of the token presented", w.refreshTokenOf("rt-"+code).AccessTokenExpiresAt, first.AccessTokenExpiresAt)
	if !w.familyIsLive(id) {
		t.Error("the family is dead")
	}
}

func TestRetryRaisesTheExpiryOnTheTokenPresented(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, c := range map[string]struct {
		first, second time.Duration
		raised        bool
	}{
		"later":   {time.Minute, time.Hour, true},
		"earlier": {time.Hour, time.Minute, false},
	} {
		id, code := w.Grant()
		lives := func(d time.Duration) rotation {
			return func(p *store.RotateRefreshTokenParams) { p.AccessTokenLifetime = d }
		}
		w.redeem(code, store.OutcomeRedeemed, withoutRow, func(p *store.RedeemAuthorizationCodeParams) { p.AccessTokenLifetime = c.first })
		before := w.refreshTokenOf("rt-" + code).AccessTokenExpiresAt
		w.Rotate("rt-"+code, store.OutcomeRotated, rotatedWithoutRow, lives(time.Second))
		next := w.refreshTokenOf(fixture.SuccessorOf("rt-" + code))
		row, _ := w.Rotate("rt-"+code, store.OutcomeRetried, rotatedWithoutRow, lives(c.second))
		want := before
		if c.raised {
			want = row.AccessTokenExpiresAt
		}
		wantEqual(t, name+": the token presented", w.refreshTokenOf("rt-"+code).AccessTokenExpiresAt, want)
		wantEqual(t, name+": the successor", w.refreshTokenOf(fixture.SuccessorOf("rt-"+code)), next)
		wantEqual(t, name+": rows of access tokens", w.rowsOf("oauth_access_token", id), 0)
	}
}

// The same call again gets the same answer, as it does with a row: see TestSameRedemptionAgainGetsTheSameAnswer.
func TestSameCallAgainWithoutARowGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, meanwhile := range map[string]func(){
		"at once":                      func() {},
		"when the session is extended": func() { w.Exec(`UPDATE session SET expires_at = expires_at + interval '1 minute'`) },
		"when the client is given shorter lifetimes": func() { w.Exec(`UPDATE oauth_client SET access_token_lifetime = '1 second'`) },
	} {
		for _, alone := range []bool{false, true} {
			w.Exec(`UPDATE session SET expires_at = now() + interval '3 minutes'`)
			w.Exec(`UPDATE oauth_client SET access_token_lifetime = NULL`)
			_, code := w.Grant(online)
			redeem := w.RedeemParams(code)
			if withoutRow(&redeem); alone {
				withoutRefreshToken(&redeem)
			}
			redeemed, err := w.Q.RedeemAuthorizationCode(w.Ctx, redeem)
			w.OK(err)
			w.want(name, redeemed.Outcome, store.OutcomeRedeemed)
			meanwhile()
			w.Unchanged(func() {
				again, err := w.Q.RedeemAuthorizationCode(w.Ctx, redeem)
				w.OK(err)
				want := redeemed
				want.Outcome = store.OutcomeRetried
				wantEqual(t, name, again, want)
			})
			if alone {
				continue
			}
			w.Exec(`UPDATE session SET expires_at = now() + interval '3 minutes'`)
			w.Exec(`UPDATE oauth_client SET access_token_lifetime = NULL`)
			rotate, _ := w.RotateParams("rt-" + code)
			rotatedWithoutRow(&rotate)
			rotated, err := w.Q.RotateRefreshToken(w.Ctx, rotate)
			w.OK(err)
			w.want(name, rotated.Outcome, store.OutcomeRotated)
			meanwhile()
			w.Unchanged(func() {
				again, err := w.Q.RotateRefreshToken(w.Ctx, rotate)
				w.OK(err)
				want := rotated
				want.Outcome = store.OutcomeRetried
				wantEqual(t, name, again, want)
			})
		}
	}
	_, code := w.Grant()
	w.redeem(code, store.OutcomeRedeemed, withoutRow)
	w.redeem(code, store.OutcomeReplayed, withoutRow) // with another jti
	w.WantDead("rt-" + code)
}

func TestAccessTokenWithoutARowHasToExpireAndToBeAJWT(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	refresh := w.Redeem().Refresh
	spent := w.Redeem().Refresh
	w.Rotate(spent, store.OutcomeRotated)
	for parameter, change := range map[string]struct {
		redeem func(*store.RedeemAuthorizationCodeParams)
		rotate rotation
	}{
		"AccessTokenLifetime": {
			func(p *store.RedeemAuthorizationCodeParams) {
				p.AccessTokenLifetime, p.FamilyLifetime = store.Never, store.Never
			},
			func(p *store.RotateRefreshTokenParams) { p.AccessTokenLifetime = store.Never },
		},
		"AccessToken": {
			func(p *store.RedeemAuthorizationCodeParams) { p.AccessToken = new(fixture.Digest("opaque")) },
			func(p *store.RotateRefreshTokenParams) { p.AccessToken = new(fixture.Digest("opaque")) },
		},
	} {
		w.Exec(`UPDATE oauth_authorization SET max_expires_at = NULL`)
		refused := func(err error) {
			t.Helper()
			if e := pgErrorOf(err); e.Code != "22023" || !strings.HasPrefix(e.Message, parameter+" ") {
				t.Errorf("%s: got %v, want it refused by name", parameter, err)
			}
		}
		_, code := w.Grant()
		w.Unchanged(func() {
			for _, shape := range []func(*store.RedeemAuthorizationCodeParams){withoutRow, withoutRefreshToken} {
				p := w.RedeemParams(code)
				shape(&p)
				change.redeem(&p)
				_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
				refused(err)
			}
			for _, raw := range []string{refresh, spent} {
				p, _ := w.RotateParams(raw)
				rotatedWithoutRow(&p)
				change.rotate(&p)
				_, err := w.Q.RotateRefreshToken(w.Ctx, p)
				refused(err)
			}
		})
	}
}

// A fleet of which one half writes rows and the other doesn't.
func TestFamilyHasAccessTokensWithAndWithoutARow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.OutcomeRotated, rotatedWithoutRow)
	next := fixture.SuccessorOf(k.Refresh)
	w.Rotate(k.Refresh, store.OutcomeRetried)
	_, opaque := w.Rotate(next, store.OutcomeRotated)
	w.WantLive(k.Access, opaque, fixture.SuccessorOf(next))
	wantEqual(t, "rows of access tokens", w.rowsOf("oauth_access_token", k.Authorization), 3)
	w.revokeFamily(k.Authorization)
	w.WantDead(k.Access, opaque, fixture.SuccessorOf(next))
	if w.familyIsLive(k.Authorization) {
		t.Error("the family is live")
	}
}

// What has an end of its own, and what an ending reaches: the same as for a token with a row.
func TestAuthorizationIsInactiveWhereItsTokensWouldBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	wantEqual(t, "of none", w.introspectFamily("unknown"), store.IntrospectAuthorizationRow{Outcome: store.OutcomeInactive})
	for name, c := range map[string]struct {
		happens         func(id store.AuthorizationID)
		unbound, online bool // live afterwards
	}{
		"nothing":               {func(store.AuthorizationID) {}, true, true},
		"the family is revoked": {w.revokeFamily, false, false},
		"it is over": {func(id store.AuthorizationID) {
			w.Exec(`UPDATE oauth_authorization SET max_expires_at = now() WHERE id = $1`, string(id))
		}, false, false},
		"its only token has expired": {func(id store.AuthorizationID) {
			w.Exec(`UPDATE oauth_authorization SET expires_at = now() WHERE id = $1`, string(id))
		}, false, false},
		"the session ends":       {func(store.AuthorizationID) { w.endSession(w.Session) }, true, false},
		"the user is suspended":  {func(store.AuthorizationID) { w.suspend(w.User) }, false, false},
		"the user is deleted":    {func(store.AuthorizationID) { w.deleteUser(w.User) }, false, false},
		"the client is disabled": {func(store.AuthorizationID) { w.disable(w.Client) }, false, false},
		"the client is deleted":  {func(store.AuthorizationID) { w.deleteClient(w.Client) }, false, false},
		"the user's grants end": {func(store.AuthorizationID) {
			w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User)), store.OutcomeEnded)
		}, false, false},
		"the client's grants end": {func(store.AuthorizationID) {
			w.want("RevokeClientAuthorizations", w.outcome(w.Q.RevokeClientAuthorizations(w.Ctx, w.Client)), store.OutcomeEnded)
		}, false, false},
		"the user leaves that client": {func(store.AuthorizationID) {
			p := store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: w.Client}
			w.want("RevokeUserAuthorizationsByClient", w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, p)), store.OutcomeEnded)
		}, false, false},
	} {
		w.User = w.NewUser()
		w.Session = w.NewSession(w.User)
		w.Client = w.NewClient()
		offline, code := w.Grant()
		w.redeem(code, store.OutcomeRedeemed, withoutRow)
		bound, code := w.Grant(online)
		w.redeem(code, store.OutcomeRedeemed, withoutRefreshToken)
		c.happens(offline)
		if name == "the family is revoked" || strings.HasPrefix(name, "it") {
			c.happens(bound)
		}
		wantEqual(t, name+": unbound", w.familyIsLive(offline), c.unbound)
		wantEqual(t, name+": bound", w.familyIsLive(bound), c.online)
		for id, live := range map[store.AuthorizationID]bool{offline: c.unbound, bound: c.online} {
			if !live {
				wantEqual(t, name, w.introspectFamily(id), store.IntrospectAuthorizationRow{Outcome: store.OutcomeInactive})
			}
		}
	}
	w.Client = w.NewClient()
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	requested, code := w.pending(), ""
	wantEqual(t, "a request", w.familyIsLive(requested), false)
	w.deny(requested, store.OutcomeDenied)
	wantEqual(t, "a denial", w.familyIsLive(requested), false)
	lapsed, code := w.Grant()
	w.lapse(lapsed)
	wantEqual(t, "a lapsed code "+code, w.familyIsLive(lapsed), false)
}

func TestIntrospectAuthorizationDescribesTheGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	jkt := &token.Confirmation{JKT: "thumbprint"}
	id, code := w.Grant(func(p *store.GrantAuthorizationParams) {
		p.ReferenceID, p.ACR, p.AMR, p.Confirmation = new(store.ReferenceID("acme")), new("1"), []string{"pwd", "otp"}, jkt
	})
	w.redeem(code, store.OutcomeRedeemed, withoutRow, func(p *store.RedeemAuthorizationCodeParams) { p.Confirmation = jkt })
	a := w.authorizationOf(id)
	user, err := w.Q.GetUser(w.Ctx, w.User)
	w.OK(err)
	want := store.IntrospectAuthorizationRow{
		Outcome: store.OutcomeActive, ClientID: &w.Client, UserID: &w.User, Sub: w.publicSubject(), SessionID: &w.Session, ReferenceID: a.ReferenceID,
		GrantedScopes: a.GrantedScopes, Resources: a.Resources, Confirmation: jkt, AuthTime: a.AuthTime, ACR: a.ACR, AMR: a.AMR,
		Username: user.Email,
	}
	wantEqual(t, "row", w.introspectFamily(id), want)
	asks := store.IntrospectAuthorizationParams{ID: id, ClientID: w.NewClient(), ClientAuthMethod: "client_secret_basic", ClientSecret: fixture.Digest(fixture.Secret)}
	row, err := w.Q.IntrospectAuthorization(w.Ctx, asks)
	w.OK(err)
	wantEqual(t, "for a resource server", row, want)
	w.disable(asks.ClientID)
	row, err = w.Q.IntrospectAuthorization(w.Ctx, asks)
	w.OK(err)
	wantEqual(t, "for a disabled one", row, store.IntrospectAuthorizationRow{Outcome: store.OutcomeUnauthenticated})
}

func TestTokenWithoutARowCanNotBeRevokedAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id, code := w.Grant()
	p := w.RedeemParams(code)
	withoutRow(&p)
	w.redeem(code, store.OutcomeRedeemed, func(q *store.RedeemAuthorizationCodeParams) { *q = p })
	revoke := func(token store.AccessTokenID, family *store.AuthorizationID, client store.ClientID) store.RevokeAccessTokenByIDRow {
		t.Helper()
		row, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{
			ID: token, AuthorizationID: family, ClientID: client, ClientAuthMethod: fixture.Verified,
		})
		w.OK(err)
		return row
	}
	w.Unchanged(func() {
		wantEqual(t, "by its family", revoke(p.AccessTokenID, &id, w.Client),
			store.RevokeAccessTokenByIDRow{Outcome: store.OutcomeUnsupportedTokenType, AuthorizationID: &id})
		wantEqual(t, "by its id", revoke(p.AccessTokenID, nil, w.Client), store.RevokeAccessTokenByIDRow{Outcome: store.OutcomeUnknown})
		wantEqual(t, "by a family that there isn't", revoke(p.AccessTokenID, new(store.AuthorizationID("unknown")), w.Client),
			store.RevokeAccessTokenByIDRow{Outcome: store.OutcomeUnknown})
	})
	stranger := w.NewClient()
	w.Unchanged(func() {
		wantEqual(t, "by another client", revoke(p.AccessTokenID, &id, stranger), store.RevokeAccessTokenByIDRow{Outcome: store.OutcomeUnknown})
	})

	k := w.Redeem() // with a row: the row decides
	withRow := w.accessTokenOf(k.Access).ID
	wantEqual(t, "one with a row", revoke(withRow, &k.Authorization, w.Client), store.RevokeAccessTokenByIDRow{Outcome: store.OutcomeEnded, AuthorizationID: &k.Authorization})
	wantEqual(t, "the same again", revoke(withRow, &k.Authorization, w.Client), store.RevokeAccessTokenByIDRow{Outcome: store.OutcomeRevoked, AuthorizationID: &k.Authorization})

	w.revokeFamily(id)
	w.Unchanged(func() {
		wantEqual(t, "of a dead family", revoke(p.AccessTokenID, &id, w.Client), store.RevokeAccessTokenByIDRow{Outcome: store.OutcomeRevoked, AuthorizationID: &id})
	})
}

// What says until when the last access token without a row lives is kept until then, and so is the family that is asked about.
func TestCollectorKeepsWhatATokenWithoutARowIsAskedBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k, code := w.Grant()
	w.redeem(code, store.OutcomeRedeemed, withoutRow)
	alone, code2 := w.Grant()
	w.redeem(code2, store.OutcomeRedeemed, withoutRefreshToken)
	id := string(w.refreshTokenOf("rt-" + code).ID)
	wantEqual(t, "expires_at of the family", w.authorizationOf(alone).ExpiresAt != nil, true)
	spent := func() (deleted int64) {
		row, err := w.Q.DeleteSpentRefreshTokens(w.Ctx, store.DeleteSpentRefreshTokensParams{Retention: 0, PageSize: 100})
		w.OK(err)
		return row.Deleted
	}
	collects := func(what string, refresh, family int64) {
		t.Helper()
		wantEqual(t, what+": refresh tokens", w.collectRefreshTokens(10), refresh)
		wantEqual(t, what+": families marked", w.markDead(100), refresh)
		wantEqual(t, what+": families", w.collectAuthorizations(10), family)
	}
	w.expireBy("oauth_refresh_token", id, 2*collectRetention) // the access token outlives it
	collects("while the tokens live", 0, 0)
	for _, family := range []store.AuthorizationID{k, alone} {
		wantEqual(t, "live", w.familyIsLive(family), true)
	}
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = NULL, revoked = now() - interval '1 hour', successor = $2, successor_id = 'gone' WHERE id = $1`, id, string(fixture.Digest("gone")))
	wantEqual(t, "a spent one without expiry, while the tokens live", spent(), 0)
	w.Exec(`UPDATE oauth_refresh_token SET access_token_expires_at = now() WHERE id = $1`, id)
	wantEqual(t, "a spent one without expiry, afterwards", spent(), 1)
	w.Exec(fmt.Sprintf(`UPDATE oauth_authorization SET expires_at = now() - interval '%d seconds' WHERE id = $1`, int(2*collectRetention.Seconds())), string(alone))
	wantEqual(t, "families", w.collectAuthorizations(10), 1)

	id2, code3 := w.Grant()
	w.redeem(code3, store.OutcomeRedeemed, withoutRow)
	refresh := string(w.refreshTokenOf("rt-" + code3).ID)
	w.Exec(`UPDATE oauth_refresh_token SET access_token_expires_at = now() WHERE id = $1`, refresh)
	w.expireBy("oauth_refresh_token", refresh, 2*collectRetention)
	wantEqual(t, "refresh tokens", w.collectRefreshTokens(10), 1)
	wantEqual(t, "families marked", w.markDead(100), 2)
	wantEqual(t, "live", w.familyIsLive(id2), false)
}

// A user's or client's list of what is in force counts a token without a row, also when its refresh token has been spent or has expired.
func TestTokenWithoutARowIsInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	listed := func() []string {
		t.Helper()
		ofUser, err := w.Q.ListUserAuthorizations(w.Ctx, store.ListUserAuthorizationsParams{UserID: w.User, PageSize: 10})
		w.OK(err)
		ofClient, err := w.Q.ListClientAuthorizations(w.Ctx, store.ListClientAuthorizationsParams{ClientID: w.Client, PageSize: 10})
		w.OK(err)
		wantEqual(t, "the client's list", ofClient, ofUser)
		ids := []string{}
		for _, a := range ofUser {
			ids = append(ids, string(a.ID))
		}
		return ids
	}
	id, code := w.Grant()
	w.redeem(code, store.OutcomeRedeemed, withoutRow)
	w.expireRefreshToken("rt-" + code)
	alone, code2 := w.Grant()
	w.redeem(code2, store.OutcomeRedeemed, withoutRefreshToken)
	wantEqual(t, "in force", listed(), []string{string(id), string(alone)})
	w.Exec(`UPDATE oauth_refresh_token SET access_token_expires_at = now()`)
	w.Exec(`UPDATE oauth_authorization SET expires_at = now() WHERE id = $1`, string(alone))
	wantEqual(t, "in force afterwards", listed(), []string{})
}

func TestIssueGrantWithoutARow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	withoutRow := func(p *store.IssueGrantParams) { p.AccessTokenWithoutRow, p.AccessToken = true, nil }
	for name, shape := range map[string]func(*store.IssueGrantParams){
		"with a refresh token": withoutRow,
		"without": func(p *store.IssueGrantParams) {
			withoutRow(p)
			p.RefreshToken, p.RefreshTokenID = nil, nil
		},
	} {
		row, p := w.issueGrant(name, store.OutcomeIssued, shape)
		wantEqual(t, name+": rows of access tokens", w.rowsOf("oauth_access_token", p.ID), 0)
		if p.RefreshToken != nil {
			wantEqual(t, name, w.refreshTokenOf("rt-"+name).AccessTokenExpiresAt, row.AccessTokenExpiresAt)
		} else {
			wantEqual(t, name, w.authorizationOf(p.ID).ExpiresAt, row.AccessTokenExpiresAt)
		}
		wantEqual(t, name+": live", w.familyIsLive(p.ID), true)
		w.Unchanged(func() {
			again, err := w.Q.IssueGrant(w.Ctx, p)
			w.OK(err)
			row.Outcome = store.OutcomeRetried
			wantEqual(t, name+": again", again, row)
		})
		for parameter, change := range map[string]func(*store.IssueGrantParams){
			"AccessTokenLifetime": func(p *store.IssueGrantParams) { p.AccessTokenLifetime, p.FamilyLifetime = store.Never, store.Never },
			"AccessToken":         func(p *store.IssueGrantParams) { p.AccessToken = new(fixture.Digest("opaque")) },
		} {
			p := w.issueGrantParams(name + parameter)
			shape(&p)
			change(&p)
			_, err := w.Q.IssueGrant(w.Ctx, p)
			if e := pgErrorOf(err); e.Code != "22023" || !strings.HasPrefix(e.Message, parameter+" ") {
				t.Errorf("%s: %s: got %v, want it refused by name", name, parameter, err)
			}
		}
	}
}

func TestTokenByAssertionWithoutARow(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	withoutRow := func(p *store.IssueTokenByAssertionParams) { p.AccessTokenWithoutRow, p.AccessToken = true, nil }
	p, _ := w.AssertionParams(fixture.Issuer, "7", "jti", client)
	withoutRow(&p)
	row, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
	w.OK(err)
	w.want("IssueTokenByAssertion", row.Outcome, store.OutcomeIssued)
	id := *row.AuthorizationID
	wantEqual(t, "rows of access tokens", w.rowsOf("oauth_access_token", id), 0)
	wantEqual(t, "expires_at of the family", w.authorizationOf(id).ExpiresAt, row.ExpiresAt)
	wantEqual(t, "live", w.familyIsLive(id), true)
	wantEqual(t, "families marked as dead", w.markDead(100), 0)
	w.Unchanged(func() {
		again, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
		w.OK(err)
		want := row
		want.Outcome = store.OutcomeRetried
		wantEqual(t, "the same call again", again, want)
		other := p
		other.AccessTokenID = store.NewAccessTokenID()
		replay, err := w.Q.IssueTokenByAssertion(w.Ctx, other)
		w.OK(err)
		w.want("another call", replay.Outcome, store.OutcomeProofReplayed)
		for parameter, change := range map[string]assertion{
			"AccessTokenLifetime": func(p *store.IssueTokenByAssertionParams) { p.AccessTokenLifetime = store.Never },
			"AccessToken":         func(p *store.IssueTokenByAssertionParams) { p.AccessToken = new(fixture.Digest("opaque")) },
		} {
			p, _ := w.AssertionParams(fixture.Issuer, "7", parameter, client)
			withoutRow(&p)
			change(&p)
			_, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
			if e := pgErrorOf(err); e.Code != "22023" || !strings.HasPrefix(e.Message, parameter+" ") {
				t.Errorf("%s: got %v, want it refused by name", parameter, err)
			}
		}
	})
	w.Exec(`DELETE FROM oauth_authorization`) // collected
	gone, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
	w.OK(err)
	w.want("after the family is gone", gone.Outcome, store.OutcomeExpired)
}

func TestPollWithoutARow(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	withoutRow := func(p *store.PollDeviceCodeParams) { p.AccessTokenWithoutRow, p.AccessToken = true, nil }
	alone := func(p *store.PollDeviceCodeParams) {
		withoutRow(p)
		p.RefreshToken, p.RefreshTokenID = nil, nil
	}
	for name, shape := range map[string]func(*store.PollDeviceCodeParams){"with a refresh token": withoutRow, "without": alone} {
		d := w.approvedDevice()
		for parameter, change := range map[string]func(*store.PollDeviceCodeParams){
			"AccessTokenLifetime": func(p *store.PollDeviceCodeParams) {
				p.AccessTokenLifetime, p.FamilyLifetime = store.Never, store.Never
			},
			"AccessToken": func(p *store.PollDeviceCodeParams) { p.AccessToken = new(fixture.Digest("opaque")) },
		} {
			p := w.pollParams(d.code)
			shape(&p)
			change(&p)
			_, err := w.Q.PollDeviceCode(w.Ctx, p)
			if e := pgErrorOf(err); e.Code != "22023" || !strings.HasPrefix(e.Message, parameter+" ") {
				t.Errorf("%s: %s: got %v, want it refused by name", name, parameter, err)
			}
		}
		kept := func() *time.Time {
			if name == "without" {
				return w.authorizationOf(d.id).ExpiresAt
			}
			wantEqual(t, name+": expires_at of the family", w.authorizationOf(d.id).ExpiresAt, nil)
			return w.refreshTokenOf("rt-" + d.code).AccessTokenExpiresAt
		}
		p := w.pollParams(d.code)
		shape(&p)
		row, err := w.Q.PollDeviceCode(w.Ctx, p)
		w.OK(err)
		w.want(name, row.Outcome, store.OutcomeRedeemed)
		wantEqual(t, name+": rows of access tokens", w.rowsOf("oauth_access_token", d.id), 0)
		wantEqual(t, name+": until when it lives", kept(), row.AccessTokenExpiresAt)
		wantEqual(t, name+": live", w.familyIsLive(d.id), true)
		w.Unchanged(func() {
			again, err := w.Q.PollDeviceCode(w.Ctx, p)
			w.OK(err)
			want := row
			want.Outcome = store.OutcomeRetried
			wantEqual(t, name+": the same call again", again, want)
		})
		retried := w.poll(d.code, store.OutcomeRetried, shape, func(p *store.PollDeviceCodeParams) { p.AccessTokenLifetime = time.Hour })
		wantEqual(t, name+": after a retry", kept(), retried.AccessTokenExpiresAt)
		w.poll(d.code, store.OutcomeRetried, shape, func(p *store.PollDeviceCodeParams) { p.AccessTokenLifetime = time.Second })
		wantEqual(t, name+": after a retry for a shorter time", kept(), retried.AccessTokenExpiresAt)
		wantEqual(t, name+": rows of access tokens", w.rowsOf("oauth_access_token", d.id), 0)
	}
}

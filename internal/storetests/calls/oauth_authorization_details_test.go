package calls

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// The second click changes the code, and nothing that the first one wrote, whatever it says.
func TestSecondApprovalKeepsWhatTheFirstWrote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	// in another tenant, where the user has left the client before
	w.Exec(`UPDATE "user" SET ended_grants = end_pair(ended_grants, $2, tenant_key('globex')) WHERE id = $1`, string(w.User), string(w.Client))
	id := w.pending(detailed)
	w.approve(id, store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) {
		p.AuthorizationDetails = json.RawMessage(`[{"type": "fly"}]`)
	})
	want := w.authorizationOf(id)
	wantEqual(t, "authorization_details", string(want.AuthorizationDetails), `[{"type": "fly"}]`)
	otherwise := func(p *store.ApproveAuthorizationParams) {
		p.ReferenceID, p.GrantedScopes, p.AuthorizationDetails = new(store.ReferenceID("globex")), []string{"email"}, json.RawMessage(otherDetails)
		p.AuthTime, p.ACR, p.AMR, p.Code, p.CodeLifetime = new(time.Now()), new("other"), []string{"hwk"}, new(fixture.Digest("second")), 2*time.Minute
	}
	w.approve(id, store.OutcomeRetried, otherwise)
	got := w.authorizationOf(id)
	wantAt(t, "code_expires_at", got.CodeExpiresAt, got.UpdatedAt, 2*time.Minute)
	want.Code, want.CodeExpiresAt, want.ExpiresAt, want.UpdatedAt = new(fixture.Digest("second")), got.CodeExpiresAt, got.CodeExpiresAt, got.UpdatedAt
	wantEqual(t, "after a second approval", got, want)
	w.approve(id, store.OutcomeRetried, otherwise, func(p *store.ApproveAuthorizationParams) { p.Code, p.CodeLifetime = nil, 3*time.Minute })
	got = w.authorizationOf(id)
	wantAt(t, "expires_at", got.ExpiresAt, got.UpdatedAt, 3*time.Minute)
	want.ExpiresAt, want.UpdatedAt = got.ExpiresAt, got.UpdatedAt
	wantEqual(t, "after a third one without a code", got, want)
	w.redeem("second", store.OutcomeRedeemed)
}

func TestGrantIsBoundToItsSessionUnlessItIsOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct {
		session *store.SessionID
		scopes  []string
		want    bool
	}{
		{&w.Session, []string{"openid"}, true},
		{&w.Session, nil, true},
		{&w.Session, []string{"openid", "offline_access"}, false},
		{nil, []string{"openid"}, false},
		{nil, nil, false},
		{nil, []string{"offline_access"}, false},
	} {
		approved := w.pending()
		w.approve(approved, store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) { p.SessionID, p.GrantedScopes = c.session, c.scopes })
		granted, _ := w.Grant(func(p *store.GrantAuthorizationParams) { p.SessionID, p.GrantedScopes = c.session, c.scopes })
		_, issued := w.issueGrant(fixture.Unique("x"), store.OutcomeIssued, func(p *store.IssueGrantParams) { p.SessionID, p.Scopes = c.session, c.scopes })
		for what, id := range map[string]store.AuthorizationID{"approved": approved, "granted": granted, "issued": issued.ID} {
			wantEqual(t, what+" "+asJSON(c), w.authorizationOf(id).Bound, c.want)
		}
	}
}

// A device has no redirect URI and no code, so that none is given to it.
func TestDeviceGetsNoCode(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	for _, decide := range []func(store.AuthorizationID){
		func(id store.AuthorizationID) {
			row := w.approve(id, store.OutcomeApproved, withoutCode, func(p *store.ApproveAuthorizationParams) { p.Code = new(fixture.Digest("code")) })
			wantEqual(t, "redirect_uri of the approval", row.RedirectURI, nil)
		},
		func(id store.AuthorizationID) {
			row, err := w.Q.DenyAuthorization(w.Ctx, store.DenyAuthorizationParams{ID: id, UserID: &w.User})
			w.OK(err)
			wantEqual(t, "the denial", row, store.DenyAuthorizationRow{Outcome: store.OutcomeDenied, ClientID: &w.Client})
		},
	} {
		d := w.device()
		w.find(d.user, store.OutcomeClaimed)
		before := w.authorizationOf(d.id)
		decide(d.id)
		got := w.authorizationOf(d.id)
		wantEqual(t, "code", got.Code, nil)
		wantEqual(t, "code_expires_at", got.CodeExpiresAt, nil)
		wantEqual(t, "expires_at", got.ExpiresAt, before.ExpiresAt)
		wantEqual(t, "decided_at", got.DecidedAt, &got.UpdatedAt)
	}
}

// grantings are the ways to a grant in the world's session, by which the client gets to know of it.
func (w *world) grantings() map[string]func(q *store.Queries) error {
	asked := w.pending()
	w.Exec(`DELETE FROM session_client`)
	return map[string]func(q *store.Queries) error{
		"ApproveAuthorization": func(q *store.Queries) error {
			_, err := q.ApproveAuthorization(w.Ctx, w.approveParams(asked))
			return err
		},
		"GrantAuthorization": func(q *store.Queries) error {
			_, err := q.GrantAuthorization(w.Ctx, w.GrantParams(fixture.Unique("code")))
			return err
		},
		"IssueGrant": func(q *store.Queries) error {
			_, err := q.IssueGrant(w.Ctx, w.issueGrantParams(fixture.Unique("x")))
			return err
		},
	}
}

// Each session notes each client once. The note that another session knows the client, or that the session knows another, is not it.
func TestSessionNotesEachClientOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other, elsewhere := w.NewClient(), w.NewSession(w.User)
	for name, grant := range w.grantings() {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			_, err := tx.Exec(w.Ctx, `INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ($1, $2, $5, 's', 's'), ($3, $4, $5, 's', 's')`,
				string(elsewhere), string(w.Client), string(w.Session), string(other), string(w.User))
			w.OK(err)
			for range 2 {
				w.OK(grant(q))
				wantEqual(t, name+": notes", w.scanned(tx, `SELECT count(*) AS a, count(*) FILTER (WHERE k.session_id = $1 AND k.client_id = $2 AND k.user_id = $3 AND k.sub = $3 AND k.sid = $1) AS b
					FROM session_client AS k`, string(w.Session), string(w.Client), string(w.User)), "3 1")
			}
		})
	}
}

// An ending that is telling the clients of a session is not waited for.
func TestNoteThatIsThereIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	grantings := w.grantings()
	w.Grant()
	telling := w.otherSession()
	_, err := telling.Exec(w.Ctx, `UPDATE session_client SET due_at = now()`)
	w.OK(err)
	for name, grant := range grantings {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			_, err := tx.Exec(w.Ctx, `SET LOCAL lock_timeout = '500ms'`)
			w.OK(err)
			if err := grant(q); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	w.OK(telling.Rollback(w.Ctx))
}

// A challenge without a method is plain (RFC 7636, section 4.3).
func TestChallengeIsStoredWithItsMethod(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.RequirePKCE, p.AllowPlainPKCE = new(false), new(true) })
	for _, c := range []struct{ challenge, method, want *string }{
		{nil, nil, nil}, {&fixture.Challenge, nil, new("plain")}, {&fixture.Challenge, new("plain"), new("plain")}, {&fixture.Challenge, new("S256"), new("S256")},
	} {
		asked := w.pending(func(p *store.CreateAuthorizationParams) {
			p.CodeChallenge, p.CodeChallengeMethod = c.challenge, c.method
		})
		granted, _ := w.Grant(func(p *store.GrantAuthorizationParams) {
			p.CodeChallenge, p.CodeChallengeMethod = c.challenge, c.method
		})
		wantEqual(t, "asked", w.authorizationOf(asked).CodeChallengeMethod, c.want)
		wantEqual(t, "granted", w.authorizationOf(granted).CodeChallengeMethod, c.want)
	}
	p := w.GrantParams("code")
	p.Scopes, p.GrantedScopes = nil, []string{"openid"}
	outcome, err := w.Q.GrantAuthorization(w.Ctx, p)
	w.OK(err)
	wantEqual(t, "more than nothing", outcome, store.OutcomeInvalidScope)
}

// Who redeems or issues a code while another call decides sees that decision.
func TestWhoWaitsForADecisionSeesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	other := w.NewClient()
	issue := func(id store.AuthorizationID, want store.Outcome) func() {
		return func() {
			row, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{
				ID: id, Code: fixture.Digest("late"), CodeLifetime: time.Minute, DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
			})
			if err != nil || row.Outcome != want {
				t.Errorf("IssueAuthorizationCode: %v %v, want %s", row.Outcome, err, want)
			}
		}
	}
	// the statement began before there was a user
	id := w.pending()
	w.waits(`UPDATE oauth_authorization SET status = 'approved', user_id = $2, granted_scopes = '{}', user_epoch = 0, client_epoch = 0, pair_epoch = 0,
		code = $3, code_expires_at = now() + interval '1 minute' WHERE id = $1`, []any{string(id), string(w.User), string(fixture.Digest("code"))}, issue(id, store.OutcomeUndecided))
	wantEqual(t, "the code", w.authorizationOf(id).Code, new(fixture.Digest("code")))

	for name, c := range map[string]struct {
		change func(*store.RedeemAuthorizationCodeParams)
		want   store.Outcome
	}{
		"as it should be":   {func(*store.RedeemAuthorizationCodeParams) {}, store.OutcomeUnknown},
		"another client":    {func(p *store.RedeemAuthorizationCodeParams) { p.ClientID = other }, store.OutcomeMismatched},
		"another challenge": {func(p *store.RedeemAuthorizationCodeParams) { p.CodeChallenge = nil }, store.OutcomeUnknown},
	} {
		_, code := w.Grant()
		w.waits(`UPDATE oauth_authorization SET code = $2 WHERE code = $1`, []any{string(fixture.Digest(code)), string(fixture.Digest("new" + code))}, func() {
			p := w.RedeemParams(code)
			c.change(&p)
			row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			if err != nil || row.Outcome != c.want {
				t.Errorf("a code that is replaced, %s: %v %v, want %s", name, row.Outcome, err, c.want)
			}
		})
	}
}

// A repeated call is answered what the first one was, also once the collector has taken the tokens.
func TestRepeatedRedemptionAfterItsTokensAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, c := range map[string]struct {
		granted  func(*store.GrantAuthorizationParams)
		redeemed func(*store.RedeemAuthorizationCodeParams)
	}{
		"bounded by its own lifetime": {func(*store.GrantAuthorizationParams) {}, func(*store.RedeemAuthorizationCodeParams) {}},
		"bounded by the family's":     {func(*store.GrantAuthorizationParams) {}, func(p *store.RedeemAuthorizationCodeParams) { p.FamilyLifetime = time.Minute }},
		"bounded by the session":      {online, func(p *store.RedeemAuthorizationCodeParams) { p.AccessTokenLifetime = 30 * 24 * time.Hour }},
		"without end": {func(*store.GrantAuthorizationParams) {}, func(p *store.RedeemAuthorizationCodeParams) {
			p.AccessTokenLifetime, p.FamilyLifetime = store.Never, store.Never
		}},
		"narrowed": {func(*store.GrantAuthorizationParams) {}, func(p *store.RedeemAuthorizationCodeParams) { p.Resources = fixture.Resources[:1] }},
		"with details": {
			func(p *store.GrantAuthorizationParams) {
				p.AuthorizationDetails, p.DefaultAuthorizationDetailsTypes = json.RawMessage(`[{"type": "pay"}]`), []string{"pay"}
				p.GrantedAuthorizationDetails = p.AuthorizationDetails
			},
			func(*store.RedeemAuthorizationCodeParams) {},
		},
	} {
		id, code := w.Grant(c.granted)
		p := w.RedeemParams(code)
		c.redeemed(&p)
		first, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		w.Want(name, first.Outcome, store.OutcomeRedeemed)
		var session time.Time
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT expires_at FROM session WHERE id = $1`, w.Session).Scan(&session))
		if ends := first.AccessTokenExpiresAt; (ends != nil && ends.Equal(session)) != (name == "bounded by the session") {
			t.Errorf("%s: the access token ends at %v, the session at %v", name, ends, session)
		}
		again := func(gone string) {
			row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			w.OK(err)
			want := first
			want.Outcome = store.OutcomeRetried
			wantEqual(t, name+", "+gone, row, want)
		}
		again("nothing is gone")
		w.Exec(`DELETE FROM oauth_access_token WHERE authorization_id = $1`, string(id))
		again("the access token is gone")
		w.Exec(`DELETE FROM oauth_refresh_token WHERE authorization_id = $1`, string(id))
		first.RefreshTokenID, first.RefreshTokenExpiresAt = nil, nil
		again("both are gone")
	}
}

// A repeated call that names a refresh token of another grant is a mistake of the server's, not an answer about that token.
func TestRepeatedRedemptionNamesItsOwnRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	redeemed := func() store.RedeemAuthorizationCodeParams {
		_, code := w.Grant()
		p := w.RedeemParams(code)
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		w.want("RedeemAuthorizationCode", row.Outcome, store.OutcomeRedeemed)
		return p
	}
	p, other := redeemed(), redeemed()
	for what, change := range map[string]func(*store.RedeemAuthorizationCodeParams){
		"its id alone":     func(p *store.RedeemAuthorizationCodeParams) { p.RefreshTokenID = other.RefreshTokenID },
		"its digest alone": func(p *store.RedeemAuthorizationCodeParams) { p.RefreshToken = other.RefreshToken },
		"its id and digest": func(p *store.RedeemAuthorizationCodeParams) {
			p.RefreshTokenID, p.RefreshToken = other.RefreshTokenID, other.RefreshToken
		},
	} {
		again := p
		change(&again)
		_, err := w.Q.RedeemAuthorizationCode(w.Ctx, again)
		wantEqual(t, what, pgErrorOf(err).Message, "RefreshTokenID is that of another token")
	}
}

// A JWT has no digest to be known by, so one that was collected is not mistaken for another.
func TestRepeatedRedemptionForAJWTThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.issueJWT()
	_, code := w.Grant()
	p := w.RedeemParams(code)
	p.AccessToken = nil
	for _, want := range []store.Outcome{store.OutcomeRedeemed, store.OutcomeRetried} {
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		w.want("RedeemAuthorizationCode", row.Outcome, want)
		w.Exec(`DELETE FROM oauth_access_token WHERE id = $1`, string(p.AccessTokenID))
	}
}

// Nor may a token without a row have the id of one that has a row.
func TestTokenWithoutARowHasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	taken := w.accessTokenOf(w.Redeem().Access).ID
	_, code := w.Grant()
	p := w.RedeemParams(code)
	p.AccessTokenWithoutRow, p.AccessToken, p.AccessTokenID = true, nil, taken
	_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	wantEqual(t, "RedeemAuthorizationCode", pgErrorOf(err).Message, "AccessTokenID is that of another token")
	r, _ := w.RotateParams(w.Redeem().Refresh)
	r.AccessTokenWithoutRow, r.AccessToken, r.AccessTokenID = true, nil, taken
	_, err = w.Q.RotateRefreshToken(w.Ctx, r)
	wantEqual(t, "RotateRefreshToken", pgErrorOf(err).Message, "AccessTokenID is that of another token")
}

func TestExpiryOfATokenWithoutARowStandsWhereItIsLookedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, c := range map[string]struct {
		change              func(*store.RedeemAuthorizationCodeParams)
		inFamily, inRefresh bool
	}{
		"both tokens":                 {func(*store.RedeemAuthorizationCodeParams) {}, false, false},
		"without a row":               {withoutRow, false, true},
		"without a row, and no other": {withoutRefreshToken, true, false},
		"with a row, and no other":    {func(p *store.RedeemAuthorizationCodeParams) { p.RefreshToken = nil }, false, false},
		"without a row, bounded as well": {func(p *store.RedeemAuthorizationCodeParams) {
			withoutRefreshToken(p)
			p.FamilyLifetime = 2 * time.Second
		}, true, false},
	} {
		id, code := w.Grant()
		p := w.RedeemParams(code)
		c.change(&p)
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		a := w.authorizationOf(id)
		if c.inFamily {
			wantEqual(t, name+": in the family", a.ExpiresAt, row.AccessTokenExpiresAt)
		} else {
			wantEqual(t, name+": in the family", a.ExpiresAt, nil)
		}
		if p.RefreshToken != nil {
			wantEqual(t, name+": in the refresh token", w.refreshTokenOf("rt-"+code).AccessTokenExpiresAt != nil, c.inRefresh)
		}
		again, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		wantEqual(t, name+": again", again.AccessTokenExpiresAt, row.AccessTokenExpiresAt)
	}
}

// The access token may have fewer details. The grant, and so the refresh token, keeps all.
func TestRedemptionNarrowsTheAccessTokenAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for asked, want := range map[string]string{
		"": twoDetails, `[]`: twoDetails, `[{"type": "fly"}]`: `[{"type": "fly"}]`, `[{"type": "fly"}, {"type": "fly"}]`: `[{"type": "fly"}]`,
	} {
		_, code := w.Grant(func(p *store.GrantAuthorizationParams) {
			p.AuthorizationDetails, p.GrantedAuthorizationDetails = json.RawMessage(twoDetails), json.RawMessage(twoDetails)
			p.DefaultAuthorizationDetailsTypes = []string{"pay", "fly"}
		})
		row := w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) {
			if asked != "" {
				p.AuthorizationDetails = json.RawMessage(asked)
			}
		})
		wantEqual(t, "the answer", string(row.AuthorizationDetails), want)
		wantEqual(t, "the access token", string(w.accessTokenOf("at-"+code).AuthorizationDetails), want)
		wantEqual(t, "the refresh token", string(w.refreshTokenOf("rt-"+code).AuthorizationDetails), twoDetails)
	}
}

// A client that gets no refresh token needs no lifetime of one, nor of the family.
func TestLifetimesOfWhatAClientDoesNotUseMayBeLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{"authorization_code"} })
	id, code := w.Grant()
	row := w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) { p.RefreshTokenLifetime, p.FamilyLifetime = 0, 0 })
	wantEqual(t, "refresh_token_id of the redemption", row.RefreshTokenID, nil)
	wantEqual(t, "max_expires_at of the redemption", w.authorizationOf(id).MaxExpiresAt, nil)
	issued, p := w.issueGrant("x", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.RefreshTokenLifetime, p.FamilyLifetime = 0, 0 })
	wantEqual(t, "refresh_token_id of the grant", issued.RefreshTokenID, nil)
	wantEqual(t, "max_expires_at of the grant", w.authorizationOf(p.ID).MaxExpiresAt, nil)
}

// Where the expiry of a token without a row stands: in the refresh token or, if there is none, in the family.
func TestIssuedTokenWithoutARowIsLookedForWhereItStands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct {
		without, alone  bool
		family, session time.Duration
	}{
		{false, false, time.Hour, 0},
		{true, false, time.Hour, 0},
		{false, true, time.Hour, 0},
		{true, true, time.Hour, 0},
		{true, true, time.Minute, 0},
		{true, true, time.Hour, 2 * time.Minute},
		{true, false, time.Minute, 0},
		{true, false, time.Hour, 2 * time.Minute},
		{false, false, time.Minute, 0},
		{false, true, time.Hour, 2 * time.Minute},
	} {
		want := min(5*time.Minute, c.family)
		if c.session > 0 {
			want = c.session
			w.Exec(`UPDATE session SET expires_at = now() + $2::interval WHERE id = $1`, string(w.Session), c.session)
		}
		name := fixture.Unique("x")
		row, p := w.issueGrant(name, store.OutcomeIssued, func(p *store.IssueGrantParams) {
			p.FamilyLifetime, p.AccessTokenWithoutRow = c.family, c.without
			if c.without {
				p.AccessToken = nil
			}
			if c.alone {
				p.RefreshToken, p.RefreshTokenID, p.RefreshTokenLifetime = nil, nil, 0
			}
			if c.session > 0 {
				p.Scopes = []string{"openid"}
			}
		})
		a := w.authorizationOf(p.ID)
		if c.session == 0 {
			wantAt(t, "the answer", row.AccessTokenExpiresAt, a.CreatedAt, want)
		} else if left := row.AccessTokenExpiresAt.Sub(a.CreatedAt); left > want || left < want-time.Minute {
			t.Errorf("the answer: in %s, want the session's end", left)
		}
		inFamily, inRefresh := row.AccessTokenExpiresAt, row.AccessTokenExpiresAt
		if !c.without || !c.alone {
			inFamily = nil
		}
		if !c.without {
			inRefresh = nil
		}
		wantEqual(t, "in the family", a.ExpiresAt, inFamily)
		if !c.alone {
			wantEqual(t, "in the refresh token", w.refreshTokenOf("rt-"+name).AccessTokenExpiresAt, inRefresh)
		}
		again, err := w.Q.IssueGrant(w.Ctx, p)
		w.OK(err)
		w.want("the same call", again.Outcome, store.OutcomeRetried)
		wantEqual(t, "the answer to the same call", again.AccessTokenExpiresAt, row.AccessTokenExpiresAt)
		wantEqual(t, "and of the refresh token", again.RefreshTokenExpiresAt, row.RefreshTokenExpiresAt)
		w.Exec(`UPDATE session SET expires_at = now() + interval '1 hour' WHERE id = $1`, string(w.Session))
	}
}

// What goes on without its session isn't in it any more.
func TestRedemptionAfterTheSessionHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	_, code := w.Grant()
	_, live := w.Grant()
	wantEqual(t, "session_id", w.redeem(live, store.OutcomeRedeemed).SessionID, &w.Session)
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session))
	row := w.redeem(code, store.OutcomeRedeemed)
	for what, id := range map[string]*store.SessionID{
		"answer": row.SessionID, "access token": w.accessTokenOf("at-" + code).SessionID, "refresh token": w.refreshTokenOf("rt-" + code).SessionID,
	} {
		wantEqual(t, "session_id of the "+what, id, nil)
	}
}

// The event says what did not match, the first of several.
func TestEventSaysWhatDidNotMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.RequirePKCE = new(false) })
	other := w.NewClient()
	type params = store.RedeemAuthorizationCodeParams
	client := func(p *params) { p.ClientID = other }
	challenge := func(p *params) { p.CodeChallenge = new(token.S256("guess")) }
	uri := func(p *params) { p.RedirectURI = new("https://client.example/") }
	noURI := func(p *params) { p.RedirectURI = nil }
	key := func(p *params) { p.Confirmation = &token.Confirmation{JKT: "other"} }
	_, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.Confirmation = &token.Confirmation{JKT: "key"} })
	_, plain := w.Grant(func(p *store.GrantAuthorizationParams) {
		p.Confirmation, p.CodeChallenge, p.CodeChallengeMethod = &token.Confirmation{JKT: "key"}, nil, nil
	})
	for _, c := range []struct {
		code    string
		changes []func(*params)
		want    string
	}{
		{code, []func(*params){client}, "client"},
		{code, []func(*params){client, challenge}, "client"},
		{code, []func(*params){client, challenge, uri, key}, "client"},
		{code, []func(*params){challenge}, "code_challenge"},
		{code, []func(*params){challenge, uri}, "code_challenge"},
		{code, []func(*params){uri}, "redirect_uri"},
		{code, []func(*params){uri, key}, "redirect_uri"},
		{code, []func(*params){key}, "key"},
		{code, []func(*params){key, noURI}, "key"},
		{plain, []func(*params){noURI}, "redirect_uri"},
		{plain, nil, "key"},
	} {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			p := w.RedeemParams(c.code)
			if c.code == plain {
				p.CodeChallenge = nil
			}
			for _, change := range c.changes {
				change(&p)
			}
			row, err := q.RedeemAuthorizationCode(w.Ctx, p)
			w.OK(err)
			w.want("RedeemAuthorizationCode", row.Outcome, store.OutcomeMismatched)
			wantEqual(t, "reason", w.scanned(tx, `SELECT e.reason FROM security_event AS e`), c.want)
		})
	}
	w.undone(func(tx pgx.Tx, q *store.Queries) {
		p := w.RedeemParams(code)
		p.Proof, p.ProofExpiresAt = new(fixture.Digest("proof")), new(time.Now().Add(time.Hour))
		_, err := tx.Exec(w.Ctx, `INSERT INTO oauth_proof (id, expires_at) VALUES ($1, now() + interval '1 hour')`, string(*p.Proof))
		w.OK(err)
		row, err := q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		w.want("RedeemAuthorizationCode", row.Outcome, store.OutcomeProofReplayed)
		wantEqual(t, "reason of what is no mismatch", w.scanned(tx, `SELECT e.reason FROM security_event AS e`), "NULL")
		p.AccessTokenID = "" // that of no earlier call
		row, err = q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		w.want("without an id", row.Outcome, store.OutcomeProofReplayed)
	})
}

// A family that is over is marked, and why. One that is not decided, that is marked or that may still be used is left.
func TestMarkDeadAuthorizationsByCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem(online)
	pending := w.pending()
	const (
		tokenless   = `DELETE FROM oauth_access_token WHERE authorization_id = {id}; DELETE FROM oauth_refresh_token WHERE authorization_id = {id};`
		accessOnly  = `UPDATE oauth_access_token SET refresh_id = NULL WHERE authorization_id = {id}; DELETE FROM oauth_refresh_token WHERE authorization_id = {id};`
		refreshOnly = `DELETE FROM oauth_access_token WHERE authorization_id = {id};`
		unbound     = `UPDATE oauth_authorization SET bound = false WHERE id = {id};`
		expiring    = `UPDATE oauth_authorization SET expires_at = now() WHERE id = {id};`
	)
	of := replacerOf(w.namesOf(k.Authorization, ""), "{pending}", "'"+string(pending)+"'")
	for _, c := range []struct {
		sql, want string // the reason
		marked    int64
	}{
		{"", "NULL", 0},
		{hasExpired, "session_ended", 1},
		{hasExpired + ";" + unbound, "NULL", 0},
		{hasExpired + ";" + grantsEnded, "session_ended", 1},
		{grantsEnded, "grants_ended", 1},
		{grantsEnded + ";" + unbound, "grants_ended", 1},
		{isSuspended + ";" + unbound, "grants_ended", 1},
		{tokenless, "expired", 1},
		{tokenless + grantsEnded, "grants_ended", 1},
		{tokenless + expiring, "NULL", 0},
		{accessOnly, "NULL", 0},
		{refreshOnly, "NULL", 0},
		{isDisabled, "NULL", 0},
		{tokenless + isRevoked, "authorization_revoked", 0},
		{`UPDATE oauth_authorization SET user_id = {user}, kind = 'device' WHERE id = {pending}`, "NULL", 0},
		{`UPDATE oauth_authorization SET user_id = {user}, kind = 'device', expires_at = NULL WHERE id = {pending}`, "NULL", 0},
	} {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			_, err := tx.Exec(w.Ctx, of.Replace(c.sql))
			w.OK(err)
			row, err := q.MarkDeadAuthorizations(w.Ctx, store.MarkDeadAuthorizationsParams{PageSize: 100})
			w.OK(err)
			wantEqual(t, c.sql+": marked", row.Marked, c.marked)
			wantEqual(t, c.sql+": why", w.scanned(tx, of.Replace(`SELECT a.revoked_reason AS a FROM oauth_authorization AS a WHERE a.id = {id}`)), c.want)
			if c.marked > 0 {
				wantEqual(t, c.sql+": when", w.scanned(tx, of.Replace(`SELECT a.revoked_at = now() AND a.updated_at = now() AS a FROM oauth_authorization AS a WHERE a.id = {id}`)), "true")
			}
		})
	}
}

// A page is what follows an id, in the order of the ids.
func TestMarkDeadAuthorizationsGoesPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for range 5 {
		w.Redeem()
	}
	var ids []store.AuthorizationID
	w.undone(func(tx pgx.Tx, q *store.Queries) {
		_, err := tx.Exec(w.Ctx, `UPDATE oauth_client SET grants_epoch = grants_epoch + 1 WHERE client_id = $1`, string(w.Client))
		w.OK(err)
		w.OK(tx.QueryRow(w.Ctx, `SELECT array_agg(a.id::text ORDER BY a.id) FROM oauth_authorization AS a WHERE a.client_id = $1`, string(w.Client)).Scan(&ids))
		after := ids[0]
		for from := 1; from < len(ids)+1; from += 2 {
			row, err := q.MarkDeadAuthorizations(w.Ctx, store.MarkDeadAuthorizationsParams{AfterID: after, PageSize: 2})
			w.OK(err)
			page := ids[from:min(from+2, len(ids))]
			if len(page) == 0 {
				wantEqual(t, "after the last page", row, store.MarkDeadAuthorizationsRow{})
				break
			}
			last := page[len(page)-1]
			wantEqual(t, "page", row, store.MarkDeadAuthorizationsRow{Marked: int64(len(page)), LastID: &last})
			after = last
		}
		wantEqual(t, "left", w.scanned(tx, `SELECT a.id FROM oauth_authorization AS a WHERE a.client_id = $1 AND a.revoked_at IS NULL`, string(w.Client)), string(ids[0]))
	})
}

// What has lapsed goes after the retention, unless it has a token or its client may still poll.
func TestLapsedAuthorizationsAreDeletedByCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k, other := w.Redeem(), w.Redeem()
	d := w.approvedDeviceOf(w.NewClient(func(p *store.CreateClientParams) { p.Public, p.GrantTypes = new(true), []string{deviceGrant} }))
	_ = other
	const (
		lapsed      = `UPDATE oauth_authorization SET expires_at = now() - interval '1 hour' WHERE id = {id};`
		later       = `UPDATE oauth_authorization SET expires_at = now() - interval '1 hour' + interval '1 microsecond' WHERE id = {id};`
		future      = `UPDATE oauth_authorization SET expires_at = now() + interval '1 microsecond' WHERE id = {id};`
		just        = `UPDATE oauth_authorization SET expires_at = now() WHERE id = {id};`
		tokenless   = `DELETE FROM oauth_access_token WHERE authorization_id = {id}; DELETE FROM oauth_refresh_token WHERE authorization_id = {id};`
		accessOnly  = `UPDATE oauth_access_token SET refresh_id = NULL WHERE authorization_id = {id}; DELETE FROM oauth_refresh_token WHERE authorization_id = {id};`
		refreshOnly = `DELETE FROM oauth_access_token WHERE authorization_id = {id};`
		unpolled    = `DELETE FROM oauth_polled_request WHERE id = {id};`
	)
	for _, c := range []struct {
		id        store.AuthorizationID
		sql       string
		retention time.Duration
		want      int64
	}{
		{k.Authorization, lapsed + tokenless, time.Hour, 1},
		{k.Authorization, later + tokenless, time.Hour, 0},
		{k.Authorization, lapsed, time.Hour, 0},
		{k.Authorization, lapsed + accessOnly, time.Hour, 0},
		{k.Authorization, lapsed + refreshOnly, time.Hour, 0},
		{k.Authorization, just + tokenless, -time.Hour, 1},
		{k.Authorization, future + tokenless, -time.Hour, 0},
		{d.id, lapsed, time.Hour, 0},
		{d.id, lapsed + unpolled, time.Hour, 1},
	} {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			_, err := tx.Exec(w.Ctx, replacerOf(w.namesOf(c.id, "")).Replace(c.sql))
			w.OK(err)
			n, err := fixture.Deleted(q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{Retention: c.retention, BatchSize: 100}))
			w.OK(err)
			wantEqual(t, c.sql, n, c.want)
			wantEqual(t, c.sql+": which", w.scanned(tx, `SELECT count(*) AS a FROM oauth_authorization AS a WHERE a.id = $1`, string(c.id)), map[bool]string{true: "0", false: "1"}[c.want > 0])
		})
	}
	w.undone(func(tx pgx.Tx, q *store.Queries) {
		_, err := tx.Exec(w.Ctx, `DELETE FROM oauth_access_token; DELETE FROM oauth_refresh_token; DELETE FROM oauth_polled_request; UPDATE oauth_authorization SET expires_at = now() - interval '2 hours'`)
		w.OK(err)
		n, err := fixture.Deleted(q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{Retention: time.Hour, BatchSize: 2}))
		w.OK(err)
		wantEqual(t, "a batch", n, 2)
	})
}

// approvedDeviceOf is a device of a client, whose request the world's user has approved.
func (w *world) approvedDeviceOf(client store.ClientID) device {
	w.Helper()
	sub := w.forSubtest(w)
	sub.Client = client
	return sub.approvedDevice()
}

// What is left of a family that ended goes from the leaves: access tokens, refresh tokens without one, families without either.
func TestEndedAuthorizationsAreDeletedByCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	mine, other := w.Redeem(), w.Redeem()
	d := w.approvedDeviceOf(w.NewClient(func(p *store.CreateClientParams) { p.Public, p.GrantTypes = new(true), []string{deviceGrant} }))
	const (
		ended    = `UPDATE oauth_authorization SET revoked_at = now() - interval '1 hour', revoked_reason = 'grants_ended' WHERE id = {id};`
		later    = `UPDATE oauth_authorization SET revoked_at = now() - interval '1 hour' + interval '1 microsecond', revoked_reason = 'grants_ended' WHERE id = {id};`
		earlier  = `UPDATE oauth_authorization SET revoked_at = now() - interval '2 hours', revoked_reason = 'grants_ended' WHERE id = {earlier};`
		refresh  = `DELETE FROM oauth_access_token WHERE authorization_id = {id};`
		access   = `UPDATE oauth_access_token SET refresh_id = NULL WHERE authorization_id = {id}; DELETE FROM oauth_refresh_token WHERE authorization_id = {id};`
		unpolled = `DELETE FROM oauth_polled_request;`
		three    = `UPDATE oauth_access_token SET refresh_id = NULL; INSERT INTO oauth_access_token (id, client_id, user_id, scopes, authorization_id) SELECT 'a' || n, {client}, {user}, '{}', {id} FROM generate_series(1, 2) AS n;
			INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, authorization_id) SELECT 'r' || n, rpad('r' || n, 43, 'x'), {client}, {user}, '{}', {id} FROM generate_series(1, 3) AS n;`
	)
	for _, c := range []struct {
		id    store.AuthorizationID
		sql   string
		batch int32
		want  []int64 // access tokens, refresh tokens and families, call by call
	}{
		{mine.Authorization, "", 100, []int64{0, 0, 0}},
		{mine.Authorization, later, 100, []int64{0, 0, 0}},
		{mine.Authorization, ended, 100, []int64{1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}},
		{mine.Authorization, ended + refresh, 100, []int64{0, 1, 0, 0, 0, 1, 0, 0, 0}},
		{mine.Authorization, ended + access, 100, []int64{1, 0, 0, 0, 0, 1, 0, 0, 0}},
		{mine.Authorization, ended + access + refresh, 100, []int64{0, 0, 1, 0, 0, 0}},
		{d.id, ended, 100, []int64{0, 0, 0}},
		{d.id, ended + unpolled, 100, []int64{0, 0, 1, 0, 0, 0}},
		{mine.Authorization, ended + three, 2, []int64{2, 2, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0}},
		{mine.Authorization, ended + earlier + refresh + access + unpolled, 1, []int64{0, 0, 1, 0, 0, 1, 0, 0, 0}},
	} {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			_, err := tx.Exec(w.Ctx, replacerOf(w.namesOf(c.id, ""), "{earlier}", "'"+string(d.id)+"'").Replace(c.sql))
			w.OK(err)
			var got []int64
			for range len(c.want) / 3 {
				row, err := q.DeleteEndedAuthorizations(w.Ctx, store.DeleteEndedAuthorizationsParams{Retention: time.Hour, BatchSize: c.batch})
				w.OK(err)
				got = append(got, row.AccessTokens, row.RefreshTokens, row.Authorizations)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", c.sql, got, c.want)
			}
			wantEqual(t, "another family's tokens", w.scanned(tx, `SELECT (SELECT count(*) FROM oauth_access_token AS t WHERE t.authorization_id = $1) AS a,
				(SELECT count(*) FROM oauth_refresh_token AS r WHERE r.authorization_id = $1) AS b`, string(other.Authorization)), "1 1")
		})
	}
}

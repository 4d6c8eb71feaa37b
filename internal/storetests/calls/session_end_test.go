package calls

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

func sessionRow[ID ~string](change string, id ID) string { return rowName(change, "session", id) }

// online grants no offline_access.
func online(p *store.GrantAuthorizationParams) { p.GrantedScopes = []string{"openid", "email"} }

func (w *world) endSession(id store.SessionID) []store.EndSessionRow {
	w.Helper()
	rows, err := w.Q.EndSession(w.Ctx, id)
	w.OK(err)
	return rows
}

// foreignOnline writes tokens as another server would, of a grant without offline_access.
func (w *world) foreignOnline(raw string) (store.RefreshTokenID, store.AccessTokenID) {
	w.Helper()
	refresh := w.ForeignRefreshToken(raw)
	access := w.ForeignAccessToken(raw+" access", &refresh)
	w.Exec(`UPDATE oauth_refresh_token SET scopes = '{openid}' WHERE id = $1`, string(refresh))
	w.Exec(`UPDATE oauth_access_token SET scopes = '{openid}' WHERE id = $1`, string(access))
	return refresh, access
}

func TestEndSessionEndsWhatLacksOfflineAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	gone, offline := w.Redeem(online), w.Redeem()
	bystander := w.Redeem(func(p *store.GrantAuthorizationParams) { online(p); p.SessionID = nil })
	session := w.Session
	w.Session = w.NewSession(w.User)
	elsewhere := w.Redeem(online)
	w.Session = session
	machine := w.issue("machine", store.IssuanceOutcomeIssued)

	w.changesRows(
		func() {
			wantEqual(t, "rows", w.endSession(session), []store.EndSessionRow{
				{SessionID: session, UserID: w.User, ClientID: &w.Client, AuthorizationID: &gone.Authorization, Revoked: true},
				{SessionID: session, UserID: w.User, ClientID: &w.Client, AuthorizationID: &offline.Authorization},
			})
		},
		sessionRow("-", session),
		authorizationRow("~", gone.Authorization), accessRow("~", w.accessTokenOf(gone.Access).ID), refreshRow("~", w.refreshTokenOf(gone.Refresh).ID),
		authorizationRow("~", offline.Authorization), accessRow("~", w.accessTokenOf(offline.Access).ID), refreshRow("~", w.refreshTokenOf(offline.Refresh).ID),
	)
	a := w.authorizationOf(gone.Authorization)
	wantEqual(t, "revoked_reason", a.RevokedReason, new(store.RevocationReasonSessionEnded))
	for _, k := range []fixture.Tokens{gone, offline} { // nothing refers to the session any more
		wantEqual(t, "session of the family", w.authorizationOf(k.Authorization).SessionID, nil)
		wantEqual(t, "session of the access token", w.accessTokenOf(k.Access).SessionID, nil)
		wantEqual(t, "session of the refresh token", w.refreshTokenOf(k.Refresh).SessionID, nil)
	}
	w.WantDead(gone.Access, gone.Refresh)
	w.WantLive(offline.Access, offline.Refresh, bystander.Refresh, elsewhere.Access, elsewhere.Refresh, machine)
	w.Unchanged(func() {
		wantEqual(t, "rows of the second call", w.endSession(session), []store.EndSessionRow{})
		wantEqual(t, "rows of an unknown session", w.endSession("unknown"), []store.EndSessionRow{})
	})
	w.Rotate(offline.Refresh, store.RotationOutcomeRotated)
	w.Rotate(gone.Refresh, store.RotationOutcomeRevoked)
}

func TestEndSessionReachesCodesThatHaveNotBeenRedeemed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	_, gone := w.Grant(online)
	offlineID, offline := w.Grant()
	uncoded := w.pending()
	w.approve(uncoded, store.DecisionOutcomeApproved, func(p *store.ApproveAuthorizationParams) {
		p.Code, p.GrantedScopes = nil, []string{"openid"}
	})
	w.endSession(w.Session)
	redeem := func(code string, want store.RedemptionOutcome) {
		t.Helper()
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, w.RedeemParams(code))
		w.OK(err)
		wantEqual(t, "outcome", row.Outcome, want)
		wantEqual(t, "session", row.SessionID, nil)
	}
	w.Unchanged(func() { redeem(gone, store.RedemptionOutcomeRevoked) })
	redeem(offline, store.RedemptionOutcomeRedeemed)
	wantEqual(t, "session of the family", w.authorizationOf(offlineID).SessionID, nil)
	row, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{ID: uncoded, Code: fixture.Digest("late"), CodeLifetime: time.Minute})
	w.OK(err)
	wantEqual(t, "outcome", row.Outcome, store.CodeOutcomeRevoked)
}

func TestEndSessionNamesEveryClientThatKnewTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	wantEqual(t, "rows of a session that no client knew", w.endSession(w.Session), []store.EndSessionRow{{SessionID: w.Session, UserID: w.User}})

	w.Session = w.NewSession(w.User)
	var want []store.EndSessionRow
	client := func(setup func() (*store.AuthorizationID, bool)) {
		w.Client = w.NewClient()
		client := w.Client
		authorization, revoked := setup()
		want = append(want, store.EndSessionRow{
			SessionID: w.Session, UserID: w.User, ClientID: &client, AuthorizationID: authorization, Revoked: revoked,
		})
	}
	of := func(p *store.GrantAuthorizationParams) { p.ClientID = w.Client }
	client(func() (*store.AuthorizationID, bool) { k := w.Redeem(of, online); return &k.Authorization, true })
	client(func() (*store.AuthorizationID, bool) { k := w.Redeem(of); return &k.Authorization, false })
	client(func() (*store.AuthorizationID, bool) {
		k := w.Redeem(of, online)
		w.revokeFamily(k.Authorization) // before, not now
		return &k.Authorization, false
	})
	client(func() (*store.AuthorizationID, bool) { w.foreignOnline("stray"); return nil, true })
	client(func() (*store.AuthorizationID, bool) { w.ForeignRefreshToken("offline stray"); return nil, false })
	client(func() (*store.AuthorizationID, bool) { w.ForeignAccessToken("offline lone", nil); return nil, false })
	slices.SortFunc(want, func(a, b store.EndSessionRow) int { return strings.Compare(string(*a.ClientID), string(*b.ClientID)) })
	wantEqual(t, "rows", w.endSession(w.Session), want)
	w.WantDead("stray", "stray access")
	w.WantLive("offline stray", "offline lone")
	wantEqual(t, "session of a stray that goes on", w.refreshTokenOf("offline stray").SessionID, nil)
}

func TestEndSessionEndsTokensWithoutAFamilyByTheirOwnScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	refresh, access := w.foreignOnline("stray")
	offline := w.ForeignRefreshToken("offline")
	offlineAccess := w.ForeignAccessToken("offline access", &offline)
	spent, _ := w.foreignOnline("spent")
	w.Exec(`DELETE FROM oauth_access_token WHERE refresh_id = $1`, string(spent))
	w.spentElsewhere("spent")
	before := w.refreshTokenOf("spent")
	w.changesRows(
		func() {
			wantEqual(t, "rows", w.endSession(w.Session), []store.EndSessionRow{{SessionID: w.Session, UserID: w.User, ClientID: &w.Client, Revoked: true}})
		},
		sessionRow("-", w.Session), refreshRow("~", refresh), accessRow("~", access),
		refreshRow("~", offline), accessRow("~", offlineAccess), refreshRow("~", spent),
	)
	w.WantDead("stray", "stray access")
	w.WantLive("offline", "offline access")
	before.SessionID = nil
	wantEqual(t, "the spent token", w.refreshTokenOf("spent"), before)
	r := w.refreshTokenOf("stray")
	wantEqual(t, "revoked", r.Revoked, &r.UpdatedAt)
	w.Rotate("offline", store.RotationOutcomeRotated)
}

func TestEndUserSessionsEndsAllButTheOneToKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	one := w.Session
	first := w.Redeem(online)
	two := w.NewSession(w.User)
	w.Session = two
	second, secondOffline := w.Redeem(online), w.Redeem()
	w.foreignOnline("stray")
	kept := w.NewSession(w.User)
	w.Session = kept
	third := w.Redeem(online)
	idle := w.NewSession(w.User)
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(idle))
	user := w.User
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	anothers := w.Redeem(online)

	rows, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: user, Keep: &kept})
	w.OK(err)
	row := func(session store.SessionID, authorization *store.AuthorizationID, revoked bool) store.EndUserSessionsRow {
		return store.EndUserSessionsRow{SessionID: session, UserID: user, ClientID: &w.Client, AuthorizationID: authorization, Revoked: revoked}
	}
	want := []store.EndUserSessionsRow{
		row(one, &first.Authorization, true), row(two, &second.Authorization, true), row(two, &secondOffline.Authorization, false),
		row(two, nil, true),
		{SessionID: idle, UserID: user},
	}
	wantEqual(t, "rows", rows, want)
	w.WantDead(first.Access, first.Refresh, second.Access, second.Refresh, "stray", "stray access")
	w.WantLive(secondOffline.Access, secondOffline.Refresh, third.Access, third.Refresh, anothers.Access, anothers.Refresh)
	for _, ended := range []store.SessionID{one, two, idle} {
		_, err := w.Q.GetSession(w.Ctx, ended)
		w.None(err)
	}
	_, err = w.Q.GetSession(w.Ctx, kept)
	w.OK(err)
	w.Unchanged(func() {
		for _, p := range []store.EndUserSessionsParams{{UserID: user, Keep: &kept}, {UserID: "unknown"}} {
			rows, err := w.Q.EndUserSessions(w.Ctx, p)
			w.OK(err)
			wantEqual(t, "rows", rows, []store.EndUserSessionsRow{})
		}
	})
	w.changesRows(
		func() {
			rows, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: user})
			w.OK(err)
			wantEqual(t, "rows", rows, []store.EndUserSessionsRow{row(kept, &third.Authorization, true)})
		},
		sessionRow("-", kept), authorizationRow("~", third.Authorization),
		accessRow("~", w.accessTokenOf(third.Access).ID), refreshRow("~", w.refreshTokenOf(third.Refresh).ID),
	)
	w.WantDead(third.Access, third.Refresh)
}

// TestCallsThatReachForTheSameRowsFromBothSidesWait is about locks: one call holds rows that another wants, and goes on to those
// that the other holds. Each pair below deadlocks unless both take the locks in one order (user, client, session, family, token).
func TestCallsThatReachForTheSameRowsFromBothSidesWait(t *testing.T) {
	t.Parallel()
	type call = func() error
	const (
		oneFamily  = `SELECT FROM oauth_authorization WHERE id = $1 FOR UPDATE`
		oneRefresh = `SELECT FROM oauth_refresh_token WHERE id = $1 FOR UPDATE`
	)
	// stray writes a token without a family. Those of one session stand on disk, and in an index, in the order of writing,
	// which is not that of their identifiers.
	stray := func(w *world, id string) {
		w.Exec(`INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, scopes) VALUES ($1, $2, $3, $4, $5, '{openid}')`,
			id, string(fixture.Digest(id)), w.Client, w.Session, w.User)
	}
	// threeStrays writes c, a and b; b is of another session, client and user, as change has it.
	threeStrays := func(w *world, change func(*world)) {
		stray(w, "c")
		stray(w, "a")
		other := *w
		change(&other)
		stray(&other, "b")
	}
	sessionsApart := func(w *world) { w.Session = w.NewSession(w.User) }
	revokeClient := func(w *world, client store.ClientID) call {
		return func() error { _, err := w.Q.RevokeClientAuthorizations(w.Ctx, client); return err }
	}
	for _, c := range []struct {
		name string
		// prepare returns the row to hold, and by which query, until both calls wait or the second, which may skip what is held, has
		// returned; and the two calls
		prepare func(w *world) (hold, row string, first, second call)
	}{
		{name: "reuse of two adopted tokens that another server has spent", prepare: func(w *world) (string, string, call, call) {
			one := w.ForeignRefreshToken("one")
			w.ForeignRefreshToken("two")
			_, err := w.Q.AdoptRefreshTokens(w.Ctx, store.AdoptRefreshTokensParams{BatchSize: 10})
			w.OK(err)
			w.Exec(`UPDATE oauth_refresh_token SET revoked = now()`)
			reuse := func(raw string) call {
				return func() error {
					p, _ := w.RotateParams(raw)
					_, err := w.Q.RotateRefreshToken(w.Ctx, p)
					return err
				}
			}
			return oneRefresh, string(one), reuse("one"), reuse("two")
		}},
		{name: "sessions are collected, tokens are adopted", prepare: func(w *world) (string, string, call, call) {
			k := w.Redeem()
			w.ForeignRefreshToken("stray")
			w.Exec(`UPDATE session SET expires_at = now()`)
			return oneFamily, string(k.Authorization),
				func() error { _, err := w.Q.DeleteExpiredSessions(w.Ctx, 10); return err },
				func() error {
					_, err := w.Q.AdoptRefreshTokens(w.Ctx, store.AdoptRefreshTokensParams{BatchSize: 10})
					return err
				}
		}},
		{name: "a client is deleted, a consent to it is withdrawn", prepare: func(w *world) (string, string, call, call) {
			w.consent("", false, "openid")
			w.Redeem()
			k := w.Redeem()
			return oneFamily, string(k.Authorization),
				func() error { _, err := w.Q.DeleteClient(w.Ctx, w.Client); return err },
				func() error {
					_, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: w.Client})
					return err
				}
		}},
		{name: "the owner of a client is deleted, its grants are revoked", prepare: func(w *world) (string, string, call, call) {
			owned := w.NewClient(func(p *store.CreateClientParams) { p.UserID = &w.User })
			w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = owned })
			k := w.Redeem()
			return oneFamily, string(k.Authorization),
				func() error { _, err := w.Q.DeleteUser(w.Ctx, w.User); return err }, revokeClient(w, owned)
		}},
		{name: "the owner of a client is deleted, a user of it revokes", prepare: func(w *world) (string, string, call, call) {
			owned := w.NewClient(func(p *store.CreateClientParams) { p.UserID = &w.User })
			owner := w.User
			w.User = w.NewUser()
			of := func(client store.ClientID, id store.AuthorizationID) {
				w.Redeem(func(p *store.GrantAuthorizationParams) { p.ID, p.ClientID, p.SessionID = id, client, nil })
			}
			of(owned, "c")
			of(owned, "a")
			of(w.Client, "b")
			return oneFamily, "b",
				func() error {
					_, err := w.Q.RevokeUserAuthorizations(w.Ctx, store.RevokeUserAuthorizationsParams{UserID: w.User})
					return err
				},
				func() error { _, err := w.Q.DeleteUser(w.Ctx, owner); return err }
		}},
		{name: "a session with strays ends, all of their client is revoked", prepare: func(w *world) (string, string, call, call) {
			stray(w, "b")
			stray(w, "a")
			return oneRefresh, "a",
				func() error { _, err := w.Q.EndSession(w.Ctx, w.Session); return err }, revokeClient(w, w.Client)
		}},
		{name: "all of a client is revoked, a session of its strays is collected", prepare: func(w *world) (string, string, call, call) {
			threeStrays(w, sessionsApart)
			w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session))
			return oneRefresh, "b", revokeClient(w, w.Client),
				func() error { _, err := w.Q.DeleteExpiredSessions(w.Ctx, 10); return err }
		}},
		{name: "all of a client is revoked, a user with strays is deleted", prepare: func(w *world) (string, string, call, call) {
			threeStrays(w, func(w *world) { w.User = w.NewUser() })
			return oneRefresh, "b", revokeClient(w, w.Client),
				func() error { _, err := w.Q.DeleteUser(w.Ctx, w.User); return err }
		}},
		{name: "all of a user is revoked, a client with strays is deleted", prepare: func(w *world) (string, string, call, call) {
			threeStrays(w, func(w *world) { w.Client = w.NewClient() })
			return oneRefresh, "b",
				func() error {
					_, err := w.Q.RevokeUserAuthorizations(w.Ctx, store.RevokeUserAuthorizationsParams{UserID: w.User})
					return err
				},
				func() error { _, err := w.Q.DeleteClient(w.Ctx, w.Client); return err }
		}},
		{name: "all of a client is revoked, all sessions of a user end", prepare: func(w *world) (string, string, call, call) {
			older := w.Session
			w.Session = w.NewSession(w.User)
			w.Redeem()
			another := w.NewUser()
			k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = another, nil })
			w.Session = older
			w.Redeem()
			return oneFamily, string(k.Authorization), revokeClient(w, w.Client),
				func() error {
					_, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: w.User})
					return err
				}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 5)
			hold, row, first, second := c.prepare(w)
			release := w.holding(hold, row)
			one := meanwhile(first)
			w.untilWaiting(1)
			two := meanwhile(second)
			w.untilWaiting(2, two)
			release()
			for _, call := range []<-chan error{one, two} {
				if err := <-call; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

func sessionRow[ID ~string](change string, id ID) string { return rowName(change, "session", id) }

// online grants no offline_access.
func online(p *store.GrantAuthorizationParams) { p.GrantedScopes = []string{"openid", "email"} }

func (w *world) endSession(id store.SessionID) []store.EndSessionRow {
	w.Helper()
	rows, err := w.q.EndSession(w.ctx, id)
	w.ok(err)
	return rows
}

// foreignOnline writes tokens as another server would, of a grant without offline_access.
func (w *world) foreignOnline(raw string) (store.RefreshTokenID, store.AccessTokenID) {
	w.Helper()
	refresh := w.foreignRefreshToken(raw)
	access := w.foreignAccessToken(raw+" access", &refresh)
	w.exec(`UPDATE oauth_refresh_token SET scopes = '{openid}' WHERE id = $1`, string(refresh))
	w.exec(`UPDATE oauth_access_token SET scopes = '{openid}' WHERE id = $1`, string(access))
	return refresh, access
}

func TestEndSessionEndsWhatLacksOfflineAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	gone, offline := w.redeem(online), w.redeem()
	bystander := w.redeem(func(p *store.GrantAuthorizationParams) { online(p); p.SessionID = nil })
	session := w.session
	w.session = w.newSession(w.user)
	elsewhere := w.redeem(online)
	w.session = session
	machine := w.issue("machine", store.IssuanceOutcomeIssued)

	w.changesRows(
		func() {
			wantEqual(t, "rows", w.endSession(session), []store.EndSessionRow{
				{SessionID: session, UserID: w.user, ClientID: &w.client, AuthorizationID: &gone.authorization, Revoked: true},
				{SessionID: session, UserID: w.user, ClientID: &w.client, AuthorizationID: &offline.authorization},
			})
		},
		sessionRow("-", session),
		authorizationRow("~", gone.authorization), accessRow("~", w.accessTokenOf(gone.access).ID), refreshRow("~", w.refreshTokenOf(gone.refresh).ID),
		authorizationRow("~", offline.authorization), accessRow("~", w.accessTokenOf(offline.access).ID), refreshRow("~", w.refreshTokenOf(offline.refresh).ID),
	)
	a := w.authorizationOf(gone.authorization)
	wantEqual(t, "revoked_reason", a.RevokedReason, ptr(store.RevocationReasonSessionEnded))
	for _, k := range []tokens{gone, offline} { // nothing refers to the session any more
		wantEqual(t, "session of the family", w.authorizationOf(k.authorization).SessionID, nil)
		wantEqual(t, "session of the access token", w.accessTokenOf(k.access).SessionID, nil)
		wantEqual(t, "session of the refresh token", w.refreshTokenOf(k.refresh).SessionID, nil)
	}
	w.wantDead(gone.access, gone.refresh)
	w.wantLive(offline.access, offline.refresh, bystander.refresh, elsewhere.access, elsewhere.refresh, machine)
	w.unchanged(func() {
		wantEqual(t, "rows of the second call", w.endSession(session), []store.EndSessionRow{})
		wantEqual(t, "rows of an unknown session", w.endSession("unknown"), []store.EndSessionRow{})
	})
	w.rotate(offline.refresh, store.RotationOutcomeRotated)
	w.rotate(gone.refresh, store.RotationOutcomeRevoked)
}

func TestEndSessionReachesCodesThatHaveNotBeenRedeemed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	_, gone := w.grant(online)
	offlineID, offline := w.grant()
	uncoded := w.pending()
	w.approve(uncoded, store.DecisionOutcomeApproved, func(p *store.ApproveAuthorizationParams) {
		p.Code, p.GrantedScopes = nil, []string{"openid"}
	})
	w.endSession(w.session)
	redeem := func(code string, want store.RedemptionOutcome) {
		t.Helper()
		row, err := w.q.RedeemAuthorizationCode(w.ctx, w.redeemParams(code))
		w.ok(err)
		wantEqual(t, "outcome", row.Outcome, want)
		wantEqual(t, "session", row.SessionID, nil)
	}
	w.unchanged(func() { redeem(gone, store.RedemptionOutcomeRevoked) })
	redeem(offline, store.RedemptionOutcomeRedeemed)
	wantEqual(t, "session of the family", w.authorizationOf(offlineID).SessionID, nil)
	row, err := w.q.IssueAuthorizationCode(w.ctx, store.IssueAuthorizationCodeParams{ID: uncoded, Code: digest("late"), CodeLifetime: time.Minute})
	w.ok(err)
	wantEqual(t, "outcome", row.Outcome, store.CodeOutcomeRevoked)
}

func TestEndSessionNamesEveryClientThatKnewTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	wantEqual(t, "rows of a session that no client knew", w.endSession(w.session), []store.EndSessionRow{{SessionID: w.session, UserID: w.user}})

	w.session = w.newSession(w.user)
	var want []store.EndSessionRow
	client := func(setup func() (*store.AuthorizationID, bool)) {
		w.client = w.newClient()
		client := w.client
		authorization, revoked := setup()
		want = append(want, store.EndSessionRow{
			SessionID: w.session, UserID: w.user, ClientID: &client, AuthorizationID: authorization, Revoked: revoked,
		})
	}
	of := func(p *store.GrantAuthorizationParams) { p.ClientID = w.client }
	client(func() (*store.AuthorizationID, bool) { k := w.redeem(of, online); return &k.authorization, true })
	client(func() (*store.AuthorizationID, bool) { k := w.redeem(of); return &k.authorization, false })
	client(func() (*store.AuthorizationID, bool) {
		k := w.redeem(of, online)
		w.revokeFamily(k.authorization) // before, not now
		return &k.authorization, false
	})
	client(func() (*store.AuthorizationID, bool) { w.foreignOnline("stray"); return nil, true })
	client(func() (*store.AuthorizationID, bool) { w.foreignRefreshToken("offline stray"); return nil, false })
	client(func() (*store.AuthorizationID, bool) { w.foreignAccessToken("offline lone", nil); return nil, false })
	slices.SortFunc(want, func(a, b store.EndSessionRow) int { return strings.Compare(string(*a.ClientID), string(*b.ClientID)) })
	wantEqual(t, "rows", w.endSession(w.session), want)
	w.wantDead("stray", "stray access")
	w.wantLive("offline stray", "offline lone")
	wantEqual(t, "session of a stray that goes on", w.refreshTokenOf("offline stray").SessionID, nil)
}

func TestEndSessionEndsTokensWithoutAFamilyByTheirOwnScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	refresh, access := w.foreignOnline("stray")
	offline := w.foreignRefreshToken("offline")
	offlineAccess := w.foreignAccessToken("offline access", &offline)
	spent, _ := w.foreignOnline("spent")
	w.exec(`DELETE FROM oauth_access_token WHERE refresh_id = $1`, string(spent))
	w.spentElsewhere("spent")
	before := w.refreshTokenOf("spent")
	w.changesRows(
		func() {
			wantEqual(t, "rows", w.endSession(w.session), []store.EndSessionRow{{SessionID: w.session, UserID: w.user, ClientID: &w.client, Revoked: true}})
		},
		sessionRow("-", w.session), refreshRow("~", refresh), accessRow("~", access),
		refreshRow("~", offline), accessRow("~", offlineAccess), refreshRow("~", spent),
	)
	w.wantDead("stray", "stray access")
	w.wantLive("offline", "offline access")
	before.SessionID = nil
	wantEqual(t, "the spent token", w.refreshTokenOf("spent"), before)
	r := w.refreshTokenOf("stray")
	wantEqual(t, "revoked", r.Revoked, &r.UpdatedAt)
	w.rotate("offline", store.RotationOutcomeRotated)
}

func TestEndUserSessionsEndsAllButTheOneToKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	one := w.session
	first := w.redeem(online)
	two := w.newSession(w.user)
	w.session = two
	second, secondOffline := w.redeem(online), w.redeem()
	w.foreignOnline("stray")
	kept := w.newSession(w.user)
	w.session = kept
	third := w.redeem(online)
	idle := w.newSession(w.user)
	w.exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(idle))
	user := w.user
	w.user = w.newUser()
	w.session = w.newSession(w.user)
	anothers := w.redeem(online)

	rows, err := w.q.EndUserSessions(w.ctx, store.EndUserSessionsParams{UserID: user, Keep: &kept})
	w.ok(err)
	row := func(session store.SessionID, authorization *store.AuthorizationID, revoked bool) store.EndUserSessionsRow {
		return store.EndUserSessionsRow{SessionID: session, UserID: user, ClientID: &w.client, AuthorizationID: authorization, Revoked: revoked}
	}
	want := []store.EndUserSessionsRow{
		row(one, &first.authorization, true), row(two, &second.authorization, true), row(two, &secondOffline.authorization, false),
		row(two, nil, true),
		{SessionID: idle, UserID: user},
	}
	wantEqual(t, "rows", rows, want)
	w.wantDead(first.access, first.refresh, second.access, second.refresh, "stray", "stray access")
	w.wantLive(secondOffline.access, secondOffline.refresh, third.access, third.refresh, anothers.access, anothers.refresh)
	for _, ended := range []store.SessionID{one, two, idle} {
		_, err := w.q.GetSession(w.ctx, ended)
		w.none(err)
	}
	_, err = w.q.GetSession(w.ctx, kept)
	w.ok(err)
	w.unchanged(func() {
		for _, p := range []store.EndUserSessionsParams{{UserID: user, Keep: &kept}, {UserID: "unknown"}} {
			rows, err := w.q.EndUserSessions(w.ctx, p)
			w.ok(err)
			wantEqual(t, "rows", rows, []store.EndUserSessionsRow{})
		}
	})
	w.changesRows(
		func() {
			rows, err := w.q.EndUserSessions(w.ctx, store.EndUserSessionsParams{UserID: user})
			w.ok(err)
			wantEqual(t, "rows", rows, []store.EndUserSessionsRow{row(kept, &third.authorization, true)})
		},
		sessionRow("-", kept), authorizationRow("~", third.authorization),
		accessRow("~", w.accessTokenOf(third.access).ID), refreshRow("~", w.refreshTokenOf(third.refresh).ID),
	)
	w.wantDead(third.access, third.refresh)
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
		w.exec(`INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, scopes) VALUES ($1, $2, $3, $4, $5, '{openid}')`,
			id, string(digest(id)), w.client, w.session, w.user)
	}
	// threeStrays writes c, a and b; b is of another session, client and user, as change has it.
	threeStrays := func(w *world, change func(*world)) {
		stray(w, "c")
		stray(w, "a")
		other := *w
		change(&other)
		stray(&other, "b")
	}
	sessionsApart := func(w *world) { w.session = w.newSession(w.user) }
	revokeClient := func(w *world, client store.ClientID) call {
		return func() error { _, err := w.q.RevokeClientAuthorizations(w.ctx, client); return err }
	}
	for _, c := range []struct {
		name string
		// prepare returns the row to hold, and by which query, until both calls wait or the second, which may skip what is held, has
		// returned; and the two calls
		prepare func(w *world) (hold, row string, first, second call)
	}{
		{name: "reuse of two adopted tokens that another server has spent", prepare: func(w *world) (string, string, call, call) {
			one := w.foreignRefreshToken("one")
			w.foreignRefreshToken("two")
			_, err := w.q.AdoptRefreshTokens(w.ctx, store.AdoptRefreshTokensParams{BatchSize: 10})
			w.ok(err)
			w.exec(`UPDATE oauth_refresh_token SET revoked = now()`)
			reuse := func(raw string) call {
				return func() error {
					p, _ := w.rotateParams(raw)
					_, err := w.q.RotateRefreshToken(w.ctx, p)
					return err
				}
			}
			return oneRefresh, string(one), reuse("one"), reuse("two")
		}},
		{name: "sessions are collected, tokens are adopted", prepare: func(w *world) (string, string, call, call) {
			k := w.redeem()
			w.foreignRefreshToken("stray")
			w.exec(`UPDATE session SET expires_at = now()`)
			return oneFamily, string(k.authorization),
				func() error { _, err := w.q.DeleteExpiredSessions(w.ctx, 10); return err },
				func() error {
					_, err := w.q.AdoptRefreshTokens(w.ctx, store.AdoptRefreshTokensParams{BatchSize: 10})
					return err
				}
		}},
		{name: "a client is deleted, a consent to it is withdrawn", prepare: func(w *world) (string, string, call, call) {
			w.consent("", false, "openid")
			w.redeem()
			k := w.redeem()
			return oneFamily, string(k.authorization),
				func() error { _, err := w.q.DeleteClient(w.ctx, w.client); return err },
				func() error {
					_, err := w.q.WithdrawConsent(w.ctx, store.WithdrawConsentParams{UserID: w.user, ClientID: w.client})
					return err
				}
		}},
		{name: "the owner of a client is deleted, its grants are revoked", prepare: func(w *world) (string, string, call, call) {
			owned := w.newClient(func(p *store.CreateClientParams) { p.UserID = &w.user })
			w.redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = owned })
			k := w.redeem()
			return oneFamily, string(k.authorization),
				func() error { _, err := w.q.DeleteUser(w.ctx, w.user); return err }, revokeClient(w, owned)
		}},
		{name: "the owner of a client is deleted, a user of it revokes", prepare: func(w *world) (string, string, call, call) {
			owned := w.newClient(func(p *store.CreateClientParams) { p.UserID = &w.user })
			owner := w.user
			w.user = w.newUser()
			of := func(client store.ClientID, id store.AuthorizationID) {
				w.redeem(func(p *store.GrantAuthorizationParams) { p.ID, p.ClientID, p.SessionID = id, client, nil })
			}
			of(owned, "c")
			of(owned, "a")
			of(w.client, "b")
			return oneFamily, "b",
				func() error {
					_, err := w.q.RevokeUserAuthorizations(w.ctx, store.RevokeUserAuthorizationsParams{UserID: w.user})
					return err
				},
				func() error { _, err := w.q.DeleteUser(w.ctx, owner); return err }
		}},
		{name: "a session with strays ends, all of their client is revoked", prepare: func(w *world) (string, string, call, call) {
			stray(w, "b")
			stray(w, "a")
			return oneRefresh, "a",
				func() error { _, err := w.q.EndSession(w.ctx, w.session); return err }, revokeClient(w, w.client)
		}},
		{name: "all of a client is revoked, a session of its strays is collected", prepare: func(w *world) (string, string, call, call) {
			threeStrays(w, sessionsApart)
			w.exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.session))
			return oneRefresh, "b", revokeClient(w, w.client),
				func() error { _, err := w.q.DeleteExpiredSessions(w.ctx, 10); return err }
		}},
		{name: "all of a client is revoked, a user with strays is deleted", prepare: func(w *world) (string, string, call, call) {
			threeStrays(w, func(w *world) { w.user = w.newUser() })
			return oneRefresh, "b", revokeClient(w, w.client),
				func() error { _, err := w.q.DeleteUser(w.ctx, w.user); return err }
		}},
		{name: "all of a user is revoked, a client with strays is deleted", prepare: func(w *world) (string, string, call, call) {
			threeStrays(w, func(w *world) { w.client = w.newClient() })
			return oneRefresh, "b",
				func() error {
					_, err := w.q.RevokeUserAuthorizations(w.ctx, store.RevokeUserAuthorizationsParams{UserID: w.user})
					return err
				},
				func() error { _, err := w.q.DeleteClient(w.ctx, w.client); return err }
		}},
		{name: "all of a client is revoked, all sessions of a user end", prepare: func(w *world) (string, string, call, call) {
			older := w.session
			w.session = w.newSession(w.user)
			w.redeem()
			another := w.newUser()
			k := w.redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = another, nil })
			w.session = older
			w.redeem()
			return oneFamily, string(k.authorization), revokeClient(w, w.client),
				func() error {
					_, err := w.q.EndUserSessions(w.ctx, store.EndUserSessionsParams{UserID: w.user})
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

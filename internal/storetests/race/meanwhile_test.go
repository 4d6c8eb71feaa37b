package race

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// What becomes of a call for which somebody else was first, in the one place where it can be.

// TestRaceAccessTokenIDOfTwoCalls lets two calls about different grants bring the same access_token_id: the second is refused, and doesn't
// answer with a token that was never written.
func TestRaceAccessTokenIDOfTwoCalls(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 5)
	c := w.conns(1)[0]
	for name, call := range map[string]func(*store.Queries, *scene, store.AccessTokenID) (store.Outcome, error){
		"RedeemAuthorizationCode": func(q *store.Queries, s *scene, id store.AccessTokenID) (store.Outcome, error) {
			p := s.redemption(s.coded.code, fixture.Unique("at"), fixture.Unique("rt"))
			p.AccessTokenID = id
			r, err := q.RedeemAuthorizationCode(w.Ctx, p)
			return r.Outcome, err
		},
		"RotateRefreshToken": func(q *store.Queries, s *scene, id store.AccessTokenID) (store.Outcome, error) {
			p := s.rotation(s.at.refresh, fixture.Unique("rt"), fixture.Unique("at"))
			p.AccessTokenID = id
			r, err := q.RotateRefreshToken(w.Ctx, p)
			return r.Outcome, err
		},
		"PollDeviceCode": func(q *store.Queries, s *scene, id store.AccessTokenID) (store.Outcome, error) {
			p := s.poll(s.device, fixture.Unique("at"))
			p.AccessTokenID = id
			r, err := q.PollDeviceCode(w.Ctx, p)
			return r.Outcome, err
		},
		"ExchangeToken": func(q *store.Queries, s *scene, id store.AccessTokenID) (store.Outcome, error) {
			p, _ := s.exchanged(s.client)
			p.AccessTokenID = id
			r, err := q.ExchangeToken(w.Ctx, p)
			return r.Outcome, err
		},
	} {
		one, two, id := w.newScene(false, false), w.newScene(false, false), store.NewAccessTokenID()
		first := w.transaction()
		_, err := call(first.q, one, id)
		w.OK(err)
		var got store.Outcome
		second := w.besides(c, func() (err error) {
			got, err = call(store.New(c), two, id)
			return err
		})
		first.commits()
		err = second.finish()
		if e, found := errors.AsType[*pgconn.PgError](err); !second.waited || !found || e.Code != "22023" || !strings.Contains(e.Message, "AccessTokenID is") {
			t.Errorf("%s: waited %t, %s, %v; want an error that names AccessTokenID", name, second.waited, got, err)
		}
	}
}

// TestRaceSameCallTwiceIsAnsweredAlike lets a call wait for another that is the very same: both are answered the same tokens.
func TestRaceSameCallTwiceIsAnsweredAlike(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 5)
	c := w.conns(1)[0]
	s := w.newScene(false, false)
	redemption := s.redemption(s.coded.code, fixture.Unique("at"), fixture.Unique("rt"))
	rotation := s.rotation(s.at.refresh, fixture.Unique("rt"), fixture.Unique("at"))
	poll := s.poll(s.device, fixture.Unique("at"))
	for name, call := range map[string]func(*store.Queries) (any, store.Outcome, error){
		"RedeemAuthorizationCode": func(q *store.Queries) (any, store.Outcome, error) {
			r, err := q.RedeemAuthorizationCode(w.Ctx, redemption)
			o := r.Outcome
			r.Outcome = ""
			return r, o, err
		},
		"RotateRefreshToken": func(q *store.Queries) (any, store.Outcome, error) {
			r, err := q.RotateRefreshToken(w.Ctx, rotation)
			o := r.Outcome
			r.Outcome = ""
			return r, o, err
		},
		"PollDeviceCode": func(q *store.Queries) (any, store.Outcome, error) {
			r, err := q.PollDeviceCode(w.Ctx, poll)
			o := r.Outcome
			r.Outcome = ""
			return r, o, err
		},
	} {
		first := w.transaction()
		want, _, err := call(first.q)
		w.OK(err)
		var got any
		var outcome store.Outcome
		second := w.besides(c, func() (err error) {
			got, outcome, err = call(store.New(c))
			return err
		})
		first.commits()
		w.OK(second.finish())
		w.Want(name, outcome, store.OutcomeRetried)
		if !second.waited || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: waited %t, and is answered\n%+v, want\n%+v", name, second.waited, got, want)
		}
	}
}

// TestRacePollOfARequestThatIsRevokedMeanwhile: a device whose request is revoked while its poll waits for the family gets nothing.
func TestRacePollOfARequestThatIsRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	s := w.newScene(false, false)
	revocation := w.transaction()
	_, err := revocation.q.RevokeAuthorization(w.Ctx, s.device.id)
	w.OK(err)
	var got store.PollDeviceCodeRow
	poll := w.starts("PollDeviceCode", func(q *store.Queries) (err error) {
		got, err = q.PollDeviceCode(w.Ctx, s.poll(s.device, "at"))
		return err
	})
	poll.wantWaiting("oauth_authorization")
	revocation.commits()
	poll.succeeds()
	w.Want("PollDeviceCode", got.Outcome, store.OutcomeRevoked)
	w.wantCount("redeemed", 0, `SELECT count(*) FROM oauth_authorization WHERE id = $1 AND redeemed_at IS NOT NULL`, s.device.id)
}

// TestRaceReuseInAFamilyThatIsRevokedMeanwhile: a token that comes back ends its family, and leaves when and why that ended before.
func TestRaceReuseInAFamilyThatIsRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	s := w.newScene(false, false)
	held := w.holdingRows(`SELECT FROM oauth_client WHERE client_id = $1 FOR UPDATE`, s.client)
	var got store.RotateRefreshTokenRow
	reuse := w.starts("RotateRefreshToken", func(q *store.Queries) (err error) {
		p := s.rotation(s.rotated.refresh, "another", "at")
		p.Grace = 0
		got, err = q.RotateRefreshToken(w.Ctx, p)
		return err
	})
	reuse.wantWaiting("oauth_client")
	ended, err := w.Q.RevokeAuthorization(w.Ctx, s.rotated.id)
	w.OK(err)
	w.Want("RevokeAuthorization", ended.Outcome, store.OutcomeEnded)
	held.release()
	reuse.succeeds()
	w.Want("RotateRefreshToken", got.Outcome, store.OutcomeReplayed)
	w.wantCount("ended by RevokeAuthorization", 1,
		`SELECT count(*) FROM oauth_authorization WHERE id = $1 AND revoked_reason = 'authorization_revoked'`, s.rotated.id)
}

// TestRaceRotationOfATokenThatIsDeletedMeanwhile: the client has no such token then, and nothing is known of a reuse.
func TestRaceRotationOfATokenThatIsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	s := w.newScene(false, false)
	deletion := w.holdingRows(`DELETE FROM oauth_refresh_token WHERE id = $1`, s.rotated.refreshID)
	var got store.RotateRefreshTokenRow
	rotation := w.starts("RotateRefreshToken", func(q *store.Queries) (err error) {
		got, err = q.RotateRefreshToken(w.Ctx, s.rotation(s.rotated.refresh, "another", "at"))
		return err
	})
	rotation.wantWaiting("oauth_refresh_token")
	deletion.commits()
	rotation.succeeds()
	w.Want("RotateRefreshToken", got.Outcome, store.OutcomeUnknown)
	w.WantLive(s.rotated.next)
}

// TestRaceClientOfAUserWhoIsBeingDeleted: a client that is stored for a user waits for DeleteUser, which can't see it, and is disabled.
func TestRaceClientOfAUserWhoIsBeingDeleted(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	s := w.newScene(false, false)
	deletion := w.transaction()
	_, err := deletion.q.DeleteUser(w.Ctx, s.user)
	w.OK(err)
	p := store.CreateClientParams{ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), UserID: &s.user, RedirectURIs: []string{fixture.RedirectURI}}
	creation := w.starts("CreateClient", func(q *store.Queries) error {
		_, err := q.CreateClient(w.Ctx, p)
		return err
	})
	creation.wantWaiting("user")
	deletion.commits()
	creation.succeeds()
	w.wantCount("disabled", 1, `SELECT count(*) FROM oauth_client WHERE client_id = $1 AND disabled`, p.ClientID)
}

// TestRaceSignInsOfOneUserRunOneAfterTheOther: where there is a maximum, the second sees the session of the first. Those of other users don't
// wait.
func TestRaceSignInsOfOneUserRunOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 6)
	s, other := w.newScene(false, false), w.newScene(false, false)
	signIn := func(s *scene) func(*store.Queries) error {
		return func(q *store.Queries) error {
			r, err := q.CreateSession(w.Ctx, store.CreateSessionParams{
				ID: store.NewSessionID(), UserID: s.user, Token: fixture.Digest(fixture.Unique("cookie")), Lifetime: fixture.Long, MaxSessions: 1,
			})
			if err == nil && r.Outcome != store.OutcomeCreated {
				err = errors.New(string(r.Outcome))
			}
			return err
		}
	}
	first := w.transaction()
	w.OK(signIn(s)(first.q))
	c := w.conns(2)
	second := w.besides(c[0], func() error { return signIn(s)(store.New(c[0])) })
	beside := w.besides(c[1], func() error { return signIn(other)(store.New(c[1])) })
	first.commits()
	w.OK(errors.Join(second.finish(), beside.finish()))
	if !second.waited || beside.waited {
		t.Errorf("the second of the same user waits %t, want true; that of another user %t, want false", second.waited, beside.waited)
	}
	w.wantCount("live sessions", 1, `SELECT count(*) FROM session WHERE user_id = $1 AND ended_at IS NULL`, s.user)
}

// TestRaceApprovalOfARequestThatIsClaimedMeanwhile: an approval that has waited for the claim of the request sees the user as the claim did. Who
// was suspended before it isn't refused for that.
func TestRaceApprovalOfARequestThatIsClaimedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 5)
	for name, x := range map[string]struct {
		before, after func(s *scene) (store.Outcome, error)
	}{
		"a user who is reinstated": {
			func(s *scene) (store.Outcome, error) {
				r, err := w.Q.SuspendUser(w.Ctx, s.user)
				return r.Outcome, err
			},
			func(s *scene) (store.Outcome, error) { return w.Q.ReinstateUser(w.Ctx, s.user) },
		},
		"a client that is enabled": {
			func(s *scene) (store.Outcome, error) { return w.Q.DisableClient(w.Ctx, s.client) },
			func(s *scene) (store.Outcome, error) { return w.Q.EnableClient(w.Ctx, s.client) },
		},
		"a client that may ask for the scope again": {
			func(s *scene) (store.Outcome, error) {
				return w.updated(s, store.UpdateClientParams{Scopes: []string{}})
			},
			func(s *scene) (store.Outcome, error) {
				return w.updated(s, store.UpdateClientParams{Scopes: fixture.Scopes})
			},
		},
	} {
		s := w.newScene(false, false)
		_, err := x.before(s)
		w.OK(err)
		claim := w.holdingRows(`SELECT FROM oauth_authorization WHERE id = $1 FOR NO KEY UPDATE`, s.asking.id)
		var got store.ApproveAuthorizationRow
		approval := w.starts("ApproveAuthorization", func(q *store.Queries) (err error) {
			got, err = q.ApproveAuthorization(w.Ctx, store.ApproveAuthorizationParams{
				ID: s.asking.id, UserID: s.user, GrantedScopes: s.scopes(), DefaultScopes: fixture.Scopes,
			})
			return err
		})
		approval.wantWaiting("oauth_authorization")
		_, err = x.after(s)
		w.OK(err)
		claimed, err := claim.q.FindAuthorizationByUserCode(w.Ctx, store.FindAuthorizationByUserCodeParams{
			UserCode: fixture.Digest(userCode(s.asking)), UserID: s.user,
		})
		w.OK(err)
		claim.commits()
		approval.succeeds()
		w.Want(name+": FindAuthorizationByUserCode", claimed.Outcome, store.OutcomeClaimed)
		w.Want(name+": ApproveAuthorization", got.Outcome, store.OutcomeApproved)
		poll, err := w.Q.PollDeviceCode(w.Ctx, s.poll(s.asking, fixture.Unique("at")))
		w.OK(err)
		w.Want(name+": PollDeviceCode", poll.Outcome, store.OutcomeRedeemed)
	}
}

// updated changes the client of a scene.
func (w *world) updated(s *scene, p store.UpdateClientParams) (store.Outcome, error) {
	p.ClientID = s.client
	_, err := w.Q.UpdateClient(w.Ctx, p)
	return store.OutcomeUpdated, err
}

// TestRaceApprovalOfWhatTheClientMayAskForMeanwhile: an approval that has waited for another one of the same user judges what that granted by
// the registration as it is now.
func TestRaceApprovalOfWhatTheClientMayAskForMeanwhile(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 5)
	s := w.newScene(false, false)
	_, err := w.updated(s, store.UpdateClientParams{Scopes: []string{"openid"}})
	w.OK(err)
	approve := func(q *store.Queries, scopes []string) (store.ApproveAuthorizationRow, error) {
		return q.ApproveAuthorization(w.Ctx, store.ApproveAuthorizationParams{
			ID: s.pending, UserID: s.user, SessionID: &s.session, GrantedScopes: scopes, Code: new(fixture.Digest(fixture.Unique("code"))),
			CodeLifetime: time.Hour, DefaultScopes: fixture.Scopes,
		})
	}
	first := w.holdingRows(`SELECT FROM oauth_authorization WHERE id = $1 FOR NO KEY UPDATE`, s.pending)
	var got store.ApproveAuthorizationRow
	second := w.starts("ApproveAuthorization", func(q *store.Queries) (err error) {
		got, err = approve(q, []string{"openid"})
		return err
	})
	second.wantWaiting("oauth_authorization")
	_, err = w.updated(s, store.UpdateClientParams{Scopes: fixture.Scopes})
	w.OK(err)
	approved, err := approve(first.q, s.scopes())
	w.OK(err)
	first.commits()
	second.succeeds()
	w.Want("the first", approved.Outcome, store.OutcomeApproved)
	w.Want("the second", got.Outcome, store.OutcomeRetried)
}

// TestRaceReuseWithinAGraceThatIsGivenMeanwhile: whether a token that comes back is forgiven is for the client's grace to say as it is when the
// token is found spent. What the statement read before it waited would end an honest family.
func TestRaceReuseWithinAGraceThatIsGivenMeanwhile(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 5)
	for name, p := range map[string]store.UpdateClientParams{
		"grace": {RefreshGrace: new(time.Hour)}, "until used": {RefreshGraceUntilUsed: new(true)},
	} {
		s := w.newScene(false, false)
		_, err := w.updated(s, store.UpdateClientParams{RefreshGrace: new(time.Duration(0)), RefreshGraceUntilUsed: new(false)})
		w.OK(err)
		rotation := w.holdingRows(`SELECT FROM oauth_refresh_token WHERE id = $1 FOR NO KEY UPDATE`, s.at.refreshID)
		rotate := func(q *store.Queries) (store.RotateRefreshTokenRow, error) {
			return q.RotateRefreshToken(w.Ctx, s.rotation(s.at.refresh, s.at.refresh+"+", fixture.Unique("at")))
		}
		var got store.RotateRefreshTokenRow
		again := w.starts("RotateRefreshToken", func(q *store.Queries) (err error) {
			got, err = rotate(q)
			return err
		})
		again.wantWaiting("oauth_refresh_token")
		_, err = w.updated(s, p)
		w.OK(err)
		rotated, err := rotate(rotation.q)
		w.OK(err)
		rotation.commits()
		again.succeeds()
		w.Want(name+": the first", rotated.Outcome, store.OutcomeRotated)
		w.Want(name+": the second", got.Outcome, store.OutcomeRetried)
	}
}

// TestRaceAccountThatIsNotTheLast: of two accounts one is deleted while a call that deletes the other one waits, and a third is there by then. The
// user had two at any time.
func TestRaceAccountThatIsNotTheLast(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 5)
	s := w.newScene(false, false)
	account := func(q *store.Queries) store.AccountID {
		id := store.NewAccountID()
		_, err := q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: id, AccountID: string(id), ProviderID: "x", UserID: s.user})
		w.OK(err)
		return id
	}
	remove := func(q *store.Queries, id store.AccountID) (store.Outcome, error) {
		return q.DeleteAccount(w.Ctx, store.DeleteAccountParams{ID: id, UserID: s.user})
	}
	one := account(w.Q)
	first := w.holdingRows(`SELECT FROM "user" WHERE id = $1 FOR NO KEY UPDATE`, s.user)
	var got store.Outcome
	second := w.starts("DeleteAccount", func(q *store.Queries) (err error) {
		got, err = remove(q, one)
		return err
	})
	second.wantWaiting("user")
	account(w.Q)
	deleted, err := remove(first.q, store.AccountID("i"+s.n))
	w.OK(err)
	first.commits()
	second.succeeds()
	w.Want("the first", deleted, store.OutcomeDeleted)
	w.Want("the second", got, store.OutcomeDeleted)
}

// TestRaceAccountBesidesOneThatIsDeletedByHand: an account that another server is deleting is waited for, and doesn't count then.
func TestRaceAccountBesidesOneThatIsDeletedByHand(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	s := w.newScene(false, false)
	_, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: store.AccountID("two" + s.n), AccountID: "two" + s.n, ProviderID: "x", UserID: s.user})
	w.OK(err)
	deletion := w.holdingRows(`DELETE FROM account WHERE id = $1`, "two"+s.n)
	var got store.Outcome
	call := w.starts("DeleteAccount", func(q *store.Queries) (err error) {
		got, err = q.DeleteAccount(w.Ctx, store.DeleteAccountParams{ID: store.AccountID("i" + s.n), UserID: s.user})
		return err
	})
	call.wantWaiting("account")
	deletion.commits()
	call.succeeds()
	w.Want("DeleteAccount", got, store.OutcomeLast)
}

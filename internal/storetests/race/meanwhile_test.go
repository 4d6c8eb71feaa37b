package race

import (
	"errors"
	"strings"
	"testing"

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

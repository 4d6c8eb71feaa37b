package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
)

// issueJWT issues a token to the world's client itself that is known by its id alone.
func (w *world) issueJWT() store.AccessTokenID {
	w.Helper()
	p := w.issueParams("")
	p.AccessToken = nil
	row, err := w.q.IssueAccessToken(w.ctx, p)
	w.ok(err)
	wantEqual(w, "IssueAccessToken", row.Outcome, store.IssuanceOutcomeIssued)
	return p.ID
}

// revokeByID revokes an access token by its id; nil: nothing was ended.
func (w *world) revokeByID(id store.AccessTokenID, client store.ClientID) *store.RevokeAccessTokenByIDRow {
	w.Helper()
	row, err := w.q.RevokeAccessTokenByID(w.ctx, store.RevokeAccessTokenByIDParams{ID: id, ClientID: client})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	w.ok(err)
	return &row
}

func TestAccessTokenRevokedByItsIDDiesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k, other := w.redeem(), w.issueJWT()
	id := w.accessTokenOf(k.access).ID
	w.changesRows(func() {
		wantEqual(t, "row", w.revokeByID(id, w.client), &store.RevokeAccessTokenByIDRow{
			ID: id, ClientID: w.client, UserID: &w.user, AuthorizationID: &k.authorization,
		})
	}, accessRow("~", id))
	got := w.accessTokenOf(k.access)
	wantEqual(t, "revoked", got.Revoked, &got.UpdatedAt)
	w.wantDead(k.access)
	w.wantLive(k.refresh)

	jwt := w.issueJWT()
	w.changesRows(func() {
		wantEqual(t, "row of a client's own token", w.revokeByID(jwt, w.client), &store.RevokeAccessTokenByIDRow{ID: jwt, ClientID: w.client})
	}, accessRow("~", jwt))
	_, err := w.q.IntrospectAccessTokenByID(w.ctx, jwt)
	w.none(err)
	_, err = w.q.IntrospectAccessTokenByID(w.ctx, other)
	w.ok(err)
}

func TestRevocationByIDThatEndsNothingChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	stranger := w.newClient()
	live, dead, expired := w.issueJWT(), w.issueJWT(), w.issueJWT()
	w.revokeByID(dead, w.client)
	w.exec(`UPDATE oauth_access_token SET expires_at = now() WHERE id = $1`, string(expired))
	k := w.redeem()
	ofDeadFamily := w.accessTokenOf(k.access).ID
	_, err := w.q.RevokeAuthorization(w.ctx, k.authorization)
	w.ok(err)
	w.unchanged(func() {
		for what, revoked := range map[string]*store.RevokeAccessTokenByIDRow{
			"an unknown id":                 w.revokeByID("unknown", w.client),
			"no id":                         w.revokeByID("", w.client),
			"another client's token":        w.revokeByID(live, stranger),
			"one that was revoked":          w.revokeByID(dead, w.client),
			"one that has expired":          w.revokeByID(expired, w.client),
			"one of a family that has died": w.revokeByID(ofDeadFamily, w.client),
			"a refresh token's id":          w.revokeByID(store.AccessTokenID(w.refreshTokenOf(k.refresh).ID), w.client),
		} {
			wantEqual(t, what, revoked, nil)
		}
	})
}

func TestAccessTokenWithoutEndIsRevokedByItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.issueJWT()
	w.exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE id = $1`, string(id))
	wantEqual(t, "revoked", w.revokeByID(id, w.client) != nil, true)
}

func TestRaceOfRevocationsByIDEndsATokenOnce(t *testing.T) {
	t.Parallel()
	const callers = 8
	w := newWorld(t, callers)
	for range 20 {
		id := w.issueJWT()
		var ended atomic.Int64
		var calls sync.WaitGroup
		start := make(chan time.Time)
		for range callers {
			calls.Go(func() {
				<-start
				_, err := w.q.RevokeAccessTokenByID(w.ctx, store.RevokeAccessTokenByIDParams{ID: id, ClientID: w.client})
				switch {
				case err == nil:
					ended.Add(1)
				case !errors.Is(err, pgx.ErrNoRows):
					t.Error(err)
				}
			})
		}
		close(start)
		calls.Wait()
		wantEqual(t, "callers who ended it", ended.Load(), int64(1))
	}
}

package calls

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
	row, err := w.Q.IssueAccessToken(w.Ctx, p)
	w.OK(err)
	wantEqual(w, "IssueAccessToken", row.Outcome, store.IssuanceOutcomeIssued)
	return p.ID
}

// revokeByID revokes an access token by its id; nil: nothing was ended.
func (w *world) revokeByID(id store.AccessTokenID, client store.ClientID) *store.RevokeAccessTokenByIDRow {
	w.Helper()
	row, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{ID: id, ClientID: client})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	w.OK(err)
	return &row
}

func TestAccessTokenRevokedByItsIDDiesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k, other := w.Redeem(), w.issueJWT()
	id := w.accessTokenOf(k.Access).ID
	w.changesRows(func() {
		wantEqual(t, "row", w.revokeByID(id, w.Client), &store.RevokeAccessTokenByIDRow{
			ID: id, ClientID: w.Client, UserID: &w.User, AuthorizationID: &k.Authorization,
		})
	}, accessRow("~", id))
	got := w.accessTokenOf(k.Access)
	wantEqual(t, "revoked", got.Revoked, &got.UpdatedAt)
	w.WantDead(k.Access)
	w.WantLive(k.Refresh)

	jwt := w.issueJWT()
	w.changesRows(func() {
		wantEqual(t, "row of a client's own token", w.revokeByID(jwt, w.Client), &store.RevokeAccessTokenByIDRow{ID: jwt, ClientID: w.Client})
	}, accessRow("~", jwt))
	_, err := w.Q.IntrospectAccessTokenByID(w.Ctx, jwt)
	w.None(err)
	_, err = w.Q.IntrospectAccessTokenByID(w.Ctx, other)
	w.OK(err)
}

func TestRevocationByIDThatEndsNothingChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	stranger := w.NewClient()
	live, dead, expired := w.issueJWT(), w.issueJWT(), w.issueJWT()
	w.revokeByID(dead, w.Client)
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() WHERE id = $1`, string(expired))
	k := w.Redeem()
	ofDeadFamily := w.accessTokenOf(k.Access).ID
	_, err := w.Q.RevokeAuthorization(w.Ctx, k.Authorization)
	w.OK(err)
	w.Unchanged(func() {
		for what, revoked := range map[string]*store.RevokeAccessTokenByIDRow{
			"an unknown id":                 w.revokeByID("unknown", w.Client),
			"no id":                         w.revokeByID("", w.Client),
			"another client's token":        w.revokeByID(live, stranger),
			"one that was revoked":          w.revokeByID(dead, w.Client),
			"one that has expired":          w.revokeByID(expired, w.Client),
			"one of a family that has died": w.revokeByID(ofDeadFamily, w.Client),
			"a refresh token's id":          w.revokeByID(store.AccessTokenID(w.refreshTokenOf(k.Refresh).ID), w.Client),
		} {
			wantEqual(t, what, revoked, nil)
		}
	})
}

func TestAccessTokenWithoutEndIsRevokedByItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.issueJWT()
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE id = $1`, string(id))
	wantEqual(t, "revoked", w.revokeByID(id, w.Client) != nil, true)
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
				_, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{ID: id, ClientID: w.Client})
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

package calls

import (
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// issueJWT issues a token to the machine itself that is known by its id alone.
func (w *world) issueJWT() (id store.AccessTokenID) {
	w.Helper()
	w.issue("", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.AccessToken, id = nil, p.ID })
	return id
}

// revokeByID revokes an access token by its id.
func (w *world) revokeByID(id store.AccessTokenID, client store.ClientID) store.RevokeAccessTokenByIDRow {
	w.Helper()
	row, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{ID: id, ClientID: client, ClientAuthMethod: fixture.Verified})
	w.OK(err)
	return row
}

func TestAccessTokenRevokedByItsIDDiesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k, other := w.Redeem(), w.issueJWT()
	id := w.accessTokenOf(k.Access).ID
	w.changesRows(func() {
		wantEqual(t, "row", w.revokeByID(id, w.Client), store.RevokeAccessTokenByIDRow{Outcome: store.OutcomeEnded, AuthorizationID: &k.Authorization})
	}, accessRow("~", id))
	got := w.accessTokenOf(k.Access)
	wantEqual(t, "revoked", got.Revoked, &got.UpdatedAt)
	w.WantDead(k.Access)
	w.WantLive(k.Refresh)

	jwt := w.issueJWT()
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE id = $1`, string(jwt))
	w.changesRows(func() {
		wantEqual(t, "row of a client's own token", w.revokeByID(jwt, w.machine()), store.RevokeAccessTokenByIDRow{Outcome: store.OutcomeEnded})
	}, accessRow("~", jwt))
	w.want("the revoked one", w.introspectAccessByID(jwt).Outcome, store.OutcomeInactive)
	w.want("another", w.introspectAccessByID(other).Outcome, store.OutcomeActive)
}

func TestRevocationByIDThatEndsNothingChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	stranger := w.NewClient()
	live, dead := w.issueJWT(), w.issueJWT()
	w.revokeByID(dead, w.machine())
	k := w.Redeem()
	w.Unchanged(func() {
		for what, c := range map[string]struct {
			id     store.AccessTokenID
			client store.ClientID
			want   store.Outcome
		}{
			"an unknown id":          {"unknown", w.machine(), store.OutcomeUnknown},
			"no id":                  {"", w.machine(), store.OutcomeUnknown},
			"another client's token": {live, stranger, store.OutcomeUnknown},
			"no client's":            {live, "unknown", store.OutcomeUnauthenticated},
			"one that was revoked":   {dead, w.machine(), store.OutcomeRevoked},
			"a refresh token's id":   {store.AccessTokenID(w.refreshTokenOf(k.Refresh).ID), w.Client, store.OutcomeUnknown},
		} {
			wantEqual(t, what, w.revokeByID(c.id, c.client), store.RevokeAccessTokenByIDRow{Outcome: c.want})
		}
	})
	w.want("live", w.introspectAccessByID(live).Outcome, store.OutcomeActive)
}

// The row of an access token says whose it is, whatever family the caller names.
func TestEventOfARevocationByIDNamesTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	k := w.Redeem()
	w.Exec(`INSERT INTO oauth_access_token (id, client_id, scopes, expires_at) VALUES ('own', $1, '{}', now() + interval '1 hour')`, w.Client)
	for what, c := range map[string]struct {
		params store.RevokeAccessTokenByIDParams
		isHers bool
	}{
		"a token of a user": {store.RevokeAccessTokenByIDParams{ID: w.accessTokenOf(k.Access).ID, ClientID: w.Client}, true},
		"a client's own, of no family whatever is asked": {
			store.RevokeAccessTokenByIDParams{ID: "own", AuthorizationID: &k.Authorization, ClientID: w.Client}, false,
		},
	} {
		var before int64
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT coalesce(max(id), 0) FROM security_event`).Scan(&before))
		c.params.ClientAuthMethod = fixture.Verified
		row, err := w.Q.RevokeAccessTokenByID(w.Ctx, c.params)
		w.OK(err)
		w.want(what, row.Outcome, store.OutcomeEnded)
		if (row.AuthorizationID != nil) != c.isHers {
			t.Errorf("%s: of the family %v", what, row.AuthorizationID)
		}
		events := w.eventsAfter(before)
		if len(events) != 1 || (events[0].UserID != nil) != c.isHers || c.isHers && *events[0].UserID != w.User {
			t.Errorf("%s: events %+v", what, events)
		}
	}
}

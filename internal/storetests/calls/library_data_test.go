package calls

import (
	"encoding/json"
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// dataOf is what each kind of introspection returns of a token's data. All kinds agree.
func (w *world) dataOf(raw string) string {
	w.Helper()
	either := w.Introspect(raw)
	got := map[string]string{}
	if either.RefreshTokenID != nil && either.AccessTokenID == nil {
		row, err := w.Q.IntrospectRefreshToken(w.Ctx, store.IntrospectRefreshTokenParams{Token: fixture.Digest(raw), ClientAuthMethod: fixture.Server})
		w.OK(err)
		got["IntrospectRefreshToken"] = string(row.Data)
	} else {
		row, err := w.Q.IntrospectAccessToken(w.Ctx, store.IntrospectAccessTokenParams{Token: fixture.Digest(raw), ClientAuthMethod: fixture.Server})
		w.OK(err)
		got["IntrospectAccessToken"] = string(row.Data)
		byID, err := w.Q.IntrospectAccessTokenByID(w.Ctx, store.IntrospectAccessTokenByIDParams{ID: *row.ID, ClientAuthMethod: fixture.Server})
		w.OK(err)
		got["IntrospectAccessTokenByID"] = string(byID.Data)
	}
	for call, data := range got {
		wantEqual(w, call, data, string(either.Data))
	}
	return string(either.Data)
}

// A library on top gets back what it has kept with a grant or with a client's own token, and of each what is its own.
func TestIntrospectionReturnsTheDataOfALibrary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	kept := func(name string) json.RawMessage { return json.RawMessage(`{"of": "` + name + `"}`) }

	granted := w.Redeem(func(p *store.GrantAuthorizationParams) { p.Data = kept("grant") })
	_, access := w.Rotate(granted.Refresh, store.OutcomeRotated)
	successor := fixture.SuccessorOf(granted.Refresh)
	for _, raw := range []string{granted.Access, access, successor} {
		wantEqual(t, "data of a grant", w.dataOf(raw), string(kept("grant")))
	}

	id := w.pending()
	w.approve(id, store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) { p.Data = kept("approval") })
	w.approve(id, store.OutcomeRetried, func(p *store.ApproveAuthorizationParams) { p.Data = kept("second click") })
	w.redeem("code of "+string(id), store.OutcomeRedeemed)
	wantEqual(t, "data of an approval, which was given twice", w.dataOf("at-code of "+string(id)), string(kept("approval")))

	w.issue("own", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.Data = kept("token") })
	wantEqual(t, "data of a client's own token", w.dataOf("own"), string(kept("token")))

	// a token's own come before those of the grant, and go on to those that it is exchanged for
	_, access = w.Rotate(successor, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) { p.Data = kept("rotation") })
	_, retried := w.Rotate(successor, store.OutcomeRetried, func(p *store.RotateRefreshTokenParams) { p.Data = kept("retry") })
	wantEqual(t, "data of a retry", w.dataOf(retried), string(kept("retry")))
	successor = fixture.SuccessorOf(successor)
	_, next := w.Rotate(successor, store.OutcomeRotated)
	for _, raw := range []string{access, next, fixture.SuccessorOf(successor)} {
		wantEqual(t, "data of a rotation", w.dataOf(raw), string(kept("rotation")))
	}
	wantEqual(t, "data of a token before it", w.dataOf(granted.Access), string(kept("grant")))

	_, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.Data = kept("grant") })
	w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) { p.Data = kept("redemption") })
	for _, raw := range []string{"at-" + code, "rt-" + code} {
		wantEqual(t, "data of a redemption", w.dataOf(raw), string(kept("redemption")))
	}

	without := w.Redeem()
	w.issue("plain", store.OutcomeIssued)
	for _, raw := range []string{without.Access, without.Refresh, "plain"} {
		wantEqual(t, "data where nothing is kept", w.dataOf(raw), "")
	}
}

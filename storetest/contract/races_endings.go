package contract

import (
	"time"

	"github.com/oauthdb/oauthdb/store"
)

func tokenIsRevokedOnce(w *world) {
	g := w.granted("openid", "offline_access")
	w.race(once(store.OutcomeEnded, store.OutcomeRevoked), func(int) (store.Outcome, error) {
		row, err := w.q.RevokeToken(w.Context(), store.RevokeTokenParams{ClientID: w.client, ClientAuthMethod: "none", Token: g.access})
		return row.Outcome, err
	})
	w.tokenIsLive(g.access, store.OutcomeInactive)
	w.tokenIsLive(g.refresh, store.OutcomeActive)
	w.race(once(store.OutcomeEnded, store.OutcomeRevoked), func(int) (store.Outcome, error) {
		row, err := w.q.RevokeToken(w.Context(), store.RevokeTokenParams{ClientID: w.client, ClientAuthMethod: "none", Token: g.refresh})
		return row.Outcome, err
	})
	w.live(g, false)
}

func accessTokenIsRevokedOnce(w *world) {
	call := w.redemption(w.approved("openid", "offline_access"))
	w.redeem(call, store.OutcomeRedeemed)
	w.race(once(store.OutcomeEnded, store.OutcomeRevoked), func(int) (store.Outcome, error) {
		row, err := w.q.RevokeAccessTokenByID(w.Context(), store.RevokeAccessTokenByIDParams{ClientID: w.client, ClientAuthMethod: "none", ID: call.AccessTokenID})
		return row.Outcome, err
	})
	w.tokenIsLive(*call.AccessToken, store.OutcomeInactive)
	w.tokenIsLive(*call.RefreshToken, store.OutcomeActive)
}

func familyIsRevokedOnce(w *world) {
	g := w.granted("openid", "offline_access")
	refresh, err := w.q.FindRefreshTokenByToken(w.Context(), g.refresh)
	w.noError(err)
	w.race(once(store.OutcomeEnded, store.OutcomeRevoked), func(int) (store.Outcome, error) {
		row, err := w.q.RevokeAuthorization(w.Context(), refresh.AuthorizationID)
		return row.Outcome, err
	})
	w.live(g, false)
}

func grantsOfUserAreEnded(w *world) {
	g := w.granted("openid", "offline_access")
	w.race(each(store.OutcomeEnded), func(int) (store.Outcome, error) { return w.q.RevokeUserAuthorizations(w.Context(), w.user) })
	w.live(g, false)
}

func grantsOfUserToClientAreEnded(w *world) {
	g := w.granted("openid", "offline_access")
	first := w.client
	w.client = w.newClient(func(*store.CreateClientParams) {})
	other := w.granted("openid", "offline_access")
	w.race(each(store.OutcomeEnded), func(int) (store.Outcome, error) {
		return w.q.RevokeUserAuthorizationsByClient(w.Context(), store.RevokeUserAuthorizationsByClientParams{UserID: w.user, ClientID: first})
	})
	w.live(g, false)
	w.live(other, true)
}

func grantsOfClientAreEnded(w *world) {
	g := w.granted("openid", "offline_access")
	w.race(each(store.OutcomeEnded), func(int) (store.Outcome, error) { return w.q.RevokeClientAuthorizations(w.Context(), w.client) })
	w.live(g, false)
}

// toBeTold are clients that have to be told of a sign-out.
func (w *world) toBeTold(n int) map[store.ClientID]int {
	w.Helper()
	uri, clients := "https://client.example/logout", map[store.ClientID]int{}
	for range n {
		w.client = w.newClient(func(c *store.CreateClientParams) { c.BackchannelLogoutURI = &uri })
		w.granted("openid")
		clients[w.client] = 0
	}
	ended, err := w.q.EndSession(w.Context(), w.session)
	w.noError(err)
	w.is(ended.Outcome, store.OutcomeEnded)
	return clients
}

func (w *world) claim() ([]store.ClaimLogoutDeliveriesRow, error) {
	return w.q.ClaimLogoutDeliveries(w.Context(), store.ClaimLogoutDeliveriesParams{PageSize: 2, LeaseLifetime: time.Hour})
}

func deliveryIsClaimedOnce(w *world) {
	clients := w.toBeTold(3)
	claimed := make([][]store.ClaimLogoutDeliveriesRow, Parallel)
	w.race(each(store.OutcomeActive), func(i int) (store.Outcome, error) {
		rows, err := w.claim()
		claimed[i] = rows
		return found(err)
	})
	for { // what all of them skipped, because it was locked
		rows, err := w.claim()
		w.noError(err)
		if len(rows) == 0 {
			break
		}
		claimed = append(claimed, rows)
		if len(claimed) > 10*Parallel {
			w.Fatal("what was claimed can be claimed again and again")
		}
	}
	for _, rows := range claimed {
		for _, row := range rows {
			clients[row.ClientID]++
		}
	}
	for client, times := range clients {
		if times != 1 {
			w.Fatalf("the sign-out of %s was claimed %d times, want 1", client, times)
		}
	}
}

func deliveryIsFinishedOnce(w *world) {
	w.toBeTold(1)
	var delivery store.ClaimLogoutDeliveriesRow
	for delivery.ClientID != w.client { // which others may be ahead of
		rows, err := w.claim()
		w.noError(err)
		if len(rows) == 0 {
			w.Fatal("no delivery is due")
		}
		delivery = rows[len(rows)-1]
	}
	w.race(once(store.OutcomeDelivered, store.OutcomeRetried), func(int) (store.Outcome, error) {
		row, err := w.q.FinishLogoutDelivery(w.Context(), store.FinishLogoutDeliveryParams{ID: delivery.ID, Lease: delivery.Lease, Delivered: true, BackOff: time.Hour})
		return row.Outcome, err
	})
}

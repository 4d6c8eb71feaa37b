package calls

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/store"
)

// Long names of clients and tenants are hashed in the map of counters, and stay apart there.
func TestEndingOfALongNameEndsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var clients []store.ClientID
	var tenants []store.ReferenceID
	for _, last := range []string{"a", "b"} {
		id := store.ClientID(strings.Repeat("c", 511) + last)
		w.NewClient(func(p *store.CreateClientParams) { p.ClientID = id })
		clients, tenants = append(clients, id), append(tenants, store.ReferenceID(strings.Repeat("t", 254)+last))
	}
	token := map[string]string{}
	for c := range clients {
		for n := range tenants {
			token[fmt.Sprint(c, n)] = w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID, p.ReferenceID = clients[c], &tenants[n] }).Access
		}
	}
	row, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: clients[0], ReferenceID: &tenants[0]})
	w.OK(err)
	w.want("WithdrawConsent", row.Outcome, store.OutcomeEnded)
	w.WantDead(token["0 0"])
	w.WantLive(token["0 1"], token["1 0"], token["1 1"])
	w.want("RevokeUserAuthorizationsByClient", w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: clients[0]})), store.OutcomeEnded)
	w.WantDead(token["0 1"])
	w.WantLive(token["1 0"], token["1 1"])
}

// However long the names are, the map has room for all the counters that it may hold, so no ending fails for want of it.
func TestAllCountersOfTheLongestNamesHaveRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	before := w.Redeem()
	counters := func() (n int) {
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT count(*) FROM "user" AS u, jsonb_each(u.ended_grants) AS c (client, keys), jsonb_object_keys(c.keys) WHERE u.id = $1`, w.User).Scan(&n))
		return n
	}
	for n := range 257 {
		tenant := store.ReferenceID(fmt.Sprintf("%064d", n)) // 64 bytes are the longest that aren't hashed
		row, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: store.ClientID(fmt.Sprintf("%064d", n)), ReferenceID: &tenant})
		w.OK(err)
		w.want("WithdrawConsent", row.Outcome, store.OutcomeEnded)
		if n == 255 {
			wantEqual(t, "counters", counters(), 256)
			w.WantLive(before.Access, before.Refresh)
		}
	}
	wantEqual(t, "counters", counters(), 0)
	w.WantDead(before.Access, before.Refresh) // the counter that had no room has ended all grants
}

// A token that another server spent and that comes back ends the grants of its client, by all grants where there is no room for a counter.
func TestReuseThatHasNoRoomForACounterEndsAllGrants(t *testing.T) {
	t.Parallel()
	for counters, all := range map[int]bool{255: false, 256: true} {
		w := newWorld(t, 1)
		other := w.NewClient()
		spent, others := w.Redeem(), w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = other })
		w.spentElsewhere(spent.Refresh)
		w.Exec(`UPDATE "user" SET ended_grants = (SELECT jsonb_object_agg('client ' || n, '{"": 1}'::jsonb) FROM generate_series(1, $2::integer) AS s (n)) WHERE id = $1`, w.User, counters)
		w.Rotate(spent.Refresh, store.OutcomeReplayed)
		w.WantDead(spent.Access)
		if w.Live(others.Access) == all {
			t.Errorf("with %d counters, a grant to another client is live: %t", counters, !all)
		}
	}
}

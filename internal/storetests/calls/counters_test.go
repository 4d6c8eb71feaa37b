package calls

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
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

// The map of a user who has withdrawn from very many clients is so large that it is stored apart from the row. An introspection fetches it
// once.
func TestAnIntrospectionReadsALargeMapOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	token := fixture.Digest(w.Redeem().Access)
	pages := func() int {
		t.Helper()
		var plans []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		for range 2 { // the first fills the caches of the connection
			w.OK(w.Pool.QueryRow(w.Ctx, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+store.SQL("IntrospectAccessToken"), "server", "", "", string(token)).Scan(&plans))
		}
		return plans[0].Plan.Hit + plans[0].Plan.Read
	}
	empty := pages()
	w.Exec(`UPDATE "user" SET ended_grants = (SELECT jsonb_object_agg(md5(n::text), '{"-": 1}'::jsonb) FROM generate_series(1, 250) AS n)`)
	var apart int
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT pg_relation_size(c.reltoastrelid) FROM pg_class AS c WHERE c.oid = '"user"'::regclass`).Scan(&apart))
	if large := pages(); large > empty+5 || apart == 0 {
		t.Errorf("an introspection reads %d pages, and %d of a user with a large map, of which %d bytes are stored apart", empty, large, apart)
	}
	r, err := w.Q.IntrospectAccessToken(w.Ctx, store.IntrospectAccessTokenParams{ClientAuthMethod: "server", Token: token})
	w.OK(err)
	w.want("IntrospectAccessToken", r.Outcome, store.OutcomeActive)
}

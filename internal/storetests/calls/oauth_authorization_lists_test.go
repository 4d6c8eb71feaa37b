package calls

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// Whether a family is listed, and whether it is active, by what has become of it.
func TestFamilyIsListedAndActiveByCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem(online)
	other := w.NewClient()
	elsewhere := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = other })
	w.NewSession(w.User)
	const (
		unbound     = `UPDATE oauth_authorization SET bound = false WHERE id = {id};`
		expiring    = `UPDATE oauth_authorization SET expires_at = now() WHERE id = {id};`
		lasting     = `UPDATE oauth_authorization SET expires_at = now() + interval '1 microsecond' WHERE id = {id};`
		over        = `UPDATE oauth_authorization SET max_expires_at = now() WHERE id = {id};`
		almostOver  = `UPDATE oauth_authorization SET max_expires_at = now() + interval '1 microsecond' WHERE id = {id};`
		endless     = `UPDATE oauth_authorization SET max_expires_at = NULL WHERE id = {id};`
		tokensOver  = `UPDATE oauth_access_token SET expires_at = now() WHERE authorization_id = {id}; UPDATE oauth_refresh_token SET expires_at = now() WHERE authorization_id = {id};`
		sessionGone = `UPDATE oauth_authorization SET session_id = NULL WHERE id = {id};`
	)
	for _, c := range []struct {
		sql            string
		listed, active bool
	}{
		{"", true, true},
		{unbound, true, true},
		{hasExpired, false, false},
		{unbound + hasExpired, true, true},
		{sessionGone, false, false},
		{unbound + sessionGone, true, true},
		{expiring, true, false},
		{lasting, true, true},
		{over, true, false},
		{almostOver, true, true},
		{endless, true, true},
		{tokensOver, false, true},
		{tokensOver + lasting, true, true},
		{isRevoked, false, false},
		{grantsEnded, false, false},
		{isDisabled, false, false},
		{isSuspended, false, false},
		{`UPDATE oauth_authorization SET status = 'pending', code = NULL, user_epoch = NULL WHERE id = {id}`, false, false},
	} {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			_, err := tx.Exec(w.Ctx, replacerOf(w.namesOf(k.Authorization, "")).Replace(c.sql))
			w.OK(err)
			users, err := q.ListUserAuthorizations(w.Ctx, store.ListUserAuthorizationsParams{UserID: w.User, PageSize: 100})
			w.OK(err)
			clients, err := q.ListClientAuthorizations(w.Ctx, store.ListClientAuthorizationsParams{ClientID: w.Client, PageSize: 100})
			w.OK(err)
			for of, list := range map[string][]store.OAuthAuthorization{"user": users, "client": clients} {
				found := 0
				for _, a := range list {
					if a.ID == k.Authorization {
						found++
					}
				}
				wantEqual(t, c.sql+": listed of the "+of, found, map[bool]int{true: 1}[c.listed])
			}
			for _, a := range users {
				wantEqual(t, c.sql+": the user's", a.UserID, &w.User)
			}
			for _, a := range clients {
				wantEqual(t, c.sql+": the client's", a.ClientID, w.Client)
			}
			row, err := q.IntrospectAuthorization(w.Ctx, store.IntrospectAuthorizationParams{ID: k.Authorization, ClientAuthMethod: fixture.Server})
			w.OK(err)
			want := store.OutcomeInactive
			if c.active {
				want = store.OutcomeActive
				wantEqual(t, "which", *row.ClientID, w.Client)
			}
			w.want(c.sql+": IntrospectAuthorization", row.Outcome, want)
		})
	}
	resource := w.NewClient()
	for _, c := range []struct {
		of     store.AuthorizationID
		method string
		secret string
		want   store.Outcome
	}{
		{k.Authorization, "client_secret_basic", fixture.Secret, store.OutcomeActive},
		{elsewhere.Authorization, "client_secret_basic", fixture.Secret, store.OutcomeActive},
		{"unknown", "client_secret_basic", fixture.Secret, store.OutcomeInactive},
		{"unknown", fixture.Server, "", store.OutcomeInactive},
		{k.Authorization, "client_secret_basic", "guess", store.OutcomeUnauthenticated},
		{k.Authorization, "none", "", store.OutcomeUnauthenticated},
		{k.Authorization, "", fixture.Secret, store.OutcomeUnauthenticated},
		{"unknown", "client_secret_basic", "guess", store.OutcomeUnauthenticated},
	} {
		row, err := w.Q.IntrospectAuthorization(w.Ctx, store.IntrospectAuthorizationParams{
			ID: c.of, ClientID: resource, ClientAuthMethod: c.method, ClientSecret: fixture.Digest(c.secret),
		})
		w.OK(err)
		w.want("IntrospectAuthorization by "+c.method, row.Outcome, c.want)
	}
}

// A pushed request can be used until its request_uri expires, or the request does once it was opened, by nobody else and not without a name.
func TestPushedRequestIsFoundByCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other := w.NewClient()
	w.pending() // one without a request_uri
	uri := fixture.Digest("uri")
	id := w.pending(func(p *store.CreateAuthorizationParams) { p.RequestURI, p.RequestURILifetime = &uri, time.Minute })
	_, err := w.Q.FindAuthorizationByCode(w.Ctx, "")
	w.None(err)
	const opened = `UPDATE oauth_authorization SET request_uri_expires_at = NULL WHERE id = {id};`
	for _, c := range []struct {
		name, sql        string
		find             store.FindAuthorizationByRequestURIParams
		found, canBeUsed bool
	}{
		{"as it should be", "", store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.Client}, true, true},
		{"opened", opened, store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.Client}, true, false},
		{"of another client", "", store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: other}, false, false},
		{"another one", "", store.FindAuthorizationByRequestURIParams{RequestURI: fixture.Digest("other"), ClientID: w.Client}, false, false},
		{"none", "", store.FindAuthorizationByRequestURIParams{ClientID: w.Client}, false, false},
		{
			"expired just now", `UPDATE oauth_authorization SET request_uri_expires_at = now() WHERE id = {id}`,
			store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.Client},
			false, false,
		},
		{
			"expiring in a moment", `UPDATE oauth_authorization SET request_uri_expires_at = now() + interval '1 microsecond', expires_at = now() WHERE id = {id}`,
			store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.Client},
			true, true,
		},
		{"opened, and lapsed just now", opened + hasLapsed, store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.Client}, false, false},
		{"revoked", isRevoked, store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.Client}, false, false},
		{"denied", isDenied, store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.Client}, false, false},
	} {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			_, err := tx.Exec(w.Ctx, replacerOf(w.namesOf(id, "")).Replace(c.sql))
			w.OK(err)
			c.find.Lifetime = 5 * time.Minute
			before := w.scanned(tx, `SELECT a.expires_at AS a FROM oauth_authorization AS a WHERE a.id = $1`, string(id))
			found, err := q.FindAuthorizationByRequestURI(w.Ctx, c.find)
			if c.found {
				w.OK(err)
				wantEqual(t, c.name+": which", found.ID, id)
				wantEqual(t, c.name+": opened", found.RequestURIExpiresAt, nil)
				after := w.scanned(tx, `SELECT a.expires_at AS a FROM oauth_authorization AS a WHERE a.id = $1`, string(id))
				wantEqual(t, c.name+": it lapses as before", after == before, c.name == "opened")
			} else {
				w.None(err)
			}
		})
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			_, err := tx.Exec(w.Ctx, replacerOf(w.namesOf(id, "")).Replace(c.sql))
			w.OK(err)
			taken, err := q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{
				RequestURI: c.find.RequestURI, ClientID: c.find.ClientID, Lifetime: 5 * time.Minute,
			})
			if c.canBeUsed {
				w.OK(err)
				wantEqual(t, c.name+": which", taken.ID, id)
				wantEqual(t, c.name+": used up", taken.RequestURI, nil)
			} else {
				w.None(err)
			}
		})
	}
}

// What is deleted has nothing to end. An ending of all grants needs no counter of a single client any more.
func TestEndingsOfDeletedUsersAndClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	counters := func(tx pgx.Tx) string {
		w.Helper()
		return w.scanned(tx, `SELECT u.grants_epoch AS a, (SELECT count(*) FROM jsonb_object_keys(u.ended_grants)) AS b FROM "user" AS u WHERE u.id = $1`, string(w.User))
	}
	byClient := func(q *store.Queries) (store.Outcome, error) {
		return q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: w.Client})
	}
	for _, c := range []struct {
		sql  string
		call func(*store.Queries) (store.Outcome, error)
		want store.Outcome
		then string // grants_epoch and the number of clients with a counter
	}{
		{"", byClient, store.OutcomeEnded, "0 1"},
		{`UPDATE "user" SET ended_grants = (SELECT jsonb_object_agg('c' || n, '{"": 1}'::jsonb) FROM generate_series(1, 255) AS n) WHERE id = {user}`, byClient, store.OutcomeEnded, "0 256"},
		{`UPDATE "user" SET ended_grants = (SELECT jsonb_object_agg('c' || n, '{"": 1}'::jsonb) FROM generate_series(1, 256) AS n) WHERE id = {user}`, byClient, store.OutcomeEnded, "1 0"},
		{userGone, byClient, store.OutcomeUnknown, "1 0"},
		{`UPDATE "user" SET ended_grants = '{"c": {"": 1}}' WHERE id = {user}`, func(q *store.Queries) (store.Outcome, error) {
			return q.RevokeUserAuthorizations(w.Ctx, w.User)
		}, store.OutcomeEnded, "1 0"},
		{userGone, func(q *store.Queries) (store.Outcome, error) { return q.RevokeUserAuthorizations(w.Ctx, w.User) }, store.OutcomeUnknown, "1 0"},
		{clientGone, func(q *store.Queries) (store.Outcome, error) { return q.RevokeClientAuthorizations(w.Ctx, w.Client) }, store.OutcomeUnknown, "0 0"},
	} {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			_, err := tx.Exec(w.Ctx, replacerOf(w.namesOf("", "")).Replace(c.sql))
			w.OK(err)
			got, err := c.call(q)
			w.OK(err)
			w.want(c.sql, got, c.want)
			wantEqual(t, c.sql, counters(tx), c.then)
			wantEqual(t, c.sql+": the client's", w.scanned(tx, `SELECT c.grants_epoch AS a FROM oauth_client AS c WHERE c.client_id = $1`, string(w.Client)), "0")
		})
	}
}

package workload_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/subject"
)

// TestTheTransactionDoesTheWork holds the peer to the outcomes that store has, as far as it knows them: it mustn't be fast by doing less.
// What it tells of itself, that a repeated request ends the grant, is shown too.
func TestTheTransactionDoesTheWork(t *testing.T) {
	server, data, look := prepared(t, "bench_transaction")
	session, err := subject.Transaction.Open(t.Context(), server.URL(data.Database)+"&synchronous_commit=off", 8)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	do := func(w subject.Work, c subject.Case) error { return session.Do(t.Context(), w, &c) }
	takes := func(w subject.Work, c subject.Case) {
		t.Helper()
		if err := do(w, c); err != nil {
			t.Errorf("%s: %v", w, err)
		}
	}
	refuses := func(w subject.Work, c subject.Case) {
		t.Helper()
		if err := do(w, c); err == nil || errors.Is(err, subject.ErrUnsupported) {
			t.Errorf("%s: %v, where the subject should have noticed the outcome", w, err)
		}
	}
	is := func(want int, sql string, args ...any) {
		t.Helper()
		var n int
		if err := look.QueryRow(t.Context(), "SELECT count(*) FROM "+sql, args...).Scan(&n); err != nil || n != want {
			t.Errorf("%d of %s, want %d: %v", n, sql, want, err)
		}
	}
	introspect := func(f, generation int64) subject.Case {
		return subject.Case{ClientID: dataset.Client(data.ClientOf(f)), Presented: dataset.Access(f, generation)}
	}
	refresh := func(f, presented, generation int64) subject.Case {
		return subject.Case{
			ClientID: dataset.Client(data.ClientOf(f)), Presented: dataset.Refresh(f, presented),
			AccessToken: dataset.Access(f, generation), AccessTokenID: dataset.AccessID(f, generation),
			RefreshToken: dataset.Refresh(f, generation), RefreshTokenID: dataset.RefreshID(f, generation),
		}
	}

	const live, expired = 0, dataset.ExpiredEvery - 1 // of the data
	takes(subject.IntrospectHit, introspect(live, 3))
	takes(subject.IntrospectMiss, introspect(live, 9))
	refuses(subject.IntrospectHit, introspect(live, 9))
	refuses(subject.IntrospectHit, introspect(expired, 3))
	refuses(subject.IntrospectMiss, introspect(live, 3))
	refuses(subject.IntrospectMiss, introspect(expired, 3))
	other := introspect(live, 3)
	other.ClientID = dataset.Client(7)
	refuses(subject.IntrospectHit, other)

	f := dataset.First(1)
	if err := server.Plant(t.Context(), data, 1, 2, dataset.WithRefresh); err != nil {
		t.Fatal(err)
	}
	refuses(subject.Rotate, refresh(f, 9, 1))
	takes(subject.Rotate, refresh(f, 0, 1))
	takes(subject.IntrospectHit, introspect(f, 1))
	const like = ` JOIN oauth_authorization AS a ON a.id = t.authorization_id
		WHERE a.id = $1 AND t.token = $2 AND t.scopes = a.granted_scopes AND t.client_id = a.client_id AND t.user_id = a.user_id AND t.session_id = a.session_id`
	is(1, `oauth_refresh_token AS t`+like+` AND t.revoked IS NULL AND t.auth_time = a.auth_time AND t.expires_at BETWEEN now() + interval '29 days' AND now() + interval '30 days'`,
		dataset.Authorization(f), dataset.Refresh(f, 1))
	is(1, `oauth_access_token AS t`+like+` AND t.refresh_id = $3 AND t.expires_at BETWEEN now() + interval '50 minutes' AND now() + interval '1 hour'`,
		dataset.Authorization(f), dataset.Access(f, 1), dataset.RefreshID(f, 1))
	is(1, "oauth_refresh_token WHERE authorization_id = $1 AND revoked IS NULL", dataset.Authorization(f))
	refuses(subject.Rotate, refresh(f, 0, 2))
	is(1, "oauth_authorization WHERE id = $1 AND revoked_reason = 'refresh_token_reused'", dataset.Authorization(f))
	refuses(subject.Rotate, refresh(f, 1, 2))

	f++
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = do(subject.Rotate, refresh(f, 0, int64(i)+1)) })
	}
	wg.Wait()
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			refuses(subject.IntrospectHit, introspect(f, int64(i)+1))
		}
	}
	if won != 1 {
		t.Errorf("%d of requests with one token were answered with the next one: %v", won, errs)
	}
}

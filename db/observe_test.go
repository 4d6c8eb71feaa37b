package db_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// presented are the refresh tokens of the tests, in the order in which they succeed each other.
var presented = []token.Digest{token.DigestOf("first"), token.DigestOf("second"), token.DigestOf("third")}

// issue gives a user and a public client a grant whose refresh token is the first.
func issue(t *testing.T, q *store.Queries) {
	t.Helper()
	ctx := t.Context()
	if _, err := q.CreateUser(ctx, store.CreateUserParams{ID: "ada", Name: "Ada"}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.CreateClient(ctx, store.CreateClientParams{
		ID: "c1", ClientID: "client", RedirectURIs: []string{"https://client.example/callback"}, Public: new(true),
	}); err != nil {
		t.Fatal(err)
	}
	row, err := q.IssueGrant(ctx, store.IssueGrantParams{
		ID: "family", UserID: "ada", ClientID: "client", GrantType: "server",
		Scopes: []string{"offline_access"}, DefaultScopes: []string{"offline_access"},
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(token.DigestOf("access")), AccessTokenLifetime: time.Minute,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: &presented[0], RefreshTokenLifetime: time.Hour, FamilyLifetime: time.Hour,
	})
	if err != nil || row.Outcome != store.OutcomeIssued {
		t.Fatalf("IssueGrant: %s, %v", row.Outcome, err)
	}
}

// rotate presents a refresh token.
func rotate(t *testing.T, q *store.Queries, i int, client store.ClientID) store.Outcome {
	t.Helper()
	row, err := q.RotateRefreshToken(t.Context(), store.RotateRefreshTokenParams{
		Token: presented[i], ClientID: client, ClientAuthMethod: "none", DefaultScopes: []string{"offline_access"},
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(token.DigestOf(fmt.Sprint("access", i))), AccessTokenLifetime: time.Minute,
		SuccessorID: store.NewRefreshTokenID(), Successor: presented[(i+1)%len(presented)], RefreshTokenLifetime: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return row.Outcome
}

func TestCallsAreObservedWithTheirOutcomes(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	var log bytes.Buffer
	var seen []db.Observation
	q := store.New(db.Observe(d.Pool, func(_ context.Context, o db.Observation) {
		if o.Elapsed <= 0 {
			t.Errorf("%s took no time", o.Call)
		}
		o.Elapsed = 0
		seen = append(seen, o)
	}, db.LogSecurity(slog.New(slog.NewJSONHandler(&log, nil)))))
	issue(t, q)
	for _, c := range []struct {
		present int
		client  store.ClientID
		want    store.Outcome
	}{
		{0, "client", store.OutcomeRotated},
		{1, "client", store.OutcomeRotated},
		{1, "hunter2", store.OutcomeUnauthenticated}, // who knows what it is that was sent as a client_id
		{0, "client", store.OutcomeReplayed},
	} {
		if got := rotate(t, q, c.present, c.client); got != c.want {
			t.Fatalf("token %d is %s, want %s", c.present, got, c.want)
		}
	}
	if _, err := q.ListUserSessions(t.Context(), store.ListUserSessionsParams{UserID: "ada", PageSize: 10}); err != nil {
		t.Fatal(err)
	}
	_, notFound := q.GetSession(t.Context(), "none")
	_, taken := q.CreateUser(t.Context(), store.CreateUserParams{ID: "ada", Name: "Ada"})
	if _, err := q.DeleteExpiredProofs(t.Context(), store.DeleteExpiredProofsParams{BatchSize: 10}); err != nil {
		t.Fatal(err)
	}

	const rotated = "RotateRefreshToken"
	want := []db.Observation{
		{Call: "CreateUser", User: "ada"},
		{Call: "CreateClient", Client: "client"},
		{Call: "IssueGrant", Outcome: store.OutcomeIssued, Client: "client"},
		{Call: rotated, Outcome: store.OutcomeRotated, Client: "client", User: "ada", Authorization: "family"},
		{Call: rotated, Outcome: store.OutcomeRotated, Client: "client", User: "ada", Authorization: "family"},
		{Call: rotated, Outcome: store.OutcomeUnauthenticated},
		{Call: rotated, Outcome: store.OutcomeReplayed, Client: "client", User: "ada", Authorization: "family"},
		{Call: "ListUserSessions"},
		{Call: "GetSession"},
		{Call: "CreateUser"},
		{Call: "DeleteExpiredProofs"},
	}
	if len(seen) != len(want) {
		t.Fatalf("seen %+v", seen)
	}
	for i, o := range seen {
		err := o.Err
		o.Err = nil
		if o != want[i] {
			t.Errorf("seen %+v, want %+v", o, want[i])
		}
		if cause := map[int]string{8: "not_found", 9: "refused"}[i]; db.Cause(err) != cause {
			t.Errorf("%s: %v is %q, want %q", o.Call, err, db.Cause(err), cause)
		}
	}
	if !db.IsNotFound(notFound) || !db.IsUniqueViolation(taken) {
		t.Errorf("the errors are %v and %v", notFound, taken)
	}

	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, line := range []string{
		`"level":"WARN","msg":"security","call":"RotateRefreshToken","outcome":"unauthenticated"}`,
		`"level":"WARN","msg":"security","call":"RotateRefreshToken","outcome":"replayed","client_id":"client","user_id":"ada","authorization_id":"family"}`,
	} {
		if len(lines) != 2 || !strings.HasSuffix(lines[i], line) {
			t.Fatalf("the log is %s", log.String())
		}
	}
	for _, secret := range append([]token.Digest{"hunter2"}, presented...) {
		if strings.Contains(log.String(), string(secret)) {
			t.Errorf("the log has %s", secret)
		}
	}
}

func TestWhatIsNoCallIsNotObserved(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	on := db.Observe(d.Pool, func(_ context.Context, o db.Observation) { t.Errorf("observed %+v", o) })
	var n int
	if err := on.QueryRow(t.Context(), "-- name: CountMine :one\nSELECT 1").Scan(&n); err != nil {
		t.Error(err)
	}
	if _, err := on.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Error(err)
	}
	rows, err := on.Query(t.Context(), "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
}

// Rows that are read to the end are closed by pgx, and once more by the call.
func TestACallOfManyRowsIsObservedOnce(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	var seen []db.Observation
	on := db.Observe(d.Pool, func(_ context.Context, o db.Observation) { seen = append(seen, o) })
	if err := db.InTx(t.Context(), d.Pool, db.TxOptions{}, func(tx pgx.Tx) error {
		_, err := store.New(db.Observe(tx, func(_ context.Context, o db.Observation) { seen = append(seen, o) })).ListUserSessions(t.Context(),
			store.ListUserSessionsParams{UserID: "ada", PageSize: 10})
		return err
	}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.New(on).ListUserSessions(ctx, store.ListUserSessionsParams{UserID: "ada", PageSize: 10}); err == nil {
		t.Error("no error")
	}
	if len(seen) != 2 || seen[0].Err != nil || db.Cause(seen[1].Err) != "canceled" {
		t.Errorf("seen %+v", seen)
	}
}

package dbotel_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/db/dbotel"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// metric is what is collected under a name, by what a point's attributes are.
func (x *traced) metric(t *testing.T, name string) map[string]float64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := x.reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", data); strings.Contains(text, secret) || strings.Contains(text, string(token.DigestOf(secret))) {
		t.Errorf("metrics hold a value: %s", text)
	}
	got := map[string]float64{}
	put := func(set attribute.Set, n float64) { got[set.Encoded(attribute.DefaultEncoder())] = n }
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, p.Value)
				}
			}
		}
	}
	return got
}

func want(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for set, n := range want {
		if got[set] != n {
			t.Errorf("%s: %v, want %v, of %v", set, got[set], n, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	x := newTraced(t, "")
	metrics, err := dbotel.NewMetrics(x.opts)
	if err != nil {
		t.Fatal(err)
	}
	q := store.New(db.Observe(x.pool, metrics.See))
	for range 2 {
		row, err := q.RotateRefreshToken(t.Context(), store.RotateRefreshTokenParams{Token: token.DigestOf(secret), ClientID: secret, ClientAuthMethod: "none"})
		if err != nil || row.Outcome != store.OutcomeUnauthenticated {
			t.Fatalf("%s, %v", row.Outcome, err)
		}
	}
	if err := createUser(t.Context(), q, "usr_1"); err != nil {
		t.Fatal(err)
	}
	if err := createUser(t.Context(), q, "usr_1"); !db.IsUniqueViolation(err) {
		t.Fatal(err)
	}
	want(t, x.metric(t, "oauthdb.calls"), map[string]float64{
		"oauthdb.call=RotateRefreshToken,oauthdb.outcome=unauthenticated,tenant=t1": 2,
		"oauthdb.call=CreateUser,tenant=t1":                                         1,
		"error.type=refused,oauthdb.call=CreateUser,tenant=t1":                      1,
	})

	metrics.Progress(db.Progress{Call: "DeleteExpiredProofs", Deleted: 3})
	metrics.Progress(db.Progress{Call: "DeleteExpiredProofs", Deleted: 4})
	want(t, x.metric(t, "oauthdb.collector.rows"), map[string]float64{"oauthdb.call=DeleteExpiredProofs,tenant=t1": 7})
}

func TestTheBacklogIsReported(t *testing.T) {
	t.Parallel()
	x := newTraced(t, "")
	for _, sql := range []string{
		`INSERT INTO oauth_proof (id, expires_at) VALUES (rpad('', 43, '-'), now() - interval '1 hour')`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris, backchannel_logout_uri) VALUES ('c', 'c', '{https://c.example}', 'https://c.example')`,
		`INSERT INTO session_client (session_id, client_id, user_id, sub, sid, due_at) VALUES ('s', 'c', 'u', 'u', 's', now() - interval '1 minute')`,
	} {
		if _, err := x.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := dbotel.RecordBacklog(x.pool, x.opts); err != nil {
		t.Fatal(err)
	}
	ages := x.metric(t, "oauthdb.backlog.age")
	if age := ages["oauthdb.table=oauth_proof,tenant=t1"]; age < 3600 || age > 7200 {
		t.Errorf("the oldest proof has been expired for %v s", age)
	}
	if age, ok := ages["oauthdb.table=oauth_access_token,tenant=t1"]; age != 0 || !ok {
		t.Errorf("access tokens: %v, %t", age, ok)
	}
	want(t, x.metric(t, "oauthdb.logout.due"), map[string]float64{"tenant=t1": 1})
	if late := x.metric(t, "oauthdb.logout.late")["tenant=t1"]; late < 60 || late > 3600 {
		t.Errorf("the delivery is late by %v s", late)
	}
}

func TestABacklogThatCantBeReadIsNoneAtAll(t *testing.T) {
	t.Parallel()
	x := newTraced(t, "")
	if _, err := x.pool.Exec(t.Context(), `DROP TABLE oauth_proof`); err != nil {
		t.Fatal(err)
	}
	if err := dbotel.RecordBacklog(x.pool, x.opts); err != nil {
		t.Fatal(err)
	}
	var data metricdata.ResourceMetrics
	if err := x.reader.Collect(t.Context(), &data); err == nil || !strings.Contains(err.Error(), "42P01") {
		t.Errorf("the error is %v", errors.Unwrap(err))
	}
	if strings.Contains(fmt.Sprintf("%+v", data), "oauthdb.backlog.age") {
		t.Error("there is an age all the same")
	}
}

func TestItIsReportedWhoAnswersIntrospections(t *testing.T) {
	t.Parallel()
	x := newTraced(t, "")
	r, err := db.OpenReplica(t.Context(), x.pool.Config().ConnString(), x.pool, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := dbotel.RecordReplica(r, x.opts); err != nil {
		t.Fatal(err)
	}
	if _, err := store.New(r).IntrospectToken(t.Context(), store.IntrospectTokenParams{Token: token.DigestOf(secret), ClientAuthMethod: "server"}); err != nil {
		t.Fatal(err)
	}
	want(t, x.metric(t, "oauthdb.replica.introspections"), map[string]float64{
		"oauthdb.answer=standby,tenant=t1": 0, "oauthdb.answer=without,tenant=t1": 1,
		"oauthdb.answer=behind,tenant=t1": 0, "oauthdb.answer=failed,tenant=t1": 0,
	})
}

package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.yaml.in/yaml/v3"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/db/dbotel"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

const folder = "../../docs/monitoring"

// families are the labels of each metric that a server exports, by name.
func families(t *testing.T) map[string]map[string]bool {
	t.Helper()
	registry := prometheus.NewRegistry()
	export, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		t.Fatal(err)
	}
	opts := dbotel.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(export))}
	pool, err := db.Open(t.Context(), storetest.New(t).URL, db.Options{Tracer: dbotel.NewTracer(opts)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	replica, err := db.OpenReplica(t.Context(), pool.Config().ConnString(), pool, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replica.Close)
	metrics, err := dbotel.NewMetrics(opts)
	for _, recorded := range []error{err, dbotel.RecordStats(pool, opts), dbotel.RecordBacklog(pool, opts), dbotel.RecordReplica(replica, opts)} {
		if recorded != nil {
			t.Fatal(recorded)
		}
	}
	q := store.New(db.Observe(replica, metrics.See))
	for range 2 { // the second is an error
		_, _ = q.CreateUser(t.Context(), store.CreateUserParams{ID: "usr_1", Name: "Ada"})
	}
	if _, err := q.EndSession(t.Context(), "none"); err != nil {
		t.Fatal(err)
	}
	if err := db.InTx(t.Context(), pool, db.TxOptions{}, func(pgx.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	metrics.Progress(db.Progress{Call: "DeleteExpiredProofs", Deleted: 1})

	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]bool{}
	for _, f := range gathered {
		names := []string{f.GetName()}
		if len(f.Metric) > 0 && f.Metric[0].Histogram != nil {
			names = []string{f.GetName() + "_bucket", f.GetName() + "_sum", f.GetName() + "_count"}
		}
		for _, name := range names {
			all[name] = map[string]bool{}
			for _, m := range f.Metric {
				for _, l := range m.Label {
					all[name][l.GetName()] = true
				}
			}
			if strings.HasSuffix(name, "_bucket") {
				all[name]["le"] = true
			}
		}
	}
	return all
}

// scraped are labels that Prometheus adds.
var scraped = []string{"job", "instance"}

// problems says what is wrong with an expression.
func problems(expr string, families map[string]map[string]bool) (found []string) {
	expr = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$job", "x").Replace(expr)
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		return []string{err.Error()}
	}
	inspect := func(node parser.Node, path []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			has, ok := families[node.Name]
			if !ok {
				found = append(found, "there is no metric "+node.Name)
				return nil
			}
			for _, m := range node.LabelMatchers {
				if m.Name != "__name__" && !has[m.Name] && !slices.Contains(scraped, m.Name) {
					found = append(found, fmt.Sprintf("%s has no label %s", node.Name, m.Name))
				}
				found = append(found, values(m)...)
			}
		case *parser.AggregateExpr:
			var all []string
			parser.Inspect(node.Expr, func(below parser.Node, _ []parser.Node) error {
				if v, ok := below.(*parser.VectorSelector); ok {
					all = append(slices.Collect(maps.Keys(families[v.Name])), all...)
				}
				return nil
			})
			for _, label := range node.Grouping {
				if !slices.Contains(all, label) && !slices.Contains(scraped, label) {
					found = append(found, "nothing has the label "+label)
				}
			}
		}
		return nil
	}
	parser.Inspect(parsed, inspect)
	return found
}

// values says which values of a matcher can't be.
func values(m *labels.Matcher) (found []string) {
	known := map[string][]string{"oauthdb_call": calls(), "oauthdb_outcome": outcomes(), "oauthdb_answer": {"standby", "without", "behind", "failed"}, "db_operation_name": calls()}[m.Name]
	if known == nil || m.Value == "" || strings.HasPrefix(m.Value, ".") {
		return nil
	}
	for value := range strings.SplitSeq(m.Value, "|") {
		if !slices.Contains(known, value) {
			found = append(found, fmt.Sprintf("%s is never %q", m.Name, value))
		}
	}
	return found
}

func calls() (names []string) {
	for call := range reflect.TypeFor[store.Querier]().Methods() {
		names = append(names, call.Name)
	}
	return names
}

func outcomes() (all []string) {
	b, err := os.ReadFile("../../store/models.go")
	if err != nil {
		panic(err)
	}
	for _, m := range regexp.MustCompile(`Outcome = "([a-z_]+)"`).FindAllSubmatch(b, -1) {
		all = append(all, string(m[1]))
	}
	return all
}

type rules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func readRules(t *testing.T) rules {
	t.Helper()
	f, err := os.Open(filepath.Join(folder, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decoder := yaml.NewDecoder(f)
	decoder.KnownFields(true)
	var r rules
	if err := decoder.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

type dashboard struct {
	Title         string
	SchemaVersion int
	Panels        []struct {
		ID          int
		Title, Type string
		Targets     []struct{ Expr string }
		GridPos     struct{ H, W, X, Y int }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAlertsAndPanelsAskForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	families := families(t)
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	security := map[string]bool{} // outcomes that db.Security names, and no alert asks for
	for _, outcome := range outcomes() {
		if db.Security(store.Outcome(outcome)) {
			security[outcome] = true
		}
	}
	if len(security) < 5 {
		t.Errorf("signs of attacks are %v", security)
	}
	look := func(where, expr string) {
		for _, p := range problems(expr, families) {
			t.Errorf("%s: %s, in %s", where, p, expr)
		}
		for name := range families {
			if strings.Contains(expr, name) {
				used[name] = true
			}
		}
	}
	alerts, panels := 0, 0
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			alerts++
			look(r.Alert, r.Expr)
			for _, outcome := range strings.FieldsFunc(r.Expr, func(r rune) bool { return r == '"' || r == '|' }) {
				delete(security, outcome)
			}
			if _, err := time.ParseDuration(r.For); err != nil && r.For != "" {
				t.Errorf("%s: %v", r.Alert, err)
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s has no severity, summary or description", r.Alert)
			}
			if !strings.Contains(string(page), r.Alert) {
				t.Errorf("docs/monitoring.md doesn't say what to do about %s", r.Alert)
			}
		}
	}
	for outcome := range security {
		t.Errorf("%s is a sign of an attack, and no alert asks for it", outcome)
	}
	ids := map[int]bool{}
	for _, p := range readDashboard(t).Panels {
		panels++
		if ids[p.ID] || p.Title == "" || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %q, has no id, title or place of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			look(p.Title, target.Expr)
		}
	}
	if alerts < 8 || panels < 8 {
		t.Errorf("%d alerts and %d panels were found", alerts, panels)
	}
	for name := range families {
		if strings.HasPrefix(name, "oauthdb_") && !used[name] {
			t.Errorf("%s is in no alert and no panel", name)
		}
	}
	named := maps.Clone(families)
	for _, labels := range families {
		for label := range labels {
			named[label] = labels
		}
	}
	for _, m := range regexp.MustCompile("`((?:oauthdb|pgxpool|db_client)_[a-z_]+)`").FindAllSubmatch(page, -1) {
		if named[string(m[1])] == nil {
			t.Errorf("docs/monitoring.md names %s, which there isn't", m[1])
		}
	}
	if t.Failed() {
		for _, name := range slices.Sorted(maps.Keys(families)) {
			t.Logf("%s %s", name, slices.Sorted(maps.Keys(families[name])))
		}
	}
}

func TestWhatIsWrongWithAnExpressionIsFound(t *testing.T) {
	t.Parallel()
	families := map[string]map[string]bool{"oauthdb_calls_total": {"oauthdb_call": true, "oauthdb_outcome": true}}
	for expr, want := range map[string]int{
		`sum by (oauthdb_call, job) (rate(oauthdb_calls_total{oauthdb_outcome="replayed", job="$job"}[$__rate_interval])) > 0`: 0,
		`sum(rate(oauthdb_calls_total{oauthdb_outcome=~"replayed|rotated"}[5m]))`:                                              0,
		`sum(rate(oauthdb_calls_total[5m]`:                                    1,
		`rate(oauthdb_calls[5m])`:                                             1,
		`oauthdb_calls_total{outcome="replayed"}`:                             1,
		`oauthdb_calls_total{oauthdb_outcome="reused"}`:                       1,
		`oauthdb_calls_total{oauthdb_outcome=~"replayed|reused"}`:             1,
		`oauthdb_calls_total{oauthdb_call="RefreshToken"}`:                    1,
		`sum by (call) (oauthdb_calls_total)`:                                 1,
		`sum by (call) (oauthdb_calls_total{outcome="x", oauthdb_call="No"})`: 3,
	} {
		if found := problems(expr, families); len(found) != want {
			t.Errorf("%s: %q, want %d problems", expr, found, want)
		}
	}
}

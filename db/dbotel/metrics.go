package dbotel

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// The attributes of the metrics of this package. Their values are from fixed sets, so the number of series is bounded.
const (
	CallKey    = attribute.Key("oauthdb.call")    // RotateRefreshToken, for example
	OutcomeKey = attribute.Key("oauthdb.outcome") // a store.Outcome
	ErrorKey   = attribute.Key("error.type")      // what db.Cause says
	TableKey   = attribute.Key("oauthdb.table")
	AnswerKey  = attribute.Key("oauthdb.answer") // standby, without, behind or failed, as in db.ReplicaStat
)

const (
	// backlogAge is for how long a backlog that was read counts as the present one.
	backlogAge = 10 * time.Second
	// backlogTimeout is how long reading it may take.
	backlogTimeout = 5 * time.Second
)

func (o Options) meter() metric.Meter {
	provider := o.MeterProvider
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	return provider.Meter("github.com/oauthdb/oauthdb/db/dbotel")
}

func (o Options) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, o.Attributes...)...))
}

// Metrics counts calls by what has come of them.
//
//	metrics, err := dbotel.NewMetrics(dbotel.Options{})
//	…
//	queries := store.New(db.Observe(pool, metrics.See))
//	collector := db.NewCollector(queries, db.CollectorOptions{Progress: metrics.Progress})
//
// These are the metrics:
//
//   - oauthdb.calls: calls by oauthdb.call, and by oauthdb.outcome or, if there was an error, error.type. Outcomes such as replayed and
//     unauthenticated are signs of attacks: see [db.Security]. Deliveries of a db.LogoutWorker are those of FinishLogoutDelivery.
//   - oauthdb.collector.rows: rows that a db.Collector has deleted, by oauthdb.call.
type Metrics struct {
	opts  Options
	calls metric.Int64Counter
	rows  metric.Int64Counter
	sets  sync.Map // what a call has come to -> its metric.MeasurementOption
}

// NewMetrics makes the instruments.
func NewMetrics(opts Options) (*Metrics, error) {
	m, meter := &Metrics{opts: opts}, opts.meter()
	var err error
	if m.calls, err = meter.Int64Counter("oauthdb.calls", metric.WithUnit("{call}"),
		metric.WithDescription("Calls by name, and by outcome or kind of error.")); err != nil {
		return nil, fmt.Errorf("dbotel: %w", err)
	}
	if m.rows, err = meter.Int64Counter("oauthdb.collector.rows", metric.WithUnit("{row}"),
		metric.WithDescription("Rows that the collector has deleted, by call.")); err != nil {
		return nil, fmt.Errorf("dbotel: %w", err)
	}
	return m, nil
}

// See counts a call, for [db.Observe].
func (m *Metrics) See(ctx context.Context, o db.Observation) {
	type key struct {
		call    string
		outcome store.Outcome
		cause   string
	}
	k := key{o.Call, o.Outcome, db.Cause(o.Err)}
	set, ok := m.sets.Load(k)
	if !ok {
		attrs := []attribute.KeyValue{CallKey.String(k.call)}
		if k.outcome != "" {
			attrs = append(attrs, OutcomeKey.String(string(k.outcome)))
		}
		if k.cause != "" {
			attrs = append(attrs, ErrorKey.String(k.cause))
		}
		set, _ = m.sets.LoadOrStore(k, m.opts.with(attrs...))
	}
	m.calls.Add(ctx, 1, set.(metric.MeasurementOption))
}

// Progress counts rows, for db.CollectorOptions.Progress.
func (m *Metrics) Progress(p db.Progress) {
	m.rows.Add(context.Background(), p.Deleted, m.opts.with(CallKey.String(p.Call)))
}

// RecordBacklog reports what waits for collectors and logout workers, whenever the meter provider collects, but at most every ten seconds: one
// short statement. It does so until the provider is shut down, so call it once for each database, in one process.
//
//   - oauthdb.backlog.age: for how long the oldest expired row has been so, in seconds, by oauthdb.table
//   - oauthdb.logout.due: clients that are to be told of a sign-out by now
//   - oauthdb.logout.late: for how long the first of them has been waiting, in seconds
func RecordBacklog(on store.DBTX, opts Options) error {
	meter := opts.meter()
	age, err := meter.Float64ObservableGauge("oauthdb.backlog.age", metric.WithUnit("s"),
		metric.WithDescription("For how long the oldest expired row has been so, by table."))
	if err != nil {
		return fmt.Errorf("dbotel: %w", err)
	}
	due, err := meter.Int64ObservableGauge("oauthdb.logout.due", metric.WithUnit("{delivery}"),
		metric.WithDescription("Clients that are to be told of a sign-out by now."))
	if err != nil {
		return fmt.Errorf("dbotel: %w", err)
	}
	late, err := meter.Float64ObservableGauge("oauthdb.logout.late", metric.WithUnit("s"),
		metric.WithDescription("For how long the first delivery that is due has been waiting."))
	if err != nil {
		return fmt.Errorf("dbotel: %w", err)
	}
	var mu sync.Mutex // a provider may have several readers
	var last db.Backlog
	var read time.Time
	_, err = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		mu.Lock()
		defer mu.Unlock()
		if read.IsZero() || time.Since(read) > backlogAge {
			ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
			defer cancel()
			now, err := db.ReadBacklog(ctx, on)
			if err != nil {
				return safely(err) // no value is better than an old one
			}
			last, read = now, time.Now()
		}
		for table, expired := range last.Expired {
			o.ObserveFloat64(age, expired.Seconds(), opts.with(TableKey.String(table)))
		}
		o.ObserveInt64(due, last.LogoutsDue, opts.with())
		o.ObserveFloat64(late, last.LogoutsLate.Seconds(), opts.with())
		return nil
	}, age, due, late)
	if err != nil {
		return fmt.Errorf("dbotel: %w", err)
	}
	return nil
}

// RecordReplica reports who answers introspections, as oauthdb.replica.introspections by oauthdb.answer, whenever the meter provider collects.
// It does so until the provider is shut down, so call it once for each replica.
func RecordReplica(r *db.Replica, opts Options) error {
	meter := opts.meter()
	n, err := meter.Int64ObservableCounter("oauthdb.replica.introspections", metric.WithUnit("{call}"),
		metric.WithDescription("Introspections by who has answered: the standby or, for a reason, the primary."))
	if err != nil {
		return fmt.Errorf("dbotel: %w", err)
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := r.Stat()
		for answer, count := range map[string]int64{"standby": s.ByStandby, "without": s.Without, "behind": s.Behind, "failed": s.Failed} {
			o.ObserveInt64(n, count, opts.with(AnswerKey.String(answer)))
		}
		return nil
	}, n)
	if err != nil {
		return fmt.Errorf("dbotel: %w", err)
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

var gcCommand = command{
	name:    "gc",
	summary: "delete what has expired or was ended",
	details: `Expired tokens, sessions, assertions and keys are deleted at once, as is what is left of deleted users and clients. Evidence,
the rows by which the reuse of a spent token or code is recognised, is kept for the retention. Any number of collectors may run side
by side. A step that fails is reported and doesn't stop the others.

With -unused-clients, clients that nobody uses are deleted as well. The time counts from the first pass that finds a client unused, and
begins anew if no pass has looked at it for longer than the retention.`,
	record: gcRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var t target
		t.register(flags)
		t.registerPooler(flags)
		var p printer
		p.register(flags)
		dryRun := flags.Bool("dry-run", false, "make one batch of each step and take it back: what would be deleted first")
		retention := flags.Duration("retention", db.DefaultRetention, "how `long` to keep evidence after it has expired or was ended")
		batch := flags.Int("batch", db.DefaultBatchSize, "the most `rows` of a table that one statement touches")
		share := flags.Float64("share", db.DefaultShare, "the part of the time to work, above 0 and at most 1; the rest is left to others")
		pause := flags.Duration("pause", 0, "the least `time` to rest between two statements")
		events := flags.Duration("event-retention", db.DefaultEventRetention, "how `long` to keep security events")
		unused := flags.Duration("unused-clients", 0, "delete clients that nobody has used for this `long`; 0 keeps all")
		anyClient := flags.Bool("any-unused-client", false, "with -unused-clients: also those that were not registered dynamically")
		every := flags.Duration("every", 0, "make a pass every `interval`, until interrupted; 0 makes one pass")
		return func(ctx context.Context, c console) error {
			switch {
			case *retention < 0 || *events < 0 || *unused < 0 || *pause < 0 || *every < 0:
				return usage("gc: a duration cannot be negative")
			case *batch < 1 || *batch > db.MaxBatchSize:
				return usage("gc: -batch: %d is not between 1 and %d", *batch, db.MaxBatchSize)
			case !(*share > 0 && *share <= 1):
				return usage("gc: -share: %v is not above 0 and at most 1", *share)
			case *unused > 0 && *retention == 0:
				return usage("gc: -unused-clients: without a retention nothing tells that a client was used")
			case *anyClient && *unused == 0:
				return usage("gc: -any-unused-client: -unused-clients is missing")
			case *every > 0 && (*dryRun || p.json):
				return usage("gc: -every goes on, and logs what it does: neither -dry-run nor -json fits it")
			}
			s, err := t.open(ctx, c)
			if err != nil {
				return err
			}
			pool, err := s.collectorPool(ctx, t.pgbouncer)
			if err != nil {
				return err
			}
			defer pool.Close()

			opts := db.CollectorOptions{
				Retention: *retention, EventRetention: *events, BatchSize: int32(*batch), Share: *share, Pause: *pause, Interval: *every,
				UnusedClients: *unused, AnyUnusedClient: *anyClient,
			}
			if *retention == 0 {
				opts.Retention = -1 // none at all
			}
			if *events == 0 {
				opts.EventRetention = -1
			}
			if *every > 0 {
				opts.Logger = slog.New(slog.NewTextHandler(c.err, nil))
				return db.NewCollector(store.New(pool), opts).Run(ctx)
			}
			if *dryRun {
				return wouldCollect(ctx, c, &p, pool, opts)
			}
			terminal := isTerminal(c.err)
			if terminal {
				opts.Progress = func(p db.Progress) {
					fmt.Fprintf(c.err, "\r%-30s %d rows deleted, %s ", p.Call, p.Total, p.Elapsed.Round(100*time.Millisecond))
				}
			}
			began := time.Now()
			done, err := db.NewCollector(store.New(pool), opts).Collect(ctx)
			if terminal {
				fmt.Fprint(c.err, "\r\x1b[K")
			}
			var refused *pgconn.PgError
			if errors.As(err, &refused) && refused.Code == "42P01" && done.Total() == 0 {
				return refused // no schema: the other steps say the same
			}
			p.print(c.out, gcRecord{Deleted: done, Total: done.Total(), Milliseconds: float64(time.Since(began).Microseconds()) / 1000})
			return err
		}
	},
}

// collectorPool opens the database for a collector, which doesn't wait for the disk: what a crash undoes, the next pass deletes again.
// PgBouncer takes no such setting.
func (s *server) collectorPool(ctx context.Context, pgbouncer bool) (*pgxpool.Pool, error) {
	opts := db.Options{PgBouncer: pgbouncer}
	config, err := db.ParseConfig(s.url, opts)
	if err != nil || pgbouncer || config.ConnConfig.RuntimeParams["synchronous_commit"] != "" {
		return s.pool(ctx, opts)
	}
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	return db.OpenConfig(ctx, config)
}

// wouldCollect makes a batch of each step, and takes it back.
func wouldCollect(ctx context.Context, c console, p *printer, pool *pgxpool.Pool, opts db.CollectorOptions) error {
	r := gcRecord{DryRun: true}
	began := time.Now()
	err := rolledBack(ctx, pool, func(q *store.Queries) (err error) {
		r.Deleted, err = db.NewCollector(q, opts).CollectBatch(ctx)
		return err
	})
	if err != nil {
		return err
	}
	r.Total, r.Milliseconds = r.Deleted.Total(), float64(time.Since(began).Microseconds())/1000
	p.print(c.out, r)
	return nil
}

// gcRecord is what a pass of the collector has deleted.
type gcRecord struct {
	DryRun       bool         `json:"dry_run"` // then nothing has changed
	Deleted      db.Collected `json:"deleted"` // rows by table
	Total        int64        `json:"total"`
	Milliseconds float64      `json:"milliseconds"`
}

func (r gcRecord) text(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, table := range r.Deleted.LogValue().Group() {
		fmt.Fprintf(tw, "%d\t %s\n", table.Value.Int64(), table.Key)
	}
	tw.Flush()
	rows := plural(int(r.Total), "row", "rows")
	if r.DryRun {
		fmt.Fprintf(w, "dry run, rolled back: the first batches delete %s, and there may be more\n", rows)
		return
	}
	fmt.Fprintf(w, "%s deleted in %.1f ms\n", rows, r.Milliseconds)
}

package db

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// Defaults of [CollectorOptions].
const (
	DefaultRetention = 24 * time.Hour
	DefaultBatchSize = 1000
	DefaultInterval  = time.Minute
	MaxBatchSize     = 100_000
)

// CollectorOptions say how much a [Collector] keeps and how hard it works. The zero value is a good start.
type CollectorOptions struct {
	// Retention is for how long after a family's last token has expired its rows are kept as evidence, by which the reuse of
	// a spent token or code is recognised. Zero means [DefaultRetention], a negative value none. What is no evidence (access
	// tokens, sessions, assertions, signing keys) goes as soon as it has expired.
	Retention time.Duration

	// BatchSize is the number of rows that one statement deletes at most, up to [MaxBatchSize]. A statement holds its rows'
	// locks until it ends, so a batch should last milliseconds. Zero means [DefaultBatchSize].
	BatchSize int32

	// Pause is the least time between two batches: it bounds the pace, and with it the write-ahead log that replicas have to
	// follow. Zero goes on at once.
	Pause time.Duration

	// Interval is the time between two passes of Run, give or take a tenth, so that several collectors drift apart. Zero means
	// [DefaultInterval].
	Interval time.Duration

	// Progress, if set, is called after every batch, from the goroutine that collects.
	Progress func(Progress)

	// Logger, if set, gets a line for every pass of Run that deleted something, and for every pass that failed.
	Logger *slog.Logger
}

// Collected counts deleted rows by table.
type Collected struct {
	ClientAssertions, AccessTokens, RefreshTokens, Authorizations, Sessions, SigningKeys int64
}

// Total is the sum of all tables.
func (c Collected) Total() int64 {
	return c.ClientAssertions + c.AccessTokens + c.RefreshTokens + c.Authorizations + c.Sessions + c.SigningKeys
}

// LogValue implements [slog.LogValuer]: a group with a member for each table.
func (c Collected) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int64("oauth_client_assertion", c.ClientAssertions), slog.Int64("oauth_access_token", c.AccessTokens),
		slog.Int64("oauth_refresh_token", c.RefreshTokens), slog.Int64("oauth_authorization", c.Authorizations),
		slog.Int64("session", c.Sessions), slog.Int64("jwks", c.SigningKeys),
	)
}

// Progress is what a pass has done so far.
type Progress struct {
	Table     string // that the last batch was of
	Deleted   int64  // by that batch
	Collected Collected
	Elapsed   time.Duration // since the pass began
}

// Expirer is the part of [store.Queries] that a [Collector] calls.
type Expirer interface {
	DeleteExpiredClientAssertions(ctx context.Context, batchSize int32) (int64, error)
	DeleteExpiredAccessTokens(ctx context.Context, batchSize int32) (int64, error)
	DeleteExpiredRefreshTokens(ctx context.Context, arg store.DeleteExpiredRefreshTokensParams) (int64, error)
	DeleteExpiredAuthorizations(ctx context.Context, arg store.DeleteExpiredAuthorizationsParams) (int64, error)
	DeleteExpiredSessions(ctx context.Context, batchSize int32) (int64, error)
	DeleteExpiredSigningKeys(ctx context.Context, batchSize int32) (int64, error)
}

// Collector deletes what has expired, in batches that each are one statement. Several collectors, in as many processes, share
// the work: each skips the rows that another holds. They never wait for a grant's rows, and no grant waits for more than a
// batch. What is due and what is kept, the statements decide (queries/, DeleteExpired...).
type Collector struct {
	expirer Expirer
	opts    CollectorOptions
}

// NewCollector returns a collector that deletes through e, a [store.Queries] as a rule. It panics on a BatchSize out of range.
func NewCollector(e Expirer, opts CollectorOptions) *Collector {
	switch {
	case opts.Retention == 0:
		opts.Retention = DefaultRetention
	case opts.Retention < 0:
		opts.Retention = 0
	}
	if opts.BatchSize == 0 {
		opts.BatchSize = DefaultBatchSize
	}
	if opts.BatchSize < 0 || opts.BatchSize > MaxBatchSize {
		panic(fmt.Sprintf("db: BatchSize %d is not between 1 and %d", opts.BatchSize, MaxBatchSize))
	}
	if opts.Interval <= 0 {
		opts.Interval = DefaultInterval
	}
	return &Collector{expirer: e, opts: opts}
}

// Collect makes one pass: it deletes batch after batch of each table until a batch is not full, in an order in which no
// statement has to cascade. It returns what it deleted, also beside an error. When the context ends it returns the context's
// error after the batch at hand.
func (c *Collector) Collect(ctx context.Context) (Collected, error) {
	var done Collected
	began := time.Now()
	size := c.opts.BatchSize
	type step struct {
		table string
		count *int64
		batch func(context.Context) (int64, error)
	}
	// batches makes as many of a step as most, or as it takes until one is not full, and says whether there may be more.
	batches := func(s step, most int) (more bool, err error) {
		for range most {
			n, err := retryBatch(ctx, s.batch)
			*s.count += n
			if err != nil {
				return false, fmt.Errorf("collect %s: %w", s.table, err)
			}
			if c.opts.Progress != nil {
				c.opts.Progress(Progress{Table: s.table, Deleted: n, Collected: done, Elapsed: time.Since(began)})
			}
			if n < int64(size) {
				return false, nil
			}
			if err := sleep(ctx, c.opts.Pause); err != nil {
				return false, fmt.Errorf("collect %s: %w", s.table, err)
			}
		}
		return true, nil
	}
	refresh := step{"oauth_refresh_token", &done.RefreshTokens, func(ctx context.Context) (int64, error) {
		return c.expirer.DeleteExpiredRefreshTokens(ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: size, Retention: c.opts.Retention})
	}}
	// authorizations makes a step that looks so far, nil as far as there is anything.
	authorizations := func(lookAt *int64) step {
		return step{"oauth_authorization", &done.Authorizations, func(ctx context.Context) (int64, error) {
			return c.expirer.DeleteExpiredAuthorizations(ctx, store.DeleteExpiredAuthorizationsParams{
				BatchSize: size, Retention: c.opts.Retention, LookAt: lookAt,
			})
		}}
	}

	for _, s := range []step{
		{"oauth_client_assertion", &done.ClientAssertions, func(ctx context.Context) (int64, error) {
			return c.expirer.DeleteExpiredClientAssertions(ctx, size)
		}},
		{"oauth_access_token", &done.AccessTokens, func(ctx context.Context) (int64, error) {
			return c.expirer.DeleteExpiredAccessTokens(ctx, size)
		}},
	} {
		if _, err := batches(s, math.MaxInt); err != nil {
			return done, err
		}
	}
	// Families in turn with their tokens: were all tokens to go first, each batch of them would have to pass the families that
	// have none left. Those are among the oldest until the tokens are done with, and then there are no others.
	const turn = 10 // batches
	for more := true; more; {
		var err error
		if more, err = batches(refresh, turn); err != nil {
			return done, err
		}
		families := authorizations(nil)
		if more {
			lookAt := turn * int64(size)
			families = authorizations(&lookAt)
		}
		if _, err := batches(families, math.MaxInt); err != nil {
			return done, err
		}
	}
	for _, s := range []step{
		{"session", &done.Sessions, func(ctx context.Context) (int64, error) {
			return c.expirer.DeleteExpiredSessions(ctx, size)
		}},
		{"jwks", &done.SigningKeys, func(ctx context.Context) (int64, error) {
			return c.expirer.DeleteExpiredSigningKeys(ctx, size)
		}},
	} {
		if _, err := batches(s, math.MaxInt); err != nil {
			return done, err
		}
	}
	return done, nil
}

// Run makes a pass at once and then one each Interval, until the context ends, and returns the context's error. A pass that
// fails is logged and tried again at the next turn: a database that is away for a while ends no collector.
func (c *Collector) Run(ctx context.Context) error {
	for {
		began := time.Now()
		done, err := c.Collect(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case c.opts.Logger == nil:
		case err != nil:
			c.opts.Logger.ErrorContext(ctx, "collecting expired rows failed", "error", err, "deleted", done, "elapsed", time.Since(began))
		case done.Total() > 0:
			c.opts.Logger.InfoContext(ctx, "collected expired rows", "deleted", done, "elapsed", time.Since(began))
		}
		tenth := c.opts.Interval / 10
		if err := sleep(ctx, c.opts.Interval-tenth+rand.N(2*tenth+1)); err != nil {
			return err
		}
	}
}

// retryBatch runs a batch again when the server undid it to resolve a deadlock, with an application's own statements, say.
func retryBatch(ctx context.Context, batch func(context.Context) (int64, error)) (int64, error) {
	for attempt := 1; ; attempt++ {
		n, err := batch(ctx)
		if attempt == 5 || !isConflict(err) {
			return n, err
		}
		if err := sleep(ctx, rand.N(time.Duration(attempt)*50*time.Millisecond)); err != nil {
			return n, err
		}
	}
}

// sleep waits for d, or until the context ends, whose error it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
)

// Defaults of [CollectorOptions].
const (
	DefaultRetention      = 24 * time.Hour
	DefaultEventRetention = 90 * 24 * time.Hour
	DefaultBatchSize      = 1000
	DefaultShare          = 0.05
	DefaultInterval       = time.Minute
	MaxBatchSize          = 100_000
)

// rowsInTurn is how many rows a step may take, or look at, in a pass of Run before the next step has its turn.
const rowsInTurn = 100_000

// CollectorOptions say how much a [Collector] keeps and how hard it works. The zero value is a good start.
type CollectorOptions struct {
	// Retention is how long spent tokens, used codes and ended families are kept, so that the reuse of a token or code is
	// recognised. It counts from the expiry of rows that expire, and from the end of rows that were ended. Zero means
	// [DefaultRetention], a negative value none. Rows that aren't needed for that (access tokens, sessions, assertions, proofs, keys)
	// are deleted as soon as they have expired.
	Retention time.Duration

	// EventRetention is how long security events are kept. Zero means [DefaultEventRetention], a negative value none.
	EventRetention time.Duration

	// BatchSize is the largest number of rows of each table that one statement touches, at most [MaxBatchSize]. A statement
	// holds the locks of its rows until it ends, and keeps a processor of the server busy for as long. Large batches take less
	// for each row; with a small Share few calls meet one. Zero means [DefaultBatchSize], which takes some milliseconds where the
	// rows are in memory. After a timeout or a deadlock the batch is halved.
	BatchSize int32

	// Share is the part of its time that a collector works, above 0 and at most 1. At 0.05, a batch that took 5 ms is followed by a
	// rest of 95 ms. A server that is busy takes longer for a batch, and so gets longer rests. Zero means [DefaultShare], with which
	// some 2,000 rows a second were deleted on two processors (docs/performance.md); raise it if more expire. 1 means no rest.
	Share float64

	// Pause is the least time between two batches. It limits the rate of deletion, and so the write-ahead log that replicas have
	// to replay. Zero means that Share decides alone.
	Pause time.Duration

	// Interval is the time between two passes of Run, give or take a tenth, so that several collectors drift apart. Zero means
	// [DefaultInterval].
	Interval time.Duration

	// UnusedClients is for how long nobody may have used a client before it is deleted, months as a rule. Zero keeps all. It
	// needs a Retention, and a pass at least once in it. See MarkUnusedClients for what is use. Only clients that were registered
	// dynamically (RFC 7591) or have a metadata document are deleted, unless AnyUnusedClient is set.
	UnusedClients   time.Duration
	AnyUnusedClient bool

	// Progress, if set, is called after every batch, from the goroutine that collects.
	Progress func(Progress)

	// Logger, if set, logs every pass of Run that deleted something or failed.
	Logger *slog.Logger
}

// Collected counts deleted rows by table.
type Collected map[string]int64

// Total is the sum of all tables.
func (c Collected) Total() (sum int64) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// LogValue implements [slog.LogValuer]: a group with a member for each table.
func (c Collected) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(c))
	for _, table := range slices.Sorted(maps.Keys(c)) {
		attrs = append(attrs, slog.Int64(table, c[table]))
	}
	return slog.GroupValue(attrs...)
}

// Progress is what a pass has done so far.
type Progress struct {
	Call      string // the call of package store that made the last batch
	BatchSize int32  // that it was given
	Deleted   int64  // rows deleted by that batch
	Total     int64  // rows deleted by the pass
	Elapsed   time.Duration
}

// Collector deletes rows that have expired or were ended, and what is left of deleted users and clients. It works in batches;
// each is one statement with a bounded number of rows. Several collectors in several processes share the work, because each
// skips the rows that another one has locked. They never wait for the rows of a grant, and a grant waits for one batch at
// most. The statements in queries/ decide what is due.
//
// A pass takes its steps in the order in which rows refer to each other, so that no step depends on a later one and no
// statement cascades:
//
//  1. DeleteExpiredAccessTokens, DeleteDeadAccessTokens: access tokens that have expired, and revoked ones that never would.
//  2. DeleteExpiredRefreshTokens, DeleteSpentRefreshTokens: refresh tokens, spent ones included, once the retention is over and
//     no access token refers to them.
//  3. DeleteExpiredPolledRequests: codes of devices and of CIBA.
//  4. MarkDeadAuthorizations, DeleteEndedAuthorizations: families that an ending has reached without touching them, and those
//     that have no token left, are marked; what was marked longer ago than the retention goes, tokens first.
//  5. DeleteExpiredAuthorizations: requests and codes that nobody has used.
//  6. MarkEndedSessions, SweepSessionClients, DeleteExpiredSessions: sessions that an ending has reached only by a counter are
//     marked; it becomes due to tell clients of a sign-out (see [LogoutWorker]), and those that were told or given up on are
//     forgotten once the retention is over; sessions that are over go, once nothing refers to them any more.
//  7. DeleteDeadConsents, DeleteExpiredClientSecrets, DeleteExpiredClientAssertions, DeleteExpiredProofs,
//     DeleteExpiredSigningKeys, DeleteExpiredVerifications, DeleteExpiredDeviceCodes, DeleteExpiredOneTimeCodes,
//     DeleteExpiredAttemptCounts,
//     DeleteExpiredSecurityEvents, DeleteExpiredInitialAccessTokens.
//  8. EraseDeletedUsers, EraseDeletedClients, and users once more: a user goes after the clients that the user owned.
//  9. MarkUnusedClients, if UnusedClients is set: clients that nobody has used for so long are marked as deleted, and erased by the
//     next pass.
//
// A step that fails is reported, and doesn't stop the others.
//
// A collector may have a pool of its own, with synchronous_commit=off in the connection string, as `oauthdb gc` has it: then no batch waits
// for the disk. What a crash undoes, the next pass deletes again. Never give that pool to servers.
type Collector struct {
	queries store.Querier
	opts    CollectorOptions
}

// NewCollector returns a collector that deletes through q, a [store.Queries] as a rule. It panics on a BatchSize or Share out of
// range, and on a negative UnusedClients.
func NewCollector(q store.Querier, opts CollectorOptions) *Collector {
	switch {
	case opts.Retention == 0:
		opts.Retention = DefaultRetention
	case opts.Retention < 0:
		opts.Retention = 0
	}
	switch {
	case opts.EventRetention == 0:
		opts.EventRetention = DefaultEventRetention
	case opts.EventRetention < 0:
		opts.EventRetention = 0
	}
	if opts.BatchSize == 0 {
		opts.BatchSize = DefaultBatchSize
	}
	if opts.BatchSize < 0 || opts.BatchSize > MaxBatchSize {
		panic(fmt.Sprintf("db: BatchSize %d is not between 1 and %d", opts.BatchSize, MaxBatchSize))
	}
	if opts.Share == 0 {
		opts.Share = DefaultShare
	}
	if !(opts.Share > 0 && opts.Share <= 1) {
		panic(fmt.Sprintf("db: Share %v is not above 0 and at most 1", opts.Share))
	}
	if opts.UnusedClients < 0 {
		panic(fmt.Sprintf("db: UnusedClients %s is negative", opts.UnusedClients))
	}
	if opts.Interval <= 0 {
		opts.Interval = DefaultInterval
	}
	return &Collector{queries: q, opts: opts}
}

// Collect makes one full pass, however long it takes. It returns what it deleted, even with an error, which joins the errors
// of all steps that failed. When the context ends, it returns the context's error after the current batch.
func (c *Collector) Collect(ctx context.Context) (Collected, error) {
	done, _, err := c.pass(ctx, c.steps(), newPace(c.opts.Share, c.opts.Pause), math.MaxInt)
	return done, err
}

// CollectBatch makes one batch of each step, and returns what it deleted: a look at what there is to do, in a transaction that is rolled
// back. There may be more.
func (c *Collector) CollectBatch(ctx context.Context) (Collected, error) {
	done, _, err := c.pass(ctx, c.steps(), newPace(1, 0), 1)
	return done, err
}

// Run makes a pass at once and then one every Interval, until the context ends, and returns the context's error. A step takes
// at most 100,000 rows in a pass. If rows are left to delete and nothing failed, the next pass follows at once. A step
// that walks a whole table goes on where it stopped. A pass that fails is logged, and the next one tries again, so Run
// survives an outage of the database.
func (c *Collector) Run(ctx context.Context) error {
	steps, pace, batches := c.steps(), newPace(c.opts.Share, c.opts.Pause), rowsInTurn/int(c.opts.BatchSize)
	for {
		began := time.Now()
		done, more, err := c.pass(ctx, steps, pace, batches)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case c.opts.Logger == nil:
		case err != nil:
			c.opts.Logger.ErrorContext(ctx, "collecting failed", "error", err, "deleted", done, "elapsed", time.Since(began))
		case done.Total() > 0:
			c.opts.Logger.InfoContext(ctx, "collected", "deleted", done, "elapsed", time.Since(began))
		}
		if more && err == nil {
			continue
		}
		tenth := c.opts.Interval / 10
		if err := sleep(ctx, c.opts.Interval-tenth+rand.N(2*tenth+1)); err != nil {
			return err
		}
	}
}

// pass takes each step in turn, in at most so many batches, and says whether one of them has more rows to delete.
func (c *Collector) pass(ctx context.Context, steps []*step, pace *pace, batches int) (done Collected, more bool, err error) {
	began := time.Now()
	done = make(Collected)
	for _, s := range steps {
		left, failed := c.take(ctx, s, pace, batches, done, began)
		more = more || left
		if ctx.Err() != nil {
			return done, more, errors.Join(err, fmt.Errorf("collect: %s: %w", s.call, ctx.Err()))
		}
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("collect: %s: %w", s.call, failed))
			var connect *pgconn.ConnectError
			if errors.As(failed, &connect) {
				return done, more, err // there is no database, for the other steps either
			}
		}
	}
	return done, more, err
}

// take makes a step's batches until one finds nothing more to do.
func (c *Collector) take(ctx context.Context, s *step, pace *pace, batches int, done Collected, began time.Time) (more bool, err error) {
	for range batches {
		before, size := done.Total(), s.size
		started := pace.now()
		next, err := s.batch(ctx, size, done)
		pace.worked(pace.now().Sub(started))
		switch {
		case err == nil:
			s.size = min(size+size/16+1, c.opts.BatchSize)
		case ctx.Err() == nil && isTooMuch(err) && size > 1:
			s.size = size / 2
			next = again
		default:
			return false, err
		}
		if c.opts.Progress != nil && err == nil {
			total := done.Total()
			c.opts.Progress(Progress{Call: s.call, BatchSize: size, Deleted: total - before, Total: total, Elapsed: time.Since(began)})
		}
		if next == finished {
			return false, nil
		}
		more = next == again
		if err := pace.rest(ctx); err != nil {
			return more, err
		}
	}
	return more, nil
}

// isTooMuch reports whether a smaller batch may succeed: this one took or waited too long, or got in the way of others.
func isTooMuch(err error) bool {
	return isConflict(err) || hasCode(err, queryCanceled, lockNotAvailable, transactionTimeout) || errors.Is(err, context.DeadlineExceeded)
}

// step is one call of package store, made batch by batch. Its state outlives a pass.
type step struct {
	call string
	// batch makes one call that touches size rows at most, and adds what it deleted to done.
	batch func(ctx context.Context, size int32, done Collected) (next, error)
	size  int32 // of the next batch: smaller than BatchSize after one that took too long, and slowly growing again
}

// next is what a batch says about the one after it.
type next int

const (
	finished next = iota // there is nothing more to do
	onward               // a walk has more pages, which may hold nothing that is due
	again                // there are more rows to delete
)

// steps are those of a pass, from the start of every walk.
func (c *Collector) steps() []*step {
	q, retention := c.queries, c.opts.Retention
	steps := []*step{
		{call: "DeleteExpiredAccessTokens", batch: expired("oauth_access_token", q.DeleteExpiredAccessTokens)},
		{call: "DeleteDeadAccessTokens", batch: walk(func(ctx context.Context, after store.AccessTokenID, size int32, done Collected) (*store.AccessTokenID, error) {
			row, err := q.DeleteDeadAccessTokens(ctx, store.DeleteDeadAccessTokensParams{AfterID: after, PageSize: size})
			done["oauth_access_token"] += row.Deleted
			return row.LastID, err
		})},
		{call: "DeleteExpiredRefreshTokens", batch: deletes("oauth_refresh_token", func(ctx context.Context, after time.Time, size int32) (int64, *time.Time, error) {
			row, err := q.DeleteExpiredRefreshTokens(ctx, store.DeleteExpiredRefreshTokensParams{AfterExpiresAt: after, Retention: retention, BatchSize: size})
			return row.Deleted, row.LastExpiresAt, err
		})},
		{call: "DeleteSpentRefreshTokens", batch: walk(func(ctx context.Context, after store.RefreshTokenID, size int32, done Collected) (*store.RefreshTokenID, error) {
			row, err := q.DeleteSpentRefreshTokens(ctx, store.DeleteSpentRefreshTokensParams{AfterID: after, PageSize: size, Retention: retention})
			done["oauth_refresh_token"] += row.Deleted
			return row.LastID, err
		})},
		{call: "DeleteExpiredPolledRequests", batch: deletes("oauth_polled_request", func(ctx context.Context, after time.Time, size int32) (int64, *time.Time, error) {
			row, err := q.DeleteExpiredPolledRequests(ctx, store.DeleteExpiredPolledRequestsParams{Retention: retention, AfterExpiresAt: after, BatchSize: size})
			return row.Deleted, row.LastExpiresAt, err
		})},
		{call: "MarkDeadAuthorizations", batch: walk(func(ctx context.Context, after store.AuthorizationID, size int32, _ Collected) (*store.AuthorizationID, error) {
			row, err := q.MarkDeadAuthorizations(ctx, store.MarkDeadAuthorizationsParams{AfterID: after, PageSize: size})
			return row.LastID, err
		})},
		{call: "DeleteEndedAuthorizations", batch: onwards(func(ctx context.Context, after time.Time, size int32, done Collected) (bool, *time.Time, error) {
			row, err := q.DeleteEndedAuthorizations(ctx, store.DeleteEndedAuthorizationsParams{Retention: retention, AfterRevokedAt: after, BatchSize: size})
			done["oauth_access_token"] += row.AccessTokens
			done["oauth_refresh_token"] += row.RefreshTokens
			done["oauth_authorization"] += row.Authorizations
			return row.AccessTokens+row.RefreshTokens+row.Authorizations > 0, row.LastRevokedAt, err
		})},
		{call: "DeleteExpiredAuthorizations", batch: deletes("oauth_authorization", func(ctx context.Context, after time.Time, size int32) (int64, *time.Time, error) {
			row, err := q.DeleteExpiredAuthorizations(ctx, store.DeleteExpiredAuthorizationsParams{Retention: retention, AfterExpiresAt: after, BatchSize: size})
			return row.Deleted, row.LastExpiresAt, err
		})},
		{call: "MarkEndedSessions", batch: walk(func(ctx context.Context, after store.SessionID, size int32, _ Collected) (*store.SessionID, error) {
			row, err := q.MarkEndedSessions(ctx, store.MarkEndedSessionsParams{AfterID: after, PageSize: size})
			return row.LastID, err
		})},
		{call: "SweepSessionClients", batch: walk(func(ctx context.Context, after store.SessionClientID, size int32, done Collected) (*store.SessionClientID, error) {
			row, err := q.SweepSessionClients(ctx, store.SweepSessionClientsParams{AfterID: after, PageSize: size, Retention: retention})
			done["session_client"] += row.Deleted
			return row.LastID, err
		})},
		{call: "DeleteExpiredSessions", batch: onwards(func(ctx context.Context, after time.Time, size int32, done Collected) (bool, *time.Time, error) {
			row, err := q.DeleteExpiredSessions(ctx, store.DeleteExpiredSessionsParams{AfterExpiresAt: after, BatchSize: size})
			done["session"] += row.Deleted
			return row.Deleted+row.Detached > 0, row.LastExpiresAt, err
		})},
		{call: "DeleteDeadConsents", batch: walk(func(ctx context.Context, after store.ConsentID, size int32, done Collected) (*store.ConsentID, error) {
			row, err := q.DeleteDeadConsents(ctx, store.DeleteDeadConsentsParams{AfterID: after, PageSize: size})
			done["oauth_consent"] += row.Deleted
			return row.LastID, err
		})},
		{call: "DeleteExpiredInitialAccessTokens", batch: deletes("oauth_initial_access_token", func(ctx context.Context, after time.Time, size int32) (int64, *time.Time, error) {
			row, err := q.DeleteExpiredInitialAccessTokens(ctx, store.DeleteExpiredInitialAccessTokensParams{Retention: retention, AfterExpiresAt: after, BatchSize: size})
			return row.Deleted, row.LastExpiresAt, err
		})},
		{call: "DeleteExpiredClientSecrets", batch: expired("oauth_client_secret", q.DeleteExpiredClientSecrets)},
		{call: "DeleteExpiredClientAssertions", batch: expired("oauth_client_assertion", q.DeleteExpiredClientAssertions)},
		{call: "DeleteExpiredProofs", batch: expired("oauth_proof", q.DeleteExpiredProofs)},
		{call: "DeleteExpiredSigningKeys", batch: expired("jwks", q.DeleteExpiredSigningKeys)},
		{call: "DeleteExpiredVerifications", batch: expired("verification", q.DeleteExpiredVerifications)},
		{call: "DeleteExpiredDeviceCodes", batch: expired("device_code", q.DeleteExpiredDeviceCodes)},
		{call: "DeleteExpiredOneTimeCodes", batch: expired("one_time_code", q.DeleteExpiredOneTimeCodes)},
		{call: "DeleteExpiredAttemptCounts", batch: deletes("attempt_count", func(ctx context.Context, after time.Time, size int32) (int64, *time.Time, error) {
			row, err := q.DeleteExpiredAttemptCounts(ctx, store.DeleteExpiredAttemptCountsParams{AfterResetsAt: after, BatchSize: size})
			return row.Deleted, row.LastResetsAt, err
		})},
		{call: "DeleteExpiredSecurityEvents", batch: deletes("security_event", func(ctx context.Context, after int64, size int32) (int64, *int64, error) {
			row, err := q.DeleteExpiredSecurityEvents(ctx, store.DeleteExpiredSecurityEventsParams{Retention: c.opts.EventRetention, AfterID: after, BatchSize: size})
			return row.Deleted, row.LastID, err
		})},
		{call: "EraseDeletedUsers", batch: c.eraseUsers()},
		{call: "EraseDeletedClients", batch: c.eraseClients()},
		{call: "EraseDeletedUsers", batch: c.eraseUsers()},
	}
	if c.opts.UnusedClients > 0 {
		steps = append(steps, &step{call: "MarkUnusedClients", batch: walk(func(ctx context.Context, after store.OAuthClientID, size int32, _ Collected) (*store.OAuthClientID, error) {
			row, err := q.MarkUnusedClients(ctx, store.MarkUnusedClientsParams{
				AfterID: after, PageSize: size, UnusedFor: c.opts.UnusedClients, AnyClient: c.opts.AnyUnusedClient, Retention: retention,
			})
			return row.LastID, err
		})})
	}
	for _, s := range steps {
		s.size = c.opts.BatchSize
	}
	return steps
}

// expired is the batch of a call that deletes rows of one table as soon as they have expired.
func expired[
	P ~struct {
		AfterExpiresAt time.Time
		BatchSize      int32
	},
	R ~struct {
		Deleted       int64
		LastExpiresAt *time.Time
	},
](table string, call func(context.Context, P) (R, error)) func(context.Context, int32, Collected) (next, error) {
	return deletes(table, func(ctx context.Context, after time.Time, size int32) (int64, *time.Time, error) {
		answer, err := call(ctx, P{AfterExpiresAt: after, BatchSize: size})
		row := store.DeleteExpiredProofsRow(answer)
		return row.Deleted, row.LastExpiresAt, err
	})
}

// deletes is the batch of a call that deletes up to size rows of one table: there may be more where it deleted that many.
func deletes[K any](table string, call func(ctx context.Context, after K, size int32) (deleted int64, last *K, err error)) func(context.Context, int32, Collected) (next, error) {
	return onwards(func(ctx context.Context, after K, size int32, done Collected) (bool, *K, error) {
		n, last, err := call(ctx, after, size)
		done[table] += n
		return n >= int64(size), last, err
	})
}

// onwards is the batch of a call that begins where the batch before it stopped. When there is no more to do, it begins again from the
// start.
func onwards[K any](call func(ctx context.Context, after K, size int32, done Collected) (more bool, last *K, err error)) func(context.Context, int32, Collected) (next, error) {
	var after, start K
	return func(ctx context.Context, size int32, done Collected) (next, error) {
		more, last, err := call(ctx, after, size, done)
		switch {
		case err != nil:
			return again, err
		case last == nil || !more:
			after = start
			return finished, nil
		}
		after = *last
		return again, nil
	}
}

// walk is the batch of a call that looks at a page of a table and answers with the last key of it, nil behind the last page. It
// begins again from there.
func walk[K any](page func(ctx context.Context, after K, size int32, done Collected) (last *K, err error)) func(context.Context, int32, Collected) (next, error) {
	var after, start K
	return func(ctx context.Context, size int32, done Collected) (next, error) {
		last, err := page(ctx, after, size, done)
		switch {
		case err != nil:
			return onward, err
		case last == nil:
			after = start
			return finished, nil
		}
		after = *last
		return onward, nil
	}
}

func (c *Collector) eraseUsers() func(context.Context, int32, Collected) (next, error) {
	return erase(func(ctx context.Context, after time.Time, size int32, done Collected) (int64, *time.Time, *time.Time, error) {
		row, err := c.queries.EraseDeletedUsers(ctx, store.EraseDeletedUsersParams{AfterDeletedAt: after, BatchSize: size})
		done["user"] += row.Deleted
		return row.Deleted + row.Cleared, row.ErasedUntil, row.LastDeletedAt, err
	})
}

func (c *Collector) eraseClients() func(context.Context, int32, Collected) (next, error) {
	return erase(func(ctx context.Context, after time.Time, size int32, done Collected) (int64, *time.Time, *time.Time, error) {
		row, err := c.queries.EraseDeletedClients(ctx, store.EraseDeletedClientsParams{AfterDeletedAt: after, BatchSize: size})
		done["oauth_client"] += row.Deleted
		done["oauth_access_token"] += row.AccessTokens
		return row.Deleted + row.AccessTokens + row.Cleared, row.ErasedUntil, row.LastDeletedAt, err
	})
}

// erase is the batch of a call that erases what is left of the rows on a page, bit by bit: like a walk, but for as long as something was
// erased it goes on behind those that are gone.
func erase(page func(ctx context.Context, after time.Time, size int32, done Collected) (erased int64, until, last *time.Time, err error)) func(context.Context, int32, Collected) (next, error) {
	var after time.Time
	return func(ctx context.Context, size int32, done Collected) (next, error) {
		erased, until, last, err := page(ctx, after, size, done)
		switch {
		case err != nil:
			return again, err
		case erased > 0:
			if until != nil {
				after = *until
			}
			return again, nil
		case last == nil:
			after = time.Time{}
			return finished, nil
		}
		after = *last
		return onward, nil
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

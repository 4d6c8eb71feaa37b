package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

// Defaults of [LogoutOptions].
const (
	DefaultLogoutConcurrency = 8
	DefaultLogoutTimeout     = 10 * time.Second
	DefaultLogoutBackOff     = 15 * time.Second
	DefaultLogoutMaxAttempts = 30
	DefaultLogoutInterval    = 5 * time.Second
)

// leaseMargin is how much longer than a delivery its lease lasts at least, so that the result can be written.
const leaseMargin = 5 * time.Second

// LogoutDelivery is a client that has to be told of a sign-out: at BackchannelLogoutURI, by a logout token for Sub and SID (OpenID
// Connect Back-Channel Logout 1.0, section 2.4). Attempt counts from 1. Each attempt needs a token with a jti of its own, because a client
// may refuse one that it has seen.
type LogoutDelivery = store.ClaimLogoutDeliveriesRow

// LogoutOptions say how a [LogoutWorker] works. The zero value is a good start.
type LogoutOptions struct {
	// Concurrency is how many deliveries are under way at once. Zero means [DefaultLogoutConcurrency].
	Concurrency int

	// Timeout ends the context of one delivery. A delivery must return soon after. Zero means [DefaultLogoutTimeout].
	Timeout time.Duration

	// Lease is how long a delivery belongs to the worker that claimed it. If the worker dies, another one tells the client once it is
	// over. It must be longer than Timeout by five seconds at least. Zero means three times Timeout, and that much at least.
	Lease time.Duration

	// BackOff is the time between the first attempt and the second. It doubles with each attempt, up to 256 times. It is a second at
	// least. Zero means [DefaultLogoutBackOff].
	BackOff time.Duration

	// MaxAttempts is how many attempts may fail before the client is given up on. Zero means [DefaultLogoutMaxAttempts], with which
	// the default BackOff takes a day, and a negative value that no client is given up on.
	MaxAttempts int32

	// Interval is the time between two looks of Run at what is due, give or take a tenth, when there was nothing left to do.
	// Zero means [DefaultLogoutInterval].
	Interval time.Duration

	// Logger, if set, logs every attempt that failed. It logs the error that the delivery returned, so that must hold no secret.
	Logger *slog.Logger
}

// LogoutDelivered counts what a [LogoutWorker] has done.
type LogoutDelivered struct {
	Delivered int64 // clients that were told
	Postponed int64 // attempts that failed, and will be repeated
	Abandoned int64 // clients that were given up on
	// Lost counts attempts whose result was not recorded: because it came after the lease was over and another worker had the delivery, or
	// the row was collected, or there was an error. Unless another worker has told the client, it is told again.
	Lost int64
}

func (n *LogoutDelivered) add(more LogoutDelivered) {
	n.Delivered += more.Delivered
	n.Postponed += more.Postponed
	n.Abandoned += more.Abandoned
	n.Lost += more.Lost
}

// LogoutWorker tells clients of sign-outs (OpenID Connect Back-Channel Logout 1.0). A client that has a backchannel_logout_uri is told
// of every session that it knows and that has ended: by a call, by a deletion, or by expiry. It is told at least once, whichever process
// dies at whichever moment, and may be told twice: a delivery whose result was not recorded is made again.
//
// Several workers in several processes share the work. A [Collector] has to run as well: it finds the sessions that have
// expired, or that another server has deleted.
type LogoutWorker struct {
	queries store.Querier
	deliver func(context.Context, LogoutDelivery) error
	opts    LogoutOptions
}

// NewLogoutWorker returns a worker that claims deliveries through q, a [store.Queries] on a pool as a rule. It must not be on a
// transaction. deliver tells one client, and returns nil only if the client has answered 200 or 204 (section 2.8). It runs in several
// goroutines at once. If it panics, the attempt has failed. NewLogoutWorker panics on options out of range.
func NewLogoutWorker(q store.Querier, deliver func(context.Context, LogoutDelivery) error, opts LogoutOptions) *LogoutWorker {
	if opts.Concurrency == 0 {
		opts.Concurrency = DefaultLogoutConcurrency
	}
	if opts.Timeout == 0 {
		opts.Timeout = DefaultLogoutTimeout
	}
	if opts.Lease == 0 {
		opts.Lease = max(3*opts.Timeout, opts.Timeout+leaseMargin)
	}
	if opts.BackOff == 0 {
		opts.BackOff = DefaultLogoutBackOff
	}
	switch {
	case opts.MaxAttempts == 0:
		opts.MaxAttempts = DefaultLogoutMaxAttempts
	case opts.MaxAttempts < 0:
		opts.MaxAttempts = 0
	}
	if opts.Interval <= 0 {
		opts.Interval = DefaultLogoutInterval
	}
	switch {
	case opts.Concurrency < 0 || opts.Concurrency > MaxBatchSize:
		panic(fmt.Sprintf("db: Concurrency %d is not between 1 and %d", opts.Concurrency, MaxBatchSize))
	case opts.Timeout < 0:
		panic(fmt.Sprintf("db: Timeout %s is negative", opts.Timeout))
	case opts.Lease < opts.Timeout+leaseMargin:
		panic(fmt.Sprintf("db: Lease %s is not longer than Timeout %s by %s", opts.Lease, opts.Timeout, leaseMargin))
	case opts.BackOff < time.Second:
		panic(fmt.Sprintf("db: BackOff %s is under a second", opts.BackOff))
	}
	return &LogoutWorker{queries: q, deliver: deliver, opts: opts}
}

// RunOnce makes deliveries until none is due, and says what they came to. A delivery that fails is no error. When the context ends,
// those that are under way are canceled, and RunOnce returns the context's error once they have returned.
func (w *LogoutWorker) RunOnce(ctx context.Context) (LogoutDelivered, error) {
	u := w.underWay()
	err := w.claim(ctx, u)
	u.Wait()
	return u.done, err
}

// Run makes deliveries as they become due, until the context ends, and returns the context's error once those that were under way
// have returned. An error of the database is logged, and Run tries again, so it survives an outage.
func (w *LogoutWorker) Run(ctx context.Context) error {
	u := w.underWay()
	defer u.Wait()
	for {
		err := w.claim(ctx, u)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && w.opts.Logger != nil:
			w.opts.Logger.ErrorContext(ctx, "claiming logout deliveries failed", "error", Describe(err))
		}
		tenth := w.opts.Interval / 10
		if err := sleep(ctx, w.opts.Interval-tenth+rand.N(2*tenth+1)); err != nil {
			return err
		}
	}
}

// underWay are the deliveries that a run of a worker is making, and what those before them came to.
type underWay struct {
	sync.WaitGroup
	slots chan struct{} // holds one for each
	mu    sync.Mutex
	done  LogoutDelivered
}

func (w *LogoutWorker) underWay() *underWay {
	return &underWay{slots: make(chan struct{}, w.opts.Concurrency)}
}

// claim begins deliveries until none is due, and doesn't wait for them to end.
func (w *LogoutWorker) claim(ctx context.Context, u *underWay) error {
	for {
		select {
		case u.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		free := 1
		for len(u.slots) < cap(u.slots) { // as many as can begin at once, so that no lease runs while its delivery waits
			u.slots <- struct{}{}
			free++
		}
		rows, err := w.queries.ClaimLogoutDeliveries(ctx, store.ClaimLogoutDeliveriesParams{PageSize: int32(free), LeaseLifetime: w.opts.Lease})
		for range free - len(rows) {
			<-u.slots
		}
		for _, d := range rows {
			u.Go(func() {
				defer func() { <-u.slots }()
				n := w.attempt(ctx, d)
				u.mu.Lock()
				defer u.mu.Unlock()
				u.done.add(n)
			})
		}
		switch {
		case err != nil:
			return fmt.Errorf("claim logout deliveries: %w", err)
		case len(rows) == 0:
			return nil
		}
	}
}

// attempt tells one client, and records the result.
func (w *LogoutWorker) attempt(ctx context.Context, d LogoutDelivery) (n LogoutDelivered) {
	failed := w.tell(ctx, d)
	if failed != nil && ctx.Err() != nil {
		// The worker is being stopped, which is not the client's fault: the delivery is made again when the lease is over.
		return LogoutDelivered{Lost: 1}
	}
	// A client that was told must not be told again because the worker is being stopped.
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseMargin)
	defer cancel()
	row, err := w.queries.FinishLogoutDelivery(finish, store.FinishLogoutDeliveryParams{
		ID: d.ID, Lease: d.Lease, Delivered: failed == nil, BackOff: w.opts.BackOff, MaxAttempts: w.opts.MaxAttempts,
	})
	log := func(level slog.Level, message string, attrs ...slog.Attr) {
		if w.opts.Logger != nil {
			w.opts.Logger.LogAttrs(ctx, level, message, append(attrs, slog.String("client_id", string(d.ClientID)), slog.Int64("attempt", d.Attempt))...)
		}
	}
	if err != nil {
		log(slog.LevelError, "the result of a logout delivery was not recorded", slog.String("error", Describe(err)))
		return LogoutDelivered{Lost: 1}
	}
	switch row.Outcome {
	case store.OutcomeDelivered:
		return LogoutDelivered{Delivered: 1}
	case store.OutcomePostponed:
		log(slog.LevelWarn, "a client was not told of a sign-out, and will be later", slog.Any("error", failed), slog.Time("due_at", *row.DueAt))
		return LogoutDelivered{Postponed: 1}
	case store.OutcomeAbandoned:
		log(slog.LevelError, "a client was not told of a sign-out, and is given up on", slog.Any("error", failed))
		return LogoutDelivered{Abandoned: 1}
	default:
		log(slog.LevelWarn, "the result of a logout delivery came too late", slog.String("outcome", string(row.Outcome)))
		return LogoutDelivered{Lost: 1}
	}
}

// errPanic is how a delivery has failed that panicked. What it panicked with may hold a secret.
var errPanic = errors.New("the delivery panicked")

func (w *LogoutWorker) tell(ctx context.Context, d LogoutDelivery) (err error) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return w.deliver(ctx, d)
}

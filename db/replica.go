package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
)

// DefaultReplicaWait is the default of [Options].ReplicaWait.
const DefaultReplicaWait = 200 * time.Millisecond

// replicaPause is for how long a [Replica] doesn't use a standby that has failed, and doesn't wait for one that was behind.
const replicaPause = time.Second

// positionTimeout is how long it may take to ask for a position that several callers wait for.
const positionTimeout = 5 * time.Second

// Position is a place in the write-ahead log of a primary: everything that was committed before it was taken lies before it. The zero
// value is no position. Positions can be stored as text, but somewhere clients can't change them: an earlier position asks for less.
type Position struct {
	timeline uint32 // of the log; a failover begins a new one
	lsn      uint64
}

// IsZero reports whether p is no position.
func (p Position) IsZero() bool { return p == Position{} }

// String returns the position in a form that [ParsePosition] reads, and "" for none.
func (p Position) String() string {
	if p.IsZero() {
		return ""
	}
	return fmt.Sprintf("%08X-%016X", p.timeline, p.lsn)
}

// MarshalText implements [encoding.TextMarshaler].
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Position) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePosition(string(text))
	return err
}

// ParsePosition reads what [Position.String] has written. An empty text is no position.
func ParsePosition(text string) (Position, error) {
	if text == "" {
		return Position{}, nil
	}
	first, second, _ := strings.Cut(text, "-")
	timeline, err1 := strconv.ParseUint(first, 16, 32)
	lsn, err2 := strconv.ParseUint(second, 16, 63)
	p := Position{timeline: uint32(timeline), lsn: lsn}
	if err1 != nil || err2 != nil || p.String() != text || timeline == 0 {
		return Position{}, errors.New("db: not a position of the log")
	}
	return p, nil
}

// CurrentPosition asks a primary how far its log goes. Take it after the call that has to be seen has returned, or its transaction was
// committed: what is taken earlier lies before the commit, and a standby that has reached it may not have the write. It fails on a standby.
func CurrentPosition(ctx context.Context, primary *pgxpool.Pool) (Position, error) {
	var timeline, lsn, page, segment int64
	err := primary.QueryRow(ctx, `
		SELECT `+timelineOfPrimary+`, (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8,
			current_setting('wal_block_size')::int8, pg_size_bytes(current_setting('wal_segment_size'))
	`).Scan(&timeline, &lsn, &page, &segment)
	if err != nil {
		return Position{}, fmt.Errorf("db: current position: %w", err)
	}
	return Position{timeline: uint32(timeline), lsn: uint64(endOfRecord(lsn, page, segment))}, nil
}

// The lengths of the headers of the first page of a segment, and of other pages.
const (
	longHeader  = 40
	shortHeader = 24
)

// endOfRecord is where the last record ends, if the next one begins at lsn. That is the same, but for the first one of a page: it begins after
// the header. A standby of an idle primary never gets past the header, as there is nothing.
//
// More than a header after the beginning of a page may be the rest of a record.
func endOfRecord(lsn, page, segment int64) int64 {
	switch {
	case lsn%segment == longHeader:
		return lsn - longHeader
	case lsn%page == shortHeader && lsn%segment != shortHeader:
		return lsn - shortHeader
	}
	return lsn
}

// timelineOfPrimary is what the primary writes to. The control file would say it too, but only some time after a promotion.
const timelineOfPrimary = `('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int8`

// standingSQL says whether a server has a position of a timeline, and if not, whether it may have it soon. Of a server that is no standby it
// asks the same: one that was promoted while the primary lives on, to make a copy of it say, has a timeline of its own, and isn't told of
// what is revoked.
//
// The read that follows has to see what was replayed by then, so each statement needs a snapshot of its own.
const standingSQL = `
	SELECT s.fits AND s.lsn >= '0/0'::pg_lsn + $2::int8, s.fits AND s.standby
	FROM (
		SELECT pg_is_in_recovery(),
			CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END,
			current_setting('transaction_isolation') = 'read committed' AND $1::int8 =
				CASE WHEN pg_is_in_recovery() THEN (SELECT r.min_recovery_end_timeline::int8 FROM pg_control_recovery() AS r) ELSE ` + timelineOfPrimary + ` END
	) AS s (standby, lsn, fits)`

type positionKey struct{}

// After returns a context whose introspections see everything that lies before a position, wherever a [Replica] sends them. Given several
// positions, they see what lies before all of them.
//
// The primary answers if the position is zero, so the error of [Replica.Position] need not be looked at, and if the positions are of
// different timelines.
func After(ctx context.Context, at Position) context.Context {
	if had, ok := ctx.Value(positionKey{}).(Position); ok {
		if had.timeline != at.timeline {
			at = Position{}
		}
		at.lsn = max(at.lsn, had.lsn)
		if at.timeline == 0 {
			at = Position{}
		}
	}
	return context.WithValue(ctx, positionKey{}, at)
}

// introspections are the calls that a standby may answer. They write nothing and lock nothing.
var introspections = map[string]bool{
	"IntrospectToken":           true,
	"IntrospectAccessToken":     true,
	"IntrospectAccessTokenByID": true,
	"IntrospectRefreshToken":    true,
	"IntrospectAuthorization":   true,
}

// Replica has standbys answer introspections whose context names a position of the log (see [After]), once they have replayed the log that
// far. The primary answers all other calls and, with the same answer as ever, where a standby doesn't get there within
// [Options].ReplicaWait, or fails. So no token that was revoked before the position was taken is answered as active.
//
//	queries := store.New(replica)
//
//	at, _ := replica.Position(ctx) // no position on an error, and then the primary answers
//	row, err := queries.IntrospectToken(db.After(ctx, at), params) // sees what was revoked before it was asked
//
// docs/replicas.md says which position to take, and what holds.
type Replica struct {
	primary, standby *pgxpool.Pool
	wait             time.Duration

	failed, behind atomic.Int64 // until when, in nanoseconds since began, a standby isn't used, or not waited for
	began          time.Time

	latest positions

	byStandby, without, late, errors atomic.Int64
	lastError                        atomic.Pointer[error]
}

var _ store.DBTX = (*Replica)(nil)

// OpenReplica returns a Replica that reads from the standbys that connString names, and else from primary. The caller closes it; the
// primary's pool remains open. opts are those of the pool of connections to the standbys. Set target_session_attrs=prefer-standby if the
// connection string names several servers.
//
// It connects to the primary, but doesn't wait for a standby, which may be away at any time. A standby that isn't a copy of the primary's
// database, or on which the role finds other tables, is refused: see [Replica.Stat] for what is wrong with it.
func OpenReplica(ctx context.Context, connString string, primary *pgxpool.Pool, opts Options) (*Replica, error) {
	if opts.ReplicaWait < 0 {
		return nil, fmt.Errorf("db: ReplicaWait %s is negative", opts.ReplicaWait)
	}
	config, err := ParseConfig(connString, opts)
	if err != nil {
		return nil, err
	}
	var of copied
	if err := of.read(ctx, primary); err != nil {
		return nil, fmt.Errorf("db: open replica: the primary: %w", err)
	}
	next := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		var is copied
		if err := is.read(ctx, conn); err != nil {
			return fmt.Errorf("db: the standby: %w", err)
		}
		if is != of {
			return errNoCopy
		}
		if next == nil {
			return nil
		}
		return next(ctx, conn)
	}
	prepareFirst(config)
	standby, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("db: open replica: %w", err)
	}
	r := &Replica{primary: primary, standby: standby, wait: cmp.Or(opts.ReplicaWait, DefaultReplicaWait), began: time.Now()}
	r.latest.read = func(ctx context.Context) (Position, error) { return CurrentPosition(ctx, primary) }
	r.latest.ctx, r.latest.close = context.WithCancel(context.Background())
	return r, nil
}

var errNoCopy = errors.New("db: the server is no copy of the primary, or the role finds other tables there")

// copied is what a physical copy of a database has in common with it.
type copied struct {
	system   int64
	database string
	table    int64 // the OID of a table that the introspections read, as the search_path finds it
}

func (c *copied) read(ctx context.Context, on interface {
	QueryRow(context.Context, string, ...any) pgx.Row
},
) error {
	var table *int64
	err := on.QueryRow(ctx, `
		SELECT s.system_identifier, current_database()::text, to_regclass('oauth_access_token')::oid::int8 FROM pg_control_system() AS s
	`).Scan(&c.system, &c.database, &table)
	if err == nil && table == nil {
		err = errors.New("there is no table oauth_access_token in the search_path")
	}
	if err == nil {
		c.table = *table
	}
	return err
}

// Close closes the connections to the standbys. Those to the primary stay open.
func (r *Replica) Close() {
	r.latest.close()
	r.standby.Close()
}

// Position is [CurrentPosition] on the primary, for the introspection that is to be made next: whatever was acknowledged before the call of
// Position lies before it. Callers who come while one is being asked for share the next one, so however many introspections there are, the
// primary is asked for one position at a time.
func (r *Replica) Position(ctx context.Context) (Position, error) { return r.latest.next(ctx) }

// positions has callers share positions that began to be read after they came.
type positions struct {
	read  func(context.Context) (Position, error)
	ctx   context.Context
	close context.CancelFunc

	mu      sync.Mutex
	running bool
	coming  *comingPosition // isn't being read yet
}

type comingPosition struct {
	done chan struct{}
	at   Position
	err  error
}

func (p *positions) next(ctx context.Context) (Position, error) {
	p.mu.Lock()
	if p.coming == nil {
		p.coming = &comingPosition{done: make(chan struct{})}
	}
	coming := p.coming
	if !p.running {
		p.running = true
		go p.run()
	}
	p.mu.Unlock()
	select {
	case <-coming.done:
		return coming.at, coming.err
	case <-ctx.Done():
		return Position{}, ctx.Err()
	}
}

// run reads positions as long as somebody waits for one.
func (p *positions) run() {
	for {
		p.mu.Lock()
		coming := p.coming
		p.coming, p.running = nil, coming != nil
		p.mu.Unlock()
		if coming == nil {
			return
		}
		ctx, cancel := context.WithTimeout(p.ctx, positionTimeout)
		coming.at, coming.err = p.read(ctx)
		cancel()
		close(coming.done)
	}
}

// Standby is the pool of connections to the standbys, for its statistics.
func (r *Replica) Standby() *pgxpool.Pool { return r.standby }

// ReplicaStat counts introspections by who has answered them, and why.
type ReplicaStat struct {
	ByStandby int64 // answered by a standby
	Without   int64 // by the primary, as no position was given
	Behind    int64 // by the primary, as no standby had reached the position in time
	Failed    int64 // by the primary, as no standby could be asked or gave an answer
	// LastError is the last reason for Failed, as [Describe] tells it.
	LastError string
}

// Stat returns what has become of the introspections so far.
func (r *Replica) Stat() ReplicaStat {
	s := ReplicaStat{ByStandby: r.byStandby.Load(), Without: r.without.Load(), Behind: r.late.Load(), Failed: r.errors.Load()}
	if err := r.lastError.Load(); err != nil {
		s.LastError = Describe(*err)
	}
	return s
}

// Exec implements [store.DBTX], on the primary.
func (r *Replica) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return r.primary.Exec(ctx, sql, args...)
}

// Query implements [store.DBTX], on the primary.
func (r *Replica) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.primary.Query(ctx, sql, args...)
}

// QueryRow implements [store.DBTX]: on a standby if it is an introspection whose context has a position, and else on the primary. The
// statement is sent by Scan.
func (r *Replica) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if !introspections[QueryName(sql)] {
		return r.primary.QueryRow(ctx, sql, args...)
	}
	at, _ := ctx.Value(positionKey{}).(Position)
	if at.IsZero() {
		r.without.Add(1)
		return r.primary.QueryRow(ctx, sql, args...)
	}
	return &replicaRow{replica: r, ctx: ctx, at: at, sql: sql, args: args}
}

type replicaRow struct {
	replica *Replica
	ctx     context.Context
	at      Position
	sql     string
	args    []any
}

// Scan implements [pgx.Row].
func (w *replicaRow) Scan(dest ...any) error {
	r := w.replica
	reached, err := r.read(w, dest)
	switch {
	case err != nil && w.ctx.Err() != nil:
		return err
	case err != nil:
		r.errors.Add(1)
		r.lastError.Store(&err)
	case !reached:
		r.late.Add(1)
	default:
		r.byStandby.Add(1)
		return nil
	}
	return r.primary.QueryRow(w.ctx, w.sql, w.args...).Scan(dest...)
}

// read asks a standby until it has reached the position, for as long as it may take.
func (r *Replica) read(w *replicaRow, dest []any) (reached bool, err error) {
	now := time.Since(r.began)
	if last := r.lastError.Load(); last != nil && int64(now) < r.failed.Load() {
		return false, *last
	}
	patient := int64(now) >= r.behind.Load()
	wait := r.wait
	if ends, ok := w.ctx.Deadline(); ok {
		wait = min(wait, time.Until(ends)/2) // the rest is for the primary
	}
	ctx, cancel := context.WithTimeout(w.ctx, wait)
	defer cancel()
	ends, _ := ctx.Deadline()
	is := unknown
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		before := is
		is, err = r.ask(ctx, w, dest)
		if is == unknown && before == onItsWay && ctx.Err() != nil {
			is, err = onItsWay, nil // the time was up before it had answered once more
		}
		switch {
		case is == unknown && w.ctx.Err() == nil:
			r.failed.Store(int64(time.Since(r.began) + replicaPause))
			return false, err
		case err != nil || is == there || is == never:
			return is == there && err == nil, err
		case !patient || time.Until(ends) < pause || sleep(ctx, pause) != nil:
			r.behind.Store(int64(time.Since(r.began) + replicaPause))
			return false, w.ctx.Err()
		}
	}
}

// ask sends the question whether the position is reached and the introspection together: they are one round trip and one transaction, on
// one server. The introspection has a snapshot of its own, taken after the first answer. In a single statement, the snapshot of all would be
// older than the answer, and might lack what was replayed in between.
func (r *Replica) ask(ctx context.Context, w *replicaRow, dest []any) (is standing, err error) {
	var batch pgx.Batch
	batch.Queue(standingSQL, int64(w.at.timeline), int64(w.at.lsn))
	batch.Queue(w.sql, w.args...)
	results := r.standby.SendBatch(ctx, &batch)
	var reached, comes bool
	if err := results.QueryRow().Scan(&reached, &comes); err != nil {
		_ = results.Close() // says the same
		return unknown, err
	}
	is = never
	switch {
	case reached:
		is, err = there, results.QueryRow().Scan(dest...)
	case comes:
		is = onItsWay
	}
	if closed := results.Close(); is == there && err == nil {
		err = closed
	}
	return is, err
}

// standing is where a standby is in relation to a position.
type standing int

const (
	unknown  standing = iota // it has not answered
	there                    // it has replayed it
	onItsWay                 // it may replay it, with time
	never                    // it is no standby, or one on another timeline, or its snapshots are too old
)

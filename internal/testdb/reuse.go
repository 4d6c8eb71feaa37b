package testdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Reuse returns m, whose tests hand their databases on: what a test has written is deleted, and the next test gets the database
// with its pool and one of its connections. That costs the server a third of what a new database does, as the connection knows the
// catalog and has its statements planned.
//
//	func TestMain(m *testing.M) { os.Exit(testdb.Reuse(m).Run()) }
//
// A test finds what it would find in a new database. One that can't be handed on is dropped: that of a test which has changed more
// than rows, or has left a connection of its own, or has asked for migrations.
func Reuse(m interface{ Run() int }) interface{ Run() int } { return reusing{m} }

type reusing struct{ m interface{ Run() int } }

func (r reusing) Run() int {
	handedOn.start()
	code := r.m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := handedOn.end(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "test database: dropping those that were handed on:", err)
		return cmp.Or(code, 1)
	}
	return code
}

// handedOn are the databases of this process that no test has at the moment.
var handedOn shelf

// shelf keeps databases between one test and the next. It is closed at first.
type shelf struct {
	mu   sync.Mutex
	open bool
	free []*database // the one that was put there last is at the end
}

// freeMost databases are kept, most often in memory.
const freeMost = 4

func (s *shelf) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
}

// end drops the databases and keeps no more.
func (s *shelf) end(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, d := range s.free {
		errs = append(errs, d.drop(ctx))
	}
	s.open, s.free = false, nil
	return errors.Join(errs...)
}

func (s *shelf) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// take returns a database whose pool is of a kind, or nil.
func (s *shelf) take(kind string) *database {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, d := range slices.Backward(s.free) {
		if d.kind == kind {
			s.free = slices.Delete(s.free, i, i+1)
			return d
		}
	}
	return nil
}

// put returns the database that has to go for d, or nil.
func (s *shelf) put(d *database) (surplus *database) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, d)
	if !s.open || len(s.free) > freeMost {
		surplus = s.free[0]
		s.free = slices.Delete(s.free, 0, 1)
	}
	return surplus
}

// handOn empties the database for the next test. It returns the database that is not to be kept: this one, if the next test would
// see that it has been used, or another, or none.
func (d *database) handOn(ctx context.Context) (surplus *database) {
	// What a session that is about to end has locked isn't waited for.
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if d.keeper == nil || d.empty(soon) != nil {
		return d
	}
	return d.shelf.put(d)
}

// keeper is the superuser in one database. It empties it, and knows how it was.
type keeper struct {
	conn  *pgx.Conn
	state string // a query whose answer changes with the catalog, and with the rows that were there at first
	was   string // its first answer
	empty string // a statement that deletes the other rows and sets the sequences back
	size  int64  // in bytes
}

// mostGrown is by how many bytes a database may grow: where much has been deleted, a new one is faster.
const mostGrown = 8 << 20

// errChanged is why a database is not handed on.
var errChanged = errors.New("the test has changed more than rows")

// keeperOf returns the keeper of a new database, or nil if that won't be handed on.
func keeperOf(ctx context.Context, d *database) (_ *keeper, err error) {
	if d.kind == "" || !d.shelf.isOpen() {
		return nil, nil
	}
	s, err := server(ctx)
	if err != nil {
		return nil, err
	}
	as := s.admin
	as.Database = d.conf.Database
	config, err := pgx.ParseConfig(as.URL())
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["session_replication_role"] = "replica" // neither triggers nor foreign keys: all tables are emptied
	config.RuntimeParams["search_path"] = "pg_catalog"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	k := &keeper{conn: conn}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
		}
	}()

	// What a test writes to a catalog, its transaction has a younger number. What it deletes is missing.
	var xid string
	if err := conn.QueryRow(ctx, "SELECT pg_current_xact_id()::xid::text, pg_database_size(current_database())").Scan(&xid, &k.size); err != nil {
		return nil, err
	}
	rows, _ := conn.Query(ctx, `
		SELECT c.oid::regclass::text, n.nspname = 'pg_catalog'
		FROM pg_class AS c
		JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND NOT c.relisshared AND n.nspname <> 'information_schema'
			AND c.oid <> ALL ('{pg_statistic,pg_statistic_ext_data}'::regclass[])
		ORDER BY c.oid`)
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		Name    string
		Catalog bool
	}])
	if err != nil {
		return nil, err
	}
	var state, empty []string
	for _, t := range tables {
		written := fmt.Sprintf("age(xmin) < age('%s'::xid)", xid)
		if t.Catalog {
			state = append(state, fmt.Sprintf("SELECT '%s', count(*), count(*) FILTER (WHERE %s) FROM %[1]s", t.Name, written))
		} else { // rows that were there from the beginning have to be there, as they were
			state = append(state, fmt.Sprintf("SELECT '%s', count(*) FILTER (WHERE NOT %s), 0 FROM %[1]s", t.Name, written))
			empty = append(empty, fmt.Sprintf("d%d AS (DELETE FROM %s WHERE %s)", len(empty), t.Name, written))
		}
	}
	k.state = `
		SELECT md5(string_agg(s::text, ' '))
		FROM (
			` + strings.Join(state, " UNION ALL ") + `
			UNION ALL
			SELECT r.setconfig::text, r.setrole::bigint, 0 FROM pg_db_role_setting AS r JOIN pg_database AS d ON d.oid = r.setdatabase WHERE d.datname = current_database()
			UNION ALL
			SELECT d.datacl::text, d.datdba::bigint, d.datconnlimit FROM pg_database AS d WHERE d.datname = current_database()
		) AS s`
	k.empty = "WITH " + strings.Join(empty, ", ") + " SELECT 1"
	rows, _ = conn.Query(ctx, `
		SELECT format('setval(%s, %s, %L)', seqrelid, coalesce(pg_sequence_last_value(seqrelid), seqstart), pg_sequence_last_value(seqrelid) IS NOT NULL)
		FROM pg_sequence`)
	sequences, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for _, s := range sequences {
		k.empty += ", " + s
	}
	return k, conn.QueryRow(ctx, k.state).Scan(&k.was)
}

func (k *keeper) close(ctx context.Context) error {
	if k == nil {
		return nil
	}
	return k.conn.Close(ctx)
}

// inSession resets what belongs to a session, but the statements that pgx has prepared. It says whether there are others.
const inSession = `
	CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES;
	SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE from_sql)`

// empty deletes what a test has written, and fails if the database is not as it was before.
func (d *database) empty(ctx context.Context) error {
	session, err := d.oneSession(ctx)
	if err != nil {
		return err
	}
	// A session that has been closed may not have ended yet.
	for deadline := time.Now().Add(time.Second); ; time.Sleep(5 * time.Millisecond) {
		var others bool
		if err := d.keeper.conn.QueryRow(ctx, `
			SELECT EXISTS (
				SELECT FROM pg_stat_activity AS a
				WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid NOT IN ($1::int, pg_backend_pid())
			)`, session).Scan(&others); err != nil {
			return err
		}
		if !others {
			break
		}
		if time.Now().After(deadline) {
			return errChanged
		}
	}
	var now string
	var size int64
	if err := d.keeper.conn.QueryRow(ctx, d.keeper.state).Scan(&now); err != nil {
		return err
	}
	if err := d.keeper.conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&size); err != nil {
		return err
	}
	if now != d.keeper.was || size > d.keeper.size+mostGrown {
		return errChanged
	}
	_, err = d.keeper.conn.Exec(ctx, d.keeper.empty)
	return err
}

// oneSession closes all connections of the pool but one, for every test to find the same, resets that and returns its process.
func (d *database) oneSession(ctx context.Context) (pid uint32, err error) {
	conns := d.pool.AcquireAllIdle(ctx)
	if len(conns) == 0 {
		c, err := d.pool.Acquire(ctx) // which fails if the test has closed the pool
		if err != nil {
			return 0, err
		}
		conns = append(conns, c)
	}
	for i, c := range conns {
		if i > 0 {
			err = errors.Join(err, c.Conn().Close(ctx))
		} else {
			pid = c.Conn().PgConn().PID()
			err = reset(ctx, c.Conn())
		}
		c.Release()
	}
	for err == nil && d.pool.Stat().TotalConns() > 1 { // one that is closed is discarded a moment later
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	return pid, err
}

func reset(ctx context.Context, conn *pgx.Conn) error {
	results, err := conn.PgConn().Exec(ctx, inSession).ReadAll()
	if err != nil {
		return err
	}
	delete(conn.PgConn().CustomData(), roleData)
	if last := results[len(results)-1]; string(last.Rows[0][0]) != "f" {
		return errChanged
	}
	return nil
}

// kind tells pools apart, those that can be handed on. It is empty for others.
func (o Options) kind() string {
	if o.Migrations != nil || Pooled() { // PgBouncer ends with its test
		return ""
	}
	switch o.Tracer.(type) {
	case pgx.BatchTracer, pgx.CopyFromTracer, pgx.PrepareTracer, pgx.ConnectTracer:
		return "" // pgx asks once what a tracer traces
	}
	filled := ""
	if o.Fill != nil {
		filled = o.Fill.ID
	}
	return fmt.Sprintf("%d %q %q %t %t %q", o.MaxConns, o.TimeZone, o.Settings, o.Tracer != nil, o.Roles, filled)
}

// tracer is that of a pool which is handed on: the test's.
type tracer struct {
	of atomic.Pointer[pgx.QueryTracer]
}

func (t *tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return (*t.of.Load()).TraceQueryStart(ctx, conn, data)
}

func (t *tracer) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	(*t.of.Load()).TraceQueryEnd(ctx, conn, data)
}

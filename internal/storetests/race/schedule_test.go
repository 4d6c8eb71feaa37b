package race

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// This file is the driver that walks schedules. It holds rows of a scene by connections of its own, so that calls stop where they lock them.
// Once every call has stopped or returned, it chooses who goes on: it starts a call, lets one pass the row that it waits for, or commits one
// that has returned. It walks all choices, and never sleeps to let something happen: pg_locks says who waits for whom.

// actor is a call of a schedule.
type actor struct {
	name string
	run  func(ctx context.Context, c conn, s *scene) (string, error)
	what any // the *grantAct, *endAct or *callAct that it is
	// statements that another server makes without a transaction
	autocommit bool
}

// rowName names a row in every scene: table and key, in which # stands for what differs.
type rowName string

// strength is how a row is locked.
type strength int

const (
	keyShare strength = 1 + iota // FOR KEY SHARE
	write                        // FOR NO KEY UPDATE, or FOR SHARE
	erase                        // FOR UPDATE, which nothing can share
)

// scheduler plays schedules in a world of its own.
type scheduler struct {
	*world
	super   *pgx.Conn
	eraser  *pgx.Conn // deletes without cascades
	actors  []*pgxpool.Conn
	holders []*pgxpool.Conn
	watch   *pgxpool.Conn // looks who waits
	locks   map[string]map[rowName]strength
	inserts map[string]map[rowName]bool // the rows that a call inserts
	staged  map[string]bool             // the functions that are there
	played  int
	anew    bool    // truncates all tables before each scene
	set     setting // of the last scene
}

const (
	maxActors  = 3
	maxHolders = 14
	// hang is how long a call may take to stop or to return.
	hang = 20 * time.Second
)

func newScheduler(w *world) *scheduler {
	w.Helper()
	x := &scheduler{world: w, super: raceSuperuser(w), eraser: raceSuperuser(w), locks: map[string]map[rowName]strength{}, staged: map[string]bool{}, inserts: map[string]map[rowName]bool{}}
	// of a connection of its own, as whoever changes that loses the plans that it keeps
	_, err := x.eraser.Exec(w.Ctx, `SET session_replication_role = replica`)
	w.OK(err)
	get := func() *pgxpool.Conn {
		c, err := w.Pool.Acquire(w.Ctx)
		w.OK(err)
		return c
	}
	for range maxActors {
		x.actors = append(x.actors, get())
	}
	for range maxHolders {
		x.holders = append(x.holders, get())
	}
	x.watch = get()
	x.guard()
	w.Cleanup(func() {
		for _, c := range append(append(x.actors, x.holders...), x.watch) {
			c.Release()
		}
		x.super.Close(context.WithoutCancel(w.Ctx))
		x.eraser.Close(context.WithoutCancel(w.Ctx))
	})
	return x
}

// tableKey is an expression: the key of a row x by which rowName names it.
func tableKey(table string) string {
	switch table { // of which the database makes the id
	case "oauth_client_secret":
		return "x.client_id || ' ' || x.digest"
	case "recovery_code":
		return "x.user_id || ' ' || x.digest"
	case "one_time_code", "attempt_count":
		return "x.purpose || ' ' || x.subject"
	case "oauth_pairwise_subject":
		return "x.sector || ' ' || x.user_id"
	case "session_client":
		return "x.session_id || ' ' || x.client_id"
	case "security_event":
		return "x.call"
	}
	return "x.id"
}

// setting is what a scene is like: of families bound to the session, furnished for all calls, aged.
type setting struct{ bound, furnished, aged bool }

// stage empties the database and writes a scene. Functions do that, because they keep the plans of their many statements.
func (x *scheduler) stage(set setting) *scene {
	x.Helper()
	x.set = set
	s, sql := sceneOf(sceneName, set.bound, false)
	s.known = s.digests()
	function := fmt.Sprintf("stage_%t_%t_%t", set.bound, set.furnished, set.aged)
	if !x.staged[function] {
		x.staged[function] = true
		if set.furnished {
			sql += ";" + past(s.furniture())
		}
		if set.aged {
			sql += ";" + past(s.ageing())
		}
		var empty string
		for _, table := range fixture.Tables {
			empty += fmt.Sprintf("DELETE FROM %s;", pgx.Identifier{table}.Sanitize())
		}
		for name, body := range map[string]string{function: sql, "empty": empty} {
			_, err := x.super.Exec(x.Ctx, "CREATE OR REPLACE FUNCTION "+name+"() RETURNS void LANGUAGE plpgsql AS $scene$ BEGIN "+strings.TrimSuffix(body, ";")+"; END $scene$", pgx.QueryExecModeSimpleProtocol)
			x.OK(err)
		}
	}
	if x.played++; x.anew || x.played%200 == 0 { // what was deleted takes room
		_, err := x.super.Exec(x.Ctx, `TRUNCATE "`+strings.Join(fixture.Tables, `", "`)+`"`)
		x.OK(err)
	}
	_, err := x.eraser.Exec(x.Ctx, "SELECT empty()")
	x.OK(err)
	_, err = x.super.Exec(x.Ctx, "SELECT "+function+"()")
	x.OK(err)
	return s
}

// past lets what happens now happen a minute ago, so that it is over for every clock.
func past(sql string) string {
	return regexp.MustCompile(`now\(\)( [-+])?`).ReplaceAllStringFunc(sql, func(now string) string {
		if now == "now()" {
			return "(now() - interval '1 minute')"
		}
		return now
	})
}

// sceneName is what is in the ids of all scenes, one of which is there at a time.
const sceneName = "7SCENES"

// general names a row of a scene as in every scene.
func (s *scene) general(text string) string { return strings.ReplaceAll(text, s.n, "#") }

// locksOf are the rows that a call locks, if nobody else is there. The rows that it inserts are none of them.
func (x *scheduler) locksOf(a actor, set setting) map[rowName]strength {
	x.Helper()
	key := fmt.Sprint(a.name, set)
	if locks, known := x.locks[key]; known {
		return locks
	}
	s := x.stage(set)
	tx, err := x.actors[0].Begin(x.Ctx)
	x.OK(err)
	if _, err = a.run(x.Ctx, tx, s); err != nil {
		x.Fatalf("%s, alone: %v", a.name, err)
	}
	locks := map[rowName]strength{}
	before := x.rowsThatLock(x.watch, s, "")
	inserted := x.rowsThatLock(tx, s, "")
	maps.DeleteFunc(inserted, func(row rowName, _ bool) bool { return before[row] })
	x.inserts[key] = inserted
	free := x.rowsThatLock(x.watch, s, "FOR UPDATE SKIP LOCKED")
	for row := range before {
		switch {
		case free[row]:
		case x.canLock(s, row, "FOR NO KEY UPDATE"):
			locks[row] = keyShare
		case x.canLock(s, row, "FOR KEY SHARE"):
			locks[row] = write
		default:
			locks[row] = erase
		}
	}
	x.OK(tx.Rollback(x.Ctx))
	x.locks[key] = locks
	return locks
}

// rowsThatLock are the rows of a scene that can be locked.
func (x *scheduler) rowsThatLock(c conn, s *scene, lock string) map[rowName]bool {
	x.Helper()
	var with, from []string
	for i, table := range fixture.Tables {
		with = append(with, fmt.Sprintf("t%d AS MATERIALIZED (SELECT %s AS k FROM %s AS x %s)", i, tableKey(table), pgx.Identifier{table}.Sanitize(), lock))
		from = append(from, fmt.Sprintf("SELECT '%s ' || k FROM t%d", table, i))
	}
	rows, err := c.Query(x.Ctx, "WITH "+strings.Join(with, ", ")+" "+strings.Join(from, " UNION ALL "))
	x.OK(err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	x.OK(err)
	got := map[rowName]bool{}
	for _, name := range names {
		got[s.rowName(name)] = true
	}
	return got
}

// canLock says whether nobody holds a row in a way that conflicts with a lock.
func (x *scheduler) canLock(s *scene, row rowName, lock string) bool {
	x.Helper()
	var one int
	// SKIP LOCKED follows a row to a later version, and waits for that
	_, err := x.watch.Exec(x.Ctx, `SET lock_timeout = '50ms'`)
	x.OK(err)
	err = x.watch.QueryRow(x.Ctx, "SELECT 1 FROM "+row.from(s)+" "+lock+" SKIP LOCKED").Scan(&one)
	_, reset := x.watch.Exec(x.Ctx, `RESET lock_timeout`)
	x.OK(reset)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) && code(err) != "55P03" {
		x.OK(err)
	}
	return err == nil
}

// rowName is the name of a row of this scene, and from is what stands behind FROM for it, with x for the row.
func (s *scene) rowName(name string) rowName {
	known := s.digests()
	words := strings.Fields(name)
	for i, word := range words {
		if raw := known[word]; raw != "" {
			words[i] = "digest:" + raw
		}
	}
	return rowName(s.general(strings.Join(words, " ")))
}

func (r rowName) from(s *scene) string {
	words := strings.Fields(strings.ReplaceAll(string(r), "#", s.n))
	for i, word := range words {
		raw, isDigest := strings.CutPrefix(word, "digest:")
		for digest, of := range s.known {
			if isDigest && of == raw {
				words[i] = digest
			}
		}
	}
	return fmt.Sprintf("%s AS x WHERE %s = %s", pgx.Identifier{words[0]}.Sanitize(), tableKey(words[0]), quote(strings.Join(words[1:], " ")))
}

// step is what may happen next in a schedule.
type step struct {
	actor int
	what  string // "starts", "passes" or "commits"
	row   rowName
}

// held is a row that a holder has.
type held struct {
	conn  *pgxpool.Conn
	level int // 2: FOR UPDATE; 1: FOR SHARE, which only writers wait for; 0: free
}

// schedule is one way in which calls meet.
type schedule struct {
	*scheduler
	s      *scene
	actors []actor
	runs   []actorRun
	holds  map[rowName]*held
	trace  []string
	waited map[string]bool // actor and row

	lastStart int // who has started last, if nothing else has happened yet, else -1
}

type actorRun struct {
	c         conn
	tx        pgx.Tx // nil in autocommit
	pid       uint32
	started   bool
	returned  bool
	committed bool
	frozen    rowName // at which it is stopped by a signal, while others pass
	done      chan struct{}
	outcome   string
	err       error
	blockers  []uint32
	begun     int // the moments of its start and its commit
	ended     int
	read      int // from when on it reads
}

// play plays a schedule: pick chooses among the steps.
func (x *scheduler) play(s *scene, actors []actor, hold []rowName, pick func(steps []string) int) *schedule {
	x.Helper()
	p := &schedule{scheduler: x, s: s, actors: actors, runs: make([]actorRun, len(actors)), holds: map[rowName]*held{}, waited: map[string]bool{}, lastStart: -1}
	if len(hold) > maxHolders {
		hold = hold[:maxHolders]
	}
	var begin errgroup.Group
	for i, row := range hold {
		h := &held{conn: x.holders[i], level: 2}
		one := "SELECT FROM " + row.from(s)
		begin.Go(func() error {
			_, err := h.conn.Exec(x.Ctx, "BEGIN; "+one+" FOR SHARE; SAVEPOINT shared; "+one+" FOR UPDATE", pgx.QueryExecModeSimpleProtocol)
			return err
		})
		p.holds[row] = h
	}
	for i := range p.runs {
		r := &p.runs[i]
		r.c, r.pid = x.actors[i], x.actors[i].Conn().PgConn().PID()
		if !actors[i].autocommit {
			begin.Go(func() (err error) {
				r.tx, err = x.actors[i].Begin(x.Ctx)
				r.c = r.tx
				return err
			})
		}
	}
	x.OK(begin.Wait())
	defer func() {
		var end errgroup.Group
		for _, h := range p.holds {
			end.Go(func() error { return h.weaken(context.WithoutCancel(x.Ctx), 0) })
		}
		x.OK(end.Wait())
		for i := range p.runs {
			p.thaw(&p.runs[i])
			if r := &p.runs[i]; r.started && !r.returned {
				x.super.Exec(context.WithoutCancel(x.Ctx), `SELECT pg_cancel_backend($1)`, r.pid)
				<-r.done
			}
			if r := &p.runs[i]; !r.committed && r.tx != nil {
				r.tx.Rollback(context.WithoutCancel(x.Ctx))
			}
		}
	}()
	for {
		steps := p.steps()
		if len(steps) == 0 {
			break
		}
		names := make([]string, len(steps))
		for i, step := range steps {
			names[i] = p.describe(step)
		}
		p.do(steps[pick(names)])
	}
	for i := range p.runs {
		if !p.runs[i].committed && p.runs[i].err == nil {
			x.Fatalf("nothing can happen any more, but %s waits:\n%s", p.actors[i].name, p.story())
		}
	}
	return p
}

func (p *schedule) describe(st step) string {
	name := string(rune('A' + st.actor))
	if st.row != "" {
		return name + " " + st.what + " " + string(st.row)
	}
	return name + " " + st.what
}

// steps are those that are possible, in the order of the actors. Of two orders that come to the same it leaves one out: two calls that start one
// after the other and stop at rows for which they don't wait for each other, and calls that have all returned.
func (p *schedule) steps() []step {
	var steps []step
	for i := range p.runs {
		r := &p.runs[i]
		switch {
		case r.committed || r.err != nil:
		case !r.started:
			if p.lastStart <= i || !p.startAlike(i, p.lastStart) {
				steps = append(steps, step{actor: i, what: "starts"})
			}
		case r.returned:
			steps = append(steps, step{actor: i, what: "commits"})
		case r.frozen != "":
			steps = append(steps, step{actor: i, what: "passes", row: r.frozen})
			p.waited[fmt.Sprint(i, r.frozen)] = true
		default:
			for row, h := range p.holds {
				if r.waitsFor(h) {
					steps = append(steps, step{actor: i, what: "passes", row: row})
					p.waited[fmt.Sprint(i, row)] = true
					break
				}
			}
		}
	}
	if len(steps) > 1 && !slices.ContainsFunc(p.runs, func(r actorRun) bool { return !r.returned }) {
		return steps[:1]
	}
	return steps
}

// startAlike says whether it makes no difference which of two calls starts first: each stops at a row that is held, all rows about which they
// could wait for each other are held, and they don't queue for one.
func (p *schedule) startAlike(i, j int) bool {
	a, b := p.locks[fmt.Sprint(p.actors[i].name, p.set)], p.locks[fmt.Sprint(p.actors[j].name, p.set)]
	for row, strength := range a {
		_, isHeld := p.holds[row]
		other := b[row]
		if !isHeld && other > 0 && max(strength, other) > keyShare || isHeld && min(strength, other) > keyShare {
			return false
		}
	}
	stops := func(locks map[rowName]strength) bool {
		for row := range p.holds {
			if locks[row] > 0 {
				return true
			}
		}
		return false
	}
	return stops(a) && stops(b)
}

// do takes a step, and waits until every call has stopped.
func (p *schedule) do(st step) {
	p.Helper()
	p.trace = append(p.trace, p.describe(st))
	r := &p.runs[st.actor]
	if p.lastStart = -1; st.what == "starts" && !slices.ContainsFunc(p.trace, func(line string) bool { return !strings.HasSuffix(line, " starts") }) {
		p.lastStart = st.actor
	}
	switch st.what {
	case "starts":
		r.started, r.begun, r.read = true, len(p.trace), len(p.trace)
		r.done = make(chan struct{})
		go func() {
			r.outcome, r.err = p.actors[st.actor].run(p.Ctx, r.c, p.s)
			close(r.done)
		}()
	case "passes":
		h := p.holds[st.row]
		if p.actors[st.actor].readsAfter(st.row) {
			r.read = len(p.trace)
		}
		if r.frozen != "" {
			p.thaw(r)
			if p.settle(); r.returned || !r.waitsFor(h) {
				return
			}
		}
		for i := range p.runs { // they would pass at the same time, and nobody could say who comes to the next row first
			if o := &p.runs[i]; i != st.actor && o.waitsFor(h) {
				p.freeze(o, st.row)
			}
		}
		if h.level == 2 { // those that lock it FOR KEY SHARE pass alone
			p.free(h, 1)
			p.settle()
			if r.returned || !r.waitsFor(h) {
				return
			}
		}
		p.free(h, 0)
	case "commits":
		p.OK(r.tx.Commit(p.Ctx))
		r.committed, r.ended = true, len(p.trace)
	}
	p.settle()
}

// readsAfter says whether a call reads what it depends on when it has locked a row: another server's statement, in triggers that lock its parents
// first. Calls of ours have read before, but for those that readsLast names.
func (a actor) readsAfter(row rowName) bool {
	g, is := a.what.(*grantAct)
	table, _, _ := strings.Cut(string(row), " ")
	return is && g.want == "" && slices.Contains([]string{"user", "oauth_client", "session"}, table)
}

// readsLast says whether a call reads what it depends on once it has all its rows: an approval.
func (a actor) readsLast() bool {
	g, is := a.what.(*grantAct)
	return is && strings.HasPrefix(g.name, "ApproveAuthorization")
}

func (r *actorRun) waitsFor(h *held) bool {
	return r.started && !r.returned && r.frozen == "" && slices.Contains(r.blockers, h.conn.Conn().PgConn().PID())
}

// freeze stops the server process of a call that waits for a row. It asks whether the process sleeps in the lock, as it looks for deadlocks now
// and then, and holds then what all others need. Where it can't send a signal, as to another machine's server, the call goes on.
func (p *schedule) freeze(r *actorRun, row rowName) {
	p.Helper()
	for deadline := time.Now().Add(hang); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if syscall.Kill(int(r.pid), syscall.SIGSTOP) != nil {
			return
		}
		r.frozen = row
		var asleep bool
		p.OK(p.watch.QueryRow(p.Ctx, `SELECT coalesce(wait_event_type = 'Lock', false) FROM pg_stat_activity WHERE pid = $1`, r.pid).Scan(&asleep))
		if asleep {
			return
		}
		p.thaw(r)
	}
	p.Fatalf("%d doesn't sleep while it waits for %s", r.pid, row)
}

// guard lets the server processes of the actors go on if the test is killed while one of them is stopped. A stopped process would hold up every
// DROP DATABASE of its server.
func (x *scheduler) guard() {
	x.Helper()
	var pids []string
	for _, c := range x.actors {
		pids = append(pids, fmt.Sprint(c.Conn().PgConn().PID()))
	}
	cmd := exec.Command("sh", "-c", "cat; kill -CONT "+strings.Join(pids, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // whoever kills the test kills its group
	alive, err := cmd.StdinPipe()
	x.OK(err)
	x.OK(cmd.Start())
	x.Cleanup(func() {
		alive.Close()
		cmd.Wait()
	})
}

func (p *schedule) thaw(r *actorRun) {
	if r.frozen != "" {
		syscall.Kill(int(r.pid), syscall.SIGCONT)
		r.frozen = ""
	}
}

// free weakens what a holder has to a level.
func (p *schedule) free(h *held, level int) {
	p.Helper()
	p.OK(h.weaken(p.Ctx, level))
}

func (h *held) weaken(ctx context.Context, level int) error {
	if h.level <= level {
		return nil
	}
	sql := "ROLLBACK"
	if level == 1 {
		sql = "ROLLBACK TO shared"
	}
	h.level = level
	_, err := h.conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// settle waits until every call that was started has returned, or waits for a holder, or for a call that has stopped itself.
func (p *schedule) settle() {
	p.Helper()
	asked := false
	pause := 250 * time.Microsecond
	deadline := time.Now().Add(hang)
	for {
		var pids []uint32
		var running []*actorRun
		for i := range p.runs {
			r := &p.runs[i]
			if !r.started || r.returned || r.frozen != "" {
				continue
			}
			select {
			case <-r.done:
				r.returned, r.blockers = true, nil
				if p.actors[i].readsLast() {
					r.read = len(p.trace)
				}
				switch {
				case r.tx == nil:
					r.committed, r.ended = r.err == nil, len(p.trace)
				case r.err != nil:
					r.tx.Rollback(context.WithoutCancel(p.Ctx))
					r.ended = len(p.trace)
				}
			default:
				pids, running = append(pids, r.pid), append(running, r)
			}
		}
		if len(running) == 0 {
			return
		}
		if asked {
			select {
			case <-running[0].done:
				continue
			case <-time.After(pause):
			}
			pause = min(2*pause, 8*time.Millisecond)
		}
		rows, err := p.watch.Query(p.Ctx, `SELECT pg_blocking_pids(pid) FROM unnest($1::integer[]) AS p (pid)`, pids)
		p.OK(err)
		blockers, err := pgx.CollectRows(rows, pgx.RowTo[[]uint32])
		p.OK(err)
		for i, r := range running {
			r.blockers = blockers[i]
		}
		if p.stopped(running) { // who holds what they wait for doesn't give it back by itself
			return
		}
		asked = true
		if time.Now().After(deadline) {
			p.Fatalf("neither waits nor returns:\n%s", p.story())
		}
	}
}

// stopped says whether none of the calls that run can go on by itself: each waits in the end for a holder, or for a call that has returned.
func (p *schedule) stopped(running []*actorRun) bool {
	rest := map[uint32]bool{} // who doesn't move
	for _, h := range p.holds {
		rest[h.conn.Conn().PgConn().PID()] = true
	}
	for i := range p.runs {
		if r := &p.runs[i]; r.returned && !r.committed || r.frozen != "" {
			rest[r.pid] = true
		}
	}
	for range running { // those in a circle never come to rest: PostgreSQL ends it
		for _, r := range running {
			if len(r.blockers) > 0 && !slices.ContainsFunc(r.blockers, func(pid uint32) bool { return !rest[pid] }) {
				rest[r.pid] = true
			}
		}
	}
	return !slices.ContainsFunc(running, func(r *actorRun) bool { return !rest[r.pid] })
}

// outcomes are what the calls came to.
func (p *schedule) outcomes() string {
	var all []string
	for i := range p.runs {
		all = append(all, p.came(i))
	}
	return strings.Join(all, ", ")
}

func (p *schedule) came(i int) string {
	r := &p.runs[i]
	if r.err != nil {
		if e, ok := errors.AsType[*pgconn.PgError](r.err); ok {
			return "error " + e.Code + " " + e.ConstraintName
		}
		return p.s.general(r.err.Error())
	}
	return r.outcome
}

func (p *schedule) story() string {
	var b strings.Builder
	for i, a := range p.actors {
		fmt.Fprintf(&b, "\t%c is %s: %s\n", 'A'+i, a.name, p.came(i))
	}
	for _, line := range p.trace {
		fmt.Fprintf(&b, "\t%s\n", line)
	}
	return b.String()
}

// walk plays all schedules of calls: each in a scene of its own, until all choices were made. It ends after most of them.
func (x *scheduler) walk(actors []actor, set setting, hold []rowName, most int, judge func(p *schedule)) (schedules int) {
	x.Helper()
	type choice struct {
		steps []string
		taken int
	}
	var path []choice
	for schedules < most {
		depth, other := 0, ""
		p := x.play(x.stage(set), actors, hold, func(steps []string) int {
			switch {
			case depth == len(path):
				path = append(path, choice{steps, 0})
			case other == "" && !slices.Equal(path[depth].steps, steps):
				other = fmt.Sprintf("%v, then %v", path[depth].steps, steps)
			}
			if depth++; other != "" {
				return 0
			}
			return path[depth-1].taken
		})
		if other != "" {
			// A DELETE by hand reaches the rows of a table as they lie in it, and what was deleted before moves them. From empty tables they lie
			// in the order in which they were written.
			if x.anew {
				x.Fatalf("the same schedule of %s went another way: %s", p.story(), other)
			}
			x.anew = true
			defer func() { x.anew = false }()
			return x.walk(actors, set, hold, most, judge)
		}
		schedules++
		judge(p)
		for len(path) > 0 && path[len(path)-1].taken == len(path[len(path)-1].steps)-1 {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return schedules
		}
		path[len(path)-1].taken++
	}
	return schedules
}

// stroll plays some schedules of calls: the choices are drawn by a seed, so they are always the same.
func (x *scheduler) stroll(actors []actor, set setting, hold []rowName, times int, seed uint64, judge func(p *schedule)) (schedules int) {
	x.Helper()
	seen := map[string]bool{}
	for i := range times {
		draw := rand.New(rand.NewPCG(seed, uint64(i)))
		p := x.play(x.stage(set), actors, hold, func(steps []string) int { return draw.IntN(len(steps)) })
		if story := fmt.Sprint(p.trace); !seen[story] {
			seen[story] = true
			schedules++
			judge(p)
		}
	}
	return schedules
}

// meeting are the rows at which the calls stop: those that two of them lock in ways that conflict, and, of a call that has none of these, the
// first that it locks.
func (x *scheduler) meeting(actors []actor, set setting) (rows []rowName, meet bool) {
	x.Helper()
	strongest, count := map[rowName]strength{}, map[rowName]int{}
	for _, a := range actors {
		for row, s := range x.locksOf(a, set) {
			strongest[row] = max(strongest[row], s)
			count[row]++
		}
	}
	conflict := map[rowName]bool{}
	for row, n := range count {
		if n > 1 && strongest[row] > keyShare {
			conflict[row] = true
		}
	}
	same := map[rowName]int{} // keys that several of them insert
	for _, a := range actors {
		for row := range x.inserts[fmt.Sprint(a.name, set)] {
			if same[row]++; same[row] > 1 {
				meet = true
			}
		}
	}
	stops := maps.Clone(conflict)
	for _, a := range actors {
		locks := slices.SortedFunc(maps.Keys(x.locksOf(a, set)), func(a, b rowName) int { return strings.Compare(a.place(), b.place()) })
		if len(locks) > 0 && !slices.ContainsFunc(locks, func(row rowName) bool { return conflict[row] }) {
			stops[locks[0]] = true
		}
	}
	rows = slices.Sorted(maps.Keys(stops))
	tables := map[string]bool{}
	rows = slices.DeleteFunc(rows, func(row rowName) bool { // one of each table, since not all calls lock them in an order
		table, _, _ := strings.Cut(string(row), " ")
		many := tables[table]
		tables[table] = true
		return many
	})
	return rows, meet || len(conflict) > 0
}

// place sorts rows in the order in which calls lock their tables.
func (r rowName) place() string {
	table, key, _ := strings.Cut(string(r), " ")
	at := slices.Index([]string{"user", "oauth_client", "session", "oauth_refresh_token", "oauth_access_token", "oauth_authorization"}, table)
	if at < 0 {
		at = 9
	}
	return fmt.Sprint(at, table, key)
}

var (
	uniqueWord = regexp.MustCompile(`[0-9]+[A-Z2-7]{6}`)
	stamp      = regexp.MustCompile(`^\d{4}-\d\d-\d\dT`)
)

// state is what is left in the database after a schedule, once the collector has set its marks, and has done again what it may have skipped:
// each row, without what differs between two runs of the same calls.
func (p *schedule) state() string {
	p.Helper()
	x, s := p.scheduler, p.s
	late := []string{"MarkEndedSessions", "MarkDeadAuthorizations", "SweepSessionClients", "DeleteDeadConsents", "DeleteDeadAccessTokens"}
	collecting := false
	for _, a := range p.actors {
		if c, is := a.what.(*callAct); is && c.collect {
			late, collecting = append(late, c.name), true
		} else if is && c.skips {
			_, err := c.run(x.Ctx, x.Pool, s)
			x.OK(err)
		}
	}
	for pass := 0; ; pass++ { // what a batch leaves, or detaches, the next one deletes
		var did int64
		for _, name := range late {
			n, err := collectors[name](x.Ctx, x.Q, wholeBatch)
			x.OK(err)
			did += n
		}
		if !collecting || pass > 0 && did == 0 {
			break
		}
		if pass == 50 {
			x.Fatalf("the collector never ends: %v", late)
		}
	}
	var from []string
	for _, table := range fixture.Tables {
		if table != "security_event" {
			from = append(from, fmt.Sprintf("SELECT '%s', to_jsonb(x), now() FROM %s AS x", table, pgx.Identifier{table}.Sanitize()))
		}
	}
	rows, err := x.watch.Query(x.Ctx, strings.Join(from, " UNION ALL "))
	x.OK(err)
	known := s.known
	type line struct {
		table string
		row   map[string]any
	}
	var kept []line
	dead := map[any]bool{} // families
	var table string
	var row map[string]any
	var now time.Time
	_, err = pgx.ForEachRow(rows, []any{&table, &row, &now}, func() error {
		for column, value := range row {
			switch {
			case column == "created_at", column == "updated_at", strings.HasSuffix(column, "epoch"), column == "ended_grants",
				column == "revoked_reason", value == nil,
				column == "ended_at",                       // an ended session has expired
				column == "id" && table == "oauth_consent": // a withdrawal may leave the row, which then doesn't count
				delete(row, column)
			default:
				row[column] = mask(value, s, known, now)
			}
		}
		if table == "oauth_authorization" && row["revoked_at"] != nil {
			dead[row["id"]] = true
		}
		kept = append(kept, line{table, row})
		row = nil
		return nil
	})
	x.OK(err)
	var lines []string
	for _, k := range kept {
		if dead[k.row["authorization_id"]] { // a token of it doesn't name a session that it has seen to be over
			delete(k.row, "session_id")
		}
		text, err := json.Marshal(k.row)
		x.OK(err)
		lines = append(lines, k.table+" "+string(text))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// mask makes a value comparable between scenes.
func mask(value any, s *scene, known map[string]string, now time.Time) any {
	switch v := value.(type) {
	case string:
		if name := known[v]; name != "" {
			return name
		}
		if stamp.MatchString(v) {
			at, err := time.Parse(time.RFC3339Nano, v)
			switch {
			case err != nil:
				return v
			case at.After(now.Add(time.Second)):
				return "later"
			}
			return "before"
		}
		v = s.general(v)
		if len(v) >= 20 && !strings.Contains(v, "#") || uniqueWord.MatchString(v) {
			return "*"
		}
		return v
	case []any:
		for i := range v {
			v[i] = mask(v[i], s, known, now)
		}
	case map[string]any:
		for k := range v {
			v[k] = mask(v[k], s, known, now)
		}
	}
	return value
}

// digests are those that are in a scene, and what they are of.
func (s *scene) digests() map[string]string {
	known := map[string]string{}
	for _, raw := range []string{
		cookie(s.session), cookie(s.other), s.coded.code, s.at.access, s.at.refresh, s.at.refresh + "+", s.rotated.refresh, s.rotated.next,
		s.rotated.next + "+", s.foreign.access, s.foreign.refresh, s.foreign.refresh + "+", s.own, s.device.code, s.device.code + "+", s.asking.code,
		userCode(s.asking), s.again().code, s.again().code + "+", s.spentElsewhere(),
	} {
		known[string(fixture.Digest(raw))] = s.general(raw)
	}
	for _, raw := range []string{"managed", "managed2", "before", "uri", "dead", "subject", "guess", "guess2", "code-a", "code-b", "code-c", "code-d", "iat", "secret", "older", "new", "other", "set", "same", "device2", "req", "proof", "jti", "next", "reg", "grant"} {
		known[string(fixture.Digest(raw+"-"+s.n))] = raw
	}
	return known
}

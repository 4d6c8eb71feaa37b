package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// PgBench runs the load with pgbench, which is C on libpq: what the server can give at all. As pgbench knows no operations before the
// clock starts, the clock starts when every connection has done warm of them. It returns what Session does.
func PgBench(ctx context.Context, program, url string, l workload.Load, warm int64) (report.Round, int64, error) {
	fail := func(err error, out []byte) (report.Round, int64, error) {
		if ctx.Err() != nil {
			return report.Round{}, 0, context.Cause(ctx)
		}
		return report.Round{}, 0, fmt.Errorf("pgbench, %s: %w: %s", l.Work, err, out)
	}
	dir, err := os.MkdirTemp("", "oauthdb-bench-")
	if err != nil {
		return fail(err, nil)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "script.sql")
	if err := os.WriteFile(file, []byte(l.Script()), 0o600); err != nil {
		return fail(err, nil)
	}
	threads := min(l.Conns, runtime.NumCPU())
	cmd := exec.CommandContext(ctx, program, "--no-vacuum", "--protocol=prepared", "--file="+file, "--define=n=-1",
		"--client="+strconv.Itoa(l.Conns), "--jobs="+strconv.Itoa(threads), "--transactions="+strconv.FormatInt(l.Ops, 10),
		"--log", "--log-prefix="+filepath.Join(dir, "log"), "--random-seed="+strconv.FormatInt(l.Run, 10), url)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fail(err, out)
	}
	done, failed, err := summary(string(out))
	if err != nil {
		return fail(err, out)
	}
	if want := l.Ops * int64(l.Conns); done != want || failed != 0 {
		return fail(fmt.Errorf("%d of %d transactions, %d failed", done, want, failed), out)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil {
		return fail(err, nil)
	}
	var all []operation
	for _, name := range logs {
		f, err := os.Open(name)
		if err != nil {
			return fail(err, nil)
		}
		read, err := transactions(f)
		f.Close()
		if err != nil {
			return fail(fmt.Errorf("%s: %w", filepath.Base(name), err), nil)
		}
		all = append(all, read...)
	}
	if int64(len(all)) != done {
		return fail(fmt.Errorf("%d latencies of %d transactions", len(all), done), out)
	}
	began, err := warmed(all, l.Conns, warm)
	if err != nil {
		return fail(err, nil)
	}
	r, err := steady(all, l.Conns, began)
	if err != nil {
		return fail(err, nil)
	}
	return r, done, nil
}

// summary reads what pgbench prints at its end.
func summary(out string) (done, failed int64, err error) {
	number := func(line, prefix, end string, to *int64) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			digits, _, _ := strings.Cut(rest, end)
			n, parsed := strconv.ParseInt(digits, 10, 64)
			err = errors.Join(err, parsed)
			*to = n
		}
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		number(line, "number of transactions actually processed: ", "/", &done)
		number(line, "number of failed transactions: ", " ", &failed)
	}
	if err == nil && done == 0 {
		err = errors.New("it says of no transaction that it was processed")
	}
	return done, failed, err
}

// transactions reads a log: client, number, microseconds, script, and when it ended, in seconds and microseconds.
func transactions(r io.Reader) ([]operation, error) {
	var all []operation
	for sc := bufio.NewScanner(r); ; {
		if !sc.Scan() {
			return all, sc.Err()
		}
		fields := strings.Fields(sc.Text())
		if len(fields) < 6 {
			return nil, fmt.Errorf("a line of another form: %q", sc.Text())
		}
		var n [6]int64
		for i := range n {
			var err error
			if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
				return nil, fmt.Errorf("a line of another form: %q: %w", sc.Text(), err)
			}
		}
		all = append(all, operation{
			conn:    int(n[0]),
			latency: time.Duration(n[2]) * time.Microsecond,
			ended:   time.Duration(n[4])*time.Second + time.Duration(n[5])*time.Microsecond,
		})
	}
}

// warmed is when each of the connections had done warm operations.
func warmed(all []operation, conns int, warm int64) (time.Duration, error) {
	began := time.Duration(0)
	seen := map[int]int64{}
	for _, o := range all { // those of a connection are in order
		if seen[o.conn]++; seen[o.conn] == warm {
			began = max(began, o.ended)
		} else if warm == 0 && seen[o.conn] == 1 {
			began = max(began, o.began())
		}
	}
	if len(seen) != conns {
		return 0, fmt.Errorf("%d of %d connections did something", len(seen), conns)
	}
	for conn, n := range seen {
		if n <= warm {
			return 0, fmt.Errorf("connection %d did %d operations, which is not more than the first %d", conn, n, warm)
		}
	}
	return began, nil
}

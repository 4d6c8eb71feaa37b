// Package measure runs a load and takes the time.
package measure

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
	"github.com/oauthdb/oauthdb/bench/workload"
)

// histogram holds microsecond-grained latencies with three significant digits, up to a minute.
func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, time.Minute.Nanoseconds(), 3) }

// Session runs the load on an open session: as many goroutines as connections, each doing one operation after the other. It ends
// early, with what was done until then, when limit has passed.
func Session(ctx context.Context, s subject.Session, l workload.Load, limit time.Duration) (report.Round, error) {
	cases := make([][]subject.Case, l.Conns)
	for conn := range cases {
		cases[conn] = l.Cases(conn)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	histograms := make([]*hdrhistogram.Histogram, l.Conns)
	start := make(chan time.Time)
	var ready, done sync.WaitGroup
	ready.Add(l.Conns)
	for conn := range l.Conns {
		h := histogram()
		histograms[conn] = h
		done.Go(func() {
			ready.Done()
			began := <-start
			for n := range cases[conn] {
				before := time.Now()
				if before.Sub(began) > limit || ctx.Err() != nil {
					return
				}
				if err := s.Do(ctx, l.Work, &cases[conn][n]); err != nil {
					cancel(fmt.Errorf("%s, operation %d of connection %d: %w", l.Work, n, conn, err))
					return
				}
				_ = h.RecordValue(max(1, time.Since(before).Nanoseconds()))
			}
		})
	}
	ready.Wait()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range l.Conns {
		start <- began
	}
	done.Wait()
	elapsed := time.Since(began)
	runtime.ReadMemStats(&after)
	if err := context.Cause(ctx); err != nil {
		return report.Round{}, err
	}

	all := histogram()
	for _, h := range histograms {
		all.Merge(h)
	}
	r := round(all, elapsed)
	r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(r.Ops)
	r.Bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(r.Ops)
	return r, nil
}

func round(h *hdrhistogram.Histogram, elapsed time.Duration) report.Round {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	return report.Round{Ops: h.TotalCount(), Elapsed: elapsed, P50: at(50), P99: at(99), P999: at(99.9)}
}

// PgBench runs the load with pgbench, which is C on libpq: what the server can give at all.
func PgBench(ctx context.Context, program, url string, l workload.Load) (report.Round, error) {
	dir, err := os.MkdirTemp("", "oauthdb-bench-")
	if err != nil {
		return report.Round{}, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "script.sql")
	if err := os.WriteFile(file, []byte(l.Script()), 0o600); err != nil {
		return report.Round{}, err
	}
	threads := min(l.Conns, runtime.NumCPU())
	cmd := exec.CommandContext(ctx, program, "--no-vacuum", "--protocol=prepared", "--file="+file, "--define=n=-1",
		"--client="+strconv.Itoa(l.Conns), "--jobs="+strconv.Itoa(threads), "--transactions="+strconv.FormatInt(l.Ops, 10),
		"--log", "--log-prefix="+filepath.Join(dir, "log"), "--random-seed="+strconv.FormatInt(l.Run, 10), url)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return report.Round{}, fmt.Errorf("pgbench: %w: %s", err, out)
	}
	done, failed, rate, err := summary(string(out))
	if err != nil {
		return report.Round{}, fmt.Errorf("pgbench: %w: %s", err, out)
	}
	if want := l.Ops * int64(l.Conns); done != want || failed != 0 {
		return report.Round{}, fmt.Errorf("pgbench: %d of %d transactions, %d failed: %s", done, want, failed, out)
	}
	all := histogram()
	logs, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil {
		return report.Round{}, err
	}
	for _, name := range logs {
		f, err := os.Open(name)
		if err != nil {
			return report.Round{}, err
		}
		err = latencies(f, func(d time.Duration) { _ = all.RecordValue(max(1, d.Nanoseconds())) })
		f.Close()
		if err != nil {
			return report.Round{}, fmt.Errorf("pgbench: %s: %w", name, err)
		}
	}
	r := round(all, time.Duration(float64(done)/rate*float64(time.Second)))
	if r.Ops != done {
		return r, fmt.Errorf("pgbench: %d latencies of %d transactions", r.Ops, done)
	}
	return r, nil
}

// summary reads what pgbench prints at its end.
func summary(out string) (done, failed int64, rate float64, err error) {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "number of transactions actually processed: "); ok {
			number, _, _ := strings.Cut(rest, "/")
			if done, err = strconv.ParseInt(number, 10, 64); err != nil {
				return 0, 0, 0, err
			}
		}
		if rest, ok := strings.CutPrefix(line, "number of failed transactions: "); ok {
			number, _, _ := strings.Cut(rest, " ")
			if failed, err = strconv.ParseInt(number, 10, 64); err != nil {
				return 0, 0, 0, err
			}
		}
		if rest, ok := strings.CutPrefix(line, "tps = "); ok {
			number, _, _ := strings.Cut(rest, " ")
			if rate, err = strconv.ParseFloat(number, 64); err != nil {
				return 0, 0, 0, err
			}
		}
	}
	if done == 0 || rate == 0 {
		return 0, 0, 0, fmt.Errorf("no summary")
	}
	return done, failed, rate, nil
}

// latencies reads pgbench's log: client, number, microseconds, script, and when.
func latencies(r io.Reader, each func(time.Duration)) error {
	for sc := bufio.NewScanner(r); ; {
		if !sc.Scan() {
			return sc.Err()
		}
		fields := strings.Fields(sc.Text())
		if len(fields) < 3 {
			return fmt.Errorf("a line of another form: %q", sc.Text())
		}
		us, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return err
		}
		each(time.Duration(us) * time.Microsecond)
	}
}

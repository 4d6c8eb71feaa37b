// Package machine says what processes have used of the processors. It does so on Linux only.
package machine

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"
)

// Used is what a process has used so far, in user and in system mode, of all its threads.
func Used(pid int) (sum time.Duration, err error) {
	threads, err := procfs.AllThreads(pid)
	for _, t := range threads {
		if s, err := t.Schedstat(); err == nil { // else it has just ended
			sum += time.Duration(s.RunningNanoseconds)
		}
	}
	return sum, err
}

// UsedByAll is the sum over processes, without those that are gone.
func UsedByAll(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		used, _ := Used(pid)
		sum += used
	}
	return sum
}

// Backends are the server processes of the clients of a database, but for those that look on: conn's own, and those named bench.
func Backends(ctx context.Context, conn interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
},
) ([]int, error) {
	rows, err := conn.Query(ctx, `
		SELECT pid
		FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name <> 'bench'`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

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

// UsedByBackends is what the server processes of the clients of a database have used, but for those that look on: db's own, and those named
// bench. They are listed anew each time, as a server opens connections when it has more to do.
func UsedByBackends(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
},
) (sum time.Duration, err error) {
	rows, err := db.Query(ctx, `
		SELECT pid
		FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name <> 'bench'`)
	if err != nil {
		return 0, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	for _, pid := range pids {
		used, _ := Used(pid) // none if it is gone
		sum += used
	}
	return sum, err
}

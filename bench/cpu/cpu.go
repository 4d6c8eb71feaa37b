// Package cpu reads what processes have used of the processors. It does so on Linux only.
package cpu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// Of is what a process has used so far, in user and in system mode, of all its threads.
func Of(pid int) (sum time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("the kernel says nothing of process %d: %w", pid, os.ErrNotExist)
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil { // a thread that has just ended
			continue
		}
		var used time.Duration
		if _, err := fmt.Sscan(string(text), &used); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum += used
	}
	return sum, nil
}

// Backends are the server processes of the clients of a database, but for those that look on: conn's own, and those named bench.
func Backends(ctx context.Context, conn *pgx.Conn) ([]int, error) {
	rows, err := conn.Query(ctx, `
		SELECT pid
		FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name <> 'bench'`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// OfAll is the sum over processes, without those that are gone.
func OfAll(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		used, _ := Of(pid)
		sum += used
	}
	return sum
}

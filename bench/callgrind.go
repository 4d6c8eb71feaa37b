package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/oauthdb/oauthdb/bench/report"
)

var summary = regexp.MustCompile(`(?m)^summary: (\d+)$`)

// instructions counts those of the server's process for each work, which callgrind writes into a folder: they are as many on a busy machine as on
// a quiet one. What the kernel does is not in it. Of two connections the one does more operations than the other, and the difference is that of
// the operations.
func (d *driver) instructions(ctx context.Context) error {
	t := report.NewTable(1, append([]string{"instructions of an operation"}, d.Subjects...)...)
	for _, w := range d.Works {
		row := []string{string(w)}
		for _, name := range d.Subjects {
			if !find(name).Supports(w) {
				row = append(row, report.None)
				continue
			}
			const few, many = 16, 64
			var counted [2]float64
			for i, ops := range []int64{few, many} {
				var err error
				if counted[i], err = d.counted(ctx, cell{Work: w, Subject: name, Size: d.middle(), Conns: 1}, ops); err != nil {
					return fmt.Errorf("%s of %s: %w", w, name, err)
				}
			}
			row = append(row, report.Count((counted[1]-counted[0])/(many-few)))
		}
		t.Row(row...)
	}
	return report.Put("", "", t.String())
}

// counted are the instructions of a connection that does so many operations.
func (d *driver) counted(ctx context.Context, c cell, ops int64) (float64, error) {
	l, err := d.load(ctx, c, ops)
	if err != nil {
		return 0, err
	}
	if _, err := settled(ctx, d.conns[c.Size]); err != nil {
		return 0, err
	}
	// planned as after the first operations of a connection
	s, err := find(c.Subject).Open(ctx, d.server.URL(l.Data.Database)+"&plan_cache_mode=force_generic_plan", 1)
	if err != nil {
		return 0, err
	}
	var pid int
	err = d.conns[c.Size].QueryRow(ctx, `
		SELECT pid
		FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&pid)
	for _, one := range l.Cases(0) {
		if err == nil {
			err = s.Do(ctx, c.Work, &one)
		}
	}
	s.Close()
	if err != nil {
		return 0, err
	}
	name := filepath.Join(d.Callgrind, fmt.Sprintf("callgrind.out.%d", pid))
	for deadline := time.After(time.Minute); ; {
		text, _ := os.ReadFile(name)
		if found := summary.FindSubmatch(text); found != nil {
			return strconv.ParseFloat(string(found[1]), 64)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-deadline:
			return 0, fmt.Errorf("%s is not there, or has no summary", name)
		}
	}
}

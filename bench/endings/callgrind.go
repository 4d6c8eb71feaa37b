package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
)

// instructions prints how many instructions of the server each call takes, as callgrind counts them: the same on a busy machine as on a quiet
// one. What the kernel does is not in it. Of two connections the one makes more calls than the other, and the difference is that of the calls.
func instructions(ctx context.Context, server *dataset.Server, cores []*core, folder string) error {
	for _, c := range cores {
		if err := c.attach(ctx, server); err != nil {
			return err
		}
	}
	fmt.Print("| call | before | after | multiple |\n|---|---:|---:|---:|\n")
	for _, w := range works() {
		var counted []float64
		for _, c := range cores {
			const few, many = 8, 24
			less, err := c.instructions(ctx, server, w, 0, few, folder)
			if err != nil {
				return err
			}
			more, err := c.instructions(ctx, server, w, few, few+many, folder)
			if err != nil {
				return err
			}
			counted = append(counted, float64(more-less)/(many-few))
		}
		if w.first != nil {
			w.title += ", and the rotation before it"
		}
		fmt.Printf("| %s | %.0f,000 | %.0f,000 | %.2f |\n", w.title, counted[0]/1000, counted[1]/1000, counted[1]/counted[0])
	}
	return nil
}

var summary = regexp.MustCompile(`(?m)^summary: (\d+)$`)

// instructions counts those of a connection that makes calls, and the rotations that go before.
func (c *core) instructions(ctx context.Context, server *dataset.Server, w work, from, to int, folder string) (n int64, err error) {
	if err := c.conn.Close(ctx); err != nil {
		return 0, err
	}
	if c.conn, err = server.Connect(ctx, c.database); err != nil {
		return 0, err
	}
	if _, err := c.conn.Exec(ctx, "SET plan_cache_mode = force_generic_plan"); err != nil { // as after the first calls of a connection
		return 0, err
	}
	for n := from; n < to; n++ {
		if err := c.rotateFirst(ctx, w, n); err != nil {
			return 0, err
		}
		if err := c.makeCall(ctx, w, n); err != nil {
			return 0, err
		}
	}
	name := filepath.Join(folder, fmt.Sprintf("callgrind.out.%d", c.conn.PgConn().PID()))
	if err := c.conn.Close(ctx); err != nil {
		return 0, err
	}
	for began := time.Now(); time.Since(began) < time.Minute; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		if found := summary.FindSubmatch(text); found != nil {
			return strconv.ParseInt(string(found[1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s is not there, or has no summary", name)
}

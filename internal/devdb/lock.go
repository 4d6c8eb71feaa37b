package devdb

import (
	"context"
	"fmt"
	"os"
	"time"
)

// lock holds the file at path against other processes, and against other callers in
// this one, until unlock is called or the process ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("locking: %w", err)
		}
		for {
			held, err := tryLock(f)
			if err != nil {
				f.Close()
				return nil, fmt.Errorf("locking %s: %w", path, err)
			}
			if held {
				break
			}
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				f.Close()
				return nil, fmt.Errorf("waiting for %s: %w", path, err)
			}
		}
		// Whoever held it before may have deleted the file, and then this lock keeps nobody out.
		mine, err1 := f.Stat()
		now, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, now) {
			return func() { f.Close() }, nil
		}
		f.Close()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// pause waits for d, or for the end of ctx, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

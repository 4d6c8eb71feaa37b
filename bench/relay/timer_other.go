//go:build !linux

package relay

import (
	"os"
	"sync"
	"time"
)

// timer wakes one goroutine. It is as exact as time.Timer, which is why the numbers are to be taken on Linux.
type timer struct {
	timer *time.Timer
	done  chan struct{}
	once  sync.Once
}

func newTimer() (*timer, error) {
	t := &timer{timer: time.NewTimer(time.Hour), done: make(chan struct{})}
	t.timer.Stop()
	return t, nil
}

// set lets wait return after d.
func (t *timer) set(d time.Duration) error {
	t.timer.Reset(d)
	return nil
}

// wait returns when the time that was set has come, or with an error once the timer is closed.
func (t *timer) wait() error {
	select {
	case <-t.timer.C:
		return nil
	case <-t.done:
		return os.ErrClosed
	}
}

func (t *timer) close() error {
	t.once.Do(func() { t.timer.Stop(); close(t.done) })
	return nil
}

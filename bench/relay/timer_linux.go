package relay

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// timer wakes one goroutine. Unlike time.Timer's, its waits are exact to some ten microseconds.
type timer struct {
	fd   int
	file *os.File
	buf  [8]byte
}

func newTimer() (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a timer: %w", err)
	}
	return &timer{fd: fd, file: os.NewFile(uintptr(fd), "timerfd")}, nil
}

// set lets wait return after d. It must not be called after close.
func (t *timer) set(d time.Duration) error {
	d = max(d, 1) // 0 would disarm it
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if err := unix.TimerfdSettime(t.fd, 0, &spec, nil); err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	return nil
}

// wait returns when the time that was set has come, or with an error once the timer is closed.
func (t *timer) wait() error {
	_, err := t.file.Read(t.buf[:])
	return err
}

func (t *timer) close() error { return t.file.Close() }

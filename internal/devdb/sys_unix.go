//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package devdb

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// supported is nil where devdb can run a server.
var supported error

// tryLock takes the exclusive lock on f if nobody holds it.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}

// runAs makes cmd run as another user, without that user's or our further groups.
func runAs(cmd *exec.Cmd, uid, gid int) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
	}
}

func ownerOf(fi os.FileInfo) int {
	return int(fi.Sys().(*syscall.Stat_t).Uid)
}

// signal sends sig to a process. It reports whether there was one that it could send
// it to; sig 0 only asks.
func signal(pid int, sig syscall.Signal) bool {
	return syscall.Kill(pid, sig) == nil
}

const (
	sigProbe = syscall.Signal(0)
	sigFast  = syscall.SIGINT  // ends sessions, then shuts down
	sigCrash = syscall.SIGQUIT // quits at once; recovers at the next start
	sigKill  = syscall.SIGKILL
	sigStop  = syscall.SIGSTOP
)

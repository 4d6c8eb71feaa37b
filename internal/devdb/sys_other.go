//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package devdb

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

var supported = errors.New("no server can be started on " + runtime.GOOS + ": set DATABASE_URL to one that is running")

func tryLock(*os.File) (bool, error)  { return false, supported }
func runAs(*exec.Cmd, int, int)       {}
func ownerOf(os.FileInfo) int         { return os.Geteuid() }
func signal(int, syscall.Signal) bool { return false }

const (
	sigProbe = syscall.Signal(0)
	sigFast  = syscall.SIGINT
	sigCrash = syscall.SIGQUIT
	sigKill  = syscall.SIGKILL
	sigStop  = syscall.Signal(0)
)

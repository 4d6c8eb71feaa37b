package devdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// postmaster is what the file postmaster.pid in a data directory claims. The zero
// value stands for no file.
type postmaster struct {
	exists    bool
	pid, port int
	content   string
}

func readPostmaster(data string) (postmaster, error) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return postmaster{}, nil
	}
	if err != nil {
		return postmaster{}, fmt.Errorf("looking for a running server: %w", err)
	}
	pm := postmaster{exists: true, content: string(b)}
	lines := strings.Split(pm.content, "\n")
	pm.pid, _ = strconv.Atoi(strings.TrimSpace(lines[0])) // zero while the file is being written
	if len(lines) > 3 {
		pm.port, _ = strconv.Atoi(strings.TrimSpace(lines[3]))
	}
	return pm, nil
}

// running reports whether the process in the file is a PostgreSQL, and that of the data
// directory as far as the system tells. A number is soon given to another process.
func (pm postmaster) running(data string) bool {
	if pm.pid <= 1 || !alive(pm.pid) {
		return false
	}
	if name := nameOf(pm.pid); name != "" && !strings.Contains(name, "postgres") && !strings.Contains(name, "postmaster") {
		return false
	}
	return worksIn(pm.pid, data) != no
}

// gone waits for the end of the process.
func (pm postmaster) gone(ctx context.Context, data string) error {
	for pm.running(data) {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// disown makes PostgreSQL see that the process in the file is not its postmaster, where
// it would not see that itself: when the process is dead but nobody has reaped it, or
// when it is another program of the same user. The rest of the file stays, because by it
// PostgreSQL finds out whether children of the dead postmaster live on.
func (pm postmaster) disown(s *server) error {
	if !signal(pm.pid, sigProbe) {
		return nil // PostgreSQL sees it
	}
	_, rest, _ := strings.Cut(pm.content, "\n")
	const nobody = 1<<31 - 1 // above every system's limit
	return s.account.replace(filepath.Join(s.data(), "postmaster.pid"), []byte(strconv.Itoa(nobody)+"\n"+rest))
}

// alive reports whether a process runs; one that is dead and not yet reaped does not.
func alive(pid int) bool {
	if runtime.GOOS == "linux" {
		state, err := stateOf(pid)
		if err == nil {
			return !strings.ContainsAny(state, "ZX")
		}
		if errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	if !signal(pid, sigProbe) {
		return false
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

// nameOf is the name of a process's program, empty where it cannot be told.
func nameOf(pid int) string {
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		return strings.TrimSpace(string(b))
	}
	out, _ := exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	return strings.TrimSpace(string(out))
}

type answer int

const (
	unknown answer = iota
	no
	yes
)

// worksIn tells whether a process's working directory is dir, as that of every process
// of a server is its data directory.
func worksIn(pid int, dir string) answer {
	cwd, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return unknown
	}
	want, err := os.Stat(dir)
	if err != nil {
		return unknown
	}
	if os.SameFile(cwd, want) {
		return yes
	}
	return no
}

// runs tells whether a process that was sent SIGSTOP hasn't stopped yet, where the system says so.
func runs(pid int) bool {
	state, err := stateOf(pid)
	return err == nil && !strings.ContainsAny(state, "TtZX")
}

// stateOf returns the letter that Linux has for the state of a process.
func stateOf(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The state follows the name, which is in parentheses and may hold anything.
	after := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(after) == 0 {
		return "X", nil // it is about to be gone
	}
	return after[0], nil
}

// KillTree ends a process and all its descendants with SIGKILL, and waits until none is left.
func KillTree(ctx context.Context, pid int) error {
	stopped := map[int]bool{}
	for fresh := []int{pid}; len(fresh) > 0; {
		for _, p := range fresh {
			signal(p, sigStop) // so that it starts no more children
			stopped[p] = true
		}
		for _, p := range fresh { // it may be in the middle of starting one
			for runs(p) {
				if err := pause(ctx, time.Millisecond); err != nil {
					return fmt.Errorf("process %d: %w", p, err)
				}
			}
		}
		fresh = nil
		for child, parent := range processes() {
			if stopped[parent] && !stopped[child] {
				fresh = append(fresh, child)
			}
		}
	}
	for p := range stopped {
		signal(p, sigKill)
	}
	for p := range stopped {
		for alive(p) {
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				return fmt.Errorf("process %d: %w", p, err)
			}
		}
	}
	return nil
}

// killOrphans ends what a dead postmaster of the data directory left running. It does
// so only where the system tells the working directory of a process; elsewhere they end
// by themselves, once they notice.
func killOrphans(data string) {
	for pid := range processes() {
		if worksIn(pid, data) == yes && strings.Contains(nameOf(pid), "postgres") {
			signal(pid, sigKill)
		}
	}
}

// processes returns every process with its parent.
func processes() map[int]int {
	found := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if after := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])); len(after) > 1 {
			found[pid], _ = strconv.Atoi(after[1])
		}
	}
	if len(found) > 0 {
		return found
	}
	out, _ := exec.Command("ps", "-axo", "pid=,ppid=").Output()
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 2 {
			pid, _ := strconv.Atoi(f[0])
			found[pid], _ = strconv.Atoi(f[1])
		}
	}
	return found
}

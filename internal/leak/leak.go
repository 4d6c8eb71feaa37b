// Package leak fails the tests of a package that leave goroutines behind. The modules that may depend on test libraries use goleak;
// this one uses the standard library alone.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Main runs the tests and exits as they do, or with 1 if a goroutine is left that has not ended within 2 seconds:
//
//	func TestMain(m *testing.M) { leak.Main(m) }
func Main(m interface{ Run() int }) {
	code := m.Run()
	if code == 0 {
		if left := Wait(2 * time.Second); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "leak: %d goroutines are left behind:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// Wait returns the stacks of the other goroutines, those of the runtime and of package testing aside, that have not ended within
// patience.
func Wait(patience time.Duration) []string {
	end := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		left := others()
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
		time.Sleep(pause)
	}
}

func others() (stacks []string) {
	buf := make([]byte, 1<<16)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	for i, stack := range strings.Split(strings.TrimSpace(string(buf[:n])), "\n\n") {
		_, top, _ := strings.Cut(stack, "\n") // without the line that says what the goroutine does
		switch {
		case i == 0: // this one
		case strings.HasPrefix(top, "os/signal.") || strings.HasPrefix(top, "runtime."): // one for the whole process, which never ends
		case strings.Contains(stack, "testing.(*T).Run(") || strings.Contains(stack, "testing.(*M).") || strings.Contains(stack, "testing.tRunner("):
			// a test that runs, or waits for its subtests
		default:
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

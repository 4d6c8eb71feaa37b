package machine

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestWorkIsSeen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	for before := UsedByAll([]int{os.Getpid()}); ; { // until it has taken 20 ms of a processor, however long that is
		if now, err := Used(os.Getpid()); err != nil || now-before > 20*time.Millisecond {
			break
		}
	}
	if _, err := Used(1 << 30); err == nil {
		t.Error("a process that isn't there was read")
	}
}

package cpu

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
	before, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ { // until it has taken 20 ms of a processor, however long that is
		if now, err := Of(os.Getpid()); err != nil || now-before > 20*time.Millisecond {
			break
		}
	}
	if _, err := Of(1 << 30); err == nil {
		t.Error("a process that isn't there was read")
	}
}

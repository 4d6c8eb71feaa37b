package leak

import (
	"strings"
	"testing"
	"time"
)

func leaking(stop <-chan struct{}) { <-stop }

func TestAGoroutineThatStaysIsFoundAndOneThatEndsIsNot(t *testing.T) {
	stop := make(chan struct{})
	go leaking(stop)
	if left := Wait(20 * time.Millisecond); len(left) != 1 || !strings.Contains(left[0], "leak.leaking") {
		t.Errorf("got %q", left)
	}
	time.AfterFunc(50*time.Millisecond, func() { close(stop) })
	if left := Wait(5 * time.Second); len(left) > 0 {
		t.Errorf("got %q", left)
	}
}

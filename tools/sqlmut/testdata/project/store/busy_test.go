package store

import (
	"os"
	"testing"
)

// TestBusyMachine stands for a test that a busy machine turns red: if BUSY names a file, its second run fails.
func TestBusyMachine(t *testing.T) {
	t.Parallel()
	if _, err := New(connect(t)).Withdraw(t.Context(), WithdrawParams{ID: "alice", Amount: 1}); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("BUSY") == "" {
		return
	}
	runs, err := os.OpenFile(os.Getenv("BUSY"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer runs.Close()
	if _, err := runs.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if i, err := runs.Stat(); err != nil || i.Size() == 2 {
		t.Fatal("the machine is busy", err)
	}
}

package machine

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/testdb"
)

func TestWorkIsSeen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	self := func() []int { return []int{os.Getpid()} }
	for before := UsedByAll(self); ; { // until it has taken 20 ms of a processor, however long that is
		if now, err := Used(os.Getpid()); err != nil || now-before > 20*time.Millisecond {
			break
		}
	}
	if _, err := Used(1 << 30); err == nil {
		t.Error("a process that isn't there was read")
	}
}

// A server opens its connections as it needs them: what is done on one that wasn't there at first counts too.
func TestConnectionsThatAreOpenedLaterAreSeen(t *testing.T) {
	connect := func(url string) *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
		return conn
	}
	d := testdb.New(t, testdb.Options{})
	backends, err := Backends(t.Context(), connect(d.URL))
	if err != nil {
		t.Fatal(err)
	}
	before := len(backends())
	connect(d.URL)
	if n := len(backends()); n != before+1 {
		t.Errorf("%d server processes, then %d", before, n)
	}
}

package machine

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/testdb"
)

// A server opens its connections as it needs them: what is done on one that wasn't there at first counts too.
func TestWorkIsSeen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	connect := func(url string) *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
		return conn
	}
	d := testdb.New(t, testdb.Options{})
	look := connect(d.URL)
	before, err := UsedByBackends(t.Context(), look)
	if err != nil {
		t.Fatal(err)
	}
	busy := connect(d.URL)
	for used := before; used < before+20*time.Millisecond; { // however long that is
		if _, err := busy.Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 10000)"); err != nil {
			t.Fatal(err)
		}
		if used, err = UsedByBackends(t.Context(), look); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Used(1 << 30); err == nil {
		t.Error("a process that isn't there was read")
	}
}

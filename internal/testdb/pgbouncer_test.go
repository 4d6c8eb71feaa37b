package testdb

import (
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/pgbouncer"
	"github.com/oauthdb/oauthdb/store"
)

// With PGBOUNCER, a pool goes through a PgBouncer: what passes then has passed through it.
func TestPoolGoesThroughPgBouncer(t *testing.T) {
	t.Setenv("PGBOUNCER", "transaction")
	db := New(t, Options{MaxConns: 2, Settings: map[string]string{"oauthdb.events": "on"}})
	conn, err := db.Pool.Acquire(t.Context())
	must(t, err)
	var pid uint32
	var events, zone string
	must(t, conn.QueryRow(t.Context(), `SELECT pg_backend_pid(), current_setting('oauthdb.events'), current_setting('TimeZone')`).Scan(&pid, &events, &zone))
	if told := conn.Conn().PgConn().PID(); pid == told {
		t.Errorf("the server process is %d, as the connection was told", pid)
	}
	if events != "on" || zone != "Asia/Kathmandu" {
		t.Errorf("the settings are %s and %s", events, zone)
	}
	// Two connections get the same session in turn.
	other, err := db.Pool.Acquire(t.Context())
	must(t, err)
	var second uint32
	must(t, other.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&second))
	if second != pid {
		t.Errorf("sessions %d and %d, want one for both", pid, second)
	}
	conn.Release()
	other.Release()
	_, err = db.Store.CreateUser(t.Context(), store.CreateUserParams{ID: store.NewUserID(), Name: "Ada"})
	must(t, err)
}

// The server itself has to be within reach: a pooler keeps connections to databases that are copied and dropped.
func TestServerBehindAPoolerIsRefused(t *testing.T) {
	s, err := server(t.Context())
	must(t, err)
	t.Setenv("DATABASE_URL", pgbouncer.Start(t, s.admin.URL(), pgbouncer.Options{Mode: "session"}))
	if _, err := connect(t.Context()); err == nil || !strings.Contains(err.Error(), "DATABASE_URL goes through a pooler") {
		t.Error(err)
	}
}

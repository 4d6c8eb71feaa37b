package storetest_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestADatabaseIsAsAskedFor(t *testing.T) {
	t.Parallel()
	var c counter
	own := fstest.MapFS{"1_notes.sql": {Data: []byte("-- +goose Up\nCREATE TABLE note (user_id user_id NOT NULL REFERENCES \"user\" (id));\n")}}
	db := storetest.New(t, storetest.MaxConns(23), storetest.TimeZone("America/St_Johns"), storetest.Tracer(&c), storetest.Migrations(own))
	if got := db.Pool.Config().MaxConns; got != 23 {
		t.Errorf("%d connections", got)
	}
	var zone string
	if err := db.Pool.QueryRow(t.Context(), "SHOW TimeZone").Scan(&zone); err != nil || zone != "America/St_Johns" {
		t.Errorf("the time zone is %s, %v", zone, err)
	}
	if _, err := db.Pool.Exec(t.Context(), "SELECT FROM note"); err != nil {
		t.Error(err)
	}
	if got := c.n.Load(); got != 2 {
		t.Errorf("the tracer heard of %d queries, want 2", got)
	}
}

func TestTheStoreAndTheURLAreOfThePoolsDatabase(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	if _, err := db.Store.CreateUser(t.Context(), store.CreateUserParams{ID: "user_1", Name: "Ada", Email: new("ada@example.com")}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, query := range []func(context.Context, string, ...any) pgx.Row{db.Pool.QueryRow, conn.QueryRow} {
		var users int
		if err := query(t.Context(), `SELECT count(*) FROM "user"`).Scan(&users); err != nil || users != 1 {
			t.Errorf("%d users, %v", users, err)
		}
	}
}

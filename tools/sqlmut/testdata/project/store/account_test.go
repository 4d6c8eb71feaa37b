package store

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.com/bank"
)

// connect makes a database for a test: with one connection the schema, with the next one the test works.
func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	ctx := t.Context()
	open := func(database string) *pgx.Conn {
		c, err := pgx.ParseConfig(os.Getenv("DATABASE_URL"))
		if err != nil {
			t.Fatal(err)
		}
		if database != "" {
			c.Database = database
		}
		conn, err := pgx.ConnectConfig(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.WithoutCancel(ctx)) })
		return conn
	}
	admin := open("")
	name := "bank_test_" + strings.ToLower(rand.Text()[:8])
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			if _, err := admin.Exec(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
				t.Error(err)
			}
		}
	})
	if err := bank.Migrate(ctx, open(name)); err != nil {
		t.Fatal(err)
	}
	conn := open(name)
	_, err := conn.Exec(ctx, `INSERT INTO account (id, balance, closed_at)
		VALUES ('alice', 10, NULL), ('bob', 10, now() - interval '1 day'), ('carol', 10, now() + interval '1 day')`)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	for _, c := range []struct {
		id      string
		amount  int32
		outcome string
		balance int32
	}{
		{"nobody", 1, "unknown", 0},
		{"bob", 1, "unknown", 0},
		{"carol", 1, "paid", 9},
		{"alice", 11, "refused", 0},
		{"alice", 4, "paid", 6},
		{"alice", 6, "paid", 0},
	} {
		row, err := New(conn).Withdraw(t.Context(), WithdrawParams{ID: c.id, Amount: c.amount})
		if err != nil {
			t.Fatal(err)
		}
		if balance := row.Balance; row.Outcome != c.outcome || (balance != nil && *balance != c.balance) {
			t.Errorf("%s withdraws %d: %s, %v left", c.id, c.amount, row.Outcome, balance)
		}
	}
}

// TestTick goes on until nothing is left, so it hangs if that is never.
func TestTick(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	ticks := 0
	for {
		if _, err := New(conn).Tick(t.Context(), "alice"); errors.Is(err, pgx.ErrNoRows) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		ticks++
	}
	var others int
	if err := conn.QueryRow(t.Context(), "SELECT sum(balance) FROM account WHERE id <> 'alice'").Scan(&others); err != nil {
		t.Fatal(err)
	}
	if ticks != 10 || others != 20 {
		t.Errorf("%d ticks, and %d left of the others", ticks, others)
	}
}

// TestNothing makes no call, so it is never run.
func TestNothing(t *testing.T) { connect(t) }

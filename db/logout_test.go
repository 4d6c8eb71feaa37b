package db_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
)

// fillDue writes n deliveries that are due, each to a client of its own: to c1, c2 and so on.
func fillDue(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO oauth_client (id, client_id, redirect_uris, backchannel_logout_uri)
			SELECT 'c' || n, 'c' || n, '{https://client.example/callback}', 'https://client.example/logout' FROM generate_series(1, $1::int) AS n`,
		`INSERT INTO session_client (session_id, client_id, user_id, sub, sid, due_at)
			SELECT 's', 'c' || n, 'u', 'sub', 'sid', now() FROM generate_series(1, $1::int) AS n`,
	} {
		if _, err := pool.Exec(t.Context(), sql, n); err != nil {
			t.Fatal(err)
		}
	}
}

// told counts how often each client was told.
type told struct {
	mu sync.Mutex
	n  map[store.ClientID]int
}

// add counts a client that was told, and says how many there are.
func (c *told) add(id store.ClientID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[store.ClientID]int{}
	}
	c.n[id]++
	return len(c.n)
}

func deliveries(t *testing.T, pool *pgxpool.Pool, where string) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM session_client WHERE "+where).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func pass(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `UPDATE session_client SET due_at = due_at - interval '1 day', lease_expires_at = lease_expires_at - interval '1 day'`)
	if err != nil {
		t.Fatal(err)
	}
}

func TestLogoutWorkersTellEachClientOnce(t *testing.T) {
	t.Parallel()
	const n = 40
	d := testdb.New(t, testdb.Options{MaxConns: 8})
	fillDue(t, d.Pool, n)
	var clients told
	var busy atomic.Int32
	var total atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			done, err := db.NewLogoutWorker(d.Store, func(ctx context.Context, l db.LogoutDelivery) error {
				if busy.Add(1) > 6 {
					t.Error("more deliveries at once than two workers of 3 may make")
				}
				defer busy.Add(-1)
				if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > time.Minute || l.Sub != "sub" || l.SID != "sid" || l.BackchannelLogoutURI != "https://client.example/logout" {
					t.Errorf("delivery %+v, deadline %s", l, deadline)
				}
				clients.add(l.ClientID)
				return nil
			}, db.LogoutOptions{Concurrency: 3, Timeout: time.Minute}).RunOnce(t.Context())
			if err != nil {
				t.Error(err)
			}
			total.Add(done.Delivered)
		})
	}
	wg.Wait()
	for id, times := range clients.n {
		if times != 1 {
			t.Errorf("%s was told %d times", id, times)
		}
	}
	if len(clients.n) != n || total.Load() != n || deliveries(t, d.Pool, "told_at IS NULL OR attempts <> 1") != 0 {
		t.Errorf("%d clients were told, the workers counted %d, want %d", len(clients.n), total.Load(), n)
	}
}

// A client that fails is tried again and then given up on; the log says so, and holds no user.
func TestLogoutWorkerGivesUpAfterTheLastAttempt(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{})
	fillDue(t, d.Pool, 2)
	var log bytes.Buffer
	w := db.NewLogoutWorker(d.Store, func(_ context.Context, l db.LogoutDelivery) error {
		if l.ClientID == "c1" {
			panic("secret")
		}
		return errors.New("answered 503")
	}, db.LogoutOptions{MaxAttempts: 2, Concurrency: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, want := range []db.LogoutDelivered{{Postponed: 2}, {Abandoned: 2}, {}} {
		if got, err := w.RunOnce(t.Context()); got != want || err != nil {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		if got, err := w.RunOnce(t.Context()); got != (db.LogoutDelivered{}) || err != nil {
			t.Errorf("at once again: %+v, %v", got, err)
		}
		pass(t, d.Pool)
	}
	if n := deliveries(t, d.Pool, "abandoned_at IS NOT NULL AND told_at IS NULL"); n != 2 {
		t.Errorf("%d clients are given up on, want 2", n)
	}
	text := log.String()
	for _, want := range []string{"client_id=c1", "client_id=c2", "attempt=2", "answered 503", "panicked", "given up"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
	for _, secret := range []string{"sub", "sid", "secret", "lease"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q:\n%s", secret, text)
		}
	}
}

// A worker that is stopped records what was delivered, and leaves the rest to others.
func TestLogoutWorkerStopsWithItsContext(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{MaxConns: 4})
	fillDue(t, d.Pool, 3)
	ctx, cancel := context.WithCancel(t.Context())
	var begun sync.WaitGroup
	begun.Add(2)
	w := db.NewLogoutWorker(d.Store, func(ctx context.Context, l db.LogoutDelivery) error {
		begun.Done()
		<-ctx.Done()
		if l.ClientID == "c1" {
			return nil // it was told just then
		}
		return ctx.Err()
	}, db.LogoutOptions{Concurrency: 2, Interval: time.Millisecond})
	ended := make(chan error)
	if _, err := d.Pool.Exec(ctx, `UPDATE session_client SET due_at = now() - interval '1 minute' WHERE client_id = 'c1'`); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- w.Run(ctx) }()
	begun.Wait()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if n := deliveries(t, d.Pool, "told_at IS NOT NULL AND client_id = 'c1'"); n != 1 {
		t.Error("the client that was told is not marked")
	}
	if n := deliveries(t, d.Pool, "told_at IS NULL AND attempts = 0"); n != 2 {
		t.Errorf("%d deliveries are left to others, want 2", n)
	}
	if n := d.Pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are still out", n)
	}
}

// A worker that stalls beyond its lease doesn't undo what another one has done.
func TestLogoutWorkerThatStalledLosesItsDelivery(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{MaxConns: 4})
	fillDue(t, d.Pool, 1)
	var clients told
	second := db.NewLogoutWorker(d.Store, func(_ context.Context, l db.LogoutDelivery) error { clients.add(l.ClientID); return nil }, db.LogoutOptions{})
	first := db.NewLogoutWorker(d.Store, func(context.Context, db.LogoutDelivery) error {
		pass(t, d.Pool)
		if got, err := second.RunOnce(t.Context()); got != (db.LogoutDelivered{Delivered: 1}) || err != nil {
			t.Errorf("the second worker: %+v, %v", got, err)
		}
		return errors.New("stalled")
	}, db.LogoutOptions{Concurrency: 1}) // so that it doesn't claim again meanwhile
	if got, err := first.RunOnce(t.Context()); got != (db.LogoutDelivered{Lost: 1}) || err != nil {
		t.Errorf("the first worker: %+v, %v", got, err)
	}
	pass(t, d.Pool)
	if got, err := second.RunOnce(t.Context()); got != (db.LogoutDelivered{}) || err != nil || clients.n["c1"] != 1 {
		t.Errorf("later: %+v, %v, told %d times", got, err, clients.n["c1"])
	}
}

func TestLogoutOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		opts db.LogoutOptions
		says string
	}{
		{db.LogoutOptions{}, ""},
		{db.LogoutOptions{Timeout: time.Millisecond}, ""},
		{db.LogoutOptions{Timeout: time.Minute, Lease: 65 * time.Second}, ""},
		{db.LogoutOptions{Timeout: time.Minute, Lease: 64 * time.Second}, "Lease"},
		{db.LogoutOptions{Lease: -time.Second}, "Lease"},
		{db.LogoutOptions{Timeout: -time.Second}, "Timeout"},
		{db.LogoutOptions{Concurrency: -1}, "Concurrency"},
		{db.LogoutOptions{BackOff: time.Millisecond}, "BackOff"},
	} {
		func() {
			defer func() {
				if got := recover(); (got != nil) != (tc.says != "") || got != nil && !strings.Contains(fmt.Sprint(got), tc.says) {
					t.Errorf("%+v: panic %v, want one about %q", tc.opts, got, tc.says)
				}
			}()
			db.NewLogoutWorker(nil, nil, tc.opts)
		}()
	}
}

// deliverForParent is what TestKilledLogoutWorker runs in a process of its own: a worker that posts to the parent.
func deliverForParent() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("TEST_LOGOUT_DATABASE"))
	if err == nil {
		err = db.NewLogoutWorker(store.New(pool), func(ctx context.Context, l db.LogoutDelivery) error {
			return post(ctx, os.Getenv("TEST_LOGOUT_URL"), l)
		}, db.LogoutOptions{Concurrency: 2}).Run(ctx)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func post(ctx context.Context, url string, l db.LogoutDelivery) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(l.ClientID)))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// A process is killed after it has claimed deliveries: before its clients have heard, or after they have and before it has recorded that.
// Every client is told all the same.
func TestKilledLogoutWorker(t *testing.T) {
	t.Parallel()
	if os.Getenv("TEST_LOGOUT_DATABASE") != "" {
		deliverForParent()
	}
	const n = 5
	d := testdb.New(t, testdb.Options{MaxConns: 4})
	fillDue(t, d.Pool, n)
	var heard, answered told
	reached, killed := make(chan struct{}, n), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if heard.add(store.ClientID(id)) == 1 {
			answered.add(store.ClientID(id)) // and the first answer gets through
			return
		}
		reached <- struct{}{}
		<-killed
	}))
	defer server.Close()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledLogoutWorker$")
	child.Env = append(os.Environ(), "TEST_LOGOUT_DATABASE="+d.URL, "TEST_LOGOUT_URL="+server.URL)
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // both slots of the child are taken by clients that have heard
		<-reached
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	close(killed)
	if left := deliveries(t, d.Pool, "told_at IS NULL AND lease_expires_at IS NOT NULL"); left != 2 {
		t.Errorf("%d deliveries are left with a lease of the dead, want 2", left)
	}
	var later told
	w := db.NewLogoutWorker(d.Store, func(_ context.Context, l db.LogoutDelivery) error { later.add(l.ClientID); return nil }, db.LogoutOptions{})
	first, err := w.RunOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pass(t, d.Pool) // the leases of the dead
	second, err := w.RunOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first.Delivered != n-3 || second.Delivered != 2 {
		t.Errorf("another worker delivers %d before the leases are over and %d after, want %d and 2", first.Delivered, second.Delivered, n-3)
	}
	for i := range n {
		id := store.ClientID(fmt.Sprintf("c%d", i+1))
		if later.n[id]+answered.n[id] != 1 {
			t.Errorf("%s was told %d times by the living and %d by the dead", id, later.n[id], answered.n[id])
		}
	}
	if left := deliveries(t, d.Pool, "told_at IS NULL"); left != 0 {
		t.Errorf("%d clients were never told", left)
	}
}

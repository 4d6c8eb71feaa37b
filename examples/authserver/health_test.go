package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/storetest"
)

func get(t *testing.T, address string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Error(err)
		return 0, nil, ""
	}
	r.Header.Set("Origin", "https://elsewhere.example")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer.StatusCode, answer.Header, string(body)
}

func TestReadinessFollowsDatabaseSchemaAndStopping(t *testing.T) {
	t.Parallel()
	w := start(t)
	want := func(path string, status int, text string) {
		t.Helper()
		got, header, body := get(t, w.issuer+path)
		if got != status || !strings.Contains(body, text) {
			t.Errorf("%s: %d %q, not %d %s", path, got, body, status, text)
		}
		if header.Get("Cache-Control") != "no-store" || header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, header)
		}
	}
	want(livePath, http.StatusOK, "alive")
	want(readyPath, http.StatusOK, "ready")
	address := strings.TrimPrefix(w.issuer, "http://")
	if err := checkHealth(t.Context(), address); err != nil {
		t.Error(err)
	}
	_, port, _ := net.SplitHostPort(address)
	if err := checkHealth(t.Context(), ":"+port); err != nil { // as a container has it
		t.Error(err)
	}

	check := w.server.health.check
	for cause, says := range map[error]string{
		db.ErrSchema:                           "the database is not prepared\n",
		db.ErrPrivileges:                       "the database is not prepared\n",
		db.ErrStandby:                          "the database accepts no writes\n",
		errors.New("host=db password=hunter2"): "the database does not answer\n",
	} {
		w.server.health.check = func(context.Context) error { return fmt.Errorf("db: check: %w", cause) }
		want(readyPath, http.StatusServiceUnavailable, says)
	}
	if err := checkHealth(t.Context(), address); err == nil {
		t.Error("a server without a database is said to be ready")
	}
	want(livePath, http.StatusOK, "alive") // to start it again would not help
	w.server.health.check = check
	w.server.health.drain()
	want(readyPath, http.StatusServiceUnavailable, "stopping")
	want(livePath, http.StatusOK, "alive")
}

// A server that finds itself on a standby, after a failover for instance, can answer reads and signs nobody in.
func TestAServerOnAStandbyIsNotReady(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	ready := func(pool *pgxpool.Pool) int {
		answer := httptest.NewRecorder()
		newHealth(pool, slog.New(slog.DiscardHandler)).ready(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, readyPath, nil))
		return answer.Code
	}
	if got := ready(d.Pool); got != http.StatusOK {
		t.Errorf("%d of a server that is ready", got)
	}
	config, err := db.ParseConfig(d.URL, db.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	reads, err := db.OpenConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	if got := ready(reads); got != http.StatusServiceUnavailable {
		t.Errorf("%d of a server whose database only reads", got)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: " + what)
		}
	}
}

func TestAServerThatIsStoppedFinishesWhatItHasBegun(t *testing.T) {
	t.Parallel()
	h := &health{logger: slog.New(slog.DiscardHandler), check: func(context.Context) error { return nil }}
	mux := http.NewServeMux()
	h.routes(mux)
	begun, answer := make(chan struct{}), make(chan struct{})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-answer
		_, _ = io.WriteString(w, "done")
	})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()

	var mu sync.Mutex
	var order []string
	note := func(what string) { mu.Lock(); defer mu.Unlock(); order = append(order, what) }
	ctx, stop := context.WithCancel(t.Context())
	drained, ended := make(chan time.Time), make(chan error, 1)
	go func() {
		ended <- serve(ctx, []service{{listener, mux}}, []func(context.Context){
			func(ctx context.Context) { <-ctx.Done(); note("background work") },
		}, stopping{begin: h.drain, drain: time.Second, timeout: time.Minute, after: func(time.Duration) <-chan time.Time { return drained }})
	}()
	var slow sync.WaitGroup
	slow.Go(func() {
		status, _, body := get(t, url+"/slow")
		note(body)
		if status != http.StatusOK {
			t.Errorf("the slow request: %d %s", status, body)
		}
	})
	<-begun
	if status, _, _ := get(t, url+readyPath); status != http.StatusOK {
		t.Fatalf("%d before it is stopped", status)
	}

	stop()
	eventually(t, "readiness fails first, while the server still serves", func() bool {
		status, _, _ := get(t, url+readyPath)
		return status == http.StatusServiceUnavailable
	})
	if status, _, _ := get(t, url+livePath); status != http.StatusOK {
		t.Errorf("%d while it drains", status)
	}
	drained <- time.Time{}
	eventually(t, "the listener closes", func() bool { status, _, _ := get(t, url+livePath); return status == 0 })
	select {
	case err := <-ended:
		t.Fatalf("it ended before the request under way: %v", err)
	default:
	}
	close(answer)
	slow.Wait()
	if err := stopped(ended); err != nil {
		t.Error(err)
	}
	if !slices.Equal(order, []string{"done", "background work"}) {
		t.Errorf("the order is %q", order)
	}
}

func TestARequestThatDoesNotEndIsCutOff(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { close(begun); <-r.Context().Done() })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, []service{{listener, handler}}, nil, stopping{begin: func() {}, timeout: time.Millisecond})
	}()
	go get(t, "http://"+listener.Addr().String())
	<-begun
	stop()
	if err := stopped(ended); err == nil || !strings.Contains(err.Error(), "requests were still under way after 1ms") {
		t.Error(err)
	}
}

// A server of a new release beside a database of the old one.
func TestAServerRefusesAnOlderSchemaAndSeveralMayMigrate(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	conn := stdlib.OpenDBFromPool(d.Pool)
	defer conn.Close()
	newest, err := migrations.Version(t.Context(), conn, migrations.Options{})
	if err != nil {
		t.Fatal(err)
	}
	down := func() {
		t.Helper()
		if _, err := migrations.DownTo(t.Context(), conn, newest-1, migrations.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	down()
	env := environment("DATABASE_URL", d.URL, "AUTHSERVER_SUCCESSOR_KEYS", testKey, "AUTHSERVER_KEY_ENCRYPTION_KEYS", testKey, "AUTHSERVER_ADDR", "127.0.0.1:0",
		"AUTHSERVER_DRAIN", "0s")
	if err := ends(t, nil, env, io.Discard, io.Discard); !errors.Is(err, errOldSchema) {
		t.Fatalf("on an older schema: %v", err)
	}
	if err := ends(t, []string{"-add-client", "clients/native.json"}, env, io.Discard, io.Discard); !errors.Is(err, errOldSchema) {
		t.Errorf("a client on an older schema: %v", err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said := [3]*output{{}, {}, {}}
	ended := make(chan error, len(said))
	for i := range said {
		go func() { ended <- run(ctx, []string{"-migrate"}, env, nil, said[i], io.Discard) }()
	}
	eventually(t, "all of them serve", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("one has ended: %v", err)
		default:
		}
		return !slices.ContainsFunc(said[:], func(o *output) bool { return !strings.Contains(o.String(), "Serving") })
	})
	address := "http://" + strings.Fields(strings.SplitAfter(said[0].String(), " on ")[1])[0]
	if status, _, body := get(t, strings.TrimSuffix(address, ".")+readyPath); status != http.StatusOK {
		t.Errorf("%s: %d %s", address, status, body)
	}
	stop()
	for range said {
		if err := stopped(ended); err != nil {
			t.Error(err)
		}
	}

	down()
	if err := ends(t, []string{"-migrate-only"}, environment("DATABASE_URL", d.URL), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if version, err := migrations.Version(t.Context(), conn, migrations.Options{}); err != nil || version != newest {
		t.Errorf("version %d, %v", version, err)
	}
}

// Command authserver is an OAuth 2.1 / OpenID Connect provider that a person can use: the library github.com/zitadel/oidc on
// oauthdb, and the pages around it. It is there to be read, run and copied from.
//
//	go run . -demo
//
// starts it with a demo user, demo clients, and one of these clients as an app in the browser, so that the whole dance is
// visible: sign in, consent, tokens, refresh, connected apps, sign out. Another client is a device without a keyboard; ask for it, enter the
// code that it is told at /device, and poll /oauth/token:
//
//	curl -d client_id=big-screen -d scope='openid profile' http://127.0.0.1:8080/device_authorization
//
// Without -demo nothing is known by heart, and keys are required:
//
//	AUTHSERVER_SUCCESSOR_KEYS=$(openssl rand -base64 32) AUTHSERVER_KEY_ENCRYPTION_KEYS=$(openssl rand -base64 32) \
//		DATABASE_URL=postgres://… authserver -addr 127.0.0.1:8080 -issuer https://id.example.com
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/examples/authserver/democlient"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "authserver:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	c, err := parseConfig(args, getenv, stderr)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: c.logLevel}))
	slog.SetDefault(logger) // the library's
	pool, err := openDatabase(ctx, c, logger, stderr)
	if err != nil {
		return err
	}
	defer pool.Close()

	if c.addUser != "" || c.addClient != "" {
		return administer(ctx, store.New(pool), c, stdin, stdout)
	}

	listener, err := listen(ctx, c.addr, c.demo && !c.addrGiven, "-addr")
	if err != nil {
		return err
	}
	defer listener.Close()
	c.settle(listener.Addr())
	server, err := newServer(pool, c.options(logger))
	if err != nil {
		return err
	}
	services := []service{{listener, server}}

	var app *democlient.Client
	if c.demo {
		demoListener, err := listen(ctx, c.demoAddr, !c.demoAddrGiven, "-demo-addr")
		if err != nil {
			return err
		}
		defer demoListener.Close()
		home := "http://" + demoListener.Addr().String()
		seeded, err := seedDemo(ctx, server.store, server.passwords, home)
		if err != nil {
			return err
		}
		server.tenants = seeded.tenants
		app = democlient.New(democlient.Config{Issuer: c.issuer, ClientID: seeded.web.ID, ClientSecret: seeded.web.Secret, Home: home, Scopes: seeded.web.Scopes})
		services = append(services, service{demoListener, app})
		fmt.Fprintf(stdout, welcome, home, seeded.email, seeded.password, c.issuer+accountPath, c.issuer+oidc.DiscoveryEndpoint,
			seeded.machine.ID, seeded.machine.Secret, c.issuer)
	} else {
		fmt.Fprintf(stdout, "Serving %s on %s. Stop with Ctrl+C.\n", c.issuer, listener.Addr())
	}
	return serve(ctx, services, []func(context.Context){
		func(ctx context.Context) {
			_ = db.NewCollector(server.store, db.CollectorOptions{Logger: logger}).Run(ctx) // ends when ctx does
		},
		func(ctx context.Context) { _ = server.logoutWorker().Run(ctx) },
		server.tendKeys,
	})
}

const welcome = `
  The demo app    %s      <- start here
  sign in with    %s
  password        %s

  Connected apps  %s
  Discovery       %s

  A token for a machine:
    curl -u %s:%s -d grant_type=client_credentials %s/oauth/token

  Everything about this demo is known to everybody. Stop it with Ctrl+C.

`

// openDatabase finds the database, starts a private PostgreSQL if there is none, and migrates.
func openDatabase(ctx context.Context, c *config, logger *slog.Logger, stderr io.Writer) (*pgxpool.Pool, error) {
	url := c.databaseURL
	if url == "" {
		var err error
		url, err = devdb.URL(ctx, devdb.Options{Database: "oauthdb_authserver", Logf: func(format string, args ...any) {
			fmt.Fprintf(stderr, format+"\n", args...)
		}})
		if err != nil {
			return nil, err
		}
	}
	pool, err := db.Open(ctx, url, db.Options{ApplicationName: "authserver"})
	if err != nil {
		return nil, err
	}
	conn := stdlib.OpenDBFromPool(pool)
	defer conn.Close()
	if _, err := migrations.Up(ctx, conn, migrations.Options{Logger: logger}); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// listen opens an address; if it is taken, another port of the same host, or an error that says how to choose one.
func listen(ctx context.Context, addr string, orAnother bool, flag string) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", addr)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return listener, err
	}
	if host, _, _ := net.SplitHostPort(addr); orAnother {
		return lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	}
	return nil, fmt.Errorf("%s is taken by another program: choose another address with %s", addr, flag)
}

type service struct {
	listener net.Listener
	handler  http.Handler
}

// shutdownTimeout is how long requests under way may take when the server is asked to stop.
const shutdownTimeout = 10 * time.Second

// serve runs the services and the background work, until ctx ends or a service fails.
func serve(ctx context.Context, services []service, background []func(context.Context)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	for _, s := range services {
		server := &http.Server{
			Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		}
		go func() { ended <- server.Serve(s.listener) }()
		go func() {
			<-ctx.Done()
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
			defer cancel()
			ended <- server.Shutdown(grace)
		}()
	}
	done := make(chan struct{})
	for _, work := range background {
		go func() { work(ctx); done <- struct{}{} }()
	}
	var first error
	for range 2 * len(services) {
		if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) && first == nil {
			first = err
		}
		cancel()
	}
	for range background {
		<-done
	}
	return first
}

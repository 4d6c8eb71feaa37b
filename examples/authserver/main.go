// Command authserver is an OAuth 2.1 / OpenID Connect provider that a person can use: the library github.com/zitadel/oidc on
// oauthdb, and the pages around it. It is there to be read, run, copied from and deployed; README.md says how.
//
//	make run
//
// in a clone of oauthdb starts a private PostgreSQL and the server with -demo: a demo user, demo clients, and one of these clients as an app
// in the browser, so that the whole dance is visible: sign in, consent, tokens, refresh, connected apps, sign out. Another client is a device
// without a keyboard; ask for it, enter the code that it is told at /device, and poll /oauth/token:
//
//	curl -d client_id=big-screen -d scope='openid profile' http://127.0.0.1:8080/device_authorization
//
// Without -demo nothing is known by heart, and keys are required:
//
//	DATABASE_URL=postgres://owner@… authserver -migrate-only
//	AUTHSERVER_SUCCESSOR_KEYS=$(openssl rand -base64 32) AUTHSERVER_KEY_ENCRYPTION_KEYS=$(openssl rand -base64 32) \
//		DATABASE_URL=postgres://server@… authserver -addr 127.0.0.1:8080 -issuer https://id.example.com
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
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/examples/authserver/democlient"
	"github.com/oauthdb/oauthdb/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
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
	if c.healthcheck {
		return checkHealth(ctx, c.addr)
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: c.logLevel}))
	slog.SetDefault(logger) // the library's
	pool, err := db.Open(ctx, c.databaseURL, db.Options{ApplicationName: "authserver"})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := prepareSchema(ctx, pool, c, logger); err != nil || c.migrateOnly {
		return err
	}
	if c.administers() {
		return administer(ctx, store.New(pool), c, stdin, stdout)
	}
	collecting := pool
	if c.collectorDatabaseURL != "" {
		if collecting, err = db.Open(ctx, c.collectorDatabaseURL, db.Options{ApplicationName: "authserver collector", MaxConns: 2}); err != nil {
			return err
		}
		defer collecting.Close()
	}

	listener, err := listen(ctx, c.addr, c.demo && !c.addrGiven, "-addr")
	if err != nil {
		return err
	}
	defer listener.Close()
	c.settle(listener.Addr())
	if c.demo && c.mailer == nil {
		c.mailer = printingMailer{stdout}
	}
	server, err := newServer(pool, c.options(logger))
	if err != nil {
		return err
	}
	stopping := stopping{drain: c.drain, timeout: c.shutdownTimeout, begin: server.health.drain}
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
		app = democlient.New(democlient.Config{
			Issuer: c.issuer, ClientID: seeded.web.ID, ClientSecret: seeded.web.Secret, Home: home, Scopes: seeded.web.Scopes, ScreenClientID: seeded.tv.ID,
		})
		services = append(services, service{demoListener, app})
		fmt.Fprintf(stdout, welcome, home, seeded.email, seeded.password, c.issuer+accountPath, c.issuer+oidc.DiscoveryEndpoint,
			seeded.machine.ID, seeded.machine.Secret, c.issuer)
	} else {
		fmt.Fprintf(stdout, "Serving %s on %s. Stop with Ctrl+C.\n", c.issuer, listener.Addr())
	}
	return serve(ctx, services, []func(context.Context){
		func(ctx context.Context) { collect(ctx, collecting, logger) },
		func(ctx context.Context) { _ = server.logoutWorker().Run(ctx) }, // ends when ctx does, as the others do
		server.tendKeys,
		server.outbox.work,
	}, stopping)
}

const welcome = `
  The demo app    %s      <- start here
  sign in with    %s
  password        %s
  or create an account: mail is printed here

  Connected apps  %s
  Discovery       %s

  A token for a machine:
    curl -u %s:%s -d grant_type=client_credentials %s/oauth/token

  Everything about this demo is known to everybody. Stop it with Ctrl+C.

`

func collect(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) {
	_ = db.NewCollector(store.New(pool), db.CollectorOptions{Logger: logger}).Run(ctx)
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

// stopping is how serve ends.
type stopping struct {
	begin   func()        // is called first: from here on the server says that it isn't ready
	drain   time.Duration // how long it goes on serving all the same
	timeout time.Duration // how long requests under way may take after that
	after   func(time.Duration) <-chan time.Time
}

// serve runs the services and the background work, until ctx ends or a service fails. Then load balancers are told, after a while nothing new is
// accepted, requests under way end, and the background work does at last: what a request leaves to it is done still.
func serve(ctx context.Context, services []service, background []func(context.Context), stop stopping) error {
	if stop.after == nil {
		stop.after = time.After
	}
	failed := make(chan error, len(services))
	servers := make([]*http.Server, len(services))
	for i, s := range services {
		servers[i] = &http.Server{
			Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		}
		go func() { failed <- servers[i].Serve(s.listener) }()
	}
	working, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	var work sync.WaitGroup
	for _, f := range background {
		work.Go(func() { f(working) })
	}

	var errs []error
	select {
	case err := <-failed:
		errs = append(errs, err)
	case <-ctx.Done():
		stop.begin()
		if stop.drain > 0 {
			for _, s := range servers {
				s.SetKeepAlivesEnabled(false)
			}
			<-stop.after(stop.drain)
		}
	}
	grace, cancel := context.WithTimeout(working, stop.timeout)
	defer cancel()
	var ending sync.WaitGroup
	problems := make(chan error, len(servers))
	for _, s := range servers {
		ending.Go(func() {
			if err := s.Shutdown(grace); err != nil {
				problems <- errors.Join(fmt.Errorf("requests were still under way after %s", stop.timeout), s.Close())
			}
		})
	}
	ending.Wait()
	close(problems)
	for err := range problems {
		errs = append(errs, err)
	}
	endWork()
	work.Wait()
	return errors.Join(errs...)
}

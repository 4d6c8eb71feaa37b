// Command serve runs the server of package mcpserver, on the database of the authorization server:
//
//	DATABASE_URL=postgres://… go run ./serve -addr 127.0.0.1:8090 -issuer http://localhost:8080
//
// The authorization server has to know it: -resources http://127.0.0.1:8090/mcp -scopes notes.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/examples/mcpserver"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8090", "the address to listen at")
	resource := flag.String("resource", "", "the URL by which clients reach this server (default: http, -addr and /mcp)")
	issuer := flag.String("issuer", "http://localhost:8080", "the authorization server")
	scopes := flag.String("scopes", "notes", "those that a token needs")
	maxAge := flag.Duration("max-age", 0, "how old the user's sign-in may be; 0: any age")
	acr := flag.String("acr-values", "", "the ways to sign in of which one is needed")
	flag.Parse()
	if *resource == "" {
		*resource = "http://" + *addr + "/mcp"
	}
	err := run(*addr, mcpserver.Options{
		Resource: *resource, Issuer: *issuer, Scopes: strings.Fields(*scopes), MaxAge: *maxAge, ACRValues: strings.Fields(*acr),
	})
	if err != nil {
		log.Fatal(err)
	}
}

func run(addr string, o mcpserver.Options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	pool, err := db.Open(ctx, os.Getenv("DATABASE_URL"), db.Options{ApplicationName: "mcpserver"})
	if err != nil {
		return err
	}
	defer pool.Close()
	handler, err := mcpserver.New(pool, o)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: addr, Handler: handler, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(last)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

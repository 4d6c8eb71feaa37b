// Command serve runs the endpoints of package tokenendpoint on the database that DATABASE_URL names:
//
//	DATABASE_URL=postgres://… SUCCESSOR_KEY=$(openssl rand -hex 32) go run ./serve -addr localhost:8080 -scopes 'calendar files'
package main

import (
	"context"
	"encoding/hex"
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
	"github.com/oauthdb/oauthdb/examples/tokenendpoint"
	"github.com/oauthdb/oauthdb/store"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "the address to listen at")
	scopes := flag.String("scopes", "", "those of clients that have none registered")
	flag.Parse()
	if err := run(*addr, strings.Fields(*scopes)); err != nil {
		log.Fatal(err)
	}
}

func run(addr string, scopes []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	key, err := hex.DecodeString(os.Getenv("SUCCESSOR_KEY"))
	if err != nil {
		return errors.New("SUCCESSOR_KEY is not hexadecimal")
	}
	pool, err := db.Open(ctx, os.Getenv("DATABASE_URL"), db.Options{ApplicationName: "tokenendpoint"})
	if err != nil {
		return err
	}
	defer pool.Close()
	handler, err := tokenendpoint.New(pool, tokenendpoint.Options{SuccessorKeys: [][]byte{key}, Scopes: scopes})
	if err != nil {
		return err
	}
	go db.NewCollector(store.New(pool), db.CollectorOptions{}).Run(ctx)
	server := &http.Server{Addr: addr, Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
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

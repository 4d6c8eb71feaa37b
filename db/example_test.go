package db_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func ExampleOpen() {
	ctx := context.Background()
	pool, err := db.Open(ctx, databaseURL, db.Options{
		ApplicationName:  "auth",
		MaxConns:         16,
		StatementTimeout: 5 * time.Second,
	})
	if err != nil {
		log.Fatal(db.Describe(err)) // without the password of the URL
	}
	defer pool.Close()

	var name string
	err = pool.QueryRow(ctx, "SELECT current_setting('application_name')").Scan(&name)
	fmt.Println(name, err)
	// Output: auth <nil>
}

// A user and the first way to sign in belong together.
func ExampleInTx() {
	ctx := context.Background()
	pool, err := db.Open(ctx, databaseURL, db.Options{})
	must(err)
	defer pool.Close()

	id := store.NewUserID()
	err = db.InTx(ctx, pool, db.TxOptions{}, func(tx pgx.Tx) error {
		q := store.New(tx)
		if _, err := q.CreateUser(ctx, store.CreateUserParams{ID: id, Name: "Ada"}); err != nil {
			return err
		}
		_, err := q.CreateAccount(ctx, store.CreateAccountParams{
			ID: store.NewAccountID(), UserID: id, ProviderID: "https://login.example", AccountID: "ada",
		})
		return err
	})
	must(err)

	user, err := store.New(pool).GetUser(ctx, id)
	fmt.Println(user.Name, err)
	// Output: Ada <nil>
}

// Introspections see what was revoked before them, also on a standby. Here the primary is its own.
func ExampleOpenReplica() {
	ctx := context.Background()
	primary, err := db.Open(ctx, databaseURL, db.Options{})
	must(err)
	defer primary.Close()
	replica, err := db.OpenReplica(ctx, databaseURL, primary, db.Options{ReplicaWait: time.Second})
	must(err)
	defer replica.Close()
	q := store.New(replica)

	at, _ := replica.Position(ctx) // no position on an error, and then the primary answers
	row, err := q.IntrospectToken(db.After(ctx, at), store.IntrospectTokenParams{Token: token.DigestOf("guessed"), ClientAuthMethod: "server"})
	fmt.Println(row.Outcome, err)
	// Output: inactive <nil>
}

// Outcomes that are signs of attacks are logged; a function of your own may count all of them.
func ExampleObserve() {
	ctx := context.Background()
	pool, err := db.Open(ctx, databaseURL, db.Options{})
	must(err)
	defer pool.Close()
	count := func(_ context.Context, o db.Observation) { fmt.Println(o.Call, o.Outcome, db.Security(o.Outcome)) }
	q := store.New(db.Observe(pool, count, db.LogSecurity(slog.New(slog.DiscardHandler))))

	_, err = q.AuthenticateClient(ctx, store.AuthenticateClientParams{ClientID: "nobody", ClientAuthMethod: "none"})
	must(err)
	// Output: AuthenticateClient unauthenticated true
}

// An error says which constraint a call has violated.
func ExampleViolates() {
	ctx := context.Background()
	pool, err := db.Open(ctx, databaseURL, db.Options{})
	must(err)
	defer pool.Close()
	q := store.New(pool)

	for range 2 {
		_, err := q.CreateUser(ctx, store.CreateUserParams{ID: store.NewUserID(), Name: "Ada", Email: new("taken@example.com")})
		switch {
		case db.Violates(err, store.ConstraintUserEmailUIdx):
			fmt.Println("the address is taken")
		case err != nil:
			log.Fatal(db.Describe(err))
		default:
			fmt.Println("created")
		}
	}
	// Output:
	// created
	// the address is taken
}

// The collector runs beside a server, in each process or in one.
func ExampleNewCollector() {
	ctx, stop := context.WithCancel(context.Background())
	pool, err := db.Open(ctx, databaseURL, db.Options{})
	must(err)
	defer pool.Close()

	collector := db.NewCollector(store.New(pool), db.CollectorOptions{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	done := make(chan error)
	go func() { done <- collector.Run(ctx) }()

	// … until the server stops.
	stop()
	fmt.Println(<-done)
	// Output: context canceled
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

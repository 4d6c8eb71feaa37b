package migrations_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"log/slog"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/migrations"
)

// databaseURL is that of a migrated database.
var databaseURL string

func TestMain(m *testing.M) { os.Exit(testdb.Examples(m, &databaseURL).Run()) }

// A deployment step migrates, as the role that owns the schema.
func ExampleUp() {
	ctx := context.Background()
	conn, err := sql.Open("pgx", databaseURL)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	applied, err := migrations.Up(ctx, conn, migrations.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(applied), "applied") // the database has them all
	// Output: 0 applied
}

// A server whose role may not change the schema looks whether it is up to date, and doesn't start on an older one.
func ExamplePending() {
	ctx := context.Background()
	conn, err := sql.Open("pgx", databaseURL)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	pending, err := migrations.Pending(ctx, conn, migrations.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if pending {
		log.Fatal("the schema is older than this server: run oauthdb migrate")
	}
	fmt.Println("up to date")
	// Output: up to date
}

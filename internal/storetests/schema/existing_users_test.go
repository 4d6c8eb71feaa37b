package schema

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/storetest"
)

// existingUsersSQL is the page's SQL, as its reader copies it.
func existingUsersSQL(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/existing-users.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(page), "```sql\n")
	block, _, closed := strings.Cut(block, "\n```")
	if !found || !closed {
		t.Fatal("docs/existing-users.md has no block of SQL")
	}
	return block
}

func TestExistingUserTableIsMirrored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Exec(`CREATE SCHEMA accounts`)
	w.Exec(`CREATE TABLE accounts.members (id bigint PRIMARY KEY, display_name text NOT NULL, email text NOT NULL, email_confirmed_at timestamptz)`)
	w.Exec(`INSERT INTO accounts.members VALUES (1, 'Grace', 'grace@example.com', now())`)
	w.Exec(existingUsersSQL(t))
	w.Exec(`INSERT INTO accounts.members VALUES (2, 'Edsger', 'edsger@example.com', NULL)`)

	grace, err := w.Q.GetUser(w.Ctx, "1")
	w.OK(err)
	if grace.Name != "Grace" || !grace.EmailVerified {
		t.Errorf("a member who was there before: %+v", grace)
	}
	w.Exec(`UPDATE accounts.members SET email = 'dijkstra@example.com', email_confirmed_at = now() WHERE id = 2`)
	edsger, err := w.Q.GetUser(w.Ctx, "2")
	w.OK(err)
	if edsger.Email == nil || *edsger.Email != "dijkstra@example.com" || !edsger.EmailVerified {
		t.Errorf("a member whose address changed: %+v", edsger)
	}

	w.User = "2"
	w.Session = w.NewSession(w.User)
	tokens := w.Redeem()
	w.WantLive(tokens.Access, tokens.Refresh)
	w.Exec(`DELETE FROM accounts.members WHERE id = 2`)
	w.WantDead(tokens.Access, tokens.Refresh)
}

func TestSchemaOfItsOwn(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	ctx := t.Context()
	if _, err := d.Pool.Exec(ctx, `CREATE SCHEMA own`); err != nil {
		t.Fatal(err)
	}
	config, err := pgxpool.ParseConfig(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["search_path"] = "own"
	db := stdlib.OpenDB(*config.ConnConfig)
	defer db.Close()
	if _, err := migrations.Up(ctx, db, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	w := worldOf(t, pool)
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	w.Client = w.NewClient()
	tokens := w.Redeem()
	w.WantLive(tokens.Access, tokens.Refresh)
	_, err = w.Q.EndSession(ctx, w.Session) // the function that it calls finds its tables by the search path too
	w.OK(err)
	var n int
	w.OK(d.Pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM own."user") - (SELECT count(*) FROM public."user")`).Scan(&n))
	if n != 1 {
		t.Errorf("the user was written to the wrong schema")
	}
}

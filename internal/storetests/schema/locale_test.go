package schema

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx, which migrations are run with

	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
)

// inEveryLocale runs a test in a migrated database of each locale that decides how letters fold: Turkish, English and none, of each
// provider that the server has.
func inEveryLocale(t *testing.T, test func(w *world)) {
	t.Helper()
	cluster, err := devdb.Start(t.Context(), devdb.Options{Kind: devdb.Test})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := pgxpool.New(t.Context(), cluster.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	locales := map[string]string{
		"C":         "LOCALE_PROVIDER libc LOCALE 'C'",
		"ICU tr-TR": "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C'",
		"ICU en-US": "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'",
		"ICU az":    "LOCALE_PROVIDER icu ICU_LOCALE 'az' LOCALE 'C'",
	}
	var major int
	if err := admin.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::integer / 10000").Scan(&major); err != nil {
		t.Fatal(err)
	}
	if major >= 17 {
		locales["builtin C.UTF-8"] = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
	}
	if major >= 18 {
		locales["builtin PG_UNICODE_FAST"] = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' LOCALE 'C'"
	}
	rows, err := admin.Query(t.Context(), `
		SELECT DISTINCT l.collcollate::text
		FROM pg_collation AS l
		WHERE l.collprovider = 'c' AND l.collencoding = pg_char_to_encoding('UTF8') AND l.collcollate = l.collctype
			AND l.collcollate ~* '^(C|en_US|tr_TR)\.utf-?8$'`)
	if err != nil {
		t.Fatal(err)
	}
	ofTheSystem, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range ofTheSystem {
		locales["libc "+l] = fmt.Sprintf("LOCALE_PROVIDER libc LOCALE '%s'", l)
	}
	for name, options := range locales {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := "locale_" + strings.ToLower(rand.Text())
			if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+database+" TEMPLATE template0 ENCODING 'UTF8' "+options); err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(cluster.URL)
			if err != nil {
				t.Fatal("the server's URL cannot be read")
			}
			u.Path = "/" + database
			db, err := sql.Open("pgx", u.String())
			if err != nil {
				t.Fatal(err)
			}
			_, err = migrations.Up(t.Context(), db, migrations.Options{})
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			pool, err := pgxpool.New(t.Context(), u.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				pool.Close()
				if _, err := admin.Exec(context.Background(), "DROP DATABASE "+database+" WITH (FORCE)"); err != nil {
					t.Error(err)
				}
			})
			test(worldOf(t, pool))
		})
	}
}

// Who has an address does not depend on where the database was made: ASCII case folds, and nothing else.
func TestEmailIsTheSameInEveryLocale(t *testing.T) {
	t.Parallel()
	inEveryLocale(t, func(w *world) {
		create := func(id store.UserID, email string) error {
			_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: id, Name: string(id), Email: &email})
			return err
		}
		taken := func(err error) bool {
			var refused *pgconn.PgError
			return errors.As(err, &refused) && refused.ConstraintName == string(store.ConstraintUserEmailUIdx)
		}
		for _, u := range []struct {
			id    store.UserID
			email string
			taken bool
		}{
			{"info", "info@example.com", false},
			{"INFO", "INFO@example.com", true},
			{"iNfO", "iNfO@EXAMPLE.COM", true},
			{"dotless", "ınfo@example.com", false},
			{"dotted", "İNFO@example.com", false},
			{"jose", "josé@example.com", false},
			{"JOSE", "JOSÉ@example.com", false},
			{"Jose", "JOSé@example.com", true},
			{"mike", "mike@example.com", false},
			{"strasse", "straße@example.com", false},
			{"STRASSE", "STRASSE@example.com", false},
			{"sigma", "σ@example.com", false},
			{"final", "ς@example.com", false},
		} {
			if err := create(u.id, u.email); taken(err) != u.taken || (err != nil && !u.taken) {
				w.Errorf("CreateUser with %s: %v, want it taken: %t", u.email, err, u.taken)
			}
			// another server's INSERT is refused likewise
			_, err := w.Pool.Exec(w.Ctx, `INSERT INTO "user" (id, name, email) VALUES ($1, '', $2)`, string(u.id)+"-again", u.email)
			if !taken(err) {
				w.Errorf("INSERT of %s again: %v, want it refused", u.email, err)
			}
		}
		w.Exec(`INSERT INTO account (id, account_id, provider_id, user_id, password) SELECT u.id, u.id, 'credential', u.id, 'hash' FROM "user" AS u`)
		for email, want := range map[string]store.UserID{
			"INFO@EXAMPLE.com":      "info",
			"ınfo@example.com":      "dotless",
			"ıNFO@example.com":      "dotless",
			"İnfo@example.com":      "dotted",
			"i̇nfo@example.com":     "", // what a dotted I is in lower case elsewhere
			"josé@EXAMPLE.com":      "jose",
			"josÉ@example.com":      "JOSE",
			"miKe@example.com":      "mike",
			"mi\u212ae@example.com": "",
			"STRASSE@example.com":   "STRASSE",
			"Σ@example.com":         "",
			"ς@example.com":         "final",
		} {
			found, err := w.Q.FindUserByEmail(w.Ctx, email)
			if found.ID != want || (err != nil && !errors.Is(err, pgx.ErrNoRows)) {
				w.Errorf("FindUserByEmail finds %q by %q, want %q (%v)", found.ID, email, want, err)
			}
			account, err := w.Q.FindCredentialAccountByEmail(w.Ctx, email)
			if account.User.ID != want || (err != nil && !errors.Is(err, pgx.ErrNoRows)) {
				w.Errorf("FindCredentialAccountByEmail finds %q by %q, want %q (%v)", account.User.ID, email, want, err)
			}
		}
		// a change of ASCII case alone is the same address, and stays verified; another letter is another address
		w.Exec(`UPDATE "user" SET email_verified = true, updated_at = now() WHERE id IN ('info', 'jose')`)
		for _, u := range []struct {
			id       store.UserID
			email    string
			verified bool
		}{{"info", "Info@Example.com", true}, {"jose", "josë@example.com", false}} {
			changed, err := w.Q.UpdateUser(w.Ctx, store.UpdateUserParams{ID: u.id, Email: &u.email})
			w.OK(err)
			if changed.EmailVerified != u.verified {
				w.Errorf("%s changed to %s: verified %t", u.id, u.email, changed.EmailVerified)
			}
		}
		for range 2 { // no address is no address of anybody's
			_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: store.NewUserID(), Name: "nobody"})
			w.OK(err)
		}
	})
}

package migrations_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/migrations"
)

// settingsOfAnOperator are what a database or a role may be told by its operator, and none of which may change what the
// migrations make.
var settingsOfAnOperator = []struct{ of, setting string }{
	{"text", "standard_conforming_strings = off"},
	{"text", "backslash_quote = off"},
	{"text", "transform_null_equals = on"},
	{"text", "array_nulls = off"},
	{"text", "xmloption = document"},
	{"values", "DateStyle = 'German, DMY'"},
	{"values", "IntervalStyle = sql_standard"},
	{"values", "TimeZone = 'Asia/Kathmandu'"},
	{"values", "timezone_abbreviations = 'Australia'"},
	{"values", "bytea_output = escape"},
	{"values", "extra_float_digits = -10"},
	{"values", "xmlbinary = hex"},
	{"transactions", "default_transaction_isolation = serializable"},
	{"transactions", "default_transaction_read_only = on"},
	{"transactions", "default_transaction_deferrable = on"},
	{"effects", "check_function_bodies = off"},
	{"effects", "row_security = on"},
	{"effects", "session_replication_role = replica"},
	{"timeouts", "statement_timeout = 15"},
	{"timeouts", "lock_timeout = 15"},
	{"timeouts", "idle_in_transaction_session_timeout = 50"},
	{"timeouts", "idle_session_timeout = 50"},
	{"timeouts", "transaction_timeout = 50"},
}

// schemaOf is the fingerprint without the settings.
func schemaOf(t *testing.T, db *sql.DB) []string {
	t.Helper()
	return slices.DeleteFunc(fingerprint(t, db), func(line string) bool { return strings.HasPrefix(line, "setting of ") })
}

func TestSettingsOfDatabaseOrRoleDoNotChangeTheSchema(t *testing.T) {
	t.Parallel()
	ordinary, _, _ := emptyDatabase(t)
	up(t, ordinary)
	want := schemaOf(t, ordinary)
	var version int
	if err := ordinary.QueryRowContext(t.Context(), `SELECT current_setting('server_version_num')::integer / 10000`).Scan(&version); err != nil {
		t.Fatal(err)
	}

	var groups []string
	for _, s := range settingsOfAnOperator {
		if !slices.Contains(groups, s.of) {
			groups = append(groups, s.of)
		}
	}
	for _, who := range []string{"DATABASE %[1]s", "ROLE CURRENT_USER IN DATABASE %[1]s"} {
		for _, group := range append(groups, "all") {
			t.Run(fmt.Sprintf("%.4s %s", who, group), func(t *testing.T) {
				t.Parallel()
				db, url, _ := emptyDatabase(t)
				var name string
				if err := db.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
					t.Fatal(err)
				}
				for _, s := range settingsOfAnOperator {
					if s.of != group && group != "all" || s.setting == "transaction_timeout = 50" && version < 17 {
						continue
					}
					if _, err := db.ExecContext(t.Context(), "ALTER "+fmt.Sprintf(who, name)+" SET "+s.setting); err != nil {
						t.Fatal(err)
					}
				}

				if _, err := migrations.Up(t.Context(), connect(t, url), migrations.Options{}); err != nil {
					t.Fatal(err)
				}
				// db has a session from before the settings, so it reads what is there as ordinary's does
				requireSame(t, "with other settings", schemaOf(t, db), want)

				// down and up again, on a database that has something to undo
				if _, err := migrations.DownTo(t.Context(), connect(t, url), 0, migrations.Options{}); err != nil {
					t.Fatal(err)
				}
				if _, err := migrations.Up(t.Context(), connect(t, url), migrations.Options{}); err != nil {
					t.Fatal(err)
				}
				requireSame(t, "again", schemaOf(t, db), want)
			})
		}
	}
}

// Whoever owns the schema need not be a superuser, and what only a superuser may set is left alone where it is as it should be.
func TestAnOrdinaryRoleMigrates(t *testing.T) {
	t.Parallel()
	db, url, _ := emptyDatabase(t)
	var name string
	if err := db.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`CREATE ROLE owner_of_` + name,
		`GRANT CREATE ON SCHEMA public TO owner_of_` + name,
		`ALTER ROLE CURRENT_USER IN DATABASE ` + name + ` SET role = owner_of_` + name,
		`ALTER DATABASE ` + name + ` SET standard_conforming_strings = off`,
		`ALTER DATABASE ` + name + ` SET default_transaction_read_only = on`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), `DROP OWNED BY owner_of_`+name+` CASCADE; DROP ROLE owner_of_`+name); err != nil {
			t.Error(err)
		}
	})
	if _, err := migrations.Up(t.Context(), connect(t, url), migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	var owner string
	if err := db.QueryRowContext(t.Context(), `
		SELECT min(relowner::regrole::text) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`).Scan(&owner); err != nil {
		t.Fatal(err)
	}
	if owner != "owner_of_"+name {
		t.Errorf("the tables belong to %s", owner)
	}
	ordinary, _, _ := emptyDatabase(t)
	up(t, ordinary)
	constraints := func(db *sql.DB) []string {
		return slices.DeleteFunc(fingerprint(t, db), func(line string) bool { return !strings.HasPrefix(line, "constraint ") })
	}
	want := constraints(ordinary)
	if len(want) < 20 {
		t.Fatalf("there are %d constraints", len(want))
	}
	requireSame(t, "as an ordinary role", constraints(db), want)
}

package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/testdb"
)

func TestCheckSaysWhatAServerLacks(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{Roles: true})
	check := func(opts db.CheckOptions) func(role string) error {
		return func(role string) error { return db.Check(testdb.As(t.Context(), role), d.Pool, opts) }
	}
	exec := func(sql string) {
		t.Helper()
		if _, err := d.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	all := check(db.CheckOptions{})
	for _, c := range []struct {
		name  string
		check func(string) error
		role  string
		want  error
	}{
		{"owner", all, "", nil},
		{"application", all, "application", nil},
		{"auditor", all, "auditor", db.ErrPrivileges},
		{"auditor that reads", check(db.CheckOptions{Standby: true}), "auditor", nil},
		{"peer that may not read the versions", all, "peer", db.ErrPrivileges},
		{"no such table", check(db.CheckOptions{VersionTable: "elsewhere.versions"}), "", db.ErrSchema},
	} {
		if err := c.check(c.role); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}

	config, err := db.ParseConfig(d.URL, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	reads, err := db.OpenConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	if err := db.Check(t.Context(), reads, db.CheckOptions{}); !errors.Is(err, db.ErrStandby) {
		t.Errorf("a server that only reads: %v", err)
	}
	if err := db.Check(t.Context(), reads, db.CheckOptions{Standby: true}); err != nil {
		t.Errorf("a server that is to read only: %v", err)
	}

	exec(`INSERT INTO oauthdb_version (version_id, is_applied) VALUES (9999, true)`)
	if err := all(""); err != nil {
		t.Errorf("a newer schema: %v", err)
	}
	exec(`DELETE FROM oauthdb_version WHERE version_id > 20`)
	if err := all(""); !errors.Is(err, db.ErrSchema) || db.Describe(err) != db.ErrSchema.Error() {
		t.Errorf("an older schema: %v, described as %q", err, db.Describe(err))
	}
	d.Pool.Close()
	if err := all(""); err == nil {
		t.Error("a database that doesn't answer is ready")
	}
}

func TestBacklogIsWhatIsLeftToDo(t *testing.T) {
	t.Parallel()
	d := testdb.New(t, testdb.Options{Roles: true})
	b, err := db.ReadBacklog(testdb.As(t.Context(), "application"), d.Pool)
	if err != nil || b.LogoutsDue != 0 || b.LogoutsLate != 0 || len(b.Expired) != 6 {
		t.Fatalf("%+v, %v", b, err)
	}
	for table, age := range b.Expired {
		if age != 0 {
			t.Errorf("%s: %s though it is empty", table, age)
		}
	}
	fillExpired(t, d.Pool, 3) // two days ago, and two days from now
	fillDue(t, d.Pool, 4)
	b, err = db.ReadBacklog(testdb.As(t.Context(), "collector"), d.Pool)
	if err != nil || b.LogoutsDue != 4 || b.LogoutsLate < 0 || b.LogoutsLate > time.Hour {
		t.Fatalf("%+v, %v", b, err)
	}
	for table, age := range b.Expired {
		if age < 48*time.Hour && table != "one_time_code" || age > 50*time.Hour {
			t.Errorf("%s: %s, want two days", table, age)
		}
	}
	if _, err := db.NewCollector(d.Store, db.CollectorOptions{Retention: -1}).Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err = db.ReadBacklog(t.Context(), d.Pool)
	if err != nil {
		t.Fatal(err)
	}
	for table, age := range b.Expired {
		if age != 0 {
			t.Errorf("%s: %s after a pass", table, age)
		}
	}
}

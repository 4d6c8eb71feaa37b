package testdb

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"

	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/migrations/roles"
)

// migrator makes the template: the migrations of oauthdb, then the caller's own, if any, then the privileges of package roles, if they
// are asked for, then rows.
type migrator struct {
	own   fs.FS
	roles bool
	fill  *Fill
}

// files are the file systems that hold migrations, in the order in which they are applied.
func (m migrator) files() []fs.FS {
	if m.own == nil {
		return []fs.FS{migrations.FS}
	}
	return []fs.FS{migrations.FS, m.own}
}

// hash tells states of the migrations apart.
func (m migrator) hash() (string, error) {
	h := sha256.New()
	for _, fsys := range m.files() {
		names, err := fs.Glob(fsys, "*.sql")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%d files\n", len(names))
		for _, name := range names { // sorted
			content, err := fs.ReadFile(fsys, name)
			if err != nil {
				return "", fmt.Errorf("reading the migrations: %w", err)
			}
			fmt.Fprintf(h, "%q %x\n", name, sha256.Sum256(content))
		}
	}
	if m.roles {
		fmt.Fprintf(h, "%q", datedUpdates)
		for _, script := range []func(roles.Options) (string, error){roles.Create, roles.Privileges} {
			sql, err := script(roles.Options{})
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%q", sql)
		}
	}
	if m.fill != nil {
		fmt.Fprintf(h, "%q", m.fill.ID)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// rolesOf are the roles of package roles on a server: the tests' role is the owner, and a member of the others.
func (s *testServer) rolesOf() roles.Options {
	name := s.role.name
	return roles.Options{Owner: name, Application: name + "_application", Collector: name + "_collector", Auditor: name + "_auditor", Peer: name + "_peer"}
}

// give creates the roles, as the superuser, and gives them their privileges in a database, as the tests' role. From then on updates by calls
// have to be dated.
func (s *testServer) give(ctx context.Context, database string, db *sql.DB) (err error) {
	o := s.rolesOf()
	create, err := roles.Create(o)
	if err != nil {
		return err
	}
	privileges, err := roles.Privileges(o)
	if err != nil {
		return err
	}
	c := s.admin
	c.Database = database
	admin, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close(context.WithoutCancel(ctx))) }()
	if _, err := admin.Exec(ctx, create+"GRANT "+quoted(o.Application)+", "+quoted(o.Collector)+", "+quoted(o.Auditor)+", "+quoted(o.Peer)+" TO "+quoted(o.Owner)); err != nil {
		return fmt.Errorf("creating roles: %w", err)
	}
	if _, err := db.ExecContext(ctx, privileges); err != nil {
		return fmt.Errorf("giving the roles their privileges: %w", err)
	}
	if _, err := db.ExecContext(ctx, datedUpdates); err != nil {
		return fmt.Errorf("creating the triggers: %w", err)
	}
	return nil
}

// fill writes the rows of a template.
func (s *testServer) fill(ctx context.Context, database string, f *Fill) error {
	c, err := pgxpool.ParseConfig(s.asTestRole(database).URL())
	if err != nil {
		return err
	}
	c.AfterConnect = registerTypes
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return err
	}
	defer pool.Close()
	return f.Rows(ctx, pool)
}

// datedUpdates makes an UPDATE fail that leaves updated_at as it was, if a call makes it: other servers and the tests' own statements are
// the owner's.
const datedUpdates = `
	CREATE SCHEMA testdb;
	CREATE FUNCTION testdb.refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		RAISE 'an UPDATE of % sets no updated_at', TG_TABLE_NAME;
	END
	$$;
	DO $$
	DECLARE
		dated regclass;
	BEGIN
		FOR dated IN
			SELECT a.attrelid
			FROM pg_attribute AS a
			JOIN pg_class AS c ON c.oid = a.attrelid
			WHERE a.attname = 'updated_at' AND c.relkind = 'r'
		LOOP
			EXECUTE format(
				'CREATE TRIGGER updates_are_dated BEFORE UPDATE ON %s FOR EACH ROW
				WHEN (NEW.updated_at IS DISTINCT FROM now() AND current_user IN (session_user || ''_application'', session_user || ''_collector''))
				EXECUTE FUNCTION testdb.refuse_update()',
				dated
			);
		END LOOP;
	END
	$$`

// migrate runs once for each hash, on an empty database.
func (m migrator) migrate(ctx context.Context, db *sql.DB) error {
	if _, err := migrations.Up(ctx, db, migrations.Options{}); err != nil {
		return err
	}
	if m.own == nil {
		return nil
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, m.own)
	if err != nil {
		return fmt.Errorf("reading the migrations added: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("applying the migrations added: %w", err)
	}
	return nil
}

// clone makes a database for one test, a copy of the template.
func clone(ctx context.Context, m migrator) (conf, error) {
	s, err := server(ctx)
	if err != nil {
		return conf{}, err
	}
	template, err := s.template(ctx, m)
	if err != nil {
		return conf{}, err
	}
	var id [4]byte
	rand.Read(id[:])
	c := s.asTestRole(template + "_inst_" + hex.EncodeToString(id[:]))
	// The template is small, and the server syncs nothing, so copying its files takes half as long as writing them to the log.
	err = s.exec(ctx, "CREATE DATABASE "+quoted(c.Database)+" TEMPLATE "+quoted(template)+" OWNER "+quoted(s.role.name)+" STRATEGY FILE_COPY")
	if err != nil {
		return conf{}, fmt.Errorf("copying the template: %w", err)
	}
	return c, nil
}

// drop drops the database of a test and ends the connections to it: one that a test leaks is reported by New, and the database
// need not stay for it.
func drop(ctx context.Context, database string) error {
	s, err := server(ctx)
	if err != nil {
		return err
	}
	return s.exec(ctx, "DROP DATABASE IF EXISTS "+quoted(database)+" WITH (FORCE)")
}

// template returns the name of the template for m, and makes it if no process has done so. What belongs to the name is the role,
// too, as it owns all that is in the template.
func (s *testServer) template(ctx context.Context, m migrator) (string, error) {
	hash, err := m.hash()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s", s.role.name, s.role.password, hash))
	name := "testdb_tpl_" + hex.EncodeToString(sum[:16])

	var templates map[string]bool
	select {
	case templates = <-s.templates: // one test makes it, the others wait
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { s.templates <- templates }()
	if templates[name] {
		return name, nil
	}
	if err := s.makeTemplate(ctx, name, m); err != nil {
		return "", fmt.Errorf("making the template %s: %w", name, err)
	}
	templates[name] = true
	return name, nil
}

// makeTemplate makes the role and the template, unless they are there. A database of that name that is not marked as a template is
// what a process left that failed half-way, and is made anew.
func (s *testServer) makeTemplate(ctx context.Context, name string, m migrator) (err error) {
	conn, err := pgx.Connect(ctx, s.admin.URL())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	// One process at a time, whichever template it needs: roles belong to all of them. The lock ends with the connection.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended('oauthdb test template', 0))"); err != nil {
		return err
	}
	var role, template bool
	err = conn.QueryRow(ctx, `
		SELECT
			EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
			EXISTS (SELECT FROM pg_database WHERE datname = $2 AND datistemplate)`, s.role.name, name).Scan(&role, &template)
	if err != nil {
		return err
	}
	if !role {
		// The password is hexadecimal.
		_, err := conn.Exec(ctx, "CREATE ROLE "+quoted(s.role.name)+" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '"+s.role.password+"'")
		if err != nil {
			return fmt.Errorf("creating the role of the tests: %w", err)
		}
	}
	if template {
		return nil
	}
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quoted(name)+" WITH (FORCE)"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+quoted(name)+" OWNER "+quoted(s.role.name)); err != nil {
		return err
	}
	db, err := sql.Open("pgx", s.asTestRole(name).URL())
	if err != nil {
		return err
	}
	err = m.migrate(ctx, db)
	if err == nil && m.roles {
		err = s.give(ctx, name, db)
	}
	if err == nil && m.fill != nil {
		err = s.fill(ctx, name, m.fill)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+quoted(name)+" IS_TEMPLATE true")
	return err
}

// setForAll makes settings those of all sessions of a test's database: a pooler refuses or drops them at the start of a connection.
func setForAll(ctx context.Context, database conf, settings map[string]string) (err error) {
	if len(settings) == 0 {
		return nil
	}
	s, err := server(ctx)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.admin.URL()) // for some settings it takes a superuser
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	for name, value := range settings {
		var sql string
		if err := conn.QueryRow(ctx, "SELECT format('ALTER DATABASE %I SET %s = %L', $1::text, $2::text, $3::text)",
			database.Database, name, value).Scan(&sql); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

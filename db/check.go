package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
)

// Errors of [Check].
var (
	// ErrStandby says that the server accepts no writes: it is a standby, or its transactions are read-only.
	ErrStandby = errors.New("the server accepts no writes")
	// ErrSchema says that the schema is missing or older than this program. A newer one is fine.
	ErrSchema = errors.New("the schema is older than this program")
	// ErrPrivileges says that the role lacks what a server needs.
	ErrPrivileges = errors.New("the role lacks privileges")
)

// CheckOptions say what [Check] asks for.
type CheckOptions struct {
	// Standby is set for a server that only reads, such as one that a [Replica] is to use.
	Standby bool
	// VersionTable is where migrations are recorded, if it isn't oauthdb_version, as in migrations.Options.
	VersionTable string
}

// Check says whether calls of package store can be made on a pool, for a readiness probe: the database answers, accepts writes, has the
// schema, and lets the role read and write tokens. It is one short statement that reads no table but that of the versions. Bound it by a
// context, a second or two.
//
// It compares the version of the schema, not its content: for that, see migrations.Pending and the command `oauthdb check`.
func Check(ctx context.Context, pool *pgxpool.Pool, opts CheckOptions) error {
	var readOnly bool
	var version int64
	var lacking []string
	err := pool.QueryRow(ctx, `
		SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
			(SELECT coalesce(max(v.version_id), 0)::int8 FROM `+pgx.Identifier(strings.Split(cmp.Or(opts.VersionTable, "oauthdb_version"), ".")).Sanitize()+` AS v WHERE v.is_applied),
			(
				SELECT coalesce(array_agg(t.name), '{}')
				FROM unnest('{oauth_authorization,oauth_access_token,oauth_refresh_token}'::text[]) AS t (name)
				WHERE NOT has_any_column_privilege(to_regclass(t.name), 'SELECT')
					OR NOT $1::boolean AND NOT has_any_column_privilege(to_regclass(t.name), 'INSERT')
			)`, opts.Standby).Scan(&readOnly, &version, &lacking)
	switch {
	case hasCode(err, undefinedTable):
		return fmt.Errorf("db: check: %w: no migration was applied in the search_path", ErrSchema)
	case hasCode(err, insufficientPrivilege):
		return fmt.Errorf("db: check: %w on the table of versions", ErrPrivileges)
	case err != nil:
		return fmt.Errorf("db: check: %w", err)
	case readOnly && !opts.Standby:
		return fmt.Errorf("db: check: %w", ErrStandby)
	case version < store.SchemaVersion:
		return fmt.Errorf("db: check: %w: version %d, not %d", ErrSchema, version, store.SchemaVersion)
	case len(lacking) > 0:
		return fmt.Errorf("db: check: %w on %s", ErrPrivileges, strings.Join(lacking, ", "))
	}
	return nil
}

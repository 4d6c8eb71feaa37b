package testdb

import (
	"context"

	"github.com/jackc/pgx/v5"
)

type roleKey struct{}

// As is a context in which the connections of a pool with Options.Roles act as a role: application, collector, auditor or peer. Without
// one they are the owner's.
func As(ctx context.Context, role string) context.Context {
	return context.WithValue(ctx, roleKey{}, role)
}

// roleData is where a connection keeps the role that it acts as.
const roleData = "oauthdb test role"

// actAs is called whenever a connection is acquired. It works below pgx, whose tracers would count what it sends.
func actAs(ctx context.Context, conn *pgx.Conn) (bool, error) {
	want, _ := ctx.Value(roleKey{}).(string)
	data := conn.PgConn().CustomData()
	if have, _ := data[roleData].(string); have == want {
		return true, nil
	}
	sql := "RESET ROLE"
	if want != "" {
		sql = "SELECT set_config('role', session_user || '_" + want + "', false)"
	}
	if err := conn.PgConn().Exec(ctx, sql).Close(); err != nil {
		return false, err
	}
	data[roleData] = want
	return true, nil
}

package schema

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// world is the fixture's, with the helpers of this package.
type world struct{ *fixture.World }

// newWorld makes a world in a database of its own with at most conns connections.
func newWorld(t testing.TB, conns int) *world {
	t.Helper()
	return &world{fixture.NewWorld(t, conns)}
}

// worldOf is a world in which nobody is yet.
func worldOf(t testing.TB, pool *pgxpool.Pool) *world { return &world{fixture.Of(t, pool)} }

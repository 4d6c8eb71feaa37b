package race

import (
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// world is the fixture's, with the helpers of this package.
type world struct{ *fixture.World }

// newWorld makes a world in a database of its own with at most conns connections.
func newWorld(t testing.TB, conns int) *world {
	t.Helper()
	return &world{fixture.NewWorld(t, conns)}
}

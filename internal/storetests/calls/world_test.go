package calls

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

// world is the fixture's, with the helpers of this package. What its calls come to is kept (see reached).
type world struct {
	*fixture.World
	machineClient store.ClientID
	diary         *diary
}

// newWorld makes a world in a database of its own with at most conns connections. Neighbours are there, too.
func newWorld(t testing.TB, conns int) *world {
	t.Helper()
	return newWorldAmong(t, conns, fixture.WithNeighbours(t))
}

// newWorldAlone is newWorld without neighbours, for a test of what is done to all rows of a table.
func newWorldAlone(t testing.TB, conns int) *world {
	t.Helper()
	return newWorldAmong(t, conns)
}

func newWorldAmong(t testing.TB, conns int, others ...storetest.Option) *world {
	t.Helper()
	w := fixture.NewWorld(t, conns, append(others, withEvents, fixture.WithRoles)...)
	d := writesEvents(t, w.Pool)
	w.Q = recorded(w.Pool, d)
	return &world{World: w, diary: d}
}

// needsRoles skips a test whose calls have to be made by another role than the owner, which has no row security and no trigger of its own.
func needsRoles(t *testing.T) {
	t.Helper()
	if testdb.Pooled() {
		t.Skip("a role is that of a session, and a pooler hands sessions on, so all calls are the owner's")
	}
}

// worldOf is a world in which nobody is yet.
func worldOf(t testing.TB, pool *pgxpool.Pool) *world {
	w := fixture.Of(t, pool)
	w.Q = recorded(pool, nil)
	return &world{World: w}
}

// forSubtest is the same world, whose helpers fail a subtest.
func (w *world) forSubtest(t testing.TB) *world {
	return &world{w.ForSubtest(t), w.machineClient, w.diary}
}

// want fails the test unless a call has come to an outcome.
func (w *world) want(what string, got, want store.Outcome) {
	w.Helper()
	if got != want {
		w.Errorf("%s: %s, want %s", what, got, want)
	}
}

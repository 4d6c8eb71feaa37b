package fositedb_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
)

// gate is the library's own store, with as many redemptions at once as there are parties: they go on when all of them have looked the code
// up, the first time and the second. Two servers on one database meet like that by chance.
type gate struct {
	*storage.MemoryStore
	closed  atomic.Bool
	parties int64
	arrived atomic.Int64
	opened  [2]chan struct{}
}

// GetAuthorizeCodeSession implements oauth2.AuthorizeCodeStorage. A redemption calls it twice.
func (g *gate) GetAuthorizeCodeSession(ctx context.Context, code string, session fosite.Session) (fosite.Requester, error) {
	r, err := g.MemoryStore.GetAuthorizeCodeSession(ctx, code, session)
	if err == nil { // the store returns one and the same to all, and its session isn't safe for that
		r = r.Sanitize([]string{"redirect_uri"})
		r.SetSession(r.GetSession().Clone())
	}
	if !g.closed.Load() {
		return r, err
	}
	n := g.arrived.Add(1) - 1
	opened := g.opened[n/g.parties]
	if n%g.parties == g.parties-1 {
		close(opened)
	}
	select {
	case <-opened:
	case <-time.After(10 * time.Second):
	}
	return r, err
}

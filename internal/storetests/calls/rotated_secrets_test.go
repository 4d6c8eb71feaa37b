package calls

import (
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// A secret that was rotated out and came back by another call still has its row. A retry leaves that; a rotation promises anew.
func TestRotationOfASecretThatHadBeenRotatedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.open(func(p *store.RegisterClientParams) { p.ClientSecret = new(fixture.Digest("A")) })
	w.rotateSecret(w.Q, client, "B", time.Hour, store.OutcomeRotated)
	u := updateParams(client, "r1")
	u.ClientSecret, u.ClientSecretLifetime = new(fixture.Digest("A")), store.Never
	w.update(u, store.OutcomeUpdated)
	w.Unchanged(func() { w.rotateSecret(w.Q, client, "A", time.Hour, store.OutcomeRetried) })
	w.rotateSecret(w.Q, client, "C", 2*time.Hour, store.OutcomeRotated)
	c, err := w.Q.GetClient(w.Ctx, client)
	w.OK(err)
	older, err := w.Q.ListClientSecrets(w.Ctx, client)
	w.OK(err)
	wantEqual(t, "older secrets", len(older), 1)
	wantEqual(t, "the one that lasts", older[0].Digest, fixture.Digest("A"))
	wantAt(t, "it expires", &older[0].ExpiresAt, c.UpdatedAt, 2*time.Hour)
	wantEqual(t, "updated_at", older[0].UpdatedAt, c.UpdatedAt)
}

// Two clients may have had one secret. What one does with it is not the other's.
func TestRotationLeavesTheSameSecretOfAnotherClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client, other := w.open(), w.open(func(p *store.RegisterClientParams) { p.ClientSecret = new(fixture.Digest("A")) })
	w.rotateSecret(w.Q, other, "B", time.Hour, store.OutcomeRotated)
	w.rotateSecret(w.Q, client, "A", 0, store.OutcomeRotated)
	wantEqual(t, "the other still authenticates by it", w.authenticated(w.Q, other, "A"), true)
}

// What no longer counts leaves no row, and what is missing is refused, also where the client has no secret that it would equal.
func TestRotationWithoutOverlapOrSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.NewClient()
	w.rotateSecret(w.Q, client, "new", 0, store.OutcomeRotated)
	var rows int
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT count(*) FROM oauth_client_secret WHERE client_id = $1`, client).Scan(&rows))
	wantEqual(t, "rows of older secrets", rows, 0)
	bare := w.NewClient(func(p *store.CreateClientParams) { p.ClientSecret, p.Public = nil, new(false) })
	w.refused(func() {
		for _, id := range []store.ClientID{client, bare} {
			_, err := w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: id, Overlap: time.Hour, Lifetime: store.Never})
			wantEqual(t, "without a secret", pgErrorOf(err).Message, "ClientSecret is missing")
		}
	})
}

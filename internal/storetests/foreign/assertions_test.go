package foreign

import (
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/store"
)

// The other server keeps 24 of the 32 bytes of the digest.
func TestAnAssertionIsRememberedAsAnotherServerHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	remember := func(id string) error {
		_, err := w.pool.Exec(w.ctx, `insert into "oauth_client_assertion" ("id", "expires_at") values ($1, now() + interval '1 minute') returning "id"`, id)
		return err
	}
	id := "-_" + strings.Repeat("x", 30)
	w.ok(remember(id))
	if err := remember(id); !violates(err, string(store.ConstraintOAuthClientAssertionPKey)) {
		t.Errorf("a second time: %v", err)
	}
	for _, other := range []string{id[1:], id + "x", id[1:] + "+", "", strings.Repeat("x", 44)} {
		if err := remember(other); !violates(err, string(store.ConstraintAssertionIDIsDigest)) {
			t.Errorf("%q: %v", other, err)
		}
	}
}

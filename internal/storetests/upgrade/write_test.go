package upgrade

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/migrations"
	"github.com/oauthdb/oauthdb/store"
)

var write = flag.Bool("write", false, "write testdata/N.jsonl, N being the version of the schema, as this release writes its tables")

// byHand are rows of tables that no call writes, or that only other servers do.
var byHand = map[string]string{
	"jwks":                       `INSERT INTO jwks (id, public_key, private_key) VALUES ('key', '{}', 'ciphertext')`,
	"oauth_client_secret":        `INSERT INTO oauth_client_secret (id, client_id, digest, expires_at) VALUES ('older', CLIENT, DIGEST, now() + interval '1 hour')`,
	"session_client":             `INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid) VALUES ('at', SESSION, CLIENT, USER, USER, SESSION)`,
	"oauth_client_assertion":     `INSERT INTO oauth_client_assertion (id, expires_at) VALUES (DIGEST, now() + interval '1 hour')`,
	"oauth_resource":             `INSERT INTO oauth_resource (id, identifier, name) VALUES ('api', 'https://api.example', 'API')`,
	"oauth_client_resource":      `INSERT INTO oauth_client_resource (id, client_id, resource_id) VALUES ('api', CLIENT, 'https://api.example')`,
	"oauth_initial_access_token": `INSERT INTO oauth_initial_access_token (id, token, max_uses) VALUES ('initial', DIGEST, 3)`,
	"oauth_pairwise_subject":     `INSERT INTO oauth_pairwise_subject (sector, user_id, subject) VALUES ('shop.example', USER, 'pairwise')`,
	"verification":               `INSERT INTO verification (id, identifier, value, expires_at) VALUES ('mail', 'ada@example.com', 'v', now() + interval '1 hour')`,
	"device_code":                `INSERT INTO device_code (id, device_code, user_code, status, expires_at) VALUES ('tv', 'd', 'u', 'pending', now() + interval '1 hour')`,
	"security_event":             `INSERT INTO security_event (call, outcome) VALUES ('EndSession', 'ended')`,
}

// TestWrite writes what the next releases have to live with.
func TestWrite(t *testing.T) {
	if !*write {
		t.Skip("writes a file, with -write")
	}
	w := fixture.NewWorld(t, 2, fixture.WithNeighbours(t))
	owner := w.User

	// Grants that live, have ended in different ways, or were never taken.
	live := w.Redeem()
	w.Rotate(live.Refresh, store.OutcomeRotated)
	w.Rotate(fixture.SuccessorOf(live.Refresh), store.OutcomeRotated)
	w.Redeem()
	revoked := w.Redeem()
	_, err := w.Q.RevokeAuthorization(w.Ctx, revoked.Authorization)
	w.OK(err)
	w.Grant()
	id := w.ForeignRefreshToken("foreign refresh")
	w.ForeignAccessToken("foreign access", &id)
	client := w.Client
	w.Client = w.NewClient()
	w.Redeem()
	_, err = w.Q.RevokeClientAuthorizations(w.Ctx, w.Client)
	w.OK(err)
	w.Redeem()
	w.Client = client
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	w.Redeem()
	_, err = w.Q.SuspendUser(w.Ctx, w.User)
	w.OK(err)
	w.User = w.NewUser()
	w.Session = w.NewSession(w.User)
	w.Redeem()

	values := strings.NewReplacer("CLIENT", quoted(client), "SESSION", quoted(w.Session), "USER", quoted(owner), "DIGEST", quoted(fixture.Digest("by hand")))
	for _, table := range fixture.Tables {
		var filled bool
		w.OK(w.Pool.QueryRow(w.Ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM %q)", table)).Scan(&filled))
		if !filled {
			if byHand[table] == "" {
				t.Errorf("%s is empty", table)
				continue
			}
			w.Exec(values.Replace(byHand[table]))
		}
	}

	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer tx.Rollback(w.Ctx)
	d := data{tokens: introspect(t, tx), taken: time.Now().UTC().Truncate(time.Second)}
	w.OK(tx.QueryRow(w.Ctx, "SELECT max(version_id) FROM "+migrations.DefaultTable).Scan(&d.version))
	all := contentsOf(t, tx)
	for _, table := range slices.Sorted(maps.Keys(all)) {
		for _, row := range all[table] {
			d.rows = append(d.rows, line{Table: table, Row: json.RawMessage(row)})
		}
	}
	d.write(t, fmt.Sprintf("testdata/%05d.jsonl", d.version))
}

func quoted[T ~string](text T) string { return "'" + string(text) + "'" }

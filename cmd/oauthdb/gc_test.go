package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func TestGCDeletesWhatHasExpiredAndCountsIt(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, testdb.Options{})
	for _, jti := range []string{"past", "long past", "to come"} {
		_, err := db.Store.RememberClientAssertion(t.Context(), store.RememberClientAssertionParams{
			ID: token.AssertionID("client", jti), ExpiresAt: time.Now().Add(time.Hour).Unix(), MaxLifetime: 2 * time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		if jti != "to come" {
			if _, err := db.Pool.Exec(t.Context(), `UPDATE oauth_client_assertion SET expires_at = now() WHERE id = $1`, token.AssertionID("client", jti)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, want := range []string{"2 rows deleted", "0 rows deleted"} {
		code, out, errors := oauthdb(t, "gc", "-database-url", db.URL, "-batch", "1", "-retention", "0")
		if code != exitDone || errors != "" || !strings.Contains(out, want) || !strings.Contains(out, " oauth_client_assertion\n") {
			t.Errorf("exit code %d, output\n%serrors %q", code, out, errors)
		}
	}
}

// What a crash undoes, the next pass deletes again, so a batch doesn't wait for the disk, unless the connection string says so.
func TestGCDoesNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, testdb.Options{})
	for _, sql := range []string{
		`CREATE TABLE seen (setting text)`,
		`CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN OLD; END $$`,
		`CREATE TRIGGER see BEFORE DELETE ON verification FOR EACH ROW EXECUTE FUNCTION see()`,
	} {
		if _, err := db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	separator := "?"
	if strings.Contains(db.URL, "?") {
		separator = "&"
	}
	for url, want := range map[string]string{db.URL: "off", db.URL + separator + "synchronous_commit=local": "local"} {
		if _, err := db.Pool.Exec(t.Context(), `INSERT INTO verification (id, identifier, value, expires_at) VALUES ($1, 'x', 'x', now())`, want); err != nil {
			t.Fatal(err)
		}
		if code, out, errors := oauthdb(t, "gc", "-database-url", url); code != exitDone || errors != "" {
			t.Fatalf("exit code %d, output\n%serrors %q", code, out, errors)
		}
		var got string
		if err := db.Pool.QueryRow(t.Context(), `DELETE FROM seen RETURNING setting`).Scan(&got); err != nil || got != want {
			t.Errorf("synchronous_commit was %q, %v; want %q", got, err, want)
		}
	}
}

func TestGCDeletesUnusedClientsByChoice(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, testdb.Options{})
	registration := token.DigestOf("registration access token")
	for name, change := range map[string]func(*store.CreateClientParams){
		"registered": func(p *store.CreateClientParams) { p.RegistrationAccessToken = &registration },
		"made":       func(*store.CreateClientParams) {},
	} {
		p := store.CreateClientParams{ID: store.NewOAuthClientID(), ClientID: store.ClientID(name), RedirectURIs: []string{"https://client.example/cb"}}
		change(&p)
		if _, err := db.Store.CreateClient(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	// A pass marks what a pass before it found unused long enough ago, and the pass after it erases that.
	passes := func(args ...string) (left []string) {
		t.Helper()
		for range 3 {
			if code, out, errors := oauthdb(t, append([]string{"gc", "-database-url", db.URL}, args...)...); code != exitDone || errors != "" {
				t.Fatalf("exit code %d, output\n%serrors %q", code, out, errors)
			}
			if _, err := db.Pool.Exec(t.Context(), `UPDATE oauth_client SET unused_since = unused_since - interval '1 day'`); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Pool.QueryRow(t.Context(), `SELECT array_agg(c.client_id::text ORDER BY c.client_id) FROM oauth_client AS c`).Scan(&left); err != nil {
			t.Fatal(err)
		}
		return left
	}
	if left := passes(); !slices.Equal(left, []string{"made", "registered"}) {
		t.Errorf("gc has left %v, want all", left)
	}
	if left := passes("-unused-clients", "20h"); !slices.Equal(left, []string{"made"}) {
		t.Errorf("gc -unused-clients has left %v, want the one that was not registered dynamically", left)
	}
	if left := passes("-unused-clients", "20h", "-any-unused-client"); len(left) > 0 {
		t.Errorf("gc -any-unused-client has left %v, want none", left)
	}
}

func TestGCKeepsSecurityEventsForTheirRetention(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, testdb.Options{})
	if _, err := db.Pool.Exec(t.Context(), `INSERT INTO security_event (call, outcome, created_at) VALUES ('RevokeToken', 'ended', now() - interval '2 days')`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ retention, want string }{{"72h", "0 rows deleted"}, {"24h", "1 row deleted"}} {
		code, out, errors := oauthdb(t, "gc", "-database-url", db.URL, "-event-retention", c.retention)
		if code != exitDone || errors != "" || !strings.Contains(out, c.want) {
			t.Errorf("-event-retention %s: exit code %d, output\n%serrors %q", c.retention, code, out, errors)
		}
	}
}

func TestGCWithoutASchemaSaysSoOnce(t *testing.T) {
	t.Parallel()
	code, out, errors := oauthdb(t, "gc", "-database-url", emptyDatabase(t))
	if code != exitFailed || out != "" || strings.Count(errors, "does not exist") != 1 || !strings.Contains(errors, "run 'oauthdb migrate' first") {
		t.Errorf("exit code %d, output\n%serrors %q", code, out, errors)
	}
}

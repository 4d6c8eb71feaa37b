package main

import (
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

func TestGCWithoutASchemaSaysSoOnce(t *testing.T) {
	t.Parallel()
	code, out, errors := oauthdb(t, "gc", "-database-url", emptyDatabase(t))
	if code != exitFailed || out != "" || strings.Count(errors, "does not exist") != 1 || !strings.Contains(errors, "run 'oauthdb migrate' first") {
		t.Errorf("exit code %d, output\n%serrors %q", code, out, errors)
	}
}

package storm

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/internal/storetests/betterauth"
	"github.com/oauthdb/oauthdb/store"
)

// caching remembers which tokens were live.
func caching(next http.Handler) http.Handler {
	var mu sync.Mutex
	live := map[string][]byte{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/introspect" && r.URL.Path != "/oauth/introspect" {
			next.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		presented := r.PostFormValue("token")
		w.Header().Set("Content-Type", "application/json")
		if answer, cached := live[presented]; cached {
			_, _ = w.Write(answer)
			return
		}
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		if bytes.Contains(recorded.Body.Bytes(), []byte(`"active":true`)) {
			live[presented] = recorded.Body.Bytes()
		}
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes())
	})
}

// forgetful says that it has revoked.
func forgetful(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/revoke" {
			next.ServeHTTP(w, r)
		}
	})
}

// without is a routine's text, less one condition.
func without(t *testing.T, routine, condition string) string {
	t.Helper()
	text, err := os.ReadFile("../../routines/" + routine + ".sql")
	must(t, err)
	if strings.Count(string(text), condition) != 1 {
		t.Fatalf("%s has %q %d times", routine, condition, strings.Count(string(text), condition))
	}
	return strings.Replace(string(text), condition, "", 1)
}

// rewritten runs a call with other SQL.
type rewritten struct {
	zitadel.DB
	call string
	to   *strings.Replacer
}

// QueryRow implements store.DBTX.
func (d rewritten) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if strings.HasPrefix(sql, "-- name: "+d.call+" ") {
		sql = d.to.Replace(sql)
	}
	return d.DB.QueryRow(ctx, sql, args...)
}

func rewrite(t *testing.T, call string, pairs ...string) func(zitadel.DB) zitadel.DB {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if n := strings.Count(store.SQL(call), pairs[i]); n != 1 {
			t.Fatalf("%s has %q %d times", call, pairs[i], n)
		}
	}
	return func(db zitadel.DB) zitadel.DB { return rewritten{db, call, strings.NewReplacer(pairs...)} }
}

// A storm finds servers and statements that are wrong, within a few thousand requests.
func TestStormFindsFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name  string
		setup func(t *testing.T) setup
		want  []string // one of them
		long  bool
	}{
		{name: "a server that caches introspection", want: []string{"is live, though ended by"}, setup: func(*testing.T) setup {
			return setup{fosite: caching}
		}},
		{name: "a server that doesn't revoke", long: true, want: []string{"live, though ended by revoke@zitadel"}, setup: func(*testing.T) setup {
			return setup{zitadel: forgetful}
		}},
		{name: "a rotation without its gate", want: []string{
			"a second successor", "and was forgiven", "forgiven, though its successor", "a fault", // by the unique index of the successor's digest
		}, setup: func(t *testing.T) setup {
			return setup{
				zitadelDB: rewrite(t, "RotateRefreshToken",
					" AND p.fresh AND t.revoked IS NULL", " AND p.fresh"),
				zitadelKeys: [][]byte{bytes.Repeat([]byte("z"), 32)},
			}
		}},
		{name: "a redemption without its lock", want: []string{"a code redeemed twice"}, setup: func(t *testing.T) setup {
			return setup{zitadelDB: rewrite(t, "RedeemAuthorizationCode", "FOR NO KEY UPDATE OF a", "")}
		}},
		{
			name: "liveness without the counter of user and client", long: true,
			want: []string{"though ended by WithdrawConsent", "though ended by RevokeUserAuthorizationsByClient"},
			setup: func(t *testing.T) setup {
				return setup{sql: without(t, "is_ended", "    AND a.pair_epoch = pair_epoch(u.ended_grants, a.client_id, a.reference_id)\n")}
			},
		},
		{
			name: "liveness without the session", long: true,
			want: []string{"though ended by EndSession", "though ended by EndUserSessions", "though ended by sign out"},
			setup: func(t *testing.T) setup {
				return setup{sql: without(t, "is_ended", "    AND (NOT a.bound OR session_goes_on(s, u))")}
			},
		},
		{name: "a better-auth server that may spend dead tokens", long: true, want: []string{
			"refreshed, though ended by", "is dead, and nothing has ended it", // as a refresh afterwards has it live
		}, setup: func(*testing.T) setup {
			return setup{foreign: true, sql: "ALTER TABLE oauth_refresh_token DISABLE TRIGGER refuse_dead_rotation"}
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			if fault.long && testing.Short() {
				t.Skip("in the long form")
			}
			how := fault.setup(t)
			if how.foreign && betterauth.Missing() != "" {
				t.Skip("a better-auth server takes part")
			}
			l := newStorm(t, how).lane(t, 1, 0)
			l.rage(func(l *lane) bool { return l.batches >= 4000 })
			found, _, _ := strings.Cut(l.broken, "\n")
			for _, want := range fault.want {
				if strings.Contains(found, want) {
					t.Logf("after %d batches, %.1f s: %s", l.batches, l.now().Seconds(), found)
					return
				}
			}
			t.Errorf("after %d batches, want %q: %s", l.batches, fault.want, l.broken)
		})
	}
}

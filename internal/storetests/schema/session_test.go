package schema

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// ofSession finds what needs the session of the statement before it, or leaves something behind in its own. SET LOCAL, the SET of a
// function and locks of a transaction are none of it.
var ofSession = regexp.MustCompile(`(?im)\b(UNLISTEN|LISTEN|DEALLOCATE|DISCARD)\s+\w|^\s*(PREPARE|EXECUTE)\s+\w+\s*[(;]|(\A|;|\bBEGIN\b|\bTHEN\b)\s*SET\s+(SESSION\s+)?\w+\s*(=|TO\b)|` +
	`\bpg_(try_)?advisory_(lock|unlock)|\bWITH\s+HOLD\b|\b(TEMP|TEMPORARY)\s+(TABLE|VIEW|SEQUENCE)\b|\b(currval|lastval)\s*\(|\bset_config\s*\([^)]*\bfalse\s*\)`)

// A pooler in transaction mode may run each statement in another session.
func TestNoCallNeedsASession(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for _, q := range readQueries(t) {
		texts[q.Name] = q.SQL
	}
	routines, err := filepath.Glob("../../../routines/*.sql")
	if err != nil || len(routines) == 0 {
		t.Fatal(routines, err)
	}
	for _, name := range routines {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	for name, text := range texts {
		if found := ofSession.FindString(text); found != "" {
			t.Errorf("%s needs a session: %s", name, found)
		}
	}
	for text, want := range map[string]bool{
		"LISTEN tokens":                                 true,
		"SELECT pg_advisory_lock(1)":                    true,
		"SELECT pg_try_advisory_lock_shared(1)":         true,
		"SELECT pg_advisory_xact_lock(1)":               false,
		"    SET lock_timeout = '1s';":                  true,
		"SET SESSION statement_timeout TO 0;":           true,
		"    SET LOCAL lock_timeout = '1s';":            false,
		"BEGIN\n    SET work_mem = '1GB';":              true,
		"UPDATE session SET ended_at = now();":          false,
		"UPDATE session\nSET ended_at = now()\nWHERE x": false,
		"SELECT set_config('a.b', 'c', false)":          true,
		"SELECT set_config('a.b', 'c', true)":           false,
		"CREATE TEMP TABLE x ()":                        true,
		"DECLARE c CURSOR WITH HOLD FOR SELECT":         true,
		"PREPARE a(text) AS SELECT":                     true,
		"SELECT lastval()":                              true,
	} {
		if got := ofSession.MatchString(text); got != want {
			t.Errorf("%q needs a session: %t, want %t", text, got, want)
		}
	}
}

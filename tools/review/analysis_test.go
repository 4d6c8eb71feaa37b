package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestAnalyze(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT 1":                      ``,
		`SELECT s.id FROM session AS s`: `select session`,
		`SELECT FROM session AS s JOIN "user" AS u ON true FOR KEY SHARE OF u SKIP LOCKED`:                                                            `select session; select user; lock user FOR KEY SHARE OF u SKIP LOCKED`,
		`SELECT FROM session, account FOR UPDATE NOWAIT`:                                                                                              `select session; select account; lock session FOR UPDATE NOWAIT; lock account FOR UPDATE NOWAIT`,
		`WITH a AS (SELECT FROM session FOR SHARE), session AS (SELECT FROM a) SELECT FROM session`:                                                   `select session in a; lock session FOR SHARE in a`,
		`WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT FROM r, account) SELECT FROM r, public.r`:                                                     `select account in r; select r`,
		`DELETE FROM session AS s USING account AS a WHERE a.id IN (SELECT id FROM jwks)`:                                                             `select account; select jwks; delete session`,
		`INSERT INTO session (id, token) SELECT f(x) FROM account RETURNING id`:                                                                       `select account; call f; insert session (id token)`,
		`INSERT INTO session (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET token = 'x', ip = now()`:                                                  `call now; insert session (id) or update (token ip)`,
		`INSERT INTO session (id) VALUES (1) ON CONFLICT DO NOTHING`:                                                                                  `insert session (id)`,
		`WITH u AS (UPDATE session SET token = 'x' FROM account WHERE true RETURNING id) SELECT (SELECT count(*) FROM u), ARRAY(SELECT id FROM jwks)`: `select account in u; update session (token) in u; call count; select jwks`,
		`SELECT FROM session UNION SELECT FROM account`:                                                                                               `select session; select account`,
	} {
		steps, err := analyze(sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		var got []string
		for _, s := range steps {
			line := s.do + " " + s.table
			if s.columns != nil {
				line += " " + strings.ReplaceAll(strings.ReplaceAll(fmt.Sprint(s.columns), "[", "("), "]", ")")
			}
			if s.conflict != nil {
				line += " or update " + strings.ReplaceAll(strings.ReplaceAll(fmt.Sprint(s.conflict), "[", "("), "]", ")")
			}
			line += strings.TrimRight(" "+s.by+" "+s.wait, " ")
			if s.within != "" {
				line += " in " + s.within
			}
			got = append(got, line)
		}
		if g := strings.Join(got, "; "); g != want {
			t.Errorf("%s\n got %s\nwant %s", sql, g, want)
		}
	}
	for _, sql := range []string{"SELECT 1; SELECT 2", "SELEC", "MERGE INTO session USING account ON true WHEN MATCHED THEN DELETE"} {
		if steps, err := analyze(sql); err == nil {
			t.Errorf("%s: no error, %v", sql, steps)
		}
	}
}

package privileges

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// notOfAUser are the tables of which ExportUser returns nothing, and why. A new table has to be exported or to stand here.
var notOfAUser = map[string]string{
	"attempt_count":              "counts by a digest of whom",
	"jwks":                       "the server's keys",
	"oauth_client_assertion":     "a digest, and the grant that it made, which is exported",
	"oauth_initial_access_token": "for clients that nobody owns yet",
	"oauth_proof":                "a digest of a proof",
	"oauth_resource":             "the server's APIs",
	"oauth_trusted_issuer":       "other servers",
	"one_time_code":              "knows its user by a digest",
	"verification":               "another server's codes: the identifier may be one",
}

// exported is all that ExportUser returns, by table, in pages of a size.
func exported(ctx context.Context, w *fixture.World, user store.UserID, size int32) map[string][]map[string]any {
	w.Helper()
	all := map[string][]map[string]any{}
	p := store.ExportUserParams{UserID: user, PageSize: size}
	for {
		rows, err := w.Q.ExportUser(ctx, p)
		w.OK(err)
		if len(rows) == 0 {
			return all
		}
		for _, r := range rows {
			if r.TableName < p.AfterTableName || r.TableName == p.AfterTableName && r.ID <= p.AfterID {
				w.Fatalf("%s %s comes after %s %s", r.TableName, r.ID, p.AfterTableName, p.AfterID)
			}
			p.AfterTableName, p.AfterID = r.TableName, r.ID
			var data map[string]any
			w.OK(json.Unmarshal(r.Data, &data))
			all[r.TableName] = append(all[r.TableName], data)
		}
	}
}

// fill gives a user two rows in each table that holds data of users, live and over.
func fill(w *fixture.World, user store.UserID) {
	w.Helper()
	fillOnce(w, user, string(user))
	fillOnce(w, user, string(user)+"-2")
}

// fillOnce gives a user a row in each table, with names that begin with prefix.
func fillOnce(w *fixture.World, user store.UserID, prefix string) {
	w.Helper()
	for _, sql := range []string{
		`INSERT INTO account (id, account_id, provider_id, user_id, password, scope) VALUES ('%[1]s-acc', '%[1]s', 'google', '%[2]s', 'hash', 'mail')`,
		`INSERT INTO device_code (id, device_code, user_code, status, user_id, expires_at) VALUES ('%[1]s-tv', '%[1]s-d', '%[1]s-u', 'approved', '%[2]s', now() - interval '1 day')`,
		`INSERT INTO passkey (id, user_id, public_key, name) VALUES ('%[1]s-key', '%[2]s', 'public', 'Phone')`,
		`INSERT INTO totp (id, user_id, secret, name) VALUES ('%[1]s-app', '%[2]s', 'sealed', 'Tablet')`,
		`INSERT INTO recovery_code (id, user_id, digest) VALUES ('%[1]s-rec', '%[2]s', rpad('r%[1]s', 43, '-'))`,
		`INSERT INTO oauth_pairwise_subject (id, sector, user_id, subject) VALUES ('%[1]s-sub', '%[1]s.example', '%[2]s', 'known as %[1]s')`,
		`INSERT INTO session (id, user_id, token, ip_address, expires_at) VALUES ('%[1]s-old', '%[2]s', '%[1]s-cookie', '192.0.2.9', now() - interval '1 day')`,
		`INSERT INTO security_event (call, outcome, user_id, ip_address) SELECT 'EndSession', 'ended', '%[2]s', '192.0.2.' || n FROM generate_series(1, 6) AS n`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris, user_id, name) VALUES ('%[1]s-own', '%[1]s-own', '{https://own.example}', '%[2]s', 'Own')`,
		`INSERT INTO oauth_client_secret (id, client_id, digest, expires_at) VALUES ('%[1]s-sec', '%[1]s-own', rpad('s%[1]s', 43, '-'), now())`,
		`INSERT INTO oauth_client_resource (id, client_id, resource_id) VALUES ('%[1]s-res', '%[1]s-own', 'https://api.example')`,
		`INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ('%[1]s-con', '%[1]s-own', '%[2]s', '{mail}')`,
		`INSERT INTO oauth_authorization (id, client_id, kind, status, scopes, user_id, granted_scopes, user_epoch, client_epoch, pair_epoch, expires_at, revoked_at, revoked_reason)
			VALUES ('%[1]s-azn', '%[1]s-own', 'device', 'approved', '{mail}', '%[2]s', '{mail}', 0, 0, 0, now(), now(), 'grants_ended')`,
		`INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval) VALUES ('%[1]s-azn', rpad('p%[1]s', 43, '-'), now(), '5 seconds')`,
		`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, authorization_id, scopes, expires_at) VALUES ('%[1]s-rtk', rpad('t%[1]s', 43, '-'), '%[1]s-own', '%[2]s', '%[1]s-azn', '{mail}', now())`,
		`INSERT INTO oauth_access_token (id, client_id, user_id, authorization_id, scopes, expires_at) VALUES ('%[1]s-atk', '%[1]s-own', '%[2]s', '%[1]s-azn', '{mail}', now())`,
		`INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid, lease) VALUES ('%[1]s-out', '%[1]s-old', '%[1]s-own', '%[2]s', 'sub', 'sid', 'lease')`,
	} {
		w.Exec(fmt.Sprintf(sql, prefix, user))
	}
}

// What is exported is read again from the tables: all that the auditor may read of each that isn't named above.
func TestExportHasAllThatIsKeptOfAUser(t *testing.T) {
	t.Parallel()
	w := fixture.NewWorld(t, 2, fixture.WithRoles)
	w.Exec(`INSERT INTO oauth_resource (id, identifier, name) VALUES ('api', 'https://api.example', 'API')`)
	others := w.NewUser()
	fill(w, w.User)
	fill(w, others)
	ctx := fixture.As(w.Ctx, fixture.Auditor) // who reads no credential
	all := exported(ctx, w, w.User, 3)

	tables := fixture.CatalogLines(t, w.Pool, `SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'oauthdb_version' ORDER BY 1`)
	for _, table := range tables {
		rows, reason := all[table], notOfAUser[table]
		if (len(rows) == 0) != (reason != "") {
			t.Errorf("%s: %d rows are exported, and the reason for none is %q", table, len(rows), reason)
			continue
		}
		if reason != "" {
			continue
		}
		columns := fixture.CatalogLines(t, w.Pool, `SELECT k.attname FROM pg_attribute AS k WHERE k.attrelid = $1::regclass AND k.attnum > 0 AND NOT k.attisdropped AND NOT k.attname = ANY ($2) ORDER BY 1`,
			pgx.Identifier{table}.Sanitize(), withheldOf(table))
		for _, row := range rows {
			if got := slices.Sorted(maps.Keys(row)); !slices.Equal(got, columns) {
				t.Errorf("%s: it has %q, want %q", table, got, columns)
			}
			var document []byte
			w.OK(w.Pool.QueryRow(w.Ctx, `SELECT to_jsonb(t) FROM `+pgx.Identifier{table}.Sanitize()+` AS t WHERE t.id::text = $1`, fmt.Sprint(row["id"])).Scan(&document))
			var stored map[string]any
			w.OK(json.Unmarshal(document, &stored))
			for column, value := range row {
				if !reflect.DeepEqual(value, stored[column]) {
					t.Errorf("%s.%s is exported as %v, and stored as %v", table, column, value, stored[column])
				}
			}
			if text := fmt.Sprint(row); strings.Contains(text, string(others)) {
				t.Errorf("%s: it has a row of somebody else: %s", table, text)
			}
		}
	}
	for table := range all {
		if !slices.Contains(tables, table) {
			t.Errorf("%s is no table", table)
		}
	}
	for table, rows := range all {
		want := map[string]int{"user": 1, "session": 3, "security_event": 12}[table] // it has signed in; events have ids with one digit and with two
		if want == 0 {
			want = 2
		}
		if len(rows) != want {
			t.Errorf("%d rows of %s are exported, want %d", len(rows), table, want)
		}
	}
	if got := exported(ctx, w, "nobody", 1000); len(got) > 0 {
		t.Errorf("of nobody it has %v", got)
	}
}

// What follows a row, or the beginning of a table, is the rest of what there is, and a page is no longer than asked for.
func TestExportGoesOnAfterEachRow(t *testing.T) {
	t.Parallel()
	w := fixture.NewWorld(t, 2, fixture.WithRoles)
	w.Exec(`INSERT INTO oauth_resource (id, identifier, name) VALUES ('api', 'https://api.example', 'API')`)
	fill(w, w.User)
	page := func(table, id string, size int32) []string {
		rows, err := w.Q.ExportUser(w.Ctx, store.ExportUserParams{UserID: w.User, AfterTableName: table, AfterID: id, PageSize: size})
		w.OK(err)
		names := []string{}
		for _, r := range rows {
			names = append(names, r.TableName+" "+r.ID)
		}
		return names
	}
	all := page("", "", 1000)
	if !slices.IsSorted(all) || len(all) < 40 {
		t.Fatalf("it has %q", all)
	}
	last := ""
	for i, name := range all {
		table, id, _ := strings.Cut(name, " ")
		if got := page(table, id, 1000); !slices.Equal(got, all[i+1:]) {
			t.Errorf("after %s it has %q, want %q", name, got, all[i+1:])
		}
		if got := page(table, id, 1); !slices.Equal(got, all[i+1:min(i+2, len(all))]) {
			t.Errorf("a page of 1 after %s has %q", name, got)
		}
		if table != last {
			before := ""
			if table == "security_event" { // whose ids are numbers
				before = "0"
			}
			if got := page(table, before, 1000); !slices.Equal(got, all[i:]) {
				t.Errorf("of %s and what comes after it has %q, want %q", table, got, all[i:])
			}
		}
		last = table
	}
	if got := page("verification", "", 1000); len(got) > 0 {
		t.Errorf("after the last table it has %q", got)
	}
}

func withheldOf(table string) []string {
	columns := []string{}
	for name := range withheld {
		if of, column, _ := strings.Cut(name, "."); of == table {
			columns = append(columns, column)
		}
	}
	return columns
}

// What remains of a deleted user is exported, until the collector has erased it.
func TestExportOfADeletedUserIsWhatRemains(t *testing.T) {
	t.Parallel()
	w := fixture.NewWorld(t, 2, fixture.WithRoles)
	w.Exec(`INSERT INTO oauth_resource (id, identifier, name) VALUES ('api', 'https://api.example', 'API')`)
	user := w.NewUser()
	w.Exec(`UPDATE "user" SET name = 'Ada', email = 'ada@example.com', image = 'https://ada.example/me' WHERE id = $1`, user)
	fill(w, user)
	row, err := w.Q.DeleteUser(w.Ctx, user)
	w.OK(err)
	w.Want("DeleteUser", row.Outcome, store.OutcomeDeleted)
	left := exported(w.Ctx, w, user, 100)
	if text := fmt.Sprint(left["user"]); len(left["user"]) != 1 || strings.Contains(text, "ada") || strings.Contains(text, "Ada") {
		t.Errorf("the user's row is %s", text)
	}
	if left["account"] != nil || left["passkey"] == nil || left["security_event"] == nil {
		t.Errorf("it has %v", left)
	}
}

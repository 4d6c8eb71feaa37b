package calls

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// erase makes one pass over the deleted users, and wants what it has deleted and cleared to be as many as it says, of these tables.
func (w *world) erase(batch int32, deleted, cleared int64, tables ...string) store.EraseDeletedUsersRow {
	w.Helper()
	before := w.Snapshot()
	row, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{BatchSize: batch})
	w.OK(err)
	wantEqual(w, "deleted, cleared", []int64{row.Deleted, row.Cleared}, []int64{deleted, cleared})
	var changed []string
	for _, row := range fixture.Changed(before, w.Snapshot()) {
		changed = append(changed, strings.Fields(row)[0])
	}
	wantEqual(w, "rows changed", changed, tables)
	return row
}

// What refers to a deleted user keeps the row. What the call clears goes in batches, so nothing cascades, and what is others' stays.
func TestDeletedUserIsErasedAfterAllThatReferToIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	cleared := map[string]string{ // with %[1]s for an id and %[2]s for the user
		"oauth_client":           `INSERT INTO oauth_client (id, client_id, redirect_uris, user_id) VALUES ('%[1]s', '%[1]s', '{https://a.example}', '%[2]s')`,
		"account":                `INSERT INTO account (id, account_id, provider_id, user_id) VALUES ('%[1]s', '%[1]s', 'x', '%[2]s')`,
		"passkey":                `INSERT INTO passkey (id, user_id, public_key) VALUES ('%[1]s', '%[2]s', 'x')`,
		"totp":                   `INSERT INTO totp (id, user_id, secret) VALUES ('%[1]s', '%[2]s', 'x')`,
		"recovery_code":          `INSERT INTO recovery_code (id, user_id, digest) VALUES ('%[1]s', '%[2]s', rpad('%[1]s', 43, '-'))`,
		"oauth_pairwise_subject": `INSERT INTO oauth_pairwise_subject (id, sector, user_id, subject) VALUES ('%[1]s', '%[1]s.example', '%[2]s', '%[1]s')`,
		"oauth_consent": `WITH c AS (INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c%[1]s', 'c%[1]s', '{https://a.example}'))
			INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ('%[1]s', 'c%[1]s', '%[2]s', '{}')`,
	}
	kept := map[string]string{
		"session": `INSERT INTO session (id, user_id, token, expires_at) VALUES ('%[1]s', '%[2]s', '%[1]s', now())`,
		"oauth_authorization": `INSERT INTO oauth_authorization (id, client_id, kind, status, scopes, user_id, granted_scopes, user_epoch, client_epoch, pair_epoch, expires_at)
			SELECT '%[1]s', c.client_id, 'code', 'approved', '{}', '%[2]s', '{}', 0, 0, 0, now() FROM oauth_client AS c LIMIT 1`,
	}
	idle := w.NewUser() // to whom nothing refers
	n := 0
	insert := func(sql string, user store.UserID) {
		n++
		w.Exec(fmt.Sprintf(sql, fmt.Sprintf("row%d", n), user))
	}
	others := []store.UserID{w.User, w.NewUser()}
	for _, sql := range cleared {
		for _, other := range others {
			insert(sql, other)
		}
	}
	for _, sql := range kept {
		for _, other := range others {
			insert(sql, other)
		}
	}
	for table, sql := range cleared {
		t.Run(table, func(t *testing.T) {
			w := w.forSubtest(t)
			change := "-" + table
			user := w.NewUser()
			for range 3 {
				insert(sql, user)
			}
			w.Exec(`UPDATE "user" SET deleted_at = now(), suspended_at = now() WHERE id = $1`, user)
			if table == "oauth_client" {
				change = "~" + table
			}
			w.erase(2, 0, 2, change, change)
			w.erase(2, 0, 1, change)
			if table == "oauth_client" { // which EraseDeletedClients erases
				w.erase(2, 0, 0)
				w.Exec(`DELETE FROM oauth_client WHERE user_id = $1`, user)
			}
			w.erase(2, 1, 0, "-user")
		})
	}
	for table, sql := range kept {
		t.Run(table, func(t *testing.T) {
			w := w.forSubtest(t)
			user := w.NewUser()
			insert(sql, user)
			w.Exec(`UPDATE "user" SET deleted_at = now(), suspended_at = now() WHERE id = $1`, user)
			w.erase(2, 0, 0)
			w.Exec(`DELETE FROM `+table+` WHERE user_id = $1`, user)
			w.erase(2, 1, 0, "-user")
		})
	}
	for _, user := range append(others, idle) {
		_, err := w.Q.GetUser(w.Ctx, user)
		w.OK(err)
	}
}

// A token of a user has a family of that user, so the family alone keeps the user's row.
func TestTokensOfADeletedUserAreNotErasedWithTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Redeem()
	w.ForeignAccessToken("foreign access", new(w.ForeignRefreshToken("foreign")))
	w.deleteUser(w.User)
	w.Exec(`DELETE FROM session`)
	w.erase(10, 0, 0)
}

// A client that is deleted already takes no place in a batch.
func TestClientsOfADeletedUserAreDeletedAmongDeletedOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.NewUser()
	last := w.NewClient(func(p *store.CreateClientParams) { p.UserID = &user })
	for range 2 {
		w.NewClient(func(p *store.CreateClientParams) { p.UserID = &user })
	}
	w.Exec(`UPDATE "user" SET deleted_at = now(), suspended_at = now() WHERE id = $1`, user)
	w.Exec(`UPDATE oauth_client SET disabled = true, deleted_at = now() WHERE user_id = $1`, user)
	w.Exec(`UPDATE oauth_client SET deleted_at = NULL WHERE client_id = $1`, last) // the row that is written last is read last
	w.erase(1, 0, 1, "~oauth_client")
	w.erase(1, 0, 0)
}

func TestUsersAreErasedInTheOrderOfTheirDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Exec(`SET enable_indexscan = off; SET enable_bitmapscan = off`) // the order is the query's, not that of the index it is read by
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	for _, ago := range []int{1, 4, 2, 3} {
		w.Exec(`INSERT INTO "user" (id, name, deleted_at, suspended_at) VALUES ($1, '', $2, $2)`, fmt.Sprint("gone", ago), at.Add(-time.Duration(ago)*time.Minute))
	}
	var erased []string
	for _, after := range []time.Time{{}, at.Add(-3 * time.Minute)} {
		before := w.Snapshot()
		row, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{AfterDeletedAt: after, BatchSize: 1})
		w.OK(err)
		erased = append(erased, fixture.Changed(before, w.Snapshot())...)
		if want := at.Add(-4 * time.Minute); after.IsZero() && !row.LastDeletedAt.Equal(want) {
			t.Errorf("the last one was deleted at %v, want %v", row.LastDeletedAt, want)
		}
	}
	row, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{BatchSize: 2})
	w.OK(err)
	wantEqual(t, "erased in a batch of two", row.Deleted, 2)
	if want := at.Add(-time.Minute); !row.LastDeletedAt.Equal(want) {
		t.Errorf("the last one was deleted at %v, want %v", row.LastDeletedAt, want)
	}
	slices.Sort(erased)
	wantEqual(t, "erased", erased, []string{"-user gone2", "-user gone4"})
}

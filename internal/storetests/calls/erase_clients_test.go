package calls

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// clientRows are what refers to a client, each by a statement that writes one for the client of $1 and the user of $2 under the name of $3.
var clientRows = map[string]string{
	"oauth_access_token":  `INSERT INTO oauth_access_token (id, client_id, scopes, reference_id) VALUES ($3, $1, '{}', $2)`,
	"oauth_consent":       `INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ($3, $1, $2, '{}')`,
	"oauth_client_secret": `INSERT INTO oauth_client_secret (client_id, digest, expires_at) SELECT $1, $3, now() FROM "user" WHERE id = $2`,
	"session_client":      `INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ($3::text, $1, $2::text, $2::text, $3::text)`,
}

// writeRow writes a row of one of clientRows, and names it as snapshots do.
func (w *world) writeRow(table string, client store.ClientID, user store.UserID) string {
	w.Helper()
	name := string(fixture.Digest(fixture.Unique(table)))
	w.Exec(clientRows[table], client, user, name)
	switch table {
	case "oauth_client_secret":
		name = string(client) + " " + name
	case "session_client":
		name += " " + string(client)
	}
	return rowName("-", table, name)
}

// deletedAgo deletes a client, and dates that back.
func (w *world) deletedAgo(client store.ClientID, ago time.Duration) (row string) {
	w.Helper()
	id := w.oauthClientID(client)
	w.deleteClient(client)
	w.Exec(`UPDATE oauth_client SET deleted_at = now() - $2::interval WHERE client_id = $1`, client, ago)
	return rowName("-", "oauth_client", id)
}

func (w *world) eraseBatch(batch int32, want store.EraseDeletedClientsRow, gone ...string) {
	w.Helper()
	w.changesRows(func() {
		row, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{BatchSize: batch})
		w.OK(err)
		want.ErasedUntil, want.LastDeletedAt = row.ErasedUntil, row.LastDeletedAt
		wantEqual(w, "the answer", row, want)
	}, gone...)
}

// A client goes when the last row that refers to it is gone, whichever that is. What refers to clients that live stays.
func TestDeletedClientIsErasedWhenNothingRefersToIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for table := range clientRows {
		w.writeRow(table, w.Client, w.User)
	}
	var rows, clients []string
	for table := range clientRows {
		client := w.NewClient()
		rows = append(rows, w.writeRow(table, client, w.User))
		clients = append(clients, w.deletedAgo(client, time.Minute))
	}
	granted := w.NewClient()
	w.Exec(`INSERT INTO oauth_authorization (id, client_id, status, expires_at, scopes) VALUES ('a', $1, 'pending', now(), '{}')`, granted)
	late := w.deletedAgo(granted, time.Minute)

	w.eraseBatch(100, store.EraseDeletedClientsRow{AccessTokens: 1, Cleared: 3}, rows...)
	w.eraseBatch(100, store.EraseDeletedClientsRow{Deleted: 4}, clients...)
	w.eraseBatch(100, store.EraseDeletedClientsRow{})
	w.Exec(`DELETE FROM oauth_authorization WHERE client_id = $1`, granted)
	w.eraseBatch(100, store.EraseDeletedClientsRow{Deleted: 1}, late)
	row, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{BatchSize: 100})
	w.OK(err)
	wantEqual(t, "when all are gone", row, store.EraseDeletedClientsRow{})
}

// A batch bounds how many clients are looked at, and how many rows of each table go, of all clients together.
func TestDeletedClientsAreErasedInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var first, second store.ClientID
	for _, client := range []*store.ClientID{&first, &second} {
		*client = w.NewClient()
		for range 2 {
			for table := range clientRows {
				w.writeRow(table, *client, w.NewUser())
			}
		}
	}
	third := w.NewClient()
	w.deletedAgo(third, time.Minute)
	w.deletedAgo(second, 2*time.Minute)
	w.deletedAgo(first, 3*time.Minute)
	at := func(client store.ClientID) (at time.Time) {
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT deleted_at FROM oauth_client WHERE client_id = $1`, client).Scan(&at))
		return at
	}
	erase := func(batch int32, after time.Time, want store.EraseDeletedClientsRow) {
		t.Helper()
		row, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{BatchSize: batch, AfterDeletedAt: after})
		w.OK(err)
		if row.LastDeletedAt == nil || !row.LastDeletedAt.Equal(*want.LastDeletedAt) {
			t.Errorf("last deleted at %v, want %v", row.LastDeletedAt, want.LastDeletedAt)
		}
		row.ErasedUntil, row.LastDeletedAt = want.ErasedUntil, want.LastDeletedAt
		wantEqual(t, fmt.Sprintf("a batch of %d after %v", batch, after), row, want)
	}
	erase(1, at(second), store.EraseDeletedClientsRow{Deleted: 1, LastDeletedAt: new(at(third))})
	w.deletedAgo(w.NewClient(), 30*time.Second) // which no page of two reaches
	seconds := at(second)
	var erased int64
	for range 2 {
		row, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{BatchSize: 2})
		w.OK(err)
		erased += row.Deleted
		if row.AccessTokens != 2 || row.Cleared != 6 || !row.LastDeletedAt.Equal(seconds) {
			t.Errorf("a batch of 2: %s", asJSON(row))
		}
	}
	for range 2 {
		row, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{BatchSize: 2})
		w.OK(err)
		erased += row.Deleted
	}
	wantEqual(t, "erased", erased, 3)
	bare := []store.ClientID{w.NewClient(), w.NewClient(), w.NewClient()}
	for i, client := range bare {
		w.deletedAgo(client, time.Duration(3-i)*time.Second)
	}
	lasts := at(bare[1])
	erase(2, time.Time{}, store.EraseDeletedClientsRow{Deleted: 2, LastDeletedAt: &lasts})
}

// What is gone is behind the next batch. What stays is not, nor what may be behind the page.
func TestErasingGoesOnBehindWhatIsErased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	for table, erase := range map[string]func(after time.Time, batch int32) (deleted int64, until, last *time.Time, err error){
		"user": func(after time.Time, batch int32) (int64, *time.Time, *time.Time, error) {
			row, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{AfterDeletedAt: after, BatchSize: batch})
			return row.Deleted, row.ErasedUntil, row.LastDeletedAt, err
		},
		"oauth_client": func(after time.Time, batch int32) (int64, *time.Time, *time.Time, error) {
			row, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{AfterDeletedAt: after, BatchSize: batch})
			return row.Deleted, row.ErasedUntil, row.LastDeletedAt, err
		},
	} {
		// deleted at these minutes, of which 3 stays, as a family refers to it
		for n, minute := range []int{1, 2, 3, 4, 5, 5, 5} {
			id := fmt.Sprint(table, n)
			if table == "user" {
				w.Exec(`INSERT INTO "user" (id, name, deleted_at, suspended_at) VALUES ($1, '', $2, $2)`, id, at.Add(time.Duration(minute)*time.Minute))
			} else {
				w.Exec(`INSERT INTO oauth_client (id, client_id, redirect_uris, disabled, deleted_at) VALUES ($1::text, $1::text, '{https://a.example/}', true, $2)`, id, at.Add(time.Duration(minute)*time.Minute))
			}
			if minute == 3 {
				column := map[string]string{"user": "user_id", "oauth_client": "client_id"}[table]
				authorization := w.Redeem().Authorization
				w.Exec(`UPDATE oauth_authorization SET `+column+` = $2 WHERE id = $1`, authorization, id)
			}
		}
		after := time.Time{}
		for i, want := range []struct {
			batch                int32
			deleted              int64
			until, last, goingOn int // minutes, 0 for none
		}{
			{batch: 2, deleted: 2, until: 1, last: 2, goingOn: 1},
			{batch: 2, deleted: 1, last: 4, goingOn: 1}, // 3 stays, and 4 goes
			{batch: 1, last: 3, goingOn: 3},
			{batch: 2, deleted: 2, last: 5, goingOn: 3}, // there may be another one of that time, and there is
			{batch: 2, deleted: 1, until: 5, last: 5, goingOn: 5},
			{batch: 2},
		} {
			minutes := func(at2 *time.Time) int {
				if at2 == nil {
					return 0
				}
				return int(at2.Sub(at) / time.Minute)
			}
			deleted, until, last, err := erase(after, want.batch)
			w.OK(err)
			if deleted != want.deleted || minutes(until) != want.until || minutes(last) != want.last {
				t.Errorf("%s, batch %d: deleted %d, until %d, last %d; want %+v", table, i, deleted, minutes(until), minutes(last), want)
			}
			after = at.Add(time.Duration(want.goingOn) * time.Minute)
		}
	}
}

// What a deleted client keeps is what its grants are judged by, and what says whose it was.
func TestDeletedClientIsBlankedOfEverythingThatIsItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, keys := range []string{"jwks", "jwks_uri"} {
		p := fullClient(w.User)
		secret := "client_secret"
		if keys == "jwks_uri" {
			p.JWKS, p.JWKSURI = nil, new("https://shop.example/jwks")
			p.ClientSecret, p.ForeignSecretHash, secret = nil, new(bcryptOfA), "foreign_secret_hash"
		}
		p.ID, p.ClientID = store.NewOAuthClientID(), store.NewClientID()
		_, err := w.Q.CreateClient(w.Ctx, p)
		w.OK(err)
		w.Exec(`UPDATE oauth_client SET previous_registration_access_token = $2, document_uri = 'x', document_etag = 'x', document_fetched_at = now(),
			document_fresh_until = now() WHERE client_id = $1`, p.ClientID, string(fixture.Digest("previous")))
		before := w.columns(p.ClientID)
		w.deleteClient(p.ClientID)
		after := w.columns(p.ClientID)
		blank := []string{
			secret, "registration_access_token", "previous_registration_access_token", keys, "name", "uri", "icon", "contacts", "tos", "policy",
			"software_statement", "redirect_uris", "post_logout_redirect_uris", "tls_client_auth_subject_dn", "tls_client_auth_san_dns",
			"tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email", "metadata", "document_uri", "document_etag",
			"document_fresh_until",
		}
		want := append([]string{"deleted_at", "disabled", "grants_epoch"}, blank...)
		slices.Sort(want)
		wantEqual(t, "changed", differing(before, after), want)
		for _, column := range blank {
			if after[column] != "null" && after[column] != "[]" {
				t.Errorf("%s is %s", column, after[column])
			}
		}
		wantEqual(t, "disabled, and its epoch", []string{after["disabled"], after["grants_epoch"]}, []string{"true", "1"})
		if after["updated_at"] == before["updated_at"] {
			t.Error("updated_at is not later")
		}
	}
}

package calls

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

const collectRetention = 24 * time.Hour

// expireBy makes a row expire a time ago.
func (w *world) expireBy(table, id string, ago time.Duration) {
	w.Helper()
	w.Exec(`UPDATE "`+table+`" SET expires_at = now() - $2::interval WHERE id = $1`, id, ago)
}

// withoutAccessTokens redeems a grant and takes its access token away, as the collector would.
func (w *world) withoutAccessTokens() (family store.AuthorizationID, refresh store.RefreshTokenID) {
	w.Helper()
	k := w.Redeem()
	w.Exec(`DELETE FROM oauth_access_token WHERE token = $1`, string(fixture.Digest(k.Access)))
	return k.Authorization, w.refreshTokenOf(k.Refresh).ID
}

func (w *world) collectRefreshTokens(batch int32) int64 {
	w.Helper()
	row, err := w.Q.DeleteExpiredRefreshTokens(w.Ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: batch, Retention: collectRetention})
	w.OK(err)
	return row.Deleted
}

func (w *world) collectAccessTokens(batch int32) int64 {
	w.Helper()
	row, err := w.Q.DeleteExpiredAccessTokens(w.Ctx, store.DeleteExpiredAccessTokensParams{BatchSize: batch})
	w.OK(err)
	return row.Deleted
}

func (w *world) collectAuthorizations(batch int32) int64 {
	w.Helper()
	n, err := fixture.Deleted(w.Q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{BatchSize: batch, Retention: collectRetention}))
	w.OK(err)
	return n
}

func (w *world) collectSessions(batch int32) int64 {
	w.Helper()
	row, err := w.Q.DeleteExpiredSessions(w.Ctx, store.DeleteExpiredSessionsParams{BatchSize: batch})
	w.OK(err)
	return row.Deleted
}

// counted makes a collection of a call that says no more than how many.
func counted(call func(*store.Queries, context.Context, int32) (int64, error)) func(*world, int32) int64 {
	return func(w *world, batch int32) int64 {
		w.Helper()
		n, err := call(w.Q, w.Ctx, batch)
		w.OK(err)
		return n
	}
}

// collectorCall is a call that collects, with rows of its table: one that is due by now, and all kinds that are not.
type collectorCall struct {
	name, table string
	collect     func(w *world, batch int32) int64
	due         func(w *world) (id string)
	stays       func(w *world)
}

// byExpiry is a call that collects the rows of a table that have expired. insert has %s for an id and for an instant.
func byExpiry(name, table string, call func(*store.Queries, context.Context, int32) (int64, error), insert string) collectorCall {
	put := func(w *world, expires string) string {
		id := string(fixture.Digest(fixture.Unique(table)))
		w.Exec(fmt.Sprintf(insert, "'"+id+"'", expires))
		return id
	}
	return collectorCall{
		name: name, table: table, collect: counted(call),
		due:   func(w *world) string { return put(w, "now()") },
		stays: func(w *world) { put(w, "now() + interval '1 minute'") },
	}
}

var collectorCalls = []collectorCall{
	byExpiry("DeleteExpiredClientAssertions", "oauth_client_assertion", fixture.Batches((*store.Queries).DeleteExpiredClientAssertions),
		`INSERT INTO oauth_client_assertion (id, expires_at) VALUES (%s, %s)`),
	byExpiry("DeleteExpiredProofs", "oauth_proof", fixture.Batches((*store.Queries).DeleteExpiredProofs), `INSERT INTO oauth_proof (id, expires_at) VALUES (%s, %s)`),
	byExpiry("DeleteExpiredVerifications", "verification", fixture.Batches((*store.Queries).DeleteExpiredVerifications),
		`INSERT INTO verification (id, identifier, value, expires_at) VALUES (%s, '', '', %s)`),
	byExpiry("DeleteExpiredDeviceCodes", "device_code", fixture.Batches((*store.Queries).DeleteExpiredDeviceCodes),
		`INSERT INTO device_code (id, device_code, user_code, status, expires_at) VALUES (%[1]s, %[1]s, %[1]s, 'pending', %[2]s)`),
	byExpiry("DeleteExpiredSigningKeys", "jwks", fixture.Batches((*store.Queries).DeleteExpiredSigningKeys),
		`INSERT INTO jwks (id, public_key, private_key, expires_at) VALUES (%s, '{}', 'x', %s)`),
	{
		name: "DeleteExpiredInitialAccessTokens", table: "oauth_initial_access_token",
		collect: counted(fixture.Batches((*store.Queries).DeleteExpiredInitialAccessTokens)),
		due: func(w *world) string {
			id := w.initialToken(fixture.Unique("iat"), 1)
			w.Exec(`UPDATE oauth_initial_access_token SET expires_at = now() WHERE id = $1`, string(id))
			return string(id)
		},
		stays: func(w *world) {
			w.initialToken(fixture.Unique("iat"), 1)
			w.initialToken(fixture.Unique("iat"), 1, func(p *store.CreateInitialAccessTokenParams) { p.Lifetime = store.Never })
		},
	},
	{
		name: "DeleteExpiredClientSecrets", table: "oauth_client_secret", collect: counted(fixture.Batches((*store.Queries).DeleteExpiredClientSecrets)),
		due: func(w *world) string {
			digest := string(fixture.Digest(fixture.Unique("secret")))
			w.Exec(`INSERT INTO oauth_client_secret (client_id, digest, expires_at) VALUES ($1, $2, now())`, w.Client, digest)
			return string(w.Client) + " " + digest
		},
		stays: func(w *world) { w.rotateSecret(w.Q, w.machine(), "new", time.Minute, store.OutcomeRotated) },
	},
	{
		name: "DeleteExpiredAccessTokens", table: "oauth_access_token", collect: (*world).collectAccessTokens,
		due: func(w *world) string {
			id := string(w.accessTokenOf(w.issue(fixture.Unique("token"), store.OutcomeIssued)).ID)
			w.expireBy("oauth_access_token", id, 0)
			return id
		},
		stays: func(w *world) {
			never, revoked := w.accessTokenOf(w.Redeem().Access), w.accessTokenOf(w.Redeem().Access)
			w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE id = $1`, string(never.ID))
			w.Exec(`UPDATE oauth_access_token SET revoked = now() WHERE id = $1`, string(revoked.ID))
		},
	},
	{
		name: "DeleteExpiredRefreshTokens", table: "oauth_refresh_token", collect: (*world).collectRefreshTokens,
		due: func(w *world) string { // also of a family that lives
			_, refresh := w.withoutAccessTokens()
			w.expireBy("oauth_refresh_token", string(refresh), collectRetention)
			return string(refresh)
		},
		stays: func(w *world) {
			_, recent := w.withoutAccessTokens()
			w.expireBy("oauth_refresh_token", string(recent), collectRetention-time.Minute)
			w.expireBy("oauth_refresh_token", string(w.refreshTokenOf(w.Redeem().Refresh).ID), 10*collectRetention) // an access token refers to it
			_, spent := w.withoutAccessTokens()
			w.Exec(`UPDATE oauth_refresh_token SET expires_at = NULL, revoked = now() - interval '1 year' WHERE id = $1`, string(spent))
			_, jwt := w.withoutAccessTokens() // an access token without a row
			w.expireBy("oauth_refresh_token", string(jwt), 10*collectRetention)
			w.Exec(`UPDATE oauth_refresh_token SET access_token_expires_at = now() + interval '1 minute' WHERE id = $1`, string(jwt))
		},
	},
	{
		name: "DeleteExpiredAuthorizations", table: "oauth_authorization", collect: (*world).collectAuthorizations,
		due: func(w *world) string {
			id := w.pending()
			w.expireBy("oauth_authorization", string(id), collectRetention)
			return string(id)
		},
		stays: func(w *world) {
			w.expireBy("oauth_authorization", string(w.pending()), collectRetention-time.Minute)
			w.Redeem()
			family, _ := w.withoutAccessTokens() // a refresh token is left
			w.expireBy("oauth_authorization", string(family), 10*collectRetention)
			id, code := w.Grant() // an access token is left
			w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) { p.RefreshToken = nil })
			w.expireBy("oauth_authorization", string(id), 10*collectRetention)
		},
	},
	{
		name: "DeleteExpiredSessions", table: "session", collect: (*world).collectSessions,
		due: func(w *world) string {
			id := string(w.NewSession(w.User))
			w.expireBy("session", id, 0)
			return id
		},
		stays: func(w *world) { w.expireBy("session", string(w.NewSession(w.User)), -time.Minute) },
	},
}

// holding keeps a lock, by another session, until the returned function is called.
func (w *world) holding(sql string, args ...any) (release func()) {
	w.Helper()
	tx := w.otherSession()
	_, err := tx.Exec(w.Ctx, sql, args...)
	w.OK(err)
	return func() { w.OK(tx.Rollback(w.Ctx)) }
}

func TestCollectorTakesWhatIsDueInBatchesAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	for _, c := range collectorCalls {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			c.stays(w)
			w.Unchanged(func() { wantEqual(t, "collected, though nothing is due", c.collect(w, 100), 0) })
			var gone []string
			for range 5 {
				gone = append(gone, rowName("-", c.table, c.due(w)))
			}
			w.Unchanged(func() { wantEqual(t, "collected in a batch of none", c.collect(w, 0), 0) })
			w.changesRows(func() {
				for _, want := range []int64{2, 2, 1, 0, 0} {
					wantEqual(t, "collected", c.collect(w, 2), want)
				}
			}, gone...)
		})
	}
}

// Rows expire at an instant, not after it.
func TestCollectorTakesWhatExpiresAtThisInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	for _, c := range collectorCalls {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			key, id, ago := "id", c.due(w), time.Duration(0)
			if c.table == "oauth_client_secret" {
				key = "client_id || ' ' || digest"
			}
			if c.name == "DeleteExpiredRefreshTokens" || c.name == "DeleteExpiredAuthorizations" {
				ago = collectRetention
			}
			w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
				w := w.on(q)
				for want, left := range []time.Duration{time.Microsecond, 0} {
					exec(`UPDATE "`+c.table+`" SET expires_at = now() + $2::interval WHERE `+key+` = $1`, id, left-ago)
					wantEqual(t, "collected "+left.String()+" before", c.collect(w, 100), int64(want))
				}
			})
		})
	}
}

// walks are the calls that look at a page of a table, in the order of the ids, with rows in which each has something to do.
var walks = map[string]struct {
	due  func(w *world)
	page func(w *world, after string, size int32) (done int64, last *string)
}{
	"DeleteDeadConsents": {
		func(w *world) {
			w.Exec(`INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ($1, $2, $3, '{}')`, fixture.Unique("consent"), string(w.NewClient()), string(w.User))
			w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User)), store.OutcomeEnded)
		},
		func(w *world, after string, size int32) (int64, *string) {
			row, err := w.Q.DeleteDeadConsents(w.Ctx, store.DeleteDeadConsentsParams{AfterID: store.ConsentID(after), PageSize: size})
			w.OK(err)
			return row.Deleted, (*string)(row.LastID)
		},
	},
	"MarkEndedSessions": {
		func(w *world) {
			w.NewSession(w.User)
			w.Exec(`UPDATE "user" SET sessions_epoch = sessions_epoch + 1 WHERE id = $1`, string(w.User))
		},
		func(w *world, after string, size int32) (int64, *string) {
			row, err := w.Q.MarkEndedSessions(w.Ctx, store.MarkEndedSessionsParams{AfterID: store.SessionID(after), PageSize: size})
			w.OK(err)
			return row.Marked, (*string)(row.LastID)
		},
	},
	"MarkUnusedClients": {
		func(w *world) {
			w.Exec(`UPDATE oauth_client SET unused_since = now() - $2::interval, unused_checked_at = now() WHERE client_id = $1`, w.registered(), unusedFor)
		},
		func(w *world, after string, size int32) (int64, *string) {
			row, err := w.Q.MarkUnusedClients(w.Ctx, store.MarkUnusedClientsParams{
				AfterID: store.OAuthClientID(after), PageSize: size, UnusedFor: unusedFor, Retention: unusedRetention,
			})
			w.OK(err)
			return row.Deleted, (*string)(row.LastID)
		},
	},
	"SweepSessionClients, which deletes": {
		func(w *world) {
			w.Exec(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ('gone', $1, '', '', '')`, string(w.NewClient()))
		},
		func(w *world, after string, size int32) (int64, *string) {
			row, err := w.Q.SweepSessionClients(w.Ctx, store.SweepSessionClientsParams{AfterID: store.SessionClientID(after), PageSize: size})
			w.OK(err)
			return row.Deleted, (*string)(row.LastID)
		},
	},
	"SweepSessionClients": {
		func(w *world) {
			w.Exec(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ('gone', $1, '', '', '')`, string(w.NewClient(withLogoutURI)))
		},
		func(w *world, after string, size int32) (int64, *string) {
			row, err := w.Q.SweepSessionClients(w.Ctx, store.SweepSessionClientsParams{AfterID: store.SessionClientID(after), PageSize: size})
			w.OK(err)
			return row.Due, (*string)(row.LastID)
		},
	},
}

// A page is what the call looks at, and the next one begins behind it.
func TestWalkLooksAtAPageAtATime(t *testing.T) {
	t.Parallel()
	for name, c := range walks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			w.Exec(`DELETE FROM session WHERE id = $1`, string(w.Session))
			for range 3 {
				c.due(w)
			}
			w.Unchanged(func() {
				n, last := c.page(w, "~", 2) // which is behind all ids
				wantEqual(t, "done by an empty page", n, 0)
				wantEqual(t, "its last row", last, nil)
			})
			var done int64
			for after := ""; ; {
				n, last := c.page(w, after, 2)
				if done += n; n > 2 {
					t.Errorf("a page of 2 has done %d", n)
				}
				if last == nil {
					break
				}
				if *last <= after {
					t.Fatalf("the page after %q ends with %q", after, *last)
				}
				after = *last
			}
			wantEqual(t, "done by all pages", done, 3)
		})
	}
}

func TestCollectorSkipsWhatACallHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	for _, c := range collectorCalls {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			var cancel context.CancelFunc
			w.Ctx, cancel = context.WithTimeout(w.Ctx, 20*time.Second) // what isn't skipped is waited for
			defer cancel()
			key, held := "id", c.due(w)
			if c.table == "oauth_client_secret" {
				key = "client_id || ' ' || digest"
			}
			lock := `FOR UPDATE`
			if c.table == "session" {
				lock = `FOR KEY SHARE` // the lock of a grant
			}
			c.due(w)
			release := w.holding(`SELECT FROM "`+c.table+`" WHERE `+key+` = $1 `+lock, held)
			wantEqual(t, "collected while one is held", c.collect(w, 100), 1)
			wantEqual(t, "collected of what is held", c.collect(w, 100), 0)
			release()
			wantEqual(t, "collected afterwards", c.collect(w, 100), 1)
		})
	}
}

// A session that stays because something holds it is where the next batch begins.
func TestSessionThatStaysIsWhereTheNextBatchBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	held, another := w.NewSession(w.User), w.NewSession(w.User)
	w.expireBy("session", string(held), 2*time.Hour)
	w.expireBy("session", string(another), time.Hour)
	for _, wants := range []struct {
		deleted int64
		last    *time.Time
	}{{1, new(w.sessionOf(held).ExpiresAt)}, {0, new(w.sessionOf(held).ExpiresAt)}} {
		release := w.holding(`SELECT FROM session WHERE id = $1 FOR KEY SHARE`, string(held))
		row, err := w.Q.DeleteExpiredSessions(w.Ctx, store.DeleteExpiredSessionsParams{BatchSize: 10})
		w.OK(err)
		wantEqual(t, "while one is held", row, store.DeleteExpiredSessionsRow{Deleted: wants.deleted, LastExpiresAt: wants.last})
		release()
	}
}

func TestCollectorsSideBySideShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	for _, c := range collectorCalls {
		for range 6 {
			c.due(w)
		}
		totals := make([]int64, 4)
		fixture.Together(fixture.Times(4, func(i int) {
			for range 6 { // a batch may come out empty while others hold what is left
				totals[i] += c.collect(w, 2)
			}
		})...)
		wantEqual(t, c.name+": collected by all", totals[0]+totals[1]+totals[2]+totals[3], 6)
	}
}

func TestReuseIsRecognisedUntilTheTokenHasExpiredForTheRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, due := range []bool{false, true} {
		k, other := w.Redeem(), w.Redeem()
		w.Rotate(k.Refresh, store.OutcomeRotated)
		w.Rotate(fixture.SuccessorOf(k.Refresh), store.OutcomeRotated)
		ago, want, collected := collectRetention-time.Second, store.OutcomeReplayed, int64(0)
		if due {
			ago, want, collected = collectRetention, store.OutcomeUnknown, 3
		}
		w.Exec(`DELETE FROM oauth_access_token WHERE authorization_id = $1`, string(k.Authorization))
		w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() - $2::interval, revoked = revoked - $2::interval WHERE authorization_id = $1`, string(k.Authorization), ago)
		wantEqual(t, "refresh tokens", w.collectRefreshTokens(10), collected)
		w.Rotate(k.Refresh, want)
		w.WantLive(other.Access, other.Refresh)
	}
}

func TestReplayOfACodeIsRecognisedWhileItsFamilyIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id, code := w.Grant()
	w.redeem(code, store.OutcomeRedeemed)
	w.Exec(`UPDATE oauth_authorization SET code_expires_at = now() - interval '1 year' WHERE id = $1`, string(id))
	wantEqual(t, "authorizations", w.collectAuthorizations(10), 0)
	w.redeem(code, store.OutcomeReplayed)
	w.WantDead("at-"+code, "rt-"+code)
}

func TestCollectorNeverTakesALiveAccessTokenAlong(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 2)
	k := w.Redeem()
	foreign := w.ForeignRefreshToken("foreign")
	w.ForeignAccessToken("foreign access", &foreign)
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL`) // whatever the rows beside them say
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() - interval '1 year'`)
	w.Exec(`UPDATE oauth_authorization SET expires_at = now() - interval '1 year'`)
	w.Exec(`UPDATE session SET expires_at = now() - interval '1 year'`)
	for range 2 {
		wantEqual(t, "refresh tokens", w.collectRefreshTokens(10), 0)
		wantEqual(t, "authorizations", w.collectAuthorizations(10), 0)
		w.collectSessions(10)
		w.markDead(10)
		_, err := w.Q.DeleteDeadAccessTokens(w.Ctx, store.DeleteDeadAccessTokensParams{PageSize: 10})
		w.OK(err)
		_, err = w.Q.DeleteSpentRefreshTokens(w.Ctx, store.DeleteSpentRefreshTokensParams{PageSize: 10})
		w.OK(err)
	}
	w.WantLive(k.Access, "foreign access")
}

// markDead walks all families, a page at a time, and says how many were marked.
func (w *world) markDead(size int32) (marked int64) {
	w.Helper()
	p := store.MarkDeadAuthorizationsParams{PageSize: size}
	for range 100 {
		row, err := w.Q.MarkDeadAuthorizations(w.Ctx, p)
		w.OK(err)
		marked += row.Marked
		if row.LastID == nil {
			return marked
		}
		p.AfterID = *row.LastID
	}
	w.Fatal("the walk has no end")
	return 0
}

func TestExpiryOfASessionDetachesWhatGoesOnWithoutIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	bound, offline := w.Redeem(online), w.Redeem()
	w.expireBy("session", string(w.Session), time.Hour)
	var rows []store.DeleteExpiredSessionsRow
	for {
		row, err := w.Q.DeleteExpiredSessions(w.Ctx, store.DeleteExpiredSessionsParams{BatchSize: 1})
		w.OK(err)
		row.LastExpiresAt = nil
		rows = append(rows, row)
		if row == (store.DeleteExpiredSessionsRow{}) {
			break
		}
	}
	// at most one row of each table at a time, and the session only when nothing refers to it
	wantEqual(t, "rows", rows, []store.DeleteExpiredSessionsRow{{Detached: 3}, {Detached: 3}, {Deleted: 1}, {}})
	w.WantDead(bound.Access, bound.Refresh)
	w.WantLive(offline.Access, offline.Refresh)
	row, _ := w.Rotate(offline.Refresh, store.OutcomeRotated)
	wantEqual(t, "session of the answer", row.SessionID, nil)
	w.Rotate(bound.Refresh, store.OutcomeRevoked)
}

// What refers to a session that is over keeps it until it is detached, whichever table it is in.
func TestExpiredSessionStaysUntilNothingRefersToIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Redeem()
	w.Redeem()
	tables := []string{"oauth_access_token", "oauth_refresh_token", "oauth_authorization"}
	for _, table := range tables {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			for _, other := range tables {
				if other != table {
					exec(`UPDATE ` + other + ` SET session_id = NULL, updated_at = now()`)
				}
			}
			var rows []store.DeleteExpiredSessionsRow
			collect := func() {
				row, err := q.DeleteExpiredSessions(w.Ctx, store.DeleteExpiredSessionsParams{BatchSize: 1})
				w.OK(err)
				row.LastExpiresAt = nil
				rows = append(rows, row)
			}
			exec(`UPDATE session SET expires_at = now() + interval '1 microsecond' WHERE id = $1`, string(w.Session))
			collect()
			exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session))
			for range 4 {
				collect()
			}
			wantEqual(t, table, rows, []store.DeleteExpiredSessionsRow{{}, {Detached: 1}, {Detached: 1}, {Deleted: 1}, {}})
		})
	}
}

// What stays of a page, because a call does only so much at once, is where the next call goes on.
func TestACallThatErasesInBitsGoesOnFromTheFirstThatStays(t *testing.T) {
	t.Parallel()
	const insert = `
		INSERT INTO session (id, user_id, token, expires_at)
		SELECT 's' || n, $1, 's' || n, now() - (5 - n) * interval '1 hour' FROM generate_series(1, 4) AS n`
	const families = `
		INSERT INTO oauth_authorization (id, client_id, user_id, session_id, scopes, revoked_at, revoked_reason)
		SELECT 'f' || n, $1, $2, 's' || (1 + n / 4), '{}', now() - (5 - n) * interval '1 hour', 'authorization_revoked' FROM generate_series(1, 4) AS n`
	const tokens = `
		INSERT INTO oauth_access_token (id, token, client_id, user_id, scopes, authorization_id)
		SELECT 't' || n, rpad('t' || n, 43, '-'), $1, $2, '{}', 'f1' FROM generate_series(1, 4) AS n`
	ago := func(at *time.Time, now time.Time) int {
		if at == nil {
			return 0
		}
		return int(now.Sub(*at) / time.Hour)
	}
	type answer struct {
		erased int64
		last   int // hours ago
	}
	for _, c := range []struct {
		call string
		make func(q *store.Queries, after time.Time) (erased int64, last *time.Time, err error)
		want []answer
	}{
		// s1 has three families and s2 one: of a page of two, s1 loses two families, then one and s2 its own, then both go
		{"DeleteExpiredSessions", func(q *store.Queries, after time.Time) (int64, *time.Time, error) {
			r, err := q.DeleteExpiredSessions(t.Context(), store.DeleteExpiredSessionsParams{AfterExpiresAt: after, BatchSize: 2})
			return r.Detached + r.Deleted, r.LastExpiresAt, err
		}, []answer{{2, 4}, {2, 4}, {2, 3}, {2, 1}, {0, 0}}},
		// f1 has four tokens, and the others none: f2 goes, then f3, while f1 stays
		{"DeleteEndedAuthorizations", func(q *store.Queries, after time.Time) (int64, *time.Time, error) {
			r, err := q.DeleteEndedAuthorizations(t.Context(), store.DeleteEndedAuthorizationsParams{AfterRevokedAt: after, BatchSize: 2})
			return r.AccessTokens + r.Authorizations, r.LastRevokedAt, err
		}, []answer{{3, 4}, {3, 4}, {2, 1}, {0, 0}}},
	} {
		t.Run(c.call, func(t *testing.T) {
			w := newWorld(t, 1)
			w.undone(func(tx pgx.Tx, q *store.Queries) { // in which now() stands still
				var now time.Time
				exec := func(sql string, args ...any) {
					_, err := tx.Exec(w.Ctx, sql, args...)
					w.OK(err)
				}
				exec(insert, string(w.User))
				exec(families, w.Client, string(w.User))
				exec(tokens, w.Client, string(w.User))
				w.OK(tx.QueryRow(w.Ctx, `SELECT now()`).Scan(&now))
				var got []answer
				var after time.Time
				for range c.want {
					erased, last, err := c.make(q, after)
					w.OK(err)
					got = append(got, answer{erased, ago(last, now)})
					if last != nil {
						after = *last
					}
				}
				wantEqual(t, "rows and where each call stopped", got, c.want)
			})
		})
	}
}

// pausing makes calls stop that read a table, until the returned function is called: they have their snapshot by then, and hold no row.
func (w *world) pausing(table string) (release func()) {
	w.Helper()
	w.Exec(`
		CREATE FUNCTION testdb.pause() RETURNS boolean LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_advisory_xact_lock_shared(1);
			RETURN true;
		END
		$$`)
	w.Exec(`CREATE POLICY pausing ON "` + table + `" USING (testdb.pause())`)
	w.Exec(`ALTER TABLE "` + table + `" ENABLE ROW LEVEL SECURITY`)
	return w.holding(`SELECT pg_advisory_xact_lock(1)`)
}

// A session is extended by a call that began before it expired, when the collector has found it.
func TestSessionThatIsExtendedMeanwhileIsNotDeleted(t *testing.T) {
	t.Parallel()
	needsRoles(t)
	w := newWorld(t, 3)
	w.expireBy("session", string(w.Session), time.Hour)
	release, observer := w.pausing("session"), w.otherSession()
	done := make(chan int64)
	go func() { done <- w.collectSessions(10) }()
	w.Until("the collector has read", func() bool { return w.activity(observer, "a.wait_event = 'advisory'") == 1 })
	w.expireBy("session", string(w.Session), -time.Hour)
	release()
	wantEqual(t, "deleted", <-done, 0)
	w.sessionOf(w.Session)
}

func TestDeadFamiliesAreMarkedWhyAndErased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	disabled, another := w.NewClient(), w.NewUser()
	live := w.Redeem()
	bound := w.Redeem(online)
	revoked := w.Redeem()
	asleep := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = disabled })
	ended := w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = another, nil })
	over := w.Redeem()
	w.Exec(`DELETE FROM oauth_access_token WHERE authorization_id = $1`, string(over.Authorization))
	w.Exec(`DELETE FROM oauth_refresh_token WHERE authorization_id = $1`, string(over.Authorization))
	asked := w.pending()
	w.endSession(w.Session)
	w.disable(disabled)
	w.revokeFamily(revoked.Authorization)
	w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, another)), store.OutcomeEnded)
	w.changesRows(func() { wantEqual(t, "marked", w.markDead(2), 3) },
		authorizationRow("~", bound.Authorization), authorizationRow("~", ended.Authorization), authorizationRow("~", over.Authorization))
	for id, want := range map[store.AuthorizationID]*store.RevocationReason{
		bound.Authorization: new(store.RevocationReasonSessionEnded), ended.Authorization: new(store.RevocationReasonGrantsEnded),
		over.Authorization: new(store.RevocationReasonExpired), live.Authorization: nil, asleep.Authorization: nil, asked: nil,
	} {
		wantEqual(t, "revoked_reason", w.authorizationOf(id).RevokedReason, want)
	}

	erase := func(batch int32) (rows []store.DeleteEndedAuthorizationsRow) {
		for {
			row, err := w.Q.DeleteEndedAuthorizations(w.Ctx, store.DeleteEndedAuthorizationsParams{BatchSize: batch, Retention: collectRetention})
			w.OK(err)
			row.LastRevokedAt = nil
			rows = append(rows, row)
			if row == (store.DeleteEndedAuthorizationsRow{}) {
				return rows
			}
		}
	}
	w.Unchanged(func() { erase(10) }) // as nothing ended that long ago
	w.Exec(`UPDATE oauth_authorization SET revoked_at = revoked_at - $1::interval`, collectRetention)
	erased := erase(2)
	var total store.DeleteEndedAuthorizationsRow
	for _, r := range erased {
		total.AccessTokens, total.RefreshTokens, total.Authorizations = total.AccessTokens+r.AccessTokens, total.RefreshTokens+r.RefreshTokens, total.Authorizations+r.Authorizations
		if max(r.AccessTokens, r.RefreshTokens, r.Authorizations) > 2 {
			t.Errorf("a batch of 2 erased %+v", r)
		}
	}
	wantEqual(t, "erased", total, store.DeleteEndedAuthorizationsRow{AccessTokens: 3, RefreshTokens: 3, Authorizations: 4})
	w.WantLive(live.Access, live.Refresh)
	w.want("EnableClient", w.outcome(w.Q.EnableClient(w.Ctx, disabled)), store.OutcomeEnabled)
	w.WantLive(asleep.Access, asleep.Refresh)
}

func TestTokensWithoutExpiryAreCollectedWhenTheyAreDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	own := func() store.OAuthAccessToken {
		return w.accessTokenOf(w.issue(fixture.Unique("token"), store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.Lifetime = store.Never }))
	}
	old := own()
	w.want("RevokeClientAuthorizations", w.outcome(w.Q.RevokeClientAuthorizations(w.Ctx, w.machine())), store.OutcomeEnded)
	revoked, live := own(), own()
	w.Exec(`UPDATE oauth_access_token SET revoked = now() WHERE id = $1`, string(revoked.ID))
	k := w.Redeem()
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL, revoked = now() WHERE token = $1`, string(fixture.Digest(k.Access)))
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = NULL`)
	// exchanged, and what ended is the grants to its own client alone
	subject, ended, goesOn := w.Redeem(), w.NewExchanger(), w.NewExchanger()
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE token = $1`, string(fixture.Digest(subject.Access)))
	never := func(p *store.ExchangeTokenParams) { p.AccessTokenLifetime = store.Never }
	_, dead := w.Exchange(subject.Access, ended, store.OutcomeExchanged, never)
	_, living := w.Exchange(subject.Access, goesOn, store.OutcomeExchanged, never)
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE subject_token_id IS NOT NULL`)
	for user, client := range map[store.UserID]store.ClientID{w.User: ended, w.NewUser(): goesOn} {
		p := store.RevokeUserAuthorizationsByClientParams{UserID: user, ClientID: client}
		w.want("RevokeUserAuthorizationsByClient", w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, p)), store.OutcomeEnded)
	}
	w.changesRows(func() {
		p, deleted := store.DeleteDeadAccessTokensParams{PageSize: 1}, int64(0)
		for {
			row, err := w.Q.DeleteDeadAccessTokens(w.Ctx, p)
			w.OK(err)
			deleted += row.Deleted
			if row.LastID == nil {
				break
			}
			p.AfterID = *row.LastID
		}
		wantEqual(t, "access tokens", deleted, 4)
	}, accessRow("-", old.ID), accessRow("-", revoked.ID), accessRow("-", w.accessTokenOf(k.Access).ID), accessRow("-", w.accessTokenOf(dead).ID))
	w.WantLive(subject.Access, living)
	w.want("live", w.introspectAccessByID(live.ID).Outcome, store.OutcomeActive)

	_, access := w.Rotate(k.Refresh, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) { p.RefreshTokenLifetime = store.Never })
	spent := w.refreshTokenOf(k.Refresh).ID
	walk := func() (deleted int64) {
		p := store.DeleteSpentRefreshTokensParams{PageSize: 1, Retention: collectRetention}
		for {
			row, err := w.Q.DeleteSpentRefreshTokens(w.Ctx, p)
			w.OK(err)
			deleted += row.Deleted
			if row.LastID == nil {
				return deleted
			}
			p.AfterID = *row.LastID
		}
	}
	w.Unchanged(func() { wantEqual(t, "spent a moment ago", walk(), 0) })
	w.spentAgo(k.Refresh, collectRetention)
	_, retried := w.Rotate(k.Refresh, store.OutcomeRetried, func(p *store.RotateRefreshTokenParams) { p.GraceUntilUsed = true })
	wantEqual(t, "while an access token refers to it", walk(), 0)
	w.Exec(`DELETE FROM oauth_access_token WHERE token = $1`, string(fixture.Digest(retried)))
	w.changesRows(func() { wantEqual(t, "spent for the retention", walk(), 1) }, refreshRow("-", spent))
	w.WantLive(access, fixture.SuccessorOf(k.Refresh))
}

func TestConsentsThatCountNoMoreAreCollected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	old := w.consent("", false, "openid")
	w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User)), store.OutcomeEnded)
	w.Client = w.NewClient()
	w.consent("", false, "openid")
	w.changesRows(func() {
		p, deleted := store.DeleteDeadConsentsParams{PageSize: 1}, int64(0)
		for range 100 {
			row, err := w.Q.DeleteDeadConsents(w.Ctx, p)
			w.OK(err)
			deleted += row.Deleted
			if row.LastID == nil {
				break
			}
			p.AfterID = *row.LastID
		}
		wantEqual(t, "consents", deleted, 1)
	}, consentRow("-", old.ID))
}

// What was deleted is erased in batches, and then its id can be used again.
func TestDeletedUsersAndClientsAreErasedInTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	user, other := w.User, w.Client
	owned := w.NewClient(func(p *store.CreateClientParams) { p.UserID = &user })
	deleted := w.NewClient()
	for _, client := range []store.ClientID{other, owned, deleted} {
		w.Client = client
		w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = client })
		w.consent("", false, "openid")
	}
	w.rotateSecret(w.Q, deleted, "new", time.Hour, store.OutcomeRotated)
	w.deleteUser(user)
	w.deleteClient(deleted)
	users := func() (n int64) {
		row, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{BatchSize: 2})
		w.OK(err)
		if row.LastDeletedAt != nil {
			next, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{BatchSize: 2, AfterDeletedAt: *row.LastDeletedAt})
			w.OK(err)
			wantEqual(t, "the page after the last", next, store.EraseDeletedUsersRow{})
		}
		return row.Deleted
	}
	clients := func() (n int64) {
		row, err := w.Q.EraseDeletedClients(w.Ctx, store.EraseDeletedClientsParams{BatchSize: 10})
		w.OK(err)
		return row.Deleted
	}
	wantEqual(t, "users, while their tokens are there", users(), 0)
	var kept int
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT num_nonnulls(c.client_secret, c.name) + cardinality(c.redirect_uris) FROM oauth_client AS c WHERE c.client_id = $1 AND c.deleted_at IS NOT NULL`, owned).Scan(&kept))
	wantEqual(t, "secrets and personal data that the deleted user's client has left", kept, 0)
	wantEqual(t, "clients, while their tokens are there", clients(), 0)
	wantEqual(t, "marked", w.markDead(10), 3)
	w.Exec(`UPDATE oauth_authorization SET revoked_at = revoked_at - interval '1 year'`)
	var erasedUsers, erasedClients int64
	for range 6 {
		_, err := w.Q.DeleteEndedAuthorizations(w.Ctx, store.DeleteEndedAuthorizationsParams{BatchSize: 2})
		w.OK(err)
		w.collectSessions(2)
		erasedUsers, erasedClients = erasedUsers+users(), erasedClients+clients()
	}
	wantEqual(t, "erased users and clients", []int64{erasedUsers, erasedClients}, []int64{1, 2})
	_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: user})
	w.OK(err)
	for _, client := range []store.ClientID{owned, deleted} {
		_, err = w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: store.NewOAuthClientID(), ClientID: client, RedirectURIs: []string{"x"}})
		w.OK(err)
	}
}

// What expires at this very instant has expired, and the oldest goes first, however the table is read.
func TestCollectorTakesTheOldestFirstAndWhatExpiresNow(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 1)
	type collector struct {
		table, insert string // with an id, a digest and how many microseconds ago it was over
		collect       func(*store.Queries, context.Context, int32) (int64, error)
	}
	calls := []collector{
		{
			"attempt_count",
			`INSERT INTO attempt_count (id, purpose, subject, attempts, resets_at) VALUES ($1, 'p', $2, 1, now() - $3 * interval '1 microsecond')`,
			fixture.Batches((*store.Queries).DeleteExpiredAttemptCounts),
		}, {
			"one_time_code",
			`INSERT INTO one_time_code (id, purpose, subject, digest, expires_at) VALUES ($1, 'p', $2, $2, now() - $3 * interval '1 microsecond')`,
			fixture.Batches((*store.Queries).DeleteExpiredOneTimeCodes),
		}, {
			"verification",
			`INSERT INTO verification (id, identifier, value, expires_at) VALUES ($1, '', $2, now() - $3 * interval '1 microsecond')`,
			fixture.Batches((*store.Queries).DeleteExpiredVerifications),
		}, {
			"jwks",
			`INSERT INTO jwks (id, public_key, private_key, expires_at) VALUES ($1, '{}', $2, now() - $3 * interval '1 microsecond')`,
			fixture.Batches((*store.Queries).DeleteExpiredSigningKeys),
		}, {
			"device_code",
			`INSERT INTO device_code (id, device_code, user_code, status, expires_at) VALUES ($1, $2, $2, 'pending', now() - $3 * interval '1 microsecond')`,
			fixture.Batches((*store.Queries).DeleteExpiredDeviceCodes),
		}, {
			"oauth_proof",
			`INSERT INTO oauth_proof (id, expires_at) VALUES (rpad($1, 43, left($2, 0) || '-'), now() - $3 * interval '1 microsecond')`,
			fixture.Batches((*store.Queries).DeleteExpiredProofs),
		}, {
			"oauth_client_assertion",
			`INSERT INTO oauth_client_assertion (id, expires_at) VALUES (rpad($1, 43, left($2, 0) || '-'), now() - $3 * interval '1 microsecond')`,
			fixture.Batches((*store.Queries).DeleteExpiredClientAssertions),
		},
	}
	for _, c := range calls {
		t.Run(c.table, func(t *testing.T) {
			w := w.forSubtest(t)
			tx, err := w.Pool.Begin(w.Ctx) // in which now() stands still
			w.OK(err)
			defer func() { w.OK(tx.Rollback(w.Ctx)) }()
			_, err = tx.Exec(w.Ctx, `SELECT set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`)
			w.OK(err)
			for _, ago := range []int{0, 2, -1, 1} { // the order in which they lie in the table
				id := fmt.Sprint("ago", ago)
				_, err := tx.Exec(w.Ctx, c.insert, id, string(fixture.Digest(id)), ago)
				w.OK(err)
			}
			left := func() string {
				var ids string
				w.OK(tx.QueryRow(w.Ctx, `SELECT coalesce(string_agg(rtrim(id, '-'), ' ' ORDER BY id COLLATE "C"), '') FROM `+c.table+` WHERE id LIKE 'ago%'`).Scan(&ids))
				return ids
			}
			for _, want := range []string{"ago-1 ago0 ago1", "ago-1 ago0", "ago-1", "ago-1"} {
				_, err := c.collect(recorded(tx, nil), w.Ctx, 1)
				w.OK(err)
				wantEqual(t, c.table+": what is left", left(), want)
			}
		})
	}
}

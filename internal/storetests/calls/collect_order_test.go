package calls

import (
	"cmp"
	"context"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
)

// orderedCollection is a call that collects in an order, and how a row of its table is written: $id is its name, $age how long it has been due.
type orderedCollection struct {
	call   string
	insert string
	left   string // FROM what is left, x; the first letter of its key
	key    string
	// batch takes up to size rows from the position after on, nil for the start, or only those behind it; page looks at two, and says which is the last
	batch  func(q *store.Queries, ctx context.Context, after any, size int32) (last any, err error)
	behind bool
	page   func(q *store.Queries, ctx context.Context) (last string, err error)
}

// batchOf makes of a call a function that makes one batch of it from a position on. last is what the call returned as the last position, or nil.
func batchOf[P, R any](call func(*store.Queries, context.Context, P) (R, error)) func(*store.Queries, context.Context, any, int32) (any, error) {
	return func(q *store.Queries, ctx context.Context, after any, size int32) (last any, err error) {
		var p P
		args := reflect.ValueOf(&p).Elem()
		args.FieldByName("BatchSize").SetInt(int64(size))
		if after != nil {
			args.FieldByIndex(positionOf(args.Type(), "After")).Set(reflect.ValueOf(after))
		}
		row, err := call(q, ctx, p)
		if at := reflect.ValueOf(row).FieldByIndex(positionOf(reflect.TypeFor[R](), "Last")); !at.IsNil() {
			last = at.Elem().Interface()
		}
		return last, err
	}
}

// positionOf is the field of a call's parameters or answer that says where a batch begins or ends. It is nil if there is none.
func positionOf(of reflect.Type, prefix string) []int {
	for i := range of.NumField() {
		if strings.HasPrefix(of.Field(i).Name, prefix) {
			return []int{i}
		}
	}
	return nil
}

// lastOf is the letter of the row that a call returned as the last of its page.
func lastOf[T ~string](id *T, err error) (string, error) {
	if id == nil {
		return "", err
	}
	return string(*id)[:1], err
}

const (
	orderedFamily  = `INSERT INTO oauth_authorization (id, client_id, scopes, expires_at) VALUES ($id, $client, '{}', $age)`
	orderedAccess  = `INSERT INTO oauth_access_token (id, token, client_id, scopes, expires_at) VALUES ($id, $id, $client, '{}', $age)`
	orderedSession = `INSERT INTO session (id, user_id, token, expires_at) VALUES ($id, $user, $id, $age)`
	orderedUser    = `INSERT INTO "user" (id, name, suspended_at, deleted_at) VALUES ($id, '', $age, $age)`
	orderedClient  = `INSERT INTO oauth_client (id, client_id, redirect_uris, disabled, deleted_at) VALUES ($id, $id, '{https://a.example/}', true, $age)`
	orderedRefresh = `INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, expires_at, authorization_id)
		VALUES ($id, $id, $client, $user, '{}', $age, $family)`
)

// nextPage is behind all ids that the database or the tests' helpers make, and before those of the rows.
const nextPage = "_"

var orderedCollections = []orderedCollection{
	{
		call: "DeleteExpiredAttemptCounts", left: "attempt_count", key: "x.subject",
		insert: `INSERT INTO attempt_count (purpose, subject, attempts, resets_at) VALUES ('x', $id, 1, $age)`,
		batch:  batchOf((*store.Queries).DeleteExpiredAttemptCounts),
	}, {
		call: "DeleteExpiredOneTimeCodes", left: "one_time_code", key: "x.subject",
		insert: `INSERT INTO one_time_code (purpose, subject, digest, expires_at) VALUES ('x', $id, $id, $age)`,
		batch:  batchOf((*store.Queries).DeleteExpiredOneTimeCodes),
	}, {
		call: "DeleteExpiredDeviceCodes", left: "device_code",
		insert: `INSERT INTO device_code (id, device_code, user_code, status, expires_at) VALUES ($id, $id, $id, 'pending', $age)`,
		batch:  batchOf((*store.Queries).DeleteExpiredDeviceCodes),
	}, {
		call: "DeleteExpiredSigningKeys", left: "jwks",
		insert: `INSERT INTO jwks (id, public_key, private_key, expires_at) VALUES ($id, '{}', 'x', $age)`,
		batch:  batchOf((*store.Queries).DeleteExpiredSigningKeys),
	}, {
		call: "DeleteExpiredVerifications", left: "verification",
		insert: `INSERT INTO verification (id, identifier, value, expires_at) VALUES ($id, '', '', $age)`,
		batch:  batchOf((*store.Queries).DeleteExpiredVerifications),
	}, {
		call: "DeleteExpiredProofs", left: "oauth_proof", insert: `INSERT INTO oauth_proof (id, expires_at) VALUES ($id, $age)`,
		batch: batchOf((*store.Queries).DeleteExpiredProofs),
	}, {
		call: "DeleteExpiredClientAssertions", left: "oauth_client_assertion",
		insert: `INSERT INTO oauth_client_assertion (id, expires_at) VALUES ($id, $age)`,
		batch:  batchOf((*store.Queries).DeleteExpiredClientAssertions),
	}, {
		call: "DeleteExpiredClientSecrets", left: "oauth_client_secret", key: "x.digest",
		insert: `INSERT INTO oauth_client_secret (client_id, digest, expires_at) VALUES ($client, $id, $age)`,
		batch:  batchOf((*store.Queries).DeleteExpiredClientSecrets),
	}, {
		call: "DeleteExpiredInitialAccessTokens", left: "oauth_initial_access_token",
		insert: `INSERT INTO oauth_initial_access_token (id, token, max_uses, expires_at) VALUES ($id, $id, 1, $age)`,
		batch:  batchOf((*store.Queries).DeleteExpiredInitialAccessTokens),
	}, {
		call: "DeleteExpiredPolledRequests", left: "oauth_polled_request",
		insert: strings.Replace(orderedFamily, "expires_at) VALUES ($id, $client, '{}', $age)", "kind, expires_at) VALUES ($id, $client, '{}', 'device', now() + interval '1 hour')", 1) +
			`; INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval) VALUES ($id, $id, $age, '5 seconds')`,
		batch: batchOf((*store.Queries).DeleteExpiredPolledRequests),
	}, {
		call: "DeleteExpiredAuthorizations", left: "oauth_authorization", insert: orderedFamily,
		batch: batchOf((*store.Queries).DeleteExpiredAuthorizations),
	}, {
		call: "DeleteEndedAuthorizations", left: "oauth_authorization",
		insert: orderedFamily + `; UPDATE oauth_authorization SET revoked_at = $age, revoked_reason = 'authorization_revoked', expires_at = NULL WHERE id = $id`,
		batch:  batchOf((*store.Queries).DeleteEndedAuthorizations),
	}, {
		call: "DeleteExpiredAccessTokens", left: "oauth_access_token", insert: orderedAccess,
		batch: batchOf((*store.Queries).DeleteExpiredAccessTokens),
	}, {
		call: "DeleteExpiredRefreshTokens", left: "oauth_refresh_token", insert: orderedRefresh,
		batch: batchOf((*store.Queries).DeleteExpiredRefreshTokens),
	}, {
		call: "DeleteExpiredSessions", left: "session", insert: orderedSession,
		batch: batchOf((*store.Queries).DeleteExpiredSessions),
	}, {
		call: "DeleteExpiredSecurityEvents", left: "security_event", key: "('{a,b,c}'::text[])[x.id]",
		insert: `INSERT INTO security_event (id, call, outcome, created_at) OVERRIDING SYSTEM VALUE SELECT ascii($id) - 96, 'EndSession', 'ended', $age`,
		batch:  batchOf((*store.Queries).DeleteExpiredSecurityEvents), behind: true,
	}, {
		call: "EraseDeletedUsers", left: `"user"`, insert: orderedUser,
		batch: batchOf((*store.Queries).EraseDeletedUsers), behind: true,
	}, {
		call: "EraseDeletedClients", left: "oauth_client", insert: orderedClient,
		batch: batchOf((*store.Queries).EraseDeletedClients), behind: true,
	}, {
		call: "ClaimLogoutDeliveries", left: "(SELECT * FROM session_client WHERE lease IS NULL)", insert: `
			UPDATE oauth_client SET backchannel_logout_uri = 'https://a.example/logout' WHERE client_id = $client;
			INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid, due_at) VALUES ($id, $id, $client, $user, 'x', 'x', $age)`,
		batch: func(q *store.Queries, ctx context.Context, _ any, size int32) (any, error) {
			_, err := q.ClaimLogoutDeliveries(ctx, store.ClaimLogoutDeliveriesParams{PageSize: size, LeaseLifetime: time.Hour})
			return nil, err
		},
	}, {
		call: "MarkDeadAuthorizations", insert: orderedFamily,
		page: func(q *store.Queries, ctx context.Context) (string, error) {
			r, err := q.MarkDeadAuthorizations(ctx, store.MarkDeadAuthorizationsParams{AfterID: nextPage, PageSize: 2})
			return lastOf(r.LastID, err)
		},
	}, {
		call: "MarkEndedSessions", insert: orderedSession,
		page: func(q *store.Queries, ctx context.Context) (string, error) {
			r, err := q.MarkEndedSessions(ctx, store.MarkEndedSessionsParams{AfterID: nextPage, PageSize: 2})
			return lastOf(r.LastID, err)
		},
	}, {
		call: "SweepSessionClients", insert: `INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid) VALUES ($id, $id, $client, $user, 'x', 'x')`,
		page: func(q *store.Queries, ctx context.Context) (string, error) {
			r, err := q.SweepSessionClients(ctx, store.SweepSessionClientsParams{AfterID: nextPage, PageSize: 2})
			return lastOf(r.LastID, err)
		},
	}, {
		call: "DeleteDeadConsents", insert: orderedClient + `; INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ($id, $id, $user, '{}')`,
		page: func(q *store.Queries, ctx context.Context) (string, error) {
			r, err := q.DeleteDeadConsents(ctx, store.DeleteDeadConsentsParams{AfterID: nextPage, PageSize: 2})
			return lastOf(r.LastID, err)
		},
	}, {
		call: "DeleteDeadAccessTokens", insert: strings.Replace(orderedAccess, "$age", "NULL", 1),
		page: func(q *store.Queries, ctx context.Context) (string, error) {
			r, err := q.DeleteDeadAccessTokens(ctx, store.DeleteDeadAccessTokensParams{AfterID: nextPage, PageSize: 2})
			return lastOf(r.LastID, err)
		},
	}, {
		call: "DeleteSpentRefreshTokens", insert: strings.Replace(orderedRefresh, "$age", "NULL", 1),
		page: func(q *store.Queries, ctx context.Context) (string, error) {
			r, err := q.DeleteSpentRefreshTokens(ctx, store.DeleteSpentRefreshTokensParams{AfterID: nextPage, PageSize: 2})
			return lastOf(r.LastID, err)
		},
	}, {
		call: "MarkUnusedClients", insert: orderedClient,
		page: func(q *store.Queries, ctx context.Context) (string, error) {
			r, err := q.MarkUnusedClients(ctx, store.MarkUnusedClientsParams{AfterID: nextPage, PageSize: 2, UnusedFor: time.Hour, Retention: time.Hour})
			return lastOf(r.LastID, err)
		},
	},
}

// inScattered writes three rows that lie in the table in another order than that of their ids and ages, and reads them without an index: what
// a statement doesn't order comes as it lies. Everything is undone.
func (w *world) inScattered(c orderedCollection, run func(tx pgx.Tx)) {
	w.Helper()
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer func() { w.OK(tx.Rollback(context.WithoutCancel(w.Ctx))) }()
	sql := "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL plan_cache_mode = force_custom_plan"
	family := store.AuthorizationID("")
	if strings.Contains(c.insert, "$family") {
		family, _ = w.Grant()
	}
	for _, row := range []struct{ id, age string }{{"b", "2 hours"}, {"c", "1 hour"}, {"a", "3 hours"}} {
		sql += ";" + strings.NewReplacer(
			"$id", "'"+strings.Repeat(row.id, 43)+"'", "$age", "now() - interval '"+row.age+"'", "$client", "'"+string(w.Client)+"'", "$user", "'"+string(w.User)+"'",
			"$family", "'"+string(family)+"'",
		).Replace(c.insert)
	}
	_, err = tx.Exec(w.Ctx, sql, pgx.QueryExecModeSimpleProtocol)
	w.OK(err)
	run(tx)
}

// taken are the letters of the rows that are no longer left.
func (c orderedCollection) taken(w *world, tx pgx.Tx) string {
	w.Helper()
	var letters string
	w.OK(tx.QueryRow(w.Ctx, `
		SELECT coalesce(string_agg(l, ' '), '') FROM unnest('{a,b,c}'::text[]) AS v (l)
		WHERE NOT EXISTS (SELECT FROM `+c.left+` AS x WHERE `+cmp.Or(c.key, "x.id")+` LIKE repeat(l, 43) OR `+cmp.Or(c.key, "x.id")+` = l)`).Scan(&letters))
	return letters
}

// What has been due for longest is collected first, so a collector that falls behind leaves nothing for ever.
func TestCollectorTakesTheOldestFirst(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 2)
	for _, c := range orderedCollections {
		if c.batch == nil {
			continue
		}
		t.Run(c.call, func(t *testing.T) {
			w := w.forSubtest(t)
			w.inScattered(c, func(tx pgx.Tx) {
				_, err := c.batch(store.New(tx), w.Ctx, nil, 1)
				w.OK(err)
				if taken := c.taken(w, tx); taken != "a" {
					t.Errorf("of three, due for three, two and one hours, it took %q, want a", taken)
				}
			})
		})
	}
}

// A batch begins where the one before it has ended, so that it doesn't read again what that one has deleted.
func TestCollectorGoesOnWhereABatchHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 2)
	tried := map[string]bool{"ClaimLogoutDeliveries": true} // has no position
	for _, c := range orderedCollections {
		if c.batch == nil || tried[c.call] {
			continue
		}
		tried[c.call] = true
		t.Run(c.call, func(t *testing.T) {
			w := w.forSubtest(t)
			w.inScattered(c, func(tx pgx.Tx) {
				var now time.Time
				w.OK(tx.QueryRow(w.Ctx, `SELECT now()`).Scan(&now))
				at := map[string]any{"a": now.Add(-3 * time.Hour), "b": now.Add(-2 * time.Hour), "c": now.Add(-time.Hour), "": nil}
				if c.call == "DeleteExpiredSecurityEvents" {
					at = map[string]any{"a": int64(1), "b": int64(2), "c": int64(3), "": nil}
				}
				batch := func(after, wantLast, wantTaken string) {
					t.Helper()
					last, err := c.batch(store.New(tx), w.Ctx, at[after], 10)
					w.OK(err)
					if instant, ok := last.(time.Time); ok {
						last = instant.In(now.Location())
					}
					wantEqual(t, "the last after "+strconv.Quote(after), last, at[wantLast])
					wantEqual(t, "taken after "+strconv.Quote(after), c.taken(w, tx), wantTaken)
				}
				if c.behind {
					batch("b", "c", "c")
					batch("", "b", "a b c")
					batch("b", "", "a b c")
					return
				}
				batch("b", "c", "b c")
				batch("b", "", "b c")
				batch("", "a", "a b c")
				batch("", "", "a b c")
			})
		})
	}
	querier := reflect.TypeFor[store.Querier]()
	for i := range querier.NumMethod() {
		m := querier.Method(i)
		if m.Type.NumIn() < 2 || m.Type.In(1).Kind() != reflect.Struct || m.Type.Out(0).Kind() != reflect.Struct {
			continue
		}
		_, batches := m.Type.In(1).FieldByName("BatchSize")
		if batches && positionOf(m.Type.Out(0), "Last") != nil && !tried[m.Name] {
			t.Errorf("%s is not tried", m.Name)
		}
	}
}

func TestCollectorGoesPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 2)
	for _, c := range orderedCollections {
		if c.page == nil {
			continue
		}
		t.Run(c.call, func(t *testing.T) {
			w := w.forSubtest(t)
			w.inScattered(c, func(tx pgx.Tx) {
				last, err := c.page(store.New(tx), w.Ctx)
				w.OK(err)
				if last != "b" {
					t.Errorf("the last of two is %q, want b", last)
				}
			})
		})
	}
}

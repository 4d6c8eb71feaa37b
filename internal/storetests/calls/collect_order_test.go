package calls

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// orderedCollection is a call that collects in an order, and how a row of its table is written: $id is its name, $age how long it has been due.
type orderedCollection struct {
	call   string
	insert string
	left   string // FROM what is left, x; the first letter of its key
	key    string
	// collect takes one row; page looks at two, and says which is the last
	collect func(q *store.Queries, ctx context.Context) error
	page    func(q *store.Queries, ctx context.Context) (last string, err error)
}

func oneOf[P, R any](call func(*store.Queries, context.Context, P) (R, error)) func(*store.Queries, context.Context) error {
	return func(q *store.Queries, ctx context.Context) error {
		_, err := fixture.Batches(call)(q, ctx, 1)
		return err
	}
}

// lastOf is the letter of the row that a call returned as the last of its page.
func lastOf[T ~string](id *T, err error) (string, error) {
	if id == nil {
		return "", err
	}
	return string(*id)[:1], err
}

func lastDeleted(at *time.Time, err error) (string, error) {
	if at == nil {
		return "", err
	}
	return map[time.Duration]string{time.Hour: "c", 2 * time.Hour: "b", 3 * time.Hour: "a"}[time.Since(*at).Round(time.Hour)], err
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
		insert:  `INSERT INTO attempt_count (purpose, subject, attempts, resets_at) VALUES ('x', $id, 1, $age)`,
		collect: oneOf((*store.Queries).DeleteExpiredAttemptCounts),
	}, {
		call: "DeleteExpiredOneTimeCodes", left: "one_time_code", key: "x.subject",
		insert:  `INSERT INTO one_time_code (purpose, subject, digest, expires_at) VALUES ('x', $id, $id, $age)`,
		collect: oneOf((*store.Queries).DeleteExpiredOneTimeCodes),
	}, {
		call: "DeleteExpiredDeviceCodes", left: "device_code",
		insert:  `INSERT INTO device_code (id, device_code, user_code, status, expires_at) VALUES ($id, $id, $id, 'pending', $age)`,
		collect: oneOf((*store.Queries).DeleteExpiredDeviceCodes),
	}, {
		call: "DeleteExpiredSigningKeys", left: "jwks",
		insert:  `INSERT INTO jwks (id, public_key, private_key, expires_at) VALUES ($id, '{}', 'x', $age)`,
		collect: oneOf((*store.Queries).DeleteExpiredSigningKeys),
	}, {
		call: "DeleteExpiredVerifications", left: "verification",
		insert:  `INSERT INTO verification (id, identifier, value, expires_at) VALUES ($id, '', '', $age)`,
		collect: oneOf((*store.Queries).DeleteExpiredVerifications),
	}, {
		call: "DeleteExpiredProofs", left: "oauth_proof", insert: `INSERT INTO oauth_proof (id, expires_at) VALUES ($id, $age)`,
		collect: oneOf((*store.Queries).DeleteExpiredProofs),
	}, {
		call: "DeleteExpiredClientAssertions", left: "oauth_client_assertion",
		insert:  `INSERT INTO oauth_client_assertion (id, expires_at) VALUES ($id, $age)`,
		collect: oneOf((*store.Queries).DeleteExpiredClientAssertions),
	}, {
		call: "DeleteExpiredClientSecrets", left: "oauth_client_secret", key: "x.digest",
		insert:  `INSERT INTO oauth_client_secret (client_id, digest, expires_at) VALUES ($client, $id, $age)`,
		collect: oneOf((*store.Queries).DeleteExpiredClientSecrets),
	}, {
		call: "DeleteExpiredInitialAccessTokens", left: "oauth_initial_access_token",
		insert:  `INSERT INTO oauth_initial_access_token (id, token, max_uses, expires_at) VALUES ($id, $id, 1, $age)`,
		collect: oneOf((*store.Queries).DeleteExpiredInitialAccessTokens),
	}, {
		call: "DeleteExpiredPolledRequests", left: "oauth_polled_request",
		insert: strings.Replace(orderedFamily, "expires_at) VALUES ($id, $client, '{}', $age)", "kind, expires_at) VALUES ($id, $client, '{}', 'device', now() + interval '1 hour')", 1) +
			`; INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval) VALUES ($id, $id, $age, '5 seconds')`,
		collect: oneOf((*store.Queries).DeleteExpiredPolledRequests),
	}, {
		call: "DeleteExpiredAuthorizations", left: "oauth_authorization", insert: orderedFamily,
		collect: oneOf((*store.Queries).DeleteExpiredAuthorizations),
	}, {
		call: "DeleteEndedAuthorizations", left: "oauth_authorization",
		insert: orderedFamily + `; UPDATE oauth_authorization SET revoked_at = $age, revoked_reason = 'authorization_revoked', expires_at = NULL WHERE id = $id`,
		collect: func(q *store.Queries, ctx context.Context) error {
			_, err := q.DeleteEndedAuthorizations(ctx, store.DeleteEndedAuthorizationsParams{BatchSize: 1})
			return err
		},
	}, {
		call: "DeleteExpiredAccessTokens", left: "oauth_access_token", insert: orderedAccess,
		collect: oneOf((*store.Queries).DeleteExpiredAccessTokens),
	}, {
		call: "DeleteExpiredRefreshTokens", left: "oauth_refresh_token", insert: orderedRefresh,
		collect: oneOf((*store.Queries).DeleteExpiredRefreshTokens),
	}, {
		call: "DeleteExpiredSessions", left: "session", insert: orderedSession,
		collect: oneOf((*store.Queries).DeleteExpiredSessions),
	}, {
		call: "DeleteExpiredSecurityEvents", left: "security_event", key: "('{a,b,c}'::text[])[x.id]",
		insert:  `INSERT INTO security_event (id, call, outcome, created_at) OVERRIDING SYSTEM VALUE SELECT ascii($id) - 96, 'EndSession', 'ended', $age`,
		collect: oneOf((*store.Queries).DeleteExpiredSecurityEvents),
	}, {
		call: "EraseDeletedUsers", left: `"user"`, insert: orderedUser,
		collect: func(q *store.Queries, ctx context.Context) error {
			_, err := q.EraseDeletedUsers(ctx, store.EraseDeletedUsersParams{BatchSize: 1})
			return err
		},
		page: func(q *store.Queries, ctx context.Context) (string, error) {
			r, err := q.EraseDeletedUsers(ctx, store.EraseDeletedUsersParams{BatchSize: 2})
			return lastDeleted(r.LastDeletedAt, err)
		},
	}, {
		call: "EraseDeletedClients", left: "oauth_client", insert: orderedClient,
		collect: func(q *store.Queries, ctx context.Context) error {
			_, err := q.EraseDeletedClients(ctx, store.EraseDeletedClientsParams{BatchSize: 1})
			return err
		},
		page: func(q *store.Queries, ctx context.Context) (string, error) {
			r, err := q.EraseDeletedClients(ctx, store.EraseDeletedClientsParams{BatchSize: 2})
			return lastDeleted(r.LastDeletedAt, err)
		},
	}, {
		call: "ClaimLogoutDeliveries", left: "(SELECT * FROM session_client WHERE lease IS NULL)", insert: `
			UPDATE oauth_client SET backchannel_logout_uri = 'https://a.example/logout' WHERE client_id = $client;
			INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid, due_at) VALUES ($id, $id, $client, $user, 'x', 'x', $age)`,
		collect: func(q *store.Queries, ctx context.Context) error {
			_, err := q.ClaimLogoutDeliveries(ctx, store.ClaimLogoutDeliveriesParams{PageSize: 1, LeaseLifetime: time.Hour})
			return err
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

// What has been due for longest is collected first, so a collector that falls behind leaves nothing for ever.
func TestCollectorTakesTheOldestFirst(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 2)
	for _, c := range orderedCollections {
		if c.collect == nil {
			continue
		}
		t.Run(c.call, func(t *testing.T) {
			w := w.forSubtest(t)
			w.inScattered(c, func(tx pgx.Tx) {
				w.OK(c.collect(store.New(tx), w.Ctx))
				var taken string
				w.OK(tx.QueryRow(w.Ctx, `
					SELECT coalesce(string_agg(l, ' '), '') FROM unnest('{a,b,c}'::text[]) AS v (l)
					WHERE NOT EXISTS (SELECT FROM `+c.left+` AS x WHERE `+cmp.Or(c.key, "x.id")+` LIKE repeat(l, 43) OR `+cmp.Or(c.key, "x.id")+` = l)`).Scan(&taken))
				if taken != "a" {
					t.Errorf("of three, due for three, two and one hours, it took %q, want a", taken)
				}
			})
		})
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

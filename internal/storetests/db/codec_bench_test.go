package db_test

import (
	"context"
	"encoding/json"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

// grantToken makes an access token of a family, with all that introspection shows of it but a tenant, resources, a class of
// authentication and a key: 4 scopes, 1 method.
func grantToken(tb testing.TB, queries *store.Queries) token.Digest {
	tb.Helper()
	ok := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	ctx, user, session, client := tb.Context(), store.NewUserID(), store.NewSessionID(), store.NewClientID()
	_, err := queries.CreateUser(ctx, store.CreateUserParams{ID: user, Name: "Ada", Email: new("ada.lovelace@example.com")})
	ok(err)
	_, err = queries.CreateSession(ctx, store.CreateSessionParams{
		ID: session, UserID: user, Token: token.DigestOf("cookie"), Lifetime: time.Hour,
	})
	ok(err)
	_, err = queries.CreateClient(ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: client, RedirectURIs: []string{"https://client.example/callback"},
		Scopes: []string{"openid", "email", "offline_access", "calendar"},
	})
	ok(err)
	scopes := []string{"openid", "email", "offline_access", "calendar"}
	challenge := token.S256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
	granted, err := queries.GrantAuthorization(ctx, store.GrantAuthorizationParams{
		ID: store.NewAuthorizationID(), UserID: user, ClientID: client, SessionID: &session,
		Scopes: scopes, GrantedScopes: scopes,
		RedirectURI: new("https://client.example/callback"), ResponseType: new("code"),
		CodeChallenge: &challenge, CodeChallengeMethod: new("S256"),
		AuthTime: new(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), AMR: []string{"pwd"},
		Code: token.DigestOf("code"), CodeLifetime: time.Minute,
	})
	ok(err)
	if granted != store.OutcomeGranted {
		tb.Fatal(granted)
	}
	digest := token.DigestOf("access")
	redeemed, err := queries.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{
		Code: token.DigestOf("code"), ClientID: client, ClientAuthMethod: "none",
		RedirectURI: new("https://client.example/callback"), CodeChallenge: &challenge,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: &digest, AccessTokenLifetime: time.Hour,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(token.DigestOf("refresh")), RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
	})
	ok(err)
	if redeemed.Outcome != store.OutcomeRedeemed {
		tb.Fatal(redeemed.Outcome)
	}
	return digest
}

// asServer asks for a token as the server itself does.
func asServer(digest token.Digest) store.IntrospectAccessTokenParams {
	return store.IntrospectAccessTokenParams{ClientAuthMethod: "server", Token: digest}
}

// plainRow is what introspection is by hand, with pgx and nothing else.
type plainRow struct {
	outcome                                                                   string
	id, clientID, userID, sub, sessionID, referenceID, authorization, refresh *string
	scopes, resources, amr                                                    []string
	details, act, data                                                        json.RawMessage
	confirmation                                                              *token.Confirmation
	issuedAt, expiresAt, authTime                                             *time.Time
	acr, username                                                             *string
}

func introspectByHand(ctx context.Context, pool *pgxpool.Pool, digest string) (r plainRow, err error) {
	err = pool.QueryRow(ctx, store.SQL("IntrospectAccessToken"), "server", nil, nil, digest).Scan(&r.outcome, &r.id, &r.clientID, &r.userID,
		&r.sub, &r.sessionID, &r.referenceID, &r.authorization, &r.refresh, &r.scopes, &r.resources, &r.details, &r.confirmation, &r.act,
		&r.issuedAt, &r.expiresAt, &r.authTime, &r.acr, &r.amr, &r.username, &r.data)
	return r, err
}

// What is compared with the store has to read the same row.
func TestIntrospectionByHandReadsTheSame(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	digest := grantToken(t, d.Store)
	want, err := d.Store.IntrospectAccessToken(t.Context(), asServer(digest))
	if err != nil {
		t.Fatal(err)
	}
	got, err := introspectByHand(t.Context(), d.Pool, string(digest))
	if err != nil {
		t.Fatal(err)
	}
	if got.outcome != string(want.Outcome) || *got.id != string(*want.ID) || *got.sub != string(*want.Sub) || !got.expiresAt.Equal(*want.ExpiresAt) {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

// cpu is what the process has used of the processors, in nanoseconds, by itself and in system calls.
func cpu(b *testing.B) (user, system int64) {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano(), u.Stime.Nano()
}

// bench measures a call, made by one goroutine, or by so many for each processor.
func bench(b *testing.B, parallel int, call func() error) {
	b.Helper()
	b.ReportAllocs()
	user, system := cpu(b)
	if parallel == 0 {
		for b.Loop() {
			if err := call(); err != nil {
				b.Fatal(err)
			}
		}
	} else {
		b.SetParallelism(parallel)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	userNow, systemNow := cpu(b)
	b.ReportMetric(float64(userNow-user)/float64(b.N), "user-ns/op")
	b.ReportMetric(float64(systemNow-system)/float64(b.N), "system-ns/op")
}

// BenchmarkCodec is the client's own work on the row, without a server.
func BenchmarkCodec(b *testing.B) {
	d := storetest.New(b)
	digest := grantToken(b, d.Store)
	conn, err := pgx.Connect(b.Context(), d.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(b.Context()))
	rows, err := conn.Query(b.Context(), store.SQL("IntrospectAccessToken"), "server", nil, nil, digest)
	if err != nil {
		b.Fatal(err)
	}
	if !rows.Next() {
		b.Fatal(rows.Err())
	}
	fields, values := slices.Clone(rows.FieldDescriptions()), slices.Clone(rows.RawValues())
	for i, v := range values {
		values[i] = slices.Clone(v)
	}
	rows.Close()
	for _, m := range []struct {
		name  string
		types *pgtype.Map
	}{{"registered", registered()}, {"stock", pgtype.NewMap()}} {
		b.Run(m.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var r store.IntrospectAccessTokenRow
				if err := pgx.ScanRow(m.types, fields, values, &r.Outcome, &r.ID, &r.ClientID, &r.UserID, &r.Sub, &r.SessionID,
					&r.ReferenceID, &r.AuthorizationID, &r.RefreshID, &r.Scopes, &r.Resources, &r.AuthorizationDetails, &r.Confirmation,
					&r.Act, &r.IssuedAt, &r.ExpiresAt, &r.AuthTime, &r.ACR, &r.AMR, &r.Username, &r.Data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIntrospect compares the store on a pool of this package with the same query by hand on one of pgx.
func BenchmarkIntrospect(b *testing.B) {
	d := storetest.New(b)
	digest := grantToken(b, d.Store)
	ctx := context.Background()
	pool, err := db.Open(ctx, d.URL, db.Options{MaxConns: 16})
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	config, err := pgxpool.ParseConfig(d.URL)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = 16
	plain, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		b.Fatal(err)
	}
	defer plain.Close()
	queries, onPlain := store.New(pool), store.New(plain)
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"store", func() error { _, err := queries.IntrospectAccessToken(ctx, asServer(digest)); return err }},
		{"plain", func() error { _, err := introspectByHand(ctx, plain, string(digest)); return err }},
		{"store on plain", func() error { _, err := onPlain.IntrospectAccessToken(ctx, asServer(digest)); return err }},
		{"unscanned", func() error { // what the query costs if nobody reads the row
			rows, err := plain.Query(ctx, store.SQL("IntrospectAccessToken"), "server", nil, nil, digest)
			if err == nil {
				rows.Close()
				err = rows.Err()
			}
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) { bench(b, 0, c.call) })
		b.Run(c.name+" parallel", func(b *testing.B) { bench(b, 8, c.call) })
	}
}

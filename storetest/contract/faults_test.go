package contract

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	mu      sync.Mutex
	message []string
	skipped bool
}

func (r *recorder) Error(args ...any)                 { r.add(fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.add(fmt.Sprintf(format, args...)) }
func (r *recorder) Fatal(args ...any)                 { r.add(fmt.Sprint(args...)); runtime.Goexit() }

func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }
func (r *recorder) Skipf(string, ...any)              { r.skipped = true; runtime.Goexit() }

func (r *recorder) add(message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.message = append(r.message, message)
}

// record runs a promise, and returns why it failed.
func record(t *testing.T, p promise, s Store) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run(r, s)
	}()
	<-done
	return r
}

// callOf is the name of the call whose statement this is.
func callOf(sql string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(sql, "-- name: "), " ")
	return name
}

// forgetful answers one call rightly and loses what it has written.
type forgetful struct {
	*pgxpool.Pool
	call string
	made int
	mu   sync.Mutex
}

func (f *forgetful) begin(ctx context.Context, sql string) (pgx.Tx, error) {
	if callOf(sql) != f.call {
		return nil, nil
	}
	f.mu.Lock()
	f.made++
	f.mu.Unlock()
	return f.Begin(ctx)
}

func (f *forgetful) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, fmt.Errorf("no call is of this kind: %s", callOf(sql))
}

func (f *forgetful) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	tx, err := f.begin(ctx, sql)
	if err != nil || tx == nil {
		if err != nil {
			return nil, err
		}
		return f.Pool.Query(ctx, sql, args...)
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		tx.Rollback(ctx)
		return nil, err
	}
	return &lostRows{rows, ctx, tx}, nil
}

func (f *forgetful) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	tx, err := f.begin(ctx, sql)
	if err != nil || tx == nil {
		return f.Pool.QueryRow(ctx, sql, args...)
	}
	return &lostRow{tx.QueryRow(ctx, sql, args...), ctx, tx}
}

type lostRow struct {
	pgx.Row
	ctx context.Context
	tx  pgx.Tx
}

func (r *lostRow) Scan(dest ...any) error {
	defer r.tx.Rollback(r.ctx)
	return r.Row.Scan(dest...)
}

type lostRows struct {
	pgx.Rows
	ctx context.Context
	tx  pgx.Tx
}

func (r *lostRows) Close() {
	r.Rows.Close()
	r.tx.Rollback(r.ctx)
}

// TestEachRaceFailsOnAStoreThatForgets: each race makes its call as often as there are callers, and sees that what one of them has
// written is lost.
func TestEachRaceFailsOnAStoreThatForgets(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t, storetest.MaxConns(Parallel)).Pool
	for _, race := range races {
		f := &forgetful{Pool: pool, call: race.name}
		r := record(t, race, Of(store.New(f)))
		if f.made < Parallel {
			t.Errorf("the race of %s makes it %d times, want %d", race.name, f.made, Parallel)
		}
		if len(r.message) == 0 {
			t.Errorf("the race of %s passes, though what it has written is lost", race.name)
		}
		for _, m := range r.message {
			if testing.Verbose() {
				t.Log(race.name, m)
			}
		}
	}
}

// TestEachCollectionFailsOnAStoreThatForgets likewise.
func TestEachCollectionFailsOnAStoreThatForgets(t *testing.T) {
	t.Parallel()
	pool := storetest.New(t, storetest.MaxConns(Parallel)).Pool
	leaveBehind(newWorld(t, Of(store.New(pool))))
	for _, c := range collections {
		f := &forgetful{Pool: pool, call: c.call}
		if r := record(t, promise{groups: collecting, test: func(w *world) { c.race(w) }}, Of(store.New(f))); len(r.message) == 0 {
			t.Errorf("the race of %s passes, though what it has deleted is still there", c.call)
		}
		c.race(newWorld(t, Of(store.New(pool))))
	}
}

// redeemsTwice takes a code that comes back for one that wasn't redeemed.
type redeemsTwice struct{ Grants }

func (s redeemsTwice) RedeemAuthorizationCode(ctx context.Context, arg store.RedeemAuthorizationCodeParams) (store.RedeemAuthorizationCodeRow, error) {
	row, err := s.Grants.RedeemAuthorizationCode(ctx, arg)
	if row.Outcome == store.OutcomeReplayed {
		row.Outcome = store.OutcomeRedeemed
	}
	return row, err
}

// losesEndings says that grants have ended, and ends nothing.
type losesEndings struct{ Revocation }

func (losesEndings) RevokeUserAuthorizations(context.Context, store.UserID) (store.Outcome, error) {
	return store.OutcomeEnded, nil
}

// cachesAnswers remembers what it was once told of a token.
type cachesAnswers struct {
	Introspection
	answers sync.Map
}

func (s *cachesAnswers) IntrospectToken(ctx context.Context, arg store.IntrospectTokenParams) (store.IntrospectTokenRow, error) {
	if row, found := s.answers.Load(arg.Token); found {
		return row.(store.IntrospectTokenRow), nil
	}
	row, err := s.Introspection.IntrospectToken(ctx, arg)
	if err == nil {
		s.answers.Store(arg.Token, row)
	}
	return row, err
}

// cachesClients remembers clients for a while, as a server may well do, and so doesn't see that one is disabled.
type cachesClients struct {
	Clients
	answers sync.Map
}

func (s *cachesClients) GetClient(ctx context.Context, id store.ClientID) (store.OAuthClient, error) {
	if c, found := s.answers.Load(id); found {
		return c.(store.OAuthClient), nil
	}
	c, err := s.Clients.GetClient(ctx, id)
	if err == nil {
		s.answers.Store(id, c)
	}
	return c, err
}

func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	right := Of(storetest.New(t, storetest.MaxConns(Parallel)).Store)
	for _, fault := range []struct {
		name string
		make func(s *Store)
		seen []string // by these promises and races, among others
	}{
		{"a code is redeemed twice", func(s *Store) { s.Grants = redeemsTwice{s.Grants} }, []string{
			"a code is redeemed once, whatever the number of callers", "a code that comes back ends its family", "RedeemAuthorizationCode",
		}},
		{"an ending is lost", func(s *Store) { s.Revocation = losesEndings{s.Revocation} }, []string{
			"every ending is seen at once", "RevokeUserAuthorizations",
		}},
		{"introspection is answered from a cache", func(s *Store) { s.Introspection = &cachesAnswers{Introspection: s.Introspection} }, []string{
			"a code that comes back ends its family", "every ending is seen at once", "what is bound to a session ends with it, offline access goes on",
			"a suspended user is granted nothing and nothing comes back",
		}},
		{"a disabled client is answered from a cache", func(s *Store) { s.Clients = &cachesClients{Clients: s.Clients} }, []string{"a change of a client is seen at once"}},
	} {
		s := right
		fault.make(&s)
		for _, name := range fault.seen {
			p := promiseNamed(name)
			if r := record(t, p, right); len(r.message) > 0 {
				t.Errorf("%s, on a store without the fault: %s", name, r.message[0])
			}
			if r := record(t, p, s); len(r.message) == 0 {
				t.Errorf("%s: %q passes", fault.name, name)
			}
		}
	}
}

func promiseNamed(name string) promise {
	for _, p := range slices.Concat(promises, races) {
		if p.name == name {
			return p
		}
	}
	panic(name)
}

// TestGroupsThatAreMissingAreSkipped runs the suite on a store that has a few groups: it skips the promises about others, and nothing else.
func TestGroupsThatAreMissingAreSkipped(t *testing.T) {
	t.Parallel()
	all := Of(storetest.New(t, storetest.MaxConns(Parallel)).Store)
	some := Store{Users: all.Users, Factors: all.Factors}
	var ran []string
	for _, p := range slices.Concat(promises, races) {
		r := record(t, p, some)
		needs := slices.DeleteFunc(strings.Fields(p.groups), func(g string) bool { return g == "Users" || g == "Factors" })
		if r.skipped != (len(needs) > 0) || len(r.message) > 0 {
			t.Errorf("%s needs also %v: skipped %t, failed %v", p.name, needs, r.skipped, r.message)
		}
		if !r.skipped {
			ran = append(ran, p.name)
		}
	}
	if len(ran) != 15 {
		t.Errorf("%d promises ran: %v", len(ran), ran)
	}
}

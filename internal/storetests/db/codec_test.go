package db_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
)

// unknownOID is one that no type of pgx has, as those of enums and domains.
const unknownOID = 4_000_000

// codecOIDs are those whose plans are remembered, and some whose are not.
var codecOIDs = []uint32{
	pgtype.TextOID, pgtype.VarcharOID, pgtype.TextArrayOID, pgtype.TimestamptzOID, pgtype.IntervalOID, pgtype.BoolOID, pgtype.JSONBOID,
	pgtype.Int8OID, pgtype.TimestampOID, pgtype.UUIDOID, pgtype.JSONOID, unknownOID,
}

var bothFormats = []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode}

func registered() *pgtype.Map {
	m := pgtype.NewMap()
	db.RegisterTypes(m)
	return m
}

// columnTypes are the types of all columns that calls of package store return, and a few more.
func columnTypes() []reflect.Type {
	found := []reflect.Type{
		reflect.TypeFor[[]store.UserID](), reflect.TypeFor[[]*string](), reflect.TypeFor[[][]string](), reflect.TypeFor[any](),
		reflect.TypeFor[pgtype.Text](), reflect.TypeFor[pgtype.Array[string]](), reflect.TypeFor[pgtype.Timestamptz](),
		reflect.TypeFor[**time.Time](),
	}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		switch {
		case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
			walk(t.Elem())
		case t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[store.User]().PkgPath():
			for i := range t.NumField() {
				walk(t.Field(i).Type)
			}
		case !slices.Contains(found, t):
			found = append(found, t)
		}
	}
	calls := reflect.TypeFor[store.Querier]()
	for i := range calls.NumMethod() {
		for out := range calls.Method(i).Type.NumOut() - 1 { // before the error
			walk(calls.Method(i).Type.Out(out))
		}
	}
	return found
}

// sources are what a server might send for a type of its own, whole and damaged, and what it can't send.
func sources(t *testing.T, oid uint32, format int16) [][]byte {
	t.Helper()
	found := [][]byte{nil, {}, []byte("x"), []byte("null"), []byte("{a,b}"), []byte("t"), []byte("infinity"), []byte(`{"jkt": "x"}`), []byte(strings.Repeat("ä", 100))}
	values := []any{
		"", "a word", true, false, json.RawMessage(`{"a": [1]}`),
		[]string{},
		[]string{"openid", "", `"`},
		[]*string{nil, new("a")},
		[][]string{{"a"}, {"b"}},
		time.Unix(0, 0), time.Date(2026, 1, 2, 3, 4, 5, 6_000, time.UTC), time.Date(-3000, 1, 1, 0, 0, 0, 0, time.UTC),
		pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true},
		pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true},
		int64(7),
	}
	for _, v := range values {
		b, err := pgtype.NewMap().Encode(oid, format, v, []byte{})
		if err != nil || b == nil {
			continue
		}
		found = append(found, b, append(slices.Clone(b), 0))
		if len(b) > 0 {
			found = append(found, b[:len(b)-1])
		}
	}
	return found
}

func outcome(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// differs scans as pgx scans and with what is registered, into targets of the type, and says in what the results differ.
func differs(stock, m *pgtype.Map, oid uint32, format int16, src []byte, typ reflect.Type) string {
	want, got := reflect.New(typ), reflect.New(typ)
	if plan := stock.PlanScan(oid, format, want.Interface()); src == nil && fmt.Sprintf("%T", plan) == "*pgtype.scanPlanFail" {
		return "" // to scan NULL where nothing else could be, pgx tries the plans of all types, in the order of a map
	}
	wantErr := stock.Scan(oid, format, slices.Clone(src), want.Interface())
	reused := slices.Clone(src)
	err := m.Scan(oid, format, reused, got.Interface())
	for i := range reused {
		reused[i] = '#' // as pgx overwrites its buffer with the next row
	}
	if outcome(err) != outcome(wantErr) || !reflect.DeepEqual(got.Interface(), want.Interface()) {
		return fmt.Sprintf("%q of OID %d in format %d into %s:\ngot  %#v, %v\nwant %#v, %v", src, oid, format, typ, got.Elem(), err, want.Elem(), wantErr)
	}
	return ""
}

// On several connections at once, as they share the plans.
func TestColumnsAreReadAsPgxReadsThem(t *testing.T) {
	t.Parallel()
	types := columnTypes()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			stock, m, n := pgtype.NewMap(), registered(), 0
			for _, oid := range codecOIDs {
				for _, format := range bothFormats {
					for _, src := range sources(t, oid, format) {
						for _, typ := range types {
							if d := differs(stock, m, oid, format, src, typ); d != "" {
								t.Error(d)
							}
							n++
						}
					}
				}
			}
			if n < 10_000 {
				t.Errorf("only %d cases", n)
			}
		})
	}
	all.Wait()
}

// What is damaged is an error here where it is one there, wherever it is damaged.
func TestListsOfTextsAreReadAsPgxReadsThem(t *testing.T) {
	t.Parallel()
	stock, m, typ := pgtype.NewMap(), registered(), reflect.TypeFor[[]string]()
	two := pgtype.ArrayDimension{Length: 2, LowerBound: 1}
	square := pgtype.Array[string]{Elements: []string{"a", "b", "c", "d"}, Dims: []pgtype.ArrayDimension{two, two}, Valid: true}
	for _, list := range []any{[]string{}, []string{""}, []string{"a", "", "ä", strings.Repeat("x", 300)}, []*string{new("a"), nil}, square} {
		whole, err := stock.Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, list, []byte{})
		if err != nil {
			t.Fatal(err)
		}
		damaged := [][]byte{append(slices.Clone(whole), 0)}
		for i := range whole {
			damaged = append(damaged, whole[:i])
			for _, b := range []byte{0, 1, 2, 127, 255} {
				other := slices.Clone(whole)
				other[i] = b
				damaged = append(damaged, other)
			}
		}
		for _, src := range damaged {
			if d := differs(stock, m, pgtype.TextArrayOID, pgtype.BinaryFormatCode, src, typ); d != "" {
				t.Error(d)
			}
		}
	}
}

// Each enum that a call returns is a TextScanner, which reads the words and refuses NULL, on any connection.
func TestWordsAreReadWithoutAPlanOfTheirOwn(t *testing.T) {
	t.Parallel()
	m, n := pgtype.NewMap(), 0
	for _, typ := range columnTypes() {
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		target := reflect.New(typ)
		if _, isEnum := target.Interface().(sql.Scanner); !isEnum || typ.Kind() != reflect.String {
			continue
		}
		n++
		if _, ok := target.Interface().(pgtype.TextScanner); !ok {
			t.Errorf("%s is no TextScanner: see store/enums.go", typ)
			continue
		}
		for _, format := range bothFormats {
			if err := m.Scan(unknownOID, format, []byte("active"), target.Interface()); err != nil || target.Elem().String() != "active" {
				t.Errorf("%s in format %d: %q, %v", typ, format, target.Elem(), err)
			}
			if err := m.Scan(unknownOID, format, nil, target.Interface()); err == nil {
				t.Errorf("%s in format %d: NULL is read as %q", typ, format, target.Elem())
			}
		}
	}
	if n < 2 {
		t.Errorf("only %d enums", n)
	}
}

// What is in a target must not show in what is scanned into the next.
func TestAPlanServesEveryTargetOfItsType(t *testing.T) {
	t.Parallel()
	m := registered()
	a, b := new(store.UserID("before")), (*store.UserID)(nil)
	for _, src := range [][]byte{[]byte("usr_1"), nil, []byte("usr_2")} {
		for _, target := range []**store.UserID{&a, &b} {
			if err := m.Scan(pgtype.TextOID, pgtype.TextFormatCode, src, target); err != nil {
				t.Fatal(err)
			}
			if got := *target; (got == nil) != (src == nil) || got != nil && string(*got) != string(src) {
				t.Errorf("%q: got %v", src, got)
			}
		}
	}
	if a == b {
		t.Error("both targets point at one identifier")
	}
}

// The formats on the wire are those that pgx prefers, so that nothing but the client's work differs.
func TestFormatsOnTheWireStay(t *testing.T) {
	t.Parallel()
	m, stock := registered(), pgtype.NewMap()
	for _, oid := range codecOIDs {
		if got, want := m.FormatCodeForOID(oid), stock.FormatCodeForOID(oid); got != want {
			t.Errorf("OID %d: format %d, want %d", oid, got, want)
		}
	}
}

func TestIntrospectionIsTheSameInEachModeAndWithoutTheTypes(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	digest := grantToken(t, d.Store)
	plain, err := pgx.Connect(t.Context(), d.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close(context.WithoutCancel(t.Context()))
	want, err := store.New(plain).IntrospectAccessToken(t.Context(), asServer(digest))
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Scopes) != 4 || len(want.AMR) != 1 || want.UserID == nil || want.SessionID == nil || want.AuthorizationID == nil ||
		want.RefreshID == nil || want.Username == nil || want.ExpiresAt == nil || want.AuthTime == nil {
		t.Fatalf("the row is %+v", want)
	}
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		pool := openPool(t, withParam(t, d.URL, "default_query_exec_mode", mode), db.Options{})
		for range 2 { // the second time from the caches
			if got, err := store.New(pool).IntrospectAccessToken(t.Context(), asServer(digest)); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v\ngot  %+v\nwant %+v", mode, err, got, want)
			}
		}
	}
}

// A connection prepares a statement once, and from the sixth time on the server doesn't plan it anew for the values that come with it.
func TestTheServerKeepsThePlansOfAConnection(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	digest := grantToken(t, d.Store)
	pool := openPool(t, d.URL, db.Options{MaxConns: 1})
	queries := store.New(pool)
	for range 8 {
		row, err := queries.IntrospectAccessToken(t.Context(), asServer(digest))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := queries.GetClient(t.Context(), *row.ClientID); err != nil {
			t.Fatal(err)
		}
	}
	for _, call := range []string{"IntrospectAccessToken", "GetClient"} {
		custom := scalar[int64](t, pool, `SELECT custom_plans FROM pg_prepared_statements WHERE statement LIKE '-- name: `+call+` %'`)
		kept := scalar[int64](t, pool, `SELECT generic_plans FROM pg_prepared_statements WHERE statement LIKE '-- name: `+call+` %'`)
		if custom != 5 || kept != 3 {
			t.Errorf("%s was planned %d times, and %d times by the plan that is kept, want 5 and 3", call, custom, kept)
		}
	}
}

func TestWhatACallReturnedOutlivesTheNextOnItsConnection(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	digest := grantToken(t, d.Store)
	pool := openPool(t, d.URL, db.Options{MaxConns: 1})
	queries := store.New(pool)
	row, err := queries.IntrospectAccessToken(t.Context(), asServer(digest))
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf("%+v %s %s %s %s %s %v", row, *row.UserID, *row.SessionID, *row.AuthorizationID, *row.RefreshID, *row.Username, *row.AuthTime)
	for range 100 {
		scalar[string](t, pool, `SELECT repeat('#', 8000)`)
	}
	after := fmt.Sprintf("%+v %s %s %s %s %s %v", row, *row.UserID, *row.SessionID, *row.AuthorizationID, *row.RefreshID, *row.Username, *row.AuthTime)
	if before != after {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}

func TestOpenConfigRegistersTheTypesBeforeTheCallersHook(t *testing.T) {
	t.Parallel()
	config, err := db.ParseConfig(storetest.New(t).URL, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	called := 0
	var refuse error
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		called++
		text, ok := conn.TypeMap().TypeForOID(pgtype.TextOID)
		if !ok || reflect.TypeOf(text.Codec) == reflect.TypeFor[pgtype.TextCodec]() {
			t.Error("the types are not registered")
		}
		return refuse
	}
	hook := config.AfterConnect
	for range 2 {
		called = 0
		pool, err := db.OpenConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		pool.Close()
		if called != 1 {
			t.Errorf("the hook was called %d times for one connection", called)
		}
		if reflect.ValueOf(config.AfterConnect).Pointer() != reflect.ValueOf(hook).Pointer() {
			t.Error("OpenConfig altered the config that it was given")
		}
	}
	refuse = errors.New("refused")
	if pool, err := db.OpenConfig(t.Context(), config); !errors.Is(err, refuse) {
		t.Errorf("error is %v", err)
		if err == nil {
			pool.Close()
		}
	}
}

package db_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

// unknownOID is one that no type of pgx has, as those of enums and domains.
const unknownOID = 4_000_000

// codecOIDs are those that have a codec of this package, and some that have not.
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

// storeTypes are the types of all parameters that calls of package store have, and of all columns that they return.
func storeTypes() (params, columns map[reflect.Type]bool) {
	params, columns = map[reflect.Type]bool{}, map[reflect.Type]bool{}
	var walk func(found map[reflect.Type]bool, t reflect.Type)
	walk = func(found map[reflect.Type]bool, t reflect.Type) {
		switch {
		case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
			walk(found, t.Elem())
		case t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[store.User]().PkgPath():
			for i := range t.NumField() {
				walk(found, t.Field(i).Type)
			}
		default:
			found[t] = true
		}
	}
	calls := reflect.TypeFor[store.Querier]()
	for i := range calls.NumMethod() {
		call := calls.Method(i).Type
		for i := 1; i < call.NumIn(); i++ { // after the context
			walk(params, call.In(i))
		}
		for i := range call.NumOut() - 1 { // before the error
			walk(columns, call.Out(i))
		}
	}
	return params, columns
}

// oidOf is the type that the server has for a Go type of package store.
func oidOf(t reflect.Type) uint32 {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[[]string]():
		return pgtype.TextArrayOID
	case reflect.TypeFor[time.Time]():
		return pgtype.TimestamptzOID
	case reflect.TypeFor[time.Duration]():
		return pgtype.IntervalOID
	case reflect.TypeFor[bool]():
		return pgtype.BoolOID
	case reflect.TypeFor[int32]():
		return pgtype.Int4OID
	case reflect.TypeFor[int64]():
		return pgtype.Int8OID
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[token.Confirmation]():
		return pgtype.JSONBOID
	}
	if _, enum := reflect.New(t).Interface().(interface{ Valid() bool }); enum && t != reflect.TypeFor[token.Digest]() {
		return unknownOID
	}
	return pgtype.TextOID
}

func TestEveryTypeOfTheStoreHasAFastPlan(t *testing.T) {
	t.Parallel()
	m := registered()
	ours := reflect.TypeFor[db.Options]().PkgPath()
	params, columns := storeTypes()
	check := func(kind string, found map[reflect.Type]bool, others map[reflect.Type]string, plan func(reflect.Type) any) {
		for typ := range found {
			p := reflect.TypeOf(plan(typ))
			if p.Kind() == reflect.Pointer {
				p = p.Elem()
			}
			if fast, why := p.PkgPath() == ours, others[typ]; fast == (why != "") {
				t.Errorf("%s %s: the plan is %s, fast %t, but the test has %q for it", kind, typ, p, fast, why)
			}
		}
		for typ := range others {
			if !found[typ] {
				t.Errorf("%s %s: no call has it", kind, typ)
			}
		}
	}

	const static = "pgx has a plan that costs nothing"
	check("column", columns, map[reflect.Type]string{
		reflect.TypeFor[string]():       static,
		reflect.TypeFor[token.Digest](): static,
		reflect.TypeFor[bool]():         static,
		reflect.TypeFor[int64]():        static,
	}, func(typ reflect.Type) any {
		oid := oidOf(typ)
		return m.PlanScan(oid, m.FormatCodeForOID(oid), reflect.New(typ).Interface())
	})
	check("parameter", params, map[reflect.Type]string{
		reflect.TypeFor[string]():              static,
		reflect.TypeFor[token.Digest]():        static,
		reflect.TypeFor[*token.Digest]():       static,
		reflect.TypeFor[bool]():                static,
		reflect.TypeFor[int32]():               static,
		reflect.TypeFor[json.RawMessage]():     static,
		reflect.TypeFor[*token.Confirmation](): "it is marshalled, and seldom there",
		reflect.TypeFor[*int64]():              "only the collector has one",
	}, func(typ reflect.Type) any {
		oid := oidOf(typ)
		v := reflect.New(typ).Elem()
		if typ.Kind() == reflect.Pointer {
			v = reflect.New(typ.Elem())
		}
		if plan := m.PlanEncode(oid, m.FormatCodeForOID(oid), v.Interface()); typ.Kind() != reflect.String || oid != pgtype.TextOID {
			return plan
		}
		return m.PlanEncode(unknownOID, pgtype.TextFormatCode, v.Interface()) // a parameter that is an identifier has a domain
	})
}

// someText is a string, mostly short; some are what arrays or JSON have to quote.
var someText = rapid.OneOf(
	rapid.StringN(0, 20, 60),
	rapid.StringMatching(`[A-Za-z0-9_]{0,70}`),
	rapid.SampledFrom([]string{"", "null", "NULL", `"`, `\`, "{}", "{a,b}", "a b", "fresh", "rotated", "pending", "t", "f", "1", "12:00:00", "infinity"}),
)

var someTime = rapid.Custom(func(t *rapid.T) time.Time {
	const year = 365 * 24 * 3600
	when := time.Unix(rapid.Int64Range(-20_000*year, 300_000*year).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
	return when.In(rapid.SampledFrom([]*time.Location{time.UTC, time.Local, time.FixedZone("", 20_700)}).Draw(t, "zone"))
})

// value draws one of a type that package store has.
func value(t *rapid.T, typ reflect.Type) reflect.Value {
	v := reflect.New(typ).Elem()
	switch typ {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(someTime.Draw(t, "time")))
		return v
	case reflect.TypeFor[token.Digest]():
		if rapid.Bool().Draw(t, "valid") {
			v.SetString(string(token.DigestOf(someText.Draw(t, "credential"))))
			return v
		}
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes(rapid.SampledFrom([][]byte{nil, {}, []byte(`null`), []byte(`{"a": 1}`), []byte(`[`)}).Draw(t, "json"))
		return v
	}
	switch typ.Kind() {
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.New(typ.Elem()))
			v.Elem().Set(value(t, typ.Elem()))
		}
	case reflect.Slice:
		if rapid.Bool().Draw(t, "set") {
			n := rapid.IntRange(0, 5).Draw(t, "n")
			v.Set(reflect.MakeSlice(typ, n, n))
			for i := range n {
				v.Index(i).Set(value(t, typ.Elem()))
			}
		}
	case reflect.Struct:
		for i := range typ.NumField() {
			v.Field(i).Set(value(t, typ.Field(i).Type))
		}
	case reflect.String:
		v.SetString(someText.Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	default:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	}
	return v
}

// sorted makes what rapid draws from the same in each run.
func sorted(types map[reflect.Type]bool) []reflect.Type {
	return slices.SortedFunc(maps.Keys(types), func(a, b reflect.Type) int { return strings.Compare(a.String(), b.String()) })
}

func outcome(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParametersAreWrittenAsPgxWritesThem(t *testing.T) {
	t.Parallel()
	params, columns := storeTypes()
	maps.Copy(params, columns) // nobody may notice which of them they are
	types := sorted(params)
	types = append(types, reflect.TypeFor[[]store.UserID](), reflect.TypeFor[[]*string](), reflect.TypeFor[[]time.Time]())
	rapid.Check(t, func(t *rapid.T) {
		v := value(t, rapid.SampledFrom(types).Draw(t, "type")).Interface()
		oid, format := rapid.SampledFrom(append(codecOIDs, 0)).Draw(t, "oid"), rapid.SampledFrom(bothFormats).Draw(t, "format")
		want, wantErr := pgtype.NewMap().Encode(oid, format, v, []byte("before"))
		got, err := registered().Encode(oid, format, v, []byte("before"))
		if !reflect.DeepEqual(got, want) || outcome(err) != outcome(wantErr) {
			t.Fatalf("%T for OID %d in format %d:\ngot  %q, %v\nwant %q, %v", v, oid, format, got, err, want, wantErr)
		}
	})
}

// someBytes is what a server might send for a type, whole or damaged, or might not.
func someBytes(t *rapid.T, oid uint32, format int16) []byte {
	var b []byte
	typ := map[uint32]reflect.Type{
		pgtype.TextArrayOID:   reflect.TypeFor[[]string](),
		pgtype.TimestamptzOID: reflect.TypeFor[time.Time](),
		pgtype.TimestampOID:   reflect.TypeFor[time.Time](),
		pgtype.IntervalOID:    reflect.TypeFor[time.Duration](),
		pgtype.BoolOID:        reflect.TypeFor[bool](),
		pgtype.JSONBOID:       reflect.TypeFor[token.Confirmation](),
		pgtype.Int8OID:        reflect.TypeFor[int64](),
	}[oid]
	switch kind := rapid.SampledFrom([]string{"value", "NULL", "text", "bytes", "edge", "matrix"}).Draw(t, "kind"); {
	case kind == "NULL":
		return nil
	case kind == "text":
		b = []byte(someText.Draw(t, "src"))
	case kind == "bytes":
		b = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "src")
	case kind == "edge" && oid == pgtype.TimestamptzOID && format == pgtype.BinaryFormatCode:
		edge := rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, -211_813_488_000_000_000, 9_223_371_331_200_000_000, 0}).Draw(t, "edge")
		b = binary.BigEndian.AppendUint64(nil, uint64(edge+rapid.Int64Range(-1, 1).Draw(t, "beside")))
	case kind == "matrix" && oid == pgtype.TextArrayOID:
		matrix := pgtype.Array[*string]{Valid: true, Dims: []pgtype.ArrayDimension{{Length: 2, LowerBound: 3}, {Length: 1, LowerBound: 1}}}
		if rapid.Bool().Draw(t, "one") {
			matrix.Dims = matrix.Dims[:1]
		}
		matrix.Elements = []*string{new("a"), new(someText.Draw(t, "element"))}
		if rapid.Bool().Draw(t, "NULL") {
			matrix.Elements[0] = nil
		}
		b, _ = pgtype.NewMap().Encode(oid, format, matrix, []byte{})
	case typ == nil:
		b = []byte(someText.Draw(t, "src"))
	default:
		b, _ = pgtype.NewMap().Encode(oid, format, value(t, typ).Interface(), []byte{})
	}
	switch rapid.SampledFrom([]string{"whole", "whole", "cut", "longer", "changed"}).Draw(t, "damage") {
	case "cut":
		b = b[:rapid.IntRange(0, len(b)).Draw(t, "cut")]
	case "longer":
		b = append(b, rapid.Byte().Draw(t, "more"))
	case "changed":
		if len(b) > 0 {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
	}
	return b
}

func TestColumnsAreReadAsPgxReadsThem(t *testing.T) {
	t.Parallel()
	params, columns := storeTypes()
	maps.Copy(columns, params)
	types := sorted(columns)
	types = append(types, reflect.TypeFor[[]store.UserID](), reflect.TypeFor[[]*string](), reflect.TypeFor[any](), reflect.TypeFor[pgtype.Text](),
		reflect.TypeFor[pgtype.Array[string]](), reflect.TypeFor[pgtype.Timestamptz](), reflect.TypeFor[store.NullTokenKind]())
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(types).Draw(t, "type")
		oid, format := rapid.SampledFrom(codecOIDs).Draw(t, "oid"), rapid.SampledFrom(bothFormats).Draw(t, "format")
		if own := oidOf(typ); rapid.Bool().Draw(t, "fit") && slices.Contains(codecOIDs, own) {
			oid = own
		}
		before := reflect.Zero(typ)
		if typ.PkgPath() != "github.com/jackc/pgx/v5/pgtype" && typ.Kind() != reflect.Interface && typ.Kind() != reflect.Struct {
			before = value(t, typ)
		}
		sameScan(t, oid, format, someBytes(t, oid, format), before)
	})
}

// sameScan fails the test unless src is scanned as pgx scans it, into a target that holds before.
func sameScan(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, oid uint32, format int16, src []byte, before reflect.Value,
) {
	t.Helper()
	want, got := reflect.New(before.Type()), reflect.New(before.Type())
	want.Elem().Set(before)
	got.Elem().Set(before)
	stock := pgtype.NewMap()
	if plan := stock.PlanScan(oid, format, want.Interface()); src == nil && fmt.Sprintf("%T", plan) == "*pgtype.scanPlanFail" {
		return // to scan NULL where nothing else could be, pgx tries the plans of all types, in the order of a map
	}
	wantErr := stock.Scan(oid, format, slices.Clone(src), want.Interface())
	reused := slices.Clone(src)
	err := registered().Scan(oid, format, reused, got.Interface())
	for i := range reused {
		reused[i] = '#' // as pgx overwrites its buffer with the next row
	}
	if outcome(err) != outcome(wantErr) {
		t.Fatalf("%q of OID %d in format %d into %s: error\n%v, want\n%v", src, oid, format, got.Type(), err, wantErr)
	}
	if !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Fatalf("%q of OID %d in format %d into %s:\ngot  %#v\nwant %#v", src, oid, format, got.Type(), got.Elem(), want.Elem())
	}
}

// Where a plan has to decide between two ways, both sides of the border.
func TestColumnsAtTheBordersAreReadAsPgxReadsThem(t *testing.T) {
	t.Parallel()
	for n := range 130 {
		sameScan(t, pgtype.TextOID, pgtype.TextFormatCode, []byte(strings.Repeat("ä", n))[:n], reflect.Zero(reflect.TypeFor[*store.UserID]()))
	}
	for _, us := range []int64{
		math.MinInt64, -211_813_488_000_000_001, -211_813_488_000_000_000, -1, 0, 1,
		9_223_371_331_199_999_999, 9_223_371_331_200_000_000, math.MaxInt64,
	} {
		src := binary.BigEndian.AppendUint64(nil, uint64(us))
		sameScan(t, pgtype.TimestamptzOID, pgtype.BinaryFormatCode, src, reflect.Zero(reflect.TypeFor[time.Time]()))
		sameScan(t, pgtype.TimestamptzOID, pgtype.BinaryFormatCode, src, reflect.Zero(reflect.TypeFor[*time.Time]()))
	}
	for _, src := range []string{"", "null", " null", "{}", "{", "[]", "1", `{"jkt": "x"}`, `{"jkt": 1, "x5t#S256": "y"}`} {
		for _, before := range []any{json.RawMessage("[2]"), &token.Confirmation{JKT: "before"}} {
			for _, format := range bothFormats {
				sameScan(t, pgtype.JSONBOID, format, []byte(src), reflect.ValueOf(before))
				sameScan(t, pgtype.JSONBOID, format, []byte("\x01"+src), reflect.ValueOf(before))
			}
		}
	}
}

// Who encodes with a plan, and not with the map, may give it a nil.
func TestNilIsNULLToEachPlan(t *testing.T) {
	t.Parallel()
	params, _ := storeTypes()
	m, tried := registered(), 0
	for typ := range params {
		if typ.Kind() != reflect.Pointer && typ.Kind() != reflect.Slice {
			continue
		}
		null, oid := reflect.Zero(typ).Interface(), oidOf(typ)
		plan := m.PlanEncode(oid, m.FormatCodeForOID(oid), null)
		if reflect.TypeOf(plan).PkgPath() != reflect.TypeFor[db.Options]().PkgPath() {
			continue
		}
		tried++
		if got, err := plan.Encode(null, []byte("before")); got != nil || err != nil {
			t.Errorf("%s: %q, %v", typ, got, err)
		}
	}
	if tried == 0 {
		t.Error("no plan was tried")
	}
}

func FuzzTextArray(f *testing.F) {
	for _, texts := range [][]*string{{}, {new("")}, {new("openid"), new("email")}, {new("a"), nil}} {
		b, err := pgtype.NewMap().Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, texts, nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, 0))
	}
	f.Add(make([]byte, 12)) // what PostgreSQL sends for '{}': no dimension
	f.Add(make([]byte, 13))
	numbers := func(n ...uint32) (b []byte) {
		for _, n := range n {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	f.Add(numbers(1, 0, 25, 1<<31, 1))         // fewer than none
	f.Add(numbers(1, 0, 25, 1<<31-1, 1, 0))    // more than there can be
	f.Add(numbers(2, 0, 25, 1, 1, 4, 1))       // the second dimension looks like an element
	f.Add(numbers(2, 0, 25, 1, 1, 2, 1, 0, 0)) // a matrix
	m, stock := registered(), pgtype.NewMap()
	f.Fuzz(func(t *testing.T, src []byte) {
		var got, want []string
		err := m.Scan(pgtype.TextArrayOID, pgtype.BinaryFormatCode, src, &got)
		wantErr := stock.Scan(pgtype.TextArrayOID, pgtype.BinaryFormatCode, src, &want)
		if outcome(err) != outcome(wantErr) || !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, %v, want %#v, %v", got, err, want, wantErr)
		}
	})
}

// What the properties can't draw: no target at all.
func TestATargetThatIsNilIsAnErrorWhereItIsToPgx(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		oid    uint32
		target any
	}{
		{pgtype.TextOID, (**store.UserID)(nil)},
		{pgtype.TextOID, (**string)(nil)},
		{unknownOID, (**store.RevocationReason)(nil)},
		{pgtype.TimestamptzOID, (**time.Time)(nil)},
		{pgtype.BoolOID, (**bool)(nil)},
	} {
		for _, src := range [][]byte{nil, []byte("x")} {
			want := pgtype.NewMap().Scan(c.oid, pgtype.NewMap().FormatCodeForOID(c.oid), src, c.target)
			if got := registered().Scan(c.oid, pgtype.NewMap().FormatCodeForOID(c.oid), src, c.target); want == nil || outcome(got) != outcome(want) {
				t.Errorf("%q into a nil %T: %v, want %v", src, c.target, got, want)
			}
		}
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
	want, err := store.New(plain).IntrospectAccessToken(t.Context(), digest)
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
			if got, err := store.New(pool).IntrospectAccessToken(t.Context(), digest); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v\ngot  %+v\nwant %+v", mode, err, got, want)
			}
		}
	}
}

func TestWhatACallReturnedOutlivesTheNextOnItsConnection(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	digest := grantToken(t, d.Store)
	pool := openPool(t, d.URL, db.Options{MaxConns: 1})
	queries := store.New(pool)
	row, err := queries.IntrospectAccessToken(t.Context(), digest)
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

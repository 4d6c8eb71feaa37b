package db

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/oauthdb/oauthdb/token"
)

// RegisterTypes makes a connection remember how it scans the columns of package store. m is the connection's type map. [Open]
// and [OpenConfig] call it for every connection of their pools, before the AfterConnect of the config. A caller that opens
// connections in another way calls it with [pgx.Conn.TypeMap] before the first query.
//
// Values and errors stay the same. pgx plans the scan of each column anew for each result, by reflection if the Go type is a
// pointer or a slice; that is nearly half of what a row of introspection allocates. RegisterTypes keeps pgx's own plans, one
// for each Go type. A []string gets the text of all its elements as one string. As always, a type that is registered later
// replaces an earlier one.
func RegisterTypes(m *pgtype.Map) { m.RegisterTypes(remembering) }

var remembering = func() (types []*pgtype.Type) {
	stock := pgtype.NewMap()
	for _, oid := range []uint32{
		pgtype.TextOID, pgtype.TextArrayOID, pgtype.TimestamptzOID, pgtype.IntervalOID, pgtype.BoolOID, pgtype.Int8OID, pgtype.JSONBOID,
	} {
		t, _ := stock.TypeForOID(oid)
		types = append(types, &pgtype.Type{Name: t.Name, OID: oid, Codec: &rememberingCodec{Codec: t.Codec}})
	}
	return types
}()

// rememberingCodec keeps the plans of a type of the server. All connections share it.
type rememberingCodec struct {
	pgtype.Codec
	plans [2]sync.Map // by format: the type of the target -> its plan, or nil if it isn't to be kept
}

// PlanScan implements [pgtype.Codec]. What it returns for a target that the codec itself doesn't know is a plan of the whole map.
func (c *rememberingCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if !c.FormatSupported(format) {
		return c.Codec.PlanScan(m, oid, format, target)
	}
	typ := reflect.TypeOf(target)
	known, ok := c.plans[format].Load(typ)
	if !ok {
		if canRemember(typ) {
			plan := pgtype.NewMap().PlanScan(oid, format, target) // of a map of its own, which nobody writes to
			if oid == pgtype.TextArrayOID && format == pgtype.BinaryFormatCode && typ == reflect.TypeFor[*[]string]() {
				plan = textsPlan{plan}
			}
			known = plan
		}
		known, _ = c.plans[format].LoadOrStore(typ, known)
	}
	if known == nil {
		return c.Codec.PlanScan(m, oid, format, target)
	}
	return known.(pgtype.ScanPlan)
}

// canRemember reports whether the plan for a target depends on nothing but its type, and scans without writing to anything that
// connections share: strings, booleans, numbers, instants, durations, []string and JSON, and pointers to them.
func canRemember(typ reflect.Type) bool {
	for ; typ != nil && typ.Kind() == reflect.Pointer; typ = typ.Elem() {
		if typ.Implements(reflect.TypeFor[sql.Scanner]()) && !typ.Implements(reflect.TypeFor[pgtype.TextScanner]()) {
			return false
		}
	}
	switch typ {
	case nil:
		return false
	case reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[int64](), reflect.TypeFor[[]string](),
		reflect.TypeFor[json.RawMessage](), reflect.TypeFor[token.Confirmation]():
		return true
	}
	return typ.Kind() == reflect.String || typ.Kind() == reflect.Bool
}

// textsPlan scans a text[] into a []string by two allocations: one for the slice, and one for the text of all elements, which keep each
// other in memory. What isn't a list of texts, or is malformed, is left to pgx's own plan.
type textsPlan struct{ pgtype.ScanPlan }

// Scan implements [pgtype.ScanPlan].
func (p textsPlan) Scan(src []byte, target any) error {
	// dimensions, flags, type of the elements; of the one dimension, the number of elements and the index of the first
	const header, length = 5 * 4, 4
	to, ok := target.(*[]string)
	if !ok || len(src) < header || binary.BigEndian.Uint32(src) != 1 {
		return p.ScanPlan.Scan(src, target)
	}
	n := int64(binary.BigEndian.Uint32(src[3*4:]))
	src, whole := src[header:], src
	if n*length > int64(len(src)) {
		return p.ScanPlan.Scan(whole, target)
	}
	texts, all, at := make([]string, n), string(src), 0
	for i := range texts {
		if len(src)-at < length {
			return p.ScanPlan.Scan(whole, target)
		}
		size := int64(binary.BigEndian.Uint32(src[at:])) // of NULL, more than there is
		if at += length; size > int64(len(src)-at) {
			return p.ScanPlan.Scan(whole, target)
		}
		texts[i] = all[at : at+int(size)]
		at += int(size)
	}
	if at != len(src) {
		return p.ScanPlan.Scan(whole, target)
	}
	*to = texts
	return nil
}

package db

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"time"
	"unsafe"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// RegisterTypes makes the types of package store cheap to read and to write on the connection that m belongs to. [Open] and
// [OpenConfig] do it for every connection of their pools, before the AfterConnect of the config; it is here for a caller who
// opens connections in another way, to be called with [pgx.Conn.TypeMap] before the first query.
//
// Every value and every error is what it is without. What goes away is that pgx plans the scan of every column anew for every
// result, by reflection where it doesn't know the Go type: the larger part of what a call costs the client. The plans here are
// made once, for the types that package store uses with text, varchar, text[], timestamptz, interval, boolean and jsonb; for all
// others, and for what is malformed or out of range, pgx's own are asked. A type that is registered later replaces the one
// that is registered here, as always.
//
// One thing differs, far from package store: CopyFrom into a text[] column flattens an array of several dimensions if it is given
// as the text of the array, '{{a},{b}}', in a Go string.
func RegisterTypes(m *pgtype.Map) {
	text := &pgtype.Type{Name: "text", OID: pgtype.TextOID, Codec: textCodec{}}
	m.RegisterTypes([]*pgtype.Type{
		text,
		{Name: "varchar", OID: pgtype.VarcharOID, Codec: textCodec{}},
		{Name: "_text", OID: pgtype.TextArrayOID, Codec: textArrayCodec{&pgtype.ArrayCodec{ElementType: text}}},
		{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: timestamptzCodec{&pgtype.TimestamptzCodec{}}},
		{Name: "interval", OID: pgtype.IntervalOID, Codec: intervalCodec{}},
		{Name: "bool", OID: pgtype.BoolOID, Codec: boolCodec{}},
		{Name: "jsonb", OID: pgtype.JSONBOID, Codec: jsonbCodec{&pgtype.JSONBCodec{Marshal: json.Marshal, Unmarshal: json.Unmarshal}}},
	})
	for _, v := range textPlans.unknown {
		m.RegisterDefaultPgType(v, "text")
	}
}

// registerFirst has a pool register the types on each of its connections, before the caller's hook.
func registerFirst(config *pgxpool.Config) {
	next := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		RegisterTypes(conn.TypeMap())
		if next == nil {
			return nil
		}
		return next(ctx, conn)
	}
}

// stock scans as pgx does where nothing is registered. The plans below leave to it what is rare, most of all what is an error, so
// that there is no second opinion on it.
func stock(oid uint32, format int16, src []byte, dst any) error {
	return pgtype.NewMap().Scan(oid, format, src, dst)
}

// plans are those for one type of the server, by the type of the Go value or target. They hold no state: to find one
// allocates nothing.
type plans struct {
	scan   map[reflect.Type]pgtype.ScanPlan
	encode map[reflect.Type]pgtype.EncodePlan

	// Values of the types that come with an OID that pgx doesn't know, because it differs from one database to the next: it
	// is that of an enum, or, for a parameter, of a domain. To pgx those are then text, of which it has only the text format.
	unknown []any
}

var textPlans = func() plans {
	p := plans{map[reflect.Type]pgtype.ScanPlan{}, map[reflect.Type]pgtype.EncodePlan{}, nil}
	addID[store.UserID](&p)
	addID[store.SessionID](&p)
	addID[store.AccountID](&p)
	addID[store.ReferenceID](&p)
	addID[store.OAuthClientID](&p)
	addID[store.ClientID](&p)
	addID[store.AuthorizationID](&p)
	addID[store.AccessTokenID](&p)
	addID[store.RefreshTokenID](&p)
	addID[store.ConsentID](&p)
	addID[store.SigningKeyID](&p)

	addEnum(&p, store.AllAssertionOutcomeValues())
	addEnum(&p, store.AllAuthorizationStatusValues())
	addEnum(&p, store.AllCodeOutcomeValues())
	addEnum(&p, store.AllDecisionOutcomeValues())
	addEnum(&p, store.AllGrantOutcomeValues())
	addEnum(&p, store.AllIssuanceOutcomeValues())
	addEnum(&p, store.AllRedemptionOutcomeValues())
	addEnum(&p, store.AllRevocationReasonValues())
	addEnum(&p, store.AllRotationOutcomeValues())
	addEnum(&p, store.AllTokenKindValues())

	// pgx has plans of its own for string, and for Digest because of its methods: only those refuse to write what is none.
	p.scan[reflect.TypeFor[**string]()] = scanNullText[string]{}
	p.encode[reflect.TypeFor[*string]()] = encodeNullText[string]{}
	p.scan[reflect.TypeFor[**token.Digest]()] = scanNullText[token.Digest]{}
	return p
}()

func addID[T ~string](p *plans) {
	p.scan[reflect.TypeFor[*T]()] = scanText[T]{}
	p.scan[reflect.TypeFor[**T]()] = scanNullText[T]{}
	p.encode[reflect.TypeFor[T]()] = encodeText[T]{}
	p.encode[reflect.TypeFor[*T]()] = encodeNullText[T]{}
	p.unknown = append(p.unknown, *new(T), (*T)(nil))
}

func addEnum[T ~string](p *plans, values []T) {
	words := make(map[string]T, len(values))
	for _, v := range values {
		words[string(v)] = v
	}
	p.scan[reflect.TypeFor[*T]()] = scanEnum[T]{words}
	p.scan[reflect.TypeFor[**T]()] = scanNullEnum[T]{words}
	p.encode[reflect.TypeFor[T]()] = encodeText[T]{}
	p.encode[reflect.TypeFor[*T]()] = encodeNullText[T]{}
	p.unknown = append(p.unknown, *new(T), (*T)(nil), (**T)(nil))
}

// textCodec is for text and what is written like it: both formats are the bytes of the string.
type textCodec struct{ pgtype.TextCodec }

func (c textCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if plan, ok := textPlans.scan[reflect.TypeOf(target)]; ok && c.FormatSupported(format) {
		return plan
	}
	return c.TextCodec.PlanScan(m, oid, format, target)
}

func (c textCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if plan, ok := textPlans.encode[reflect.TypeOf(value)]; ok && c.FormatSupported(format) {
		return plan
	}
	return c.TextCodec.PlanEncode(m, oid, format, value)
}

type scanText[T ~string] struct{}

func (scanText[T]) Scan(src []byte, dst any) error {
	if src == nil {
		return stock(pgtype.TextOID, pgtype.TextFormatCode, src, dst)
	}
	*dst.(*T) = T(src)
	return nil
}

type scanNullText[T ~string] struct{}

func (scanNullText[T]) Scan(src []byte, dst any) error {
	p := dst.(**T)
	if p == nil {
		return stock(pgtype.TextOID, pgtype.TextFormatCode, src, dst)
	}
	if src == nil {
		*p = nil
		return nil
	}
	*p = newText[T](src)
	return nil
}

// newText returns a new T that holds a copy of b. The bytes of a short one stand behind it in the same object, which takes
// the room of the two that it replaces.
func newText[T ~string](b []byte) *T {
	switch n := len(b); {
	case n == 0:
		return new(T)
	case n <= 16:
		o := new(struct {
			text  T
			bytes [16]byte
		})
		o.text = T(unsafe.String(&o.bytes[0], copy(o.bytes[:], b))) // nothing else refers to bytes
		return &o.text
	case n <= 32:
		o := new(struct {
			text  T
			bytes [32]byte
		})
		o.text = T(unsafe.String(&o.bytes[0], copy(o.bytes[:], b)))
		return &o.text
	case n <= 48: // identifiers made by package store have 36, digests 43
		o := new(struct {
			text  T
			bytes [48]byte
		})
		o.text = T(unsafe.String(&o.bytes[0], copy(o.bytes[:], b)))
		return &o.text
	}
	return new(T(b))
}

type encodeText[T ~string] struct{}

func (encodeText[T]) Encode(value any, buf []byte) ([]byte, error) {
	return append(buf, value.(T)...), nil
}

type encodeNullText[T ~string] struct{}

func (encodeNullText[T]) Encode(value any, buf []byte) ([]byte, error) {
	p := value.(*T)
	if p == nil {
		return nil, nil
	}
	return append(buf, *p...), nil
}

// scanEnum knows the words of an enum, and makes none of them anew.
type scanEnum[T ~string] struct{ words map[string]T }

func (s scanEnum[T]) word(src []byte) T {
	if w, ok := s.words[string(src)]; ok {
		return w
	}
	return T(src) // of a newer schema
}

func (s scanEnum[T]) Scan(src []byte, dst any) error {
	if src == nil {
		return dst.(sql.Scanner).Scan(nil)
	}
	*dst.(*T) = s.word(src)
	return nil
}

type scanNullEnum[T ~string] struct{ words map[string]T }

func (s scanNullEnum[T]) Scan(src []byte, dst any) error {
	p := dst.(**T)
	if p == nil {
		return stock(pgtype.TextOID, pgtype.TextFormatCode, src, dst)
	}
	if src == nil {
		*p = nil
		return nil
	}
	*p = new(scanEnum[T](s).word(src))
	return nil
}

// textArrayCodec is for text[].
type textArrayCodec struct{ *pgtype.ArrayCodec }

func (c textArrayCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(*[]string); ok && format == pgtype.BinaryFormatCode {
		return scanTextArray{}
	}
	return c.ArrayCodec.PlanScan(m, oid, format, target)
}

func (c textArrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.([]string); ok && format == pgtype.BinaryFormatCode {
		return encodeTextArray{}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

type scanTextArray struct{}

func (scanTextArray) Scan(src []byte, dst any) error {
	if src == nil {
		*dst.(*[]string) = nil
		return nil
	}
	texts, ok := decodeTextArray(src)
	if !ok {
		return stock(pgtype.TextArrayOID, pgtype.BinaryFormatCode, src, dst)
	}
	*dst.(*[]string) = texts
	return nil
}

// decodeTextArray reads an array in the binary format (array_send in PostgreSQL's arrayfuncs.c): the number of dimensions, a
// flag for NULLs, the OID of the elements, for each dimension its length and lower bound, and for each element its length and
// bytes, where all numbers have 32 bits. It returns false for all that isn't a well-formed array of one dimension at most,
// without NULLs.
//
// The elements share the memory of one string.
func decodeTextArray(src []byte) ([]string, bool) {
	const header, dimension, length = 12, 8, 4
	if len(src) < header {
		return nil, false
	}
	switch binary.BigEndian.Uint32(src) {
	case 0:
		return []string{}, len(src) == header
	case 1:
	default:
		return nil, false
	}
	if len(src) < header+dimension {
		return nil, false
	}
	n := binary.BigEndian.Uint32(src[header:])
	src = src[header+dimension:]
	if uint64(n) > uint64(len(src)/length) { // before anything is allocated by it
		return nil, false
	}
	all, texts, at := string(src), make([]string, n), 0
	for i := range texts {
		if len(src)-at < length {
			return nil, false
		}
		size := binary.BigEndian.Uint32(src[at:]) // of NULL it is -1: more than there is
		at += length
		if uint64(size) > uint64(len(src)-at) {
			return nil, false
		}
		texts[i] = all[at : at+int(size)]
		at += int(size)
	}
	return texts, at == len(src)
}

type encodeTextArray struct{}

func (encodeTextArray) Encode(value any, buf []byte) ([]byte, error) {
	texts := value.([]string)
	if texts == nil {
		return nil, nil
	}
	buf = binary.BigEndian.AppendUint32(buf, 1) // dimensions
	buf = binary.BigEndian.AppendUint32(buf, 0) // no NULLs
	buf = binary.BigEndian.AppendUint32(buf, pgtype.TextOID)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(texts)))
	buf = binary.BigEndian.AppendUint32(buf, 1) // the lower bound
	for _, t := range texts {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(t)))
		buf = append(buf, t...)
	}
	return buf, nil
}

// timestamptzCodec is for timestamptz.
type timestamptzCodec struct{ *pgtype.TimestamptzCodec }

func (c timestamptzCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if format == pgtype.BinaryFormatCode {
		switch target.(type) {
		case *time.Time:
			return scanTime{}
		case **time.Time:
			return scanNullTime{}
		}
	}
	return c.TimestamptzCodec.PlanScan(m, oid, format, target)
}

func (c timestamptzCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case time.Time:
			return encodeTime{}
		case *time.Time:
			return encodeNullTime{}
		}
	}
	return c.TimestamptzCodec.PlanEncode(m, oid, format, value)
}

// The binary format counts microseconds from 2000-01-01 UTC. minTimestamp and endTimestamp enclose what PostgreSQL has as
// timestamps (MIN_TIMESTAMP and END_TIMESTAMP in its datatype/timestamp.h); the infinities are outside.
const (
	y2k          = 946_684_800 * 1_000_000
	minTimestamp = -211_813_488_000_000_000
	endTimestamp = 9_223_371_331_200_000_000
)

func decodeTime(src []byte) (time.Time, bool) {
	if len(src) != 8 {
		return time.Time{}, false
	}
	us := int64(binary.BigEndian.Uint64(src))
	if us < minTimestamp || us >= endTimestamp {
		return time.Time{}, false
	}
	return time.Unix(us/1_000_000+y2k/1_000_000, us%1_000_000*1_000), true
}

func appendTime(buf []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(buf, uint64(t.Unix()*1_000_000+int64(t.Nanosecond())/1_000-y2k))
}

type scanTime struct{}

func (scanTime) Scan(src []byte, dst any) error {
	t, ok := decodeTime(src)
	if !ok {
		return stock(pgtype.TimestamptzOID, pgtype.BinaryFormatCode, src, dst)
	}
	*dst.(*time.Time) = t
	return nil
}

type scanNullTime struct{}

func (scanNullTime) Scan(src []byte, dst any) error {
	t, ok := decodeTime(src)
	p := dst.(**time.Time)
	switch {
	case src == nil && p != nil:
		*p = nil
	case !ok || p == nil:
		return stock(pgtype.TimestamptzOID, pgtype.BinaryFormatCode, src, dst)
	default:
		*p = &t
	}
	return nil
}

type encodeTime struct{}

func (encodeTime) Encode(value any, buf []byte) ([]byte, error) {
	return appendTime(buf, value.(time.Time)), nil
}

type encodeNullTime struct{}

func (encodeNullTime) Encode(value any, buf []byte) ([]byte, error) {
	p := value.(*time.Time)
	if p == nil {
		return nil, nil
	}
	return appendTime(buf, *p), nil
}

// intervalCodec is for interval, of which package store writes lifetimes and reads nothing.
type intervalCodec struct{ pgtype.IntervalCodec }

func (c intervalCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case time.Duration:
			return encodeDuration{}
		case *time.Duration:
			return encodeNullDuration{}
		}
	}
	return c.IntervalCodec.PlanEncode(m, oid, format, value)
}

// appendDuration appends microseconds, and 32 bits each for days and months: a duration has none of those.
func appendDuration(buf []byte, d time.Duration) []byte {
	buf = binary.BigEndian.AppendUint64(buf, uint64(d.Microseconds()))
	return binary.BigEndian.AppendUint64(buf, 0)
}

type encodeDuration struct{}

func (encodeDuration) Encode(value any, buf []byte) ([]byte, error) {
	return appendDuration(buf, value.(time.Duration)), nil
}

type encodeNullDuration struct{}

func (encodeNullDuration) Encode(value any, buf []byte) ([]byte, error) {
	p := value.(*time.Duration)
	if p == nil {
		return nil, nil
	}
	return appendDuration(buf, *p), nil
}

// boolCodec is for boolean where it may be NULL: pgx has a plan for bool.
type boolCodec struct{ pgtype.BoolCodec }

func (c boolCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(**bool); ok && format == pgtype.BinaryFormatCode {
		return scanNullBool{}
	}
	return c.BoolCodec.PlanScan(m, oid, format, target)
}

func (c boolCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(*bool); ok && format == pgtype.BinaryFormatCode {
		return encodeNullBool{}
	}
	return c.BoolCodec.PlanEncode(m, oid, format, value)
}

type scanNullBool struct{}

func (scanNullBool) Scan(src []byte, dst any) error {
	p := dst.(**bool)
	switch {
	case p != nil && src == nil:
		*p = nil
	case p != nil && len(src) == 1:
		*p = new(src[0] == 1)
	default:
		return stock(pgtype.BoolOID, pgtype.BinaryFormatCode, src, dst)
	}
	return nil
}

type encodeNullBool struct{}

func (encodeNullBool) Encode(value any, buf []byte) ([]byte, error) {
	p := value.(*bool)
	switch {
	case p == nil:
		return nil, nil
	case *p:
		return append(buf, 1), nil
	}
	return append(buf, 0), nil
}

// jsonbCodec is for jsonb where it is passed through, or is a key: both are mostly NULL.
type jsonbCodec struct{ *pgtype.JSONBCodec }

func (c jsonbCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if format == pgtype.TextFormatCode {
		switch target.(type) {
		case *json.RawMessage:
			return scanJSON{}
		case **token.Confirmation:
			return scanConfirmation{}
		}
	}
	return c.JSONBCodec.PlanScan(m, oid, format, target)
}

type scanJSON struct{}

func (scanJSON) Scan(src []byte, dst any) error {
	p := dst.(*json.RawMessage)
	*p = nil
	if src == nil {
		return nil
	}
	return json.Unmarshal(src, p)
}

type scanConfirmation struct{}

func (scanConfirmation) Scan(src []byte, dst any) error {
	p := dst.(**token.Confirmation)
	*p = nil
	if src == nil || string(src) == "null" { // the JSON null too
		return nil
	}
	*p = new(token.Confirmation)
	return json.Unmarshal(src, *p)
}

package token_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/oauthdb/oauthdb/token"
)

// requireHidden fails if any eight characters in a row of the credential's random part stand in the output, as text, in
// hexadecimal or as decimal bytes.
func requireHidden(t *testing.T, raw token.Raw, output string) {
	t.Helper()
	if leaked(raw.Reveal(), output) {
		t.Errorf("the credential shows in %q", output)
	}
}

func leaked(secret, output string) bool {
	const window = 8
	for i := 0; i+window <= len(secret); i++ {
		part := secret[i : i+window]
		if strings.Contains(output, part) ||
			strings.Contains(strings.ToLower(output), hex.EncodeToString([]byte(part))) ||
			strings.Contains(strings.ToLower(output), fmt.Sprintf("% x", part)) ||
			strings.Contains(output, strings.Trim(fmt.Sprint([]byte(part)), "[]")) {
			return true
		}
	}
	return false
}

// TestLeakedSeesALeak: the check that the redaction tests rest on does go red.
func TestLeakedSeesALeak(t *testing.T) {
	t.Parallel()
	secret := token.Mint(token.AccessToken).Reveal()
	for _, format := range []string{"%v", "%q", "%#v", "%x", "%X", "% x", "% X", "%.20s", "%70s"} {
		if !leaked(secret, fmt.Sprintf(format, secret)) {
			t.Errorf("%s: a leak was not seen", format)
		}
	}
	if !leaked(secret, fmt.Sprintf("%d", []byte(secret))) {
		t.Error("a leak as decimal bytes was not seen")
	}
}

type exportedField struct{ Token token.Raw }

type unexportedField struct {
	name  string
	token token.Raw
	more  []token.Raw
	by    map[string]token.Raw
	any   any
}

type embedded struct{ token.Raw }

func holders(raw token.Raw) map[string]any {
	pointer := &raw
	hidden := unexportedField{
		name: "alice", token: raw, more: []token.Raw{raw}, by: map[string]token.Raw{"k": raw}, any: raw,
	}
	return map[string]any{
		"value":                     raw,
		"pointer":                   pointer,
		"pointer to pointer":        &pointer,
		"struct":                    exportedField{raw},
		"pointer to struct":         &exportedField{raw},
		"embedded":                  embedded{raw},
		"unexported field":          hidden,
		"pointer to unexported":     &hidden,
		"slice":                     []token.Raw{raw},
		"array":                     [2]token.Raw{raw, raw},
		"slice of pointers":         []*token.Raw{pointer},
		"slice of any":              []any{raw, pointer},
		"map":                       map[string]token.Raw{"token": raw},
		"map of structs":            map[string]unexportedField{"token": hidden},
		"slice of pointers to such": []*unexportedField{&hidden},
		"channel and func":          struct{ f func() string }{raw.Reveal},
	}
}

func TestRawIsRedactedByEveryVerb(t *testing.T) {
	t.Parallel()
	raw := token.Mint(token.AccessToken)
	verbs := []string{
		"%v", "%+v", "%#v", "% v", "%T", "%s", "%+s", "%#s", "%q", "%+q", "%#q", "%x", "%X", "% x", "% X", "%#x", "%# x",
		"%d", "%+d", "%o", "%O", "%b", "%c", "%U", "%#U", "%t", "%e", "%E", "%f", "%F", "%g", "%G", "%p", "%#p", "%w", "%z",
		"%!", "%80v", "%-80s|", "%.3s", "%.60s", "%080x", "%*d", "%[2]v", "%[1]*v", "%", "none", "%v %v",
	}
	for name, holder := range holders(raw) {
		for _, verb := range verbs {
			requireHidden(t, raw, fmt.Sprintf(verb, holder))
		}
		requireHidden(t, raw, fmt.Sprint(holder))
		requireHidden(t, raw, fmt.Sprintln(name, holder, holder))
		requireHidden(t, raw, fmt.Errorf("%w %v", errors.New(name), holder).Error())
	}
}

func TestRawSaysThatItIsRedacted(t *testing.T) {
	t.Parallel()
	raw := token.Mint(token.AccessToken)
	for verb, want := range map[string]string{
		"%v": "[redacted]", "%+v": "[redacted]", "%s": "[redacted]", "%q": "[redacted]", "%x": "[redacted]",
		"%d": "[redacted]", "%#v": "token.Raw([redacted])",
	} {
		if got := fmt.Sprintf(verb, raw); got != want {
			t.Errorf("%s: got %q, want %q", verb, got, want)
		}
		if got := fmt.Sprintf(verb, &raw); got != want {
			t.Errorf("%s of a pointer: got %q, want %q", verb, got, want)
		}
	}
	if got, want := fmt.Sprintf("%+v", exportedField{raw}), "{Token:[redacted]}"; got != want {
		t.Errorf("in a struct: got %q, want %q", got, want)
	}
}

func TestRawIsRedactedByMarshallers(t *testing.T) {
	t.Parallel()
	raw := token.Mint(token.ClientSecret)
	for name, holder := range holders(raw) {
		out, err := json.Marshal(holder)
		if err != nil && name != "channel and func" {
			t.Errorf("%s: %v", name, err)
		}
		requireHidden(t, raw, string(out))
		if out, err := xml.Marshal(holder); err == nil {
			requireHidden(t, raw, string(out))
		}
	}
	out, err := json.Marshal(exportedField{raw})
	if want := `{"Token":"[redacted]"}`; err != nil || string(out) != want {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
	out, err = json.Marshal(struct {
		Token token.Raw `json:",omitzero"`
	}{})
	if want := `{}`; err != nil || string(out) != want {
		t.Errorf("omitzero: got %s, %v, want %s", out, err, want)
	}
	var back exportedField
	if err := json.Unmarshal([]byte(`{"Token":"[redacted]"}`), &back); err == nil || !back.Token.IsZero() {
		t.Error("a Raw was unmarshalled: a redacted text would pass for a token")
	}
}

func TestRawIsRedactedBySlog(t *testing.T) {
	t.Parallel()
	raw := token.Mint(token.SessionToken)
	for _, handler := range []string{"text", "json"} {
		for name, holder := range holders(raw) {
			var out bytes.Buffer
			var h slog.Handler = slog.NewTextHandler(&out, nil)
			if handler == "json" {
				h = slog.NewJSONHandler(&out, nil)
			}
			log := slog.New(h)
			log.Info(name, "token", holder)
			log.With("token", holder).WithGroup("group").LogAttrs(
				context.Background(), slog.LevelInfo, name, slog.Group("g", slog.Any("token", holder)),
			)
			if out.Len() == 0 {
				t.Errorf("%s, %s: nothing logged", handler, name)
			}
			requireHidden(t, raw, out.String())
			if name == "value" && strings.Count(out.String(), "[redacted]") != 3 {
				t.Errorf("%s: want [redacted] three times: %s", handler, out.String())
			}
		}
	}
}

func TestRawIsNeverEncodedForPostgreSQL(t *testing.T) {
	t.Parallel()
	raw := token.Mint(token.RefreshToken)
	pointer := &raw
	oids := map[string]uint32{
		"unknown to the map": 0, "text": pgtype.TextOID, "varchar": pgtype.VarcharOID, "bpchar": pgtype.BPCharOID,
		"unknown": pgtype.UnknownOID, "bytea": pgtype.ByteaOID, "json": pgtype.JSONOID, "jsonb": pgtype.JSONBOID,
		"xml": pgtype.XMLOID, "name": pgtype.NameOID, "int8": pgtype.Int8OID, "uuid": pgtype.UUIDOID, "a domain": 99999,
	}
	values := map[string]any{"Raw": raw, "*Raw": pointer, "**Raw": &pointer, "zero": token.Raw{}}
	for oidName, oid := range oids {
		for valueName, value := range values {
			for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
				buf, err := pgtype.NewMap().Encode(oid, format, value, nil)
				if len(buf) != 0 || err == nil {
					t.Errorf("%s as %s, format %d: encoded %d bytes, %v", valueName, oidName, format, len(buf), err)
					continue
				}
				requireHidden(t, raw, err.Error())
				if valueName != "**Raw" && !errors.Is(err, token.ErrRaw) {
					t.Errorf("%s as %s, format %d: want ErrRaw: %v", valueName, oidName, format, err)
				}
			}
		}
	}
	for _, values := range []any{[]token.Raw{raw}, []*token.Raw{pointer}, [1]token.Raw{raw}, []any{raw}} {
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			buf, err := pgtype.NewMap().Encode(pgtype.TextArrayOID, format, values, nil)
			if len(buf) != 0 || !errors.Is(err, token.ErrRaw) {
				t.Errorf("%T, format %d: got %d bytes, want ErrRaw: %v", values, format, len(buf), err)
			}
			requireHidden(t, raw, err.Error())
		}
	}
}

// TestNilRawPointerIsNull: pgx writes NULL for any nil pointer before it asks the type. Nothing leaks by it.
func TestNilRawPointerIsNull(t *testing.T) {
	t.Parallel()
	buf, err := pgtype.NewMap().Encode(pgtype.TextOID, pgtype.TextFormatCode, (*token.Raw)(nil), nil)
	if buf != nil || err != nil {
		t.Errorf("got %v, %v", buf, err)
	}
}

func TestRawIsNotWrittenByDatabaseSQL(t *testing.T) {
	t.Parallel()
	value, err := driver.DefaultParameterConverter.ConvertValue(token.Mint(token.AccessToken))
	if value != nil || !errors.Is(err, token.ErrRaw) {
		t.Errorf("got %v, %v, want ErrRaw", value, err)
	}
}

func TestRawIsNotScanned(t *testing.T) {
	t.Parallel()
	var raw token.Raw
	for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
		if err := pgtype.NewMap().Scan(pgtype.TextOID, format, []byte("odb_at_x"), &raw); err == nil || !raw.IsZero() {
			t.Errorf("format %d: scanned", format)
		}
	}
}

// TestNoStringMethodForPgxToPickUp: pgx writes whatever has a String method as text, if it finds no better way.
func TestNoStringMethodForPgxToPickUp(t *testing.T) {
	t.Parallel()
	raw, digest := token.Mint(token.AccessToken), token.DigestOf("x")
	for _, value := range []any{raw, &raw, digest, &digest} {
		if _, ok := value.(fmt.Stringer); ok {
			t.Errorf("%T has a String method", value)
		}
	}
}

func TestZeroRawIsNoCredential(t *testing.T) {
	t.Parallel()
	var zero token.Raw
	raw := token.Mint(token.AccessToken)
	switch {
	case !zero.IsZero(), raw.IsZero():
		t.Error("IsZero")
	case zero.Reveal() != "":
		t.Error("Reveal")
	case zero.Digest() != "":
		t.Error("Digest of nothing")
	case zero.Equal(zero), zero.Equal(raw), raw.Equal(zero):
		t.Error("equals something")
	case fmt.Sprint(zero) != "[redacted]":
		t.Error("tells that it is zero")
	}
	if !token.Successor(make([]byte, 32), zero).IsZero() {
		t.Error("has a successor")
	}
}

func TestRawEqualsTheSameTextAlone(t *testing.T) {
	t.Parallel()
	raw := token.Mint(token.AccessToken)
	same, err := token.Parse(token.AccessToken, strings.Clone(raw.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	if !raw.Equal(same) || raw.Equal(token.Mint(token.AccessToken)) {
		t.Error("Equal")
	}
}

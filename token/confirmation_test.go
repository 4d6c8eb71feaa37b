package token_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/oauthdb/oauthdb/token"
)

// The thumbprints of RFC 9449 §6.1 and RFC 8705 §3.1.
const (
	rfc9449Thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	rfc8705Thumbprint = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"
)

func TestConfirmationThroughJSONB(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	for want, c := range map[string]token.Confirmation{
		`{"jkt":"` + rfc9449Thumbprint + `"}`:                                        {JKT: rfc9449Thumbprint},
		`{"x5t#S256":"` + rfc8705Thumbprint + `"}`:                                   {X5TS256: rfc8705Thumbprint},
		`{"jkt":"` + rfc9449Thumbprint + `","x5t#S256":"` + rfc8705Thumbprint + `"}`: {rfc9449Thumbprint, rfc8705Thumbprint},
		`{}`: {},
	} {
		for _, oid := range []uint32{pgtype.JSONBOID, pgtype.JSONOID} {
			for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
				buf, err := m.Encode(oid, format, &c, nil)
				if err != nil {
					t.Fatal(err)
				}
				text := string(buf)
				if oid == pgtype.JSONBOID && format == pgtype.BinaryFormatCode {
					text = text[1:] // the version of the binary jsonb format
				}
				if text != want {
					t.Errorf("OID %d, format %d: got %s, want %s", oid, format, text, want)
				}
				var back token.Confirmation
				var pointer *token.Confirmation
				if err := m.Scan(oid, format, buf, &back); err != nil || back != c {
					t.Errorf("OID %d, format %d: got %+v, %v, want %+v", oid, format, back, err, c)
				}
				if err := m.Scan(oid, format, buf, &pointer); err != nil || pointer == nil || *pointer != c {
					t.Errorf("OID %d, format %d: got %+v, %v, want %+v", oid, format, pointer, err, c)
				}
			}
		}
	}
}

func TestNullConfirmationIsANilPointer(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
		buf, err := m.Encode(pgtype.JSONBOID, format, (*token.Confirmation)(nil), nil)
		if buf != nil || err != nil {
			t.Errorf("format %d: nil is written as %q, %v", format, buf, err)
		}
		c := &token.Confirmation{JKT: "before"}
		if err := m.Scan(pgtype.JSONBOID, format, nil, &c); err != nil || c != nil {
			t.Errorf("format %d: NULL is read as %+v, %v", format, c, err)
		}
	}
}

// TestConfirmationReadsAnyOrderOfMembers: jsonb keeps an order of its own, and others may write more members.
func TestConfirmationReadsAnyOrderOfMembers(t *testing.T) {
	t.Parallel()
	var c token.Confirmation
	src := `{"x5t#S256": "b", "kid": "ignored", "jkt": "a"}`
	err := pgtype.NewMap().Scan(pgtype.JSONBOID, pgtype.TextFormatCode, []byte(src), &c)
	if want := (token.Confirmation{JKT: "a", X5TS256: "b"}); err != nil || c != want {
		t.Errorf("got %+v, %v", c, err)
	}
	if c.IsZero() || !(token.Confirmation{}).IsZero() {
		t.Error("IsZero")
	}
}

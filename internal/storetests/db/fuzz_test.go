package db_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/oauthdb/oauthdb/store"
)

// FuzzID: an identifier goes to the server and back as a string does, unless no row can have it: then it is sent as the empty text.
func FuzzID(f *testing.F) {
	for _, s := range []string{"", "usr_1", "é", "a\x00b", "\xff", "NULL", strings.Repeat("x", 300), `"\{},`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, id := pgtype.NewMap(), store.UserID(s)
		storable := utf8.ValidString(s) && !strings.ContainsRune(s, 0)
		if id.Storable() != storable {
			t.Errorf("%q is storable: %t", s, id.Storable())
		}
		sent := s
		if !storable {
			sent = ""
		}
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			for _, oid := range []uint32{pgtype.TextOID, pgtype.VarcharOID, pgtype.UnknownOID, 100_000} { // the last is a domain's
				if (oid == 100_000 || oid == pgtype.UnknownOID) && format == pgtype.BinaryFormatCode {
					continue // pgx writes what it doesn't know by its text
				}
				for name, value := range map[string]any{"an ID": id, "a pointer to one": &id} {
					encoded, err := m.Encode(oid, format, value, []byte{})
					want, wantErr := m.Encode(oid, format, sent, []byte{})
					if err != nil || wantErr != nil || string(encoded) != string(want) {
						t.Errorf("%s of %q for OID %d in format %d: %q, %v, want %q, %v", name, s, oid, format, encoded, err, want, wantErr)
					}
				}
			}
			var back store.UserID
			var want string
			err, wantErr := m.Scan(pgtype.TextOID, format, []byte(s), &back), m.Scan(pgtype.TextOID, format, []byte(s), &want)
			if err != nil || wantErr != nil || string(back) != want {
				t.Errorf("%q is read as %q, %v, want %q, %v", s, back, err, want, wantErr)
			}
			var absent *store.UserID
			if err := m.Scan(pgtype.TextOID, format, nil, &absent); err != nil || absent != nil {
				t.Errorf("NULL is read as %v, %v", absent, err)
			}
			if err := m.Scan(pgtype.TextOID, format, nil, &back); err == nil {
				t.Errorf("NULL is read as %q", back)
			}
			// lists of them, as parameters and as columns
			ids, texts := []store.UserID{id, "x"}, []string{sent, "x"}
			encoded, err := m.Encode(pgtype.TextArrayOID, format, ids, []byte{})
			wanted, wantErr := m.Encode(pgtype.TextArrayOID, format, texts, []byte{})
			if err != nil || wantErr != nil || string(encoded) != string(wanted) {
				t.Fatalf("a list of %q is sent as %q, %v, want %q, %v", s, encoded, err, wanted, wantErr)
			}
			var list []store.UserID
			if err := m.Scan(pgtype.TextArrayOID, format, encoded, &list); err != nil || len(list) != 2 || string(list[0]) != sent {
				t.Errorf("a list of %q is read as %q, %v", s, list, err)
			}
		}
	})
}

// FuzzColumnsAreReadAsPgxReadsThem: whatever a server sends, what is registered makes of it what pgx makes of it.
func FuzzColumnsAreReadAsPgxReadsThem(f *testing.F) {
	types := columnTypes()
	for i, src := range [][]byte{
		nil,
		{},
		[]byte("t"), []byte("a word"), []byte(`{a,"b\"",NULL}`), []byte("{{a},{b}}"), []byte("infinity"), []byte("2026-01-02 03:04:05.6+05:45"),
		{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 'a'},
		{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		for j := range 4 {
			f.Add(src, uint8(i+j), uint8(5*i+j), i > 7)
		}
	}
	stock, m := pgtype.NewMap(), registered()
	f.Fuzz(func(t *testing.T, src []byte, oid, typ uint8, binary bool) {
		format := int16(pgtype.TextFormatCode)
		if binary {
			format = pgtype.BinaryFormatCode
		}
		if d := differs(stock, m, codecOIDs[int(oid)%len(codecOIDs)], format, src, types[int(typ)%len(types)]); d != "" {
			t.Error(d)
		}
	})
}

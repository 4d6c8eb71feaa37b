package token_test

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/oauthdb/oauthdb/token"
)

const (
	// SHA-256 of "abc", FIPS 180-2 appendix B.1, in base64url.
	abcDigest = token.Digest("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
	emptyHash = token.Digest("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU")
)

func TestDigestOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]token.Digest{"abc": abcDigest, "": emptyHash} {
		if got := token.DigestOf(in); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
	check(t, func(t *testing.T, r random) {
		s := r.text()
		sum := sha256.Sum256([]byte(s))
		if got, want := string(token.DigestOf(s)), base64.RawURLEncoding.EncodeToString(sum[:]); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestDigestIsOverTheTokenAsPresented(t *testing.T) {
	t.Parallel()
	raw := token.Mint(token.RefreshToken)
	if raw.Digest() != token.DigestOf(raw.Reveal()) {
		t.Error("the digest is not over the whole token")
	}
}

func TestDistinctInputsHaveDistinctDigests(t *testing.T) {
	t.Parallel()
	check(t, func(t *testing.T, r random) {
		a, b := r.text(), r.text()
		da, db := token.DigestOf(a), token.DigestOf(b)
		if !da.Valid() || !db.Valid() {
			t.Fatal("not valid")
		}
		if (a == b) != (da == db) || (da == db) != da.Equal(db) {
			t.Fatalf("%q and %q: %v and %v", a, b, da, db)
		}
		if parsed, err := token.ParseDigest(string(da)); err != nil || parsed != da {
			t.Fatalf("parsed to %v, %v", parsed, err)
		}
	})
}

var malformedDigests = map[string]string{
	"empty":              "",
	"too short":          string(abcDigest[:42]),
	"too long":           string(abcDigest) + "A",
	"padded":             string(abcDigest) + "=",
	"standard base64":    strings.Replace(string(abcDigest), "-", "+", 1),
	"slash":              strings.Replace(string(abcDigest), "_", "/", 1),
	"space":              " " + string(abcDigest[1:]),
	"newline":            string(abcDigest[:42]) + "\n",
	"not ASCII":          string(abcDigest[:41]) + "é",
	"NUL":                "\x00" + string(abcDigest[1:]),
	"broken UTF-8":       "\xff" + string(abcDigest[1:]),
	"stray bits":         string(abcDigest[:42]) + "1",
	"last a dash":        string(abcDigest[:42]) + "-",
	"hexadecimal":        strings.Repeat("ab", 32),
	"a raw token":        token.Mint(token.AccessToken).Reveal(),
	"43 chars of a word": "correct-horse-battery-staple-correct-horse-b",
}

func TestMalformedDigestsAreRefusedAndNotShown(t *testing.T) {
	t.Parallel()
	for name, s := range malformedDigests {
		_, err := token.ParseDigest(s)
		if !errors.Is(err, token.ErrDigest) {
			t.Errorf("%s: ParseDigest: %v", name, err)
		}
		d := token.Digest(s)
		if d.Valid() || d.Equal(d) {
			t.Errorf("%s: valid, or equal to itself", name)
		}
		if name == "empty" || name == "NUL" || name == "broken UTF-8" {
			continue // written as NULL
		}
		if _, err := d.Value(); !errors.Is(err, token.ErrDigest) {
			t.Errorf("%s: Value: %v", name, err)
		}
		for _, oid := range []uint32{0, pgtype.TextOID, pgtype.ByteaOID, pgtype.VarcharOID, 99999} {
			for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
				for _, value := range []any{d, &d} {
					buf, err := pgtype.NewMap().Encode(oid, format, value, nil)
					if !errors.Is(err, token.ErrDigest) || len(buf) != 0 {
						t.Errorf("%s: OID %d, format %d, %T: %d bytes, %v", name, oid, format, value, len(buf), err)
					} else if leaked(s, err.Error()) {
						t.Errorf("%s: shows in the error: %v", name, err)
					}
				}
			}
		}
	}
}

// Nothing was presented, or nothing that PostgreSQL could hold: it finds no row.
func TestNoDigestIsWrittenAsNULL(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"empty", "NUL", "broken UTF-8"} {
		d := token.Digest(malformedDigests[name])
		if v, err := d.Value(); v != nil || err != nil {
			t.Errorf("%s: Value: %v, %v", name, v, err)
		}
		for _, oid := range []uint32{0, pgtype.TextOID, pgtype.ByteaOID, pgtype.VarcharOID, 99999} {
			for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
				for _, value := range []any{d, &d} {
					if buf, err := pgtype.NewMap().Encode(oid, format, value, []byte("before")); buf != nil || err != nil {
						t.Errorf("%s: OID %d, format %d, %T: %q, %v", name, oid, format, value, buf, err)
					}
				}
			}
		}
	}
}

// TestValidAgreesWithTheDecoder: Valid is a table of its own; the model is a strict base64 decoder.
func TestValidAgreesWithTheDecoder(t *testing.T) {
	t.Parallel()
	strict := base64.RawURLEncoding.Strict()
	check(t, func(t *testing.T, r random) {
		s := r.of(letters+"_=+/-", 41, 45)
		b, err := strict.DecodeString(s)
		if got, want := token.Digest(s).Valid(), err == nil && len(b) == sha256.Size; got != want {
			t.Fatalf("%q: got %v, want %v", s, got, want)
		}
	})
	for c := range 256 {
		s := string(abcDigest[:42]) + string([]byte{byte(c)})
		_, err := strict.DecodeString(s)
		isNewline := c == '\n' || c == '\r' // which the decoder skips
		if got, want := token.Digest(s).Valid(), err == nil && !isNewline; got != want {
			t.Errorf("last character %q: got %v, want %v", rune(c), got, want)
		}
	}
}

func TestWhatPgxWritesIsTheDigest(t *testing.T) {
	t.Parallel()
	raw := token.Mint(token.AccessToken)
	digest := raw.Digest()
	pointer := &digest
	for name, oid := range map[string]uint32{
		"text": pgtype.TextOID, "varchar": pgtype.VarcharOID, "bpchar": pgtype.BPCharOID, "simple protocol": 0,
	} {
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			for _, value := range []any{digest, pointer, &pointer} {
				if oid == 0 && format == pgtype.BinaryFormatCode {
					continue // types unknown to the map are always written as text
				}
				buf, err := pgtype.NewMap().Encode(oid, format, value, []byte("before"))
				if err != nil {
					t.Errorf("%s, format %d, %T: %v", name, format, value, err)
					continue
				}
				if got := string(buf); got != "before"+string(digest) || len(got) != len("before")+43 {
					t.Errorf("%s, format %d, %T: got %q", name, format, value, got)
				}
			}
		}
	}
	m := pgtype.NewMap()
	want := []string{string(digest), string(abcDigest)}
	for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
		buf, err := m.Encode(pgtype.TextArrayOID, format, []token.Digest{digest, abcDigest}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var strs []string
		var digests []token.Digest
		if err := errors.Join(
			m.Scan(pgtype.TextArrayOID, format, buf, &strs), m.Scan(pgtype.TextArrayOID, format, buf, &digests),
		); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(strs) != fmt.Sprint(want) || fmt.Sprint(digests) != fmt.Sprint(want) {
			t.Errorf("array, format %d: got %v and %v, want %v", format, strs, digests, want)
		}
	}
}

func TestDigestScansAsWritten(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	for _, oid := range []uint32{pgtype.TextOID, pgtype.VarcharOID} {
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			var digest token.Digest
			var pointer *token.Digest
			if err := errors.Join(
				m.Scan(oid, format, []byte(abcDigest), &digest), m.Scan(oid, format, []byte(abcDigest), &pointer),
			); err != nil {
				t.Fatal(err)
			}
			if digest != abcDigest || pointer == nil || *pointer != abcDigest {
				t.Errorf("OID %d, format %d: got %v and %v", oid, format, digest, pointer)
			}
		}
	}
}

func TestNullScansIntoAPointerAlone(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
		before := abcDigest
		pointer := &before
		if err := m.Scan(pgtype.TextOID, format, nil, &pointer); err != nil || pointer != nil {
			t.Errorf("format %d: *Digest: %v, %v", format, pointer, err)
		}
		err := m.Scan(pgtype.TextOID, format, nil, &before)
		if err == nil || !strings.Contains(err.Error(), "cannot scan NULL into token.Digest: use *token.Digest") {
			t.Errorf("format %d: Digest: %v", format, err)
		}
		if before != abcDigest {
			t.Errorf("format %d: a failed scan changed the target to %v", format, before)
		}
		buf, err := m.Encode(pgtype.TextOID, format, (*token.Digest)(nil), nil)
		if buf != nil || err != nil {
			t.Errorf("format %d: nil *Digest: %v, %v, want NULL", format, buf, err)
		}
	}
}

// TestForeignContentOfADigestColumnIsReadButEqualsNothing: another server on the same tables may encrypt client secrets.
func TestForeignContentOfADigestColumnIsReadButEqualsNothing(t *testing.T) {
	t.Parallel()
	const secret = "plain-client-secret"
	var d token.Digest
	if err := pgtype.NewMap().Scan(pgtype.TextOID, pgtype.TextFormatCode, []byte(secret), &d); err != nil {
		t.Fatal(err)
	}
	if d.Valid() || d.Equal(d) || d.Equal(token.DigestOf(secret)) {
		t.Error("passes for a digest")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
		if got := fmt.Sprintf(verb, struct{ D token.Digest }{d}); verb != "%p" && leaked(secret, got) {
			t.Errorf("%s: shows: %s", verb, got)
		}
	}
}

func TestDigestThroughDatabaseSQL(t *testing.T) {
	t.Parallel()
	value, err := driver.DefaultParameterConverter.ConvertValue(abcDigest)
	if err != nil || value != string(abcDigest) {
		t.Errorf("Value: %v, %v", value, err)
	}
	for _, src := range []any{string(abcDigest), []byte(abcDigest)} {
		var d token.Digest
		if err := d.Scan(src); err != nil || d != abcDigest {
			t.Errorf("Scan(%T): %v, %v", src, d, err)
		}
	}
	for _, src := range []any{nil, 7, true} {
		var d token.Digest
		if err := d.Scan(src); err == nil {
			t.Errorf("Scan(%v): no error", src)
		}
	}
}

func TestDigestPrintsAsTheStringItIs(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%50s|", "%-50s|", "%.5s"} {
		if got, want := fmt.Sprintf(verb, abcDigest), fmt.Sprintf(verb, string(abcDigest)); got != want {
			t.Errorf("%s: got %q, want %q", verb, got, want)
		}
	}
	if got := fmt.Sprintf("<%v>", token.Digest("")); got != "<>" {
		t.Errorf("the zero Digest: got %q", got)
	}
	out, err := json.Marshal(abcDigest)
	if err != nil || string(out) != `"`+string(abcDigest)+`"` {
		t.Errorf("JSON: got %s, %v", out, err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).InfoContext(context.Background(), "m", "digest", abcDigest)
	if !strings.Contains(log.String(), string(abcDigest)) {
		t.Errorf("log: got %s", log.String())
	}
}

func TestDigestsAreWrittenAsAnArray(t *testing.T) {
	t.Parallel()
	for want, digests := range map[string]token.Digests{
		"{}":                                    nil,
		"{" + string(abcDigest) + "}":           {abcDigest},
		"{NULL," + string(abcDigest) + ",NULL}": {"", abcDigest, "\x00"},
	} {
		text, err := digests.TextValue()
		if err != nil || !text.Valid || text.String != want {
			t.Errorf("%q: %v, %v, want %s", digests, text, err, want)
		}
	}
	for _, bad := range []token.Digest{"secret", "a,b", "NULL", "}"} {
		if _, err := (token.Digests{abcDigest, bad}).TextValue(); !errors.Is(err, token.ErrDigest) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

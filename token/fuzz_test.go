package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/oauthdb/oauthdb/token"
)

// FuzzParse: what parses is a token of one kind, as it was presented; what doesn't is refused by an error that says nothing of it.
func FuzzParse(f *testing.F) {
	acme, err := token.NewScheme("acme")
	if err != nil {
		f.Fatal(err)
	}
	for _, kind := range allKinds {
		f.Add(token.Mint(kind).Reveal(), uint8(0), byte('x'))
		f.Add(acme.Mint(kind).Reveal(), uint8(9), byte('0'))
	}
	for _, presented := range []string{
		"", "odb", "odb_at_", "odb_zz_", "odb_at_é", "odb_at_" + strings.Repeat("0", 49), "another server's", "a\x00b", strings.Repeat("x", token.MaxLength+1),
		"eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "acme_at_" + strings.Repeat("z", 49), "odb_at_" + strings.Repeat("z", 48) + "é",
	} {
		f.Add(presented, uint8(3), byte('a'))
	}
	f.Fuzz(func(t *testing.T, presented string, at uint8, other byte) {
		for _, scheme := range []token.Scheme{{}, acme} {
			parsed := 0
			for _, kind := range append([]token.Kind{0, 200}, allKinds...) {
				raw, err := scheme.Parse(kind, presented)
				foreign, foreignErr := scheme.ParseForeign(kind, presented)
				switch {
				case err == nil:
					parsed++
					told, ok := scheme.KindOf(presented)
					if raw.Reveal() != presented || told != kind || !ok || !strings.HasPrefix(presented, scheme.Prefix(kind)) {
						t.Errorf("%q parses as %s: reveals %q, and its prefix tells %s", presented, kind, raw.Reveal(), told)
					}
					if found := regexp.MustCompile(scheme.Pattern()).FindString("x " + presented + "."); found != presented {
						t.Errorf("the pattern finds %q of %q", found, presented)
					}
					if foreignErr != nil || !foreign.Equal(raw) {
						t.Errorf("%q parses, and ParseForeign makes %v of it", presented, foreignErr)
					}
					// a checksum of 32 bits tells of each change of one character
					changed := []byte(presented)
					i := int(at) % len(changed)
					if changed[i] != other {
						changed[i] = other
						if _, err := scheme.Parse(kind, string(changed)); err == nil {
							t.Errorf("%q and %q parse both", presented, changed)
						}
					}
				case !errors.Is(err, token.ErrMalformed) && !errors.Is(err, token.ErrForeign) && !errors.Is(err, token.ErrKind) && !errors.Is(err, token.ErrChecksum):
					t.Errorf("an error of another kind: %v", err)
				case errors.Is(err, token.ErrForeign):
					if foreignErr != nil || foreign.Reveal() != presented {
						t.Errorf("%q is foreign, and ParseForeign says %v", presented, foreignErr)
					}
				case foreignErr == nil:
					t.Errorf("%q is refused by Parse (%v), and not by ParseForeign", presented, err)
				}
				for _, e := range []error{err, foreignErr} {
					if e != nil {
						requireClosedText(t, e)
					}
				}
				if err != nil && !raw.IsZero() || foreignErr != nil && !foreign.IsZero() {
					t.Errorf("%q is refused, and given back", presented)
				}
			}
			if parsed > 1 {
				t.Errorf("%q is of %d kinds", presented, parsed)
			}
		}
	})
}

func FuzzNewScheme(f *testing.F) {
	for _, vendor := range []string{"", "a", "odb", "acme1", "1acme", "Acme", "a_b", "aé", strings.Repeat("a", 17)} {
		f.Add(vendor)
	}
	f.Fuzz(func(t *testing.T, vendor string) {
		scheme, err := token.NewScheme(vendor)
		if ok := regexp.MustCompile(`\A[a-z][a-z0-9]{1,15}\z`).MatchString(vendor); ok != (err == nil) {
			t.Fatalf("%q: %v", vendor, err)
		}
		if err != nil {
			if !errors.Is(err, token.ErrVendor) {
				t.Errorf("%q: %v", vendor, err)
			}
			return
		}
		for _, kind := range allKinds {
			if raw := scheme.Mint(kind); !strings.HasPrefix(raw.Reveal(), vendor+"_") {
				t.Errorf("a token of %q is another one's", vendor)
			} else if _, err := scheme.Parse(kind, raw.Reveal()); err != nil {
				t.Errorf("a token of %q: %v", vendor, err)
			}
		}
	})
}

// FuzzParseDigest: a digest is what has the form of one, and goes to pgx and back as it is. Anything else is refused and not shown.
func FuzzParseDigest(f *testing.F) {
	for _, s := range []string{"", string(token.DigestOf("")), string(token.DigestOf("x")) + "=", strings.Repeat("é", 22), strings.Repeat("_", 43)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := token.ParseDigest(s)
		if (err == nil) != token.Digest(s).Valid() {
			t.Fatalf("%q: ParseDigest says %v, Valid %t", s, err, token.Digest(s).Valid())
		}
		if err != nil {
			if !errors.Is(err, token.ErrDigest) || len(s) > 12 && strings.Contains(err.Error(), s) {
				t.Errorf("%q: %v", s, err)
			}
			if v, err := token.Digest(s).Value(); v != nil || (err == nil) != isNull(s) {
				t.Errorf("%q is no digest, and is written as %v, %v", s, v, err)
			}
			return
		}
		m := pgtype.NewMap()
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			encoded, err := m.Encode(pgtype.TextOID, format, d, nil)
			if err != nil || string(encoded) != s {
				t.Errorf("%q is sent as %q, %v", s, encoded, err)
			}
			var back token.Digest
			if err := m.Scan(pgtype.TextOID, format, encoded, &back); err != nil || back != d {
				t.Errorf("%q comes back as %q, %v", s, back, err)
			}
		}
	})
}

// FuzzDigests: a list of digests is the list of texts that pgx reads.
func FuzzDigests(f *testing.F) {
	f.Add("", "x", uint8(2))
	f.Add(`a"b\c{},NULL`, "é", uint8(0))
	f.Fuzz(func(t *testing.T, a, b string, n uint8) {
		digests := token.Digests{token.DigestOf(a), token.DigestOf(b), token.DigestOf(a + b)}[:n%4]
		m := pgtype.NewMap()
		encoded, err := m.Encode(pgtype.TextOID, pgtype.TextFormatCode, digests, []byte{})
		if err != nil {
			t.Fatal(err)
		}
		var back []string
		if err := m.Scan(pgtype.TextArrayOID, pgtype.TextFormatCode, encoded, &back); err != nil || len(back) != len(digests) {
			t.Fatalf("%q comes back as %q, %v", encoded, back, err)
		}
		for i := range back {
			if back[i] != string(digests[i]) {
				t.Errorf("%q comes back as %q", digests[i], back[i])
			}
		}
		if v, err := (token.Digests{token.Digest(a)}).TextValue(); !token.Digest(a).Valid() && (err == nil) != isNull(a) {
			t.Errorf("%q is no digest, and is sent as %v, %v", a, v, err)
		}
	})
}

// isNull says whether what is no digest is written as NULL, which finds nothing. All else is refused.
func isNull(s string) bool { return s == "" || strings.ContainsRune(s, 0) || !utf8.ValidString(s) }

func FuzzCheckVerifier(f *testing.F) {
	for _, v := range []string{"", strings.Repeat("a", 42), strings.Repeat("~", 43), strings.Repeat("-", 128), strings.Repeat(".", 129), strings.Repeat("é", 30)} {
		f.Add(v)
	}
	grammar := regexp.MustCompile(`\A[A-Za-z0-9._~-]{43,128}\z`) // RFC 7636, section 4.1
	f.Fuzz(func(t *testing.T, verifier string) {
		err := token.CheckVerifier(verifier)
		if (err == nil) != grammar.MatchString(verifier) {
			t.Errorf("%q: %v", verifier, err)
		}
		if err != nil && (!errors.Is(err, token.ErrVerifier) || len(verifier) > 12 && strings.Contains(err.Error(), verifier)) {
			t.Errorf("%q: %v", verifier, err)
		}
		if challenge := token.S256(verifier); !token.Digest(challenge).Valid() {
			t.Errorf("the challenge of %q is %q", verifier, challenge)
		}
	})
}

// FuzzNormalUserCode: what a user types is the same code with whatever between and around its characters, in any case.
func FuzzNormalUserCode(f *testing.F) {
	for _, s := range []string{"", "bcdf-ghjk", " BCDF GHJK\n", "ßſKı", "\xff\x00", "ＢＣＤ"} {
		f.Add(s, "-")
	}
	f.Fuzz(func(t *testing.T, typed, between string) {
		code := token.NormalUserCode(token.UserCodeAlphabet, typed)
		if i := strings.IndexFunc(code, func(r rune) bool { return !strings.ContainsRune(token.UserCodeAlphabet, r) }); i >= 0 {
			t.Fatalf("%q: %q has characters of no code", typed, code)
		}
		if token.NormalUserCode(token.UserCodeAlphabet, between) != "" {
			return
		}
		again := strings.Join(strings.Split(strings.ToLower(code), ""), between)
		if got := token.NormalUserCode(token.UserCodeAlphabet, between+again+between); got != code {
			t.Errorf("%q is %q, and %q is %q", typed, code, again, got)
		}
	})
}

// FuzzSuccessor: the successor of a token is a refresh token, always the same one, and another one for another token or key.
func FuzzSuccessor(f *testing.F) {
	f.Add([]byte(strings.Repeat("k", 32)), []byte(strings.Repeat("l", 32)), "a foreign token", token.Mint(token.RefreshToken).Reveal())
	f.Add([]byte(strings.Repeat("k", 32)), append([]byte(strings.Repeat("k", 32)), 0), "a", "b")
	f.Add([]byte("short"), []byte(nil), "a", "")
	f.Fuzz(func(t *testing.T, key, other []byte, presented, another string) {
		successors, err := token.NewSuccessors(key, other)
		if err != nil {
			if !errors.Is(err, token.ErrKeys) {
				t.Errorf("%v", err)
			}
			return
		}
		raw, err := token.ParseForeign(token.RefreshToken, presented)
		if err != nil {
			return
		}
		next := successors.Successor(raw)
		if _, err := token.Parse(token.RefreshToken, next.Reveal()); err != nil || next.Equal(raw) || !next.Equal(token.Successor(key, raw)) {
			t.Errorf("the successor of %q is none: %v", presented, err)
		}
		earlier := token.Successor(other, raw)
		if earlier.Equal(next) {
			t.Errorf("two keys give %q the same successor", presented)
		}
		for _, want := range []token.Raw{next, earlier} {
			if found, ok := successors.Match(raw, want.Digest()); !ok || !found.Equal(want) {
				t.Errorf("the successor of %q isn't found", presented)
			}
		}
		if second, err := token.ParseForeign(token.RefreshToken, another); err == nil && another != presented {
			if successors.Successor(second).Equal(next) {
				t.Errorf("%q and %q have the same successor", presented, another)
			}
			if _, ok := successors.Match(second, next.Digest()); ok {
				t.Errorf("the successor of %q is found for %q", presented, another)
			}
		}
	})
}

// FuzzKeysOfPairs: two pairs of strings have the same key only if they are the same.
func FuzzKeysOfPairs(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("", "", "\x00", "")
	key := []byte(strings.Repeat("k", 32))
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		same := a == c && b == d
		for name, of := range map[string]func(a, b string) token.Digest{
			"AssertionID": token.AssertionID, "GrantAssertionID": token.GrantAssertionID, "ProofID": token.ProofID,
			"ShortCodeDigest": func(a, b string) token.Digest { return token.ShortCodeDigest(key, a, b, "123456") },
		} {
			if (of(a, b) == of(c, d)) != same || !of(a, b).Valid() {
				t.Errorf("%s of (%q, %q) and (%q, %q): %s and %s", name, a, b, c, d, of(a, b), of(c, d))
			}
		}
	})
}

// FuzzRawIsRedacted: no format shows a credential.
func FuzzRawIsRedacted(f *testing.F) {
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p", "%T", "%10.3s", "%[2]v", "%!", "%w"} {
		f.Add(format)
	}
	raw := token.Mint(token.AccessToken)
	secret := raw.Reveal()
	f.Fuzz(func(t *testing.T, format string) {
		holder := struct {
			Token  token.Raw
			Nested *token.Raw
			List   []token.Raw
		}{raw, &raw, []token.Raw{raw}}
		for _, shown := range []string{
			fmt.Sprintf(format, raw), fmt.Sprintf(format, &raw), fmt.Sprintf(format, holder), fmt.Sprintf(format, &holder, raw),
			fmt.Errorf(format, raw).Error(),
		} {
			if strings.Contains(shown, secret[8:]) || strings.Contains(strings.ToLower(shown), fmt.Sprintf("%x", secret[8:])) {
				t.Errorf("%q shows the credential", format)
			}
		}
	})
}

// FuzzConfirmation: a confirmation is sent as the JSON that it is read from.
func FuzzConfirmation(f *testing.F) {
	f.Add([]byte(`{"jkt":"x"}`))
	f.Add([]byte(`{"x5t#S256":"\u00e9\u0000","jkt":null}`))
	f.Add([]byte(`{"JKT":"\ud800"}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		var c token.Confirmation
		if json.Unmarshal(document, &c) != nil {
			return
		}
		value, err := c.Value()
		if err != nil {
			t.Fatal(err)
		}
		m := pgtype.NewMap()
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			encoded, err := m.Encode(pgtype.JSONBOID, format, value, nil)
			if err != nil {
				t.Fatal(err)
			}
			want, err := m.Encode(pgtype.JSONBOID, format, json.RawMessage(value.(string)), nil)
			if err != nil || !slices.Equal(encoded, want) {
				t.Errorf("%+v is sent as %q, want %q (%v)", c, encoded, want, err)
			}
			var back *token.Confirmation
			if err := m.Scan(pgtype.JSONBOID, format, encoded, &back); err != nil || *back != c {
				t.Errorf("%+v comes back as %+v, %v", c, back, err)
			}
		}
	})
}

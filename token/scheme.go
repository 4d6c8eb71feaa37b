package token

import (
	"crypto/rand"
	"strings"
)

// MaxLength is the length, in bytes, up to which a presented credential is looked at, ours or another server's.
const MaxLength = 4096

const (
	defaultVendor   = "odb"
	minVendorLength = 2
	maxVendorLength = 16
)

// Scheme is the format of a deployment's tokens: what its tokens begin with. The zero Scheme is that of the package's
// functions, with "odb" in front. Tokens of one scheme are foreign to another, so changing it is like taking over from
// another server: see ParseForeign.
type Scheme struct {
	vendor string // empty for the default
}

// NewScheme returns the scheme whose tokens begin with vendor: NewScheme("acme") mints acme_at_… A vendor is 2 to 16
// lower-case letters and digits, a letter first; anything else is [ErrVendor].
func NewScheme(vendor string) (Scheme, error) {
	if len(vendor) < minVendorLength || len(vendor) > maxVendorLength {
		return Scheme{}, ErrVendor
	}
	for i := range len(vendor) {
		letter, digit := 'a' <= vendor[i] && vendor[i] <= 'z', '0' <= vendor[i] && vendor[i] <= '9'
		if !letter && (!digit || i == 0) {
			return Scheme{}, ErrVendor
		}
	}
	return Scheme{vendor: vendor}, nil
}

// Vendor returns what stands in front of the scheme's tokens.
func (s Scheme) Vendor() string {
	if s.vendor == "" {
		return defaultVendor
	}
	return s.vendor
}

// Prefix returns what every token of the kind begins with, "odb_at_" for example. It panics if kind is not one of the
// constants of this package.
func (s Scheme) Prefix(kind Kind) string {
	mustKnow(kind)
	return s.Vendor() + "_" + kinds[kind].code + "_"
}

// Mint returns a new token of the kind, with 256 bits from crypto/rand (which doesn't fail: it would end the process).
// It panics if kind is not one of the constants of this package.
func (s Scheme) Mint(kind Kind) Raw {
	var random [32]byte
	_, _ = rand.Read(random[:])
	return s.assemble(kind, &random)
}

func (s Scheme) assemble(kind Kind, content *[32]byte) Raw {
	mustKnow(kind)
	text := make([]byte, 0, maxVendorLength+1+codeLength+1+bodyLength)
	text = append(text, s.Vendor()...)
	text = append(text, '_')
	text = append(text, kinds[kind].code...)
	text = append(text, '_')
	text = appendBits(text, content)
	text = appendChecksum(text)
	return newRaw(string(text))
}

func mustKnow(kind Kind) {
	if !kind.known() {
		panic("token: unknown kind")
	}
}

// Parse returns a presented credential as a Raw if it has the form of a token of the kind that this scheme mints. The
// error is, or wraps, one of [ErrMalformed], [ErrForeign], [ErrKind] and [ErrChecksum]; a wrong kind is told before a
// wrong length. To the client all of them mean what an unknown token means: invalid_token (RFC 6750 §3.1),
// invalid_grant (RFC 6749 §5.2), or at introspection "active": false (RFC 7662 §2.2). An unknown kind is an ErrKind.
//
// That a token parses says nothing about whether it was ever issued.
func (s Scheme) Parse(kind Kind, presented string) (Raw, error) {
	return s.parse(kind, presented, false)
}

// ParseForeign is Parse, but also accepts what has no prefix of this scheme, as it is: a token that another server
// issued and that the database knows. It must be 1 to [MaxLength] characters of printable ASCII (VSCHAR of RFC 6749
// appendix A); the error is [ErrMalformed] otherwise. A token of this scheme that is damaged or of another kind is
// refused as by Parse, unless the damage is to its prefix, for then nothing tells it from a foreign one.
func (s Scheme) ParseForeign(kind Kind, presented string) (Raw, error) {
	return s.parse(kind, presented, true)
}

func (s Scheme) parse(kind Kind, presented string, foreign bool) (Raw, error) {
	switch {
	case !kind.known():
		return Raw{}, KindError{Want: kind}
	case presented == "":
		return Raw{}, errEmpty
	case len(presented) > MaxLength:
		return Raw{}, errTooLong
	case !isVSCHAR(presented):
		return Raw{}, errCharacter
	}
	got, body, ours := s.cut(presented)
	switch {
	case !ours && foreign:
		return newRaw(presented), nil
	case !ours:
		return Raw{}, ErrForeign
	case got != kind:
		return Raw{}, KindError{Want: kind, Got: got}
	case len(body) != bodyLength:
		return Raw{}, errLength
	}
	for i := range len(body) {
		if !isBase62(body[i]) {
			return Raw{}, errAlphabet
		}
	}
	covered, sum := presented[:len(presented)-checksumLength], presented[len(presented)-checksumLength:]
	if want := checksum(covered); string(want[:]) != sum {
		return Raw{}, ErrChecksum
	}
	return newRaw(presented), nil
}

// KindOf returns the kind that the prefix of a presented credential tells, and false where there is no prefix of this
// scheme. It looks at nothing but the prefix. An endpoint that takes several kinds (introspection, revocation) asks it
// first, rather than trust a token_type_hint, and then calls Parse with the answer.
func (s Scheme) KindOf(presented string) (Kind, bool) {
	kind, _, ok := s.cut(presented)
	return kind, ok
}

// SchemeOf returns the scheme and the kind that the prefix of a presented credential tells, whichever scheme that is, and false where there
// is no prefix of a known kind. It looks at nothing but the prefix. With several schemes, one for each cell or realm, it says who may know
// the credential; then call Parse of that scheme.
func SchemeOf(presented string) (Scheme, Kind, bool) {
	vendor, _, _ := strings.Cut(presented, "_")
	s, err := NewScheme(vendor)
	if err != nil {
		return Scheme{}, 0, false
	}
	if vendor == defaultVendor {
		s = Scheme{}
	}
	kind, ok := s.KindOf(presented)
	if !ok {
		return Scheme{}, 0, false
	}
	return s, kind, true
}

// cut takes the prefix off. It must be a whole one of a known kind: a foreign token may happen to begin with the
// vendor.
func (s Scheme) cut(presented string) (kind Kind, body string, ours bool) {
	rest, ok := strings.CutPrefix(presented, s.Vendor())
	if !ok || len(rest) < codeLength+2 || rest[0] != '_' || rest[codeLength+1] != '_' {
		return 0, "", false
	}
	kind, ok = kindOfCode(rest[1 : codeLength+1])
	return kind, rest[codeLength+2:], ok
}

// Pattern returns a regular expression that finds the scheme's tokens, of every kind, in any text. It is for secret
// scanners and log scrubbers, in the syntax that RE2 and PCRE share. A match that Parse refuses for its checksum is a
// false alarm.
func (s Scheme) Pattern() string {
	codes := make([]string, 0, len(kinds))
	for _, k := range kinds[1:] {
		codes = append(codes, k.code)
	}
	return `\b` + s.Vendor() + `_(?:` + strings.Join(codes, "|") + `)_[0-9A-Za-z]{49}\b`
}

// isVSCHAR reports whether s is made of VSCHAR alone: %x20-7E, RFC 6749 appendix A.
func isVSCHAR(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Mint returns a new token of the default scheme. See [Scheme.Mint].
func Mint(kind Kind) Raw { return Scheme{}.Mint(kind) }

// Parse returns a presented credential as a Raw if it has the form of a token of the default scheme. See
// [Scheme.Parse].
func Parse(kind Kind, presented string) (Raw, error) { return Scheme{}.Parse(kind, presented) }

// ParseForeign is Parse, but also accepts another server's tokens. See [Scheme.ParseForeign].
func ParseForeign(kind Kind, presented string) (Raw, error) {
	return Scheme{}.ParseForeign(kind, presented)
}

// KindOf returns the kind that the prefix of a presented credential tells. See [Scheme.KindOf].
func KindOf(presented string) (Kind, bool) { return Scheme{}.KindOf(presented) }

// Pattern returns a regular expression that finds tokens of the default scheme. See [Scheme.Pattern].
func Pattern() string { return Scheme{}.Pattern() }

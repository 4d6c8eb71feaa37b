package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// DigestLength is the length of every [Digest], in characters: 256 bits in unpadded base64url.
const DigestLength = 43

// Digest is what the database holds of a credential: base64url(SHA-256(raw)), unpadded (RFC 4648 §5), 43 characters,
// over the credential exactly as it is presented, prefix and all. No salt and no stretching, because what is digested
// carries 256 random bits; it is not a way to store passwords. It is no secret, but not meant for the public either.
//
// pgx writes it as text, and only if it is Valid: a raw credential converted to Digest by mistake is refused. The zero Digest
// means that there is none: it is written as NULL, which no look-up finds, and equals nothing. A Digest that PostgreSQL can't
// store, because of a NUL or invalid UTF-8, is written as NULL too. Columns that may be NULL are *Digest.
type Digest string

var errNullDigest = errors.New("token: cannot scan NULL into token.Digest: use *token.Digest")

// DigestOf returns the digest of a credential that is a string. For a [Raw], call its Digest method.
func DigestOf(s string) Digest {
	var buf [128]byte // on the stack, and enough for most credentials
	return digestOf(append(buf[:0], s...))
}

func digestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	var text [DigestLength]byte
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return Digest(text[:])
}

// ParseDigest returns s as a Digest if it is one, and [ErrDigest] otherwise. See Valid.
func ParseDigest(s string) (Digest, error) {
	d := Digest(s)
	if !d.Valid() {
		return "", ErrDigest
	}
	return d, nil
}

// Valid reports whether d has the form of a digest: 43 characters of base64url, the last one without stray bits, since
// 43 characters hold two bits more than SHA-256 gives.
func (d Digest) Valid() bool {
	if len(d) != DigestLength {
		return false
	}
	for i := range len(d) {
		if !isBase62(d[i]) && d[i] != '-' && d[i] != '_' {
			return false
		}
	}
	switch d[DigestLength-1] { // a multiple of four: its two low bits are padding
	case 'A', 'E', 'I', 'M', 'Q', 'U', 'Y', 'c', 'g', 'k', 'o', 's', 'w', '0', '4', '8':
		return true
	}
	return false
}

// Equal reports whether both are the same digest, in constant time. A digest that isn't Valid equals nothing, not even itself,
// so two missing secrets never match.
func (d Digest) Equal(other Digest) bool {
	return d.Valid() && other.Valid() && subtle.ConstantTimeCompare([]byte(d), []byte(other)) == 1
}

// Format implements [fmt.Formatter]: a digest prints as the string it is, and anything else that was converted to the
// type as "[not a digest]". It may be a raw credential, and pgx prints the values that it couldn't write in its errors.
func (d Digest) Format(f fmt.State, verb rune) {
	if d != "" && !d.Valid() {
		_, _ = io.WriteString(f, "[not a digest]")
		return
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), string(d))
}

// isNull reports whether d is written as NULL: it is none, or PostgreSQL can't hold it.
func (d Digest) isNull() bool {
	return d == "" || strings.IndexByte(string(d), 0) >= 0 || !utf8.ValidString(string(d))
}

// TextValue implements [pgtype.TextValuer]: the 43 characters, NULL, or [ErrDigest]. It doesn't allocate.
func (d Digest) TextValue() (pgtype.Text, error) {
	switch {
	case d.Valid():
		return pgtype.Text{String: string(d), Valid: true}, nil
	case d.isNull():
		return pgtype.Text{}, nil
	}
	return pgtype.Text{}, ErrDigest
}

// ScanText implements [pgtype.TextScanner]. NULL is an error: scan it into a *Digest, which becomes nil. It doesn't
// allocate.
//
// What is found is taken as it is. Servers that share the tables may keep something else in a column, an encrypted
// client secret for example: that mustn't keep the row from being read, and since it isn't Valid it equals nothing.
func (d *Digest) ScanText(v pgtype.Text) error {
	if !v.Valid {
		return errNullDigest
	}
	*d = Digest(v.String)
	return nil
}

// Value implements [driver.Valuer], for database/sql: the 43 characters, nil for NULL, or [ErrDigest].
func (d Digest) Value() (driver.Value, error) {
	switch {
	case d.Valid():
		return string(d), nil
	case d.isNull():
		return nil, nil
	}
	return nil, ErrDigest
}

// Digests are several of them, as a parameter.
type Digests []Digest

// TextValue implements [pgtype.TextValuer]: an array of what each Digest is written as, or [ErrDigest] if one isn't written.
func (d Digests) TextValue() (pgtype.Text, error) {
	texts := make([]string, len(d))
	for i := range d {
		text, err := d[i].TextValue()
		switch {
		case err != nil:
			return pgtype.Text{}, err
		case text.Valid:
			texts[i] = text.String // base64url, in which an array needs no quotes
		default:
			texts[i] = "NULL"
		}
	}
	return pgtype.Text{String: "{" + strings.Join(texts, ",") + "}", Valid: true}, nil
}

// Scan implements [database/sql.Scanner], as ScanText does for pgx.
func (d *Digest) Scan(src any) error {
	switch src := src.(type) {
	case nil:
		return errNullDigest
	case string:
		*d = Digest(src)
		return nil
	case []byte:
		*d = Digest(src)
		return nil
	}
	return fmt.Errorf("token: cannot scan %T into token.Digest", src)
}

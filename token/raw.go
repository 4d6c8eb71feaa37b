package token

import (
	"crypto/subtle"
	"database/sql/driver"
	"fmt"
	"io"
	"log/slog"

	"github.com/jackc/pgx/v5/pgtype"
)

// redacted is what a Raw shows of itself.
const redacted = "[redacted]"

// Raw is a credential as it is handed out and presented. It comes from [Mint], [Parse], [ParseForeign] or [Successor].
//
// It shows "[redacted]" instead of its text in fmt (every verb), in log/slog, in encoding/json and wherever else
// [encoding.TextMarshaler] is honoured: a response that must carry the token says so with Reveal. To find a token in a
// log, log its Digest. A Raw can't be unmarshalled or scanned into, nor compared with == (use Equal), and writing one
// to PostgreSQL, through pgx or through database/sql, fails with [ErrRaw].
//
// The zero Raw stands for no credential: see IsZero. A Raw is immutable and may be used by many goroutines at once.
type Raw struct {
	_ [0]func() // not comparable: == would tell, by its timing, how much of a guess is right

	// A pointer, because fmt reaches past every method in two places, unexported fields of a struct and the verb %p,
	// and prints what it finds there by reflection: of a string its text, of a nested pointer only its address.
	// nil for the zero Raw alone: no credential is the empty string.
	text *string
}

func newRaw(s string) Raw { return Raw{text: &s} }

// Reveal returns the text of the credential, as it must be sent to the client: the empty string for the zero Raw. There
// is no other way to it, so every place where a secret leaves the server is found by searching for this name.
func (r Raw) Reveal() string {
	if r.text == nil {
		return ""
	}
	return *r.text
}

// IsZero reports whether r holds no credential. encoding/json calls it for fields tagged omitzero.
func (r Raw) IsZero() bool { return r.text == nil }

// Digest returns what the database holds of the credential. The zero Raw has the zero Digest, which can't be written
// and equals nothing, so that the absence of a credential never finds a row.
func (r Raw) Digest() Digest {
	if r.IsZero() {
		return ""
	}
	return DigestOf(*r.text)
}

// Equal reports whether both are the same credential, in a time that depends on their lengths alone. The zero Raw
// equals nothing, not even itself.
func (r Raw) Equal(other Raw) bool {
	if r.IsZero() || other.IsZero() {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(*r.text), []byte(*other.text)) == 1
}

// Format implements [fmt.Formatter]: whatever the verb and the flags, the text stays hidden.
//
// It is deliberate that Raw has a Format method and no String: pgx writes anything with a String method as text.
func (r Raw) Format(f fmt.State, verb rune) {
	text := redacted
	if verb == 'v' && f.Flag('#') {
		text = "token.Raw(" + redacted + ")"
	}
	_, _ = io.WriteString(f, text)
}

// LogValue implements [slog.LogValuer].
func (r Raw) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and through it encoding/json: "[redacted]", never the text.
func (r Raw) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// TextValue implements [pgtype.TextValuer] so that pgx asks here, before all else, and is refused with [ErrRaw].
func (r Raw) TextValue() (pgtype.Text, error) { return pgtype.Text{}, ErrRaw }

// Value implements [driver.Valuer] so that database/sql, and pgx for types other than text, are refused with [ErrRaw].
func (r Raw) Value() (driver.Value, error) { return nil, ErrRaw }

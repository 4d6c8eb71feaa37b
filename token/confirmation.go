package token

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
)

// Confirmation binds a token to a key that its holder must prove to have: the "cnf" claim of RFC 7800 §3.1, as far as
// OAuth uses it for opaque tokens. It is the Go type of the jsonb columns named confirmation, as *Confirmation: nil,
// which is NULL, for a bearer token. Introspection returns it as it is (RFC 9449 §6.2, RFC 8705 §3.2).
//
// Its JSON is the same for the same value, whatever wrote it: fixed members, left out when empty. So SQL may compare
// two of them as jsonb.
type Confirmation struct {
	// JKT is the thumbprint of the client's DPoP key: base64url(SHA-256(JWK)), per RFC 7638. RFC 9449 §6.1.
	JKT string `json:"jkt,omitempty"`

	// X5TS256 is the thumbprint of the client's TLS certificate: base64url(SHA-256(DER)). RFC 8705 §3.1.
	X5TS256 string `json:"x5t#S256,omitempty"`
}

// IsZero reports whether c names no key. Use a nil *Confirmation for that, which is NULL; '{}' is not.
func (c Confirmation) IsZero() bool { return c == Confirmation{} }

// Value implements [driver.Valuer]: the JSON text. Queries take a confirmation as a domain over jsonb, whose OID differs
// from one database to the next, and pgx writes a value of a type that it doesn't know by its text.
func (c Confirmation) Value() (driver.Value, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("token: encode confirmation: %w", err)
	}
	return string(text), nil
}

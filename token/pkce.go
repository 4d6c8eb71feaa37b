package token

import "fmt"

// Bounds of a code verifier, in characters: RFC 7636 §4.1.
const (
	MinVerifierLength = 43
	MaxVerifierLength = 128
)

// S256 returns the code challenge of a code verifier: base64url(SHA-256(verifier)), unpadded, 43 characters. RFC 7636
// §4.2; OAuth 2.1 leaves "plain" out, and so does this package. It doesn't judge the verifier: see [CheckVerifier].
func S256(verifier string) string { return string(DigestOf(verifier)) }

// CheckVerifier returns an error, which wraps [ErrVerifier] and holds nothing of the verifier, unless it follows the
// grammar of RFC 7636 §4.1: 43 to 128 characters out of A-Z, a-z, 0-9 and "-._~".
func CheckVerifier(verifier string) error {
	if len(verifier) < MinVerifierLength || len(verifier) > MaxVerifierLength {
		return fmt.Errorf("%w: %d characters: %d to %d are needed",
			ErrVerifier, len(verifier), MinVerifierLength, MaxVerifierLength)
	}
	for i := range len(verifier) {
		switch c := verifier[i]; {
		case isBase62(c), c == '-', c == '.', c == '_', c == '~':
		default:
			return fmt.Errorf("%w: a character that is not unreserved", ErrVerifier)
		}
	}
	return nil
}

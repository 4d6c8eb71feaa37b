package token

import (
	"errors"
	"fmt"
)

// The reasons for which a presented credential is refused. Compare with [errors.Is]. Their texts are fixed: no
// character of what was presented is in them, nor its length, so they may be logged and returned.
var (
	// ErrMalformed: empty, longer than MaxLength, a character outside the alphabet, or a token of ours whose length is
	// wrong (cut short, or two run together).
	ErrMalformed = errors.New("token: malformed")

	// ErrChecksum: the form of a token of ours, but its checksum is wrong. It was mistyped, or made up.
	ErrChecksum = errors.New("token: wrong checksum")

	// ErrKind: a token of ours, but of another kind than was asked for. The error is a KindError, which says which.
	ErrKind = errors.New("token: wrong kind")

	// ErrForeign: no prefix of this scheme. It may be another server's; ParseForeign accepts those.
	ErrForeign = errors.New("token: no prefix of this scheme")
)

// ErrRaw is returned wherever a [Raw] is about to be written to a database. Pass its Digest instead.
var ErrRaw = errors.New("token: a raw credential is never written to the database: pass its Digest()")

// ErrDigest is returned where a [Digest] is required and something else was found. What was found is not in the error:
// it may well be a raw credential, passed by mistake.
var ErrDigest = errors.New("token: not a digest: 43 characters of unpadded base64url are expected")

// ErrKeys is returned by [NewSuccessors], [NewHydra] and [NewFosite] for a set of keys that it can't use. The error it wraps says which key and
// why.
var ErrKeys = errors.New("token: unusable keys")

// ErrVerifier is returned by [CheckVerifier] for a code verifier outside the grammar of RFC 7636 §4.1.
var ErrVerifier = errors.New("token: malformed code verifier")

// ErrVendor is returned by [NewScheme] for a vendor that can't stand in front of a token.
var ErrVendor = errors.New("token: a vendor is 2 to 16 lower-case letters and digits, a letter first")

// What exactly is malformed. Variables rather than texts built where they are needed, so that refusing garbage
// allocates nothing, and no text can ever come to hold a part of the input.
var (
	errEmpty      = fmt.Errorf("%w: empty", ErrMalformed)
	errTooLong    = fmt.Errorf("%w: longer than %d characters", ErrMalformed, MaxLength)
	errCharacter  = fmt.Errorf("%w: a character outside printable ASCII", ErrMalformed)
	errLength     = fmt.Errorf("%w: wrong length", ErrMalformed)
	errFositeForm = fmt.Errorf("%w: not a key and a signature", ErrMalformed)
	errAlphabet   = fmt.Errorf("%w: a character that is neither letter nor digit", ErrMalformed)
)

// KindError says that a token of one kind was presented where another was asked for: a refresh token at a resource
// server, say. errors.Is(err, [ErrKind]) holds for it.
type KindError struct {
	Want Kind // the kind asked for
	Got  Kind // the kind that the prefix of the presented token tells; zero where Want itself is no kind
}

// Error implements error. The text holds the names of both kinds, and nothing of the token.
func (e KindError) Error() string {
	if !e.Want.known() {
		return "token: wrong kind: an unknown kind was asked for"
	}
	return "token: wrong kind: " + e.Want.String() + " expected, " + e.Got.String() + " presented"
}

// Is makes errors.Is(err, ErrKind) hold.
func (e KindError) Is(target error) bool { return target == ErrKind }

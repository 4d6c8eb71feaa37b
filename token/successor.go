package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

const (
	// MinKeyLength is the least length of a successor key, in bytes: the output of SHA-256 (RFC 2104 §3). Take random
	// ones.
	MinKeyLength = 32
	// MaxKeys is how many keys a [Successors] holds at most.
	MaxKeys = 8
)

// successorLabel keeps this use of a key apart from any other. No presented token can run into it: none holds a NUL.
const successorLabel = "oauthdb/token successor v1\x00"

// Successor returns the refresh token that follows the presented one under the key: a refresh token of the default
// scheme, with the 256 bits of HMAC-SHA-256(key, label || presented) in it. The same token and key always give the same
// successor, so parallel and repeated refreshes converge, and only who holds the key can tell it. The presented token
// may be foreign, and it may be a device code or an auth_req_id: so polls converge, too. The zero Raw has no successor but
// the zero Raw.
//
// It panics if the key is shorter than [MinKeyLength]. Servers whose keys change use [Successors].
func Successor(key []byte, presented Raw) Raw { return Scheme{}.Successor(key, presented) }

// Successor is as the function [Successor], for this scheme.
func (s Scheme) Successor(key []byte, presented Raw) Raw {
	if len(key) < MinKeyLength {
		panic(fmt.Sprintf("token: a successor key of %d bytes: at least %d are needed", len(key), MinKeyLength))
	}
	if presented.IsZero() {
		return Raw{}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(successorLabel))
	mac.Write([]byte(presented.Reveal()))
	var content [32]byte
	mac.Sum(content[:0])
	return s.assemble(RefreshToken, &content)
}

// Successors derives the successors of refresh tokens under a set of keys that changes over time. Make it with
// [NewSuccessors]. It is immutable and may be used by many goroutines at once. Its keys don't show when it is
// formatted.
//
// To change keys without a refused retry, while several servers run: first deploy the new key behind the current one,
// so that every server can match it; then in front; and drop the old one when the grace interval for replays has
// passed.
type Successors struct {
	derive []func(presented Raw) Raw // one for each key, the newest first. Closures: fmt can't look inside them
}

// NewSuccessors returns the Successors of the given keys, the newest first, which derive refresh tokens of the default
// scheme. There must be 1 to [MaxKeys] of them, each of at least [MinKeyLength] bytes, no two the same; the error wraps
// [ErrKeys] otherwise. The keys are copied.
func NewSuccessors(keys ...[]byte) (*Successors, error) { return Scheme{}.NewSuccessors(keys...) }

// NewSuccessors is as the function [NewSuccessors], for this scheme.
func (s Scheme) NewSuccessors(keys ...[]byte) (*Successors, error) {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, fmt.Errorf("%w: %d keys: 1 to %d are needed", ErrKeys, len(keys), MaxKeys)
	}
	derive := make([]func(Raw) Raw, 0, len(keys))
	for i, key := range keys {
		if len(key) < MinKeyLength {
			return nil, fmt.Errorf("%w: key %d has %d bytes: at least %d are needed", ErrKeys, i, len(key), MinKeyLength)
		}
		for j, newer := range keys[:i] {
			if sameKey(newer, key) {
				return nil, fmt.Errorf("%w: keys %d and %d are the same", ErrKeys, j, i)
			}
		}
		own := bytes.Clone(key)
		derive = append(derive, func(presented Raw) Raw { return s.Successor(own, presented) })
	}
	return &Successors{derive: derive}, nil
}

// sameKey takes keys that differ in zeros at their end alone for the same: HMAC pads keys with zeros (RFC 2104 §2).
func sameKey(a, b []byte) bool {
	return bytes.Equal(bytes.TrimRight(a, "\x00"), bytes.TrimRight(b, "\x00"))
}

// Successor returns the refresh token that follows the presented one under the newest key.
func (s *Successors) Successor(presented Raw) Raw { return s.derive[0](presented) }

// Match returns, of the successors of the presented token under all keys, the one with the stored digest; false if
// there is none. When a rotation turns out to be a replay, the successor that stands in the database may have been
// derived by another server or under an earlier key: this finds it, so that the retry still converges. It compares in
// constant time.
func (s *Successors) Match(presented Raw, stored Digest) (Raw, bool) {
	var found Raw
	for _, derive := range s.derive {
		if successor := derive(presented); successor.Digest().Equal(stored) {
			found = successor
		}
	}
	return found, !found.IsZero()
}

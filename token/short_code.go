package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

const shortCodeLabel = "oauthdb/token short code v1\x00"

// ShortCodeDigest returns the digest of a code that is short enough to be typed, such as six digits that were mailed. Whoever
// reads the database could find such a code from its [DigestOf] by trying all of them, so this one is the HMAC-SHA-256 under a
// key of the server's, in the form of a Digest. It covers the purpose and the subject, so equal codes of two people don't show.
//
// It panics if the key is shorter than [MinKeyLength].
func ShortCodeDigest(key []byte, purpose, subject, code string) Digest {
	if len(key) < MinKeyLength {
		panic(fmt.Sprintf("token: a key for short codes of %d bytes: at least %d are needed", len(key), MinKeyLength))
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(shortCodeLabel))
	for _, part := range [...]string{purpose, subject, code} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return Digest(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

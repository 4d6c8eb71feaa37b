package token

import "encoding/binary"

const (
	assertionLabel      = "oauthdb/token assertion v1\x00"
	grantAssertionLabel = "oauthdb/token grant assertion v1\x00"
)

// AssertionID returns the key under which a client assertion is remembered, in oauth_client_assertion, so that it is
// accepted once: a digest of the client and of the assertion's jti (RFC 7523, section 3, item 7). Two clients may use the
// same jti.
func AssertionID(clientID, jti string) Digest { return digestOfPair(assertionLabel, clientID, jti) }

// GrantAssertionID returns the key under which an assertion that was presented as a grant is remembered, in
// oauth_client_assertion: a digest of its issuer and its jti (RFC 7523, section 3, item 7). Two issuers may use the same
// jti, and so may a client that is an issuer as well. The jti is case-sensitive (RFC 7519, section 4.1.7). For an assertion
// without a jti, pass the whole assertion in its place.
func GrantAssertionID(issuer, jti string) Digest {
	return digestOfPair(grantAssertionLabel, issuer, jti)
}

// digestOfPair puts each part in with its length, so no other pair of strings runs together to the same.
func digestOfPair(label, a, b string) Digest {
	message := make([]byte, 0, 256)
	message = append(message, label...)
	for _, part := range [...]string{a, b} {
		message = binary.BigEndian.AppendUint64(message, uint64(len(part)))
		message = append(message, part...)
	}
	return digestOf(message)
}

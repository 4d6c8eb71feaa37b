package token

import "time"

const proofLabel = "oauthdb/token proof v1\x00"

// ProofID returns the key under which a DPoP proof is remembered, in oauth_proof, so that it is accepted once: a digest of the
// thumbprint of the proof's key (jkt; RFC 9449, section 6.1) and of its jti (section 4.2). Two keys may use the same jti.
func ProofID(jkt, jti string) Digest { return digestOfPair(proofLabel, jkt, jti) }

// ProofExpiresAt returns until when a DPoP proof has to be remembered (RFC 9449, section 11.1): issuedAt is its iat, lifetime
// how long after that it is accepted, and skew by how much the clocks may differ. A proof whose iat lies in the future is
// accepted for longer than lifetime from now, so a memory of that length would forget it too early. A negative lifetime or
// skew counts as zero.
func ProofExpiresAt(issuedAt time.Time, lifetime, skew time.Duration) time.Time {
	return issuedAt.Add(max(lifetime, 0)).Add(max(skew, 0))
}

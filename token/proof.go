package token

const proofLabel = "oauthdb/token proof v1\x00"

// ProofID returns the key under which a DPoP proof is remembered, in oauth_proof, so that it is accepted once: a digest of the
// thumbprint of the proof's key (jkt; RFC 9449, section 6.1) and of its jti (section 4.2). Two keys may use the same jti.
func ProofID(jkt, jti string) Digest { return digestOfPair(proofLabel, jkt, jti) }

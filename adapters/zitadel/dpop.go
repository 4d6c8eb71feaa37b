package zitadel

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/token"
)

const (
	proofLifetime = time.Minute      // from iat
	proofSkew     = 10 * time.Second // of clocks
	maxProof      = 8 << 10
)

// proofAlgorithms are those by which DPoP proofs may be signed (RFC 9449, section 4.2: not symmetric, not none).
var proofAlgorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256, jose.PS256, jose.ES384}

// proven is the key that a request proves to hold; the zero value is none.
type proven struct {
	confirmation *token.Confirmation
	proof        *token.Digest // the calls remember it
	until        *time.Time

	accessTokenHash string // ath, at a protected resource
}

// useNonce is the error of RFC 9449, section 8. What is refused by it spends nothing, not even the proof.
const useNonce = "use_dpop_nonce"

// prove verifies the DPoP proof of a request, if it has one, as far as the proof itself goes (RFC 9449, section 4.3). That it was not
// presented before, the call says that gets the result.
func (p *Provider) prove(r *http.Request, at *op.Endpoint) (proven, error) {
	headers := r.Header.Values("DPoP")
	if len(headers) == 0 {
		return proven{}, nil
	}
	exchangeFrom(r.Context()).proved = true
	key, claims, why := readProof(headers)
	if why == "" {
		why = claims.fits(r.Method, at.Absolute(op.IssuerFromContext(r.Context())), time.Now())
	}
	if why != "" {
		return proven{}, withCode("invalid_dpop_proof").WithDescription("%s", why)
	}
	if p.storage.opts.DPoPNonces && !p.storage.nonces.takes(claims.Nonce, time.Now()) {
		return proven{}, withCode(useNonce).WithDescription("the proof has to carry the nonce of the DPoP-Nonce header")
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return proven{}, withCode("invalid_dpop_proof").WithDescription("the proof has no public key")
	}
	jkt := base64.RawURLEncoding.EncodeToString(thumbprint)
	return proven{
		confirmation: &token.Confirmation{JKT: jkt},
		proof:        new(token.ProofID(jkt, claims.ID)),
		until:        new(token.ProofExpiresAt(claims.IssuedAt.Time(), proofLifetime, proofSkew)),

		accessTokenHash: claims.AccessTokenHash,
	}, nil
}

// proofClaims are those of a DPoP proof (RFC 9449, section 4.2).
type proofClaims struct {
	ID              string           `json:"jti"`
	Method          string           `json:"htm"`
	URI             string           `json:"htu"`
	IssuedAt        jwt.NumericDate  `json:"iat"`
	NotBefore       jwt.NumericDate  `json:"nbf"` // optional, as all of RFC 7519 is
	ExpiresAt       *jwt.NumericDate `json:"exp"`
	AccessTokenHash string           `json:"ath"`
	Nonce           string           `json:"nonce"`
}

// readProof returns the key and the claims of a proof that the key has signed, or says what is wrong.
func readProof(headers []string) (key *jose.JSONWebKey, claims proofClaims, why string) {
	if len(headers) != 1 || len(headers[0]) > maxProof {
		return nil, claims, "there has to be one DPoP header"
	}
	jws, err := jose.ParseSignedCompact(headers[0], proofAlgorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, claims, "the proof is not a JWT that is signed by one of the algorithms"
	}
	header := jws.Signatures[0].Protected
	switch key = header.JSONWebKey; {
	case header.ExtraHeaders[jose.HeaderType] != "dpop+jwt":
		return nil, claims, "the proof's typ is not dpop+jwt"
	case key == nil || !key.Valid() || !key.IsPublic():
		return nil, claims, "the proof has no public key"
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, claims, "the signature of the proof is wrong"
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, claims, "the claims of the proof can't be read"
	}
	return key, claims, ""
}

// fits says why a proof is not one for such a request at such a time, or nothing.
func (c proofClaims) fits(method, uri string, now time.Time) string {
	issued := c.IssuedAt.Time()
	switch {
	case c.ID == "" || !storable(c.ID):
		return "the proof has no jti"
	case c.Method != method:
		return "the proof's htm is another method"
	case !sameURI(c.URI, uri):
		return "the proof's htu is another URI"
	case issued.After(now.Add(proofSkew)), c.NotBefore.Time().After(now.Add(proofSkew)):
		return "the proof's iat or nbf lies in the future"
	case !now.Before(token.ProofExpiresAt(issued, proofLifetime, proofSkew)), c.ExpiresAt != nil && !now.Before(c.ExpiresAt.Time().Add(proofSkew)):
		return "the proof has expired"
	}
	return ""
}

// sameURI compares without query and fragment (RFC 9449, section 4.3, item 9).
func sameURI(a, b string) bool {
	x, err := url.Parse(a)
	if err != nil {
		return false
	}
	y, err := url.Parse(b)
	if err != nil {
		return false
	}
	return strings.EqualFold(x.Scheme, y.Scheme) && strings.EqualFold(x.Host, y.Host) && x.EscapedPath() == y.EscapedPath() && x.User == nil
}

package democlient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// prover sends requests with a proof that the app has a key, so that the tokens are good for nobody else (RFC 9449).
type prover struct {
	base   http.RoundTripper
	signer jose.Signer

	mu    sync.Mutex
	nonce string // of the provider, if it wants one
}

func newProver() (*prover, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		return nil, err
	}
	return &prover{base: http.DefaultTransport, signer: signer}, nil
}

// RoundTrip implements http.RoundTripper. A provider that wants its nonce in the proof says so to the first request (section 8).
func (p *prover) RoundTrip(r *http.Request) (*http.Response, error) {
	for again := false; ; again = true {
		request := r.Clone(r.Context())
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			request.Body = body
		}
		proof, err := p.proof(r)
		if err != nil {
			return nil, err
		}
		request.Header.Set("DPoP", proof)
		response, err := p.base.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		nonce := response.Header.Get("DPoP-Nonce")
		p.mu.Lock()
		isNew := nonce != "" && nonce != p.nonce
		if isNew {
			p.nonce = nonce
		}
		p.mu.Unlock()
		refused := response.StatusCode == http.StatusBadRequest || response.StatusCode == http.StatusUnauthorized
		if again || !isNew || !refused || r.Body != nil && r.GetBody == nil {
			return response, nil
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
		response.Body.Close()
	}
}

// proof is one for a request (section 4.2).
func (p *prover) proof(r *http.Request) (string, error) {
	p.mu.Lock()
	nonce := p.nonce
	p.mu.Unlock()
	at := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path}
	claims := map[string]any{"jti": rand.Text(), "htm": r.Method, "htu": at.String(), "iat": time.Now().Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if accessToken, found := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP "); found {
		hash := sha256.Sum256([]byte(accessToken))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(hash[:])
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := p.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

package zitadel

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// WithExchange is a request as a Provider passes it on.
func WithExchange(r *http.Request) *http.Request {
	_, r = withExchange(r)
	return r
}

// Nonces are those of a server, as of another time.
func Nonces(s *Storage) (at func(time.Time) string, takes func(string, time.Time) bool) {
	return s.nonces.at, s.nonces.takes
}

// Details are what a Storage reads of authorization_details.
func Details(s *Storage, text string) (json.RawMessage, error) {
	return s.details(url.Values{"authorization_details": {text}})
}

// DocumentURL reads a client_id.
var DocumentURL = documentURL

// ReadProof reads a DPoP header.
func ReadProof(header string) (why string) {
	_, _, why = readProof([]string{header})
	return why
}

// IntrospectionJSON is the answer about a token as it is sent.
var IntrospectionJSON = introspectionJSON

package zitadel

import (
	"net/http"
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

package zitadel

import "net/http"

// WithExchange is a request as a Provider passes it on.
func WithExchange(r *http.Request) *http.Request {
	_, r = withExchange(r)
	return r
}

// PublicClient is what fetches the documents of clients by default.
var PublicClient = publicClient

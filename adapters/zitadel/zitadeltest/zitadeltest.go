// Package zitadeltest serves a provider of package zitadel with a login page, for tests: a user who is signed in agrees to everything at
// once.
package zitadeltest

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
)

// LoginURL is where the page is, for zitadel.Options.
func LoginURL(id string) string { return "/login?id=" + url.QueryEscape(id) }

// Handler serves the provider's endpoints, and the page at LoginURL. approval says what the user whose browser asks agrees to; nil is
// nobody, and answered 401.
func Handler(storage *zitadel.Storage, provider *zitadel.Provider, approval func(*http.Request, zitadel.PendingRequest) *zitadel.Approval) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("id")
		p, err := storage.PendingRequest(r.Context(), id)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a := approval(r, p)
		switch {
		case slices.Contains(p.Request.Prompt, "none"):
			err = provider.Deny(w, r, id, nil)
		case a == nil:
			http.Error(w, "nobody is signed in", http.StatusUnauthorized)
		default:
			err = provider.Approve(w, r, id, *a)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	return mux
}

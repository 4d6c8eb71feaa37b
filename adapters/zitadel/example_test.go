package zitadel_test

import (
	"log"
	"net/http"
	"net/url"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// A login page decides about a pending request and sends the browser back.
func ExampleNewProvider() {
	var (
		pool                           *pgxpool.Pool // db.Open
		successorKey, keyEncryptionKey []byte        // 32 random bytes each, from the configuration
		signedIn                       func(r *http.Request) (store.FindSessionByTokenRow, bool)
		askForPassword, askForConsent  func(w http.ResponseWriter, r *http.Request) error
	)
	storage, err := zitadel.New(pool, zitadel.Options{
		SuccessorKeys:     [][]byte{successorKey},
		KeyEncryptionKeys: [][]byte{keyEncryptionKey},
		LoginURL:          func(id string) string { return "/login?id=" + url.QueryEscape(id) },
	})
	if err != nil {
		log.Fatal(err)
	}
	config := &op.Config{CodeMethodS256: true, GrantTypeRefreshToken: true, AuthMethodPrivateKeyJWT: true}
	provider, err := zitadel.NewProvider(storage, config, op.StaticIssuer("https://id.example.com"))
	if err != nil {
		log.Fatal(err)
	}
	queries := store.New(pool)
	http.Handle("/", provider)
	http.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("id")
		pending, err := storage.PendingRequest(r.Context(), id)
		if err != nil {
			http.Error(w, "This sign-in has been completed or has expired.", http.StatusBadRequest)
			return
		}
		decide := func() error {
			silent := slices.Contains(pending.Request.Prompt, oidc.PromptNone) // no page may be shown
			current, found := signedIn(r)
			switch {
			case !found && silent:
				return provider.Deny(w, r, id, oidc.ErrLoginRequired())
			case !found:
				return askForPassword(w, r)
			}
			consent, err := queries.CheckConsent(r.Context(), store.CheckConsentParams{
				ClientID: pending.Authorization.ClientID, UserID: current.User.ID, Scopes: pending.Authorization.Scopes,
			})
			switch {
			case err != nil:
				return err
			case !consent.Covered && silent:
				return provider.Deny(w, r, id, oidc.ErrInteractionRequired())
			case !consent.Covered:
				return askForConsent(w, r) // then store.GrantConsent, and here again
			}
			return provider.Approve(w, r, id, zitadel.Approval{
				UserID: current.User.ID, SessionID: &current.Session.ID, Scopes: pending.Authorization.Scopes,
				AuthTime: current.Session.CreatedAt, AMR: []string{"pwd"},
			})
		}
		if err := decide(); err != nil {
			http.Error(w, "This sign-in could not be completed.", http.StatusBadRequest)
		}
	})
}

package oautherror_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// A token endpoint for refresh tokens on net/http: a request is one statement, which authenticates the client, decides and writes.
func ExampleFor() {
	var (
		pool       *pgxpool.Pool     // db.Open
		successors *token.Successors // token.NewSuccessors
	)
	q := store.New(pool)
	tell := func(w http.ResponseWriter, status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client may have gone
	}
	http.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		client, secret, _ := r.BasicAuth()
		presented, err := token.Parse(token.RefreshToken, r.PostFormValue("refresh_token"))
		if r.PostFormValue("grant_type") != "refresh_token" || err != nil {
			tell(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
			return
		}
		successor, accessToken := successors.Successor(presented), token.Mint(token.AccessToken)
		row, err := q.RotateRefreshToken(r.Context(), store.RotateRefreshTokenParams{
			ClientID: store.ClientID(client), ClientAuthMethod: "client_secret_basic", ClientSecret: token.DigestOf(secret),
			Token: presented.Digest(), SuccessorID: store.NewRefreshTokenID(), Successor: successor.Digest(),
			RefreshTokenLifetime: 30 * 24 * time.Hour, Grace: 30 * time.Second,
			AccessTokenID: store.NewAccessTokenID(), AccessToken: new(accessToken.Digest()), AccessTokenLifetime: 10 * time.Minute,
		})
		if err != nil {
			tell(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
			return
		}
		if refused := oautherror.For(oautherror.Token, oautherror.RotateRefreshToken, row.Outcome); refused != nil {
			tell(w, refused.Status, refused)
			return
		}
		if stored, found := successors.Match(presented, *row.Successor); found { // of a retry, by whichever key
			successor = stored
		}
		tell(w, http.StatusOK, map[string]any{
			"access_token": accessToken.Reveal(), "token_type": "Bearer", "expires_in": int(time.Until(*row.AccessTokenExpiresAt).Seconds()),
			"refresh_token": successor.Reveal(), "scope": strings.Join(row.Scopes, " "),
		})
	})
}

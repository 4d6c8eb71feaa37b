package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/testdb"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// What stands between the two marks is the page of code in README.md; a test keeps them the same.

// readme:begin

// Server holds what the endpoints need.
type Server struct {
	Store      *store.Queries
	Successors *token.Successors // token.NewSuccessors(newestKey, previousKey)
	Scopes     []string          // of clients that have none registered
}

// approve is called when the user has clicked on Allow, and returns the code for the client. The authorization endpoint has recorded
// the request (CreateAuthorization), which the client's registration allows.
func (s *Server) approve(ctx context.Context, session store.Session, request store.AuthorizationID, scopes []string) (token.Raw, error) {
	code := token.Mint(token.AuthorizationCode)
	approved, err := s.Store.ApproveAuthorization(ctx, store.ApproveAuthorizationParams{
		ID:            request,
		UserID:        session.UserID,
		SessionID:     &session.ID,
		GrantedScopes: scopes,
		DefaultScopes: s.Scopes,
		Code:          new(code.Digest()),
		CodeLifetime:  time.Minute,
	})
	if err == nil && approved.Outcome != store.OutcomeApproved && approved.Outcome != store.OutcomeRetried {
		err = fmt.Errorf("approve: %s", approved.Outcome) // denied meanwhile, expired, signed_out …
	}
	return code, err
}

// Token is the token endpoint for public clients (RFC 6749, section 3.2).
func (s *Server) Token(w http.ResponseWriter, r *http.Request) {
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		s.exchangeCode(w, r)
	case "refresh_token":
		s.refresh(w, r)
	default:
		fail(w, "unsupported_grant_type")
	}
}

// exchangeCode is one statement. It checks the code, marks it used and writes both tokens, or revokes what a replayed code gave.
func (s *Server) exchangeCode(w http.ResponseWriter, r *http.Request) {
	code, err := token.Parse(token.AuthorizationCode, r.PostFormValue("code"))
	if err != nil {
		fail(w, "invalid_grant") // malformed: no need to ask the database
		return
	}
	access, refresh := token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
	redeemed, err := s.Store.RedeemAuthorizationCode(r.Context(), store.RedeemAuthorizationCodeParams{
		Code:                 code.Digest(),
		ClientID:             store.ClientID(r.PostFormValue("client_id")),
		ClientAuthMethod:     "none", // a public client; else "client_secret_basic", say, and ClientSecret, a digest
		RedirectURI:          optional(r.PostFormValue("redirect_uri")),
		CodeChallenge:        new(token.S256(r.PostFormValue("code_verifier"))),
		AccessTokenID:        store.NewAccessTokenID(), // new for each request, so this is never retried
		AccessToken:          new(access.Digest()),
		AccessTokenLifetime:  10 * time.Minute,
		RefreshTokenID:       new(store.NewRefreshTokenID()),
		RefreshToken:         new(refresh.Digest()),
		RefreshTokenLifetime: 30 * 24 * time.Hour,
		FamilyLifetime:       store.Never, // as long as it is refreshed
		DefaultScopes:        s.Scopes,
	})
	switch {
	case err != nil:
		http.Error(w, "server_error", http.StatusInternalServerError) // a fault, never a verdict on the grant
	case redeemed.Outcome == store.OutcomeRedeemed:
		if redeemed.RefreshTokenID == nil {
			refresh = token.Raw{} // the client is not registered for refresh_token
		}
		answer(w, access, refresh, redeemed.GrantedScopes)
	default:
		fail(w, errorOf(redeemed.Outcome)) // unknown, replayed, expired, mismatched, revoked …
	}
}

// refresh is one statement too. A client that retries, from two tabs or after a lost answer, gets the same refresh token again.
// If an older token comes back, it has leaked, and the family ends.
func (s *Server) refresh(w http.ResponseWriter, r *http.Request) {
	presented, err := token.Parse(token.RefreshToken, r.PostFormValue("refresh_token"))
	if err != nil {
		fail(w, "invalid_grant")
		return
	}
	access, successor := token.Mint(token.AccessToken), s.Successors.Successor(presented)
	rotated, err := s.Store.RotateRefreshToken(r.Context(), store.RotateRefreshTokenParams{
		Token:                presented.Digest(),
		ClientID:             store.ClientID(r.PostFormValue("client_id")),
		ClientAuthMethod:     "none",
		Grace:                30 * time.Second,
		SuccessorID:          store.NewRefreshTokenID(),
		Successor:            successor.Digest(),
		RefreshTokenLifetime: 30 * 24 * time.Hour,
		AccessTokenID:        store.NewAccessTokenID(),
		AccessToken:          new(access.Digest()),
		AccessTokenLifetime:  10 * time.Minute,
		DefaultScopes:        s.Scopes,
	})
	switch {
	case err != nil:
		http.Error(w, "server_error", http.StatusInternalServerError)
	case rotated.Outcome == store.OutcomeRotated:
		answer(w, access, successor, rotated.Scopes)
	case rotated.Outcome == store.OutcomeRetried:
		// the successor written before, whichever key it was derived with
		written, found := s.Successors.Match(presented, *rotated.Successor)
		if !found {
			fail(w, "invalid_grant")
			return
		}
		answer(w, access, written, rotated.Scopes)
	default:
		fail(w, errorOf(rotated.Outcome)) // replayed (the family is dead now), unknown, expired, revoked …
	}
}

func errorOf(outcome store.Outcome) string {
	switch outcome {
	case store.OutcomeUnauthenticated, store.OutcomeDisabled:
		return "invalid_client"
	case store.OutcomeUnauthorizedClient, store.OutcomeInvalidScope, store.OutcomeInvalidTarget:
		return string(outcome)
	}
	return "invalid_grant"
}

// readme:end

func answer(w http.ResponseWriter, access, refresh token.Raw, scopes []string) {
	w.Header().Set("Cache-Control", "no-store")
	body := map[string]any{
		"token_type": "Bearer", "access_token": access.Reveal(), "scope": strings.Join(scopes, " "), "expires_in": 600,
	}
	if refresh.Reveal() != "" {
		body["refresh_token"] = refresh.Reveal()
	}
	_ = json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, code string) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func TestReadmesTokenEndpoint(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, testdb.Options{MaxConns: 8})
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	successors, err := token.NewSuccessors([]byte(strings.Repeat("k", 32)))
	ok(err)
	endpoints := &Server{Store: db.Store, Successors: successors, Scopes: []string{"openid", "profile", "email", "offline_access", "phone"}}
	server := httptest.NewServer(http.HandlerFunc(endpoints.Token))
	defer server.Close()

	user, client, callback := store.NewUserID(), store.NewClientID(), "https://client.example/callback"
	_, err = db.Store.CreateUser(t.Context(), store.CreateUserParams{ID: user, Name: "Ada", Email: new("ada@example.com")})
	ok(err)
	_, err = db.Store.CreateClient(t.Context(), store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: client, RedirectURIs: []string{callback}, Public: new(true),
	})
	ok(err)
	post := func(form url.Values) (status int, body map[string]any) {
		form.Set("client_id", string(client))
		r, err := http.PostForm(server.URL, form)
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		defer r.Body.Close()
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		return r.StatusCode, body
	}

	verifier := strings.Repeat("v", 43)
	scopes := []string{"openid", "email", "offline_access"}
	cookie := token.Mint(token.SessionToken)
	_, err = db.Store.CreateSession(t.Context(), store.CreateSessionParams{
		ID: store.NewSessionID(), UserID: user, Token: cookie.Digest(), Lifetime: 24 * time.Hour,
	})
	ok(err)
	request := store.NewAuthorizationID()
	created, err := db.Store.CreateAuthorization(t.Context(), store.CreateAuthorizationParams{
		ID: request, ClientID: client, Scopes: scopes, RedirectURI: new(callback), ResponseType: new("code"),
		CodeChallenge: new(token.S256(verifier)), CodeChallengeMethod: new("S256"), DefaultScopes: endpoints.Scopes,
		Lifetime: 10 * time.Minute,
	})
	ok(err)
	if created.Outcome != store.OutcomeCreated {
		t.Fatalf("CreateAuthorization: %s", created.Outcome)
	}
	signedIn, err := db.Store.FindSessionByToken(t.Context(), cookie.Digest())
	ok(err)
	if _, err := endpoints.approve(t.Context(), signedIn.Session, request, append(scopes, "phone")); err == nil {
		t.Error("more was approved than the client asked for")
	}
	code, err := endpoints.approve(t.Context(), signedIn.Session, request, scopes)
	ok(err)
	exchange := url.Values{"grant_type": {"authorization_code"}, "code": {code.Reveal()}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	status, first := post(exchange)
	if status != http.StatusOK {
		t.Fatalf("code exchange: %d %v", status, first)
	}

	// eight tabs refresh at once
	refreshed := make([]string, 8)
	var wg sync.WaitGroup
	for i := range refreshed {
		wg.Go(func() {
			status, body := post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first["refresh_token"].(string)}})
			if status != http.StatusOK {
				t.Errorf("refresh: %d %v", status, body)
				return
			}
			refreshed[i] = body["refresh_token"].(string)
		})
	}
	wg.Wait()
	for _, r := range refreshed {
		if r != refreshed[0] {
			t.Errorf("parallel refreshes gave %v, want one and the same", refreshed)
			break
		}
	}
	wantActive := func(want bool, tokens ...string) {
		t.Helper()
		for _, raw := range tokens {
			row, err := db.Store.IntrospectToken(t.Context(), store.IntrospectTokenParams{Token: token.DigestOf(raw), ClientAuthMethod: "server"})
			ok(err)
			if active := row.Outcome == store.OutcomeActive; active != want {
				t.Errorf("a token is active: %v, want %v", active, want)
			}
		}
	}
	wantActive(true, refreshed[0])

	// the code once more: refused, and everything that it gave is dead
	if status, body := post(exchange); status != http.StatusBadRequest || body["error"] != "invalid_grant" {
		t.Errorf("replayed code: %d %v", status, body)
	}
	wantActive(false, refreshed[0], first["access_token"].(string))
}

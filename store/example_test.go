package store_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// A user lets a client in, the client redeems its code, and the user thinks better of it.
func Example() {
	ctx := context.Background()
	pool, err := db.Open(ctx, databaseURL, db.Options{})
	must(err)
	defer pool.Close()
	q := store.New(pool)

	user, err := q.CreateUser(ctx, store.CreateUserParams{ID: store.NewUserID(), Name: "Ada"})
	must(err)
	client, err := q.CreateClient(ctx, store.CreateClientParams{
		ID:                      store.NewOAuthClientID(),
		ClientID:                store.NewClientID(),
		Name:                    new("Notes"),
		RedirectURIs:            []string{"https://notes.example/callback"},
		TokenEndpointAuthMethod: new("none"), // a public client
		GrantTypes:              []string{"authorization_code", "refresh_token"},
		Scopes:                  []string{"notes:read", "notes:write"},
	})
	must(err)

	// The user signs in: the cookie holds the token, the database its digest.
	cookie, session := token.Mint(token.SessionToken), store.NewSessionID()
	signedIn, err := q.CreateSession(ctx, store.CreateSessionParams{
		ID: session, Token: cookie.Digest(), UserID: user.ID, Lifetime: 24 * time.Hour,
	})
	must(err)
	fmt.Println("sign-in:", signedIn.Outcome)

	// The client sends its request, and the user allows a part of it.
	verifier, request := strings.Repeat("v", 43), store.NewAuthorizationID()
	created, err := q.CreateAuthorization(ctx, store.CreateAuthorizationParams{
		ID: request, ClientID: client.ClientID, ResponseType: new("code"), Scopes: []string{"notes:read", "notes:write"},
		CodeChallenge: new(token.S256(verifier)), CodeChallengeMethod: new("S256"), Lifetime: 10 * time.Minute,
	})
	must(err)
	fmt.Println("request:", created.Outcome, *created.RedirectURI)
	code := token.Mint(token.AuthorizationCode)
	approved, err := q.ApproveAuthorization(ctx, store.ApproveAuthorizationParams{
		ID: request, Code: new(code.Digest()), UserID: user.ID, SessionID: &session, GrantedScopes: []string{"notes:read"},
		CodeLifetime: time.Minute,
	})
	must(err)
	fmt.Println("approval:", approved.Outcome)

	// The client redeems the code.
	access, refresh := token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
	redeemed, err := q.RedeemAuthorizationCode(ctx, store.RedeemAuthorizationCodeParams{
		Code: code.Digest(), ClientID: client.ClientID, ClientAuthMethod: "none", CodeChallenge: new(token.S256(verifier)),
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()), AccessTokenLifetime: 10 * time.Minute,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(refresh.Digest()), RefreshTokenLifetime: 30 * 24 * time.Hour,
		FamilyLifetime: store.Never,
	})
	must(err)
	fmt.Println("redemption:", redeemed.Outcome, redeemed.GrantedScopes)

	// A resource server asks about the access token, before and after the user withdraws what was granted.
	ask := func() store.IntrospectTokenRow {
		row, err := q.IntrospectToken(ctx, store.IntrospectTokenParams{Token: access.Digest(), ClientAuthMethod: "server"})
		must(err)
		return row
	}
	fmt.Println("introspection:", ask().Outcome)
	_, err = q.RevokeUserAuthorizationsByClient(ctx, store.RevokeUserAuthorizationsByClientParams{UserID: user.ID, ClientID: client.ClientID})
	must(err)
	fmt.Println("introspection:", ask().Outcome)
	// Output:
	// sign-in: created
	// request: created https://notes.example/callback
	// approval: approved
	// redemption: redeemed [notes:read]
	// introspection: active
	// introspection: inactive
}

// Eight tabs refresh at once, and get the same refresh token. When that one has been used, the first one is reused by somebody, and the
// grant ends.
func ExampleQueries_RotateRefreshToken() {
	ctx := context.Background()
	q, client, refresh := grant(ctx)
	successors, err := token.NewSuccessors([]byte("a key of 32 bytes or more, kept as a secret"))
	must(err)

	rotate := func(presented token.Raw) (store.Outcome, token.Raw) {
		successor, access := successors.Successor(presented), token.Mint(token.AccessToken)
		row, err := q.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
			Token:                presented.Digest(),
			ClientID:             client,
			ClientAuthMethod:     "none",
			AccessTokenID:        store.NewAccessTokenID(),
			AccessToken:          new(access.Digest()),
			AccessTokenLifetime:  10 * time.Minute,
			SuccessorID:          store.NewRefreshTokenID(),
			Successor:            successor.Digest(),
			RefreshTokenLifetime: 30 * 24 * time.Hour,
			Grace:                30 * time.Second,
		})
		must(err)
		return row.Outcome, successor
	}

	var tabs sync.WaitGroup
	var mu sync.Mutex
	outcomes, tokens := map[store.Outcome]int{}, map[string]bool{}
	for range 8 {
		tabs.Go(func() {
			outcome, successor := rotate(refresh)
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
			tokens[successor.Reveal()] = true
		})
	}
	tabs.Wait()
	fmt.Println(outcomes, "and", len(tokens), "refresh token")

	outcome, next := rotate(successors.Successor(refresh))
	fmt.Println(outcome)
	outcome, _ = rotate(refresh)
	fmt.Println(outcome)
	outcome, _ = rotate(next)
	fmt.Println(outcome)
	// Output:
	// map[retried:7 rotated:1] and 1 refresh token
	// rotated
	// replayed
	// revoked
}

// A limit on guesses counts them before they are made, so that no number of parallel requests gets past it.
func ExampleQueries_CountAttempt() {
	ctx := context.Background()
	pool, err := db.Open(ctx, databaseURL, db.Options{})
	must(err)
	defer pool.Close()
	q := store.New(pool)

	for range 4 {
		row, err := q.CountAttempt(ctx, store.CountAttemptParams{
			Subject:       token.DigestOf("ada@example.com"),
			Purpose:       "sign-in",
			MaxAttempts:   3,
			AttemptWindow: 15 * time.Minute,
		})
		must(err)
		fmt.Println(row.Outcome, row.AttemptsLeft)
	}
	// Output:
	// counted 2
	// counted 1
	// counted 0
	// exhausted 0
}

// A code that was sent by mail is accepted once.
func ExampleQueries_RedeemOneTimeCode() {
	ctx := context.Background()
	pool, err := db.Open(ctx, databaseURL, db.Options{})
	must(err)
	defer pool.Close()
	q := store.New(pool)

	const purpose, address = "verify-email", "ada@example.com"
	subject := token.DigestOf(address)
	digest := func(code string) token.Digest { // keyed, as six digits are soon guessed
		return token.ShortCodeDigest([]byte("a key of 32 bytes or more, kept as a secret"), purpose, address, code)
	}
	_, err = q.CreateOneTimeCode(ctx, store.CreateOneTimeCodeParams{
		Subject: subject, Purpose: purpose, Digest: digest("403118"), Lifetime: 10 * time.Minute,
	})
	must(err)
	for _, guess := range []string{"403117", "403118", "403118"} {
		row, err := q.RedeemOneTimeCode(ctx, store.RedeemOneTimeCodeParams{
			Subject: subject, Purpose: purpose, Digest: digest(guess), MaxAttempts: 5, AttemptWindow: time.Hour,
		})
		must(err)
		fmt.Println(row.Outcome)
	}
	// Output:
	// mismatched
	// accepted
	// unknown
}

// The statement of a call, to look at its plan.
func ExampleSQL() {
	fmt.Println(store.SQL("DeleteUser") != "", store.SQL("DropUser") == "")
	// Output: true true
}

// grant is what Example does up to the redemption, by the shortest way: a client that a user has granted a refresh token.
func grant(ctx context.Context) (q *store.Queries, client store.ClientID, refresh token.Raw) {
	pool, err := pgxpool.New(ctx, databaseURL)
	must(err)
	q, client = store.New(pool), store.NewClientID()
	user, err := q.CreateUser(ctx, store.CreateUserParams{ID: store.NewUserID(), Name: "Ada"})
	must(err)
	_, err = q.CreateClient(ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: client, TokenEndpointAuthMethod: new("none"), RedirectURIs: []string{"https://notes.example/callback"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid", "offline_access"},
	})
	must(err)
	access, refresh := token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
	_, err = q.IssueGrant(ctx, store.IssueGrantParams{
		ID: store.NewAuthorizationID(), ClientID: client, UserID: user.ID, GrantType: "authorization_code",
		Scopes:        []string{"openid", "offline_access"},
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(access.Digest()), AccessTokenLifetime: 10 * time.Minute,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(refresh.Digest()), RefreshTokenLifetime: 30 * 24 * time.Hour,
		FamilyLifetime: store.Never,
	})
	must(err)
	return q, client, refresh
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

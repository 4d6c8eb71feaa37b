package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// What stands between the two marks is the code in README.md; a test keeps them the same.

// readme:begin

// refresh exchanges a refresh token for the next one (RFC 6749, section 6). If eight tabs refresh at once, all of them get the same next
// token. If the old one comes back after the next one was used, it has leaked, and the grant ends.
func refresh(ctx context.Context, q *store.Queries, keys *token.Successors, client store.ClientID, presented token.Raw) (access, next token.Raw, err error) {
	access, next = token.Mint(token.AccessToken), keys.Successor(presented)
	row, err := q.RotateRefreshToken(ctx, store.RotateRefreshTokenParams{
		Token:                presented.Digest(),
		ClientID:             client,
		ClientAuthMethod:     "none", // a public client; else "client_secret_basic", say, and ClientSecret
		AccessTokenID:        store.NewAccessTokenID(),
		AccessToken:          new(access.Digest()),
		AccessTokenLifetime:  10 * time.Minute,
		SuccessorID:          store.NewRefreshTokenID(),
		Successor:            next.Digest(),
		RefreshTokenLifetime: 30 * 24 * time.Hour,
		Grace:                30 * time.Second, // for how long the old one is taken for a retry
	})
	if err != nil {
		return token.Raw{}, token.Raw{}, err // the database is in trouble, which says nothing about the token
	}
	if refused := oautherror.For(oautherror.Token, oautherror.RotateRefreshToken, row.Outcome); refused != nil {
		return token.Raw{}, token.Raw{}, refused // invalid_grant, invalid_client …, with its status
	}
	if written, found := keys.Match(presented, *row.Successor); found { // before, by a key that has been replaced since
		next = written
	}
	return access, next, nil
}

// readme:end

func TestReadmesRefresh(t *testing.T) {
	t.Parallel()
	q, client, first := grant(t.Context())
	older, err := token.NewSuccessors([]byte("a key of 32 bytes or more, kept as a secret"))
	must(err)
	keys, err := token.NewSuccessors([]byte("another key of 32 bytes, which is newer"), []byte("a key of 32 bytes or more, kept as a secret"))
	must(err)

	_, written, err := refresh(t.Context(), q, older, client, first)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 { // tabs, after the server has got a new key
		wg.Go(func() {
			_, next, err := refresh(t.Context(), q, keys, client, first)
			if err != nil || next.Digest() != written.Digest() {
				t.Errorf("another refresh token than the first caller's, or %v", err)
			}
		})
	}
	wg.Wait()

	access, next, err := refresh(t.Context(), q, keys, client, written)
	if err != nil {
		t.Fatal(err)
	}
	refusal := func(presented token.Raw) string {
		_, _, err := refresh(t.Context(), q, keys, client, presented)
		var refused *oautherror.Error
		if !errors.As(err, &refused) {
			t.Fatalf("%v, want a refusal", err)
		}
		return refused.Code
	}
	for _, reused := range []token.Raw{first, next} { // the first ends the grant, and so the other one
		if code := refusal(reused); code != "invalid_grant" {
			t.Errorf("refused as %s", code)
		}
	}
	for _, dead := range []token.Raw{access, next} {
		row, err := q.IntrospectToken(t.Context(), store.IntrospectTokenParams{Token: dead.Digest(), ClientAuthMethod: "server"})
		if err != nil || row.Outcome != store.OutcomeInactive {
			t.Errorf("%v, %v, after the reuse of a token", row.Outcome, err)
		}
	}
}

package storetest_test

import (
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

func Example() {
	var t *testing.T // of the test

	db := storetest.New(t, storetest.MaxConns(20))
	user, err := db.Store.CreateUser(t.Context(), store.CreateUserParams{
		ID:    store.NewUserID(),
		Name:  "Ada",
		Email: new("ada@example.com"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Store.CreateSession(t.Context(), store.CreateSessionParams{
		ID:       store.NewSessionID(),
		UserID:   user.ID,
		Token:    token.DigestOf("what the cookie holds"),
		Lifetime: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
}

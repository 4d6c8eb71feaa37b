package store_test

import (
	"time"

	"github.com/oauthdb/oauthdb/store"
)

func (w *world) issueParams(raw string) store.IssueAccessTokenParams {
	return store.IssueAccessTokenParams{
		ID: store.NewAccessTokenID(), ClientID: w.client, AccessToken: ptr(digest(raw)), Lifetime: ptr(5 * time.Minute),
		Scopes: []string{"metrics"},
	}
}

// issue issues a token to the world's client itself, wants an outcome, and returns the token.
func (w *world) issue(raw string, want store.IssuanceOutcome, change ...func(*store.IssueAccessTokenParams)) string {
	w.Helper()
	p := w.issueParams(raw)
	for _, c := range change {
		c(&p)
	}
	row, err := w.q.IssueAccessToken(w.ctx, p)
	w.ok(err)
	wantEqual(w, "IssueAccessToken", row.Outcome, want)
	return raw
}

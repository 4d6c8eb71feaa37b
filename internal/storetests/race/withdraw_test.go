package race

import (
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// Withdrawals that meet each other, and grants that hold the user's KEY SHARE, wait in turn and never for each other.
func TestWithdrawalsThatMeet(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	client := w.NewClient()
	for range roundsOf(1) {
		fixture.Together(fixture.Times(8, func(i int) {
			if i%2 == 0 {
				_, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: client, UserID: w.User, Scopes: []string{"openid"}})
				w.Raced("GrantConsent", err)
				return
			}
			_, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{ClientID: client, UserID: w.User})
			w.Raced("WithdrawConsent", err)
		})...)
	}
}

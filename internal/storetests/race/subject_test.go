package race

import (
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// TestRacePairwiseSubjectIsGivenOnce lets clients of one sector meet a user for the first time, all at once.
func TestRacePairwiseSubjectIsGivenOnce(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	const n = 16
	for range roundsOf(10) {
		host := "https://" + fixture.Unique("sector") + ".example/"
		clients := make([]store.ClientID, 4)
		for i := range clients {
			clients[i] = w.NewClient(func(p *store.CreateClientParams) {
				p.SubjectType, p.RedirectURIs = new("pairwise"), []string{host + fixture.Unique("cb")}
			})
		}
		user := w.NewUser()
		session := w.NewSession(user)
		var given tally[store.Subject]
		w.parallel("IssueGrant", n, outcomes{store.OutcomeIssued: n}, func(i int) (store.Outcome, error) {
			r, err := w.Q.IssueGrant(w.Ctx, store.IssueGrantParams{
				ID: store.NewAuthorizationID(), UserID: user, ClientID: clients[i%len(clients)], SessionID: &session, GrantType: "server",
				AccessTokenID: store.NewAccessTokenID(), AccessTokenLifetime: time.Hour,
			})
			if r.Sub != nil {
				given.add(*r.Sub)
			}
			return r.Outcome, err
		})
		if len(given.m) != 1 {
			t.Fatalf("the sector knows the user as %v", given.m)
		}
		w.wantCount("subjects", 1, `SELECT count(*) FROM oauth_pairwise_subject WHERE user_id = $1`, user)
		w.wantCount("subjects to tell of", 1, `SELECT count(DISTINCT k.sub) FROM session_client AS k JOIN oauth_pairwise_subject AS p ON p.subject = k.sub WHERE k.session_id = $1`, session)

		// one user, brought with different subjects; then different users with one
		user = w.NewUser()
		create := func(user store.UserID, subject store.Subject) (store.Outcome, error) {
			return w.Q.CreatePairwiseSubject(w.Ctx, store.CreatePairwiseSubjectParams{ClientID: clients[0], UserID: user, Subject: subject})
		}
		once := outcomes{store.OutcomeCreated: 1, store.OutcomeTaken: n - 1}
		w.parallel("CreatePairwiseSubject of one user", n, once, func(int) (store.Outcome, error) { return create(user, store.Subject(fixture.Unique("sub"))) })
		users := slices.Collect(func(yield func(store.UserID) bool) {
			for range n {
				if !yield(w.NewUser()) {
					return
				}
			}
		})
		subject := store.Subject(fixture.Unique("sub"))
		w.parallel("CreatePairwiseSubject of one subject", n, once, func(i int) (store.Outcome, error) { return create(users[i], subject) })
		w.parallel("the same call", n, outcomes{store.OutcomeCreated: 1, store.OutcomeRetried: n - 1}, func(int) (store.Outcome, error) {
			return create(w.User, "s")
		})
		w.Exec(`DELETE FROM oauth_pairwise_subject WHERE user_id = $1`, w.User)
	}
}

// TestRaceRotationsWithoutARow lets clients of a fleet rotate one token, half of them without a row for the access token.
func TestRaceRotationsWithoutARow(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	const n = 16
	for i := range roundsOf(20) {
		s := w.newScene(i%2 == 0, false)
		before := w.count(`SELECT count(*) FROM oauth_access_token WHERE authorization_id = $1`, s.at.id)
		var latest tally[time.Time]
		w.parallel("RotateRefreshToken", n, outcomes{store.OutcomeRotated: 1, store.OutcomeRetried: n - 1}, func(i int) (store.Outcome, error) {
			p := s.rotation(s.at.refresh, "+"+s.at.refresh, fixture.Unique("at"))
			if i%2 == 0 {
				p.AccessTokenWithoutRow, p.AccessToken = true, nil
				p.AccessTokenLifetime = time.Duration(i+1) * time.Minute
			}
			r, err := w.Q.RotateRefreshToken(w.Ctx, p)
			if p.AccessTokenWithoutRow && r.AccessTokenExpiresAt != nil {
				latest.add(*r.AccessTokenExpiresAt)
			}
			return r.Outcome, err
		})
		w.wantCount("access tokens", before+n/2, `SELECT count(*) FROM oauth_access_token WHERE authorization_id = $1`, s.at.id)
		var until time.Time
		for at := range latest.m {
			if at.After(until) {
				until = at
			}
		}
		w.wantCount("refresh tokens that are kept until the last access token has expired", 1,
			`SELECT count(*) FROM (SELECT max(access_token_expires_at) AS until FROM oauth_refresh_token WHERE authorization_id = $1) AS r WHERE until = $2`, s.at.id, until)
		w.wantAlive(s, "the family", granted{family: s.at.id})
	}
}

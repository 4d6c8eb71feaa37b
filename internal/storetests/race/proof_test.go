package race

import (
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// A call that is made again, with the same proof, while the first one is still under way waits for it, and is retried like one that is made
// later: a proof is replayed only by another call.
func TestARepeatedCallMayMeetTheFirst(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	exchanger := w.NewExchanger(func(p *store.CreateClientParams) { p.GrantTypes = append(p.GrantTypes, "client_credentials") })
	w.TrustIssuer(fixture.Issuer)
	w.NewAccount(w.User, fixture.Issuer, "subject")
	proof := func() (*token.Digest, *time.Time) {
		return new(fixture.Digest(fixture.Unique("proof"))), new(time.Now().Add(time.Hour))
	}
	type call func(*store.Queries) (store.Outcome, error)
	calls := map[string]func() call{
		"RedeemAuthorizationCode": func() call {
			_, code := w.Grant()
			p := w.RedeemParams(code)
			p.Proof, p.ProofExpiresAt = proof()
			return func(q *store.Queries) (store.Outcome, error) {
				r, err := q.RedeemAuthorizationCode(w.Ctx, p)
				return r.Outcome, err
			}
		},
		"RotateRefreshToken": func() call {
			p, _ := w.RotateParams(w.Redeem().Refresh)
			p.Proof, p.ProofExpiresAt = proof()
			return func(q *store.Queries) (store.Outcome, error) {
				r, err := q.RotateRefreshToken(w.Ctx, p)
				return r.Outcome, err
			}
		},
		"IssueAccessToken": func() call {
			p := store.IssueAccessTokenParams{
				ID: store.NewAccessTokenID(), ClientID: exchanger, ClientAuthMethod: fixture.Verified, Scopes: []string{"openid"}, Lifetime: time.Minute,
			}
			p.Proof, p.ProofExpiresAt = proof()
			return func(q *store.Queries) (store.Outcome, error) {
				r, err := q.IssueAccessToken(w.Ctx, p)
				return r.Outcome, err
			}
		},
		"ExchangeToken": func() call {
			p, _ := w.ExchangeParams(w.Redeem().Access, exchanger)
			p.Proof, p.ProofExpiresAt = proof()
			return func(q *store.Queries) (store.Outcome, error) {
				r, err := q.ExchangeToken(w.Ctx, p)
				return r.Outcome, err
			}
		},
		"IssueTokenByAssertion": func() call {
			p, _ := w.AssertionParams(fixture.Issuer, "subject", fixture.Unique("jti"), exchanger)
			p.Proof, p.ProofExpiresAt = proof()
			return func(q *store.Queries) (store.Outcome, error) {
				r, err := q.IssueTokenByAssertion(w.Ctx, p)
				return r.Outcome, err
			}
		},
	}
	for name, make := range calls {
		t.Run(name, func(t *testing.T) {
			w := &world{w.ForSubtest(t)}
			run := make()
			tx, err := w.Pool.Begin(w.Ctx)
			w.OK(err)
			defer tx.Rollback(w.Ctx)
			if _, err := run(store.New(tx)); err != nil {
				t.Fatal(err)
			}
			c, err := w.Pool.Acquire(w.Ctx)
			w.OK(err)
			defer c.Release()
			var got store.Outcome
			second := w.besides(c, func() (err error) {
				got, err = run(store.New(c))
				return err
			})
			if !second.waited {
				t.Fatal("the second call has not met the first")
			}
			w.OK(tx.Commit(w.Ctx))
			w.OK(second.finish())
			if got != store.OutcomeRetried {
				t.Errorf("the same call again: %s", got)
			}
		})
	}
}

package race

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// tally counts what the calls of a race came to.
type tally[K comparable] struct {
	mu sync.Mutex
	m  map[K]int
}

func (c *tally[K]) add(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[K]int{}
	}
	c.m[k]++
}

type outcomes = map[store.Outcome]int

// parallel lets n calls go at the same moment, and wants their outcomes, if any are given.
func (w *world) parallel(call string, n int, want outcomes, do func(i int) (store.Outcome, error)) outcomes {
	w.Helper()
	var c tally[store.Outcome]
	fixture.Together(fixture.Times(n, func(i int) {
		if o, err := do(i); w.Raced(call, err) {
			c.add(o)
		}
	})...)
	if want != nil && !maps.Equal(c.m, want) {
		w.Errorf("%s: outcomes %v, want %v", call, c.m, want)
	}
	return c.m
}

// count reads one number.
func (w *world) count(sql string, args ...any) (n int) {
	w.Helper()
	w.OK(w.Pool.QueryRow(w.Ctx, sql, args...).Scan(&n))
	return n
}

func (w *world) wantCount(what string, want int, sql string, args ...any) {
	w.Helper()
	if n := w.count(sql, args...); n != want {
		w.Errorf("%s: %d, want %d", what, n, want)
	}
}

func TestRaceCodeIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for i := range roundsOf(10) {
		// the same call many times
		s := w.newScene(i%2 == 0, false)
		p := s.redemption(s.coded.code, "at"+s.coded.code, "rt"+s.coded.code)
		w.parallel("RedeemAuthorizationCode", 16, outcomes{store.OutcomeRedeemed: 1, store.OutcomeRetried: 15}, func(int) (store.Outcome, error) {
			r, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			return r.Outcome, err
		})
		w.WantLive("at"+s.coded.code, "rt"+s.coded.code)
		w.wantCount("tokens", 2, `SELECT (SELECT count(*) FROM oauth_access_token WHERE authorization_id = $1) + (SELECT count(*) FROM oauth_refresh_token WHERE authorization_id = $1)`, s.coded.id)
		// many calls
		s = w.newScene(i%2 == 0, false)
		raws := make([]string, 32)
		w.parallel("RedeemAuthorizationCode", 16, outcomes{store.OutcomeRedeemed: 1, store.OutcomeReplayed: 15}, func(i int) (store.Outcome, error) {
			raws[2*i], raws[2*i+1] = fixture.Unique("at"), fixture.Unique("rt")
			r, err := w.Q.RedeemAuthorizationCode(w.Ctx, s.redemption(s.coded.code, raws[2*i], raws[2*i+1]))
			return r.Outcome, err
		})
		w.WantDead(raws...)
		// one proof for two codes
		s = w.newScene(true, false)
		other := w.newScene(true, false)
		proof := fixture.Digest(fixture.Unique("proof"))
		w.parallel("RedeemAuthorizationCode", 2, outcomes{store.OutcomeRedeemed: 1, store.OutcomeProofReplayed: 1}, func(i int) (store.Outcome, error) {
			x := []*scene{s, other}[i]
			p := x.redemption(x.coded.code, fixture.Unique("at"), fixture.Unique("rt"))
			p.Proof, p.ProofExpiresAt = &proof, new(time.Now().Add(time.Minute))
			r, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			return r.Outcome, err
		})
	}
}

func TestRaceRotationsConverge(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 64)
	live := `SELECT count(*) FROM oauth_refresh_token WHERE authorization_id = $1 AND revoked IS NULL`
	for i := range roundsOf(20) {
		s := w.newScene(i%2 == 0, false)
		n := []int{16, 64}[i%2]
		var successors tally[store.RefreshTokenID]
		w.parallel("RotateRefreshToken", n, outcomes{store.OutcomeRotated: 1, store.OutcomeRetried: n - 1}, func(int) (store.Outcome, error) {
			r, err := w.Q.RotateRefreshToken(w.Ctx, s.rotation(s.at.refresh, "+"+s.at.refresh, fixture.Unique("at")))
			if r.SuccessorID != nil {
				successors.add(*r.SuccessorID)
			}
			return r.Outcome, err
		})
		if len(successors.m) != 1 {
			w.Errorf("%d successors", len(successors.m))
		}
		w.wantCount("live refresh tokens", 1, live, s.at.id)
		w.wantCount("access tokens", n+1, `SELECT count(*) FROM oauth_access_token WHERE authorization_id = $1`, s.at.id)
		// the same call, though nothing is forgiven
		s = w.newScene(i%2 == 0, false)
		p := s.rotation(s.at.refresh, "+"+s.at.refresh, fixture.Unique("at"))
		p.Grace = 0
		w.parallel("RotateRefreshToken", 16, outcomes{store.OutcomeRotated: 1, store.OutcomeRetried: 15}, func(int) (store.Outcome, error) {
			r, err := w.Q.RotateRefreshToken(w.Ctx, p)
			return r.Outcome, err
		})
		w.wantCount("access tokens", 2, `SELECT count(*) FROM oauth_access_token WHERE authorization_id = $1`, s.at.id)
		// other calls are reuse then
		s = w.newScene(i%2 == 0, false)
		got := w.parallel("RotateRefreshToken", 16, nil, func(int) (store.Outcome, error) {
			p := s.rotation(s.at.refresh, "+"+s.at.refresh, fixture.Unique("at"))
			p.Grace = 0
			r, err := w.Q.RotateRefreshToken(w.Ctx, p)
			return r.Outcome, err
		})
		if got[store.OutcomeRotated] != 1 || got[store.OutcomeReplayed] < 1 || got[store.OutcomeReplayed]+got[store.OutcomeRevoked] != 15 {
			w.Errorf("RotateRefreshToken without grace: %v", got)
		}
		w.WantDead(s.at.refresh, "+"+s.at.refresh, s.at.access)
		// retries of the predecessor while its successor is used: forgiven until then, and reuse ends everything
		s = w.newScene(i%2 == 0, false)
		old := tally[store.Outcome]{}
		w.parallel("RotateRefreshToken", 8, nil, func(i int) (store.Outcome, error) {
			p := s.rotation(s.rotated.next, s.rotated.next+"+", fixture.Unique("at"))
			if i%2 == 0 {
				p = s.rotation(s.rotated.refresh, s.rotated.next, fixture.Unique("at"))
			}
			r, err := w.Q.RotateRefreshToken(w.Ctx, p)
			if i%2 == 0 {
				old.add(r.Outcome)
			}
			return r.Outcome, err
		})
		want := 1
		if old.m[store.OutcomeReplayed] > 0 {
			want = 0
		}
		w.wantCount("live refresh tokens after a retry of the predecessor", want, `SELECT count(*) FROM oauth_refresh_token AS r JOIN oauth_authorization AS a ON a.id = r.authorization_id WHERE a.id = $1 AND r.revoked IS NULL AND a.revoked_at IS NULL`, s.rotated.id)
	}
}

func TestRaceDecisions(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for i := range roundsOf(10) {
		s := w.newScene(i%2 == 0, false)
		approve := func(s *scene) (store.Outcome, error) {
			g, err := grantNamed("ApproveAuthorization").run(w.Ctx, w.Pool, s)
			return g.outcome, err
		}
		deny := func(s *scene) (store.Outcome, error) {
			r, err := w.Q.DenyAuthorization(w.Ctx, store.DenyAuthorizationParams{ID: s.pending})
			return r.Outcome, err
		}
		w.parallel("ApproveAuthorization", 16, outcomes{store.OutcomeApproved: 1, store.OutcomeRetried: 15}, func(int) (store.Outcome, error) { return approve(s) })
		w.parallel("DenyAuthorization", 4, outcomes{store.OutcomeDecided: 4}, func(int) (store.Outcome, error) { return deny(s) })
		s = w.newScene(i%2 == 0, false)
		w.parallel("DenyAuthorization", 8, outcomes{store.OutcomeDenied: 1, store.OutcomeRetried: 7}, func(int) (store.Outcome, error) { return deny(s) })
		s = w.newScene(i%2 == 0, false)
		got := w.parallel("ApproveAuthorization and DenyAuthorization", 8, nil, func(i int) (store.Outcome, error) {
			if i%2 == 0 {
				return approve(s)
			}
			return deny(s)
		})
		if got[store.OutcomeApproved]+got[store.OutcomeDenied] != 1 || got[store.OutcomeDecided] != 4 || got[store.OutcomeRetried] != 3 {
			w.Errorf("decisions: %v", got)
		}
		// of many codes the last counts
		codes := make([]string, 8)
		w.parallel("IssueAuthorizationCode", 8, outcomes{store.OutcomeIssued: 8}, func(i int) (store.Outcome, error) {
			g, err := grantNamed("IssueAuthorizationCode").run(w.Ctx, w.Pool, s)
			codes[i] = g.code
			return g.outcome, err
		})
		w.parallel("RedeemAuthorizationCode", 8, outcomes{store.OutcomeRedeemed: 1, store.OutcomeUnknown: 7}, func(i int) (store.Outcome, error) {
			r, err := w.Q.RedeemAuthorizationCode(w.Ctx, s.redemption(codes[i], fixture.Unique("at"), fixture.Unique("rt")))
			return r.Outcome, err
		})
		// a code that is asked for while the user decides
		s = w.newScene(i%2 == 0, false)
		got = w.parallel("IssueAuthorizationCode and ApproveAuthorization", 8, nil, func(i int) (store.Outcome, error) {
			if i == 0 {
				return approve(s)
			}
			r, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{ID: s.pending, Code: fixture.Digest(fixture.Unique("code")), CodeLifetime: time.Minute, DefaultScopes: fixture.Scopes})
			return r.Outcome, err
		})
		if got[store.OutcomeApproved] != 1 || got[store.OutcomeIssued]+got[store.OutcomeUndecided] != 7 {
			w.Errorf("IssueAuthorizationCode and ApproveAuthorization: %v", got)
		}
		// registrations that go away
		s = w.newScene(true, false)
		got = w.parallel("CreateAuthorization and DeleteClient", 8, nil, func(i int) (store.Outcome, error) {
			if i == 0 {
				return w.Q.DeleteClient(w.Ctx, s.client)
			}
			r, err := w.Q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{ID: store.NewAuthorizationID(), ClientID: s.client, RedirectURI: new("https://a.example/"), ResponseType: new("code"), Scopes: []string{"openid"}, DefaultScopes: fixture.Scopes, CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), Lifetime: time.Minute})
			return r.Outcome, err
		})
		if got[store.OutcomeDeleted] != 1 {
			w.Errorf("CreateAuthorization and DeleteClient: %v", got)
		}
	}
}

func TestRaceSameCallIsRetried(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	for range roundsOf(10) {
		s := w.newScene(true, false)
		p := store.IssueAccessTokenParams{ClientID: s.client, ClientAuthMethod: "verified", ID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(fixture.Unique("own"))), Lifetime: time.Hour}
		w.parallel("IssueAccessToken", 16, outcomes{store.OutcomeIssued: 1, store.OutcomeRetried: 15}, func(int) (store.Outcome, error) {
			r, err := w.Q.IssueAccessToken(w.Ctx, p)
			return r.Outcome, err
		})
		swap, swapped := s.exchanged(s.exchanger)
		w.parallel("ExchangeToken", 16, outcomes{store.OutcomeExchanged: 1, store.OutcomeRetried: 15}, func(int) (store.Outcome, error) {
			r, err := w.Q.ExchangeToken(w.Ctx, swap)
			if err == nil && (r.ExpiresAt == nil || len(r.Scopes) == 0 || len(r.Act) == 0) {
				err = errors.New("the answer says nothing of the token")
			}
			return r.Outcome, err
		})
		assert, asserted := s.assertion()
		w.parallel("IssueTokenByAssertion", 16, outcomes{store.OutcomeIssued: 1, store.OutcomeRetried: 15}, func(int) (store.Outcome, error) {
			r, err := w.Q.IssueTokenByAssertion(w.Ctx, assert)
			if err == nil && (r.ExpiresAt == nil || r.AuthorizationID == nil) {
				err = errors.New("the answer says nothing of the token")
			}
			return r.Outcome, err
		})
		w.WantLive(swapped.token, asserted.token)
		again, _ := s.assertion()
		w.parallel("IssueTokenByAssertion, of one assertion", 16, outcomes{store.OutcomeIssued: 1, store.OutcomeProofReplayed: 15}, func(int) (store.Outcome, error) {
			p := again
			p.AccessTokenID, p.AccessToken = store.NewAccessTokenID(), new(fixture.Digest(fixture.Unique("at")))
			r, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
			return r.Outcome, err
		})
		grant, raw := s.directGrant()
		w.parallel("IssueGrant", 16, outcomes{store.OutcomeIssued: 1, store.OutcomeRetried: 15}, func(int) (store.Outcome, error) {
			r, err := w.Q.IssueGrant(w.Ctx, grant)
			if err == nil && (r.AccessTokenExpiresAt == nil || r.RefreshTokenExpiresAt == nil) {
				err = errors.New("the answer says nothing of the tokens")
			}
			return r.Outcome, err
		})
		w.WantLive(raw.token, raw.refresh)
		proof := fixture.Digest(fixture.Unique("proof"))
		w.parallel("RememberProof", 16, outcomes{store.OutcomeRemembered: 1, store.OutcomeProofReplayed: 15}, func(int) (store.Outcome, error) {
			return w.Q.RememberProof(w.Ctx, store.RememberProofParams{ID: proof, ExpiresAt: time.Now().Add(time.Minute)})
		})
		w.parallel("RememberClientAssertion", 16, outcomes{store.OutcomeRemembered: 1, store.OutcomeProofReplayed: 15}, func(int) (store.Outcome, error) {
			return w.Q.RememberClientAssertion(w.Ctx, store.RememberClientAssertionParams{ID: proof, ExpiresAt: time.Now().Add(time.Minute).Unix(), MaxLifetime: time.Hour})
		})
		// each secret counts for as long as was promised; the same one again changes nothing
		w.parallel("RotateClientSecret", 8, outcomes{store.OutcomeRotated: 8}, func(i int) (store.Outcome, error) {
			return w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: s.client, ClientSecret: fixture.Digest(fmt.Sprint(s.user, i)), Overlap: time.Minute, Lifetime: store.Never})
		})
		w.parallel("AuthenticateClient", 8, outcomes{store.OutcomeAuthenticated: 8}, func(i int) (store.Outcome, error) {
			return w.Q.AuthenticateClient(w.Ctx, store.AuthenticateClientParams{ClientID: s.client, ClientAuthMethod: "client_secret_basic", ClientSecret: fixture.Digest(fmt.Sprint(s.user, i))})
		})
		w.parallel("RotateClientSecret", 8, outcomes{store.OutcomeRotated: 1, store.OutcomeRetried: 7}, func(int) (store.Outcome, error) {
			return w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: s.client, ClientSecret: fixture.Digest(string(s.user)), Overlap: time.Minute, Lifetime: store.Never})
		})
		// merges lose no scope
		w.parallel("GrantConsent", 12, outcomes{store.OutcomeGranted: 12}, func(i int) (store.Outcome, error) {
			r, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: s.client, UserID: s.user, Scopes: []string{fmt.Sprint("scope", i)}, Merge: true})
			return r.Outcome, err
		})
		g, err := w.Q.FindConsent(w.Ctx, store.FindConsentParams{ClientID: s.client, UserID: s.user})
		w.OK(err)
		if len(g.Scopes) != 13 {
			w.Errorf("12 merges came to %v", g.Scopes)
		}
		w.Exec(`UPDATE oauth_authorization SET request_uri = $2, request_uri_expires_at = now() + interval '1 minute' WHERE id = $1`, s.pending, string(proof))
		var taken tally[bool]
		fixture.Together(fixture.Times(8, func(int) {
			_, err := w.Q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{RequestURI: proof, ClientID: s.client, Lifetime: time.Minute})
			if !errors.Is(err, pgx.ErrNoRows) && w.Raced("TakeAuthorizationByRequestURI", err) {
				taken.add(true)
			}
		})...)
		if taken.m[true] == 0 {
			w.Errorf("TakeAuthorizationByRequestURI: %v", taken.m)
		}
	}
}

// TestRacePushedRequestIsFoundByAll: everybody who opens a pushed request while it is pending finds it, and the first one alone sets how
// long it waits. Who takes it, or decides, is one.
func TestRacePushedRequestIsFoundByAll(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	for range roundsOf(10) {
		s := w.newScene(false, false)
		uri := fixture.Digest(fixture.Unique("uri"))
		push := func() {
			w.Exec(`UPDATE oauth_authorization SET request_uri = $2, request_uri_expires_at = now() + interval '1 minute' WHERE id = $1`, s.pending, string(uri))
		}
		push()
		var until tally[int64]
		find := func(int) {
			a, err := w.Q.FindAuthorizationByRequestURI(w.Ctx, store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: s.client, Lifetime: time.Hour})
			if w.Raced("FindAuthorizationByRequestURI", err) {
				until.add(a.ExpiresAt.UnixMicro())
			}
		}
		fixture.Together(fixture.Times(8, find)...)
		if len(until.m) != 1 {
			w.Errorf("FindAuthorizationByRequestURI: the request waits until %v", until.m)
		}
		push()
		var found, taken tally[bool]
		fixture.Together(fixture.Times(8, func(i int) {
			var err error
			if i%2 == 0 {
				_, err = w.Q.FindAuthorizationByRequestURI(w.Ctx, store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: s.client, Lifetime: time.Hour})
			} else {
				_, err = w.Q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{RequestURI: uri, ClientID: s.client, Lifetime: time.Hour})
			}
			switch {
			case errors.Is(err, pgx.ErrNoRows):
			case !w.Raced("a pushed request", err):
			case i%2 == 0:
				found.add(true)
			default:
				taken.add(true)
			}
		})...)
		// whoever came first: all find it, or one takes it
		if taken.m[true] > 1 || taken.m[true] == 1 && found.m[true] > 0 || taken.m[true] == 0 && found.m[true] != 4 {
			w.Errorf("found %d times, taken %d times", found.m[true], taken.m[true])
		}
	}
}

// TestRaceSessionsWithAMaximum: sign-ins that come together never make more sessions than the maximum, and none fails.
func TestRaceSessionsWithAMaximum(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 10)
	live := `SELECT count(*) FROM session AS s JOIN "user" AS u ON u.id = s.user_id WHERE u.id = $1 AND session_is_live(s, u)`
	for i := range roundsOf(5) {
		s := w.newScene(true, false)
		n := []int{7, 8}[i%2]
		w.parallel("CreateSession", n, outcomes{store.OutcomeCreated: n}, func(int) (store.Outcome, error) {
			g, err := s.signIn(w.Ctx, w.Pool, 2)
			return g.outcome, err
		})
		w.wantCount("live sessions", 2, live, s.user)
		// signing out, granting and sliding meanwhile
		s = w.newScene(true, false)
		calls := fixture.Times(4, func(int) {
			_, err := s.signIn(w.Ctx, w.Pool, 2)
			w.Raced("CreateSession", err)
		})
		for _, do := range []func(context.Context, conn, *scene) (granted, error){grantNamed("ExtendSession").run, grantNamed("ReauthenticateSession").run, grantNamed("GrantAuthorization").run, grantNamed("RotateRefreshToken").run} {
			calls = append(calls, func() { _, err := do(w.Ctx, w.Pool, s); w.Raced("beside CreateSession", err) })
		}
		for _, e := range []string{"EndSession", "EndUserSessions but this one"} {
			calls = append(calls, func() { _, err := endNamed(e).run(w.Ctx, w.Pool, s, family{}); w.Raced(e, err) })
		}
		fixture.Together(calls...)
		if n := w.count(live, s.user); n > 2 {
			w.Errorf("%d live sessions, want 2 at most", n)
		}
	}
}

// TestRaceEachEndIsToldOnce: of many that end the same thing one has ended it; what counts endings counts each.
func TestRaceEachEndIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	const n = 8
	for i := range roundsOf(10) {
		s := w.newScene(i%2 == 0, i%4 < 2)
		end := func(name string, want outcomes, f family) {
			w.parallel(name, n, want, func(int) (store.Outcome, error) { return endNamed(name).run(w.Ctx, w.Pool, s, f) })
		}
		once := outcomes{store.OutcomeEnded: 1, store.OutcomeRevoked: n - 1}
		end("RevokeToken of an access token", once, s.at)
		end("RevokeToken of a refresh token", once, s.at)
		end("RevokeAuthorization", once, s.coded)
		w.parallel("RevokeAccessTokenByID", n, once, func(int) (store.Outcome, error) {
			r, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{ID: store.AccessTokenID(s.own[:0] + "own" + s.own[4:]), ClientID: s.client, ClientAuthMethod: "verified"})
			return r.Outcome, err
		})
		end("EndSession", once, family{})
		end("RevokeUserAuthorizationsByClient", outcomes{store.OutcomeEnded: n}, family{})
		end("WithdrawConsent", outcomes{store.OutcomeEnded: n}, family{}) // of what counts no more
		w.wantCount("endings of the pair", 2*n, `SELECT pair_epoch(ended_grants, $2, $3) FROM "user" WHERE id = $1`, s.user, string(s.client), s.tenant)
		end("RevokeUserAuthorizations", outcomes{store.OutcomeEnded: n}, family{})
		end("EndUserSessions", outcomes{store.OutcomeEnded: n}, family{})
		w.wantCount("endings of the user", 2*n, `SELECT grants_epoch + sessions_epoch FROM "user" WHERE id = $1`, s.user)
		end("RevokeClientAuthorizations", outcomes{store.OutcomeEnded: n}, family{})
		w.wantCount("endings of the client", n, `SELECT grants_epoch FROM oauth_client WHERE client_id = $1`, s.client)
		end("SuspendUser", once, family{})
		w.parallel("ReinstateUser", n, outcomes{store.OutcomeReinstated: 1, store.OutcomeRetried: n - 1}, func(int) (store.Outcome, error) { return w.Q.ReinstateUser(w.Ctx, s.user) })
		w.parallel("DisableClient and EnableClient", n, outcomes{store.OutcomeEnded: n / 2, store.OutcomeEnabled: n / 2}, func(i int) (store.Outcome, error) {
			if i%2 == 0 {
				return w.Q.DisableClient(w.Ctx, s.client)
			}
			return w.Q.EnableClient(w.Ctx, s.client)
		})
		gone := outcomes{store.OutcomeDeleted: 1, store.OutcomeUnknown: n - 1}
		end("DeleteClient", gone, family{})
		end("DeleteUser", gone, family{})
	}
}

// TestRaceUpdatesLoseNothing: calls that change different columns of a row, or only where they find something, leave what each has written.
func TestRaceUpdatesLoseNothing(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	const n = 8
	for range roundsOf(10) {
		s := w.newScene(true, false)
		word := fixture.Unique("word")
		w.Exec(`DELETE FROM account WHERE user_id = $1`, s.user) // the one by which assertions know the user
		accounts := []store.AccountID{store.NewAccountID(), store.NewAccountID()}
		for i, id := range accounts {
			_, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: id, AccountID: word, ProviderID: []string{"credential", "other"}[i], UserID: s.user})
			w.OK(err)
		}
		key, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: store.NewSigningKeyID(), PublicKey: "{}", PrivateKey: "sealed", Lifetime: new(store.Never)})
		w.OK(err)
		fixture.Together(fixture.Times(n, func(i int) {
			u, c, a := store.UpdateUserParams{ID: s.user}, store.UpdateClientParams{ClientID: s.client}, store.UpdateAccountTokensParams{ID: accounts[1]}
			switch i % 3 {
			case 0:
				u.Name, c.Name, a.AccessToken = &word, &word, &word
			case 1:
				u.Email, c.URI, a.RefreshToken = new(word+"@example.com"), &word, &word
			case 2:
				u.Image, c.Scopes, a.Scope = &word, []string{word}, &word
			}
			_, err := w.Q.UpdateUser(w.Ctx, u)
			w.Raced("UpdateUser", err)
			_, err = w.Q.UpdateClient(w.Ctx, c)
			w.Raced("UpdateClient", err)
			_, err = w.Q.UpdateAccountTokens(w.Ctx, a)
			w.Raced("UpdateAccountTokens", err)
			_, err = w.Q.UpdateAccountPassword(w.Ctx, store.UpdateAccountPasswordParams{UserID: s.user, Password: word})
			w.Raced("UpdateAccountPassword", err)
			_, err = w.Q.SetRegistrationAccessToken(w.Ctx, store.SetRegistrationAccessTokenParams{ClientID: s.client, RegistrationAccessToken: new(fixture.Digest(fmt.Sprint(word, i)))})
			w.Raced("SetRegistrationAccessToken", err)
			_, err = w.Q.RetireSigningKey(w.Ctx, store.RetireSigningKeyParams{ID: key.ID, Lifetime: time.Duration(1+(i*5)%n) * time.Hour})
			w.Raced("RetireSigningKey", err)
			_, err = w.Q.ExtendSession(w.Ctx, store.ExtendSessionParams{ID: s.session, Lifetime: time.Duration(4+(i*5)%n) * time.Hour})
			w.Raced("ExtendSession", err)
			_, err = w.Q.ReauthenticateSession(w.Ctx, store.ReauthenticateSessionParams{ID: s.session, UserID: s.user, Token: new(fixture.Digest(fmt.Sprint("cookie", word, i)))})
			w.Raced("ReauthenticateSession", err)
		})...)
		w.wantCount("whole users", 1, `SELECT count(*) FROM "user" WHERE id = $1 AND name = $2 AND email = $2 || '@example.com' AND image = $2`, s.user, word)
		w.wantCount("whole clients", 1, `SELECT count(*) FROM oauth_client WHERE client_id = $1 AND name = $2 AND uri = $2 AND scopes = ARRAY[$2] AND registration_access_token IS NOT NULL`, s.client, word)
		w.wantCount("whole accounts", 2, `SELECT count(*) FROM account WHERE user_id = $1 AND (access_token = $2 AND refresh_token = $2 AND scope = $2 OR password = $2)`, s.user, word)
		w.wantCount("hours of the key", 1, `SELECT round(extract(epoch FROM expires_at - now()) / 3600)::integer FROM jwks WHERE id = $1`, key.ID)
		w.wantCount("hours of the session", 11, `SELECT round(extract(epoch FROM expires_at - now()) / 3600)::integer FROM session WHERE id = $1`, s.session)
		// the last way to sign in stays, whoever asks
		got := w.parallel("DeleteAccount", n, nil, func(i int) (store.Outcome, error) {
			return w.Q.DeleteAccount(w.Ctx, store.DeleteAccountParams{ID: accounts[i%2], UserID: s.user})
		})
		if got[store.OutcomeDeleted] != 1 {
			w.Errorf("DeleteAccount: %v", got)
		}
		w.wantCount("accounts", 1, `SELECT count(*) FROM account WHERE user_id = $1`, s.user)
		var deleted tally[bool]
		fixture.Together(fixture.Times(n, func(int) {
			_, err := w.Q.DeleteSigningKey(w.Ctx, key.ID)
			if errors.Is(err, pgx.ErrNoRows) || w.Raced("DeleteSigningKey", err) {
				deleted.add(err == nil)
			}
		})...)
		if deleted.m[true] != 1 {
			w.Errorf("DeleteSigningKey: %v", deleted.m)
		}
	}
}

// TestRaceOwnersAndHandedOverClients deletes two users while clients of theirs are handed over from one to the other: none dies, and no
// client of a deleted user goes on.
func TestRaceOwnersAndHandedOverClients(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	for range roundsOf(5) {
		users := []store.UserID{w.NewUser(), w.NewUser()}
		var clients []store.ClientID
		for i := range 6 {
			clients = append(clients, w.NewClient(func(p *store.CreateClientParams) { p.UserID = &users[i%2] }))
		}
		calls := fixture.Times(6, func(i int) {
			_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: clients[i], UserID: &users[1-i%2]})
			w.Raced("UpdateClient", err)
		})
		for _, u := range users {
			calls = append(calls, soonerOrLater(func() { _, err := w.Q.DeleteUser(w.Ctx, u); w.Raced("DeleteUser", err) }))
		}
		fixture.Together(calls...)
		// A client that was handed over meanwhile is not seen by DeleteUser: the collector finds it.
		_, err := w.Q.EraseDeletedUsers(w.Ctx, store.EraseDeletedUsersParams{BatchSize: 1000})
		w.Raced("EraseDeletedUsers", err)
		w.wantCount("clients of deleted users that go on", 0, `SELECT count(*) FROM oauth_client WHERE client_id = ANY ($1) AND NOT disabled`, clients)
	}
}

// collectors are all calls of the collector. Each says what it took, in one pass from the start.
var collectors = map[string]func(ctx context.Context, q *store.Queries, batch int32) (int64, error){
	"DeleteExpiredAccessTokens":        batches((*store.Queries).DeleteExpiredAccessTokens),
	"DeleteExpiredRefreshTokens":       batches((*store.Queries).DeleteExpiredRefreshTokens),
	"DeleteExpiredAuthorizations":      batches((*store.Queries).DeleteExpiredAuthorizations),
	"DeleteExpiredPolledRequests":      batches((*store.Queries).DeleteExpiredPolledRequests),
	"DeleteExpiredSigningKeys":         batches((*store.Queries).DeleteExpiredSigningKeys),
	"DeleteExpiredClientAssertions":    batches((*store.Queries).DeleteExpiredClientAssertions),
	"DeleteExpiredProofs":              batches((*store.Queries).DeleteExpiredProofs),
	"DeleteExpiredSecurityEvents":      batches((*store.Queries).DeleteExpiredSecurityEvents),
	"DeleteExpiredInitialAccessTokens": batches((*store.Queries).DeleteExpiredInitialAccessTokens),
	"DeleteExpiredClientSecrets":       batches((*store.Queries).DeleteExpiredClientSecrets),
	"DeleteExpiredOneTimeCodes":        batches((*store.Queries).DeleteExpiredOneTimeCodes),
	"DeleteExpiredAttemptCounts":       batches((*store.Queries).DeleteExpiredAttemptCounts),
	"DeleteExpiredVerifications":       batches((*store.Queries).DeleteExpiredVerifications),
	"DeleteExpiredDeviceCodes":         batches((*store.Queries).DeleteExpiredDeviceCodes),
	"DeleteSpentRefreshTokens": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.DeleteSpentRefreshTokens(ctx, store.DeleteSpentRefreshTokensParams{PageSize: 1000})
		return r.Deleted, err
	},
	"DeleteDeadAccessTokens": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.DeleteDeadAccessTokens(ctx, store.DeleteDeadAccessTokensParams{PageSize: 1000})
		return r.Deleted, err
	},
	"DeleteDeadConsents": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.DeleteDeadConsents(ctx, store.DeleteDeadConsentsParams{PageSize: 1000})
		return r.Deleted, err
	},
	"MarkDeadAuthorizations": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.MarkDeadAuthorizations(ctx, store.MarkDeadAuthorizationsParams{PageSize: 1000})
		return r.Marked, err
	},
	"MarkEndedSessions": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.MarkEndedSessions(ctx, store.MarkEndedSessionsParams{PageSize: 1000})
		return r.Marked, err
	},
	"SweepSessionClients": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.SweepSessionClients(ctx, store.SweepSessionClientsParams{PageSize: 1000})
		return r.Due + r.Deleted, err
	},
	"DeleteEndedAuthorizations": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.DeleteEndedAuthorizations(ctx, store.DeleteEndedAuthorizationsParams{BatchSize: batch})
		return r.AccessTokens + r.RefreshTokens + r.Authorizations, err
	},
	"DeleteExpiredSessions": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.DeleteExpiredSessions(ctx, store.DeleteExpiredSessionsParams{BatchSize: batch})
		return r.Deleted + r.Detached, err
	},
	"MarkUnusedClients": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.MarkUnusedClients(ctx, store.MarkUnusedClientsParams{PageSize: 1000, UnusedFor: 24 * time.Hour, Retention: time.Hour})
		return r.Deleted, err
	},
	"EraseDeletedUsers": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.EraseDeletedUsers(ctx, store.EraseDeletedUsersParams{BatchSize: batch})
		return r.Deleted + r.Cleared, err
	},
	"EraseDeletedClients": func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		r, err := q.EraseDeletedClients(ctx, store.EraseDeletedClientsParams{BatchSize: batch})
		return r.Deleted + r.AccessTokens + r.Cleared, err
	},
}

func batches[P, R any](call func(*store.Queries, context.Context, P) (R, error)) func(context.Context, *store.Queries, int32) (int64, error) {
	return func(ctx context.Context, q *store.Queries, batch int32) (int64, error) {
		return fixture.Batches(call)(q, ctx, batch)
	}
}

// TestRaceCollectorsShareTheWork lets collectors run side by side until nothing is left: none fails, each has something to do, and
// whoever is deleted is gone.
func TestRaceCollectorsShareTheWork(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 4)
	var took tally[string]
	for range roundsOf(50) {
		var dead []store.UserID
		for i := range 6 {
			s := w.newScene(i%2 == 0, false)
			w.does(w.Q.RotateClientSecret(w.Ctx, store.RotateClientSecretParams{ClientID: s.client, ClientSecret: fixture.Digest(string(s.user)), Overlap: time.Hour, Lifetime: store.Never}))
			w.does(w.Q.RememberProof(w.Ctx, store.RememberProofParams{ID: fixture.Digest(string(s.user)), ExpiresAt: time.Now().Add(time.Hour)}))
			w.does(w.Q.RememberClientAssertion(w.Ctx, store.RememberClientAssertionParams{ID: fixture.Digest(string(s.user)), ExpiresAt: time.Now().Add(time.Minute).Unix(), MaxLifetime: time.Hour}))
			w.does(w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: store.NewSigningKeyID(), PublicKey: "{}", PrivateKey: "sealed", Lifetime: new(time.Hour)}))
			w.initialToken(1)
			w.Exec(`INSERT INTO verification (id, identifier, value, expires_at) VALUES ($1, 'x', 'y', now())`, fixture.Unique("v"))
			w.Exec(`INSERT INTO device_code (device_code, user_code, status, expires_at) VALUES ($1, $1, 'pending', now())`, fixture.Unique("d"))
			w.Exec(`INSERT INTO one_time_code (purpose, subject, digest, expires_at) VALUES ('x', $1, $1, now())`, string(fixture.Digest(string(s.user))))
			w.Exec(`INSERT INTO attempt_count (purpose, subject, attempts, resets_at) VALUES ('x', $1, 1, now())`, string(fixture.Digest(string(s.user))))
			w.Exec(`INSERT INTO security_event (call, outcome) VALUES ('EndSession', 'ended')`)
			unused := fixture.Unique("unused")
			w.Exec(`INSERT INTO oauth_client (id, client_id, redirect_uris, registration_access_token, unused_since, unused_checked_at)
				SELECT u, u, '{x}', $2, now() - interval '1 year', now() FROM (VALUES ($1::text)) AS v (u)`, unused, string(fixture.Digest(unused)))
			w.Exec(`INSERT INTO passkey (id, user_id, public_key) VALUES ($1, $2, '')`, fixture.Unique("key"), s.user)
			switch i {
			case 0, 1:
				w.does(w.Q.DeleteUser(w.Ctx, s.user))
				w.does(w.Q.DeleteClient(w.Ctx, s.client))
				dead = append(dead, s.user)
			case 2:
				w.Exec(`UPDATE "user" SET sessions_epoch = 1, grants_epoch = 1 WHERE id = $1`, s.user)
				w.does(w.Q.RevokeClientAuthorizations(w.Ctx, s.client))
				w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE client_id = $1`, s.client)
			case 3:
				w.Exec(`UPDATE oauth_refresh_token SET expires_at = NULL WHERE client_id = $1`, s.client)
			case 4:
				for _, table := range []string{"oauth_access_token", "oauth_refresh_token", "oauth_authorization"} {
					w.Exec(`UPDATE `+table+` SET expires_at = now() WHERE client_id = $1`, s.client)
				}
				w.Exec(`UPDATE session SET expires_at = now() WHERE user_id = $1`, s.user)
			case 5: // nothing else takes these tokens, as their families go on
				for _, table := range []string{"oauth_access_token", "oauth_refresh_token"} {
					w.Exec(`UPDATE `+table+` SET expires_at = now() WHERE client_id = $1`, s.client)
				}
			}
		}
		for _, table := range []string{"oauth_client_secret", "oauth_initial_access_token", "oauth_polled_request", "oauth_proof", "oauth_client_assertion", "jwks"} {
			w.Exec(`UPDATE ` + table + ` SET expires_at = now()`)
		}
		for pass := 0; ; pass++ {
			var worked tally[bool]
			fixture.Together(fixture.Times(4, func(int) {
				for name, collect := range collectors { // each in another order
					n, err := collect(w.Ctx, w.Q, 5)
					w.Raced(name, err)
					if n > 0 {
						took.add(name)
						worked.add(true)
					}
				}
			})...)
			if len(worked.m) == 0 {
				break
			}
			if pass > 100 {
				t.Fatalf("the collectors come to no end: %v", took.m)
			}
		}
		w.wantCount("users who were deleted", 0, `SELECT count(*) FROM "user" WHERE id = ANY ($1)`, dead)
	}
	for name := range collectors {
		if took.m[name] == 0 {
			t.Errorf("%s has collected nothing", name)
		}
	}
}

// does fails the test on the error of a call whose answer doesn't matter.
func (w *world) does(_ any, err error) {
	w.Helper()
	w.OK(err)
}

// RFC 8628: parallel polls of a request that waits, of one that was approved, claims of a user code, and requests with one user code.
func TestRaceDeviceCodes(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 16)
	poll := func(s *scene, f family, change func(*store.PollDeviceCodeParams)) func(int) (store.Outcome, error) {
		return func(int) (store.Outcome, error) {
			p := s.poll(f, fixture.Unique("at"))
			change(&p)
			r, err := w.Q.PollDeviceCode(w.Ctx, p)
			if err == nil && r.Outcome == store.OutcomeRetried && *r.RefreshToken != fixture.Digest(f.code+"+") {
				err = errors.New("the retry got another refresh token")
			}
			return r.Outcome, err
		}
	}
	asIs := func(*store.PollDeviceCodeParams) {}
	for i := range roundsOf(10) {
		s := w.newScene(i%2 == 0, false)
		w.parallel("PollDeviceCode", 16, outcomes{store.OutcomeAuthorizationPending: 1, store.OutcomeSlowDown: 15}, poll(s, s.asking, asIs))
		w.wantCount("intervals of a minute", 1, `SELECT count(*) FROM oauth_polled_request WHERE id = $1 AND poll_interval = '1 minute'`, s.asking.id)

		device := store.CreateDeviceAuthorizationParams{
			ID: store.NewAuthorizationID(), ClientID: s.client, ClientAuthMethod: fixture.Verified, DeviceCode: fixture.Digest(fixture.Unique("d")),
			UserCode: fixture.Digest(fixture.Unique("u")), Lifetime: time.Minute,
		}
		w.parallel("CreateDeviceAuthorization", 16, outcomes{store.OutcomeCreated: 1, store.OutcomeTaken: 15}, func(int) (store.Outcome, error) {
			r, err := w.Q.CreateDeviceAuthorization(w.Ctx, device)
			return r.Outcome, err
		})

		users := []store.UserID{s.user, w.newScene(true, false).user}
		claims := w.parallel("FindAuthorizationByUserCode", 16, nil, func(i int) (store.Outcome, error) {
			r, err := w.Q.FindAuthorizationByUserCode(w.Ctx, store.FindAuthorizationByUserCodeParams{UserCode: fixture.Digest(userCode(s.asking)), UserID: users[i%2]})
			return r.Outcome, err
		})
		if claims[store.OutcomeClaimed] != 1 || claims[store.OutcomeRetried] != 7 || claims[store.OutcomeMismatched] != 8 {
			t.Errorf("a user code that two users enter 8 times each: %v", claims)
		}

		w.parallel("PollDeviceCode", 16, outcomes{store.OutcomeRedeemed: 1, store.OutcomeRetried: 15}, poll(s, s.device, asIs))
		w.WantLive(s.device.code + "+")
		w.wantCount("refresh tokens of a device", 1, `SELECT count(*) FROM oauth_refresh_token WHERE authorization_id = $1`, s.device.id)

		s = w.newScene(i%2 == 0, false)
		got := w.parallel("PollDeviceCode", 16, nil, poll(s, s.device, func(p *store.PollDeviceCodeParams) { p.Grace = 0 }))
		if got[store.OutcomeRedeemed] != 1 || got[store.OutcomeReplayed] == 0 || got[store.OutcomeRedeemed]+got[store.OutcomeReplayed]+got[store.OutcomeRevoked] != 16 {
			t.Errorf("16 polls without grace: %v", got)
		}
		w.WantDead(s.device.code + "+")

		s = w.newScene(i%2 == 0, false)
		proof := fixture.Digest(fixture.Unique("proof"))
		w.parallel("PollDeviceCode", 8, outcomes{store.OutcomeRedeemed: 1, store.OutcomeProofReplayed: 7}, poll(s, s.device, func(p *store.PollDeviceCodeParams) {
			p.Proof, p.ProofExpiresAt = &proof, new(time.Now().Add(time.Minute))
		}))

		// the code of an expired request, and nobody's
		w.Exec(`UPDATE oauth_polled_request SET expires_at = now() WHERE id = $1`, s.asking.id)
		for _, code := range []string{userCode(s.asking), fixture.Unique("user")} {
			w.parallel("CreateDeviceAuthorization", 8, outcomes{store.OutcomeCreated: 1, store.OutcomeTaken: 7}, func(int) (store.Outcome, error) {
				r, err := w.Q.CreateDeviceAuthorization(w.Ctx, store.CreateDeviceAuthorizationParams{
					ID: store.NewAuthorizationID(), ClientID: s.client, ClientAuthMethod: "verified", DeviceCode: fixture.Digest(fixture.Unique("device")),
					UserCode: fixture.Digest(code), Lifetime: time.Minute,
				})
				return r.Outcome, err
			})
		}
		w.parallel("CreateBackchannelAuthentication", 8, outcomes{store.OutcomeCreated: 8}, func(int) (store.Outcome, error) {
			r, err := w.Q.CreateBackchannelAuthentication(w.Ctx, store.CreateBackchannelAuthenticationParams{
				ID: store.NewAuthorizationID(), ClientID: s.client, ClientAuthMethod: "verified", UserID: s.user, AuthReqID: fixture.Digest(fixture.Unique("req")),
				Lifetime: time.Minute,
			})
			return r.Outcome, err
		})
	}
}

package contract

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// rows is how many rows of each kind there are to collect.
const rows = Parallel / 2

// collection is a call that deletes what has expired or was ended, in the order in which the collector makes them.
type collection struct {
	call    string
	want    int64 // how many rows all callers take together
	collect func(w *world) (int64, error)
}

const collecting = granting + "Accounts Factors Registrations Consents ClientCredentials PolledRequests Proofs Revocation SigningKeys Collection"

// collect has many callers collect at once what has expired, and holds them to what there is: each row counts for one of them.
func collect(t *testing.T, s Store) {
	narrow, missing := s.only(collecting)
	if missing != "" {
		t.Skipf("the store has no %s", missing)
	}
	leaveBehind(newWorld(t, narrow))
	for _, c := range collections {
		t.Run(c.call, func(t *testing.T) { c.race(&world{TB: t, q: narrow}) })
	}
}

func (c *collection) race(w *world) {
	var taken atomic.Int64
	w.race(each(store.OutcomeActive), func(int) (store.Outcome, error) {
		n, err := c.collect(w)
		taken.Add(n)
		return found(err)
	})
	for n := int64(1); n > 0 && taken.Load() <= c.want; { // what all of them skipped, because it was locked
		var err error
		n, err = c.collect(w)
		w.noError(err)
		taken.Add(n)
	}
	if taken.Load() != c.want {
		w.Errorf("the callers have taken %d rows, want %d", taken.Load(), c.want)
	}
}

const (
	batch = 3
	page  = 1000
)

var collections = []collection{
	{"DeleteExpiredPolledRequests", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredPolledRequests(w.Context(), store.DeleteExpiredPolledRequestsParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteExpiredAccessTokens", 4 * rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredAccessTokens(w.Context(), store.DeleteExpiredAccessTokensParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteExpiredRefreshTokens", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredRefreshTokens(w.Context(), store.DeleteExpiredRefreshTokensParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteSpentRefreshTokens", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteSpentRefreshTokens(w.Context(), store.DeleteSpentRefreshTokensParams{PageSize: page})
		return row.Deleted, err
	}},
	{"DeleteDeadAccessTokens", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteDeadAccessTokens(w.Context(), store.DeleteDeadAccessTokensParams{PageSize: page})
		return row.Deleted, err
	}},
	{"DeleteExpiredAuthorizations", 2 * rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredAuthorizations(w.Context(), store.DeleteExpiredAuthorizationsParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"MarkDeadAuthorizations", 2 * rows, func(w *world) (int64, error) {
		row, err := w.q.MarkDeadAuthorizations(w.Context(), store.MarkDeadAuthorizationsParams{PageSize: page})
		return row.Marked, err
	}},
	{"DeleteEndedAuthorizations", 4 * rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteEndedAuthorizations(w.Context(), store.DeleteEndedAuthorizationsParams{BatchSize: batch})
		return row.AccessTokens + row.RefreshTokens + row.Authorizations, err
	}},
	{"SweepSessionClients", rows, func(w *world) (int64, error) {
		row, err := w.q.SweepSessionClients(w.Context(), store.SweepSessionClientsParams{PageSize: page})
		return row.Due + row.Deleted, err
	}},
	{"DeleteExpiredSessions", rows + 1, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredSessions(w.Context(), store.DeleteExpiredSessionsParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteDeadConsents", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteDeadConsents(w.Context(), store.DeleteDeadConsentsParams{PageSize: page})
		return row.Deleted, err
	}},
	{"DeleteExpiredAttemptCounts", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredAttemptCounts(w.Context(), store.DeleteExpiredAttemptCountsParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteExpiredOneTimeCodes", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredOneTimeCodes(w.Context(), store.DeleteExpiredOneTimeCodesParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteExpiredProofs", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredProofs(w.Context(), store.DeleteExpiredProofsParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteExpiredClientAssertions", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredClientAssertions(w.Context(), store.DeleteExpiredClientAssertionsParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteExpiredClientSecrets", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredClientSecrets(w.Context(), store.DeleteExpiredClientSecretsParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteExpiredInitialAccessTokens", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredInitialAccessTokens(w.Context(), store.DeleteExpiredInitialAccessTokensParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"DeleteExpiredSigningKeys", rows, func(w *world) (int64, error) {
		row, err := w.q.DeleteExpiredSigningKeys(w.Context(), store.DeleteExpiredSigningKeysParams{BatchSize: batch})
		return row.Deleted, err
	}},
	{"MarkUnusedClients", rows, func(w *world) (int64, error) {
		row, err := w.markUnusedClients()
		return row.Deleted, err
	}},
	{"EraseDeletedUsers", rows, func(w *world) (int64, error) {
		row, err := w.q.EraseDeletedUsers(w.Context(), store.EraseDeletedUsersParams{BatchSize: page})
		return row.Deleted, err
	}},
	{"EraseDeletedClients", 2 * rows, func(w *world) (int64, error) {
		row, err := w.q.EraseDeletedClients(w.Context(), store.EraseDeletedClientsParams{BatchSize: page})
		return row.Deleted, err
	}},
}

func (w *world) markUnusedClients() (store.MarkUnusedClientsRow, error) {
	return w.q.MarkUnusedClients(w.Context(), store.MarkUnusedClientsParams{PageSize: page, UnusedFor: time.Second, Retention: time.Hour})
}

// leaveBehind leaves what collections take, and waits until it has expired.
func leaveBehind(w *world) {
	ctx, short := w.Context(), time.Second
	ok := func(_ any, err error) {
		w.Helper()
		w.noError(err)
	}
	public := w.client
	machine := func() (method string, secret token.Digest) { return w.confidential("client_credentials") }
	for range rows {
		// requests that nobody has decided, of a browser and of a device
		w.client = public
		responseType, challenge, s256 := "code", token.S256("verifier"), "S256"
		ok(w.q.CreateAuthorization(ctx, store.CreateAuthorizationParams{
			ID: store.NewAuthorizationID(), ClientID: w.client, ResponseType: &responseType, CodeChallenge: &challenge, CodeChallengeMethod: &s256, Lifetime: short,
		}))
		w.client = w.newClient(grants(deviceGrant))
		ok(w.q.CreateDeviceAuthorization(ctx, store.CreateDeviceAuthorizationParams{
			ID: store.NewAuthorizationID(), ClientID: w.client, ClientAuthMethod: "none", DeviceCode: w.digests("device code")[0],
			UserCode: w.digests("user code")[0], Lifetime: short,
		}))
		// a client's own tokens: one that expires, and one that never does and is revoked
		method, secret := machine()
		for _, lifetime := range []time.Duration{short, store.Never} {
			access := w.digests("access token")[0]
			ok(w.q.IssueAccessToken(ctx, store.IssueAccessTokenParams{
				ClientID: w.client, ClientAuthMethod: method, ClientSecret: secret, ID: store.NewAccessTokenID(), AccessToken: &access, Lifetime: lifetime,
			}))
			if lifetime == store.Never {
				ok(w.q.RevokeToken(ctx, store.RevokeTokenParams{ClientID: w.client, ClientAuthMethod: method, ClientSecret: secret, Token: access}))
			}
		}
		// a secret that was replaced
		ok(w.q.RotateClientSecret(ctx, store.RotateClientSecretParams{ClientID: w.client, ClientSecret: w.digests("secret")[0], Overlap: short, Lifetime: store.Never}))
		// a family whose tokens expire, and one whose refresh tokens never do, one of them spent
		w.client = public
		call := w.redemption(w.approved("openid", "offline_access"))
		call.AccessTokenLifetime, call.RefreshTokenLifetime = short, short
		w.redeem(call, store.OutcomeRedeemed)
		call = w.redemption(w.approved("openid", "offline_access"))
		call.AccessTokenLifetime, call.RefreshTokenLifetime = short, store.Never
		w.redeem(call, store.OutcomeRedeemed)
		rotation := w.rotation(*call.RefreshToken)
		rotation.AccessTokenLifetime, rotation.RefreshTokenLifetime = short, store.Never
		w.rotate(rotation, store.OutcomeRotated)
		// sessions
		id := store.NewSessionID()
		ok(w.q.CreateSession(ctx, store.CreateSessionParams{ID: id, UserID: w.user, Token: token.DigestOf(string(id)), Lifetime: short}))
		// what is accepted once
		digest := w.digests("once")[0]
		ok(w.q.RememberProof(ctx, store.RememberProofParams{ID: digest, ExpiresAt: time.Now().Add(short)}))
		ok(w.q.RememberClientAssertion(ctx, store.RememberClientAssertionParams{ID: digest, ExpiresAt: time.Now().Unix() + 1, MaxLifetime: time.Hour}))
		ok(w.q.CreateOneTimeCode(ctx, store.CreateOneTimeCodeParams{Purpose: "contract", Subject: digest, Digest: digest, Lifetime: short}))
		ok(w.q.CountAttempt(ctx, store.CountAttemptParams{Purpose: "contract", Subject: digest, MaxAttempts: 1, AttemptWindow: short}))
		ok(w.q.CreateInitialAccessToken(ctx, store.CreateInitialAccessTokenParams{ID: store.NewInitialAccessTokenID(), Token: digest, MaxUses: 1, Lifetime: short}))
		ok(w.q.CreateSigningKey(ctx, store.CreateSigningKeyParams{ID: store.NewSigningKeyID(), PublicKey: "{}", PrivateKey: "sealed", Lifetime: &short}))
		// who is gone, and who has never come
		ok(w.q.DeleteUser(ctx, w.newUser()))
		ok(w.q.DeleteClient(ctx, w.newClient(func(*store.CreateClientParams) {})))
		w.registered()
	}
	ok(w.markUnusedClients())

	// clients that aren't told of a sign-out, and what they were granted in the session
	w.user = w.newUser()
	w.session = w.newSession()
	for range rows {
		w.client = w.newClient(func(*store.CreateClientParams) {})
		w.granted("openid")
	}
	ok(w.q.EndSession(ctx, w.session))
	// consents that don't count
	w.user = w.newUser()
	for i := range rows {
		client := w.newClient(func(*store.CreateClientParams) {})
		ok(w.q.GrantConsent(ctx, store.GrantConsentParams{ID: store.NewConsentID(), UserID: w.user, ClientID: client, Scopes: []string{fmt.Sprint("scope", i)}}))
	}
	ok(w.q.RevokeUserAuthorizations(ctx, w.user))
	time.Sleep(short + 100*time.Millisecond)
}

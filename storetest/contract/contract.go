package contract

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Parallel is how many callers make a call at once. With fewer connections in the pool they wait for each other; the promises still
// hold, but the suite shows less.
const Parallel = 16

// Run runs the suite on a store that open returns: a subtest for each promise, and in "races" one for each call that writes by what it
// finds. Promises that need a group of calls which the store doesn't have are skipped.
//
// Calls are made at the same time, so the store needs a pool of two connections at least. Users, clients and sessions are made anew for
// each part, and nothing is cleaned up. Run calls open more than once: what deletes expired rows is tested in a database in which
// nothing else is going on.
func Run(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.run(t, s) })
	}
	t.Run("races", func(t *testing.T) { Races(t, s) })
	t.Run("collection", func(t *testing.T) { collect(t, open(t)) })
}

// promise is what callers rely on.
type promise struct {
	name   string
	groups string // fields of Store that the test uses
	test   func(w *world)
}

func (p *promise) run(t testing.TB, s Store) {
	narrow, missing := s.only(p.groups)
	if missing != "" {
		t.Skipf("the store has no %s", missing)
	}
	p.test(newWorld(t, narrow))
}

const (
	people   = "Users Clients Sessions "                 // who takes part
	granting = people + "Requests Grants Introspection " // a grant with its tokens
)

var promises = []promise{
	{"a code is redeemed once, whatever the number of callers", granting, codeIsRedeemedOnce},
	{"a code that comes back ends its family", granting, replayedCodeEndsFamily},
	{"the same call again is retried", granting, sameCallIsRetried},
	{"parallel refreshes converge", granting, refreshesConverge},
	{"a spent refresh token that comes back ends its family", granting, reuseEndsFamily},
	{"every ending is seen at once", granting + "Revocation Consents", endingsAreSeen},
	{"what is bound to a session ends with it, offline access goes on", granting + "SignOuts", sessionBindsGrants},
	{"a suspended user is granted nothing and nothing comes back", granting, suspensionIsFinal},
	{"a consent that was withdrawn covers nothing", people + "Consents", withdrawnConsentCoversNothing},
	{"a client that is not authenticated learns nothing", granting, callersAreJudgedFirst},
	{"a change of a client is seen at once", people, clientChangesAreSeen},
	{"a forgotten lifetime is an error", granting, lifetimesAreRequired},
	{"a proof is accepted once", granting + "Proofs", proofsAreAcceptedOnce},
	{"of many sign-ins no more than the maximum stay", people, maximumOfSessionsHolds},
	{"a secret counts for as long as it was promised", people, replacedSecretsCount},
	{"a device is granted once, by the user who has entered its code", granting + "PolledRequests", deviceIsGrantedOnce},
	{"a pushed request is taken once", people + "Requests", pushedRequestIsTakenOnce},
	{"an exchanged token is no wider than its subject and ends with the family", granting + "Exchanges Revocation", exchangedTokenEndsWithFamily},
	{"an access token without a row ends with its family", granting + "Revocation", rowlessTokenEndsWithFamily},
	{"a grant is issued once, and its retry brings nothing back", granting + "Revocation", grantIsIssuedOnce},
	{"an initial access token registers as many clients as it has uses", people + "Registrations", registrationsAreCounted},
	{"a call whose caller has gone away can be repeated", granting, callCanBeRepeated},
	{"a call that comes late ends nothing", granting, lateCallEndsNothing},
}

// world is a user, a client and a session to make grants with, as far as the promise needs them.
type world struct {
	testing.TB
	q       Store
	user    store.UserID
	client  store.ClientID
	session store.SessionID
}

func newWorld(t testing.TB, s Store) *world {
	w := &world{TB: t, q: s}
	if s.Users != nil {
		w.user = w.newUser()
	}
	if s.Clients != nil {
		w.client = w.newClient(func(*store.CreateClientParams) {})
	}
	if s.Sessions != nil {
		w.session = w.newSession()
	}
	return w
}

func (w *world) newUser() store.UserID {
	w.Helper()
	u, err := w.q.CreateUser(w.Context(), store.CreateUserParams{ID: store.NewUserID(), Name: "Ada"})
	w.noError(err)
	return u.ID
}

// newClient registers a public client that may use codes and refresh tokens, as change has it.
func (w *world) newClient(change func(*store.CreateClientParams)) store.ClientID {
	w.Helper()
	method := "none"
	arg := store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{"https://client.example/cb"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, TokenEndpointAuthMethod: &method,
		Scopes: []string{"openid", "profile", "email", "offline_access"},
	}
	change(&arg)
	c, err := w.q.CreateClient(w.Context(), arg)
	w.noError(err)
	return c.ClientID
}

func (w *world) newSession() store.SessionID {
	w.Helper()
	id := store.NewSessionID()
	s, err := w.q.CreateSession(w.Context(), store.CreateSessionParams{ID: id, UserID: w.user, Token: token.DigestOf(string(id)), Lifetime: time.Hour})
	w.noError(err)
	w.is(s.Outcome, store.OutcomeCreated)
	return id
}

// approved is a request that the user has approved in the session, with its code.
func (w *world) approved(scopes ...string) token.Digest {
	w.Helper()
	id := store.NewAuthorizationID()
	code := token.DigestOf("code of " + string(id))
	responseType, challenge, method := "code", token.S256("verifier"), "S256"
	created, err := w.q.CreateAuthorization(w.Context(), store.CreateAuthorizationParams{
		ID: id, ClientID: w.client, ResponseType: &responseType, Scopes: scopes, CodeChallenge: &challenge, CodeChallengeMethod: &method,
		Lifetime: time.Minute,
	})
	w.noError(err)
	w.is(created.Outcome, store.OutcomeCreated)
	approved, err := w.q.ApproveAuthorization(w.Context(), store.ApproveAuthorizationParams{
		ID: id, UserID: w.user, SessionID: &w.session, GrantedScopes: scopes, Code: &code, CodeLifetime: time.Minute,
	})
	w.noError(err)
	w.is(approved.Outcome, store.OutcomeApproved)
	return code
}

// redemption is a call that exchanges a code for tokens of its own.
func (w *world) redemption(code token.Digest) store.RedeemAuthorizationCodeParams {
	id, refreshID := store.NewAccessTokenID(), store.NewRefreshTokenID()
	access, refresh, challenge := token.DigestOf(string(id)), token.DigestOf(string(refreshID)), token.S256("verifier")
	return store.RedeemAuthorizationCodeParams{
		ClientID: w.client, ClientAuthMethod: "none", Code: code, CodeChallenge: &challenge, AccessTokenID: id, AccessToken: &access, RefreshTokenID: &refreshID,
		RefreshToken: &refresh, AccessTokenLifetime: time.Hour, RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
	}
}

// rotation is a call that exchanges a refresh token for tokens of its own.
func (w *world) rotation(refresh token.Digest) store.RotateRefreshTokenParams {
	id := store.NewAccessTokenID()
	access := token.DigestOf(string(id))
	return store.RotateRefreshTokenParams{
		ClientID: w.client, ClientAuthMethod: "none", Token: refresh, Successor: token.DigestOf("after " + string(refresh)),
		SuccessorID: store.NewRefreshTokenID(), AccessTokenID: id, AccessToken: &access, AccessTokenLifetime: time.Hour,
		RefreshTokenLifetime: time.Hour,
	}
}

// tokens are the digests of what a grant issued.
type tokens struct{ access, refresh token.Digest }

// granted is a grant with its tokens.
func (w *world) granted(scopes ...string) tokens {
	w.Helper()
	call := w.redemption(w.approved(scopes...))
	w.redeem(call, store.OutcomeRedeemed)
	return tokens{*call.AccessToken, *call.RefreshToken}
}

func (w *world) redeem(call store.RedeemAuthorizationCodeParams, want store.Outcome) store.RedeemAuthorizationCodeRow {
	w.Helper()
	row, err := w.q.RedeemAuthorizationCode(w.Context(), call)
	w.noError(err)
	w.is(row.Outcome, want)
	return row
}

func (w *world) rotate(call store.RotateRefreshTokenParams, want store.Outcome) store.RotateRefreshTokenRow {
	w.Helper()
	row, err := w.q.RotateRefreshToken(w.Context(), call)
	w.noError(err)
	w.is(row.Outcome, want)
	return row
}

// live fails the test unless both tokens introspect as active, or as inactive.
func (w *world) live(g tokens, want bool) {
	w.Helper()
	outcome := map[bool]store.Outcome{true: store.OutcomeActive, false: store.OutcomeInactive}[want]
	for _, digest := range []token.Digest{g.access, g.refresh} {
		row, err := w.q.IntrospectToken(w.Context(), store.IntrospectTokenParams{ClientAuthMethod: "server", Token: digest})
		w.noError(err)
		w.is(row.Outcome, outcome)
	}
	access, err := w.q.IntrospectAccessToken(w.Context(), store.IntrospectAccessTokenParams{ClientAuthMethod: "server", Token: g.access})
	w.noError(err)
	w.is(access.Outcome, outcome)
	refresh, err := w.q.IntrospectRefreshToken(w.Context(), store.IntrospectRefreshTokenParams{ClientAuthMethod: "server", Token: g.refresh})
	w.noError(err)
	w.is(refresh.Outcome, outcome)
}

func (w *world) noError(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) is(got, want store.Outcome) {
	w.Helper()
	if got != want {
		w.Fatalf("got %s, want %s", got, want)
	}
}

// atOnce makes calls in parallel and counts their outcomes.
func (w *world) atOnce(call func(i int) (store.Outcome, error)) map[store.Outcome]int {
	w.Helper()
	var (
		wait   sync.WaitGroup
		mu     sync.Mutex
		counts = map[store.Outcome]int{}
		start  = make(chan struct{})
	)
	for i := range Parallel {
		wait.Go(func() {
			<-start
			outcome, err := call(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				w.Error(err)
			}
			counts[outcome]++
		})
	}
	close(start)
	wait.Wait()
	return counts
}

func (w *world) counts(got map[store.Outcome]int, want map[store.Outcome]int) {
	w.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Fatalf("got %v, want %v", got, want)
	}
}

package contract

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Parallel is how many calls a part of the suite makes at once. With fewer connections in the pool they wait for each other;
// the promises still hold, but the suite shows less.
const Parallel = 16

// Server is what the suite runs against.
type Server struct {
	// Store makes the calls, on a pool of at least two connections, because the suite makes some of them at the same time.
	Store store.Querier
}

// Test runs the suite: a subtest for each promise, on what open returns.
func Test(t *testing.T, open func(t *testing.T) Server) {
	for _, promise := range promises {
		t.Run(promise.name, func(t *testing.T) {
			promise.test(newWorld(t, open(t)))
		})
	}
}

type promise struct {
	name string
	test func(w *world)
}

var promises = []promise{
	{"a code is redeemed once, whatever the number of callers", codeIsRedeemedOnce},
	{"a code that comes back ends its family", replayedCodeEndsFamily},
	{"the same call again is retried", sameCallIsRetried},
	{"parallel refreshes converge", refreshesConverge},
	{"a spent refresh token that comes back ends its family", reuseEndsFamily},
	{"every ending is seen at once", endingsAreSeen},
	{"what is bound to a session ends with it, offline access goes on", sessionBindsGrants},
	{"a suspended user is granted nothing and nothing comes back", suspensionIsFinal},
	{"a consent that was withdrawn covers nothing", withdrawnConsentCoversNothing},
	{"a client that is not authenticated learns nothing", callersAreJudgedFirst},
	{"a forgotten lifetime is an error", lifetimesAreRequired},
	{"a proof is accepted once", proofsAreAcceptedOnce},
	{"of many sign-ins no more than the maximum stay", maximumOfSessionsHolds},
	{"a secret counts for as long as it was promised", replacedSecretsCount},
	{"a device is granted once, by the user who has entered its code", deviceIsGrantedOnce},
	{"a pushed request is taken once", pushedRequestIsTakenOnce},
	{"an exchanged token is no wider than its subject and ends with the family", exchangedTokenEndsWithFamily},
	{"an access token without a row ends with its family", rowlessTokenEndsWithFamily},
	{"a grant is issued once, and its retry brings nothing back", grantIsIssuedOnce},
	{"an initial access token registers as many clients as it has uses", registrationsAreCounted},
	{"a call whose caller has gone away can be repeated", callCanBeRepeated},
}

// world is a user, a client and a session to make grants with.
type world struct {
	*testing.T
	q       store.Querier
	user    store.UserID
	client  store.ClientID
	session store.SessionID
}

func newWorld(t *testing.T, s Server) *world {
	w := &world{T: t, q: s.Store}
	w.user = w.newUser()
	w.client = w.newClient(func(*store.CreateClientParams) {})
	w.session = w.newSession()
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

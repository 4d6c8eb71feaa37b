package linear

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/storetests/model"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// known is what callers know: what they have sent, and what they were answered. All of it is picked from while others add to it.
type known struct {
	names    map[token.Digest]string // what digests are digests of
	counts   map[string]int          // of names, by prefix
	clients  []store.ClientID
	secrets  []token.Digest
	sessions []ofSession
	pending  []ofRequest
	pushed   []ofRequest
	codes    []ofCode
	families []store.AuthorizationID
	written  []store.AuthorizationID // those that are known to be there
	access   []ofToken
	refresh  []ofToken
	devices  []ofRequest
	again    []model.Call // calls that may be made a second time, with the same parameters
	apps     []store.TOTPID
	keys     []store.PasskeyID
	recovery []token.Digest
	steps    int64
	echo     action // what others do next, so that calls of a kind meet
	echoes   int
}

// action picks a call, and says what is known once it has been answered.
type action func(*World, pick) (model.Call, func(model.Answer))

type (
	ofSession struct {
		id    store.SessionID
		token token.Digest
		user  store.UserID
	}
	ofRequest struct {
		id               store.AuthorizationID
		client           store.ClientID
		uri              token.Digest
		device, userCode token.Digest
	}
	ofCode struct {
		code   token.Digest
		family store.AuthorizationID
		client store.ClientID
	}
	ofToken struct {
		id     string
		digest token.Digest
		client store.ClientID
		user   store.UserID
	}
)

const (
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
	// far is beyond the end of every history, as the model's time stands still.
	far = time.Hour
)

var (
	defaults = []string{"openid", "email", "offline_access"}
	online   = []string{"openid"}
	offline  = []string{"openid", "offline_access"}
	apis     = []string{"https://api.example"}
)

// Moods are what a world is mostly about.
var moods = []string{"codes", "rotations", "endings", "sessions", "devices", "consents", "foreign", "gates"}

// actions are the calls that workers make, with their weight in each mood. One returns no name where there is nothing to call about.
var actions = []struct {
	weights [8]int
	make    action
}{
	{[8]int{18, 6, 6, 18, 6, 6, 3, 3}, (*World).grantAuthorization},
	{[8]int{30, 9, 8, 18, 3, 6, 3, 3}, (*World).redeem},
	{[8]int{9, 12, 4, 9, 3, 3, 3, 3}, (*World).issueGrant},
	{[8]int{12, 60, 8, 18, 12, 6, 24, 3}, (*World).rotate},
	{[8]int{18, 30, 10, 24, 12, 3, 24, 3}, (*World).introspect},
	{[8]int{6, 12, 3, 6, 12, 3, 9, 6}, (*World).repeat},
	{[8]int{12, 0, 1, 3, 0, 3, 0, 3}, (*World).createAuthorization},
	{[8]int{12, 0, 0, 0, 0, 0, 0, 3}, (*World).takeAuthorization},
	{[8]int{18, 0, 2, 6, 18, 3, 0, 0}, (*World).approve},
	{[8]int{2, 0, 0, 0, 2, 0, 0, 0}, (*World).deny},
	{[8]int{12, 0, 1, 3, 0, 0, 0, 0}, (*World).issueCode},
	{[8]int{6, 6, 3, 3, 3, 0, 3, 0}, (*World).exchange},
	{[8]int{3, 3, 2, 0, 0, 0, 0, 3}, (*World).issueAccessToken},
	{[8]int{0, 0, 0, 0, 15, 0, 0, 0}, (*World).createDevice},
	{[8]int{0, 0, 1, 3, 21, 0, 0, 0}, (*World).claim},
	{[8]int{0, 0, 1, 3, 42, 0, 0, 0}, (*World).poll},
	{[8]int{2, 2, 3, 1, 1, 0, 2, 0}, (*World).revokeToken},
	{[8]int{2, 2, 3, 1, 1, 0, 1, 0}, (*World).revokeAuthorization},
	{[8]int{1, 1, 4, 1, 1, 1, 2, 0}, (*World).revokeUser},
	{[8]int{1, 1, 4, 1, 1, 2, 2, 0}, (*World).revokePair},
	{[8]int{1, 1, 4, 1, 1, 1, 1, 0}, (*World).revokeClient},
	{[8]int{1, 1, 3, 1, 1, 1, 1, 1}, (*World).disable},
	{[8]int{2, 2, 6, 2, 2, 2, 2, 2}, (*World).enable},
	{[8]int{1, 1, 3, 2, 1, 2, 2, 2}, (*World).suspend},
	{[8]int{2, 2, 6, 4, 2, 4, 4, 4}, (*World).reinstate},
	{[8]int{0, 0, 1, 0, 0, 0, 0, 0}, (*World).deleteUser},
	{[8]int{0, 0, 1, 0, 0, 0, 0, 0}, (*World).deleteClient},
	{[8]int{6, 3, 3, 30, 3, 3, 6, 3}, (*World).createSession},
	{[8]int{3, 0, 1, 18, 0, 0, 3, 0}, (*World).extendSession},
	{[8]int{6, 0, 2, 24, 0, 0, 6, 0}, (*World).findSession},
	{[8]int{1, 1, 2, 6, 1, 0, 1, 0}, (*World).endSession},
	{[8]int{1, 0, 2, 8, 1, 0, 1, 0}, (*World).endUserSessions},
	{[8]int{0, 0, 2, 0, 0, 42, 0, 0}, (*World).grantConsent},
	{[8]int{0, 0, 2, 0, 0, 42, 0, 0}, (*World).checkConsent},
	{[8]int{0, 0, 3, 0, 0, 7, 2, 0}, (*World).withdrawConsent},
	{[8]int{0, 9, 2, 3, 0, 0, 42, 0}, (*World).foreignRefreshToken},
	{[8]int{0, 3, 1, 0, 0, 0, 18, 0}, (*World).foreignAccessToken},
	{[8]int{0, 12, 2, 0, 0, 0, 42, 0}, (*World).foreignSpending},
	{[8]int{0, 0, 0, 9, 0, 0, 9, 0}, (*World).foreignSession},
	{[8]int{0, 0, 1, 3, 0, 0, 4, 0}, (*World).foreignSignOut},
	{[8]int{0, 0, 0, 0, 0, 21, 3, 0}, (*World).foreignConsent},
	{[8]int{2, 1, 0, 0, 0, 0, 0, 4}, (*World).rotateSecret},
	{[8]int{2, 1, 1, 0, 0, 0, 0, 4}, (*World).authenticate},
	{[8]int{1, 1, 0, 0, 1, 0, 0, 6}, (*World).rememberProof},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 5}, (*World).rememberAssertion},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 4}, (*World).rotateKey},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 8}, (*World).countAttempt},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 2}, (*World).resetAttempts},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 4}, (*World).createOneTimeCode},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 12}, (*World).redeemOneTimeCode},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 2}, (*World).createTOTP},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 9}, (*World).useTOTP},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 2}, (*World).createPasskey},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 9}, (*World).usePasskey},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 2}, (*World).replaceRecoveryCodes},
	{[8]int{0, 0, 0, 0, 0, 0, 0, 9}, (*World).useRecoveryCode},
}

// Work makes calls at random, one after the other, until one is no longer answered. The worker's number sets it apart from others, who work at
// the same time.
func (w *World) Work(ctx context.Context, db store.DBTX, worker, calls int, seed uint64) error {
	d := pick{rand.New(rand.NewPCG(seed, uint64(worker)))}
	for made := 0; made < calls; {
		c, then := w.next(d)
		if c.Name == "" {
			continue
		}
		a, err := w.Call(ctx, db, worker, c)
		if err != nil || a.Outcome == model.Lost {
			return err
		}
		made++
		w.mu.Lock()
		if then != nil {
			then(a)
		}
		w.answered(c, a)
		w.mu.Unlock()
	}
	return nil
}

// answered remembers the families that are there.
func (w *World) answered(c model.Call, a model.Answer) {
	if a.Outcome != store.OutcomeCreated && a.Outcome != store.OutcomeGranted && a.Outcome != store.OutcomeIssued {
		return
	}
	switch p := c.Params.(type) {
	case store.CreateAuthorizationParams:
		w.written = append(w.written, p.ID)
	case store.GrantAuthorizationParams:
		w.written = append(w.written, p.ID)
	case store.IssueGrantParams:
		w.written = append(w.written, p.ID)
	}
}

// next is a call to make, and what is known once it has been answered.
func (w *World) next(d pick) (model.Call, func(model.Answer)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	mood, total := slices.Index(moods, w.mood), 0
	for _, a := range actions {
		total += a.weights[mood]
	}
	n := d.below(total)
	for i, a := range actions {
		if n -= a.weights[mood]; n < 0 {
			if w.echoes > 0 && d.once(2) {
				w.echoes--
				return w.echo(w, d) // as another worker has just done
			}
			if d.once(3) {
				w.echo, w.echoes = actions[i].make, 2
			}
			return a.make(w, d)
		}
	}
	panic("unreachable")
}

// Choices.

type pick struct{ *rand.Rand }

func (d pick) below(n int) int { return d.IntN(n) }

// once is true once in n times.
func (d pick) once(n int) bool { return d.IntN(n) == 0 }

func oneOf[T any](d pick, items ...T) T { return items[d.IntN(len(items))] }

// hot picks mostly one of the latest two, so that calls meet.
func hot[T any](d pick, items []T) (picked T, found bool) {
	if len(items) == 0 {
		return picked, false
	}
	latest := min(len(items), 2)
	if d.once(4) {
		latest = min(len(items), 6)
	}
	return items[len(items)-1-d.IntN(latest)], true
}

func (w *World) id(prefix string) string {
	w.counts[prefix]++
	return fmt.Sprintf("%s-%s%d", w.name, prefix, w.counts[prefix])
}

// digest is the digest of a credential, by which it is printed.
func (w *World) digest(raw string) token.Digest {
	d := token.DigestOf(raw)
	w.names[d] = raw
	return d
}

func (w *World) user(d pick) store.UserID { return w.users[min(d.below(4), 3)/3] }

func (w *World) client(d pick) store.ClientID { return w.clients[[]int{0, 0, 1, 2}[d.below(4)]] }

// sessionOf is one of the user's, or none.
func (w *World) sessionOf(d pick, u store.UserID) *store.SessionID {
	of := slices.DeleteFunc(slices.Clone(w.sessions), func(s ofSession) bool { return s.user != u })
	if s, found := hot(d, of); found && !d.once(3) {
		return &s.id
	}
	return nil
}

// secret is a new one of the client that has one.
func (w *World) secret() token.Digest {
	s := w.digest(w.id("secret"))
	w.secrets = append(w.secrets, s)
	return s
}

// caller is how a client authenticates.
func (w *World) caller(d pick, c store.ClientID) (method string, secret token.Digest) {
	switch c {
	case w.clients[0]:
		secret, _ = hot(d, w.secrets)
		return "client_secret_basic", secret
	case w.clients[1]:
		return "none", ""
	}
	return "private_key_jwt", ""
}

func (w *World) proof(d pick) (*token.Digest, *time.Time) {
	if !d.once(8) {
		return nil, nil
	}
	return new(w.proofID(d)), new(time.Now().Add(far))
}

// proofID is one of the latest two, each of which is presented a few times.
func (w *World) proofID(d pick) token.Digest {
	w.counts["proof"]++
	return w.digest(fmt.Sprintf("%s-proof%d", w.name, w.counts["proof"]/4+d.below(2)))
}

// when makes something known once an outcome is answered; one time in eight at once, as if its digest had been guessed.
func (w *World) when(d pick, learn func(), outcomes ...store.Outcome) func(model.Answer) {
	if d.once(8) {
		learn()
		return nil
	}
	return w.answers(learn, outcomes...)
}

// answers makes something known once an outcome is answered. A retry judges by what it reads before it writes its access token, so whoever
// knew that token could see it missing after what comes later.
func (w *World) answers(learn func(), outcomes ...store.Outcome) func(model.Answer) {
	return func(a model.Answer) {
		if slices.Contains(outcomes, a.Outcome) {
			learn()
		}
	}
}

// repeatable may be made again with the same parameters.
func (w *World) repeatable(c model.Call, then func(model.Answer)) (model.Call, func(model.Answer)) {
	if w.again = append(w.again, c); len(w.again) > 6 {
		w.again = w.again[1:]
	}
	return c, then
}

func (w *World) repeat(d pick) (model.Call, func(model.Answer)) {
	c, _ := hot(d, w.again)
	return c, nil
}

// begun makes a session known once it has begun: nobody names one before.
func (w *World) begun(id store.SessionID, cookie token.Digest, user store.UserID, outcome store.Outcome) func(model.Answer) {
	return func(a model.Answer) {
		if a.Outcome == outcome {
			w.sessions = append(w.sessions, ofSession{id, cookie, user})
		}
	}
}

// Grants.

func (w *World) grantAuthorization(d pick) (model.Call, func(model.Answer)) {
	p := store.GrantAuthorizationParams{
		ID: store.AuthorizationID(w.id("a")), UserID: w.user(d), ClientID: w.client(d), Resources: apis, RedirectURI: new(fixture.RedirectURI),
		ResponseType: new("code"), CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), DefaultScopes: defaults, DefaultResources: apis,
		Code: w.digest(w.id("code")), CodeLifetime: far,
	}
	p.SessionID = w.sessionOf(d, p.UserID)
	p.Scopes = oneOf(d, online, offline)
	p.GrantedScopes = p.Scopes
	return model.Call{Name: "GrantAuthorization", Params: p}, w.when(d, func() {
		w.codes, w.families = append(w.codes, ofCode{p.Code, p.ID, p.ClientID}), append(w.families, p.ID)
	}, store.OutcomeGranted)
}

func (w *World) createAuthorization(d pick) (model.Call, func(model.Answer)) {
	p := store.CreateAuthorizationParams{
		ID: store.AuthorizationID(w.id("a")), ClientID: w.client(d), Resources: apis, RedirectURI: new(fixture.RedirectURI), Lifetime: far,
		ResponseType: new("code"), CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), DefaultScopes: defaults, DefaultResources: apis,
		Scopes: oneOf(d, online, offline),
	}
	r := ofRequest{id: p.ID, client: p.ClientID}
	if d.once(2) {
		r.uri = w.digest(w.id("uri"))
		p.RequestURI, p.RequestURILifetime = &r.uri, far
	}
	return model.Call{Name: "CreateAuthorization", Params: p}, w.when(d, func() {
		w.pending, w.families = append(w.pending, r), append(w.families, r.id)
		if r.uri != "" {
			w.pushed = append(w.pushed, r)
		}
	}, store.OutcomeCreated)
}

func (w *World) takeAuthorization(d pick) (call model.Call, then func(model.Answer)) {
	if r, found := hot(d, w.pushed); found {
		call = model.Call{Name: "TakeAuthorizationByRequestURI", Params: store.TakeAuthorizationByRequestURIParams{RequestURI: r.uri, ClientID: r.client, Lifetime: far}}
	}
	return call, nil
}

func (w *World) approve(d pick) (model.Call, func(model.Answer)) {
	r, found := hot(d, w.pending)
	if !found {
		return w.createAuthorization(d)
	}
	p := store.ApproveAuthorizationParams{
		ID: r.id, UserID: w.user(d), GrantedScopes: oneOf(d, online, online, offline), Code: new(w.digest(w.id("code"))), CodeLifetime: far,
		DefaultScopes: defaults, DefaultResources: apis,
	}
	p.SessionID = w.sessionOf(d, p.UserID)
	return w.repeatable(model.Call{Name: "ApproveAuthorization", Params: p}, w.when(d, func() {
		if r.device == "" {
			w.codes = append(w.codes, ofCode{*p.Code, r.id, r.client})
		}
	}, store.OutcomeApproved, store.OutcomeRetried))
}

func (w *World) deny(d pick) (call model.Call, then func(model.Answer)) {
	if r, found := hot(d, w.pending); found {
		call = model.Call{Name: "DenyAuthorization", Params: store.DenyAuthorizationParams{ID: r.id, UserID: new(w.user(d))}}
	}
	return call, nil
}

func (w *World) issueCode(d pick) (call model.Call, then func(model.Answer)) {
	r, found := hot(d, w.pending)
	if !found {
		return call, nil
	}
	p := store.IssueAuthorizationCodeParams{ID: r.id, Code: w.digest(w.id("code")), CodeLifetime: far, DefaultScopes: defaults, DefaultResources: apis}
	return model.Call{Name: "IssueAuthorizationCode", Params: p}, w.when(d, func() {
		w.codes = append(w.codes, ofCode{p.Code, r.id, r.client})
	}, store.OutcomeIssued)
}

func (w *World) redeem(d pick) (model.Call, func(model.Answer)) {
	c, found := hot(d, w.codes)
	if !found {
		return w.grantAuthorization(d)
	}
	access, refresh := w.id("t"), w.id("r")
	p := store.RedeemAuthorizationCodeParams{
		Code: c.code, ClientID: c.client, CodeChallenge: &fixture.Challenge, RedirectURI: new(fixture.RedirectURI),
		AccessTokenID: store.AccessTokenID(access), AccessToken: new(w.digest(access)), AccessTokenLifetime: far,
		RefreshTokenID: new(store.RefreshTokenID(refresh)), RefreshToken: new(w.digest(refresh)), RefreshTokenLifetime: far, FamilyLifetime: store.Never,
		DefaultScopes: defaults, DefaultResources: apis,
	}
	p.ClientAuthMethod, p.ClientSecret = w.caller(d, c.client)
	p.Proof, p.ProofExpiresAt = w.proof(d)
	if d.once(8) {
		p.AccessTokenWithoutRow, p.AccessToken = true, nil
	}
	return w.repeatable(model.Call{Name: "RedeemAuthorizationCode", Params: p}, w.when(d, func() {
		w.issued(c.client, access, p.AccessToken, refresh, p.RefreshToken)
	}, store.OutcomeRedeemed))
}

// issued makes tokens known.
func (w *World) issued(c store.ClientID, access string, a *token.Digest, refresh string, r *token.Digest) {
	if a != nil {
		w.access = append(w.access, ofToken{id: access, digest: *a, client: c})
	}
	if r != nil {
		w.refresh = append(w.refresh, ofToken{id: refresh, digest: *r, client: c})
	}
}

func (w *World) rotate(d pick) (model.Call, func(model.Answer)) {
	r, found := hot(d, w.refresh)
	if !found {
		return w.issueGrant(d)
	}
	access, successor := w.id("t"), w.id("r")
	p := store.RotateRefreshTokenParams{
		Token: r.digest, ClientID: r.client, Grace: far, GraceUntilUsed: d.once(4), Successor: w.digest(w.names[r.digest] + "'"),
		SuccessorID: store.RefreshTokenID(successor), RefreshTokenLifetime: far,
		AccessTokenID: store.AccessTokenID(access), AccessToken: new(w.digest(access)), AccessTokenLifetime: far,
		DefaultScopes: defaults, DefaultResources: apis,
	}
	p.ClientAuthMethod, p.ClientSecret = w.caller(d, r.client)
	p.Proof, p.ProofExpiresAt = w.proof(d)
	if d.once(8) {
		p.AccessTokenWithoutRow, p.AccessToken = true, nil
	}
	return w.repeatable(model.Call{Name: "RotateRefreshToken", Params: p}, w.answers(func() {
		w.issued(r.client, access, p.AccessToken, successor, &p.Successor)
	}, store.OutcomeRotated, store.OutcomeRetried))
}

func (w *World) issueGrant(d pick) (model.Call, func(model.Answer)) {
	access, refresh := w.id("t"), w.id("r")
	p := store.IssueGrantParams{
		ID: store.AuthorizationID(w.id("a")), UserID: w.user(d), ClientID: w.client(d), GrantType: "server", Scopes: oneOf(d, online, offline),
		DefaultScopes: defaults, Resources: apis, DefaultResources: apis,
		AccessTokenID: store.AccessTokenID(access), AccessToken: new(w.digest(access)), AccessTokenLifetime: far,
		RefreshTokenID: new(store.RefreshTokenID(refresh)), RefreshToken: new(w.digest(refresh)), RefreshTokenLifetime: far, FamilyLifetime: store.Never,
	}
	p.SessionID = w.sessionOf(d, p.UserID)
	return w.repeatable(model.Call{Name: "IssueGrant", Params: p}, w.when(d, func() {
		w.families = append(w.families, p.ID)
		w.issued(p.ClientID, access, p.AccessToken, refresh, p.RefreshToken)
	}, store.OutcomeIssued))
}

func (w *World) issueAccessToken(d pick) (model.Call, func(model.Answer)) {
	access := w.id("t")
	p := store.IssueAccessTokenParams{
		ID: store.AccessTokenID(access), ClientID: w.clients[2*d.below(2)], Scopes: online, Resources: apis, DefaultScopes: defaults, DefaultResources: apis,
		AccessToken: new(w.digest(access)), Lifetime: far,
	}
	p.ClientAuthMethod, p.ClientSecret = w.caller(d, p.ClientID)
	return w.repeatable(model.Call{Name: "IssueAccessToken", Params: p}, w.when(d, func() {
		w.issued(p.ClientID, access, p.AccessToken, "", nil)
	}, store.OutcomeIssued))
}

func (w *World) exchange(d pick) (call model.Call, then func(model.Answer)) {
	t, found := hot(d, w.access)
	if !found {
		return call, nil
	}
	access := w.id("t")
	p := store.ExchangeTokenParams{
		ClientID: w.clients[2*d.below(2)], ClientResources: apis, SubjectToken: &t.digest, DefaultScopes: defaults,
		AccessTokenID: store.AccessTokenID(access), AccessToken: new(w.digest(access)), AccessTokenLifetime: far,
	}
	p.ClientAuthMethod, p.ClientSecret = w.caller(d, p.ClientID)
	return w.repeatable(model.Call{Name: "ExchangeToken", Params: p}, w.when(d, func() {
		w.issued(p.ClientID, access, p.AccessToken, "", nil)
	}, store.OutcomeExchanged))
}

// Devices.

func (w *World) createDevice(d pick) (model.Call, func(model.Answer)) {
	r := ofRequest{
		id: store.AuthorizationID(w.id("a")), client: w.client(d), device: w.digest(w.id("device")), userCode: w.digest(w.id("user-code")),
	}
	if other, found := hot(d, w.devices); found && d.once(8) {
		r.userCode = other.userCode
	}
	p := store.CreateDeviceAuthorizationParams{
		ID: r.id, ClientID: r.client, Scopes: oneOf(d, online, offline), Resources: apis, DefaultScopes: defaults, DefaultResources: apis,
		DeviceCode: r.device, UserCode: r.userCode, Lifetime: far, PollInterval: far / 2,
	}
	p.ClientAuthMethod, p.ClientSecret = w.caller(d, r.client)
	return model.Call{Name: "CreateDeviceAuthorization", Params: p}, w.when(d, func() {
		w.devices, w.pending, w.families = append(w.devices, r), append(w.pending, r), append(w.families, r.id)
	}, store.OutcomeCreated)
}

func (w *World) claim(d pick) (model.Call, func(model.Answer)) {
	r, found := hot(d, w.devices)
	if !found {
		return w.createDevice(d)
	}
	p := store.FindAuthorizationByUserCodeParams{UserCode: r.userCode, UserID: w.user(d)}
	p.SessionID = w.sessionOf(d, p.UserID)
	return model.Call{Name: "FindAuthorizationByUserCode", Params: p}, nil
}

func (w *World) poll(d pick) (model.Call, func(model.Answer)) {
	r, found := hot(d, w.devices)
	if !found {
		return w.createDevice(d)
	}
	access, refresh := w.id("t"), w.id("r")
	p := store.PollDeviceCodeParams{
		DeviceCode: r.device, ClientID: r.client, Grace: far, AccessTokenID: store.AccessTokenID(access), AccessToken: new(w.digest(access)),
		RefreshTokenID: new(store.RefreshTokenID(refresh)), RefreshToken: new(w.digest(w.names[r.device] + "'")), DefaultScopes: defaults,
		DefaultResources: apis, AccessTokenLifetime: far, RefreshTokenLifetime: far, FamilyLifetime: store.Never,
	}
	p.ClientAuthMethod, p.ClientSecret = w.caller(d, r.client)
	if d.once(3) {
		p.AccessTokenWithoutRow, p.AccessToken = true, nil
	}
	return w.repeatable(model.Call{Name: "PollDeviceCode", Params: p}, w.answers(func() {
		w.issued(r.client, access, p.AccessToken, refresh, p.RefreshToken)
	}, store.OutcomeRedeemed, store.OutcomeRetried))
}

// Introspection.

func (w *World) introspect(d pick) (call model.Call, then func(model.Answer)) {
	method, client, secret := "server", store.ClientID(""), token.Digest("")
	if d.once(4) {
		client = w.clients[2*d.below(2)]
		method, secret = w.caller(d, client)
	}
	if f, found := hot(d, w.families); found && d.once(4) {
		return model.Call{Name: "IntrospectAuthorization", Params: store.IntrospectAuthorizationParams{ID: f, ClientID: client, ClientAuthMethod: method, ClientSecret: secret}}, nil
	}
	of := w.access
	if d.once(2) {
		of = w.refresh
	}
	t, found := hot(d, of)
	switch {
	case !found:
		return call, nil
	case d.once(3) && len(of) == len(w.refresh):
		return model.Call{Name: "IntrospectRefreshToken", Params: store.IntrospectRefreshTokenParams{Token: t.digest, ClientID: client, ClientAuthMethod: method, ClientSecret: secret}}, nil
	case d.once(3):
		return model.Call{Name: "IntrospectAccessToken", Params: store.IntrospectAccessTokenParams{Token: t.digest, ClientID: client, ClientAuthMethod: method, ClientSecret: secret}}, nil
	}
	return model.Call{Name: "IntrospectToken", Params: store.IntrospectTokenParams{Token: t.digest, ClientID: client, ClientAuthMethod: method, ClientSecret: secret}}, nil
}

// Endings.

func (w *World) revokeToken(d pick) (call model.Call, then func(model.Answer)) {
	t, found := hot(d, oneOf(d, w.access, w.refresh))
	if !found {
		return call, nil
	}
	p := store.RevokeTokenParams{Token: t.digest, ClientID: t.client}
	p.ClientAuthMethod, p.ClientSecret = w.caller(d, t.client)
	return model.Call{Name: "RevokeToken", Params: p}, nil
}

func (w *World) revokeAuthorization(d pick) (call model.Call, then func(model.Answer)) {
	if f, found := hot(d, w.families); found {
		call = model.Call{Name: "RevokeAuthorization", Params: f}
	}
	return call, nil
}

func (w *World) revokeUser(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "RevokeUserAuthorizations", Params: w.user(d)}, nil
}

func (w *World) revokePair(d pick) (model.Call, func(model.Answer)) {
	p := store.RevokeUserAuthorizationsByClientParams{UserID: w.user(d), ClientID: w.client(d)}
	return model.Call{Name: "RevokeUserAuthorizationsByClient", Params: p}, nil
}

func (w *World) revokeClient(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "RevokeClientAuthorizations", Params: w.client(d)}, nil
}

func (w *World) disable(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "DisableClient", Params: w.client(d)}, nil
}

func (w *World) enable(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "EnableClient", Params: w.client(d)}, nil
}

func (w *World) suspend(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "SuspendUser", Params: w.user(d)}, nil
}

func (w *World) reinstate(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "ReinstateUser", Params: w.user(d)}, nil
}

func (w *World) deleteUser(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "DeleteUser", Params: w.users[1]}, nil
}

func (w *World) deleteClient(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "DeleteClient", Params: w.clients[2]}, nil
}

// Sessions.

func (w *World) session(u store.UserID) store.CreateSessionParams {
	id := w.id("s")
	return store.CreateSessionParams{ID: store.SessionID(id), Token: w.digest(id), UserID: u, Lifetime: far}
}

// createSession begins a session. The first user may have any number, the second one: a maximum counts for those who sign in with it, and who
// signs in without it at the same time isn't counted.
func (w *World) createSession(d pick) (model.Call, func(model.Answer)) {
	p := w.session(oneOf(d, w.users...))
	if p.UserID == w.users[1] {
		p.MaxSessions = 1
	}
	return model.Call{Name: "CreateSession", Params: p}, w.begun(p.ID, p.Token, p.UserID, store.OutcomeCreated)
}

func (w *World) findSession(d pick) (model.Call, func(model.Answer)) {
	s, _ := hot(d, w.sessions)
	return model.Call{Name: "FindSessionByToken", Params: s.token}, nil
}

func (w *World) extendSession(d pick) (model.Call, func(model.Answer)) {
	s, _ := hot(d, w.sessions)
	return model.Call{Name: "ExtendSession", Params: store.ExtendSessionParams{ID: s.id, Lifetime: far, MinGain: 30 * time.Minute}}, nil
}

func (w *World) endSession(d pick) (model.Call, func(model.Answer)) {
	s, _ := hot(d, w.sessions)
	return model.Call{Name: "EndSession", Params: s.id}, nil
}

func (w *World) endUserSessions(d pick) (model.Call, func(model.Answer)) {
	p := store.EndUserSessionsParams{UserID: w.user(d)}
	if d.once(2) {
		p.Keep = w.sessionOf(d, p.UserID)
	}
	return model.Call{Name: "EndUserSessions", Params: p}, nil
}

// Consents.

func (w *World) grantConsent(d pick) (model.Call, func(model.Answer)) {
	p := store.GrantConsentParams{
		ID: store.ConsentID(w.id("n")), ClientID: w.client(d), UserID: w.user(d), Scopes: oneOf(d, online, offline, defaults), Merge: d.once(2),
	}
	return model.Call{Name: "GrantConsent", Params: p}, nil
}

func (w *World) checkConsent(d pick) (model.Call, func(model.Answer)) {
	p := store.CheckConsentParams{ClientID: w.client(d), UserID: w.user(d), Scopes: oneOf(d, online, offline, defaults)}
	return model.Call{Name: "CheckConsent", Params: p}, nil
}

func (w *World) withdrawConsent(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "WithdrawConsent", Params: store.WithdrawConsentParams{ClientID: w.client(d), UserID: w.user(d)}}, nil
}

// Another server's statements.

func (w *World) foreignRefreshToken(d pick) (model.Call, func(model.Answer)) {
	id := w.id("fr")
	t := model.ForeignToken{
		Refresh: true, ID: id, Token: w.digest(id), ClientID: w.client(d), UserID: w.user(d), Scopes: oneOf(d, online, offline), Lifetime: far,
		CodeID: new(store.AuthorizationID(w.id("f"))),
	}
	if f, found := hot(d, w.written); found && d.once(3) {
		t.CodeID = &f
	}
	t.SessionID = w.sessionOf(d, t.UserID)
	return model.Call{Name: "another server's token", Params: t}, func(a model.Answer) {
		if a.Outcome == "inserted" {
			w.refresh = append(w.refresh, ofToken{id, t.Token, t.ClientID, t.UserID})
		}
	}
}

func (w *World) foreignAccessToken(d pick) (call model.Call, then func(model.Answer)) {
	of := slices.DeleteFunc(slices.Clone(w.refresh), func(t ofToken) bool { return t.user == "" })
	r, found := hot(d, of)
	if !found {
		return call, nil
	}
	id := w.id("ft")
	t := model.ForeignToken{ID: id, Token: w.digest(id), ClientID: r.client, UserID: r.user, Scopes: online, Lifetime: far, RefreshedBy: new(store.RefreshTokenID(r.id))}
	return model.Call{Name: "another server's token", Params: t}, w.when(d, func() {
		w.access = append(w.access, ofToken{id, t.Token, t.ClientID, t.UserID})
	}, "inserted")
}

func (w *World) foreignSpending(d pick) (call model.Call, then func(model.Answer)) {
	if r, found := hot(d, w.refresh); found {
		call = model.Call{Name: "another server's spending", Params: r.digest}
	}
	return call, nil
}

func (w *World) foreignSession(pick) (model.Call, func(model.Answer)) {
	id := w.id("fs")
	p := model.ForeignSession{ID: store.SessionID(id), Token: w.digest(id), UserID: w.users[0], Lifetime: far}
	return model.Call{Name: "another server's session", Params: p}, w.begun(p.ID, p.Token, p.UserID, "inserted")
}

func (w *World) foreignSignOut(d pick) (model.Call, func(model.Answer)) {
	s, _ := hot(d, w.sessions)
	return model.Call{Name: "another server's sign-out", Params: s.id}, nil
}

func (w *World) foreignConsent(d pick) (model.Call, func(model.Answer)) {
	p := model.ForeignConsent{ID: store.ConsentID(w.id("n")), ClientID: w.client(d), UserID: w.user(d), Scopes: oneOf(d, online, offline)}
	return model.Call{Name: "another server's consent", Params: p}, nil
}

// Gates.

func (w *World) rotateSecret(d pick) (model.Call, func(model.Answer)) {
	p := store.RotateClientSecretParams{ClientID: w.clients[0], ClientSecret: w.digest(w.id("secret")), Overlap: far, Lifetime: store.Never}
	return w.repeatable(model.Call{Name: "RotateClientSecret", Params: p}, w.when(d, func() {
		w.secrets = append(w.secrets, p.ClientSecret)
	}, store.OutcomeRotated, store.OutcomeRetried))
}

func (w *World) authenticate(d pick) (model.Call, func(model.Answer)) {
	p := store.AuthenticateClientParams{ClientID: w.client(d)}
	p.ClientAuthMethod, p.ClientSecret = w.caller(d, p.ClientID)
	return model.Call{Name: "AuthenticateClient", Params: p}, nil
}

func (w *World) rememberProof(d pick) (model.Call, func(model.Answer)) {
	return model.Call{Name: "RememberProof", Params: store.RememberProofParams{ID: w.proofID(d), ExpiresAt: time.Now().Add(far)}}, nil
}

func (w *World) rememberAssertion(d pick) (model.Call, func(model.Answer)) {
	p := store.RememberClientAssertionParams{ID: w.digest(fmt.Sprintf("%s-assertion%d", w.name, w.counts["assertion"]/4+d.below(2))), ExpiresAt: time.Now().Add(far).Unix(), MaxLifetime: 2 * far}
	w.counts["assertion"]++
	return model.Call{Name: "RememberClientAssertion", Params: p}, nil
}

// rotateKey is about one of the latest two algorithms, of each of which a few servers want a new key.
func (w *World) rotateKey(d pick) (model.Call, func(model.Answer)) {
	p := store.RotateSigningKeyIfDueParams{
		ID: store.SigningKeyID(w.id("jwk")), Alg: fmt.Sprintf("%s-alg%d", w.name, w.counts["alg"]/4+d.below(2)), MaxAge: far, PublicKey: "{}", PrivateKey: "x",
	}
	w.counts["alg"]++
	return w.repeatable(model.Call{Name: "RotateSigningKeyIfDue", Params: p}, nil)
}

// of is whom attempts are counted for, and how many a window may have.
func (w *World) of(d pick) (purpose string, subject token.Digest, most int32) {
	return "sign-in", w.digest(w.name + "-" + oneOf(d, "ada", "bob")), 3
}

func (w *World) countAttempt(d pick) (model.Call, func(model.Answer)) {
	p := store.CountAttemptParams{AttemptWindow: far}
	p.Purpose, p.Subject, p.MaxAttempts = w.of(d)
	return model.Call{Name: "CountAttempt", Params: p}, nil
}

func (w *World) resetAttempts(d pick) (model.Call, func(model.Answer)) {
	p := store.ResetAttemptsParams{}
	p.Purpose, p.Subject, _ = w.of(d)
	return model.Call{Name: "ResetAttempts", Params: p}, nil
}

func (w *World) oneTimeCode(d pick) token.Digest {
	return w.digest(w.name + oneOf(d, "-123456", "-654321"))
}

func (w *World) createOneTimeCode(d pick) (model.Call, func(model.Answer)) {
	p := store.CreateOneTimeCodeParams{Digest: w.oneTimeCode(d), Lifetime: far}
	p.Purpose, p.Subject, _ = w.of(d)
	return model.Call{Name: "CreateOneTimeCode", Params: p}, nil
}

func (w *World) redeemOneTimeCode(d pick) (model.Call, func(model.Answer)) {
	p := store.RedeemOneTimeCodeParams{Digest: w.oneTimeCode(d), AttemptWindow: far}
	p.Purpose, p.Subject, p.MaxAttempts = w.of(d)
	return model.Call{Name: "RedeemOneTimeCode", Params: p}, nil
}

func (w *World) createTOTP(d pick) (model.Call, func(model.Answer)) {
	p := store.CreateTOTPParams{UserID: w.users[0], ID: store.TOTPID(w.id("totp")), Secret: "ciphertext", LastStep: new(w.steps)}
	return model.Call{Name: "CreateTOTP", Params: p}, w.when(d, func() { w.apps = append(w.apps, p.ID) }, store.OutcomeCreated)
}

func (w *World) useTOTP(d pick) (model.Call, func(model.Answer)) {
	app, found := hot(d, w.apps)
	if !found {
		return w.createTOTP(d)
	}
	w.steps += int64(d.below(2))
	p := store.UseTOTPParams{UserID: w.users[0], ID: app, Steps: oneOf(d, []int64{w.steps}, []int64{w.steps, w.steps + 1})}
	return model.Call{Name: "UseTOTP", Params: p}, nil
}

func (w *World) createPasskey(d pick) (model.Call, func(model.Answer)) {
	p := store.CreatePasskeyParams{UserID: w.users[0], ID: store.PasskeyID(w.id("key")), PublicKey: "key", SignCount: new(w.steps)}
	return model.Call{Name: "CreatePasskey", Params: p}, w.when(d, func() { w.keys = append(w.keys, p.ID) }, store.OutcomeCreated)
}

func (w *World) usePasskey(d pick) (model.Call, func(model.Answer)) {
	key, found := hot(d, w.keys)
	if !found {
		return w.createPasskey(d)
	}
	w.steps += int64(d.below(2))
	return model.Call{Name: "UsePasskey", Params: store.UsePasskeyParams{ID: key, SignCount: w.steps}}, nil
}

func (w *World) replaceRecoveryCodes(d pick) (model.Call, func(model.Answer)) {
	p := store.ReplaceRecoveryCodesParams{UserID: w.users[0], Digests: token.Digests{w.digest(w.id("recovery")), w.digest(w.id("recovery"))}}
	return model.Call{Name: "ReplaceRecoveryCodes", Params: p}, w.when(d, func() { w.recovery = append(w.recovery, p.Digests...) }, store.OutcomeReplaced)
}

func (w *World) useRecoveryCode(d pick) (model.Call, func(model.Answer)) {
	code, found := hot(d, w.recovery)
	if !found {
		return w.replaceRecoveryCodes(d)
	}
	return model.Call{Name: "UseRecoveryCode", Params: store.UseRecoveryCodeParams{UserID: w.users[0], Digest: code}}, nil
}

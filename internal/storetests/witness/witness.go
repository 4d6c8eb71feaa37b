package witness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// Options say how a witness works.
type Options struct {
	// Workers call at the same time, each for users of its own. The default is 8. Each has up to two calls under way.
	Workers int

	// Positions says that each answer is remembered with how far the write-ahead log of the server reached after it.
	Positions bool
}

// Witness makes calls and remembers the answers.
type Witness struct {
	options   Options
	client    store.ClientID // public
	device    store.ClientID
	exchanger store.ClientID
	issuer    string
	workers   []*worker
	enough    func(*worker) bool // ends the work of a worker; nil: only a call without an answer does
}

// New registers the clients that the calls are made for. The world needs nobody in it.
func New(w *fixture.World, o Options) *Witness {
	w.Helper()
	if o.Workers == 0 {
		o.Workers = 8
	}
	s := &Witness{options: o, issuer: fixture.Issuer}
	s.client = w.NewClient(func(p *store.CreateClientParams) { p.Public = new(true) })
	s.device = w.NewClient(func(p *store.CreateClientParams) {
		p.Public, p.GrantTypes = new(true), []string{deviceGrant, "refresh_token"}
	})
	s.exchanger = w.NewExchanger()
	w.TrustIssuer(s.issuer)
	for i := range o.Workers {
		s.workers = append(s.workers, &worker{witness: s, doubled: i == 0})
	}
	return s
}

// Work makes calls until each worker has one that gets no answer. The world is that of the server which is there now.
func (s *Witness) Work(w *fixture.World) {
	w.Helper()
	var working sync.WaitGroup
	for _, k := range s.workers {
		own := *w
		own.Client = s.client
		k.w = &own
		working.Go(k.work)
	}
	working.Wait()
}

// Counts are how much a witness has seen.
type Counts struct {
	Answers, Lost, Grants, Rotations, Endings, Polls, Exchanges, Singles int
}

func (c Counts) String() string {
	return fmt.Sprintf("%d answers, with %d grants, %d rotations, %d endings, %d polls, %d exchanges, %d of what is good once; %d calls got no answer",
		c.Answers, c.Grants, c.Rotations, c.Endings, c.Polls, c.Exchanges, c.Singles, c.Lost)
}

// Counts counts what the witness has seen so far.
func (s *Witness) Counts() Counts {
	var c Counts
	for _, k := range s.workers {
		c.Answers += k.counts.Answers
		c.Lost += k.counts.Lost
		c.Endings += k.counts.Endings
		c.Polls += k.counts.Polls
		c.Exchanges += k.counts.Exchanges
		c.Singles += k.counts.Singles
		c.Grants += len(k.grants)
		for _, g := range k.grants {
			c.Rotations += max(len(g.chain)-1, 0)
		}
	}
	return c
}

// worker makes one call after the other, some of them twice at once.
type worker struct {
	witness *Witness
	w       *fixture.World
	doubled bool // two callers redeem each code, so that grants end as replayed

	mu      sync.Mutex
	session *signIn
	grants  []*grant
	facts   []known
	open    []open // what got no answer
	before  bool   // a call that is repeated had taken effect before
	once    []func(*fixture.World)
	counts  Counts
}

// open is a call that got no answer. To repeat it is to make it with the same parameters.
type open struct {
	call   string
	err    error
	repeat func() error
}

// signIn is a user in a session.
type signIn struct {
	user    store.UserID
	session store.SessionID
	ended   bool // the session
}

// grant is what a worker knows of an authorization.
type grant struct {
	id      store.AuthorizationID
	client  store.ClientID
	name    string
	in      *signIn
	bound   bool
	doubled bool

	mu       sync.Mutex
	redeemed int
	replayed bool
	ended    bool
	access   map[string]bool // acknowledged; false: revoked since
	chain    []string        // refresh tokens, oldest first; all but the last were rotated, as was acknowledged
	ids      []store.RefreshTokenID
}

func (g *grant) isDead() bool { return g.replayed || g.ended || g.bound && g.in.ended }

// work goes on until a call gets no answer.
func (k *worker) work() {
	// A session may be over whose end got no answer before the server went away.
	if (k.session == nil || k.session.ended) && !k.signIn() {
		return
	}
	for k.witness.enough == nil || !k.witness.enough(k) {
		g := k.grant()
		if g == nil || !k.redeem(g) {
			return
		}
		for i := range 3 {
			if i > 1 { // and one from before the last crashes
				g = k.grants[rand.N(len(k.grants))]
			}
			if !g.isDead() && len(g.chain) > 0 && !k.rotate(g) {
				return
			}
		}
		if others := []func() bool{k.pollDevice, k.exchange, k.presentOnce, k.assert}; !others[rand.N(len(others))]() {
			return
		}
		if rand.N(2) == 0 && !k.end() {
			return
		}
	}
}

// call makes a call, or makes it again after it got no answer. It says whether it was answered.
func (k *worker) call(name string, do func() error) bool {
	err := do()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.counts.Answers++
		return true
	}
	k.counts.Lost++
	if !isLost(err) {
		k.w.Errorf("%s: %v", name, err)
	}
	k.open = append(k.open, open{name, err, do})
	return false
}

// twice makes two calls at once and says whether both were answered.
func (k *worker) twice(name string, first, second func() error) bool {
	var answered [2]bool
	fixture.Together(
		func() { answered[0] = k.call(name, first) },
		func() { answered[1] = k.call(name, second) },
	)
	return answered[0] && answered[1]
}

// isLost says whether an error is that of a server which is on its way out, or gone, or of a call that waited too long for
// another one's row, which waits for a standby.
func isLost(err error) bool {
	e, found := errors.AsType[*pgconn.PgError](err)
	return !found || strings.HasPrefix(e.Code, "57P") || e.Code == "55P03"
}

// wrong fails the test because of an answer that no call may have had.
func (k *worker) wrong(call, of string, outcome store.Outcome) error {
	k.w.Errorf("%s of %s: %s", call, of, outcome)
	return nil
}

// ended remembers an ending, which may have been there before: the family may have been revoked by its code's replay.
func (k *worker) ended(call string, outcome store.Outcome, facts ...fact) error {
	if outcome != store.OutcomeEnded && outcome != store.OutcomeRevoked {
		return k.wrong(call, facts[0].id, outcome)
	}
	k.before = outcome == store.OutcomeRevoked
	for _, f := range facts {
		_ = k.know(call, f.kind, f.id)
	}
	return nil
}

// endedPair remembers that what a user has granted to a client is dead, as is what that client has got by exchange.
func (k *worker) endedPair(user store.UserID, client store.ClientID) {
	for _, g := range k.grants {
		if g.in.user != user {
			continue
		}
		g.ended = g.ended || g.client == client
		for raw := range g.access {
			if client == k.witness.exchanger && strings.HasPrefix(raw, "xt-") {
				g.access[raw] = false
			}
		}
	}
}

func (k *worker) signIn() bool {
	in := &signIn{user: store.NewUserID(), session: store.NewSessionID()}
	created := k.call("CreateUser", func() error {
		_, err := k.w.Q.CreateUser(k.w.Ctx, store.CreateUserParams{ID: in.user, Name: "Ada", Email: new(string(in.user) + "@example.com")})
		k.before = db.IsUniqueViolation(err)
		if err == nil || k.before {
			return k.know("CreateUser", theUser, string(in.user))
		}
		return err
	})
	return created && k.startSession(in)
}

func (k *worker) startSession(in *signIn) bool {
	unanswered := false
	return k.call("CreateSession", func() error {
		r, err := k.w.Q.CreateSession(k.w.Ctx, store.CreateSessionParams{
			ID: in.session, UserID: in.user, Token: fixture.Digest(string(in.session)), Lifetime: fixture.Long,
		})
		k.before = unanswered && r.Outcome == store.OutcomeTaken
		switch {
		case err != nil:
			unanswered = true
			return err
		case k.before:
		case r.Outcome != store.OutcomeCreated:
			return k.wrong("CreateSession", string(in.session), r.Outcome)
		}
		k.session = in
		return k.know("CreateSession", theSession, string(in.session))
	})
}

// grant makes an approved authorization, bound to the session or not.
func (k *worker) grant() *grant {
	k.w.User, k.w.Session = k.session.user, k.session.session
	g := &grant{name: fixture.Unique("code"), client: k.witness.client, in: k.session, bound: rand.N(2) == 0, doubled: k.doubled, access: map[string]bool{}}
	p := k.w.GrantParams(g.name)
	p.CodeLifetime = fixture.Long
	if g.bound {
		p.GrantedScopes = []string{"openid", "email"}
	}
	g.id = p.ID
	unanswered := false
	answered := k.call("GrantAuthorization", func() error {
		outcome, err := k.w.Q.GrantAuthorization(k.w.Ctx, p)
		k.before = unanswered && outcome == store.OutcomeTaken
		switch {
		case err != nil:
			unanswered = true
			return err
		case k.before:
		case outcome != store.OutcomeGranted:
			return k.wrong("GrantAuthorization", g.name, outcome)
		}
		k.grants = append(k.grants, g)
		return k.know("GrantAuthorization", theFamily, string(g.id))
	})
	if !answered {
		return nil
	}
	return g
}

// redeem redeems the code. If the grant is doubled, two callers do, and one of them ends the family.
func (k *worker) redeem(g *grant) bool {
	one := func() func() error {
		p := k.w.RedeemParams(g.name)
		access, refresh := "at-"+string(p.AccessTokenID), "rt-"+string(p.AccessTokenID)
		p.AccessToken, p.RefreshToken = new(fixture.Digest(access)), new(fixture.Digest(refresh))
		p.AccessTokenLifetime, p.RefreshTokenLifetime, p.FamilyLifetime = fixture.Long, fixture.Long, store.Never
		unanswered := false
		return func() error {
			r, err := k.w.Q.RedeemAuthorizationCode(k.w.Ctx, p)
			g.mu.Lock()
			defer g.mu.Unlock()
			switch {
			case err != nil:
				unanswered = true
				return err
			case r.Outcome == store.OutcomeRedeemed, unanswered && r.Outcome == store.OutcomeRetried:
				g.redeemed++
				g.access[access] = true
				g.chain, g.ids = []string{refresh}, []store.RefreshTokenID{*p.RefreshTokenID}
				return errors.Join(
					k.know("RedeemAuthorizationCode", redeemed, string(g.id)),
					k.know("RedeemAuthorizationCode", theAccessToken, string(p.AccessTokenID)),
					k.know("RedeemAuthorizationCode", theRefreshToken, string(*p.RefreshTokenID)),
				)
			case g.doubled && (r.Outcome == store.OutcomeReplayed || unanswered && r.Outcome == store.OutcomeRevoked):
				g.replayed = true
				return errors.Join(
					k.know("RedeemAuthorizationCode", endedFamily, string(g.id)),
					k.know("RedeemAuthorizationCode", eventOfFamily("replayed"), string(g.id)),
				)
			}
			return k.wrong("RedeemAuthorizationCode", g.name, r.Outcome)
		}
	}
	if g.doubled {
		return k.twice("RedeemAuthorizationCode", one(), one())
	}
	return k.call("RedeemAuthorizationCode", one())
}

// rotate presents the latest refresh token twice at once.
func (k *worker) rotate(g *grant) bool {
	refresh := g.chain[len(g.chain)-1]
	one := func() func() error {
		p, _ := k.w.RotateParams(refresh)
		access := "at-" + string(p.AccessTokenID)
		p.ClientID, p.AccessToken = g.client, new(fixture.Digest(access))
		p.Grace, p.AccessTokenLifetime, p.RefreshTokenLifetime = fixture.Long, fixture.Long, fixture.Long
		return func() error {
			r, err := k.w.Q.RotateRefreshToken(k.w.Ctx, p)
			g.mu.Lock()
			defer g.mu.Unlock()
			if err != nil {
				return err
			}
			if r.Outcome != store.OutcomeRotated && r.Outcome != store.OutcomeRetried {
				return k.wrong("RotateRefreshToken", refresh, r.Outcome)
			}
			g.access[access] = true
			next := fixture.SuccessorOf(refresh)
			if *r.Successor != fixture.Digest(next) {
				k.w.Errorf("RotateRefreshToken of %s: another successor", refresh)
			}
			if last := len(g.chain) - 1; g.chain[last] == refresh {
				g.chain, g.ids = append(g.chain, next), append(g.ids, *r.SuccessorID)
			} else if g.ids[last] != *r.SuccessorID {
				k.w.Errorf("RotateRefreshToken of %s: two successors", refresh)
			}
			return errors.Join(
				k.know("RotateRefreshToken", theAccessToken, string(p.AccessTokenID)),
				k.know("RotateRefreshToken", theRefreshToken, string(*r.SuccessorID)),
				k.know("RotateRefreshToken", spentRefreshToken, string(g.ids[len(g.ids)-2])),
			)
		}
	}
	return k.twice("RotateRefreshToken", one(), one())
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// pollDevice goes through the grant of a device, which polls before and after the user has approved.
func (k *worker) pollDevice() bool {
	scopes := []string{"openid", "offline_access"}
	g := &grant{
		id: store.NewAuthorizationID(), client: k.witness.device, name: fixture.Unique("device"), in: k.session, access: map[string]bool{},
	}
	user := fixture.Unique("user")
	created := k.call("CreateDeviceAuthorization", func() error {
		r, err := k.w.Q.CreateDeviceAuthorization(k.w.Ctx, store.CreateDeviceAuthorizationParams{
			ID: g.id, ClientID: g.client, ClientAuthMethod: fixture.Verified, DeviceCode: fixture.Digest(g.name), UserCode: fixture.Digest(user),
			Lifetime: fixture.Long, PollInterval: time.Second, Scopes: scopes, DefaultScopes: scopes,
			Resources: fixture.Resources, DefaultResources: fixture.Resources,
		})
		k.before = r.Outcome == store.OutcomeTaken
		switch {
		case err != nil:
			return err
		case r.Outcome != store.OutcomeCreated && r.Outcome != store.OutcomeTaken:
			return k.wrong("CreateDeviceAuthorization", g.name, r.Outcome)
		}
		return k.know("CreateDeviceAuthorization", theFamily, string(g.id))
	})
	return created && k.poll(g, false) &&
		k.call("FindAuthorizationByUserCode", func() error {
			r, err := k.w.Q.FindAuthorizationByUserCode(k.w.Ctx, store.FindAuthorizationByUserCodeParams{
				UserCode: fixture.Digest(user), UserID: g.in.user, SessionID: &g.in.session,
			})
			switch {
			case err != nil:
				return err
			case r.Outcome != store.OutcomeClaimed && r.Outcome != store.OutcomeRetried:
				return k.wrong("FindAuthorizationByUserCode", g.name, r.Outcome)
			}
			k.before = r.Outcome == store.OutcomeRetried
			return k.know("FindAuthorizationByUserCode", claimed, string(g.id))
		}) &&
		k.call("ApproveAuthorization", func() error {
			r, err := k.w.Q.ApproveAuthorization(k.w.Ctx, store.ApproveAuthorizationParams{
				ID: g.id, UserID: g.in.user, SessionID: &g.in.session, GrantedScopes: scopes, DefaultScopes: scopes, DefaultResources: fixture.Resources,
			})
			switch {
			case err != nil:
				return err
			case r.Outcome != store.OutcomeApproved && r.Outcome != store.OutcomeRetried:
				return k.wrong("ApproveAuthorization", g.name, r.Outcome)
			}
			k.before = r.Outcome == store.OutcomeRetried
			return k.know("ApproveAuthorization", approved, string(g.id))
		}) &&
		k.poll(g, true)
}

// poll polls once while the user has not decided, and for the tokens when the user has.
func (k *worker) poll(g *grant, decided bool) bool {
	k.counts.Polls++
	p := store.PollDeviceCodeParams{
		DeviceCode: fixture.Digest(g.name), ClientID: g.client, ClientAuthMethod: fixture.Verified, Grace: fixture.Long,
		AccessTokenID: store.NewAccessTokenID(), AccessTokenLifetime: fixture.Long, RefreshTokenID: new(store.NewRefreshTokenID()),
		RefreshToken: new(fixture.Digest("rt-" + g.name)), RefreshTokenLifetime: fixture.Long, FamilyLifetime: store.Never,
		DefaultScopes: []string{"openid", "offline_access"}, DefaultResources: fixture.Resources,
	}
	access := "at-" + string(p.AccessTokenID)
	p.AccessToken = new(fixture.Digest(access))
	return k.call("PollDeviceCode", func() error {
		r, err := k.w.Q.PollDeviceCode(k.w.Ctx, p)
		switch {
		case err != nil:
			return err
		case !decided && (r.Outcome == store.OutcomeAuthorizationPending || r.Outcome == store.OutcomeSlowDown):
			return k.know("PollDeviceCode", polled, string(g.id))
		case !decided || r.Outcome != store.OutcomeRedeemed && r.Outcome != store.OutcomeRetried:
			return k.wrong("PollDeviceCode", g.name, r.Outcome)
		}
		g.redeemed = 1
		g.access[access] = true
		g.chain, g.ids = []string{"rt-" + g.name}, []store.RefreshTokenID{*r.RefreshTokenID}
		k.grants = append(k.grants, g)
		return errors.Join(
			k.know("PollDeviceCode", redeemed, string(g.id)),
			k.know("PollDeviceCode", theAccessToken, string(p.AccessTokenID)),
			k.know("PollDeviceCode", theRefreshToken, string(*r.RefreshTokenID)),
		)
	})
}

// living is a grant that lives as far as the worker knows, and one of its access tokens; or none.
func (k *worker) living() (*grant, string) {
	for _, i := range rand.Perm(len(k.grants)) {
		g := k.grants[i]
		if g.isDead() {
			continue
		}
		for raw, lives := range g.access {
			if lives {
				return g, raw
			}
		}
	}
	return nil, ""
}

// exchange exchanges an access token for one of the same family.
func (k *worker) exchange() bool {
	g, subject := k.living()
	if g == nil {
		return true
	}
	k.counts.Exchanges++
	p, _ := k.w.ExchangeParams(subject, k.witness.exchanger)
	access := "xt-" + string(p.AccessTokenID)
	p.AccessToken, p.AccessTokenLifetime = new(fixture.Digest(access)), fixture.Long
	return k.call("ExchangeToken", func() error {
		r, err := k.w.Q.ExchangeToken(k.w.Ctx, p)
		switch {
		case err != nil:
			return err
		case r.Outcome != store.OutcomeExchanged && r.Outcome != store.OutcomeRetried:
			return k.wrong("ExchangeToken", subject, r.Outcome)
		}
		k.before = r.Outcome == store.OutcomeRetried
		g.access[access] = true
		return k.know("ExchangeToken", theAccessToken, string(p.AccessTokenID))
	})
}

// assert presents an assertion of another issuer.
func (k *worker) assert() bool {
	k.counts.Singles++
	subject, jti := fixture.Unique("subject"), fixture.Unique("jti")
	account := store.CreateAccountParams{ID: store.NewAccountID(), UserID: k.session.user, ProviderID: k.witness.issuer, AccountID: subject}
	created := k.call("CreateAccount", func() error {
		_, err := k.w.Q.CreateAccount(k.w.Ctx, account)
		if k.before = db.IsUniqueViolation(err); k.before {
			err = nil
		}
		if err == nil {
			err = k.know("CreateAccount", theAccount, string(account.ID))
		}
		return err
	})
	if !created {
		return false
	}
	g := &grant{client: k.witness.exchanger, name: jti, in: k.session, access: map[string]bool{}}
	p, _ := k.w.AssertionParams(k.witness.issuer, subject, jti, k.witness.exchanger)
	access := "at-" + string(p.AccessTokenID)
	p.AccessToken, p.AccessTokenLifetime = new(fixture.Digest(access)), fixture.Long
	return k.call("IssueTokenByAssertion", func() error {
		r, err := k.w.Q.IssueTokenByAssertion(k.w.Ctx, p)
		switch {
		case err != nil:
			return err
		case r.Outcome != store.OutcomeIssued && r.Outcome != store.OutcomeRetried:
			return k.wrong("IssueTokenByAssertion", jti, r.Outcome)
		}
		k.before = r.Outcome == store.OutcomeRetried
		g.id, g.redeemed = *r.AuthorizationID, 1
		g.access[access] = true
		k.grants = append(k.grants, g)
		k.once = append(k.once, func(w *fixture.World) {
			again, _ := w.AssertionParams(k.witness.issuer, subject, jti, k.witness.exchanger)
			again.AssertionExpiresAt = p.AssertionExpiresAt
			r, err := w.Q.IssueTokenByAssertion(w.Ctx, again)
			refused(w, "an assertion", jti, r.Outcome, err, store.OutcomeProofReplayed, store.OutcomeSuspended)
		})
		return errors.Join(
			k.know("IssueTokenByAssertion", theAccessToken, string(p.AccessTokenID)),
			k.know("IssueTokenByAssertion", theAssertion, string(p.AssertionID)),
		)
	})
}

// presentOnce presents a proof, an assertion of a client or a code that is good once, or counts an attempt.
func (k *worker) presentOnce() bool {
	k.counts.Singles++
	id := fixture.Digest(fixture.Unique("once"))
	unanswered := false
	switch rand.N(3) {
	case 0:
		p := store.RememberProofParams{ID: id, ExpiresAt: time.Now().Add(time.Hour)}
		return k.call("RememberProof", func() error {
			outcome, err := k.w.Q.RememberProof(k.w.Ctx, p)
			switch {
			case err != nil:
				unanswered = true
				return err
			case outcome != store.OutcomeRemembered && !(unanswered && outcome == store.OutcomeProofReplayed):
				return k.wrong("RememberProof", string(id), outcome)
			}
			k.once = append(k.once, func(w *fixture.World) {
				outcome, err := w.Q.RememberProof(w.Ctx, p)
				refused(w, "a proof", string(id), outcome, err, store.OutcomeProofReplayed)
			})
			return k.know("RememberProof", theProof, string(id))
		})
	case 1:
		p := store.RememberClientAssertionParams{ID: id, ExpiresAt: time.Now().Add(time.Hour).Unix(), MaxLifetime: 2 * time.Hour}
		return k.call("RememberClientAssertion", func() error {
			outcome, err := k.w.Q.RememberClientAssertion(k.w.Ctx, p)
			switch {
			case err != nil:
				unanswered = true
				return err
			case outcome != store.OutcomeRemembered && !(unanswered && outcome == store.OutcomeProofReplayed):
				return k.wrong("RememberClientAssertion", string(id), outcome)
			}
			k.once = append(k.once, func(w *fixture.World) {
				outcome, err := w.Q.RememberClientAssertion(w.Ctx, p)
				refused(w, "a client's assertion", string(id), outcome, err, store.OutcomeProofReplayed)
			})
			return k.know("RememberClientAssertion", theAssertion, string(id))
		})
	}
	subject := fixture.Digest(fixture.Unique("subject"))
	create := store.CreateOneTimeCodeParams{Purpose: "sign-in", Subject: subject, Digest: id, Lifetime: fixture.Long}
	guess := store.RedeemOneTimeCodeParams{Purpose: "sign-in", Subject: subject, Digest: id, MaxAttempts: 5, AttemptWindow: fixture.Long}
	attempt := store.CountAttemptParams{Purpose: "send", Subject: subject, MaxAttempts: 1, AttemptWindow: fixture.Long}
	return k.call("CountAttempt", func() error {
		r, err := k.w.Q.CountAttempt(k.w.Ctx, attempt)
		switch {
		case err != nil:
			unanswered = true
			return err
		case r.Outcome != store.OutcomeCounted && !(unanswered && r.Outcome == store.OutcomeExhausted):
			return k.wrong("CountAttempt", string(id), r.Outcome)
		}
		k.once = append(k.once, func(w *fixture.World) {
			r, err := w.Q.CountAttempt(w.Ctx, attempt)
			refused(w, "an attempt", string(id), r.Outcome, err, store.OutcomeExhausted)
		})
		return k.know("CountAttempt", theAttempt, string(subject))
	}) && k.call("CreateOneTimeCode", func() error {
		_, err := k.w.Q.CreateOneTimeCode(k.w.Ctx, create)
		return err
	}) && k.call("RedeemOneTimeCode", func() error {
		r, err := k.w.Q.RedeemOneTimeCode(k.w.Ctx, guess)
		switch {
		case err != nil:
			unanswered = true
			return err
		case r.Outcome != store.OutcomeAccepted && !(unanswered && r.Outcome == store.OutcomeUnknown):
			return k.wrong("RedeemOneTimeCode", string(id), r.Outcome)
		}
		k.once = append(k.once, func(w *fixture.World) {
			r, err := w.Q.RedeemOneTimeCode(w.Ctx, guess)
			refused(w, "a one-time code", string(id), r.Outcome, err, store.OutcomeUnknown)
		})
		return k.know("RedeemOneTimeCode", spentCode, string(subject))
	})
}

// signOut ends the session and starts another.
func (k *worker) signOut() bool {
	in := k.session
	return k.call("EndSession", func() error {
		r, err := k.w.Q.EndSession(k.w.Ctx, in.session)
		if err != nil {
			return err
		}
		in.ended = true
		return k.ended("EndSession", r.Outcome, fact{endedSession, string(in.session)}, fact{eventOfSession, string(in.session)})
	}) && k.startSession(&signIn{user: in.user, session: store.NewSessionID()})
}

// end ends something, one way or another.
func (k *worker) end() bool {
	k.counts.Endings++
	in := k.session
	grants := func() {
		for _, g := range k.grants {
			g.ended = g.ended || g.in.user == in.user
		}
	}
	sessions := func() {
		for _, g := range k.grants {
			g.in.ended = g.in.ended || g.in.user == in.user
		}
		in.ended = true
	}
	g, access := k.living()
	ways := []func() bool{
		k.signOut,
		func() bool {
			return k.call("EndUserSessions", func() error {
				r, err := k.w.Q.EndUserSessions(k.w.Ctx, store.EndUserSessionsParams{UserID: in.user})
				if err != nil {
					return err
				}
				sessions()
				return k.ended("EndUserSessions", r.Outcome, fact{endedSessions, string(in.user)}, fact{eventOfUser("EndUserSessions"), string(in.user)})
			}) && k.startSession(&signIn{user: in.user, session: store.NewSessionID()})
		},
		func() bool {
			return k.call("RevokeUserAuthorizations", func() error {
				outcome, err := k.w.Q.RevokeUserAuthorizations(k.w.Ctx, in.user)
				if err != nil {
					return err
				}
				grants()
				return k.ended("RevokeUserAuthorizations", outcome, fact{endedGrants, string(in.user)}, fact{eventOfUser("RevokeUserAuthorizations"), string(in.user)})
			})
		},
		func() bool {
			return k.call("SuspendUser", func() error {
				r, err := k.w.Q.SuspendUser(k.w.Ctx, in.user)
				if err != nil {
					return err
				}
				grants()
				sessions()
				return k.ended("SuspendUser", r.Outcome, fact{suspended, string(in.user)}, fact{eventOfUser("SuspendUser"), string(in.user)})
			}) && k.signIn()
		},
	}
	if g != nil {
		ways = append(
			ways, func() bool {
				return k.call("RevokeAuthorization", func() error {
					r, err := k.w.Q.RevokeAuthorization(k.w.Ctx, g.id)
					if err != nil {
						return err
					}
					g.ended = true
					return k.ended("RevokeAuthorization", r.Outcome, fact{endedFamily, string(g.id)}, fact{eventOfFamily("ended"), string(g.id)})
				})
			}, func() bool {
				return k.call("RevokeUserAuthorizationsByClient", func() error {
					outcome, err := k.w.Q.RevokeUserAuthorizationsByClient(k.w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: g.in.user, ClientID: g.client})
					if err != nil {
						return err
					}
					k.endedPair(g.in.user, g.client)
					return k.ended("RevokeUserAuthorizationsByClient", outcome, fact{eventOfUser("RevokeUserAuthorizationsByClient"), string(g.in.user)})
				})
			}, func() bool {
				p := store.RevokeTokenParams{Token: fixture.Digest(access), ClientID: g.client, ClientAuthMethod: fixture.Verified}
				if strings.HasPrefix(access, "xt-") {
					p.ClientID = k.witness.exchanger
				}
				return k.call("RevokeToken", func() error {
					r, err := k.w.Q.RevokeToken(k.w.Ctx, p)
					if err != nil {
						return err
					}
					g.access[access] = false
					return k.ended("RevokeToken", r.Outcome, fact{revokedAccessToken, string(*r.AccessTokenID)}, fact{eventOfFamily("ended"), string(g.id)})
				})
			},
		)
		if len(g.chain) > 0 {
			refresh := g.chain[rand.N(len(g.chain))] // spent or not
			ways = append(ways, func() bool {
				p := store.RevokeTokenParams{Token: fixture.Digest(refresh), ClientID: g.client, ClientAuthMethod: fixture.Verified}
				return k.call("RevokeToken", func() error {
					r, err := k.w.Q.RevokeToken(k.w.Ctx, p)
					if err != nil {
						return err
					}
					g.ended = true
					return k.ended("RevokeToken", r.Outcome, fact{endedFamily, string(g.id)}, fact{eventOfFamily("ended"), string(g.id)})
				})
			})
		}
	}
	return ways[rand.N(len(ways))]()
}

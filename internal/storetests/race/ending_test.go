package race

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// A raceCast is what one round of a race plays with: a user who is signed in and has granted much to a client, and, as bystanders,
// another user of that client and another client of that user.
type raceCast struct {
	user, stranger store.UserID
	session        store.SessionID // in which everything of user was granted
	client, other  store.ClientID
	kinds          [2]raceGrants  // without and with offline_access
	bystander      fixture.Tokens // of stranger and client
	elsewhere      fixture.Tokens // of user and other, with offline_access
	lone           string         // an access token of user and client that another server wrote, without a refresh token, with offline_access
	junk           raceJunk
}

// raceGrants is what user has granted to client, in every state that a grant goes through.
type raceGrants struct {
	offline bool
	pending store.AuthorizationID // asked for, not decided
	uncoded store.AuthorizationID // approved, without a code
	granted store.AuthorizationID // its code has not been redeemed
	code    string
	fresh   fixture.Tokens   // redeemed
	turned  fixture.Tokens   // redeemed and then rotated: refresh is the spent one
	strays  []fixture.Tokens // that another server wrote
}

// raceJunk is what the collector may take at any time.
type raceJunk struct {
	session store.SessionID
	lapsed  fixture.Tokens // a family that is over
	access  string         // expired, of a family that is not
}

// raceKin is tokens that live and die together: those of a family, or a token that another server wrote with what comes from it.
type raceKin struct {
	name    string
	user    store.UserID // empty: the client's own
	client  store.ClientID
	session store.SessionID // empty: not of the round's session
	offline bool
	stray   bool
	id      store.AuthorizationID

	mu       sync.Mutex
	access   []string // every one that was issued
	refresh  []string // of which one is live while the kin is; none at all where there never was a refresh token
	outcomes []string
	young    bool // was granted in the race itself, from began to done
	began    time.Time
	done     time.Time
}

func (k *raceKin) outcome(o string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.outcomes = append(k.outcomes, o)
}

func (k *raceKin) issued(access, refresh string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.access = append(k.access, access)
	if refresh != "" && !slices.Contains(k.refresh, refresh) {
		k.refresh = append(k.refresh, refresh)
	}
}

// raceRound is one round: its cast, the kin that it has or makes, and what its ending calls came to.
type raceRound struct {
	*raceCast
	mu     sync.Mutex
	kin    []*raceKin
	ended  []*raceEnded
	reused bool // a token without a family was reused: by contract that ends all such tokens of its user and client
}

// raceEnded is an ending call that was made.
type raceEnded struct {
	ending      *raceEnding
	did         bool // found what it should end
	began, done time.Time
}

func (r *raceRound) add(k *raceKin) *raceKin {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kin = append(r.kin, k)
	return k
}

func (r *raceRound) kinOf(name string) *raceKin {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.kin, func(k *raceKin) bool { return k.name == name })
	return r.kin[i]
}

// raceStage makes the cast that all rounds are copies of, by real calls.
func raceStage(w *world) (*raceCast, *raceTemplate) {
	c := &raceCast{user: w.User, session: w.Session, client: w.Client}
	c.stranger = w.NewUser()
	c.other = w.NewClient(func(p *store.CreateClientParams) { p.Public = new(true); p.UserID = &c.stranger })
	w.Exec(`UPDATE oauth_client SET user_id = $1 WHERE client_id = $2`, c.user, c.client) // the user has made the client too
	online := func(p *store.GrantAuthorizationParams) { p.GrantedScopes = []string{"openid", "email"} }
	both := func(*store.GrantAuthorizationParams) {}
	var raws []string
	family := func(t fixture.Tokens) fixture.Tokens {
		raws = append(raws, t.Access, t.Refresh, fixture.SuccessorOf(t.Refresh), strings.TrimPrefix(t.Refresh, "rt-")) // the code too
		return t
	}
	for i, scope := range []func(*store.GrantAuthorizationParams){online, both} {
		g := &c.kinds[i]
		g.offline = i == 1
		scopes := []string{"openid"}
		if g.offline {
			scopes = append(scopes, "offline_access")
		}
		pending, err := w.Q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{
			ID: store.NewAuthorizationID(), ClientID: c.client, Scopes: scopes, RedirectURI: new(fixture.RedirectURI),
			CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), Lifetime: fixture.Long,
		})
		w.OK(err)
		g.pending = pending.ID
		g.uncoded = store.NewAuthorizationID()
		_, err = w.Q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{
			ID: g.uncoded, ClientID: c.client, Scopes: scopes, RedirectURI: new(fixture.RedirectURI),
			CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), Lifetime: fixture.Long,
		})
		w.OK(err)
		_, err = w.Q.ApproveAuthorization(w.Ctx, store.ApproveAuthorizationParams{
			ID: g.uncoded, UserID: c.user, SessionID: &c.session, GrantedScopes: scopes, CodeLifetime: fixture.Long,
		})
		w.OK(err)
		g.granted, g.code = w.Grant(scope)
		raws = append(raws, g.code)
		g.fresh, g.turned = family(w.Redeem(scope)), family(w.Redeem(scope))
		_, second := w.Rotate(g.turned.Refresh, store.RotationOutcomeRotated)
		raws = append(raws, second)
		g.turned.Access = second
		for range 2 {
			t := family(fixture.Tokens{Refresh: fixture.Unique("rt-stray"), Access: fixture.Unique("at-stray")})
			id := w.ForeignRefreshToken(t.Refresh)
			at := w.ForeignAccessToken(t.Access, &id)
			w.Exec(`UPDATE oauth_refresh_token SET scopes = $2 WHERE id = $1`, id, scopes)
			w.Exec(`UPDATE oauth_access_token SET scopes = $2 WHERE id = $1`, at, scopes)
			g.strays = append(g.strays, t)
		}
	}
	c.lone = fixture.Unique("at-lone")
	w.ForeignAccessToken(c.lone, nil)
	raws = append(raws, c.lone)
	theirs := w.NewSession(c.stranger)
	c.bystander = family(w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = c.stranger, &theirs }))
	c.elsewhere = family(w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = c.other }))
	_, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: c.client, UserID: c.user, Scopes: []string{"openid"}})
	w.OK(err)
	w.Exec(`UPDATE oauth_authorization SET expires_at = now() + '1 day', code_expires_at = CASE WHEN code IS NOT NULL THEN now() + '1 day'::interval END`)
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() + '1 day'`)
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() + '1 day'`)
	w.Exec(`UPDATE session SET expires_at = now() + '1 day'`)

	c.junk.session = w.NewSession(c.user)
	c.junk.lapsed = family(w.Redeem(func(p *store.GrantAuthorizationParams) { p.SessionID = &c.junk.session }))
	c.junk.access = fixture.Unique("at-junk")
	raws = append(raws, c.junk.access)
	at := w.ForeignAccessToken(c.junk.access, nil)
	w.Exec(`UPDATE oauth_access_token SET expires_at = now(), authorization_id = $2 WHERE id = $1`, at, c.kinds[0].fresh.Authorization)
	w.Exec(`UPDATE oauth_authorization SET expires_at = now() WHERE id = $1`, c.junk.lapsed.Authorization)
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() WHERE authorization_id = $1`, c.junk.lapsed.Authorization)
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() WHERE authorization_id = $1`, c.junk.lapsed.Authorization)
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, c.junk.session)
	return c, w.template(raws...)
}

// as is the cast under the names of a copy.
func (c *raceCast) as(name func(string) string) *raceCast {
	family := func(t fixture.Tokens) fixture.Tokens {
		t.Access, t.Refresh = name(t.Access), name(t.Refresh)
		if t.Authorization != "" {
			t.Authorization = store.AuthorizationID(name(string(t.Authorization)))
		}
		return t
	}
	id := func(a store.AuthorizationID) store.AuthorizationID { return store.AuthorizationID(name(string(a))) }
	n := &raceCast{
		user: store.UserID(name(string(c.user))), stranger: store.UserID(name(string(c.stranger))),
		session: store.SessionID(name(string(c.session))),
		client:  store.ClientID(name(string(c.client))), other: store.ClientID(name(string(c.other))),
		bystander: family(c.bystander), elsewhere: family(c.elsewhere), lone: name(c.lone),
		junk: raceJunk{store.SessionID(name(string(c.junk.session))), family(c.junk.lapsed), name(c.junk.access)},
	}
	for i, g := range c.kinds {
		m := raceGrants{
			offline: g.offline, pending: id(g.pending), uncoded: id(g.uncoded), granted: id(g.granted), code: name(g.code),
			fresh: family(g.fresh), turned: family(g.turned),
		}
		for _, s := range g.strays {
			m.strays = append(m.strays, family(s))
		}
		n.kinds[i] = m
	}
	return n
}

// round is a round with this cast, and the kin that is there when it begins.
func (c *raceCast) round() *raceRound {
	r := &raceRound{raceCast: c}
	for _, g := range c.kinds {
		mode := g.mode()
		of := func(name string, id store.AuthorizationID, stray bool) *raceKin {
			return r.add(&raceKin{name: name + mode, user: c.user, client: c.client, session: c.session, offline: g.offline, id: id, stray: stray})
		}
		of("granted", g.granted, false)
		of("uncoded", g.uncoded, false)
		k := of("fresh", g.fresh.Authorization, false)
		k.access, k.refresh = []string{g.fresh.Access}, []string{g.fresh.Refresh, fixture.SuccessorOf(g.fresh.Refresh)}
		k = of("turned", g.turned.Authorization, false)
		k.access, k.refresh = []string{g.turned.Access}, []string{g.turned.Refresh, fixture.SuccessorOf(g.turned.Refresh)}
		for i, s := range g.strays {
			k = of(fmt.Sprintf("stray%d", i), "", true)
			k.access, k.refresh = []string{s.Access}, []string{s.Refresh, fixture.SuccessorOf(s.Refresh)}
		}
	}
	r.add(&raceKin{name: "lone", user: c.user, client: c.client, session: c.session, offline: true, stray: true, access: []string{c.lone}})
	r.add(&raceKin{
		name: "bystander", user: c.stranger, client: c.client, offline: true, id: c.bystander.Authorization,
		access: []string{c.bystander.Access}, refresh: []string{c.bystander.Refresh},
	})
	r.add(&raceKin{
		name: "elsewhere", user: c.user, client: c.other, session: c.session, offline: true, id: c.elsewhere.Authorization,
		access: []string{c.elsewhere.Access}, refresh: []string{c.elsewhere.Refresh},
	})
	return r
}

func (g *raceGrants) mode() string {
	if g.offline {
		return " offline"
	}
	return " online"
}

// raceSubject is what an ending that ends one thing ends: that with which the grant action works. A call that ends by what does
// not exist (yet) has nothing to find.
type raceSubject struct {
	kin             string
	authorization   store.AuthorizationID
	access, refresh string // raw
}

// raceEnding is a call that ends tokens, and by which rule.
type raceEnding struct {
	name string
	// prepare sets the stage of a round for this ending; it may be nil.
	prepare func(w *world, r *raceRound)
	// call says whether it found what it should end.
	call func(w *world, r *raceRound, s raceSubject) (bool, error)
	// ends says whether the call, if it found what it should end, ends the kin.
	ends func(r *raceRound, k *raceKin, s raceSubject) bool
	// endsAccess is for the one call that ends one token of a kin; it may be nil.
	endsAccess func(s raceSubject) string
	// lasting: no sequence of calls has a grant after this one, because what it would be granted in, to or by is gone then.
	// So what is granted at the same time is dead as well. After other endings the user can grant anew, and a grant that
	// was not done before the ending began may be one of those.
	lasting bool
	// barred: other calls may find no user, client or session.
	barred func(action string) bool
	// once: the subject may be missing, so that the call may find nothing.
	maybe bool
}

func raceNever(string) bool  { return false }
func raceAlways(string) bool { return true }

// raceDecides is true of actions that need the session.
func raceDecides(action string) bool { return action == "approve" || action == "grant" }

func ofUserAndClient(r *raceRound, k *raceKin, _ raceSubject) bool {
	return k.user == r.user && k.client == r.client
}
func ofUser(r *raceRound, k *raceKin, _ raceSubject) bool   { return k.user == r.user }
func ofClient(r *raceRound, k *raceKin, _ raceSubject) bool { return k.client == r.client }
func ofSession(r *raceRound, k *raceKin, _ raceSubject) bool {
	return k.session == r.session && !k.offline
}
func ofSubject(_ *raceRound, k *raceKin, s raceSubject) bool { return k.name == s.kin }
func ofNothing(_ *raceRound, _ *raceKin, _ raceSubject) bool { return false }

// raceDid says whether a call that answers by zero rows where there is nothing to do has done something.
func raceDid(err error) (bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

var raceEndings = []*raceEnding{
	{
		// An approval in the session either found no session, or EndSession waited for it and saw it.
		name: "EndSession", ends: ofSession, lasting: true, barred: raceDecides,
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			rows, err := w.Q.EndSession(w.Ctx, r.session)
			return len(rows) > 0, err
		},
	},
	{
		name: "EndUserSessions", ends: ofSession, lasting: true, barred: raceDecides,
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			rows, err := w.Q.EndUserSessions(w.Ctx, store.EndUserSessionsParams{UserID: r.user})
			return slices.ContainsFunc(rows, func(row store.EndUserSessionsRow) bool { return row.SessionID == r.session }), err
		},
	},
	{
		name: "WithdrawConsent", ends: ofUserAndClient, barred: raceNever,
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			_, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: r.user, ClientID: r.client})
			return raceDid(err)
		},
	},
	{
		name: "RevokeUserAuthorizations", ends: ofUser, barred: raceNever,
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			rows, err := w.Q.RevokeUserAuthorizations(w.Ctx, store.RevokeUserAuthorizationsParams{UserID: r.user})
			return len(rows) > 0, err
		},
	},
	{
		name: "RevokeUserAuthorizations of one client", ends: ofUserAndClient, barred: raceNever,
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			rows, err := w.Q.RevokeUserAuthorizations(w.Ctx, store.RevokeUserAuthorizationsParams{UserID: r.user, ClientID: &r.client})
			return len(rows) > 0, err
		},
	},
	{
		name: "RevokeClientAuthorizations", ends: ofClient, barred: raceNever,
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			_, err := w.Q.RevokeClientAuthorizations(w.Ctx, r.client)
			return raceDid(err)
		},
	},
	{
		name: "RevokeAuthorization", ends: ofSubject, lasting: true, barred: raceNever, maybe: true,
		call: func(w *world, _ *raceRound, s raceSubject) (bool, error) {
			_, err := w.Q.RevokeAuthorization(w.Ctx, s.authorization)
			return raceDid(err)
		},
	},
	{
		name: "RevokeToken access token", ends: ofNothing, lasting: true, barred: raceNever, maybe: true,
		endsAccess: func(s raceSubject) string { return s.access },
		call: func(w *world, r *raceRound, s raceSubject) (bool, error) {
			_, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(s.access), ClientID: r.client})
			return raceDid(err)
		},
	},
	{
		name: "RevokeToken refresh token", ends: ofSubject, lasting: true, barred: raceNever, maybe: true,
		call: func(w *world, r *raceRound, s raceSubject) (bool, error) {
			_, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{Token: fixture.Digest(s.refresh), ClientID: r.client})
			return raceDid(err)
		},
	},
	{
		name: "DisableClient", ends: ofClient, lasting: true, barred: raceNever,
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			_, err := w.Q.DisableClient(w.Ctx, r.client)
			return raceDid(err)
		},
	},
	{
		name: "DeleteClient", ends: ofClient, lasting: true, barred: raceAlways,
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			_, err := w.Q.DeleteClient(w.Ctx, r.client)
			return raceDid(err)
		},
	},
	{
		// The client is the user's own, so it goes too.
		name: "DeleteUser", lasting: true, barred: raceAlways,
		ends: func(r *raceRound, k *raceKin, _ raceSubject) bool { return k.user == r.user || k.client == r.client },
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			_, err := w.Q.DeleteUser(w.Ctx, r.user)
			return raceDid(err)
		},
	},
	{
		// Another server on the same tables ends the session by its row alone; grants go on without it.
		name: "DELETE FROM session", ends: ofNothing, barred: raceDecides,
		call: func(w *world, r *raceRound, _ raceSubject) (bool, error) {
			tag, err := w.Pool.Exec(w.Ctx, `DELETE FROM session WHERE id = $1`, r.session)
			return tag.RowsAffected() > 0, err
		},
	},
	{
		// Ends nothing that is live; in every second round the session has just expired.
		name: "collector", ends: ofNothing, barred: raceDecides, maybe: true,
		prepare: func(w *world, r *raceRound) {
			if len(r.user)%2 == 0 {
				w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, r.session)
			}
		},
		call: func(w *world, _ *raceRound, _ raceSubject) (bool, error) {
			var errs []error
			for range 2 {
				_, err := w.Q.DeleteExpiredAccessTokens(w.Ctx, 3)
				errs = append(errs, err)
				_, err = w.Q.DeleteExpiredRefreshTokens(w.Ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: 3})
				errs = append(errs, err)
				_, err = w.Q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{BatchSize: 3})
				errs = append(errs, err)
				_, err = w.Q.DeleteExpiredSessions(w.Ctx, 3)
				errs = append(errs, err)
			}
			return true, errors.Join(errs...)
		},
	},
}

// raceAction is a call that works with grants, or several of a kind.
type raceAction struct {
	name    string
	subject func(r *raceRound) raceSubject
	calls   func(w *world, r *raceRound) []func()
	adopts  bool // rows of earlier rounds would take part in later ones
}

// redeemInto redeems a code and notes what came of it.
func redeemInto(w *world, k *raceKin, code string) {
	p := w.RedeemParams(code)
	p.ClientID = k.client
	p.AccessTokenLifetime, p.RefreshTokenLifetime = new(fixture.Long), new(fixture.Long)
	row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	if !w.found("RedeemAuthorizationCode", err) {
		k.outcome("none")
		return
	}
	k.outcome(string(row.Outcome))
	if row.Outcome == store.RedemptionOutcomeRedeemed {
		k.issued("at-"+code, "rt-"+code)
	}
}

// rotateInto rotates a token and notes what came of it.
func rotateInto(w *world, r *raceRound, k *raceKin, refresh string) {
	p, access := w.RotateParams(refresh)
	p.ClientID, p.Grace = k.client, fixture.Long
	p.AccessTokenLifetime, p.RefreshTokenLifetime = new(fixture.Long), new(fixture.Long)
	row, err := w.Q.RotateRefreshToken(w.Ctx, p)
	if !w.found("RotateRefreshToken", err) {
		k.outcome("none")
		return
	}
	k.outcome(string(row.Outcome))
	switch row.Outcome {
	case store.RotationOutcomeRotated, store.RotationOutcomeReplayed:
		k.issued(access, fixture.SuccessorOf(refresh))
		if row.Successor == nil || *row.Successor != fixture.Digest(fixture.SuccessorOf(refresh)) {
			w.Errorf("%s %s: another successor", k.name, row.Outcome)
		}
	case store.RotationOutcomeReused:
		if !k.stray {
			w.Errorf("%s: %s", k.name, row.Outcome)
		}
		r.mu.Lock()
		r.reused = true
		r.mu.Unlock()
	}
}

// eachKind makes calls for what was granted without and with offline_access.
func eachKind(r *raceRound, calls func(g *raceGrants) []func()) []func() {
	return append(calls(&r.kinds[0]), calls(&r.kinds[1])...)
}

// decision makes the kin of a grant that is made in the race.
func (r *raceRound) decision(name string, g *raceGrants, id store.AuthorizationID) *raceKin {
	return r.add(&raceKin{
		name: name + g.mode(), user: r.user, client: r.client, session: r.session, offline: g.offline, id: id, young: true,
	})
}

func (g *raceGrants) scopes() []string {
	if g.offline {
		return []string{"openid", "offline_access"}
	}
	return []string{"openid"}
}

var raceActions = []*raceAction{
	{
		name: "redeem",
		subject: func(r *raceRound) raceSubject {
			g := &r.kinds[0]
			return raceSubject{"granted online", g.granted, "at-" + g.code, "rt-" + g.code}
		},
		calls: func(w *world, r *raceRound) []func() {
			return eachKind(r, func(g *raceGrants) []func() {
				return []func(){func() { redeemInto(w, r.kinOf("granted"+g.mode()), g.code) }}
			})
		},
	},
	{
		name: "rotate",
		subject: func(r *raceRound) raceSubject {
			t := r.kinds[0].fresh
			return raceSubject{"fresh online", t.Authorization, t.Access, t.Refresh}
		},
		calls: func(w *world, r *raceRound) []func() {
			return eachKind(r, func(g *raceGrants) []func() {
				return fixture.Times(2, func(int) { rotateInto(w, r, r.kinOf("fresh"+g.mode()), g.fresh.Refresh) })
			})
		},
	},
	{
		name: "replay",
		subject: func(r *raceRound) raceSubject {
			t := r.kinds[0].turned
			return raceSubject{"turned online", t.Authorization, t.Access, t.Refresh}
		},
		calls: func(w *world, r *raceRound) []func() {
			return eachKind(r, func(g *raceGrants) []func() {
				return fixture.Times(2, func(int) { rotateInto(w, r, r.kinOf("turned"+g.mode()), g.turned.Refresh) })
			})
		},
	},
	{
		name: "introspect",
		subject: func(r *raceRound) raceSubject {
			t := r.kinds[0].fresh
			return raceSubject{"fresh online", t.Authorization, t.Access, t.Refresh}
		},
		calls: func(w *world, r *raceRound) []func() {
			watch := func(call string, live func() error) func() {
				return func() {
					was := true
					for range 4 {
						is := w.found(call, live())
						if is && !was {
							w.Errorf("%s: dead, and then live again", call)
						}
						was = is
					}
				}
			}
			return eachKind(r, func(g *raceGrants) []func() {
				return []func(){
					watch("IntrospectToken", func() error { _, err := w.Q.IntrospectToken(w.Ctx, fixture.Digest(g.fresh.Access)); return err }),
					watch("IntrospectRefreshToken", func() error { _, err := w.Q.IntrospectRefreshToken(w.Ctx, fixture.Digest(g.fresh.Refresh)); return err }),
				}
			})
		},
	},
	{
		name: "approve",
		subject: func(r *raceRound) raceSubject {
			g := &r.kinds[0]
			return raceSubject{"pending online", g.pending, "at-code-" + string(g.pending), "rt-code-" + string(g.pending)}
		},
		calls: func(w *world, r *raceRound) []func() {
			return eachKind(r, func(g *raceGrants) []func() {
				k, code := r.decision("pending", g, g.pending), "code-"+string(g.pending)
				return []func(){func() {
					k.began = time.Now()
					row, err := w.Q.ApproveAuthorization(w.Ctx, store.ApproveAuthorizationParams{
						ID: g.pending, UserID: r.user, SessionID: &r.session, GrantedScopes: g.scopes(),
						Code: new(fixture.Digest(code)), CodeLifetime: fixture.Long,
					})
					k.done = time.Now()
					if !w.found("ApproveAuthorization", err) {
						k.outcome("none")
						return
					}
					k.outcome(string(row.Outcome))
					if row.Outcome == store.DecisionOutcomeApproved {
						redeemInto(w, k, code)
					}
				}}
			})
		},
	},
	{
		name: "grant",
		subject: func(r *raceRound) raceSubject {
			code := "code-again-" + string(r.kinds[0].granted)
			return raceSubject{"again online", "again-" + r.kinds[0].granted, "at-" + code, "rt-" + code}
		},
		calls: func(w *world, r *raceRound) []func() {
			return eachKind(r, func(g *raceGrants) []func() {
				id := "again-" + g.granted
				k, code := r.decision("again", g, id), "code-"+string(id)
				return []func(){func() {
					p := w.GrantParams(code)
					p.ID, p.UserID, p.SessionID, p.ClientID = id, r.user, &r.session, r.client
					p.Scopes, p.GrantedScopes, p.CodeLifetime = g.scopes(), g.scopes(), fixture.Long
					k.began = time.Now()
					outcome, err := w.Q.GrantAuthorization(w.Ctx, p)
					k.done = time.Now()
					if !w.found("GrantAuthorization", err) {
						k.outcome("none")
						return
					}
					k.outcome(string(outcome))
					if outcome == store.GrantOutcomeGranted {
						redeemInto(w, k, code)
					}
				}}
			})
		},
	},
	{
		name: "issue code",
		subject: func(r *raceRound) raceSubject {
			id := r.kinds[0].uncoded
			return raceSubject{"uncoded online", id, "at-code-" + string(id), "rt-code-" + string(id)}
		},
		calls: func(w *world, r *raceRound) []func() {
			return eachKind(r, func(g *raceGrants) []func() {
				k, code := r.kinOf("uncoded"+g.mode()), "code-"+string(g.uncoded)
				return []func(){func() {
					row, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{ID: g.uncoded, Code: fixture.Digest(code), CodeLifetime: fixture.Long})
					if !w.found("IssueAuthorizationCode", err) {
						k.outcome("none")
						return
					}
					k.outcome(string(row.Outcome))
					if row.Outcome == store.CodeOutcomeIssued {
						redeemInto(w, k, code)
					}
				}}
			})
		},
	},
	{
		name: "client credentials",
		subject: func(r *raceRound) raceSubject {
			return raceSubject{kin: "credentials", authorization: "none", access: "at-" + string(r.client), refresh: "none"}
		},
		calls: func(w *world, r *raceRound) []func() {
			k := r.add(&raceKin{name: "credentials", client: r.client, young: true})
			return []func(){func() {
				access := "at-" + string(r.client)
				k.began = time.Now()
				row, err := w.Q.IssueAccessToken(w.Ctx, store.IssueAccessTokenParams{
					ClientID: r.client, ID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(access)), Scopes: []string{"api"}, Lifetime: new(fixture.Long),
				})
				k.done = time.Now()
				if !w.found("IssueAccessToken", err) {
					k.outcome("none")
					return
				}
				k.outcome(string(row.Outcome))
				if row.Outcome == store.IssuanceOutcomeIssued {
					k.issued(access, "")
				}
			}}
		},
	},
}

// TestRaceGrantsAgainstEndings lets everything that makes or uses a grant race everything that ends one, pair by pair.
//
// The rule for each pair. A kin is a family with its tokens, or a token without one. When all calls have returned, and a call has
// found what it ends,
//   - each kin that was there when the round began, and that the call ends, is dead, tokens that were being written
//     included;
//   - each that the call does not end is live: one refresh token, and every access token that was issued;
//   - one that was granted in the race is dead too if the grant had returned before the ending began, or if no order of the
//     two calls has the grant after the ending (lasting); otherwise the grant may have come second, and then it is live as a
//     whole: all of its tokens, or none.
func TestRaceGrantsAgainstEndings(t *testing.T) {
	raceAgainst(t, raceActions, roundsOf(15))
}

// raceAgainst runs a table of actions against all endings. They share a database, and one follows the other: connections take
// longer to learn the statements than the races take.
func raceAgainst(t *testing.T, actions []*raceAction, rounds int) {
	t.Parallel()
	w := newRaceWorld(t, 10)
	cast, template := raceStage(w)
	for _, a := range actions {
		for _, e := range raceEndings {
			t.Run(a.name+" against "+e.name, func(t *testing.T) {
				v := *w
				v.TB = t
				v.race(cast, template, a, []*raceEnding{e}, rounds)
			})
		}
	}
}

// TestRaceEndingsAgainstEachOther lets each ending race each other one, and itself, while tokens are rotated. They lock
// many rows each, so this is where the order of locks has to hold.
func TestRaceEndingsAgainstEachOther(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 8)
	cast, template := raceStage(w)
	rotate := raceActions[1]
	for i, one := range raceEndings {
		for _, two := range raceEndings[i:] {
			t.Run(one.name+" against "+two.name, func(t *testing.T) {
				v := *w
				v.TB = t
				v.race(cast, template, rotate, []*raceEnding{one, two}, roundsOf(20))
			})
		}
	}
}

// race runs rounds of an action against endings.
func (w *world) race(cast *raceCast, template *raceTemplate, a *raceAction, endings []*raceEnding, rounds int) {
	w.Helper()
	seen := map[string]int{}
	for done := 0; done < rounds && !w.Failed(); {
		n := min(rounds-done, 50)
		if a.adopts {
			n = 1
		}
		done += n
		var played []*raceRound
		for _, name := range template.copies(w, n) {
			r := cast.as(name).round()
			played = append(played, r)
			subject := a.subject(r)
			calls := a.calls(w, r)
			for _, e := range endings {
				if e.prepare != nil {
					e.prepare(w, r)
				}
				ended := &raceEnded{ending: e}
				r.ended = append(r.ended, ended)
				calls = append(calls, func() {
					ended.began = time.Now()
					found, err := e.call(w, r, subject)
					ended.done = time.Now()
					ended.did = w.Raced(e.name, err) && found
				})
			}
			for i := range calls {
				calls[i] = soonerOrLater(calls[i])
			}
			fixture.Together(calls...)
		}
		w.judge(a, played, seen)
		if a.adopts {
			w.Exec(`DELETE FROM oauth_refresh_token WHERE authorization_id IS NULL`) // or later batches would adopt them
		}
	}
	w.Logf("outcomes: %v", seen)
}

// judge holds the rule of TestRaceGrantsAgainstEndings.
func (w *world) judge(a *raceAction, played []*raceRound, seen map[string]int) {
	w.Helper()
	live := w.livingsOf(played)
	var disabled []store.ClientID
	for _, r := range played {
		subject := a.subject(r)
		for _, k := range r.kin {
			r.judge(w, a, k, subject, live, false)
			for _, o := range k.outcomes {
				seen[o]++
			}
		}
		for _, e := range r.ended {
			if !e.did && !e.ending.maybe && len(r.ended) == 1 {
				w.Errorf("%s found nothing to end", e.ending.name)
			}
			if e.ending.name == "DisableClient" {
				disabled = append(disabled, r.client)
			}
		}
	}
	if len(disabled) == 0 {
		return
	}
	// What a disabled client had is live again when it is enabled, but for what else has ended it.
	for _, c := range disabled {
		_, err := w.Q.EnableClient(w.Ctx, c)
		w.found("EnableClient", err)
	}
	live = w.livingsOf(played)
	for _, r := range played {
		for _, k := range r.kin {
			r.judge(w, a, k, a.subject(r), live, true)
		}
	}
}

// livingsOf says which tokens of the rounds are live.
func (w *world) livingsOf(played []*raceRound) map[string]bool {
	w.Helper()
	all := map[string]bool{}
	for _, r := range played {
		for _, k := range r.kin {
			for _, raw := range slices.Concat(k.access, k.refresh) {
				all[raw] = true
			}
		}
	}
	return w.Livings(slices.Collect(maps.Keys(all)))
}

// judge holds the rule for one kin. again: the client, which had been disabled, has been enabled since.
func (r *raceRound) judge(w *world, a *raceAction, k *raceKin, s raceSubject, live map[string]bool, again bool) {
	w.Helper()
	mustDie, mayDie, barred := r.reused && k.stray, r.reused && k.stray, false
	exempt := ""
	for _, e := range r.ended {
		barred = barred || e.ending.barred(a.name)
		if !e.did || again && e.ending.name == "DisableClient" {
			continue
		}
		if e.ending.endsAccess != nil {
			exempt = e.ending.endsAccess(s)
		}
		if e.ending.ends(r, k, s) {
			mayDie = true
			mustDie = mustDie || !k.young || e.ending.lasting || k.done.Before(e.began)
		}
	}
	var liveAccess, liveRefresh []string
	for _, raw := range k.access {
		if live[raw] {
			liveAccess = append(liveAccess, raw)
		}
	}
	for _, raw := range k.refresh {
		if live[raw] {
			liveRefresh = append(liveRefresh, raw)
		}
	}
	where := fmt.Sprintf("%s of user %s (outcomes %v; reused %t)", k.name, r.user, k.outcomes, r.reused)
	switch {
	case mustDie && len(liveAccess)+len(liveRefresh) > 0:
		w.Errorf("%s: live, want dead: %v %v", where, liveAccess, liveRefresh)
	case !mustDie && len(liveAccess)+len(liveRefresh) == 0 && mayDie:
		// ended
	case !mustDie:
		want := len(k.access)
		if slices.Contains(k.access, exempt) {
			want--
		}
		if len(liveAccess) != want || len(k.refresh) > 0 && len(liveRefresh) != 1 {
			w.Errorf("%s: live are access tokens %v of %v, refresh tokens %v of %v", where, liveAccess, k.access, liveRefresh, k.refresh)
		}
		if exempt != "" && slices.Contains(liveAccess, exempt) {
			w.Errorf("%s: %s is live, want dead", where, exempt)
		}
	}
	for _, o := range k.outcomes {
		switch o {
		case "none":
			if !barred {
				w.Errorf("%s: found nothing", where)
			}
		case "revoked":
			if !mayDie && !again {
				w.Errorf("%s: revoked, by nothing", where)
			}
		case "disabled":
			if !slices.ContainsFunc(r.ended, func(e *raceEnded) bool { return e.ending.name == "DisableClient" }) {
				w.Errorf("%s: disabled, by nothing", where)
			}
		case "expired":
			// of an approval: revoked while it was pending
			if !mayDie {
				w.Errorf("%s: expired, by nothing", where)
			}
		case "redeemed", "rotated", "replayed", "approved", "granted", "issued":
		case "reused":
			if !k.stray {
				w.Errorf("%s: unexpected", where)
			}
		default:
			w.Errorf("%s: unexpected", where)
		}
	}
}

// A raceStorm is what the calls of TestRaceStorm find to work with: few users, clients and sessions, so that they meet, and the grants
// that they make. What has ended or is deleted may be in it for a while.
type raceStorm struct {
	*world
	mu       sync.Mutex
	users    []store.UserID
	sessions map[store.SessionID]store.UserID
	clients  []store.ClientID
	pending  []store.AuthorizationID
	families []store.AuthorizationID
	codes    []raceToken
	refresh  []raceToken
	access   []raceToken
	accounts []raceAccount

	redeemed, rotated map[string]int
	slowest           map[string]time.Duration
}

type raceToken struct {
	raw    string
	client store.ClientID
}

type raceAccount struct {
	id   store.AccountID
	user store.UserID
}

// one returns one of a list, of late ones more often than of old ones, and forgets those that are too old.
func one[T any](s *raceStorm, list *[]T) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(*list); n > 200 {
		*list = slices.Clone((*list)[n-100:])
	}
	n := len(*list)
	if n == 0 {
		return *new(T), false
	}
	return (*list)[n-1-min(rand.N(n), rand.N(n))], true
}

func keep[T any](s *raceStorm, list *[]T, v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = append(*list, v)
}

func (s *raceStorm) session() (store.SessionID, store.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, user := range s.sessions { // in no order
		return id, user
	}
	return "", s.users[0]
}

func (s *raceStorm) forget(id store.SessionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, id)
}

// parentGone says of an error whether it is a foreign key that is violated because its parent was deleted meanwhile, as the
// contracts of calls that create something say. No identifier is used twice, so the parent is not there now either.
func (s *raceStorm) parentGone(err error, parents ...string) bool {
	e, found := errors.AsType[*pgconn.PgError](err)
	if !found || e.Code != "23503" {
		return false
	}
	var gone bool
	s.OK(s.Pool.QueryRow(s.Ctx, `
		SELECT EXISTS (
			SELECT FROM unnest($1::text[]) AS p (id)
			WHERE p.id NOT IN (SELECT id FROM "user" UNION ALL SELECT client_id FROM oauth_client UNION ALL SELECT id FROM session)
		)`, parents).Scan(&gone))
	return gone
}

func (s *raceStorm) addUser() {
	id := store.NewUserID()
	if _, err := s.Q.CreateUser(s.Ctx, store.CreateUserParams{ID: id, Name: "Ada", Email: string(id) + "@example.com"}); s.Raced("CreateUser", err) {
		keep(s, &s.users, id)
	}
}

func (s *raceStorm) addSession() {
	user, _ := one(s, &s.users)
	id := store.NewSessionID()
	_, err := s.Q.CreateSession(s.Ctx, store.CreateSessionParams{ID: id, UserID: user, Token: fixture.Digest(string(id)), Lifetime: time.Hour})
	if err != nil && s.parentGone(err, string(user)) {
		return
	}
	if s.Raced("CreateSession", err) {
		s.mu.Lock()
		s.sessions[id] = user
		s.mu.Unlock()
	}
}

// addClient registers a client, that of a user or of nobody.
func (s *raceStorm) addClient() {
	p := store.CreateClientParams{ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{fixture.RedirectURI}, Public: new(true)}
	owner, _ := one(s, &s.users)
	if rand.N(2) == 0 {
		p.UserID = &owner
	}
	_, err := s.Q.CreateClient(s.Ctx, p)
	if err != nil && s.parentGone(err, string(owner)) {
		return
	}
	if s.Raced("CreateClient", err) {
		keep(s, &s.clients, p.ClientID)
	}
}

// without takes one of a list out of it, unless few are left.
func without[T comparable](s *raceStorm, list *[]T, least int) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(*list) <= least {
		return *new(T), false
	}
	v := (*list)[rand.N(len(*list))]
	*list = slices.DeleteFunc(*list, func(o T) bool { return o == v })
	return v, true
}

func stormScopes() []string {
	if rand.N(2) == 0 {
		return []string{"openid"}
	}
	return []string{"openid", "offline_access"}
}

func (s *raceStorm) redeem(c raceToken) {
	p := s.RedeemParams(c.raw)
	p.ClientID = c.client
	p.AccessToken, p.RefreshToken = new(fixture.Digest(fixture.Unique("at"))), new(fixture.Digest("rt-"+c.raw))
	r, err := s.Q.RedeemAuthorizationCode(s.Ctx, p)
	if !s.found("RedeemAuthorizationCode", err) || r.Outcome != store.RedemptionOutcomeRedeemed {
		return
	}
	keep(s, &s.refresh, raceToken{"rt-" + c.raw, c.client})
	keep(s, &s.families, r.AuthorizationID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redeemed[c.raw]++
}

func (s *raceStorm) rotate(c raceToken) {
	p, access := s.RotateParams(c.raw)
	p.ClientID, p.SuccessorID = c.client, store.RefreshTokenID(fixture.Unique(fmt.Sprintf("%x", rand.N(256))))
	r, err := s.Q.RotateRefreshToken(s.Ctx, p)
	if !s.found("RotateRefreshToken", err) {
		return
	}
	switch r.Outcome {
	case store.RotationOutcomeRotated:
		keep(s, &s.refresh, raceToken{fixture.SuccessorOf(c.raw), c.client})
		s.mu.Lock()
		s.rotated[c.raw]++
		s.mu.Unlock()
		fallthrough
	case store.RotationOutcomeReplayed:
		keep(s, &s.access, raceToken{access, c.client})
		keep(s, &s.families, *r.AuthorizationID)
	}
}

// stray writes a token as another server would, with an access token beside it.
func (s *raceStorm) stray() {
	session, user := s.session()
	client, _ := one(s, &s.clients)
	refresh, access := fixture.Unique("rt-stray"), fixture.Unique("at-stray")
	id := fmt.Sprintf("%x%s", rand.N(256), refresh)
	_, err := s.Pool.Exec(s.Ctx, `
		WITH r AS (
			INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, expires_at, scopes)
			VALUES ($1, $2, $5, $6, $7, now() + interval '1 hour', $8)
			RETURNING *
		)
		INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, refresh_id, expires_at, scopes)
		SELECT $3, $4, r.client_id, r.session_id, r.user_id, r.id, r.expires_at, r.scopes
		FROM r`, id, string(fixture.Digest(refresh)), access, string(fixture.Digest(access)), client, session, user, stormScopes())
	if err != nil && s.parentGone(err, string(user), string(client), string(session)) || !s.Raced("another server's INSERT", err) {
		return
	}
	keep(s, &s.refresh, raceToken{refresh, client})
	keep(s, &s.access, raceToken{access, client})
}

// stormCalls are the calls of the storm, each with a weight.
var stormCalls = []struct {
	name   string
	weight int
	call   func(s *raceStorm)
}{
	{"GrantAuthorization", 20, func(s *raceStorm) {
		session, user := s.session()
		client, _ := one(s, &s.clients)
		code := fixture.Unique("code")
		p := s.GrantParams(code)
		p.ID = store.AuthorizationID(fixture.Unique(fmt.Sprintf("%x", rand.N(256))))
		p.UserID, p.SessionID, p.ClientID = user, &session, client
		p.GrantedScopes = stormScopes()
		if outcome, err := s.Q.GrantAuthorization(s.Ctx, p); s.found("GrantAuthorization", err) && outcome == store.GrantOutcomeGranted {
			keep(s, &s.codes, raceToken{code, client})
			keep(s, &s.families, p.ID)
		}
	}},
	{"CreateAuthorization", 10, func(s *raceStorm) {
		client, _ := one(s, &s.clients)
		id := store.NewAuthorizationID()
		_, err := s.Q.CreateAuthorization(s.Ctx, store.CreateAuthorizationParams{
			ID: id, ClientID: client, Scopes: []string{"openid", "offline_access"}, RedirectURI: new(fixture.RedirectURI),
			CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), Lifetime: time.Minute, RequestURI: new(fixture.Digest("uri" + string(id))),
		})
		if s.found("CreateAuthorization", err) {
			keep(s, &s.pending, id)
		}
	}},
	{"ApproveAuthorization", 15, func(s *raceStorm) {
		id, found := one(s, &s.pending)
		session, user := s.session()
		if !found {
			return
		}
		code := fixture.Unique("code")
		r, err := s.Q.ApproveAuthorization(s.Ctx, store.ApproveAuthorizationParams{
			ID: id, UserID: user, SessionID: &session, GrantedScopes: stormScopes(), Code: new(fixture.Digest(code)), CodeLifetime: time.Minute,
		})
		if s.found("ApproveAuthorization", err) && r.Outcome == store.DecisionOutcomeApproved {
			keep(s, &s.codes, raceToken{code, r.ClientID})
			keep(s, &s.families, id)
		}
	}},
	{"TakeAuthorizationByRequestURI", 2, func(s *raceStorm) {
		id, _ := one(s, &s.pending)
		client, _ := one(s, &s.clients)
		_, err := s.Q.TakeAuthorizationByRequestURI(s.Ctx, store.TakeAuthorizationByRequestURIParams{
			RequestURI: fixture.Digest("uri" + string(id)), ClientID: client, Lifetime: time.Minute,
		})
		s.found("TakeAuthorizationByRequestURI", err)
	}},
	{"DenyAuthorization", 2, func(s *raceStorm) {
		id, _ := one(s, &s.pending)
		_, err := s.Q.DenyAuthorization(s.Ctx, id)
		s.found("DenyAuthorization", err)
	}},
	{"IssueAuthorizationCode", 3, func(s *raceStorm) {
		id, _ := one(s, &s.pending)
		code := fixture.Unique("code")
		r, err := s.Q.IssueAuthorizationCode(s.Ctx, store.IssueAuthorizationCodeParams{ID: id, Code: fixture.Digest(code), CodeLifetime: time.Minute})
		if s.found("IssueAuthorizationCode", err) && r.Outcome == store.CodeOutcomeIssued {
			keep(s, &s.codes, raceToken{code, r.ClientID})
		}
	}},
	{"RedeemAuthorizationCode", 30, func(s *raceStorm) {
		if c, found := without(s, &s.codes, 0); found {
			s.redeem(c)
			if rand.N(4) == 0 {
				keep(s, &s.codes, c) // for a replay
			}
		}
	}},
	{"RotateRefreshToken", 80, func(s *raceStorm) {
		if c, found := one(s, &s.refresh); found {
			s.rotate(c)
		}
	}},
	{"IssueAccessToken", 5, func(s *raceStorm) {
		client, _ := one(s, &s.clients)
		access := fixture.Unique("at")
		_, err := s.Q.IssueAccessToken(s.Ctx, store.IssueAccessTokenParams{
			ClientID: client, ID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(access)), Scopes: []string{"api"}, Lifetime: new(time.Hour),
		})
		if s.found("IssueAccessToken", err) {
			keep(s, &s.access, raceToken{access, client})
		}
	}},
	{"IntrospectToken", 20, func(s *raceStorm) {
		c, _ := one(s, &s.access)
		_, err := s.Q.IntrospectToken(s.Ctx, fixture.Digest(c.raw))
		s.found("IntrospectToken", err)
	}},
	{"RevokeToken", 6, func(s *raceStorm) {
		c, _ := one(s, &s.refresh)
		if rand.N(2) == 0 {
			c, _ = one(s, &s.access)
		}
		_, err := s.Q.RevokeToken(s.Ctx, store.RevokeTokenParams{Token: fixture.Digest(c.raw), ClientID: c.client})
		s.found("RevokeToken", err)
	}},
	{"RevokeAuthorization", 4, func(s *raceStorm) {
		id, _ := one(s, &s.families)
		_, err := s.Q.RevokeAuthorization(s.Ctx, id)
		s.found("RevokeAuthorization", err)
	}},
	{"RevokeUserAuthorizations", 3, func(s *raceStorm) {
		p := store.RevokeUserAuthorizationsParams{}
		p.UserID, _ = one(s, &s.users)
		if rand.N(2) == 0 {
			client, _ := one(s, &s.clients)
			p.ClientID = &client
		}
		_, err := s.Q.RevokeUserAuthorizations(s.Ctx, p)
		s.Raced("RevokeUserAuthorizations", err)
	}},
	{"RevokeClientAuthorizations", 3, func(s *raceStorm) {
		client, _ := one(s, &s.clients)
		_, err := s.Q.RevokeClientAuthorizations(s.Ctx, client)
		s.found("RevokeClientAuthorizations", err)
	}},
	{"GrantConsent", 8, func(s *raceStorm) {
		p := store.GrantConsentParams{ID: store.NewConsentID(), Scopes: stormScopes(), Merge: rand.N(2) == 0}
		p.UserID, _ = one(s, &s.users)
		p.ClientID, _ = one(s, &s.clients)
		if _, err := s.Q.GrantConsent(s.Ctx, p); err != nil && !s.parentGone(err, string(p.UserID), string(p.ClientID)) {
			s.Raced("GrantConsent", err)
		}
	}},
	{"WithdrawConsent", 4, func(s *raceStorm) {
		p := store.WithdrawConsentParams{}
		p.UserID, _ = one(s, &s.users)
		p.ClientID, _ = one(s, &s.clients)
		_, err := s.Q.WithdrawConsent(s.Ctx, p)
		s.found("WithdrawConsent", err)
	}},
	{"CreateSession", 8, func(s *raceStorm) { s.addSession() }},
	{"ExtendSession", 8, func(s *raceStorm) {
		session, _ := s.session()
		_, err := s.Q.ExtendSession(s.Ctx, store.ExtendSessionParams{ID: session, Lifetime: 2 * time.Hour})
		s.found("ExtendSession", err)
	}},
	{"EndSession", 4, func(s *raceStorm) {
		session, _ := s.session()
		_, err := s.Q.EndSession(s.Ctx, session)
		s.Raced("EndSession", err)
		s.forget(session)
	}},
	{"EndUserSessions", 2, func(s *raceStorm) {
		kept, user := s.session()
		rows, err := s.Q.EndUserSessions(s.Ctx, store.EndUserSessionsParams{UserID: user, Keep: &kept})
		s.Raced("EndUserSessions", err)
		for _, r := range rows {
			s.forget(r.SessionID)
		}
	}},
	{"DELETE FROM session", 4, func(s *raceStorm) {
		session, _ := s.session()
		_, err := s.Pool.Exec(s.Ctx, `DELETE FROM session WHERE id = $1`, session)
		s.Raced("DELETE FROM session", err)
		s.forget(session)
	}},
	{"expire a session", 2, func(s *raceStorm) {
		session, _ := s.session()
		_, err := s.Pool.Exec(s.Ctx, `UPDATE session SET expires_at = now() WHERE id = $1`, session)
		s.Raced("UPDATE session", err)
		s.forget(session)
	}},
	{"another server issues", 10, func(s *raceStorm) { s.stray() }},
	{"another server spends", 3, func(s *raceStorm) {
		c, _ := one(s, &s.refresh)
		_, err := s.Pool.Exec(s.Ctx, `UPDATE oauth_refresh_token SET revoked = now() WHERE token = $1 AND revoked IS NULL`, string(fixture.Digest(c.raw)))
		s.Raced("another server's UPDATE", err)
	}},
	{"AdoptRefreshTokens", 3, func(s *raceStorm) {
		_, err := s.Q.AdoptRefreshTokens(s.Ctx, store.AdoptRefreshTokensParams{BatchSize: int32(1 + rand.N(5))})
		s.Raced("AdoptRefreshTokens", err)
	}},
	{"collect", 4, func(s *raceStorm) { collectOnce(s.world, int32(1+rand.N(10))) }},
	{"expire a family", 2, func(s *raceStorm) {
		id, _ := one(s, &s.families)
		// in the order in which every call locks
		for _, sql := range []string{
			`UPDATE oauth_authorization SET expires_at = now() WHERE id = $1`,
			`UPDATE oauth_refresh_token SET expires_at = now() WHERE authorization_id = $1`,
			`UPDATE oauth_access_token SET expires_at = now() WHERE authorization_id = $1`,
		} {
			_, err := s.Pool.Exec(s.Ctx, sql, id)
			s.Raced("UPDATE", err)
		}
	}},
	{"UpdateClient", 4, func(s *raceStorm) {
		client, _ := one(s, &s.clients)
		owner, _ := one(s, &s.users)
		p := store.UpdateClientParams{ClientID: client, Name: new(fixture.Unique("name"))}
		if rand.N(4) == 0 {
			p.UserID = &owner
		}
		if _, err := s.Q.UpdateClient(s.Ctx, p); err != nil && !s.parentGone(err, string(owner)) {
			s.found("UpdateClient", err)
		}
	}},
	{"RotateClientSecret", 3, func(s *raceStorm) {
		client, _ := one(s, &s.clients)
		_, err := s.Q.RotateClientSecret(s.Ctx, store.RotateClientSecretParams{ClientID: client, ClientSecret: fixture.Digest(fixture.Unique("secret")), Overlap: time.Minute})
		s.found("RotateClientSecret", err)
	}},
	{"DisableClient", 2, func(s *raceStorm) {
		client, _ := one(s, &s.clients)
		_, err := s.Q.DisableClient(s.Ctx, client)
		s.found("DisableClient", err)
		_, err = s.Q.EnableClient(s.Ctx, client)
		s.found("EnableClient", err)
	}},
	{"DeleteClient", 1, func(s *raceStorm) {
		if client, found := without(s, &s.clients, 3); found {
			_, err := s.Q.DeleteClient(s.Ctx, client)
			s.found("DeleteClient", err)
		}
		s.addClient()
	}},
	{"DeleteUser", 1, func(s *raceStorm) {
		if user, found := without(s, &s.users, 3); found {
			_, err := s.Q.DeleteUser(s.Ctx, user)
			s.found("DeleteUser", err)
			s.mu.Lock()
			maps.DeleteFunc(s.sessions, func(_ store.SessionID, u store.UserID) bool { return u == user })
			s.mu.Unlock()
		}
		s.addUser()
		s.addSession()
		s.addClient()
	}},
	{"UpdateUser", 3, func(s *raceStorm) {
		user, _ := one(s, &s.users)
		_, err := s.Q.UpdateUser(s.Ctx, store.UpdateUserParams{ID: user, Email: new(fixture.Unique("x") + "@example.com")})
		s.found("UpdateUser", err)
	}},
	{"CreateAccount", 3, func(s *raceStorm) {
		user, _ := one(s, &s.users)
		id := store.NewAccountID()
		_, err := s.Q.CreateAccount(s.Ctx, store.CreateAccountParams{ID: id, AccountID: string(id), ProviderID: "credential", UserID: user})
		if err == nil || !s.parentGone(err, string(user)) && s.Raced("CreateAccount", err) {
			keep(s, &s.accounts, raceAccount{id, user})
		}
	}},
	{"DeleteAccount", 3, func(s *raceStorm) {
		a, _ := one(s, &s.accounts)
		_, err := s.Q.DeleteAccount(s.Ctx, store.DeleteAccountParams{ID: a.id, UserID: a.user})
		s.found("DeleteAccount", err)
	}},
}

// TestRaceStorm is all calls at once, at random, on few rows. No call may fail but for the reasons that its contract names; and at
// the end every family is whole.
func TestRaceStorm(t *testing.T) {
	t.Parallel()
	w := newRaceWorld(t, 24)
	s := &raceStorm{
		world: w, sessions: map[store.SessionID]store.UserID{},
		redeemed: map[string]int{}, rotated: map[string]int{}, slowest: map[string]time.Duration{},
	}
	for range 4 {
		s.addUser()
	}
	for range 4 {
		s.addClient()
	}
	for range 8 {
		s.addSession()
	}
	sum := 0
	for _, c := range stormCalls {
		sum += c.weight
	}
	var calls atomic.Int64
	until := time.Now().Add(*stormTime)
	fixture.Together(fixture.Times(24, func(int) {
		for time.Now().Before(until) && !t.Failed() {
			i, n := 0, rand.N(sum)
			for n -= stormCalls[i].weight; n >= 0; n -= stormCalls[i].weight {
				i++
			}
			began := time.Now()
			stormCalls[i].call(s)
			calls.Add(1)
			s.mu.Lock()
			s.slowest[stormCalls[i].name] = max(s.slowest[stormCalls[i].name], time.Since(began))
			s.mu.Unlock()
		}
	})...)
	t.Logf("%d calls, %d codes redeemed, %d rotations; the slowest of each: %v", calls.Load(), len(s.redeemed), len(s.rotated), s.slowest)
	for raw, n := range s.redeemed {
		if n > 1 {
			t.Errorf("%s was redeemed %d times", raw, n)
		}
	}
	for raw, n := range s.rotated {
		if n > 1 {
			t.Errorf("%s was rotated %d times", raw, n)
		}
	}
	fixture.Invariants(w.World)
}

package betterauth

import (
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// granted is what an ending finds: four grants of one user to one client, two made there and two here, offline and bound.
type granted struct {
	person
	client
	there, thereBound, here, hereBound tokens
}

// ending is a call of the store, and what it leaves.
type ending struct {
	name string
	end  func(*world, granted) (store.Outcome, error)
	// Sessions: offline grants live on. One: the one grant made there ends, and no other.
	leavesOffline, endsOne bool
	signsOut               bool
	refusal                string // what a refresh there is answered; invalid_grant by default
	leavesMark             bool   // there an access token is dead by its row, and a code from before is refused
}

var endings = []ending{
	{name: "EndSession", leavesMark: true, leavesOffline: true, signsOut: true, end: func(w *world, g granted) (store.Outcome, error) {
		r, err := w.q.EndSession(w.ctx, g.session)
		return r.Outcome, err
	}},
	{name: "EndUserSessions", leavesMark: true, leavesOffline: true, signsOut: true, end: func(w *world, g granted) (store.Outcome, error) {
		r, err := w.q.EndUserSessions(w.ctx, store.EndUserSessionsParams{UserID: g.person.id})
		return r.Outcome, err
	}},
	{name: "CreateSession with a maximum", leavesMark: true, leavesOffline: true, signsOut: true, end: func(w *world, g granted) (store.Outcome, error) {
		id := store.NewSessionID()
		r, err := w.q.CreateSession(w.ctx, store.CreateSessionParams{
			ID: id, UserID: g.person.id, Token: token.DigestOf(string(id)), Lifetime: time.Hour, MaxSessions: 1,
		})
		return r.Outcome, err
	}},
	{name: "RevokeUserAuthorizations", end: func(w *world, g granted) (store.Outcome, error) {
		return w.q.RevokeUserAuthorizations(w.ctx, g.person.id)
	}},
	{name: "RevokeUserAuthorizationsByClient", end: func(w *world, g granted) (store.Outcome, error) {
		return w.q.RevokeUserAuthorizationsByClient(w.ctx, store.RevokeUserAuthorizationsByClientParams{UserID: g.person.id, ClientID: g.client.id})
	}},
	{name: "WithdrawConsent", end: func(w *world, g granted) (store.Outcome, error) {
		r, err := w.q.WithdrawConsent(w.ctx, store.WithdrawConsentParams{UserID: g.person.id, ClientID: g.client.id})
		return r.Outcome, err
	}},
	{name: "RevokeClientAuthorizations", end: func(w *world, g granted) (store.Outcome, error) {
		return w.q.RevokeClientAuthorizations(w.ctx, g.client.id)
	}},
	{name: "SuspendUser", leavesMark: true, signsOut: true, end: func(w *world, g granted) (store.Outcome, error) {
		r, err := w.q.SuspendUser(w.ctx, g.person.id)
		return r.Outcome, err
	}},
	{name: "DeleteUser", leavesMark: true, signsOut: true, end: func(w *world, g granted) (store.Outcome, error) {
		r, err := w.q.DeleteUser(w.ctx, g.person.id)
		return r.Outcome, err
	}},
	{name: "DisableClient", leavesMark: true, refusal: "invalid_client", end: func(w *world, g granted) (store.Outcome, error) {
		return w.q.DisableClient(w.ctx, g.client.id)
	}},
	{name: "DeleteClient", leavesMark: true, refusal: "invalid_client", end: func(w *world, g granted) (store.Outcome, error) {
		return w.q.DeleteClient(w.ctx, g.client.id)
	}},
	{name: "RevokeAuthorization", endsOne: true, end: func(w *world, g granted) (store.Outcome, error) {
		r, err := w.q.RevokeAuthorization(w.ctx, g.there.family)
		return r.Outcome, err
	}},
	{name: "RevokeToken", endsOne: true, end: func(w *world, g granted) (store.Outcome, error) {
		method, digest := g.who()
		r, err := w.q.RevokeToken(w.ctx, store.RevokeTokenParams{
			ClientID: g.client.id, ClientAuthMethod: method, ClientSecret: digest, Token: token.DigestOf(g.there.refresh),
		})
		return r.Outcome, err
	}},
}

func (e ending) holds(w *world) {
	g := granted{person: w.signUp(strings.ReplaceAll(e.name, " ", "-") + "@example.com"), client: w.registerConfidential()}
	offlineThere := w.grant(g.person, g.client, offline)
	rotated := w.issued(w.refreshThere(g.client, offlineThere.refresh)) // not the first of its family
	g.there = tokens{rotated.access, rotated.refresh, rotated.family}
	g.thereBound, g.here, g.hereBound = w.grant(g.person, g.client, "openid"), w.grantHere(g.person, g.client, offline), w.grantHere(g.person, g.client, "openid")
	bystander, stranger := w.register(), w.signUp("stranger-"+strings.ReplaceAll(e.name, " ", "-")+"@example.com")
	otherClient, otherUser := w.grant(g.person, bystander, offline), w.grant(stranger, g.client, offline)
	w.wantLive(g.there.access, g.there.refresh, g.thereBound.access, g.here.access, g.here.refresh, g.hereBound.access, g.hereBound.refresh, otherClient.refresh, otherUser.refresh)

	code := w.code(g.person, g.client, offline)

	outcome, err := e.end(w, g)
	w.ok(err)
	switch outcome {
	case store.OutcomeEnded, store.OutcomeWithdrawn, store.OutcomeDeleted, store.OutcomeCreated:
	default:
		w.Fatalf("%s: %s", e.name, outcome)
	}

	if e.leavesOffline { // before the server there looks for the session: it revokes the access tokens of one that it finds expired
		w.wantLive(g.there.access, g.here.access)
	}
	// What docs/better-auth.md says of access tokens and codes that the server there holds.
	if a := w.get("/oauth2/userinfo", "Bearer "+g.thereBound.access); (a.status != 200) != e.leavesMark {
		w.Errorf("an access token there: %s", a)
	}
	if a := w.redeemThere(g.client, code); (a.status != 200) != e.leavesMark {
		w.Errorf("a code from before there: %s", a)
	}
	if w.signedInThere(g.cookie) == e.signsOut {
		w.Errorf("signed in there: %v", !e.signsOut)
	}
	refusal := "invalid_grant"
	if e.refusal != "" {
		refusal = e.refusal
	}
	switch {
	case e.leavesOffline:
		w.wantDead(g.thereBound.access, g.hereBound.access, g.hereBound.refresh)
		w.uselessThere(g.client, g.hereBound.refresh)
		w.wantLive(g.there.refresh, g.here.refresh)
		next := w.issued(w.refreshThere(g.client, g.there.refresh))
		w.wantLive(next.access, next.refresh)
		w.wantLive(w.rotateHere(g.client, next.refresh, store.OutcomeRotated).refresh)
		w.wantLive(w.issued(w.refreshThere(g.client, g.here.refresh)).refresh)
	case e.endsOne:
		w.wantDead(offlineThere.access, g.there.access, g.there.refresh)
		w.refusedThere(g.client, g.there.refresh)
		w.wantDead(g.there.access, g.there.refresh)
		w.wantLive(g.thereBound.access, g.here.access, g.here.refresh, g.hereBound.refresh)
		w.wantLive(w.issued(w.refreshThere(g.client, g.here.refresh)).refresh)
	default:
		all := []string{offlineThere.access, g.there.access, g.there.refresh, g.thereBound.access, g.here.access, g.here.refresh, g.hereBound.access, g.hereBound.refresh}
		w.wantDead(all...)
		for range 2 { // the second time a spent token would end more
			w.refusedThere(g.client, g.there.refresh, refusal)
			w.refusedThere(g.client, g.here.refresh, refusal)
			w.uselessThere(g.client, g.hereBound.refresh)
		}
		w.wantDead(all...)
	}
}

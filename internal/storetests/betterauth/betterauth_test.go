package betterauth

import (
	"net/url"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// One server is started for all, as that takes longer than what is asked of it.
func TestBetterAuth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name string
		test func(*world)
	}{
		{"each server signs with its own key", signingKeys}, // first, as the server there has none yet
		{"the whole flow of a client that registers there", wholeFlow},
		{"a client that a user registers there ends with its owner", registeredByUser},
		{"a client with keys", privateKeys},
		{"a client's own token", clientsOwnToken},
		{"tokens for a resource", forResource},
		{"RP-initiated logout there ends what is bound to the session", loggedOutThere},
		{"a device", devices},
		{"a device that asks for a resource", deviceForResource},
		{"a device of that server's own", deviceOfTheirOwn},
		{"a client that its owner manages there", managed},
		{"a token that is presented to both at once", atBoth},
		{"tokens that are bound to a key", bound},
		{"claims that a request names", claims},
		{"a pairwise client's users have other names there", subjects},
		{"what never expires has expired there", neverThere},
		{"an address is one user's whatever its ASCII case", oneAddress},
		{"a password of ours signs in there", passwordOfOurs},
		{"the whole flow of a public client", func(w *world) { flow(w, w.register()) }},
		{"the whole flow of a confidential client", func(w *world) { flow(w, w.registerConfidential()) }},
		{"tokens move in both directions without a reissue", move},
		{"a token spent there that comes back here ends all of its client and user", spentThereComesBackHere},
		{"a token spent there that comes back there ends all of its client and user", spentThereComesBackThere},
		{"a token spent here that comes back there ends its family", spentHereComesBackThere},
		{"a revocation there is one here", revokedThere},
		{"an access token revoked here is dead there", accessTokenRevokedHere},
		{"a sign-out there ends what is bound to the session", signedOutThere},
		{"a user without an address", withoutAddress},
		{"a suspended user can't sign in there, and nothing comes back by reinstating", suspended},
		{"a deleted user can't sign in there", deletedUser},
		{"consent given there counts here until it is withdrawn", consent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(w.in(t)) })
	}
	t.Run("endings", func(t *testing.T) {
		for _, e := range endings {
			t.Run(e.name, func(t *testing.T) { e.holds(w.in(t)) })
		}
	})
}

func oneAddress(w *world) {
	up := w.signUp("Grace@Example.COM")
	in := w.signIn("GRACE@example.com")
	here, err := w.q.FindUserByEmail(w.ctx, "gRACE@eXAMPLE.com")
	w.ok(err)
	if up.id != in.id || here.ID != up.id {
		w.Errorf("signed up as %s, in as %s, found here as %s", up.id, in.id, here.ID)
	}
	if a := w.post("/sign-up/email", map[string]string{"name": "Eve", "email": "grace@EXAMPLE.com", "password": password}, ""); a.status == 200 {
		w.Errorf("the address was given to another user: %s", a)
	}
	if !w.signedInThere(up.cookie) || !w.signedInThere(in.cookie) {
		w.Error("not signed in")
	}
}

func passwordOfOurs(w *world) {
	id := store.NewUserID()
	_, err := w.q.CreateUser(w.ctx, store.CreateUserParams{ID: id, Name: "Edsger", Email: new("edsger@example.com")})
	w.ok(err)
	_, err = w.q.CreateAccount(w.ctx, store.CreateAccountParams{
		ID: store.NewAccountID(), UserID: id, ProviderID: "credential", AccountID: string(id), Password: new("plain:" + password),
	})
	w.ok(err)
	if in := w.signIn("Edsger@example.com"); in.id != id {
		w.Errorf("signed in as %s, want %s", in.id, id)
	}
	// It looks for the address in lower case and as it stands, so docs/better-auth.md says to store it so.
	_, err = w.q.UpdateUser(w.ctx, store.UpdateUserParams{ID: id, Email: new("Edsger@example.com")})
	w.ok(err)
	if a := w.post("/sign-in/email", map[string]string{"email": "edsger@example.com", "password": password}, ""); a.status == 200 {
		w.Errorf("found whatever its case, so docs/better-auth.md is wrong: %s", a)
	}
}

func flow(w *world, c client) {
	p := w.signUp(strings.ToLower(string(c.id)) + "@example.com")
	first := w.grant(p, c, offline)
	second := w.issued(w.refreshThere(c, first.refresh))
	third := w.issued(w.refreshThere(c, second.refresh))
	if second.family != first.family || third.family != first.family {
		w.Errorf("a refresh left its family: %s, %s, %s", first.family, second.family, third.family)
	}
	w.wantLive(first.access, second.access, third.access, third.refresh)
	w.wantDead(first.refresh, second.refresh)
	for _, t := range []string{first.access, third.access} {
		if a := w.get("/oauth2/userinfo", "Bearer "+t); a.status != 200 || a.text("sub") != string(p.id) {
			w.Errorf("userinfo there: %s", a)
		}
	}
	r, err := w.q.IntrospectToken(w.ctx, store.IntrospectTokenParams{ClientAuthMethod: "server", Token: token.DigestOf(third.access)})
	w.ok(err)
	if *r.UserID != p.id || *r.ClientID != c.id || *r.SessionID != p.session || strings.Join(r.Scopes, " ") != offline {
		w.Errorf("introspected here: %+v", r)
	}

	online := w.grant(p, c, "openid")
	if online.refresh != "" || online.family == first.family {
		w.Errorf("without offline_access: %+v beside the family %s", online, first.family)
	}
	w.wantLive(online.access)

	code := w.code(p, c, offline)
	w.issued(w.redeemThere(c, code))
	if a := w.redeemThere(c, code); a.text("error") != "invalid_grant" {
		w.Errorf("a code redeemed twice there: %s", a)
	}
	w.wantLive(third.access, third.refresh)
}

func move(w *world) {
	p, c := w.signUp("move@example.com"), w.registerConfidential()
	there := w.grant(p, c, offline)
	here := w.grantHere(p, c, offline)
	for range 2 { // there, here, there, here
		one, two := w.rotateHere(c, there.refresh, store.OutcomeRotated), w.issued(w.refreshThere(c, here.refresh))
		if one.family != there.family || two.family != here.family {
			w.Errorf("a token left its family: %s to %s, %s to %s", there.family, one.family, here.family, two.family)
		}
		w.wantDead(there.refresh, here.refresh)
		w.wantLive(there.access, here.access, one.access, one.refresh, two.access, two.refresh)
		there = tokens{one.access, w.issued(w.refreshThere(c, one.refresh)).refresh, one.family}
		here = tokens{two.access, w.rotateHere(c, two.refresh, store.OutcomeRotated).refresh, two.family}
	}
	w.wantLive(there.access, there.refresh, here.access, here.refresh)
}

func spentThereComesBackHere(w *world) {
	p, c, other := w.signUp("spent-there@example.com"), w.register(), w.register()
	first := w.grant(p, c, offline)
	second := w.issued(w.refreshThere(c, first.refresh))
	ours, elsewhere := w.grantHere(p, c, offline), w.grant(p, other, offline)
	w.rotateHere(c, first.refresh, store.OutcomeReplayed)
	w.wantDead(first.access, second.access, second.refresh, ours.access, ours.refresh)
	w.refusedThere(c, second.refresh)
	w.refusedThere(c, ours.refresh)
	w.wantLive(elsewhere.access, elsewhere.refresh)
	w.issued(w.refreshThere(other, elsewhere.refresh))
	w.wantLive(w.grant(p, c, offline).refresh) // what is granted afterwards lives
}

func spentThereComesBackThere(w *world) {
	p, c := w.signUp("spent-twice@example.com"), w.register()
	first := w.grant(p, c, offline)
	second := w.issued(w.refreshThere(c, first.refresh))
	third := w.rotateHere(c, second.refresh, store.OutcomeRotated)
	ours := w.grantHere(p, c, offline)
	w.refusedThere(c, first.refresh)
	w.wantDead(first.access, second.access, third.access, third.refresh, ours.access, ours.refresh)
	w.rotateHere(c, third.refresh, store.OutcomeUnknown) // the server there deletes what it ends
	w.refusedThere(c, third.refresh)
}

func spentHereComesBackThere(w *world) {
	p, c := w.signUp("spent-here@example.com"), w.register()
	first := w.grantHere(p, c, offline)
	second := w.rotateHere(c, first.refresh, store.OutcomeRotated)
	w.refusedThere(c, first.refresh)
	w.wantDead(first.access, second.access, second.refresh)
	w.refusedThere(c, second.refresh)

	first = w.grant(p, c, offline)
	second = w.rotateHere(c, first.refresh, store.OutcomeRotated)
	third := w.issued(w.refreshThere(c, second.refresh))
	w.rotateHere(c, first.refresh, store.OutcomeReplayed) // its successor has been used, if elsewhere
	w.wantDead(first.access, second.access, third.access, third.refresh)
	w.refusedThere(c, third.refresh)
}

func revokedThere(w *world) {
	p, c := w.signUp("revoked-there@example.com"), w.registerConfidential()
	first, other := w.grant(p, c, offline), w.grant(p, c, offline)
	if a := w.post("/oauth2/revoke", c.authenticate(url.Values{"token": {first.refresh}}), ""); a.status != 200 {
		w.Fatalf("revoke: %s", a)
	}
	w.wantDead(first.access, first.refresh)
	w.wantLive(other.access, other.refresh)
	if a := w.post("/oauth2/revoke", c.authenticate(url.Values{"token": {other.access}}), ""); a.status != 200 {
		w.Fatalf("revoke: %s", a)
	}
	w.wantDead(other.access)
	w.wantLive(other.refresh)
}

func accessTokenRevokedHere(w *world) {
	p, c := w.signUp("revoked-here@example.com"), w.registerConfidential()
	issued := w.grant(p, c, offline)
	method, digest := c.who()
	r, err := w.q.RevokeToken(w.ctx, store.RevokeTokenParams{
		ClientID: c.id, ClientAuthMethod: method, ClientSecret: digest, Token: token.DigestOf(issued.access),
	})
	w.ok(err)
	if r.Outcome != store.OutcomeEnded {
		w.Fatal(r.Outcome)
	}
	if a := w.get("/oauth2/userinfo", "Bearer "+issued.access); a.status == 200 {
		w.Errorf("it lives there: %s", a)
	}
	w.wantLive(w.issued(w.refreshThere(c, issued.refresh)).access)
}

func signedOutThere(w *world) {
	p, c := w.signUp("signed-out-there@example.com"), w.register()
	bound, free := w.grant(p, c, "openid"), w.grant(p, c, offline)
	ours, oursBound := w.grantHere(p, c, offline), w.grantHere(p, c, "openid")
	if a := w.post("/sign-out", map[string]any{}, p.cookie); a.status != 200 {
		w.Fatalf("sign-out: %s", a)
	}
	w.wantDead(bound.access, oursBound.access, oursBound.refresh)
	w.uselessThere(c, oursBound.refresh)
	w.wantLive(free.refresh, ours.refresh)
	after := w.issued(w.refreshThere(c, free.refresh))
	if after.family != free.family {
		w.Errorf("the family %s became %s", free.family, after.family)
	}
	w.wantLive(after.access, after.refresh)
}

func withoutAddress(w *world) {
	c := w.register()
	p := person{id: store.NewUserID(), session: store.NewSessionID()}
	_, err := w.q.CreateUser(w.ctx, store.CreateUserParams{ID: p.id, Name: "Nobody"})
	w.ok(err)
	const value = "cookie-of-a-user-without-an-address"
	_, err = w.pool.Exec(w.ctx, `INSERT INTO session (id, user_id, token, expires_at) VALUES ($1, $2, $3, now() + interval '1 hour')`,
		string(p.session), string(p.id), value)
	w.ok(err)
	p.cookie = Cookie(value)
	if !w.signedInThere(p.cookie) {
		w.Error("the session doesn't count there")
	}
	for _, issued := range []tokens{w.grantHere(p, c, offline), w.grant(p, c, offline)} {
		next := w.issued(w.refreshThere(c, issued.refresh))
		if a := w.get("/oauth2/userinfo", "Bearer "+next.access); a.status != 200 || a.text("sub") != string(p.id) || a.body["email"] != nil {
			w.Errorf("userinfo: %s", a)
		}
	}
	w.signUp("somebody@example.com") // the next user still has an address of their own
}

func suspended(w *world) {
	p, c := w.signUp("suspended@example.com"), w.register()
	before, code := w.grant(p, c, offline), w.code(p, c, offline)
	_, err := w.q.SuspendUser(w.ctx, p.id)
	w.ok(err)
	a := w.post("/sign-in/email", map[string]string{"email": p.email, "password": password}, "")
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if cookie != "" && w.signedInThere(cookie) {
		w.Errorf("a suspended user signed in: %s", a)
	}
	if a := w.redeemThere(c, code); a.status == 200 {
		w.Errorf("a code from before was redeemed: %s", a)
	}
	outcome, err := w.q.ReinstateUser(w.ctx, p.id)
	w.ok(err)
	if outcome != store.OutcomeReinstated {
		w.Fatal(outcome)
	}
	if w.signedInThere(p.cookie) || cookie != "" && w.signedInThere(cookie) {
		w.Error("a session came back by reinstating")
	}
	w.refusedThere(c, before.refresh)
	w.noneLives("after reinstating", "user_id", p.id)
	again := w.signIn(p.email)
	if !w.signedInThere(again.cookie) {
		w.Error("a reinstated user can't sign in")
	}
	w.wantLive(w.grant(again, c, offline).refresh)
}

func deletedUser(w *world) {
	p := w.signUp("deleted@example.com")
	_, err := w.q.DeleteUser(w.ctx, p.id)
	w.ok(err)
	if a := w.post("/sign-in/email", map[string]string{"email": p.email, "password": password}, ""); a.status == 200 {
		w.Errorf("a deleted user signed in: %s", a)
	}
	if again := w.signUp(p.email); again.id == p.id || !w.signedInThere(again.cookie) {
		w.Error("the address can't be used again")
	}
}

func consent(w *world) {
	p, c := w.signUp("consent@example.com"), w.register(func(p *store.CreateClientParams) { p.SkipConsent = nil })
	w.grant(p, c, offline)
	covered := func(scopes ...string) bool {
		w.Helper()
		g, err := w.q.CheckConsent(w.ctx, store.CheckConsentParams{UserID: p.id, ClientID: c.id, Scopes: scopes})
		w.ok(err)
		return g.Covered
	}
	if !covered("openid", "email") || covered("openid", "calendar") {
		w.Error("what was agreed to there isn't what counts here")
	}
	_, err := w.q.WithdrawConsent(w.ctx, store.WithdrawConsentParams{UserID: p.id, ClientID: c.id})
	w.ok(err)
	if covered("openid") {
		w.Error("a withdrawn consent counts")
	}
	a := w.get("/oauth2/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {string(c.id)}, "redirect_uri": {redirectURI}, "scope": {offline}, "prompt": {"none"},
		"code_challenge": {token.S256(verifier)}, "code_challenge_method": {"S256"},
	}.Encode(), p.cookie)
	if !strings.Contains(a.header.Get("Location"), "consent_required") {
		w.Errorf("there the consent still counts: %s", a)
	}
	w.grant(p, c, offline)
	if !covered("openid", "email") {
		w.Error("a consent given anew doesn't count")
	}
}

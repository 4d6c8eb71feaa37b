package linear

import (
	"math"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/internal/storetests/model"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// did is a call of a history that is written by hand.
type did struct {
	from, to int64 // 0: no answer
	call     model.Call
	answer   model.Answer
}

// history is a world of u1, who has a session s1, and c1, a public client, with calls that were never made.
func history(calls ...did) *World {
	w := &World{name: "by-hand", start: model.NewState(), known: known{names: map[token.Digest]string{}}}
	for _, c := range []model.Call{
		{Name: "CreateUser", Params: store.CreateUserParams{ID: "u1"}},
		{Name: "CreateSession", Params: store.CreateSessionParams{ID: "s1", UserID: "u1", Lifetime: far}},
		{Name: "CreateClient", Params: store.CreateClientParams{ClientID: "c1", TokenEndpointAuthMethod: new("none"), GrantTypes: []string{"authorization_code", "refresh_token"}}},
	} {
		w.start, _ = w.start.After(c)
	}
	for _, c := range calls {
		if c.to == 0 {
			c.to, c.answer = math.MaxInt64, model.Answer{Outcome: model.Lost}
		}
		w.calls = append(w.calls, porcupine.Operation{Input: input{call: c.call}, Call: c.from, Return: c.to, Output: c.answer})
	}
	return w
}

func grants() model.Call {
	return model.Call{Name: "GrantAuthorization", Params: store.GrantAuthorizationParams{
		ID: "a1", UserID: "u1", ClientID: "c1", Scopes: offline, GrantedScopes: offline, DefaultScopes: defaults, RedirectURI: new(fixture.RedirectURI),
		ResponseType: new("code"), CodeChallenge: &fixture.Challenge, Code: "code", CodeLifetime: far,
	}}
}

func redeems(as string) model.Call {
	return model.Call{Name: "RedeemAuthorizationCode", Params: store.RedeemAuthorizationCodeParams{
		Code: "code", ClientID: "c1", ClientAuthMethod: "none", CodeChallenge: &fixture.Challenge, AccessTokenID: store.AccessTokenID(as),
		AccessToken: new(token.Digest(as)), AccessTokenLifetime: far, FamilyLifetime: store.Never, DefaultScopes: defaults,
	}}
}

func requests() model.Call {
	return model.Call{Name: "CreateAuthorization", Params: store.CreateAuthorizationParams{
		ID: "a1", ClientID: "c1", Scopes: offline, DefaultScopes: defaults, RedirectURI: new(fixture.RedirectURI), Lifetime: far,
		ResponseType: new("code"), CodeChallenge: &fixture.Challenge,
	}}
}

func approves(code string) model.Call {
	return model.Call{Name: "ApproveAuthorization", Params: store.ApproveAuthorizationParams{
		ID: "a1", UserID: "u1", GrantedScopes: offline, DefaultScopes: defaults, Code: new(token.Digest(code)), CodeLifetime: far,
	}}
}

func provesAndRedeems(as string) model.Call {
	c := redeems(as)
	p := c.Params.(store.RedeemAuthorizationCodeParams)
	p.Proof, p.ProofExpiresAt, p.RedirectURI = new(token.Digest("proof")), new(time.Now().Add(far)), new(fixture.RedirectURI)
	c.Params = p
	return c
}

func remembersProof() model.Call {
	return model.Call{Name: "RememberProof", Params: store.RememberProofParams{ID: "proof", ExpiresAt: time.Now().Add(far)}}
}

func denies() model.Call {
	return model.Call{Name: "DenyAuthorization", Params: store.DenyAuthorizationParams{ID: "a1"}}
}

func consents(id string, scopes ...string) model.Call {
	return model.Call{Name: "GrantConsent", Params: store.GrantConsentParams{ID: store.ConsentID(id), ClientID: "c1", UserID: "u1", Scopes: scopes}}
}

func writesConsent(id string, scopes ...string) model.Call {
	return model.Call{Name: "another server's consent", Params: model.ForeignConsent{ID: store.ConsentID(id), ClientID: "c1", UserID: "u1", Scopes: scopes}}
}

func checksConsent(scopes ...string) model.Call {
	return model.Call{Name: "CheckConsent", Params: store.CheckConsentParams{ClientID: "c1", UserID: "u1", Scopes: scopes}}
}

func introspects(raw string) model.Call {
	return model.Call{Name: "IntrospectToken", Params: store.IntrospectTokenParams{Token: token.Digest(raw), ClientAuthMethod: "server"}}
}

var (
	granted  = model.Answer{Outcome: store.OutcomeGranted}
	redeemed = model.Answer{Outcome: store.OutcomeRedeemed, Detail: "a1"}
	replayed = model.Answer{Outcome: store.OutcomeReplayed}
	active   = model.Answer{Outcome: store.OutcomeActive, Detail: "a1 openid offline_access"}
	inactive = model.Answer{Outcome: store.OutcomeInactive}
	ended    = model.Answer{Outcome: store.OutcomeEnded}
	revokes  = model.Call{Name: "RevokeUserAuthorizations", Params: store.UserID("u1")}
	disables = model.Call{Name: "DisableClient", Params: store.ClientID("c1")}
	created  = model.Answer{Outcome: store.OutcomeCreated}
	unknown  = model.Answer{Outcome: store.OutcomeUnknown}
	approved = model.Answer{Outcome: store.OutcomeApproved}
	retried  = model.Answer{Outcome: store.OutcomeRetried}
	agreed   = model.Answer{Outcome: store.OutcomeGranted, Detail: "openid"}
	missing  = model.Answer{Outcome: store.OutcomeActive, Detail: "false [openid]"}
	covered  = model.Answer{Outcome: store.OutcomeActive, Detail: "true []"}
)

// What the checker accepts, and what it doesn't.
func TestJudge(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]struct {
		calls []did
		want  porcupine.CheckResult
	}{
		"in turn": {[]did{
			{1, 2, grants(), granted},
			{3, 4, redeems("t1"), redeemed},
			{5, 6, introspects("t1"), active},
			{7, 8, redeems("t2"), replayed},
			{9, 10, introspects("t1"), inactive},
		}, porcupine.Ok},
		"a code is redeemed twice, one after the other":  {[]did{{1, 2, grants(), granted}, {3, 4, redeems("t1"), redeemed}, {5, 6, redeems("t2"), redeemed}}, porcupine.Illegal},
		"a code is redeemed twice, at once":              {[]did{{1, 2, grants(), granted}, {3, 5, redeems("t1"), redeemed}, {4, 6, redeems("t2"), redeemed}}, porcupine.Illegal},
		"at once one is redeemed, the other is replayed": {[]did{{1, 2, grants(), granted}, {3, 5, redeems("t1"), replayed}, {4, 6, redeems("t2"), redeemed}}, porcupine.Ok},
		"what got no answer was done":                    {[]did{{1, 2, grants(), granted}, {3, 0, redeems("t1"), granted}, {5, 6, redeems("t2"), replayed}}, porcupine.Ok},
		"what got no answer was not done":                {[]did{{1, 2, grants(), granted}, {3, 0, redeems("t1"), granted}, {5, 6, redeems("t2"), redeemed}}, porcupine.Ok},
		"what got no answer is done later": {[]did{
			{1, 2, grants(), granted}, {3, 0, redeems("t1"), granted}, {5, 6, introspects("t1"), inactive}, {7, 8, introspects("t1"), active},
		}, porcupine.Ok},
		"what got no answer is done, and then it isn't": {[]did{
			{1, 2, grants(), granted}, {3, 0, redeems("t1"), granted}, {5, 6, introspects("t1"), active}, {7, 8, introspects("t1"), inactive},
		}, porcupine.Illegal},
		"what was answered is lost": {[]did{{1, 2, grants(), granted}, {3, 4, redeems("t1"), redeemed}, {5, 6, introspects("t1"), inactive}}, porcupine.Illegal},
		"a token lives on after an ending": {[]did{
			{1, 2, grants(), granted}, {3, 4, redeems("t1"), redeemed}, {5, 6, revokes, ended}, {7, 8, introspects("t1"), active},
		}, porcupine.Illegal},
		"an ending that a redemption overlaps comes before it or after it": {[]did{
			{1, 2, grants(), granted}, {3, 5, redeems("t1"), redeemed}, {4, 6, revokes, ended}, {7, 8, introspects("t1"), inactive},
		}, porcupine.Ok},
		"a grant is dead that overlaps an ending": {[]did{
			{1, 6, grants(), granted},
			{2, 3, revokes, ended},
			{4, 5, redeems("t1"), model.Answer{Outcome: store.OutcomeUnknown}},
			{7, 8, redeems("t2"), model.Answer{Outcome: store.OutcomeRevoked}},
		}, porcupine.Ok},
		"a grant is dead that was made after the ending": {[]did{
			{4, 6, grants(), granted}, {2, 3, revokes, ended}, {7, 8, redeems("t2"), model.Answer{Outcome: store.OutcomeRevoked}},
		}, porcupine.Illegal},
		"a request is written after the client was disabled, and had read before": {
			[]did{{1, 6, requests(), created}, {2, 3, disables, ended}, {4, 5, denies(), unknown}}, porcupine.Ok,
		},
		"a code is replaced while its redemption has remembered the proof": {[]did{
			{1, 2, requests(), created},
			{3, 4, approves("code"), approved},
			{5, 9, provesAndRedeems("t1"), unknown},
			{6, 7, approves("code2"), retried},
			{10, 11, remembersProof(), model.Answer{Outcome: store.OutcomeProofReplayed}},
		}, porcupine.Ok},
		"a redemption that finds nothing from the start remembers no proof": {[]did{
			{1, 2, requests(), created}, {3, 4, approves("code"), approved}, {5, 6, introspects("t1"), inactive}, {7, 8, remembersProof(), model.Answer{Outcome: store.OutcomeProofReplayed}},
		}, porcupine.Illegal},
		"a request is made after the client was disabled": {[]did{{2, 3, disables, ended}, {4, 5, requests(), created}}, porcupine.Illegal},
		"a consent that overlaps an ending is written over a later one": {[]did{
			{1, 8, consents("n1", "openid"), agreed}, {2, 3, revokes, ended}, {4, 5, consents("n2", "openid"), agreed}, {9, 10, checksConsent("openid"), missing},
		}, porcupine.Ok},
		"another server's consent that overlaps an ending is written over a later one": {[]did{
			{1, 8, writesConsent("n1", "openid"), model.Answer{Outcome: "written"}},
			{2, 3, revokes, ended},
			{4, 5, consents("n2", "openid"), agreed},
			{6, 7, checksConsent("openid"), covered},
			{9, 10, checksConsent("openid"), missing},
		}, porcupine.Ok},
		"a consent is lost that was given after the ending": {[]did{
			{2, 3, revokes, ended}, {4, 5, consents("n2", "openid"), agreed}, {9, 10, checksConsent("openid"), missing},
		}, porcupine.Illegal},
	} {
		t.Run(name, func(t *testing.T) {
			w := history(h.calls...)
			if v := w.judge(10 * time.Second); v.Result != h.want {
				t.Errorf("%s, want %s\n%s", v.Result, h.want, v)
			}
		})
	}
}

// An approval that has read before an ending and is written after it is dead, and a device that polls in between is still to wait. No order of
// these calls alone explains that: what the checker makes of such a grant is needed, and no more than that.
func TestAGrantIsOvertaken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool := fixture.NewPool(t, 3)
	w, err := NewWorld(ctx, pool, "overtaken")
	if err != nil {
		t.Fatal(err)
	}
	call := func(worker int, name string, params any) model.Answer {
		a, err := w.Call(ctx, pool, worker, model.Call{Name: name, Params: params})
		if err != nil {
			t.Error(err)
		}
		return a
	}
	poll := func() model.Answer {
		return call(0, "PollDeviceCode", store.PollDeviceCodeParams{
			DeviceCode: token.DigestOf("device"), ClientID: w.clients[1], ClientAuthMethod: "none", AccessTokenID: "t1", AccessToken: new(token.DigestOf("t1")),
			AccessTokenLifetime: far, FamilyLifetime: store.Never, DefaultScopes: defaults,
		})
	}
	call(0, "CreateDeviceAuthorization", store.CreateDeviceAuthorizationParams{
		ID: "a1", ClientID: w.clients[1], ClientAuthMethod: "none", Scopes: offline, DefaultScopes: defaults, DeviceCode: token.DigestOf("device"), UserCode: token.DigestOf("user code"),
		Lifetime: far, PollInterval: far / 2,
	})
	call(0, "FindAuthorizationByUserCode", store.FindAuthorizationByUserCodeParams{UserCode: token.DigestOf("user code"), UserID: w.users[0]})
	holder, err := pool.Begin(ctx)
	if err == nil {
		// the last thing that an approval writes
		_, err = holder.Exec(ctx, `INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ($1, $2, $3, 'x', 'x')`, w.sessions[0].id, w.clients[1], w.users[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	approved := make(chan model.Answer, 1)
	go func() {
		approved <- call(1, "ApproveAuthorization", store.ApproveAuthorizationParams{ID: "a1", UserID: w.users[0], SessionID: &w.sessions[0].id, GrantedScopes: offline, DefaultScopes: defaults, CodeLifetime: far})
	}()
	for waits := false; !waits && len(approved) == 0; {
		// pg_stat_activity would stay as the transaction has seen it first
		err := holder.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	call(0, "RevokeUserAuthorizations", w.users[0])
	if a := poll(); a.Outcome != store.OutcomeAuthorizationPending {
		t.Errorf("before the approval is written: %v", a)
	}
	if err := holder.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if a := <-approved; a.Outcome != store.OutcomeApproved {
		t.Errorf("the approval: %v", a)
	}
	if a := poll(); a.Outcome != store.OutcomeRevoked {
		t.Errorf("after the approval: %v", a)
	}
	Check(t, w)
	for i, op := range w.calls { // had the approval been made after the ending, it would be a fault
		if op.ClientId == 1 {
			w.calls[i].Call = op.Return
		}
	}
	if v := w.judge(Limit); v.Result != porcupine.Illegal {
		t.Errorf("a grant that was made after the ending is dead: %s", v.Result)
	}
}

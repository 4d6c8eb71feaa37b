package fositedb_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"

	fositedb "github.com/oauthdb/oauthdb/adapters/fosite"
	"github.com/oauthdb/oauthdb/store"
)

// Eight parallel redemptions that have all seen the code as good: one answer has tokens, and the others end what it gave.
func TestParallelRedemptionsGiveOneAnswer(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.serve(kind)
			c := s.register()
			for range 3 {
				code := c.code()
				outcomes := map[string]int{}
				var given answer
				for _, a := range inParallel(8, func(int) answer { return c.redeem(code) }) {
					outcomes[a.str("error")]++
					if a.status == http.StatusOK {
						given = a
					}
				}
				if outcomes[""] != 1 || outcomes["invalid_grant"]+outcomes["server_error"] != 7 {
					t.Errorf("outcomes: %v", outcomes)
				}
				if outcomes["server_error"] > 0 && !strings.HasSuffix(name, "without Provider") {
					t.Errorf("a Provider tells a loser server_error: %v", outcomes)
				}
				c.wantActive(false, given.str("access_token"), given.str("refresh_token"))
			}
		})
	}
}

// The same with the library's own store: more than one answer has tokens. If this fails because only one has, the library has learnt it.
func TestTheLibrarysOwnStoreGivesMoreThanOneAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	memory := storage.NewMemoryStore()
	lookups := &gate{MemoryStore: memory, parties: 8, opened: [2]chan struct{}{make(chan struct{}), make(chan struct{})}}
	s := w.serve(func(h *how) {
		h.hmac, h.bare, h.storage = true, true, lookups
		// which the library sets itself at the first request, and unguarded
		h.config.ScopeStrategy, h.config.AudienceMatchingStrategy = fosite.ExactScopeStrategy, fosite.ExactAudienceMatchingStrategy
	})
	c := client{server: s, id: "public"}
	memory.Clients["public"] = &fosite.DefaultClient{
		ID: "public", Public: true, RedirectURIs: []string{redirectURI}, ResponseTypes: []string{"code"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid", "offline_access", "calendar"},
		Audience: []string{"https://api.example"},
	}
	code := c.code(func(f url.Values) {
		f.Del("code_challenge") // whose session the first one to redeem would delete
		f.Del("code_challenge_method")
		f.Set("scope", "offline_access calendar")
	})
	form := redemption(code)
	form.Del("code_verifier")
	form.Set("client_id", c.id)
	lookups.closed.Store(true)
	tokens := 0
	for _, a := range inParallel(8, func(int) answer { return c.post("/token", maps.Clone(form)) }) {
		if a.status == http.StatusOK {
			tokens++
		}
	}
	if tokens < 2 {
		t.Errorf("%d answers have tokens", tokens)
	}
}

func TestParallelRefreshesConvergeOnOneSuccessor(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][]func(*store.CreateClientParams){"confidential": nil, "public": {public}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.serve()
			c, resource := s.register(change...), s.register()
			current := c.login().str("refresh_token")
			for range 3 {
				successors := map[string]bool{}
				var access []string
				for _, a := range inParallel(8, func(int) answer { return c.refresh(current) }) {
					w.want("refresh", a, http.StatusOK, "")
					successors[a.str("refresh_token")] = true
					access = append(access, a.str("access_token"))
				}
				wantEqual(t, "successors", len(successors), 1)
				resource.wantActive(true, access...)
				for current = range successors {
				}
				resource.wantActive(true, current)
			}
		})
	}
}

func TestRetryConvergesWhileSuccessorKeysChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := []byte(strings.Repeat("s", 32))
	c := w.serve().register()
	first := c.login()
	second := c.refresh(first.str("refresh_token"))
	c.server = w.serve(func(h *how) { h.opts.SuccessorKeys = [][]byte{[]byte(strings.Repeat("t", 32)), old} })
	wantEqual(t, "successor", c.refresh(first.str("refresh_token")).str("refresh_token"), second.str("refresh_token"))
	c.server = w.serve(func(h *how) { h.opts.SuccessorKeys = [][]byte{[]byte(strings.Repeat("t", 32))} })
	if a := c.refresh(first.str("refresh_token")); a.status == http.StatusOK {
		t.Error("a retry is answered with a token that nobody has")
	}
	w.want("refresh of the successor", c.refresh(second.str("refresh_token")), http.StatusOK, "")
}

// In the strict mode one of eight parallel refreshes has tokens, and the others end the family (RFC 9700, section 4.14.2).
func TestStrictModeLetsOneRefreshWin(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]func(*how){
		"own tokens":                    func(h *how) { h.opts.SuccessorKeys = nil },
		"HMAC tokens":                   func(h *how) { h.hmac, h.opts.SuccessorKeys = true, nil },
		"HMAC tokens, without Provider": func(h *how) { h.hmac, h.bare, h.opts.SuccessorKeys = true, true, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.serve(kind).register()
			current := c.login()
			outcomes := map[string]int{}
			var given answer
			for _, a := range inParallel(8, func(int) answer { return c.refresh(current.str("refresh_token")) }) {
				outcomes[a.str("error")]++
				if a.status == http.StatusOK {
					given = a
				}
			}
			if outcomes[""] != 1 || outcomes["invalid_grant"]+outcomes["invalid_request"] != 7 {
				t.Errorf("outcomes: %v", outcomes)
			}
			c.wantActive(false, given.str("access_token"), given.str("refresh_token"), current.str("access_token"))
		})
	}
}

// What comes back too late ends the family, by the statement that refuses: the library rolls back, and that changes nothing.
func TestReplayEndsTheFamily(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.serve(kind)
			c, other, witness := s.register(), s.register(), s.register()
			code := c.code()
			first := c.redeem(code)
			// Another client, or somebody without the verifier, ends nothing.
			w.want("code of another client", other.redeem(code), http.StatusBadRequest, "invalid_grant")
			guess := redemption(code)
			guess.Set("code_verifier", strings.Repeat("w", 43))
			w.want("code without its verifier", c.post("/token", guess), http.StatusBadRequest, "invalid_grant")
			witness.wantActive(true, first.str("access_token"))
			w.want("code", c.redeem(code), http.StatusBadRequest, "invalid_grant")
			witness.wantActive(false, first.str("access_token"), first.str("refresh_token"))

			first = c.login()
			second := c.refresh(first.str("refresh_token"))
			third := c.refresh(second.str("refresh_token"))
			w.want("third", third, http.StatusOK, "")
			reuse := other.refresh(first.str("refresh_token"))
			wantEqual(t, "status of another client's reuse", reuse.status, http.StatusBadRequest)
			witness.wantActive(true, third.str("access_token"), third.str("refresh_token"))
			reuse = c.refresh(first.str("refresh_token"))
			code400 := "invalid_grant"
			if name == "own tokens, without Provider" {
				code400 = "invalid_request" // the library's word for what it learns at the end
			}
			w.want("reuse", reuse, http.StatusBadRequest, code400)
			witness.wantActive(false, first.str("access_token"), second.str("access_token"), third.str("access_token"), third.str("refresh_token"))
			if log := w.log.String(); !strings.Contains(log, "authorization code replayed") || !strings.Contains(log, "refresh token replayed") ||
				strings.Contains(log, code) || strings.Contains(log, first.str("refresh_token")) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// A ROLLBACK of the library's drops what was collected, and nothing else.
func TestRollbackDropsWhatWasCollected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	st, err := fositedb.New(w.db.Pool, fositedb.Options{})
	w.ok(err)
	ctx, err := st.BeginTX(w.ctx)
	w.ok(err)
	w.ok(st.InvalidateAuthorizeCodeSession(ctx, "code"))
	w.ok(st.CreateAccessTokenSession(ctx, "access", fosite.NewAccessRequest(fositedb.NewSession("", ""))))
	w.ok(st.Rollback(ctx))
	w.ok(st.Commit(ctx))
	wantEqual(t, "calls", w.calls.take(), []string{})
	// Half of it is not committed, and outside of a transaction there is none to collect it.
	w.ok(st.InvalidateAuthorizeCodeSession(ctx, "code"))
	if st.Commit(ctx) == nil || st.InvalidateAuthorizeCodeSession(w.ctx, "code") == nil || st.RotateRefreshToken(w.ctx, "id", "token") == nil ||
		st.CreateRefreshTokenSession(w.ctx, "refresh", "access", nil) == nil || st.Commit(w.ctx) == nil {
		t.Error("something is done by halves")
	}
	wantEqual(t, "calls", w.calls.take(), []string{})
}

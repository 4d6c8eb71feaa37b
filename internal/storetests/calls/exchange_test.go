package calls

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

type (
	exchange = func(*store.ExchangeTokenParams)
	grant    = func(*store.GrantAuthorizationParams)
)

// wantAct fails the test unless an act is what it should be.
func wantAct(t testing.TB, what string, got json.RawMessage, want string) {
	t.Helper()
	var g, w any
	if len(got) > 0 {
		if err := json.Unmarshal(got, &g); err != nil {
			t.Fatal(err)
		}
	}
	if want != "" {
		if err := json.Unmarshal([]byte(want), &w); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, what, asJSON(g), asJSON(w))
}

// own is a client that may exchange the tokens of its own grants.
func (w *world) own(change ...func(*store.CreateClientParams)) (store.ClientID, grant) {
	w.Helper()
	client := w.NewExchanger(append([]func(*store.CreateClientParams){func(p *store.CreateClientParams) {
		p.GrantTypes = append(p.GrantTypes, "authorization_code", "refresh_token", "client_credentials")
	}}, change...)...)
	return client, func(p *store.GrantAuthorizationParams) { p.ClientID = client }
}

// What another server knows the grant by goes on to the exchanged token. Where there is nothing, it is the family.
func TestExchangedTokenCarriesTheCodeOrElseTheFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	k := w.Redeem()
	for code, want := range map[string]string{"": string(k.Authorization), "theirs": "theirs"} {
		w.Exec(`UPDATE oauth_access_token SET authorization_code_id = nullif($2, '') WHERE token = $1`, string(fixture.Digest(k.Access)), code)
		_, access := w.Exchange(k.Access, api, store.OutcomeExchanged)
		if got := w.accessTokenOf(access).AuthorizationCodeID; got == nil || string(*got) != want {
			t.Errorf("it carries %v, want %s", got, want)
		}
	}
}

func TestExchangedTokenIsOfItsSubjectsFamilyAndOfItsOwnClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	k := w.Redeem()
	subject := w.accessTokenOf(k.Access)
	p, access := w.ExchangeParams(k.Access, api)
	p.Confirmation = &token.Confirmation{JKT: "key of the api"}
	var row store.ExchangeTokenRow
	w.changesRows(func() {
		var err error
		row, err = w.Q.ExchangeToken(w.Ctx, p)
		w.OK(err)
	}, accessRow("+", p.AccessTokenID))
	got := w.accessTokenOf(access)
	act := json.RawMessage(`{"sub": "` + string(api) + `"}`)
	wantAt(t, "expires_at", got.ExpiresAt, got.CreatedAt, time.Minute)
	wantEqual(t, "the token", got, store.OAuthAccessToken{
		ID: p.AccessTokenID, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, Token: p.AccessToken, ClientID: api, SessionID: &w.Session,
		UserID: &w.User, ExpiresAt: got.ExpiresAt, Scopes: subject.Scopes, Resources: subject.Resources, Confirmation: p.Confirmation,
		AuthorizationCodeID: &k.Authorization, AuthorizationID: &k.Authorization, Act: got.Act, ClientEpoch: new(int64(0)),
		PairEpoch: new(int64(0)), SubjectTokenID: &subject.ID,
	})
	wantAct(t, "act", got.Act, string(act))
	wantEqual(t, "the answer", row, store.ExchangeTokenRow{
		Outcome: store.OutcomeExchanged, AuthorizationID: &k.Authorization, UserID: &w.User, Sub: w.publicSubject(), SessionID: &w.Session, Scopes: subject.Scopes,
		Resources: subject.Resources, Act: got.Act, AuthTime: row.AuthTime, ExpiresAt: got.ExpiresAt,
	})
	i := w.introspectAccess(access)
	w.want("introspection", i.Outcome, store.OutcomeActive)
	wantEqual(t, "its client", *i.ClientID, api)
	wantEqual(t, "its user", *i.UserID, w.User)
	wantAct(t, "its act", i.Act, string(act))

	// by its id, as a JWT, without a digest of its own
	byID, _ := w.Exchange("", api, store.OutcomeExchanged, func(p *store.ExchangeTokenParams) {
		p.SubjectToken, p.SubjectTokenID, p.AccessToken = nil, &subject.ID, nil
	})
	wantEqual(t, "the family", byID.AuthorizationID, &k.Authorization)
}

func TestSameExchangeAgainIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	k := w.Redeem()
	p, access := w.ExchangeParams(k.Access, api)
	p.Proof, p.ProofExpiresAt = new(fixture.Digest("proof")), new(time.Now().Add(time.Minute))
	first, err := w.Q.ExchangeToken(w.Ctx, p)
	w.OK(err)
	w.want("the first", first.Outcome, store.OutcomeExchanged)
	w.Unchanged(func() {
		again, err := w.Q.ExchangeToken(w.Ctx, p)
		w.OK(err)
		want := first
		want.Outcome = store.OutcomeRetried
		wantEqual(t, "the same call", again, want)
		w.Exchange(k.Access, api, store.OutcomeProofReplayed, func(q *store.ExchangeTokenParams) { q.Proof, q.ProofExpiresAt = p.Proof, p.ProofExpiresAt })
	})
	w.WantLive(access)
	// the id of a token that was exchanged for another one, or not at all, is an error that names it
	_, other := w.Rotate(k.Refresh, store.OutcomeRotated)
	another := w.NewExchanger()
	for name, change := range map[string]func(*store.ExchangeTokenParams){
		"another subject": func(q *store.ExchangeTokenParams) { q.SubjectToken = new(fixture.Digest(other)) },
		"another digest":  func(q *store.ExchangeTokenParams) { q.AccessToken = new(fixture.Digest("another digest")) },
		"another client":  func(q *store.ExchangeTokenParams) { q.ClientID = another },
		"no exchange":     func(q *store.ExchangeTokenParams) { q.AccessTokenID = w.accessTokenOf(other).ID },
	} {
		w.refused(func() {
			q := p
			q.Proof = nil
			change(&q)
			if _, err := w.Q.ExchangeToken(w.Ctx, q); pgErrorOf(err).Code != "22023" || !strings.Contains(err.Error(), "AccessTokenID") {
				t.Errorf("%s: %v, want an error that names AccessTokenID", name, err)
			}
		})
	}
}

// A client presents what was issued to it or, if it can keep a secret, what is meant for it (RFC 8693, section 2.1).
func TestClientExchangesItsOwnTokensAndThoseForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	own, granted := w.own()
	public := w.NewExchanger(func(p *store.CreateClientParams) { p.Public = new(true) })
	none := func(p *store.ExchangeTokenParams) { p.ClientResources = nil }
	other := func(p *store.ExchangeTokenParams) { p.ClientResources = []string{"https://other.example"} }
	of := func(resources ...string) string {
		return w.Redeem(func(p *store.GrantAuthorizationParams) { p.Resources, p.DefaultResources = resources, resources }).Access
	}
	elsewhere := of("https://x.example")
	for _, c := range []struct {
		name    string
		subject string
		client  store.ClientID
		change  exchange
		want    store.Outcome
	}{
		{"its own", w.Redeem(granted).Access, own, none, store.OutcomeExchanged},
		{"another's, of whose resources it serves one", of("https://x.example", fixture.Resource), api, func(*store.ExchangeTokenParams) {}, store.OutcomeExchanged},
		{"another's, whose audience it is by name", of(string(api)), api, none, store.OutcomeExchanged},
		{"another's, and the server doesn't say what it serves", of(fixture.Resource), api, none, store.OutcomeUnknown},
		{"another's, for other resources", of(fixture.Resource), api, other, store.OutcomeUnknown},
		{"another's, for no resource", of(), api, func(*store.ExchangeTokenParams) {}, store.OutcomeUnknown},
		{"another's, for it, if it is public", of(fixture.Resource), public, func(*store.ExchangeTokenParams) {}, store.OutcomeUnknown},
		{"no token", "none", api, func(*store.ExchangeTokenParams) {}, store.OutcomeUnknown},
		{"nothing", "", api, func(p *store.ExchangeTokenParams) { p.SubjectToken = nil }, store.OutcomeUnknown},
		{"an actor token that doesn't exist", of(fixture.Resource), api, func(p *store.ExchangeTokenParams) { p.ActorToken = new(fixture.Digest("none")) }, store.OutcomeUnknown},
		{"an actor token of another client", of(fixture.Resource), api, func(p *store.ExchangeTokenParams) { p.ActorToken = new(fixture.Digest(elsewhere)) }, store.OutcomeUnknown},
		{"a client's own token", w.issue("machine's", store.OutcomeIssued), w.machine(), none, store.OutcomeUnauthorizedClient},
		{"a client's own token, by a client of the grant type", w.issue("own's", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) {
			p.ClientID, p.Scopes = own, []string{"openid"}
		}), own, none, store.OutcomeUnsupportedTokenType},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			if c.want == store.OutcomeExchanged {
				w.Exchange(c.subject, c.client, c.want, c.change)
				return
			}
			w.Unchanged(func() {
				r, _ := w.Exchange(c.subject, c.client, c.want, c.change)
				wantEqual(t, "the answer", r, store.ExchangeTokenRow{Outcome: c.want})
			})
		})
	}
	subject := of(fixture.Resource)
	w.Unchanged(func() {
		w.Exchange(subject, api, store.OutcomeUnauthenticated, func(p *store.ExchangeTokenParams) { p.ClientAuthMethod = "" })
	})
	w.disable(api)
	w.Unchanged(func() { w.Exchange(subject, api, store.OutcomeDisabled) })
}

// The token that is presented is the ceiling, not its family (RFC 8693, section 1.1; RFC 6749, section 3.3).
func TestExchangeNarrowsTheTokenPresented(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	poor := w.NewExchanger(func(p *store.CreateClientParams) { p.Scopes = []string{"email", "admin"} })
	unsaid := w.NewExchanger(func(p *store.CreateClientParams) { p.Scopes = nil })
	family := w.Redeem(func(p *store.GrantAuthorizationParams) {
		p.GrantedScopes = []string{"openid", "email", "offline_access", "calendar"}
	})
	_, subject := w.Rotate(family.Refresh, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) {
		p.Scopes, p.Resources = []string{"openid", "email"}, []string{fixture.Resource}
	})
	const details = `[{"type": "pay", "amount": "500"}, {"type": "read"}]`
	w.Exec(`UPDATE oauth_access_token SET authorization_details = $2 WHERE token = $1`, string(fixture.Digest(subject)), details)
	asks := func(scopes, resources []string, details string) exchange {
		return func(p *store.ExchangeTokenParams) {
			p.Scopes, p.Resources = scopes, resources
			if details != "" {
				p.AuthorizationDetails = json.RawMessage(details)
			}
		}
	}
	for _, c := range []struct {
		name   string
		client store.ClientID
		change exchange
		want   store.Outcome
		scopes []string
	}{
		{"all", api, asks(nil, nil, ""), store.OutcomeExchanged, []string{"openid", "email"}},
		{"some, doubled", api, asks([]string{"email", "email"}, nil, ""), store.OutcomeExchanged, []string{"email"}},
		{"what the family has and the token doesn't", api, asks([]string{"calendar"}, nil, ""), store.OutcomeInvalidScope, nil},
		{"what nobody granted", api, asks([]string{"admin"}, nil, ""), store.OutcomeInvalidScope, nil},
		{"what the client may not ask for, unnamed", poor, asks(nil, nil, ""), store.OutcomeExchanged, []string{"email"}},
		{"what the client may not ask for, by name", poor, asks([]string{"openid"}, nil, ""), store.OutcomeInvalidScope, nil},
		{"by a client without registered scopes or a default", unsaid, asks(nil, nil, ""), store.OutcomeExchanged, []string{}},
		{"by a client without registered scopes, within the default", unsaid, func(p *store.ExchangeTokenParams) {
			p.DefaultScopes = []string{"openid", "admin"}
		}, store.OutcomeExchanged, []string{"openid"}},
		{"its resource", api, asks(nil, []string{fixture.Resource}, ""), store.OutcomeExchanged, []string{"openid", "email"}},
		{"a resource of the family", api, asks(nil, []string{"https://files.example"}, ""), store.OutcomeInvalidTarget, nil},
		{"one of the details", api, asks(nil, nil, `[{"type": "read"}]`), store.OutcomeExchanged, []string{"openid", "email"}},
		{"the details, in another order", api, asks(nil, nil, `[{"type": "read"}, {"amount": "500", "type": "pay"}]`), store.OutcomeExchanged, []string{"openid", "email"}},
		{"no details", api, asks(nil, nil, `[]`), store.OutcomeExchanged, []string{"openid", "email"}},
		{"a detail without its limit", api, asks(nil, nil, `[{"type": "pay"}]`), store.OutcomeInvalidAuthorizationDetails, nil},
		{"another limit", api, asks(nil, nil, `[{"type": "pay", "amount": "501"}]`), store.OutcomeInvalidAuthorizationDetails, nil},
		{"details that are no list", api, asks(nil, nil, `{"type": "read"}`), store.OutcomeInvalidAuthorizationDetails, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			if c.want != store.OutcomeExchanged {
				w.Unchanged(func() { w.Exchange(subject, c.client, c.want, c.change) })
				return
			}
			r, access := w.Exchange(subject, c.client, c.want, c.change)
			slices.Sort(r.Scopes)
			want := slices.Sorted(slices.Values(c.scopes))
			if !slices.Equal(r.Scopes, want) {
				t.Errorf("scopes %q, want %q", r.Scopes, want)
			}
			wantEqual(t, "the token's resources", w.accessTokenOf(access).Resources, []string{fixture.Resource})
		})
	}
	_, without := w.Exchange(subject, api, store.OutcomeExchanged, asks(nil, nil, `[]`))
	w.Unchanged(func() {
		w.Exchange(without, api, store.OutcomeInvalidAuthorizationDetails, asks(nil, nil, `[{"type": "read"}]`))
	})
	_, doubled := w.Exchange(subject, api, store.OutcomeExchanged, asks(nil, nil, `[{"type": "read"}, {"type": "read"}]`))
	wantEqual(t, "details are a set", string(w.accessTokenOf(doubled).AuthorizationDetails), `[{"type": "read"}]`)
	// from nothing, nothing
	_, granted := w.own()
	client := w.NewExchanger(func(p *store.CreateClientParams) {
		p.GrantTypes = append(p.GrantTypes, "authorization_code", "refresh_token")
	})
	bare := w.Redeem(granted, func(p *store.GrantAuthorizationParams) { p.ClientID, p.Resources = client, nil })
	w.Unchanged(func() {
		w.Exchange(bare.Access, client, store.OutcomeInvalidTarget, asks(nil, []string{fixture.Resource}, ""))
	})
}

// The end of an exchanged token is computed once: the least of what was asked for, the subject token, the family, a bound family's session
// and the client.
func TestExchangedTokenEndsNoLaterThanItsSubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	short := w.NewExchanger(func(p *store.CreateClientParams) { p.AccessTokenLifetime = new(20 * time.Second) })
	bound := w.Redeem(online)
	unbound := w.Redeem()
	lasts := func(subject string, client store.ClientID, asked time.Duration) time.Duration {
		r, _ := w.Exchange(subject, client, store.OutcomeExchanged, func(p *store.ExchangeTokenParams) { p.AccessTokenLifetime = asked })
		if r.ExpiresAt == nil {
			return store.Never
		}
		return time.Until(*r.ExpiresAt).Round(time.Second)
	}
	want := func(what string, got, want time.Duration) {
		t.Helper()
		if (got - want).Abs() > 2*time.Second {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	set := func(subject, interval string) {
		w.Exec(`UPDATE oauth_access_token SET expires_at = now() + $2::interval WHERE token = $1`, string(fixture.Digest(subject)), interval)
	}
	want("the subject token's, at most", lasts(unbound.Access, api, time.Hour), 5*time.Minute)
	set(unbound.Access, "30 seconds")
	want("a subject token that ends soon", lasts(unbound.Access, api, time.Hour), 30*time.Second)
	want("asked for less", lasts(unbound.Access, api, 10*time.Second), 10*time.Second)
	want("the client's bound", lasts(unbound.Access, short, time.Hour), 20*time.Second)
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE token = ANY ($1)`, []string{string(fixture.Digest(unbound.Access)), string(fixture.Digest(bound.Access))})
	w.Exec(`UPDATE oauth_authorization SET max_expires_at = now() + interval '10 minutes' WHERE id = $1`, string(unbound.Authorization))
	want("a subject token without end, in a family that ends", lasts(unbound.Access, api, time.Hour), 10*time.Minute)
	want("the same, and none asked for", lasts(unbound.Access, api, store.Never), 10*time.Minute)
	w.Exec(`UPDATE session SET expires_at = now() + interval '3 minutes' WHERE id = $1`, string(w.Session))
	want("a bound family's session", lasts(bound.Access, api, time.Hour), 3*time.Minute)
	w.Exec(`UPDATE oauth_authorization SET max_expires_at = NULL WHERE id = $1`, string(unbound.Authorization))
	want("no end anywhere", lasts(unbound.Access, api, store.Never), store.Never)
	set(unbound.Access, "0 seconds")
	w.Unchanged(func() { w.Exchange(unbound.Access, api, store.OutcomeExpired) })
}

// A chain ends with its root, at any depth (what is exchanged is of the family), and with the client that holds it.
func TestExchangedTokenEndsWithItsFamilyAndItsClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	b, c := w.NewExchanger(), w.NewExchanger()
	pass := func(p *store.ExchangeTokenParams) { p.ClientResources = []string{fixture.Resource} }
	for name, end := range map[string]struct {
		do    func(family fixture.Tokens)
		alive [3]bool // the subject token, what b got for it, what c got for that
		again store.Outcome
	}{
		"the family is revoked": {func(k fixture.Tokens) {
			_, err := w.Q.RevokeAuthorization(w.Ctx, k.Authorization)
			w.OK(err)
		}, [3]bool{}, store.OutcomeRevoked},
		"the refresh token is revoked": {func(k fixture.Tokens) { w.revokeRaw(k.Refresh, w.Client) }, [3]bool{}, store.OutcomeRevoked},
		"the subject token alone is revoked": {func(k fixture.Tokens) {
			w.revokeRaw(k.Access, w.Client)
		}, [3]bool{false, true, true}, store.OutcomeExchanged},
		"b is disabled": {func(fixture.Tokens) { w.disable(b) }, [3]bool{true, false, true}, store.OutcomeRevoked},
		"b's grants are ended": {func(fixture.Tokens) {
			w.want("RevokeClientAuthorizations", w.outcome(w.Q.RevokeClientAuthorizations(w.Ctx, b)), store.OutcomeEnded)
		}, [3]bool{true, false, true}, store.OutcomeRevoked},
		"the user's grants to b are ended": {func(fixture.Tokens) {
			w.want("RevokeUserAuthorizationsByClient", w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{
				UserID: w.User, ClientID: b,
			})), store.OutcomeEnded)
		}, [3]bool{true, false, true}, store.OutcomeRevoked},
	} {
		k := w.Redeem()
		_, atB := w.Exchange(k.Access, b, store.OutcomeExchanged, pass)
		_, atC := w.Exchange(atB, c, store.OutcomeExchanged, pass)
		w.WantLive(k.Access, atB, atC)
		end.do(k)
		for i, raw := range []string{k.Access, atB, atC} {
			if w.Live(raw) != end.alive[i] {
				t.Errorf("%s: token %d of the chain is live: %t", name, i, !end.alive[i])
			}
		}
		w.Exchange(atB, c, end.again, pass)
		_, err := w.Q.EnableClient(w.Ctx, b)
		w.OK(err)
	}
}

// What is registered for the client that exchanges counts as at a refresh: what it has lost drops out, and is refused by name.
func TestExchangeLeavesOutWhatTheClientHasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	own, granted := w.own()
	subject := w.Redeem(granted).Access
	w.Exec(`UPDATE oauth_access_token SET authorization_details = '[{"type": "pay"}, {"type": "read"}]' WHERE token = $1`, string(fixture.Digest(subject)))
	keeps := func(resources, types []string) {
		t.Helper()
		_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: own, Resources: resources, AuthorizationDetailsTypes: types})
		w.OK(err)
	}
	asks := func(resource, details string) exchange {
		return func(p *store.ExchangeTokenParams) {
			if resource != "" {
				p.Resources = []string{resource}
			}
			if details != "" {
				p.AuthorizationDetails = json.RawMessage(details)
			}
		}
	}
	r, _ := w.Exchange(subject, own, store.OutcomeExchanged)
	wantEqual(t, "resources, while none are registered", r.Resources, fixture.Resources)
	lost, kept := fixture.Resources[0], fixture.Resources[1]
	keeps([]string{kept}, []string{"read"})
	r, access := w.Exchange(subject, own, store.OutcomeExchanged)
	for what, got := range map[string]store.OAuthAccessToken{"the answer": {Resources: r.Resources, AuthorizationDetails: r.AuthorizationDetails}, "the token": w.accessTokenOf(access)} {
		wantEqual(t, "resources of "+what, got.Resources, []string{kept})
		wantEqual(t, "details of "+what, string(got.AuthorizationDetails), `[{"type": "read"}]`)
	}
	w.Exchange(subject, own, store.OutcomeExchanged, asks(kept, `[{"type": "read"}]`))
	w.Unchanged(func() {
		w.Exchange(subject, own, store.OutcomeInvalidTarget, asks(lost, ""))
		w.Exchange(subject, own, store.OutcomeInvalidAuthorizationDetails, asks("", `[{"type": "pay"}]`))
		w.Exchange(subject, own, store.OutcomeInvalidAuthorizationDetails, asks("", `[{"type": "pay"}]`), func(p *store.ExchangeTokenParams) {
			p.ComparedTypes = []string{"pay"}
		})
		w.Exchange(subject, own, store.OutcomeInvalidAuthorizationDetails, asks("", `{"type": "read"}`))
	})
	// a token without resources would be good at any of them
	keeps([]string{}, []string{})
	w.Unchanged(func() { w.Exchange(subject, own, store.OutcomeInvalidTarget) })
}

// A client with pairwise subjects isn't told the id of the user who acts, either (OpenID Connect Core, section 8).
func TestActorIsNamedByTheSubjectThatTheClientKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	pairwise := func(p *store.CreateClientParams) { p.SubjectType = new("pairwise") }
	own, granted := w.own(pairwise)
	api := w.NewExchanger(pairwise)
	of := func(user store.UserID) fixture.Tokens {
		session := w.NewSession(user)
		return w.Redeem(granted, func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = user, &session })
	}
	users := []store.UserID{w.NewUser(), w.NewUser()}
	for _, pair := range [][2]store.UserID{{users[0], users[1]}, {users[1], users[0]}, {users[0], users[0]}} {
		subject, actor := of(pair[0]), of(pair[1])
		for _, client := range []store.ClientID{own, api} {
			r, _ := w.Exchange(subject.Access, client, store.OutcomeExchanged, func(p *store.ExchangeTokenParams) { p.ActorToken = new(fixture.Digest(actor.Access)) })
			known := func(user store.UserID) string {
				var s string
				w.OK(w.Pool.QueryRow(w.Ctx, `SELECT known_subject($1, $2)`, string(client), string(user)).Scan(&s))
				return s
			}
			wantEqual(t, "sub", string(*r.Sub), known(pair[0]))
			wantAct(t, "act", r.Act, `{"sub": "`+known(pair[1])+`"}`)
			if strings.Contains(string(r.Act)+string(*r.Sub), string(pair[0])) || strings.Contains(string(r.Act), string(pair[1])) {
				t.Errorf("the id of a user is told: %s, %s", *r.Sub, r.Act)
			}
		}
	}
}

func TestNewActorIsOutermost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api, second := w.NewExchanger(), w.NewExchanger()
	own, granted := w.own()
	k := w.Redeem()
	sub := func(id ...any) string {
		act := ""
		for _, i := range slices.Backward(id) {
			if act != "" {
				act = `, "act": ` + act
			}
			act = `{"sub": "` + asText(i) + `"` + act + `}`
		}
		return act
	}
	r, first := w.Exchange(k.Access, api, store.OutcomeExchanged)
	wantAct(t, "the client that presents it", r.Act, sub(api))
	r, both := w.Exchange(first, second, store.OutcomeExchanged)
	wantAct(t, "the next client", r.Act, sub(second, api))
	r, _ = w.Exchange(both, api, store.OutcomeExchanged, func(p *store.ExchangeTokenParams) { p.Impersonate = true })
	wantAct(t, "impersonated: who acted before is not forgotten", r.Act, sub(second, api))
	r, _ = w.Exchange(k.Access, api, store.OutcomeExchanged, func(p *store.ExchangeTokenParams) { p.Impersonate = true })
	wantAct(t, "impersonated", r.Act, "")
	r, narrowed := w.Exchange(w.Redeem(granted).Access, own, store.OutcomeExchanged)
	wantAct(t, "narrowed by its own client", r.Act, "")

	// an actor token: of a user, or of a client alone
	admin := w.NewUser()
	session := w.NewSession(admin)
	adminToken := w.Redeem(granted, func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = admin, &session })
	as := func(raw string) exchange {
		return func(p *store.ExchangeTokenParams) { p.ActorToken = new(fixture.Digest(raw)) }
	}
	r, _ = w.Exchange(narrowed, own, store.OutcomeExchanged, as(adminToken.Access))
	wantAct(t, "a user", r.Act, sub(admin))
	service := w.issue("service", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.ClientID, p.Scopes = own, nil })
	r, acted := w.Exchange(both, own, store.OutcomeExchanged, as(service))
	wantAct(t, "a client", r.Act, sub(own, second, api))
	r, _ = w.Exchange(both, own, store.OutcomeExchanged, as(service), func(p *store.ExchangeTokenParams) { p.Impersonate = true })
	wantAct(t, "an actor token can't be left out", r.Act, sub(own, second, api))
	w.WantLive(acted)

	// dead actors
	w.Unchanged(func() {
		w.Exchange("none", own, store.OutcomeUnknown, as(service))
	})
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() WHERE token = $1`, string(fixture.Digest(service)))
	w.Unchanged(func() { w.Exchange(both, own, store.OutcomeExpired, as(service)) })
	w.suspend(admin)
	w.Unchanged(func() { w.Exchange(both, own, store.OutcomeRevoked, as(adminToken.Access)) })

	// 16 at most
	raw := k.Access
	for i := range 16 {
		client := []store.ClientID{api, second}[i%2]
		_, raw = w.Exchange(raw, client, store.OutcomeExchanged)
	}
	w.Unchanged(func() { w.Exchange(raw, api, store.OutcomeTooManyActors) })
	w.Exchange(raw, api, store.OutcomeExchanged, func(p *store.ExchangeTokenParams) { p.Impersonate = true })
}

func asText(id any) string {
	switch id := id.(type) {
	case store.ClientID:
		return string(id)
	case store.UserID:
		return string(id)
	}
	panic("no id")
}

// may_act names who may act (RFC 8693, section 4.4): whoever it doesn't name is refused.
func TestMayActNamesTheActor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api, other := w.NewExchanger(), w.NewExchanger()
	own, granted := w.own()
	may := func(id store.AuthorizationID, who string) {
		w.Exec(`UPDATE oauth_authorization SET may_act = $2 WHERE id = $1`, string(id), who)
	}
	k := w.Redeem()
	may(k.Authorization, `{"sub": "`+string(api)+`"}`)
	_, passed := w.Exchange(k.Access, api, store.OutcomeExchanged)
	w.Unchanged(func() {
		w.Exchange(k.Access, other, store.OutcomeMismatched)
		w.Exchange(passed, other, store.OutcomeMismatched) // it is the family's, so what was exchanged has it too
	})
	may(k.Authorization, `{"sub": "`+string(api)+`", "client_id": "`+string(api)+`"}`)
	w.Exchange(k.Access, api, store.OutcomeExchanged)
	for _, who := range []string{
		`{}`, `{"sub": "` + string(api) + `", "iss": "https://elsewhere.example"}`, `{"client_id": "` + string(other) + `", "sub": "` + string(api) + `"}`,
		`{"sub": ["` + string(api) + `"]}`,
	} {
		may(k.Authorization, who)
		w.Unchanged(func() {
			w.Exchange(k.Access, api, store.OutcomeMismatched)
			w.Exchange(k.Access, api, store.OutcomeMismatched, func(p *store.ExchangeTokenParams) { p.Impersonate = true })
		})
	}
	// the user of an actor token
	admin := w.NewUser()
	session := w.NewSession(admin)
	of := func(user store.UserID, s store.SessionID) string {
		return w.Redeem(granted, func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = user, &s }).Access
	}
	mine := w.Redeem(granted)
	may(mine.Authorization, `{"sub": "`+string(admin)+`"}`)
	by := func(raw string) exchange {
		return func(p *store.ExchangeTokenParams) { p.ActorToken = new(fixture.Digest(raw)) }
	}
	w.Exchange(mine.Access, own, store.OutcomeExchanged, by(of(admin, session)))
	w.Unchanged(func() { w.Exchange(mine.Access, own, store.OutcomeMismatched) })
	w.Exchange(mine.Access, own, store.OutcomeMismatched, by(of(w.User, w.Session)))
	// a token's own may_act counts before the family's, and is handed on
	next := w.Redeem()
	_, limited := w.Exchange(next.Access, api, store.OutcomeExchanged, func(p *store.ExchangeTokenParams) {
		p.MayAct = json.RawMessage(`{"sub": "` + string(other) + `"}`)
	})
	w.Unchanged(func() { w.Exchange(limited, api, store.OutcomeMismatched) })
	_, handed := w.Exchange(limited, other, store.OutcomeExchanged)
	w.Unchanged(func() { w.Exchange(handed, api, store.OutcomeMismatched) })
}

// A token that is bound to a key is exchanged by its client only with that key. Who else gets it can't have the key.
func TestExchangeOfABoundToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	own, granted := w.own()
	bound := w.NewExchanger(func(p *store.CreateClientParams) {})
	w.Exec(`UPDATE oauth_client SET dpop_bound_access_tokens = true WHERE client_id = $1`, string(bound))
	key, other := &token.Confirmation{JKT: "key"}, &token.Confirmation{JKT: "another"}
	with := func(c *token.Confirmation) exchange { return func(p *store.ExchangeTokenParams) { p.Confirmation = c } }
	k := w.Redeem(granted, func(p *store.GrantAuthorizationParams) { p.Confirmation = key })
	w.Unchanged(func() {
		w.Exchange(k.Access, own, store.OutcomeMismatched)
		w.Exchange(k.Access, own, store.OutcomeMismatched, with(other))
		w.Exchange(k.Access, bound, store.OutcomeMismatched)
		w.Exchange(k.Access, bound, store.OutcomeMismatched, with(&token.Confirmation{X5TS256: "certificate"}))
	})
	_, access := w.Exchange(k.Access, own, store.OutcomeExchanged, with(key))
	wantEqual(t, "its key", w.accessTokenOf(access).Confirmation, key)
	_, access = w.Exchange(k.Access, api, store.OutcomeExchanged, with(other))
	wantEqual(t, "the key of the api", w.accessTokenOf(access).Confirmation, other)
	_, access = w.Exchange(k.Access, api, store.OutcomeExchanged)
	wantEqual(t, "no key", w.accessTokenOf(access).Confirmation, nil)
	w.Exchange(k.Access, bound, store.OutcomeExchanged, with(other))
}

// The subject of an exchanged token is that by which its own client knows the user, which is no pairwise one for a public subject.
func TestExchangedTokenNamesTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.Resources = []string{fixture.Resource} })
	_, access := w.Exchange(k.Access, w.NewExchanger(), store.OutcomeExchanged)
	wantEqual(t, "sub", w.introspectAccess(access).Sub, w.publicSubject())
}

package calls

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// The port of a registered loopback address is free, and nothing else of any address (RFC 8252, section 7.3; RFC 9700, section 2.1).
func TestRedirectURIIsARegisteredOneButForALoopbackPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	const web, v4, v6, name = "https://client.example/cb", "http://127.0.0.1/cb", "http://[::1]:8080/cb?a=b", "http://localhost/cb"
	for _, c := range []struct {
		registered []string
		asked      string
		fits       bool
	}{
		{[]string{web}, web, true},
		{[]string{"https://a.example/", web}, web, true},
		{[]string{"com.example.app:/cb"}, "com.example.app:/cb", true},
		{[]string{web}, "", false},
		{[]string{}, web, false},
		{[]string{web}, web + "/", false},
		{[]string{web}, web + "?a=b", false},
		{[]string{web}, web + "#", false},
		{[]string{web + "#x"}, web + "#x", false},
		{[]string{web}, "https://client.example:8443/cb", false},
		{[]string{web}, "https://client.example:443/cb", false},
		{[]string{web}, "https://CLIENT.example/cb", false},
		{[]string{web}, "HTTPS://client.example/cb", false},
		{[]string{web}, "https://client.example./cb", false},
		{[]string{web}, "https://client.example/%63b", false},
		{[]string{web}, "https://client.example/x/../cb", false},
		{[]string{web}, "https://client.example/cb\n", false},
		{[]string{web}, "https://client.exаmple/cb", false}, // a Cyrillic letter
		{[]string{web}, "https://client%.example/cb", false},

		{[]string{v4}, v4, true},
		{[]string{v4}, "http://127.0.0.1:1/cb", true},
		{[]string{v4}, "http://127.0.0.1:65535/cb", true},
		{[]string{"http://127.0.0.1:8080/cb"}, v4, true},
		{[]string{"http://127.0.0.1:8080/cb"}, "http://127.0.0.1:9/cb", true},
		{[]string{"http://127.0.0.1:0/cb"}, "http://127.0.0.1:9/cb", true},
		{[]string{web, name, v4}, "http://127.0.0.1:9/cb", true},
		{[]string{v6}, "http://[::1]:9/cb?a=b", true},
		{[]string{v6}, "http://[::1]/cb?a=b", true},
		{[]string{name}, "http://localhost:9/cb", true},
		{[]string{"http://127.0.0.1"}, "http://127.0.0.1:9", true},
		{[]string{"http://127.0.0.1?a"}, "http://127.0.0.1:9?a", true},
		{[]string{v4}, "http://localhost:9/cb", false},
		{[]string{v4}, "http://[::1]:9/cb", false},
		{[]string{name}, "http://127.0.0.1:9/cb", false},
		{[]string{name}, "http://LOCALHOST:9/cb", false},
		{[]string{name}, "http://localhost.:9/cb", false},
		{[]string{name}, "http://localhost.evil.example:9/cb", false},
		{[]string{name}, "http://sub.localhost:9/cb", false},
		{[]string{v4}, "https://127.0.0.1:9/cb", false},
		{[]string{"https://127.0.0.1/cb"}, "http://127.0.0.1:9/cb", false},
		{[]string{"https://127.0.0.1/cb"}, "https://127.0.0.1:9/cb", false},
		{[]string{v4}, "HTTP://127.0.0.1:9/cb", false},
		{[]string{v4}, "http://127.0.0.1:9/cb#x", false},
		{[]string{v4}, "http://127.0.0.1:9/cb#", false},
		{[]string{v4}, "http://a@127.0.0.1:9/cb", false},
		{[]string{v4}, "http://127.0.0.1:9@evil.example/cb", false},
		{[]string{v4}, "http://127.0.0.1:80@evil.example/cb", false},
		{[]string{v4}, "http://127.0.0.1@evil.example/cb", false},
		{[]string{v4}, "http://127.0.0.1:9\\@evil.example/cb", false},
		{[]string{v4}, "http://127.0.0.1\\.evil.example/cb", false},
		{[]string{v4}, "http://127.0.0.1.evil.example/cb", false},
		{[]string{v4}, "http://127.0.0.10:9/cb", false},
		{[]string{v4}, "http://127.0.0.2:9/cb", false},
		{[]string{v4}, "http://127.1:9/cb", false},
		{[]string{v4}, "http://2130706433:9/cb", false},
		{[]string{v4}, "http://0.0.0.0:9/cb", false},
		{[]string{v4}, "http://127x0x0x1:9/cb", false},
		{[]string{v4}, "http://127.0.0.1:/cb", false},
		{[]string{v4}, "http://127.0.0.1:0/cb", false},
		{[]string{v4}, "http://127.0.0.1:65536/cb", false},
		{[]string{v4}, "http://127.0.0.1:99999/cb", false},
		{[]string{v4}, "http://127.0.0.1:100000/cb", false},
		{[]string{v4}, "http://127.0.0.1:080/cb", false},
		{[]string{v4}, "http://127.0.0.1:-9/cb", false},
		{[]string{v4}, "http://127.0.0.1:+9/cb", false},
		{[]string{v4}, "http://127.0.0.1: 9/cb", false},
		{[]string{v4}, "http://127.0.0.1:9 /cb", false},
		{[]string{v4}, "http://127.0.0.1:9x/cb", false},
		{[]string{v4}, "http://127.0.0.1:%39/cb", false},
		{[]string{v4}, "http://127.0.0.1:٩/cb", false}, // an Arabic digit
		{[]string{v4}, "http://127.0.0.1:9:9/cb", false},
		{[]string{v4}, "http://127.0.0.1:9/cb/", false},
		{[]string{v4}, "http://127.0.0.1:9/CB", false},
		{[]string{v4}, "http://127.0.0.1:9//cb", false},
		{[]string{v4}, "http://127.0.0.1:9/%63b", false},
		{[]string{v4}, "http://127.0.0.1:9/cb?a=b", false},
		{[]string{v4}, "http://127.0.0.1:9/cb\n", false},
		{[]string{v4}, "\nhttp://127.0.0.1:9/cb", false},
		{[]string{v4}, " http://127.0.0.1:9/cb", false},
		{[]string{v4}, "http://127.0.0.1:9", false},
		{[]string{v6}, "http://[::1]:9/cb", false},
		{[]string{v6}, "http://[0:0:0:0:0:0:0:1]:9/cb?a=b", false},
		{[]string{v6}, "http://::1:9/cb?a=b", false},
		{[]string{"http://127.0.0.1.evil.example/cb"}, "http://127.0.0.1:9/cb", false},
		{[]string{"http://127.0.0.1:9x/cb"}, "http://127.0.0.1:9/cb", false},
		{[]string{"http://client.example/cb"}, "http://client.example:9/cb", false},
		{[]string{"http://192.168.0.1/cb"}, "http://192.168.0.1:9/cb", false},
	} {
		var resolved *string
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT resolve_redirect_uri($1, $2)`, c.asked, c.registered).Scan(&resolved))
		if fits := resolved != nil; fits != c.fits || fits && *resolved != c.asked {
			t.Errorf("%q of a client with %q: resolved to %v, want it to fit: %t", c.asked, c.registered, resolved, c.fits)
		}
	}
	for want, registered := range map[string][]string{
		web: {web}, v4: {v4, v4}, "": {web, v4}, "none": {}, "a fragment": {web + "#x"},
	} {
		var resolved *string
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT resolve_redirect_uri(NULL, $1)`, registered).Scan(&resolved))
		if only := len(want) > 10; only != (resolved != nil) || only && *resolved != want {
			t.Errorf("none of a client with %q: resolved to %v, want %q", registered, resolved, want)
		}
	}
}

// judgement is a request and what comes of it, by whichever call.
type judgement struct {
	name   string
	client func(*store.CreateClientParams)
	set    string // columns of the client
	change func(*store.CreateAuthorizationParams)
	pushed bool
	want   store.Outcome // empty: nothing is amiss
	// what the answer says
	noRedirect                      bool
	refusedScopes, refusedResources []string
}

var judgements = []judgement{
	{name: "as it should be"},
	{name: "nothing asked for", change: func(p *store.CreateAuthorizationParams) { p.Scopes, p.Resources = nil, nil }},
	{
		name: "an unknown client", want: store.OutcomeUnknown, noRedirect: true,
		change: func(p *store.CreateAuthorizationParams) { p.ClientID = "unknown" },
	},
	{name: "a disabled client", set: "disabled = true", want: store.OutcomeDisabled, noRedirect: true},
	{name: "a deleted client", set: "disabled = true, deleted_at = now()", want: store.OutcomeUnknown, noRedirect: true},
	{
		name: "another redirect URI", want: store.OutcomeRedirectURIMismatched, noRedirect: true,
		change: func(p *store.CreateAuthorizationParams) { p.RedirectURI = new(fixture.RedirectURI + "/") },
	},
	{
		name: "an empty redirect URI", want: store.OutcomeRedirectURIMismatched, noRedirect: true,
		change: func(p *store.CreateAuthorizationParams) { p.RedirectURI = new("") },
	},
	{name: "no redirect URI, and one is registered", change: func(p *store.CreateAuthorizationParams) { p.RedirectURI = nil }},
	{
		name: "no redirect URI, and two are registered", want: store.OutcomeRedirectURIMismatched, noRedirect: true,
		client: func(p *store.CreateClientParams) {
			p.RedirectURIs = []string{fixture.RedirectURI, "https://client.example/other"}
		},
		change: func(p *store.CreateAuthorizationParams) { p.RedirectURI = nil },
	},
	{name: "a request that has to be pushed", set: "require_pushed_authorization_requests = true", want: store.OutcomeRequestMustBePushed},
	{name: "a request that has to be pushed, and is", set: "require_pushed_authorization_requests = true", pushed: true},
	{
		name: "no response type", want: store.OutcomeUnsupportedResponseType,
		change: func(p *store.CreateAuthorizationParams) { p.ResponseType = nil },
	},
	{
		name: "an empty response type", want: store.OutcomeUnsupportedResponseType,
		change: func(p *store.CreateAuthorizationParams) { p.ResponseType = new("") },
	},
	{
		name: "a response type that isn't registered", want: store.OutcomeUnsupportedResponseType,
		change: func(p *store.CreateAuthorizationParams) { p.ResponseType = new("token") },
	},
	{
		name: "more than the registered response type", want: store.OutcomeUnsupportedResponseType,
		change: func(p *store.CreateAuthorizationParams) { p.ResponseType = new("code id_token") },
	},
	{
		name: "less than the registered response type", want: store.OutcomeUnsupportedResponseType,
		client: func(p *store.CreateClientParams) { p.ResponseTypes = []string{"code id_token"} },
	},
	{
		name: "the response type in another order",
		client: func(p *store.CreateClientParams) {
			p.ResponseTypes, p.GrantTypes = []string{"code", "code id_token"}, []string{"authorization_code", "implicit"}
		},
		change: func(p *store.CreateAuthorizationParams) { p.ResponseType = new("id_token code") },
	},
	{
		name: "a token without the grant type implicit", want: store.OutcomeUnauthorizedClient,
		client: func(p *store.CreateClientParams) { p.ResponseTypes = []string{"code id_token"} },
		change: func(p *store.CreateAuthorizationParams) { p.ResponseType = new("code id_token") },
	},
	{
		name: "a code without its grant type", want: store.OutcomeUnauthorizedClient,
		client: func(p *store.CreateClientParams) { p.GrantTypes = []string{"refresh_token", "client_credentials"} },
	},
	{
		name: "no challenge", want: store.OutcomePKCERequired,
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallenge, p.CodeChallengeMethod = nil, nil },
	},
	{
		name:   "no challenge, where that is allowed",
		client: func(p *store.CreateClientParams) { p.RequirePKCE = new(false) },
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallenge, p.CodeChallengeMethod = nil, nil },
	},
	{
		name: "no challenge of a public client, where that would be allowed", want: store.OutcomePKCERequired,
		client: func(p *store.CreateClientParams) { p.RequirePKCE, p.Public = new(false), new(true) },
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallenge, p.CodeChallengeMethod = nil, nil },
	},
	{
		name: "a method without a challenge", want: store.OutcomePKCERequired,
		client: func(p *store.CreateClientParams) { p.RequirePKCE = new(false) },
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallenge = nil },
	},
	{
		name: "a challenge without a method, which is plain", want: store.OutcomePKCEMethodRefused,
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallengeMethod = nil },
	},
	{
		name: "plain", want: store.OutcomePKCEMethodRefused,
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallengeMethod = new("plain") },
	},
	{name: "plain, where that is allowed", set: "allow_plain_pkce = true", change: func(p *store.CreateAuthorizationParams) { p.CodeChallengeMethod = new("plain") }},
	{name: "plain by default, where that is allowed", set: "allow_plain_pkce = true", change: func(p *store.CreateAuthorizationParams) { p.CodeChallengeMethod = nil }},
	{
		name: "a short plain challenge", set: "allow_plain_pkce = true", want: store.OutcomePKCEMethodRefused,
		change: func(p *store.CreateAuthorizationParams) {
			p.CodeChallenge, p.CodeChallengeMethod = new("guess"), new("plain")
		},
	},
	{
		name: "an empty challenge", want: store.OutcomePKCEMethodRefused,
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallenge = new("") },
	},
	{
		name: "a challenge that isn't by S256", want: store.OutcomePKCEMethodRefused,
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallenge = new(fixture.Challenge[:42]) },
	},
	{
		name: "a challenge with padding", want: store.OutcomePKCEMethodRefused,
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallenge = new(fixture.Challenge + "=") },
	},
	{
		name: "a method in lower case", want: store.OutcomePKCEMethodRefused,
		change: func(p *store.CreateAuthorizationParams) { p.CodeChallengeMethod = new("s256") },
	},
	{
		name: "scopes beyond the server's default", want: store.OutcomeInvalidScope, refusedScopes: []string{"pay", "admin"},
		change: func(p *store.CreateAuthorizationParams) { p.Scopes = []string{"pay", "openid", "admin", "pay"} },
	},
	{
		name: "scopes, and the server has no default", want: store.OutcomeInvalidScope, refusedScopes: []string{"openid"},
		change: func(p *store.CreateAuthorizationParams) { p.Scopes, p.DefaultScopes = []string{"openid"}, nil },
	},
	{
		name: "a default scope that is not among the registered", want: store.OutcomeInvalidScope, refusedScopes: []string{"email", "offline_access"},
		client: func(p *store.CreateClientParams) { p.Scopes = []string{"openid", "pay"} },
	},
	{
		name:   "registered scopes",
		client: func(p *store.CreateClientParams) { p.Scopes = []string{"openid", "pay"} },
		change: func(p *store.CreateAuthorizationParams) { p.Scopes, p.DefaultScopes = []string{"pay"}, nil },
	},
	{
		name: "scopes of a client that may ask for none", want: store.OutcomeInvalidScope, refusedScopes: []string{"openid"},
		client: func(p *store.CreateClientParams) { p.Scopes = []string{} },
		change: func(p *store.CreateAuthorizationParams) { p.Scopes = []string{"openid"} },
	},
	{
		name: "a resource beyond the server's default", want: store.OutcomeInvalidTarget, refusedResources: []string{"https://bank.example"},
		change: func(p *store.CreateAuthorizationParams) {
			p.Resources = []string{"https://bank.example", "https://api.example"}
		},
	},
	{
		name: "a resource, and the server has no default", want: store.OutcomeInvalidTarget, refusedResources: []string{"https://api.example"},
		change: func(p *store.CreateAuthorizationParams) {
			p.Resources, p.DefaultResources = []string{"https://api.example"}, nil
		},
	},
	{
		name: "a default resource that is not among the registered", set: "resources = '{https://bank.example}'",
		want: store.OutcomeInvalidTarget, refusedResources: []string{"https://api.example"},
		change: func(p *store.CreateAuthorizationParams) {
			p.Resources = []string{"https://api.example", "https://bank.example"}
		},
	},
	{name: "details", change: details(`[{"type": "pay", "amount": "500"}]`, "pay")},
	{name: "details, and the server has no default", want: store.OutcomeInvalidAuthorizationDetails, change: details(`[{"type": "pay"}]`)},
	{name: "details of another type", want: store.OutcomeInvalidAuthorizationDetails, change: details(`[{"type": "pay"}, {"type": "fly"}]`, "pay")},
	{name: "details without a type", want: store.OutcomeInvalidAuthorizationDetails, change: details(`[{"amount": "500"}]`, "pay")},
	{name: "details with a type that is no text", want: store.OutcomeInvalidAuthorizationDetails, change: details(`[{"type": 1}]`, "1")},
	{name: "details with an element that is no object", want: store.OutcomeInvalidAuthorizationDetails, change: details(`["pay"]`, "pay")},
	{name: "details that are no list", want: store.OutcomeInvalidAuthorizationDetails, change: details(`{"type": "pay"}`, "pay")},
	{name: "details that are null", want: store.OutcomeInvalidAuthorizationDetails, change: details(`null`, "pay")},
	{name: "no details", change: details(`[]`)},
	{
		name: "details of a default type that is not among the registered", set: "authorization_details_types = '{fly}'",
		want: store.OutcomeInvalidAuthorizationDetails, change: details(`[{"type": "pay"}]`, "pay"),
	},
}

func details(list string, types ...string) func(*store.CreateAuthorizationParams) {
	return func(p *store.CreateAuthorizationParams) {
		p.AuthorizationDetails, p.DefaultAuthorizationDetailsTypes = json.RawMessage(list), types
	}
}

// Each of the three calls judges a request alike, and writes it only if nothing is amiss.
func TestRequestIsJudgedByTheClientsRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range judgements {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			var changes []func(*store.CreateClientParams)
			if c.client != nil {
				changes = append(changes, c.client)
			}
			w.Client = w.NewClient(changes...)
			if c.set != "" {
				w.Exec(`UPDATE oauth_client SET `+c.set+` WHERE client_id = $1`, w.Client)
			}
			p := w.RequestParams()
			if c.change != nil {
				c.change(&p)
			}
			if c.pushed {
				p.RequestURI, p.RequestURILifetime = new(fixture.Digest(c.name)), time.Minute
			}
			uri := p.RedirectURI
			switch {
			case c.noRedirect:
				uri = nil
			case uri == nil:
				uri = new(fixture.RedirectURI)
			}
			orIfNothingIsAmiss := func(done store.Outcome) store.Outcome {
				if c.want == "" {
					return done
				}
				return c.want
			}

			w.Unchanged(func() {
				row, err := w.Q.CheckAuthorizationRequest(w.Ctx, store.CheckAuthorizationRequestParams{
					ClientID: p.ClientID, RedirectURI: p.RedirectURI, ResponseType: p.ResponseType, CodeChallenge: p.CodeChallenge,
					CodeChallengeMethod: p.CodeChallengeMethod, Pushed: c.pushed, Scopes: p.Scopes, DefaultScopes: p.DefaultScopes,
					Resources: p.Resources, DefaultResources: p.DefaultResources, AuthorizationDetails: p.AuthorizationDetails,
					DefaultAuthorizationDetailsTypes: p.DefaultAuthorizationDetailsTypes,
				})
				w.OK(err)
				wantEqual(t, "CheckAuthorizationRequest", row, store.CheckAuthorizationRequestRow{
					Outcome: orIfNothingIsAmiss(store.OutcomeAccepted), RedirectURI: uri, RefusedScopes: c.refusedScopes, RefusedResources: c.refusedResources,
				})
			})

			before := w.Snapshot()
			row, err := w.Q.CreateAuthorization(w.Ctx, p)
			w.OK(err)
			row.ExpiresAt = nil
			wantEqual(t, "CreateAuthorization", row, store.CreateAuthorizationRow{
				Outcome: orIfNothingIsAmiss(store.OutcomeCreated), RedirectURI: uri, RefusedScopes: c.refusedScopes, RefusedResources: c.refusedResources,
			})
			written := fixture.Changed(before, w.Snapshot())
			wantEqual(t, "rows that CreateAuthorization wrote", len(written) == 1, c.want == "")

			before = w.Snapshot()
			g := w.GrantParams(fixture.Unique("code"))
			g.ClientID, g.RedirectURI, g.ResponseType, g.CodeChallenge, g.CodeChallengeMethod = p.ClientID, p.RedirectURI, p.ResponseType, p.CodeChallenge, p.CodeChallengeMethod
			g.Pushed, g.Scopes, g.DefaultScopes, g.Resources, g.DefaultResources = c.pushed, p.Scopes, p.DefaultScopes, p.Resources, p.DefaultResources
			g.AuthorizationDetails, g.DefaultAuthorizationDetailsTypes, g.GrantedScopes = p.AuthorizationDetails, p.DefaultAuthorizationDetailsTypes, nil
			outcome, err := w.Q.GrantAuthorization(w.Ctx, g)
			w.OK(err)
			wantEqual(t, "GrantAuthorization", outcome, orIfNothingIsAmiss(store.OutcomeGranted))
			written = fixture.Changed(before, w.Snapshot())
			wantEqual(t, "rows that GrantAuthorization wrote", len(written) > 0, c.want == "")
		})
	}
}

// An answer is sent to no address that isn't registered, whatever else is amiss.
func TestRedirectURIIsJudgedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, err := w.Q.SuspendUser(w.Ctx, w.User)
	w.OK(err)
	p := w.GrantParams("code")
	p.RedirectURI, p.ResponseType, p.Scopes, p.CodeChallenge = new("https://evil.example/"), nil, []string{"admin"}, nil
	outcome, err := w.Q.GrantAuthorization(w.Ctx, p)
	w.OK(err)
	wantEqual(t, "outcome", outcome, store.OutcomeRedirectURIMismatched)
}

// taken is what is taken from a client after its request was recorded, and what the calls say then.
var taken = []struct {
	name, column string
	want         store.Outcome
}{
	{"the redirect URI", "redirect_uris = '{https://new.example/}'", store.OutcomeRedirectURIMismatched},
	{"the grant type", "grant_types = '{refresh_token,client_credentials}'", store.OutcomeUnauthorizedClient},
	{"a scope", "scopes = '{openid}'", store.OutcomeInvalidScope},
	{"all scopes", "scopes = '{}'", store.OutcomeInvalidScope},
	{"a resource", "resources = '{https://api.example}'", store.OutcomeInvalidTarget},
	{"a type of details", "authorization_details_types = '{fly}'", store.OutcomeInvalidAuthorizationDetails},
	{"nothing that was asked for", "redirect_uris = '{http://127.0.0.1/cb,https://client.example/callback}', scopes = '{openid,email,offline_access}', response_types = '{code}'", ""},
}

// What is registered counts when the code leaves (RFC 9700, section 2.1).
func TestWhatWasTakenFromTheClientCountsUntilTheCodeIsRedeemed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	request := func(p *store.CreateAuthorizationParams) {
		p.ClientID, p.Resources = w.Client, fixture.Resources
		details(`[{"type": "pay"}]`, "pay")(p)
	}
	approval := func(p *store.ApproveAuthorizationParams) {
		p.AuthorizationDetails = json.RawMessage(`[{"type": "pay"}]`)
	}
	uncoded := func(p *store.ApproveAuthorizationParams) { approval(p); p.Code = nil }
	for _, c := range taken {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			client := w.NewClient()
			w.Client = client
			ask := func() store.AuthorizationID {
				return w.pending(request, func(p *store.CreateAuthorizationParams) { p.ClientID = client })
			}
			asked, approved, approvedAgain := ask(), ask(), ask()
			w.approve(approved, store.OutcomeApproved, uncoded)
			w.approve(approvedAgain, store.OutcomeApproved, approval)
			_, code := w.Grant(func(p *store.GrantAuthorizationParams) {
				p.AuthorizationDetails, p.GrantedAuthorizationDetails = json.RawMessage(`[{"type": "pay"}]`), json.RawMessage(`[{"type": "pay"}]`)
				p.DefaultAuthorizationDetailsTypes = []string{"pay"}
			})
			w.Exec(`UPDATE oauth_client SET `+c.column+` WHERE client_id = $1`, client)
			tryAll := func() {
				or := func(done store.Outcome) store.Outcome {
					if c.want == "" {
						return done
					}
					return c.want
				}
				uri := new(fixture.RedirectURI)
				if c.want == store.OutcomeRedirectURIMismatched {
					uri = nil
				}
				wantEqual(t, "redirect_uri of an approval", w.approve(asked, or(store.OutcomeApproved), approval).RedirectURI, uri)
				wantEqual(t, "redirect_uri of a second click", w.approve(approvedAgain, or(store.OutcomeRetried), approval).RedirectURI, uri)
				issued, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{
					ID: approved, Code: fixture.Digest(fixture.Unique("code")), CodeLifetime: time.Minute,
					DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
				})
				w.OK(err)
				wantEqual(t, "IssueAuthorizationCode", issued.Outcome, or(store.OutcomeIssued))
				wantEqual(t, "redirect_uri of IssueAuthorizationCode", issued.RedirectURI, uri)
				w.redeem(code, or(store.OutcomeRedeemed))
			}
			if c.want == "" {
				tryAll()
				return
			}
			w.Unchanged(tryAll)
			denied, err := w.Q.DenyAuthorization(w.Ctx, store.DenyAuthorizationParams{ID: asked})
			w.OK(err)
			wantEqual(t, "DenyAuthorization says where the denial goes", denied.RedirectURI == nil, c.want == store.OutcomeRedirectURIMismatched)
		})
	}
}

// The server's default is registered by the server: what it takes out of it is taken from the clients that have nothing of their own.
func TestWhatWasTakenFromTheServersDefaultCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.pending()
	w.approve(id, store.OutcomeInvalidScope, func(p *store.ApproveAuthorizationParams) { p.DefaultScopes = []string{"openid"} })
	w.approve(id, store.OutcomeInvalidScope, func(p *store.ApproveAuthorizationParams) { p.DefaultScopes = nil })
	w.approve(id, store.OutcomeApproved)
	_, code := w.Grant()
	w.redeem(code, store.OutcomeInvalidScope, func(p *store.RedeemAuthorizationCodeParams) { p.DefaultScopes = []string{"openid"} })
	w.redeem(code, store.OutcomeInvalidTarget, func(p *store.RedeemAuthorizationCodeParams) { p.DefaultResources = nil })
	w.redeem(code, store.OutcomeRedeemed)
	w.Unchanged(func() {
		w.Rotate("rt-"+code, store.OutcomeInvalidScope, func(p *store.RotateRefreshTokenParams) { p.DefaultScopes = nil })
		w.Rotate("rt-"+code, store.OutcomeInvalidTarget, func(p *store.RotateRefreshTokenParams) { p.DefaultResources = nil })
	})
	row, _ := w.Rotate("rt-"+code, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) {
		p.DefaultScopes, p.DefaultResources = []string{"openid", "more"}, []string{"https://files.example", "https://more.example"}
	})
	wantEqual(t, "scopes", row.Scopes, []string{"openid"})
	wantEqual(t, "resources", row.Resources, []string{"https://files.example"})
}

// What a client has lost drops out of its access tokens; asked for by name it is refused. The refresh token keeps what it has.
func TestRotationLeavesOutWhatTheClientHasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.Scopes = fixture.Scopes })
	w.Exec(`UPDATE oauth_client SET resources = $2, authorization_details_types = '{pay,fly}' WHERE client_id = $1`, w.Client, fixture.Resources)
	k := w.Redeem(func(p *store.GrantAuthorizationParams) {
		p.AuthorizationDetails = json.RawMessage(`[{"type": "pay"}, {"type": "fly"}]`)
		p.GrantedAuthorizationDetails = p.AuthorizationDetails
	})
	w.Exec(`UPDATE oauth_client SET scopes = '{openid,offline_access}', resources = '{https://files.example}', authorization_details_types = '{fly}' WHERE client_id = $1`, w.Client)
	w.Unchanged(func() {
		w.Rotate(k.Refresh, store.OutcomeInvalidScope, func(p *store.RotateRefreshTokenParams) { p.Scopes = []string{"openid", "email"} })
		w.Rotate(k.Refresh, store.OutcomeInvalidTarget, func(p *store.RotateRefreshTokenParams) { p.Resources = []string{"https://api.example"} })
		w.Rotate(k.Refresh, store.OutcomeInvalidAuthorizationDetails, func(p *store.RotateRefreshTokenParams) {
			p.AuthorizationDetails = json.RawMessage(`[{"type": "pay"}]`)
		})
	})
	row, access := w.Rotate(k.Refresh, store.OutcomeRotated)
	got := w.accessTokenOf(access)
	wantEqual(t, "scopes of the answer", row.Scopes, []string{"openid", "offline_access"})
	wantEqual(t, "resources of the answer", row.Resources, []string{"https://files.example"})
	wantEqual(t, "details of the answer", string(row.AuthorizationDetails), `[{"type": "fly"}]`)
	wantEqual(t, "scopes", got.Scopes, row.Scopes)
	wantEqual(t, "resources", got.Resources, row.Resources)
	wantEqual(t, "details", string(got.AuthorizationDetails), `[{"type": "fly"}]`)
	next := w.refreshTokenOf(fixture.SuccessorOf(k.Refresh))
	wantEqual(t, "scopes of the refresh token", next.Scopes, []string{"openid", "email", "offline_access"})
	wantEqual(t, "resources of the refresh token", next.Resources, fixture.Resources)

	for column, want := range map[string]store.Outcome{
		"scopes = '{more}'": store.OutcomeInvalidScope,
		// a token without any would be good everywhere
		"scopes = '{openid}', resources = '{}'":                     store.OutcomeInvalidTarget,
		"grant_types = '{authorization_code}', scopes = '{openid}'": store.OutcomeUnauthorizedClient,
	} {
		w.Exec(`UPDATE oauth_client SET `+column+` WHERE client_id = $1`, w.Client)
		w.Unchanged(func() { w.Rotate(fixture.SuccessorOf(k.Refresh), want) })
		w.Exec(`UPDATE oauth_client SET grant_types = NULL, resources = NULL WHERE client_id = $1`, w.Client)
	}
	// what comes back counts again, and reuse is told whatever the client lost
	w.Exec(`UPDATE oauth_client SET scopes = NULL WHERE client_id = $1`, w.Client)
	row, _ = w.Rotate(fixture.SuccessorOf(k.Refresh), store.OutcomeRotated)
	wantEqual(t, "scopes", row.Scopes, next.Scopes)
	w.Exec(`UPDATE oauth_client SET grant_types = '{authorization_code}' WHERE client_id = $1`, w.Client)
	w.Rotate(k.Refresh, store.OutcomeReplayed)
}

// What is left of one thing is judged also where nothing of the others is lost, and the same call again is answered alike.
func TestRotationLeavesOutOneThingThatTheClientHasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	details := `[{"type": "pay"}, {"type": "fly"}]`
	for lost, want := range map[string]store.RotateRefreshTokenRow{
		"authorization_details_types = NULL": {Resources: fixture.Resources, AuthorizationDetails: json.RawMessage(details)},
		"authorization_details_types = NULL, scopes = '{openid}'": {
			Scopes: []string{"openid"}, Resources: fixture.Resources, AuthorizationDetails: json.RawMessage(details),
		},
		"authorization_details_types = NULL, resources = '{https://files.example}'": {
			Resources: []string{"https://files.example"}, AuthorizationDetails: json.RawMessage(details),
		},
		"authorization_details_types = '{fly}'": {
			Resources: fixture.Resources, AuthorizationDetails: json.RawMessage(`[{"type": "fly"}]`),
		},
	} {
		w.Client = w.NewClient(func(p *store.CreateClientParams) { p.Scopes = fixture.Scopes })
		w.Exec(`UPDATE oauth_client SET resources = $2, authorization_details_types = '{pay,fly}' WHERE client_id = $1`, w.Client, fixture.Resources)
		k := w.Redeem(func(p *store.GrantAuthorizationParams) {
			p.AuthorizationDetails, p.GrantedAuthorizationDetails = json.RawMessage(details), json.RawMessage(details)
		})
		if want.Scopes == nil { // all that were granted
			want.Scopes = w.refreshTokenOf(k.Refresh).Scopes
		}
		w.Exec(`UPDATE oauth_client SET `+lost+` WHERE client_id = $1`, w.Client)
		p, _ := w.RotateParams(k.Refresh)
		for _, outcome := range []store.Outcome{store.OutcomeRotated, store.OutcomeRetried} {
			row, err := w.Q.RotateRefreshToken(w.Ctx, p)
			w.OK(err)
			w.want(lost, row.Outcome, outcome)
			wantEqual(t, lost+": "+string(outcome), []any{row.Scopes, row.Resources, row.AuthorizationDetails}, []any{want.Scopes, want.Resources, want.AuthorizationDetails})
		}
	}
}

// A client that says which grant types it uses, and not refresh_token, gets no refresh token. One that says nothing gets what the server
// passes.
func TestRefreshTokenIsIssuedToWhoUsesThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct {
		grantTypes []string
		want       bool
	}{{nil, true}, {[]string{"authorization_code", "refresh_token"}, true}, {[]string{"authorization_code"}, false}} {
		w.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = c.grantTypes })
		id, code := w.Grant()
		p := w.RedeemParams(code)
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "outcome", row.Outcome, store.OutcomeRedeemed)
		again, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "outcome of the same call", again.Outcome, store.OutcomeRetried)
		for _, id := range []*store.RefreshTokenID{row.RefreshTokenID, again.RefreshTokenID, w.accessTokenOf("at-" + code).RefreshID} {
			wantEqual(t, "refresh token", id != nil, c.want)
		}
		wantEqual(t, "its expiry", row.RefreshTokenExpiresAt != nil, c.want)
		wantEqual(t, "the bound of the family, which its exchanged tokens have to keep, too", w.authorizationOf(id).MaxExpiresAt != nil, true)
		history, err := w.Q.ListAuthorizationRefreshTokens(w.Ctx, id)
		w.OK(err)
		wantEqual(t, "refresh tokens", len(history) == 1, c.want)
	}
}

// A client whose tokens have to be bound gets none without a key of that kind (RFC 9449, section 5.2; RFC 8705, section 3.4).
func TestTokenIsBoundAsRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.machine()
	jkt, certificate := &token.Confirmation{JKT: "thumbprint"}, &token.Confirmation{X5TS256: "certificate"}
	for column, c := range map[string]struct{ fits, other *token.Confirmation }{
		"dpop_bound_access_tokens":                   {jkt, certificate},
		"tls_client_certificate_bound_access_tokens": {certificate, jkt},
	} {
		for _, public := range []bool{true, false} {
			w.Client = w.NewClient(func(p *store.CreateClientParams) {
				p.Public, p.GrantTypes = &public, []string{"authorization_code", "refresh_token", "client_credentials"}
			})
			w.Exec(`UPDATE oauth_client SET `+column+` = true WHERE client_id = $1`, w.Client)
			_, code := w.Grant()
			present := func(key *token.Confirmation) func(*store.RedeemAuthorizationCodeParams) {
				return func(p *store.RedeemAuthorizationCodeParams) { p.Confirmation = key }
			}
			w.Unchanged(func() {
				w.redeem(code, store.OutcomeMismatched)
				w.redeem(code, store.OutcomeMismatched, present(c.other))
			})
			w.redeem(code, store.OutcomeRedeemed, present(c.fits))
			w.Unchanged(func() {
				w.Rotate("rt-"+code, store.OutcomeMismatched)
				w.Rotate("rt-"+code, store.OutcomeMismatched, func(p *store.RotateRefreshTokenParams) { p.Confirmation = c.other })
			})
			_, access := w.Rotate("rt-"+code, store.OutcomeRotated, func(p *store.RotateRefreshTokenParams) { p.Confirmation = c.fits })
			wantEqual(t, "confirmation", w.accessTokenOf(access).Confirmation, c.fits)
			if !public {
				own := func(key *token.Confirmation) func(*store.IssueAccessTokenParams) {
					return func(p *store.IssueAccessTokenParams) { p.ClientID, p.Confirmation = w.Client, key }
				}
				w.Unchanged(func() {
					w.issue("own", store.OutcomeMismatched, own(nil))
					w.issue("own", store.OutcomeMismatched, own(c.other))
				})
				w.issue(fixture.Unique("own"), store.OutcomeIssued, own(c.fits))
			}
		}
	}
}

// The life of a request_uri bounds its opening, not the sign-in that follows (RFC 9126, section 4).
func TestPushedRequestIsFoundUntilItIsDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	push := func(name string) store.AuthorizationID {
		return w.pending(func(p *store.CreateAuthorizationParams) {
			p.RequestURI, p.RequestURILifetime, p.Lifetime = new(fixture.Digest(name)), time.Minute, 10*time.Minute
		})
	}
	find := func(name string) (store.OAuthAuthorization, error) {
		return w.Q.FindAuthorizationByRequestURI(w.Ctx, store.FindAuthorizationByRequestURIParams{
			RequestURI: fixture.Digest(name), ClientID: w.Client, Lifetime: 10 * time.Minute,
		})
	}
	none := func(name string) {
		t.Helper()
		w.Unchanged(func() {
			_, err := find(name)
			w.None(err)
		})
	}
	later := func(id store.AuthorizationID, by string) {
		w.Exec(`UPDATE oauth_authorization SET request_uri_expires_at = request_uri_expires_at - $2::interval, expires_at = expires_at - $2::interval WHERE id = $1`, string(id), by)
	}

	slow, late := push("slow"), push("late")
	later(slow, "55 seconds")
	first, err := find("slow")
	w.OK(err)
	wantAt(t, "expires_at", first.ExpiresAt, first.UpdatedAt, 10*time.Minute)
	wantEqual(t, "request_uri", first.RequestURI, new(fixture.Digest("slow")))
	later(slow, "245 seconds")
	again, err := find("slow")
	w.OK(err)
	wantEqual(t, "the request", again.ID, slow)
	if left := again.ExpiresAt.Sub(again.UpdatedAt); left > 6*time.Minute {
		t.Errorf("a second look leaves %s", left)
	}
	w.approve(slow, store.OutcomeApproved)
	none("slow")
	later(late, "61 seconds")
	none("late")

	opened := push("opened")
	_, err = find("opened")
	w.OK(err)
	other := w.NewClient()
	w.Unchanged(func() {
		_, err := w.Q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{
			RequestURI: fixture.Digest("opened"), ClientID: w.Client, Lifetime: time.Minute,
		})
		w.None(err)
		_, err = w.Q.FindAuthorizationByRequestURI(w.Ctx, store.FindAuthorizationByRequestURIParams{
			RequestURI: fixture.Digest("opened"), ClientID: other, Lifetime: time.Minute,
		})
		w.None(err)
	})
	later(opened, "10 minutes")
	none("opened")
	none("never pushed")
	w.revokeFamily(push("revoked"))
	none("revoked")
	w.deny(push("denied"), store.OutcomeDenied)
	none("denied")
	push("taken")
	_, err = w.Q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{
		RequestURI: fixture.Digest("taken"), ClientID: w.Client, Lifetime: time.Minute,
	})
	w.OK(err)
	none("taken")

	push("many")
	found := make([]store.OAuthAuthorization, 8)
	errs := make([]error, len(found))
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() { found[i], errs[i] = find("many") })
	}
	wg.Wait()
	w.OK(errors.Join(errs...))
	for _, f := range found {
		if !f.ExpiresAt.Equal(*found[0].ExpiresAt) {
			t.Errorf("several openings: until %s and %s", f.ExpiresAt, found[0].ExpiresAt)
		}
	}
}

// Elements stay whole and equal, but those that the caller has compared (RFC 9396, section 6.1): an element that leaves a limit out, or a
// member, grants more.
func TestAuthorizationDetailsOnlyGetNarrower(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	const pay, fly = `{"type": "pay", "amount": "500"}`, `{"to": ["FRA"], "type": "fly"}`
	for _, c := range []struct {
		name, asked string
		compared    []string
		want        string // what is granted; empty: it is refused
	}{
		{"all", `[` + pay + `,` + fly + `]`, nil, `[` + pay + `, ` + fly + `]`},
		{"members in another order", `[{"amount": "500", "type": "pay"}]`, nil, `[` + pay + `]`},
		{"one", `[` + fly + `]`, nil, `[` + fly + `]`},
		{"one twice", `[` + fly + `,` + fly + `]`, nil, `[` + fly + `]`},
		{"a limit left out", `[{"type": "pay"}]`, nil, ""},
		{"a lower limit", `[{"type": "pay", "amount": "400"}]`, nil, ""},
		{"a lower limit that the caller has compared", `[{"type": "pay", "amount": "400"}]`, []string{"pay"}, `[{"type": "pay", "amount": "400"}]`},
		{"a lower limit, and another type compared", `[{"type": "pay", "amount": "400"}]`, []string{"fly"}, ""},
		{"a type that was not granted, though compared", `[{"type": "swim"}]`, []string{"swim", "pay"}, ""},
		{"an empty list inside", `[{"type": "fly", "to": []}]`, nil, ""},
		{"an element of an element", `["FRA"]`, nil, ""},
		{"an empty element", `[{}]`, nil, ""},
		{"an object", pay, nil, ""},
		{"null", `null`, nil, ""},
	} {
		list := json.RawMessage(c.asked)
		request := details(`[`+pay+`,`+fly+`]`, "pay", "fly")
		or := func(done store.Outcome) store.Outcome {
			if c.want == "" {
				return store.OutcomeInvalidAuthorizationDetails
			}
			return done
		}
		asked := w.pending(request)
		w.approve(asked, or(store.OutcomeApproved), func(p *store.ApproveAuthorizationParams) {
			p.AuthorizationDetails, p.ComparedTypes = list, c.compared
		})
		g := w.GrantParams(fixture.Unique("code"))
		g.AuthorizationDetails, g.DefaultAuthorizationDetailsTypes = json.RawMessage(`[`+pay+`,`+fly+`]`), []string{"pay", "fly"}
		g.GrantedAuthorizationDetails, g.ComparedTypes = list, c.compared
		outcome, err := w.Q.GrantAuthorization(w.Ctx, g)
		w.OK(err)
		wantEqual(t, c.name+": GrantAuthorization", outcome, or(store.OutcomeGranted))
		all := func(p *store.GrantAuthorizationParams) {
			p.AuthorizationDetails, p.DefaultAuthorizationDetailsTypes = json.RawMessage(`[`+pay+`,`+fly+`]`), []string{"pay", "fly"}
			p.GrantedAuthorizationDetails = p.AuthorizationDetails
		}
		_, code := w.Grant(all)
		redeemed := w.redeem(code, or(store.OutcomeRedeemed), func(p *store.RedeemAuthorizationCodeParams) {
			p.AuthorizationDetails, p.ComparedTypes = list, c.compared
		})
		k := w.Redeem(all)
		rotated, access := w.Rotate(k.Refresh, or(store.OutcomeRotated), func(p *store.RotateRefreshTokenParams) {
			p.AuthorizationDetails, p.ComparedTypes = list, c.compared
		})
		if c.want == "" {
			continue
		}
		for what, got := range map[string]json.RawMessage{
			"approved": w.authorizationOf(asked).AuthorizationDetails, "granted": w.authorizationOf(g.ID).AuthorizationDetails,
			"redeemed": redeemed.AuthorizationDetails, "access token": w.accessTokenOf("at-" + code).AuthorizationDetails,
			"rotated": rotated.AuthorizationDetails, "access token of the rotation": w.accessTokenOf(access).AuthorizationDetails,
		} {
			wantEqual(t, c.name+": "+what, asJSON(got), asJSON(json.RawMessage(c.want)))
		}
		whole := asJSON(json.RawMessage(`[` + pay + `, ` + fly + `]`))
		wantEqual(t, c.name+": refresh token", asJSON(w.refreshTokenOf("rt-"+code).AuthorizationDetails), whole)
		wantEqual(t, c.name+": successor", asJSON(w.refreshTokenOf(fixture.SuccessorOf(k.Refresh)).AuthorizationDetails), whole)
	}

	// what is not passed is not granted, and nothing comes from nothing
	none := w.pending(details(`[`+pay+`]`, "pay"))
	w.approve(none, store.OutcomeApproved)
	wantEqual(t, "granted without a word", len(w.authorizationOf(none).AuthorizationDetails), 0)
	plain := func(p *store.RedeemAuthorizationCodeParams) {
		p.AuthorizationDetails, p.ComparedTypes = json.RawMessage(`[`+pay+`]`), []string{"pay"}
	}
	w.redeem("code of "+string(none), store.OutcomeInvalidAuthorizationDetails, plain)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.OutcomeInvalidAuthorizationDetails, func(p *store.RotateRefreshTokenParams) {
		p.AuthorizationDetails, p.ComparedTypes = json.RawMessage(`[`+pay+`]`), []string{"pay"}
	})
}

// A subset of what was granted, and nothing from nothing (RFC 8707, section 2.2).
func TestResourcesFromNothingAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	_, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.Resources = nil })
	w.redeem(code, store.OutcomeInvalidTarget, func(p *store.RedeemAuthorizationCodeParams) { p.Resources = []string{"https://api.example"} })
	w.redeem(code, store.OutcomeRedeemed)
	w.Rotate("rt-"+code, store.OutcomeInvalidTarget, func(p *store.RotateRefreshTokenParams) { p.Resources = []string{"https://api.example"} })
}

// The second click's approval may come after the code was redeemed.
func TestApprovalAfterTheRedemptionIsDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.pending()
	w.approve(id, store.OutcomeApproved)
	w.redeem("code of "+string(id), store.OutcomeRedeemed)
	w.Unchanged(func() {
		w.approve(id, store.OutcomeDecided, func(p *store.ApproveAuthorizationParams) { p.Code = new(fixture.Digest("another")) })
	})
	w.WantLive("at-code of "+string(id), "rt-code of "+string(id))
}

package clienttests

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fault is what a proxy before the server does wrong.
type fault struct {
	request  func(r *http.Request)              // before the server sees it
	instead  http.HandlerFunc                   // for path, without asking the server
	path     string                             // of instead
	response func(r *http.Response, body *body) // before the client does
	noticed  []string                           // by these tests, and by no fewer
	scripts  bool                               // and by the clients from npm, where that is installed
}

// body is that of a response, as JSON where it is an object.
type body struct {
	text   []byte
	object map[string]any
}

// inLocation changes the parameters with which a browser is sent back to the client.
func inLocation(change func(url.Values)) func(*http.Response, *body) {
	return func(r *http.Response, _ *body) {
		to, err := url.Parse(r.Header.Get("Location"))
		if err != nil || !strings.HasPrefix(to.String(), "https://") {
			return
		}
		query := to.Query()
		change(query)
		to.RawQuery = query.Encode()
		r.Header.Set("Location", to.String())
	}
}

// remembered is what a fault has seen before, by name.
var remembered sync.Map

// noFault is a proxy that does nothing wrong.
const noFault = "none"

var faults = map[string]fault{
	noFault: {},
	"state is dropped": {
		response: inLocation(func(q url.Values) { q.Del("state") }),
		noticed:  []string{"TestOidccServer", "TestOidccPromptNoneNotLoggedIn", "TestOidccRpInitiatedLogout", "TestFapi2SecurityProfileFinalHappyFlow", "TestErrorsOfAuthorizationRequestsReachTheClient", "TestXOAuth2AndGoOIDC"},
	},
	"iss is another's": {
		response: inLocation(func(q url.Values) { q.Set("iss", "https://other.example") }),
		noticed:  []string{"TestOidccServer", "TestFapi2SecurityProfileFinalHappyFlow", "TestErrorsOfAuthorizationRequestsReachTheClient"},
		scripts:  true,
	},
	"the first ID token is given to everybody": {
		response: func(r *http.Response, b *body) {
			if idToken, ok := b.object["id_token"]; ok {
				first, _ := remembered.LoadOrStore("id_token", idToken)
				b.object["id_token"] = first
			}
		},
		noticed: []string{"TestOidccServer", "TestOidccIdtokenSignature", "TestOidccRefreshToken", "TestFapi2SecurityProfileFinalHappyFlow", "TestXOAuth2AndGoOIDC"},
	},
	"what is asked of the sign-in is forgotten": {
		request: func(r *http.Request) {
			query := r.URL.Query()
			query.Del("prompt")
			query.Del("max_age")
			r.URL.RawQuery = query.Encode()
		},
		noticed: []string{"TestOidccPromptLogin", "TestOidccPromptNoneNotLoggedIn", "TestOidccMaxAge1"},
	},
	"whoever asks to sign out is sent on": {
		path: "/end_session",
		instead: func(w http.ResponseWriter, r *http.Request) {
			query := r.URL.Query()
			if to := query.Get("post_logout_redirect_uri"); to != "" {
				http.Redirect(w, r, to+"?"+url.Values{"state": {query.Get("state")}}.Encode(), http.StatusFound)
			}
		},
		noticed: []string{
			"TestOidccRpInitiatedLogout", "TestOidccRpInitiatedLogoutBadPostLogoutRedirectUri", "TestOidccRpInitiatedLogoutModifiedIdTokenHint",
			"TestOidccRpInitiatedLogoutBadIdTokenHint", "TestOidccRpInitiatedLogoutQueryAddedToPostLogoutRedirectUri", "TestOidccRpInitiatedLogoutNoIdTokenHint",
			"TestOidccRpInitiatedLogoutNoParams", "TestOidccRpInitiatedLogoutOnlyState", "TestOidccRpInitiatedLogoutNoPostLogoutRedirectUri",
			"TestOidccRpInitiatedLogoutNoState",
		},
	},
	"errors of the token endpoint are successes": {
		response: func(r *http.Response, b *body) {
			if r.Request.URL.Path == "/oauth/token" && r.StatusCode >= 400 {
				r.StatusCode, b.object = http.StatusOK, map[string]any{"access_token": "a", "token_type": "Bearer", "expires_in": 60}
			}
		},
		noticed: []string{
			"TestOidccCodereuse", "TestOidccRefreshToken", "TestFapi2SecurityProfileFinalEnsureHolderOfKeyRequired",
			"TestFapi2SecurityProfileFinalIncorrectPkceCodeVerifierRejected", "TestClientAuthenticationComesBeforeTheCode", "TestWrongAssertionIsNoAuthentication",
			"TestTokenEndpointTakesPOSTAndTheBody", "TestTargetsThatAreNotServedAreRefusedEverywhere",
		},
	},
	"UserInfo asks nobody": {
		path: "/userinfo",
		instead: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"sub":"anybody"}`)
		},
		noticed: []string{"TestOidccUserinfoGet", "TestOidccScopeEmail", "TestOidccCodereuse30seconds", "TestFapi2SecurityProfileFinalDpopNegativeTests", "TestUserInfoSaysWhatIsWrong"},
	},
	"pushed requests are taken as they come": {
		response: func(r *http.Response, b *body) {
			if r.Request.URL.Path == "/par" && r.StatusCode >= 400 {
				r.StatusCode, b.object = http.StatusCreated, map[string]any{"request_uri": "urn:ietf:params:oauth:request_uri:x", "expires_in": 60}
			}
		},
		noticed: []string{
			"TestFapi2SecurityProfileFinalParEnsurePkceRequired", "TestFapi2SecurityProfileFinalParPlainPkceRejected", "TestFapi2SecurityProfileFinalEnsureMismatchedDpopJktFails",
			"TestFapi2SecurityProfileFinalEnsureInvalidClientAssertionsFail", "TestFapi2SecurityProfileFinalParAttemptInvalidHttpMethod",
			"TestFapi2SecurityProfileFinalEnsureResponseTypeTokenFails", "TestFapi2SecurityProfileFinalEnsureRedirectUriInAuthorizationRequest",
		},
	},
}

const faultVariable, programVariable = "CLIENTTESTS_FAULT", "CLIENTTESTS_PROGRAM"

// serve answers with what the server at address does, and with the fault.
func (f fault) serve(address string) http.Handler {
	target, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if f.request != nil {
				f.request(r.Out)
			}
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] // which stands for the browser's address
		},
		ModifyResponse: func(r *http.Response) error {
			if f.response == nil {
				return nil
			}
			b := &body{}
			var err error
			if b.text, err = io.ReadAll(r.Body); err != nil {
				return err
			}
			_ = json.Unmarshal(b.text, &b.object)
			if f.response(r, b); b.object != nil {
				b.text, _ = json.Marshal(b.object)
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b.text)), int64(len(b.text))
			r.Header.Del("Content-Length")
			return nil
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.instead != nil && r.URL.Path == f.path {
			f.instead(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// The tests notice what they are there to notice: they run again, against a server that does one thing wrong.
func TestSeededFaultsAreNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs many of the tests again")
	}
	run := func(t *testing.T, name string, tests []string) (failed []string, said []byte) {
		t.Parallel()
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^("+strings.Join(tests, "|")+")$", "-test.timeout=10m")
		again.Env = append(os.Environ(), faultVariable+"="+name, programVariable+"="+program)
		said, err := again.CombinedOutput()
		for _, m := range regexp.MustCompile(`(?m)^--- FAIL: (\w+)`).FindAllSubmatch(said, -1) {
			failed = append(failed, string(m[1]))
		}
		if (err != nil) != (len(failed) > 0) {
			t.Fatalf("%v\n%s", err, said)
		}
		return failed, said
	}
	t.Run(noFault, func(t *testing.T) {
		var all []string
		for _, f := range faults {
			all = append(all, f.noticed...)
		}
		if failed, said := run(t, noFault, all); len(failed) > 0 {
			t.Errorf("a proxy that does nothing is noticed:\n%s", said)
		}
	})
	for name, f := range faults {
		if name == noFault {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath("npm"); err == nil && f.scripts {
				f.noticed = append(slices.Clone(f.noticed), "TestOpenIDClient", "TestOAuth4WebAPI")
			}
			failed, said := run(t, name, f.noticed)
			for _, test := range f.noticed {
				if !slices.Contains(failed, test) {
					t.Errorf("%s does not notice it", test)
				}
			}
			if t.Failed() {
				t.Logf("%s", said)
			}
		})
	}
}

package zitadel_test

import (
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
)

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)" ?/?>`)

// told is what the client is told, in whichever mode.
func (a answer) told() url.Values {
	found := url.Values{}
	for name, values := range a.Values {
		found[name] = values
	}
	for _, m := range hidden.FindAllStringSubmatch(a.body, -1) {
		found.Add(m[1], html.UnescapeString(m[2]))
	}
	return found
}

// An answer has all its parameters in each mode (OAuth 2.0 Form Post Response Mode, section 2), an error too, and says who gives it (RFC
// 9207).
func TestErrorsComeInTheModeThatWasAskedForToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	cfg := c.oauth2("openid")
	challenge := oauth2.S256ChallengeOption(oauth2.GenerateVerifier())
	for _, mode := range []string{"query", "fragment", "form_post"} {
		for what, attempt := range map[string]struct {
			name, value string
			want        string
		}{
			"a code":                           {"foo", "bar", ""},
			"a denial":                         {"prompt", "none", "access_denied"},
			"an error of the store's":          {"resource", "https://bank.example", "invalid_target"},
			"an error of the library's":        {"response_type", "token", "unsupported_response_type"},
			"an error of the adapter's":        {"authorization_details", "[]", "invalid_authorization_details"},
			"an error in what the library has": {"code_challenge_method", "plain", "invalid_request"},
		} {
			a := w.browse(cfg.AuthCodeURL("st&ate", challenge, oauth2.SetAuthURLParam("response_mode", mode), oauth2.SetAuthURLParam(attempt.name, attempt.value)))
			told := a.told()
			wantEqual(t, mode+": "+what, []any{told.Get("error"), told["state"], told["iss"], told.Has("code")},
				[]any{attempt.want, []string{"st&ate"}, []string{w.issuer}, attempt.want == ""})
			if isForm := strings.Contains(a.body, `action="`+redirectURI+`"`); isForm != (mode == "form_post") || isForm != (a.status == http.StatusOK) {
				t.Errorf("%s: %s: %d %s", mode, what, a.status, a.body)
			}
		}
	}
}

func TestIntrospectionIsSentAsTheLibraryWouldSendIt(t *testing.T) {
	t.Parallel()
	full := func(claims map[string]any) *oidc.IntrospectionResponse {
		return &oidc.IntrospectionResponse{
			Active: true, Scope: oidc.SpaceDelimitedArray{"openid", "email"}, ClientID: "cli_<1>", TokenType: oidc.BearerToken, Subject: "usr_1",
			Expiration: 1_800_000_000, IssuedAt: 1_700_000_000, AuthTime: 1_700_000_000, Audience: oidc.Audience{"https://api.example"},
			AuthenticationMethodsReferences: []string{"pwd"}, Issuer: "https://issuer.example", JWTID: "atk_1", Username: "ada@example.com",
			Claims: claims,
		}
	}
	for _, a := range []*oidc.IntrospectionResponse{
		{},
		full(nil), full(map[string]any{}),
		full(map[string]any{"sid": "ses_1", "acr": `"\<`, "act": json.RawMessage(`{"sub": "a"}`), "cnf": map[string]string{"jkt": "x"}, "authorization_details": json.RawMessage(`[{"type": "x"}]`)}),
	} {
		sent, err := zitadel.IntrospectionJSON(a)
		if err != nil {
			t.Fatal(err)
		}
		library, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := errors.Join(json.Unmarshal(sent, &got), json.Unmarshal(library, &want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("sent %s, %v, want %s", sent, err, library)
		}
	}
}

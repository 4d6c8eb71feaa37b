package zitadel_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/oauth2"
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

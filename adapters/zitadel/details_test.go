package zitadel_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// payments serves two types of authorization_details.
func payments(w *world) {
	w.opts.AuthorizationDetails = map[string]func(json.RawMessage) error{
		"account": nil,
		"payment": func(element json.RawMessage) error {
			var p struct{ Amount json.Number }
			if json.Unmarshal(element, &p) != nil || p.Amount == "" {
				return errors.New("a payment has an amount")
			}
			return nil
		},
	}
	w.opts.DeviceURL = "https://op.example/device"
}

const (
	payOne   = `{"type":"payment","amount":1}`
	payTwo   = `{"type":"payment","amount":2}`
	accounts = `{"type":"account","actions":["read"]}`
)

func TestAuthorizationDetailsAreGranted(t *testing.T) {
	t.Parallel()
	for _, jwts := range []bool{false, true} {
		w := newWorld(t, payments, func(w *world) {
			if jwts {
				w.opts.AccessTokenType = zitadel.JWTs
			}
		})
		w.agreed = "[" + payOne + "," + accounts + "]" // of three that are asked for
		c, resource := w.register(), w.register()
		cfg := c.oauth2("openid", "offline_access")
		code, verifier := c.authorize(cfg, oauth2.SetAuthURLParam("authorization_details", "["+payTwo+","+accounts+","+payOne+"]"))
		redeem := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}}
		more := maps.Clone(redeem)
		more.Set("authorization_details", "["+payTwo+"]")
		status, body := c.post("/oauth/token", more)
		wantEqual(t, "more than was granted", []any{status, body["error"]}, []any{400, "invalid_authorization_details"})
		status, body = c.post("/oauth/token", redeem)
		wantEqual(t, "redemption", []any{status, jsonOf(t, body["authorization_details"])}, []any{200, sorted(t, payOne, accounts)})
		access := body["access_token"].(string)
		_, told := resource.post("/oauth/introspect", url.Values{"token": {access}})
		wantEqual(t, "introspection", jsonOf(t, told["authorization_details"]), sorted(t, payOne, accounts))
		if jwts {
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
			w.ok(err)
			var claims struct {
				Details any `json:"authorization_details"`
			}
			w.ok(json.Unmarshal(payload, &claims))
			wantEqual(t, "the JWT", jsonOf(t, claims.Details), sorted(t, payOne, accounts))
		}
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}, "authorization_details": {"[" + accounts + "]"}}
		_, body = c.post("/oauth/token", refresh)
		wantEqual(t, "a refresh for less", jsonOf(t, body["authorization_details"]), sorted(t, accounts))
		_, body = c.post("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}})
		wantEqual(t, "a refresh for all", jsonOf(t, body["authorization_details"]), sorted(t, payOne, accounts))

		// What the pages don't pass on is not granted.
		w.agreed = ""
		code, verifier = c.authorize(cfg, oauth2.SetAuthURLParam("authorization_details", "["+payOne+"]"))
		redeem.Set("code", code)
		redeem.Set("code_verifier", verifier)
		_, body = c.post("/oauth/token", redeem)
		wantEqual(t, "what nobody agreed to", body["authorization_details"], nil)
	}
}

// sorted is a list of elements as jsonOf has it.
func sorted(t testing.TB, elements ...string) string {
	var list any
	if err := json.Unmarshal([]byte("["+strings.Join(elements, ",")+"]"), &list); err != nil {
		t.Fatal(err)
	}
	return jsonOf(t, list)
}

func TestAuthorizationDetailsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, payments)
	c := w.register(devices)
	reader := w.register(devices, func(p *store.CreateClientParams) { p.AuthorizationDetailsTypes = []string{"account"} })
	deep := strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)
	for what, attempt := range map[string]struct {
		by      registered
		details string
		want    string
	}{
		"as it should be":            {c, "[" + payOne + "]", ""},
		"half of a surrogate pair":   {c, `[{"type":"account","x":"\ud800"}]`, ""},
		"an unknown type":            {c, `[{"type":"pay"}]`, "invalid_authorization_details"},
		"one unknown of two":         {c, "[" + payOne + `,{"type":"pay"}]`, "invalid_authorization_details"},
		"no type":                    {c, `[{"amount":1}]`, "invalid_authorization_details"},
		"a type that is no string":   {c, `[{"type":1}]`, "invalid_authorization_details"},
		"no list":                    {c, payOne, "invalid_authorization_details"},
		"no objects":                 {c, `["payment"]`, "invalid_authorization_details"},
		"null":                       {c, `[null]`, "invalid_authorization_details"},
		"nothing":                    {c, `[]`, "invalid_authorization_details"},
		"no JSON":                    {c, `[{]`, "invalid_authorization_details"},
		"something behind":           {c, "[" + payOne + "]x", "invalid_authorization_details"},
		"what the type doesn't take": {c, `[{"type":"payment"}]`, "invalid_authorization_details"},
		"a NUL":                      {c, `[{"type":"account","x":"\u0000"}]`, "invalid_authorization_details"},
		"a NUL in a name":            {c, `[{"type":"account","\u0000":1}]`, "invalid_authorization_details"},
		"too many digits":            {c, `[{"type":"account","x":1e400000}]`, "invalid_authorization_details"},
		"too many digits, small":     {c, `[{"type":"account","x":1e-400000}]`, "invalid_authorization_details"},
		"too deep":                   {c, `[{"type":"account","x":` + deep + `}]`, "invalid_authorization_details"},
		"too long":                   {c, `[{"type":"account","x":"` + strings.Repeat("a", 20<<10) + `"}]`, "invalid_authorization_details"},
		"a type not registered":      {reader, "[" + payOne + "]", "invalid_authorization_details"},
		"a type that is registered":  {reader, "[" + accounts + "]", ""},
	} {
		_, body := attempt.by.post("/par", url.Values{
			"redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"openid"}, "authorization_details": {attempt.details},
			"code_challenge": {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())}, "code_challenge_method": {"S256"},
		})
		_, onDevice := attempt.by.post("/device_authorization", url.Values{"scope": {"openid"}, "authorization_details": {attempt.details}})
		for at, answer := range map[string]map[string]any{"par": body, "device": onDevice} {
			if told, _ := answer["error"].(string); told != attempt.want {
				t.Errorf("%s at %s: %v, want %q", what, at, answer, attempt.want)
			}
		}
	}
	status, body := c.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"files"}, "authorization_details": {"[" + payOne + "]"}})
	wantEqual(t, "for a client itself", []any{status, body["error"]}, []any{400, "invalid_authorization_details"})
	_, metadata := w.send(w.get(zitadel.AuthorizationServerMetadataPath))
	wantEqual(t, "metadata", fmt.Sprint(metadata["authorization_details_types_supported"]), "[account payment]")
}

package democlient

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/oauth2"
)

// screen is the same app on a television, which has no keyboard (RFC 8628). It is a client of its own.
type screen struct {
	Code      string // that the user has to enter
	Link      string // where
	Connected bool
	Problem   string

	stop context.CancelFunc
}

// waits says whether the screen still asks whether the user has decided.
func (s *screen) waits() bool { return s != nil && !s.Connected && s.Problem == "" }

// connectScreen asks for a code to show, and goes on asking whether the user has entered it, as the television would.
func (c *Client) connectScreen(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.screen.waits() {
		v.screen.stop()
	}
	defer http.Redirect(w, r, "/", http.StatusSeeOther)
	p, err := c.discover(r.Context())
	if err != nil {
		v.screen = &screen{Problem: "The provider doesn't answer: " + err.Error()}
		return
	}
	television := p.oauth
	television.ClientID, television.ClientSecret = c.config.ScreenClientID, ""
	television.Scopes = []string{"openid", "profile", "photos.read", "offline_access"}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	code, err := television.DeviceAuth(ctx)
	if err != nil {
		v.screen = &screen{Problem: reason(err)}
		return
	}
	asking, stop := context.WithDeadline(context.WithoutCancel(r.Context()), code.Expiry)
	v.screen = &screen{Code: code.UserCode, Link: code.VerificationURIComplete, stop: stop}
	go func() {
		defer stop()
		began := time.Now()
		token, err := television.DeviceAccessToken(asking, code)
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.screen == nil || v.screen.Code != code.UserCode {
			return // another code is shown by now
		}
		if err != nil {
			v.screen.Problem = reason(err)
			v.say("Connected a screen", false, reason(err), "")
			return
		}
		v.screen.Connected = true
		v.say("Connected a screen", true, "it was given "+given(token), "it has asked for "+time.Since(began).Round(time.Second).String())
	}()
}

// given says what a token response holds.
func given(t *oauth2.Token) string {
	if t.RefreshToken != "" {
		return "an access token and a refresh token"
	}
	return "an access token"
}

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/crypto"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/oauthdb/oauthdb/db"
)

// logoutTokenLifetime is at most two minutes (OpenID Connect Back-Channel Logout 1.0, section 4).
const logoutTokenLifetime = 2 * time.Minute

// withoutRedirects is a client that follows none: the logout token is for the registered address alone.
func withoutRedirects(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{}
	}
	straight := *c
	straight.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &straight
}

// logoutToken tells a client that a session is over (OpenID Connect Back-Channel Logout 1.0, section 2.4). Each attempt has a jti of its own,
// because a client refuses one that it has seen, and may have seen the last one although we got no answer.
func (s *server) logoutToken(ctx context.Context, d db.LogoutDelivery) (string, error) {
	key, err := s.storage.SigningKeyFor(ctx, d.ClientID)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: key.SignatureAlgorithm(), Key: jose.JSONWebKey{Key: key.Key(), KeyID: key.ID()}},
		(&jose.SignerOptions{}).WithType("logout+jwt"),
	)
	if err != nil {
		return "", err
	}
	claims := oidc.NewLogoutTokenClaims(s.issuer, d.Sub, oidc.Audience{string(d.ClientID)}, time.Now().Add(logoutTokenLifetime), rand.Text(), d.SID, 0)
	return crypto.Sign(claims, signer)
}

// deliverLogout posts a logout token to a client (section 2.5). An error says no more than that it failed, and how: it is logged.
func (s *server) deliverLogout(ctx context.Context, d db.LogoutDelivery) error {
	token, err := s.logoutToken(ctx, d)
	if err != nil {
		return err
	}
	form := url.Values{"logout_token": {token}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.BackchannelLogoutURI, strings.NewReader(form.Encode()))
	if err != nil {
		return errors.New("the address can't be used")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.outbound.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the client answered %d", answer.StatusCode)
	}
	return nil
}

// logoutWorker tells clients of sign-outs, whichever way a session has ended.
func (s *server) logoutWorker() *db.LogoutWorker {
	return db.NewLogoutWorker(s.store, s.deliverLogout, db.LogoutOptions{Logger: s.logger, Interval: time.Second})
}

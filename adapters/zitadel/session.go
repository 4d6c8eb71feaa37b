package zitadel

import (
	"context"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/store"
)

// TerminateSessionFromRequest signs the user out of the session that the id_token_hint names (its sid):
// [store.Queries.EndSession], which also revokes what was granted in it and lacks offline_access. It returns where the
// browser goes: back to the client; or to Options.LogoutURL where the request does not prove who wants it (OpenID Connect
// RP-Initiated Logout 1.0, sections 2 and 6), and then nothing has ended.
func (s *Storage) TerminateSessionFromRequest(ctx context.Context, r *op.EndSessionRequest) (string, error) {
	trusted := false
	if r.IDTokenHintClaims != nil {
		c, err := s.client(ctx, r.ClientID)
		if err != nil {
			return "", err
		}
		trusted = deref(c.row.EnableEndSession)
	}
	if !trusted {
		if s.opts.LogoutURL == nil {
			return "", oidc.ErrInvalidRequest().WithDescription("an id_token_hint of a client that may end sessions is required")
		}
		return s.opts.LogoutURL(r), nil
	}
	session := r.IDTokenHintClaims.SessionID
	if session == "" {
		return r.RedirectURI, nil // granted outside of a session
	}
	// Whether there was anything to end, and whether it had ended before, is all the same to the browser.
	if _, err := s.store.EndSession(ctx, store.SessionID(session)); err != nil {
		return "", s.fault(ctx, err)
	}
	return r.RedirectURI, nil
}

// TerminateSession ends all that a user has granted to a client: [store.Queries.RevokeUserAuthorizationsByClient]. The library calls
// TerminateSessionFromRequest instead.
func (s *Storage) TerminateSession(ctx context.Context, userID, clientID string) error {
	c, err := s.client(ctx, clientID)
	if err != nil {
		return err
	}
	user, err := s.userOf(ctx, c.row, userID)
	if err != nil {
		return err
	}
	_, err = s.store.RevokeUserAuthorizationsByClient(ctx, store.RevokeUserAuthorizationsByClientParams{UserID: user, ClientID: c.row.ClientID})
	if err != nil {
		return s.fault(ctx, err)
	}
	return nil
}

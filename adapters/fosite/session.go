package fositedb

import (
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/rfc7523"
	"github.com/ory/fosite/token/jwt"

	"github.com/oauthdb/oauthdb/store"
)

// Session is a session of the library that says in which session of the user, and in which tenant, a grant is made. Sessions of other
// types serve too, if they marshal to JSON; their grants are made in no session, and their subject is the user's id.
type Session struct {
	*openid.DefaultSession
	// UserID is the user. The subject, by which the client knows the user, is another one where that is pairwise.
	UserID store.UserID `json:"-"`
	// SessionID is the session in which the user agrees: its end ends the grant, unless that has offline_access. Empty: in none.
	SessionID store.SessionID `json:"-"`
	// ReferenceID is the tenant in which the user agrees. Empty: in none.
	ReferenceID store.ReferenceID `json:"-"`
	// Extra are further claims of introspection, and of access tokens that are JWTs.
	Extra map[string]any `json:"extra,omitempty"`
}

var (
	_ openid.Session             = (*Session)(nil)
	_ rfc7523.Session            = (*Session)(nil)
	_ oauth2.JWTSessionContainer = (*Session)(nil)
	_ fosite.ExtraClaimsSession  = (*Session)(nil)
)

// NewSession returns a session of a user, for [fosite.OAuth2Provider.NewAuthorizeResponse]. For the token endpoint user and session are
// empty: they come from the database.
func NewSession(user store.UserID, session store.SessionID) *Session {
	s := &Session{DefaultSession: openid.NewDefaultSession(), UserID: user, SessionID: session}
	s.Subject, s.Claims.Subject = string(user), string(user)
	return s
}

// Clone implements fosite.Session.
func (s *Session) Clone() fosite.Session {
	if s == nil {
		return nil
	}
	c := *s
	c.DefaultSession = s.DefaultSession.Clone().(*openid.DefaultSession)
	c.Extra = maps.Clone(s.Extra)
	return &c
}

// GetExtraClaims implements fosite.ExtraClaimsSession.
func (s *Session) GetExtraClaims() map[string]any {
	if s.Extra == nil {
		s.Extra = map[string]any{}
	}
	return s.Extra
}

// GetJWTClaims implements oauth2.JWTSessionContainer: what a JWT access token says beside what the library adds.
func (s *Session) GetJWTClaims() jwt.JWTClaimsContainer {
	return &jwt.JWTClaims{Subject: s.Subject, Extra: maps.Clone(s.Extra)}
}

// GetJWTHeader implements oauth2.JWTSessionContainer.
func (s *Session) GetJWTHeader() *jwt.Headers { return &jwt.Headers{} }

// GrantedIn implements the interface by which a session says where a grant is made.
func (s *Session) GrantedIn() (store.SessionID, store.ReferenceID) { return s.SessionID, s.ReferenceID }

// grantedIn is what a session may implement.
type grantedIn interface {
	GrantedIn() (store.SessionID, store.ReferenceID)
}

// subjectOf is the user whom a session is about.
func subjectOf(session fosite.Session) string {
	if subject := session.GetSubject(); subject != "" {
		return subject
	}
	if s, ok := session.(openid.Session); ok {
		return s.IDTokenClaims().Subject
	}
	return ""
}

// kept is what oauth_authorization.data and oauth_access_token.data hold.
type kept struct {
	Session json.RawMessage `json:"session,omitempty"`
}

var errSession = errors.New("the session can't be marshalled to a JSON object")

// keep is what is kept of a session: what no column holds.
func keep(session fosite.Session, withSubject bool) (json.RawMessage, error) {
	clone := session.Clone()
	for _, of := range []fosite.TokenType{fosite.AccessToken, fosite.RefreshToken, fosite.AuthorizeCode, fosite.IDToken, fosite.PushedAuthorizeRequestContext} {
		if !clone.GetExpiresAt(of).IsZero() {
			clone.SetExpiresAt(of, time.Time{})
		}
	}
	if s, ok := clone.(interface{ SetSubject(string) }); ok && !withSubject {
		s.SetSubject("")
	}
	if s, ok := clone.(openid.Session); ok {
		c := s.IDTokenClaims()
		c.Subject, c.Nonce, c.JTI, c.AccessTokenHash, c.CodeHash = "", "", "", "", ""
		c.AuthTime, c.ExpiresAt, c.IssuedAt = time.Time{}, time.Time{}, time.Time{}
		c.AuthenticationContextClassReference, c.AuthenticationMethodsReferences = "", nil
	}
	text, err := json.Marshal(clone)
	if err != nil {
		return nil, errSession
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, errSession
	}
	dropEmpty(members, "expires_at", "username", "subject", "extra", "headers", "id_token_claims")
	for _, nested := range []string{"expires_at", "headers"} {
		if m, ok := members[nested].(map[string]any); ok {
			dropEmpty(m, "extra", "access_token", "refresh_token", "authorize_code", "id_token", "par_context")
		}
	}
	if m, ok := members["id_token_claims"].(map[string]any); ok {
		// not rat: a fresh session may have another one
		dropEmpty(m, "jti", "iss", "sub", "aud", "nonce", "exp", "iat", "auth_time", "at_hash", "acr", "amr", "c_hash", "ext")
	}
	dropEmpty(members, "expires_at", "headers", "id_token_claims")
	if len(members) == 0 {
		return nil, nil
	}
	if text, err = json.Marshal(members); err != nil {
		return nil, errSession
	}
	return json.Marshal(kept{Session: text})
}

// dropEmpty deletes members that say nothing.
func dropEmpty(m map[string]any, names ...string) {
	for _, name := range names {
		switch v := m[name].(type) {
		case nil:
			delete(m, name)
		case string:
			if v == "" || v == "0001-01-01T00:00:00Z" {
				delete(m, name)
			}
		case []any:
			if len(v) == 0 {
				delete(m, name)
			}
		case map[string]any:
			if len(v) == 0 {
				delete(m, name)
			}
		}
	}
}

// held is what columns hold of a session.
type held struct {
	subject   string // empty: not known yet, or there is none
	user      *store.UserID
	session   *store.SessionID
	reference *store.ReferenceID
	authTime  *time.Time
	acr       *string
	amr       []string
	ends      map[fosite.TokenType]*time.Time
}

// hydrate fills a session of the application's with what was kept of it, and with what the columns hold. It leaves nil as it is: the
// library passes none where it doesn't look at it.
func hydrate(session fosite.Session, data json.RawMessage, h held) error {
	if session == nil {
		return nil
	}
	var k kept
	if data != nil && json.Unmarshal(data, &k) == nil && k.Session != nil {
		if err := json.Unmarshal(k.Session, session); err != nil {
			return fosite.ErrServerError.WithHint("The session of a grant is of another type.")
		}
	}
	for of, end := range h.ends {
		session.SetExpiresAt(of, deref(end))
	}
	if s, ok := session.(*Session); ok {
		s.UserID, s.SessionID, s.ReferenceID = deref(h.user), deref(h.session), deref(h.reference)
	}
	if h.user == nil {
		return nil // a client's own token
	}
	setSubject(session, h.subject)
	if s, ok := session.(openid.Session); ok {
		c := s.IDTokenClaims()
		c.AuthTime, c.AuthenticationContextClassReference, c.AuthenticationMethodsReferences = deref(h.authTime), deref(h.acr), h.amr
	}
	return nil
}

// setSubject sets the subject by which the client knows the user.
func setSubject(session fosite.Session, subject string) {
	if s, ok := session.(interface{ SetSubject(string) }); ok {
		s.SetSubject(subject)
	}
	if s, ok := session.(openid.Session); ok {
		s.IDTokenClaims().Subject = subject
	}
}

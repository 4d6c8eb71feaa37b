package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// cookie is how the session's token travels. The prefix __Host- has browsers refuse it from subdomains and over http.
type cookie struct {
	name   string
	secure bool
}

// cookieFor is insecure for an issuer with http only, which is one of this machine (config.check).
func cookieFor(issuer string) cookie {
	if strings.HasPrefix(issuer, "http:") {
		return cookie{name: "session"}
	}
	return cookie{name: "__Host-session", secure: true}
}

func (c cookie) set(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: c.name, Value: value, Path: "/", MaxAge: maxAge, Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// minGainFraction of a session's lifetime has to be gained for an extension to be worth a write.
const minGainFraction = 10

// session is the one that the browser is signed in with, nil if it isn't. It slides.
func (s *server) session(w http.ResponseWriter, r *http.Request) (*store.FindSessionByTokenRow, error) {
	c, err := r.Cookie(s.cookie.name)
	if err != nil {
		return nil, nil
	}
	raw, err := token.Parse(token.SessionToken, c.Value)
	if err != nil {
		return nil, nil
	}
	row, err := s.store.FindSessionByToken(r.Context(), raw.Digest())
	switch {
	case db.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	extended, err := s.store.ExtendSession(r.Context(), store.ExtendSessionParams{
		ID: row.Session.ID, Lifetime: s.sessionLifetime, MaxLifetime: &s.maxSessionLifetime, MinGain: s.sessionLifetime / minGainFraction,
	})
	switch {
	case err != nil:
		return nil, err
	case extended.Outcome == store.OutcomeSignedOut:
		return nil, nil // it has ended in between
	case extended.Outcome == store.OutcomeExtended:
		s.cookie.set(w, raw.Reveal(), int(s.sessionLifetime.Seconds()))
	}
	row.Session.ExpiresAt = *extended.ExpiresAt
	return &row, nil
}

// authenticatedAt is when the user last gave the password in a session.
func authenticatedAt(session store.Session) time.Time {
	if session.AuthTime != nil {
		return *session.AuthTime
	}
	return session.CreatedAt
}

// recently is how long ago somebody may have signed in who changes how to sign in.
const recently = 10 * time.Minute

func isRecent(session *store.FindSessionByTokenRow) bool {
	return time.Since(authenticatedAt(session.Session)) < recently
}

// passwordAlone is how users sign in who give theirs (RFC 8176).
var passwordAlone = []string{"pwd"}

// begin signs a user in, with a new cookie whatever the browser had. Who is signed in already goes on in the same session: apps were
// granted access in it, which a second sign-in must not take from them. A session of somebody else in this browser ends. The outcome is
// created or authenticated; else the user is not one to sign in. amr says how it was done (RFC 8176).
func (s *server) begin(w http.ResponseWriter, r *http.Request, user store.UserID, amr []string) (store.Outcome, error) {
	before, err := s.session(w, r)
	if err != nil {
		return "", err
	}
	raw := token.Mint(token.SessionToken)
	if before != nil && before.User.ID == user {
		again, err := s.store.ReauthenticateSession(r.Context(), store.ReauthenticateSessionParams{
			ID: before.Session.ID, UserID: user, Token: new(raw.Digest()), AMR: amr,
		})
		if err != nil {
			return "", err
		}
		if again.Outcome == store.OutcomeAuthenticated {
			s.cookie.set(w, raw.Reveal(), int(s.sessionLifetime.Seconds()))
			return again.Outcome, nil
		}
		// It has ended in between.
	}
	created, err := s.store.CreateSession(r.Context(), store.CreateSessionParams{
		ID: store.NewSessionID(), UserID: user, Token: raw.Digest(), Lifetime: min(s.sessionLifetime, s.maxSessionLifetime),
		MaxSessions: s.maxSessions, IPAddress: new(s.address(r).String()), UserAgent: new(storable(r.UserAgent(), 512)), AMR: amr,
	})
	if err != nil || created.Outcome != store.OutcomeCreated {
		return created.Outcome, err
	}
	if before != nil && before.User.ID != user {
		if _, err := s.store.EndSession(r.Context(), before.Session.ID); err != nil {
			return "", err
		}
	}
	s.cookie.set(w, raw.Reveal(), int(s.sessionLifetime.Seconds()))
	return created.Outcome, nil
}

// address is the browser's.
func (s *server) address(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if s.behindProxy {
		forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if last := strings.TrimSpace(forwarded[len(forwarded)-1]); last != "" {
			host = last
		}
	}
	addr, _ := netip.ParseAddr(host)
	return addr.Unmap().WithZone("")
}

// storable is text as PostgreSQL can hold it, cut to a length.
func storable(text string, length int) string {
	text = strings.ReplaceAll(text, "\x00", "")
	return strings.ToValidUTF8(text[:min(len(text), length)], "")
}

// expireNow is a cookie's MaxAge.
const expireNow = -1

// distantPast is before the first row of every list.
var distantPast time.Time

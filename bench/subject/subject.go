// Package subject holds what the benchmark compares: ways to do one and the same work for an authorization server on
// PostgreSQL. All of them get the same input, work on the same tables and say so when the outcome is not the one that the input
// calls for, so that none is fast by failing.
package subject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Work is one kind of operation.
type Work string

// The works, in the order in which they are reported.
const (
	IntrospectHit   Work = "introspect-hit"   // a live access token
	IntrospectBound Work = "introspect-bound" // the same of a family that ends with its session
	IntrospectMiss  Work = "introspect-miss"  // a token that never was
	Redeem          Work = "redeem"           // an authorization code, for an access and a refresh token
	Rotate          Work = "rotate"           // the current refresh token of a family, for the next and an access token
	Retry           Work = "retry"            // the predecessor of a current refresh token, again, within the grace interval
	Revoke          Work = "revoke"           // a refresh token by its client (RFC 7009), and with it the grant
	Consent         Work = "consent"          // the consent of a user to a client
	Client          Work = "client"           // a client by its public identifier
	EndSession      Work = "end-session"      // a session and what it has granted
)

// Works are all of them, in the order in which they are reported.
var Works = []Work{IntrospectHit, IntrospectBound, IntrospectMiss, Redeem, Rotate, Retry, Revoke, Consent, Client, EndSession}

// Lifetimes of what is issued, the same for all subjects.
const (
	AccessTokenLifetime  = time.Hour
	RefreshTokenLifetime = 30 * 24 * time.Hour
	FamilyLifetime       = 365 * 24 * time.Hour
	Grace                = 24 * time.Hour // so long that a retry in a benchmark is always within it
)

// Case is the input of one operation.
type Case struct {
	// Presented is the digest of what the caller presents: an access token (Introspect...), a code (Redeem), a refresh token
	// (Rotate, Retry, Revoke), or a session's cookie (unused by EndSession, which has SessionID).
	Presented token.Digest

	ClientID        store.ClientID
	AuthorizationID store.AuthorizationID // IntrospectHit, IntrospectBound: the family of the token
	UserID          store.UserID          // Consent
	SessionID       store.SessionID       // EndSession

	// Redeem: what the code is bound to.
	RedirectURI   string
	CodeChallenge string // S256

	// Redeem, Rotate, Retry: what is to be written. A retry names the successor that there is already.
	AccessToken    token.Digest
	AccessTokenID  store.AccessTokenID
	RefreshToken   token.Digest
	RefreshTokenID store.RefreshTokenID
}

// ErrUnsupported is what Do returns for a work that the subject's design has no answer to.
var ErrUnsupported = errors.New("the design has no such operation")

// Subject is one way to do the works.
type Subject struct {
	Name     string // short and stable: it is the key of results
	Describe string // what it is, in one sentence
	Works    []Work `json:"-"` // that it has; nil is all

	// Open connects to the database at url, which has a query, with conns connections that are all open when it returns.
	Open func(ctx context.Context, url string, conns int) (Session, error) `json:"-"`
}

// Supports says whether the design has the operation at all.
func (s Subject) Supports(w Work) bool { return s.Works == nil || slices.Contains(s.Works, w) }

// Session does the works, from up to conns goroutines at a time.
type Session interface {
	// Do does one operation. It returns an error unless the outcome is the one that the work calls for: found and live for a
	// hit, absent for a miss, redeemed, rotated and so on.
	Do(ctx context.Context, w Work, c *Case) error
	Close()
}

// filled makes a pool open all its connections, so that none is opened while the clock runs.
func filled(ctx context.Context, pool *pgxpool.Pool, err error) (*pgxpool.Pool, error) {
	if err != nil {
		return nil, err
	}
	var held []*pgxpool.Conn
	for range pool.Config().MaxConns {
		c, failed := pool.Acquire(ctx)
		if err = failed; err != nil {
			break
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Release()
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open all connections: %w", err)
	}
	return pool, nil
}

// Package workload says what each work of the benchmark is done on: which rows have to be there before, the input of every operation,
// and what has to be there afterwards.
package workload

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/subject"
)

// Load is one work on one database with a number of connections.
type Load struct {
	Work  subject.Work
	Data  dataset.Data
	Conns int
	Run   int64 // from 1, of the planted families
	Ops   int64 // of each connection
}

// familiesOfConn is how many families a connection rotates in turn: more than one, so that it does not wait for its own last
// version of a row, and few, since they are planted for each run.
const familiesOfConn = 64

// Consumes reports whether an operation uses up what it is done on, so that as many have to be planted.
func Consumes(w subject.Work) bool {
	return w == subject.Redeem || w == subject.Revoke || w == subject.EndSession
}

// Plants reports whether a work has rows of its own.
func Plants(w subject.Work) bool { return Consumes(w) || w == subject.Rotate || w == subject.Retry }

// Planted is how many families have to be planted, if Plants, and where they stand.
func (l Load) Planted() (count int64, state dataset.State) {
	count, state = int64(l.Conns)*familiesOfConn, dataset.WithRefresh
	if Consumes(l.Work) {
		count = int64(l.Conns) * l.Ops
	}
	switch l.Work {
	case subject.Redeem:
		state = dataset.WithCode
	case subject.Retry:
		state = dataset.Rotated
	case subject.EndSession:
		state = dataset.OwnedSession
	}
	return count, state
}

// Cases are the inputs of the operations of one connection, in order.
func (l Load) Cases(conn int) []subject.Case {
	d, first := l.Data, dataset.First(l.Run)
	random := rand.New(rand.NewPCG(uint64(l.Run), uint64(conn)))
	cases := make([]subject.Case, l.Ops)
	for n := range l.Ops {
		c := &cases[n]
		issue := func(f, refresh, access int64) {
			c.RefreshToken, c.RefreshTokenID = dataset.Refresh(f, refresh), dataset.RefreshID(f, refresh)
			c.AccessToken, c.AccessTokenID = dataset.Access(f, access), dataset.AccessID(f, access)
		}
		f := random.Int64N(d.Families)
		switch l.Work {
		case subject.IntrospectHit, subject.IntrospectBound: // one of those that haven't expired
			for dataset.Expired(f) || dataset.Bound(f) != (l.Work == subject.IntrospectBound) {
				f = random.Int64N(d.Families)
			}
			c.Presented, c.AuthorizationID = dataset.Access(f, 3), dataset.Authorization(f)
		case subject.IntrospectMiss:
			c.Presented = dataset.Access(f, 9)
		case subject.Consent:
			f %= d.Users
			c.UserID = dataset.User(f)
		case subject.Client:
		case subject.Rotate, subject.Retry:
			f = first + int64(conn)*familiesOfConn + n%familiesOfConn
			generation := n / familiesOfConn
			c.Presented = dataset.Refresh(f, generation)
			issue(f, generation+1, generation+1)
			if l.Work == subject.Retry {
				c.Presented = dataset.Refresh(f, 0)
				issue(f, 1, generation+2)
			}
		default:
			f = first + int64(conn)*l.Ops + n
			c.Presented, c.SessionID = dataset.Refresh(f, 0), dataset.Session(f)
			if l.Work == subject.Redeem {
				c.Presented, c.RedirectURI, c.CodeChallenge = dataset.Code(f), dataset.RedirectURI, dataset.CodeChallenge
				issue(f, 0, 0)
			}
		}
		c.ClientID = dataset.Client(d.ClientOf(f))
	}
	return cases
}

// Verify checks that a run has left done operations in the tables, no more and no fewer.
func (l Load) Verify(ctx context.Context, conn *pgx.Conn, done int64) error {
	count, _ := l.Planted()
	first, last := dataset.Authorization(dataset.First(l.Run)), dataset.Authorization(dataset.First(l.Run+1)-1)
	query, before := "", int64(0)
	switch l.Work {
	case subject.Redeem:
		query = "oauth_authorization AS a WHERE a.redeemed_at IS NOT NULL AND a.revoked_at IS NULL"
	case subject.Rotate:
		query, before = "oauth_authorization AS a JOIN oauth_refresh_token AS t ON t.authorization_id = a.id WHERE a.revoked_at IS NULL", count
	case subject.Retry:
		query, before = "oauth_authorization AS a JOIN oauth_access_token AS t ON t.authorization_id = a.id WHERE a.revoked_at IS NULL", 2*count
	case subject.Revoke:
		query = "oauth_authorization AS a WHERE a.revoked_at IS NOT NULL"
	case subject.EndSession:
		query = "oauth_authorization AS a JOIN session AS s ON s.id = a.session_id WHERE s.ended_at IS NOT NULL"
	default:
		return nil
	}
	var found int64
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+query+" AND a.id BETWEEN $1 AND $2", first, last).Scan(&found); err != nil {
		return err
	}
	if found -= before; found != done {
		return fmt.Errorf("%s: %d operations were counted, but the tables show %d", l.Work, done, found)
	}
	return nil
}

// Package workload says what each work of the benchmark is done on: which rows have to be there before, and the input of every
// operation, in Go and as a script for pgbench, which present the same.
package workload

import (
	"fmt"
	"math/rand/v2"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/subject"
)

// Load is one work on one database with a number of connections.
type Load struct {
	Work  subject.Work
	Data  dataset.Data
	Conns int
	Run   int64 // of the seed
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

// Seed is what has to be planted, if Plants.
func (l Load) Seed(peer bool) dataset.Seed {
	s := dataset.Seed{Run: l.Run, Peer: peer, Count: int64(l.Conns) * familiesOfConn}
	if Consumes(l.Work) {
		s.Count = int64(l.Conns) * l.Ops
	}
	switch l.Work {
	case subject.Redeem:
		s.State = dataset.WithCode
	case subject.Retry:
		s.State = dataset.Rotated
	case subject.EndSession:
		s.State = dataset.OwnedSession
	default:
		s.State = dataset.WithRefresh
	}
	return s
}

// Cases are the inputs of the operations of one connection, in order.
func (l Load) Cases(conn int) []subject.Case {
	d, s := l.Data, l.Seed(false)
	random := rand.New(rand.NewPCG(uint64(l.Run), uint64(conn)))
	cases := make([]subject.Case, l.Ops)
	for n := range l.Ops {
		c := &cases[n]
		switch l.Work {
		case subject.IntrospectHit:
			f := random.Int64N(d.Families/dataset.ExpiredEvery)*dataset.ExpiredEvery + random.Int64N(dataset.ExpiredEvery-1)
			c.Presented, c.ClientID = dataset.Digest(dataset.KindAccess, 4*f+3, 0), dataset.Client(d.ClientOf(f))
		case subject.IntrospectExpired:
			f := random.Int64N(d.Families/dataset.ExpiredEvery)*dataset.ExpiredEvery + dataset.ExpiredEvery - 1
			c.Presented, c.ClientID = dataset.Digest(dataset.KindAccess, 4*f+3, 0), dataset.Client(d.ClientOf(f))
		case subject.IntrospectMiss:
			c.Presented, c.ClientID = dataset.Digest("m", random.Int64N(d.AccessTokens), 0), dataset.Client(0)
		case subject.Consent:
			u := random.Int64N(d.Users)
			c.ClientID, c.UserID = dataset.Client(d.ClientOf(u)), dataset.User(u)
		case subject.Client:
			c.ClientID = dataset.Client(d.ClientOf(random.Int64N(d.Families)))
		case subject.Rotate:
			i, generation := int64(conn)*familiesOfConn+n%familiesOfConn, n/familiesOfConn
			c.Presented, c.ClientID = s.Refresh(i, generation), dataset.Client(d.ClientOf(i))
			c.RefreshToken, c.RefreshTokenID = s.Refresh(i, generation+1), s.RefreshID(i, generation+1)
			c.AccessToken, c.AccessTokenID = s.Access(i, generation+1), s.AccessID(i, generation+1)
		case subject.Retry:
			i, generation := int64(conn)*familiesOfConn+n%familiesOfConn, n/familiesOfConn
			c.Presented, c.ClientID = s.Refresh(i, 0), dataset.Client(d.ClientOf(i))
			c.RefreshToken, c.RefreshTokenID = s.Refresh(i, 1), s.RefreshID(i, 1)
			c.AccessToken, c.AccessTokenID = s.Access(i, generation+1), s.AccessID(i, generation+1)
		default:
			i := int64(conn)*l.Ops + n
			c.ClientID = dataset.Client(d.ClientOf(i))
			switch l.Work {
			case subject.Redeem:
				c.Presented, c.RedirectURI, c.CodeChallenge = s.Code(i), dataset.RedirectURI, dataset.CodeChallenge
				c.RefreshToken, c.RefreshTokenID = s.Refresh(i, 1), s.RefreshID(i, 1)
				c.AccessToken, c.AccessTokenID = s.Access(i, 1), s.AccessID(i, 1)
			case subject.Revoke:
				c.Presented = s.Refresh(i, 0)
			case subject.EndSession:
				c.SessionID = s.Session(i)
			default:
				panic(fmt.Sprintf("no such work: %q", l.Work))
			}
		}
	}
	return cases
}

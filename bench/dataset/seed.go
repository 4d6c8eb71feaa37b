package dataset

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Seed is a number of families beside the data, for one run that uses them up. Their names begin with the number of the run.
type Seed struct {
	Run   int64
	Count int64
	State State
	Peer  bool // in the table of go-oauth2 instead of ours
}

// State is where the families of a seed stand.
type State int

// The states.
const (
	WithCode     State = iota // approved, with a code that was not redeemed yet
	WithRefresh               // with a refresh token that was not used yet, and an access token
	Rotated                   // with a spent refresh token and its successor
	OwnedSession              // like WithRefresh, each with a session of its own, and without offline_access
)

// seedBase is above the number of everything in the data.
const seedBase = 1_000_000_000_000

func (s Seed) number(i int64) int64 { return seedBase + s.Run*1_000_000 + i }

func (s Seed) kind(kind string) string { return fmt.Sprintf("x%d%s", s.Run, kind) }

// SeedBase is what the numbers of a seed's families and sessions begin with, for SQL.
func SeedBase(run int64) string { return strconv.FormatInt(Seed{Run: run}.number(0), 10) }

// Code is the digest of the code of the i-th family.
func (s Seed) Code(i int64) token.Digest { return Digest(s.kind(KindCode), i, 0) }

// Refresh is the digest of the refresh token of a generation, from 0, of the i-th family.
func (s Seed) Refresh(i, generation int64) token.Digest {
	return Digest(s.kind(KindRefresh), i, generation)
}

// Access is the digest of the access token of a generation, from 1 in what a run issues, of the i-th family.
func (s Seed) Access(i, generation int64) token.Digest {
	return Digest(s.kind(KindAccess), i, generation)
}

// RefreshID is the identifier of a refresh token; they grow as the run goes on, as those do that store makes.
func (s Seed) RefreshID(i, generation int64) store.RefreshTokenID {
	return store.RefreshTokenID(s.id("rtk_", i, generation))
}

// AccessID is the identifier of an access token.
func (s Seed) AccessID(i, generation int64) store.AccessTokenID {
	return store.AccessTokenID(s.id("atk_", i, generation))
}

func (s Seed) id(prefix string, i, generation int64) string {
	return fmt.Sprintf("%s0191%06d%010d%012d", prefix, s.Run, generation, i)
}

// Session is the session of the i-th family of a seed with OwnedSession.
func (s Seed) Session(i int64) store.SessionID { return Session(s.number(i)) }

// Plant writes the families.
func (s *Server) Plant(ctx context.Context, d Data, seed Seed) error {
	conn, err := s.Connect(ctx, d.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SET synchronous_commit = off"); err != nil {
		return err
	}
	for _, t := range d.seedTables(seed, time.Now()) {
		if err := copyRows(ctx, conn, t); err != nil {
			return err
		}
	}
	return nil
}

func (d Data) seedTables(seed Seed, now time.Time) []table {
	created, live, ends := stamp(now.Add(-time.Minute)), stamp(now.Add(24*time.Hour)), stamp(now.Add(365*24*time.Hour))
	if seed.Peer {
		return []table{{
			"oauth2_token", "created_at, expires_at, code, access, refresh, data",
			seed.Count, func(b []byte, i int64) []byte {
				p := peer{client: d.ClientOf(i), user: d.UserOf(i)}
				if seed.State == WithCode {
					p.code = seed.Code(i)
				} else {
					p.access, p.refresh = seed.Access(i, 0), seed.Refresh(i, 0)
				}
				return peerRow(b, now.Add(-time.Minute), p)
			},
		}}
	}
	granted, session := scopes, func(i int64) string { return string(Session(d.UserOf(i))) }
	if seed.State == OwnedSession {
		granted, session = onlineScopes, func(i int64) string { return string(seed.Session(i)) }
	}
	var tables []table
	if seed.State == OwnedSession {
		tables = append(tables, table{
			"session", "id, expires_at, token, user_id, ip_address, user_agent",
			seed.Count, func(b []byte, i int64) []byte {
				return sessionRow(b, session(i), string(Digest(seed.kind(KindSession), i, 0)), d.UserOf(i), live)
			},
		}, table{
			"session_client", sessionClientColumns,
			seed.Count, func(b []byte, i int64) []byte { return sessionClientRow(b, session(i), d.ClientOf(i), d.UserOf(i)) },
		})
	}
	tables = append(tables, table{
		"oauth_authorization", authorizationColumns,
		seed.Count, func(b []byte, i int64) []byte {
			a := authorization{
				id: string(Authorization(seed.number(i))), client: d.ClientOf(i), user: d.UserOf(i), session: session(i),
				code: string(seed.Code(i)), codeExpires: live, created: created, scopes: granted,
			}
			if seed.State != WithCode {
				a.redeemed, a.redeemedAs, a.ends = created, string(seed.AccessID(i, 0)), ends
			}
			return authorizationRow(b, a)
		},
	})
	if seed.State == WithCode {
		return tables
	}
	refresh := func(i, generation int64) refreshToken {
		return refreshToken{
			id: string(seed.RefreshID(i, generation)), token: string(seed.Refresh(i, generation)), client: d.ClientOf(i), user: d.UserOf(i),
			session: session(i), expires: live, scopes: granted, authorization: string(Authorization(seed.number(i))), created: created,
		}
	}
	generations := int64(1)
	if seed.State == Rotated {
		generations = 2
	}
	return append(tables, table{
		"oauth_refresh_token",
		refreshTokenColumns,
		generations * seed.Count, func(b []byte, n int64) []byte {
			i, generation := n/generations, n%generations
			t := refresh(i, generation)
			if generation < generations-1 {
				t.revoked, t.successor, t.successorID = created, string(seed.Refresh(i, generation+1)), string(seed.RefreshID(i, generation+1))
			}
			return refreshTokenRow(b, t)
		},
	}, table{
		"oauth_access_token", accessTokenColumns,
		seed.Count, func(b []byte, i int64) []byte {
			return accessTokenRow(b, accessToken{
				id: string(seed.AccessID(i, 0)), token: string(seed.Access(i, 0)), client: d.ClientOf(i), user: d.UserOf(i), session: session(i),
				refresh: string(seed.RefreshID(i, generations-1)), expires: live, scopes: granted, authorization: string(Authorization(seed.number(i))),
				created: created,
			})
		},
	})
}

// Uproot deletes what is left of all seeds, and of what runs have issued.
func (s *Server) Uproot(ctx context.Context, d Data) error {
	conn, err := s.Connect(ctx, d.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	first := Seed{}.number(0)
	batch := &pgx.Batch{}
	batch.Queue("SET synchronous_commit = off")
	batch.Queue("DELETE FROM oauth_authorization WHERE id >= $1 AND id < 'azo'", string(Authorization(first)))
	batch.Queue("DELETE FROM session WHERE id >= $1 AND id < 'set'", string(Session(first)))
	batch.Queue("DELETE FROM session_client WHERE session_id >= $1 AND session_id < 'set'", string(Session(first)))
	batch.Queue("DELETE FROM oauth2_token WHERE id > $1", d.Families)
	return conn.SendBatch(ctx, batch).Close()
}

// Vacuum does what autovacuum would do at some time in between, had it not been told to keep still.
func (s *Server) Vacuum(ctx context.Context, d Data) error {
	conn, err := s.Connect(ctx, d.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "VACUUM (ANALYZE)")
	return err
}

// SeedAuthorization is the identifier of the i-th family of a run.
func SeedAuthorization(run, i int64) string { return string(Authorization(Seed{Run: run}.number(i))) }

package zitadel

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/sync/singleflight"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Storage is everything that the library asks of its storage and that the store can serve. It keeps nothing in memory that a
// grant needs, so any number of servers may share a database. It is safe for concurrent use. Serve it by [NewProvider].
type Storage struct {
	db         DB
	store      *store.Queries
	opts       Options
	successors *token.Successors
	sealer     *sealer
	keys       keyCache
	nonces     nonces
	fetcher    fetcher
	fetches    singleflight.Group // of clients' metadata documents
}

var (
	_ op.Storage                        = (*Storage)(nil)
	_ op.ClientCredentialsStorage       = (*Storage)(nil)
	_ op.JWTProfileTokenStorage         = (*Storage)(nil)
	_ op.CanTerminateSessionFromRequest = (*Storage)(nil)
	_ op.CanSetUserinfoFromRequest      = (*Storage)(nil)
	_ op.CanGetPrivateClaimsFromRequest = (*Storage)(nil)
)

// DB is a pool of connections, a *pgxpool.Pool as a rule (db.Open). It must not be a transaction that a request runs in: what ends
// a family, because a code or a refresh token came back, is written by the statement that refuses, and a ROLLBACK would undo it.
type DB interface {
	store.DBTX
	Ping(ctx context.Context) error
}

// New returns a Storage on a migrated database. It sends nothing to it. The error says which option can't be used, and nothing
// of its value.
func New(db DB, opts Options) (*Storage, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	successors, err := token.NewSuccessors(opts.SuccessorKeys...)
	if err != nil {
		return nil, err
	}
	sealer, err := newSealer(opts.KeyEncryptionKeys)
	if err != nil {
		return nil, err
	}
	nonces, err := newNonces(opts.SuccessorKeys)
	if err != nil {
		return nil, err
	}
	s := &Storage{nonces: nonces, db: db, store: store.New(db), opts: opts, successors: successors, sealer: sealer, fetcher: newFetcher(opts.HTTPClient)}
	if s.opts.JWKS == nil {
		published, err := newPublished(s.fetch)
		if err != nil {
			return nil, err
		}
		s.opts.JWKS = published.keys
	}
	return s, nil
}

// Health says whether the database answers.
func (s *Storage) Health(ctx context.Context) error {
	if err := s.db.Ping(ctx); err != nil {
		return s.fault(ctx, err)
	}
	return nil
}

// ErrStore is wrapped by the server_error that each method returns when the database gave no answer. It holds nothing of the
// reason, since the library shows some errors to clients; Options.Logger is told.
var ErrStore = errors.New("the database gave no answer")

// fault turns an error that is not an answer into a server_error, and has the Provider answer so, whatever the library makes
// of it: at several endpoints it would take any error of the storage for a statement about the token.
func (s *Storage) fault(ctx context.Context, err error) *oidc.Error {
	if x := exchangeFrom(ctx); x != nil {
		x.fault = true
	}
	level := slog.LevelError
	if db.IsCanceled(err) {
		level = slog.LevelDebug // whoever asked has gone
	}
	s.opts.Logger.Log(ctx, level, "database fault", "error", db.Describe(err))
	return oidc.ErrServerError().WithParent(ErrStore)
}

// storable reports whether PostgreSQL can hold the texts: what is not UTF-8 or has a NUL in it is nobody's id, and refused
// as such, where the server would report an error that looks like a fault.
func storable(texts ...string) bool {
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return false
		}
	}
	return true
}

// optional is nil for an absent parameter.
func optional[T ~string](s T) *string {
	if s == "" {
		return nil
	}
	return new(string(s))
}

// deref is the value that p points to, or the zero value.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

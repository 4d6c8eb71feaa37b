package fositedb

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"
	"github.com/ory/fosite/handler/rfc7523"
	"github.com/ory/fosite/storage"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Store is everything that compose.ComposeAllEnabled asks of a storage. It keeps nothing in memory that a grant needs, so any number of
// servers may share a database. It is safe for concurrent use.
type Store struct {
	queries    *store.Queries
	opts       Options
	successors *token.Successors // nil: strict
}

var (
	_ fosite.Storage                                      = (*Store)(nil)
	_ fosite.PARStorage                                   = (*Store)(nil)
	_ oauth2.CoreStorage                                  = (*Store)(nil)
	_ oauth2.TokenRevocationStorage                       = (*Store)(nil)
	_ oauth2.ClientCredentialsGrantStorage                = (*Store)(nil)
	_ oauth2.ResourceOwnerPasswordCredentialsGrantStorage = (*Store)(nil)
	_ openid.OpenIDConnectRequestStorage                  = (*Store)(nil)
	_ pkce.PKCERequestStorage                             = (*Store)(nil)
	_ rfc7523.RFC7523KeyStorage                           = (*Store)(nil)
	_ storage.Transactional                               = (*Store)(nil)
)

// New returns a Store on a migrated database. pool is a pool of connections, a *pgxpool.Pool as a rule (db.Open). It must not be a
// transaction that a request runs in: what ends a family, because a code or a refresh token came back, is written by the statement that
// refuses, and a ROLLBACK would undo it. New sends nothing to the database.
func New(pool store.DBTX, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{queries: store.New(pool), opts: opts}
	if opts.SuccessorKeys != nil {
		if s.successors, err = token.NewSuccessors(opts.SuccessorKeys...); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Configure sets what a Store needs in a configuration, before it is composed. Secrets of clients are compared by the database
// (ClientSecretsHasher), client assertions are remembered for the client that made them, and who isn't authenticated is told so
// (ClientAuthenticationStrategy). Scopes and audiences are compared whole, as the database does, where the configuration doesn't say
// otherwise.
func (s *Store) Configure(config *fosite.Config) {
	config.ClientSecretsHasher = hasher{s}
	config.ClientAuthenticationStrategy = s.clientAuthentication(config)
	if config.ScopeStrategy == nil {
		config.ScopeStrategy = fosite.ExactScopeStrategy
	}
	if config.AudienceMatchingStrategy == nil {
		config.AudienceMatchingStrategy = fosite.ExactAudienceMatchingStrategy
	}
}

// ErrStore is wrapped by the errors that the methods return when the database gave no answer. It holds nothing of the reason, since the
// library shows some errors to clients; Options.Logger is told.
var ErrStore = errors.New("the database gave no answer")

// errUnstorable: a client has sent what PostgreSQL can't store, or what is too long.
var errUnstorable = errors.New("a parameter can't be stored")

// fault turns an error that is not an answer into one of the library's: a conflict into fosite.ErrSerializationFailure, what can't be stored
// into fosite.ErrInvalidRequest, everything else into fosite.ErrServerError.
func (s *Store) fault(ctx context.Context, err error) error {
	level := slog.LevelError
	if db.IsCanceled(err) {
		level = slog.LevelDebug // whoever asked has gone
	}
	if db.IsUnstorable(err) || db.IsCheckViolation(err) {
		s.opts.Logger.Log(ctx, slog.LevelDebug, "a parameter was refused", "error", db.Describe(err))
		return fosite.ErrInvalidRequest.WithWrap(errUnstorable)
	}
	s.opts.Logger.Log(ctx, level, "database fault", "error", db.Describe(err))
	told := fosite.ErrServerError
	if isConflict(err) {
		told = fosite.ErrSerializationFailure
	}
	told = told.WithWrap(ErrStore)
	if x := exchangeFrom(ctx); x != nil {
		x.fault = told
	}
	return told
}

// isConflict reports whether the server undid a statement for the sake of another (SQLSTATE 40001, 40P01).
func isConflict(err error) bool {
	var e interface{ SQLState() string }
	return errors.As(err, &e) && (e.SQLState() == "40001" || e.SQLState() == "40P01")
}

// signatureLabel keeps the digest of a signature apart from that of a token.
const signatureLabel = "fosite signature\x00"

// digestOf is what stands in the database for a signature. One of 256 bits in base64url, as HMAC-SHA-512/256 gives, is stored as it is;
// others, those of JWTs for instance, by their digest.
func digestOf(signature string) token.Digest {
	if d, err := token.ParseDigest(signature); err == nil {
		return d
	}
	return token.DigestOf(signatureLabel + signature)
}

// lifetime is for how long from now something shall last that the library has given an end.
func lifetime(session fosite.Session, of fosite.TokenType) time.Duration {
	end := session.GetExpiresAt(of)
	if end.IsZero() {
		return 0 // refused by name
	}
	return max(time.Until(end).Round(time.Second), time.Second)
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

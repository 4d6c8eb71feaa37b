package zitadel

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// rsaBits is the least that RFC 7518, section 3.3 allows, and what signs fastest.
const rsaBits = 2048

// signingKey is a decrypted key pair.
type signingKey struct {
	id         string
	algorithm  jose.SignatureAlgorithm
	key        crypto.Signer
	ciphertext string
}

var _ op.SigningKey = (*signingKey)(nil)

func (k *signingKey) ID() string                                  { return k.id }
func (k *signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k *signingKey) Key() any                                    { return k.key }

// publicKey is a published key.
type publicKey struct {
	jwk       jose.JSONWebKey
	expiresAt *time.Time // when it is published no more
}

var _ op.Key = (*publicKey)(nil)

func (k *publicKey) ID() string { return k.jwk.KeyID }
func (k *publicKey) Algorithm() jose.SignatureAlgorithm {
	return jose.SignatureAlgorithm(k.jwk.Algorithm)
}
func (k *publicKey) Use() string { return oidc.KeyUseSignature }
func (k *publicKey) Key() any    { return k.jwk.Key }

// keyCache keeps decrypted keys, which don't change, so that each is parsed once; and for keyCheck which of them signs.
type keyCache struct {
	mu        sync.Mutex
	keys      map[store.SigningKeyID]*signingKey
	current   map[jose.SignatureAlgorithm]currentKey
	algorithm jose.SignatureAlgorithm // the one by default, once it is known
	published []publicKey
	fetched   time.Time
}

type currentKey struct {
	*signingKey
	until time.Time
}

const (
	// maxCachedKeys is far more than are in use at a time.
	maxCachedKeys = 16
	// keyCheck is for how long a server signs without asking which key signs, and so for how long a key that was deleted may go on. A key
	// that was replaced may go on for KeyLeadTime, which is less where it is set so: it is published for so much longer than what it has
	// signed (RetireSigningKeys).
	keyCheck = time.Minute
)

func (c *keyCache) get(row store.SigningKey) *signingKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.keys[row.ID]; k != nil && k.ciphertext == row.PrivateKey {
		return k
	}
	return nil
}

func (c *keyCache) put(row store.SigningKey, k *signingKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= maxCachedKeys {
		c.keys = make(map[store.SigningKeyID]*signingKey)
	}
	c.keys[row.ID] = k
}

// signs is the key that signs, if that was found out a short while ago.
func (c *keyCache) signs(alg jose.SignatureAlgorithm) (*signingKey, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, found := c.current[alg]
	return k.signingKey, found && time.Now().Before(k.until)
}

func (c *keyCache) setCurrent(alg jose.SignatureAlgorithm, k *signingKey, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		c.current = make(map[jose.SignatureAlgorithm]currentKey)
	}
	c.current[alg] = currentKey{k, until}
}

// used are the algorithms by which this server has signed.
func (c *keyCache) used() []jose.SignatureAlgorithm {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.current))
}

// forget has the next signature ask again which key signs.
func (c *keyCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.current)
	c.published, c.fetched = nil, time.Time{}
}

// SigningKey returns the key to sign with, for a minute without asking: [store.Queries.FindCurrentSigningKey]. If there is none yet, it
// makes one and asks again. Of servers that start together, one makes it ([store.Queries.RotateSigningKeyIfDue]).
func (s *Storage) SigningKey(ctx context.Context) (op.SigningKey, error) {
	return signing{s, nil}.SigningKey(ctx)
}

// signing is a Storage that signs by the algorithm that a client has registered, if that is offered.
type signing struct {
	*Storage
	registered *string
}

// SigningKey implements op.AuthStorage.
func (s signing) SigningKey(ctx context.Context) (op.SigningKey, error) {
	algorithm, err := s.defaultAlgorithm(ctx)
	if err != nil {
		return nil, err
	}
	if alg := jose.SignatureAlgorithm(deref(s.registered)); slices.Contains(s.offered(algorithm), alg) {
		algorithm = alg
	}
	key, err := s.signingKey(ctx, algorithm)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// SigningKeyFor returns the key for what a client verifies as it does its ID tokens, such as logout tokens (OpenID Connect Back-Channel
// Logout 1.0, section 2.4): [store.Queries.GetClient], [store.Queries.FindCurrentSigningKey].
func (s *Storage) SigningKeyFor(ctx context.Context, clientID store.ClientID) (op.SigningKey, error) {
	row, err := s.store.GetClient(ctx, clientID)
	if err != nil && !db.IsNotFound(err) {
		return nil, s.fault(ctx, err)
	}
	var registered struct {
		Algorithm *string `json:"id_token_signed_response_alg"`
	}
	if row.Metadata != nil && json.Unmarshal(row.Metadata, &registered) != nil {
		registered.Algorithm = nil // no text, so none that is offered
	}
	return signing{s, registered.Algorithm}.SigningKey(ctx)
}

// prepareKeys looks up, for what is about to be signed, the keys whose time is over.
func (s *Storage) prepareKeys(ctx context.Context) error {
	if _, err := s.SigningKey(ctx); err != nil {
		return err
	}
	for _, alg := range s.keys.used() {
		if _, err := s.signingKey(ctx, alg); err != nil {
			return err
		}
	}
	return nil
}

// defaultAlgorithm signs for clients that have registered none.
func (s *Storage) defaultAlgorithm(ctx context.Context) (jose.SignatureAlgorithm, error) {
	if s.opts.SigningAlgorithm != "" {
		return s.opts.SigningAlgorithm, nil
	}
	s.keys.mu.Lock()
	known := s.keys.algorithm
	s.keys.mu.Unlock()
	if known != "" {
		return known, nil
	}
	algorithm := DefaultSigningAlgorithm
	for _, candidate := range []jose.SignatureAlgorithm{DefaultSigningAlgorithm, jose.RS256} {
		switch _, err := s.currentKey(ctx, candidate); {
		case err == nil:
			algorithm = candidate
		case db.IsNotFound(err):
			continue
		default:
			return "", s.fault(ctx, err)
		}
		break
	}
	s.keys.mu.Lock()
	s.keys.algorithm = algorithm
	s.keys.mu.Unlock()
	return algorithm, nil
}

// offered are the algorithms that clients may register, the default first.
func (s *Storage) offered(algorithm jose.SignatureAlgorithm) []jose.SignatureAlgorithm {
	switch {
	case algorithm == jose.ES256:
		return []jose.SignatureAlgorithm{jose.ES256, jose.RS256}
	case s.opts.SigningAlgorithm == "": // a database that has keys of RS256 alone
		return []jose.SignatureAlgorithm{jose.RS256}
	default:
		return []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
	}
}

func (s *Storage) signingKey(ctx context.Context, alg jose.SignatureAlgorithm) (*signingKey, error) {
	if key, found := s.keys.signs(alg); found {
		return key, nil
	}
	asked := time.Now()
	row, err := s.currentKey(ctx, alg)
	if db.IsNotFound(err) {
		if _, err := s.createKeyIfDue(ctx, alg, store.Never); err != nil {
			return nil, err
		}
		row, err = s.currentKey(ctx, alg)
	}
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	key, err := s.openKey(row)
	if err != nil {
		s.opts.Logger.LogAttrs(ctx, slog.LevelError, "signing key", slog.String("kid", string(row.ID)), slog.Any("error", err))
		return nil, oidc.ErrServerError().WithParent(err)
	}
	s.keys.setCurrent(alg, key, asked.Add(min(keyCheck, s.opts.KeyLeadTime)))
	return key, nil
}

func (s *Storage) currentKey(ctx context.Context, alg jose.SignatureAlgorithm) (store.SigningKey, error) {
	return s.store.FindCurrentSigningKey(ctx, store.FindCurrentSigningKeyParams{Alg: string(alg), LeadTime: s.opts.KeyLeadTime})
}

func (s *Storage) openKey(row store.SigningKey) (*signingKey, error) {
	if k := s.keys.get(row); k != nil {
		return k, nil
	}
	if row.PrivateKeyURI != nil {
		return nil, errors.New("the signing key is kept in a key management service, which this package doesn't ask")
	}
	der, err := s.sealer.open(string(row.ID), row.PrivateKey)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the signing key is not PKCS #8")
	}
	signer, isSigner := parsed.(crypto.Signer)
	if !isSigner {
		return nil, errors.New("the signing key can't sign")
	}
	k := &signingKey{id: string(row.ID), algorithm: jose.SignatureAlgorithm(deref(row.Alg)), key: signer, ciphertext: row.PrivateKey}
	s.keys.put(row, k)
	return k, nil
}

// createKeyIfDue makes a key if the newest one is older than maxAge, or if there is none, and returns the id of the newest.
func (s *Storage) createKeyIfDue(ctx context.Context, alg jose.SignatureAlgorithm, maxAge time.Duration) (store.SigningKeyID, error) {
	var key crypto.Signer
	var curve *string
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		curve = new("P-256")
	default:
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	}
	if err != nil {
		return "", fmt.Errorf("generate a signing key: %w", err)
	}
	id := store.NewSigningKeyID()
	public, err := json.Marshal(jose.JSONWebKey{
		Key: key.Public(), KeyID: string(id), Algorithm: string(alg), Use: oidc.KeyUseSignature,
	})
	if err != nil {
		return "", fmt.Errorf("encode a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("encode a signing key: %w", err)
	}
	newest, err := s.store.RotateSigningKeyIfDue(ctx, store.RotateSigningKeyIfDueParams{
		ID: id, PublicKey: string(public), PrivateKey: s.sealer.seal(string(id), der), Alg: string(alg), Curve: curve, MaxAge: maxAge,
	})
	if err != nil {
		return "", s.fault(ctx, err)
	}
	return newest.ID, nil
}

// SignatureAlgorithms returns, for the discovery document, the algorithm that signs by default, the one that a client may register
// instead, and those of other published keys:
// [store.Queries.ListSigningKeys].
func (s *Storage) SignatureAlgorithms(ctx context.Context) ([]jose.SignatureAlgorithm, error) {
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return nil, err
	}
	algorithm, err := s.defaultAlgorithm(ctx)
	if err != nil {
		return nil, err
	}
	algorithms := s.offered(algorithm)
	for _, k := range keys {
		if a := k.Algorithm(); a != "" && !slices.Contains(algorithms, a) {
			algorithms = append(algorithms, a)
		}
	}
	return algorithms, nil
}

// KeySet returns the keys to publish and to verify by: [store.Queries.ListSigningKeys].
func (s *Storage) KeySet(ctx context.Context) ([]op.Key, error) {
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return nil, err
	}
	set := make([]op.Key, len(keys))
	for i, k := range keys {
		set[i] = k
	}
	return set, nil
}

func (s *Storage) publicKeys(ctx context.Context) ([]*publicKey, error) {
	rows, err := s.store.ListSigningKeys(ctx)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	keys := make([]*publicKey, 0, len(rows))
	for _, row := range rows {
		k := &publicKey{expiresAt: row.ExpiresAt}
		if err := json.Unmarshal([]byte(row.PublicKey), &k.jwk); err != nil || !k.jwk.IsPublic() {
			s.opts.Logger.LogAttrs(ctx, slog.LevelError, "the public key can't be read and is not published", slog.String("kid", string(row.ID)))
			continue
		}
		k.jwk.KeyID = string(row.ID)
		if row.Alg != nil {
			k.jwk.Algorithm = *row.Alg
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// publishedKeys verifies what was signed here. It asks for the published keys once a minute, and when it meets a key that it doesn't know:
// [store.Queries.ListSigningKeys].
type publishedKeys struct{ storage *Storage }

// VerifySignature implements oidc.KeySet.
func (v publishedKeys) VerifySignature(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	id, alg := oidc.GetKeyIDAndAlg(jws)
	key, err := oidc.FindMatchingKey(id, oidc.KeyUseSignature, alg, v.storage.keys.verifying(time.Now())...)
	if err != nil {
		if err := v.fetch(ctx); err != nil {
			return nil, err
		}
		key, err = oidc.FindMatchingKey(id, oidc.KeyUseSignature, alg, v.storage.keys.verifying(time.Now())...)
	}
	if err != nil {
		return nil, fmt.Errorf("invalid signature: %w", err)
	}
	return jws.Verify(&key)
}

func (v publishedKeys) fetch(ctx context.Context) error {
	at := time.Now()
	keys, err := v.storage.publicKeys(ctx)
	if err != nil {
		return err
	}
	c := &v.storage.keys
	c.mu.Lock()
	defer c.mu.Unlock()
	c.published, c.fetched = nil, at
	for _, k := range keys {
		c.published = append(c.published, *k)
	}
	return nil
}

// verifying are the keys that were published a short while ago, and still are.
func (c *keyCache) verifying(now time.Time) []jose.JSONWebKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.fetched) >= keyCheck {
		return nil
	}
	var keys []jose.JSONWebKey
	for _, k := range c.published {
		if k.expiresAt == nil || now.Before(*k.expiresAt) {
			k.jwk.Use = oidc.KeyUseSignature
			keys = append(keys, k.jwk)
		}
	}
	return keys
}

// RotateSigningKey brings a new signing key into use without a failed verification, if the newest one is older than maxAge, and returns
// the id of the newest: [store.Queries.RotateSigningKeyIfDue]. A new key is published at once, and signs when it has been published for
// KeyLeadTime; a new key that does not sign yet is not followed by another. Keys that have been replaced by then are retired, as by
// RetireSigningKeys. So is a key of the other algorithm, if a client has needed one: [store.Queries.FindCurrentSigningKey]. Call it as
// often as you like, from one server or several: one of them makes the key.
func (s *Storage) RotateSigningKey(ctx context.Context, maxAge time.Duration) (store.SigningKeyID, error) {
	if err := s.RetireSigningKeys(ctx); err != nil {
		return "", err
	}
	algorithm, err := s.defaultAlgorithm(ctx)
	if err != nil {
		return "", err
	}
	maxAge = max(maxAge, s.opts.KeyLeadTime, time.Microsecond)
	for _, other := range s.offered(algorithm)[1:] {
		switch _, err := s.currentKey(ctx, other); {
		case db.IsNotFound(err):
		case err != nil:
			return "", s.fault(ctx, err)
		default:
			if _, err := s.createKeyIfDue(ctx, other, maxAge); err != nil {
				return "", err
			}
		}
	}
	return s.createKeyIfDue(ctx, algorithm, maxAge)
}

// RetireSigningKeys lets the keys that have been replaced be published only as long as the last token that they signed
// lives, and KeyLeadTime more for what still signs with them at this moment: [store.Queries.RetireReplacedSigningKeys]. A
// key counts as replaced when a newer one signs, so this may be called at any time and from any number of servers.
func (s *Storage) RetireSigningKeys(ctx context.Context) error {
	s.keys.forget()
	algorithm, err := s.defaultAlgorithm(ctx)
	if err != nil {
		return err
	}
	for _, alg := range s.offered(algorithm) {
		_, err := s.store.RetireReplacedSigningKeys(ctx, store.RetireReplacedSigningKeysParams{
			Alg: string(alg), LeadTime: s.opts.KeyLeadTime,
			Lifetime: max(s.opts.AccessTokenLifetime, s.opts.IDTokenLifetime) + s.opts.ClockSkew + s.opts.KeyLeadTime,
		})
		if err != nil {
			return s.fault(ctx, err)
		}
	}
	return nil
}

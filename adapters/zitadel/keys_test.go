package zitadel_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// published is the key set as a verifier fetches it.
func (w *world) published() jose.JSONWebKeySet {
	w.Helper()
	var set jose.JSONWebKeySet
	w.ok(json.Unmarshal([]byte(w.fetch(w.get("/keys")).body), &set))
	return set
}

// kid is the id of the key that signed a JWT.
func kid(t testing.TB, jwt string) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(jwt, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Header.KeyID
}

// frozen verifies with a key set that was fetched before, and fetches no other.
type frozen struct{ set jose.JSONWebKeySet }

// VerifySignature implements oidc.KeySet of go-oidc.
func (f frozen) VerifySignature(_ context.Context, jwt string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(jwt, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return nil, err
	}
	return jws.Verify(&f.set)
}

// verifies says whether a verifier that has cached the key set accepts an ID token.
func (c registered) verifies(set jose.JSONWebKeySet, idToken string) bool {
	c.Helper()
	verifier := gooidc.NewVerifier(c.issuer, frozen{set}, &gooidc.Config{ClientID: c.id, SupportedSigningAlgs: []string{"ES256", "RS256"}})
	_, err := verifier.Verify(c.ctx, idToken)
	return err == nil
}

func TestKeysRotateWithoutAFailedVerification(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.KeyLeadTime, w.opts.AccessTokenType = 400*time.Millisecond, zitadel.JWTs })
	c, resource := w.register(), w.register()
	cfg := c.oauth2()
	idToken := func() string { return c.login(cfg).Extra("id_token").(string) }
	var signed []string // all ID tokens so far
	var cached []jose.JSONWebKeySet
	var accessTokens []string
	check := func() {
		t.Helper()
		tokens := c.login(cfg)
		accessTokens = append(accessTokens, tokens.AccessToken)
		signed = append(signed, tokens.Extra("id_token").(string))
		cached = append(cached, w.published())
		for i, s := range signed {
			if !c.verifies(w.published(), s) {
				t.Errorf("ID token %d is not verified by what is published now", i)
			}
		}
		// Who has fetched the key set a moment ago has the key that signs now.
		if last := cached[max(0, len(cached)-2)]; !c.verifies(last, signed[len(signed)-1]) {
			t.Error("the newest ID token is not verified by what was published before it")
		}
		resource.wantActive(true, accessTokens...)
	}
	check()
	first := kid(t, signed[0])
	for range 3 {
		old := kid(t, idToken())
		time.Sleep(w.opts.KeyLeadTime) // a younger key is not followed by another
		published := time.Now()
		next, err := w.storage.RotateSigningKey(w.ctx, 0)
		w.ok(err)
		again, err := w.storage.RotateSigningKey(w.ctx, 0)
		w.ok(err)
		wantEqual(t, "a second rotation at once", again, next)
		check()
		if signer := kid(t, idToken()); time.Since(published) < w.opts.KeyLeadTime {
			wantEqual(t, "kid while the new key is only published", signer, old)
		}
		for kid(t, idToken()) == old {
			time.Sleep(50 * time.Millisecond)
		}
		wantEqual(t, "kid", kid(t, idToken()), next)
		check()
		w.ok(w.storage.RetireSigningKeys(w.ctx))
		check()
		row, err := w.q.GetSigningKey(w.ctx, store.SigningKeyID(old))
		w.ok(err)
		if row.ExpiresAt == nil || row.ExpiresAt.Before(row.UpdatedAt.Add(zitadel.DefaultIDTokenLifetime)) {
			t.Errorf("the replaced key expires at %v", row.ExpiresAt)
		}
		before := *row.ExpiresAt
		w.ok(w.storage.RetireSigningKeys(w.ctx))
		row, err = w.q.GetSigningKey(w.ctx, store.SigningKeyID(old))
		w.ok(err)
		wantEqual(t, "expiry after another call", row.ExpiresAt.UTC(), before.UTC())
	}
	// When the last token that it signed has expired, a key is gone.
	_, err := w.db.Pool.Exec(w.ctx, `UPDATE jwks SET expires_at = now() WHERE id = $1`, first)
	w.ok(err)
	if c.verifies(w.published(), signed[0]) {
		t.Error("an expired key is still published")
	}
	c.verify(idToken())
}

func TestKeySetIsCachedNoLongerThanANewKeyWaits(t *testing.T) {
	t.Parallel()
	for lead, want := range map[time.Duration]string{0: "max-age=3600", 90 * time.Second: "max-age=90", 90 * time.Minute: "max-age=3600"} {
		w := newWorld(t, func(w *world) { w.opts.KeyLeadTime = lead })
		cacheControl := func() string {
			r, err := http.Get(w.issuer + "/keys")
			w.ok(err)
			r.Body.Close()
			return r.Header.Get("Cache-Control")
		}
		wantEqual(t, "Cache-Control of no key, when the first is used at once", cacheControl(), "no-store")
		_, err := w.storage.SigningKey(w.ctx)
		w.ok(err)
		wantEqual(t, "Cache-Control", cacheControl(), want)
	}
}

func TestServersThatStartTogetherVerifyEachOthersTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type result struct {
		id  string
		err error
	}
	servers := make([]*zitadel.Storage, 8)
	for i := range servers {
		servers[i], _ = w.newServer(w.db.Pool)
	}
	results := inParallel(len(servers), func(i int) result {
		key, err := servers[i].SigningKey(w.ctx)
		if err != nil {
			return result{err: err}
		}
		return result{id: key.ID()}
	})
	var published []string
	for _, k := range w.published().Keys {
		published = append(published, k.KeyID)
	}
	for _, r := range results {
		w.ok(r.err)
		if !slices.Contains(published, r.id) {
			t.Errorf("%s signs and is not published", r.id)
		}
	}
	first, err := servers[0].SigningKey(w.ctx)
	w.ok(err)
	for _, s := range servers {
		key, err := s.SigningKey(w.ctx)
		w.ok(err)
		wantEqual(t, "the key on which they have settled", key.ID(), first.ID())
	}
}

func TestSigningKeysAreEncryptedAtRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.opts.KeyLeadTime = time.Nanosecond })
	before, err := w.storage.SigningKey(w.ctx)
	w.ok(err)
	row, err := w.q.GetSigningKey(w.ctx, store.SigningKeyID(before.ID()))
	w.ok(err)
	if strings.Contains(row.PublicKey, `"d"`) || !strings.HasPrefix(row.PrivateKey, "aes256gcm.") {
		t.Errorf("public: %s private: %s", row.PublicKey, row.PrivateKey)
	}
	wantEqual(t, "crv", *row.Curve, "P-256")

	// The key that encrypts keys is replaced, and later dropped.
	old, next := w.opts.KeyEncryptionKeys[0], make([]byte, 32)
	_, err = rand.Read(next)
	w.ok(err)
	w.opts.KeyEncryptionKeys = [][]byte{next, old}
	w.serve()
	same, err := w.storage.SigningKey(w.ctx)
	w.ok(err)
	wantEqual(t, "key", same.ID(), before.ID())
	_, err = w.storage.RotateSigningKey(w.ctx, 0)
	w.ok(err)
	w.opts.KeyEncryptionKeys = [][]byte{next}
	w.serve()
	after, err := w.storage.SigningKey(w.ctx)
	w.ok(err)
	if after.ID() == before.ID() {
		t.Error("the key has not been replaced")
	}

	// Under a wrong key, or moved to another row, nothing decrypts, and that is a fault.
	w.opts.KeyEncryptionKeys = [][]byte{old}
	w.serve()
	c := w.register()
	status, body := c.post("/oauth/token", map[string][]string{"grant_type": {"client_credentials"}})
	wantEqual(t, "opaque token, which needs no signature", []any{status, body["error"]}, []any{http.StatusOK, nil})
	_, err = w.storage.SigningKey(w.ctx)
	if err == nil {
		t.Error("decrypted under the wrong key")
	}
	_, err = w.db.Pool.Exec(w.ctx, `UPDATE jwks AS k SET private_key = o.private_key FROM jwks AS o WHERE k.id = $1 AND o.id = $2`, after.ID(), before.ID())
	w.ok(err)
	if _, err = w.storage.SigningKey(w.ctx); err == nil {
		t.Error("a ciphertext of another row decrypted")
	}
	code, verifier := c.authorize(c.oauth2())
	status, body = c.post("/oauth/token", map[string][]string{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI},
	})
	wantEqual(t, "exchange", []any{status, body["error"]}, []any{http.StatusInternalServerError, "server_error"})
	w.opts.KeyEncryptionKeys = [][]byte{old, next}
	w.serve()
	_, err = w.q.DeleteSigningKey(w.ctx, store.SigningKeyID(after.ID()))
	w.ok(err)
	status, _ = c.post("/oauth/token", map[string][]string{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI},
	})
	wantEqual(t, "exchange of the same code, when the key is there again", status, http.StatusOK)
}

func TestChangeOfAlgorithmVerifiesToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	old := c.login(c.oauth2()).Extra("id_token").(string)
	w.opts.SigningAlgorithm = jose.RS256
	w.serve()
	c.verify(old) // by go-oidc, which keeps to the algorithms of the discovery document
	c.verify(c.login(c.oauth2()).Extra("id_token"))
	algorithms, err := w.storage.SignatureAlgorithms(w.ctx)
	w.ok(err)
	wantEqual(t, "algorithms", algorithms, []string{"RS256", "ES256"})
}

func TestKeyOfAnotherServerIsPublishedAndNotUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.q.CreateSigningKey(w.ctx, store.CreateSigningKeyParams{
		ID: "foreign", PublicKey: `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, PrivateKey: "of its own", Alg: new("EdDSA"),
	})
	w.ok(err)
	_, err = w.q.CreateSigningKey(w.ctx, store.CreateSigningKeyParams{ID: "broken", PublicKey: `{"kty":"oct","k":"c2VjcmV0"}`, PrivateKey: "x", Alg: new("HS256")})
	w.ok(err)
	c := w.register()
	c.verify(c.login(c.oauth2()).Extra("id_token"))
	var ids []string
	for _, k := range w.published().Keys {
		ids = append(ids, k.KeyID)
	}
	if !slices.Contains(ids, "foreign") || slices.Contains(ids, "broken") || len(ids) != 2 {
		t.Errorf("published: %v", ids)
	}
}

// `oauthdb key rotate` retires the keys that sign and stores none, because it can't encrypt one: servers make a new one, and but one.
func TestServersMakeANewKeyOnceTheirsIsRetired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.register()
	old := c.login(c.oauth2()).Extra("id_token").(string)
	_, err := w.q.RetireSigningKey(w.ctx, store.RetireSigningKeyParams{ID: store.SigningKeyID(kid(t, old)), Lifetime: time.Hour})
	w.ok(err)
	servers := make([]*zitadel.Storage, 4)
	for i := range servers {
		servers[i], _ = w.newServer(w.db.Pool)
	}
	ids := inParallel(len(servers), func(i int) string {
		key, err := servers[i].SigningKey(w.ctx)
		if err != nil {
			return err.Error()
		}
		return key.ID()
	})
	if slices.Sort(ids); ids[0] != ids[len(ids)-1] || ids[0] == kid(t, old) {
		t.Errorf("the servers sign with %v, after %s was retired", ids, kid(t, old))
	}
	if !c.verifies(w.published(), old) {
		t.Error("what the retired key has signed isn't verified any more")
	}
}

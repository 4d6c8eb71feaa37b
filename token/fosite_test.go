package token_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/token"
)

func mustHydra(tb testing.TB, secrets ...string) *token.Fosite {
	tb.Helper()
	f, err := token.NewHydra(secrets...)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// signedByHydra is a token as Hydra makes it, written down here once more.
func signedByHydra(secret string, key []byte) (text, signature string) {
	hashed := sha256.Sum256([]byte(secret))
	mac := hmac.New(sha512.New512_256, hashed[:])
	mac.Write(key)
	signature = base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	return base64.RawURLEncoding.EncodeToString(key) + "." + signature, signature
}

func TestHydrasTokensAreKnownByTheirSignatures(t *testing.T) {
	t.Parallel()
	check(t, func(t *testing.T, r random) {
		secrets := []string{r.of(printable, 16, 40), r.of(printable, 16, 40)}
		f := mustHydra(t, secrets...)
		text, signature := signedByHydra(pick(r, secrets), r.bytes(32, 64))
		stored, err := token.ParseDigest(signature)
		if err != nil {
			t.Fatal(err)
		}
		for _, presented := range []string{"ory_rt_" + text, text} {
			raw, digest, err := f.Parse(token.RefreshToken, presented)
			if err != nil || digest != stored || raw.Reveal() != text {
				t.Fatalf("%v: %s, stored as %s", err, digest, stored)
			}
		}
		if _, _, err := f.Parse(token.AccessToken, "ory_rt_"+text); !errors.Is(err, token.ErrKind) {
			t.Fatalf("of another kind: %v", err)
		}
		for _, kind := range []token.Kind{token.AccessToken, token.AuthorizationCode} {
			prefix := map[token.Kind]string{token.AccessToken: "ory_at_", token.AuthorizationCode: "ory_ac_"}[kind]
			if _, digest, err := f.Parse(kind, prefix+text); err != nil || digest != stored {
				t.Fatalf("%s: %v", kind, err)
			}
		}
	})
}

// Who has seen the other server's tables knows signatures, and no keys.
func TestASignatureAloneIsNoToken(t *testing.T) {
	t.Parallel()
	const secret = "a secret of sixteen characters or more"
	f := mustHydra(t, secret)
	text, signature := signedByHydra(secret, bytes.Repeat([]byte{7}, 32))
	stored := token.Digest(signature)
	key, _, _ := strings.Cut(text, ".")
	foreign, _ := signedByHydra("another secret of sixteen characters", bytes.Repeat([]byte{7}, 32))
	for presented, want := range map[string]error{
		signature: token.ErrMalformed, "." + signature: token.ErrMalformed, "ory_rt_." + signature: token.ErrMalformed,
		"ory_rt_AAAA." + signature: token.ErrChecksum, key + ".": token.ErrChecksum, key: token.ErrMalformed, "": token.ErrMalformed,
		key + "A." + signature: token.ErrChecksum, key + "%." + signature: token.ErrMalformed, key + "." + signature + "." + signature: token.ErrMalformed, foreign: token.ErrChecksum,
		strings.Repeat("a", token.MaxLength+1): token.ErrMalformed,
		key + "=." + signature:                 token.ErrMalformed, signature + "." + signature: token.ErrChecksum,
	} {
		if raw, digest, err := f.Parse(token.RefreshToken, presented); !errors.Is(err, want) || !raw.IsZero() || digest != "" {
			t.Errorf("%q: %v, want %v", presented, err, want)
		}
		// and nobody gets past by presenting it as a token of any other server
		if raw, err := token.ParseForeign(token.RefreshToken, presented); err == nil && raw.Digest() == stored {
			t.Errorf("%q is as good as the token", presented)
		}
	}
	// a text that means the same, as base64 allows it, has the same digest
	last := text[len(text)-1]
	same := text[:len(text)-1] + string(rune(last+1))
	if raw, digest, err := f.Parse(token.RefreshToken, same); err == nil && (digest != stored || raw.Reveal() != text) {
		t.Error("a token has two digests")
	}
	if _, _, err := f.Parse(token.DeviceCode, text); !errors.Is(err, token.ErrKind) {
		t.Errorf("a device code: %v", err)
	}
}

func TestHydrasTokenHasASuccessor(t *testing.T) {
	t.Parallel()
	const secret = "a secret of sixteen characters or more"
	f, keys := mustHydra(t, secret), mustSuccessors(t, keyOf(1))
	text, _ := signedByHydra(secret, bytes.Repeat([]byte{7}, 32))
	once, _, err := f.Parse(token.RefreshToken, "ory_rt_"+text)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := f.Parse(token.RefreshToken, text)
	if err != nil || !keys.Successor(once).Equal(keys.Successor(again)) {
		t.Errorf("two presentations have two successors, %v", err)
	}
	if _, err := token.Parse(token.RefreshToken, keys.Successor(once).Reveal()); err != nil {
		t.Error(err)
	}
}

func TestSecretsOfHydraAreRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 32)
	for _, secrets := range [][]string{nil, {"sesame"}, {long, ""}, {long, long, long, long, long, long, long, long, long}} {
		if _, err := token.NewHydra(secrets...); !errors.Is(err, token.ErrKeys) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", secrets, err)
		}
	}
	if _, err := token.NewFosite([]byte("not of thirty-two bytes")); !errors.Is(err, token.ErrKeys) {
		t.Error(err)
	}
	f := mustHydra(t, long)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if shown := fmt.Sprintf(verb, f) + fmt.Sprintf(verb, *f); strings.Contains(shown, "xxxx") || strings.Contains(shown, "7878") {
			t.Errorf("%s shows the secret: %s", verb, shown)
		}
	}
}

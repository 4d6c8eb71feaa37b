package token_test

import (
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/token"
)

func TestAssertionAndProofIDsAreUnambiguous(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]func(a, b string) token.Digest{
		"AssertionID": token.AssertionID, "GrantAssertionID": token.GrantAssertionID, "ProofID": token.ProofID,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unambiguous(t, id)
		})
	}
	if a, g, p := token.AssertionID("a", "b"), token.GrantAssertionID("a", "b"), token.ProofID("a", "b"); a == p || a == g || g == p {
		t.Error("an assertion and a proof, or assertions for two purposes, have the same id")
	}
}

func unambiguous(t *testing.T, idOf func(a, b string) token.Digest) {
	t.Helper()
	seen := map[token.Digest][2]string{}
	for _, pair := range [][2]string{
		{"ab", "c"},
		{"a", "bc"},
		{"abc", ""},
		{"", "abc"},
		{"", ""},
		{"c", "ab"},
		{"a\x00", "bc"},
		{"a", "\x00bc"},
	} {
		id := idOf(pair[0], pair[1])
		if other, ok := seen[id]; ok || !id.Valid() {
			t.Errorf("%q and %q run together", pair, other)
		}
		seen[id] = pair
	}
	// A small alphabet, zeros among it, so that collisions of a naive concatenation do come up.
	check(t, func(t *testing.T, r random) {
		part := func() string { return r.of("ab\x00\x01", 0, 4) }
		a := [2]string{part(), part()}
		b := [2]string{part(), part()}
		if (a == b) != (idOf(a[0], a[1]) == idOf(b[0], b[1])) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

// What was accepted before an upgrade must be recognised after it.
func TestAssertionAndProofIDsAreStable(t *testing.T) {
	t.Parallel()
	const want = "2o0PZiRmVQVSGfKYSPpBwA-YC7x-7_3WJ2EHDr1DVUs"
	if got := token.AssertionID("client", "jti"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	const wantProof = "92LETHawa9P-O6Hp2TEO267KyW5v3ppo6OY-eCmdZv8"
	if got := token.ProofID("jkt", "jti"); got != wantProof {
		t.Errorf("got %v, want %v", got, wantProof)
	}
	const wantGrant = "EJaxTbDuGqKoH_InbXDFlBvXjiSz97Yzo1NDHdmqqSc"
	if got := token.GrantAssertionID("issuer", "jti"); got != wantGrant {
		t.Errorf("got %v, want %v", got, wantGrant)
	}
}

// A proof from the future is accepted until its lifetime after that (RFC 9449, section 11.1).
func TestProofExpiresAtIsCountedFromItsIat(t *testing.T) {
	t.Parallel()
	iat := time.Unix(1_800_000_000, 0)
	for _, c := range []struct{ lifetime, skew, want time.Duration }{
		{10 * time.Second, 15 * time.Second, 25 * time.Second},
		{10 * time.Second, 0, 10 * time.Second},
		{10 * time.Second, -time.Minute, 10 * time.Second},
		{-time.Minute, 15 * time.Second, 15 * time.Second},
	} {
		if got := token.ProofExpiresAt(iat, c.lifetime, c.skew); !got.Equal(iat.Add(c.want)) {
			t.Errorf("lifetime %v, skew %v: %v after iat, want %v", c.lifetime, c.skew, got.Sub(iat), c.want)
		}
	}
}

package token_test

import (
	"bytes"
	"testing"

	"github.com/oauthdb/oauthdb/token"
)

func TestShortCodeDigestTellsKeysAndPartsApart(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{7}, token.MinKeyLength)
	seen := map[token.Digest]bool{}
	for _, parts := range [][3]string{
		{"sign-in", "ada", "123456"},
		{"sign-in", "ada", "123457"},
		{"sign-in", "bob", "123456"},
		{"verify", "ada", "123456"},
		{"sign-i", "nada", "123456"},
		{"sign-in", "ada1", "23456"},
		{"", "", ""},
	} {
		for _, k := range [][]byte{key, bytes.Repeat([]byte{8}, token.MinKeyLength)} {
			d := token.ShortCodeDigest(k, parts[0], parts[1], parts[2])
			if !d.Valid() || seen[d] || d != token.ShortCodeDigest(k, parts[0], parts[1], parts[2]) {
				t.Errorf("%q: %s is no digest, not the same again, or that of another code", parts, d)
			}
			seen[d] = true
		}
	}
	if seen[token.DigestOf("123456")] {
		t.Error("it can be found without the key")
	}
}

// What is stored has to be found by the next release.
func TestShortCodeDigestIsStable(t *testing.T) {
	t.Parallel()
	const want = "H4grCKUWW_GTk1G_4-4GsL0att4z0ugcYHpyggggndU"
	if got := token.ShortCodeDigest(bytes.Repeat([]byte{7}, 32), "sign-in", "ada", "123456"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestShortCodeDigestRefusesAShortKey(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	token.ShortCodeDigest(make([]byte, token.MinKeyLength-1), "sign-in", "ada", "123456")
}

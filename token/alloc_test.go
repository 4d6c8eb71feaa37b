//go:build !race

// The race detector makes pools forget at random, and so changes what is allocated.

package token_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/oauthdb/oauthdb/token"
)

// The results go here, so that the compiler can't leave the calls out.
var (
	sinkRaw    token.Raw
	sinkDigest token.Digest
	sinkText   pgtype.Text
	sinkBuf    []byte
	sinkBool   bool
	sinkErr    error
)

type hotCall struct {
	name   string
	allocs float64 // at most
	call   func()
}

// hotCalls are the calls that requests go through. Those which allocate make one string for each text that they return, and
// one small object for each Raw; crypto/rand has one of its own.
func hotCalls(tb testing.TB) []hotCall {
	raw := token.Mint(token.RefreshToken)
	text, digest, m := raw.Reveal(), raw.Digest(), pgtype.NewMap()
	column := pgtype.Text{String: string(digest), Valid: true}
	successors := mustSuccessors(tb, keyOf('1'), keyOf('2'))
	other := token.DigestOf("other")
	buf := make([]byte, 0, 128)
	var boxed any = digest
	var target token.Digest
	garbage := text[:len(text)-1] + "-"
	return []hotCall{
		{"Digest.TextValue", 0, func() { sinkText, sinkErr = digest.TextValue() }},
		{"Digest.ScanText", 0, func() { sinkErr = target.ScanText(column) }},
		{"Digest.Valid", 0, func() { sinkBool = digest.Valid() }},
		{"Digest.Equal", 0, func() { sinkBool = digest.Equal(other) }},
		{"Raw.Equal", 0, func() { sinkBool = raw.Equal(raw) }},
		{"Map.Encode", 0, func() { sinkBuf, sinkErr = m.Encode(pgtype.TextOID, pgtype.TextFormatCode, boxed, buf) }},
		{"Raw.Digest", 1, func() { sinkDigest = raw.Digest() }},
		{"DigestOf", 1, func() { sinkDigest = token.DigestOf(text) }},
		{"S256", 1, func() { sinkDigest = token.Digest(token.S256(rfc7636Verifier)) }},
		{"AssertionID", 1, func() { sinkDigest = token.AssertionID("client", "jti") }},
		{"Parse", 1, func() { sinkRaw, sinkErr = token.Parse(token.RefreshToken, text) }},
		{"Parse refusing", 0, func() { sinkRaw, sinkErr = token.Parse(token.RefreshToken, garbage) }},
		{"KindOf", 0, func() { _, sinkBool = token.KindOf(text) }},
		{"Mint", 3, func() { sinkRaw = token.Mint(token.RefreshToken) }},
		{"Successor", 12, func() { sinkRaw = successors.Successor(raw) }},
		{"Match", 26, func() { sinkRaw, sinkBool = successors.Match(raw, digest) }},
	}
}

func TestHotCallsAllocateLittle(t *testing.T) { // not parallel: AllocsPerRun counts for the whole process
	for _, c := range hotCalls(t) {
		if got := testing.AllocsPerRun(200, c.call); got > c.allocs {
			t.Errorf("%s: %v allocations, at most %v are expected", c.name, got, c.allocs)
		}
	}
}

func BenchmarkHotCalls(b *testing.B) {
	for _, c := range hotCalls(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.call()
			}
		})
	}
}

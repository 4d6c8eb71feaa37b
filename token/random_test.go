package token_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// random draws what the properties of this package are tried on.
type random struct{ *rand.Rand }

// check tries a property on 200 draws, the same ones in each run. A test that fails names its draw: -run 'TestName/17'.
func check(t *testing.T, property func(t *testing.T, r random)) {
	t.Helper()
	for i := range 200 {
		t.Run(fmt.Sprint(i), func(t *testing.T) { property(t, random{rand.New(rand.NewPCG(uint64(i), 0))}) })
	}
}

func pick[T any](r random, from []T) T { return from[r.IntN(len(from))] }

// between is from least to most.
func (r random) between(least, most int) int { return least + r.IntN(most-least+1) }

func (r random) bytes(least, most int) []byte {
	b := make([]byte, r.between(least, most))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// of is a text of least to most characters of an alphabet.
func (r random) of(alphabet string, least, most int) string {
	b := make([]byte, r.between(least, most))
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

// text is any: ASCII, other runes, or bytes that are no text.
func (r random) text() string {
	switch r.IntN(3) {
	case 0:
		return r.of(printable, 0, 60)
	case 1:
		runes := make([]rune, r.IntN(30))
		for i := range runes {
			runes[i] = rune(r.IntN(0x3000))
		}
		return string(runes)
	}
	return string(r.bytes(0, 60))
}

const (
	letters   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	printable = letters + " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

package token

import (
	"crypto/rand"
	"math/big"
	"strings"
	"unicode/utf8"
)

// UserCodeAlphabet has no vowels, so that no words come up, and no characters that look alike (RFC 8628 §6.1).
const UserCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"

// MintUserCode returns a random user code of n characters of an alphabet (RFC 8628 §6.1). Eight of [UserCodeAlphabet] have
// 34 bits. A user code can be guessed, so its attempts have to be limited (RFC 8628 §5.1).
//
// It panics if n is less than 1, or if the alphabet has fewer than two characters.
func MintUserCode(alphabet string, n int) string {
	letters := []rune(alphabet)
	if n < 1 || len(letters) < 2 {
		panic("token: a user code needs an alphabet and a length")
	}
	code := make([]rune, n)
	most := big.NewInt(int64(len(letters)))
	for i := range code {
		at, err := rand.Int(rand.Reader, most)
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		code[i] = letters[at.Int64()]
	}
	return string(code)
}

// NormalUserCode returns what a user has typed as the code that it stands for: in capitals, and without characters that are
// not in the alphabet, such as dashes and spaces (RFC 8628 §6.1). The alphabet has to be in capitals. Hash its answer with
// [DigestOf], both when the code is minted and when it is looked up.
func NormalUserCode(alphabet, typed string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !strings.ContainsRune(alphabet, r) {
			return -1
		}
		return r
	}, strings.ToUpper(typed))
}

package token_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/token"
)

// RFC 7636 appendix B.
const (
	rfc7636Verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfc7636Challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestS256OfRFC7636AppendixB(t *testing.T) {
	t.Parallel()
	if err := token.CheckVerifier(rfc7636Verifier); err != nil {
		t.Error(err)
	}
	if got := token.S256(rfc7636Verifier); got != rfc7636Challenge {
		t.Errorf("got %s, want %s", got, rfc7636Challenge)
	}
}

func TestCheckVerifier(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verifier string
		ok       bool
	}{
		"shortest":       {strings.Repeat("a", 43), true},
		"longest":        {strings.Repeat("~", 128), true},
		"all unreserved": {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", true},
		"empty":          {"", false},
		"too short":      {strings.Repeat("a", 42), false},
		"too long":       {strings.Repeat("a", 129), false},
		"plus":           {strings.Repeat("a", 42) + "+", false},
		"padding":        {strings.Repeat("a", 43) + "=", false},
		"space":          {strings.Repeat("a", 42) + " ", false},
		"newline":        {strings.Repeat("a", 43) + "\n", false},
		"not ASCII":      {strings.Repeat("a", 42) + "é", false},
		"NUL":            {strings.Repeat("a", 42) + "\x00", false},
	} {
		err := token.CheckVerifier(c.verifier)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, token.ErrVerifier) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "aaaa") {
			t.Errorf("%s: the error shows the verifier: %v", name, err)
		}
	}
	grammar := regexp.MustCompile(`^[A-Za-z0-9\-._~]{43,128}\z`)
	check(t, func(t *testing.T, r random) {
		s := pick(r, []string{r.of(letters+"-._~", 40, 131), r.of(printable, 43, 50), r.text()})
		if got, want := token.CheckVerifier(s) == nil, grammar.MatchString(s); got != want {
			t.Fatalf("%q: got %v, want %v", s, got, want)
		}
	})
}

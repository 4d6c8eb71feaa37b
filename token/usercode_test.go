package token_test

import (
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/token"
)

func TestUserCodesAreOfTheAlphabet(t *testing.T) {
	t.Parallel()
	for _, alphabet := range []string{token.UserCodeAlphabet, "01", "ÄÖ€"} {
		seen := map[rune]bool{}
		for range 200 {
			code := token.MintUserCode(alphabet, 8)
			if got := token.NormalUserCode(alphabet, code); got != code || len([]rune(code)) != 8 {
				t.Fatalf("minted %q of %q, normal %q", code, alphabet, got)
			}
			for _, r := range code {
				seen[r] = true
			}
		}
		if len(seen) != len([]rune(alphabet)) {
			t.Errorf("1600 characters of %q are %d", alphabet, len(seen))
		}
	}
	if a, b := token.MintUserCode(token.UserCodeAlphabet, 16), token.MintUserCode(token.UserCodeAlphabet, 16); a == b {
		t.Errorf("twice %q", a)
	}
}

func TestUserCodeIsFoundHoweverItIsTyped(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{"WDJB-MJHT", "wdjbmjht", " wdjb mjht\n", "W.D.J.B/M_J_H_T", "WDJB–MJHT", "WDJB\xffMJHT"} {
		if got := token.NormalUserCode(token.UserCodeAlphabet, typed); got != "WDJBMJHT" {
			t.Errorf("%q: %q", typed, got)
		}
	}
	if got := token.NormalUserCode(token.UserCodeAlphabet, "WDJB-MJHA"); got != "WDJBMJH" {
		t.Errorf("a character of another alphabet: %q", got)
	}
	if token.NormalUserCode(token.UserCodeAlphabet, "") != "" {
		t.Error("nothing typed is a code")
	}
}

func TestMintUserCodePanicsWithoutAnAlphabet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		alphabet string
		n        int
	}{{"", 8}, {"A", 8}, {token.UserCodeAlphabet, 0}, {token.UserCodeAlphabet, -1}} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.HasPrefix(got, "token: ") {
					t.Errorf("%q, %d: recovered %q", c.alphabet, c.n, got)
				}
			}()
			token.MintUserCode(c.alphabet, c.n)
		}()
	}
}

// A device's refresh token derives from its device code: a retry gets the same one.
func TestSuccessorOfADeviceCode(t *testing.T) {
	t.Parallel()
	key, code := keyOf(1), token.Mint(token.DeviceCode)
	first, again := token.Successor(key, code), token.Successor(key, code)
	if !first.Equal(again) || first.Equal(token.Successor(key, token.Mint(token.DeviceCode))) {
		t.Error("the successors of a device code differ, or those of two are the same")
	}
	if kind, ok := token.KindOf(first.Reveal()); !ok || kind != token.RefreshToken {
		t.Errorf("the successor is a %v", kind)
	}
}

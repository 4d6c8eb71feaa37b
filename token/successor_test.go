package token_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/oauthdb/oauthdb/token"
)

func keyOf(c byte) []byte { return bytes.Repeat([]byte{c}, token.MinKeyLength) }

func mustSuccessors(tb testing.TB, keys ...[]byte) *token.Successors {
	tb.Helper()
	s, err := token.NewSuccessors(keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustForeign(tb testing.TB, s string) token.Raw {
	tb.Helper()
	raw, err := token.ParseForeign(token.RefreshToken, s)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func TestSuccessorIsDeterministicAndDiffersByKeyAndToken(t *testing.T) {
	t.Parallel()
	check(t, func(t *testing.T, r random) {
		key := r.bytes(token.MinKeyLength, 80)
		text := r.of(printable, 1, 100)
		presented, err := token.ParseForeign(token.RefreshToken, text)
		if err != nil {
			t.Fatal(err)
		}
		successor := token.Successor(key, presented)
		if !successor.Equal(token.Successor(bytes.Clone(key), presented)) {
			t.Fatal("not deterministic")
		}
		if _, err := token.Parse(token.RefreshToken, successor.Reveal()); err != nil {
			t.Fatalf("is no refresh token: %v", err)
		}
		changed := bytes.Clone(key)
		changed[r.IntN(len(key))] ^= byte(r.between(1, 255))
		if successor.Equal(token.Successor(changed, presented)) {
			t.Fatal("does not depend on the key")
		}
		other, err := token.ParseForeign(token.RefreshToken, text+"x")
		if err != nil {
			t.Fatal(err)
		}
		if successor.Equal(token.Successor(key, other)) || successor.Equal(presented) {
			t.Fatal("does not depend on the token")
		}
		if successor.Equal(token.Successor(key, successor)) {
			t.Fatal("the successor of the successor is the same")
		}
	})
}

// TestSuccessorIsStable: servers of two releases answer the same client, so the derivation must never change.
func TestSuccessorIsStable(t *testing.T) {
	t.Parallel()
	const want = "odb_rt_uILO7cJVwRtWiI46LX7qLvgvVqwZJis6Ltg09Ufeffv20A4qf"
	if got := token.Successor(keyOf('k'), mustForeign(t, "presented")).Reveal(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSuccessorPanicsOnAShortKey(t *testing.T) {
	t.Parallel()
	defer func() {
		if r := recover(); r == nil || strings.Contains(fmt.Sprint(r), "kkkk") {
			t.Errorf("want a panic without the key: %v", r)
		}
	}()
	token.Successor(keyOf('k')[1:], token.Mint(token.RefreshToken))
}

func TestSuccessorsFollowTheirScheme(t *testing.T) {
	t.Parallel()
	acme := mustScheme(t, "acme")
	s, err := acme.NewSuccessors(keyOf('k'))
	if err != nil {
		t.Fatal(err)
	}
	presented := token.Mint(token.RefreshToken)
	successor := s.Successor(presented)
	if !strings.HasPrefix(successor.Reveal(), "acme_rt_") || !successor.Equal(acme.Successor(keyOf('k'), presented)) {
		t.Error("not of the scheme")
	}
}

func TestNewSuccessorsRefuses(t *testing.T) {
	t.Parallel()
	var many [][]byte
	for i := range token.MaxKeys + 1 {
		many = append(many, keyOf(byte(i+1)))
	}
	if _, err := token.NewSuccessors(many[:token.MaxKeys]...); err != nil {
		t.Errorf("as many keys as may be: %v", err)
	}
	for name, keys := range map[string][][]byte{
		"none":               nil,
		"too many":           many,
		"nil":                {nil},
		"short":              {keyOf('a')[1:]},
		"second short":       {keyOf('a'), keyOf('b')[1:]},
		"twice":              {keyOf('a'), keyOf('b'), keyOf('a')},
		"twice, zeros added": {keyOf('a'), append(keyOf('a'), 0, 0)},
	} {
		s, err := token.NewSuccessors(keys...)
		if !errors.Is(err, token.ErrKeys) || s != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "aaaa") || strings.Contains(err.Error(), "97 97")) {
			t.Errorf("%s: the error shows a key: %v", name, err)
		}
	}
}

func TestRetryConvergesWhileKeysChange(t *testing.T) {
	t.Parallel()
	for name, presented := range map[string]token.Raw{
		"ours":    token.Mint(token.RefreshToken),
		"foreign": mustForeign(t, "Zm9yZWlnbi1yZWZyZXNo"),
	} {
		before := mustSuccessors(t, keyOf('1'))
		added := mustSuccessors(t, keyOf('1'), keyOf('2'))
		moved := mustSuccessors(t, keyOf('2'), keyOf('1'))
		dropped := mustSuccessors(t, keyOf('2'))

		old, fresh := before.Successor(presented), moved.Successor(presented)
		if old.Equal(fresh) || !added.Successor(presented).Equal(old) || !dropped.Successor(presented).Equal(fresh) {
			t.Fatalf("%s: the newest key, which stands first, must be the one that derives", name)
		}
		for _, c := range []struct {
			by     *token.Successors
			stored token.Raw
			found  bool
		}{
			{before, old, true},
			{before, fresh, false},
			{added, old, true},
			{added, fresh, true},
			{moved, old, true},
			{moved, fresh, true},
			{dropped, old, false},
			{dropped, fresh, true},
		} {
			got, ok := c.by.Match(presented, c.stored.Digest())
			if ok != c.found || got.IsZero() == c.found || c.found && !got.Equal(c.stored) {
				t.Errorf("%s: got %v, want %v", name, ok, c.found)
			}
		}
	}
}

func TestMatchRefusesAnythingElse(t *testing.T) {
	t.Parallel()
	s := mustSuccessors(t, keyOf('1'), keyOf('2'))
	presented := token.Mint(token.RefreshToken)
	for name, stored := range map[string]token.Digest{
		"zero": "", "of the presented": presented.Digest(), "another's": s.Successor(token.Mint(token.RefreshToken)).Digest(),
		"the raw successor": token.Digest(s.Successor(presented).Reveal()),
	} {
		if raw, ok := s.Match(presented, stored); ok || !raw.IsZero() {
			t.Errorf("%s: matched", name)
		}
	}
	if raw, ok := s.Match(token.Raw{}, token.Raw{}.Digest()); ok || !raw.IsZero() {
		t.Error("nothing matched nothing")
	}
}

func TestSuccessorsCopyTheirKeys(t *testing.T) {
	t.Parallel()
	key := keyOf('k')
	s := mustSuccessors(t, key)
	presented := token.Mint(token.RefreshToken)
	before := s.Successor(presented)
	clear(key)
	if !before.Equal(s.Successor(presented)) {
		t.Error("the caller's slice is still the key")
	}
}

func TestSuccessorsHideTheirKeys(t *testing.T) {
	t.Parallel()
	key := []byte("a-key-of-thirty-two-characters!!")
	s := mustSuccessors(t, key)
	holder := struct{ s *token.Successors }{s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%p", "%b", "%o", "%c", "%U"} {
		for _, value := range []any{s, *s, &s, holder, &holder, []*token.Successors{s}} {
			out := fmt.Sprintf(verb, value)
			if leaked(string(key), out) || strings.Contains(out, hex.EncodeToString(key[:4])) {
				t.Errorf("%s of %T shows the key: %s", verb, value, out)
			}
		}
	}
	// In a field, as it would come along in a configuration that is dumped.
	if out, err := json.Marshal(map[string]any{"successors": s}); err != nil || string(out) != `{"successors":{}}` {
		t.Errorf("JSON: %s, %v", out, err)
	}
}

func TestParallelRefreshesConverge(t *testing.T) {
	t.Parallel()
	s := mustSuccessors(t, keyOf('1'), keyOf('2'))
	presented := token.Mint(token.RefreshToken)
	want := s.Successor(presented)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if got := s.Successor(presented); !got.Equal(want) {
				t.Error("another successor")
			}
			if got, ok := s.Match(presented, want.Digest()); !ok || !got.Equal(want) {
				t.Error("no match")
			}
		})
	}
	wg.Wait()
}

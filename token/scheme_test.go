package token_test

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/token"
)

var allKinds = []token.Kind{
	token.AccessToken, token.RefreshToken, token.AuthorizationCode, token.RequestURI, token.ClientSecret,
	token.SessionToken, token.RegistrationAccessToken, token.DeviceCode, token.AuthReqID, token.InitialAccessToken,
}

func mustScheme(tb testing.TB, vendor string) token.Scheme {
	tb.Helper()
	s, err := token.NewScheme(vendor)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestMintedTokensParse(t *testing.T) {
	t.Parallel()
	schemes := []token.Scheme{{}, mustScheme(t, "acme"), mustScheme(t, "a1"), mustScheme(t, "abcdefghijklmn16")}
	check(t, func(t *testing.T, r random) {
		scheme := pick(r, schemes)
		kind := pick(r, allKinds)
		raw := scheme.Mint(kind)
		for _, parse := range []func(token.Kind, string) (token.Raw, error){scheme.Parse, scheme.ParseForeign} {
			parsed, err := parse(kind, raw.Reveal())
			if err != nil || !parsed.Equal(raw) || parsed.Digest() != raw.Digest() {
				t.Fatalf("%v: %v", kind, err)
			}
		}
		if got, ok := scheme.KindOf(raw.Reveal()); !ok || got != kind {
			t.Fatalf("KindOf: got %v, %v, want %v", got, ok, kind)
		}
		if !strings.HasPrefix(raw.Reveal(), scheme.Prefix(kind)) {
			t.Fatalf("no prefix %s", scheme.Prefix(kind))
		}
	})
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for kind, want := range map[token.Kind]string{
		token.AccessToken: "odb_at_", token.RefreshToken: "odb_rt_", token.AuthorizationCode: "odb_ac_",
		token.RequestURI: "odb_ru_", token.ClientSecret: "odb_cs_", token.SessionToken: "odb_st_",
		token.RegistrationAccessToken: "odb_ra_", token.DeviceCode: "odb_dc_", token.AuthReqID: "odb_ar_", token.InitialAccessToken: "odb_ia_",
	} {
		raw := token.Mint(kind).Reveal()
		if !strings.HasPrefix(raw, want) || len(raw) != len(want)+43+6 {
			t.Errorf("%v: a prefix of %q, %d characters", kind, raw[:len(want)], len(raw))
		}
		if got := (token.Scheme{}).Prefix(kind); got != want {
			t.Errorf("%v: Prefix is %q", kind, got)
		}
	}
	if got := mustScheme(t, "acme").Mint(token.AccessToken).Reveal(); !strings.HasPrefix(got, "acme_at_") {
		t.Errorf("acme: begins with %q", got[:8])
	}
}

func TestMintedTokensAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[token.Digest]bool{}
	for range 10_000 {
		d := token.Mint(token.AccessToken).Digest()
		if seen[d] {
			t.Fatal("minted twice")
		}
		seen[d] = true
	}
}

// TestMintedTokensNeedNoEscaping: in URLs, forms and Bearer headers (RFC 6750 §2.1, b64token).
func TestMintedTokensNeedNoEscaping(t *testing.T) {
	t.Parallel()
	b64token := regexp.MustCompile(`^[A-Za-z0-9\-._~+/]+=*$`)
	word := regexp.MustCompile(`^\w+$`)
	for _, kind := range allKinds {
		raw := token.Mint(kind).Reveal()
		if url.QueryEscape(raw) != raw || url.PathEscape(raw) != raw || !b64token.MatchString(raw) || !word.MatchString(raw) {
			t.Errorf("%v: needs escaping", kind)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	at, rt := token.Mint(token.AccessToken).Reveal(), token.Mint(token.RefreshToken).Reveal()
	last := "0"
	if strings.HasSuffix(at, "0") {
		last = "1"
	}
	other := mustScheme(t, "acme").Mint(token.AccessToken).Reveal()
	cases := []struct {
		name      string
		kind      token.Kind
		presented string
		want      error // of Parse
		foreign   error // of ParseForeign
	}{
		{"empty", token.AccessToken, "", token.ErrMalformed, token.ErrMalformed},
		{"too long", token.AccessToken, strings.Repeat("a", token.MaxLength+1), token.ErrMalformed, token.ErrMalformed},
		{"too long, with our prefix", token.AccessToken, at + strings.Repeat("a", 4096), token.ErrMalformed, token.ErrMalformed},
		{"control character", token.AccessToken, "abc\x00def", token.ErrMalformed, token.ErrMalformed},
		{"newline", token.AccessToken, at + "\n", token.ErrMalformed, token.ErrMalformed},
		{"delete", token.AccessToken, "abc\x7f", token.ErrMalformed, token.ErrMalformed},
		{"not ASCII", token.AccessToken, "abcé", token.ErrMalformed, token.ErrMalformed},
		{"not UTF-8", token.AccessToken, "abc\xff", token.ErrMalformed, token.ErrMalformed},
		{"prefix alone", token.AccessToken, "odb_at_", token.ErrMalformed, token.ErrMalformed},
		{"cut short", token.AccessToken, at[:len(at)-1], token.ErrMalformed, token.ErrMalformed},
		{"one more", token.AccessToken, at + "0", token.ErrMalformed, token.ErrMalformed},
		{"twice", token.AccessToken, at + at, token.ErrMalformed, token.ErrMalformed},
		{"a space", token.AccessToken, at[:10] + " " + at[11:], token.ErrMalformed, token.ErrMalformed},
		{"a dash", token.AccessToken, at[:10] + "-" + at[11:], token.ErrMalformed, token.ErrMalformed},
		{"an underscore", token.AccessToken, at[:10] + "_" + at[11:], token.ErrMalformed, token.ErrMalformed},
		{"checksum", token.AccessToken, at[:len(at)-1] + last, token.ErrChecksum, token.ErrChecksum},
		{"made up", token.AccessToken, "odb_at_" + strings.Repeat("A", 49), token.ErrChecksum, token.ErrChecksum},
		{"refresh token for access token", token.AccessToken, rt, token.ErrKind, token.ErrKind},
		{"access token for refresh token", token.RefreshToken, at, token.ErrKind, token.ErrKind},
		{"renamed", token.RefreshToken, "odb_rt_" + at[7:], token.ErrChecksum, token.ErrChecksum},
		{"another server's", token.RefreshToken, "mFQKQ3Lk.8xX~+/==", token.ErrForeign, nil},
		{"one character", token.RefreshToken, "x", token.ErrForeign, nil},
		{"the longest", token.RefreshToken, strings.Repeat("~", token.MaxLength), token.ErrForeign, nil},
		{"another scheme's", token.AccessToken, other, token.ErrForeign, nil},
		{"vendor alone", token.AccessToken, "odb", token.ErrForeign, nil},
		{"vendor and code", token.AccessToken, "odb_at", token.ErrForeign, nil},
		{"code of no kind", token.AccessToken, "odb_zz_" + at[7:], token.ErrForeign, nil},
		{"upper-case vendor", token.AccessToken, "ODB" + at[3:], token.ErrForeign, nil},
		{"a space in front", token.AccessToken, " " + at, token.ErrForeign, nil},
		{"no kind", token.Kind(0), at, token.ErrKind, token.ErrKind},
		{"unknown kind", token.Kind(200), "foreign", token.ErrKind, token.ErrKind},
	}
	all := []error{token.ErrMalformed, token.ErrChecksum, token.ErrKind, token.ErrForeign}
	for _, c := range cases {
		raw, err := token.Parse(c.kind, c.presented)
		for _, e := range all {
			if errors.Is(err, e) != (e == c.want) {
				t.Errorf("%s: Parse: got %v, want %v", c.name, err, c.want)
			}
		}
		if !raw.IsZero() {
			t.Errorf("%s: Parse: a Raw beside the error", c.name)
		}
		if err != nil {
			requireClosedText(t, err)
		}
		raw, err = token.ParseForeign(c.kind, c.presented)
		switch {
		case c.foreign == nil && (err != nil || raw.Reveal() != c.presented):
			t.Errorf("%s: ParseForeign: %v", c.name, err)
		case c.foreign != nil && (!errors.Is(err, c.foreign) || !raw.IsZero()):
			t.Errorf("%s: ParseForeign: got %v, want %v", c.name, err, c.foreign)
		}
	}
}

func TestKindErrorNamesBothKinds(t *testing.T) {
	t.Parallel()
	_, err := token.Parse(token.AccessToken, token.Mint(token.RefreshToken).Reveal())
	kindErr, ok := errors.AsType[token.KindError](err)
	if !ok || kindErr != (token.KindError{Want: token.AccessToken, Got: token.RefreshToken}) {
		t.Fatalf("got %#v", err)
	}
	if got, want := err.Error(), "token: wrong kind: access_token expected, refresh_token presented"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if errors.Is(err, token.ErrChecksum) {
		t.Error("is ErrChecksum, too")
	}
}

// TestAnyChangedCharacterIsRefused: every place of one token by every byte, and some of many tokens.
func TestAnyChangedCharacterIsRefused(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, kind token.Kind, text string, at int, by byte) {
		changed := text[:at] + string([]byte{by}) + text[at+1:]
		if _, err := token.Parse(kind, changed); (err == nil) != (changed == text) {
			t.Fatalf("%v, place %d, byte %q: %v", kind, at, by, err)
		}
		if _, err := token.ParseForeign(kind, changed); err == nil && changed != text && at >= len("odb_at_") {
			t.Fatalf("%v, place %d, byte %q: passed as foreign", kind, at, by)
		}
	}
	text := token.Mint(token.AuthorizationCode).Reveal()
	for at := range len(text) {
		for by := range 256 {
			refused(t, token.AuthorizationCode, text, at, byte(by))
		}
	}
	check(t, func(t *testing.T, r random) {
		kind := pick(r, allKinds)
		text := token.Mint(kind).Reveal()
		refused(t, kind, text, r.IntN(len(text)), byte(r.Uint32()))
	})
}

func TestTwoExchangedCharactersAreRefused(t *testing.T) {
	t.Parallel()
	for range 100 {
		text := []byte(token.Mint(token.ClientSecret).Reveal())
		for i := len("odb_cs_"); i+1 < len(text); i++ {
			if text[i] == text[i+1] {
				continue
			}
			text[i], text[i+1] = text[i+1], text[i]
			if _, err := token.Parse(token.ClientSecret, string(text)); !errors.Is(err, token.ErrChecksum) {
				t.Fatalf("exchanged at %d: %v", i, err)
			}
			text[i], text[i+1] = text[i+1], text[i]
		}
	}
}

func TestKindOfLooksAtThePrefixAlone(t *testing.T) {
	t.Parallel()
	for presented, want := range map[string]token.Kind{
		"odb_rt_": token.RefreshToken, "odb_at_garbage": token.AccessToken, "": 0, "odb": 0, "odb_": 0, "odb_at": 0,
		"odb__at_": 0, "odb_xx_": 0, "foreign": 0, "acme_at_x": 0,
	} {
		if got, ok := token.KindOf(presented); got != want || ok != (want != 0) {
			t.Errorf("%q: got %v, %v, want %v", presented, got, ok, want)
		}
	}
}

func TestKindNames(t *testing.T) {
	t.Parallel()
	want := "[access_token refresh_token authorization_code request_uri client_secret session_token " +
		"registration_access_token device_code auth_req_id initial_access_token]"
	if got := fmt.Sprint(allKinds); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := token.Kind(0).String() + token.Kind(99).String(); got != "unknownunknown" {
		t.Errorf("got %s", got)
	}
}

func TestMintAndPrefixPanicOnAnUnknownKind(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(token.Kind){
		"Mint": func(k token.Kind) { token.Mint(k) }, "Prefix": func(k token.Kind) { token.Scheme{}.Prefix(k) },
	} {
		for _, kind := range []token.Kind{0, token.InitialAccessToken + 1, 255} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s(%d) did not panic", name, kind)
					}
				}()
				call(kind)
			}()
		}
	}
}

func TestVendors(t *testing.T) {
	t.Parallel()
	for _, vendor := range []string{"odb", "acme", "a1", "abcdefghijklmn16"} {
		s, err := token.NewScheme(vendor)
		if err != nil || s.Vendor() != vendor {
			t.Errorf("%q: %v", vendor, err)
		}
	}
	for _, vendor := range []string{
		"", "a", "abcdefghijklmno17", "1a", "Acme", "ac_me", "ac-me", "ac.me", "ac me", "acmé", "ac\n",
	} {
		if _, err := token.NewScheme(vendor); !errors.Is(err, token.ErrVendor) {
			t.Errorf("%q: %v", vendor, err)
		}
	}
	if got := (token.Scheme{}).Vendor(); got != "odb" {
		t.Errorf("the zero Scheme: %q", got)
	}
	raw := token.Mint(token.AccessToken)
	if _, err := mustScheme(t, "odb").Parse(token.AccessToken, raw.Reveal()); err != nil {
		t.Errorf("the default, by its name: %v", err)
	}
}

func TestPatternFindsMintedTokensInText(t *testing.T) {
	t.Parallel()
	for _, scheme := range []token.Scheme{{}, mustScheme(t, "acme")} {
		pattern := regexp.MustCompile(scheme.Pattern())
		for _, kind := range allKinds {
			raw := scheme.Mint(kind).Reveal()
			for _, text := range []string{
				raw, "Authorization: Bearer " + raw + "\r\n", `{"token":"` + raw + `"}`, "a=1&token=" + raw + "&b=2",
				"token=" + raw + ";", "urn:ietf:params:oauth:request_uri:" + raw, "(" + raw + ").",
			} {
				if got := pattern.FindString(text); got != raw {
					t.Errorf("%v: found %q in %q", kind, got, text)
				}
			}
			for _, text := range []string{raw[:len(raw)-1], raw + "0", "x" + raw, raw[1:], strings.ToUpper(raw)} {
				if pattern.MatchString(text) {
					t.Errorf("%v: found in %q", kind, text)
				}
			}
		}
	}
	if token.Pattern() != (token.Scheme{}).Pattern() {
		t.Error("Pattern is not the default scheme's")
	}
}

// closedTexts is every text that an error of Parse may have. Nothing of what was presented can be in one of these.
var closedTexts = func() map[string]bool {
	texts := map[string]bool{
		"token: malformed: empty":                                        true,
		"token: malformed: longer than 4096 characters":                  true,
		"token: malformed: a character outside printable ASCII":          true,
		"token: malformed: wrong length":                                 true,
		"token: malformed: a character that is neither letter nor digit": true,
		"token: wrong checksum":                                          true,
		"token: no prefix of this scheme":                                true,
		"token: wrong kind: an unknown kind was asked for":               true,
	}
	for _, want := range allKinds {
		for _, got := range allKinds {
			texts["token: wrong kind: "+want.String()+" expected, "+got.String()+" presented"] = true
		}
	}
	return texts
}()

func requireClosedText(t *testing.T, err error) {
	t.Helper()
	if !closedTexts[err.Error()] {
		t.Errorf("an error text beyond the known ones: %q", err)
	}
}

func TestSchemeOfIsTheOneThatMinted(t *testing.T) {
	t.Parallel()
	acme, err := token.NewScheme("acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []token.Scheme{{}, acme} {
		for _, kind := range []token.Kind{token.AccessToken, token.RefreshToken, token.AuthorizationCode, token.ClientSecret, token.SessionToken} {
			if got, of, ok := token.SchemeOf(s.Mint(kind).Reveal()); got != s || of != kind || !ok {
				t.Errorf("%s, kind %d: %+v, %d, %v", s.Vendor(), kind, got, of, ok)
			}
		}
	}
	for _, presented := range []string{"", "_", "acme", "acme_", "acme_at", "acme_zz_x", "Acme_at_x", "a_at_x", "seventeenletters1_at_x", "eyJhbGciOi.x.y", "1a_at_x"} {
		if s, kind, ok := token.SchemeOf(presented); ok || s != (token.Scheme{}) || kind != 0 {
			t.Errorf("%q is of %s, kind %d", presented, s.Vendor(), kind)
		}
	}
	if s, _, ok := token.SchemeOf("acme_at_"); !ok || s != acme {
		t.Error("the prefix alone counts")
	}
}

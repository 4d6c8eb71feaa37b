package token

import (
	"hash/crc32"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// reference is the base 62 of math/big, in our order of digits.
func reference(n *big.Int, width int) string {
	swapCase := func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}
	text := strings.Map(swapCase, n.Text(62)) // math/big has the lower case first
	return strings.Repeat("0", width-len(text)) + text
}

func TestBitsAreBase62OfTheirNumber(t *testing.T) {
	t.Parallel()
	check := func(content [32]byte) {
		t.Helper()
		got := string(appendBits(nil, &content))
		if want := reference(new(big.Int).SetBytes(content[:]), bitsLength); got != want || len(got) != 43 {
			t.Errorf("%x: got %s, want %s", content, got, want)
		}
	}
	check([32]byte{})
	check([32]byte{31: 61})
	check([32]byte{31: 62})
	check([32]byte([]byte(strings.Repeat("\xff", 32))))
	random := rand.NewChaCha8([32]byte{})
	for range 1000 {
		var content [32]byte
		random.Read(content[:])
		check(content)
	}
}

func TestChecksumIsCRC32InBase62(t *testing.T) {
	t.Parallel()
	// The check value of CRC-32: 0xCBF43926 for "123456789".
	if got := checksum("123456789"); string(got[:]) != reference(big.NewInt(0xCBF43926), checksumLength) {
		t.Errorf("got %s", got)
	}
	random := rand.NewChaCha8([32]byte{})
	for n := range 1000 {
		s := make([]byte, n%100)
		random.Read(s)
		got := checksum(string(s))
		want := reference(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE(s))), checksumLength)
		if string(got[:]) != want {
			t.Fatalf("%q: got %s, want %s", s, got, want)
		}
	}
}

func TestEveryKindHasACodeOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range kinds[1:] {
		if len(k.code) != codeLength || k.name == "" || seen[k.code] || seen[k.name] {
			t.Errorf("%+v: incomplete or twice", k)
		}
		seen[k.code], seen[k.name] = true, true
	}
}

// TestFormatIsStable: tokens outlive releases, so what a given content becomes must never change.
func TestFormatIsStable(t *testing.T) {
	t.Parallel()
	content := [32]byte([]byte("0123456789abcdefghijklmnopqrstuv"))
	acme, err := NewScheme("acme")
	if err != nil {
		t.Fatal(err)
	}
	for want, raw := range map[string]Raw{
		"odb_at_BQWeEnktNXfuByH0yGsvGYuTK4Z3u8cP3rUHgHIsBCI3GSjpX":  Scheme{}.assemble(AccessToken, &content),
		"acme_ra_BQWeEnktNXfuByH0yGsvGYuTK4Z3u8cP3rUHgHIsBCI1CyEN0": acme.assemble(RegistrationAccessToken, &content),
	} {
		if raw.Reveal() != want {
			t.Errorf("got %s, want %s", raw.Reveal(), want)
		}
	}
}

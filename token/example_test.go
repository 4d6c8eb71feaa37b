package token_test

import (
	"errors"
	"fmt"

	"github.com/oauthdb/oauthdb/token"
)

func Example() {
	raw := token.Mint(token.AccessToken)
	fmt.Println("log it:      ", raw)
	fmt.Println("database:    ", len(raw.Digest()), "characters of digest")
	fmt.Println("to the client:", len(raw.Reveal()), "characters, of which the first are", raw.Reveal()[:7])

	presented, err := token.Parse(token.AccessToken, raw.Reveal())
	fmt.Println("presented:   ", presented.Digest() == raw.Digest(), err)

	_, err = token.Parse(token.RefreshToken, raw.Reveal())
	fmt.Println("elsewhere:   ", err, errors.Is(err, token.ErrKind))
	// Output:
	// log it:       [redacted]
	// database:     43 characters of digest
	// to the client: 56 characters, of which the first are odb_at_
	// presented:    true <nil>
	// elsewhere:    token: wrong kind: refresh_token expected, access_token presented true
}

func ExampleSuccessors() {
	successors, err := token.NewSuccessors([]byte("32 random bytes, from the server"))
	if err != nil {
		panic(err)
	}
	presented := token.Mint(token.RefreshToken)
	first, retry := successors.Successor(presented), successors.Successor(presented)
	fmt.Println("a retry gets the same:", first.Equal(retry))

	// Rotation answered that it is a replay, and with the digest that it found.
	stored := first.Digest()
	_, ok := successors.Match(presented, stored)
	fmt.Println("found by its digest:  ", ok)
	// Output:
	// a retry gets the same: true
	// found by its digest:   true
}

func ExampleNewHydra() {
	hydra, err := token.NewHydra("the system secret of a Hydra for tests") // secrets.system
	if err != nil {
		panic(err)
	}
	presented := "ory_rt_6RWK4rKmecAR-FI0E1KThigCLXhda-pvNHqu5R9XydQ.aKydNpzwfz9zVX8I5ofAAVDkEpsj54fWsPRCaEa9GFw"
	raw, err := token.Parse(token.RefreshToken, presented)
	digest := raw.Digest()
	if errors.Is(err, token.ErrForeign) {
		raw, digest, err = hydra.Parse(token.RefreshToken, presented)
	}
	fmt.Println("look it up by:", digest, err)
	fmt.Println("its successor:", token.Successor([]byte("32 random bytes, from the server"), raw).Reveal()[:7])

	// Somebody who has read Hydra's table knows the signature alone.
	_, _, err = hydra.Parse(token.RefreshToken, "ory_rt_AAAA.aKydNpzwfz9zVX8I5ofAAVDkEpsj54fWsPRCaEa9GFw")
	fmt.Println("made up:      ", err)
	// Output:
	// look it up by: aKydNpzwfz9zVX8I5ofAAVDkEpsj54fWsPRCaEa9GFw <nil>
	// its successor: odb_rt_
	// made up:       token: wrong checksum
}

// Package dataset makes the data that the benchmark works on: thousands to millions of access tokens, with families, sessions,
// users, consents and clients in proportion. Everything in it has a name that follows from its number, in Go as in SQL.
package dataset

import (
	"crypto/md5"
	"fmt"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// names are the functions below in SQL. An MD5 sum and a suffix have the form of a digest; all that is asked of them is to scatter over
// an index as SHA-256 does.
const names = `
CREATE SCHEMA bench;
CREATE FUNCTION bench.digest(kind text, number bigint, generation bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN md5(kind || number || '.' || generation) || '-benchdataA';
CREATE FUNCTION bench.id(prefix text, number bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN prefix || '01900000000070008' || lpad(number::text, 15, '0');
CREATE FUNCTION bench.token_id(prefix text, number bigint, generation bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN prefix || '0191' || lpad((number % 1000000000000 / 1000000 * (number / 1000000000000))::text, 6, '0') || lpad(generation::text, 10, '0')
	|| lpad((number % 1000000000000)::text, 12, '0');
`

func digest(kind string, number, generation int64) token.Digest {
	return token.Digest(fmt.Sprintf("%x-benchdataA", md5.Sum(fmt.Appendf(nil, "%s%d.%d", kind, number, generation))))
}

// id is as long as the identifiers that store makes, and ordered by its number.
func id(prefix string, number int64) string {
	return fmt.Sprintf("%s01900000000070008%015d", prefix, number)
}

// tokenID is ordered by the run and then by the generation, so that identifiers grow as a run goes on, as those do that store makes.
func tokenID(prefix string, number, generation int64) string {
	return fmt.Sprintf("%s0191%06d%010d%012d", prefix, number%seedBase/runSize*(number/seedBase), generation, number%seedBase)
}

// Families have numbers: those of the data from 0, and those of a run from First.
const (
	seedBase = 1_000_000_000_000
	runSize  = 1_000_000
)

// First is the number of the first family of a run, from 1.
func First(run int64) int64 { return seedBase + run*runSize }

// Code is the digest of the code of a family.
func Code(family int64) token.Digest { return digest("c", family, 0) }

// Refresh is the digest of a family's refresh token of a generation, from 0.
func Refresh(family, generation int64) token.Digest { return digest("r", family, generation) }

// Access is the digest of a family's access token of a generation, from 0.
func Access(family, generation int64) token.Digest { return digest("a", family, generation) }

// RefreshID is the identifier of a refresh token.
func RefreshID(family, generation int64) store.RefreshTokenID {
	return store.RefreshTokenID(tokenID("rtk_", family, generation))
}

// AccessID is the identifier of an access token.
func AccessID(family, generation int64) store.AccessTokenID {
	return store.AccessTokenID(tokenID("atk_", family, generation))
}

// User is the identifier of the n-th user.
func User(n int64) store.UserID { return store.UserID(id("usr_", n)) }

// Session is the identifier of the session of the n-th user, or of a family with a session of its own.
func Session(n int64) store.SessionID { return store.SessionID(id("ses_", n)) }

// Client is the public identifier of the n-th client.
func Client(n int64) store.ClientID { return store.ClientID(id("cli_", n)) }

// Authorization is the identifier of a family.
func Authorization(family int64) store.AuthorizationID {
	return store.AuthorizationID(id("azn_", family))
}

// What every authorization of the data was asked with.
const (
	RedirectURI   = "https://app.bench.example/callback"
	CodeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // of RFC 7636, appendix B
)

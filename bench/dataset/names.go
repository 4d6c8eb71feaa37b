// Package dataset makes the data that the benchmark works on: thousands to millions of access tokens, with families, sessions,
// users, consents and clients in proportion. Everything in it has a name that follows from its number, so that a client in
// another process (pgbench) can compute the same names.
package dataset

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// suffix makes 43 characters of the 32 of an MD5 sum: the form of a digest. MD5 because SQL and pgbench have it; all that is
// asked of it is to scatter over an index as SHA-256 does.
const suffix = "-benchdataA"

// Digest is the digest of a thing of a kind by its number and its generation: md5(kind || number || '.' || generation) in SQL.
func Digest(kind string, number, generation int64) token.Digest {
	var buf [64]byte
	name := append(buf[:0], kind...)
	name = strconv.AppendInt(name, number, 10)
	name = append(name, '.')
	name = strconv.AppendInt(name, generation, 10)
	sum := md5.Sum(name)
	var text [token.DigestLength]byte
	hex.Encode(text[:], sum[:])
	copy(text[2*md5.Size:], suffix)
	return token.Digest(text[:])
}

// Identifiers are as long as those that store makes, and ordered by their number.
func id(prefix string, number int64) string {
	return fmt.Sprintf("%s01900000000070008%015d", prefix, number)
}

// User is the identifier of the n-th user.
func User(n int64) store.UserID { return store.UserID(id("usr_", n)) }

// Session is the identifier of the n-th session.
func Session(n int64) store.SessionID { return store.SessionID(id("ses_", n)) }

// Client is the public identifier of the n-th client.
func Client(n int64) store.ClientID { return store.ClientID(id("cli_", n)) }

// Authorization is the identifier of the n-th family.
func Authorization(n int64) store.AuthorizationID { return store.AuthorizationID(id("azn_", n)) }

// AccessToken is the identifier of the n-th access token.
func AccessToken(n int64) store.AccessTokenID { return store.AccessTokenID(id("atk_", n)) }

// RefreshToken is the identifier of the n-th refresh token.
func RefreshToken(n int64) store.RefreshTokenID { return store.RefreshTokenID(id("rtk_", n)) }

// What every authorization of the data was asked with.
const (
	RedirectURI   = "https://app.bench.example/callback"
	CodeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // of RFC 7636, appendix B
)

// Scopes are what every grant of the data holds.
var Scopes = []string{"openid", "profile", "email", "offline_access"}

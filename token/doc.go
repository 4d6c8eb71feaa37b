// Package token makes, checks and digests the opaque credentials of an authorization server: access and refresh tokens,
// authorization codes, device codes, request_uri references, client secrets, session tokens, and the tokens by which clients
// register.
//
// A credential has two forms, and a type for each, so that the compiler keeps them apart:
//
//   - [Raw] is what a client holds and presents. It prints itself as "[redacted]" wherever it is formatted, logged or
//     marshalled, and refuses to be written to PostgreSQL. Reveal is the one way to its text.
//   - [Digest] is what the database holds: base64url(SHA-256(raw)), 43 characters. Whoever reads the database, a
//     backup or a replica can present none of the tokens in it.
//
// # The format
//
// A minted token names its kind, carries 256 random bits and ends with a checksum:
//
//	odb_at_  4mTOoPkr…  1GJrWa
//	prefix   43 base62  6 base62: CRC-32 of all that stands before it
//
// The prefix keeps a refresh token from being taken for an access token and lets secret scanners find a leaked one
// ([Pattern] is the expression to give them). The checksum lets [Parse] refuse a truncated, mistyped or invented token
// before any SQL. It is no protection against forgery: the 256 random bits are. All characters are letters, digits and
// the underscore, so a token needs no escaping in a URL (RFC 3986 §2.3), in a form or in a Bearer header (RFC 6750
// §2.1), and a double click selects all of it.
//
// A deployment that wants its own name in front makes a [Scheme]; the functions of the package are those of the default
// one, "odb". A server that takes over the tokens of another one, or shares its tables with it, accepts these with
// [ParseForeign]. Tokens of a server that kept their signatures alone, as Ory Hydra does, are known by a [Fosite].
//
// # Refresh token rotation
//
// A client that lost the response to a refresh sends the same token again and must get the same successor. The database
// holds digests only and can't give a token back. [Successor] derives the next refresh token from the presented one
// under a key of the server's, so every retry yields the same, and [Successors] does so while keys change.
//
// # What this package must not do
//
// It takes no decision about a grant: whether a token is live, spent or revoked is for the queries to say. It knows no
// clock, opens no connection and logs nothing. No error that it returns carries a credential or a part of one.
package token

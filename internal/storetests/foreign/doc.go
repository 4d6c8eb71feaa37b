// Package foreign tests what the store promises when another server writes to the same tables. It sends the statements of a
// better-auth server: each by itself, without a transaction, and without the columns that only oauthdb knows. Package
// betterauth does the same with a real server.
package foreign

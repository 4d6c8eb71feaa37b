// Package betterauth runs a better-auth server with its OAuth provider on a database that the migrations made, and holds what the
// store promises beside it: what one of the two issues the other accepts, and what one has ended the other doesn't revive. It has
// nothing but tests, which need node and npm.
package betterauth

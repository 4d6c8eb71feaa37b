// Package betterauth runs a better-auth server with its OAuth provider on a migrated database, and tests what the store
// promises beside it: each accepts what the other has issued, and neither revives what the other has ended. It needs node and
// npm.
package betterauth

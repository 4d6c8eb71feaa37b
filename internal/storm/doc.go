// Package storm has three authorization servers issue, refresh, introspect and end each other's tokens on one database, at random: one by
// adapters/fosite, one by adapters/zitadel, and a better-auth server. A model says after each answer whether it was possible, and all
// servers, and the store itself, have to agree on what is live.
//
// # How it works
//
// A storm has lanes. A lane has users and clients of its own, and sends requests in batches: some about one family at the same moment, to
// servers of its choice. The choices come from a seed. Between two batches nothing is under way, so now and then the lane asks all servers
// about the same tokens, and gets one answer.
//
// The model goes by when requests were sent and answered. After an ending was answered, nobody may say live to a request that is sent
// later, and nobody may refresh. What no ending can have reached is live everywhere. What was once found dead stays dead. A code is
// redeemed once, a refresh token has one successor, and what it was replaced by has to come again if a client retries.
//
// # What better-auth is allowed
//
// docs/better-auth.md says what a better-auth server can't know, as it reads only a token's row: most endings leave no mark there. It may
// call such tokens live at introspection; it may not refresh them. It also ends all access tokens of a session with the session.
package storm

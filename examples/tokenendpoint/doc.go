// Package tokenendpoint is the token endpoint of an authorization server on net/http and package store alone, with introspection and
// revocation beside it. It is an example to copy, and to measure: each request is one statement.
//
//	handler, err := tokenendpoint.New(pool, tokenendpoint.Options{SuccessorKeys: [][]byte{key}, Scopes: []string{"calendar"}})
//	http.ListenAndServe("localhost:8080", handler)
//
// The statement authenticates the client, decides, writes, and says what has come of it:
//
//	POST /token       authorization_code   RedeemAuthorizationCode
//	POST /token       refresh_token        RotateRefreshToken
//	POST /token       client_credentials   IssueAccessToken
//	POST /introspect  an access token      IntrospectAccessToken
//	POST /introspect  any other            IntrospectToken
//	POST /revoke                           RevokeToken
//	whatever is amiss before that          AuthenticateClient
//
// A client that isn't authenticated learns nothing else (RFC 6749, section 5.2), so a request that can't be served is answered by
// AuthenticateClient first. Package oautherror says which error an outcome is.
//
// Clients authenticate by a secret, in the Authorization header or in the body, or not at all if they are public. Tokens are opaque. There are
// no ID tokens, no DPoP and no assertions: adapters/zitadel has these.
package tokenendpoint

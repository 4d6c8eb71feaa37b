// Package mcpserver is a server of the Model Context Protocol whose tools ask for access tokens of an authorization server on oauthdb, such as
// examples/authserver (Model Context Protocol, Authorization). It is an example of a protected resource, to copy.
//
// It says which authorization server it trusts (RFC 9728), and looks each token up with the store: IntrospectAccessToken, one statement a request.
// The token has to be for this server (RFC 8707): one for another resource, or for none, is refused. What a refused client has to do stands in
// WWW-Authenticate: come with a token (RFC 6750), ask for more scopes, or have the user sign in anew or in a stronger way (RFC 9470).
//
// A resource server without the database asks the introspection endpoint for the same, as a client of its own.
package mcpserver

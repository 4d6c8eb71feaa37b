// Package clienttests runs examples/authserver, the process as it is deployed, and tests what clients meet there over HTTP: what an
// endpoint answers to a request that is wrong in one way, what well-known client libraries do with it, and what the modules of the OpenID
// Foundation's conformance suite ask for. docs/conformance.md lists these modules.
//
// One server on one database serves all tests. Each test has clients and users of its own.
package clienttests

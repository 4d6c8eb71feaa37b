// Package contract is a test suite of the promises of oauthdb, for users to run against their own server, through their
// pooler, with their extensions and settings, or on a store that they have wrapped.
//
//	func TestContract(t *testing.T) {
//		contract.Test(t, func(t *testing.T) contract.Server {
//			db := storetest.New(t, storetest.MaxConns(16))
//			return contract.Server{Store: db.Store}
//		})
//	}
//
// Each part asks for a server of its own and leaves rows behind, so give it a database that nobody needs. The suite tests what
// callers rely on. The tests of oauthdb itself cover every outcome, faults and interleavings.
package contract

// Package contract holds the promises of oauthdb as a suite that others can run: against their own server, through their pooler, with
// their extensions and settings, or on a store that they have wrapped.
//
//	func TestContract(t *testing.T) {
//		contract.Test(t, func(t *testing.T) contract.Server {
//			db := storetest.New(t, storetest.MaxConns(16))
//			return contract.Server{Store: db.Store}
//		})
//	}
//
// Each part asks for a server of its own and leaves its rows behind, so give it a database that nobody needs. The suite states what a
// caller relies on; how the calls behave outcome by outcome, under faults and in every interleaving is tested with oauthdb itself.
package contract

// Package contract is a test suite of the promises of oauthdb. Run it against your own server, through your pooler, with your extensions
// and settings, or on a store that you have wrapped or written yourself.
//
//	func TestContract(t *testing.T) {
//		contract.Run(t, func(t *testing.T) contract.Store {
//			return contract.Of(storetest.New(t, storetest.MaxConns(contract.Parallel)).Store)
//		})
//	}
//
// A store need not be a *store.Queries. [Store] groups the calls by what a server does with them, and a store that implements some of
// the groups is tested on the promises about those. So is one that wraps a group, such as a cache:
//
//	s := contract.Of(queries)
//	s.Clients = cached{queries}
//
// The suite leaves rows behind, so give it a database that nobody needs. It tests what callers rely on. The tests of oauthdb itself
// cover every outcome, faults and interleavings.
package contract

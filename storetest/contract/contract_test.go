package contract_test

import (
	"testing"

	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/storetest/contract"
)

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	contract.Run(t, func(t *testing.T) contract.Store {
		return contract.Of(storetest.New(t, storetest.MaxConns(contract.Parallel)).Store)
	})
}

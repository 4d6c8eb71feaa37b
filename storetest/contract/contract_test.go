package contract_test

import (
	"testing"

	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/storetest/contract"
)

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	contract.Test(t, func(t *testing.T) contract.Server {
		return contract.Server{Store: storetest.New(t, storetest.MaxConns(contract.Parallel)).Store}
	})
}

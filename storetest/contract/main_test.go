package contract_test

import (
	"os"
	"testing"

	"github.com/oauthdb/oauthdb/internal/testdb"
)

func TestMain(m *testing.M) { os.Exit(testdb.Reuse(m).Run()) }

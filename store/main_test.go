package store_test

import (
	"os"
	"testing"

	"github.com/oauthdb/oauthdb/internal/testdb"
)

// databaseURL is that of a migrated database.
var databaseURL string

func TestMain(m *testing.M) { os.Exit(testdb.Examples(m, &databaseURL).Run()) }

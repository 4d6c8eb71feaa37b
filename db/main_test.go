package db_test

import (
	"testing"

	"github.com/oauthdb/oauthdb/internal/leak"
	"github.com/oauthdb/oauthdb/internal/testdb"
)

// databaseURL is that of a migrated database.
var databaseURL string

// No test of the package may leave a goroutine behind.
func TestMain(m *testing.M) { leak.Main(testdb.Examples(testdb.Reuse(m), &databaseURL)) }

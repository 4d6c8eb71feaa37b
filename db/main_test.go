package db_test

import (
	"testing"

	"github.com/oauthdb/oauthdb/internal/leak"
	"github.com/oauthdb/oauthdb/internal/testdb"
)

// No test of the package may leave a goroutine behind.
func TestMain(m *testing.M) { leak.Main(testdb.Reuse(m)) }

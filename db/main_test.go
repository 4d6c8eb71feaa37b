package db_test

import (
	"testing"

	"github.com/oauthdb/oauthdb/internal/leak"
)

// No test of the package may leave a goroutine behind.
func TestMain(m *testing.M) { leak.Main(m) }

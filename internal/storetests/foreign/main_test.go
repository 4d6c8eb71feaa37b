package foreign

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/oauthdb/oauthdb/internal/testdb"
)

// No test of the package may leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(testdb.Reuse(m)) }

package replica

import (
	"testing"

	"go.uber.org/goleak"
)

// No test of the package may leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

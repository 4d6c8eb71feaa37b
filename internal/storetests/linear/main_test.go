package linear

import (
	"testing"

	"go.uber.org/goleak"
)

// No test of the package may leave a goroutine behind: of a call that was given up, say.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

package store

import (
	"math"
	"time"
)

// Never is the lifetime of what doesn't expire. A lifetime that is left out is an error, so whoever means it has to write it.
const Never time.Duration = math.MaxInt64

package store

import (
	"math"
	"time"
)

// Never is the lifetime of something that doesn't expire. It has to be passed explicitly, because a missing lifetime is an
// error.
const Never time.Duration = math.MaxInt64

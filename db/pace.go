package db

import (
	"context"
	"time"
)

// leastRest is the shortest sleep: the runtime's timers are not exact to less. What is owed below that is kept for later.
const leastRest = time.Millisecond

// pace spreads work over time: whoever works owes a rest in proportion. A slow server makes for long batches, so for long rests.
type pace struct {
	share float64       // of the time that is worked, above 0 and at most 1
	pause time.Duration // the least between two batches

	owed  time.Duration // rest that is due; negative after a sleep that was too long, by leastRest at most
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
}

func newPace(share float64, pause time.Duration) *pace {
	return &pace{share: share, pause: pause, now: time.Now, sleep: sleep}
}

// worked adds what a batch of that length owes.
func (p *pace) worked(took time.Duration) {
	p.owed += time.Duration(float64(took) * (1/p.share - 1))
}

// rest sleeps for what is owed, and for the pause at least. It returns the context's error when the context ends.
func (p *pace) rest(ctx context.Context) error {
	d := p.pause
	if p.owed >= leastRest {
		d = max(d, p.owed)
	}
	if d <= 0 {
		return ctx.Err()
	}
	began := p.now()
	err := p.sleep(ctx, d)
	p.owed = max(p.owed-p.now().Sub(began), -leastRest)
	return err
}

package db

import (
	"context"
	"errors"
	"testing"
	"time"
)

// clock is a time that passes only where a test says so.
type clock struct {
	at    time.Time
	late  time.Duration // by which each sleep is too long
	slept []time.Duration
}

func (c *clock) now() time.Time { return c.at }

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.slept = append(c.slept, d)
	c.at = c.at.Add(d + c.late)
	return ctx.Err()
}

func (c *clock) total() (sum time.Duration) {
	for _, d := range c.slept {
		sum += d + c.late
	}
	return sum
}

func paced(share float64, pause time.Duration) (*pace, *clock) {
	p, c := newPace(share, pause), &clock{}
	p.now, p.sleep = c.now, c.sleep
	return p, c
}

func TestAPaceWorksItsShareOfTheTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		share, batch, late time.Duration // the share in percent
		batches            int
		rest               time.Duration // in all
		off                time.Duration // that it may differ
	}{
		{share: 50, batch: 10 * time.Millisecond, batches: 10, rest: 100 * time.Millisecond},
		{share: 25, batch: 10 * time.Millisecond, batches: 10, rest: 300 * time.Millisecond},
		{share: 100, batch: 10 * time.Millisecond, batches: 10},
		// Rests below what a timer can do are gathered.
		{share: 50, batch: 100 * time.Microsecond, batches: 1000, rest: 100 * time.Millisecond, off: leastRest},
		// A timer that is late by less than leastRest takes nothing from the share.
		{share: 50, batch: 3 * time.Millisecond, late: 600 * time.Microsecond, batches: 100, rest: 300 * time.Millisecond, off: 2 * leastRest},
		{share: 50, batch: 300 * time.Microsecond, late: 900 * time.Microsecond, batches: 1000, rest: 300 * time.Millisecond, off: 2 * leastRest},
	} {
		p, clock := paced(float64(c.share)/100, 0)
		clock.late = c.late
		for range c.batches {
			p.worked(c.batch)
			if err := p.rest(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := clock.total(); (got - c.rest).Abs() > c.off {
			t.Errorf("%d batches of %v with a share of %d %%: rested for %v, want %v", c.batches, c.batch, c.share, got, c.rest)
		}
	}
}

// A batch that takes ten times as long, because the server has other things to do, is followed by ten times the rest.
func TestAPaceYieldsToASlowServer(t *testing.T) {
	t.Parallel()
	p, clock := paced(0.5, 0)
	for _, took := range []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, 2 * time.Millisecond} {
		p.worked(took)
		if err := p.rest(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := clock.slept[len(clock.slept)-1]; got != took {
			t.Errorf("after a batch of %v it rests for %v", took, got)
		}
	}
}

// A machine that overslept by an hour doesn't work without a rest for an hour.
func TestAPaceMakesUpForNoMoreThanItsShortestRest(t *testing.T) {
	t.Parallel()
	p, clock := paced(0.5, 0)
	clock.late = time.Hour
	p.worked(10 * time.Millisecond)
	if err := p.rest(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.late, clock.slept = 0, nil
	p.worked(10 * time.Millisecond)
	if err := p.rest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := clock.total(); got != 10*time.Millisecond-leastRest {
		t.Errorf("it rests for %v", got)
	}
}

func TestAPausePassesHoweverShortABatchWas(t *testing.T) {
	t.Parallel()
	p, clock := paced(0.5, 5*time.Millisecond)
	for _, c := range []struct{ took, rest time.Duration }{{time.Millisecond, 5 * time.Millisecond}, {20 * time.Millisecond, 19 * time.Millisecond}} {
		p.worked(c.took)
		if err := p.rest(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := clock.slept[len(clock.slept)-1]; got != c.rest {
			t.Errorf("after a batch of %v it rests for %v, want %v", c.took, got, c.rest)
		}
	}
}

func TestARestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, share := range []float64{0.001, 1} {
		p := newPace(share, 0)
		p.worked(time.Hour)
		if err := p.rest(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("share %v: %v", share, err)
		}
	}
}

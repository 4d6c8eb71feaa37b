package relay

import (
	"sync"
	"time"
)

// A wake-up may come that much too early without another wait for the rest.
const earliest = 10 * time.Microsecond

// A wait is shortened by that much at most.
const longestLead = 100 * time.Microsecond

// chunk is what one Read got, or the end of what can be read.
type chunk struct {
	by  *direction
	buf *[]byte
	n   int   // bytes of buf
	err error // io.EOF, or what the Read failed with
	due time.Time
}

// queue holds the chunks of all connections back. They are due in the order in which they came.
type queue struct {
	delay time.Duration
	timer *timer

	mu       sync.Mutex
	chunks   []chunk       // from head on
	head     int           // those before have been popped
	sleeping bool          // nothing is held back, and the timer isn't set
	closed   bool          // and the timer with it
	target   time.Time     // for which the timer is set
	lead     time.Duration // by which the timer is set early: how late wake-ups come, on average
}

func newQueue(delay time.Duration) (*queue, error) {
	t, err := newTimer()
	if err != nil {
		return nil, err
	}
	return &queue{delay: delay, timer: t, sleeping: true}, nil
}

// push holds c back, beginning now.
func (q *queue) push(c chunk) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil // as lost as what a closed relay would have to deliver
	}
	now := time.Now() // under the lock, so that the queue is in order
	c.due = now.Add(q.delay)
	if len(q.chunks) == cap(q.chunks) && q.head > len(q.chunks)/2 { // rather than grow
		n := copy(q.chunks, q.chunks[q.head:])
		clear(q.chunks[n:])
		q.chunks, q.head = q.chunks[:n], 0
	}
	q.chunks = append(q.chunks, c)
	if q.sleeping {
		q.sleeping = false
		return q.set(now)
	}
	return nil
}

// set sets the timer for the first chunk.
func (q *queue) set(now time.Time) error {
	d := max(q.chunks[q.head].due.Sub(now)-q.lead, 0)
	q.target = now.Add(d)
	return q.timer.set(d)
}

// pop returns the first chunk, waiting until it is due. It fails when the queue has been closed.
func (q *queue) pop() (chunk, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.head < len(q.chunks) {
			now := time.Now()
			if c := q.chunks[q.head]; c.due.Sub(now) <= earliest {
				q.chunks[q.head] = chunk{}
				if q.head++; q.head == len(q.chunks) {
					q.chunks, q.head = q.chunks[:0], 0
				}
				return c, nil
			}
			if q.closed {
				return chunk{}, errClosed
			}
			if err := q.set(now); err != nil {
				return chunk{}, err
			}
		} else {
			q.sleeping = true
		}
		q.mu.Unlock()
		err := q.timer.wait()
		q.mu.Lock()
		if err != nil {
			return chunk{}, errClosed
		}
		late := min(max(time.Since(q.target), 0), longestLead)
		q.lead += (late - q.lead) / 16
	}
}

// close ends the waiting. What is held back is lost.
func (q *queue) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return q.timer.close()
}

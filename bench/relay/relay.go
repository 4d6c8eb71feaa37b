package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	chunkSize  = 64 << 10 // bytes that one Read can get
	chunksHeld = 256      // in each direction of a connection; then the sender has to wait
)

var errClosed = errors.New("the relay is closed")

var buffers = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// Relay passes connections on to a target, with a delay.
type Relay struct {
	network, address string

	ctx      context.Context
	cancel   context.CancelFunc
	unwatch  func() bool
	listener net.Listener
	queue    *queue // nil without a delay
	trips    atomic.Int64
	wg       sync.WaitGroup

	mu    sync.Mutex
	ended bool
	err   error // because of which
	conns map[*conn]struct{}
}

// Start listens on a port of its own on 127.0.0.1 and passes every connection on to address, a host and port of network "tcp" or
// a path of network "unix". Whatever it passes on arrives half of rtt later. It ends when ctx does, or by Close.
func Start(ctx context.Context, network, address string, rtt time.Duration) (*Relay, error) {
	if rtt < 0 {
		return nil, fmt.Errorf("start a relay: negative round-trip time %v", rtt)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a relay: %w", err)
	}
	r := &Relay{network: network, address: address, listener: l, conns: map[*conn]struct{}{}}
	if rtt > 0 {
		if r.queue, err = newQueue(rtt / 2); err != nil {
			return nil, errors.Join(fmt.Errorf("start a relay: %w", err), l.Close())
		}
	}
	r.mu.Lock() // keeps an end that comes at once waiting until there is something to end
	defer r.mu.Unlock()
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.unwatch = context.AfterFunc(r.ctx, func() { r.end(nil) })
	if r.queue != nil {
		r.wg.Go(r.deliver)
	}
	r.wg.Go(r.accept)
	return r, nil
}

// Addr is where the relay listens, as host:port.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// RoundTrips counts how often clients have waited for their server since the relay began: the times that data came from a
// client after data had been passed on to it, or first on its connection. What a client sends at a stretch counts once. The
// round trips of an operation are the difference of two counts; opening a connection takes some too.
//
// A client that sends on while answers to what it sent before arrive is counted as if it had waited for them.
func (r *Relay) RoundTrips() int64 { return r.trips.Load() }

// Close ends the relay and all of its connections, and returns when all of its goroutines have. Its error is the one that the relay
// ended with before, if it did.
func (r *Relay) Close() error {
	r.end(nil)
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// end lets everything end, because of err if that isn't nil.
func (r *Relay) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.ended = true
	r.unwatch()
	r.cancel()
	r.err = errors.Join(err, r.listener.Close())
	if r.queue != nil {
		r.err = errors.Join(r.err, r.queue.close())
	}
	for c := range r.conns {
		c.abort()
	}
}

// accept takes connections.
func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			if r.ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				r.end(fmt.Errorf("accept a connection: %w", err))
			}
			return
		}
		r.wg.Go(func() { r.connect(client.(*net.TCPConn)) })
	}
}

// connect connects to the target for client, and passes on what either sends.
func (r *Relay) connect(client *net.TCPConn) {
	var d net.Dialer
	s, err := d.DialContext(r.ctx, r.network, r.address)
	if err != nil { // the client sees a reset
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	c := &conn{relay: r, client: client, server: s.(socket), done: make(chan struct{})}
	c.open.Store(2)
	c.answered.Store(true)
	if err := errors.Join(c.up.init(c, c.client, c.server), c.down.init(c, c.server, c.client)); err != nil {
		c.abort()
		return
	}

	if !r.begin(c) {
		c.abort()
		return
	}
	<-c.done
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// begin passes on what comes, unless the relay has ended.
func (r *Relay) begin(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.conns[c] = struct{}{}
	r.wg.Go(c.up.read)
	r.wg.Go(c.down.read)
	return true
}

// deliver passes the chunks on that are due.
func (r *Relay) deliver() {
	for {
		c, err := r.queue.pop()
		if err != nil {
			if !errors.Is(err, errClosed) {
				r.end(err)
			}
			return
		}
		c.by.deliver(c)
	}
}

// socket is what *net.TCPConn and *net.UnixConn have in common.
type socket interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// conn is a client's connection and the one to the target.
type conn struct {
	relay    *Relay
	client   socket
	server   socket
	up, down direction
	open     atomic.Int32 // directions that haven't ended
	answered atomic.Bool  // the last data were for the client, or there have been none
	done     chan struct{}
	once     sync.Once
}

// abort ends both connections at once, so that their peers see a reset where there is such a thing.
func (c *conn) abort() {
	c.once.Do(func() {
		for _, s := range []socket{c.client, c.server} {
			if t, ok := s.(*net.TCPConn); ok {
				_ = t.SetLinger(0)
			}
			_ = s.Close()
		}
		close(c.done)
	})
}

// ended says that one direction has ended. After the second, the connections are closed.
func (c *conn) ended() {
	if c.open.Add(-1) > 0 {
		return
	}
	c.once.Do(func() {
		_ = c.client.Close()
		_ = c.server.Close()
		close(c.done)
	})
}

// direction is one of the two of a connection.
type direction struct {
	conn     *conn
	from, to socket
	slots    chan struct{} // one in it for each chunk that is being read or held back

	// For the goroutine that delivers.
	raw     syscall.RawConn // of to
	attempt func(fd uintptr) bool
	out     []byte // what attempt is to write
	written int    // how much of it attempt wrote
	failed  error  // what it failed with

	mu      sync.Mutex
	blocked bool    // drain is at work
	backlog []chunk // that drain is to write next
}

func (d *direction) init(c *conn, from, to socket) (err error) {
	d.conn, d.from, d.to = c, from, to
	d.slots = make(chan struct{}, chunksHeld)
	d.raw, err = to.SyscallConn()
	d.attempt = func(fd uintptr) bool {
		for {
			d.written, d.failed = syscall.Write(int(fd), d.out)
			if !errors.Is(d.failed, syscall.EINTR) {
				return true // don't wait, whether or not all has been written
			}
		}
	}
	return err
}

// read reads until the end and passes what it reads on, or has it held back.
func (d *direction) read() {
	r := d.conn.relay
	for {
		select {
		case d.slots <- struct{}{}:
		case <-d.conn.done:
			return
		}
		c := chunk{by: d, buf: buffers.Get().(*[]byte)}
		c.n, c.err = d.from.Read(*c.buf)
		if c.n > 0 && d == &d.conn.up && d.conn.answered.Swap(false) {
			r.trips.Add(1)
		}
		if r.queue == nil {
			d.write(c)
		} else if err := r.queue.push(c); err != nil {
			r.end(err)
		}
		if c.err != nil {
			return
		}
	}
}

// deliver writes c without waiting for the receiver. If that one is slow, drain waits.
func (d *direction) deliver(c chunk) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.blocked {
		d.backlog = append(d.backlog, c)
		return
	}
	d.before(c)
	d.out = (*c.buf)[:c.n]
	d.written, d.failed = 0, nil
	if len(d.out) > 0 {
		if err := d.raw.Write(d.attempt); err != nil { // it's closed
			d.failed = err
		}
	}
	rest := d.out[max(d.written, 0):]
	d.out = nil
	switch {
	case d.failed != nil && !errors.Is(d.failed, syscall.EAGAIN):
		d.after(c, d.failed)
	case len(rest) > 0:
		d.blocked = true
		d.conn.relay.wg.Go(func() { d.drain(c, rest) })
	default:
		d.after(c, nil)
	}
}

// drain writes the rest of c and then the backlog, as fast as the receiver takes it.
func (d *direction) drain(c chunk, rest []byte) {
	_, err := d.to.Write(rest)
	d.after(c, err)
	for {
		d.mu.Lock()
		chunks := d.backlog
		d.backlog = nil
		d.blocked = len(chunks) > 0
		d.mu.Unlock()
		if len(chunks) == 0 {
			return
		}
		for _, c := range chunks {
			d.write(c)
		}
	}
}

// write writes c, waiting for the receiver.
func (d *direction) write(c chunk) {
	d.before(c)
	var err error
	if c.n > 0 {
		_, err = d.to.Write((*c.buf)[:c.n])
	}
	d.after(c, err)
}

// before is for what has to be known before the receiver can act on c.
func (d *direction) before(c chunk) {
	if c.n > 0 && d == &d.conn.down {
		d.conn.answered.Store(true)
	}
}

// after is for what follows from c once it has been written, or err was the answer.
func (d *direction) after(c chunk, err error) {
	buffers.Put(c.buf)
	<-d.slots
	switch {
	case err != nil:
		d.conn.abort()
	case errors.Is(c.err, io.EOF):
		if err := d.to.CloseWrite(); err != nil {
			d.conn.abort()
		}
		d.conn.ended()
	case c.err != nil:
		d.conn.abort()
	}
}

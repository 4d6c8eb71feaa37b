package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers every connection with handle, until the test ends.
func serve(t testing.TB, network, address string, handle func(socket)) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				stop := context.AfterFunc(t.Context(), func() { c.Close() })
				defer stop()
				handle(c.(socket))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// echo sends back what it gets, and ends when the client has.
func echo(c socket) {
	if _, err := io.Copy(c, struct{ io.Reader }{c}); err == nil {
		c.CloseWrite()
	}
}

func start(t testing.TB, network, address string, rtt time.Duration) *Relay {
	t.Helper()
	r, err := Start(t.Context(), network, address, rtt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func dial(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// trip sends a query and waits for its echo.
func trip(t testing.TB, c net.Conn, buf []byte) {
	if _, err := c.Write(buf); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf); err != nil {
		t.Fatal(err)
	}
}

// fastest is what one in twenty of n round trips took at most: others may be using the machine.
func fastest(t testing.TB, c net.Conn, n int) time.Duration {
	buf := make([]byte, 200)
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		trip(t, c, buf)
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[n/20]
}

func TestRoundTripTakesWhatWasAskedFor(t *testing.T) {
	target := serve(t, "tcp", "127.0.0.1:0", echo)
	for _, rtt := range []time.Duration{time.Millisecond, 4 * time.Millisecond} {
		t.Run(rtt.String(), func(t *testing.T) {
			took := fastest(t, dial(t, start(t, "tcp", target, rtt).Addr()), 200)
			t.Log(took)
			if took < rtt-2*earliest || took > rtt+rtt/2 { // half the delay too much, or one way without it
				t.Errorf("a round trip took %v, want %v", took, rtt)
			}
		})
	}
}

func TestNoDelayPassesOnAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	serve(t, "unix", path, echo)
	c := dial(t, start(t, "unix", path, 0).Addr())
	took := fastest(t, c, 200)
	t.Log(took)
	if took > time.Millisecond {
		t.Errorf("a round trip took %v", took)
	}
}

func TestRoundTripsCountsWhatTheClientWaitsFor(t *testing.T) {
	target := serve(t, "tcp", "127.0.0.1:0", echo)
	for _, rtt := range []time.Duration{0, time.Millisecond} {
		t.Run(rtt.String(), func(t *testing.T) {
			r := start(t, "tcp", target, rtt)
			a, b := dial(t, r.Addr()), dial(t, r.Addr())
			if n := r.RoundTrips(); n != 0 {
				t.Errorf("%d before anything was sent", n)
			}
			buf := make([]byte, 10)
			for range 7 {
				trip(t, a, buf)
			}
			trip(t, b, buf)
			if n := r.RoundTrips(); n != 8 {
				t.Errorf("%d after 7 and 1, want 8", n)
			}
		})
	}
}

func TestRoundTripsCountsAPipelineOnce(t *testing.T) {
	const parts = 20
	target := serve(t, "tcp", "127.0.0.1:0", func(c socket) { // answers when it has got all
		for {
			if _, err := io.CopyN(io.Discard, c, parts*10); err != nil {
				return
			}
			for range parts {
				c.Write(make([]byte, 10))
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	for _, rtt := range []time.Duration{0, time.Millisecond} {
		t.Run(rtt.String(), func(t *testing.T) {
			r := start(t, "tcp", target, rtt)
			c := dial(t, r.Addr())
			buf := make([]byte, parts*10)
			for want := int64(1); want <= 3; want++ {
				for part := range slices.Chunk(buf, 10) {
					c.Write(part)
					time.Sleep(100 * time.Microsecond) // a chunk of its own
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					t.Fatal(err)
				}
				if n := r.RoundTrips(); n != want {
					t.Errorf("%d after %d pipelines", n, want)
				}
			}
		})
	}
}

func TestTransfersArriveWholeAndInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	serve(t, "unix", path, echo)
	for _, rtt := range []time.Duration{0, 500 * time.Microsecond, 2 * time.Millisecond} {
		t.Run(rtt.String(), func(t *testing.T) {
			r := start(t, "unix", path, rtt)
			var wg sync.WaitGroup
			for n := range 4 {
				c := dial(t, r.Addr())
				sent := make([]byte, 8<<20+n)
				rng := rand.NewChaCha8([32]byte{byte(n)})
				rng.Read(sent)
				wg.Go(func() {
					for rest := sent; len(rest) > 0; {
						size := min(len(rest), 1+int(rng.Uint64()%200_000))
						if _, err := c.Write(rest[:size]); err != nil {
							t.Error(err)
							return
						}
						rest = rest[size:]
					}
					c.CloseWrite()
				})
				wg.Go(func() {
					if n == 0 {
						time.Sleep(100 * time.Millisecond) // a slow receiver, which mustn't hold the others up
					}
					got, err := io.ReadAll(c)
					if err != nil {
						t.Error(err)
					} else if !bytes.Equal(got, sent) {
						t.Errorf("%d bytes came back otherwise than the %d that were sent", len(got), len(sent))
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestSlowReceiverHoldsNobodyUp(t *testing.T) {
	target := serve(t, "tcp", "127.0.0.1:0", echo)
	r := start(t, "tcp", target, 500*time.Microsecond)
	stuck := dial(t, r.Addr())
	stuck.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := io.Copy(stuck, io.LimitReader(zeros{}, 1<<30))
	if err == nil {
		t.Errorf("%d bytes were taken without a reader", n)
	}
	if took := fastest(t, dial(t, r.Addr()), 50); took > 10*time.Millisecond {
		t.Errorf("a round trip beside it took %v", took)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestHalfCloseIsPassedOn(t *testing.T) {
	target := serve(t, "tcp", "127.0.0.1:0", func(c socket) { // counts until the end, and only then answers
		n, _ := io.Copy(io.Discard, c)
		fmt.Fprint(c, n)
	})
	for _, rtt := range []time.Duration{0, time.Millisecond} {
		c := dial(t, start(t, "tcp", target, rtt).Addr())
		fmt.Fprint(c, "four")
		c.CloseWrite()
		if got, err := io.ReadAll(c); string(got) != "4" || err != nil {
			t.Errorf("at %v: %q, %v", rtt, got, err)
		}
	}
}

func TestServersEndIsPassedOn(t *testing.T) {
	target := serve(t, "tcp", "127.0.0.1:0", func(c socket) { fmt.Fprint(c, "bye") })
	for _, rtt := range []time.Duration{0, time.Millisecond} {
		c := dial(t, start(t, "tcp", target, rtt).Addr())
		if got, err := io.ReadAll(c); string(got) != "bye" || err != nil {
			t.Errorf("at %v: %q, %v", rtt, got, err)
		}
	}
}

func TestResetsArePassedOn(t *testing.T) {
	seen := make(chan error, 1)
	target := serve(t, "tcp", "127.0.0.1:0", func(c socket) {
		var b [1]byte
		_, err := c.Read(b[:])
		if err != nil { // the client's reset
			seen <- err
			return
		}
		c.(*net.TCPConn).SetLinger(0) // the server's
	})
	for _, rtt := range []time.Duration{0, time.Millisecond} {
		r := start(t, "tcp", target, rtt)
		c := dial(t, r.Addr())
		c.Write([]byte("x"))
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("at %v the client got %v", rtt, err)
		}
		c = dial(t, r.Addr())
		time.Sleep(20 * time.Millisecond) // until the relay is connected
		c.SetLinger(0)
		c.Close()
		select {
		case err := <-seen:
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("at %v the server got %v", rtt, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the server got nothing")
		}
	}
}

func TestTargetThatIsNotThere(t *testing.T) {
	r := start(t, "unix", filepath.Join(t.TempDir(), "absent"), time.Millisecond)
	c, err := net.Dial("tcp", r.Addr())
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
}

// busy keeps n connections going through r until they fail.
func busy(t *testing.T, r *Relay, n int) *sync.WaitGroup {
	var wg sync.WaitGroup
	for range n {
		c := dial(t, r.Addr())
		trip(t, c, make([]byte, 10))
		wg.Go(func() { io.Copy(c, zeros{}) })
		wg.Go(func() { io.Copy(io.Discard, c) })
	}
	dial(t, r.Addr()) // one that is idle
	return &wg
}

func TestCloseWhileBusyEndsAll(t *testing.T) {
	target := serve(t, "tcp", "127.0.0.1:0", echo)
	for _, rtt := range []time.Duration{0, 500 * time.Microsecond, time.Minute} {
		t.Run(rtt.String(), func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			r, err := Start(t.Context(), "tcp", target, rtt)
			if err != nil {
				t.Fatal(err)
			}
			var clients *sync.WaitGroup
			if rtt == time.Minute {
				clients = &sync.WaitGroup{}
				dial(t, r.Addr()).Write([]byte("held back"))
			} else {
				clients = busy(t, r, 8)
			}
			time.Sleep(20 * time.Millisecond)
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("again: %v", err)
			}
			clients.Wait()
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
			if _, err := net.Dial("tcp", r.Addr()); err == nil {
				t.Error("it still listens")
			}
		})
	}
}

func TestContextEndsAll(t *testing.T) {
	target := serve(t, "tcp", "127.0.0.1:0", echo)
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Start(ctx, "tcp", target, 500*time.Microsecond)
	if err != nil {
		t.Fatal(err)
	}
	clients := busy(t, r, 4)
	cancel()
	clients.Wait()
	if err := goleak.Find(before); err != nil { // before Close
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestConnectionsThatEndedAreForgotten(t *testing.T) {
	r := start(t, "tcp", serve(t, "tcp", "127.0.0.1:0", echo), 500*time.Microsecond)
	for range 10 {
		c := dial(t, r.Addr())
		trip(t, c, make([]byte, 1))
		c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		n := len(r.conns)
		r.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d left", n)
		}
	}
}

func TestStartRefusesANegativeDelay(t *testing.T) {
	if _, err := Start(t.Context(), "tcp", "127.0.0.1:1", -1); err == nil {
		t.Error("no error")
	}
}

// BenchmarkRelay says what the relay adds to a round trip, beside the delay, and what it takes of the processors.
func BenchmarkRelay(b *testing.B) {
	for _, conns := range []int{1, 16, 64} {
		for _, rtt := range []time.Duration{-1, 0, 500 * time.Microsecond, 2 * time.Millisecond} {
			name := fmt.Sprintf("conns=%d/rtt=%v", conns, rtt)
			if rtt < 0 {
				name = fmt.Sprintf("conns=%d/direct", conns)
			}
			b.Run(name, func(b *testing.B) {
				address := serve(b, "tcp", "127.0.0.1:0", echo)
				if rtt >= 0 {
					address = start(b, "tcp", address, rtt).Addr()
				}
				cs := make([]net.Conn, conns)
				for i := range cs {
					cs[i] = dial(b, address)
					trip(b, cs[i], make([]byte, 200))
				}
				var before, after syscall.Rusage
				syscall.Getrusage(syscall.RUSAGE_SELF, &before)
				took := make([][]time.Duration, conns)
				var wg sync.WaitGroup
				b.ResetTimer()
				for i, c := range cs {
					wg.Go(func() {
						buf := make([]byte, 200)
						for range (b.N + conns - 1) / conns {
							began := time.Now()
							trip(b, c, buf)
							took[i] = append(took[i], time.Since(began))
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				syscall.Getrusage(syscall.RUSAGE_SELF, &after)
				all := slices.Concat(took...)
				slices.Sort(all)
				cpu := func(u syscall.Rusage) float64 {
					return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
				}
				b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1e3, "p50-µs")
				b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1e3, "p99-µs")
				b.ReportMetric((cpu(after)-cpu(before))/float64(len(all)), "cpu-µs/op")
				b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "op/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

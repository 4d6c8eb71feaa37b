package network

import (
	"io"
	"net"
	"testing"
	"time"
)

// The server answers each byte with itself.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	return l.Addr().String()
}

func TestAnAnswerComesLaterByTheDelay(t *testing.T) {
	server := echo(t)
	const rtt, trips = 20 * time.Millisecond, 5
	for _, d := range []time.Duration{0, rtt} {
		p, err := Start(server, d)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for n := range byte(trips) {
			b := []byte{n}
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, b); err != nil || b[0] != n {
				t.Fatalf("%d came back as %d: %v", n, b[0], err)
			}
		}
		if took := time.Since(began); took < trips*d {
			t.Errorf("%d round trips of %v took %v", trips, d, took)
		}
		c.Close()
		p.Close()
	}
}

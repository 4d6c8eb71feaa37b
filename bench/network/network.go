// Package network puts a network between a client and a server of this machine: a proxy of Shopify's toxiproxy that delays what the
// server answers.
package network

import (
	"fmt"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// Proxy passes TCP connections on to a server.
type Proxy struct{ proxy *toxiproxy.Proxy }

// Start listens on a port of 127.0.0.1. To a round trip it adds what it costs itself (see docs/performance.md), and rtt.
func Start(server string, rtt time.Duration) (*Proxy, error) {
	control := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := toxiproxy.NewProxy(control, "bench", "127.0.0.1:0", server)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"type": %q, "stream": "downstream", "attributes": {"after": %d}}`, kind, rtt))); err != nil {
		p.Stop()
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	return &Proxy{p}, nil
}

// Addr is the host and port to connect to.
func (p *Proxy) Addr() string { return p.proxy.Listen }

// Close ends the connections, and listens no more.
func (p *Proxy) Close() { p.proxy.Stop() }

const kind = "oauthdb delay"

func init() { toxics.Register(kind, new(delay)) }

// delay is what toxiproxy's own latency toxic is, but for a resolution of microseconds. Its field is set from JSON.
type delay struct {
	After time.Duration `json:"after"`
}

// GetBufferSize is how much may be under way, in reads.
func (*delay) GetBufferSize() int { return 1024 }

// Pipe passes on what comes.
func (d *delay) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			if rest := d.After - time.Since(c.Timestamp); rest > 0 {
				// time.Sleep takes a millisecond at least where nothing else is to be done.
				wait := unix.NsecToTimeval(rest.Nanoseconds())
				_, _ = unix.Select(0, nil, nil, nil, &wait)
			}
			stub.Output <- c
		}
	}
}

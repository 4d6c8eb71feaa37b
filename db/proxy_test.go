package db_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"
)

// commitMessage is COMMIT as pgx sends it: a simple query.
const commitMessage = "commit\x00"

// proxy passes bytes on between clients and a server, until a client sends a message with a certain text. Then it cuts that
// connection: before the server gets the message, or after the server has answered, without passing the answer on.
type proxy struct {
	server  string
	message []byte
	deliver bool // the message to the server before cutting
	wg      sync.WaitGroup

	mu   sync.Mutex
	cuts int
}

// cutAt starts a proxy to the server of address and returns the address through it.
func cutAt(t *testing.T, message, address string, deliver bool) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: u.Host, message: []byte(message), deliver: deliver}
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.wg.Wait()
	})
	u.Host = l.Addr().String()
	return p, withParams(t, u.String(), "sslmode", "disable")
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	answers := make(chan struct{})
	var cut sync.Mutex // held from that message on: no answer gets through
	go func() {
		defer close(answers)
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			if !cut.TryLock() {
				return // the answer has come
			}
			_, err = client.Write(buf[:n])
			cut.Unlock()
			if err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			server.Close()
			break
		}
		if bytes.Contains(buf[:n], p.message) {
			cut.Lock()
			p.mu.Lock()
			p.cuts++
			p.mu.Unlock()
			if p.deliver {
				if _, err := server.Write(buf[:n]); err != nil {
					break
				}
				<-answers
			}
			break
		}
		if _, err := server.Write(buf[:n]); err != nil {
			break
		}
	}
	client.Close()
	server.Close()
	<-answers
}

func (p *proxy) cutCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

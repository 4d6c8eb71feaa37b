package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// proxy stands between tests and the server. Whatever they connect with, their statements pass here: a mutant is swapped in without a
// change of the project's code, and without building anything again.
type proxy struct {
	listener net.Listener
	admin    *pgx.ConnConfig // a superuser of the server
	isTest   func(database string) bool

	mu        sync.Mutex
	mutant    *mutant                // swapped in; nil for none
	observe   func(sql string)       // told of each statement; nil for nobody
	databases map[string]*sync.Mutex // those of tests since the mutant was set, each locked while the mutant is put in
	put       map[string]bool        // the mutant of a routine is in this database
	failed    error                  // of putting it in

	seen atomic.Int64 // how often the mutant was sent, or put in
}

func newProxy(admin *pgx.ConnConfig, isTest func(string) bool) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, admin: admin, isTest: isTest, databases: map[string]*sync.Mutex{}, put: map[string]bool{}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			go p.serve(conn)
		}
	}()
	return p, nil
}

func (p *proxy) close() { p.listener.Close() }

// url is that of the server, by way of the proxy.
func (p *proxy) url(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Host = p.listener.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// use swaps in a mutant, or none, and has statements observed or not.
func (p *proxy) use(m *mutant, observe func(string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mutant, p.observe, p.failed = m, observe, nil
	clear(p.databases)
	clear(p.put)
	p.seen.Store(0)
}

// outcome is what became of the mutant: how often it was met, and whether it could not be put into a database.
func (p *proxy) outcome() (seen int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.Load(), p.failed
}

// drop drops the databases that tests have left.
func (p *proxy) drop(ctx context.Context) error {
	p.mu.Lock()
	var names []string
	for name := range p.databases {
		names = append(names, name)
	}
	clear(p.databases)
	p.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, p.admin)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT datname::text FROM pg_database WHERE datname = ANY ($1) AND NOT datistemplate", names)
	if err != nil {
		return err
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range left {
		_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	}
	return err
}

const (
	cancelRequest = 80877102
	sslRequest    = 80877103
	gssRequest    = 80877104
	longest       = 1 << 30
)

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	in := bufio.NewReaderSize(client, 1<<15)
	var startup []byte
	for {
		head, err := in.Peek(8)
		if err != nil {
			return
		}
		length, code := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		if length < 8 || length > 1<<16 {
			return
		}
		startup = make([]byte, length)
		if _, err := io.ReadFull(in, startup); err != nil {
			return
		}
		if code != sslRequest && code != gssRequest {
			break
		}
		if _, err := client.Write([]byte("N")); err != nil {
			return
		}
	}
	network, address := pgconn.NetworkAddress(p.admin.Host, p.admin.Port)
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer server.Close()
	if binary.BigEndian.Uint32(startup[4:]) != cancelRequest {
		if err := p.enter(databaseOf(startup[8:])); err != nil {
			return
		}
	}
	if _, err := server.Write(startup); err != nil {
		return
	}
	go func() {
		io.Copy(client, server)
		client.Close()
	}()
	p.forward(server, in)
}

// databaseOf finds the database in the parameters of a startup message.
func databaseOf(parameters []byte) string {
	words := strings.Split(string(parameters), "\x00")
	found := map[string]string{}
	for i := 0; i+1 < len(words); i += 2 {
		found[words[i]] = words[i+1]
	}
	if found["database"] == "" {
		return found["user"]
	}
	return found["database"]
}

// forward sends on what a client sends, with the mutant in the place of the original.
func (p *proxy) forward(server net.Conn, in *bufio.Reader) {
	out := bufio.NewWriterSize(server, 1<<15)
	prepared := map[string]string{} // statements by name, as the client has sent them
	var head [5]byte
	for {
		if in.Buffered() == 0 {
			if out.Flush() != nil {
				return
			}
		}
		if _, err := io.ReadFull(in, head[:]); err != nil {
			out.Flush()
			return
		}
		length := int64(binary.BigEndian.Uint32(head[1:])) - 4
		if length < 0 || length > longest {
			return
		}
		if !strings.ContainsRune("PBQ", rune(head[0])) { // neither Parse nor Bind nor Query
			out.Write(head[:])
			if _, err := io.CopyN(out, in, length); err != nil {
				return
			}
			continue
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		switch head[0] {
		case 'P':
			name, rest, _ := bytes.Cut(body, []byte{0})
			sql, types, _ := bytes.Cut(rest, []byte{0})
			prepared[string(name)] = string(sql)
			body = slices.Concat(name, []byte{0}, []byte(p.rewritten(string(sql))), []byte{0}, types)
		case 'B':
			_, rest, _ := bytes.Cut(body, []byte{0}) // after the portal's name
			name, _, _ := bytes.Cut(rest, []byte{0})
			p.sent(prepared[string(name)])
		case 'Q':
			sql, _, _ := bytes.Cut(body, []byte{0})
			p.sent(string(sql))
			body = append([]byte(p.rewritten(string(sql))), 0)
		}
		binary.BigEndian.PutUint32(head[1:], uint32(len(body)+4))
		out.Write(head[:])
		out.Write(body)
	}
}

// sent takes note of a statement that is executed, as the client wrote it.
func (p *proxy) sent(sql string) {
	p.mu.Lock()
	m, observe := p.mutant, p.observe
	p.mu.Unlock()
	if observe != nil {
		observe(sql)
	}
	if m != nil && !m.isRoutine && strings.Contains(sql, m.original) {
		p.seen.Add(1)
	}
}

// rewritten is a statement with the mutant in the place of the original.
func (p *proxy) rewritten(sql string) string {
	p.mu.Lock()
	m := p.mutant
	p.mu.Unlock()
	if m == nil || m.isRoutine {
		return sql
	}
	return strings.ReplaceAll(sql, m.original, m.text)
}

// enter is called before a client is let into a database. A mutant of a routine is put in first.
func (p *proxy) enter(database string) error {
	if !p.isTest(database) {
		return nil
	}
	p.mu.Lock()
	m := p.mutant
	lock := p.databases[database]
	if lock == nil {
		lock = new(sync.Mutex)
		p.databases[database] = lock
	}
	p.mu.Unlock()
	if m == nil || !m.isRoutine {
		return nil
	}
	lock.Lock()
	defer lock.Unlock()
	p.mu.Lock()
	done := p.put[database]
	p.mu.Unlock()
	if done {
		return nil
	}
	n, err := p.replace(context.Background(), database, m)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && p.failed == nil && p.mutant == m {
		p.failed = fmt.Errorf("putting %s into %s: %w", m.id, database, err)
	}
	if n > 0 {
		p.put[database] = true
		p.seen.Add(1)
	}
	return err
}

// replace replaces a function in each schema of a database that has it, and says in how many. The function keeps its search_path.
func (p *proxy) replace(ctx context.Context, database string, m *mutant) (int, error) {
	c := p.admin.Copy()
	c.Database = database
	conn, err := pgx.ConnectConfig(ctx, c)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "3D000" {
		return 0, nil // no such database: the client will be told
	}
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	return replaceRoutine(ctx, conn, m)
}

func replaceRoutine(ctx context.Context, conn *pgx.Conn, m *mutant) (int, error) {
	rows, err := conn.Query(ctx, `
		SELECT coalesce(
			(SELECT substr(s, length('search_path=') + 1) FROM unnest(p.proconfig) AS s WHERE s LIKE 'search_path=%'),
			quote_ident(n.nspname)
		)
		FROM pg_proc AS p
		JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE p.proname = $1 AND n.nspname NOT IN ('pg_catalog', 'information_schema')`, m.unit)
	if err != nil {
		return 0, err
	}
	paths, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		if _, err := conn.Exec(ctx, "SET search_path = "+path); err != nil {
			return 0, err
		}
		if _, err := conn.Exec(ctx, m.text); err != nil {
			return 0, err
		}
	}
	return len(paths), nil
}

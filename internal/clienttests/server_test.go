package clienttests

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/storetest"
)

// server is a process that tests ask.
type server struct {
	issuer  string
	address string // where it listens
	db      *storetest.DB
	log     *output
	stop    func() error
}

// shared is the one that nearly all tests ask.
var shared *server

// another is one for the test that asks for it. It wants nonces in DPoP proofs (RFC 9449, section 8), and clients register themselves there,
// for which it tells none on this machine of a sign-out. It has a database of its own: one that serves two issuers would have either tell
// clients of sign-outs.
var another = sync.OnceValues(func() (*server, error) {
	s := &server{db: storetest.New(whole), log: shared.log}
	return s, s.start("-dpop-nonces", "-registration", "open", "-resources", servedResource)
})

// whole is all tests together.
var whole = &wholeRun{ctx: context.Background(), code: 1}

// program is the server's, built once.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8") // they wait for the server, and some for a clock
	}
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	defer func() {
		for i := len(whole.cleanups) - 1; i >= 0; i-- {
			whole.cleanups[i]()
		}
		code = whole.code
	}()
	folder, err := os.MkdirTemp("", "authserver")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	whole.Cleanup(func() { os.RemoveAll(folder) })
	if program = os.Getenv(programVariable); program == "" {
		program = filepath.Join(folder, "authserver")
		build := exec.Command("go", "build", "-o", program, ".")
		build.Dir = filepath.Join("..", "..", "examples", "authserver")
		if said, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building authserver: %v\n%s", err, said)
			return
		}
	}
	shared = &server{db: storetest.New(whole), log: &output{}}
	if err := shared.start("-resources", servedResource); err != nil {
		fmt.Fprintf(os.Stderr, "authserver: %v\n%s", err, shared.log)
		return
	}
	whole.code = m.Run()
	for _, s := range started {
		if err := s.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "authserver:", err)
			whole.code = 1
		}
	}
	if said := shared.log.String(); said != "" { // it logs faults of its own, and nothing else
		fmt.Fprint(os.Stderr, "authserver has logged:\n", said)
		whole.code = 1
	}
	return
}

// servedResource is a resource that clients may name which have none registered.
const servedResource = "https://api.example"

// started are the servers that are to be stopped.
var started []*server

// start starts the server, behind a proxy if it is to have a fault.
func (s *server) start(flags ...string) error {
	if f, ok := faults[os.Getenv(faultVariable)]; ok {
		var atFault http.Handler
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { atFault.ServeHTTP(w, r) }))
		whole.Cleanup(proxy.Close)
		flags = append(flags, "-issuer", proxy.URL)
		defer func() { atFault, s.issuer = f.serve(s.address), proxy.URL }()
	}
	key := func(c string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))) }
	process := exec.Command(program, append([]string{"-addr", "127.0.0.1:0", "-behind-proxy", "-log-level", "error", "-drain", "0s"}, flags...)...)
	process.Env = append(os.Environ(), "DATABASE_URL="+s.db.URL, "AUTHSERVER_SUCCESSOR_KEYS="+key("s"), "AUTHSERVER_KEY_ENCRYPTION_KEYS="+key("k"))
	process.Stderr = s.log
	said, err := process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(said)
	for s.address == "" && lines.Scan() {
		if m := regexp.MustCompile(`Serving (\S+) on (\S+)\.`).FindStringSubmatch(lines.Text()); m != nil {
			s.issuer, s.address = m[1], "http://"+m[2]
		}
	}
	if s.address == "" {
		return fmt.Errorf("it ends: %w", process.Wait())
	}
	read := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, said); close(read) }()
	s.stop = func() error {
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		<-read
		return process.Wait()
	}
	started = append(started, s)
	return nil
}

// output is what the server has said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wholeRun is all tests together, whose database storetest makes.
type wholeRun struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
	code     int
}

func (w *wholeRun) Helper()                  {}
func (w *wholeRun) Name() string             { return "clienttests" }
func (w *wholeRun) Context() context.Context { return w.ctx }
func (w *wholeRun) Cleanup(f func())         { w.cleanups = append(w.cleanups, f) }
func (w *wholeRun) Failed() bool             { return w.code != 0 && os.Getenv(faultVariable) == "" }

func (w *wholeRun) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (w *wholeRun) Errorf(format string, args ...any) { w.code = 1; w.Logf(format, args...) }
func (w *wholeRun) Fatalf(format string, args ...any) { w.Logf(format, args...); os.Exit(1) }

// httpClient follows no redirects.
var httpClient = &http.Client{
	Timeout:       time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

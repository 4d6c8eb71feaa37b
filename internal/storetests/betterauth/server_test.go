package betterauth

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const folder = "testdata/server"

// install runs npm ci where the lock file has changed since the last time. Two processes may do so at once.
var install = sync.OnceValue(func() error {
	lock, err := os.Open(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	want, err := io.ReadAll(lock)
	if err != nil {
		return err
	}
	stamp := filepath.Join(folder, "node_modules", ".installed")
	if have, err := os.ReadFile(stamp); err == nil && bytes.Equal(have, want) {
		return nil
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund")
	npm.Dir = folder
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(stamp, want, 0o600)
})

// server is a better-auth server at work.
type server struct {
	base string // the address under which its endpoints are
	http *http.Client
	log  *lockedBuffer
}

// installed installs what the server needs, or skips the test.
func installed(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it installs a server of another kind")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed", program)
			}
			t.Skipf("%s is not installed", program)
		}
	}
	if err := install(); err != nil {
		t.Fatal(err)
	}
}

// startServer starts a server on a database, with more in its environment, and stops it when the test is over.
func startServer(t *testing.T, database string, env ...string) *server {
	t.Helper()
	installed(t)
	node := exec.Command("node", "server.mjs")
	node.Dir, node.Env = folder, append(os.Environ(), "DATABASE_URL="+database, "NODE_ENV=production", "BETTER_AUTH_SECRET="+secret)
	node.Env = append(node.Env, env...)
	s := &server{log: &lockedBuffer{}, http: &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	node.Stderr = s.log
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // it ends with its standard input, whatever becomes of us
		err := node.Wait()
		if t.Failed() {
			t.Logf("better-auth: %v\n%s", err, s.log)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("better-auth does not start: %v\n%s", err, s.log)
	}
	s.base = strings.TrimSpace(line)
	go io.Copy(s.log, out) // what it prints later
	return s
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// answer is what an endpoint answered.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any // of a JSON object
}

func (a answer) text(name string) string { s, _ := a.body[name].(string); return s }

func (a answer) String() string {
	return fmt.Sprintf("%d %s %s", a.status, a.header.Get("Location"), a.raw)
}

// do sends a request with a form, a value to be sent as JSON, or nothing. header may be nil.
func (s *server) do(ctx context.Context, t testing.TB, method, path string, body any, cookie string, header http.Header) answer {
	t.Helper()
	var content io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case url.Values:
		kind, content = "application/x-www-form-urlencoded", strings.NewReader(b.Encode())
	default:
		j, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(j)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.base+path, content)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("Origin", strings.TrimSuffix(s.base, "/api/auth"))
	if bearer, is := strings.CutPrefix(cookie, "Bearer "); is {
		r.Header.Set("Authorization", "Bearer "+bearer)
	} else if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	response, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // null, or a page
	return a
}

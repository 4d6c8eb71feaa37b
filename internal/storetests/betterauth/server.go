package betterauth

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// folder is that of the server, wherever the test that starts it is run.
var folder = func() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "testdata", "server")
}()

// secret signs the server's cookies.
const secret = "for tests alone, and as long as it has to be"

// PeerName is the application name of the server's sessions, if they have the options of [AsPeer].
const PeerName = "betterauth_peer"

// AsPeer is the URL of a session that may do what the peer of package roles may, on a database made with fixture.WithRoles.
func AsPeer(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal("the database's URL cannot be read")
	}
	options := url.QueryEscape("-c role=" + u.User.Username() + "_" + string(fixture.Peer) + " -c application_name=" + PeerName)
	u.RawQuery += "&options=" + strings.ReplaceAll(options, "+", "%20")
	return u.String()
}

// Cookie signs the value of a session's cookie, session.token, as the server does.
func Cookie(value string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(value))
	return "better-auth.session_token=" + url.QueryEscape(value+"."+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

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

// Server is a better-auth server at work.
type Server struct {
	Base string       // the address under which its endpoints are
	HTTP *http.Client // follows no redirects
	log  *lockedBuffer
}

// Missing says which program the server needs that isn't installed: node or npm. It is empty if all are there.
func Missing() string {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return program
		}
	}
	return ""
}

// installed installs what the server needs, or skips the test.
func installed(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it installs a server of another kind")
	}
	if program := Missing(); program != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
	if err := install(); err != nil {
		t.Fatal(err)
	}
}

// Start starts a server on a database, with more in its environment, and stops it when the test is over. It skips the test if the server
// can't be installed, and in the short form.
func Start(t *testing.T, database string, env ...string) *Server {
	t.Helper()
	installed(t)
	node := exec.Command("node", "server.mjs")
	node.Dir, node.Env = folder, append(os.Environ(), "DATABASE_URL="+database, "NODE_ENV=production", "BETTER_AUTH_SECRET="+secret)
	node.Env = append(node.Env, env...)
	s := &Server{log: &lockedBuffer{}, HTTP: &http.Client{
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
	s.Base = strings.TrimSpace(line)
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

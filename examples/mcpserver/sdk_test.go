package mcpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/examples/mcpserver"
	"github.com/oauthdb/oauthdb/storetest"
)

const clientFolder = "testdata/client"

// installed installs the client, or skips the test where there is no Node.js.
func installed(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it installs a client from npm")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
	if err := install(); err != nil {
		t.Fatal(err)
	}
}

// install runs npm ci where the lock file has changed since the last time. Two processes may do so at once.
var install = sync.OnceValue(func() error {
	lock, err := os.Open(filepath.Join(clientFolder, "package-lock.json"))
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
	stamp := filepath.Join(clientFolder, "node_modules", ".installed")
	if have, err := os.ReadFile(stamp); err == nil && bytes.Equal(have, want) {
		return nil
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund")
	npm.Dir = clientFolder
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(stamp, want, 0o600)
})

// command runs a program until the test is over.
func command(t *testing.T, env []string, name string, args ...string) (io.Writer, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 5*time.Second
	cmd.Env = append(os.Environ(), env...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was told to stop
		if t.Failed() {
			t.Logf("%s: %s", name, &complaints)
		}
	})
	return in, bufio.NewScanner(out)
}

// An MCP client by the official SDK finds the authorization server, registers or brings its metadata document, has the user agree, calls a tool,
// and refreshes. The server is examples/authserver as it is run, the user's browser the test.
func TestOfficialClientCallsATool(t *testing.T) {
	t.Parallel()
	installed(t)
	d := storetest.New(t, storetest.MaxConns(8))

	// The client's site, with its metadata document. The authorization server trusts its certificate.
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"client_id": "https://" + r.Host + r.URL.Path, "client_name": "Notebook", "redirect_uris": []string{"http://127.0.0.1/callback"},
			"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none",
		})
	}))
	t.Cleanup(site.Close)
	certificate := filepath.Join(t.TempDir(), "site.pem")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resource := "http://" + listener.Addr().String() + "/mcp"

	authserver := filepath.Join(t.TempDir(), "authserver")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", authserver, ".")
	build.Dir = "../authserver"
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building examples/authserver: %v\n%s", err, said)
	}
	_, said := command(t, []string{"DATABASE_URL=" + d.URL, "SSL_CERT_FILE=" + certificate}, authserver,
		"-demo", "-addr", "127.0.0.1:0", "-demo-addr", "127.0.0.1:0", "-resources", resource, "-scopes", "notes")
	var issuer string
	for issuer == "" && said.Scan() {
		if found := regexp.MustCompile(`(http://\S+)/\.well-known/`).FindStringSubmatch(said.Text()); found != nil {
			issuer = found[1]
		}
	}
	go func() { // so that it isn't held up by what nobody reads
		for said.Scan() {
		}
	}()
	if issuer == "" {
		t.Fatal("examples/authserver does not start")
	}

	handler, err := mcpserver.New(d.Pool, mcpserver.Options{Resource: resource, Issuer: issuer, Scopes: []string{"notes", "offline_access"}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })

	for how, document := range map[string][]string{"registers": nil, "brings a document": {site.URL + "/client.json"}} {
		in, out := command(t, nil, "node", append([]string{filepath.Join(clientFolder, "client.mjs"), resource}, document...)...)
		var told struct {
			Authorize     string
			Client        string
			Rotated       bool
			First, Second struct {
				Tools  []string
				Caller mcpserver.Caller
			}
		}
		for told.Client == "" {
			if !out.Scan() {
				t.Fatalf("%s: the client has said no more", how)
			}
			if err := json.Unmarshal(out.Bytes(), &told); err != nil {
				t.Fatalf("%s: %s", how, out.Text())
			}
			if told.Client == "" {
				fmt.Fprintln(in, agree(t, issuer, told.Authorize, resource))
			}
		}
		if document != nil && told.Client != document[0] {
			t.Errorf("%s: it is known as %s", how, told.Client)
		}
		if told.First.Caller.ClientID != told.Client || told.First.Caller.Subject == "" || !slices.Contains(told.First.Tools, "whoami") ||
			told.Second.Caller.Subject != told.First.Caller.Subject || !told.Rotated {
			t.Errorf("%s: it has %+v", how, told)
		}
	}
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// agree is the user who signs in and agrees, in a new browser. It returns where the browser goes then.
func agree(t *testing.T, issuer, at, resource string) string {
	t.Helper()
	if asked, err := url.Parse(at); err != nil || asked.Query().Get("resource") != resource {
		t.Errorf("the client asks for resource %q", asked.Query().Get("resource"))
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	response, err := browser.Get(at)
	for range 5 {
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if to, err := response.Location(); err == nil {
			return to.String()
		}
		form := url.Values{"email": {"ada@example.com"}, "password": {"correct horse battery staple"}, "decision": {"allow"}, "tenant": {""}}
		for _, input := range hiddenInput.FindAllStringSubmatch(string(body), -1) {
			form.Set(input[1], html.UnescapeString(input[2]))
		}
		page := response.Request.URL.Path
		if response.StatusCode != http.StatusOK || page != "/signin" && page != "/consent" {
			t.Fatalf("led to %s %s: %s", response.Status, response.Request.URL, body)
		}
		response, err = browser.PostForm(issuer+page, form)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the pages come to no end")
	return ""
}

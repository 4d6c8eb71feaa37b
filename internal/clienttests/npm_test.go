package clienttests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestOpenIDClient(t *testing.T) { newWorld(t).runAll("openid-client.mjs") }

func TestOpenIDClientThatRegistersAndHasNonces(t *testing.T) {
	w := newWorld(t)
	w.installed()
	s, err := another()
	w.ok(err)
	(&world{t, s}).runAll("openid-client.mjs")
}

func TestOAuth4WebAPI(t *testing.T) { newWorld(t).runAll("oauth4webapi.mjs") }

// What goes wrong in a script is a failure here.
func TestAScriptThatFails(t *testing.T) {
	w := newWorld(t)
	w.installed()
	got := map[string]bool{}
	w.ok(w.run("failing.mjs", func(name, failed string) { got[name] = strings.Contains(failed, "AssertionError") }))
	w.want("failing.mjs", got, map[string]bool{"what passes": false, "what fails": true})
	if err := w.run("throwing.mjs", func(string, string) {}); err == nil || !strings.Contains(err.Error(), "before the tests") {
		t.Errorf("throwing.mjs: %v", err)
	}
}

const npmFolder = "testdata/npm"

// install runs npm ci where the lock file has changed since the last time. Two processes may do so at once.
var install = sync.OnceValue(func() error {
	lock, err := os.Open(filepath.Join(npmFolder, "package-lock.json"))
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
	stamp := filepath.Join(npmFolder, "node_modules", ".installed")
	if have, err := os.ReadFile(stamp); err == nil && bytes.Equal(have, want) {
		return nil
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund")
	npm.Dir = npmFolder
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(stamp, want, 0o600)
})

// installed installs what the scripts need, or skips the test.
func (w *world) installed() {
	w.Helper()
	if testing.Short() {
		w.Skip("it installs clients of another kind")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				w.Fatalf("%s is not installed", program)
			}
			w.Skipf("%s is not installed", program)
		}
	}
	w.ok(install())
}

// runAll runs a script, each of its tests as one here.
func (w *world) runAll(script string) {
	w.installed()
	ran := 0
	err := w.run(script, func(name, failed string) {
		ran++
		w.Run(name, func(t *testing.T) {
			if failed != "" {
				t.Error(failed)
			}
		})
	})
	if err != nil || ran == 0 {
		w.Errorf("%s: %d tests, %v", script, ran, err)
	}
}

// postLogout is where the clients have their users sent after a sign-out.
const postLogout = "https://client.example/signed-out"

// scriptClients are the clients that the scripts are given.
func (w *world) scriptClients() map[string]any {
	w.Helper()
	all := []string{"authorization_code", "refresh_token", exchangeGrant}
	clients := map[string]any{}
	for name, d := range map[string]document{
		"none":                {"token_endpoint_auth_method": "none", "grant_types": all},
		"client_secret_basic": {"grant_types": all, "post_logout_redirect_uris": []string{postLogout}},
		"client_secret_post":  {"token_endpoint_auth_method": "client_secret_post", "grant_types": all},
		"private_key_jwt":     {"token_endpoint_auth_method": "private_key_jwt", "grant_types": all},
		"dpop":                {"token_endpoint_auth_method": "private_key_jwt", "grant_types": all, "dpop_bound_access_tokens": true},
		"device":              {"token_endpoint_auth_method": "none", "redirect_uris": []string{}, "response_types": []string{}, "grant_types": []string{deviceGrant, "refresh_token"}},
		"machine":             {"redirect_uris": []string{}, "response_types": []string{}, "grant_types": []string{"client_credentials"}, "scope": "files"},
	} {
		c := w.register(d)
		told := map[string]any{"id": c.id, "secret": c.secret, "method": c.method}
		if c.key != nil {
			told["jwk"] = jose.JSONWebKey{Key: c.key}
		}
		clients[name] = told
	}
	return clients
}

// run runs a script, and reports the results of its tests. What it asks of a browser is done by one whose user agrees to everything.
func (w *world) run(script string, report func(name, failed string)) error {
	w.Helper()
	b := w.browser()
	given, err := json.Marshal(map[string]any{
		"issuer": w.issuer, "redirect_uri": somewhere, "resource": servedResource, "registration": w.server != shared, "post_logout_redirect_uri": postLogout, "email": b.email, "clients": w.scriptClients(),
	})
	w.ok(err)
	node := exec.CommandContext(w.Context(), "node", script)
	node.Dir = npmFolder
	said := &output{}
	node.Stderr = said
	in, err := node.StdinPipe()
	w.ok(err)
	out, err := node.StdoutPipe()
	w.ok(err)
	w.ok(node.Start())
	defer in.Close()
	tell := func(value any) {
		line, err := json.Marshal(value)
		w.ok(err)
		_, _ = in.Write(append(line, '\n')) // if it has ended, that is told below
	}
	tell(json.RawMessage(given))
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var line struct{ Open, Device, Name, Failed string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			w.Logf("%s: %s", script, lines.Text())
			continue
		}
		switch {
		case line.Open != "":
			tell(b.visit(line.Open))
		case line.Device != "":
			b.connect(line.Device)
			tell(true)
		default:
			report(line.Name, line.Failed)
		}
	}
	if err := errors.Join(lines.Err(), node.Wait()); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

// visit opens an address, goes on as far as pages ask, and is what the client's address gets.
func (b *browser) visit(address string) map[string]string {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, nil)
	b.ok(err)
	r.Header.Set("X-Forwarded-For", b.netAddress.String())
	a := b.goOn(b.do(b.http, r))
	if mode, params := a.response(); mode == "form_post" {
		return map[string]string{"url": somewhere, "body": params.Encode()}
	}
	return map[string]string{"url": a.url.String()}
}

// connect enters the code that a device shows, and agrees.
func (b *browser) connect(userCode string) {
	b.Helper()
	a := b.goOn(b.open(get("/device", "user_code", userCode)))
	if a.url.Path == "/account" { // signed in
		a = b.open(get("/device"))
	}
	a = b.submit(a, "user_code", userCode)
	form := post("/device/decide", "decision", "allow")
	for name, values := range a.inputs() {
		form.form[name] = values
	}
	if a = b.open(form); a.status != http.StatusOK {
		b.Fatalf("the device is not connected: %d\n%s", a.status, a.raw)
	}
}

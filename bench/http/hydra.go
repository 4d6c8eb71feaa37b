package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const hydraVersion = "v2.3.0"

// buildHydra builds Ory Hydra from the module proxy, once, and returns the program.
func buildHydra(ctx context.Context, logf func(string, ...any)) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "oauthdb", "bench", "hydra-"+hydraVersion)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp("", "hydra")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	logf("building Ory Hydra %s, which takes some minutes", hydraVersion)
	script := exec.CommandContext(ctx, "sh", "-euc", `
		mkdir modules source && cd modules && go mod init hydra-source
		go mod download -json "github.com/ory/hydra/v2@$0" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p' >dir
		cp -R "$(cat dir)/." ../source && chmod -R u+w ../source && cd ../source
		# a folder of its repository, which isn't part of the module; the same is published as a module
		go mod edit -dropreplace github.com/ory/hydra-client-go/v2
		go build -mod=mod -o "$1.new" . && mv "$1.new" "$1"`, hydraVersion, program)
	script.Dir, script.Env = folder, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := script.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Ory Hydra: %w\n%s", err, out[max(0, len(out)-2000):])
	}
	return program, nil
}

// startHydra migrates its database, starts it and registers the clients of the load.
func startHydra(ctx context.Context, program, database string) (*process, *endpoints, error) {
	p, h, err := serveHydra(ctx, program, database, rand.Text())
	if err != nil {
		return p, nil, err
	}
	e := &endpoints{token: h.base + "/oauth2/token", isActive: isActive, code: func(ctx context.Context, c client, scope string) (string, error) {
		return h.agreed(ctx, "ada", c, url.Values{"scope": {scope}}, map[string]any{"grant_scope": strings.Fields(scope)})
	}}
	e.introspect = func(access string) (*http.Request, error) {
		return post(ctx, h.admin+"/admin/oauth2/introspect", client{}, url.Values{"token": {access}})
	}
	for _, c := range []*client{&e.public, &e.secret} {
		registration := map[string]any{
			"redirect_uris": []string{redirectURI}, "grant_types": []string{"authorization_code", "refresh_token", "client_credentials"},
			"response_types": []string{"code"}, "scope": openID, "token_endpoint_auth_method": "none", "skip_consent": true,
		}
		if c == &e.secret {
			c.secret = rand.Text()
			registration["token_endpoint_auth_method"], registration["client_secret"] = "client_secret_basic", c.secret
		}
		body, err := h.json(ctx, http.MethodPost, "/admin/clients", registration)
		if err != nil {
			return p, nil, err
		}
		c.id, _ = body["client_id"].(string)
	}
	return p, e, nil
}

// serveHydra migrates its database and starts it, with a system secret.
func serveHydra(ctx context.Context, program, database, secret string, more ...string) (*process, hydra, error) {
	public, err := freeAddress()
	if err != nil {
		return nil, hydra{}, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, hydra{}, err
	}
	h := hydra{"http://" + public, "http://" + admin}
	host, publicPort, _ := strings.Cut(public, ":")
	_, adminPort, _ := strings.Cut(admin, ":")
	environment := append(more,
		fmt.Sprintf("DSN=%s&max_conns=%d&max_idle_conns=%d", database, connections, connections),
		"SECRETS_SYSTEM="+secret, "URLS_SELF_ISSUER="+h.base, "URLS_LOGIN=http://127.0.0.1:9/login", "URLS_CONSENT=http://127.0.0.1:9/consent",
		"SERVE_PUBLIC_HOST="+host, "SERVE_PUBLIC_PORT="+publicPort, "SERVE_ADMIN_HOST="+host, "SERVE_ADMIN_PORT="+adminPort,
		"STRATEGIES_ACCESS_TOKEN=opaque", "LOG_LEVEL=panic", "SQA_OPT_OUT=true", "SERVE_PUBLIC_REQUEST_LOG_DISABLE_FOR_HEALTH=true",
		"TTL_ACCESS_TOKEN=1h", "TTL_AUTH_CODE=1h",
	)
	migrate := exec.CommandContext(ctx, program, "migrate", "sql", "-e", "--yes")
	migrate.Env = append(os.Environ(), environment...)
	if out, err := migrate.CombinedOutput(); err != nil {
		return nil, hydra{}, fmt.Errorf("hydra migrate: %w\n%s", err, out[max(0, len(out)-2000):])
	}
	p, err := start(ctx, h.admin+"/health/ready", environment, program, "serve", "all", "--dev")
	return p, h, err
}

// hydra is where its two sides are.
type hydra struct{ base, admin string }

// json asks the administrator's side.
func (h hydra) json(ctx context.Context, method, path string, v any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, h.admin+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	status, body, err := ask(r)
	if err == nil && status >= 300 {
		err = fmt.Errorf("%s %s: %d %v", method, path, status, body)
	}
	return body, err
}

// agreed goes through login and consent as the application beside it would: a user agrees to what a client asks for with more of a query. It
// returns the code.
func (h hydra) agreed(ctx context.Context, user string, c client, more url.Values, consent map[string]any) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	b := &http.Client{Jar: jar, Transport: browser.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	follow := func(to string) (*url.URL, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
		if err != nil {
			return nil, err
		}
		response, err := b.Do(r)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		next, err := response.Location()
		if err != nil {
			err = fmt.Errorf("%s: %d %s", to, response.StatusCode, body)
		}
		return next, err
	}
	query := url.Values{
		"client_id": {c.id}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "state": {"a-state-of-sixteen"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	maps.Copy(query, more)
	next, err := follow(h.base + "/oauth2/auth?" + query.Encode())
	for _, step := range []struct {
		name   string
		accept map[string]any
	}{{"login", map[string]any{"subject": user}}, {"consent", consent}} {
		if err != nil {
			return "", err
		}
		asked := url.Values{step.name + "_challenge": {next.Query().Get(step.name + "_challenge")}}
		body, failed := h.json(ctx, http.MethodPut, "/admin/oauth2/auth/requests/"+step.name+"/accept?"+asked.Encode(), step.accept)
		if failed != nil {
			return "", failed
		}
		to, _ := body["redirect_to"].(string)
		next, err = follow(to)
	}
	if err != nil {
		return "", err
	}
	code := next.Query().Get("code")
	if code == "" {
		err = fmt.Errorf("no code: %s", next)
	}
	return code, err
}

package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfigurationsThatWouldBeUnsafeAreRefused(t *testing.T) {
	t.Parallel()
	key := testKey
	keys := map[string]string{"AUTHSERVER_SUCCESSOR_KEYS": key, "AUTHSERVER_KEY_ENCRYPTION_KEYS": key + " , " + key}
	for _, c := range []struct {
		args string
		env  map[string]string
		want string // part of the error
	}{
		{"-demo", nil, ""},
		{"", keys, ""},
		{"-addr 0.0.0.0:443 -issuer https://id.example.com/", keys, ""},
		{"-demo -addr [::1]:8080 -issuer http://localhost:8080", nil, ""},
		{"", nil, "AUTHSERVER_SUCCESSOR_KEYS and AUTHSERVER_KEY_ENCRYPTION_KEYS are required"},
		{"", map[string]string{"AUTHSERVER_SUCCESSOR_KEYS": "secret"}, "key 1 is not 32 bytes"},
		{"-demo -addr 0.0.0.0:8080", nil, "-demo serves on 127.0.0.1"},
		{"-demo -addr :8080", nil, "-demo serves on 127.0.0.1"},
		{"-demo -demo-addr 192.0.2.1:8081", nil, "-demo serves on 127.0.0.1"},
		{"-demo -issuer https://id.example.com", nil, "-demo is for this machine alone"},
		{"-issuer http://id.example.com", keys, "http is for this machine alone"},
		{"-issuer id.example.com", keys, "not the URL of a server"},
		{"-issuer https://id.example.com/tenant", keys, "no path"},
		{"-issuer https://id.example.com?x=1", keys, "no path"},
		{"-addr :8080", keys, "-issuer is required"},
		{"-code-lifetime 0s", keys, "-code-lifetime: 0s"},
		{"-grant-lifetime -1s", keys, "-grant-lifetime"},
		{"-grant-lifetime 1ms", keys, "-grant-lifetime"},
		{"-max-sessions -1", keys, "-max-sessions"},
		{"-max-sessions 0", keys, ""},
		{"-drain -1s", keys, "-drain"},
		{"-sign-up", keys, "-sign-up needs -smtp-addr"},
		{"-sign-up -smtp-addr mail.example.com:587", keys, "-mail-from"},
		{"-sign-up -smtp-addr mail.example.com:587 -mail-from no-reply@example.com", keys, ""},
		{"-smtp-addr mail.example.com", keys, "-smtp-addr"},
		{"serve", keys, `unexpected argument "serve"`},
		{"", map[string]string{"DATABASE_URL": "-"}, "no database: set DATABASE_URL"},
		{"-demo", map[string]string{"DATABASE_URL": "-"}, "make run"},
		{"-migrate-only", nil, ""},
		{"-migrate-only -addr :8080", nil, ""},
		{"-healthcheck", map[string]string{"DATABASE_URL": "-"}, ""},
	} {
		_, err := parseConfig(strings.Fields(c.args), func(name string) string {
			if name == "DATABASE_URL" && c.env[name] == "" {
				return "postgres://x"
			}
			return strings.TrimPrefix(c.env[name], "-")
		}, io.Discard)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.args, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, not %s", c.args, err, c.want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error holds a key", c.args)
		}
	}
}

func TestFlagsHaveEnvironmentVariables(t *testing.T) {
	t.Parallel()
	env := map[string]string{"AUTHSERVER_DEMO": "true", "AUTHSERVER_ADDR": "127.0.0.1:9000", "AUTHSERVER_SESSION_LIFETIME": "1h", "DATABASE_URL": "postgres://x"}
	c, err := parseConfig([]string{"-session-lifetime", "2h"}, func(name string) string { return env[name] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !c.demo || c.addr != "127.0.0.1:9000" || !c.addrGiven || c.sessionLifetime != 2*time.Hour || c.databaseURL != "postgres://x" {
		t.Errorf("%+v", c)
	}
}

func TestSecretsMayBeInFiles(t *testing.T) {
	t.Parallel()
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := testKey
	c, err := parseConfig(nil, environment(
		"DATABASE_URL_FILE", file("postgres://of-a-file\n"), "AUTHSERVER_COLLECTOR_DATABASE_URL_FILE", file("postgres://collector\r\n"),
		"AUTHSERVER_SUCCESSOR_KEYS_FILE", file(key), "AUTHSERVER_KEY_ENCRYPTION_KEYS_FILE", file(key+","+key+"\n"),
	), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.databaseURL != "postgres://of-a-file" || c.collectorDatabaseURL != "postgres://collector" || len(c.successorKeys) != 1 || len(c.keyEncryptionKeys) != 2 {
		t.Errorf("%+v", c)
	}
	for want, env := range map[string][]string{
		"are both set":           {"DATABASE_URL", "postgres://x", "DATABASE_URL_FILE", file("postgres://y")},
		"no such file":           {"DATABASE_URL_FILE", "/nowhere/to/be/found"},
		"key 1 is not 32 bytes":  {"DATABASE_URL", "postgres://x", "AUTHSERVER_SUCCESSOR_KEYS_FILE", file("hunter2")},
		"no database: set DATAB": {"DATABASE_URL_FILE", file("\n")},
	} {
		_, err := parseConfig(nil, environment(env...), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, not %s", err, want)
		}
	}
}

var writeSettings = flag.Bool("write-settings", false, "write the table of README.md")

// settingsTable lists each variable with what it is for and its default, as -help does.
func settingsTable() string {
	rows := []string{"| Variable | is | default |", "|---|---|---|"}
	for _, s := range secrets {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | |", s.name, s.usage))
	}
	(&config{}).flags(io.Discard).VisitAll(func(f *flag.Flag) {
		_, usage := flag.UnquoteUsage(f)
		value := f.DefValue
		if value == "false" {
			value = ""
		}
		if value != "" {
			value = "`" + value + "` "
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s|", variableOf(f), usage, value))
	})
	return strings.Join(rows, "\n")
}

func TestEveryVariableIsInTheReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), "<!-- settings:begin -->\n")
	table, after, closed := strings.Cut(rest, "\n<!-- settings:end -->")
	if !found || !closed {
		t.Fatal("README.md has no place for the table")
	}
	want := settingsTable()
	if *writeSettings {
		text := before + "<!-- settings:begin -->\n" + want + "\n<!-- settings:end -->" + after
		if err := os.WriteFile("README.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table != want {
		t.Errorf("go test -run TestEveryVariableIsInTheReadme -write-settings writes the table, which should be\n%s", want)
	}
}

func TestNoSecretIsAFlagOrPrinted(t *testing.T) {
	t.Parallel()
	var help, said, logged bytes.Buffer
	key := testKey
	env := environment("DATABASE_URL", "postgres://user:hunter2@127.0.0.1:1/x?connect_timeout=1", "AUTHSERVER_SUCCESSOR_KEYS", key, "AUTHSERVER_KEY_ENCRYPTION_KEYS", key,
		"AUTHSERVER_LOG_LEVEL", "debug")
	if err := ends(t, []string{"-help"}, env, &said, &help); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	err := ends(t, nil, env, &said, &logged) // nothing listens there
	if err == nil {
		t.Fatal("it runs without a database")
	}
	for _, text := range []string{help.String(), said.String(), logged.String(), err.Error()} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, key) {
			t.Errorf("a secret is in %s", text)
		}
	}
}

func TestATakenPortIsSaidOrGoneAround(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	if _, err := listen(t.Context(), addr, false, "-addr"); err == nil || !strings.Contains(err.Error(), addr+" is taken by another program: choose another address with -addr") {
		t.Errorf("%v", err)
	}
	another, err := listen(t.Context(), addr, true, "-addr")
	if err != nil {
		t.Fatal(err)
	}
	another.Close()
}

// testKey is one of 32 bytes, as the environment has them.
var testKey = base64.StdEncoding.EncodeToString(demoKey("test"))

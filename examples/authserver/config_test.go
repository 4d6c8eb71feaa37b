package main

import (
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestConfigurationsThatWouldBeUnsafeAreRefused(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString(demoKey("test"))
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
		{"serve", keys, `unexpected argument "serve"`},
	} {
		_, err := parseConfig(strings.Fields(c.args), func(name string) string { return c.env[name] }, io.Discard)
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

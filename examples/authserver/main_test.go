package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/storetest"
)

// output is what the command has said so far.
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

// environment holds the pairs and nothing else.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// ends runs the command where it should end by itself, and returns its error. If it serves instead, that is an error a minute later.
func ends(t *testing.T, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, args, getenv, nil, stdout, stderr) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(time.Minute):
		stop()
		return errors.Join(errors.New("it did not end by itself"), stopped(ended))
	}
}

// stopped returns the error of a server that was told to stop.
func stopped(ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(time.Minute):
		return errors.New("it has not ended a minute after it was stopped")
	}
}

func TestTheCommandServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	d := storetest.New(t)
	ctx, stop := context.WithCancel(t.Context())
	said, ended := &output{}, make(chan error, 1)
	go func() {
		args := []string{"-demo", "-addr", "127.0.0.1:0", "-demo-addr", "127.0.0.1:0", "-log-level", "error"}
		ended <- run(ctx, args, environment("DATABASE_URL", d.URL), strings.NewReader(""), said, io.Discard)
	}()
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(said.String(), "Ctrl+C"); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not start")
		}
	}
	addresses := regexp.MustCompile(`http://(?:127\.0\.0\.1|localhost):\d+\S*`).FindAllString(said.String(), -1)
	if len(addresses) != 4 {
		t.Fatalf("said %s", said)
	}
	for _, address := range addresses[:3] {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", address, response.Status)
		}
	}
	stop()
	if err := stopped(ended); err != nil {
		t.Error(err)
	}
}

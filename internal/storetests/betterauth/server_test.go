package betterauth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

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
func do(ctx context.Context, s *Server, t testing.TB, method, path string, body any, cookie string, header http.Header) answer {
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
	r, err := http.NewRequestWithContext(ctx, method, s.Base+path, content)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("Origin", strings.TrimSuffix(s.Base, "/api/auth"))
	if bearer, is := strings.CutPrefix(cookie, "Bearer "); is {
		r.Header.Set("Authorization", "Bearer "+bearer)
	} else if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	response, err := s.HTTP.Do(r)
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

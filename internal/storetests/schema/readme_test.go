package schema

import (
	"os"
	"strings"
	"testing"
)

// between returns what stands between two marks of a file.
func between(t *testing.T, file, begin, end string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), begin)
	inside, _, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s: no text between %q and %q", file, begin, end)
	}
	return strings.TrimSpace(inside)
}

func TestReadmeShowsTheCodeThatIsTested(t *testing.T) {
	t.Parallel()
	code := between(t, "../../../store/example_test.go", "// readme:begin\n", "// readme:end\n")
	shown := between(t, "../../../README.md", "<!-- readme:begin -->\n```go\n", "\n```\n<!-- readme:end -->")
	if code != shown {
		t.Errorf("README.md shows another token endpoint than example_test.go: copy it between the marks")
	}
}

package schema

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/queryfile"
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
	code := between(t, "../../../store/readme_test.go", "// readme:begin\n", "// readme:end\n")
	shown := between(t, "../../../README.md", "<!-- readme:begin -->\n```go\n", "\n```\n<!-- readme:end -->")
	if code != shown {
		t.Errorf("README.md shows another token endpoint than example_test.go: copy it between the marks")
	}
}

func TestReadmeNamesCallsAndTestsThatExist(t *testing.T) {
	t.Parallel()
	queries, err := queryfile.ReadDir("../../../queries")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, q := range queries {
		known[q.Name] = true
	}
	files, err := filepath.Glob("../*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllSubmatch(text, -1) {
			known[string(m[1])] = true
		}
	}
	rows := strings.Split(between(t, "../../../README.md", "<!-- standards:begin -->\n", "<!-- standards:end -->"), "\n")[2:]
	if len(rows) < 20 {
		t.Errorf("the table of standards has only %d rows", len(rows))
	}
	for _, row := range rows {
		names := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row, -1)
		if len(names) < 2 {
			t.Errorf("no call or no test: %s", row)
		}
		for _, name := range names {
			if !known[name[1]] {
				t.Errorf("README.md names %s, which is no call and no test", name[1])
			}
		}
	}
}

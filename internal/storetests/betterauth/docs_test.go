package betterauth

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const page = "../../../docs/better-auth.md"

// missing returns the first line of the page's code that isn't in the file, in this order. A line of … leaves something out.
func missing(text, file string) string {
	lines := strings.Split(file, "\n")
	_, code, ok := strings.Cut(text, "```js\n")
	for ok {
		var block string
		block, text, _ = strings.Cut(code, "```")
		mayLeaveOut := true
		for _, line := range strings.Split(strings.TrimSuffix(block, "\n"), "\n") {
			if line == "…" {
				mayLeaveOut = true
				continue
			}
			at := slices.Index(lines, line)
			if at < 0 || at > 0 && !mayLeaveOut {
				return line
			}
			lines, mayLeaveOut = lines[at+1:], false
		}
		_, code, ok = strings.Cut(text, "```js\n")
	}
	return ""
}

func TestThePageIsWhatRuns(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	text, auth := read(page), read(filepath.Join(folder, "auth.mjs"))
	if line := missing(text, auth); line != "" {
		t.Errorf("auth.mjs doesn't have, in its place: %s", line)
	}
	for _, change := range [][2]string{{"jwt({ adapter", "jwt({ adaptor"}, {"\tconst keys", "\tconst all = 1;\n\tconst keys"}, {"consentPage: \"/consent\",\n", "consentPage: \"/consent\",\n…\nimport x\n"}} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text || missing(changed, auth) == "" {
			t.Errorf("%q for %q is not noticed", change[1], change[0])
		}
	}

	var lock struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal([]byte(read(filepath.Join(folder, "package-lock.json"))), &lock); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"better-auth", "@better-auth/oauth-provider"} {
		version := lock.Packages["node_modules/"+name].Version
		if said := strings.Join(strings.Fields(text), " "); version == "" || !strings.Contains(said, name+" "+version) {
			t.Errorf("the page doesn't say that %s %s was tried", name, version)
		}
	}
}

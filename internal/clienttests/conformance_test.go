package clienttests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/conformance.md lists each test that is named as a module, by the module's name, and no others.
func TestConformancePageListsTheModules(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	sources, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range append(sources, "../../adapters/zitadel/assertion_test.go") {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test(?:Oidcc|Fapi2)\w+)\(`).FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
	}
	page, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .+ \\| `(Test\\w+)` \\| (.+) \\|$").FindAllSubmatch(page, -1)
	if len(rows) == 0 || len(rows) != len(tests) {
		t.Errorf("%d rows, %d tests", len(rows), len(tests))
	}
	for _, row := range rows {
		module, test, result := string(row[1]), string(row[2]), string(row[3])
		named := "Test"
		for _, part := range strings.FieldsFunc(module, func(r rune) bool { return r == '-' || r == '_' }) {
			named += strings.ToUpper(part[:1]) + part[1:]
		}
		switch {
		case test != named:
			t.Errorf("%s: its test is %s", module, named)
		case !tests[test]:
			t.Errorf("%s: there is no test, or two rows", module)
		case !regexp.MustCompile(`^(passes|skipped|not served)`).MatchString(result):
			t.Errorf("%s: %s is no result", module, result)
		}
		delete(tests, test)
	}
	for test := range tests {
		t.Errorf("%s has no row", test)
	}
}

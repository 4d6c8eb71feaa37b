package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/oauthdb/oauthdb/examples/authserver"

// A team copies this folder, gives the module a name of its own, and builds it.
func TestItBuildsOutsideTheRepository(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if found := internalImports(t, here); len(found) > 0 {
		t.Fatalf("nobody else may import these:\n%s", strings.Join(found, "\n"))
	}
	there := t.TempDir()
	if err := os.CopyFS(there, os.DirFS(here)); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(there, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" && entry.Name() != "go.mod" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte(modulePath), []byte("example.com/our/authserver"))
		if entry.Name() == "go.mod" { // the other modules are where they were
			text = regexp.MustCompile(`=> \.\./\.\.`).ReplaceAllLiteral(text, []byte("=> "+filepath.Join(here, "..", "..")))
		}
		return os.WriteFile(path, text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	checks := [][]string{{"build", "./..."}}
	if !testing.Short() {
		checks = append(checks, []string{"vet", "./..."}) // the tests too
	}
	for _, args := range checks {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = there, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "PWD="+there)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, said)
		}
	}
}

// internalImports are the imports of the repository's internal packages in the Go files of a folder, those of tests too.
func internalImports(t *testing.T, folder string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if strings.Contains(imported+"/", "/internal/") {
				found = append(found, path+": "+imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAnImportOfAnInternalPackageIsFound(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := "package x\n\nimport _ \"github.com/oauthdb/oauthdb/internal/devdb\"\n"
	if err := os.WriteFile(filepath.Join(folder, "x_test.go"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	if found := internalImports(t, folder); len(found) != 1 {
		t.Errorf("found %q", found)
	}
}

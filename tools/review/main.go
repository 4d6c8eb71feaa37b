// Command review writes what a reviewer of the data layer wants to know, from the repository itself and a database that it
// fills for the purpose:
//
//	docs/queries/                      a page for each file of queries/, and an index
//	docs/schema.md                     the tables, with an entity diagram
//	internal/catalog/catalog.json.gz   the same facts for `oauthdb explain`
//
// With -check it writes nothing, and fails if one of them is not what it would write, or if a query lacks its contract or a
// column its comment: it says which, where, and what to do. It finds the repository from the working directory upwards, and
// starts a PostgreSQL of the reference version if need be.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/internal/catalog"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/plan"
)

func main() {
	checkOnly := flag.Bool("check", false, "write nothing; fail if a page is stale or a comment is lacking")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *checkOnly); err != nil {
		fmt.Fprintln(os.Stderr, "review:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, checkOnly bool) (err error) {
	root, err := findRoot()
	if err != nil {
		return err
	}
	server, err := devdb.URL(ctx, devdb.Options{
		Kind: devdb.Test, Major: plan.Reference, Logf: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	})
	if err != nil {
		return err
	}
	conn, done, err := reference(ctx, server, referenceSize)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	s, err := readSchema(ctx, conn)
	if err != nil {
		return err
	}
	if s.written, err = writtenBodies(root, s.functions); err != nil {
		return err
	}
	facts, queries, err := gather(ctx, conn, root, s)
	if err != nil {
		return err
	}
	pages, err := render(facts, s)
	if err != nil {
		return err
	}
	files, err := readMigrations(root)
	if err != nil {
		return err
	}
	report, err := compareOrWrite(root, pages, facts, checkOnly)
	if err != nil {
		return err
	}
	report = append(report, lacking(queries, files, s)...)
	if len(report) > 0 {
		return errors.New(strings.Join(report, "\n"))
	}
	return nil
}

const catalogFile = "internal/catalog/catalog.json.gz"

// render returns every file by its path from the root.
func render(facts *catalog.Catalog, s *schema) (map[string][]byte, error) {
	packed, err := catalog.Pack(facts)
	if err != nil {
		return nil, err
	}
	pages := map[string][]byte{
		"docs/schema.md": []byte(schemaPage(s)),
		catalogFile:      packed,
	}
	for name, text := range queryPages(facts) {
		pages["docs/queries/"+name] = []byte(text)
	}
	return pages, nil
}

// compareOrWrite brings the files up to date or, with checkOnly, says what about them is not. A page whose file of queries is
// gone is removed.
func compareOrWrite(root string, pages map[string][]byte, facts *catalog.Catalog, checkOnly bool) ([]string, error) {
	var report []string
	old := &catalog.Catalog{}
	if packed, err := os.ReadFile(filepath.Join(root, catalogFile)); err == nil {
		if there, err := catalog.Unpack(packed); err == nil {
			old = there
		}
	}
	there, err := filepath.Glob(filepath.Join(root, "docs/queries/*.md"))
	if err != nil {
		return nil, err
	}
	for _, path := range there {
		name, err := filepath.Rel(root, path)
		if err != nil {
			return nil, err
		}
		if _, ok := pages[filepath.ToSlash(name)]; ok {
			continue
		}
		if checkOnly {
			report = append(report, "stale: "+filepath.ToSlash(name)+", whose queries are gone")
		} else if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		path := filepath.Join(root, filepath.FromSlash(name))
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		switch {
		case bytes.Equal(text, pages[name]):
		case name == catalogFile && same(old, facts): // another Go may compress in another way
		case checkOnly:
			report = append(report, "stale: "+name)
		default:
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(path, pages[name], 0o644); err != nil {
				return nil, err
			}
			fmt.Println("wrote", name)
		}
	}
	if len(report) > 0 {
		for _, c := range changes(old, facts) {
			report = append(report, "  "+c)
		}
		report = append(report, "run `make review`, read the difference, and commit it with what caused it")
	}
	return report, nil
}

// same reports whether two catalogs hold the same facts.
func same(a, b *catalog.Catalog) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// findRoot finds the repository from the working directory upwards.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "sqlc.yaml")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is not inside the repository: no sqlc.yaml above it")
		}
		dir = parent
	}
}

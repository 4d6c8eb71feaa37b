package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// compiled is a query as sqlc understands it.
type compiled struct {
	Name    string
	Text    string // with $1, $2 ...
	Columns []sqlcColumn
	Params  []struct {
		Number int
		Column sqlcColumn
	}
}

type sqlcColumn struct {
	Name       string
	NotNull    bool `json:"not_null"`
	IsArray    bool `json:"is_array"`
	Type       struct{ Name string }
	EmbedTable *struct{ Name string } `json:"embed_table"`
}

// sqlType is the type as a migration would write it.
func (c sqlcColumn) sqlType() string {
	if c.EmbedTable != nil {
		return "row of " + c.EmbedTable.Name
	}
	name := strings.TrimPrefix(c.Type.Name, "pg_catalog.")
	if long, ok := map[string]string{"int2": "smallint", "int4": "integer", "int8": "bigint", "bool": "boolean"}[name]; ok {
		name = long
	}
	if c.IsArray {
		name += "[]"
	}
	return name
}

// compile has sqlc compile the queries of the repository at root, and returns what it found, by name.
func compile(ctx context.Context, root string) (_ map[string]compiled, err error) {
	// sqlc joins every path to that of its configuration
	dir, err := os.MkdirTemp("", "oauthdb-review-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	relative, err := filepath.Rel(dir, root)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"version": "2",
		"sql": []any{map[string]any{
			"engine":   "postgresql",
			"schema":   filepath.Join(relative, "migrations"),
			"queries":  filepath.Join(relative, "queries"),
			"analyzer": map[string]any{"database": false},
			"gen":      map[string]any{"json": map[string]any{"out": "out", "filename": "out.json"}},
		}},
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "sqlc.json"), config, 0o600); err != nil {
		return nil, err
	}
	// the module that pins sqlc, which builds without a C compiler
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/go.mod", "sqlc", "generate", "-f", filepath.Join(dir, "sqlc.json"))
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("sqlc: %w:\n%s", err, strings.TrimSpace(output.String()))
	}
	document, err := os.ReadFile(filepath.Join(dir, "out", "out.json"))
	if err != nil {
		return nil, err
	}
	var request struct{ Queries []compiled }
	if err := json.Unmarshal(document, &request); err != nil {
		return nil, fmt.Errorf("read sqlc's answer: %w", err)
	}
	found := map[string]compiled{}
	for _, q := range request.Queries {
		found[q.Name] = q
	}
	return found, nil
}

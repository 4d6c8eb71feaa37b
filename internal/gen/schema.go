package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/oauthdb/oauthdb/internal/devdb"
)

// schemaFile renders db/schema.sql: pg_dump's text, without what differs from one machine or release to the next.
func schemaFile(ctx context.Context, cluster *devdb.Cluster, scratch string) ([]byte, error) {
	program, err := pgDump(cluster)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(scratch)
	if err != nil {
		return nil, errors.New("the scratch database's address is not a URL")
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	cmd := exec.CommandContext(ctx, program, "--schema-only", "--no-owner", "--no-privileges", "--schema=public",
		"--exclude-table=oauthdb_version*", "--dbname="+u.String())
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	dump, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(stderr.String()))
	}
	var b strings.Builder
	b.WriteString("-- The schema as pg_dump writes it, for review. Written by `make generate` from migrations/, and never an input.\n")
	blank := true
	for line := range strings.SplitSeq(string(dump), "\n") {
		switch {
		case strings.HasPrefix(line, "--"), strings.HasPrefix(line, "SET "), strings.HasPrefix(line, "SELECT pg_catalog.set_config"),
			strings.HasPrefix(line, `\restrict`), strings.HasPrefix(line, `\unrestrict`),
			strings.HasPrefix(line, "CREATE SCHEMA public"), strings.HasPrefix(line, "COMMENT ON SCHEMA public"):
			continue
		case line == "":
			blank = true
			continue
		}
		if blank {
			b.WriteString("\n")
			blank = false
		}
		b.WriteString(line + "\n")
	}
	return []byte(b.String()), nil
}

// pgDump finds a pg_dump that is not older than the server: beside the server's programs, or in PATH.
func pgDump(cluster *devdb.Cluster) (string, error) {
	if cluster.BinDir != "" {
		program := filepath.Join(cluster.BinDir, "pg_dump")
		if _, err := os.Stat(program); err == nil {
			return program, nil
		}
	}
	program, err := exec.LookPath("pg_dump")
	if err != nil {
		return "", errors.New("no pg_dump beside the server's programs or in PATH: install PostgreSQL's client programs")
	}
	return program, nil
}

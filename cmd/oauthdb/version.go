package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/oauthdb/oauthdb/migrations"
)

var versionCommand = command{
	name:    "version",
	summary: "print the version of this command and of the schema that it knows",
	record:  versionRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var p printer
		p.register(flags)
		return func(_ context.Context, c console) error {
			info, _ := debug.ReadBuildInfo()
			v, err := newVersionRecord(info, migrations.FS)
			if err != nil {
				return err
			}
			p.print(c.out, v)
			return nil
		}
	},
}

// versionRecord is what was built.
type versionRecord struct {
	Version string `json:"version"`          // of the module; "devel" where it was built from a clone
	Commit  string `json:"commit,omitempty"` // that it was built from
	Changed bool   `json:"changed"`          // the clone was not as it was committed
	Schema  int64  `json:"schema"`           // the newest migration
	Go      string `json:"go"`
}

func newVersionRecord(info *debug.BuildInfo, files fs.FS) (versionRecord, error) {
	v := versionRecord{Version: "devel"}
	if info != nil {
		v.Go = info.GoVersion
		if version := info.Main.Version; version != "" && version != "(devel)" {
			v.Version = version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Changed = s.Value == "true"
			}
		}
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return v, err
	}
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return v, fmt.Errorf("migration %s: %w", name, err)
		}
		v.Schema = max(v.Schema, n)
	}
	return v, nil
}

func (v versionRecord) text(w io.Writer) {
	built := ""
	if v.Commit != "" {
		built = " (commit " + v.Commit[:min(12, len(v.Commit))]
		if v.Changed {
			built += ", changed"
		}
		built += ")"
	}
	fmt.Fprintf(w, "oauthdb %s%s, schema %d, %s\n", v.Version, built, v.Schema, v.Go)
}

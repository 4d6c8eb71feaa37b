package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
	"github.com/oauthdb/oauthdb/bench/subject"
)

// environment is what the numbers depend on. The processor and the memory are known on Linux only.
func environment(ctx context.Context, server *dataset.Server) (report.Environment, error) {
	e := report.Environment{Go: runtime.Version(), CPUs: runtime.NumCPU(), Transport: server.Transport}
	var err error
	e.PostgreSQL, e.Settings, err = server.Settings(ctx)
	e.CPU = field("/proc/cpuinfo", "model name")
	var kib int64
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%d kB", &kib); err == nil {
		e.Memory = kib << 10
	}
	return e, err
}

// field is the first value of that name in a file of the form "name: value".
func field(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		key, value, _ := strings.Cut(sc.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// legend says what the subjects are.
func legend(names []string) []report.Subject {
	var all []report.Subject
	for _, name := range subjectNames {
		if !slices.Contains(names, name) {
			continue
		}
		r := report.Subject{Name: name, Describe: "the same SQL in pgbench, with prepared statements: C on libpq, which looks at no answer"}
		if s := find(name); s != nil {
			r.Describe = s.Describe()
			for _, w := range subject.Works {
				if race := s.Race(w); race != "" && s.Supports(w) {
					if r.Races == nil {
						r.Races = map[subject.Work]string{}
					}
					r.Races[w] = race
				}
			}
		}
		all = append(all, r)
	}
	return all
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
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
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		e.Load, _, _ = strings.Cut(string(load), " ")
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

// legend says what those of all are that are named.
func legend(all []subject.Subject, names []string) (legend []report.Subject) {
	for _, s := range all {
		if !slices.Contains(names, s.Name()) {
			continue
		}
		r := report.Subject{Name: s.Name(), Describe: s.Describe(), Races: map[subject.Work]string{}}
		for _, w := range subject.Works {
			if race := s.Race(w); race != "" {
				r.Races[w] = race
			}
		}
		legend = append(legend, r)
	}
	return legend
}

// commit is what is checked out, and whether it was changed. It is empty outside of a repository.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

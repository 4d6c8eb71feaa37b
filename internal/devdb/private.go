package devdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// PrivateOptions says what a throw-away cluster is like.
type PrivateOptions struct {
	// Major is the major version wanted, as in Options.
	Major int

	// Settings are added to the configuration. The time zone is UTC and everything
	// durable unless they say otherwise.
	Settings map[string]string

	// Dir is the folder in which the directory of the cluster is made. It is os.TempDir()
	// when empty. Where the server's user cannot work in it, /var/tmp takes its place.
	Dir string

	// Logf hears what takes time. It may be nil.
	Logf func(format string, args ...any)
}

// StartPrivate creates and starts a cluster of the caller's own, as durable as
// PostgreSQL is by default. It takes about as long as a first call of URL, without
// a deadline at most two minutes. Whoever starts it has to call Remove; it does
// not end with the process. DATABASE_URL does not count: such a server is not there to
// be killed.
func StartPrivate(ctx context.Context, o PrivateOptions) (*Cluster, error) {
	c, err := newPrivate(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := c.Restart(ctx); err != nil {
		rm := c.Remove(context.WithoutCancel(ctx))
		return nil, errors.Join(err, rm)
	}
	return c, nil
}

// newPrivate is a private cluster that has a directory and isn't made yet.
func newPrivate(ctx context.Context, o PrivateOptions) (*Cluster, error) {
	shared := Options{Major: o.Major, Logf: o.Logf}
	p, err := shared.settle(ctx) // for programs that have been fetched
	if err != nil {
		return nil, err
	}
	progs, err := shared.findPrograms(ctx, p)
	if err != nil {
		return nil, err
	}
	dir, err := p.account.tempDir(ctx, o.Dir)
	if err != nil {
		return nil, fmt.Errorf("no directory to keep a PostgreSQL cluster in: %w", err)
	}
	// A server that is killed and never started again leaves no shared memory behind.
	settings := append(settingsOf(Dev, progs.major), setting{"dynamic_shared_memory_type", "mmap"})
	for _, name := range slices.Sorted(maps.Keys(o.Settings)) {
		settings = append(settings, setting{name, o.Settings[name]})
	}
	return &Cluster{server: server{
		dir:      filepath.Join(dir, "cluster"),
		programs: progs,
		account:  p.account,
		private:  true,
		settings: settings,
		logf:     shared.log,
	}}, nil
}

// tempDir makes a directory in parent, or where a can work.
func (a account) tempDir(ctx context.Context, parent string) (string, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	var errs []error
	for _, parent := range []string{parent, "/var/tmp", "/tmp"} {
		dir, err := os.MkdirTemp(parent, "oauthdb-")
		if err == nil {
			if err = a.canUse(ctx, dir); err == nil {
				return dir, nil
			}
			os.Remove(dir)
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// Home is a directory in which the user whom the servers run as can work, and how to run programs there as that user: for
// tests that start more than a cluster. Whoever makes one has to remove the directory.
type Home struct {
	Dir     string
	account account
}

// NewHome makes a directory in os.TempDir(), or in /var/tmp if the servers' user can't work there.
func NewHome(ctx context.Context) (Home, error) {
	a, err := serverAccount()
	if err != nil {
		return Home{}, err
	}
	parent, err := a.tempDir(ctx, "")
	if err != nil {
		return Home{}, err
	}
	dir := filepath.Join(parent, "home")
	if err := a.mkdir(dir); err != nil {
		return Home{}, errors.Join(err, os.RemoveAll(parent))
	}
	return Home{dir, a}, nil
}

// Command prepares a program that runs in the directory.
func (h Home) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return h.account.command(ctx, h.Dir, program, args...)
}

// Remove deletes the directory.
func (h Home) Remove() error { return os.RemoveAll(filepath.Dir(h.Dir)) }

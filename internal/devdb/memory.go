package devdb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A test suite creates and drops databases of some 300 files each. On ext4 that becomes
// slow: it does not reuse an inode for minutes after its deletion, and to create a file it
// looks at all that were deleted lately, until a database takes a quarter of a second. So
// the databases of a test cluster, and nothing else of it, are kept in memory where the
// system has a file system for that.
//
// The rest of the data directory stays on disk, and in it postmaster.pid: whoever deletes
// the folder makes the server end within a minute.

const memoryRoot = "/dev/shm"

// inMemory is the directory for the server's databases.
func (s *server) inMemory() string {
	sum := sha256.Sum256([]byte(s.dir))
	return filepath.Join(memoryRoot, memoryPrefix()+hex.EncodeToString(sum[:6]))
}

func memoryPrefix() string { return "oauthdb-" + strconv.Itoa(os.Geteuid()) + "-" }

// moveToMemory moves the databases of the new cluster in dir, which becomes s.dir.
func (s *server) moveToMemory(ctx context.Context, dir string) error {
	sweepMemory()
	to := s.inMemory()
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := s.account.mkdir(to); err != nil {
		return err
	}
	if err := s.account.replace(filepath.Join(to, "home"), []byte(s.dir)); err != nil {
		return err
	}
	base, moved := filepath.Join(dir, "data", "base"), filepath.Join(to, "base")
	if out, err := s.account.command(ctx, "/", "cp", "-Rp", base, moved).CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("copying: %w: %s", err, lastLine(out)), os.RemoveAll(to))
	}
	// Half done would be no cluster: put the link where the directory was in one step.
	if err := os.Rename(base, base+".moved"); err != nil {
		return err
	}
	if err := os.Symlink(moved, base); err != nil {
		return errors.Join(err, os.Rename(base+".moved", base))
	}
	return os.RemoveAll(base + ".moved")
}

// sweepMemory deletes what clusters left there whose folders somebody has deleted.
func sweepMemory() {
	homes, _ := filepath.Glob(filepath.Join(memoryRoot, memoryPrefix()+"*", "home"))
	for _, file := range homes {
		home, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(home), "/") {
			continue
		}
		if _, err := os.Lstat(string(home)); errors.Is(err, os.ErrNotExist) && !beingMade(string(home)) {
			os.RemoveAll(filepath.Dir(file))
		}
	}
}

// beingMade reports whether the folder of a cluster is about to appear.
func beingMade(home string) bool {
	parent, name := filepath.Split(home)
	found, _ := filepath.Glob(filepath.Join(globEscape(parent), ".new-"+name+"-*"))
	return len(found) > 0
}

package devdb

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Program prepares a program that refuses to run as root, as PgBouncer does, to run as the servers of this package do: in dir,
// which it gives to their user with all that is in it, and without PGHOST and the like.
func Program(ctx context.Context, dir, program string, args ...string) (*exec.Cmd, error) {
	a, err := serverAccount()
	if err != nil {
		return nil, err
	}
	if a.other {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, a.uid, a.gid)
		})
		if err != nil {
			return nil, err
		}
	}
	return a.command(ctx, dir, program, args...), nil
}

package devdb

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

const module = "github.com/oauthdb/oauthdb"

// account is the user whom the servers run as.
type account struct {
	uid, gid int
	name     string
	other    bool // not the user of this process, which then is root
}

// serverAccount is the user of this process, or for root one without privileges.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid(), name: "this user"}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil && uid != 0 {
			return account{uid: uid, gid: gid, name: name, other: true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody to run it as")
}

// command prepares a program that runs as a, in dir, in English, and that no PGHOST and
// the like of the caller's leads astray.
func (a account) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "PG") && !strings.HasPrefix(name, "LC_") && name != "LANG" && name != "LANGUAGE" {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	if a.other {
		runAs(cmd, a.uid, a.gid)
	}
	return cmd
}

// place is a directory for clusters and programs that account can use.
type place struct {
	dir     string
	account account
}

// settle finds the directory that the clusters stand in and makes it.
func (o Options) settle(ctx context.Context) (place, error) {
	if supported != nil {
		return place{}, supported
	}
	a, err := serverAccount()
	if err != nil {
		return place{}, err
	}
	dir, err := o.home()
	if err != nil {
		return place{}, err
	}
	why := os.MkdirAll(dir, 0o755)
	if why == nil {
		why = a.canUse(ctx, dir)
	}
	if why == nil {
		return place{dir: dir, account: a}, nil
	}
	away := elsewhere(dir)
	err = os.Mkdir(away, 0o700)
	if err == nil && a.other {
		err = os.Lchown(away, a.uid, a.gid)
	}
	if err == nil || errors.Is(err, os.ErrExist) {
		err = a.owns(away)
	}
	if err == nil {
		err = a.canUse(ctx, away)
	}
	if err != nil {
		return place{}, fmt.Errorf("no directory to keep a PostgreSQL cluster in: %w; nor %w", why, err)
	}
	// The name can be computed again, so it does not matter if this fails.
	_ = os.WriteFile(filepath.Join(dir, pointer+strconv.Itoa(os.Geteuid())), []byte(away+"\n"), 0o644)
	return place{dir: away, account: a}, nil
}

// pointer starts the name of a file that says where a user's clusters stand instead.
const pointer = "elsewhere-"

// places returns every directory in which clusters of o may stand: its own folder, and
// those that take its place for this user and, as far as they are known, for others.
func (o Options) places() ([]string, error) {
	dir, err := o.home()
	if err != nil {
		return nil, err
	}
	a, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dirs := []string{dir}
	if away := elsewhere(dir); a.owns(away) == nil {
		dirs = append(dirs, away)
	}
	if !a.other {
		return dirs, nil
	}
	// Root cleans up after everyone. Others may write a pointer, so its name alone counts.
	known, _ := filepath.Glob(filepath.Join(globEscape(dir), pointer+"*"))
	for _, file := range known {
		uid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(file), pointer))
		if err != nil || uid == 0 {
			continue
		}
		if away := elsewhereOf(dir, strconv.Itoa(uid)); (account{uid: uid}).owns(away) == nil {
			dirs = append(dirs, away)
		}
	}
	return dirs, nil
}

func elsewhere(dir string) string { return elsewhereOf(dir, strconv.Itoa(os.Geteuid())) }

// elsewhereOf names the directory that stands in for dir where the user uid cannot use
// it.
func elsewhereOf(dir, uid string) string {
	parent := "/var/tmp"
	if fi, err := os.Stat(parent); err != nil || !fi.IsDir() {
		parent = os.TempDir()
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(parent, "oauthdb-"+uid+"-"+hex.EncodeToString(sum[:6]))
}

// home is the folder that o asks for, whether or not it can be used.
func (o Options) home() (string, error) {
	dir := o.Dir
	if root := repository(); dir == "" && root != "" {
		dir = filepath.Join(root, ".devdb")
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no directory to keep a PostgreSQL cluster in: %w", err)
		}
		dir = filepath.Join(cache, "oauthdb")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("no directory to keep a PostgreSQL cluster in: %w", err)
	}
	// One folder has one name, however the working directory was reached.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		dir = filepath.Join(parent, filepath.Base(dir))
	}
	return dir, nil
}

// InClone says whether the working directory lies in a clone of the repository.
func InClone() bool { return repository() != "" }

// repository is the root of the repository that the working directory lies in, or
// empty.
func repository() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if moduleOf(filepath.Join(dir, "go.mod")) == module {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

func moduleOf(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if name, ok := strings.CutPrefix(sc.Text(), "module "); ok {
			return strings.Trim(strings.TrimSpace(name), `"`)
		}
	}
	return ""
}

// owns checks that dir is a directory of a's, closed to others: its name can be
// guessed, so somebody else might have made it.
func (a account) owns(dir string) error {
	fi, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !fi.IsDir() || ownerOf(fi) != a.uid || fi.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s: not a private directory of %s: remove it", dir, a.name)
	}
	return nil
}

// canUse checks that dir belongs to the user of this process or to a, and that a can
// keep a cluster in it: reach it, own a directory there, and close that to others.
func (a account) canUse(ctx context.Context, dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if owner := ownerOf(fi); owner != os.Geteuid() && owner != a.uid {
		return fmt.Errorf("%s: belongs to another user (%d)", dir, owner)
	}
	if a.other && ownerOf(fi) != a.uid && fi.Mode().Perm()&0o011 != 0o011 {
		if err := os.Chmod(dir, fi.Mode().Perm()|0o011); err != nil {
			return err
		}
	}
	probe, err := os.MkdirTemp(dir, ".probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(probe)
	if a.other {
		if err := os.Lchown(probe, a.uid, a.gid); err != nil {
			return err
		}
	}
	fi, err = os.Stat(probe)
	if err != nil {
		return err
	}
	if ownerOf(fi) != a.uid || fi.Mode().Perm() != 0o700 {
		return fmt.Errorf("%s: the file system does not keep owners and modes", dir)
	}
	if !a.other {
		return nil
	}
	out, err := a.command(ctx, "/", "/bin/sh", "-c", `cd -- "$1" && : >probe`, "sh", probe).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: user %s cannot work there: %w: %s", dir, a.name, err, lastLine(out))
	}
	return nil
}

// replace writes a file as a's and for a alone, never through a link that someone put
// in its place.
func (a account) replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".write-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil && a.other {
		err = f.Chown(a.uid, a.gid)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// mkdir makes a directory of a's, closed to others.
func (a account) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if a.other {
		return os.Lchown(dir, a.uid, a.gid)
	}
	return nil
}

// globEscape makes filepath.Glob take path literally.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// lastLine is the last line of a program's output that says something.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

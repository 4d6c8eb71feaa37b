package devdb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// StartStandby copies a private cluster that runs, and starts the copy as a hot standby that streams from it. name is the
// standby's application_name, by which synchronous_standby_names of the primary can list it. The standby has the settings of
// o, the password of the primary, and a directory, port and log of its own. Whoever starts it has to call Remove. Without
// pg_basebackup, which fetched programs lack, the error is an [ErrNoPostgres].
//
// What ALTER SYSTEM has set on the primary holds on the standby, too, until it is reset there.
func StartStandby(ctx context.Context, primary *Cluster, name string, o PrivateOptions) (*Cluster, error) {
	if primary.External {
		return nil, errors.New("devdb: the server of DATABASE_URL is not devdb's to copy")
	}
	c, err := newPrivate(ctx, o)
	if err != nil {
		return nil, err
	}
	c.server.programs = primary.server.programs
	c.server.source, err = replicationURL(primary.URL, name)
	if err == nil {
		c.server.state.Password = primary.server.state.Password
		err = c.Restart(ctx)
	}
	if err != nil {
		rm := c.Remove(context.WithoutCancel(ctx))
		return nil, errors.Join(err, rm)
	}
	return c, nil
}

func replicationURL(primary, name string) (string, error) {
	u, err := parseURL(primary)
	if err != nil {
		return "", err
	}
	u.Path = ""
	q := u.Query()
	q.Set("application_name", name)
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // libpq takes a plus for a plus
	return u.String(), nil
}

// Promote makes a primary of a standby that StartStandby has started, and waits until it accepts writes. First it replays what
// the standby had received.
func (c *Cluster) Promote(ctx context.Context) error {
	return c.locked(ctx, func() error {
		s := &c.server
		cmd := s.account.command(ctx, s.dir, filepath.Join(s.programs.dir, "pg_ctl"), "promote", "--silent", "--wait", "--timeout=60", "-D", "data")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("pg_ctl promote: %w: %s", err, out)
		}
		return nil
	})
}

// copySource makes the data directory of a standby.
func (s *server) copySource(ctx context.Context, dir string) error {
	program, err := s.programs.program("pg_basebackup")
	if err != nil {
		return err
	}
	u, err := url.Parse(s.source)
	if err != nil {
		return errors.New("the URL of the primary can't be read")
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username()) // other users see what a program's arguments are
	cmd := s.account.command(ctx, dir, program,
		"-D", "data", "--dbname", u.String(), "--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf", "--no-sync", "--no-password")
	cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	return nil
}

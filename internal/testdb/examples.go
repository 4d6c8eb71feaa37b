package testdb

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"
)

// Examples returns m with a migrated database for the examples of a package, which have no testing.TB. Before they run, its address is
// written to url.
//
//	var databaseURL string
//
//	func TestMain(m *testing.M) { os.Exit(testdb.Examples(m, &databaseURL).Run()) }
func Examples(m interface{ Run() int }, url *string) interface{ Run() int } { return examples{m, url} }

type examples struct {
	m   interface{ Run() int }
	url *string
}

func (e examples) Run() int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := clone(ctx, migrator{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "test database of the examples:", err)
		return 1
	}
	*e.url = c.URL()
	code := e.m.Run()
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := drop(ctx, c.Database); err != nil {
		fmt.Fprintln(os.Stderr, "test database of the examples: dropping it:", err)
		code = cmp.Or(code, 1)
	}
	return code
}

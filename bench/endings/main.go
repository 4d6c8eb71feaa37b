package main

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/bench/dataset"
	"github.com/oauthdb/oauthdb/bench/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "endings:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	before         string
	root           string
	families       int
	rounds, calls  int
	beside         int     // rounds
	rate           float64 // of the endings beside introspection
	window         time.Duration
	keep, longOnes bool
	callsOnly      bool
	loadOnly       bool
	callgrind      string
	page           string
}

func run(ctx context.Context, args []string) (err error) {
	o := options{}
	f := flag.NewFlagSet("endings", flag.ContinueOnError)
	f.StringVar(&o.before, "before", "608fed8", "commit of the core to compare with; it has to be one whose endings revoke family by family")
	f.StringVar(&o.root, "root", "..", "the repository")
	f.IntVar(&o.families, "families", 100_000, "how many families the large user, client and session have in common")
	f.IntVar(&o.rounds, "rounds", 51, "measurements of each ending, but one of those of the earlier core with many families")
	f.IntVar(&o.calls, "calls", 3000, "measurements of each call that is no ending")
	f.IntVar(&o.beside, "beside", 5, "measurements of introspection beside a loop of each ending; 0 leaves it out")
	f.Float64Var(&o.rate, "rate", 100, "endings a second in such a loop")
	f.DurationVar(&o.window, "window", 2*time.Second, "how long such a loop goes on, and how long it is quiet before")
	f.BoolVar(&o.keep, "keep", false, "keep the two databases")
	f.BoolVar(&o.longOnes, "long", true, "measure the earlier core's endings with many families, too, which takes minutes")
	f.BoolVar(&o.callsOnly, "calls-only", false, "leave the endings out; then before is any commit")
	f.BoolVar(&o.loadOnly, "load-only", false, "make the two databases, keep them and end")
	f.StringVar(&o.callgrind, "callgrind", "", "folder with the callgrind.out.PID of the processes of the server that DATABASE_URL names: count instructions of the calls, in databases that -load-only has made")
	f.StringVar(&o.page, "write", "", "Markdown file to write the endings to, between <!-- begin endings --> and <!-- end endings -->")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || o.families < 1 || o.rounds < 1 || o.beside < 0 || !(o.rate > 0) || o.calls < 100 || o.calls > maxCalls {
		return fmt.Errorf("all there is are flags; families, rounds and the rate are above 0, and calls from 100 to %d", maxCalls)
	}

	server, err := dataset.StartServer(ctx, report.Logf)
	if err != nil {
		return err
	}
	files, err := atCommit(ctx, o.root, o.before)
	if err != nil {
		return err
	}
	before := &core{name: "before", files: files, database: "bench_endings_before", perCall: 1}
	after := &core{name: "after", files: asItIs(o.root), database: "bench_endings_after", perCall: o.rounds}
	if !o.longOnes {
		before.perCall = 0
	}
	cores := []*core{before, after}
	defer func() {
		for _, c := range cores {
			if c.conn != nil {
				err = errors.Join(err, c.conn.Close(context.WithoutCancel(ctx)))
			}
			if !o.keep && !o.loadOnly && o.callgrind == "" {
				err = errors.Join(err, server.Drop(context.WithoutCancel(ctx), c.database))
			}
		}
	}()
	if o.callgrind != "" {
		return instructions(ctx, server, cores, o.callgrind)
	}
	for _, c := range cores {
		report.Logf("loading %s", c.name)
		if err := c.open(ctx, server); err != nil {
			return err
		}
		if err := c.load(ctx, o.families); err != nil {
			return err
		}
	}

	if o.loadOnly {
		return nil
	}

	version, _, err := server.Settings(ctx)
	if err != nil {
		return err
	}
	present, err := lastCommit(ctx, o.root)
	if err != nil {
		return err
	}
	head := fmt.Sprintf("PostgreSQL %s, one connection. Before: commit %s. After: %s.\n\n", version, o.before, present)
	measured, err := calls(ctx, cores, o)
	if err != nil {
		return err
	}
	fmt.Print(head, measured)
	if o.callsOnly {
		return nil
	}
	results, err := endings(ctx, cores, o)
	if err != nil {
		return err
	}
	text := head + tables(results, o)
	if results, err = sessionEndings(ctx, after, o); err != nil {
		return err
	}
	text += sessionTable(results, o)
	if o.beside > 0 {
		more, err := besideAll(ctx, server, after, o)
		if err != nil {
			return err
		}
		text += more
	}
	fmt.Print(text)
	if o.page != "" {
		return report.Put(o.page, "endings", text)
	}
	return nil
}

// digest is what digestSQL computes.
func digest(kind, number string) string {
	sum := md5.Sum([]byte(kind + number))
	return hex.EncodeToString(sum[:]) + "-benchdataA"
}

// values are parameters by their names; a call takes those that it has.
type values map[string]any

func (v values) and(more values) values {
	all := maps.Clone(v)
	maps.Copy(all, more)
	return all
}

// client is who calls, as the new core's calls have to know.
func client(of, method string) values {
	v := values{"client_id": clientID(of), "client_auth_method": method}
	if method == "client_secret_basic" {
		v["client_secret"] = digest(secret, of)
	}
	return v
}

// ending is a call that ends something.
type ending struct {
	name   string
	before string // what the earlier core has for it, if it is not the same name; "-" is nothing
	values func(of string) values
}

var all = []ending{
	{name: "RevokeAuthorization", values: func(of string) values { return values{"id": "azn_" + oneOf(of)} }},
	{name: "RevokeToken", values: func(of string) values {
		return client(of, "client_secret_basic").and(values{"token": digest("r", strings.TrimLeft(oneOf(of), "0"))})
	}},
	{name: "EndSession", values: func(of string) values { return values{"id": sessionID(of)} }},
	{name: "EndUserSessions", values: func(of string) values { return values{"user_id": userID(of)} }},
	{name: "RevokeUserAuthorizations", values: func(of string) values { return values{"user_id": userID(of)} }},
	{name: "RevokeUserAuthorizationsByClient", before: "RevokeUserAuthorizations", values: func(of string) values {
		return values{"user_id": userID(of), "client_id": clientID(of)}
	}},
	{name: "WithdrawConsent", values: func(of string) values { return values{"user_id": userID(of), "client_id": clientID(of)} }},
	{name: "RevokeClientAuthorizations", values: func(of string) values { return values{"client_id": clientID(of)} }},
	{name: "SuspendUser", before: "-", values: func(of string) values { return values{"id": userID(of)} }},
	{name: "DisableClient", values: func(of string) values { return values{"client_id": clientID(of)} }},
	{name: "DeleteUser", values: func(of string) values { return values{"id": userID(of)} }},
	{name: "DeleteClient", values: func(of string) values { return values{"client_id": clientID(of)} }},
}

// oneOf is the number of a family of a party.
func oneOf(party string) string {
	return map[string]string{large: "000000001000000", medium: "000000000500000", small: "000000000900000"}[party]
}

// cost is what an ending took, as medians, and in rows what it wrote in all tables.
type cost struct {
	took      time.Duration
	wal, rows int64
}

// result is one ending: before and after, small and large. What was not measured is nil.
type result struct {
	name          string
	before, after map[string]*cost
}

// endings measures all endings. Each is undone, so that the next finds the data as they were: the time is that of the statement
// without the commit.
func endings(ctx context.Context, cores []*core, o options) ([]result, error) {
	var results []result
	for _, e := range all {
		r := result{e.name, map[string]*cost{}, map[string]*cost{}}
		for _, c := range cores {
			name, costs, parties := e.name, r.after, []string{small, medium, large}
			if c.name == "before" {
				name, costs, parties = cmp.Or(e.before, e.name), r.before, []string{small, large}
			}
			if name == "-" {
				continue
			}
			report.Logf("%s, %s", e.name, c.name)
			measured, err := c.ending(ctx, name, e.values, parties, o.rounds)
			if err != nil {
				return nil, err
			}
			maps.Copy(costs, measured)
		}
		results = append(results, r)
	}
	return results, nil
}

// sessionEndings measures those whose work is in the sessions of a user.
func sessionEndings(ctx context.Context, c *core, o options) ([]result, error) {
	var results []result
	for _, e := range all {
		if e.name != "EndUserSessions" && e.name != "SuspendUser" {
			continue
		}
		report.Logf("%s, by sessions", e.name)
		measured, err := c.ending(ctx, e.name, e.values, []string{small, group, crowd}, min(o.rounds, 3))
		if err != nil {
			return nil, err
		}
		results = append(results, result{name: e.name, after: measured})
	}
	return results, nil
}

// most is how much longer an ending may take with very many families than with one, and how much longer introspections beside it may.
const most = 1.2

// against writes a multiple that is aimed at.
func against(multiple float64) string {
	if multiple <= most {
		return fmt.Sprintf("%.2f | met", multiple)
	}
	return fmt.Sprintf("%.2f | **missed**", multiple)
}

// tables are the results in Markdown.
func tables(results []result, o options) string {
	var b strings.Builder
	cell := func(k *cost, show func(*cost) string) string {
		if k == nil {
			return "–"
		}
		return show(k)
	}
	p50 := func(k *cost) string { return show(k.took) }
	fmt.Fprintf(&b, "| p50 | before: 1 family | %[1]d families | after: 1 family | %[2]d | %[1]d | the greater multiple of 1 | ≤ %[3]v |\n|---|---:|---:|---:|---:|---:|---:|---|\n",
		o.families, min(o.families, inMedium), most)
	for _, r := range results {
		one, some, many := r.after[small], r.after[medium], r.after[large]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", r.name, cell(r.before[small], p50), cell(r.before[large], p50), cell(one, p50), cell(some, p50),
			cell(many, p50), against(float64(max(some.took, many.took))/float64(one.took)))
	}
	table := func(title string, show func(*cost) string) {
		fmt.Fprintf(&b, "\n| %s | before: 1 family | %[2]d families | after: 1 family | %[2]d families |\n|---|---:|---:|---:|---:|\n", title, o.families)
		for _, r := range results {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.name, cell(r.before[small], show), cell(r.before[large], show), cell(r.after[small], show),
				cell(r.after[large], show))
		}
	}
	table("rows written", func(k *cost) string { return strconv.FormatInt(k.rows, 10) })
	table("WAL", func(k *cost) string { return bytesOf(k.wal) })
	return b.String()
}

// sessionTable is what endings of many sessions take: they write each, for servers that read nothing else.
func sessionTable(results []result, o options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n| p50 | 1 session | %d | %d | for each of these |\n|---|---:|---:|---:|---:|\n", min(o.families, inMedium), o.families)
	for _, r := range results {
		one, some, many := r.after[small], r.after[group], r.after[crowd]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.name, show(one.took), show(some.took), show(many.took), show(many.took/time.Duration(o.families)))
	}
	return b.String()
}

const written = `
	SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint, (pg_current_wal_insert_lsn() - '0/0')::bigint
	FROM pg_stat_xact_user_tables`

// ending measures one ending for each of the parties in turn, so that a machine that is slow for a while is so for all of them. The
// earlier core's endings of many families are measured once.
func (c *core) ending(ctx context.Context, name string, of func(string) values, parties []string, rounds int) (map[string]*cost, error) {
	const first = 3 // prepares the statement, and plans it for what it is given
	took, wal, rows := map[string][]time.Duration{}, map[string][]int64{}, map[string][]int64{}
	for n := range rounds + first {
		for i := range parties {
			party := parties[(i+n)%len(parties)]
			if party == large && n < first+rounds-min(c.perCall, rounds+first) || (party == crowd || party == group) && n < first {
				continue
			}
			d, r, w, err := c.undone(ctx, name, of(party))
			if err != nil {
				return nil, err
			}
			if n >= first {
				took[party], wal[party], rows[party] = append(took[party], d), append(wal[party], w), append(rows[party], r)
			}
		}
	}
	costs := map[string]*cost{}
	for party := range took {
		costs[party] = &cost{median(took[party]), median(wal[party]), median(rows[party])}
	}
	_, err := c.conn.Exec(ctx, "VACUUM") // what was undone leaves a dead version of each row, and the next ending would read it
	return costs, err
}

// undone makes a call, and takes it back. It returns how long it took, and what rows and log it wrote.
func (c *core) undone(ctx context.Context, name string, v values) (took time.Duration, rows, wal int64, err error) {
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, tx.Rollback(ctx)) }()
	var before, after struct{ rows, wal int64 }
	if err := tx.QueryRow(ctx, written).Scan(&before.rows, &before.wal); err != nil {
		return 0, 0, 0, err
	}
	began := time.Now()
	outcome, err := c.call(ctx, tx, name, v)
	took = time.Since(began)
	if err != nil {
		return 0, 0, 0, err
	}
	if err := tx.QueryRow(ctx, written).Scan(&after.rows, &after.wal); err != nil {
		return 0, 0, 0, err
	}
	if after.rows == before.rows {
		return 0, 0, 0, fmt.Errorf("%s of %s has ended nothing: %s", name, c.name, outcome)
	}
	return took, after.rows - before.rows, after.wal - before.wal, nil
}

func show(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func bytesOf(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

// median is the value in the middle.
func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/startup"
)

// finding is what a check has to say.
type finding struct {
	Check   string `json:"check"`
	Status  status `json:"status"`
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"` // what to do
}

// status is how bad it is.
type status string

const (
	statusOK      status = "ok"
	statusWarning status = "warning"
	statusFailure status = "failure"
	statusUnknown status = "unknown" // the role may not look
)

// inspection is a connection that is looked at, and what was found.
type inspection struct {
	*pgx.Conn
	server   *server
	schema   string // that the tables are in
	objects  bool   // the schema is this release's
	failover time.Duration
	quick    bool
	found    []finding
	large    map[string]int64    // rows of large tables
	reads    map[string][]string // calls that read one from end to end, by the table
	check    string              // that runs
}

func (i *inspection) say(s status, advice, format string, args ...any) {
	i.found = append(i.found, finding{Check: i.check, Status: s, Message: fmt.Sprintf(format, args...), Advice: advice})
}

func (i *inspection) ok(format string, args ...any) { i.say(statusOK, "", format, args...) }
func (i *inspection) warn(advice, format string, args ...any) {
	i.say(statusWarning, advice, format, args...)
}

func (i *inspection) fail(advice, format string, args ...any) {
	i.say(statusFailure, advice, format, args...)
}

// checks are all there are, in the order in which they run: what the later ones need comes first.
var checks = []struct {
	name, about string
	run         func(ctx context.Context, i *inspection) error
	needs       []string // checks that have to run before
}{
	{"server", "the version of PostgreSQL and its encoding", checkServer, nil},
	{"session", "the settings that the connection asked for, and those of the session that matter", checkSession, nil},
	{"pooler", "whether a pooler is between", checkPooler, nil},
	{"encryption", "whether the connection is encrypted", checkEncryption, nil},
	{"clock", "the server's clock against the one here", checkClock, nil},
	{"standby", "whether the server accepts writes", checkStandby, nil},
	{"durability", "synchronous_commit, for all roles, and fsync", checkDurability, nil},
	{"replication", "synchronous standbys and replication slots", checkReplication, nil},
	{"search_path", "where the tables are found", checkSearchPath, nil},
	{"schema", "the migrations against those of this release", checkSchema, nil},
	{"objects", "tables, columns, indexes, constraints, triggers and functions: missing, invalid, disabled or changed", checkObjects, []string{"search_path", "schema"}},
	{"role", "what the role is", checkRole, nil},
	{"calls", "which calls the role may make", checkCalls, []string{"search_path"}},
	{"plans", "calls that read a large table from end to end here", checkPlans, []string{"search_path", "calls"}},
	{"collector", "rows that should have been deleted", checkCollector, nil},
	{"autovacuum", "whether tables are vacuumed and analysed, and the age of their rows", checkAutovacuum, []string{"search_path"}},
	{"transactions", "transactions that are open for long", checkTransactions, nil},
	{"connections", "how many are left", checkConnections, nil},
	{"keys", "signing keys", checkKeys, nil},
	{"grace", "the grace of clients against the time that a failover takes", checkGrace, nil},
	{"logging", "whether the server's log gets what calls are passed", checkLogging, nil},
	{"events", "whether security events are written", checkEvents, nil},
}

var checkCommand = command{
	name:    "check",
	summary: "look for what is wrong with the database, and say what to do",
	details: `It changes nothing. Connect as the servers do: rights, settings and the pooler are those of the connection. What the role may not
look at is unknown; pg_monitor sees more. The exit status is 1 if there is a failure, with -strict also if there is a warning.

Checks:

` + func() string {
		var b strings.Builder
		tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, c := range checks {
			fmt.Fprintf(tw, "  %s\t%s\n", c.name, c.about)
		}
		tw.Flush()
		return strings.TrimSuffix(b.String(), "\n")
	}(),
	record: finding{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		failover := flags.Duration("failover", 30*time.Second, "how `long` a failover takes, from the loss of the primary until calls are answered")
		only := flags.String("only", "", "make only these `checks`, with commas between")
		quick := flags.Bool("quick", false, "leave out the calls and their plans, which take a second")
		strict := flags.Bool("strict", false, "fail if there is a warning")
		all := flags.Bool("all", false, "print what is in order, too")
		return func(ctx context.Context, c console) error {
			var wanted []string
			if *only != "" {
				wanted = strings.Split(*only, ",")
			}
			for _, name := range wanted {
				if !slices.Contains(checkNames(), name) {
					return usage("check: -only: there is no check %q", name)
				}
			}
			s, err := r.open(ctx, c)
			if err != nil {
				return err
			}
			found, err := inspect(ctx, s, *failover, *quick, wanted...)
			if err != nil {
				return err
			}
			count := map[status]int{}
			colour := coloursFor(c.out)
			for _, f := range found {
				count[f.Status]++
				if r.json {
					writeJSON(c.out, f)
				} else if *all || f.Status != statusOK {
					f.print(c.out, colour)
				}
			}
			if !r.json {
				fmt.Fprintf(c.out, "%s, %s, %d in order", plural(count[statusFailure], "failure", "failures"), plural(count[statusWarning], "warning", "warnings"), count[statusOK])
				if n := count[statusUnknown]; n > 0 {
					fmt.Fprintf(c.out, ", %d unknown", n)
				}
				fmt.Fprintln(c.out)
			}
			if count[statusFailure] > 0 || *strict && count[statusWarning] > 0 {
				return errQuiet
			}
			return nil
		}
	},
}

func (f finding) print(w io.Writer, c colours) {
	colour := map[status]string{statusOK: green, statusWarning: yellow, statusFailure: red, statusUnknown: dim}[f.Status]
	fmt.Fprintf(w, "%s %-12s %s\n", c.in(colour, fmt.Sprintf("%-7s", f.Status)), f.Check, printable(f.Message))
	if f.Advice != "" {
		fmt.Fprintf(w, "%s%s\n", strings.Repeat(" ", 21), printable(f.Advice))
	}
}

func checkNames() []string {
	var names []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	return names
}

// inspect makes the checks that are wanted, or all.
func inspect(ctx context.Context, s *server, failover time.Duration, quick bool, wanted ...string) (found []finding, err error) {
	if wanted == nil {
		wanted = checkNames()
	}
	needed := slices.Clone(wanted)
	for _, c := range checks {
		if slices.Contains(wanted, c.name) {
			needed = append(needed, c.needs...)
		}
	}
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // each statement runs once, perhaps through a pooler
	config.RuntimeParams["application_name"] = "oauthdb check"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	i := &inspection{Conn: conn, server: s, failover: failover, quick: quick}
	for _, c := range checks {
		if !slices.Contains(needed, c.name) {
			continue
		}
		i.check = c.name
		var refused *pgconn.PgError
		switch err := c.run(ctx, i); {
		case err == nil:
		case errors.As(err, &refused) && refused.Code == "42501":
			i.say(statusUnknown, "connect as a role that may look, a member of pg_monitor for example", "%s", refused.Message)
		case errors.As(err, &refused) && (refused.Code == "42P01" || refused.Code == "42703" || refused.Code == "42883"):
			i.say(statusUnknown, "see the checks search_path and schema", "%s", refused.Message)
		case errors.As(err, new(*startup.LostError)):
			i.say(statusUnknown, "see the check session", "the session lacks a setting that the connection string asks for")
		default:
			return nil, fmt.Errorf("check %s: %w", c.name, err)
		}
	}
	return slices.DeleteFunc(i.found, func(f finding) bool { return !slices.Contains(wanted, f.Check) }), nil
}

// one reads a row.
func one(ctx context.Context, i *inspection, query string, into ...any) error {
	return i.QueryRow(ctx, query).Scan(into...)
}

// texts reads a column.
func texts(ctx context.Context, i *inspection, query string, args ...any) ([]string, error) {
	rows, err := i.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// some is the first few of a list, as a text.
func some(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

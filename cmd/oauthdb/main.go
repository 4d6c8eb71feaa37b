// Command oauthdb looks after the database of an OAuth 2.1 / OpenID Connect provider in PostgreSQL: its schema, clients, users,
// sessions, grants and keys. It also shows the data layer at work. `oauthdb help` lists what it can do, and docs/command.md shows it.
//
// It opens connections, calls the packages migrations, store and db, and prints what they answer. It holds no rule of the
// data layer: those are in queries/ and migrations/.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/oauthdb/oauthdb/internal/importer"
)

// What the process answers to whoever started it.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// console is where a command reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
}

// output remembers the first error of writing.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// say writes a line about what is going on, apart from the output.
func (c console) say(format string, args ...any) {
	fmt.Fprintf(c.err, format+"\n", args...)
}

// command is one thing that oauthdb can do.
type command struct {
	name    string
	summary string
	details string // what `oauthdb help <name>` adds
	operand string // what it takes beside flags, "NAME" or "[NAME]" say; empty for nothing
	record  any    // an empty one of what it prints with -json, one or many; nil for a command that has no such flag
	prepare func(flags *flag.FlagSet) action
}

// action does what a command is for, after its flags have been parsed.
type action func(ctx context.Context, c console) error

// commands are all that there are. Those of a group are named "client add", say.
func commands() []command {
	return slices.Concat(
		[]command{migrateCommand, statusCommand, rollbackCommand, rolesCommand, checkCommand, gcCommand},
		clientCommands, userCommands, sessionCommands, grantCommands, tokenCommands, keyCommands,
		[]command{eventsCommand, exportCommand},
		importCommands,
		[]command{demoCommand, explainCommand, urlCommand, psqlCommand, startCommand, stopCommand, versionCommand},
	)
}

// groups are the first words of commands that have two, and what these are about.
var groups = []struct{ name, summary string }{
	{"client", "register clients, list, show, stop and delete them"},
	{"user", "find users, suspend, sign out and delete them, end what they have granted"},
	{"session", "list the sessions of a user, and end one"},
	{"grant", "list what was granted, and end it"},
	{"token", "say whose a token is, and revoke it"},
	{"key", "list the signing keys, add, retire and delete them"},
	{"import", "take over clients and users from other servers"},
}

// errUsage is wrapped by errors that are about how a command was called.
var errUsage = errors.New("see 'oauthdb help'")

func usage(format string, args ...any) error {
	return fmt.Errorf("%w (%w)", fmt.Errorf(format, args...), errUsage)
}

// answered is an error with an exit status of its own: of commands that have changed nothing, because there is no such thing, or because of
// the state that it is in.
type answered struct {
	error
	code int
}

func (e answered) Unwrap() error { return e.error }

func notFound(format string, args ...any) error {
	return answered{fmt.Errorf(format, args...), exitNotFound}
}

func refuse(format string, args ...any) error {
	return answered{fmt.Errorf(format, args...), exitRefused}
}

// errQuiet is an outcome that has been told already, and is a failure all the same.
var errQuiet = errors.New("failed")

func run(ctx context.Context, args []string, c console) int {
	out := &output{Writer: c.out}
	c.out = out
	asJSON, err := dispatch(ctx, args, c)
	if err == nil && out.err != nil { // a full disk, say: what is there isn't all
		err = fmt.Errorf("writing the output: %w", out.err)
	}
	code := exitFailed
	var verdict answered
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errUsage):
		code = exitUsage
	case errors.As(err, &verdict):
		code = verdict.code
	case ctx.Err() != nil && !errors.Is(err, errQuiet):
		if code = exitInterrupted; !errors.As(err, new(*importer.StoppedError)) { // which says where
			err = errors.New("interrupted")
		}
	}
	if errors.Is(err, errQuiet) {
		return code
	}
	text, hint := err.Error(), hintFor(err)
	if asJSON {
		writeJSON(c.err, failure{Error: text, Hint: strings.ReplaceAll(hint, "\n", " "), ExitCode: code})
		return code
	}
	c.say("oauthdb: %s", text)
	if hint != "" {
		c.say("\n%s", hint)
	}
	return code
}

// failure is an error as -json writes it, to standard error.
type failure struct {
	Error    string `json:"error"`
	Hint     string `json:"hint,omitempty"`
	ExitCode int    `json:"exit_code"`
}

// dispatch runs the command that args name, and says whether it was to answer in JSON.
func dispatch(ctx context.Context, args []string, c console) (asJSON bool, err error) {
	if len(args) == 0 {
		printOverview(c.err)
		return false, usage("no command given")
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return false, help(c, args[1:])
	}
	cmd, args, err := find(args)
	if err != nil {
		return false, err
	}
	flags, act := cmd.flags()
	if err := parse(flags, args, cmd.operand != ""); errors.Is(err, flag.ErrHelp) {
		printHelp(c.out, cmd, flags)
		return false, nil
	} else if err != nil {
		return slices.ContainsFunc(args, isJSONFlag), usage("%s: %w", cmd.name, err)
	}
	if f := flags.Lookup("json"); f != nil {
		asJSON = f.Value.String() == "true"
	}
	if flags.NArg() > 1 || flags.NArg() > 0 && cmd.operand == "" {
		asJSON = asJSON || slices.ContainsFunc(args, isJSONFlag) // one that stands behind what is too much
		return asJSON, usage("%s: unexpected argument %q", cmd.name, flags.Arg(flags.NArg()-1))
	}
	if flags.NArg() == 0 && cmd.operand != "" && !strings.HasPrefix(cmd.operand, "[") {
		return asJSON, usage("%s: %s is missing", cmd.name, cmd.operand)
	}
	return asJSON, act(ctx, c)
}

func isJSONFlag(arg string) bool { return arg == "-json" || arg == "--json" }

func help(c console, args []string) error {
	if len(args) == 0 {
		printOverview(c.out)
		return nil
	}
	if isGroup(args[0]) && len(args) == 1 {
		printGroup(c.out, args[0])
		return nil
	}
	cmd, _, err := find(args)
	if err != nil {
		return err
	}
	flags, _ := cmd.flags()
	printHelp(c.out, cmd, flags)
	return nil
}

// parse parses the flags of a command, which may stand behind its operand too.
func parse(flags *flag.FlagSet, args []string, operand bool) error {
	if err := flags.Parse(args); err != nil || !operand {
		return err
	}
	var operands []string
	for flags.NArg() > 0 {
		operands = append(operands, flags.Arg(0))
		if err := flags.Parse(flags.Args()[1:]); err != nil {
			return err
		}
	}
	return flags.Parse(append([]string{"--"}, operands...))
}

func isGroup(name string) bool {
	return slices.ContainsFunc(groups, func(g struct{ name, summary string }) bool { return g.name == name })
}

// find returns the command that args begin with, and the arguments behind its name.
func find(args []string) (command, []string, error) {
	words := 1
	if isGroup(args[0]) {
		words = 2
		if len(args) < 2 || strings.HasPrefix(args[1], "-") {
			return command{}, nil, usage("%s: which command? 'oauthdb help %s' lists them", args[0], args[0])
		}
	}
	name := strings.Join(args[:words], " ")
	for _, cmd := range commands() {
		if cmd.name == name {
			return cmd, args[words:], nil
		}
	}
	return command{}, nil, usage("no such command: %q", name)
}

// flags is the command's flag set, which says nothing by itself, and the action that reads it.
func (cmd command) flags() (*flag.FlagSet, action) {
	flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags, cmd.prepare(flags)
}

func printOverview(w io.Writer) {
	fmt.Fprint(w, `oauthdb looks after the PostgreSQL database of an OAuth 2.1 / OpenID Connect provider.

Usage:

  oauthdb <command> [flags]

Commands:

`)
	listed := map[string]bool{}
	for _, cmd := range commands() {
		name, summary := cmd.name, cmd.summary
		if first, _, two := strings.Cut(name, " "); two {
			i := slices.IndexFunc(groups, func(g struct{ name, summary string }) bool { return g.name == first })
			name, summary = groups[i].name, groups[i].summary
		}
		if !listed[name] {
			fmt.Fprintf(w, "  %-10s %s\n", name, summary)
		}
		listed[name] = true
	}
	fmt.Fprintf(w, "  %-10s %s\n", "help", "explain a command and its flags: oauthdb help client add")
	fmt.Fprint(w, `
Which database:

  -database-url, if given; else the environment variable DATABASE_URL, if set; else, in a clone of oauthdb, the
  database "oauthdb" of a private PostgreSQL, which is started when it is needed and goes on until 'oauthdb stop'.

Exit status:

  0 done, 1 failed, 2 called wrongly, 3 there is no such thing, 4 refused, 130 interrupted
`)
}

func printGroup(w io.Writer, group string) {
	fmt.Fprintf(w, "Usage:\n\n  oauthdb %s <command> [flags]\n\nCommands:\n\n", group)
	for _, cmd := range commands() {
		if name, ok := strings.CutPrefix(cmd.name, group+" "); ok {
			fmt.Fprintf(w, "  %-14s %s\n", name, cmd.summary)
		}
	}
	fmt.Fprintf(w, "\n'oauthdb help %s <command>' explains one.\n", group)
}

func printHelp(w io.Writer, cmd command, flags *flag.FlagSet) {
	fmt.Fprintf(w, "%s\n\nUsage:\n\n  %s\n", sentence(cmd.summary), strings.TrimSpace("oauthdb "+cmd.name+" [flags] "+cmd.operand))
	if cmd.details != "" {
		fmt.Fprintf(w, "\n%s\n", cmd.details)
	}
	fmt.Fprint(w, "\nFlags:\n\n")
	flags.SetOutput(w)
	flags.PrintDefaults()
	flags.SetOutput(io.Discard)
}

func sentence(s string) string {
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// Command oauthdb looks after the schema of an OAuth 2.1 / OpenID Connect provider in PostgreSQL, and shows the data layer
// at work. `oauthdb help` lists what it can do.
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
	"strings"
	"syscall"
)

// What the process answers to whoever started it.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
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

// say writes a line about what is going on, apart from the output.
func (c console) say(format string, args ...any) {
	fmt.Fprintf(c.err, format+"\n", args...)
}

// command is one thing that oauthdb can do.
type command struct {
	name    string
	summary string
	details string // what `oauthdb help <name>` adds
	operand string // what it takes beside flags, "[NAME]" say; empty for nothing
	prepare func(flags *flag.FlagSet) action
}

// action does what a command is for, after its flags have been parsed.
type action func(ctx context.Context, c console) error

func commands() []command {
	return []command{
		migrateCommand, statusCommand, rollbackCommand, rolesCommand,
		demoCommand, gcCommand, explainCommand,
		urlCommand, psqlCommand, startCommand, stopCommand,
	}
}

// errUsage is wrapped by errors that are about how a command was called.
var errUsage = errors.New("see 'oauthdb help'")

func usage(format string, args ...any) error {
	return fmt.Errorf("%w (%w)", fmt.Errorf(format, args...), errUsage)
}

// errQuiet is an outcome that has been told already, and is a failure all the same.
var errQuiet = errors.New("failed")

func run(ctx context.Context, args []string, c console) int {
	err := dispatch(ctx, args, c)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errQuiet):
		return exitFailed
	case ctx.Err() != nil:
		c.say("oauthdb: interrupted")
		return exitInterrupted
	}
	c.say("oauthdb: %v", err)
	if hint := hintFor(err); hint != "" {
		c.say("\n%s", hint)
	}
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

func dispatch(ctx context.Context, args []string, c console) error {
	if len(args) == 0 {
		printOverview(c.err)
		return usage("no command given")
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(args) == 0 {
			printOverview(c.out)
			return nil
		}
		cmd, err := find(args[0])
		if err != nil {
			return err
		}
		flags, _ := cmd.flags()
		printHelp(c.out, cmd, flags)
		return nil
	}
	cmd, err := find(name)
	if err != nil {
		return err
	}
	flags, act := cmd.flags()
	if err := parse(flags, args, cmd.operand != ""); errors.Is(err, flag.ErrHelp) {
		printHelp(c.out, cmd, flags)
		return nil
	} else if err != nil {
		return usage("%s: %w", name, err)
	}
	if flags.NArg() > 1 || flags.NArg() > 0 && cmd.operand == "" {
		return usage("%s: unexpected argument %q", name, flags.Arg(flags.NArg()-1))
	}
	return act(ctx, c)
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

func find(name string) (command, error) {
	for _, cmd := range commands() {
		if cmd.name == name {
			return cmd, nil
		}
	}
	return command{}, usage("no such command: %q", name)
}

// flags is the command's flag set, which says nothing by itself, and the action that reads it.
func (cmd command) flags() (*flag.FlagSet, action) {
	flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags, cmd.prepare(flags)
}

func printOverview(w io.Writer) {
	fmt.Fprint(w, `oauthdb looks after the PostgreSQL schema of an OAuth 2.1 / OpenID Connect provider.

Usage:

  oauthdb <command> [flags]

Commands:

`)
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  %-10s %s\n", cmd.name, cmd.summary)
	}
	fmt.Fprintf(w, "  %-10s %s\n", "help", "explain a command and its flags: oauthdb help migrate")
	fmt.Fprint(w, `
Which database:

  -database-url, if given; else the environment variable DATABASE_URL, if set; else the database
  "oauthdb" of a private PostgreSQL, which is started when it is needed and goes on until 'oauthdb stop'.

Exit status: 0 done, 1 failed, 2 called wrongly, 130 interrupted.
`)
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

package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/importer"
)

var importCommands = []command{
	importAuth0ClientsCommand, importAuth0PasswordsCommand, importAuth0UsersCommand, importBetterAuthCommand, importClientsCommand, importHydraCommand, importKeycloakClientsCommand, importKeycloakUsersCommand, importUsersCommand,
}

// importRecord is what became of a record of the file or, last, the summary.
type importRecord struct {
	Record  int64            `json:"record,omitempty"` // its number in the file
	ID      string           `json:"id,omitempty"`
	Outcome importer.Outcome `json:"outcome,omitempty"` // taken, changed, present or refused
	Reasons []string         `json:"reasons,omitempty"`
	Summary *importSummary   `json:"summary,omitempty"`
}

type importSummary struct {
	DryRun  bool  `json:"dry_run"` // then nothing has changed
	Read    int64 `json:"read"`    // records, with those that were skipped
	Taken   int64 `json:"taken"`
	Changed int64 `json:"changed"` // taken, but not as it stood there
	Present int64 `json:"present"` // there before, and left as it is
	Refused int64 `json:"refused"`
}

// importing is what the commands that import have in common.
type importing struct {
	target
	printer
	dryRun, all, quiet bool
	options            importer.Options
}

func (im *importing) register(flags *flag.FlagSet) {
	im.target.register(flags)
	im.registerPooler(flags)
	im.printer.register(flags)
	flags.BoolVar(&im.dryRun, "dry-run", false, "say what would become of each record: each transaction is rolled back")
	flags.BoolVar(&im.all, "all", false, "also print what is taken as it stands, or was there before")
	flags.BoolVar(&im.quiet, "quiet", false, "print only what is refused, and the summary")
	flags.Int64Var(&im.options.Skip, "skip", 0, "leave out so many `records`")
	flags.IntVar(&im.options.Jobs, "jobs", 4, "how many `connections` write at the same time")
}

const importDetails = `A record that is there already is left as it is, so an import that was interrupted goes on when it is run again; -skip spares it what it
has done. A record that can't be stored is refused and doesn't stop the others. Printed is what is refused or taken otherwise than it stood
there, and a summary. The exit status is 4 if a record was refused.

FILE is read record by record, - is standard input. No credential in it is printed, and of secrets in plain only the digest is stored.`

// run imports from a file.
func (im *importing) run(ctx context.Context, c console, name string, read func(io.Reader) iter.Seq2[importer.Item, error]) error {
	if err := im.check(); err != nil {
		return err
	}
	from := c.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		from = f
	}
	return im.take(ctx, c, read(bufio.NewReaderSize(from, 1<<16)))
}

// runFrom imports from a database, in a transaction that only reads and sees it as it was at the beginning.
func (im *importing) runFrom(ctx context.Context, c console, from string, read func(context.Context, *importer.Source) (iter.Seq2[importer.Item, error], error)) error {
	if err := im.check(); err != nil {
		return err
	}
	if from == "" {
		return usage("import: -from is missing: the URL of the database to import from")
	}
	source, err := importer.OpenSource(ctx, from)
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	defer source.Close()
	items, err := read(ctx, source)
	if err != nil {
		return err
	}
	return im.take(ctx, c, items)
}

func (im *importing) check() error {
	if im.options.Jobs < 1 || im.options.Jobs > 64 || im.options.Skip < 0 {
		return usage("import: -jobs has to be between 1 and 64, and -skip not negative")
	}
	if im.all && im.quiet {
		return usage("import: -all and -quiet exclude each other")
	}
	return nil
}

// take writes what is read, and says what becomes of it.
func (im *importing) take(ctx context.Context, c console, items iter.Seq2[importer.Item, error]) error {
	s, err := im.open(ctx, c)
	if err != nil {
		return err
	}
	pool, err := s.pool(ctx, db.Options{MaxConns: int32(im.options.Jobs), PgBouncer: im.pgbouncer})
	if err != nil {
		return err
	}
	defer pool.Close()

	im.options.DryRun, im.options.OneByOne = im.dryRun, im.pgbouncer
	out := bufio.NewWriter(c.out)
	defer out.Flush()
	told := time.Now()
	sum, err := importer.Run(ctx, pool, items, im.options, func(r importer.Result) {
		if im.all || r.Outcome == importer.Changed && !im.quiet || r.Outcome == importer.Refused {
			im.print(out, importRecord{Record: r.Record, ID: r.ID, Outcome: r.Outcome, Reasons: r.Reasons})
		}
		if isTerminal(c.err) && time.Since(told) > time.Second {
			fmt.Fprintf(c.err, "\r%d records ", r.Record)
			told = time.Now()
		}
	})
	im.print(out, importRecord{Summary: &importSummary{im.dryRun, sum.Read, sum.Taken, sum.Changed, sum.Present, sum.Refused}})
	switch {
	case err != nil:
		return err
	case sum.Refused > 0:
		return refuse("%s", plural(int(sum.Refused), "record was refused", "records were refused"))
	}
	return nil
}

func (r importRecord) text(w io.Writer) {
	if s := r.Summary; s != nil {
		dry := ""
		if s.DryRun {
			dry = "dry run, rolled back: "
		}
		fmt.Fprintf(w, "%s%s read: %d taken, %d taken with changes, %d there before, %d refused\n", dry, plural(int(s.Read), "record", "records"),
			s.Taken, s.Changed, s.Present, s.Refused)
		return
	}
	fmt.Fprintf(w, "record %d", r.Record)
	if r.ID != "" {
		fmt.Fprintf(w, ", %s", printable(r.ID))
	}
	fmt.Fprintf(w, ": %s", r.Outcome)
	if len(r.Reasons) > 0 {
		fmt.Fprintf(w, ": %s", printable(strings.Join(r.Reasons, "; ")))
	}
	fmt.Fprintln(w)
}

var importClientsCommand = command{
	name:    "import clients",
	operand: "FILE",
	summary: "take over clients from JSON: registration documents (RFC 7591)",
	details: `FILE has objects one after the other, or a list of them. Beside the members of RFC 7591 each has client_id, and may have client_secret or
client_secret_hash (bcrypt, PBKDF2, Argon2, as another server made it), skip_consent, enable_end_session, require_pkce, user_id and
reference_id (the owner). Documents are taken as an operator's: what a client may not register for itself is not refused.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		return func(ctx context.Context, c console) error { return im.run(ctx, c, flags.Arg(0), importer.Clients) }
	},
}

var importHydraCommand = command{
	name:    "import hydra",
	operand: "FILE",
	summary: "take over clients from Ory Hydra's JSON",
	details: `FILE is what 'hydra list oauth2-clients --format json' or Hydra's API writes. docs/import.md says what becomes of each member.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		optional := flags.Bool("pkce-optional", false, "confidential clients need not use PKCE, as with Hydra")
		return func(ctx context.Context, c console) error {
			return im.run(ctx, c, flags.Arg(0), func(r io.Reader) iter.Seq2[importer.Item, error] { return importer.Hydra(r, *optional) })
		}
	},
}

var importKeycloakClientsCommand = command{
	name:    "import keycloak-clients",
	operand: "FILE",
	summary: "take over clients from the export of a Keycloak realm",
	details: `FILE is what 'kc.sh export' or the admin console writes, the whole realm, or a list of clients. Those that Keycloak makes in every realm are
left out. docs/import.md says what becomes of each member.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		optional := flags.Bool("pkce-optional", false, "confidential clients need not use PKCE, unless Keycloak asks it of them")
		return func(ctx context.Context, c console) error {
			return im.run(ctx, c, flags.Arg(0), func(r io.Reader) iter.Seq2[importer.Item, error] { return importer.KeycloakClients(r, *optional) })
		}
	},
}

var importKeycloakUsersCommand = command{
	name:    "import keycloak-users",
	operand: "FILE",
	summary: "take over users from the export of a Keycloak realm, with the hashes of their passwords",
	details: `FILE is what 'kc.sh export' writes: the whole realm, or one of the files of users beside it. Service accounts are left out. docs/import.md
says what becomes of each member.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		return func(ctx context.Context, c console) error {
			return im.run(ctx, c, flags.Arg(0), importer.KeycloakUsers)
		}
	},
}

var importUsersCommand = command{
	name:    "import users",
	operand: "FILE",
	summary: "take over users from CSV or JSON, with the hashes of their passwords",
	details: `The columns of CSV, or the members of JSON, are ` + strings.Join(importer.UserFields, ", ") + `. id is needed, the others
may be left out, and others are ignored. password_hash becomes the user's account of the provider "credential".

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		format := flags.String("format", "", "`csv` or json; without it, what the name of FILE ends with")
		return func(ctx context.Context, c console) error {
			read := map[string]func(io.Reader) iter.Seq2[importer.Item, error]{"csv": importer.UsersCSV, "json": importer.Users}
			f := *format
			if f == "" {
				f = flags.Arg(0)[strings.LastIndex(flags.Arg(0), ".")+1:]
			}
			if f == "jsonl" || f == "ndjson" {
				f = "json"
			}
			if read[f] == nil {
				return usage("import users: -format: csv or json")
			}
			return im.run(ctx, c, flags.Arg(0), read[f])
		}
	},
}

var importAuth0ClientsCommand = command{
	name:    "import auth0-clients",
	operand: "FILE",
	summary: "take over clients from Auth0's JSON",
	details: `FILE is what Auth0's Management API (GET /api/v2/clients), 'auth0 apps list --reveal-secrets --json' or its Deploy CLI writes; the files of
the last can follow each other. docs/import.md says what becomes of each member.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		optional := flags.Bool("pkce-optional", false, "confidential clients need not use PKCE, as with Auth0")
		return func(ctx context.Context, c console) error {
			return im.run(ctx, c, flags.Arg(0), func(r io.Reader) iter.Seq2[importer.Item, error] { return importer.Auth0Clients(r, *optional) })
		}
	},
}

var importAuth0UsersCommand = command{
	name:    "import auth0-users",
	operand: "FILE",
	summary: "take over users from an export of Auth0's, with their linked identities",
	details: `FILE is what a job of Auth0's (POST /api/v2/jobs/users-exports, format json) or GET /api/v2/users writes. Passwords come in a file of their
own: see 'oauthdb help import auth0-passwords'.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		return func(ctx context.Context, c console) error { return im.run(ctx, c, flags.Arg(0), importer.Auth0Users) }
	},
}

var importAuth0PasswordsCommand = command{
	name:    "import auth0-passwords",
	operand: "FILE",
	summary: "give users from Auth0 the hashes of their passwords",
	details: `FILE is the export of password hashes that Auth0's support makes on request. The users have to be there. A user who has a password already
keeps it.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		return func(ctx context.Context, c console) error {
			return im.run(ctx, c, flags.Arg(0), importer.Auth0Passwords)
		}
	},
}

var importBetterAuthCommand = command{
	name:    "import better-auth",
	summary: "take over users, clients, consents and refresh tokens from better-auth's tables",
	details: `-from is the database in which better-auth's own migrations have made its tables, with names such as "emailVerified". It is read in one
transaction and not changed; that better-auth goes on with it does no harm, but what it writes after the beginning isn't seen. A password can
be in PGPASSWORD or in a password file instead of the URL.

` + strings.Replace(importDetails, `FILE is read record by record, - is standard input. No credential in it`, `Records are read one by one. No credential in them`, 1),
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		from := flags.String("from", "", "`URL` of the database to import from")
		var o importer.BetterAuthOptions
		flags.BoolVar(&o.KeepHashes, "keep-hashes", false, "leave passwords' hashes in better-auth's notation, for a better-auth server that goes on")
		flags.BoolVar(&o.PlainSecrets, "plain-secrets", false, "clients' secrets are in plain there: storeClientSecret is plain")
		return func(ctx context.Context, c console) error {
			return im.runFrom(ctx, c, *from, func(ctx context.Context, s *importer.Source) (iter.Seq2[importer.Item, error], error) { return importer.BetterAuth(ctx, s, o) })
		}
	},
}

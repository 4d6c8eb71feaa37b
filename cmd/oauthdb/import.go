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
	"github.com/oauthdb/oauthdb/store"
)

var importCommands = []command{
	importAuth0ClientsCommand, importAuth0PasswordsCommand, importAuth0UsersCommand, importBetterAuthCommand, importClientsCommand, importConsentsCommand,
	importHydraCommand, importHydraTablesCommand, importKeycloakClientsCommand, importKeycloakUsersCommand, importRefreshTokensCommand,
	importUsersCommand,
}

// importRecord is what became of a record of the file or, last, the summary.
type importRecord struct {
	Record  int64            `json:"record,omitempty"` // its number in the file
	Kind    importer.Kind    `json:"kind,omitempty"`   // of a database: client, user, consent or refresh token
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

const importRecords = `A record that is there already is left as it is, so an import that was interrupted goes on when it is run again; -skip spares it what it
has done. A record that can't be stored is refused and doesn't stop the others. Printed is what is refused or taken otherwise than it stood
there, and a summary. The exit status is 4 if a record was refused.`

const importDetails = importRecords + `

FILE is read record by record, - is standard input. No credential in it is printed, and of secrets in plain only the digest is stored.`

func (im *importing) check() error {
	if im.options.Jobs < 1 || im.options.Jobs > 64 || im.options.Skip < 0 {
		return usage("import: -jobs has to be between 1 and 64, and -skip not negative")
	}
	if im.all && im.quiet {
		return usage("import: -all and -quiet exclude each other")
	}
	return nil
}

// run imports a file.
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
	s, err := im.open(ctx, c)
	if err != nil {
		return err
	}
	return im.write(ctx, c, s, read(bufio.NewReaderSize(from, 1<<16)))
}

// source is a database from which a command imports.
type source struct{ url string }

// sourceVariable names the source where the command line, which others can see, doesn't.
const sourceVariable = "SOURCE_DATABASE_URL"

func (s *source) register(flags *flag.FlagSet) {
	flags.StringVar(&s.url, "from", "", "read the database at this `URL`, whatever "+sourceVariable+" says")
}

const sourceDetails = `The database is the one that -from or the variable ` + sourceVariable + ` names: a URL, or a connection string of libpq. It is read in one read-only
transaction, row by row; a role that may SELECT from its tables is enough.

`

// run imports from the database.
func (s *source) run(ctx context.Context, c console, im *importing, read func(*importer.Source) (iter.Seq2[importer.Item, error], error)) error {
	if err := im.check(); err != nil {
		return err
	}
	if s.url == "" {
		s.url = os.Getenv(sourceVariable)
	}
	if s.url == "" {
		return usage("import: no source is given: pass -from or set %s", sourceVariable)
	}
	target, err := im.open(ctx, c)
	if err != nil {
		return err
	}
	from, err := importer.OpenSource(ctx, s.url)
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	defer from.Close()
	items, err := read(from)
	if err != nil {
		return err
	}
	return im.write(ctx, c, target, items)
}

func (im *importing) write(ctx context.Context, c console, s *server, items iter.Seq2[importer.Item, error]) error {
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
			im.print(out, importRecord{Record: r.Record, Kind: r.Kind, ID: r.ID, Outcome: r.Outcome, Reasons: r.Reasons})
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
	if r.Kind != "" {
		fmt.Fprintf(w, ", %s", r.Kind)
	}
	if r.ID != "" {
		if r.Kind == "" {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, " %s", printable(r.ID))
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
		format := formatFlag(flags)
		return func(ctx context.Context, c console) error {
			read, err := ofFormat(*format, flags.Arg(0), importer.UsersCSV, importer.Users)
			if err != nil {
				return err
			}
			return im.run(ctx, c, flags.Arg(0), read)
		}
	},
}

func formatFlag(flags *flag.FlagSet) *string {
	return flags.String("format", "", "`csv` or json; without it, what the name of FILE ends with")
}

// reader reads a file.
type reader = func(io.Reader) iter.Seq2[importer.Item, error]

// ofFormat is what reads the format, or the file by its name.
func ofFormat(format, name string, csv, json reader) (reader, error) {
	if format == "" {
		format = name[strings.LastIndex(name, ".")+1:]
	}
	switch format {
	case "csv":
		return csv, nil
	case "json", "jsonl", "ndjson":
		return json, nil
	}
	return nil, usage("import: -format: csv or json")
}

var importConsentsCommand = command{
	name:    "import consents",
	operand: "FILE",
	summary: "take over what users have agreed to from CSV or JSON",
	details: `The columns of CSV, or the members of JSON, are ` + strings.Join(importer.ConsentFields, ", ") + `. user_id and client_id are needed,
and have to be there: import users and clients before. scope has spaces between its words. Others are ignored. A consent that was
withdrawn here doesn't come back.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		im.register(flags)
		format := formatFlag(flags)
		return func(ctx context.Context, c console) error {
			read, err := ofFormat(*format, flags.Arg(0), importer.ConsentsCSV, importer.Consents)
			if err != nil {
				return err
			}
			return im.run(ctx, c, flags.Arg(0), read)
		}
	},
}

// lifetimes are the flags that bound how long imported tokens last.
type lifetimes struct{ refresh, family time.Duration }

func (l *lifetimes) register(flags *flag.FlagSet) {
	flags.DurationVar(&l.refresh, "refresh-token-lifetime", 30*24*time.Hour, "how `long` an imported refresh token lasts at most; 0 is for ever")
	flags.DurationVar(&l.family, "family-lifetime", 0, "how `long` its grant can last, however often it is refreshed; 0 is for ever")
}

func (l *lifetimes) read() (importer.Lifetimes, error) {
	if l.refresh < 0 || l.family < 0 {
		return importer.Lifetimes{}, usage("import: a lifetime is negative")
	}
	never := func(d time.Duration) time.Duration {
		if d == 0 {
			return store.Never
		}
		return d
	}
	return importer.Lifetimes{RefreshToken: never(l.refresh), Family: never(l.family)}, nil
}

var importRefreshTokensCommand = command{
	name:    "import refresh-tokens",
	operand: "FILE",
	summary: "take over refresh tokens, in plain or by their digests, from CSV or JSON",
	details: `The columns of CSV, or the members of JSON, are ` + strings.Join(importer.RefreshTokenFields, ", ") + `. user_id, client_id
and one of token and token_digest are needed. token is the token in plain, of which only the digest is stored; token_digest is its SHA-256 in
base64url without padding, or in hexadecimal. Tokens with one grant_id are given in one record, as lists: tokens, token_digests. Others are ignored. What was
ended here doesn't come back.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		var l lifetimes
		im.register(flags)
		l.register(flags)
		format := formatFlag(flags)
		return func(ctx context.Context, c console) error {
			bounds, err := l.read()
			if err != nil {
				return err
			}
			read, err := ofFormat(*format, flags.Arg(0),
				func(r io.Reader) iter.Seq2[importer.Item, error] { return importer.RefreshTokensCSV(r, bounds) },
				func(r io.Reader) iter.Seq2[importer.Item, error] { return importer.RefreshTokens(r, bounds) })
			if err != nil {
				return err
			}
			return im.run(ctx, c, flags.Arg(0), read)
		}
	},
}

// kinds are what -only names.
var kinds = map[string]importer.Kind{
	"clients": importer.ClientRecord, "users": importer.UserRecord, "consents": importer.ConsentRecord, "refresh-tokens": importer.RefreshTokenRecord,
}

// chosen reads -only.
func chosen(only string) (list []importer.Kind, err error) {
	for _, name := range strings.FieldsFunc(only, func(r rune) bool { return r == ',' || r == ' ' }) {
		kind, known := kinds[name]
		if !known {
			return nil, usage("import: -only: clients, users, consents or refresh-tokens, with commas between them")
		}
		list = append(list, kind)
	}
	return list, nil
}

var importHydraTablesCommand = command{
	name:    "import hydra-tables",
	summary: "take over clients, consents and refresh tokens from the PostgreSQL tables of Ory Hydra 2",
	details: sourceDetails + `Users have to be there already, with Hydra's subjects as their ids; -create-users makes those that aren't. Refresh tokens are taken by the
signatures that Hydra stores, so the server needs Hydra's system secret to know them: see token.NewHydra. docs/import.md leads through a
move step by step.

` + importRecords,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		var from source
		var l lifetimes
		im.register(flags)
		from.register(flags)
		l.register(flags)
		only := flags.String("only", "", "nothing but these `kinds`: clients, users, consents, refresh-tokens")
		network := flags.String("network", "", "the `id` of Hydra's network, if its tables have several")
		optional := flags.Bool("pkce-optional", false, "confidential clients need not use PKCE, as with Hydra")
		create := flags.Bool("create-users", false, "make a user of each subject that has agreed to something or holds a refresh token")
		return func(ctx context.Context, c console) error {
			bounds, err := l.read()
			if err != nil {
				return err
			}
			kinds, err := chosen(*only)
			if err != nil {
				return err
			}
			return from.run(ctx, c, &im, func(s *importer.Source) (iter.Seq2[importer.Item, error], error) {
				return importer.HydraTables(ctx, s, importer.HydraOptions{
					Only: kinds, Network: *network, PKCEOptional: *optional, CreateUsers: *create, Lifetimes: bounds,
				})
			})
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
	details: sourceDetails + `The tables are those that better-auth's own migrations make in PostgreSQL, with names such as "emailVerified", of its OAuth provider or of the
OIDC provider that it had before. docs/import.md leads through a move step by step.

` + importDetails,
	record: importRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var im importing
		var from source
		var l lifetimes
		im.register(flags)
		from.register(flags)
		l.register(flags)
		only := flags.String("only", "", "nothing but these `kinds`: clients, users, consents, refresh-tokens")
		var o importer.BetterAuthOptions
		flags.BoolVar(&o.KeepHashes, "keep-hashes", false, "leave passwords' hashes in better-auth's notation, for a better-auth server that goes on")
		flags.BoolVar(&o.PlainSecrets, "plain-secrets", false, "clients' secrets are in plain there: storeClientSecret is plain")
		return func(ctx context.Context, c console) (err error) {
			if o.Lifetimes, err = l.read(); err != nil {
				return err
			}
			if o.Only, err = chosen(*only); err != nil {
				return err
			}
			return from.run(ctx, c, &im, func(s *importer.Source) (iter.Seq2[importer.Item, error], error) {
				return importer.BetterAuth(ctx, s, o)
			})
		}
	},
}

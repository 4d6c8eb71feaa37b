package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/registration"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

var clientCommands = []command{
	clientAddCommand, clientListCommand, clientShowCommand, clientRotateSecretCommand, clientDisableCommand, clientEnableCommand,
	clientRevokeCommand, clientDeleteCommand, clientReapCommand,
}

// clientRecord is a client as commands print it: no digest, and no hash of a secret.
type clientRecord struct {
	ClientID     store.ClientID     `json:"client_id"`
	CreatedAt    time.Time          `json:"created_at"`
	UpdatedAt    time.Time          `json:"updated_at"`
	Disabled     bool               `json:"disabled"`
	SkipConsent  bool               `json:"skip_consent"`
	UserID       *store.UserID      `json:"user_id"`      // the owner
	ReferenceID  *store.ReferenceID `json:"reference_id"` // the tenant that owns it
	UnusedSince  *time.Time         `json:"unused_since"`
	HasSecret    bool               `json:"has_secret"`
	OlderSecrets []secretRecord     `json:"older_secrets,omitempty"` // of 'client show': replaced ones that still count
	Registration map[string]any     `json:"registration"`            // the document of RFC 7591 and 7592
}

type secretRecord struct {
	ExpiresAt time.Time `json:"expires_at"`
}

func newClientRecord(c store.OAuthClient) (clientRecord, error) {
	document, err := registration.Render(c)
	return clientRecord{
		ClientID: c.ClientID, CreatedAt: utc(c.CreatedAt), UpdatedAt: utc(c.UpdatedAt), Disabled: c.Disabled,
		SkipConsent: c.SkipConsent != nil && *c.SkipConsent, UserID: c.UserID, ReferenceID: c.ReferenceID,
		UnusedSince: optionalUTC(c.UnusedSince), HasSecret: c.ClientSecret != nil || c.ForeignSecretHash != nil, Registration: document,
	}, err
}

func (r clientRecord) name() string {
	name, _ := r.Registration["client_name"].(string)
	return printable(name)
}

func (r clientRecord) state() string {
	if r.Disabled {
		return "disabled"
	}
	return "enabled"
}

func (r clientRecord) cells() []string {
	return []string{
		printable(string(r.ClientID)), r.state(), timeText(r.CreatedAt), optionalTime(r.UnusedSince), r.name(),
	}
}

func (r clientRecord) text(w io.Writer) {
	fields(w,
		"client_id", printable(string(r.ClientID)), "name", r.name(), "state", r.state(), "owner", optional(r.UserID), "tenant", optional(r.ReferenceID),
		"first party", yes(r.SkipConsent, "users are not asked for consent"),
		"created", timeText(r.CreatedAt), "updated", timeText(r.UpdatedAt), "unused since", optionalTime(r.UnusedSince),
		"secret", yes(r.HasSecret, "set"),
	)
	for _, s := range r.OlderSecrets {
		fmt.Fprintf(w, "an older secret counts until %s\n", timeText(s.ExpiresAt))
	}
	fmt.Fprintf(w, "registration (RFC 7591):\n%s", encode(r.Registration, "", "  "))
}

var clientAddCommand = command{
	name:    "client add",
	operand: "FILE",
	summary: "register a client by its registration document",
	details: `FILE is a JSON document as in RFC 7591, section 2; - reads standard input. It is judged as a client's own registration is:
RegisterClient says whether its redirect URIs and other metadata fit. A client_id or client_secret in it is taken as it is.

If the client needs a secret and has none in the document or in -secret-file, one is made, and printed this once. The database
keeps its digest alone.`,
	record: change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		id := flags.String("client-id", "", "`name` of the client, whatever the document says; without both one is made")
		secretFile := flags.String("secret-file", "", "read the client's secret from this `file`; - is standard input")
		lifetime := flags.Duration("secret-lifetime", 0, "how `long` the secret counts; 0 is for good")
		user := flags.String("user", "", "`id` of the user who owns the client")
		tenant := flags.String("tenant", "", "`id` of the tenant that owns the client (reference_id)")
		skipConsent := flags.Bool("skip-consent", false, "a first-party client: its users are not asked for consent")
		endSession := flags.Bool("end-session", false, "the client may sign users out (RP-initiated logout)")
		return func(ctx context.Context, c console) error {
			if *lifetime < 0 {
				return usage("client add: -secret-lifetime cannot be negative")
			}
			if flags.Arg(0) == "-" && *secretFile == "-" {
				return usage("client add: the document and the secret cannot both come from standard input")
			}
			if *user != "" && *tenant != "" {
				return usage("client add: a client is owned by -user or by -tenant")
			}
			document, err := readFile(c, flags.Arg(0), registration.MaxSize)
			if err != nil {
				return err
			}
			m, err := registration.Parse(document)
			var amiss *registration.Error
			if errors.As(err, &amiss) {
				return refuse("%s: %s: %w", flags.Arg(0), amiss.Code, err)
			}
			p := m.RegisterClientParams()
			p.ID, p.ClientID, p.Open, p.ClientSecretLifetime = store.NewOAuthClientID(), store.NewClientID(), true, *lifetime
			if *lifetime == 0 {
				p.ClientSecretLifetime = store.Never
			}
			switch {
			case *id != "":
				p.ClientID = store.ClientID(*id)
			case m.ClientID != nil:
				p.ClientID = store.ClientID(*m.ClientID)
			}
			if *user != "" {
				p.UserID = new(store.UserID(*user))
			}
			if *tenant != "" {
				p.ReferenceID = new(store.ReferenceID(*tenant))
			}
			var made string
			method := "client_secret_basic" // RFC 7591, section 2
			if m.TokenEndpointAuthMethod != nil {
				method = *m.TokenEndpointAuthMethod
			}
			p.ClientSecret = m.ClientSecret
			if needs := method == "client_secret_basic" || method == "client_secret_post"; *secretFile != "" || needs && p.ClientSecret == nil {
				if !needs {
					return refuse("%s: a client of token_endpoint_auth_method %s has no secret", flags.Arg(0), method)
				}
				secret, isNew, err := secretFrom(c, *secretFile, token.ClientSecret)
				if err != nil {
					return err
				}
				p.ClientSecret = new(secret.Digest())
				if isNew {
					made = secret.Reveal()
				}
			}
			ch.together = *skipConsent || *endSession
			return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
				row, err := q.RegisterClient(ctx, p)
				if db.IsForeignKeyViolation(err) {
					return change{}, noSuch("user", *user)
				}
				if err != nil {
					return change{}, err
				}
				switch row.Outcome {
				case store.OutcomeRegistered:
				case store.OutcomeTaken:
					return change{}, refuse("the client_id %q is taken", p.ClientID)
				default:
					return change{}, refuse("%s: %s: %s", flags.Arg(0), row.Outcome, judged[row.Outcome])
				}
				if ch.together {
					u := store.UpdateClientParams{ClientID: p.ClientID}
					if *skipConsent {
						u.SkipConsent = skipConsent
					}
					if *endSession {
						u.EnableEndSession = endSession
					}
					if _, err := q.UpdateClient(ctx, u); err != nil {
						return change{}, err
					}
				}
				return change{
					Outcome: row.Outcome, ClientID: p.ClientID, ClientSecret: made, ExpiresAt: optionalUTC(row.ClientSecretExpiresAt),
					Says: "the client is registered",
				}, nil
			})
		}
	},
}

// judged says what is amiss with a registration, by the outcome of RegisterClient.
var judged = map[store.Outcome]string{
	store.OutcomeInvalidRedirectURI:    "a redirect URI has to be https, http at a loopback address, or of a private scheme, without a fragment; there has to be one if a grant type redirects",
	store.OutcomeInvalidClientMetadata: "the metadata contradict each other or lack something: keys for the method, say, or a URL that is none",
}

// clientPages lists the clients of an owner, or all.
func clientPages(ctx context.Context, q *store.Queries, user store.UserID, tenant store.ReferenceID, keep func(store.OAuthClient) bool) func() ([]clientRecord, error) {
	var last store.OAuthClient
	return func() ([]clientRecord, error) {
		for {
			var rows []store.OAuthClient
			var err error
			switch {
			case user != "":
				rows, err = q.ListClientsByUser(ctx, store.ListClientsByUserParams{UserID: user, AfterCreatedAt: last.CreatedAt, AfterID: last.ID, PageSize: pageSize})
			case tenant != "":
				rows, err = q.ListClientsByReference(ctx, store.ListClientsByReferenceParams{ReferenceID: tenant, AfterCreatedAt: last.CreatedAt, AfterID: last.ID, PageSize: pageSize})
			default:
				rows, err = q.ListClients(ctx, store.ListClientsParams{AfterCreatedAt: last.CreatedAt, AfterID: last.ID, PageSize: pageSize})
			}
			if err != nil || len(rows) == 0 {
				return nil, err
			}
			last = rows[len(rows)-1]
			var page []clientRecord
			for _, row := range rows {
				if keep == nil || keep(row) {
					r, err := newClientRecord(row)
					if err != nil {
						return nil, err
					}
					page = append(page, r)
				}
			}
			if len(page) > 0 {
				return page, nil
			}
		}
	}
}

var clientListCommand = command{
	name:    "client list",
	summary: "list the clients, oldest first",
	details: "With more than one condition, those to which all apply.",
	record:  clientRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		user := flags.String("user", "", "those that the user with this `id` owns")
		tenant := flags.String("tenant", "", "those that the tenant with this `id` owns (reference_id)")
		disabled := flags.Bool("disabled", false, "those that are disabled")
		unused := flags.Bool("unused", false, "those that 'gc -unused-clients' or 'client reap' has found unused")
		name := flags.String("name", "", "those whose name contains this `text`, in any case")
		return func(ctx context.Context, c console) error {
			keep := func(row store.OAuthClient) bool {
				return (*user == "" || row.UserID != nil && *row.UserID == store.UserID(*user)) &&
					(*tenant == "" || row.ReferenceID != nil && *row.ReferenceID == store.ReferenceID(*tenant)) &&
					(!*disabled || row.Disabled) && (!*unused || row.UnusedSince != nil) &&
					(*name == "" || row.Name != nil && strings.Contains(strings.ToLower(*row.Name), strings.ToLower(*name)))
			}
			return r.run(ctx, c, func(q *store.Queries) error {
				return list(&r.printer, c.out, "CLIENT_ID STATE CREATED UNUSED_SINCE NAME",
					clientPages(ctx, q, store.UserID(*user), store.ReferenceID(*tenant), keep))
			})
		}
	},
}

var clientShowCommand = command{
	name:    "client show",
	operand: "CLIENT",
	summary: "show a client and its registration",
	record:  clientRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		return func(ctx context.Context, c console) error {
			return r.run(ctx, c, func(q *store.Queries) error {
				row, err := q.GetClient(ctx, store.ClientID(flags.Arg(0)))
				if db.IsNotFound(err) {
					return noSuch("client", flags.Arg(0))
				}
				if err != nil {
					return err
				}
				found, err := newClientRecord(row)
				if err != nil {
					return err
				}
				secrets, err := q.ListClientSecrets(ctx, row.ClientID)
				if err != nil {
					return err
				}
				for _, s := range secrets {
					found.OlderSecrets = append(found.OlderSecrets, secretRecord{utc(s.ExpiresAt)})
				}
				r.print(c.out, found)
				return nil
			})
		}
	},
}

var clientRotateSecretCommand = command{
	name:    "client rotate-secret",
	operand: "CLIENT",
	summary: "give a client a new secret",
	details: `The new secret is printed this once, unless it came from -secret-file. The one that it replaces is refused at once, or counts
for the -overlap; one that was replaced earlier counts for as long as it was promised to. If a secret has leaked, leave -overlap out.`,
	record: change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		secretFile := flags.String("secret-file", "", "read the new secret from this `file`; - is standard input")
		overlap := flags.Duration("overlap", 0, "how `long` the replaced secret still counts")
		lifetime := flags.Duration("secret-lifetime", 0, "how `long` the new secret counts; 0 is for good")
		return func(ctx context.Context, c console) error {
			if *overlap < 0 || *lifetime < 0 {
				return usage("client rotate-secret: a duration cannot be negative")
			}
			secret, isNew, err := secretFrom(c, *secretFile, token.ClientSecret)
			if err != nil {
				return err
			}
			p := store.RotateClientSecretParams{
				ClientID: store.ClientID(flags.Arg(0)), ClientSecret: secret.Digest(), Overlap: *overlap, Lifetime: *lifetime,
			}
			if p.Lifetime == 0 {
				p.Lifetime = store.Never
			}
			return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
				outcome, err := q.RotateClientSecret(ctx, p)
				if err != nil {
					return change{}, err
				}
				done := change{Outcome: outcome, ClientID: p.ClientID}
				switch outcome {
				case store.OutcomeRotated:
					done.Says = "the secret is replaced; the old one is refused from now on"
					if *overlap > 0 {
						done.Says = fmt.Sprintf("the secret is replaced; the old one counts for another %s at most", *overlap)
					}
					if isNew {
						done.ClientSecret = secret.Reveal()
					}
				case store.OutcomeRetried:
					done.Says = "the client has this secret already"
				default:
					return change{}, noSuch("client", flags.Arg(0))
				}
				return done, nil
			})
		}
	},
}

// clientChange is a command that makes one call about a client.
func clientChange(name, summary, details, says string, call func(*store.Queries, context.Context, store.ClientID) (store.Outcome, error), refused string) command {
	return command{
		name: name, operand: "CLIENT", summary: summary, details: details, record: change{},
		prepare: func(flags *flag.FlagSet) action {
			var ch changing
			ch.register(flags)
			return func(ctx context.Context, c console) error {
				id := store.ClientID(flags.Arg(0))
				return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
					outcome, err := call(q, ctx, id)
					switch {
					case err != nil:
						return change{}, err
					case outcome == store.OutcomeUnknown:
						return change{}, noSuch("client", flags.Arg(0))
					case outcome == store.OutcomeDisabled:
						return change{}, refuse("%s", refused)
					}
					return change{Outcome: outcome, ClientID: id, Says: says}, nil
				})
			}
		},
	}
}

var clientDisableCommand = clientChange("client disable", "stop a client, until it is enabled again",
	`The client is issued nothing, and none of its tokens is live. 'client enable' brings back those that have not expired; if they are
to be dead for good, call 'client revoke' too.`,
	"the client is disabled, and none of its tokens is live", (*store.Queries).DisableClient, "")

var clientEnableCommand = clientChange("client enable", "enable a client that was disabled",
	"Its tokens are live again, unless they have expired or been ended.",
	"the client is enabled", (*store.Queries).EnableClient, "the user who owns the client is deleted; the client stays disabled")

var clientRevokeCommand = clientChange("client revoke", "end all that was granted to a client, for good",
	"It takes one row, however many tokens there are. The client goes on: users can grant anew.",
	"all grants to the client and its own tokens are dead", (*store.Queries).RevokeClientAuthorizations, "")

var clientDeleteCommand = clientChange("client delete", "delete a client and all that was granted to it",
	"Its secrets and personal data are blanked. The collector erases the rest; after that the client_id can be used again.",
	"the client is deleted, and all that was granted to it is dead", (*store.Queries).DeleteClient, "")

var clientReapCommand = command{
	name:    "client reap",
	summary: "delete clients that nobody has used for long",
	details: `A client is deleted once two looks, -unused-for apart, and those between them have found nothing that it was granted. The
first run so deletes nothing: 'client list -unused' shows what it has found. Looks have to come more often than the retention,
or the time begins anew; 'gc -every 1m -unused-clients 2160h' looks with each pass.

Clients that were not registered dynamically are looked at with -any only. Those with the grant type client_credentials or token
exchange never are.`,
	record: change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		unused := flags.Duration("unused-for", 0, "for how `long` nobody has used the client")
		retention := flags.Duration("retention", db.DefaultRetention, "how `long` the collector keeps evidence")
		anyClient := flags.Bool("any", false, "also those that were not registered dynamically")
		return func(ctx context.Context, c console) error {
			if *unused <= 0 || *retention <= 0 {
				return usage("client reap: -unused-for and -retention have to be above 0")
			}
			return ch.withPool(ctx, c, func(pool *pgxpool.Pool) error {
				p := store.MarkUnusedClientsParams{UnusedFor: *unused, Retention: *retention, AnyClient: *anyClient, PageSize: pageSize}
				var deleted int64
				for more := true; more; { // a page a statement, so that no lock is held for long
					if err := ch.call(ctx, pool, func(q *store.Queries) error {
						row, err := q.MarkUnusedClients(ctx, p)
						if more = row.LastID != nil; more {
							p.AfterID = *row.LastID
							deleted += row.Deleted
						}
						return err
					}); err != nil {
						return err
					}
				}
				ch.report(c, change{
					Outcome: store.OutcomeDeleted, Clients: &deleted, Says: plural(int(deleted), "client is deleted", "clients are deleted"),
				})
				return nil
			})
		}
	},
}

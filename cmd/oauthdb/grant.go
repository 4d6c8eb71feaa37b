package main

import (
	"context"
	"flag"
	"io"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

var grantCommands = []command{grantListCommand, grantShowCommand, grantRevokeCommand}

// grantRecord is an authorization as commands print it: no digest of a code, no state or nonce of a request.
type grantRecord struct {
	AuthorizationID store.AuthorizationID     `json:"authorization_id"`
	ClientID        store.ClientID            `json:"client_id"`
	UserID          *store.UserID             `json:"user_id"`
	SessionID       *store.SessionID          `json:"session_id"`
	ReferenceID     *store.ReferenceID        `json:"reference_id"`
	Kind            store.AuthorizationKind   `json:"kind"`
	Status          store.AuthorizationStatus `json:"status"`
	Bound           bool                      `json:"bound"` // ends with its session
	Scopes          []string                  `json:"scopes"`
	Resources       []string                  `json:"resources"`
	CreatedAt       time.Time                 `json:"created_at"`
	DecidedAt       *time.Time                `json:"decided_at"`
	RedeemedAt      *time.Time                `json:"redeemed_at"`
	MaxExpiresAt    *time.Time                `json:"max_expires_at"`
	RevokedAt       *time.Time                `json:"revoked_at"`
	RevokedReason   *store.RevocationReason   `json:"revoked_reason"`
}

func newGrantRecord(a store.OAuthAuthorization) grantRecord {
	return grantRecord{
		AuthorizationID: a.ID, ClientID: a.ClientID, UserID: a.UserID, SessionID: a.SessionID, ReferenceID: a.ReferenceID, Kind: a.Kind,
		Status: a.Status, Bound: a.Bound, Scopes: a.GrantedScopes, Resources: a.Resources, CreatedAt: utc(a.CreatedAt),
		DecidedAt: optionalUTC(a.DecidedAt), RedeemedAt: optionalUTC(a.RedeemedAt), MaxExpiresAt: optionalUTC(a.MaxExpiresAt),
		RevokedAt: optionalUTC(a.RevokedAt), RevokedReason: a.RevokedReason,
	}
}

func (r grantRecord) cells() []string {
	return []string{
		printable(string(r.AuthorizationID)), printable(string(r.ClientID)), optional(r.UserID), string(r.Kind), timeText(r.CreatedAt),
		printable(strings.Join(r.Scopes, " ")),
	}
}

func (r grantRecord) text(w io.Writer) {
	fields(w,
		"authorization_id", printable(string(r.AuthorizationID)), "client_id", printable(string(r.ClientID)), "user_id", optional(r.UserID),
		"session_id", optional(r.SessionID), "tenant", optional(r.ReferenceID), "kind", string(r.Kind), "status", string(r.Status),
		"bound", yes(r.Bound, "ends with its session"), "scopes", printable(strings.Join(r.Scopes, " ")),
		"resources", printable(strings.Join(r.Resources, " ")), "created", timeText(r.CreatedAt), "decided", optionalTime(r.DecidedAt),
		"redeemed", optionalTime(r.RedeemedAt), "expires at last", optionalTime(r.MaxExpiresAt), "revoked", optionalTime(r.RevokedAt),
		"reason", optional(r.RevokedReason),
	)
}

// grantPages lists what is in force of a user's grants.
func grantPages(ctx context.Context, q *store.Queries, user store.UserID) func() ([]grantRecord, error) {
	var last store.OAuthAuthorization
	return func() (page []grantRecord, err error) {
		rows, err := q.ListUserAuthorizations(ctx, store.ListUserAuthorizationsParams{
			UserID: user, AfterCreatedAt: last.CreatedAt, AfterID: last.ID, PageSize: pageSize,
		})
		for _, row := range rows {
			page, last = append(page, newGrantRecord(row)), row
		}
		return page, err
	}
}

var grantListCommand = command{
	name:    "grant list",
	summary: "list what is in force of what a user or a client was granted",
	details: "In force is what is live and has a code or token that has not expired. Oldest first.",
	record:  grantRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		user := flags.String("user", "", "what this `user` has granted, by id or e-mail address")
		client := flags.String("client", "", "what was granted to the client with this `id`")
		return func(ctx context.Context, c console) error {
			if *user == "" && *client == "" {
				return usage("grant list: pass -user, -client or both")
			}
			return r.run(ctx, c, func(q *store.Queries) error {
				const heading = "AUTHORIZATION_ID CLIENT_ID USER_ID KIND CREATED SCOPES"
				if *user == "" {
					if _, err := q.GetClient(ctx, store.ClientID(*client)); db.IsNotFound(err) {
						return noSuch("client", *client)
					} else if err != nil {
						return err
					}
					var last store.OAuthAuthorization
					return list(&r.printer, c.out, heading, func() (page []grantRecord, err error) {
						rows, err := q.ListClientAuthorizations(ctx, store.ListClientAuthorizationsParams{
							ClientID: store.ClientID(*client), AfterCreatedAt: last.CreatedAt, AfterID: last.ID, PageSize: pageSize,
						})
						for _, row := range rows {
							page, last = append(page, newGrantRecord(row)), row
						}
						return page, err
					})
				}
				u, err := findUser(ctx, q, *user)
				if err != nil {
					return err
				}
				next := grantPages(ctx, q, u.ID)
				return list(&r.printer, c.out, heading, func() (page []grantRecord, err error) {
					for len(page) == 0 {
						rows, err := next()
						if err != nil || len(rows) == 0 {
							return nil, err
						}
						for _, row := range rows {
							if *client == "" || row.ClientID == store.ClientID(*client) {
								page = append(page, row)
							}
						}
					}
					return page, nil
				})
			})
		}
	},
}

var grantShowCommand = command{
	name:    "grant show",
	operand: "AUTHORIZATION",
	summary: "show one authorization, in force or not",
	details: "AUTHORIZATION is its id. Events and introspection name it.",
	record:  grantRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		return func(ctx context.Context, c console) error {
			return r.run(ctx, c, func(q *store.Queries) error {
				row, err := q.GetAuthorization(ctx, store.AuthorizationID(flags.Arg(0)))
				if db.IsNotFound(err) {
					return noSuch("authorization", flags.Arg(0))
				}
				if err != nil {
					return err
				}
				r.print(c.out, newGrantRecord(row))
				return nil
			})
		}
	},
}

var grantRevokeCommand = command{
	name:    "grant revoke",
	operand: "AUTHORIZATION",
	summary: "end one authorization and all its tokens",
	details: "AUTHORIZATION is its id. 'user revoke' and 'client revoke' end all of a user or a client.",
	record:  change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		return func(ctx context.Context, c console) error {
			id := store.AuthorizationID(flags.Arg(0))
			return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
				row, err := q.RevokeAuthorization(ctx, id)
				done := change{Outcome: row.Outcome, AuthorizationID: id, Says: "the authorization has ended, and all its tokens are dead"}
				switch {
				case err != nil:
					return done, err
				case row.Outcome == store.OutcomeUnknown:
					return done, noSuch("authorization", flags.Arg(0))
				case row.Outcome == store.OutcomeRevoked:
					done.Says = "the authorization had ended before"
				}
				if row.UserID != nil {
					done.UserID = *row.UserID
				}
				if row.ClientID != nil {
					done.ClientID = *row.ClientID
				}
				return done, nil
			})
		}
	},
}

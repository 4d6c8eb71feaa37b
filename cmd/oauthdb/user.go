package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

var userCommands = []command{
	userListCommand, userShowCommand, userSuspendCommand, userReinstateCommand, userSignOutCommand, userRevokeCommand, userDeleteCommand,
}

// userRecord is a user as commands print it.
type userRecord struct {
	UserID        store.UserID       `json:"user_id"`
	CreatedAt     time.Time          `json:"created_at"`
	UpdatedAt     time.Time          `json:"updated_at"`
	Name          string             `json:"name"`
	Email         *string            `json:"email"`
	EmailVerified bool               `json:"email_verified"`
	SuspendedAt   *time.Time         `json:"suspended_at"`
	Sessions      []sessionRecord    `json:"sessions,omitempty"`    // of 'user show': the live ones
	Connections   []connectionRecord `json:"connections,omitempty"` // of 'user show'
}

// connectionRecord is what is live of a user's grants to a client, in a tenant.
type connectionRecord struct {
	ClientID       store.ClientID     `json:"client_id"`
	ClientName     *string            `json:"client_name"`
	ReferenceID    *store.ReferenceID `json:"reference_id"`
	Authorizations int64              `json:"authorizations"`
	Scopes         []string           `json:"scopes"`
	FirstUsedAt    time.Time          `json:"first_used_at"`
	LastUsedAt     time.Time          `json:"last_used_at"`
}

func newUserRecord(u store.User) userRecord {
	return userRecord{
		UserID: u.ID, CreatedAt: utc(u.CreatedAt), UpdatedAt: utc(u.UpdatedAt), Name: u.Name, Email: u.Email, EmailVerified: u.EmailVerified,
		SuspendedAt: optionalUTC(u.SuspendedAt),
	}
}

func (r userRecord) state() string {
	if r.SuspendedAt != nil {
		return "suspended"
	}
	return "active"
}

func (r userRecord) cells() []string {
	return []string{printable(string(r.UserID)), r.state(), timeText(r.CreatedAt), optional(r.Email), printable(r.Name)}
}

func (r userRecord) text(w io.Writer) {
	email := optional(r.Email)
	if email != "" && !r.EmailVerified {
		email += " (not verified)"
	}
	fields(w,
		"user_id", printable(string(r.UserID)), "name", printable(r.Name), "email", email, "state", r.state(), "suspended", optionalTime(r.SuspendedAt),
		"created", timeText(r.CreatedAt), "updated", timeText(r.UpdatedAt),
	)
	fmt.Fprintf(w, "%s:\n", plural(len(r.Sessions), "live session", "live sessions"))
	for _, s := range r.Sessions {
		fmt.Fprintf(w, "  %s\n", strings.Join(strings.Fields(strings.Join(s.cells(), " ")), " "))
	}
	fmt.Fprintf(w, "%s:\n", plural(len(r.Connections), "connected client", "connected clients"))
	for _, g := range r.Connections {
		in := ""
		if g.ReferenceID != nil {
			in = " in " + optional(g.ReferenceID)
		}
		fmt.Fprintf(w, "  %s%s: %s, last used %s, %s\n", printable(string(g.ClientID)), in,
			plural(int(g.Authorizations), "grant", "grants"), timeText(g.LastUsedAt), printable(strings.Join(g.Scopes, " ")))
	}
}

// findUser finds a user by the id or, if nobody has that, by the e-mail address.
func findUser(ctx context.Context, q *store.Queries, name string) (store.User, error) {
	u, err := q.GetUser(ctx, store.UserID(name))
	if db.IsNotFound(err) {
		u, err = q.FindUserByEmail(ctx, name)
	}
	if db.IsNotFound(err) {
		return u, noSuch("user", name)
	}
	return u, err
}

var userListCommand = command{
	name:    "user list",
	summary: "list the users, oldest first",
	record:  userRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		suspended := flags.Bool("suspended", false, "those that are suspended")
		return func(ctx context.Context, c console) error {
			return r.run(ctx, c, func(q *store.Queries) error {
				var last store.User
				return list(&r.printer, c.out, "USER_ID STATE CREATED EMAIL NAME", func() (page []userRecord, err error) {
					for len(page) == 0 {
						rows, err := q.ListUsers(ctx, store.ListUsersParams{AfterCreatedAt: last.CreatedAt, AfterID: last.ID, PageSize: pageSize})
						if err != nil || len(rows) == 0 {
							return nil, err
						}
						last = rows[len(rows)-1]
						for _, row := range rows {
							if !*suspended || row.SuspendedAt != nil {
								page = append(page, newUserRecord(row))
							}
						}
					}
					return page, nil
				})
			})
		}
	},
}

const userOperand = "USER is an id or an e-mail address."

var userShowCommand = command{
	name:    "user show",
	operand: "USER",
	summary: "show a user, with live sessions and connected clients",
	details: userOperand,
	record:  userRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		return func(ctx context.Context, c console) error {
			return r.run(ctx, c, func(q *store.Queries) error {
				u, err := findUser(ctx, q, flags.Arg(0))
				if err != nil {
					return err
				}
				found := newUserRecord(u)
				if err := each(sessionPages(ctx, q, u.ID), func(s sessionRecord) { found.Sessions = append(found.Sessions, s) }); err != nil {
					return err
				}
				if err := each(connectionPages(ctx, q, u.ID), func(g connectionRecord) { found.Connections = append(found.Connections, g) }); err != nil {
					return err
				}
				r.print(c.out, found)
				return nil
			})
		}
	},
}

// each hands on the rows of all pages.
func each[R any](next func() ([]R, error), do func(R)) error {
	for {
		rows, err := next()
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			do(r)
		}
	}
}

func connectionPages(ctx context.Context, q *store.Queries, user store.UserID) func() ([]connectionRecord, error) {
	p := store.ListUserConnectionsParams{UserID: user, PageSize: pageSize}
	return func() (page []connectionRecord, err error) {
		rows, err := q.ListUserConnections(ctx, p)
		for _, row := range rows {
			page = append(page, connectionRecord{
				ClientID: row.ClientID, ClientName: row.ClientName, ReferenceID: row.ReferenceID, Authorizations: row.Authorizations,
				Scopes: row.Scopes, FirstUsedAt: utc(row.FirstUsedAt), LastUsedAt: utc(row.LastUsedAt),
			})
			p.AfterClientID, p.AfterReferenceID = row.ClientID, row.ReferenceID
		}
		return page, err
	}
}

// userChange is a command that makes one call about a user. With sessions, the call says how many it has ended.
func userChange(name, summary, details string, call func(context.Context, *store.Queries, store.UserID) (change, error)) command {
	return command{
		name: name, operand: "USER", summary: summary, details: strings.TrimSpace(details + "\n\n" + userOperand), record: change{},
		prepare: func(flags *flag.FlagSet) action {
			var ch changing
			ch.register(flags)
			return func(ctx context.Context, c console) error { return ch.user(ctx, c, flags.Arg(0), call) }
		},
	}
}

// user makes a call about the user of a name.
func (ch *changing) user(ctx context.Context, c console, name string, call func(context.Context, *store.Queries, store.UserID) (change, error)) error {
	return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
		u, err := findUser(ctx, q, name)
		if err != nil {
			return change{}, err
		}
		done, err := call(ctx, q, u.ID)
		if err == nil && done.Outcome == store.OutcomeUnknown {
			err = noSuch("user", name)
		}
		done.UserID = u.ID
		return done, err
	})
}

func sessionsText(n int64) string { return plural(int(n), "session has ended", "sessions have ended") }

var userSuspendCommand = userChange("user suspend", "suspend a user: all sessions and grants end, and nothing new is granted",
	"What has ended stays so; 'user reinstate' lets the user sign in again.",
	func(ctx context.Context, q *store.Queries, id store.UserID) (change, error) {
		row, err := q.SuspendUser(ctx, id)
		says := "the user is suspended: " + sessionsText(row.Sessions) + ", and all grants"
		if row.Outcome == store.OutcomeRevoked {
			says = "the user had been suspended before"
		}
		return change{Outcome: row.Outcome, Sessions: &row.Sessions, Says: says}, err
	})

var userReinstateCommand = userChange("user reinstate", "lift the suspension of a user", "",
	func(ctx context.Context, q *store.Queries, id store.UserID) (change, error) {
		outcome, err := q.ReinstateUser(ctx, id)
		says := "the user may sign in again"
		if outcome == store.OutcomeRetried {
			says = "the user is not suspended"
		}
		return change{Outcome: outcome, Says: says}, err
	})

var userSignOutCommand = command{
	name:    "user sign-out",
	operand: "USER",
	summary: "end all sessions of a user",
	details: `What was granted in them without offline_access is dead with them; 'user revoke' ends the rest. Clients that registered a
backchannel_logout_uri are told by the server's logout worker.

` + userOperand,
	record: change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		keep := flags.String("keep", "", "`id` of a session that goes on")
		return func(ctx context.Context, c console) error {
			return ch.user(ctx, c, flags.Arg(0), func(ctx context.Context, q *store.Queries, id store.UserID) (change, error) {
				p := store.EndUserSessionsParams{UserID: id}
				if *keep != "" {
					p.Keep = new(store.SessionID(*keep))
				}
				row, err := q.EndUserSessions(ctx, p)
				return change{Outcome: row.Outcome, Sessions: &row.Sessions, Says: sessionsText(row.Sessions)}, err
			})
		}
	},
}

var userRevokeCommand = command{
	name:    "user revoke",
	operand: "USER",
	summary: "end what a user has granted, to all clients or to one",
	details: "Sessions go on: 'user sign-out' ends those. Consents to what has ended don't count any more.\n\n" + userOperand,
	record:  change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		client := flags.String("client", "", "only what was granted to the client with this `id`")
		return func(ctx context.Context, c console) error {
			return ch.user(ctx, c, flags.Arg(0), func(ctx context.Context, q *store.Queries, id store.UserID) (change, error) {
				if *client == "" {
					outcome, err := q.RevokeUserAuthorizations(ctx, id)
					return change{Outcome: outcome, Says: "all that the user has granted is dead"}, err
				}
				outcome, err := q.RevokeUserAuthorizationsByClient(ctx, store.RevokeUserAuthorizationsByClientParams{UserID: id, ClientID: store.ClientID(*client)})
				return change{Outcome: outcome, ClientID: store.ClientID(*client), Says: "all that the user has granted to the client is dead"}, err
			})
		}
	},
}

var userDeleteCommand = userChange("user delete", "delete a user: all sessions and grants end, and personal data is blanked",
	`Clients that the user owns are disabled. There is no way back. The collector erases the rest, and security events by their age.`,
	func(ctx context.Context, q *store.Queries, id store.UserID) (change, error) {
		row, err := q.DeleteUser(ctx, id)
		return change{Outcome: row.Outcome, Sessions: &row.Sessions, Says: "the user is deleted: " + sessionsText(row.Sessions) + ", and all grants"}, err
	})

var sessionCommands = []command{sessionListCommand, sessionShowCommand, sessionEndCommand}

// sessionRecord is a session as commands print it, without the digest of its cookie.
type sessionRecord struct {
	SessionID  store.SessionID `json:"session_id"`
	UserID     store.UserID    `json:"user_id"`
	CreatedAt  time.Time       `json:"created_at"`
	ExpiresAt  time.Time       `json:"expires_at"`
	LastSeenAt *time.Time      `json:"last_seen_at"`
	EndedAt    *time.Time      `json:"ended_at"`
	AuthTime   *time.Time      `json:"auth_time"`
	ACR        *string         `json:"acr"`
	AMR        []string        `json:"amr"`
	IPAddress  *string         `json:"ip_address"`
	UserAgent  *string         `json:"user_agent"`
	Label      *string         `json:"label"`
}

func newSessionRecord(s store.Session) sessionRecord {
	return sessionRecord{
		SessionID: s.ID, UserID: s.UserID, CreatedAt: utc(s.CreatedAt), ExpiresAt: utc(s.ExpiresAt), LastSeenAt: optionalUTC(s.LastSeenAt),
		EndedAt: optionalUTC(s.EndedAt), AuthTime: optionalUTC(s.AuthTime), ACR: s.ACR, AMR: s.AMR, IPAddress: s.IPAddress,
		UserAgent: s.UserAgent, Label: s.Label,
	}
}

func (r sessionRecord) cells() []string {
	return []string{
		printable(string(r.SessionID)), timeText(r.CreatedAt), timeText(r.ExpiresAt), optional(r.IPAddress), optional(r.UserAgent),
	}
}

func (r sessionRecord) text(w io.Writer) {
	fields(w,
		"session_id", printable(string(r.SessionID)), "user_id", printable(string(r.UserID)), "created", timeText(r.CreatedAt),
		"expires", timeText(r.ExpiresAt), "ended", optionalTime(r.EndedAt), "last seen", optionalTime(r.LastSeenAt),
		"authenticated", optionalTime(r.AuthTime), "acr", optional(r.ACR), "amr", printable(strings.Join(r.AMR, " ")),
		"address", optional(r.IPAddress), "browser", optional(r.UserAgent), "label", optional(r.Label),
	)
}

func sessionPages(ctx context.Context, q *store.Queries, user store.UserID) func() ([]sessionRecord, error) {
	var last store.Session
	return func() (page []sessionRecord, err error) {
		rows, err := q.ListUserSessions(ctx, store.ListUserSessionsParams{UserID: user, AfterCreatedAt: last.CreatedAt, AfterID: last.ID, PageSize: pageSize})
		for _, row := range rows {
			page, last = append(page, newSessionRecord(row)), row
		}
		return page, err
	}
}

var sessionListCommand = command{
	name:    "session list",
	operand: "USER",
	summary: "list the live sessions of a user, oldest first",
	details: userOperand,
	record:  sessionRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		return func(ctx context.Context, c console) error {
			return r.run(ctx, c, func(q *store.Queries) error {
				u, err := findUser(ctx, q, flags.Arg(0))
				if err != nil {
					return err
				}
				return list(&r.printer, c.out, "SESSION_ID CREATED EXPIRES ADDRESS BROWSER", sessionPages(ctx, q, u.ID))
			})
		}
	},
}

var sessionShowCommand = command{
	name:    "session show",
	operand: "[SESSION]",
	summary: "show a session, by its id or its cookie",
	details: `With -cookie, the session has to be live. Where the collector hasn't passed yet, 'session show' by id also shows one that is not,
and an ending of all sessions of the user may leave no mark in it: 'session list' lists what is live.`,
	record: sessionRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		cookie := flags.String("cookie", "", "read the session's cookie from this `file`; - is standard input")
		return func(ctx context.Context, c console) error {
			if (*cookie == "") == (flags.NArg() == 0) {
				return usage("session show: name a session or pass -cookie")
			}
			var digest token.Digest
			if *cookie != "" {
				raw, _, err := secretFrom(c, *cookie, token.SessionToken)
				if err != nil {
					return err
				}
				digest = raw.Digest()
			}
			return r.run(ctx, c, func(q *store.Queries) error {
				var s store.Session
				var err error
				if *cookie != "" {
					var row store.FindSessionByTokenRow
					row, err = q.FindSessionByToken(ctx, digest)
					s = row.Session
				} else {
					s, err = q.GetSession(ctx, store.SessionID(flags.Arg(0)))
				}
				switch {
				case db.IsNotFound(err) && *cookie != "":
					return notFound("no live session has this cookie")
				case db.IsNotFound(err):
					return noSuch("session", flags.Arg(0))
				case err != nil:
					return err
				}
				r.print(c.out, newSessionRecord(s))
				return nil
			})
		}
	},
}

var sessionEndCommand = command{
	name:    "session end",
	operand: "SESSION",
	summary: "sign a user out of one session",
	details: "What was granted in it without offline_access is dead with it.",
	record:  change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		return func(ctx context.Context, c console) error {
			id := store.SessionID(flags.Arg(0))
			return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
				row, err := q.EndSession(ctx, id)
				done := change{Outcome: row.Outcome, SessionID: id, Says: "the session has ended"}
				switch {
				case err != nil:
					return done, err
				case row.Outcome == store.OutcomeUnknown:
					return done, noSuch("session", flags.Arg(0))
				case row.Outcome == store.OutcomeRevoked:
					done.Says = "the session had ended before"
				}
				if row.UserID != nil {
					done.UserID = *row.UserID
				}
				return done, nil
			})
		}
	},
}

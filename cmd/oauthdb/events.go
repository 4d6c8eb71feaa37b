package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

var eventsCommand = command{
	name:    "events",
	summary: "list security events: reuse, mismatches and endings",
	details: `Calls write events if the setting oauthdb.events is on: ALTER DATABASE … SET oauthdb.events = 'on'. They are printed in the order in
which they were written. An event appears when its transaction commits, so one with a lower id may still appear after one with a
higher id: a program that goes on with -after begins some minutes back, and ignores what it knows.`,
	record: eventRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		user := flags.String("user", "", "those about the user with this `id`, who may be deleted")
		client := flags.String("client", "", "those about the client with this `id`, which may be deleted")
		after := flags.Int64("after", 0, "those with an id above this `id`")
		since := flags.Duration("since", 0, "those that were written at most this `long` ago")
		return func(ctx context.Context, c console) error {
			if *user != "" && *client != "" {
				return usage("events: -user and -client exclude each other")
			}
			if *since < 0 || *after < 0 {
				return usage("events: -since and -after cannot be negative")
			}
			return r.run(ctx, c, func(q *store.Queries) error {
				return list(&r.printer, c.out, "ID TIME CALL OUTCOME REASON USER_ID CLIENT_ID ADDRESS",
					eventPages(ctx, q, store.UserID(*user), store.ClientID(*client), *after, *since))
			})
		}
	},
}

// eventRecord is a security event.
type eventRecord struct {
	ID              int64                  `json:"id"`
	CreatedAt       time.Time              `json:"created_at"`
	Call            string                 `json:"call"`
	Outcome         store.Outcome          `json:"outcome"`
	Reason          *string                `json:"reason"`
	UserID          *store.UserID          `json:"user_id"`
	ClientID        *store.ClientID        `json:"client_id"`
	SessionID       *store.SessionID       `json:"session_id"`
	AuthorizationID *store.AuthorizationID `json:"authorization_id"`
	ItemID          *string                `json:"item_id"`
	IPAddress       *string                `json:"ip_address"`
}

func (r eventRecord) cells() []string {
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	return []string{
		fmt.Sprint(r.ID), timeText(r.CreatedAt), printable(r.Call), string(r.Outcome), dash(optional(r.Reason)), dash(optional(r.UserID)),
		dash(optional(r.ClientID)), optional(r.IPAddress),
	}
}

// eventPages lists the events of a user, of a client, or all. The clock of since is this machine's.
func eventPages(ctx context.Context, q *store.Queries, user store.UserID, client store.ClientID, after int64, since time.Duration) func() ([]eventRecord, error) {
	begin := time.Now().Add(-since)
	return func() (page []eventRecord, err error) {
		for len(page) == 0 {
			var rows []store.SecurityEvent
			switch {
			case user != "":
				rows, err = q.ListUserSecurityEvents(ctx, store.ListUserSecurityEventsParams{UserID: user, AfterID: after, PageSize: pageSize})
			case client != "":
				rows, err = q.ListClientSecurityEvents(ctx, store.ListClientSecurityEventsParams{ClientID: client, AfterID: after, PageSize: pageSize})
			default:
				rows, err = q.ListSecurityEvents(ctx, store.ListSecurityEventsParams{AfterID: after, PageSize: pageSize})
			}
			if err != nil || len(rows) == 0 {
				return nil, err
			}
			after = rows[len(rows)-1].ID
			for _, e := range rows {
				if since == 0 || e.CreatedAt.After(begin) {
					page = append(page, eventRecord{
						ID: e.ID, CreatedAt: utc(e.CreatedAt), Call: e.Call, Outcome: e.Outcome, Reason: e.Reason, UserID: e.UserID, ClientID: e.ClientID,
						SessionID: e.SessionID, AuthorizationID: e.AuthorizationID, ItemID: e.ItemID, IPAddress: e.IPAddress,
					})
				}
			}
		}
		return page, nil
	}
}

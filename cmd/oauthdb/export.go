package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

// exportRecord is what is known of a user, without what authenticates: no digest, hash, secret or token.
type exportRecord struct {
	ExportedAt     time.Time            `json:"exported_at"`
	User           userRecord           `json:"user"`
	Image          *string              `json:"image"`
	Accounts       []accountRecord      `json:"accounts"`
	Passkeys       []passkeyRecord      `json:"passkeys"`
	Apps           []appRecord          `json:"authenticator_apps"`
	RecoveryCodes  []recoveryCodeRecord `json:"recovery_codes"`
	Sessions       []sessionRecord      `json:"sessions"`
	Consents       []consentRecord      `json:"consents"`
	Connections    []connectionRecord   `json:"connections"`
	Authorizations []grantRecord        `json:"authorizations"`
	Clients        []clientRecord       `json:"clients"` // that the user owns
	SecurityEvents []eventRecord        `json:"security_events"`
}

func (r exportRecord) text(w io.Writer) { w.Write(encode(r, "  ")) }

type accountRecord struct {
	ProviderID  string    `json:"provider_id"`
	AccountID   string    `json:"account_id"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	Scope       *string   `json:"scope"`
	HasPassword bool      `json:"has_password"`
}

type passkeyRecord struct {
	Name       *string    `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	AAGUID     *string    `json:"aaguid"`
	Transports []string   `json:"transports"`
	BackedUp   bool       `json:"backed_up"`
}

type appRecord struct {
	Name       *string    `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

type recoveryCodeRecord struct {
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"used_at"`
}

type consentRecord struct {
	ClientID             store.ClientID     `json:"client_id"`
	ClientName           *string            `json:"client_name"`
	ReferenceID          *store.ReferenceID `json:"reference_id"`
	Scopes               []string           `json:"scopes"`
	ResourceScopes       json.RawMessage    `json:"resource_scopes"`
	AuthorizationDetails json.RawMessage    `json:"authorization_details"`
	CreatedAt            time.Time          `json:"created_at"`
	UpdatedAt            time.Time          `json:"updated_at"`
}

var exportCommand = command{
	name:    "export",
	operand: "USER",
	summary: "print what is known of a user, as the GDPR gives everybody the right to",
	details: `One JSON object, of one moment. It has no credential in any form: no hash of a password, no digest, no secret of an app, no token.
It also has nothing that is over and only waits for the collector, such as sessions that have expired; 'gc' deletes that. Pairwise subjects
are left out. What the application keeps of the user is for the application to add.

` + userOperand,
	record: exportRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		return func(ctx context.Context, c console) error {
			return r.withPool(ctx, c, func(pool *pgxpool.Pool) error {
				var found exportRecord
				// what calls answer one after the other is of one moment
				snapshot := db.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
				err := db.InTx(ctx, pool, snapshot, func(tx pgx.Tx) (err error) {
					found, err = export(ctx, store.New(tx), flags.Arg(0))
					return err
				})
				if err != nil {
					return err
				}
				r.print(c.out, found)
				return nil
			})
		}
	},
}

func export(ctx context.Context, q *store.Queries, name string) (exportRecord, error) {
	found := exportRecord{
		ExportedAt: time.Now().UTC(), Accounts: []accountRecord{}, Passkeys: []passkeyRecord{}, Apps: []appRecord{}, RecoveryCodes: []recoveryCodeRecord{},
		Sessions: []sessionRecord{}, Consents: []consentRecord{}, Connections: []connectionRecord{}, Authorizations: []grantRecord{},
		Clients: []clientRecord{}, SecurityEvents: []eventRecord{},
	}
	u, err := findUser(ctx, q, name)
	if err != nil {
		return found, err
	}
	found.User, found.Image = newUserRecord(u), u.Image

	accounts, err := q.ListUserAccounts(ctx, u.ID)
	if err != nil {
		return found, fmt.Errorf("accounts: %w", err)
	}
	for _, a := range accounts {
		found.Accounts = append(found.Accounts, accountRecord{
			ProviderID: a.ProviderID, AccountID: a.AccountID, CreatedAt: utc(a.CreatedAt), UpdatedAt: utc(a.UpdatedAt), Scope: a.Scope, HasPassword: a.Password != nil,
		})
	}
	passkeys, err := q.ListUserPasskeys(ctx, u.ID)
	if err != nil {
		return found, fmt.Errorf("passkeys: %w", err)
	}
	for _, p := range passkeys {
		found.Passkeys = append(found.Passkeys, passkeyRecord{
			Name: p.Name, CreatedAt: utc(p.CreatedAt), LastUsedAt: optionalUTC(p.LastUsedAt), AAGUID: p.AAGUID, Transports: p.Transports, BackedUp: p.BackedUp,
		})
	}
	apps, err := q.ListUserTOTPs(ctx, u.ID)
	if err != nil {
		return found, fmt.Errorf("authenticator apps: %w", err)
	}
	for _, a := range apps {
		found.Apps = append(found.Apps, appRecord{Name: a.Name, CreatedAt: utc(a.CreatedAt), LastUsedAt: optionalUTC(a.LastUsedAt)})
	}
	codes, err := q.ListUserRecoveryCodes(ctx, u.ID)
	if err != nil {
		return found, fmt.Errorf("recovery codes: %w", err)
	}
	for _, r := range codes {
		found.RecoveryCodes = append(found.RecoveryCodes, recoveryCodeRecord{CreatedAt: utc(r.CreatedAt), UsedAt: optionalUTC(r.UsedAt)})
	}
	if err := collect(&found.Sessions, sessionPages(ctx, q, u.ID)); err != nil {
		return found, fmt.Errorf("sessions: %w", err)
	}
	if err := collect(&found.Consents, consentPages(ctx, q, u.ID)); err != nil {
		return found, fmt.Errorf("consents: %w", err)
	}
	if err := collect(&found.Connections, connectionPages(ctx, q, u.ID)); err != nil {
		return found, fmt.Errorf("connections: %w", err)
	}
	if err := collect(&found.Authorizations, grantPages(ctx, q, u.ID)); err != nil {
		return found, fmt.Errorf("authorizations: %w", err)
	}
	if err := collect(&found.Clients, clientPages(ctx, q, u.ID, "", nil)); err != nil {
		return found, fmt.Errorf("clients: %w", err)
	}
	if err := collect(&found.SecurityEvents, eventPages(ctx, q, u.ID, "", 0, 0)); err != nil {
		return found, fmt.Errorf("security events: %w", err)
	}
	return found, nil
}

func collect[R any](into *[]R, next func() ([]R, error)) error {
	return each(next, func(r R) { *into = append(*into, r) })
}

func consentPages(ctx context.Context, q *store.Queries, user store.UserID) func() ([]consentRecord, error) {
	var last store.ListUserConsentsRow
	return func() (page []consentRecord, err error) {
		rows, err := q.ListUserConsents(ctx, store.ListUserConsentsParams{UserID: user, AfterCreatedAt: last.CreatedAt, AfterID: last.ID, PageSize: pageSize})
		for _, row := range rows {
			page = append(page, consentRecord{
				ClientID: row.ClientID, ClientName: row.ClientName, ReferenceID: row.ReferenceID, Scopes: row.Scopes, ResourceScopes: row.ResourceScopes,
				AuthorizationDetails: row.AuthorizationDetails, CreatedAt: utc(row.CreatedAt), UpdatedAt: utc(row.UpdatedAt),
			})
			last = row
		}
		return page, err
	}
}

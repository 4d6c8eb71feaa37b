package calls

import (
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// online grants no offline_access: the grant is bound to its session.
func online(p *store.GrantAuthorizationParams) { p.GrantedScopes = []string{"openid", "email"} }

// outcome is what a call came to that answers nothing else.
func (w *world) outcome(o store.Outcome, err error) store.Outcome {
	w.Helper()
	w.OK(err)
	return o
}

// redeem redeems a code and wants an outcome.
func (w *world) redeem(code string, want store.Outcome, change ...func(*store.RedeemAuthorizationCodeParams)) store.RedeemAuthorizationCodeRow {
	w.Helper()
	p := w.RedeemParams(code)
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	w.OK(err)
	w.want("RedeemAuthorizationCode", row.Outcome, want)
	return row
}

func (w *world) endSession(id store.SessionID) {
	w.Helper()
	row, err := w.Q.EndSession(w.Ctx, id)
	w.OK(err)
	w.want("EndSession", row.Outcome, store.OutcomeEnded)
}

func (w *world) suspend(user store.UserID) {
	w.Helper()
	row, err := w.Q.SuspendUser(w.Ctx, user)
	w.OK(err)
	w.want("SuspendUser", row.Outcome, store.OutcomeEnded)
}

func (w *world) deleteUser(user store.UserID) {
	w.Helper()
	row, err := w.Q.DeleteUser(w.Ctx, user)
	w.OK(err)
	w.want("DeleteUser", row.Outcome, store.OutcomeDeleted)
}

func (w *world) deleteClient(client store.ClientID) {
	w.Helper()
	w.want("DeleteClient", w.outcome(w.Q.DeleteClient(w.Ctx, client)), store.OutcomeDeleted)
}

// oauthClientID is the primary key of a client.
func (w *world) oauthClientID(client store.ClientID) store.OAuthClientID {
	w.Helper()
	c, err := w.Q.GetClient(w.Ctx, client)
	w.OK(err)
	return c.ID
}

// machine is a confidential client that may act for itself. It is made the first time.
func (w *world) machine() store.ClientID {
	w.Helper()
	if w.machineClient == "" {
		w.machineClient = w.NewClient(func(p *store.CreateClientParams) {
			p.GrantTypes = []string{"client_credentials", "authorization_code", "refresh_token"}
		})
	}
	return w.machineClient
}

// issueParams is a token that the machine is issued.
func (w *world) issueParams(raw string) store.IssueAccessTokenParams {
	return store.IssueAccessTokenParams{
		ID: store.NewAccessTokenID(), ClientID: w.machine(), ClientAuthMethod: fixture.Verified, AccessToken: new(fixture.Digest(raw)),
		Scopes: []string{"metrics"}, DefaultScopes: []string{"metrics", "logs"}, DefaultResources: []string{fixture.Resource}, Lifetime: 10 * time.Minute,
	}
}

func pgErrorOf(err error) *pgconn.PgError {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e
	}
	return &pgconn.PgError{}
}

// issue issues a token to the machine itself, wants an outcome, and returns the token.
func (w *world) issue(raw string, want store.Outcome, change ...func(*store.IssueAccessTokenParams)) string {
	w.Helper()
	p := w.issueParams(raw)
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.IssueAccessToken(w.Ctx, p)
	w.OK(err)
	w.want("IssueAccessToken", row.Outcome, want)
	return raw
}

// spentElsewhere spends a refresh token as another server does, which knows of no successor.
func (w *world) spentElsewhere(refresh string) {
	w.Helper()
	w.Exec(`UPDATE oauth_refresh_token SET revoked = now() WHERE token = $1`, string(fixture.Digest(refresh)))
}

// replaceRoutine gives a routine of the test's database another body. The one that it had is that of NAME_before.
func (w *world) replaceRoutine(name, body string) {
	w.Helper()
	var was string
	w.OK(w.Pool.QueryRow(w.Ctx, `SELECT pg_get_functiondef($1::text::regproc)`, name).Scan(&was))
	head, _, _ := strings.Cut(was, "AS $function$")
	w.Exec(`ALTER ROUTINE ` + name + ` RENAME TO ` + name + `_before`)
	w.Exec(head + "AS $function$ BEGIN " + body + " END $function$")
}

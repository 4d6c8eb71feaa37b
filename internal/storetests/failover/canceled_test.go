package failover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// decision is a call that is made, and made again with the same parameters.
type decision struct {
	name string
	make func(context.Context) (store.Outcome, error)
}

// decisions are calls that answer for what an earlier call did, and may find nothing left to write.
func decisions(w *fixture.World) []decision {
	w.User = w.NewUser()
	w.Client = w.NewClient(func(c *store.CreateClientParams) { c.Public = new(true) })
	w.Session = w.NewSession(w.User)
	var all []decision
	add := func(name string, make func(context.Context) (store.Outcome, error)) {
		all = append(all, decision{name, make})
	}

	// Endings.
	session := w.NewSession(w.User)
	add("EndSession", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.EndSession(ctx, session)
		return r.Outcome, err
	})
	family := w.Redeem()
	add("RevokeAuthorization", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.RevokeAuthorization(ctx, family.Authorization)
		return r.Outcome, err
	})
	byRefresh, byAccess, byID := w.Redeem(), w.Redeem(), w.Redeem()
	for name, raw := range map[string]string{"RevokeToken of a refresh token": byRefresh.Refresh, "RevokeToken of an access token": byAccess.Access} {
		p := w.RevokeParams(raw)
		add(name, func(ctx context.Context) (store.Outcome, error) {
			r, err := w.Q.RevokeToken(ctx, p)
			return r.Outcome, err
		})
	}
	id := *w.Introspect(byID.Access).AccessTokenID
	add("RevokeAccessTokenByID", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.RevokeAccessTokenByID(ctx, store.RevokeAccessTokenByIDParams{ClientID: w.Client, ClientAuthMethod: fixture.Verified, ID: id})
		return r.Outcome, err
	})
	suspended, reinstated, out := w.NewUser(), w.NewUser(), w.NewUser()
	add("SuspendUser", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.SuspendUser(ctx, suspended)
		return r.Outcome, err
	})
	_, err := w.Q.SuspendUser(w.Ctx, reinstated)
	w.OK(err)
	add("ReinstateUser", func(ctx context.Context) (store.Outcome, error) { return w.Q.ReinstateUser(ctx, reinstated) })
	add("EndUserSessions", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.EndUserSessions(ctx, store.EndUserSessionsParams{UserID: out})
		return r.Outcome, err
	})
	initial := store.InitialAccessTokenID(fixture.Unique("iat"))
	_, err = w.Q.CreateInitialAccessToken(w.Ctx, store.CreateInitialAccessTokenParams{ID: initial, Token: fixture.Digest(string(initial)), MaxUses: 5, Lifetime: fixture.Long})
	w.OK(err)
	add("RevokeInitialAccessToken", func(ctx context.Context) (store.Outcome, error) {
		return w.Q.RevokeInitialAccessToken(ctx, initial)
	})
	request := w.RequestParams()
	_, err = w.Q.CreateAuthorization(w.Ctx, request)
	w.OK(err)
	add("DenyAuthorization", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.DenyAuthorization(ctx, store.DenyAuthorizationParams{ID: request.ID, UserID: &w.User})
		return r.Outcome, err
	})
	disabled, deleted, revoked := w.NewClient(), w.NewClient(), w.NewClient()
	add("DisableClient", func(ctx context.Context) (store.Outcome, error) { return w.Q.DisableClient(ctx, disabled) })
	add("DeleteClient", func(ctx context.Context) (store.Outcome, error) { return w.Q.DeleteClient(ctx, deleted) })
	gone := w.NewUser()
	add("DeleteUser", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.DeleteUser(ctx, gone)
		return r.Outcome, err
	})
	add("RevokeUserAuthorizations", func(ctx context.Context) (store.Outcome, error) { return w.Q.RevokeUserAuthorizations(ctx, out) })
	add("RevokeUserAuthorizationsByClient", func(ctx context.Context) (store.Outcome, error) {
		return w.Q.RevokeUserAuthorizationsByClient(ctx, store.RevokeUserAuthorizationsByClientParams{UserID: suspended, ClientID: w.Client})
	})
	add("RevokeClientAuthorizations", func(ctx context.Context) (store.Outcome, error) {
		return w.Q.RevokeClientAuthorizations(ctx, revoked)
	})
	key := store.CreatePasskeyParams{ID: store.PasskeyID(fixture.Unique("key")), UserID: w.User, PublicKey: "pQECAyYgASFYIA"}
	_, err = w.Q.CreatePasskey(w.Ctx, key)
	w.OK(err)
	add("DeletePasskey", func(ctx context.Context) (store.Outcome, error) {
		return w.Q.DeletePasskey(ctx, store.DeletePasskeyParams{ID: key.ID, UserID: w.User})
	})
	totp := store.CreateTOTPParams{ID: store.TOTPID(fixture.Unique("totp")), UserID: w.User, Secret: "ciphertext"}
	_, err = w.Q.CreateTOTP(w.Ctx, totp)
	w.OK(err)
	add("DeleteTOTP", func(ctx context.Context) (store.Outcome, error) {
		return w.Q.DeleteTOTP(ctx, store.DeleteTOTPParams{ID: totp.ID, UserID: w.User})
	})
	coded := w.NewUser()
	_, err = w.Q.ReplaceRecoveryCodes(w.Ctx, store.ReplaceRecoveryCodesParams{UserID: coded, Digests: token.Digests{fixture.Digest("code")}})
	w.OK(err)
	add("DeleteRecoveryCodes", func(ctx context.Context) (store.Outcome, error) { return w.Q.DeleteRecoveryCodes(ctx, coded) })
	linked := store.CreateAccountParams{ID: store.NewAccountID(), UserID: w.NewUser(), ProviderID: "https://one.example", AccountID: fixture.Unique("account")}
	for _, provider := range []string{linked.ProviderID, "https://two.example"} {
		w.NewAccount(linked.UserID, provider, linked.AccountID)
	}
	account, err := w.Q.FindAccountByProvider(w.Ctx, store.FindAccountByProviderParams{ProviderID: linked.ProviderID, AccountID: linked.AccountID})
	w.OK(err)
	add("DeleteAccount", func(ctx context.Context) (store.Outcome, error) {
		return w.Q.DeleteAccount(ctx, store.DeleteAccountParams{UserID: linked.UserID, ID: account.Account.ID})
	})
	distrusted, shut := w.TrustIssuer("https://distrusted.example"), w.TrustIssuer("https://shut.example")
	add("DisableTrustedIssuer", func(ctx context.Context) (store.Outcome, error) { return w.Q.DisableTrustedIssuer(ctx, shut) })
	add("DeleteTrustedIssuer", func(ctx context.Context) (store.Outcome, error) { return w.Q.DeleteTrustedIssuer(ctx, distrusted) })

	// Grants.
	_, code := w.Grant()
	redeem := w.RedeemParams(code)
	add("RedeemAuthorizationCode", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.RedeemAuthorizationCode(ctx, redeem)
		return r.Outcome, err
	})
	rotate, _ := w.RotateParams(w.Redeem().Refresh)
	add("RotateRefreshToken", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.RotateRefreshToken(ctx, rotate)
		return r.Outcome, err
	})
	withoutRow, _ := w.RotateParams(w.Redeem().Refresh)
	withoutRow.AccessToken, withoutRow.AccessTokenWithoutRow = nil, true
	add("RotateRefreshToken without a row", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.RotateRefreshToken(ctx, withoutRow)
		return r.Outcome, err
	})
	exchange, _ := w.ExchangeParams(w.Redeem().Access, w.NewExchanger())
	add("ExchangeToken", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.ExchangeToken(ctx, exchange)
		return r.Outcome, err
	})
	w.TrustIssuer(fixture.Issuer)
	w.NewAccount(w.User, fixture.Issuer, "subject")
	assertion, _ := w.AssertionParams(fixture.Issuer, "subject", fixture.Unique("jti"), w.NewExchanger())
	add("IssueTokenByAssertion", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.IssueTokenByAssertion(ctx, assertion)
		return r.Outcome, err
	})
	grant := store.IssueGrantParams{
		ID: store.NewAuthorizationID(), UserID: w.User, ClientID: w.Client, SessionID: &w.Session, GrantType: "server",
		Scopes: []string{"openid", "offline_access"}, DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(fixture.Unique("at"))), AccessTokenLifetime: fixture.Long,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(fixture.Digest(fixture.Unique("rt"))), RefreshTokenLifetime: fixture.Long,
		FamilyLifetime: fixture.Long,
	}
	add("IssueGrant", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.IssueGrant(ctx, grant)
		return r.Outcome, err
	})
	imported := store.ImportRefreshTokenParams{
		ID: store.NewAuthorizationID(), UserID: w.User, ClientID: w.Client, Scopes: []string{"openid", "offline_access"},
		Tokens: token.Digests{fixture.Digest(fixture.Unique("rt"))}, RefreshTokenLifetime: fixture.Long, FamilyLifetime: fixture.Long,
	}
	add("ImportRefreshToken", func(ctx context.Context) (store.Outcome, error) {
		return w.Q.ImportRefreshToken(ctx, imported)
	})
	machine := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{"client_credentials"} })
	issue := store.IssueAccessTokenParams{
		ID: store.NewAccessTokenID(), ClientID: machine, ClientAuthMethod: fixture.Verified, AccessToken: new(fixture.Digest(fixture.Unique("at"))),
		Scopes: []string{"calendar"}, DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources, Lifetime: fixture.Long,
	}
	add("IssueAccessToken", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.IssueAccessToken(ctx, issue)
		return r.Outcome, err
	})
	pending := w.RequestParams()
	_, err = w.Q.CreateAuthorization(w.Ctx, pending)
	w.OK(err)
	approve := store.ApproveAuthorizationParams{
		ID: pending.ID, UserID: w.User, SessionID: &w.Session, GrantedScopes: []string{"openid"}, DefaultScopes: fixture.Scopes,
		DefaultResources: fixture.Resources, Code: new(fixture.Digest(fixture.Unique("code"))), CodeLifetime: fixture.Long,
	}
	add("ApproveAuthorization", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.ApproveAuthorization(ctx, approve)
		return r.Outcome, err
	})
	consent := store.GrantConsentParams{ID: store.NewConsentID(), UserID: w.User, ClientID: w.Client, Scopes: []string{"openid"}, Merge: true}
	add("GrantConsent", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.GrantConsent(ctx, consent)
		return r.Outcome, err
	})
	device := w.NewClient(func(p *store.CreateClientParams) {
		p.Public, p.GrantTypes = new(true), []string{"urn:ietf:params:oauth:grant-type:device_code"}
	})
	entered, polled := store.NewAuthorizationID(), store.NewAuthorizationID()
	scopes := []string{"openid"}
	enter := func(id store.AuthorizationID) store.FindAuthorizationByUserCodeParams {
		return store.FindAuthorizationByUserCodeParams{UserCode: fixture.Digest("user" + string(id)), UserID: w.User, SessionID: &w.Session}
	}
	for _, id := range []store.AuthorizationID{entered, polled} {
		_, err := w.Q.CreateDeviceAuthorization(w.Ctx, store.CreateDeviceAuthorizationParams{
			ID: id, ClientID: device, ClientAuthMethod: fixture.Verified, DeviceCode: fixture.Digest("device" + string(id)),
			UserCode: fixture.Digest("user" + string(id)), Lifetime: fixture.Long, Scopes: scopes, DefaultScopes: scopes,
		})
		w.OK(err)
	}
	add("FindAuthorizationByUserCode", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.FindAuthorizationByUserCode(ctx, enter(entered))
		return r.Outcome, err
	})
	_, err = w.Q.FindAuthorizationByUserCode(w.Ctx, enter(polled))
	w.OK(err)
	_, err = w.Q.ApproveAuthorization(w.Ctx, store.ApproveAuthorizationParams{
		ID: polled, UserID: w.User, SessionID: &w.Session, GrantedScopes: scopes, DefaultScopes: scopes,
	})
	w.OK(err)
	poll := store.PollDeviceCodeParams{
		DeviceCode: fixture.Digest("device" + string(polled)), ClientID: device, ClientAuthMethod: fixture.Verified, Grace: fixture.Long,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(fixture.Unique("at"))), AccessTokenLifetime: fixture.Long,
		FamilyLifetime: fixture.Long, DefaultScopes: scopes,
	}
	add("PollDeviceCode", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.PollDeviceCode(ctx, poll)
		return r.Outcome, err
	})
	withdrawer := w.NewUser()
	add("WithdrawConsent", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: withdrawer, ClientID: w.Client})
		return r.Outcome, err
	})

	// Registrations, secrets and keys.
	register := store.RegisterClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{fixture.RedirectURI}, Open: true,
		ClientSecret: new(fixture.Digest(fixture.Secret)), ClientSecretLifetime: store.Never, RegistrationAccessToken: new(fixture.Digest("r1")),
	}
	add("RegisterClient", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.RegisterClient(ctx, register)
		return r.Outcome, err
	})
	moved := w.NewClient(func(p *store.CreateClientParams) {
		p.ClientSecret, p.ForeignSecretHash = nil, new("pbkdf2-sha256$1$x$y")
	})
	add("ReplaceForeignSecretHash", func(ctx context.Context) (store.Outcome, error) {
		return w.Q.ReplaceForeignSecretHash(ctx, store.ReplaceForeignSecretHashParams{
			ClientID: moved, ForeignSecretHash: "pbkdf2-sha256$1$x$y", ClientSecret: fixture.Digest("new"),
		})
	})
	paired := w.NewClient(func(p *store.CreateClientParams) { p.SubjectType = new("pairwise") })
	subject := store.CreatePairwiseSubjectParams{ClientID: paired, UserID: w.User, Subject: store.Subject(fixture.Unique("subject"))}
	add("CreatePairwiseSubject", func(ctx context.Context) (store.Outcome, error) { return w.Q.CreatePairwiseSubject(ctx, subject) })
	rotated := w.NewClient()
	add("RotateClientSecret", func(ctx context.Context) (store.Outcome, error) {
		return w.Q.RotateClientSecret(ctx, store.RotateClientSecretParams{ClientID: rotated, ClientSecret: fixture.Digest("new"), Lifetime: store.Never})
	})
	signing := store.RotateSigningKeyIfDueParams{ID: store.SigningKeyID(fixture.Unique("key")), Alg: "ES256", PublicKey: "{}", PrivateKey: "x", MaxAge: fixture.Long}
	add("RotateSigningKeyIfDue", func(ctx context.Context) (store.Outcome, error) {
		r, err := w.Q.RotateSigningKeyIfDue(ctx, signing)
		return r.Outcome, err
	})
	return all
}

// otherwise are the calls that also say of something that it was done before, and that decisions leaves out.
var otherwise = map[string]string{
	"PutClientDocument":     "what the server fetched is there to be put again",
	"RefreshClientDocument": "the document is fetched again, soon after",
	"FinishLogoutDelivery":  "a client may be told twice",
	"DeleteRegistration":    "says unauthenticated, as of a token that never was",
}

// TestDecisionsAreComplete holds the list of calls that may find their work done against the contracts of all calls.
func TestDecisionsAreComplete(t *testing.T) {
	t.Parallel()
	queries, err := queryfile.ReadDir("../../../queries")
	if err != nil {
		t.Fatal(err)
	}
	w := fixture.Of(t, fixture.NewPool(t, 2))
	tried := map[string]bool{}
	for _, d := range decisions(w) {
		name, _, _ := strings.Cut(d.name, " ")
		tried[name] = true
	}
	for _, q := range queries {
		contract := strings.Join(q.Contract, "\n")
		ends := slices.ContainsFunc([]string{"Revoke", "End", "Suspend", "Disable", "Delete"}, func(verb string) bool { return strings.HasPrefix(q.Name, verb) })
		mayFind := strings.Contains(contract, "- retried:") || ends && (strings.Contains(contract, "- ended:") || strings.Contains(contract, "- deleted:"))
		_, excused := otherwise[q.Name]
		switch {
		case mayFind && !excused && !tried[q.Name]:
			t.Errorf("%s may find its work done: is its answer lost with the primary?", q.Name)
		case excused && !mayFind:
			t.Errorf("%s can't find its work done, and need not be excused", q.Name)
		}
	}
}

// TestAnAnswerWaitsForTheStandbyThoughAnEarlierWaitWasCanceled ends the contexts of calls that wait for a standby which is away.
// They get no answer, but PostgreSQL commits them locally. Who makes the same call again must not be told that all is well
// before the standby has it: if the primary goes now, it never happened.
func TestAnAnswerWaitsForTheStandbyThoughAnEarlierWaitWasCanceled(t *testing.T) {
	wanted(t)
	p := newPair(t, true, func(c *pgxpool.Config) { c.MaxConns = 64 })
	all := decisions(p.world)
	p.ok(p.standby.Stop(p.Context()))

	each := func(patience time.Duration, judge func(d decision, outcome store.Outcome, err error)) {
		var mu sync.Mutex
		fixture.Together(fixture.Times(len(all), func(i int) {
			ctx, cancel := context.WithTimeout(p.Context(), patience)
			defer cancel()
			outcome, err := all[i].make(ctx)
			mu.Lock()
			defer mu.Unlock()
			judge(all[i], outcome, err)
		})...)
		p.until("nobody waits for the standby", func() bool {
			var waiting int
			p.ok(p.on(p.primary, `SELECT count(*) FROM pg_stat_activity AS a WHERE a.wait_event = 'SyncRep'`, &waiting))
			return waiting == 0
		})
	}
	each(2*time.Second, func(d decision, outcome store.Outcome, err error) {
		if err == nil || !db.IsTimeout(err) || db.IsTransient(err) {
			t.Errorf("%s, while the standby is away: %q, %v; want a timeout that isn't transient", d.name, outcome, err)
		}
	})
	each(3*time.Second, func(d decision, outcome store.Outcome, err error) {
		if err == nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, again, while the standby lacks the first: %q, %v; want no answer", d.name, outcome, err)
		}
	})
	p.ok(p.standby.Restart(p.Context()))
	each(20*time.Second, func(d decision, outcome store.Outcome, err error) {
		deleted := strings.HasPrefix(d.name, "Delete") && outcome == store.OutcomeUnknown
		if err != nil || !deleted && !slices.Contains(
			[]store.Outcome{
				store.OutcomeEnded, store.OutcomeRevoked, store.OutcomeRetried, store.OutcomeGranted, store.OutcomeWithdrawn,
			}, outcome,
		) {
			t.Errorf("%s, when the standby is back: %q, %v", d.name, outcome, err)
		}
	})
}

// TestACanceledWaitIsAWarning lets a call wait for a standby that is away, which no statement_timeout ends, and cancels the wait as
// an administrator may. PostgreSQL then reports success, and a warning that only a handler of notices sees.
func TestACanceledWaitIsAWarning(t *testing.T) {
	wanted(t)
	var mu sync.Mutex
	var notices []*pgconn.Notice
	p := newPair(t, true, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["statement_timeout"] = "500"
		c.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			mu.Lock()
			defer mu.Unlock()
			notices = append(notices, n)
		}
	})
	w := p.world
	w.User = w.NewUser()
	session := w.NewSession(w.User)
	p.ok(p.standby.Stop(p.Context()))
	done := make(chan error, 1)
	var answer store.EndSessionRow
	go func() {
		var err error
		answer, err = w.Q.EndSession(p.Context(), session)
		done <- err
	}()
	p.until("the call waits", func() bool {
		var canceled int
		p.ok(p.on(p.primary, `
			SELECT count(pg_cancel_backend(a.pid)) FROM pg_stat_activity AS a
			WHERE a.wait_event = 'SyncRep' AND a.query_start < now() - interval '2 seconds'`, &canceled))
		return canceled > 0
	})
	p.ok(<-done)
	if answer.Outcome != store.OutcomeEnded {
		t.Errorf("EndSession: %s", answer.Outcome)
	}
	mu.Lock()
	warned := slices.ContainsFunc(notices, func(n *pgconn.Notice) bool { return n.Routine == "SyncRepWaitForLSN" })
	mu.Unlock()
	if !warned {
		t.Error("no warning from SyncRepWaitForLSN")
	}

	// The answer was early: with the primary goes the ending.
	p.killPrimary()
	p.ok(p.standby.Restart(p.Context()))
	p.promote()
	s, err := w.Q.GetSession(w.Ctx, session)
	w.OK(err)
	if s.EndedAt != nil {
		t.Error("the standby has an ending that it was never sent")
	}
}

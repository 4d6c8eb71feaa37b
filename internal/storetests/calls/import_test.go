package calls

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// importParams is a grant of the world's user to the world's client on another server. Its token is "imported-" with the name.
func (w *world) importParams(name string) store.ImportRefreshTokenParams {
	return store.ImportRefreshTokenParams{
		ID: store.AuthorizationID("azn_" + name), UserID: w.User, ClientID: w.Client, Scopes: []string{"openid", "email", "offline_access"},
		Tokens: token.Digests{fixture.Digest("imported-" + name)}, RefreshTokenLifetime: time.Hour, FamilyLifetime: fixture.Long,
	}
}

// importGrant imports a grant and wants an outcome.
func (w *world) importGrant(name string, want store.Outcome, change ...func(*store.ImportRefreshTokenParams)) store.ImportRefreshTokenParams {
	w.Helper()
	p := w.importParams(name)
	for _, c := range change {
		c(&p)
	}
	w.want("ImportRefreshToken", w.outcome(w.Q.ImportRefreshToken(w.Ctx, p)), want)
	return p
}

func TestImportedGrantIsAFamilyLikeAnyOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	tenant, signedIn, agreed := store.ReferenceID("acme"), time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2025, 1, 2, 3, 5, 0, 0, time.UTC)
	ends := time.Now().Add(20 * time.Minute).Truncate(time.Microsecond)
	jkt := &token.Confirmation{JKT: "thumbprint"}
	p := w.importGrant("x", store.OutcomeIssued, func(p *store.ImportRefreshTokenParams) {
		p.ReferenceID, p.AuthTime, p.GrantedAt, p.ExpiresAt, p.ACR, p.AMR = &tenant, &signedIn, &agreed, &ends, new("high"), []string{"pwd"}
		p.Resources, p.AuthorizationDetails, p.Confirmation = []string{"https://api.example"}, json.RawMessage(`[{"type": "pay"}]`), jkt
		p.Scopes = append(p.Scopes, "openid")
		p.Tokens = append(p.Tokens, fixture.Digest("imported-x2"))
	})
	a := w.authorizationOf(p.ID)
	if a.Kind != store.AuthorizationKindForeign || a.Status != store.AuthorizationStatusApproved || a.Bound || a.SessionID != nil || a.Code != nil ||
		a.RedeemedAt != nil || !a.DecidedAt.Equal(agreed) || !a.AuthTime.Equal(signedIn) || *a.ACR != "high" || *a.ReferenceID != tenant ||
		a.Confirmation.JKT != jkt.JKT || a.MaxExpiresAt.Sub(a.CreatedAt) != fixture.Long {
		t.Errorf("the family is %+v", a)
	}
	wantEqual(t, "scopes", a.GrantedScopes, []string{"openid", "email", "offline_access"})
	stored, err := w.Q.ListAuthorizationRefreshTokens(w.Ctx, p.ID)
	w.OK(err)
	if len(stored) != 2 {
		t.Fatalf("%d tokens", len(stored))
	}
	for _, r := range stored {
		if !r.ExpiresAt.Equal(ends) || *r.AuthorizationCodeID != p.ID || r.Revoked != nil || !r.AuthTime.Equal(signedIn) || r.Confirmation.JKT != jkt.JKT {
			t.Errorf("a token is %+v", r)
		}
	}
	w.WantLive("imported-x", "imported-x2")

	bound := func(p *store.RotateRefreshTokenParams) { p.Confirmation = jkt }
	row, access := w.Rotate("imported-x", store.OutcomeRotated, bound)
	wantEqual(t, "scopes", row.Scopes, a.GrantedScopes)
	w.WantLive(access, fixture.SuccessorOf("imported-x"), "imported-x2")
	w.Rotate("imported-x", store.OutcomeRetried, bound)
	w.Rotate(fixture.SuccessorOf("imported-x"), store.OutcomeRotated, bound)

	// imported again, it is left as it is
	w.Unchanged(func() { w.want("again", w.outcome(w.Q.ImportRefreshToken(w.Ctx, p)), store.OutcomeRetried) })
	w.WantDead("imported-x")

	// and a replay of the imported token ends all of it
	w.Rotate("imported-x", store.OutcomeReplayed, bound)
	w.WantDead(access, "imported-x2", fixture.SuccessorOf(fixture.SuccessorOf("imported-x")))
	w.want("after the end", w.outcome(w.Q.ImportRefreshToken(w.Ctx, p)), store.OutcomeRetried)
	w.WantDead("imported-x2")
}

func TestImportRefusesWhatIsNotGoodHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other := w.NewUser()
	suspended, deleted := w.NewUser(), w.NewUser()
	w.suspend(suspended)
	w.deleteUser(deleted)
	disabled, ended := w.NewClient(), w.NewClient()
	machine := w.NewClient(func(c *store.CreateClientParams) { c.GrantTypes = []string{"client_credentials"} })
	w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, disabled)), store.OutcomeEnded)
	w.want("RevokeClientAuthorizations", w.outcome(w.Q.RevokeClientAuthorizations(w.Ctx, ended)), store.OutcomeEnded)
	signedOut := w.NewUser()
	w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, signedOut)), store.OutcomeEnded)
	withdrawn := w.NewUser()
	_, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: withdrawn, ClientID: w.Client})
	w.OK(err)
	for _, c := range []struct {
		name          string
		user          store.UserID
		client        store.ClientID
		grant, agreed store.Outcome
	}{
		{"no such user", "nobody", w.Client, store.OutcomeUnknown, store.OutcomeUnknown},
		{"no such client", other, "nothing", store.OutcomeUnknown, store.OutcomeUnknown},
		{"a user who is deleted", deleted, w.Client, store.OutcomeUnknown, store.OutcomeUnknown},
		{"a user who is suspended", suspended, w.Client, store.OutcomeSuspended, store.OutcomeSuspended},
		{"a client that is disabled", other, disabled, store.OutcomeDisabled, store.OutcomeDisabled},
		{"a client without users", other, machine, store.OutcomeUnauthorizedClient, store.OutcomeGranted},
		{"a user who has ended all grants", signedOut, w.Client, store.OutcomeRevoked, store.OutcomeRevoked},
		{"a user who has withdrawn the consent", withdrawn, w.Client, store.OutcomeRevoked, store.OutcomeRevoked},
		{"a client whose grants were ended", other, ended, store.OutcomeRevoked, store.OutcomeRevoked},
		{"a user who has withdrawn another", withdrawn, ended, store.OutcomeRevoked, store.OutcomeRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			w.Unchanged(func() {
				w.importGrant("refused", c.grant, func(p *store.ImportRefreshTokenParams) { p.UserID, p.ClientID = c.user, c.client })
			})
			w.WantDead("imported-refused")
			consent := func() {
				w.want("ImportConsent", w.outcome(w.Q.ImportConsent(w.Ctx, store.ImportConsentParams{ID: store.NewConsentID(), UserID: c.user, ClientID: c.client, Scopes: []string{"openid"}})), c.agreed)
			}
			if c.agreed == store.OutcomeGranted {
				consent()
			} else {
				w.Unchanged(consent)
			}
		})
	}
	w.Unchanged(func() {
		w.importGrant("over", store.OutcomeExpired, func(p *store.ImportRefreshTokenParams) { p.ExpiresAt = new(time.Now().Add(-time.Second)) })
	})
	// nobody has agreed to what a client has shown only since it is here
	changed := w.NewClient()
	w.Exec(`UPDATE oauth_client SET consents_epoch = consents_epoch + 1 WHERE client_id = $1`, changed)
	w.Unchanged(func() {
		w.want("ImportConsent", w.outcome(w.Q.ImportConsent(w.Ctx, store.ImportConsentParams{ID: store.NewConsentID(), UserID: other, ClientID: changed, Scopes: []string{"openid"}})), store.OutcomeRevoked)
	})
	// a withdrawal for one client leaves the others
	w.importGrant("elsewhere", store.OutcomeIssued, func(p *store.ImportRefreshTokenParams) { p.UserID, p.ClientID = withdrawn, w.NewClient() })

	// what is forgotten is an error
	for name, forget := range map[string]func(*store.ImportRefreshTokenParams){
		"Tokens":               func(p *store.ImportRefreshTokenParams) { p.Tokens = nil },
		"RefreshTokenLifetime": func(p *store.ImportRefreshTokenParams) { p.RefreshTokenLifetime = 0 },
		"FamilyLifetime":       func(p *store.ImportRefreshTokenParams) { p.FamilyLifetime = 0 },
		"any of the Tokens":    func(p *store.ImportRefreshTokenParams) { p.Tokens = token.Digests{} },
	} {
		p := w.importParams("forgotten")
		forget(&p)
		if _, err := w.Q.ImportRefreshToken(w.Ctx, p); !db.IsInvalidParameter(err) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	// and so is a token that is stored already
	w.importGrant("first", store.OutcomeIssued)
	p := w.importParams("first")
	p.ID = "azn_second"
	if _, err := w.Q.ImportRefreshToken(w.Ctx, p); !db.Violates(err, store.ConstraintOAuthRefreshTokenTokenUIdx) && !db.Violates(err, store.ConstraintOAuthRefreshTokenPKey) {
		t.Errorf("the token of another grant: %v", err)
	}
}

func TestImportedTokensExpireAsTheClientsDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	short := w.NewClient(func(c *store.CreateClientParams) { c.RefreshTokenLifetime = new(10 * time.Minute) })
	for _, c := range []struct {
		name   string
		change func(*store.ImportRefreshTokenParams)
		want   time.Duration
	}{
		{"without an end there", func(*store.ImportRefreshTokenParams) {}, time.Hour},
		{"later there", func(p *store.ImportRefreshTokenParams) { p.ExpiresAt = new(time.Now().Add(2 * time.Hour)) }, time.Hour},
		{"a client's own bound", func(p *store.ImportRefreshTokenParams) { p.ClientID = short }, 10 * time.Minute},
		{"a family that ends before", func(p *store.ImportRefreshTokenParams) { p.FamilyLifetime = time.Minute }, time.Minute},
	} {
		p := w.importGrant(c.name, store.OutcomeIssued, c.change)
		tokens, err := w.Q.ListAuthorizationRefreshTokens(w.Ctx, p.ID)
		w.OK(err)
		wantAt(t, c.name, tokens[0].ExpiresAt, tokens[0].CreatedAt, c.want)
	}
	p := w.importGrant("never", store.OutcomeIssued, func(p *store.ImportRefreshTokenParams) {
		p.RefreshTokenLifetime, p.FamilyLifetime = store.Never, store.Never
	})
	tokens, err := w.Q.ListAuthorizationRefreshTokens(w.Ctx, p.ID)
	w.OK(err)
	if tokens[0].ExpiresAt != nil {
		t.Errorf("it expires at %s", tokens[0].ExpiresAt)
	}
}

func TestImportedConsentCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	agreed := time.Date(2025, 1, 2, 3, 5, 0, 0, time.UTC)
	p := store.ImportConsentParams{
		ID: store.NewConsentID(), UserID: w.User, ClientID: w.Client, Scopes: []string{"openid", "openid"}, Resources: []string{"https://api.example"},
		GrantedAt: &agreed, AuthorizationDetails: json.RawMessage(`[{"type": "pay"}]`),
	}
	w.want("ImportConsent", w.outcome(w.Q.ImportConsent(w.Ctx, p)), store.OutcomeGranted)
	g, err := w.Q.FindConsent(w.Ctx, store.FindConsentParams{UserID: w.User, ClientID: w.Client})
	w.OK(err)
	if !g.CreatedAt.Equal(agreed) || len(g.Scopes) != 0 || string(g.ResourceScopes) != `{"https://api.example": ["openid"]}` || string(g.AuthorizationDetails) != `[{"type": "pay"}]` {
		t.Errorf("it is %+v", g)
	}
	check := store.CheckConsentParams{UserID: w.User, ClientID: w.Client, Scopes: []string{"openid"}, Resources: []string{"https://api.example"}}
	row, err := w.Q.CheckConsent(w.Ctx, check)
	w.OK(err)
	if !row.Covered {
		t.Errorf("the user is asked again: %+v", row)
	}
	// what the user agrees to here is left as it is
	other := w.NewClient()
	_, err = w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), UserID: w.User, ClientID: other, Scopes: []string{"email"}})
	w.OK(err)
	w.Unchanged(func() {
		p.ID, p.ClientID = store.NewConsentID(), other
		w.want("ImportConsent", w.outcome(w.Q.ImportConsent(w.Ctx, p)), store.OutcomeDecided)
	})
}

// What is there of others doesn't matter, and what the user has agreed to here is left without waiting for whoever is changing it.
func TestImportedConsentIsOfOneUserAndClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other, another := w.NewClient(), store.UserID(fixture.Unique("user"))
	_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: another})
	w.OK(err)
	w.consentTo(other, false, "openid")
	_, err = w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.Client, UserID: another, Scopes: []string{"openid"}})
	w.OK(err)
	p := store.ImportConsentParams{ID: store.NewConsentID(), UserID: w.User, ClientID: w.Client, Scopes: []string{"openid"}, Resources: []string{}}
	w.want("ImportConsent", w.outcome(w.Q.ImportConsent(w.Ctx, p)), store.OutcomeGranted)
	w.wantConsent(w.Client, true) // to the scopes as such, because there is no resource

	release := w.holding(`UPDATE oauth_consent SET updated_at = now() WHERE client_id = $1`, string(w.Client))
	defer release()
	ctx, cancel := context.WithTimeout(w.Ctx, 20*time.Second)
	defer cancel()
	p.ID = store.NewConsentID()
	w.want("ImportConsent", w.outcome(w.Q.ImportConsent(ctx, p)), store.OutcomeDecided)
}

func TestImportRefusesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	type params = store.ImportRefreshTokenParams
	refusesInOrder(w, w.importParams("ordered"), func(q *store.Queries, p params) (store.Outcome, error) {
		return q.ImportRefreshToken(w.Ctx, p)
	}, store.OutcomeIssued, []reason[params]{
		{store.OutcomeDisabled, nil, `UPDATE oauth_client SET disabled = true`},
		{store.OutcomeUnknown, nil, `UPDATE "user" SET suspended_at = now(), deleted_at = now()`},
		{store.OutcomeSuspended, nil, `UPDATE "user" SET suspended_at = now()`},
		{store.OutcomeRevoked, nil, `UPDATE "user" SET grants_epoch = 1`},
		{store.OutcomeExpired, func(p *params) { p.ExpiresAt = new(time.Now().Add(-time.Minute)) }, ""},
		{store.OutcomeUnauthorizedClient, nil, `UPDATE oauth_client SET grant_types = '{client_credentials}'`},
	}...)
	w.undone(func(tx pgx.Tx, q *store.Queries) {
		var now time.Time
		w.OK(tx.QueryRow(w.Ctx, `SELECT now()`).Scan(&now))
		for ends, want := range map[time.Time]store.Outcome{now: store.OutcomeExpired, now.Add(time.Microsecond): store.OutcomeIssued} {
			w.on(q).importGrant("now", want, func(p *params) { p.ExpiresAt = &ends })
		}
	})
}

// One of the two grant types is enough. A grant of which the other server doesn't know when it was made, was made now.
func TestImportForAClientOfEitherGrantType(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, grantType := range []string{"authorization_code", "refresh_token"} {
		client := w.NewClient(func(c *store.CreateClientParams) { c.GrantTypes = []string{grantType} })
		a := w.authorizationOf(w.importGrant(grantType, store.OutcomeIssued, func(p *store.ImportRefreshTokenParams) { p.ClientID = client }).ID)
		wantEqual(t, "decided_at", a.DecidedAt, &a.CreatedAt)
	}
}

// An import that is repeated doesn't wait for whoever is changing the grant.
func TestImportIsRetriedWithoutWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := w.importGrant("held", store.OutcomeIssued)
	release := w.holding(`UPDATE oauth_authorization SET updated_at = now() WHERE id = $1`, string(p.ID))
	defer release()
	ctx, cancel := context.WithTimeout(w.Ctx, 20*time.Second)
	defer cancel()
	w.want("ImportRefreshToken", w.outcome(w.Q.ImportRefreshToken(ctx, p)), store.OutcomeRetried)
}

package calls

import (
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

func consentRow[ID ~string](change string, id ID) string { return rowName(change, "oauth_consent", id) }

// consent records the user's consent to the world's client, in a tenant or (empty) in none.
func (w *world) consent(tenant store.ReferenceID, merge bool, scopes ...string) store.OAuthConsent {
	w.Helper()
	p := store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.Client, UserID: w.User, Scopes: scopes, Merge: merge}
	if tenant != "" {
		p.ReferenceID = &tenant
	}
	c, err := w.Q.GrantConsent(w.Ctx, p)
	w.OK(err)
	return c
}

func (w *world) consentIn(tenant store.ReferenceID) (store.OAuthConsent, error) {
	p := store.FindConsentParams{ClientID: w.Client, UserID: w.User}
	if tenant != "" {
		p.ReferenceID = &tenant
	}
	return w.Q.FindConsent(w.Ctx, p)
}

func TestGrantConsentReplacesOrMergesInItsTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var first store.OAuthConsent
	before := w.Snapshot()
	first = w.consent("", false, "openid", "email", "openid")
	wantEqual(t, "changed rows", fixture.Changed(before, w.Snapshot()), []string{consentRow("+", first.ID)})
	wantEqual(t, "the consent", first, store.OAuthConsent{
		ID: first.ID, CreatedAt: first.CreatedAt, UpdatedAt: first.CreatedAt, ClientID: w.Client, UserID: &w.User,
		Scopes: []string{"openid", "email"},
	})

	var last store.OAuthConsent
	for _, c := range []struct {
		name   string
		tenant store.ReferenceID
		merge  bool
		scopes []string
		want   []string
	}{
		{"merge adds what is new, once and at the end", "", true, []string{"phone", "email", "phone", "address"}, []string{"openid", "email", "phone", "address"}},
		{"merge of nothing", "", true, []string{}, []string{"openid", "email", "phone", "address"}},
		{"replace drops the rest", "", false, []string{"openid", "openid"}, []string{"openid"}},
		{"merge in another tenant moves it and merges nothing", "acme", true, []string{"calendar"}, []string{"calendar"}},
		{"merge in that tenant", "acme", true, []string{"files"}, []string{"calendar", "files"}},
		{"merge in a third tenant merges nothing either", "umbrella", true, []string{"mail"}, []string{"mail"}},
		{"merge in none merges nothing of a tenant", "", true, []string{"openid"}, []string{"openid"}},
		{"replace by nothing", "", false, nil, []string{}},
	} {
		w.changesRows(func() { last = w.consent(c.tenant, c.merge, c.scopes...) }, consentRow("~", first.ID))
		wantEqual(t, c.name, last.Scopes, c.want)
		wantEqual(t, c.name+": id", last.ID, first.ID)
		wantEqual(t, c.name+": created_at", last.CreatedAt, first.CreatedAt)
		if !last.UpdatedAt.After(first.UpdatedAt) {
			t.Errorf("%s: updated_at has not moved", c.name)
		}
		found, err := w.consentIn(c.tenant)
		w.OK(err)
		wantEqual(t, c.name+": FindConsent", found, last)
	}
}

func TestConsentOfOneTenantNeverServesAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, given := range []store.ReferenceID{"acme", ""} {
		consent := w.consent(given, false, "openid", "email")
		for _, asked := range []store.ReferenceID{"", "acme", "umbrella"} {
			found, err := w.consentIn(asked)
			p := store.CheckConsentParams{ClientID: w.Client, UserID: w.User, Scopes: []string{"openid"}}
			if asked != "" {
				p.ReferenceID = &asked
			}
			check, checkErr := w.Q.CheckConsent(w.Ctx, p)
			w.OK(checkErr)
			if asked == given {
				w.OK(err)
				wantEqual(t, "FindConsent", found, consent)
				wantEqual(t, "CheckConsent", check, store.CheckConsentRow{Covered: true, Missing: []string{}})
			} else {
				w.None(err)
				wantEqual(t, "CheckConsent", check, store.CheckConsentRow{Missing: []string{"openid"}})
			}
		}
	}
	client, user := w.Client, w.User
	w.Client = w.NewClient()
	_, err := w.consentIn("")
	w.None(err)
	w.Client, w.User = client, w.NewUser()
	_, err = w.consentIn("")
	w.None(err)
	w.User = user
}

func TestCheckConsentSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.consent("", false, "openid", "email")
	asking, trusted := w.NewClient(), w.NewClient(func(p *store.CreateClientParams) { p.SkipConsent = new(true) })
	empty := w.NewClient()
	_, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: empty, UserID: w.User, Scopes: []string{}})
	w.OK(err)
	none := []string{}
	for _, c := range []struct {
		name   string
		client store.ClientID
		scopes []string
		want   store.CheckConsentRow
	}{
		{"all", w.Client, []string{"email", "openid"}, store.CheckConsentRow{Covered: true, Missing: none}},
		{"some", w.Client, []string{"openid"}, store.CheckConsentRow{Covered: true, Missing: none}},
		{"more, in the order asked", w.Client, []string{"phone", "openid", "address"}, store.CheckConsentRow{Missing: []string{"phone", "address"}}},
		{"no scopes, of a user who agreed", w.Client, none, store.CheckConsentRow{Covered: true, Missing: none}},
		{"a list that is nil is an empty one", w.Client, nil, store.CheckConsentRow{Covered: true, Missing: none}},
		{"no scopes, of a user who agreed to none", empty, none, store.CheckConsentRow{Covered: true, Missing: none}},
		{"some, of a user who agreed to none", empty, []string{"openid"}, store.CheckConsentRow{Missing: []string{"openid"}}},
		{"never asked", asking, []string{"openid"}, store.CheckConsentRow{Missing: []string{"openid"}}},
		{"never asked, and no scopes", asking, none, store.CheckConsentRow{Missing: none}},
		{"never asked, and a list that is nil", asking, nil, store.CheckConsentRow{Missing: none}},
		{"a client that skips consent", trusted, []string{"openid", "anything"}, store.CheckConsentRow{Covered: true, Missing: none}},
	} {
		got, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: c.client, UserID: w.User, Scopes: c.scopes})
		w.OK(err)
		wantEqual(t, c.name, got, c.want)
	}
	w.disable(trusted)
	w.disable(w.Client)
	for _, client := range []store.ClientID{trusted, w.Client, "unknown"} {
		_, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: client, UserID: w.User, Scopes: []string{"openid"}})
		w.None(err)
	}
}

func TestListedConsentsCarryWhatASettingsPageShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	first := w.consent("acme", false, "openid")
	inAcme := func(p *store.GrantAuthorizationParams) { p.ReferenceID = new(store.ReferenceID("acme")) }
	for range 2 {
		w.Redeem(inAcme)
	}
	w.Grant(inAcme)                                // its code has not been redeemed yet
	w.Redeem()                                     // in no tenant
	w.revokeFamily(w.Redeem(inAcme).Authorization) // not in force any more
	lapsed, _ := w.Grant(inAcme)
	w.lapse(lapsed)
	w.pending()
	another := w.NewUser()
	w.Redeem(func(p *store.GrantAuthorizationParams) { inAcme(p); p.UserID, p.SessionID = another, nil })

	client := w.Client
	w.Client = w.NewClient(func(p *store.CreateClientParams) {
		p.Name, p.URI, p.Icon, p.TOS, p.Policy = new("Calendar"), new("https://c"), new("https://c/i"), new("https://c/t"), new("https://c/p")
	})
	second := w.consent("", false, "openid", "email")
	endless := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = w.Client })
	w.Exec(`UPDATE oauth_authorization SET expires_at = NULL WHERE id = $1`, string(endless.Authorization))
	w.disable(w.Client)
	w.Client = w.NewClient()
	third := w.consent("", false)
	w.Exec(`UPDATE oauth_consent SET created_at = $1`, first.CreatedAt) // pages break ties by id
	w.User, w.Client = another, client
	w.consent("acme", false, "openid")

	want := []store.ListUserConsentsRow{
		{ID: first.ID, ClientID: first.ClientID, ReferenceID: first.ReferenceID, Scopes: first.Scopes, UpdatedAt: first.UpdatedAt, Authorizations: 3},
		{
			ID: second.ID, ClientID: second.ClientID, Scopes: second.Scopes, UpdatedAt: second.UpdatedAt, ClientName: new("Calendar"),
			ClientURI: new("https://c"), ClientIcon: new("https://c/i"), ClientTOS: new("https://c/t"), ClientPolicy: new("https://c/p"),
			ClientDisabled: true, Authorizations: 1,
		},
		{ID: third.ID, ClientID: third.ClientID, Scopes: []string{}, UpdatedAt: third.UpdatedAt},
	}
	for i := range want {
		want[i].CreatedAt = first.CreatedAt
	}
	for _, size := range []int32{1, 2, 3, 4} {
		var all []store.ListUserConsentsRow
		p := store.ListUserConsentsParams{UserID: *first.UserID, PageSize: size}
		for {
			rows, err := w.Q.ListUserConsents(w.Ctx, p)
			w.OK(err)
			all = append(all, rows...)
			if len(rows) < int(size) {
				break
			}
			p.AfterCreatedAt, p.AfterID = rows[len(rows)-1].CreatedAt, rows[len(rows)-1].ID
		}
		wantEqual(t, "consents", all, want)
	}
}

func TestWithdrawConsentEndsWhatRestedOnItAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	acme := new(store.ReferenceID("acme"))
	inAcme := func(p *store.GrantAuthorizationParams) { p.ReferenceID = acme }
	toAcme := func(table string, id string) { w.Exec(`UPDATE `+table+` SET reference_id = 'acme' WHERE id = $1`, id) }
	consent := w.consent("acme", false, "openid", "email")

	family := w.Redeem(inAcme)
	unredeemed, code := w.Grant(inAcme)
	dead := w.Redeem(inAcme)
	w.revokeFamily(dead.Authorization)
	stray := w.ForeignRefreshToken("stray")
	strayAccess := w.ForeignAccessToken("stray access", &stray)
	lone := w.ForeignAccessToken("lone", nil)
	toAcme("oauth_refresh_token", string(stray))
	toAcme("oauth_access_token", string(strayAccess))
	toAcme("oauth_access_token", string(lone))

	nowhere, umbrella := w.Redeem(), w.Redeem(func(p *store.GrantAuthorizationParams) { p.ReferenceID = new(store.ReferenceID("umbrella")) })
	w.ForeignRefreshToken("stray of no tenant")
	w.ForeignAccessToken("lone of no tenant", nil)
	client, other, user, another := w.Client, w.NewClient(), w.User, w.NewUser()
	elsewhere := w.Redeem(func(p *store.GrantAuthorizationParams) { inAcme(p); p.ClientID = other })
	anothers := w.Redeem(func(p *store.GrantAuthorizationParams) { inAcme(p); p.UserID, p.SessionID = another, nil })
	machine := w.issue("machine", store.IssuanceOutcomeIssued, func(p *store.IssueAccessTokenParams) { p.ReferenceID = acme })
	w.Client = other
	w.consent("acme", false, "openid")
	w.Client, w.User = client, another
	w.consent("acme", false, "openid")
	w.User = user

	w.Unchanged(func() {
		for _, p := range []store.WithdrawConsentParams{
			{UserID: user, ClientID: client}, // of no tenant
			{UserID: user, ClientID: client, ReferenceID: new(store.ReferenceID("umbrella"))},
			{UserID: "unknown", ClientID: client, ReferenceID: acme},
			{UserID: user, ClientID: "unknown", ReferenceID: acme},
		} {
			_, err := w.Q.WithdrawConsent(w.Ctx, p)
			w.None(err)
		}
	})
	p := store.WithdrawConsentParams{UserID: user, ClientID: client, ReferenceID: acme}
	w.changesRows(
		func() {
			row, err := w.Q.WithdrawConsent(w.Ctx, p)
			w.OK(err)
			wantEqual(t, "row", row, store.WithdrawConsentRow{
				ID: consent.ID, Scopes: consent.Scopes, Authorizations: 2, RefreshTokens: 1, AccessTokens: 2,
			})
		},
		consentRow("-", consent.ID), authorizationRow("~", family.Authorization), authorizationRow("~", unredeemed),
		refreshRow("~", stray), accessRow("~", strayAccess), accessRow("~", lone),
	)
	wantEqual(t, "revoked_reason", w.authorizationOf(unredeemed).RevokedReason, new(store.RevocationReasonConsentWithdrawn))
	w.WantDead(family.Access, family.Refresh, "stray", "stray access", "lone")
	w.WantLive(nowhere.Access, nowhere.Refresh, umbrella.Refresh, "stray of no tenant", "lone of no tenant", elsewhere.Refresh, anothers.Refresh, machine)
	w.Unchanged(func() {
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, w.RedeemParams(code))
		w.OK(err)
		wantEqual(t, "the code", row.Outcome, store.RedemptionOutcomeRevoked)
		_, err = w.Q.WithdrawConsent(w.Ctx, p)
		w.None(err)
	})

	again := w.consent("", false, "openid") // in no tenant
	row, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: user, ClientID: client})
	w.OK(err)
	wantEqual(t, "row", row, store.WithdrawConsentRow{ID: again.ID, Scopes: again.Scopes, Authorizations: 1, RefreshTokens: 1, AccessTokens: 1})
	w.WantDead(nowhere.Access, nowhere.Refresh, "stray of no tenant", "lone of no tenant")
	w.WantLive(umbrella.Refresh, elsewhere.Refresh, anothers.Refresh)
}

func TestGrantConsentNeedsItsClientAndUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Unchanged(func() {
		for _, p := range []store.GrantConsentParams{
			{ID: store.NewConsentID(), ClientID: "unknown", UserID: w.User, Scopes: []string{}},
			{ID: store.NewConsentID(), ClientID: w.Client, UserID: "unknown", Scopes: []string{}},
		} {
			if _, err := w.Q.GrantConsent(w.Ctx, p); err == nil {
				t.Errorf("a consent of %s to %s", p.UserID, p.ClientID)
			}
		}
	})
}

func TestConsentOutlivesTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.consent("", false, "openid")
	w.Exec(`UPDATE session SET expires_at = now() - interval '1 day'`)
	n, err := w.Q.DeleteExpiredSessions(w.Ctx, 10)
	w.OK(err)
	wantEqual(t, "sessions collected", n, 1)
	got, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: w.User, Scopes: []string{"openid"}})
	w.OK(err)
	wantEqual(t, "CheckConsent", got.Covered, true)
}

package store_test

import (
	"testing"

	"github.com/oauthdb/oauthdb/store"
)

func consentRow[ID ~string](change string, id ID) string { return rowName(change, "oauth_consent", id) }

// consent records the user's consent to the world's client, in a tenant or (empty) in none.
func (w *world) consent(tenant store.ReferenceID, merge bool, scopes ...string) store.OAuthConsent {
	w.Helper()
	p := store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.client, UserID: w.user, Scopes: scopes, Merge: merge}
	if tenant != "" {
		p.ReferenceID = &tenant
	}
	c, err := w.q.GrantConsent(w.ctx, p)
	w.ok(err)
	return c
}

func (w *world) consentIn(tenant store.ReferenceID) (store.OAuthConsent, error) {
	p := store.FindConsentParams{ClientID: w.client, UserID: w.user}
	if tenant != "" {
		p.ReferenceID = &tenant
	}
	return w.q.FindConsent(w.ctx, p)
}

func TestGrantConsentReplacesOrMergesInItsTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var first store.OAuthConsent
	before := w.snapshot()
	first = w.consent("", false, "openid", "email", "openid")
	wantEqual(t, "changed rows", changed(before, w.snapshot()), []string{consentRow("+", first.ID)})
	wantEqual(t, "the consent", first, store.OAuthConsent{
		ID: first.ID, CreatedAt: first.CreatedAt, UpdatedAt: first.CreatedAt, ClientID: w.client, UserID: &w.user,
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
		w.ok(err)
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
			p := store.CheckConsentParams{ClientID: w.client, UserID: w.user, Scopes: []string{"openid"}}
			if asked != "" {
				p.ReferenceID = &asked
			}
			check, checkErr := w.q.CheckConsent(w.ctx, p)
			w.ok(checkErr)
			if asked == given {
				w.ok(err)
				wantEqual(t, "FindConsent", found, consent)
				wantEqual(t, "CheckConsent", check, store.CheckConsentRow{Covered: true, Missing: []string{}})
			} else {
				w.none(err)
				wantEqual(t, "CheckConsent", check, store.CheckConsentRow{Missing: []string{"openid"}})
			}
		}
	}
	client, user := w.client, w.user
	w.client = w.newClient()
	_, err := w.consentIn("")
	w.none(err)
	w.client, w.user = client, w.newUser()
	_, err = w.consentIn("")
	w.none(err)
	w.user = user
}

func TestCheckConsentSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.consent("", false, "openid", "email")
	asking, trusted := w.newClient(), w.newClient(func(p *store.CreateClientParams) { p.SkipConsent = ptr(true) })
	empty := w.newClient()
	_, err := w.q.GrantConsent(w.ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: empty, UserID: w.user, Scopes: []string{}})
	w.ok(err)
	none := []string{}
	for _, c := range []struct {
		name   string
		client store.ClientID
		scopes []string
		want   store.CheckConsentRow
	}{
		{"all", w.client, []string{"email", "openid"}, store.CheckConsentRow{Covered: true, Missing: none}},
		{"some", w.client, []string{"openid"}, store.CheckConsentRow{Covered: true, Missing: none}},
		{"more, in the order asked", w.client, []string{"phone", "openid", "address"}, store.CheckConsentRow{Missing: []string{"phone", "address"}}},
		{"no scopes, of a user who agreed", w.client, none, store.CheckConsentRow{Covered: true, Missing: none}},
		{"a list that is nil is an empty one", w.client, nil, store.CheckConsentRow{Covered: true, Missing: none}},
		{"no scopes, of a user who agreed to none", empty, none, store.CheckConsentRow{Covered: true, Missing: none}},
		{"some, of a user who agreed to none", empty, []string{"openid"}, store.CheckConsentRow{Missing: []string{"openid"}}},
		{"never asked", asking, []string{"openid"}, store.CheckConsentRow{Missing: []string{"openid"}}},
		{"never asked, and no scopes", asking, none, store.CheckConsentRow{Missing: none}},
		{"never asked, and a list that is nil", asking, nil, store.CheckConsentRow{Missing: none}},
		{"a client that skips consent", trusted, []string{"openid", "anything"}, store.CheckConsentRow{Covered: true, Missing: none}},
	} {
		got, err := w.q.CheckConsent(w.ctx, store.CheckConsentParams{ClientID: c.client, UserID: w.user, Scopes: c.scopes})
		w.ok(err)
		wantEqual(t, c.name, got, c.want)
	}
	w.disable(trusted)
	w.disable(w.client)
	for _, client := range []store.ClientID{trusted, w.client, "unknown"} {
		_, err := w.q.CheckConsent(w.ctx, store.CheckConsentParams{ClientID: client, UserID: w.user, Scopes: []string{"openid"}})
		w.none(err)
	}
}

func TestListedConsentsCarryWhatASettingsPageShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	first := w.consent("acme", false, "openid")
	inAcme := func(p *store.GrantAuthorizationParams) { p.ReferenceID = ptr(store.ReferenceID("acme")) }
	for range 2 {
		w.redeem(inAcme)
	}
	w.grant(inAcme)                                // its code has not been redeemed yet
	w.redeem()                                     // in no tenant
	w.revokeFamily(w.redeem(inAcme).authorization) // not in force any more
	lapsed, _ := w.grant(inAcme)
	w.lapse(lapsed)
	w.pending()
	another := w.newUser()
	w.redeem(func(p *store.GrantAuthorizationParams) { inAcme(p); p.UserID, p.SessionID = another, nil })

	client := w.client
	w.client = w.newClient(func(p *store.CreateClientParams) {
		p.Name, p.URI, p.Icon, p.TOS, p.Policy = ptr("Calendar"), ptr("https://c"), ptr("https://c/i"), ptr("https://c/t"), ptr("https://c/p")
	})
	second := w.consent("", false, "openid", "email")
	endless := w.redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = w.client })
	w.exec(`UPDATE oauth_authorization SET expires_at = NULL WHERE id = $1`, string(endless.authorization))
	w.disable(w.client)
	w.client = w.newClient()
	third := w.consent("", false)
	w.exec(`UPDATE oauth_consent SET created_at = $1`, first.CreatedAt) // pages break ties by id
	w.user, w.client = another, client
	w.consent("acme", false, "openid")

	want := []store.ListUserConsentsRow{
		{ID: first.ID, ClientID: first.ClientID, ReferenceID: first.ReferenceID, Scopes: first.Scopes, UpdatedAt: first.UpdatedAt, Authorizations: 3},
		{
			ID: second.ID, ClientID: second.ClientID, Scopes: second.Scopes, UpdatedAt: second.UpdatedAt, ClientName: ptr("Calendar"),
			ClientURI: ptr("https://c"), ClientIcon: ptr("https://c/i"), ClientTOS: ptr("https://c/t"), ClientPolicy: ptr("https://c/p"),
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
			rows, err := w.q.ListUserConsents(w.ctx, p)
			w.ok(err)
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
	acme := ptr(store.ReferenceID("acme"))
	inAcme := func(p *store.GrantAuthorizationParams) { p.ReferenceID = acme }
	toAcme := func(table string, id string) { w.exec(`UPDATE `+table+` SET reference_id = 'acme' WHERE id = $1`, id) }
	consent := w.consent("acme", false, "openid", "email")

	family := w.redeem(inAcme)
	unredeemed, code := w.grant(inAcme)
	dead := w.redeem(inAcme)
	w.revokeFamily(dead.authorization)
	stray := w.foreignRefreshToken("stray")
	strayAccess := w.foreignAccessToken("stray access", &stray)
	lone := w.foreignAccessToken("lone", nil)
	toAcme("oauth_refresh_token", string(stray))
	toAcme("oauth_access_token", string(strayAccess))
	toAcme("oauth_access_token", string(lone))

	nowhere, umbrella := w.redeem(), w.redeem(func(p *store.GrantAuthorizationParams) { p.ReferenceID = ptr(store.ReferenceID("umbrella")) })
	w.foreignRefreshToken("stray of no tenant")
	w.foreignAccessToken("lone of no tenant", nil)
	client, other, user, another := w.client, w.newClient(), w.user, w.newUser()
	elsewhere := w.redeem(func(p *store.GrantAuthorizationParams) { inAcme(p); p.ClientID = other })
	anothers := w.redeem(func(p *store.GrantAuthorizationParams) { inAcme(p); p.UserID, p.SessionID = another, nil })
	machine := w.issue("machine", store.IssuanceOutcomeIssued, func(p *store.IssueAccessTokenParams) { p.ReferenceID = acme })
	w.client = other
	w.consent("acme", false, "openid")
	w.client, w.user = client, another
	w.consent("acme", false, "openid")
	w.user = user

	w.unchanged(func() {
		for _, p := range []store.WithdrawConsentParams{
			{UserID: user, ClientID: client}, // of no tenant
			{UserID: user, ClientID: client, ReferenceID: ptr(store.ReferenceID("umbrella"))},
			{UserID: "unknown", ClientID: client, ReferenceID: acme},
			{UserID: user, ClientID: "unknown", ReferenceID: acme},
		} {
			_, err := w.q.WithdrawConsent(w.ctx, p)
			w.none(err)
		}
	})
	p := store.WithdrawConsentParams{UserID: user, ClientID: client, ReferenceID: acme}
	w.changesRows(
		func() {
			row, err := w.q.WithdrawConsent(w.ctx, p)
			w.ok(err)
			wantEqual(t, "row", row, store.WithdrawConsentRow{
				ID: consent.ID, Scopes: consent.Scopes, Authorizations: 2, RefreshTokens: 1, AccessTokens: 2,
			})
		},
		consentRow("-", consent.ID), authorizationRow("~", family.authorization), authorizationRow("~", unredeemed),
		refreshRow("~", stray), accessRow("~", strayAccess), accessRow("~", lone),
	)
	wantEqual(t, "revoked_reason", w.authorizationOf(unredeemed).RevokedReason, ptr(store.RevocationReasonConsentWithdrawn))
	w.wantDead(family.access, family.refresh, "stray", "stray access", "lone")
	w.wantLive(nowhere.access, nowhere.refresh, umbrella.refresh, "stray of no tenant", "lone of no tenant", elsewhere.refresh, anothers.refresh, machine)
	w.unchanged(func() {
		row, err := w.q.RedeemAuthorizationCode(w.ctx, w.redeemParams(code))
		w.ok(err)
		wantEqual(t, "the code", row.Outcome, store.RedemptionOutcomeRevoked)
		_, err = w.q.WithdrawConsent(w.ctx, p)
		w.none(err)
	})

	again := w.consent("", false, "openid") // in no tenant
	row, err := w.q.WithdrawConsent(w.ctx, store.WithdrawConsentParams{UserID: user, ClientID: client})
	w.ok(err)
	wantEqual(t, "row", row, store.WithdrawConsentRow{ID: again.ID, Scopes: again.Scopes, Authorizations: 1, RefreshTokens: 1, AccessTokens: 1})
	w.wantDead(nowhere.access, nowhere.refresh, "stray of no tenant", "lone of no tenant")
	w.wantLive(umbrella.refresh, elsewhere.refresh, anothers.refresh)
}

func TestGrantConsentNeedsItsClientAndUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.unchanged(func() {
		for _, p := range []store.GrantConsentParams{
			{ID: store.NewConsentID(), ClientID: "unknown", UserID: w.user, Scopes: []string{}},
			{ID: store.NewConsentID(), ClientID: w.client, UserID: "unknown", Scopes: []string{}},
		} {
			if _, err := w.q.GrantConsent(w.ctx, p); err == nil {
				t.Errorf("a consent of %s to %s", p.UserID, p.ClientID)
			}
		}
	})
}

func TestConsentOutlivesTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.consent("", false, "openid")
	w.exec(`UPDATE session SET expires_at = now() - interval '1 day'`)
	n, err := w.q.DeleteExpiredSessions(w.ctx, 10)
	w.ok(err)
	wantEqual(t, "sessions collected", n, 1)
	got, err := w.q.CheckConsent(w.ctx, store.CheckConsentParams{ClientID: w.client, UserID: w.user, Scopes: []string{"openid"}})
	w.ok(err)
	wantEqual(t, "CheckConsent", got.Covered, true)
}

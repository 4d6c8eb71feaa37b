package calls

import (
	"encoding/json"
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
	row, err := w.Q.GrantConsent(w.Ctx, p)
	w.OK(err)
	w.Want("GrantConsent", row.Outcome, store.OutcomeGranted)
	c, err := w.consentIn(tenant)
	w.OK(err)
	wantEqual(w, "the answer", row, store.GrantConsentRow{Outcome: store.OutcomeGranted, ID: &c.ID, Scopes: c.Scopes})
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
				wantEqual(t, "CheckConsent", check, store.CheckConsentRow{Outcome: store.OutcomeActive, Covered: true, Missing: []string{}, MissingResources: []string{}})
			} else {
				w.None(err)
				wantEqual(t, "CheckConsent", check, store.CheckConsentRow{Outcome: store.OutcomeActive, Missing: []string{"openid"}, MissingResources: []string{}})
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
	check, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: w.User, Scopes: []string{"openid"}})
	w.OK(err)
	wantEqual(t, "CheckConsent of another user", check, store.CheckConsentRow{Outcome: store.OutcomeActive, Missing: []string{"openid"}, MissingResources: []string{}})
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
		{"all", w.Client, []string{"email", "openid"}, store.CheckConsentRow{Outcome: store.OutcomeActive, Covered: true, Missing: none, MissingResources: none}},
		{"some", w.Client, []string{"openid"}, store.CheckConsentRow{Outcome: store.OutcomeActive, Covered: true, Missing: none, MissingResources: none}},
		{"more, in the order asked", w.Client, []string{"phone", "openid", "address"}, store.CheckConsentRow{Outcome: store.OutcomeActive, Missing: []string{"phone", "address"}, MissingResources: none}},
		{"no scopes, of a user who agreed", w.Client, none, store.CheckConsentRow{Outcome: store.OutcomeActive, Covered: true, Missing: none, MissingResources: none}},
		{"a list that is nil is an empty one", w.Client, nil, store.CheckConsentRow{Outcome: store.OutcomeActive, Covered: true, Missing: none, MissingResources: none}},
		{"no scopes, of a user who agreed to none", empty, none, store.CheckConsentRow{Outcome: store.OutcomeActive, Covered: true, Missing: none, MissingResources: none}},
		{"some, of a user who agreed to none", empty, []string{"openid"}, store.CheckConsentRow{Outcome: store.OutcomeActive, Missing: []string{"openid"}, MissingResources: none}},
		{"never asked", asking, []string{"openid"}, store.CheckConsentRow{Outcome: store.OutcomeActive, Missing: []string{"openid"}, MissingResources: none}},
		{"never asked, and no scopes", asking, none, store.CheckConsentRow{Outcome: store.OutcomeActive, Missing: none, MissingResources: none}},
		{"never asked, and a list that is nil", asking, nil, store.CheckConsentRow{Outcome: store.OutcomeActive, Missing: none, MissingResources: none}},
		{"a client that skips consent", trusted, []string{"openid", "anything"}, store.CheckConsentRow{Outcome: store.OutcomeActive, Covered: true, Missing: none, MissingResources: none}},
	} {
		got, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: c.client, UserID: w.User, Scopes: c.scopes})
		w.OK(err)
		wantEqual(t, c.name, got, c.want)
	}
	w.disable(trusted)
	w.disable(w.Client)
	w.deleteClient(asking)
	for client, want := range map[store.ClientID]store.Outcome{
		trusted: store.OutcomeDisabled, w.Client: store.OutcomeDisabled, asking: store.OutcomeUnknown, "unknown": store.OutcomeUnknown, "": store.OutcomeUnknown,
	} {
		got, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: client, UserID: w.User, Scopes: []string{"openid"}})
		w.OK(err)
		w.want("CheckConsent", got.Outcome, want)
		wantEqual(t, "covered", got.Covered, false)
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
	w.Redeem(inAcme, online)                       // it is as live as its session
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
		{ID: first.ID, ClientID: first.ClientID, ReferenceID: first.ReferenceID, Scopes: first.Scopes, UpdatedAt: first.UpdatedAt, Authorizations: 4},
		{
			ID: second.ID, ClientID: second.ClientID, Scopes: second.Scopes, UpdatedAt: second.UpdatedAt, ClientName: new("Calendar"),
			ClientURI: new("https://c"), ClientIcon: new("https://c/i"), ClientTOS: new("https://c/t"), ClientPolicy: new("https://c/p"),
			ClientDisabled: true, // so nothing of it is live
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
			if all = append(all, rows...); len(rows) < int(size) {
				break
			}
			if len(rows) > int(size) {
				t.Fatalf("a page of %d has %d rows", size, len(rows))
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
	consent := w.consent("acme", false, "openid", "email")

	family := w.Redeem(inAcme)
	_, code := w.Grant(inAcme)
	nowhere, umbrella := w.Redeem(), w.Redeem(func(p *store.GrantAuthorizationParams) { p.ReferenceID = new(store.ReferenceID("umbrella")) })
	foreign := w.ForeignRefreshToken("foreign") // of no tenant
	w.ForeignAccessToken("foreign access", &foreign)
	client, other, user, another := w.Client, w.NewClient(), w.User, w.NewUser()
	elsewhere := w.Redeem(func(p *store.GrantAuthorizationParams) { inAcme(p); p.ClientID = other })
	anothers := w.Redeem(func(p *store.GrantAuthorizationParams) { inAcme(p); p.UserID, p.SessionID = another, nil })
	machine := w.issue("machine token", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.ReferenceID = acme })
	w.Client = other
	w.consent("acme", false, "openid")
	w.Client, w.User = client, another
	w.consent("acme", false, "openid")
	w.User = user

	withdraw := func(p store.WithdrawConsentParams, want store.WithdrawConsentRow) {
		w.Helper()
		row, err := w.Q.WithdrawConsent(w.Ctx, p)
		w.OK(err)
		wantEqual(w, "row", row, want)
	}
	w.Unchanged(func() {
		withdraw(store.WithdrawConsentParams{UserID: "unknown", ClientID: client, ReferenceID: acme}, store.WithdrawConsentRow{Outcome: store.OutcomeUnknown})
	})
	p := store.WithdrawConsentParams{UserID: user, ClientID: client, ReferenceID: acme}
	w.changesRows(func() {
		withdraw(p, store.WithdrawConsentRow{Outcome: store.OutcomeWithdrawn, Scopes: consent.Scopes})
	}, consentRow("-", consent.ID), rowName("~", "user", user))
	w.WantDead(family.Access, family.Refresh)
	w.WantLive(nowhere.Access, nowhere.Refresh, umbrella.Refresh, "foreign", "foreign access", elsewhere.Refresh, anothers.Refresh, machine)
	w.Unchanged(func() { w.redeem(code, store.OutcomeRevoked) })
	later := w.Redeem(inAcme)
	withdraw(p, store.WithdrawConsentRow{Outcome: store.OutcomeEnded}) // what was granted without one
	w.WantDead(later.Access)

	again := w.consent("", false, "openid") // in no tenant
	withdraw(store.WithdrawConsentParams{UserID: user, ClientID: client}, store.WithdrawConsentRow{Outcome: store.OutcomeWithdrawn, Scopes: again.Scopes})
	w.WantDead(nowhere.Access, nowhere.Refresh, "foreign", "foreign access")
	w.WantLive(umbrella.Refresh, elsewhere.Refresh, anothers.Refresh)
}

// There is one consent for each user and client; where it stood before, its grants can be ended all the same.
func TestConsentThatMovedToAnotherTenantIsWithdrawnInBoth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	in := func(tenant store.ReferenceID) fixture.Tokens {
		w.consent(tenant, false, "openid")
		return w.Redeem(func(p *store.GrantAuthorizationParams) { p.ReferenceID = &tenant })
	}
	a, b := in("A"), in("B")
	row, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: w.Client, ReferenceID: new(store.ReferenceID("A"))})
	w.OK(err)
	wantEqual(t, "row", row, store.WithdrawConsentRow{Outcome: store.OutcomeEnded})
	w.WantDead(a.Access, a.Refresh)
	w.WantLive(b.Access, b.Refresh)
	_, err = w.consentIn("B")
	w.OK(err)
	listed, err := w.Q.ListUserAuthorizations(w.Ctx, store.ListUserAuthorizationsParams{UserID: w.User, PageSize: 10})
	w.OK(err)
	wantEqual(t, "authorizations in force", len(listed), 1)
}

// What ends the grants of a user and a client asks again.
func TestConsentEndsWithTheGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for name, end := range map[string]func() store.Outcome{
		"RevokeUserAuthorizations": func() store.Outcome { return w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User)) },
		"RevokeUserAuthorizationsByClient": func() store.Outcome {
			return w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: w.Client}))
		},
	} {
		w.consent("", false, "openid", "email")
		w.want(name, end(), store.OutcomeEnded)
		_, err := w.consentIn("")
		w.None(err)
		check, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: w.User, Scopes: []string{"openid"}})
		w.OK(err)
		wantEqual(t, name, check, store.CheckConsentRow{Outcome: store.OutcomeActive, Missing: []string{"openid"}, MissingResources: []string{}})
		listed, err := w.Q.ListUserConsents(w.Ctx, store.ListUserConsentsParams{UserID: w.User, PageSize: 10})
		w.OK(err)
		wantEqual(t, name+": listed", len(listed), 0)
		wantEqual(t, "what is merged into one that doesn't count", w.consent("", true, "phone").Scopes, []string{"phone"})
	}
}

func TestGrantConsentNeedsItsClientAndUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	disabled, suspended, deleted := w.NewClient(), w.NewUser(), w.NewUser()
	w.disable(disabled)
	w.suspend(suspended)
	w.deleteUser(deleted)
	w.Unchanged(func() {
		for _, c := range []struct {
			client store.ClientID
			user   store.UserID
			want   store.Outcome
		}{
			{"unknown", w.User, store.OutcomeUnknown},
			{w.Client, "unknown", store.OutcomeUnknown},
			{w.Client, deleted, store.OutcomeUnknown},
			{disabled, w.User, store.OutcomeDisabled},
			{w.Client, suspended, store.OutcomeSuspended},
		} {
			row, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: c.client, UserID: c.user})
			w.OK(err)
			wantEqual(t, "row", row, store.GrantConsentRow{Outcome: c.want})
		}
	})
}

func TestConsentOutlivesTheSession(t *testing.T) {
	t.Parallel()
	w := newWorldAlone(t, 2)
	w.consent("", false, "openid")
	w.Exec(`UPDATE session SET expires_at = now() - interval '1 day'`)
	row, err := w.Q.DeleteExpiredSessions(w.Ctx, store.DeleteExpiredSessionsParams{BatchSize: 10})
	w.OK(err)
	row.LastExpiresAt = nil
	wantEqual(t, "sessions collected", row, store.DeleteExpiredSessionsRow{Deleted: 1})
	got, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: w.User, Scopes: []string{"openid"}})
	w.OK(err)
	wantEqual(t, "CheckConsent", got.Covered, true)
}

// What another server stores for a user who is suspended or deleted doesn't count, nor does what is stored for nobody.
func TestConsentOfAUserWhoMayNotGiveOneDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	suspended, deleted := w.NewUser(), w.NewUser()
	w.suspend(suspended)
	w.deleteUser(deleted)
	w.Exec(`UPDATE "user" SET suspended_at = NULL WHERE id = $1`, deleted) // it is enough that the user is deleted
	w.Exec(`INSERT INTO oauth_consent (id, client_id, scopes) VALUES ('nobody', $1, '{openid}')`, string(w.Client))
	for _, user := range []store.UserID{suspended, deleted, "nobody"} {
		if user != "nobody" {
			w.Exec(`INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ($1, $2, $3, '{openid}')`, string(user), string(w.Client), string(user))
		}
		_, err := w.Q.FindConsent(w.Ctx, store.FindConsentParams{ClientID: w.Client, UserID: user})
		w.None(err)
		check, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: user, Scopes: []string{"openid"}})
		w.OK(err)
		wantEqual(t, "covered", check.Covered, false)
		listed, err := w.Q.ListUserConsents(w.Ctx, store.ListUserConsentsParams{UserID: user, PageSize: 10})
		w.OK(err)
		wantEqual(t, "listed", len(listed), 0)
	}
	for user, want := range map[store.UserID]store.Outcome{suspended: store.OutcomeEnded, deleted: store.OutcomeUnknown, "nobody": store.OutcomeUnknown} {
		row, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{ClientID: w.Client, UserID: user})
		w.OK(err)
		wantEqual(t, "WithdrawConsent", row, store.WithdrawConsentRow{Outcome: want})
	}
}

// What an ending has ended is not withdrawn any more, but a consent that is withdrawn for want of room for a counter was there.
func TestWithdrawConsentSaysWhetherItCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := store.WithdrawConsentParams{ClientID: w.Client, UserID: w.User}
	withdraw := func(what string, want store.Outcome, scopes []string) {
		t.Helper()
		row, err := w.Q.WithdrawConsent(w.Ctx, p)
		w.OK(err)
		wantEqual(t, what, row, store.WithdrawConsentRow{Outcome: want, Scopes: scopes})
	}
	w.consent("", false, "openid")
	w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User)), store.OutcomeEnded)
	withdraw("ended with all of the user's", store.OutcomeEnded, nil)
	w.consent("", false, "openid")
	w.want("RevokeUserAuthorizationsByClient",
		w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: w.Client})), store.OutcomeEnded)
	withdraw("ended with those to the client", store.OutcomeEnded, nil)
	w.Exec(`UPDATE "user" SET ended_grants = (SELECT jsonb_object_agg('-' || n, jsonb_build_object('', 1)) FROM generate_series(1, 256) AS n) WHERE id = $1`, string(w.User))
	w.consent("", false, "openid")
	withdraw("without room", store.OutcomeWithdrawn, []string{"openid"})
	w.Exec(`UPDATE "user" SET ended_grants = (SELECT jsonb_object_agg('-' || n, jsonb_build_object('', 1)) FROM generate_series(1, 255) AS n) WHERE id = $1`, string(w.User))
	for range 3 { // the last that has room is raised where it stands
		w.consent("", false, "openid")
		k := w.Redeem()
		elsewhere := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ReferenceID = new(store.ReferenceID("acme")) })
		withdraw("with room", store.OutcomeWithdrawn, []string{"openid"})
		w.WantDead(k.Access)
		w.WantLive(elsewhere.Access)
	}
}

// Ours are the columns that another server doesn't know of: what we agree to anew after the grants to the client have ended is kept.
func TestConsentAtAResourceIsGivenAnewAfterItsClientsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, details := range []string{`[{"type": "pay"}]`, `[{"type": "read"}]`} {
		row := w.agree(func(p *store.GrantConsentParams) {
			p.Resources, p.Scopes, p.AuthorizationDetails = []string{bankAPI}, []string{"pay"}, json.RawMessage(details)
		})
		wantJSON(t, "at the resource", row.ResourceScopes, `{"https://bank.example": ["pay"]}`)
		wantJSON(t, "details", row.AuthorizationDetails, details)
		wantEqual(t, "covered", w.check([]string{"pay"}, []string{bankAPI}).Covered, true)
		w.want("RevokeUserAuthorizationsByClient",
			w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: w.Client})), store.OutcomeEnded)
		wantEqual(t, "covered once it has ended", w.check([]string{"pay"}, []string{bankAPI}).Covered, false)
	}
}

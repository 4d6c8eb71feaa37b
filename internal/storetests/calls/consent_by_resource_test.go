package calls

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/store"
)

const (
	calendarAPI = "https://calendar.example"
	bankAPI     = "https://bank.example"
)

// agree records a consent of the world's user to the world's client, in no tenant unless change says so.
func (w *world) agree(change func(*store.GrantConsentParams)) store.GrantConsentRow {
	w.Helper()
	p := store.GrantConsentParams{ID: store.NewConsentID(), ClientID: w.Client, UserID: w.User, Merge: true}
	change(&p)
	row, err := w.Q.GrantConsent(w.Ctx, p)
	w.OK(err)
	w.want("GrantConsent", row.Outcome, store.OutcomeGranted)
	return row
}

func (w *world) agreeAt(resource string, scopes ...string) store.GrantConsentRow {
	w.Helper()
	return w.agree(func(p *store.GrantConsentParams) { p.Resources, p.Scopes = []string{resource}, scopes })
}

func (w *world) check(scopes, resources []string) store.CheckConsentRow {
	w.Helper()
	row, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: w.User, Scopes: scopes, Resources: resources})
	w.OK(err)
	return row
}

func wantJSON(t testing.TB, what string, got json.RawMessage, want string) {
	t.Helper()
	if want == "" && got == nil {
		return
	}
	var g, v any
	if json.Unmarshal(got, &g) != nil || json.Unmarshal([]byte(want), &v) != nil || fmt.Sprint(g) != fmt.Sprint(v) {
		t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// What a user agreed to at one resource is covered there and nowhere else (RFC 8707): "read" at the calendar is not "read" at the bank,
// and "read" at one and "pay" at another cover nothing crosswise.
func TestConsentAtOneResourceCoversNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.agreeAt(calendarAPI, "read", "write", "read")
	w.agreeAt(bankAPI, "pay")
	row := w.agree(func(p *store.GrantConsentParams) { p.Scopes = []string{"openid"} })
	wantEqual(t, "scopes without a resource", row.Scopes, []string{"openid"})
	wantJSON(t, "scopes by resource", row.ResourceScopes, `{"https://calendar.example": ["read", "write"], "https://bank.example": ["pay"]}`)
	none := []string{}
	for _, c := range []struct {
		name              string
		scopes, resources []string
		missing, at       []string
	}{
		{"read at the calendar", []string{"read"}, []string{calendarAPI}, none, none},
		{"all at the calendar", []string{"write", "read"}, []string{calendarAPI}, none, none},
		{"read at the bank", []string{"read"}, []string{bankAPI}, []string{"read"}, []string{bankAPI}},
		{"pay at the calendar", []string{"pay"}, []string{calendarAPI}, []string{"pay"}, []string{calendarAPI}},
		{"both at both", []string{"pay", "read"}, []string{bankAPI, calendarAPI, bankAPI}, []string{"pay", "read"}, []string{bankAPI, calendarAPI}},
		{"read at both", []string{"read"}, []string{calendarAPI, bankAPI}, []string{"read"}, []string{bankAPI}},
		{"read without a resource", []string{"openid", "read"}, nil, []string{"read"}, none},
		{"read without a resource, of an empty list", []string{"read"}, none, []string{"read"}, none},
		{"openid at the calendar", []string{"openid"}, []string{calendarAPI}, []string{"openid"}, []string{calendarAPI}},
		{"no scope at the bank", nil, []string{bankAPI}, none, none},
		{"no scope at a resource that the user never saw", nil, []string{"https://mail.example"}, none, []string{"https://mail.example"}},
		{"a resource in another notation", []string{"pay"}, []string{bankAPI + "/"}, []string{"pay"}, []string{bankAPI + "/"}},
	} {
		got := w.check(c.scopes, c.resources)
		covered := len(c.missing) == 0 && len(c.at) == 0
		wantEqual(t, c.name, got, store.CheckConsentRow{Outcome: store.OutcomeActive, Covered: covered, Missing: c.missing, MissingResources: c.at})
	}
	client := w.Client
	w.Client = w.NewClient()
	wantEqual(t, "never asked, and no scopes", w.check(nil, []string{bankAPI}), store.CheckConsentRow{
		Outcome: store.OutcomeActive, Missing: none, MissingResources: []string{bankAPI},
	})
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.SkipConsent = new(true) })
	wantEqual(t, "a client that skips consent", w.check([]string{"pay"}, []string{bankAPI}), store.CheckConsentRow{
		Outcome: store.OutcomeActive, Covered: true, Missing: none, MissingResources: none,
	})
	w.Client = client

	tenant := new(store.ReferenceID("acme"))
	row = w.agree(func(p *store.GrantConsentParams) {
		p.ReferenceID, p.Resources, p.Scopes = tenant, []string{bankAPI}, []string{"read"}
	})
	wantJSON(t, "in another tenant nothing is merged", row.ResourceScopes, `{"https://bank.example": ["read"]}`)
	wantEqual(t, "in another tenant", w.check([]string{"read"}, []string{bankAPI}).Covered, false)
	listed, err := w.Q.ListUserConsents(w.Ctx, store.ListUserConsentsParams{UserID: w.User, PageSize: 10})
	w.OK(err)
	wantJSON(t, "listed", listed[0].ResourceScopes, `{"https://bank.example": ["read"]}`)
	gone, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: w.Client, ReferenceID: tenant})
	w.OK(err)
	w.want("WithdrawConsent", gone.Outcome, store.OutcomeWithdrawn)
	wantJSON(t, "withdrawn", gone.ResourceScopes, `{"https://bank.example": ["read"]}`)
}

// Without merge, what the user agrees to replaces all of it: scopes, what was agreed to at a resource, and details.
func TestConsentReplacesWhatWasAgreedToAtAResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.agree(func(p *store.GrantConsentParams) {
		p.Resources, p.Scopes, p.AuthorizationDetails = []string{bankAPI, calendarAPI}, []string{"read"}, json.RawMessage(`[{"type": "pay"}]`)
	})
	row := w.agree(func(p *store.GrantConsentParams) {
		p.Resources, p.Scopes, p.Merge = []string{bankAPI}, []string{"pay"}, false
	})
	wantEqual(t, "scopes", row.Scopes, []string{})
	wantJSON(t, "at resources", row.ResourceScopes, `{"https://bank.example": ["pay"]}`)
	wantJSON(t, "details", row.AuthorizationDetails, "")
	row = w.agree(func(p *store.GrantConsentParams) { p.Scopes, p.Merge = []string{"openid"}, false })
	wantEqual(t, "scopes", row.Scopes, []string{"openid"})
	wantJSON(t, "at resources", row.ResourceScopes, "")
	row = w.agree(func(p *store.GrantConsentParams) { p.Scopes, p.Resources = []string{"email"}, []string{} })
	wantEqual(t, "scopes, at an empty list of resources", row.Scopes, []string{"openid", "email"})
	row = w.agree(func(p *store.GrantConsentParams) { p.Resources = []string{bankAPI} })
	wantJSON(t, "a resource without a scope", row.ResourceScopes, `{"https://bank.example": []}`)
	wantEqual(t, "and the resource itself is covered", w.check(nil, []string{bankAPI}).Covered, true)
}

// An element of authorization_details is covered by an equal one and by nothing else: leaving a limit out widens (RFC 9396).
func TestConsentComparesAuthorizationDetailsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	row := w.agree(func(p *store.GrantConsentParams) {
		p.AuthorizationDetails = json.RawMessage(`[{"type": "pay", "amount": "500"}, {"type": "read"}, {"amount": "500", "type": "pay"}]`)
	})
	wantJSON(t, "each once", row.AuthorizationDetails, `[{"type": "pay", "amount": "500"}, {"type": "read"}]`)
	for asked, missing := range map[string]string{
		`[]`:                                 "",
		`[{"amount": "500", "type": "pay"}]`: "",
		`[{"type": "read"}, {"type": "pay", "amount": "500"}]`: "",
		`[{"type": "pay"}]`:                                       `[{"type": "pay"}]`,
		`[{"type": "pay", "amount": "50"}]`:                       `[{"type": "pay", "amount": "50"}]`,
		`[{"type": "pay", "amount": 500}]`:                        `[{"type": "pay", "amount": 500}]`,
		`[{"type": "pay", "amount": "500", "to": "x"}]`:           `[{"type": "pay", "amount": "500", "to": "x"}]`,
		`[{"type": "x"}, {"type": "read"}, {"type": "y"}]`:        `[{"type": "x"}, {"type": "y"}]`,
		`[[{"type": "read"}]]`:                                    `[[{"type": "read"}]]`,
		`[{"type": "read", "actions": []}]`:                       `[{"type": "read", "actions": []}]`,
		`[{"type": "pay", "amount": "500", "locations": ["a"] }]`: `[{"type": "pay", "amount": "500", "locations": ["a"]}]`,
	} {
		got, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: w.User, AuthorizationDetails: json.RawMessage(asked)})
		w.OK(err)
		wantEqual(t, asked, got.Covered, missing == "")
		wantJSON(t, asked, got.MissingAuthorizationDetails, missing)
	}
	row = w.agree(func(p *store.GrantConsentParams) {
		p.AuthorizationDetails = json.RawMessage(`[{"type": "x"}, {"type": "read"}]`)
	})
	wantJSON(t, "merged", row.AuthorizationDetails, `[{"type": "pay", "amount": "500"}, {"type": "read"}, {"type": "x"}]`)
	wantEqual(t, "none asked", w.check(nil, nil).Covered, true)
	other := w.NewClient()
	got, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: other, UserID: w.User, AuthorizationDetails: json.RawMessage(`[{"type": "read"}]`)})
	w.OK(err)
	wantJSON(t, "without a consent", got.MissingAuthorizationDetails, `[{"type": "read"}]`)
	for _, bad := range []string{`{}`, `null`, `"read"`, `{"type": "read"}`} {
		w.Unchanged(func() {
			_, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: "x", ClientID: w.Client, UserID: w.User, Merge: true, AuthorizationDetails: json.RawMessage(bad)})
			wantEqual(t, "GrantConsent of "+bad, pgErrorOf(err).Message, "AuthorizationDetails is not a list")
			_, err = w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: w.Client, UserID: w.User, AuthorizationDetails: json.RawMessage(bad)})
			wantEqual(t, "CheckConsent of "+bad, pgErrorOf(err).Message, "AuthorizationDetails is not a list")
		})
	}
}

// What ends the grants ends what was agreed to at a resource, too; and a server that doesn't know of resource_scopes, and writes its own
// columns again, doesn't revive it.
func TestConsentAtAResourceEndsWithTheGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	details := func(p *store.GrantConsentParams) {
		p.Resources, p.Scopes, p.AuthorizationDetails = []string{bankAPI}, []string{"pay"}, json.RawMessage(`[{"type": "pay"}]`)
	}
	w.agree(details)
	w.Exec(`UPDATE oauth_consent SET scopes = '{openid}', updated_at = now()`)
	wantEqual(t, "another server adds to it while it counts", w.check([]string{"pay"}, []string{bankAPI}).Covered, true)
	w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User)), store.OutcomeEnded)
	wantEqual(t, "ended", w.check([]string{"pay"}, []string{bankAPI}).Covered, false)
	w.Exec(`UPDATE oauth_consent SET scopes = '{openid,email}', updated_at = now()`)
	wantEqual(t, "what another server asked for", w.check([]string{"email"}, nil).Covered, true)
	wantEqual(t, "what it doesn't know of", w.check([]string{"pay"}, []string{bankAPI}).Covered, false)
	c, err := w.consentIn("")
	w.OK(err)
	wantJSON(t, "details", c.AuthorizationDetails, "")
	w.agree(details)
	w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User)), store.OutcomeEnded)
	row := w.agree(details)
	wantJSON(t, "the same again, by ourselves", row.ResourceScopes, `{"https://bank.example": ["pay"]}`)
	wantJSON(t, "its details", row.AuthorizationDetails, `[{"type": "pay"}]`)
	wantEqual(t, "is agreed to", w.check([]string{"pay"}, []string{bankAPI}).Covered, true)
}

// A better-auth server names the resources to which the scopes of its consent apply.
func TestConsentOfAnotherServerCountsAtItsResources(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Exec(`INSERT INTO oauth_consent (id, client_id, user_id, scopes, resources) VALUES ('foreign', $1, $2, '{read,write}', $3)`, w.Client, w.User, []string{calendarAPI})
	wantEqual(t, "at its resource", w.check([]string{"read"}, []string{calendarAPI}).Covered, true)
	wantEqual(t, "at another", w.check([]string{"read"}, []string{bankAPI}).Covered, false)
	wantEqual(t, "without one", w.check([]string{"read"}, nil).Covered, false)
	row := w.agreeAt(bankAPI, "pay")
	wantEqual(t, "scopes", row.Scopes, []string{})
	wantJSON(t, "merged", row.ResourceScopes, `{"https://calendar.example": ["read", "write"], "https://bank.example": ["pay"]}`)
	c, err := w.consentIn("")
	w.OK(err)
	wantEqual(t, "so that the other server doesn't take one for the other", c.Resources, nil)
}

// Ten times as many scopes take about ten times as long, asked with a resource or without.
func TestManyScopesOfAConsentAreCheckedInLinearTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	fastest := func(n int) time.Duration {
		scopes, reversed := make([]string, n), make([]string, n)
		for i := range n {
			scopes[i] = fmt.Sprint("s", i)
			reversed[n-1-i] = scopes[i]
		}
		w.Client = w.NewClient()
		w.agree(func(p *store.GrantConsentParams) { p.Scopes = scopes })
		w.agreeAt(bankAPI, scopes...)
		best := time.Hour
		for range 7 {
			start := time.Now()
			for _, resources := range [][]string{nil, {bankAPI}} {
				got := w.check(reversed, resources)
				wantEqual(t, "covered", got.Covered, true)
				got = w.check(append(reversed, "more"), resources)
				wantEqual(t, "missing", got.Missing, []string{"more"})
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	var few, many time.Duration
	for range 4 { // the machine is busy at times; comparing each with each takes a hundred times as long each time
		if few, many = fastest(500), fastest(5000); many < 30*few+20*time.Millisecond {
			return
		}
	}
	t.Errorf("500 scopes take %s, 5,000 take %s", few, many)
}

// connections are all of the user's, read in pages of a size.
func (w *world) connections(size int32) (all []store.ListUserConnectionsRow) {
	w.Helper()
	p := store.ListUserConnectionsParams{UserID: w.User, PageSize: size}
	for {
		rows, err := w.Q.ListUserConnections(w.Ctx, p)
		w.OK(err)
		if all = append(all, rows...); len(rows) < int(size) {
			return all
		}
		if len(rows) > int(size) {
			w.Fatalf("a page of %d has %d rows", size, len(rows))
		}
		p.AfterClientID, p.AfterReferenceID = rows[len(rows)-1].ClientID, rows[len(rows)-1].ReferenceID
	}
}

func TestConnectionsAreWhatIsLivePerClientAndTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	wantEqual(t, "nothing granted", len(w.connections(10)), 0)
	w.Client = w.NewClient(func(p *store.CreateClientParams) {
		p.ClientID, p.Name, p.URI, p.Icon, p.TOS, p.Policy = "b", new("B"), new("https://b"), new("https://b/i"), new("https://b/t"), new("https://b/p")
	})
	w.Exec(`UPDATE oauth_client SET resources = $2 WHERE client_id = $1`, w.Client, []string{bankAPI, calendarAPI, "https://api.example", "https://files.example"})
	acme := new(store.ReferenceID("acme"))
	first := w.Redeem(func(p *store.GrantAuthorizationParams) {
		p.ReferenceID, p.GrantedScopes, p.Resources = acme, []string{"openid", "offline_access"}, []string{bankAPI}
	})
	second := w.Redeem(func(p *store.GrantAuthorizationParams) {
		p.ReferenceID, p.GrantedScopes, p.Resources = acme, []string{"email", "openid"}, []string{calendarAPI, bankAPI}
	})
	w.Exec(`UPDATE oauth_authorization SET created_at = now() - interval '3 days' WHERE id = $1`, string(first.Authorization))
	w.Exec(`UPDATE oauth_authorization SET created_at = now() - interval '2 days' WHERE id = $1`, string(second.Authorization))
	w.Exec(`UPDATE oauth_refresh_token SET created_at = now() - interval '30 hours'`)
	w.Exec(`UPDATE oauth_access_token SET created_at = now() - interval '40 hours'`)
	_, access := w.Rotate(first.Refresh, store.OutcomeRotated)
	last := w.accessTokenOf(access).CreatedAt
	plain := w.Redeem(func(p *store.GrantAuthorizationParams) { p.Resources, p.GrantedScopes = nil, nil })

	// what is none
	revoked := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ReferenceID, p.GrantedScopes = acme, []string{"calendar"} })
	w.revokeFamily(revoked.Authorization)
	lapsed, _ := w.Grant(func(p *store.GrantAuthorizationParams) { p.ReferenceID = new(store.ReferenceID("lapsed")) })
	w.lapse(lapsed)
	w.pending()
	over := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ReferenceID = new(store.ReferenceID("over")) })
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() WHERE authorization_id = $1`, string(over.Authorization))
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() WHERE authorization_id = $1`, string(over.Authorization))
	another := w.NewUser()
	w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = another, nil })

	// and others that are: a code that awaits its redemption, of a client that comes first; a bound grant, of one that comes last
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.ClientID = "a" })
	w.Grant(func(p *store.GrantAuthorizationParams) { p.ReferenceID = new(store.ReferenceID("zeta")) })
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.ClientID = "c" })
	w.Redeem(online)

	key := func(r store.ListUserConnectionsRow) string {
		if r.ReferenceID == nil {
			return string(r.ClientID)
		}
		return string(r.ClientID) + " " + string(*r.ReferenceID)
	}
	for size := range int32(6) {
		if size == 0 {
			continue
		}
		var keys []string
		for _, r := range w.connections(size) {
			keys = append(keys, key(r))
		}
		wantEqual(t, "connections", keys, []string{"a zeta", "b", "b acme", "c"})
	}
	all := w.connections(10)
	got, want := all[2], store.ListUserConnectionsRow{
		ClientID: "b", ReferenceID: acme, FirstUsedAt: w.authorizationOf(first.Authorization).CreatedAt, LastUsedAt: last, Authorizations: 2,
		Scopes: []string{"email", "offline_access", "openid"}, Resources: []string{bankAPI, calendarAPI},
		ClientName: new("B"), ClientURI: new("https://b"), ClientIcon: new("https://b/i"), ClientTOS: new("https://b/t"), ClientPolicy: new("https://b/p"),
	}
	wantEqual(t, "the connection", got, want)
	wantEqual(t, "of no scopes", []any{all[1].Scopes, all[1].Resources, all[1].Authorizations}, []any{[]string{}, []string{}, int64(1)})
	wantEqual(t, "first use of a code", all[0].FirstUsedAt, all[0].LastUsedAt)

	// it ends with what ends the grants
	row, err := w.Q.WithdrawConsent(w.Ctx, store.WithdrawConsentParams{UserID: w.User, ClientID: "b", ReferenceID: acme})
	w.OK(err)
	w.want("WithdrawConsent", row.Outcome, store.OutcomeEnded)
	wantEqual(t, "after a withdrawal", len(w.connections(10)), 3)
	w.WantLive(plain.Access)
	w.endSession(w.Session)
	wantEqual(t, "after the sign-out", len(w.connections(10)), 1)
	w.disable("a")
	wantEqual(t, "of a disabled client", len(w.connections(10)), 0)
	w.want("EnableClient", w.outcome(w.Q.EnableClient(w.Ctx, "a")), store.OutcomeEnabled)
	wantEqual(t, "enabled again", len(w.connections(10)), 1)
	w.suspend(w.User)
	wantEqual(t, "of a suspended user", len(w.connections(10)), 0)
}

// A connection is there while a code can be redeemed, or a token is in force: to the instant, and without end where nothing says when.
func TestConnectionLastsAsLongAsWhatItRestsOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := string(w.Redeem().Authorization)
	const (
		over   = `UPDATE oauth_authorization SET expires_at = NULL`
		noneR  = `UPDATE oauth_refresh_token SET revoked = NULL, expires_at = now(), access_token_expires_at = NULL`
		noneA  = `UPDATE oauth_access_token SET revoked = NULL, expires_at = now()`
		family = `UPDATE oauth_authorization SET expires_at = `
		token  = `UPDATE oauth_refresh_token SET `
		access = `UPDATE oauth_access_token SET `
		soon   = `now() + interval '1 microsecond'`
	)
	of := func(sql string) string {
		if strings.Contains(sql, "oauth_authorization") {
			return "= id"
		}
		return "= authorization_id"
	}
	for _, c := range []struct {
		sql  string
		live bool
	}{
		{over, false},
		{family + soon, true},
		{family + `now()`, false},
		{token + `expires_at = ` + soon, true},
		{token + `expires_at = NULL`, true},
		{token + `expires_at = NULL; ` + token + `revoked = now()`, false},
		{token + `expires_at = ` + soon + `; ` + token + `revoked = now()`, false},
		{token + `access_token_expires_at = ` + soon, true},
		{token + `access_token_expires_at = now()`, false},
		{access + `expires_at = ` + soon, true},
		{access + `expires_at = NULL`, true},
		{access + `expires_at = NULL, revoked = now()`, false},
		{access + `expires_at = ` + soon + `, revoked = now()`, false},
	} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			for _, sql := range append([]string{over, noneR, noneA}, strings.Split(c.sql, "; ")...) {
				exec(sql+` WHERE $1 `+of(sql), id)
			}
			wantEqual(t, c.sql, len(w.on(q).connections(10)) == 1, c.live)
		})
	}
	// the last use is that of whichever is the latest
	for _, latest := range []string{"oauth_authorization", "oauth_refresh_token", "oauth_access_token"} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			for _, table := range []string{"oauth_authorization", "oauth_refresh_token", "oauth_access_token"} {
				exec(`UPDATE `+table+` SET created_at = now() - interval '2 hours' WHERE $1 `+of(table), id)
			}
			exec(`UPDATE `+latest+` SET created_at = now() - interval '1 hour' WHERE $1 `+of(latest), id)
			exec(`UPDATE session SET created_at = now() - interval '1 hour' WHERE id = $1`, string(w.Session))
			all := w.on(q).connections(10)
			wantEqual(t, "last used, by "+latest, all[0].LastUsedAt, w.on(q).sessionOf(w.Session).CreatedAt)
		})
	}
	// and so is a consent's count of its grants
	w.consent("", false, "openid")
	for expires, want := range map[string]int64{soon: 1, "now()": 0, "NULL": 1} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			exec(family+expires+` WHERE id = $1`, id)
			listed, err := q.ListUserConsents(w.Ctx, store.ListUserConsentsParams{UserID: w.User, PageSize: 10})
			w.OK(err)
			wantEqual(t, "authorizations, until "+expires, listed[0].Authorizations, want)
		})
	}
}

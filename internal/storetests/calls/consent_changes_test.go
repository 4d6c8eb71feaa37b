package calls

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// shown are the columns of a client that users see when they are asked for consent.
var shown = []string{"redirect_uris", "scopes", "name", "uri", "icon", "tos", "policy"}

// restate gives one statement of a client another value.
var restate = map[string]func(*store.PutClientDocumentParams){
	"redirect_uris":          func(p *store.PutClientDocumentParams) { p.RedirectURIs = []string{"https://app.example/other"} },
	"scopes":                 func(p *store.PutClientDocumentParams) { p.Scopes = []string{"openid", "email", "calendar"} },
	"name":                   func(p *store.PutClientDocumentParams) { p.Name = new("Your Bank") },
	"uri":                    func(p *store.PutClientDocumentParams) { p.URI = new("https://app.example/other") },
	"icon":                   func(p *store.PutClientDocumentParams) { p.Icon = new("https://app.example/other.png") },
	"tos":                    func(p *store.PutClientDocumentParams) { p.TOS = new("https://app.example/other") },
	"policy":                 func(p *store.PutClientDocumentParams) { p.Policy = new("https://app.example/other") },
	"contacts":               func(p *store.PutClientDocumentParams) { p.Contacts = []string{"other@app.example"} },
	"software_version":       func(p *store.PutClientDocumentParams) { p.SoftwareVersion = new("other") },
	"backchannel_logout_uri": func(p *store.PutClientDocumentParams) { p.BackchannelLogoutURI = new("https://app.example/other") },
}

// wantConsent says whether the user has agreed to openid for a client, by all calls that tell.
func (w *world) wantConsent(client store.ClientID, want bool) {
	w.Helper()
	checked, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: client, UserID: w.User, Scopes: []string{"openid"}})
	w.OK(err)
	_, err = w.Q.FindConsent(w.Ctx, store.FindConsentParams{ClientID: client, UserID: w.User})
	if found := err == nil; found != want {
		w.Errorf("FindConsent finds it: %t, want %t (%v)", found, want, err)
	}
	listed, err := w.Q.ListUserConsents(w.Ctx, store.ListUserConsentsParams{UserID: w.User, PageSize: 10})
	w.OK(err)
	is := slices.ContainsFunc(listed, func(r store.ListUserConsentsRow) bool { return r.ClientID == client })
	if checked.Covered != want || is != want {
		w.Errorf("CheckConsent covers it: %t; ListUserConsents lists it: %t; want %t", checked.Covered, is, want)
	}
}

func (w *world) consentTo(client store.ClientID, merge bool, scopes ...string) store.GrantConsentRow {
	w.Helper()
	row, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.NewConsentID(), ClientID: client, UserID: w.User, Scopes: scopes, Merge: merge})
	w.OK(err)
	w.Want("GrantConsent", row.Outcome, store.OutcomeGranted)
	return row
}

// A client that writes its own metadata could be trusted as one thing and turn into another. What users have agreed to was about what they saw.
func TestConsentEndsWhenWhatUsersSawChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	stated := documentParams(time.Now().Add(-time.Hour))
	w.put(stated, store.OutcomeInserted)
	client := w.Client
	w.Client = stated.ClientID
	var kept store.AuthorizationID
	kept, _ = w.Grant(func(p *store.GrantAuthorizationParams) { p.RedirectURI = &stated.RedirectURIs[0] })
	w.Client = client

	for field, change := range restate {
		w.consentTo(stated.ClientID, false, "openid")
		w.wantConsent(stated.ClientID, true)
		p := stated
		change(&p)
		stated.FetchedAt = stated.FetchedAt.Add(time.Second)
		p.ID, p.FetchedAt = store.NewOAuthClientID(), stated.FetchedAt
		row := w.put(p, store.OutcomeChanged)
		wantEqual(t, "changes", row.Changes, []string{field})
		t.Run("document: "+field, func(t *testing.T) {
			w.forSubtest(t).wantConsent(p.ClientID, !slices.Contains(shown, field))
		})
		w.put(p, store.OutcomeRetried)
		if again := w.consentTo(p.ClientID, true, "email"); slices.Contains(again.Scopes, "openid") == slices.Contains(shown, field) {
			t.Errorf("%s: a consent that counts no more was merged: %q", field, again.Scopes)
		}
		stated.FetchedAt = stated.FetchedAt.Add(time.Second)
		stated.ID = store.NewOAuthClientID()
		w.put(stated, store.OutcomeChanged)
	}
	a, err := w.Q.GetAuthorization(w.Ctx, kept)
	w.OK(err)
	if a.RevokedAt != nil {
		t.Error("a grant has ended with the consent")
	}
	stated.FetchedAt = stated.FetchedAt.Add(time.Second)
	w.consentTo(stated.ClientID, false, "openid")
	w.put(stated, store.OutcomeFresh)
	w.wantConsent(stated.ClientID, true)
}

func TestConsentEndsWhenARegistrationChangesWhatUsersSaw(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.open()
	raw := "r1"
	update := func(change func(*store.PutClientDocumentParams)) {
		t.Helper()
		var d store.PutClientDocumentParams
		d.RedirectURIs, d.Name = []string{fixture.RedirectURI}, new("Notes")
		change(&d)
		p := updateParams(client, raw)
		p.RedirectURIs, p.Scopes, p.Name, p.URI, p.Icon, p.TOS, p.Policy = d.RedirectURIs, d.Scopes, d.Name, d.URI, d.Icon, d.TOS, d.Policy
		p.Contacts, p.SoftwareVersion, p.BackchannelLogoutURI = d.Contacts, d.SoftwareVersion, d.BackchannelLogoutURI
		w.update(p, store.OutcomeUpdated)
		w.update(p, store.OutcomeUpdated) // the same call again
		raw += "+"
	}
	for field, change := range restate {
		w.consentTo(client, false, "openid")
		w.wantConsent(client, true)
		update(change)
		t.Run(field, func(t *testing.T) { w.forSubtest(t).wantConsent(client, !slices.Contains(shown, field)) })
		update(func(*store.PutClientDocumentParams) {})
	}
	w.consentTo(client, false, "openid")
	update(func(*store.PutClientDocumentParams) {})
	w.wantConsent(client, true)

	// a device's client states no redirect URI, as before
	grants := []string{"urn:ietf:params:oauth:grant-type:device_code"}
	client = w.open(func(p *store.RegisterClientParams) { p.RedirectURIs, p.GrantTypes = nil, grants })
	p := updateParams(client, "r1")
	p.RedirectURIs, p.GrantTypes = nil, grants
	w.update(p, store.OutcomeUpdated)
	w.consentTo(client, false, "openid")
	w.update(p, store.OutcomeUpdated)
	w.wantConsent(client, true)
}

// Who agrees again after a change agrees to all that was asked for.
func TestConsentAfterAChangeIsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := store.GrantConsentParams{
		ID: store.NewConsentID(), ClientID: w.Client, UserID: w.User, Scopes: []string{"openid"}, Resources: fixture.Resources[:1],
		AuthorizationDetails: json.RawMessage(`[{"type": "pay"}]`),
	}
	first, err := w.Q.GrantConsent(w.Ctx, p)
	w.OK(err)
	for _, column := range []string{"grants_epoch", "consents_epoch"} {
		w.Exec(`UPDATE oauth_client SET `+column+` = `+column+` + 1 WHERE client_id = $1`, string(w.Client))
		again, err := w.Q.GrantConsent(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "after another "+column, again, first)
		g, err := w.Q.FindConsent(w.Ctx, store.FindConsentParams{ClientID: w.Client, UserID: w.User})
		w.OK(err)
		wantEqual(t, "what is stored", string(g.ResourceScopes)+string(g.AuthorizationDetails), string(first.ResourceScopes)+string(first.AuthorizationDetails))
	}
}

// A consent that was given while the document changed is about what was there before, whichever commits first.
func TestConsentOfBeforeAChangeThatCommitsLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := documentParams(time.Now().Add(-time.Minute))
	w.put(p, store.OutcomeInserted)
	tx, err := w.Pool.Begin(w.Ctx)
	w.OK(err)
	defer tx.Rollback(w.Ctx)
	p.ID, p.FetchedAt, p.Name = store.NewOAuthClientID(), p.FetchedAt.Add(time.Second), new("Your Bank")
	row, err := w.Q.WithTx(tx).PutClientDocument(w.Ctx, p)
	w.OK(err)
	w.Want("PutClientDocument", row.Outcome, store.OutcomeChanged)
	w.consentTo(p.ClientID, true, "openid") // which waits for nothing
	w.wantConsent(p.ClientID, true)
	w.OK(tx.Commit(w.Ctx))
	w.wantConsent(p.ClientID, false)
	deleted, err := w.Q.DeleteDeadConsents(w.Ctx, store.DeleteDeadConsentsParams{PageSize: 100})
	w.OK(err)
	if deleted.Deleted != 1 {
		t.Errorf("the collector deletes %d consents, want 1", deleted.Deleted)
	}
}

// Another server that writes its columns of a consent again has asked the user again. What it doesn't know of isn't revived.
func TestConsentThatAnotherServerWritesAgainAfterAChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := documentParams(time.Now().Add(-time.Minute))
	w.put(p, store.OutcomeInserted)
	_, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{
		ID: store.NewConsentID(), ClientID: p.ClientID, UserID: w.User, Scopes: []string{"openid"}, Resources: []string{"https://api.example"},
	})
	w.OK(err)
	p.ID, p.FetchedAt, p.Name = store.NewOAuthClientID(), p.FetchedAt.Add(time.Second), new("Your Bank")
	w.put(p, store.OutcomeChanged)
	w.wantConsent(p.ClientID, false)
	w.Exec(`UPDATE oauth_consent SET scopes = '{openid}' WHERE client_id = $1`, p.ClientID)
	w.wantConsent(p.ClientID, true)
	g, err := w.Q.FindConsent(w.Ctx, store.FindConsentParams{ClientID: p.ClientID, UserID: w.User})
	w.OK(err)
	if g.ResourceScopes != nil {
		t.Errorf("what was agreed to before is back: %s", g.ResourceScopes)
	}
}

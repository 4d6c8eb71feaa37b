package calls

import (
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// However far ahead the clock of a server is, its fetch counts as now: the next one, of the same instant, is the same again.
func TestRefreshThatLiesAheadCountsAsNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := documentParams(time.Now().Add(-time.Hour))
	w.put(p, store.OutcomeInserted)
	before, err := w.Q.GetClient(w.Ctx, p.ClientID)
	w.OK(err)
	w.stillTime(func(q *store.Queries, _ func(string, ...any)) {
		for i, want := range []store.Outcome{store.OutcomeFresh, store.OutcomeRetried} {
			row, err := q.RefreshClientDocument(w.Ctx, store.RefreshClientDocumentParams{
				ClientID: p.ClientID, DocumentETag: *p.DocumentETag, FetchedAt: time.Now().Add(time.Duration(i+1) * time.Hour), FreshFor: time.Minute,
			})
			w.OK(err)
			w.want("RefreshClientDocument", row.Outcome, want)
			c, err := q.GetClient(w.Ctx, p.ClientID)
			w.OK(err)
			if !c.DocumentFetchedAt.Equal(c.UpdatedAt) {
				t.Errorf("fetched at %v, want now, %v", c.DocumentFetchedAt, c.UpdatedAt)
			}
			wantAt(t, "fresh until", row.FreshUntil, c.UpdatedAt, time.Minute)
			wantAt(t, "document_fresh_until", c.DocumentFreshUntil, c.UpdatedAt, time.Minute)
			wantTouched(t, "RefreshClientDocument", before.CreatedAt, c.CreatedAt, before.UpdatedAt, c.UpdatedAt)
		}
	})
	w.refused(func() {
		p.FetchedAt = time.Unix(0, 0)
		_, err := w.Q.PutClientDocument(w.Ctx, p)
		wantEqual(t, "at the epoch", pgErrorOf(err).Message, "FetchedAt is missing")
	})
}

// What is refused says no more than that; a fetch that is stored already says again what was said of it.
func TestAnswersAboutDocumentsThatAreNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := documentParams(time.Now().Add(-time.Hour))
	first := w.put(p, store.OutcomeInserted)
	w.disable(p.ClientID)
	again := w.put(p, store.OutcomeRetried)
	wantEqual(t, "retried", again, store.PutClientDocumentRow{
		Outcome: store.OutcomeRetried, Changes: []string{}, ConsentChanges: []string{}, IsDisabled: true, FreshUntil: first.FreshUntil,
	})
	p.FetchedAt, p.URI = p.FetchedAt.Add(time.Minute), new("x")
	wantEqual(t, "refused", w.put(p, store.OutcomeInvalidClientMetadata), store.PutClientDocumentRow{
		Outcome: store.OutcomeInvalidClientMetadata, Changes: []string{}, ConsentChanges: []string{},
	})
}

// A document that names users elsewhere than at its redirect URIs gets a sector of its own, as it comes to have pairwise subjects. One
// that has a sector keeps it.
func TestDocumentGetsItsSectorOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := documentParams(time.Now().Add(-time.Hour))
	p.GrantTypes = []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}
	w.put(p, store.OutcomeInserted)
	sector := func(want string) {
		t.Helper()
		p.ID, p.FetchedAt, p.SubjectType = store.NewOAuthClientID(), p.FetchedAt.Add(time.Second), new("pairwise")
		row, err := w.Q.PutClientDocument(w.Ctx, p)
		w.OK(err)
		if row.Outcome != store.OutcomeChanged && row.Outcome != store.OutcomeFresh {
			t.Errorf("PutClientDocument: %s", row.Outcome)
		}
		c, err := w.Q.GetClient(w.Ctx, p.ClientID)
		w.OK(err)
		wantEqual(t, "sector_identifier", c.SectorIdentifier, &want)
	}
	sector("client:" + string(p.ClientID))
	// an operator has given it the sector of its host
	documentAt(&p, store.ClientID(strings.Replace(string(p.ClientID), "client", "other", 1)))
	p.SubjectType = nil
	w.put(p, store.OutcomeInserted)
	w.Exec(`UPDATE oauth_client SET sector_identifier = 'client.example', subject_type = 'pairwise' WHERE client_id = $1`, p.ClientID)
	sector("client.example")
}

// A token that manages a registration manages nothing once the client is deleted, whoever wrote it there.
func TestDeletedClientIsManagedByNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.open()
	document := documentParams(time.Now().Add(-time.Hour))
	w.put(document, store.OutcomeInserted)
	w.deleteClient(client)
	w.deleteClient(document.ClientID)
	w.Exec(`UPDATE oauth_client SET registration_access_token = $2, client_secret = $3 WHERE client_id = $1`,
		client, string(fixture.Digest("r1")), string(fixture.Digest(fixture.Secret)))
	w.Exec(`UPDATE oauth_client SET document_etag = $2 WHERE client_id = $1`, document.ClientID, *document.DocumentETag)
	w.Unchanged(func() {
		w.update(updateParams(client, "r1"), store.OutcomeUnauthenticated)
		w.None(w.managed(client, "r1"))
		w.want("DeleteRegistration", w.deleteRegistration(client, "r1"), store.OutcomeUnauthenticated)
		row, err := w.Q.RefreshClientDocument(w.Ctx, store.RefreshClientDocumentParams{
			ClientID: document.ClientID, DocumentETag: *document.DocumentETag, FetchedAt: time.Now(), FreshFor: time.Minute,
		})
		w.OK(err)
		w.want("RefreshClientDocument", row.Outcome, store.OutcomeRevoked)
		_, err = w.Q.SetRegistrationAccessToken(w.Ctx, store.SetRegistrationAccessTokenParams{ClientID: client})
		w.OK(err)
	})
}

// What finds its work done has what was found settled (see the routine), so that a commit waits for the standby.
func TestWhatFindsItsWorkDoneIsSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := registerParams("")
	p.Open = true
	w.register(p, store.OutcomeRegistered)
	token := w.initialToken("iat", 1)
	w.want("RevokeInitialAccessToken", w.outcome(w.Q.RevokeInitialAccessToken(w.Ctx, token)), store.OutcomeEnded)
	k := w.Redeem()
	access := w.accessTokenOf(k.Access).ID
	w.revokeByID(access, w.Client)
	w.revokeFamily(k.Authorization)
	w.endSession(w.Session)
	w.suspend(w.User)
	w.Exec(`CREATE OR REPLACE FUNCTION settled(verdict outcome) RETURNS outcome LANGUAGE plpgsql AS $$ BEGIN RAISE 'settled as %', verdict; END $$`)
	for call, c := range map[string]struct {
		want store.Outcome
		call func() error
	}{
		"RegisterClient":           {store.OutcomeRetried, func() error { _, err := w.Q.RegisterClient(w.Ctx, p); return err }},
		"RevokeInitialAccessToken": {store.OutcomeRevoked, func() error { _, err := w.Q.RevokeInitialAccessToken(w.Ctx, token); return err }},
		"RevokeToken":              {store.OutcomeRevoked, func() error { _, err := w.Q.RevokeToken(w.Ctx, w.RevokeParams(k.Refresh)); return err }},
		"RevokeAccessTokenByID": {store.OutcomeRevoked, func() error {
			_, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{ID: access, ClientID: w.Client, ClientAuthMethod: fixture.Verified})
			return err
		}},
		"RevokeAuthorization": {store.OutcomeRevoked, func() error { _, err := w.Q.RevokeAuthorization(w.Ctx, k.Authorization); return err }},
		"EndSession":          {store.OutcomeRevoked, func() error { _, err := w.Q.EndSession(w.Ctx, w.Session); return err }},
		"SuspendUser":         {store.OutcomeRevoked, func() error { _, err := w.Q.SuspendUser(w.Ctx, w.User); return err }},
		"DeleteUser":          {store.OutcomeUnknown, func() error { _, err := w.Q.DeleteUser(w.Ctx, "none"); return err }},
		"DeleteClient":        {store.OutcomeUnknown, func() error { _, err := w.Q.DeleteClient(w.Ctx, "none"); return err }},
		"DeleteTrustedIssuer": {store.OutcomeUnknown, func() error { _, err := w.Q.DeleteTrustedIssuer(w.Ctx, "none"); return err }},
		"DeletePasskey": {store.OutcomeUnknown, func() error {
			_, err := w.Q.DeletePasskey(w.Ctx, store.DeletePasskeyParams{UserID: w.User})
			return err
		}},
		"DeleteTOTP":          {store.OutcomeUnknown, func() error { _, err := w.Q.DeleteTOTP(w.Ctx, store.DeleteTOTPParams{UserID: w.User}); return err }},
		"DeleteRecoveryCodes": {store.OutcomeUnknown, func() error { _, err := w.Q.DeleteRecoveryCodes(w.Ctx, w.User); return err }},
	} {
		wantEqual(t, call, pgErrorOf(c.call()).Message, "settled as "+string(c.want))
	}
}

// Why a call has changed nothing is asked for only where it has changed nothing.
func TestWhatIsStoredIsNotJudgedOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, routine := range []string{"judge_client_document", "judge_registration_update", "return_initial_access_token"} {
		w.replaceRoutine(routine, `RAISE 'judged';`)
	}
	p := documentParams(time.Now().Add(-time.Hour))
	w.put(p, store.OutcomeInserted)
	p.FetchedAt = p.FetchedAt.Add(time.Minute)
	w.put(p, store.OutcomeFresh)
	row, err := w.Q.RefreshClientDocument(w.Ctx, store.RefreshClientDocumentParams{
		ClientID: p.ClientID, DocumentETag: *p.DocumentETag, FetchedAt: time.Now(), FreshFor: time.Minute,
	})
	w.OK(err)
	w.want("RefreshClientDocument", row.Outcome, store.OutcomeFresh)
	w.update(updateParams(w.open(), "r1"), store.OutcomeUpdated)
}

package calls

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// changesRows runs a call and wants exactly these rows to differ afterwards, written as changed does.
func (w *world) changesRows(call func(), want ...string) {
	w.Helper()
	before := w.Snapshot()
	call()
	slices.Sort(want)
	if diff := fixture.Changed(before, w.Snapshot()); !slices.Equal(diff, want) {
		w.Errorf("changed %q,\nwant %q", diff, want)
	}
}

// rowName names a row as snapshots do.
func rowName[ID ~string](change, table string, id ID) string {
	return change + table + " " + string(id)
}

func authorizationRow[ID ~string](change string, id ID) string {
	return rowName(change, "oauth_authorization", id)
}

func refreshRow[ID ~string](change string, id ID) string {
	return rowName(change, "oauth_refresh_token", id)
}

// knownRow is the note that a session is known to the world's client.
func (w *world) knownRow(change string) string {
	return rowName(change, "session_client", string(w.Session)+" "+string(w.Client))
}

func accessRow[ID ~string](change string, id ID) string {
	return rowName(change, "oauth_access_token", id)
}

// wantEqual fails the test unless both are deeply equal.
func wantEqual[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %s, want %s", what, asJSON(got), asJSON(want))
	}
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%#v", v)
	}
	return string(text)
}

// wantAt fails the test unless an instant is after by a lifetime. Instants of one statement are exact.
func wantAt(t testing.TB, what string, got *time.Time, from time.Time, lifetime time.Duration) {
	t.Helper()
	if got == nil || !got.Equal(from.Add(lifetime)) {
		t.Errorf("%s: got %v, want %v", what, got, from.Add(lifetime))
	}
}

func (w *world) authorizationOf(id store.AuthorizationID) store.OAuthAuthorization {
	w.Helper()
	a, err := w.Q.GetAuthorization(w.Ctx, id)
	w.OK(err)
	return a
}

func (w *world) accessTokenOf(raw string) store.OAuthAccessToken {
	w.Helper()
	t, err := w.Q.FindAccessTokenByToken(w.Ctx, fixture.Digest(raw))
	w.OK(err)
	return t
}

func (w *world) refreshTokenOf(raw string) store.OAuthRefreshToken {
	w.Helper()
	r, err := w.Q.FindRefreshTokenByToken(w.Ctx, fixture.Digest(raw))
	w.OK(err)
	return r
}

// pending makes a request that awaits a decision.
func (w *world) pending(change ...func(*store.CreateAuthorizationParams)) store.AuthorizationID {
	w.Helper()
	p := w.RequestParams()
	for _, c := range change {
		c(&p)
	}
	r, err := w.Q.CreateAuthorization(w.Ctx, p)
	w.OK(err)
	w.Want("CreateAuthorization", r.Outcome, store.OutcomeCreated)
	return p.ID
}

func (w *world) approveParams(id store.AuthorizationID) store.ApproveAuthorizationParams {
	return store.ApproveAuthorizationParams{
		ID: id, UserID: w.User, SessionID: &w.Session, GrantedScopes: []string{"openid", "offline_access"},
		ReferenceID: new(store.ReferenceID("acme")), AuthTime: new(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		ACR: new("urn:mace:incommon:iap:silver"), AMR: []string{"pwd", "otp"},
		Code: new(fixture.Digest("code of " + string(id))), CodeLifetime: time.Minute,
		DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
	}
}

func (w *world) approve(id store.AuthorizationID, want store.Outcome, change ...func(*store.ApproveAuthorizationParams)) store.ApproveAuthorizationRow {
	w.Helper()
	p := w.approveParams(id)
	for _, c := range change {
		c(&p)
	}
	r, err := w.Q.ApproveAuthorization(w.Ctx, p)
	w.OK(err)
	wantEqual(w, "ApproveAuthorization", r.Outcome, want)
	return r
}

func (w *world) deny(id store.AuthorizationID, want store.Outcome) {
	w.Helper()
	r, err := w.Q.DenyAuthorization(w.Ctx, store.DenyAuthorizationParams{ID: id})
	w.OK(err)
	wantEqual(w, "DenyAuthorization", r.Outcome, want)
}

func (w *world) disable(client store.ClientID) {
	w.Helper()
	_, err := w.Q.DisableClient(w.Ctx, client)
	w.OK(err)
}

func (w *world) revokeFamily(id store.AuthorizationID) {
	w.Helper()
	_, err := w.Q.RevokeAuthorization(w.Ctx, id)
	w.OK(err)
}

// lapse moves an authorization's instants of expiry to this very moment's past.
func (w *world) lapse(id store.AuthorizationID) {
	w.Helper()
	w.Exec(`UPDATE oauth_authorization SET expires_at = now(), request_uri_expires_at = now(), code_expires_at = CASE WHEN code IS NOT NULL THEN now() END WHERE id = $1`, string(id))
}

func TestCreateAuthorizationRecordsTheWholeRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := store.CreateAuthorizationParams{
		ID: store.NewAuthorizationID(), ClientID: w.Client, RedirectURI: new(fixture.RedirectURI), ResponseType: new("code"),
		ResponseMode: new("fragment"), Scopes: []string{"openid", "email"}, State: new("s"), Nonce: new("n"),
		CodeChallenge: &fixture.Challenge, CodeChallengeMethod: new("S256"), Resources: []string{"https://api.example"},
		Claims: json.RawMessage(`{"id_token": {"acr": null}}`), Request: json.RawMessage(`{"prompt": "login"}`),
		RequestURI: new(fixture.Digest("a request_uri")), RequestURILifetime: 60 * time.Second, Lifetime: 90 * time.Second,
		Confirmation: &token.Confirmation{JKT: "thumbprint"}, AuthorizationDetails: json.RawMessage(`[{"type": "pay"}]`),
		ACRValues: []string{"silver", "bronze"}, MaxAge: new(int64(60)),
		DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources, DefaultAuthorizationDetailsTypes: []string{"pay"},
	}
	var row store.CreateAuthorizationRow
	w.changesRows(func() {
		var err error
		row, err = w.Q.CreateAuthorization(w.Ctx, p)
		w.OK(err)
	}, authorizationRow("+", p.ID))

	got := w.authorizationOf(p.ID)
	wantAt(t, "expires_at", got.ExpiresAt, got.CreatedAt, 90*time.Second)
	wantAt(t, "request_uri_expires_at", got.RequestURIExpiresAt, got.CreatedAt, 60*time.Second)
	wantEqual(t, "row", row, store.CreateAuthorizationRow{Outcome: store.OutcomeCreated, ExpiresAt: got.ExpiresAt, RedirectURI: p.RedirectURI})
	want := store.OAuthAuthorization{
		ID: p.ID, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, ClientID: w.Client, Status: store.AuthorizationStatusPending,
		Kind: store.AuthorizationKindCode, RequestURIExpiresAt: got.RequestURIExpiresAt,
		RedirectURI: p.RedirectURI, ResponseType: p.ResponseType, ResponseMode: p.ResponseMode, Scopes: p.Scopes, State: p.State,
		Nonce: p.Nonce, CodeChallenge: p.CodeChallenge, CodeChallengeMethod: p.CodeChallengeMethod, Resources: p.Resources,
		Claims: p.Claims, Request: p.Request, RequestURI: p.RequestURI, ExpiresAt: got.ExpiresAt, Confirmation: p.Confirmation,
		AuthorizationDetails: p.AuthorizationDetails, ACRValues: p.ACRValues, MaxAge: p.MaxAge,
	}
	wantEqual(t, "the authorization", got, want)
}

func TestCreateAuthorizationNeedsAnEnabledClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	disabled := w.NewClient()
	w.disable(disabled)
	for client, want := range map[store.ClientID]store.Outcome{"unknown": store.OutcomeUnknown, disabled: store.OutcomeDisabled} {
		w.Unchanged(func() {
			row, err := w.Q.CreateAuthorization(w.Ctx, store.CreateAuthorizationParams{
				ID: store.NewAuthorizationID(), ClientID: client, Lifetime: time.Minute,
			})
			w.OK(err)
			wantEqual(t, "row", row, store.CreateAuthorizationRow{Outcome: want})
		})
	}
}

func TestPushedRequestIsTakenOnceByItsOwnClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	uri := func(name string) func(*store.CreateAuthorizationParams) {
		return func(p *store.CreateAuthorizationParams) {
			p.RequestURI, p.RequestURILifetime = new(fixture.Digest(name)), time.Minute
		}
	}
	take := func(name string) (store.OAuthAuthorization, error) {
		return w.Q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{
			RequestURI: fixture.Digest(name), ClientID: w.Client, Lifetime: 3 * time.Minute,
		})
	}
	id := w.pending(uri("pushed"))
	other := w.NewClient()
	w.Unchanged(func() {
		_, err := w.Q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{
			RequestURI: fixture.Digest("pushed"), ClientID: other, Lifetime: time.Hour,
		})
		w.None(err) // another client's
		_, err = take("never pushed")
		w.None(err)
	})
	before := w.authorizationOf(id)
	w.changesRows(func() {
		got, err := take("pushed")
		w.OK(err)
		wantAt(t, "expires_at", got.ExpiresAt, got.UpdatedAt, 3*time.Minute)
		before.RequestURI, before.ExpiresAt, before.UpdatedAt = nil, got.ExpiresAt, got.UpdatedAt
		wantEqual(t, "what is taken", got, before)
	}, authorizationRow("~", id))

	w.lapse(w.pending(uri("expired")))
	w.revokeFamily(w.pending(uri("revoked")))
	w.deny(w.pending(uri("denied")), store.OutcomeDenied)
	w.approve(w.pending(uri("approved")), store.OutcomeApproved)
	for _, name := range []string{"pushed", "expired", "revoked", "denied", "approved"} {
		w.Unchanged(func() {
			if _, err := take(name); !errors.Is(err, pgx.ErrNoRows) {
				t.Errorf("%s: taken (%v)", name, err)
			}
		})
	}
}

func TestPushedRequestHasOneTakerAmongMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 16)
	for range 10 {
		uri := fixture.Unique("request_uri")
		w.pending(func(p *store.CreateAuthorizationParams) {
			p.RequestURI, p.RequestURILifetime = new(fixture.Digest(uri)), time.Minute
		})
		var taken, refused int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				_, err := w.Q.TakeAuthorizationByRequestURI(w.Ctx, store.TakeAuthorizationByRequestURIParams{
					RequestURI: fixture.Digest(uri), ClientID: w.Client, Lifetime: time.Minute,
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					taken++
				case errors.Is(err, pgx.ErrNoRows):
					refused++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if taken != 1 || refused != 15 {
			t.Fatalf("%d have taken the request and %d found it gone, want 1 and 15", taken, refused)
		}
	}
}

func TestApproveAuthorizationWritesTheDecisionAndTheCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.pending(func(p *store.CreateAuthorizationParams) {
		p.RequestURI, p.RequestURILifetime = new(fixture.Digest("uri")), time.Minute
	})
	before := w.authorizationOf(id)
	p := w.approveParams(id)
	var row store.ApproveAuthorizationRow
	w.changesRows(func() { row = w.approve(id, store.OutcomeApproved) }, authorizationRow("~", id), w.knownRow("+"))
	wantEqual(t, "row", row, store.ApproveAuthorizationRow{
		Outcome: store.OutcomeApproved, ClientID: &w.Client, RedirectURI: new(fixture.RedirectURI), ResponseMode: new("form_post"),
		State: new("the state"),
	})

	got := w.authorizationOf(id)
	want := before
	want.Status, want.UserID, want.SessionID, want.ReferenceID = store.AuthorizationStatusApproved, &w.User, &w.Session, p.ReferenceID
	want.GrantedScopes, want.ACR, want.AMR, want.Code, want.RequestURI = p.GrantedScopes, p.ACR, p.AMR, p.Code, nil
	if got.AuthTime == nil || !got.AuthTime.Equal(*p.AuthTime) {
		t.Errorf("auth_time: %v", got.AuthTime)
	}
	want.UserEpoch, want.ClientEpoch, want.PairEpoch = new(int64(0)), new(int64(0)), new(int64(0))
	want.AuthTime, want.UpdatedAt, want.DecidedAt = got.AuthTime, got.UpdatedAt, &got.UpdatedAt
	wantAt(t, "code_expires_at", got.CodeExpiresAt, got.UpdatedAt, time.Minute)
	wantAt(t, "expires_at", got.ExpiresAt, got.UpdatedAt, time.Minute)
	want.CodeExpiresAt, want.ExpiresAt = got.CodeExpiresAt, got.ExpiresAt
	wantEqual(t, "the authorization", got, want)
	if !got.UpdatedAt.After(before.UpdatedAt) {
		t.Error("updated_at has not moved")
	}

	found, err := w.Q.FindAuthorizationByCode(w.Ctx, *p.Code)
	w.OK(err)
	wantEqual(t, "FindAuthorizationByCode", found, got)
	_, err = w.Q.FindAuthorizationByCode(w.Ctx, fixture.Digest("no such code"))
	w.None(err)
}

func TestApproveAuthorizationWithoutACodeOrASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.pending()
	w.changesRows(func() {
		w.approve(id, store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) {
			p.Code, p.SessionID, p.ReferenceID, p.AuthTime, p.GrantedScopes = nil, nil, nil, nil, nil
		})
	}, authorizationRow("~", id))
	a := w.authorizationOf(id)
	wantEqual(t, "code", a.Code, nil)
	wantEqual(t, "code_expires_at", a.CodeExpiresAt, nil)
	wantEqual(t, "session_id", a.SessionID, nil)
	wantEqual(t, "granted_scopes", a.GrantedScopes, []string{})
	wantAt(t, "expires_at", a.ExpiresAt, a.UpdatedAt, time.Minute)
}

func TestApproveAuthorizationThatCannotBeChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	type change = func(*store.ApproveAuthorizationParams)
	another := w.NewUser()
	approve := func(id store.AuthorizationID) { w.approve(id, store.OutcomeApproved) }
	anew := func(p *store.ApproveAuthorizationParams) { p.Code = new(fixture.Digest("another code")) }
	for _, c := range []struct {
		name    string
		prepare func(store.AuthorizationID)
		change  change
		want    store.Outcome
	}{
		{"approved before, in another session", approve, func(p *store.ApproveAuthorizationParams) { p.SessionID = nil }, store.OutcomeDecided},
		{"approved before, by another user", approve, func(p *store.ApproveAuthorizationParams) {
			p.UserID, p.SessionID = another, nil
		}, store.OutcomeDecided},
		{"approved before, and ended", func(id store.AuthorizationID) { approve(id); w.revokeFamily(id) }, anew, store.OutcomeRevoked},
		{"approved before, and redeemed", func(id store.AuthorizationID) {
			approve(id)
			w.Exec(`UPDATE oauth_authorization SET redeemed_at = now() WHERE id = $1`, string(id))
		}, anew, store.OutcomeDecided},
		{"denied before", func(id store.AuthorizationID) { w.deny(id, store.OutcomeDenied) }, anew, store.OutcomeDecided},
		{"lapsed, decided all the same", func(id store.AuthorizationID) { approve(id); w.lapse(id) }, anew, store.OutcomeDecided},
		{"lapsed", w.lapse, nil, store.OutcomeExpired},
		{"revoked", w.revokeFamily, nil, store.OutcomeRevoked},
		{"beyond what was asked for", nil, func(p *store.ApproveAuthorizationParams) {
			p.GrantedScopes = []string{"openid", "admin"}
		}, store.OutcomeInvalidScope},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			id := w.pending()
			if c.prepare != nil {
				c.prepare(id)
			}
			w.Unchanged(func() {
				var changes []change
				if c.change != nil {
					changes = append(changes, c.change)
				}
				w.approve(id, c.want, changes...)
			})
		})
	}

	id, approved := w.pending(), w.pending()
	approve(approved)
	w.disable(w.Client)
	w.Unchanged(func() {
		w.approve(id, store.OutcomeDisabled)
		w.approve(approved, store.OutcomeDisabled) // which can be undone, so it isn't revoked
	})
}

func TestApproveAuthorizationNeedsItsUserAndALiveSessionOfTheirs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.pending()
	other := w.NewUser()
	foreign, expired := w.NewSession(other), w.NewSession(w.User)
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(expired))
	suspended, deleted := w.NewUser(), w.NewUser()
	w.suspend(suspended)
	w.deleteUser(deleted)
	ended := w.NewSession(w.User)
	w.endSession(ended)
	for _, c := range []struct {
		name   string
		change func(*store.ApproveAuthorizationParams)
		want   store.Outcome
	}{
		{"no such authorization", func(p *store.ApproveAuthorizationParams) { p.ID = "unknown" }, store.OutcomeUnknown},
		{"no such user", func(p *store.ApproveAuthorizationParams) { p.UserID, p.SessionID = "unknown", nil }, store.OutcomeUnknown},
		{"no user", func(p *store.ApproveAuthorizationParams) { p.UserID, p.SessionID = "", nil }, store.OutcomeUnknown},
		{"a deleted user", func(p *store.ApproveAuthorizationParams) { p.UserID, p.SessionID = deleted, nil }, store.OutcomeUnknown},
		{"a suspended user", func(p *store.ApproveAuthorizationParams) { p.UserID, p.SessionID = suspended, nil }, store.OutcomeSuspended},
		{"no such session", func(p *store.ApproveAuthorizationParams) { p.SessionID = new(store.SessionID("unknown")) }, store.OutcomeSignedOut},
		{"another user's session", func(p *store.ApproveAuthorizationParams) { p.SessionID = &foreign }, store.OutcomeSignedOut},
		{"a session of the user, who is another", func(p *store.ApproveAuthorizationParams) { p.UserID = other }, store.OutcomeSignedOut},
		{"an expired session", func(p *store.ApproveAuthorizationParams) { p.SessionID = &expired }, store.OutcomeSignedOut},
		{"an ended session", func(p *store.ApproveAuthorizationParams) { p.SessionID = &ended }, store.OutcomeSignedOut},
	} {
		w.Unchanged(func() { w.approve(id, c.want, c.change) })
	}
	w.approve(id, store.OutcomeApproved)
}

func TestDenyAuthorizationEndsThePendingRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.pending(func(p *store.CreateAuthorizationParams) {
		p.RequestURI, p.RequestURILifetime = new(fixture.Digest("uri")), time.Minute
	})
	want := w.authorizationOf(id)
	w.changesRows(func() {
		row, err := w.Q.DenyAuthorization(w.Ctx, store.DenyAuthorizationParams{ID: id})
		w.OK(err)
		wantEqual(t, "row", row, store.DenyAuthorizationRow{
			Outcome: store.OutcomeDenied, ClientID: &w.Client, RedirectURI: new(fixture.RedirectURI), ResponseMode: new("form_post"),
			State: new("the state"),
		})
	}, authorizationRow("~", id))
	got := w.authorizationOf(id)
	want.Status, want.DecidedAt, want.UpdatedAt, want.RequestURI = store.AuthorizationStatusDenied, &got.UpdatedAt, got.UpdatedAt, nil
	wantEqual(t, "the authorization", got, want)

	approved, lapsed, revoked := w.pending(), w.pending(), w.pending()
	w.approve(approved, store.OutcomeApproved)
	w.lapse(lapsed)
	w.revokeFamily(revoked)
	w.Unchanged(func() {
		w.deny(id, store.OutcomeRetried)
		w.deny(approved, store.OutcomeDecided)
		w.deny(lapsed, store.OutcomeExpired)
		w.deny(revoked, store.OutcomeRevoked)
		w.deny("unknown", store.OutcomeUnknown)
	})
}

func TestIssueAuthorizationCodeFollowsAnApproval(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.pending()
	w.approve(id, store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) { p.Code = nil })
	issue := func(raw string) {
		w.changesRows(func() {
			row, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{
				ID: id, Code: fixture.Digest(raw), CodeLifetime: 42 * time.Second,
				DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
			})
			w.OK(err)
			wantEqual(t, "row", row, store.IssueAuthorizationCodeRow{
				Outcome: store.OutcomeIssued, ClientID: &w.Client, RedirectURI: new(fixture.RedirectURI), ResponseMode: new("form_post"),
				State: new("the state"),
			})
		}, authorizationRow("~", id))
		a := w.authorizationOf(id)
		wantEqual(t, "code", a.Code, new(fixture.Digest(raw)))
		wantAt(t, "code_expires_at", a.CodeExpiresAt, a.UpdatedAt, 42*time.Second)
		wantAt(t, "expires_at", a.ExpiresAt, a.UpdatedAt, 42*time.Second)
	}
	issue("first")
	issue("second")
	w.Unchanged(func() { w.redeem("first", store.OutcomeUnknown) }) // the code that was replaced is none any more
	w.redeem("second", store.OutcomeRedeemed)
}

func TestIssueAuthorizationCodeThatCannotBeChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	issue := func(id store.AuthorizationID) (store.IssueAuthorizationCodeRow, error) {
		return w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{
			ID: id, Code: fixture.Digest(fixture.Unique("code")), CodeLifetime: time.Minute,
			DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
		})
	}
	approved := func() store.AuthorizationID {
		id := w.pending()
		w.approve(id, store.OutcomeApproved)
		return id
	}
	redeemed := func() store.AuthorizationID { return w.Redeem().Authorization }
	ended := approved()
	w.want("RevokeUserAuthorizations", w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User)), store.OutcomeEnded)
	with := func(id store.AuthorizationID, then func(store.AuthorizationID)) store.AuthorizationID {
		then(id)
		return id
	}
	for _, c := range []struct {
		name string
		id   store.AuthorizationID
		want store.Outcome
	}{
		{"pending", w.pending(), store.OutcomeUndecided},
		{"pending and lapsed", with(w.pending(), w.lapse), store.OutcomeExpired},
		{"denied", with(w.pending(), func(id store.AuthorizationID) { w.deny(id, store.OutcomeDenied) }), store.OutcomeDenied},
		{"redeemed", redeemed(), store.OutcomeDecided},
		{"redeemed and revoked", with(redeemed(), w.revokeFamily), store.OutcomeDecided},
		{"revoked", with(approved(), w.revokeFamily), store.OutcomeRevoked},
		{"lapsed", with(approved(), w.lapse), store.OutcomeExpired},
		{"of grants that have ended", ended, store.OutcomeRevoked},
		{"unknown", "unknown", store.OutcomeUnknown},
	} {
		w.Unchanged(func() {
			row, err := issue(c.id)
			w.OK(err)
			wantEqual(t, c.name, row.Outcome, c.want)
		})
	}
	id := approved()
	w.disable(w.Client)
	w.Unchanged(func() {
		row, err := issue(id)
		w.OK(err)
		wantEqual(t, "disabled", row.Outcome, store.OutcomeDisabled)
	})
}

func TestGrantAuthorizationIsApprovedWithItsCodeAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	p := w.GrantParams("the code")
	p.ResponseMode, p.State, p.Nonce, p.ReferenceID = new("query"), new("s"), new("n"), new(store.ReferenceID("acme"))
	p.Claims, p.Request = json.RawMessage(`{"userinfo": {}}`), json.RawMessage(`{"prompt": "none"}`)
	p.ACR, p.AMR, p.Confirmation = new("0"), []string{"hwk"}, &token.Confirmation{JKT: "thumbprint"}
	w.changesRows(func() {
		outcome, err := w.Q.GrantAuthorization(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "outcome", outcome, store.OutcomeGranted)
	}, authorizationRow("+", p.ID), w.knownRow("+"))

	got := w.authorizationOf(p.ID)
	wantAt(t, "expires_at", got.ExpiresAt, got.CreatedAt, time.Minute)
	wantAt(t, "auth_time", got.AuthTime, *p.AuthTime, 0)
	wantEqual(t, "the authorization", got, store.OAuthAuthorization{
		ID: p.ID, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, ClientID: w.Client, Status: store.AuthorizationStatusApproved,
		RedirectURI: p.RedirectURI, ResponseType: p.ResponseType, ResponseMode: p.ResponseMode, Scopes: p.Scopes, State: p.State,
		Nonce: p.Nonce, CodeChallenge: p.CodeChallenge, CodeChallengeMethod: p.CodeChallengeMethod, Resources: p.Resources,
		Claims: p.Claims, Request: p.Request, ExpiresAt: got.ExpiresAt, UserID: &w.User, SessionID: &w.Session,
		ReferenceID: p.ReferenceID, GrantedScopes: p.GrantedScopes, AuthTime: got.AuthTime, ACR: p.ACR, AMR: p.AMR,
		DecidedAt: &got.CreatedAt, Code: &p.Code, CodeExpiresAt: got.ExpiresAt, Confirmation: p.Confirmation,
		Kind: store.AuthorizationKindCode, UserEpoch: new(int64(0)), ClientEpoch: new(int64(0)), PairEpoch: new(int64(0)),
	})
}

func TestGrantAuthorizationThatCannotBeWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other := w.NewUser()
	foreign, expired := w.NewSession(other), w.NewSession(w.User)
	w.Exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(expired))
	disabled := w.NewClient()
	w.disable(disabled)
	suspended, deleted := w.NewUser(), w.NewUser()
	w.suspend(suspended)
	w.deleteUser(deleted)
	for _, c := range []struct {
		name   string
		change func(*store.GrantAuthorizationParams)
		want   store.Outcome
	}{
		{"a suspended user", func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = suspended, nil }, store.OutcomeSuspended},
		{"a deleted user", func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = deleted, nil }, store.OutcomeUnknown},
		{"beyond what was asked for", func(p *store.GrantAuthorizationParams) { p.GrantedScopes = []string{"admin"} }, store.OutcomeInvalidScope},
		{"a disabled client", func(p *store.GrantAuthorizationParams) { p.ClientID = disabled }, store.OutcomeDisabled},
		{"no such client", func(p *store.GrantAuthorizationParams) { p.ClientID = "unknown" }, store.OutcomeUnknown},
		{"no such user", func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = "unknown", nil }, store.OutcomeUnknown},
		{"no such session", func(p *store.GrantAuthorizationParams) { p.SessionID = new(store.SessionID("unknown")) }, store.OutcomeSignedOut},
		{"another user's session", func(p *store.GrantAuthorizationParams) { p.SessionID = &foreign }, store.OutcomeSignedOut},
		{"an expired session", func(p *store.GrantAuthorizationParams) { p.SessionID = &expired }, store.OutcomeSignedOut},
	} {
		p := w.GrantParams(fixture.Unique("code"))
		c.change(&p)
		w.Unchanged(func() {
			outcome, err := w.Q.GrantAuthorization(w.Ctx, p)
			w.OK(err)
			wantEqual(t, c.name, outcome, c.want)
		})
	}
	id, _ := w.Grant(func(p *store.GrantAuthorizationParams) { p.SessionID = nil })
	wantEqual(t, "the session of a grant that was made in none", w.authorizationOf(id).SessionID, nil)
}

func TestRedemptionCarriesTheGrantToItsTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	jkt := &token.Confirmation{JKT: "thumbprint"}
	id, code := w.Grant(func(p *store.GrantAuthorizationParams) {
		p.ReferenceID, p.Confirmation, p.Nonce = new(store.ReferenceID("acme")), jkt, new("n-0S6")
		p.Claims, p.ACR, p.AMR = json.RawMessage(`{"id_token": {}}`), new("1"), []string{"pwd"}
	})
	before := w.authorizationOf(id)
	p := w.RedeemParams(code)
	p.Confirmation = jkt
	var row store.RedeemAuthorizationCodeRow
	w.changesRows(func() {
		var err error
		row, err = w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
	}, authorizationRow("~", id), refreshRow("+", *p.RefreshTokenID), accessRow("+", p.AccessTokenID))

	a, access, refresh := w.authorizationOf(id), w.accessTokenOf("at-"+code), w.refreshTokenOf("rt-"+code)
	now := access.CreatedAt
	wantAt(t, "redeemed_at", a.RedeemedAt, now, 0)
	wantAt(t, "max_expires_at", a.MaxExpiresAt, now, fixture.Long)
	want := before
	want.RedeemedAt, want.UpdatedAt, want.ExpiresAt, want.RedeemedAs = a.RedeemedAt, now, nil, &p.AccessTokenID
	want.MaxExpiresAt = a.MaxExpiresAt
	wantEqual(t, "the family", a, want)

	wantAt(t, "expires_at of the access token", access.ExpiresAt, now, 5*time.Minute)
	wantEqual(t, "the access token", access, store.OAuthAccessToken{
		ID: p.AccessTokenID, CreatedAt: now, UpdatedAt: now, Token: p.AccessToken, ClientID: w.Client, SessionID: &w.Session,
		UserID: &w.User, ReferenceID: a.ReferenceID, RefreshID: p.RefreshTokenID, ExpiresAt: access.ExpiresAt, Scopes: a.GrantedScopes,
		AuthorizationID: &id, AuthorizationCodeID: &id, Resources: a.Resources, Confirmation: jkt,
	})
	wantAt(t, "expires_at of the refresh token", refresh.ExpiresAt, now, time.Hour)
	wantEqual(t, "the refresh token", refresh, store.OAuthRefreshToken{
		ID: *p.RefreshTokenID, CreatedAt: now, UpdatedAt: now, Token: *p.RefreshToken, ClientID: w.Client, SessionID: &w.Session,
		UserID: w.User, ReferenceID: a.ReferenceID, ExpiresAt: refresh.ExpiresAt, Scopes: a.GrantedScopes, AuthorizationID: id, AuthorizationCodeID: &id,
		AuthTime: a.AuthTime, Resources: a.Resources, Confirmation: jkt,
	})
	wantEqual(t, "row", row, store.RedeemAuthorizationCodeRow{
		Outcome: store.OutcomeRedeemed, AuthorizationID: &id, UserID: &w.User, Sub: w.publicSubject(), SessionID: &w.Session,
		ReferenceID: a.ReferenceID, GrantedScopes: a.GrantedScopes, Resources: a.Resources, Nonce: a.Nonce, Claims: a.Claims,
		AuthTime: a.AuthTime, ACR: a.ACR, AMR: a.AMR, AccessTokenExpiresAt: access.ExpiresAt, RefreshTokenExpiresAt: refresh.ExpiresAt,
		RefreshTokenID: &refresh.ID,
	})

	found, err := w.Q.ListAuthorizationAccessTokens(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "ListAuthorizationAccessTokens", found, []store.OAuthAccessToken{access})
	history, err := w.Q.ListAuthorizationRefreshTokens(w.Ctx, id)
	w.OK(err)
	wantEqual(t, "ListAuthorizationRefreshTokens", history, []store.OAuthRefreshToken{refresh})
}

func TestRedemptionGivesNoRefreshTokenUnlessAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id, code := w.Grant()
	p := w.RedeemParams(code)
	p.RefreshToken, p.FamilyLifetime = nil, 0 // the id alone asks for nothing
	w.changesRows(func() {
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "outcome", row.Outcome, store.OutcomeRedeemed)
		wantEqual(t, "refresh_token_expires_at", row.RefreshTokenExpiresAt, nil)
	}, authorizationRow("~", id), accessRow("+", p.AccessTokenID))
	wantEqual(t, "refresh_id", w.accessTokenOf("at-"+code).RefreshID, nil)
	wantEqual(t, "max_expires_at", w.authorizationOf(id).MaxExpiresAt, nil) // nothing can be renewed
}

func TestRedemptionLifetimesAndTheirBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	const short, long, never = 5 * time.Minute, time.Hour, store.Never
	for _, c := range []struct {
		name                                string
		access, refresh, family             time.Duration
		wantAccess, wantRefresh, wantFamily time.Duration // never: NULL
	}{
		{"each its own", short, long, never, short, long, never},
		{"the access token lasts longer", long, short, never, long, short, never},
		{"bounded by the family", long, long, short, short, short, short},
		{"never, within the family's bound", never, never, short, short, short, short},
		{"never", never, never, never, never, never, never},
		{"an access token without end", never, short, never, never, short, never},
		{"a refresh token without end", short, never, never, short, never, never},
		{"a second", time.Second, time.Second, time.Second, time.Second, time.Second, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			id, code := w.Grant()
			row := w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) {
				p.AccessTokenLifetime, p.RefreshTokenLifetime, p.FamilyLifetime = c.access, c.refresh, c.family
			})
			access, refresh, a := w.accessTokenOf("at-"+code), w.refreshTokenOf("rt-"+code), w.authorizationOf(id)
			for _, x := range []struct {
				what string
				got  *time.Time
				want time.Duration
			}{
				{"access token", access.ExpiresAt, c.wantAccess},
				{"its answer", row.AccessTokenExpiresAt, c.wantAccess},
				{"refresh token", refresh.ExpiresAt, c.wantRefresh},
				{"its answer", row.RefreshTokenExpiresAt, c.wantRefresh},
				{"max_expires_at", a.MaxExpiresAt, c.wantFamily},
			} {
				if x.want == never {
					wantEqual(t, x.what, x.got, nil)
				} else {
					wantAt(t, x.what, x.got, access.CreatedAt, x.want)
				}
			}
		})
	}
}

func TestSecondUseOfACodeEndsItsFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id, code := w.Grant()
	p := w.RedeemParams(code)
	_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	w.OK(err)
	w.WantLive("at-"+code, "rt-"+code)
	_, access := w.Rotate("rt-"+code, store.OutcomeRotated)

	again := w.RedeemParams(code)
	again.AccessToken, again.RefreshToken = new(fixture.Digest("never")), new(fixture.Digest("neither"))
	w.Exec(`UPDATE oauth_authorization SET code_expires_at = now() WHERE id = $1`, string(id)) // an old code that comes back says as much
	w.changesRows(func() {
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, again)
		w.OK(err)
		wantEqual(t, "outcome", row.Outcome, store.OutcomeReplayed)
		wantEqual(t, "authorization", row.AuthorizationID, &id)
		wantEqual(t, "access_token_expires_at", row.AccessTokenExpiresAt, nil)
	}, authorizationRow("~", id))
	w.WantDead("at-"+code, "rt-"+code, access, fixture.SuccessorOf("rt-"+code))
	a := w.authorizationOf(id)
	wantEqual(t, "revoked_reason", a.RevokedReason, new(store.RevocationReasonCodeReplayed))
	wantEqual(t, "revoked_at", a.RevokedAt, &a.UpdatedAt)
	w.Unchanged(func() {
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, again)
		w.OK(err)
		wantEqual(t, "outcome of the third", row.Outcome, store.OutcomeReplayed)
	})
}

func TestRedemptionThatDoesNotMatchChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.RequirePKCE = new(false) })
	other := w.NewClient()
	jkt := &token.Confirmation{JKT: "thumbprint"}
	type granted = func(*store.GrantAuthorizationParams)
	type presented = func(*store.RedeemAuthorizationCodeParams)
	plain := func(p *store.GrantAuthorizationParams) { p.CodeChallenge, p.CodeChallengeMethod = nil, nil }
	noURI := func(p *store.GrantAuthorizationParams) { p.RedirectURI = nil }
	for _, c := range []struct {
		name      string
		granted   granted
		presented presented
		fits      bool
	}{
		{name: "another client's code", presented: func(p *store.RedeemAuthorizationCodeParams) { p.ClientID = other }},
		{name: "another challenge", presented: func(p *store.RedeemAuthorizationCodeParams) { p.CodeChallenge = new(token.S256("guess")) }},
		{name: "no verifier where there was a challenge", presented: func(p *store.RedeemAuthorizationCodeParams) { p.CodeChallenge = nil }},
		{name: "a verifier where there was no challenge", granted: plain},
		{name: "no challenge and no verifier", granted: plain, fits: true, presented: func(p *store.RedeemAuthorizationCodeParams) { p.CodeChallenge = nil }},
		{name: "another redirect_uri", presented: func(p *store.RedeemAuthorizationCodeParams) { p.RedirectURI = new(fixture.RedirectURI + "/") }},
		{name: "an empty redirect_uri", presented: func(p *store.RedeemAuthorizationCodeParams) { p.RedirectURI = new("") }},
		{name: "a redirect_uri where the request carried none", granted: noURI},
		{name: "no redirect_uri where the request carried none", granted: noURI, fits: true, presented: func(p *store.RedeemAuthorizationCodeParams) { p.RedirectURI = nil }},
		{name: "no redirect_uri, and a challenge instead", fits: true, presented: func(p *store.RedeemAuthorizationCodeParams) { p.RedirectURI = nil }},
		{name: "no redirect_uri and no challenge", granted: plain, presented: func(p *store.RedeemAuthorizationCodeParams) { p.RedirectURI, p.CodeChallenge = nil, nil }},
		{
			name: "no redirect_uri and no challenge, as the request carried neither", fits: true,
			granted:   func(p *store.GrantAuthorizationParams) { plain(p); noURI(p) },
			presented: func(p *store.RedeemAuthorizationCodeParams) { p.RedirectURI, p.CodeChallenge = nil, nil },
		},
		{name: "no key where dpop_jkt named one", granted: func(p *store.GrantAuthorizationParams) { p.Confirmation = jkt }},
		{
			name: "another key than dpop_jkt", granted: func(p *store.GrantAuthorizationParams) { p.Confirmation = jkt },
			presented: func(p *store.RedeemAuthorizationCodeParams) { p.Confirmation = &token.Confirmation{JKT: "other"} },
		},
		{
			name: "a certificate instead of the key", granted: func(p *store.GrantAuthorizationParams) { p.Confirmation = jkt },
			presented: func(p *store.RedeemAuthorizationCodeParams) {
				p.Confirmation = &token.Confirmation{X5TS256: "thumbprint"}
			},
		},
		{
			name: "the key of dpop_jkt and a certificate", fits: true, granted: func(p *store.GrantAuthorizationParams) { p.Confirmation = jkt },
			presented: func(p *store.RedeemAuthorizationCodeParams) {
				p.Confirmation = &token.Confirmation{JKT: "thumbprint", X5TS256: "certificate"}
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			var changes []granted
			if c.granted != nil {
				changes = append(changes, c.granted)
			}
			_, code := w.Grant(changes...)
			p := w.RedeemParams(code)
			if c.presented != nil {
				c.presented(&p)
			}
			redeem := func(want store.Outcome) {
				row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
				w.OK(err)
				wantEqual(t, "outcome", row.Outcome, want)
			}
			if c.fits {
				redeem(store.OutcomeRedeemed)
			} else {
				w.Unchanged(func() { redeem(store.OutcomeMismatched) })
			}
		})
	}
}

func TestSecondUseOfACodeWithAnotherKeyIsAReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct {
		name          string
		granted       *token.Confirmation
		first, second *token.Confirmation
	}{
		{"the thief's key first, the client's own second", nil, &token.Confirmation{JKT: "thief"}, &token.Confirmation{JKT: "client"}},
		{"a key first, none second", nil, &token.Confirmation{JKT: "thief"}, nil},
		{"the key of dpop_jkt first, another second", &token.Confirmation{JKT: "client"}, &token.Confirmation{JKT: "client"}, &token.Confirmation{JKT: "other"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			id, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.Confirmation = c.granted })
			p := w.RedeemParams(code)
			p.Confirmation = c.first
			row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			w.OK(err)
			wantEqual(t, "the first", row.Outcome, store.OutcomeRedeemed)
			p.Confirmation, p.AccessTokenID = c.second, store.NewAccessTokenID()
			w.changesRows(func() {
				row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
				w.OK(err)
				wantEqual(t, "the second", row.Outcome, store.OutcomeReplayed)
			}, authorizationRow("~", id))
			w.WantDead("at-"+code, "rt-"+code)
		})
	}
}

func TestMismatchIsFoundBeforeAReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	_, code := w.Grant()
	p := w.RedeemParams(code)
	_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	w.OK(err)
	p.CodeChallenge = nil // who can't prove to be the one that asked can't end what was given
	w.Unchanged(func() {
		row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "outcome", row.Outcome, store.OutcomeMismatched)
	})
	w.WantLive("at-"+code, "rt-"+code)
}

func TestRedemptionOfADeadCodeChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	redeem := func(code string, want store.Outcome, change ...func(*store.RedeemAuthorizationCodeParams)) {
		w.Helper()
		w.Unchanged(func() {
			row := w.redeem(code, want, change...)
			wantEqual(t, "access_token_expires_at", row.AccessTokenExpiresAt, nil)
		})
	}
	id, code := w.Grant()
	w.lapse(id)
	redeem(code, store.OutcomeExpired)
	w.revokeFamily(id)
	redeem(code, store.OutcomeRevoked) // whether it has expired as well
	_, disabled := w.Grant()
	w.disable(w.Client)
	redeem(disabled, store.OutcomeDisabled)
	w.want("EnableClient", w.outcome(w.Q.EnableClient(w.Ctx, w.Client)), store.OutcomeEnabled)

	redeem("no such code", store.OutcomeUnknown)
	redeem(disabled, store.OutcomeUnauthenticated, func(p *store.RedeemAuthorizationCodeParams) { p.ClientID = "unknown" })
	client := w.NewClient()
	_, orphan := w.Grant(func(p *store.GrantAuthorizationParams) { p.ClientID = client })
	w.want("DeleteClient", w.outcome(w.Q.DeleteClient(w.Ctx, client)), store.OutcomeDeleted)
	redeem(orphan, store.OutcomeDisabled, func(p *store.RedeemAuthorizationCodeParams) { p.ClientID = client })
	user := w.NewUser()
	_, bereft := w.Grant(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = user, nil })
	w.deleteUser(user)
	redeem(bereft, store.OutcomeRevoked)
	_, online := w.Grant(online)
	w.endSession(w.Session)
	redeem(online, store.OutcomeRevoked)
}

func TestRedemptionAsksForNoResourceThatWasNotGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, c := range []struct {
		name           string
		granted, asked []string
		want           store.Outcome
		wantResources  []string
	}{
		{"none of none", nil, nil, store.OutcomeRedeemed, nil},
		{"none of an empty list", []string{}, []string{}, store.OutcomeRedeemed, nil},
		{"one where none was granted", nil, []string{"https://api.example"}, store.OutcomeInvalidTarget, nil},
		{"another", []string{"https://api.example"}, []string{"https://bank.example"}, store.OutcomeInvalidTarget, nil},
		{"one of two", []string{"https://api.example", "https://files.example"}, []string{"https://files.example"}, store.OutcomeRedeemed, []string{"https://files.example"}},
		{"all", []string{"https://api.example"}, nil, store.OutcomeRedeemed, []string{"https://api.example"}},
	} {
		id, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.Resources = c.granted })
		row := w.redeem(code, c.want, func(p *store.RedeemAuthorizationCodeParams) { p.Resources = c.asked })
		if c.want == store.OutcomeRedeemed {
			wantEqual[[]string](t, c.name+": answer", row.Resources, c.wantResources)
			wantEqual(t, c.name+": access token", w.accessTokenOf("at-"+code).Resources, c.wantResources)
			wantEqual(t, c.name+": refresh token", w.refreshTokenOf("rt-"+code).Resources, w.authorizationOf(id).Resources)
		} else {
			w.redeem(code, store.OutcomeRedeemed) // nothing was spent
		}
	}
}

func TestRedemptionBindsTheRefreshTokenOfAPublicClientAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	jkt, both := &token.Confirmation{JKT: "thumbprint"}, &token.Confirmation{JKT: "thumbprint", X5TS256: "certificate"}
	public := func(p *store.CreateClientParams) { p.Public = new(true) }
	none := func(p *store.CreateClientParams) { p.TokenEndpointAuthMethod = new("none") }
	for _, c := range []struct {
		name                 string
		client               func(*store.CreateClientParams)
		granted, presented   *token.Confirmation
		wantAccess, wantRest *token.Confirmation
	}{
		{"a public client's", public, nil, jkt, jkt, jkt},
		{"of a client that authenticates by nothing", none, nil, jkt, jkt, jkt},
		{"a public client's, by dpop_jkt", public, jkt, both, both, jkt},
		{"a public client's bearer token", public, nil, nil, nil, nil},
		{"a confidential client's", func(*store.CreateClientParams) {}, nil, jkt, jkt, nil},
		{"of a client without anything to authenticate by", func(p *store.CreateClientParams) { p.ClientSecret = nil }, nil, jkt, jkt, jkt},
		{"of a client with keys", func(p *store.CreateClientParams) { p.ClientSecret, p.JWKSURI = nil, new("https://client.example/jwks") }, nil, jkt, jkt, nil},
		{"a confidential client's, by dpop_jkt", func(p *store.CreateClientParams) { p.Public = new(false) }, jkt, jkt, jkt, nil},
		{"public says more than the method", func(p *store.CreateClientParams) {
			p.Public, p.TokenEndpointAuthMethod = new(false), new("none")
		}, nil, jkt, jkt, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			w.Client = w.NewClient(c.client)
			id, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.Confirmation = c.granted })
			p := w.RedeemParams(code)
			p.Confirmation = c.presented
			row, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			w.OK(err)
			wantEqual(t, "outcome", row.Outcome, store.OutcomeRedeemed)
			wantEqual(t, "access token", w.accessTokenOf("at-"+code).Confirmation, c.wantAccess)
			wantEqual(t, "refresh token", w.refreshTokenOf("rt-"+code).Confirmation, c.wantRest)
			wantEqual(t, "family", w.authorizationOf(id).Confirmation, c.wantRest)
		})
	}
}

func TestRevokeAuthorizationEndsItsTokensOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	mine, other := w.Redeem(), w.Redeem()
	id := mine.Authorization
	w.changesRows(func() {
		row, err := w.Q.RevokeAuthorization(w.Ctx, id)
		w.OK(err)
		wantEqual(t, "row", row, store.RevokeAuthorizationRow{
			Outcome: store.OutcomeEnded, ClientID: &w.Client, UserID: &w.User, SessionID: &w.Session,
		})
	}, authorizationRow("~", id))
	a := w.authorizationOf(id)
	wantEqual(t, "revoked_reason", a.RevokedReason, new(store.RevocationReasonAuthorizationRevoked))
	wantEqual(t, "revoked_at", a.RevokedAt, &a.UpdatedAt)
	w.WantDead(mine.Access, mine.Refresh)
	w.WantLive(other.Access, other.Refresh)
	w.Unchanged(func() {
		for id, want := range map[store.AuthorizationID]store.Outcome{id: store.OutcomeRevoked, "unknown": store.OutcomeUnknown} {
			row, err := w.Q.RevokeAuthorization(w.Ctx, id)
			w.OK(err)
			w.want("RevokeAuthorization", row.Outcome, want)
		}
	})
	w.revokeFamily(w.pending())
}

func TestEndingsOfGrantsEndTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.machine()
	client, other, another := w.Client, w.NewClient(), w.NewUser()
	userRow, clientRow := rowName("~", "user", w.User), rowName("~", "oauth_client", w.oauthClientID(client))
	acme := func(p *store.GrantAuthorizationParams) { p.ReferenceID = new(store.ReferenceID("acme")) }
	for _, c := range []struct {
		name    string
		call    func() store.Outcome
		row     string
		dead    []string // of the families below
		unknown func() store.Outcome
	}{
		{
			"RevokeUserAuthorizations", func() store.Outcome { return w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, w.User)) }, userRow,
			[]string{"mine", "mine in acme", "elsewhere", "foreign"},
			func() store.Outcome { return w.outcome(w.Q.RevokeUserAuthorizations(w.Ctx, "unknown")) },
		},
		{
			"RevokeUserAuthorizationsByClient", func() store.Outcome {
				return w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: client}))
			}, userRow,
			[]string{"mine", "mine in acme", "foreign"},
			func() store.Outcome {
				return w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: "unknown", ClientID: client}))
			},
		},
		{
			"RevokeClientAuthorizations", func() store.Outcome { return w.outcome(w.Q.RevokeClientAuthorizations(w.Ctx, client)) }, clientRow,
			[]string{"mine", "mine in acme", "foreign", "anothers", "the client's own"},
			func() store.Outcome { return w.outcome(w.Q.RevokeClientAuthorizations(w.Ctx, "unknown")) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.forSubtest(t)
			mine, inAcme := w.Redeem(), w.Redeem(acme)
			elsewhere := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = other })
			anothers := w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = another, nil })
			foreign := fixture.Unique("foreign")
			id := w.ForeignRefreshToken(foreign)
			w.ForeignAccessToken(foreign+" access", &id)
			machine := w.issue(fixture.Unique("machine"), store.OutcomeIssued)
			_, code := w.Grant()
			asked := w.pending()
			tokens := map[string][]string{
				"mine": {mine.Access, mine.Refresh}, "mine in acme": {inAcme.Access, inAcme.Refresh},
				"elsewhere": {elsewhere.Access, elsewhere.Refresh}, "anothers": {anothers.Access, anothers.Refresh},
				"foreign": {foreign, foreign + " access"}, "the client's own": {machine},
			}
			w.changesRows(func() { w.want(c.name, c.call(), store.OutcomeEnded) }, c.row)
			for name, raw := range tokens {
				if slices.Contains(c.dead, name) {
					w.WantDead(raw...)
				} else {
					w.WantLive(raw...)
				}
			}
			w.Unchanged(func() {
				w.redeem(code, store.OutcomeRevoked)
				w.want("of nobody", c.unknown(), store.OutcomeUnknown)
			})
			w.approve(asked, store.OutcomeApproved) // what nobody has decided was not granted yet
			w.WantLive(w.Redeem().Access)           // what is granted afterwards
			for range 2 {
				w.want(c.name+" again", c.call(), store.OutcomeEnded)
			}
			w.WantDead(mine.Access, foreign)
		})
	}
}

func TestListedAuthorizationsAreThoseInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	other, another := w.NewClient(), w.NewUser()
	var mine, clients []store.AuthorizationID
	for i := range 5 {
		id := w.Redeem().Authorization
		mine, clients = append(mine, id), append(clients, id)
		// three of one instant, so that pages break ties by id
		w.Exec(`UPDATE oauth_authorization SET created_at = '2026-01-01'::timestamptz + $2 * interval '1 second' WHERE id = $1`, string(id), i/3)
	}
	elsewhere := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = other }).Authorization
	mine = append(mine, elsewhere)
	anothers := w.Redeem(func(p *store.GrantAuthorizationParams) { p.UserID, p.SessionID = another, nil }).Authorization
	clients = append(clients, anothers)
	endless := w.Redeem().Authorization
	w.Exec(`UPDATE oauth_access_token SET expires_at = NULL WHERE authorization_id = $1`, string(endless))
	w.Exec(`UPDATE oauth_refresh_token SET revoked = now() WHERE authorization_id = $1`, string(endless))
	coded, _ := w.Grant()
	mine, clients = append(mine, endless), append(clients, endless)
	endless = coded
	mine, clients = append(mine, endless), append(clients, endless)

	w.revokeFamily(w.Redeem().Authorization)
	over := w.Redeem().Authorization // all its tokens have expired
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() WHERE authorization_id = $1`, string(over))
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() WHERE authorization_id = $1`, string(over))
	lapsed, _ := w.Grant()
	w.lapse(lapsed)
	w.deny(w.pending(), store.OutcomeDenied)
	w.pending()

	page := func(size int32, list func(time.Time, store.AuthorizationID, int32) ([]store.OAuthAuthorization, error)) (ids []store.AuthorizationID) {
		var created time.Time
		var after store.AuthorizationID
		for {
			rows, err := list(created, after, size)
			w.OK(err)
			for _, a := range rows {
				ids, created, after = append(ids, a.ID), a.CreatedAt, a.ID
			}
			if len(rows) < int(size) {
				return ids
			}
		}
	}
	for _, size := range []int32{1, 2, 3, 100} {
		wantEqual(t, "the user's", page(size, func(created time.Time, after store.AuthorizationID, size int32) ([]store.OAuthAuthorization, error) {
			return w.Q.ListUserAuthorizations(w.Ctx, store.ListUserAuthorizationsParams{
				UserID: w.User, AfterCreatedAt: created, AfterID: after, PageSize: size,
			})
		}), mine)
		wantEqual(t, "the client's", page(size, func(created time.Time, after store.AuthorizationID, size int32) ([]store.OAuthAuthorization, error) {
			return w.Q.ListClientAuthorizations(w.Ctx, store.ListClientAuthorizationsParams{
				ClientID: w.Client, AfterCreatedAt: created, AfterID: after, PageSize: size,
			})
		}), clients)
	}
	_, err := w.Q.GetAuthorization(w.Ctx, "unknown")
	w.None(err)
}

// A request or grant that is sent again after a lost answer, or whose id is another's, is an outcome and no error.
func TestIDThatIsTakenChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	request, pushed, grant, ciba := w.RequestParams(), w.RequestParams(), w.GrantParams("code"), w.backchannelParams("req")
	ciba.ClientID = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{cibaGrant} })
	request.RequestURI, request.RequestURILifetime = new(fixture.Digest("uri")), time.Minute
	pushed.RequestURI, pushed.RequestURILifetime = request.RequestURI, time.Minute
	again := ciba
	again.ID = store.NewAuthorizationID()
	grantAgain := grant
	grantAgain.ID = store.NewAuthorizationID()
	for _, c := range []struct {
		name string
		call func() (store.Outcome, error)
		want store.Outcome
	}{
		{"CreateAuthorization", func() (store.Outcome, error) {
			r, err := w.Q.CreateAuthorization(w.Ctx, request)
			return r.Outcome, err
		}, store.OutcomeCreated},
		{"CreateAuthorization of its request_uri", func() (store.Outcome, error) { r, err := w.Q.CreateAuthorization(w.Ctx, pushed); return r.Outcome, err }, ""},
		{"GrantAuthorization", func() (store.Outcome, error) { return w.Q.GrantAuthorization(w.Ctx, grant) }, store.OutcomeGranted},
		{"GrantAuthorization of its code", func() (store.Outcome, error) { return w.Q.GrantAuthorization(w.Ctx, grantAgain) }, ""},
		{"CreateBackchannelAuthentication", func() (store.Outcome, error) {
			r, err := w.Q.CreateBackchannelAuthentication(w.Ctx, ciba)
			return r.Outcome, err
		}, store.OutcomeCreated},
		{"CreateBackchannelAuthentication of its auth_req_id", func() (store.Outcome, error) {
			r, err := w.Q.CreateBackchannelAuthentication(w.Ctx, again)
			return r.Outcome, err
		}, ""},
	} {
		if c.want != "" {
			first, err := c.call()
			w.OK(err)
			w.want(c.name, first, c.want)
		}
		w.Unchanged(func() {
			second, err := c.call()
			w.OK(err)
			w.want(c.name+" again", second, store.OutcomeTaken)
		})
	}
}

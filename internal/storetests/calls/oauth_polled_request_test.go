package calls

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const (
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
	cibaGrant   = "urn:openid:params:grant-type:ciba"
)

// What a client may ask for that has nothing registered.
var (
	threeScopes   = []string{"openid", "email", "offline_access"}
	bothResources = []string{"https://api.example", "https://files.example"}
)

// newDeviceWorld is a world whose client is a device: public, and registered for the device grant.
func newDeviceWorld(t testing.TB, conns int) *world {
	t.Helper()
	w := newWorld(t, conns)
	w.Client = w.NewClient(func(p *store.CreateClientParams) {
		p.Public, p.GrantTypes = new(true), []string{deviceGrant, "refresh_token"}
	})
	return w
}

// device is a request of a device: its id, its device code and its user code.
type device struct {
	id         store.AuthorizationID
	code, user string
}

func (w *world) deviceParams(d device) store.CreateDeviceAuthorizationParams {
	return store.CreateDeviceAuthorizationParams{
		ID: d.id, ClientID: w.Client, ClientAuthMethod: fixture.Verified, DeviceCode: fixture.Digest(d.code), UserCode: fixture.Digest(d.user),
		Lifetime: 10 * time.Minute, Scopes: []string{"openid", "offline_access"}, DefaultScopes: threeScopes,
		Resources: bothResources, DefaultResources: bothResources, DefaultAuthorizationDetailsTypes: []string{"pay"},
	}
}

func newDevice() device {
	return device{store.NewAuthorizationID(), fixture.Unique("device"), fixture.Unique("user")}
}

// createDevice makes the request of a device and wants an outcome.
func (w *world) createDevice(d device, want store.Outcome, change ...func(*store.CreateDeviceAuthorizationParams)) store.CreateDeviceAuthorizationRow {
	w.Helper()
	p := w.deviceParams(d)
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.CreateDeviceAuthorization(w.Ctx, p)
	w.OK(err)
	w.want("CreateDeviceAuthorization", row.Outcome, want)
	return row
}

// device makes the request of a device.
func (w *world) device(change ...func(*store.CreateDeviceAuthorizationParams)) device {
	w.Helper()
	d := newDevice()
	w.createDevice(d, store.OutcomeCreated, change...)
	return d
}

// find looks a user code up for the world's user in the world's session, and wants an outcome.
func (w *world) find(userCode string, want store.Outcome, change ...func(*store.FindAuthorizationByUserCodeParams)) store.FindAuthorizationByUserCodeRow {
	w.Helper()
	p := store.FindAuthorizationByUserCodeParams{UserCode: fixture.Digest(userCode), UserID: w.User, SessionID: &w.Session}
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.FindAuthorizationByUserCode(w.Ctx, p)
	w.OK(err)
	w.want("FindAuthorizationByUserCode", row.Outcome, want)
	return row
}

// by looks up or approves as another user.
func by(user store.UserID) func(*store.FindAuthorizationByUserCodeParams) {
	return func(p *store.FindAuthorizationByUserCodeParams) { p.UserID, p.SessionID = user, nil }
}

// approvedDevice is a device whose request the world's user has approved.
func (w *world) approvedDevice(change ...func(*store.ApproveAuthorizationParams)) device {
	w.Helper()
	d := w.device()
	w.find(d.user, store.OutcomeClaimed)
	w.approve(d.id, store.OutcomeApproved, append([]func(*store.ApproveAuthorizationParams){withoutCode}, change...)...)
	return d
}

// withoutCode approves as a request of a device is approved.
func withoutCode(p *store.ApproveAuthorizationParams) {
	p.Code, p.CodeLifetime, p.DefaultScopes, p.DefaultResources = nil, 0, threeScopes, bothResources
}

// pollParams polls a device code, for an access token "at-" and a refresh token "rt-" with its name.
func (w *world) pollParams(code string) store.PollDeviceCodeParams {
	return store.PollDeviceCodeParams{
		DeviceCode: fixture.Digest(code), ClientID: w.Client, ClientAuthMethod: fixture.Verified, Grace: fixture.Grace,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(fixture.Unique("at-" + code))), AccessTokenLifetime: 5 * time.Minute,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(fixture.Digest("rt-" + code)), RefreshTokenLifetime: time.Hour,
		FamilyLifetime: fixture.Long, DefaultScopes: threeScopes, DefaultResources: bothResources,
	}
}

// poll polls a device code and wants an outcome.
func (w *world) poll(code string, want store.Outcome, change ...func(*store.PollDeviceCodeParams)) store.PollDeviceCodeRow {
	w.Helper()
	p := w.pollParams(code)
	for _, c := range change {
		c(&p)
	}
	row, err := w.Q.PollDeviceCode(w.Ctx, p)
	w.OK(err)
	w.want("PollDeviceCode", row.Outcome, want)
	if tokens := row.AccessTokenExpiresAt != nil; tokens != (want == store.OutcomeRedeemed || want == store.OutcomeRetried) {
		w.Errorf("PollDeviceCode: %s, with tokens: %t", row.Outcome, tokens)
	}
	return row
}

func (w *world) polledRequest(id store.AuthorizationID) store.OAuthPolledRequest {
	w.Helper()
	r, err := w.Q.GetPolledRequest(w.Ctx, id)
	w.OK(err)
	return r
}

// ago moves what happened to a device's request into the past.
func (w *world) ago(d device, by time.Duration) {
	w.Helper()
	w.Exec(`UPDATE oauth_polled_request SET polled_at = polled_at - $2::interval, expires_at = expires_at - $2::interval WHERE id = $1`, string(d.id), by)
	w.Exec(`UPDATE oauth_authorization SET expires_at = expires_at - $2::interval, redeemed_at = redeemed_at - $2::interval WHERE id = $1`, string(d.id), by)
}

func TestDeviceGrantFromTheRequestToTheTokens(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	details := json.RawMessage(`[{"type": "pay"}]`)
	d := newDevice()
	created := w.createDevice(d, store.OutcomeCreated, func(p *store.CreateDeviceAuthorizationParams) {
		p.AuthorizationDetails, p.Request, p.PollInterval = details, json.RawMessage(`{"ui": "tv"}`), 7*time.Second
	})
	asked := w.authorizationOf(d.id)
	if *created.PollInterval != 7*time.Second || !created.ExpiresAt.Equal(asked.CreatedAt.Add(10*time.Minute)) || asked.Kind != store.AuthorizationKindDevice {
		t.Errorf("created %+v: %+v", created, asked)
	}
	w.poll(d.code, store.OutcomeAuthorizationPending)
	found := w.find(d.user, store.OutcomeClaimed)
	if *found.ID != d.id || *found.ClientID != w.Client || string(found.AuthorizationDetails) != string(details) || string(found.Request) != `{"ui": "tv"}` {
		t.Errorf("found %+v", found)
	}
	wantEqual(t, "scopes", found.Scopes, []string{"openid", "offline_access"})
	w.approve(d.id, store.OutcomeApproved, withoutCode, func(p *store.ApproveAuthorizationParams) { p.AuthorizationDetails = details })
	if a := w.authorizationOf(d.id); a.Code != nil || !a.ExpiresAt.Equal(*created.ExpiresAt) {
		t.Errorf("the approval is %+v", a)
	}
	row := w.poll(d.code, store.OutcomeRedeemed, func(p *store.PollDeviceCodeParams) {
		p.AccessToken, p.Resources = new(fixture.Digest("at")), []string{"https://api.example"}
	})
	if *row.AuthorizationID != d.id || *row.UserID != w.User || *row.SessionID != w.Session || *row.ReferenceID != "acme" ||
		*row.ACR != "urn:mace:incommon:iap:silver" || len(row.AMR) != 2 || row.AuthTime == nil || row.PollInterval != nil {
		t.Errorf("redeemed %+v", row)
	}
	access, refresh := w.Introspect("at"), w.Introspect("rt-"+d.code)
	if access.Outcome != store.OutcomeActive || refresh.Outcome != store.OutcomeActive || !access.ExpiresAt.Equal(*row.AccessTokenExpiresAt) ||
		string(access.AuthorizationDetails) != string(details) || *refresh.RefreshTokenID != *row.RefreshTokenID || *access.RefreshTokenID != *row.RefreshTokenID {
		t.Errorf("the tokens are %+v and %+v", access, refresh)
	}
	wantEqual(t, "lifetimes", []time.Duration{row.AccessTokenExpiresAt.Sub(*access.IssuedAt), row.RefreshTokenExpiresAt.Sub(*access.IssuedAt)},
		[]time.Duration{5 * time.Minute, time.Hour})
	wantEqual(t, "resources", access.Resources, []string{"https://api.example"})
	wantEqual(t, "resources of the refresh token", refresh.Resources, []string{"https://api.example", "https://files.example"})
	w.Rotate("rt-"+d.code, store.OutcomeRotated)
}

func TestCreateDeviceAuthorizationOnlyForTheDeviceGrant(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	disabled := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant} })
	w.disable(disabled)
	coded := w.NewClient()
	narrow := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes, p.Scopes = []string{deviceGrant}, []string{"openid"} })
	confidential := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant} })
	for name, c := range map[string]struct {
		want   store.Outcome
		change func(*store.CreateDeviceAuthorizationParams)
	}{
		"a client that is not there":             {store.OutcomeUnauthenticated, func(p *store.CreateDeviceAuthorizationParams) { p.ClientID = "nobody" }},
		"a client that doesn't authenticate":     {store.OutcomeUnauthenticated, func(p *store.CreateDeviceAuthorizationParams) { p.ClientAuthMethod = "" }},
		"a confidential client without a secret": {store.OutcomeUnauthenticated, func(p *store.CreateDeviceAuthorizationParams) { p.ClientID, p.ClientAuthMethod = confidential, "none" }},
		"a disabled client":                      {store.OutcomeDisabled, func(p *store.CreateDeviceAuthorizationParams) { p.ClientID = disabled }},
		"a client of another grant":              {store.OutcomeUnauthorizedClient, func(p *store.CreateDeviceAuthorizationParams) { p.ClientID = coded }},
		"more than the client is registered for": {store.OutcomeInvalidScope, func(p *store.CreateDeviceAuthorizationParams) { p.ClientID = narrow }},
		"more than the server's default":         {store.OutcomeInvalidScope, func(p *store.CreateDeviceAuthorizationParams) { p.Scopes = []string{"admin"} }},
		"another resource":                       {store.OutcomeInvalidTarget, func(p *store.CreateDeviceAuthorizationParams) { p.Resources = []string{"https://bank.example"} }},
		"another type of details": {store.OutcomeInvalidAuthorizationDetails, func(p *store.CreateDeviceAuthorizationParams) {
			p.AuthorizationDetails = json.RawMessage(`[{"type": "admin"}]`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.forSubtest(t)
			w.Unchanged(func() { w.createDevice(newDevice(), c.want, c.change) })
		})
	}
	w.createDevice(newDevice(), store.OutcomeCreated, func(p *store.CreateDeviceAuthorizationParams) { p.ClientAuthMethod, p.Scopes = "none", nil })
}

// RFC 8628, section 3.2: without an interval a client waits five seconds. No interval is longer than the code lives.
func TestPollIntervalHasADefaultAndABound(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	ciba := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{cibaGrant} })
	for _, c := range []struct{ given, lifetime, want time.Duration }{
		{0, 10 * time.Minute, 5 * time.Second}, {time.Second, 10 * time.Minute, time.Second}, {time.Hour, time.Minute, time.Minute},
	} {
		row := w.createDevice(newDevice(), store.OutcomeCreated, func(p *store.CreateDeviceAuthorizationParams) { p.PollInterval, p.Lifetime = c.given, c.lifetime })
		wantEqual(t, "interval of "+c.given.String(), *row.PollInterval, c.want)
		p := w.backchannelParams(fixture.Unique("req"))
		p.ClientID, p.PollInterval, p.Lifetime = ciba, c.given, c.lifetime
		request, err := w.Q.CreateBackchannelAuthentication(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "interval of CIBA", *request.PollInterval, c.want)
	}
	w.Unchanged(func() {
		for _, bad := range []time.Duration{time.Millisecond, -time.Second} {
			p := w.deviceParams(newDevice())
			p.PollInterval = bad
			_, err := w.Q.CreateDeviceAuthorization(w.Ctx, p)
			w.violation(err, "CreateDeviceAuthorization", store.ConstraintPollIntervalIsPositive)
		}
	})
}

// Short codes repeat (RFC 8628, section 6.1).
func TestUserCodeOfAnExpiredRequestIsUsedAgain(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	old := w.device()
	w.find(old.user, store.OutcomeClaimed, by(w.NewUser()))
	w.ago(old, 24*time.Hour)
	w.Unchanged(func() {
		w.createDevice(device{store.NewAuthorizationID(), fixture.Unique("device"), old.user}, store.OutcomeInvalidScope, func(p *store.CreateDeviceAuthorizationParams) {
			p.Scopes = []string{"admin"}
		})
	})
	now := device{store.NewAuthorizationID(), fixture.Unique("device"), old.user}
	w.createDevice(now, store.OutcomeCreated)
	if found := w.find(now.user, store.OutcomeClaimed); *found.ID != now.id {
		t.Errorf("found %s, want %s", *found.ID, now.id)
	}
	w.Unchanged(func() {
		w.createDevice(device{store.NewAuthorizationID(), fixture.Unique("device"), old.user}, store.OutcomeTaken)
	})
	w.approve(now.id, store.OutcomeApproved, withoutCode)
	w.Unchanged(func() {
		w.createDevice(device{store.NewAuthorizationID(), fixture.Unique("device"), old.user}, store.OutcomeTaken)
		w.poll(old.code, store.OutcomeExpired)
	})
	w.poll(now.code, store.OutcomeRedeemed)
}

func TestUserCodeClaimsTheRequestForOneUser(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d, another := w.device(), w.NewUser()
	anothers := w.NewSession(another)
	w.Unchanged(func() {
		if r, err := w.Q.ApproveAuthorization(w.Ctx, store.ApproveAuthorizationParams{ID: d.id, UserID: w.User, GrantedScopes: []string{"openid"}}); err != nil || r.Outcome != store.OutcomeMismatched {
			t.Errorf("approving what nobody has looked up: %s, %v", r.Outcome, err)
		}
	})
	w.find(d.user, store.OutcomeClaimed)
	again := w.NewSession(w.User)
	w.find(d.user, store.OutcomeRetried, func(p *store.FindAuthorizationByUserCodeParams) { p.SessionID = &again })
	wantEqual(t, "session", w.authorizationOf(d.id).SessionID, &again)
	w.Unchanged(func() {
		if r := w.find(d.user, store.OutcomeMismatched, func(p *store.FindAuthorizationByUserCodeParams) { p.UserID, p.SessionID = another, &anothers }); r.ID != nil {
			t.Errorf("another user found %s", *r.ID)
		}
		w.approve(d.id, store.OutcomeMismatched, withoutCode, func(p *store.ApproveAuthorizationParams) { p.UserID, p.SessionID = another, &anothers })
		for what, user := range map[string]*store.UserID{"another user": &another, "nobody": nil} {
			r, err := w.Q.DenyAuthorization(w.Ctx, store.DenyAuthorizationParams{ID: d.id, UserID: user})
			w.OK(err)
			w.want("DenyAuthorization by "+what, r.Outcome, store.OutcomeMismatched)
		}
	})
	w.approve(d.id, store.OutcomeApproved, withoutCode)
	w.Unchanged(func() {
		w.find(d.user, store.OutcomeDecided)
		w.approve(d.id, store.OutcomeMismatched, withoutCode, func(p *store.ApproveAuthorizationParams) { p.UserID, p.SessionID = another, &anothers })
	})
	if row := w.poll(d.code, store.OutcomeRedeemed); *row.UserID != w.User {
		t.Errorf("the tokens are %s's", *row.UserID)
	}
}

func TestFindAuthorizationByUserCodeOnlyForALiveUser(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.device()
	another, suspended, deleted, over := w.NewUser(), w.NewUser(), w.NewUser(), w.NewSession(w.User)
	w.suspend(suspended)
	w.deleteUser(deleted)
	w.endSession(over)
	expired, revoked := w.device(), w.device()
	w.ago(expired, 10*time.Minute)
	w.revokeFamily(revoked.id)
	asleep := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant} })
	disabled := w.device(func(p *store.CreateDeviceAuthorizationParams) { p.ClientID = asleep })
	w.disable(asleep)
	w.Unchanged(func() {
		w.find("no code", store.OutcomeUnknown)
		w.find(d.user, store.OutcomeUnknown, by("nobody"))
		w.find(d.user, store.OutcomeUnknown, by(deleted))
		w.find(d.user, store.OutcomeSuspended, by(suspended))
		w.find(d.user, store.OutcomeSignedOut, func(p *store.FindAuthorizationByUserCodeParams) { p.SessionID = &over })
		w.find(d.user, store.OutcomeSignedOut, func(p *store.FindAuthorizationByUserCodeParams) { p.UserID = another })
		w.find(expired.user, store.OutcomeExpired)
		w.find(revoked.user, store.OutcomeRevoked)
		w.find(disabled.user, store.OutcomeDisabled)
	})
	w.find(d.user, store.OutcomeClaimed)
}

// RFC 8628, section 3.5. A poll that comes too early raises the interval, but doesn't move the time from which it is counted: else no later
// poll of a client that obeys would ever be in time.
func TestObedientClientWithJitterPollsInTime(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.device()
	w.poll(d.code, store.OutcomeAuthorizationPending) // at 0.4
	w.ago(d, 4700*time.Millisecond)
	mark := w.polledRequest(d.id).PolledAt
	if row := w.poll(d.code, store.OutcomeSlowDown); *row.PollInterval != 10*time.Second { // at 5.1
		t.Errorf("the interval is %s", row.PollInterval)
	}
	if got := w.polledRequest(d.id); !got.PolledAt.Equal(*mark) {
		t.Errorf("the poll that came too early moved polled_at from %s to %s", mark, got.PolledAt)
	}
	w.ago(d, 9900*time.Millisecond)
	w.poll(d.code, store.OutcomeAuthorizationPending) // at 15.0
	w.ago(d, 9900*time.Millisecond)
	w.poll(d.code, store.OutcomeSlowDown)
	w.ago(d, 5100*time.Millisecond)
	w.poll(d.code, store.OutcomeAuthorizationPending)
}

func TestPollIntervalStopsGrowing(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d, short := w.device(), w.device(func(p *store.CreateDeviceAuthorizationParams) { p.Lifetime = 30 * time.Second })
	slow := w.device(func(p *store.CreateDeviceAuthorizationParams) { p.PollInterval = 2 * time.Minute })
	var last time.Duration
	for _, c := range []struct {
		d    device
		most time.Duration
	}{{d, time.Minute}, {short, 30 * time.Second}, {slow, 2 * time.Minute}} {
		w.poll(c.d.code, store.OutcomeAuthorizationPending)
		for range 20 {
			row := w.poll(c.d.code, store.OutcomeSlowDown)
			if *row.PollInterval > c.most {
				t.Fatalf("the interval is %s, want %s at most", row.PollInterval, c.most)
			}
			last = *row.PollInterval
		}
		if c.d != short && last != c.most {
			t.Errorf("the interval stopped at %s, want %s", last, c.most)
		}
		if left := time.Until(w.polledRequest(c.d.id).ExpiresAt); last > left+time.Second {
			t.Errorf("the interval is %s, and the code lives for %s", last, left)
		}
	}
}

// RFC 8628, section 3.5: expired_token, whatever was decided, by whoever.
func TestDeviceCodeExpiresInEveryState(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	claimed, approved, denied, redeemed, revoked := w.device(), w.approvedDevice(), w.device(), w.approvedDevice(), w.approvedDevice()
	unclaimed := w.device()
	w.find(claimed.user, store.OutcomeClaimed)
	w.find(denied.user, store.OutcomeClaimed)
	w.denyAs(denied.id, w.User, store.OutcomeDenied)
	again := w.pollParams(redeemed.code)
	row, err := w.Q.PollDeviceCode(w.Ctx, again)
	w.OK(err)
	w.want("PollDeviceCode", row.Outcome, store.OutcomeRedeemed)
	w.revokeFamily(revoked.id)
	for _, d := range []device{claimed, approved, denied, redeemed, revoked, unclaimed} {
		w.ago(d, 10*time.Minute+time.Second)
	}
	w.Unchanged(func() {
		for _, d := range []device{claimed, approved, denied, redeemed, revoked, unclaimed} {
			w.poll(d.code, store.OutcomeExpired)
			w.find(d.user, store.OutcomeExpired)
		}
		row, err := w.Q.PollDeviceCode(w.Ctx, again)
		w.OK(err)
		w.want("PollDeviceCode again", row.Outcome, store.OutcomeExpired)
		w.approve(claimed.id, store.OutcomeExpired, withoutCode)
		w.denyAs(claimed.id, w.User, store.OutcomeExpired)
	})
	w.WantLive("rt-" + redeemed.code)
}

// The second click's approval, or denial, comes after the poll: it brings nothing back.
func TestLateDecisionAboutADeviceChangesNothing(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.approvedDevice()
	w.approve(d.id, store.OutcomeRetried, withoutCode)
	first := w.poll(d.code, store.OutcomeRedeemed)
	w.Unchanged(func() {
		w.approve(d.id, store.OutcomeDecided, withoutCode)
		w.denyAs(d.id, w.User, store.OutcomeDecided)
		w.find(d.user, store.OutcomeDecided)
	})
	again := w.poll(d.code, store.OutcomeRetried)
	if *again.RefreshToken != *first.RefreshToken || *again.RefreshTokenID != *first.RefreshTokenID || !again.RefreshTokenExpiresAt.Equal(*first.RefreshTokenExpiresAt) {
		t.Errorf("the retry got %+v, want the refresh token of %+v", again, first)
	}
	if access, refresh := w.CountLive(d.id); access != 2 || refresh != 1 {
		t.Errorf("%d access tokens and %d refresh tokens are live, want 2 and 1", access, refresh)
	}
	w.ago(d, fixture.Grace)
	w.poll(d.code, store.OutcomeReplayed)
	w.WantDead("rt-" + d.code)
	w.Unchanged(func() { w.poll(d.code, store.OutcomeRevoked) })
}

func TestDeviceCodeIsReplayedOnceItsRefreshTokenWasUsed(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(w *world, d device){
		"by us":             func(w *world, d device) { w.Rotate("rt-"+d.code, store.OutcomeRotated) },
		"by another server": func(w *world, d device) { w.spentElsewhere("rt-" + d.code) },
		"and collected": func(w *world, d device) {
			w.Rotate("rt-"+d.code, store.OutcomeRotated)
			w.Exec(`DELETE FROM oauth_access_token`)
			w.Exec(`DELETE FROM oauth_refresh_token WHERE token = $1`, string(fixture.Digest("rt-"+d.code)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDeviceWorld(t, 2)
			d := w.approvedDevice()
			p := w.pollParams(d.code)
			row, err := w.Q.PollDeviceCode(w.Ctx, p)
			w.OK(err)
			w.want("PollDeviceCode", row.Outcome, store.OutcomeRedeemed)
			use(w, d)
			// the same call, which the database may get to after its caller has given it up, made it again and used what it got
			w.Unchanged(func() {
				late, err := w.Q.PollDeviceCode(w.Ctx, p)
				w.OK(err)
				w.want("PollDeviceCode late", late.Outcome, store.OutcomeSuperseded)
				if late.RefreshToken != nil || late.AccessTokenExpiresAt != nil {
					t.Errorf("it answers %+v", late)
				}
			})
			p.AccessTokenID = store.NewAccessTokenID() // another call
			row, err = w.Q.PollDeviceCode(w.Ctx, p)
			w.OK(err)
			w.want("PollDeviceCode again", row.Outcome, store.OutcomeReplayed)
			if access, refresh := w.CountLive(d.id); access+refresh > 0 {
				t.Errorf("%d access tokens and %d refresh tokens are live", access, refresh)
			}
		})
	}
}

func TestPollDeviceCodeWithoutGrace(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.approvedDevice()
	p := w.pollParams(d.code)
	p.Grace = 0
	first, err := w.Q.PollDeviceCode(w.Ctx, p)
	w.OK(err)
	w.want("PollDeviceCode", first.Outcome, store.OutcomeRedeemed)
	w.Unchanged(func() {
		again, err := w.Q.PollDeviceCode(w.Ctx, p)
		w.OK(err)
		first.Outcome = store.OutcomeRetried
		wantEqual(t, "the same call again", again, first)
	})
	w.poll(d.code, store.OutcomeReplayed, func(p *store.PollDeviceCodeParams) { p.Grace = 0 })
	w.WantDead("rt-" + d.code)
}

// A retry that asks for more gets nothing, and one that comes too late is a replay whatever it asks for.
func TestPollDeviceCodeKeepsToTheResources(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	beyond := func(p *store.PollDeviceCodeParams) { p.Resources = []string{"https://bank.example"} }
	d := w.approvedDevice()
	w.Unchanged(func() { w.poll(d.code, store.OutcomeInvalidTarget, beyond) })
	w.poll(d.code, store.OutcomeRedeemed)
	w.Unchanged(func() { w.poll(d.code, store.OutcomeInvalidTarget, beyond) })
	w.ago(d, fixture.Grace)
	w.poll(d.code, store.OutcomeReplayed, beyond)
	d = w.device(func(p *store.CreateDeviceAuthorizationParams) { p.Resources = nil })
	w.find(d.user, store.OutcomeClaimed)
	w.approve(d.id, store.OutcomeApproved, withoutCode)
	w.Unchanged(func() {
		w.poll(d.code, store.OutcomeInvalidTarget, func(p *store.PollDeviceCodeParams) { p.Resources = bothResources })
	})
	w.poll(d.code, store.OutcomeRedeemed)
}

func TestPollDeviceCodeOfTheWrongClient(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	another := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant} })
	pending, approved, redeemed := w.device(), w.approvedDevice(), w.approvedDevice()
	w.poll(redeemed.code, store.OutcomeRedeemed)
	w.Unchanged(func() {
		w.poll("no code", store.OutcomeUnknown)
		for _, d := range []device{pending, approved, redeemed} {
			w.poll(d.code, store.OutcomeMismatched, func(p *store.PollDeviceCodeParams) { p.ClientID = another })
			w.poll(d.code, store.OutcomeUnauthenticated, func(p *store.PollDeviceCodeParams) { p.ClientAuthMethod = "" })
			w.poll(d.code, store.OutcomeUnauthenticated, func(p *store.PollDeviceCodeParams) { p.ClientID = "nobody" })
		}
	})
	w.Exec(`UPDATE oauth_client SET grant_types = '{authorization_code}', redirect_uris = '{x}' WHERE client_id = $1`, string(w.Client))
	w.Unchanged(func() {
		w.poll(pending.code, store.OutcomeUnauthorizedClient)
		w.poll(approved.code, store.OutcomeUnauthorizedClient)
	})
	w.disable(w.Client)
	w.Unchanged(func() { w.poll(approved.code, store.OutcomeDisabled) })
}

// What ends a grant ends the approval that waits to be polled.
func TestEndingReachesAnApprovalThatWasNotPolled(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, d device){
		"RevokeAuthorization": func(w *world, d device) { w.revokeFamily(d.id) },
		"EndSession":          func(w *world, _ device) { w.endSession(w.Session) },
		"SuspendUser":         func(w *world, _ device) { w.suspend(w.User) },
		"DeleteUser":          func(w *world, _ device) { w.deleteUser(w.User) },
		"RevokeUserAuthorizations": func(w *world, _ device) {
			_, err := w.Q.RevokeUserAuthorizations(w.Ctx, w.User)
			w.OK(err)
		},
		"RevokeClientAuthorizations": func(w *world, _ device) {
			_, err := w.Q.RevokeClientAuthorizations(w.Ctx, w.Client)
			w.OK(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDeviceWorld(t, 2)
			d := w.approvedDevice(func(p *store.ApproveAuthorizationParams) { p.GrantedScopes = []string{"openid"} })
			end(w, d)
			w.Unchanged(func() { w.poll(d.code, store.OutcomeRevoked) })
		})
	}
}

func TestRequestThatWasEndedIsPolledNoMore(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	unclaimed, claimed := w.device(), w.device()
	w.find(claimed.user, store.OutcomeClaimed)
	w.revokeFamily(unclaimed.id)
	w.revokeFamily(claimed.id)
	w.Unchanged(func() {
		w.poll(unclaimed.code, store.OutcomeRevoked)
		w.poll(claimed.code, store.OutcomeRevoked)
		w.approve(claimed.id, store.OutcomeRevoked, withoutCode)
	})
}

func TestDeniedDeviceIsToldSo(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.device()
	w.find(d.user, store.OutcomeClaimed)
	w.denyAs(d.id, w.User, store.OutcomeDenied)
	w.Unchanged(func() {
		w.poll(d.code, store.OutcomeDenied)
		w.find(d.user, store.OutcomeDecided)
		w.approve(d.id, store.OutcomeDecided, withoutCode)
		w.denyAs(d.id, w.User, store.OutcomeRetried)
	})
}

// The code of another grant's approval is none of a device's, and the other way round.
func TestDeviceGetsNoAuthorizationCode(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.device()
	w.find(d.user, store.OutcomeClaimed)
	w.approve(d.id, store.OutcomeApproved, withoutCode, func(p *store.ApproveAuthorizationParams) { // by a server that makes a code for every request
		p.Code, p.CodeLifetime = new(fixture.Digest("code of "+string(d.id))), time.Minute
	})
	w.Unchanged(func() {
		r, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{ID: d.id, Code: fixture.Digest("code"), CodeLifetime: time.Minute})
		w.OK(err)
		w.want("IssueAuthorizationCode", r.Outcome, store.OutcomeUnknown)
		w.redeem("code of "+string(d.id), store.OutcomeUnknown)
		w.redeem(d.code, store.OutcomeUnknown)
	})
	w.poll(d.code, store.OutcomeRedeemed)
}

func TestPollDeviceCodeWithAProof(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	key, another := &token.Confirmation{JKT: "key"}, &token.Confirmation{JKT: "another"}
	with := func(proof string, key *token.Confirmation) func(*store.PollDeviceCodeParams) {
		return func(p *store.PollDeviceCodeParams) {
			p.Proof, p.ProofExpiresAt, p.Confirmation = new(fixture.Digest(proof)), new(time.Now().Add(time.Minute)), key
		}
	}
	d := w.device()
	w.poll(d.code, store.OutcomeAuthorizationPending, with("p1", key))
	w.ago(d, time.Minute) // a poll would be in time
	before := w.polledRequest(d.id)
	w.Unchanged(func() { w.poll(d.code, store.OutcomeProofReplayed, with("p1", key)) })
	wantEqual(t, "the request after a replayed proof", w.polledRequest(d.id), before)
	w.poll(d.code, store.OutcomeAuthorizationPending)
	w.Unchanged(func() { w.poll(d.code, store.OutcomeProofReplayed, with("p1", key)) }) // it comes too early, and isn't slowed down
	denied := w.device()
	w.find(denied.user, store.OutcomeClaimed)
	w.denyAs(denied.id, w.User, store.OutcomeDenied)
	w.Unchanged(func() { w.poll(denied.code, store.OutcomeDenied, with("p0", key)) }) // a proof that nothing was asked for isn't remembered
	w.find(d.user, store.OutcomeClaimed)
	w.approve(d.id, store.OutcomeApproved, withoutCode)
	w.Unchanged(func() { w.poll(d.code, store.OutcomeProofReplayed, with("p1", key)) })
	p := w.pollParams(d.code)
	with("p2", key)(&p)
	first, err := w.Q.PollDeviceCode(w.Ctx, p)
	w.OK(err)
	w.want("PollDeviceCode", first.Outcome, store.OutcomeRedeemed)
	w.Unchanged(func() {
		again, err := w.Q.PollDeviceCode(w.Ctx, p)
		w.OK(err)
		w.want("the same call with the same proof", again.Outcome, store.OutcomeRetried)
		w.poll(d.code, store.OutcomeProofReplayed, with("p2", key))
		w.poll(d.code, store.OutcomeMismatched)
		w.poll(d.code, store.OutcomeMismatched, with("p3", another))
	})
	wantEqual(t, "the key of the refresh token", w.Introspect("rt-"+d.code).Confirmation, key)
	w.poll(d.code, store.OutcomeRetried, with("p4", key))
}

func TestPollDeviceCodeWithoutARefreshToken(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.approvedDevice()
	without := func(p *store.PollDeviceCodeParams) {
		p.RefreshToken, p.RefreshTokenID, p.RefreshTokenLifetime, p.FamilyLifetime = nil, nil, 0, 0
	}
	if row := w.poll(d.code, store.OutcomeRedeemed, without); row.RefreshToken != nil || row.RefreshTokenExpiresAt != nil {
		t.Errorf("redeemed %+v", row)
	}
	wantEqual(t, "expires_at, which the access token's row has", w.authorizationOf(d.id).ExpiresAt, nil)
	w.poll(d.code, store.OutcomeRetried, without)
	w.ago(d, fixture.Grace)
	w.poll(d.code, store.OutcomeReplayed, without)
}

// A retry gets the refresh token that was issued, whichever key its server derives it with.
func TestRetryOfADeviceCodeAnswersTheStoredRefreshToken(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.approvedDevice()
	w.poll(d.code, store.OutcomeRedeemed)
	row := w.poll(d.code, store.OutcomeRetried, func(p *store.PollDeviceCodeParams) { p.RefreshToken = new(fixture.Digest("by another key")) })
	wantEqual(t, "refresh token", *row.RefreshToken, fixture.Digest("rt-"+d.code))
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now()`)
	w.Unchanged(func() { w.poll(d.code, store.OutcomeExpired) })
}

func (w *world) denyAs(id store.AuthorizationID, user store.UserID, want store.Outcome) {
	w.Helper()
	r, err := w.Q.DenyAuthorization(w.Ctx, store.DenyAuthorizationParams{ID: id, UserID: &user})
	w.OK(err)
	w.want("DenyAuthorization", r.Outcome, want)
}

// newCIBAWorld is a world whose client may use CIBA.
func newCIBAWorld(t testing.TB, conns int) *world {
	t.Helper()
	w := newWorld(t, conns)
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{cibaGrant, "refresh_token"} })
	return w
}

func (w *world) backchannelParams(authReqID string) store.CreateBackchannelAuthenticationParams {
	return store.CreateBackchannelAuthenticationParams{
		ID: store.NewAuthorizationID(), ClientID: w.Client, ClientAuthMethod: fixture.Verified, UserID: w.User, AuthReqID: fixture.Digest(authReqID),
		Lifetime: 10 * time.Minute, Scopes: []string{"openid", "offline_access"}, DefaultScopes: threeScopes,
		Request: json.RawMessage(`{"binding_message": "W4SCT"}`), NotificationToken: new("sealed"),
	}
}

func TestBackchannelAuthenticationIsTheNamedUsers(t *testing.T) {
	t.Parallel()
	w := newCIBAWorld(t, 2)
	p := w.backchannelParams("req")
	created, err := w.Q.CreateBackchannelAuthentication(w.Ctx, p)
	w.OK(err)
	w.want("CreateBackchannelAuthentication", created.Outcome, store.OutcomeCreated)
	wantEqual(t, "interval", *created.PollInterval, 5*time.Second)
	if a, r := w.authorizationOf(p.ID), w.polledRequest(p.ID); a.Kind != store.AuthorizationKindCIBA || *a.UserID != w.User || *r.NotificationToken != "sealed" ||
		string(a.Request) != string(p.Request) || r.UserCode != nil {
		t.Errorf("created %+v and %+v", a, r)
	}
	w.poll("req", store.OutcomeAuthorizationPending)
	w.poll("req", store.OutcomeSlowDown)
	another := w.NewUser()
	w.Unchanged(func() {
		w.approve(p.ID, store.OutcomeMismatched, withoutCode, func(p *store.ApproveAuthorizationParams) { p.UserID, p.SessionID = another, nil })
		w.denyAs(p.ID, another, store.OutcomeMismatched)
	})
	w.approve(p.ID, store.OutcomeApproved, withoutCode)
	if row := w.poll("req", store.OutcomeRedeemed); *row.UserID != w.User {
		t.Errorf("the tokens are %s's", *row.UserID)
	}
	w.poll("req", store.OutcomeRetried)
}

func TestBackchannelAuthenticationOnlyForCIBA(t *testing.T) {
	t.Parallel()
	w := newCIBAWorld(t, 2)
	public := w.NewClient(func(p *store.CreateClientParams) { p.Public, p.GrantTypes = new(true), []string{cibaGrant} })
	device := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant} })
	disabled := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{cibaGrant} })
	w.disable(disabled)
	suspended, deleted := w.NewUser(), w.NewUser()
	w.suspend(suspended)
	w.deleteUser(deleted)
	for name, c := range map[string]struct {
		want   store.Outcome
		change func(*store.CreateBackchannelAuthenticationParams)
	}{
		"a client that doesn't authenticate": {store.OutcomeUnauthenticated, func(p *store.CreateBackchannelAuthenticationParams) { p.ClientAuthMethod = "" }},
		"a client that is not there":         {store.OutcomeUnauthenticated, func(p *store.CreateBackchannelAuthenticationParams) { p.ClientID = "nobody" }},
		"a disabled client":                  {store.OutcomeDisabled, func(p *store.CreateBackchannelAuthenticationParams) { p.ClientID = disabled }},
		"a public client":                    {store.OutcomeUnauthorizedClient, func(p *store.CreateBackchannelAuthenticationParams) { p.ClientID = public }},
		"a device":                           {store.OutcomeUnauthorizedClient, func(p *store.CreateBackchannelAuthenticationParams) { p.ClientID = device }},
		"a user who is not there":            {store.OutcomeUnknown, func(p *store.CreateBackchannelAuthenticationParams) { p.UserID = "nobody" }},
		"a deleted user":                     {store.OutcomeUnknown, func(p *store.CreateBackchannelAuthenticationParams) { p.UserID = deleted }},
		"a suspended user":                   {store.OutcomeSuspended, func(p *store.CreateBackchannelAuthenticationParams) { p.UserID = suspended }},
		"another resource":                   {store.OutcomeInvalidTarget, func(p *store.CreateBackchannelAuthenticationParams) { p.Resources = []string{"https://bank.example"} }},
		"details without a type": {store.OutcomeInvalidAuthorizationDetails, func(p *store.CreateBackchannelAuthenticationParams) {
			p.AuthorizationDetails = json.RawMessage(`[{"amount": 1}]`)
		}},
		"scopes beyond the default": {store.OutcomeInvalidScope, func(p *store.CreateBackchannelAuthenticationParams) { p.Scopes = []string{"admin"} }},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.forSubtest(t)
			p := w.backchannelParams(fixture.Unique("req"))
			c.change(&p)
			w.Unchanged(func() {
				row, err := w.Q.CreateBackchannelAuthentication(w.Ctx, p)
				w.OK(err)
				w.want("CreateBackchannelAuthentication", row.Outcome, c.want)
			})
		})
	}
}

// The codes of a request go when they have been expired for the retention; what was granted stays. Then the request itself goes.
func TestExpiredPolledRequestsAreDeleted(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	pending, redeemed, live := w.device(), w.approvedDevice(), w.device()
	w.poll(redeemed.code, store.OutcomeRedeemed)
	for _, d := range []device{pending, redeemed} {
		w.ago(d, 2*time.Hour)
	}
	left := func(want ...device) {
		t.Helper()
		var ids []store.AuthorizationID
		for _, d := range []device{pending, redeemed, live} {
			if _, err := w.Q.GetPolledRequest(w.Ctx, d.id); err == nil {
				ids = append(ids, d.id)
			}
		}
		if !slices.EqualFunc(ids, want, func(id store.AuthorizationID, d device) bool { return id == d.id }) {
			t.Errorf("%v are left, want %v", ids, want)
		}
	}
	requests := func(want int64) {
		t.Helper()
		n, err := fixture.Deleted(w.Q.DeleteExpiredAuthorizations(w.Ctx, store.DeleteExpiredAuthorizationsParams{BatchSize: 10}))
		w.OK(err)
		wantEqual(t, "requests deleted", n, want)
	}
	requests(0)
	for _, c := range []struct {
		retention time.Duration
		want      int64
		left      []device
	}{{3 * time.Hour, 0, []device{pending, redeemed, live}}, {time.Hour, 2, []device{live}}, {-time.Hour, 0, []device{live}}} {
		n, err := fixture.Deleted(w.Q.DeleteExpiredPolledRequests(w.Ctx, store.DeleteExpiredPolledRequestsParams{Retention: c.retention, BatchSize: 10}))
		w.OK(err)
		wantEqual(t, "codes deleted", n, c.want)
		left(c.left...)
	}
	requests(1)
	w.WantLive("rt-" + redeemed.code)
}

// A JWT may have no row. Its refresh token, or the family, is kept until it has expired.
func TestPollDeviceCodeForAnAccessTokenWithoutARow(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	jwt := func(p *store.PollDeviceCodeParams) { p.AccessToken, p.AccessTokenWithoutRow = nil, true }
	longer := func(p *store.PollDeviceCodeParams) { jwt(p); p.AccessTokenLifetime = 10 * time.Minute }
	alone := func(p *store.PollDeviceCodeParams) { p.RefreshToken, p.RefreshTokenID = nil, nil }
	for _, c := range []struct {
		what   string
		change func(*store.PollDeviceCodeParams)
		kept   func(d device) *time.Time
	}{
		{"with a refresh token", func(*store.PollDeviceCodeParams) {}, func(d device) *time.Time { return w.refreshTokenOf("rt-" + d.code).AccessTokenExpiresAt }},
		{"without one", alone, func(d device) *time.Time { return w.authorizationOf(d.id).ExpiresAt }},
	} {
		d := w.approvedDevice()
		p := w.pollParams(d.code)
		jwt(&p)
		c.change(&p)
		first, err := w.Q.PollDeviceCode(w.Ctx, p)
		w.OK(err)
		w.want("PollDeviceCode", first.Outcome, store.OutcomeRedeemed)
		wantEqual(t, "kept until, "+c.what, c.kept(d), first.AccessTokenExpiresAt)
		onToken := first.RefreshToken != nil
		w.Unchanged(func() {
			again, err := w.Q.PollDeviceCode(w.Ctx, p)
			w.OK(err)
			first.Outcome = store.OutcomeRetried
			wantEqual(t, "the same call, "+c.what, again, first)
		})
		later := w.poll(d.code, store.OutcomeRetried, longer, c.change)
		wantEqual(t, "kept until after a retry, "+c.what, c.kept(d), later.AccessTokenExpiresAt)
		if !later.AccessTokenExpiresAt.After(*first.AccessTokenExpiresAt) {
			t.Errorf("%s: the retry's token expires at %s, the first one at %s", c.what, later.AccessTokenExpiresAt, first.AccessTokenExpiresAt)
		}
		w.poll(d.code, store.OutcomeRetried, jwt, c.change)
		wantEqual(t, "kept until after a retry for a shorter one, "+c.what, c.kept(d), later.AccessTokenExpiresAt)
		if access, _ := w.CountLive(d.id); access != 0 {
			t.Errorf("%s: %d access tokens have a row", c.what, access)
		}
		wantEqual(t, "the family has no expiry of its own, "+c.what, w.authorizationOf(d.id).ExpiresAt == nil, onToken)
		d = w.approvedDevice()
		short := w.poll(d.code, store.OutcomeRedeemed, jwt, c.change, func(p *store.PollDeviceCodeParams) { p.FamilyLifetime = time.Minute })
		wantEqual(t, "kept until the family's end, "+c.what, c.kept(d), short.AccessTokenExpiresAt)
	}
}

// The very same call is answered by what it wrote, whatever it asks for now, and whatever the client's limits are by now.
func TestRepeatedPollAnswersWhatItWrote(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	details := json.RawMessage(`[{"type": "pay", "to": "a"}, {"type": "pay", "to": "b"}]`)
	d := w.device(func(p *store.CreateDeviceAuthorizationParams) { p.AuthorizationDetails = details })
	w.find(d.user, store.OutcomeClaimed)
	w.approve(d.id, store.OutcomeApproved, withoutCode, func(p *store.ApproveAuthorizationParams) { p.AuthorizationDetails = details })
	p := w.pollParams(d.code)
	p.Resources, p.AuthorizationDetails = bothResources[:1], json.RawMessage(`[{"type": "pay", "to": "a"}]`)
	first, err := w.Q.PollDeviceCode(w.Ctx, p)
	w.OK(err)
	w.want("PollDeviceCode", first.Outcome, store.OutcomeRedeemed)
	w.Exec(`UPDATE oauth_client SET access_token_lifetime = '1 minute' WHERE client_id = $1`, string(w.Client))
	p.Resources, p.AuthorizationDetails = nil, nil
	w.Unchanged(func() {
		again, err := w.Q.PollDeviceCode(w.Ctx, p)
		w.OK(err)
		first.Outcome = store.OutcomeRetried
		wantEqual(t, "the answer", again, first)
	})
	other := w.approvedDevice()
	w.Unchanged(func() {
		p.DeviceCode = fixture.Digest(other.code)
		_, err := w.Q.PollDeviceCode(w.Ctx, p)
		wantEqual(t, "error", pgErrorOf(err).Message, "AccessTokenID is that of another token")
	})
}

// A poll is in time, and the code of an expired request free, from the very instant on.
func TestPollsAndUserCodesAreJudgedToTheInstant(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.device()
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		w := w.on(q)
		set := func(what string) {
			exec(`UPDATE oauth_polled_request SET `+what+` WHERE id IN (SELECT a.id FROM oauth_authorization AS a WHERE a.client_id = $1)`, string(w.Client))
		}
		set(`polled_at = now() - poll_interval + interval '1 microsecond'`)
		w.poll(d.code, store.OutcomeSlowDown)
		set(`polled_at = now() - poll_interval`)
		w.poll(d.code, store.OutcomeAuthorizationPending)
		again := device{store.NewAuthorizationID(), fixture.Unique("device"), d.user}
		set(`expires_at = now() + interval '1 microsecond'`)
		w.createDevice(again, store.OutcomeTaken)
		set(`expires_at = now()`)
		w.createDevice(again, store.OutcomeCreated)
		for want, left := range []string{"1 microsecond", "0"} {
			set(`expires_at = now() - interval '1 hour' + interval '` + left + `'`)
			n, err := fixture.Deleted(q.DeleteExpiredPolledRequests(w.Ctx, store.DeleteExpiredPolledRequestsParams{Retention: time.Hour, BatchSize: 1}))
			w.OK(err)
			wantEqual(t, "deleted "+left+" before", n, int64(want))
		}
		set(`expires_at = now()`)
		n, err := fixture.Deleted(q.DeleteExpiredPolledRequests(w.Ctx, store.DeleteExpiredPolledRequestsParams{BatchSize: 9}))
		w.OK(err)
		wantEqual(t, "deleted of the rest", n, 1)
	})
}

// A retry's access token is bound by the family's life like the first one.
func TestRetryOfADeviceCodeLivesNoLongerThanTheFamily(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	d := w.approvedDevice()
	short := func(p *store.PollDeviceCodeParams) { p.FamilyLifetime = time.Minute }
	first := w.poll(d.code, store.OutcomeRedeemed, short)
	again := w.poll(d.code, store.OutcomeRetried)
	if !again.AccessTokenExpiresAt.Equal(*first.RefreshTokenExpiresAt) || !first.AccessTokenExpiresAt.Equal(*first.RefreshTokenExpiresAt) {
		t.Errorf("the access tokens expire at %s and %s, the family at %s", first.AccessTokenExpiresAt, again.AccessTokenExpiresAt, first.RefreshTokenExpiresAt)
	}
}

// What was taken from the client counts when the tokens are issued, first and again.
func TestPollDeviceCodeGivesNothingThatWasTakenFromTheClient(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	approved, redeemed := w.approvedDevice(), w.approvedDevice()
	w.poll(redeemed.code, store.OutcomeRedeemed)
	for _, c := range []struct {
		taken string
		want  store.Outcome
	}{
		{`scopes = '{openid}'`, store.OutcomeInvalidScope},
		{`scopes = NULL, resources = '{https://api.example}'`, store.OutcomeInvalidTarget},
		{`resources = NULL, dpop_bound_access_tokens = true`, store.OutcomeMismatched},
	} {
		w.Exec(`UPDATE oauth_client SET `+c.taken+` WHERE client_id = $1`, string(w.Client))
		w.Unchanged(func() {
			w.poll(approved.code, c.want)
			w.poll(redeemed.code, c.want)
		})
	}
	w.Exec(`UPDATE oauth_client SET dpop_bound_access_tokens = NULL, grant_types = $2 WHERE client_id = $1`, string(w.Client), []string{deviceGrant})
	if row := w.poll(approved.code, store.OutcomeRedeemed); row.RefreshToken != nil || row.RefreshTokenID != nil || row.RefreshTokenExpiresAt != nil {
		t.Errorf("a client that isn't registered for refresh tokens got one: %+v", row)
	}
}

// RFC 9396, section 6.1: the token request may narrow authorization_details, not widen them.
func TestPollDeviceCodeKeepsToTheAuthorizationDetails(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	two, one := json.RawMessage(`[{"type": "pay", "to": "a"}, {"type": "pay", "to": "b"}]`), json.RawMessage(`[{"to": "a", "type": "pay"}]`)
	wider := json.RawMessage(`[{"type": "pay"}]`)
	d := w.device(func(p *store.CreateDeviceAuthorizationParams) { p.AuthorizationDetails = two })
	w.find(d.user, store.OutcomeClaimed)
	w.approve(d.id, store.OutcomeApproved, withoutCode, func(p *store.ApproveAuthorizationParams) { p.AuthorizationDetails = two })
	with := func(details json.RawMessage, types ...string) func(*store.PollDeviceCodeParams) {
		return func(p *store.PollDeviceCodeParams) { p.AuthorizationDetails, p.ComparedTypes = details, types }
	}
	w.Unchanged(func() { w.poll(d.code, store.OutcomeInvalidAuthorizationDetails, with(wider)) })
	row := w.poll(d.code, store.OutcomeRedeemed, with(one))
	var got, want any
	w.OK(json.Unmarshal(row.AuthorizationDetails, &got))
	w.OK(json.Unmarshal(one, &want))
	wantEqual(t, "authorization_details", got, want)
	w.Unchanged(func() { w.poll(d.code, store.OutcomeInvalidAuthorizationDetails, with(wider)) })
	w.poll(d.code, store.OutcomeRetried, with(wider, "pay"))
	w.OK(json.Unmarshal(w.Introspect("rt-"+d.code).AuthorizationDetails, &got))
	w.OK(json.Unmarshal(two, &want))
	wantEqual(t, "authorization_details of the refresh token", got, want)
}

// The client's limits, the session's end and the binding to a key are those of a code's redemption.
func TestPollDeviceCodeKeepsToTheLimits(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) {
		p.GrantTypes = []string{deviceGrant, "refresh_token"}
		p.AccessTokenLifetime, p.RefreshTokenLifetime, p.AuthorizationLifetime = new(20*time.Second), new(time.Minute), new(30*time.Second)
	})
	key := &token.Confirmation{JKT: "key"}
	d := w.approvedDevice()
	row := w.poll(d.code, store.OutcomeRedeemed, func(p *store.PollDeviceCodeParams) { p.AccessToken, p.Confirmation = new(fixture.Digest("at")), key })
	access, refresh := w.Introspect("at"), w.Introspect("rt-"+d.code)
	wantEqual(t, "access token", row.AccessTokenExpiresAt.Sub(*access.IssuedAt), 20*time.Second)
	wantEqual(t, "refresh token", row.RefreshTokenExpiresAt.Sub(*access.IssuedAt), 30*time.Second)
	wantEqual(t, "the key of the access token", access.Confirmation, key)
	if refresh.Confirmation != nil {
		t.Errorf("a confidential client's refresh token is bound to %v", refresh.Confirmation)
	}
	w.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant, "refresh_token"} })
	bound := w.approvedDevice(func(p *store.ApproveAuthorizationParams) { p.GrantedScopes = []string{"openid"} })
	s, err := w.Q.GetSession(w.Ctx, w.Session)
	w.OK(err)
	long := func(p *store.PollDeviceCodeParams) { p.AccessTokenLifetime = 30 * 24 * time.Hour }
	for _, want := range []store.Outcome{store.OutcomeRedeemed, store.OutcomeRetried} {
		if row := w.poll(bound.code, want, long); !row.AccessTokenExpiresAt.Equal(s.ExpiresAt) {
			t.Errorf("%s: the access token expires at %s, its session at %s", want, row.AccessTokenExpiresAt, s.ExpiresAt)
		}
	}
}

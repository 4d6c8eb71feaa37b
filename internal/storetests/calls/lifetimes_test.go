package calls

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// A lifetime that is left out, or is no lifetime, is an error that names it, wherever one decides when something expires.
func TestForgottenLifetimeIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.machine()
	uri := fixture.Digest("request_uri")
	pushed := w.pending(func(p *store.CreateAuthorizationParams) { p.RequestURI, p.RequestURILifetime = &uri, time.Minute })
	opened := fixture.Digest("opened")
	w.pending(func(p *store.CreateAuthorizationParams) { p.RequestURI, p.RequestURILifetime = &opened, time.Minute })
	approved, asked := w.pending(), w.pending()
	w.approve(approved, store.OutcomeApproved)
	_, code := w.Grant()
	k := w.Redeem()
	_, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: "k", PrivateKey: "x"})
	w.OK(err)
	for _, id := range []store.SigningKeyID{"replaced", "replacing"} {
		_, err := w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: id, PrivateKey: "x", Alg: new("ES256")})
		w.OK(err)
	}
	create := w.RequestParams()
	create.RequestURI, create.RequestURILifetime = new(fixture.Digest("other")), time.Minute
	rotate, _ := w.RotateParams(k.Refresh)
	approve := w.approveParams(asked)
	approve.Code = new(fixture.Digest("its code"))
	registration := registerParams("")
	registration.Open, registration.ClientSecretLifetime = true, time.Hour
	update := updateParams(w.open(), "r1")
	update.ClientSecret, update.ClientSecretLifetime = new(fixture.Digest("new")), time.Hour
	exchanger := w.NewExchanger()
	exchanged, _ := w.ExchangeParams(w.Redeem().Access, exchanger)
	w.TrustIssuer(fixture.Issuer)
	w.NewAccount(w.User, fixture.Issuer, "7")
	asserted, _ := w.AssertionParams(fixture.Issuer, "7", "jti", exchanger)
	device, ciba := w.forSubtest(t), w.forSubtest(t)
	device.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant, "refresh_token"} })
	ciba.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{cibaGrant} })
	approvedDevice := device.approvedDevice()
	w.Exec(`INSERT INTO session_client (session_id, client_id, user_id, sub, sid, due_at) VALUES ('gone', $1, 'u', 'u', 'gone', now())`, string(w.NewClient(withLogoutURI)))
	// calls that would work
	calls := map[string]any{
		"ClaimLogoutDeliveries":         store.ClaimLogoutDeliveriesParams{PageSize: 1, LeaseLifetime: time.Minute},
		"CreateAuthorization":           create,
		"TakeAuthorizationByRequestURI": store.TakeAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.Client, Lifetime: time.Minute},
		"FindAuthorizationByRequestURI": store.FindAuthorizationByRequestURIParams{RequestURI: opened, ClientID: w.Client, Lifetime: time.Minute},
		"ApproveAuthorization":          approve,
		"IssueAuthorizationCode":        store.IssueAuthorizationCodeParams{ID: approved, Code: fixture.Digest("new"), CodeLifetime: time.Minute, DefaultScopes: fixture.Scopes},
		"GrantAuthorization":            w.GrantParams("granted"),
		"RedeemAuthorizationCode":       w.RedeemParams(code),
		"RotateRefreshToken":            rotate,
		"IssueAccessToken":              w.issueParams("token"),
		"ExchangeToken":                 exchanged,
		"IssueTokenByAssertion":         asserted,
		"IssueGrant":                    w.issueGrantParams("granted"),
		"ImportRefreshToken":            w.importParams("granted"),
		"CreateSession":                 store.CreateSessionParams{ID: store.NewSessionID(), UserID: w.User, Token: fixture.Digest("cookie"), Lifetime: time.Hour},
		"ExtendSession":                 store.ExtendSessionParams{ID: w.Session, Lifetime: 2 * time.Hour},
		"RememberClientAssertion":       store.RememberClientAssertionParams{ID: fixture.Digest("jti"), ExpiresAt: time.Now().Add(time.Minute).Unix(), MaxLifetime: time.Hour},
		"RotateClientSecret":            store.RotateClientSecretParams{ClientID: w.machine(), ClientSecret: fixture.Digest("new"), Lifetime: time.Hour},
		"CreateInitialAccessToken":      store.CreateInitialAccessTokenParams{ID: "iat", Token: fixture.Digest("iat"), MaxUses: 1, Lifetime: time.Hour},
		"RegisterClient":                registration,
		"UpdateRegistration":            update,
		"RetireReplacedSigningKeys":     store.RetireReplacedSigningKeysParams{Alg: "ES256", Lifetime: time.Hour},
		"CreateOneTimeCode":             store.CreateOneTimeCodeParams{Purpose: "sign-in", Subject: fixture.Digest("ada"), Digest: fixture.Digest("123456"), Lifetime: time.Minute},
		"RetireSigningKey":              store.RetireSigningKeyParams{ID: "k", Lifetime: time.Hour},

		"CreateDeviceAuthorization":       device.deviceParams(newDevice()),
		"CreateBackchannelAuthentication": ciba.backchannelParams("req"),
		"PollDeviceCode":                  device.pollParams(approvedDevice.code),
	}
	tried := 0
	querier := reflect.TypeFor[store.Querier]()
	for i := range querier.NumMethod() {
		m := querier.Method(i)
		if m.Type.NumIn() < 2 || m.Type.In(1).Kind() != reflect.Struct {
			continue
		}
		for f := range m.Type.In(1).NumField() {
			field := m.Type.In(1).Field(f)
			if field.Type != reflect.TypeFor[time.Duration]() || !strings.HasSuffix(field.Name, "Lifetime") {
				continue
			}
			args, found := calls[m.Name]
			if !found {
				t.Errorf("no test of %s.%s", m.Name, field.Name)
				continue
			}
			call := reflect.ValueOf(w.Q).MethodByName(m.Name)
			for _, bad := range []time.Duration{0, -time.Hour, time.Second - time.Microsecond} {
				arg := reflect.New(m.Type.In(1)).Elem()
				arg.Set(reflect.ValueOf(args))
				arg.Field(f).SetInt(int64(bad))
				w.Unchanged(func() {
					out := call.Call([]reflect.Value{reflect.ValueOf(w.Ctx), arg})
					err, _ := out[len(out)-1].Interface().(error)
					if e := pgErrorOf(err); e.Code != "22023" || !strings.HasPrefix(e.Message, field.Name+" ") {
						t.Errorf("%s with a %s of %s: %v", m.Name, field.Name, bad, err)
					}
				})
				tried++
			}
		}
	}
	if tried < 3*16 {
		t.Errorf("only %d were tried", tried)
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range calls {
			if !yield(n) {
				return
			}
		}
	}) { // and all of them do work, so that it was the lifetime that was refused
		out := reflect.ValueOf(w.Q).MethodByName(name).Call([]reflect.Value{reflect.ValueOf(w.Ctx), reflect.ValueOf(calls[name])})
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.approve(pushed, store.OutcomeApproved)
}

// It is needed only for what is issued.
func TestLifetimeOfWhatIsNotIssuedMayBeLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.pending(func(p *store.CreateAuthorizationParams) { p.RequestURI, p.RequestURILifetime = nil, 0 })
	_, code := w.Grant()
	w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) {
		p.RefreshToken, p.RefreshTokenID, p.RefreshTokenLifetime, p.FamilyLifetime = nil, nil, 0, 0
	})
}

// What a client is registered with bounds what the server gives.
func TestLifetimesOfTheClientBoundThoseOfTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) {
		p.AccessTokenLifetime, p.RefreshTokenLifetime, p.AuthorizationLifetime, p.CodeLifetime = new(time.Minute), new(2*time.Minute), new(3*time.Minute), new(10*time.Second)
		p.GrantTypes = []string{"client_credentials", "authorization_code", "refresh_token"}
	})
	of := func(p *store.GrantAuthorizationParams) { p.ClientID = w.Client }
	id, code := w.Grant(of)
	a := w.authorizationOf(id)
	wantAt(t, "code", a.CodeExpiresAt, a.CreatedAt, 10*time.Second)
	w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) {
		p.AccessTokenLifetime, p.RefreshTokenLifetime, p.FamilyLifetime = store.Never, store.Never, store.Never
	})
	access, refresh := w.accessTokenOf("at-"+code), w.refreshTokenOf("rt-"+code)
	wantAt(t, "access token", access.ExpiresAt, access.CreatedAt, time.Minute)
	wantAt(t, "refresh token", refresh.ExpiresAt, refresh.CreatedAt, 2*time.Minute)
	wantAt(t, "family", w.authorizationOf(id).MaxExpiresAt, access.CreatedAt, 3*time.Minute)
	_, rotated := w.Rotate("rt-"+code, store.OutcomeRotated)
	access, refresh = w.accessTokenOf(rotated), w.refreshTokenOf(fixture.SuccessorOf("rt-"+code))
	wantAt(t, "access token", access.ExpiresAt, access.CreatedAt, time.Minute)
	wantAt(t, "refresh token", refresh.ExpiresAt, refresh.CreatedAt, 2*time.Minute)
	w.issue("own", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) { p.ClientID = w.Client })
	access = w.accessTokenOf("own")
	wantAt(t, "access token of the client itself", access.ExpiresAt, access.CreatedAt, time.Minute)
}

// A bound of store.Never is none, as NULL is.
func TestLifetimeOfTheClientWithoutEndBoundsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Client = w.NewClient(func(p *store.CreateClientParams) {
		p.AccessTokenLifetime, p.RefreshTokenLifetime, p.AuthorizationLifetime = new(store.Never), new(store.Never), new(store.Never)
	})
	id, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.ClientID = w.Client })
	w.redeem(code, store.OutcomeRedeemed, func(p *store.RedeemAuthorizationCodeParams) {
		p.AccessTokenLifetime, p.RefreshTokenLifetime, p.FamilyLifetime = store.Never, store.Never, store.Never
	})
	for what, at := range map[string]*time.Time{
		"access token": w.accessTokenOf("at-" + code).ExpiresAt, "refresh token": w.refreshTokenOf("rt-" + code).ExpiresAt, "family": w.authorizationOf(id).MaxExpiresAt,
	} {
		if at != nil {
			t.Errorf("%s: ends at %s, want never", what, at)
		}
	}
}

// Without a refresh token the family ends with its access token, which lasts no longer than a family may (authorization_lifetime).
func TestFamilyLifetimeBoundsAnAccessTokenAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.TrustIssuer(fixture.Issuer)
	w.NewAccount(w.User, fixture.Issuer, "7")
	client := func(grantTypes ...string) store.ClientID {
		return w.NewClient(func(p *store.CreateClientParams) {
			p.GrantTypes, p.AuthorizationLifetime = grantTypes, new(2*time.Minute)
		})
	}
	coded, device, asserting := client("authorization_code"), w.forSubtest(t), client(fixture.JWTBearer)
	device.Client = client(deviceGrant)
	in := func(what string, got *time.Time, want time.Duration) {
		t.Helper()
		if got == nil || time.Until(*got) > want || time.Until(*got) < want-30*time.Second {
			t.Errorf("%s: %v, want it in %v", what, got, want)
		}
	}
	for _, withoutRow := range []bool{false, true} {
		for _, c := range []struct{ family, want time.Duration }{{0, 2 * time.Minute}, {time.Minute, time.Minute}, {store.Never, 2 * time.Minute}} {
			digest := func() *token.Digest {
				if withoutRow {
					return nil
				}
				return new(fixture.Digest(fixture.Unique("at")))
			}
			_, code := w.Grant(func(p *store.GrantAuthorizationParams) { p.ClientID = coded })
			redemption := w.RedeemParams(code)
			redemption.ClientID, redemption.RefreshToken, redemption.RefreshTokenID, redemption.FamilyLifetime = coded, nil, nil, c.family
			redemption.AccessTokenLifetime, redemption.AccessToken, redemption.AccessTokenWithoutRow = time.Hour, digest(), withoutRow
			redeemed, err := w.Q.RedeemAuthorizationCode(w.Ctx, redemption)
			w.OK(err)
			poll := device.pollParams(device.approvedDevice().code)
			poll.RefreshToken, poll.RefreshTokenID, poll.FamilyLifetime = nil, nil, c.family
			poll.AccessTokenLifetime, poll.AccessToken, poll.AccessTokenWithoutRow = time.Hour, digest(), withoutRow
			polled, err := w.Q.PollDeviceCode(w.Ctx, poll)
			w.OK(err)
			grant := w.issueGrantParams(fixture.Unique("g"))
			grant.ClientID, grant.RefreshToken, grant.RefreshTokenID, grant.FamilyLifetime = coded, nil, nil, c.family
			grant.AccessTokenLifetime, grant.AccessToken, grant.AccessTokenWithoutRow = time.Hour, digest(), withoutRow
			issued, err := w.Q.IssueGrant(w.Ctx, grant)
			w.OK(err)
			for call, got := range map[string]struct{ access, refresh *time.Time }{
				"RedeemAuthorizationCode": {redeemed.AccessTokenExpiresAt, redeemed.RefreshTokenExpiresAt},
				"PollDeviceCode":          {polled.AccessTokenExpiresAt, polled.RefreshTokenExpiresAt},
				"IssueGrant":              {issued.AccessTokenExpiresAt, issued.RefreshTokenExpiresAt},
			} {
				wantEqual(t, call+": refresh_token_expires_at", got.refresh, nil)
				in(call+": access_token_expires_at", got.access, c.want)
			}
			for _, id := range []*store.AuthorizationID{redeemed.AuthorizationID, polled.AuthorizationID, &grant.ID} {
				a := w.authorizationOf(*id)
				in("max_expires_at", a.MaxExpiresAt, c.want)
				if withoutRow {
					in("expires_at", a.ExpiresAt, c.want)
				}
			}
		}
		asserted, _ := w.Assert("7", fixture.Unique("jti"), asserting, store.OutcomeIssued, func(p *store.IssueTokenByAssertionParams) {
			p.AccessTokenLifetime, p.Scopes = time.Hour, nil
		})
		in("IssueTokenByAssertion: expires_at", asserted.ExpiresAt, 2*time.Minute)
	}
}

// A second is the shortest.
func TestLifetimeMayBeASecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got, err := w.Q.CreateInitialAccessToken(w.Ctx, store.CreateInitialAccessTokenParams{ID: "iat", Token: fixture.Digest("iat"), MaxUses: 1, Lifetime: time.Second})
	w.OK(err)
	wantAt(t, "expires_at of a token", got.ExpiresAt, got.CreatedAt, time.Second)
	_, row := w.createSession(func(p *store.CreateSessionParams) { p.Lifetime = time.Second })
	w.want("CreateSession", row.Outcome, store.OutcomeCreated)
}

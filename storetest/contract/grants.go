package contract

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const (
	deviceGrant   = "urn:ietf:params:oauth:grant-type:device_code"
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// grants are the grant types of a client, beside refresh_token.
func grants(types ...string) func(*store.CreateClientParams) {
	return func(c *store.CreateClientParams) { c.GrantTypes = append(types, "refresh_token") }
}

// familyIsLive fails the test unless the family, asked as for a token without a row, is active or inactive.
func (w *world) familyIsLive(id store.AuthorizationID, want store.Outcome) {
	w.Helper()
	row, err := w.q.IntrospectAuthorization(w.Context(), store.IntrospectAuthorizationParams{ClientAuthMethod: "server", ID: id})
	w.noError(err)
	w.is(row.Outcome, want)
}

func deviceIsGrantedOnce(w *world) {
	ctx := w.Context()
	w.client = w.newClient(grants(deviceGrant))
	id := store.NewAuthorizationID()
	deviceCode, userCode := token.DigestOf("device code of "+string(id)), token.DigestOf("user code of "+string(id))
	created, err := w.q.CreateDeviceAuthorization(ctx, store.CreateDeviceAuthorizationParams{
		ID: id, ClientID: w.client, ClientAuthMethod: "none", DeviceCode: deviceCode, UserCode: userCode,
		Scopes: []string{"openid", "offline_access"}, Lifetime: time.Minute,
	})
	w.noError(err)
	w.is(created.Outcome, store.OutcomeCreated)
	refresh := token.DigestOf("after " + string(deviceCode))
	poll := func() (store.PollDeviceCodeRow, error) {
		accessID, refreshID := store.NewAccessTokenID(), store.NewRefreshTokenID()
		access := token.DigestOf(string(accessID))
		return w.q.PollDeviceCode(ctx, store.PollDeviceCodeParams{
			ClientID: w.client, ClientAuthMethod: "none", DeviceCode: deviceCode, AccessTokenID: accessID, AccessToken: &access,
			RefreshTokenID: &refreshID, RefreshToken: &refresh, AccessTokenLifetime: time.Hour, RefreshTokenLifetime: time.Hour,
			FamilyLifetime: store.Never, Grace: time.Minute,
		})
	}
	row, err := poll()
	w.noError(err)
	w.is(row.Outcome, store.OutcomeAuthorizationPending)

	found, err := w.q.FindAuthorizationByUserCode(ctx, store.FindAuthorizationByUserCodeParams{UserID: w.user, SessionID: &w.session, UserCode: userCode})
	w.noError(err)
	w.is(found.Outcome, store.OutcomeClaimed)
	stranger := w.newUser()
	approve := store.ApproveAuthorizationParams{ID: id, UserID: stranger, GrantedScopes: []string{"openid", "offline_access"}}
	refused, err := w.q.ApproveAuthorization(ctx, approve)
	w.noError(err)
	w.is(refused.Outcome, store.OutcomeMismatched)
	approve.UserID, approve.SessionID = w.user, &w.session
	approved, err := w.q.ApproveAuthorization(ctx, approve)
	w.noError(err)
	w.is(approved.Outcome, store.OutcomeApproved)

	got := w.atOnce(func(int) (store.Outcome, error) {
		row, err := poll()
		if err == nil && (row.RefreshToken == nil || *row.RefreshToken != refresh) {
			w.Errorf("%s: the refresh token is %v, want %v", row.Outcome, row.RefreshToken, refresh)
		}
		return row.Outcome, err
	})
	w.counts(got, map[store.Outcome]int{store.OutcomeRedeemed: 1, store.OutcomeRetried: Parallel - 1})

	rotation := w.rotation(refresh)
	w.rotate(rotation, store.OutcomeRotated)
	row, err = poll()
	w.noError(err)
	w.is(row.Outcome, store.OutcomeReplayed)
	w.live(tokens{*rotation.AccessToken, rotation.Successor}, false)
}

func pushedRequestIsTakenOnce(w *world) {
	id := store.NewAuthorizationID()
	responseType, challenge, method := "code", token.S256("verifier"), "S256"
	uri := token.DigestOf("request_uri of " + string(id))
	created, err := w.q.CreateAuthorization(w.Context(), store.CreateAuthorizationParams{
		ID: id, ClientID: w.client, ResponseType: &responseType, Scopes: []string{"openid"}, CodeChallenge: &challenge,
		CodeChallengeMethod: &method, RequestURI: &uri, RequestURILifetime: time.Minute, Lifetime: time.Minute,
	})
	w.noError(err)
	w.is(created.Outcome, store.OutcomeCreated)
	take := func(client store.ClientID) (store.Outcome, error) {
		a, err := w.q.TakeAuthorizationByRequestURI(w.Context(), store.TakeAuthorizationByRequestURIParams{
			RequestURI: uri, ClientID: client, Lifetime: time.Minute,
		})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return store.OutcomeUnknown, nil
		case err == nil && a.ID != id:
			w.Errorf("the request is %s, want %s", a.ID, id)
		}
		return store.OutcomeClaimed, err
	}
	other, err := take(w.newClient(func(*store.CreateClientParams) {}))
	w.noError(err)
	w.is(other, store.OutcomeUnknown)
	got := w.atOnce(func(int) (store.Outcome, error) { return take(w.client) })
	w.counts(got, map[store.Outcome]int{store.OutcomeClaimed: 1, store.OutcomeUnknown: Parallel - 1})
}

func exchangedTokenEndsWithFamily(w *world) {
	ctx := w.Context()
	w.client = w.newClient(grants("authorization_code", exchangeGrant))
	g := w.granted("openid", "profile", "offline_access")
	exchange := func(subject token.Digest, scopes ...string) store.ExchangeTokenParams {
		id := store.NewAccessTokenID()
		access := token.DigestOf(string(id))
		return store.ExchangeTokenParams{
			ClientID: w.client, ClientAuthMethod: "none", SubjectToken: &subject, Scopes: scopes, AccessTokenID: id, AccessToken: &access,
			AccessTokenLifetime: time.Hour,
		}
	}
	is := func(call store.ExchangeTokenParams, want store.Outcome) store.ExchangeTokenRow {
		w.Helper()
		row, err := w.q.ExchangeToken(ctx, call)
		w.noError(err)
		w.is(row.Outcome, want)
		return row
	}
	introspected := func(access token.Digest, want store.Outcome) {
		w.Helper()
		row, err := w.q.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{ClientAuthMethod: "server", Token: access})
		w.noError(err)
		w.is(row.Outcome, want)
	}
	narrow := exchange(g.access, "profile")
	first := is(narrow, store.OutcomeExchanged)
	again := is(narrow, store.OutcomeRetried)
	if !first.ExpiresAt.Equal(*again.ExpiresAt) {
		w.Fatalf("the answer again is another one: %v and %v", first, again)
	}
	is(exchange(*narrow.AccessToken, "openid"), store.OutcomeInvalidScope) // the token that is presented is the ceiling
	chained := exchange(*narrow.AccessToken, "profile")
	is(chained, store.OutcomeExchanged)
	introspected(*chained.AccessToken, store.OutcomeActive)

	ended, err := w.q.RevokeAuthorization(ctx, *first.AuthorizationID)
	w.noError(err)
	w.is(ended.Outcome, store.OutcomeEnded)
	introspected(*narrow.AccessToken, store.OutcomeInactive)
	introspected(*chained.AccessToken, store.OutcomeInactive)
	is(exchange(*chained.AccessToken, "profile"), store.OutcomeRevoked)
}

func rowlessTokenEndsWithFamily(w *world) {
	call := w.redemption(w.approved("openid", "offline_access"))
	call.AccessToken, call.AccessTokenWithoutRow = nil, true
	row := w.redeem(call, store.OutcomeRedeemed)
	if row.AccessTokenExpiresAt == nil {
		w.Fatal("the access token has no expiry")
	}
	w.familyIsLive(*row.AuthorizationID, store.OutcomeActive)
	ended, err := w.q.RevokeAuthorization(w.Context(), *row.AuthorizationID)
	w.noError(err)
	w.is(ended.Outcome, store.OutcomeEnded)
	w.familyIsLive(*row.AuthorizationID, store.OutcomeInactive)
}

func grantIsIssuedOnce(w *world) {
	id, accessID, refreshID := store.NewAuthorizationID(), store.NewAccessTokenID(), store.NewRefreshTokenID()
	access, refresh := token.DigestOf(string(accessID)), token.DigestOf(string(refreshID))
	call := store.IssueGrantParams{
		ID: id, ClientID: w.client, UserID: w.user, GrantType: "server", Scopes: []string{"openid", "offline_access"},
		AccessTokenID: accessID, AccessToken: &access, RefreshTokenID: &refreshID, RefreshToken: &refresh,
		AccessTokenLifetime: time.Hour, RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
	}
	got := w.atOnce(func(int) (store.Outcome, error) {
		row, err := w.q.IssueGrant(w.Context(), call)
		return row.Outcome, err
	})
	w.counts(got, map[store.Outcome]int{store.OutcomeIssued: 1, store.OutcomeRetried: Parallel - 1})
	w.live(tokens{access, refresh}, true)
	ended, err := w.q.RevokeAuthorization(w.Context(), id)
	w.noError(err)
	w.is(ended.Outcome, store.OutcomeEnded)
	row, err := w.q.IssueGrant(w.Context(), call)
	w.noError(err)
	w.is(row.Outcome, store.OutcomeRevoked)
	w.live(tokens{access, refresh}, false)
}

func grantIsImportedOnce(w *world) {
	ctx := w.Context()
	call := store.ImportRefreshTokenParams{
		ID: store.NewAuthorizationID(), ClientID: w.client, UserID: w.user, Scopes: []string{"openid", "offline_access"},
		Tokens: token.Digests(w.digests("imported")[:2]), RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
	}
	w.race(once(store.OutcomeIssued, store.OutcomeRetried), func(int) (store.Outcome, error) { return w.q.ImportRefreshToken(ctx, call) })
	rotation := w.rotation(call.Tokens[0])
	w.rotate(rotation, store.OutcomeRotated)
	successor := w.rotation(rotation.Successor)
	w.rotate(successor, store.OutcomeRotated)
	w.rotate(w.rotation(call.Tokens[0]), store.OutcomeReplayed) // and the family ends, with its other token
	w.rotate(w.rotation(call.Tokens[1]), store.OutcomeRevoked)
	outcome, err := w.q.ImportRefreshToken(ctx, call)
	w.noError(err)
	w.is(outcome, store.OutcomeRetried)
	w.rotate(w.rotation(call.Tokens[1]), store.OutcomeRevoked)
	ended, err := w.q.RevokeUserAuthorizations(ctx, w.user)
	w.noError(err)
	w.is(ended, store.OutcomeEnded)
	call.ID, call.Tokens = store.NewAuthorizationID(), token.Digests(w.digests("late")[:1])
	outcome, err = w.q.ImportRefreshToken(ctx, call)
	w.noError(err)
	w.is(outcome, store.OutcomeRevoked)
}

func consentIsImportedOnce(w *world) {
	ctx := w.Context()
	call := func() (store.Outcome, error) {
		return w.q.ImportConsent(ctx, store.ImportConsentParams{ID: store.NewConsentID(), UserID: w.user, ClientID: w.client, Scopes: []string{"openid"}})
	}
	w.race(once(store.OutcomeGranted, store.OutcomeDecided), func(int) (store.Outcome, error) { return call() })
	withdrawn, err := w.q.WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: w.user, ClientID: w.client})
	w.noError(err)
	w.is(withdrawn.Outcome, store.OutcomeWithdrawn)
	outcome, err := call()
	w.noError(err)
	w.is(outcome, store.OutcomeRevoked)
}

func registrationsAreCounted(w *world) {
	ctx := w.Context()
	const uses = 3
	initial := token.DigestOf("initial access token of " + string(w.user))
	_, err := w.q.CreateInitialAccessToken(ctx, store.CreateInitialAccessTokenParams{
		ID: store.NewInitialAccessTokenID(), Token: initial, MaxUses: uses, Lifetime: time.Hour,
	})
	w.noError(err)
	registration := func(uri string) store.RegisterClientParams {
		id, method := store.NewClientID(), "none"
		registrationToken := token.DigestOf("registration token of " + string(id))
		return store.RegisterClientParams{
			ID: store.NewOAuthClientID(), ClientID: id, InitialAccessToken: &initial, RedirectURIs: []string{uri},
			TokenEndpointAuthMethod: &method, RegistrationAccessToken: &registrationToken,
		}
	}
	row, err := w.q.RegisterClient(ctx, registration("https://client.example/cb#fragment"))
	w.noError(err)
	w.is(row.Outcome, store.OutcomeInvalidRedirectURI) // which spends nothing
	got := w.atOnce(func(int) (store.Outcome, error) {
		row, err := w.q.RegisterClient(ctx, registration("https://client.example/cb"))
		return row.Outcome, err
	})
	w.counts(got, map[store.Outcome]int{store.OutcomeRegistered: uses, store.OutcomeExhausted: Parallel - uses})
}

// callCanBeRepeated has callers that go away, at once or before the answer comes.
func callCanBeRepeated(w *world) {
	call := w.redemption(w.approved("openid", "offline_access"))
	gone, cancel := context.WithCancel(w.Context())
	cancel()
	if row, err := w.q.RedeemAuthorizationCode(gone, call); err == nil {
		w.Fatalf("a call whose context has ended: got %s, want an error", row.Outcome)
	}
	w.redeem(call, store.OutcomeRedeemed) // nothing had changed

	refresh := *call.RefreshToken
	for i := range 8 {
		rotation := w.rotation(refresh)
		impatient, cancel := context.WithTimeout(w.Context(), time.Duration(i)*500*time.Microsecond)
		first, err := w.q.RotateRefreshToken(impatient, rotation)
		cancel()
		want := store.OutcomeRotated
		if err == nil {
			w.is(first.Outcome, want)
			want = store.OutcomeRetried
		}
		row, again := w.q.RotateRefreshToken(w.Context(), rotation)
		w.noError(again)
		if row.Outcome != want && (err == nil || row.Outcome != store.OutcomeRetried) {
			w.Fatalf("the call again: got %s after %v, want %s", row.Outcome, err, want)
		}
		refresh = rotation.Successor
		w.live(tokens{*rotation.AccessToken, refresh}, true)
	}
}

// lateCallEndsNothing has calls that the database gets to late: whoever made them had given them up, made them again, and gone on.
func lateCallEndsNothing(w *world) {
	call := w.redemption(w.approved("openid", "offline_access"))
	w.redeem(call, store.OutcomeRedeemed)
	first := w.rotation(*call.RefreshToken)
	w.rotate(first, store.OutcomeRotated)
	second := w.rotation(first.Successor)
	w.rotate(second, store.OutcomeRotated)
	w.redeem(call, store.OutcomeRetried)
	w.rotate(first, store.OutcomeSuperseded)
	w.live(tokens{*second.AccessToken, second.Successor}, true)
	w.rotate(w.rotation(first.Successor), store.OutcomeReplayed) // which is another call
	w.live(tokens{*second.AccessToken, second.Successor}, false)
}

package contract

import (
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// request is a request that awaits the user's decision; a pushed one if uri is set.
func (w *world) request(uri *token.Digest) store.AuthorizationID {
	w.Helper()
	id := store.NewAuthorizationID()
	outcome, err := w.createRequest(id, uri)
	w.noError(err)
	w.is(outcome, store.OutcomeCreated)
	return id
}

func (w *world) createRequest(id store.AuthorizationID, uri *token.Digest) (store.Outcome, error) {
	responseType, challenge, method := "code", token.S256("verifier"), "S256"
	call := store.CreateAuthorizationParams{
		ID: id, ClientID: w.client, ResponseType: &responseType, Scopes: []string{"openid", "offline_access"}, CodeChallenge: &challenge,
		CodeChallengeMethod: &method, RequestURI: uri, Lifetime: time.Minute,
	}
	if uri != nil {
		call.RequestURILifetime = time.Minute
	}
	row, err := w.q.CreateAuthorization(w.Context(), call)
	return row.Outcome, err
}

func (w *world) deny(id store.AuthorizationID) (store.Outcome, error) {
	row, err := w.q.DenyAuthorization(w.Context(), store.DenyAuthorizationParams{ID: id})
	return row.Outcome, err
}

// approve approves a request, with a code if one is given.
func (w *world) approve(id store.AuthorizationID, code *token.Digest) (store.Outcome, error) {
	row, err := w.q.ApproveAuthorization(w.Context(), store.ApproveAuthorizationParams{
		ID: id, UserID: w.user, SessionID: &w.session, GrantedScopes: []string{"openid", "offline_access"}, Code: code, CodeLifetime: time.Minute,
	})
	return row.Outcome, err
}

func requestsAreStored(w *world) {
	ids := make([]store.AuthorizationID, Parallel)
	w.race(each(store.OutcomeCreated), func(i int) (store.Outcome, error) {
		ids[i] = store.NewAuthorizationID()
		return w.createRequest(ids[i], nil)
	})
	for _, id := range ids {
		outcome, err := w.deny(id)
		w.noError(err)
		w.is(outcome, store.OutcomeDenied)
	}
}

func pushedRequestIsFoundByAll(w *world) {
	uri := w.digests("request_uri")[0]
	id := w.request(&uri)
	until := make([]time.Time, Parallel)
	w.race(each(store.OutcomeActive), func(i int) (store.Outcome, error) {
		a, err := w.q.FindAuthorizationByRequestURI(w.Context(), store.FindAuthorizationByRequestURIParams{RequestURI: uri, ClientID: w.client, Lifetime: time.Hour})
		if err == nil {
			until[i] = *a.ExpiresAt
			if a.ID != id {
				w.Errorf("the request is %s, want %s", a.ID, id)
			}
		}
		return found(err)
	})
	for _, u := range until {
		if !u.Equal(until[0]) { // the first caller alone sets it
			w.Fatalf("the request waits until %v and until %v", u, until[0])
		}
	}
}

func requestIsApprovedOnce(w *world) {
	codes := w.digests("code")
	id := w.request(nil)
	w.race(once(store.OutcomeApproved, store.OutcomeRetried), func(i int) (store.Outcome, error) { return w.approve(id, &codes[i]) })
	id, codes = w.request(nil), w.digests("code")
	got := w.atOnce(func(i int) (store.Outcome, error) {
		if i%2 == 0 {
			return w.deny(id)
		}
		return w.approve(id, &codes[i])
	})
	if got[store.OutcomeApproved]+got[store.OutcomeDenied] != 1 || got[store.OutcomeDecided] != Parallel/2 || got[store.OutcomeRetried] != Parallel/2-1 {
		w.Fatalf("approved and denied at once: %v", got)
	}
}

func requestIsDeniedOnce(w *world) {
	id := w.request(nil)
	w.race(once(store.OutcomeDenied, store.OutcomeRetried), func(int) (store.Outcome, error) { return w.deny(id) })
}

// countsOneCode fails the test unless one of the codes can be redeemed.
func (w *world) countsOneCode(codes []token.Digest) {
	w.Helper()
	w.countsOne("codes", func(i int) (bool, error) {
		row, err := w.q.RedeemAuthorizationCode(w.Context(), w.redemption(codes[i]))
		return row.Outcome == store.OutcomeRedeemed, err
	})
}

func oneCodeCounts(w *world) {
	id, codes := w.request(nil), w.digests("code")
	outcome, err := w.approve(id, nil)
	w.noError(err)
	w.is(outcome, store.OutcomeApproved)
	w.race(each(store.OutcomeIssued), func(i int) (store.Outcome, error) {
		row, err := w.q.IssueAuthorizationCode(w.Context(), store.IssueAuthorizationCodeParams{ID: id, Code: codes[i], CodeLifetime: time.Minute})
		return row.Outcome, err
	})
	w.countsOneCode(codes)
}

func codesAreGranted(w *world) {
	codes, responseType, challenge, method := w.digests("code"), "code", token.S256("verifier"), "S256"
	w.race(each(store.OutcomeGranted), func(i int) (store.Outcome, error) {
		return w.q.GrantAuthorization(w.Context(), store.GrantAuthorizationParams{
			ID: store.NewAuthorizationID(), ClientID: w.client, UserID: w.user, SessionID: &w.session, ResponseType: &responseType,
			Scopes: []string{"openid"}, GrantedScopes: []string{"openid"}, CodeChallenge: &challenge, CodeChallengeMethod: &method,
			Code: codes[i], CodeLifetime: time.Minute,
		})
	})
	for _, code := range codes {
		w.redeem(w.redemption(code), store.OutcomeRedeemed)
	}
}

// confidential makes the client one with a secret that has the grant type, and returns how it is authenticated.
func (w *world) confidential(grant string) (method string, secret token.Digest) {
	w.Helper()
	method, secret = "client_secret_basic", w.digests("secret")[0]
	w.client = w.newClient(func(c *store.CreateClientParams) {
		c.GrantTypes, c.TokenEndpointAuthMethod, c.ClientSecret = []string{grant}, &method, &secret
	})
	return method, secret
}

func (w *world) tokenIsLive(digest token.Digest, want store.Outcome) {
	w.Helper()
	row, err := w.q.IntrospectToken(w.Context(), store.IntrospectTokenParams{ClientAuthMethod: "server", Token: digest})
	w.noError(err)
	w.is(row.Outcome, want)
}

func clientsTokenIsIssuedOnce(w *world) {
	id, access := store.NewAccessTokenID(), w.digests("access token")[0]
	method, secret := w.confidential("client_credentials")
	w.race(once(store.OutcomeIssued, store.OutcomeRetried), func(int) (store.Outcome, error) {
		row, err := w.q.IssueAccessToken(w.Context(), store.IssueAccessTokenParams{
			ClientID: w.client, ClientAuthMethod: method, ClientSecret: secret, ID: id, AccessToken: &access, Lifetime: time.Hour,
		})
		return row.Outcome, err
	})
	w.tokenIsLive(access, store.OutcomeActive)
}

func (w *world) createDeviceRequest(user token.Digest) (store.Outcome, error) {
	row, err := w.q.CreateDeviceAuthorization(w.Context(), store.CreateDeviceAuthorizationParams{
		ID: store.NewAuthorizationID(), ClientID: w.client, ClientAuthMethod: "none", DeviceCode: w.digests("device code")[0], UserCode: user,
		Scopes: []string{"openid"}, Lifetime: time.Minute,
	})
	return row.Outcome, err
}

func userCodeIsTakenOnce(w *world) {
	w.client = w.newClient(grants(deviceGrant))
	user := w.digests("user code")[0]
	w.race(once(store.OutcomeCreated, store.OutcomeTaken), func(int) (store.Outcome, error) { return w.createDeviceRequest(user) })
}

func userCodeIsClaimedByOneUser(w *world) {
	w.client = w.newClient(grants(deviceGrant))
	code, users := w.digests("user code")[0], []store.UserID{w.user, w.newUser()}
	outcome, err := w.createDeviceRequest(code)
	w.noError(err)
	w.is(outcome, store.OutcomeCreated)
	want := map[store.Outcome]int{store.OutcomeClaimed: 1, store.OutcomeRetried: Parallel/2 - 1, store.OutcomeMismatched: Parallel / 2}
	w.race(want, func(i int) (store.Outcome, error) {
		row, err := w.q.FindAuthorizationByUserCode(w.Context(), store.FindAuthorizationByUserCodeParams{UserID: users[i%2], UserCode: code})
		return row.Outcome, err
	})
}

func backchannelRequestsAreStored(w *world) {
	method, secret := w.confidential("urn:openid:params:grant-type:ciba")
	ids := w.digests("auth_req_id")
	w.race(each(store.OutcomeCreated), func(i int) (store.Outcome, error) {
		row, err := w.q.CreateBackchannelAuthentication(w.Context(), store.CreateBackchannelAuthenticationParams{
			ID: store.NewAuthorizationID(), ClientID: w.client, ClientAuthMethod: method, ClientSecret: secret, UserID: w.user, AuthReqID: ids[i],
			Lifetime: time.Minute,
		})
		return row.Outcome, err
	})
	for _, id := range ids {
		accessID, access := store.NewAccessTokenID(), w.digests("access token")[0]
		row, err := w.q.PollDeviceCode(w.Context(), store.PollDeviceCodeParams{
			ClientID: w.client, ClientAuthMethod: method, ClientSecret: secret, DeviceCode: id, AccessTokenID: accessID, AccessToken: &access,
			AccessTokenLifetime: time.Hour, FamilyLifetime: store.Never,
		})
		w.noError(err)
		w.is(row.Outcome, store.OutcomeAuthorizationPending)
	}
}

func tokenIsExchangedOnce(w *world) {
	w.client = w.newClient(grants("authorization_code", exchangeGrant))
	g := w.granted("openid", "profile")
	id, access := store.NewAccessTokenID(), w.digests("access token")[0]
	w.race(once(store.OutcomeExchanged, store.OutcomeRetried), func(int) (store.Outcome, error) {
		row, err := w.q.ExchangeToken(w.Context(), store.ExchangeTokenParams{
			ClientID: w.client, ClientAuthMethod: "none", SubjectToken: &g.access, Scopes: []string{"profile"}, AccessTokenID: id, AccessToken: &access,
			AccessTokenLifetime: time.Minute,
		})
		return row.Outcome, err
	})
	w.tokenIsLive(access, store.OutcomeActive)
}

// newIssuer is a trusted issuer of assertions.
func (w *world) newIssuer() store.OAuthTrustedIssuer {
	w.Helper()
	id := store.NewTrustedIssuerID()
	issuer, err := w.q.CreateTrustedIssuer(w.Context(), store.CreateTrustedIssuerParams{
		ID: id, Issuer: "https://issuer.example/" + string(id), Audiences: []string{"https://server.example"}, SigningAlgorithms: []string{"ES256"}, AnyClient: true,
	})
	w.noError(err)
	return issuer
}

func assertionIsAcceptedOnce(w *world) {
	issuer := w.newIssuer()
	w.account(issuer.Issuer)
	method, secret := w.confidential("urn:ietf:params:oauth:grant-type:jwt-bearer")
	present := func(assertion, access token.Digest, id store.AccessTokenID) (store.Outcome, error) {
		row, err := w.q.IssueTokenByAssertion(w.Context(), store.IssueTokenByAssertionParams{
			ClientID: w.client, ClientAuthMethod: method, ClientSecret: secret, Issuer: issuer.Issuer, Subject: string(w.user),
			AssertionID: assertion, AssertionExpiresAt: time.Now().Add(time.Minute).Unix(), MaxLifetime: time.Hour,
			Audiences: issuer.Audiences, SigningAlgorithm: "ES256", AccessTokenID: id, AccessToken: &access, AccessTokenLifetime: time.Hour,
		})
		return row.Outcome, err
	}
	assertions, accesses, id := w.digests("assertion"), w.digests("access token"), store.NewAccessTokenID()
	w.race(once(store.OutcomeIssued, store.OutcomeRetried), func(int) (store.Outcome, error) { return present(assertions[0], accesses[0], id) })
	w.tokenIsLive(accesses[0], store.OutcomeActive)
	accesses = w.digests("access token")
	w.race(once(store.OutcomeIssued, store.OutcomeProofReplayed), func(i int) (store.Outcome, error) {
		return present(assertions[1], accesses[i], store.NewAccessTokenID())
	})
}

// issuerIs fails the test unless the issuer is as wanted.
func (w *world) issuerIs(id store.TrustedIssuerID, what string, is func(store.OAuthTrustedIssuer) bool) {
	w.Helper()
	issuer, err := w.q.GetTrustedIssuer(w.Context(), id)
	w.noError(err)
	if !is(issuer) {
		w.Fatalf("the issuer is not %s", what)
	}
}

func issuerIsReplaced(w *world) {
	id, name := w.newIssuer().ID, "new"
	w.race(each(store.OutcomeActive), func(int) (store.Outcome, error) {
		_, err := w.q.UpdateTrustedIssuer(w.Context(), store.UpdateTrustedIssuerParams{ID: id, Name: &name})
		return found(err)
	})
	w.issuerIs(id, "replaced", func(i store.OAuthTrustedIssuer) bool { return i.Name != nil && len(i.Audiences) == 0 && !i.AnyClient })
}

func issuerIsDisabled(w *world) {
	id := w.newIssuer().ID
	w.race(each(store.OutcomeEnded), func(int) (store.Outcome, error) { return w.q.DisableTrustedIssuer(w.Context(), id) })
	w.issuerIs(id, "disabled", func(i store.OAuthTrustedIssuer) bool { return i.Disabled })
}

func issuerIsEnabled(w *world) {
	id := w.newIssuer().ID
	outcome, err := w.q.DisableTrustedIssuer(w.Context(), id)
	w.noError(err)
	w.is(outcome, store.OutcomeEnded)
	w.race(each(store.OutcomeEnabled), func(int) (store.Outcome, error) { return w.q.EnableTrustedIssuer(w.Context(), id) })
	w.issuerIs(id, "enabled", func(i store.OAuthTrustedIssuer) bool { return !i.Disabled })
}

func issuerIsDeletedOnce(w *world) {
	id := w.newIssuer().ID
	w.race(once(store.OutcomeDeleted, store.OutcomeUnknown), func(int) (store.Outcome, error) { return w.q.DeleteTrustedIssuer(w.Context(), id) })
}

func clientAssertionIsAcceptedOnce(w *world) {
	id := w.digests("assertion")[0]
	w.race(once(store.OutcomeRemembered, store.OutcomeProofReplayed), func(int) (store.Outcome, error) {
		return w.q.RememberClientAssertion(w.Context(), store.RememberClientAssertionParams{ID: id, ExpiresAt: time.Now().Add(time.Minute).Unix(), MaxLifetime: time.Hour})
	})
}

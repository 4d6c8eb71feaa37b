package contract

import (
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func codeIsRedeemedOnce(w *world) {
	code := w.approved("openid")
	got := w.atOnce(func(int) (store.Outcome, error) {
		row, err := w.q.RedeemAuthorizationCode(w.Context(), w.redemption(code))
		return row.Outcome, err
	})
	w.counts(got, map[store.Outcome]int{store.OutcomeRedeemed: 1, store.OutcomeReplayed: Parallel - 1})
}

func replayedCodeEndsFamily(w *world) {
	call := w.redemption(w.approved("openid", "offline_access"))
	w.redeem(call, store.OutcomeRedeemed)
	g := tokens{*call.AccessToken, *call.RefreshToken}
	w.live(g, true)
	w.redeem(w.redemption(call.Code), store.OutcomeReplayed)
	w.live(g, false)
}

func sameCallIsRetried(w *world) {
	redemption := w.redemption(w.approved("openid", "offline_access"))
	first := w.redeem(redemption, store.OutcomeRedeemed)
	again := w.redeem(redemption, store.OutcomeRetried)
	if !first.AccessTokenExpiresAt.Equal(*again.AccessTokenExpiresAt) || !first.RefreshTokenExpiresAt.Equal(*again.RefreshTokenExpiresAt) {
		w.Fatalf("the answer again is another one: %v and %v", first, again)
	}
	rotation := w.rotation(*redemption.RefreshToken)
	w.rotate(rotation, store.OutcomeRotated)
	w.rotate(rotation, store.OutcomeRetried)
	w.live(tokens{*rotation.AccessToken, rotation.Successor}, true)
}

func refreshesConverge(w *world) {
	g := w.granted("openid", "offline_access")
	got := w.atOnce(func(int) (store.Outcome, error) {
		call := w.rotation(g.refresh)
		call.Grace = time.Minute
		row, err := w.q.RotateRefreshToken(w.Context(), call)
		if err == nil && (row.Successor == nil || *row.Successor != call.Successor) {
			w.Errorf("%s: the successor is %v, want %v", row.Outcome, row.Successor, call.Successor)
		}
		return row.Outcome, err
	})
	w.counts(got, map[store.Outcome]int{store.OutcomeRotated: 1, store.OutcomeRetried: Parallel - 1})
}

func reuseEndsFamily(w *world) {
	g := w.granted("openid", "offline_access")
	first := w.rotation(g.refresh)
	w.rotate(first, store.OutcomeRotated)
	second := w.rotation(first.Successor)
	w.rotate(second, store.OutcomeRotated)
	late := w.rotation(g.refresh)
	late.Grace = time.Hour // which forgives only while the successor is unused
	w.rotate(late, store.OutcomeReplayed)
	w.live(tokens{*second.AccessToken, second.Successor}, false)
	w.rotate(w.rotation(second.Successor), store.OutcomeRevoked)
}

func endingsAreSeen(w *world) {
	ctx := w.Context()
	for name, end := range map[string]func(g tokens) (store.Outcome, error){
		"RevokeAuthorization": func(g tokens) (store.Outcome, error) {
			r, err := w.q.FindRefreshTokenByToken(ctx, g.refresh)
			w.noError(err)
			row, err := w.q.RevokeAuthorization(ctx, r.AuthorizationID)
			return row.Outcome, err
		},
		"RevokeToken": func(g tokens) (store.Outcome, error) {
			row, err := w.q.RevokeToken(ctx, store.RevokeTokenParams{ClientID: w.client, ClientAuthMethod: "none", Token: g.refresh})
			return row.Outcome, err
		},
		"RevokeUserAuthorizations": func(tokens) (store.Outcome, error) { return w.q.RevokeUserAuthorizations(ctx, w.user) },
		"RevokeUserAuthorizationsByClient": func(tokens) (store.Outcome, error) {
			return w.q.RevokeUserAuthorizationsByClient(ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.user, ClientID: w.client})
		},
		"RevokeClientAuthorizations": func(tokens) (store.Outcome, error) { return w.q.RevokeClientAuthorizations(ctx, w.client) },
		"WithdrawConsent": func(tokens) (store.Outcome, error) {
			row, err := w.q.WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: w.user, ClientID: w.client})
			return row.Outcome, err
		},
	} {
		g := w.granted("openid", "offline_access")
		w.live(g, true)
		outcome, err := end(g)
		w.noError(err)
		if outcome != store.OutcomeEnded {
			w.Errorf("%s: got %s, want %s", name, outcome, store.OutcomeEnded)
		}
		w.live(g, false)
		w.rotate(w.rotation(g.refresh), store.OutcomeRevoked)
	}
}

func sessionBindsGrants(w *world) {
	uri := "https://client.example/logout"
	w.client = w.newClient(func(c *store.CreateClientParams) { c.BackchannelLogoutURI = &uri })
	bound, offline := w.granted("openid"), w.granted("openid", "offline_access")
	w.live(bound, true)
	ended, err := w.q.EndSession(w.Context(), w.session)
	w.noError(err)
	w.is(ended.Outcome, store.OutcomeEnded)
	w.live(bound, false)
	w.live(offline, true)
	w.rotate(w.rotation(bound.refresh), store.OutcomeRevoked)
	clients, err := w.q.ListSessionClients(w.Context(), w.session)
	w.noError(err)
	if len(clients) != 1 || clients[0].ClientID != w.client || clients[0].DueAt == nil {
		w.Fatalf("to be told of the sign-out: got %v, want %s", clients, w.client)
	}
}

func suspensionIsFinal(w *world) {
	g, code := w.granted("openid", "offline_access"), w.approved("openid")
	w.live(g, true)
	suspended, err := w.q.SuspendUser(w.Context(), w.user)
	w.noError(err)
	w.is(suspended.Outcome, store.OutcomeEnded)
	w.live(g, false)
	created, err := w.q.CreateSession(w.Context(), store.CreateSessionParams{
		ID: store.NewSessionID(), UserID: w.user, Token: token.DigestOf("another"), Lifetime: time.Hour,
	})
	w.noError(err)
	w.is(created.Outcome, store.OutcomeSuspended)
	reinstated, err := w.q.ReinstateUser(w.Context(), w.user)
	w.noError(err)
	w.is(reinstated, store.OutcomeReinstated)
	w.live(g, false)
	w.redeem(w.redemption(code), store.OutcomeRevoked)
}

func withdrawnConsentCoversNothing(w *world) {
	ctx := w.Context()
	covers := func(want bool) {
		row, err := w.q.CheckConsent(ctx, store.CheckConsentParams{UserID: w.user, ClientID: w.client, Scopes: []string{"openid"}})
		w.noError(err)
		if row.Covered != want {
			w.Fatalf("covered is %v, want %v", row.Covered, want)
		}
	}
	covers(false)
	granted, err := w.q.GrantConsent(ctx, store.GrantConsentParams{ID: store.NewConsentID(), UserID: w.user, ClientID: w.client, Scopes: []string{"openid"}})
	w.noError(err)
	w.is(granted.Outcome, store.OutcomeGranted)
	covers(true)
	withdrawn, err := w.q.WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: w.user, ClientID: w.client})
	w.noError(err)
	w.is(withdrawn.Outcome, store.OutcomeWithdrawn)
	covers(false)
}

func callersAreJudgedFirst(w *world) {
	secret, method := token.DigestOf("secret"), "client_secret_basic"
	w.client = w.newClient(func(c *store.CreateClientParams) { c.ClientSecret, c.TokenEndpointAuthMethod = &secret, &method })
	call := w.redemption(w.approved("openid", "offline_access"))
	for _, wrong := range []func(){
		func() { call.ClientAuthMethod, call.ClientSecret = "", "" },
		func() { call.ClientAuthMethod, call.ClientSecret = "none", "" },
		func() { call.ClientAuthMethod, call.ClientSecret = method, "" },
		func() { call.ClientAuthMethod, call.ClientSecret = method, token.DigestOf("another secret") },
		func() { call.ClientAuthMethod, call.ClientSecret = "private_key_jwt", "" },
	} {
		wrong()
		w.redeem(call, store.OutcomeUnauthenticated)
	}
	call.ClientAuthMethod, call.ClientSecret = method, secret
	w.redeem(call, store.OutcomeRedeemed)
	rotation := w.rotation(*call.RefreshToken)
	w.rotate(rotation, store.OutcomeUnauthenticated)
	rotation.ClientAuthMethod, rotation.ClientSecret = method, secret
	w.rotate(rotation, store.OutcomeRotated)
	row, err := w.q.IntrospectToken(w.Context(), store.IntrospectTokenParams{ClientID: w.client, Token: *rotation.AccessToken})
	w.noError(err)
	w.is(row.Outcome, store.OutcomeUnauthenticated)
}

func clientChangesAreSeen(w *world) {
	w.clientIsDisabledOrNot(false)
	outcome, err := w.q.DisableClient(w.Context(), w.client)
	w.noError(err)
	w.is(outcome, store.OutcomeEnded)
	w.clientIsDisabledOrNot(true)
	name := "another name"
	_, err = w.q.UpdateClient(w.Context(), store.UpdateClientParams{ClientID: w.client, Name: &name})
	w.noError(err)
	c, err := w.q.GetClient(w.Context(), w.client)
	w.noError(err)
	if c.Name == nil || *c.Name != name {
		w.Fatalf("the client's name is %v, want %q", c.Name, name)
	}
}

func lifetimesAreRequired(w *world) {
	call := w.redemption(w.approved("openid", "offline_access"))
	call.AccessTokenLifetime = 0
	if row, err := w.q.RedeemAuthorizationCode(w.Context(), call); err == nil {
		w.Fatalf("a token without a lifetime: got %s, want an error", row.Outcome)
	}
	call.AccessTokenLifetime = time.Hour
	w.redeem(call, store.OutcomeRedeemed)
}

func proofsAreAcceptedOnce(w *world) {
	g := w.granted("openid", "offline_access")
	proof, until := token.DigestOf("proof of "+string(g.refresh)), time.Now().Add(time.Hour)
	call := w.rotation(g.refresh)
	call.Proof, call.ProofExpiresAt = &proof, &until
	w.rotate(call, store.OutcomeRotated)
	w.rotate(call, store.OutcomeRetried) // the very same call
	again := w.rotation(g.refresh)
	again.Proof, again.ProofExpiresAt = &proof, &until
	w.rotate(again, store.OutcomeProofReplayed)
	w.live(tokens{*call.AccessToken, call.Successor}, true) // a proof that comes back is no reuse of the token
	got := w.atOnce(func(int) (store.Outcome, error) {
		return w.q.RememberProof(w.Context(), store.RememberProofParams{ID: token.DigestOf("another " + string(g.refresh)), ExpiresAt: until})
	})
	w.counts(got, map[store.Outcome]int{store.OutcomeRemembered: 1, store.OutcomeProofReplayed: Parallel - 1})
}

func maximumOfSessionsHolds(w *world) {
	got := w.atOnce(func(int) (store.Outcome, error) {
		id := store.NewSessionID()
		row, err := w.q.CreateSession(w.Context(), store.CreateSessionParams{
			ID: id, UserID: w.user, Token: token.DigestOf(string(id)), Lifetime: time.Hour, MaxSessions: 2,
		})
		return row.Outcome, err
	})
	w.counts(got, map[store.Outcome]int{store.OutcomeCreated: Parallel})
	sessions, err := w.q.ListUserSessions(w.Context(), store.ListUserSessionsParams{UserID: w.user, PageSize: Parallel})
	w.noError(err)
	if len(sessions) != 2 {
		w.Fatalf("%d sessions are live, want 2", len(sessions))
	}
}

func replacedSecretsCount(w *world) {
	first, second, third, method := token.DigestOf("first"), token.DigestOf("second"), token.DigestOf("third"), "client_secret_post"
	client := w.newClient(func(c *store.CreateClientParams) { c.ClientSecret, c.TokenEndpointAuthMethod = &first, &method })
	rotate := func(secret token.Digest, overlap time.Duration) {
		outcome, err := w.q.RotateClientSecret(w.Context(), store.RotateClientSecretParams{
			ClientID: client, ClientSecret: secret, Lifetime: store.Never, Overlap: overlap,
		})
		w.noError(err)
		w.is(outcome, store.OutcomeRotated)
	}
	authenticates := func(secret token.Digest, want store.Outcome) {
		outcome, err := w.q.AuthenticateClient(w.Context(), store.AuthenticateClientParams{
			ClientID: client, ClientAuthMethod: method, ClientSecret: secret,
		})
		w.noError(err)
		w.is(outcome, want)
	}
	rotate(second, time.Hour)
	rotate(third, 0)
	authenticates(first, store.OutcomeAuthenticated)
	authenticates(second, store.OutcomeUnauthenticated)
	authenticates(third, store.OutcomeAuthenticated)
	authenticates("", store.OutcomeUnauthenticated)
}

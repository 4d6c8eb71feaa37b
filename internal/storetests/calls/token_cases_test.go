package calls

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Whoever is not authenticated is told nothing of a token that is live (RFC 7662, section 2.1).
func TestIntrospectionOfALiveTokenAnswersOnlyWhomItMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	resource, off := w.NewClient(), w.NewClient()
	w.disable(off)
	k := w.Redeem()
	id := w.accessTokenOf(k.Access).ID
	basic, secret := "client_secret_basic", fixture.Digest(fixture.Secret)
	for name, c := range map[string]struct {
		caller
		want store.Outcome
	}{
		"the server":                     {caller{"", fixture.Server, ""}, store.OutcomeActive},
		"a resource server":              {caller{resource, basic, secret}, store.OutcomeActive},
		"a resource server, verified":    {caller{resource, fixture.Verified, ""}, store.OutcomeActive},
		"with a wrong secret":            {caller{resource, basic, fixture.Digest("guess")}, store.OutcomeUnauthenticated},
		"by no method":                   {caller{resource, "", secret}, store.OutcomeUnauthenticated},
		"the public client of the token": {caller{w.Client, "none", ""}, store.OutcomeUnauthenticated},
		"a disabled client":              {caller{off, basic, secret}, store.OutcomeUnauthenticated},
		"nobody":                         {caller{"none", fixture.Verified, ""}, store.OutcomeUnauthenticated},
	} {
		access, err := w.Q.IntrospectAccessToken(w.Ctx, store.IntrospectAccessTokenParams{Token: fixture.Digest(k.Access), ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret})
		w.OK(err)
		byID, err := w.Q.IntrospectAccessTokenByID(w.Ctx, store.IntrospectAccessTokenByIDParams{ID: id, ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret})
		w.OK(err)
		refresh, err := w.Q.IntrospectRefreshToken(w.Ctx, store.IntrospectRefreshTokenParams{Token: fixture.Digest(k.Refresh), ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret})
		w.OK(err)
		var either [2]store.IntrospectTokenRow
		for i, raw := range []string{k.Access, k.Refresh} {
			either[i], err = w.Q.IntrospectToken(w.Ctx, store.IntrospectTokenParams{Token: fixture.Digest(raw), ClientID: c.client, ClientAuthMethod: c.method, ClientSecret: c.secret})
			w.OK(err)
		}
		for call, got := range map[string]store.Outcome{
			"IntrospectAccessToken": access.Outcome, "IntrospectAccessTokenByID": byID.Outcome, "IntrospectRefreshToken": refresh.Outcome,
			"IntrospectToken of an access token": either[0].Outcome, "IntrospectToken of a refresh token": either[1].Outcome,
		} {
			w.want(name+": "+call, got, c.want)
		}
		if c.want != store.OutcomeActive {
			wantEqual(t, name+": IntrospectAccessToken", access, store.IntrospectAccessTokenRow{Outcome: c.want})
			wantEqual(t, name+": IntrospectAccessTokenByID", byID, store.IntrospectAccessTokenByIDRow{Outcome: c.want})
			wantEqual(t, name+": IntrospectRefreshToken", refresh, store.IntrospectRefreshTokenRow{Outcome: c.want})
			wantEqual(t, name+": IntrospectToken", either, [2]store.IntrospectTokenRow{{Outcome: c.want}, {Outcome: c.want}})
		}
	}
}

// A JWT has no digest. Nothing finds it by one that is missing.
func TestTokenWithoutADigestIsNotFoundByNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	jwt, client := w.issueJWT(), w.machine()
	w.want("by its id", w.introspectAccessByID(jwt).Outcome, store.OutcomeActive)
	_, err := w.Q.FindAccessTokenByToken(w.Ctx, "")
	w.None(err)
	access, err := w.Q.IntrospectAccessToken(w.Ctx, store.IntrospectAccessTokenParams{ClientAuthMethod: fixture.Server})
	w.OK(err)
	w.want("IntrospectAccessToken", access.Outcome, store.OutcomeInactive)
	either, err := w.Q.IntrospectToken(w.Ctx, store.IntrospectTokenParams{ClientAuthMethod: fixture.Server})
	w.OK(err)
	w.want("IntrospectToken", either.Outcome, store.OutcomeInactive)
	w.Unchanged(func() {
		r, err := w.Q.RevokeToken(w.Ctx, store.RevokeTokenParams{ClientID: client, ClientAuthMethod: fixture.Verified})
		w.OK(err)
		w.want("RevokeToken", r.Outcome, store.OutcomeUnknown)
	})
}

// Two tables may hold the same digest. The call answers once, and ends both.
func TestDigestOfBothKindsIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Exec(`UPDATE oauth_access_token SET token = $1 WHERE token = $2`, string(fixture.Digest(k.Refresh)), string(fixture.Digest(k.Access)))
	wantEqual(t, "live", w.Live(k.Refresh), true)
	w.want("RevokeToken", w.revokeRaw(k.Refresh, w.Client).Outcome, store.OutcomeEnded)
	w.want("the family", w.introspectFamily(k.Authorization).Outcome, store.OutcomeInactive)
	wantEqual(t, "the access token is revoked", w.accessTokenOf(k.Refresh).Revoked != nil, true)
}

// What another server refreshes carries no act, and what is exchanged carries more than its family.
func TestActorsOfAFamilyAreThoseOfItsTokensToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	_, p := w.issueGrant("x", store.OutcomeIssued, func(p *store.IssueGrantParams) { p.Act = json.RawMessage(`{"sub": "admin"}`) })
	foreign := w.ForeignAccessToken("theirs", p.RefreshTokenID)
	w.Exec(`UPDATE oauth_access_token SET resources = $1`, []string{fixture.Resource})
	acts := func(raw, want string) {
		t.Helper()
		wantAct(t, raw+": IntrospectAccessToken", w.introspectAccess(raw).Act, want)
		wantAct(t, raw+": IntrospectAccessTokenByID", w.introspectAccessByID(w.accessTokenOf(raw).ID).Act, want)
		wantAct(t, raw+": IntrospectToken", w.Introspect(raw).Act, want)
	}
	wantEqual(t, "its own act", w.accessTokenOf("theirs").Act, nil)
	acts("theirs", `{"sub": "admin"}`)
	acts("at-x", `{"sub": "admin"}`)
	chain := `{"sub": "` + string(api) + `", "act": {"sub": "admin"}}`
	r, access := w.Exchange("theirs", api, store.OutcomeExchanged)
	wantAct(t, "the answer", r.Act, chain)
	acts(access, chain)
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`UPDATE oauth_authorization SET act = $1`, actors(16))
		p, _ := w.ExchangeParams("", api)
		p.SubjectToken, p.SubjectTokenID = nil, &foreign
		r, err := q.ExchangeToken(w.Ctx, p)
		w.OK(err)
		w.want("a family of 16 actors", r.Outcome, store.OutcomeTooManyActors)
	})
}

// actors is a chain of n actors.
func actors(n int) string {
	return strings.Repeat(`{"sub": "x", "act": `, n-1) + `{"sub": "x"}` + strings.Repeat(`}`, n-1)
}

// Who acts is who the actor token is of, be that the client that presents it or not.
func TestActorIsWhomTheActorTokenIsOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api, granted := w.own()
	other, _ := w.own()
	subject, mine := w.Redeem().Access, w.Redeem(granted).Access
	w.issue("service", store.OutcomeIssued, func(p *store.IssueAccessTokenParams) {
		p.ClientID, p.Scopes, p.Resources, p.DefaultResources = other, nil, []string{fixture.Resource}, []string{fixture.Resource}
	})
	service := w.accessTokenOf("service").ID
	type params = store.ExchangeTokenParams
	for _, c := range []struct {
		name, sql string
		change    func(*params)
		want      store.Outcome
		act       string
	}{
		{"another client", ``, nil, store.OutcomeExchanged, `{"sub": "` + string(other) + `"}`},
		{"another client, with a key of its own", `UPDATE oauth_access_token SET confirmation = '{"jkt": "x"}' WHERE client_id = '` + string(other) + `'`, nil, store.OutcomeExchanged, `{"sub": "` + string(other) + `"}`},
		{"another client, for a client's own token", ``, func(p *params) { p.SubjectToken = new(fixture.Digest(mine)) }, store.OutcomeExchanged, `{"sub": "` + string(other) + `"}`},
		{"who may act is that client, by sub", `UPDATE oauth_authorization SET may_act = '{"sub": "` + string(other) + `"}'`, nil, store.OutcomeExchanged, `{"sub": "` + string(other) + `"}`},
		{"who may act is that client, by client_id", `UPDATE oauth_authorization SET may_act = '{"client_id": "` + string(other) + `"}'`, nil, store.OutcomeExchanged, `{"sub": "` + string(other) + `"}`},
		{"who may act is the client that presents it", `UPDATE oauth_authorization SET may_act = '{"client_id": "` + string(api) + `"}'`, nil, store.OutcomeMismatched, ``},
		{"nobody may act with the token", `UPDATE oauth_access_token SET may_act = '{}' WHERE id <> '` + string(service) + `'`, nil, store.OutcomeMismatched, ``},
		{"no actor, and the client's own token has 16", `UPDATE oauth_access_token SET act = '` + actors(16) + `'`, func(p *params) {
			p.SubjectToken, p.ActorTokenID = new(fixture.Digest(mine)), nil
		}, store.OutcomeExchanged, actors(16)},
		{"an actor, and the client's own token has 16", `UPDATE oauth_access_token SET act = '` + actors(16) + `'`, func(p *params) {
			p.SubjectToken = new(fixture.Digest(mine))
		}, store.OutcomeTooManyActors, ``},
	} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			p, _ := w.ExchangeParams(subject, api)
			p.ActorTokenID = &service
			if c.change != nil {
				c.change(&p)
			}
			if c.sql != "" {
				exec(c.sql)
			}
			r, err := q.ExchangeToken(w.Ctx, p)
			w.OK(err)
			w.want(c.name, r.Outcome, c.want)
			wantAct(t, c.name, r.Act, c.act)
		})
	}
}

// An ending counts for what was granted before it.
func TestExchangeAfterAnEndingOfThePairIsLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	k := w.Redeem()
	w.want("RevokeUserAuthorizationsByClient", w.outcome(w.Q.RevokeUserAuthorizationsByClient(w.Ctx, store.RevokeUserAuthorizationsByClientParams{UserID: w.User, ClientID: api})), store.OutcomeEnded)
	_, access := w.Exchange(k.Access, api, store.OutcomeExchanged)
	wantEqual(t, "pair_epoch", w.accessTokenOf(access).PairEpoch, new(int64(1)))
	w.WantLive(access)
}

// A token of the same client, digest and scopes that a user granted is not the client's own.
func TestIssueAccessTokenTakesNoGrantForItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.ClientID = w.machine() })
	granted := w.accessTokenOf(k.Access)
	p := w.issueParams(k.Access)
	p.ID, p.Scopes, p.Resources, p.DefaultScopes, p.DefaultResources = granted.ID, granted.Scopes, granted.Resources, granted.Scopes, granted.Resources
	w.refused(func() {
		if _, err := w.Q.IssueAccessToken(w.Ctx, p); pgErrorOf(err).Code != "22023" || !strings.HasPrefix(pgErrorOf(err).Message, "ID ") {
			t.Errorf("%v, want an error that names ID", err)
		}
	})
}

// The least of what is asked for and the client's two bounds: the family is no longer than its token.
func TestTokenByAssertionEndsWithTheClientsBounds(t *testing.T) {
	t.Parallel()
	w, _ := assertionWorld(t)
	long, short := 3*time.Minute, 20*time.Second
	for name, c := range map[string]struct{ access, family, asked, want time.Duration }{
		"asked for": {long, long, short, short},
		"tokens":    {short, long, time.Hour, short},
		"families":  {long, short, time.Hour, short},
	} {
		client := w.NewExchanger(func(p *store.CreateClientParams) {
			p.AccessTokenLifetime, p.AuthorizationLifetime = &c.access, &c.family
		})
		_, access := w.Assert("7", name, client, store.OutcomeIssued, func(p *store.IssueTokenByAssertionParams) { p.AccessTokenLifetime = c.asked })
		got := w.accessTokenOf(access)
		wantAt(t, name, got.ExpiresAt, got.CreatedAt, c.want)
	}
}

// An answer to a replay says which credential was replayed, and nothing of what was issued.
func TestReplayOfAnAssertionOrItsProofIsToldApart(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	listed := "https://listed.example"
	w.TrustIssuer(listed, func(p *store.CreateTrustedIssuerParams) { p.AnyClient, p.ClientIDs = false, []string{string(client)} })
	w.NewAccount(w.User, listed, "7")
	p, _ := w.AssertionParams(listed, "7", "jti", client)
	proof := fixture.Digest("proof")
	p.Proof, p.ProofExpiresAt = &proof, new(time.Now().Add(time.Minute))
	issued, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
	w.OK(err)
	w.want("one of the issuer's clients", issued.Outcome, store.OutcomeIssued)
	for reason, change := range map[string]func(*store.IssueTokenByAssertionParams){
		"assertion": func(p *store.IssueTokenByAssertionParams) { p.Proof = nil },
		"":          func(p *store.IssueTokenByAssertionParams) { p.AssertionID = token.GrantAssertionID(listed, "another") },
	} {
		again, _ := w.AssertionParams(listed, "7", "jti", client)
		again.Proof, again.ProofExpiresAt = &proof, p.ProofExpiresAt
		change(&again)
		r, err := w.Q.IssueTokenByAssertion(w.Ctx, again)
		w.OK(err)
		wantEqual(t, "the answer", r, store.IssueTokenByAssertionRow{Outcome: store.OutcomeProofReplayed, ReplayedProof: reason == "", UserID: &w.User})
		var noted string
		w.OK(w.Pool.QueryRow(w.Ctx, `SELECT coalesce(reason, '') FROM security_event ORDER BY id DESC LIMIT 1`).Scan(&noted))
		wantEqual(t, "reason of the event", noted, reason)
	}
}

// Another server keeps auth_time with the token, and this one with the family.
func TestAuthTimeIsThatOfTheFamilyOrElseOfTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	family, row := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	k := w.Redeem(func(p *store.GrantAuthorizationParams) { p.AuthTime = &family })
	w.Exec(`UPDATE oauth_refresh_token SET auth_time = $1`, row)
	w.ForeignRefreshToken("theirs")
	w.Exec(`UPDATE oauth_refresh_token SET auth_time = $1 WHERE token = $2`, row, string(fixture.Digest("theirs")))
	for raw, want := range map[string]time.Time{k.Refresh: family, "theirs": row} {
		for call, got := range map[string]*time.Time{"IntrospectToken": w.Introspect(raw).AuthTime, "IntrospectRefreshToken": w.introspectRefresh(raw).AuthTime} {
			if got == nil || !got.Equal(want) {
				t.Errorf("%s: %s says %v, want %v", raw, call, got, want)
			}
		}
	}
}

// Whether a token without a row is revoked is whether its family is: a bound family ends with its session, another one doesn't.
func TestTokenWithoutARowIsRevokedWithItsFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.NewSession(w.User) // another, which is live
	unbound, code := w.Grant()
	w.redeem(code, store.OutcomeRedeemed, withoutRow)
	bound, code := w.Grant(online)
	w.redeem(code, store.OutcomeRedeemed, withoutRow)
	want := func(family store.AuthorizationID, want store.Outcome) {
		t.Helper()
		r, err := w.Q.RevokeAccessTokenByID(w.Ctx, store.RevokeAccessTokenByIDParams{ID: "without a row", AuthorizationID: &family, ClientID: w.Client, ClientAuthMethod: fixture.Verified})
		w.OK(err)
		w.want("RevokeAccessTokenByID", r.Outcome, want)
	}
	want(unbound, store.OutcomeUnsupportedTokenType)
	want(bound, store.OutcomeUnsupportedTokenType)
	w.endSession(w.Session)
	want(unbound, store.OutcomeUnsupportedTokenType)
	want(bound, store.OutcomeRevoked)
	w.suspend(w.User)
	want(unbound, store.OutcomeRevoked)
}

func TestAccessTokensAreListedByTheirFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k, other := w.Redeem(), w.Redeem()
	w.issue("service", store.OutcomeIssued)
	w.Rotate(other.Refresh, store.OutcomeRotated)
	_, access := w.Rotate(k.Refresh, store.OutcomeRotated)
	got, err := w.Q.ListAuthorizationAccessTokens(w.Ctx, k.Authorization)
	w.OK(err)
	wantEqual(t, "access tokens", got, []store.OAuthAccessToken{w.accessTokenOf(k.Access), w.accessTokenOf(access)})
	refresh, err := w.Q.ListAuthorizationRefreshTokens(w.Ctx, k.Authorization)
	w.OK(err)
	wantEqual(t, "refresh tokens", refresh, []store.OAuthRefreshToken{w.refreshTokenOf(k.Refresh), w.refreshTokenOf(fixture.SuccessorOf(k.Refresh))})
}

// Ids don't say in which order rows were written.
func TestTokensWithoutExpiryAreWalkedInTheOrderOfTheirIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	w.Exec(`UPDATE oauth_access_token SET revoked = now()`)
	w.Exec(`UPDATE oauth_refresh_token SET revoked = now()`)
	for _, id := range []string{"e", "d", "c", "b", "a"} {
		w.Exec(`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes, revoked, authorization_id, expires_at)
			VALUES ($1, $5, $2, $3, '{}', now(), $4, NULL)`, id, w.Client, w.User, k.Authorization, string(fixture.Digest("r"+id)))
		w.Exec(`INSERT INTO oauth_access_token (id, token, client_id, user_id, scopes, revoked, authorization_id, expires_at)
			VALUES ($1, $5, $2, $3, '{}', now(), $4, NULL)`, id, w.Client, w.User, k.Authorization, string(fixture.Digest("a"+id)))
	}
	type page struct {
		deleted int64
		last    string
	}
	walk := func(next func(after string) (int64, *string, error)) (pages []page) {
		for last := ""; ; {
			deleted, id, err := next(last)
			w.OK(err)
			if id == nil {
				return pages
			}
			last = *id
			pages = append(pages, page{deleted, last})
		}
	}
	want := []page{{2, "b"}, {2, "d"}, {1, "e"}}
	access := walk(func(after string) (int64, *string, error) {
		r, err := w.Q.DeleteDeadAccessTokens(w.Ctx, store.DeleteDeadAccessTokensParams{AfterID: store.AccessTokenID(after), PageSize: 2})
		return r.Deleted, (*string)(r.LastID), err
	})
	refresh := walk(func(after string) (int64, *string, error) {
		r, err := w.Q.DeleteSpentRefreshTokens(w.Ctx, store.DeleteSpentRefreshTokensParams{AfterID: store.RefreshTokenID(after), PageSize: 2})
		return r.Deleted, (*string)(r.LastID), err
	})
	if !slices.Equal(access, want) || !slices.Equal(refresh, want) {
		t.Errorf("pages of access tokens %v, of refresh tokens %v, want %v", access, refresh, want)
	}
	wantEqual(t, "what has an expiry is there", len(w.accessTokenOf(k.Access).ID)*len(w.refreshTokenOf(k.Refresh).ID) > 0, true)
}

// At the instant at which a token expires it is expired, and of many that are, the oldest go first.
func TestTokensAreCollectedFromTheInstantOfTheirExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	mine := ` WHERE authorization_id = '` + string(w.Redeem().Authorization) + `'`
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`UPDATE oauth_access_token SET expires_at = now()` + mine)
		a, err := q.DeleteExpiredAccessTokens(w.Ctx, store.DeleteExpiredAccessTokensParams{BatchSize: 10})
		w.OK(err)
		wantEqual(t, "access tokens", a.Deleted, 1)
		exec(`UPDATE oauth_refresh_token SET expires_at = now() - interval '1 hour', access_token_expires_at = now()` + mine)
		p := store.DeleteExpiredRefreshTokensParams{BatchSize: 10, Retention: time.Hour}
		r, err := q.DeleteExpiredRefreshTokens(w.Ctx, p)
		w.OK(err)
		wantEqual(t, "refresh tokens", r.Deleted, 1)
	})
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`DELETE FROM oauth_access_token`)
		exec(`UPDATE oauth_refresh_token SET expires_at = now() + interval '1 second'` + mine)
		r, err := q.DeleteExpiredRefreshTokens(w.Ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: 10, Retention: -time.Hour})
		w.OK(err)
		wantEqual(t, "refresh tokens that are live, whatever the retention", r.Deleted, 0)
		exec(`UPDATE oauth_refresh_token SET expires_at = now()` + mine)
		r, err = q.DeleteExpiredRefreshTokens(w.Ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: 10, Retention: -time.Hour})
		w.OK(err)
		wantEqual(t, "refresh tokens that expire now", r.Deleted, 1)
	})
	w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
		exec(`DELETE FROM oauth_access_token`)
		exec(`UPDATE oauth_refresh_token SET expires_at = NULL, revoked = now() - interval '1 hour', access_token_expires_at = now()` + mine)
		r, err := q.DeleteSpentRefreshTokens(w.Ctx, store.DeleteSpentRefreshTokensParams{PageSize: 10, Retention: time.Hour})
		w.OK(err)
		wantEqual(t, "spent refresh tokens", r.Deleted, 1)
	})
	old, older := w.Redeem(), w.Redeem()
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() - interval '2 hours' WHERE token = $1`, string(fixture.Digest(old.Access)))
	w.Exec(`UPDATE oauth_access_token SET expires_at = now() - interval '3 hours' WHERE token = $1`, string(fixture.Digest(older.Access)))
	a, err := w.Q.DeleteExpiredAccessTokens(w.Ctx, store.DeleteExpiredAccessTokensParams{BatchSize: 1})
	w.OK(err)
	wantEqual(t, "access tokens", a.Deleted, 1)
	_, err = w.Q.FindAccessTokenByToken(w.Ctx, fixture.Digest(older.Access))
	w.None(err)
	wantEqual(t, "the later one is there", w.accessTokenOf(old.Access).Revoked, nil)
	w.Exec(`DELETE FROM oauth_access_token`)
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() - interval '2 hours' WHERE token = $1`, string(fixture.Digest(old.Refresh)))
	w.Exec(`UPDATE oauth_refresh_token SET expires_at = now() - interval '3 hours' WHERE token = $1`, string(fixture.Digest(older.Refresh)))
	wantEqual(t, "refresh tokens", w.collectBatch(1), 1)
	_, err = w.Q.FindRefreshTokenByToken(w.Ctx, fixture.Digest(older.Refresh))
	w.None(err)
	wantEqual(t, "the later one is there", w.refreshTokenOf(old.Refresh).Revoked, nil)
}

// collectBatch deletes expired refresh tokens without keeping any for their reuse.
func (w *world) collectBatch(size int32) int64 {
	w.Helper()
	row, err := w.Q.DeleteExpiredRefreshTokens(w.Ctx, store.DeleteExpiredRefreshTokensParams{BatchSize: size})
	w.OK(err)
	return row.Deleted
}

// What expires at an instant has expired at it, for every call, and grace is over at its end.
func TestTokensAreDeadFromTheInstantOfTheirExpiry(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	bound, unbound := w.Redeem(online), w.Redeem()
	w.Rotate(unbound.Refresh, store.OutcomeRotated)
	next := fixture.SuccessorOf(unbound.Refresh)
	still := func(sql []string, do func(q *store.Queries, now time.Time)) {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			w.Helper()
			exec(`UPDATE session SET expires_at = now() WHERE id = $1`, string(w.Session))
			s, err := q.GetSession(w.Ctx, w.Session)
			w.OK(err)
			if sql != nil {
				exec(`UPDATE session SET expires_at = now() + interval '1 hour' WHERE id = $1`, string(w.Session))
			}
			for _, s := range sql {
				exec(s)
			}
			do(q, s.ExpiresAt)
		})
	}
	inactive := func(q *store.Queries, raw ...string) {
		w.Helper()
		for _, r := range raw {
			row, err := q.IntrospectToken(w.Ctx, store.IntrospectTokenParams{Token: fixture.Digest(r), ClientAuthMethod: fixture.Server})
			w.OK(err)
			w.want(r, row.Outcome, store.OutcomeInactive)
		}
	}
	rotate := func(q *store.Queries, refresh string, grace time.Duration, want store.Outcome) store.RotateRefreshTokenRow {
		w.Helper()
		p, _ := w.RotateParams(refresh)
		p.Grace = grace
		r, err := q.RotateRefreshToken(w.Ctx, p)
		w.OK(err)
		w.want("RotateRefreshToken", r.Outcome, want)
		return r
	}
	still([]string{`UPDATE oauth_access_token SET expires_at = now()`}, func(q *store.Queries, _ time.Time) { inactive(q, bound.Access, unbound.Access) })
	still([]string{`UPDATE oauth_refresh_token SET expires_at = now()`}, func(q *store.Queries, _ time.Time) { inactive(q, bound.Refresh, next) })
	still(nil, func(q *store.Queries, _ time.Time) {
		inactive(q, bound.Access, bound.Refresh)
		wantEqual(t, "the session of a rotation", rotate(q, next, fixture.Grace, store.OutcomeRotated).SessionID, nil)
	})
	still([]string{`UPDATE oauth_refresh_token SET revoked = now() - interval '10 seconds' WHERE revoked IS NOT NULL`}, func(q *store.Queries, _ time.Time) {
		rotate(q, unbound.Refresh, 10*time.Second, store.OutcomeReplayed)
	})
	still([]string{`UPDATE oauth_refresh_token SET revoked = now() + interval '1 second' WHERE revoked IS NOT NULL`}, func(q *store.Queries, _ time.Time) {
		rotate(q, unbound.Refresh, 0, store.OutcomeReplayed) // spent by a clock that is ahead
	})
	// another server's statement, which the trigger refuses
	still([]string{`UPDATE oauth_refresh_token SET expires_at = now()`, `UPDATE oauth_refresh_token SET revoked = now() WHERE revoked IS NULL`}, func(q *store.Queries, _ time.Time) {
		r, err := q.FindRefreshTokenByToken(w.Ctx, fixture.Digest(next))
		w.OK(err)
		wantEqual(t, "spent", r.Revoked, nil)
	})
	still([]string{}, func(q *store.Queries, now time.Time) {
		assert := func(jti string, exp int64, longest, skew time.Duration, want store.Outcome) {
			w.Helper()
			p, _ := w.AssertionParams(fixture.Issuer, "7", jti, client)
			p.AssertionExpiresAt, p.MaxLifetime, p.ClockSkew = exp, longest, skew
			r, err := q.IssueTokenByAssertion(w.Ctx, p)
			w.OK(err)
			w.want(jti, r.Outcome, want)
		}
		later, earlier := now.Add(time.Minute).Truncate(time.Second), now.Add(-time.Minute).Truncate(time.Second)
		assert("as far as allowed", later.Unix(), later.Sub(now), 0, store.OutcomeIssued)
		assert("too far", later.Unix(), later.Sub(now)-time.Microsecond, 0, store.OutcomeTooFar)
		assert("expired by all of the skew", earlier.Unix(), time.Hour, now.Sub(earlier), store.OutcomeExpired)
		assert("within the skew", earlier.Unix(), time.Hour, now.Sub(earlier)+time.Microsecond, store.OutcomeIssued)
		_, err := q.RememberProof(w.Ctx, store.RememberProofParams{ID: fixture.Digest("proof"), ExpiresAt: now.Add(time.Microsecond)})
		w.OK(err)
	})
	still([]string{}, func(q *store.Queries, now time.Time) {
		p, _ := w.RotateParams(next)
		p.Proof, p.ProofExpiresAt = new(fixture.Digest("another proof")), &now
		if _, err := q.RotateRefreshToken(w.Ctx, p); pgErrorOf(err).Code != "22023" || !strings.HasPrefix(pgErrorOf(err).Message, "ProofExpiresAt ") {
			t.Errorf("a proof that expires now: %v, want an error that names ProofExpiresAt", err)
		}
	})
}

// The key may be the family's or, for a token of another server, the token's.
func TestRotationWantsTheKeyOfTheFamilyOrOfTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	for _, table := range []string{"oauth_authorization", "oauth_refresh_token"} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			exec(`UPDATE ` + table + ` SET confirmation = '{"jkt": "key"}'`)
			p, _ := w.RotateParams(k.Refresh)
			for _, want := range []store.Outcome{store.OutcomeMismatched, store.OutcomeRotated} {
				r, err := q.RotateRefreshToken(w.Ctx, p)
				w.OK(err)
				w.want(table, r.Outcome, want)
				p.Confirmation = &token.Confirmation{JKT: "key"}
			}
		})
	}
}

// A grant without scopes has none to lose.
func TestGrantWithoutScopesIsRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	k := w.Redeem()
	for _, c := range []struct {
		granted, registered string
		byDefault           []string
		want                store.Outcome
	}{
		{"{}", "'{}'", nil, store.OutcomeRotated},
		{"{}", "NULL", nil, store.OutcomeRotated},
		{"{openid}", "NULL", nil, store.OutcomeInvalidScope},
		{"{openid}", "NULL", []string{"openid"}, store.OutcomeRotated},
		{"{openid}", "'{openid}'", nil, store.OutcomeRotated},
		{"{openid}", "'{email}'", []string{"openid"}, store.OutcomeInvalidScope},
	} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			exec(`UPDATE oauth_refresh_token SET scopes = $1::text[]`, c.granted)
			exec(`UPDATE oauth_client SET scopes = ` + c.registered)
			p, _ := w.RotateParams(k.Refresh)
			p.DefaultScopes = c.byDefault
			r, err := q.RotateRefreshToken(w.Ctx, p)
			w.OK(err)
			w.want(c.granted+" of "+c.registered, r.Outcome, c.want)
		})
	}
}

// A JWT that was collected is not taken for another one, which has no digest either.
func TestSameCallWhoseJWTWasCollectedIsExpired(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	w.issueJWT()
	p, _ := w.AssertionParams(fixture.Issuer, "7", "jti", client)
	p.AccessToken = nil
	for _, want := range []store.Outcome{store.OutcomeIssued, store.OutcomeRetried, store.OutcomeExpired} {
		if want == store.OutcomeExpired {
			w.Exec(`DELETE FROM oauth_access_token WHERE id = $1`, string(p.AccessTokenID))
		}
		r, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
		w.OK(err)
		w.want("the same call", r.Outcome, want)
	}
}

// Each part of the rule of liveness counts alone, whoever wrote what it reads.
func TestEachPartOfLivenessCountsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	api := w.NewExchanger()
	bound, unbound := w.Redeem(online), w.Redeem()
	_, exchanged := w.Exchange(unbound.Access, api, store.OutcomeExchanged)
	own := w.issue("own", store.OutcomeIssued)
	all := []string{bound.Access, bound.Refresh, unbound.Access, unbound.Refresh, exchanged, own}
	for sql, live := range map[string]string{ // which of all are live afterwards
		`UPDATE "user" SET name = 'Grace'`: "111111",
		`UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'token_revoked'`:                                            "000001",
		`UPDATE oauth_authorization SET client_epoch = client_epoch - 1`:                                                                 "000001",
		`UPDATE oauth_authorization SET user_epoch = user_epoch - 1`:                                                                     "000001",
		`UPDATE oauth_authorization SET pair_epoch = pair_epoch - 1`:                                                                     "000001",
		`UPDATE "user" SET suspended_at = now(); UPDATE "user" SET grants_epoch = grants_epoch - 1, sessions_epoch = sessions_epoch - 1`: "000001",
		`UPDATE "user" SET deleted_at = now(); UPDATE "user" SET grants_epoch = grants_epoch - 1, sessions_epoch = sessions_epoch - 1`:   "000001",
		`UPDATE session SET expires_at = now()`:                                                                                          "001111",
		`UPDATE session SET user_sessions_epoch = user_sessions_epoch - 1`:                                                               "001111",
		`UPDATE session SET user_sessions_epoch = user_sessions_epoch + 1`:                                                               "111111",
		`UPDATE oauth_client SET disabled = true WHERE client_id = '` + string(w.Client) + `'`:                                           "000001",
		`UPDATE oauth_client SET disabled = true WHERE client_id = '` + string(api) + `'`:                                                "111101",
		`UPDATE oauth_client SET disabled = true WHERE client_id = '` + string(w.machine()) + `'`:                                        "111110",
		`UPDATE oauth_access_token SET client_epoch = client_epoch - 1 WHERE client_epoch IS NOT NULL`:                                   "111100",
		`UPDATE oauth_access_token SET pair_epoch = pair_epoch - 1 WHERE pair_epoch IS NOT NULL`:                                         "111101",
		`UPDATE oauth_access_token SET revoked = now()`:                                                                                  "010100",
		`UPDATE oauth_access_token SET expires_at = now()`:                                                                               "010100",
		`UPDATE oauth_access_token SET expires_at = NULL`:                                                                                "111111",
		`UPDATE oauth_refresh_token SET revoked = now()`:                                                                                 "101011",
		`UPDATE oauth_refresh_token SET expires_at = now()`:                                                                              "101011",
		`UPDATE oauth_refresh_token SET expires_at = NULL`:                                                                               "111111",
	} {
		w.stillTime(func(q *store.Queries, exec func(string, ...any)) {
			for each := range strings.SplitSeq(sql, "; ") {
				exec(each)
			}
			for i, raw := range all {
				r, err := q.IntrospectToken(w.Ctx, store.IntrospectTokenParams{Token: fixture.Digest(raw), ClientAuthMethod: fixture.Server})
				w.OK(err)
				if got := r.Outcome == store.OutcomeActive; got != (live[i] == '1') {
					t.Errorf("%s: token %d is live: %t", sql, i, got)
				}
			}
		})
	}
}

// A retry names the same assertion, the same token, the same client and the same user.
func TestRetryOfAnAssertionIsOfAllThatItNames(t *testing.T) {
	t.Parallel()
	w, client := assertionWorld(t)
	other := w.NewExchanger()
	first, _ := w.AssertionParams(fixture.Issuer, "7", "first", client)
	second, _ := w.AssertionParams(fixture.Issuer, "7", "second", client)
	theirs, _ := w.AssertionParams(fixture.Issuer, "7", "theirs", other)
	anotherAssertion, anotherClient := first, first
	anotherAssertion.AssertionID, anotherClient.ClientID = second.AssertionID, other
	for i, c := range []struct {
		p    store.IssueTokenByAssertionParams
		want store.Outcome
	}{
		{first, store.OutcomeIssued},
		{second, store.OutcomeIssued},
		{theirs, store.OutcomeIssued},
		{first, store.OutcomeRetried},
		{anotherAssertion, store.OutcomeProofReplayed},
		{anotherClient, store.OutcomeProofReplayed},
	} {
		r, err := w.Q.IssueTokenByAssertion(w.Ctx, c.p)
		w.OK(err)
		if r.Outcome != c.want {
			t.Errorf("call %d: %s, want %s", i, r.Outcome, c.want)
		}
	}
}

// A transaction that began before a session was ended sees an expires_at that is still to come by its own clock.
func TestSessionThatEndedAfterTheTransactionBeganHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	bound, unbound := w.Redeem(online), w.Redeem()
	w.stillTime(func(q *store.Queries, _ func(string, ...any)) {
		w.endSession(w.Session) // on another connection
		for _, raw := range []string{bound.Access, bound.Refresh} {
			r, err := q.IntrospectToken(w.Ctx, store.IntrospectTokenParams{Token: fixture.Digest(raw), ClientAuthMethod: fixture.Server})
			w.OK(err)
			w.want(raw, r.Outcome, store.OutcomeInactive)
		}
		p, _ := w.RotateParams(unbound.Refresh)
		r, err := q.RotateRefreshToken(w.Ctx, p)
		w.OK(err)
		w.want("RotateRefreshToken", r.Outcome, store.OutcomeRotated)
		wantEqual(t, "the session of the answer", r.SessionID, nil)
	})
}

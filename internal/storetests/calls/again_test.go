package calls

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// What a call is answered that is repeated after a while, or not quite as it was.

// jwt is a call that issues a JWT with a row. again repeats it, with or without the row, and says when the token expires.
type jwt struct {
	name  string
	id    store.AccessTokenID
	first *time.Time
	again func(q *store.Queries, withoutRow bool) (store.Outcome, *time.Time, error)
	// the expiry once the row is gone
	gone func(first, now time.Time) time.Time
}

// jwts makes each call that issues tokens.
func (w *world) jwts(t *testing.T) []jwt {
	w.Helper()
	same := func(first, _ time.Time) time.Time { return first }
	redemption := func(family time.Duration) jwt {
		_, code := w.Grant()
		p := w.RedeemParams(code)
		p.AccessToken, p.FamilyLifetime = nil, family
		return jwt{
			name: "RedeemAuthorizationCode", id: p.AccessTokenID, gone: same,
			again: func(q *store.Queries, withoutRow bool) (store.Outcome, *time.Time, error) {
				p.AccessTokenWithoutRow = withoutRow
				r, err := q.RedeemAuthorizationCode(w.Ctx, p)
				return r.Outcome, r.AccessTokenExpiresAt, err
			},
		}
	}
	rotation, _ := w.RotateParams(w.Redeem().Refresh)
	rotation.AccessToken = nil
	device := w.forSubtest(t)
	device.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant, "refresh_token"} })
	poll := device.pollParams(device.approvedDevice().code)
	poll.AccessToken = nil
	grant := w.issueGrantParams("a grant")
	grant.AccessToken = nil
	w.TrustIssuer(fixture.Issuer)
	w.NewAccount(w.User, fixture.Issuer, "ada")
	assertion, _ := w.AssertionParams(fixture.Issuer, "ada", "a jti", w.NewExchanger())
	assertion.AccessToken = nil
	all := []jwt{
		redemption(fixture.Long), redemption(3 * time.Minute), // the token ends with the family
		{name: "RotateRefreshToken", id: rotation.AccessTokenID, gone: same, again: func(q *store.Queries, withoutRow bool) (store.Outcome, *time.Time, error) {
			rotation.AccessTokenWithoutRow = withoutRow
			r, err := q.RotateRefreshToken(w.Ctx, rotation)
			return r.Outcome, r.AccessTokenExpiresAt, err
		}},
		{
			name: "PollDeviceCode", id: poll.AccessTokenID, gone: func(_, now time.Time) time.Time { return now.Add(poll.AccessTokenLifetime) },
			again: func(q *store.Queries, withoutRow bool) (store.Outcome, *time.Time, error) {
				poll.AccessTokenWithoutRow = withoutRow
				r, err := q.PollDeviceCode(w.Ctx, poll)
				return r.Outcome, r.AccessTokenExpiresAt, err
			},
		},
		{
			name: "IssueGrant", id: grant.AccessTokenID, gone: func(first, _ time.Time) time.Time { return first.Add(-grant.AccessTokenLifetime) },
			again: func(q *store.Queries, withoutRow bool) (store.Outcome, *time.Time, error) {
				grant.AccessTokenWithoutRow = withoutRow
				r, err := q.IssueGrant(w.Ctx, grant)
				return r.Outcome, r.AccessTokenExpiresAt, err
			},
		},
		{name: "IssueTokenByAssertion", id: assertion.AccessTokenID, gone: same, again: func(q *store.Queries, withoutRow bool) (store.Outcome, *time.Time, error) {
			assertion.AccessTokenWithoutRow = withoutRow
			r, err := q.IssueTokenByAssertion(w.Ctx, assertion)
			return r.Outcome, r.ExpiresAt, err
		}},
	}
	for i := range all {
		var err error
		_, all[i].first, err = all[i].again(w.Q, false)
		w.OK(err)
	}
	return all
}

// A JWT whose call is repeated without a row, though the first one wrote a row, or whose row is gone, expires all the same: an answer that
// says never would be good for ever.
func TestRepeatedCallWithoutARowKnowsWhenItsJWTExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, call := range w.jwts(t) {
		w.undone(func(tx pgx.Tx, q *store.Queries) {
			exec := func(sql string) {
				t.Helper()
				_, err := tx.Exec(w.Ctx, sql, string(call.id))
				w.OK(err)
			}
			// as if the first one had been made before
			const family = ` = (SELECT t.authorization_id FROM oauth_access_token AS t WHERE t.id = $1)`
			exec(`UPDATE oauth_authorization SET redeemed_at = redeemed_at - interval '1 minute', max_expires_at = max_expires_at - interval '1 minute' WHERE id` + family)
			exec(`UPDATE oauth_refresh_token SET revoked = revoked - interval '1 minute' WHERE revoked IS NOT NULL AND authorization_id` + family)
			exec(`UPDATE oauth_access_token SET expires_at = expires_at - interval '1 minute' WHERE id = $1`)
			before := call.first.Add(-time.Minute)
			var now time.Time
			w.OK(tx.QueryRow(w.Ctx, `SELECT now()`).Scan(&now))
			for _, kept := range []bool{true, false} {
				want := before
				if !kept {
					exec(`DELETE FROM oauth_access_token WHERE id = $1`)
					want = call.gone(before, now)
				}
				outcome, expiry, err := call.again(q, true)
				if err != nil || outcome != store.OutcomeRetried || expiry == nil || !expiry.Equal(want) {
					t.Errorf("%s, with the row %t: %s, expires at %v, %v; want retried, %v", call.name, kept, outcome, expiry, err, want)
				}
			}
		})
	}
}

// The same calls, as they were: what the first one answered counts, though its row is gone.
func TestRepeatedRotationWhoseAccessTokenIsGoneCountsFromTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	k := w.Redeem()
	p, access := w.RotateParams(k.Refresh)
	_, err := w.Q.RotateRefreshToken(w.Ctx, p)
	w.OK(err)
	w.spentAgo(k.Refresh, 2*time.Minute)
	w.Exec(`DELETE FROM oauth_access_token WHERE token = $1`, string(fixture.Digest(access)))
	again, err := w.Q.RotateRefreshToken(w.Ctx, p)
	w.OK(err)
	w.want("RotateRefreshToken", again.Outcome, store.OutcomeRetried)
	spent := w.refreshTokenOf(k.Refresh).Revoked
	wantEqual(t, "access_token_expires_at", *again.AccessTokenExpiresAt, spent.Add(p.AccessTokenLifetime))
}

// A retry leaves the expiry on the token presented as it is, unless its own access token has no row.
func TestRetryWithARowRaisesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	k := w.Redeem()
	w.Rotate(k.Refresh, store.OutcomeRotated)
	w.Rotate(k.Refresh, store.OutcomeRetried, func(p *store.RotateRefreshTokenParams) { p.AccessToken = nil })
	wantEqual(t, "access_token_expires_at", w.refreshTokenOf(k.Refresh).AccessTokenExpiresAt, nil)
}

func TestNoAccessTokenOfABoundFamilyOutlivesTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	k := w.Redeem(online)
	w.Exec(`UPDATE session SET expires_at = now() + interval '1 minute' WHERE id = $1`, string(w.Session))
	row, _ := w.Rotate(k.Refresh, store.OutcomeRotated)
	wantEqual(t, "access_token_expires_at", *row.AccessTokenExpiresAt, w.sessionOf(w.Session).ExpiresAt)
	free := w.Redeem()
	row, _ = w.Rotate(free.Refresh, store.OutcomeRotated)
	if !row.AccessTokenExpiresAt.After(w.sessionOf(w.Session).ExpiresAt) {
		t.Error("a family that isn't bound ends with the session")
	}
}

// An expired token is that, whatever else is wrong.
func TestExpiredTokenOfAClientThatMayNotRefreshIsExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	k := w.Redeem()
	w.expireRefreshToken(k.Refresh)
	w.Exec(`UPDATE oauth_client SET grant_types = '{client_credentials}' WHERE client_id = $1`, string(w.Client))
	w.Rotate(k.Refresh, store.OutcomeExpired)
}

// A token that another server has spent ends the grants of the pair though nothing has come after it.
func TestTokenSpentElsewhereWithoutAnotherEndsAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	k, other := w.Redeem(), w.Redeem()
	w.spentElsewhere(k.Refresh)
	w.Exec(`UPDATE "user" SET updated_at = now() - interval '1 hour' WHERE id = $1`, string(w.User))
	before := w.userRow(w.User).UpdatedAt
	w.Rotate(k.Refresh, store.OutcomeReplayed)
	w.WantDead(other.Access, other.Refresh)
	if !w.userRow(w.User).UpdatedAt.After(before) {
		t.Error("the user's updated_at is as it was")
	}
}

// A repeated approval goes by its own session.
func TestRepeatedApprovalGoesByItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bound := func(p *store.ApproveAuthorizationParams) { p.GrantedScopes = []string{"openid"} }
	before := w.Session
	w.Session = w.NewSession(w.User)
	after := w.NewSession(w.User)
	id := w.pending()
	w.approve(id, store.OutcomeApproved, bound)
	w.endSession(before)
	w.endSession(after)
	w.approve(id, store.OutcomeRetried, bound)
	for _, other := range []store.SessionID{w.NewSession(w.User), w.NewSession(w.User)} {
		wantEqual(t, "lives on", slices.Contains(w.liveSessions(), other), true)
	}
	w.endSession(w.Session)
	w.approve(id, store.OutcomeRevoked, bound)
}

// A subject token of a bound family goes by the family's session.
func TestExchangedTokenGoesByTheSessionOfItsFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client := w.NewExchanger()
	k := w.Redeem(online, func(p *store.GrantAuthorizationParams) { p.Resources = []string{fixture.Resource} })
	another := w.NewSession(w.User)
	w.Exchange(k.Access, client, store.OutcomeExchanged)
	w.endSession(w.Session)
	wantEqual(t, "live", w.liveSessions(), []store.SessionID{another})
	w.Exchange(k.Access, client, store.OutcomeRevoked)
}

// The answer to a repeated grant is about its own tokens, of however many that there are in the family by then.
func TestRepeatedGrantAnswersItsOwnTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	row, p := w.issueGrant("a grant", store.OutcomeIssued)
	again := func() store.IssueGrantRow {
		t.Helper()
		r, err := w.Q.IssueGrant(w.Ctx, p)
		w.OK(err)
		w.want("IssueGrant", r.Outcome, store.OutcomeRetried)
		return r
	}
	w.Rotate("rt-a grant", store.OutcomeRotated, func(r *store.RotateRefreshTokenParams) { r.AccessTokenLifetime = time.Minute })
	wantEqual(t, "access_token_expires_at", again().AccessTokenExpiresAt, row.AccessTokenExpiresAt)
	w.Exec(`DELETE FROM oauth_access_token WHERE id = $1`, string(p.AccessTokenID))
	if e := again().AccessTokenExpiresAt; e == nil || e.After(*row.AccessTokenExpiresAt) {
		t.Errorf("without its row, the access token expires at %v", e)
	}
}

// The id of an access token of the same family is that of another token, too, unless the very call is repeated that issued it.
func TestAccessTokenIDThatTheFamilyHasUsedIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, code := w.Grant()
	redemption := w.RedeemParams(code)
	_, err := w.Q.RedeemAuthorizationCode(w.Ctx, redemption)
	w.OK(err)
	refresh := "rt-" + code
	for what, digest := range map[string]*token.Digest{"its digest": redemption.AccessToken, "another one": new(fixture.Digest("another")), "none": nil} {
		rotation, _ := w.RotateParams(refresh)
		rotation.AccessTokenID, rotation.AccessToken = redemption.AccessTokenID, digest
		w.Unchanged(func() {
			_, err := w.Q.RotateRefreshToken(w.Ctx, rotation)
			wantEqual(t, "rotation with "+what, pgErrorOf(err).Message, "AccessTokenID is that of another token")
			if digest != redemption.AccessToken {
				again := redemption
				again.AccessToken = digest
				_, err = w.Q.RedeemAuthorizationCode(w.Ctx, again)
				wantEqual(t, "redemption with "+what, pgErrorOf(err).Message, "AccessTokenID is that of another token")
			}
		})
	}
	w.Rotate(refresh, store.OutcomeRotated)

	// Another server can have written a token of the family before its code is redeemed.
	grant, code := w.Grant()
	redemption = w.RedeemParams(code)
	w.Exec(
		`INSERT INTO oauth_access_token (id, token, client_id, user_id, authorization_id, authorization_code_id, scopes, expires_at)
		SELECT $2, $3, a.client_id, a.user_id, a.id, a.id, a.granted_scopes, now() + interval '1 hour' FROM oauth_authorization AS a WHERE a.id = $1`,
		string(grant), string(redemption.AccessTokenID), string(*redemption.AccessToken),
	)
	w.Unchanged(func() {
		_, err := w.Q.RedeemAuthorizationCode(w.Ctx, redemption)
		wantEqual(t, "redemption with its digest", pgErrorOf(err).Message, "AccessTokenID is that of another token")
	})
}

// Where the contract says that an id or a code of something else is an error, it is one, and nothing changes.
func TestIDsAndCodesOfOthersAreErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, code := w.Grant()
	unlike := w.NewUser()
	consent := w.agree(func(*store.GrantConsentParams) {})
	request := w.pending()
	w.approve(request, store.OutcomeApproved, func(p *store.ApproveAuthorizationParams) { p.Code = nil })
	other := w.pending()
	k := w.Redeem()
	access, refresh := w.accessTokenOf(k.Access).ID, w.refreshTokenOf(w.Redeem().Refresh).ID
	device := w.forSubtest(t)
	device.Client = w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant, "refresh_token"} })
	approved := device.approvedDevice().code
	w.TrustIssuer(fixture.Issuer)
	w.NewAccount(w.User, fixture.Issuer, "ada")
	exchanger := w.NewExchanger()
	doc := documentParams(time.Now().Add(-time.Minute))
	w.put(doc, store.OutcomeInserted)
	for name, call := range map[string]func() error{
		"ApproveAuthorization, code": func() error {
			p := w.approveParams(other)
			p.Code = new(fixture.Digest(code))
			_, err := w.Q.ApproveAuthorization(w.Ctx, p)
			return err
		},
		"IssueAuthorizationCode, code": func() error {
			_, err := w.Q.IssueAuthorizationCode(w.Ctx, store.IssueAuthorizationCodeParams{
				ID: request, Code: fixture.Digest(code), CodeLifetime: time.Minute, DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
			})
			return err
		},
		"GrantConsent, id": func() error {
			_, err := w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: *consent.ID, ClientID: w.Client, UserID: unlike, Scopes: []string{"openid"}})
			return err
		},
		"PutClientDocument, id": func() error {
			p := documentParams(time.Now())
			p.ID = doc.ID
			_, err := w.Q.PutClientDocument(w.Ctx, p)
			return err
		},
		"ReauthenticateSession, token": func() error {
			p := store.ReauthenticateSessionParams{ID: w.Session, UserID: w.User, Token: new(w.sessionOf(w.NewSession(w.User)).Token)}
			_, err := w.Q.ReauthenticateSession(w.Ctx, p)
			return err
		},
		"RedeemAuthorizationCode, refresh_token_id": func() error {
			p := w.RedeemParams(code)
			p.RefreshTokenID = &refresh
			_, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
			return err
		},
		"RotateRefreshToken, successor_id": func() error {
			p, _ := w.RotateParams(k.Refresh)
			p.SuccessorID = refresh
			_, err := w.Q.RotateRefreshToken(w.Ctx, p)
			return err
		},
		"PollDeviceCode, refresh_token_id": func() error {
			p := device.pollParams(approved)
			p.RefreshTokenID = &refresh
			_, err := w.Q.PollDeviceCode(w.Ctx, p)
			return err
		},
		"IssueGrant, refresh_token_id": func() error {
			p := w.issueGrantParams("another grant")
			p.RefreshTokenID = &refresh
			_, err := w.Q.IssueGrant(w.Ctx, p)
			return err
		},
		"IssueGrant, access_token_id": func() error {
			p := w.issueGrantParams("another grant")
			p.AccessTokenID = access
			_, err := w.Q.IssueGrant(w.Ctx, p)
			return err
		},
		"IssueTokenByAssertion, access_token_id": func() error {
			p, _ := w.AssertionParams(fixture.Issuer, "ada", "a jti", exchanger)
			p.AccessTokenID = access
			_, err := w.Q.IssueTokenByAssertion(w.Ctx, p)
			return err
		},
	} {
		if err := call(); !db.IsUniqueViolation(err) || !strings.Contains(err.Error(), strings.Split(name, ",")[0]) {
			t.Errorf("%s: %v, want a unique violation that names the call", name, err)
		}
	}
}

// A client that is deleted is not the answer to a registration that is repeated.
func TestRegistrationThatIsRepeatedAfterItsClientWasDeletedIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := registerParams("")
	p.Open, p.TokenEndpointAuthMethod, p.ClientSecret, p.RegistrationAccessToken = true, new("none"), nil, nil
	w.register(p, store.OutcomeRegistered)
	w.register(p, store.OutcomeRetried)
	w.deleteClient(p.ClientID)
	w.register(p, store.OutcomeTaken)
}

// The expiry that a retry has raised is that of its own access token, and not of the one that came with the code.
func TestRepeatedRedemptionIsNotRaisedByARetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, code := w.Grant()
	p := w.RedeemParams(code)
	first, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	w.OK(err)
	for _, want := range []store.Outcome{store.OutcomeRotated, store.OutcomeRetried} {
		w.Rotate("rt-"+code, want, rotatedWithoutRow, func(r *store.RotateRefreshTokenParams) { r.AccessTokenLifetime = 30 * time.Minute })
	}
	wantEqual(t, "raised", w.refreshTokenOf("rt-"+code).AccessTokenExpiresAt.After(*first.AccessTokenExpiresAt), true)
	w.Exec(`DELETE FROM oauth_access_token WHERE id = $1`, string(p.AccessTokenID))
	again, err := w.Q.RedeemAuthorizationCode(w.Ctx, p)
	w.OK(err)
	w.want("RedeemAuthorizationCode", again.Outcome, store.OutcomeRetried)
	wantEqual(t, "access_token_expires_at", *again.AccessTokenExpiresAt, *first.AccessTokenExpiresAt)
	wantEqual(t, "rows of access tokens", w.rowsOf("oauth_access_token", *first.AuthorizationID), 0) // what is gone doesn't come back
}

// A rotation that is repeated is answered when the first one's access token expires, which had no row, though the repetition is to have one and
// asks for more.
func TestRepeatedRotationKnowsWhenTheFirstTokenWithoutARowExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p, access := w.RotateParams(w.Redeem().Refresh)
	rotatedWithoutRow(&p)
	first, err := w.Q.RotateRefreshToken(w.Ctx, p)
	w.OK(err)
	p.AccessTokenWithoutRow, p.AccessToken, p.AccessTokenLifetime = false, new(fixture.Digest(access)), time.Hour
	again, err := w.Q.RotateRefreshToken(w.Ctx, p)
	w.OK(err)
	w.want("RotateRefreshToken", again.Outcome, store.OutcomeRetried)
	wantEqual(t, "access_token_expires_at", *again.AccessTokenExpiresAt, *first.AccessTokenExpiresAt)
}

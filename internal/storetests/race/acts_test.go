package race

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// conn is a connection, or a transaction.
type conn interface {
	store.DBTX
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// granted is what a grant has given.
type granted struct {
	outcome store.Outcome
	token   string                // an access token, raw
	refresh string                // a refresh token, raw
	code    string                // a code, raw
	family  store.AuthorizationID // of an access token without a row
	session store.SessionID       // that goes on or has begun
	consent bool                  // to "email"
}

// grantAct is a call, or another server's statements, by which something of a scene is granted.
type grantAct struct {
	name    string
	want    store.Outcome // when nothing stands against it; empty for another server's statements
	family  func(s *scene) family
	writes  string // what it writes that an ending may write, too: family, user, session, consent
	parents bool   // whether it holds user, client and session against deletion
	session bool   // what it gives is a session: bound by nature
	begins  bool   // and that begins with it
	consent bool
	own     bool // of the client itself
	unbound bool // in no session
	// several statements of another server's, which makes them without a transaction
	statements bool
	run        func(ctx context.Context, c conn, s *scene) (granted, error)
}

const foreignRotatedByUs = "RotateRefreshToken of another server's token"

func none(*scene) family { return family{} }

// another server's statements, as better-auth makes them
const (
	foreignSession = `INSERT INTO session (id, user_id, token, expires_at) VALUES ($1, $2, $3, now() + interval '1 hour')`
	foreignRefresh = `INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_code_id)
		VALUES ($1, $2, $3, $4, $5, $6, now() + interval '1 hour', $7, $8)`
	foreignAccess = `INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, authorization_code_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, now() + interval '1 hour', $8, $9)`
	foreignSpend = `UPDATE oauth_refresh_token SET revoked = now() WHERE id = $1 AND revoked IS NULL`
)

func (s *scene) rotation(presented, successor, access string) store.RotateRefreshTokenParams {
	return store.RotateRefreshTokenParams{
		Token: fixture.Digest(presented), ClientID: s.client, ClientAuthMethod: "verified", Grace: time.Hour,
		Successor: fixture.Digest(successor), SuccessorID: store.NewRefreshTokenID(), RefreshTokenLifetime: time.Hour,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(access)), AccessTokenLifetime: time.Hour,
		DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
	}
}

func (s *scene) redemption(code, access, refresh string) store.RedeemAuthorizationCodeParams {
	return store.RedeemAuthorizationCodeParams{
		Code: fixture.Digest(code), ClientID: s.client, ClientAuthMethod: "verified",
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(access)), AccessTokenLifetime: time.Hour,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(fixture.Digest(refresh)), RefreshTokenLifetime: time.Hour,
		FamilyLifetime: store.Never, DefaultScopes: fixture.Scopes, DefaultResources: fixture.Resources,
	}
}

// directGrant is a grant without a code, and its tokens.
func (s *scene) directGrant() (store.IssueGrantParams, granted) {
	g := granted{token: fixture.Unique("at"), refresh: fixture.Unique("rt")}
	return store.IssueGrantParams{
		ID: store.NewAuthorizationID(), UserID: s.user, ClientID: s.client, SessionID: &s.session, ReferenceID: s.tenant, GrantType: "server",
		Scopes: s.scopes(), DefaultScopes: s.scopes(),
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(g.token)), AccessTokenLifetime: time.Hour,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(fixture.Digest(g.refresh)), RefreshTokenLifetime: time.Hour,
		FamilyLifetime: store.Never,
	}, g
}

// imported is what another server had granted.
func (s *scene) imported() (store.ImportRefreshTokenParams, granted) {
	g := granted{refresh: fixture.Unique("rt")}
	return store.ImportRefreshTokenParams{
		ID: store.NewAuthorizationID(), UserID: s.user, ClientID: s.client, ReferenceID: s.tenant, Scopes: s.scopes(),
		Tokens: token.Digests{fixture.Digest(g.refresh)}, RefreshTokenLifetime: time.Hour, FamilyLifetime: store.Never,
	}, g
}

// exchange exchanges the access token of the family at work.
func (s *scene) exchange(ctx context.Context, c conn, client store.ClientID) (granted, error) {
	p, g := s.exchanged(client)
	r, err := store.New(c).ExchangeToken(ctx, p)
	g.outcome = r.Outcome
	return g, err
}

func (s *scene) exchanged(client store.ClientID) (store.ExchangeTokenParams, granted) {
	g := granted{token: fixture.Unique("xt")}
	return store.ExchangeTokenParams{
		ClientID: client, ClientAuthMethod: "verified", ClientResources: []string{fixture.Resource}, SubjectToken: new(fixture.Digest(s.at.access)),
		DefaultScopes: s.scopes(), AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(g.token)), AccessTokenLifetime: time.Hour,
	}, g
}

// assertion presents an assertion about the user that nobody has presented before.
func (s *scene) assertion() (store.IssueTokenByAssertionParams, granted) {
	g := granted{token: fixture.Unique("at")}
	return store.IssueTokenByAssertionParams{
		ClientID: s.client, ClientAuthMethod: "verified", Issuer: fixture.Issuer, Subject: string(s.user), ReferenceID: s.tenant,
		AssertionID: token.GrantAssertionID(fixture.Issuer, g.token), AssertionExpiresAt: time.Now().Add(time.Minute).Unix(), MaxLifetime: time.Hour,
		Audiences: []string{fixture.Audience}, SigningAlgorithm: "ES256", Scopes: s.scopes(), DefaultScopes: s.scopes(),
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(g.token)), AccessTokenLifetime: time.Hour,
	}, g
}

// poll polls a device code. The refresh token derives from it.
func (s *scene) poll(f family, access string) store.PollDeviceCodeParams {
	return store.PollDeviceCodeParams{
		DeviceCode: fixture.Digest(f.code), ClientID: s.client, ClientAuthMethod: "verified", Grace: time.Hour,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(access)), AccessTokenLifetime: time.Hour,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(fixture.Digest(f.code + "+")), RefreshTokenLifetime: time.Hour,
		FamilyLifetime: store.Never, DefaultScopes: s.scopes(),
	}
}

// grantActs are all ways in which something is granted.
var grantActs = []grantAct{
	{
		name: "ApproveAuthorization", want: store.OutcomeApproved, family: func(s *scene) family { return family{id: s.pending} }, writes: "family", parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{code: fixture.Unique("code")}
			r, err := store.New(c).ApproveAuthorization(ctx, store.ApproveAuthorizationParams{
				ID: s.pending, UserID: s.user, SessionID: &s.session, ReferenceID: s.tenant, GrantedScopes: s.scopes(),
				Code: new(fixture.Digest(g.code)), CodeLifetime: time.Hour, DefaultScopes: fixture.Scopes,
			})
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "ApproveAuthorization retried", want: store.OutcomeRetried, family: func(s *scene) family { return s.coded }, writes: "family", parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{code: fixture.Unique("code")}
			r, err := store.New(c).ApproveAuthorization(ctx, store.ApproveAuthorizationParams{
				ID: s.coded.id, UserID: s.user, SessionID: &s.session, ReferenceID: s.tenant, GrantedScopes: s.scopes(),
				Code: new(fixture.Digest(g.code)), CodeLifetime: time.Hour, DefaultScopes: fixture.Scopes,
			})
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "IssueAuthorizationCode", want: store.OutcomeIssued, family: func(s *scene) family { return family{id: s.approved} }, writes: "family",
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{code: fixture.Unique("code")}
			r, err := store.New(c).IssueAuthorizationCode(ctx, store.IssueAuthorizationCodeParams{ID: s.approved, Code: fixture.Digest(g.code), CodeLifetime: time.Hour, DefaultScopes: fixture.Scopes})
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "GrantAuthorization", want: store.OutcomeGranted, family: none, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (g granted, err error) {
			g.code = fixture.Unique("code")
			g.outcome, err = store.New(c).GrantAuthorization(ctx, store.GrantAuthorizationParams{
				ID: store.NewAuthorizationID(), UserID: s.user, ClientID: s.client, SessionID: &s.session, ReferenceID: s.tenant,
				Scopes: []string{"openid", "offline_access"}, GrantedScopes: s.scopes(), DefaultScopes: fixture.Scopes,
				ResponseType: new("code"),
				Code:         fixture.Digest(g.code), CodeLifetime: time.Hour,
			})
			return g, err
		},
	}, {
		name: "IssueGrant", want: store.OutcomeIssued, family: none, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			p, g := s.directGrant()
			r, err := store.New(c).IssueGrant(ctx, p)
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "RedeemAuthorizationCode", want: store.OutcomeRedeemed, family: func(s *scene) family { return s.coded }, writes: "family", parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{token: fixture.Unique("at"), refresh: fixture.Unique("rt")}
			r, err := store.New(c).RedeemAuthorizationCode(ctx, s.redemption(s.coded.code, g.token, g.refresh))
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "PollDeviceCode", want: store.OutcomeRedeemed, family: func(s *scene) family { return s.device }, writes: "family", parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{token: fixture.Unique("at"), refresh: s.device.code + "+"}
			r, err := store.New(c).PollDeviceCode(ctx, s.poll(s.device, g.token))
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "RotateRefreshToken", want: store.OutcomeRotated, family: func(s *scene) family { return s.at }, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{token: fixture.Unique("at"), refresh: s.at.refresh + "+"}
			r, err := store.New(c).RotateRefreshToken(ctx, s.rotation(s.at.refresh, g.refresh, g.token))
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "RotateRefreshToken retried", want: store.OutcomeRetried, family: func(s *scene) family { return s.rotated }, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{token: fixture.Unique("at"), refresh: s.rotated.next}
			r, err := store.New(c).RotateRefreshToken(ctx, s.rotation(s.rotated.refresh, s.rotated.next, g.token))
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "RedeemAuthorizationCode without a row", want: store.OutcomeRedeemed, family: func(s *scene) family { return s.coded }, writes: "family", parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			p := s.redemption(s.coded.code, "", "")
			p.AccessTokenWithoutRow, p.AccessToken, p.RefreshToken, p.RefreshTokenID = true, nil, nil, nil
			r, err := store.New(c).RedeemAuthorizationCode(ctx, p)
			return granted{outcome: r.Outcome, family: s.coded.id}, err
		},
	}, {
		name: "RotateRefreshToken retried without a row", want: store.OutcomeRetried, family: func(s *scene) family { return s.rotated }, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			p := s.rotation(s.rotated.refresh, s.rotated.next, "")
			p.AccessTokenWithoutRow, p.AccessToken = true, nil
			r, err := store.New(c).RotateRefreshToken(ctx, p)
			return granted{outcome: r.Outcome, family: s.rotated.id}, err
		},
	}, {
		name: foreignRotatedByUs, want: store.OutcomeRotated, family: func(s *scene) family { return s.foreign }, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{token: fixture.Unique("at"), refresh: s.foreign.refresh + "+"}
			r, err := store.New(c).RotateRefreshToken(ctx, s.rotation(s.foreign.refresh, g.refresh, g.token))
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "IssueAccessToken", want: store.OutcomeIssued, family: none, parents: true, own: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{token: fixture.Unique("own")}
			r, err := store.New(c).IssueAccessToken(ctx, store.IssueAccessTokenParams{
				ClientID: s.client, ClientAuthMethod: "verified", ID: store.NewAccessTokenID(), AccessToken: new(fixture.Digest(g.token)), Lifetime: time.Hour,
			})
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "ExchangeToken", want: store.OutcomeExchanged, family: func(s *scene) family { return s.at }, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) { return s.exchange(ctx, c, s.client) },
	}, {
		name: "ExchangeToken by another client", want: store.OutcomeExchanged, family: func(s *scene) family { return s.at }, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) { return s.exchange(ctx, c, s.exchanger) },
	}, {
		name: "IssueTokenByAssertion", want: store.OutcomeIssued, family: none, parents: true, unbound: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			p, g := s.assertion()
			r, err := store.New(c).IssueTokenByAssertion(ctx, p)
			g.outcome = r.Outcome
			return g, err
		},
	}, {
		name: "GrantConsent", want: store.OutcomeGranted, family: none, parents: true, writes: "consent", consent: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			r, err := store.New(c).GrantConsent(ctx, store.GrantConsentParams{
				ID: store.NewConsentID(), ClientID: s.client, UserID: s.user, ReferenceID: s.tenant, Scopes: []string{"email"}, Merge: true,
			})
			return granted{outcome: r.Outcome, consent: true}, err
		},
	}, {
		name: "ImportRefreshToken", want: store.OutcomeIssued, family: none, parents: true, unbound: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			p, g := s.imported()
			outcome, err := store.New(c).ImportRefreshToken(ctx, p)
			g.outcome = outcome
			return g, err
		},
	}, {
		name: "CreateSession", want: store.OutcomeCreated, family: none, parents: true, session: true, begins: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) { return s.signIn(ctx, c, 0) },
	}, {
		name: "CreateSession with a maximum", want: store.OutcomeCreated, family: none, parents: true, writes: "user", session: true, begins: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) { return s.signIn(ctx, c, 2) },
	}, {
		name: "ExtendSession", want: store.OutcomeExtended, family: none, writes: "session", session: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			r, err := store.New(c).ExtendSession(ctx, store.ExtendSessionParams{ID: s.session, Lifetime: 2 * time.Hour, MinGain: 10 * time.Minute})
			return granted{outcome: r.Outcome, session: s.session}, err
		},
	}, {
		name: "ReauthenticateSession", want: store.OutcomeAuthenticated, family: none, writes: "session", session: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			r, err := store.New(c).ReauthenticateSession(ctx, store.ReauthenticateSessionParams{ID: s.session, UserID: s.user})
			return granted{outcome: r.Outcome, session: s.session}, err
		},
	}, {
		name: "another server's session", family: none, parents: true, session: true, begins: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{session: store.SessionID(fixture.Unique("session"))}
			_, err := c.Exec(ctx, foreignSession, g.session, s.user, fixture.Digest(cookie(g.session)))
			return g, err
		},
	}, {
		name: "another server's refresh token", family: none, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{refresh: fixture.Unique("rt")}
			_, err := c.Exec(ctx, foreignRefresh, fixture.Unique("r"), fixture.Digest(g.refresh), s.client, s.session, s.user, s.tenant, s.scopes(), fixture.Unique("ba"))
			return g, err
		},
	}, {
		name: "another server's access token", family: none, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{token: fixture.Unique("at")}
			_, err := c.Exec(ctx, foreignAccess, fixture.Unique("a"), fixture.Digest(g.token), s.client, s.session, s.user, s.tenant, nil, s.scopes(), nil)
			return g, err
		},
	}, {
		name: "another server's tokens", statements: true, family: none, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			g := granted{token: fixture.Unique("at"), refresh: fixture.Unique("rt")}
			id, code := fixture.Unique("r"), fixture.Unique("ba")
			_, err := c.Exec(ctx, foreignRefresh, id, fixture.Digest(g.refresh), s.client, s.session, s.user, s.tenant, s.scopes(), code)
			if err == nil {
				_, err = c.Exec(ctx, foreignAccess, fixture.Unique("a"), fixture.Digest(g.token), s.client, s.session, s.user, s.tenant, id, s.scopes(), code)
			}
			return g, err
		},
	}, {
		name: "another server's rotation", statements: true, family: func(s *scene) family { return s.foreign }, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			return s.foreignRotation(ctx, c, s.foreign, true, fixture.Unique("rt"))
		},
	}, {
		name: "another server's rotation of ours", statements: true, family: func(s *scene) family { return s.at }, parents: true,
		run: func(ctx context.Context, c conn, s *scene) (granted, error) {
			f := s.at
			f.codeID = string(f.id)
			return s.foreignRotation(ctx, c, f, true, fixture.Unique("rt"))
		},
	},
}

func (s *scene) signIn(ctx context.Context, c conn, most int32) (granted, error) {
	g := granted{session: store.NewSessionID()}
	r, err := store.New(c).CreateSession(ctx, store.CreateSessionParams{
		ID: g.session, UserID: s.user, Token: fixture.Digest(cookie(g.session)), Lifetime: time.Hour, MaxSessions: most,
	})
	g.outcome = r.Outcome
	return g, err
}

// foreignRotation is better-auth's refresh: it spends the token, stops if that was none, and inserts a refresh token and an access token.
func (s *scene) foreignRotation(ctx context.Context, c conn, f family, withAccess bool, refresh string) (granted, error) {
	tag, err := c.Exec(ctx, foreignSpend, f.refreshID)
	if err != nil || tag.RowsAffected() == 0 {
		return granted{outcome: store.OutcomeRevoked}, err
	}
	g := granted{refresh: refresh}
	id := fixture.Unique("r")
	if _, err := c.Exec(ctx, foreignRefresh, id, fixture.Digest(g.refresh), s.client, s.session, s.user, s.tenant, s.scopes(), f.codeID); err != nil {
		return g, err
	}
	if withAccess {
		token := fixture.Unique("at")
		if _, err := c.Exec(ctx, foreignAccess, fixture.Unique("a"), fixture.Digest(token), s.client, s.session, s.user, s.tenant, id, s.scopes(), f.codeID); err != nil {
			return g, err
		}
		g.token = token
	}
	return g, nil
}

// endAct is a call, or a statement made by hand, that ends something of a scene.
type endAct struct {
	name                 string
	user, pair, client   bool // all grants of the user, of user and client, of the client
	session, newSessions bool // scene.session; sessions that begin meanwhile
	family, access       bool // what the grant is of; the access token of scene.at alone
	deletes              bool // rows, by hand
	writesUser, keeps    bool // the user's row; scene.session's, to keep it
	needs                func(f family) bool
	run                  func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error)
}

func ended(ctx context.Context, c conn, sql string, args ...any) (store.Outcome, error) {
	_, err := c.Exec(ctx, sql, args...)
	return store.OutcomeEnded, err
}

var endActs = []endAct{
	{
		name: "RevokeAuthorization", family: true, needs: func(f family) bool { return f.id != "" },
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).RevokeAuthorization(ctx, f.id)
			return r.Outcome, err
		},
	}, {
		name: "RevokeToken of a refresh token", family: true, needs: func(f family) bool { return f.refresh != "" },
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).RevokeToken(ctx, store.RevokeTokenParams{ClientID: s.client, ClientAuthMethod: "verified", Token: fixture.Digest(f.refresh)})
			return r.Outcome, err
		},
	}, {
		name: "RevokeToken of an access token", access: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).RevokeToken(ctx, store.RevokeTokenParams{ClientID: s.client, ClientAuthMethod: "verified", Token: fixture.Digest(s.at.access)})
			return r.Outcome, err
		},
	}, {
		name: "EndSession", session: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).EndSession(ctx, s.session)
			return r.Outcome, err
		},
	}, {
		name: "EndUserSessions", session: true, newSessions: true, writesUser: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).EndUserSessions(ctx, store.EndUserSessionsParams{UserID: s.user})
			return r.Outcome, err
		},
	}, {
		name: "EndUserSessions but another", session: true, newSessions: true, writesUser: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).EndUserSessions(ctx, store.EndUserSessionsParams{UserID: s.user, Keep: &s.other})
			return r.Outcome, err
		},
	}, {
		name: "EndUserSessions but this one", newSessions: true, writesUser: true, keeps: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).EndUserSessions(ctx, store.EndUserSessionsParams{UserID: s.user, Keep: &s.session})
			return r.Outcome, err
		},
	}, {
		name: "RevokeUserAuthorizations", user: true, writesUser: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			return store.New(c).RevokeUserAuthorizations(ctx, s.user)
		},
	}, {
		name: "RevokeUserAuthorizationsByClient", pair: true, writesUser: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			return store.New(c).RevokeUserAuthorizationsByClient(ctx, store.RevokeUserAuthorizationsByClientParams{UserID: s.user, ClientID: s.client})
		},
	}, {
		name: "WithdrawConsent", pair: true, writesUser: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: s.user, ClientID: s.client, ReferenceID: s.tenant})
			return r.Outcome, err
		},
	}, {
		name: "RevokeClientAuthorizations", client: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			return store.New(c).RevokeClientAuthorizations(ctx, s.client)
		},
	}, {
		name: "SuspendUser", user: true, session: true, newSessions: true, writesUser: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).SuspendUser(ctx, s.user)
			return r.Outcome, err
		},
	}, {
		name: "DeleteUser", user: true, session: true, newSessions: true, writesUser: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			r, err := store.New(c).DeleteUser(ctx, s.user)
			return r.Outcome, err
		},
	}, {
		name: "DisableClient", client: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			return store.New(c).DisableClient(ctx, s.client)
		},
	}, {
		name: "DeleteClient", client: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			return store.New(c).DeleteClient(ctx, s.client)
		},
	}, {
		name: "DELETE of the user", user: true, session: true, newSessions: true, deletes: true, writesUser: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			return ended(ctx, c, `DELETE FROM "user" WHERE id = $1`, s.user)
		},
	}, {
		name: "DELETE of the client", client: true, deletes: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			return ended(ctx, c, `DELETE FROM oauth_client WHERE client_id = $1`, s.client)
		},
	}, {
		name: "DELETE of the session", session: true, deletes: true,
		run: func(ctx context.Context, c conn, s *scene, f family) (store.Outcome, error) {
			return ended(ctx, c, `DELETE FROM session WHERE id = $1`, s.session)
		},
	},
}

// ends says whether an ending ends what a grant gives in a scene.
func (e *endAct) ends(g *grantAct, s *scene) bool {
	switch {
	case g.own:
		return e.client
	case g.begins:
		return e.newSessions
	case g.session:
		return e.session
	case g.consent:
		return e.user || e.pair || e.client && e.name != "RevokeClientAuthorizations" // which ends tokens, not what the user agreed to
	}
	return e.user || e.pair || e.client || e.family || e.session && s.bound && !g.unbound
}

// alive names what is alive of what a grant has given.
func (w *world) alive(s *scene, g granted) (alive []string) {
	w.Helper()
	introspect := func(kind, raw string) {
		if raw == "" {
			return
		}
		r, err := w.Q.IntrospectToken(w.Ctx, store.IntrospectTokenParams{ClientAuthMethod: "server", Token: fixture.Digest(raw)})
		w.OK(err)
		if r.Outcome == store.OutcomeActive {
			alive = append(alive, kind)
		}
	}
	if g.family != "" {
		r, err := w.Q.IntrospectAuthorization(w.Ctx, store.IntrospectAuthorizationParams{ClientAuthMethod: "server", ID: g.family})
		w.OK(err)
		if r.Outcome == store.OutcomeActive {
			alive = append(alive, "family")
		}
	}
	introspect("access token", g.token)
	introspect("refresh token", g.refresh)
	if g.refresh != "" {
		r, err := w.Q.RotateRefreshToken(w.Ctx, s.rotation(g.refresh, g.refresh+"+", fixture.Unique("at")))
		w.OK(err)
		if r.Outcome == store.OutcomeRotated || r.Outcome == store.OutcomeRetried {
			alive = append(alive, "refresh token, as it rotates")
		}
	}
	if g.code != "" {
		r, err := w.Q.RedeemAuthorizationCode(w.Ctx, s.redemption(g.code, fixture.Unique("at"), fixture.Unique("rt")))
		w.OK(err)
		if r.Outcome == store.OutcomeRedeemed || r.Outcome == store.OutcomeRetried {
			alive = append(alive, "code")
		}
	}
	if g.session != "" {
		_, err := w.Q.FindSessionByToken(w.Ctx, fixture.Digest(cookie(g.session)))
		if err == nil {
			alive = append(alive, "session")
		} else if !errors.Is(err, pgx.ErrNoRows) {
			w.OK(err)
		}
	}
	if g.consent {
		r, err := w.Q.CheckConsent(w.Ctx, store.CheckConsentParams{ClientID: s.client, UserID: s.user, ReferenceID: s.tenant, Scopes: []string{"email"}})
		w.OK(err)
		if r.Covered {
			alive = append(alive, "consent")
		}
	}
	return alive
}

func (g granted) String() string {
	return fmt.Sprintf("%s %+v", g.outcome, struct{ token, refresh, code string }{g.token, g.refresh, g.code})
}

package fositedb

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// transaction is what the library has said between BeginTX and Commit.
type transaction struct {
	code      string // to be redeemed
	refreshed string // refresh token to be rotated
	access    string // the new tokens
	refresh   string
	request   fosite.Requester // what the access token is for
	decided   bool             // about a refresh token that was used again
}

type transactionKey struct{}

func transactionOf(ctx context.Context) *transaction {
	tx, _ := ctx.Value(transactionKey{}).(*transaction)
	return tx
}

// BeginTX begins no transaction of the database: what the library says until Commit is collected.
func (s *Store) BeginTX(ctx context.Context) (context.Context, error) {
	return context.WithValue(ctx, transactionKey{}, &transaction{}), nil
}

// Rollback forgets what was collected. What Commit has decided stands.
func (s *Store) Rollback(ctx context.Context) error {
	if tx := transactionOf(ctx); tx != nil {
		*tx = transaction{}
	}
	return nil
}

// Commit decides, by one statement on the pool that also writes the tokens: [store.Queries.RedeemAuthorizationCode],
// [store.Queries.RotateRefreshToken].
func (s *Store) Commit(ctx context.Context) error {
	tx := transactionOf(ctx)
	if tx == nil {
		return errNoTransaction
	}
	all := *tx
	*tx = transaction{decided: all.decided}
	switch {
	case all.code != "" && all.refreshed == "" && all.access != "":
		return s.redeem(ctx, all)
	case all.refreshed != "" && all.code == "" && all.access != "" && all.refresh != "":
		return s.rotate(ctx, all)
	case all == transaction{decided: all.decided}:
		return nil
	default:
		return fosite.ErrMisconfiguration.WithHint("A transaction redeems a code or rotates a refresh token.")
	}
}

var errNoTransaction = fosite.ErrMisconfiguration.WithHint("This is done between BeginTX and Commit.")

// InvalidateAuthorizeCodeSession notes which code Commit redeems.
func (s *Store) InvalidateAuthorizeCodeSession(ctx context.Context, code string) error {
	tx := transactionOf(ctx)
	if tx == nil {
		return errNoTransaction
	}
	tx.code = code
	return nil
}

// RotateRefreshToken notes which refresh token Commit rotates.
func (s *Store) RotateRefreshToken(ctx context.Context, _, signature string) error {
	tx := transactionOf(ctx)
	if tx == nil {
		return errNoTransaction
	}
	tx.refreshed = signature
	return nil
}

// CreateAccessTokenSession notes what Commit writes. Outside of a transaction it issues the token: [store.Queries.IssueAccessToken] for
// client credentials, [store.Queries.IssueTokenByAssertion] for an assertion.
func (s *Store) CreateAccessTokenSession(ctx context.Context, signature string, request fosite.Requester) error {
	if tx := transactionOf(ctx); tx != nil {
		tx.access, tx.request = signature, request
		return nil
	}
	r := accessRequest(ctx)
	switch {
	case r == nil: // from the authorization endpoint
		return fosite.ErrUnsupportedResponseType
	case r.GetGrantTypes().ExactOne("client_credentials"):
		return s.issue(ctx, signature, request)
	case r.GetGrantTypes().ExactOne(string(fosite.GrantTypeJWTBearer)):
		return s.issueByAssertion(ctx, signature, request)
	default:
		return fosite.ErrUnsupportedGrantType
	}
}

// CreateRefreshTokenSession notes what Commit writes.
func (s *Store) CreateRefreshTokenSession(ctx context.Context, signature, _ string, _ fosite.Requester) error {
	tx := transactionOf(ctx)
	if tx == nil {
		return errNoTransaction
	}
	tx.refresh = signature
	return nil
}

// Authenticate refuses: OAuth 2.1 has no password grant.
func (s *Store) Authenticate(context.Context, string, string) (string, error) {
	return "", fosite.ErrNotFound.WithHint("The password grant isn't served.")
}

// presented is the form of the token request.
func presented(ctx context.Context) url.Values {
	if r := accessRequest(ctx); r != nil {
		return r.GetRequestForm()
	}
	return url.Values{}
}

// challengeOf is what the verifier of a token request gives (RFC 7636, section 4.6).
func challengeOf(row store.OAuthAuthorization, form url.Values) *string {
	verifier := form.Get("code_verifier")
	if verifier != "" && deref(row.CodeChallengeMethod) != "plain" {
		verifier = token.S256(verifier)
	}
	return optional(verifier)
}

func (s *Store) redemption(ctx context.Context, code string) (store.RedeemAuthorizationCodeParams, store.OAuthAuthorization, error) {
	row, err := s.authorization(ctx, code)
	if err != nil {
		return store.RedeemAuthorizationCodeParams{}, row, err
	}
	client, method := caller(ctx)
	form := presented(ctx)
	return store.RedeemAuthorizationCodeParams{
		Code: digestOf(code), ClientID: client, ClientAuthMethod: method, RedirectURI: optional(form.Get("redirect_uri")),
		CodeChallenge: challengeOf(row, form), AccessTokenID: memoryOf(ctx).accessTokenID,
		DefaultScopes: s.opts.Scopes, DefaultResources: s.opts.Audience,
	}, row, nil
}

func (s *Store) redeem(ctx context.Context, tx transaction) error {
	p, row, err := s.redemption(ctx, tx.code)
	if err != nil {
		return err
	}
	if !sameSet(tx.request.GetGrantedScopes(), row.GrantedScopes) || !sameSet(tx.request.GetGrantedAudience(), row.Resources) {
		return fosite.ErrMisconfiguration.WithHint("What a code gives was decided when it was issued.")
	}
	session := tx.request.GetSession()
	if p.Data, err = memoryOf(ctx).changed(session); err != nil {
		return err
	}
	p.AccessToken, p.AccessTokenLifetime = new(digestOf(tx.access)), lifetime(session, fosite.AccessToken)
	if tx.refresh != "" {
		p.RefreshTokenID, p.RefreshToken = new(memoryOf(ctx).refreshTokenID), new(digestOf(tx.refresh))
		p.RefreshTokenLifetime, p.FamilyLifetime = refreshLifetime(session), s.opts.FamilyLifetime
	}
	answer, err := s.queries.RedeemAuthorizationCode(ctx, p)
	if err != nil {
		return s.fault(ctx, err)
	}
	s.tellReplay(ctx, answer.Outcome, "authorization code", answer.AuthorizationID, p.ClientID)
	if err := refused(oautherror.Token, oautherror.RedeemAuthorizationCode, answer.Outcome); err != nil {
		return err
	}
	tell(ctx, p.AccessTokenLifetime, answer.AccessTokenExpiresAt, answer.Sub, answer.RefreshTokenID != nil)
	return nil
}

// refreshLifetime is that of a refresh token. The library gives it no end where fosite.Config.RefreshTokenLifespan is -1.
func refreshLifetime(session fosite.Session) time.Duration {
	if l := lifetime(session, fosite.RefreshToken); l != 0 {
		return l
	}
	return store.Never
}

func (s *Store) tellReplay(ctx context.Context, outcome store.Outcome, what string, family *store.AuthorizationID, client store.ClientID) {
	if outcome == store.OutcomeReplayed {
		s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, what+" replayed: its family is ended",
			slog.String("authorization_id", string(deref(family))), slog.String("client_id", string(client)))
	}
}

// tell corrects what the library is about to answer: an access token that ends sooner than it was asked for, the subject by which the
// client knows the user, and a refresh token that was not written.
func tell(ctx context.Context, asked time.Duration, ends *time.Time, sub *store.Subject, hasRefreshToken bool) {
	if r, ok := ctx.Value(fosite.AccessResponseContextKey).(*fosite.AccessResponse); ok {
		if left := time.Until(deref(ends)); ends != nil && left < asked-time.Second {
			r.SetExpiresIn(left)
		}
		if !hasRefreshToken {
			delete(r.Extra, "refresh_token")
		}
	}
	if r := accessRequest(ctx); r != nil && sub != nil {
		setSubject(r.GetSession(), string(*sub))
	}
}

func (s *Store) rotate(ctx context.Context, tx transaction) error {
	m := memoryOf(ctx)
	p := s.rotation(ctx, tx.refreshed)
	session := tx.request.GetSession()
	p.Successor, p.SuccessorID = digestOf(tx.refresh), m.refreshTokenID
	p.AccessToken, p.AccessTokenID = new(digestOf(tx.access)), m.accessTokenID
	p.AccessTokenLifetime, p.RefreshTokenLifetime = lifetime(session, fosite.AccessToken), refreshLifetime(session)
	p.Scopes, p.Resources = tx.request.GetGrantedScopes(), tx.request.GetGrantedAudience()
	if s.successors != nil {
		p.Grace = s.opts.Grace
	}
	var err error
	if p.Data, err = m.changed(session); err != nil {
		return err
	}
	answer, err := s.queries.RotateRefreshToken(ctx, p)
	if err != nil {
		return s.fault(ctx, err)
	}
	s.tellReplay(ctx, answer.Outcome, "refresh token", answer.AuthorizationID, p.ClientID)
	if err := refused(oautherror.Token, oautherror.RotateRefreshToken, answer.Outcome); err != nil {
		return fosite.ErrInactiveToken.WithWrap(err) // which the library knows, unlike invalid_grant
	}
	if answer.Successor == nil || *answer.Successor != p.Successor {
		// A retry, whose answer would be a token that this server can't give again.
		return fosite.ErrSerializationFailure.WithHint("The refresh token was replaced by another request.")
	}
	tell(ctx, p.AccessTokenLifetime, answer.AccessTokenExpiresAt, answer.Sub, true)
	return nil
}

func (s *Store) rotation(ctx context.Context, signature string) store.RotateRefreshTokenParams {
	client, method := caller(ctx)
	return store.RotateRefreshTokenParams{
		Token: digestOf(signature), ClientID: client, ClientAuthMethod: method, DefaultScopes: s.opts.Scopes, DefaultResources: s.opts.Audience,
	}
}

// issue gives a client a token for itself.
func (s *Store) issue(ctx context.Context, signature string, request fosite.Requester) error {
	client, method := caller(ctx)
	session := request.GetSession()
	data, err := keep(session, true)
	if err != nil {
		return fosite.ErrMisconfiguration.WithHint(err.Error())
	}
	p := store.IssueAccessTokenParams{
		ID: memoryOf(ctx).accessTokenID, AccessToken: new(digestOf(signature)), ClientID: client, ClientAuthMethod: method,
		Scopes: request.GetGrantedScopes(), DefaultScopes: s.opts.Scopes, Resources: request.GetGrantedAudience(), DefaultResources: s.opts.Audience,
		Lifetime: lifetime(session, fosite.AccessToken), Data: data,
	}
	if g, ok := session.(grantedIn); ok {
		if _, tenant := g.GrantedIn(); tenant != "" {
			p.ReferenceID = &tenant
		}
	}
	row, err := s.queries.IssueAccessToken(ctx, p)
	if err != nil {
		return s.fault(ctx, err)
	}
	if err := refused(oautherror.Token, oautherror.IssueAccessToken, row.Outcome); err != nil {
		return err
	}
	tell(ctx, p.Lifetime, row.ExpiresAt, nil, false)
	return nil
}

// ownToken is before the id of an access token that has no family, in the id of its request.
const ownToken = "access_token:"

// GetAccessTokenSession returns what a live access token was issued for: [store.Queries.IntrospectAccessToken], and [store.Queries.GetClient]
// where it is not asked about by the client itself. A token that is bound to a key is not found: the library takes every token for a
// bearer token.
func (s *Store) GetAccessTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	client, method, secret, err := inquirer(ctx)
	if err != nil {
		return nil, err
	}
	row, err := s.queries.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{
		Token: digestOf(signature), ClientID: client, ClientAuthMethod: method, ClientSecret: secret,
	})
	switch {
	case err != nil:
		return nil, s.fault(ctx, err)
	case answered(ctx, oautherror.IntrospectAccessToken, row.Outcome) != nil, row.Outcome != store.OutcomeActive, row.Confirmation != nil:
		return nil, fosite.ErrNotFound
	}
	id := ownToken + string(deref(row.ID))
	if row.AuthorizationID != nil {
		id = string(*row.AuthorizationID)
	}
	err = hydrate(session, row.Data, held{
		subject: string(deref(row.Sub)), user: row.UserID, session: row.SessionID, reference: row.ReferenceID,
		authTime: row.AuthTime, acr: row.ACR, amr: row.AMR, ends: map[fosite.TokenType]*time.Time{fosite.AccessToken: row.ExpiresAt},
	})
	if err != nil {
		return nil, err
	}
	return s.issued(ctx, id, *row.ClientID, session, *row.IssuedAt, row.Scopes, row.Resources)
}

// issued is a token as the library sees it. A session says that it will look at the client.
func (s *Store) issued(ctx context.Context, id string, clientID store.ClientID, session fosite.Session, at time.Time, scopes, audience []string) (fosite.Requester, error) {
	var client fosite.Client = s.clientOf(ctx, clientID)
	if session != nil && accessRequest(ctx) == nil {
		var err error
		if client, err = s.GetClient(ctx, string(clientID)); err != nil {
			return nil, err
		}
	}
	return &fosite.Request{
		ID: id, RequestedAt: at, Client: client, Session: session, Form: url.Values{},
		RequestedScope: scopes, GrantedScope: scopes, RequestedAudience: audience, GrantedAudience: audience,
	}, nil
}

// GetRefreshTokenSession returns what a refresh token was issued for: [store.Queries.IntrospectRefreshToken]. For one that isn't live it asks
// [store.Queries.FindRefreshTokenByToken]: if the token is spent it comes with fosite.ErrInactiveToken, or without it where a refresh may
// be a client's retry ([store.Queries.GetAuthorization] then says for what it was issued). It decides nothing: Commit does.
func (s *Store) GetRefreshTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	client, method, secret, err := inquirer(ctx)
	if err != nil {
		return nil, err
	}
	row, err := s.queries.IntrospectRefreshToken(ctx, store.IntrospectRefreshTokenParams{
		Token: digestOf(signature), ClientID: client, ClientAuthMethod: method, ClientSecret: secret,
	})
	switch {
	case err != nil:
		return nil, s.fault(ctx, err)
	case answered(ctx, oautherror.IntrospectRefreshToken, row.Outcome) != nil:
		return nil, fosite.ErrNotFound
	case row.Outcome != store.OutcomeActive:
		return s.inactive(ctx, signature, session)
	case row.Confirmation != nil:
		return nil, fosite.ErrNotFound
	}
	err = hydrate(session, row.Data, held{
		subject: string(deref(row.Sub)), user: row.UserID, session: row.SessionID, reference: row.ReferenceID,
		authTime: row.AuthTime, acr: row.ACR, amr: row.AMR,
		ends: map[fosite.TokenType]*time.Time{fosite.RefreshToken: row.ExpiresAt, fosite.AccessToken: nil},
	})
	if err != nil {
		return nil, err
	}
	m := memoryOf(ctx)
	m.looked, m.kept = true, row.Data
	return s.issued(ctx, string(*row.AuthorizationID), *row.ClientID, session, *row.IssuedAt, row.Scopes, row.Resources)
}

func (s *Store) inactive(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	row, err := s.queries.FindRefreshTokenByToken(ctx, digestOf(signature))
	switch {
	case db.IsNotFound(err):
		return nil, fosite.ErrNotFound
	case err != nil:
		return nil, s.fault(ctx, err)
	case row.Revoked == nil: // expired, or its grant has ended
		return nil, fosite.ErrNotFound
	}
	r := &fosite.Request{
		ID: string(row.AuthorizationID), RequestedAt: row.CreatedAt, Client: s.clientOf(ctx, row.ClientID), Session: session, Form: url.Values{},
		RequestedScope: row.Scopes, GrantedScope: row.Scopes, RequestedAudience: row.Resources, GrantedAudience: row.Resources,
	}
	m := memoryOf(ctx)
	m.spent, m.successor = signature, row.Successor
	if s.successors == nil || row.Successor == nil || accessRequest(ctx) == nil {
		return r, fosite.ErrInactiveToken
	}
	family, err := s.queries.GetAuthorization(ctx, row.AuthorizationID)
	switch {
	case db.IsNotFound(err):
		return r, fosite.ErrInactiveToken
	case err != nil:
		return nil, s.fault(ctx, err)
	}
	h := heldBy(family)
	h.ends = map[fosite.TokenType]*time.Time{fosite.RefreshToken: nil, fosite.AccessToken: nil}
	if deref(r.Client.(*Client).row.SubjectType) != "pairwise" {
		h.subject = string(row.UserID) // else Commit says it
	}
	data := family.Data
	if row.Data != nil {
		data = row.Data
	}
	m.looked, m.kept = true, data
	return r, hydrate(session, data, h)
}

// DeleteAccessTokenSession revokes a single access token: [store.Queries.FindAccessTokenByToken], [store.Queries.RevokeToken].
func (s *Store) DeleteAccessTokenSession(ctx context.Context, signature string) error {
	row, err := s.queries.FindAccessTokenByToken(ctx, digestOf(signature))
	switch {
	case db.IsNotFound(err):
		return fosite.ErrNotFound
	case err != nil:
		return s.fault(ctx, err)
	}
	return s.revokeToken(ctx, digestOf(signature), row.ClientID)
}

func (s *Store) revokeToken(ctx context.Context, digest token.Digest, client store.ClientID) error {
	_, err := s.queries.RevokeToken(ctx, store.RevokeTokenParams{Token: digest, ClientID: client, ClientAuthMethod: "verified"})
	if err != nil {
		return s.fault(ctx, err)
	}
	return nil
}

// DeleteRefreshTokenSession is what the library calls first when a spent refresh token came back. [store.Queries.RotateRefreshToken]
// decides, at once and on the pool: it ends the family, unless the token is another client's. Elsewhere the method ends the family of
// the token: [store.Queries.FindRefreshTokenByToken], [store.Queries.RevokeToken].
func (s *Store) DeleteRefreshTokenSession(ctx context.Context, signature string) error {
	m := memoryOf(ctx)
	if tx := transactionOf(ctx); tx != nil && m.spent == signature {
		tx.decided = true
		p := s.rotation(ctx, signature)
		// Of a spent token nothing is issued: these are required, and not used.
		p.Successor, p.SuccessorID = token.Mint(token.RefreshToken).Digest(), m.refreshTokenID
		p.AccessToken, p.AccessTokenID = new(token.Mint(token.AccessToken).Digest()), m.accessTokenID
		p.AccessTokenLifetime, p.RefreshTokenLifetime = time.Second, time.Second
		answer, err := s.queries.RotateRefreshToken(ctx, p)
		if err != nil {
			return s.fault(ctx, err)
		}
		s.tellReplay(ctx, answer.Outcome, "refresh token", answer.AuthorizationID, p.ClientID)
		return nil
	}
	row, err := s.queries.FindRefreshTokenByToken(ctx, digestOf(signature))
	switch {
	case db.IsNotFound(err):
		return fosite.ErrNotFound
	case err != nil:
		return s.fault(ctx, err)
	}
	return s.revokeToken(ctx, digestOf(signature), row.ClientID)
}

// RevokeRefreshToken ends the family of a request: [store.Queries.RevokeAuthorization]. Where the library calls it because a code came back,
// [store.Queries.RedeemAuthorizationCode] decides, which compares client, verifier and redirect URI first; where a refresh token did,
// DeleteRefreshTokenSession has decided.
func (s *Store) RevokeRefreshToken(ctx context.Context, requestID string) error {
	if strings.HasPrefix(requestID, ownToken) {
		return fosite.ErrNotFound
	}
	return s.end(ctx, store.AuthorizationID(requestID))
}

// RevokeAccessToken ends the family of a request, as RevokeRefreshToken does, or a client's own token: [store.Queries.GetAccessToken],
// [store.Queries.RevokeAccessTokenByID].
func (s *Store) RevokeAccessToken(ctx context.Context, requestID string) error {
	id, own := strings.CutPrefix(requestID, ownToken)
	if !own {
		return s.end(ctx, store.AuthorizationID(requestID))
	}
	row, err := s.queries.GetAccessToken(ctx, store.AccessTokenID(id))
	switch {
	case db.IsNotFound(err):
		return fosite.ErrNotFound
	case err != nil:
		return s.fault(ctx, err)
	}
	_, err = s.queries.RevokeAccessTokenByID(ctx, store.RevokeAccessTokenByIDParams{
		ID: row.ID, ClientID: row.ClientID, ClientAuthMethod: "verified",
	})
	if err != nil {
		return s.fault(ctx, err)
	}
	return nil
}

func (s *Store) end(ctx context.Context, id store.AuthorizationID) error {
	m, x := memoryOf(ctx), exchangeFrom(ctx)
	switch tx := transactionOf(ctx); {
	case m.ended == id || x != nil && x.ended == id || tx != nil && tx.decided:
		return nil
	case accessRequest(ctx) != nil && m.authorization.ID == id && m.authorization.RedeemedAt != nil:
		p, _, err := s.redemption(ctx, m.code)
		if err != nil {
			return err
		}
		p.AccessTokenLifetime = time.Second // required, and not used
		p.AccessToken = new(token.Mint(token.AccessToken).Digest())
		answer, err := s.queries.RedeemAuthorizationCode(ctx, p)
		if err != nil {
			return s.fault(ctx, err)
		}
		s.tellReplay(ctx, answer.Outcome, "authorization code", answer.AuthorizationID, p.ClientID)
	default:
		if _, err := s.queries.RevokeAuthorization(ctx, id); err != nil {
			return s.fault(ctx, err)
		}
	}
	m.ended = id
	if x != nil {
		x.ended = id
	}
	return nil
}

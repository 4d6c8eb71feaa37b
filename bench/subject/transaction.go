package subject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// What a server that decides in Go finds out about a request.
var (
	errUnknown    = errors.New("no such row")
	errExpired    = errors.New("expired")
	errRevoked    = errors.New("revoked")
	errDisabled   = errors.New("the client is disabled")
	errMismatched = errors.New("presented by another client, or with another redirect_uri or challenge")
	errSpent      = errors.New("presented before: the family is revoked")
	errLive       = errors.New("live, and should not be")
)

// NewTransaction is the usual way with pgx, by a team that knows about races: in one transaction, read what is decided upon FOR UPDATE,
// decide in Go, and write, on the tables of this project.
func NewTransaction() Subject { return transaction{} }

type transaction struct{}

func (transaction) Name() string { return "tx-lock" }

func (transaction) Describe() string {
	return "pgx: read with SELECT ... FOR UPDATE, decide in Go, write, in one transaction; a statement for each table"
}

func (transaction) Race(w Work) string {
	if w == Rotate {
		return "of requests with one token, the first gets the next one, and the others end the grant: to a server that knows no retries, a repeated request is theft"
	}
	return ""
}

// peerWorks are those that the peers are compared at. To a server that reads the token, decides and writes, a retry is a reuse.
var peerWorks = []Work{IntrospectHit, IntrospectMiss, Redeem, Rotate}

func (transaction) Supports(w Work) bool { return slices.Contains(peerWorks, w) }

func (transaction) Open(ctx context.Context, url string, conns int) (Session, error) {
	pool, err := openPgx(ctx, url, conns)
	if err != nil {
		return nil, err
	}
	return &transactionSession{pool}, nil
}

type transactionSession struct{ pool *pgxpool.Pool }

func (s *transactionSession) Close() { s.pool.Close() }

func (s *transactionSession) Do(ctx context.Context, w Work, c *Case) error {
	var err error
	switch w {
	case IntrospectHit:
		err = s.introspect(ctx, c)
	case IntrospectMiss:
		err = wantError(s.introspect(ctx, c), errUnknown)
	case Redeem:
		err = s.redeem(ctx, c)
	case Rotate:
		err = s.rotate(ctx, c)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w, err)
	}
	return nil
}

// wantError turns an outcome that is asked for into success, and its absence into an error.
func wantError(err, want error) error {
	switch {
	case err == nil:
		return errLive
	case errors.Is(err, want):
		return nil
	default:
		return err
	}
}

// found is the error of a row that has to be there.
func found(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errUnknown
	}
	return err
}

func (s *transactionSession) introspect(ctx context.Context, c *Case) error {
	var (
		id            store.AccessTokenID
		client        store.ClientID
		user          *store.UserID
		session       *store.SessionID
		authorization *store.AuthorizationID
		scopes        []string
		resources     []string
		created       time.Time
		expires       *time.Time
		revoked       *time.Time
	)
	err := s.pool.QueryRow(ctx, `
		SELECT id, client_id, user_id, session_id, authorization_id, scopes, resources, created_at, expires_at, revoked
		FROM oauth_access_token
		WHERE token = $1`, c.Presented).
		Scan(&id, &client, &user, &session, &authorization, &scopes, &resources, &created, &expires, &revoked)
	switch {
	case err != nil:
		return found(err)
	case revoked != nil:
		return errRevoked
	case past(expires, time.Now()):
		return errExpired
	}

	var disabled bool
	err = s.pool.QueryRow(ctx, `SELECT disabled FROM oauth_client WHERE client_id = $1`, client).Scan(&disabled)
	switch {
	case err != nil:
		return found(err)
	case disabled:
		return errDisabled
	}

	if authorization != nil {
		var authTime *time.Time
		var acr *string
		var amr []string
		err = s.pool.QueryRow(ctx, `SELECT revoked_at, auth_time, acr, amr FROM oauth_authorization WHERE id = $1`, *authorization).
			Scan(&revoked, &authTime, &acr, &amr)
		switch {
		case err != nil:
			return found(err)
		case revoked != nil:
			return errRevoked
		}
	}

	if user != nil {
		var username string
		err = s.pool.QueryRow(ctx, `SELECT email FROM "user" WHERE id = $1`, *user).Scan(&username)
		if err != nil {
			return found(err)
		}
	}
	if client != c.ClientID {
		return errMismatched
	}
	return nil
}

// past reports whether an instant is over; nil never is.
func past(t *time.Time, now time.Time) bool { return t != nil && !t.After(now) }

// tokenClient is what a token endpoint reads of a client.
type tokenClient struct {
	disabled     bool
	secret       *token.Digest
	authMethod   *string
	grantTypes   []string
	redirectURIs []string
}

func findTokenClient(ctx context.Context, tx pgx.Tx, id store.ClientID) (tokenClient, error) {
	var c tokenClient
	err := tx.QueryRow(ctx, `
		SELECT disabled, client_secret, token_endpoint_auth_method, grant_types, redirect_uris
		FROM oauth_client
		WHERE client_id = $1`, id).
		Scan(&c.disabled, &c.secret, &c.authMethod, &c.grantTypes, &c.redirectURIs)
	return c, found(err)
}

// grant is what tokens inherit from the code or the token that they are issued for.
type grant struct {
	authorization store.AuthorizationID
	client        store.ClientID
	user          store.UserID
	session       *store.SessionID
	reference     *store.ReferenceID
	scopes        []string
	resources     []string
	authTime      *time.Time
}

func (s *transactionSession) redeem(ctx context.Context, c *Case) error {
	var refused error // decided, and committed, rather than failed
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var (
			g                   grant
			redirectURI         *string
			challenge           *string
			codeExpires         *time.Time
			redeemed, revoked   *time.Time
			now                 = time.Now()
			accessTokenExpires  = now.Add(AccessTokenLifetime)
			refreshTokenExpires = now.Add(RefreshTokenLifetime)
		)
		err := tx.QueryRow(ctx, `
			SELECT id, client_id, user_id, session_id, reference_id, granted_scopes, resources, auth_time, redirect_uri, code_challenge,
				code_expires_at, redeemed_at, revoked_at
			FROM oauth_authorization
			WHERE code = $1 FOR UPDATE`, c.Presented).
			Scan(&g.authorization, &g.client, &g.user, &g.session, &g.reference, &g.scopes, &g.resources, &g.authTime, &redirectURI,
				&challenge, &codeExpires, &redeemed, &revoked)
		if err != nil {
			return found(err)
		}
		client, err := findTokenClient(ctx, tx, c.ClientID)
		if err != nil {
			return err
		}
		switch {
		case g.client != c.ClientID,
			challenge == nil || *challenge != c.CodeChallenge,
			redirectURI == nil || *redirectURI != c.RedirectURI:
			return errMismatched
		case redeemed != nil:
			refused = errSpent
			return revokeFamily(ctx, tx, g.authorization, store.RevocationReasonCodeReplayed, now)
		case revoked != nil:
			return errRevoked
		case client.disabled:
			return errDisabled
		case past(codeExpires, now):
			return errExpired
		}

		if _, err := tx.Exec(ctx, `
			UPDATE oauth_authorization
			SET redeemed_at = $2, expires_at = NULL, max_expires_at = $3, updated_at = $2
			WHERE id = $1`, g.authorization, now, now.Add(FamilyLifetime)); err != nil {
			return err
		}
		return issue(ctx, tx, c, &g, accessTokenExpires, refreshTokenExpires)
	})
	if err != nil {
		return err
	}
	return refused
}

// issue writes a refresh and an access token.
func issue(ctx context.Context, tx pgx.Tx, c *Case, g *grant, accessTokenExpires, refreshTokenExpires time.Time) error {
	if _, err := tx.Exec(ctx, `
		INSERT INTO oauth_refresh_token (
			id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_id, auth_time, resources
		)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		c.RefreshTokenID, c.RefreshToken, g.client, g.session, g.user, g.reference, refreshTokenExpires, g.scopes, g.authorization,
		g.authTime, g.resources); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO oauth_access_token (
			id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, authorization_id, resources
		)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		c.AccessTokenID, c.AccessToken, g.client, g.session, g.user, g.reference, c.RefreshTokenID, accessTokenExpires, g.scopes,
		g.authorization, g.resources)
	return err
}

func revokeFamily(ctx context.Context, tx pgx.Tx, id store.AuthorizationID, reason store.RevocationReason, now time.Time) error {
	_, err := tx.Exec(ctx, `
		UPDATE oauth_authorization
		SET revoked_at = $2, revoked_reason = $3, updated_at = $2
		WHERE id = $1 AND revoked_at IS NULL`, id, now, reason)
	return err
}

func (s *transactionSession) rotate(ctx context.Context, c *Case) error {
	var refused error // decided, and committed, rather than failed
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var (
			id                  store.RefreshTokenID
			g                   grant
			expires, spent      *time.Time
			familyEnds, revoked *time.Time
			now                 = time.Now()
			accessTokenExpires  = now.Add(AccessTokenLifetime)
			refreshTokenExpires = now.Add(RefreshTokenLifetime)
		)
		err := tx.QueryRow(ctx, `
			SELECT id, client_id, user_id, session_id, reference_id, scopes, resources, auth_time, authorization_id, expires_at, revoked
			FROM oauth_refresh_token
			WHERE token = $1 FOR UPDATE`, c.Presented).
			Scan(&id, &g.client, &g.user, &g.session, &g.reference, &g.scopes, &g.resources, &g.authTime, &g.authorization, &expires, &spent)
		if err != nil {
			return found(err)
		}
		client, err := findTokenClient(ctx, tx, c.ClientID)
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT max_expires_at, revoked_at FROM oauth_authorization WHERE id = $1`, g.authorization).
			Scan(&familyEnds, &revoked)
		if err != nil {
			return found(err)
		}
		switch {
		case g.client != c.ClientID:
			return errMismatched
		case revoked != nil:
			return errRevoked
		case spent != nil:
			refused = errSpent
			return revokeFamily(ctx, tx, g.authorization, store.RevocationReasonRefreshTokenReused, now)
		case client.disabled:
			return errDisabled
		case past(expires, now):
			return errExpired
		}

		if familyEnds != nil && familyEnds.Before(refreshTokenExpires) {
			refreshTokenExpires = *familyEnds
		}
		if _, err := tx.Exec(ctx, `
			UPDATE oauth_refresh_token
			SET revoked = $2, successor = $3, successor_id = $4, updated_at = $2
			WHERE id = $1`, id, now, c.RefreshToken, c.RefreshTokenID); err != nil {
			return err
		}
		return issue(ctx, tx, c, &g, accessTokenExpires, refreshTokenExpires)
	})
	if err != nil {
		return err
	}
	return refused
}

package subject

import (
	"context"
	"errors"
	"fmt"
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
	errMismatched = errors.New("presented by another client")
	errSpent      = errors.New("presented before: the family is revoked")
	errLive       = errors.New("live, and should not be")
)

// Transaction is the usual way with pgx, by a team that knows about races: in one transaction, read what is decided upon FOR UPDATE,
// decide in Go, and write, on the tables of this project.
var Transaction = Subject{
	"tx-lock", "pgx: read with SELECT ... FOR UPDATE, decide in Go, write, in one transaction; a statement for each table. Of requests with one refresh " +
		"token, the first gets the next one, and the others end the grant: to a server that knows no retries, a repeated request is theft",
	[]Work{IntrospectHit, IntrospectMiss, Rotate},
	func(ctx context.Context, url string, conns int) (Session, error) {
		pool, err := pgxpool.New(ctx, fmt.Sprintf("%s&pool_max_conns=%d", url, conns))
		if pool, err = filled(ctx, pool, err); err != nil {
			return nil, err
		}
		return &transactionSession{pool}, nil
	},
}

type transactionSession struct{ pool *pgxpool.Pool }

func (s *transactionSession) Close() { s.pool.Close() }

func (s *transactionSession) Do(ctx context.Context, w Work, c *Case) error {
	switch w {
	case IntrospectHit:
		return s.introspect(ctx, c)
	case IntrospectMiss:
		return wantError(s.introspect(ctx, c), errUnknown)
	case Rotate:
		return s.rotate(ctx, c)
	}
	return ErrUnsupported
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

func (s *transactionSession) rotate(ctx context.Context, c *Case) error {
	var refused error // decided, and committed, rather than failed
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var (
			// What the tokens inherit.
			id            store.RefreshTokenID
			authorization store.AuthorizationID
			client        store.ClientID
			user          store.UserID
			session       *store.SessionID
			reference     *store.ReferenceID
			scopes        []string
			resources     []string
			authTime      *time.Time
			// What is decided upon.
			expires, spent      *time.Time
			familyEnds, revoked *time.Time
			disabled            bool
			clientSecret        *token.Digest
			authMethod          *string
			grantTypes          []string
			now                 = time.Now()
			refreshTokenExpires = now.Add(RefreshTokenLifetime)
		)
		err := tx.QueryRow(ctx, `
			SELECT id, client_id, user_id, session_id, reference_id, scopes, resources, auth_time, authorization_id, expires_at, revoked
			FROM oauth_refresh_token
			WHERE token = $1 FOR UPDATE`, c.Presented).
			Scan(&id, &client, &user, &session, &reference, &scopes, &resources, &authTime, &authorization, &expires, &spent)
		if err != nil {
			return found(err)
		}
		err = tx.QueryRow(ctx, `
			SELECT disabled, client_secret, token_endpoint_auth_method, grant_types
			FROM oauth_client
			WHERE client_id = $1`, c.ClientID).Scan(&disabled, &clientSecret, &authMethod, &grantTypes)
		if err != nil {
			return found(err)
		}
		err = tx.QueryRow(ctx, `SELECT max_expires_at, revoked_at FROM oauth_authorization WHERE id = $1`, authorization).Scan(&familyEnds, &revoked)
		if err != nil {
			return found(err)
		}
		switch {
		case client != c.ClientID:
			return errMismatched
		case revoked != nil:
			return errRevoked
		case spent != nil:
			refused = errSpent
			_, err := tx.Exec(ctx, `
				UPDATE oauth_authorization
				SET revoked_at = $2, revoked_reason = $3, updated_at = $2
				WHERE id = $1 AND revoked_at IS NULL`, authorization, now, store.RevocationReasonRefreshTokenReused)
			return err
		case disabled:
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
		if _, err := tx.Exec(ctx, `
			INSERT INTO oauth_refresh_token (
				id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_id, auth_time, resources
			)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			c.RefreshTokenID, c.RefreshToken, client, session, user, reference, refreshTokenExpires, scopes, authorization, authTime,
			resources); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO oauth_access_token (
				id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, authorization_id, resources
			)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			c.AccessTokenID, c.AccessToken, client, session, user, reference, c.RefreshTokenID, now.Add(AccessTokenLifetime), scopes,
			authorization, resources)
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

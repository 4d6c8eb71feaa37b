package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

var tokenCommands = []command{tokenShowCommand, tokenRevokeCommand}

// tokenRecord is an access or refresh token as commands print it: never the token, nor its digest.
type tokenRecord struct {
	Kind            store.TokenKind        `json:"kind"`
	TokenID         string                 `json:"token_id"`
	Live            bool                   `json:"live"`
	ClientID        store.ClientID         `json:"client_id"`
	UserID          *store.UserID          `json:"user_id"`
	SessionID       *store.SessionID       `json:"session_id"`
	AuthorizationID *store.AuthorizationID `json:"authorization_id"`
	Scopes          []string               `json:"scopes"`
	CreatedAt       time.Time              `json:"created_at"`
	ExpiresAt       *time.Time             `json:"expires_at"`
	RevokedAt       *time.Time             `json:"revoked_at"` // of a refresh token that was rotated, too
}

func (r tokenRecord) text(w io.Writer) {
	live := "no"
	if r.Live {
		live = "yes"
	}
	fields(w,
		"kind", string(r.Kind), "token_id", printable(r.TokenID), "live", live, "client_id", printable(string(r.ClientID)), "user_id", optional(r.UserID),
		"session_id", optional(r.SessionID), "authorization_id", optional(r.AuthorizationID), "scopes", printable(strings.Join(r.Scopes, " ")),
		"created", timeText(r.CreatedAt), "expires", optionalTime(r.ExpiresAt), "revoked", optionalTime(r.RevokedAt),
	)
}

// presentedToken reads a token of either kind from a file.
func presentedToken(c console, file string) (token.Digest, error) {
	content, err := readFile(c, file, 64<<10)
	if err != nil {
		return "", err
	}
	text := string(bytes.TrimRight(content, "\r\n"))
	kind := token.AccessToken
	if k, ok := token.KindOf(text); ok && k == token.RefreshToken {
		kind = k
	}
	raw, err := token.ParseForeign(kind, text)
	if wrong := (token.KindError{}); errors.As(err, &wrong) && wrong.Got == token.SessionToken {
		return "", usage("%s: this is a session's cookie: 'oauthdb session show -cookie' finds it", file)
	}
	if err != nil {
		return "", usage("%s: %w", file, err)
	}
	return raw.Digest(), nil
}

// findToken finds a token in any state.
func findToken(ctx context.Context, q *store.Queries, digest token.Digest) (tokenRecord, error) {
	r, err := q.FindRefreshTokenByToken(ctx, digest)
	if err == nil {
		return tokenRecord{
			Kind: store.TokenKindRefreshToken, TokenID: string(r.ID), ClientID: r.ClientID, UserID: &r.UserID, SessionID: r.SessionID, AuthorizationID: &r.AuthorizationID,
			Scopes: r.Scopes, CreatedAt: utc(r.CreatedAt), ExpiresAt: optionalUTC(r.ExpiresAt), RevokedAt: optionalUTC(r.Revoked),
		}, nil
	}
	if !db.IsNotFound(err) {
		return tokenRecord{}, err
	}
	t, err := q.FindAccessTokenByToken(ctx, digest)
	if db.IsNotFound(err) {
		return tokenRecord{}, notFound("no such token: it was never issued here, or the collector has deleted it; of a JWT, revoke the authorization that it names")
	}
	return tokenRecord{
		Kind: store.TokenKindAccessToken, TokenID: string(t.ID), ClientID: t.ClientID, UserID: t.UserID, SessionID: t.SessionID, AuthorizationID: t.AuthorizationID,
		Scopes: t.Scopes, CreatedAt: utc(t.CreatedAt), ExpiresAt: optionalUTC(t.ExpiresAt), RevokedAt: optionalUTC(t.Revoked),
	}, err
}

var tokenShowCommand = command{
	name:    "token show",
	operand: "FILE",
	summary: "say whose an access or refresh token is, and whether it is live",
	details: "FILE has the token and nothing else; - is standard input.",
	record:  tokenRecord{},
	prepare: func(flags *flag.FlagSet) action {
		var r reading
		r.register(flags)
		return func(ctx context.Context, c console) error {
			digest, err := presentedToken(c, flags.Arg(0))
			if err != nil {
				return err
			}
			return r.run(ctx, c, func(q *store.Queries) error {
				found, err := findToken(ctx, q, digest)
				if err != nil {
					return err
				}
				row, err := q.IntrospectToken(ctx, store.IntrospectTokenParams{Token: digest, ClientAuthMethod: "server"})
				if err != nil {
					return err
				}
				found.Live = row.Outcome == store.OutcomeActive
				r.print(c.out, found)
				return nil
			})
		}
	},
}

var tokenRevokeCommand = command{
	name:    "token revoke",
	operand: "FILE",
	summary: "revoke a token that has leaked",
	details: `FILE has the token and nothing else; - is standard input. An access token is revoked alone, and 'grant revoke' ends what it is from. A
refresh token, also one that was rotated, ends its authorization and all its tokens.`,
	record: change{},
	prepare: func(flags *flag.FlagSet) action {
		var ch changing
		ch.register(flags)
		return func(ctx context.Context, c console) error {
			digest, err := presentedToken(c, flags.Arg(0))
			if err != nil {
				return err
			}
			return ch.run(ctx, c, func(ctx context.Context, q *store.Queries) (change, error) {
				found, err := findToken(ctx, q, digest)
				if err != nil {
					return change{}, err
				}
				// for the client that has it, whose operator this is
				row, err := q.RevokeToken(ctx, store.RevokeTokenParams{Token: digest, ClientID: found.ClientID, ClientAuthMethod: "verified"})
				if err != nil {
					return change{}, err
				}
				done := change{Outcome: row.Outcome, ClientID: found.ClientID, Says: "the access token is revoked; its authorization goes on"}
				if row.AuthorizationID != nil {
					done.AuthorizationID = *row.AuthorizationID
				}
				if found.UserID != nil {
					done.UserID = *found.UserID
				}
				switch {
				case row.Outcome == store.OutcomeRevoked:
					done.Says = "the token had been revoked before, or has expired"
				case row.Outcome != store.OutcomeEnded:
					return change{}, notFound("no such token (%s)", row.Outcome)
				case found.Kind == store.TokenKindRefreshToken:
					done.Says = "the authorization of the refresh token has ended, and all its tokens are dead"
				case found.AuthorizationID == nil:
					done.Says = "the access token is revoked"
				}
				return done, nil
			})
		}
	},
}

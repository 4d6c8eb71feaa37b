package importer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// betterAuthGranted reads whose and which client's a row is.
func (m *members) betterAuthGranted() (g granted, err error) {
	user, client, tenant := m.text("userId"), m.text("clientId"), m.text("referenceId")
	g.scopes, g.resources, g.at = m.words("scopes"), m.words("resources"), m.time("createdAt")
	if tenant != nil {
		g.tenant = new(store.ReferenceID(*tenant))
	}
	switch {
	case m.err != nil:
		return g, m.err
	case user == nil || client == nil:
		return g, errors.New("userId or clientId is missing")
	}
	g.user, g.client = store.UserID(*user), store.ClientID(*client)
	return g, nil
}

func betterAuthConsent(o map[string]json.RawMessage, _ BetterAuthOptions) Item {
	m := members{o: o}
	g, err := m.betterAuthGranted()
	if err != nil {
		return Item{ID: g.id(), Refused: err}
	}
	p := store.ImportConsentParams{
		ID: store.NewConsentID(), UserID: g.user, ClientID: g.client, ReferenceID: g.tenant, Scopes: g.scopes, Resources: g.resources, GrantedAt: g.at,
	}
	return Item{ID: g.id(), Single: true, Store: func(ctx context.Context, q *store.Queries) error {
		outcome, err := q.ImportConsent(ctx, p)
		if err != nil {
			return err
		}
		return became(ctx, q, g, outcome)
	}}
}

// betterAuthRefreshToken is a grant with its refresh tokens that haven't been rotated. By default better-auth stores the digests that
// oauthdb does.
func betterAuthRefreshToken(o map[string]json.RawMessage, options BetterAuthOptions) Item {
	m := members{o: o}
	name := m.text("name")
	var rows []map[string]json.RawMessage
	m.take("tokens", &rows)
	if name == nil || len(rows) == 0 || m.err != nil {
		return Item{Refused: errors.New("it isn't in better-auth's form")}
	}
	var p store.ImportRefreshTokenParams
	var g granted
	for _, row := range rows {
		r := members{o: row}
		stored, authenticated, expires, rotated := r.text("token"), r.time("authTime"), r.time("expiresAt"), r.time("rotatedAt")
		var confirmation *token.Confirmation
		r.take("confirmation", &confirmation)
		of, err := r.betterAuthGranted()
		if g = of; err == nil && stored == nil {
			err = errors.New("token is missing")
		}
		if err != nil {
			return Item{ID: g.id(), Refused: err}
		}
		if rotated != nil {
			continue
		}
		if !slices.Contains(g.scopes, "offline_access") {
			return Item{ID: g.id(), Refused: errors.New("it was granted without offline_access, so it ends with the session")}
		}
		digest, err := token.ParseDigest(*stored)
		if err != nil {
			return Item{ID: g.id(), Refused: errors.New("it is hashed in a way of the server's own")}
		}
		p.Tokens, p.AuthTime, p.Confirmation = append(p.Tokens, digest), authenticated, confirmation
		if p.ExpiresAt == nil || expires != nil && expires.Before(*p.ExpiresAt) {
			p.ExpiresAt = expires
		}
	}
	if len(p.Tokens) == 0 {
		return Item{ID: g.id(), Refused: errors.New("its tokens have been rotated")}
	}
	return betterAuthGrant(p, g, *name, options)
}

// betterAuthOlderToken is a grant of the older provider, which stores its refresh tokens in plain.
func betterAuthOlderToken(o map[string]json.RawMessage, options BetterAuthOptions) Item {
	m := members{o: o}
	id, plain, expires := m.text("id"), m.text("refreshToken"), m.time("refreshTokenExpiresAt")
	g, err := m.betterAuthGranted()
	if err == nil && (id == nil || plain == nil) {
		err = errors.New("id or refreshToken is missing")
	}
	if err != nil {
		return Item{ID: g.id(), Refused: err}
	}
	raw, err := token.ParseForeign(token.RefreshToken, *plain)
	if err != nil {
		return Item{ID: g.id(), Refused: errors.New("refreshToken is no token")}
	}
	return betterAuthGrant(store.ImportRefreshTokenParams{Tokens: token.Digests{raw.Digest()}, ExpiresAt: expires}, g, *id, options)
}

func betterAuthGrant(p store.ImportRefreshTokenParams, g granted, name string, options BetterAuthOptions) Item {
	p.ID, p.UserID, p.ClientID, p.ReferenceID = grantID(g, name), g.user, g.client, g.tenant
	p.Scopes, p.Resources, p.GrantedAt = g.scopes, g.resources, g.at
	p.RefreshTokenLifetime, p.FamilyLifetime = options.Lifetimes.RefreshToken, options.Lifetimes.Family
	return Item{ID: g.id(), Single: true, Store: func(ctx context.Context, q *store.Queries) error {
		outcome, err := q.ImportRefreshToken(ctx, p)
		if db.Violates(err, store.ConstraintOAuthRefreshTokenTokenUIdx, store.ConstraintOAuthRefreshTokenPKey) {
			return errPresent
		}
		if err != nil {
			return err
		}
		return became(ctx, q, g, outcome)
	}}
}

package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// grants are the parts of a provider's tables that refer to users and clients.
func (s betterAuthSchema) grants() []betterAuthPart {
	switch {
	case s.clients:
		return []betterAuthPart{{`
			SELECT to_jsonb(g) || jsonb_build_object('userId', g."userId"::text)
			FROM "oauthConsent" AS g
			WHERE g."userId" IS NOT NULL
			ORDER BY g.id`, betterAuthConsent}, {`
			SELECT jsonb_build_object(
				'id', min(r.id::text), 'code', r."authorizationCodeId", 'clientId', r."clientId", 'userId', r."userId"::text,
				'tokens', jsonb_agg(to_jsonb(r) ORDER BY r."createdAt")
			)
			FROM "oauthRefreshToken" AS r
			WHERE r.revoked IS NULL AND r."expiresAt" > now()
			GROUP BY coalesce(r."authorizationCodeId", r.id::text), r."authorizationCodeId", r."clientId", r."userId"
			ORDER BY coalesce(r."authorizationCodeId", r.id::text), r."clientId", r."userId"`, betterAuthFamily}}
	case s.applications:
		return []betterAuthPart{{`
			SELECT to_jsonb(g) || jsonb_build_object('userId', g."userId"::text)
			FROM "oauthConsent" AS g
			WHERE g."consentGiven"
			ORDER BY g.id`, betterAuthConsent}, {`
			SELECT to_jsonb(r) || jsonb_build_object('id', r.id::text, 'userId', r."userId"::text)
			FROM "oauthAccessToken" AS r
			WHERE r."refreshToken" IS NOT NULL AND r."refreshTokenExpiresAt" > now()
			ORDER BY r.id`, betterAuthOlderToken}}
	}
	return nil
}

// spaced reads a list, or a text with spaces between its words, as the older provider has it.
func (m *members) spaced(name string) []string {
	var list []string
	if raw := m.o[name]; len(raw) > 0 && raw[0] == '"' {
		if text := m.text(name); text != nil {
			list = strings.Fields(*text)
		}
		return list
	}
	m.take(name, &list)
	return list
}

func betterAuthConsent(o map[string]json.RawMessage, _ BetterAuthOptions) Item {
	m := members{o: o}
	client, user, tenant := m.text("clientId"), m.text("userId"), m.text("referenceId")
	scopes, granted := m.spaced("scopes"), m.instant("createdAt")
	var resources []string
	m.take("resources", &resources)
	if client == nil || user == nil || m.err != nil {
		return Item{Refused: errors.New("a consent is not in better-auth's form")}
	}
	p := store.ImportConsentParams{
		ID: store.NewConsentID(), ClientID: store.ClientID(*client), UserID: store.UserID(*user), Scopes: scopes, Resources: resources, GrantedAt: granted,
	}
	if tenant != nil {
		p.ReferenceID = new(store.ReferenceID(*tenant))
	}
	return Item{ID: "consent of " + *user + " for " + *client, Store: func(ctx context.Context, q *store.Queries) error {
		outcome, err := q.ImportConsent(ctx, p)
		return answered(outcome, err)
	}}
}

// betterAuthFamily is the grant of a code, with its refresh tokens that haven't been rotated.
func betterAuthFamily(o map[string]json.RawMessage, _ BetterAuthOptions) Item {
	m := members{o: o}
	id, code, client, user := m.text("id"), m.text("code"), m.text("clientId"), m.text("userId")
	var rows []map[string]json.RawMessage
	m.take("tokens", &rows)
	if id == nil || client == nil || user == nil || len(rows) == 0 || m.err != nil {
		return Item{Refused: errors.New("a refresh token is not in better-auth's form")}
	}
	if code == nil {
		code = id
	}
	refused := func(reason string) Item { return Item{ID: grantOf(*user, *client), Refused: errors.New(reason)} }
	p := store.ImportRefreshTokenParams{
		ID: familyOf(*code, *client, *user), ClientID: store.ClientID(*client), UserID: store.UserID(*user), RefreshTokenLifetime: store.Never, FamilyLifetime: store.Never,
	}
	for _, row := range rows {
		r := members{o: row}
		stored, tenant := r.text("token"), r.text("referenceId")
		scopes := r.spaced("scopes")
		var resources []string
		r.take("resources", &resources)
		expires, granted, authenticated := r.instant("expiresAt"), r.instant("createdAt"), r.instant("authTime")
		var confirmation *token.Confirmation
		r.take("confirmation", &confirmation)
		switch {
		case r.err != nil || stored == nil:
			return refused("a refresh token is not in better-auth's form")
		case r.instant("rotatedAt") != nil:
			continue
		case !slices.Contains(scopes, "offline_access"):
			return refused("it was granted without offline_access, so its tokens end with the session")
		}
		digest, err := token.ParseDigest(*stored)
		if err != nil {
			return refused("its refresh token is hashed in a way of the server's own")
		}
		p.Tokens = append(p.Tokens, digest)
		p.Scopes, p.Resources, p.AuthTime, p.Confirmation = scopes, resources, authenticated, confirmation
		if p.GrantedAt == nil {
			p.GrantedAt = granted
		}
		if p.ExpiresAt == nil || expires != nil && expires.After(*p.ExpiresAt) {
			p.ExpiresAt = expires
		}
		if tenant != nil {
			p.ReferenceID = new(store.ReferenceID(*tenant))
		}
	}
	if len(p.Tokens) == 0 {
		return refused("its refresh tokens have been rotated")
	}
	return betterAuthGrant(p)
}

// betterAuthOlderToken is a grant of the older provider, which stores its refresh tokens in plain.
func betterAuthOlderToken(o map[string]json.RawMessage, _ BetterAuthOptions) Item {
	m := members{o: o}
	id, plain, client, user := m.text("id"), m.text("refreshToken"), m.text("clientId"), m.text("userId")
	scopes, expires, granted := m.spaced("scopes"), m.instant("refreshTokenExpiresAt"), m.instant("createdAt")
	if id == nil || client == nil || m.err != nil {
		return Item{Refused: errors.New("a refresh token is not in better-auth's form")}
	}
	if user == nil {
		return Item{Refused: fmt.Errorf("a refresh token of %s has no user", *client)}
	}
	raw, err := token.ParseForeign(token.RefreshToken, *plain)
	if err != nil {
		return Item{ID: grantOf(*user, *client), Refused: errors.New("its refresh token is none")}
	}
	return betterAuthGrant(store.ImportRefreshTokenParams{
		ID: familyOf(*id, *client, *user), Tokens: token.Digests{raw.Digest()}, ClientID: store.ClientID(*client), UserID: store.UserID(*user), Scopes: scopes,
		GrantedAt: granted, ExpiresAt: expires, RefreshTokenLifetime: store.Never, FamilyLifetime: store.Never,
	})
}

func betterAuthGrant(p store.ImportRefreshTokenParams) Item {
	return Item{ID: grantOf(string(p.UserID), string(p.ClientID)), Store: func(ctx context.Context, q *store.Queries) error {
		outcome, err := q.ImportRefreshToken(ctx, p)
		return answered(outcome, err)
	}}
}

func grantOf(user, client string) string { return "grant of " + user + " to " + client }

// familyOf is the id of a grant that is imported, the same whenever it is.
func familyOf(code, client, user string) store.AuthorizationID {
	sum := sha256.Sum256(fmt.Appendf(nil, "better-auth\x00%s\x00%s\x00%s", code, client, user))
	return store.AuthorizationID("azn_" + hex.EncodeToString(sum[:16]))
}


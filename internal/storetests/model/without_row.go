package model

import (
	"cmp"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// The tokens that a grant begins with, and access tokens of which the database has no row.

// firstTokens is what is asked for when the first tokens of a family are issued.
type firstTokens struct {
	access         store.AccessTokenID
	accessDigest   *token.Digest
	accessLifetime time.Duration
	withoutRow     bool

	refresh         *store.RefreshTokenID // nil: none
	refreshDigest   *token.Digest
	refreshLifetime time.Duration
	familyLifetime  time.Duration

	resources []string
	key       *token.Confirmation
}

func (m *model) issueFirst(f *family, t firstTokens) {
	c := m.clients[f.client]
	access := &issued{
		id: string(t.access), digest: deref(t.accessDigest), pair: f.pair, reference: f.reference, family: f, session: f.session, codeID: &f.id,
		scopes: f.granted, resources: or(t.resources, f.resources), key: cmp.Or(t.key, f.key), withoutRow: t.withoutRow,
		expires: earliest(in(m.now, t.accessLifetime, c.accessLimit), f.sessionEnd()),
	}
	m.saw("an access token cut to its session", f.sessionEnd() != nil && same(access.expires, f.sessionEnd()))
	f.redeemedAs, f.redeemedAt, f.expires = t.access, m.now, nil
	if c.kind == "none" {
		f.key = cmp.Or(f.key, t.key)
	} else {
		f.key = nil
	}
	if t.refresh != nil || t.familyLifetime != 0 {
		f.limit = in(m.now, t.familyLifetime, 0)
		m.saw("a token cut to the family's limit", f.limit != nil && (access.expires == nil || f.limit.Before(*access.expires)))
		access.expires = earliest(access.expires, f.limit)
	}
	if t.refresh != nil {
		f.first = &issued{
			refresh: true, id: string(*t.refresh), digest: *t.refreshDigest, pair: f.pair, reference: f.reference, family: f,
			session: f.session, codeID: &f.id, scopes: f.granted, resources: f.resources, key: f.key,
			expires: earliest(in(m.now, t.refreshLifetime, 0), f.limit),
		}
		f.first.keepFor(access)
		m.tokens = append(m.tokens, f.first)
	} else if t.withoutRow {
		f.expires = access.expires
	}
	m.tokens = append(m.tokens, access)
}

// keepFor keeps a refresh token until an access token that has no row has expired.
func (t *issued) keepFor(access *issued) {
	if access.withoutRow && (t.keptUntil == nil || t.keptUntil.Before(*access.expires)) {
		t.keptUntil = access.expires
	}
}

// isInForce says whether resource servers are told that a family is live.
func (m *model) isInForce(f *family) bool {
	return m.familyIsLive(f) && !m.past(f.expires) && !m.past(f.limit)
}

package importer

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// ConsentFields are the columns of a CSV file, or the members of a JSON object, that say something of a consent. Others are ignored.
var ConsentFields = []string{"user_id", "client_id", "scope", "resources", "reference_id", "granted_at"}

// RefreshTokenFields are those of a refresh token.
var RefreshTokenFields = []string{
	"user_id", "client_id", "token", "token_digest", "scope", "resources", "reference_id", "granted_at", "auth_time", "expires_at", "grant_id",
}

// Lifetimes bound how long what is imported lasts, from now.
type Lifetimes struct {
	RefreshToken, Family time.Duration // store.Never for no bound
}

// Consents reads consents from JSON objects.
func Consents(r io.Reader) iter.Seq2[Item, error] { return mapped(objects(r), consent) }

// ConsentsCSV reads consents from CSV whose first row names the columns.
func ConsentsCSV(r io.Reader) iter.Seq2[Item, error] { return mapped(rows(r), consent) }

// RefreshTokens reads refresh tokens from JSON objects.
func RefreshTokens(r io.Reader, l Lifetimes) iter.Seq2[Item, error] {
	return mapped(objects(r), func(o map[string]json.RawMessage) Item { return refreshToken(o, l) })
}

// RefreshTokensCSV reads refresh tokens from CSV whose first row names the columns.
func RefreshTokensCSV(r io.Reader, l Lifetimes) iter.Seq2[Item, error] {
	return mapped(rows(r), func(o map[string]json.RawMessage) Item { return refreshToken(o, l) })
}

// granted is what a consent and a refresh token have in common.
type granted struct {
	user              store.UserID
	client            store.ClientID
	scopes, resources []string
	tenant            *store.ReferenceID
	at                *time.Time
}

func (g granted) id() string { return string(g.user) + "/" + string(g.client) }

func (m *members) granted() (g granted, err error) {
	user, client, tenant := m.text("user_id"), m.text("client_id"), m.text("reference_id")
	g.scopes, g.resources = m.words("scope", "scopes"), m.words("resources")
	g.at = m.time("granted_at")
	if tenant != nil {
		g.tenant = new(store.ReferenceID(*tenant))
	}
	if user != nil {
		g.user = store.UserID(*user)
	}
	if client != nil {
		g.client = store.ClientID(*client)
	}
	switch {
	case user == nil:
		err = errors.New("user_id is missing")
	case client == nil:
		err = errors.New("client_id is missing")
	}
	return g, err
}

// words takes the first of the members that is there: a list, or a text with spaces between its words.
func (m *members) words(names ...string) (words []string) {
	for _, name := range names {
		raw := m.o[name]
		if len(raw) > 0 && raw[0] == '"' {
			if text := m.text(name); text != nil && words == nil {
				words = strings.Fields(*text)
			}
			continue
		}
		var list []string
		if m.take(name, &list) && words == nil {
			words = list
		}
	}
	return words
}

// texts takes a text as it is, and a list.
func (m *members) texts(one, many string) (texts []string) {
	m.take(many, &texts)
	if text := m.text(one); text != nil {
		texts = append(texts, *text)
	}
	return texts
}

// layouts are those of RFC 3339, and of PostgreSQL, whose time without a zone is taken for UTC.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"}

// time takes an instant: a text, or seconds since 1970.
func (m *members) time(name string) *time.Time {
	var text string
	raw, ok := m.o[name]
	delete(m.o, name)
	if !ok || string(raw) == "null" {
		return nil
	}
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return &t
		}
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds > 0 {
		return new(time.Unix(seconds, 0))
	}
	if m.err == nil {
		m.err = fmt.Errorf("%s is no time (RFC 3339)", name)
	}
	return nil
}

func consent(o map[string]json.RawMessage) Item {
	m := members{o: o}
	g, err := m.granted()
	if err == nil {
		err = m.err
	}
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

func refreshToken(o map[string]json.RawMessage, l Lifetimes) Item {
	m := members{o: o}
	g, err := m.granted()
	tokens, digests := m.texts("token", "tokens"), m.texts("token_digest", "token_digests")
	name := m.text("grant_id")
	p := store.ImportRefreshTokenParams{
		UserID: g.user, ClientID: g.client, ReferenceID: g.tenant, Scopes: g.scopes, Resources: g.resources, GrantedAt: g.at,
		AuthTime: m.time("auth_time"), ExpiresAt: m.time("expires_at"), ACR: m.text("acr"), AMR: m.words("amr"),
		RefreshTokenLifetime: l.RefreshToken, FamilyLifetime: l.Family,
	}
	refuse := func(err error) Item { return Item{ID: g.id(), Refused: err} }
	switch {
	case err != nil:
		return refuse(err)
	case m.err != nil:
		return refuse(m.err)
	case len(tokens)+len(digests) == 0:
		return refuse(errors.New("token and token_digest are missing"))
	}
	for _, text := range tokens {
		raw, err := token.ParseForeign(token.RefreshToken, text)
		if err != nil {
			return refuse(fmt.Errorf("token: %w", err))
		}
		p.Tokens = append(p.Tokens, raw.Digest())
	}
	for _, text := range digests {
		if sum, err := hex.DecodeString(text); err == nil && len(sum) == sha256.Size {
			text = base64.RawURLEncoding.EncodeToString(sum)
		}
		digest, err := token.ParseDigest(text)
		if err != nil {
			return refuse(fmt.Errorf("token_digest: %w", err))
		}
		p.Tokens = append(p.Tokens, digest)
	}
	if name == nil {
		name = new(string(p.Tokens[0]))
	}
	p.ID = grantID(g, *name)
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

// grantID is the same whenever a grant is imported, and no other grant's.
func grantID(g granted, name string) store.AuthorizationID {
	h := sha256.New()
	for _, part := range []string{string(g.client), string(g.user), name} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return store.AuthorizationID("azn_" + hex.EncodeToString(h.Sum(nil)[:16]))
}

// became says what an import of something granted has come to.
func became(ctx context.Context, q *store.Queries, g granted, outcome store.Outcome) error {
	switch outcome {
	case store.OutcomeIssued, store.OutcomeGranted:
		return nil
	case store.OutcomeRetried, store.OutcomeDecided:
		return errPresent
	case store.OutcomeUnknown:
		return missing(ctx, q, g)
	case store.OutcomeDisabled:
		return &refusal{reason: "the client is disabled"}
	case store.OutcomeSuspended:
		return &refusal{reason: "the user is suspended"}
	case store.OutcomeRevoked:
		return &refusal{reason: "grants of the user or of the client have been ended here, and what was granted before doesn't come back"}
	case store.OutcomeExpired:
		return &refusal{reason: "it has expired"}
	case store.OutcomeUnauthorizedClient:
		return &refusal{reason: "the client is registered for neither refresh_token nor authorization_code"}
	}
	return fmt.Errorf("the outcome is %s", outcome)
}

// missing says which of user and client isn't there.
func missing(ctx context.Context, q *store.Queries, g granted) error {
	var r refusal
	if _, err := q.GetClient(ctx, g.client); errors.Is(err, pgx.ErrNoRows) {
		r.missing = append(r.missing, string(ClientRecord)+" "+string(g.client))
	} else if err != nil {
		return err
	}
	if _, err := q.GetUser(ctx, g.user); errors.Is(err, pgx.ErrNoRows) {
		r.missing = append(r.missing, string(UserRecord)+" "+string(g.user))
	} else if err != nil {
		return err
	}
	if r.reason = "there is no such client or user"; len(r.missing) > 0 { // else it has come meanwhile
		r.reason = "there is no " + strings.Join(r.missing, ", and no ")
	}
	return &r
}

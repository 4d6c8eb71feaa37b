package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// history is a sequence of calls that the database and the model have both answered, as far as they agree. It runs in one
// transaction, which is rolled back: the next history finds an empty database, and now() stands still, so that the instant of an
// expiry can be hit exactly. Time passes when all timestamps are moved back.
type history struct {
	ctx     context.Context
	q       *store.Queries
	tx      pgx.Tx
	sql     *modelSQL
	rewrite func(string) string // of every query, before it is run
	m       *model
	steps   []step
	mood    string

	began   time.Time
	passed  time.Duration // by which timestamps have been moved back
	written int64         // rows written so far, by the server's count
	quiet   bool          // the last call was to write nothing

	subjects       map[pair]store.Subject  // by which clients know users
	names          map[token.Digest]string // what digests are digests of
	counts         map[string]int          // of names, by prefix
	users          []store.UserID          // all that ever were, like the following
	clients        []store.ClientID
	sessions       []store.SessionID
	authorizations []store.AuthorizationID
	requestURIs    []token.Digest
	codes          []token.Digest
	secrets        []token.Digest
	proofs         []token.Digest
	redemptions    []store.RedeemAuthorizationCodeParams // that were answered with tokens, like the following
	rotations      []store.RotateRefreshTokenParams
	issues         []store.IssueAccessTokenParams
	directGrants   []store.IssueGrantParams
	exchanges      []store.ExchangeTokenParams
	polls          []store.PollDeviceCodeParams
	deviceCodes    []token.Digest
	userCodes      []token.Digest

	lines []string
	err   error          // the first disagreement; nothing is called after it
	said  map[string]int // answers, by call
}

// step is one call to be, or nothing at all: what the action makes of a number, as things stand.
type step struct {
	run     func(*history, draw)
	choices uint64
}

// take takes a step.
func (h *history) take(s step) {
	if h.err != nil {
		return
	}
	h.steps = append(h.steps, s)
	n := len(h.lines)
	h.quiet = false
	s.run(h, newDraw(s.choices))
	if h.err == nil && len(h.lines) > n {
		h.compare()
	}
}

// GoString is how rapid prints a history that failed: a call a line.
func (h *history) GoString() string { return "\n\t" + strings.Join(h.lines, "\n\t") }

// modelSQL is what no query of the store does, written from the catalog.
type modelSQL struct {
	age     []string // moves all timestamps of a table back
	written string   // counts the rows that the transaction has inserted, updated and deleted
}

func newModelSQL(ctx context.Context, conn *pgx.Conn) (*modelSQL, error) {
	rows, err := conn.Query(ctx, `
		SELECT c.oid::bigint, format('UPDATE %s SET %s', c.oid::regclass, string_agg(format('%1$I = %1$I - $1::interval', a.attname), ', '))
		FROM pg_class AS c
		JOIN pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
		JOIN pg_type AS y ON y.oid = a.atttypid AND 'timestamptz'::regtype IN (y.oid, y.typbasetype)
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0
		GROUP BY c.oid
		ORDER BY c.oid`)
	if err != nil {
		return nil, err
	}
	s := &modelSQL{}
	var counts []string
	var oid int64
	var update string
	_, err = pgx.ForEachRow(rows, []any{&oid, &update}, func() error {
		s.age = append(s.age, update)
		for _, what := range []string{"inserted", "updated", "deleted"} {
			counts = append(counts, fmt.Sprintf("pg_stat_get_xact_tuples_%s(%d)", what, oid))
		}
		return nil
	})
	s.written = "SELECT " + strings.Join(counts, " + ")
	return s, err
}

// newHistory begins a history on an empty database with two users who are signed in, and five clients: two confidential ones with
// secrets, one of which names no method; a public one that belongs to a user; and two that hold a key and a certificate.
func newHistory(ctx context.Context, tx pgx.Tx, sql *modelSQL, mood string, rewrite func(string) string) *history {
	h := &history{
		ctx: ctx, q: store.New(rewritten{tx, rewrite}), tx: tx, sql: sql, mood: mood, rewrite: rewrite,
		subjects: map[pair]store.Subject{}, names: map[token.Digest]string{}, counts: map[string]int{}, said: map[string]int{}, users: []store.UserID{"u1", "u2"},
	}
	h.fail(tx.QueryRow(ctx, "SELECT now()").Scan(&h.began))
	h.m = &model{
		now: h.began, users: map[store.UserID]*user{}, clients: map[store.ClientID]*client{}, sessions: map[store.SessionID]*session{},
		consents: map[pair]*consent{}, proofs: map[token.Digest]bool{}, seen: map[string]int{},
	}
	for i, u := range h.users {
		_, err := h.q.CreateUser(ctx, store.CreateUserParams{ID: u, Name: string(u), Email: new(string(u) + "@example.com")})
		h.fail(err)
		h.m.users[u] = &user{}
		p := store.CreateSessionParams{ID: store.SessionID(h.name("s")), UserID: u, Lifetime: []time.Duration{time.Hour, 10 * time.Second}[i]}
		p.Token = h.digest(string(p.ID))
		_, err = h.q.CreateSession(ctx, p)
		h.fail(err)
		h.m.createSession(p)
		h.sessions = append(h.sessions, p.ID)
	}
	own := []string{"authorization_code", "refresh_token", "client_credentials", deviceGrant, fixture.TokenExchange}
	for i, p := range []store.CreateClientParams{
		{TokenEndpointAuthMethod: new("client_secret_basic"), ClientSecret: new(h.digest("x1")), Scopes: []string{"openid", "offline_access"}, GrantTypes: own},
		{TokenEndpointAuthMethod: new("none"), JWKS: []byte(`{"keys": []}`), SkipConsent: new(true), UserID: &h.users[1], GrantTypes: own},
		{TokenEndpointAuthMethod: new("private_key_jwt"), JWKS: []byte(`{"keys": []}`), GrantTypes: own, RefreshGraceUntilUsed: new(true)},
		{ClientSecret: new(h.digest("x4")), AccessTokenLifetime: new(30 * time.Second), RefreshGrace: new(time.Minute), GrantTypes: own},
		{TokenEndpointAuthMethod: new("tls_client_auth"), JWKS: []byte(`{"keys": []}`)},
		{JWKS: []byte(`{"keys": []}`), GrantTypes: own},
	} {
		p.ClientID = store.ClientID(fmt.Sprint("c", i+1))
		p.ID, p.RedirectURIs = store.OAuthClientID(p.ClientID), []string{fixture.RedirectURI}
		p.RequirePKCE = new(false) // which means nothing for a public one
		if p.ClientID == pairwise {
			p.SubjectType = new("pairwise")
		}
		_, err := h.q.CreateClient(ctx, p)
		h.fail(err)
		h.clients = append(h.clients, p.ClientID)
		h.m.clients[p.ClientID] = &client{
			kind: []string{"secret", "none", "key", "secret", "certificate", "key"}[i], secret: deref(p.ClientSecret), older: map[token.Digest]time.Time{},
			methodless: p.TokenEndpointAuthMethod == nil, grants: p.GrantTypes, scopes: p.Scopes, needsPKCE: i == 1, skipsConsent: deref(p.SkipConsent),
			owner: deref(p.UserID), accessLimit: deref(p.AccessTokenLifetime), grace: p.RefreshGrace, untilUsed: deref(p.RefreshGraceUntilUsed),
		}
	}
	h.fail(tx.QueryRow(ctx, sql.written).Scan(&h.written))
	return h
}

// pairwise is the client that knows users by pairwise subjects.
const pairwise store.ClientID = "c4"

// rewritten runs queries as rewrite changes them.
type rewritten struct {
	store.DBTX
	rewrite func(string) string
}

func (r rewritten) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return r.DBTX.Exec(ctx, r.rewrite(sql), args...)
}

func (r rewritten) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.DBTX.Query(ctx, r.rewrite(sql), args...)
}

func (r rewritten) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return r.DBTX.QueryRow(ctx, r.rewrite(sql), args...)
}

func (h *history) fail(err error) {
	if h.err == nil {
		h.err = err
	}
}

func (h *history) logf(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

// name returns the next name with a prefix: a1, a2 …
func (h *history) name(prefix string) string {
	h.counts[prefix]++
	return fmt.Sprint(prefix, h.counts[prefix])
}

// digest returns the digest of a credential, which is printed in its place.
func (h *history) digest(raw string) token.Digest {
	d := token.DigestOf(raw)
	h.names[d] = raw
	return d
}

// answered compares what a call has answered with what the model wants.
func (h *history) answered(call string, p any, want, got store.Outcome, err error) {
	h.said[call+" "+string(want)]++
	h.logf("%s(%s) → %s", call, text(h.names, h.m.now, reflect.ValueOf(p)), got)
	if err != nil {
		h.fail(fmt.Errorf("%s: %w", call, err))
	} else if got != want {
		h.fail(fmt.Errorf("%s: got %s, want %s", call, got, want))
	}
	proof := reflect.Value{}
	if v := reflect.ValueOf(p); v.Kind() == reflect.Struct {
		proof = v.FieldByName("Proof") // remembered whatever comes of it
	}
	h.quiet = slices.Contains(refusals, want) && (!proof.IsValid() || proof.IsNil())
}

func withoutNoRows(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// inward and outward shift instants between the database's clock and the model's.
func inward(h *history, t *time.Time) *time.Time  { return shifted(t, h.passed) }
func outward(h *history, t *time.Time) *time.Time { return shifted(t, -h.passed) }

func shifted(t *time.Time, by time.Duration) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.Add(by))
}

// when prints an instant of the model's clock.
func (h *history) when(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Sub(h.began).String()
}

// compare asks for the liveness of everything that there ever was, by the queries that a server asks, and compares it with the
// model's. Where nothing was written there is nothing new, for time stands still in between.
func (h *history) compare() {
	if h.quiet {
		before := h.written
		h.fail(h.tx.QueryRow(h.ctx, h.sql.written).Scan(&h.written))
		if h.written != before {
			h.fail(fmt.Errorf("%d rows were written, want nothing changed", h.written-before))
		}
		return
	}
	type introspected struct {
		Token string
		store.IntrospectTokenRow
	}
	type introspectedByID struct {
		Token string
		store.IntrospectAccessTokenByIDRow
	}
	type introspectedFamily struct {
		ID string
		store.IntrospectAuthorizationRow
	}
	var (
		byDigest []introspected
		byID     []introspectedByID
		families []introspectedFamily
		sessions []string
		consents []string
	)
	var digests, ids, cookies []string
	want, got := map[string]string{}, map[string]string{}
	for _, t := range h.m.tokens {
		state := "dead"
		if h.m.tokenIsLive(t) && !t.withoutRow {
			user := string(t.user)
			if t.family != nil && t.own {
				user = string(t.family.user)
			}
			state = h.state(t.refresh, t.client, user, t.family, t.scopes, t.resources, t.key, t.expires)
		}
		if t.digest != "" {
			digests = append(digests, string(t.digest))
			want["token "+h.names[t.digest]] = state
		}
		if !t.refresh {
			ids = append(ids, t.id)
			want["access token by id "+t.id] = state
		}
	}
	var familyIDs []string
	for _, f := range h.m.families {
		if f.status == store.AuthorizationStatusApproved {
			familyIDs = append(familyIDs, string(f.id))
			want["family "+string(f.id)] = "dead"
			if h.m.isInForce(f) {
				want["family "+string(f.id)] = familyState(f.client, f.user, f.granted, f.resources, f.key)
			}
		}
	}
	for _, id := range h.sessions {
		cookies = append(cookies, string(h.digest(string(id))))
		if s := h.m.sessions[id]; h.m.sessionIsLive(s) {
			want["session "+string(id)] = h.when(&s.expires)
		}
	}
	for _, g := range h.m.consents {
		if h.m.consentCounts(g) {
			want["consent "+string(g.id)] = "counts"
		}
	}
	b := &pgx.Batch{}
	b.Queue(ofEach(h.rewrite(store.SQL("IntrospectToken")), "$4::token_digest"), "server", "", nil, digests).Query(collect(&byDigest))
	b.Queue(ofEach(h.rewrite(store.SQL("IntrospectAccessTokenByID")), "$4::access_token_id"), "server", "", nil, ids).Query(collect(&byID))
	b.Queue(`SELECT s.id || ' ' || extract(epoch FROM s.expires_at - $2::timestamptz) FROM unnest($1::text[]) AS x (token)
		JOIN session AS s ON s.token = x.token JOIN "user" AS u ON u.id = s.user_id WHERE session_is_live(s, u)`, cookies, h.began.Add(-h.passed)).Query(collectOne(&sessions))
	b.Queue(`SELECT g.id FROM oauth_consent AS g JOIN oauth_client AS c ON c.client_id = g.client_id JOIN "user" AS u ON u.id = g.user_id WHERE consent_holds(g, c, u)`).Query(collectOne(&consents))
	b.Queue(ofEach(h.rewrite(store.SQL("IntrospectAuthorization")), "$4::authorization_id"), "server", "", nil, familyIDs).Query(collect(&families))
	b.Queue(h.sql.written).QueryRow(func(r pgx.Row) error { return r.Scan(&h.written) })
	if err := h.tx.SendBatch(h.ctx, b).Close(); err != nil {
		h.fail(err)
		return
	}
	for _, r := range byDigest {
		state := "dead"
		if r.Outcome == store.OutcomeActive {
			state = h.state(*r.Kind == store.TokenKindRefreshToken, *r.ClientID, string(deref(r.UserID)), h.named(r.AuthorizationID), r.Scopes, r.Resources, r.Confirmation, inward(h, r.ExpiresAt))
		}
		got["token "+h.names[token.Digest(r.Token)]] = state
	}
	for _, r := range byID {
		state := "dead"
		if r.Outcome == store.OutcomeActive {
			state = h.state(false, *r.ClientID, string(deref(r.UserID)), h.named(r.AuthorizationID), r.Scopes, r.Resources, r.Confirmation, inward(h, r.ExpiresAt))
		}
		got["access token by id "+r.Token] = state
	}
	for _, r := range families {
		state := "dead"
		if r.Outcome == store.OutcomeActive {
			state = familyState(*r.ClientID, *r.UserID, r.GrantedScopes, r.Resources, r.Confirmation)
			h.knownBy(*r.ClientID, r.UserID, r.Sub)
		}
		got["family "+r.ID] = state
	}
	for _, r := range byDigest {
		if r.Outcome == store.OutcomeActive {
			h.knownBy(*r.ClientID, r.UserID, r.Sub)
		}
	}
	for _, s := range sessions {
		id, seconds, _ := strings.Cut(s, " ")
		d, err := time.ParseDuration(seconds + "s")
		h.fail(err)
		got["session "+id] = d.String()
	}
	for _, id := range consents {
		got["consent "+id] = "counts"
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			h.fail(fmt.Errorf("%s: got %q, want %q", k, got[k], want[k]))
		}
		delete(got, k)
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		h.fail(fmt.Errorf("%s: got %q, want none", k, got[k]))
	}
}

// state is what is told of a live token.
func (h *history) state(refresh bool, client store.ClientID, user string, f *family, scopes, resources []string, key *token.Confirmation, expires *time.Time) string {
	family := ""
	if f != nil {
		family = string(f.id)
	}
	return fmt.Sprintf("refresh %v, %s %s %s %v %v %+v until %s", refresh, client, user, family, scopes, resources, deref(key), h.when(expires))
}

func familyState(client store.ClientID, user store.UserID, granted, resources []string, key *token.Confirmation) string {
	return fmt.Sprintf("%s %s %v %v %+v", client, user, granted, resources, deref(key))
}

// knownBy holds a sub to what the client was told before: always the same of a user, and the id of the user unless the client is the
// pairwise one. That one may have been told nothing yet.
func (h *history) knownBy(client store.ClientID, user *store.UserID, sub *store.Subject) {
	if user == nil {
		return
	}
	of := pair{client, *user}
	known, again := h.subjects[of]
	if client == pairwise && !again && sub == nil {
		return
	}
	if again && known != deref(sub) || (string(deref(sub)) == string(*user)) != (client != pairwise) {
		h.fail(fmt.Errorf("%s knows %s as another one than before, or by the wrong kind of subject", client, *user))
	}
	h.subjects[of] = deref(sub)
}

func (h *history) named(id *store.AuthorizationID) *family {
	if id == nil {
		return nil
	}
	return &family{id: *id}
}

// ids are the rows that are left.
func (h *history) ids() (map[string]bool, error) {
	rows, err := h.tx.Query(h.ctx, `
		SELECT 'access_token ' || x.id FROM oauth_access_token AS x UNION ALL SELECT 'refresh_token ' || x.id FROM oauth_refresh_token AS x UNION ALL
		SELECT 'authorization ' || x.id FROM oauth_authorization AS x UNION ALL SELECT 'session ' || x.id FROM session AS x UNION ALL
		SELECT 'consent ' || x.id FROM oauth_consent AS x UNION ALL SELECT 'user ' || x.id FROM "user" AS x UNION ALL
		SELECT 'polled_request ' || x.id FROM oauth_polled_request AS x UNION ALL SELECT 'client ' || x.client_id FROM oauth_client AS x`)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	var id string
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error { there[id] = true; return nil })
	return there, err
}

// ofEach runs a query that has one parameter for each of an array.
func ofEach(query, parameter string) string {
	number, domain, _ := strings.Cut(parameter, "::")
	return `SELECT x.token, i.* FROM unnest(` + number + `::text[]) AS x (token) CROSS JOIN LATERAL (` +
		strings.ReplaceAll(query, parameter, "x.token::"+domain) + `) AS i`
}

func collect[T any](into *[]T) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T])
		return err
	}
}

func collectOne(into *[]string) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}
}

// draw makes the choices of one step, all of them from one number. Zero makes the first choice everywhere.
type draw struct{ random *rand.Rand } // nil: zero

func newDraw(n uint64) draw {
	if n == 0 {
		return draw{}
	}
	return draw{rand.New(rand.NewPCG(n, 0))}
}

// below returns one of 0 to n-1.
func (d draw) below(n int) int {
	if d.random == nil {
		return 0
	}
	return d.random.IntN(n)
}

// once is true once in n times.
func (d draw) once(n int) bool { return d.below(n) == n-1 }

func oneOf[T any](d draw, items ...T) T { return items[d.below(len(items))] }

// recent picks one of items, rather one of the last, and the zero value if there is none.
func recent[T any](d draw, items []T) (picked T, found bool) {
	if len(items) == 0 {
		return picked, false
	}
	return items[len(items)-1-d.below(1+d.below(len(items)))], true
}

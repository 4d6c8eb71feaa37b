package model

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

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
	steps   []modelStep
	mood    string

	passed  time.Duration                                   // by which timestamps have been moved back
	aliases map[store.AuthorizationID]store.AuthorizationID // of families that a statement began, to the model's names
	written int64                                           // rows written so far, by the server's count

	names          map[token.Digest]string // what digests are digests of
	counts         map[string]int          // of names, by prefix
	users          []store.UserID          // all that ever were, like the following
	clients        []store.ClientID
	sessions       []store.SessionID
	authorizations []store.AuthorizationID
	requestURIs    []token.Digest
	codes          []token.Digest
	refreshTokens  []token.Digest
	accessTokens   []token.Digest // none for a JWT
	accessTokenIDs []store.AccessTokenID
	assertions     []token.Digest

	lines []string
	err   error          // the first disagreement; nothing is called after it
	said  map[string]int // answers, by call
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
		JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.atttypid = 'timestamptz'::regtype AND NOT a.attisdropped
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

// newHistory begins a history on an empty database with two users who are signed in, and three clients: one confidential, one
// public, and one that is public by its authentication method, skips consent, and belongs to a user.
func newHistory(ctx context.Context, tx pgx.Tx, sql *modelSQL, mood string, rewrite func(string) string) *history {
	h := &history{
		ctx: ctx, q: store.New(rewritten{tx, rewrite}), tx: tx, sql: sql, mood: mood, rewrite: rewrite,
		aliases: map[store.AuthorizationID]store.AuthorizationID{}, names: map[token.Digest]string{}, counts: map[string]int{},
		users: []store.UserID{"u1", "u2"}, clients: []store.ClientID{"c1", "c2", "c3"}, said: map[string]int{},
	}
	var now time.Time
	h.fail(tx.QueryRow(ctx, "SELECT now()").Scan(&now))
	h.m = newModel(now.UTC())
	h.m.nameFamily = func() store.AuthorizationID {
		id := store.AuthorizationID(h.name("a"))
		h.authorizations = append(h.authorizations, id)
		return id
	}
	for i, u := range h.users {
		_, err := h.q.CreateUser(ctx, store.CreateUserParams{ID: u, Name: string(u), Email: string(u) + "@example.com"})
		h.fail(err)
		h.m.users[u] = true
		p := store.CreateSessionParams{ID: store.SessionID(h.name("s")), UserID: u, Lifetime: []time.Duration{time.Hour, 10 * time.Second}[i]}
		p.Token = h.digest(string(p.ID))
		_, err = h.q.CreateSession(ctx, p)
		h.fail(err)
		h.m.createSession(p)
		h.sessions = append(h.sessions, p.ID)
	}
	for i, p := range []store.CreateClientParams{
		{Scopes: []string{"openid", "offline_access"}},
		{Public: new(true)},
		{TokenEndpointAuthMethod: new("none"), SkipConsent: new(true), UserID: &h.users[1]},
	} {
		p.ClientID, p.ID, p.RedirectURIs = h.clients[i], store.OAuthClientID(h.clients[i]), []string{fixture.RedirectURI}
		_, err := h.q.CreateClient(ctx, p)
		h.fail(err)
		h.m.clients[p.ClientID] = &modelClient{public: i > 0, skipsConsent: i == 2, scopes: p.Scopes, owner: p.UserID}
	}
	h.fail(tx.QueryRow(ctx, sql.written).Scan(&h.written))
	return h
}

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

// do makes a call of the database and of the model, and compares the answers.
func do[P, R any](h *history, name string, p P, expect func(P) (R, bool), call func(context.Context, P) (R, error)) (R, bool) {
	h.m.wrote = false
	want, found := expect(p)
	got, err := call(h.ctx, outward(h, p))
	answered := err == nil
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		h.fail(fmt.Errorf("%s: %w", name, err))
	}
	got = inward(h, got)
	answer := said(got, answered)
	h.said[name+" "+answer]++
	h.logf("%s(%s) → %s", name, text(h, reflect.ValueOf(p)), answer)
	switch {
	case h.err != nil:
	case found && answered:
		if d := h.differences(want, got); d != "" {
			h.fail(fmt.Errorf("%s: %s", name, d))
		}
	case found != answered:
		h.fail(fmt.Errorf("%s: got %s, want %s", name, answer, said(want, found)))
	}
	return got, answered && h.err == nil
}

// said is an answer in a word.
func said(answer any, found bool) string {
	if !found {
		return "none"
	}
	v := reflect.ValueOf(answer)
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Int64, reflect.Bool:
		return fmt.Sprint(v)
	case reflect.Slice:
		return map[bool]string{true: "some", false: "none"}[v.Len() > 0]
	case reflect.Struct:
		for _, f := range []string{"Outcome", "Kind", "Extended", "Covered"} {
			if f := v.FieldByName(f); f.IsValid() {
				return fmt.Sprint(f)
			}
		}
	}
	return "found"
}

// compare asks for the liveness of every token there ever was, by the queries that introspect, and for all that is left, and
// compares both with the model's. Where nothing was written there is nothing new, for time stands still in between.
func (h *history) compare() {
	type introspected struct {
		Token string
		store.IntrospectTokenRow
	}
	type introspectedByID struct {
		Token string
		store.IntrospectAccessTokenByIDRow
	}
	type left struct{ ID, State string }
	var (
		byDigest []introspected
		byID     []introspectedByID
		state    []left
	)
	var written int64
	if err := h.tx.QueryRow(h.ctx, h.sql.written).Scan(&written); err != nil {
		h.fail(err)
		return
	}
	if written == h.written && !h.m.wrote {
		return
	}
	if !h.m.wrote {
		h.fail(fmt.Errorf("%d rows were written, want nothing changed", written-h.written))
	}
	h.written = written
	digests, ids := make([]string, 0, len(h.names)), make([]string, len(h.accessTokenIDs))
	for _, d := range slices.Concat(h.refreshTokens, h.accessTokens) {
		digests = append(digests, string(d))
	}
	for i, id := range h.accessTokenIDs {
		ids[i] = string(id)
	}
	b := &pgx.Batch{}
	b.Queue(ofEach(h.rewrite(store.IntrospectToken), "token_digest"), digests).Query(collect(&byDigest))
	b.Queue(ofEach(h.rewrite(store.IntrospectAccessTokenByID), "access_token_id"), ids).Query(collect(&byID))
	b.Queue(`
		SELECT a.id, concat_ws(' ', 'authorization', a.status, a.client_id, a.user_id, a.session_id, a.reference_id, a.revoked_reason,
			floor(extract(epoch FROM a.expires_at - now() + $1::interval))::bigint)
		FROM oauth_authorization AS a
		UNION ALL
		SELECT t.id, concat_ws(' ', 'access_token', t.authorization_id, t.session_id) FROM oauth_access_token AS t
		UNION ALL
		SELECT r.id, concat_ws(' ', 'refresh_token', r.authorization_id, r.session_id) FROM oauth_refresh_token AS r
		UNION ALL
		SELECT s.id, concat_ws(' ', 'session', s.user_id, floor(extract(epoch FROM s.expires_at - now() + $1::interval))::bigint) FROM session AS s
		UNION ALL
		SELECT c.id, concat_ws(' ', 'consent', c.client_id, c.user_id, c.reference_id, c.scopes) FROM oauth_consent AS c`,
		h.passed).Query(collect(&state))
	if err := h.tx.SendBatch(h.ctx, b).Close(); err != nil {
		h.fail(err)
		return
	}

	live := map[string]store.IntrospectTokenRow{}
	for _, t := range byDigest {
		live[h.names[token.Digest(t.Token)]] = inward(h, t.IntrospectTokenRow)
	}
	for _, t := range byID {
		r := inward(h, t.IntrospectAccessTokenByIDRow)
		live["the one with id "+t.Token] = asTokenRow(r)
	}
	for _, t := range h.m.tokens {
		if !h.m.live(t) {
			continue
		}
		var keys []string
		if t.digest != nil {
			keys = append(keys, h.names[*t.digest])
		}
		if !t.isRefresh() {
			keys = append(keys, "the one with id "+t.id)
		}
		for _, k := range keys {
			got, found := live[k]
			delete(live, k)
			if !found {
				h.fail(fmt.Errorf("token %s is dead, want live", k))
			} else if d := h.differences(h.m.introspect(t), got); d != "" {
				h.fail(fmt.Errorf("token %s: %s", k, d))
			}
		}
	}
	for _, k := range slices.Sorted(keysOf(live)) {
		h.fail(fmt.Errorf("token %s is live, want dead", k))
	}

	rest := map[string]string{}
	for _, l := range state {
		id := l.ID
		for from, to := range h.aliases {
			if id == string(from) {
				id = string(to)
			}
			l.State = strings.ReplaceAll(l.State, string(from), string(to))
		}
		rest[id] = l.State
	}
	want := h.expected()
	for _, id := range slices.Sorted(keysOf(want)) {
		if got, found := rest[id]; !found {
			h.fail(fmt.Errorf("%s is gone, want %q", id, want[id]))
		} else if got != want[id] {
			h.fail(fmt.Errorf("%s: got %q, want %q", id, got, want[id]))
		}
		delete(rest, id)
	}
	for _, id := range slices.Sorted(keysOf(rest)) {
		h.fail(fmt.Errorf("%s is there, want it gone: %q", id, rest[id]))
	}
}

// expected is the model's state in the words of compare.
func (h *history) expected() map[string]string {
	want := map[string]string{}
	words := func(words ...string) string {
		return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
	}
	epoch := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return fmt.Sprint(int64(t.Sub(h.m.now.Add(-h.passed)).Seconds()))
	}
	for _, f := range h.m.families {
		want[string(f.id)] = words("authorization", string(f.status), string(f.client), orEmpty(f.user), orEmpty(f.session),
			orEmpty(f.reference), string(f.revoked), epoch(f.expires))
	}
	for _, t := range h.m.tokens {
		var family string
		if t.family != nil {
			family = string(t.family.id)
		}
		want[t.id] = words(string(t.kind), family, orEmpty(t.session))
	}
	for id, s := range h.m.sessions {
		want[string(id)] = words("session", string(s.user), epoch(&s.expires))
	}
	for k, c := range h.m.consents {
		want[string(c.id)] = words("consent", string(k.client), string(k.user), orEmpty(c.reference), "{"+strings.Join(c.scopes, ",")+"}")
	}
	return want
}

func orEmpty[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// ofEach runs a query that has one parameter for each of an array.
func ofEach(query, domain string) string {
	return `SELECT x.token, i.* FROM unnest($1::text[]) AS x (token) CROSS JOIN LATERAL (` +
		strings.ReplaceAll(query, "$1::"+domain, "x.token::"+domain) + `) AS i`
}

func collect[T any](into *[]T) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T])
		return err
	}
}

func asTokenRow(r store.IntrospectAccessTokenByIDRow) store.IntrospectTokenRow {
	return store.IntrospectTokenRow{
		Kind: store.TokenKindAccessToken, AccessTokenID: &r.ID, RefreshTokenID: r.RefreshID, ClientID: r.ClientID, UserID: r.UserID,
		SessionID: r.SessionID, ReferenceID: r.ReferenceID, AuthorizationID: r.AuthorizationID, Scopes: r.Scopes,
		Resources: r.Resources, Confirmation: r.Confirmation, IssuedAt: r.IssuedAt, ExpiresAt: r.ExpiresAt, AuthTime: r.AuthTime,
		ACR: r.ACR, AMR: r.AMR, Username: r.Username,
	}
}

// outward translates parameters from the model's clock and names to the database's, and inward translates answers back.
func outward[T any](h *history, v T) T {
	names := map[store.AuthorizationID]store.AuthorizationID{}
	for from, to := range h.aliases {
		names[to] = from
	}
	return translate(reflect.ValueOf(&v).Elem(), -h.passed, names).Interface().(T)
}

func inward[T any](h *history, v T) T {
	return translate(reflect.ValueOf(&v).Elem(), h.passed, h.aliases).Interface().(T)
}

// translate returns a copy of v in which instants are shifted and authorizations renamed.
func translate(v reflect.Value, shift time.Duration, names map[store.AuthorizationID]store.AuthorizationID) reflect.Value {
	switch x := v.Interface().(type) {
	case time.Time:
		return reflect.ValueOf(x.Add(shift).UTC())
	case store.AuthorizationID:
		if name, found := names[x]; found {
			return reflect.ValueOf(name)
		}
		return v
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(translate(v.Elem(), shift, names))
		return p
	case reflect.Struct:
		s := reflect.New(v.Type()).Elem()
		s.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				s.Field(i).Set(translate(v.Field(i), shift, names))
			}
		}
		return s
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() != reflect.Struct {
			return v
		}
		s := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			s.Index(i).Set(translate(v.Index(i), shift, names))
		}
		return s
	}
	return v
}

// differences says in which fields two answers differ; "" is in none.
func (h *history) differences(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	w, g := reflect.ValueOf(want), reflect.ValueOf(got)
	if w.Kind() != reflect.Struct {
		return fmt.Sprintf("got %s, want %s", text(h, g), text(h, w))
	}
	var d []string
	for i := range w.NumField() {
		if !w.Type().Field(i).IsExported() || !reflect.DeepEqual(w.Field(i).Interface(), g.Field(i).Interface()) {
			d = append(d, fmt.Sprintf("%s: got %s, want %s", w.Type().Field(i).Name, text(h, g.Field(i)), text(h, w.Field(i))))
		}
	}
	return strings.Join(d, "; ")
}

// text prints parameters as they are named in SQL, without those that are NULL, and without an id beside what it is the id of.
func text(h *history, v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case time.Time:
		return fmt.Sprintf("%+v", x.Sub(h.m.now))
	case token.Digest:
		if h.names[x] != "" {
			return h.names[x]
		}
	case store.AuthorizationID:
		if strings.HasPrefix(string(x), "azn_") {
			return "azn_…" // of which the model knows nothing; and a failure is to read the same each time
		}
	case token.Confirmation:
		return strings.Trim(x.JKT+"+"+x.X5TS256, "+")
	case string:
		if x == fixture.Challenge {
			return "challenge"
		}
	case []string:
		return fmt.Sprint(x)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "NULL"
		}
		return text(h, v.Elem())
	case reflect.Slice:
		rows := make([]string, v.Len())
		for i := range rows {
			rows[i] = "{" + text(h, v.Index(i)) + "}"
		}
		return "[" + strings.Join(rows, " ") + "]"
	case reflect.Struct:
		var fields []string
		for i := range v.NumField() {
			name, f := v.Type().Field(i).Name, v.Field(i)
			of, isID := strings.CutSuffix(name, "ID")
			if f.IsZero() || isID && of != "" && v.FieldByName(of).IsValid() {
				continue
			}
			fields = append(fields, snake(name)+"="+text(h, f))
		}
		return strings.Join(fields, " ")
	}
	return fmt.Sprint(v)
}

// snake writes a field's name as its column's: GrantedScopes is granted_scopes.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(name[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.TrimSuffix(b.String(), "_id")
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

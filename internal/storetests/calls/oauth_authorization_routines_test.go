package calls

import (
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// wantOf evaluates expressions, a line each: "expression → value". NULL is a value, and so is an error's code.
func (w *world) wantOf(lines string, replace ...string) {
	w.Helper()
	of := strings.NewReplacer(replace...)
	for line := range strings.Lines(lines) {
		expression, want, found := strings.Cut(strings.TrimSpace(line), " → ")
		if !found {
			if strings.TrimSpace(line) != "" {
				w.Errorf("no value: %s", line)
			}
			continue
		}
		var value *string
		err := w.Pool.QueryRow(w.Ctx, `SELECT (`+of.Replace(expression)+`)::text`).Scan(&value)
		got := "NULL"
		switch {
		case err != nil:
			got = pgErrorOf(err).Code
		case value != nil:
			got = *value
		}
		if got != want {
			w.Errorf("%s: %s, want %s (%v)", expression, got, want, err)
		}
	}
}

func TestListsAreCompared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.wantOf(`
		is_within('{}', '{}') → true
		is_within('{a}', '{b,a}') → true
		is_within('{a,c}', '{b,a}') → false
		is_within('{}', NULL) → NULL
		is_within(NULL, '{a}') → NULL
		is_within(array_fill('a'::text, '{32}'), '{a}') → true
		is_within(array_fill('a'::text, '{33}'), '{a}') → true
		is_within(array_fill('a'::text, '{32}') || '{b}', '{a}') → false
		kept_within(NULL, '{a}') → NULL
		kept_within(NULL, NULL) → NULL
		kept_within('{}', '{a}') → {}
		kept_within('{}', NULL) → {}
		kept_within('{a,b}', NULL) → {}
		kept_within('{a,b}', '{}') → {}
		kept_within('{a,b}', '{b,c}') → {b}
		kept_within('{b,a,b}', '{a,b}') → {b,a,b}
		asked_or_granted('{a,a}', '{b}') → {a}
		asked_or_granted('{}', '{b}') → {b}
		asked_or_granted(NULL, '{b}') → {b}
		asked_or_granted(NULL, NULL) → NULL
	`)
}

func TestAuthorizationDetailsAreCompared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.wantOf(`
		details_as_set(NULL) → NULL
		details_as_set('[]') → NULL
		details_as_set('{"a": 1}') → {"a": 1}
		details_as_set('[{"b": 1}, {"a": 1}, {"b": 1}]') → [{"b": 1}, {"a": 1}]
		details_of_types(NULL, '{a}') → NULL
		details_of_types('[]', '{a}') → NULL
		details_of_types('[{"type": "b"}, {"type": "a"}, {"type": "c"}]', '{a,b}') → [{"type": "b"}, {"type": "a"}]
		details_of_types('[{"type": "b"}]', '{a}') → NULL
		details_of_types('[{"type": "b"}]', '{}') → NULL
		details_of_types('[{"type": "b"}]', NULL) → [{"type": "b"}]
		details_of_types('{"type": "b"}', '{a}') → {"type": "b"}
		details_within(NULL, NULL, '{}') → true
		details_within(NULL, '[{"type": "a"}]', '{}') → true
		details_within('[]', NULL, '{}') → true
		details_within('{}', '[{}]', '{}') → false
		details_within('"a"', '["a"]', '{}') → false
		details_within('[{"type": "a"}]', '[{"type": "b"}, {"type": "a"}]', '{}') → true
		details_within('[{"type": "a"}]', '[{"type": "b"}]', '{}') → false
		details_within('[{"type": "a"}]', NULL, NULL) → false
		details_within('[{"type": "a"}]', NULL, '{a}') → false
		details_within('[{"type": "a"}]', '[]', '{a}') → false
		details_within('[{"type": "a", "n": 1}]', '[{"type": "a", "n": 2}]', NULL) → false
		details_within('[{"type": "a", "n": 1}]', '[{"type": "a", "n": 2}]', '{b}') → false
		details_within('[{"type": "a", "n": 1}]', '[{"type": "a", "n": 2}]', '{a}') → true
		details_within('[{"type": "a", "n": 1}]', '[{"type": "b"}, {"type": "a", "n": 2}]', '{b,a}') → true
		details_within('[{"type": "a"}, {"type": "b", "n": 1}]', '[{"type": "a"}, {"type": "b"}]', '{a}') → false
		details_within('[{"n": 1}]', '[{"n": 2}]', '{a}') → false
		details_within('[{"n": 1}]', '[{"type": "a"}]', '{a}') → false
		merge_authorization_details(NULL, NULL) → NULL
		merge_authorization_details('[1]', NULL) → [1]
		merge_authorization_details(NULL, '[1, 1]') → [1]
		merge_authorization_details('[2, 1]', '[1, 3]') → [2, 1, 3]
		merge_authorization_details('[1]', '{}') → 22023
		missing_authorization_details(NULL, '[1]') → NULL
		missing_authorization_details('[1]', NULL) → [1]
		missing_authorization_details('[3, 1, 2]', '[1]') → [3, 2]
		missing_authorization_details('[1]', '[2, 1]') → NULL
		missing_authorization_details('{}', '[1]') → 22023
	`)
}

func TestFamilyLifetimeMayBeLeftOutWithoutARefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.wantOf(`
		family_expiry('epoch', '0', NULL, true) → 22023
		family_expiry('epoch', '0', NULL, false) → NULL
		family_expiry('epoch', '0', '1 hour', false) - 'epoch' → 01:00:00
		family_expiry('epoch', '0', {never}, false) - 'epoch' → NULL
		family_expiry('epoch', '1 minute', '1 hour', false) - 'epoch' → 00:01:00
		family_expiry('epoch', '1 minute', '1 hour', true) - 'epoch' → 00:01:00
		family_expiry('epoch', '1 minute', '1 second', false) - 'epoch' → 00:00:01
		family_expiry('epoch', '1 millisecond', '1 hour', false) → 22023
		family_expiry('epoch', '-1 minute', '1 hour', false) → 22023
		family_expiry('epoch', {never}, NULL, true) → NULL
	`, "{never}", "interval '9223372036854775 microseconds'")
}

func TestWhoMayGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	another := w.NewUser()
	w.suspend(another)
	deleted := w.NewUser()
	w.deleteUser(deleted)
	user := func(of string) string { return `(SELECT u FROM "user" AS u WHERE u.id = '` + of + `')` }
	w.wantOf(`
		granter_refusal('locked', {user}, NULL, NULL) → NULL
		granter_refusal('locked', {user}, 'a session', {session}) → NULL
		granter_refusal('unknown', {user}, NULL, NULL) → unknown
		granter_refusal('unknown', {suspended}, 'a session', {session}) → unknown
		granter_refusal('locked', NULL, NULL, NULL) → unknown
		granter_refusal('locked', {deleted}, 'a session', NULL) → unknown
		granter_refusal('signed_out', {suspended}, 'a session', {session}) → suspended
		granter_refusal('locked', {suspended}, NULL, NULL) → suspended
		granter_refusal('signed_out', {user}, 'a session', {session}) → signed_out
		granter_refusal('locked', {user}, 'a session', NULL) → signed_out
		may_decide({code}, NULL) → true
		may_decide({code}, 'a') → true
		may_decide({device}, 'a') → true
		may_decide({device}, 'b') → false
		may_decide({device}, NULL) → false
		may_decide({unclaimed}, NULL) → false
		may_decide({unclaimed}, 'a') → false
		may_decide({ciba}, 'a') → true
		may_decide({ciba}, 'b') → false
	`,
		"{user}", user(string(w.User)), "{suspended}", user(string(another)), "{deleted}", user(string(deleted)),
		"{session}", `(SELECT s FROM session AS s WHERE s.id = '`+string(w.Session)+`')`,
		"{code}", w.familyWith(`"kind": "code", "user_id": "b"`), "{device}", w.familyWith(`"kind": "device", "user_id": "a"`),
		"{unclaimed}", w.familyWith(`"kind": "device", "user_id": null`), "{ciba}", w.familyWith(`"kind": "ciba", "user_id": "a"`),
	)
}

// familyWith is an expression: a family with some columns.
func (w *world) familyWith(columns string) string {
	w.Helper()
	id, _ := w.Grant()
	return `(SELECT jsonb_populate_record(a, '{` + columns + `}') FROM oauth_authorization AS a WHERE a.id = '` + string(id) + `')`
}

// clientWith is an expression: the world's client with some columns.
func (w *world) clientWith(columns string) string {
	return `(SELECT jsonb_populate_record(c, '{` + columns + `}') FROM oauth_client AS c WHERE c.client_id = '` + string(w.Client) + `')`
}

func TestWhatAClientMayAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.wantOf(`
		judge_asked({any}, NULL, NULL, NULL, NULL, NULL, NULL) → NULL
		judge_asked({any}, '{}', '{}', '{}', '{}', '[]', '{}') → NULL
		judge_asked({any}, '{a}', NULL, NULL, NULL, NULL, NULL) → invalid_scope
		judge_asked({any}, '{a}', '{b,a}', NULL, NULL, NULL, NULL) → NULL
		judge_asked({own}, '{a}', '{a}', NULL, NULL, NULL, NULL) → invalid_scope
		judge_asked({own}, '{s}', NULL, NULL, NULL, NULL, NULL) → NULL
		judge_asked({any}, NULL, NULL, '{a}', NULL, NULL, NULL) → invalid_target
		judge_asked({any}, NULL, NULL, '{a}', '{b,a}', NULL, NULL) → NULL
		judge_asked({own}, NULL, NULL, '{a}', '{a}', NULL, NULL) → invalid_target
		judge_asked({own}, NULL, NULL, '{r}', NULL, NULL, NULL) → NULL
		judge_asked({any}, NULL, NULL, NULL, NULL, '{}', '{t}') → invalid_authorization_details
		judge_asked({any}, NULL, NULL, NULL, NULL, '[{"type": "t"}]', NULL) → invalid_authorization_details
		judge_asked({any}, NULL, NULL, NULL, NULL, '[{"type": "t"}]', '{t}') → NULL
		judge_asked({any}, NULL, NULL, NULL, NULL, '[{"type": "t"}, {"type": "u"}]', '{t}') → invalid_authorization_details
		judge_asked({any}, NULL, NULL, NULL, NULL, '[{"type": 1}]', '{1}') → invalid_authorization_details
		judge_asked({any}, NULL, NULL, NULL, NULL, '[{}]', '{t}') → invalid_authorization_details
		judge_asked({own}, NULL, NULL, NULL, NULL, '[{"type": "u"}]', '{u}') → invalid_authorization_details
		judge_asked({own}, NULL, NULL, NULL, NULL, '[{"type": "t"}]', NULL) → NULL
		judge_narrowed({any}, NULL, '{a}', '{a}', NULL, NULL, NULL, NULL, NULL, NULL) → NULL
		judge_narrowed({any}, '{b}', '{a}', '{a,b}', NULL, NULL, NULL, NULL, NULL, NULL) → invalid_scope
		judge_narrowed({any}, '{b}', '{a,b}', '{a}', NULL, NULL, NULL, NULL, NULL, NULL) → invalid_scope
		judge_narrowed({any}, '{b}', '{a,b}', NULL, NULL, NULL, NULL, NULL, NULL, NULL) → invalid_scope
		judge_narrowed({own}, '{b}', '{a,b}', '{b}', NULL, NULL, NULL, NULL, NULL, NULL) → invalid_scope
		judge_narrowed({own}, '{s}', '{s}', NULL, NULL, NULL, NULL, NULL, NULL, NULL) → NULL
		judge_narrowed({any}, '{b}', '{a,b}', '{a}', '{x}', NULL, NULL, NULL, NULL, NULL) → invalid_scope
		judge_narrowed({any}, NULL, NULL, NULL, '{x}', NULL, '{x}', NULL, NULL, NULL) → invalid_target
		judge_narrowed({any}, NULL, NULL, NULL, '{x}', '{y}', '{x,y}', NULL, NULL, NULL) → invalid_target
		judge_narrowed({any}, NULL, NULL, NULL, '{x}', '{x,y}', '{y}', NULL, NULL, NULL) → invalid_target
		judge_narrowed({any}, NULL, NULL, NULL, '{x}', '{x,y}', NULL, NULL, NULL, NULL) → invalid_target
		judge_narrowed({any}, NULL, NULL, NULL, '{x}', '{x,y}', '{x}', NULL, NULL, NULL) → NULL
		judge_narrowed({own}, NULL, NULL, NULL, '{x}', '{x,r}', '{x}', NULL, NULL, NULL) → invalid_target
		judge_narrowed({own}, NULL, NULL, NULL, '{r}', '{x,r}', NULL, NULL, NULL, NULL) → NULL
		judge_narrowed({any}, NULL, NULL, NULL, NULL, '{x}', '{y}', '[]', NULL, NULL) → invalid_target
		judge_narrowed({any}, NULL, NULL, NULL, NULL, '{x}', '{y}', '[{"type": "t"}]', NULL, NULL) → invalid_target
		judge_narrowed({any}, NULL, NULL, NULL, NULL, '{x}', '{x}', NULL, NULL, NULL) → NULL
		judge_narrowed({any}, NULL, NULL, NULL, NULL, '{}', '{x}', NULL, NULL, NULL) → NULL
		judge_narrowed({own}, NULL, NULL, NULL, NULL, '{r}', NULL, NULL, NULL, NULL) → NULL
		judge_narrowed({own}, NULL, NULL, NULL, NULL, '{x}', '{x}', NULL, NULL, NULL) → invalid_target
		judge_narrowed({any}, NULL, NULL, NULL, NULL, NULL, NULL, '[{"type": "t"}]', '[{"type": "t"}]', NULL) → NULL
		judge_narrowed({any}, NULL, NULL, NULL, NULL, NULL, NULL, '[{"type": "t"}]', NULL, NULL) → invalid_authorization_details
		judge_narrowed({own}, NULL, NULL, NULL, NULL, NULL, NULL, '[{"type": "u"}]', '[{"type": "u"}]', NULL) → invalid_authorization_details
		judge_again({own}, {asked}, '{s}', NULL, NULL) → NULL
		judge_again({moved}, {asked}, '{s}', NULL, NULL) → redirect_uri_mismatched
		judge_again({moved}, {ofDevice}, '{s}', '{s}', NULL) → NULL
		judge_again({machine}, {asked}, '{s}', '{s}', NULL) → unauthorized_client
		judge_again({machine}, {ofDevice}, '{s}', '{s}', NULL) → NULL
		judge_again({own}, {detailed}, NULL, NULL, NULL) → NULL
		judge_again({own}, {strange}, NULL, NULL, NULL) → invalid_authorization_details
		judge_again({any}, {strange}, NULL, NULL, NULL) → NULL
	`,
		"{any}", w.clientWith(``),
		"{own}", w.clientWith(`"scopes": ["s"], "resources": ["r"], "authorization_details_types": ["t"]`),
		"{moved}", w.clientWith(`"redirect_uris": ["https://new.example/"]`), "{machine}", w.clientWith(`"grant_types": ["client_credentials"]`),
		"{asked}", w.familyWith(`"resources": null`), "{ofDevice}", w.familyWith(`"kind": "device", "resources": null`),
		"{detailed}", w.familyWith(`"resources": null, "authorization_details": [{"type": "t"}]`),
		"{strange}", w.familyWith(`"resources": null, "authorization_details": [{"type": "u"}]`),
	)
}

func TestWhichRequestAClientMayMake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	const r = "'https://client.example/callback', "
	w.wantOf(`
		judge_request({plain}, {r}'code', NULL, NULL, false, {nothing}) → NULL
		judge_request({deleted}, {r}'code', NULL, NULL, false, {nothing}) → unknown
		judge_request({disabled}, {r}'code', NULL, NULL, false, {nothing}) → disabled
		judge_request({plain}, 'https://client.example/', 'code', NULL, NULL, false, {nothing}) → redirect_uri_mismatched
		judge_request({pushes}, {r}'code', NULL, NULL, NULL, {nothing}) → request_must_be_pushed
		judge_request({pushes}, {r}'code', NULL, NULL, false, {nothing}) → request_must_be_pushed
		judge_request({pushes}, {r}'code', NULL, NULL, true, {nothing}) → NULL
		judge_request({plain}, {r}NULL, NULL, NULL, false, {nothing}) → unsupported_response_type
		judge_request({plain}, {r}'', NULL, NULL, false, {nothing}) → unsupported_response_type
		judge_request({plain}, {r}'token', NULL, NULL, false, {nothing}) → unsupported_response_type
		judge_request({hybrid}, {r}'token code', {s256}, 'S256', false, {nothing}) → NULL
		judge_request({hybrid}, {r}'code', {s256}, 'S256', false, {nothing}) → unsupported_response_type
		judge_request({hybrid}, {r}'code token id_token', {s256}, 'S256', false, {nothing}) → unsupported_response_type
		judge_request({fragment}, {r}'token', NULL, NULL, false, {nothing}) → NULL
		judge_request({fragment}, {r}'none', NULL, NULL, false, {nothing}) → NULL
		judge_request({unimplicit}, {r}'token', NULL, NULL, false, {nothing}) → unauthorized_client
		judge_request({unimplicit}, {r}'id_token', NULL, NULL, false, {nothing}) → unauthorized_client
		judge_request({unimplicit}, {r}'none', NULL, NULL, false, {nothing}) → NULL
		judge_request({uncoded}, {r}'code', NULL, NULL, false, {nothing}) → unauthorized_client
		judge_request({plain}, {r}'code', NULL, 'S256', false, {nothing}) → pkce_required
		judge_request({public}, {r}'code', NULL, NULL, false, {nothing}) → pkce_required
		judge_request({public}, {r}'token', NULL, NULL, false, {nothing}) → NULL
		judge_request({strict}, {r}'code', NULL, NULL, false, {nothing}) → pkce_required
		judge_request({plain}, {r}'code', {s256}, 'S256', false, {nothing}) → NULL
		judge_request({plain}, {r}'code', {s256} || 'x', 'S256', false, {nothing}) → pkce_method_refused
		judge_request({plain}, {r}'code', {s256}, 'S512', false, {nothing}) → pkce_method_refused
		judge_request({plain}, {r}'code', {s256}, 'plain', false, {nothing}) → pkce_method_refused
		judge_request({plain}, {r}'code', {s256}, NULL, false, {nothing}) → pkce_method_refused
		judge_request({lax}, {r}'code', {s256} || '~', 'plain', false, {nothing}) → NULL
		judge_request({lax}, {r}'code', {s256} || '~', NULL, false, {nothing}) → NULL
		judge_request({lax}, {r}'code', 'short', 'plain', false, {nothing}) → pkce_method_refused
		judge_request({lax}, {r}'code', {s256} || '~', 'S256', false, {nothing}) → pkce_method_refused
		judge_request({lax}, {r}'code', NULL, NULL, false, {nothing}) → NULL
		resolve_redirect_uri('https://a.example/', ARRAY[NULL]::text[]) → NULL
		resolve_redirect_uri('#https://a.example/', '{#https://a.example/}') → NULL
		resolve_redirect_uri(NULL, '{}') → NULL
		resolve_redirect_uri(NULL, '{https://a.example/}') → https://a.example/
	`, "{r}", r, "{s256}", `'`+fixture.Challenge+`'`, "{nothing}", "NULL, NULL, NULL, NULL, NULL, NULL",
		"{plain}", w.clientWith(`"public": false, "require_pkce": false`),
		"{deleted}", w.clientWith(`"deleted_at": "2026-01-01", "disabled": true`), "{disabled}", w.clientWith(`"disabled": true`),
		"{pushes}", w.clientWith(`"public": false, "require_pkce": false, "require_pushed_authorization_requests": true`),
		"{hybrid}", w.clientWith(`"response_types": ["code token"], "grant_types": ["implicit", "authorization_code"]`),
		"{fragment}", w.clientWith(`"public": false, "response_types": ["token", "none"], "grant_types": ["implicit"]`),
		"{unimplicit}", w.clientWith(`"public": false, "response_types": ["token", "id_token", "none"], "grant_types": ["authorization_code"]`),
		"{uncoded}", w.clientWith(`"grant_types": ["implicit"]`),
		"{public}", w.clientWith(`"public": true, "require_pkce": false, "response_types": ["code", "token"], "grant_types": ["implicit", "authorization_code"]`),
		"{strict}", w.clientWith(`"public": false, "require_pkce": null`),
		"{lax}", w.clientWith(`"public": false, "require_pkce": false, "allow_plain_pkce": true`),
	)
}

func TestWhichRedirectURIAClientMayRegister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.wantOf(`
		is_redirect_uri(NULL) → false
		is_redirect_uri('') → false
		is_redirect_uri('https://a.example') → true
		is_redirect_uri('HTTPS://a.example/cb?x=y') → true
		is_redirect_uri('https://a@a.example/') → false
		is_redirect_uri('https:/a.example') → false
		is_redirect_uri('https://a.example/#') → false
		is_redirect_uri('https://a.example/\') → false
		is_redirect_uri('https://a.example/ü') → false
		is_redirect_uri('http://localhost:1/cb') → true
		is_redirect_uri('http://a.example/') → false
		is_redirect_uri('com.example.app:/cb') → true
		is_redirect_uri('/cb') → false
		is_redirect_uri('javascript:x') → false
		is_redirect_uri('vbscript:x') → false
		is_redirect_uri('data:x') → false
		is_redirect_uri('blob:x') → false
		is_redirect_uri('file:x') → false
		is_redirect_uri('about:x') → false
		is_redirect_uri('app:' || repeat('x', 4092)) → true
		is_redirect_uri('app:' || repeat('x', 4093)) → false
	`)
}

func TestAssertionIsFoundByItsOwnDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id, _ := w.Grant()
	a, b := string(fixture.Digest("a")), string(fixture.Digest("b"))
	other, _ := w.Grant(func(p *store.GrantAuthorizationParams) { p.GrantedScopes, p.Resources = nil, nil })
	w.Exec(`INSERT INTO oauth_client_assertion (id, expires_at, access_token_id, authorization_id)
		VALUES ($1, now() + interval '1 hour', 'first', $2), ($3, now() + interval '1 hour', NULL, $4)`, a, string(id), b, string(other))
	w.wantOf(`
		was_granted_by({a}, 'first') → true
		was_granted_by({a}, 'second') → false
		was_granted_by({b}, 'first') → false
		was_granted_by({b}, NULL) → false
		(find_grant_by_assertion({a})).authorization_id = {id} → true
		(find_grant_by_assertion({b})).authorization_id = {other} → true
		(find_grant_by_assertion({b})).resources → NULL
		(find_grant_by_assertion('none')).authorization_id → NULL
	`, "{a}", "'"+a+"'", "{b}", "'"+b+"'", "{id}", "'"+string(id)+"'", "{other}", "'"+string(other)+"'")
}

func TestScopesThatWereAgreedToWithoutAResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Exec(`INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ('c', $1, $2, '{s}')`, string(w.Client), string(w.User))
	w.wantOf(`
		agreed_scopes({none}) → {s}
		agreed_scopes({empty}) → {s}
		agreed_scopes({one}) → {}
	`, "{none}", `(SELECT g FROM oauth_consent AS g WHERE g.id = 'c')`,
		"{empty}", `(SELECT jsonb_populate_record(g, '{"resources": []}') FROM oauth_consent AS g WHERE g.id = 'c')`,
		"{one}", `(SELECT jsonb_populate_record(g, '{"resources": ["r"]}') FROM oauth_consent AS g WHERE g.id = 'c')`)
}

// What the comment of a routine promises holds for whatever it is asked, though no call asks for that.
func TestRoutinesKeepWhatTheirCommentsPromise(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.wantOf(`
		key_fits(NULL, NULL) → true
		key_fits(NULL, '{"jkt": "a"}') → true
		key_fits('{"jkt": "a"}', '{"jkt": "a"}') → true
		key_fits('{"jkt": "a"}', '{"jkt": "b"}') → false
		key_fits('{"jkt": "a"}', NULL) → false
		proves_host(NULL) → true
		proves_host('{}') → true
		proves_host('{implicit,x}') → false
		uses_grant_type(NULL, NULL) → false
		uses_grant_type({client}, NULL) → false
		gets_refresh_token({client}, NULL, true) → false
		gets_refresh_token({client}, NULL, false) → true
		is_ended(NULL, NULL, NULL, NULL) → true
		is_live(NULL, NULL, NULL, NULL) → false
		session_is_live(NULL, NULL) → false
		may_introspect(NULL, 'verified', NULL) → false
		may_introspect({client}, NULL, NULL) → false
		authenticates(NULL, 'verified', NULL) → false
		authenticates({client}, NULL, NULL) → false
		may_present(NULL, NULL, NULL) → false
		may_present({client}, {theirs}, NULL) → true
		may_present({client}, {others}, NULL) → false
	`, "{client}", w.clientWith(`"public": false`),
		"{theirs}", `jsonb_populate_record(NULL::oauth_access_token, '{"client_id": "a", "resources": ["`+string(w.Client)+`"]}')`,
		"{others}", `jsonb_populate_record(NULL::oauth_access_token, '{"client_id": "a", "resources": ["b"]}')`)
}

// What UpdateRegistration says that has waited and changed nothing, though nothing stands against it any more: the client was disabled meanwhile.
func TestReasonForAnUpdateThatChangedNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, c := range []struct {
		columns string
		wants   bool
		reason  string
	}{
		{"client_secret = NULL, foreign_secret_hash = NULL", false, "disabled"},
		{"client_secret = NULL, foreign_secret_hash = NULL", true, "invalid_client_metadata"},
		{"client_secret = NULL, foreign_secret_hash = '$2a$10$x'", true, "disabled"},
		{"client_secret = registration_access_token, foreign_secret_hash = NULL", true, "disabled"},
	} {
		w.Exec(`UPDATE oauth_client SET registration_access_token = $2, `+c.columns+` WHERE client_id = $1`, string(w.Client), string(fixture.Digest("manager")))
		var reason string
		w.OK(w.Pool.QueryRow(w.Ctx, `
			SELECT judge_registration_update(c, c.client_id, $2, NULL, NULL, $3, NULL, NULL, '{https://a.example/}', NULL)
			FROM oauth_client AS c
			WHERE c.client_id = $1`,
			string(w.Client), string(fixture.Digest("manager")), c.wants).Scan(&reason))
		wantEqual(t, c.columns, reason, c.reason)
	}
}

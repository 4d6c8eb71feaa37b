package model

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
)

// TestModelFindsFaults breaks the queries and the routines, one place at a time, and wants the model to disagree: in a scene, or in a few
// random histories in a mood.
func TestModelFindsFaults(t *testing.T) {
	t.Parallel()
	const histories = 60
	db := newModelDB(t)
	for n, f := range faults {
		if testing.Short() && n%8 != 0 {
			continue
		}
		t.Run(f.in+"/"+f.name, func(t *testing.T) {
			right, isQuery := queries[f.in]
			if !isQuery {
				right = db.routine(t, f.in)
			}
			wrong, times := f.put(right)
			if times != max(1, f.times) {
				t.Fatalf("it has changed: %q is in it %d times", f.right, times)
			}
			rewrite, restore := asIs, func() {}
			if isQuery {
				rewrite = func(sql string) string {
					if sql == right {
						return wrong
					}
					return sql
				}
			} else {
				db.exec(t, wrong)
				restore = func() { db.exec(t, right) }
				defer func() { restore() }()
			}
			found := func(h *history) bool {
				if bad := new(pgconn.PgError); len(h.lines) == 0 && h.err != nil || errors.As(h.err, &bad) && bad.Code < "43" && bad.Code > "42" {
					t.Fatalf("what was broken is no SQL: %v", h.err)
				}
				return h.err != nil
			}
			if f.scene != "" {
				h := db.playing(sceneNamed(t, f.scene), rewrite)
				if !found(h) {
					t.Error("the model has not noticed")
				}
				t.Log(h.err)
				return
			}
			broken := db.histories(f.mood, rewrite)
			for n := range histories {
				h := broken.Example(n)
				if !found(h) {
					continue
				}
				t.Logf("history %d: %v", n+1, h.err)
				restore()
				restore = func() {}
				if whole := db.again(h.mood, h.steps); whole.err != nil {
					t.Errorf("without the fault it fails as well: %v", whole.err)
				}
				return
			}
			t.Errorf("the model has not noticed in %d histories", histories)
		})
	}
}

// put puts a fault into a query or a routine, and says in how many places. It names parameters by numbers of its own, as theirs change.
func (f fault) put(right string) (wrong string, times int) {
	var names []string
	pattern := regexp.MustCompile(`\\\$\d+`).ReplaceAllStringFunc(regexp.QuoteMeta(f.right), func(name string) string {
		names = append(names, name[1:])
		return `(\$\d+)`
	})
	place := regexp.MustCompile(pattern)
	wrong = place.ReplaceAllStringFunc(right, func(found string) string {
		times++
		var with []string
		for i, number := range place.FindStringSubmatch(found)[1:] {
			with = append(with, names[i], number)
		}
		return strings.NewReplacer(with...).Replace(f.wrong)
	})
	return wrong, times
}

// routine is the source of a routine, as it is written.
func (db *modelDB) routine(t *testing.T, name string) string {
	t.Helper()
	source, err := os.ReadFile("../../../routines/" + name + ".sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

func (db *modelDB) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := db.pool.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
		t.Fatal(err)
	}
}

// fault is a query or a routine in which some words are replaced.
type fault struct {
	in    string // the query or the routine
	name  string
	mood  string // in which the model sees it soon
	scene string // in which it does, if no mood is named
	right string
	wrong string
	times int // how often right is in it, if it is more than once
}

// queries are those that are broken.
var queries = map[string]string{
	"ApproveAuthorization": store.SQL("ApproveAuthorization"), "GrantAuthorization": store.SQL("GrantAuthorization"),
	"IssueAuthorizationCode": store.SQL("IssueAuthorizationCode"), "TakeAuthorizationByRequestURI": store.SQL("TakeAuthorizationByRequestURI"),
	"RedeemAuthorizationCode": store.SQL("RedeemAuthorizationCode"), "RotateRefreshToken": store.SQL("RotateRefreshToken"),
	"IssueAccessToken": store.SQL("IssueAccessToken"), "IntrospectToken": store.SQL("IntrospectToken"), "RevokeToken": store.SQL("RevokeToken"),
	"EndUserSessions": store.SQL("EndUserSessions"), "ExtendSession": store.SQL("ExtendSession"), "ReinstateUser": store.SQL("ReinstateUser"),
	"RevokeUserAuthorizations": store.SQL("RevokeUserAuthorizations"), "RevokeClientAuthorizations": store.SQL("RevokeClientAuthorizations"),
	"DeleteUser": store.SQL("DeleteUser"), "GrantConsent": store.SQL("GrantConsent"), "CheckConsent": store.SQL("CheckConsent"), "WithdrawConsent": store.SQL("WithdrawConsent"),
	"MarkDeadAuthorizations": store.SQL("MarkDeadAuthorizations"), "DeleteExpiredRefreshTokens": store.SQL("DeleteExpiredRefreshTokens"),
	"DeleteSpentRefreshTokens": store.SQL("DeleteSpentRefreshTokens"), "DeleteDeadConsents": store.SQL("DeleteDeadConsents"),
	"AuthenticateClient":               store.SQL("AuthenticateClient"),
	"CreateAuthorization":              store.SQL("CreateAuthorization"),
	"CreateSession":                    store.SQL("CreateSession"),
	"DeleteDeadAccessTokens":           store.SQL("DeleteDeadAccessTokens"),
	"DeleteEndedAuthorizations":        store.SQL("DeleteEndedAuthorizations"),
	"DeleteExpiredAccessTokens":        store.SQL("DeleteExpiredAccessTokens"),
	"DeleteExpiredSessions":            store.SQL("DeleteExpiredSessions"),
	"DenyAuthorization":                store.SQL("DenyAuthorization"),
	"DisableClient":                    store.SQL("DisableClient"),
	"EnableClient":                     store.SQL("EnableClient"),
	"EraseDeletedClients":              store.SQL("EraseDeletedClients"),
	"EraseDeletedUsers":                store.SQL("EraseDeletedUsers"),
	"IntrospectAccessToken":            store.SQL("IntrospectAccessToken"),
	"IntrospectAccessTokenByID":        store.SQL("IntrospectAccessTokenByID"),
	"CreateDeviceAuthorization":        store.SQL("CreateDeviceAuthorization"),
	"ExchangeToken":                    store.SQL("ExchangeToken"),
	"FindAuthorizationByUserCode":      store.SQL("FindAuthorizationByUserCode"),
	"IssueGrant":                       store.SQL("IssueGrant"),
	"PollDeviceCode":                   store.SQL("PollDeviceCode"),
	"IntrospectAuthorization":          store.SQL("IntrospectAuthorization"),
	"IntrospectRefreshToken":           store.SQL("IntrospectRefreshToken"),
	"ListClientAuthorizations":         store.SQL("ListClientAuthorizations"),
	"ListUserAuthorizations":           store.SQL("ListUserAuthorizations"),
	"MarkEndedSessions":                store.SQL("MarkEndedSessions"),
	"RevokeAccessTokenByID":            store.SQL("RevokeAccessTokenByID"),
	"RevokeAuthorization":              store.SQL("RevokeAuthorization"),
	"RevokeUserAuthorizationsByClient": store.SQL("RevokeUserAuthorizationsByClient"),
	"SuspendUser":                      store.SQL("SuspendUser"),
	"DeleteExpiredAuthorizations":      store.SQL("DeleteExpiredAuthorizations"), "RotateClientSecret": store.SQL("RotateClientSecret"),
}

var faults = []fault{
	// Liveness.
	{in: "is_ended", name: "a revoked family", mood: "rotations", right: "a.revoked_at IS NULL", wrong: "true"},
	{in: "is_ended", name: "the client's epoch", mood: "endings", right: "AND a.client_epoch = c.grants_epoch", wrong: ""},
	{in: "is_ended", name: "a suspended user", mood: "foreign", right: "AND u.suspended_at IS NULL", wrong: ""},
	{in: "is_ended", name: "a deleted user", scene: "a user is deleted", right: "AND u.deleted_at IS NULL", wrong: ""},
	{in: "is_ended", name: "the user's epoch", mood: "endings", right: "AND a.user_epoch = u.grants_epoch", wrong: ""},
	{in: "is_ended", name: "the pair's epoch", mood: "endings", right: "AND a.pair_epoch = pair_epoch(u.ended_grants, a.client_id, a.reference_id)", wrong: ""},
	{in: "is_ended", name: "the session", mood: "endings", right: "(NOT a.bound OR session_goes_on(s, u))", wrong: "true"},
	{in: "is_ended", name: "bound or not", mood: "endings", right: "NOT a.bound OR session_goes_on(s, u)", wrong: "session_goes_on(s, u)"},
	{in: "is_live", name: "a disabled client", scene: "a client is disabled", right: "NOT coalesce(c.disabled, true) AND", wrong: ""},
	{in: "is_live", name: "ended", mood: "endings", right: "AND NOT is_ended(a, c, u, s)", wrong: ""},
	{in: "session_goes_on", name: "ended", mood: "sessions", right: "s.ended_at IS NULL", wrong: "true"},
	{in: "session_goes_on", name: "expired", mood: "sessions", right: "AND s.expires_at > now()", wrong: ""},
	{in: "session_goes_on", name: "an instant too long", mood: "sessions", right: "s.expires_at > now()", wrong: "s.expires_at >= now()"},
	{in: "session_goes_on", name: "the user's epoch", mood: "sessions", right: "AND s.user_sessions_epoch >= u.sessions_epoch", wrong: "AND (true OR s.user_sessions_epoch >= u.sessions_epoch)"},
	{in: "session_is_live", name: "a suspended user", scene: "a user is suspended", right: "AND u.suspended_at IS NULL", wrong: ""},
	{in: "session_is_live", name: "a deleted user", scene: "a user is deleted", right: "AND u.deleted_at IS NULL", wrong: ""},
	{in: "access_token_is_live", name: "revoked", mood: "callers", right: "t.revoked IS NULL", wrong: "true"},
	{in: "access_token_is_live", name: "expired", mood: "grants", right: "AND (t.expires_at IS NULL OR t.expires_at > now())", wrong: ""},
	{in: "access_token_is_live", name: "an instant too long", mood: "collection", right: "t.expires_at > now()", wrong: "t.expires_at >= now()"},
	{in: "access_token_is_live", name: "the family", mood: "endings", right: "AND (t.authorization_id IS NULL OR is_live(a, c, u, s))", wrong: ""},
	{in: "access_token_is_live", name: "a client's own", mood: "callers", right: "t.authorization_id IS NULL OR is_live(a, c, u, s)", wrong: "is_live(a, c, u, s)"},
	{in: "access_token_is_live", name: "its own client", mood: "callers", right: "AND (t.client_epoch IS NULL OR own_client_is_live(t))", wrong: ""},
	{in: "own_client_is_live", name: "its own client disabled", mood: "callers", right: "NOT o.disabled", wrong: "true"},
	{in: "own_client_is_live", name: "its own client's epoch", scene: "the grants of a client end", right: "AND o.grants_epoch = t.client_epoch", wrong: ""},
	{in: "own_client_is_live", name: "its own pair's epoch", scene: "a token is exchanged", right: "AND (t.pair_epoch IS NULL OR t.pair_epoch = pair_epoch(u.ended_grants, t.client_id, t.reference_id))", wrong: ""},
	{in: "times_ended", name: "all tenants", mood: "endings", right: "coalesce((counters ->> '')::bigint, 0)", wrong: "0"},
	{in: "times_ended", name: "one tenant", scene: "tenants", right: "coalesce((counters ->> tenant_key(reference_id))::bigint, 0)", wrong: "0"},
	{in: "tenant_key", name: "without a tenant", scene: "tenants", right: "THEN '-'", wrong: "THEN ''"},
	{in: "end_pair", name: "one counter for all clients", mood: "endings", right: "client_key(client_id)", wrong: "'x'", times: 4},
	{in: "consent_counts", name: "the user's epoch", mood: "consents", right: "g.user_epoch = u.grants_epoch", wrong: "true"},
	{in: "consent_counts", name: "the pair's epoch", mood: "consents", right: "AND g.pair_epoch = pair_epoch(u.ended_grants, g.client_id, g.reference_id)", wrong: ""},
	{in: "consent_counts", name: "a suspended user", mood: "consents", right: "AND u.suspended_at IS NULL", wrong: ""},
	{in: "consent_counts", name: "a deleted user", scene: "a user is deleted", right: "AND u.deleted_at IS NULL", wrong: ""},

	// Who calls.
	{in: "authenticates", name: "nobody is verified", scene: "who calls", right: "c.client_id IS NOT NULL", wrong: "true"},
	{in: "authenticates", name: "verified", mood: "callers", right: "WHEN method = 'verified' THEN true", wrong: ""},
	{in: "authenticates", name: "a public client by any method", mood: "callers", right: "WHEN is_public(c) THEN method = 'none'", wrong: "WHEN is_public(c) THEN true"},
	{in: "may_use_key", name: "a key for a certificate", mood: "callers", right: "THEN c.token_endpoint_auth_method IN ('tls_client_auth', 'self_signed_tls_client_auth')", wrong: "THEN true"},
	{in: "may_use_key", name: "a key without a method", mood: "callers", right: "OR (c.token_endpoint_auth_method IS NULL AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL)", wrong: ""},
	{in: "may_use_key", name: "a secret of a client with a key", scene: "who calls", right: "AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL", wrong: ""},
	{in: "may_use_key", name: "a key whatever is registered", mood: "callers", right: "THEN c.token_endpoint_auth_method = method", wrong: "THEN true"},
	{in: "authenticates", name: "any secret", mood: "callers", right: "c.client_secret = presented AND", wrong: ""},
	{in: "authenticates", name: "a secret that has expired", scene: "secrets", right: "AND (c.client_secret_expires_at IS NULL OR c.client_secret_expires_at > now())", wrong: ""},
	{in: "authenticates", name: "older secrets", mood: "callers", right: "OR is_older_secret(c.client_id, presented)", wrong: ""},
	{in: "is_older_secret", name: "of any client", scene: "secrets", right: "o.client_id = of_client AND", wrong: ""},
	{in: "is_older_secret", name: "for ever", scene: "secrets", right: "AND o.expires_at > now()", wrong: ""},
	{in: "is_public", name: "by its method", mood: "callers", right: "c.token_endpoint_auth_method = 'none',", wrong: ""},
	{in: "IssueAccessToken", name: "authentication", mood: "callers", right: "WHEN NOT authenticates(c, $2::text, $3::token_digest)", wrong: "WHEN NOT (true OR authenticates(c, $2::text, $3::token_digest))"},
	{in: "IssueAccessToken", name: "a disabled client", scene: "a client is disabled", right: "WHEN c.disabled THEN 'disabled'", wrong: ""},
	{in: "IssueAccessToken", name: "a public client", mood: "callers", right: "is_public(c) OR", wrong: ""},
	{in: "IssueAccessToken", name: "the grant type", mood: "callers", right: "OR NOT uses_grant_type(c, 'client_credentials')", wrong: ""},
	{in: "IssueAccessToken", name: "what it asks for", scene: "a client's own tokens", right: "judge_asked(c, $1::text[], $2::text[], $3::text[], $4::text[], NULL, NULL)", wrong: "CASE WHEN coalesce($1::text[], $2::text[], $3::text[], $4::text[]) = '{x}' THEN 'unknown'::outcome END"},
	{in: "judge_asked", name: "what the client is registered for", scene: "a client's own tokens", right: "coalesce(c.scopes, default_scopes, '{}')", wrong: "coalesce(default_scopes, '{}')"},
	{in: "IssueAccessToken", name: "the client's limit", mood: "callers", right: "c.access_token_lifetime", wrong: "NULL"},
	{in: "RedeemAuthorizationCode", name: "the client's limit", mood: "grants", right: "(f.c).access_token_lifetime", wrong: "NULL"},
	{in: "may_introspect", name: "a disabled caller", scene: "a client is disabled", right: "NOT k.disabled AND", wrong: ""},
	{in: "may_introspect", name: "a caller who is not authenticated", mood: "callers", right: "AND authenticates(k, method, presented)", wrong: ""},
	{in: "RevokeToken", name: "a caller who is not authenticated", mood: "callers", right: "AND authenticates(c, $2::text, $3::token_digest)", wrong: "AND (true OR authenticates(c, $2::text, $3::token_digest))"},
	{in: "RevokeToken", name: "another client's", scene: "callers who ask of another client's", right: "ON r.client_id = k.client_id", wrong: "ON true"},
	{in: "RotateClientSecret", name: "the one before is forgotten", mood: "callers", right: "AND k.replaced_expires_at > now()", wrong: "AND false"},

	// Decisions.
	{in: "ApproveAuthorization", name: "a second decision", mood: "grants", right: "WHEN (p.a).status <> 'pending' THEN 'decided'", wrong: ""},
	{in: "ApproveAuthorization", name: "a second click in another session", mood: "grants", right: "AND (p.a).session_id IS NOT DISTINCT FROM $2::session_id", wrong: ""},
	{in: "ApproveAuthorization", name: "a second click by somebody else", mood: "grants", right: "AND (p.a).user_id = $1::user_id", wrong: ""},
	{in: "ApproveAuthorization", name: "a second click on what has ended", scene: "the grants of a user end", right: "WHEN is_ended(p.a, p.c, p.u, p.s) THEN 'revoked'", wrong: ""},
	{in: "ApproveAuthorization", name: "a second click after redemption", mood: "grants", right: "AND (p.a).redeemed_at IS NULL AND (p.a).expires_at > now()", wrong: ""},
	{in: "ApproveAuthorization", name: "a revoked request", scene: "requests that were denied, have expired or were revoked", right: "WHEN (p.a).revoked_at IS NOT NULL THEN 'revoked'", wrong: ""},
	{in: "ApproveAuthorization", name: "an expired request", mood: "grants", right: "WHEN (p.a).expires_at <= now() THEN 'expired'", wrong: ""},
	{in: "ApproveAuthorization", name: "a disabled client", scene: "a client is disabled", right: "WHEN (p.a).expires_at <= now() THEN 'expired'\n                WHEN (p.c).disabled THEN 'disabled'", wrong: "WHEN (p.a).expires_at <= now() THEN 'expired'"},
	{in: "user_refusal", name: "a deleted user", scene: "a user is deleted", right: "OR u.deleted_at IS NOT NULL", wrong: ""},
	{in: "user_refusal", name: "a suspended user", mood: "endings", right: "WHEN u.suspended_at IS NOT NULL THEN 'suspended'::outcome", wrong: "WHEN false THEN NULL"},
	{in: "ApproveAuthorization", name: "whoever approves", scene: "a user is suspended", right: "granter_refusal(l.parents, p.u, $2::session_id, p.s)", wrong: "NULL::outcome"},
	{in: "granter_refusal", name: "a session that is over", scene: "approved in a session", right: "OR NOT session_is_live(s, u)", wrong: ""},
	{in: "ApproveAuthorization", name: "scopes beyond the request", scene: "scopes that a client has lost", right: "WHEN NOT is_within($4::text[], (p.a).scopes) THEN 'invalid_scope'", wrong: ""},
	{in: "ApproveAuthorization", name: "epochs", mood: "grants", right: "(p.u).grants_epoch AS user_epoch, (p.c)", wrong: "(p.u).grants_epoch + 1 AS user_epoch, (p.c)"},
	{in: "ApproveAuthorization", name: "bound", mood: "grants", right: "AND NOT 'offline_access' = ANY (q.granted_scopes)", wrong: ""},
	{in: "GrantAuthorization", name: "another user's session", mood: "grants", right: "AND s.user_id = u.id", wrong: ""},
	{in: "GrantAuthorization", name: "whoever grants", mood: "endings", right: "granter_refusal(l.parents, u, $1::session_id, s)", wrong: "NULL::outcome"},
	{in: "GrantAuthorization", name: "scopes beyond the request", mood: "grants", right: "WHEN NOT is_within($6::text[], coalesce($7::text[], '{}')) THEN 'invalid_scope'", wrong: ""},
	{in: "IssueAuthorizationCode", name: "what has ended", scene: "the grants of a user end", right: "WHEN NOT is_live(a, c, u, s) THEN 'revoked'", wrong: ""},
	{in: "IssueAuthorizationCode", name: "a code redeemed before", mood: "grants", right: "WHEN a.redeemed_at IS NOT NULL THEN 'decided'", wrong: ""},
	{in: "TakeAuthorizationByRequestURI", name: "taken twice", scene: "a request", right: "SET request_uri = NULL, ", wrong: "SET "},

	// Redemption.
	{in: "RedeemAuthorizationCode", name: "authentication", mood: "callers", right: "AND authenticates(c, $2::text, $3::token_digest)", wrong: "AND (true OR authenticates(c, $2::text, $3::token_digest))"},
	{in: "RedeemAuthorizationCode", name: "another client's code", scene: "callers who ask of another client's", right: "WHEN (f.a).client_id <> (f.c).client_id THEN 'mismatched'", wrong: ""},
	{in: "RedeemAuthorizationCode", name: "a challenge that none is presented for", mood: "grants", right: "$13::text IS DISTINCT FROM (f.a).code_challenge THEN", wrong: "$13::text <> (f.a).code_challenge THEN"},
	{in: "RedeemAuthorizationCode", name: "redirect_uri", mood: "grants", right: "IS DISTINCT FROM (f.a).redirect_uri", wrong: "IS DISTINCT FROM $14::text"},
	{in: "RedeemAuthorizationCode", name: "a proof presented twice", scene: "proofs", right: "WHEN NOT f.fresh AND ((f.a).redeemed_as = $15::access_token_id) IS NOT TRUE THEN 'proof_replayed'", wrong: ""},
	{in: "RedeemAuthorizationCode", name: "a code used twice", scene: "a code is redeemed", right: "(f.a).redeemed_as IS DISTINCT FROM $15::access_token_id", wrong: "false"},
	{in: "RedeemAuthorizationCode", name: "the same call again", mood: "grants", right: "AND (f.a).redeemed_as IS DISTINCT FROM $15::access_token_id", wrong: ""},
	{in: "RedeemAuthorizationCode", name: "a replay leaves the tokens alone", scene: "a code is redeemed", right: "WHEN j.outcome = 'replayed' THEN", wrong: "WHEN false THEN"},
	{in: "RedeemAuthorizationCode", name: "another key", mood: "grants", right: "WHEN NOT key_fits((f.a).confirmation, $9::token_confirmation) THEN 'mismatched'", wrong: ""},
	{in: "RedeemAuthorizationCode", name: "a disabled client", mood: "grants", right: "WHEN (f.c).disabled THEN 'disabled'", wrong: ""},
	{in: "RedeemAuthorizationCode", name: "what has ended", mood: "grants", right: "WHEN NOT is_live(f.a, f.c, f.u, f.s) THEN 'revoked'", wrong: ""},
	{in: "RedeemAuthorizationCode", name: "an expired code", scene: "a code that has expired", right: "WHEN (f.a).redeemed_at IS NULL AND (f.a).code_expires_at <= now() THEN 'expired'", wrong: ""},
	{in: "RedeemAuthorizationCode", name: "an instant too long", scene: "a code that has expired", right: "(f.a).code_expires_at <= now()", wrong: "(f.a).code_expires_at < now()"},
	{in: "RedeemAuthorizationCode", name: "resources beyond the grant", scene: "a code is redeemed", right: "WHEN NOT is_within($8::text[], coalesce((f.a).resources, '{}')) THEN 'invalid_target'", wrong: ""},
	{in: "RedeemAuthorizationCode", name: "a confidential client's family bound to a key", mood: "grants", right: "CASE WHEN is_public(j.c) THEN coalesce(t.confirmation, $9::token_confirmation) END", wrong: "coalesce(t.confirmation, $9::token_confirmation)"},
	{in: "RedeemAuthorizationCode", name: "a token that outlives the session", mood: "endings", right: "CASE WHEN (f.a).bound THEN (f.s).expires_at END", wrong: "NULL"},
	{in: "RedeemAuthorizationCode", name: "a token that outlives the family", scene: "tokens live no longer than their session and their family", right: "least(j.access_token_ends_at, j.family_ends_at)::timestamptz AS", wrong: "j.access_token_ends_at::timestamptz AS"},

	// Rotation.
	{in: "RotateRefreshToken", name: "authentication", mood: "callers", right: "WHEN NOT authenticates(p.c, $9::text, $10::token_digest)", wrong: "WHEN NOT (true OR authenticates(p.c, $9::text, $10::token_digest))"},
	{in: "RotateRefreshToken", name: "another client's token", mood: "rotations", right: "AND r.client_id = c.client_id", wrong: ""},
	{in: "RotateRefreshToken", name: "a disabled client", scene: "a client is disabled", right: "WHEN (p.c).disabled THEN 'disabled'", wrong: ""},
	{in: "RotateRefreshToken", name: "another key", mood: "rotations", right: "WHEN NOT key_fits(coalesce((p.a).confirmation, (p.r).confirmation), $11::token_confirmation) THEN 'mismatched'", wrong: ""},
	{in: "RotateRefreshToken", name: "what has ended", mood: "rotations", right: "WHEN NOT is_live(p.a, p.c, p.u, p.s) THEN 'revoked'", wrong: ""},
	{in: "RotateRefreshToken", name: "an expired token", scene: "tokens live no longer than their session and their family", right: "WHEN (p.r).revoked IS NULL AND (p.r).expires_at <= now() THEN 'expired'", wrong: ""},
	{in: "judge_narrowed", name: "wider scopes", scene: "a token is rotated", right: "WHEN NOT is_within(scopes, held_scopes) THEN 'invalid_scope'::outcome", wrong: ""},
	{in: "judge_narrowed", name: "wider resources", mood: "rotations", right: "WHEN NOT is_within(resources, coalesce(held_resources, '{}')) THEN 'invalid_target'::outcome", wrong: ""},
	{in: "RotateRefreshToken", name: "a proof presented twice", mood: "rotations", right: "p.fresh", wrong: "true", times: 3},
	{in: "RotateRefreshToken", name: "a spent token spent again", mood: "rotations", right: "AND t.revoked IS NULL\n", wrong: "\n"},
	{in: "RotateRefreshToken", name: "reuse that asks for more", scene: "reuse that asks for more", right: "OR (p.r).revoked IS NOT NULL", wrong: ""},
	{in: "RotateRefreshToken", name: "a narrowed request narrows the successor", mood: "rotations", right: "g.refresh_token_expires_at, (g.r).scopes", wrong: "g.refresh_token_expires_at, (g.access).scopes"},
	{in: "answer_spent_refresh_token", name: "a retry gets a successor of its own", mood: "rotations", right: "r.successor_id, r.successor, n.expires_at", wrong: "same_successor, r.successor, n.expires_at"},
	{in: "RotateRefreshToken", name: "a token that outlives the session", mood: "rotations", right: "least((p.a).max_expires_at, CASE WHEN (p.a).bound THEN (p.s).expires_at END)", wrong: "(p.a).max_expires_at"},
	{in: "RotateRefreshToken", name: "a successor that outlives the family", mood: "rotations", right: "'RefreshTokenLifetime'), (p.a).max_expires_at\n", wrong: "'RefreshTokenLifetime')\n"},
	{in: "answer_spent_refresh_token", name: "the client's grace", mood: "rotations", right: "coalesce(c.refresh_grace, grace)", wrong: "grace", times: 2},
	{in: "answer_spent_refresh_token", name: "spent by another server", mood: "foreign", right: "WHEN r.successor_id IS NULL THEN 'replayed'", wrong: ""},
	{in: "answer_spent_refresh_token", name: "the successor was used", mood: "rotations", right: "WHEN n.revoked IS NOT NULL", wrong: "WHEN false"},
	{in: "answer_spent_refresh_token", name: "the successor has expired", scene: "a retry once the successor has expired", right: "OR n.expires_at <= now()", wrong: ""},
	{in: "answer_spent_refresh_token", name: "the successor is gone", scene: "a retry once the successor is gone", right: "n.id IS NULL OR", wrong: ""},
	{in: "answer_spent_refresh_token", name: "the same call late", scene: "the same call again once its successor was used", right: "CASE WHEN r.successor_id = same_successor THEN 'superseded' ELSE 'replayed' END", wrong: "'replayed'"},
	{in: "answer_spent_refresh_token", name: "another call late", mood: "rotations", right: "WHEN r.successor_id = same_successor THEN 'superseded' ELSE 'replayed'", wrong: "WHEN r.successor_id = same_successor THEN 'superseded' ELSE 'superseded'"},
	{in: "answer_spent_refresh_token", name: "the successor was used and is gone", scene: "a retry once the successor was used and is gone", right: "OR n.id IS NULL AND EXISTS", wrong: "OR false AND EXISTS"},
	{in: "may_introspect", name: "a public client", scene: "who may ask", right: "AND method <> 'none'", wrong: ""},
	{in: "IntrospectAuthorization", name: "what has ended", scene: "callers who ask of another client's", right: "AND is_live(a, c, u, s)", wrong: ""},
	{in: "ApproveAuthorization", name: "a second click without a code", scene: "a second click without a code", right: "coalesce(q.code, a.code)", wrong: "q.code"},
	{in: "RedeemAuthorizationCode", name: "the same call with the same proof", scene: "proofs", right: "AND ((f.a).redeemed_as = $1::access_token_id) IS NOT TRUE THEN 'proof_replayed'", wrong: "THEN 'proof_replayed'"},
	{in: "RotateRefreshToken", name: "the same call with the same proof", scene: "proofs", right: "ELSE was_rotated_into((p.r).id, $15::refresh_token_id)", wrong: "ELSE false"},
	{in: "answer_spent_refresh_token", name: "since", scene: "the same call again once its access token is gone", right: "CASE WHEN n.id = same_successor THEN r.revoked ELSE now() END", wrong: "now()"},
	{in: "answer_spent_refresh_token", name: "the same call again", scene: "a retry once grace is over", right: "WHEN r.successor_id = same_successor\n            OR", wrong: "WHEN"},
	{in: "answer_spent_refresh_token", name: "until used", scene: "a retry once grace is over", right: "OR coalesce(c.refresh_grace_until_used, until_used)", wrong: ""},
	{in: "answer_spent_refresh_token", name: "for ever", scene: "a retry once grace is over", right: "now() < r.revoked + coalesce(c.refresh_grace, grace)", wrong: "true"},
	{in: "answer_spent_refresh_token", name: "grace that has just ended", scene: "a retry once grace is over", right: "now() < r.revoked +", wrong: "now() <= r.revoked +"},
	{in: "answer_spent_refresh_token", name: "the family goes on", mood: "rotations", right: "WHERE a.id = r.authorization_id AND a.revoked_at IS NULL", wrong: "WHERE false"},
	{in: "answer_spent_refresh_token", name: "the pair goes on", scene: "another server rotates", right: "WHERE u.id = r.user_id", wrong: "WHERE false"},

	// Endings.
	{in: "RevokeUserAuthorizations", name: "the map is emptied alone", mood: "endings", right: "grants_epoch = u.grants_epoch + 1, ", wrong: ""},
	{in: "RevokeClientAuthorizations", name: "nothing", mood: "endings", right: "grants_epoch = c.grants_epoch + 1, ", wrong: ""},
	{in: "raise_epochs", name: "what another server wrote meanwhile", scene: "a user is suspended", right: "OLD.grants_epoch + 1", wrong: "OLD.grants_epoch"},
	{in: "disable_owned_clients", name: "the clients of a deleted user", scene: "the owner of a client is deleted", right: "SET disabled = true, ", wrong: "SET "},
	{in: "EndUserSessions", name: "the one to keep", mood: "sessions", right: "THEN o.sessions_epoch ELSE", wrong: "THEN s.user_sessions_epoch ELSE"},
	{in: "ExtendSession", name: "beyond its maximum", scene: "sessions", right: "least(deadline($1::interval, NULL, 'Lifetime'), s.created_at + $2::interval)", wrong: "greatest(deadline($1::interval, NULL, 'Lifetime'), 0 * $2::interval + s.created_at)"},
	{in: "make_room_for_session", name: "the newest end", scene: "sessions", right: "s.created_at DESC", wrong: "s.created_at"},
	{in: "make_room_for_session", name: "one too many", mood: "sessions", right: "OFFSET max_sessions - 1", wrong: "OFFSET max_sessions"},

	// Consents.
	{in: "consent_goes_on", name: "scopes merged across tenants", mood: "consents", right: "g.reference_id IS NOT DISTINCT FROM n.reference_id AND", wrong: ""},
	{in: "consent_goes_on", name: "merged with what counts no more", scene: "the grants of a user end", right: "AND g.user_epoch = n.user_epoch AND g.pair_epoch = n.pair_epoch", wrong: ""},
	{in: "consent_gaps", name: "agreed to at another resource", mood: "consents", right: "jsonb_array_elements_text(agreed -> resource)", wrong: "jsonb_path_query(agreed, '$.*[*]') #>> '{}'"},
	{in: "consent_gaps", name: "a resource without a scope", mood: "consents", right: " OR (agreed ? resource) IS NOT TRUE", wrong: ""},
	{in: "consent_gaps", name: "agreed to without a resource", mood: "consents", right: "unnest(agreed_scopes(g))", wrong: "jsonb_path_query(agreed, '$.*[*]') #>> '{}' UNION ALL SELECT unnest(agreed_scopes(g))"},
	{in: "stamp_consent", name: "revived by another server", scene: "a consent that another server writes again", right: "(written.user_epoch, written.pair_epoch, written.client_epoch) <> (NEW.user_epoch, NEW.pair_epoch, NEW.client_epoch)", wrong: "false"},
	{in: "CheckConsent", name: "another tenant's", mood: "consents", right: "AND g.reference_id IS NOT DISTINCT FROM $3::reference_id", wrong: "AND ($3::text IS NULL OR true)"},
	{in: "CheckConsent", name: "what counts no more", mood: "consents", right: "AND consent_holds(g, c, u)", wrong: ""},
	{in: "WithdrawConsent", name: "in all tenants", mood: "consents", right: "tenant_key($3::reference_id)", wrong: "coalesce($3::text || NULL, '')", times: 2},

	// Another server.
	{in: "give_family", name: "the refresh token's family", mood: "foreign", right: "WHERE r.id = NEW.refresh_id AND r.client_id", wrong: "WHERE false AND r.client_id"},
	{in: "give_family", name: "another user's family", mood: "foreign", right: "AND a.client_id = NEW.client_id AND a.user_id = NEW.user_id", wrong: ""},
	{in: "give_family", name: "a session that is over", mood: "foreign", right: "AND NOT session_is_live(s, u)", wrong: "AND false", times: 2},
	{in: "give_family", name: "a dead family's access token", scene: "another server's session is over", right: "NEW.revoked := now();", wrong: "NULL;"},
	{in: "give_family", name: "bound", scene: "another server's tokens in a session", right: "AND NOT 'offline_access' = ANY (NEW.scopes)", wrong: ""},
	{in: "refuse_dead_rotation", name: "what has ended", mood: "foreign", right: "is_live(a, c, u, s) AND", wrong: ""},
	{in: "refuse_dead_rotation", name: "expired", scene: "another server rotates", right: "AND (OLD.expires_at IS NULL OR OLD.expires_at > now())", wrong: ""},
	{in: "stamp_session", name: "a suspended user's", mood: "sessions", right: "u.suspended_at IS NOT NULL OR", wrong: "false AND"},

	// The collector.
	{in: "MarkDeadAuthorizations", name: "of a disabled client", scene: "a client is disabled", right: "        is_ended(a, c, u, s)\n        OR", wrong: "        NOT is_live(a, c, u, s)\n        OR"},
	{in: "MarkDeadAuthorizations", name: "with tokens", mood: "collection", right: "AND NOT EXISTS (SELECT FROM oauth_access_token AS t WHERE t.authorization_id = a.id)", wrong: ""},
	{in: "DeleteExpiredRefreshTokens", name: "retention", scene: "tokens that have expired are collected", right: "<= now() - $1::interval", wrong: "<= now() - 0 * $1::interval"},
	{in: "DeleteSpentRefreshTokens", name: "retention", scene: "tokens that never expire are collected", right: "r.revoked <= now() - ", wrong: "r.revoked <= now() - 0 * "},
	{in: "DeleteSpentRefreshTokens", name: "unspent ones", mood: "collection", right: "r.revoked <= now() - $3::interval", wrong: "(0 * $3::interval IS NOT NULL)"},
	{in: "DeleteExpiredAuthorizations", name: "retention", scene: "requests that were denied, have expired or were revoked", right: "<= now() - $1::interval", wrong: "<= now() - 0 * $1::interval"},
	{in: "DeleteDeadConsents", name: "what counts", scene: "what lives is left", right: "AND NOT consent_holds(g, c, u)", wrong: ""},

	// The other calls.
	{in: "judge_request", name: "a disabled client", scene: "what there is not", right: "ELSIF c.disabled THEN", wrong: "ELSIF false THEN"},
	{in: "judge_request", name: "a redirect URI that is not registered", mood: "grants", right: "ELSIF resolve_redirect_uri(redirect_uri, c.redirect_uris) IS NULL THEN", wrong: "ELSIF false THEN"},
	{in: "judge_request", name: "a public client without a challenge", mood: "grants", right: "is_public(c) OR ", wrong: ""},
	{in: "judge_request", name: "a challenge where none is needed", mood: "grants", right: "c.require_pkce IS NOT FALSE", wrong: "true"},
	{in: "judge_asked", name: "scopes beyond those of the client", mood: "grants", right: "coalesce(c.scopes, default_scopes, '{}')", wrong: "default_scopes"},
	{in: "judge_asked", name: "a default that is everything", mood: "grants", right: "coalesce(c.scopes, default_scopes, '{}')", wrong: "coalesce(c.scopes, scopes, '{}')"},
	{in: "judge_asked", name: "resources beyond the default", mood: "grants", right: "coalesce(c.resources, default_resources, '{}')", wrong: "coalesce(c.resources, resources, '{}')"},
	{in: "judge_again", name: "more than was granted counts", scene: "scopes that a client has lost", right: "judge_asked(c, granted, ", wrong: "judge_asked(c, a.scopes, ", times: 2},
	{in: "ApproveAuthorization", name: "what was taken from the client", mood: "grants", right: "judge_again(p.c, p.a, $1::text[], $2::text[], $3::text[])", wrong: "CASE WHEN coalesce($1::text[], $2::text[], $3::text[]) = '{x}' THEN 'unknown'::outcome END"},
	{in: "IssueAuthorizationCode", name: "what was taken from the client", scene: "scopes that a client has lost", right: "judge_again(c, a, a.granted_scopes, $1::text[], $2::text[])", wrong: "CASE WHEN coalesce($1::text[], $2::text[]) = '{x}' THEN 'unknown'::outcome END"},
	{in: "RedeemAuthorizationCode", name: "what was taken from the client", mood: "grants", right: "judge_again(f.c, f.a, (f.a).granted_scopes, $1::text[], $2::text[])", wrong: "CASE WHEN coalesce($1::text[], $2::text[]) = '{x}' THEN 'unknown'::outcome END"},
	{in: "judge_narrowed", name: "a scope that the client has lost, by name", mood: "rotations", right: "WHEN NOT is_within(scopes, coalesce(c.scopes, default_scopes, '{}')) THEN 'invalid_scope'::outcome", wrong: ""},
	{in: "judge_narrowed", name: "a resource that the client has lost, by name", scene: "scopes that a client has lost", right: "WHEN NOT is_within(resources, coalesce(c.resources, default_resources, '{}')) THEN 'invalid_target'::outcome", wrong: ""},
	{in: "narrow_renewed", name: "all scopes that the client had are lost", mood: "rotations", right: "WHEN cardinality(r.scopes) > 0 AND", wrong: "WHEN cardinality(r.scopes) < 0 AND"},
	{in: "RotateRefreshToken", name: "a scope is lost, and nothing is asked for", mood: "rotations", right: "AND is_within(r.scopes, coalesce(c.scopes, $6::text[]))", wrong: ""},
	{in: "RotateRefreshToken", name: "fewer scopes are asked for", mood: "rotations", right: "cardinality($3::text[]) > 0 OR", wrong: ""},
	{in: "answer_spent_refresh_token", name: "a retry asks for more", scene: "a token is rotated", right: "CASE WHEN judged = 'rotated' THEN", wrong: "CASE WHEN true THEN"},
	{in: "judge_narrowed", name: "all resources that the client had are lost", scene: "scopes that a client has lost", right: "WHEN cardinality(held_resources) > 0 AND", wrong: "WHEN cardinality(held_resources) < 0 AND"},
	{in: "kept_within", name: "a scope that the client has lost", mood: "rotations", right: "beyond(list, beyond(list, allowed))", wrong: "list"},
	{in: "DenyAuthorization", name: "a second denial", scene: "requests that were denied, have expired or were revoked", right: "WHEN a.status = 'denied' THEN 'retried'", wrong: ""},
	{in: "DenyAuthorization", name: "a second decision", scene: "a request", right: "WHEN a.status <> 'pending' THEN 'decided'", wrong: ""},
	{in: "DenyAuthorization", name: "a revoked request", scene: "requests that were denied, have expired or were revoked", right: "WHEN a.revoked_at IS NOT NULL THEN 'revoked'", wrong: ""},
	{in: "DenyAuthorization", name: "an expired request", scene: "requests that were denied, have expired or were revoked", right: "WHEN a.expires_at <= now() THEN 'expired'", wrong: ""},
	{in: "TakeAuthorizationByRequestURI", name: "another client's", scene: "a request", right: "AND a.client_id = $3::client_id", wrong: "AND $3::text IS NOT NULL"},
	{in: "key_fits", name: "no key", scene: "keys", right: "coalesce(proven, '{}') @> bound_to", wrong: "coalesce(proven @> bound_to, true)"},
	{in: "key_fits", name: "any key", scene: "keys", right: "coalesce(proven, '{}') @> bound_to", wrong: "proven IS NOT NULL"},
	{in: "proof_is_fresh", name: "always", scene: "proofs", right: "RETURN FOUND", wrong: "RETURN true"},
	{in: "AuthenticateClient", name: "a disabled client", scene: "a client is disabled", right: "WHEN c.disabled THEN 'disabled'", wrong: ""},
	{in: "refresh_token_is_live", name: "a spent token", scene: "a token is rotated", right: "r.revoked IS NULL AND", wrong: ""},
	{in: "refresh_token_is_live", name: "what has ended", scene: "callers who ask of another client's", right: "AND is_live(a, c, u, s)", wrong: ""},
	{in: "IntrospectRefreshToken", name: "a caller who is not authenticated", scene: "callers who are not authenticated", right: "may_introspect(k, $1::text, $3::token_digest)", wrong: "(true OR may_introspect(k, $1::text, $3::token_digest))"},
	{in: "IntrospectAccessToken", name: "what has ended", scene: "a client is disabled", right: "access_token_is_live(p.t, p.a, p.c, p.u, p.s)", wrong: "true"},
	{in: "IntrospectAccessToken", name: "a caller who is not authenticated", scene: "callers who are not authenticated", right: "may_introspect(k, $1::text, $2::token_digest)", wrong: "(true OR may_introspect(k, $1::text, $2::token_digest))"},
	{in: "IntrospectAccessTokenByID", name: "a caller who is not authenticated", scene: "tokens that are known by their ids", right: "may_introspect(k, $1::text, $2::token_digest)", wrong: "(true OR may_introspect(k, $1::text, $2::token_digest))"},
	{in: "RevokeAccessTokenByID", name: "another client's", scene: "tokens that are known by their ids", right: "AND t.client_id = c.client_id", wrong: ""},
	{in: "RevokeAccessTokenByID", name: "a caller who is not authenticated", scene: "tokens that are known by their ids", right: "authenticates(c, $3::text, $4::token_digest)", wrong: "(true OR authenticates(c, $3::text, $4::token_digest))"},
	{in: "RevokeAuthorization", name: "twice", scene: "requests that were denied, have expired or were revoked", right: "AND a.revoked_at IS NULL", wrong: ""},
	{in: "RevokeUserAuthorizationsByClient", name: "nothing", scene: "a token is exchanged", right: "ended_grants = end_pair(u.ended_grants, $1::client_id, ''),", wrong: ""},
	{in: "DisableClient", name: "nothing", scene: "a client is disabled", right: "disabled = true", wrong: "disabled = c.disabled"},
	{in: "EnableClient", name: "a deleted client", scene: "a client is deleted", right: "AND c.deleted_at IS NULL", wrong: ""},
	{in: "disable_client_of_deleted_user", name: "an owner who is deleted", scene: "the owner of a client is deleted", right: ":= EXISTS (", wrong: ":= false AND EXISTS ("},
	{in: "delete_client", name: "twice", scene: "a client is deleted", right: "AND c.deleted_at IS NULL", wrong: ""},
	{in: "delete_client", name: "its secret", scene: "a client is deleted", right: "client_secret = NULL, ", wrong: ""},
	{in: "SuspendUser", name: "twice", scene: "a user is suspended", right: "AND u.suspended_at IS NULL AND", wrong: "AND"},
	{in: "SuspendUser", name: "consents and grants", scene: "a user is suspended", right: "suspended_at = now(), ", wrong: ""},
	{in: "CreateSession", name: "a suspended user's", scene: "a user is suspended", right: "coalesce(user_refusal(u), 'created')", wrong: "coalesce(NULL, 'created')"},
	{in: "end_sessions", name: "twice", scene: "a user is suspended", right: "WHERE s.id = ANY (doomed) AND s.ended_at IS NULL", wrong: "WHERE s.id = ANY (doomed)"},
	{in: "end_user_sessions", name: "the one to keep", scene: "sessions", right: "AND s.id IS DISTINCT FROM keep", wrong: ""},
	{in: "stamp_consent", name: "the pair's epoch", scene: "tenants", right: "pair_epoch(u.ended_grants, NEW.client_id, NEW.reference_id)", wrong: "0"},
	{in: "ListUserAuthorizations", name: "what has ended", scene: "tokens live no longer than their session and their family", right: "AND is_live(a, c, u, s)", wrong: ""},
	{in: "is_in_force", name: "without a token", scene: "tokens live no longer than their session and their family", right: "coalesce(a.expires_at > now(), false)", wrong: "true"},
	{in: "ListClientAuthorizations", name: "what has ended", scene: "tokens live no longer than their session and their family", right: "AND is_live(a, c, u, s)", wrong: ""},
	{in: "MarkEndedSessions", name: "live ones", scene: "a user is deleted", right: "AND NOT session_is_live(s, u)", wrong: ""},
	{in: "DeleteExpiredAccessTokens", name: "live ones", scene: "a retry once the successor is gone", right: "t.expires_at <= now()", wrong: "true"},
	{in: "DeleteExpiredSessions", name: "live ones", scene: "what lives is left", right: "s.expires_at <= now()", wrong: "true", times: 2},
	{in: "DeleteDeadAccessTokens", name: "live ones", scene: "what lives is left", right: "AND (t.revoked IS NOT NULL OR t.client_epoch <> c.grants_epoch OR t.pair_epoch <> pair_epoch(u.ended_grants, t.client_id, t.reference_id))", wrong: ""},
	{in: "DeleteEndedAuthorizations", name: "retention", scene: "tokens that have expired are collected", right: "<= now() - $1::interval", wrong: "<= now() - 0 * $1::interval"},
	{in: "EraseDeletedUsers", name: "with what hangs on them", scene: "a deleted user is erased last", right: "AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.user_id = u.id)", wrong: ""},
	{in: "EraseDeletedClients", name: "live ones", scene: "the owner of a client is deleted", right: "WHERE p.deleted_at IS NOT NULL AND", wrong: "WHERE p.deleted_at IS NULL OR"},

	// Devices, exchanges, grants without a code and access tokens without a row.
	{in: "PollDeviceCode", name: "an expired code", scene: "a device that polls too late", right: "WHEN p.expires_at <= now() THEN 'expired'", wrong: ""},
	{in: "PollDeviceCode", name: "another client's code", scene: "a device", right: "WHEN a.client_id <> c.client_id THEN 'mismatched'", wrong: ""},
	{in: "PollDeviceCode", name: "a denial", scene: "a device that polls too late", right: "WHEN a.status = 'denied' THEN 'denied'", wrong: ""},
	{in: "PollDeviceCode", name: "a revoked request", scene: "a device that polls too late", right: "WHEN a.revoked_at IS NOT NULL THEN 'revoked'", wrong: ""},
	{in: "PollDeviceCode", name: "too early", scene: "a device", right: "r.polled_at + r.poll_interval <= now()", wrong: "true"},
	{in: "PollDeviceCode", name: "in time", scene: "a device", right: "r.polled_at + r.poll_interval <= now()", wrong: "r.polled_at + r.poll_interval < now()"},
	{in: "PollDeviceCode", name: "what was taken from the client", scene: "a device", right: "judge_again(c, a, a.granted_scopes, $1::text[], $2::text[])", wrong: "CASE WHEN coalesce($1::text[], $2::text[]) = '{x}' THEN 'unknown'::outcome END"},
	{in: "PollDeviceCode", name: "other resources", scene: "a device", right: "WHEN NOT is_within($1::text[], coalesce(a.resources, '{}')) THEN 'invalid_target'", wrong: ""},
	{in: "PollDeviceCode", name: "the expiry of a token without a row", scene: "a device whose tokens have no row", right: "greatest(a.expires_at, expiry_without_row(g.access_token_expires_at, $1::token_digest))", wrong: "coalesce(a.expires_at, expiry_without_row(g.access_token_expires_at, $1::token_digest))"},
	{in: "slow_down", name: "the interval stays", scene: "a device", right: "p.poll_interval + interval '5 seconds'", wrong: "p.poll_interval"},
	{in: "judge_redeemed_request", name: "the refresh token was used", scene: "a device that polls too late", right: "WHEN r.revoked IS NOT NULL", wrong: "WHEN false"},
	{in: "judge_redeemed_request", name: "the same call late", scene: "a device that polls too late", right: "CASE WHEN a.redeemed_as = issued_as THEN 'superseded' ELSE 'replayed' END", wrong: "'replayed'"},
	{in: "judge_redeemed_request", name: "the refresh token has expired", scene: "a device that polls too late", right: "OR r.expires_at <= now()", wrong: ""},
	{in: "judge_redeemed_request", name: "for ever", scene: "a device", right: "now() < a.redeemed_at + grace", wrong: "true"},
	{in: "judge_redeemed_request", name: "the family goes on", scene: "a device", right: "WHERE f.id = polled AND f.revoked_at IS NULL", wrong: "WHERE false"},
	{in: "may_decide", name: "anybody", scene: "a device", right: "coalesce(a.user_id = decider, false)", wrong: "true"},
	{in: "FindAuthorizationByUserCode", name: "somebody else's", scene: "a device", right: "WHEN (p.a).user_id <> (p.u).id THEN 'mismatched'", wrong: ""},
	{in: "FindAuthorizationByUserCode", name: "an expired request", scene: "a device that polls too late", right: "WHEN l.expires_at <= now() THEN 'expired'", wrong: ""},
	{in: "FindAuthorizationByUserCode", name: "a decided request", scene: "a device", right: "WHEN (p.a).status <> 'pending' THEN 'decided'", wrong: ""},
	{in: "CreateDeviceAuthorization", name: "the grant type", scene: "a device", right: "WHEN NOT uses_grant_type(c, 'urn:ietf:params:oauth:grant-type:device_code') THEN 'unauthorized_client'", wrong: ""},
	{in: "CreateDeviceAuthorization", name: "the user code of another request", scene: "a device", right: "AND p.expires_at <= now() AND c.outcome", wrong: "AND c.outcome"},
	{in: "ExchangeToken", name: "a dead token", scene: "a token is exchanged", right: "WHERE m.fresh AND m.live AND", wrong: "WHERE m.fresh AND"},
	{in: "ExchangeToken", name: "a token that outlives its subject", scene: "a token is exchanged", right: "least(t.expires_at, a.max_expires_at,", wrong: "least(a.max_expires_at,"},
	{in: "ExchangeToken", name: "without its key", scene: "a token is exchanged", right: "(t.client_id = k.client_id AND NOT key_fits(t.confirmation, $1::token_confirmation))", wrong: "(false AND NOT key_fits(t.confirmation, $1::token_confirmation))"},
	{in: "may_present", name: "a public client", scene: "a token is exchanged", right: "NOT is_public(o) AND", wrong: ""},
	{in: "may_present", name: "whatever it is for", scene: "a token is exchanged", right: "t.resources && (resources || o.client_id::text)", wrong: "true"},
	{in: "IssueGrant", name: "the grant type", scene: "grants without a code", right: "WHEN $1::text <> 'server' AND NOT uses_grant_type(c, $1::text) THEN 'unauthorized_client'", wrong: "WHEN $1::text = 'x' THEN 'unauthorized_client'"},
	{in: "IssueGrant", name: "whoever is acted for", scene: "grants without a code", right: "granter_refusal(l.parents, u, l.session_id, s)", wrong: "NULL"},
	{in: "judge_repeated_grant", name: "what has ended", scene: "grants without a code", right: "CASE WHEN ok THEN 'retried' ELSE 'revoked' END", wrong: "'retried'"},
	{in: "RedeemAuthorizationCode", name: "how long the refresh token is kept", scene: "access tokens that outlive their refresh token", right: "CASE WHEN $21::boolean THEN g.access_token_expires_at END", wrong: "NULL::timestamptz"},
	{in: "RedeemAuthorizationCode", name: "how long the family is kept", scene: "access tokens without a row", right: "CASE WHEN $1::boolean AND NOT j.has_refresh_token", wrong: "CASE WHEN $1::boolean AND false"},
	{in: "answer_spent_refresh_token", name: "how long the token presented is kept", scene: "access tokens that outlive their refresh token", right: "ELSIF n.id <> same_successor THEN", wrong: "ELSIF false THEN"},
	{in: "DeleteExpiredRefreshTokens", name: "what is kept for a token without a row", scene: "access tokens that outlive their refresh token", right: "AND (r.access_token_expires_at IS NULL OR r.access_token_expires_at <= now())", wrong: ""},
	{in: "DeleteSpentRefreshTokens", name: "what is kept for a token without a row", scene: "access tokens that outlive their refresh token", right: "AND (r.access_token_expires_at IS NULL OR r.access_token_expires_at <= now())", wrong: ""},
	{in: "IntrospectAuthorization", name: "an expired one", scene: "access tokens without a row", right: "AND (a.expires_at IS NULL OR a.expires_at > now())", wrong: ""},
	{in: "subject_of", name: "the id of the user", scene: "a client's own grace", right: "ELSE known_subject(of_client, of_user)", wrong: "ELSE of_user"},
}

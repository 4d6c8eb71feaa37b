package race

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// callAct is a call that is neither a grant nor an ending, on a scene that was furnished.
type callAct struct {
	name    string // the call, and more if it is made in several ways
	collect bool   // one of the collector's
	skips   bool   // what another one holds, as the collector's do
	run     func(ctx context.Context, c conn, s *scene) (string, error)
}

// came says what a call came to: its outcome, else whether there was a row.
func came(row any, err error) (string, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return "no row", nil
	}
	if err != nil {
		return "", err
	}
	v := reflect.ValueOf(row)
	if v.Kind() == reflect.Struct {
		if o := v.FieldByName("Outcome"); o.IsValid() {
			v = o
		}
	}
	if o, ok := v.Interface().(store.Outcome); ok {
		return string(o), nil
	}
	return "a row", nil
}

// furniture is the SQL that adds to a scene what the calls need that neither grant nor end.
func (s *scene) furniture() string {
	return strings.NewReplacer(
		"$managed", digest("managed-"+s.n), "$before", digest("before-"+s.n), "$uri", digest("uri-"+s.n), "$dead", digest("dead-"+s.n),
		"$again+", digest(s.again().code+"+"), "$again", digest(s.again().code), "$fspent", digest(s.spentElsewhere()),
		"$subject", digest("subject-"+s.n), "$guess", digest("guess-"+s.n), "$codeA", digest("code-a-"+s.n), "$codeB", digest("code-b-"+s.n),
		"$codeC", digest("code-c-"+s.n), "$iat", digest("iat-"+s.n), "$secret", digest("secret-"+s.n), "$older", digest("older-"+s.n),
		"$n", s.n,
	).Replace(`
		INSERT INTO "user" (id, name) VALUES ('v$n', 'Eve');
		INSERT INTO oauth_client (id, client_id, redirect_uris, user_id) VALUES ('m$n', 'm$n', '{https://m.example/}', 'u$n'), ('l$n', 'l$n', '{https://l.example/}', 'u$n');
		INSERT INTO oauth_client (id, client_id, redirect_uris, subject_type, grant_types) VALUES ('w$n', 'w$n', '{https://w.example/}', 'pairwise', '{authorization_code}');
		INSERT INTO oauth_client (id, client_id, redirect_uris, foreign_secret_hash) VALUES ('h$n', 'h$n', '{https://h.example/}', '$1$x');
		INSERT INTO oauth_client (id, client_id, redirect_uris, registration_access_token, previous_registration_access_token, client_secret)
			VALUES ('g$n', 'g$n', '{https://g.example/}', $managed, $before, $secret);
		INSERT INTO oauth_client (id, client_id, redirect_uris, registration_access_token, unused_since, unused_checked_at)
			VALUES ('z$n', 'z$n', '{https://z.example/}', $older, now() - interval '1 year', now());
		INSERT INTO oauth_client_secret (client_id, digest, expires_at) VALUES ('c$n', $secret, now() + interval '1 hour'), ('c$n', $older, now());
		INSERT INTO oauth_initial_access_token (id, token, max_uses, expires_at) VALUES ('i$n', $iat, 2, now() + interval '1 hour'), ('e$n', $older, 2, now());
		UPDATE oauth_authorization SET request_uri = $uri, request_uri_expires_at = now() + interval '1 hour' WHERE id = 'p$n';
		INSERT INTO oauth_authorization (id, client_id, kind, scopes, expires_at) VALUES ('dead$n', 'c$n', 'device', '{}', now()), ('over$n', 'c$n', 'code', '{}', now());
		INSERT INTO oauth_polled_request (id, code, user_code, expires_at, poll_interval) VALUES ('dead$n', $dead, $dead, now(), '5 seconds');
		INSERT INTO oauth_authorization (id, client_id, kind, scopes, status, user_id, session_id, granted_scopes, bound, user_epoch, client_epoch, pair_epoch, decided_at, expires_at, redeemed_at, redeemed_as)
			SELECT 'again$n', client_id, 'device', scopes, 'approved', user_id, session_id, granted_scopes, bound, 0, 0, 0, now(), now() + interval '1 hour', now(), 'first$n' FROM oauth_authorization WHERE id = 'f$n';
		INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, expires_at, scopes, authorization_id, authorization_code_id)
			SELECT 'again$n', $again+, client_id, session_id, user_id, now() + interval '1 hour', scopes, 'again$n', 'again$n' FROM oauth_refresh_token WHERE id = 'r$n';
		INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval, refresh_token_id) VALUES ('again$n', $again, now() + interval '1 hour', '5 seconds', 'again$n');
		INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, reference_id, expires_at, scopes, authorization_code_id)
			SELECT 'fs$n', $fspent, client_id, session_id, user_id, reference_id, now() + interval '1 hour', scopes, 'fs$n' FROM oauth_refresh_token WHERE id = 'r$n';
		UPDATE oauth_refresh_token SET revoked = now() WHERE id = 'fs$n';
		INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid, due_at, lease, lease_expires_at) VALUES ('delivery$n', 'gone$n', 'c$n', 'u$n', 'sub', 'gone$n', now(), 'lease', now());
		INSERT INTO account (id, provider_id, account_id, user_id, password) VALUES ('j$n', 'credential', 'u$n', 'u$n', 'x');
		INSERT INTO passkey (id, user_id, public_key, sign_count) VALUES ('k$n', 'u$n', '', 0);
		INSERT INTO totp (id, user_id, secret) VALUES ('t$n', 'u$n', '');
		INSERT INTO recovery_code (user_id, digest) VALUES ('u$n', $codeA), ('u$n', $codeB), ('u$n', $codeC);
		INSERT INTO one_time_code (purpose, subject, digest, expires_at) VALUES ('x', $subject, $guess, now() + interval '1 hour'), ('over', $subject, $guess, now());
		INSERT INTO attempt_count (purpose, subject, attempts, resets_at) VALUES ('x', $subject, 1, now() + interval '1 hour'), ('over', $subject, 1, now());
		INSERT INTO jwks (id, public_key, private_key, alg, created_at) VALUES ('new$n', '{}', 'x', 'ES256', now() - interval '2 days'), ('mid$n', '{}', 'x', 'ES256', now() - interval '3 days'), ('old$n', '{}', 'x', 'ES256', now() - interval '4 days');
		INSERT INTO jwks (id, public_key, private_key, alg, expires_at) VALUES ('over$n', '{}', 'x', 'RS256', now());
		INSERT INTO oauth_client (id, client_id, redirect_uris, token_endpoint_auth_method, document_etag, document_fetched_at, document_fresh_until)
			VALUES ('doc$n', 'https://app.example/$n', '{https://app.example/cb}', 'none', 'v1', now() - interval '1 hour', now() - interval '1 minute');
		INSERT INTO verification (id, identifier, value, expires_at) VALUES ('ver$n', 'x', 'y', now());
		INSERT INTO device_code (id, device_code, user_code, status, expires_at) VALUES ('dc$n', 'dc$n', 'dc$n', 'pending', now());
		INSERT INTO oauth_proof (id, expires_at) VALUES ($dead, now());
		INSERT INTO oauth_client_assertion (id, expires_at) VALUES ($dead, now());
		INSERT INTO security_event (call, outcome, created_at) VALUES ('EndSession', 'ended', now() - interval '1 day');
		INSERT INTO session (id, user_id, token, expires_at) VALUES ('past$n', 'u$n', $dead, now()), ('bare$n', 'u$n', $codeA, now());
		INSERT INTO "user" (id, name, suspended_at) VALUES ('sus$n', 'Sue', now());
		INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, expires_at, scopes, authorization_id, authorization_code_id)
			SELECT 'late$n', $dead, client_id, 'past$n', user_id, now(), scopes, 'f$n', 'f$n' FROM oauth_refresh_token WHERE id = 'r$n';
		INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, refresh_id, expires_at, scopes, authorization_id)
			SELECT 'late$n', $dead, client_id, session_id, user_id, id, now(), scopes, authorization_id FROM oauth_refresh_token WHERE id = 'late$n';
		INSERT INTO "user" (id, name, suspended_at, deleted_at) VALUES ('del$n', '', now(), now());
		INSERT INTO oauth_client (id, client_id, redirect_uris, disabled, deleted_at) VALUES ('del$n', 'del$n', '{}', true, now());
		INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ('del$n', 'del$n', 'del$n', '{}');
		UPDATE oauth_consent SET user_epoch = 7 WHERE id = 'del$n';
		INSERT INTO session (id, user_id, token, expires_at) VALUES ('v$n', 'v$n', $older, now() + interval '1 hour');
		INSERT INTO oauth_authorization (id, client_id, kind, scopes, status, user_id, session_id, granted_scopes, bound, user_epoch, client_epoch, pair_epoch, decided_at, revoked_at, revoked_reason)
			SELECT x || '$n', 'c$n', 'code', '{}', 'approved', 'v$n', 'v$n', '{}', true, 0, 0, 0, now(), CASE WHEN x = 'rev' THEN now() END,
				CASE WHEN x = 'rev' THEN 'session_ended'::revocation_reason END
			FROM unnest('{rev,counted}'::text[]) AS v (x);
		INSERT INTO oauth_access_token (id, token, client_id, session_id, user_id, scopes, authorization_id) VALUES ('counted$n', $older, 'c$n', 'v$n', 'v$n', '{}', 'counted$n');
		INSERT INTO oauth_refresh_token (id, token, client_id, session_id, user_id, scopes, authorization_id) VALUES ('counted$n', $older, 'c$n', 'v$n', 'v$n', '{}', 'counted$n');
		INSERT INTO oauth_refresh_token (id, token, client_id, user_id, expires_at, scopes, authorization_id, revoked, successor, successor_id)
			SELECT 'long$n', $secret, client_id, user_id, now(), scopes, authorization_id, now(), token, id FROM oauth_refresh_token WHERE id = 'x$n';
		INSERT INTO oauth_refresh_token (id, token, client_id, user_id, expires_at, scopes, authorization_id)
			SELECT 'lone$n', $managed, client_id, user_id, now(), scopes, authorization_id FROM oauth_refresh_token WHERE id = 'x$n';
		INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid) VALUES ('v$n', 'v$n', 'c$n', 'v$n', 'v$n', 'v$n');
		UPDATE "user" SET sessions_epoch = 1, grants_epoch = 1 WHERE id = 'v$n'`)
}

// ageing is the SQL that lets time pass in a scene: what the grants and endings are about is something for the collector.
func (s *scene) ageing() string {
	return strings.ReplaceAll(`
		UPDATE session SET expires_at = now() WHERE id IN ('s$n', 'o$n');
		UPDATE oauth_access_token SET expires_at = now() WHERE id IN ('a$n', 'b$n');
		UPDATE oauth_authorization SET expires_at = now() WHERE id IN ('p$n', 'q$n', 'g$n', 'd$n', 'e$n', 'again$n');
		UPDATE oauth_polled_request SET expires_at = now() WHERE id IN ('d$n', 'e$n', 'again$n');
		UPDATE oauth_authorization SET revoked_at = now(), revoked_reason = 'authorization_revoked' WHERE id = 'h$n';
		UPDATE oauth_client_secret SET expires_at = now();
		UPDATE oauth_initial_access_token SET expires_at = now();
		UPDATE one_time_code SET expires_at = now();
		UPDATE attempt_count SET resets_at = now();
		UPDATE jwks SET expires_at = now() WHERE id = 'mid$n';
		UPDATE "user" SET grants_epoch = 1 WHERE id = 'u$n'`, "$n", s.n)
}

// again is a device's family whose code was redeemed.
func (s *scene) again() family {
	return family{id: store.AuthorizationID("again" + s.n), code: "again-" + s.n}
}

// spentElsewhere is a refresh token that another server has spent.
func (s *scene) spentElsewhere() string { return "fspent-" + s.n }

func (s *scene) pairwise() store.ClientID { return store.ClientID("w" + s.n) }

func (s *scene) managed() store.ClientID { return store.ClientID("g" + s.n) }

// fetched is when the documents of a scene were fetched: later than the ones that it has, and the same in each of its schedules.
var fetched = time.Now().Add(-time.Minute)

func (s *scene) document() store.PutClientDocumentParams {
	id := "https://app.example/" + s.n
	return store.PutClientDocumentParams{
		ID: store.NewOAuthClientID(), ClientID: store.ClientID(id), DocumentClientID: &id, DocumentETag: new("v2"), FetchedAt: fetched,
		FreshFor: time.Hour, RedirectURIs: []string{"https://app.example/cb"},
	}
}

// request is a request whose id the scene gives, so that a second call is the same call.
func (s *scene) request() store.CreateAuthorizationParams {
	return store.CreateAuthorizationParams{
		ID: store.AuthorizationID("same" + s.n), ClientID: s.client, RedirectURI: new("https://a.example/"), ResponseType: new("code"),
		Scopes: []string{"openid"}, DefaultScopes: fixture.Scopes, Lifetime: time.Hour,
	}
}

// callActs are calls that neither grant nor end anything, and the collector's.
var callActs = []callAct{
	{name: "CreateAuthorization", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateAuthorization(ctx, s.request()))
	}},
	{name: "TakeAuthorizationByRequestURI", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).TakeAuthorizationByRequestURI(ctx, store.TakeAuthorizationByRequestURIParams{
			RequestURI: fixture.Digest("uri-" + s.n), ClientID: s.client, Lifetime: time.Hour,
		}))
	}},
	{name: "FindAuthorizationByRequestURI", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).FindAuthorizationByRequestURI(ctx, store.FindAuthorizationByRequestURIParams{
			RequestURI: fixture.Digest("uri-" + s.n), ClientID: s.client, Lifetime: time.Hour,
		}))
	}},
	{name: "DenyAuthorization", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DenyAuthorization(ctx, store.DenyAuthorizationParams{ID: s.pending}))
	}},
	{name: "CreateDeviceAuthorization", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateDeviceAuthorization(ctx, store.CreateDeviceAuthorizationParams{
			ID: store.AuthorizationID("dev" + s.n), ClientID: s.client, ClientAuthMethod: "verified", DeviceCode: fixture.Digest("device2-" + s.n),
			UserCode: fixture.Digest("dead-" + s.n), Lifetime: time.Hour,
		}))
	}},
	{name: "CreateBackchannelAuthentication", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateBackchannelAuthentication(ctx, store.CreateBackchannelAuthenticationParams{
			ID: store.AuthorizationID("ciba" + s.n), ClientID: s.client, ClientAuthMethod: "verified", UserID: s.user,
			AuthReqID: fixture.Digest("req-" + s.n), Lifetime: time.Hour,
		}))
	}},
	{name: "FindAuthorizationByUserCode", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).FindAuthorizationByUserCode(ctx, store.FindAuthorizationByUserCodeParams{
			UserCode: fixture.Digest(userCode(s.asking)), UserID: s.user, SessionID: &s.session,
		}))
	}},
	{name: "FindAuthorizationByUserCode of another user", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).FindAuthorizationByUserCode(ctx, store.FindAuthorizationByUserCodeParams{
			UserCode: fixture.Digest(userCode(s.asking)), UserID: store.UserID("v" + s.n),
		}))
	}},
	{name: "PollDeviceCode of a request that waits", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).PollDeviceCode(ctx, s.poll(s.asking, fixture.Unique("at"))))
	}},
	{name: "PollDeviceCode retried", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).PollDeviceCode(ctx, s.poll(s.again(), fixture.Unique("at"))))
	}},
	{name: "PollDeviceCode replayed", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p := s.poll(s.again(), fixture.Unique("at"))
		p.Grace = 0
		return came(store.New(c).PollDeviceCode(ctx, p))
	}},
	{name: "RotateRefreshToken replayed", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p := s.rotation(s.rotated.refresh, s.rotated.next, fixture.Unique("at"))
		p.Grace = 0
		return came(store.New(c).RotateRefreshToken(ctx, p))
	}},
	{name: "RotateRefreshToken of the successor", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RotateRefreshToken(ctx, s.rotation(s.rotated.next, s.rotated.next+"+", fixture.Unique("at"))))
	}},
	{name: "RotateRefreshToken of one that another server spent", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RotateRefreshToken(ctx, s.rotation(s.spentElsewhere(), "next-"+s.n, fixture.Unique("at"))))
	}},
	{name: "RotateRefreshToken with a proof", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p := s.rotation(s.at.refresh, s.at.refresh+"+", fixture.Unique("at"))
		p.Proof, p.ProofExpiresAt = new(fixture.Digest("proof-"+s.n)), new(time.Now().Add(time.Hour))
		return came(store.New(c).RotateRefreshToken(ctx, p))
	}},
	{name: "GrantAuthorization with one id", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).GrantAuthorization(ctx, store.GrantAuthorizationParams{
			ID: store.AuthorizationID("same" + s.n), UserID: s.user, ClientID: s.client, SessionID: &s.session, Scopes: []string{"openid"},
			GrantedScopes: []string{"openid"}, DefaultScopes: fixture.Scopes, ResponseType: new("code"), RedirectURI: new("https://a.example/"),
			Code: fixture.Digest("same-" + s.n), CodeLifetime: time.Hour,
		}))
	}},
	{name: "IssueGrant with one id", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p, _ := s.directGrant()
		p.ID, p.AccessTokenID, p.AccessToken = store.AuthorizationID("grant"+s.n), store.AccessTokenID("grant"+s.n), new(fixture.Digest("grant-"+s.n))
		p.RefreshTokenID, p.RefreshToken = new(store.RefreshTokenID("grant"+s.n)), new(fixture.Digest("grant+"+s.n))
		return came(store.New(c).IssueGrant(ctx, p))
	}},
	{name: "ImportRefreshToken with one id", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p, _ := s.imported()
		p.ID, p.Tokens = store.AuthorizationID("imported"+s.n), token.Digests{fixture.Digest("imported-" + s.n)}
		return came(store.New(c).ImportRefreshToken(ctx, p))
	}},
	{name: "ImportConsent", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).ImportConsent(ctx, store.ImportConsentParams{ID: store.NewConsentID(), UserID: s.user, ClientID: s.client, Scopes: []string{"email"}}))
	}},
	{name: "IssueGrant to a client with pairwise subjects", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).IssueGrant(ctx, store.IssueGrantParams{
			ID: store.NewAuthorizationID(), UserID: s.user, ClientID: s.pairwise(), SessionID: &s.session, GrantType: "server",
			AccessTokenID: store.NewAccessTokenID(), AccessTokenLifetime: time.Hour, FamilyLifetime: store.Never,
		}))
	}},
	{name: "IssueTokenByAssertion of one assertion", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p, _ := s.assertion()
		p.AssertionID = token.GrantAssertionID(fixture.Issuer, s.n)
		return came(store.New(c).IssueTokenByAssertion(ctx, p))
	}},
	{name: "CreatePairwiseSubject", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreatePairwiseSubject(ctx, store.CreatePairwiseSubjectParams{ClientID: s.pairwise(), UserID: s.user, Subject: store.Subject("sub" + s.n)}))
	}},
	{name: "RememberProof", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RememberProof(ctx, store.RememberProofParams{ID: fixture.Digest("proof-" + s.n), ExpiresAt: time.Now().Add(time.Hour)}))
	}},
	{name: "RememberClientAssertion", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RememberClientAssertion(ctx, store.RememberClientAssertionParams{
			ID: fixture.Digest("jti-" + s.n), ExpiresAt: time.Now().Add(time.Minute).Unix(), MaxLifetime: time.Hour,
		}))
	}},
	{name: "CreateUser", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateUser(ctx, store.CreateUserParams{ID: store.NewUserID(), Name: "Bob"}))
	}},
	{name: "UpdateUser", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UpdateUser(ctx, store.UpdateUserParams{ID: s.user, Name: new("Bob")}))
	}},
	{name: "ReinstateUser", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).ReinstateUser(ctx, s.user))
	}},
	{name: "ReinstateUser of one who is suspended", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).ReinstateUser(ctx, store.UserID("sus"+s.n)))
	}},
	{name: "DeleteUser of one who is suspended", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeleteUser(ctx, store.UserID("sus"+s.n)))
	}},
	{name: "RevokeAuthorization of one that has lapsed", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RevokeAuthorization(ctx, store.AuthorizationID("over"+s.n)))
	}},
	{name: "EndSession of one that has expired", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).EndSession(ctx, store.SessionID("bare"+s.n)))
	}},
	{name: "CreateAccount", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateAccount(ctx, store.CreateAccountParams{ID: store.NewAccountID(), UserID: s.user, ProviderID: "https://x.example", AccountID: fixture.Unique("x")}))
	}},
	{name: "UpdateAccountPassword", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UpdateAccountPassword(ctx, store.UpdateAccountPasswordParams{UserID: s.user, Password: "y"}))
	}},
	{name: "UpdateAccountTokens", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UpdateAccountTokens(ctx, store.UpdateAccountTokensParams{ID: store.AccountID("i" + s.n), AccessToken: new("sealed")}))
	}},
	{name: "DeleteAccount", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeleteAccount(ctx, store.DeleteAccountParams{ID: store.AccountID("i" + s.n), UserID: s.user}))
	}},
	{name: "DeleteAccount of the other", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeleteAccount(ctx, store.DeleteAccountParams{ID: store.AccountID("j" + s.n), UserID: s.user}))
	}},
	{name: "CreateClient", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateClient(ctx, store.CreateClientParams{
			ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), RedirectURIs: []string{fixture.RedirectURI}, UserID: &s.user,
		}))
	}},
	{name: "UpdateClient", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UpdateClient(ctx, store.UpdateClientParams{ClientID: s.client, Name: new("Bob")}))
	}},
	{name: "UpdateClient that hands one over to the user", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UpdateClient(ctx, store.UpdateClientParams{ClientID: s.pairwise(), UserID: &s.user}))
	}},
	{name: "UpdateClient that hands one over to another user", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UpdateClient(ctx, store.UpdateClientParams{ClientID: store.ClientID("m" + s.n), UserID: new(store.UserID("v" + s.n))}))
	}},
	{name: "EnableClient", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).EnableClient(ctx, s.client))
	}},
	{name: "EnableClient of the user's", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).EnableClient(ctx, store.ClientID("m"+s.n)))
	}},
	{name: "DeleteClient of the user's", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeleteClient(ctx, store.ClientID("m"+s.n)))
	}},
	{name: "RotateClientSecret", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RotateClientSecret(ctx, store.RotateClientSecretParams{ClientID: s.client, ClientSecret: fixture.Digest("new-" + s.n), Overlap: time.Hour, Lifetime: store.Never}))
	}},
	{name: "RotateClientSecret to an older one", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RotateClientSecret(ctx, store.RotateClientSecretParams{ClientID: s.client, ClientSecret: fixture.Digest("secret-" + s.n), Overlap: time.Hour, Lifetime: store.Never}))
	}},
	{name: "ReplaceForeignSecretHash", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).ReplaceForeignSecretHash(ctx, store.ReplaceForeignSecretHashParams{ClientID: store.ClientID("h" + s.n), ForeignSecretHash: "$1$x", ClientSecret: fixture.Digest("new-" + s.n)}))
	}},
	{name: "RotateClientSecret of one with a foreign hash", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RotateClientSecret(ctx, store.RotateClientSecretParams{ClientID: store.ClientID("h" + s.n), ClientSecret: fixture.Digest("other-" + s.n), Overlap: time.Hour, Lifetime: store.Never}))
	}},
	{name: "SetRegistrationAccessToken", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).SetRegistrationAccessToken(ctx, store.SetRegistrationAccessTokenParams{ClientID: s.managed(), RegistrationAccessToken: new(fixture.Digest("set-" + s.n))}))
	}},
	{name: "RegisterClient", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p := registration("iat-" + s.n)
		p.UserID = &s.user
		return came(store.New(c).RegisterClient(ctx, p))
	}},
	{name: "RegisterClient with one id", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p := registration("")
		p.ID, p.ClientID, p.RegistrationAccessToken = store.OAuthClientID("reg"+s.n), store.ClientID("reg"+s.n), new(fixture.Digest("reg-"+s.n))
		return came(store.New(c).RegisterClient(ctx, p))
	}},
	{name: "UpdateRegistration", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UpdateRegistration(ctx, store.UpdateRegistrationParams{
			ClientID: s.managed(), RegistrationAccessToken: fixture.Digest("managed-" + s.n), NewRegistrationAccessToken: new(fixture.Digest("managed2-" + s.n)),
			RedirectURIs: []string{fixture.RedirectURI}, TokenEndpointAuthMethod: new("none"),
		}))
	}},
	{name: "FindClientByRegistrationToken", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).FindClientByRegistrationToken(ctx, store.FindClientByRegistrationTokenParams{ClientID: s.managed(), RegistrationAccessToken: fixture.Digest("managed-" + s.n)}))
	}},
	{name: "DeleteRegistration", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeleteRegistration(ctx, store.DeleteRegistrationParams{ClientID: s.managed(), RegistrationAccessToken: fixture.Digest("managed-" + s.n)}))
	}},
	{name: "PutClientDocument", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).PutClientDocument(ctx, s.document()))
	}},
	{name: "PutClientDocument of a new one", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		p := s.document()
		p.ClientID += "/new"
		p.DocumentClientID = new(string(p.ClientID))
		return came(store.New(c).PutClientDocument(ctx, p))
	}},
	{name: "RefreshClientDocument", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RefreshClientDocument(ctx, store.RefreshClientDocumentParams{ClientID: s.document().ClientID, DocumentETag: "v1", FetchedAt: fetched.Add(time.Second), FreshFor: time.Hour}))
	}},
	{name: "CreateInitialAccessToken", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateInitialAccessToken(ctx, store.CreateInitialAccessTokenParams{ID: store.NewInitialAccessTokenID(), Token: fixture.Digest(fixture.Unique("iat")), MaxUses: 1, Lifetime: time.Hour}))
	}},
	{name: "RevokeInitialAccessToken", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RevokeInitialAccessToken(ctx, store.InitialAccessTokenID("i"+s.n)))
	}},
	{name: "CreateTrustedIssuer", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateTrustedIssuer(ctx, store.CreateTrustedIssuerParams{ID: store.NewTrustedIssuerID(), Issuer: fixture.Unique("https://"), Audiences: []string{"x"}, SigningAlgorithms: []string{"ES256"}}))
	}},
	{name: "UpdateTrustedIssuer", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UpdateTrustedIssuer(ctx, store.UpdateTrustedIssuerParams{ID: fixture.Issuer, Audiences: []string{fixture.Audience}, SigningAlgorithms: []string{"ES256"}, AnyClient: true}))
	}},
	{name: "DisableTrustedIssuer", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DisableTrustedIssuer(ctx, fixture.Issuer))
	}},
	{name: "EnableTrustedIssuer", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).EnableTrustedIssuer(ctx, fixture.Issuer))
	}},
	{name: "DeleteTrustedIssuer", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeleteTrustedIssuer(ctx, fixture.Issuer))
	}},
	{name: "CreatePasskey", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreatePasskey(ctx, store.CreatePasskeyParams{ID: store.PasskeyID(fixture.Unique("another")), UserID: s.user, PublicKey: "x"}))
	}},
	{name: "UsePasskey", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UsePasskey(ctx, store.UsePasskeyParams{ID: store.PasskeyID("k" + s.n), SignCount: 1}))
	}},
	{name: "DeletePasskey", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeletePasskey(ctx, store.DeletePasskeyParams{ID: store.PasskeyID("k" + s.n), UserID: s.user}))
	}},
	{name: "CreateTOTP", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateTOTP(ctx, store.CreateTOTPParams{ID: store.TOTPID(fixture.Unique("another")), UserID: s.user, Secret: "x"}))
	}},
	{name: "UseTOTP", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UseTOTP(ctx, store.UseTOTPParams{ID: store.TOTPID("t" + s.n), UserID: s.user, Steps: []int64{1}}))
	}},
	{name: "DeleteTOTP", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeleteTOTP(ctx, store.DeleteTOTPParams{ID: store.TOTPID("t" + s.n), UserID: s.user}))
	}},
	{name: "UseRecoveryCode", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).UseRecoveryCode(ctx, store.UseRecoveryCodeParams{UserID: s.user, Digest: fixture.Digest("code-a-" + s.n)}))
	}},
	{name: "ReplaceRecoveryCodes", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).ReplaceRecoveryCodes(ctx, store.ReplaceRecoveryCodesParams{UserID: s.user, Digests: token.Digests{fixture.Digest("code-d-" + s.n)}}))
	}},
	{name: "DeleteRecoveryCodes", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeleteRecoveryCodes(ctx, s.user))
	}},
	{name: "CreateOneTimeCode", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateOneTimeCode(ctx, store.CreateOneTimeCodeParams{Purpose: "x", Subject: fixture.Digest("subject-" + s.n), Digest: fixture.Digest("guess2-" + s.n), Lifetime: time.Hour}))
	}},
	{name: "RedeemOneTimeCode", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RedeemOneTimeCode(ctx, store.RedeemOneTimeCodeParams{Purpose: "x", Subject: fixture.Digest("subject-" + s.n), Digest: fixture.Digest("guess-" + s.n), MaxAttempts: 5, AttemptWindow: time.Hour}))
	}},
	{name: "CountAttempt", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CountAttempt(ctx, store.CountAttemptParams{Purpose: "x", Subject: fixture.Digest("subject-" + s.n), MaxAttempts: 5, AttemptWindow: time.Hour}))
	}},
	{name: "ResetAttempts", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).ResetAttempts(ctx, store.ResetAttemptsParams{Purpose: "x", Subject: fixture.Digest("subject-" + s.n)}))
	}},
	{name: "CreateSigningKey", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).CreateSigningKey(ctx, store.CreateSigningKeyParams{ID: store.NewSigningKeyID(), PublicKey: "{}", PrivateKey: "sealed", Alg: new("ES256")}))
	}},
	{name: "RotateSigningKeyIfDue", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RotateSigningKeyIfDue(ctx, store.RotateSigningKeyIfDueParams{ID: store.NewSigningKeyID(), PublicKey: "{}", PrivateKey: "x", Alg: "ES256", MaxAge: time.Hour}))
	}},
	{name: "RetireSigningKey", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RetireSigningKey(ctx, store.RetireSigningKeyParams{ID: store.SigningKeyID("mid" + s.n), Lifetime: time.Hour}))
	}},
	{name: "RetireReplacedSigningKeys", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RetireReplacedSigningKeys(ctx, store.RetireReplacedSigningKeysParams{Alg: "ES256", Lifetime: time.Hour}))
	}},
	{name: "DeleteSigningKey", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).DeleteSigningKey(ctx, store.SigningKeyID("mid"+s.n)))
	}},
	{name: "RevokeAccessTokenByID", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).RevokeAccessTokenByID(ctx, store.RevokeAccessTokenByIDParams{ID: store.AccessTokenID("a" + s.n), ClientID: s.client, ClientAuthMethod: "verified"}))
	}},
	{name: "ClaimLogoutDeliveries", skips: true, run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).ClaimLogoutDeliveries(ctx, store.ClaimLogoutDeliveriesParams{PageSize: 10, LeaseLifetime: time.Hour}))
	}},
	{name: "FinishLogoutDelivery", run: func(ctx context.Context, c conn, s *scene) (string, error) {
		return came(store.New(c).FinishLogoutDelivery(ctx, store.FinishLogoutDeliveryParams{ID: store.SessionClientID("delivery" + s.n), Lease: "lease", Delivered: true}))
	}},
}

// wholeBatch is more than a scene has. Which of several rows comes first would be open.
const wholeBatch = 100

// collectorActs are the collector's calls.
func collectorActs() []callAct {
	var acts []callAct
	for name, collect := range collectors {
		acts = append(acts, callAct{name: name, collect: true, run: func(ctx context.Context, c conn, s *scene) (string, error) {
			_, err := collect(ctx, store.New(c), wholeBatch)
			return "", err
		}})
	}
	return acts
}

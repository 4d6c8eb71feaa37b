package calls

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// textOf is the text that a field holds, or the first that it holds; not valid if it is of another type.
func textOf(field reflect.Value) reflect.Value {
	if field.Kind() == reflect.Pointer {
		field = field.Elem()
	}
	if field.Kind() == reflect.Slice && field.Type() != reflect.TypeFor[json.RawMessage]() {
		field = field.Index(0)
	}
	if field.Kind() != reflect.String {
		return reflect.Value{}
	}
	return field
}

// refused runs calls that have to be refused. Nothing may be written, and the connection, the only one, has to be the same
// before and after, and in working order.
func (w *world) refused(calls func()) {
	w.Helper()
	var before, after int
	w.OK(w.Pool.QueryRow(w.Ctx, "SELECT pg_backend_pid()").Scan(&before))
	w.Unchanged(calls)
	w.OK(w.Pool.QueryRow(w.Ctx, "SELECT pg_backend_pid()").Scan(&after))
	if before != after || w.Pool.Stat().TotalConns() != 1 {
		w.Errorf("the connection was replaced: pid %d before, %d after", before, after)
	}
}

// violation fails the test unless err says which constraint was violated, and in which call.
func (w *world) violation(err error, call string, want store.Constraint) {
	w.Helper()
	if got := pgErrorOf(err).ConstraintName; got != string(want) {
		w.Errorf("%s: got %v, want a violation of %s", call, err, want)
		return
	}
	for _, clear := range []string{"query " + call + ":", string(want)} {
		if !strings.Contains(err.Error(), clear) {
			w.Errorf("error %q does not name %s", err, clear)
		}
	}
}

func TestNULAndInvalidUTF8AreRefusedWhereverTheyStand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, err := w.Q.CreateAuthorization(w.Ctx, w.RequestParams()) // or MarkUnusedClients writes down that the client is unused
	w.OK(err)
	fields := 0
	w.refused(func() {
		for _, bad := range []string{"x\x00y", "\x00", "x\xff", "\xed\xa0\x80"} {
			for _, c := range fixture.AnyCalls(w.Q) {
				c.EachField(func(name string, parameter int, arg, field reflect.Value) {
					text := textOf(field)
					isDigest := text.IsValid() && text.Type() == reflect.TypeFor[token.Digest]()
					isID := text.IsValid() && text.Type().Implements(reflect.TypeFor[interface{ Storable() bool }]())
					switch {
					case field.Type() == reflect.TypeFor[json.RawMessage]():
						field.Set(reflect.ValueOf(json.RawMessage(`{"x": "` + bad + `"}`)))
					case text.IsValid():
						text.SetString(bad)
					default:
						return
					}
					fields++
					err := c.Call(w.Ctx, arg)
					if isDigest || isID { // which finds nothing
						if strings.HasPrefix(pgErrorOf(err).Code, "22") || errors.Is(err, token.ErrDigest) {
							t.Errorf("%s of %q: got %v, want it to find nothing", name, bad, err)
						}
						return
					}
					e := pgErrorOf(err)
					if e.Code != "22021" || !strings.Contains(err.Error(), "query "+c.Name+":") {
						t.Errorf("%s of %q: got %v, want an invalid byte sequence", name, bad, err)
					}
					if want := fmt.Sprintf("parameter $%d", parameter); !strings.HasSuffix(e.Where, want) {
						t.Errorf("%s of %q: the error is located at %q, want %s", name, bad, e.Where, want)
					}
				})
			}
		}
	})
	if fields < 400 {
		t.Errorf("only %d fields were tried", fields)
	}
}

// A digest that can't be stored is sent as NULL, which is not what a row has that has no such digest.
func TestUnstorableDigestFindsNoRowWithoutOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	taken := store.TakeAuthorizationByRequestURIParams{Lifetime: time.Hour, RequestURI: fixture.Digest("uri"), ClientID: w.Client}
	w.pending(func(p *store.CreateAuthorizationParams) {
		p.RequestURI, p.RequestURILifetime = &taken.RequestURI, time.Minute
	})
	_, err := w.Q.TakeAuthorizationByRequestURI(w.Ctx, taken)
	w.OK(err)
	w.Exec(`UPDATE oauth_client SET previous_registration_access_token = $2 WHERE client_id = $1`, w.Client, string(fixture.Digest("replaced")))
	w.Unchanged(func() {
		_, err := w.Q.FindClientByRegistrationToken(w.Ctx, store.FindClientByRegistrationTokenParams{ClientID: w.Client, RegistrationAccessToken: "\x00"})
		w.None(err)
		taken.RequestURI = "\x00"
		_, err = w.Q.TakeAuthorizationByRequestURI(w.Ctx, taken)
		w.None(err)
	})
}

// JSON has an escape for NUL, which jsonb cannot hold.
func TestEscapedNULInJSONIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.refused(func() {
		for _, c := range fixture.AnyCalls(w.Q) {
			c.EachField(func(name string, parameter int, arg, field reflect.Value) {
				switch field.Type() {
				case reflect.TypeFor[json.RawMessage]():
					field.Set(reflect.ValueOf(json.RawMessage(`{"x": "\u0000"}`)))
				case reflect.TypeFor[*token.Confirmation]():
					field.Set(reflect.ValueOf(&token.Confirmation{JKT: "\x00"}))
				default:
					return
				}
				if err := c.Call(w.Ctx, arg); pgErrorOf(err).Code != "22P05" {
					t.Errorf("%s: got %v, want it refused", name, err)
				}
			})
		}
	})
}

func TestRawCredentialIsRefusedWhereADigestBelongs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	raws := []string{
		"secret-secret-secret", "oat_secretsecretsecretsecretsecretsecretsecretsecret",
		strings.Repeat("s", 42), strings.Repeat("s", 44), // nearly as long as a digest
		strings.Repeat("s", 43) + "=", strings.Repeat("s+", 21) + "s", // base64, but not base64url without padding
	}
	fields := 0
	w.refused(func() {
		for _, raw := range raws {
			for _, c := range fixture.AnyCalls(w.Q) {
				c.EachField(func(name string, _ int, arg, field reflect.Value) {
					text := textOf(field)
					if !text.IsValid() || text.Type() != reflect.TypeFor[token.Digest]() {
						return
					}
					fields++
					text.SetString(raw)
					err := c.Call(w.Ctx, arg)
					if !errors.Is(err, token.ErrDigest) {
						t.Errorf("%s: got %v, want it refused", name, err)
					} else if raw != "" && strings.Contains(err.Error(), raw) {
						t.Errorf("%s: the error tells the credential: %v", name, err)
					}
				})
			}
		}
	})
	if fields < 20*len(raws) {
		t.Errorf("only %d fields were tried", fields)
	}
}

func TestRawCredentialIsRefusedByTheTablesToo(t *testing.T) {
	t.Parallel()
	w := newRowOfEach(t)
	w.Exec(withDigests(`UPDATE oauth_refresh_token SET revoked = now(), successor = OTHER, successor_id = 'r2'`))
	columns := fixture.CatalogLines(t, w.Pool, `
		SELECT a.attrelid::regclass || '.' || a.attname
		FROM pg_attribute AS a
		JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r'
		WHERE a.atttypid = 'stored_token_digest'::regtype
		ORDER BY 1`)
	if len(columns) < 10 {
		t.Fatalf("only the columns %v hold digests", columns)
	}
	w.refused(func() {
		for _, name := range columns {
			table, column, _ := strings.Cut(name, ".")
			for _, raw := range []string{"", "secret", strings.Repeat("s", 44), strings.Repeat("s", 42) + "+", strings.Repeat("s", 42) + "\n"} {
				_, err := w.Pool.Exec(w.Ctx, fmt.Sprintf("UPDATE %s SET %s = $1", table, column), raw)
				if got, want := pgErrorOf(err).ConstraintName, string(store.ConstraintTokenDigestIsDigest); got != want {
					t.Errorf("%s = %q: got %v, want a violation of %s", name, raw, err, want)
				}
			}
		}
	})
}

// constraintViolations are statements that violate one constraint each, run on the rows of newRowOfEach.
var constraintViolations = []struct {
	constraint store.Constraint
	sql        string
}{
	{store.ConstraintUserPKey, `INSERT INTO "user" (id, name, email) VALUES ('u', '', 'other@example.com')`},
	{store.ConstraintUserEmailUIdx, `INSERT INTO "user" (id, name, email) VALUES ('u2', '', 'u@example.com')`},
	{store.ConstraintUserEmailUIdx, `INSERT INTO "user" (id, name, email) VALUES ('u2', '', 'U@Example.com')`},
	{store.ConstraintUserIDLength, `INSERT INTO "user" (id, name, email) VALUES ('', '', 'other@example.com')`},
	{store.ConstraintUserIDLength, `INSERT INTO "user" (id, name, email) VALUES (repeat('ä', 128), '', 'other@example.com')`},
	{store.ConstraintShortTextLength, `UPDATE "user" SET name = repeat('ä', 2049)`},
	{store.ConstraintUserEmailIsAddress, `UPDATE "user" SET email = ''`},
	{store.ConstraintUserEmailIsAddress, `UPDATE "user" SET email = 'u'`},
	{store.ConstraintUserEmailIsAddress, `UPDATE "user" SET email = '@example.com'`},
	{store.ConstraintUserEmailIsAddress, `UPDATE "user" SET email = 'u@'`},
	{store.ConstraintUserEmailIsAddress, `UPDATE "user" SET email = 'u@v@example.com'`},
	{store.ConstraintUserEmailIsAddress, `UPDATE "user" SET email = E'u@example.com\n'`},
	{store.ConstraintUserEmailIsAddress, `UPDATE "user" SET email = E'u@example.com\nBcc: v@example.com'`},
	{store.ConstraintUserEmailIsAddress, `UPDATE "user" SET email = 'u@' || repeat('x', 319)`},

	{store.ConstraintSessionPKey, `INSERT INTO session (id, user_id, token, expires_at) VALUES ('s', 'u', 'other', now())`},
	{store.ConstraintSessionTokenUIdx, `INSERT INTO session (id, user_id, token, expires_at) VALUES ('s2', 'u', 'cookie', now())`},
	{store.ConstraintSessionUserIDFKey, `UPDATE session SET user_id = 'nobody'`},
	{store.ConstraintSessionIDLength, `INSERT INTO session (id, user_id, token, expires_at) VALUES ('', 'u', 'other', now())`},
	{store.ConstraintSessionIDLength, `INSERT INTO session (id, user_id, token, expires_at) VALUES (repeat('x', 256), 'u', 'other', now())`},
	{store.ConstraintSessionTokenLength, `UPDATE session SET token = ''`},
	{store.ConstraintSessionTokenLength, `UPDATE session SET token = repeat('x', 256)`},
	{store.ConstraintShortTextLength, `UPDATE session SET ip_address = repeat('x', 4097)`},
	{store.ConstraintShortTextLength, `UPDATE session SET user_agent = repeat('x', 4097)`},

	{store.ConstraintAccountPKey, `INSERT INTO account (id, account_id, provider_id, user_id) VALUES ('a', 'other', 'github', 'u')`},
	{store.ConstraintAccountProviderAccountUIdx, `INSERT INTO account (id, account_id, provider_id, user_id) VALUES ('a2', 'u', 'credential', 'u')`},
	{store.ConstraintAccountUserIDFKey, `UPDATE account SET user_id = 'nobody'`},
	{store.ConstraintAccountIDLength, `UPDATE account SET id = ''`},
	{store.ConstraintAccountIDLength, `UPDATE account SET id = repeat('x', 256)`},
	{store.ConstraintProviderTextLength, `UPDATE account SET account_id = ''`},
	{store.ConstraintProviderTextLength, `UPDATE account SET account_id = repeat('x', 4097)`},
	{store.ConstraintProviderTextLength, `UPDATE account SET provider_id = ''`},
	{store.ConstraintProviderTextLength, `UPDATE account SET provider_id = repeat('x', 4097)`},

	{store.ConstraintOAuthClientPKey, `INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c', 'other', '{x}')`},
	{store.ConstraintOAuthClientClientIDUIdx, `INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c2', 'app', '{x}')`},
	{store.ConstraintOAuthClientUserIDFKey, `UPDATE oauth_client SET user_id = 'nobody'`},
	{store.ConstraintOAuthClientIDLength, `UPDATE oauth_client SET id = ''`},
	{store.ConstraintOAuthClientIDLength, `UPDATE oauth_client SET id = repeat('x', 256)`},
	{store.ConstraintOAuthClientClientIDIsVSCHAR, `INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c2', '', '{x}')`},
	{store.ConstraintOAuthClientClientIDIsVSCHAR, `INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c2', repeat('x', 2049), '{x}')`},
	{store.ConstraintOAuthClientClientIDIsVSCHAR, `INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c2', E'a\tb', '{x}')`},
	{store.ConstraintOAuthClientClientIDIsVSCHAR, `INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c2', E'a\n', '{x}')`},
	{store.ConstraintOAuthClientClientIDIsVSCHAR, `INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c2', E'a\x7f', '{x}')`},
	{store.ConstraintOAuthClientClientIDIsVSCHAR, `INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c2', 'ä', '{x}')`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE oauth_client SET client_secret = 'secret'`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE oauth_client SET registration_access_token = 'secret'`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_client SET reference_id = ''`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_client SET reference_id = repeat('x', 256)`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_client SET redirect_uris = '{x,NULL}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_client SET redirect_uris = '{NULL}', grant_types = '{client_credentials}'`},
	{store.ConstraintOAuthClientRedirectURIsWhereRedirected, `UPDATE oauth_client SET redirect_uris = '{}'`},
	{store.ConstraintOAuthClientRedirectURIsWhereRedirected, `UPDATE oauth_client SET redirect_uris = '{}', grant_types = '{client_credentials,authorization_code}'`},
	{store.ConstraintOAuthClientRedirectURIsWhereRedirected, `UPDATE oauth_client SET redirect_uris = '{}', grant_types = '{implicit}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_client SET post_logout_redirect_uris = '{NULL}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_client SET scopes = '{openid,NULL}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_client SET contacts = '{NULL,x}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_client SET grant_types = '{authorization_code,NULL}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_client SET response_types = '{NULL}'`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_client SET metadata = '[]'`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_client SET metadata = 'null'`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_client SET metadata = '"{}"'`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_client SET jwks = '[]'`},
	{store.ConstraintOAuthClientOneSourceOfKeys, `UPDATE oauth_client SET jwks = '{"keys": []}', jwks_uri = 'https://app.example/jwks'`},

	{store.ConstraintOAuthAuthorizationPKey, `INSERT INTO oauth_authorization (id, client_id, scopes) VALUES ('z', 'app', '{}')`},
	{store.ConstraintOAuthAuthorizationApprovalIsWhole, `UPDATE oauth_authorization SET pair_epoch = NULL`},
	{store.ConstraintOAuthAuthorizationUserIDFKey, `UPDATE oauth_authorization SET user_id = 'nobody'`},
	{store.ConstraintOAuthAuthorizationClientIDFKey, `UPDATE oauth_authorization SET client_id = 'none'`},
	{store.ConstraintOAuthAuthorizationClientIDFKey, `INSERT INTO oauth_authorization (id, client_id, scopes) VALUES ('z2', 'c', '{}')`}, // the primary key of a client
	{store.ConstraintOAuthAuthorizationSessionIDFKey, `UPDATE oauth_authorization SET session_id = 'none'`},
	{store.ConstraintAuthorizationIDLength, `INSERT INTO oauth_authorization (id, client_id, scopes) VALUES ('', 'app', '{}')`},
	{store.ConstraintAuthorizationIDLength, `INSERT INTO oauth_authorization (id, client_id, scopes) VALUES (repeat('x', 256), 'app', '{}')`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_authorization SET reference_id = ''`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_authorization SET reference_id = repeat('x', 256)`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_authorization SET scopes = '{openid,NULL}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_authorization SET granted_scopes = '{NULL}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_authorization SET resources = '{NULL}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_authorization SET amr = '{pwd,NULL}'`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE oauth_authorization SET code = 'secret'`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE oauth_authorization SET request_uri = 'urn:x'`},
	{store.ConstraintOAuthAuthorizationChallengeNamesMethod, `UPDATE oauth_authorization SET code_challenge = 'x'`},
	{store.ConstraintOAuthAuthorizationChallengeNamesMethod, `UPDATE oauth_authorization SET code_challenge_method = 'S256'`},
	{store.ConstraintCodeChallengeMethodKnown, `UPDATE oauth_authorization SET code_challenge = 'x', code_challenge_method = 's256'`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_authorization SET claims = '[]'`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_authorization SET request = '1'`},
	{store.ConstraintConfirmationNamesAKey, `UPDATE oauth_authorization SET confirmation = 'null'`},
	{store.ConstraintOAuthAuthorizationApprovalIsWhole, `UPDATE oauth_authorization SET user_id = NULL`},
	{store.ConstraintOAuthAuthorizationApprovalIsWhole, `UPDATE oauth_authorization SET granted_scopes = NULL`},
	{store.ConstraintOAuthAuthorizationGrantedWithinAsked, `UPDATE oauth_authorization SET granted_scopes = '{openid,calendar}'`},
	{store.ConstraintOAuthAuthorizationCodeIsWhole, `UPDATE oauth_authorization SET status = 'pending'`},
	{store.ConstraintOAuthAuthorizationCodeIsWhole, `UPDATE oauth_authorization SET code_expires_at = NULL`},
	{store.ConstraintOAuthAuthorizationCodeUIdx, `INSERT INTO oauth_authorization (id, client_id, scopes, granted_scopes, status, user_id, code, code_expires_at, user_epoch, client_epoch, pair_epoch)
		SELECT 'z2', client_id, '{}', '{}', status, user_id, code, code_expires_at, 0, 0, 0 FROM oauth_authorization WHERE id = 'z'`},
	{store.ConstraintOAuthAuthorizationRequestURIUIdx, `INSERT INTO oauth_authorization (id, client_id, scopes, request_uri) VALUES ('z2', 'app', '{}', DIGEST)`},
	{store.ConstraintOAuthAuthorizationRevokedForReason, `UPDATE oauth_authorization SET revoked_at = now()`},
	{store.ConstraintOAuthAuthorizationRevokedForReason, `UPDATE oauth_authorization SET revoked_reason = 'grants_ended'`},

	{store.ConstraintOAuthPolledRequestPKey, `INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval) VALUES ('z', OTHER, now(), '5 seconds')`},
	{store.ConstraintOAuthPolledRequestCodeUIdx, `INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval) VALUES ('z2', DIGEST, now(), '5 seconds')`},
	{store.ConstraintOAuthPolledRequestUserCodeUIdx, `INSERT INTO oauth_polled_request (id, code, user_code, expires_at, poll_interval) VALUES ('z2', OTHER, DIGEST, now(), '5 seconds')`},
	{store.ConstraintOAuthPolledRequestIDFKey, `INSERT INTO oauth_polled_request (id, code, expires_at, poll_interval) VALUES ('none', OTHER, now(), '5 seconds')`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE oauth_polled_request SET code = 'secret'`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE oauth_polled_request SET user_code = 'WDJB-MJHT'`},
	{store.ConstraintTimestamptzIsFinite, `UPDATE oauth_polled_request SET expires_at = 'infinity'`},
	{store.ConstraintPollIntervalIsPositive, `UPDATE oauth_polled_request SET poll_interval = '0'`},
	{store.ConstraintShortTextLength, `UPDATE oauth_polled_request SET notification_token = repeat('x', 4097)`},

	{store.ConstraintOAuthRefreshTokenPKey, `INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes) VALUES ('r', OTHER, 'app', 'u', '{}')`},
	{store.ConstraintOAuthRefreshTokenTokenUIdx, `INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes) VALUES ('r2', DIGEST, 'app', 'u', '{}')`},
	{store.ConstraintOAuthRefreshTokenUserIDFKey, `UPDATE oauth_refresh_token SET user_id = 'nobody'`},
	{store.ConstraintOAuthRefreshTokenClientIDFKey, `UPDATE oauth_refresh_token SET client_id = 'c'`},
	{store.ConstraintOAuthRefreshTokenSessionIDFKey, `UPDATE oauth_refresh_token SET session_id = 'none'`},
	{store.ConstraintOAuthRefreshTokenAuthorizationIDFKey, `UPDATE oauth_refresh_token SET authorization_id = 'none'`},
	{store.ConstraintRefreshTokenIDLength, `INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes) VALUES ('', OTHER, 'app', 'u', '{}')`},
	{store.ConstraintRefreshTokenIDLength, `INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes) VALUES (repeat('x', 256), OTHER, 'app', 'u', '{}')`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_refresh_token SET reference_id = ''`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_refresh_token SET reference_id = repeat('x', 256)`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE oauth_refresh_token SET token = 'secret'`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE oauth_refresh_token SET successor = 'secret', successor_id = 'r2', revoked = now()`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_refresh_token SET scopes = '{NULL}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_refresh_token SET resources = '{NULL}'`},
	{store.ConstraintConfirmationNamesAKey, `UPDATE oauth_refresh_token SET confirmation = '[]'`},
	{store.ConstraintOAuthRefreshTokenRotatedIsRevoked, `UPDATE oauth_refresh_token SET successor = OTHER, revoked = now()`},
	{store.ConstraintOAuthRefreshTokenRotatedIsRevoked, `UPDATE oauth_refresh_token SET successor_id = 'r2'`},
	{store.ConstraintOAuthRefreshTokenRotatedIsRevoked, `UPDATE oauth_refresh_token SET successor = OTHER, successor_id = 'r2'`},

	{store.ConstraintOAuthAccessTokenPKey, `INSERT INTO oauth_access_token (id, client_id, scopes) VALUES ('t', 'app', '{}')`},
	{store.ConstraintOAuthAccessTokenTokenUIdx, `INSERT INTO oauth_access_token (id, token, client_id, scopes) VALUES ('t2', DIGEST, 'app', '{}')`},
	{store.ConstraintOAuthAccessTokenUserIDFKey, `UPDATE oauth_access_token SET user_id = 'nobody', authorization_id = 'z'`},
	{store.ConstraintOAuthAccessTokenClientIDFKey, `UPDATE oauth_access_token SET client_id = 'c'`},
	{store.ConstraintOAuthAccessTokenSessionIDFKey, `UPDATE oauth_access_token SET session_id = 'none'`},
	{store.ConstraintOAuthAccessTokenRefreshIDFKey, `UPDATE oauth_access_token SET refresh_id = 'none'`},
	{store.ConstraintOAuthAccessTokenAuthorizationIDFKey, `UPDATE oauth_access_token SET user_id = 'u', authorization_id = 'none'`},
	{store.ConstraintAccessTokenIDLength, `UPDATE oauth_access_token SET id = ''`},
	{store.ConstraintAccessTokenIDLength, `UPDATE oauth_access_token SET id = repeat('x', 256)`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_access_token SET reference_id = ''`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_access_token SET reference_id = repeat('x', 256)`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE oauth_access_token SET token = 'secret'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_access_token SET scopes = '{NULL}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_access_token SET resources = '{NULL}'`},
	{store.ConstraintConfirmationNamesAKey, `UPDATE oauth_access_token SET confirmation = '"x"'`},

	{store.ConstraintOAuthAccessTokenIsOfAFamilyOrOfTheClient, `UPDATE oauth_access_token SET client_epoch = NULL`},
	{store.ConstraintOAuthAccessTokenIsOfAFamilyOrOfTheClient, `UPDATE oauth_access_token SET user_id = 'u'`},

	{store.ConstraintOAuthConsentPKey, `INSERT INTO oauth_consent (id, client_id, scopes) VALUES ('n', 'app', '{}')`},
	{store.ConstraintOAuthConsentClientUserUIdx, `INSERT INTO oauth_consent (id, client_id, user_id, reference_id, scopes) VALUES ('n2', 'app', 'u', 'org', '{}')`},
	{store.ConstraintOAuthConsentUserIDFKey, `UPDATE oauth_consent SET user_id = 'nobody'`},
	{store.ConstraintOAuthConsentClientIDFKey, `UPDATE oauth_consent SET client_id = 'c'`},
	{store.ConstraintConsentIDLength, `UPDATE oauth_consent SET id = ''`},
	{store.ConstraintConsentIDLength, `UPDATE oauth_consent SET id = repeat('x', 256)`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_consent SET reference_id = ''`},
	{store.ConstraintReferenceIDLength, `UPDATE oauth_consent SET reference_id = repeat('x', 256)`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_consent SET scopes = '{NULL}'`},

	{store.ConstraintJWKSPKey, `INSERT INTO jwks (id, public_key, private_key) VALUES ('k', '', 'x')`},
	{store.ConstraintJWKSPrivateKeyIsInOnePlace, `UPDATE jwks SET private_key = ''`},
	{store.ConstraintJWKSPrivateKeyIsInOnePlace, `UPDATE jwks SET private_key_uri = 'awskms:///alias/x'`},
	{store.ConstraintShortTextLength, `UPDATE jwks SET private_key = '', private_key_uri = repeat('x', 4097)`},
	{store.ConstraintJWKSIDLength, `UPDATE jwks SET id = ''`},
	{store.ConstraintJWKSIDLength, `UPDATE jwks SET id = repeat('x', 256)`},

	{store.ConstraintUserTimesAreFinite, `UPDATE "user" SET created_at = '-infinity'`},
	{store.ConstraintUserTimesAreFinite, `UPDATE "user" SET suspended_at = 'infinity'`},
	{store.ConstraintSessionTimesAreFinite, `UPDATE session SET auth_time = 'infinity'`},
	{store.ConstraintAccountTimesAreFinite, `UPDATE account SET updated_at = 'infinity'`},
	{store.ConstraintOAuthClientTimesAreFinite, `UPDATE oauth_client SET created_at = 'infinity'`},
	{store.ConstraintOAuthConsentTimesAreFinite, `UPDATE oauth_consent SET created_at = '-infinity'`},
	{store.ConstraintJWKSTimesAreFinite, `UPDATE jwks SET created_at = 'infinity'`},
	{store.ConstraintSessionEndedHasExpired, `UPDATE session SET ended_at = now(), expires_at = now() + interval '1 second'`},
	{store.ConstraintOAuthClientDeletedIsDisabled, `UPDATE oauth_client SET deleted_at = now()`},
	{store.ConstraintOAuthClientForeignSecretHashIsHash, `UPDATE oauth_client SET foreign_secret_hash = '**********'`},
	{store.ConstraintOAuthClientOneKindOfSecret, `UPDATE oauth_client SET client_secret = DIGEST, foreign_secret_hash = '$2b$12$x'`},
	{store.ConstraintArrayIsSmall, `UPDATE oauth_consent SET authorization_details = '{}'`},
	{store.ConstraintTextListIsFlat, `UPDATE oauth_client SET redirect_uris = '{{x},{y}}'`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_client SET metadata = (repeat('{"a":', 33) || '1' || repeat('}', 33))::jsonb`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_client SET metadata = (repeat('{"a":', 10001) || '1' || repeat('}', 10001))::jsonb`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_client SET jwks = (SELECT jsonb_object_agg(n, md5(n::text)) FROM generate_series(1, 2000) AS n)`},
	{store.ConstraintObjectIsSmall, `UPDATE oauth_authorization SET claims = ('{"a":' || repeat('[', 10001) || repeat(']', 10001) || '}')::jsonb`},
	{store.ConstraintArrayIsSmall, `UPDATE oauth_authorization SET authorization_details = '{}'`},
	{store.ConstraintArrayIsSmall, `UPDATE oauth_access_token SET authorization_details = (repeat('[', 10001) || repeat(']', 10001))::jsonb`},
	{store.ConstraintConfirmationNamesAKey, `UPDATE oauth_access_token SET confirmation = '{}'`},
	{store.ConstraintConfirmationNamesAKey, `UPDATE oauth_access_token SET confirmation = (repeat('{"a":', 10001) || '1' || repeat('}', 10001))::jsonb`},
	{store.ConstraintTimestamptzIsFinite, `UPDATE account SET access_token_expires_at = 'infinity'`},
	{store.ConstraintTimestamptzIsFinite, `UPDATE account SET refresh_token_expires_at = '-infinity'`},
	{store.ConstraintTimestamptzIsFinite, `UPDATE oauth_client SET client_secret_expires_at = 'infinity'`},
	{store.ConstraintClientLifetimeIsPositive, `UPDATE oauth_client SET access_token_lifetime = '0'`},
	{store.ConstraintClientLifetimeIsPositive, `UPDATE oauth_client SET refresh_token_lifetime = '-1 hour'`},
	{store.ConstraintClientLifetimeIsPositive, `UPDATE oauth_client SET authorization_lifetime = '0.9 seconds'`},
	{store.ConstraintClientLifetimeIsPositive, `UPDATE oauth_client SET code_lifetime = '0'`},
	{store.ConstraintClientGraceIsNotNegative, `UPDATE oauth_client SET refresh_grace = '-1 second'`},

	{store.ConstraintSecurityEventPKey, `INSERT INTO security_event (id, call, outcome) OVERRIDING SYSTEM VALUE SELECT id, call, outcome FROM security_event`},
	{store.ConstraintOAuthPairwiseSubjectPKey, `INSERT INTO oauth_pairwise_subject (id, sector, user_id, subject) VALUES ('p', 'b.example', 'u', 't')`},
	{store.ConstraintOAuthPairwiseSubjectSectorUserUIdx, `INSERT INTO oauth_pairwise_subject (sector, user_id, subject) VALUES ('a.example', 'u', 't')`},
	{store.ConstraintOAuthPairwiseSubjectSectorSubjectUIdx, `INSERT INTO oauth_pairwise_subject (sector, user_id, subject) VALUES ('a.example', 'v', 's')`},
	{store.ConstraintOAuthPairwiseSubjectUserIDFKey, `UPDATE oauth_pairwise_subject SET user_id = 'nobody'`},
	{store.ConstraintSectorLength, `UPDATE oauth_pairwise_subject SET sector = ''`},
	{store.ConstraintSubjectIsPrintable, `UPDATE oauth_pairwise_subject SET subject = 'ä'`},
	{store.ConstraintOAuthClientSecretPKey, `INSERT INTO oauth_client_secret (id, client_id, digest, expires_at) VALUES ('o', 'app', OTHER, now())`},
	{store.ConstraintOAuthClientSecretClientDigestUIdx, `INSERT INTO oauth_client_secret (client_id, digest, expires_at) VALUES ('app', DIGEST, now())`},
	{store.ConstraintOAuthClientSecretClientIDFKey, `UPDATE oauth_client_secret SET client_id = 'c'`},
	{store.ConstraintSessionClientPKey, `INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid) VALUES ('k', 's2', 'app', 'u', 'u', 's2')`},
	{store.ConstraintSessionClientSessionClientUIdx, `INSERT INTO session_client (session_id, client_id, user_id, sub, sid) VALUES ('s', 'app', 'u', 'u', 's')`},
	{store.ConstraintSessionClientClientIDFKey, `UPDATE session_client SET client_id = 'c'`},
	{store.ConstraintOAuthInitialAccessTokenPKey, `INSERT INTO oauth_initial_access_token (id, token, max_uses) VALUES ('i', OTHER, 1)`},
	{store.ConstraintOAuthInitialAccessTokenTokenUIdx, `INSERT INTO oauth_initial_access_token (id, token, max_uses) VALUES ('i2', DIGEST, 1)`},
	{store.ConstraintInitialAccessTokenIDLength, `UPDATE oauth_initial_access_token SET id = ''`},
	{store.ConstraintInitialAccessTokenIDLength, `UPDATE oauth_initial_access_token SET id = repeat('x', 256)`},
	{store.ConstraintOAuthInitialAccessTokenUsesInRange, `UPDATE oauth_initial_access_token SET uses = max_uses + 1`},
	{store.ConstraintOAuthInitialAccessTokenUsesInRange, `UPDATE oauth_initial_access_token SET uses = -1`},
	{store.ConstraintTimestamptzIsFinite, `UPDATE oauth_initial_access_token SET expires_at = 'infinity'`},
	{store.ConstraintOAuthProofPKey, `INSERT INTO oauth_proof (id, expires_at) VALUES (DIGEST, now())`},
	{store.ConstraintOAuthResourcePKey, `INSERT INTO oauth_resource (id, identifier, name) VALUES ('e', 'https://b.example', '')`},
	{store.ConstraintOAuthResourceIdentifierUIdx, `INSERT INTO oauth_resource (identifier, name) VALUES ('https://a.example', '')`},
	{store.ConstraintOAuthClientResourcePKey, `INSERT INTO oauth_client_resource (id, client_id, resource_id) VALUES ('l', 'app', 'https://a.example')`},
	{store.ConstraintOAuthClientResourceClientResourceUIdx, `INSERT INTO oauth_client_resource (client_id, resource_id) VALUES ('app', 'https://a.example')`},
	{store.ConstraintOAuthClientResourceClientIDFKey, `UPDATE oauth_client_resource SET client_id = 'c'`},
	{store.ConstraintOAuthClientResourceResourceIDFKey, `UPDATE oauth_client_resource SET resource_id = 'e'`},
	{store.ConstraintDeviceCodePKey, `INSERT INTO device_code (id, device_code, user_code, status, expires_at) VALUES ('tv', 'x', 'x', 'pending', now())`},
	{store.ConstraintDeviceCodeDeviceCodeUIdx, `INSERT INTO device_code (device_code, user_code, status, expires_at) VALUES ('d', 'x', 'pending', now())`},
	{store.ConstraintDeviceCodeUserCodeUIdx, `INSERT INTO device_code (device_code, user_code, status, expires_at) VALUES ('x', 'u', 'pending', now())`},
	{store.ConstraintVerificationPKey, `INSERT INTO verification (id, identifier, value, expires_at) VALUES ('v', '', '', now())`},
	{store.ConstraintVerificationIDLength, `UPDATE verification SET id = ''`},

	{store.ConstraintOAuthTrustedIssuerPKey, `INSERT INTO oauth_trusted_issuer (id, issuer) VALUES ('i', 'https://c.example')`},
	{store.ConstraintOAuthTrustedIssuerIssuerUIdx, `INSERT INTO oauth_trusted_issuer (id, issuer) VALUES ('i3', 'https://a.example')`},
	{store.ConstraintOAuthTrustedIssuerOneSourceOfKeys, `UPDATE oauth_trusted_issuer SET jwks = '{"keys": []}', jwks_uri = 'https://a.example/keys'`},
	{store.ConstraintOAuthTrustedIssuerSigns, `UPDATE oauth_trusted_issuer SET signing_algorithms = '{ES256,none}'`},
	{store.ConstraintTrustedIssuerIDLength, `UPDATE oauth_trusted_issuer SET id = ''`},
	{store.ConstraintIssuerLength, `UPDATE oauth_trusted_issuer SET issuer = ''`},
	{store.ConstraintIssuerLength, `UPDATE oauth_trusted_issuer SET issuer = repeat('x', 2049)`},
	{store.ConstraintAssertionLifetimeIsPositive, `UPDATE oauth_trusted_issuer SET max_lifetime = '0'`},
	{store.ConstraintOneTimeCodePKey, `INSERT INTO one_time_code (id, purpose, subject, digest, expires_at) VALUES ('x', 'p', OTHER, DIGEST, now())`},
	{store.ConstraintOneTimeCodePurposeSubjectUIdx, `INSERT INTO one_time_code (purpose, subject, digest, expires_at) VALUES ('p', DIGEST, OTHER, now())`},
	{store.ConstraintPurposeLength, `UPDATE one_time_code SET purpose = ''`},
	{store.ConstraintPurposeLength, `UPDATE one_time_code SET purpose = repeat('x', 65)`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE one_time_code SET subject = 'ada@example.com'`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE one_time_code SET digest = '123456'`},
	{store.ConstraintObjectIsSmall, `UPDATE one_time_code SET data = '[]'`},
	{store.ConstraintAttemptCountPKey, `INSERT INTO attempt_count (id, purpose, subject, attempts, resets_at) VALUES ('y', 'p', OTHER, 1, now())`},
	{store.ConstraintAttemptCountPurposeSubjectUIdx, `INSERT INTO attempt_count (purpose, subject, attempts, resets_at) VALUES ('p', DIGEST, 1, now())`},
	{store.ConstraintPurposeLength, `UPDATE attempt_count SET purpose = ''`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE attempt_count SET subject = '192.0.2.1'`},

	{store.ConstraintPasskeyPKey, `INSERT INTO passkey (id, user_id, public_key) VALUES ('y', 'u', '')`},
	{store.ConstraintPasskeyUserIDFKey, `UPDATE passkey SET user_id = 'nobody'`},
	{store.ConstraintPasskeyIDIsBase64url, `UPDATE passkey SET id = ''`},
	{store.ConstraintPasskeyIDIsBase64url, `UPDATE passkey SET id = 'a+b='`},
	{store.ConstraintPasskeyIDIsBase64url, `UPDATE passkey SET id = repeat('x', 1365)`},
	{store.ConstraintSignCountInRange, `UPDATE passkey SET sign_count = -1`},
	{store.ConstraintSignCountInRange, `UPDATE passkey SET sign_count = 4294967296`},
	{store.ConstraintShortTextLength, `UPDATE passkey SET public_key = repeat('x', 4097)`},
	{store.ConstraintTextListIsFlat, `UPDATE passkey SET transports = '{NULL}'`},
	{store.ConstraintTOTPPKey, `INSERT INTO totp (id, user_id, secret) VALUES ('q', 'u', '')`},
	{store.ConstraintTOTPUserIDFKey, `UPDATE totp SET user_id = 'nobody'`},
	{store.ConstraintTOTPIDLength, `UPDATE totp SET id = ''`},
	{store.ConstraintTOTPIDLength, `UPDATE totp SET id = repeat('x', 256)`},
	{store.ConstraintTOTPDigitsInRange, `UPDATE totp SET digits = 5`},
	{store.ConstraintTOTPDigitsInRange, `UPDATE totp SET digits = 9`},
	{store.ConstraintTOTPPeriodInRange, `UPDATE totp SET period = 0`},
	{store.ConstraintTOTPPeriodInRange, `UPDATE totp SET period = 3601`},
	{store.ConstraintTOTPAlgorithmKnown, `UPDATE totp SET algorithm = 'sha1'`},
	{store.ConstraintRecoveryCodePKey, `INSERT INTO recovery_code (id, user_id, digest) VALUES ('d', 'u', OTHER)`},
	{store.ConstraintRecoveryCodeUserDigestUIdx, `INSERT INTO recovery_code (user_id, digest) VALUES ('u', DIGEST)`},
	{store.ConstraintRecoveryCodeUserIDFKey, `UPDATE recovery_code SET user_id = 'nobody'`},
	{store.ConstraintTokenDigestIsDigest, `UPDATE recovery_code SET digest = 'code'`},

	{store.ConstraintOAuthClientAssertionPKey, `INSERT INTO oauth_client_assertion (id, expires_at) VALUES (DIGEST, now())`},
	{store.ConstraintAssertionIDIsDigest, `INSERT INTO oauth_client_assertion (id, expires_at) VALUES ('jti', now())`},
	{store.ConstraintTokenDigestIsDigest, `INSERT INTO oauth_proof (id, expires_at) VALUES ('jti', now())`},
}

// newRowOfEach has one row in each table, by plain SQL.
func newRowOfEach(t *testing.T) *world {
	t.Helper()
	pool := fixture.NewPool(t, 1)
	w := worldOf(t, pool)
	for _, sql := range []string{
		`INSERT INTO "user" (id, name, email) VALUES ('u', 'U', 'u@example.com')`,
		`INSERT INTO session (id, user_id, token, expires_at) VALUES ('s', 'u', 'cookie', now())`,
		`INSERT INTO account (id, account_id, provider_id, user_id) VALUES ('a', 'u', 'credential', 'u')`,
		`INSERT INTO oauth_client (id, client_id, redirect_uris) VALUES ('c', 'app', '{x}')`,
		`INSERT INTO oauth_authorization (id, client_id, scopes, granted_scopes, status, user_id, code, code_expires_at, request_uri, user_epoch, client_epoch, pair_epoch)
			VALUES ('z', 'app', '{openid}', '{openid}', 'approved', 'u', DIGEST, now(), DIGEST, 0, 0, 0)`,
		`INSERT INTO oauth_polled_request (id, code, user_code, expires_at, poll_interval) VALUES ('z', DIGEST, DIGEST, now(), '5 seconds')`,
		`INSERT INTO oauth_refresh_token (id, token, client_id, user_id, scopes) VALUES ('r', DIGEST, 'app', 'u', '{}')`,
		`INSERT INTO oauth_access_token (id, token, client_id, scopes) VALUES ('t', DIGEST, 'app', '{}')`,
		`INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ('n', 'app', 'u', '{}')`,
		`INSERT INTO jwks (id, public_key, private_key) VALUES ('k', '', 'x')`,
		`INSERT INTO oauth_client_assertion (id, expires_at) VALUES (DIGEST, now())`,
		`INSERT INTO oauth_proof (id, expires_at) VALUES (DIGEST, now())`,
		`INSERT INTO oauth_client_secret (id, client_id, digest, expires_at) VALUES ('o', 'app', DIGEST, now())`,
		`INSERT INTO session_client (id, session_id, client_id, user_id, sub, sid) VALUES ('k', 's', 'app', 'u', 'u', 's')`,
		`INSERT INTO oauth_resource (id, identifier, name) VALUES ('e', 'https://a.example', '')`,
		`INSERT INTO oauth_client_resource (id, client_id, resource_id) VALUES ('l', 'app', 'https://a.example')`,
		`INSERT INTO oauth_initial_access_token (id, token, max_uses) VALUES ('i', DIGEST, 1)`,
		`INSERT INTO oauth_trusted_issuer (id, issuer) VALUES ('i', 'https://a.example'), ('i2', 'https://b.example')`,
		`INSERT INTO verification (id, identifier, value, expires_at) VALUES ('v', '', '', now())`,
		`INSERT INTO device_code (id, device_code, user_code, status, expires_at) VALUES ('tv', 'd', 'u', 'pending', now())`,
		`INSERT INTO oauth_pairwise_subject (id, sector, user_id, subject) VALUES ('p', 'a.example', 'u', 's')`,
		`INSERT INTO one_time_code (id, purpose, subject, digest, expires_at) VALUES ('x', 'p', DIGEST, DIGEST, now())`,
		`INSERT INTO attempt_count (id, purpose, subject, attempts, resets_at) VALUES ('y', 'p', DIGEST, 1, now())`,
		`INSERT INTO passkey (id, user_id, public_key) VALUES ('y', 'u', '')`,
		`INSERT INTO totp (id, user_id, secret) VALUES ('q', 'u', '')`,
		`INSERT INTO recovery_code (id, user_id, digest) VALUES ('d', 'u', DIGEST)`,
		`INSERT INTO security_event (call, outcome) VALUES ('EndSession', 'ended')`,
	} {
		w.Exec(withDigests(sql))
	}
	return w
}

func withDigests(sql string) string {
	return strings.NewReplacer("DIGEST", "'"+string(fixture.Digest("x"))+"'", "OTHER", "'"+string(fixture.Digest("y"))+"'").Replace(sql)
}

func TestEveryConstraintRefusesWhatViolatesIt(t *testing.T) {
	t.Parallel()
	w := newRowOfEach(t)
	tried := map[string]bool{}
	w.refused(func() {
		for _, v := range constraintViolations {
			tried[string(v.constraint)] = true
			_, err := w.Pool.Exec(w.Ctx, withDigests(v.sql))
			if got := pgErrorOf(err).ConstraintName; got != string(v.constraint) {
				t.Errorf("%s: got %v, want a violation of %s", v.sql, err, v.constraint)
			}
		}
	})
	fixture.SameLines(t, "constraints that are violated here", fixture.CatalogLines(t, w.Pool, `
		SELECT c.conname::text
		FROM pg_constraint AS c
		WHERE c.connamespace = 'public'::regnamespace AND c.contype <> 'n' AND c.conrelid <> 'oauthdb_version'::regclass
		UNION
		SELECT i.indexrelid::regclass::text
		FROM pg_index AS i
		JOIN pg_class AS c ON c.oid = i.indrelid
		WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace AND c.oid <> 'oauthdb_version'::regclass`),
		slices.Collect(maps.Keys(tried)))
}

func TestNullIsRefusedWithTheNameOfTheColumn(t *testing.T) {
	t.Parallel()
	w := newRowOfEach(t)
	columns := fixture.CatalogLines(t, w.Pool, `
		SELECT c.relname || ' ' || a.attname
		FROM pg_attribute AS a
		JOIN pg_class AS c ON c.oid = a.attrelid
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'oauthdb_version' AND a.attnum > 0 AND a.attnotnull
		  AND a.attidentity = ''`) // which can't be updated at all
	if len(columns) < 40 {
		t.Fatalf("only %d columns are NOT NULL", len(columns))
	}
	w.refused(func() {
		for _, name := range columns {
			table, column, _ := strings.Cut(name, " ")
			_, err := w.Pool.Exec(w.Ctx, fmt.Sprintf("UPDATE %q SET %q = NULL", table, column))
			if e := pgErrorOf(err); e.Code != "23502" || e.TableName != table || e.ColumnName != column {
				t.Errorf("%s: got %v of %s.%s", name, err, e.TableName, e.ColumnName)
			}
		}
	})
}

func TestIdentifierOfTheWrongFormIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.machine()
	for _, bad := range []string{"", strings.Repeat("x", 256), strings.Repeat("ä", 128)} {
		w.refused(func() {
			_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: store.UserID(bad), Email: new("x@example.com")})
			w.violation(err, "CreateUser", store.ConstraintUserIDLength)
			_, err = w.Q.CreateSession(w.Ctx, store.CreateSessionParams{ID: store.SessionID(bad), UserID: w.User, Token: fixture.Digest("x"), Lifetime: time.Hour})
			w.violation(err, "CreateSession", store.ConstraintSessionIDLength)
			_, err = w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: store.AccountID(bad), UserID: w.User, AccountID: "x", ProviderID: "x"})
			w.violation(err, "CreateAccount", store.ConstraintAccountIDLength)
			_, err = w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: store.OAuthClientID(bad), ClientID: "x", RedirectURIs: []string{"x"}})
			w.violation(err, "CreateClient", store.ConstraintOAuthClientIDLength)
			_, err = w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: "x", RedirectURIs: []string{"x"}, ReferenceID: new(store.ReferenceID(bad))})
			w.violation(err, "CreateClient", store.ConstraintReferenceIDLength)
			_, err = w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: w.Client, ReferenceID: new(store.ReferenceID(bad))})
			w.violation(err, "UpdateClient", store.ConstraintReferenceIDLength)
			_, err = w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: store.SigningKeyID(bad), PrivateKey: "x"})
			w.violation(err, "CreateSigningKey", store.ConstraintJWKSIDLength)
			request := w.RequestParams()
			request.ID = store.AuthorizationID(bad)
			_, err = w.Q.CreateAuthorization(w.Ctx, request)
			w.violation(err, "CreateAuthorization", store.ConstraintAuthorizationIDLength)
			_, err = w.Q.GrantConsent(w.Ctx, store.GrantConsentParams{ID: store.ConsentID(bad), ClientID: w.Client, UserID: w.User, Scopes: []string{}})
			w.violation(err, "GrantConsent", store.ConstraintConsentIDLength)
			p := w.issueParams("x")
			p.ID = store.AccessTokenID(bad)
			_, err = w.Q.IssueAccessToken(w.Ctx, p)
			w.violation(err, "IssueAccessToken", store.ConstraintAccessTokenIDLength)
		})
	}
	for _, bad := range []string{"", strings.Repeat("x", 4097)} {
		w.refused(func() {
			_, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: "x", UserID: w.User, AccountID: "x", ProviderID: bad})
			w.violation(err, "CreateAccount", store.ConstraintProviderTextLength)
			_, err = w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: "x", UserID: w.User, AccountID: bad, ProviderID: "github"})
			w.violation(err, "CreateAccount", store.ConstraintProviderTextLength)
		})
	}
	for _, bad := range []store.ClientID{
		"", "a\tb", "a\nb", "line\n", "\x7f", "ä", "\u200b", store.ClientID(strings.Repeat("x", 2049)),
	} {
		w.refused(func() {
			_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: bad, RedirectURIs: []string{"x"}})
			w.violation(err, "CreateClient", store.ConstraintOAuthClientClientIDIsVSCHAR)
		})
	}
}

func TestIdentifierOfAnyOtherFormIsAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, id := range []string{"1", "Ümlaut ä\n", strings.Repeat("x", 255), "00000000-0000-0000-0000-000000000000"} {
		_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: store.UserID(id), Email: new(fixture.Unique("x") + "@example.com")})
		w.OK(err)
		u, err := w.Q.GetUser(w.Ctx, store.UserID(id))
		w.OK(err)
		if string(u.ID) != id {
			t.Errorf("id %q came back as %q", id, u.ID)
		}
	}
	for _, id := range []store.ClientID{"1", "https://app.example/client?a=b c", "~!\"\\", store.ClientID(strings.Repeat("x", 2048))} {
		_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: store.NewOAuthClientID(), ClientID: id, RedirectURIs: []string{"x"}})
		w.OK(err)
		_, err = w.Q.GetClient(w.Ctx, id)
		w.OK(err)
	}
}

// Looking for what cannot exist is no error.
func TestLookupByAnImpossibleIdentifierFindsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.refused(func() {
		for _, id := range []string{"", strings.Repeat("x", 100_000), "'; DROP TABLE session; --", "%"} {
			_, err := w.Q.GetUser(w.Ctx, store.UserID(id))
			w.None(err)
			_, err = w.Q.FindUserByEmail(w.Ctx, id)
			w.None(err)
			_, err = w.Q.GetClient(w.Ctx, store.ClientID(id))
			w.None(err)
			_, err = w.Q.GetSession(w.Ctx, store.SessionID(id))
			w.None(err)
			row, err := w.Q.DeleteUser(w.Ctx, store.UserID(id))
			w.OK(err)
			w.want("DeleteUser", row.Outcome, store.OutcomeUnknown)
			w.want("DisableClient", w.outcome(w.Q.DisableClient(w.Ctx, store.ClientID(id))), store.OutcomeUnknown)
		}
	})
}

func TestDuplicateIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: "bob", Email: new("bob@example.com")})
	w.OK(err)
	_, err = w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: "a", AccountID: "1", ProviderID: "github", UserID: w.User})
	w.OK(err)
	_, err = w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: "k", PrivateKey: "x"})
	w.OK(err)
	client, err := w.Q.GetClient(w.Ctx, w.Client)
	w.OK(err)
	w.refused(func() {
		_, err := w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: "bob", Email: new("robert@example.com")})
		w.violation(err, "CreateUser", store.ConstraintUserPKey)
		_, err = w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: "bob2", Email: new("bob@example.com")})
		w.violation(err, "CreateUser", store.ConstraintUserEmailUIdx)
		_, err = w.Q.CreateUser(w.Ctx, store.CreateUserParams{ID: "bob2", Email: new("Bob@EXAMPLE.com")})
		w.violation(err, "CreateUser", store.ConstraintUserEmailUIdx)
		_, err = w.Q.UpdateUser(w.Ctx, store.UpdateUserParams{ID: w.User, Email: new("bob@example.com")})
		w.violation(err, "UpdateUser", store.ConstraintUserEmailUIdx)
		_, err = w.Q.UpdateUser(w.Ctx, store.UpdateUserParams{ID: w.User, Email: new("BOB@example.com")})
		w.violation(err, "UpdateUser", store.ConstraintUserEmailUIdx)
		_, err = w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: "a", AccountID: "2", ProviderID: "github", UserID: w.User})
		w.violation(err, "CreateAccount", store.ConstraintAccountPKey)
		_, err = w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: "b", AccountID: "1", ProviderID: "github", UserID: "bob"})
		w.violation(err, "CreateAccount", store.ConstraintAccountProviderAccountUIdx)
		_, err = w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: w.Client, RedirectURIs: []string{"x"}})
		w.violation(err, "CreateClient", store.ConstraintOAuthClientClientIDUIdx)
		_, err = w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: client.ID, ClientID: "x", RedirectURIs: []string{"x"}})
		w.violation(err, "CreateClient", store.ConstraintOAuthClientPKey)
		_, err = w.Q.CreateSigningKey(w.Ctx, store.CreateSigningKeyParams{ID: "k", PrivateKey: "x"})
		w.violation(err, "CreateSigningKey", store.ConstraintJWKSPKey)
	})
}

func TestDanglingReferenceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.refused(func() {
		_, err := w.Q.CreateAccount(w.Ctx, store.CreateAccountParams{ID: "x", UserID: "nobody", AccountID: "x", ProviderID: "x"})
		w.violation(err, "CreateAccount", store.ConstraintAccountUserIDFKey)
		_, err = w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: "x", RedirectURIs: []string{"x"}, UserID: new(store.UserID("nobody"))})
		w.violation(err, "CreateClient", store.ConstraintOAuthClientUserIDFKey)
		_, err = w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: w.Client, UserID: new(store.UserID("nobody"))})
		w.violation(err, "UpdateClient", store.ConstraintOAuthClientUserIDFKey)
	})
}

func TestClientThatRedirectsNeedsARedirectURI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, grantTypes := range [][]string{nil, {"authorization_code"}, {"client_credentials", "authorization_code", "refresh_token"}, {"implicit"}} {
		w.refused(func() {
			_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: "x", RedirectURIs: nil, GrantTypes: grantTypes})
			w.violation(err, "CreateClient", store.ConstraintOAuthClientRedirectURIsWhereRedirected)
		})
	}
	w.refused(func() {
		_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: w.Client, RedirectURIs: []string{}})
		w.violation(err, "UpdateClient", store.ConstraintOAuthClientRedirectURIsWhereRedirected)
	})

	for _, grantTypes := range [][]string{{"client_credentials"}, {"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}, {}} {
		machine := w.NewClient(func(p *store.CreateClientParams) { p.RedirectURIs, p.GrantTypes = []string{}, grantTypes })
		for _, turn := range []store.UpdateClientParams{
			{ClientID: machine, GrantTypes: []string{"authorization_code"}},
			{ClientID: machine, Cleared: []string{"grant_types"}},
		} {
			w.refused(func() {
				_, err := w.Q.UpdateClient(w.Ctx, turn)
				w.violation(err, "UpdateClient", store.ConstraintOAuthClientRedirectURIsWhereRedirected)
			})
			turn.RedirectURIs = []string{fixture.RedirectURI}
			_, err := w.Q.UpdateClient(w.Ctx, turn)
			w.OK(err)
			w.Exec(`UPDATE oauth_client SET redirect_uris = '{}', grant_types = $2 WHERE client_id = $1`, machine, grantTypes)
		}
	}
}

func TestJSONThatIsNoObjectIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, bad := range []string{"[]", "null", "1", `"{}"`, "true", `[{"a": 1}]`} {
		w.refused(func() {
			_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: "x", RedirectURIs: []string{"x"}, Metadata: json.RawMessage(bad)})
			w.violation(err, "CreateClient", store.ConstraintObjectIsSmall)
			_, err = w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: w.Client, Metadata: json.RawMessage(bad)})
			w.violation(err, "UpdateClient", store.ConstraintObjectIsSmall)
			_, err = w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: "x", RedirectURIs: []string{"x"}, JWKS: json.RawMessage(bad)})
			w.violation(err, "CreateClient", store.ConstraintObjectIsSmall)
			request := w.RequestParams()
			request.Request = json.RawMessage(bad)
			_, err = w.Q.CreateAuthorization(w.Ctx, request)
			w.violation(err, "CreateAuthorization", store.ConstraintObjectIsSmall)
			claims := w.RequestParams()
			claims.Claims = json.RawMessage(bad)
			_, err = w.Q.CreateAuthorization(w.Ctx, claims)
			w.violation(err, "CreateAuthorization", store.ConstraintObjectIsSmall)
		})
	}
	for _, bad := range []string{"", "{", "nonsense", `{"a": 1} x`} {
		w.refused(func() {
			_, err := w.Q.CreateClient(w.Ctx, store.CreateClientParams{ID: "x", ClientID: "x", RedirectURIs: []string{"x"}, Metadata: json.RawMessage(bad)})
			if e := pgErrorOf(err); e.Code != "22P02" || !strings.Contains(err.Error(), "json") {
				t.Errorf("metadata %q: got %v", bad, err)
			}
		})
	}
}

func TestUnknownFieldToClearIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, bad := range []string{"nonsense", "", "client_id", "client_secret", "redirect_uris", "disabled", "id", "NAME"} {
		w.refused(func() {
			_, err := w.Q.UpdateClient(w.Ctx, store.UpdateClientParams{ClientID: w.Client, Name: new("x"), Cleared: []string{"uri", bad}})
			if e := pgErrorOf(err); e.Code != "22P02" || !strings.Contains(err.Error(), fmt.Sprintf("oauth_client_field: %q", bad)) {
				t.Errorf("%q: got %v, want it to be no field", bad, err)
			}
		})
	}
}

func TestPageOfNegativeSizeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.refused(func() {
		for _, c := range fixture.AnyCalls(w.Q) {
			c.EachField(func(name string, _ int, arg, field reflect.Value) {
				if field.Kind() != reflect.Int32 || strings.HasSuffix(name, ".MaxAttempts") { // which is no page's size
					return
				}
				field.SetInt(-1)
				// A batch may turn out to be empty before anybody looks at its size.
				err := c.Call(w.Ctx, arg)
				if pgErrorOf(err).Code != "2201W" && (err != nil || strings.HasPrefix(c.Name, "List")) {
					t.Errorf("%s: got %v, want a negative limit to be refused", name, err)
				}
			})
		}
	})
}

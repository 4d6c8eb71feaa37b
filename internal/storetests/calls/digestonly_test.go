package calls

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/tracelog"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/storetest"
	"github.com/oauthdb/oauthdb/token"
)

// vault is a world that remembers every credential it has minted, and everything that could have kept one.
type vault struct {
	*world
	url    string
	dump   bool // search what pg_dump writes, too
	minted map[string]token.Raw
	logged *synced
	logger *slog.Logger
	errs   []string
}

// synced is a buffer that pgx and the test write to at the same time.
type synced struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *synced) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *synced) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// newVault is newWorld with a pool that logs everything, arguments included.
func newVault(t *testing.T) *vault {
	t.Helper()
	logged := &synced{}
	text := slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tracer := &tracelog.TraceLog{LogLevel: tracelog.LogLevelTrace, Logger: tracelog.LoggerFunc(
		func(ctx context.Context, _ tracelog.LogLevel, message string, data map[string]any) {
			text.InfoContext(ctx, message, "data", data)
			text.InfoContext(ctx, message, "data", fmt.Sprintf("%+v %#v", data, data))
		},
	)}
	db := storetest.New(t, storetest.MaxConns(2), storetest.Tracer(tracer), withEvents, fixture.WithRoles)
	v := &vault{
		world: worldOf(t, db.Pool), url: db.URL, minted: map[string]token.Raw{},
		logged: logged, logger: slog.New(slog.NewJSONHandler(logged, nil)),
	}
	v.User = v.NewUser()
	return v
}

// mint makes a credential and remembers it.
func (v *vault) mint(kind token.Kind, name string) token.Raw {
	raw := token.Mint(kind)
	v.remember(name, raw)
	return raw
}

func (v *vault) remember(name string, raw token.Raw) {
	if _, found := v.minted[name]; found {
		v.Fatalf("two credentials are called %s", name)
	}
	v.minted[name] = raw
	v.logger.Info("a credential", "name", name, "raw", raw, "digest", raw.Digest(), "both", []any{raw, &raw})
	fmt.Fprintf(v.logged, "%v %+v %#v %s %q %x %d\n", raw, raw, raw, raw, raw, raw, raw)
}

// did logs what a call was given and what it gave, as a careless server would, and keeps its error.
func (v *vault) did(err error, values ...any) {
	v.Helper()
	for _, value := range values {
		v.logger.Info("call", "value", value)
		fmt.Fprintf(v.logged, "%+v %#v\n", value, value)
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		v.Fatal(err)
	}
}

// refused wants an error and keeps all that it says.
func (v *vault) refused(what string, err error) {
	v.Helper()
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		v.Errorf("%s: got %v, want an error", what, err)
		return
	}
	text := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
	if e, found := errors.AsType[*pgconn.PgError](err); found {
		text += fmt.Sprintf(" %+v", *e)
	}
	v.errs = append(v.errs, text)
	v.logger.Error(what, "error", err)
}

// everywhere is everything that could have kept a credential, by its name.
func (v *vault) everywhere() map[string]string {
	v.Helper()
	found := map[string]string{"logs": v.logged.String(), "errors": strings.Join(v.errs, "\n")}
	rows, err := v.Pool.Query(v.Ctx, `
		SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')`)
	v.OK(err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	v.OK(err)
	for _, table := range append(all, "pg_stat_activity") {
		rows, err := v.Pool.Query(v.Ctx, `SELECT x::text || to_jsonb(x) FROM `+table+` x`)
		v.OK(err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		v.OK(err)
		found[table] = strings.Join(lines, "\n")
	}
	if len(all) < len(fixture.Tables) {
		v.Fatalf("there are only %d tables: %v", len(all), all)
	}
	if program, err := exec.LookPath("pg_dump"); err == nil && v.dump {
		out, err := exec.CommandContext(v.Ctx, program, "--data-only", "--column-inserts", v.url).CombinedOutput()
		switch {
		case err == nil:
			found["pg_dump"] = string(out)
		case bytes.Contains(out, []byte("server version mismatch")):
			v.Log("pg_dump is of another version than the server")
		default:
			v.Fatalf("pg_dump: %v: %s", err, out)
		}
	}
	return found
}

// randomPart is what makes a credential secret: its text without the prefix and the checksum at its end.
func randomPart(raw token.Raw) string {
	text := raw.Reveal()
	body := text[strings.LastIndexByte(text, '_')+1:]
	return body[:len(body)-6]
}

// leaks lists which credential is to be found where, whole or its random part, in whatever case.
func (v *vault) leaks() []string {
	v.Helper()
	var leaks []string
	for where, text := range v.everywhere() {
		text = strings.ToLower(text)
		for name, raw := range v.minted {
			if strings.Contains(text, strings.ToLower(randomPart(raw))) {
				leaks = append(leaks, name+" in "+where)
			}
		}
	}
	slices.Sort(leaks)
	return leaks
}

// kept wants the digest of each credential in the database: a search that finds none of them has not looked at the rows.
func (v *vault) kept(names ...string) {
	v.Helper()
	everywhere := v.everywhere()
	delete(everywhere, "logs")
	delete(everywhere, "errors")
	all := strings.Join(slices.Collect(maps.Values(everywhere)), "\n")
	for _, name := range names {
		if !strings.Contains(all, string(v.minted[name].Digest())) {
			v.Errorf("the digest of %s is nowhere", name)
		}
	}
}

// live runs everything that a credential goes through, up to where rows are deleted.
func (v *vault) live() {
	v.Helper()
	q, ctx := v.Q, v.Ctx
	successors, err := token.NewSuccessors(bytes.Repeat([]byte{7}, 32))
	v.OK(err)

	secret, registration := v.mint(token.ClientSecret, "client secret"), v.mint(token.RegistrationAccessToken, "registration token")
	client, err := q.CreateClient(ctx, store.CreateClientParams{
		ID: store.NewOAuthClientID(), ClientID: store.NewClientID(), ClientSecret: new(secret.Digest()),
		GrantTypes:              []string{"authorization_code", "refresh_token", "client_credentials"},
		RegistrationAccessToken: new(registration.Digest()), RedirectURIs: []string{fixture.RedirectURI},
	})
	v.did(err, client)
	v.Client = client.ClientID
	authenticated, err := q.AuthenticateClient(ctx, store.AuthenticateClientParams{
		ClientID: v.Client, ClientAuthMethod: "client_secret_post", ClientSecret: secret.Digest(),
	})
	v.did(err, authenticated)
	v.want("AuthenticateClient", authenticated, store.OutcomeAuthenticated)
	managed, err := q.FindClientByRegistrationToken(ctx, store.FindClientByRegistrationTokenParams{
		ClientID: v.Client, RegistrationAccessToken: registration.Digest(),
	})
	v.did(err, managed)
	next := v.mint(token.ClientSecret, "next client secret")
	rotatedSecret, err := q.RotateClientSecret(ctx, store.RotateClientSecretParams{ClientID: v.Client, ClientSecret: next.Digest(), Overlap: time.Hour, Lifetime: store.Never})
	v.did(err, rotatedSecret)
	nextRegistration := v.mint(token.RegistrationAccessToken, "next registration token")
	_, err = q.SetRegistrationAccessToken(ctx, store.SetRegistrationAccessTokenParams{
		ClientID: v.Client, RegistrationAccessToken: new(nextRegistration.Digest()),
	})
	v.did(err)
	initial, own, itsSecret, itsNext := v.mint(token.InitialAccessToken, "initial access token"), v.mint(token.RegistrationAccessToken, "its own registration token"),
		v.mint(token.ClientSecret, "its own secret"), v.mint(token.RegistrationAccessToken, "its next registration token")
	handedOut, err := q.CreateInitialAccessToken(ctx, store.CreateInitialAccessTokenParams{ID: store.NewInitialAccessTokenID(), Token: initial.Digest(), MaxUses: 1, Lifetime: time.Hour})
	v.did(err, handedOut)
	itsID := store.NewClientID()
	registered, err := q.RegisterClient(ctx, store.RegisterClientParams{
		ID: store.NewOAuthClientID(), ClientID: itsID, InitialAccessToken: new(initial.Digest()), RegistrationAccessToken: new(own.Digest()),
		ClientSecret: new(itsSecret.Digest()), ClientSecretLifetime: store.Never, RedirectURIs: []string{fixture.RedirectURI},
	})
	v.did(err, registered)
	v.want("RegisterClient", registered.Outcome, store.OutcomeRegistered)
	updatedRegistration, err := q.UpdateRegistration(ctx, store.UpdateRegistrationParams{
		ClientID: itsID, RegistrationAccessToken: own.Digest(), NewRegistrationAccessToken: new(itsNext.Digest()), RedirectURIs: []string{fixture.RedirectURI},
	})
	v.did(err, updatedRegistration)
	v.want("UpdateRegistration", updatedRegistration.Outcome, store.OutcomeUpdated)
	assertion, err := q.RememberClientAssertion(ctx, store.RememberClientAssertionParams{
		ID: token.AssertionID(string(v.Client), v.mint(token.ClientSecret, "jti").Reveal()), ExpiresAt: time.Now().Add(time.Hour).Unix(), MaxLifetime: 2 * time.Hour,
	})
	v.did(err, assertion)

	cookie := v.mint(token.SessionToken, "session cookie")
	v.Session = store.NewSessionID()
	session, err := q.CreateSession(ctx, store.CreateSessionParams{
		ID: v.Session, UserID: v.User, Token: cookie.Digest(), Lifetime: time.Hour, UserAgent: new("Mozilla/5.0"),
	})
	v.did(err, session)
	signedIn, err := q.FindSessionByToken(ctx, cookie.Digest())
	v.did(err, signedIn)

	requestURI, code := v.mint(token.RequestURI, "request_uri"), v.mint(token.AuthorizationCode, "code")
	id := v.pending(func(p *store.CreateAuthorizationParams) {
		p.RequestURI, p.RequestURILifetime = new(requestURI.Digest()), time.Minute
	})
	v.kept("request_uri")
	taken, err := q.TakeAuthorizationByRequestURI(ctx, store.TakeAuthorizationByRequestURIParams{
		RequestURI: requestURI.Digest(), ClientID: v.Client, Lifetime: time.Minute,
	})
	v.did(err, taken)
	v.pending(func(p *store.CreateAuthorizationParams) {
		p.RequestURI, p.RequestURILifetime = new(v.mint(token.RequestURI, "request_uri that is not taken").Digest()), time.Minute
	})
	approveParams := v.approveParams(id)
	approveParams.Code = new(code.Digest())
	approved, err := q.ApproveAuthorization(ctx, approveParams)
	v.did(err, approveParams, approved)
	v.consent("", false, "openid")

	access, refresh := v.mint(token.AccessToken, "access token"), v.mint(token.RefreshToken, "refresh token")
	redeemParams := v.RedeemParams("")
	redeemParams.Code, redeemParams.AccessToken, redeemParams.RefreshToken = code.Digest(), new(access.Digest()), new(refresh.Digest())
	redeemed, err := q.RedeemAuthorizationCode(ctx, redeemParams)
	v.did(err, redeemParams, redeemed)
	wantEqual(v, "RedeemAuthorizationCode", redeemed.Outcome, store.OutcomeRedeemed)

	current := refresh
	rotate := func(name string, presented token.Raw, want store.Outcome) token.Raw {
		v.Helper()
		successor := successors.Successor(presented)
		if _, found := v.minted["successor "+string(successor.Digest())]; !found {
			v.remember("successor "+string(successor.Digest()), successor)
		}
		p, _ := v.RotateParams("")
		p.Token, p.Successor = presented.Digest(), successor.Digest()
		p.AccessToken = new(v.mint(token.AccessToken, name).Digest())
		row, err := q.RotateRefreshToken(ctx, p)
		v.did(err, p, row)
		wantEqual(v, name, row.Outcome, want)
		return successor
	}
	for i := range 3 {
		successor := rotate(fmt.Sprintf("access token of rotation %d", i), current, store.OutcomeRotated)
		rotate(fmt.Sprintf("access token of retry %d", i), current, store.OutcomeRetried)
		current = successor
	}
	foreign, foreignAccess := v.mint(token.RefreshToken, "foreign refresh token"), v.mint(token.AccessToken, "foreign access token")
	foreignID := v.ForeignRefreshToken(foreign.Reveal())
	v.ForeignAccessToken(foreignAccess.Reveal(), &foreignID)
	rotate("access token after a foreign grant", foreign, store.OutcomeRotated)
	another := v.mint(token.RefreshToken, "another foreign refresh token")
	v.ForeignRefreshToken(another.Reveal())
	machine := v.mint(token.AccessToken, "client's own token")
	issueParams := v.issueParams("")
	issueParams.ClientID = v.Client
	issueParams.AccessToken = new(machine.Digest())
	issued, err := q.IssueAccessToken(ctx, issueParams)
	v.did(err, issueParams, issued)

	mailed, recovery := v.mint(token.AuthorizationCode, "one-time code"), v.mint(token.ClientSecret, "recovery code")
	sent, err := q.CreateOneTimeCode(ctx, store.CreateOneTimeCodeParams{
		Purpose: "sign-in", Subject: token.DigestOf(string(v.User)), Digest: mailed.Digest(), Lifetime: time.Minute,
	})
	v.did(err, sent)
	replaced, err := q.ReplaceRecoveryCodes(ctx, store.ReplaceRecoveryCodesParams{UserID: v.User, Digests: token.Digests{recovery.Digest()}})
	v.did(err, replaced)

	for _, raw := range v.minted { // each is asked for as every kind
		digest := raw.Digest()
		introspected, err := q.IntrospectToken(ctx, store.IntrospectTokenParams{Token: digest, ClientAuthMethod: fixture.Server})
		v.did(err, introspected)
		introspectedAccess, err := q.IntrospectAccessToken(ctx, store.IntrospectAccessTokenParams{Token: digest, ClientAuthMethod: fixture.Server})
		v.did(err, introspectedAccess)
		introspectedRefresh, err := q.IntrospectRefreshToken(ctx, store.IntrospectRefreshTokenParams{Token: digest, ClientAuthMethod: fixture.Server})
		v.did(err, introspectedRefresh)
		foundAccess, err := q.FindAccessTokenByToken(ctx, digest)
		v.did(err, foundAccess)
		foundRefresh, err := q.FindRefreshTokenByToken(ctx, digest)
		v.did(err, foundRefresh)
		foundCode, err := q.FindAuthorizationByCode(ctx, digest)
		v.did(err, foundCode)
	}
	v.kept("client secret", "next client secret", "next registration token", "session cookie", "request_uri that is not taken", "code",
		"access token", "refresh token", "access token of rotation 2", "access token of retry 2", "foreign refresh token",
		"foreign access token", "another foreign refresh token", "client's own token", "one-time code", "recovery code")
	accepted, err := q.RedeemOneTimeCode(ctx, store.RedeemOneTimeCodeParams{
		Purpose: "sign-in", Subject: token.DigestOf(string(v.User)), Digest: mailed.Digest(), MaxAttempts: 5, AttemptWindow: time.Minute,
	})
	v.did(err, accepted)
	wantEqual(v, "RedeemOneTimeCode", accepted.Outcome, store.OutcomeAccepted)
	used, err := q.UseRecoveryCode(ctx, store.UseRecoveryCodeParams{UserID: v.User, Digest: recovery.Digest()})
	v.did(err, used)
	wantEqual(v, "UseRecoveryCode", used.Outcome, store.OutcomeAccepted)

	rotate("access token of a reuse", refresh, store.OutcomeReplayed)
	redeemParams.AccessTokenID = store.NewAccessTokenID()
	redeemed, err = q.RedeemAuthorizationCode(ctx, redeemParams)
	v.did(err, redeemed)
	wantEqual(v, "RedeemAuthorizationCode", redeemed.Outcome, store.OutcomeReplayed)
}

// end runs what revokes and deletes.
func (v *vault) end() {
	v.Helper()
	q, ctx := v.Q, v.Ctx
	for _, raw := range v.minted {
		row, err := q.RevokeToken(ctx, store.RevokeTokenParams{Token: raw.Digest(), ClientID: v.Client, ClientAuthMethod: fixture.Verified})
		v.did(err, row)
	}
	withdrawn, err := q.WithdrawConsent(ctx, store.WithdrawConsentParams{UserID: v.User, ClientID: v.Client})
	v.did(err, withdrawn)
	ended, err := q.EndSession(ctx, v.Session)
	v.did(err, ended)
	revoked, err := q.RevokeUserAuthorizations(ctx, v.User)
	v.did(err, revoked)
	v.Exec(`UPDATE oauth_access_token SET expires_at = now()`)
	v.Exec(`UPDATE oauth_refresh_token SET expires_at = now() - interval '1 week'`)
	v.Exec(`UPDATE oauth_authorization SET expires_at = now() - interval '1 week'`)
	_, err = q.DeleteExpiredAccessTokens(ctx, store.DeleteExpiredAccessTokensParams{BatchSize: 100})
	v.did(err)
	v.collectRefreshTokens(3)
	v.collectAuthorizations(3)
}

// provoke makes the mistakes by which a credential could get into an error, or into a row.
func (v *vault) provoke() {
	v.Helper()
	q, ctx := v.Q, v.Ctx
	raw := v.mint(token.AccessToken, "raw in the place of a digest")
	cast := token.Digest(raw.Reveal())
	_, err := q.IntrospectToken(ctx, store.IntrospectTokenParams{Token: cast, ClientAuthMethod: fixture.Server})
	v.refused("a raw token, converted to a digest", err)
	_, err = q.CreateSession(ctx, store.CreateSessionParams{ID: "s", UserID: v.User, Token: cast, Lifetime: time.Hour})
	v.refused("a raw session token, converted to a digest", err)
	p := v.issueParams("")
	p.AccessToken = &cast
	_, err = q.IssueAccessToken(ctx, p)
	v.refused("a raw access token, converted to a pointer to a digest", err)
	_, err = v.Pool.Exec(ctx, `INSERT INTO oauth_access_token (id, token, client_id, scopes) VALUES ('x', $1, $2, '{}')`, raw, string(v.Client))
	v.refused("a raw token as an argument", err)
	_, err = v.Pool.Exec(ctx, `INSERT INTO oauth_access_token (id, token, client_id, scopes) VALUES ('x', $1, $2, '{}')`, &raw, string(v.Client))
	v.refused("a pointer to a raw token as an argument", err)
	_, err = v.Pool.Exec(ctx, `UPDATE session SET user_agent = $1::text`, raw)
	v.refused("a raw token as text", err)
	_, err = v.Pool.Exec(ctx, `UPDATE oauth_client SET metadata = $1::jsonb`, map[string]any{"secret": raw})
	v.did(err) // which writes that it is redacted

	taken := v.issueParams("")
	taken.AccessToken = new(v.mint(token.AccessToken, "taken token").Digest())
	_, err = q.IssueAccessToken(ctx, taken)
	v.did(err, taken)
	taken.ID = store.NewAccessTokenID()
	_, err = q.IssueAccessToken(ctx, taken)
	v.refused("a token that is taken", err)
	request := v.RequestParams()
	_, err = q.CreateAuthorization(ctx, request)
	v.did(err, request)
	_, err = q.ApproveAuthorization(ctx, store.ApproveAuthorizationParams{
		ID: request.ID, UserID: v.User, GrantedScopes: request.Scopes, Code: new(v.minted["code"].Digest()), CodeLifetime: time.Minute, DefaultScopes: fixture.Scopes,
		DefaultResources: fixture.Resources,
	})
	v.refused("a code that is taken", err)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = q.IntrospectToken(canceled, store.IntrospectTokenParams{Token: v.minted["access token"].Digest(), ClientAuthMethod: fixture.Server})
	v.refused("a context that has ended", err)
	for _, presented := range []string{raw.Reveal() + "x", raw.Reveal()[1:], raw.Reveal()[:20], "odb_xx_" + raw.Reveal()} {
		_, err := token.Parse(token.AccessToken, presented)
		v.refused("a damaged token", err)
	}
	_, err = token.Parse(token.RefreshToken, raw.Reveal())
	v.refused("a token of another kind", err)
	text, err := json.Marshal(map[string]any{"token": raw, "digest": raw.Digest()})
	v.did(err, string(text))
}

func TestNothingKeepsACredentialButItsDigest(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.live()
	v.provoke()
	v.dump = true
	wantEqual(t, "credentials found", v.leaks(), nil)
	v.end()
	wantEqual(t, "credentials found", v.leaks(), nil)
	for kind := token.AccessToken; kind <= token.RegistrationAccessToken; kind++ {
		prefix := token.Scheme{}.Prefix(kind)
		if !slices.ContainsFunc(slices.Collect(maps.Values(v.minted)), func(r token.Raw) bool { return strings.HasPrefix(r.Reveal(), prefix) }) {
			t.Errorf("no %s has been in use", kind)
		}
	}
}

func TestTheSearchFindsACredentialThatIsPlanted(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	cookie := v.mint(token.SessionToken, "cookie")
	wantEqual(t, "credentials found", v.leaks(), nil)
	v.Exec(`INSERT INTO session (id, user_id, token, expires_at) VALUES ('s', $1, 'x', now())`, string(v.User))
	quiet := newQuietConn(v)
	for i, c := range []struct{ name, sql string }{
		{"whole, as a better-auth server keeps it", `UPDATE session SET token = $1`},
		{"within other text", `UPDATE session SET user_agent = 'agent ' || $1 || '!'`},
		{"without its prefix", `UPDATE session SET user_agent = substr($1, 8)`},
		{"its random part alone, in upper case", `UPDATE session SET ip_address = upper(substr($1, 8, 43))`},
	} {
		_, err := quiet.Exec(v.Ctx, c.sql, cookie.Reveal())
		v.OK(err)
		v.dump = i == 0
		_, dumped := v.everywhere()["pg_dump"]
		found := v.leaks()
		if !slices.Contains(found, "cookie in session") || dumped && !slices.Contains(found, "cookie in pg_dump") {
			t.Errorf("%s: found %v", c.name, found)
		}
		_, err = quiet.Exec(v.Ctx, `UPDATE session SET token = 'x', user_agent = NULL, ip_address = NULL`)
		v.OK(err)
		wantEqual(t, "credentials found afterwards", v.leaks(), nil)
	}
	v.errs = append(v.errs, "invalid token: "+cookie.Reveal())
	wantEqual(t, "credentials found", v.leaks(), []string{"cookie in errors"})
	v.errs = nil
	v.logger.Info("careless", "token", cookie.Reveal())
	wantEqual(t, "credentials found", v.leaks(), []string{"cookie in logs"})
}

// newQuietConn is a connection to the vault's database that nothing listens to.
func newQuietConn(v *vault) *pgx.Conn {
	v.Helper()
	conn, err := pgx.Connect(v.Ctx, v.url)
	v.OK(err)
	v.Cleanup(func() { _ = conn.Close(context.WithoutCancel(v.Ctx)) })
	return conn
}

package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/tracelog"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/db/dbotel"
	"github.com/oauthdb/oauthdb/internal/catalog"
	"github.com/oauthdb/oauthdb/internal/devdb"
	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keptByTheCaller are parameters of text whose values the caller has encrypted or hashed. The tests pass something that is made from
// the credential and doesn't show it, as the caller would.
var keptByTheCaller = []string{
	"access_token", "refresh_token", "id_token", "password", "private_key", "private_key_uri", "foreign_secret_hash", "notification_token", "secret",
	"code_challenge", // of the verifier
}

// noCredential are parameters whose names sound like credentials, and that are none.
var noCredential = []string{
	"public_key", "state", "nonce", "code_challenge_method", "software_statement",
	"token_endpoint_auth_method", "dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens", "access_token_without_row",
	"token_lost", "key",
}

var soundsLikeCredential = regexp.MustCompile(`token|secret|password|hash|key|code|nonce|state|digest|proof|assertion`)

// credentials are the parameters that carry a credential in some form, as "CreateSession.Token".
func credentials(t *testing.T) map[string]bool {
	t.Helper()
	facts, err := catalog.Reviewed()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, q := range facts.Queries {
		for _, p := range q.Params {
			name := q.Name
			if p.Field != "" {
				name += "." + p.Field
			}
			switch {
			case p.Type == "token_digest" || p.Type == "digest_list" || p.Type == "text" && slices.Contains(keptByTheCaller, p.Name):
				found[name] = true
			case p.Type == "text" && soundsLikeCredential.MatchString(p.Name) && !slices.Contains(noCredential, p.Name):
				t.Errorf("%s: does %s carry a credential?", q.Name, p.Name)
			}
		}
	}
	return found
}

// watched is a server of the test's own that logs all it can, and everything that could have kept a credential.
type watched struct {
	*testing.T
	cluster *devdb.Cluster
	pool    *pgxpool.Pool
	minted  map[string]token.Raw // by the parameter that carried it
	safe    strings.Builder      // what may go into a log or a trace: no digest either
	mu      sync.Mutex
	errs    strings.Builder // errors as a careless server prints them
	traced  bytes.Buffer    // what pgx's own tracer logs, arguments included
	spans   tracetest.InMemoryExporter
	request oteltrace.Tracer // begins the span of a request, in which a call has one of its own
}

func watch(t *testing.T) *watched {
	t.Helper()
	cluster := fixture.NewCluster(t, map[string]string{
		"log_statement": "all", "log_parameter_max_length": "-1", "log_parameter_max_length_on_error": "-1",
		"log_min_error_statement": "debug5", "log_error_verbosity": "verbose", "log_min_messages": "debug1", "log_duration": "on",
		"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "all", "pg_stat_statements.max": "10000",
		"fsync": "off", "synchronous_commit": "off",
	})
	w := &watched{T: t, cluster: cluster, minted: map[string]token.Raw{}}
	logger := slog.New(slog.NewTextHandler(&locked{&w.mu, &w.traced}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tracer := &tracelog.TraceLog{LogLevel: tracelog.LogLevelTrace, Logger: tracelog.LoggerFunc(
		func(ctx context.Context, _ tracelog.LogLevel, message string, data map[string]any) {
			logger.InfoContext(ctx, message, "data", data, "all", fmt.Sprintf("%+v %#v", data, data))
		},
	)}
	spans := trace.NewTracerProvider(trace.WithSyncer(&w.spans))
	w.request = spans.Tracer("requests")
	pool, err := db.Open(t.Context(), cluster.URL, db.Options{
		MaxConns: 1, Tracer: multitracer.New(tracer, dbotel.NewTracer(dbotel.Options{TracerProvider: spans})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w.pool = pool
	if _, err := pool.Exec(t.Context(), `CREATE EXTENSION pg_stat_statements`); err != nil {
		t.Fatal(err)
	}
	return w
}

type locked struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// mint is the credential that a parameter carries, in all calls.
func (w *watched) mint(parameter string) token.Raw {
	raw, found := w.minted[parameter]
	if !found {
		raw = token.Mint(token.AccessToken)
		w.minted[parameter] = raw
	}
	return raw
}

// carry puts a credential into a field of an argument: its digest, or what a caller makes of it. It says whether the field is of such a
// kind. With a raw one it is what a mistaken conversion gives.
func carry(field reflect.Value, raw token.Raw, converted bool) bool {
	digest := raw.Digest()
	if converted {
		digest = token.Digest(raw.Reveal())
	}
	switch f := field.Addr().Interface().(type) {
	case *token.Digest:
		*f = digest
	case **token.Digest:
		*f = &digest
	case *token.Digests:
		*f = token.Digests{digest}
	case *string:
		if !converted {
			*f = "$enc$" + string(digest)
		}
		return !converted
	case **string:
		if !converted {
			*f = new("$enc$" + string(digest))
		}
		return !converted
	default:
		return false
	}
	return true
}

// call makes a call with credentials in all parameters that take one, and keeps what it answers.
func (w *watched) call(c fixture.AnyCall, wanted map[string]bool, change func(arg reflect.Value)) {
	w.Helper()
	arg := c.NewArg()
	if arg.IsValid() && arg.Kind() == reflect.Struct && strings.HasSuffix(arg.Type().Name(), "Params") {
		for i := range arg.NumField() {
			if name := c.Name + "." + arg.Type().Field(i).Name; wanted[name] && !carry(arg.Field(i), w.mint(name), false) {
				w.Errorf("%s can't carry a credential", name)
			}
		}
	} else if wanted[c.Name] && !carry(arg, w.mint(c.Name), false) {
		w.Errorf("%s can't carry a credential", c.Name)
	}
	if change != nil {
		change(arg)
	}
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	ctx, span := w.request.Start(ctx, "request")
	defer span.End()
	w.keep(c.Call(ctx, arg))
}

func (w *watched) keep(err error) {
	fmt.Fprintf(&w.errs, "%v %+v %#v %q\n", err, err, err, err)
	if e, found := errors.AsType[*pgconn.PgError](err); found {
		fmt.Fprintf(&w.errs, "%+v\n", *e)
	}
	fmt.Fprintln(&w.safe, db.Describe(err))
}

// places are all that could have kept something, by name.
func (w *watched) places() map[string]string {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	log, err := os.ReadFile(w.cluster.LogFile)
	if err != nil {
		w.Fatal(err)
	}
	return map[string]string{
		"log of the server": string(log), "dump": w.dump(), "errors": w.errs.String(), "tracer of pgx": w.traced.String(),
		"statistics": w.read(`SELECT s::text FROM pg_stat_statements AS s`), "descriptions": w.safe.String(),
		"spans": w.spansAsText(),
	}
}

func (w *watched) spansAsText() string {
	var b strings.Builder
	for _, s := range w.spans.GetSpans() {
		fmt.Fprintf(&b, "span %s: %+v %+v %+v\n", s.Name, s.Attributes, s.Events, s.Status)
	}
	return b.String()
}

// pgDump is the program of the server's version; where the server's programs are elsewhere, the one that is installed.
func pgDump(c *devdb.Cluster) string {
	if path := filepath.Join(c.BinDir, "pg_dump"); c.BinDir != "" {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return "pg_dump"
}

// dump is what pg_dump writes or, where there is none of the server's version, the rows of all tables.
func (w *watched) dump() string {
	w.Helper()
	dump, err := exec.CommandContext(w.Context(), pgDump(w.cluster), "--column-inserts", w.cluster.URL).CombinedOutput()
	switch {
	case err == nil:
		return string(dump)
	case bytes.Contains(dump, []byte("server version mismatch")):
		return w.read(`
			SELECT query_to_xml(format('SELECT * FROM %s', c.oid::regclass), true, true, '')::text
			FROM pg_class AS c
			WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace`)
	}
	w.Fatalf("pg_dump: %v: %s", err, dump)
	return ""
}

// read is a column of text, read by a connection that nothing listens to.
func (w *watched) read(sql string) string {
	w.Helper()
	ctx := context.WithoutCancel(w.Context())
	conn, err := pgx.Connect(ctx, w.cluster.URL)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		w.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// leaks lists which credential is found where, whole or its random part, in whatever case; and which digest, where none belongs.
func (w *watched) leaks() []string {
	w.Helper()
	var leaks []string
	for where, text := range w.places() {
		lower := strings.ToLower(text)
		for name, raw := range w.minted {
			body := raw.Reveal()[strings.LastIndexByte(raw.Reveal(), '_')+1:]
			if strings.Contains(lower, strings.ToLower(body[:len(body)-6])) {
				leaks = append(leaks, name+" in the "+where)
			}
			if (where == "statistics" || where == "descriptions" || where == "spans") && strings.Contains(text, string(raw.Digest())) {
				leaks = append(leaks, "digest of "+name+" in the "+where)
			}
		}
	}
	slices.Sort(leaks)
	return leaks
}

// ends matches the calls after which others have less to do.
var ends = regexp.MustCompile(`^(Delete|Revoke|End|Disable|Suspend|Erase|Withdraw|Deny|Retire|Mark|Sweep|Take|Redeem|Use|Poll)`)

// digestsIn are the credentials whose digests are in a place, which is how the search shows that it has looked there.
func (w *watched) digestsIn(where string) []string {
	w.Helper()
	text := w.places()[where]
	var found []string
	for name, raw := range w.minted {
		if strings.Contains(text, string(raw.Digest())) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

func callOf(calls []fixture.AnyCall, name string) fixture.AnyCall {
	return calls[slices.IndexFunc(calls, func(c fixture.AnyCall) bool { return c.Name == name })]
}

// fit makes an argument one that most calls succeed with.
func fit(arg reflect.Value) {
	if !arg.IsValid() || arg.Kind() != reflect.Struct {
		return
	}
	for name, value := range map[string]any{
		"ClientAuthMethod": "verified", "RedirectURI": "https://client.example/callback", "ResponseType": "code", "CodeChallengeMethod": "S256",
		"TokenEndpointAuthMethod": "client_secret_basic", "ApplicationType": "web", "SubjectType": "public", "Email": "x@example.com",
		"BackchannelLogoutURI": "https://client.example/logout", "Issuer": "https://issuer.example", "MaxAttempts": int64(5),
		"RedirectURIs": []string{"https://client.example/callback"}, "ResponseTypes": []string{"code"}, "PostLogoutRedirectURIs": []string(nil),
		"GrantTypes": []string{
			"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba",
			"urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:jwt-bearer",
		},
		"JWKS": nil, "JWKSURI": nil, "PrivateKeyURI": nil, "Public": nil, "Confirmation": nil, "SectorIdentifier": nil, "SoftwareStatement": nil,
		"DPoPBoundAccessTokens": nil, "TLSClientCertificateBoundAccessTokens": nil, "RequirePushedAuthorizationRequests": nil,
		"AuthorizationDetails": nil, "AuthorizationDetailsTypes": nil, "Act": nil, "MayAct": nil, "AccessTokenWithoutRow": false,
	} {
		f := arg.FieldByName(name)
		switch v := reflect.ValueOf(value); {
		case !f.IsValid():
		case value == nil:
			f.SetZero()
		case f.Kind() == reflect.Pointer && v.CanConvert(f.Type().Elem()):
			f.Set(reflect.New(f.Type().Elem()))
			f.Elem().Set(v.Convert(f.Type().Elem()))
		case v.CanConvert(f.Type()):
			f.Set(v.Convert(f.Type()))
		}
	}
	if p, ok := arg.Addr().Interface().(*store.CreateClientParams); ok {
		p.ForeignSecretHash = nil // beside a digest of a secret
	}
}

func TestNoCallLeavesACredentialAnywhere(t *testing.T) {
	t.Parallel()
	w := watch(t)
	t.Run("calls leave none", func(t *testing.T) { noCallLeavesACredential(t, w) })
	t.Run("one that is planted is found", func(t *testing.T) { plantedIsFound(t, w) })
}

func noCallLeavesACredential(t *testing.T, w *watched) {
	wanted := credentials(t)
	if len(wanted) < 100 {
		t.Fatalf("only %d parameters carry credentials: %v", len(wanted), slices.Sorted(maps.Keys(wanted)))
	}
	q := store.New(w.pool)
	calls := fixture.AnyCalls(q)
	for _, first := range []string{"CreateUser", "CreateClient", "CreateSession"} { // which the others refer to
		w.call(callOf(calls, first), wanted, fit)
	}
	for _, c := range calls {
		if !ends.MatchString(c.Name) {
			w.call(c, wanted, fit)
		}
	}
	if kept := w.digestsIn("dump"); len(kept) < 15 {
		t.Errorf("only %d digests were stored: %q\n%s", len(kept), kept, w.safe.String())
	}
	for _, change := range []func(reflect.Value){fit, nil} { // then most is refused, by a constraint or because it is there
		for _, c := range calls {
			w.call(c, wanted, change)
		}
	}
	// a credential that was converted to a digest, instead of being digested, is not even sent
	for _, c := range calls {
		c.EachField(func(name string, _ int, _, _ reflect.Value) {
			if !wanted[name] {
				return
			}
			w.call(c, wanted, func(arg reflect.Value) {
				if _, field, found := strings.Cut(name, "."); found {
					carry(arg.FieldByName(field), w.mint(name), true)
				} else {
					v := reflect.New(arg.Type()).Elem()
					if carry(v, w.mint(name), true) {
						arg.Set(v)
					}
				}
			})
		})
	}
	if _, err := db.NewCollector(q, db.CollectorOptions{Logger: slog.New(slog.NewTextHandler(&w.safe, nil))}).Collect(t.Context()); err != nil {
		t.Error(err)
	}
	for name := range wanted {
		if _, used := w.minted[name]; !used {
			t.Errorf("%s was never passed", name)
		}
	}
	if leaks := w.leaks(); len(leaks) > 0 {
		t.Errorf("%d leaks:\n%s", len(leaks), strings.Join(leaks, "\n"))
	}

	// the search has looked at all calls, and at their parameters
	places := w.places()
	for _, c := range calls {
		if !strings.Contains(places["log of the server"], "-- name: "+c.Name+" ") {
			t.Errorf("%s isn't in the log of the server", c.Name)
		}
		if !strings.Contains(places["spans"], "span "+c.Name+":") {
			t.Errorf("%s isn't in the spans", c.Name)
		}
	}
	var statements int // whose texts lack the name since PostgreSQL 18
	if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_statements WHERE toplevel`).Scan(&statements); err != nil || statements < len(calls) {
		t.Errorf("%d statements are in the statistics of %d calls, %v", statements, len(calls), err)
	}
	for _, where := range []string{"log of the server", "tracer of pgx"} {
		if seen := w.digestsIn(where); len(seen) < len(wanted)/2 {
			t.Errorf("only %d digests are in the %s", len(seen), where)
		}
	}
}

func plantedIsFound(t *testing.T, w *watched) {
	raw := w.mint("planted")
	if leaks := w.leaks(); len(leaks) > 0 {
		t.Errorf("found %q", leaks)
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	// calls that take a raw token, that have it in their text, and that store it
	exec(`SELECT $1::text`, raw.Reveal())
	exec(`DO $$ BEGIN PERFORM '` + raw.Reveal() + `'; END $$`)
	exec(`INSERT INTO verification (id, identifier, value, expires_at) VALUES ('v', $1, '', now())`, strings.ToUpper(raw.Reveal()))
	// a routine that refuses it by name, a line of a log that has its digest, and a span that does
	exec(`CREATE FUNCTION careless(x text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no such token: %', x; END $$`)
	_, err := w.pool.Exec(t.Context(), `SELECT careless($1)`, raw.Reveal())
	w.keep(err)
	fmt.Fprintf(&w.safe, "msg=careless token=%s\n", raw.Digest())
	_, span := w.request.Start(t.Context(), "request for "+string(raw.Digest()))
	span.End()
	leaks := w.leaks()
	for _, want := range []string{
		"planted in the log of the server", "planted in the tracer of pgx", "planted in the statistics", "planted in the dump", "planted in the errors",
		"digest of planted in the descriptions", "digest of planted in the spans",
	} {
		if !slices.Contains(leaks, want) {
			t.Errorf("found %q, want %s", leaks, want)
		}
	}
}

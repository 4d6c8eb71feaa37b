package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

type options struct {
	issuer                              string // its URL, without a slash at the end
	behindProxy                         bool
	sessionLifetime, maxSessionLifetime time.Duration
	maxSessions                         int32 // of a user at a time; 0: any number
	passwordParams                      *argon2id.Params
	mailer                              Mailer       // nil: no mail, so no sign-up and no reset
	signUp                              bool         // people may create accounts for themselves
	codeKey                             []byte       // for the digests of one-time codes
	sealKeys                            [][]byte     // for what the server hands out and takes back, the newest first
	outbound                            *http.Client // to where clients want to be told; nil: a plain one
	storage                             zitadel.Options
	logger                              *slog.Logger
}

// server is the provider's endpoints, which are the library's, and its pages. It keeps nothing in memory that a grant or a session
// needs: any number of them may serve one database.
type server struct {
	options
	pool      *pgxpool.Pool
	store     *store.Queries
	storage   *zitadel.Storage
	provider  *zitadel.Provider
	pages     pages
	passwords *passwords
	cookie    cookie
	health    *health
	outbox    *outbox
	sealer    *sealer
	passkeys  *webauthn.WebAuthn // nil: the issuer has no domain
	clock     func() time.Time   // which authenticator apps go by

	// tenants are those in which a user may grant access. This is where a provider asks its own tables; the demo has two.
	tenants func(ctx context.Context, user store.User) ([]tenant, error)

	handler http.Handler
}

// tenant is an organisation that a user may act for. Its id is the reference_id of consents and tokens.
type tenant struct {
	ID   store.ReferenceID
	Name string
}

// newServer has a pool, not a transaction: what ends a family, because a code or a refresh token came back, must stand whatever becomes of
// the request.
func newServer(pool *pgxpool.Pool, o options) (*server, error) {
	s := &server{
		options: o, pool: pool, store: store.New(pool), outbox: newOutbox(o.mailer, o.logger), pages: parsePages(), cookie: cookieFor(o.issuer), health: newHealth(pool, o.logger), clock: time.Now,
		tenants: func(context.Context, store.User) ([]tenant, error) { return nil, nil },
	}
	s.outbound = withoutRedirects(o.outbound)
	var err error
	if s.passwords, err = newPasswords(o.passwordParams); err != nil {
		return nil, err
	}
	if s.sealer, err = newSealer(o.sealKeys); err != nil {
		return nil, err
	}
	if s.passkeys, err = newPasskeys(o.issuer); err != nil {
		return nil, err
	}
	o.storage.LoginURL = func(id string) string { return "/continue?" + url.Values{"id": {id}}.Encode() }
	o.storage.LogoutURL = logoutURL
	o.storage.DeviceURL = o.issuer + devicePath
	o.storage.MayIntrospect = mayIntrospect
	if s.storage, err = zitadel.New(pool, o.storage); err != nil {
		return nil, err
	}
	var more []op.Option
	if strings.HasPrefix(o.issuer, "http:") {
		more = append(more, op.WithAllowInsecure())
	}
	s.provider, err = zitadel.NewProvider(s.storage, &op.Config{
		CodeMethodS256: true, AuthMethodPost: true, AuthMethodPrivateKeyJWT: true, GrantTypeRefreshToken: true,
		DefaultLogoutRedirectURI: signedOutPath, BackChannelLogoutSupported: true, BackChannelLogoutSessionSupported: true,
		SupportedScopes: s.defaultScopes(),
	}, op.StaticIssuer(o.issuer), more...)
	if err != nil {
		return nil, err
	}
	s.handler = s.routes()
	return s, nil
}

var supportedScopes = []string{"openid", "profile", "email", "offline_access"}

// defaultScopes are those that a client may ask for which has none registered, as the library's endpoints have it.
func (s *server) defaultScopes() []string {
	return slices.Concat(supportedScopes, s.options.storage.Scopes)
}

// mayIntrospect tells a client about its own tokens, and a resource server about those that are for it.
func mayIntrospect(_ context.Context, caller store.ClientID, t zitadel.Introspected) bool {
	if caller == t.ClientID {
		return true
	}
	for _, resource := range t.Resources {
		if resource == string(caller) {
			return true
		}
	}
	return false
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	// A browser says where a request comes from: what another site's page sends is refused, without a token in each form.
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.pages.fail(w, r, http.StatusForbidden, "This came from another site", "For your safety it was not carried out. Go back and try again.")
	}))
	page := func(pattern string, serve func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, pageHeaders(protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxFormLength)
			if err := r.ParseForm(); err != nil {
				s.pages.fail(w, r, http.StatusBadRequest, "That could not be read", "Go back and try again.")
				return
			}
			if err := serve(w, r); err != nil {
				s.fail(w, r, err)
			}
		}))))
	}
	page("GET /{$}", func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, accountPath, http.StatusSeeOther)
		return nil
	})
	page("GET /continue", s.proceed)
	page("GET /signin", s.signInPage)
	page("POST /signin", s.signIn)
	page("GET "+secondPath, s.second)
	page("POST "+secondPath, s.second)
	page("GET "+secondFactorPath, s.secondFactorPage)
	page("POST "+secondFactorPath, s.setUpSecondFactor)
	page("POST "+secondFactorPath+"/codes", s.replaceRecoveryCodes)
	page("POST "+secondFactorPath+"/remove", s.removeSecondFactor)
	if s.mailer != nil {
		page("GET "+resetPath, s.addressPage(false))
		page("POST "+resetPath, s.askForCode(false))
		page("POST "+resetPath+"/code", s.finish(false))
		if s.signUp {
			page("GET "+signUpPath, s.addressPage(true))
			page("POST "+signUpPath, s.askForCode(true))
			page("POST "+signUpPath+"/code", s.finish(true))
		}
	}
	if s.passkeys != nil {
		page("POST "+passkeySignInPath+"/options", s.passkeySignInOptions)
		page("POST "+passkeySignInPath, s.passkeySignIn)
		page("GET "+passkeysPath, s.passkeysPage)
		page("POST "+passkeysPath+"/options", s.newPasskeyOptions)
		page("POST "+passkeysPath, s.newPasskey)
		page("POST "+passkeysPath+"/remove", s.removePasskey)
	}
	page("GET /consent", s.consentPage)
	page("POST /consent", s.decide)
	page("GET /account", s.accountPage)
	page("POST /account/withdraw", s.withdraw)
	page("POST /account/end-session", s.endSession)
	page("POST /account/end-other-sessions", s.endOtherSessions)
	page("GET "+devicePath, s.devicePage)
	page("POST "+devicePath, s.findDevice)
	page("POST "+devicePath+"/decide", s.decideDevice)
	page("GET /signout", s.signOutPage)
	page("POST /signout", s.signOut)
	page("GET "+signedOutPath, s.signedOutPage)
	mux.Handle("GET /static/", staticFiles())
	s.health.routes(mux)

	endpoints := http.MaxBytesHandler(s.provider, maxFormLength)
	mux.Handle("/authorize", s.explain(endpoints))
	mux.Handle("/end_session", s.explain(endpoints))
	mux.Handle("/", endpoints)
	return s.commonHeaders(s.showMissing(mux))
}

const maxFormLength = 64 << 10

// fail answers a page's request with the page that says what went wrong.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var undecided *zitadel.DecisionError
	switch {
	case errors.Is(err, zitadel.ErrNoRequest), errors.As(err, &undecided), db.IsNotFound(err):
		s.pages.fail(w, r, http.StatusBadRequest, "This request is over",
			"It has been answered already, or it took too long. Go back to the app that you came from and start again.")
	default:
		if !db.IsCanceled(err) {
			s.logger.LogAttrs(r.Context(), slog.LevelError, "page", slog.String("path", r.URL.Path), slog.String("error", db.Describe(err)))
		}
		s.pages.fail(w, r, http.StatusInternalServerError, "Something went wrong on our side", "Please try again in a moment.")
	}
}

// commonHeaders are those of every answer.
func (s *server) commonHeaders(next http.Handler) http.Handler {
	https := strings.HasPrefix(s.issuer, "https:")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		if https {
			h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
		}
		next.ServeHTTP(w, r)
	})
}

// pageHeaders are those of the pages.
func pageHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		allowForms(h, "")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		next.ServeHTTP(w, r)
	})
}

// allowForms lets the page's forms be sent to this server and, if given, end up at a client: browsers apply form-action to the
// redirects that follow a form too.
func allowForms(h http.Header, client string) {
	if client != "" {
		client = " " + client
	}
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' https: data:; form-action 'self'"+client+
		"; frame-ancestors 'none'; base-uri 'none'")
}

// allowScript lets the page run this server's scripts, and these talk to it.
func allowScript(h http.Header) {
	h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; script-src 'self'; connect-src 'self'")
}

// sourceOf is a redirect URI as a source of a content security policy: an origin, or the scheme of an app.
func sourceOf(redirectURI *string) string {
	if redirectURI == nil {
		return ""
	}
	u, err := url.Parse(*redirectURI)
	switch {
	case err != nil || u.Scheme == "":
		return ""
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return u.Scheme + ":"
	case strings.ContainsAny(u.Host, "; ,'\""):
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// explain shows an error of the library's, which a browser would show as it is sent to programs, as a page.
func (s *server) explain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &errorCatcher{ResponseWriter: w}
		next.ServeHTTP(e, r)
		if e.status == 0 {
			return
		}
		var told struct {
			Description string `json:"error_description"`
		}
		if json.Unmarshal(e.body.Bytes(), &told) != nil {
			told.Description = e.body.String()
		}
		h := w.Header()
		h.Del("Content-Length")
		pageHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.TrimSpace(told.Description) == "invalid_request_uri" {
				s.fail(w, r, zitadel.ErrNoRequest)
				return
			}
			title, detail := "The app sent a request that we can't follow", "Go back to the app, and try again. If this happens again, tell whoever runs the app what it says here: "+strings.TrimSpace(told.Description)
			if e.status >= http.StatusInternalServerError {
				title, detail = "Something went wrong on our side", "Please try again in a moment."
			}
			s.pages.fail(w, r, e.status, title, detail)
		})).ServeHTTP(w, r)
	})
}

// showMissing shows a person who has come to where nothing is a page that says so. Programs get the answer as it is.
func (s *server) showMissing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			next.ServeHTTP(w, r)
			return
		}
		c := &missCatcher{ResponseWriter: w}
		next.ServeHTTP(c, r)
		if c.status == 0 {
			return
		}
		h := w.Header()
		h.Del("Content-Length")
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				h.Del(name)
			}
		}
		pageHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.pages.fail(w, r, c.status, "There is nothing here", "The address is wrong, or it is only reached from another page.")
		})).ServeHTTP(w, r)
	})
}

// missCatcher keeps from the browser that a path isn't served, or not to be visited.
type missCatcher struct {
	http.ResponseWriter
	status int
}

func (c *missCatcher) WriteHeader(status int) {
	missing := status == http.StatusNotFound || status == http.StatusMethodNotAllowed
	if missing && !strings.HasPrefix(c.Header().Get("Content-Type"), "text/html") {
		c.status = status
		return
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *missCatcher) Write(b []byte) (int, error) {
	if c.status == 0 {
		return c.ResponseWriter.Write(b)
	}
	return len(b), nil
}

// errorCatcher keeps an error's answer from the browser.
type errorCatcher struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (e *errorCatcher) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		e.status = status
		return
	}
	e.ResponseWriter.WriteHeader(status)
}

func (e *errorCatcher) Write(b []byte) (int, error) {
	if e.status == 0 {
		return e.ResponseWriter.Write(b)
	}
	return e.body.Write(b[:min(len(b), max(0, 512-e.body.Len()))])
}

const (
	signingKeyMaxAge = 24 * time.Hour
	tendKeysEvery    = time.Hour
)

// tendKeys brings a new signing key into use each day, whichever server comes to it, and lets those go that it has replaced.
func (s *server) tendKeys(ctx context.Context) {
	tick := time.NewTicker(tendKeysEvery)
	defer tick.Stop()
	for {
		if _, err := s.storage.RotateSigningKey(ctx, signingKeyMaxAge); err != nil && ctx.Err() == nil {
			s.logger.LogAttrs(ctx, slog.LevelError, "signing keys", slog.String("error", fmt.Sprint(err)))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

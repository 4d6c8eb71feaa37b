package zitadel

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/cors"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Provider is the library's OpenID Provider on a [Storage], an http.Handler for all its endpoints. To what the library does
// it adds:
//
//   - Opaque access tokens and codes are those of package token, known to the database by their digests. The library's own are
//     encryptions of a row's id under a key of the configuration.
//   - The token endpoint, introspection, revocation and UserInfo are served by the calls of the store, one to a request as a rule.
//   - A client assertion is good once (RFC 7523, section 3, jti).
//   - Devices, token exchange, pushed requests, DPoP and resource indicators.
//   - The store judges authorization requests, by the rules of its registration: any port of a loopback address, for instance.
//   - Answers to the client, errors too, come in the response mode that was asked for, and name the issuer (RFC 9207).
//   - A fault of the database is answered with status 500 and server_error, at every endpoint. By itself the library would say
//     that a code or refresh token is invalid, and a client would throw it away; or that a token is not active.
//   - The discovery document says what is served.
type Provider struct {
	*op.Provider
	storage *Storage
}

var (
	_ op.OpenIDProvider                 = (*Provider)(nil)
	_ op.JWTAuthorizationGrantExchanger = (*Provider)(nil)
	_ op.RevokerJWTProfile              = (*Provider)(nil)
	_ op.ClientJWTProfile               = (*Provider)(nil)
)

// servedClaims are those that the discovery document names unless the configuration says otherwise.
var servedClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "client_id", "sid",
	"name", "picture", "updated_at", "email", "email_verified",
}

// NewProvider returns a Provider. The issuer is op.StaticIssuer(url) as a rule. Of the configuration, CryptoKey and
// CryptoKeyId have no use, since nothing is encrypted under them; an op.WithCrypto among the options has none either. Set at
// least CodeMethodS256, and GrantTypeRefreshToken to serve refresh tokens.
func NewProvider(storage *Storage, config *op.Config, issuer func(insecure bool) (op.IssuerFromRequest, error), options ...op.Option) (*Provider, error) {
	p := &Provider{storage: storage}
	c := *config
	if c.SupportedScopes == nil {
		c.SupportedScopes = slices.Concat(servedScopes, storage.opts.Scopes)
	}
	if c.SupportedClaims == nil {
		c.SupportedClaims = slices.Clone(servedClaims)
	}
	verifies := publishedKeys{storage}
	options = append([]op.Option{op.WithCORSOptions(p.crossOrigin()), op.WithAccessTokenKeySet(verifies), op.WithIDTokenHintKeySet(verifies)}, options...)
	options = append(options, op.WithCrypto(opaque{}), op.WithHttpInterceptors(p.intercept))
	inner, err := op.NewProvider(&c, storage, issuer, options...)
	if err != nil {
		return nil, err
	}
	p.Provider = inner
	return p, nil
}

// intercept is the innermost interceptor of the library's router. It serves the endpoints where the library would ask the inner
// Provider, so that it asks this one.
func (p *Provider) intercept(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, r := withExchange(r)
		answer := &response{header: maps.Clone(w.Header())}
		malformed := tidy(r)
		path := routePath(r)
		switch path {
		case p.TokenEndpoint().Relative(), p.IntrospectionEndpoint().Relative(), p.RevocationEndpoint().Relative(), PushedAuthorizationPath:
			x.callsAuthenticate = true
		case p.DeviceAuthorizationEndpoint().Relative():
			x.callsAuthenticate = p.storage.opts.DeviceURL != ""
		}
		switch {
		case x.callsAuthenticate && r.Method != http.MethodPost: // RFC 6749, section 3.2; RFC 9126, section 2.3
			answer.header.Set("Allow", http.MethodPost)
			httphelper.MarshalJSONWithStatus(answer, oidc.ErrInvalidRequest().WithDescription("the endpoint takes POST"), http.StatusMethodNotAllowed)
		case malformed == nil:
			p.serve(answer, r, path, next)
		case path == p.AuthorizationEndpoint().Relative():
			p.refuse(answer, r, plainRequest(r.Form), malformed)
		default:
			op.RequestError(answer, r, malformed, nil)
		}
		if c, found := x.unjudged(); found && !x.fault {
			_ = p.storage.authenticate(r.Context(), c) // x has the result
		}
		if x.unauthenticated && !x.fault {
			answer = &response{header: maps.Clone(w.Header())}
			answer.header.Set("Cache-Control", "no-store")
			httphelper.MarshalJSONWithStatus(answer, refusal(oautherror.Token, oautherror.AuthenticateClient, store.OutcomeUnauthenticated), http.StatusUnauthorized)
		}
		if x.fault && !answer.tellsServerError() {
			answer = &response{header: maps.Clone(w.Header())}
			httphelper.MarshalJSONWithStatus(answer, oidc.ErrServerError(), http.StatusInternalServerError)
		}
		if x.proved && p.storage.opts.DPoPNonces { // with each answer, so that the next proof has a fresh one (RFC 9449, section 8.2)
			answer.header.Set("DPoP-Nonce", p.storage.nonces.at(time.Now()))
		}
		challenge(answer, r, path == p.UserinfoEndpoint().Relative())
		answer.send(w)
	})
}

// serve answers at an endpoint. What isn't here is next's.
func (p *Provider) serve(answer *response, r *http.Request, path string, next http.Handler) {
	switch path {
	case p.TokenEndpoint().Relative():
		p.token(answer, r)
	case p.IntrospectionEndpoint().Relative():
		p.introspect(answer, r)
	case p.RevocationEndpoint().Relative():
		p.revoke(answer, r)
	case p.UserinfoEndpoint().Relative():
		p.userinfo(answer, r)
	case PushedAuthorizationPath:
		p.push(answer, r)
	case p.KeysEndpoint().Relative():
		next.ServeHTTP(answer, r)
		answer.header.Set("Cache-Control", p.keysCacheControl(answer))
	default:
		switch {
		case isMetadataPath(path, op.IssuerFromContext(r.Context())):
			p.discover(answer, r)
		case p.registers(path):
			p.register(answer, r)
		case path == p.AuthorizationEndpoint().Relative():
			p.authorize(answer, r)
		case path == p.AuthorizationEndpoint().Relative()+"/callback":
			p.callback(answer, r)
		case path == p.DeviceAuthorizationEndpoint().Relative() && p.storage.opts.DeviceURL != "":
			p.authorizeDevice(answer, r)
		default:
			next.ServeHTTP(answer, r)
		}
	}
}

// tidy has a parameter without a value be as if it had been omitted, where the library takes an empty scope for one, and
// refuses a parameter that comes twice, of which the library takes one (RFC 6749, sections 3.1 and 3.2). resource may (RFC
// 8707, section 2).
func tidy(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return oidc.ErrInvalidRequest().WithDescription("error parsing form").WithParent(err)
	}
	var twice error
	for _, form := range []url.Values{r.Form, r.PostForm} {
		for name, values := range form {
			values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
			if len(values) == 0 {
				delete(form, name)
				continue
			}
			form[name] = values
			if len(values) > 1 && name != "resource" && name != "audience" {
				twice = oidc.ErrInvalidRequest().WithDescription("a parameter is given twice")
			}
		}
	}
	return twice
}

// crossOrigin lets scripts of every origin call the endpoints that take tokens or a client's authentication, without cookies. The pages to
// which a browser is sent are for nobody's scripts.
func (p *Provider) crossOrigin() *cors.Options {
	return &cors.Options{
		AllowedMethods:             []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowedHeaders:             []string{"Accept", "Accept-Language", "Authorization", "Content-Type", "DPoP", "X-Requested-With"},
		ExposedHeaders:             []string{"WWW-Authenticate", "DPoP-Nonce"},
		AllowOriginVaryRequestFunc: func(r *http.Request, _ string) (bool, []string) { return p.isForPrograms(routePath(r)), nil },
	}
}

// isForPrograms says whether a path is an endpoint that programs call. Others are pages, of the library or of the application.
func (p *Provider) isForPrograms(path string) bool {
	switch path {
	case p.TokenEndpoint().Relative(), p.IntrospectionEndpoint().Relative(), p.RevocationEndpoint().Relative(), p.UserinfoEndpoint().Relative(),
		p.KeysEndpoint().Relative(), p.DeviceAuthorizationEndpoint().Relative(), PushedAuthorizationPath:
		return true
	}
	return strings.HasPrefix(path, "/.well-known/") || p.registers(path)
}

// routePath is the path by which chi routes a request.
func routePath(r *http.Request) string {
	if c := chi.RouteContext(r.Context()); c != nil && c.RoutePath != "" {
		return c.RoutePath
	}
	if r.URL.RawPath != "" {
		return r.URL.RawPath
	}
	return r.URL.Path
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store") // RFC 6749, section 5.1
	p.grant(w, r)
}

// maxKeyCache is for how long verifiers may cache the key set at most, so that a key which has leaked and was deleted is
// forgotten.
const maxKeyCache = time.Hour

// keysCacheControl lets verifiers cache the key set for no longer than a new key waits before it signs. As long as there is
// none, the first one won't wait.
func (p *Provider) keysCacheControl(answer *response) string {
	if answer.status != http.StatusOK || !bytes.Contains(answer.body.Bytes(), []byte(`"kid"`)) {
		return "no-store"
	}
	return fmt.Sprintf("max-age=%d", int64(min(p.storage.opts.KeyLeadTime, maxKeyCache).Seconds()))
}

// challenge adds what goes with a 401 to a client that used the Authorization header (RFC 6749, section 5.2). Not to others: a browser
// would ask its user for a password.
func challenge(answer *response, r *http.Request, isResource bool) {
	if _, _, basic := r.BasicAuth(); basic && !isResource && answer.status == http.StatusUnauthorized {
		answer.header.Set("WWW-Authenticate", `Basic realm="client"`)
	}
}

// AuthorizationServerMetadataPath is where the server's metadata are found, beside the discovery document (RFC 8414, section 3). Both are
// also found where the issuer's path comes last, at the root of the host (section 3.1): to serve them there, route these paths to the Provider as
// they are.
const AuthorizationServerMetadataPath = "/.well-known/oauth-authorization-server"

// isMetadataPath says whether the metadata are asked for.
func isMetadataPath(path, issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	for _, known := range []string{oidc.DiscoveryEndpoint, AuthorizationServerMetadataPath} {
		if path == known || path == known+strings.TrimSuffix(u.EscapedPath(), "/") {
			return true
		}
	}
	return false
}

// discover says what is served, of which the library knows less (OpenID Connect Discovery 1.0, section 3).
func (p *Provider) discover(w http.ResponseWriter, r *http.Request) {
	config := op.CreateDiscoveryConfig(r.Context(), p.Provider, p.storage)
	config.ResponseTypesSupported = []string{string(oidc.ResponseTypeCode)}
	config.ResponseModesSupported = []string{string(oidc.ResponseModeQuery), string(oidc.ResponseModeFragment), string(oidc.ResponseModeFormPost)}
	config.GrantTypesSupported = slices.DeleteFunc(config.GrantTypesSupported, func(t oidc.GrantType) bool { return t == oidc.GrantTypeImplicit })
	if p.storage.opts.DeviceURL == "" {
		config.DeviceAuthorizationEndpoint = ""
	} else {
		config.GrantTypesSupported = append(config.GrantTypesSupported, oidc.GrantTypeDeviceCode)
	}
	config.GrantTypesSupported = append(config.GrantTypesSupported, oidc.GrantTypeTokenExchange)
	if p.storage.opts.ClientCertificate != nil {
		for _, methods := range []*[]oidc.AuthMethod{
			&config.TokenEndpointAuthMethodsSupported, &config.IntrospectionEndpointAuthMethodsSupported, &config.RevocationEndpointAuthMethodsSupported,
		} {
			*methods = append(*methods, methodTLS, methodSelfSignedTLS)
		}
	}
	config.ACRValuesSupported = p.storage.opts.ACRValues
	config.SubjectTypesSupported = []string{"public", "pairwise"}
	if p.storage.opts.Registration != nil {
		config.RegistrationEndpoint = config.Issuer + RegistrationPath
	}
	if p.AuthMethodPostSupported() && !slices.Contains(config.IntrospectionEndpointAuthMethodsSupported, oidc.AuthMethodPost) {
		config.IntrospectionEndpointAuthMethodsSupported = append(config.IntrospectionEndpointAuthMethodsSupported, oidc.AuthMethodPost)
	}
	algorithms := []string{"RS256", "ES256", "PS256"}
	for _, supported := range []*[]string{
		&config.TokenEndpointAuthSigningAlgValuesSupported,
		&config.IntrospectionEndpointAuthSigningAlgValuesSupported,
		&config.RevocationEndpointAuthSigningAlgValuesSupported,
	} {
		if *supported != nil {
			*supported = algorithms
		}
	}
	document := &response{header: w.Header()}
	op.Discover(document, config)
	w.WriteHeader(document.status)
	_, _ = w.Write(p.served(document.body.Bytes(), config.Issuer)) // whoever asked may have gone
}

// response is an answer that has not been sent yet.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *response) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *response) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *response) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// tellsServerError: by its status, or to the client that the browser is sent back to (RFC 6749, section 4.1.2.1).
func (a *response) tellsServerError() bool {
	return a.status >= http.StatusInternalServerError || strings.Contains(a.header.Get("Location"), "error="+string(oidc.ServerError))
}

func (a *response) send(w http.ResponseWriter) {
	header := w.Header()
	clear(header)
	maps.Copy(header, a.header)
	if a.status == 0 {
		a.status = http.StatusOK
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // whoever asked may have gone
}

// opaque is the Crypto of a Provider: what the library would encrypt is a token already, or becomes one.
type opaque struct{}

var errNotOpaque = errors.New("not an opaque token")

// Encrypt makes an access token of "token:subject", where Storage has put the token, and a code of a request's id.
func (opaque) Encrypt(s string) (string, error) {
	access, _, isAccessToken := strings.Cut(s, ":")
	if !isAccessToken {
		return token.Mint(token.AuthorizationCode).Reveal(), nil
	}
	if _, err := token.Parse(token.AccessToken, access); err != nil {
		return "", errNotOpaque
	}
	return access, nil
}

// Decrypt makes "digest:" of an opaque token, where the library expects "id:subject": the subject stands in the database. A
// JWT is left to the library.
func (opaque) Decrypt(s string) (string, error) {
	if strings.Count(s, ".") == 2 {
		return "", errNotOpaque
	}
	if kind, ours := token.KindOf(s); ours {
		if _, err := token.Parse(kind, s); err != nil {
			return "", errNotOpaque
		}
	}
	return digested(s) + ":", nil
}

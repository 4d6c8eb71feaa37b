package tokenendpoint

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// How long things are good for.
const (
	AccessTokenLifetime  = 10 * time.Minute
	RefreshTokenLifetime = 30 * 24 * time.Hour
	// Grace is for how long after a refresh the replaced token is taken for a client's retry.
	Grace = 30 * time.Second
)

const maxForm = 64 << 10 // bytes

// Options are those of [New].
type Options struct {
	// SuccessorKeys are the keys by which refresh tokens are derived, 32 random bytes each, the newest first (token.NewSuccessors). All
	// servers need the same.
	SuccessorKeys [][]byte
	// Scopes are those that a client may ask for which has none registered.
	Scopes []string
	// Resources are those that a client may name which has none registered (RFC 8707).
	Resources []string
	// Logger gets a line for each fault of the database. Nil: the default one.
	Logger *slog.Logger
}

type server struct {
	Options
	store      *store.Queries
	successors *token.Successors
}

// New returns the endpoints, on a pool of db.Open. It takes no transaction: what ends a family, because a token came back, must stand whatever
// becomes of the request.
func New(pool store.DBTX, o Options) (http.Handler, error) {
	successors, err := token.NewSuccessors(o.SuccessorKeys...)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &server{Options: o, store: store.New(pool), successors: successors}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.serve(s.token))
	mux.HandleFunc("POST /introspect", s.serve(s.introspect))
	mux.HandleFunc("POST /revoke", s.serve(s.revoke))
	return http.MaxBytesHandler(mux, maxForm), nil
}

// request is a form and the client that sends it, as it presents itself.
type request struct {
	*http.Request
	client store.ClientID
	method string // of authentication; empty: not even that is clear
	secret token.Digest
}

// answer is what a request comes to: a body, or a refusal. An error beside it is a fault of the database.
type answer struct {
	body    any // nil: an empty one
	refused *oautherror.Error
}

// bad is a request that isn't served whoever asks. Who asks is found out first.
func (s *server) bad(r *request, code string) (answer, error) {
	outcome, err := s.store.AuthenticateClient(r.Context(), store.AuthenticateClientParams{
		ClientID: r.client, ClientAuthMethod: r.method, ClientSecret: r.secret,
	})
	if err != nil {
		return answer{}, err
	}
	if refused := oautherror.For(oautherror.Token, oautherror.AuthenticateClient, outcome); refused != nil {
		return answer{refused: refused}, nil
	}
	return answer{refused: &oautherror.Error{Code: code, Status: http.StatusBadRequest}}, nil
}

// serve reads the form and the client, and writes the answer.
func (s *server) serve(decide func(*request) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req := &request{Request: r}
		wellFormed := req.read()
		var a answer
		var err error
		if wellFormed {
			a, err = decide(req)
		} else {
			a, err = s.bad(req, "invalid_request")
		}
		w.Header().Set("Cache-Control", "no-store") // RFC 6749, section 5.1
		switch {
		case err != nil:
			s.Logger.LogAttrs(r.Context(), slog.LevelError, "token endpoint", slog.String("error", db.Describe(err)))
			send(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		case a.refused != nil:
			if a.refused.Status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
				w.Header().Set("WWW-Authenticate", `Basic realm="client"`) // RFC 6749, section 5.2
			}
			send(w, a.refused.Status, a.refused)
		case a.body != nil:
			send(w, http.StatusOK, a.body)
		}
	}
}

func send(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

// read reads how the client authenticates, and the body, where alone parameters count. It is false if the request is malformed: there are two
// ways of authentication (RFC 6749, section 2.3), or a parameter comes twice (section 3.2) or isn't text.
func (r *request) read() bool {
	if r.ParseForm() != nil || !r.present() {
		return false
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "resource" { // RFC 8707, section 2
			return false
		}
		for _, v := range values {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return false
			}
		}
	}
	return true
}

func (r *request) present() bool {
	secret, hasSecret := r.PostForm.Get("client_secret"), r.PostForm.Has("client_secret")
	user, password, isBasic := r.BasicAuth()
	switch {
	case isBasic && hasSecret:
		return false
	case isBasic:
		id, idErr := url.QueryUnescape(user)
		word, wordErr := url.QueryUnescape(password)
		if other := r.PostForm.Get("client_id"); idErr != nil || wordErr != nil || other != "" && other != id {
			return false
		}
		r.client, r.method, r.secret = store.ClientID(id), "client_secret_basic", token.DigestOf(word)
	case r.Header.Get("Authorization") != "":
		return false
	case hasSecret:
		r.client, r.method, r.secret = store.ClientID(r.PostForm.Get("client_id")), "client_secret_post", token.DigestOf(secret)
	default:
		r.client, r.method = store.ClientID(r.PostForm.Get("client_id")), "none"
	}
	return true
}

// optional is a parameter, or nil.
func (r *request) optional(name string) *string {
	if v := r.PostForm.Get(name); v != "" {
		return &v
	}
	return nil
}

// tokens is the answer of the token endpoint (RFC 6749, section 5.1).
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

func newTokens(accessToken token.Raw, expires *time.Time, scopes []string) tokens {
	t := tokens{AccessToken: accessToken.Reveal(), TokenType: "Bearer", Scope: strings.Join(scopes, " ")}
	if expires != nil {
		t.ExpiresIn = int64(time.Until(*expires).Seconds())
	}
	return t
}

// token serves the token endpoint (RFC 6749, section 3.2).
func (s *server) token(r *request) (answer, error) {
	switch {
	case r.Header.Get("DPoP") != "", r.PostForm.Has("client_assertion"):
		return s.bad(r, "invalid_request") // a bearer token is not what the client asks for
	case r.PostForm.Get("authorization_details") != "":
		return s.bad(r, "invalid_authorization_details")
	}
	switch r.PostForm.Get("grant_type") {
	case "":
		return s.bad(r, "invalid_request")
	case "authorization_code":
		return s.redeem(r)
	case "refresh_token":
		return s.refresh(r)
	case "client_credentials":
		return s.issue(r)
	default:
		return s.bad(r, "unsupported_grant_type")
	}
}

// redeem exchanges a code (RFC 6749, section 4.1.3).
func (s *server) redeem(r *request) (answer, error) {
	if !r.PostForm.Has("code") {
		return s.bad(r, "invalid_request")
	}
	code, err := token.ParseForeign(token.AuthorizationCode, r.PostForm.Get("code"))
	if err != nil {
		return s.bad(r, "invalid_grant")
	}
	accessToken, refreshToken := token.Mint(token.AccessToken), token.Mint(token.RefreshToken)
	p := store.RedeemAuthorizationCodeParams{
		ClientID: r.client, ClientAuthMethod: r.method, ClientSecret: r.secret,
		Code: code.Digest(), RedirectURI: r.optional("redirect_uri"), Resources: r.PostForm["resource"],
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(accessToken.Digest()), AccessTokenLifetime: AccessTokenLifetime,
		RefreshTokenID: new(store.NewRefreshTokenID()), RefreshToken: new(refreshToken.Digest()), RefreshTokenLifetime: RefreshTokenLifetime,
		FamilyLifetime: store.Never, DefaultScopes: s.Scopes, DefaultResources: s.Resources,
	}
	if verifier := r.PostForm.Get("code_verifier"); verifier != "" {
		p.CodeChallenge = new(token.S256(verifier))
	}
	row, err := s.store.RedeemAuthorizationCode(r.Context(), p)
	if err != nil {
		return answer{}, err
	}
	if refused := oautherror.For(oautherror.Token, oautherror.RedeemAuthorizationCode, row.Outcome); refused != nil {
		return answer{refused: refused}, nil
	}
	t := newTokens(accessToken, row.AccessTokenExpiresAt, row.GrantedScopes)
	if row.RefreshTokenID != nil { // the client is registered for refresh_token
		t.RefreshToken = refreshToken.Reveal()
	}
	return answer{body: t}, nil
}

// refresh exchanges a refresh token (RFC 6749, section 6). Whoever presents the same one, at once or again, gets the same successor.
func (s *server) refresh(r *request) (answer, error) {
	if !r.PostForm.Has("refresh_token") {
		return s.bad(r, "invalid_request")
	}
	presented, err := token.ParseForeign(token.RefreshToken, r.PostForm.Get("refresh_token"))
	if err != nil {
		return s.bad(r, "invalid_grant")
	}
	accessToken := token.Mint(token.AccessToken)
	row, err := s.store.RotateRefreshToken(r.Context(), store.RotateRefreshTokenParams{
		ClientID: r.client, ClientAuthMethod: r.method, ClientSecret: r.secret,
		Token: presented.Digest(), Scopes: strings.Fields(r.PostForm.Get("scope")), Resources: r.PostForm["resource"], Grace: Grace,
		SuccessorID: store.NewRefreshTokenID(), Successor: s.successors.Successor(presented).Digest(), RefreshTokenLifetime: RefreshTokenLifetime,
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(accessToken.Digest()), AccessTokenLifetime: AccessTokenLifetime,
		DefaultScopes: s.Scopes, DefaultResources: s.Resources,
	})
	if err != nil {
		return answer{}, err
	}
	if refused := oautherror.For(oautherror.Token, oautherror.RotateRefreshToken, row.Outcome); refused != nil {
		return answer{refused: refused}, nil
	}
	t := newTokens(accessToken, row.AccessTokenExpiresAt, row.Scopes)
	if row.Successor != nil { // that of a retry may be derived by an older key
		if successor, found := s.successors.Match(presented, *row.Successor); found {
			t.RefreshToken = successor.Reveal()
			return answer{body: t}, nil
		}
	}
	return answer{refused: &oautherror.Error{Code: "invalid_grant", Status: http.StatusBadRequest}}, nil
}

// issue gives a client a token for itself (RFC 6749, section 4.4).
func (s *server) issue(r *request) (answer, error) {
	accessToken, scopes := token.Mint(token.AccessToken), strings.Fields(r.PostForm.Get("scope"))
	row, err := s.store.IssueAccessToken(r.Context(), store.IssueAccessTokenParams{
		ClientID: r.client, ClientAuthMethod: r.method, ClientSecret: r.secret,
		ID: store.NewAccessTokenID(), AccessToken: new(accessToken.Digest()), Lifetime: AccessTokenLifetime,
		Scopes: scopes, Resources: r.PostForm["resource"], DefaultScopes: s.Scopes, DefaultResources: s.Resources,
	})
	if err != nil {
		return answer{}, err
	}
	if refused := oautherror.For(oautherror.Token, oautherror.IssueAccessToken, row.Outcome); refused != nil {
		return answer{refused: refused}, nil
	}
	return answer{body: newTokens(accessToken, row.ExpiresAt, scopes)}, nil
}

// introspection is the answer about a token (RFC 7662, section 2.2).
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"` // of an access token
	ExpiresAt int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"` // the resources that the token is for: the resource server has to be one of them
}

// introspect tells a client about a token (RFC 7662).
func (s *server) introspect(r *request) (answer, error) {
	presented := r.PostForm.Get("token")
	if presented == "" {
		return s.bad(r, "invalid_request")
	}
	row, call, err := s.lookUp(r, presented)
	if err != nil {
		return answer{}, err
	}
	if refused := oautherror.For(oautherror.Introspection, call, row.Outcome); refused != nil {
		return answer{refused: refused}, nil
	}
	about := introspection{Active: row.Outcome == store.OutcomeActive}
	if !about.Active {
		return answer{body: about}, nil
	}
	about.Scope, about.Audience = strings.Join(row.Scopes, " "), row.Resources
	if row.Kind != nil && *row.Kind == store.TokenKindAccessToken {
		about.TokenType = "Bearer"
		if row.Confirmation != nil {
			about.TokenType = "DPoP"
		}
	}
	if row.ClientID != nil {
		about.ClientID = string(*row.ClientID)
	}
	if row.Username != nil {
		about.Username = *row.Username
	}
	if row.Sub != nil {
		about.Subject = string(*row.Sub)
	}
	if row.ExpiresAt != nil {
		about.ExpiresAt = row.ExpiresAt.Unix()
	}
	if row.IssuedAt != nil {
		about.IssuedAt = row.IssuedAt.Unix()
	}
	return answer{body: about}, nil
}

// lookUp finds a token. One that says by its prefix that it is an access token costs the database a third less than one that has to be looked
// for in both tables.
func (s *server) lookUp(r *request, presented string) (store.IntrospectTokenRow, oautherror.Call, error) {
	digest := token.DigestOf(presented)
	if kind, known := token.KindOf(presented); !known || kind != token.AccessToken {
		row, err := s.store.IntrospectToken(r.Context(), store.IntrospectTokenParams{
			ClientID: r.client, ClientAuthMethod: r.method, ClientSecret: r.secret, Token: digest,
		})
		return row, oautherror.IntrospectToken, err
	}
	row, err := s.store.IntrospectAccessToken(r.Context(), store.IntrospectAccessTokenParams{
		ClientID: r.client, ClientAuthMethod: r.method, ClientSecret: r.secret, Token: digest,
	})
	return store.IntrospectTokenRow{
		Outcome: row.Outcome, Kind: new(store.TokenKindAccessToken), ClientID: row.ClientID, Sub: row.Sub, Scopes: row.Scopes,
		Resources: row.Resources, Confirmation: row.Confirmation, IssuedAt: row.IssuedAt, ExpiresAt: row.ExpiresAt, Username: row.Username,
	}, oautherror.IntrospectAccessToken, err
}

// revoke revokes a token of the client's (RFC 7009). A refresh token ends its family.
func (s *server) revoke(r *request) (answer, error) {
	presented := r.PostForm.Get("token")
	if presented == "" {
		return s.bad(r, "invalid_request")
	}
	row, err := s.store.RevokeToken(r.Context(), store.RevokeTokenParams{
		ClientID: r.client, ClientAuthMethod: r.method, ClientSecret: r.secret, Token: token.DigestOf(presented),
	})
	if err != nil {
		return answer{}, err
	}
	return answer{refused: oautherror.For(oautherror.Revocation, oautherror.RevokeToken, row.Outcome)}, nil
}

package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Options are those of [New].
type Options struct {
	// Resource is the URL of this server's endpoint. Tokens have to be for it.
	Resource string
	// Issuer is the authorization server's.
	Issuer string
	// Scopes are those that a token needs.
	Scopes []string

	// MaxAge, if it isn't 0, is how old the user's sign-in may be.
	MaxAge time.Duration
	// ACRValues, if there are some, are the ways to sign in of which one is needed.
	ACRValues []string

	// Logger gets a line for each fault of the database. Nil: the default one.
	Logger *slog.Logger
}

// metadataPath is where a resource says who protects it. The resource's own path follows (RFC 9728, section 3.1).
const metadataPath = "/.well-known/oauth-protected-resource"

type server struct {
	Options
	store    *store.Queries
	metadata string // its URL
}

// New returns the server, on a pool of db.Open.
func New(pool store.DBTX, o Options) (http.Handler, error) {
	at, err := url.Parse(o.Resource)
	if err != nil || !at.IsAbs() || at.Path == "" || at.Fragment != "" {
		return nil, errors.New("mcpserver: Options.Resource is not the URL of an endpoint")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &server{Options: o, store: store.New(pool)}
	described := *at
	described.Path = metadataPath + at.Path
	s.metadata = described.String()

	tools := s.tools()
	endpoint := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	metadata := auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
		Resource: o.Resource, AuthorizationServers: []string{o.Issuer}, ScopesSupported: o.Scopes, BearerMethodsSupported: []string{"header"},
		ResourceName: "Notes",
	})
	mux := http.NewServeMux()
	mux.Handle(at.Path, s.protect(endpoint))
	mux.Handle(described.Path, metadata)
	mux.Handle(metadataPath, metadata)
	return mux, nil
}

// tools are what clients call.
func (s *server) tools() *mcp.Server {
	tools := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	mcp.AddTool(tools, &mcp.Tool{Name: "whoami", Description: "Says whose access token this is."},
		func(_ context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, Caller, error) {
			caller, _ := r.Extra.TokenInfo.Extra["caller"].(Caller)
			return nil, caller, nil
		})
	return tools
}

// Caller is who calls a tool.
type Caller struct {
	Subject  string   `json:"sub"`
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scopes"`
}

// refusal is why a request is refused, as its client is told (RFC 6750, section 3).
type refusal struct {
	status int
	code   string // empty: there is no token
	params []string
}

type callerKey struct{}

// protect lets requests through that have a token for this server. The library's own check adds it to what the tools see.
func (s *server) protect(next http.Handler) http.Handler {
	next = auth.RequireBearerToken(func(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
		info, _ := ctx.Value(callerKey{}).(*auth.TokenInfo)
		return info, nil
	}, nil)(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, refused, err := s.check(r)
		switch {
		case err != nil:
			s.Logger.LogAttrs(r.Context(), slog.LevelError, "access token", slog.String("error", db.Describe(err)))
			http.Error(w, "server_error", http.StatusInternalServerError)
		case refused != nil:
			params := []string{fmt.Sprintf("resource_metadata=%q", s.metadata)}
			if refused.code != "" {
				params = append(params, fmt.Sprintf("error=%q", refused.code))
			}
			if len(s.Scopes) > 0 {
				params = append(params, fmt.Sprintf("scope=%q", strings.Join(s.Scopes, " ")))
			}
			w.Header().Set("WWW-Authenticate", "Bearer "+strings.Join(append(params, refused.params...), ", "))
			http.Error(w, refused.code, refused.status)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, info)))
		}
	})
}

// check looks a request's token up.
func (s *server) check(r *http.Request) (*auth.TokenInfo, *refusal, error) {
	scheme, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if presented = strings.TrimSpace(presented); !strings.EqualFold(scheme, "Bearer") || presented == "" {
		return nil, &refusal{status: http.StatusUnauthorized}, nil
	}
	row, err := s.store.IntrospectAccessToken(r.Context(), store.IntrospectAccessTokenParams{
		ClientAuthMethod: "server", Token: token.DigestOf(presented), // this server has the database, and no client asks
	})
	switch {
	case err != nil:
		return nil, nil, err
	case row.Outcome != store.OutcomeActive || row.ClientID == nil || row.ExpiresAt == nil,
		row.Confirmation != nil,                     // a token that is bound to a key is no bearer token (RFC 9449, section 7.2)
		!slices.Contains(row.Resources, s.Resource): // it is for somebody else
		return nil, &refusal{status: http.StatusUnauthorized, code: "invalid_token"}, nil
	case slices.ContainsFunc(s.Scopes, func(scope string) bool { return !slices.Contains(row.Scopes, scope) }):
		return nil, &refusal{status: http.StatusForbidden, code: "insufficient_scope"}, nil
	}
	if wanted := s.stepUp(row); wanted != nil {
		return nil, &refusal{status: http.StatusUnauthorized, code: "insufficient_user_authentication", params: wanted}, nil
	}
	caller := Caller{ClientID: string(*row.ClientID), Scopes: row.Scopes}
	if row.Sub != nil {
		caller.Subject = string(*row.Sub)
	}
	return &auth.TokenInfo{
		Scopes: row.Scopes, Expiration: *row.ExpiresAt, UserID: caller.Subject, Extra: map[string]any{"caller": caller},
	}, nil, nil
}

// stepUp is what the client has to ask of the user's sign-in (RFC 9470, section 3), nil if it is good enough.
func (s *server) stepUp(row store.IntrospectAccessTokenRow) []string {
	reached := len(s.ACRValues) == 0 || row.ACR != nil && slices.Contains(s.ACRValues, *row.ACR)
	recent := s.MaxAge == 0 || row.AuthTime != nil && time.Since(*row.AuthTime) <= s.MaxAge
	if reached && recent {
		return nil
	}
	var params []string
	if len(s.ACRValues) > 0 {
		params = append(params, fmt.Sprintf("acr_values=%q", strings.Join(s.ACRValues, " ")))
	}
	if s.MaxAge > 0 {
		params = append(params, fmt.Sprintf("max_age=%q", strconv.FormatInt(int64(s.MaxAge/time.Second), 10)))
	}
	return params
}

package subject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	oauth2errors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// NewGoOAuth2 is github.com/go-oauth2/oauth2, driven through its manager, with stores on pgx that are made like those for PostgreSQL
// which its documentation names, on tables of its own (dataset.PeerTable).
func NewGoOAuth2() Subject { return goOAuth2{} }

type goOAuth2 struct{}

func (goOAuth2) Name() string { return "go-oauth2" }

func (goOAuth2) Describe() string {
	return "github.com/go-oauth2/oauth2 with a token store on pgx: one row for a grant's code or current tokens, no families, no transactions"
}

func (goOAuth2) Race(w Work) string {
	switch w {
	case Redeem:
		return "one code is redeemed several times, and each time for live tokens"
	case Rotate:
		return "one refresh token gets several successors, all of them live, and without a family that could be ended"
	default:
		return ""
	}
}

func (goOAuth2) Supports(w Work) bool { return slices.Contains(peerWorks, w) }

func (goOAuth2) Open(ctx context.Context, url string, conns int) (Session, error) {
	pool, err := openPgx(ctx, url, conns)
	if err != nil {
		return nil, err
	}
	m := manage.NewManager()
	m.SetAuthorizeCodeTokenCfg(&manage.Config{
		AccessTokenExp:    AccessTokenLifetime,
		RefreshTokenExp:   RefreshTokenLifetime,
		IsGenerateRefresh: true,
	})
	refreshing := *manage.DefaultRefreshTokenCfg // a new refresh token, and both old tokens are removed, by a statement each
	refreshing.AccessTokenExp = AccessTokenLifetime
	refreshing.RefreshTokenExp = RefreshTokenLifetime
	refreshing.IsResetRefreshTime = true // the new one lasts as long as the first did
	m.SetRefreshTokenCfg(&refreshing)
	m.MapAccessGenerate(caseTokens{})
	m.MapTokenStorage(peerTokens{pool})
	m.MapClientStorage(peerClients{pool})
	return &goOAuth2Session{pool: pool, manager: m}, nil
}

type goOAuth2Session struct {
	pool    *pgxpool.Pool
	manager *manage.Manager
}

func (s *goOAuth2Session) Close() { s.pool.Close() }

// codeVerifier is the one of RFC 7636, appendix B, that dataset.CodeChallenge is the challenge of.
const codeVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func (s *goOAuth2Session) Do(ctx context.Context, w Work, c *Case) error {
	var err error
	switch w {
	case IntrospectHit:
		err = s.introspect(ctx, c)
	case IntrospectMiss:
		err = wantError(s.introspect(ctx, c), errUnknown)
	case Redeem:
		err = s.redeem(ctx, c)
	case Rotate:
		err = s.rotate(ctx, c)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w, err)
	}
	return nil
}

func (s *goOAuth2Session) introspect(ctx context.Context, c *Case) error {
	t, err := s.manager.LoadAccessToken(ctx, string(c.Presented))
	switch {
	case errors.Is(err, oauth2errors.ErrInvalidAccessToken):
		return errUnknown
	case errors.Is(err, oauth2errors.ErrExpiredAccessToken), errors.Is(err, oauth2errors.ErrExpiredRefreshToken):
		return errExpired
	case err != nil:
		return err
	}
	client, err := s.manager.GetClient(ctx, t.GetClientID())
	if err == nil && client.GetID() != string(c.ClientID) {
		return errMismatched
	}
	return err
}

func (s *goOAuth2Session) redeem(ctx context.Context, c *Case) error {
	t, err := s.manager.GenerateAccessToken(withCase(ctx, c), oauth2.AuthorizationCode, &oauth2.TokenGenerateRequest{
		ClientID:     string(c.ClientID),
		Code:         string(c.Presented),
		RedirectURI:  c.RedirectURI,
		CodeVerifier: codeVerifier,
	})
	if err != nil {
		return err
	}
	return issued(t, c)
}

func (s *goOAuth2Session) rotate(ctx context.Context, c *Case) error {
	t, err := s.manager.RefreshAccessToken(withCase(ctx, c), &oauth2.TokenGenerateRequest{
		ClientID: string(c.ClientID),
		Refresh:  string(c.Presented),
	})
	if err != nil {
		return err
	}
	return issued(t, c)
}

// issued checks what the manager has issued: the client too, which it does not do by itself when a token is refreshed.
func issued(t oauth2.TokenInfo, c *Case) error {
	switch {
	case t.GetClientID() != string(c.ClientID):
		return errMismatched
	case t.GetAccess() != string(c.AccessToken) || t.GetRefresh() != string(c.RefreshToken):
		return errors.New("other tokens than those of the case were issued")
	}
	return nil
}

type caseKey struct{}

func withCase(ctx context.Context, c *Case) context.Context {
	return context.WithValue(ctx, caseKey{}, c)
}

// caseTokens generates the tokens of the case, so that the benchmark knows them.
type caseTokens struct{}

func (caseTokens) Token(ctx context.Context, _ *oauth2.GenerateBasic, refresh bool) (string, string, error) {
	c, ok := ctx.Value(caseKey{}).(*Case)
	switch {
	case !ok:
		return "", "", errors.New("no case in the context")
	case !refresh:
		return string(c.AccessToken), "", nil
	default:
		return string(c.AccessToken), string(c.RefreshToken), nil
	}
}

// peerTokens is an oauth2.TokenStore.
type peerTokens struct{ pool *pgxpool.Pool }

// Create adds a row under the code, or else under the access and the refresh token.
func (s peerTokens) Create(ctx context.Context, t oauth2.TokenInfo) error {
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	var access, refresh string
	var expires time.Time
	code := t.GetCode()
	if code != "" {
		expires = t.GetCodeCreateAt().Add(t.GetCodeExpiresIn())
	} else {
		access, refresh = t.GetAccess(), t.GetRefresh()
		expires = t.GetAccessCreateAt().Add(t.GetAccessExpiresIn())
		if refresh != "" {
			expires = t.GetRefreshCreateAt().Add(t.GetRefreshExpiresIn())
		}
	}
	_, err = s.pool.Exec(ctx, `
		INSERT INTO oauth2_token (created_at, expires_at, code, access, refresh, data)
		VALUES ($1, $2, $3, $4, $5, $6)`, time.Now(), expires, code, access, refresh, data)
	return err
}

func (s peerTokens) RemoveByCode(ctx context.Context, code string) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM oauth2_token WHERE code = $1`, code)
	return err
}

func (s peerTokens) RemoveByAccess(ctx context.Context, access string) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM oauth2_token WHERE access = $1`, access)
	return err
}

func (s peerTokens) RemoveByRefresh(ctx context.Context, refresh string) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM oauth2_token WHERE refresh = $1`, refresh)
	return err
}

func (s peerTokens) GetByCode(ctx context.Context, code string) (oauth2.TokenInfo, error) {
	return s.get(ctx, `SELECT data FROM oauth2_token WHERE code = $1`, code)
}

func (s peerTokens) GetByAccess(ctx context.Context, access string) (oauth2.TokenInfo, error) {
	return s.get(ctx, `SELECT data FROM oauth2_token WHERE access = $1`, access)
}

func (s peerTokens) GetByRefresh(ctx context.Context, refresh string) (oauth2.TokenInfo, error) {
	return s.get(ctx, `SELECT data FROM oauth2_token WHERE refresh = $1`, refresh)
}

// get returns nil for what is not there, from which the manager makes the right error.
func (s peerTokens) get(ctx context.Context, query, key string) (oauth2.TokenInfo, error) {
	if key == "" {
		return nil, nil
	}
	var data []byte
	err := s.pool.QueryRow(ctx, query, key).Scan(&data)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var t models.Token
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, err
	}
	return &t, nil
}

// peerClients is an oauth2.ClientStore.
type peerClients struct{ pool *pgxpool.Pool }

func (s peerClients) GetByID(ctx context.Context, id string) (oauth2.ClientInfo, error) {
	var data []byte
	err := s.pool.QueryRow(ctx, `SELECT data FROM oauth2_client WHERE id = $1`, id).Scan(&data)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var c peerClient
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// peerClient is a client that has authenticated already: that is no part of the works, for no subject.
type peerClient struct{ models.Client }

func (*peerClient) VerifyPassword(string) bool { return true }

var (
	_ oauth2.TokenStore             = peerTokens{}
	_ oauth2.ClientStore            = peerClients{}
	_ oauth2.ClientPasswordVerifier = (*peerClient)(nil)
)

// PeerTokens is the token store, for a server by the library on dataset.PeerTable.
func PeerTokens(pool *pgxpool.Pool) oauth2.TokenStore { return peerTokens{pool} }

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/oautherror"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// The device grant (RFC 8628). The library has it, but decides in Go what the request's state means, and answers access_denied to whatever
// else is wrong. Here the two endpoints are plain handlers: CreateDeviceAuthorization and PollDeviceCode decide.
const (
	deviceGrant             = "urn:ietf:params:oauth:grant-type:device_code"
	deviceAuthorizationPath = "/device_authorization"
	tokenPath               = "/oauth/token"
	devicePath              = "/device"

	deviceCodeLifetime = 10 * time.Minute
	userCodeLength     = 8
	userCodeAttempts   = 10 // of a user, and of a network, in userCodeWindow
	userCodeWindow     = 10 * time.Minute
)

func userCodeDigest(typed string) token.Digest {
	return token.DigestOf(token.NormalUserCode(token.UserCodeAlphabet, typed))
}

// deviceAuthorization answers a device that wants to be granted access (RFC 8628, section 3.1).
func (s *server) deviceAuthorization(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormLength)
	client, method, secret, ok := presented(w, r)
	if !ok {
		return
	}
	deviceCode := token.Mint(token.DeviceCode)
	p := store.CreateDeviceAuthorizationParams{
		ID: store.NewAuthorizationID(), ClientID: client, ClientAuthMethod: method, ClientSecret: secret, DeviceCode: deviceCode.Digest(),
		Scopes: strings.Fields(r.PostFormValue("scope")), DefaultScopes: s.defaultScopes(), Lifetime: deviceCodeLifetime,
	}
	for {
		userCode := token.MintUserCode(token.UserCodeAlphabet, userCodeLength)
		p.UserCode = userCodeDigest(userCode)
		created, err := s.store.CreateDeviceAuthorization(r.Context(), p)
		switch {
		case err != nil:
			s.fault(w, r, err)
		case created.Outcome == store.OutcomeTaken:
			continue
		case refuse(w, oautherror.DeviceAuthorization, oautherror.CreateDeviceAuthorization, created.Outcome):
		default:
			shown := userCode[:userCodeLength/2] + "-" + userCode[userCodeLength/2:]
			tell(w, http.StatusOK, map[string]any{
				"device_code": deviceCode.Reveal(), "user_code": shown, "verification_uri": s.issuer + devicePath,
				"verification_uri_complete": s.issuer + devicePath + "?" + url.Values{"user_code": {shown}}.Encode(),
				"expires_in":                int(deviceCodeLifetime.Seconds()), "interval": int(created.PollInterval.Seconds()),
			})
		}
		return
	}
}

// tokens is the token endpoint: the library's, but for devices.
func (s *server) tokens(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormLength)
	if err := r.ParseForm(); err != nil {
		tellError(w, http.StatusBadRequest, "invalid_request")
		return
	}
	if r.PostFormValue("grant_type") == deviceGrant {
		s.pollDevice(w, r)
		return
	}
	s.provider.ServeHTTP(w, r)
}

// pollDevice answers a device that asks whether the user has decided (RFC 8628, section 3.4). The refresh token derives from the device code,
// so a device that asks again because an answer was lost gets the same one.
func (s *server) pollDevice(w http.ResponseWriter, r *http.Request) {
	client, method, secret, ok := presented(w, r)
	if !ok {
		return
	}
	deviceCode, err := token.Parse(token.DeviceCode, r.PostFormValue("device_code"))
	if err != nil {
		tellError(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	accessToken, refreshToken := token.Mint(token.AccessToken), s.successors.Successor(deviceCode)
	o := s.options.storage
	row, err := s.store.PollDeviceCode(r.Context(), store.PollDeviceCodeParams{
		ClientID: client, ClientAuthMethod: method, ClientSecret: secret, DeviceCode: deviceCode.Digest(),
		AccessTokenID: store.NewAccessTokenID(), AccessToken: new(accessToken.Digest()),
		AccessTokenLifetime: cmp.Or(o.AccessTokenLifetime, zitadel.DefaultAccessTokenLifetime),
		RefreshTokenID:      new(store.NewRefreshTokenID()), RefreshToken: new(refreshToken.Digest()),
		RefreshTokenLifetime: cmp.Or(o.RefreshTokenLifetime, zitadel.DefaultRefreshTokenLifetime),
		FamilyLifetime:       cmp.Or(o.FamilyLifetime, store.Never), Grace: max(0, cmp.Or(o.Grace, zitadel.DefaultGrace)),
		DefaultScopes: s.defaultScopes(), IPAddress: new(s.address(r).String()),
	})
	switch {
	case err != nil:
		s.fault(w, r, err)
		return
	case refuse(w, oautherror.Token, oautherror.PollDeviceCode, row.Outcome):
		return
	}
	told := map[string]any{
		"access_token": accessToken.Reveal(), "token_type": "Bearer", "scope": strings.Join(row.GrantedScopes, " "),
		"expires_in": int(time.Until(*row.AccessTokenExpiresAt).Seconds()),
	}
	if row.RefreshToken != nil {
		if refreshToken, ok = s.successors.Match(deviceCode, *row.RefreshToken); !ok { // of a key that is no longer used
			tellError(w, http.StatusBadRequest, "invalid_grant")
			return
		}
		told["refresh_token"] = refreshToken.Reveal()
	}
	if slices.Contains(row.GrantedScopes, "openid") {
		about := &op.DeviceAuthorizationState{ClientID: string(client), Scopes: row.GrantedScopes, Subject: string(*row.Sub), AMR: row.AMR}
		if row.AuthTime != nil {
			about.AuthTime = *row.AuthTime
		}
		registered, err := s.storage.GetClientByClientID(r.Context(), string(client))
		if err == nil {
			told["id_token"], err = op.CreateIDToken(r.Context(), s.issuer, about, registered.IDTokenLifetime(), accessToken.Reveal(), "", s.storage, registered)
		}
		if err != nil { // the device asks again, and gets the same refresh token
			s.fault(w, r, err)
			return
		}
	}
	tell(w, http.StatusOK, told)
}

// errGivenTwice is a parameter (RFC 6749, section 3.2).
var errGivenTwice = errors.New("a parameter is given twice")

// presented is the client as it shows itself; the call judges whether that is enough.
func presented(w http.ResponseWriter, r *http.Request) (client store.ClientID, method string, secret token.Digest, ok bool) {
	err := r.ParseForm()
	for _, values := range r.PostForm {
		if len(values) > 1 {
			err = errGivenTwice
		}
	}
	id, inForm := r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	user, password, inHeader := r.BasicAuth()
	if err != nil || inHeader && inForm != "" {
		tellError(w, http.StatusBadRequest, "invalid_request")
		return "", "", "", false
	}
	switch {
	case inHeader:
		userText, userErr := url.QueryUnescape(user)
		passwordText, passwordErr := url.QueryUnescape(password)
		if userErr != nil || passwordErr != nil || id != "" && id != userText {
			tellError(w, http.StatusUnauthorized, "invalid_client")
			return "", "", "", false
		}
		return store.ClientID(userText), "client_secret_basic", token.DigestOf(passwordText), true
	case inForm != "":
		return store.ClientID(id), "client_secret_post", token.DigestOf(inForm), true
	}
	return store.ClientID(id), "none", "", true
}

// refuse tells the client what an outcome means at an endpoint, or says false where it is no refusal.
func refuse(w http.ResponseWriter, at oautherror.Endpoint, call oautherror.Call, outcome store.Outcome) bool {
	refused := oautherror.For(at, call, outcome)
	if refused != nil {
		tellError(w, refused.Status, refused.Code)
	}
	return refused != nil
}

func (s *server) fault(w http.ResponseWriter, r *http.Request, err error) {
	if !db.IsCanceled(err) {
		s.logger.LogAttrs(r.Context(), slog.LevelError, "endpoint", slog.String("path", r.URL.Path), slog.String("error", db.Describe(err)))
	}
	tellError(w, http.StatusInternalServerError, "server_error")
}

func tellError(w http.ResponseWriter, status int, code string) {
	tell(w, status, map[string]any{"error": code})
}

func tell(w http.ResponseWriter, status int, told map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(told) // whoever asked may have gone
}

// discovery adds to the library's document what it doesn't know of.
func (s *server) discovery(w http.ResponseWriter, r *http.Request) {
	b := &buffered{ResponseWriter: w}
	s.provider.ServeHTTP(b, r)
	var document map[string]any
	if json.Unmarshal(b.body.Bytes(), &document) == nil && document["issuer"] != nil {
		document["device_authorization_endpoint"] = s.issuer + deviceAuthorizationPath
		document["pushed_authorization_request_endpoint"] = s.issuer + parPath
		types, _ := document["grant_types_supported"].([]any)
		document["grant_types_supported"] = append(types, deviceGrant)
		b.body.Reset()
		_ = json.NewEncoder(&b.body).Encode(document) // it was JSON
	}
	_, _ = b.body.WriteTo(w)
}

type buffered struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }

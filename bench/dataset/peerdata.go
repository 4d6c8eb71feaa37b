package dataset

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/token"
)

// PeerRefreshTokenLifetime is how long the refresh token of a row of oauth2_token lives, or as long as its access token if that
// lives longer: go-oauth2 takes an access token for expired as soon as the refresh token beside it is.
const PeerRefreshTokenLifetime = 30 * 24 * time.Hour

var peerScope = strings.Join(Scopes, " ")

// PeerTokenJSON renders what oauth2_token.data holds, as encoding/json does a models.Token of go-oauth2. All that the row holds was
// made at created: either a code, which is what lifetime is of, and challenge says whether it is bound to CodeChallenge; or an access
// token, which is what lifetime is of, and a refresh token unless that is empty. It refuses identifiers that JSON would have to escape.
func PeerTokenJSON(created time.Time, code, access, refresh token.Digest, client, user string, lifetime time.Duration, challenge bool) ([]byte, error) {
	switch {
	case (code == "") == (access == ""):
		return nil, errors.New("a row holds either a code or an access token")
	case code != "" && refresh != "":
		return nil, errors.New("a row with a code has no refresh token yet")
	case created.Year() < 1 || created.Year() > 9999:
		return nil, errors.New("the year has no four digits")
	}
	for _, s := range [...]string{client, user, string(code), string(access), string(refresh)} {
		if !plain(s) {
			return nil, fmt.Errorf("%q is no plain identifier", s)
		}
	}
	var codeCreated, accessCreated, refreshCreated time.Time
	var codeLifetime, accessLifetime, refreshLifetime time.Duration
	var codeChallenge, method string
	created = created.UTC()
	if code != "" {
		codeCreated, codeLifetime = created, lifetime
		if challenge {
			codeChallenge, method = CodeChallenge, "S256"
		}
	} else {
		accessCreated, accessLifetime = created, lifetime
		if refresh != "" {
			refreshCreated, refreshLifetime = created, max(PeerRefreshTokenLifetime, lifetime)
		}
	}

	b := make([]byte, 0, 768)
	text := func(name, value string) {
		b = append(b, name...)
		b = append(b, value...)
	}
	moment := func(name string, t time.Time) {
		b = append(b, name...)
		b = t.AppendFormat(b, time.RFC3339Nano)
	}
	span := func(name string, d time.Duration) {
		b = append(b, name...)
		b = strconv.AppendInt(b, int64(d), 10)
	}
	text(`{"ClientID":"`, client)
	text(`","UserID":"`, user)
	text(`","RedirectURI":"`, RedirectURI)
	text(`","Scope":"`, peerScope)
	text(`","Code":"`, string(code))
	text(`","CodeChallenge":"`, codeChallenge)
	text(`","CodeChallengeMethod":"`, method)
	moment(`","CodeCreateAt":"`, codeCreated)
	span(`","CodeExpiresIn":`, codeLifetime)
	text(`,"Access":"`, string(access))
	moment(`","AccessCreateAt":"`, accessCreated)
	span(`","AccessExpiresIn":`, accessLifetime)
	text(`,"Refresh":"`, string(refresh))
	moment(`","RefreshCreateAt":"`, refreshCreated)
	span(`","RefreshExpiresIn":`, refreshLifetime)
	return append(b, `,"Extension":{}}`...), nil
}

// plain reports whether s is the same in JSON, and in COPY's text format.
func plain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

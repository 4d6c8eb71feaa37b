package zitadel

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// Bounds of authorization_details. The database has its own, which are wider.
const (
	maxDetails     = 16 << 10 // bytes
	maxDetailDepth = 16
)

// invalidDetails is the error of RFC 9396, section 5.
func invalidDetails(why string) *oidc.Error {
	return withCode("invalid_authorization_details").WithDescription("%s", why)
}

// detailTypes are those that are served, and that a client may use which has none registered.
func (o *Options) detailTypes() []string { return slices.Sorted(maps.Keys(o.AuthorizationDetails)) }

// details are the authorization_details of a request, nil if it has none (RFC 9396, section 2). Each element has to be of a type that is served,
// and what that type asks for. Whether the client may use it, the calls say.
func (s *Storage) details(form url.Values) (json.RawMessage, error) {
	text := form.Get("authorization_details")
	if text == "" {
		return nil, nil
	}
	if len(text) > maxDetails || !storable(text) {
		return nil, invalidDetails("they are too long, or no text")
	}
	var elements []map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&elements) != nil || len(elements) == 0 {
		return nil, invalidDetails("they are not a list of JSON objects")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalidDetails("something stands behind the list")
	}
	for _, element := range elements {
		name, _ := element["type"].(string)
		check, served := s.opts.AuthorizationDetails[name]
		switch {
		case !served:
			return nil, invalidDetails("an element has no type, or one that isn't served")
		case !storableJSON(element, 1):
			return nil, invalidDetails("an element can't be stored")
		case check == nil:
			continue
		}
		alone, err := json.Marshal(element)
		if err == nil {
			err = check(alone)
		}
		if err != nil {
			return nil, invalidDetails(err.Error())
		}
	}
	// Written anew, nothing is left that Go's reader takes and jsonb doesn't, such as half of a surrogate pair.
	return json.Marshal(elements)
}

// storableJSON says whether jsonb can hold a value.
func storableJSON(value any, depth int) bool {
	switch value := value.(type) {
	case json.Number: // few characters may stand for many digits
		f, err := value.Float64()
		return err == nil && len(value) <= 64 && (f != 0 || !strings.ContainsAny(string(value), "eE"))
	case string:
		return storable(value)
	case map[string]any:
		for name, v := range value {
			if !storable(name) || !storableJSON(v, depth+1) {
				return false
			}
		}
		return depth <= maxDetailDepth
	case []any:
		return depth <= maxDetailDepth && !slices.ContainsFunc(value, func(v any) bool { return !storableJSON(v, depth+1) })
	}
	return true
}

// claimsRequest is what of the claims parameter concerns the sign-in (OpenID Connect Core 1.0, section 5.5): who has to be signed in, and how.
// The other claims are voluntary, and come by scopes.
type claimsRequest struct {
	IDToken struct {
		Sub struct {
			Value string `json:"value"`
		} `json:"sub"`
		ACR struct {
			Value  string   `json:"value"`
			Values []string `json:"values"`
		} `json:"acr"`
	} `json:"id_token"`
}

// parseClaims reads the parameter.
func parseClaims(text string) (c claimsRequest, err error) {
	if text == "" {
		return c, nil
	}
	if len(text) > maxDetails || json.Unmarshal([]byte(text), &c) != nil {
		return c, oidc.ErrInvalidRequest().WithDescription("claims is not a JSON object of claims")
	}
	if c.IDToken.ACR.Value != "" {
		c.IDToken.ACR.Values = append(c.IDToken.ACR.Values, c.IDToken.ACR.Value)
	}
	return c, nil
}

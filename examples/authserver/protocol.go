package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"code.dny.dev/ssrf"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/store"
)

// Values of -registration: who may register clients.
const (
	registrationClosed  = "closed"
	registrationByToken = "token"
	registrationOpen    = "open"
)

// offers is what of OAuth is served beyond the basics.
type offers struct {
	registration    string
	clientDocuments bool
	dpopNonces      bool
	scopes          words // that clients may ask for which have none registered, beside those about the user
	resources       words // that clients may name which have none registered
}

// words is the value of a flag that lists some.
type words []string

// String implements flag.Value.
func (w *words) String() string { return strings.Join(*w, " ") }

// Set implements flag.Value.
func (w *words) Set(text string) error {
	*w = strings.Fields(text)
	return nil
}

func (p offers) check() error {
	if !slices.Contains([]string{registrationClosed, registrationByToken, registrationOpen}, p.registration) {
		return fmt.Errorf("-registration %s: it is closed, token or open", p.registration)
	}
	for _, resource := range p.resources {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			return fmt.Errorf("-resources: %s is not an absolute URI without a fragment", resource)
		}
	}
	return nil
}

// configure says the same to the adapter. A demo may fetch what clients publish on this machine.
func (p offers) configure(o *zitadel.Options, demo bool) {
	o.Scopes, o.Resources, o.DPoPNonces = p.scopes, p.resources, p.dpopNonces
	o.ACRValues = []string{acrPassword, acrPhishingResistant}
	if p.registration != registrationClosed {
		o.Registration = &zitadel.Registration{Open: p.registration == registrationOpen}
	}
	if p.clientDocuments {
		o.ClientDocuments = &zitadel.ClientDocuments{}
	}
	o.AuthorizationDetails = map[string]func(json.RawMessage) error{albumType: func(element json.RawMessage) error {
		_, err := parseAlbum(element)
		return err
	}}
	if demo {
		o.HTTPClient = onThisMachine()
	}
}

// outbound is what sends to where clients say, as logout tokens are. If clients register themselves, they can't have it reach into the server's own
// network; those of an operator may be there.
func (p offers) outbound(demo bool) *http.Client {
	switch {
	case demo:
		return onThisMachine()
	case p.registration != registrationClosed || p.clientDocuments:
		return zitadel.PublicClient()
	}
	return &http.Client{}
}

// onThisMachine connects to public addresses and to those of this machine.
func onThisMachine() *http.Client {
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(netip.MustParsePrefix("127.0.0.0/8")),
		ssrf.WithAllowedV6Prefixes(netip.MustParsePrefix("::1/128")))
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: guard.Safe}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, ForceAttemptHTTP2: true}}
}

// How users can have signed in, as clients ask for it (acr_values): with a password, or with what a page that only looks like this server's
// can't get from them (OpenID Connect Extended Authentication Profile ACR Values 1.0).
const (
	acrPassword          = "urn:oauthdb:authserver:password"
	acrPhishingResistant = "phr"
)

// acrOf is what a sign-in has reached, by its methods (RFC 8176). Passkeys are keys that a device holds.
func acrOf(session store.Session) string {
	switch {
	case slices.Contains(session.AMR, "hwk"), slices.Contains(session.AMR, "swk"), slices.Contains(session.AMR, "pop"):
		return acrPhishingResistant
	case len(session.AMR) > 0:
		return acrPassword
	}
	return ""
}

// acrClaim is the same for the store, which has NULL for none.
func acrClaim(session store.Session) *string {
	acr := acrOf(session)
	if acr == "" {
		return nil
	}
	return &acr
}

// reaches says whether a sign-in is what a request asks for. acr_values is a wish (OpenID Connect Core 1.0, section 5.5.1.1): what this server
// doesn't know asks for nothing. More than was asked for is as good.
func reaches(session store.Session, acrValues []string) bool {
	known := slices.DeleteFunc(slices.Clone(acrValues), func(v string) bool { return v != acrPassword && v != acrPhishingResistant })
	reached := acrOf(session)
	return len(known) == 0 || slices.Contains(known, reached) || reached == acrPhishingResistant
}

// albumType is a type of authorization_details (RFC 9396): access to one album, instead of all photos.
const albumType = "photo_album"

// album is an element of that type.
type album struct {
	Type    string   `json:"type"`
	Album   string   `json:"album"`
	Actions []string `json:"actions"`
}

var albumActions = map[string]string{"view": "look at it", "add": "add photos", "delete": "delete photos"}

func parseAlbum(element json.RawMessage) (album, error) {
	var a album
	d := json.NewDecoder(strings.NewReader(string(element)))
	d.DisallowUnknownFields() // RFC 9396, section 5
	switch {
	case d.Decode(&a) != nil:
		return a, errors.New("a photo_album has album and actions, and nothing else")
	case a.Album == "" || len(a.Album) > 100 || len(a.Actions) == 0:
		return a, errors.New("a photo_album has the name of an album and actions")
	}
	for _, action := range a.Actions {
		if albumActions[action] == "" {
			return a, errors.New("an action of a photo_album is view, add or delete")
		}
	}
	return a, nil
}

// explainDetails says in words what authorization_details ask for. An element that can't be explained is shown as it is.
func explainDetails(details json.RawMessage) []scope {
	var elements []json.RawMessage
	if json.Unmarshal(details, &elements) != nil {
		return nil
	}
	var shown []scope
	for _, element := range elements {
		a, err := parseAlbum(element)
		if err != nil {
			shown = append(shown, scope{Name: string(element)})
			continue
		}
		actions := make([]string, len(a.Actions))
		for i, action := range a.Actions {
			actions[i] = albumActions[action]
		}
		shown = append(shown, scope{Name: a.Type, Words: "In the album “" + a.Album + "”: " + strings.Join(actions, ", ")})
	}
	return shown
}

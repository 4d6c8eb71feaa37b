package calls

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// statements are two sets of metadata that a client may state about itself, by field. They differ everywhere, and each field is
// stated by one of them at least.
var statements = [2]map[string]any{
	{
		"RedirectURIs": []string{"https://a.example/cb"}, "PostLogoutRedirectURIs": []string{"https://a.example/bye"},
		"TokenEndpointAuthMethod": new("private_key_jwt"), "GrantTypes": []string{"authorization_code"}, "ResponseTypes": []string{"code"},
		"Scopes": []string{"openid"}, "Name": new("A"), "URI": new("https://a.example/"), "Icon": new("https://a.example/i"),
		"Contacts": []string{"ops@a.example"}, "TOS": new("https://a.example/tos"), "Policy": new("https://a.example/policy"),
		"SoftwareID": new("a"), "SoftwareVersion": new("1"), "SoftwareStatement": new("eyA"), "JWKS": json.RawMessage(`{"keys": []}`),
		"JWKSURI": (*string)(nil), "ApplicationType": new("web"), "SubjectType": new("public"), "DefaultMaxAge": new(time.Hour),
		"RequirePushedAuthorizationRequests": new(true), "DPoPBoundAccessTokens": new(true), "TLSClientCertificateBoundAccessTokens": new(true),
		"TLSClientAuthSubjectDN": new("CN=a"), "TLSClientAuthSANDNS": new("a.example"), "TLSClientAuthSANURI": new("spiffe://a"),
		"TLSClientAuthSANIP": new("192.0.2.1"), "TLSClientAuthSANEmail": new("a@a.example"),
		"BackchannelLogoutURI": new("https://a.example/out"), "BackchannelLogoutSessionRequired": new(true),
		"Metadata": json.RawMessage(`{"a": 1}`), "AuthorizationDetailsTypes": []string{"a"},
	},
	{
		"RedirectURIs": []string{"https://b.example/cb"}, "PostLogoutRedirectURIs": []string{"https://b.example/bye"},
		"TokenEndpointAuthMethod": new("none"), "GrantTypes": []string{"authorization_code", "refresh_token"}, "ResponseTypes": []string{"none"},
		"Scopes": []string{"email"}, "Name": new("B"), "URI": new("https://b.example/"), "Icon": new("https://b.example/i"),
		"Contacts": []string{"ops@b.example"}, "TOS": new("https://b.example/tos"), "Policy": new("https://b.example/policy"),
		"SoftwareID": new("b"), "SoftwareVersion": new("2"), "SoftwareStatement": new("eyB"), "JWKS": json.RawMessage(nil),
		"JWKSURI": new("https://b.example/keys"), "ApplicationType": new("native"), "SubjectType": new("pairwise"), "DefaultMaxAge": new(time.Minute),
		"RequirePushedAuthorizationRequests": new(false), "DPoPBoundAccessTokens": new(false), "TLSClientCertificateBoundAccessTokens": new(false),
		"TLSClientAuthSubjectDN": new("CN=b"), "TLSClientAuthSANDNS": new("b.example"), "TLSClientAuthSANURI": new("spiffe://b"),
		"TLSClientAuthSANIP": new("192.0.2.2"), "TLSClientAuthSANEmail": new("b@b.example"),
		"BackchannelLogoutURI": new("https://b.example/out"), "BackchannelLogoutSessionRequired": new(false),
		"Metadata": json.RawMessage(`{"b": 1}`), "AuthorizationDetailsTypes": []string{"b"},
	},
}

// statedColumns are the columns of what statements state, as a call names them that says what has changed.
var statedColumns = []string{
	"application_type", "authorization_details_types", "backchannel_logout_session_required", "backchannel_logout_uri", "contacts",
	"default_max_age", "dpop_bound_access_tokens", "grant_types", "icon", "jwks", "jwks_uri", "metadata", "name", "policy",
	"post_logout_redirect_uris", "redirect_uris", "require_pushed_authorization_requests", "response_types", "scopes", "software_id",
	"software_statement", "software_version", "subject_type", "tls_client_auth_san_dns", "tls_client_auth_san_email",
	"tls_client_auth_san_ip", "tls_client_auth_san_uri", "tls_client_auth_subject_dn", "tls_client_certificate_bound_access_tokens",
	"token_endpoint_auth_method", "tos", "uri",
}

// state writes metadata into the parameters of a call. The call may have no other fields than these and the ones of its own.
func state(t *testing.T, params any, metadata map[string]any, own ...string) {
	t.Helper()
	p := reflect.ValueOf(params).Elem()
	for name, value := range metadata {
		p.FieldByName(name).Set(reflect.ValueOf(value))
	}
	for i := range p.NumField() {
		name := p.Type().Field(i).Name
		if _, stated := metadata[name]; !stated && !slices.Contains(own, name) {
			t.Errorf("%s.%s is not stated", p.Type(), name)
		}
	}
}

// wantStated fails the test unless the row of a client says what metadata do, and nothing where they are silent.
func (w *world) wantStated(what string, client store.ClientID, metadata map[string]any) {
	w.Helper()
	c, err := w.Q.GetClient(w.Ctx, client)
	w.OK(err)
	for name := range statements[0] {
		got := reflect.ValueOf(c).FieldByName(name)
		want, stated := metadata[name]
		if !stated {
			want = reflect.Zero(got.Type()).Interface()
		}
		if g, n := asJSON(got.Interface()), asJSON(want); compact(g) != compact(n) {
			w.Errorf("%s: %s is %s, want %s", what, name, g, n)
		}
	}
	method := c.TokenEndpointAuthMethod
	wantEqual(w, what+": public", c.Public, new(method != nil && *method == "none"))
}

// compact is a text of JSON without white space.
func compact(text string) string {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return asJSON(v)
}

func TestUpdateOfARegistrationReplacesEveryField(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	own := []string{
		"ID", "ClientID", "InitialAccessToken", "Open", "RegistrationAccessToken", "NewRegistrationAccessToken", "ClientSecret",
		"ClientSecretLifetime", "SectorIdentifier", "IPAddress", "UserID", "ReferenceID",
	}
	r := registerParams("")
	r.Open = true
	state(t, &r, statements[0], own...)
	w.register(r, store.OutcomeRegistered)
	w.wantStated("as registered", r.ClientID, statements[0])
	u := updateParams(r.ClientID, "r1")
	state(t, &u, statements[1], own...)
	w.update(u, store.OutcomeUpdated)
	w.wantStated("as updated", r.ClientID, statements[1])
	u = updateParams(r.ClientID, "r1+")
	u.Name, u.ClientSecret, u.ClientSecretLifetime = nil, new(fixture.Digest("new")), store.Never
	w.update(u, store.OutcomeUpdated)
	w.wantStated("where it is silent", r.ClientID, map[string]any{
		"RedirectURIs": u.RedirectURIs, "TokenEndpointAuthMethod": new("client_secret_basic"), // a default
	})
}

func TestDocumentReplacesEveryFieldAndSaysWhich(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	own := []string{"ID", "ClientID", "FetchedAt", "DocumentClientID", "DocumentURI", "DocumentETag", "FreshFor"}
	p := documentParams(time.Now().Add(-time.Minute).Truncate(time.Microsecond))
	put := func(want store.Outcome, metadata map[string]any, changes ...string) {
		t.Helper()
		before, err := w.Q.GetClient(w.Ctx, p.ClientID)
		if want != store.OutcomeInserted {
			w.OK(err)
		}
		p.ID, p.FetchedAt = store.NewOAuthClientID(), p.FetchedAt.Add(time.Second)
		p.DocumentURI, p.DocumentETag = new(fixture.Unique("https://app.example/")), new(fixture.Unique("etag"))
		row := w.put(p, want)
		if changes == nil {
			changes = []string{}
		}
		wantEqual(t, "changes", row.Changes, changes)
		consent := slices.DeleteFunc(slices.Clone(changes), func(c string) bool {
			return !slices.Contains([]string{"redirect_uris", "scopes", "name", "uri", "icon", "tos", "policy"}, c)
		})
		wantEqual(t, "consent_changes", row.ConsentChanges, consent)
		w.wantStated("as put", p.ClientID, metadata)
		c, err := w.Q.GetClient(w.Ctx, p.ClientID)
		w.OK(err)
		wantEqual(t, "document_uri", c.DocumentURI, p.DocumentURI)
		wantEqual(t, "document_etag", c.DocumentETag, p.DocumentETag)
		if !c.DocumentFetchedAt.Equal(p.FetchedAt) || !c.DocumentFreshUntil.Equal(*row.FreshUntil) {
			t.Errorf("fetched at %v, want %v; fresh until %v, want %v", c.DocumentFetchedAt, p.FetchedAt, c.DocumentFreshUntil, row.FreshUntil)
		}
		wantAt(t, "fresh until", row.FreshUntil, c.UpdatedAt, p.FreshFor)
		if want != store.OutcomeInserted {
			wantTouched(t, "PutClientDocument", before.CreatedAt, c.CreatedAt, before.UpdatedAt, c.UpdatedAt)
		}
	}
	state(t, &p, statements[0], own...)
	put(store.OutcomeInserted, statements[0])
	state(t, &p, statements[1], own...)
	put(store.OutcomeChanged, statements[1], statedColumns...)
	state(t, &p, statements[0], own...)
	put(store.OutcomeChanged, statements[0], statedColumns...)
	put(store.OutcomeFresh, statements[0])
	silent := documentParams(p.FetchedAt)
	documentAt(&silent, p.ClientID)
	p = silent
	p.Name, p.RedirectURIs = nil, []string{"https://c.example/cb"}
	put(store.OutcomeChanged, map[string]any{"RedirectURIs": p.RedirectURIs, "TokenEndpointAuthMethod": new("none")}, slices.DeleteFunc(slices.Clone(statedColumns), func(c string) bool {
		return c == "jwks_uri" // which wasn't stated either
	})...)
}

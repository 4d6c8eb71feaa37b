package zitadel

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Methods of RFC 8705, section 2.
const (
	methodTLS           = "tls_client_auth"
	methodSelfSignedTLS = "self_signed_tls_client_auth"
)

// PeerCertificate is an Options.ClientCertificate for a server that ends TLS itself. With tls.VerifyClientCertIfGiven the certificates that get
// here are verified by the authorities in tls.Config.ClientCAs; with tls.RequestClientCert none is, and clients may bring their own.
func PeerCertificate(r *http.Request) (certificate *x509.Certificate, verified bool) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false
	}
	return r.TLS.PeerCertificates[0], len(r.TLS.VerifiedChains) > 0
}

func (s *Storage) certificate(r *http.Request) (*x509.Certificate, bool) {
	if s.opts.ClientCertificate == nil {
		return nil, false
	}
	return s.opts.ClientCertificate(r)
}

// certified is the method by which a certificate authenticates a client, if it is registered for one; false: the certificate is another's.
func (c *client) certified(r *http.Request, certificate *x509.Certificate, verified bool) (method string, fits bool) {
	switch method := deref(c.row.TokenEndpointAuthMethod); method {
	case methodTLS:
		return method, verified && names(c.row, certificate)
	case methodSelfSignedTLS:
		set, err := c.keySet(r.Context())
		return method, err == nil && slices.ContainsFunc(set.Keys, func(k jose.JSONWebKey) bool { return isKeyOf(k, certificate) })
	}
	return methodNone, true
}

// names says whether a certificate has the names that the client has registered (RFC 8705, section 2.1.2), of which there has to be one. A
// distinguished name is compared as it is written by crypto/x509/pkix (RFC 2253).
func names(c store.OAuthClient, certificate *x509.Certificate) bool {
	registered := 0
	has := func(name *string, found func(string) bool) bool {
		if name == nil {
			return true
		}
		registered++
		return found(*name)
	}
	all := has(c.TLSClientAuthSubjectDN, func(dn string) bool { return certificate.Subject.String() == dn }) &&
		has(c.TLSClientAuthSANDNS, func(name string) bool {
			return slices.ContainsFunc(certificate.DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
		}) &&
		has(c.TLSClientAuthSANURI, func(uri string) bool {
			return slices.ContainsFunc(certificate.URIs, func(u *url.URL) bool { return u.String() == uri })
		}) &&
		has(c.TLSClientAuthSANIP, func(ip string) bool { return slices.ContainsFunc(certificate.IPAddresses, net.ParseIP(ip).Equal) }) &&
		has(c.TLSClientAuthSANEmail, func(address string) bool { return slices.Contains(certificate.EmailAddresses, address) })
	return all && registered > 0
}

// isKeyOf says whether a client's key is that of a certificate, or the certificate itself if it is given (RFC 8705, section 2.2.2).
func isKeyOf(k jose.JSONWebKey, certificate *x509.Certificate) bool {
	if len(k.Certificates) > 0 {
		return bytes.Equal(k.Certificates[0].Raw, certificate.Raw)
	}
	key, compares := k.Key.(interface{ Equal(crypto.PublicKey) bool })
	return compares && key.Equal(certificate.PublicKey)
}

// thumbprint is that of a certificate (RFC 8705, section 3.1).
func thumbprint(certificate *x509.Certificate) string {
	hash := sha256.Sum256(certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

// bindToCertificate adds the certificate of a request to what the client has proven, if the client is registered for tokens that are bound to it
// (RFC 8705, section 3).
func (p *Provider) bindToCertificate(r *http.Request, by store.ClientID, key *proven) error {
	certificate, _ := p.storage.certificate(r)
	if certificate == nil {
		return nil
	}
	c, err := p.storage.client(r.Context(), string(by))
	switch {
	case exchangeFrom(r.Context()).fault:
		return err
	case err != nil || !deref(c.row.TLSClientCertificateBoundAccessTokens): // of a client that isn't there, the call will say so
		return nil
	}
	if key.confirmation == nil {
		key.confirmation = &token.Confirmation{}
	}
	key.confirmation.X5TS256 = thumbprint(certificate)
	return nil
}

// isBoundToKey says whether a token is bound to the key of DPoP proofs, and so is no bearer token.
func isBoundToKey(c *token.Confirmation) bool { return c != nil && c.JKT != "" }

// holds says whether a request for a protected resource proves all that its token is bound to.
func (p *Provider) holds(r *http.Request, key proven, bound *token.Confirmation) bool {
	if isBoundToKey(bound) && (key.confirmation == nil || key.confirmation.JKT != bound.JKT) {
		return false
	}
	if bound != nil && bound.X5TS256 != "" {
		certificate, _ := p.storage.certificate(r)
		return certificate != nil && thumbprint(certificate) == bound.X5TS256
	}
	return true
}

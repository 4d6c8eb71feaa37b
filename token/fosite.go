package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
)

const (
	// MinFositeSecretLength is the least length of a secret of fosite's, in bytes.
	MinFositeSecretLength = 32
	// MinHydraSecretLength is the least length of a system secret of Ory Hydra's, in bytes.
	MinHydraSecretLength = 16
)

// Fosite recognises tokens of a server built on ory/fosite, as Ory Hydra is, whose grants have been taken over. Make it with [NewHydra] or
// [NewFosite].
//
// Such a token is a random key and a signature, "ory_rt_key.signature": the signature is the HMAC of the key under a secret of that server's.
// Its database holds the signature alone, as it is. That has the form of a [Digest], and oauthdb stores it as one.
//
// Parse needs the secret for that. Without its check, everybody who has seen the other server's tables, or a backup of them, could
// present any of its tokens with a key that he made up. Presented as it is, a signature finds nothing: it is looked up by its own digest.
//
// A Fosite is immutable and may be used by many goroutines at once. Its secrets don't show when it is formatted.
type Fosite struct {
	sign []func(key []byte) []byte // one for each secret. Closures: fmt can't look inside them
}

// NewHydra recognises the tokens of an Ory Hydra with these system secrets (secrets.system, SECRETS_SYSTEM), all that are still configured
// there. There must be 1 to [MaxKeys] of them, each of at least [MinHydraSecretLength] bytes; the error wraps [ErrKeys] otherwise.
func NewHydra(systemSecrets ...string) (*Fosite, error) {
	secrets := make([][]byte, len(systemSecrets))
	for i, secret := range systemSecrets {
		if len(secret) < MinHydraSecretLength {
			return nil, fmt.Errorf("%w: system secret %d is shorter than %d bytes", ErrKeys, i+1, MinHydraSecretLength)
		}
		hashed := sha256.Sum256([]byte(secret))
		secrets[i] = hashed[:]
	}
	return NewFosite(secrets...)
}

// NewFosite recognises the tokens of a fosite with these secrets: its GlobalSecret and the RotatedGlobalSecrets. There must be 1 to
// [MaxKeys] of them, each of at least [MinFositeSecretLength] bytes; the error wraps [ErrKeys] otherwise. The secrets are copied. fosite
// takes the first 32 bytes of a longer one.
func NewFosite(secrets ...[]byte) (*Fosite, error) {
	if len(secrets) == 0 || len(secrets) > MaxKeys {
		return nil, fmt.Errorf("%w: %d secrets: 1 to %d are needed", ErrKeys, len(secrets), MaxKeys)
	}
	f := &Fosite{}
	for i, secret := range secrets {
		if len(secret) < MinFositeSecretLength {
			return nil, fmt.Errorf("%w: secret %d is shorter than %d bytes", ErrKeys, i+1, MinFositeSecretLength)
		}
		key := [32]byte(secret)
		f.sign = append(f.sign, func(text []byte) []byte {
			mac := hmac.New(sha512.New512_256, key[:])
			mac.Write(text)
			return mac.Sum(nil)
		})
	}
	return f, nil
}

// Parse returns a presented token as a Raw, for [Successor], and the digest by which the database knows it, which is not the Raw's, if it is a
// token that the other server has made, of the kind: an access token, a refresh token or an authorization code, with the prefix "ory_" or,
// as older versions have them, with none. The error is, or wraps, [ErrMalformed], [ErrKind] or, for a signature that no secret has made,
// [ErrChecksum].
//
// Ask [Parse] first, and this where the error is [ErrForeign].
func (f *Fosite) Parse(kind Kind, presented string) (Raw, Digest, error) {
	refuse := func(err error) (Raw, Digest, error) { return Raw{}, "", err }
	switch {
	case kind != AccessToken && kind != RefreshToken && kind != AuthorizationCode:
		return refuse(KindError{Want: kind})
	case presented == "":
		return refuse(errEmpty)
	case len(presented) > MaxLength:
		return refuse(errTooLong)
	}
	if got, rest, ok := (Scheme{vendor: "ory"}).cut(presented); ok {
		if got != kind {
			return refuse(KindError{Want: kind, Got: got})
		}
		presented = rest
	}
	keyText, signatureText, ok := strings.Cut(presented, ".")
	if !ok || keyText == "" {
		return refuse(errFositeForm)
	}
	key, err := base64.RawURLEncoding.DecodeString(keyText)
	if err != nil {
		return refuse(errFositeForm)
	}
	signature, err := base64.RawURLEncoding.DecodeString(signatureText)
	if err != nil {
		return refuse(errFositeForm)
	}
	for _, sign := range f.sign {
		if want := sign(key); hmac.Equal(want, signature) {
			// encoded anew, as base64 has several texts for the same bytes
			digest := base64.RawURLEncoding.EncodeToString(want)
			return newRaw(base64.RawURLEncoding.EncodeToString(key) + "." + digest), Digest(digest), nil
		}
	}
	return refuse(ErrChecksum)
}

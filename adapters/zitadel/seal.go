package zitadel

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// keyEncryptionKeyLength is that of AES-256, in bytes.
const keyEncryptionKeyLength = 32

// sealed is how a private key in the database begins: which of the algorithms to come it is encrypted with.
const sealedMark = "aes256gcm."

var errUnsealable = errors.New("the signing key is encrypted under none of Options.KeyEncryptionKeys")

// sealer encrypts private keys at rest: AES-256-GCM with a random nonce, bound to the key's id, so that a ciphertext copied
// to another row does not decrypt.
type sealer struct{ aeads []cipher.AEAD }

func newSealer(keys [][]byte) (*sealer, error) {
	s := &sealer{}
	for i, key := range keys {
		if len(key) != keyEncryptionKeyLength {
			return nil, fmt.Errorf("zitadel: Options.KeyEncryptionKeys[%d] is not %d bytes long", i, keyEncryptionKeyLength)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("zitadel: Options.KeyEncryptionKeys[%d]: %w", i, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("zitadel: Options.KeyEncryptionKeys[%d]: %w", i, err)
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

// seal encrypts under the newest key.
func (s *sealer) seal(id string, plaintext []byte) string {
	return sealedMark + base64.RawURLEncoding.EncodeToString(s.aeads[0].Seal(nil, nil, plaintext, []byte(id)))
}

// open decrypts under whichever key fits.
func (s *sealer) open(id, ciphertext string) ([]byte, error) {
	encoded, found := strings.CutPrefix(ciphertext, sealedMark)
	if !found {
		return nil, errUnsealable
	}
	sealed, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errUnsealable
	}
	for _, aead := range s.aeads {
		if plaintext, err := aead.Open(nil, nil, sealed, []byte(id)); err == nil {
			return plaintext, nil
		}
	}
	return nil, errUnsealable
}

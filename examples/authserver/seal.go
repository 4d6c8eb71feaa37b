package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
)

// sealer encrypts what this server hands out and takes back, or stores: nobody else can read or make it.
type sealer struct{ aeads []cipher.AEAD } // that of the newest key first

var errSealed = errors.New("not sealed here, or for something else")

func newSealer(keys [][]byte) (*sealer, error) {
	s := &sealer{}
	for _, key := range keys {
		derived, err := hkdf.Key(sha256.New, key, nil, "authserver seal", 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		s.aeads = append(s.aeads, aead)
	}
	if len(s.aeads) == 0 {
		return nil, errors.New("a key is needed")
	}
	return s, nil
}

// seal encrypts a value for a purpose, for which alone it can be opened.
func (s *sealer) seal(purpose string, value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aeads[0].Seal(nil, nil, text, []byte(purpose))), nil
}

func (s *sealer) open(purpose, sealed string, value any) error {
	data, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return errSealed
	}
	for _, aead := range s.aeads {
		if text, err := aead.Open(nil, nil, data, []byte(purpose)); err == nil {
			return json.Unmarshal(text, value)
		}
	}
	return errSealed
}

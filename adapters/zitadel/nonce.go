package zitadel

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// nonceWindow is for how long a nonce is given out. It is taken for one more.
const nonceWindow = 5 * time.Minute

// nonces are those that DPoP proofs have to carry (RFC 9449, section 8): the time, in windows, under a key that all servers have. So none has
// to be kept.
type nonces struct{ keys [][]byte }

func newNonces(secrets [][]byte) (nonces, error) {
	var n nonces
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "oauthdb zitadel: DPoP nonces", sha256.Size)
		if err != nil {
			return n, err
		}
		n.keys = append(n.keys, key)
	}
	return n, nil
}

func nonceOf(key []byte, window int64) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(window)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func windowAt(t time.Time) int64 { return t.Unix() / int64(nonceWindow/time.Second) }

// at is the nonce to give out.
func (n nonces) at(now time.Time) string { return nonceOf(n.keys[0], windowAt(now)) }

// takes says whether a nonce was given out lately, by this server or another, whose clock may be a little ahead.
func (n nonces) takes(nonce string, now time.Time) bool {
	current := windowAt(now)
	for _, key := range n.keys {
		for _, window := range []int64{current, current - 1, windowAt(now.Add(proofSkew))} {
			if hmac.Equal([]byte(nonce), []byte(nonceOf(key, window))) {
				return true
			}
		}
	}
	return false
}

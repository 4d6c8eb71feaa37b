package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net/http"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// One-time codes prove that somebody reads the mail of an address. There is one for each purpose and address, and guesses at it are counted in
// the database.
const (
	codeDigits   = 8
	codeLifetime = 15 * time.Minute
	codeAttempts = 5 // in codeWindow, of all browsers together
	codeWindow   = 15 * time.Minute

	mailsPerAddress = 4 // in mailWindow
	mailsPerNetwork = 20
	mailWindow      = 15 * time.Minute
)

// newCode is one of a hundred million.
func newCode() (string, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits), nil))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%0*d", codeDigits, n), nil
}

// grouped is a code as people read it.
func grouped(code string) string { return code[:codeDigits/2] + " " + code[codeDigits/2:] }

// typedCode is what somebody has typed, without what groups it.
func typedCode(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1
		}
		return r
	}, text)
}

// mailAddress is an e-mail address as it is stored: ASCII in lower case, as the database compares them. Two addresses that differ in another
// way are two people's.
func mailAddress(text string) (string, bool) {
	text = strings.TrimSpace(text)
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text || text != storable(text, maxEmailLength) || strings.ContainsAny(text, `" `) {
		return "", false
	}
	return asciiLower(text), true
}

func asciiLower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// limit is how often something may be tried.
type limit struct {
	purpose string
	subject token.Digest
	most    int32
	window  time.Duration
}

// count counts a try against all limits. What it returns is how long to wait, 0 to go on. It runs on the pool, not in a transaction of the
// request, which an error would roll back, the count included.
func (s *server) count(ctx context.Context, limits ...limit) (time.Duration, error) {
	for _, l := range limits {
		row, err := s.store.CountAttempt(ctx, store.CountAttemptParams{Purpose: l.purpose, Subject: l.subject, MaxAttempts: l.most, AttemptWindow: l.window})
		switch {
		case err != nil:
			return 0, err
		case row.Outcome == store.OutcomeExhausted:
			return max(time.Until(row.ResetsAt), time.Second), nil
		}
	}
	return 0, nil
}

// tooMany is what people are told who have to wait.
const tooMany = "Too many attempts. Wait a few minutes, then try again."

func retryAfter(h http.Header, wait time.Duration) {
	h.Set("Retry-After", fmt.Sprint(int(wait.Seconds())+1))
}

// sendCode has a code for an address written by text, which is called after the request. It does the same for every address, known or not.
func (s *server) sendCode(r *http.Request, purpose, email string, text func(ctx context.Context, code string) (*Message, error)) (time.Duration, error) {
	wait, err := s.count(r.Context(),
		limit{"mail-network", networkSubject(s.address(r)), mailsPerNetwork, mailWindow},
		limit{"mail", accountSubject(email), mailsPerAddress, mailWindow},
	)
	if err != nil || wait > 0 {
		return wait, err
	}
	code, err := newCode()
	if err != nil {
		return 0, err
	}
	_, err = s.store.CreateOneTimeCode(r.Context(), store.CreateOneTimeCodeParams{
		Purpose: purpose, Subject: accountSubject(email), Digest: s.codeDigest(purpose, email, code), Lifetime: codeLifetime,
	})
	if err != nil {
		return 0, err
	}
	s.outbox.post(func(ctx context.Context) (*Message, error) { return text(ctx, code) })
	return 0, nil
}

func (s *server) codeDigest(purpose, email, code string) token.Digest {
	return token.ShortCodeDigest(s.codeKey, purpose, string(accountSubject(email)), code)
}

// redeemCode says why a code is not accepted. Nothing: it is.
func (s *server) redeemCode(ctx context.Context, purpose, email, code string) (problem string, err error) {
	row, err := s.store.RedeemOneTimeCode(ctx, store.RedeemOneTimeCodeParams{
		Purpose: purpose, Subject: accountSubject(email), Digest: s.codeDigest(purpose, email, typedCode(code)),
		MaxAttempts: codeAttempts, AttemptWindow: codeWindow,
	})
	switch {
	case err != nil:
		return "", err
	case row.Outcome == store.OutcomeAccepted:
		return "", nil
	case row.Outcome == store.OutcomeExhausted:
		return tooMany, nil
	case row.Outcome == store.OutcomeExpired, row.Outcome == store.OutcomeUnknown:
		return "This code is over. Ask for another one.", nil
	}
	return "That is not the code of our latest mail.", nil
}

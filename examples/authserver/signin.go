package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// signInForm is what the page shows.
type signInForm struct {
	ID     string  // of the request that awaits the sign-in, if one does
	Client string  // its client's name
	Device *string // the code of a device that waits for the sign-in, empty if it is still to be entered; nil: none does
	Other  string  // who is signed in, where the app asks for somebody else or for a new sign-in
	Email  string
	Error  string
}

// signInPage shows the form.
func (s *server) signInPage(w http.ResponseWriter, r *http.Request) error {
	form := signInForm{ID: r.FormValue("id"), Device: deviceOfForm(r)}
	session, err := s.session(w, r)
	if err != nil {
		return err
	}
	if form.ID == "" {
		if session != nil {
			http.Redirect(w, r, form.next(), http.StatusSeeOther)
			return nil
		}
		return s.pages.show(w, http.StatusOK, "signin", page{Title: "Sign in", Data: form})
	}
	pending, err := s.prepare(w, r, &form)
	if err != nil {
		return err
	}
	form.Email = pending.Request.LoginHint
	if session != nil {
		form.Other = addressOf(session.User)
	}
	return s.pages.show(w, http.StatusOK, "signin", page{Title: "Sign in", Data: form})
}

// prepare fills in what the form says of the request.
func (s *server) prepare(w http.ResponseWriter, r *http.Request, form *signInForm) (zitadel.PendingRequest, error) {
	pending, err := s.storage.PendingRequest(r.Context(), form.ID)
	if err != nil {
		return pending, err
	}
	client, err := s.store.GetClient(r.Context(), pending.Authorization.ClientID)
	if err != nil {
		return pending, err
	}
	form.Client = nameOf(client.Name, client.ClientID)
	allowForms(w.Header(), sourceOf(pending.Authorization.RedirectURI))
	return pending, nil
}

// wrongPassword does not say which of both it was.
const wrongPassword = "That e-mail address and password don't belong together."

// signIn checks the password.
func (s *server) signIn(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	form := signInForm{ID: r.PostFormValue("id"), Device: deviceOfForm(r), Email: strings.TrimSpace(r.PostFormValue("email"))}
	if form.ID != "" {
		if _, err := s.prepare(w, r, &form); err != nil {
			return err
		}
	}
	refuse := func(status int, why string) error {
		form.Error = why
		return s.pages.show(w, status, "signin", page{Title: "Sign in", Data: form})
	}
	password := r.PostFormValue("password")
	if form.Email == "" || password == "" {
		return refuse(http.StatusUnprocessableEntity, "Enter your e-mail address and your password.")
	}
	wait, err := s.countGuess(ctx, s.address(r), form.Email)
	switch {
	case err != nil:
		return err
	case wait > 0:
		w.Header().Set("Retry-After", fmt.Sprint(int(wait.Seconds())+1))
		return refuse(http.StatusTooManyRequests, "Too many attempts. Wait a few minutes, then try again.")
	}
	user, err := s.authenticate(ctx, form.Email, password)
	switch {
	case errors.Is(err, errWrongPassword):
		return refuse(http.StatusUnprocessableEntity, wrongPassword)
	case err != nil:
		return err
	}
	if err := s.forgiveGuesses(ctx, form.Email); err != nil {
		return err
	}
	switch outcome, err := s.begin(w, r, user.ID); {
	case err != nil:
		return err
	case outcome == store.OutcomeSuspended:
		return refuse(http.StatusForbidden, "This account is suspended. Ask whoever runs this service.")
	case outcome == store.OutcomeUnknown: // deleted in between
		return refuse(http.StatusUnprocessableEntity, wrongPassword)
	}
	http.Redirect(w, r, form.next(), http.StatusSeeOther)
	return nil
}

// next is where a browser goes that is signed in.
func (f signInForm) next() string {
	switch {
	case f.ID != "":
		return "/continue?" + url.Values{"id": {f.ID}}.Encode()
	case f.Device != nil:
		return devicePath + "?" + url.Values{"user_code": {*f.Device}}.Encode()
	}
	return accountPath
}

func deviceOfForm(r *http.Request) *string {
	if !r.Form.Has("device") {
		return nil
	}
	return new(r.Form.Get("device"))
}

var (
	errWrongPassword = errors.New("wrong e-mail address or password")
	errForeignHash   = errors.New("a stored password is not an Argon2id hash")
)

// addressOf is what a user is shown as: the e-mail address, or the name of one who has none.
func addressOf(user store.User) string {
	if user.Email != nil {
		return *user.Email
	}
	return user.Name
}

// authenticate takes as long for an address that nobody has, and for a hash that another server has made and that can't be checked
// here, as for a wrong password.
func (s *server) authenticate(ctx context.Context, email, password string) (store.User, error) {
	if email != storable(email, maxEmailLength) || len(password) > maxPasswordLength {
		email, password = "", ""
	}
	row, err := s.store.FindCredentialAccountByEmail(ctx, email)
	if err != nil && !db.IsNotFound(err) {
		return store.User{}, err
	}
	hash := s.passwords.dummy
	known := err == nil && row.Account.Password != nil
	if known {
		hash = *row.Account.Password
	}
	matches, err := s.passwords.match(ctx, password, hash)
	if errors.Is(err, errForeignHash) {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "the user can't sign in: "+errForeignHash.Error(),
			slog.String("user_id", string(row.User.ID)), slog.String("account_id", string(row.Account.ID)))
		known = false
		_, err = s.passwords.match(ctx, password, s.passwords.dummy)
	}
	switch {
	case err != nil:
		return store.User{}, err
	case !known || !matches:
		return store.User{}, errWrongPassword
	}
	return row.User, nil
}

const (
	maxEmailLength    = 320
	maxPasswordLength = 1024
)

// passwordParams are those that OWASP's Password Storage Cheat Sheet recommends for Argon2id: 19 MiB, two passes.
var passwordParams = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// passwords hashes them, as many at a time as there are processors: each takes memory and time, which whoever floods the form
// must not multiply.
type passwords struct {
	params *argon2id.Params
	slots  chan struct{}
	dummy  string
}

func newPasswords(params *argon2id.Params) (*passwords, error) {
	p := &passwords{params: params, slots: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}
	var err error
	p.dummy, err = argon2id.CreateHash("nobody's password", params)
	return p, err
}

func (p *passwords) hash(password string) (string, error) {
	return argon2id.CreateHash(password, p.params)
}

func (p *passwords) match(ctx context.Context, password, hash string) (bool, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	matches, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, errForeignHash
	}
	return matches, nil
}

// Guesses at passwords are limited per account, so that many networks can't try one, and per network, so that one can't try many
// accounts. They are counted in the database, for all servers behind a load balancer together.
const (
	attemptsPerAccount = 8
	accountWindow      = 3 * time.Minute
	attemptsPerNetwork = 30
	networkWindow      = 2 * time.Minute
	subscriberBits     = 64 // of an IPv6 address: what one subscriber has
)

// countGuess counts a guess before it is made. What it returns is how long to wait, 0 to go on. It runs on the pool, not in a
// transaction of the request, which an error would roll back, the count included.
func (s *server) countGuess(ctx context.Context, addr netip.Addr, email string) (time.Duration, error) {
	for _, limit := range []store.CountAttemptParams{
		{Purpose: "password-network", Subject: networkSubject(addr), MaxAttempts: attemptsPerNetwork, AttemptWindow: networkWindow},
		{Purpose: "password", Subject: accountSubject(email), MaxAttempts: attemptsPerAccount, AttemptWindow: accountWindow},
	} {
		row, err := s.store.CountAttempt(ctx, limit)
		switch {
		case err != nil:
			return 0, err
		case row.Outcome == store.OutcomeExhausted:
			return max(time.Until(row.ResetsAt), time.Second), nil
		}
	}
	return 0, nil
}

// forgiveGuesses forgets the guesses at an account whose password has been given. Those of the network stay: from there somebody may
// be guessing at others.
func (s *server) forgiveGuesses(ctx context.Context, email string) error {
	_, err := s.store.ResetAttempts(ctx, store.ResetAttemptsParams{Purpose: "password", Subject: accountSubject(email)})
	return err
}

func accountSubject(email string) token.Digest { return token.DigestOf(strings.ToLower(email)) }

func networkSubject(addr netip.Addr) token.Digest {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = subscriberBits
	}
	network, _ := addr.Prefix(bits)
	return token.DigestOf(network.String())
}

package main

import (
	"context"
	"errors"
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

// destination is what waits for somebody to sign in.
type destination struct {
	ID     string  // of the authorization request, if one waits
	Device *string // the code of a device, empty if it is still to be entered; nil: none waits
	Page   string  // of this server, one of ownPages
}

// ownPages ask for a new sign-in themselves.
var ownPages = map[string]string{"passkeys": passkeysPath, "second-factor": secondFactorPath}

// destinationOf reads it from a form or a query.
func destinationOf(r *http.Request) destination {
	d := destination{ID: r.Form.Get("id")}
	if r.Form.Has("device") {
		d.Device = new(r.Form.Get("device"))
	}
	if ownPages[r.Form.Get("page")] != "" {
		d.Page = r.Form.Get("page")
	}
	return d
}

// next is where a browser goes that is signed in.
func (d destination) next() string {
	switch {
	case d.ID != "":
		return "/continue?" + url.Values{"id": {d.ID}}.Encode()
	case d.Device != nil:
		return devicePath + "?" + url.Values{"user_code": {*d.Device}}.Encode()
	case d.Page != "":
		return ownPages[d.Page]
	}
	return accountPath
}

// At is a page of the sign-in that keeps the destination.
func (d destination) At(path string) string {
	query := url.Values{}
	if d.ID != "" {
		query.Set("id", d.ID)
	}
	if d.Device != nil {
		query.Set("device", *d.Device)
	}
	if d.Page != "" {
		query.Set("page", d.Page)
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// signInForm is what the page shows.
type signInForm struct {
	destination
	Client string // the name of the client whose request waits
	Other  string // who is signed in, where the app or a page asks for somebody else or for a new sign-in
	Email  string
	Error  string

	Passkeys, Reset, SignUp bool // what is offered besides the password
}

func (s *server) showSignIn(w http.ResponseWriter, status int, form signInForm) error {
	form.Passkeys, form.Reset, form.SignUp = s.passkeys != nil, s.mailer != nil, s.signUp
	if form.Passkeys {
		allowScript(w.Header())
	}
	return s.pages.show(w, status, "signin", page{Title: "Sign in", Data: form})
}

// signInPage shows the form.
func (s *server) signInPage(w http.ResponseWriter, r *http.Request) error {
	form := signInForm{destination: destinationOf(r)}
	session, err := s.session(w, r)
	if err != nil {
		return err
	}
	switch {
	case form.ID != "":
		pending, client, err := s.awaited(w.Header(), r, form.ID)
		if err != nil {
			return err
		}
		form.Client, form.Email = client, pending.Request.LoginHint
	case session != nil && (form.Page == "" || isRecent(session)):
		http.Redirect(w, r, form.next(), http.StatusSeeOther)
		return nil
	}
	if session != nil {
		form.Other = addressOf(session.User)
		if form.Email == "" && form.Page != "" {
			form.Email = form.Other
		}
	}
	return s.showSignIn(w, http.StatusOK, form)
}

// awaited is a request that waits for a sign-in and the name of its client, to which forms may lead.
func (s *server) awaited(h http.Header, r *http.Request, id string) (zitadel.PendingRequest, string, error) {
	pending, err := s.storage.PendingRequest(r.Context(), id)
	if err != nil {
		return pending, "", err
	}
	client, err := s.store.GetClient(r.Context(), pending.Authorization.ClientID)
	if err != nil {
		return pending, "", err
	}
	allowForms(h, sourceOf(pending.Authorization.RedirectURI))
	return pending, nameOf(client.Name, client.ClientID), nil
}

// wrongPassword does not say which of both it was.
const wrongPassword = "That e-mail address and password don't belong together."

const suspended = "This account is suspended. Ask whoever runs this service."

// signIn checks the password.
func (s *server) signIn(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	form := signInForm{destination: destinationOf(r), Email: strings.TrimSpace(r.PostFormValue("email"))}
	if form.ID != "" {
		var err error
		if _, form.Client, err = s.awaited(w.Header(), r, form.ID); err != nil {
			return err
		}
	}
	refuse := func(status int, why string) error {
		form.Error = why
		return s.showSignIn(w, status, form)
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
		retryAfter(w.Header(), wait)
		return refuse(http.StatusTooManyRequests, tooMany)
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
	next, outcome, err := s.enter(w, r, user.ID, passwordAlone, form.destination)
	switch {
	case err != nil:
		return err
	case outcome == store.OutcomeSuspended:
		return refuse(http.StatusForbidden, suspended)
	case next == "": // deleted in between
		return refuse(http.StatusUnprocessableEntity, wrongPassword)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
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

// take waits for a slot, which release gives back.
func (p *passwords) take(ctx context.Context) (release func(), err error) {
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	release, err := p.take(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return argon2id.CreateHash(password, p.params)
}

// match answers errForeignHash for a hash that isn't one of Argon2id, or that nobody should compute: the library panics without a round,
// takes the memory that the hash asks for, and has any password match a hash that is cut off.
func (p *passwords) match(ctx context.Context, password, hash string) (bool, error) {
	params, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil || params.Iterations < 1 || params.Iterations > maxIterations || params.Parallelism < 1 || params.Memory > maxMemory ||
		len(salt) < minSaltLength || len(key) < minKeyLength {
		return false, errForeignHash
	}
	release, err := p.take(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	matches, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, errForeignHash
	}
	return matches, nil
}

// What a stored hash may ask for.
const (
	maxIterations = 64
	maxMemory     = 1 << 20 // KiB
	minSaltLength = 8
	minKeyLength  = 16
)

// Guesses at passwords are limited per account, so that many networks can't try one, and per network, so that one can't try many
// accounts. They are counted in the database, for all servers behind a load balancer together.
const (
	attemptsPerAccount = 8
	accountWindow      = 3 * time.Minute
	attemptsPerNetwork = 30
	networkWindow      = 2 * time.Minute
	subscriberBits     = 64 // of an IPv6 address: what one subscriber has
)

// countGuess counts a guess before it is made.
func (s *server) countGuess(ctx context.Context, addr netip.Addr, email string) (time.Duration, error) {
	return s.count(ctx,
		limit{"password-network", networkSubject(addr), attemptsPerNetwork, networkWindow},
		limit{"password", accountSubject(email), attemptsPerAccount, accountWindow},
	)
}

// forgiveGuesses forgets the guesses at an account whose password has been given. Those of the network stay: from there somebody may
// be guessing at others.
func (s *server) forgiveGuesses(ctx context.Context, email string) error {
	_, err := s.store.ResetAttempts(ctx, store.ResetAttemptsParams{Purpose: "password", Subject: accountSubject(email)})
	return err
}

func accountSubject(email string) token.Digest { return token.DigestOf(asciiLower(email)) }

func networkSubject(addr netip.Addr) token.Digest {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = subscriberBits
	}
	network, _ := addr.Prefix(bits)
	return token.DigestOf(network.String())
}

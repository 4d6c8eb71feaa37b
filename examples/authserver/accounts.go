package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
)

const (
	signUpPath, resetPath       = "/signup", "/reset"
	signUpPurpose, resetPurpose = "sign-up", "password-reset"
	maxNameLength               = 100
)

// mailedCode is how somebody has signed in who has typed a code that was mailed (RFC 8176).
var mailedCode = []string{"otp"}

// addressForm is what the pages for a new account and for a forgotten password show: first the address, then the code and the rest.
type addressForm struct {
	destination
	Path     string // of the page
	Client   string // the name of the client that waits
	NewUser  bool
	Sent     bool // a code was sent to Email
	Email    string
	Name     string
	Code     string
	Field    string // to which Error belongs
	Error    string
	MinChars int
}

func (f addressForm) title() string {
	if f.NewUser {
		return "Create your account"
	}
	return "Choose a new password"
}

func (s *server) showAddressForm(w http.ResponseWriter, status int, f addressForm) error {
	f.MinChars = minPasswordLength
	return s.pages.show(w, status, "address", page{Title: f.title(), Data: f})
}

// addressFormOf reads the form, and what waits for it.
func (s *server) addressFormOf(w http.ResponseWriter, r *http.Request, newUser bool) (addressForm, error) {
	f := addressForm{
		destination: destinationOf(r), Path: resetPath, NewUser: newUser, Email: strings.TrimSpace(r.PostFormValue("email")),
		Name: strings.TrimSpace(r.PostFormValue("name")), Code: r.PostFormValue("code"),
	}
	if newUser {
		f.Path = signUpPath
	}
	if f.ID == "" {
		return f, nil
	}
	_, client, err := s.awaited(w.Header(), r, f.ID)
	f.Client = client
	return f, err
}

// addressPage asks for the address.
func (s *server) addressPage(newUser bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		f, err := s.addressFormOf(w, r, newUser)
		if err != nil {
			return err
		}
		return s.showAddressForm(w, http.StatusOK, f)
	}
}

// askForCode sends a code and asks for it. It says and does the same whether the address is known or not; only its mail tells.
func (s *server) askForCode(newUser bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		f, err := s.addressFormOf(w, r, newUser)
		if err != nil {
			return err
		}
		email, ok := mailAddress(f.Email)
		if !ok {
			f.Field, f.Error = "email", "Enter an e-mail address, such as ada@example.com."
			return s.showAddressForm(w, http.StatusUnprocessableEntity, f)
		}
		purpose, text := resetPurpose, s.resetMail
		if newUser {
			purpose, text = signUpPurpose, s.signUpMail
		}
		wait, err := s.sendCode(r, purpose, email, func(ctx context.Context, code string) (*Message, error) { return text(ctx, email, code) })
		switch {
		case err != nil:
			return err
		case wait > 0:
			retryAfter(w.Header(), wait)
			f.Field, f.Error = "email", tooMany
			return s.showAddressForm(w, http.StatusTooManyRequests, f)
		}
		f.Sent, f.Email = true, email
		return s.showAddressForm(w, http.StatusOK, f)
	}
}

// findUser is the user who has an address, nil if nobody has it.
func (s *server) findUser(ctx context.Context, email string) (*store.User, error) {
	user, err := s.store.FindUserByEmail(ctx, email)
	if db.IsNotFound(err) {
		return nil, nil
	}
	return &user, err
}

func (s *server) signUpMail(ctx context.Context, email, code string) (*Message, error) {
	user, err := s.findUser(ctx, email)
	switch {
	case err != nil:
		return nil, err
	case user != nil:
		return &Message{email, "You have an account already", fmt.Sprintf(
			"Somebody, probably you, wanted to create an account with this e-mail address.\nYou have one already. Sign in at\n\n    %s/signin\n\nIf you have forgotten your password, choose a new one at\n\n    %s%s\n",
			s.issuer, s.issuer, resetPath,
		)}, nil
	}
	return &Message{email, "Your code: " + grouped(code), fmt.Sprintf(
		"Enter this code to create your account:\n\n    %s\n\nIt can be used once, within %d minutes. Nobody but you needs it: don't pass it on.\nIf you didn't ask for it, ignore this mail.\n",
		grouped(code), int(codeLifetime.Minutes()),
	)}, nil
}

func (s *server) resetMail(ctx context.Context, email, code string) (*Message, error) {
	user, err := s.findUser(ctx, email)
	if err != nil || user == nil || user.SuspendedAt != nil {
		return nil, err
	}
	return &Message{email, "Your code: " + grouped(code), fmt.Sprintf(
		"Enter this code to choose a new password:\n\n    %s\n\nIt can be used once, within %d minutes. Nobody but you needs it: don't pass it on.\nIf you didn't ask for it, ignore this mail: your password stays as it is.\n",
		grouped(code), int(codeLifetime.Minutes()),
	)}, nil
}

// finish checks all that it can before the code, which is accepted once, and signs the user in.
func (s *server) finish(newUser bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		f, err := s.addressFormOf(w, r, newUser)
		if err != nil {
			return err
		}
		f.Sent = true
		refuse := func(status int, field, why string) error {
			f.Field, f.Error = field, why
			return s.showAddressForm(w, status, f)
		}
		email, ok := mailAddress(f.Email)
		if !ok {
			f.Sent = false
			return refuse(http.StatusUnprocessableEntity, "email", "Enter an e-mail address, such as ada@example.com.")
		}
		password := r.PostFormValue("password")
		switch {
		case newUser && (f.Name == "" || utf8.RuneCountInString(f.Name) > maxNameLength || f.Name != storable(f.Name, len(f.Name))):
			return refuse(http.StatusUnprocessableEntity, "name", fmt.Sprintf("Enter your name, in up to %d characters.", maxNameLength))
		case utf8.RuneCountInString(password) < minPasswordLength || len(password) > maxPasswordLength:
			return refuse(http.StatusUnprocessableEntity, "password", fmt.Sprintf("Choose a password of %d characters at least. A few words make a good one.", minPasswordLength))
		}
		purpose := resetPurpose
		if newUser {
			purpose = signUpPurpose
		}
		problem, err := s.redeemCode(ctx, purpose, email, f.Code)
		switch {
		case err != nil:
			return err
		case problem == tooMany:
			return refuse(http.StatusTooManyRequests, "code", problem)
		case problem != "":
			return refuse(http.StatusUnprocessableEntity, "code", problem)
		}
		hash, err := s.passwords.hash(ctx, password)
		if err != nil {
			return err
		}
		var user store.UserID
		if newUser {
			user, err = s.createUser(ctx, f.Name, email, hash)
		} else {
			user, err = s.changePassword(ctx, email, hash)
		}
		switch {
		case errors.Is(err, errAddressTaken):
			return refuse(http.StatusConflict, "code", "This address has got an account meanwhile. Sign in.")
		case db.IsNotFound(err):
			return refuse(http.StatusUnprocessableEntity, "code", "This account is gone.")
		case err != nil:
			return err
		}
		next, outcome, err := s.enter(w, r, user, mailedCode, f.destination)
		switch {
		case err != nil:
			return err
		case next == "":
			s.logger.LogAttrs(ctx, slog.LevelInfo, "not signed in after a code", slog.String("outcome", string(outcome)))
			return refuse(http.StatusForbidden, "code", suspended)
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
}

var errAddressTaken = errors.New("somebody has this e-mail address")

// createUser creates a user whose address is verified, with a password.
func (s *server) createUser(ctx context.Context, name, email, hash string) (store.UserID, error) {
	id := store.NewUserID()
	err := db.InTx(ctx, s.pool, db.TxOptions{}, func(tx pgx.Tx) error {
		q := s.store.WithTx(tx)
		if _, err := q.CreateUser(ctx, store.CreateUserParams{ID: id, Name: name, Email: &email, EmailVerified: true}); err != nil {
			return err
		}
		return addPassword(ctx, q, id, hash)
	})
	if db.Violates(err, store.ConstraintUserEmailUIdx) {
		return "", errAddressTaken
	}
	return id, err
}

// changePassword sets the password of the user who has an address, and ends whatever somebody else may have begun with the old one: all sessions,
// and all that apps were granted. If nobody had verified the address before, passkeys and the second
// factor go too: they are somebody else's. Else the second factor stays: a mailbox alone doesn't get anybody in.
func (s *server) changePassword(ctx context.Context, email, hash string) (store.UserID, error) {
	user, err := s.store.FindUserByEmail(ctx, email)
	if err != nil {
		return "", err
	}
	err = db.InTx(ctx, s.pool, db.TxOptions{}, func(tx pgx.Tx) error {
		q := s.store.WithTx(tx)
		// The user's row comes first, as in every call.
		if _, err := q.EndUserSessions(ctx, store.EndUserSessionsParams{UserID: user.ID}); err != nil {
			return err
		}
		if _, err := q.RevokeUserAuthorizations(ctx, user.ID); err != nil {
			return err
		}
		if !user.EmailVerified {
			if _, err := q.UpdateUser(ctx, store.UpdateUserParams{ID: user.ID, EmailVerified: new(true)}); err != nil {
				return err
			}
			keys, err := q.ListUserPasskeys(ctx, user.ID)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if _, err := q.DeletePasskey(ctx, store.DeletePasskeyParams{ID: key.ID, UserID: user.ID}); err != nil {
					return err
				}
			}
			if err := deleteSecondFactor(ctx, q, user.ID); err != nil {
				return err
			}
		}
		_, err := q.UpdateAccountPassword(ctx, store.UpdateAccountPasswordParams{UserID: user.ID, Password: hash})
		if db.IsNotFound(err) { // has signed in by other means so far
			err = addPassword(ctx, q, user.ID, hash)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if err := s.forgiveGuesses(ctx, email); err != nil {
		return "", err
	}
	s.outbox.post(func(context.Context) (*Message, error) {
		return &Message{email, "Your password was changed", fmt.Sprintf(
			"Your password was changed, and you are signed out everywhere else.\nApps have lost their access until you allow it again.\n\nIf that wasn't you, choose a new password at\n\n    %s%s\n",
			s.issuer, resetPath,
		)}, nil
	})
	return user.ID, nil
}

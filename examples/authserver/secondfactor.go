package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const (
	secondPath       = "/signin/second"
	secondFactorPath = "/account/second-factor"

	secondLifetime = 5 * time.Minute // between the password and the code
	secondAttempts = 5               // of a user, in secondWindow
	secondWindow   = 5 * time.Minute
	setUpLifetime  = 15 * time.Minute

	recoveryCodes      = 10
	recoveryCodeLength = 16 // of base32: 80 bits
	stepTolerance      = 1  // steps of 30 seconds that an app's clock may be off

	pendingSignIn, newTOTP, storedTOTP = "pending sign-in", "new authenticator app", "authenticator app" // what is sealed
)

// pending is a sign-in that lacks the second factor. The browser carries it, sealed.
type pending struct {
	User   store.UserID
	AMR    []string
	Epoch  int64 // a new password or a sign-out everywhere in between ends it
	Expire time.Time
}

func (s *server) pendingCookie() cookie {
	return cookie{name: strings.Replace(s.cookie.name, "session", "second", 1), secure: s.cookie.secure}
}

// enter signs a user in who has shown one factor, or asks for the second. Where it leads is empty if the user is not one to sign in, which
// the outcome says then.
func (s *server) enter(w http.ResponseWriter, r *http.Request, user store.UserID, amr []string, to destination) (string, store.Outcome, error) {
	apps, err := s.store.ListUserTOTPs(r.Context(), user)
	if err != nil {
		return "", "", err
	}
	if len(apps) > 0 {
		row, err := s.store.GetUser(r.Context(), user)
		switch {
		case db.IsNotFound(err):
			return "", store.OutcomeUnknown, nil
		case err != nil:
			return "", "", err
		}
		sealed, err := s.sealer.seal(pendingSignIn, pending{user, amr, row.SessionsEpoch, time.Now().Add(secondLifetime)})
		if err != nil {
			return "", "", err
		}
		s.pendingCookie().set(w, sealed, int(secondLifetime.Seconds()))
		return to.At(secondPath), "", nil
	}
	outcome, err := s.begin(w, r, user, amr)
	if err != nil || outcome != store.OutcomeCreated && outcome != store.OutcomeAuthenticated {
		return "", outcome, err
	}
	return to.next(), outcome, nil
}

// pendingOf is the sign-in that a browser has begun, nil if there is none any more.
func (s *server) pendingOf(r *http.Request) (*pending, error) {
	c, err := r.Cookie(s.pendingCookie().name)
	if err != nil {
		return nil, nil
	}
	p := &pending{}
	if s.sealer.open(pendingSignIn, c.Value, p) != nil || time.Now().After(p.Expire) {
		return nil, nil
	}
	user, err := s.store.GetUser(r.Context(), p.User)
	switch {
	case db.IsNotFound(err), err == nil && user.SessionsEpoch != p.Epoch:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return p, nil
}

type secondForm struct {
	destination
	Error string
}

// second asks for the code, and takes it.
func (s *server) second(w http.ResponseWriter, r *http.Request) error {
	form := secondForm{destination: destinationOf(r)}
	if form.ID != "" {
		if _, _, err := s.awaited(w.Header(), r, form.ID); err != nil {
			return err
		}
	}
	p, err := s.pendingOf(r)
	switch {
	case err != nil:
		return err
	case p == nil:
		http.Redirect(w, r, form.At("/signin"), http.StatusSeeOther)
		return nil
	}
	show := func(status int, why string) error {
		form.Error = why
		return s.pages.show(w, status, "second", page{Title: "Second step", Data: form})
	}
	if r.Method != http.MethodPost {
		return show(http.StatusOK, "")
	}
	outcome, wait, err := s.useSecondFactor(r, p.User, r.PostFormValue("code"))
	switch {
	case err != nil:
		return err
	case wait > 0:
		retryAfter(w.Header(), wait)
		return show(http.StatusTooManyRequests, tooMany)
	case outcome == store.OutcomeSuspended:
		return show(http.StatusForbidden, suspended)
	case outcome == store.OutcomeSpent:
		return show(http.StatusUnprocessableEntity, "This code was used already. Wait for the next one.")
	case outcome != store.OutcomeAccepted:
		return show(http.StatusUnprocessableEntity, "That is not the code of your app now.")
	}
	switch outcome, err := s.begin(w, r, p.User, withSecond(p.AMR)); {
	case err != nil:
		return err
	case outcome == store.OutcomeSuspended:
		return show(http.StatusForbidden, suspended)
	}
	s.pendingCookie().set(w, "", expireNow)
	http.Redirect(w, r, form.next(), http.StatusSeeOther)
	return nil
}

// withSecond is how somebody has signed in who has shown an app's code as well (RFC 8176).
func withSecond(amr []string) []string {
	for _, more := range []string{"otp", "mfa"} {
		if !slices.Contains(amr, more) {
			amr = append(slices.Clip(amr), more)
		}
	}
	return amr
}

// useSecondFactor counts the attempt and takes an app's code or a recovery code, each once.
func (s *server) useSecondFactor(r *http.Request, user store.UserID, text string) (store.Outcome, time.Duration, error) {
	ctx, subject, address := r.Context(), token.DigestOf(string(user)), new(s.address(r).String())
	wait, err := s.count(ctx, limit{"second-factor", subject, secondAttempts, secondWindow})
	if err != nil || wait > 0 {
		return "", wait, err
	}
	code, outcome := typedCode(text), store.OutcomeMismatched
	if len(code) < recoveryCodeLength {
		apps, err := s.store.ListUserTOTPs(ctx, user)
		if err != nil {
			return "", 0, err
		}
		for _, app := range apps {
			var secret string
			if s.sealer.open(storedTOTP, app.Secret, &secret) != nil {
				continue // another server's
			}
			steps := stepsOf(code, secret, app.Algorithm, app.Digits, app.Period, s.clock())
			if len(steps) == 0 {
				continue
			}
			if outcome, err = s.store.UseTOTP(ctx, store.UseTOTPParams{ID: app.ID, UserID: user, Steps: steps, IPAddress: address}); err != nil {
				return "", 0, err
			}
			break
		}
	} else {
		used, err := s.store.UseRecoveryCode(ctx, store.UseRecoveryCodeParams{Digest: token.DigestOf(strings.ToUpper(code)), UserID: user, IPAddress: address})
		if err != nil {
			return "", 0, err
		}
		outcome = used.Outcome
	}
	if outcome == store.OutcomeAccepted {
		_, err = s.store.ResetAttempts(ctx, store.ResetAttemptsParams{Purpose: "second-factor", Subject: subject})
	}
	return outcome, 0, err
}

// stepsOf are all time steps around now that a code fits (RFC 6238, section 5.2).
func stepsOf(code, secret, algorithm string, digits, period int32, now time.Time) []int64 {
	o := hotp.ValidateOpts{Digits: otp.Digits(digits)}
	switch algorithm {
	case "SHA256":
		o.Algorithm = otp.AlgorithmSHA256
	case "SHA512":
		o.Algorithm = otp.AlgorithmSHA512
	}
	var steps []int64
	present := now.Unix() / int64(period)
	for step := present - stepTolerance; step <= present+stepTolerance; step++ {
		if fits, err := hotp.ValidateCustom(code, uint64(step), secret, o); err == nil && fits {
			steps = append(steps, step)
		}
	}
	return steps
}

// secondFactorView is what the page shows: whether there is a second step, and how to set it up or what was just set up.
type secondFactorView struct {
	Apps      []store.TOTP
	CodesLeft int
	Recent    bool // the user has signed in a moment ago, and may change it

	QR     template.URL // of the secret
	Secret string
	Sealed string
	Error  string

	Codes []string // new recovery codes, shown once
	Done  string
}

var secondFactorDone = map[string]string{"removed": "Your password is enough to sign in again."}

var signInForSecondFactor = destination{Page: "second-factor"}.At("/signin")

func (s *server) secondFactorPage(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	switch {
	case err != nil:
		return err
	case session == nil:
		http.Redirect(w, r, signInForSecondFactor, http.StatusSeeOther)
		return nil
	}
	return s.showSecondFactor(w, r, http.StatusOK, session, secondFactorView{Done: secondFactorDone[r.FormValue("done")]})
}

func (s *server) showSecondFactor(w http.ResponseWriter, r *http.Request, status int, session *store.FindSessionByTokenRow, v secondFactorView) error {
	var err error
	if v.Apps, err = s.store.ListUserTOTPs(r.Context(), session.User.ID); err != nil {
		return err
	}
	codes, err := s.store.ListUserRecoveryCodes(r.Context(), session.User.ID)
	if err != nil {
		return err
	}
	for _, c := range codes {
		if c.UsedAt == nil {
			v.CodesLeft++
		}
	}
	v.Recent = isRecent(session)
	if len(v.Apps) == 0 && v.Recent {
		if err := s.offerTOTP(session.User, &v); err != nil {
			return err
		}
	}
	return s.pages.show(w, status, "secondfactor", page{Title: "Two-step sign-in", User: &session.User, Data: v})
}

// offered is a secret that its user may take. The page carries it, sealed.
type offered struct {
	User   store.UserID
	Secret string
	Expire time.Time
}

// offerTOTP makes a secret, unless there is one already, and shows it.
func (s *server) offerTOTP(user store.User, v *secondFactorView) error {
	var known offered
	o := totp.GenerateOpts{Issuer: "Lovelace ID", AccountName: addressOf(user)}
	if v.Sealed != "" && s.sealer.open(newTOTP, v.Sealed, &known) == nil && known.User == user.ID {
		secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(known.Secret)
		if err != nil {
			return err
		}
		o.Secret = secret
	}
	key, err := totp.Generate(o)
	if err != nil {
		return err
	}
	if o.Secret == nil {
		if v.Sealed, err = s.sealer.seal(newTOTP, offered{user.ID, key.Secret(), time.Now().Add(setUpLifetime)}); err != nil {
			return err
		}
	}
	picture, err := key.Image(200, 200)
	if err != nil {
		return err
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		return err
	}
	v.QR = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(encoded.Bytes()))
	v.Secret = inFours(key.Secret())
	return nil
}

// inFours is a text as people copy it.
func inFours(text string) string {
	var groups []string
	for group := range slices.Chunk([]byte(text), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

// setUpSecondFactor stores the secret once the user has shown a first code, and shows recovery codes. Other sessions have begun without the
// second step, so they end.
func (s *server) setUpSecondFactor(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	switch {
	case err != nil:
		return err
	case session == nil || !isRecent(session):
		http.Redirect(w, r, signInForSecondFactor, http.StatusSeeOther)
		return nil
	}
	ctx, user := r.Context(), session.User.ID
	v := secondFactorView{Sealed: r.PostFormValue("secret")}
	var offer offered
	if s.sealer.open(newTOTP, v.Sealed, &offer) != nil || offer.User != user || time.Now().After(offer.Expire) {
		return s.showSecondFactor(w, r, http.StatusUnprocessableEntity, session, secondFactorView{Error: "That took too long. Scan the new code."})
	}
	wait, err := s.count(ctx, limit{"second-factor-set-up", token.DigestOf(string(user)), 2 * secondAttempts, secondWindow})
	switch {
	case err != nil:
		return err
	case wait > 0:
		retryAfter(w.Header(), wait)
		v.Error = tooMany
		return s.showSecondFactor(w, r, http.StatusTooManyRequests, session, v)
	}
	steps := stepsOf(typedCode(r.PostFormValue("code")), offer.Secret, "SHA1", 6, 30, s.clock())
	if len(steps) == 0 {
		v.Error = "That is not the code of your app now."
		return s.showSecondFactor(w, r, http.StatusUnprocessableEntity, session, v)
	}
	sealed, err := s.sealer.seal(storedTOTP, offer.Secret)
	if err != nil {
		return err
	}
	// The codes come first: nobody is to be left with an app and no way around it.
	codes, err := s.newRecoveryCodes(ctx, user)
	if err != nil {
		return err
	}
	created, err := s.store.CreateTOTP(ctx, store.CreateTOTPParams{
		ID: store.NewTOTPID(), UserID: user, Name: new("Authenticator app"), Secret: sealed, LastStep: new(slices.Max(steps)),
	})
	switch {
	case err != nil:
		return err
	case created != store.OutcomeCreated:
		s.pages.fail(w, r, http.StatusForbidden, "That did not work", suspended)
		return nil
	}
	if _, err := s.store.EndUserSessions(ctx, store.EndUserSessionsParams{UserID: user, Keep: &session.Session.ID}); err != nil {
		return err
	}
	_, err = s.store.ReauthenticateSession(ctx, store.ReauthenticateSessionParams{ID: session.Session.ID, UserID: user, AMR: withSecond(session.Session.AMR)})
	if err != nil {
		return err
	}
	return s.showSecondFactor(w, r, http.StatusOK, session, secondFactorView{Codes: codes, Done: "From now on, signing in takes a code of your app as well."})
}

var errNoRecoveryCodes = errors.New("the user gets no recovery codes")

// newRecoveryCodes replaces a user's.
func (s *server) newRecoveryCodes(ctx context.Context, user store.UserID) ([]string, error) {
	codes, digests := make([]string, recoveryCodes), make(token.Digests, recoveryCodes)
	for i := range codes {
		code := rand.Text()[:recoveryCodeLength] // base32
		codes[i], digests[i] = inFours(code), token.DigestOf(code)
	}
	replaced, err := s.store.ReplaceRecoveryCodes(ctx, store.ReplaceRecoveryCodesParams{UserID: user, Digests: digests})
	if err == nil && replaced.Outcome != store.OutcomeReplaced {
		err = fmt.Errorf("%w: %s", errNoRecoveryCodes, replaced.Outcome)
	}
	return codes, err
}

// replaceRecoveryCodes shows new ones.
func (s *server) replaceRecoveryCodes(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	switch {
	case err != nil:
		return err
	case session == nil || !isRecent(session):
		http.Redirect(w, r, signInForSecondFactor, http.StatusSeeOther)
		return nil
	}
	codes, err := s.newRecoveryCodes(r.Context(), session.User.ID)
	if err != nil {
		return err
	}
	return s.showSecondFactor(w, r, http.StatusOK, session, secondFactorView{Codes: codes, Done: "The earlier codes are of no use any more."})
}

// removeSecondFactor takes the app and its recovery codes away.
func (s *server) removeSecondFactor(w http.ResponseWriter, r *http.Request) error {
	return s.withSession(w, r, func(session *store.FindSessionByTokenRow) (string, error) {
		if !isRecent(session) {
			return signInForSecondFactor, nil
		}
		return secondFactorPath + "?done=removed", deleteSecondFactor(r.Context(), s.store, session.User.ID)
	})
}

func deleteSecondFactor(ctx context.Context, q *store.Queries, user store.UserID) error {
	apps, err := q.ListUserTOTPs(ctx, user)
	if err != nil {
		return err
	}
	for _, app := range apps {
		if _, err := q.DeleteTOTP(ctx, store.DeleteTOTPParams{ID: app.ID, UserID: user}); err != nil {
			return err
		}
	}
	_, err = q.DeleteRecoveryCodes(ctx, user)
	return err
}

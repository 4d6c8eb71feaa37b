package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/oauthdb/oauthdb/db"
	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

const (
	passkeysPath      = "/account/passkeys"
	passkeySignInPath = "/signin/passkey"

	signInChallenge   = "passkey-sign-in"
	passkeyChallenge  = "passkey-registration"
	challengeLifetime = 5 * time.Minute
	challengeAttempts = 20
)

// passkeyAlone is how somebody has signed in who has shown a passkey, which has asked for a PIN or a finger (RFC 8176).
var passkeyAlone = []string{"pop", "mfa"}

// newPasskeys is nil for an issuer that is an address: passkeys are for a domain (WebAuthn Level 3, section 4, relying party identifier).
func newPasskeys(issuer string) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil, nil
	}
	return webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Lovelace ID", RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
	})
}

// keyHolder is a user as the library wants to see one.
type keyHolder struct {
	handle []byte
	user   store.User
	keys   []store.Passkey
}

func (k keyHolder) WebAuthnID() []byte          { return k.handle }
func (k keyHolder) WebAuthnName() string        { return addressOf(k.user) }
func (k keyHolder) WebAuthnDisplayName() string { return k.user.Name }
func (k keyHolder) WebAuthnCredentials() []webauthn.Credential {
	credentials := make([]webauthn.Credential, 0, len(k.keys))
	for _, key := range k.keys {
		id, err := base64.RawURLEncoding.DecodeString(string(key.ID))
		if err != nil {
			continue
		}
		public, err := base64.StdEncoding.DecodeString(key.PublicKey)
		if err != nil {
			continue // another server's, in a notation of its own
		}
		c := webauthn.Credential{
			ID: id, PublicKey: public, Flags: webauthn.CredentialFlags{BackupEligible: key.BackupEligible, BackupState: key.BackedUp},
		}
		for _, transport := range key.Transports {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(transport))
		}
		credentials = append(credentials, c)
	}
	return credentials
}

// userHandle stands for a user in an authenticator, and says nothing of who it is (WebAuthn Level 3, section 14.6.1).
func userHandle(user store.UserID) []byte {
	handle := sha256.Sum256([]byte("passkey of " + user))
	return handle[:]
}

func passkeyID(credential []byte) store.PasskeyID {
	return store.PasskeyID(base64.RawURLEncoding.EncodeToString(credential))
}

// remember keeps what the library has to know when the browser answers. The challenge is a code that is redeemed once.
func (s *server) remember(r *http.Request, purpose string, subject token.Digest, data *webauthn.SessionData) error {
	encoded, err := json.Marshal(data)
	if err != nil {
		return err
	}
	_, err = s.store.CreateOneTimeCode(r.Context(), store.CreateOneTimeCodeParams{
		Purpose: purpose, Subject: subject, Digest: token.DigestOf(data.Challenge), Lifetime: challengeLifetime, Data: encoded,
	})
	return err
}

// recall is nil where no such challenge waits.
func (s *server) recall(r *http.Request, purpose string, subject token.Digest, challenge string) (*webauthn.SessionData, error) {
	row, err := s.store.RedeemOneTimeCode(r.Context(), store.RedeemOneTimeCodeParams{
		Purpose: purpose, Subject: subject, Digest: token.DigestOf(challenge), MaxAttempts: challengeAttempts, AttemptWindow: challengeLifetime,
	})
	if err != nil || row.Outcome != store.OutcomeAccepted {
		return nil, err
	}
	data := &webauthn.SessionData{}
	return data, json.Unmarshal(row.Data, data)
}

func answerJSON(w http.ResponseWriter, status int, answer any) error {
	encoded, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // whoever asked may have gone
	return nil
}

// told is what the page's script gets.
type told struct {
	Location string `json:"location,omitempty"`
	Error    string `json:"error,omitempty"`
}

// challengeCookie names a browser that has not signed in.
func (s *server) challengeCookie() cookie {
	return cookie{name: strings.Replace(s.cookie.name, "session", "passkey", 1), secure: s.cookie.secure}
}

// passkeySignInOptions are what the browser asks its passkeys with. It doesn't say who is to sign in: the passkey knows.
func (s *server) passkeySignInOptions(w http.ResponseWriter, r *http.Request) error {
	wait, err := s.count(r.Context(), limit{"password-network", networkSubject(s.address(r)), attemptsPerNetwork, networkWindow})
	switch {
	case err != nil:
		return err
	case wait > 0:
		retryAfter(w.Header(), wait)
		return answerJSON(w, http.StatusTooManyRequests, told{Error: tooMany})
	}
	options, data, err := s.passkeys.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return err
	}
	browser := token.Mint(token.SessionToken)
	if err := s.remember(r, signInChallenge, browser.Digest(), data); err != nil {
		return err
	}
	s.challengeCookie().set(w, browser.Reveal(), int(challengeLifetime.Seconds()))
	return answerJSON(w, http.StatusOK, options)
}

// passkeySignIn verifies what a passkey has signed, and lets the database decide about its counter.
func (s *server) passkeySignIn(w http.ResponseWriter, r *http.Request) error {
	refuse := func(status int, why string) error { return answerJSON(w, status, told{Error: why}) }
	const not = "That did not work. Try again, or sign in with your password."
	sent, err := protocol.ParseCredentialRequestResponseBody(r.Body)
	if err != nil {
		return refuse(http.StatusBadRequest, not)
	}
	name := s.challengeCookie()
	browser, err := r.Cookie(name.name)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, not)
	}
	data, err := s.recall(r, signInChallenge, token.DigestOf(browser.Value), sent.Response.CollectedClientData.Challenge)
	switch {
	case err != nil:
		return err
	case data == nil:
		return refuse(http.StatusUnprocessableEntity, "That took too long. Try again.")
	}
	name.set(w, "", expireNow)

	var failed error // of the database
	find := func(id, handle []byte) (webauthn.User, error) {
		found, err := s.store.FindPasskey(r.Context(), passkeyID(id))
		if err != nil {
			if !db.IsNotFound(err) {
				failed = err
			}
			return nil, err
		}
		// The credential's id says whose it is, and its key proves it; another server's handle for the user is as good as ours.
		return keyHolder{handle, found.User, []store.Passkey{found.Passkey}}, nil
	}
	_, _, err = s.passkeys.ValidatePasskeyLogin(find, *data, sent)
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return refuse(http.StatusUnprocessableEntity, not)
	}
	used, err := s.store.UsePasskey(r.Context(), store.UsePasskeyParams{
		ID: passkeyID(sent.RawID), SignCount: int64(sent.Response.AuthenticatorData.Counter),
		BackedUp: sent.Response.AuthenticatorData.Flags.HasBackupState(), IPAddress: new(s.address(r).String()),
	})
	switch {
	case err != nil:
		return err
	case used.Outcome == store.OutcomeRegressed:
		s.logger.LogAttrs(r.Context(), slog.LevelWarn, "a passkey's counter has not grown: there may be a copy", slog.String("passkey_id", string(passkeyID(sent.RawID))))
		return refuse(http.StatusUnprocessableEntity, "There may be a copy of this passkey, so it is not accepted. Sign in with your password, and remove it.")
	case used.Outcome == store.OutcomeSuspended:
		return refuse(http.StatusForbidden, suspended)
	case used.Outcome != store.OutcomeAccepted:
		return refuse(http.StatusUnprocessableEntity, not)
	}
	switch outcome, err := s.begin(w, r, *used.UserID, passkeyAlone); {
	case err != nil:
		return err
	case outcome == store.OutcomeSuspended:
		return refuse(http.StatusForbidden, suspended)
	case outcome == store.OutcomeUnknown:
		return refuse(http.StatusUnprocessableEntity, not)
	}
	return answerJSON(w, http.StatusOK, told{Location: destinationOf(r).next()})
}

type passkeyList struct {
	Passkeys []store.Passkey
	Recent   bool // the user has signed in a moment ago, and may change them
	Done     string
}

var passkeysDone = map[string]string{
	"added":   "You can sign in with this passkey from now on.",
	"removed": "Nobody can sign in with that passkey any more.",
}

// signInForPasskeys is where somebody goes who has signed in too long ago.
var signInForPasskeys = destination{Page: "passkeys"}.At("/signin")

func (s *server) passkeysPage(w http.ResponseWriter, r *http.Request) error {
	session, err := s.session(w, r)
	switch {
	case err != nil:
		return err
	case session == nil:
		http.Redirect(w, r, signInForPasskeys, http.StatusSeeOther)
		return nil
	}
	list := passkeyList{Recent: isRecent(session), Done: passkeysDone[r.FormValue("done")]}
	if list.Passkeys, err = s.store.ListUserPasskeys(r.Context(), session.User.ID); err != nil {
		return err
	}
	allowScript(w.Header())
	return s.pages.show(w, http.StatusOK, "passkeys", page{Title: "Passkeys", User: &session.User, Data: list})
}

// recentSession is one in which the user may change how to sign in; nil, and an answer is given, where it isn't.
func (s *server) recentSession(w http.ResponseWriter, r *http.Request) (*store.FindSessionByTokenRow, error) {
	session, err := s.session(w, r)
	if err != nil {
		return nil, err
	}
	if session == nil || !isRecent(session) {
		return nil, answerJSON(w, http.StatusForbidden, told{Location: signInForPasskeys, Error: "Sign in again first."})
	}
	return session, nil
}

// newPasskeyOptions are what the browser makes a passkey with.
func (s *server) newPasskeyOptions(w http.ResponseWriter, r *http.Request) error {
	session, err := s.recentSession(w, r)
	if session == nil {
		return err
	}
	keys, err := s.store.ListUserPasskeys(r.Context(), session.User.ID)
	if err != nil {
		return err
	}
	holder := keyHolder{userHandle(session.User.ID), session.User, keys}
	options, data, err := s.passkeys.BeginRegistration(holder, webauthn.WithExclusions(webauthn.Credentials(holder.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return err
	}
	if err := s.remember(r, passkeyChallenge, token.DigestOf(string(session.Session.ID)), data); err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, options)
}

// newPasskey stores what the browser has made.
func (s *server) newPasskey(w http.ResponseWriter, r *http.Request) error {
	session, err := s.recentSession(w, r)
	if session == nil {
		return err
	}
	refuse := func(status int, why string) error { return answerJSON(w, status, told{Error: why}) }
	sent, err := protocol.ParseCredentialCreationResponseBody(r.Body)
	if err != nil {
		return refuse(http.StatusBadRequest, "That is not a passkey that this page understands.")
	}
	data, err := s.recall(r, passkeyChallenge, token.DigestOf(string(session.Session.ID)), sent.Response.CollectedClientData.Challenge)
	switch {
	case err != nil:
		return err
	case data == nil || !bytes.Equal(data.UserID, userHandle(session.User.ID)):
		return refuse(http.StatusUnprocessableEntity, "That took too long. Try again.")
	}
	credential, err := s.passkeys.CreateCredential(keyHolder{userHandle(session.User.ID), session.User, nil}, *data, sent)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "That is not a passkey that this page understands.")
	}
	p := store.CreatePasskeyParams{
		UserID: session.User.ID, ID: passkeyID(credential.ID), Name: new("Passkey of " + deviceOf(r.UserAgent())),
		PublicKey: base64.StdEncoding.EncodeToString(credential.PublicKey), SignCount: new(int64(credential.Authenticator.SignCount)),
		BackupEligible: credential.Flags.BackupEligible, BackedUp: credential.Flags.BackupState, Transports: []string{},
	}
	for _, transport := range credential.Transport {
		p.Transports = append(p.Transports, string(transport))
	}
	if id := credential.Authenticator.AAGUID; len(id) > 0 {
		if model, err := uuid.FromBytes(id); err == nil {
			p.AAGUID = new(model.String())
		}
	}
	created, err := s.store.CreatePasskey(r.Context(), p)
	switch {
	case err != nil:
		return err
	case created == store.OutcomeTaken:
		return refuse(http.StatusConflict, "This passkey is registered already.")
	case created != store.OutcomeCreated:
		return refuse(http.StatusForbidden, suspended)
	}
	return answerJSON(w, http.StatusOK, told{Location: passkeysPath + "?done=added"})
}

// removePasskey is a form: it needs no script.
func (s *server) removePasskey(w http.ResponseWriter, r *http.Request) error {
	return s.withSession(w, r, func(session *store.FindSessionByTokenRow) (string, error) {
		if !isRecent(session) {
			return signInForPasskeys, nil
		}
		id := store.PasskeyID(storable(r.PostFormValue("passkey_id"), 2048))
		// Whether another tab was faster makes no difference.
		_, err := s.store.DeletePasskey(r.Context(), store.DeletePasskeyParams{ID: id, UserID: session.User.ID})
		return passkeysPath + "?done=removed", err
	})
}

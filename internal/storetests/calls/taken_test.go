package calls

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
	"github.com/oauthdb/oauthdb/store"
)

// A call that answers an outcome, and whose id or code is that of something else or had been written by the same call before, says so and
// changes nothing. The ids of tokens are another matter: see TestOtherTokensUnderTheSameIDsAreNoRetry.
func TestWhatIsTakenIsAnOutcomeAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	want := func(what string, outcome store.Outcome, err error) {
		t.Helper()
		if err != nil || outcome != store.OutcomeTaken {
			t.Errorf("%s: %s, %v, want taken", what, outcome, err)
		}
	}
	another := w.NewUser()

	s := store.CreateSessionParams{ID: store.NewSessionID(), UserID: w.User, Token: fixture.Digest("session"), Lifetime: time.Hour}
	_, err := w.Q.CreateSession(w.Ctx, s)
	w.OK(err)
	app, key := w.createTOTP(nil), w.createPasskey(nil)
	code, _ := w.Grant()
	device := w.NewClient(func(p *store.CreateClientParams) { p.GrantTypes = []string{deviceGrant, cibaGrant} })
	polled := w.forSubtest(t)
	polled.Client = device
	d := polled.device()
	b := polled.backchannelParams("a request")
	_, err = w.Q.CreateBackchannelAuthentication(w.Ctx, b)
	w.OK(err)
	w.newKey(w.Q, w.Exec, "old", "ES256", "9 days", "")
	w.newKey(w.Q, w.Exec, "retired", "ES256", "1 hour", "1 hour")
	w.Unchanged(func() {
		for name, change := range map[string]func(*store.CreateSessionParams){
			"the same session":                         func(*store.CreateSessionParams) {},
			"the id of another session":                func(p *store.CreateSessionParams) { p.Token = fixture.Digest("other") },
			"the token of another session":             func(p *store.CreateSessionParams) { p.ID = store.NewSessionID() },
			"the id of another user's session":         func(p *store.CreateSessionParams) { p.UserID = another },
			"the same session, where no other fits in": func(p *store.CreateSessionParams) { p.MaxSessions = 1 },
		} {
			p := s
			change(&p)
			row, err := w.Q.CreateSession(w.Ctx, p)
			want(name, row.Outcome, err)
			wantEqual(t, name, row, store.CreateSessionRow{Outcome: store.OutcomeTaken})
		}
		for _, user := range []store.UserID{w.User, another} {
			o, err := w.Q.CreateTOTP(w.Ctx, store.CreateTOTPParams{ID: app, UserID: user, Secret: "ciphertext"})
			want("CreateTOTP", o, err)
			o, err = w.Q.CreatePasskey(w.Ctx, store.CreatePasskeyParams{ID: key, UserID: user, PublicKey: "x"})
			want("CreatePasskey", o, err)
		}
		for _, id := range []store.AuthorizationID{code, d.id, b.ID} {
			p := polled.deviceParams(newDevice())
			p.ID = id
			device, err := w.Q.CreateDeviceAuthorization(w.Ctx, p)
			want(fmt.Sprint("CreateDeviceAuthorization with the id ", id), device.Outcome, err)
			wantEqual(t, "row", device, store.CreateDeviceAuthorizationRow{Outcome: store.OutcomeTaken})
			q := polled.backchannelParams(fixture.Unique("a request"))
			q.ID = id
			backchannel, err := w.Q.CreateBackchannelAuthentication(w.Ctx, q)
			want(fmt.Sprint("CreateBackchannelAuthentication with the id ", id), backchannel.Outcome, err)
			wantEqual(t, "row", backchannel, store.CreateBackchannelAuthenticationRow{Outcome: store.OutcomeTaken})
			r := w.RequestParams()
			r.ID = id
			request, err := w.Q.CreateAuthorization(w.Ctx, r)
			want(fmt.Sprint("CreateAuthorization with the id ", id), request.Outcome, err)
			g := w.GrantParams(fixture.Unique("code"))
			g.ID = id
			o, err := w.Q.GrantAuthorization(w.Ctx, g)
			want(fmt.Sprint("GrantAuthorization with the id ", id), o, err)
		}
		for _, id := range []store.SigningKeyID{"old", "retired"} {
			row, err := w.Q.RotateSigningKeyIfDue(w.Ctx, store.RotateSigningKeyIfDueParams{ID: id, PublicKey: "{}", PrivateKey: "x", Alg: "ES256", MaxAge: time.Hour})
			want("RotateSigningKeyIfDue", row.Outcome, err)
			wantEqual(t, "id", row.ID, id)
		}
	})
}

// A sign-in that is sent twice at once is one session, and where no other fits in, it isn't ended by its own repetition.
func TestSameSignInTwiceAtOnceIsOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	for round := range 10 {
		p := store.CreateSessionParams{
			ID: store.NewSessionID(), UserID: w.User, Token: fixture.Digest(fixture.Unique("session")), Lifetime: time.Hour, MaxSessions: 1,
		}
		rows, errs := make([]store.CreateSessionRow, 4), make([]error, 4)
		fixture.Together(fixture.Times(4, func(i int) { rows[i], errs[i] = w.Q.CreateSession(w.Ctx, p) })...)
		w.OK(errors.Join(errs...))
		created := 0
		for _, r := range rows {
			if r.Outcome == store.OutcomeCreated {
				created++
			} else {
				wantEqual(t, "another one", r, store.CreateSessionRow{Outcome: store.OutcomeTaken})
			}
		}
		wantEqual(t, fmt.Sprintf("round %d: created", round), created, 1)
		wantEqual(t, "live sessions", w.liveSessions(), []store.SessionID{p.ID})
	}
}

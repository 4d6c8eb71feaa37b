package model

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Call is a call of the store, by its name and with its parameters, or a statement of another server.
type Call struct {
	Name   string
	Params any
}

// Answer is what a caller is told, as far as the model knows it too.
type Answer struct {
	Outcome store.Outcome
	Detail  string // the id of a token or family, a number, a list
}

// called is how a call is made, and what it does to the model.
type called struct {
	run    func(context.Context, store.DBTX, any) (Answer, error)
	want   func(*model, any) Answer
	reads  bool // it changes nothing
	grants bool
	ends   bool
}

// mayOvertake says whether what the call decides may rest on what it read before an ending that it overlaps, though it is written after it.
func (c called) mayOvertake(o store.Outcome) bool {
	return c.grants && (given(o) || o == store.OutcomeReplayed)
}

type kind int

const (
	changes kind = iota
	reads
	grants
	ends
)

// Statements of another server (better-auth), beside the calls of the store.
type (
	// ForeignToken is a token that it inserts.
	ForeignToken struct {
		Refresh     bool // else an access token
		ID          string
		Token       token.Digest
		ClientID    store.ClientID
		UserID      store.UserID
		SessionID   *store.SessionID
		Scopes      []string
		CodeID      *store.AuthorizationID
		RefreshedBy *store.RefreshTokenID // of an access token
		Lifetime    time.Duration
	}
	// ForeignSession is a session that it begins.
	ForeignSession struct {
		ID       store.SessionID
		Token    token.Digest
		UserID   store.UserID
		Lifetime time.Duration
	}
	// ForeignConsent is one that it writes.
	ForeignConsent struct {
		ID       store.ConsentID
		ClientID store.ClientID
		UserID   store.UserID
		Scopes   []string
	}
)

// The outcomes of another server's statements.
const (
	inserted store.Outcome = "inserted"
	written  store.Outcome = "written"
	spent    store.Outcome = "spent"
	refused  store.Outcome = "refused"
	gone     store.Outcome = "row deleted"
	nothing  store.Outcome = "nothing"
)

// calls are those that a history may have.
var calls = map[string]called{
	"CreateUser": call(changes, (*store.Queries).CreateUser, func(store.User) Answer { return is_("created") }, func(m *model, p store.CreateUserParams) Answer {
		m.users[p.ID] = &user{}
		return is_("created")
	}),
	"CreateClient": call(changes, (*store.Queries).CreateClient, func(store.OAuthClient) Answer { return is_("created") }, (*model).createClient),

	"CreateAuthorization": call(grants, (*store.Queries).CreateAuthorization,
		func(r store.CreateAuthorizationRow) Answer { return is_(r.Outcome) }, outcome((*model).createAuthorization)),
	"TakeAuthorizationByRequestURI": call(changes, (*store.Queries).TakeAuthorizationByRequestURI,
		func(r store.OAuthAuthorization) Answer { return Answer{"taken", string(r.ID)} },
		func(m *model, p store.TakeAuthorizationByRequestURIParams) Answer {
			if f := m.takeAuthorization(p); f != nil {
				return Answer{"taken", string(f.id)}
			}
			return is_(noRows)
		}),
	"ApproveAuthorization": call(grants, (*store.Queries).ApproveAuthorization,
		func(r store.ApproveAuthorizationRow) Answer { return is_(r.Outcome) }, outcome((*model).approveAuthorization)),
	"DenyAuthorization": call(changes, (*store.Queries).DenyAuthorization,
		func(r store.DenyAuthorizationRow) Answer { return is_(r.Outcome) }, outcome((*model).denyAuthorization)),
	"IssueAuthorizationCode": call(grants, (*store.Queries).IssueAuthorizationCode,
		func(r store.IssueAuthorizationCodeRow) Answer { return is_(r.Outcome) }, outcome((*model).issueAuthorizationCode)),
	"GrantAuthorization": call(grants, (*store.Queries).GrantAuthorization, is_, outcome((*model).grantAuthorization)),

	"RedeemAuthorizationCode": call(grants, (*store.Queries).RedeemAuthorizationCode,
		func(r store.RedeemAuthorizationCodeRow) Answer {
			return giving(r.Outcome, r.AuthorizationID)
		},
		func(m *model, p store.RedeemAuthorizationCodeParams) Answer {
			o := m.redeem(p)
			if f := m.family(func(f *family) bool { return f.code == p.Code }); f != nil && given(o) {
				return Answer{o, string(f.id)}
			}
			return is_(o)
		}),
	"RotateRefreshToken": call(grants, (*store.Queries).RotateRefreshToken,
		func(r store.RotateRefreshTokenRow) Answer { return giving(r.Outcome, r.SuccessorID) },
		func(m *model, p store.RotateRefreshTokenParams) Answer {
			o := m.rotate(p)
			if given(o) {
				return Answer{o, m.tokenByDigest(p.Token).successor.id}
			}
			return is_(o)
		}),
	"IssueAccessToken": call(grants, (*store.Queries).IssueAccessToken,
		func(r store.IssueAccessTokenRow) Answer { return is_(r.Outcome) }, outcome((*model).issueAccessToken)),
	"IssueGrant": call(grants, (*store.Queries).IssueGrant,
		func(r store.IssueGrantRow) Answer { return is_(r.Outcome) }, outcome((*model).issueGrant)),
	"ExchangeToken": call(grants, (*store.Queries).ExchangeToken,
		func(r store.ExchangeTokenRow) Answer { return is_(r.Outcome) }, outcome((*model).exchange)),

	"CreateDeviceAuthorization": call(grants, (*store.Queries).CreateDeviceAuthorization,
		func(r store.CreateDeviceAuthorizationRow) Answer { return is_(r.Outcome) }, outcome((*model).createDeviceAuthorization)),
	"FindAuthorizationByUserCode": call(grants, (*store.Queries).FindAuthorizationByUserCode,
		func(r store.FindAuthorizationByUserCodeRow) Answer { return is_(r.Outcome) }, outcome((*model).claim)),
	"PollDeviceCode": call(grants, (*store.Queries).PollDeviceCode,
		func(r store.PollDeviceCodeRow) Answer { return giving(r.Outcome, r.RefreshTokenID) },
		func(m *model, p store.PollDeviceCodeParams) Answer {
			o := m.poll(p)
			if f := m.deviceByCode(p.DeviceCode); f != nil && f.first != nil && given(o) {
				return Answer{o, f.first.id}
			}
			return is_(o)
		}),

	"IntrospectToken": call(reads, (*store.Queries).IntrospectToken,
		func(r store.IntrospectTokenRow) Answer { return told(r.Outcome, r.AuthorizationID, r.Scopes) },
		func(m *model, p store.IntrospectTokenParams) Answer {
			return m.told(p.ClientID, p.ClientAuthMethod, p.ClientSecret, m.tokenByDigest(p.Token))
		}),
	"IntrospectAccessToken": call(reads, (*store.Queries).IntrospectAccessToken,
		func(r store.IntrospectAccessTokenRow) Answer { return told(r.Outcome, r.AuthorizationID, r.Scopes) },
		func(m *model, p store.IntrospectAccessTokenParams) Answer {
			return m.told(p.ClientID, p.ClientAuthMethod, p.ClientSecret, m.token(func(t *issued) bool { return !t.refresh && t.digest == p.Token }))
		}),
	"IntrospectRefreshToken": call(reads, (*store.Queries).IntrospectRefreshToken,
		func(r store.IntrospectRefreshTokenRow) Answer { return told(r.Outcome, r.AuthorizationID, r.Scopes) },
		func(m *model, p store.IntrospectRefreshTokenParams) Answer {
			return m.told(p.ClientID, p.ClientAuthMethod, p.ClientSecret, m.token(func(t *issued) bool { return t.refresh && t.digest == p.Token }))
		}),
	"IntrospectAuthorization": call(reads, (*store.Queries).IntrospectAuthorization,
		func(r store.IntrospectAuthorizationRow) Answer { return told(r.Outcome, nil, r.GrantedScopes) },
		func(m *model, p store.IntrospectAuthorizationParams) Answer {
			f := m.familyByID(p.ID)
			if f == nil || f.status != store.AuthorizationStatusApproved {
				return is_(m.introspect(p.ClientID, p.ClientAuthMethod, p.ClientSecret, nil))
			}
			return told(m.introspectFamily(p.ClientID, p.ClientAuthMethod, p.ClientSecret, f), nil, f.granted)
		}),
	"FindSessionByToken": call(reads, (*store.Queries).FindSessionByToken,
		func(r store.FindSessionByTokenRow) Answer { return Answer{"found", string(r.Session.ID)} },
		func(m *model, d token.Digest) Answer {
			for id, s := range m.sessions {
				if s.cookie == d && m.sessionIsLive(s) {
					return Answer{"found", string(id)}
				}
			}
			return is_(noRows)
		}),

	"RevokeToken": call(ends, (*store.Queries).RevokeToken, func(r store.RevokeTokenRow) Answer { return is_(r.Outcome) },
		func(m *model, p store.RevokeTokenParams) Answer {
			return is_(m.revokeToken(p.ClientID, p.ClientAuthMethod, p.ClientSecret, m.tokenByDigest(p.Token)))
		}),
	"RevokeAuthorization": call(ends, (*store.Queries).RevokeAuthorization, func(r store.RevokeAuthorizationRow) Answer { return is_(r.Outcome) },
		func(m *model, id store.AuthorizationID) Answer { return is_(m.mark(m.familyByID(id))) }),
	"RevokeUserAuthorizations": call(ends, (*store.Queries).RevokeUserAuthorizations, is_, outcome((*model).revokeUserAuthorizations)),
	"RevokeUserAuthorizationsByClient": call(ends, (*store.Queries).RevokeUserAuthorizationsByClient, is_,
		func(m *model, p store.RevokeUserAuthorizationsByClientParams) Answer {
			return is_(m.revokeUserAuthorizationsByClient(pair{p.ClientID, p.UserID}))
		}),
	"RevokeClientAuthorizations": call(ends, (*store.Queries).RevokeClientAuthorizations, is_, outcome((*model).revokeClientAuthorizations)),
	"SuspendUser":                call(ends, (*store.Queries).SuspendUser, func(r store.SuspendUserRow) Answer { return is_(r.Outcome) }, outcome((*model).suspendUser)),
	"ReinstateUser":              call(ends, (*store.Queries).ReinstateUser, is_, outcome((*model).reinstateUser)),
	"DeleteUser":                 call(ends, (*store.Queries).DeleteUser, func(r store.DeleteUserRow) Answer { return is_(r.Outcome) }, outcome((*model).deleteUser)),
	"DisableClient":              call(ends, (*store.Queries).DisableClient, is_, outcome((*model).disableClient)),
	"EnableClient":               call(changes, (*store.Queries).EnableClient, is_, outcome((*model).enableClient)),
	"DeleteClient":               call(ends, (*store.Queries).DeleteClient, is_, outcome((*model).deleteClient)),

	"AuthenticateClient": call(reads, (*store.Queries).AuthenticateClient, is_, outcome((*model).authenticateClient)),
	"RotateClientSecret": call(changes, (*store.Queries).RotateClientSecret, is_, outcome((*model).rotateClientSecret)),

	"CreateSession": call(grants, (*store.Queries).CreateSession, func(r store.CreateSessionRow) Answer { return is_(r.Outcome) },
		func(m *model, p store.CreateSessionParams) Answer {
			o, _ := m.createSession(p)
			return is_(o)
		}),
	"ExtendSession": call(changes, (*store.Queries).ExtendSession, func(r store.ExtendSessionRow) Answer { return is_(r.Outcome) }, outcome((*model).extendSession)),
	"EndSession":    call(ends, (*store.Queries).EndSession, func(r store.EndSessionRow) Answer { return is_(r.Outcome) }, outcome((*model).endSession)),
	"EndUserSessions": call(ends, (*store.Queries).EndUserSessions, func(r store.EndUserSessionsRow) Answer { return is_(r.Outcome) },
		func(m *model, p store.EndUserSessionsParams) Answer {
			o, _ := m.endUserSessions(p)
			return is_(o)
		}),

	"GrantConsent": call(grants, (*store.Queries).GrantConsent,
		func(r store.GrantConsentRow) Answer { return Answer{r.Outcome, strings.Join(r.Scopes, " ")} },
		func(m *model, p store.GrantConsentParams) Answer {
			o, scopes := m.grantConsent(p)
			return Answer{o, strings.Join(scopes, " ")}
		}),
	"CheckConsent": call(reads, (*store.Queries).CheckConsent, checked, func(m *model, p store.CheckConsentParams) Answer { return checked(m.checkConsent(p)) }),
	"WithdrawConsent": call(ends, (*store.Queries).WithdrawConsent,
		func(r store.WithdrawConsentRow) Answer { return withdrawn(r.Outcome) },
		func(m *model, p store.WithdrawConsentParams) Answer { return withdrawn(m.withdrawConsent(p)) }),

	"RememberProof": call(changes, (*store.Queries).RememberProof, is_, func(m *model, p store.RememberProofParams) Answer { return is_(m.rememberProof(p.ID)) }),
	"RememberClientAssertion": call(changes, (*store.Queries).RememberClientAssertion, is_,
		func(m *model, p store.RememberClientAssertionParams) Answer { return is_(m.rememberAssertion(p.ID)) }),
	"RotateSigningKeyIfDue": call(changes, (*store.Queries).RotateSigningKeyIfDue,
		func(r store.RotateSigningKeyIfDueRow) Answer { return Answer{r.Outcome, string(r.ID)} },
		func(m *model, p store.RotateSigningKeyIfDueParams) Answer {
			o, id := m.rotateSigningKeyIfDue(p)
			return Answer{o, string(id)}
		}),
	"CountAttempt": call(changes, (*store.Queries).CountAttempt,
		func(r store.CountAttemptRow) Answer { return Answer{r.Outcome, fmt.Sprint(r.AttemptsLeft)} },
		func(m *model, p store.CountAttemptParams) Answer {
			o, left := m.countAttempt(p)
			return Answer{o, fmt.Sprint(left)}
		}),
	"ResetAttempts": call(changes, (*store.Queries).ResetAttempts, is_, outcome((*model).resetAttempts)),
	"CreateOneTimeCode": call(changes, (*store.Queries).CreateOneTimeCode, func(store.OneTimeCode) Answer { return is_("created") },
		func(m *model, p store.CreateOneTimeCodeParams) Answer {
			m.gates.codes[counted{p.Purpose, p.Subject}] = p.Digest
			return is_("created")
		}),
	"RedeemOneTimeCode": call(changes, (*store.Queries).RedeemOneTimeCode,
		func(r store.RedeemOneTimeCodeRow) Answer { return Answer{r.Outcome, fmt.Sprint(r.AttemptsLeft)} },
		func(m *model, p store.RedeemOneTimeCodeParams) Answer {
			o, left := m.redeemOneTimeCode(p)
			return Answer{o, fmt.Sprint(left)}
		}),
	"CreateTOTP":    call(grants, (*store.Queries).CreateTOTP, is_, outcome((*model).createTOTP)),
	"UseTOTP":       call(changes, (*store.Queries).UseTOTP, is_, outcome((*model).useTOTP)),
	"CreatePasskey": call(grants, (*store.Queries).CreatePasskey, is_, outcome((*model).createPasskey)),
	"UsePasskey":    call(changes, (*store.Queries).UsePasskey, func(r store.UsePasskeyRow) Answer { return is_(r.Outcome) }, outcome((*model).usePasskey)),
	"ReplaceRecoveryCodes": call(changes, (*store.Queries).ReplaceRecoveryCodes,
		func(r store.ReplaceRecoveryCodesRow) Answer { return is_(r.Outcome) }, outcome((*model).replaceRecoveryCodes)),
	"UseRecoveryCode": call(changes, (*store.Queries).UseRecoveryCode,
		func(r store.UseRecoveryCodeRow) Answer { return is_(r.Outcome) }, outcome((*model).useRecoveryCode)),

	"another server's token":    statement(grants, runForeignToken, (*model).foreignToken),
	"another server's spending": statement(changes, runForeignSpending, (*model).foreignSpending),
	"another server's session":  statement(grants, runForeignSession, (*model).foreignSession),
	"another server's sign-out": statement(ends, runForeignSignOut, (*model).foreignSignOut),
	"another server's consent":  statement(grants, runForeignConsent, (*model).foreignConsent),
}

// isAsRight says whether an answer is as right as the model's. A statement that has waited sees some rows as they are and others as they were
// when it began, so of two refusals that hold, either may be given. And what an ending did not see of the sessions that it has ended, it
// can't mark.
func (m *model) isAsRight(c Call, want, got store.Outcome) bool {
	if id, is := c.Params.(store.SessionID); is && c.Name == "EndSession" {
		if s := m.sessions[id]; s != nil {
			return s.over && (got == store.OutcomeEnded || got == store.OutcomeRevoked)
		}
		return m.signedOut[id] && got == store.OutcomeRevoked
	}
	if !slices.Contains(refusals, want) {
		return false
	}
	var f *family
	var s *store.SessionID
	switch p := c.Params.(type) {
	case store.GrantAuthorizationParams:
		s = p.SessionID
	case store.ApproveAuthorizationParams:
		f, s = m.familyByID(p.ID), p.SessionID
	case store.FindAuthorizationByUserCodeParams:
		f, s = m.deviceByUserCode(p.UserCode), p.SessionID
	case store.IssueGrantParams:
		f, s = m.familyByID(p.ID), p.SessionID
	case store.IssueAuthorizationCodeParams:
		f = m.familyByID(p.ID)
	case store.RedeemAuthorizationCodeParams:
		f = m.family(func(f *family) bool { return f.code == p.Code })
	case store.PollDeviceCodeParams:
		f = m.deviceByCode(p.DeviceCode)
	case store.RotateRefreshTokenParams:
		if r := m.tokenByDigest(p.Token); r != nil {
			f = r.family
		}
	case store.ExchangeTokenParams:
		if t := m.tokenByDigest(deref(p.SubjectToken)); got == store.OutcomeRevoked && t != nil && !m.tokenIsLive(t) {
			return true
		}
	}
	if p, is := c.Params.(store.FindAuthorizationByUserCodeParams); is && f != nil {
		if got == store.OutcomeDecided && f.status != store.AuthorizationStatusPending || got == store.OutcomeMismatched && f.user != "" && f.user != p.UserID {
			return true
		}
	}
	proof := proofOf(c.Params)
	return got == store.OutcomeProofReplayed && proof != nil && m.proofs[*proof] ||
		got == store.OutcomeSignedOut && s != nil && !m.sessionIsLive(m.session(s)) ||
		got == store.OutcomeRevoked && f != nil && f.status == store.AuthorizationStatusApproved && !m.familyIsLive(f)
}

// call is one of the store.
func call[P, R any](k kind, run func(*store.Queries, context.Context, P) (R, error), said func(R) Answer, want func(*model, P) Answer) called {
	return statement(k, func(ctx context.Context, db store.DBTX, p P) (Answer, error) {
		r, err := run(store.New(db), ctx, p)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return is_(noRows), nil
		case err != nil:
			return Answer{}, err
		}
		return said(r), nil
	}, want)
}

func statement[P any](k kind, run func(context.Context, store.DBTX, P) (Answer, error), want func(*model, P) Answer) called {
	return called{
		run:   func(ctx context.Context, db store.DBTX, p any) (Answer, error) { return run(ctx, db, p.(P)) },
		want:  func(m *model, p any) Answer { return want(m, p.(P)) },
		reads: k == reads, grants: k == grants, ends: k == ends,
	}
}

// noRows is the answer of a read that finds nothing.
const noRows store.Outcome = "no rows"

func is_(o store.Outcome) Answer { return Answer{Outcome: o} }

func outcome[P any](want func(*model, P) store.Outcome) func(*model, P) Answer {
	return func(m *model, p P) Answer { return is_(want(m, p)) }
}

// giving is an answer with the id of what was given, if anything was.
func giving[ID ~string](o store.Outcome, id *ID) Answer {
	if !given(o) {
		return is_(o)
	}
	return Answer{o, string(deref(id))}
}

func told(o store.Outcome, family *store.AuthorizationID, scopes []string) Answer {
	if o != store.OutcomeActive {
		return is_(o)
	}
	return Answer{o, strings.Join(append([]string{string(deref(family))}, scopes...), " ")}
}

func (m *model) told(client store.ClientID, method string, secret token.Digest, t *issued) Answer {
	o := m.introspect(client, method, secret, t)
	if t == nil {
		return is_(o)
	}
	if t.family == nil {
		return told(o, nil, t.scopes)
	}
	return told(o, &t.family.id, t.scopes)
}

// withdrawn doesn't say whether there was a consent. An ending waits for no grant, so it can't know of a consent that is granted while it runs,
// and that it ends.
func withdrawn(o store.Outcome) Answer {
	if o == store.OutcomeWithdrawn {
		o = store.OutcomeEnded
	}
	return is_(o)
}

func checked(r store.CheckConsentRow) Answer {
	return Answer{r.Outcome, fmt.Sprint(r.Covered, r.Missing)}
}

// MayOvertake says whether a call with this answer may be written after an ending that it overlaps, having read before it.
func (c Call) MayOvertake(a Answer) bool {
	return calls[c.Name].mayOvertake(a.Outcome) || a.Outcome == Lost && !c.Reads()
}

// Ends says whether a call with this answer may have ended something.
func (c Call) Ends(a Answer) bool {
	if p, is := c.Params.(store.CreateSessionParams); is && p.MaxSessions > 0 && a.Outcome == store.OutcomeCreated {
		return true
	}
	return calls[c.Name].ends && !c.Refused(a) || a.Outcome == store.OutcomeReplayed || a.Outcome == Lost && !calls[c.Name].reads
}

// Reads says whether the call changes nothing.
func (c Call) Reads() bool { return calls[c.Name].reads }

// Make makes the call.
func (c Call) Make(ctx context.Context, db store.DBTX) (Answer, error) {
	call, found := calls[c.Name]
	if !found {
		return Answer{}, fmt.Errorf("model: there is no call %s", c.Name)
	}
	return call.run(ctx, db, c.Params)
}

// proofOf is the proof that comes with a call.
func proofOf(params any) *token.Digest {
	if p := reflect.ValueOf(params); p.Kind() == reflect.Struct {
		if p = p.FieldByName("Proof"); p.IsValid() {
			return p.Interface().(*token.Digest)
		}
	}
	return nil
}

// Refused says whether a call with this answer has changed nothing.
func (c Call) Refused(a Answer) bool {
	if proofOf(c.Params) != nil {
		return false // it is remembered
	}
	return calls[c.Name].reads || c.Name != "RedeemOneTimeCode" && slices.Contains(refusals, a.Outcome)
}

// refusals change nothing.
var refusals = []store.Outcome{
	store.OutcomeUnauthenticated, store.OutcomeUnknown, store.OutcomeExpired, store.OutcomeRevoked, store.OutcomeMismatched,
	store.OutcomeDisabled, store.OutcomeSuspended, store.OutcomeSignedOut, store.OutcomeUnauthorizedClient, store.OutcomeInvalidScope,
	store.OutcomeInvalidTarget, store.OutcomeUnsupportedTokenType, store.OutcomeDecided, store.OutcomeUndecided, store.OutcomeActive, store.OutcomeInactive, store.OutcomeAuthenticated,
	refused, nothing,
}

// Names are the names of all calls that a history may have.
func Names() []string {
	names := make([]string, 0, len(calls))
	for name := range calls {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (m *model) createClient(p store.CreateClientParams) Answer {
	kind := "none"
	switch {
	case p.ClientSecret != nil:
		kind = "secret"
	case deref(p.TokenEndpointAuthMethod) == "private_key_jwt":
		kind = "key"
	}
	m.clients[p.ClientID] = &client{
		kind: kind, secret: deref(p.ClientSecret), older: map[token.Digest]time.Time{}, grants: p.GrantTypes, scopes: p.Scopes, needsPKCE: kind == "none",
		owner: deref(p.UserID), methodless: p.TokenEndpointAuthMethod == nil, untilUsed: deref(p.RefreshGraceUntilUsed), grace: p.RefreshGrace,
		skipsConsent: deref(p.SkipConsent),
	}
	return is_("created")
}

// What another server does.

func runForeignToken(ctx context.Context, db store.DBTX, p ForeignToken) (Answer, error) {
	var family store.AuthorizationID
	table, column := "oauth_access_token", "refresh_id"
	args := []any{p.ID, p.Token, p.ClientID, p.SessionID, p.UserID, p.Lifetime, p.Scopes, p.CodeID, p.RefreshedBy}
	if p.Refresh {
		table, column = "oauth_refresh_token", "reference_id"
	}
	err := db.QueryRow(ctx, `INSERT INTO `+table+` (id, token, client_id, session_id, user_id, expires_at, scopes, authorization_code_id, `+column+`)
		VALUES ($1, $2, $3, $4, $5, now() + $6::interval, $7, $8, $9) RETURNING authorization_id`, args...).Scan(&family)
	if e, found := errors.AsType[*pgconn.PgError](err); found && e.Code == "23503" {
		return is_(refused), nil // the session is gone, or there is no such refresh token
	}
	return Answer{inserted, string(family)}, err
}

func (m *model) foreignToken(p ForeignToken) Answer {
	t := &issued{
		refresh: p.Refresh, id: p.ID, digest: p.Token, pair: pair{p.ClientID, p.UserID}, scopes: p.Scopes, expires: in(m.now, p.Lifetime, 0),
		codeID: p.CodeID, session: m.session(p.SessionID),
	}
	if p.SessionID != nil && t.session == nil {
		return is_(refused)
	}
	var refresh *issued
	if p.RefreshedBy != nil {
		if refresh = m.token(func(r *issued) bool { return r.refresh && r.id == string(*p.RefreshedBy) }); refresh == nil {
			return is_(refused)
		}
	}
	id := m.familyOfForeign(t.pair, refresh, t.codeID)
	if id == "" { // another's
		id = store.AuthorizationID(fmt.Sprintf("azn_%x", md5.Sum(fmt.Appendf(nil, "%s %s %s", p.ClientID, p.UserID, *p.CodeID))))
	}
	t.family = m.foreign(t, refresh, id, p.SessionID != nil)
	if !t.refresh && m.familyIsOver(t.family) {
		t.over, t.spent = true, m.now
	}
	m.tokens = append(m.tokens, t)
	return Answer{inserted, string(t.family.id)}
}

func runForeignSpending(ctx context.Context, db store.DBTX, d token.Digest) (Answer, error) {
	tag, err := db.Exec(ctx, `UPDATE oauth_refresh_token SET revoked = now() WHERE token = $1 AND revoked IS NULL`, d)
	if tag.RowsAffected() == 0 {
		return is_(refused), err
	}
	return is_(spent), err
}

func (m *model) foreignSpending(d token.Digest) Answer {
	r := m.tokenByDigest(d)
	if r == nil || !m.tokenIsLive(r) {
		return is_(refused)
	}
	r.over, r.spent = true, m.now
	return is_(spent)
}

func runForeignSession(ctx context.Context, db store.DBTX, p ForeignSession) (Answer, error) {
	_, err := db.Exec(ctx, `INSERT INTO session (id, user_id, token, expires_at) VALUES ($1, $2, $3, now() + $4::interval)`, p.ID, p.UserID, p.Token, p.Lifetime)
	return is_(inserted), err
}

func (m *model) foreignSession(p ForeignSession) Answer {
	s := &session{id: p.ID, cookie: p.Token, user: p.UserID, began: m.now, expires: m.now.Add(p.Lifetime)}
	if !m.userIsLive(p.UserID) {
		m.markSession(s)
	}
	m.sessions[s.id] = s
	return is_(inserted)
}

func runForeignSignOut(ctx context.Context, db store.DBTX, id store.SessionID) (Answer, error) {
	tag, err := db.Exec(ctx, `DELETE FROM session WHERE id = $1`, id)
	if tag.RowsAffected() == 0 {
		return is_(nothing), err
	}
	return is_(gone), err
}

func (m *model) foreignSignOut(id store.SessionID) Answer {
	s := m.sessions[id]
	if s == nil {
		return is_(nothing)
	}
	m.forgetSession(s)
	m.signedOut[id] = true
	return is_(gone)
}

func runForeignConsent(ctx context.Context, db store.DBTX, p ForeignConsent) (Answer, error) {
	_, err := db.Exec(ctx, `INSERT INTO oauth_consent (id, client_id, user_id, scopes) VALUES ($1, $2, $3, $4)
		ON CONFLICT (client_id, user_id) DO UPDATE SET scopes = excluded.scopes`, p.ID, p.ClientID, p.UserID, p.Scopes)
	return is_(written), err
}

func (m *model) foreignConsent(p ForeignConsent) Answer {
	of := pair{p.ClientID, p.UserID}
	g := m.consents[of]
	if g == nil {
		g = &consent{pair: of, id: p.ID}
		m.consents[of] = g
	}
	if g.over {
		g.at = nil
	}
	g.scopes, g.over = p.Scopes, false
	return is_(written)
}

// Text is the call as it is printed, without what is the same in all. names says what digests are digests of.
func (c Call) Text(names map[token.Digest]string) string {
	return c.Name + "(" + strings.TrimSpace(ofAll.ReplaceAllString(" "+text(names, time.Now(), reflect.ValueOf(c.Params)), "")) + ")"
}

var ofAll = regexp.MustCompile(` (\w*lifetime|default_\w+|code_challenge\w*|redirect_uri|response_type|poll_interval|resources|client_resources|grace|grant_type|` +
	`\w*expires_at|attempt_window|min_gain|public_key|private_key|max_age|granted_scopes|client_auth_method)=(\[[^]]*\]|\S+)`)

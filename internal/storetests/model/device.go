package model

import (
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Requests of devices (RFC 8628).

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// device is what a request of a device has beside the family.
type device struct {
	code, userCode token.Digest // no user code: another request has taken it over
	expires        time.Time
	interval       time.Duration
	polled         time.Time // the poll from which the interval counts; zero: none
	gone           bool      // collected
}

func (m *model) createDeviceAuthorization(p store.CreateDeviceAuthorizationParams) store.Outcome {
	if !m.authenticates(p.ClientID, p.ClientAuthMethod, p.ClientSecret) {
		return store.OutcomeUnauthenticated
	}
	switch c := m.clients[p.ClientID]; {
	case c.disabled:
		return store.OutcomeDisabled
	case !c.uses(deviceGrant):
		return store.OutcomeUnauthorizedClient
	}
	ask := asked{client: p.ClientID, scopes: p.Scopes, defaultScopes: p.DefaultScopes, resources: p.Resources, defaultResources: p.DefaultResources}
	if o := m.judgeAgain(ask); o != "" {
		return o
	}
	if before := m.deviceByUserCode(p.UserCode); before != nil {
		if before.device.expires.After(m.now) {
			return store.OutcomeTaken
		}
		m.saw("the user code of a request that has expired", true)
		before.device.userCode = ""
	}
	m.families = append(m.families, &family{
		id: p.ID, pair: pair{client: p.ClientID}, status: store.AuthorizationStatusPending, asked: p.Scopes, resources: p.Resources,
		expires: new(m.now.Add(p.Lifetime)),
		device:  &device{code: p.DeviceCode, userCode: p.UserCode, expires: m.now.Add(p.Lifetime), interval: min(p.PollInterval, p.Lifetime)},
	})
	return store.OutcomeCreated
}

func (m *model) deviceByUserCode(code token.Digest) *family {
	return m.family(func(f *family) bool { return f.device != nil && !f.device.gone && f.device.userCode == code })
}

func (m *model) claim(p store.FindAuthorizationByUserCodeParams) store.Outcome {
	f, u := m.deviceByUserCode(p.UserCode), m.users[p.UserID]
	switch {
	case f == nil || u == nil || u.deleted:
		return store.OutcomeUnknown
	case u.suspended:
		return store.OutcomeSuspended
	case p.SessionID != nil && (m.session(p.SessionID) == nil || m.session(p.SessionID).user != p.UserID || !m.sessionIsLive(m.session(p.SessionID))):
		return store.OutcomeSignedOut
	case !f.device.expires.After(m.now):
		return store.OutcomeExpired
	case f.user != "" && f.user != p.UserID:
		return store.OutcomeMismatched
	case f.status != store.AuthorizationStatusPending:
		return store.OutcomeDecided
	case f.marked:
		return store.OutcomeRevoked
	case m.clients[f.client].disabled:
		return store.OutcomeDisabled
	}
	outcome := store.OutcomeClaimed
	if f.user != "" {
		outcome = store.OutcomeRetried
	}
	f.user, f.session = p.UserID, m.session(p.SessionID)
	return outcome
}

func (m *model) deviceByCode(code token.Digest) *family {
	return m.family(func(f *family) bool { return f.device != nil && !f.device.gone && f.device.code == code })
}

func (m *model) poll(p store.PollDeviceCodeParams) store.Outcome {
	if !m.authenticates(p.ClientID, p.ClientAuthMethod, p.ClientSecret) {
		return store.OutcomeUnauthenticated
	}
	c, f := m.clients[p.ClientID], m.deviceByCode(p.DeviceCode)
	switch {
	case f == nil:
		return store.OutcomeUnknown
	case f.client != p.ClientID:
		return store.OutcomeMismatched
	case !f.device.expires.After(m.now):
		return store.OutcomeExpired
	case c.disabled:
		return store.OutcomeDisabled
	case !c.uses(deviceGrant):
		return store.OutcomeUnauthorizedClient
	case f.marked:
		return store.OutcomeRevoked
	case f.status == store.AuthorizationStatusPending:
		return f.device.wait(m.now)
	case f.status == store.AuthorizationStatusDenied:
		return store.OutcomeDenied
	case !holds(p.Confirmation, f.key):
		return store.OutcomeMismatched
	case !m.familyIsLive(f):
		return store.OutcomeRevoked
	}
	refused := m.judgeAgain(f.asks(f.granted, p.DefaultScopes, p.DefaultResources))
	if !within(p.Resources, f.resources) {
		refused = store.OutcomeInvalidTarget
	}
	if f.redeemedAs != "" {
		return m.pollAgain(f, p, refused)
	}
	if refused != "" {
		return refused
	}
	m.issueFirst(f, firstTokens{
		access: p.AccessTokenID, accessDigest: p.AccessToken, accessLifetime: p.AccessTokenLifetime, withoutRow: p.AccessTokenWithoutRow,
		refresh: p.RefreshTokenID, refreshDigest: p.RefreshToken, refreshLifetime: p.RefreshTokenLifetime, familyLifetime: p.FamilyLifetime,
		resources: p.Resources, key: p.Confirmation,
	})
	return store.OutcomeRedeemed
}

// wait answers a poll before the decision.
func (d *device) wait(now time.Time) store.Outcome {
	if d.polled.IsZero() || !d.polled.Add(d.interval).After(now) {
		d.polled = now
		return store.OutcomeAuthorizationPending
	}
	d.interval = max(d.interval, min(d.interval+5*time.Second, time.Minute, d.expires.Sub(now)))
	return store.OutcomeSlowDown
}

// pollAgain answers a poll after the tokens were issued.
func (m *model) pollAgain(f *family, p store.PollDeviceCodeParams, refused store.Outcome) store.Outcome {
	r, again := f.first, f.redeemedAs == p.AccessTokenID
	switch {
	case again && r != nil && (!r.gone && r.over || r.gone && m.token(func(t *issued) bool { return t.refresh && t.family == f }) != nil):
		return store.OutcomeSuperseded
	case r != nil && !r.gone && r.over, r != nil && r.gone && m.token(func(t *issued) bool { return t.refresh && t.family == f }) != nil:
		m.saw("a device polls after its refresh token was used", true)
		m.mark(f)
		return store.OutcomeReplayed
	case r != nil && (r.gone || m.past(r.expires)):
		return store.OutcomeExpired
	case !again && !m.now.Before(f.redeemedAt.Add(p.Grace)):
		m.saw("a device polls after grace", true)
		m.mark(f)
		return store.OutcomeReplayed
	case refused != "":
		return refused
	}
	m.saw("a device polls again", !again)
	access := m.token(func(t *issued) bool { return !t.refresh && t.id == string(p.AccessTokenID) })
	if access != nil && (again || !access.withoutRow) {
		return store.OutcomeRetried
	}
	expires := earliest(in(m.now, p.AccessTokenLifetime, m.clients[f.client].accessLimit), f.limit, f.sessionEnd())
	if access != nil {
		access.expires = expires // nothing remembers the first one
	} else {
		access = &issued{
			id: string(p.AccessTokenID), digest: deref(p.AccessToken), pair: f.pair, reference: f.reference, family: f, session: f.session, codeID: &f.id,
			scopes: f.granted, resources: or(p.Resources, f.resources), key: p.Confirmation, withoutRow: p.AccessTokenWithoutRow, expires: expires,
		}
		if access.key == nil {
			access.key = f.key
		}
		m.tokens = append(m.tokens, access)
	}
	if r != nil {
		r.keepFor(access)
	} else if access.withoutRow && (f.expires == nil || f.expires.Before(*access.expires)) {
		f.expires = access.expires
	}
	return store.OutcomeRetried
}

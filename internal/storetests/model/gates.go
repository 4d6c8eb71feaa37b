package model

import (
	"fmt"
	"maps"
	"slices"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// gates are what is let through once, or a few times, beside the grants.
type gates struct {
	attempts   map[counted]int64
	codes      map[counted]token.Digest // one-time codes
	assertions map[token.Digest]bool
	apps       map[store.TOTPID]int64 // the last step that was spent
	passkeys   map[store.PasskeyID]int64
	recovery   map[token.Digest]bool // whether the code was used
	owners     map[string]store.UserID
	keys       map[string]store.SigningKeyID // the newest one, by algorithm
}

// counted is what attempts are counted of.
type counted struct {
	purpose string
	subject token.Digest
}

func newGates() gates {
	return gates{
		map[counted]int64{},
		map[counted]token.Digest{},
		map[token.Digest]bool{},
		map[store.TOTPID]int64{},
		map[store.PasskeyID]int64{},
		map[token.Digest]bool{},
		map[string]store.UserID{},
		map[string]store.SigningKeyID{},
	}
}

func (g gates) clone() gates {
	return gates{
		maps.Clone(g.attempts), maps.Clone(g.codes), maps.Clone(g.assertions), maps.Clone(g.apps), maps.Clone(g.passkeys), maps.Clone(g.recovery),
		maps.Clone(g.owners), maps.Clone(g.keys),
	}
}

func (g gates) lines() (lines []string) {
	for _, of := range []any{g.attempts, g.codes, g.assertions, g.apps, g.passkeys, g.recovery, g.keys} {
		if text := fmt.Sprint(of); text != "map[]" { // fmt prints maps in the order of their keys
			lines = append(lines, text)
		}
	}
	return lines
}

func (m *model) rememberProof(id token.Digest) store.Outcome {
	if !m.fresh(&id) {
		return store.OutcomeProofReplayed
	}
	return store.OutcomeRemembered
}

func (m *model) rememberAssertion(id token.Digest) store.Outcome {
	if m.gates.assertions[id] {
		return store.OutcomeProofReplayed
	}
	m.gates.assertions[id] = true
	return store.OutcomeRemembered
}

// count counts an attempt, and says whether it may be made and how many may follow.
func (g gates) count(of counted, most int32) (allowed bool, left int64) {
	g.attempts[of]++
	return g.attempts[of] <= int64(most), max(int64(most)-g.attempts[of], 0)
}

func (m *model) countAttempt(p store.CountAttemptParams) (store.Outcome, int64) {
	allowed, left := m.gates.count(counted{p.Purpose, p.Subject}, p.MaxAttempts)
	if !allowed {
		return store.OutcomeExhausted, left
	}
	return store.OutcomeCounted, left
}

func (m *model) resetAttempts(p store.ResetAttemptsParams) store.Outcome {
	of := counted{p.Purpose, p.Subject}
	if _, found := m.gates.attempts[of]; !found {
		return store.OutcomeUnknown
	}
	delete(m.gates.attempts, of)
	return store.OutcomeDeleted
}

func (m *model) redeemOneTimeCode(p store.RedeemOneTimeCodeParams) (store.Outcome, int64) {
	of := counted{p.Purpose, p.Subject}
	code, found := m.gates.codes[of]
	if !found {
		return store.OutcomeUnknown, 0
	}
	allowed, left := m.gates.count(of, p.MaxAttempts)
	switch {
	case !allowed:
		return store.OutcomeExhausted, left
	case code != p.Digest:
		return store.OutcomeMismatched, left
	}
	delete(m.gates.codes, of)
	delete(m.gates.attempts, of)
	return store.OutcomeAccepted, left
}

// refusal says why a user may not use a second factor, and "" if nothing is amiss.
func (m *model) refusal(id store.UserID) store.Outcome {
	switch u := m.users[id]; {
	case u == nil || u.deleted:
		return store.OutcomeUnknown
	case u.suspended:
		return store.OutcomeSuspended
	}
	return ""
}

func (m *model) createTOTP(p store.CreateTOTPParams) store.Outcome {
	if o := m.refusal(p.UserID); o != "" {
		return o
	}
	if _, found := m.gates.apps[p.ID]; found {
		return store.OutcomeTaken
	}
	m.gates.apps[p.ID] = deref(p.LastStep)
	m.gates.owners[string(p.ID)] = p.UserID
	return store.OutcomeCreated
}

func (m *model) useTOTP(p store.UseTOTPParams) store.Outcome {
	last, found := m.gates.apps[p.ID]
	switch {
	case !found || m.gates.owners[string(p.ID)] != p.UserID:
		return store.OutcomeUnknown
	case m.refusal(p.UserID) != "":
		return m.refusal(p.UserID)
	case len(p.Steps) == 0:
		return store.OutcomeMismatched
	case slices.Min(p.Steps) <= last:
		return store.OutcomeSpent
	}
	m.gates.apps[p.ID] = slices.Max(p.Steps)
	return store.OutcomeAccepted
}

func (m *model) createPasskey(p store.CreatePasskeyParams) store.Outcome {
	if o := m.refusal(p.UserID); o != "" {
		return o
	}
	if _, found := m.gates.passkeys[p.ID]; found {
		return store.OutcomeTaken
	}
	m.gates.passkeys[p.ID] = deref(p.SignCount)
	m.gates.owners[string(p.ID)] = p.UserID
	return store.OutcomeCreated
}

func (m *model) usePasskey(p store.UsePasskeyParams) store.Outcome {
	last, found := m.gates.passkeys[p.ID]
	switch {
	case !found:
		return store.OutcomeUnknown
	case m.refusal(m.gates.owners[string(p.ID)]) != "":
		return m.refusal(m.gates.owners[string(p.ID)])
	case p.SignCount <= last && !(last == 0 && p.SignCount == 0):
		return store.OutcomeRegressed
	}
	m.gates.passkeys[p.ID] = p.SignCount
	return store.OutcomeAccepted
}

func (m *model) replaceRecoveryCodes(p store.ReplaceRecoveryCodesParams) store.Outcome {
	if o := m.refusal(p.UserID); o != "" {
		return o
	}
	for code := range m.gates.recovery {
		if m.gates.owners[string(code)] == p.UserID {
			delete(m.gates.recovery, code)
		}
	}
	for _, code := range p.Digests {
		m.gates.recovery[code] = false
		m.gates.owners[string(code)] = p.UserID
	}
	return store.OutcomeReplaced
}

func (m *model) useRecoveryCode(p store.UseRecoveryCodeParams) store.Outcome {
	used, found := m.gates.recovery[p.Digest]
	switch {
	case !found || m.gates.owners[string(p.Digest)] != p.UserID:
		return store.OutcomeUnknown
	case m.refusal(p.UserID) != "":
		return m.refusal(p.UserID)
	case used:
		return store.OutcomeSpent
	}
	m.gates.recovery[p.Digest] = true
	return store.OutcomeAccepted
}

func (m *model) rotateSigningKeyIfDue(p store.RotateSigningKeyIfDueParams) (store.Outcome, store.SigningKeyID) {
	switch newest, found := m.gates.keys[p.Alg]; {
	case !found:
		m.gates.keys[p.Alg] = p.ID
		return store.OutcomeRotated, p.ID
	case newest == p.ID:
		return store.OutcomeRetried, newest
	default:
		return store.OutcomeFresh, newest
	}
}

package oautherror

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/queryfile"
	"github.com/oauthdb/oauthdb/store"
)

// contract is what a call says of its outcomes: the text of each.
type contract map[store.Outcome]string

var (
	item   = regexp.MustCompile(`^ *- ([a-z_]+)(?:$|: (.*)| (\(.*))$`)
	sameAs = regexp.MustCompile(`^\w+ is (\w+)`)
	// bracket is what a contract says to answer: "(invalid_grant; RFC 6749, section 4.1.2)".
	bracket = regexp.MustCompile(`\(([^()]*)\)`)
	code    = regexp.MustCompile(`^(?:[a-z]+_[a-z_]+|slow_down)$`)
	status  = regexp.MustCompile(`^[1-5]\d\d$`)
)

// contracts are those of the calls whose answer has an outcome.
func contracts(t *testing.T) map[Call]contract {
	t.Helper()
	queries, err := queryfile.ReadDir("../queries")
	if err != nil {
		t.Fatal(err)
	}
	all := map[Call]contract{}
	for _, q := range queries {
		if !strings.Contains(q.SQL, "::outcome AS outcome") {
			continue
		}
		listed, last := contract{}, store.Outcome("")
		for _, line := range q.Contract {
			switch m := item.FindStringSubmatch(line); {
			case m != nil:
				last = store.Outcome(m[1])
				listed[last] = m[2] + m[3]
			case strings.HasPrefix(line, " ") && last != "":
				listed[last] += " " + strings.TrimSpace(line)
			default:
				last = ""
			}
		}
		all[Call(q.Name)] = listed
	}
	for _, q := range queries {
		if m := sameAs.FindStringSubmatch(strings.Join(q.Contract, " ")); m != nil && len(all[Call(q.Name)]) == 0 && all[Call(m[1])] != nil {
			all[Call(q.Name)] = all[Call(m[1])]
		}
	}
	return all
}

// table is what the package answers by, so that a test can break it.
type table struct {
	calls map[Endpoint][]Call
	rules []rule
}

func (tb table) find(at Endpoint, call Call, outcome store.Outcome) int {
	for i, r := range slices.Backward(tb.rules) {
		if r.holds(at, call, outcome) {
			return i
		}
	}
	return -1
}

// faults is where the table and the contracts differ, and where the table contradicts itself.
func (tb table) faults(all map[Call]contract) []string {
	var found []string
	fault := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	made := map[Call][]Endpoint{}
	for at, calls := range tb.calls {
		for _, call := range calls {
			if made[call] = append(made[call], at); len(all[call]) == 0 {
				fault("%s, at the %s endpoint, is no call with outcomes", call, at)
			}
		}
	}
	counts := map[[2]any]bool{} // a rule's number and a word that it answers for some call
	for _, call := range slices.Sorted(maps.Keys(all)) {
		if len(made[call]) == 0 {
			fault("no endpoint makes %s", call)
		}
		for _, outcome := range slices.Sorted(maps.Keys(all[call])) {
			answers := map[Endpoint][]*Error{}
			for _, at := range made[call] {
				i := tb.find(at, call, outcome)
				if i < 0 {
					fault("%s at the %s endpoint: %s has no answer", call, at, outcome)
					continue
				}
				counts[[2]any{i, outcome}] = true
				answers[at] = append(answers[at], tb.rules[i].as(at))
				if call == IssueTokenByAssertion { // the row says more
					answers[at] = append(answers[at], ForAssertion(store.IssueTokenByAssertionRow{Outcome: outcome}))
				}
			}
			for _, f := range differs(all[call][outcome], answers) {
				fault("%s: %s: %s", call, outcome, f)
			}
		}
	}

	first := map[store.Outcome]answer{}
	for i, r := range tb.rules {
		special := r.at != "" || r.calls != nil
		switch {
		case special != (r.because != ""):
			fault("rule %d, %s: an answer that differs has a reason, and no other", i, r.words)
		case r.answer != success && (r.source == "" || r.status < 400):
			fault("rule %d, %s: no source, or the status %d", i, r.words, r.status)
		case r.page && r.code != "":
			fault("rule %d, %s: a client that is told nothing gets no code", i, r.words)
		}
		for _, word := range r.words {
			switch general, known := first[word]; {
			case !special && known:
				fault("rule %d: %s had an answer before", i, word)
			case !special:
				first[word] = r.answer
			case !known:
				fault("rule %d: %s has no general answer", i, word)
			case general == r.answer && r.calls == nil:
				fault("rule %d: %s is no other answer at the %s endpoint", i, word, r.at)
			}
			used := counts[[2]any{i, word}]
			for j := range tb.rules { // a general answer may have given way everywhere
				used = used || !special && counts[[2]any{j, word}]
			}
			if !used {
				fault("rule %d: no contract lists %s where this counts: at %q, %s", i, word, r.at, r.calls)
			}
			for _, call := range r.calls {
				if _, listed := all[call][word]; !listed {
					fault("rule %d: %s doesn't come to %s", i, call, word)
				}
			}
		}
	}
	for _, word := range store.AllOutcomeValues() {
		if _, known := first[word]; !known {
			fault("%s has no general answer", word)
		}
	}
	return found
}

// differs is how the answers of the table differ from what a contract says in brackets.
func differs(text string, answers map[Endpoint][]*Error) []string {
	var found []string
	codes, numbers, page := map[string]bool{}, map[string]bool{}, false
	for _, m := range bracket.FindAllStringSubmatch(text, -1) {
		for part := range strings.FieldsFuncSeq(m[1], func(r rune) bool { return r == ';' || r == ',' }) {
			part = strings.TrimSpace(part)
			word, _, _ := strings.Cut(part, " ")
			switch {
			case strings.HasPrefix(part, "an error page"):
				page = true
			case code.MatchString(word):
				codes[word] = true
			case status.MatchString(word):
				numbers[word] = true
			}
		}
	}
	answered, statuses, pages := map[string]bool{}, map[string]bool{"200": true}, false
	for at, errors := range answers {
		for _, e := range errors {
			if e == nil {
				statuses["201"], statuses["204"] = true, true
				continue
			}
			answered[e.Code], statuses[strconv.Itoa(e.Status)] = true, true
			pages = pages || e.Page
			switch {
			case len(codes) == 0 || at == ProtectedResource:
			case e.Page && !page:
				found = append(found, fmt.Sprintf("the contract says nothing of a page, which the %s endpoint answers with", at))
			case e.Code != "" && !codes[e.Code]:
				found = append(found, fmt.Sprintf("the contract says nothing of %s, which the %s endpoint answers", e.Code, at))
			}
		}
	}
	for c := range codes {
		if !answered[c] {
			found = append(found, fmt.Sprintf("the contract says %s", c))
		}
	}
	for n := range numbers {
		if !statuses[n] {
			found = append(found, fmt.Sprintf("the contract says %s", n))
		}
	}
	if page && !pages {
		found = append(found, "the contract says an error page")
	}
	return found
}

func TestTableIsThatOfTheContracts(t *testing.T) {
	t.Parallel()
	all := contracts(t)
	listed := 0
	for _, c := range all {
		listed += len(c)
	}
	if len(all) < 70 || listed < 350 {
		t.Errorf("only %d contracts with %d outcomes", len(all), listed)
	}
	for _, f := range (table{calls, rules}).faults(all) {
		t.Error(f)
	}
}

// Each is a way in which the table or the contracts can go wrong.
func TestFaultsOfTheTableAreFound(t *testing.T) {
	t.Parallel()
	clone := func(all map[Call]contract) map[Call]contract {
		c := map[Call]contract{}
		for call, listed := range all {
			c[call] = maps.Clone(listed)
		}
		return c
	}
	at := func(tb table, at Endpoint, call Call, outcome store.Outcome) *rule {
		r := &tb.rules[tb.find(at, call, outcome)]
		r.words = slices.Clone(r.words)
		return r
	}
	for want, breakIt := range map[string]func(tb table, all map[Call]contract){
		"PollDeviceCode: expired: the contract says expired_token": func(tb table, _ map[Call]contract) {
			at(tb, Token, PollDeviceCode, store.OutcomeExpired).calls = []Call{RedeemAuthorizationCode}
		},
		"PollDeviceCode at the token endpoint: slow_down has no answer": func(tb table, _ map[Call]contract) {
			at(tb, Token, PollDeviceCode, store.OutcomeSlowDown).words = []store.Outcome{"slower"}
		},
		"slower has no": func(tb table, _ map[Call]contract) {
			r := at(tb, Token, PollDeviceCode, store.OutcomeExpired)
			r.words = append(r.words, "slower")
		},
		"RotateRefreshToken at the token endpoint: eaten has no answer": func(_ table, all map[Call]contract) {
			all[RotateRefreshToken]["eaten"] = "it was eaten (invalid_grant)"
		},
		"no contract lists too_many_actors where this counts": func(_ table, all map[Call]contract) {
			delete(all[ExchangeToken], store.OutcomeTooManyActors)
		},
		"PollDeviceCode doesn't come to expired": func(_ table, all map[Call]contract) {
			delete(all[PollDeviceCode], store.OutcomeExpired)
		},
		"no endpoint makes EatToken": func(_ table, all map[Call]contract) {
			all["EatToken"] = contract{store.OutcomeUnknown: "there is no such token"}
		},
		"RotateRefreshToken, at the token endpoint, is no call": func(_ table, all map[Call]contract) {
			delete(all, RotateRefreshToken)
		},
		"an answer that differs has a reason": func(tb table, _ map[Call]contract) {
			at(tb, Token, PollDeviceCode, store.OutcomeExpired).because = ""
		},
		"replayed had an answer before": func(tb table, _ map[Call]contract) {
			r := at(tb, Token, PollDeviceCode, store.OutcomeSlowDown)
			r.words = append(r.words, store.OutcomeReplayed)
		},
		"revoked is no other answer at the server endpoint": func(tb table, _ map[Call]contract) {
			at(tb, Server, EndSession, store.OutcomeRevoked).answer = invalidGrant("RFC 6749, section 5.2")
		},
		"no source, or the status 0": func(tb table, _ map[Call]contract) {
			at(tb, Token, PollDeviceCode, store.OutcomeSlowDown).answer = answer{}
		},
		"UpdateRegistration: disabled: the contract says 403": func(tb table, _ map[Call]contract) {
			at(tb, Registration, UpdateRegistration, store.OutcomeDisabled).status = http.StatusUnauthorized
		},
		"DenyAuthorization: decided: the contract says an error page": func(tb table, _ map[Call]contract) {
			at(tb, Authorization, DenyAuthorization, store.OutcomeDecided).answer = success
		},
		"RevokeToken: unsupported: the contract says nothing of invalid_grant": func(_ table, all map[Call]contract) {
			all[RevokeToken] = contract{"unsupported": "no (unsupported_token_type)"}
		},
	} {
		all, tb := clone(contracts(t)), table{calls, slices.Clone(rules)}
		if strings.Contains(want, "unsupported:") {
			tb.rules = append(tb.rules, rule{words: []store.Outcome{"unsupported"}, answer: invalidGrant("RFC 6749, section 5.2")})
		}
		breakIt(tb, all)
		if found := strings.Join(tb.faults(all), "\n"); !strings.Contains(found, want) {
			t.Errorf("not found: %s\nbut %s", want, found)
		}
	}
}

// The constants are the names of the calls.
func TestConstantsAreNames(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "calls.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all, names := contracts(t), 0
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.ValueSpec); ok && fmt.Sprint(s.Type) == "Call" {
			names++
			if value := s.Values[0].(*ast.BasicLit).Value; strconv.Quote(s.Names[0].Name) != value || all[Call(s.Names[0].Name)] == nil {
				t.Errorf("%s is %s", s.Names[0].Name, value)
			}
		}
		return true
	})
	if names != len(all) {
		t.Errorf("%d constants for %d calls", names, len(all))
	}
}

func TestFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at      Endpoint
		call    Call
		outcome store.Outcome
		want    string
	}{
		{Token, RotateRefreshToken, store.OutcomeRotated, "<nil>"},
		{Token, RotateRefreshToken, store.OutcomeRetried, "<nil>"},
		{Token, RotateRefreshToken, store.OutcomeReplayed, "400 invalid_grant (RFC 6749, section 5.2)"},
		{Token, RotateRefreshToken, store.OutcomeUnauthenticated, "401 invalid_client (RFC 6749, section 5.2)"},
		{Token, ExchangeToken, store.OutcomeExpired, "400 invalid_request (RFC 8693, section 2.2.2)"},
		{Token, PollDeviceCode, store.OutcomeExpired, "400 expired_token (RFC 8628, section 3.5)"},
		{Token, "RotateRefreshTokens", store.OutcomeRotated, "500 server_error (RFC 6749, section 4.1.2.1)"},
		{"", RotateRefreshToken, store.OutcomeRotated, "500 server_error (RFC 6749, section 4.1.2.1)"},
		{Token, RotateRefreshToken, "", "500 server_error (RFC 6749, section 4.1.2.1)"},
		{Token, RotateRefreshToken, "of a later release", "500 server_error (RFC 6749, section 4.1.2.1)"},
		{Authorization, CreateAuthorization, store.OutcomeInvalidScope, "303 invalid_scope (RFC 6749, section 4.1.2.1)"},
		{Authorization, CreateAuthorization, store.OutcomeTaken, "303 server_error (RFC 6749, section 4.1.2.1)"},
		{Authorization, CreateAuthorization, store.OutcomeUnknown, "page 400 Bad Request (RFC 6749, section 4.1.2.1)"},
		{Authorization, ApproveAuthorization, store.OutcomeSignedOut, "303 login_required (OpenID Connect Core 1.0, section 3.1.2.6)"},
		{PushedAuthorization, CreateAuthorization, store.OutcomeUnknown, "401 invalid_client (RFC 6749, section 5.2)"},
		{PushedAuthorization, CreateAuthorization, store.OutcomeInvalidScope, "400 invalid_scope (RFC 6749, section 5.2)"},
		{Introspection, IntrospectToken, store.OutcomeInactive, "<nil>"},
		{ProtectedResource, IntrospectToken, store.OutcomeInactive, "401 invalid_token (RFC 6750, section 3.1)"},
		{Revocation, RevokeToken, store.OutcomeUnknown, "<nil>"},
		{Registration, UpdateRegistration, store.OutcomeDisabled, "403 Forbidden (RFC 7592, section 2.2)"},
	} {
		got := "<nil>"
		if e := For(c.at, c.call, c.outcome); e != nil {
			if got = fmt.Sprintf("%d %v", e.Status, e); e.Page {
				got = "page " + got
			}
		}
		if got != c.want {
			t.Errorf("%s, %s, %s: %s, want %s", c.at, c.call, c.outcome, got, c.want)
		}
	}
}

func TestForAssertion(t *testing.T) {
	t.Parallel()
	for row, want := range map[*store.IssueTokenByAssertionRow]string{
		{Outcome: store.OutcomeProofReplayed}:                      "invalid_grant (RFC 7523, section 3.1)",
		{Outcome: store.OutcomeProofReplayed, ReplayedProof: true}: "invalid_dpop_proof (RFC 9449, section 5)",
		{Outcome: store.OutcomeUntrusted}:                          "invalid_grant (RFC 7523, section 3.1)",
	} {
		if e := ForAssertion(*row); e == nil || e.Error() != want {
			t.Errorf("%+v: %v, want %s", *row, e, want)
		}
	}
	if e := ForAssertion(store.IssueTokenByAssertionRow{Outcome: store.OutcomeIssued}); e != nil {
		t.Error(e)
	}
}

func TestErrorIsAnErrorResponse(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(For(Token, RotateRefreshToken, store.OutcomeRevoked))
	if err != nil || string(b) != `{"error":"invalid_grant"}` {
		t.Errorf("%s, %v", b, err)
	}
}

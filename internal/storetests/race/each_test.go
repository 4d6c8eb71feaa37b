package race

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oauthdb/oauthdb/internal/queryfile"
)

// raceOf names, for each query that writes by what it finds, the test that races it. (A plain INSERT of new values finds nothing:
// of two with the same key, its constraint refuses one.)
var raceOf = map[string]string{
	"ApproveAuthorization":             "TestRaceDecisions",
	"ClaimLogoutDeliveries":            "TestRaceLogoutDeliveries",
	"CountAttempt":                     "TestRaceAttemptsAreCountedExactly",
	"CreateAuthorization":              "TestRaceDecisions",
	"CreateBackchannelAuthentication":  "TestRaceDeviceCodes",
	"CreateDeviceAuthorization":        "TestRaceDeviceCodes",
	"CreateOneTimeCode":                "TestRaceOneTimeCodeIsAcceptedOnce",
	"CreatePasskey":                    "TestRaceSecondFactorsAreUsedOnce",
	"CreatePairwiseSubject":            "TestRacePairwiseSubjectIsGivenOnce",
	"CreateSession":                    "TestRaceSessionsWithAMaximum",
	"CreateTOTP":                       "TestRaceSecondFactorsAreUsedOnce",
	"DeleteAccount":                    "TestRaceUpdatesLoseNothing",
	"DeleteClient":                     "TestRaceEachEndIsToldOnce",
	"DeleteDeadAccessTokens":           "TestRaceCollectorsShareTheWork",
	"DeleteDeadConsents":               "TestRaceCollectorsShareTheWork",
	"DeleteEndedAuthorizations":        "TestRaceCollectorsShareTheWork",
	"DeleteExpiredAccessTokens":        "TestRaceCollectorsShareTheWork",
	"DeleteExpiredAttemptCounts":       "TestRaceCollectorsShareTheWork",
	"DeleteExpiredAuthorizations":      "TestRaceCollectorsShareTheWork",
	"DeleteExpiredClientAssertions":    "TestRaceCollectorsShareTheWork",
	"DeleteExpiredClientSecrets":       "TestRaceCollectorsShareTheWork",
	"DeleteExpiredPolledRequests":      "TestRaceCollectorsShareTheWork",
	"DeleteExpiredOneTimeCodes":        "TestRaceCollectorsShareTheWork",
	"DeleteExpiredProofs":              "TestRaceCollectorsShareTheWork",
	"DeleteExpiredSecurityEvents":      "TestRaceCollectorsShareTheWork",
	"DeleteExpiredRefreshTokens":       "TestRaceCollectorsShareTheWork",
	"DeleteExpiredSessions":            "TestRaceCollectorsShareTheWork",
	"DeleteExpiredSigningKeys":         "TestRaceCollectorsShareTheWork",
	"DeleteExpiredVerifications":       "TestRaceCollectorsShareTheWork",
	"DeleteExpiredDeviceCodes":         "TestRaceCollectorsShareTheWork",
	"DeletePasskey":                    "TestRaceSecondFactorsAreUsedOnce",
	"DeleteRecoveryCodes":              "TestRaceRecoveryCodes",
	"DeleteSigningKey":                 "TestRaceUpdatesLoseNothing",
	"DeleteSpentRefreshTokens":         "TestRaceCollectorsShareTheWork",
	"DeleteTOTP":                       "TestRaceSecondFactorsAreUsedOnce",
	"DeleteUser":                       "TestRaceEachEndIsToldOnce",
	"DenyAuthorization":                "TestRaceDecisions",
	"DeleteTrustedIssuer":              "TestRaceAssertionsOfAnIssuerThatIsDisabled",
	"DisableClient":                    "TestRaceEachEndIsToldOnce",
	"DisableTrustedIssuer":             "TestRaceAssertionsOfAnIssuerThatIsDisabled",
	"EnableClient":                     "TestRaceEachEndIsToldOnce",
	"EnableTrustedIssuer":              "TestRaceAssertionsOfAnIssuerThatIsDisabled",
	"EndSession":                       "TestRaceEachEndIsToldOnce",
	"EndUserSessions":                  "TestRaceEachEndIsToldOnce",
	"EraseDeletedClients":              "TestRaceCollectorsShareTheWork",
	"EraseDeletedUsers":                "TestRaceCollectorsShareTheWork",
	"ExchangeToken":                    "TestRaceSameCallIsRetried",
	"ExtendSession":                    "TestRaceUpdatesLoseNothing",
	"FinishLogoutDelivery":             "TestRaceLogoutDeliveries",
	"FindAuthorizationByUserCode":      "TestRaceDeviceCodes",
	"FindAuthorizationByRequestURI":    "TestRacePushedRequestIsFoundByAll",
	"GrantAuthorization":               "TestRaceGrantsHeldHalfway",
	"GrantConsent":                     "TestRaceSameCallIsRetried",
	"IssueAccessToken":                 "TestRaceSameCallIsRetried",
	"IssueAuthorizationCode":           "TestRaceDecisions",
	"IssueTokenByAssertion":            "TestRaceSameCallIsRetried",
	"IssueGrant":                       "TestRaceSameCallIsRetried",
	"MarkDeadAuthorizations":           "TestRaceCollectorsShareTheWork",
	"MarkEndedSessions":                "TestRaceCollectorsShareTheWork",
	"PollDeviceCode":                   "TestRaceDeviceCodes",
	"ReauthenticateSession":            "TestRaceUpdatesLoseNothing",
	"RedeemAuthorizationCode":          "TestRaceCodeIsRedeemedOnce",
	"RedeemOneTimeCode":                "TestRaceOneTimeCodeIsAcceptedOnce",
	"MarkUnusedClients":                "TestRaceGrantToAClientThatIsUnused",
	"ReplaceForeignSecretHash":         "TestRaceFirstUseOfAForeignSecret",
	"RetireReplacedSigningKeys":        "TestRaceSigningKeys",
	"RotateSigningKeyIfDue":            "TestRaceSigningKeys",
	"ReinstateUser":                    "TestRaceEachEndIsToldOnce",
	"RememberClientAssertion":          "TestRaceSameCallIsRetried",
	"RememberProof":                    "TestRaceSameCallIsRetried",
	"ReplaceRecoveryCodes":             "TestRaceRecoveryCodes",
	"ResetAttempts":                    "TestRaceAttemptsAreCountedExactly",
	"RetireSigningKey":                 "TestRaceUpdatesLoseNothing",
	"RevokeAccessTokenByID":            "TestRaceEachEndIsToldOnce",
	"RevokeAuthorization":              "TestRaceEachEndIsToldOnce",
	"RevokeClientAuthorizations":       "TestRaceEachEndIsToldOnce",
	"RevokeToken":                      "TestRaceEachEndIsToldOnce",
	"RevokeUserAuthorizations":         "TestRaceEachEndIsToldOnce",
	"RevokeUserAuthorizationsByClient": "TestRaceEachEndIsToldOnce",
	"RotateClientSecret":               "TestRaceSameCallIsRetried",
	"RotateRefreshToken":               "TestRaceRotationsConverge",
	"SetRegistrationAccessToken":       "TestRaceUpdatesLoseNothing",
	"SuspendUser":                      "TestRaceEachEndIsToldOnce",
	"SweepSessionClients":              "TestRaceCollectorsShareTheWork",
	"TakeAuthorizationByRequestURI":    "TestRaceSameCallIsRetried",
	"UpdateAccountPassword":            "TestRaceUpdatesLoseNothing",
	"UpdateAccountTokens":              "TestRaceUpdatesLoseNothing",
	"UpdateClient":                     "TestRaceUpdatesLoseNothing",
	"UpdateTrustedIssuer":              "TestRaceAssertionsOfAnIssuerThatIsDisabled",
	"UpdateUser":                       "TestRaceUpdatesLoseNothing",
	"UsePasskey":                       "TestRaceSecondFactorsAreUsedOnce",
	"UseRecoveryCode":                  "TestRaceRecoveryCodes",
	"UseTOTP":                          "TestRaceSecondFactorsAreUsedOnce",
	"WithdrawConsent":                  "TestRaceEachEndIsToldOnce",
	"RegisterClient":                   "TestRaceInitialAccessTokenIsSpentOnceForEachClient",
	"RevokeInitialAccessToken":         "TestRaceInitialAccessTokenIsSpentOnceForEachClient",
	"DeleteExpiredInitialAccessTokens": "TestRaceCollectorsShareTheWork",
	"UpdateRegistration":               "TestRaceRegistrationIsManagedByOneToken",
	"FindClientByRegistrationToken":    "TestRaceRegistrationIsManagedByOneToken",
	"DeleteRegistration":               "TestRaceRegistrationIsManagedByOneToken",
	"PutClientDocument":                "TestRaceLatestFetchOfADocumentStays",
	"RefreshClientDocument":            "TestRaceLatestFetchOfADocumentStays",
}

// conditionalWrites are the queries that write by what they find.
func conditionalWrites(t *testing.T) (names []string) {
	t.Helper()
	comment := regexp.MustCompile(`(?m)--.*$`)
	writes := regexp.MustCompile(`\b(INSERT INTO|UPDATE\s+\S+\s+AS|DELETE FROM)\b`)
	plain := regexp.MustCompile(`(?s)^\s*INSERT INTO [^;]*\bVALUES\b`)
	finds := regexp.MustCompile(`\b(ON CONFLICT|FROM|UPDATE|DELETE)\b`)
	queries, err := queryfile.ReadDir("../../../queries")
	if err != nil {
		t.Fatal(err)
	}
	// routines that write, and what calls them
	routines, err := filepath.Glob("../../../routines/*.sql")
	if err != nil || len(routines) == 0 {
		t.Fatalf("no routines: %v", err)
	}
	inside := map[string]string{}
	for _, file := range routines {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		inside[strings.TrimSuffix(filepath.Base(file), ".sql")] = comment.ReplaceAllString(string(text), "")
	}
	calls := func(sql string) bool { return false }
	var writing []string
	for grown := true; grown; {
		grown = false
		for name, sql := range inside {
			if !slices.Contains(writing, name) && (writes.MatchString(sql) || calls(sql)) {
				writing, grown = append(writing, name), true
			}
		}
		pattern := regexp.MustCompile(`\b(` + strings.Join(writing, "|") + `)\(`)
		calls = func(sql string) bool { return pattern.MatchString(sql) }
	}
	for _, q := range queries {
		sql := comment.ReplaceAllString(q.SQL, "")
		if (writes.MatchString(sql) || calls(sql)) && !(plain.MatchString(sql) && !finds.MatchString(sql)) {
			names = append(names, q.Name)
		}
	}
	return names
}

// TestRaceOfEachConditionalWrite holds raceOf to the queries and to the tests: each query that writes by what it finds is in it, and
// the test that it names calls the query, be it by way of other functions and tables of this package and of the fixture.
func TestRaceOfEachConditionalWrite(t *testing.T) {
	t.Parallel()
	queries := conditionalWrites(t)
	for _, q := range queries {
		if raceOf[q] == "" {
			t.Errorf("%s writes by what it finds, and no test races it: write one, and name it in raceOf", q)
		}
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	fixture, err := filepath.Glob("../fixture/*.go")
	if err != nil || len(fixture) == 0 {
		t.Fatalf("no fixture: %v", err)
	}
	names := map[string]map[string]bool{} // what a declaration of the tests mentions
	methods := map[string]map[string]bool{}
	for _, file := range append(files, fixture...) {
		f, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		note := func(name string, in ast.Node) {
			if names[name] == nil {
				names[name], methods[name] = map[string]bool{}, map[string]bool{}
			}
			ast.Inspect(in, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.Ident:
					names[name][n.Name] = true
				case *ast.CallExpr:
					if s, ok := n.Fun.(*ast.SelectorExpr); ok {
						methods[name][s.Sel.Name] = true
					}
				}
				return true
			})
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Body != nil {
					note(d.Name.Name, d.Body)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						for i, value := range v.Values {
							note(v.Names[i].Name, value)
						}
					}
				}
			}
		}
	}
	for q, test := range raceOf {
		if !slices.Contains(queries, q) {
			t.Errorf("raceOf has %s, which is no query that writes by what it finds", q)
		}
		if names[test] == nil || !strings.HasPrefix(test, "TestRace") {
			t.Errorf("raceOf has %s raced by %s, which is no race test", q, test)
			continue
		}
		seen, next := map[string]bool{test: true}, []string{test}
		called := false
		for len(next) > 0 && !called {
			name := next[0]
			next = next[1:]
			called = methods[name][q]
			for mentioned := range names[name] {
				if !seen[mentioned] && names[mentioned] != nil {
					seen[mentioned] = true
					next = append(next, mentioned)
				}
			}
		}
		if !called {
			t.Errorf("raceOf has %s raced by %s, which does not call it", q, test)
		}
	}
}

package contract

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/oauthdb/oauthdb/store"
)

// Races runs the races of [Run] alone: for each call that writes by what it finds, a subtest in which [Parallel] callers make it at
// once. It can be run again on the same store.
func Races(t *testing.T, s Store) {
	for _, race := range races {
		t.Run(race.name, func(t *testing.T) { race.run(t, s) })
	}
}

// Raced are the names of the calls that [Run] races.
func Raced() []string {
	var calls []string
	for _, race := range races {
		calls = append(calls, race.name)
	}
	for _, c := range collections {
		calls = append(calls, c.call)
	}
	return calls
}

// races are named for the call that they race.
var races = []promise{
	{"UpdateUser", "Users", userUpdatesAddUp},
	{"SuspendUser", people, userIsSuspendedOnce},
	{"ReinstateUser", "Users", userIsReinstatedOnce},
	{"DeleteUser", people, userIsDeletedOnce},

	{"UpdateAccountPassword", "Users Accounts", passwordIsReplaced},
	{"UpdateAccountTokens", "Users Accounts", accountUpdatesAddUp},
	{"DeleteAccount", "Users Accounts", lastAccountStays},

	{"CreateSession", people, maximumOfSessionsHolds},
	{"ExtendSession", people, longestExtensionStays},
	{"ReauthenticateSession", people, oneCookieCounts},
	{"EndSession", people, sessionIsEndedOnce},
	{"EndUserSessions", people, userSessionsAreEnded},

	{"CreatePasskey", "Users Factors", passkeysAreStored},
	{"UsePasskey", "Users Factors", counterIsAcceptedOnce},
	{"DeletePasskey", "Users Factors", passkeyIsDeletedOnce},
	{"CreateTOTP", "Users Factors", authenticatorsAreStored},
	{"UseTOTP", "Users Factors", stepIsAcceptedOnce},
	{"DeleteTOTP", "Users Factors", authenticatorIsDeletedOnce},
	{"ReplaceRecoveryCodes", "Users Factors", oneSetOfRecoveryCodesCounts},
	{"UseRecoveryCode", "Users Factors", recoveryCodeIsAcceptedOnce},
	{"DeleteRecoveryCodes", "Users Factors", recoveryCodesAreDeletedOnce},
	{"CreateOneTimeCode", "Factors", oneOneTimeCodeCounts},
	{"RedeemOneTimeCode", "Factors", oneTimeCodeIsAcceptedOnce},
	{"CountAttempt", "Factors", attemptsAreCounted},
	{"ResetAttempts", "Factors", attemptsAreForgottenOnce},

	{"UpdateClient", "Clients", clientUpdatesAddUp},
	{"DisableClient", "Clients", clientIsDisabled},
	{"EnableClient", "Clients", clientIsEnabled},
	{"DeleteClient", "Clients", clientIsDeletedOnce},
	{"RotateClientSecret", "Clients", secretsAreReplaced},
	{"ReplaceForeignSecretHash", "Clients", foreignSecretIsReplacedOnce},

	{"RegisterClient", people + "Registrations", registrationsAreCounted},
	{"RevokeInitialAccessToken", "Registrations", initialAccessTokenIsRevokedOnce},
	{"FindClientByRegistrationToken", "Registrations", usedRegistrationTokenEndsItsPredecessor},
	{"UpdateRegistration", "Registrations", registrationIsUpdatedByOne},
	{"SetRegistrationAccessToken", "Registrations", oneRegistrationTokenManages},
	{"DeleteRegistration", "Registrations", registrationIsDeletedOnce},
	{"PutClientDocument", "ClientDocuments", latestDocumentStays},
	{"RefreshClientDocument", "ClientDocuments", documentIsRefreshedOnce},

	{"GrantConsent", people + "Consents", consentsAddUp},
	{"WithdrawConsent", people + "Consents", consentIsWithdrawnOnce},

	{"CreateAuthorization", people + "Requests", requestsAreStored},
	{"FindAuthorizationByRequestURI", people + "Requests", pushedRequestIsFoundByAll},
	{"TakeAuthorizationByRequestURI", people + "Requests", pushedRequestIsTakenOnce},
	{"ApproveAuthorization", people + "Requests", requestIsApprovedOnce},
	{"DenyAuthorization", people + "Requests", requestIsDeniedOnce},
	{"IssueAuthorizationCode", granting, oneCodeCounts},
	{"GrantAuthorization", granting, codesAreGranted},

	{"RedeemAuthorizationCode", granting, codeIsRedeemedOnce},
	{"RotateRefreshToken", granting, refreshesConverge},
	{"IssueGrant", granting + "Revocation", grantIsIssuedOnce},
	{"ImportRefreshToken", people + "Imports Grants Introspection Revocation", grantIsImportedOnce},
	{"ImportConsent", people + "Imports Consents", consentIsImportedOnce},
	{"IssueAccessToken", people + "ClientCredentials Introspection", clientsTokenIsIssuedOnce},
	{"CreateDeviceAuthorization", people + "PolledRequests", userCodeIsTakenOnce},
	{"CreateBackchannelAuthentication", people + "PolledRequests", backchannelRequestsAreStored},
	{"FindAuthorizationByUserCode", people + "PolledRequests", userCodeIsClaimedByOneUser},
	{"PollDeviceCode", granting + "PolledRequests", deviceIsGrantedOnce},
	{"ExchangeToken", granting + "Exchanges", tokenIsExchangedOnce},
	{"IssueTokenByAssertion", people + "Accounts Assertions Introspection", assertionIsAcceptedOnce},
	{"UpdateTrustedIssuer", "Assertions", issuerIsReplaced},
	{"DisableTrustedIssuer", "Assertions", issuerIsDisabled},
	{"EnableTrustedIssuer", "Assertions", issuerIsEnabled},
	{"DeleteTrustedIssuer", "Assertions", issuerIsDeletedOnce},
	{"RememberProof", granting + "Proofs", proofsAreAcceptedOnce},
	{"RememberClientAssertion", "Proofs", clientAssertionIsAcceptedOnce},

	{"RevokeToken", granting + "Revocation", tokenIsRevokedOnce},
	{"RevokeAccessTokenByID", granting + "Revocation", accessTokenIsRevokedOnce},
	{"RevokeAuthorization", granting + "Revocation", familyIsRevokedOnce},
	{"RevokeUserAuthorizations", granting + "Revocation", grantsOfUserAreEnded},
	{"RevokeUserAuthorizationsByClient", granting + "Revocation", grantsOfUserToClientAreEnded},
	{"RevokeClientAuthorizations", granting + "Revocation", grantsOfClientAreEnded},
	{"ClaimLogoutDeliveries", granting + "SignOuts", deliveryIsClaimedOnce},
	{"FinishLogoutDelivery", granting + "SignOuts", deliveryIsFinishedOnce},

	{"CreatePairwiseSubject", "Users Clients Subjects", subjectIsGivenOnce},
	{"RotateSigningKeyIfDue", "SigningKeys", keyIsRotatedOnce},
	{"RetireReplacedSigningKeys", "SigningKeys", replacedKeysAreRetiredOnce},
	{"RetireSigningKey", "SigningKeys", shortestRetirementStays},
	{"DeleteSigningKey", "SigningKeys", keyIsDeletedOnce},
}

// once is what callers are told where one of them is told the first outcome, and all others the second.
func once(first, others store.Outcome) map[store.Outcome]int {
	return map[store.Outcome]int{first: 1, others: Parallel - 1}
}

// each is what callers are told where all of them are told the same.
func each(outcome store.Outcome) map[store.Outcome]int {
	return map[store.Outcome]int{outcome: Parallel}
}

// found is an outcome for calls that answer a row or none.
func found(err error) (store.Outcome, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return store.OutcomeUnknown, nil
	}
	return store.OutcomeActive, err
}

// race has callers make a call at once, and wants to hear these outcomes.
func (w *world) race(want map[store.Outcome]int, call func(i int) (store.Outcome, error)) {
	w.Helper()
	w.counts(w.atOnce(call), want)
}

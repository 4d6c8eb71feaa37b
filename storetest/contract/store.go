package contract

import (
	"context"
	"reflect"
	"strings"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// Store is what the suite runs on: the calls of store.Querier, grouped by what a server does with them. Each field is a store that
// makes the calls of one group, and all may be the same one; see [Of]. A field that is nil is a group that isn't implemented: the
// promises that need it are skipped.
//
// A call has to keep the contract that stands above it in package store.
type Store struct {
	Users
	Accounts
	Sessions
	Factors
	Clients
	Registrations
	ClientDocuments
	Consents
	Requests
	Grants
	Imports
	ClientCredentials
	PolledRequests
	Exchanges
	Assertions
	Proofs
	Introspection
	Revocation
	SignOuts
	Subjects
	SigningKeys
	Collection
}

// Of is a store that implements all groups. Replace the fields of groups that something else implements.
func Of(q store.Querier) Store {
	return Store{
		Users:             q,
		Accounts:          q,
		Sessions:          q,
		Factors:           q,
		Clients:           q,
		Registrations:     q,
		ClientDocuments:   q,
		Consents:          q,
		Requests:          q,
		Grants:            q,
		Imports:           q,
		ClientCredentials: q,
		PolledRequests:    q,
		Exchanges:         q,
		Assertions:        q,
		Proofs:            q,
		Introspection:     q,
		Revocation:        q,
		SignOuts:          q,
		Subjects:          q,
		SigningKeys:       q,
		Collection:        q,
	}
}

// only is the store with these groups and no others, so that a promise that doesn't name a group can't use it. missing is one that the
// store doesn't have.
func (s Store) only(groups string) (narrow Store, missing string) {
	from, to := reflect.ValueOf(s), reflect.ValueOf(&narrow).Elem()
	for _, group := range strings.Fields(groups) {
		field := from.FieldByName(group)
		if field.IsNil() {
			return Store{}, group
		}
		to.FieldByName(group).Set(field)
	}
	return narrow, ""
}

// Users are people, and their suspension and deletion.
type Users interface {
	CreateUser(ctx context.Context, arg store.CreateUserParams) (store.User, error)
	UpdateUser(ctx context.Context, arg store.UpdateUserParams) (store.User, error)
	SuspendUser(ctx context.Context, id store.UserID) (store.SuspendUserRow, error)
	ReinstateUser(ctx context.Context, id store.UserID) (store.Outcome, error)
	DeleteUser(ctx context.Context, id store.UserID) (store.DeleteUserRow, error)
}

// Accounts are how users sign in: by a password, or at another provider.
type Accounts interface {
	CreateAccount(ctx context.Context, arg store.CreateAccountParams) (store.Account, error)
	GetAccount(ctx context.Context, id store.AccountID) (store.Account, error)
	UpdateAccountPassword(ctx context.Context, arg store.UpdateAccountPasswordParams) (store.Account, error)
	UpdateAccountTokens(ctx context.Context, arg store.UpdateAccountTokensParams) (store.Account, error)
	DeleteAccount(ctx context.Context, arg store.DeleteAccountParams) (store.Outcome, error)
}

// Sessions are sign-ins.
type Sessions interface {
	CreateSession(ctx context.Context, arg store.CreateSessionParams) (store.CreateSessionRow, error)
	FindSessionByToken(ctx context.Context, argToken token.Digest) (store.FindSessionByTokenRow, error)
	ListUserSessions(ctx context.Context, arg store.ListUserSessionsParams) ([]store.Session, error)
	ExtendSession(ctx context.Context, arg store.ExtendSessionParams) (store.ExtendSessionRow, error)
	ReauthenticateSession(ctx context.Context, arg store.ReauthenticateSessionParams) (store.ReauthenticateSessionRow, error)
	EndSession(ctx context.Context, id store.SessionID) (store.EndSessionRow, error)
	EndUserSessions(ctx context.Context, arg store.EndUserSessionsParams) (store.EndUserSessionsRow, error)
}

// Factors are passkeys, one-time passwords, recovery codes and codes by mail, and the count of attempts to guess one.
type Factors interface {
	CreatePasskey(ctx context.Context, arg store.CreatePasskeyParams) (store.Outcome, error)
	UsePasskey(ctx context.Context, arg store.UsePasskeyParams) (store.UsePasskeyRow, error)
	DeletePasskey(ctx context.Context, arg store.DeletePasskeyParams) (store.Outcome, error)
	CreateTOTP(ctx context.Context, arg store.CreateTOTPParams) (store.Outcome, error)
	UseTOTP(ctx context.Context, arg store.UseTOTPParams) (store.Outcome, error)
	DeleteTOTP(ctx context.Context, arg store.DeleteTOTPParams) (store.Outcome, error)
	ReplaceRecoveryCodes(ctx context.Context, arg store.ReplaceRecoveryCodesParams) (store.ReplaceRecoveryCodesRow, error)
	UseRecoveryCode(ctx context.Context, arg store.UseRecoveryCodeParams) (store.UseRecoveryCodeRow, error)
	DeleteRecoveryCodes(ctx context.Context, userID store.UserID) (store.Outcome, error)
	CreateOneTimeCode(ctx context.Context, arg store.CreateOneTimeCodeParams) (store.OneTimeCode, error)
	RedeemOneTimeCode(ctx context.Context, arg store.RedeemOneTimeCodeParams) (store.RedeemOneTimeCodeRow, error)
	CountAttempt(ctx context.Context, arg store.CountAttemptParams) (store.CountAttemptRow, error)
	ResetAttempts(ctx context.Context, arg store.ResetAttemptsParams) (store.Outcome, error)
}

// Clients are registered clients and their secrets.
type Clients interface {
	CreateClient(ctx context.Context, arg store.CreateClientParams) (store.OAuthClient, error)
	GetClient(ctx context.Context, clientID store.ClientID) (store.OAuthClient, error)
	UpdateClient(ctx context.Context, arg store.UpdateClientParams) (store.OAuthClient, error)
	DisableClient(ctx context.Context, clientID store.ClientID) (store.Outcome, error)
	EnableClient(ctx context.Context, clientID store.ClientID) (store.Outcome, error)
	DeleteClient(ctx context.Context, clientID store.ClientID) (store.Outcome, error)
	AuthenticateClient(ctx context.Context, arg store.AuthenticateClientParams) (store.Outcome, error)
	RotateClientSecret(ctx context.Context, arg store.RotateClientSecretParams) (store.Outcome, error)
	ReplaceForeignSecretHash(ctx context.Context, arg store.ReplaceForeignSecretHashParams) (store.Outcome, error)
}

// Registrations let clients register themselves (RFC 7591, RFC 7592).
type Registrations interface {
	CreateInitialAccessToken(ctx context.Context, arg store.CreateInitialAccessTokenParams) (store.OAuthInitialAccessToken, error)
	RevokeInitialAccessToken(ctx context.Context, id store.InitialAccessTokenID) (store.Outcome, error)
	RegisterClient(ctx context.Context, arg store.RegisterClientParams) (store.RegisterClientRow, error)
	FindClientByRegistrationToken(ctx context.Context, arg store.FindClientByRegistrationTokenParams) (store.OAuthClient, error)
	UpdateRegistration(ctx context.Context, arg store.UpdateRegistrationParams) (store.UpdateRegistrationRow, error)
	SetRegistrationAccessToken(ctx context.Context, arg store.SetRegistrationAccessTokenParams) (store.Outcome, error)
	DeleteRegistration(ctx context.Context, arg store.DeleteRegistrationParams) (store.Outcome, error)
}

// ClientDocuments are clients whose identifier is the address of their metadata.
type ClientDocuments interface {
	PutClientDocument(ctx context.Context, arg store.PutClientDocumentParams) (store.PutClientDocumentRow, error)
	RefreshClientDocument(ctx context.Context, arg store.RefreshClientDocumentParams) (store.RefreshClientDocumentRow, error)
}

// Consents are what users have agreed to.
type Consents interface {
	CheckConsent(ctx context.Context, arg store.CheckConsentParams) (store.CheckConsentRow, error)
	FindConsent(ctx context.Context, arg store.FindConsentParams) (store.OAuthConsent, error)
	GrantConsent(ctx context.Context, arg store.GrantConsentParams) (store.GrantConsentRow, error)
	WithdrawConsent(ctx context.Context, arg store.WithdrawConsentParams) (store.WithdrawConsentRow, error)
}

// Requests take an authorization request from the client to the user's decision and the code.
type Requests interface {
	CreateAuthorization(ctx context.Context, arg store.CreateAuthorizationParams) (store.CreateAuthorizationRow, error)
	FindAuthorizationByRequestURI(ctx context.Context, arg store.FindAuthorizationByRequestURIParams) (store.OAuthAuthorization, error)
	TakeAuthorizationByRequestURI(ctx context.Context, arg store.TakeAuthorizationByRequestURIParams) (store.OAuthAuthorization, error)
	ApproveAuthorization(ctx context.Context, arg store.ApproveAuthorizationParams) (store.ApproveAuthorizationRow, error)
	DenyAuthorization(ctx context.Context, arg store.DenyAuthorizationParams) (store.DenyAuthorizationRow, error)
	IssueAuthorizationCode(ctx context.Context, arg store.IssueAuthorizationCodeParams) (store.IssueAuthorizationCodeRow, error)
	GrantAuthorization(ctx context.Context, arg store.GrantAuthorizationParams) (store.Outcome, error)
}

// Grants issue tokens on behalf of a user: for a code, for a refresh token, or without a request.
type Grants interface {
	RedeemAuthorizationCode(ctx context.Context, arg store.RedeemAuthorizationCodeParams) (store.RedeemAuthorizationCodeRow, error)
	RotateRefreshToken(ctx context.Context, arg store.RotateRefreshTokenParams) (store.RotateRefreshTokenRow, error)
	IssueGrant(ctx context.Context, arg store.IssueGrantParams) (store.IssueGrantRow, error)
}

// Imports take over what users had granted and agreed to on another server.
type Imports interface {
	ImportRefreshToken(ctx context.Context, arg store.ImportRefreshTokenParams) (store.Outcome, error)
	ImportConsent(ctx context.Context, arg store.ImportConsentParams) (store.Outcome, error)
}

// ClientCredentials issue tokens to a client itself (RFC 6749, section 4.4).
type ClientCredentials interface {
	IssueAccessToken(ctx context.Context, arg store.IssueAccessTokenParams) (store.IssueAccessTokenRow, error)
}

// PolledRequests are those of devices (RFC 8628) and of CIBA.
type PolledRequests interface {
	CreateDeviceAuthorization(ctx context.Context, arg store.CreateDeviceAuthorizationParams) (store.CreateDeviceAuthorizationRow, error)
	CreateBackchannelAuthentication(ctx context.Context, arg store.CreateBackchannelAuthenticationParams) (store.CreateBackchannelAuthenticationRow, error)
	FindAuthorizationByUserCode(ctx context.Context, arg store.FindAuthorizationByUserCodeParams) (store.FindAuthorizationByUserCodeRow, error)
	PollDeviceCode(ctx context.Context, arg store.PollDeviceCodeParams) (store.PollDeviceCodeRow, error)
}

// Exchanges exchange tokens (RFC 8693).
type Exchanges interface {
	ExchangeToken(ctx context.Context, arg store.ExchangeTokenParams) (store.ExchangeTokenRow, error)
}

// Assertions issue tokens for the assertions of trusted issuers (RFC 7523).
type Assertions interface {
	CreateTrustedIssuer(ctx context.Context, arg store.CreateTrustedIssuerParams) (store.OAuthTrustedIssuer, error)
	GetTrustedIssuer(ctx context.Context, id store.TrustedIssuerID) (store.OAuthTrustedIssuer, error)
	UpdateTrustedIssuer(ctx context.Context, arg store.UpdateTrustedIssuerParams) (store.OAuthTrustedIssuer, error)
	DisableTrustedIssuer(ctx context.Context, id store.TrustedIssuerID) (store.Outcome, error)
	EnableTrustedIssuer(ctx context.Context, id store.TrustedIssuerID) (store.Outcome, error)
	DeleteTrustedIssuer(ctx context.Context, id store.TrustedIssuerID) (store.Outcome, error)
	IssueTokenByAssertion(ctx context.Context, arg store.IssueTokenByAssertionParams) (store.IssueTokenByAssertionRow, error)
}

// Proofs remember what is accepted once: DPoP proofs (RFC 9449) and assertions by which clients authenticate.
type Proofs interface {
	RememberProof(ctx context.Context, arg store.RememberProofParams) (store.Outcome, error)
	RememberClientAssertion(ctx context.Context, arg store.RememberClientAssertionParams) (store.Outcome, error)
}

// Introspection says whether tokens are live (RFC 7662).
type Introspection interface {
	IntrospectToken(ctx context.Context, arg store.IntrospectTokenParams) (store.IntrospectTokenRow, error)
	IntrospectAccessToken(ctx context.Context, arg store.IntrospectAccessTokenParams) (store.IntrospectAccessTokenRow, error)
	IntrospectRefreshToken(ctx context.Context, arg store.IntrospectRefreshTokenParams) (store.IntrospectRefreshTokenRow, error)
	IntrospectAuthorization(ctx context.Context, arg store.IntrospectAuthorizationParams) (store.IntrospectAuthorizationRow, error)
	FindRefreshTokenByToken(ctx context.Context, argToken token.Digest) (store.OAuthRefreshToken, error)
}

// Revocation ends tokens and grants (RFC 7009).
type Revocation interface {
	RevokeToken(ctx context.Context, arg store.RevokeTokenParams) (store.RevokeTokenRow, error)
	RevokeAccessTokenByID(ctx context.Context, arg store.RevokeAccessTokenByIDParams) (store.RevokeAccessTokenByIDRow, error)
	RevokeAuthorization(ctx context.Context, id store.AuthorizationID) (store.RevokeAuthorizationRow, error)
	RevokeUserAuthorizations(ctx context.Context, userID store.UserID) (store.Outcome, error)
	RevokeUserAuthorizationsByClient(ctx context.Context, arg store.RevokeUserAuthorizationsByClientParams) (store.Outcome, error)
	RevokeClientAuthorizations(ctx context.Context, clientID store.ClientID) (store.Outcome, error)
}

// SignOuts tell clients that a session has ended (OpenID Connect Back-Channel Logout 1.0).
type SignOuts interface {
	ListSessionClients(ctx context.Context, sessionID store.SessionID) ([]store.SessionClient, error)
	ClaimLogoutDeliveries(ctx context.Context, arg store.ClaimLogoutDeliveriesParams) ([]store.ClaimLogoutDeliveriesRow, error)
	FinishLogoutDelivery(ctx context.Context, arg store.FinishLogoutDeliveryParams) (store.FinishLogoutDeliveryRow, error)
}

// Subjects are the pairwise identifiers of users (OpenID Connect Core 1.0, section 8.1).
type Subjects interface {
	CreatePairwiseSubject(ctx context.Context, arg store.CreatePairwiseSubjectParams) (store.Outcome, error)
	FindUserBySubject(ctx context.Context, arg store.FindUserBySubjectParams) (store.User, error)
}

// SigningKeys are made, published and retired.
type SigningKeys interface {
	CreateSigningKey(ctx context.Context, arg store.CreateSigningKeyParams) (store.SigningKey, error)
	RotateSigningKeyIfDue(ctx context.Context, arg store.RotateSigningKeyIfDueParams) (store.RotateSigningKeyIfDueRow, error)
	RetireReplacedSigningKeys(ctx context.Context, arg store.RetireReplacedSigningKeysParams) ([]store.SigningKey, error)
	RetireSigningKey(ctx context.Context, arg store.RetireSigningKeyParams) (store.SigningKey, error)
	DeleteSigningKey(ctx context.Context, id store.SigningKeyID) (store.SigningKeyID, error)
}

// Collection deletes what has expired or was ended, as db.Collector does.
type Collection interface {
	DeleteDeadAccessTokens(ctx context.Context, arg store.DeleteDeadAccessTokensParams) (store.DeleteDeadAccessTokensRow, error)
	DeleteDeadConsents(ctx context.Context, arg store.DeleteDeadConsentsParams) (store.DeleteDeadConsentsRow, error)
	DeleteEndedAuthorizations(ctx context.Context, arg store.DeleteEndedAuthorizationsParams) (store.DeleteEndedAuthorizationsRow, error)
	DeleteExpiredAccessTokens(ctx context.Context, arg store.DeleteExpiredAccessTokensParams) (store.DeleteExpiredAccessTokensRow, error)
	DeleteExpiredAttemptCounts(ctx context.Context, arg store.DeleteExpiredAttemptCountsParams) (store.DeleteExpiredAttemptCountsRow, error)
	DeleteExpiredAuthorizations(ctx context.Context, arg store.DeleteExpiredAuthorizationsParams) (store.DeleteExpiredAuthorizationsRow, error)
	DeleteExpiredClientAssertions(ctx context.Context, arg store.DeleteExpiredClientAssertionsParams) (store.DeleteExpiredClientAssertionsRow, error)
	DeleteExpiredClientSecrets(ctx context.Context, arg store.DeleteExpiredClientSecretsParams) (store.DeleteExpiredClientSecretsRow, error)
	DeleteExpiredInitialAccessTokens(ctx context.Context, arg store.DeleteExpiredInitialAccessTokensParams) (store.DeleteExpiredInitialAccessTokensRow, error)
	DeleteExpiredOneTimeCodes(ctx context.Context, arg store.DeleteExpiredOneTimeCodesParams) (store.DeleteExpiredOneTimeCodesRow, error)
	DeleteExpiredPolledRequests(ctx context.Context, arg store.DeleteExpiredPolledRequestsParams) (store.DeleteExpiredPolledRequestsRow, error)
	DeleteExpiredProofs(ctx context.Context, arg store.DeleteExpiredProofsParams) (store.DeleteExpiredProofsRow, error)
	DeleteExpiredRefreshTokens(ctx context.Context, arg store.DeleteExpiredRefreshTokensParams) (store.DeleteExpiredRefreshTokensRow, error)
	DeleteExpiredSessions(ctx context.Context, arg store.DeleteExpiredSessionsParams) (store.DeleteExpiredSessionsRow, error)
	DeleteExpiredSigningKeys(ctx context.Context, arg store.DeleteExpiredSigningKeysParams) (store.DeleteExpiredSigningKeysRow, error)
	DeleteSpentRefreshTokens(ctx context.Context, arg store.DeleteSpentRefreshTokensParams) (store.DeleteSpentRefreshTokensRow, error)
	EraseDeletedClients(ctx context.Context, arg store.EraseDeletedClientsParams) (store.EraseDeletedClientsRow, error)
	EraseDeletedUsers(ctx context.Context, arg store.EraseDeletedUsersParams) (store.EraseDeletedUsersRow, error)
	MarkDeadAuthorizations(ctx context.Context, arg store.MarkDeadAuthorizationsParams) (store.MarkDeadAuthorizationsRow, error)
	MarkUnusedClients(ctx context.Context, arg store.MarkUnusedClientsParams) (store.MarkUnusedClientsRow, error)
	SweepSessionClients(ctx context.Context, arg store.SweepSessionClientsParams) (store.SweepSessionClientsRow, error)
}

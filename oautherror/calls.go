package oautherror

// Call is a method of store.Queries whose answer has an outcome.
type Call string

// The calls, by where most of them are made.
const (
	RedeemAuthorizationCode  Call = "RedeemAuthorizationCode"
	RotateRefreshToken       Call = "RotateRefreshToken"
	IssueAccessToken         Call = "IssueAccessToken"
	PollDeviceCode           Call = "PollDeviceCode"
	ExchangeToken            Call = "ExchangeToken"
	IssueTokenByAssertion    Call = "IssueTokenByAssertion"
	IssueGrant               Call = "IssueGrant"
	AuthenticateClient       Call = "AuthenticateClient"
	ReplaceForeignSecretHash Call = "ReplaceForeignSecretHash"
	RememberClientAssertion  Call = "RememberClientAssertion"
	RememberProof            Call = "RememberProof"

	CheckAuthorizationRequest Call = "CheckAuthorizationRequest"
	CreateAuthorization       Call = "CreateAuthorization"
	GrantAuthorization        Call = "GrantAuthorization"
	ApproveAuthorization      Call = "ApproveAuthorization"
	DenyAuthorization         Call = "DenyAuthorization"
	IssueAuthorizationCode    Call = "IssueAuthorizationCode"
	CheckConsent              Call = "CheckConsent"
	GrantConsent              Call = "GrantConsent"
	PutClientDocument         Call = "PutClientDocument"
	RefreshClientDocument     Call = "RefreshClientDocument"
	CreateSession             Call = "CreateSession"
	ExtendSession             Call = "ExtendSession"
	ReauthenticateSession     Call = "ReauthenticateSession"
	UsePasskey                Call = "UsePasskey"
	UseTOTP                   Call = "UseTOTP"
	UseRecoveryCode           Call = "UseRecoveryCode"

	CreateDeviceAuthorization       Call = "CreateDeviceAuthorization"
	CreateBackchannelAuthentication Call = "CreateBackchannelAuthentication"

	IntrospectToken           Call = "IntrospectToken"
	IntrospectAccessToken     Call = "IntrospectAccessToken"
	IntrospectAccessTokenByID Call = "IntrospectAccessTokenByID"
	IntrospectRefreshToken    Call = "IntrospectRefreshToken"
	IntrospectAuthorization   Call = "IntrospectAuthorization"

	RevokeToken           Call = "RevokeToken"
	RevokeAccessTokenByID Call = "RevokeAccessTokenByID"
	RevokeAuthorization   Call = "RevokeAuthorization"

	RegisterClient     Call = "RegisterClient"
	UpdateRegistration Call = "UpdateRegistration"
	DeleteRegistration Call = "DeleteRegistration"

	FindAuthorizationByUserCode      Call = "FindAuthorizationByUserCode"
	CountAttempt                     Call = "CountAttempt"
	ResetAttempts                    Call = "ResetAttempts"
	RedeemOneTimeCode                Call = "RedeemOneTimeCode"
	CreatePasskey                    Call = "CreatePasskey"
	DeletePasskey                    Call = "DeletePasskey"
	CreateTOTP                       Call = "CreateTOTP"
	DeleteTOTP                       Call = "DeleteTOTP"
	ReplaceRecoveryCodes             Call = "ReplaceRecoveryCodes"
	DeleteRecoveryCodes              Call = "DeleteRecoveryCodes"
	DeleteAccount                    Call = "DeleteAccount"
	EndSession                       Call = "EndSession"
	EndUserSessions                  Call = "EndUserSessions"
	WithdrawConsent                  Call = "WithdrawConsent"
	RevokeUserAuthorizations         Call = "RevokeUserAuthorizations"
	RevokeUserAuthorizationsByClient Call = "RevokeUserAuthorizationsByClient"
	RevokeClientAuthorizations       Call = "RevokeClientAuthorizations"
	RevokeInitialAccessToken         Call = "RevokeInitialAccessToken"
	SuspendUser                      Call = "SuspendUser"
	ReinstateUser                    Call = "ReinstateUser"
	DeleteUser                       Call = "DeleteUser"
	RotateClientSecret               Call = "RotateClientSecret"
	SetRegistrationAccessToken       Call = "SetRegistrationAccessToken"
	DisableClient                    Call = "DisableClient"
	EnableClient                     Call = "EnableClient"
	DeleteClient                     Call = "DeleteClient"
	DisableTrustedIssuer             Call = "DisableTrustedIssuer"
	EnableTrustedIssuer              Call = "EnableTrustedIssuer"
	DeleteTrustedIssuer              Call = "DeleteTrustedIssuer"
	CreatePairwiseSubject            Call = "CreatePairwiseSubject"
	RotateSigningKeyIfDue            Call = "RotateSigningKeyIfDue"
	FinishLogoutDelivery             Call = "FinishLogoutDelivery"
	ImportRefreshToken               Call = "ImportRefreshToken"
	ImportConsent                    Call = "ImportConsent"
)

// authentication are the calls that say who the client is, at each endpoint where it authenticates.
var authentication = []Call{AuthenticateClient, ReplaceForeignSecretHash, RememberClientAssertion}

// calls are those that each endpoint makes.
var calls = map[Endpoint][]Call{
	Authorization: {
		CheckAuthorizationRequest, CreateAuthorization, GrantAuthorization, ApproveAuthorization, DenyAuthorization, IssueAuthorizationCode,
		CheckConsent, GrantConsent, PutClientDocument, RefreshClientDocument,
		CreateSession, ExtendSession, ReauthenticateSession, UsePasskey, UseTOTP, UseRecoveryCode,
	},
	PushedAuthorization: append([]Call{CheckAuthorizationRequest, CreateAuthorization, RememberProof}, authentication...),
	Token: append([]Call{
		RedeemAuthorizationCode, RotateRefreshToken, IssueAccessToken, PollDeviceCode, ExchangeToken, IssueTokenByAssertion, IssueGrant,
		RememberProof,
	}, authentication...),
	DeviceAuthorization:       append([]Call{CreateDeviceAuthorization}, authentication...),
	BackchannelAuthentication: append([]Call{CreateBackchannelAuthentication}, authentication...),
	Introspection: append([]Call{
		IntrospectToken, IntrospectAccessToken, IntrospectAccessTokenByID, IntrospectRefreshToken, IntrospectAuthorization,
	}, authentication...),
	Revocation:        append([]Call{RevokeToken, RevokeAccessTokenByID, RevokeAuthorization}, authentication...),
	Registration:      {RegisterClient, UpdateRegistration, DeleteRegistration},
	ProtectedResource: {IntrospectToken, IntrospectAccessToken, IntrospectAccessTokenByID, IntrospectAuthorization, RememberProof},
	Server: {
		FindAuthorizationByUserCode, CountAttempt, ResetAttempts, RedeemOneTimeCode, CreatePasskey, DeletePasskey, CreateTOTP, DeleteTOTP,
		ReplaceRecoveryCodes, DeleteRecoveryCodes, DeleteAccount, EndSession, EndUserSessions, WithdrawConsent,
		RevokeAuthorization, RevokeUserAuthorizations, RevokeUserAuthorizationsByClient, RevokeClientAuthorizations, RevokeInitialAccessToken,
		SuspendUser, ReinstateUser, DeleteUser,
		RotateClientSecret, SetRegistrationAccessToken, DisableClient, EnableClient, DeleteClient,
		DisableTrustedIssuer, EnableTrustedIssuer, DeleteTrustedIssuer,
		CreatePairwiseSubject, RotateSigningKeyIfDue, FinishLogoutDelivery, ImportRefreshToken, ImportConsent,
	},
}

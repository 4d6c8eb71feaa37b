// Code generated from the catalog by "make generate". DO NOT EDIT.

package store

// Constraint is the name of a constraint or unique index of the schema: what the server names when a statement violates it.
// db.Violates tells errors apart by it.
type Constraint string

// What a row of account has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintAccountPKey Constraint = "account_pkey"
	// UNIQUE (provider_id, account_id)
	ConstraintAccountProviderAccountUIdx Constraint = "account_provider_account_uidx"
	// CHECK ((isfinite(created_at) AND isfinite(updated_at)))
	ConstraintAccountTimesAreFinite Constraint = "account_times_are_finite"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintAccountUserIDFKey Constraint = "account_user_id_fkey"
)

// What a row of assertion_lifetime has to satisfy.
const (
	// CHECK ((VALUE >= '00:00:01'::interval))
	ConstraintAssertionLifetimeIsPositive Constraint = "assertion_lifetime_is_positive"
)

// What a row of attempt_count has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintAttemptCountPKey Constraint = "attempt_count_pkey"
	// UNIQUE (purpose, subject)
	ConstraintAttemptCountPurposeSubjectUIdx Constraint = "attempt_count_purpose_subject_uidx"
)

// What a row of client_grace has to satisfy.
const (
	// CHECK ((VALUE >= '00:00:00'::interval))
	ConstraintClientGraceIsNotNegative Constraint = "client_grace_is_not_negative"
)

// What a row of client_lifetime has to satisfy.
const (
	// CHECK ((VALUE >= '00:00:01'::interval))
	ConstraintClientLifetimeIsPositive Constraint = "client_lifetime_is_positive"
)

// What a row of code_challenge_method has to satisfy.
const (
	// CHECK ((VALUE = ANY (ARRAY['S256'::text, 'plain'::text])))
	ConstraintCodeChallengeMethodKnown Constraint = "code_challenge_method_known"
)

// What a row of device_code has to satisfy.
const (
	// UNIQUE (device_code)
	ConstraintDeviceCodeDeviceCodeUIdx Constraint = "device_code_device_code_uidx"
	// PRIMARY KEY (id)
	ConstraintDeviceCodePKey Constraint = "device_code_pkey"
	// UNIQUE (user_code)
	ConstraintDeviceCodeUserCodeUIdx Constraint = "device_code_user_code_uidx"
)

// What a row of email_address has to satisfy.
const (
	// CHECK (((octet_length(VALUE) <= 320) AND ((VALUE COLLATE "C") ~ '^[^[:space:]@]+@[^[:space:]@]+$'::text)))
	ConstraintUserEmailIsAddress Constraint = "user_email_is_address"
)

// What a row of finite_timestamptz has to satisfy.
const (
	// CHECK (isfinite(VALUE))
	ConstraintTimestamptzIsFinite Constraint = "timestamptz_is_finite"
)

// What a row of jwks has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintJWKSPKey Constraint = "jwks_pkey"
	// CHECK (((private_key = ''::text) = (private_key_uri IS NOT NULL)))
	ConstraintJWKSPrivateKeyIsInOnePlace Constraint = "jwks_private_key_is_in_one_place"
	// CHECK ((isfinite(created_at) AND isfinite(updated_at)))
	ConstraintJWKSTimesAreFinite Constraint = "jwks_times_are_finite"
)

// What a row of oauth_access_token has to satisfy.
const (
	// FOREIGN KEY (authorization_id) REFERENCES oauth_authorization(id) ON DELETE CASCADE
	ConstraintOAuthAccessTokenAuthorizationIDFKey Constraint = "oauth_access_token_authorization_id_fkey"
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthAccessTokenClientIDFKey Constraint = "oauth_access_token_client_id_fkey"
	// CHECK ((((user_id IS NULL) = (authorization_id IS NULL)) AND ((authorization_id IS NOT NULL) OR (client_epoch IS NOT NULL))))
	ConstraintOAuthAccessTokenIsOfAFamilyOrOfTheClient Constraint = "oauth_access_token_is_of_a_family_or_of_the_client"
	// PRIMARY KEY (id)
	ConstraintOAuthAccessTokenPKey Constraint = "oauth_access_token_pkey"
	// FOREIGN KEY (refresh_id) REFERENCES oauth_refresh_token(id) ON DELETE CASCADE
	ConstraintOAuthAccessTokenRefreshIDFKey Constraint = "oauth_access_token_refresh_id_fkey"
	// FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE SET NULL
	ConstraintOAuthAccessTokenSessionIDFKey Constraint = "oauth_access_token_session_id_fkey"
	// UNIQUE (token)
	ConstraintOAuthAccessTokenTokenUIdx Constraint = "oauth_access_token_token_uidx"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthAccessTokenUserIDFKey Constraint = "oauth_access_token_user_id_fkey"
)

// What a row of oauth_authorization has to satisfy.
const (
	// CHECK (((status <> 'approved'::authorization_status) OR ((user_id IS NOT NULL) AND (granted_scopes IS NOT NULL) AND (user_epoch IS NOT NULL) AND (client_epoch IS NOT NULL) AND (pair_epoch IS NOT NULL))))
	ConstraintOAuthAuthorizationApprovalIsWhole Constraint = "oauth_authorization_approval_is_whole"
	// CHECK (((code_challenge IS NULL) = (code_challenge_method IS NULL)))
	ConstraintOAuthAuthorizationChallengeNamesMethod Constraint = "oauth_authorization_challenge_names_method"
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthAuthorizationClientIDFKey Constraint = "oauth_authorization_client_id_fkey"
	// CHECK (((code IS NULL) OR ((status = 'approved'::authorization_status) AND (code_expires_at IS NOT NULL))))
	ConstraintOAuthAuthorizationCodeIsWhole Constraint = "oauth_authorization_code_is_whole"
	// UNIQUE (code) WHERE (code IS NOT NULL)
	ConstraintOAuthAuthorizationCodeUIdx Constraint = "oauth_authorization_code_uidx"
	// CHECK ( CASE WHEN (cardinality((granted_scopes)::text[]) <= 32) THEN ((granted_scopes)::text[] <@ (scopes)::text[]) ELSE (jsonb_object((scopes)::text[], (scopes)::text[]) ?& (granted_scopes)::text[]) END)
	ConstraintOAuthAuthorizationGrantedWithinAsked Constraint = "oauth_authorization_granted_within_asked"
	// PRIMARY KEY (id)
	ConstraintOAuthAuthorizationPKey Constraint = "oauth_authorization_pkey"
	// UNIQUE (request_uri) WHERE (request_uri IS NOT NULL)
	ConstraintOAuthAuthorizationRequestURIUIdx Constraint = "oauth_authorization_request_uri_uidx"
	// CHECK (((revoked_at IS NULL) = (revoked_reason IS NULL)))
	ConstraintOAuthAuthorizationRevokedForReason Constraint = "oauth_authorization_revoked_for_reason"
	// FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE SET NULL
	ConstraintOAuthAuthorizationSessionIDFKey Constraint = "oauth_authorization_session_id_fkey"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthAuthorizationUserIDFKey Constraint = "oauth_authorization_user_id_fkey"
)

// What a row of oauth_client has to satisfy.
const (
	// UNIQUE (client_id)
	ConstraintOAuthClientClientIDUIdx Constraint = "oauth_client_client_id_uidx"
	// CHECK (((deleted_at IS NULL) OR disabled))
	ConstraintOAuthClientDeletedIsDisabled Constraint = "oauth_client_deleted_is_disabled"
	// CHECK (((((foreign_secret_hash)::text COLLATE "C") ~ '^([$][A-Za-z0-9_-]+[$]|[{][A-Za-z0-9._-]+[}]|(pbkdf2|argon2|bcrypt|scrypt)[A-Za-z0-9_-]*[$:])[!-)+-~]+$'::text) AND (((foreign_secret_hash)::text COLLATE "C") !~* '^[{](noop|plain|clear)'::text)))
	ConstraintOAuthClientForeignSecretHashIsHash Constraint = "oauth_client_foreign_secret_hash_is_hash"
	// CHECK (((client_secret IS NULL) OR (foreign_secret_hash IS NULL)))
	ConstraintOAuthClientOneKindOfSecret Constraint = "oauth_client_one_kind_of_secret"
	// CHECK (((jwks IS NULL) OR (jwks_uri IS NULL)))
	ConstraintOAuthClientOneSourceOfKeys Constraint = "oauth_client_one_source_of_keys"
	// PRIMARY KEY (id)
	ConstraintOAuthClientPKey Constraint = "oauth_client_pkey"
	// CHECK (((cardinality((redirect_uris)::text[]) > 0) OR (deleted_at IS NOT NULL) OR (NOT (COALESCE((grant_types)::text[], ARRAY['authorization_code'::text]) && ARRAY['authorization_code'::text, 'implicit'::text]))))
	ConstraintOAuthClientRedirectURIsWhereRedirected Constraint = "oauth_client_redirect_uris_where_redirected"
	// CHECK ((isfinite(created_at) AND isfinite(updated_at) AND isfinite(deleted_at)))
	ConstraintOAuthClientTimesAreFinite Constraint = "oauth_client_times_are_finite"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthClientUserIDFKey Constraint = "oauth_client_user_id_fkey"
)

// What a row of oauth_client_assertion has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintOAuthClientAssertionPKey Constraint = "oauth_client_assertion_pkey"
)

// What a row of oauth_client_resource has to satisfy.
const (
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthClientResourceClientIDFKey Constraint = "oauth_client_resource_client_id_fkey"
	// UNIQUE (client_id, resource_id)
	ConstraintOAuthClientResourceClientResourceUIdx Constraint = "oauth_client_resource_client_resource_uidx"
	// PRIMARY KEY (id)
	ConstraintOAuthClientResourcePKey Constraint = "oauth_client_resource_pkey"
	// FOREIGN KEY (resource_id) REFERENCES oauth_resource(identifier) ON DELETE CASCADE
	ConstraintOAuthClientResourceResourceIDFKey Constraint = "oauth_client_resource_resource_id_fkey"
)

// What a row of oauth_client_secret has to satisfy.
const (
	// UNIQUE (client_id, digest)
	ConstraintOAuthClientSecretClientDigestUIdx Constraint = "oauth_client_secret_client_digest_uidx"
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthClientSecretClientIDFKey Constraint = "oauth_client_secret_client_id_fkey"
	// PRIMARY KEY (id)
	ConstraintOAuthClientSecretPKey Constraint = "oauth_client_secret_pkey"
)

// What a row of oauth_consent has to satisfy.
const (
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthConsentClientIDFKey Constraint = "oauth_consent_client_id_fkey"
	// UNIQUE (client_id, user_id)
	ConstraintOAuthConsentClientUserUIdx Constraint = "oauth_consent_client_user_uidx"
	// PRIMARY KEY (id)
	ConstraintOAuthConsentPKey Constraint = "oauth_consent_pkey"
	// CHECK ((isfinite(created_at) AND isfinite(updated_at)))
	ConstraintOAuthConsentTimesAreFinite Constraint = "oauth_consent_times_are_finite"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthConsentUserIDFKey Constraint = "oauth_consent_user_id_fkey"
)

// What a row of oauth_initial_access_token has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintOAuthInitialAccessTokenPKey Constraint = "oauth_initial_access_token_pkey"
	// UNIQUE (token)
	ConstraintOAuthInitialAccessTokenTokenUIdx Constraint = "oauth_initial_access_token_token_uidx"
	// CHECK (((uses >= 0) AND (uses <= max_uses)))
	ConstraintOAuthInitialAccessTokenUsesInRange Constraint = "oauth_initial_access_token_uses_in_range"
)

// What a row of oauth_pairwise_subject has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintOAuthPairwiseSubjectPKey Constraint = "oauth_pairwise_subject_pkey"
	// UNIQUE (sector, subject)
	ConstraintOAuthPairwiseSubjectSectorSubjectUIdx Constraint = "oauth_pairwise_subject_sector_subject_uidx"
	// UNIQUE (sector, user_id)
	ConstraintOAuthPairwiseSubjectSectorUserUIdx Constraint = "oauth_pairwise_subject_sector_user_uidx"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthPairwiseSubjectUserIDFKey Constraint = "oauth_pairwise_subject_user_id_fkey"
)

// What a row of oauth_polled_request has to satisfy.
const (
	// UNIQUE (code)
	ConstraintOAuthPolledRequestCodeUIdx Constraint = "oauth_polled_request_code_uidx"
	// FOREIGN KEY (id) REFERENCES oauth_authorization(id) ON DELETE CASCADE
	ConstraintOAuthPolledRequestIDFKey Constraint = "oauth_polled_request_id_fkey"
	// PRIMARY KEY (id)
	ConstraintOAuthPolledRequestPKey Constraint = "oauth_polled_request_pkey"
	// UNIQUE (user_code)
	ConstraintOAuthPolledRequestUserCodeUIdx Constraint = "oauth_polled_request_user_code_uidx"
)

// What a row of oauth_proof has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintOAuthProofPKey Constraint = "oauth_proof_pkey"
)

// What a row of oauth_refresh_token has to satisfy.
const (
	// FOREIGN KEY (authorization_id) REFERENCES oauth_authorization(id) ON DELETE CASCADE
	ConstraintOAuthRefreshTokenAuthorizationIDFKey Constraint = "oauth_refresh_token_authorization_id_fkey"
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthRefreshTokenClientIDFKey Constraint = "oauth_refresh_token_client_id_fkey"
	// PRIMARY KEY (id)
	ConstraintOAuthRefreshTokenPKey Constraint = "oauth_refresh_token_pkey"
	// CHECK ((((successor IS NULL) = (successor_id IS NULL)) AND ((successor IS NULL) OR (revoked IS NOT NULL))))
	ConstraintOAuthRefreshTokenRotatedIsRevoked Constraint = "oauth_refresh_token_rotated_is_revoked"
	// FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE SET NULL
	ConstraintOAuthRefreshTokenSessionIDFKey Constraint = "oauth_refresh_token_session_id_fkey"
	// UNIQUE (token)
	ConstraintOAuthRefreshTokenTokenUIdx Constraint = "oauth_refresh_token_token_uidx"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthRefreshTokenUserIDFKey Constraint = "oauth_refresh_token_user_id_fkey"
)

// What a row of oauth_resource has to satisfy.
const (
	// UNIQUE (identifier)
	ConstraintOAuthResourceIdentifierUIdx Constraint = "oauth_resource_identifier_uidx"
	// PRIMARY KEY (id)
	ConstraintOAuthResourcePKey Constraint = "oauth_resource_pkey"
)

// What a row of oauth_trusted_issuer has to satisfy.
const (
	// UNIQUE (issuer)
	ConstraintOAuthTrustedIssuerIssuerUIdx Constraint = "oauth_trusted_issuer_issuer_uidx"
	// CHECK (((jwks IS NULL) OR (jwks_uri IS NULL)))
	ConstraintOAuthTrustedIssuerOneSourceOfKeys Constraint = "oauth_trusted_issuer_one_source_of_keys"
	// PRIMARY KEY (id)
	ConstraintOAuthTrustedIssuerPKey Constraint = "oauth_trusted_issuer_pkey"
	// CHECK ((NOT ('none'::text = ANY ((signing_algorithms)::text[]))))
	ConstraintOAuthTrustedIssuerSigns Constraint = "oauth_trusted_issuer_signs"
)

// What a row of one_time_code has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintOneTimeCodePKey Constraint = "one_time_code_pkey"
	// UNIQUE (purpose, subject)
	ConstraintOneTimeCodePurposeSubjectUIdx Constraint = "one_time_code_purpose_subject_uidx"
)

// What a row of passkey has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintPasskeyPKey Constraint = "passkey_pkey"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintPasskeyUserIDFKey Constraint = "passkey_user_id_fkey"
)

// What a row of poll_interval has to satisfy.
const (
	// CHECK ((VALUE >= '00:00:01'::interval))
	ConstraintPollIntervalIsPositive Constraint = "poll_interval_is_positive"
)

// What a row of provider_text has to satisfy.
const (
	// CHECK (((octet_length(VALUE) >= 1) AND (octet_length(VALUE) <= 4096)))
	ConstraintProviderTextLength Constraint = "provider_text_length"
)

// What a row of recovery_code has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintRecoveryCodePKey Constraint = "recovery_code_pkey"
	// UNIQUE (user_id, digest)
	ConstraintRecoveryCodeUserDigestUIdx Constraint = "recovery_code_user_digest_uidx"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintRecoveryCodeUserIDFKey Constraint = "recovery_code_user_id_fkey"
)

// What a row of security_event has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintSecurityEventPKey Constraint = "security_event_pkey"
)

// What a row of session has to satisfy.
const (
	// CHECK (((ended_at IS NULL) OR (expires_at <= ended_at)))
	ConstraintSessionEndedHasExpired Constraint = "session_ended_has_expired"
	// PRIMARY KEY (id)
	ConstraintSessionPKey Constraint = "session_pkey"
	// CHECK ((isfinite(created_at) AND isfinite(updated_at) AND isfinite(ended_at) AND isfinite(last_seen_at) AND isfinite(auth_time)))
	ConstraintSessionTimesAreFinite Constraint = "session_times_are_finite"
	// UNIQUE (token)
	ConstraintSessionTokenUIdx Constraint = "session_token_uidx"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintSessionUserIDFKey Constraint = "session_user_id_fkey"
)

// What a row of session_client has to satisfy.
const (
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintSessionClientClientIDFKey Constraint = "session_client_client_id_fkey"
	// PRIMARY KEY (id)
	ConstraintSessionClientPKey Constraint = "session_client_pkey"
	// UNIQUE (session_id, client_id)
	ConstraintSessionClientSessionClientUIdx Constraint = "session_client_session_client_uidx"
)

// What a row of session_cookie has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintSessionTokenLength Constraint = "session_token_length"
)

// What a row of short_text has to satisfy.
const (
	// CHECK ((octet_length(VALUE) <= 4096))
	ConstraintShortTextLength Constraint = "short_text_length"
)

// What a row of stored_access_token_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintAccessTokenIDLength Constraint = "access_token_id_length"
)

// What a row of stored_account_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintAccountIDLength Constraint = "account_id_length"
)

// What a row of stored_array has to satisfy.
const (
	// CHECK (((jsonb_typeof(VALUE) = 'array'::text) AND (pg_column_size(VALUE) <= 65536) AND (NOT jsonb_path_exists(VALUE, 'strict $.**{33}'::jsonpath))))
	ConstraintArrayIsSmall Constraint = "array_is_small"
)

// What a row of stored_assertion_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) = ANY (ARRAY[32, 43])) AND ((VALUE)::text ~ '^[A-Za-z0-9_-]*$'::text)))
	ConstraintAssertionIDIsDigest Constraint = "assertion_id_is_digest"
)

// What a row of stored_authorization_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintAuthorizationIDLength Constraint = "authorization_id_length"
)

// What a row of stored_client_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) <= 2048) AND ((VALUE)::text ~ '^[\x20-\x7e]+$'::text)))
	ConstraintOAuthClientClientIDIsVSCHAR Constraint = "oauth_client_client_id_is_vschar"
)

// What a row of stored_confirmation has to satisfy.
const (
	// CHECK (((jsonb_typeof((VALUE)::jsonb) = 'object'::text) AND ((VALUE)::jsonb <> '{}'::jsonb) AND (pg_column_size(VALUE) <= 1024)))
	ConstraintConfirmationNamesAKey Constraint = "confirmation_names_a_key"
)

// What a row of stored_consent_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintConsentIDLength Constraint = "consent_id_length"
)

// What a row of stored_initial_access_token_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintInitialAccessTokenIDLength Constraint = "initial_access_token_id_length"
)

// What a row of stored_issuer has to satisfy.
const (
	// CHECK (((octet_length(VALUE) >= 1) AND (octet_length(VALUE) <= 2048)))
	ConstraintIssuerLength Constraint = "issuer_length"
)

// What a row of stored_jwk_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintJWKSIDLength Constraint = "jwks_id_length"
)

// What a row of stored_oauth_client_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintOAuthClientIDLength Constraint = "oauth_client_id_length"
)

// What a row of stored_object has to satisfy.
const (
	// CHECK (((jsonb_typeof(VALUE) = 'object'::text) AND (pg_column_size(VALUE) <= 65536) AND (NOT jsonb_path_exists(VALUE, 'strict $.**{33}'::jsonpath))))
	ConstraintObjectIsSmall Constraint = "object_is_small"
)

// What a row of stored_passkey_id has to satisfy.
const (
	// CHECK ((((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 1364)) AND ((VALUE)::text ~ '^[A-Za-z0-9_-]*$'::text)))
	ConstraintPasskeyIDIsBase64url Constraint = "passkey_id_is_base64url"
)

// What a row of stored_purpose has to satisfy.
const (
	// CHECK (((octet_length(VALUE) >= 1) AND (octet_length(VALUE) <= 64)))
	ConstraintPurposeLength Constraint = "purpose_length"
)

// What a row of stored_reference_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintReferenceIDLength Constraint = "reference_id_length"
)

// What a row of stored_refresh_token_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintRefreshTokenIDLength Constraint = "refresh_token_id_length"
)

// What a row of stored_sector has to satisfy.
const (
	// CHECK (((octet_length(VALUE) >= 1) AND (octet_length(VALUE) <= 255)))
	ConstraintSectorLength Constraint = "sector_length"
)

// What a row of stored_session_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintSessionIDLength Constraint = "session_id_length"
)

// What a row of stored_sign_count has to satisfy.
const (
	// CHECK (((VALUE >= 0) AND (VALUE <= '4294967295'::bigint)))
	ConstraintSignCountInRange Constraint = "sign_count_in_range"
)

// What a row of stored_subject has to satisfy.
const (
	// CHECK (((VALUE)::text ~ '^[\x20-\x7e]{1,255}$'::text))
	ConstraintSubjectIsPrintable Constraint = "subject_is_printable"
)

// What a row of stored_token_digest has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) = 43) AND ((VALUE)::text ~ '^[A-Za-z0-9_-]*$'::text)))
	ConstraintTokenDigestIsDigest Constraint = "token_digest_is_digest"
)

// What a row of stored_totp_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintTOTPIDLength Constraint = "totp_id_length"
)

// What a row of stored_trusted_issuer_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintTrustedIssuerIDLength Constraint = "trusted_issuer_id_length"
)

// What a row of stored_user_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintUserIDLength Constraint = "user_id_length"
)

// What a row of stored_verification_id has to satisfy.
const (
	// CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)))
	ConstraintVerificationIDLength Constraint = "verification_id_length"
)

// What a row of text_list has to satisfy.
const (
	// CHECK ( CASE WHEN (array_ndims(VALUE) > 1) THEN false ELSE (array_position(VALUE, NULL::text) IS NULL) END)
	ConstraintTextListIsFlat Constraint = "text_list_is_flat"
)

// What a row of totp has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintTOTPPKey Constraint = "totp_pkey"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintTOTPUserIDFKey Constraint = "totp_user_id_fkey"
)

// What a row of totp_algorithm has to satisfy.
const (
	// CHECK ((VALUE = ANY (ARRAY['SHA1'::text, 'SHA256'::text, 'SHA512'::text])))
	ConstraintTOTPAlgorithmKnown Constraint = "totp_algorithm_known"
)

// What a row of totp_digits has to satisfy.
const (
	// CHECK (((VALUE >= 6) AND (VALUE <= 8)))
	ConstraintTOTPDigitsInRange Constraint = "totp_digits_in_range"
)

// What a row of totp_period has to satisfy.
const (
	// CHECK (((VALUE >= 1) AND (VALUE <= 3600)))
	ConstraintTOTPPeriodInRange Constraint = "totp_period_in_range"
)

// What a row of user has to satisfy.
const (
	// UNIQUE (lower(((email)::text COLLATE "C")))
	ConstraintUserEmailUIdx Constraint = "user_email_uidx"
	// PRIMARY KEY (id)
	ConstraintUserPKey Constraint = "user_pkey"
	// CHECK ((isfinite(created_at) AND isfinite(updated_at) AND isfinite(suspended_at) AND isfinite(deleted_at)))
	ConstraintUserTimesAreFinite Constraint = "user_times_are_finite"
)

// What a row of verification has to satisfy.
const (
	// PRIMARY KEY (id)
	ConstraintVerificationPKey Constraint = "verification_pkey"
)

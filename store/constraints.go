// Code generated from the catalog by "make generate". DO NOT EDIT.

package store

// Constraint is the name of a constraint or unique index of the schema: what the server names when a statement violates it.
// db.Violates tells errors apart by it.
type Constraint string

// What a row of account has to satisfy.
const (
	// CHECK (((octet_length(account_id) >= 1) AND (octet_length(account_id) <= 1024)))
	ConstraintAccountAccountIDLength Constraint = "account_account_id_length"
	// CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
	ConstraintAccountIDLength Constraint = "account_id_length"
	// PRIMARY KEY (id)
	ConstraintAccountPKey Constraint = "account_pkey"
	// UNIQUE (provider_id, account_id)
	ConstraintAccountProviderAccountUIdx Constraint = "account_provider_account_uidx"
	// CHECK (((octet_length(provider_id) >= 1) AND (octet_length(provider_id) <= 255)))
	ConstraintAccountProviderIDLength Constraint = "account_provider_id_length"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintAccountUserIDFKey Constraint = "account_user_id_fkey"
)

// What a row of jwks has to satisfy.
const (
	// CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
	ConstraintJWKSIDLength Constraint = "jwks_id_length"
	// PRIMARY KEY (id)
	ConstraintJWKSPKey Constraint = "jwks_pkey"
)

// What a row of oauth_access_token has to satisfy.
const (
	// FOREIGN KEY (authorization_id) REFERENCES oauth_authorization(id) ON DELETE CASCADE
	ConstraintOAuthAccessTokenAuthorizationIDFKey Constraint = "oauth_access_token_authorization_id_fkey"
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthAccessTokenClientIDFKey Constraint = "oauth_access_token_client_id_fkey"
	// CHECK ((jsonb_typeof(confirmation) = 'object'::text))
	ConstraintOAuthAccessTokenConfirmationIsObject Constraint = "oauth_access_token_confirmation_is_object"
	// CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
	ConstraintOAuthAccessTokenIDLength Constraint = "oauth_access_token_id_length"
	// PRIMARY KEY (id)
	ConstraintOAuthAccessTokenPKey Constraint = "oauth_access_token_pkey"
	// CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255)))
	ConstraintOAuthAccessTokenReferenceIDLength Constraint = "oauth_access_token_reference_id_length"
	// FOREIGN KEY (refresh_id) REFERENCES oauth_refresh_token(id) ON DELETE CASCADE
	ConstraintOAuthAccessTokenRefreshIDFKey Constraint = "oauth_access_token_refresh_id_fkey"
	// CHECK ((array_position(resources, NULL::text) IS NULL))
	ConstraintOAuthAccessTokenResourcesHoldNoNull Constraint = "oauth_access_token_resources_hold_no_null"
	// CHECK ((array_position(scopes, NULL::text) IS NULL))
	ConstraintOAuthAccessTokenScopesHoldNoNull Constraint = "oauth_access_token_scopes_hold_no_null"
	// FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE SET NULL
	ConstraintOAuthAccessTokenSessionIDFKey Constraint = "oauth_access_token_session_id_fkey"
	// CHECK (((token)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthAccessTokenTokenIsDigest Constraint = "oauth_access_token_token_is_digest"
	// UNIQUE (token)
	ConstraintOAuthAccessTokenTokenUIdx Constraint = "oauth_access_token_token_uidx"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthAccessTokenUserIDFKey Constraint = "oauth_access_token_user_id_fkey"
)

// What a row of oauth_authorization has to satisfy.
const (
	// CHECK ((array_position(amr, NULL::text) IS NULL))
	ConstraintOAuthAuthorizationAMRHoldNoNull Constraint = "oauth_authorization_amr_hold_no_null"
	// CHECK (((status <> 'approved'::authorization_status) OR ((user_id IS NOT NULL) AND (granted_scopes IS NOT NULL))))
	ConstraintOAuthAuthorizationApprovedByUser Constraint = "oauth_authorization_approved_by_user"
	// CHECK ((code_challenge_method = ANY (ARRAY['S256'::text, 'plain'::text])))
	ConstraintOAuthAuthorizationChallengeMethodKnown Constraint = "oauth_authorization_challenge_method_known"
	// CHECK (((code_challenge IS NULL) = (code_challenge_method IS NULL)))
	ConstraintOAuthAuthorizationChallengeNamesMethod Constraint = "oauth_authorization_challenge_names_method"
	// CHECK ((jsonb_typeof(claims) = 'object'::text))
	ConstraintOAuthAuthorizationClaimsIsObject Constraint = "oauth_authorization_claims_is_object"
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthAuthorizationClientIDFKey Constraint = "oauth_authorization_client_id_fkey"
	// CHECK (((code IS NULL) OR (status = 'approved'::authorization_status)))
	ConstraintOAuthAuthorizationCodeAfterApproval Constraint = "oauth_authorization_code_after_approval"
	// CHECK (((code IS NULL) OR (code_expires_at IS NOT NULL)))
	ConstraintOAuthAuthorizationCodeExpires Constraint = "oauth_authorization_code_expires"
	// CHECK (((code)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthAuthorizationCodeIsDigest Constraint = "oauth_authorization_code_is_digest"
	// UNIQUE (code) WHERE (code IS NOT NULL)
	ConstraintOAuthAuthorizationCodeUIdx Constraint = "oauth_authorization_code_uidx"
	// CHECK ((jsonb_typeof(confirmation) = 'object'::text))
	ConstraintOAuthAuthorizationConfirmationIsObject Constraint = "oauth_authorization_confirmation_is_object"
	// CHECK (((current_refresh_token)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthAuthorizationCurrentRefreshTokenIsDigest Constraint = "oauth_authorization_current_refresh_token_is_digest"
	// CHECK ((array_position(granted_scopes, NULL::text) IS NULL))
	ConstraintOAuthAuthorizationGrantedScopesHoldNoNull Constraint = "oauth_authorization_granted_scopes_hold_no_null"
	// CHECK ((granted_scopes <@ scopes))
	ConstraintOAuthAuthorizationGrantedWithinAsked Constraint = "oauth_authorization_granted_within_asked"
	// CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
	ConstraintOAuthAuthorizationIDLength Constraint = "oauth_authorization_id_length"
	// PRIMARY KEY (id)
	ConstraintOAuthAuthorizationPKey Constraint = "oauth_authorization_pkey"
	// CHECK (((redeemed_at IS NULL) OR (code IS NOT NULL)))
	ConstraintOAuthAuthorizationRedeemedByCode Constraint = "oauth_authorization_redeemed_by_code"
	// CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255)))
	ConstraintOAuthAuthorizationReferenceIDLength Constraint = "oauth_authorization_reference_id_length"
	// CHECK ((jsonb_typeof(request) = 'object'::text))
	ConstraintOAuthAuthorizationRequestIsObject Constraint = "oauth_authorization_request_is_object"
	// CHECK (((request_uri)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthAuthorizationRequestURIIsDigest Constraint = "oauth_authorization_request_uri_is_digest"
	// UNIQUE (request_uri) WHERE (request_uri IS NOT NULL)
	ConstraintOAuthAuthorizationRequestURIUIdx Constraint = "oauth_authorization_request_uri_uidx"
	// CHECK ((array_position(resources, NULL::text) IS NULL))
	ConstraintOAuthAuthorizationResourcesHoldNoNull Constraint = "oauth_authorization_resources_hold_no_null"
	// CHECK (((revoked_at IS NULL) = (revoked_reason IS NULL)))
	ConstraintOAuthAuthorizationRevokedForReason Constraint = "oauth_authorization_revoked_for_reason"
	// CHECK ((array_position(scopes, NULL::text) IS NULL))
	ConstraintOAuthAuthorizationScopesHoldNoNull Constraint = "oauth_authorization_scopes_hold_no_null"
	// FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE SET NULL
	ConstraintOAuthAuthorizationSessionIDFKey Constraint = "oauth_authorization_session_id_fkey"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthAuthorizationUserIDFKey Constraint = "oauth_authorization_user_id_fkey"
)

// What a row of oauth_client has to satisfy.
const (
	// CHECK (((octet_length((client_id)::text) <= 512) AND ((client_id)::text ~ '^[\x20-\x7e]+$'::text)))
	ConstraintOAuthClientClientIDIsVSCHAR Constraint = "oauth_client_client_id_is_vschar"
	// UNIQUE (client_id)
	ConstraintOAuthClientClientIDUIdx Constraint = "oauth_client_client_id_uidx"
	// CHECK (((client_secret)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthClientClientSecretIsDigest Constraint = "oauth_client_client_secret_is_digest"
	// CHECK ((array_position(contacts, NULL::text) IS NULL))
	ConstraintOAuthClientContactsHoldNoNull Constraint = "oauth_client_contacts_hold_no_null"
	// CHECK ((array_position(grant_types, NULL::text) IS NULL))
	ConstraintOAuthClientGrantTypesHoldNoNull Constraint = "oauth_client_grant_types_hold_no_null"
	// CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
	ConstraintOAuthClientIDLength Constraint = "oauth_client_id_length"
	// CHECK ((jsonb_typeof(jwks) = 'object'::text))
	ConstraintOAuthClientJWKSIsObject Constraint = "oauth_client_jwks_is_object"
	// CHECK ((jsonb_typeof(metadata) = 'object'::text))
	ConstraintOAuthClientMetadataIsObject Constraint = "oauth_client_metadata_is_object"
	// CHECK (((jwks IS NULL) OR (jwks_uri IS NULL)))
	ConstraintOAuthClientOneSourceOfKeys Constraint = "oauth_client_one_source_of_keys"
	// PRIMARY KEY (id)
	ConstraintOAuthClientPKey Constraint = "oauth_client_pkey"
	// CHECK ((array_position(post_logout_redirect_uris, NULL::text) IS NULL))
	ConstraintOAuthClientPostLogoutRedirectURIsHoldNoNull Constraint = "oauth_client_post_logout_redirect_uris_hold_no_null"
	// CHECK (((previous_client_secret IS NULL) OR (previous_client_secret_expires_at IS NOT NULL)))
	ConstraintOAuthClientPreviousClientSecretExpires Constraint = "oauth_client_previous_client_secret_expires"
	// CHECK (((previous_client_secret)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthClientPreviousClientSecretIsDigest Constraint = "oauth_client_previous_client_secret_is_digest"
	// CHECK ((array_position(redirect_uris, NULL::text) IS NULL))
	ConstraintOAuthClientRedirectURIsHoldNoNull Constraint = "oauth_client_redirect_uris_hold_no_null"
	// CHECK (((cardinality(redirect_uris) > 0) OR (NOT (COALESCE(grant_types, ARRAY['authorization_code'::text]) && ARRAY['authorization_code'::text, 'implicit'::text]))))
	ConstraintOAuthClientRedirectURIsWhereRedirected Constraint = "oauth_client_redirect_uris_where_redirected"
	// CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255)))
	ConstraintOAuthClientReferenceIDLength Constraint = "oauth_client_reference_id_length"
	// CHECK (((registration_access_token)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthClientRegistrationAccessTokenIsDigest Constraint = "oauth_client_registration_access_token_is_digest"
	// CHECK ((array_position(response_types, NULL::text) IS NULL))
	ConstraintOAuthClientResponseTypesHoldNoNull Constraint = "oauth_client_response_types_hold_no_null"
	// CHECK ((array_position(scopes, NULL::text) IS NULL))
	ConstraintOAuthClientScopesHoldNoNull Constraint = "oauth_client_scopes_hold_no_null"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthClientUserIDFKey Constraint = "oauth_client_user_id_fkey"
)

// What a row of oauth_client_assertion has to satisfy.
const (
	// CHECK (((id)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthClientAssertionIDIsDigest Constraint = "oauth_client_assertion_id_is_digest"
	// PRIMARY KEY (id)
	ConstraintOAuthClientAssertionPKey Constraint = "oauth_client_assertion_pkey"
)

// What a row of oauth_consent has to satisfy.
const (
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthConsentClientIDFKey Constraint = "oauth_consent_client_id_fkey"
	// UNIQUE (client_id, user_id)
	ConstraintOAuthConsentClientUserUIdx Constraint = "oauth_consent_client_user_uidx"
	// CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
	ConstraintOAuthConsentIDLength Constraint = "oauth_consent_id_length"
	// PRIMARY KEY (id)
	ConstraintOAuthConsentPKey Constraint = "oauth_consent_pkey"
	// CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255)))
	ConstraintOAuthConsentReferenceIDLength Constraint = "oauth_consent_reference_id_length"
	// CHECK ((array_position(scopes, NULL::text) IS NULL))
	ConstraintOAuthConsentScopesHoldNoNull Constraint = "oauth_consent_scopes_hold_no_null"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthConsentUserIDFKey Constraint = "oauth_consent_user_id_fkey"
)

// What a row of oauth_refresh_token has to satisfy.
const (
	// FOREIGN KEY (authorization_id) REFERENCES oauth_authorization(id) ON DELETE CASCADE
	ConstraintOAuthRefreshTokenAuthorizationIDFKey Constraint = "oauth_refresh_token_authorization_id_fkey"
	// FOREIGN KEY (client_id) REFERENCES oauth_client(client_id) ON DELETE CASCADE
	ConstraintOAuthRefreshTokenClientIDFKey Constraint = "oauth_refresh_token_client_id_fkey"
	// CHECK ((jsonb_typeof(confirmation) = 'object'::text))
	ConstraintOAuthRefreshTokenConfirmationIsObject Constraint = "oauth_refresh_token_confirmation_is_object"
	// CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
	ConstraintOAuthRefreshTokenIDLength Constraint = "oauth_refresh_token_id_length"
	// PRIMARY KEY (id)
	ConstraintOAuthRefreshTokenPKey Constraint = "oauth_refresh_token_pkey"
	// CHECK (((octet_length((reference_id)::text) >= 1) AND (octet_length((reference_id)::text) <= 255)))
	ConstraintOAuthRefreshTokenReferenceIDLength Constraint = "oauth_refresh_token_reference_id_length"
	// CHECK ((array_position(resources, NULL::text) IS NULL))
	ConstraintOAuthRefreshTokenResourcesHoldNoNull Constraint = "oauth_refresh_token_resources_hold_no_null"
	// CHECK (((successor IS NULL) OR (revoked IS NOT NULL)))
	ConstraintOAuthRefreshTokenRotatedIsRevoked Constraint = "oauth_refresh_token_rotated_is_revoked"
	// CHECK ((array_position(scopes, NULL::text) IS NULL))
	ConstraintOAuthRefreshTokenScopesHoldNoNull Constraint = "oauth_refresh_token_scopes_hold_no_null"
	// FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE SET NULL
	ConstraintOAuthRefreshTokenSessionIDFKey Constraint = "oauth_refresh_token_session_id_fkey"
	// CHECK (((successor)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthRefreshTokenSuccessorIsDigest Constraint = "oauth_refresh_token_successor_is_digest"
	// CHECK (((successor IS NULL) = (successor_id IS NULL)))
	ConstraintOAuthRefreshTokenSuccessorIsWhole Constraint = "oauth_refresh_token_successor_is_whole"
	// CHECK (((token)::text ~ '^[A-Za-z0-9_-]{43}$'::text))
	ConstraintOAuthRefreshTokenTokenIsDigest Constraint = "oauth_refresh_token_token_is_digest"
	// UNIQUE (token)
	ConstraintOAuthRefreshTokenTokenUIdx Constraint = "oauth_refresh_token_token_uidx"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintOAuthRefreshTokenUserIDFKey Constraint = "oauth_refresh_token_user_id_fkey"
)

// What a row of session has to satisfy.
const (
	// CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
	ConstraintSessionIDLength Constraint = "session_id_length"
	// CHECK ((octet_length(ip_address) <= 255))
	ConstraintSessionIPAddressLength Constraint = "session_ip_address_length"
	// PRIMARY KEY (id)
	ConstraintSessionPKey Constraint = "session_pkey"
	// CHECK (((octet_length((token)::text) >= 1) AND (octet_length((token)::text) <= 255)))
	ConstraintSessionTokenLength Constraint = "session_token_length"
	// UNIQUE (token)
	ConstraintSessionTokenUIdx Constraint = "session_token_uidx"
	// CHECK ((octet_length(user_agent) <= 4096))
	ConstraintSessionUserAgentLength Constraint = "session_user_agent_length"
	// FOREIGN KEY (user_id) REFERENCES "user"(id) ON DELETE CASCADE
	ConstraintSessionUserIDFKey Constraint = "session_user_id_fkey"
)

// What a row of user has to satisfy.
const (
	// CHECK (((octet_length(email) <= 320) AND (email ~ '^[^\s@]+@[^\s@]+$'::text)))
	ConstraintUserEmailIsAddress Constraint = "user_email_is_address"
	// UNIQUE (lower(email))
	ConstraintUserEmailLowerUIdx Constraint = "user_email_lower_uidx"
	// UNIQUE (email)
	ConstraintUserEmailUIdx Constraint = "user_email_uidx"
	// CHECK (((octet_length((id)::text) >= 1) AND (octet_length((id)::text) <= 255)))
	ConstraintUserIDLength Constraint = "user_id_length"
	// CHECK ((char_length(name) <= 1024))
	ConstraintUserNameLength Constraint = "user_name_length"
	// PRIMARY KEY (id)
	ConstraintUserPKey Constraint = "user_pkey"
)

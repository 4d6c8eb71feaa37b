-- The privileges of each role. The owner of the tables runs this after every migration: each run takes back what it gave before, so
-- what is new is given, and what is no longer needed is gone. Between a migration and this, a new table is nobody's but the owner's.
--
-- Functions keep the EXECUTE that PostgreSQL gives to everybody. Each runs with the rights of its caller, so it gives nobody any.

BEGIN;

SET LOCAL search_path = {{.Schema}}, pg_temp;

REVOKE ALL ON
    account, attempt_count, device_code, jwks, oauth_access_token, oauth_authorization, oauth_client, oauth_client_assertion,
    oauth_client_resource, oauth_client_secret, oauth_consent, oauth_initial_access_token, oauth_pairwise_subject,
    oauth_polled_request, oauth_proof, oauth_refresh_token, oauth_resource, oauth_trusted_issuer, one_time_code, passkey,
    recovery_code, security_event, session, session_client, totp, "user", verification
FROM PUBLIC, {{.Application}}, {{.Collector}}, {{.Auditor}}, {{.Peer}};
REVOKE ALL ON {{.VersionTable}} FROM PUBLIC, {{.Application}}, {{.Collector}}, {{.Auditor}}, {{.Peer}};

-- Whether the schema is up to date (migrations.Pending).
GRANT SELECT ON {{.VersionTable}} TO {{.Application}}, {{.Collector}}, {{.Auditor}};

-- The application makes all calls but those of the collector. An UPDATE of one column is what a row lock asks for.
GRANT
    SELECT,
    INSERT,
    DELETE,
    UPDATE (
        updated_at, access_token, refresh_token, id_token, access_token_expires_at, refresh_token_expires_at, scope, password
    )
ON account TO {{.Application}};
GRANT SELECT, INSERT, DELETE, UPDATE (updated_at, attempts, resets_at) ON attempt_count TO {{.Application}};
GRANT SELECT (
    id, created_at, updated_at, user_id, expires_at, status, last_polled_at, polling_interval, client_id, scope, oauth_client_id,
    resources
) ON device_code TO {{.Application}};
GRANT SELECT, INSERT, DELETE, UPDATE (updated_at, expires_at) ON jwks TO {{.Application}};
GRANT SELECT, INSERT, UPDATE (updated_at, revoked) ON oauth_access_token TO {{.Application}};
GRANT
    SELECT,
    INSERT,
    UPDATE (
        updated_at, status, authorization_details, request_uri, request_uri_expires_at, expires_at, user_id, session_id,
        reference_id, granted_scopes, auth_time, acr, amr, decided_at, bound, user_epoch, client_epoch, pair_epoch, data, code,
        code_expires_at, redeemed_at, redeemed_as, confirmation, max_expires_at, revoked_at, revoked_reason
    )
ON oauth_authorization TO {{.Application}};
GRANT
    SELECT,
    INSERT,
    UPDATE (
        updated_at, client_secret, disabled, skip_consent, enable_end_session, scopes, user_id, name, uri, icon, contacts, tos,
        policy, software_id, software_version, software_statement, redirect_uris, post_logout_redirect_uris,
        token_endpoint_auth_method, grant_types, response_types, public, type, reference_id, metadata, grants_epoch, deleted_at,
        client_secret_expires_at, foreign_secret_hash, registration_access_token, subject_type, sector_identifier, require_pkce,
        allow_plain_pkce, jwks, jwks_uri, application_type, default_max_age, access_token_lifetime, refresh_token_lifetime,
        authorization_lifetime, code_lifetime, refresh_grace, refresh_grace_until_used, require_pushed_authorization_requests,
        dpop_bound_access_tokens, tls_client_certificate_bound_access_tokens, tls_client_auth_subject_dn, tls_client_auth_san_dns,
        tls_client_auth_san_uri, tls_client_auth_san_ip, tls_client_auth_san_email, backchannel_logout_uri,
        backchannel_logout_session_required, resources, authorization_details_types, previous_registration_access_token,
        document_uri, document_etag, document_fetched_at, document_fresh_until, document_changes, consents_epoch
    )
ON oauth_client TO {{.Application}};
GRANT SELECT, INSERT ON oauth_client_assertion TO {{.Application}};
GRANT SELECT (id, created_at, updated_at, client_id, resource_id) ON oauth_client_resource TO {{.Application}};
GRANT SELECT, INSERT, DELETE, UPDATE (updated_at, expires_at) ON oauth_client_secret TO {{.Application}};
GRANT
    SELECT,
    INSERT,
    DELETE,
    UPDATE (updated_at, reference_id, scopes, resource_scopes, user_epoch, pair_epoch, client_epoch, resources, authorization_details)
ON oauth_consent TO {{.Application}};
GRANT SELECT, INSERT, UPDATE (updated_at, uses, expires_at, revoked_at) ON oauth_initial_access_token TO {{.Application}};
GRANT SELECT, INSERT ON oauth_pairwise_subject TO {{.Application}};
GRANT
    SELECT,
    INSERT,
    UPDATE (updated_at, user_code, poll_interval, polled_at, refresh_token_id)
ON oauth_polled_request TO {{.Application}};
GRANT SELECT, INSERT ON oauth_proof TO {{.Application}};
GRANT
    SELECT,
    INSERT,
    UPDATE (updated_at, revoked, successor, successor_id, access_token_expires_at)
ON oauth_refresh_token TO {{.Application}};
GRANT
    SELECT,
    INSERT,
    DELETE,
    UPDATE (updated_at, name, jwks, jwks_uri, audiences, signing_algorithms, client_ids, any_client, max_lifetime, disabled)
ON oauth_trusted_issuer TO {{.Application}};
GRANT SELECT, INSERT, DELETE, UPDATE (created_at, updated_at, digest, expires_at, data) ON one_time_code TO {{.Application}};
GRANT SELECT, INSERT, DELETE, UPDATE (updated_at, sign_count, backed_up, last_used_at) ON passkey TO {{.Application}};
GRANT SELECT, INSERT, DELETE, UPDATE (updated_at, used_at) ON recovery_code TO {{.Application}};
GRANT SELECT, INSERT ON security_event TO {{.Application}};
GRANT
    SELECT,
    INSERT,
    UPDATE (updated_at, expires_at, token, user_sessions_epoch, ended_at, last_seen_at, acr, amr, auth_time)
ON session TO {{.Application}};
GRANT
    SELECT,
    INSERT,
    UPDATE (updated_at, due_at, attempts, lease, lease_expires_at, told_at, abandoned_at)
ON session_client TO {{.Application}};
GRANT SELECT, INSERT, DELETE, UPDATE (updated_at, last_step, last_used_at) ON totp TO {{.Application}};
GRANT
    SELECT,
    INSERT,
    UPDATE (
        updated_at, name, email, email_verified, image, grants_epoch, sessions_epoch, ended_grants, suspended_at, deleted_at
    )
ON "user" TO {{.Application}};

-- The collector marks and deletes what is over. It inserts nothing, and reads whole rows only where a rule is about whole rows. The rows
-- that it has locked it finds again by their place (ctid).
GRANT SELECT (ctid, id, user_id), DELETE, UPDATE (updated_at) ON account TO {{.Collector}};
GRANT SELECT (ctid, id, resets_at), DELETE, UPDATE (updated_at) ON attempt_count TO {{.Collector}};
GRANT SELECT (ctid, id, expires_at), DELETE, UPDATE (updated_at) ON device_code TO {{.Collector}};
GRANT SELECT (ctid, id, expires_at), DELETE, UPDATE (updated_at) ON jwks TO {{.Collector}};
GRANT
    SELECT (
        ctid, id, client_id, session_id, user_id, reference_id, refresh_id, expires_at, revoked, authorization_id, client_epoch,
        pair_epoch
    ),
    DELETE,
    UPDATE (updated_at, session_id)
ON oauth_access_token TO {{.Collector}};
GRANT SELECT, DELETE, UPDATE (updated_at, session_id, revoked_at, revoked_reason) ON oauth_authorization TO {{.Collector}};
GRANT
    SELECT,
    DELETE,
    UPDATE (
        updated_at, client_secret, disabled, name, uri, icon, contacts, tos, policy, software_statement, redirect_uris,
        post_logout_redirect_uris, metadata, grants_epoch, deleted_at, foreign_secret_hash, registration_access_token, jwks,
        jwks_uri, previous_registration_access_token, tls_client_auth_subject_dn, tls_client_auth_san_dns,
        tls_client_auth_san_uri, tls_client_auth_san_ip, tls_client_auth_san_email, document_uri, document_etag,
        document_fresh_until, unused_since, unused_checked_at
    )
ON oauth_client TO {{.Collector}};
GRANT SELECT (ctid, id, expires_at), DELETE, UPDATE (updated_at) ON oauth_client_assertion TO {{.Collector}};
GRANT SELECT (ctid, id, client_id, expires_at), DELETE, UPDATE (updated_at) ON oauth_client_secret TO {{.Collector}};
GRANT SELECT, DELETE, UPDATE (updated_at) ON oauth_consent TO {{.Collector}};
GRANT SELECT (ctid, id, expires_at), DELETE, UPDATE (updated_at) ON oauth_initial_access_token TO {{.Collector}};
GRANT SELECT (ctid, id, user_id), DELETE, UPDATE (updated_at) ON oauth_pairwise_subject TO {{.Collector}};
GRANT SELECT (ctid, id, expires_at), DELETE, UPDATE (updated_at) ON oauth_polled_request TO {{.Collector}};
GRANT SELECT (ctid, id, expires_at), DELETE, UPDATE (updated_at) ON oauth_proof TO {{.Collector}};
GRANT
    SELECT (ctid, id, session_id, expires_at, revoked, authorization_id, access_token_expires_at),
    DELETE,
    UPDATE (updated_at, session_id)
ON oauth_refresh_token TO {{.Collector}};
GRANT SELECT (ctid, id, expires_at), DELETE, UPDATE (updated_at) ON one_time_code TO {{.Collector}};
GRANT SELECT (ctid, id, user_id), DELETE, UPDATE (updated_at) ON passkey TO {{.Collector}};
GRANT SELECT (ctid, id, user_id), DELETE, UPDATE (updated_at) ON recovery_code TO {{.Collector}};
GRANT SELECT (ctid, id, created_at), DELETE, UPDATE (updated_at) ON security_event TO {{.Collector}};
GRANT SELECT, DELETE, UPDATE (updated_at, expires_at, ended_at) ON session TO {{.Collector}};
GRANT
    SELECT (ctid, id, session_id, client_id, due_at, told_at, abandoned_at),
    DELETE,
    UPDATE (updated_at, due_at)
ON session_client TO {{.Collector}};
GRANT SELECT (ctid, id, user_id), DELETE, UPDATE (updated_at) ON totp TO {{.Collector}};
GRANT SELECT, DELETE, UPDATE (updated_at) ON "user" TO {{.Collector}};
GRANT SELECT (ctid, id, expires_at), DELETE, UPDATE (updated_at) ON verification TO {{.Collector}};

-- The auditor reads everything but credentials: no digest, no ciphertext, no secret, nothing that only the one who was given it should
-- know, and no document of free form that may hold such a thing. SELECT * is refused where a column is left out.
GRANT SELECT (
    id, created_at, updated_at, account_id, provider_id, user_id, access_token_expires_at, refresh_token_expires_at, scope
) ON account TO {{.Auditor}};
GRANT SELECT (id, created_at, updated_at, purpose, attempts, resets_at) ON attempt_count TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, user_id, expires_at, status, last_polled_at, polling_interval, client_id, scope, oauth_client_id,
    resources
) ON device_code TO {{.Auditor}};
GRANT SELECT (id, created_at, updated_at, public_key, alg, crv, expires_at) ON jwks TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, revoked, resources,
    authorization_details, confirmation, authorization_code_id, authorization_id, act, client_epoch, pair_epoch,
    requested_user_info_claims, subject_token_id, may_act
) ON oauth_access_token TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, client_id, kind, status, redirect_uri, response_type, response_mode, scopes, code_challenge_method,
    resources, authorization_details, claims, request_uri_expires_at, expires_at, user_id, session_id, reference_id, granted_scopes,
    auth_time, acr, amr, decided_at, bound, user_epoch, client_epoch, pair_epoch, code_expires_at, redeemed_at, redeemed_as,
    confirmation, act, may_act, max_expires_at, revoked_at, revoked_reason, acr_values, max_age
) ON oauth_authorization TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, client_id, disabled, skip_consent, enable_end_session, scopes, user_id, name, uri, icon, contacts,
    tos, policy, software_id, software_version, redirect_uris, post_logout_redirect_uris, token_endpoint_auth_method, grant_types,
    response_types, public, type, reference_id, grants_epoch, deleted_at, client_secret_expires_at, subject_type, sector_identifier,
    require_pkce, allow_plain_pkce, jwks, jwks_uri, application_type, default_max_age, access_token_lifetime,
    refresh_token_lifetime, authorization_lifetime, code_lifetime, refresh_grace, refresh_grace_until_used,
    require_pushed_authorization_requests, dpop_bound_access_tokens, tls_client_certificate_bound_access_tokens,
    tls_client_auth_subject_dn, tls_client_auth_san_dns, tls_client_auth_san_uri, tls_client_auth_san_ip, tls_client_auth_san_email,
    backchannel_logout_uri, backchannel_logout_session_required, client_discovery_id, client_credentials_scopes, resources,
    authorization_details_types, document_uri, document_etag, document_fetched_at, document_fresh_until, document_changes,
    unused_since, unused_checked_at, consents_epoch
) ON oauth_client TO {{.Auditor}};
GRANT SELECT (created_at, updated_at, expires_at, access_token_id, authorization_id) ON oauth_client_assertion TO {{.Auditor}};
GRANT SELECT (id, created_at, updated_at, client_id, resource_id) ON oauth_client_resource TO {{.Auditor}};
GRANT SELECT (id, created_at, updated_at, client_id, expires_at) ON oauth_client_secret TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, client_id, user_id, reference_id, scopes, resource_scopes, user_epoch, pair_epoch, resources,
    requested_user_info_claims, authorization_details, client_epoch
) ON oauth_consent TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, label, reference_id, max_uses, uses, expires_at, revoked_at
) ON oauth_initial_access_token TO {{.Auditor}};
GRANT SELECT (id, created_at, updated_at, sector, user_id, subject) ON oauth_pairwise_subject TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, expires_at, poll_interval, polled_at, refresh_token_id
) ON oauth_polled_request TO {{.Auditor}};
GRANT SELECT (created_at, updated_at, expires_at) ON oauth_proof TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, client_id, session_id, user_id, reference_id, expires_at, revoked, scopes, auth_time, resources,
    authorization_details, confirmation, authorization_code_id, authorization_id, successor_id, access_token_expires_at,
    requested_user_info_claims, rotated_at, rotation_replay_expires_at
) ON oauth_refresh_token TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, identifier, name, access_token_ttl, refresh_token_ttl, signing_algorithm, signing_key_id,
    allowed_scopes, custom_claims, dpop_bound_access_tokens_required, disabled, policy_version
) ON oauth_resource TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, issuer, name, jwks, jwks_uri, audiences, signing_algorithms, client_ids, any_client, max_lifetime,
    disabled
) ON oauth_trusted_issuer TO {{.Auditor}};
GRANT SELECT (id, created_at, updated_at, purpose, expires_at) ON one_time_code TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, user_id, name, public_key, sign_count, transports, aaguid, backup_eligible, backed_up, last_used_at
) ON passkey TO {{.Auditor}};
GRANT SELECT (id, created_at, updated_at, user_id, used_at) ON recovery_code TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, call, outcome, reason, user_id, client_id, session_id, authorization_id, item_id, ip_address
) ON security_event TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, expires_at, ip_address, user_agent, user_id, user_sessions_epoch, ended_at, last_seen_at, label,
    acr, amr, auth_time
) ON session TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, session_id, client_id, user_id, sub, sid, due_at, attempts, lease_expires_at, told_at, abandoned_at
) ON session_client TO {{.Auditor}};
GRANT SELECT (id, created_at, updated_at, user_id, name, algorithm, digits, period, last_step, last_used_at) ON totp TO {{.Auditor}};
GRANT SELECT (
    id, created_at, updated_at, name, email, email_verified, image, grants_epoch, sessions_epoch, ended_grants, suspended_at,
    deleted_at
) ON "user" TO {{.Auditor}};
GRANT SELECT (id, created_at, updated_at, expires_at) ON verification TO {{.Auditor}};

-- The peer is another server that writes the tables by itself, as better-auth does. What it has no name for is what the triggers on its
-- tables read and write.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    account, device_code, jwks, oauth_access_token, oauth_client, oauth_client_assertion, oauth_client_resource, oauth_consent,
    oauth_refresh_token, oauth_resource, session, "user", verification
TO {{.Peer}};
GRANT SELECT, INSERT ON oauth_authorization, oauth_pairwise_subject, session_client TO {{.Peer}};

COMMIT;

-- The schema as pg_dump writes it, for review. Written by `make generate` from migrations/, and never an input.

CREATE DOMAIN public.access_token_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.access_token_id IS 'Primary key of oauth_access_token; the jti of a JWT access token.';

CREATE DOMAIN public.account_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.account_id IS 'Primary key of account.';

CREATE DOMAIN public.assertion_lifetime AS interval
	CONSTRAINT assertion_lifetime_is_positive CHECK ((VALUE >= '00:00:01'::interval));

COMMENT ON DOMAIN public.assertion_lifetime IS 'How far from now the exp of an assertion may be: a second or more.';

CREATE DOMAIN public.attempt_count_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.attempt_count_id IS 'Primary key of attempt_count.';

CREATE DOMAIN public.authorization_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.authorization_id IS 'Primary key of oauth_authorization, and so of a family of tokens.';

CREATE TYPE public.authorization_kind AS ENUM (
    'code',
    'device',
    'ciba',
    'assertion',
    'direct',
    'foreign'
);

COMMENT ON TYPE public.authorization_kind IS 'What a family began with: a code, a device or CIBA request, an assertion, a grant by the server itself (direct), or a token of another server (foreign).';

CREATE TYPE public.authorization_status AS ENUM (
    'pending',
    'approved',
    'denied'
);

COMMENT ON TYPE public.authorization_status IS 'What the user has decided.';

CREATE DOMAIN public.client_grace AS interval
	CONSTRAINT client_grace_is_not_negative CHECK ((VALUE >= '00:00:00'::interval));

COMMENT ON DOMAIN public.client_grace IS 'For how long something is forgiven: zero or more.';

CREATE DOMAIN public.client_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.client_id IS 'The public client identifier (RFC 6749, section 2.2). Tokens and consents refer to it.';

CREATE DOMAIN public.client_lifetime AS interval
	CONSTRAINT client_lifetime_is_positive CHECK ((VALUE >= '00:00:01'::interval));

COMMENT ON DOMAIN public.client_lifetime IS 'How long something of a client''s lives at most: a second or more.';

CREATE DOMAIN public.client_secret_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.client_secret_id IS 'Primary key of oauth_client_secret.';

CREATE DOMAIN public.code_challenge_method AS text
	CONSTRAINT code_challenge_method_known CHECK ((VALUE = ANY (ARRAY['S256'::text, 'plain'::text])));

COMMENT ON DOMAIN public.code_challenge_method IS 'How a challenge is derived from its verifier (RFC 7636, section 4.2).';

CREATE DOMAIN public.consent_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.consent_id IS 'Primary key of oauth_consent.';

CREATE DOMAIN public.digest_list AS text[];

COMMENT ON DOMAIN public.digest_list IS 'Several of token_digest, as a parameter.';

CREATE DOMAIN public.email_address AS text
	CONSTRAINT user_email_is_address CHECK (((octet_length(VALUE) <= 320) AND ((VALUE COLLATE "C") ~ '^[^[:space:]@]+@[^[:space:]@]+$'::text)));

COMMENT ON DOMAIN public.email_address IS 'An e-mail address: something before an @, something after it, no spaces, 320 bytes at most.';

CREATE DOMAIN public.finite_timestamptz AS timestamp with time zone
	CONSTRAINT timestamptz_is_finite CHECK (isfinite(VALUE));

COMMENT ON DOMAIN public.finite_timestamptz IS 'A finite time. NULL means never, not infinity.';

CREATE DOMAIN public.initial_access_token_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.initial_access_token_id IS 'Primary key of oauth_initial_access_token.';

CREATE DOMAIN public.jwk_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.jwk_id IS 'Primary key of jwks; the kid in the header of what the key signs.';

CREATE TYPE public.oauth_client_field AS ENUM (
    'skip_consent',
    'enable_end_session',
    'scopes',
    'user_id',
    'name',
    'uri',
    'icon',
    'contacts',
    'tos',
    'policy',
    'software_id',
    'software_version',
    'software_statement',
    'post_logout_redirect_uris',
    'token_endpoint_auth_method',
    'grant_types',
    'response_types',
    'public',
    'type',
    'reference_id',
    'metadata',
    'subject_type',
    'require_pkce',
    'jwks',
    'jwks_uri',
    'application_type',
    'access_token_lifetime',
    'refresh_token_lifetime',
    'authorization_lifetime',
    'code_lifetime',
    'refresh_grace',
    'refresh_grace_until_used',
    'backchannel_logout_uri',
    'backchannel_logout_session_required',
    'allow_plain_pkce',
    'default_max_age',
    'require_pushed_authorization_requests',
    'dpop_bound_access_tokens',
    'tls_client_certificate_bound_access_tokens',
    'tls_client_auth_subject_dn',
    'tls_client_auth_san_dns',
    'tls_client_auth_san_uri',
    'tls_client_auth_san_ip',
    'tls_client_auth_san_email',
    'resources',
    'authorization_details_types'
);

COMMENT ON TYPE public.oauth_client_field IS 'Columns of oauth_client that UpdateClient can set to NULL.';

CREATE DOMAIN public.oauth_client_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.oauth_client_id IS 'Primary key of oauth_client. Clients never see it.';

CREATE DOMAIN public.one_time_code_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.one_time_code_id IS 'Primary key of one_time_code.';

CREATE TYPE public.outcome AS ENUM (
    'created',
    'approved',
    'denied',
    'issued',
    'granted',
    'redeemed',
    'rotated',
    'updated',
    'extended',
    'withdrawn',
    'ended',
    'reinstated',
    'enabled',
    'deleted',
    'authenticated',
    'remembered',
    'active',
    'retried',
    'unauthenticated',
    'unknown',
    'expired',
    'revoked',
    'replayed',
    'proof_replayed',
    'mismatched',
    'disabled',
    'suspended',
    'signed_out',
    'unauthorized_client',
    'invalid_scope',
    'invalid_target',
    'decided',
    'undecided',
    'unsupported_token_type',
    'too_far',
    'inactive',
    'last',
    'redirect_uri_mismatched',
    'unsupported_response_type',
    'invalid_authorization_details',
    'pkce_required',
    'pkce_method_refused',
    'request_must_be_pushed',
    'authorization_pending',
    'slow_down',
    'taken',
    'claimed',
    'exchanged',
    'registered',
    'exhausted',
    'accepted',
    'inserted',
    'changed',
    'fresh',
    'stale',
    'replaced',
    'delivered',
    'postponed',
    'abandoned',
    'superseded',
    'counted',
    'spent',
    'regressed',
    'untrusted',
    'too_many_actors',
    'invalid_redirect_uri',
    'invalid_client_metadata'
);

COMMENT ON TYPE public.outcome IS 'The result of a call. A word means the same in every call; the documentation of package store lists them.';

CREATE DOMAIN public.pairwise_subject_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.pairwise_subject_id IS 'Primary key of oauth_pairwise_subject.';

CREATE DOMAIN public.passkey_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.passkey_id IS 'Primary key of passkey: the credential ID of WebAuthn in unpadded base64url.';

CREATE DOMAIN public.poll_interval AS interval
	CONSTRAINT poll_interval_is_positive CHECK ((VALUE >= '00:00:01'::interval));

COMMENT ON DOMAIN public.poll_interval IS 'How long a client waits between two polls: a second or more.';

CREATE DOMAIN public.provider_text AS text
	CONSTRAINT provider_text_length CHECK (((octet_length(VALUE) >= 1) AND (octet_length(VALUE) <= 4096)));

COMMENT ON DOMAIN public.provider_text IS 'The name of an identity provider, or its identifier of a user: 1 to 4096 bytes.';

CREATE DOMAIN public.recovery_code_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.recovery_code_id IS 'Primary key of recovery_code.';

CREATE DOMAIN public.reference_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.reference_id IS 'Opaque pointer to a tenant, such as an organisation.';

CREATE DOMAIN public.refresh_token_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.refresh_token_id IS 'Primary key of oauth_refresh_token.';

CREATE TYPE public.revocation_reason AS ENUM (
    'code_replayed',
    'refresh_token_reused',
    'token_revoked',
    'authorization_revoked',
    'session_ended',
    'grants_ended',
    'expired'
);

COMMENT ON TYPE public.revocation_reason IS 'Why a family of tokens was ended.';

CREATE DOMAIN public.session_client_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.session_client_id IS 'Primary key of session_client.';

CREATE DOMAIN public.token_digest AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.token_digest IS 'base64url(SHA-256(credential)) without padding, 43 characters. The credential itself is never stored.';

CREATE DOMAIN public.session_cookie AS public.token_digest
	CONSTRAINT session_token_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.session_cookie IS 'Digest of a session cookie. A better-auth server keeps the cookie''s own value, so only the length is checked.';

CREATE DOMAIN public.session_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.session_id IS 'Primary key of session; the sid of OpenID Connect logout.';

CREATE DOMAIN public.short_text AS text
	CONSTRAINT short_text_length CHECK ((octet_length(VALUE) <= 4096));

COMMENT ON DOMAIN public.short_text IS 'Text of 4096 bytes at most.';

CREATE DOMAIN public.stored_access_token_id AS public.access_token_id
	CONSTRAINT access_token_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_access_token_id IS 'An access_token_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_account_id AS public.account_id
	CONSTRAINT account_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_account_id IS 'An account_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_array AS jsonb
	CONSTRAINT array_is_small CHECK (((jsonb_typeof(VALUE) = 'array'::text) AND (pg_column_size(VALUE) <= 65536) AND (NOT jsonb_path_exists(VALUE, 'strict $.**{33}'::jsonpath))));

COMMENT ON DOMAIN public.stored_array IS 'A JSON array of 64 KiB and 32 levels at most.';

CREATE DOMAIN public.stored_assertion_id AS public.token_digest
	CONSTRAINT assertion_id_is_digest CHECK (((octet_length((VALUE)::text) = ANY (ARRAY[32, 43])) AND ((VALUE)::text ~ '^[A-Za-z0-9_-]*$'::text)));

COMMENT ON DOMAIN public.stored_assertion_id IS 'A digest by which an assertion is remembered: 43 base64url characters, or the first 32 as a better-auth server has them.';

CREATE DOMAIN public.stored_authorization_id AS public.authorization_id
	CONSTRAINT authorization_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_authorization_id IS 'An authorization_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_client_id AS public.client_id
	CONSTRAINT oauth_client_client_id_is_vschar CHECK (((octet_length((VALUE)::text) <= 2048) AND ((VALUE)::text ~ '^[\x20-\x7e]+$'::text)));

COMMENT ON DOMAIN public.stored_client_id IS 'A client_id as it is stored: 1 to 2048 printable ASCII characters (RFC 6749, appendix A.1).';

CREATE DOMAIN public.token_confirmation AS jsonb;

COMMENT ON DOMAIN public.token_confirmation IS 'The key that a caller has proven to hold (RFC 7800).';

CREATE DOMAIN public.stored_confirmation AS public.token_confirmation
	CONSTRAINT confirmation_names_a_key CHECK (((jsonb_typeof((VALUE)::jsonb) = 'object'::text) AND ((VALUE)::jsonb <> '{}'::jsonb) AND (pg_column_size(VALUE) <= 1024)));

COMMENT ON DOMAIN public.stored_confirmation IS 'The key to which a token is bound.';

CREATE DOMAIN public.stored_consent_id AS public.consent_id
	CONSTRAINT consent_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_consent_id IS 'A consent_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_initial_access_token_id AS public.initial_access_token_id
	CONSTRAINT initial_access_token_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_initial_access_token_id IS 'An initial_access_token_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_issuer AS text COLLATE pg_catalog."C"
	CONSTRAINT issuer_length CHECK (((octet_length(VALUE) >= 1) AND (octet_length(VALUE) <= 2048)));

COMMENT ON DOMAIN public.stored_issuer IS 'The iss of an assertion (RFC 7523, section 3, item 1): 1 to 2048 bytes.';

CREATE DOMAIN public.stored_jwk_id AS public.jwk_id
	CONSTRAINT jwks_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_jwk_id IS 'A jwk_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_oauth_client_id AS public.oauth_client_id
	CONSTRAINT oauth_client_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_oauth_client_id IS 'An oauth_client_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_object AS jsonb
	CONSTRAINT object_is_small CHECK (((jsonb_typeof(VALUE) = 'object'::text) AND (pg_column_size(VALUE) <= 65536) AND (NOT jsonb_path_exists(VALUE, 'strict $.**{33}'::jsonpath))));

COMMENT ON DOMAIN public.stored_object IS 'A JSON object of 64 KiB and 32 levels at most.';

CREATE DOMAIN public.stored_passkey_id AS public.passkey_id
	CONSTRAINT passkey_id_is_base64url CHECK ((((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 1364)) AND ((VALUE)::text ~ '^[A-Za-z0-9_-]*$'::text)));

COMMENT ON DOMAIN public.stored_passkey_id IS 'A passkey_id as it is stored: 1 to 1023 bytes in unpadded base64url.';

CREATE DOMAIN public.stored_purpose AS text COLLATE pg_catalog."C"
	CONSTRAINT purpose_length CHECK (((octet_length(VALUE) >= 1) AND (octet_length(VALUE) <= 64)));

COMMENT ON DOMAIN public.stored_purpose IS 'What a code or an attempt is for, in the server''s own words: 1 to 64 bytes.';

CREATE DOMAIN public.stored_reference_id AS public.reference_id
	CONSTRAINT reference_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_reference_id IS 'A reference_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_refresh_token_id AS public.refresh_token_id
	CONSTRAINT refresh_token_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_refresh_token_id IS 'A refresh_token_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_sector AS text COLLATE pg_catalog."C"
	CONSTRAINT sector_length CHECK (((octet_length(VALUE) >= 1) AND (octet_length(VALUE) <= 255)));

COMMENT ON DOMAIN public.stored_sector IS 'A sector of pairwise subjects: 1 to 255 bytes.';

CREATE DOMAIN public.stored_session_id AS public.session_id
	CONSTRAINT session_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_session_id IS 'A session_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.stored_sign_count AS bigint
	CONSTRAINT sign_count_in_range CHECK (((VALUE >= 0) AND (VALUE <= '4294967295'::bigint)));

COMMENT ON DOMAIN public.stored_sign_count IS 'A signature counter: 32 bits, unsigned (WebAuthn Level 3, section 6.1.1).';

CREATE DOMAIN public.subject AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.subject IS 'A user''s identifier for a client (sub of OpenID Connect Core, section 2): the user_id, or a pairwise one.';

CREATE DOMAIN public.stored_subject AS public.subject
	CONSTRAINT subject_is_printable CHECK (((VALUE)::text ~ '^[\x20-\x7e]{1,255}$'::text));

COMMENT ON DOMAIN public.stored_subject IS 'A pairwise subject as it is stored: 1 to 255 printable ASCII characters (OpenID Connect Core, section 2).';

CREATE DOMAIN public.stored_token_digest AS public.token_digest
	CONSTRAINT token_digest_is_digest CHECK (((octet_length((VALUE)::text) = 43) AND ((VALUE)::text ~ '^[A-Za-z0-9_-]*$'::text)));

COMMENT ON DOMAIN public.stored_token_digest IS 'A digest as it is stored: 43 base64url characters.';

CREATE DOMAIN public.totp_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.totp_id IS 'Primary key of totp.';

CREATE DOMAIN public.stored_totp_id AS public.totp_id
	CONSTRAINT totp_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_totp_id IS 'A totp_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.trusted_issuer_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.trusted_issuer_id IS 'Primary key of oauth_trusted_issuer.';

CREATE DOMAIN public.stored_trusted_issuer_id AS public.trusted_issuer_id
	CONSTRAINT trusted_issuer_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_trusted_issuer_id IS 'A trusted_issuer_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.user_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.user_id IS 'Primary key of "user"; the subject (sub) of tokens.';

CREATE DOMAIN public.stored_user_id AS public.user_id
	CONSTRAINT user_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_user_id IS 'A user_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.verification_id AS text COLLATE pg_catalog."C";

COMMENT ON DOMAIN public.verification_id IS 'Primary key of verification.';

CREATE DOMAIN public.stored_verification_id AS public.verification_id
	CONSTRAINT verification_id_length CHECK (((octet_length((VALUE)::text) >= 1) AND (octet_length((VALUE)::text) <= 255)));

COMMENT ON DOMAIN public.stored_verification_id IS 'A verification_id as it is stored: 1 to 255 bytes.';

CREATE DOMAIN public.text_list AS text[]
	CONSTRAINT text_list_is_flat CHECK (
CASE
    WHEN (array_ndims(VALUE) > 1) THEN false
    ELSE (array_position(VALUE, NULL::text) IS NULL)
END);

COMMENT ON DOMAIN public.text_list IS 'A list of texts, none of them NULL.';

CREATE TYPE public.token_answer AS (
	outcome public.outcome,
	sub text COLLATE pg_catalog."C",
	session_id text COLLATE pg_catalog."C",
	scopes text[],
	resources text[],
	authorization_details jsonb,
	refresh_token_id text COLLATE pg_catalog."C",
	refresh_token text COLLATE pg_catalog."C",
	refresh_token_expires_at timestamp with time zone,
	access_token_expires_at timestamp with time zone
);

COMMENT ON TYPE public.token_answer IS 'What a call that issues tokens answers: the outcome, NULL if the call judges it elsewhere, and what the tokens are.';

CREATE TYPE public.token_kind AS ENUM (
    'access_token',
    'refresh_token'
);

COMMENT ON TYPE public.token_kind IS 'The token_type_hint of RFC 7009, section 2.1.';

CREATE DOMAIN public.totp_algorithm AS text
	CONSTRAINT totp_algorithm_known CHECK ((VALUE = ANY (ARRAY['SHA1'::text, 'SHA256'::text, 'SHA512'::text])));

COMMENT ON DOMAIN public.totp_algorithm IS 'The hash function of the HMAC (RFC 6238, section 1.2).';

CREATE DOMAIN public.totp_digits AS integer
	CONSTRAINT totp_digits_in_range CHECK (((VALUE >= 6) AND (VALUE <= 8)));

COMMENT ON DOMAIN public.totp_digits IS 'How many digits a code has (RFC 4226, section 5.3).';

CREATE DOMAIN public.totp_period AS integer
	CONSTRAINT totp_period_in_range CHECK (((VALUE >= 1) AND (VALUE <= 3600)));

COMMENT ON DOMAIN public.totp_period IS 'How many seconds a step lasts (RFC 6238, section 4.1).';

CREATE FUNCTION public.times_ended(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    counters jsonb;
BEGIN
    counters := ended_grants -> client_key(client_id); -- once, as a large map is fetched each time
    -- counters only rise, so equal sums mean equal counters
    RETURN coalesce((counters ->> '')::bigint, 0) + coalesce((counters ->> tenant_key(reference_id))::bigint, 0);
END
$$;

COMMENT ON FUNCTION public.times_ended(ended_grants jsonb, client_id text, reference_id text) IS 'Part of pair_epoch, for a user who has ended grants: how often those to a client were ended in all tenants, and in one. Not inlined, so that others don''t pay for it.';

CREATE FUNCTION public.pair_epoch(ended_grants jsonb, client_id text, reference_id text) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (pg_column_size(ended_grants) <= 8) THEN (0)::bigint ELSE public.times_ended(ended_grants, client_id, reference_id) END;

COMMENT ON FUNCTION public.pair_epoch(ended_grants jsonb, client_id text, reference_id text) IS 'How often the grants of a user to a client were ended, in all tenants or in this one.';

CREATE TABLE public.session (
    id public.stored_session_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    token public.session_cookie NOT NULL,
    ip_address public.short_text,
    user_agent public.short_text,
    user_id public.user_id NOT NULL,
    user_sessions_epoch bigint DEFAULT 0 NOT NULL,
    ended_at timestamp with time zone,
    last_seen_at timestamp with time zone,
    label public.short_text,
    acr public.short_text,
    amr public.text_list,
    auth_time timestamp with time zone,
    CONSTRAINT session_ended_has_expired CHECK (((ended_at IS NULL) OR (expires_at <= ended_at))),
    CONSTRAINT session_times_are_finite CHECK ((isfinite(created_at) AND isfinite(updated_at) AND isfinite(ended_at) AND isfinite(last_seen_at) AND isfinite(auth_time)))
);

COMMENT ON TABLE public.session IS 'Signed-in browsers. A session is live while it has neither ended nor expired, its user_sessions_epoch is the user''s sessions_epoch, and the user is neither suspended nor deleted.';

COMMENT ON COLUMN public.session.expires_at IS 'When the session expires. ExtendSession moves it.';

COMMENT ON COLUMN public.session.token IS 'Digest of the session cookie.';

COMMENT ON COLUMN public.session.ip_address IS 'Where the user signed in from, as the server saw it.';

COMMENT ON COLUMN public.session.user_agent IS 'User-Agent header at sign-in.';

COMMENT ON COLUMN public.session.user_sessions_epoch IS 'sessions_epoch of the user when the session began, set by a trigger.';

COMMENT ON COLUMN public.session.ended_at IS 'When the session was ended. expires_at is no later, for servers that read only that.';

COMMENT ON COLUMN public.session.last_seen_at IS 'When the session was last extended.';

COMMENT ON COLUMN public.session.label IS 'Name of the device for a settings page.';

COMMENT ON COLUMN public.session.acr IS 'Authentication context class reference (OpenID Connect Core, section 2).';

COMMENT ON COLUMN public.session.amr IS 'Authentication methods (RFC 8176).';

COMMENT ON COLUMN public.session.auth_time IS 'When the user last authenticated in the session (auth_time of OpenID Connect Core, section 2).';

CREATE TABLE public."user" (
    id public.stored_user_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    name public.short_text NOT NULL,
    email public.email_address,
    email_verified boolean DEFAULT false NOT NULL,
    image text,
    grants_epoch bigint DEFAULT 0 NOT NULL,
    sessions_epoch bigint DEFAULT 0 NOT NULL,
    ended_grants public.stored_object DEFAULT '{}'::jsonb NOT NULL,
    suspended_at timestamp with time zone,
    deleted_at timestamp with time zone,
    CONSTRAINT user_times_are_finite CHECK ((isfinite(created_at) AND isfinite(updated_at) AND isfinite(suspended_at) AND isfinite(deleted_at)))
);

COMMENT ON TABLE public."user" IS 'People who sign in: the resource owners.';

COMMENT ON COLUMN public."user".id IS 'The subject (sub) of tokens. The caller makes it.';

COMMENT ON COLUMN public."user".name IS 'Display name.';

COMMENT ON COLUMN public."user".email IS 'E-mail address, unique without regard to ASCII case; NULL if the user has none.';

COMMENT ON COLUMN public."user".email_verified IS 'Whether the user has proven to own the address.';

COMMENT ON COLUMN public."user".image IS 'URL of a picture.';

COMMENT ON COLUMN public."user".grants_epoch IS 'How often all grants of the user were ended. A grant is live only while this is what it was at the grant.';

COMMENT ON COLUMN public."user".sessions_epoch IS 'How often all sessions of the user were ended. A session is live only while this is its user_sessions_epoch.';

COMMENT ON COLUMN public."user".ended_grants IS 'How often the grants of one client were ended: {client: {"": in all tenants, "-": without a tenant, "."||tenant: in that one}}. Counters only rise; raising grants_epoch empties the map.';

COMMENT ON COLUMN public."user".suspended_at IS 'When the user was suspended. Until that is lifted, nothing of the user''s is live and nothing is granted.';

COMMENT ON COLUMN public."user".deleted_at IS 'When the user was deleted. The row stays, without personal data, until the collector has erased everything that refers to it.';

CREATE FUNCTION public.session_goes_on(s public.session, u public."user") RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (((s).ended_at IS NULL) AND ((s).expires_at > now()) AND ((s).user_sessions_epoch >= (u).sessions_epoch));

COMMENT ON FUNCTION public.session_goes_on(s public.session, u public."user") IS 'Part of session_is_live: whether a session of the user has neither ended nor expired. NULL without a session or a user.';

CREATE TABLE public.oauth_authorization (
    id public.stored_authorization_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    client_id public.client_id NOT NULL,
    kind public.authorization_kind DEFAULT 'code'::public.authorization_kind NOT NULL,
    status public.authorization_status DEFAULT 'pending'::public.authorization_status NOT NULL,
    redirect_uri text,
    response_type text,
    response_mode text,
    scopes public.text_list NOT NULL,
    state text,
    nonce text,
    code_challenge public.short_text,
    code_challenge_method public.code_challenge_method,
    resources public.text_list,
    authorization_details public.stored_array,
    claims public.stored_object,
    request public.stored_object,
    request_uri public.stored_token_digest,
    request_uri_expires_at timestamp with time zone,
    expires_at timestamp with time zone,
    user_id public.user_id,
    session_id public.session_id,
    reference_id public.stored_reference_id,
    granted_scopes public.text_list,
    auth_time timestamp with time zone,
    acr public.short_text,
    amr public.text_list,
    decided_at timestamp with time zone,
    bound boolean DEFAULT false NOT NULL,
    user_epoch bigint,
    client_epoch bigint,
    pair_epoch bigint,
    code public.stored_token_digest,
    code_expires_at timestamp with time zone,
    redeemed_at timestamp with time zone,
    redeemed_as public.access_token_id,
    confirmation public.stored_confirmation,
    act public.stored_object,
    may_act public.stored_object,
    max_expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    revoked_reason public.revocation_reason,
    data public.stored_object,
    acr_values public.text_list,
    max_age bigint,
    CONSTRAINT oauth_authorization_approval_is_whole CHECK (((status <> 'approved'::public.authorization_status) OR ((user_id IS NOT NULL) AND (granted_scopes IS NOT NULL) AND (user_epoch IS NOT NULL) AND (client_epoch IS NOT NULL) AND (pair_epoch IS NOT NULL)))),
    CONSTRAINT oauth_authorization_challenge_names_method CHECK (((code_challenge IS NULL) = (code_challenge_method IS NULL))),
    CONSTRAINT oauth_authorization_code_is_whole CHECK (((code IS NULL) OR ((status = 'approved'::public.authorization_status) AND (code_expires_at IS NOT NULL)))),
    CONSTRAINT oauth_authorization_granted_within_asked CHECK (
CASE
    WHEN (cardinality((granted_scopes)::text[]) <= 32) THEN ((granted_scopes)::text[] <@ (scopes)::text[])
    ELSE (jsonb_object((scopes)::text[], (scopes)::text[]) ?& (granted_scopes)::text[])
END),
    CONSTRAINT oauth_authorization_revoked_for_reason CHECK (((revoked_at IS NULL) = (revoked_reason IS NULL)))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.05');

COMMENT ON TABLE public.oauth_authorization IS 'One decision of a user about a client, from the request to the last token that descends from it: the family. Liveness is derived (is_live).';

COMMENT ON COLUMN public.oauth_authorization.kind IS 'What the family began with.';

COMMENT ON COLUMN public.oauth_authorization.status IS 'pending until the user has decided.';

COMMENT ON COLUMN public.oauth_authorization.redirect_uri IS 'redirect_uri of the request (RFC 6749, section 4.1.1); NULL if it carried none.';

COMMENT ON COLUMN public.oauth_authorization.response_type IS 'response_type of the request.';

COMMENT ON COLUMN public.oauth_authorization.response_mode IS 'response_mode of the request.';

COMMENT ON COLUMN public.oauth_authorization.scopes IS 'Scopes that the request asked for.';

COMMENT ON COLUMN public.oauth_authorization.state IS 'state of the request, returned to the client.';

COMMENT ON COLUMN public.oauth_authorization.nonce IS 'nonce of the request, for the ID token.';

COMMENT ON COLUMN public.oauth_authorization.code_challenge IS 'PKCE challenge (RFC 7636, section 4.3).';

COMMENT ON COLUMN public.oauth_authorization.code_challenge_method IS 'How the challenge is derived from the verifier (RFC 7636, section 4.2).';

COMMENT ON COLUMN public.oauth_authorization.resources IS 'Resource indicators that the request asked for (RFC 8707); NULL if none.';

COMMENT ON COLUMN public.oauth_authorization.authorization_details IS 'authorization_details of the request and, once it is approved, of the grant (RFC 9396).';

COMMENT ON COLUMN public.oauth_authorization.claims IS 'The claims parameter (OpenID Connect Core, section 5.5).';

COMMENT ON COLUMN public.oauth_authorization.request IS 'Other parameters of the request, such as prompt, login_hint and ui_locales: a JSON object.';

COMMENT ON COLUMN public.oauth_authorization.request_uri IS 'Digest of the request_uri of a pushed request (RFC 9126); NULL once the user has decided, or it was taken.';

COMMENT ON COLUMN public.oauth_authorization.request_uri_expires_at IS 'Until when a request_uri has to be opened; NULL once it was. From then on expires_at counts.';

COMMENT ON COLUMN public.oauth_authorization.expires_at IS 'When the request lapses or, once it is approved, the approval. Once the code is redeemed, the expiry of the tokens counts, and this is NULL, or the expiry of an access token without a row that has no refresh token beside it.';

COMMENT ON COLUMN public.oauth_authorization.user_id IS 'Who decided.';

COMMENT ON COLUMN public.oauth_authorization.session_id IS 'The session in which the user decided.';

COMMENT ON COLUMN public.oauth_authorization.reference_id IS 'The tenant in which the user decided.';

COMMENT ON COLUMN public.oauth_authorization.granted_scopes IS 'Scopes that the user granted: a subset of scopes.';

COMMENT ON COLUMN public.oauth_authorization.auth_time IS 'When the user last authenticated (auth_time of OpenID Connect Core, section 2).';

COMMENT ON COLUMN public.oauth_authorization.acr IS 'Authentication context class reference.';

COMMENT ON COLUMN public.oauth_authorization.amr IS 'Authentication methods (RFC 8176).';

COMMENT ON COLUMN public.oauth_authorization.decided_at IS 'When the user approved or denied.';

COMMENT ON COLUMN public.oauth_authorization.bound IS 'Whether the family is live only while its session is: it was granted in a session, without offline_access. Written once, at the grant.';

COMMENT ON COLUMN public.oauth_authorization.user_epoch IS 'grants_epoch of the user at the grant.';

COMMENT ON COLUMN public.oauth_authorization.client_epoch IS 'grants_epoch of the client at the grant.';

COMMENT ON COLUMN public.oauth_authorization.pair_epoch IS 'pair_epoch() of the user, client and tenant at the grant.';

COMMENT ON COLUMN public.oauth_authorization.code IS 'Digest of the authorization code. It is kept after redemption, so that a replay is recognised.';

COMMENT ON COLUMN public.oauth_authorization.code_expires_at IS 'When the code expires.';

COMMENT ON COLUMN public.oauth_authorization.redeemed_at IS 'When the code was redeemed. That happens once.';

COMMENT ON COLUMN public.oauth_authorization.redeemed_as IS 'Id of the access token that the redemption issued. A repeated call names the same one.';

COMMENT ON COLUMN public.oauth_authorization.confirmation IS 'The key to which the family is bound (RFC 7800; dpop_jkt of RFC 9449, section 10). NULL means none.';

COMMENT ON COLUMN public.oauth_authorization.act IS 'Who acts for the user (RFC 8693, section 4.1).';

COMMENT ON COLUMN public.oauth_authorization.may_act IS 'Who may act for the user (RFC 8693, section 4.4).';

COMMENT ON COLUMN public.oauth_authorization.max_expires_at IS 'Upper bound of the expiry of the family''s tokens. NULL means none.';

COMMENT ON COLUMN public.oauth_authorization.revoked_at IS 'When the family was ended. Its tokens are dead.';

COMMENT ON COLUMN public.oauth_authorization.revoked_reason IS 'Why the family was ended.';

COMMENT ON COLUMN public.oauth_authorization.data IS 'Data that a library on top keeps with the authorization.';

COMMENT ON COLUMN public.oauth_authorization.acr_values IS 'acr_values of the request, in order of preference (OpenID Connect Core, section 3.1.2.1).';

COMMENT ON COLUMN public.oauth_authorization.max_age IS 'max_age of the request, in seconds (OpenID Connect Core, section 3.1.2.1).';

CREATE TABLE public.oauth_client (
    id public.stored_oauth_client_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    client_id public.stored_client_id NOT NULL,
    client_secret public.stored_token_digest,
    disabled boolean DEFAULT false NOT NULL,
    skip_consent boolean,
    enable_end_session boolean,
    scopes public.text_list,
    user_id public.user_id,
    name text,
    uri text,
    icon text,
    contacts public.text_list,
    tos text,
    policy text,
    software_id text,
    software_version text,
    software_statement text,
    redirect_uris public.text_list NOT NULL,
    post_logout_redirect_uris public.text_list,
    token_endpoint_auth_method text,
    grant_types public.text_list,
    response_types public.text_list,
    public boolean,
    type text,
    reference_id public.stored_reference_id,
    metadata public.stored_object,
    grants_epoch bigint DEFAULT 0 NOT NULL,
    deleted_at timestamp with time zone,
    client_secret_expires_at public.finite_timestamptz,
    foreign_secret_hash public.short_text,
    registration_access_token public.stored_token_digest,
    subject_type text,
    sector_identifier public.short_text,
    require_pkce boolean,
    allow_plain_pkce boolean,
    jwks public.stored_object,
    jwks_uri text,
    application_type text,
    default_max_age interval,
    access_token_lifetime public.client_lifetime,
    refresh_token_lifetime public.client_lifetime,
    authorization_lifetime public.client_lifetime,
    code_lifetime public.client_lifetime,
    refresh_grace public.client_grace,
    refresh_grace_until_used boolean,
    require_pushed_authorization_requests boolean,
    dpop_bound_access_tokens boolean,
    tls_client_certificate_bound_access_tokens boolean,
    tls_client_auth_subject_dn public.short_text,
    tls_client_auth_san_dns public.short_text,
    tls_client_auth_san_uri public.short_text,
    tls_client_auth_san_ip public.short_text,
    tls_client_auth_san_email public.short_text,
    backchannel_logout_uri text,
    backchannel_logout_session_required boolean,
    client_discovery_id text,
    client_credentials_scopes public.text_list,
    resources public.text_list,
    authorization_details_types public.text_list,
    previous_registration_access_token public.stored_token_digest,
    document_uri public.short_text,
    document_etag public.short_text,
    document_fetched_at public.finite_timestamptz,
    document_fresh_until public.finite_timestamptz,
    document_changes public.text_list,
    unused_since timestamp with time zone,
    unused_checked_at timestamp with time zone,
    consents_epoch bigint DEFAULT 0 NOT NULL,
    CONSTRAINT oauth_client_deleted_is_disabled CHECK (((deleted_at IS NULL) OR disabled)),
    CONSTRAINT oauth_client_foreign_secret_hash_is_hash CHECK (((((foreign_secret_hash)::text COLLATE "C") ~ '^([$][A-Za-z0-9_-]+[$]|[{][A-Za-z0-9._-]+[}]|(pbkdf2|argon2|bcrypt|scrypt)[A-Za-z0-9_-]*[$:])[!-)+-~]+$'::text) AND (((foreign_secret_hash)::text COLLATE "C") !~* '^[{](noop|plain|clear)'::text))),
    CONSTRAINT oauth_client_one_kind_of_secret CHECK (((client_secret IS NULL) OR (foreign_secret_hash IS NULL))),
    CONSTRAINT oauth_client_one_source_of_keys CHECK (((jwks IS NULL) OR (jwks_uri IS NULL))),
    CONSTRAINT oauth_client_redirect_uris_where_redirected CHECK (((cardinality((redirect_uris)::text[]) > 0) OR (deleted_at IS NOT NULL) OR (NOT (COALESCE((grant_types)::text[], ARRAY['authorization_code'::text]) && ARRAY['authorization_code'::text, 'implicit'::text])))),
    CONSTRAINT oauth_client_times_are_finite CHECK ((isfinite(created_at) AND isfinite(updated_at) AND isfinite(deleted_at)))
);

COMMENT ON TABLE public.oauth_client IS 'Registered clients, with the metadata of RFC 7591, section 2.';

COMMENT ON COLUMN public.oauth_client.client_id IS 'The public client identifier (RFC 6749, section 2.2). Never changes: tokens and consents refer to it.';

COMMENT ON COLUMN public.oauth_client.client_secret IS 'Digest of the client secret; NULL for clients that have none.';

COMMENT ON COLUMN public.oauth_client.disabled IS 'While true, the client is issued nothing and none of its tokens is live.';

COMMENT ON COLUMN public.oauth_client.skip_consent IS 'First-party client: its users are not asked for consent.';

COMMENT ON COLUMN public.oauth_client.enable_end_session IS 'Whether the client may end sessions (RP-initiated logout).';

COMMENT ON COLUMN public.oauth_client.scopes IS 'Scopes that the client may ask for. NULL means the server''s default, an empty list none.';

COMMENT ON COLUMN public.oauth_client.user_id IS 'The user who owns the client, if one does.';

COMMENT ON COLUMN public.oauth_client.name IS 'client_name of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.uri IS 'client_uri of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.icon IS 'logo_uri of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.contacts IS 'contacts of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.tos IS 'tos_uri of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.policy IS 'policy_uri of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.software_id IS 'software_id of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.software_version IS 'software_version of RFC 7591.';

COMMENT ON COLUMN public.oauth_client.software_statement IS 'The signed software statement (RFC 7591, section 2.3) that the client was registered with.';

COMMENT ON COLUMN public.oauth_client.redirect_uris IS 'Redirect URIs, compared exactly but for the port of a loopback address (resolve_redirect_uri). Empty only if none of the grant types redirects.';

COMMENT ON COLUMN public.oauth_client.post_logout_redirect_uris IS 'Where a user may be sent after RP-initiated logout.';

COMMENT ON COLUMN public.oauth_client.token_endpoint_auth_method IS 'token_endpoint_auth_method of RFC 7591: none, client_secret_basic, client_secret_post, private_key_jwt ...';

COMMENT ON COLUMN public.oauth_client.grant_types IS 'grant_types of RFC 7591. NULL means authorization_code, and leaves it to the caller whether refresh tokens are issued.';

COMMENT ON COLUMN public.oauth_client.response_types IS 'response_types of RFC 7591; NULL means code.';

COMMENT ON COLUMN public.oauth_client.public IS 'Whether the client can''t keep a secret (RFC 6749, section 2.1). If NULL, is_public derives it.';

COMMENT ON COLUMN public.oauth_client.type IS 'Kind of client, such as web, native or user-agent-based, for whoever registers it.';

COMMENT ON COLUMN public.oauth_client.reference_id IS 'The tenant that owns the client, instead of a user.';

COMMENT ON COLUMN public.oauth_client.metadata IS 'Other members of the registration: a JSON object.';

COMMENT ON COLUMN public.oauth_client.grants_epoch IS 'How often all grants to the client were ended. A grant is live only while this is what it was at the grant.';

COMMENT ON COLUMN public.oauth_client.deleted_at IS 'When the client was deleted. It is disabled too. The row stays until the collector has erased everything that refers to it.';

COMMENT ON COLUMN public.oauth_client.client_secret_expires_at IS 'When the secret expires (client_secret_expires_at of RFC 7591). NULL means never, which RFC 7591 writes as 0.';

COMMENT ON COLUMN public.oauth_client.foreign_secret_hash IS 'Hash of the secret as another server made it, bcrypt for example. ReplaceForeignSecretHash puts a digest in its place, RotateClientSecret a new secret.';

COMMENT ON COLUMN public.oauth_client.registration_access_token IS 'Digest of the token that manages this registration (RFC 7592).';

COMMENT ON COLUMN public.oauth_client.subject_type IS 'public or pairwise (OpenID Connect Core, section 8). NULL means public, and any other word pairwise.';

COMMENT ON COLUMN public.oauth_client.sector_identifier IS 'Sector of pairwise subjects (OpenID Connect Core, section 8.1): a host name. Written once: by whoever registers the client with a sector_identifier_uri, else by a trigger when the client becomes pairwise.';

COMMENT ON COLUMN public.oauth_client.require_pkce IS 'Whether a request without a code_challenge is refused. NULL means yes. A public client always has to send one.';

COMMENT ON COLUMN public.oauth_client.allow_plain_pkce IS 'Whether the client may use code_challenge_method plain (RFC 7636, section 4.2).';

COMMENT ON COLUMN public.oauth_client.jwks IS 'The client''s public keys, a JSON Web Key Set. Not together with jwks_uri (RFC 7591, section 2).';

COMMENT ON COLUMN public.oauth_client.jwks_uri IS 'Where the client publishes its keys. Not together with jwks.';

COMMENT ON COLUMN public.oauth_client.application_type IS 'web or native (OpenID Connect Dynamic Client Registration, section 2).';

COMMENT ON COLUMN public.oauth_client.default_max_age IS 'default_max_age of OpenID Connect Dynamic Client Registration, section 2.';

COMMENT ON COLUMN public.oauth_client.access_token_lifetime IS 'Upper bound of the lifetime of the client''s access tokens. NULL means no bound but the caller''s.';

COMMENT ON COLUMN public.oauth_client.refresh_token_lifetime IS 'Upper bound of the lifetime of each of the client''s refresh tokens. NULL means no bound but the caller''s.';

COMMENT ON COLUMN public.oauth_client.authorization_lifetime IS 'Upper bound of the lifetime of a family, counted from redemption. NULL means no bound but the caller''s.';

COMMENT ON COLUMN public.oauth_client.code_lifetime IS 'Upper bound of the lifetime of the client''s authorization codes. NULL means no bound but the caller''s.';

COMMENT ON COLUMN public.oauth_client.refresh_grace IS 'How long a rotated refresh token may be presented again. NULL leaves the choice to the caller.';

COMMENT ON COLUMN public.oauth_client.refresh_grace_until_used IS 'Whether a rotated refresh token may be presented again until its successor is used. NULL leaves the choice to the caller.';

COMMENT ON COLUMN public.oauth_client.require_pushed_authorization_requests IS 'Whether the client has to push its requests (RFC 9126, section 6).';

COMMENT ON COLUMN public.oauth_client.dpop_bound_access_tokens IS 'Whether the client always uses DPoP (RFC 9449, section 5.2).';

COMMENT ON COLUMN public.oauth_client.tls_client_certificate_bound_access_tokens IS 'Whether access tokens are bound to the client''s certificate (RFC 8705, section 3.4).';

COMMENT ON COLUMN public.oauth_client.tls_client_auth_subject_dn IS 'Subject that the certificate has to have (RFC 8705, section 2.1.2).';

COMMENT ON COLUMN public.oauth_client.tls_client_auth_san_dns IS 'dNSName that the certificate has to have (RFC 8705, section 2.1.2).';

COMMENT ON COLUMN public.oauth_client.tls_client_auth_san_uri IS 'uniformResourceIdentifier that the certificate has to have (RFC 8705, section 2.1.2).';

COMMENT ON COLUMN public.oauth_client.tls_client_auth_san_ip IS 'iPAddress that the certificate has to have (RFC 8705, section 2.1.2).';

COMMENT ON COLUMN public.oauth_client.tls_client_auth_san_email IS 'rfc822Name that the certificate has to have (RFC 8705, section 2.1.2).';

COMMENT ON COLUMN public.oauth_client.backchannel_logout_uri IS 'Where the client is notified of a sign-out (OpenID Connect Back-Channel Logout, section 2.2).';

COMMENT ON COLUMN public.oauth_client.backchannel_logout_session_required IS 'Whether the client needs the sid in a logout token.';

COMMENT ON COLUMN public.oauth_client.client_discovery_id IS 'For a better-auth server: where it found the client''s metadata document.';

COMMENT ON COLUMN public.oauth_client.client_credentials_scopes IS 'For a better-auth server: the scopes that it issues to the client itself.';

COMMENT ON COLUMN public.oauth_client.resources IS 'Resource indicators that the client may ask for (RFC 8707). NULL means the server''s default, an empty list none.';

COMMENT ON COLUMN public.oauth_client.authorization_details_types IS 'Types of authorization_details that the client may use (RFC 9396, section 10). NULL means the server''s default, an empty list none.';

COMMENT ON COLUMN public.oauth_client.previous_registration_access_token IS 'Digest of the registration token that UpdateRegistration replaced, until its successor is used. With it the same update can be sent again if its answer was lost.';

COMMENT ON COLUMN public.oauth_client.document_uri IS 'Where the client''s metadata document was fetched.';

COMMENT ON COLUMN public.oauth_client.document_etag IS 'ETag of the document (RFC 9110, section 8.8.3), for a conditional request.';

COMMENT ON COLUMN public.oauth_client.document_fetched_at IS 'When the document was fetched. NULL for a client that was not registered by a document. An older fetch changes nothing.';

COMMENT ON COLUMN public.oauth_client.document_fresh_until IS 'Until when the document need not be fetched again.';

COMMENT ON COLUMN public.oauth_client.document_changes IS 'Columns that the last fetch changed. NULL until the document was fetched a second time.';

COMMENT ON COLUMN public.oauth_client.unused_since IS 'Since when MarkUnusedClients has found nothing that the client was granted; NULL if it has found something, or has not looked.';

COMMENT ON COLUMN public.oauth_client.unused_checked_at IS 'When MarkUnusedClients last made sure of that.';

COMMENT ON COLUMN public.oauth_client.consents_epoch IS 'Rises when the client changes what users see of it. Consents given before that don''t count any more.';

CREATE FUNCTION public.is_ended(a public.oauth_authorization, c public.oauth_client, u public."user", s public.session) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NOT COALESCE((((a).revoked_at IS NULL) AND ((a).client_epoch = (c).grants_epoch) AND ((u).suspended_at IS NULL) AND ((u).deleted_at IS NULL) AND ((a).user_epoch = (u).grants_epoch) AND ((a).pair_epoch = public.pair_epoch(((u).ended_grants)::jsonb, ((a).client_id)::text, ((a).reference_id)::text)) AND ((NOT (a).bound) OR public.session_goes_on(s, u))), false));

COMMENT ON FUNCTION public.is_ended(a public.oauth_authorization, c public.oauth_client, u public."user", s public.session) IS 'Whether the family a, granted by u to c, has been ended for good. s is the session of a bound family; it is ignored for others. Never NULL; true for an authorization that was never granted.';

CREATE FUNCTION public.is_live(a public.oauth_authorization, c public.oauth_client, u public."user", s public.session) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ((NOT COALESCE((c).disabled, true)) AND (NOT public.is_ended(a, c, u, s)));

COMMENT ON FUNCTION public.is_live(a public.oauth_authorization, c public.oauth_client, u public."user", s public.session) IS 'Whether the family a, granted by u to c, is live: it has not been ended, and its client is not disabled. s is the session of a bound family; it is ignored for others. Never NULL.';

CREATE TABLE public.oauth_access_token (
    id public.stored_access_token_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    token public.stored_token_digest,
    client_id public.client_id NOT NULL,
    session_id public.session_id,
    user_id public.user_id,
    reference_id public.stored_reference_id,
    refresh_id public.refresh_token_id,
    expires_at timestamp with time zone,
    scopes public.text_list NOT NULL,
    revoked timestamp with time zone,
    resources public.text_list,
    authorization_details public.stored_array,
    confirmation public.stored_confirmation,
    authorization_code_id public.authorization_id,
    authorization_id public.authorization_id,
    act public.stored_object,
    client_epoch bigint,
    pair_epoch bigint,
    data public.stored_object,
    requested_user_info_claims public.text_list,
    subject_token_id public.access_token_id,
    may_act public.stored_object,
    CONSTRAINT oauth_access_token_is_of_a_family_or_of_the_client CHECK ((((user_id IS NULL) = (authorization_id IS NULL)) AND ((authorization_id IS NOT NULL) OR (client_epoch IS NOT NULL))))
)
WITH (autovacuum_vacuum_scale_factor='0.05');

COMMENT ON TABLE public.oauth_access_token IS 'Access tokens (RFC 6749, section 1.4), opaque or JWT.';

COMMENT ON COLUMN public.oauth_access_token.token IS 'Digest of the access token; NULL for a JWT, which is known by its id (jti).';

COMMENT ON COLUMN public.oauth_access_token.user_id IS 'The subject; NULL for a client that acts for itself (client credentials).';

COMMENT ON COLUMN public.oauth_access_token.reference_id IS 'The tenant in which the grant was made.';

COMMENT ON COLUMN public.oauth_access_token.refresh_id IS 'The refresh token that was issued with it or, after a retry, that was presented for it.';

COMMENT ON COLUMN public.oauth_access_token.expires_at IS 'When the token expires. NULL means never.';

COMMENT ON COLUMN public.oauth_access_token.scopes IS 'Scopes of the token.';

COMMENT ON COLUMN public.oauth_access_token.revoked IS 'When this token alone was revoked.';

COMMENT ON COLUMN public.oauth_access_token.resources IS 'Resource indicators of the token: its audience (RFC 8707).';

COMMENT ON COLUMN public.oauth_access_token.authorization_details IS 'authorization_details of the token (RFC 9396).';

COMMENT ON COLUMN public.oauth_access_token.confirmation IS 'The key to which the token is bound (RFC 7800).';

COMMENT ON COLUMN public.oauth_access_token.authorization_code_id IS 'Identifier of what the grant began with: another server''s own, or authorization_id.';

COMMENT ON COLUMN public.oauth_access_token.authorization_id IS 'The family; NULL for a client''s own token. A trigger sets it for a server that doesn''t know the column.';

COMMENT ON COLUMN public.oauth_access_token.act IS 'Who acts for the user (RFC 8693, section 4.1).';

COMMENT ON COLUMN public.oauth_access_token.client_epoch IS 'grants_epoch of the client when a client''s own token, or an exchanged one, was issued.';

COMMENT ON COLUMN public.oauth_access_token.pair_epoch IS 'pair_epoch() of the user, client and tenant when an exchanged token was issued.';

COMMENT ON COLUMN public.oauth_access_token.data IS 'Data that a library on top keeps with the token.';

COMMENT ON COLUMN public.oauth_access_token.requested_user_info_claims IS 'For a better-auth server: what the claims parameter asked for.';

COMMENT ON COLUMN public.oauth_access_token.subject_token_id IS 'The token that was exchanged for this one (RFC 8693). No foreign key: that one may be collected first.';

COMMENT ON COLUMN public.oauth_access_token.may_act IS 'Who may act for the user with this token (RFC 8693, section 4.4). NULL means what the family says.';

CREATE FUNCTION public.own_client_is_live(t public.oauth_access_token) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM oauth_client AS o
        LEFT JOIN "user" AS u ON u.id = t.user_id
        WHERE o.client_id = t.client_id
          AND NOT o.disabled
          AND o.grants_epoch = t.client_epoch
          AND (t.pair_epoch IS NULL OR t.pair_epoch = pair_epoch(u.ended_grants, t.client_id, t.reference_id))
    );
END
$$;

COMMENT ON FUNCTION public.own_client_is_live(t public.oauth_access_token) IS 'Part of access_token_is_live, for a token with a client_epoch: a client''s own, or an exchanged one. Whether its client is enabled and the epochs are those of the issue. Not inlined, so that tokens without a client_epoch, which are most, don''t pay for the joins.';

CREATE FUNCTION public.access_token_is_live(t public.oauth_access_token, a public.oauth_authorization, c public.oauth_client, u public."user", s public.session) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE((((t).revoked IS NULL) AND (((t).expires_at IS NULL) OR ((t).expires_at > now())) AND (((t).authorization_id IS NULL) OR public.is_live(a, c, u, s)) AND (((t).client_epoch IS NULL) OR public.own_client_is_live(t))), false);

COMMENT ON FUNCTION public.access_token_is_live(t public.oauth_access_token, a public.oauth_authorization, c public.oauth_client, u public."user", s public.session) IS 'Whether an access token is live. a is its family, if it has one; c, u and s are those of is_live. Never NULL.';

CREATE FUNCTION public.add_actor(act jsonb, actor text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN CASE
        WHEN actor IS NULL THEN act
        WHEN act IS NULL THEN jsonb_build_object('sub', actor)
        ELSE jsonb_build_object('sub', actor, 'act', act)
    END;
END
$$;

COMMENT ON FUNCTION public.add_actor(act jsonb, actor text) IS 'A chain of actors (RFC 8693, section 4.1) with a new one outermost. Without an actor, the chain as it is.';

CREATE FUNCTION public.merge_resource_scopes(earlier jsonb, more jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    merged   jsonb;
    resource text;
BEGIN
    -- one by one, because jsonb_object_agg is slow with long lists on PostgreSQL 18
    FOR resource IN SELECT jsonb_object_keys(coalesce(earlier, '{}') || coalesce(more, '{}')) LOOP
        merged := coalesce(merged, '{}') || jsonb_build_object(resource, to_jsonb(as_set(
            ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(earlier -> resource) WHEN 'array' THEN earlier -> resource ELSE '[]' END))
            || ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(more -> resource) WHEN 'array' THEN more -> resource ELSE '[]' END))
        )));
    END LOOP;
    RETURN merged;
END
$$;

COMMENT ON FUNCTION public.merge_resource_scopes(earlier jsonb, more jsonb) IS 'The scopes of both at each resource, each once. What is no list counts as an empty one. NULL if there is no resource.';

CREATE FUNCTION public.scopes_at(resources text[], scopes text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    at       jsonb;
    resource text;
BEGIN
    FOREACH resource IN ARRAY as_set(resources) LOOP
        at := coalesce(at, '{}') || jsonb_build_object(resource, to_jsonb(as_set(scopes)));
    END LOOP;
    RETURN at;
END
$$;

COMMENT ON FUNCTION public.scopes_at(resources text[], scopes text[]) IS 'The scopes at each of the resources, as resource_scopes has them. NULL without a resource.';

CREATE TABLE public.oauth_consent (
    id public.stored_consent_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    client_id public.client_id NOT NULL,
    user_id public.user_id,
    reference_id public.stored_reference_id,
    scopes public.text_list NOT NULL,
    resource_scopes public.stored_object,
    user_epoch bigint DEFAULT 0 NOT NULL,
    pair_epoch bigint DEFAULT 0 NOT NULL,
    resources public.text_list,
    requested_user_info_claims public.text_list,
    authorization_details public.stored_array,
    client_epoch bigint DEFAULT 0 NOT NULL,
    CONSTRAINT oauth_consent_times_are_finite CHECK ((isfinite(created_at) AND isfinite(updated_at)))
);

COMMENT ON TABLE public.oauth_consent IS 'What a user has agreed to for a client. A user and client have at most one row, so a consent is in one tenant at a time. It counts only while its epochs are the user''s and the client''s (consent_holds).';

COMMENT ON COLUMN public.oauth_consent.user_id IS 'The user who agreed.';

COMMENT ON COLUMN public.oauth_consent.reference_id IS 'The tenant in which the user agreed. A consent given in one tenant never serves another.';

COMMENT ON COLUMN public.oauth_consent.scopes IS 'Scopes that the user agreed to without a resource.';

COMMENT ON COLUMN public.oauth_consent.resource_scopes IS 'Scopes that the user agreed to at a resource: {resource: [scopes]}.';

COMMENT ON COLUMN public.oauth_consent.user_epoch IS 'grants_epoch of the user when the user agreed, set by a trigger.';

COMMENT ON COLUMN public.oauth_consent.pair_epoch IS 'pair_epoch() of the user, client and tenant when the user agreed, set by a trigger.';

COMMENT ON COLUMN public.oauth_consent.resources IS 'For a better-auth server, like the column after it: the resources to which the scopes apply.';

COMMENT ON COLUMN public.oauth_consent.requested_user_info_claims IS 'What the claims parameter asked for.';

COMMENT ON COLUMN public.oauth_consent.authorization_details IS 'authorization_details that the user agreed to (RFC 9396).';

COMMENT ON COLUMN public.oauth_consent.client_epoch IS 'consents_epoch of the client when the user agreed, set by a trigger.';

CREATE FUNCTION public.agreed_resource_scopes(g public.oauth_consent) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN public.merge_resource_scopes(((g).resource_scopes)::jsonb, public.scopes_at(((g).resources)::text[], ((g).scopes)::text[]));

COMMENT ON FUNCTION public.agreed_resource_scopes(g public.oauth_consent) IS 'The scopes that a user has agreed to at each resource, as resource_scopes has them, with those of a better-auth server, which apply to the resources that it names.';

CREATE FUNCTION public.agreed_scopes(g public.oauth_consent) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (cardinality(((g).resources)::text[]) > 0) THEN '{}'::text[] ELSE ((g).scopes)::text[] END;

COMMENT ON FUNCTION public.agreed_scopes(g public.oauth_consent) IS 'The scopes that a user has agreed to without a resource. Those of a better-auth server that names resources apply to these.';

CREATE FUNCTION public.answer_redeemed_code(a public.oauth_authorization, sector text, new_refresh_id public.refresh_token_id, new_refresh_token public.token_digest, new_id public.access_token_id, new_token public.token_digest, without_row boolean, ends_at timestamp with time zone, access_resources text[], access_details jsonb) RETURNS public.token_answer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    r oauth_refresh_token;
    earlier record;
BEGIN
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = new_refresh_id;
    IF r.id IS NOT NULL AND (r.authorization_id <> a.id OR r.token IS DISTINCT FROM new_refresh_token) THEN
        PERFORM refuse_parameter('RefreshTokenID', 'is that of another token');
    END IF;
    IF without_row THEN
        ends_at := coalesce(r.access_token_expires_at, a.expires_at, ends_at);
    END IF;
    -- A repeated call gets what was written before, even if the session was extended or the client changed since.
    earlier := find_issued_access_token(new_id, a.client_id, new_token, NULL, 'AccessTokenID');
    IF earlier.authorization_id <> a.id THEN
        PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
    ELSIF earlier.authorization_id IS NOT NULL THEN
        access_resources := earlier.resources;
        access_details := earlier.authorization_details;
        ends_at := earlier.expires_at;
    END IF;
    RETURN ROW(
        NULL, give_subject(sector, a.user_id), NULL, NULL, access_resources, access_details, r.id, NULL, r.expires_at, ends_at
    )::token_answer;
END
$$;

COMMENT ON FUNCTION public.answer_redeemed_code(a public.oauth_authorization, sector text, new_refresh_id public.refresh_token_id, new_refresh_token public.token_digest, new_id public.access_token_id, new_token public.token_digest, without_row boolean, ends_at timestamp with time zone, access_resources text[], access_details jsonb) IS 'Part of RedeemAuthorizationCode: what a repeated call is answered about the tokens that it wrote before. VOLATILE, so that it sees tokens that the same call wrote while this one waited for the family.';

CREATE FUNCTION public.answer_spent_refresh_token(spent public.refresh_token_id, judged public.outcome, fresh boolean, parents text, c public.oauth_client, grace interval, until_used boolean, same_successor public.refresh_token_id, new_id public.access_token_id, new_token public.token_digest, without_row boolean, lifetime interval, ends_at timestamp with time zone, proven jsonb, act jsonb, data jsonb, access public.token_answer) RETURNS public.token_answer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    r oauth_refresh_token;
    n oauth_refresh_token;
    verdict outcome;
    in_session session_id;
    earlier record;
BEGIN
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = spent FOR KEY SHARE;
    SELECT t.* INTO n FROM oauth_refresh_token AS t WHERE t.id = r.successor_id;
    SELECT k.* INTO c FROM oauth_client AS k WHERE k.client_id = r.client_id;
    verdict := CASE
        WHEN NOT fresh THEN 'proof_replayed'
        WHEN r.id IS NULL THEN 'unknown'
        WHEN r.successor_id IS NULL THEN 'replayed'
        -- collected: if the family goes on, it was used before
        WHEN n.revoked IS NOT NULL
            OR n.id IS NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = r.authorization_id AND x.revoked IS NULL)
        -- the same call again is no other presentation: whoever made it gave it up, and the database got to it later
        THEN CASE WHEN r.successor_id = same_successor THEN 'superseded' ELSE 'replayed' END
        WHEN n.id IS NULL OR n.expires_at <= now() THEN 'expired'
        WHEN r.successor_id = same_successor
            OR coalesce(c.refresh_grace_until_used, until_used)
            OR (coalesce(c.refresh_grace, grace) > interval '0' AND now() < r.revoked + coalesce(c.refresh_grace, grace))
        THEN CASE WHEN judged = 'rotated' THEN 'retried' ELSE judged::text END
        ELSE 'replayed'
    END;
    IF verdict = 'replayed' THEN
        UPDATE oauth_authorization AS a
        SET revoked_at = now(), revoked_reason = 'refresh_token_reused', updated_at = now()
        WHERE a.id = r.authorization_id AND a.revoked_at IS NULL;
        -- Another server spent it, so it is not known which tokens descend from it: all grants of the pair end.
        IF r.successor_id IS NULL THEN
            UPDATE "user" AS u
            SET ended_grants = end_pair(u.ended_grants, r.client_id, ''),
                grants_epoch = u.grants_epoch + (end_pair(u.ended_grants, r.client_id, '') = '{}')::integer,
                updated_at = now()
            WHERE u.id = r.user_id;
        END IF;
    END IF;
    IF verdict <> 'retried' THEN
        RETURN ROW(verdict, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::token_answer;
    END IF;

    -- a repeated call's is counted from the rotation, so that it gets the same answer
    ends_at := coalesce(
        CASE WHEN n.id = same_successor THEN n.access_token_expires_at END,
        least(
            expiry(CASE WHEN n.id = same_successor THEN r.revoked ELSE now() END, lifetime, c.access_token_lifetime, 'AccessTokenLifetime'),
            ends_at
        )
    );
    in_session := CASE WHEN parents = 'locked' THEN r.session_id END;
    IF NOT without_row THEN
        -- It refers to the token presented, which is locked; the successor may be gone.
        INSERT INTO oauth_access_token (
            id, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes, resources, authorization_details,
            confirmation, act, authorization_id, authorization_code_id, data, requested_user_info_claims
        )
        VALUES (
            new_id, new_token, r.client_id, in_session, r.user_id, r.reference_id, r.id, ends_at, access.scopes, access.resources,
            access.authorization_details, proven, act, r.authorization_id, coalesce(r.authorization_code_id, r.authorization_id),
            coalesce(data, r.data), r.requested_user_info_claims
        )
        ON CONFLICT DO NOTHING; -- of id and token: of two same calls at once, either may conflict first
    ELSIF n.id <> same_successor THEN
        UPDATE oauth_refresh_token AS t
        SET access_token_expires_at = greatest(t.access_token_expires_at, expiry_without_row(ends_at, new_token)), updated_at = now()
        WHERE t.id = r.id;
    END IF;
    IF without_row OR NOT FOUND THEN
        -- A repeated call gets what was written before, even if the session was extended or the client changed since.
        earlier := find_issued_access_token(new_id, r.client_id, new_token, NULL, 'AccessTokenID');
        IF earlier.authorization_id <> r.authorization_id THEN
            PERFORM refuse_parameter('AccessTokenID', 'is that of another token');
        ELSIF earlier.authorization_id IS NOT NULL THEN
            access := ROW(
                NULL, NULL, NULL, earlier.scopes, earlier.resources, earlier.authorization_details, NULL, NULL, NULL, NULL
            )::token_answer;
            ends_at := earlier.expires_at;
        END IF;
    END IF;
    RETURN ROW(
        verdict, give_subject(sector_of(c), r.user_id), in_session, access.scopes, access.resources, access.authorization_details,
        r.successor_id, r.successor, n.expires_at, ends_at
    )::token_answer;
END
$$;

COMMENT ON FUNCTION public.answer_spent_refresh_token(spent public.refresh_token_id, judged public.outcome, fresh boolean, parents text, c public.oauth_client, grace interval, until_used boolean, same_successor public.refresh_token_id, new_id public.access_token_id, new_token public.token_digest, without_row boolean, lifetime interval, ends_at timestamp with time zone, proven jsonb, act jsonb, data jsonb, access public.token_answer) IS 'Part of RotateRefreshToken: the answer about a token that is spent, with a proof that is fresh. While its successor is unused, a repeated call is retried, and so is any within the client''s grace, or at any time if the client has that; a retry that is allowed what it asks for gets another access token, or what the same call got before. Once the successor is used, a repeated call is superseded. Otherwise the token is replayed, and the family ends (RFC 9700, section 4.14.2). VOLATILE, so that it sees what was committed while the statement waited for the token.';

CREATE FUNCTION public.as_set(list text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN ARRAY(
        SELECT l.value
        FROM unnest(list) WITH ORDINALITY AS l (value, n)
        WHERE l.value IS NOT NULL
        GROUP BY l.value
        ORDER BY min(l.n)
    );
END
$$;

COMMENT ON FUNCTION public.as_set(list text[]) IS 'The distinct values of a list, in the order of their first occurrence, without NULLs. A NULL list gives an empty one.';

CREATE FUNCTION public.asked_or_granted(asked text[], granted text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (cardinality(asked) > 0) THEN public.as_set(asked) ELSE granted END;

COMMENT ON FUNCTION public.asked_or_granted(asked text[], granted text[]) IS 'The scopes or resources that a token is asked for or, if the request names none, all that was granted (RFC 6749, section 6; RFC 8707, section 2.2).';

CREATE FUNCTION public.assertion_ends_at(expires_at bigint, clock_skew interval) RETURNS timestamp with time zone
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (to_timestamp((GREATEST(LEAST(expires_at, '253402300799'::bigint), (0)::bigint))::double precision) + GREATEST(clock_skew, '00:00:00'::interval));

COMMENT ON FUNCTION public.assertion_ends_at(expires_at bigint, clock_skew interval) IS 'Until when an assertion has to be remembered: its exp, in seconds since 1970, and clock_skew.';

CREATE FUNCTION public.is_older_secret(of_client text, presented text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM oauth_client_secret AS o
        WHERE o.client_id = of_client AND o.digest = presented AND o.expires_at > now()
    );
END
$$;

COMMENT ON FUNCTION public.is_older_secret(of_client text, presented text) IS 'Whether a digest is that of a secret of the client that was rotated out and still counts. Not inlined, so that its table is read only where the present secret doesn''t match.';

CREATE FUNCTION public.is_public(c public.oauth_client) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE((c).public, ((c).token_endpoint_auth_method = 'none'::text), (((c).client_secret IS NULL) AND ((c).foreign_secret_hash IS NULL) AND ((c).jwks IS NULL) AND ((c).jwks_uri IS NULL)));

COMMENT ON FUNCTION public.is_public(c public.oauth_client) IS 'Whether a client is public: it can''t keep a secret (RFC 6749, section 2.1).';

CREATE FUNCTION public.may_use_key(c public.oauth_client, method text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN CASE
        WHEN method = 'private_key_jwt'
        THEN c.token_endpoint_auth_method = method
            OR (c.token_endpoint_auth_method IS NULL AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL)
        WHEN method IN ('tls_client_auth', 'self_signed_tls_client_auth')
        THEN c.token_endpoint_auth_method IN ('tls_client_auth', 'self_signed_tls_client_auth')
    END;
END
$$;

COMMENT ON FUNCTION public.may_use_key(c public.oauth_client, method text) IS 'Part of authenticates: whether a client may authenticate by a key or certificate. Not inlined, so that clients with a secret, or none, don''t pay for it.';

CREATE FUNCTION public.authenticates(c public.oauth_client, method text, presented public.token_digest) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE((((c).client_id IS NOT NULL) AND CASE WHEN (method = 'verified'::text) THEN true WHEN public.is_public(c) THEN (method = 'none'::text) WHEN (method = ANY (ARRAY['client_secret_basic'::text, 'client_secret_post'::text])) THEN ((COALESCE((c).token_endpoint_auth_method, method) = ANY (ARRAY['client_secret_basic'::text, 'client_secret_post'::text])) AND (((((c).client_secret)::text = (presented)::text) AND (((c).client_secret_expires_at IS NULL) OR (((c).client_secret_expires_at)::timestamp with time zone > now()))) OR public.is_older_secret(((c).client_id)::text, (presented)::text))) ELSE public.may_use_key(c, method) END), false);

COMMENT ON FUNCTION public.authenticates(c public.oauth_client, method text, presented public.token_digest) IS 'Whether a client is authenticated by a method of the kind that it is registered for (RFC 6749, section 2.3; RFC 7591, section 2). A secret is compared by its digest; a key or certificate has been verified by the server. The method verified means that the server has authenticated the client in a step of its own. A client without a registered method may use its secret, or a key if it has no secret. Never NULL.';

CREATE FUNCTION public.beyond(list text[], allowed text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN ARRAY(
        SELECT l.value
        FROM unnest(as_set(list)) WITH ORDINALITY AS l (value, n)
        WHERE l.value NOT IN (SELECT a.value FROM unnest(as_set(allowed)) AS a (value))
        ORDER BY l.n
    );
END
$$;

COMMENT ON FUNCTION public.beyond(list text[], allowed text[]) IS 'The distinct values of a list that are not allowed, in the order of their first occurrence. Never NULL.';

CREATE FUNCTION public.binds_as_registered(c public.oauth_client, proven jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((((c).dpop_bound_access_tokens IS NOT TRUE) OR COALESCE((proven ? 'jkt'::text), false)) AND (((c).tls_client_certificate_bound_access_tokens IS NOT TRUE) OR COALESCE((proven ? 'x5t#S256'::text), false)));

COMMENT ON FUNCTION public.binds_as_registered(c public.oauth_client, proven jsonb) IS 'Whether a caller has proven to hold the kinds of key that the client''s access tokens have to be bound to (RFC 9449, section 5.2; RFC 8705, section 3.4). True if they need not be bound. Never NULL.';

CREATE FUNCTION public.client_is_used(of_client text, agreed_since timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_authorization AS a WHERE a.client_id = of_client) -- and so of each refresh token
        OR EXISTS (SELECT FROM oauth_access_token AS t WHERE t.client_id = of_client)
        OR EXISTS (SELECT FROM session_client AS k WHERE k.client_id = of_client)
        OR EXISTS (SELECT FROM oauth_consent AS g WHERE g.client_id = of_client AND g.updated_at >= agreed_since);
END
$$;

COMMENT ON FUNCTION public.client_is_used(of_client text, agreed_since timestamp with time zone) IS 'Part of MarkUnusedClients: whether there is anything that a client has asked for or was granted, dead or live, or a consent of no earlier than agreed_since. VOLATILE, so that it sees what was committed before the client was locked.';

CREATE FUNCTION public.client_key(client_id text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (octet_length(client_id) > 64) THEN md5(client_id) ELSE client_id END;

COMMENT ON FUNCTION public.client_key(client_id text) IS 'The key of a client in ended_grants. A long client_id is hashed.';

CREATE FUNCTION public.common_host(uris text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    -- Apps of unrelated developers share loopback addresses and private schemes, so these are no hosts.
    hosts text[] := ARRAY(
        SELECT DISTINCT substring(lower(r.uri COLLATE "C") FROM '^https?://(?!localhost[:/?]|localhost$|[^:/?]*\.localhost[:/?]|127\.)([a-z0-9.-]+)(?::[0-9]+)?(?:[/?]|$)')
        FROM unnest(uris) AS r (uri)
    );
BEGIN
    RETURN CASE WHEN cardinality(hosts) = 1 AND octet_length(hosts[1]) <= 255 THEN hosts[1] END;
END
$_$;

COMMENT ON FUNCTION public.common_host(uris text[]) IS 'The host that all URIs have in common. NULL if they have none, or one that is too long for a name (RFC 1035, section 2.3.4).';

CREATE FUNCTION public.consent_counts(g public.oauth_consent, u public."user") RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (((g).user_epoch = (u).grants_epoch) AND ((g).pair_epoch = public.pair_epoch(((u).ended_grants)::jsonb, ((g).client_id)::text, ((g).reference_id)::text)) AND ((u).suspended_at IS NULL) AND ((u).deleted_at IS NULL));

COMMENT ON FUNCTION public.consent_counts(g public.oauth_consent, u public."user") IS 'Whether a consent counts: the grants of its user to its client have not been ended since, and the user is neither suspended nor deleted. NULL without a consent or a user.';

CREATE FUNCTION public.consent_gaps(g public.oauth_consent, asked text[], at_resources text[], OUT scopes text[], OUT resources text[]) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    agreed   jsonb := agreed_resource_scopes(g);
    resource text;
    gap      text[];
BEGIN
    scopes := '{}';
    resources := '{}';
    IF cardinality(at_resources) > 0 THEN
        FOREACH resource IN ARRAY as_set(at_resources) LOOP
            gap := ARRAY(SELECT a.scope FROM unnest(asked) AS a (scope) WHERE a.scope NOT IN (SELECT jsonb_array_elements_text(agreed -> resource)));
            IF cardinality(gap) > 0 OR (agreed ? resource) IS NOT TRUE THEN
                resources := resources || resource;
                scopes := scopes || gap;
            END IF;
        END LOOP;
    ELSE
        scopes := ARRAY(SELECT a.scope FROM unnest(asked) AS a (scope) WHERE a.scope NOT IN (SELECT unnest(agreed_scopes(g))));
    END IF;
    scopes := ARRAY(SELECT l.value FROM unnest(as_set(asked)) WITH ORDINALITY AS l (value, n) WHERE l.value IN (SELECT unnest(scopes)) ORDER BY l.n);
END
$$;

COMMENT ON FUNCTION public.consent_gaps(g public.oauth_consent, asked text[], at_resources text[], OUT scopes text[], OUT resources text[]) IS 'Part of CheckConsent: the scopes that a consent does not cover at one of the resources, or without one, and the resources where something is missing. A resource that the user has never agreed to is missing even if no scope is asked for. Both lists are empty if all is covered. Linear in the pairs that are asked for.';

CREATE FUNCTION public.consent_goes_on(g public.oauth_consent, n public.oauth_consent) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((NOT (((g).reference_id)::text IS DISTINCT FROM ((n).reference_id)::text)) AND ((g).user_epoch = (n).user_epoch) AND ((g).pair_epoch = (n).pair_epoch) AND ((g).client_epoch = (n).client_epoch));

COMMENT ON FUNCTION public.consent_goes_on(g public.oauth_consent, n public.oauth_consent) IS 'Whether the stored consent g is one of the same tenant as the new one n, and still counts, so that n can be merged into it.';

CREATE FUNCTION public.consent_holds(g public.oauth_consent, c public.oauth_client, u public."user") RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE((public.consent_counts(g, u) AND ((g).client_epoch = (c).consents_epoch)), false);

COMMENT ON FUNCTION public.consent_holds(g public.oauth_consent, c public.oauth_client, u public."user") IS 'Whether a consent counts, and its client is still what the user saw. Not without a consent, its client or its user.';

CREATE FUNCTION public.count_attempt(of_purpose text, of_subject text, most integer, attempt_window interval, is_right boolean, OUT is_allowed boolean, OUT attempts_left bigint, OUT resets_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    present attempt_count;
BEGIN
    IF most IS NULL OR most < 1 THEN
        PERFORM refuse_parameter('MaxAttempts', 'is missing or under 1');
    END IF;
    INSERT INTO attempt_count AS n (purpose, subject, attempts, resets_at)
    VALUES (of_purpose, of_subject, 1, deadline(attempt_window, NULL, 'AttemptWindow'))
    ON CONFLICT (purpose, subject) DO UPDATE
    SET attempts = CASE WHEN n.resets_at > now() THEN n.attempts + 1 ELSE 1 END,
        resets_at = CASE WHEN n.resets_at > now() THEN n.resets_at ELSE excluded.resets_at END,
        updated_at = now()
    RETURNING n.* INTO present;
    is_allowed := present.attempts <= most;
    attempts_left := greatest(most - present.attempts, 0);
    resets_at := present.resets_at;
    IF is_right AND is_allowed THEN
        DELETE FROM attempt_count AS n WHERE n.id = present.id;
    END IF;
END
$$;

COMMENT ON FUNCTION public.count_attempt(of_purpose text, of_subject text, most integer, attempt_window interval, is_right boolean, OUT is_allowed boolean, OUT attempts_left bigint, OUT resets_at timestamp with time zone) IS 'Counts an attempt before it is made, and returns whether it is allowed, how many may follow in the window, and when the window ends. Of any number at once no more than most are allowed. A right attempt that is allowed makes the earlier ones forgotten.';

CREATE FUNCTION public.refuse_parameter(name text, reason text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION '% %', name, reason USING ERRCODE = 'invalid_parameter_value';
END
$$;

COMMENT ON FUNCTION public.refuse_parameter(name text, reason text) IS 'Raises invalid_parameter_value (22023) for a parameter that a caller has to pass, by its name.';

CREATE FUNCTION public.expiry(since timestamp with time zone, given interval, at_most interval, name text) RETURNS timestamp with time zone
    LANGUAGE sql
    RETURN CASE WHEN (given >= '00:00:01'::interval) THEN (since + LEAST(NULLIF(given, '2562047:47:16.854775'::interval), NULLIF(at_most, '2562047:47:16.854775'::interval))) ELSE (public.refuse_parameter(name, 'is missing or under a second'::text))::timestamp with time zone END;

COMMENT ON FUNCTION public.expiry(since timestamp with time zone, given interval, at_most interval, name text) IS 'The instant at which a lifetime ends, counted from since and capped by at_most. NULL means never, which is what store.Never gives. A lifetime that is missing or under a second is an error that names the parameter.';

CREATE FUNCTION public.deadline(given interval, at_most interval, name text) RETURNS timestamp with time zone
    LANGUAGE sql
    RETURN COALESCE(public.expiry(now(), given, at_most, name), (public.refuse_parameter(name, 'is without end'::text))::timestamp with time zone);

COMMENT ON FUNCTION public.deadline(given interval, at_most interval, name text) IS 'Returns when something expires that has to: as expiry from now on, but store.Never is an error.';

CREATE FUNCTION public.delete_account(owner text, of_account text) RETURNS public.outcome
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    verdict outcome;
BEGIN
    PERFORM FROM account AS c WHERE c.user_id = owner ORDER BY c.id FOR UPDATE;
    SELECT CASE WHEN bool_or(c.id = of_account) IS NOT TRUE THEN 'unknown' WHEN count(*) = 1 THEN 'last' ELSE 'deleted' END INTO verdict
    FROM account AS c
    WHERE c.user_id = owner;
    IF verdict = 'deleted' THEN
        DELETE FROM account AS c WHERE c.id = of_account;
    END IF;
    RETURN verdict;
END
$$;

COMMENT ON FUNCTION public.delete_account(owner text, of_account text) IS 'Part of DeleteAccount, which has locked the user: deletes an account unless it is the last one, and returns the verdict. VOLATILE, so that it sees the accounts that were created while the statement waited for the user or for one of them.';

CREATE FUNCTION public.delete_client(of_client text, is_managed boolean, manager text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE oauth_client AS c
    SET deleted_at = now(), disabled = true, grants_epoch = c.grants_epoch + 1, client_secret = NULL, foreign_secret_hash = NULL,
        registration_access_token = NULL, previous_registration_access_token = NULL, jwks = NULL, jwks_uri = NULL, name = NULL,
        uri = NULL, icon = NULL, contacts = NULL, tos = NULL, policy = NULL, software_statement = NULL, redirect_uris = '{}',
        post_logout_redirect_uris = NULL, tls_client_auth_subject_dn = NULL, tls_client_auth_san_dns = NULL, tls_client_auth_san_uri = NULL,
        tls_client_auth_san_ip = NULL, tls_client_auth_san_email = NULL, metadata = NULL, document_uri = NULL, document_etag = NULL, document_fresh_until = NULL,
        updated_at = now()
    WHERE c.client_id = of_client AND c.deleted_at IS NULL AND (NOT is_managed OR c.registration_access_token = manager);
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION public.delete_client(of_client text, is_managed boolean, manager text) IS 'Deletes a client: it is disabled, everything that was granted to it is dead, and its secrets and personal data are blanked. If is_managed, only for the client''s present registration access token. Returns whether it did.';

CREATE FUNCTION public.delete_recovery_codes(owner text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    codes bigint;
BEGIN
    DELETE FROM recovery_code AS c WHERE c.user_id = owner;
    GET DIAGNOSTICS codes = ROW_COUNT;
    RETURN codes;
END
$$;

COMMENT ON FUNCTION public.delete_recovery_codes(owner text) IS 'Part of the calls that delete all recovery codes of a user, which they have locked: the order in which this locks the codes doesn''t matter. VOLATILE, so that it sees the codes that were written while the statement waited for the user. Returns how many there were.';

CREATE FUNCTION public.details_as_set(details jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF jsonb_typeof(details) IS DISTINCT FROM 'array' THEN
        RETURN details;
    END IF;
    RETURN (
        SELECT jsonb_agg(d.element ORDER BY d.n)
        FROM (
            SELECT e.element, min(e.n) AS n
            FROM jsonb_array_elements(details) WITH ORDINALITY AS e (element, n)
            GROUP BY e.element
        ) AS d
    );
END
$$;

COMMENT ON FUNCTION public.details_as_set(details jsonb) IS 'The distinct elements of authorization_details, in the order of their first occurrence. NULL if there is none.';

CREATE FUNCTION public.details_of_types(details jsonb, types text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF types IS NULL OR jsonb_typeof(details) IS DISTINCT FROM 'array' THEN
        RETURN details;
    END IF;
    RETURN (
        SELECT jsonb_agg(d.element ORDER BY d.n)
        FROM jsonb_array_elements(details) WITH ORDINALITY AS d (element, n)
        WHERE d.element ->> 'type' = ANY (types)
    );
END
$$;

COMMENT ON FUNCTION public.details_of_types(details jsonb, types text[]) IS 'The elements of authorization_details that are of one of some types; all if the types are NULL. What is no list stays as it is. NULL if there is none.';

CREATE FUNCTION public.details_within(part jsonb, whole jsonb, compared_types text[]) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF part IS NULL THEN
        RETURN true;
    END IF;
    IF jsonb_typeof(part) <> 'array' THEN
        RETURN false;
    END IF;
    -- not by @>, which takes an element that leaves a limit out for a narrower one
    RETURN NOT EXISTS (
        SELECT FROM jsonb_array_elements(part) AS p (element)
        WHERE p.element NOT IN (SELECT w.element FROM jsonb_array_elements(whole) AS w (element))
            AND NOT coalesce(
                p.element ->> 'type' = ANY (compared_types)
                AND p.element -> 'type' IN (SELECT w.element -> 'type' FROM jsonb_array_elements(whole) AS w (element)),
                false
            )
    );
END
$$;

COMMENT ON FUNCTION public.details_within(part jsonb, whole jsonb, compared_types text[]) IS 'Whether all elements of authorization_details are among those of another one (RFC 9396, section 6.1). Elements are compared whole. An element of one of compared_types, which the caller has compared by the rules of that type, only needs one of its type there. Never NULL.';

CREATE FUNCTION public.disable_client_of_deleted_user() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- This waits for DeleteUser, or DeleteUser for this. A client that is handed over doesn't wait: DeleteUser locks the user first.
        PERFORM FROM "user" AS u WHERE u.id = NEW.user_id FOR SHARE;
    END IF;
    NEW.disabled := EXISTS (SELECT FROM "user" AS u WHERE u.id = NEW.user_id AND u.deleted_at IS NOT NULL);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.disable_client_of_deleted_user() IS 'Trigger, for a client that is not disabled: one that is stored for a deleted user is stored as disabled.';

CREATE FUNCTION public.disable_owned_clients(owner text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    owned   text[];
    clients bigint;
BEGIN
    owned := ARRAY(
        SELECT o.id::text
        FROM oauth_client AS o
        WHERE o.user_id = owner
        ORDER BY o.client_id
        FOR NO KEY UPDATE
    );
    -- a statement of its own, which begins with the rows as they were locked
    UPDATE oauth_client AS c
    SET disabled = true, grants_epoch = c.grants_epoch + 1, updated_at = now()
    WHERE c.id = ANY (owned);
    GET DIAGNOSTICS clients = ROW_COUNT;
    RETURN clients;
END
$$;

COMMENT ON FUNCTION public.disable_owned_clients(owner text) IS 'Part of DeleteUser, which has locked the user: disables the clients that the user owns and ends what was granted to them. VOLATILE, so that it sees the clients that were stored while the statement waited for the user. Returns how many there are.';

CREATE FUNCTION public.document_changes(stored public.oauth_client, fetched public.oauth_client) RETURNS text[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN ARRAY(
        SELECT s.key
        FROM jsonb_each(to_jsonb(stored)) AS s (key, value)
        JOIN jsonb_each(to_jsonb(fetched)) AS f (key, value) ON f.key = s.key
        WHERE f.value <> s.value
          AND s.key = ANY (ARRAY[
            'redirect_uris', 'post_logout_redirect_uris', 'token_endpoint_auth_method', 'grant_types', 'response_types', 'scopes', 'name',
            'uri', 'icon', 'contacts', 'tos', 'policy', 'software_id', 'software_version', 'software_statement', 'jwks', 'jwks_uri',
            'application_type', 'subject_type', 'default_max_age', 'require_pushed_authorization_requests', 'dpop_bound_access_tokens',
            'tls_client_certificate_bound_access_tokens', 'tls_client_auth_subject_dn', 'tls_client_auth_san_dns',
            'tls_client_auth_san_uri', 'tls_client_auth_san_ip', 'tls_client_auth_san_email', 'backchannel_logout_uri',
            'backchannel_logout_session_required', 'authorization_details_types', 'metadata'
        ])
        ORDER BY s.key
    );
END
$$;

COMMENT ON FUNCTION public.document_changes(stored public.oauth_client, fetched public.oauth_client) IS 'Part of PutClientDocument: the columns that a metadata document fills and that differ between two rows.';

CREATE FUNCTION public.end_pair(ended_grants jsonb, client_id text, key text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN CASE
        WHEN ended_grants -> client_key(client_id) ? key
            OR (SELECT count(*) FROM jsonb_each(ended_grants) AS c (client, keys), jsonb_object_keys(c.keys)) < 256
        THEN ended_grants || jsonb_build_object(
            client_key(client_id),
            coalesce(ended_grants -> client_key(client_id), '{}')
            || jsonb_build_object(key, coalesce((ended_grants -> client_key(client_id) ->> key)::bigint, 0) + 1)
        )
        ELSE '{}'
    END;
END
$$;

COMMENT ON FUNCTION public.end_pair(ended_grants jsonb, client_id text, key text) IS 'ended_grants with one counter raised. If that would add a 257th counter, the answer is an empty map, and the caller has to raise grants_epoch: that ends more, never less.';

CREATE FUNCTION public.end_replayed_family(family public.authorization_id) RETURNS public.authorization_id
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'code_replayed', updated_at = now()
    WHERE a.id = family AND a.revoked_at IS NULL;
    RETURN family;
END
$$;

COMMENT ON FUNCTION public.end_replayed_family(family public.authorization_id) IS 'Part of RedeemAuthorizationCode, which has locked the family: ends it, because its code was presented again. VOLATILE, so that it begins with the row as it was locked: a statement that changes a row which it has waited for and locked itself can meet another one in a deadlock (docs/locking.md).';

CREATE FUNCTION public.end_sessions(doomed text[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    sessions bigint;
BEGIN
    UPDATE session AS s
    SET ended_at = now(), expires_at = least(s.expires_at, now()), updated_at = now()
    WHERE s.id = ANY (doomed) AND s.ended_at IS NULL;
    GET DIAGNOSTICS sessions = ROW_COUNT;
    UPDATE session_client AS k
    SET due_at = now(), updated_at = now()
    WHERE k.id = ANY (ARRAY(
        SELECT x.id::text
        FROM session_client AS x
        JOIN oauth_client AS c ON c.client_id = x.client_id
        WHERE x.session_id = ANY (doomed) AND x.due_at IS NULL AND x.abandoned_at IS NULL AND has_logout_uri(c)
        FOR NO KEY UPDATE OF x SKIP LOCKED
    ));
    RETURN sessions;
END
$$;

COMMENT ON FUNCTION public.end_sessions(doomed text[]) IS 'Ends sessions and makes the notification of their clients due, of those that have a logout URI. Returns how many had not been ended before. A row of session_client that another call holds is left to SweepSessionClients.';

CREATE FUNCTION public.end_user_sessions(owner text, keep text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    -- SKIP LOCKED, because the epoch has ended a session that another call holds as well
    RETURN end_sessions(ARRAY(
        SELECT s.id::text
        FROM session AS s
        WHERE s.user_id = owner AND s.id IS DISTINCT FROM keep AND s.ended_at IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ));
END
$$;

COMMENT ON FUNCTION public.end_user_sessions(owner text, keep text) IS 'Part of the calls that raise sessions_epoch. Marks the sessions of a user as ended, except the one to keep, for servers that read only the session''s row. Returns how many it marked.';

CREATE FUNCTION public.expiry_without_row(expires_at timestamp with time zone, access_token text) RETURNS timestamp with time zone
    LANGUAGE sql
    RETURN CASE WHEN (access_token IS NOT NULL) THEN (public.refuse_parameter('AccessToken'::text, 'is set, but the token is to have no row'::text))::timestamp with time zone WHEN (expires_at IS NULL) THEN (public.refuse_parameter('AccessTokenLifetime'::text, 'is without end, but the token is to have no row'::text))::timestamp with time zone ELSE expires_at END;

COMMENT ON FUNCTION public.expiry_without_row(expires_at timestamp with time zone, access_token text) IS 'The expiry of an access token without a row, to be kept with its refresh token or family. Such a token has to be a JWT, so a digest is an error, and it has to expire.';

CREATE FUNCTION public.family_expiry(since timestamp with time zone, given interval, at_most interval, has_refresh_token boolean) RETURNS timestamp with time zone
    LANGUAGE sql
    RETURN CASE WHEN (has_refresh_token OR (given <> '00:00:00'::interval)) THEN public.expiry(since, given, at_most, 'FamilyLifetime'::text) ELSE (since + NULLIF(at_most, '2562047:47:16.854775'::interval)) END;

COMMENT ON FUNCTION public.family_expiry(since timestamp with time zone, given interval, at_most interval, has_refresh_token boolean) IS 'Returns when the last token of a family expires, as expiry does. Without a refresh token the lifetime may be left out, and what the client allows counts alone.';

CREATE FUNCTION public.find_grant_by_assertion(assertion text, OUT authorization_id public.authorization_id, OUT expires_at timestamp with time zone, OUT scopes text[], OUT resources text[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    SELECT a.id, a.max_expires_at, a.granted_scopes, a.resources INTO authorization_id, expires_at, scopes, resources
    FROM oauth_client_assertion AS g
    JOIN oauth_authorization AS a ON a.id = g.authorization_id
    WHERE g.id = assertion;
END
$$;

COMMENT ON FUNCTION public.find_grant_by_assertion(assertion text, OUT authorization_id public.authorization_id, OUT expires_at timestamp with time zone, OUT scopes text[], OUT resources text[]) IS 'Part of IssueTokenByAssertion: what the same call granted before, if its access token has no row; NULLs if it has been collected. VOLATILE, so that it sees what was committed while the statement waited for the assertion.';

CREATE FUNCTION public.find_issued_access_token(of_token public.access_token_id, issued_to public.client_id, presented_as public.token_digest, exchanged_for public.access_token_id, name text, OUT authorization_id public.authorization_id, OUT expires_at timestamp with time zone, OUT scopes text[], OUT resources text[], OUT authorization_details jsonb, OUT act jsonb) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    t oauth_access_token;
BEGIN
    SELECT x.* INTO t FROM oauth_access_token AS x WHERE x.id = of_token;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM oauth_access_token AS x WHERE x.token = presented_as) THEN
            PERFORM refuse_parameter('AccessToken', 'is that of another token');
        END IF;
        RETURN;
    END IF;
    IF t.client_id IS DISTINCT FROM issued_to OR t.token IS DISTINCT FROM presented_as OR t.subject_token_id IS DISTINCT FROM exchanged_for THEN
        PERFORM refuse_parameter(name, 'is that of another token');
    END IF;
    authorization_id := t.authorization_id;
    expires_at := t.expires_at;
    scopes := t.scopes;
    resources := t.resources;
    authorization_details := t.authorization_details;
    act := t.act;
END
$$;

COMMENT ON FUNCTION public.find_issued_access_token(of_token public.access_token_id, issued_to public.client_id, presented_as public.token_digest, exchanged_for public.access_token_id, name text, OUT authorization_id public.authorization_id, OUT expires_at timestamp with time zone, OUT scopes text[], OUT resources text[], OUT authorization_details jsonb, OUT act jsonb) IS 'Part of the calls that issue access tokens: what the same call issued before; NULLs if it has been collected. The id or digest of another token is an error that names the parameter. VOLATILE, so that it sees what was committed while the statement waited for the id.';

CREATE FUNCTION public.uses_grant_type(c public.oauth_client, grant_type text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE((grant_type = ANY (COALESCE(((c).grant_types)::text[], '{authorization_code,refresh_token}'::text[]))), false);

COMMENT ON FUNCTION public.uses_grant_type(c public.oauth_client, grant_type text) IS 'Whether a client is registered for a grant type (RFC 7591, section 2). A client without registered grant types uses authorization_code, and the refresh tokens that a server chooses to issue with it. Never NULL.';

CREATE FUNCTION public.gets_refresh_token(c public.oauth_client, granted_scopes text[], needs_offline_access boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (public.uses_grant_type(c, 'refresh_token'::text) AND ((NOT needs_offline_access) OR ('offline_access'::text = ANY (COALESCE(granted_scopes, '{}'::text[])))));

COMMENT ON FUNCTION public.gets_refresh_token(c public.oauth_client, granted_scopes text[], needs_offline_access boolean) IS 'Whether a client gets a refresh token with a grant, if the server issues one: it has to be registered for refresh_token and, if the server wants it so, granted offline_access (OpenID Connect Core, section 11). Never NULL.';

CREATE FUNCTION public.give_family() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    candidate text;
BEGIN
    IF NEW.user_id IS NULL THEN
        -- a client's own token, which is always an access token
        NEW.client_epoch := (SELECT c.grants_epoch FROM oauth_client AS c WHERE c.client_id = NEW.client_id);
        RETURN NEW;
    END IF;
    IF TG_TABLE_NAME = 'oauth_access_token' THEN
        SELECT r.authorization_id INTO NEW.authorization_id
        FROM oauth_refresh_token AS r
        WHERE r.id = NEW.refresh_id AND r.client_id = NEW.client_id AND r.user_id = NEW.user_id;
    END IF;
    IF NEW.authorization_id IS NULL THEN
        PERFORM lock_parents(NEW.user_id, NEW.client_id, NEW.session_id); -- if one is gone, a foreign key reports it below
        FOREACH candidate IN ARRAY ARRAY[
            CASE WHEN octet_length(NEW.authorization_code_id) BETWEEN 1 AND 255 THEN NEW.authorization_code_id END,
            'azn_' || md5(NEW.client_id || ' ' || NEW.user_id || ' ' || nullif(NEW.authorization_code_id, '')),
            new_authorization_id()
        ] LOOP
            CONTINUE WHEN candidate IS NULL;
            INSERT INTO oauth_authorization (
                id, client_id, kind, status, user_id, session_id, reference_id, scopes, granted_scopes, resources, confirmation, bound,
                user_epoch, client_epoch, pair_epoch, decided_at, revoked_at, revoked_reason
            )
            SELECT candidate, c.client_id, 'foreign', 'approved', u.id, s.id, NEW.reference_id, NEW.scopes, NEW.scopes, NEW.resources, NEW.confirmation,
                NEW.session_id IS NOT NULL AND NOT 'offline_access' = ANY (NEW.scopes),
                u.grants_epoch, c.grants_epoch, pair_epoch(u.ended_grants, c.client_id, NEW.reference_id), now(),
                CASE WHEN NEW.session_id IS NOT NULL AND NOT session_is_live(s, u) THEN now() END,
                CASE WHEN NEW.session_id IS NOT NULL AND NOT session_is_live(s, u) THEN 'session_ended'::revocation_reason END
            FROM "user" AS u
            CROSS JOIN oauth_client AS c
            LEFT JOIN session AS s ON s.id = NEW.session_id AND s.user_id = u.id
            WHERE u.id = NEW.user_id AND c.client_id = NEW.client_id
              AND NOT EXISTS (SELECT FROM oauth_authorization AS a WHERE a.id = candidate) -- for one that is there, ON CONFLICT waits
            ON CONFLICT (id) DO NOTHING;
            PERFORM FROM oauth_authorization AS a WHERE a.id = candidate AND a.client_id = NEW.client_id AND a.user_id = NEW.user_id;
            EXIT WHEN FOUND;
        END LOOP;
        -- if the user or client is gone, let its foreign key report it rather than the constraint that requires a family
        NEW.authorization_id := candidate;
        INSERT INTO session_client (session_id, client_id, user_id, sub, sid)
        SELECT NEW.session_id, c.client_id, NEW.user_id, give_subject(sector_of(c), NEW.user_id), NEW.session_id
        FROM oauth_client AS c
        WHERE c.client_id = NEW.client_id AND NEW.session_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM session_client AS k WHERE k.session_id = NEW.session_id AND k.client_id = NEW.client_id)
        ON CONFLICT (session_id, client_id) DO NOTHING;
    END IF;
    -- Another server reads only the token's row, so a dead token has to be marked there. Without offline_access such a server issues
    -- access tokens without spending the refresh token, so refuse_dead_rotation doesn't stop it.
    IF TG_TABLE_NAME = 'oauth_access_token' AND NEW.revoked IS NULL AND (
        SELECT NOT is_ended(a, c, u, s)
        FROM oauth_authorization AS a
        JOIN oauth_client AS c ON c.client_id = a.client_id
        JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
        WHERE a.id = NEW.authorization_id
    ) IS NOT TRUE THEN
        NEW.revoked := now();
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.give_family() IS 'Trigger: gives a token that another server inserts its family. That is the family of the refresh token that the row names, else the one that authorization_code_id names, else a new one. A family of another client or user is not taken. An access token of a dead family is stored as revoked. A client''s own token gets the client''s epoch.';

CREATE FUNCTION public.keep_subject(of_sector text, of_user text, wanted public.subject, OUT held public.subject, OUT is_new boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    SELECT p.subject INTO held FROM oauth_pairwise_subject AS p WHERE p.sector = of_sector AND p.user_id = of_user;
    is_new := false;
    IF NOT FOUND THEN
        INSERT INTO oauth_pairwise_subject (sector, user_id, subject)
        VALUES (of_sector, of_user, coalesce(wanted, gen_random_uuid()::text))
        ON CONFLICT DO NOTHING;
        is_new := FOUND;
        SELECT p.subject INTO held FROM oauth_pairwise_subject AS p WHERE p.sector = of_sector AND p.user_id = of_user;
    END IF;
END
$$;

COMMENT ON FUNCTION public.keep_subject(of_sector text, of_user text, wanted public.subject, OUT held public.subject, OUT is_new boolean) IS 'The pairwise subject of a user in a sector. If there is none, it is made: wanted, or a random one if wanted is NULL. NULL if another user has the one that is wanted. VOLATILE, so that it sees what was committed while it waited.';

CREATE FUNCTION public.give_subject(of_sector text, of_user text) RETURNS public.subject
    LANGUAGE sql
    RETURN CASE WHEN (of_sector IS NULL) THEN of_user ELSE ((public.keep_subject(of_sector, of_user, (NULL::text)::public.subject)).held)::text END;

COMMENT ON FUNCTION public.give_subject(of_sector text, of_user text) IS 'The subject (sub) by which a client of a sector knows a user: the id of the user, or a pairwise subject, which is made at its first use. of_sector is sector_of() the client.';

CREATE FUNCTION public.session_is_live(s public.session, u public."user") RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE((public.session_goes_on(s, u) AND ((u).suspended_at IS NULL) AND ((u).deleted_at IS NULL)), false);

COMMENT ON FUNCTION public.session_is_live(s public.session, u public."user") IS 'Whether a session of the user is live. Never NULL.';

CREATE FUNCTION public.user_refusal(u public."user") RETURNS public.outcome
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (((u).id IS NULL) OR ((u).deleted_at IS NOT NULL)) THEN 'unknown'::public.outcome WHEN ((u).suspended_at IS NOT NULL) THEN 'suspended'::public.outcome ELSE NULL::public.outcome END;

COMMENT ON FUNCTION public.user_refusal(u public."user") IS 'Why nothing may be done for a user: unknown or suspended. NULL if something may.';

CREATE FUNCTION public.granter_refusal(parents text, u public."user", of_session text, s public.session) RETURNS public.outcome
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (parents = 'unknown'::text) THEN 'unknown'::public.outcome ELSE COALESCE(public.user_refusal(u), CASE WHEN ((of_session IS NOT NULL) AND ((parents = 'signed_out'::text) OR (NOT public.session_is_live(s, u)))) THEN 'signed_out'::public.outcome ELSE NULL::public.outcome END) END;

COMMENT ON FUNCTION public.granter_refusal(parents text, u public."user", of_session text, s public.session) IS 'Why a user may grant nothing, in a session or without one: unknown, suspended or signed_out; NULL if the user may. parents is what lock_parents has answered, s the session if it is one of the user.';

CREATE FUNCTION public.has_logout_uri(c public.oauth_client) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE((((c).backchannel_logout_uri <> ''::text) AND ((c).deleted_at IS NULL)), false);

COMMENT ON FUNCTION public.has_logout_uri(c public.oauth_client) IS 'Whether a client is told of sign-outs (OpenID Connect Back-Channel Logout, section 2.2). A disabled client is, because its own sessions go on; a deleted one is not. Never NULL.';

CREATE FUNCTION public.is_in_force(a public.oauth_authorization) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN coalesce(a.expires_at > now(), false)
        OR EXISTS (
            SELECT FROM oauth_refresh_token AS r
            WHERE r.authorization_id = a.id
              AND ((r.revoked IS NULL AND (r.expires_at IS NULL OR r.expires_at > now())) OR r.access_token_expires_at > now())
        )
        OR EXISTS (
            SELECT FROM oauth_access_token AS t
            WHERE t.authorization_id = a.id AND t.revoked IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
        );
END
$$;

COMMENT ON FUNCTION public.is_in_force(a public.oauth_authorization) IS 'Whether a live family has something that can still be used: a code, or a token that has neither expired nor been spent or revoked. Never NULL.';

CREATE FUNCTION public.is_pairwise(c public.oauth_client) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((c).subject_type <> 'public'::text);

COMMENT ON FUNCTION public.is_pairwise(c public.oauth_client) IS 'Whether a client knows its users by pairwise subjects (OpenID Connect Core, section 8). A subject_type that is neither public nor NULL counts as pairwise. NULL without a subject_type.';

CREATE FUNCTION public.is_redirect_uri(uri text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
    SELECT coalesce(
        octet_length(uri) <= 4096
        AND lower(uri COLLATE "C") ~ '^[a-z][a-z0-9+.-]*:[\x21-\x22\x24-\x5b\x5d-\x7e]+$' -- printable ASCII without # and \
        AND CASE substring(lower(uri COLLATE "C") FROM '^[^:]*')
            WHEN 'https' THEN lower(uri COLLATE "C") ~ '^https://[^/?@]+([/?]|$)'
            WHEN 'http' THEN lower(uri COLLATE "C") ~ '^http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?([/?]|$)'
            WHEN 'javascript' THEN false
            WHEN 'vbscript' THEN false
            WHEN 'data' THEN false
            WHEN 'blob' THEN false
            WHEN 'file' THEN false
            WHEN 'about' THEN false
            ELSE true
        END,
        false
    )
$_$;

COMMENT ON FUNCTION public.is_redirect_uri(uri text) IS 'Whether a client may register a redirect URI for itself (RFC 7591, section 5): https, http at a loopback address, or a scheme of an application. It is absolute and has no fragment (RFC 6749, section 3.1.2) and no userinfo. Never NULL.';

CREATE FUNCTION public.is_shown(field text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (field = ANY (ARRAY['redirect_uris'::text, 'scopes'::text, 'name'::text, 'uri'::text, 'icon'::text, 'tos'::text, 'policy'::text]));

COMMENT ON FUNCTION public.is_shown(field text) IS 'Whether users see a column of a client when they are asked for consent.';

CREATE FUNCTION public.long_list_is_within(part text[], whole text[]) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN jsonb_object(whole, whole) ?& part;
END
$$;

COMMENT ON FUNCTION public.long_list_is_within(part text[], whole text[]) IS 'Part of is_within, for lists that are searched as the keys of an object. Not inlined, so that calls with short lists don''t pay for it.';

CREATE FUNCTION public.is_within(part text[], whole text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (cardinality(part) <= 32) THEN (part <@ whole) ELSE public.long_list_is_within(part, whole) END;

COMMENT ON FUNCTION public.is_within(part text[], whole text[]) IS 'Whether all values of a list are in another one. NULL if one of the lists is.';

CREATE FUNCTION public.judge_again(c public.oauth_client, a public.oauth_authorization, granted text[], default_scopes text[], default_resources text[]) RETURNS public.outcome
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF a.kind = 'code' AND resolve_redirect_uri(a.redirect_uri, c.redirect_uris) IS NULL THEN
        RETURN 'redirect_uri_mismatched';
    ELSIF a.kind = 'code' AND NOT uses_grant_type(c, 'authorization_code') THEN
        RETURN 'unauthorized_client';
    ELSIF a.authorization_details IS NULL THEN
        RETURN judge_asked(c, granted, default_scopes, a.resources, default_resources, NULL, NULL);
    END IF;
    -- a type that is the server's default can't be taken from a client
    RETURN judge_asked(c, granted, default_scopes, a.resources, default_resources, a.authorization_details,
        ARRAY(SELECT d.element ->> 'type' FROM jsonb_array_elements(a.authorization_details) AS d (element)));
END
$$;

COMMENT ON FUNCTION public.judge_again(c public.oauth_client, a public.oauth_authorization, granted text[], default_scopes text[], default_resources text[]) IS 'What is amiss with a recorded request because something was taken from the client since, or from the server''s defaults: redirect_uri_mismatched, unauthorized_client, invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is.';

CREATE FUNCTION public.judge_asked(c public.oauth_client, scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, default_types text[]) RETURNS public.outcome
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    -- IF by IF, not one CASE, so that PL/pgSQL runs a query only where there are details
    IF NOT is_within(scopes, coalesce(c.scopes, default_scopes, '{}')) THEN
        RETURN 'invalid_scope';
    ELSIF NOT is_within(resources, coalesce(c.resources, default_resources, '{}')) THEN
        RETURN 'invalid_target';
    ELSIF details IS NULL THEN
        RETURN NULL;
    ELSIF jsonb_typeof(details) <> 'array' THEN
        RETURN 'invalid_authorization_details';
    ELSIF EXISTS (
        SELECT FROM jsonb_array_elements(details) AS d (element)
        WHERE jsonb_typeof(d.element -> 'type') IS DISTINCT FROM 'string'
            OR (d.element ->> 'type' = ANY (coalesce(c.authorization_details_types, default_types))) IS NOT TRUE
    ) THEN
        RETURN 'invalid_authorization_details';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION public.judge_asked(c public.oauth_client, scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, default_types text[]) IS 'What is amiss with the scopes, resources and authorization_details that a client asks for: invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is. The defaults are what a client may ask for that has nothing registered.';

CREATE FUNCTION public.judge_assertion(assertion text, until timestamp with time zone, issued_as text, family text, of_client text, of_user text) RETURNS public.outcome
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO oauth_client_assertion (id, expires_at, access_token_id, authorization_id)
    VALUES (coalesce(assertion, refuse_parameter('AssertionID', 'is missing')), until, issued_as, family)
    ON CONFLICT (id) DO NOTHING;
    RETURN CASE
        WHEN FOUND THEN 'issued'
        WHEN EXISTS (
            SELECT
            FROM oauth_client_assertion AS g
            LEFT JOIN oauth_authorization AS a ON a.id = g.authorization_id -- it may be collected
            WHERE g.id = assertion AND g.access_token_id = issued_as AND (a.client_id <> of_client OR a.user_id <> of_user) IS NOT TRUE
        ) THEN 'retried'
        ELSE 'proof_replayed'
    END;
END
$$;

COMMENT ON FUNCTION public.judge_assertion(assertion text, until timestamp with time zone, issued_as text, family text, of_client text, of_user text) IS 'Part of IssueTokenByAssertion: records that an assertion was presented (RFC 7523, section 3, item 7). issued if it is the first time, retried if the same access token was issued for it to the same client about the same user, proof_replayed otherwise. VOLATILE, so that it sees what was committed while the statement waited for the row.';

CREATE FUNCTION public.judge_assertion_time(expires_at bigint, clock_skew interval, max_lifetime interval, at_most interval) RETURNS public.outcome
    LANGUAGE sql
    RETURN (CASE WHEN ((expires_at)::numeric > EXTRACT(epoch FROM public.expiry(now(), max_lifetime, LEAST(at_most, '1 year'::interval), 'MaxLifetime'::text))) THEN 'too_far'::text WHEN (((expires_at)::numeric > EXTRACT(epoch FROM (now() - clock_skew))) IS NOT TRUE) THEN 'expired'::text ELSE NULL::text END)::public.outcome;

COMMENT ON FUNCTION public.judge_assertion_time(expires_at bigint, clock_skew interval, max_lifetime interval, at_most interval) IS 'What is amiss with the exp of an assertion, in seconds since 1970 (RFC 7523, section 3, item 4): too_far or expired; NULL if nothing is. exp may be no further from now than max_lifetime and at_most, and never further than a year.';

CREATE FUNCTION public.judge_client_document(of_client public.client_id, fetched timestamp with time zone, if_later public.outcome, OUT verdict public.outcome, OUT changes text[], OUT is_disabled boolean, OUT fresh_until timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    SELECT CASE
            WHEN c.deleted_at IS NOT NULL THEN 'revoked'
            WHEN c.document_fetched_at IS NULL THEN 'taken'
            WHEN c.document_fetched_at = fetched THEN 'retried'
            WHEN c.document_fetched_at < fetched THEN if_later
            ELSE 'stale'
        END, c.document_changes, c.disabled, c.document_fresh_until
    INTO verdict, changes, is_disabled, fresh_until
    FROM oauth_client AS c
    WHERE c.client_id = of_client;
END
$$;

COMMENT ON FUNCTION public.judge_client_document(of_client public.client_id, fetched timestamp with time zone, if_later public.outcome, OUT verdict public.outcome, OUT changes text[], OUT is_disabled boolean, OUT fresh_until timestamp with time zone) IS 'Part of PutClientDocument and RefreshClientDocument: why one changed nothing. if_later is what a fetch was refused for that is the latest one. VOLATILE, so that it sees what was committed while the statement waited for the client.';

CREATE FUNCTION public.judge_logout_lease(delivery text, presented text) RETURNS public.outcome
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN coalesce(
        (
            SELECT CASE WHEN k.lease = presented THEN 'retried' ELSE 'superseded' END
            FROM session_client AS k
            WHERE k.id = delivery
        ),
        'unknown'
    );
END
$$;

COMMENT ON FUNCTION public.judge_logout_lease(delivery text, presented text) IS 'Part of FinishLogoutDelivery: why a lease finished nothing. VOLATILE, so that it sees what was committed while the statement waited for the row.';

CREATE FUNCTION public.kept_within(list text[], allowed text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF list IS NULL OR is_within(list, allowed) THEN
        RETURN list;
    END IF;
    RETURN beyond(list, beyond(list, allowed));
END
$$;

COMMENT ON FUNCTION public.kept_within(list text[], allowed text[]) IS 'A list without the values that are not allowed. NULL if the list is.';

CREATE FUNCTION public.judge_narrowed(c public.oauth_client, scopes text[], held_scopes text[], default_scopes text[], resources text[], held_resources text[], default_resources text[], details jsonb, held_details jsonb, compared_types text[]) RETURNS public.outcome
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (NOT public.is_within(scopes, held_scopes)) THEN 'invalid_scope'::public.outcome WHEN (NOT public.is_within(scopes, COALESCE(((c).scopes)::text[], default_scopes, '{}'::text[]))) THEN 'invalid_scope'::public.outcome WHEN (NOT public.is_within(resources, COALESCE(held_resources, '{}'::text[]))) THEN 'invalid_target'::public.outcome WHEN (NOT public.is_within(resources, COALESCE(((c).resources)::text[], default_resources, '{}'::text[]))) THEN 'invalid_target'::public.outcome WHEN ((cardinality(held_resources) > 0) AND (cardinality(public.kept_within(held_resources, COALESCE(((c).resources)::text[], default_resources))) = 0)) THEN 'invalid_target'::public.outcome WHEN (NOT public.details_within(details, public.details_of_types(held_details, ((c).authorization_details_types)::text[]), compared_types)) THEN 'invalid_authorization_details'::public.outcome ELSE NULL::public.outcome END;

COMMENT ON FUNCTION public.judge_narrowed(c public.oauth_client, scopes text[], held_scopes text[], default_scopes text[], resources text[], held_resources text[], default_resources text[], details jsonb, held_details jsonb, compared_types text[]) IS 'What is amiss with the scopes, resources and authorization_details that a client asks for in exchange for a token that holds others: they go beyond what the token holds or what the client may ask for now, or the client may ask for none of the token''s resources. invalid_scope, invalid_target or invalid_authorization_details; NULL if nothing is.';

CREATE FUNCTION public.judge_redeemed_request(polled public.authorization_id, issued_as public.access_token_id, grace interval, proof_is_fresh boolean, OUT verdict public.outcome, OUT refresh_token public.token_digest, OUT refresh_token_id public.refresh_token_id, OUT refresh_token_expires_at timestamp with time zone, OUT access_token_expires_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    a     oauth_authorization;
    first refresh_token_id;
    r     oauth_refresh_token;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = polled;
    SELECT p.refresh_token_id INTO first FROM oauth_polled_request AS p WHERE p.id = polled;
    SELECT t.* INTO r FROM oauth_refresh_token AS t WHERE t.id = first FOR KEY SHARE;
    verdict := CASE
        WHEN a.id IS NULL THEN 'unknown'
        WHEN NOT proof_is_fresh AND (a.redeemed_as = issued_as) IS NOT TRUE THEN 'proof_replayed'
        WHEN a.revoked_at IS NOT NULL OR a.redeemed_at IS NULL THEN 'revoked'
        -- collected: if the family goes on, it was used before
        WHEN r.revoked IS NOT NULL
            OR r.id IS NULL AND first IS NOT NULL AND EXISTS (SELECT FROM oauth_refresh_token AS x WHERE x.authorization_id = polled)
        -- the same call again is no other presentation: whoever made it gave it up, and the database got to it later
        THEN CASE WHEN a.redeemed_as = issued_as THEN 'superseded' ELSE 'replayed' END
        WHEN (r.id IS NULL AND first IS NOT NULL) OR r.expires_at <= now() THEN 'expired'
        WHEN a.redeemed_as = issued_as OR (grace > interval '0' AND now() < a.redeemed_at + grace) THEN 'retried'
        ELSE 'replayed'
    END;
    IF verdict = 'retried' THEN
        refresh_token := r.token;
        refresh_token_id := r.id;
        refresh_token_expires_at := r.expires_at;
        -- of an access token without a row; the expiry of another stands in its row
        access_token_expires_at := CASE WHEN a.redeemed_as = issued_as THEN coalesce(r.access_token_expires_at, a.expires_at) END;
    ELSIF verdict = 'replayed' THEN
        UPDATE oauth_authorization AS f
        SET revoked_at = now(), revoked_reason = 'code_replayed', updated_at = now()
        WHERE f.id = polled AND f.revoked_at IS NULL;
    END IF;
END
$$;

COMMENT ON FUNCTION public.judge_redeemed_request(polled public.authorization_id, issued_as public.access_token_id, grace interval, proof_is_fresh boolean, OUT verdict public.outcome, OUT refresh_token public.token_digest, OUT refresh_token_id public.refresh_token_id, OUT refresh_token_expires_at timestamp with time zone, OUT access_token_expires_at timestamp with time zone) IS 'Part of PollDeviceCode: the verdict about a request whose tokens were issued before. While its refresh token is unused, it is retried for a repeated call, or within grace. Once it is used, a repeated call is superseded. Otherwise it is replayed, and the family ends. VOLATILE, so that it sees what was committed while the statement waited for the family.';

CREATE FUNCTION public.judge_registration(redirect_uris text[], post_logout_redirect_uris text[], grant_types text[], auth_method text, jwks jsonb, jwks_uri text, tls_names integer, pages text[]) RETURNS public.outcome
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
BEGIN
    RETURN CASE
        WHEN coalesce(cardinality(redirect_uris), 0) = 0 AND coalesce(grant_types, ARRAY['authorization_code']) && ARRAY['authorization_code', 'implicit']
            OR EXISTS (SELECT FROM unnest(redirect_uris) AS u (uri) WHERE NOT is_redirect_uri(u.uri))
        THEN 'invalid_redirect_uri'
        WHEN jwks IS NOT NULL AND jwks_uri IS NOT NULL
            OR jwks IS NOT NULL AND jsonb_typeof(jwks -> 'keys') IS DISTINCT FROM 'array'
            OR jsonb_path_exists(jwks, 'lax $.keys[*] ? (exists(@.d) || exists(@.k))') -- a private or a symmetric key
            OR CASE auth_method
                WHEN 'none' THEN false
                WHEN 'client_secret_basic' THEN false
                WHEN 'client_secret_post' THEN false
                WHEN 'private_key_jwt' THEN jwks IS NULL AND jwks_uri IS NULL
                WHEN 'self_signed_tls_client_auth' THEN jwks IS NULL AND jwks_uri IS NULL
                WHEN 'tls_client_auth' THEN tls_names <> 1
                ELSE true
            END
            OR EXISTS (
                SELECT FROM unnest(pages || post_logout_redirect_uris) WITH ORDINALITY AS p (uri, n)
                WHERE (octet_length(p.uri) > 4096 OR lower(p.uri COLLATE "C") !~ '^https?://[^/?#@[:space:]]+([/?#][^[:space:]]*)?$')
                  AND NOT (p.n > cardinality(pages) AND is_redirect_uri(p.uri))
            )
        THEN 'invalid_client_metadata'
    END;
END
$_$;

COMMENT ON FUNCTION public.judge_registration(redirect_uris text[], post_logout_redirect_uris text[], grant_types text[], auth_method text, jwks jsonb, jwks_uri text, tls_names integer, pages text[]) IS 'Why metadata that a client states about itself is refused (RFC 7591, section 3.2.2): invalid_redirect_uri or invalid_client_metadata. NULL if it is fit. tls_names is how many names of a certificate it has (RFC 8705, section 2.1.2), pages are its other URLs. Whether there is a secret is left to the calls.';

CREATE FUNCTION public.judge_registration_update(c public.oauth_client, of_client public.client_id, manager public.token_digest, successor public.token_digest, refused public.outcome, wants_secret boolean, verified text, subject_type text, redirect_uris text[], grant_types text[]) RETURNS public.outcome
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    verdict outcome;
BEGIN
    FOR look IN 1..2 LOOP
        verdict := CASE
            WHEN c.deleted_at IS NOT NULL OR NOT manages(c, manager, successor) THEN 'unauthenticated'
            WHEN c.disabled THEN 'disabled'
            WHEN refused IS NOT NULL THEN refused
            WHEN wants_secret AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL THEN 'invalid_client_metadata'
            WHEN leaves_sector(c, verified, subject_type, redirect_uris, grant_types) THEN 'invalid_client_metadata'
        END;
        EXIT WHEN verdict IS NOT NULL;
        -- nothing stood against it: the statement has waited for the row, and found another one
        SELECT x.* INTO c FROM oauth_client AS x WHERE x.client_id = of_client;
    END LOOP;
    RETURN coalesce(verdict, 'disabled'); -- it was when the statement got the row, and is not any more
END
$$;

COMMENT ON FUNCTION public.judge_registration_update(c public.oauth_client, of_client public.client_id, manager public.token_digest, successor public.token_digest, refused public.outcome, wants_secret boolean, verified text, subject_type text, redirect_uris text[], grant_types text[]) IS 'Part of UpdateRegistration: why it changed nothing. c is the client as the statement saw it when it began; where nothing stands against that, it has waited, and the client is read again. refused is why the metadata is refused, or NULL; wants_secret says that the method needs a secret and the call brings none; the rest is as in leaves_sector. VOLATILE, so that it sees what was committed while the statement waited for the client.';

CREATE FUNCTION public.judge_repeated_grant(family public.authorization_id, of_client public.client_id, of_user public.user_id, of_scopes text[], of_resources text[], of_details jsonb, issued_as public.access_token_id, access_token public.token_digest, issued_with public.refresh_token_id, refresh_token public.token_digest, OUT verdict public.outcome, OUT access_token_expires_at timestamp with time zone, OUT refresh_token_expires_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    a  oauth_authorization;
    ok boolean;
    t  oauth_access_token;
    r  oauth_refresh_token;
BEGIN
    SELECT f.* INTO a FROM oauth_authorization AS f WHERE f.id = family;
    IF (a.client_id = of_client AND a.user_id = of_user AND a.redeemed_as = issued_as AND a.granted_scopes = of_scopes) IS NOT TRUE
        OR a.resources IS DISTINCT FROM of_resources OR a.authorization_details IS DISTINCT FROM of_details
    THEN
        PERFORM refuse_parameter('ID', 'is that of another grant');
    END IF;
    SELECT x.* INTO r FROM oauth_refresh_token AS x WHERE x.id = issued_with AND x.authorization_id = family;
    SELECT x.* INTO t FROM oauth_access_token AS x WHERE x.id = issued_as AND x.authorization_id = family;
    IF (r.id IS NOT NULL AND r.token IS DISTINCT FROM refresh_token) OR (t.id IS NOT NULL AND t.token IS DISTINCT FROM access_token) THEN
        PERFORM refuse_parameter('ID', 'is that of a grant with other tokens');
    END IF;
    SELECT is_live(a, c, u, s) INTO ok
    FROM oauth_client AS c
    JOIN "user" AS u ON u.id = of_user
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE c.client_id = of_client;
    verdict := CASE WHEN ok THEN 'retried' ELSE 'revoked' END;
    IF ok THEN
        refresh_token_expires_at := r.expires_at;
        -- what isn't known any more has expired
        access_token_expires_at := CASE WHEN t.id IS NOT NULL THEN t.expires_at ELSE coalesce(r.access_token_expires_at, a.expires_at, a.redeemed_at) END;
    END IF;
END
$$;

COMMENT ON FUNCTION public.judge_repeated_grant(family public.authorization_id, of_client public.client_id, of_user public.user_id, of_scopes text[], of_resources text[], of_details jsonb, issued_as public.access_token_id, access_token public.token_digest, issued_with public.refresh_token_id, refresh_token public.token_digest, OUT verdict public.outcome, OUT access_token_expires_at timestamp with time zone, OUT refresh_token_expires_at timestamp with time zone) IS 'Part of IssueGrant: the verdict about a grant whose id is taken. It is retried for the same call, and revoked if the grant has been ended since; then nothing more is returned. The id of another grant, or of one of other scopes, resources or tokens, is an error. VOLATILE, so that it sees what was committed while the statement waited for the id.';

CREATE FUNCTION public.judge_request(c public.oauth_client, redirect_uri text, response_type text, code_challenge text, code_challenge_method text, pushed boolean, scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, default_types text[]) RETURNS public.outcome
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    wanted text[] := string_to_array(response_type, ' ');
BEGIN
    IF c.deleted_at IS NOT NULL THEN
        RETURN 'unknown';
    ELSIF c.disabled THEN
        RETURN 'disabled';
    ELSIF resolve_redirect_uri(redirect_uri, c.redirect_uris) IS NULL THEN
        RETURN 'redirect_uri_mismatched';
    ELSIF c.require_pushed_authorization_requests AND pushed IS NOT TRUE THEN
        RETURN 'request_must_be_pushed';
    -- the order of the words doesn't matter (OAuth 2.0 Multiple Response Type Encoding Practices, section 5)
    ELSIF NOT EXISTS (
        SELECT FROM unnest(coalesce(c.response_types, '{code}')) AS r (response_type)
        WHERE string_to_array(r.response_type, ' ') @> wanted AND string_to_array(r.response_type, ' ') <@ wanted
    ) THEN
        RETURN 'unsupported_response_type';
    ELSIF 'code' = ANY (wanted) AND NOT uses_grant_type(c, 'authorization_code') THEN
        RETURN 'unauthorized_client';
    ELSIF wanted && '{token,id_token}' AND NOT uses_grant_type(c, 'implicit') THEN
        RETURN 'unauthorized_client';
    ELSIF code_challenge IS NULL AND code_challenge_method IS NOT NULL THEN
        RETURN 'pkce_required';
    ELSIF code_challenge IS NULL AND 'code' = ANY (wanted) AND (is_public(c) OR c.require_pkce IS NOT FALSE) THEN
        RETURN 'pkce_required';
    ELSIF code_challenge IS NOT NULL AND NOT (CASE coalesce(code_challenge_method, 'plain')
        WHEN 'S256' THEN code_challenge ~ '^[A-Za-z0-9_-]{43}$'
        WHEN 'plain' THEN c.allow_plain_pkce IS TRUE AND code_challenge ~ '^[A-Za-z0-9._~-]{43,128}$'
        ELSE false
    END) THEN
        RETURN 'pkce_method_refused';
    END IF;
    RETURN judge_asked(c, scopes, default_scopes, resources, default_resources, details, default_types);
END
$_$;

COMMENT ON FUNCTION public.judge_request(c public.oauth_client, redirect_uri text, response_type text, code_challenge text, code_challenge_method text, pushed boolean, scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, default_types text[]) IS 'What is amiss with an authorization request, by the client''s registration; NULL if nothing is. What comes first: whether an answer may be sent at all, then the request, then what it asks for.';

CREATE FUNCTION public.keep_finite() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    NEW.expires_at := CASE
        WHEN NEW.expires_at < now() THEN now()
        WHEN TG_TABLE_NAME = 'session' THEN '9999-12-31 00:00:00+00' -- its column is NOT NULL
    END;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.keep_finite() IS 'Trigger: replaces an infinite expiry, because Go has no infinite time and could not read the row. infinity becomes NULL, which means never, and -infinity becomes now(). A session gets the last day of the year 9999 for infinity.';

CREATE FUNCTION public.keep_sector() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF OLD.sector_identifier IS NOT NULL THEN
        IF NEW.sector_identifier <> OLD.sector_identifier THEN
            PERFORM refuse_parameter('SectorIdentifier', 'can''t be changed, because all subjects of the client would change');
        END IF;
        NEW.sector_identifier := OLD.sector_identifier;
    ELSIF NEW.sector_identifier <> own_sector(NEW.client_id) THEN
        NEW.sector_identifier := lower(NEW.sector_identifier COLLATE "C"); -- a host name
    END IF;
    IF NEW.subject_type <> 'public' AND NEW.sector_identifier IS NULL THEN
        NEW.sector_identifier := coalesce(common_host(NEW.redirect_uris), own_sector(NEW.client_id));
    END IF;
    NEW.sector_identifier := NEW.sector_identifier::stored_sector; -- refused here rather than at the first grant
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.keep_sector() IS 'Trigger: gives a client with pairwise subjects its sector, and keeps it. That is the host of its redirect URIs, if they have one in common that is no loopback address; else the client is a sector of its own. A later change of the redirect URIs changes no subject (OpenID Connect Core, sections 2 and 8.1).';

CREATE FUNCTION public.key_fits(bound_to jsonb, proven jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE((COALESCE(proven, '{}'::jsonb) @> bound_to), true);

COMMENT ON FUNCTION public.key_fits(bound_to jsonb, proven jsonb) IS 'Whether the key that a caller has proven to hold is the one that a grant is bound to (RFC 7800). True if the grant is bound to none.';

CREATE FUNCTION public.known_subject(of_client text, of_user text) RETURNS public.subject
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN sector_of(c) IS NULL THEN of_user ELSE p.subject END
        FROM oauth_client AS c
        LEFT JOIN oauth_pairwise_subject AS p ON p.sector = sector_of(c) AND p.user_id = of_user
        WHERE c.client_id = of_client
    );
END
$$;

COMMENT ON FUNCTION public.known_subject(of_client text, of_user text) IS 'Part of subject_of, for a client with pairwise subjects, or an exchanged token''s. Not inlined, so that others don''t pay for the joins.';

CREATE FUNCTION public.own_sector(client_id text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN 'client:' || client_key(client_id);
END
$$;

COMMENT ON FUNCTION public.own_sector(client_id text) IS 'The sector of a client that shares one with no other client. It is no host name, so no registration can claim it.';

CREATE FUNCTION public.proves_host(grant_types text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (COALESCE(grant_types, ARRAY['authorization_code'::text]) <@ ARRAY['authorization_code'::text, 'implicit'::text, 'refresh_token'::text, 'client_credentials'::text]);

COMMENT ON FUNCTION public.proves_host(grant_types text[]) IS 'Whether a client with these grant types learns who a user is only at its redirect URIs, so that their host may be taken for its sector. Never NULL.';

CREATE FUNCTION public.leaves_sector(c public.oauth_client, verified text, subject_type text, redirect_uris text[], grant_types text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((subject_type <> 'public'::text) AND (((c).sector_identifier)::text <> public.own_sector(((c).client_id)::text)) AND (((c).sector_identifier)::text IS DISTINCT FROM lower((verified COLLATE "C"))) AND (NOT ((NOT (public.common_host(redirect_uris) IS DISTINCT FROM ((c).sector_identifier)::text)) AND public.proves_host(grant_types))) AND ((((c).subject_type <> 'public'::text) AND (COALESCE(redirect_uris, '{}'::text[]) <@ ((c).redirect_uris)::text[]) AND (COALESCE(grant_types, ARRAY['authorization_code'::text]) <@ COALESCE(((c).grant_types)::text[], ARRAY['authorization_code'::text]))) IS NOT TRUE)), false);

COMMENT ON FUNCTION public.leaves_sector(c public.oauth_client, verified text, subject_type text, redirect_uris text[], grant_types text[]) IS 'Whether metadata that a client states about itself would take the pairwise subjects of its sector to where the sector is not. The sector was the host of its redirect URIs and is kept, so whoever registers with the host of another, and then moves away, would know users by that one''s subjects. verified is a sector that the server has verified for these metadata. Never NULL.';

CREATE FUNCTION public.live_session(of_session text, OUT owner public.user_id, OUT ends_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    SELECT s.user_id, s.expires_at INTO owner, ends_at
    FROM session AS s
    JOIN "user" AS u ON u.id = s.user_id
    WHERE s.id = of_session AND session_is_live(s, u);
END
$$;

COMMENT ON FUNCTION public.live_session(of_session text, OUT owner public.user_id, OUT ends_at timestamp with time zone) IS 'Part of ExtendSession: returns a session as it is now, if it is live. VOLATILE, so that it sees what was committed while the statement waited for the session.';

CREATE FUNCTION public.lock_live_access_token(of_token text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM
    FROM oauth_access_token AS t
    LEFT JOIN oauth_authorization AS a ON a.id = t.authorization_id
    LEFT JOIN oauth_client AS c ON c.client_id = a.client_id
    LEFT JOIN "user" AS u ON u.id = t.user_id
    LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
    WHERE t.id = of_token AND access_token_is_live(t, a, c, u, s)
    FOR KEY SHARE OF t;
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION public.lock_live_access_token(of_token text) IS 'Part of ExchangeToken: whether an access token is live. While it is locked, neither it nor its family is collected. VOLATILE, so that it sees what was committed while the statement waited for a lock. It waits for no ending, because endings change no key.';

CREATE FUNCTION public.lock_parents(of_user text, of_client text, of_session text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM "user" AS u WHERE u.id = of_user FOR KEY SHARE;
    IF of_user IS NOT NULL AND NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    PERFORM FROM oauth_client AS c WHERE c.client_id = of_client FOR KEY SHARE;
    IF of_client IS NOT NULL AND NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    PERFORM FROM session AS s WHERE s.id = of_session AND s.ended_at IS NULL AND s.expires_at > now() FOR KEY SHARE;
    IF of_session IS NOT NULL AND NOT FOUND THEN
        RETURN 'signed_out';
    END IF;
    RETURN 'locked';
END
$$;

COMMENT ON FUNCTION public.lock_parents(of_user text, of_client text, of_session text) IS 'Locks the rows that a grant refers to, so that none is deleted before the grant is written. The order is that of all locks: user, client, session. Returns locked; unknown if the user or client is gone; signed_out if the session is gone, has ended or has expired. It waits for no ending, because endings change no key.';

CREATE FUNCTION public.make_room_for_session(owner text, max_sessions integer, newest text DEFAULT ''::text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF max_sessions <= 0 THEN
        RETURN 0;
    END IF;
    -- sign-ins of a user run one after the other; the statement below sees what the earlier ones have committed
    PERFORM FROM "user" AS u WHERE u.id = owner FOR NO KEY UPDATE;
    RETURN end_sessions(ARRAY(
        SELECT l.id::text
        FROM session AS l
        WHERE l.id IN (
            SELECT s.id
            FROM session AS s
            JOIN "user" AS u ON u.id = s.user_id
            WHERE s.user_id = owner AND s.id <> newest AND session_is_live(s, u)
            ORDER BY s.created_at DESC, s.id DESC
            OFFSET max_sessions - 1
        )
        ORDER BY l.id
        FOR NO KEY UPDATE
    ));
END
$$;

COMMENT ON FUNCTION public.make_room_for_session(owner text, max_sessions integer, newest text) IS 'Part of CreateSession: ends the oldest live sessions of a user, so that no more than max_sessions are left with the newest, which has just been written. Returns how many it ended. 0 is no maximum.';

CREATE FUNCTION public.manages(c public.oauth_client, manager public.token_digest, successor public.token_digest) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((((c).registration_access_token)::text = (manager)::text) OR ((((c).previous_registration_access_token)::text = (manager)::text) AND (((c).registration_access_token)::text = (successor)::text))), false);

COMMENT ON FUNCTION public.manages(c public.oauth_client, manager public.token_digest, successor public.token_digest) IS 'Whether a registration access token manages a client (RFC 7592). One that was replaced by successor does until successor is used, so that an update whose answer was lost can be sent again. Never NULL.';

CREATE FUNCTION public.may_decide(a public.oauth_authorization, decider text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((a).kind <> ALL (ARRAY['device'::public.authorization_kind, 'ciba'::public.authorization_kind])) OR COALESCE((((a).user_id)::text = decider), false));

COMMENT ON FUNCTION public.may_decide(a public.oauth_authorization, decider text) IS 'Whether a user may decide about a request. The request of a device is that of the user who claimed it with its user code, and one of CIBA that of the user whom the client named. Never NULL.';

CREATE FUNCTION public.may_introspect(k public.oauth_client, method text, presented public.token_digest) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ((NOT (k).disabled) AND (method <> 'none'::text) AND public.authenticates(k, method, presented));

COMMENT ON FUNCTION public.may_introspect(k public.oauth_client, method text, presented public.token_digest) IS 'Whether a client may ask about tokens (RFC 7662, section 2.1): it is authenticated, and not disabled. none is no authentication here. Never NULL.';

CREATE FUNCTION public.may_present(o public.oauth_client, t public.oauth_access_token, resources text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((((t).client_id)::text = ((o).client_id)::text) OR ((NOT public.is_public(o)) AND (((t).resources)::text[] && (resources || ((o).client_id)::text)))), false);

COMMENT ON FUNCTION public.may_present(o public.oauth_client, t public.oauth_access_token, resources text[]) IS 'Whether a client may exchange an access token (RFC 8693, section 2.1): one that was issued to it or, if it is confidential, one whose audience has its client_id or one of the resources, which are those that it serves. Never NULL.';

CREATE FUNCTION public.merge_authorization_details(earlier jsonb, more jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF jsonb_typeof(more) <> 'array' THEN
        PERFORM refuse_parameter('AuthorizationDetails', 'is not a list');
    END IF;
    RETURN details_as_set(coalesce(earlier, '[]') || coalesce(more, '[]'));
END
$$;

COMMENT ON FUNCTION public.merge_authorization_details(earlier jsonb, more jsonb) IS 'The elements of both lists, each once. NULL if there is none. A parameter that is not a list is an error.';

CREATE FUNCTION public.missing_authorization_details(asked jsonb, agreed jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF jsonb_typeof(asked) <> 'array' THEN
        PERFORM refuse_parameter('AuthorizationDetails', 'is not a list');
    END IF;
    RETURN (
        SELECT jsonb_agg(d.element ORDER BY d.n)
        FROM jsonb_array_elements(asked) WITH ORDINALITY AS d (element, n)
        -- whole and equal: for @>, an element without a limit would be within one that has it
        WHERE d.element NOT IN (SELECT jsonb_array_elements(agreed))
    );
END
$$;

COMMENT ON FUNCTION public.missing_authorization_details(asked jsonb, agreed jsonb) IS 'The elements of one list of authorization_details (RFC 9396) that the other one does not have, whole and equal. NULL if there is none. A parameter that is not a list is an error.';

CREATE TABLE public.oauth_refresh_token (
    id public.stored_refresh_token_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    token public.stored_token_digest NOT NULL,
    client_id public.client_id NOT NULL,
    session_id public.session_id,
    user_id public.user_id NOT NULL,
    reference_id public.stored_reference_id,
    expires_at timestamp with time zone,
    revoked timestamp with time zone,
    scopes public.text_list NOT NULL,
    auth_time timestamp with time zone,
    resources public.text_list,
    authorization_details public.stored_array,
    confirmation public.stored_confirmation,
    authorization_code_id public.authorization_id,
    authorization_id public.authorization_id NOT NULL,
    successor public.stored_token_digest,
    successor_id public.refresh_token_id,
    access_token_expires_at timestamp with time zone,
    data public.stored_object,
    requested_user_info_claims public.text_list,
    rotated_at timestamp with time zone,
    rotation_replay_response text,
    rotation_replay_expires_at timestamp with time zone,
    CONSTRAINT oauth_refresh_token_rotated_is_revoked CHECK ((((successor IS NULL) = (successor_id IS NULL)) AND ((successor IS NULL) OR (revoked IS NOT NULL))))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.05');

COMMENT ON TABLE public.oauth_refresh_token IS 'Refresh tokens (RFC 6749, section 1.5). Spent ones are kept, so that reuse is recognised.';

COMMENT ON COLUMN public.oauth_refresh_token.token IS 'Digest of the refresh token.';

COMMENT ON COLUMN public.oauth_refresh_token.reference_id IS 'The tenant in which the grant was made.';

COMMENT ON COLUMN public.oauth_refresh_token.expires_at IS 'When the token expires. NULL means never.';

COMMENT ON COLUMN public.oauth_refresh_token.revoked IS 'When the token was spent. A spent token has a successor, unless another server spent it.';

COMMENT ON COLUMN public.oauth_refresh_token.scopes IS 'Scopes that the token can still grant.';

COMMENT ON COLUMN public.oauth_refresh_token.auth_time IS 'When the user last authenticated.';

COMMENT ON COLUMN public.oauth_refresh_token.resources IS 'Resource indicators of the grant (RFC 8707).';

COMMENT ON COLUMN public.oauth_refresh_token.authorization_details IS 'authorization_details of the grant (RFC 9396).';

COMMENT ON COLUMN public.oauth_refresh_token.confirmation IS 'The key to which the token is bound (RFC 7800).';

COMMENT ON COLUMN public.oauth_refresh_token.authorization_code_id IS 'Identifier of what the grant began with, carried through every rotation: another server''s own, or authorization_id.';

COMMENT ON COLUMN public.oauth_refresh_token.authorization_id IS 'The family. A trigger sets it for a server that doesn''t know the column.';

COMMENT ON COLUMN public.oauth_refresh_token.successor IS 'Digest of the token that replaced this one when it was rotated.';

COMMENT ON COLUMN public.oauth_refresh_token.successor_id IS 'Primary key of the successor. No foreign key: either row may be collected first.';

COMMENT ON COLUMN public.oauth_refresh_token.access_token_expires_at IS 'Expiry of the last access token without a row that was issued with this one or, after a retry, for it. The row is kept until then.';

COMMENT ON COLUMN public.oauth_refresh_token.data IS 'Data that a library on top keeps with the token.';

COMMENT ON COLUMN public.oauth_refresh_token.requested_user_info_claims IS 'For a better-auth server, like the columns after it: what the claims parameter asked for.';

COMMENT ON COLUMN public.oauth_refresh_token.rotated_at IS 'When a better-auth server rotated the token. RotateRefreshToken sets revoked and successor instead.';

COMMENT ON COLUMN public.oauth_refresh_token.rotation_replay_response IS 'The answer that a better-auth server repeats to a retry, encrypted by it.';

COMMENT ON COLUMN public.oauth_refresh_token.rotation_replay_expires_at IS 'How long a better-auth server repeats that answer.';

CREATE FUNCTION public.narrow_renewed(c public.oauth_client, r public.oauth_refresh_token, scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, compared_types text[]) RETURNS public.token_answer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    kept text[];
BEGIN
    kept := kept_within(r.scopes, coalesce(c.scopes, default_scopes));
    RETURN ROW(
        CASE
            WHEN cardinality(r.scopes) > 0 AND cardinality(kept) = 0 THEN 'invalid_scope'::outcome
            ELSE coalesce(
                judge_narrowed(
                    c, scopes, r.scopes, default_scopes, resources, r.resources, default_resources, details, r.authorization_details,
                    compared_types
                ),
                'rotated'
            )
        END,
        NULL, NULL,
        asked_or_granted(scopes, kept),
        asked_or_granted(resources, kept_within(r.resources, coalesce(c.resources, default_resources))),
        details_of_types(coalesce(details_as_set(details), r.authorization_details), c.authorization_details_types),
        NULL, NULL, NULL, NULL
    )::token_answer;
END
$$;

COMMENT ON FUNCTION public.narrow_renewed(c public.oauth_client, r public.oauth_refresh_token, scopes text[], default_scopes text[], resources text[], default_resources text[], details jsonb, compared_types text[]) IS 'Part of RotateRefreshToken: the scopes, resources and authorization_details that the new access token is to have, which are those asked for or, if none are, those of the refresh token that the client may still have. The outcome is rotated or what is amiss with them: invalid_scope, invalid_target or invalid_authorization_details.';

CREATE FUNCTION public.new_authorization_id() RETURNS public.authorization_id
    LANGUAGE sql PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    -- a UUIDv7 (RFC 9562, section 5.7) made from the clock and a random UUIDv4, because uuidv7() needs PostgreSQL 18
    SELECT (
        'azn_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14)
    )::authorization_id
$$;

COMMENT ON FUNCTION public.new_authorization_id() IS 'A time-ordered identifier like those of store.NewAuthorizationID, for a family that a statement creates without being given an id.';

CREATE FUNCTION public.newest_signing_key(of_alg text, max_age interval, OUT id public.jwk_id, OUT created_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF coalesce(of_alg, '') = '' THEN
        PERFORM refuse_parameter('Alg', 'is missing');
    ELSIF max_age IS NULL OR max_age <= interval '0' THEN
        PERFORM refuse_parameter('MaxAge', 'is missing');
    END IF;
    FOR attempt IN 1..2 LOOP
        SELECT k.id, k.created_at INTO id, created_at
        FROM jwks AS k
        WHERE k.alg = of_alg AND k.expires_at IS NULL AND now() - k.created_at < max_age
        ORDER BY k.created_at DESC, k.id DESC
        LIMIT 1;
        EXIT WHEN id IS NOT NULL;
        -- One is due. There may be no row to lock, so the rotations of an algorithm take turns by an advisory lock.
        PERFORM pg_advisory_xact_lock(hashtextextended(of_alg, 'jwks'::regclass::oid::bigint));
    END LOOP;
END
$$;

COMMENT ON FUNCTION public.newest_signing_key(of_alg text, max_age interval, OUT id public.jwk_id, OUT created_at timestamp with time zone) IS 'Part of RotateSigningKeyIfDue: the newest key of an algorithm that has no expiry and is younger than max_age. If there is none, nobody else adds one until the transaction ends. VOLATILE, so that it sees the key of whoever had the turn before.';

CREATE FUNCTION public.noted(verdict public.outcome, of_call text, of_user text DEFAULT NULL::text, of_client text DEFAULT NULL::text, of_session text DEFAULT NULL::text, of_family text DEFAULT NULL::text, of_item text DEFAULT NULL::text, why text DEFAULT NULL::text, from_address text DEFAULT NULL::text) RETURNS public.outcome
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF current_setting('oauthdb.events', true) = 'on' AND (
        verdict IN (
            'replayed', 'proof_replayed', 'mismatched', 'regressed', 'suspended', 'ended', 'withdrawn', 'deleted', 'reinstated', 'enabled',
            'registered', 'spent', 'updated', 'replaced'
        )
        OR (verdict = 'rotated' AND of_call = 'RotateClientSecret')
        OR (verdict = 'created' AND of_call IN ('CreatePasskey', 'CreateTOTP'))
        OR (verdict = 'accepted' AND of_call = 'UseRecoveryCode')
    )
    -- Not what anybody can repeat without a credential: polling for a device that no user has to do with, guessing at a code.
    AND NOT (of_call = 'PollDeviceCode' AND of_user IS NULL)
    AND NOT (of_call = 'UseTOTP' AND verdict <> 'spent') THEN
        INSERT INTO security_event (call, outcome, reason, user_id, client_id, session_id, authorization_id, item_id, ip_address)
        -- An address may be what a request's header says, and a client_id what a form says. Neither may make the call fail, so the one is cut,
        -- and the other left out if no client can have it, as it wouldn't fit the index.
        VALUES (
            of_call, verdict, why, of_user, CASE WHEN octet_length(of_client) <= 2048 THEN of_client END, of_session, of_family, of_item,
            left(from_address, 255)
        );
    END IF;
    RETURN verdict;
END
$$;

COMMENT ON FUNCTION public.noted(verdict public.outcome, of_call text, of_user text, of_client text, of_session text, of_family text, of_item text, why text, from_address text) IS 'Returns the verdict of a call, and writes it to security_event if it matters and the setting oauthdb.events is on.';

CREATE FUNCTION public.proof_is_fresh(proof text, until timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF proof IS NULL THEN
        RETURN true;
    END IF;
    IF until IS NULL OR until <= now() THEN
        PERFORM refuse_parameter('ProofExpiresAt', 'is missing or past');
    END IF;
    INSERT INTO oauth_proof (id, expires_at) VALUES (proof, until) ON CONFLICT (id) DO NOTHING;
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION public.proof_is_fresh(proof text, until timestamp with time zone) IS 'Records that a DPoP proof was presented (RFC 9449, section 11.1), and returns whether it is the first time. True if no proof was presented.';

CREATE FUNCTION public.raise_epochs() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    NEW.grants_epoch := greatest(NEW.grants_epoch, OLD.grants_epoch + 1);
    NEW.sessions_epoch := greatest(NEW.sessions_epoch, OLD.sessions_epoch + 1);
    NEW.ended_grants := '{}';
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.raise_epochs() IS 'Trigger: ends all grants and sessions of a user who is suspended, reinstated or deleted, whichever server writes the row. So nothing becomes live again when a suspension is lifted.';

CREATE FUNCTION public.read_again(family public.authorization_id, of_user public.user_id, of_session public.session_id) RETURNS TABLE(a public.oauth_authorization, c public.oauth_client, u public."user", s public.session)
    LANGUAGE plpgsql ROWS 1
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT f, k, o, b
    FROM oauth_authorization AS f
    JOIN oauth_client AS k ON k.client_id = f.client_id
    LEFT JOIN "user" AS o ON o.id = of_user
    LEFT JOIN session AS b ON b.id = of_session AND b.user_id = o.id
    WHERE f.id = family;
END
$$;

COMMENT ON FUNCTION public.read_again(family public.authorization_id, of_user public.user_id, of_session public.session_id) IS 'Part of the calls that lock a request to decide about it: the request, its client, and the user and the session of whoever decides, all as they are at one moment. VOLATILE, so that it sees what was committed while the statement waited for the request; what it knew of the others may have changed since.';

CREATE FUNCTION public.refresh_token_is_live(r public.oauth_refresh_token, a public.oauth_authorization, c public.oauth_client, u public."user", s public.session) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE((((r).revoked IS NULL) AND (((r).expires_at IS NULL) OR ((r).expires_at > now())) AND public.is_live(a, c, u, s)), false);

COMMENT ON FUNCTION public.refresh_token_is_live(r public.oauth_refresh_token, a public.oauth_authorization, c public.oauth_client, u public."user", s public.session) IS 'Whether a refresh token is live: neither spent nor expired, and its family a is live. c, u and s are those of is_live. Never NULL.';

CREATE FUNCTION public.refuse_dead_rotation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN is_live(a, c, u, s) AND (OLD.expires_at IS NULL OR OLD.expires_at > now()) THEN NEW END
        FROM oauth_authorization AS a
        JOIN oauth_client AS c ON c.client_id = a.client_id
        JOIN "user" AS u ON u.id = a.user_id
        LEFT JOIN session AS s ON s.id = CASE WHEN a.bound THEN a.session_id END
        WHERE a.id = NEW.authorization_id
    );
END
$$;

COMMENT ON FUNCTION public.refuse_dead_rotation() IS 'Trigger: keeps another server from spending a dead refresh token. Its UPDATE finds no row, so it answers invalid_grant.';

CREATE FUNCTION public.registered_before(of_client public.client_id, of_id public.oauth_client_id, secret public.token_digest, manager public.token_digest, OUT verdict public.outcome, OUT issued_at timestamp with time zone, OUT secret_expires_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    SELECT CASE
            WHEN c.id = of_id AND c.deleted_at IS NULL AND c.client_secret IS NOT DISTINCT FROM secret
                AND c.registration_access_token IS NOT DISTINCT FROM manager
            THEN 'retried'
            ELSE 'taken'
        END, c.created_at, c.client_secret_expires_at
    INTO verdict, issued_at, secret_expires_at
    FROM oauth_client AS c
    WHERE c.client_id = of_client;
END
$$;

COMMENT ON FUNCTION public.registered_before(of_client public.client_id, of_id public.oauth_client_id, secret public.token_digest, manager public.token_digest, OUT verdict public.outcome, OUT issued_at timestamp with time zone, OUT secret_expires_at timestamp with time zone) IS 'Part of RegisterClient: whether a client_id has been registered, by the same call (retried) or another (taken). NULL if it hasn''t. VOLATILE, so that it sees what was committed while the statement waited.';

CREATE FUNCTION public.replace_recovery_codes(owner text, digests text[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    codes text[] := as_set(digests);
BEGIN
    IF codes = '{}' THEN
        PERFORM refuse_parameter('Digests', 'is missing');
    END IF;
    PERFORM delete_recovery_codes(owner);
    INSERT INTO recovery_code (user_id, digest) SELECT owner, d.digest FROM unnest(codes) AS d (digest);
    RETURN cardinality(codes);
END
$$;

COMMENT ON FUNCTION public.replace_recovery_codes(owner text, digests text[]) IS 'Part of ReplaceRecoveryCodes, which has locked the user: deletes the user''s codes, those included that another call has written meanwhile, and writes new ones. Returns how many.';

CREATE FUNCTION public.resolve_redirect_uri(asked text, registered text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    resolved text := coalesce(asked, CASE WHEN cardinality(as_set(registered)) = 1 THEN (as_set(registered))[1] END);
    loopback text[];
BEGIN
    IF strpos(resolved, '#') > 0 THEN
        RETURN NULL;
    END IF;
    IF resolved = ANY (registered) THEN
        RETURN resolved;
    END IF;
    loopback := regexp_match(resolved, '^(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([1-9][0-9]{0,4}))?((?:[/?].*)?)$');
    IF (loopback[2]::integer <= 65535) IS NOT FALSE AND EXISTS (
        SELECT FROM unnest(registered) AS r (uri)
        WHERE regexp_replace(r.uri, '^(http://(?:127\.0\.0\.1|\[::1\]|localhost)):[0-9]{1,5}(?=[/?]|$)', '\1') = loopback[1] || loopback[3]
    ) THEN
        RETURN resolved;
    END IF;
    RETURN NULL;
END
$_$;

COMMENT ON FUNCTION public.resolve_redirect_uri(asked text, registered text[]) IS 'The URI that the answer to a request goes to, or NULL if it may go nowhere. It has to be a registered one, byte by byte (RFC 9700, section 2.1), but a loopback address may have any port (RFC 8252, section 7.3). A request may leave it out if exactly one is registered (RFC 6749, section 3.1.2.3). A URI with a fragment is refused (RFC 6749, section 3.1.2).';

CREATE FUNCTION public.return_initial_access_token(presented public.token_digest, of_client public.client_id, of_id public.oauth_client_id, secret public.token_digest, manager public.token_digest, OUT verdict public.outcome, OUT issued_at timestamp with time zone, OUT secret_expires_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE oauth_initial_access_token AS t SET uses = t.uses - 1, updated_at = now() WHERE t.token = presented;
    SELECT b.verdict, b.issued_at, b.secret_expires_at INTO verdict, issued_at, secret_expires_at
    FROM registered_before(of_client, of_id, secret, manager) AS b;
    verdict := coalesce(verdict, 'taken'); -- the id is that of a client with another client_id
END
$$;

COMMENT ON FUNCTION public.return_initial_access_token(presented public.token_digest, of_client public.client_id, of_id public.oauth_client_id, secret public.token_digest, manager public.token_digest, OUT verdict public.outcome, OUT issued_at timestamp with time zone, OUT secret_expires_at timestamp with time zone) IS 'Part of RegisterClient, for a call that met another one that registers the same client_id or id: gives its use of the initial access token back, and says whether the other one was the same call (retried) or not (taken).';

CREATE FUNCTION public.sector_of(c public.oauth_client) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN public.is_pairwise(c) THEN COALESCE(((c).sector_identifier)::text, public.own_sector(((c).client_id)::text)) ELSE NULL::text END;

COMMENT ON FUNCTION public.sector_of(c public.oauth_client) IS 'The sector in which a client knows its users by pairwise subjects (OpenID Connect Core, section 8.1). NULL if it knows them by their ids.';

CREATE FUNCTION public.settled(verdict public.outcome) RETURNS public.outcome
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    -- A commit waits for the synchronous standby only if it has written something.
    IF current_setting('synchronous_standby_names') <> '' THEN
        PERFORM pg_logical_emit_message(true, 'oauthdb', '');
    END IF;
    RETURN verdict;
END
$$;

COMMENT ON FUNCTION public.settled(verdict public.outcome) IS 'Returns the verdict of a call that has found its work done. Where there is a synchronous standby, the commit then waits until the standby has everything up to here, and so what was found. It may lack that if the wait of the call that did the work was cancelled.';

CREATE FUNCTION public.settled_of_user(owner text, verdict public.outcome) RETURNS public.outcome
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (SELECT FROM "user" AS u WHERE u.id = owner AND u.deleted_at IS NULL) THEN
        RETURN settled(verdict);
    END IF;
    RETURN 'unknown';
END
$$;

COMMENT ON FUNCTION public.settled_of_user(owner text, verdict public.outcome) IS 'Part of SuspendUser and ReinstateUser: the verdict if there is nothing left to do, or unknown if there is no such user. VOLATILE, so that it sees a deletion that was committed while the statement waited for the user.';

CREATE FUNCTION public.slow_down(polled public.authorization_id) RETURNS interval
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    slower interval;
BEGIN
    -- polled_at stays, else a client that polls a little early would never poll in time
    UPDATE oauth_polled_request AS p
    SET poll_interval = greatest(p.poll_interval, least(p.poll_interval + interval '5 seconds', interval '1 minute', p.expires_at - now())),
        updated_at = now()
    WHERE p.id = polled
    RETURNING p.poll_interval INTO slower;
    RETURN slower;
END
$$;

COMMENT ON FUNCTION public.slow_down(polled public.authorization_id) IS 'Part of PollDeviceCode: adds five seconds to the interval of a request that was polled too early (RFC 8628, section 3.5), but makes it no longer than a minute or than what is left of the code''s life. Returns the interval. VOLATILE, because the statement may have waited for the row.';

CREATE FUNCTION public.spend_initial_access_token(presented public.token_digest, is_open boolean, refused public.outcome, of_client public.client_id, of_id public.oauth_client_id, secret public.token_digest, manager public.token_digest, OUT verdict public.outcome, OUT owner public.reference_id, OUT issued_at timestamp with time zone, OUT secret_expires_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    t oauth_initial_access_token;
    before record;
BEGIN
    -- registrations with one token run one after the other
    SELECT x.* INTO t FROM oauth_initial_access_token AS x WHERE x.token = presented FOR NO KEY UPDATE;
    SELECT b.* INTO before FROM registered_before(of_client, of_id, secret, manager) AS b;
    verdict := CASE
        WHEN t.id IS NULL AND (presented IS NOT NULL OR is_open IS NOT TRUE) THEN 'unauthenticated'
        WHEN before.verdict = 'retried' THEN 'retried'
        WHEN t.revoked_at IS NOT NULL THEN 'revoked'
        WHEN t.uses >= t.max_uses THEN 'exhausted'
        WHEN t.expires_at <= now() THEN 'expired'
        WHEN refused IS NOT NULL THEN refused
        WHEN before.verdict = 'taken' THEN 'taken'
        ELSE 'registered'
    END;
    owner := t.reference_id;
    IF verdict = 'retried' THEN
        issued_at := before.issued_at;
        secret_expires_at := before.secret_expires_at;
    ELSIF verdict = 'registered' THEN
        UPDATE oauth_initial_access_token AS x SET uses = x.uses + 1, updated_at = now() WHERE x.id = t.id;
    END IF;
END
$$;

COMMENT ON FUNCTION public.spend_initial_access_token(presented public.token_digest, is_open boolean, refused public.outcome, of_client public.client_id, of_id public.oauth_client_id, secret public.token_digest, manager public.token_digest, OUT verdict public.outcome, OUT owner public.reference_id, OUT issued_at timestamp with time zone, OUT secret_expires_at timestamp with time zone) IS 'Part of RegisterClient: whether a client may be registered, and one use of the initial access token if it may. refused is why the metadata is refused, or NULL. What is refused spends nothing. owner is the tenant of the token.';

CREATE FUNCTION public.stamp_consent() RETURNS trigger
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    written record := NEW;
BEGIN
    -- STABLE: read as the writing statement sees the user. A fresh read would let a merge that waited for the row carry scopes over a withdrawal.
    SELECT u.grants_epoch, pair_epoch(u.ended_grants, NEW.client_id, NEW.reference_id)
    INTO NEW.user_epoch, NEW.pair_epoch
    FROM "user" AS u
    WHERE u.id = NEW.user_id;
    IF NOT FOUND THEN
        NEW.user_epoch := 0;
        NEW.pair_epoch := 0;
    END IF;
    NEW.client_epoch := coalesce((SELECT c.consents_epoch FROM oauth_client AS c WHERE c.client_id = NEW.client_id), 0);
    -- A server that doesn't write the epochs doesn't know these columns either, and must not revive what has been ended.
    IF TG_OP = 'UPDATE' AND (written.user_epoch, written.pair_epoch, written.client_epoch) <> (NEW.user_epoch, NEW.pair_epoch, NEW.client_epoch) THEN
        NEW.resource_scopes := NULL;
        NEW.authorization_details := NULL;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.stamp_consent() IS 'Trigger: gives a consent the epochs of its user and client, whichever server writes it. It stops counting when they rise.';

CREATE FUNCTION public.stamp_session() RETURNS trigger
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    u "user";
BEGIN
    -- STABLE: read as the writing statement sees the user. A fresh read would let a sign-in that waited for an ending outlive it.
    SELECT x.* INTO u FROM "user" AS x WHERE x.id = NEW.user_id;
    NEW.user_sessions_epoch := coalesce(u.sessions_epoch, 0);
    IF u.suspended_at IS NOT NULL OR u.deleted_at IS NOT NULL THEN
        NEW.ended_at := now();
        NEW.expires_at := least(NEW.expires_at, now());
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.stamp_session() IS 'Trigger: gives a session the sessions_epoch of its user, whichever server inserts it. A session of a suspended or deleted user is stored as ended.';

CREATE FUNCTION public.stated_sector(of_client text, verified text, subject_type text, grant_types text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(verified, CASE WHEN ((subject_type <> 'public'::text) AND (NOT public.proves_host(grant_types))) THEN public.own_sector(of_client) ELSE NULL::text END);

COMMENT ON FUNCTION public.stated_sector(of_client text, verified text, subject_type text, grant_types text[]) IS 'The sector of a client that registers itself: the one that the server has verified, or its own if it could claim a host without having it. NULL leaves it to keep_sector.';

CREATE FUNCTION public.store_client_secret(client public.oauth_client_id, secret public.token_digest, until timestamp with time zone) RETURNS public.oauth_client_id
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE oauth_client AS c
    SET client_secret = coalesce(secret, refuse_parameter('ClientSecret', 'is missing')), client_secret_expires_at = until,
        foreign_secret_hash = NULL, updated_at = now()
    WHERE c.id = client;
    RETURN client;
END
$$;

COMMENT ON FUNCTION public.store_client_secret(client public.oauth_client_id, secret public.token_digest, until timestamp with time zone) IS 'Part of RotateClientSecret and ReplaceForeignSecretHash, which have locked the client: stores its secret. VOLATILE, so that it begins with the row as it was locked: a statement that changes a row which it has waited for and locked itself can meet another one in a deadlock (docs/locking.md).';

CREATE FUNCTION public.subject_of(c public.oauth_client, of_client text, of_user text) RETURNS public.subject
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN ((((c).client_id)::text = of_client) AND (public.is_pairwise(c) IS NOT TRUE)) THEN of_user ELSE (public.known_subject(of_client, of_user))::text END;

COMMENT ON FUNCTION public.subject_of(c public.oauth_client, of_client text, of_user text) IS 'The subject (sub) by which a client knows a user; NULL without a user. It writes nothing, so it is NULL for a client with pairwise subjects that has been granted nothing yet. c spares a look-up if it is the client''s row.';

CREATE FUNCTION public.tenant_key(reference_id text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (reference_id IS NULL) THEN '-'::text WHEN (octet_length(reference_id) > 64) THEN ('.'::text || md5(reference_id)) ELSE ('.'::text || reference_id) END;

COMMENT ON FUNCTION public.tenant_key(reference_id text) IS 'The key of a tenant in ended_grants. A long reference_id is hashed. If two hashes collide, ending one tenant''s grants ends the other''s too, which is safe.';

CREATE FUNCTION public.was_granted_by(assertion public.token_digest, of_token public.access_token_id) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_client_assertion AS g WHERE g.id = assertion AND g.access_token_id = of_token);
END
$$;

COMMENT ON FUNCTION public.was_granted_by(assertion public.token_digest, of_token public.access_token_id) IS 'Part of IssueTokenByAssertion: whether a call whose proof is known is the same call again. VOLATILE, so that it sees what was committed while the statement waited for the proof.';

CREATE FUNCTION public.was_issued_to(of_token public.access_token_id, issued_to public.client_id, exchanged_for public.access_token_id) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM oauth_access_token AS t
        WHERE t.id = of_token AND t.client_id = issued_to AND t.subject_token_id IS NOT DISTINCT FROM exchanged_for
          AND (exchanged_for IS NOT NULL OR t.user_id IS NULL)
    );
END
$$;

COMMENT ON FUNCTION public.was_issued_to(of_token public.access_token_id, issued_to public.client_id, exchanged_for public.access_token_id) IS 'Part of IssueAccessToken and ExchangeToken: whether a call whose proof is known is the same call again. VOLATILE, so that it sees what was committed while the statement waited for the proof.';

CREATE FUNCTION public.was_rotated_into(of_token public.refresh_token_id, same_successor public.refresh_token_id) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_refresh_token AS t WHERE t.id = of_token AND t.successor_id = same_successor);
END
$$;

COMMENT ON FUNCTION public.was_rotated_into(of_token public.refresh_token_id, same_successor public.refresh_token_id) IS 'Part of RotateRefreshToken: whether a call whose proof is known is the same call again. VOLATILE, so that it sees what was committed while the statement waited for the proof.';

CREATE FUNCTION public.written_expiry(written boolean, new_id public.access_token_id, issued_to public.client_id, new_token text, without_row boolean, expires_at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql
    RETURN CASE WHEN ((NOT written) AND ((public.find_issued_access_token(new_id, issued_to, (new_token)::public.token_digest, (NULL::text)::public.access_token_id, 'AccessTokenID'::text)).authorization_id IS NOT NULL)) THEN (public.refuse_parameter('AccessTokenID'::text, 'is that of another token'::text))::timestamp with time zone WHEN without_row THEN public.expiry_without_row(expires_at, new_token) ELSE expires_at END;

COMMENT ON FUNCTION public.written_expiry(written boolean, new_id public.access_token_id, issued_to public.client_id, new_token text, without_row boolean, expires_at timestamp with time zone) IS 'The expiry of the access token that a call has just issued, with a row or without one. The id of another token is an error.';

CREATE TABLE public.account (
    id public.stored_account_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    account_id public.provider_text NOT NULL,
    provider_id public.provider_text NOT NULL,
    user_id public.user_id NOT NULL,
    access_token text,
    refresh_token text,
    id_token text,
    access_token_expires_at public.finite_timestamptz,
    refresh_token_expires_at public.finite_timestamptz,
    scope text,
    password text,
    CONSTRAINT account_times_are_finite CHECK ((isfinite(created_at) AND isfinite(updated_at)))
);

COMMENT ON TABLE public.account IS 'Ways for users to sign in: a password (provider_id ''credential''), or an identity at another provider.';

COMMENT ON COLUMN public.account.account_id IS 'The user''s identifier at the provider. For a password: the user''s own id.';

COMMENT ON COLUMN public.account.provider_id IS '''credential'' for a password, otherwise the name of the other provider.';

COMMENT ON COLUMN public.account.access_token IS 'The other provider''s access token, as the caller encrypted it.';

COMMENT ON COLUMN public.account.refresh_token IS 'The other provider''s refresh token, as the caller encrypted it.';

COMMENT ON COLUMN public.account.id_token IS 'The other provider''s ID token, as the caller encrypted it.';

COMMENT ON COLUMN public.account.scope IS 'The scope that the other provider granted, in its own notation.';

COMMENT ON COLUMN public.account.password IS 'Password hash, argon2id for example, in the notation of the hasher.';

CREATE TABLE public.attempt_count (
    id public.attempt_count_id DEFAULT (gen_random_uuid())::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    purpose public.stored_purpose NOT NULL,
    subject public.stored_token_digest NOT NULL,
    attempts bigint NOT NULL,
    resets_at timestamp with time zone NOT NULL
)
WITH (fillfactor='80');

COMMENT ON TABLE public.attempt_count IS 'How often something was tried in the present window: guesses at a code or a password, or messages that were sent.';

COMMENT ON COLUMN public.attempt_count.purpose IS 'What is tried. Codes and attempts of one purpose and subject share a budget.';

COMMENT ON COLUMN public.attempt_count.subject IS 'Digest of whom it is counted for: of a user''s id, an address or a network.';

COMMENT ON COLUMN public.attempt_count.attempts IS 'Attempts since the window began, those included that were refused because there were too many.';

COMMENT ON COLUMN public.attempt_count.resets_at IS 'When the window ends. It begins with the first attempt, and no attempt prolongs it.';

CREATE TABLE public.device_code (
    id public.short_text DEFAULT (gen_random_uuid())::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    device_code public.short_text NOT NULL,
    user_code public.short_text NOT NULL,
    user_id public.short_text,
    expires_at public.finite_timestamptz NOT NULL,
    status public.short_text NOT NULL,
    last_polled_at timestamp with time zone,
    polling_interval integer,
    client_id public.short_text,
    scope text,
    oauth_client_id public.short_text,
    resources public.text_list
);

COMMENT ON TABLE public.device_code IS 'Requests of devices at a better-auth server (RFC 8628). Ours are in oauth_polled_request. Its rows refer to no other table and are deleted once they have expired.';

COMMENT ON COLUMN public.device_code.device_code IS 'The device code, as that server stores it.';

COMMENT ON COLUMN public.device_code.user_code IS 'The user code, as that server stores it.';

COMMENT ON COLUMN public.device_code.user_id IS 'The user who has looked the code up.';

COMMENT ON COLUMN public.device_code.expires_at IS 'Until when the user can decide and the device can ask.';

COMMENT ON COLUMN public.device_code.status IS 'pending, approved or denied.';

COMMENT ON COLUMN public.device_code.last_polled_at IS 'When the device last asked.';

COMMENT ON COLUMN public.device_code.polling_interval IS 'Milliseconds between two polls.';

COMMENT ON COLUMN public.device_code.client_id IS 'The client, by its client_id.';

COMMENT ON COLUMN public.device_code.scope IS 'The scopes asked for, separated by spaces.';

COMMENT ON COLUMN public.device_code.oauth_client_id IS 'The client, by its client_id, if it is registered: its device gets tokens. NULL for a device of that server''s own, which gets a session.';

COMMENT ON COLUMN public.device_code.resources IS 'The resources asked for (RFC 8707).';

CREATE TABLE public.jwks (
    id public.stored_jwk_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    public_key text NOT NULL,
    private_key text NOT NULL,
    alg text,
    crv text,
    expires_at public.finite_timestamptz,
    private_key_uri public.short_text,
    CONSTRAINT jwks_private_key_is_in_one_place CHECK (((private_key = ''::text) = (private_key_uri IS NOT NULL))),
    CONSTRAINT jwks_times_are_finite CHECK ((isfinite(created_at) AND isfinite(updated_at)))
);

COMMENT ON TABLE public.jwks IS 'Keys that sign tokens. A key is published for as long as a token that it signed may be verified.';

COMMENT ON COLUMN public.jwks.public_key IS 'The public JSON Web Key (RFC 7517).';

COMMENT ON COLUMN public.jwks.private_key IS 'The private key, encrypted by the caller. Empty if it is kept elsewhere.';

COMMENT ON COLUMN public.jwks.alg IS 'Signature algorithm (RFC 7518, section 3.1).';

COMMENT ON COLUMN public.jwks.crv IS 'Curve, if the key has one.';

COMMENT ON COLUMN public.jwks.expires_at IS 'When the key is no longer published. NULL means that no end is set.';

COMMENT ON COLUMN public.jwks.private_key_uri IS 'Where the private key is kept, if it isn''t here: a reference into a key management service.';

CREATE TABLE public.oauth_client_assertion (
    id public.stored_assertion_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at public.finite_timestamptz NOT NULL,
    access_token_id public.access_token_id,
    authorization_id public.authorization_id
);

COMMENT ON TABLE public.oauth_client_assertion IS 'Assertions that were presented, as client authentication or as a grant (RFC 7523, section 3). The primary key refuses a second one.';

COMMENT ON COLUMN public.oauth_client_assertion.id IS 'Digest of what the assertion was presented for, of its issuer and of its jti.';

COMMENT ON COLUMN public.oauth_client_assertion.expires_at IS 'When the assertion has expired, clock skew included, and need not be remembered.';

COMMENT ON COLUMN public.oauth_client_assertion.access_token_id IS 'The access token that was issued for a grant. A repeated call names the same one.';

COMMENT ON COLUMN public.oauth_client_assertion.authorization_id IS 'The family that was granted. No foreign key: it may be collected first.';

CREATE TABLE public.oauth_client_resource (
    id public.short_text DEFAULT (gen_random_uuid())::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    client_id public.client_id NOT NULL,
    resource_id public.short_text NOT NULL,
    metadata public.stored_object
);

COMMENT ON TABLE public.oauth_client_resource IS 'The resources of a better-auth server that a client may ask for.';

COMMENT ON COLUMN public.oauth_client_resource.resource_id IS 'The resource''s identifier.';

COMMENT ON COLUMN public.oauth_client_resource.metadata IS 'Whatever else the server keeps with it.';

CREATE TABLE public.oauth_client_secret (
    id public.client_secret_id DEFAULT (gen_random_uuid())::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    client_id public.client_id NOT NULL,
    digest public.stored_token_digest NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.oauth_client_secret IS 'Client secrets that were rotated out and still count. Read only if oauth_client.client_secret doesn''t match.';

COMMENT ON COLUMN public.oauth_client_secret.digest IS 'Digest of the secret.';

COMMENT ON COLUMN public.oauth_client_secret.expires_at IS 'When the secret expires, as promised when it was rotated out.';

CREATE TABLE public.oauth_initial_access_token (
    id public.stored_initial_access_token_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    token public.stored_token_digest NOT NULL,
    label public.short_text,
    reference_id public.stored_reference_id,
    max_uses bigint NOT NULL,
    uses bigint DEFAULT 0 NOT NULL,
    expires_at public.finite_timestamptz,
    revoked_at timestamp with time zone,
    CONSTRAINT oauth_initial_access_token_uses_in_range CHECK (((uses >= 0) AND (uses <= max_uses)))
);

COMMENT ON TABLE public.oauth_initial_access_token IS 'Initial access tokens: what a client presents to register itself (RFC 7591, section 3).';

COMMENT ON COLUMN public.oauth_initial_access_token.token IS 'Digest of the token.';

COMMENT ON COLUMN public.oauth_initial_access_token.label IS 'Whom the token was given to, for whoever reads the list.';

COMMENT ON COLUMN public.oauth_initial_access_token.reference_id IS 'The tenant that owns the clients registered with the token.';

COMMENT ON COLUMN public.oauth_initial_access_token.max_uses IS 'How many clients may be registered with the token.';

COMMENT ON COLUMN public.oauth_initial_access_token.uses IS 'How many clients have been registered with the token.';

COMMENT ON COLUMN public.oauth_initial_access_token.expires_at IS 'When the token expires. NULL means never.';

COMMENT ON COLUMN public.oauth_initial_access_token.revoked_at IS 'When the token was revoked.';

CREATE TABLE public.oauth_pairwise_subject (
    id public.pairwise_subject_id DEFAULT (gen_random_uuid())::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    sector public.stored_sector NOT NULL,
    user_id public.user_id NOT NULL,
    subject public.stored_subject NOT NULL
);

COMMENT ON TABLE public.oauth_pairwise_subject IS 'By which identifiers the clients of a sector know a user (OpenID Connect Core, section 8). Rows never change. Those of a deleted user are erased: a subject is random, so no other user is given it.';

COMMENT ON COLUMN public.oauth_pairwise_subject.sector IS 'sector_identifier of the clients.';

COMMENT ON COLUMN public.oauth_pairwise_subject.subject IS 'The sub of the user''s tokens: random, or what CreatePairwiseSubject has brought from another server.';

CREATE TABLE public.oauth_polled_request (
    id public.stored_authorization_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    code public.stored_token_digest NOT NULL,
    user_code public.stored_token_digest,
    expires_at public.finite_timestamptz NOT NULL,
    poll_interval public.poll_interval NOT NULL,
    polled_at timestamp with time zone,
    refresh_token_id public.refresh_token_id,
    notification_token public.short_text
)
WITH (fillfactor='80');

COMMENT ON TABLE public.oauth_polled_request IS 'Requests whose client polls for the decision: of devices (RFC 8628) and of CIBA. What was asked and decided stands in oauth_authorization.';

COMMENT ON COLUMN public.oauth_polled_request.id IS 'The request in oauth_authorization.';

COMMENT ON COLUMN public.oauth_polled_request.code IS 'Digest of the device_code (RFC 8628, section 3.2) or of the auth_req_id (CIBA Core, section 7.3).';

COMMENT ON COLUMN public.oauth_polled_request.user_code IS 'Digest of the user_code (RFC 8628, section 3.2). NULL for CIBA, and once another request has taken over the code of an expired one.';

COMMENT ON COLUMN public.oauth_polled_request.expires_at IS 'When the codes expire, whatever was decided.';

COMMENT ON COLUMN public.oauth_polled_request.poll_interval IS 'How long the client has to wait between two polls. Each poll that comes too early adds five seconds (RFC 8628, section 3.5).';

COMMENT ON COLUMN public.oauth_polled_request.polled_at IS 'When the client last polled in time.';

COMMENT ON COLUMN public.oauth_polled_request.refresh_token_id IS 'Primary key of the refresh token that was issued for the code. No foreign key: the token may be collected first.';

COMMENT ON COLUMN public.oauth_polled_request.notification_token IS 'The client_notification_token (CIBA Core, section 7.1), encrypted by the caller.';

CREATE TABLE public.oauth_proof (
    id public.stored_token_digest NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at public.finite_timestamptz NOT NULL
);

COMMENT ON TABLE public.oauth_proof IS 'DPoP proofs that were presented (RFC 9449, section 11.1). The primary key refuses a second one.';

COMMENT ON COLUMN public.oauth_proof.id IS 'Digest of the proof''s key and jti.';

COMMENT ON COLUMN public.oauth_proof.expires_at IS 'When the proof is too old to be accepted, and need not be remembered.';

CREATE TABLE public.oauth_resource (
    id public.short_text DEFAULT (gen_random_uuid())::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    identifier public.short_text NOT NULL,
    name public.short_text NOT NULL,
    access_token_ttl integer,
    refresh_token_ttl integer,
    signing_algorithm public.short_text,
    signing_key_id public.short_text,
    allowed_scopes public.text_list,
    custom_claims public.stored_object,
    dpop_bound_access_tokens_required boolean DEFAULT false NOT NULL,
    disabled boolean DEFAULT false NOT NULL,
    policy_version integer DEFAULT 1 NOT NULL,
    metadata public.stored_object
);

COMMENT ON TABLE public.oauth_resource IS 'Protected resources of a better-auth server, each with its policy (RFC 8707).';

COMMENT ON COLUMN public.oauth_resource.identifier IS 'The value of the resource parameter (RFC 8707, section 2).';

COMMENT ON COLUMN public.oauth_resource.name IS 'What the server calls it.';

COMMENT ON COLUMN public.oauth_resource.access_token_ttl IS 'Seconds; NULL leaves it to the server.';

COMMENT ON COLUMN public.oauth_resource.refresh_token_ttl IS 'Seconds; NULL leaves it to the server.';

COMMENT ON COLUMN public.oauth_resource.signing_algorithm IS 'Algorithm that signs its access tokens.';

COMMENT ON COLUMN public.oauth_resource.signing_key_id IS 'Key that signs its access tokens.';

COMMENT ON COLUMN public.oauth_resource.allowed_scopes IS 'Scopes that may be asked for at it.';

COMMENT ON COLUMN public.oauth_resource.custom_claims IS 'Claims that its access tokens carry.';

COMMENT ON COLUMN public.oauth_resource.dpop_bound_access_tokens_required IS 'Whether its access tokens have to be bound to a key (RFC 9449).';

COMMENT ON COLUMN public.oauth_resource.disabled IS 'Whether the server issues nothing for it.';

COMMENT ON COLUMN public.oauth_resource.policy_version IS 'Version of the policy.';

COMMENT ON COLUMN public.oauth_resource.metadata IS 'Whatever else the server keeps with it.';

CREATE TABLE public.oauth_trusted_issuer (
    id public.stored_trusted_issuer_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    issuer public.stored_issuer NOT NULL,
    name public.short_text,
    jwks public.stored_object,
    jwks_uri public.short_text,
    audiences public.text_list DEFAULT '{}'::text[] NOT NULL,
    signing_algorithms public.text_list DEFAULT '{}'::text[] NOT NULL,
    client_ids public.text_list DEFAULT '{}'::text[] NOT NULL,
    any_client boolean DEFAULT false NOT NULL,
    max_lifetime public.assertion_lifetime,
    disabled boolean DEFAULT false NOT NULL,
    CONSTRAINT oauth_trusted_issuer_one_source_of_keys CHECK (((jwks IS NULL) OR (jwks_uri IS NULL))),
    CONSTRAINT oauth_trusted_issuer_signs CHECK ((NOT ('none'::text = ANY ((signing_algorithms)::text[]))))
);

COMMENT ON TABLE public.oauth_trusted_issuer IS 'Issuers whose assertions are accepted as grants (RFC 7523, section 2.1).';

COMMENT ON COLUMN public.oauth_trusted_issuer.issuer IS 'The iss of its assertions, compared exactly. It is the provider_id of the accounts that its subjects have.';

COMMENT ON COLUMN public.oauth_trusted_issuer.name IS 'Display name.';

COMMENT ON COLUMN public.oauth_trusted_issuer.jwks IS 'The issuer''s public keys, a JSON Web Key Set. Not together with jwks_uri.';

COMMENT ON COLUMN public.oauth_trusted_issuer.jwks_uri IS 'Where the issuer publishes its keys. Not together with jwks.';

COMMENT ON COLUMN public.oauth_trusted_issuer.audiences IS 'An assertion has to name one of these in its aud (RFC 7523, section 3, item 3).';

COMMENT ON COLUMN public.oauth_trusted_issuer.signing_algorithms IS 'An assertion has to be signed by one of these (RFC 7518, section 3.1).';

COMMENT ON COLUMN public.oauth_trusted_issuer.client_ids IS 'Clients that may present its assertions.';

COMMENT ON COLUMN public.oauth_trusted_issuer.any_client IS 'Whether every client that is registered for the grant type may present its assertions.';

COMMENT ON COLUMN public.oauth_trusted_issuer.max_lifetime IS 'How far from now exp may be. NULL means no bound but the caller''s.';

COMMENT ON COLUMN public.oauth_trusted_issuer.disabled IS 'While true, its assertions are refused.';

CREATE TABLE public.one_time_code (
    id public.one_time_code_id DEFAULT (gen_random_uuid())::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    purpose public.stored_purpose NOT NULL,
    subject public.stored_token_digest NOT NULL,
    digest public.stored_token_digest NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    data public.stored_object
);

COMMENT ON TABLE public.one_time_code IS 'Codes that were sent to somebody, and challenges: what is presented once. There is one for each purpose and subject, and it is gone once it is redeemed.';

COMMENT ON COLUMN public.one_time_code.created_at IS 'When the present code took the place of an earlier one.';

COMMENT ON COLUMN public.one_time_code.purpose IS 'What the code is for, such as sign-in or email-verification.';

COMMENT ON COLUMN public.one_time_code.subject IS 'Digest of whom the code is for: of a user''s id, an address or a browser.';

COMMENT ON COLUMN public.one_time_code.digest IS 'Digest of the code. The digest of a short code is a keyed one, or the code could be found from it.';

COMMENT ON COLUMN public.one_time_code.expires_at IS 'Until when the code can be redeemed.';

COMMENT ON COLUMN public.one_time_code.data IS 'What the server has to know when the code is redeemed, such as the address that it verifies.';

CREATE TABLE public.passkey (
    id public.stored_passkey_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    user_id public.user_id NOT NULL,
    name public.short_text,
    public_key public.short_text NOT NULL,
    sign_count public.stored_sign_count,
    transports public.text_list,
    aaguid public.short_text,
    backup_eligible boolean DEFAULT false NOT NULL,
    backed_up boolean DEFAULT false NOT NULL,
    last_used_at timestamp with time zone
);

COMMENT ON TABLE public.passkey IS 'WebAuthn credentials of users.';

COMMENT ON COLUMN public.passkey.name IS 'What the user calls the passkey.';

COMMENT ON COLUMN public.passkey.public_key IS 'The public key, in the notation of the server.';

COMMENT ON COLUMN public.passkey.sign_count IS 'The highest signature counter that was presented. It stays 0 for authenticators that don''t count; NULL means that none is known.';

COMMENT ON COLUMN public.passkey.transports IS 'How a browser reaches the authenticator (WebAuthn Level 3, section 5.8.4).';

COMMENT ON COLUMN public.passkey.aaguid IS 'The model of the authenticator.';

COMMENT ON COLUMN public.passkey.backup_eligible IS 'Whether the passkey may be synced to other devices (flag BE of WebAuthn).';

COMMENT ON COLUMN public.passkey.backed_up IS 'Whether the passkey was synced when it was last used (flag BS of WebAuthn).';

COMMENT ON COLUMN public.passkey.last_used_at IS 'When the passkey was last accepted.';

CREATE TABLE public.recovery_code (
    id public.recovery_code_id DEFAULT (gen_random_uuid())::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    user_id public.user_id NOT NULL,
    digest public.stored_token_digest NOT NULL,
    used_at timestamp with time zone
);

COMMENT ON TABLE public.recovery_code IS 'Codes that stand in for a second factor that is lost, each of them once.';

COMMENT ON COLUMN public.recovery_code.digest IS 'Digest of the code.';

COMMENT ON COLUMN public.recovery_code.used_at IS 'When the code was used. It is never accepted again.';

CREATE TABLE public.security_event (
    id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    call text NOT NULL,
    outcome public.outcome NOT NULL,
    reason text,
    user_id public.user_id,
    client_id public.client_id,
    session_id public.session_id,
    authorization_id public.authorization_id,
    item_id text,
    ip_address public.short_text
);

COMMENT ON TABLE public.security_event IS 'What happened to users and clients, for whoever investigates. A call writes its event itself, if the setting oauthdb.events is on. There are no foreign keys: an event outlives what it is about, until the collector deletes it by age.';

COMMENT ON COLUMN public.security_event.id IS 'In the order in which the events were written.';

COMMENT ON COLUMN public.security_event.call IS 'The call that wrote the event, by its name in package store.';

COMMENT ON COLUMN public.security_event.outcome IS 'What the call answered.';

COMMENT ON COLUMN public.security_event.reason IS 'What was amiss, where the outcome leaves it open: key, client, redirect_uri or code_challenge; or, if a proof was replayed, that it was the assertion.';

COMMENT ON COLUMN public.security_event.user_id IS 'The user concerned, if one is.';

COMMENT ON COLUMN public.security_event.client_id IS 'The client concerned, if one is.';

COMMENT ON COLUMN public.security_event.session_id IS 'The session concerned, if one is.';

COMMENT ON COLUMN public.security_event.authorization_id IS 'The family concerned, if one is.';

COMMENT ON COLUMN public.security_event.item_id IS 'The account, passkey, authenticator app, trusted issuer or initial access token concerned by its id, if one is.';

COMMENT ON COLUMN public.security_event.ip_address IS 'Where the request came from, if the caller passed it; its first 255 characters.';

ALTER TABLE public.security_event ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.security_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.session_client (
    id public.session_client_id DEFAULT (gen_random_uuid())::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    session_id public.session_id NOT NULL,
    client_id public.client_id NOT NULL,
    user_id public.user_id NOT NULL,
    sub text NOT NULL,
    sid text NOT NULL,
    due_at timestamp with time zone,
    attempts bigint DEFAULT 0 NOT NULL,
    lease text,
    lease_expires_at timestamp with time zone,
    told_at timestamp with time zone,
    abandoned_at timestamp with time zone
);

COMMENT ON TABLE public.session_client IS 'Clients that know a session, to be notified when it ends. There is no foreign key to session or user, because they may be deleted before that.';

COMMENT ON COLUMN public.session_client.session_id IS 'The session.';

COMMENT ON COLUMN public.session_client.user_id IS 'The session''s user.';

COMMENT ON COLUMN public.session_client.sub IS 'The user''s identifier for the client.';

COMMENT ON COLUMN public.session_client.sid IS 'The session''s identifier for the client (OpenID Connect Back-Channel Logout, section 2.1).';

COMMENT ON COLUMN public.session_client.due_at IS 'When the next attempt to notify the client is due. NULL while the session is live, and once the client was given up on. It is set only for clients that have a logout URI.';

COMMENT ON COLUMN public.session_client.attempts IS 'Number of attempts to notify the client that have come to a result.';

COMMENT ON COLUMN public.session_client.lease IS 'Random token of the last claim. Only its holder may finish the delivery.';

COMMENT ON COLUMN public.session_client.lease_expires_at IS 'When others may claim the delivery. NULL if nobody is at it.';

COMMENT ON COLUMN public.session_client.told_at IS 'When the client was notified.';

COMMENT ON COLUMN public.session_client.abandoned_at IS 'When the last attempt failed that was to be made.';

CREATE TABLE public.totp (
    id public.stored_totp_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    user_id public.user_id NOT NULL,
    name public.short_text,
    secret public.short_text NOT NULL,
    algorithm public.totp_algorithm DEFAULT 'SHA1'::text NOT NULL,
    digits public.totp_digits DEFAULT 6 NOT NULL,
    period public.totp_period DEFAULT 30 NOT NULL,
    last_step bigint,
    last_used_at timestamp with time zone
);

COMMENT ON TABLE public.totp IS 'Authenticator apps of users (RFC 6238).';

COMMENT ON COLUMN public.totp.name IS 'What the user calls the app.';

COMMENT ON COLUMN public.totp.secret IS 'The shared secret, encrypted by the caller.';

COMMENT ON COLUMN public.totp.algorithm IS 'The hash function of the HMAC.';

COMMENT ON COLUMN public.totp.digits IS 'How many digits a code has.';

COMMENT ON COLUMN public.totp.period IS 'How many seconds a time step lasts.';

COMMENT ON COLUMN public.totp.last_step IS 'The highest time step of which a code was accepted; NULL if none was.';

COMMENT ON COLUMN public.totp.last_used_at IS 'When a code was last accepted.';

CREATE TABLE public.verification (
    id public.stored_verification_id NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    identifier text NOT NULL,
    value text NOT NULL,
    expires_at public.finite_timestamptz NOT NULL
);

COMMENT ON TABLE public.verification IS 'Short-lived values of a better-auth server, such as authorization codes and e-mail verifications.';

COMMENT ON COLUMN public.verification.identifier IS 'The key by which the value is looked up.';

COMMENT ON COLUMN public.verification.value IS 'The value, in the notation of the server.';

COMMENT ON COLUMN public.verification.expires_at IS 'When the value expires.';

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_provider_account_uidx UNIQUE (provider_id, account_id);

ALTER TABLE ONLY public.attempt_count
    ADD CONSTRAINT attempt_count_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.attempt_count
    ADD CONSTRAINT attempt_count_purpose_subject_uidx UNIQUE (purpose, subject);

ALTER TABLE ONLY public.device_code
    ADD CONSTRAINT device_code_device_code_uidx UNIQUE (device_code);

ALTER TABLE ONLY public.device_code
    ADD CONSTRAINT device_code_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.device_code
    ADD CONSTRAINT device_code_user_code_uidx UNIQUE (user_code);

ALTER TABLE ONLY public.jwks
    ADD CONSTRAINT jwks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_token_uidx UNIQUE (token);

ALTER TABLE ONLY public.oauth_authorization
    ADD CONSTRAINT oauth_authorization_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_client_assertion
    ADD CONSTRAINT oauth_client_assertion_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_client
    ADD CONSTRAINT oauth_client_client_id_uidx UNIQUE (client_id);

ALTER TABLE ONLY public.oauth_client
    ADD CONSTRAINT oauth_client_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_client_resource
    ADD CONSTRAINT oauth_client_resource_client_resource_uidx UNIQUE (client_id, resource_id);

ALTER TABLE ONLY public.oauth_client_resource
    ADD CONSTRAINT oauth_client_resource_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_client_secret
    ADD CONSTRAINT oauth_client_secret_client_digest_uidx UNIQUE (client_id, digest);

ALTER TABLE ONLY public.oauth_client_secret
    ADD CONSTRAINT oauth_client_secret_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_consent
    ADD CONSTRAINT oauth_consent_client_user_uidx UNIQUE (client_id, user_id);

ALTER TABLE ONLY public.oauth_consent
    ADD CONSTRAINT oauth_consent_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_initial_access_token
    ADD CONSTRAINT oauth_initial_access_token_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_initial_access_token
    ADD CONSTRAINT oauth_initial_access_token_token_uidx UNIQUE (token);

ALTER TABLE ONLY public.oauth_pairwise_subject
    ADD CONSTRAINT oauth_pairwise_subject_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_pairwise_subject
    ADD CONSTRAINT oauth_pairwise_subject_sector_subject_uidx UNIQUE (sector, subject);

ALTER TABLE ONLY public.oauth_pairwise_subject
    ADD CONSTRAINT oauth_pairwise_subject_sector_user_uidx UNIQUE (sector, user_id);

ALTER TABLE ONLY public.oauth_polled_request
    ADD CONSTRAINT oauth_polled_request_code_uidx UNIQUE (code);

ALTER TABLE ONLY public.oauth_polled_request
    ADD CONSTRAINT oauth_polled_request_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_polled_request
    ADD CONSTRAINT oauth_polled_request_user_code_uidx UNIQUE (user_code);

ALTER TABLE ONLY public.oauth_proof
    ADD CONSTRAINT oauth_proof_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_token_uidx UNIQUE (token);

ALTER TABLE ONLY public.oauth_resource
    ADD CONSTRAINT oauth_resource_identifier_uidx UNIQUE (identifier);

ALTER TABLE ONLY public.oauth_resource
    ADD CONSTRAINT oauth_resource_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.oauth_trusted_issuer
    ADD CONSTRAINT oauth_trusted_issuer_issuer_uidx UNIQUE (issuer);

ALTER TABLE ONLY public.oauth_trusted_issuer
    ADD CONSTRAINT oauth_trusted_issuer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.one_time_code
    ADD CONSTRAINT one_time_code_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.one_time_code
    ADD CONSTRAINT one_time_code_purpose_subject_uidx UNIQUE (purpose, subject);

ALTER TABLE ONLY public.passkey
    ADD CONSTRAINT passkey_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.recovery_code
    ADD CONSTRAINT recovery_code_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.recovery_code
    ADD CONSTRAINT recovery_code_user_digest_uidx UNIQUE (user_id, digest);

ALTER TABLE ONLY public.security_event
    ADD CONSTRAINT security_event_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.session_client
    ADD CONSTRAINT session_client_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.session_client
    ADD CONSTRAINT session_client_session_client_uidx UNIQUE (session_id, client_id);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_token_uidx UNIQUE (token);

ALTER TABLE ONLY public.totp
    ADD CONSTRAINT totp_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public."user"
    ADD CONSTRAINT user_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.verification
    ADD CONSTRAINT verification_pkey PRIMARY KEY (id);

CREATE INDEX account_user_id_idx ON public.account USING btree (user_id);

CREATE INDEX attempt_count_resets_at_idx ON public.attempt_count USING btree (resets_at);

CREATE INDEX device_code_expires_at_idx ON public.device_code USING btree (expires_at);

CREATE INDEX device_code_user_id_idx ON public.device_code USING btree (user_id COLLATE "C");

CREATE INDEX jwks_created_at_idx ON public.jwks USING btree (created_at, id);

CREATE INDEX jwks_expires_at_idx ON public.jwks USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX oauth_access_token_authorization_id_idx ON public.oauth_access_token USING btree (authorization_id);

CREATE INDEX oauth_access_token_client_id_idx ON public.oauth_access_token USING btree (client_id);

CREATE INDEX oauth_access_token_expires_at_idx ON public.oauth_access_token USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX oauth_access_token_refresh_id_idx ON public.oauth_access_token USING btree (refresh_id);

CREATE INDEX oauth_access_token_session_id_idx ON public.oauth_access_token USING btree (session_id);

CREATE INDEX oauth_access_token_user_id_idx ON public.oauth_access_token USING btree (user_id);

CREATE INDEX oauth_access_token_without_expiry_idx ON public.oauth_access_token USING btree (id) WHERE (expires_at IS NULL);

CREATE INDEX oauth_authorization_client_id_idx ON public.oauth_authorization USING btree (client_id, created_at, id);

CREATE UNIQUE INDEX oauth_authorization_code_uidx ON public.oauth_authorization USING btree (code) WHERE (code IS NOT NULL);

CREATE INDEX oauth_authorization_expires_at_idx ON public.oauth_authorization USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE UNIQUE INDEX oauth_authorization_request_uri_uidx ON public.oauth_authorization USING btree (request_uri) WHERE (request_uri IS NOT NULL);

CREATE INDEX oauth_authorization_revoked_at_idx ON public.oauth_authorization USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);

CREATE INDEX oauth_authorization_session_id_idx ON public.oauth_authorization USING btree (session_id);

CREATE INDEX oauth_authorization_user_id_idx ON public.oauth_authorization USING btree (user_id, created_at, id);

CREATE INDEX oauth_client_assertion_expires_at_idx ON public.oauth_client_assertion USING btree (expires_at);

CREATE INDEX oauth_client_created_at_idx ON public.oauth_client USING btree (created_at, id);

CREATE INDEX oauth_client_deleted_at_idx ON public.oauth_client USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX oauth_client_document_fresh_until_idx ON public.oauth_client USING btree (document_fresh_until, id) WHERE (document_fresh_until IS NOT NULL);

CREATE INDEX oauth_client_reference_id_idx ON public.oauth_client USING btree (reference_id, created_at, id) WHERE (reference_id IS NOT NULL);

CREATE INDEX oauth_client_resource_resource_id_idx ON public.oauth_client_resource USING btree (resource_id);

CREATE INDEX oauth_client_secret_expires_at_idx ON public.oauth_client_secret USING btree (expires_at);

CREATE INDEX oauth_client_user_id_idx ON public.oauth_client USING btree (user_id);

CREATE INDEX oauth_consent_client_id_idx ON public.oauth_consent USING btree (client_id);

CREATE INDEX oauth_consent_user_id_idx ON public.oauth_consent USING btree (user_id);

CREATE INDEX oauth_initial_access_token_created_at_idx ON public.oauth_initial_access_token USING btree (created_at, id);

CREATE INDEX oauth_initial_access_token_expires_at_idx ON public.oauth_initial_access_token USING btree (expires_at);

CREATE INDEX oauth_pairwise_subject_user_id_idx ON public.oauth_pairwise_subject USING btree (user_id);

CREATE INDEX oauth_polled_request_expires_at_idx ON public.oauth_polled_request USING btree (expires_at);

CREATE INDEX oauth_proof_expires_at_idx ON public.oauth_proof USING btree (expires_at);

CREATE INDEX oauth_refresh_token_authorization_id_idx ON public.oauth_refresh_token USING btree (authorization_id);

CREATE INDEX oauth_refresh_token_client_id_idx ON public.oauth_refresh_token USING btree (client_id);

CREATE INDEX oauth_refresh_token_expires_at_idx ON public.oauth_refresh_token USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX oauth_refresh_token_session_id_idx ON public.oauth_refresh_token USING btree (session_id);

CREATE INDEX oauth_refresh_token_user_id_idx ON public.oauth_refresh_token USING btree (user_id);

CREATE INDEX oauth_refresh_token_without_expiry_idx ON public.oauth_refresh_token USING btree (id) WHERE (expires_at IS NULL);

CREATE INDEX oauth_trusted_issuer_created_at_idx ON public.oauth_trusted_issuer USING btree (created_at, id);

CREATE INDEX one_time_code_expires_at_idx ON public.one_time_code USING btree (expires_at);

CREATE INDEX passkey_user_id_idx ON public.passkey USING btree (user_id);

CREATE INDEX security_event_client_id_idx ON public.security_event USING btree (client_id, id) WHERE (client_id IS NOT NULL);

CREATE INDEX security_event_user_id_idx ON public.security_event USING btree (user_id, id) WHERE (user_id IS NOT NULL);

CREATE INDEX session_client_client_id_idx ON public.session_client USING btree (client_id, id);

CREATE INDEX session_client_due_at_idx ON public.session_client USING btree (due_at) WHERE ((due_at IS NOT NULL) AND (told_at IS NULL));

CREATE INDEX session_client_user_id_idx ON public.session_client USING btree (user_id);

CREATE INDEX session_expires_at_idx ON public.session USING btree (expires_at);

CREATE INDEX session_user_id_idx ON public.session USING btree (user_id, created_at, id);

CREATE INDEX totp_user_id_idx ON public.totp USING btree (user_id);

CREATE INDEX user_created_at_idx ON public."user" USING btree (created_at, id);

CREATE INDEX user_deleted_at_idx ON public."user" USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX user_email_idx ON public."user" USING btree (email);

CREATE UNIQUE INDEX user_email_uidx ON public."user" USING btree (lower(((email)::text COLLATE "C")));

CREATE INDEX verification_expires_at_idx ON public.verification USING btree (expires_at);

CREATE INDEX verification_identifier_idx ON public.verification USING btree (identifier);

CREATE TRIGGER disable_client_of_deleted_user BEFORE INSERT OR UPDATE OF user_id, disabled ON public.oauth_client FOR EACH ROW WHEN (((new.user_id IS NOT NULL) AND (NOT new.disabled))) EXECUTE FUNCTION public.disable_client_of_deleted_user();

CREATE TRIGGER give_family BEFORE INSERT ON public.oauth_access_token FOR EACH ROW WHEN (((new.authorization_id IS NULL) AND (new.client_epoch IS NULL))) EXECUTE FUNCTION public.give_family();

CREATE TRIGGER give_family BEFORE INSERT ON public.oauth_refresh_token FOR EACH ROW WHEN ((new.authorization_id IS NULL)) EXECUTE FUNCTION public.give_family();

CREATE TRIGGER keep_finite BEFORE INSERT OR UPDATE OF expires_at ON public.oauth_access_token FOR EACH ROW WHEN ((NOT isfinite(new.expires_at))) EXECUTE FUNCTION public.keep_finite();

CREATE TRIGGER keep_finite BEFORE INSERT OR UPDATE OF expires_at ON public.oauth_refresh_token FOR EACH ROW WHEN ((NOT isfinite(new.expires_at))) EXECUTE FUNCTION public.keep_finite();

CREATE TRIGGER keep_finite BEFORE INSERT OR UPDATE OF expires_at ON public.session FOR EACH ROW WHEN ((NOT isfinite(new.expires_at))) EXECUTE FUNCTION public.keep_finite();

CREATE TRIGGER keep_sector BEFORE INSERT OR UPDATE OF subject_type, sector_identifier ON public.oauth_client FOR EACH ROW EXECUTE FUNCTION public.keep_sector();

CREATE TRIGGER raise_epochs BEFORE UPDATE OF suspended_at, deleted_at ON public."user" FOR EACH ROW WHEN ((((old.suspended_at IS NULL) <> (new.suspended_at IS NULL)) OR ((old.deleted_at IS NULL) <> (new.deleted_at IS NULL)))) EXECUTE FUNCTION public.raise_epochs();

CREATE TRIGGER refuse_dead_rotation BEFORE UPDATE OF revoked ON public.oauth_refresh_token FOR EACH ROW WHEN (((old.revoked IS NULL) AND (new.revoked IS NOT NULL) AND (new.successor IS NULL))) EXECUTE FUNCTION public.refuse_dead_rotation();

CREATE TRIGGER stamp_consent BEFORE INSERT OR UPDATE OF scopes, resource_scopes, reference_id ON public.oauth_consent FOR EACH ROW EXECUTE FUNCTION public.stamp_consent();

CREATE TRIGGER stamp_session BEFORE INSERT ON public.session FOR EACH ROW EXECUTE FUNCTION public.stamp_session();

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_authorization_id_fkey FOREIGN KEY (authorization_id) REFERENCES public.oauth_authorization(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_refresh_id_fkey FOREIGN KEY (refresh_id) REFERENCES public.oauth_refresh_token(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.oauth_access_token
    ADD CONSTRAINT oauth_access_token_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_authorization
    ADD CONSTRAINT oauth_authorization_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_authorization
    ADD CONSTRAINT oauth_authorization_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.oauth_authorization
    ADD CONSTRAINT oauth_authorization_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_client_resource
    ADD CONSTRAINT oauth_client_resource_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_client_resource
    ADD CONSTRAINT oauth_client_resource_resource_id_fkey FOREIGN KEY (resource_id) REFERENCES public.oauth_resource(identifier) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_client_secret
    ADD CONSTRAINT oauth_client_secret_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_client
    ADD CONSTRAINT oauth_client_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_consent
    ADD CONSTRAINT oauth_consent_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_consent
    ADD CONSTRAINT oauth_consent_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_pairwise_subject
    ADD CONSTRAINT oauth_pairwise_subject_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_polled_request
    ADD CONSTRAINT oauth_polled_request_id_fkey FOREIGN KEY (id) REFERENCES public.oauth_authorization(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_authorization_id_fkey FOREIGN KEY (authorization_id) REFERENCES public.oauth_authorization(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.oauth_refresh_token
    ADD CONSTRAINT oauth_refresh_token_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.passkey
    ADD CONSTRAINT passkey_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.recovery_code
    ADD CONSTRAINT recovery_code_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.session_client
    ADD CONSTRAINT session_client_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.oauth_client(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.totp
    ADD CONSTRAINT totp_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

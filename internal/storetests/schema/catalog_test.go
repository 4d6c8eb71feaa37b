package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/oauthdb/oauthdb/internal/storetests/fixture"
)

// tableSpec is a table as the design lays it down, a line for each of its parts, in the catalog's own notation.
type tableSpec struct {
	name string

	// core are the columns that a server which knows nothing of oauthdb may count on; added are those that oauthdb put
	// beside them: name, type and what it is a domain over in the end, NOT NULL, DEFAULT.
	core, added string

	indexes  string // name, UNIQUE, columns, WHERE
	foreign  string // name, columns, what they refer to, ON DELETE
	checks   string // names; what each refuses is held by TestEveryConstraintRefusesWhatViolatesIt
	triggers string // names
}

// schemaTables are the design, written down a second time: neither the migrations nor anything generated from them. A change of a
// migration has to be made here too, by hand.
var schemaTables = []tableSpec{
	{
		name: "user",
		core: `
			id stored_user_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			name short_text (text) NOT NULL
			email email_address (text)
			email_verified boolean NOT NULL DEFAULT false
			image text`,
		added: `
			grants_epoch bigint NOT NULL DEFAULT 0
			sessions_epoch bigint NOT NULL DEFAULT 0
			ended_grants stored_object (jsonb) NOT NULL DEFAULT '{}'::jsonb
			suspended_at timestamp with time zone
			deleted_at timestamp with time zone`,
		indexes: `
			user_pkey UNIQUE (id)
			user_email_uidx UNIQUE (lower(((email)::text COLLATE "C")))
			user_email_idx (email)
			user_created_at_idx (created_at, id)
			user_deleted_at_idx (deleted_at) WHERE (deleted_at IS NOT NULL)`,
		checks:   `user_times_are_finite`,
		triggers: `raise_epochs`,
	},
	{
		name: "session",
		core: `
			id stored_session_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			expires_at timestamp with time zone NOT NULL
			token session_cookie (text) NOT NULL
			ip_address short_text (text)
			user_agent short_text (text)
			user_id user_id (text) NOT NULL`,
		added: `
			user_sessions_epoch bigint NOT NULL DEFAULT 0
			ended_at timestamp with time zone
			last_seen_at timestamp with time zone
			label short_text (text)
			acr short_text (text)
			amr text_list (text[])
			auth_time timestamp with time zone`,
		indexes: `
			session_pkey UNIQUE (id)
			session_token_uidx UNIQUE (token)
			session_user_id_idx (user_id, created_at, id)
			session_expires_at_idx (expires_at)`,
		foreign: `session_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
		checks: `
			session_ended_has_expired
			session_times_are_finite`,
		triggers: `
			keep_finite
			stamp_session`,
	},
	{
		name: "account",
		core: `
			id stored_account_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			account_id provider_text (text) NOT NULL
			provider_id provider_text (text) NOT NULL
			user_id user_id (text) NOT NULL
			access_token text
			refresh_token text
			id_token text
			access_token_expires_at finite_timestamptz (timestamp with time zone)
			refresh_token_expires_at finite_timestamptz (timestamp with time zone)
			scope text
			password text`,
		indexes: `
			account_pkey UNIQUE (id)
			account_provider_account_uidx UNIQUE (provider_id, account_id)
			account_user_id_idx (user_id)`,
		foreign: `account_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
		checks:  `account_times_are_finite`,
	},
	{
		name: "verification",
		core: `
			id stored_verification_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			identifier text NOT NULL
			value text NOT NULL
			expires_at finite_timestamptz (timestamp with time zone) NOT NULL`,
		indexes: `
			verification_pkey UNIQUE (id)
			verification_identifier_idx (identifier)
			verification_expires_at_idx (expires_at)`,
	},
	{
		name: "device_code",
		core: `
			id short_text (text) NOT NULL DEFAULT (gen_random_uuid())::text
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			device_code short_text (text) NOT NULL
			user_code short_text (text) NOT NULL
			user_id short_text (text)
			expires_at finite_timestamptz (timestamp with time zone) NOT NULL
			status short_text (text) NOT NULL
			last_polled_at timestamp with time zone
			polling_interval integer
			client_id short_text (text)
			scope text
			oauth_client_id short_text (text)
			resources text_list (text[])`,
		indexes: `
			device_code_pkey UNIQUE (id)
			device_code_device_code_uidx UNIQUE (device_code)
			device_code_user_code_uidx UNIQUE (user_code)
			device_code_expires_at_idx (expires_at)
			device_code_user_id_idx (user_id COLLATE "C")`,
	},
	{
		name: "oauth_client",
		core: `
			id stored_oauth_client_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			client_id stored_client_id (text) NOT NULL
			client_secret stored_token_digest (text)
			disabled boolean NOT NULL DEFAULT false
			skip_consent boolean
			enable_end_session boolean
			scopes text_list (text[])
			user_id user_id (text)
			name text
			uri text
			icon text
			contacts text_list (text[])
			tos text
			policy text
			software_id text
			software_version text
			software_statement text
			redirect_uris text_list (text[]) NOT NULL
			post_logout_redirect_uris text_list (text[])
			token_endpoint_auth_method text
			grant_types text_list (text[])
			response_types text_list (text[])
			public boolean
			type text
			reference_id stored_reference_id (text)
			metadata stored_object (jsonb)`,
		added: `
			grants_epoch bigint NOT NULL DEFAULT 0
			deleted_at timestamp with time zone
			client_secret_expires_at finite_timestamptz (timestamp with time zone)
			foreign_secret_hash short_text (text)
			registration_access_token stored_token_digest (text)
			subject_type text
			sector_identifier short_text (text)
			require_pkce boolean
			allow_plain_pkce boolean
			jwks stored_object (jsonb)
			jwks_uri text
			application_type text
			default_max_age interval
			access_token_lifetime client_lifetime (interval)
			refresh_token_lifetime client_lifetime (interval)
			authorization_lifetime client_lifetime (interval)
			code_lifetime client_lifetime (interval)
			refresh_grace client_grace (interval)
			refresh_grace_until_used boolean
			require_pushed_authorization_requests boolean
			dpop_bound_access_tokens boolean
			tls_client_certificate_bound_access_tokens boolean
			tls_client_auth_subject_dn short_text (text)
			tls_client_auth_san_dns short_text (text)
			tls_client_auth_san_uri short_text (text)
			tls_client_auth_san_ip short_text (text)
			tls_client_auth_san_email short_text (text)
			backchannel_logout_uri text
			backchannel_logout_session_required boolean
			client_discovery_id text
			client_credentials_scopes text_list (text[])
			resources text_list (text[])
			authorization_details_types text_list (text[])
			previous_registration_access_token stored_token_digest (text)
			document_uri short_text (text)
			document_etag short_text (text)
			document_fetched_at finite_timestamptz (timestamp with time zone)
			document_fresh_until finite_timestamptz (timestamp with time zone)
			document_changes text_list (text[])
			unused_since timestamp with time zone
			unused_checked_at timestamp with time zone
			consents_epoch bigint NOT NULL DEFAULT 0`,
		indexes: `
			oauth_client_pkey UNIQUE (id)
			oauth_client_client_id_uidx UNIQUE (client_id)
			oauth_client_user_id_idx (user_id)
			oauth_client_reference_id_idx (reference_id, created_at, id) WHERE (reference_id IS NOT NULL)
			oauth_client_created_at_idx (created_at, id)
			oauth_client_deleted_at_idx (deleted_at) WHERE (deleted_at IS NOT NULL)
			oauth_client_document_fresh_until_idx (document_fresh_until, id) WHERE (document_fresh_until IS NOT NULL)`,
		foreign: `oauth_client_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
		checks: `
			oauth_client_redirect_uris_where_redirected
			oauth_client_foreign_secret_hash_is_hash
			oauth_client_one_kind_of_secret
			oauth_client_one_source_of_keys
			oauth_client_deleted_is_disabled
			oauth_client_times_are_finite`,
		triggers: `
			disable_client_of_deleted_user
			keep_sector`,
	},
	{
		name: "oauth_resource",
		added: `
			id short_text (text) NOT NULL DEFAULT (gen_random_uuid())::text
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			identifier short_text (text) NOT NULL
			name short_text (text) NOT NULL
			access_token_ttl integer
			refresh_token_ttl integer
			signing_algorithm short_text (text)
			signing_key_id short_text (text)
			allowed_scopes text_list (text[])
			custom_claims stored_object (jsonb)
			dpop_bound_access_tokens_required boolean NOT NULL DEFAULT false
			disabled boolean NOT NULL DEFAULT false
			policy_version integer NOT NULL DEFAULT 1
			metadata stored_object (jsonb)`,
		indexes: `
			oauth_resource_pkey UNIQUE (id)
			oauth_resource_identifier_uidx UNIQUE (identifier)`,
	},
	{
		name: "oauth_client_resource",
		added: `
			id short_text (text) NOT NULL DEFAULT (gen_random_uuid())::text
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			client_id client_id (text) NOT NULL
			resource_id short_text (text) NOT NULL
			metadata stored_object (jsonb)`,
		indexes: `
			oauth_client_resource_pkey UNIQUE (id)
			oauth_client_resource_client_resource_uidx UNIQUE (client_id, resource_id)
			oauth_client_resource_resource_id_idx (resource_id)`,
		foreign: `
			oauth_client_resource_client_id_fkey (client_id) oauth_client(client_id) ON DELETE CASCADE
			oauth_client_resource_resource_id_fkey (resource_id) oauth_resource(identifier) ON DELETE CASCADE`,
	},
	{
		name: "oauth_initial_access_token",
		added: `
			id stored_initial_access_token_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			token stored_token_digest (text) NOT NULL
			label short_text (text)
			reference_id stored_reference_id (text)
			max_uses bigint NOT NULL
			uses bigint NOT NULL DEFAULT 0
			expires_at finite_timestamptz (timestamp with time zone)
			revoked_at timestamp with time zone`,
		indexes: `
			oauth_initial_access_token_pkey UNIQUE (id)
			oauth_initial_access_token_token_uidx UNIQUE (token)
			oauth_initial_access_token_created_at_idx (created_at, id)
			oauth_initial_access_token_expires_at_idx (expires_at)`,
		checks: `oauth_initial_access_token_uses_in_range`,
	},
	{
		name: "oauth_client_secret",
		added: `
			id client_secret_id (text) NOT NULL DEFAULT (gen_random_uuid())::text
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			client_id client_id (text) NOT NULL
			digest stored_token_digest (text) NOT NULL
			expires_at timestamp with time zone NOT NULL`,
		indexes: `
			oauth_client_secret_pkey UNIQUE (id)
			oauth_client_secret_client_digest_uidx UNIQUE (client_id, digest)
			oauth_client_secret_expires_at_idx (expires_at)`,
		foreign: `oauth_client_secret_client_id_fkey (client_id) oauth_client(client_id) ON DELETE CASCADE`,
	},
	{
		name: "oauth_authorization",
		added: `
			id stored_authorization_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			client_id client_id (text) NOT NULL
			kind authorization_kind NOT NULL DEFAULT 'code'::authorization_kind
			status authorization_status NOT NULL DEFAULT 'pending'::authorization_status
			redirect_uri text
			response_type text
			response_mode text
			scopes text_list (text[]) NOT NULL
			state text
			nonce text
			code_challenge short_text (text)
			code_challenge_method code_challenge_method (text)
			resources text_list (text[])
			authorization_details stored_array (jsonb)
			claims stored_object (jsonb)
			request stored_object (jsonb)
			request_uri stored_token_digest (text)
			request_uri_expires_at timestamp with time zone
			expires_at timestamp with time zone
			user_id user_id (text)
			session_id session_id (text)
			reference_id stored_reference_id (text)
			granted_scopes text_list (text[])
			auth_time timestamp with time zone
			acr short_text (text)
			amr text_list (text[])
			decided_at timestamp with time zone
			bound boolean NOT NULL DEFAULT false
			user_epoch bigint
			client_epoch bigint
			pair_epoch bigint
			code stored_token_digest (text)
			code_expires_at timestamp with time zone
			redeemed_at timestamp with time zone
			redeemed_as access_token_id (text)
			confirmation stored_confirmation (jsonb)
			act stored_object (jsonb)
			may_act stored_object (jsonb)
			max_expires_at timestamp with time zone
			revoked_at timestamp with time zone
			revoked_reason revocation_reason
			data stored_object (jsonb)
			acr_values text_list (text[])
			max_age bigint`,
		indexes: `
			oauth_authorization_pkey UNIQUE (id)
			oauth_authorization_code_uidx UNIQUE (code) WHERE (code IS NOT NULL)
			oauth_authorization_request_uri_uidx UNIQUE (request_uri) WHERE (request_uri IS NOT NULL)
			oauth_authorization_client_id_idx (client_id, created_at, id)
			oauth_authorization_user_id_idx (user_id, created_at, id)
			oauth_authorization_session_id_idx (session_id)
			oauth_authorization_expires_at_idx (expires_at) WHERE (expires_at IS NOT NULL)
			oauth_authorization_revoked_at_idx (revoked_at) WHERE (revoked_at IS NOT NULL)`,
		foreign: `
			oauth_authorization_client_id_fkey (client_id) oauth_client(client_id) ON DELETE CASCADE
			oauth_authorization_session_id_fkey (session_id) session(id) ON DELETE SET NULL
			oauth_authorization_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
		checks: `
			oauth_authorization_challenge_names_method
			oauth_authorization_approval_is_whole
			oauth_authorization_granted_within_asked
			oauth_authorization_code_is_whole
			oauth_authorization_revoked_for_reason`,
	},
	{
		name: "oauth_refresh_token",
		core: `
			id stored_refresh_token_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			token stored_token_digest (text) NOT NULL
			client_id client_id (text) NOT NULL
			session_id session_id (text)
			user_id user_id (text) NOT NULL
			reference_id stored_reference_id (text)
			expires_at timestamp with time zone
			revoked timestamp with time zone
			scopes text_list (text[]) NOT NULL`,
		added: `
			auth_time timestamp with time zone
			resources text_list (text[])
			authorization_details stored_array (jsonb)
			confirmation stored_confirmation (jsonb)
			authorization_code_id authorization_id (text)
			authorization_id authorization_id (text) NOT NULL
			successor stored_token_digest (text)
			successor_id refresh_token_id (text)
			access_token_expires_at timestamp with time zone
			data stored_object (jsonb)
			requested_user_info_claims text_list (text[])
			rotated_at timestamp with time zone
			rotation_replay_response text
			rotation_replay_expires_at timestamp with time zone`,
		indexes: `
			oauth_refresh_token_pkey UNIQUE (id)
			oauth_refresh_token_token_uidx UNIQUE (token)
			oauth_refresh_token_client_id_idx (client_id)
			oauth_refresh_token_user_id_idx (user_id)
			oauth_refresh_token_session_id_idx (session_id)
			oauth_refresh_token_authorization_id_idx (authorization_id)
			oauth_refresh_token_expires_at_idx (expires_at) WHERE (expires_at IS NOT NULL)
			oauth_refresh_token_without_expiry_idx (id) WHERE (expires_at IS NULL)`,
		foreign: `
			oauth_refresh_token_authorization_id_fkey (authorization_id) oauth_authorization(id) ON DELETE CASCADE
			oauth_refresh_token_client_id_fkey (client_id) oauth_client(client_id) ON DELETE CASCADE
			oauth_refresh_token_session_id_fkey (session_id) session(id) ON DELETE SET NULL
			oauth_refresh_token_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
		checks: `oauth_refresh_token_rotated_is_revoked`,
		triggers: `
			give_family
			keep_finite
			refuse_dead_rotation`,
	},
	{
		name: "oauth_access_token",
		core: `
			id stored_access_token_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			token stored_token_digest (text)
			client_id client_id (text) NOT NULL
			session_id session_id (text)
			user_id user_id (text)
			reference_id stored_reference_id (text)
			refresh_id refresh_token_id (text)
			expires_at timestamp with time zone
			scopes text_list (text[]) NOT NULL`,
		added: `
			revoked timestamp with time zone
			resources text_list (text[])
			authorization_details stored_array (jsonb)
			confirmation stored_confirmation (jsonb)
			authorization_code_id authorization_id (text)
			authorization_id authorization_id (text)
			act stored_object (jsonb)
			client_epoch bigint
			pair_epoch bigint
			data stored_object (jsonb)
			requested_user_info_claims text_list (text[])
			subject_token_id access_token_id (text)
			may_act stored_object (jsonb)`,
		indexes: `
			oauth_access_token_pkey UNIQUE (id)
			oauth_access_token_token_uidx UNIQUE (token)
			oauth_access_token_client_id_idx (client_id)
			oauth_access_token_user_id_idx (user_id)
			oauth_access_token_session_id_idx (session_id)
			oauth_access_token_refresh_id_idx (refresh_id)
			oauth_access_token_authorization_id_idx (authorization_id)
			oauth_access_token_expires_at_idx (expires_at) WHERE (expires_at IS NOT NULL)
			oauth_access_token_without_expiry_idx (id) WHERE (expires_at IS NULL)`,
		foreign: `
			oauth_access_token_authorization_id_fkey (authorization_id) oauth_authorization(id) ON DELETE CASCADE
			oauth_access_token_client_id_fkey (client_id) oauth_client(client_id) ON DELETE CASCADE
			oauth_access_token_refresh_id_fkey (refresh_id) oauth_refresh_token(id) ON DELETE CASCADE
			oauth_access_token_session_id_fkey (session_id) session(id) ON DELETE SET NULL
			oauth_access_token_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
		checks: `oauth_access_token_is_of_a_family_or_of_the_client`,
		triggers: `
			give_family
			keep_finite`,
	},
	{
		name: "oauth_consent",
		core: `
			id stored_consent_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			client_id client_id (text) NOT NULL
			user_id user_id (text)
			reference_id stored_reference_id (text)
			scopes text_list (text[]) NOT NULL`,
		added: `
			resource_scopes stored_object (jsonb)
			user_epoch bigint NOT NULL DEFAULT 0
			pair_epoch bigint NOT NULL DEFAULT 0
			client_epoch bigint NOT NULL DEFAULT 0
			resources text_list (text[])
			requested_user_info_claims text_list (text[])
			authorization_details stored_array (jsonb)`,
		indexes: `
			oauth_consent_pkey UNIQUE (id)
			oauth_consent_client_user_uidx UNIQUE (client_id, user_id)
			oauth_consent_client_id_idx (client_id)
			oauth_consent_user_id_idx (user_id)`,
		foreign: `
			oauth_consent_client_id_fkey (client_id) oauth_client(client_id) ON DELETE CASCADE
			oauth_consent_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
		triggers: `stamp_consent`,
		checks:   `oauth_consent_times_are_finite`,
	},
	{
		name: "session_client",
		added: `
			id session_client_id (text) NOT NULL DEFAULT (gen_random_uuid())::text
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			session_id session_id (text) NOT NULL
			client_id client_id (text) NOT NULL
			user_id user_id (text) NOT NULL
			sub text NOT NULL
			sid text NOT NULL
			due_at timestamp with time zone
			attempts bigint NOT NULL DEFAULT 0
			lease text
			lease_expires_at timestamp with time zone
			told_at timestamp with time zone
			abandoned_at timestamp with time zone`,
		indexes: `
			session_client_pkey UNIQUE (id)
			session_client_session_client_uidx UNIQUE (session_id, client_id)
			session_client_client_id_idx (client_id, id)
			session_client_user_id_idx (user_id)
			session_client_due_at_idx (due_at) WHERE ((due_at IS NOT NULL) AND (told_at IS NULL))`,
		foreign: `session_client_client_id_fkey (client_id) oauth_client(client_id) ON DELETE CASCADE`,
	},
	{
		name: "jwks",
		core: `
			id stored_jwk_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			public_key text NOT NULL
			private_key text NOT NULL
			alg text
			crv text
			expires_at finite_timestamptz (timestamp with time zone)`,
		added: `private_key_uri short_text (text)`,
		indexes: `
			jwks_pkey UNIQUE (id)
			jwks_created_at_idx (created_at, id)
			jwks_expires_at_idx (expires_at) WHERE (expires_at IS NOT NULL)`,
		checks: `
			jwks_private_key_is_in_one_place
			jwks_times_are_finite`,
	},
	{
		name: "oauth_client_assertion",
		core: `
			id stored_assertion_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			expires_at finite_timestamptz (timestamp with time zone) NOT NULL`,
		added: `
			access_token_id access_token_id (text)
			authorization_id authorization_id (text)`,
		indexes: `
			oauth_client_assertion_pkey UNIQUE (id)
			oauth_client_assertion_expires_at_idx (expires_at)`,
	},
	{
		name: "oauth_polled_request",
		added: `
			id stored_authorization_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			code stored_token_digest (text) NOT NULL
			user_code stored_token_digest (text)
			expires_at finite_timestamptz (timestamp with time zone) NOT NULL
			poll_interval poll_interval (interval) NOT NULL
			polled_at timestamp with time zone
			refresh_token_id refresh_token_id (text)
			notification_token short_text (text)`,
		indexes: `
			oauth_polled_request_pkey UNIQUE (id)
			oauth_polled_request_code_uidx UNIQUE (code)
			oauth_polled_request_user_code_uidx UNIQUE (user_code)
			oauth_polled_request_expires_at_idx (expires_at)`,
		foreign: `oauth_polled_request_id_fkey (id) oauth_authorization(id) ON DELETE CASCADE`,
	},
	{
		name: "oauth_proof",
		added: `
			id stored_token_digest (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			expires_at finite_timestamptz (timestamp with time zone) NOT NULL`,
		indexes: `
			oauth_proof_pkey UNIQUE (id)
			oauth_proof_expires_at_idx (expires_at)`,
	},
	{
		name: "oauth_trusted_issuer",
		added: `
			id stored_trusted_issuer_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			issuer stored_issuer (text) NOT NULL
			name short_text (text)
			jwks stored_object (jsonb)
			jwks_uri short_text (text)
			audiences text_list (text[]) NOT NULL DEFAULT '{}'::text[]
			signing_algorithms text_list (text[]) NOT NULL DEFAULT '{}'::text[]
			client_ids text_list (text[]) NOT NULL DEFAULT '{}'::text[]
			any_client boolean NOT NULL DEFAULT false
			max_lifetime assertion_lifetime (interval)
			disabled boolean NOT NULL DEFAULT false`,
		indexes: `
			oauth_trusted_issuer_pkey UNIQUE (id)
			oauth_trusted_issuer_issuer_uidx UNIQUE (issuer)
			oauth_trusted_issuer_created_at_idx (created_at, id)`,
		checks: `
			oauth_trusted_issuer_one_source_of_keys
			oauth_trusted_issuer_signs`,
	},
	{
		name: "oauth_pairwise_subject",
		added: `
			id pairwise_subject_id (text) NOT NULL DEFAULT (gen_random_uuid())::text
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			sector stored_sector (text) NOT NULL
			user_id user_id (text) NOT NULL
			subject stored_subject (text) NOT NULL`,
		indexes: `
			oauth_pairwise_subject_pkey UNIQUE (id)
			oauth_pairwise_subject_sector_user_uidx UNIQUE (sector, user_id)
			oauth_pairwise_subject_sector_subject_uidx UNIQUE (sector, subject)
			oauth_pairwise_subject_user_id_idx (user_id)`,
		foreign: `oauth_pairwise_subject_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
	},
	{
		name: "one_time_code",
		added: `
			id one_time_code_id (text) NOT NULL DEFAULT (gen_random_uuid())::text
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			purpose stored_purpose (text) NOT NULL
			subject stored_token_digest (text) NOT NULL
			digest stored_token_digest (text) NOT NULL
			expires_at timestamp with time zone NOT NULL
			data stored_object (jsonb)`,
		indexes: `
			one_time_code_pkey UNIQUE (id)
			one_time_code_purpose_subject_uidx UNIQUE (purpose, subject)
			one_time_code_expires_at_idx (expires_at)`,
	},
	{
		name: "attempt_count",
		added: `
			id attempt_count_id (text) NOT NULL DEFAULT (gen_random_uuid())::text
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			purpose stored_purpose (text) NOT NULL
			subject stored_token_digest (text) NOT NULL
			attempts bigint NOT NULL
			resets_at timestamp with time zone NOT NULL`,
		indexes: `
			attempt_count_pkey UNIQUE (id)
			attempt_count_purpose_subject_uidx UNIQUE (purpose, subject)
			attempt_count_resets_at_idx (resets_at)`,
	},
	{
		name: "passkey",
		added: `
			id stored_passkey_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			user_id user_id (text) NOT NULL
			name short_text (text)
			public_key short_text (text) NOT NULL
			sign_count stored_sign_count (bigint)
			transports text_list (text[])
			aaguid short_text (text)
			backup_eligible boolean NOT NULL DEFAULT false
			backed_up boolean NOT NULL DEFAULT false
			last_used_at timestamp with time zone`,
		indexes: `
			passkey_pkey UNIQUE (id)
			passkey_user_id_idx (user_id)`,
		foreign: `passkey_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
	},
	{
		name: "totp",
		added: `
			id stored_totp_id (text) NOT NULL
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			user_id user_id (text) NOT NULL
			name short_text (text)
			secret short_text (text) NOT NULL
			algorithm totp_algorithm (text) NOT NULL DEFAULT 'SHA1'::text
			digits totp_digits (integer) NOT NULL DEFAULT 6
			period totp_period (integer) NOT NULL DEFAULT 30
			last_step bigint
			last_used_at timestamp with time zone`,
		indexes: `
			totp_pkey UNIQUE (id)
			totp_user_id_idx (user_id)`,
		foreign: `totp_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
	},
	{
		name: "recovery_code",
		added: `
			id recovery_code_id (text) NOT NULL DEFAULT (gen_random_uuid())::text
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			user_id user_id (text) NOT NULL
			digest stored_token_digest (text) NOT NULL
			used_at timestamp with time zone`,
		indexes: `
			recovery_code_pkey UNIQUE (id)
			recovery_code_user_digest_uidx UNIQUE (user_id, digest)`,
		foreign: `recovery_code_user_id_fkey (user_id) "user"(id) ON DELETE CASCADE`,
	},
	{
		name: "security_event", // outlives what it is about, so it has no foreign key
		added: `
			id bigint NOT NULL GENERATED
			created_at timestamp with time zone NOT NULL DEFAULT now()
			updated_at timestamp with time zone NOT NULL DEFAULT now()
			call text NOT NULL
			outcome outcome NOT NULL
			reason text
			user_id user_id (text)
			client_id client_id (text)
			session_id session_id (text)
			authorization_id authorization_id (text)
			item_id text
			ip_address short_text (text)`,
		indexes: `
			security_event_pkey UNIQUE (id)
			security_event_user_id_idx (user_id, id) WHERE (user_id IS NOT NULL)
			security_event_client_id_idx (client_id, id) WHERE (client_id IS NOT NULL)`,
	},
}

// schemaDomains are the domains, what each is over, and the name of its constraint. What is passed as a parameter has none.
const schemaDomains = `
	user_id text
	session_id text
	account_id text
	verification_id text
	reference_id text
	token_digest text
	stored_user_id user_id user_id_length
	stored_session_id session_id session_id_length
	stored_account_id account_id account_id_length
	stored_verification_id verification_id verification_id_length
	stored_reference_id reference_id reference_id_length
	stored_token_digest token_digest token_digest_is_digest
	stored_assertion_id token_digest assertion_id_is_digest
	session_cookie token_digest session_token_length
	email_address text user_email_is_address
	short_text text short_text_length
	provider_text text provider_text_length
	text_list text[] text_list_is_flat
	finite_timestamptz timestamp with time zone timestamptz_is_finite
	client_lifetime interval client_lifetime_is_positive
	client_grace interval client_grace_is_not_negative
	poll_interval interval poll_interval_is_positive
	stored_object jsonb object_is_small
	stored_array jsonb array_is_small
	oauth_client_id text
	client_id text
	client_secret_id text
	initial_access_token_id text
	stored_initial_access_token_id initial_access_token_id initial_access_token_id_length
	stored_oauth_client_id oauth_client_id oauth_client_id_length
	stored_client_id client_id oauth_client_client_id_is_vschar
	authorization_id text
	access_token_id text
	refresh_token_id text
	token_confirmation jsonb
	stored_authorization_id authorization_id authorization_id_length
	stored_access_token_id access_token_id access_token_id_length
	stored_refresh_token_id refresh_token_id refresh_token_id_length
	stored_confirmation token_confirmation confirmation_names_a_key
	code_challenge_method text code_challenge_method_known
	consent_id text
	session_client_id text
	stored_consent_id consent_id consent_id_length
	jwk_id text
	stored_jwk_id jwk_id jwks_id_length
	pairwise_subject_id text
	subject text
	stored_subject subject subject_is_printable
	stored_sector text sector_length
	one_time_code_id text
	attempt_count_id text
	stored_purpose text purpose_length
	passkey_id text
	totp_id text
	recovery_code_id text
	digest_list text[]
	stored_passkey_id passkey_id passkey_id_is_base64url
	stored_totp_id totp_id totp_id_length
	stored_sign_count bigint sign_count_in_range
	totp_digits integer totp_digits_in_range
	totp_period integer totp_period_in_range
	totp_algorithm text totp_algorithm_known
	trusted_issuer_id text
	stored_trusted_issuer_id trusted_issuer_id trusted_issuer_id_length
	stored_issuer text issuer_length
	assertion_lifetime interval assertion_lifetime_is_positive`

// schemaEnums are the outcomes and the other closed sets, with their members in order.
const schemaEnums = `
	oauth_client_field skip_consent enable_end_session scopes user_id name uri icon contacts tos policy software_id software_version software_statement post_logout_redirect_uris token_endpoint_auth_method grant_types response_types public type reference_id metadata subject_type require_pkce jwks jwks_uri application_type access_token_lifetime refresh_token_lifetime authorization_lifetime code_lifetime refresh_grace refresh_grace_until_used backchannel_logout_uri backchannel_logout_session_required allow_plain_pkce default_max_age require_pushed_authorization_requests dpop_bound_access_tokens tls_client_certificate_bound_access_tokens tls_client_auth_subject_dn tls_client_auth_san_dns tls_client_auth_san_uri tls_client_auth_san_ip tls_client_auth_san_email resources authorization_details_types
	authorization_status pending approved denied
	authorization_kind code device ciba assertion direct foreign
	revocation_reason code_replayed refresh_token_reused token_revoked authorization_revoked session_ended grants_ended expired
	token_kind access_token refresh_token
	outcome created approved denied issued granted redeemed rotated updated extended withdrawn ended reinstated enabled deleted authenticated remembered active retried unauthenticated unknown expired revoked replayed proof_replayed mismatched disabled suspended signed_out unauthorized_client invalid_scope invalid_target decided undecided unsupported_token_type too_far inactive last redirect_uri_mismatched unsupported_response_type invalid_authorization_details pkce_required pkce_method_refused request_must_be_pushed authorization_pending slow_down taken claimed exchanged registered exhausted accepted inserted changed fresh stale replaced delivered postponed abandoned superseded counted spent regressed untrusted too_many_actors invalid_redirect_uri invalid_client_metadata`

// schemaFunctions are the rules that several statements share, and what triggers do.
const schemaFunctions = `
	access_token_is_live(oauth_access_token,oauth_authorization,oauth_client,"user",session)
	add_actor(jsonb,text)
	agreed_resource_scopes(oauth_consent)
	agreed_scopes(oauth_consent)
	answer_redeemed_code(oauth_authorization,text,refresh_token_id,token_digest,access_token_id,token_digest,boolean,timestamp with time zone,text[],jsonb)
	answer_spent_refresh_token(refresh_token_id,outcome,boolean,text,oauth_client,interval,boolean,refresh_token_id,access_token_id,token_digest,boolean,interval,timestamp with time zone,jsonb,jsonb,jsonb,token_answer)
	as_set(text[])
	asked_or_granted(text[],text[])
	assertion_ends_at(bigint,interval)
	authenticates(oauth_client,text,token_digest)
	beyond(text[],text[])
	binds_as_registered(oauth_client,jsonb)
	client_is_used(text,timestamp with time zone)
	client_key(text)
	common_host(text[])
	consent_counts(oauth_consent,"user")
	consent_gaps(oauth_consent,text[],text[])
	consent_goes_on(oauth_consent,oauth_consent)
	consent_holds(oauth_consent,oauth_client,"user")
	count_attempt(text,text,integer,interval,boolean)
	deadline(interval,interval,text)
	delete_account(text,text)
	delete_client(text,boolean,text)
	delete_recovery_codes(text)
	details_as_set(jsonb)
	details_of_types(jsonb,text[])
	details_within(jsonb,jsonb,text[])
	disable_client_of_deleted_user()
	disable_owned_clients(text)
	document_changes(oauth_client,oauth_client)
	end_pair(jsonb,text,text)
	end_replayed_family(authorization_id)
	end_sessions(text[])
	end_user_sessions(text,text)
	expiry(timestamp with time zone,interval,interval,text)
	expiry_without_row(timestamp with time zone,text)
	family_expiry(timestamp with time zone,interval,interval,boolean)
	find_grant_by_assertion(text)
	find_issued_access_token(access_token_id,client_id,token_digest,access_token_id,text)
	gets_refresh_token(oauth_client,text[],boolean)
	give_family()
	give_subject(text,text)
	granter_refusal(text,"user",text,session)
	has_logout_uri(oauth_client)
	is_ended(oauth_authorization,oauth_client,"user",session)
	is_in_force(oauth_authorization)
	is_live(oauth_authorization,oauth_client,"user",session)
	is_older_secret(text,text)
	is_pairwise(oauth_client)
	is_public(oauth_client)
	is_redirect_uri(text)
	is_shown(text)
	is_within(text[],text[])
	judge_again(oauth_client,oauth_authorization,text[],text[],text[])
	judge_asked(oauth_client,text[],text[],text[],text[],jsonb,text[])
	judge_assertion(text,timestamp with time zone,text,text,text,text)
	judge_assertion_time(bigint,interval,interval,interval)
	judge_client_document(client_id,timestamp with time zone,outcome)
	judge_logout_lease(text,text)
	judge_narrowed(oauth_client,text[],text[],text[],text[],text[],text[],jsonb,jsonb,text[])
	judge_redeemed_request(authorization_id,access_token_id,interval,boolean)
	judge_registration(text[],text[],text[],text,jsonb,text,integer,text[])
	judge_registration_update(oauth_client,client_id,token_digest,token_digest,outcome,boolean,text,text,text[],text[])
	judge_repeated_grant(authorization_id,client_id,user_id,text[],text[],jsonb,access_token_id,token_digest,refresh_token_id,token_digest)
	judge_request(oauth_client,text,text,text,text,boolean,text[],text[],text[],text[],jsonb,text[])
	keep_finite()
	keep_sector()
	keep_subject(text,text,subject)
	kept_within(text[],text[])
	key_fits(jsonb,jsonb)
	known_subject(text,text)
	leaves_sector(oauth_client,text,text,text[],text[])
	live_session(text)
	lock_live_access_token(text)
	lock_parents(text,text,text)
	long_list_is_within(text[],text[])
	make_room_for_session(text,integer,text)
	manages(oauth_client,token_digest,token_digest)
	may_decide(oauth_authorization,text)
	may_introspect(oauth_client,text,token_digest)
	may_present(oauth_client,oauth_access_token,text[])
	may_use_key(oauth_client,text)
	merge_authorization_details(jsonb,jsonb)
	merge_resource_scopes(jsonb,jsonb)
	missing_authorization_details(jsonb,jsonb)
	narrow_renewed(oauth_client,oauth_refresh_token,text[],text[],text[],text[],jsonb,text[])
	new_authorization_id()
	newest_signing_key(text,interval)
	noted(outcome,text,text,text,text,text,text,text,text)
	own_client_is_live(oauth_access_token)
	own_sector(text)
	pair_epoch(jsonb,text,text)
	proof_is_fresh(text,timestamp with time zone)
	proves_host(text[])
	raise_epochs()
	read_again(authorization_id,user_id,session_id)
	refresh_token_is_live(oauth_refresh_token,oauth_authorization,oauth_client,"user",session)
	refuse_dead_rotation()
	refuse_parameter(text,text)
	registered_before(client_id,oauth_client_id,token_digest,token_digest)
	replace_recovery_codes(text,text[])
	resolve_redirect_uri(text,text[])
	return_initial_access_token(token_digest,client_id,oauth_client_id,token_digest,token_digest)
	scopes_at(text[],text[])
	sector_of(oauth_client)
	session_goes_on(session,"user")
	session_is_live(session,"user")
	settled(outcome)
	settled_of_user(text,outcome)
	slow_down(authorization_id)
	spend_initial_access_token(token_digest,boolean,outcome,client_id,oauth_client_id,token_digest,token_digest)
	stamp_consent()
	stamp_session()
	stated_sector(text,text,text,text[])
	store_client_secret(oauth_client_id,token_digest,timestamp with time zone)
	subject_of(oauth_client,text,text)
	tenant_key(text)
	times_ended(jsonb,text,text)
	user_refusal("user")
	uses_grant_type(oauth_client,text)
	was_granted_by(token_digest,access_token_id)
	was_issued_to(access_token_id,client_id,access_token_id)
	was_rotated_into(refresh_token_id,refresh_token_id)
	written_expiry(boolean,access_token_id,client_id,text,boolean,timestamp with time zone)
`

// specLines are the lines of a part of a spec.
func specLines(parts ...string) []string {
	var lines []string
	for _, part := range parts {
		for line := range strings.Lines(part) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// firstWords are the names that the lines of a spec begin with.
func firstWords(lines []string) []string {
	names := make([]string, 0, len(lines))
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return names
}

// catalogRules are what is read off the catalog.
var catalogRules = []struct {
	name  string
	holds func(*testing.T, *pgxpool.Pool)
}{
	{"the schema is the one of the design", schemaIsTheOneOfTheDesign},
	{"the primary key is the id", primaryKeyIsTheID},
	{"every foreign key is indexed", everyForeignKeyIsIndexed},
	{"foreign keys state on delete and leave on update", foreignKeysStateOnDeleteAndLeaveOnUpdate},
	{"tokens and consents refer to the public client_id", tokensAndConsentsReferToThePublicClientID},
	{"every constraint and index is named", everyConstraintAndIndexIsNamed},
	{"everything is commented", everythingIsCommented},
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	pool := fixture.NewPool(t, 1)
	for _, rule := range catalogRules {
		t.Run(rule.name, func(t *testing.T) { rule.holds(t, pool) })
	}
}

func schemaIsTheOneOfTheDesign(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()

	var names []string
	for _, spec := range schemaTables {
		names = append(names, spec.name)
	}
	slices.Sort(names)
	if want := slices.Sorted(slices.Values(fixture.Tables)); !slices.Equal(names, want) {
		t.Errorf("the tests know the tables %v, the design %v", want, names)
	}
	fixture.SameLines(t, "relations", append(names, "oauthdb_version", "token_answer"), fixture.CatalogLines(t, pool, `
		SELECT c.relname::text
		FROM pg_class AS c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind NOT IN ('i', 'S', 't') AND c.relpersistence = 'p'`))

	for _, spec := range schemaTables {
		relation := pgx.Identifier{spec.name}.Sanitize()
		fixture.SameLines(t, spec.name+" columns", specLines(spec.core, spec.added), fixture.CatalogLines(t, pool, `
			SELECT concat_ws(' ', a.attname::text, format_type(a.atttypid, a.atttypmod),
				(
					WITH RECURSIVE base AS (
						SELECT t.typbasetype AS oid WHERE t.typtype = 'd'
						UNION ALL
						SELECT d.typbasetype FROM base AS b JOIN pg_type AS d ON d.oid = b.oid WHERE d.typtype = 'd'
					)
					SELECT '(' || format_type(b.oid, NULL) || ')' FROM base AS b JOIN pg_type AS d ON d.oid = b.oid WHERE d.typtype <> 'd'
				),
				CASE WHEN a.attnotnull THEN 'NOT NULL' END,
				CASE WHEN a.attidentity <> '' OR a.attgenerated <> '' THEN 'GENERATED' END,
				CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || a.attcollation::regcollation END,
				'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid))
			FROM pg_attribute AS a
			JOIN pg_type AS t ON t.oid = a.atttypid
			LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
			WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
			ORDER BY a.attnum`, relation))
		fixture.SameLines(t, spec.name+" indexes", specLines(spec.indexes), fixture.CatalogLines(t, pool, `
			SELECT concat_ws(' ', c.relname::text, CASE WHEN i.indisunique THEN 'UNIQUE' END,
				CASE WHEN NOT i.indisvalid THEN 'INVALID' END, CASE WHEN NOT i.indimmediate THEN 'DEFERRABLE' END,
				regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX \S+ ON \S+ USING btree ', ''))
			FROM pg_index AS i
			JOIN pg_class AS c ON c.oid = i.indexrelid
			WHERE i.indrelid = $1::text::regclass`, relation))
		fixture.SameLines(t, spec.name+" foreign keys", specLines(spec.foreign), fixture.CatalogLines(t, pool, `
			SELECT c.conname || ' ' || regexp_replace(pg_get_constraintdef(c.oid), '^FOREIGN KEY (.*) REFERENCES (.*)$', '\1 \2')
			FROM pg_constraint AS c
			WHERE c.conrelid = $1::text::regclass AND c.contype = 'f'`, relation))
		fixture.SameLines(t, spec.name+" checks", strings.Fields(spec.checks), fixture.CatalogLines(t, pool, `
			SELECT c.conname || CASE WHEN c.convalidated THEN '' ELSE ' NOT VALID' END
			FROM pg_constraint AS c
			WHERE c.conrelid = $1::text::regclass AND c.contype = 'c'`, relation))
		fixture.SameLines(t, spec.name+" triggers", strings.Fields(spec.triggers), fixture.CatalogLines(t, pool, `
			SELECT g.tgname || CASE g.tgenabled WHEN 'O' THEN '' ELSE ' not enabled' END
			FROM pg_trigger AS g
			WHERE g.tgrelid = $1::text::regclass AND NOT g.tgisinternal`, relation))
	}

	fixture.SameLines(t, "domains", specLines(schemaDomains), fixture.CatalogLines(t, pool, `
		SELECT concat_ws(' ', t.typname::text, format_type(t.typbasetype, t.typtypmod),
			CASE WHEN t.typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || t.typdefault,
			(SELECT string_agg(c.conname, ' ') FROM pg_constraint AS c WHERE c.contypid = t.oid AND c.contype <> 'n'))
		FROM pg_type AS t
		WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'd'`))
	fixture.SameLines(t, "enums", specLines(schemaEnums), fixture.CatalogLines(t, pool, `
		SELECT t.typname || ' ' || string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder)
		FROM pg_type AS t
		JOIN pg_enum AS e ON e.enumtypid = t.oid
		WHERE t.typnamespace = 'public'::regnamespace
		GROUP BY t.typname`))
	fixture.SameLines(t, "functions", specLines(schemaFunctions), fixture.CatalogLines(t, pool, `
		SELECT p.oid::regprocedure::text
		FROM pg_proc AS p
		WHERE p.pronamespace = 'public'::regnamespace`))
	fixture.SameLines(t, "rules and policies", nil, fixture.CatalogLines(t, pool, `
		SELECT r.rulename::text FROM pg_rules AS r WHERE r.schemaname = 'public'
		UNION ALL
		SELECT p.policyname::text FROM pg_policies AS p`))
}

func primaryKeyIsTheID(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	keys := fixture.CatalogLines(t, pool, `
		SELECT c.conrelid::regclass::text || ' ' || pg_get_constraintdef(c.oid)
		FROM pg_constraint AS c
		WHERE c.connamespace = 'public'::regnamespace AND c.contype = 'p' AND c.conrelid <> 'oauthdb_version'::regclass`)
	var want []string
	for _, table := range fixture.Tables {
		want = append(want, strings.Replace(table, "user", `"user"`, 1)+" PRIMARY KEY (id)")
	}
	fixture.SameLines(t, "primary keys", want, keys)
}

func everyForeignKeyIsIndexed(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, key := range fixture.CatalogLines(t, pool, `
		SELECT c.conname::text
		FROM pg_constraint AS c
		WHERE c.contype = 'f' AND NOT EXISTS (
			SELECT
			FROM pg_index AS i
			WHERE i.indrelid = c.conrelid
				AND i.indisvalid
				AND i.indpred IS NULL
				AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey
		)`) {
		t.Errorf("foreign key %s has no index: a delete of what it refers to would scan the table", key)
	}
}

func foreignKeysStateOnDeleteAndLeaveOnUpdate(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, key := range fixture.CatalogLines(t, pool, `
		SELECT c.conname || ': ' || pg_get_constraintdef(c.oid)
		FROM pg_constraint AS c
		WHERE c.contype = 'f'
			AND (c.confdeltype NOT IN ('c', 'n') OR c.confupdtype <> 'a' OR c.condeferrable OR NOT c.convalidated)`) {
		t.Error(key)
	}
}

func tokensAndConsentsReferToThePublicClientID(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	fixture.SameLines(t, "references to oauth_client", []string{
		"oauth_authorization.client_id client_id",
		"oauth_access_token.client_id client_id",
		"oauth_client_resource.client_id client_id",
		"oauth_refresh_token.client_id client_id",
		"oauth_consent.client_id client_id",
		"oauth_client_secret.client_id client_id",
		"session_client.client_id client_id",
	}, fixture.CatalogLines(t, pool, `
		SELECT c.conrelid::regclass || '.' || a.attname || ' ' || r.attname
		FROM pg_constraint AS c
		JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
		JOIN pg_attribute AS r ON r.attrelid = c.confrelid AND r.attnum = ANY (c.confkey)
		WHERE c.contype = 'f' AND c.confrelid = 'oauth_client'::regclass`))
}

// generatedName matches what the server calls what nobody has named, where it differs from what we would call it: a
// foreign key on one column or a primary key is called the same by both.
var generatedName = regexp.MustCompile(`(_key|_check|_excl|_not_null|_(idx|fkey|pkey|uidx))\d+$|(_key|_check|_excl|_not_null)$`)

func everyConstraintAndIndexIsNamed(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var known []string
	for _, spec := range schemaTables {
		known = slices.Concat(known, firstWords(specLines(spec.indexes, spec.foreign)), strings.Fields(spec.checks))
	}
	var ofDomains []string
	for _, line := range specLines(schemaDomains) { // the server would make up stored_user_id_check
		if words := strings.Fields(line); len(words) > 2 {
			ofDomains = append(ofDomains, words[len(words)-1])
		}
	}
	// Since PostgreSQL 18 NOT NULL is a constraint with a name of its own; a violation of it tells the column.
	got := fixture.CatalogLines(t, pool, `
		SELECT c.conname::text
		FROM pg_constraint AS c
		WHERE c.connamespace = 'public'::regnamespace AND c.contype <> 'n' AND c.conrelid <> 'oauthdb_version'::regclass
		UNION
		SELECT c.relname::text
		FROM pg_index AS i
		JOIN pg_class AS c ON c.oid = i.indexrelid
		WHERE c.relnamespace = 'public'::regnamespace AND i.indrelid <> 'oauthdb_version'::regclass`)
	fixture.SameLines(t, "names", slices.Concat(known, ofDomains), got)
	for _, name := range got {
		if generatedName.MatchString(name) && !slices.Contains(ofDomains, name) {
			t.Errorf("%s is the name that the server makes up", name)
		}
		if len(name) > 63 {
			t.Errorf("%s is longer than names can be", name)
		}
		if !slices.Contains(ofDomains, name) && !slices.ContainsFunc(fixture.Tables, func(table string) bool { return strings.HasPrefix(name, table+"_") }) {
			t.Errorf("%s does not begin with the name of its table", name)
		}
	}
	for _, name := range []string{"user_email_key", "session_check", "session_check1", "account_user_id_idx1", "jwks_id_fkey2", "x_not_null"} {
		if !generatedName.MatchString(name) {
			t.Errorf("the rule lets %s pass", name)
		}
	}
}

// Whoever meets the schema in psql finds there what each part of it is for.
func everythingIsCommented(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, line := range fixture.CatalogLines(t, pool, `
		SELECT 'table ' || c.relname FROM pg_class AS c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'oauthdb_version'
			AND obj_description(c.oid, 'pg_class') IS NULL
		UNION ALL
		SELECT 'type ' || t.typname FROM pg_type AS t
		WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('d', 'e') AND obj_description(t.oid, 'pg_type') IS NULL
		UNION ALL
		SELECT 'function ' || p.proname FROM pg_proc AS p
		WHERE p.pronamespace = 'public'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL`) {
		t.Errorf("%s has no comment", line)
	}
}

// foreignInserts are rows as a server on the same tables writes them that has never heard of oauthdb: by name, every core
// column and no other. They refer to one another in this order.
var foreignInserts = []struct{ table, columns, values string }{
	{
		"user", "id, created_at, updated_at, name, email, email_verified, image",
		"'Q2x1Ym', now(), now(), 'Ada', 'ada@example.com', true, 'https://example.com/ada.png'",
	},
	{
		"session", "id, created_at, updated_at, expires_at, token, ip_address, user_agent, user_id",
		"'s1', now(), now(), now() + interval '7 days', 'mXp0Jb9nqhDmYF0RrNQzUoT2ZbXkqVfC', '192.0.2.7', 'Mozilla/5.0', 'Q2x1Ym'",
	},
	{
		"account", `id, created_at, updated_at, account_id, provider_id, user_id, access_token, refresh_token, id_token,
			access_token_expires_at, refresh_token_expires_at, scope, password`,
		"'a1', now(), now(), '1234', 'github', 'Q2x1Ym', 'at', 'rt', 'it', now(), now(), 'read:user', NULL",
	},
	{
		"verification", "id, created_at, updated_at, identifier, value, expires_at",
		"'v1', now(), now(), 'qGf3', '{\"type\": \"authorization_code\"}', now() + interval '10 minutes'",
	},
	{
		"device_code", `id, created_at, updated_at, device_code, user_code, user_id, expires_at, status, last_polled_at, polling_interval, client_id,
			scope, oauth_client_id, resources`,
		"'d1', now(), now(), 'ZGV2aWNl', 'WDJBMJHT', NULL, now() + interval '30 minutes', 'pending', NULL, 5000, 'tv', 'openid', 'tv', '{https://api.example}'",
	},
	{
		"oauth_client", `id, created_at, updated_at, client_id, client_secret, disabled, skip_consent, enable_end_session, scopes,
			user_id, name, uri, icon, contacts, tos, policy, software_id, software_version, software_statement, redirect_uris,
			post_logout_redirect_uris, token_endpoint_auth_method, grant_types, response_types, public, type, reference_id, metadata`,
		`'c1', now(), now(), 'KdWqFpYbTnZr', 'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg', false, false, true, '{openid,email}',
			'Q2x1Ym', 'Shop', 'https://shop.example', 'https://shop.example/i.png', '{ops@shop.example}', 'https://shop.example/tos',
			'https://shop.example/privacy', 'shop', '1.2', 'eyJ', '{https://shop.example/cb}', '{https://shop.example/bye}',
			'client_secret_basic', '{authorization_code,refresh_token}', '{code}', false, 'web', 'org1', '{"a": [1, null]}'`,
	},
	{
		"oauth_refresh_token", "id, created_at, updated_at, token, client_id, session_id, user_id, reference_id, expires_at, revoked, scopes",
		`'r1', now(), now(), 'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg', 'KdWqFpYbTnZr', 's1', 'Q2x1Ym', 'org1', now() + interval '30 days',
			now(), '{openid,offline_access}'`,
	},
	{
		"oauth_access_token", "id, created_at, updated_at, token, client_id, session_id, user_id, reference_id, refresh_id, expires_at, scopes",
		`'t1', now(), now(), 'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg', 'KdWqFpYbTnZr', 's1', 'Q2x1Ym', 'org1', 'r1',
			now() + interval '1 hour', '{openid}'`,
	},
	{
		"oauth_consent", "id, created_at, updated_at, client_id, user_id, reference_id, scopes",
		"'o1', now(), now(), 'KdWqFpYbTnZr', 'Q2x1Ym', 'org1', '{openid}'",
	},
	{
		"jwks", "id, created_at, updated_at, public_key, private_key, alg, crv, expires_at",
		"'k1', now(), now(), '{}', 'ciphertext', 'EdDSA', 'Ed25519', NULL",
	},
	{
		"oauth_client_assertion", "id, created_at, updated_at, expires_at",
		"'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is', now(), now(), now() + interval '5 minutes'",
	},
}

func TestServerThatKnowsOnlyTheCoreColumnsCanWrite(t *testing.T) {
	t.Parallel()
	pool := fixture.NewPool(t, 1)
	written := map[string]bool{}
	for _, in := range foreignInserts {
		i := slices.IndexFunc(schemaTables, func(spec tableSpec) bool { return spec.name == in.table })
		columns := strings.FieldsFunc(in.columns, func(r rune) bool { return strings.ContainsRune(", \n\t", r) })
		fixture.SameLines(t, in.table+" core columns", firstWords(specLines(schemaTables[i].core)), columns)
		if _, err := pool.Exec(t.Context(), fmt.Sprintf("INSERT INTO %q (%s) VALUES (%s)", in.table, in.columns, in.values)); err != nil {
			t.Errorf("%s: %v", in.table, err)
		}
		written[in.table] = true
	}
	for _, spec := range schemaTables {
		if spec.core != "" && !written[spec.name] {
			t.Errorf("no such server was tried on %s", spec.name)
		}
	}
}

// What has to be written is the same for everybody: whatever oauthdb added is nullable, has a default, or is set by a trigger.
func TestOnlyCoreColumnsAreRequired(t *testing.T) {
	t.Parallel()
	pool := fixture.NewPool(t, 1)
	minimal := map[string]map[string]string{
		"user":                   {"id": "'u'", "name": "''"},
		"session":                {"id": "'s'", "expires_at": "now()", "token": "'cookie'", "user_id": "'u'"},
		"account":                {"id": "'a'", "account_id": "'u'", "provider_id": "'credential'", "user_id": "'u'"},
		"oauth_client":           {"id": "'c'", "client_id": "'app'", "redirect_uris": "'{https://app.example}'"},
		"oauth_authorization":    {"id": "'z'", "client_id": "'app'", "scopes": "'{}'"},
		"oauth_refresh_token":    {"id": "'r'", "token": "'" + string(fixture.Digest("r")) + "'", "client_id": "'app'", "user_id": "'u'", "scopes": "'{}'"},
		"oauth_access_token":     {"id": "'t'", "client_id": "'app'", "scopes": "'{}'"},
		"oauth_consent":          {"id": "'n'", "client_id": "'app'", "scopes": "'{}'"},
		"verification":           {"id": "'v'", "identifier": "''", "value": "''", "expires_at": "now()"},
		"device_code":            {"device_code": "'d'", "user_code": "'u'", "status": "'pending'", "expires_at": "now()"},
		"oauth_client_secret":    {"client_id": "'app'", "digest": "'" + string(fixture.Digest("s")) + "'", "expires_at": "now()"},
		"oauth_resource":         {"identifier": "'https://api.example'", "name": "''"},
		"oauth_client_resource":  {"client_id": "'app'", "resource_id": "'https://api.example'"},
		"session_client":         {"session_id": "'s'", "client_id": "'app'", "user_id": "'u'", "sub": "'u'", "sid": "'s'"},
		"oauth_polled_request":   {"id": "'z'", "code": "'" + string(fixture.Digest("d")) + "'", "expires_at": "now()", "poll_interval": "'5 seconds'"},
		"oauth_proof":            {"id": "'" + string(fixture.Digest("p")) + "'", "expires_at": "now()"},
		"jwks":                   {"id": "'k'", "public_key": "''", "private_key": "'x'"},
		"oauth_trusted_issuer":   {"id": "'i'", "issuer": "'https://issuer.example'"},
		"one_time_code":          {"purpose": "'p'", "subject": "'" + string(fixture.Digest("u")) + "'", "digest": "'" + string(fixture.Digest("1")) + "'", "expires_at": "now()"},
		"attempt_count":          {"purpose": "'p'", "subject": "'" + string(fixture.Digest("u")) + "'", "attempts": "1", "resets_at": "now()"},
		"passkey":                {"id": "'y'", "user_id": "'u'", "public_key": "''"},
		"totp":                   {"id": "'q'", "user_id": "'u'", "secret": "''"},
		"recovery_code":          {"user_id": "'u'", "digest": "'" + string(fixture.Digest("c")) + "'"},
		"oauth_client_assertion": {"id": "'" + string(fixture.Digest("j")) + "'", "expires_at": "now()"},
		"oauth_pairwise_subject": {"sector": "'a.example'", "user_id": "'u'", "subject": "'s'"},

		"security_event":             {"call": "'EndSession'", "outcome": "'ended'"},
		"oauth_initial_access_token": {"id": "'i'", "token": "'" + string(fixture.Digest("i")) + "'", "max_uses": "1"},
	}
	byTrigger := []string{"oauth_refresh_token.authorization_id"}
	for _, spec := range schemaTables {
		columns := slices.Sorted(maps.Keys(minimal[spec.name]))
		var required []string
		for _, line := range specLines(spec.core, spec.added) {
			if isRequired(line) && !slices.Contains(byTrigger, spec.name+"."+firstWords([]string{line})[0]) {
				required = append(required, line)
			}
		}
		fixture.SameLines(t, spec.name+" required columns", firstWords(required), columns)
		values := make([]string, 0, len(columns))
		for _, c := range columns {
			values = append(values, minimal[spec.name][c])
		}
		var createdAt, updatedAt time.Time
		err := pool.QueryRow(t.Context(), fmt.Sprintf("INSERT INTO %q (%s) VALUES (%s) RETURNING created_at, updated_at",
			spec.name, strings.Join(columns, ", "), strings.Join(values, ", "))).Scan(&createdAt, &updatedAt)
		if err != nil {
			t.Errorf("%s: %v", spec.name, err)
		} else if age := time.Since(createdAt); age < -time.Minute || age > time.Minute || !updatedAt.Equal(createdAt) {
			t.Errorf("%s: created_at is %v and updated_at %v, want now", spec.name, createdAt, updatedAt)
		}
		for _, line := range specLines(spec.added) {
			if spec.core != "" && isRequired(line) && !slices.Contains(byTrigger, spec.name+"."+firstWords([]string{line})[0]) {
				t.Errorf("%s: %s: oauthdb added it, so it needs a default", spec.name, line)
			}
		}
	}
}

// isRequired says whether a column has to be written.
func isRequired(line string) bool {
	return strings.Contains(line, "NOT NULL") && !strings.Contains(line, "DEFAULT") && !strings.HasSuffix(line, "GENERATED")
}

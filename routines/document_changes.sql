CREATE OR REPLACE FUNCTION document_changes(stored oauth_client, fetched oauth_client) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
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

COMMENT ON FUNCTION document_changes(oauth_client, oauth_client) IS 'Part of PutClientDocument: the columns that a metadata document fills and that differ between two rows.';

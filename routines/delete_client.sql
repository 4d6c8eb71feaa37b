CREATE OR REPLACE FUNCTION delete_client(of_client text, is_managed boolean, manager text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
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

COMMENT ON FUNCTION delete_client(text, boolean, text) IS 'Deletes a client: it is disabled, everything that was granted to it is dead, and its secrets and personal data are blanked. If is_managed, only for the client''s present registration access token. Returns whether it did.';

CREATE OR REPLACE FUNCTION may_present(o oauth_client, t oauth_access_token, resources text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(t.client_id = o.client_id OR (NOT is_public(o) AND t.resources && (resources || o.client_id::text)), false);

COMMENT ON FUNCTION may_present(oauth_client, oauth_access_token, text[]) IS 'Whether a client may exchange an access token (RFC 8693, section 2.1): one that was issued to it or, if it is confidential, one whose audience has its client_id or one of the resources, which are those that it serves. Never NULL.';

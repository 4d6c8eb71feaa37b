CREATE OR REPLACE FUNCTION agreed_resource_scopes(g oauth_consent) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN merge_resource_scopes(g.resource_scopes, scopes_at(g.resources, g.scopes));

COMMENT ON FUNCTION agreed_resource_scopes(oauth_consent) IS 'The scopes that a user has agreed to at each resource, as resource_scopes has them, with those of a better-auth server, which apply to the resources that it names.';

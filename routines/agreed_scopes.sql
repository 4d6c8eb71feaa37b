CREATE OR REPLACE FUNCTION agreed_scopes(g oauth_consent) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cardinality(g.resources) > 0 THEN '{}' ELSE g.scopes END;

COMMENT ON FUNCTION agreed_scopes(oauth_consent) IS 'The scopes that a user has agreed to without a resource. Those of a better-auth server that names resources apply to these.';

CREATE OR REPLACE FUNCTION is_shown(field text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN field = ANY (ARRAY['redirect_uris', 'scopes', 'name', 'uri', 'icon', 'tos', 'policy']);

COMMENT ON FUNCTION is_shown(text) IS 'Whether users see a column of a client when they are asked for consent.';

CREATE OR REPLACE FUNCTION is_pairwise(c oauth_client) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN c.subject_type <> 'public';

COMMENT ON FUNCTION is_pairwise(oauth_client) IS 'Whether a client knows its users by pairwise subjects (OpenID Connect Core, section 8). A subject_type that is neither public nor NULL counts as pairwise. NULL without a subject_type.';

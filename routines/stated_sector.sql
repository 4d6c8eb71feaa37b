CREATE OR REPLACE FUNCTION stated_sector(of_client text, verified text, subject_type text, grant_types text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(verified, CASE WHEN subject_type <> 'public' AND NOT proves_host(grant_types) THEN own_sector(of_client) END);

COMMENT ON FUNCTION stated_sector(text, text, text, text[]) IS 'The sector of a client that registers itself: the one that the server has verified, or its own if it could claim a host without having it. NULL leaves it to keep_sector.';

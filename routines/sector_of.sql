CREATE OR REPLACE FUNCTION sector_of(c oauth_client) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN is_pairwise(c) THEN coalesce(c.sector_identifier, own_sector(c.client_id)) END;

COMMENT ON FUNCTION sector_of(oauth_client) IS 'The sector in which a client knows its users by pairwise subjects (OpenID Connect Core, section 8.1). NULL if it knows them by their ids.';

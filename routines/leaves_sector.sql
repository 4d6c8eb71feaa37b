CREATE OR REPLACE FUNCTION leaves_sector(c oauth_client, verified text, subject_type text, redirect_uris text[], grant_types text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    subject_type <> 'public'
    AND c.sector_identifier <> own_sector(c.client_id)
    AND c.sector_identifier IS DISTINCT FROM lower(verified COLLATE "C")
    AND NOT (common_host(redirect_uris) IS NOT DISTINCT FROM c.sector_identifier AND proves_host(grant_types))
    -- what the client has already, as an operator may have decided
    AND (
        c.subject_type <> 'public'
        AND coalesce(redirect_uris, '{}') <@ c.redirect_uris::text[]
        AND coalesce(grant_types, ARRAY['authorization_code']) <@ coalesce(c.grant_types::text[], ARRAY['authorization_code'])
    ) IS NOT TRUE,
    false
);

COMMENT ON FUNCTION leaves_sector(oauth_client, text, text, text[], text[]) IS 'Whether metadata that a client states about itself would take the pairwise subjects of its sector to where the sector is not. The sector was the host of its redirect URIs and is kept, so whoever registers with the host of another, and then moves away, would know users by that one''s subjects. verified is a sector that the server has verified for these metadata. Never NULL.';

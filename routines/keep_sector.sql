CREATE OR REPLACE FUNCTION keep_sector() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF OLD.sector_identifier IS NOT NULL THEN
        IF NEW.sector_identifier <> OLD.sector_identifier THEN
            PERFORM refuse_parameter('SectorIdentifier', 'can''t be changed, because all subjects of the client would change');
        END IF;
        NEW.sector_identifier := OLD.sector_identifier;
    ELSIF NEW.sector_identifier <> own_sector(NEW.client_id) THEN
        NEW.sector_identifier := lower(NEW.sector_identifier COLLATE "C"); -- a host name
    END IF;
    IF NEW.subject_type <> 'public' AND NEW.sector_identifier IS NULL THEN
        NEW.sector_identifier := coalesce(common_host(NEW.redirect_uris), own_sector(NEW.client_id));
    END IF;
    NEW.sector_identifier := NEW.sector_identifier::stored_sector; -- refused here rather than at the first grant
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_sector() IS 'Trigger: gives a client with pairwise subjects its sector, and keeps it. That is the host of its redirect URIs, if they have one in common that is no loopback address; else the client is a sector of its own. A later change of the redirect URIs changes no subject (OpenID Connect Core, sections 2 and 8.1).';

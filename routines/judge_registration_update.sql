CREATE OR REPLACE FUNCTION judge_registration_update(
    c oauth_client, of_client client_id, manager token_digest, successor token_digest, refused outcome, wants_secret boolean,
    verified text, subject_type text, redirect_uris text[], grant_types text[]
) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    verdict outcome;
BEGIN
    FOR look IN 1..2 LOOP
        verdict := CASE
            WHEN c.deleted_at IS NOT NULL OR NOT manages(c, manager, successor) THEN 'unauthenticated'
            WHEN c.disabled THEN 'disabled'
            WHEN refused IS NOT NULL THEN refused
            WHEN wants_secret AND c.client_secret IS NULL AND c.foreign_secret_hash IS NULL THEN 'invalid_client_metadata'
            WHEN leaves_sector(c, verified, subject_type, redirect_uris, grant_types) THEN 'invalid_client_metadata'
        END;
        EXIT WHEN verdict IS NOT NULL;
        -- nothing stood against it: the statement has waited for the row, and found another one
        SELECT x.* INTO c FROM oauth_client AS x WHERE x.client_id = of_client;
    END LOOP;
    RETURN coalesce(verdict, 'disabled'); -- it was when the statement got the row, and is not any more
END
$$;

COMMENT ON FUNCTION judge_registration_update(oauth_client, client_id, token_digest, token_digest, outcome, boolean, text, text, text[], text[]) IS 'Part of UpdateRegistration: why it changed nothing. c is the client as the statement saw it when it began; where nothing stands against that, it has waited, and the client is read again. refused is why the metadata is refused, or NULL; wants_secret says that the method needs a secret and the call brings none; the rest is as in leaves_sector. VOLATILE, so that it sees what was committed while the statement waited for the client.';

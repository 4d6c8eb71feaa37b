CREATE OR REPLACE FUNCTION judge_registration_update(of_client client_id, manager token_digest, successor token_digest, refused outcome) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    c oauth_client;
BEGIN
    SELECT x.* INTO c FROM oauth_client AS x WHERE x.client_id = of_client AND x.deleted_at IS NULL;
    RETURN CASE
        WHEN NOT manages(c, manager, successor) THEN 'unauthenticated'
        WHEN c.disabled THEN 'disabled'
        ELSE coalesce(refused, 'invalid_client_metadata')
    END;
END
$$;

COMMENT ON FUNCTION judge_registration_update(client_id, token_digest, token_digest, outcome) IS 'Part of UpdateRegistration: why it changed nothing. refused is why the metadata is refused; if that is NULL, a secret is missing. VOLATILE, so it sees what was committed while the statement waited for the client.';

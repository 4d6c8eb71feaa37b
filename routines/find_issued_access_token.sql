CREATE OR REPLACE FUNCTION find_issued_access_token(
    of_token access_token_id, issued_to client_id, presented_as token_digest, exchanged_for access_token_id, name text,
    OUT authorization_id authorization_id, OUT expires_at timestamptz, OUT scopes text[], OUT resources text[], OUT authorization_details jsonb, OUT act jsonb
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    t oauth_access_token;
BEGIN
    SELECT x.* INTO t FROM oauth_access_token AS x WHERE x.id = of_token;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM oauth_access_token AS x WHERE x.token = presented_as) THEN
            PERFORM refuse_parameter('AccessToken', 'is that of another token');
        END IF;
        RETURN;
    END IF;
    IF t.client_id IS DISTINCT FROM issued_to OR t.token IS DISTINCT FROM presented_as OR t.subject_token_id IS DISTINCT FROM exchanged_for THEN
        PERFORM refuse_parameter(name, 'is that of another token');
    END IF;
    authorization_id := t.authorization_id;
    expires_at := t.expires_at;
    scopes := t.scopes;
    resources := t.resources;
    authorization_details := t.authorization_details;
    act := t.act;
END
$$;

COMMENT ON FUNCTION find_issued_access_token(access_token_id, client_id, token_digest, access_token_id, text) IS 'Part of the calls that issue access tokens: what the same call issued before; NULLs if it has been collected. The id or digest of another token is an error that names the parameter. VOLATILE, so that it sees what was committed while the statement waited for the id.';

CREATE OR REPLACE FUNCTION find_grant_by_assertion(
    assertion text,
    OUT authorization_id authorization_id, OUT expires_at timestamptz, OUT scopes text[], OUT resources text[]
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT a.id, a.max_expires_at, a.granted_scopes, a.resources INTO authorization_id, expires_at, scopes, resources
    FROM oauth_client_assertion AS g
    JOIN oauth_authorization AS a ON a.id = g.authorization_id
    WHERE g.id = assertion;
END
$$;

COMMENT ON FUNCTION find_grant_by_assertion(text) IS 'Part of IssueTokenByAssertion: what the same call granted before, if its access token has no row; NULLs if it has been collected. VOLATILE, so that it sees what was committed while the statement waited for the assertion.';

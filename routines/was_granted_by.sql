CREATE OR REPLACE FUNCTION was_granted_by(assertion token_digest, of_token access_token_id) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM oauth_client_assertion AS g WHERE g.id = assertion AND g.access_token_id = of_token);
END
$$;

COMMENT ON FUNCTION was_granted_by(token_digest, access_token_id) IS 'Part of IssueTokenByAssertion: whether a call whose proof is known is the same call again. VOLATILE, so that it sees what was committed while the statement waited for the proof.';

CREATE OR REPLACE FUNCTION was_issued_to(of_token access_token_id, issued_to client_id, exchanged_for access_token_id) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM oauth_access_token AS t
        WHERE t.id = of_token AND t.client_id = issued_to AND t.subject_token_id IS NOT DISTINCT FROM exchanged_for
          AND (exchanged_for IS NOT NULL OR t.user_id IS NULL)
    );
END
$$;

COMMENT ON FUNCTION was_issued_to(access_token_id, client_id, access_token_id) IS 'Part of IssueAccessToken and ExchangeToken: whether a call whose proof is known is the same call again. VOLATILE, so that it sees what was committed while the statement waited for the proof.';

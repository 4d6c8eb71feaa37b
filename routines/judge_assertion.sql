CREATE OR REPLACE FUNCTION judge_assertion(assertion text, until timestamptz, issued_as text, family text, of_client text, of_user text) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO oauth_client_assertion (id, expires_at, access_token_id, authorization_id)
    VALUES (coalesce(assertion, refuse_parameter('AssertionID', 'is missing')), until, issued_as, family)
    ON CONFLICT (id) DO NOTHING;
    RETURN CASE
        WHEN FOUND THEN 'issued'
        WHEN EXISTS (
            SELECT
            FROM oauth_client_assertion AS g
            LEFT JOIN oauth_authorization AS a ON a.id = g.authorization_id -- it may be collected
            WHERE g.id = assertion AND g.access_token_id = issued_as AND (a.client_id <> of_client OR a.user_id <> of_user) IS NOT TRUE
        ) THEN 'retried'
        ELSE 'proof_replayed'
    END;
END
$$;

COMMENT ON FUNCTION judge_assertion(text, timestamptz, text, text, text, text) IS 'Part of IssueTokenByAssertion: records that an assertion was presented (RFC 7523, section 3, item 7). issued if it is the first time, retried if the same access token was issued for it to the same client about the same user, proof_replayed otherwise. VOLATILE, so that it sees what was committed while the statement waited for the row.';

CREATE OR REPLACE FUNCTION judge_client_document(
    of_client client_id, fetched timestamptz, if_later outcome, OUT verdict outcome, OUT changes text[], OUT is_disabled boolean, OUT fresh_until timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    SELECT CASE
            WHEN c.deleted_at IS NOT NULL THEN 'revoked'
            WHEN c.document_fetched_at IS NULL THEN 'taken'
            WHEN c.document_fetched_at = fetched THEN 'retried'
            WHEN c.document_fetched_at < fetched THEN if_later
            ELSE 'stale'
        END, c.document_changes, c.disabled, c.document_fresh_until
    INTO verdict, changes, is_disabled, fresh_until
    FROM oauth_client AS c
    WHERE c.client_id = of_client;
END
$$;

COMMENT ON FUNCTION judge_client_document(client_id, timestamptz, outcome) IS 'Part of PutClientDocument and RefreshClientDocument: why one changed nothing. if_later is what a fetch was refused for that is the latest one. VOLATILE, so that it sees what was committed while the statement waited for the client.';

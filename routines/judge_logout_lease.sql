CREATE OR REPLACE FUNCTION judge_logout_lease(delivery text, presented text) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN coalesce(
        (
            SELECT CASE WHEN k.lease = presented THEN 'retried' ELSE 'superseded' END
            FROM session_client AS k
            WHERE k.id = delivery
        ),
        'unknown'
    );
END
$$;

COMMENT ON FUNCTION judge_logout_lease(text, text) IS 'Part of FinishLogoutDelivery: why a lease finished nothing. VOLATILE, so that it sees what was committed while the statement waited for the row.';

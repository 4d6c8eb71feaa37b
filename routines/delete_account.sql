CREATE OR REPLACE FUNCTION delete_account(owner text, of_account text) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    verdict outcome;
BEGIN
    PERFORM FROM account AS c WHERE c.user_id = owner ORDER BY c.id FOR UPDATE;
    SELECT CASE WHEN bool_or(c.id = of_account) IS NOT TRUE THEN 'unknown' WHEN count(*) = 1 THEN 'last' ELSE 'deleted' END INTO verdict
    FROM account AS c
    WHERE c.user_id = owner;
    IF verdict = 'deleted' THEN
        DELETE FROM account AS c WHERE c.id = of_account;
    END IF;
    RETURN verdict;
END
$$;

COMMENT ON FUNCTION delete_account(text, text) IS 'Part of DeleteAccount, which has locked the user: deletes an account unless it is the last one, and returns the verdict. VOLATILE, so that it sees the accounts that were created while the statement waited for the user or for one of them.';

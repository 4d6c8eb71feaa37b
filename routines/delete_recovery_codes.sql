CREATE OR REPLACE FUNCTION delete_recovery_codes(owner text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    codes bigint;
BEGIN
    DELETE FROM recovery_code AS c WHERE c.user_id = owner;
    GET DIAGNOSTICS codes = ROW_COUNT;
    RETURN codes;
END
$$;

COMMENT ON FUNCTION delete_recovery_codes(text) IS 'Part of the calls that delete all recovery codes of a user, which they have locked: the order in which this locks the codes doesn''t matter. VOLATILE, so that it sees the codes that were written while the statement waited for the user. Returns how many there were.';

CREATE OR REPLACE FUNCTION end_replayed_family(family authorization_id) RETURNS authorization_id
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE oauth_authorization AS a
    SET revoked_at = now(), revoked_reason = 'code_replayed', updated_at = now()
    WHERE a.id = family AND a.revoked_at IS NULL;
    RETURN family;
END
$$;

COMMENT ON FUNCTION end_replayed_family(authorization_id) IS 'Part of RedeemAuthorizationCode, which has locked the family: ends it, because its code was presented again. VOLATILE, so that it begins with the row as it was locked: a statement that changes a row which it has waited for and locked itself can meet another one in a deadlock (docs/locking.md).';

CREATE OR REPLACE FUNCTION replace_recovery_codes(owner text, digests text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    codes text[] := as_set(digests);
BEGIN
    IF codes = '{}' THEN
        PERFORM refuse_parameter('Digests', 'is missing');
    END IF;
    PERFORM delete_recovery_codes(owner);
    INSERT INTO recovery_code (user_id, digest) SELECT owner, d.digest FROM unnest(codes) AS d (digest);
    RETURN cardinality(codes);
END
$$;

COMMENT ON FUNCTION replace_recovery_codes(text, text[]) IS 'Part of ReplaceRecoveryCodes, which has locked the user: deletes the user''s codes, those included that another call has written meanwhile, and writes new ones. Returns how many.';
